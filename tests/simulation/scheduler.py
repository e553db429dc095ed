"""One seeded scheduler: who goes on, and when. It decides everything; nothing else may take time.

Keyturns are greenlets in one thread. Each call of a port takes a while of simulated time; whoever's while is over
first goes on, so that any two turns may meet in any order at any port. Time is a number of seconds since the start,
moved by the queue alone. Never here: what a keyturn does, or what may go wrong (that is `schedule`).
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from datetime import timedelta
from typing import NoReturn

from greenlet import getcurrent, greenlet

from keyturn.testing import START, Crash, ManualClock


class Scheduler:
    """A queue of instants. `run` takes them in order until `over` is set, nothing is left, or `limit` is reached."""

    def __init__(self, seed: int, *, limit: float) -> None:
        """`limit`: seconds of simulated time."""
        self.random = random.Random(seed)
        self.clock = SimulatedClock(self)
        self.seconds = 0.0
        self.running: Process | None = None
        self.over = False
        self._limit = limit
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._queued = 0
        self._home = getcurrent()

    def at(self, seconds: float, do: Callable[[], None]) -> None:
        """Do this then, or now if then is past."""
        self._queued += 1
        heapq.heappush(self._queue, (max(seconds, self.seconds), self._queued, do))

    def run(self) -> None:
        while self._queue and not self.over and self._queue[0][0] <= self._limit:
            seconds, _, do = heapq.heappop(self._queue)
            self._move(seconds)
            do()

    def pass_by(self, process: Process, span: float) -> None:
        """The running process's while: it goes on at once if nobody else's is over sooner. Raises Crash where it does
        not survive that."""
        until = self.seconds + span
        if (self._queue and self._queue[0][0] <= until) or until > self._limit:
            self.at(until, process.go_on)
            self._home.switch()
            if process.doomed or self.over:
                raise Crash(process.name)
        else:
            self._move(until)

    def _move(self, seconds: float) -> None:
        self.seconds = seconds
        self.clock.azure = START + timedelta(0, seconds)

    def rest(self) -> None:
        """The running process stops until something wakes it."""
        self._home.switch()

    def enter(self, process: Process, body: greenlet) -> None:
        """Let a process run until it stops again."""
        self.running, self.clock.ahead = process, process.ahead
        try:
            body.switch()
        finally:
            self.running, self.clock.ahead = None, timedelta(0)


class SimulatedClock(ManualClock):
    """Azure's time, and whoever runs sees it by its own clock, which may be wrong. A wait lets the others go on."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(START)
        self._scheduler = scheduler

    def boottime(self) -> float:
        return 1000.0 + self._scheduler.seconds

    def random_bytes(self, count: int) -> bytes:
        return self._scheduler.random.randbytes(count)

    def wait(self, seconds: float) -> None:
        process = self._scheduler.running
        assert process is not None, "only a process waits"
        process.take(seconds)

    def move(self, span: timedelta) -> NoReturn:
        raise AssertionError(f"only the scheduler moves time, and not by {span}")


class Process:
    """Something that acts in steps: a keyturn, or a person at one. Ends by itself, or by `Crash` at its next step."""

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        self.scheduler, self.name = scheduler, name
        self.ahead = timedelta(0)
        """How much its clock is ahead of Azure's."""
        self.doomed = False
        self.resting = False
        self._body: greenlet | None = None
        self._alarm = 0

    def start(self, body: Callable[[], None]) -> None:
        """Begin at once, as a new life: nothing of an earlier one is remembered."""
        self.doomed = self.resting = False
        self._alarm += 1
        self._body = greenlet(body)
        self.go_on()

    def go_on(self) -> None:
        if self._body is not None and not self._body.dead:
            self.scheduler.enter(self, self._body)

    def take(self, seconds: float) -> None:
        """A step of its own takes so long. Raises Crash where it does not survive that."""
        self.scheduler.pass_by(self, seconds)

    def sleep(self, seconds: float) -> None:
        """Rest for so long, or until it is woken."""
        self._alarm += 1
        alarm = self._alarm
        self.resting = True
        self.scheduler.at(self.scheduler.seconds + seconds, lambda: self._ring(alarm))
        self.scheduler.rest()
        self.resting = False
        if self.doomed or self.scheduler.over:
            raise Crash(self.name)

    def wake(self) -> bool:
        """Let it go on now if it rests."""
        if not self.resting:
            return False
        self._ring(self._alarm)
        return True

    def end(self) -> None:
        """Whatever it stood in the middle of ends without a further step."""
        self.doomed = True
        if self._body is not None and not self._body.dead:
            self._body.throw(Crash, Crash(self.name))

    def _ring(self, alarm: int) -> None:
        if self.resting and alarm == self._alarm:
            self._alarm += 1
            self.go_on()
