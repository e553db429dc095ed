"""Which refused calls docs/protocol.md allows, and what else breaks the promise. Pure.

A refused call is allowed only where the portal user ended the very value that it came with (protocol.md, "What cannot
be prevented": a person who regenerates the active slot), and only if that value was read from the sink before the
`latest` instant below; it ends one cache later, because a caller keeps what it read for less than that. The bound is
made of what is configured, and of nothing that keyturn says it did, but for one thing: when its next look was due when
the person wrote, which the ledger said before. `latest` is the sum of

- that look, or the longest time to one, whichever comes first: the greater of `look_every` and `drain`;
- a timer that starts keyturn once a minute, and `deadline`, within which a look has its effect or drops it;
- a freeze of the process that held the lease, and the lease, which lasts two deadlines;
- `FAILED` looks that a kill, a freeze or a fault spoiled, with the pauses that follow failures;
- confirming what the person drew, where the standby is not confirmed (A12): until every gateway must have it (A3);
- settling, where a write to the standby may still land: `late`, `deadline`, and the clocks (A5).

Everything else is broken: a call with a value that keyturn ended, or one that no gateway had accepted yet, or that
never lived. A stale write that brings an ended value back to the sink (the same section of protocol.md) lies within
the same bound: what is frozen here is frozen for less than `late`, and so for less than the drain.

Never here: the emulator, a process, or a key value.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NewType

import msgspec

from keyturn.policy import Policy, backoff

Mark = NewType("Mark", str)
"""Tells values apart; a value cannot be read from it."""
TIMER: Final = timedelta(minutes=1)
"""Emulated: how long a loop that found nothing due waits until it looks again."""
FAILED: Final = 5
"""Looks in a row that are taken for spoiled."""
DEAD: Final = "dead-value"
"""What a gateway calls a value that has lived, and does not any more."""


class By(StrEnum):
    """Whose doing a refused call is."""

    PORTAL = "the portal user ended the value"
    KEYTURN = "keyturn ended the value"
    NEVER = "the value was not live there"


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """The portal user ended a value. Instants are emulated."""

    sid: str
    mark: Mark
    at: datetime
    look_by: datetime | None
    """When keyturn's next look was due by then; None: at once."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """One refused call, as its caller and the gateway saw it. Instants are emulated."""

    sid: str
    mark: Mark
    read_at: datetime
    """When the caller read the value from the sink."""
    at: datetime
    outcome: str
    """What the gateway says of the value."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be said of one refused call."""

    by: By
    allowed: bool
    after: timedelta = timedelta(0)
    """How long after the portal user's write it was."""
    sentence: str = ""
    """What is broken, where it is not allowed."""


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """For how long a value that the portal user ended may be read from a sink."""

    policy: Policy
    freeze: timedelta
    """The longest that a process is frozen."""

    @property
    def longest_look(self) -> timedelta:
        return max(self.policy.look_every, self.policy.drain)

    @property
    def after_look(self) -> timedelta:
        """What the docstring of this room adds to the look that was due."""
        p = self.policy
        failed = sum((backoff(count) for count in range(1, FAILED + 1)), timedelta(0))
        return TIMER + p.deadline + self.freeze + 2 * p.deadline + failed + p.propagation_wait + p.settling

    @property
    def whole(self) -> timedelta:
        """From the write to the last refused call, at most."""
        return self.longest_look + self.after_look + self.policy.consumers.cache

    def latest(self, ending: Ending) -> datetime:
        """The last instant at which the ended value may be read from the sink."""
        due = ending.at if ending.look_by is None else max(ending.look_by, ending.at)
        return min(due, ending.at + self.longest_look) + self.after_look

    def is_over(self, ending: Ending, now: datetime) -> bool:
        """Whether nobody may be refused for it any more."""
        return now > self.latest(ending) + self.policy.consumers.cache


def judge(refusal: Refusal, endings: Iterable[Ending], bound: Bound) -> Verdict:
    """Whose doing it is, and whether protocol.md allows it."""
    ending = next((each for each in endings if (each.sid, each.mark) == (refusal.sid, refusal.mark)), None)
    told = f"{refusal.sid} was refused at {refusal.at:%Y-%m-%d %H:%M:%S}, emulated"
    if refusal.outcome != DEAD:
        return Verdict(by=By.NEVER, allowed=False, sentence=f"{told}: to the gateway its value is {refusal.outcome}")
    if ending is None or refusal.at < ending.at:
        read = f"{refusal.read_at:%H:%M:%S}"
        return Verdict(by=By.KEYTURN, allowed=False, sentence=f"{told}: keyturn ended the value that it read at {read}")
    latest = bound.latest(ending)
    allowed = refusal.read_at <= latest and refusal.at <= latest + bound.policy.consumers.cache
    late = f"{told}: it read an ended value at {refusal.read_at:%H:%M:%S}, and might until {latest:%H:%M:%S}"
    return Verdict(by=By.PORTAL, allowed=allowed, after=refusal.at - ending.at, sentence="" if allowed else late)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """All that a soak counted."""

    seed: int
    seconds: float
    emulated: timedelta
    rotations: dict[str, int]
    """Finished, by sid."""
    kills: int
    stops: int
    longest_freeze: timedelta
    faults: dict[str, int]
    portal_writes: int
    calls: int
    refused: dict[By, int]
    allowed: int
    longest: timedelta
    """From a portal user's write to the last refused call that it explains."""
    bound: timedelta
    refused_by_gateways: int
    broken: tuple[str, ...]
    """What broke while it went on, in that order."""
    tracebacks: int
    leaks: tuple[str, ...]
    """Files in which a key value can be read."""
    at_rest: bool | None
    """Whether every credential came to rest once nobody interfered; None where the machine had no time for it."""

    def breaches(self) -> list[str]:
        """Each broken promise as a sentence, what broke first at the beginning; empty where all of it holds."""
        found = list(self.broken)
        refused = sum(self.refused.values())
        if refused != self.refused_by_gateways:
            found.append(f"callers count {refused} refused calls, the gateways {self.refused_by_gateways}")
        if refused != self.allowed:
            found.append(f"{refused - self.allowed} refused calls are not allowed")
        if self.tracebacks:
            found.append(f"{self.tracebacks} tracebacks in what keyturn said")
        found += [f"a key value can be read in {name}" for name in self.leaks]
        found += [f"{sid} was never rotated" for sid, count in self.rotations.items() if not count]
        if self.at_rest is False:
            found.append("not every credential came to rest, although nobody interfered any more")
        return found
