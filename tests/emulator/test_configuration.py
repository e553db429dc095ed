"""Where self-hosted gateways sign in: a stand-in of our own, whose refusals are what tests look at."""

from __future__ import annotations

from typing import Any

import pytest

from keyturn_emulator.azure import Azure
from keyturn_emulator.credentials import SelfHostedGateway
from keyturn_emulator.propagation import SLOTS, Slot
from keyturn_emulator.wire import Answer, Call
from tests.emulator import tokens_by_hand as by_hand
from tests.emulator.small_azure import content, description, error_of

HOST = "shop-apim.configuration.azure-api.net"
LATER = "202601200304"


class Site:
    """An emulated Azure with two self-hosted gateways, and a short way to sign one in."""

    def __init__(self, **gateway: Any) -> None:
        services = description()["services"]
        services[0]["self_hosted_gateways"] = [{"id": "gw1"} | gateway, {"id": "gw2"}]
        self.azure = Azure(description(services=services))
        self.credentials = next(iter(self.azure.world.services.values())).credentials

    @property
    def gateway(self) -> SelfHostedGateway:
        return self.credentials.gateways["gw1"]

    def sign_in(self, authorization: str | None, method: str = "GET") -> Answer:
        sent = {"user-agent": "gateway/2 linux"} | ({} if authorization is None else {"authorization": authorization})
        return self.azure.ask(Call(method, HOST, "/any/path", (), sent))

    def token(self, slot: Slot = "primary", digits: str = LATER, identity: str = "gw1") -> str:
        return f"GatewayKey {by_hand.short_part(self.gateway.keys.key(slot), digits, identity)}"

    def told(self) -> list[tuple[Any, ...]]:
        """Identity, slot, reason and number of all sign-ins since this was last asked."""
        rows = self.azure.signins.summary()["signins"]
        assert {(row["endpoint"], row["agent"]) for row in rows} <= {("configuration", "gateway/2")}
        self.azure.signins.reset()
        return [(row["identity"], row["slot"], row["reason"], row["calls"]) for row in rows]


@pytest.mark.witness("a-self-hosted-gateway-signs-in", "where-self-hosted-gateways-sign-in")
@pytest.mark.parametrize("slot", SLOTS)
def test_a_gateways_token_signs_it_in_with_either_key(slot: Slot) -> None:
    site = Site()
    answer = site.sign_in(site.token(slot))
    assert (answer.status, content(answer)) == (200, {"service": "shop-apim", "gateway": "gw1"})
    assert site.told() == [("gw1", slot, "ok", 1)]


@pytest.mark.witness("a-self-hosted-gateway-signs-in", "where-self-hosted-gateways-sign-in")
def test_an_expired_token_of_a_gateway_is_refused() -> None:
    site = Site()
    header = site.token(digits="202601050900")
    site.azure.world.clock.advance(3599)
    assert site.sign_in(header).status == 200
    site.azure.world.clock.advance(1)
    assert site.sign_in(header).status == 401
    assert site.told() == [("gw1", "primary", "ok", 1), ("gw1", "primary", "expired", 1)]


@pytest.mark.witness("a-self-hosted-gateway-signs-in")
def test_other_tokens_are_refused_with_a_401_and_booked_with_their_reason() -> None:
    site = Site()
    tenants = site.credentials.access.keys.primary
    for header in (
        site.token(identity="gw2"),
        site.token(identity="nobody"),
        site.token().removeprefix("GatewayKey "),
        f"GatewayKey uid=gw1&ex=2026-01-20T03:04:00.0000000Z&sn={by_hand.signature('key', 'gw1', 'x')}",
        by_hand.short_token(tenants, LATER),
        None,
    ):
        assert site.sign_in(header).status == 401
    assert site.told() == [
        ("gw2", "none", "bad-signature", 1),
        ("nobody", "none", "unknown-identity", 1),
        ("-", "none", "malformed", 3),
        ("-", "none", "missing", 1),
    ]


@pytest.mark.witness("a-regenerate-ends-the-tokens")
def test_a_regenerate_ends_every_token_of_that_key_alone() -> None:
    site = Site()
    before = {slot: site.token(slot) for slot in SLOTS}
    site.credentials.set_gateway_key(site.gateway, "primary")
    assert [site.sign_in(before[slot]).status for slot in SLOTS] == [401, 200]
    assert site.sign_in(site.token()).status == 200


def test_a_deleted_gateway_cannot_sign_in() -> None:
    site = Site()
    header = site.token()
    site.credentials.delete_gateway(site.gateway)
    assert site.sign_in(header).status == 401
    assert site.told() == [("gw1", "none", "unknown-identity", 1)]


@pytest.mark.witness("a-regenerate-ends-the-tokens")
def test_a_described_delay_holds_for_a_gateways_keys() -> None:
    site = Site(delay_new=60, delay_old=120)
    old = site.token()
    site.credentials.set_gateway_key(site.gateway, "primary")
    new = site.token()
    seen = []
    for step in (0, 60, 60):
        site.azure.world.clock.advance(step)
        seen.append((site.sign_in(old).status, site.sign_in(new).status))
    assert seen == [(200, 401), (200, 200), (401, 200)]


@pytest.mark.witness("unknown-paths-of-direct-management")
def test_anything_but_a_get_is_refused_by_name_and_is_no_sign_in() -> None:
    site = Site()
    answer = site.sign_in(site.token(), "POST")
    assert (answer.status, error_of(answer)["code"]) == (501, "NotSupportedByEmulator")
    assert site.told() == []
