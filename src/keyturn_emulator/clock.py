"""The emulator's own time: it moves only on command.

Never here: the machine's clock, except to say when the emulated day begins if nobody chose one.
"""

from __future__ import annotations

from datetime import datetime, timedelta


class EmulatedClock:
    """Emulated UTC time. `on_move` callbacks run after each move, in the order they were added."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("the emulated clock needs an aware UTC time")
        self._now = start
        self.on_move: list[object] = []

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> datetime:
        """Move time by `seconds`. A negative step is allowed: clocks do jump back."""
        self._now += timedelta(seconds=seconds)
        for callback in self.on_move:
            callback()  # type: ignore[operator]
        return self._now
