"""How fast keyturn may call: token buckets that stay below Azure's own.

Decides when the next call may go. First come, first served; waits pass through the Clock port, so that they work in
emulated time. Never here: a call, or what a 429 means to the one who got it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

from keyturn.ports import Clock


class Rate(NamedTuple):
    """A bucket's size, and how many calls come back to it per second."""

    size: float
    per_second: float


ARM_RATES: Final[Mapping[str, Rate]] = {
    "reads": Rate(250, 25),  # per azure subscription and principal (azure-facts 4)
    "writes": Rate(200, 10),
}
VAULT_RATES: Final[Mapping[str, Rate]] = {
    # Azure allows 300 sets in any 10 s (azure-facts 7.4): 150 at once and 15/s stay within every such window.
    "sets": Rate(150, 15),
}
MARGIN: Final = 0.01
"""The part of a bucket left unused, because calls do not arrive as evenly as they are sent."""
EARLY: Final = 0.05
"""A wait that ended this many seconds early was cut short because the process is asked to stop."""

NOTHING: Final = 1e-6
"""Clocks count in microseconds: a shorter wait would never end."""
SHORTEST: Final = 0.001


class _Bucket:
    def __init__(self, rate: Rate, share: float, now: float) -> None:
        self.share = share
        self.size = max(rate.size * (1 - MARGIN) * share, 1.0)
        self.per_second = rate.per_second * share
        self.azures = rate.per_second
        self.tokens = self.size
        self.at = now
        self.closed_until = now

    def refill(self, now: float) -> None:
        self.tokens = min(self.size, self.tokens + max(now - self.at, 0.0) * self.per_second)
        self.at = now

    def wait(self, now: float) -> float:
        """Seconds until a token is there; 0 now. Refills."""
        self.refill(now)
        return max((1 - self.tokens) / self.per_second, self.closed_until - now, 0.0)


class Budget:
    """The budget of one azure subscription, or of one vault. Thread-safe.

    `share` is the part of Azure's allowance that keyturn uses, above 0 and at most 1.
    """

    def __init__(self, clock: Clock, rates: Mapping[str, Rate], share: float = 0.5) -> None:
        if not 0 < share <= 1:
            raise ValueError("share must be above 0 and at most 1")
        self._clock = clock
        self._changed = threading.Condition()
        now = clock.boottime()
        self._buckets = {kind: _Bucket(rate, share, now) for kind, rate in rates.items()}
        self._queues: dict[str, deque[object]] = {kind: deque() for kind in rates}

    def take(self, kind: str, latest: float | None = None) -> bool:
        """Wait for one call's turn, first come, first served. False, and nothing taken, when that would be after
        the boot time `latest`, or when the process is asked to stop meanwhile."""
        queue, me = self._queues[kind], object()
        with self._changed:
            queue.append(me)
            self._changed.wait_for(lambda: queue[0] is me)
        try:
            return self._take_first(kind, latest)
        finally:
            with self._changed:
                queue.popleft()
                self._changed.notify_all()

    def _take_first(self, kind: str, latest: float | None) -> bool:
        bucket = self._buckets[kind]
        while True:
            with self._changed:
                now = self._clock.boottime()
                seconds = bucket.wait(now)
                if seconds <= NOTHING:
                    bucket.tokens -= 1
                    return True
            if latest is not None and now + seconds > latest:
                return False
            self._clock.wait(max(seconds, SHORTEST))
            if self._clock.boottime() < now + seconds - EARLY:
                return False

    def pause(self, kind: str) -> float:
        """Seconds until the next call may go, if nobody else asks."""
        with self._changed:
            return self._buckets[kind].wait(self._clock.boottime())

    def follow(self, kind: str, remaining: int, sent_at: float) -> None:
        """Azure said that `remaining` calls are left, in an answer to a call sent at the boot time `sent_at`.

        Only lowers. What came back to Azure's bucket since then is counted in, or calls under way would be charged
        twice; the header is rounded down, so there may be almost one more.
        """
        with self._changed:
            bucket, now = self._buckets[kind], self._clock.boottime()
            bucket.refill(now)
            left = remaining + 1 + max(now - sent_at, 0.0) * bucket.azures
            bucket.tokens = min(bucket.tokens, left * bucket.share)

    def close(self, kind: str, seconds: float) -> None:
        """A 429: nobody calls for `seconds`, or the wait begins anew (azure-facts 4)."""
        with self._changed:
            bucket, now = self._buckets[kind], self._clock.boottime()
            bucket.refill(now)
            bucket.tokens = min(bucket.tokens, 0.0)
            bucket.closed_until = max(bucket.closed_until, now + seconds)
