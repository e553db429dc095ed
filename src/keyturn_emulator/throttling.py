"""Resource Manager's token buckets, on emulated time.

Decides: whether a request still fits, what the remaining-headers say, and how long to wait. Never here: the
wire form of a 429, or the machine's clock. `now` is always the emulated boot time in seconds: time that
stands still refills nothing, and a clock that jumps refills nothing either.

One bucket per azure subscription, principal and kind of operation (azure-facts 4). Recordings from 2023 count
POST actions apart from PUT and PATCH, under the same header name (azure-recorded 9); the documented model has
one write bucket, which is stricter and the default. The switch `post_actions_own_bucket` chooses the recorded
way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

Operation = Literal["reads", "writes", "deletes"]

# size of the bucket, tokens per second
RATES: Final[dict[str, tuple[float, float]]] = {
    "reads": (250, 25),
    "writes": (200, 10),
    "deletes": (200, 10),
}
GLOBAL_FACTOR: Final = 15  # over all principals of an azure subscription
_METHODS: Final[dict[str, Operation]] = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}


def operation_of(method: str) -> Operation:
    """What a request counts as: POST actions, listSecrets among them, are writes."""
    return _METHODS.get(method, "writes")


@dataclass(slots=True)
class Bucket:
    """Tokens that come back with time. Once it refused, it stays shut until the wait it named is over."""

    size: float
    rate: float
    tokens: float
    at: float
    shut_until: float | None = None

    def take(self, now: float) -> int:
        """Take a token and answer 0, or take none and answer the whole seconds to wait."""
        self._refill(now)
        if self.shut_until is not None and now < self.shut_until:
            return max(1, math.ceil(self.shut_until - now))
        self.shut_until = None
        if self.tokens >= 1:
            self.tokens -= 1
            return 0
        return max(1, math.ceil((1 - self.tokens) / self.rate))

    def _refill(self, now: float) -> None:
        passed = now - self.at
        self.tokens = min(self.size, self.tokens + passed * self.rate)
        self.at = now


@dataclass(slots=True, frozen=True)
class Toll:
    """What a request paid: `wait` is 0, or the seconds after which to try again."""

    wait: int
    headers: dict[str, str]


class Throttle:
    """All buckets of one emulated Azure."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, ...], Bucket] = {}

    def take(self, azure_subscription: str, principal: str, method: str, now: float, *, own: bool) -> Toll:
        """Pay for a request inside an azure subscription. `own`: POST actions have a bucket of their own."""
        operation = operation_of(method)
        kind = "actions" if own and method == "POST" else operation
        mine = self._bucket(("principal", azure_subscription, principal, kind), operation, now)
        all_ = self._bucket(("all", azure_subscription, kind), operation, now, GLOBAL_FACTOR)
        wait = _pay(mine, all_, now)
        return Toll(
            wait,
            {
                f"x-ms-ratelimit-remaining-subscription-{operation}": str(int(mine.tokens)),
                f"x-ms-ratelimit-remaining-subscription-global-{operation}": str(int(all_.tokens)),
            },
        )

    def take_tenant(self, tenant: str, principal: str, method: str, now: float) -> Toll:
        """Pay for a request outside any azure subscription."""
        operation = operation_of(method)
        mine = self._bucket(("tenant", tenant, principal, operation), operation, now)
        wait = _pay(mine, mine, now)
        return Toll(wait, {f"x-ms-ratelimit-remaining-tenant-{operation}": str(int(mine.tokens))})

    def _bucket(self, key: tuple[str, ...], operation: str, now: float, factor: int = 1) -> Bucket:
        found = self._buckets.get(key)
        if found is None:
            size, rate = RATES[operation]
            found = Bucket(size * factor, rate * factor, size * factor, now)
            self._buckets[key] = found
        return found


def _pay(mine: Bucket, all_: Bucket, now: float) -> int:
    """Pay at both buckets or at neither; a refusal shuts the bucket that refused."""
    wait = mine.take(now)
    if wait:
        _shut(mine, now, wait)
        return wait
    if all_ is mine:
        return 0
    wait = all_.take(now)
    if wait:
        mine.tokens += 1
        _shut(all_, now, wait)
    return wait


def _shut(bucket: Bucket, now: float, wait: int) -> None:
    """A request before the named wait is over is refused again (azure-facts 4), and lengthens nothing."""
    if bucket.shut_until is None:
        bucket.shut_until = now + wait
