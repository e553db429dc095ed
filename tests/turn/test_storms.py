"""Storms: seeded schedules of crashes, lost and late answers, throttles, unreadable sinks and a second keyturn.

Whatever happens, callers that read their sink again within their cache time are never refused, and once the faults
stop the rotation ends. Each seed is one schedule; a failing one replays exactly.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest

from keyturn import by_hand, plan
from keyturn.errors import Conflict, NeedsPerson, TryAgain
from keyturn.model import Kind, Mode, NotApplied, Record, Secret, Slot
from keyturn.policy import HOUR, MINUTE, Policy, Retire, TokenKind, TokenSpec
from keyturn.ports import Stored
from keyturn.scene import Scene, Seen, mark
from keyturn.testing import LATE, LOST, NEVER, Crash, World
from tests.keyturns import callers, keyturn, policy

SID = "contoso"
POINTS = ("read", "read_values", "set_value", "set_value.sent", "regenerate.sent", "sink.read", "sink.write", "ask")
EFFECTS = ("set_value", "regenerate", "sink.write")
BUSY = NotApplied(status=429, code="SubscriptionRequestsThrottled", sentence="throttled", after=17)


OFTEN = TokenSpec(kind=TokenKind.MANAGEMENT, lifetime=96 * HOUR, renew_before=92 * HOUR)
"""Good for longer than a storm and its calm together: what holds a rotation must not be what ends a token."""


class Storm:
    """One schedule, drawn from a seed."""

    def __init__(self, seed: int, *, ledger: bool = False, portal: bool = False, tokens: bool = False) -> None:
        """`ledger`: it is lost or restored from a backup now and then; `portal`: somebody else writes slots; `tokens`:
        the sinks show tokens, which are made anew every four hours."""
        self.random = random.Random(seed)
        self.ledger, self.portal = ledger, portal
        self._backup: dict[str, Stored] = {}
        self.world = World()
        sinks = ["vault/a", "file/b"][: self.random.choice((1, 2))]
        if tokens:
            self.world.add(SID, sinks=sinks, kind=Kind.TENANT, tokens=OFTEN)
        else:
            self.world.add(SID, sinks=sinks)
        self.rules: Policy = policy(
            tokens=(OFTEN,) if tokens else (),
            mode=self.random.choice(list(Mode)),
            retire=self.random.choice((*Retire, Retire.AFTER_DRAIN)),
            every=6 * HOUR,
            drain=HOUR + 10 * MINUTE,
            look_every=2 * HOUR,
        )
        self.world.keyring.delay = timedelta(seconds=self.random.choice((0, 20, 90)))
        self.turns = [keyturn(self.world), keyturn(self.world)]
        self.calling = callers(self.world, SID)
        self._late_since: datetime | None = None

    def blow(self, hours: int) -> None:
        """Faults for some hours, in steps of a quarter of the callers' cache time."""
        for _ in range(hours * 4):
            for _ in range(self.random.choice((0, 0, 0, 0, 1, 2))):
                self._fault()
            if self.random.random() < 0.05:
                self._operator()
            if self.random.random() < 0.3:
                self._heal()
            if self.ledger and self.random.random() < 0.03:
                self._lose_ledger()
            if self.portal and self.random.random() < 0.03:
                self.world.keyring.portal(SID, self.random.choice(list(Slot)))
            self._turn(self.random.randrange(2))
            self._step(timedelta(minutes=self.random.choice((1, 5, 15))))

    def calm(self, hours: int) -> None:
        """No faults any more; sinks heal, and what was in the air has landed."""
        self.world.script.faults.clear()
        self.world.script.traps.clear()
        self.world.clock.ahead = timedelta(0)
        for sink in self.world.sinks[SID]:
            sink.problem = sink.refuses = None
        for quarter in range(hours * 4):
            if quarter == 1:
                self.world.script.land_late()
            self._turn(0)
            self._step(HOUR / 4)

    def _step(self, span: timedelta) -> None:
        for caller in self.calling:
            caller.call()
        # a request that its sender gave up lands within `late`, or never (protocol.md, section 3)
        now, script = self.world.clock.azure, self.world.script
        if script.late and self._late_since is None:
            self._late_since = now
        overdue = self._late_since is not None and now + span > self._late_since + self.rules.late
        if script.late and (overdue or self.random.random() < 0.2):
            script.land_late()
        if not script.late:
            self._late_since = None
        self.world.clock.move(span)

    def _turn(self, which: int) -> None:
        try:
            self.turns[which].advance(self.world.credential(SID), self.rules, force=self.random.random() < 0.2)
        except Crash:
            self.turns[which] = keyturn(self.world)  # a new process remembers nothing

    def _fault(self) -> None:
        script, kind = self.world.script, self.random.randrange(7)
        if kind == 0:
            script.crash(self.random.choice((*POINTS, "ledger.save", "ledger.saved")), skip=self.random.randrange(3))
        elif kind == 1:
            script.fault(self.random.choice(EFFECTS), self.random.choice((LOST, NEVER, LATE)))
        elif kind == 2:
            script.fault(self.random.choice(EFFECTS), BUSY)
        elif kind == 3:
            script.fault(self.random.choice(("read", "read_values")), TryAgain("503", after=5))
        elif kind == 4:
            sink = self.random.choice(self.world.sinks[SID])
            sink.problem = TryAgain("down")
        elif kind == 6:
            self.world.clock.ahead = self.random.choice((-30, -1, 1, 30)) * HOUR
        else:
            other = self.random.randrange(2)
            script.at(self.random.choice(POINTS), lambda: self._turn(other), skip=self.random.randrange(2))

    def _lose_ledger(self) -> None:
        ledger = self.world.ledger
        if self.random.random() < 0.3:
            ledger.stored.clear()
        elif self._backup and self.random.random() < 0.5:
            ledger.restore(self._backup)
        else:
            self._backup = ledger.backup()

    def agree(self) -> None:
        """A person settles what sinks with two live values, or a foreign one, could not."""
        shown = Secret(self.world.value(SID, Slot.PRIMARY))
        for sink in self.world.sinks_of(self.world.credential(SID)):
            self.world.show(sink, shown)

    @property
    def renewed(self) -> int:
        """How often a token was made anew although its key stayed."""
        return sum(line.event.kind == "renew the token" for line in self.world.ledger.lines)

    def release(self) -> None:
        record = self.world.record(SID)
        if record.hold is None:
            return
        if record.hold.reason in {"sinks-disagree", "foreign-value"}:
            self.agree()
        released, event = by_hand.release(record, "seen", self.world.clock.now())
        self.world.ledger.save(released, self.world.ledger.stored[record.key].version, [event])

    def _heal(self) -> None:
        self.world.clock.ahead = timedelta(0)
        for sink in self.world.sinks[SID]:
            sink.problem = None

    def _operator(self) -> None:
        key = self.world.credential(SID).key
        stored = self.world.ledger.stored.get(key)
        if stored is None:
            return
        ask = self.random.choice((by_hand.request, by_hand.rollback, by_hand.release, by_hand.release))
        try:
            record, event = ask(stored.record, "operator", self.world.clock.now())
            self.world.ledger.save(record, stored.version, [event])
        except (NeedsPerson, Conflict, Crash):
            return


@pytest.mark.parametrize("seed", range(300))
def test_no_storm_refuses_a_caller_and_every_rotation_ends(seed: int) -> None:
    storm = Storm(seed)
    storm.blow(hours=60)
    storm.calm(hours=4)
    record = storm.world.record(SID)
    storm.release()
    storm.calm(hours=26)
    after = storm.world.record(SID)
    assert [caller.refusals for caller in storm.calling] == [[] for _ in storm.calling]
    assert after.hold is None or after.hold.reason == "rolled-back"
    assert after.rotations > record.rotations or after.hold is not None
    assert all(storm.world.keyring.accepts(sink.value or "") for sink in storm.world.sinks[SID])
    assert after.hold is not None or after.not_before is not None


@pytest.mark.parametrize("seed", [*range(150), 854])
def test_losing_or_restoring_the_ledger_refuses_no_caller(seed: int) -> None:
    storm = Storm(seed, ledger=True)
    storm.blow(hours=60)
    for _ in range(3):
        storm.calm(hours=4)
        storm.release()
    storm.calm(hours=26)
    assert [caller.refusals for caller in storm.calling] == [[] for _ in storm.calling]
    assert storm.world.record(SID).rotations > 0
    assert all(storm.world.keyring.accepts(sink.value or "") for sink in storm.world.sinks[SID])


@pytest.mark.parametrize("seed", range(150))
def test_whatever_somebody_else_writes_every_sink_ends_with_a_live_value(seed: int) -> None:
    storm = Storm(seed, portal=True, ledger=seed % 3 == 0)
    storm.blow(hours=60)
    for _ in range(3):
        storm.calm(hours=4)
        storm.release()
    before = [len(caller.refusals) for caller in storm.calling]
    storm.calm(hours=26)
    assert [len(caller.refusals) for caller in storm.calling] == before
    assert storm.world.record(SID).rotations > 0
    assert all(storm.world.keyring.accepts(sink.value or "") for sink in storm.world.sinks[SID])


@pytest.mark.parametrize("seed", range(150))
def test_no_storm_signs_out_whoever_holds_a_token(seed: int) -> None:
    storm = Storm(seed, tokens=True, ledger=seed % 3 == 1)
    storm.blow(hours=60)
    for _ in range(3):
        storm.calm(hours=4)
        storm.release()
    storm.calm(hours=18)
    assert [caller.refusals for caller in storm.calling] == [[] for _ in storm.calling]
    assert storm.world.record(SID).rotations > 0
    assert storm.renewed > 0
    assert all(storm.world.keyring.accepts(sink.value or "") for sink in storm.world.sinks[SID])


@pytest.mark.parametrize("seed", range(60))
def test_whatever_somebody_else_writes_every_sink_ends_with_a_token_that_works(seed: int) -> None:
    storm = Storm(seed, tokens=True, portal=True, ledger=seed % 3 == 0)
    storm.blow(hours=60)
    for _ in range(3):
        storm.calm(hours=4)
        storm.release()
    before = [len(caller.refusals) for caller in storm.calling]
    storm.calm(hours=18)
    assert [len(caller.refusals) for caller in storm.calling] == before
    assert all(storm.world.keyring.accepts(sink.value or "") for sink in storm.world.sinks[SID])


def _never_blocked(scene: Scene, slot: Slot) -> None:
    """The guard of every slot write, gone."""


def _publish_before_confirm(scene: Scene, slot: Slot) -> bool:
    return scene.values_current


def _forget_the_drain(record: Record, seen: Seen, policy: Policy, now: datetime) -> Record:
    marked = mark(record, seen, policy, now)
    for slot in Slot:
        if marked.slot(slot).quiet_since is not None:
            marked = marked.with_slot(slot, quiet_since=None)
    return marked


@pytest.mark.parametrize(
    ("room", "name", "mutant"),
    [
        (plan, "blocked", _never_blocked),
        (Scene, "confirmed", _publish_before_confirm),
        (plan, "mark", _forget_the_drain),
    ],
    ids=["write without asking", "publish before confirm", "forget the drain"],
)
@pytest.mark.parametrize("tokens", [False, True], ids=["values", "tokens"])
def test_storms_notice_when_a_rule_is_taken_away(
    room: object, name: str, mutant: object, tokens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, name, mutant)
    refused = 0
    for seed in range(60):
        storm = Storm(seed, tokens=tokens)
        storm.blow(hours=60)
        refused += sum(len(caller.refusals) for caller in storm.calling)
        if refused:
            return
    raise AssertionError(f"60 storms did not notice: {name}")
