"""A person in the portal who regenerates a slot now and then, of one credential after the other.

Mostly the published one; nobody whose callers may still be refused for the last time. What he ends is noted, as the
truth by which refused calls are judged. Never here: what keyturn makes of it.
"""

from __future__ import annotations

import random
from datetime import datetime
from typing import Final

from bench.soak.callers import mark
from bench.soak.judge import Bound, Ending
from keyturn.demo.control import Control, machine_seconds
from keyturn.demo.stage import SERVICE
from keyturn.model import SLOTS, Record

BETWEEN: Final = (8.0, 24.0)
"""Machine seconds from one write to the next."""
PUBLISHED: Final = 0.7
"""How often he takes the published slot."""


class Portal:
    """What he has done so far."""

    def __init__(self, control: Control, bound: Bound, draw: random.Random) -> None:
        self._control, self._bound, self._draw = control, bound, draw
        self._next = machine_seconds() + draw.uniform(*BETWEEN)
        self.endings: list[Ending] = []
        self.published = 0
        """How many of them were published."""

    def regenerate(self, records: dict[str, Record], now: datetime) -> None:
        """Regenerate a slot, if the time for it has come; `records`: the ledger, by sid."""
        if machine_seconds() < self._next:
            return
        self._next = machine_seconds() + self._draw.uniform(*BETWEEN)
        open_ = {ending.sid for ending in self.endings if not self._bound.is_over(ending, now)}
        choice = sorted(sid for sid, record in records.items() if record.active is not None and sid not in open_)
        if choice:
            self._regenerate(records[sid := self._draw.choice(choice)], sid, now)

    def _regenerate(self, record: Record, sid: str, now: datetime) -> None:
        assert record.active is not None
        slot = record.active if self._draw.random() < PUBLISHED else record.active.other
        self.published += slot is record.active
        # Between these two requests keyturn could write the slot. It does not, where callers have its value.
        value = self._control.values(SERVICE, sid)[SLOTS.index(slot)]
        self._control.ask("POST", "portal", {"service": SERVICE, "sid": sid, "slot": slot.value})
        self.endings.append(Ending(sid=sid, mark=mark(value), at=now, look_by=record.not_before))
