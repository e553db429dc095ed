"""The direct management endpoint: who signs in, and which operation a path means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from keyturn_emulator.azure import Azure
from keyturn_emulator.credentials import TenantAccess
from keyturn_emulator.propagation import SLOTS, Slot
from keyturn_emulator.wire import Answer, Call
from tests.emulator import tokens_by_hand as by_hand
from tests.emulator.small_azure import content, description, error_of

HOST = "shop-apim.management.azure-api.net"
ANY = "/subscriptions/00000/resourceGroups/00000/providers/Microsoft.ApiManagement/service/00000"
VERSION = "2021-08-01"
LATER = "2026-01-20T03:04:00.0000000Z"
LATER_DIGITS = "202601200304"
SECRETS = f"{ANY}/subscriptions/contoso/listSecrets"


class Direct:
    """An emulated Azure without sockets, and short ways to ask this endpoint of it."""

    def __init__(self, *, switches: Mapping[str, bool] | None = None, **service: Any) -> None:
        services = description()["services"]
        services[0] |= {"tenant_access": {"enabled": True}} | service
        self.azure = Azure(description(services=services, switches=dict(switches or {})))
        self.service = next(iter(self.azure.world.services.values()))

    @property
    def access(self) -> TenantAccess:
        return self.service.credentials.access

    def key(self, slot: Slot = "primary") -> str:
        return self.access.keys.key(slot)

    def ask(
        self,
        authorization: str | None,
        method: str = "GET",
        path: str = f"{ANY}/users",
        body: Any = None,
        *,
        version: str | None = VERSION,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {"user-agent": "client/1 more", **(headers or {})}
        if authorization is not None:
            sent["authorization"] = authorization
        query = () if version is None else (("api-version", version),)
        encoded = b"" if body is None else json.dumps(body).encode()
        return self.azure.ask(Call(method, HOST, path, query, sent, encoded))

    def trusted(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """With a good token."""
        return self.ask(by_hand.long_token(self.key(), LATER), method, path, body, **more)

    def reasons(self) -> dict[str, int]:
        """How often each reason was booked since this was last asked."""
        counted: dict[str, int] = {}
        for row in self.azure.signins.summary()["signins"]:
            assert (row["service"], row["endpoint"], row["agent"]) == ("shop-apim", "management", "client/1")
            counted[row["reason"]] = counted.get(row["reason"], 0) + row["calls"]
        self.azure.signins.reset()
        return counted


@pytest.mark.witness("tokens-of-direct-management")
@pytest.mark.parametrize("slot", SLOTS)
def test_both_forms_by_the_published_steps_sign_in_with_either_key(slot: Slot) -> None:
    direct = Direct()
    short = by_hand.short_token(direct.key(slot), LATER_DIGITS)
    for header in (
        by_hand.long_token(direct.key(slot), LATER),
        short,
        f'token="{short.removeprefix("SharedAccessSignature ")}",refresh="true"',
        f'SharedAccessSignature token="{short.removeprefix("SharedAccessSignature ")}",refresh="true"',
    ):
        assert direct.ask(header).status == 200
    rows = direct.azure.signins.summary()["signins"]
    assert [(row["identity"], row["slot"], row["reason"], row["calls"]) for row in rows] == [
        ("integration", slot, "ok", 4)
    ]


@pytest.mark.witness("401-of-direct-management", "wording-of-direct-management")
@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "missing"),
        ("Bearer abc", "malformed"),
        ("SharedAccessSignature integration", "malformed"),
        (by_hand.long_token("a", LATER), "bad-signature"),
        (by_hand.short_token("a", LATER_DIGITS), "bad-signature"),
        (by_hand.long_token("a", LATER, "somebody"), "unknown-identity"),
    ],
)
def test_what_does_not_sign_in_is_a_401_that_says_why(header: str | None, reason: str) -> None:
    direct = Direct()
    answer = direct.ask(header)
    assert (answer.status, error_of(answer)["code"]) == (401, "Unauthorized")
    assert answer.headers["WWW-Authenticate"] == "SharedAccessSignature"
    assert direct.reasons() == {reason: 1}


@pytest.mark.witness("401-of-direct-management", "users-tokens-open-nothing")
def test_a_good_signature_under_another_identity_is_refused() -> None:
    direct = Direct()
    assert direct.ask(by_hand.long_token(direct.key(), LATER, "ada")).status == 401
    assert direct.reasons() == {"unknown-identity": 1}


def test_an_identity_that_a_put_chose_is_the_one_that_signs_in() -> None:
    direct = Direct()
    direct.service.credentials.change_tenant(direct.access, {"principal": "robot"})
    assert direct.ask(by_hand.long_token(direct.key(), LATER)).status == 401
    assert direct.ask(by_hand.long_token(direct.key(), LATER, "robot")).status == 200


@pytest.mark.witness("401-of-direct-management")
def test_a_token_expires_by_emulated_time_at_its_moment() -> None:
    direct = Direct()
    header = by_hand.long_token(direct.key(), "2026-01-05T09:00:00.0000000Z")
    direct.azure.world.clock.advance(3599.8)
    assert direct.ask(header).status == 200
    direct.azure.world.clock.advance(0.0766)  # the world begins at a fraction of a second
    assert direct.ask(header).status == 401
    assert direct.reasons() == {"ok": 1, "expired": 1}


@pytest.mark.witness("while-tenant-access-is-disabled", "wording-of-direct-management")
def test_while_tenant_access_is_disabled_every_call_is_refused_and_works_again_when_enabled() -> None:
    direct = Direct(tenant_access={"enabled": False})
    for header in (by_hand.long_token(direct.key(), LATER), by_hand.long_token("wrong", LATER), None):
        answer = direct.ask(header)
        assert (answer.status, error_of(answer)["code"]) == (403, "ManagementApiDisabled")
    assert direct.reasons() == {"disabled": 3}
    direct.service.credentials.change_tenant(direct.access, {"enabled": True})
    assert direct.ask(by_hand.long_token(direct.key(), LATER)).status == 200


@pytest.mark.witness("a-regenerate-ends-the-tokens", "keys-verify-tokens-at-once")
def test_a_regenerated_key_ends_the_tokens_of_its_slot_alone() -> None:
    direct = Direct()
    headers = {slot: by_hand.long_token(direct.key(slot), LATER) for slot in SLOTS}
    direct.service.credentials.regenerate_tenant(direct.access, "primary")
    assert [direct.ask(headers[slot]).status for slot in SLOTS] == [401, 200]
    assert direct.ask(by_hand.long_token(direct.key(), LATER)).status == 200


@pytest.mark.witness("a-regenerate-ends-the-tokens", "keys-verify-tokens-at-once")
def test_a_slow_endpoint_takes_a_new_key_and_drops_an_old_one_after_its_delays() -> None:
    direct = Direct(tenant_access={"enabled": True, "delay_new": 60, "delay_old": 120})
    old = by_hand.long_token(direct.key(), LATER)
    direct.service.credentials.regenerate_tenant(direct.access, "primary")
    new = by_hand.long_token(direct.key(), LATER)
    seen = []
    for step in (0, 59, 1, 59, 1):
        direct.azure.world.clock.advance(step)
        seen.append((direct.ask(old).status, direct.ask(new).status))
    assert seen == [(200, 401), (200, 401), (200, 200), (200, 200), (401, 200)]


@pytest.mark.witness("switch short_management_tokens")
def test_the_short_form_is_taken_unless_switched() -> None:
    direct = Direct(switches={"short_management_tokens": False})
    assert direct.ask(by_hand.short_token(direct.key(), LATER_DIGITS)).status == 401
    assert direct.ask(by_hand.long_token(direct.key(), LATER)).status == 200
    assert direct.reasons() == {"short-form": 1, "ok": 1}


@pytest.mark.witness("switch management_tokens_thirty_days")
def test_a_long_token_may_live_more_than_thirty_days_unless_switched() -> None:
    far, near = "2026-02-04T08:00:01.0000000Z", "2026-02-04T08:00:00.0000000Z"
    direct = Direct()
    assert direct.ask(by_hand.long_token(direct.key(), far)).status == 200
    direct.azure.world.switches["management_tokens_thirty_days"] = True
    assert direct.ask(by_hand.long_token(direct.key(), far)).status == 401
    assert direct.ask(by_hand.long_token(direct.key(), near)).status == 200
    assert direct.reasons() == {"ok": 2, "too-long": 1}


@pytest.mark.witness("ids-in-paths-of-direct-management")
def test_the_ids_in_the_path_may_be_anything_and_answers_name_the_real_ones() -> None:
    direct = Direct()
    answer = direct.trusted("GET", f"{ANY}/subscriptions/contoso")
    assert content(answer)["id"] == f"{direct.service.id}/subscriptions/contoso"
    real = direct.trusted("GET", f"{direct.service.id}/subscriptions/contoso")
    assert real.body == answer.body
    for name, status in (("contoso", 200), ("nobody", 404)):
        head = direct.trusted("HEAD", f"{ANY}/subscriptions/{name}")
        assert (head.status, head.body) == (status, b"")


@pytest.mark.witness("ids-in-paths-of-direct-management")
def test_who_signed_in_may_do_everything_and_arm_sees_it() -> None:
    """Full rights, and the very same entities: keys are read, set and regenerated here."""
    direct = Direct()
    before = content(direct.trusted("POST", SECRETS))
    made = direct.trusted(
        "PATCH",
        f"{ANY}/subscriptions/contoso",
        {"properties": {"primaryKey": "set-directly"}},
        headers={"if-match": "*"},
    )
    assert made.status == 200
    assert direct.trusted("POST", f"{ANY}/subscriptions/contoso/regenerateSecondaryKey").status == 204
    entity = direct.service.subscriptions["contoso"]
    assert entity.primary == "set-directly"
    assert entity.secondary != before["secondaryKey"]
    assert direct.trusted("POST", f"{ANY}/tenant/access/regenerateSecondaryKey").status == 204


@pytest.mark.witness("ids-in-paths-of-direct-management")
def test_direct_calls_cost_no_token_of_resource_managers_buckets() -> None:
    direct = Direct()
    answers = [direct.trusted("POST", SECRETS) for _ in range(250)]
    assert {answer.status for answer in answers} == {200}
    assert not [name for name in answers[0].headers if "ratelimit" in name]


@pytest.mark.witness("400-of-direct-management-names-versions")
@pytest.mark.parametrize("version", [None, "2014-02-14", "2021-08-01-preview"])
def test_a_wrong_version_is_told_which_ones_are_allowed(version: str | None) -> None:
    direct = Direct(min_api_version="2021-08-01")
    answer = direct.trusted("GET", f"{ANY}/users", version=version)
    assert answer.status == 400
    assert content(answer) == {
        "Message": "The service is configured to allow management requests only with the following api-version values: "
        "2021-08-01, 2022-08-01, 2024-05-01"
    }
    assert direct.trusted("GET", f"{ANY}/users", version="2019-12-01").status == 400


@pytest.mark.witness("unknown-paths-of-direct-management")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/users", None),
        ("GET", ANY.replace("Microsoft.ApiManagement", "Microsoft.KeyVault"), None),
        ("GET", "/subscriptions/0/resourceGroups/0/providers/Microsoft.ApiManagement/service", None),
        ("GET", f"{ANY}/workspaces", None),
        ("GET", f"{ANY}/users", {}),
    ],
)
def test_what_the_endpoint_does_not_know_is_refused_by_name(method: str, path: str, body: Any) -> None:
    answer = Direct().trusted(method, path, body)
    assert (answer.status, error_of(answer)["code"]) == (501, "NotSupportedByEmulator")


def test_a_missing_entity_is_the_providers_404() -> None:
    answer = Direct().trusted("GET", f"{ANY}/subscriptions/nobody")
    assert (answer.status, error_of(answer)["message"]) == (404, "Subscription not found.")


@pytest.mark.witness("tiers-with-direct-management")
@pytest.mark.parametrize(
    ("tier", "hosts"),
    [
        ("Developer", {"management", "configuration"}),
        ("Premium", {"management", "configuration"}),
        ("Basic", {"management"}),
        ("Standard", {"management"}),
        ("Consumption", set()),
        ("StandardV2", set()),
    ],
)
def test_only_tiers_that_have_an_endpoint_have_its_host(tier: str, hosts: set[str]) -> None:
    built = Azure(description(services=[{"name": "shop-apim", "sku": tier}]))
    found = {host.split(".")[1] for host in built.hosts() if host.startswith("shop-apim.")} - {"azure-api"}
    assert found == hosts


@pytest.mark.witness("resource-manager-takes-no-sas")
def test_a_token_is_refused_by_resource_manager_itself() -> None:
    direct = Direct()
    for header in (by_hand.long_token(direct.key(), LATER), by_hand.short_token(direct.key(), LATER_DIGITS)):
        sent = {"authorization": header}
        call = Call("GET", "management.azure.com", f"{direct.service.id}/users", (("api-version", VERSION),), sent)
        answer = direct.azure.ask(call)
        assert (answer.status, error_of(answer)["code"]) == (401, "InvalidAuthenticationToken")
    assert direct.reasons() == {}


@pytest.mark.witness("sign-ins-are-counted")
def test_the_book_of_sign_ins_holds_no_token_key_or_signature() -> None:
    direct = Direct()
    header = by_hand.long_token(direct.key(), LATER)
    direct.ask(header)
    direct.ask(by_hand.long_token(direct.key(), LATER, "x" * 500))
    told = json.dumps(direct.azure.signins.summary())
    assert header.rpartition("sn=")[2] not in told
    assert direct.key() not in told
    assert "x" * 81 not in told
