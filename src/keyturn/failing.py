"""What a turn that failed leaves behind: a pause that grows, and in the end a hold.

The first failures are taken for a hiccup; then the pauses double from an hour to 32. None of them puts a look off for
longer than `look_every`, nor a token that is due. What goes on failing for `park_after` is parked: held for a person.
A change of the policy forgets all of it. Pure.

Never here: what failed, or whether it did.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from keyturn.model import Event, Hold, Record, Waiting
from keyturn.policy import HOUR, QUICK_TRIES, Policy, pause, spell

PARKED = "parked"
NOBODYS_OWN = frozenset({"clock-skew", "unreachable", "throttled"})
"""Failures of a machine or of a whole service: one cure mends them for every credential, so none of these is parked."""


def failed(
    record: Record, policy: Policy, waiting: Waiting, now: datetime, after: float = 0.0
) -> tuple[Record, Event | None]:
    """The record after one more failure; the event, if that parked it. `after` is a Retry-After, in seconds."""
    since = min(record.failing_since or now, now)
    record = record.but(failures=record.failures + 1, failing_since=since, waiting=waiting)
    if _is_to_be_parked(record, policy, waiting, now):
        return _parked(record, waiting, now)
    return record.but(not_before=now + _pause(record, policy, after, now)), None


def worked(record: Record) -> Record:
    """The record of a turn that did not fail."""
    return record.but(failures=0, failing_since=None)


def governed(record: Record, policy: Policy) -> Record:
    """The record under a policy that it may have been under before, or not: what is new forgets the failures, and
    whatever was parked for them goes on."""
    if record.policy == policy.digest:
        return record
    parked = record.hold is not None and record.hold.reason == PARKED
    changed = worked(record).but(policy=policy.digest, not_before=None)
    return changed.but(hold=None, waiting=None) if parked else changed


def parks_at(record: Record, policy: Policy) -> datetime | None:
    """When it will be parked if it goes on failing; None if it does not fail, or not by itself."""
    if not record.failures or record.failing_since is None or record.hold is not None:
        return None
    if record.waiting is not None and record.waiting.reason in NOBODYS_OWN:
        return None
    return record.failing_since + policy.park_after


def _is_to_be_parked(record: Record, policy: Policy, waiting: Waiting, now: datetime) -> bool:
    """Time alone is not enough: a machine that was off for a week has tried once."""
    if record.hold is not None or waiting.reason in NOBODYS_OWN or record.failing_since is None:
        return False
    return record.failures > QUICK_TRIES and now - record.failing_since >= policy.park_after


def _parked(record: Record, waiting: Waiting, now: datetime) -> tuple[Record, Event]:
    since = record.failing_since or now
    sentence = f"it has failed for {spell(now - since)}, {record.failures} times: {waiting.reason}: {waiting.sentence}"
    hold = Hold(reason="parked", sentence=sentence, since=now)
    return record.but(hold=hold, not_before=None, waiting=None), Event(at=now, kind="hold", sentence=sentence)


def _pause(record: Record, policy: Policy, after: float, now: datetime) -> timedelta:
    longest = min([policy.longest_pause, *(_until_due(life.renew_at, now) for life in record.tokens.values())])
    return min(pause(record.failures, after), longest)


def _until_due(renew_at: datetime, now: datetime) -> timedelta:
    """A token that is due already is tried every hour at least."""
    return renew_at - now if renew_at > now else HOUR
