"""What a person may ask of a record: rotate, hold, release, rollback, vouch, take over, switch. Pure.

Each answers with the record to save by compare-and-swap and its line of history, or raises NeedsPerson with the
reason. Never here: IO, or the rows that carry a request out (that is `plan`).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from keyturn.errors import NeedsPerson
from keyturn.failing import worked
from keyturn.model import Compromise, Event, Fingerprint, Hold, Record, Request, Slot, Stage


def request(record: Record, because: str, now: datetime) -> tuple[Record, Event]:
    """Ask for a rotation now. Raises NeedsPerson if it is held or one is under way."""
    if record.hold is not None:
        raise NeedsPerson(
            f"{record.id} is held: {record.hold.sentence}",
            hint=f"Look, mend, then `keyturn release {record.id}`.",
        )
    if record.stage not in {Stage.UNKNOWN, Stage.IDLE}:
        raise NeedsPerson(
            f"{record.id} is already rotating ({record.stage})",
            hint=f"`keyturn status {record.id}` says what it waits for.",
        )
    asked = record.but(requested=Request(at=now, because=because), not_before=None, waiting=None)
    return asked, Event(at=now, kind="requested", sentence=because)


LONGEST_VALUE = 256
"""Characters that API Management takes for a value."""


def unusable(value: str) -> str | None:
    """Why a value that a person chose cannot be one, as a sentence that does not repeat it; None: it can."""
    if not 1 <= len(value) <= LONGEST_VALUE:
        return f"the value has {len(value)} characters; API Management takes 1 to {LONGEST_VALUE}"
    if not (value.isascii() and value.isprintable() and value == value.strip()):
        return "the value must travel in an HTTP header: printable ASCII, no control characters, no space at either end"
    return None


def hold(record: Record, because: str, now: datetime) -> tuple[Record, Event]:
    """Stop the credential for a person. Both values stay as they are."""
    if record.hold is not None:
        raise NeedsPerson(f"{record.id} is held already: {record.hold.sentence}")
    held = record.but(hold=Hold(reason="by-hand", sentence=because, since=now))
    return held, Event(at=now, kind="hold", sentence=because)


def release(record: Record, because: str, now: datetime) -> tuple[Record, Event]:
    """Let a held credential go on where it was. The next look judges anew whatever held it."""
    if record.hold is None:
        raise NeedsPerson(f"{record.id} is not held", hint=f"`keyturn status {record.id}` says what it waits for.")
    going = worked(record).but(hold=None, not_before=None, waiting=None, renewals=0, etag=None)
    going = going.but(refused_since=None, refused_at=None)
    if record.hold.reason == "in-use":  # drain.max begins anew
        for slot in Slot:
            if going.slot(slot).quiet_since is not None:
                going = going.with_slot(slot, quiet_since=now)
    return going, Event(at=now, kind="release", sentence=because)


def rollback(record: Record, because: str, now: datetime) -> tuple[Record, Event]:
    """Publish the old slot again, then hold. Only while publishing or draining, and before any retire (rule A6)."""
    old = None if record.turning is None else record.turning.other
    if record.compromise is not None:
        raise NeedsPerson(
            f"{record.id}: the old value was named as compromised: it is not published again",
            hint=f"`keyturn status {record.id}` says how far its replacement is.",
        )
    begun = record.retired or record.stage in {Stage.RETIRE, Stage.PROVE}
    if begun or (old is not None and record.slot(old).intent is not None):
        raise NeedsPerson(
            f"{record.id}: the old value may be dead already, its retirement has begun",
            hint=f"A new rotation is the way back: `keyturn rotate {record.id}` once this one is done.",
        )
    if record.active is None:
        raise NeedsPerson(
            f"{record.id} is not adopted: this ledger knows of nothing published that could be rolled back",
            hint=f"`keyturn adopt {record.id}` looks which value the sinks show.",
        )
    if record.stage not in {Stage.PUBLISH, Stage.DRAIN} or old is None:
        raise NeedsPerson(
            f"{record.id}: {_too_early(record)}: there is nothing published that could be rolled back",
            hint="Rollback works while a rotation publishes or drains.",
        )
    back = record.but(
        stage=Stage.CONFIRM,
        since=now,
        refused_since=None,
        refused_at=None,
        target=old,
        turning=None,
        rolling_back=True,
        hold=None,
        not_before=None,
        waiting=None,
    )
    return back, Event(at=now, kind="rollback", sentence=because, rule="A6")


def _too_early(record: Record) -> str:
    if record.rolling_back:
        return "a rollback is under way already"
    if record.turning is None:
        return "no rotation is under way"
    return "its rotation has not published yet"


OVERRULED = frozenset({"in-use", "parked", "rolled-back"})
"""Holds that a compromise lifts: the others would stop it again, or mean that it is not clear what is published."""


def compromise(
    record: Record, values: Collection[Fingerprint], because: str, now: datetime, *, suspended: bool = False
) -> tuple[Record, Event]:
    """Let these values die without a drain (rule A15). Raises NeedsPerson where nobody knows which one is published, or
    the credential is held for a reason that stands in the way."""
    if record.active is None:
        raise NeedsPerson(
            f"{record.id} is not adopted: which of its values is published is not known",
            hint=f"`keyturn adopt {record.id}` looks; until then `az` or the portal end a value.",
        )
    if record.hold is not None and record.hold.reason not in OVERRULED:
        raise NeedsPerson(
            f"{record.id} is held ({record.hold.reason}): {record.hold.sentence}",
            hint=f"Look, mend, `keyturn release {record.id}`, then again; "
            "`az` or the portal end a value at once, and cut off whoever uses it.",
        )
    slots = [slot for slot in Slot if record.slot(slot).fingerprint in values]
    earlier = record.compromise.values if record.compromise is not None else ()
    named = Compromise(
        values=tuple(dict.fromkeys([*earlier, *values])),
        because=because,
        at=now,
        suspended=suspended or (record.compromise is not None and record.compromise.suspended),
    )
    told = " and ".join(slots)
    event = Event(
        at=now,
        kind="compromised",
        sentence=f"{told} {'are' if len(slots) > 1 else 'is'} compromised: {because}",
        rule="A15",
        facts={"slots": ",".join(slots), "suspended": str(suspended).lower()},
    )
    going = worked(record).but(compromise=named, hold=None, not_before=None, waiting=None, rolling_back=False)
    return going, event


def vouch(record: Record, quiet_since: datetime, because: str, now: datetime) -> tuple[Record, Event]:
    """A person vouches that no caller has used the standby since `quiet_since` (rule A2's wait, shortened)."""
    if quiet_since > now:
        raise NeedsPerson("--quiet-since lies in the future", hint="Give the time of the last known use, in UTC.")
    event = Event(
        at=now,
        kind="vouch",
        sentence=f"the standby has been quiet since {quiet_since:%Y-%m-%d %H:%M} UTC: {because}",
        rule="A2",
    )
    vouched = record.but(vouched=quiet_since, not_before=None, waiting=None)
    if record.stage is Stage.UNKNOWN or record.active is None:
        return vouched, event
    standby = record.slot(record.active.other)
    # what callers use says nothing of a write of ours that may still land (rule A5)
    settled = record.stage in {Stage.IDLE, Stage.RENEW} and standby.intent is None
    unsettled_until = None if settled else standby.unsettled_until
    changes = {"exposed": False, "quiet_since": quiet_since, "unsettled_until": unsettled_until}
    return vouched.with_slot(record.active.other, **changes), event


def take_over(record: Record, ledger: str, because: str, now: datetime) -> tuple[Record, Event]:
    """A person says that this ledger succeeds another whose tags the sinks carry (rule A10); adoption starts anew.
    What was named as compromised stays named."""
    blank = Record(key=record.key, id=record.id, succeeds=ledger, since=now, compromise=record.compromise)
    return blank, Event(at=now, kind="take-over", sentence=because, rule="A10", facts={"ledger": ledger})


def switched(record: Record, on: bool, because: str, now: datetime) -> tuple[Record, Event]:
    """A person has enabled or disabled the credential at Azure: the next turn looks at once, and tells."""
    going = record.but(not_before=None, waiting=None)
    kind = "enabled" if on else "disabled"
    return going, Event(at=now, kind=kind, sentence=f"{kind} by hand{because and f': {because}'}")
