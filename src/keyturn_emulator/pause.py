"""The kill switch: after the n-th request everything is held, so that a test can kill a client exactly there.

It decides which requests are held, whether the n-th one takes effect first or late, and which survive the resume.

Never here: sockets; a held request is a future that resolves to what becomes of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from keyturn_emulator.faults import FaultError, Match
from keyturn_emulator.wire import Call

FIELDS = frozenset({"after_requests", "apply", "late", "match", "cut"})


@dataclass
class _Held:
    released: asyncio.Future[None]
    is_open: Callable[[], bool]
    cut: bool = False


@dataclass
class PauseGate:
    """Counts matching requests from the moment it is armed and holds them from the n-th on."""

    armed: bool = False
    after_requests: int = 0
    apply: bool = False
    late: float | None = None  # emulated seconds
    match: Match = field(default_factory=Match)
    seen: int = 0
    _reached: asyncio.Event = field(default_factory=asyncio.Event)
    _held: list[_Held] = field(default_factory=list)

    def arm(self, raw: Any) -> None:
        """`{"after_requests": n >= 1, "apply": bool, "late": seconds, "match": {...}, "cut": bool}`.

        `late`: the n-th request is accepted, and takes effect so much later, whether or not its sender lives then.
        `cut`: whoever an earlier pause holds gets no answer; else they go on. Raises FaultError naming the wrong field.
        """
        if not isinstance(raw, dict):
            raise FaultError("a pause is an object with after_requests")
        for name in raw:
            if name not in FIELDS:
                raise FaultError(f"{name} is not known; known are {', '.join(sorted(FIELDS))}")
        count, apply = raw.get("after_requests", 1), raw.get("apply", False)
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise FaultError("after_requests must be a whole number from 1")
        if not isinstance(apply, bool):
            raise FaultError("apply must be true or false")
        late, cut = raw.get("late"), raw.get("cut", False)
        if late is not None and (isinstance(late, bool) or not isinstance(late, int | float) or late < 0):
            raise FaultError("late must be a number of seconds from 0")
        if apply and late is not None:
            raise FaultError("late and apply exclude each other")
        if not isinstance(cut, bool):
            raise FaultError("cut must be true or false")
        match = Match.read(raw.get("match", {}))
        self.resume(cut=cut)
        self.armed, self.after_requests, self.apply, self.match, self.seen = True, count, apply, match, 0
        self.late = late
        self._reached = asyncio.Event()

    def stops(self, call: Call) -> bool:
        """Count `call`; whether it must be held."""
        if not self.armed or not self.match.fits(call):
            return False
        self.seen += 1
        return self.seen >= self.after_requests

    def applies_first(self) -> bool:
        """Whether the request just counted takes effect before it is held: only the n-th may."""
        return self.apply and self.seen == self.after_requests

    def comes_late(self) -> float | None:
        """In how many emulated seconds the request just counted takes effect, unanswered; None almost always."""
        return self.late if self.seen == self.after_requests else None

    async def hold(self, is_open: Callable[[], bool]) -> bool:
        """Wait for the resume; whether the request's connection is still there then, and not to be cut."""
        held = _Held(asyncio.get_running_loop().create_future(), is_open)
        self._held.append(held)
        self._reached.set()
        await held.released
        return not held.cut and held.is_open()

    async def wait_reached(self, seconds: float) -> bool:
        """Whether a request is held, waiting at most `seconds` of machine time for it."""
        try:
            await asyncio.wait_for(self._reached.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def resume(self, *, cut: bool = False) -> int:
        """Disarm and let the held requests go, or cut their connections, in the order they came; how many were held."""
        self.armed = False
        held, self._held = self._held, []
        for request in held:
            request.cut = cut
            if not request.released.done():
                request.released.set_result(None)
        return len(held)

    def describe(self) -> dict[str, Any]:
        return {
            "armed": self.armed,
            "reached": bool(self._held),
            "seen": self.seen,
            "held": len(self._held),
            "after_requests": self.after_requests,
            "apply": self.apply,
            "late": self.late,
            "match": self.match.describe(),
        }
