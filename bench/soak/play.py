"""The soak itself: time passes, keyturns are killed and frozen, callers call, and every refused call is judged at once.

Emulated time leaps to the next wait's end where every keyturn that is not frozen waits, and creeps, `PACE` emulated
seconds to one of the machine, where one works: so that a leap never falls between a check and its send, but in a
freeze. No step is longer than `MOST`, nor beyond the end of a freeze. After each step
everybody calls. In the end faults cease, nobody is killed, and every credential has to come to rest.

The seed draws who is struck when; how far keyturn is by then depends on the machine, so that a seed does not replay.
Never here: which refused call is allowed (that is `judge`).
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from bench.soak.callers import Crowd
from bench.soak.judge import TIMER, Bound, By, Outcome, Refusal, judge
from bench.soak.loops import LONGEST_FREEZE, Loop, freeze_and_late
from bench.soak.portal import Portal
from bench.soak.weather import Weather
from keyturn.demo.control import KEYTURN, EmulatedAzure, machine_seconds
from keyturn.demo.stage import ALIAS, Settings, Stage
from keyturn.errors import LedgerFault
from keyturn.ledgers.reading import LedgerView
from keyturn.model import Mode, Record
from keyturn.model import Stage as Phase
from keyturn.policy import Consumers, Policy

POLICY: Final = Policy(
    name="soak",
    every=timedelta(hours=1),
    jitter=timedelta(minutes=20),
    drain=timedelta(minutes=27),
    consumers=Consumers(
        cache=timedelta(minutes=25), longest_call=timedelta(seconds=10), replication=timedelta(seconds=10)
    ),
    settle=timedelta(seconds=10),
    propagation=timedelta(minutes=2),
    look_every=timedelta(minutes=30),
    deadline=timedelta(minutes=1),
    late=timedelta(minutes=25),
    max_clock_skew=timedelta(seconds=10),
)
"""What the configuration says: short spans, so that many rotations fit into ten minutes. The drain is about the
shortest that A3 allows, and callers keep what they read for nearly as long: what is too short by minutes refuses them.
"""
assert freeze_and_late() < POLICY.late < POLICY.drain
PACE: Final = 6.0
CREEP: Final = 0.5
"""Machine seconds after which creeping time moves."""
PAUSE: Final = 0.03
MOST: Final = timedelta(minutes=2)
LEAST: Final = timedelta(seconds=5)
PATIENCE: Final = 180.0
"""Machine seconds beyond those asked for: a soak in which nobody was struck shows nothing."""
CALM: Final = timedelta(hours=8)
"""Emulated: so long every credential has to come to rest."""
CALM_SECONDS: Final = 120.0
"""Machine seconds that it has for it; where they do not suffice, it is not judged."""


def settings(credentials: int) -> Settings:
    more = POLICY.consumers
    return Settings(
        credentials=credentials,
        period=POLICY.every,
        drain=POLICY.drain,
        cache=more.cache,
        look_every=POLICY.look_every,
        workers=4,
        more=(
            f"    consumers: {{ cache: {_s(more.cache)}, longest_call: {_s(more.longest_call)},"
            f" replication: {_s(more.replication)} }}\n"
            f"    settle: {_s(POLICY.settle)}\n"
            f"    propagation: {_s(POLICY.propagation)}\n"
            f"    deadline: {_s(POLICY.deadline)}\n"
            f"    late: {_s(POLICY.late)}\n"
            f"    max_clock_skew: {_s(POLICY.max_clock_skew)}\n"
        ),
    )


def both_modes(text: str) -> str:
    """The stage's configuration, with its policy given twice: one product in regenerate mode, the others in set mode;
    and with jitter, so that rotations do not all begin together."""
    every = f"every: {_s(POLICY.every)}"
    text = text.replace(every, f"{every}, jitter: {_s(POLICY.jitter)}")
    head, rest = text.split("policies:\n")
    policy, tail = rest.split("ledger:")
    regenerate = (
        policy.replace("name: partners", "name: partners-regenerate")
        .replace(f"service: {ALIAS} }}", f"service: {ALIAS}, product: silver }}")
        .replace(f"renew: {Mode.SET}", f"renew: {Mode.REGENERATE}")
    )
    return f"{head}policies:\n{regenerate}{policy}ledger:{tail}"


class Soak:
    """One soak in one folder. Close it, whatever happens."""

    def __init__(
        self,
        azure: EmulatedAzure,
        folder: Path,
        *,
        credentials: int,
        seed: int,
        command: Sequence[str] = KEYTURN,
    ) -> None:
        self.stage = Stage(azure, folder, settings(credentials))
        self._control = azure.control
        self._seed, self._command = seed, command
        self._began = machine_seconds()
        self._bound = Bound(policy=POLICY, freeze=LONGEST_FREEZE)
        self._weather = Weather(self._control)
        self._crowd: Crowd | None = None
        self.loops: list[Loop] = []
        self._next_start: dict[int, datetime] = {}
        self._records: dict[str, Record] = {}
        self._refused: Counter[By] = Counter(dict.fromkeys(By, 0))
        self._allowed = 0
        self._longest = timedelta(0)
        self._broken: list[str] = []
        self._sequence = 0
        self._moved = machine_seconds()
        self._tracebacks = 0
        self._at_rest: bool | None = None

    # -------- the acts

    def play(self, seconds: float, *, calm: float = CALM_SECONDS) -> Outcome:
        """Interfere for so many machine seconds, and longer where the machine had no time yet for a kill and a freeze;
        then let it come to rest, for `calm` more of them at most. Raises StageFault."""
        self.open()
        self._weather.rise()
        end = machine_seconds() + seconds
        latest = end + PATIENCE
        while machine_seconds() < (end if self.kills and self.stops else latest):
            self._interfere()
            self._go_on()
        self._come_to_rest(machine_seconds() + calm)
        return self.outcome()

    def open(self) -> None:
        """Build the stage; every caller calls for the first time. Raises StageFault."""
        self.stage.build()
        config = self.stage.config
        config.write_text(both_modes(config.read_text(encoding="utf-8")), encoding="utf-8")
        self._start = self._control.now()
        self._crowd = Crowd(self.stage)
        draw = random.Random(self._seed)
        self.loops = [
            Loop(number, config, self.stage.env, random.Random(draw.random()), self._command) for number in (1, 2)
        ]
        self.portal = Portal(self._control, self._bound, random.Random(draw.random()))

    def _interfere(self) -> None:
        now = self._control.now()
        for loop in self.loops:
            loop.thaw(now)
            loop.blow(now)
        self.portal.regenerate(self._records, now)

    def _come_to_rest(self, end: float) -> None:
        """Nobody interferes any more, until every credential was seen idle after a look since."""
        self._weather.clear()
        calm_since = now = self._control.now()
        for loop in self.loops:
            loop.thaw(now, force=True)
        rested: set[str] = set()
        while machine_seconds() < end and len(rested) < len(self.stage.sids):
            self._go_on()
            self._read_ledger()
            rested |= {sid for sid, record in self._records.items() if _rests(record, calm_since)}
            if self._control.now() > calm_since + CALM:
                break
        for loop in self.loops:
            loop.end()
        if len(rested) == len(self.stage.sids):
            self._at_rest = True
            self._all_read_once_more()
        elif self._control.now() > calm_since + CALM:
            self._at_rest = False

    def _all_read_once_more(self) -> None:
        for _ in range(POLICY.consumers.cache // MOST + 1):
            self.let_pass(MOST)
        live, shown = self.stage.live(), self.stage.shown()
        self._broken += [
            f"in the end the sink of {sid} shows no live value" for sid in live if shown[sid] not in live[sid]
        ]

    def close(self) -> None:
        """End every process and connection that it began."""
        for loop in self.loops:
            loop.kill()
        if self._crowd is not None:
            self._crowd.close()

    # -------- time

    def _go_on(self) -> None:
        """Start whoever is to start, and let time leap or creep."""
        self._hear()
        span = self._leap()
        if span is None and machine_seconds() - self._moved >= CREEP:
            span = timedelta(seconds=(machine_seconds() - self._moved) * PACE)
        if span is None:
            time.sleep(PAUSE)
        else:
            self.let_pass(span)

    def _leap(self) -> timedelta | None:
        """How far time may leap: None while a keyturn that is not frozen works."""
        before, self._sequence = self._sequence, self._control.sequence(self._sequence)
        now, waiters = self._control.clock()
        awake = {loop.waits_as for loop in self.loops if loop.is_awake}
        waiting = {waiter.name for waiter in waiters}
        if before != self._sequence or not awake <= waiting:
            return None
        ends = [waiter.until for waiter in waiters if waiter.name in awake]
        ends += [self._next_start.get(loop.number, now) for loop in self.loops if loop.program is None]
        return max(min([end - now for end in ends], default=MOST), LEAST)

    def let_pass(self, span: timedelta) -> None:
        """Let time pass, at most until a freeze has to end, and let everybody call."""
        now = self._control.now()
        ends = [loop.thaw_by - now for loop in self.loops if loop.thaw_by is not None]
        span = min([span, MOST, *ends])
        if span > timedelta(0):
            self._control.advance(span)
        self._moved = machine_seconds()
        now = self._control.now()
        for loop in self.loops:
            loop.thaw(now)
        self._call(now)

    def _hear(self) -> None:
        """Keyturns that ended by themselves begin again when the ledger wants it, a timer's minute later at least."""
        now = self._control.now()
        for loop in self.loops:
            code = loop.ended()
            if code is not None:
                self._read_ledger()
                self._next_start[loop.number] = max(now + TIMER, self._due() or now)
                if code not in {0, 1}:
                    self._broken.append(f"keyturn {loop.number} ended with {code}: {loop.last_words()}")
            if loop.program is None and self._next_start.get(loop.number, now) <= now:
                loop.start()
        found = sum(loop.tracebacks for loop in self.loops)
        if found > self._tracebacks:
            self._tracebacks = found
            self._broken.append(f"a traceback in what keyturn said before {now:%Y-%m-%d %H:%M:%S}, emulated")

    # -------- what happened

    def _call(self, now: datetime) -> None:
        assert self._crowd is not None
        for refused, outcome in self._crowd.round(now):
            refusal = Refusal(sid=refused.sid, mark=refused.mark, read_at=refused.read_at, at=now, outcome=outcome)
            verdict = judge(refusal, self.portal.endings, self._bound)
            self._refused[verdict.by] += 1
            self._allowed += verdict.allowed
            if verdict.allowed:
                self._longest = max(self._longest, verdict.after)
            else:
                self._broken.append(verdict.sentence)
        self.stage.note_values()
        self._read_ledger()

    def _due(self) -> datetime | None:
        """When the ledger wants a look; None: at once."""
        ends = [record.not_before for record in self._records.values() if record.hold is None]
        known = [end for end in ends if end is not None]
        return min(known) if known and len(known) == len(ends) else None

    def _read_ledger(self) -> None:
        """The ledger as anybody may look at it; what was seen last while it cannot be read."""
        if not self.stage.ledger.exists():
            return
        try:
            with LedgerView.open(f"sqlite:///{self.stage.ledger}") as view:
                self._records = {record.id.partition("/")[2]: record for record in view.records()}
        except LedgerFault:
            return

    @property
    def rotations(self) -> dict[str, int]:
        """Finished, by sid."""
        return {sid: self._records[sid].rotations if sid in self._records else 0 for sid in self.stage.sids}

    @property
    def kills(self) -> int:
        return sum(loop.kills for loop in self.loops)

    @property
    def stops(self) -> int:
        return sum(loop.stops for loop in self.loops)

    def outcome(self) -> Outcome:
        """What came of it so far."""
        assert self._crowd is not None
        self._read_ledger()
        self.stage.note_values()
        self.stage.ever |= self._crowd.used
        errors = self._crowd.errors
        broken = [*self._broken, *errors[:1]]
        broken += [f"{record.id} is held: {record.hold.reason}" for record in self._records.values() if record.hold]
        return Outcome(
            seed=self._seed,
            seconds=machine_seconds() - self._began,
            emulated=self._control.now() - self._start,
            rotations=self.rotations,
            kills=self.kills,
            stops=self.stops,
            longest_freeze=max(loop.longest_freeze for loop in self.loops),
            faults=self._weather.struck(),
            portal_writes=len(self.portal.endings),
            calls=self._crowd.calls,
            refused=dict(self._refused),
            allowed=self._allowed,
            longest=self._longest,
            bound=self._bound.whole,
            refused_by_gateways=self._control.refused_callers(),
            broken=tuple(broken),
            tracebacks=sum(loop.tracebacks for loop in self.loops),
            leaks=tuple(self.stage.leaks()),
            at_rest=self._at_rest,
        )


def _rests(record: Record, since: datetime) -> bool:
    looked = record.looked_at is not None and record.looked_at > since
    return looked and record.stage is Phase.IDLE and record.hold is None and record.failures == 0


def _s(span: timedelta) -> str:
    """As the configuration writes it: whole seconds."""
    return f"{int(span.total_seconds())}s"
