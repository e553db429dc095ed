"""What every Keyring must do, whatever holds the keys. Subclass it with a fixture `case`.

One suite for all: where values cannot be set (`case.sets` is False), the same tests require that a set and a proof of
the fence are answered as not applied, and that nothing comes of them.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from keyturn.errors import Gone, NotSent
from keyturn.model import Credential, Secret, Slot
from keyturn.ports import Answer, Applied, Keyring, NotApplied, SendBy

FRESH = Secret("0123456789abcdef" * 2)
CANNOT = 405
"""What a keyring that cannot set answers, without asking Azure."""


class KeyringCase:
    """A keyring, one credential in it, its id, a last instant to send by, and whether values can be set.

    `absent` is a credential that is not there, with the keyring to ask.
    """

    def __init__(
        self,
        keyring: Keyring,
        credential: Credential,
        send_by: SendBy,
        too_late: SendBy,
        *,
        id: str = "shop/contoso",
        sets: bool = True,
        absent: tuple[Keyring, Credential] | None = None,
    ) -> None:
        self.keyring, self.credential = keyring, credential
        self.send_by, self.too_late = send_by, too_late
        self.id, self.sets = id, sets
        self.absent = absent or (keyring, msgspec.structs.replace(credential, name="nobody"))

    def etag(self) -> str:
        etag = self.keyring.read(self.credential).etag
        assert etag is not None
        return etag

    def set(self, slot: Slot, value: Secret, etag: str) -> Answer:
        return self.keyring.set_value(self.credential, slot, value, etag, self.send_by)

    def effects(self, send_by: SendBy) -> dict[str, Callable[[], Answer]]:
        """Every effect that this keyring sends."""
        keyring, credential, etag = self.keyring, self.credential, self.etag()
        effects: dict[str, Callable[[], Answer]] = {
            "regenerate": lambda: keyring.regenerate(credential, Slot.PRIMARY, send_by)
        }
        if self.sets:
            effects["set"] = lambda: keyring.set_value(credential, Slot.PRIMARY, FRESH, etag, send_by)
            effects["prove"] = lambda: keyring.prove_fence(credential, send_by)
        return effects


class KeyringContract:
    def test_discovers_the_credential_with_its_id_and_key(self, case: KeyringCase) -> None:
        found = {credential.key: credential for credential in case.keyring.discover()}
        credential = found[case.credential.key]
        assert credential.id == case.id
        assert credential.id.startswith(f"{credential.service}/") and credential.id.endswith(f"/{credential.name}")
        assert credential.key == credential.address.lower()
        assert credential.kind is case.credential.kind

    @pytest.mark.parametrize("slot", list(Slot))
    def test_a_set_reaches_the_chosen_slot_alone_or_none_where_it_cannot(self, case: KeyringCase, slot: Slot) -> None:
        before = case.keyring.read_values(case.credential)
        answer = case.set(slot, FRESH, case.etag())
        after = case.keyring.read_values(case.credential)
        if case.sets:
            assert isinstance(answer, Applied)
            assert answer.values is None or answer.values == after
            assert (after.of(slot), after.of(slot.other)) == (FRESH, before.of(slot.other))
        else:
            assert isinstance(answer, NotApplied) and answer.status == CANNOT
            assert "can only be regenerated" in answer.sentence
            assert after == before

    def test_a_set_with_a_stale_etag_gets_412_and_changes_nothing(self, case: KeyringCase) -> None:
        stale = case.etag()
        case.keyring.regenerate(case.credential, Slot.SECONDARY, case.send_by)
        before = case.keyring.read_values(case.credential)
        answer = case.set(Slot.PRIMARY, FRESH, stale)
        assert isinstance(answer, NotApplied) and answer.status == (412 if case.sets else CANNOT)
        assert case.keyring.read_values(case.credential) == before

    def test_the_etag_moves_with_every_change_of_a_value_but_not_with_a_look(self, case: KeyringCase) -> None:
        seen = [case.etag()]
        assert case.keyring.read_values(case.credential).etag == seen[0] == case.etag()
        case.keyring.regenerate(case.credential, Slot.SECONDARY, case.send_by)
        seen.append(case.etag())
        case.set(Slot.PRIMARY, FRESH, seen[-1])
        seen.append(case.etag())
        assert len(set(seen)) == (3 if case.sets else 2)

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
        assert isinstance(answer, NotApplied) and answer.status == (412 if case.sets else CANNOT)
        assert case.keyring.read_values(case.credential) == before

    def test_callers_are_locked_out_and_let_in_again_or_the_kind_knows_no_such_thing(self, case: KeyringCase) -> None:
        before, values = case.keyring.read(case.credential), case.keyring.read_values(case.credential)
        out = case.keyring.enable(case.credential, False, case.etag(), case.send_by)
        if isinstance(out, NotApplied):
            assert out.status == CANNOT
            assert case.keyring.read(case.credential).state == before.state
            return
        assert isinstance(out, Applied)
        assert out.values is None
        assert case.keyring.read(case.credential).state in {"suspended", "disabled"}
        stale = case.keyring.enable(case.credential, True, str(before.etag), case.send_by)
        assert isinstance(stale, NotApplied)
        assert stale.status == 412
        assert isinstance(case.keyring.enable(case.credential, True, case.etag(), case.send_by), Applied)
        assert case.keyring.read(case.credential).state == before.state == "active"
        after = case.keyring.read_values(case.credential)
        assert all(after.of(slot) == values.of(slot) for slot in Slot)

    def test_sends_no_effect_when_it_is_too_late(self, case: KeyringCase) -> None:
        before = case.keyring.read_values(case.credential)
        for effect in case.effects(case.too_late).values():
            with pytest.raises(NotSent):
                effect()
        assert case.keyring.read_values(case.credential) == before

    def test_a_credential_that_is_not_there_is_gone(self, case: KeyringCase) -> None:
        keyring, absent = case.absent
        with pytest.raises(Gone):
            keyring.read(absent)
        with pytest.raises(Gone):
            keyring.read_values(absent)

    def test_names_at_least_one_gateway_address(self, case: KeyringCase) -> None:
        gateways = case.keyring.gateways()
        assert gateways
        assert all(address.startswith("https://") and not address.endswith("/") for address in gateways)
