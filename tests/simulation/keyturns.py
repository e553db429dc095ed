"""Who acts in the simulation: keyturns with the real sweep and turns, and people who interfere.

A keyturn sleeps until its sweep says that a wait ends, comes by at some moment after that, and sweeps. Never here: what
goes wrong (that is `schedule`), or what comes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

from keyturn import by_hand
from keyturn.errors import Conflict, KeyturnError, LedgerFault
from keyturn.model import Secret, Slot
from keyturn.ports import Holder
from keyturn.sweep import Charge, Sweep
from keyturn.testing import Crash
from keyturn.turn_by_hand import TurnByHand
from tests.keyturns import keyturn
from tests.simulation.azure import SID, SimulatedWorld
from tests.simulation.schedule import Incident, Keyturn, Setting, What, policy_of
from tests.simulation.scheduler import Process

LONGEST_SLEEP = 3600.0
"""A keyturn comes by once an hour at least."""
AFTER_A_FAULT = 60.0

P = ParamSpec("P")
T = TypeVar("T")


class Done(Future[T]):
    """What came of something that is done already; without the locks of one that is not."""

    def __init__(self, answer: T | None, problem: Exception | None) -> None:
        self._answer, self._problem = answer, problem

    def result(self, timeout: float | None = None) -> T:
        if self._problem is not None:
            raise self._problem
        return self._answer  # type: ignore[return-value]  # it is one where there is no problem

    def exception(self, timeout: float | None = None) -> BaseException | None:
        return self._problem


class OneAfterAnother(Executor):
    """A pool without threads: whatever is submitted is done at once."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        try:
            return Done(fn(*args, **kwargs), None)
        except Exception as problem:  # noqa: BLE001 - a future keeps it, whatever it is
            return Done(None, problem)


def one_after_another(_workers: int) -> Executor:
    return OneAfterAnother()


class Simulated(Process):
    """Somebody whose calls of ports are watched."""

    def __init__(self, world: SimulatedWorld, setting: Setting, name: str) -> None:
        super().__init__(world.scheduler, name)
        self.world, self.setting = world, setting
        self.reached: dict[str, int] = {}
        self.incidents: dict[tuple[str, int], Incident] = {}
        self.answers: dict[tuple[str, int], Incident] = {}
        self.unread: dict[tuple[str, int], Incident] = {}
        self.began_at: float | None = None
        """When it read the entity, if it has read no sink since (seconds)."""
        self.looked_at = 0.0
        """When its last look began (seconds)."""
        self.reads: dict[str, str | None] = {}
        """What that look was told by each sink; None: nothing."""
        self.sent = 0.0
        """When its look began on which its last effect rests (seconds)."""
        self.struck = 0
        self.policy = policy_of(setting)
        self.credential = world.credential(SID)
        self.turn: TurnByHand = keyturn(world)

    def suffers(self, incident: Incident) -> None:
        at = (incident.point, incident.nth)
        given = {What.ANSWER: self.answers, What.UNREAD: self.unread}.get(incident.what, self.incidents)
        given[at] = incident

    def died(self, span: float) -> None:
        """It ends here and now. Whether somebody starts it again is its own."""
        self.doomed = True
        raise Crash(self.name)


class SimulatedKeyturn(Simulated):
    """One keyturn: a service, or a command that somebody runs again and again."""

    def __init__(self, world: SimulatedWorld, setting: Setting, number: int) -> None:
        super().__init__(world, setting, f"keyturn {number + 1}")
        self.kind = setting.keyturns[number]
        self.ahead = timedelta(seconds=setting.clocks[number])
        self.lives = 0
        self.forced = False
        self.calm = False
        """Nothing goes wrong any more: it comes by without delay."""
        self.swept: Callable[[], None] = lambda: None
        self.failed: Callable[[Exception], None] = _raised
        self.sweep: Sweep

    def begin(self) -> None:
        self.start(self._live)

    def died(self, span: float) -> None:
        self.scheduler.at(self.scheduler.seconds + span, self.begin)
        super().died(span)

    def _live(self) -> None:
        try:
            self._boot()
            while True:
                self._come_by()
        except Crash:
            return
        except Exception as problem:  # noqa: BLE001 - a defect of what is tested ends the schedule, and is its story
            self.failed(problem)

    def _boot(self) -> None:
        """A process begins: nothing in memory."""
        self.lives += 1
        dead = Holder(host="one", boot_id="b", pid=self.lives - 1, started="0", nonce=self.name)
        self.world.ledger.dead.add(dead)
        self.turn = keyturn(self.world)
        self.sweep = Sweep(
            [Charge(self.credential, self.policy, self.turn)],
            ledger=self.world.ledger,
            clock=self.world.clock,
            holder=Holder(host="one", boot_id="b", pid=self.lives, started="0", nonce=self.name),
            workers=1,
            pool=one_after_another,
        )

    def _come_by(self) -> None:
        if self.kind is Keyturn.COMMAND:
            self._boot()
        force, self.forced = ({self.credential.key} if self.forced else set()), False
        try:
            swept = self.sweep.follow(force=force)
        except LedgerFault:
            self._boot()
            self.swept()
            self.sleep(AFTER_A_FAULT)
            return
        self.swept()
        left = LONGEST_SLEEP
        if swept.next_at is not None:
            left = min(left, max((swept.next_at - self.world.clock.now()).total_seconds(), 1.0))
        late = 0.0 if self.calm else self.scheduler.random.random() * self.setting.eager
        self.sleep(left + late)


def _raised(problem: Exception) -> None:
    raise problem


class Operator(Simulated):
    """A person at the command line, for one command."""

    def __init__(self, world: SimulatedWorld, setting: Setting, asks: str, name: str) -> None:
        super().__init__(world, setting, name)
        self.asks = asks
        self.done: Callable[[str], None] = lambda _: None

    def begin(self) -> None:
        self.start(self._ask)

    def _ask(self) -> None:
        try:
            self.done(self._tried())
        except Crash:
            return

    def _tried(self) -> str:
        try:
            self._do()
        except KeyturnError as problem:
            return f"is told: {problem.message}"
        return "is served"

    def _do(self) -> None:
        slots = tuple(Slot)
        if self.asks == "compromise":
            self.turn.compromise(self.credential, self.policy, slots[: 1 + self.setting.seed % 2], because="leaked")
        elif self.asks == "set":
            drawn = Secret(self.world.clock.random_bytes(16).hex())
            slot = slots[self.setting.seed % 2]
            self.turn.write_slot(self.credential, self.policy, slot, drawn, because="by hand")
        else:
            ask = {"rotate": by_hand.request, "rollback": by_hand.rollback, "release": by_hand.release}
            self._change(ask.get(self.asks, by_hand.hold))

    def _change(self, ask: Any) -> None:
        """As the command line does it: read, change, save by compare-and-swap, once more where somebody was faster."""
        while True:
            stored = self.world.ledger.load(self.credential.key)
            if stored is None:
                return
            record, event = ask(stored.record, self.asks, self.world.clock.now())
            try:
                self.world.ledger.save(record, stored.version, [event])
            except Conflict:
                continue
            return
