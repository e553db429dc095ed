"""The emulator's own time: it moves only on command.

Two readings: `now`, the emulated UTC, which may be set forwards or backwards like any machine's clock, and
`boot`, the emulated seconds that really passed, which never goes back.

Never here: the machine's clock, except to say when the emulated day begins if nobody chose one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class EmulatedClock:
    """Emulated UTC time. `on_move` callbacks run after each move, in the order they were added."""

    def __init__(self, start: datetime, boot: float = 0.0) -> None:
        if start.tzinfo is None:
            raise ValueError("the emulated clock needs an aware UTC time")
        self._now = start.astimezone(UTC)
        self._boot = boot
        self.on_move: list[Callable[[], None]] = []

    def now(self) -> datetime:
        return self._now

    def boot(self) -> float:
        """Emulated seconds that passed since the emulator started; a jump of the clock does not count."""
        return self._boot

    def advance(self, seconds: float) -> datetime:
        """Let `seconds` pass. A negative step moves the clock back and lets no time pass."""
        self._boot += max(seconds, 0.0)
        return self.jump(seconds)

    def jump(self, seconds: float) -> datetime:
        """Set the clock by `seconds`, forwards or back, as a correction does: no time passes."""
        self._now += timedelta(seconds=seconds)
        for callback in tuple(self.on_move):
            callback()
        return self._now


def machine_now() -> datetime:
    """The machine's UTC, in whole seconds: for what clients time by the machine, such as tokens."""
    return datetime.now(UTC).replace(microsecond=0)


def iso(moment: datetime) -> str:
    """`2026-01-05T08:00:00Z`, with six digits of a second when there are any."""
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return f"{text}Z"


def from_iso(text: str) -> datetime:
    """The aware UTC time that `text` names. Raises ValueError when it is no ISO time or names no offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no offset: end it with Z")
    return moment.astimezone(UTC)
