"""What came of an effect, learned into the record: the three classes of answers (rule A18), purely.

Applied, not applied, unclear: an unclear one teaches nothing; only the next look does, through `learn_values`.
Never here: what to do next (that is `plan`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from keyturn.failing import failed
from keyturn.model import (
    SLOTS,
    Event,
    Fingerprint,
    Hold,
    Mode,
    NotApplied,
    Record,
    Slot,
    SlotRecord,
    Stage,
    Waiting,
    WriteIntent,
)
from keyturn.policy import Policy

PROBE_PAUSE = timedelta(seconds=15)
"""Between two rounds of probes while gateways still refuse a fresh value."""


def learn_values(
    record: Record,
    live: Mapping[Slot, Fingerprint],
    etag: str | None,
    policy: Policy,
    now: datetime,
) -> tuple[Record, tuple[Event, ...]]:
    """Both live values were read: resolve what intents they resolve, and note what somebody else wrote.

    Whoever wrote it may have been a keyturn with a newer ledger than this one (V8), and what he published to a sink
    that nobody can read is shown by nothing: such a sink counts as showing anything until it is written again.
    """
    events: list[Event] = []
    for slot in SLOTS:
        before = record.slot(slot)
        kept, event = _learn_slot(slot, before, live[slot], etag, policy, now, record.stage)
        record = record.but(**{slot.value: kept})
        if _ended_by_hand(record, slot, before, kept):
            record = record.but(retired=True)
        if event is not None:
            events.append(event)
    return record.but(etag=etag, written={} if events else record.written), tuple(events)


def _ended_by_hand(record: Record, slot: Slot, before: SlotRecord, kept: SlotRecord) -> bool:
    """A person wrote the old slot while its rotation was under way: the old value is dead, and theirs is kept."""
    by_hand = before.intent is not None and before.intent.by_hand and kept.intent is None
    old = None if record.turning is None else record.turning.other
    return by_hand and slot is old and kept.fingerprint != before.fingerprint


def _learn_slot(
    slot: Slot,
    kept: SlotRecord,
    value: Fingerprint,
    etag: str | None,
    policy: Policy,
    now: datetime,
    stage: Stage,
) -> tuple[SlotRecord, Event | None]:
    intent = kept.intent
    if intent is not None and not intent.applied and _done(intent, value):
        return _fresh(kept, value, intent, now, policy), None
    if intent is not None and intent.acknowledged and value == intent.before and kept.unsettled_until is None:
        # Azure said that it is done and shows no change: a stale answer, or a change to come
        doubted = msgspec.structs.replace(intent, acknowledged=False)
        kept = msgspec.structs.replace(kept, intent=doubted, unsettled_until=now + policy.settling)
    elif intent is not None and not intent.applied and _failed(intent, kept, etag, now):
        kept = msgspec.structs.replace(kept, intent=None)
    if kept.fingerprint == value:
        return kept, None
    # Whoever wrote it may have handed it out, or be about to publish it: a keyturn with a newer ledger, say (V8).
    # So it counts as exposed until a look sees it in no sink, and is quiet a drain after that.
    found = SlotRecord(
        fingerprint=value,
        written_at=now,
        foreign=kept.fingerprint is not None,
        exposed=True,
        unsettled_until=kept.unsettled_until,
        unheard_until=kept.unheard_until,
        intent=kept.intent,
    )
    if stage is Stage.UNKNOWN:
        return found, None
    event = Event(at=now, kind="drift", sentence=f"somebody else wrote {slot}", facts={"slot": slot.value})
    return found, event


def _done(intent: WriteIntent, value: Fingerprint) -> bool:
    """The write happened: one of our candidates is live, or, in regenerate mode, the value changed (A9)."""
    if intent.mode is Mode.SET:
        return value in intent.candidates
    return value != intent.before


def _failed(intent: WriteIntent, kept: SlotRecord, etag: str | None, now: datetime) -> bool:
    """The write did not happen and cannot any more: its ETag is gone, or its time is over (A5)."""
    if intent.mode is Mode.SET:
        return etag != intent.etag
    return kept.unsettled_until is None or now >= kept.unsettled_until


def _fresh(kept: SlotRecord, value: Fingerprint, intent: WriteIntent, now: datetime, policy: Policy) -> SlotRecord:
    """The slot after our write: no sink has ever shown this value, so it is quiet.

    A regenerate that was sent more than once, or whose change nobody acknowledged, stays unsettled (rule A5).
    """
    earlier = kept.unsettled_until if kept.unsettled_until is not None and now < kept.unsettled_until else None
    sure = earlier is None if intent.mode is Mode.SET else intent.acknowledged and intent.sends == 1
    unsettled = earlier if earlier is not None else now + policy.settling
    return SlotRecord(
        fingerprint=value,
        written_at=now,
        exposed=False,
        unsettled_until=None if sure else unsettled,
        intent=None if intent.by_hand else msgspec.structs.replace(intent, applied=True),
    )


def learn_acknowledged(record: Record, slot: Slot) -> Record:
    """A regenerate was answered 204: the values must be read. A first send that was acknowledged is settled."""
    kept = record.slot(slot)
    assert kept.intent is not None  # noqa: S101 - it was saved before the send
    intent = msgspec.structs.replace(kept.intent, acknowledged=True)
    unsettled = None if intent.sends == 1 else kept.unsettled_until
    return record.with_slot(slot, intent=intent, unsettled_until=unsettled).but(etag=None)


def learn_refused(
    record: Record, slot: Slot, refusal: NotApplied, policy: Policy, now: datetime
) -> tuple[Record, Event | None]:
    """The write did not happen (A18). 412: somebody moved the ETag, look again at once; else wait and try again."""
    if refusal.status == 412:
        return record.with_slot(slot, **_withdrawn(record.slot(slot))), None
    record = learn_not_sent(record, slot)
    reason = "throttled" if refusal.status == 429 else "refused"
    waiting = Waiting(reason=reason, sentence=refusal.sentence, shorter=refusal.hint, rule="A18")
    facts = {"status": str(refusal.status), "code": refusal.code}
    event = Event(at=now, kind="refused", sentence=refusal.sentence, rule="A18", facts=facts)
    record, parked = failed(record, policy, waiting, now, refusal.after or 0.0)
    return record, parked or event


def learn_not_sent(record: Record, slot: Slot) -> Record:
    """The send was dropped (rule A4) or refused: nothing of it is in the air, and it does not count as a try."""
    record = record.with_slot(slot, **_withdrawn(record.slot(slot)))
    return record.but(renewals=max(record.renewals - 1, 0))


def learn_unclear(record: Record, sentence: str, now: datetime) -> tuple[Record, Event]:
    """The effect may have happened, or may still happen: the intent stays open, only a look tells."""
    return record, Event(at=now, kind="unclear", sentence=f"{sentence}: look before acting", rule="A18")


def learn_no_answer(
    record: Record,
    sentence: str,
    policy: Policy,
    now: datetime,
    *,
    hint: str = "",
    refused: bool = False,
    after: float = 0.0,
) -> tuple[Record, Event]:
    """A call that changes nothing got no usable answer: wait and try again."""
    waiting = Waiting(reason="refused" if refused else "unreachable", sentence=sentence, shorter=hint)
    event = Event(at=now, kind="refused" if refused else "unreachable", sentence=sentence)
    record, parked = failed(record, policy, waiting, now, after)
    return record, parked or event


def _withdrawn(kept: SlotRecord) -> dict[str, object]:
    """The slot without the last send; earlier sends stay unresolved."""
    intent = kept.intent
    assert intent is not None  # noqa: S101 - it was saved before the send
    if intent.sends <= 1:
        return {"intent": None, "unsettled_until": None if intent.mode is Mode.REGENERATE else kept.unsettled_until}
    fewer = msgspec.structs.replace(intent, sends=intent.sends - 1, candidates=intent.candidates[:-1])
    return {"intent": fewer}


def learn_accepted(
    record: Record, slot: Slot, value: Fingerprint, now: datetime, skew: timedelta = timedelta(0)
) -> tuple[Record, Event]:
    """Every gateway accepted the value; the settle time starts (rule A17). `skew`: this clock less Azure's."""
    event = Event(at=now, kind="accepted", sentence=f"every gateway accepted {slot}", rule="A17")
    record = record.but(refused_since=None, refused_at=None)
    return record.with_slot(slot, accepted=value, accepted_at=now - skew), event


def learn_not_accepted(record: Record, sentence: str, proves_nothing: bool, now: datetime) -> tuple[Record, Event]:
    """A gateway refused the value: it has not arrived there yet. Or the probe proves nothing: a person must look."""
    if proves_nothing:
        why = f"the probe proves nothing: {sentence}"
        event = Event(at=now, kind="hold", sentence=why, rule="A17")
        return record.but(hold=Hold(reason="probe-proves-nothing", sentence=why, since=now)), event
    waiting = Waiting(reason="not-accepted-yet", sentence=sentence, rule="A17")
    event = Event(at=now, kind="refused-by-gateway", sentence=sentence, rule="A17")
    refused_since = record.refused_since or now
    return record.but(not_before=now + PROBE_PAUSE, waiting=waiting, refused_since=refused_since, refused_at=now), event


def learn_published(
    record: Record,
    value: Fingerprint,
    written_only: tuple[str, ...],
    refused: Mapping[str, NotApplied],
    silent: Mapping[str, str],
    policy: Policy,
    now: datetime,
) -> tuple[Record, tuple[Event, ...]]:
    """What the sinks answered. A write-only one is confirmed by its answer alone (A14), the others by the next look.

    `silent` are those that did not refuse, and yet are not known to show the value, each with a sentence.
    """
    record = record.but(written={**record.written, **dict.fromkeys(written_only, value)})
    if not refused and not silent:
        return record, ()
    told = [f"{name} refuses to be written: {refusal.sentence}" for name, refusal in refused.items()]
    sentence = "; ".join([*told, *silent.values()])
    hint = next((refusal.hint for refusal in refused.values() if refusal.hint), "")
    after = max((refusal.after or 0.0 for refusal in refused.values()), default=0.0)
    reason = "sink-refused" if refused else "sink-unclear"
    waiting = Waiting(reason=reason, rule="A14", sentence=f"{sentence}; both values stay live", shorter=hint)
    event = Event(at=now, kind="refused" if refused else "unclear", sentence=sentence, rule="A14")
    record, parked = failed(record, policy, waiting, now, after)
    return record, (event,) if parked is None else (event, parked)
