"""Two loops of `keyturn run --wait`, each its own process after process, that are killed and frozen at random.

A loop that was killed begins anew at once; one whose keyturn ended by itself begins again when the play says so. A
freeze ends after some machine seconds, or sooner, before `LONGEST_FREEZE` of emulated time has passed: that is less
than `late`, and so less than the drain. Both ends are drawn. What it says goes to a log of its own, which is read for
tracebacks. Never here: emulated time moving.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from bench.soak.weather import LATE
from keyturn.demo.control import KEYTURN, Program, keyturn_program, machine_seconds

LONGEST_FREEZE: Final = timedelta(minutes=17)
"""Emulated. Together with a late effect it is less than the `late` of `play.policy`."""
SHORTEST_FREEZE: Final = timedelta(seconds=30)
BETWEEN: Final = (2.0, 8.0)
"""Machine seconds from one blow to the next, for each loop; so long, too, a thread has after a freeze to send what it
was about to send, before it is frozen again: two freezes must not make one that is too long."""
FROZEN: Final = (0.2, 4.0)
"""Machine seconds that a freeze lasts at most: whoever is frozen in the middle of a save has locked the ledger."""
KILLED: Final = 0.4
"""The share of blows that kill; the others freeze."""
SPEAKS_WITHIN: Final = 10.0
"""Machine seconds after which a process is struck though it has not said a word; twice as long each time, because what
comes before the first word is imports, and on a busy machine nothing else would ever happen."""
TRACEBACK: Final = b"Traceback (most recent call last)"


class Loop:
    """One loop. Kill it, whatever happens."""

    def __init__(
        self,
        number: int,
        config: Path,
        env: Mapping[str, str],
        draw: random.Random,
        command: Sequence[str] = KEYTURN,
    ) -> None:
        self.number = number
        self.log = config.parent / f"keyturn-{number}.log"
        self._config, self._env, self._draw, self._command = config, env, draw, command
        self.program: Program | None = None
        self.kills = self.stops = 0
        self.longest_freeze = timedelta(0)
        self._frozen_at: datetime | None = None
        self.thaw_by: datetime | None = None
        """The emulated instant before which a freeze ends; None while it is not frozen."""
        self._thaws = 0.0
        self._began, self._patience = 0.0, SPEAKS_WITHIN
        self._next_blow: float | None = None
        """None until its process has said something."""
        self._read = 0
        self.tracebacks = 0

    @property
    def is_awake(self) -> bool:
        """It has a process, and that is not frozen."""
        return self.program is not None and self.thaw_by is None

    @property
    def waits_as(self) -> str:
        """The name under which its process waits for emulated time."""
        return "" if self.program is None else f"keyturn {self.program.pid}"

    def start(self) -> None:
        self._began, self._next_blow = machine_seconds(), None
        arguments = ["run", "--wait", "--config", str(self._config)]
        self.program = keyturn_program(arguments, self._env, self.log, self._command)

    def ended(self) -> int | None:
        """The exit code of a process that ended by itself, told once."""
        code = None if self.program is None else self.program.ended()
        if code is not None and self.program is not None:
            self.program.close()
            self.program, self.thaw_by = None, None
            self._look_for_tracebacks()
        return code

    def blow(self, now: datetime) -> None:
        """Kill or freeze its process, if the time for it has come; a killed one begins anew at once."""
        if not self.is_awake:
            return
        if self._next_blow is None and self._has_begun():
            self._next_blow = machine_seconds() + self._draw.uniform(*BETWEEN)
        if self._next_blow is None or machine_seconds() < self._next_blow:
            return
        if self._draw.random() < KILLED:
            self.kill()
            self.kills += 1
            self.start()
        else:
            self._freeze(now)

    def thaw(self, now: datetime, *, force: bool = False) -> None:
        """Let a frozen process go on, if it was frozen for long enough."""
        if self.program is None or self.thaw_by is None or self._frozen_at is None:
            return
        if not (force or now >= self.thaw_by or machine_seconds() >= self._thaws):
            return
        _signal(self.program, signal.SIGCONT)
        self.longest_freeze = max(self.longest_freeze, now - self._frozen_at)
        self.thaw_by = self._frozen_at = None
        self._next_blow = machine_seconds() + self._draw.uniform(*BETWEEN)

    def kill(self) -> None:
        """End its process at once, frozen or not."""
        if self.program is not None:
            self.program.kill()
            self.program.close()
        self.program, self.thaw_by = None, None
        self._look_for_tracebacks()

    def end(self) -> None:
        """Let its process end as a timer's stop would: turns under way end by themselves."""
        if self.program is not None:
            self.program.close()
        self.program = None
        self._look_for_tracebacks()

    def last_words(self) -> str:
        said = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " / ".join(said[-3:]) or "it said nothing"

    def _has_begun(self) -> bool:
        """Its process has said something since it was started, or has had the time for it."""
        if self.log.exists() and self.log.stat().st_size > self._read:
            return True
        if machine_seconds() - self._began < self._patience:
            return False
        self._patience *= 2
        return True

    def _freeze(self, now: datetime) -> None:
        if self.program is None:
            return
        _signal(self.program, signal.SIGSTOP)
        self.stops += 1
        span = SHORTEST_FREEZE + (LONGEST_FREEZE - SHORTEST_FREEZE) * self._draw.random()
        self._frozen_at, self.thaw_by = now, now + span
        self._thaws = machine_seconds() + self._draw.uniform(*FROZEN)

    def _look_for_tracebacks(self) -> None:
        """In what was said since this was called last: it is called between two lives."""
        if self.log.exists():
            said = self.log.read_bytes()
            self.tracebacks += said.count(TRACEBACK, self._read)
            self._read = len(said)


def freeze_and_late() -> timedelta:
    """The longest from an effect's last check until it has landed, late effects of frozen senders included."""
    return LONGEST_FREEZE + LATE


def _signal(program: Program, number: int) -> None:
    """To the whole group of a process, which may have ended by itself a moment ago."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, number)
