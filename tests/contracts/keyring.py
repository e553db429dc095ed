"""What every Keyring must do, whatever holds the keys. Subclass it with a fixture `case`."""

from __future__ import annotations

import msgspec
import pytest

from keyturn.errors import Gone, NotSent
from keyturn.model import Credential, Secret, Slot
from keyturn.ports import Applied, Keyring, NotApplied, SendBy

FRESH = Secret("0123456789abcdef" * 2)


class KeyringCase:
    """A keyring, one credential in it, and a last instant to send by."""

    def __init__(self, keyring: Keyring, credential: Credential, send_by: SendBy, too_late: SendBy) -> None:
        self.keyring, self.credential = keyring, credential
        self.send_by, self.too_late = send_by, too_late

    def etag(self) -> str:
        etag = self.keyring.read(self.credential).etag
        assert etag is not None
        return etag


class KeyringContract:
    def test_discovers_the_credential_with_its_id_and_key(self, case: KeyringCase) -> None:
        found = {credential.key: credential for credential in case.keyring.discover()}
        credential = found[case.credential.key]
        assert credential.id == f"{credential.service}/{credential.name}"
        assert credential.key == credential.address.lower()

    @pytest.mark.parametrize("slot", list(Slot))
    def test_sets_the_chosen_slot_and_leaves_the_other(self, case: KeyringCase, slot: Slot) -> None:
        before = case.keyring.read_values(case.credential)
        answer = case.keyring.set_value(case.credential, slot, FRESH, case.etag(), case.send_by)
        after = case.keyring.read_values(case.credential)
        assert isinstance(answer, Applied)
        assert answer.values is None or answer.values == after
        assert after.of(slot) == FRESH
        assert after.of(slot.other) == before.of(slot.other)

    def test_a_set_with_a_stale_etag_gets_412_and_changes_nothing(self, case: KeyringCase) -> None:
        stale = case.etag()
        case.keyring.set_value(case.credential, Slot.PRIMARY, FRESH, stale, case.send_by)
        answer = case.keyring.set_value(case.credential, Slot.PRIMARY, Secret("f" * 32), stale, case.send_by)
        assert isinstance(answer, NotApplied) and answer.status == 412
        assert case.keyring.read_values(case.credential).primary == FRESH

    def test_the_etag_moves_with_a_set_and_with_a_regenerate_but_not_with_a_look(self, case: KeyringCase) -> None:
        seen = [case.etag()]
        assert case.keyring.read_values(case.credential).etag == seen[0] == case.etag()
        case.keyring.set_value(case.credential, Slot.PRIMARY, FRESH, seen[0], case.send_by)
        seen.append(case.etag())
        case.keyring.regenerate(case.credential, Slot.SECONDARY, case.send_by)
        seen.append(case.etag())
        assert len(set(seen)) == 3

    @pytest.mark.parametrize("slot", list(Slot))
    def test_regenerates_the_chosen_slot_and_leaves_the_other(self, case: KeyringCase, slot: Slot) -> None:
        before = case.keyring.read_values(case.credential)
        assert isinstance(case.keyring.regenerate(case.credential, slot, case.send_by), Applied)
        after = case.keyring.read_values(case.credential)
        assert after.of(slot) != before.of(slot)
        assert after.of(slot.other) == before.of(slot.other)

    def test_proving_the_fence_gets_412_and_changes_nothing(self, case: KeyringCase) -> None:
        before = case.keyring.read_values(case.credential)
        answer = case.keyring.prove_fence(case.credential, case.send_by)
        assert isinstance(answer, NotApplied) and answer.status == 412
        assert case.keyring.read_values(case.credential) == before

    def test_sends_no_effect_when_it_is_too_late(self, case: KeyringCase) -> None:
        keyring, before = case.keyring, case.keyring.read_values(case.credential)
        with pytest.raises(NotSent):
            keyring.set_value(case.credential, Slot.PRIMARY, FRESH, case.etag(), case.too_late)
        with pytest.raises(NotSent):
            keyring.regenerate(case.credential, Slot.PRIMARY, case.too_late)
        with pytest.raises(NotSent):
            keyring.prove_fence(case.credential, case.too_late)
        assert keyring.read_values(case.credential) == before

    def test_a_credential_that_is_not_there_is_gone(self, case: KeyringCase) -> None:
        absent = msgspec.structs.replace(case.credential, name="nobody")
        with pytest.raises(Gone):
            case.keyring.read(absent)
        with pytest.raises(Gone):
            case.keyring.read_values(absent)

    def test_names_at_least_one_gateway_address(self, case: KeyringCase) -> None:
        gateways = case.keyring.gateways()
        assert gateways
        assert all(address.startswith("https://") and not address.endswith("/") for address in gateways)
