"""Storms in which values are named as compromised at any moment, with and without suspending their owner (rule A15).

What is promised, whatever else goes wrong: once a compromise is over, no gateway accepts a value that was named in it;
every storm ends with fresh values in the sinks, and with everybody let in again; and nobody is refused but with a value
that was live when one was named, or while it was suspended.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import msgspec
import pytest

from keyturn import plan
from keyturn.errors import KeyturnError
from keyturn.model import Fingerprint, NotApplied, Record, Secret, Slot
from keyturn.testing import LATE, LOST, NEVER, Crash
from tests.keyturns import keyturn
from tests.turn.test_storms import BUSY, SID, Storm, _never_blocked

SLOTS = ((Slot.PRIMARY,), (Slot.SECONDARY,), tuple(Slot))
MOVED = NotApplied(status=412, code="PreconditionFailed", sentence="modified since last retrieval")
FORBIDDEN = NotApplied(status=403, code="AuthorizationFailed", sentence="may not write")


class Leak(Storm):
    """A storm with people who name values, now and then while a call of somebody else is under way."""

    def __init__(self, seed: int, **kinds: bool) -> None:
        super().__init__(seed, **kinds)
        if seed % 3 == 0:
            self.rules = msgspec.structs.replace(self.rules, probe=None)
        if seed % 7 == 0 and not kinds.get("tokens"):
            self.world.keyring.portal(SID, Slot.SECONDARY, self.world.value(SID, Slot.PRIMARY))
        self.named: set[Fingerprint] = set()
        self.forgotten: set[Fingerprint] = set()
        """Named in a ledger that was lost, or restored from before."""
        self.doomed: set[str] = set()
        self.unexplained: list[str] = []
        self.alive_after: set[Fingerprint] = set()

    def name(self, which: int = 0, *, slots: Collection[Slot] | None = None, suspend: bool = False) -> None:
        slots = slots or self.random.choice(SLOTS)
        try:
            self.turns[which].compromise(
                self.world.credential(SID), self.rules, slots, because="seen in a log", suspend=suspend
            )
        except Crash:
            self.turns[which] = keyturn(self.world)
        except KeyturnError:
            pass
        self._note()

    def fingerprint(self, value: str) -> Fingerprint:
        return Secret(value).fingerprint(self.world.ledger.salt)

    @property
    def ever(self) -> set[str]:
        return {value for _, _, value in self.world.keyring.entities[SID].written}

    def accepted(self) -> set[Fingerprint]:
        """The values that gateways know now, whether or not they are suspended."""
        entity, horizon = self.world.keyring.entities[SID], self.world.clock.azure - self.world.keyring.delay
        known = (self.world.keyring._known(entity, slot, horizon) for slot in Slot)
        return {self.fingerprint(value) for value in known if value is not None}

    def _note(self) -> None:
        """What is named, what it may cost, and what is over."""
        stored = self.world.ledger.stored.get(self.world.credential(SID).key)
        named = None if stored is None else stored.record.compromise
        now = set() if named is None else set(named.values)
        if now - self.named:
            self.doomed |= {self.world.value(SID, slot) for slot in Slot}
        self.named |= now
        self.alive_after |= (self.named - now - self.forgotten) & self.accepted()

    def _operator(self) -> None:
        if self.random.random() < 0.5:
            super()._operator()
        else:
            self.name(self.random.randrange(2), suspend=self.random.random() < 0.4)

    def _fault(self) -> None:
        script, kind = self.world.script, self.random.randrange(8)
        if kind == 0:
            script.fault("enable", self.random.choice((LOST, NEVER, LATE, BUSY, MOVED, FORBIDDEN)))
        elif kind == 1 and self.random.random() < 0.1:
            which, point = self.random.randrange(2), self.random.choice(("enable", "sink.write", "ledger.load", "read"))
            script.at(point, lambda: self.name(which), skip=self.random.randrange(2))
        else:
            super()._fault()

    def _turn(self, which: int) -> None:
        super()._turn(which)
        self._note()

    def _lose_ledger(self) -> None:
        super()._lose_ledger()
        self.forgotten |= self.named
        self.named = set()

    def _step(self, span: timedelta) -> None:
        before = [len(caller.refusals) for caller in self.calling]
        active = self.world.keyring.entities[SID].state == "active"
        super()._step(span)
        for caller, refusals in zip(self.calling, before, strict=True):
            held = caller._value or ""
            made_from = held if self.world.credential(SID).identity is None else self._signer(held)
            if len(caller.refusals) > refusals and active and made_from not in self.doomed:
                self.unexplained.append(f"{self.world.clock.azure:%d %H:%M}")

    def _signer(self, token: str) -> str | None:
        sink = self.world.sinks_of(self.world.credential(SID))[0]
        keys = [Secret(value) for value in self.ever]
        signer = sink.made_from(Secret(token), keys)  # type: ignore[attr-defined]
        return None if signer is None else signer.reveal()


def over(storm: Leak) -> Record:
    """Three times calm enough for whatever waits, each with a person who releases what is held; then a day."""
    for _ in range(3):
        storm.calm(hours=5)
        storm.release()
    storm.calm(hours=26)
    return storm.world.record(SID)


def well(storm: Leak, record: Record) -> None:
    assert record.hold is None or record.hold.reason == "rolled-back"
    assert record.compromise is None
    assert storm.world.keyring.entities[SID].state == "active"
    assert not storm.named & storm.accepted()
    assert not storm.alive_after
    assert all(storm.world.keyring.accepts(sink.value or "") for sink in storm.world.sinks[SID])


@pytest.mark.parametrize("seed", range(140))
def test_no_named_value_outlives_its_compromise_and_every_storm_ends(seed: int) -> None:
    storm = Leak(seed)
    storm.blow(hours=48)
    well(storm, over(storm))
    assert not storm.unexplained


@pytest.mark.parametrize("seed", range(40))
def test_nor_where_the_sinks_show_tokens(seed: int) -> None:
    storm = Leak(seed, tokens=True)
    storm.blow(hours=30)
    well(storm, over(storm))
    assert not storm.unexplained


@pytest.mark.parametrize("seed", range(40))
def test_nor_where_somebody_else_writes_slots(seed: int) -> None:
    storm = Leak(seed, portal=True)
    storm.blow(hours=36)
    well(storm, over(storm))


@pytest.mark.parametrize("seed", range(40))
def test_what_a_lost_ledger_forgot_is_named_once_more_and_dies(seed: int) -> None:
    """Nobody can remember for a ledger that is lost: a person names them again, and activates what is suspended."""
    storm = Leak(seed, ledger=True)
    storm.blow(hours=36)
    over(storm)
    storm.world.keyring.entities[SID].state = "active"
    over(storm)
    storm.name(slots=tuple(Slot))
    assert storm.named
    record = over(storm)
    well(storm, record)
    assert not storm.forgotten & storm.accepted()


@pytest.mark.parametrize("row", ["compromised", "compromised standby", "let in again"])
def test_storms_notice_when_a_row_is_taken_away(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "TABLE", tuple(kept for kept in plan.TABLE if kept.name != row))
    for seed in range(20):
        storm = Leak(seed)
        storm.blow(hours=30)
        record = over(storm)
        suspended = storm.world.keyring.entities[SID].state != "active"
        if suspended or storm.alive_after or record.compromise is not None:
            return
    raise AssertionError(f"20 storms did not notice: {row}")


def test_storms_notice_when_slots_are_written_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "blocked", _never_blocked)
    for seed in range(60):
        storm = Leak(seed)
        storm.blow(hours=30)
        if storm.unexplained:
            return
    raise AssertionError("60 storms did not notice")
