"""Play one schedule, from an empty ledger to the calm after everything that went wrong.

The same schedule always plays the same. Never here: what is drawn (that is `schedule`), or what is judged (that is
`invariants`).
"""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Collection
from datetime import timedelta

import msgspec

from keyturn.errors import TryAgain
from keyturn.model import Hold, NotApplied, Record, Slot, Stage
from keyturn.ports import Stored
from tests.simulation.azure import SID, SimulatedWorld
from tests.simulation.invariants import IT_ENDS, NO_DEFECT, Broken, Outage, Showing, Watch
from tests.simulation.keyturns import Operator, SimulatedKeyturn
from tests.simulation.schedule import Incident, Schedule, What, spelled
from tests.simulation.scheduler import Scheduler

MOST_CALM = 40 * 3600.0
"""Once nothing goes wrong any more, everything has come to rest by then (seconds): a rotation that begins with a
fresh adoption waits for three drains at most, and the longest pause is two hours."""
MOST_SAVES = 3000
"""So many changes of a record at most from then on (invariant 7): four keyturns that ask slow gateways every quarter of
a minute make two thousand."""
STUBBORN = frozenset({"sinks-disagree", "foreign-value", "another-keyturn"})
"""Holds that a person must settle at the sinks before they are released."""


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a schedule."""

    broken: Broken | None
    story: tuple[tuple[float, str], ...]
    rotations: int
    events: int
    effects: int
    writes: int
    """Writes of a keyturn that a slot took."""
    saves: int
    seconds: float
    """Of simulated time."""
    struck: int
    """Incidents that found somebody to strike."""
    outages: tuple[Outage, ...] = ()


def play(
    schedule: Schedule, *, telling: bool = False, beyond: bool = False, overlooking: Collection[str] = ()
) -> Played:
    """`telling`: keep the story, too. `beyond`: measure what a schedule outside of all bounds costs. `overlooking`:
    invariants that may break, so that what comes of it is seen."""
    stage = _Stage(schedule, telling=telling, beyond=beyond)
    stage.watch.overlooked = frozenset(overlooking)
    collecting = gc.isenabled()
    gc.disable()  # a schedule leaves cycles behind, and collecting them amid it costs a third of the time
    try:
        return stage.play()
    finally:
        if collecting:
            gc.enable()


class _Stage:
    def __init__(self, schedule: Schedule, *, telling: bool, beyond: bool) -> None:
        setting = schedule.setting
        self.schedule, self.setting = schedule, setting
        ends = [incident.at + incident.span for incident in schedule.incidents]
        self.calm_from = max([setting.lasts, *ends])
        self.scheduler = Scheduler(setting.seed, limit=self.calm_from + MOST_CALM)
        self.world = SimulatedWorld(self.scheduler, setting)
        self.watch = Watch(self.world, schedule, telling=telling)
        self.watch.beyond = beyond
        self.world.ports.watch = self.watch
        self.keyturns = [SimulatedKeyturn(self.world, setting, number) for number in range(len(setting.keyturns))]
        self.callers = [_Caller(self, number) for number in range(setting.sinks)]
        self.backup: dict[str, Stored] = {}
        self.backed_up_at = 0.0
        self.saves_before_calm = 0
        self.releases = 0
        self.settling: Hold | None = None
        self.rotations = 0
        self.calm = False

    def play(self) -> Played:
        for incident in self.schedule.incidents:
            self._arm(incident)
        for keyturn in self.keyturns:
            keyturn.swept = self._came_by
            keyturn.failed = self._failed
            self.scheduler.at(self.scheduler.random.random() * self.setting.eager, keyturn.begin)
        for caller in self.callers:
            self.scheduler.at(self.scheduler.random.random() * 600.0, caller.read)
        self.scheduler.at(600.0, lambda: self._ask("rotate"))
        self.scheduler.at(self.calm_from, self._calm)
        self.scheduler.run()
        if not self.scheduler.over:
            self.watch.breaks(IT_ENDS, f"no rest {spelled(MOST_CALM)} after the last fault: {self._standing()}")
        self.scheduler.over = True
        for keyturn in self.keyturns:
            keyturn.end()
        self.watch.ended()
        return Played(
            broken=self.watch.broken,
            story=tuple(self.watch.story),
            rotations=self._rotations(),
            events=self.watch.events + sum(caller.count for caller in self.callers),
            effects=self.watch.effects,
            writes=self.watch.writes,
            saves=self.watch.saves,
            seconds=self.scheduler.seconds,
            struck=sum(keyturn.struck for keyturn in self.keyturns),
            outages=tuple(self.watch.outages),
        )

    def _failed(self, problem: Exception) -> None:
        told = traceback.extract_tb(problem.__traceback__)[-1]
        self.watch.breaks(NO_DEFECT, f"{type(problem).__name__} in {told.name}: {problem}")

    # -------- what the schedule has in it

    def _arm(self, incident: Incident) -> None:
        """Put an incident where it strikes."""
        timed: dict[What, Callable[[Incident], None]] = {
            What.SINK: self._sink_fails,
            What.CLOCK: self._clock_jumps,
            What.TRIGGER: self._triggered,
            What.GATEWAY: self._gateway_lost,
            What.PORTAL: self._portal,
            What.TERRAFORM: self._terraform,
            What.OPERATOR: lambda each: self._ask(each.how),
            What.BACKUP: self._backed_up,
            What.RESTORED: self._restored,
            What.LOST: self._lost,
        }
        if incident.what not in timed and incident.who < 0:
            self.world.ports.follow(incident.point, incident.nth, lambda: self.world.ports.strike(incident))
        elif incident.what not in timed:
            self.keyturns[incident.who % len(self.keyturns)].suffers(incident)
        elif incident.after:
            self.world.ports.follow(incident.after, incident.nth, lambda: self._follows(incident, timed[incident.what]))
        elif incident.what is What.TERRAFORM:
            self.scheduler.at(incident.at - incident.span, lambda: self._terraform(incident))
        else:
            self.scheduler.at(incident.at, lambda: timed[incident.what](incident))

    def _follows(self, incident: Incident, do: Callable[[Incident], None]) -> None:
        """Its time counts from now. Terraform has just read its state."""
        at = self.scheduler.seconds + incident.at
        if incident.what is What.TERRAFORM:
            self._terraform(msgspec.structs.replace(incident, at=at))
        else:
            self.scheduler.at(at, lambda: do(incident))

    def _sink_fails(self, incident: Incident) -> None:
        place = self.world.places[incident.who % len(self.world.places)]
        down = incident.how == "down"
        self.watch.tell(f"{place.name} {'is down' if down else 'refuses to be written'} for {spelled(incident.span)}")
        place.problem = TryAgain("the sink is down") if down else None
        place.refuses = NotApplied(status=403, code="Forbidden", sentence="may not set secrets")

        def heal() -> None:
            place.problem = place.refuses = None

        self.scheduler.at(self.scheduler.seconds + incident.span, heal)

    def _clock_jumps(self, incident: Incident) -> None:
        keyturn = self.keyturns[incident.who % len(self.keyturns)]
        self.watch.tell(f"the clock of {keyturn.name} jumps by {incident.how} h for {spelled(incident.span)}")
        was = timedelta(seconds=self.setting.clocks[incident.who % len(self.keyturns)])
        keyturn.ahead = was + timedelta(hours=float(incident.how))

        def mend() -> None:
            keyturn.ahead = was

        self.scheduler.at(self.scheduler.seconds + incident.span, mend)

    def _triggered(self, incident: Incident) -> None:
        self.watch.tell(f"a {incident.how} trigger reaches every keyturn")
        for keyturn in self.keyturns:
            keyturn.forced = incident.how == "replayed"
            self._woken_now(keyturn)

    def _woken_now(self, keyturn: SimulatedKeyturn) -> None:
        """By the queue: whoever is woken may go on for a long while before he who wakes the next one does."""
        self.scheduler.at(self.scheduler.seconds, lambda: _woken(keyturn))

    def _gateway_lost(self, incident: Incident) -> None:
        number = incident.who % len(self.setting.units)
        self.watch.tell(f"gateway {number} cannot be reached for {spelled(incident.span)}")
        self.world.ports.unreachable.add(number)
        back = self.scheduler.seconds + incident.span
        self.scheduler.at(back, lambda: self.world.ports.unreachable.discard(number))

    def _portal(self, incident: Incident) -> None:
        self.world.put(Slot(incident.how))
        self.watch.somebody_else(f"somebody regenerates {incident.how} in the portal")

    def _terraform(self, incident: Incident) -> None:
        """It has read its state; it puts that back after `span`."""
        slots, shown = dict(self.world.entity.values), [place.value for place in self.world.places]

        def apply() -> None:
            if incident.how == "slots":
                for slot, value in slots.items():
                    if self.world.entity.values[slot] != value:
                        self.world.put(slot, value)
            else:
                for place, seen in zip(self.world.places, shown, strict=True):
                    if place.value != seen:
                        place.put(seen)
            told = f"Terraform puts back the {incident.how} as they were {spelled(incident.span)} ago"
            self.watch.somebody_else(told)

        self.scheduler.at(incident.at, apply)

    def _ask(self, asks: str) -> None:
        operator = Operator(self.world, self.setting, asks, "the operator")
        operator.done = lambda told: self._asked(asks, told)
        operator.begin()

    def _asked(self, asks: str, told: str) -> None:
        self.watch.tell(f"the operator asks for {asks}, and {told}")
        self._wake()

    def _wake(self) -> None:
        """Some keyturn comes by soon after a person did something."""
        keyturn = self.scheduler.random.choice(self.keyturns)
        self.scheduler.at(self.scheduler.seconds + 1.0, lambda: _woken(keyturn))

    def _backed_up(self, _: Incident) -> None:
        self.backup = self.world.ledger.backup()
        self.backed_up_at = self.scheduler.seconds
        self.watch.tell("a backup of the ledger is made")

    def _restored(self, _: Incident) -> None:
        if self.backup:
            self.world.ledger.restore(self.backup)
            self.watch.ledger_restored(self.backed_up_at)

    def _lost(self, incident: Incident) -> None:
        """Whoever runs keyturn ends it first; what stands in memory belongs to a ledger that is no more."""
        if incident.how == "all":
            for keyturn in self.keyturns:
                keyturn.end()
                self.scheduler.at(self.scheduler.seconds + 5.0, keyturn.begin)
            self.world.records.renamed(f"ledger at {self.scheduler.seconds:.0f}")
        else:
            self.world.records.lost()
        self.watch.ledger_changed("the ledger is lost" if incident.how == "all" else "the ledger's records are lost")

    # -------- the calm

    def _calm(self) -> None:
        """Nothing goes wrong any more; whoever was ended is started again."""
        self.watch.tell("from now on nothing goes wrong")
        self.calm = True
        self.saves_before_calm = self.watch.saves
        for keyturn in self.keyturns:
            keyturn.calm = True
            keyturn.incidents.clear()
            keyturn.answers.clear()
            keyturn.unread.clear()
            self._woken_now(keyturn)

    def _came_by(self) -> None:
        """After every sweep of a keyturn: in the calm, whether all has come to rest."""
        if not self.calm or self.scheduler.over:
            return
        if self.watch.saves - self.saves_before_calm > MOST_SAVES:
            self.watch.breaks(IT_ENDS, f"{MOST_SAVES} changes of the record after the last fault: {self._standing()}")
        record = self._record()
        if record is None:
            return
        if record.hold is not None:
            self._settle(record)
        elif record.stage is Stage.IDLE and not record.failures and record.compromise is None:
            if record.rotations == 0 and record.requested is None:
                self.scheduler.at(self.scheduler.seconds, lambda: self._ask("rotate"))
            elif record.rotations > 0 and record.requested is None and self._in_order(record):
                self.watch.finished()
                self.scheduler.over = True

    def _in_order(self, record: Record) -> bool:
        """It shows what it should, or it has not looked yet."""
        assert record.active is not None
        return all(place.value == self.world.value(SID, record.active) for place in self.world.places)

    def _settle(self, record: Record) -> None:
        """A person looks at a hold, mends what it says, and releases it."""
        assert record.hold is not None
        if record.hold == self.settling:
            return  # another keyturn told of it, too
        self.settling = record.hold
        self.releases += 1
        if self.releases > 6:
            self.watch.breaks(IT_ENDS, f"held again and again for {record.hold.reason}: {record.hold.sentence}")
        reason = record.hold.reason
        self.scheduler.at(self.scheduler.seconds + 60.0, lambda: self._mend(reason))

    def _mend(self, reason: str) -> None:
        if reason in STUBBORN:
            shown = self.world.value(SID, Slot.PRIMARY)
            for place in self.world.places:
                place.put(shown)
            self.watch.somebody_else("a person puts the primary value into every sink")
        self._ask("release")

    def _record(self) -> Record | None:
        stored = self.world.ledger.stored.get(self.world.credential(SID).key)
        return None if stored is None else stored.record

    def _rotations(self) -> int:
        return sum(line.event.kind.startswith("finish") for line in self.world.ledger.lines)

    def _standing(self) -> str:
        record = self._record()
        if record is None:
            return "no record"
        why = record.hold.sentence if record.hold is not None else record.waiting.sentence if record.waiting else ""
        return f"{record.stage}, {why}"


class _Caller:
    """Reads its sink, keeps the value as long as its policy lets it, calls now and then, and once more at the end."""

    def __init__(self, stage: _Stage, number: int) -> None:
        self.stage, self.number = stage, number
        self.count = 0
        self._value: str | None = None
        self._showing: Showing | None = None

    def read(self) -> None:
        """Read anew, after having called for the last time with what it had."""
        stage, random = self.stage, self.stage.scheduler.random
        self.call()
        if stage.calm and stage.scheduler.over:
            return
        ago = random.random() * stage.setting.replication
        self._value, self._showing = stage.watch.shown(self.number, ago)
        longest = stage.setting.cache
        keeps = longest if random.random() < 0.5 else random.random() * longest
        self.call()
        now = stage.scheduler.seconds
        stage.scheduler.at(now + random.random() * keeps, self.call)
        stage.scheduler.at(now + keeps, self.read)

    def call(self) -> None:
        self.count += 1
        self.stage.watch.calls(f"the caller of sink-{self.number + 1}", self._value, self._showing)


def _woken(keyturn: SimulatedKeyturn) -> None:
    keyturn.wake()
