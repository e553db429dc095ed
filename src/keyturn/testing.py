"""The ports in memory, public, for anybody's tests: a whole small Azure that a test directs step by step.

    clock = ManualClock()
    world = World(clock)
    world.add("contoso", sinks=["vault/contoso"])
    turn = Turn(keyring=world.keyring, sinks=world.sinks_of, ledger=world.ledger, probe=world.probe, clock=clock)
    turn.advance(world.credential("contoso"), policy)

A `Script` interrupts at named points (`read`, `set_value`, `sink.write`, `ledger.save` ...): run something else there,
lose an answer, make an effect late, or crash. Deterministic: no thread, no file, no network, no real clock; the
random values come from a seed. Never here: behaviour that the real adapters do not have.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from keyturn import tokens
from keyturn.errors import Conflict, Gone, KeyturnError, Malformed, NotSent
from keyturn.minting import TokenSink
from keyturn.model import Credential, Event, Kind, Record, Secret, Slot
from keyturn.policy import ProbeSpec, TokenSpec
from keyturn.ports import (
    LONGEST_LEASE,
    Answer,
    Applied,
    Entity,
    HistoryLine,
    Holder,
    NotApplied,
    SendBy,
    Shown,
    Sink,
    Stored,
    Tags,
    Uncertain,
    Values,
    Verdict,
)

START = datetime(2026, 3, 1, 7, 0, tzinfo=UTC)
LATE = "late"
LOST = "lost"
NEVER = "never"
STALE = "stale"


class Crash(BaseException):
    """The process died here. Not an Exception: nothing may catch it."""


class ManualClock:
    """Time that a test moves. `wait` moves it too. `ahead` makes this clock disagree with Azure's."""

    def __init__(self, start: datetime = START, *, seed: int = 1) -> None:
        self.azure = start
        self.ahead = timedelta(0)
        self._boot = 1000.0
        self._random = random.Random(seed)  # noqa: S311 - reproducible on purpose

    def now(self) -> datetime:
        return self.azure + self.ahead

    def boottime(self) -> float:
        return self._boot

    def random_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def wait(self, seconds: float) -> None:
        self.move(timedelta(seconds=seconds))

    def move(self, span: timedelta) -> None:
        """Time passes, everywhere."""
        self.azure += span
        self._boot += span.total_seconds()


@dataclass
class Script:
    """What happens at the points where the ports are called."""

    traps: list[tuple[str, Callable[[], None]]] = field(default_factory=list)
    faults: list[tuple[str, str | NotApplied | KeyturnError]] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    late: list[Callable[[], None]] = field(default_factory=list)

    def at(self, point: str, do: Callable[[], None], *, skip: int = 0) -> None:
        """Run `do` once when `point` is next reached, after letting it pass `skip` times."""
        left = skip

        def trap() -> None:
            nonlocal left
            if left:
                left -= 1
                self.traps.append((point, trap))
                return
            do()

        self.traps.append((point, trap))

    def crash(self, point: str, *, skip: int = 0) -> None:
        def die() -> None:
            raise Crash(point)

        self.at(point, die, skip=skip)

    def fault(self, point: str, kind: str | NotApplied | KeyturnError, *, times: int = 1) -> None:
        """The next `times` calls at `point`: LOST (applied, no answer), LATE (no answer, lands at `land_late`),
        NEVER (no answer, no effect), STALE (a read tells what was before the last change), a NotApplied answer, or an
        error to raise."""
        self.faults.extend([(point, kind)] * times)

    def land_late(self) -> None:
        """Every effect that was given up and is still in the air lands now."""
        landing, self.late = self.late, []
        for effect in landing:
            effect()

    def reach(self, point: str) -> None:
        self.passed.append(point)
        due = [(name, do) for name, do in self.traps if name == point]
        self.traps = [(name, do) for name, do in self.traps if name != point]
        for _, do in due:
            do()

    def fault_at(self, point: str) -> str | NotApplied | KeyturnError | None:
        for index, (name, kind) in enumerate(self.faults):
            if name == point:
                del self.faults[index]
                return kind
        return None

    def effect(self, point: str, apply: Callable[[], Answer]) -> Answer:
        """One effect: `point` is reached when it is sent; `point.done` once it has happened."""
        self.reach(point + ".sent")
        kind = self.fault_at(point)
        if isinstance(kind, NotApplied):
            return kind
        if isinstance(kind, KeyturnError):
            raise kind
        if kind == NEVER:
            return Uncertain(sentence="the connection broke")
        if kind == LATE:
            self.late.append(lambda: _ignore(apply()))
            return Uncertain(sentence="the connection broke")
        answer = apply()
        self.reach(point + ".done")
        if kind == LOST:
            return Uncertain(sentence="the connection broke")
        return answer


def _ignore(_: Answer) -> None:
    """A late effect's answer reaches nobody."""


@dataclass
class MemoryEntity:
    """A credential: two values, an ETag that moves with every change, and what its gateways know."""

    credential: Credential
    values: dict[Slot, str]
    etag: int = 1
    state: str = "active"
    written: list[tuple[datetime, Slot, str]] = field(default_factory=list)
    before: MemoryEntity | None = None
    """As it was before its last change."""

    @property
    def tag(self) -> str:
        return f'"{self.etag:08d}"'

    def changes(self) -> None:
        """Keep what it is now: it is about to be something else."""
        self.before = MemoryEntity(self.credential, dict(self.values), self.etag, self.state)


class MemoryKeyring:
    """A service with its credentials and gateways. Counts the ARM calls it answers. `sets=False`: its values can only
    be regenerated, as a self-hosted gateway's. `units`: per gateway, how late each unit behind it learns of a write."""

    def __init__(self, clock: ManualClock, script: Script, *, fenced: bool = True, sets: bool = True) -> None:
        self.clock, self.script, self.fenced, self.sets = clock, script, fenced, sets
        self.entities: dict[str, MemoryEntity] = {}
        self.reads = 0
        self.writes = 0
        self.echo = True
        self.regenerate_moves_etag = True
        self.units: dict[str, tuple[timedelta, ...]] = {"https://gateway.test": (timedelta(0),)}

    # -------- the port

    def discover(self) -> Iterable[Credential]:
        return [entity.credential for entity in self.entities.values()]

    def read(self, credential: Credential) -> Entity:
        self.reads += 1
        self.script.reach("read")
        entity = self._as_told("read", credential)
        return Entity(etag=entity.tag, state=entity.state, date=self.clock.azure)

    def read_values(self, credential: Credential) -> Values:
        self.writes += 1
        self.script.reach("read_values")
        return self._values(self._as_told("read_values", credential))

    def set_value(self, credential: Credential, slot: Slot, value: Secret, etag: str, send_by: SendBy) -> Answer:
        if not self.sets:
            return _only_regenerated()
        self.script.reach("set_value")
        self._in_time(send_by)
        self.writes += 1

        def apply() -> Answer:
            entity = self._entity(credential)
            if self.fenced and etag not in {entity.tag, "*"}:
                return NotApplied(status=412, code="PreconditionFailed", sentence="modified since last retrieval")
            self._put(entity, slot, value.reveal())
            return Applied(values=self._values(entity) if self.echo else None)

        return self.script.effect("set_value", apply)

    def regenerate(self, credential: Credential, slot: Slot, send_by: SendBy) -> Answer:
        self.script.reach("regenerate")
        self._in_time(send_by)
        self.writes += 1

        def apply() -> Answer:
            entity = self._entity(credential)
            self._put(entity, slot, self.clock.random_bytes(16).hex(), moves_etag=self.regenerate_moves_etag)
            return Applied()

        return self.script.effect("regenerate", apply)

    def enable(self, credential: Credential, on: bool, etag: str, send_by: SendBy) -> Answer:
        self.script.reach("enable")
        self._in_time(send_by)
        self.writes += 1

        def apply() -> Answer:
            entity = self._entity(credential)
            if self.fenced and etag not in {entity.tag, "*"}:
                return NotApplied(status=412, code="PreconditionFailed", sentence="modified since last retrieval")
            entity.changes()
            entity.state = "active" if on else "suspended"
            entity.etag += 1
            return Applied()

        return self.script.effect("enable", apply)

    def prove_fence(self, credential: Credential, send_by: SendBy) -> Answer:
        if not self.sets:
            return _only_regenerated()
        self.script.reach("prove_fence")
        self._in_time(send_by)
        self.writes += 1
        self._entity(credential)

        def apply() -> Answer:
            if self.fenced:
                return NotApplied(status=412, code="PreconditionFailed", sentence="modified since last retrieval")
            return Applied()

        return self.script.effect("prove_fence", apply)

    def gateways(self) -> Sequence[str]:
        return tuple(self.units)

    # -------- what a test does from outside

    @property
    def delay(self) -> timedelta:
        """How late the slowest unit of any gateway learns of a write; setting it makes all of them as slow."""
        return max(late for units in self.units.values() for late in units)

    @delay.setter
    def delay(self, late: timedelta) -> None:
        self.units = {address: (late,) * len(units) for address, units in self.units.items()}

    def portal(self, sid: str, slot: Slot, value: str | None = None) -> str:
        """Somebody else writes a slot. Returns the value."""
        chosen = value if value is not None else self.clock.random_bytes(16).hex()
        self._put(self.entities[sid], slot, chosen)
        return chosen

    def accepts(self, value: str) -> bool:
        """Whether every unit of every gateway accepts the value, or the token, now."""
        return all(self._unit_accepts(value, late) for units in self.units.values() for late in units)

    def answers(self, address: str, value: str) -> bool:
        """Whether the unit of this gateway that a fresh connection reaches accepts it now."""
        units = self.units[address]
        reached = self.clock.random_bytes(1)[0] % len(units) if len(units) > 1 else 0
        return self._unit_accepts(value, units[reached])

    # -------- inside

    def _entity(self, credential: Credential) -> MemoryEntity:
        entity = self.entities.get(credential.name)
        if entity is None:
            raise Gone("Subscription not found.", status=404, code="ResourceNotFound")
        return entity

    def _as_told(self, point: str, credential: Credential) -> MemoryEntity:
        """What this read tells of: the entity, or, of a stale one, what it was before its last change."""
        fault = self.script.fault_at(point)
        if isinstance(fault, KeyturnError):
            raise fault
        entity = self._entity(credential)
        return entity.before if fault == STALE and entity.before is not None else entity

    def _unit_accepts(self, value: str, late: timedelta) -> bool:
        """A unit that learns of writes that late."""
        horizon = self.clock.azure - late
        return any(
            self._opens(entity, value, self._known(entity, slot, horizon))
            for entity in self.entities.values()
            if entity.state == "active"
            for slot in Slot
        )

    def _values(self, entity: MemoryEntity) -> Values:
        primary, secondary = Secret(entity.values[Slot.PRIMARY]), Secret(entity.values[Slot.SECONDARY])
        return Values(primary=primary, secondary=secondary, etag=entity.tag)

    def _put(self, entity: MemoryEntity, slot: Slot, value: str, *, moves_etag: bool = True) -> None:
        entity.changes()
        entity.values[slot] = value
        entity.written.append((self.clock.azure, slot, value))
        entity.etag += 1 if moves_etag else 0

    @staticmethod
    def _known(entity: MemoryEntity, slot: Slot, horizon: datetime) -> str | None:
        known = (value for at, written, value in reversed(entity.written) if written is slot and at <= horizon)
        return next(known, None)

    def _opens(self, entity: MemoryEntity, shown: str, known: str | None) -> bool:
        """An apim subscription's value opens by itself; of the other kinds, a token that it signed and that lasts."""
        if known is None or entity.credential.kind is Kind.APIM_SUBSCRIPTION:
            return shown == known
        try:
            token = tokens.parse(shown)
        except Malformed:
            return False
        lasts = token.identity == entity.credential.identity and token.expires > self.clock.azure
        return lasts and tokens.verify(token, Secret(known))

    def _in_time(self, send_by: SendBy) -> None:
        if self.clock.now() > send_by.at or self.clock.boottime() > send_by.boot:
            raise NotSent("the look is too old")


def _only_regenerated() -> NotApplied:
    return NotApplied(status=405, code="MethodNotAllowed", sentence="these values can only be regenerated")


class MemorySink:
    """A place that callers read from. `problem` makes it unreadable, `refuses` unwritable."""

    def __init__(self, name: str, clock: ManualClock, script: Script, *, write_only: bool = False) -> None:
        self._name, self._write_only = name, write_only
        self.clock, self.script = clock, script
        self.value: str | None = None
        self.tags: Tags | None = None
        self.problem: KeyturnError | None = None
        self.refuses: NotApplied | None = None
        self.writes: list[tuple[datetime, str]] = []
        self.before: tuple[str | None, Tags | None] = (None, None)
        """What it showed before its last change."""

    @property
    def name(self) -> str:
        return self._name

    @property
    def write_only(self) -> bool:
        return self._write_only

    def read(self) -> Shown:
        self.script.reach("sink.read")
        fault = self.script.fault_at("sink.read")
        if isinstance(fault, KeyturnError):
            raise fault
        if self.problem is not None:
            raise self.problem
        value, tags = self.before if fault == STALE else (self.value, self.tags)
        if value is None:
            return Shown()
        if tags is None:
            return Shown(value=Secret(value))
        return Shown(value=Secret(value), ledger=tags.ledger, seq=tags.seq, slot=tags.slot)

    def write(self, value: Secret, tags: Tags, send_by: SendBy) -> Answer:
        self.script.reach("sink.write")
        if self.clock.now() > send_by.at or self.clock.boottime() > send_by.boot:
            raise NotSent("the look is too old")

        def apply() -> Answer:
            if self.refuses is not None:
                return self.refuses
            self.put(value.reveal(), tags)
            return Applied()

        return self.script.effect("sink.write", apply)

    def put(self, value: str | None, tags: Tags | None = None) -> None:
        """Show this from now on; without tags, as somebody else would write it."""
        self.before = (self.value, self.tags)
        self.value, self.tags = value, tags
        self.writes.append((self.clock.azure, value or ""))


class MemoryProbe:
    """Asks the in-memory gateway."""

    def __init__(self, keyring: MemoryKeyring) -> None:
        self.keyring = keyring
        self.open_product = False
        self.asked = 0

    def ask(self, gateways: Sequence[str], spec: ProbeSpec, value: Secret, accepts: int) -> Verdict:
        self.keyring.script.reach("ask")
        self.asked += 1
        if self.open_product:
            sentence = f"{gateways[0]}{spec.path} accepts a random value too"
            return Verdict(accepted=False, proves_nothing=True, sentence=sentence)
        for gateway in gateways:
            if not accepts or not all(self.keyring.answers(gateway, value.reveal()) for _ in range(accepts)):
                return Verdict(accepted=False, sentence=f"{gateway} answered 401")
        return Verdict(accepted=True)


class MemoryEvidence:
    """What a test says that callers used last."""

    def __init__(self) -> None:
        self.used: dict[str, dict[Slot, datetime]] = {}

    def last_used(self, credential: Credential) -> Mapping[Slot, datetime]:
        return self.used.get(credential.key, {})


class MemoryLedger:
    """A ledger in memory, with compare-and-swap, history, notes, leases, and a backup to restore."""

    def __init__(self, script: Script | None = None, *, name: str = "ledger-1", salt: bytes = b"salt") -> None:
        self._id, self._salt = name, salt
        self.script = script if script is not None else Script()
        self.stored: dict[str, Stored] = {}
        self.lines: list[HistoryLine] = []
        self.notes: dict[str, str] = {}
        self.leases: dict[str, tuple[Holder, datetime]] = {}
        self.dead: set[Holder] = set()
        self.first_version = 1
        """Of a record that is not there yet."""
        # Around what must be one step for threads, and never around `script`, which may stop a runner for good.
        self._one_at_a_time = threading.Lock()

    @property
    def id(self) -> str:
        return self._id

    @property
    def salt(self) -> bytes:
        return self._salt

    def load(self, key: str) -> Stored | None:
        self.script.reach("ledger.load")
        return self.stored.get(key)

    def save(self, record: Record, expected: int, events: Sequence[Event]) -> int:
        self.script.reach("ledger.save")
        with self._one_at_a_time:
            known = self.stored.get(record.key)
            if (known.version if known is not None else 0) != expected:
                raise Conflict(f"{record.id} changed since it was read", hint="Nothing was written. Read it again.")
            version = self.first_version if known is None else expected + 1
            self.stored[record.key] = Stored(record=record, version=version)
            for event in events:
                self.lines.append(HistoryLine(seq=len(self.lines) + 1, key=record.key, event=event))
        self.script.reach("ledger.saved")
        return version

    def records(self) -> Iterable[Record]:
        return sorted((stored.record for stored in self.stored.values()), key=lambda record: (record.id, record.key))

    def due(self, now: datetime) -> Sequence[str]:
        waiting = [stored.record for stored in self.stored.values() if stored.record.hold is None]
        ready = [r for r in waiting if r.not_before is None or r.not_before <= now]
        return [r.key for r in sorted(ready, key=lambda r: (r.not_before is not None, r.not_before or now, r.key))]

    def history(self, key: str | None = None, limit: int = 100) -> Sequence[HistoryLine]:
        lines = [line for line in self.lines if key is None or line.key == key]
        return lines[max(0, len(lines) - limit) :]

    def note(self, name: str) -> str | None:
        return self.notes.get(name)

    def put_note(self, name: str, text: str) -> None:
        self.notes[name] = text

    def lease(self, key: str, holder: Holder, now: datetime, span: timedelta) -> bool:
        with self._one_at_a_time:
            taken = self.leases.get(key)
            lasts = taken is not None and now < taken[1] <= now + LONGEST_LEASE
            if taken is not None and lasts and taken[0] != holder and taken[0] not in self.dead:
                return False
            self.leases[key] = (holder, now + span)
            return True

    def release(self, key: str, holder: Holder) -> None:
        with self._one_at_a_time:
            taken = self.leases.get(key)
            if taken is not None and taken[0] == holder:
                del self.leases[key]

    # -------- what a test does from outside

    def backup(self) -> dict[str, Stored]:
        return dict(self.stored)

    def restore(self, backup: dict[str, Stored]) -> None:
        self.stored = dict(backup)


class MemoryNotifier:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Event]] = []

    def tell(self, credential: str, event: Event) -> None:
        self.told.append((credential, event))


class MemoryCaller:
    """A caller: reads its value from a sink, keeps it for `cache`, calls the gateway, and remembers every refusal."""

    def __init__(self, world: World, sink: MemorySink, *, cache: timedelta = timedelta(hours=1)) -> None:
        self.world, self.sink, self.cache = world, sink, cache
        self._value: str | None = None
        self._read_at: datetime | None = None
        self.calls = 0
        self.refusals: list[datetime] = []

    def call(self) -> bool:
        now = self.world.clock.azure
        if self._value is None or self._read_at is None or now - self._read_at >= self.cache:
            self._value, self._read_at = self.sink.value, now
        self.calls += 1
        accepted = self._value is not None and self.world.keyring.accepts(self._value)
        if not accepted:
            self.refusals.append(now)
        return accepted


class World:
    """One service, its sinks, a ledger and a clock. Several turns over one world are several keyturns."""

    def __init__(
        self, clock: ManualClock | None = None, *, fenced: bool = True, sets: bool = True, ledger: str = "ledger-1"
    ) -> None:
        self.clock = clock if clock is not None else ManualClock()
        self.script = Script()
        self.keyring = MemoryKeyring(self.clock, self.script, fenced=fenced, sets=sets)
        self.probe = MemoryProbe(self.keyring)
        self.ledger = MemoryLedger(self.script, name=ledger)
        self.evidence = MemoryEvidence()
        self.sinks: dict[str, list[MemorySink]] = {}
        self.tokens: dict[str, TokenSpec] = {}

    def add(
        self,
        name: str,
        *,
        sinks: Sequence[str] = (),
        show: Slot | None = Slot.PRIMARY,
        kind: Kind = Kind.APIM_SUBSCRIPTION,
        tokens: TokenSpec | None = None,
    ) -> Credential:
        """A credential with two random values, and sinks that show one of them, or a token made from it (or nothing).
        `name` is the sid, unless `kind` says otherwise."""
        credential = _credential(kind, name)
        values = {slot: self.clock.random_bytes(16).hex() for slot in Slot}
        born = self.clock.azure - timedelta(days=365)
        written = [(born, slot, value) for slot, value in values.items()]
        self.keyring.entities[name] = MemoryEntity(credential=credential, values=values, written=written)
        self.sinks[name] = [MemorySink(sink, self.clock, self.script) for sink in sinks or [f"vault/{name}"]]
        if tokens is not None:
            self.tokens[name] = tokens
        if show is not None:
            for sink in self.sinks_of(credential):
                self.show(sink, Secret(values[show]))
        return credential

    def show(self, sink: Sink, value: Secret) -> None:
        """Let a sink show a value, or a token made from it, as somebody else would write it: without tags."""
        place = next(each for sinks in self.sinks.values() for each in sinks if each.name == sink.name)
        shown = sink.mint(value, self.clock.azure)[0] if isinstance(sink, TokenSink) else value
        place.put(shown.reveal())

    def sinks_of(self, credential: Credential) -> Sequence[Sink]:
        sinks, spec = self.sinks[credential.name], self.tokens.get(credential.name)
        return sinks if spec is None else [TokenSink(sink, spec, credential.identity or "") for sink in sinks]

    def credential(self, sid: str) -> Credential:
        return self.keyring.entities[sid].credential

    def record(self, sid: str) -> Record:
        return self.ledger.stored[self.credential(sid).key].record

    def value(self, sid: str, slot: Slot) -> str:
        return self.keyring.entities[sid].values[slot]


_SERVICE = "/subscriptions/0000/resourceGroups/rg/providers/Microsoft.ApiManagement/service/shop-apim"
_PLACES = {Kind.APIM_SUBSCRIPTION: "subscriptions", Kind.TENANT: "tenant", Kind.GATEWAY: "gateways"}
_IDENTITIES = {"access": "integration", "gitAccess": "git"}


def _credential(kind: Kind, name: str) -> Credential:
    """As its kind's keyring would find it."""
    plain = kind is Kind.APIM_SUBSCRIPTION
    address = f"{_SERVICE}/{_PLACES[kind]}/{name}"
    return Credential(
        id=f"shop/{name}" if plain else f"shop/{_PLACES[kind]}/{name}",
        key=address.lower(),
        address=address,
        service="shop",
        name=name,
        kind=kind,
        identity=None if plain else _IDENTITIES.get(name, name),
    )
