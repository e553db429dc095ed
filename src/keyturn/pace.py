"""Who of a fleet may start: the first few, then the rest, and nobody while too many are held. Pure.

The first are those whose jitter brings them due before the others, so that who goes first stays the same for ever.
Never here: how the fleet's records are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from keyturn.model import Record, Stage
from keyturn.policy import DAY, Policy, due, share_of


def held_back(record: Record, policy: Policy, fleet: Sequence[Record], now: datetime) -> str | None:
    """Why this credential's rotation may not start yet, as a sentence; None: it may. `fleet` may hold anybody's."""
    if record.requested is not None:
        return None
    ours = [other for other in fleet if _is_one_of(other, policy) and not _is_left(other, record, policy)]
    return _too_many_held(policy, ours) or _others_first(record, policy, ours, now)


def _is_one_of(record: Record, policy: Policy) -> bool:
    """Of this policy, in whatever edition, and still there."""
    gone = record.hold is not None and record.hold.reason == "gone"
    return record.policy.rpartition(" ")[0] == policy.name and not gone


def _is_left(other: Record, record: Record, policy: Policy) -> bool:
    """Nobody takes turns for it any more: its wait ended long before that of the one that asks. Whoever is looked after
    waits for no longer than `look_every`; and after weeks in which nobody ran, all of them have waited alike."""
    ended, ours = _last_wait(other), _last_wait(record)
    if other.hold is not None or ended is None or ours is None:
        return False
    return ended + policy.look_every + DAY < ours


def _last_wait(record: Record) -> datetime | None:
    return record.not_before or record.looked_at or record.since


def _too_many_held(policy: Policy, ours: Sequence[Record]) -> str | None:
    limit = policy.pace.stop_above
    held = [record for record in ours if record.hold is not None]
    if limit is None or not held or len(held) / len(ours) <= limit:  # 0.29 * 100 is less than 29 in floating point
        return None
    return (
        f"{len(held)} of the {len(ours)} credentials of policy {policy.name} are held, "
        f"more than {limit * 100:g}%: nobody starts until you have looked"
    )


def _others_first(record: Record, policy: Policy, ours: Sequence[Record], now: datetime) -> str | None:
    first = leaders(policy, ours)
    if record.key in {leader.key for leader in first}:
        return None
    busy = next((leader for leader in first if not _is_through(leader, policy, now)), None)
    if busy is None:
        return None
    state = "is held" if busy.hold is not None else "is not through yet"
    return f"{busy.id} goes first and {state}: the rest of policy {policy.name} starts after it"


def leaders(policy: Policy, ours: Sequence[Record]) -> list[Record]:
    """The first few, by their jitter. What is not adopted, or not active, leads nobody."""
    able = [record for record in ours if record.stage is not Stage.UNKNOWN and not _is_inactive(record)]
    return sorted(able, key=lambda record: (-share_of(record.key), record.key))[: policy.pace.first]


def _is_inactive(record: Record) -> bool:
    return record.waiting is not None and record.waiting.reason == "not-active"


def _is_through(record: Record, policy: Policy, now: datetime) -> bool:
    """At rest, and with a value that is not due: its last rotation went well."""
    return record.hold is None and record.stage is Stage.IDLE and due(record, policy, now) is None
