"""The simulated side of the ports: when a call takes its while, what strikes there, and when its effect lands.

Everything below the ports is keyturn's own public in-memory Azure (`keyturn.testing`); this only decides what happens
at them. Never here: a judgement of what a keyturn did (that is `invariants`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from keyturn.errors import KeyturnError, LedgerFault, Refused, TryAgain
from keyturn.model import NotApplied, Secret, Slot
from keyturn.policy import ProbeSpec
from keyturn.ports import Answer, Applied, Holder, Shown, Stored, Uncertain, Verdict
from keyturn.testing import (
    STALE,
    Crash,
    MemoryKeyring,
    MemoryLedger,
    MemoryProbe,
    MemorySink,
    Script,
    World,
)
from tests.simulation.schedule import LATE, Incident, Setting, What, spelled

if TYPE_CHECKING:
    from tests.simulation.invariants import Watch
    from tests.simulation.keyturns import Simulated
    from tests.simulation.scheduler import Scheduler

SID = "contoso"
FOR_GOOD = 90 * 86400.0
STALE_FOR = 60.0
"""A stale read tells of at most so long ago, in seconds; sinks state their replication (rule A3)."""

STATUSES = {
    "412": ("PreconditionFailed", "another write under the same owner"),
    "409": ("Conflict", "a transaction is in progress"),
    "429": ("SubscriptionRequestsThrottled", "throttled"),
    "403": ("AuthorizationFailed", "may not write"),
}
_INSTANT = frozenset({"set_value.sent", "regenerate.sent", "sink.write.sent", "enable.sent", "prove_fence.sent"})
_LOCAL = frozenset({"ledger.load", "ledger.save", "ledger.saved", "ledger.lease"})


class Ports(Script):
    """What every call of a port goes through."""

    def __init__(self, scheduler: Scheduler, setting: Setting) -> None:
        super().__init__()
        self.scheduler, self.setting = scheduler, setting
        self.watch: Watch
        self._local = setting.step / 10
        self.unreachable: set[int] = set()
        """Gateways that answer nobody's probes just now."""
        self._followed: dict[str, list[tuple[int, Callable[[], None]]]] = {}
        self._reached: dict[str, int] = {}

    def reach(self, point: str) -> None:
        """A call takes its while here; what the schedule has for this very point strikes."""
        who = self._who()
        if who is None:
            return
        if point == "ledger.saved":
            self.watch.saved(who)
        if point in self._followed:
            self._follow_up(point)
        count = who.reached[point] = who.reached.get(point, 0) + 1
        if who.incidents and (incident := who.incidents.get((point, count))) is not None:
            self._strike(who, incident)
        if point in _INSTANT:
            return
        step = self._local if point in _LOCAL else self.setting.step
        self.scheduler.pass_by(who, self.scheduler.random.random() * step)
        if point == "read":
            self.watch.looks(who)

    def strike(self, incident: Incident) -> None:
        """Whoever stands here now suffers it."""
        who = self.running
        assert who is not None, "somebody reached the point"
        self._strike(who, incident)

    def follow(self, point: str, nth: int, do: Callable[[], None]) -> None:
        """Do this when the point is reached for the nth time, by whomever."""
        self._followed.setdefault(point, []).append((nth, do))

    def _follow_up(self, point: str) -> None:
        count = self._reached[point] = self._reached.get(point, 0) + 1
        for nth, do in self._followed[point]:
            if nth == count:
                do()

    def fault_at(self, point: str) -> str | NotApplied | KeyturnError | None:
        """What a read is answered."""
        who = self._who()
        if who is None:
            return None
        incident = who.unread.get((point, who.reached.get(point, 0)))
        if incident is None:
            return None
        who.struck += 1
        if incident.how == "stale":
            return STALE if self.watch.changed_within(point, self._stale_for(point)) else None
        self.watch.tell(f"{who.name}: {point} is answered {incident.how}")
        if incident.how == "403":
            return Refused("may not read", status=403, code="AuthorizationFailed")
        return TryAgain(f"answered {incident.how}", after=incident.span)

    def effect(self, point: str, apply: Callable[[], Answer]) -> Answer:
        """One effect: sent, perhaps landed, perhaps answered."""
        who = self._who()
        if who is None:
            return apply()
        self.watch.sends(who, point)
        leaves = self.scheduler.seconds
        self.reach(point + ".sent")
        incident = who.answers.get((point, who.reached.get(point, 0)))
        how = "" if incident is None else incident.how
        if incident is not None:
            who.struck += 1
            told = f"lands {spelled(incident.span)} later" if how == "late" else f"is answered {how}"
            self.watch.tell(f"{who.name}: {point} {told}")
            if how in STATUSES:
                code, sentence = STATUSES[how]
                return NotApplied(status=int(how), code=code, sentence=sentence, after=incident.span or None)
            if how == "late":
                sent = who.sent
                # a request that stood still as it left outlives `late` no more than any other
                lands = min(self.scheduler.seconds + incident.span, leaves + max(LATE, incident.span))
                self.watch.in_the_air(point, 1, sent)
                self.scheduler.at(lands, lambda: self._land_late(who, sent, point, apply))
                return Uncertain(sentence="the connection broke")
            if how in {"never", "500"}:
                return Uncertain(sentence="the connection broke")
        answer = apply()
        if isinstance(answer, Applied):
            self.watch.landed(who, who.sent, point)
        self.reach(point + ".done")
        return Uncertain(sentence="the connection broke") if how in {"lost", "503"} else answer

    def _land_late(self, who: Simulated, sent: float, point: str, apply: Callable[[], Answer]) -> None:
        self.watch.in_the_air(point, -1, sent)
        if isinstance(apply(), Applied):
            self.watch.tell(f"the {point} that {who.name} gave up lands")
            self.watch.landed(who, sent, point)

    @property
    def running(self) -> Simulated | None:
        """Whose call this is; None: nobody's who is watched."""
        who: Simulated | None = self.scheduler.running  # type: ignore[assignment]
        return who

    def _who(self) -> Simulated | None:
        who: Simulated | None = self.scheduler.running  # type: ignore[assignment]
        if who is not None and (who.doomed or self.scheduler.over):
            raise Crash(who.name)
        return who

    def _strike(self, who: Simulated, incident: Incident) -> None:
        who.struck += 1
        if incident.what is What.STALL:
            self.watch.tell(f"{who.name} stands still at {incident.point} for {spelled(incident.span)}")
            who.take(incident.span)
            if incident.how == "dies":
                after = incident.point.replace(".sent", ".done")
                nth = who.reached.get(after, 0) + 1
                who.suffers(Incident(what=What.CRASH, point=after, nth=nth, span=FOR_GOOD))
        elif incident.what is What.LEDGER:
            self.watch.tell(f"{who.name}: the ledger cannot be used at {incident.point}")
            raise LedgerFault("the ledger cannot be used")
        else:
            self.watch.tell(f"{who.name} dies at {incident.point}")
            who.died(incident.span)

    def _stale_for(self, point: str) -> float:
        return self.setting.replication if point == "sink.read" else STALE_FOR


class SimulatedSink(MemorySink):
    """A sink that notes what whoever reads it was told."""

    def read(self) -> Shown:
        ports = self.script
        assert isinstance(ports, Ports)
        who = ports.running
        if who is not None:
            ports.watch.sees(who)
            who.reads[self.name] = None
        shown = super().read()
        if who is not None:
            who.reads[self.name] = "" if shown.value is None else shown.value.reveal()
        return shown


ANOTHER = 1_000_000
"""No record is saved so often."""


class SimulatedLedger(MemoryLedger):
    """A dead process gives no lease back."""

    everybody_may = False
    """No lease at all: for liveness it is there, and safety must not need it (invariant 5)."""

    def lease(self, key: str, holder: Holder, now: object, span: timedelta) -> bool:
        self.script.reach("ledger.lease")
        return self.everybody_may or super().lease(key, holder, now, span)  # type: ignore[arg-type]

    def release(self, key: str, holder: Holder) -> None:
        ports = self.script
        assert isinstance(ports, Ports)
        who = ports.scheduler.running
        if who is not None and not who.doomed:
            super().release(key, holder)

    def restore(self, backup: dict[str, Stored]) -> None:
        """Another ledger stands in its place: no version that somebody holds of the old one fits. Real ones tell by the
        file that they opened, or by an ETag."""
        self.first_version += ANOTHER
        fresh = {key: self.first_version + stored.version % ANOTHER for key, stored in backup.items()}
        super().restore({key: Stored(record=stored.record, version=fresh[key]) for key, stored in backup.items()})

    def lost(self) -> None:
        """Its records are gone."""
        self.restore({})

    def renamed(self, name: str) -> None:
        """A new, empty ledger stands in the place of the old one."""
        self._id, self._salt = name, name.encode()
        self.stored.clear()
        self.notes.clear()


class SimulatedProbe(MemoryProbe):
    """Some gateways may be out of reach for a while."""

    def ask(self, gateways: Sequence[str], spec: ProbeSpec, value: Secret, accepts: int) -> Verdict:
        ports = self.keyring.script
        assert isinstance(ports, Ports)
        verdict = super().ask(gateways, spec, value, accepts)
        if ports.unreachable:
            return Verdict(accepted=False, sentence=f"gateway {min(ports.unreachable)} cannot be reached")
        return verdict


class SimulatedWorld(World):
    """One credential, as the setting has it before keyturn is there."""

    def __init__(self, scheduler: Scheduler, setting: Setting) -> None:
        super().__init__(scheduler.clock)
        self.scheduler = scheduler
        self.ports = Ports(scheduler, setting)
        self.script = self.ports
        self.keyring = MemoryKeyring(self.clock, self.script)
        self.keyring.units = {
            f"https://gateway-{n}.test": tuple(timedelta(seconds=late) for late in units)
            for n, units in enumerate(setting.units)
        }
        self.keyring.regenerate_moves_etag = setting.trust_etag
        self.probe = SimulatedProbe(self.keyring)
        self.records = SimulatedLedger(self.script)
        self.records.everybody_may = not setting.lease
        self.ledger = self.records
        shown = None if setting.shows == "nothing" else Slot.SECONDARY if setting.shows == "secondary" else Slot.PRIMARY
        self.add(SID, show=None)
        self.sinks[SID] = [self._sink(n, setting) for n in range(setting.sinks)]
        for place in self.places:
            if shown is not None:
                place.put(self.value(SID, shown))
        if setting.shows == "apart":
            self.places[-1].put(self.value(SID, Slot.SECONDARY))
        if setting.shows == "foreign":
            self.places[-1].put(self.clock.random_bytes(16).hex())
        if setting.shows == "equal":
            self.keyring.portal(SID, Slot.SECONDARY, self.value(SID, Slot.PRIMARY))
        self.entity = self.keyring.entities[SID]

    def _sink(self, number: int, setting: Setting) -> MemorySink:
        write_only = setting.write_only and number == setting.sinks - 1
        return SimulatedSink(f"sink-{number + 1}", self.clock, self.script, write_only=write_only)

    @property
    def places(self) -> list[MemorySink]:
        return self.sinks[SID]

    def put(self, slot: Slot, value: str | None = None) -> str:
        """Somebody else writes a slot, as Azure's portal does."""
        etag = self.entity.etag
        written = self.keyring.portal(SID, slot, value)
        if not self.keyring.regenerate_moves_etag:
            self.entity.etag = etag
        return written


__all__ = ["SID", "Ports", "SimulatedLedger", "SimulatedWorld"]
