"""The invariants of design.md, section 2, checked by name after every event, by what is true rather than by what
keyturn believes.

    1  always a live value     2  only quiet slots are written     3  retire last      4  one effect per intent
    5  fenced                  6  unknown is not a default         7  it ends          8  no secret in sight
    9  losing the ledger refuses no caller: 1 and 2, in a schedule that loses or restores it

Callers are judged at their worst: whatever a sink showed, somebody read at the last moment, keeps as long as its
policy lets it (`cached`), and uses at every unit of every gateway. What somebody else broke is told, and not charged:
a slot that he wrote, or a value that he put into a sink and no keyturn could have seen there. Never here: what keyturn
ought to do next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from keyturn.model import SLOTS, Fingerprint, Record, Secret, Slot, Stage
from keyturn.policy import Retire
from tests.simulation.azure import SID, SimulatedWorld
from tests.simulation.schedule import POLICY, Schedule, What, cached, spelled

if TYPE_CHECKING:
    from tests.simulation.keyturns import Simulated

DEADLINE = POLICY.deadline.total_seconds()
PREFIX = 12
"""So many characters of a value are a value in sight."""
ALWAYS_LIVE, QUIET, RETIRE_LAST = "1 always a live value", "2 only quiet slots are written", "3 retire last"
ONE_EFFECT, FENCED, UNKNOWN = "4 one effect per intent", "5 fenced", "6 unknown is not a default"
NO_DEFECT = "0 the code does not fail"
IT_ENDS, NO_SECRET, LEDGER = "7 it ends", "8 no secret in sight", "9 losing the ledger refuses no caller"


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """An invariant that did not hold, and when (seconds)."""

    invariant: str
    sentence: str
    at: float


class Showing(msgspec.Struct):
    """A sink showed a value from `since` until `until`; None: it still does."""

    sink: int
    since: float
    by_keyturn: bool
    until: float | None = None
    seen: bool = False
    """A look that was saved saw it there while it lived."""
    dead: bool = False
    """Some gateway refused it when somebody put it there."""

    @property
    def counts(self) -> bool:
        """Whether whoever reads it there is keyturn's charge."""
        return self.by_keyturn or (self.seen and not self.dead)


class Death(msgspec.Struct, frozen=True):
    """A value left its slot."""

    at: float
    by_keyturn: bool


class Outage(msgspec.Struct, frozen=True):
    """A sink showed a value that some gateway refused: from when, for how long (seconds), and why."""

    since: float
    span: float
    why: str


class Watch:
    """What was true at each moment, and the first invariant that broke."""

    def __init__(self, world: SimulatedWorld, schedule: Schedule, *, telling: bool = False) -> None:
        self.world, self.schedule, self.scheduler = world, schedule, world.scheduler
        self.broken: Broken | None = None
        self.story: list[tuple[float, str]] = []
        self.telling = telling
        self.events = self.saves = self.effects = self.writes = 0
        self.outages: list[Outage] = []
        self.overlooked: frozenset[str] = frozenset()
        """Invariants that may break: it goes on."""
        self.beyond = False
        """Whether this schedule leaves the bounds: exposures are measured, and break nothing."""
        self._ledger_suffers = any(i.what in {What.LOST, What.RESTORED} for i in schedule.incidents)
        self._places = world.places
        self._readable = [place for place in world.places if not place.write_only]
        self._slots = dict(world.entity.values)
        self._shown: list[Showing | None] = []
        self._sinks: list[str | None] = []
        self._tags = [place.tags for place in world.places]
        self._showings: dict[str, list[Showing]] = {}
        self._deaths: dict[str, Death] = {}
        self._put_back: dict[str, float] = {}
        """Values that had died, and that somebody else wrote once more: when."""
        self._restored_at = -1e9
        """When the ledger was last made to forget what had happened by then."""
        self._forgotten: dict[str, float] = {}
        """Per point, when a backup was last restored that knows of no such effect: what left before is forgotten."""
        self._by_hand: set[Fingerprint] = set()
        """What a person intended to set in a slot."""
        self._parted: dict[str, float] = {}
        """Values that both slots held until somebody else wrote one of them: when."""
        self._births: dict[str, float] = dict.fromkeys(self._slots.values(), -1e9)
        self._named: dict[str, str] = {}
        self._doomed: set[str] = set()
        self._compromised: set[Fingerprint] = set()
        self._refusing: dict[int, tuple[float, str]] = {}
        self._candidates: set[Fingerprint] = set()
        self._salts = {world.ledger.salt}
        """Of every ledger that there was: what one intended may land when another stands in its place."""
        self._regenerates = 0
        self._regenerated = 0
        self._seq = 0
        self._air: dict[str, int] = {}
        self._flown = 0.0
        """When the look began that the last one of them rests on."""
        self._record: Record | None = None
        self._records: list[Record] = []
        self._changed = {"read": -1e9, "sink.read": -1e9}
        self._soonest = min(min(units) for units in schedule.setting.units)
        self._cached = cached(schedule.setting)
        self._latest = max(max(units) for units in schedule.setting.units)
        self._begins()

    def _begins(self) -> None:
        """With what slots and sinks hold before keyturn is there."""
        for value in self._slots.values():
            self.name(value)
        for number, place in enumerate(self._places):
            self._shown.append(None)
            self._sinks.append(None)
            if place.value is not None:
                self._opens(number, place.value, by_keyturn=False)

    # -------- telling

    def tell(self, sentence: str) -> None:
        if self.telling:
            self.story.append((self.scheduler.seconds, sentence))

    def name(self, value: str | None) -> str:
        """`value 3`: the story must not show values either."""
        if value is None:
            return "nothing"
        return self._named.setdefault(value, f"value {len(self._named) + 1}")

    def breaks(self, invariant: str, sentence: str) -> None:
        if self.broken is not None or self.beyond or invariant in self.overlooked:
            return
        if self._ledger_suffers and invariant in {ALWAYS_LIVE, QUIET, RETIRE_LAST}:
            invariant = f"{LEDGER} ({invariant})"
        self.tell(f"BROKEN {invariant}: {sentence}")
        self.broken = Broken(invariant=invariant, sentence=sentence, at=self.scheduler.seconds)
        self.scheduler.over = True

    def accepts(self, value: str) -> bool:
        """Whether every unit of every gateway accepts it now."""
        if value in self._slots.values() and self.scheduler.seconds >= self._births[value] + self._latest:
            return True  # what the gateways would say, told faster
        return self.world.keyring.accepts(value)

    # -------- what the ports tell

    def looks(self, who: Simulated) -> None:
        """A look may begin: the entity is being read (A8)."""
        who.began_at = self.scheduler.seconds

    def sees(self, who: Simulated) -> None:
        """A sink is being read: whatever began with the entity is a look, and not a second glance at an ETag."""
        if who.began_at is not None:
            who.looked_at, who.began_at = who.began_at, None
            who.reads.clear()

    def sends(self, who: Simulated, point: str) -> None:
        """An effect is about to leave. What it rests on must be fresh, and certain."""
        self.events += 1
        self.effects += 1
        who.sent = who.looked_at
        age = self.scheduler.seconds - who.looked_at
        if age > DEADLINE + 1e-6:
            self.breaks(FENCED, f"{who.name} sends {point} {spelled(age)} after its look")
        if point in {"set_value", "regenerate"}:
            blind = [place.name for place in self._readable if who.reads.get(place.name) is None]
            if blind:
                self.breaks(UNKNOWN, f"{who.name} writes a slot although it has not read {blind[0]}")
        if point == "regenerate" and self._air.get(point) and self._flown >= self._restored_at:
            self.breaks(ONE_EFFECT, f"{who.name} regenerates while an earlier one may still land")

    def in_the_air(self, point: str, change: int, sent: float) -> None:
        """`sent`: when the look began that it rests on."""
        self._air[point] = self._air.get(point, 0) + change
        if change > 0:
            self._flown = sent

    def landed(self, who: Simulated, sent: float, point: str) -> None:
        """An effect of a keyturn has happened. `sent`: when the look began that it rests on."""
        self.events += 1
        if point == "regenerate":
            self._regenerated += 1
            if self._regenerated > self._regenerates:
                self.breaks(ONE_EFFECT, f"{who.name} regenerated without an intent in the ledger")
        forgotten = sent < self._forgotten.get(point, -1e9)
        self._compare(None if forgotten else who, sent)
        before, self._tags = self._tags, [place.tags for place in self._places]
        for tags, known, showing in zip(self._tags, before, self._shown, strict=True):
            if showing is not None and tags is not known and not forgotten:
                showing.by_keyturn = True  # also what stood there before, and was written once more

    def somebody_else(self, sentence: str) -> None:
        """The portal, or Terraform, has just written something."""
        self.events += 1
        self.tell(sentence)
        self._compare(None, self.scheduler.seconds)
        self._tags = [place.tags for place in self._places]

    def changed_within(self, point: str, seconds: float) -> bool:
        changed = self._changed["sink.read" if point == "sink.read" else "read"]
        return self.scheduler.seconds - changed <= seconds

    def saved(self, who: Simulated) -> None:
        """A record was saved: what it intends, what it names as compromised, what it must not hold."""
        self.events += 1
        self.saves += 1
        record = self.world.ledger.stored[who.credential.key].record
        before, self._record = self._record, record
        for slot in SLOTS:
            intent = record.slot(slot).intent
            earlier = None if before is None else before.slot(slot).intent
            if intent is not None and intent is not earlier and intent != earlier:
                self._candidates.update(intent.candidates)
                self._by_hand.update(intent.candidates if intent.by_hand else ())
                sends = earlier is None or earlier.sent_at != intent.sent_at
                if sends and record.stage is Stage.RETIRE and not intent.by_hand:
                    self._every_sink_confirmed(who, record)
                self._regenerates += not (intent.applied or intent.acknowledged)
        self._seq = max(self._seq, record.seq)
        known, named = None if before is None else before.compromise, record.compromise
        if named is not None and (known is None or named.values != known.values):
            self._doomed.update(self._slots.values())
            self._compromised.update(named.values)
        if named is not None and record.active is not None and record.slot(record.active).fingerprint in named.values:
            self._doomed.add(self._slots[record.active.other])  # which is to replace it, without a drain (A15)
        self._records.append(record)
        self._adopts_what_is_certain(who, before, record)
        self._rescues_at_once(who, before, record)
        self._ended_the_old_value(who, before, record)
        for number, showing in enumerate(self._shown):
            if showing is not None and not showing.seen:
                value = who.reads.get(self._places[number].name)
                showing.seen = value == self._sinks[number] and value not in self._deaths
        if self.telling and (before is None or before.stage is not record.stage or before.hold != record.hold):
            held = "" if record.hold is None else f", held: {record.hold.reason}"
            self.tell(f"{who.name} saves {record.stage}{held}")

    def ledger_changed(self, sentence: str) -> None:
        """It was lost or restored; whatever stands in it now is what counts."""
        self.events += 1
        self.tell(sentence)
        stored = self.world.ledger.stored.get(self.world.credential(SID).key)
        self._record = None if stored is None else stored.record
        self._salts.add(self.world.ledger.salt)
        self._restored_at = self.scheduler.seconds
        named = None if self._record is None else self._record.compromise
        self._compromised = set() if named is None else set(named.values)  # whoever forgot one is to be told again

    def ledger_restored(self, backed_up_at: float) -> None:
        """What was published since the backup nobody can know, with no slot and no readable sink to tell of it: to a
        sink that nobody can read, or to one that somebody else has put back, tags and all. Such a backup must not be
        restored (ADR 0021)."""
        self.ledger_changed("the ledger is restored from its backup")
        record = self._record
        if record is None or all(record.slot(slot).intent is None for slot in SLOTS):
            self._forgotten["regenerate"] = self.scheduler.seconds
        if record is None or any(place.tags is not None and place.tags.seq > record.seq for place in self._readable):
            return
        live = {slot: Secret(value).fingerprint(self.world.ledger.salt) for slot, value in self._slots.items()}
        if any(record.slot(slot).fingerprint != live[slot] for slot in SLOTS):
            return
        self._forgotten["sink.write"] = self.scheduler.seconds
        for showing in (each for showings in self._showings.values() for each in showings):
            if showing.since >= backed_up_at and (showing.until is not None or self._places[showing.sink].write_only):
                showing.by_keyturn = showing.seen = False

    def calls(self, caller: str, value: str | None, showing: Showing | None) -> None:
        """A caller calls every gateway with the value that it holds."""
        self.events += 1
        if value is None or self.accepts(value) or self._not_ours(value, showing):
            return
        self.breaks(ALWAYS_LIVE, f"{caller} is refused with {self.name(value)}")

    def shown(self, number: int, ago: float) -> tuple[str | None, Showing | None]:
        """What a caller reads of a sink whose replicas tell what it showed `ago` seconds before."""
        showing = self._shown[number]
        value = self._sinks[number]
        if showing is None or self.scheduler.seconds - showing.since >= ago:
            return value, showing
        for earlier, showings in self._showings.items():
            for each in showings:
                if each.sink == number and each.until == showing.since:
                    return earlier, each
        return value, showing

    # -------- what is judged

    def _compare(self, who: Simulated | None, sent: float) -> None:
        """What has changed since the last event, by whom."""
        for slot, value in self.world.entity.values.items():
            old = self._slots[slot]
            if old == value:
                continue
            self._slots[slot] = value
            self._changed["read"] = self.scheduler.seconds
            self.tell(f"{slot} holds {self.name(value)} instead of {self.name(old)}")
            if self._deaths.pop(value, None) is not None:
                self._put_back[value] = self.scheduler.seconds
            if who is not None and value in self._births:
                self.breaks(RETIRE_LAST, f"{who.name} gives {slot} no fresh value, but {self.name(value)} once more")
            self._births[value] = self.scheduler.seconds
            if who is None and old in self._slots.values():
                self._parted[old] = self.scheduler.seconds
            if old not in self._slots.values():
                self._dies(who, slot, old, sent)
            if who is not None:
                self.writes += 1
                self._was_intended(who, value)
        for number, place in enumerate(self._places):
            if place.value != self._sinks[number]:
                self._shows(who, number, place.value, sent)
                self._changed["sink.read"] = self.scheduler.seconds
            if who is not None and place.tags is not None and place.tags.seq > self._seq:
                self.breaks(ONE_EFFECT, f"{who.name} published with a sequence that no saved intent has")
        self._refusals()

    def _dies(self, who: Simulated | None, slot: Slot, value: str, sent: float) -> None:
        """It is in no slot any more; gateways forget it a while later."""
        now = self.scheduler.seconds
        if self._parted.get(value, -1e9) >= sent:
            who = None  # both slots held it at that look, and somebody else has ended the other one since (A13)
        self._deaths[value] = Death(now, by_keyturn=who is not None)
        if who is not None and value in self._doomed:
            self._ends_compromised(who, value, sent)
        if who is None or value in self._doomed:
            return
        stage = None if self._record is None else self._record.stage
        invariant = RETIRE_LAST if stage is Stage.RETIRE else QUIET
        for showing in self._showings.get(value, ()):
            if showing.counts and (showing.until is None or showing.until > now + self._soonest - self._cached):
                ended = "still shows it" if showing.until is None else f"showed it {spelled(now - showing.until)} ago"
                name = self._places[showing.sink].name
                self.breaks(invariant, f"{who.name} ends {self.name(value)} in {slot} although {name} {ended}")
                return

    def _shows(self, who: Simulated | None, number: int, value: str | None, sent: float) -> None:
        """A sink shows something else."""
        place = self._places[number]
        self.tell(f"{place.name} shows {self.name(value)} instead of {self.name(self._sinks[number])}")
        self._opens(number, value, by_keyturn=who is not None)
        if who is None or value is None or value in self._doomed or self.accepts(value):
            return
        death = self._deaths.get(value)
        if death is not None and not death.by_keyturn and death.at >= sent - DEADLINE:
            return  # somebody else wrote its slot since that look
        if self._was_away(value):
            return
        if self.beyond:
            return
        state = "unknown to some gateway" if death is None else f"dead for {spelled(self.scheduler.seconds - death.at)}"
        self.breaks(ALWAYS_LIVE, f"{who.name} publishes {self.name(value)} to {place.name}, which is {state}")

    def _opens(self, number: int, value: str | None, *, by_keyturn: bool) -> None:
        last = self._shown[number]
        if last is not None:
            last.until = self.scheduler.seconds
        self._sinks[number] = value
        self._shown[number] = None
        if value is not None:
            dead = value not in self._slots.values() or not self.accepts(value)
            showing = Showing(sink=number, since=self.scheduler.seconds, by_keyturn=by_keyturn, dead=dead)
            self._showings.setdefault(value, []).append(showing)
            self._shown[number] = showing

    def _refusals(self) -> None:
        """Since when a sink shows what some gateway refuses: told in the end, whoever is to blame."""
        now = self.scheduler.seconds
        for number, value in enumerate(self._sinks):
            good = value is None or self.accepts(value)
            if good and number in self._refusing:
                since, why = self._refusing.pop(number)
                self.outages.append(Outage(since, now - since, why))
            elif not good and number not in self._refusing:
                death = self._deaths.get(value or "")
                why = "not known yet" if death is None else "keyturn" if death.by_keyturn else "somebody else"
                self._refusing[number] = (now, why)

    def _not_ours(self, value: str, showing: Showing | None) -> bool:
        """Whether a refusal is somebody else's doing, or was asked for."""
        death = self._deaths.get(value)
        if self.beyond or value in self._doomed or (death is not None and not death.by_keyturn):
            return True
        if self._was_away(value):
            return True
        return showing is None or not showing.counts

    def _was_away(self, value: str) -> bool:
        """Somebody else wrote another value in its place, and put it back: gateways have to learn it once more."""
        return self.scheduler.seconds <= self._put_back.get(value, -1e9) + self._latest

    def _was_intended(self, who: Simulated, value: str) -> None:
        if self.schedule.setting.mode.value == "regenerate":
            return
        if not any(Secret(value).fingerprint(salt) in self._candidates for salt in self._salts):
            self.breaks(ONE_EFFECT, f"{who.name} set a value without an intent in the ledger")

    def _no_secret(self) -> None:
        """In no record that was ever saved, nor in its history."""
        text = msgspec.json.encode((self._records, [line.event for line in self.world.ledger.lines]))
        for value in self._named:
            if value[:PREFIX].encode() in text:
                self.breaks(NO_SECRET, f"a record or its history holds {self.name(value)}")

    def _adopts_what_is_certain(self, who: Simulated, before: Record | None, record: Record) -> None:
        if (
            record.active is None
            or record.stage is not Stage.IDLE
            or (before is not None and before.active is not None)
        ):
            return
        if any(read is None for read in who.reads.values()):
            self.breaks(UNKNOWN, f"{who.name} adopts although a sink cannot be read")
        shown = {read for read in who.reads.values() if read}
        live = shown & set(self._slots.values())
        if len(live) > 1:
            self.breaks(UNKNOWN, f"{who.name} adopts although the sinks show two live values")
        if any(value not in self._births for value in shown):
            self.breaks(UNKNOWN, f"{who.name} adopts although a sink shows somebody else's secret")
        active = self._slots[record.active]
        moved = self._births[active] >= who.looked_at  # somebody wrote it after that look
        if not moved and any(value != active and self._births[value] < who.looked_at for value in live):
            self.breaks(UNKNOWN, f"{who.name} adopts {record.active}, and the sinks show the other value")

    def ended(self) -> None:
        """The schedule is over, however it went: what must be true of all that it left behind."""
        self._no_secret()

    def _every_sink_confirmed(self, who: Simulated, record: Record) -> None:
        """The old value is to die: each sink that can be read told the look that it shows the active one."""
        assert record.active is not None
        new = record.slot(record.active).fingerprint
        for place in self._readable:
            if Secret(who.reads.get(place.name) or "").fingerprint(self.world.ledger.salt) != new:
                self.breaks(RETIRE_LAST, f"{who.name} retires before {place.name} has confirmed the new value")

    def _rescues_at_once(self, who: Simulated, before: Record | None, record: Record) -> None:
        """Somebody else ended the published value. Whoever has seen that does not wait while the other stands ready."""
        waits = record.not_before is not None and (before is None or before.not_before != record.not_before)
        if not waits or record.failures or record.hold is not None:
            return
        if record.active is None or record.compromise is not None:
            return
        for place in self._readable:
            value = who.reads.get(place.name)
            death = self._deaths.get(value or "")
            if death is None or death.by_keyturn or death.at > who.looked_at or place.value != value:
                continue
            for slot in SLOTS:
                kept, live = record.slot(slot), self._slots[slot]
                known = Secret(live).fingerprint(self.world.ledger.salt) == kept.fingerprint == kept.confirmed
                settled = kept.unsettled_until is None and (kept.intent is None or kept.intent.applied)
                if known and settled and self._births[live] < who.looked_at:
                    name = place.name
                    self.breaks(ALWAYS_LIVE, f"{who.name} waits while {name} shows a dead value and {slot} is good")

    def _ended_the_old_value(self, who: Simulated, before: Record | None, record: Record) -> None:
        """A rotation is over: what it was to end is in no slot, unless somebody else put it back."""
        over = before is not None and record.rotations == before.rotations + 1
        if not over or record.active is None or self.schedule.setting.retire is not Retire.AFTER_DRAIN:
            return
        left = self._slots[record.active.other]
        if Secret(left).fingerprint(self.world.ledger.salt) in self._by_hand:
            return  # a person set it, and it is kept until the next rotation (ADR 0005)
        published = any(showing.by_keyturn for showing in self._showings.get(left, ()))
        forgotten = self._births[left] < self._restored_at
        if published and not forgotten and left not in self._put_back and left != self._slots[record.active]:
            self.breaks(RETIRE_LAST, f"{who.name} ends a rotation, and the old {self.name(left)} lives")

    def _ends_compromised(self, who: Simulated, value: str, sent: float) -> None:
        """No drain, but not either while the look could see it in a sink (rule A15)."""
        seen = sent - self.schedule.setting.replication
        for showing in self._showings.get(value, ()):
            if showing.counts and showing.until is None and showing.since <= seen:
                name = self._places[showing.sink].name
                self.breaks(QUIET, f"{who.name} ends {self.name(value)} although {name} still shows it")

    def finished(self) -> None:
        """Everything has come to rest: what must be true then."""
        for place in self._places:
            if place.value is None or not self.accepts(place.value):
                self.breaks(ALWAYS_LIVE, f"in the end {place.name} shows {self.name(place.value)}, which is refused")
        for value in self._slots.values():
            named = Secret(value).fingerprint(self.world.ledger.salt) in self._compromised
            if named and value not in self._put_back:
                self.breaks(IT_ENDS, f"{self.name(value)} was named as compromised, and lives")


__all__ = ["IT_ENDS", "NO_DEFECT", "Broken", "Outage", "Showing", "Watch"]
