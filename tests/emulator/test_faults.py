"""Scripted misfortune and the kill switch, seen by clients from outside."""

from __future__ import annotations

import http.client
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from azure.identity import ClientSecretCredential
from azure.mgmt.apimanagement import ApiManagementClient
from azure.mgmt.apimanagement.models import SubscriptionUpdateParameters

from keyturn_emulator.clock import EmulatedClock
from keyturn_emulator.faults import FaultBook, FaultError, Past, advance
from keyturn_emulator.testing import ControlError, RunningEmulator
from keyturn_emulator.wire import Call

HOST = "shop-kv.vault.azure.net"
VAULT = f"https://{HOST}"
GATEWAY = "https://shop-apim.azure-api.net/orders/1"
BROKEN = requests.exceptions.ConnectionError


@pytest.fixture
def headers(azure: RunningEmulator) -> dict[str, str]:
    """The rotator's sign-in for Key Vault."""
    ready = azure.ready
    form = {
        "grant_type": "client_credentials",
        "client_id": ready["client_id"],
        "client_secret": ready["client_secret"],
        "scope": "https://vault.azure.net/.default",
    }
    url = f"https://login.microsoftonline.com/{ready['tenant']}/oauth2/v2.0/token"
    return {"Authorization": f"Bearer {requests.post(url, data=form, timeout=10).json()['access_token']}"}


def _set(headers: dict[str, str], name: str = "a", value: str = "v") -> requests.Response:
    url = f"{VAULT}/secrets/{name}?api-version=7.4"
    return requests.put(url, json={"value": value}, headers=headers, timeout=10)


def _versions(azure: RunningEmulator, name: str = "a") -> int:
    secrets = azure.snapshot()["vaults"][0]["secrets"]
    return next((len(secret["versions"]) for secret in secrets if secret["name"] == name), 0)


def never() -> Past:
    raise AssertionError("no fault here reads the past")


# --- kinds ----------------------------------------------------------------------------------------


@pytest.mark.witness("fault status")
def test_a_status_fault_answers_without_asking_the_room(azure: RunningEmulator, headers: dict[str, str]) -> None:
    azure.fault("status", {"host": HOST}, status=503, code="Busy", message="Not now.", retry_after=7)
    answer = _set(headers)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert answer.json() == {"error": {"code": "Busy", "message": "Not now."}}
    assert _versions(azure) == 0
    assert _set(headers).status_code == 200


def test_a_status_fault_at_a_gateway_wears_the_gateways_envelope(azure: RunningEmulator) -> None:
    azure.fault("status", status=500, message="Backend down.")
    assert requests.get(GATEWAY, timeout=10).json() == {"statusCode": 500, "message": "Backend down."}


def test_a_fault_may_answer_with_a_status_that_has_no_name(azure: RunningEmulator) -> None:
    azure.fault("status", status=499)
    assert requests.get(GATEWAY, timeout=10).status_code == 499


@pytest.mark.witness("fault lost-answer")
def test_a_lost_answer_leaves_the_effect_and_cuts_the_connection(
    azure: RunningEmulator, headers: dict[str, str]
) -> None:
    azure.fault("lost-answer", {"method": "PUT"})
    with pytest.raises(BROKEN):
        _set(headers)
    assert _versions(azure) == 1


@pytest.mark.witness("fault lost-answer")
def test_a_lost_answer_with_a_status_answers_that_instead(azure: RunningEmulator, headers: dict[str, str]) -> None:
    azure.fault("lost-answer", {"method": "PUT"}, status=504)
    assert _set(headers).status_code == 504
    assert _versions(azure) == 1


@pytest.mark.witness("fault drop")
def test_a_drop_has_no_effect(azure: RunningEmulator, headers: dict[str, str]) -> None:
    azure.fault("drop", {"method": "PUT"})
    with pytest.raises(BROKEN):
        _set(headers)
    assert _versions(azure) == 0
    assert azure.calls("keyvault")[-1]["fault"] == "drop"


@pytest.mark.witness("fault delay")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_delay_answers_all_the_same(azure: RunningEmulator, headers: dict[str, str], when: str) -> None:
    azure.fault("delay", {"method": "PUT"}, seconds=0.01, when=when)
    assert _set(headers).status_code == 200
    assert _versions(azure) == 1
    assert azure.calls("keyvault")[-1]["fault"] == "delay"


@pytest.mark.witness("fault delay")
def test_a_delay_after_the_effect_shows_the_effect_before_the_answer(
    azure: RunningEmulator, headers: dict[str, str]
) -> None:
    azure.fault("delay", {"method": "PUT"}, seconds=600, when="after")
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.put(f"{VAULT}/secrets/a?api-version=7.4", json={"value": "v"}, headers=headers, timeout=(10, 0.5))
    assert _versions(azure) == 1


@pytest.mark.witness("fault late-effect")
def test_a_late_effect_lands_when_its_emulated_time_comes(azure: RunningEmulator, headers: dict[str, str]) -> None:
    azure.fault("late-effect", {"method": "PUT"}, after=900)
    with pytest.raises(BROKEN):
        _set(headers)
    azure.advance(899)
    assert _versions(azure) == 0
    azure.advance(1)
    assert _versions(azure) == 1
    assert azure.control("GET", "faults")["late_effects"] == []


def test_a_late_effect_lands_at_its_own_moment_even_if_time_leaps_past_it(
    azure: RunningEmulator, headers: dict[str, str]
) -> None:
    azure.fault("late-effect", {"method": "PUT"}, after=900)
    with pytest.raises(BROKEN):
        _set(headers)
    azure.advance(86400)
    created = azure.snapshot()["vaults"][0]["secrets"][0]["versions"][0]["created"]
    assert created == datetime(2026, 1, 5, 8, 15, tzinfo=UTC).timestamp()
    assert azure.now() == "2026-01-06T08:00:00Z"


@pytest.mark.witness("fault late-effect")
def test_a_late_effect_without_a_time_waits_for_its_release(azure: RunningEmulator, headers: dict[str, str]) -> None:
    azure.fault("late-effect", {"method": "PUT"}, status=500)
    assert _set(headers).status_code == 500
    azure.advance(10**7)
    assert _versions(azure) == 0
    waiting = azure.control("GET", "faults")["late_effects"]
    assert [(row["method"], row["path"], row["due"]) for row in waiting] == [("PUT", "/secrets/a", None)]
    assert azure.release_effects() == 1
    assert _versions(azure) == 1


# stale reads


@pytest.mark.witness("fault stale")
def test_a_stale_read_of_a_secret_is_what_was_true_when_the_fault_was_added(
    azure: RunningEmulator, headers: dict[str, str]
) -> None:
    read = f"{VAULT}/secrets/a?api-version=7.4"
    _set(headers, value="old")
    azure.fault("stale", {"host": HOST}, times=2)
    azure.advance(3600)
    assert _set(headers, value="new").status_code == 200, "a write is never stale"
    told = [requests.get(read, headers=headers, timeout=10).json()["value"] for _ in range(3)]
    assert told == ["old", "old", "new"]
    assert [call["fault"] for call in azure.calls("keyvault")] == [None, None, "stale", "stale", None]
    assert _versions(azure) == 2, "and reading the past changes nothing"


@pytest.mark.witness("fault stale")
def test_a_stale_read_of_an_apim_subscription_has_its_old_etag(azure: RunningEmulator) -> None:
    credential = ClientSecretCredential(azure.ready["tenant"], azure.ready["client_id"], azure.ready["client_secret"])
    with ApiManagementClient(credential, azure.ready["azure_subscription"]) as client:

        def look() -> tuple[str | None, str]:
            def both(_: Any, entity: Any, headers: dict[str, str]) -> tuple[str | None, str]:
                return entity.display_name, headers["ETag"]

            found: Any = client.subscription.get("rg", "shop-apim", "contoso", cls=both)
            return found[0], found[1]

        before = look()
        azure.fault("stale", {"path_contains": "subscriptions/contoso"})
        change = SubscriptionUpdateParameters(display_name="Changed")
        client.subscription.update("rg", "shop-apim", "contoso", before[1], change)
        assert look() == before
        now = look()
    assert now[0] == "Changed"
    assert now[1] != before[1]
    credential.close()


def test_what_did_not_exist_then_is_missing_in_a_stale_read(azure: RunningEmulator, headers: dict[str, str]) -> None:
    azure.fault("stale", {"host": HOST})
    _set(headers)
    read = [requests.get(f"{VAULT}/secrets/a?api-version=7.4", headers=headers, timeout=10) for _ in range(2)]
    assert [answer.status_code for answer in read] == [404, 200]


@pytest.mark.witness("fault stale")
def test_a_gateway_is_never_stale(azure: RunningEmulator) -> None:
    number = azure.fault("stale", {"path_contains": "orders"})
    assert requests.get(GATEWAY, timeout=10).status_code == 401
    (fault,) = azure.control("GET", "faults")["faults"]
    assert (fault["id"], fault["struck"]) == (number, 0)


# --- which requests -------------------------------------------------------------------------------


def test_a_fault_strikes_once_unless_told_otherwise(azure: RunningEmulator) -> None:
    azure.fault("status", status=500, times=2)
    assert [requests.get(GATEWAY, timeout=10).status_code for _ in range(3)] == [500, 500, 401]


def test_a_fault_without_end_strikes_until_it_is_removed(azure: RunningEmulator) -> None:
    number = azure.fault("status", status=500, times=-1)
    assert [requests.get(GATEWAY, timeout=10).status_code for _ in range(5)] == [500] * 5
    assert azure.control("DELETE", f"faults?id={number}") == {"removed": 1}
    assert requests.get(GATEWAY, timeout=10).status_code == 401


def test_a_fault_may_let_some_requests_pass_first(azure: RunningEmulator) -> None:
    azure.fault("status", status=500, skip=2)
    assert [requests.get(GATEWAY, timeout=10).status_code for _ in range(4)] == [401, 401, 500, 401]


@pytest.mark.parametrize(
    ("match", "strikes"),
    [
        ({}, True),
        ({"host": "SHOP-apim.azure-api.net"}, True),
        ({"host": "other.azure-api.net"}, False),
        ({"method": "get"}, True),
        ({"method": "PUT"}, False),
        ({"path_contains": "/a b"}, True),
        ({"path_contains": "/a%20b"}, False),
        ({"path_regex": r"^/orders/a b$"}, True),
        ({"path_regex": r"^/orders$"}, False),
        ({"host": "shop-apim.azure-api.net", "method": "PUT"}, False),
    ],
)
def test_a_fault_strikes_what_it_matches_on_decoded_paths(match: dict[str, str], strikes: bool) -> None:
    book = _book()
    book.add({"kind": "drop", "match": match})
    assert (book.strike(Call("GET", "shop-apim.azure-api.net", "/orders/a%20b")) is not None) is strikes


def test_faults_by_chance_are_the_same_for_the_same_seed() -> None:
    def struck(seed: int) -> list[bool]:
        book = _book(seed)
        book.add({"kind": "drop", "probability": 0.5, "times": -1})
        return [book.strike(Call("GET", "h", "/")) is not None for _ in range(64)]

    assert struck(3) == struck(3)
    assert struck(3) != struck(4)
    assert 10 < sum(struck(3)) < 54


def test_the_first_fault_that_strikes_wins() -> None:
    book = _book()
    first = book.add({"kind": "drop", "skip": 1})
    second = book.add({"kind": "status", "status": 500, "times": -1})
    assert [book.strike(Call("GET", "h", "/")) for _ in range(3)] == [second, first, second]


def test_late_effects_land_in_the_order_of_their_moments() -> None:
    landed: list[str] = []
    clock = EmulatedClock(datetime(2026, 1, 1, tzinfo=UTC))
    book = FaultBook(clock, lambda call: landed.append(f"{call.raw_path} {clock.now():%H:%M}"), never)
    for path, after in (("/late", 7200), ("/early", 3600)):
        book.postpone(Call("PUT", "h", path), after)
    advance(clock, book, 86400)
    assert landed == ["/early 01:00", "/late 02:00"]


def _book(seed: int = 1) -> FaultBook:
    return FaultBook(EmulatedClock(datetime(2026, 1, 1, tzinfo=UTC)), lambda _: None, never, seed)


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ([], "object"),
        ({}, "kind"),
        ({"kind": "explode"}, "kind"),
        ({"kind": "status"}, "status"),
        ({"kind": "status", "status": 200}, "status"),
        ({"kind": "status", "status": "500"}, "status"),
        ({"kind": "drop", "tiems": 2}, "tiems"),
        ({"kind": "drop", "times": True}, "times"),
        ({"kind": "drop", "match": {"hots": "x"}}, "hots"),
        ({"kind": "drop", "match": {"path_regex": "("}}, "path_regex"),
        ({"kind": "drop", "match": {"agent_regex": "("}}, "agent_regex"),
        ({"kind": "drop", "match": []}, "match"),
        ({"kind": "delay", "when": "sometime"}, "when"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_by_name(raw: Any, named: str) -> None:
    with pytest.raises(FaultError, match=named):
        _book().add(raw)


def test_the_control_api_repeats_why_a_fault_was_refused(azure: RunningEmulator) -> None:
    with pytest.raises(ControlError, match=r"400: tiems is not known"):
        azure.fault("drop", tiems=2)


# --- the kill switch ------------------------------------------------------------------------------

CLIENT = """
import sys, requests
token = sys.stdin.readline().strip()
for number in range(int(sys.argv[1])):
    where = sys.argv[2] + f"/secrets/s{number}?api-version=7.4"
    try:
        reply = requests.put(where, json={"value": "v"}, headers={"Authorization": token}, timeout=60)
    except requests.exceptions.ConnectionError:
        print("cut", flush=True)
    else:
        print(reply.status_code, flush=True)
"""


@pytest.fixture
def client(azure: RunningEmulator, headers: dict[str, str]) -> Callable[[int], subprocess.Popen[str]]:
    """Starts a program that sets secrets s0, s1, ... one after the other."""

    def start(count: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(count), VAULT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(headers["Authorization"] + "\n")
        process.stdin.close()
        return process

    return start


def _finish(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    told = process.stdout.read().split()
    process.stdout.close()
    process.wait()
    return told


def _names(azure: RunningEmulator) -> list[str]:
    return [secret["name"] for secret in azure.snapshot()["vaults"][0]["secrets"]]


@pytest.mark.parametrize("request_number", [1, 2, 4])
@pytest.mark.parametrize("apply", [False, True])
def test_a_client_killed_at_a_request_leaves_exactly_the_effects_before_it(
    azure: RunningEmulator, client: Callable[[int], subprocess.Popen[str]], request_number: int, apply: bool
) -> None:
    azure.pause_at(request_number, apply=apply)
    process = client(5)
    assert azure.wait_until_paused()
    process.send_signal(signal.SIGKILL)
    answered = _finish(process)
    assert azure.resume() == 1
    azure.pause_at(1)
    assert answered == ["200"] * (request_number - 1)
    assert _names(azure) == [f"s{number}" for number in range(request_number - 1 + apply)]


@pytest.mark.parametrize("apply", [False, True])
def test_a_client_that_lives_on_is_answered_after_the_resume(
    azure: RunningEmulator, client: Callable[[int], subprocess.Popen[str]], apply: bool
) -> None:
    azure.pause_at(2, apply=apply)
    process = client(4)
    assert azure.wait_until_paused()
    assert _names(azure) == ["s0", "s1"][: 1 + apply]
    azure.resume()
    assert _finish(process) == ["200"] * 4
    assert _names(azure) == ["s0", "s1", "s2", "s3"]
    assert [_versions(azure, name) for name in _names(azure)] == [1, 1, 1, 1]


def test_a_pause_that_was_not_reached_says_so(azure: RunningEmulator) -> None:
    azure.pause_at(3)
    requests.get(GATEWAY, timeout=10)
    told = azure.control("GET", "pause?wait=0.05")
    assert (told["armed"], told["reached"], told["seen"], told["held"]) == (True, False, 1, 0)


def test_control_requests_pass_and_do_not_count_while_everything_is_held(azure: RunningEmulator) -> None:
    azure.pause_at(1)
    for _ in range(3):
        azure.control("GET", "snapshot")
    assert azure.control("GET", "pause")["seen"] == 0


def test_a_pause_counts_and_holds_only_what_it_matches(azure: RunningEmulator, headers: dict[str, str]) -> None:
    azure.pause_at(1, match={"host": HOST, "method": "PUT"})
    assert requests.get(GATEWAY, timeout=10).status_code == 401
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.put(f"{VAULT}/secrets/a?api-version=7.4", json={"value": "v"}, headers=headers, timeout=(10, 0.3))
    assert requests.get(GATEWAY, timeout=10).status_code == 401
    assert azure.resume() == 1
    assert _names(azure) == []


def test_a_pause_may_tell_clients_apart_by_what_they_call_themselves(azure: RunningEmulator) -> None:
    azure.pause_at(1, match={"agent_regex": "^rotator/"})
    assert requests.get(GATEWAY, headers={"User-Agent": "caller/of rotator/1"}, timeout=10).status_code == 401
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(GATEWAY, headers={"User-Agent": "rotator/1"}, timeout=(10, 0.3))
    assert azure.resume() == 1


def test_what_comes_late_takes_effect_at_its_moment_although_its_sender_is_dead(
    azure: RunningEmulator, client: Callable[[int], subprocess.Popen[str]]
) -> None:
    azure.control("POST", "pause", {"after_requests": 2, "late": 60})
    process = client(5)
    assert azure.wait_until_paused()
    process.send_signal(signal.SIGKILL)
    assert _finish(process) == ["200"]
    azure.resume()
    azure.advance(59)
    assert _names(azure) == ["s0"]
    azure.advance(1)
    assert _names(azure) == ["s0", "s1"]


def test_whoever_sent_what_comes_late_gets_no_answer_and_sends_on(
    azure: RunningEmulator, client: Callable[[int], subprocess.Popen[str]]
) -> None:
    azure.control("POST", "pause", {"after_requests": 2, "late": 60})
    process = client(3)
    assert azure.wait_until_paused()
    azure.resume()
    assert _finish(process) == ["200", "cut", "200"]
    assert _names(azure) == ["s0", "s2"]
    assert azure.release_effects() == 1
    assert _names(azure) == ["s0", "s2", "s1"]


def test_a_pause_that_follows_another_may_cut_whom_that_one_holds(
    azure: RunningEmulator, client: Callable[[int], subprocess.Popen[str]]
) -> None:
    azure.pause_at(2, apply=True)
    process = client(3)
    assert azure.wait_until_paused()
    azure.control("POST", "pause", {"after_requests": 1, "cut": True})
    assert azure.wait_until_paused()
    assert _names(azure) == ["s0", "s1"]
    azure.resume()
    assert _finish(process) == ["200", "cut", "200"]


def test_a_cut_connection_is_a_broken_one_for_a_plain_client_too(azure: RunningEmulator) -> None:
    azure.fault("drop", {"host": "shop-apim.azure-api.net"})
    address = urlsplit(azure.ready["direct"])
    context = ssl.create_default_context(cafile=azure.ready["ca_bundle"])
    connection = http.client.HTTPSConnection(str(address.hostname), address.port, timeout=10, context=context)
    connection.request("GET", "/orders/1", headers={"Host": "shop-apim.azure-api.net"})
    with pytest.raises((ConnectionError, ssl.SSLError)):
        connection.getresponse()
    connection.close()
