"""The keys of self-hosted gateways, and the tokens that Azure signs, against the emulated Azure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from keyturn import tokens
from keyturn.errors import Gone, Refused
from keyturn.keyrings.gateways import GatewayKeyring
from keyturn.keyrings.users import ask_user_token
from keyturn.model import Credential, Slot
from keyturn.ports import Uncertain
from keyturn_emulator import seed
from tests.contracts.emulated import Emulated
from tests.contracts.keyring import KeyringCase, KeyringContract


class TestGateways(KeyringContract):
    @pytest.fixture
    def case(self, emulated: Emulated, keyring: GatewayKeyring, oslo: Credential) -> KeyringCase:
        return KeyringCase(
            keyring, oslo, emulated.send_by(), emulated.too_late(), id="shop/gateways/gw-oslo", sets=False
        )


@pytest.fixture
def keyring(emulated: Emulated) -> GatewayKeyring:
    return GatewayKeyring(emulated.arm, "shop", emulated.service)


@pytest.fixture
def oslo(keyring: GatewayKeyring) -> Credential:
    return next(found for found in keyring.discover() if found.name == "gw-oslo")


def in_ten_days(emulated: Emulated) -> datetime:
    return (emulated.clock.now() + timedelta(days=10)).astimezone(UTC)


def test_a_long_list_of_gateways_is_followed_to_its_end(emulated: Emulated, keyring: GatewayKeyring) -> None:
    description = seed.default_description()
    description["services"][0]["self_hosted_gateways"] = [{"id": f"gw-{number:03}"} for number in range(130)]
    emulated.azure.seed(description)
    assert [found.name for found in keyring.discover()] == [f"gw-{number:03}" for number in range(130)]


def test_a_service_of_a_tier_without_self_hosted_gateways_has_none(emulated: Emulated, keyring: GatewayKeyring) -> None:
    description = seed.default_description()
    description["services"][0] |= {"sku": "Basic", "self_hosted_gateways": []}
    emulated.azure.seed(description)
    assert list(keyring.discover()) == []


def test_a_regenerate_whose_answer_is_lost_is_uncertain_happened_and_was_sent_once(
    emulated: Emulated, keyring: GatewayKeyring, oslo: Credential
) -> None:
    before = keyring.read_values(oslo)
    emulated.azure.fault("lost-answer", {"method": "POST", "path_contains": "regenerateKey"}, times=5)
    assert isinstance(keyring.regenerate(oslo, Slot.PRIMARY, emulated.send_by()), Uncertain)
    assert keyring.read_values(oslo).primary != before.primary
    assert emulated.sent("POST", "regenerateKey") == 1


@pytest.mark.parametrize("slot", list(Slot))
def test_a_token_that_azure_signs_verifies_with_the_slots_value_alone(
    emulated: Emulated, keyring: GatewayKeyring, oslo: Credential, slot: Slot
) -> None:
    expires = in_ten_days(emulated)
    signed = tokens.parse(keyring.generate_token(oslo, slot, expires).reveal())
    values = keyring.read_values(oslo)
    assert tokens.verify(signed, values.of(slot))
    assert not tokens.verify(signed, values.of(slot.other))
    assert signed.identity == oslo.identity
    assert signed.expires == expires.replace(second=0, microsecond=0)


def test_a_token_for_too_long_a_time_is_refused_with_azures_reason(
    emulated: Emulated, keyring: GatewayKeyring, oslo: Credential
) -> None:
    with pytest.raises(Refused) as refused:
        keyring.generate_token(oslo, Slot.PRIMARY, emulated.clock.now() + timedelta(days=31))
    assert refused.value.status == 400


def test_asking_for_a_token_changes_nothing(emulated: Emulated, keyring: GatewayKeyring, oslo: Credential) -> None:
    before = keyring.read_values(oslo)
    keyring.generate_token(oslo, Slot.PRIMARY, in_ten_days(emulated))
    assert keyring.read_values(oslo) == before


def test_azure_signs_a_token_for_a_user_that_names_the_user(emulated: Emulated) -> None:
    signed = ask_user_token(emulated.arm, emulated.service, "contoso", Slot.PRIMARY, in_ten_days(emulated))
    assert tokens.parse(signed.reveal()).identity == "contoso"


def test_a_user_that_is_not_there_is_gone(emulated: Emulated) -> None:
    with pytest.raises(Gone):
        ask_user_token(emulated.arm, emulated.service, "nobody", Slot.PRIMARY, in_ten_days(emulated))


def test_gateways_sign_in_at_the_services_own_configuration_endpoint(keyring: GatewayKeyring) -> None:
    assert list(keyring.gateways()) == ["https://shop-apim.configuration.azure-api.net"]
