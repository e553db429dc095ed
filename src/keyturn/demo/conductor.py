"""The one who moves emulated time.

Time moves only while keyturn waits (all of them, where there are several): its clock tells the emulator until when. A
step goes to the earliest such instant, but is at most `most` (a quarter of the callers' cache time, while any
credential is not idle) and at least `least`, so that waits of a fraction of a second for the budget pass together: that
keyturn wakes a few seconds late is what it must bear anyway. After each step every caller calls. Never here: a
judgement about keyturn.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from keyturn.demo.control import Control, Program, StageFault, machine_seconds

LEAST: Final = timedelta(seconds=5)
PAUSE: Final = 0.008
"""Machine seconds between two looks at whether keyturn waits."""
PATIENCE: Final = 120.0
"""Machine seconds after which a keyturn that neither works nor waits is a fault."""


class Conductor:
    """`after_step` is called after each step of the clock: it lets the callers call, and shows what happened."""

    def __init__(
        self,
        control: Control,
        after_step: Callable[[], None],
        *,
        most: timedelta,
        least: timedelta = LEAST,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self.control = control
        self.steps = 0
        self.waiting_long = False
        """The last step had full length: what keyturn waits for now takes longer than that."""
        self._after_step = after_step
        self._between = between
        self._most, self._least = most, min(least, most)
        self._sequence = 0
        self._busy_at = machine_seconds()

    def step(self, span: timedelta) -> None:
        """Let `span` pass, then let every caller call."""
        self.control.advance(span)
        self.steps += 1
        self.waiting_long = span >= self._most
        self._after_step()
        self._busy_at = machine_seconds()

    def pass_time(self, span: timedelta, step: timedelta) -> None:
        """Let `span` pass in steps, while nothing rotates."""
        end = self.control.now() + span
        while (left := end - self.control.now()) > timedelta(0):
            self.step(min(step, left))

    def follow(self, program: Program, stopped: Callable[[], bool] = lambda: False) -> int | None:
        """Move time until the program ends; its exit code. None as soon as `stopped` says so. Raises StageFault."""
        self._busy_at = machine_seconds()
        while True:
            code = program.ended()
            if code is not None:
                return code
            if stopped():
                return None
            span = self.wanted()
            if span is not None:
                self.step(span)
            else:
                self.pause()

    def pause(self) -> None:
        """Give keyturn a moment to work."""
        self._between()
        time.sleep(PAUSE)

    def wanted(self, programs: int = 1) -> timedelta | None:
        """How far time may move now: None while any of so many keyturns works, seen by requests arriving between two
        looks, and by its not waiting. Raises StageFault."""
        before, self._sequence = self._sequence, self.control.sequence(self._sequence)
        if before != self._sequence:
            self._busy_at = machine_seconds()
            return None
        now, waiters = self.control.clock()
        if len({waiter.name for waiter in waiters}) >= programs:  # each keyturn waits under a name of its own
            earliest = min(waiter.until for waiter in waiters)
            return max(min(earliest - now, self._most), self._least)
        if machine_seconds() - self._busy_at > PATIENCE:
            raise StageFault("keyturn neither works nor waits", hint="This is a defect: please report it.")
        return None
