"""The words in which a record is shown: its condition, what comes next, and why not now.

Pure, and used by every screen, so that they say the same. Never here: layout, or a look at Azure.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from keyturn.model import Record, Slot, Stage
from keyturn.policy import Policy, due_at, spell

CONDITIONS: Final = {
    Stage.UNKNOWN: "new",
    Stage.IDLE: "ok",
    Stage.RENEW: "renewing",
    Stage.CONFIRM: "confirming",
    Stage.PUBLISH: "publishing",
    Stage.DRAIN: "draining",
    Stage.RETIRE: "retiring",
    Stage.PROVE: "proving",
}
BAD: Final = frozenset({"held", "failing"})
"""Conditions that want a person: they make `status` and `run` exit 1."""
_AHEAD: Final = {
    Stage.UNKNOWN: "adopt",
    Stage.RENEW: "renew {standby}",
    Stage.CONFIRM: "confirm {target}",
    Stage.PUBLISH: "publish {target}",
    Stage.DRAIN: "retire {old}",
    Stage.RETIRE: "retire {old}",
    Stage.PROVE: "confirm {target}",
}


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One credential in words. `until` is when its wait ends (UTC); `notes` are what else a person should know."""

    id: str
    word: str
    active: str
    since: str
    next: str
    why: str
    rule: str = ""
    until: datetime | None = None
    shorter: str = ""
    notes: tuple[str, ...] = ()

    @property
    def bad(self) -> bool:
        return self.word in BAD


def word_of(record: Record) -> str:
    if record.hold is not None:
        return "held"
    return "failing" if record.failures else CONDITIONS[record.stage]


def is_bad(record: Record) -> bool:
    """Held or failing: somebody should look."""
    return word_of(record) in BAD


def condition(record: Record, policy: Policy | None, now: datetime) -> Condition:
    """`policy` is the one that won the credential, or None where the configuration has it no more."""
    if record.hold is not None:
        return Condition(
            id=record.id,
            word="held",
            active=str(record.active or "?"),
            since=_ago(record.hold.since, now),
            next="waits for you",
            why=f"{record.hold.reason}: {record.hold.sentence}",
            shorter=f"mend it, then `keyturn release {record.id}` (docs/reasons.md: {record.hold.reason})",
            notes=_notes(record, policy),
        )
    waiting = record.waiting
    return Condition(
        id=record.id,
        word=word_of(record),
        active=str(record.active or "?"),
        since=_ago(_since(record), now),
        next=_next(record, policy, now),
        why=_why(record, policy, now),
        rule="" if waiting is None else waiting.rule,
        until=record.not_before,
        shorter="" if waiting is None else waiting.shorter,
        notes=_notes(record, policy),
    )


def in_json(record: Record, policy: Policy | None, now: datetime) -> dict[str, Any]:
    """The same for programs: instants instead of spans. Holds no value and no fingerprint."""
    told = condition(record, policy, now)
    due = None if policy is None else due_at(record, policy)
    return {
        "id": record.id,
        "condition": told.word,
        "stage": record.stage.value,
        "active": record.active.value if record.active else None,
        "since": moment(record.since),
        "next": told.next,
        "not_before": moment(record.not_before),
        "waiting": None if record.waiting is None else msgspec.to_builtins(record.waiting),
        "hold": None
        if record.hold is None
        else {"reason": record.hold.reason, "sentence": record.hold.sentence, "since": moment(record.hold.since)},
        "due": moment(due),
        "looked_at": moment(record.looked_at),
        "look_every": None if policy is None else int(policy.look_every.total_seconds()),
        "policy": policy.name if policy is not None else record.policy.rpartition(" ")[0],
        "rotations": record.rotations,
        "failures": record.failures,
        "notes": list(told.notes),
    }


def moment(at: datetime | None) -> str | None:
    """An instant as programs read it: UTC, whole seconds."""
    return None if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")


def summary(words: list[str]) -> str:
    """`3 credentials: 1 ok, 1 draining, 1 held`."""
    order = [*CONDITIONS.values(), "failing", "held"]
    parts = [f"{words.count(word)} {word}" for word in dict.fromkeys(order) if word in words]
    many = f"{len(words)} credential{'' if len(words) == 1 else 's'}"
    return f"{many}: {', '.join(parts)}" if parts else f"{many}"


def _since(record: Record) -> datetime | None:
    """For a credential at rest, the age of its active value is what its reader wants to know."""
    if record.stage is Stage.IDLE and record.active is not None:
        return record.slot(record.active).published_at or record.since
    return record.since


def _ago(at: datetime | None, now: datetime) -> str:
    return "" if at is None else spell(max(now - at, timedelta(0)))


def _next(record: Record, policy: Policy | None, now: datetime) -> str:
    if record.stage is Stage.IDLE and not record.failures:
        due = None if policy is None else due_at(record, policy)
        if record.requested is not None or (due is not None and due <= now):
            return "due now"
        return "" if due is None else f"due in {spell(due - now)}"
    what = _AHEAD.get(record.stage, "look again").format(
        standby=record.turning or "the standby",
        target=record.target or record.active or "the value",
        old=_old(record) or "the old slot",
    )
    if record.not_before is None or record.not_before <= now:
        return f"{what} now"
    return f"{what} in {spell(record.not_before - now)}"


def _why(record: Record, policy: Policy | None, now: datetime) -> str:
    """The wait's reason; how long a quiet slot still takes is told as of now, not as of the look that stored it."""
    waiting, until = record.waiting, record.not_before
    if waiting is None or waiting.reason == "not-due":
        return ""
    if waiting.reason == "quiet-slot" and policy is not None and until is not None and until > now:
        slot = record.turning if record.stage is Stage.RENEW else _old(record)
        sentence = f"{spell(until - now)} until {slot} has been out of every sink for {spell(policy.drain)}"
        return f"quiet-slot: {sentence}"
    return f"{waiting.reason}: {waiting.sentence}"


def _old(record: Record) -> Slot | None:
    return None if record.turning is None else record.turning.other


def _notes(record: Record, policy: Policy | None) -> tuple[str, ...]:
    notes = []
    if record.active is not None and record.stage is Stage.IDLE:
        standby = record.slot(record.active.other)
        if standby.confirmed is None or standby.confirmed != standby.fingerprint:
            notes.append(f"{record.active.other} is not confirmed: a fail-over would have to confirm it first (A12)")
    if policy is None:
        notes.append("no policy of the configuration is known to look after it any more")
    elif policy.probe is None:
        notes.append("not proven: its policy has no probe")
    return tuple(notes)
