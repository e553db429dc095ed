"""The control API: who may use it, time that moves on command, the state without keys, and a person in the portal."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from keyturn_emulator import seed
from keyturn_emulator.testing import ControlError, RunningEmulator
from tests.emulator import tokens_by_hand as by_hand

SHOP = "shop-apim"
GATEWAY = "https://shop-apim.azure-api.net/orders/1"
START = "2026-01-05T08:00:00Z"


def _call_gateway(key: str) -> int:
    return requests.get(GATEWAY, headers={"Ocp-Apim-Subscription-Key": key}, timeout=10).status_code


# --- who ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic x", "Bearer "])
def test_without_its_secret_the_control_api_says_nothing(azure: RunningEmulator, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    for method, path in (("GET", "clock"), ("GET", "keys?service=shop-apim&sid=contoso"), ("POST", "reset")):
        answer = requests.request(method, f"{azure.ready['control']}/{path}", headers=headers, timeout=10)
        assert answer.status_code == 401
        assert set(answer.json()) == {"error"}


@pytest.mark.parametrize(("method", "path"), [("GET", "nothing"), ("PUT", "clock"), ("GET", "")])
def test_an_unknown_control_path_is_refused_by_name(azure: RunningEmulator, method: str, path: str) -> None:
    with pytest.raises(ControlError, match=f"404.*{method} /_emulator/{path}"):
        azure.control(method, path)


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("clock", {"advanec": 1}, "advanec"),
        ("clock", {"advance": "1"}, "advance"),
        ("clock", {"advance": True}, "advance"),
        ("clock", {}, "exactly one"),
        ("clock", {"advance": 1, "to": START}, "exactly one"),
        ("clock", {"to": "tomorrow"}, "to must be"),
        ("clock", {"to": "2026-01-05T08:00:00"}, "to must be"),
        ("clock/wait", {"name": "x"}, "until"),
        ("portal", {"service": SHOP, "sid": "contoso", "slot": "third"}, "slot"),
        ("portal", {"service": SHOP, "sid": "nobody", "slot": "primary"}, "nobody"),
        ("portal", {"service": "no-apim", "sid": "contoso", "slot": "primary"}, "no-apim"),
        ("switches", {"a": 1}, "true and false"),
        ("pause", {"after": 3}, "after"),
        ("pause", {"after_requests": 0}, "after_requests"),
        ("pause", {"late": -1}, "late"),
        ("pause", {"late": 1, "apply": True}, "exclude each other"),
        ("pause", {"cut": 1}, "cut"),
    ],
)
def test_a_body_that_makes_no_sense_is_refused_by_name(
    azure: RunningEmulator, path: str, body: dict[str, Any], named: str
) -> None:
    with pytest.raises(ControlError, match=named):
        azure.control("POST", path, body)


# --- time -----------------------------------------------------------------------------------------


@pytest.mark.witness("time-moves-on-command")
def test_time_stands_still_until_it_is_told_to_move(azure: RunningEmulator) -> None:
    assert azure.now() == START
    assert azure.now() == START
    assert azure.advance(90.5) == "2026-01-05T08:01:30.500000Z"
    assert azure.control("POST", "clock", {"to": "2026-02-01T00:00:00Z"})["now"] == "2026-02-01T00:00:00Z"
    assert azure.now() == "2026-02-01T00:00:00Z"


def test_boot_time_counts_what_passed_and_no_jump(azure: RunningEmulator) -> None:
    before = azure.control("GET", "clock")["boot"]
    azure.advance(100)
    jumped = azure.control("POST", "clock", {"jump": 5000})
    assert jumped["now"] == "2026-01-05T09:25:00Z"
    back = azure.control("POST", "clock", {"jump": -5000})
    assert (back["now"], back["boot"] - before) == ("2026-01-05T08:01:40Z", 100)


def test_time_may_be_set_back_and_boot_time_never_goes_back(azure: RunningEmulator) -> None:
    before = azure.control("GET", "clock")["boot"]
    azure.advance(-3600)
    assert azure.control("GET", "clock") == {"now": "2026-01-05T07:00:00Z", "boot": before, "waiters": []}
    azure.reset()
    assert azure.control("GET", "clock")["boot"] == before


def test_a_waiter_whose_time_has_come_is_answered_at_once(azure: RunningEmulator) -> None:
    body = {"name": "a", "until": START, "max_seconds": 60}
    assert azure.control("POST", "clock/wait", body)["now"] == START


@pytest.fixture
def waiter(azure: RunningEmulator) -> Iterator[http.client.HTTPConnection]:
    """A connection on which a wait until nine o'clock is already standing."""
    address = urlsplit(azure.ready["control"])
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    body = json.dumps({"name": "sweep", "until": "2026-01-05T09:00:00Z", "max_seconds": 50})
    connection.request("POST", "/_emulator/clock/wait", body, azure.headers)
    _until(lambda: bool(azure.control("GET", "clock")["waiters"]))
    yield connection
    connection.close()


def _until(holds: Any) -> None:
    """Ask again until it holds; only a defect makes this go on until the round limit."""
    for _ in range(5000):
        if holds():
            return
    raise AssertionError("it never came to hold")


def test_a_waiter_is_listed_and_answered_when_its_time_comes(
    azure: RunningEmulator, waiter: http.client.HTTPConnection
) -> None:
    listed = azure.control("GET", "clock")["waiters"]
    assert listed == [{"name": "sweep", "until": "2026-01-05T09:00:00Z"}]
    azure.advance(3599)
    assert azure.control("GET", "clock")["waiters"] == listed
    azure.advance(1)
    assert json.loads(waiter.getresponse().read())["now"] == "2026-01-05T09:00:00Z"
    assert azure.control("GET", "clock")["waiters"] == []


def test_a_waiter_vanishes_when_its_connection_closes(
    azure: RunningEmulator, waiter: http.client.HTTPConnection
) -> None:
    waiter.close()
    _until(lambda: not azure.control("GET", "clock")["waiters"])


def test_a_waiter_gives_up_after_its_machine_seconds(azure: RunningEmulator) -> None:
    body = {"name": "short", "until": "2027-01-01T00:00:00Z", "max_seconds": 0.05}
    assert azure.control("POST", "clock/wait", body)["now"] == START


# --- the world ------------------------------------------------------------------------------------


@pytest.mark.witness("keys-and-ids-are-drawn")
def test_the_same_seed_makes_the_same_keys_and_another_one_others(azure: RunningEmulator) -> None:
    before = azure.keys(SHOP, "contoso")
    azure.portal(SHOP, "contoso", "primary")
    assert azure.keys(SHOP, "contoso") != before
    azure.reset()
    assert azure.keys(SHOP, "contoso") == before
    azure.seed({**seed.default_description(), "seed": 2})
    assert azure.keys(SHOP, "contoso")["primary"] != before["primary"]


def test_a_reset_begins_the_whole_day_anew(azure: RunningEmulator) -> None:
    azure.advance(1000)
    azure.fault("drop", {"host": "management.azure.com"})
    azure.control("POST", "switches", {"keyvault_empty_first_page": True})
    _call_gateway("nonsense")
    azure.reset()
    assert azure.now() == START
    assert azure.control("GET", "faults")["faults"] == []
    assert azure.control("GET", "switches")["keyvault_empty_first_page"] is False
    assert azure.calls() == []
    assert azure.gateway()["outcomes"] == {}


def test_a_description_with_mistakes_is_refused_whole_and_the_world_stays(azure: RunningEmulator) -> None:
    before = azure.snapshot()
    broken = seed.default_description()
    broken["services"][0]["subscriptions"] += [
        {"sid": "a", "product": "bronze"},
        {"sid": "contoso", "scope": "/apis"},
        {"sid": "b", "product": "gold", "api": "orders"},
        {"sid": "c", "scope": "/apis", "state": "asleep", "colour": "blue"},
    ]
    broken["role_assignments"].append({"client_id": seed.CLIENT, "role": "King", "scope": "/"})
    last = len(broken["role_assignments"]) - 1
    with pytest.raises(ControlError) as caught:
        azure.seed(broken)
    for problem in (
        "services[0].subscriptions[6].product: there is no product bronze",
        "services[0].subscriptions[7].sid: contoso stands here twice",
        "services[0].subscriptions[8].scope: give exactly one",
        "services[0].subscriptions[9].state: must be one of",
        "services[0].subscriptions[9].colour: is not a known field",
        f"role_assignments[{last}].role: no role is called 'King'",
    ):
        assert problem in str(caught.value)
    assert azure.snapshot() == before


def test_ids_that_nobody_chose_are_drawn_from_the_seed() -> None:
    described = {"seed": 7, "applications": [{"secret": "x"}], "vaults": [{"name": "kv"}]}
    first, second = seed.build(described), seed.build(described)
    assert first.tenants == second.tenants
    assert list(first.applications) == list(second.applications)
    assert first.vaults["kv"].id == second.vaults["kv"].id
    assert seed.build({**described, "seed": 8}).tenants != first.tenants


def test_nothing_but_the_key_route_shows_a_key(azure: RunningEmulator) -> None:
    azure.portal(SHOP, "contoso", "primary", "a-chosen-value-of-the-portal")
    _call_gateway("a-chosen-value-of-the-portal")
    requests.get(GATEWAY + "?subscription-key=a-chosen-value-of-the-portal", timeout=10)
    keys = [value for sid in ("contoso", "fabrikam", "master") for value in azure.keys(SHOP, sid).values()]
    assert "a-chosen-value-of-the-portal" in keys
    told = "".join(
        json.dumps(azure.control("GET", path))
        for path in ("snapshot", "calls", "gateway", "arm", "faults", "seed", "clock", "pause", "switches")
    )
    assert len(told) > 1000
    assert not [value for value in keys if value in told or value in azure.complaints()]
    assert seed.CLIENT_SECRET not in told


def test_the_snapshot_shows_a_write_by_its_etag(azure: RunningEmulator) -> None:
    def etags() -> dict[str, str]:
        return {row["sid"]: row["etag"] for row in azure.snapshot()["services"][0]["subscriptions"]}

    before = etags()
    azure.portal(SHOP, "contoso", "secondary")
    after = etags()
    assert {sid for sid in before if before[sid] != after[sid]} == {"contoso"}


# --- the portal and the gateway -------------------------------------------------------------------


def test_a_person_in_the_portal_regenerates_one_slot_and_the_gateway_follows(azure: RunningEmulator) -> None:
    before = azure.keys(SHOP, "contoso")
    assert _call_gateway(before["primary"]) == 200
    azure.portal(SHOP, "contoso", "primary")
    after = azure.keys(SHOP, "contoso")
    assert after["secondary"] == before["secondary"]
    assert [_call_gateway(value) for value in (before["primary"], after["primary"], after["secondary"])] == [
        401,
        200,
        200,
    ]


def test_a_person_in_the_portal_may_choose_the_value(azure: RunningEmulator) -> None:
    azure.portal(SHOP, "Fabrikam", "secondary", "chosen")
    assert azure.keys(SHOP, "fabrikam")["secondary"] == "chosen"
    assert _call_gateway("chosen") == 200


def test_the_gateway_counts_calls_by_slot_and_agent_until_it_is_reset(azure: RunningEmulator) -> None:
    keys = azure.keys(SHOP, "contoso")
    for value in (keys["primary"], keys["primary"], keys["secondary"], "nonsense"):
        headers = {"Ocp-Apim-Subscription-Key": value, "User-Agent": "caller/one extra"}
        requests.get(GATEWAY, headers=headers, timeout=10)
    told = azure.gateway()
    counts = {(row["sid"], row["slot"], row["agent"]): row["calls"] for row in told["calls"] if row["outcome"] == "ok"}
    assert counts == {("contoso", "primary", "caller/one"): 2, ("contoso", "secondary", "caller/one"): 1}
    assert told["outcomes"]["ok"] == 3
    azure.control("POST", "gateway/reset")
    assert azure.gateway()["outcomes"] == {}


@pytest.mark.witness("keys-and-portal-of-other-credentials")
def test_a_person_in_the_portal_writes_tenant_and_gateway_keys_too(azure: RunningEmulator) -> None:
    tenant, git, oslo = (
        azure.tenant_keys(SHOP),
        azure.tenant_keys(SHOP, "gitAccess"),
        azure.gateway_keys(SHOP, "gw-oslo"),
    )
    azure.portal_tenant(SHOP, "primary", "chosen")
    azure.portal_tenant(SHOP, "secondary", name="gitaccess")
    azure.portal_gateway(SHOP, "GW-Oslo", "secondary")
    assert azure.tenant_keys(SHOP) == {**tenant, "primary": "chosen"}
    after = azure.tenant_keys(SHOP, "gitAccess"), azure.gateway_keys(SHOP, "gw-oslo")
    assert [slot for slot in git if git[slot] != after[0][slot]] == ["secondary"]
    assert [slot for slot in oslo if oslo[slot] != after[1][slot]] == ["secondary"]


@pytest.mark.witness("keys-and-portal-of-other-credentials")
@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("service=nowhere&sid=contoso", "there is no service nowhere"),
        ("service=shop-apim", "give exactly one of sid, tenant, gateway"),
        ("service=shop-apim&sid=contoso&tenant=access", "give exactly one of sid, tenant, gateway"),
        ("service=shop-apim&tenant=other", "there is no tenant access other in shop-apim"),
        ("service=shop-apim&gateway=other", "there is no self-hosted gateway other in shop-apim"),
        ("service=shop-apim&sid=other", "there is no apim subscription other in shop-apim"),
    ],
)
def test_keys_of_nobody_are_refused_in_a_sentence(azure: RunningEmulator, query: str, sentence: str) -> None:
    with pytest.raises(ControlError, match=sentence):
        azure.control("GET", f"keys?{query}")


@pytest.mark.witness("sign-ins-are-counted")
def test_sign_ins_are_counted_over_tls_until_they_are_reset(azure: RunningEmulator) -> None:
    tenant, oslo = azure.tenant_keys(SHOP)["secondary"], azure.gateway_keys(SHOP, "gw-oslo")["primary"]
    path = "subscriptions/0/resourceGroups/0/providers/Microsoft.ApiManagement/service/0/users?api-version=2021-08-01"
    direct, site = f"https://{SHOP}.management.azure-api.net/{path}", f"https://{SHOP}.configuration.azure-api.net/"
    for url, header in (
        (direct, by_hand.short_token(tenant, "202601200304")),
        (direct, by_hand.short_token("wrong", "202601200304")),
        (site, f"GatewayKey {by_hand.short_part(oslo, '202601200304', 'gw-oslo')}"),
    ):
        requests.get(url, headers={"Authorization": header, "User-Agent": "me/1 x"}, timeout=10)
    told = azure.signins()
    assert (told["accepted"], told["refused"]) == (2, 1)
    rows = {(row["endpoint"], row["identity"], row["slot"], row["reason"], row["agent"]) for row in told["signins"]}
    assert rows == {
        ("management", "integration", "secondary", "ok", "me/1"),
        ("management", "integration", "none", "bad-signature", "me/1"),
        ("configuration", "gw-oslo", "primary", "ok", "me/1"),
    }
    assert azure.control("GET", "calls")["totals"] == {"management": 2, "configuration": 1}
    azure.reset_signins()
    assert azure.signins() == {"signins": [], "accepted": 0, "refused": 0}


def test_a_reset_brings_back_described_credentials_and_forgets_sign_ins(azure: RunningEmulator) -> None:
    before = azure.tenant_keys(SHOP), azure.gateway_keys(SHOP, "gw-oslo"), azure.snapshot()["services"]
    azure.portal_tenant(SHOP, "primary")
    azure.portal_gateway(SHOP, "gw-oslo", "primary")
    requests.get(f"https://{SHOP}.configuration.azure-api.net/", timeout=10)
    moved = azure.snapshot()["services"]
    assert moved[0]["tenant"] != before[2][0]["tenant"]
    assert moved[0]["self_hosted_gateways"] != before[2][0]["self_hosted_gateways"]
    azure.control("POST", "reset")
    assert (azure.tenant_keys(SHOP), azure.gateway_keys(SHOP, "gw-oslo"), azure.snapshot()["services"]) == before
    assert azure.signins()["refused"] == 0


# --- the journal ----------------------------------------------------------------------------------


def test_the_journal_lists_requests_with_emulated_time_and_totals_by_kind(azure: RunningEmulator) -> None:
    requests.get(GATEWAY, headers={"User-Agent": "someone"}, timeout=10)
    azure.advance(60)
    requests.get("https://shop-kv.vault.azure.net/secrets?api-version=7.4", timeout=10)
    told = azure.control("GET", "calls")
    assert told["totals"] == {"gateway": 1, "keyvault": 1}
    first, second = told["calls"]
    assert (first["kind"], first["path"], first["status"], first["agent"]) == ("gateway", "/orders/1", 401, "someone")
    assert (second["time"], second["api_version"], second["operation"]) == ("2026-01-05T08:01:00Z", "7.4", "read")
    assert azure.calls(since=first["seq"]) == [second]
    assert azure.calls(kind="gateway") == [first]


def test_control_requests_are_not_in_the_journal(azure: RunningEmulator) -> None:
    azure.control("GET", "snapshot")
    assert azure.control("GET", "calls")["totals"] == {}


def test_arm_calls_are_counted_by_their_class(azure: RunningEmulator) -> None:
    base = "https://management.azure.com/subscriptions"
    for method in ("GET", "GET", "POST", "PATCH", "DELETE", "PUT", "HEAD"):
        requests.request(method, base, timeout=10)
    assert azure.control("GET", "arm") == {"reads": 3, "writes": 2, "actions": 1, "deletes": 1, "throttled": 0}


def test_many_threads_may_steer_and_call_at_once(azure: RunningEmulator) -> None:
    key = azure.keys(SHOP, "contoso")["primary"]
    seen: list[int] = []

    def work() -> None:
        for _ in range(10):
            azure.advance(1)
            seen.append(_call_gateway(key))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [200] * 40
    assert azure.now() == "2026-01-05T08:00:40Z"
