"""The tenant access keys, against the emulated Azure."""

from __future__ import annotations

from typing import Any

import pytest

from keyturn.azure.answers import Reply
from keyturn.keyrings.tenant import TenantKeyring
from keyturn.model import Credential, Slot
from keyturn.ports import Applied, NotApplied, Uncertain
from keyturn_emulator import seed
from tests.contracts.emulated import Emulated
from tests.contracts.keyring import FRESH, KeyringCase, KeyringContract


def tenant_of(emulated: Emulated, *names: str, service: str | None = None) -> TenantKeyring:
    return TenantKeyring(emulated.arm, "shop", service or emulated.service, names=names or ("access",))


def case_of(emulated: Emulated, name: str) -> KeyringCase:
    keyring = tenant_of(emulated, "access", "gitAccess")
    credential = next(found for found in keyring.discover() if found.name == name)
    # every service has tenant access, so that what is not there is a service
    elsewhere = tenant_of(emulated, name, service=f"{emulated.service}-nowhere")
    return KeyringCase(
        keyring,
        credential,
        emulated.send_by(),
        emulated.too_late(),
        id=f"shop/tenant/{name}",
        absent=(elsewhere, credential),
    )


class TestTenantAccess(KeyringContract):
    @pytest.fixture
    def case(self, emulated: Emulated) -> KeyringCase:
        return case_of(emulated, "access")


class TestTenantGitAccess(KeyringContract):
    @pytest.fixture
    def case(self, emulated: Emulated) -> KeyringCase:
        return case_of(emulated, "gitAccess")


@pytest.fixture
def keyring(emulated: Emulated) -> TenantKeyring:
    return tenant_of(emulated)


@pytest.fixture
def access(keyring: TenantKeyring) -> Credential:
    (credential,) = keyring.discover()
    return credential


def seeded(emulated: Emulated, **service: Any) -> None:
    description = seed.default_description()
    description["services"][0] |= service
    emulated.azure.seed(description)


def test_git_access_is_left_alone_unless_it_is_named(keyring: TenantKeyring) -> None:
    assert [found.name for found in keyring.discover()] == ["access"]


def test_tokens_of_access_name_integration_and_those_of_git_access_git(emulated: Emulated) -> None:
    found = tenant_of(emulated, "access", "gitAccess").discover()
    assert [(each.name, each.identity) for each in found] == [("access", "integration"), ("gitAccess", "git")]


def test_a_set_costs_a_list_and_one_put(emulated: Emulated, keyring: TenantKeyring, access: Credential) -> None:
    etag = keyring.read(access).etag or ""
    lists, puts = emulated.sent("POST", "listSecrets"), emulated.sent("PUT")
    assert isinstance(keyring.set_value(access, Slot.PRIMARY, FRESH, etag, emulated.send_by()), Applied)
    assert (emulated.sent("POST", "listSecrets") - lists, emulated.sent("PUT") - puts) == (1, 1)


@pytest.mark.parametrize("redraws", [True, False])
@pytest.mark.parametrize("echoes", [True, False])
def test_a_set_keeps_the_other_slot_whatever_azure_does_with_what_a_put_leaves_out(
    emulated: Emulated, redraws: bool, echoes: bool
) -> None:
    description = seed.default_description()
    switches = {"tenant_put_redraws_omitted_keys": redraws, "tenant_put_echoes_keys": echoes}
    description["switches"] = description.get("switches", {}) | switches
    emulated.azure.seed(description)
    keyring = tenant_of(emulated)
    (access,) = keyring.discover()
    before = keyring.read_values(access)
    answer = keyring.set_value(access, Slot.SECONDARY, FRESH, before.etag or "", emulated.send_by())
    after = keyring.read_values(access)
    assert isinstance(answer, Applied)
    assert answer.values == (after if echoes else None)
    assert (after.primary, after.secondary) == (before.primary, FRESH)


@pytest.mark.parametrize("enabled", [True, False])
def test_a_set_leaves_tenant_access_enabled_or_disabled_as_it_is(emulated: Emulated, enabled: bool) -> None:
    seeded(emulated, tenant_access={"enabled": enabled})
    keyring = tenant_of(emulated)
    (access,) = keyring.discover()
    etag = keyring.read(access).etag or ""
    assert isinstance(keyring.set_value(access, Slot.PRIMARY, FRESH, etag, emulated.send_by()), Applied)
    assert keyring.read(access).state == access.state == ("active" if enabled else "disabled")


def test_a_change_that_lands_between_the_list_and_the_put_is_not_overwritten(
    emulated: Emulated, keyring: TenantKeyring, access: Credential
) -> None:
    class Interrupted(TenantKeyring):
        """Somebody else writes right after the values were listed."""

        def _list(self, credential: Credential) -> Reply:
            reply = super()._list(credential)
            keyring.regenerate(credential, Slot.SECONDARY, emulated.send_by())
            return reply

    before = keyring.read_values(access)
    interrupted = Interrupted(emulated.arm, "shop", emulated.service)
    answer = interrupted.set_value(access, Slot.PRIMARY, FRESH, before.etag or "", emulated.send_by())
    assert isinstance(answer, NotApplied) and answer.status == 412
    assert emulated.sent("PUT") == 1
    after = keyring.read_values(access)
    assert after.primary == before.primary
    assert after.secondary != before.secondary


def test_a_put_that_gets_503_is_uncertain_and_sent_exactly_once(
    emulated: Emulated, keyring: TenantKeyring, access: Credential
) -> None:
    etag = keyring.read(access).etag or ""
    emulated.azure.fault("status", {"method": "PUT"}, status=503, times=5)
    answer = keyring.set_value(access, Slot.PRIMARY, FRESH, etag, emulated.send_by())
    assert isinstance(answer, Uncertain)
    assert emulated.sent("PUT") == 1


def test_enabling_and_disabling_change_the_state_and_no_value(
    emulated: Emulated, keyring: TenantKeyring, access: Credential
) -> None:
    before = keyring.read_values(access)
    for on, state in [(False, "disabled"), (True, "active")]:
        etag = keyring.read(access).etag or ""
        assert keyring.enable(access, on, etag, emulated.send_by()) == Applied()
        assert keyring.read(access).state == state
    after = keyring.read_values(access)
    assert (after.primary, after.secondary) == (before.primary, before.secondary)


def test_disabling_with_a_stale_etag_gets_412_and_disables_nothing(
    emulated: Emulated, keyring: TenantKeyring, access: Credential
) -> None:
    stale = keyring.read(access).etag or ""
    keyring.regenerate(access, Slot.PRIMARY, emulated.send_by())
    answer = keyring.enable(access, False, stale, emulated.send_by())
    assert isinstance(answer, NotApplied) and answer.status == 412
    assert keyring.read(access).state == "active"


def test_a_service_of_the_consumption_tier_has_no_tenant_access(emulated: Emulated) -> None:
    seeded(emulated, sku="Consumption", self_hosted_gateways=[], tenant_access=None)
    assert list(tenant_of(emulated).discover()) == []


def test_the_endpoint_that_takes_its_tokens_is_the_services_own(keyring: TenantKeyring) -> None:
    assert list(keyring.gateways()) == ["https://shop-apim.management.azure-api.net"]
