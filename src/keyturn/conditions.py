"""The words in which a record is shown: its condition, what comes next, and why not now.

Pure, and used by every screen, so that they say the same. Never here: layout, or a look at Azure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from keyturn.failing import parks_at
from keyturn.model import Record, Slot, Stage
from keyturn.plan import KEEPS_TOKENS
from keyturn.policy import QUICK_TRIES, Policy, due_at, spell, starts_at

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
BAD: Final = frozenset({"held", "failing", "expiring"})
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


def word_of(record: Record, now: datetime, *, kept: bool = True) -> str:
    """One word. A token that is running out is worse than what keeps it from being renewed, unless that is a hold.
    `kept`: some policy still looks after the credential; what nobody keeps fresh any more may run out."""
    if record.hold is not None:
        return "held"
    if kept and any(token.bad for token in ending(record, now)):
        return "expiring"
    return "failing" if record.failures else CONDITIONS[record.stage]


def is_bad(record: Record, now: datetime, *, kept: bool = True) -> bool:
    """Held, failing, or with a token that is running out: somebody should look."""
    return word_of(record, now, kept=kept) in BAD


class TokenEnding(msgspec.Struct, frozen=True, kw_only=True):
    """A token in a sink that is due for a fresh one. `bad`: nothing may come in time unless somebody acts."""

    reason: str
    sentence: str
    bad: bool


def ending(record: Record, now: datetime) -> tuple[TokenEnding, ...]:
    """The tokens that are due for a fresh one, the first to end first.

    What uses an expired token need not say so: a self-hosted gateway goes on and answers 200 with an empty body. So
    half of the time that was left for renewing is the latest at which a person is told.
    """
    found = []
    for sink, life in sorted(record.tokens.items(), key=lambda item: item[1].expires):
        left, margin = life.expires - now, life.expires - life.renew_at
        if left <= timedelta(0):
            found.append(_ending(f"the token in {sink} ended {spell(-left)} ago", bad=True))
        elif now >= life.renew_at:
            blocked = (record.hold is not None and record.hold.reason not in KEEPS_TOKENS) or left <= margin / 2
            overdue = f"a fresh one is due for {spell(now - life.renew_at)}"
            found.append(_ending(f"the token in {sink} ends in {spell(left)}; {overdue}", bad=blocked))
        elif record.hold is None and _next_turn(record, now) >= life.expires:
            found.append(_ending(f"the token in {sink} ends in {spell(left)}, before the next turn", bad=True))
    return tuple(found)


def _ending(sentence: str, *, bad: bool) -> TokenEnding:
    return TokenEnding(reason="token-ends", sentence=sentence, bad=bad)


def _next_turn(record: Record, now: datetime) -> datetime:
    return max(record.not_before or now, now)


def condition(record: Record, policy: Policy | None, now: datetime) -> Condition:
    """`policy` is the one that won the credential, or None where the configuration has it no more."""
    short = [token for token in ending(record, now) if token.bad and policy is not None]
    if record.hold is not None:
        why = f"{record.hold.reason}: {record.hold.sentence}"
        return Condition(
            id=record.id,
            word="held",
            active=str(record.active or "?"),
            since=_ago(record.hold.since, now),
            next="waits for you",
            why=f"{short[0].reason}: {short[0].sentence}; held for {why}" if short else why,
            shorter=f"mend it, then `keyturn release {record.id}` (`keyturn explain {record.hold.reason}`)",
            notes=_notes(record, policy, now),
        )
    waiting = record.waiting
    return Condition(
        id=record.id,
        word=word_of(record, now, kept=policy is not None),
        active=str(record.active or "?"),
        since=_ago(_since(record), now),
        next=_next(record, policy, now),
        why=f"{short[0].reason}: {short[0].sentence}" if short else _why(record, policy, now),
        rule="" if waiting is None else waiting.rule,
        until=record.not_before,
        shorter=_instead(record, short),
        notes=_notes(record, policy, now),
    )


def _instead(record: Record, short: Sequence[TokenEnding]) -> str:
    """What would end the wait sooner, or bring a fresh token in time."""
    waiting = record.waiting
    shorter = "" if waiting is None else waiting.shorter
    if not short:
        return shorter
    if waiting is not None and waiting.reason != "not-due":
        return f"mend what keeps it from being renewed: {waiting.reason}: {waiting.sentence}"
    return "let `keyturn run` come by more often: it renews what is due"


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
        "tokens": {
            sink: {"expires": moment(life.expires), "renew_at": moment(life.renew_at)}
            for sink, life in record.tokens.items()
        },
        "notes": list(told.notes),
    }


def moment(at: datetime | None) -> str | None:
    """An instant as programs read it: UTC, whole seconds."""
    return None if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")


def summary(words: list[str]) -> str:
    """`3 credentials: 1 ok, 1 draining, 1 held`."""
    order = [*CONDITIONS.values(), "expiring", "failing", "held"]
    parts = [f"{words.count(word)} {word}" for word in dict.fromkeys(order) if word in words]
    many = f"{len(words)} credential{'' if len(words) == 1 else 's'}"
    return f"{many}: {', '.join(parts)}" if parts else f"{many}"


def _since(record: Record) -> datetime | None:
    """For a credential at rest, the age of its active value is what its reader wants to know; for one that fails, how
    long it has."""
    if record.failures and record.failing_since is not None:
        return record.failing_since
    if record.stage is Stage.IDLE and record.active is not None:
        return record.slot(record.active).published_at or record.since
    return record.since


def _ago(at: datetime | None, now: datetime) -> str:
    return "" if at is None else spell(max(now - at, timedelta(0)))


def _next(record: Record, policy: Policy | None, now: datetime) -> str:
    if record.stage is Stage.IDLE and not record.failures:
        due = None if policy is None else due_at(record, policy)
        if record.requested is not None or (due is not None and due <= now):
            return _starts(record, policy, now)
        return "" if due is None else f"due in {spell(due - now)}"
    what = _AHEAD.get(record.stage, "look again").format(
        standby=record.turning or "the standby",
        target=record.target or record.active or "the value",
        old=_old(record) or "the old slot",
    )
    if record.not_before is None or record.not_before <= now:
        return f"{what} now"
    return f"{what} in {spell(record.not_before - now)}"


def _parking(record: Record, parks: datetime | None, now: datetime) -> str:
    """When it is parked if it goes on failing: neither before `park_after`, nor after a few failures."""
    if parks is None:
        return ""
    if parks > now:
        return f"; parked in {spell(parks - now)} if it goes on (park_after)"
    more = max(QUICK_TRIES + 1 - record.failures, 1)
    return f"; parked if it fails {more} time{'' if more == 1 else 's'} more (park_after)"


def _compromised(record: Record, now: datetime) -> list[str]:
    """How far the values that a person named are (rule A15)."""
    named = record.compromise
    if named is None:
        return []
    if named.look_at is None:
        alive = [slot for slot in Slot if record.slot(slot).fingerprint in named.values]
        told = f"{' and '.join(alive) or 'a value'} compromised ({named.because}): dies as soon as no sink shows it"
    else:
        left = spell(max(named.look_at - now, timedelta(0)))
        told = f"the compromised values ({named.because}) are dead; the sinks are looked at once more in {left}"
    return [told, *(["suspended meanwhile: gateways refuse its callers"] if named.suspended else [])]


def _starts(record: Record, policy: Policy | None, now: datetime) -> str:
    """A rotation that is due: now, or when its window opens."""
    starts = now if policy is None else starts_at(record, policy, now)
    if starts is None:
        return "due, no window"
    return "due now" if starts <= now else f"starts in {spell(starts - now)}"


def _why(record: Record, policy: Policy | None, now: datetime) -> str:
    """The wait's reason; how long a quiet slot still takes is told as of now, not as of the look that stored it."""
    waiting, until = record.waiting, record.not_before
    if waiting is None or waiting.reason == "not-due":
        return ""
    slot = record.turning if record.stage is Stage.RENEW else _old(record)
    until = _quiet_until(record, slot, policy) or until
    if waiting.reason == "quiet-slot" and policy is not None and until is not None and until > now:
        sentence = f"{spell(until - now)} until {slot} has been out of every sink for {spell(policy.drain)}"
        return f"quiet-slot: {sentence}"
    return f"{waiting.reason}: {waiting.sentence}"


def _quiet_until(record: Record, slot: Slot | None, policy: Policy | None) -> datetime | None:
    """When the slot will have been quiet for `drain`; a turn may come earlier, for a token."""
    since = None if slot is None else record.slot(slot).quiet_since
    return None if since is None or policy is None else since + policy.drain


def _old(record: Record) -> Slot | None:
    return None if record.turning is None else record.turning.other


def _notes(record: Record, policy: Policy | None, now: datetime) -> tuple[str, ...]:
    notes = [token.sentence for token in ending(record, now)]
    parks = None if policy is None else parks_at(record, policy)
    if record.failures and record.failing_since is not None and record.hold is None:
        often = "once" if record.failures == 1 else f"{record.failures} times"
        failed = f"failed {often} in {spell(max(now - record.failing_since, timedelta(0)))}"
        notes.append(f"{failed}{_parking(record, parks, now)}; `keyturn run {record.id}` tries now")
    for sink, life in sorted(record.tokens.items()):
        if now < life.renew_at:
            left, due = spell(life.expires - now), spell(life.renew_at - now)
            notes.append(f"the token in {sink} is good for {left}; a fresh one comes in {due}")
    notes += _compromised(record, now)
    if record.active is not None and record.stage is Stage.IDLE:
        standby = record.slot(record.active.other)
        if standby.confirmed is None or standby.confirmed != standby.fingerprint:
            notes.append(f"{record.active.other} is not confirmed: a fail-over would have to confirm it first (A12)")
    for sink, value in sorted(record.left.items()):
        notes += [
            f"its policy names {sink} no more: who still reads it there is refused once {slot} is renewed"
            for slot in Slot
            if record.slot(slot).fingerprint == value
        ][:1]
    if policy is None:
        notes.append("no policy of the configuration is known to look after it any more")
    elif policy.probe is None:
        notes.append("not proven: its policy has no probe")
    return tuple(notes)
