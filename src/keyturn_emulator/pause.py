"""The kill switch: after the n-th request everything is held, so that a test can kill a client exactly there.

It decides which requests are held, whether the n-th one takes effect first, and which survive the resume.

Never here: sockets; a held request is a future that resolves to what becomes of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from keyturn_emulator.faults import FaultError, Match
from keyturn_emulator.wire import Call

FIELDS = frozenset({"after_requests", "apply", "match"})


@dataclass
class _Held:
    released: asyncio.Future[None]
    is_open: Callable[[], bool]


@dataclass
class PauseGate:
    """Counts matching requests from the moment it is armed and holds them from the n-th on."""

    armed: bool = False
    after_requests: int = 0
    apply: bool = False
    match: Match = field(default_factory=Match)
    seen: int = 0
    _reached: asyncio.Event = field(default_factory=asyncio.Event)
    _held: list[_Held] = field(default_factory=list)

    def arm(self, raw: Any) -> None:
        """`{"after_requests": n >= 1, "apply": bool, "match": {...}}`. Raises FaultError naming the wrong
        field.
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
        match = Match.read(raw.get("match", {}))
        self.resume()
        self.armed, self.after_requests, self.apply, self.match, self.seen = True, count, apply, match, 0
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

    async def hold(self, is_open: Callable[[], bool]) -> bool:
        """Wait for the resume; whether the request's connection is still there then."""
        held = _Held(asyncio.get_running_loop().create_future(), is_open)
        self._held.append(held)
        self._reached.set()
        await held.released
        return held.is_open()

    async def wait_reached(self, seconds: float) -> bool:
        """Whether a request is held, waiting at most `seconds` of machine time for it."""
        try:
            await asyncio.wait_for(self._reached.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def resume(self) -> int:
        """Disarm and let the held requests go, in the order they came; how many were held."""
        self.armed = False
        held, self._held = self._held, []
        for request in held:
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
            "match": self.match.describe(),
        }
