"""Every transition of a rotation, as one table. Pure: it reads no clock, does no IO, draws nothing at random.

When does the old value die? At one row, `retire the old slot`, behind one guard, `blocked`: no sink shows it, every
sink could be read, and `drain` has passed since the first look that saw it in no sink (rules A1, A14; traces V1 to
V5). The row `renew the standby` writes the other slot behind the same guard. Nothing else here writes a slot.

The states (`model.Stage`), one line each:

    UNKNOWN   not adopted: which slot is active is not known
    IDLE      the active value is in every sink; look now and then, rotate when due
    RENEW     give the standby a fresh value
    CONFIRM   the gateways must accept the target's value
    PUBLISH   write the target's value to every sink; its slot becomes active
    DRAIN     the old value stays live until its slot has been quiet for `drain`
    RETIRE    give the old slot a fresh value: the old value dies here
    PROVE     the gateways must accept that fresh value, so that there is something to fail over to

How it is used: a turn reads the record, then the entity, then the sinks, and asks `next_step`. The answer is a
record to save and at most one effect to send after the save. What came of the effect is learned into the record by
`outcome`, and the turn asks again. The first row of `TABLE` whose stage and guard fit decides.
What a sink shows is a value, or a token made from it: a sink whose token was made from a slot's value shows that
slot's value, so that every rule holds for tokens as it does for values (ADR 0013).
Rules A1 to A18, and the traces V1 to V15 that break without them: docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from keyturn.failing import PARKED, failed, worked
from keyturn.model import Event, Fingerprint, Hold, Mode, Record, Slot, SlotRecord, Stage, Waiting, WriteIntent
from keyturn.policy import HOUR, Policy, Retire, backoff, due, due_at, spell, spread, starts_at
from keyturn.scene import DISABLED, Scene, Seen, SinkSeen, mark

PACE_LOOK = HOUR
"""How often whoever is held back by its fleet's pace looks whether it may start."""

MOST_CANDIDATES = 8
"""Rule A9: so many values are drawn for one renew at most; then a person must look."""


# -------- what to do


class ReadValues(msgspec.Struct, frozen=True, kw_only=True):
    """Read both live values: one ARM call, charged as a write."""


class ProveFence(msgspec.Struct, frozen=True, kw_only=True):
    """Send a change of nothing with a wrong ETag: only a 412 lets `set` mode trust this service."""


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """Give a slot a fresh value. The turn draws it and adds its fingerprint to the intent before it saves."""

    slot: Slot
    mode: Mode
    etag: str | None


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """Ask every gateway whether it accepts this slot's value."""

    slot: Slot
    fingerprint: Fingerprint


class Publish(msgspec.Struct, frozen=True, kw_only=True):
    """Write this slot's value to these sinks."""

    slot: Slot
    fingerprint: Fingerprint
    sinks: tuple[str, ...]
    unheard: dict[str, datetime] = {}
    """Per write-only one of them, until when an earlier publish that nobody answered may still land there."""
    unheard_until: datetime | None = None
    """Until when an earlier publish of this value that nobody answered may still land, in any of them."""


class LetIn(msgspec.Struct, frozen=True, kw_only=True):
    """Activate what was suspended for the time of a compromise."""

    etag: str | None


Effect = ReadValues | ProveFence | Write | Ask | Publish | LetIn


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A record to save, and the effect to send once it is saved. No effect: ask again, or rest if it waits or holds."""

    record: Record
    row: str
    effect: Effect | None = None
    event: Event | None = None


# -------- the table


@dataclass(frozen=True, eq=False)
class Row:
    """In these stages, when this holds, do that; it leads to one of those. The first fitting row decides."""

    name: str
    at: frozenset[Stage]
    when: Callable[[Scene], bool]
    do: Callable[[Scene], Step]
    to: tuple[Stage, ...] = ()
    """Where it leads; empty: it stays."""
    rule: str = ""


def _at(*stages: Stage) -> frozenset[Stage]:
    return frozenset(stages)


ANY = frozenset(Stage)
ADOPTED = ANY - {Stage.UNKNOWN}
REPAIRING = ADOPTED - {Stage.CONFIRM, Stage.PUBLISH}
WRITING = _at(Stage.RENEW, Stage.RETIRE)
ASKING = _at(Stage.CONFIRM, Stage.PROVE)
UNKNOWN, IDLE, RENEW, CONFIRM = _at(Stage.UNKNOWN), _at(Stage.IDLE), _at(Stage.RENEW), _at(Stage.CONFIRM)
PUBLISH, DRAIN, RETIRE, PROVE = _at(Stage.PUBLISH), _at(Stage.DRAIN), _at(Stage.RETIRE), _at(Stage.PROVE)


# fmt: off
def rows() -> tuple[Row, ...]:
    """The table: name, stages, guard, what is done, where it leads, rule. A function only so that it can stand
    before the functions of its rows."""
    return (
        # whoever is held, gone or unreachable goes no further; a token in a sink is kept alive where that is safe
        Row("held", ANY, _held_at_rest, _rest_held),
        Row("held, unreachable", ANY, _held_and_blind, _wait_held),
        Row("held, read the values", ANY, _held_and_unknown, _read_values, rule="A11"),
        Row("held, renew the token", ANY, _held_and_stale, _publish_stale),
        Row("held, token stuck", ANY, _held, _wait_held),
        Row("gone", ANY, _gone, _hold_gone),
        Row("entity unreadable", ANY, _unreachable, _wait_unreachable),
        Row("another keyturn", ANY, _another_ledger, _hold_another, rule="A10"),
        Row("old ledger", ADOPTED, _ledger_is_old, _relearn, (Stage.UNKNOWN,), "A10"),
        Row("not active", ANY, _inactive, _wait_inactive),
        Row("adopt: clocks differ", UNKNOWN, _skewed, _wait_clock, rule="A16"),
        Row("read the values", ANY, _values_unknown, _read_values, rule="A11"),
        Row("prove the fence", UNKNOWN | WRITING, _fence_missing, _prove_fence),
        Row("fence not proven", UNKNOWN | WRITING, _fence_refuted, _hold_fence),

        # adoption: which slot is active? unknown is not a default
        Row("adopt: unreadable", UNKNOWN, _unreadable, _hold_unreadable, rule="A13"),
        Row("adopt: foreign", UNKNOWN, _shows_foreign, _hold_foreign, rule="A13"),
        Row("adopt: equal", UNKNOWN, _shows_equal_slots, _adopt_equal, (Stage.IDLE,), "A13"),
        Row("adopt: disagree", UNKNOWN, _shows_both_slots, _hold_disagree, rule="A13"),
        Row("adopt: shown", UNKNOWN, _shows_one_slot, _adopt_shown, (Stage.IDLE,), "A13"),
        Row("adopt: ours", UNKNOWN, _shows_dead, _adopt_ours, (Stage.IDLE,), "A13"),
        Row("adopt: empty", UNKNOWN, _policy_adopts, _adopt_empty, (Stage.IDLE,), "A13"),
        Row("adopt: hold", UNKNOWN, _always, _hold_empty, rule="A13"),

        # drift: a sink does not show the active value, or a token made from it that is fresh
        Row("foreign in a new sink", ADOPTED, _new_sink_is_foreign, _hold_foreign, rule="A13"),
        Row("renew the token", REPAIRING | CONFIRM, _stale_and_publishable, _renew_token, (Stage.PUBLISH,)),
        Row("repair", REPAIRING, _drifted_and_publishable, _repair, (Stage.PUBLISH,), "A7"),
        Row("fail over", REPAIRING | CONFIRM, _dead_and_rescue, _fail_over, (Stage.PUBLISH,), "A12"),
        Row("confirm first", REPAIRING, _drifted, _confirm_first, (Stage.CONFIRM,), "A12"),

        # compromise: the values that a person named die without a drain
        Row("compromised", IDLE | DRAIN | RETIRE | PROVE, _active_compromised, _replace_active, (Stage.RENEW,), "A15"),
        Row("compromised standby", IDLE, _standby_compromised, _end_standby, (Stage.RETIRE,), "A15"),
        Row("let in soon", IDLE | DRAIN | WRITING, _locked_out_for_now, _wait_to_let_in, rule="A15"),
        Row("let in again", IDLE | DRAIN | WRITING, _locked_out, _let_in, rule="A15"),
        Row("prove it is let in", IDLE | DRAIN | WRITING, _was_locked_out, _prove_let_in, (Stage.CONFIRM,), "A15"),
        Row("looked again", IDLE, _compromise_over, _close_compromise, rule="A15"),

        # idle
        Row("due", IDLE, _may_start, _start, (Stage.RENEW,)),
        Row("rest, sink unreadable", IDLE, _unreadable, _wait_sinks, rule="A14"),
        Row("not now", IDLE, _due, _wait_start),
        Row("rest", IDLE, _always, _rest),

        # a fresh value for one slot: in RENEW the standby, in RETIRE the old one
        Row("retired before", DRAIN | RETIRE, _is_retired, _prove_again, (Stage.PROVE,), "A7"),
        Row("renewed", RENEW, _landed_or_renewed, _confirm_renewed, (Stage.CONFIRM,), "A9"),
        Row("retired", RETIRE, _landed, _prove_retired, (Stage.PROVE,), "A9"),
        Row("may still land", WRITING, _may_land, _wait_landing, rule="A5"),
        Row("tried enough", WRITING, _tried_enough, _hold_tried, rule="A9"),
        Row("slot not quiet", WRITING, _may_not_write, _wait_blocked, rule="A1"),
        Row("renew the standby", RENEW, _always, _write, rule="A1"),
        Row("retire the old slot", RETIRE, _always, _write, rule="A1"),  # the old value dies here, and only here

        # the gateways must accept a value before it may be published
        Row("compromised target", CONFIRM, _target_compromised, _drop_target, (Stage.RENEW, Stage.IDLE), "A15"),
        Row("renew again", CONFIRM, _somebody_wrote_target, _renew_again, (Stage.RENEW,)),
        Row("target unsettled", ASKING, _target_unsettled, _wait_settled, rule="A5"),
        Row("confirmed", CONFIRM, _is_confirmed, _publish_confirmed, (Stage.PUBLISH,), "A5"),
        Row("finish", PROVE, _is_confirmed, _finish, (Stage.IDLE,)),
        Row("clocks differ", ASKING, _skewed, _wait_clock, rule="A16"),
        Row("note confirmed", ASKING, _waited, _note_confirmed, rule="A17"),
        Row("settle", ASKING, _must_wait, _wait_confirm, rule="A17"),
        Row("not accepted", ASKING, _asked_too_long, _hold_unconfirmed, rule="A17"),
        Row("value not at hand", ASKING, _value_not_held, _read_values),
        Row("ask the gateways", ASKING, _always, _ask, rule="A17"),

        # every sink must show the value before anything else happens
        Row("target lost", PUBLISH, _target_lost_and_rescue, _fail_over, (Stage.PUBLISH,), "A12"),
        Row("target unconfirmed", PUBLISH, _target_lost, _confirm_first, (Stage.CONFIRM,), "A5"),
        Row("published", PUBLISH, _published, _close_publish, (Stage.DRAIN, Stage.RENEW, Stage.IDLE)),
        Row("value to publish not at hand", PUBLISH, _writable_and_not_held, _read_values),
        Row("publish", PUBLISH, _writable, _publish, rule="A10"),
        Row("sink unreadable", PUBLISH, _always, _wait_sinks, rule="A14"),

        # the old value stays live until nobody can be using it
        Row("draining", DRAIN, _may_not_write, _wait_blocked, rule="A1"),
        Row("finish, retire later", DRAIN, _retires_later, _finish_unretired, (Stage.IDLE,)),
        Row("drained", DRAIN, _always, _retire, (Stage.RETIRE,), "A1"),
    )
# fmt: on


def _always(_: Scene) -> bool:
    return True


# -------- the guard of every slot write


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """Why a slot may not be written now. `until` is when to look again; `hold` asks for a person instead."""

    reason: str
    sentence: str
    rule: str
    until: datetime
    shorter: str = ""
    hold: bool = False


def blocked(scene: Scene, slot: Slot) -> Blocked | None:
    """The guard of every slot write (invariant 2; rules A1, A14, A16). None: the slot is quiet and may be written."""
    kept, policy, now = scene.record.slot(slot), scene.policy, scene.now
    drains = not scene.dies_at_once(slot)
    again = now + backoff(scene.record.failures + 1)
    if scene.skewed:
        return Blocked(
            reason="clock-skew",
            rule="A16",
            until=again,
            sentence=_clocks(scene),
            shorter="set this machine's clock right",
        )
    if scene.unreadable:
        sink = scene.unreadable[0]
        return Blocked(
            reason="sink-unreadable",
            rule="A14",
            until=again,
            sentence=f"{sink.name} cannot be read, so it may still show the {slot} value: {sink.problem}",
            shorter=f"make {sink.name} readable",
        )
    if scene.equal_slots and slot is scene.active.other:
        return unsettled(scene, slot)  # A13, trace V13: the published value stays live in the active slot
    if kept.exposed:
        return Blocked(
            reason="exposed",
            rule="A1",
            until=max(again, scene.heard_at or again),
            sentence=f"a sink shows or may show the {slot} value",
        )
    if drains and kept.quiet_since is not None and now < kept.quiet_since + policy.drain:
        return Blocked(
            reason="quiet-slot",
            rule="A1",
            until=kept.quiet_since + policy.drain,
            sentence=f"no sink shows the {slot} value since {kept.quiet_since:%Y-%m-%d %H:%M} UTC; "
            f"callers may use it until it has been out of every sink for {spell(policy.drain)}",
            shorter=f"`keyturn adopt {scene.record.id} --quiet-since TIME --because TEXT`, if nobody uses it",
        )
    return unsettled(scene, slot) or (_in_use(scene, slot, kept.quiet_since) if drains else None)


def unsettled(scene: Scene, slot: Slot) -> Blocked | None:
    """A write that nobody acknowledged may still land on the slot (rules A2, A5). Nobody may overrule that."""
    until = scene.record.slot(slot).unsettled_until
    if until is None or (scene.now >= until and not scene.skewed):
        return None
    return Blocked(
        reason="unsettled",
        rule="A5",
        until=until,
        sentence=_may_still_land(scene, slot),
    )


def _may_still_land(scene: Scene, slot: Slot) -> str:
    """A write that the record knows of, or, without one, what adoption assumes because nobody can know (A2)."""
    if scene.record.slot(slot).intent is None:
        return f"nobody can rule out an earlier write to {slot}, which may still land"
    return f"an earlier write to {slot} was not acknowledged and may still land"


def _clocks(scene: Scene) -> str:
    return (
        f"this machine's clock and Azure's differ by {spell(abs(scene.seen.skew))}, "
        f"more than max_clock_skew {spell(scene.policy.max_clock_skew)}"
    )


def _in_use(scene: Scene, slot: Slot, quiet_since: datetime | None) -> Blocked | None:
    """Evidence that callers still use the slot stretches its drain, up to `drain.max`, then a person must look."""
    used = scene.seen.used.get(slot)
    if used is None or used + scene.policy.drain <= scene.now:
        return None
    limit = (quiet_since or scene.now) + scene.policy.drain_limit
    return Blocked(
        reason="in-use",
        rule="A16",
        until=min(used + scene.policy.drain, limit),
        sentence=f"a caller used the {slot} value {spell(scene.now - used)} ago although no sink shows it",
        shorter="find that caller and let it read its sink again; `release` gives it drain.max once more",
        hold=scene.now >= limit,
    )


CUTTING_OFF = frozenset({"exposed", "quiet-slot", "in-use", "sink-unreadable"})
"""What a person may overrule for one slot, by `--cut-off-callers`, once it was said who is cut off (invariant 2)."""


def write_by_hand(scene: Scene, slot: Slot, mode: Mode, because: str) -> Step:
    """The intent of `key set` or `key regenerate`. Its caller has asked `blocked`."""
    record = _with_intent(scene, slot, mode, by_hand=True)
    cut_off = blocked(scene, slot) is not None
    how = "set" if mode is Mode.SET else "regenerated"
    told = f"by hand: {slot} {how}{', cutting callers off' if cut_off else ''}"
    facts = {"slot": slot.value, "mode": mode.value, "cut-off-callers": str(cut_off).lower()}
    event = Event(at=scene.now, kind="by hand", sentence=f"{told}: {because}" if because else told, facts=facts)
    return Step(record=record, row="by hand", event=event)


# -------- answers of the rows


def _move(s: Scene, row: str, stage: Stage, sentence: str, *, rule: str = "", **changes: object) -> Step:
    """Enter a stage; no effect."""
    fresh: dict[str, object] = {"stage": stage, "since": s.now, "not_before": None, "waiting": None}
    if stage in {Stage.CONFIRM, Stage.PROVE}:
        fresh |= {"refused_since": None, "refused_at": None}
    record = s.record.but(**(fresh | changes))
    return Step(record=record, row=row, event=Event(at=s.now, kind=row, sentence=sentence, rule=rule))


def _send(s: Scene, row: str, effect: Effect, sentence: str, *, rule: str = "", record: Record | None = None) -> Step:
    """Save the record, then send the effect."""
    kept = (record or s.record).but(not_before=None, waiting=None)
    return Step(record=kept, row=row, effect=effect, event=Event(at=s.now, kind=row, sentence=sentence, rule=rule))


def _wait(
    s: Scene,
    row: str,
    until: datetime,
    waiting: Waiting,
) -> Step:
    """Store why nothing happens before `until`; the turn ends. A changed reason is a line of history.

    No wait outlasts a token; and somebody else's change is found within `look_every`, whatever is waited for
    (invariant 1).
    """
    until = min(until, s.next_stale or until, s.heard_at or until, s.now + s.policy.look_every)
    record = worked(s.record).but(not_before=max(until, s.now), waiting=waiting)
    return Step(record=record, row=row, event=_news(s, waiting))


def _fail(s: Scene, row: str, waiting: Waiting, after: float = 0.0) -> Step:
    """The same for what should not be: the pauses grow, and in the end it is parked."""
    record, parked = failed(s.record, s.policy, waiting, s.now, after)
    if record.not_before is not None and s.next_stale is not None:
        record = record.but(not_before=max(min(record.not_before, s.next_stale), s.now))
    return Step(record=record, row=row, event=parked or _news(s, waiting))


def _news(s: Scene, waiting: Waiting) -> Event | None:
    told = s.record.waiting is not None and s.record.waiting.reason == waiting.reason
    return None if told else Event(at=s.now, kind="wait", sentence=waiting.sentence, rule=waiting.rule)


def _hold(s: Scene, row: str, reason: str, sentence: str, *, rule: str = "") -> Step:
    """Stop for a person."""
    record = s.record.but(hold=Hold(reason=reason, sentence=sentence, since=s.now), not_before=None, waiting=None)
    return Step(record=record, row=row, event=Event(at=s.now, kind="hold", sentence=sentence, rule=rule))


# -------- rows: any stage


def _held(s: Scene) -> bool:
    return s.record.hold is not None


KEEPS_TOKENS = frozenset(
    {
        "not-accepted",
        "rolled-back",
        "in-use",
        "write-does-not-land",
        "fence-not-proven",
        "probe-proves-nothing",
        PARKED,
    }
)
"""Holds that stop rotations, and not the renewing of tokens: what is published, and where, is in no doubt."""


def rests(record: Record, policy: Policy, now: datetime) -> bool:
    """Whether there is nothing to do for this record yet: it is held, or its wait has not ended.

    A wait longer than any legal one, or stored by a look from the future, is a clock fault: look again (rule A16).
    """
    if record.hold is not None and not (record.hold.reason in KEEPS_TOKENS and token_due(record, now)):
        return True
    if record.not_before is None:
        return False
    if record.looked_at is not None and record.looked_at > now + policy.max_clock_skew:
        return False
    return timedelta(0) < record.not_before - now <= policy.longest_wait


def token_due(record: Record, now: datetime) -> bool:
    """Whether some sink's token is due for a fresh one. `now` is Azure's, as far as it is known."""
    return any(now >= life.renew_at for life in record.tokens.values())


def _held_at_rest(s: Scene) -> bool:
    hold = s.record.hold
    if hold is None:
        return False
    kept = hold.reason in KEEPS_TOKENS and s.record.active is not None
    return not (kept and token_due(s.record, s.azure_now))


def _held_and_blind(s: Scene) -> bool:
    return _held(s) and (_gone(s) or _unreachable(s) or _another_ledger(s) or _ledger_is_old(s))


def _held_and_unknown(s: Scene) -> bool:
    return _held(s) and not s.values_current


def _stale_but_right(s: Scene) -> tuple[SinkSeen, ...]:
    """The sinks that show the active value by a token that is due."""
    return tuple(sink for sink in s.without(s.active) if s.shows(sink) == s.live(s.active))


def _held_and_stale(s: Scene) -> bool:
    return _held(s) and bool(_stale_but_right(s))


def _publish_stale(s: Scene) -> Step:
    return _publish_to(s, s.active, _stale_but_right(s), "although it is held, publish")


def _wait_held(s: Scene) -> Step:
    """The hold stays what it is; a token that is due is tried again after a while."""
    waiting = Waiting(reason="token-stuck", sentence="a token is due for a fresh one, and its sink cannot be given one")
    return _fail(s, "token stuck", waiting)


def _gone(s: Scene) -> bool:
    return s.seen.gone is not None


def _unreachable(s: Scene) -> bool:
    return s.seen.problem is not None


def _inactive(s: Scene) -> bool:
    """What was disabled may be enabled again at any moment, so that its tokens are kept fresh all the same."""
    if s.seen.state == DISABLED and s.record.active is not None and token_due(s.record, s.azure_now):
        return False
    return s.seen.state != "active" and not s.suspended


def _skewed(s: Scene) -> bool:
    return s.skewed


def _wait_clock(s: Scene) -> Step:
    waiting = Waiting(reason="clock-skew", rule="A16", sentence=_clocks(s), shorter="set this machine's clock right")
    return _fail(s, "clocks differ", waiting)


def _values_unknown(s: Scene) -> bool:
    return not s.values_current


def _unreadable(s: Scene) -> bool:
    return bool(s.unreadable)


def _rest_held(s: Scene) -> Step:
    return Step(record=s.record, row="held")


def _hold_gone(s: Scene) -> Step:
    return _hold(s, "gone", "gone", f"{s.seen.gone}")


def _wait_unreachable(s: Scene) -> Step:
    waiting = Waiting(
        reason="refused" if s.seen.refused else "unreachable",
        sentence=f"{s.seen.problem}",
        shorter=f"grant what is missing, then `keyturn run {s.record.id}`" if s.seen.refused else "",
    )
    return _fail(s, "entity unreadable", waiting, s.seen.retry_after)


def _another_ledger(s: Scene) -> bool:
    ours = {None, s.seen.ledger, s.record.succeeds}
    return any(sink.ledger not in ours for sink in s.seen.sinks)


def _hold_another(s: Scene) -> Step:
    ours = {None, s.seen.ledger, s.record.succeeds}
    theirs = [sink for sink in s.seen.sinks if sink.ledger not in ours]
    names, ledgers = ", ".join(sink.name for sink in theirs), sorted({str(sink.ledger) for sink in theirs})
    return _hold(
        s,
        "another keyturn",
        "another-keyturn",
        f"{names} was published by a keyturn with another ledger ({', '.join(ledgers)}); two may never share a sink. "
        f"If that ledger is lost for good: `keyturn adopt {s.record.id} --take-over {ledgers[0]} --because TEXT`",
        rule="A10",
    )


def _highest_seq(s: Scene) -> int:
    ours = {s.seen.ledger, s.record.succeeds} - {None}
    return max((k.seq for k in s.seen.sinks if k.ledger in ours and k.seq is not None), default=0)


def _ledger_is_old(s: Scene) -> bool:
    return any(k.ledger == s.seen.ledger and (k.seq or 0) > s.record.seq for k in s.seen.sinks)


def _relearn(s: Scene) -> Step:
    blank = Record(key=s.record.key, id=s.record.id, rotations=s.record.rotations, policy=s.record.policy)
    record = blank.but(seq=_highest_seq(s), requested=s.record.requested, since=s.now)
    record = record.but(compromise=s.record.compromise)  # what a person said of values, and who is to be let in again
    sentence = "the sinks are newer than the ledger: it was restored from a backup, so everything is learned anew"
    event = Event(at=s.now, kind="relearn", sentence=sentence, rule="A10")
    return Step(record=record, row="old ledger", event=event)


def _wait_inactive(s: Scene) -> Step:
    waiting = Waiting(
        reason="not-active",
        sentence=f"the apim subscription is {s.seen.state}: gateways refuse both its values, so nothing can be proven",
        shorter=f"activate it in API Management, then `keyturn run {s.record.id}`",
    )
    if s.seen.state == DISABLED:
        waiting = Waiting(
            reason="not-active",
            sentence="it is disabled: the management endpoint refuses whatever is made from its values",
            shorter=f"`keyturn key enable {s.record.id}`, then `keyturn run {s.record.id}`",
        )
    return _wait(s, "not active", s.now + min(s.policy.look_every, HOUR), waiting)


def _read_values(s: Scene) -> Step:
    return _send(s, "read the values", ReadValues(), "read both live values", rule="A11")


# -------- rows: adoption (A13)


def _shown_slots(s: Scene) -> set[Slot]:
    """The slots whose live value some sink shows."""
    fresh = {s.shows(sink) for sink in s.seen.sinks if not s.ended(sink)} - {None}
    shown = fresh or {s.shows(sink) for sink in s.seen.sinks} - {None}  # an expired token is better than no hint
    return {slot for slot in Slot if s.live(slot) in shown}


def _foreign(s: Scene) -> tuple[SinkSeen, ...]:
    ours = {s.seen.ledger, s.record.succeeds} - {None}
    return tuple(sink for sink in s.dead if sink.ledger not in ours)


def _shows_one_slot(s: Scene) -> bool:
    return len(_shown_slots(s)) == 1


def _shows_both_slots(s: Scene) -> bool:
    return len(_shown_slots(s)) > 1


def _shows_equal_slots(s: Scene) -> bool:
    return s.equal_slots and bool(_shown_slots(s))


def _shows_dead(s: Scene) -> bool:
    return bool(s.dead)


def _shows_foreign(s: Scene) -> bool:
    return bool(_foreign(s))


def _policy_adopts(s: Scene) -> bool:
    return s.policy.adopt is not None


def _hold_unreadable(s: Scene) -> Step:
    sink = s.unreadable[0]
    return _hold(s, "adopt: unreadable", "sink-unreadable", f"{sink.name} cannot be read: {sink.problem}", rule="A13")


def _hold_foreign(s: Scene) -> Step:
    names = ", ".join(sink.name for sink in _foreign(s))
    sentence = f"{names} holds a value that is in neither slot and was not written by keyturn"
    return _hold(s, "adopt: foreign", "foreign-value", sentence, rule="A13")


def _hold_disagree(s: Scene) -> Step:
    sentence = "some sinks show the primary value and some the secondary; both stay valid"
    if s.record.tokens:
        sentence += ", their tokens until they expire"
    return _hold(s, "adopt: disagree", "sinks-disagree", sentence, rule="A13")


def _hold_empty(s: Scene) -> Step:
    sentence = "every sink is empty and the policy does not say which slot to publish (adopt: primary | secondary)"
    return _hold(s, "adopt: empty", "nothing-published", sentence, rule="A13")


def _adopt(s: Scene, active: Slot, sentence: str) -> Step:
    """Rule A2: both slots count as exposed, and a write that nobody knows of may still land on the standby. Where a
    sink tells that a keyturn was here before, so may a publish of its value (ADR 0022).

    The active slot's value is published already, or is to be published as a repair, which A2 allows at once.
    """
    vouched = s.record.vouched
    tagged = any(sink.ledger is not None for sink in s.seen.sinks)
    standby = SlotRecord(
        fingerprint=s.live(active.other),
        exposed=vouched is None,
        quiet_since=vouched,
        unsettled_until=s.now + s.policy.settling if vouched is None else None,
        unheard_until=s.azure_now + s.policy.settling if vouched is None and tagged else None,
    )
    shown = SlotRecord(fingerprint=s.live(active), exposed=True, published_at=s.now, written_at=s.now)
    unheard = {sink.name: s.azure_now + s.policy.settling for sink in s.seen.sinks if sink.write_only}
    sinks = tuple(sink.name for sink in s.seen.sinks)
    return _move(
        s,
        "adopt",
        Stage.IDLE,
        sentence,
        rule="A13",
        active=active,
        sinks=sinks,
        unheard=unheard,
        seq=max(s.record.seq, _highest_seq(s)),
        **{active.value: shown, active.other.value: standby},
    )


def _adopt_equal(s: Scene) -> Step:
    active = s.policy.adopt or Slot.PRIMARY
    return _adopt(s, active, f"adopted with {active} active: both slots hold the same value")


def _adopt_shown(s: Scene) -> Step:
    (active,) = _shown_slots(s)
    return _adopt(s, active, f"adopted with {active} active: it is the value that the sinks show")


def _adopt_ours(s: Scene) -> Step:
    tagged = next((sink.slot for sink in s.dead if sink.slot is not None), None)
    active = tagged or s.policy.adopt or Slot.PRIMARY
    return _adopt(s, active, f"adopted with {active} active: the sinks show an older value that keyturn published")


def _adopt_empty(s: Scene) -> Step:
    active = s.policy.adopt or Slot.PRIMARY
    return _adopt(s, active, f"adopted with {active} active: the sinks are empty and the policy says so")


# -------- rows: drift, repair, fail-over (A7, A12)


def _drifted(s: Scene) -> bool:
    return bool(s.without(s.active))


def _drifted_and_publishable(s: Scene) -> bool:
    return _drifted(s) and s.publishable(s.active)


def _dead_and_rescue(s: Scene) -> bool:
    return bool(s.dead) and s.rescue is not None


def _new_sink_is_foreign(s: Scene) -> bool:
    """A sink that came with a changed configuration holds somebody else's value: it may be another secret."""
    return any(sink.name not in s.record.sinks for sink in _foreign(s))


def _stale_and_publishable(s: Scene) -> bool:
    return not s.record.rolling_back and s.refreshes(s.active) and s.publishable(s.active)


def _renew_token(s: Scene) -> Step:
    """The key behind it stays, and the old token works until its own end. Both ends are by Azure's clock, so that a
    wrong one here neither delays this nor makes a token that has ended already."""
    told = "; ".join(f"the one in {sink.name} {_until(s, sink)}" for sink in s.without(s.active))
    return _move(s, "renew the token", Stage.PUBLISH, f"a fresh token is due: {told}", target=s.active)


def _until(s: Scene, sink: SinkSeen) -> str:
    if sink.expires is None:
        return "is none as it should be"
    return f"{'ended' if s.ended(sink) else 'ends'} on {sink.expires:%Y-%m-%d %H:%M} UTC"


def _repair(s: Scene) -> Step:
    names = ", ".join(sink.name for sink in s.without(s.active))
    return _move(
        s,
        "repair",
        Stage.PUBLISH,
        f"{names} does not show the active value: publish it again",
        rule="A7",
        target=s.active,
    )


def _fail_over(s: Scene) -> Step:
    """A value that somebody else wrote is retired after the drain; one that a person set through us is kept."""
    rescue = s.rescue
    assert rescue is not None  # noqa: S101 - the guard asked
    turning, retired = s.record.turning, s.record.retired
    if rescue is not s.active:
        turning, retired = (rescue if s.record.slot(rescue.other).foreign else None), False
    return _move(
        s,
        "fail over",
        Stage.PUBLISH,
        f"the sinks show a value that no slot holds: publish {rescue}, which every gateway accepts",
        rule="A12",
        target=rescue,
        turning=turning,
        retired=retired,
    )


def _confirm_first(s: Scene) -> Step:
    slot = s.target if s.record.stage is Stage.PUBLISH else s.active
    sentence = f"{slot} must be published and no gateway has confirmed its value yet"
    return _move(s, "confirm first", Stage.CONFIRM, sentence, rule="A12", target=slot)


# -------- rows: compromise (A15)


def _active_compromised(s: Scene) -> bool:
    return s.compromised(s.active)


def _replace_active(s: Scene) -> Step:
    """A rotation without a drain, in the place of whatever was under way. Until a fresh value is published, callers
    have no other than the compromised one."""
    sentence = f"{s.active} is compromised: replace it, and let it die as soon as no sink shows it"
    return _move(s, "compromised", Stage.RENEW, sentence, rule="A15", **_compromised_rotation(s))


def _compromised_rotation(s: Scene) -> dict[str, Any]:
    """The last look counts from this death: somebody may have brought back a value that had died."""
    named = s.record.compromise
    assert named is not None  # noqa: S101 - the guard asked
    return {**_new_rotation(s), "compromise": msgspec.structs.replace(named, look_at=None)}


def _standby_compromised(s: Scene) -> bool:
    return s.compromised(s.active.other)


def _target_compromised(s: Scene) -> bool:
    """It was to be published, by a rotation or a rollback, and no sink shows it yet: none ever will."""
    return s.compromised(s.target) and s.target is not s.active and not s.record.slot(s.target).exposed


def _drop_target(s: Scene) -> Step:
    stage = Stage.RENEW if s.target is s.record.turning else Stage.IDLE
    sentence = f"{s.target} is compromised, and published nowhere: it is not published"
    return _move(s, "compromised target", stage, sentence, rule="A15", target=None, renewed=None)


def _end_standby(s: Scene) -> Step:
    """No sink shows it, and the active value stays: it is retired as at the end of a rotation."""
    sentence = f"{s.active.other} is compromised, and published nowhere: it dies now"
    rotation = {**_compromised_rotation(s), "turning": s.active}
    return _move(s, "compromised standby", Stage.RETIRE, sentence, rule="A15", **rotation)


def _named_are_dead(s: Scene) -> bool:
    """By a rotation, or by a person who was faster: nobody is kept out for a drain. What has just landed is learned
    first."""
    return not any(s.compromised(slot) for slot in Slot) and not _landed_or_renewed(s)


def _known_everywhere_at(s: Scene) -> datetime:
    """When every gateway has had the time to learn what took the place of the compromised values."""
    fresh = [s.record.slot(slot).written_at for slot in Slot if not s.confirmed(slot)]
    return max((at + s.policy.propagation_wait for at in fresh if at is not None), default=s.now)


def _locked_out(s: Scene) -> bool:
    return s.suspended and _named_are_dead(s)


def _locked_out_for_now(s: Scene) -> bool:
    return _locked_out(s) and (s.skewed or s.now < _known_everywhere_at(s))


def _wait_to_let_in(s: Scene) -> Step:
    if s.skewed:
        return _wait_clock(s)
    sentence = "the compromised values are dead; it is activated once that must have reached every gateway"
    waiting = Waiting(reason="propagation", rule="A15", sentence=sentence)
    return _wait(s, "let in soon", _known_everywhere_at(s), waiting)


def _let_in(s: Scene) -> Step:
    sentence = "the compromised values are dead: activate the apim subscription again"
    return _send(s, "let in again", LetIn(etag=s.seen.etag), sentence, rule="A15")


def _was_locked_out(s: Scene) -> bool:
    """They are dead, so that its ETag has moved since it was suspended: no late suspend can land any more."""
    named = s.record.compromise
    return named is not None and named.suspended and _named_are_dead(s)


def _prove_let_in(s: Scene) -> Step:
    """While it was suspended no gateway could be asked."""
    named = s.record.compromise
    assert named is not None  # noqa: S101 - the guard asked
    record = s.record.but(compromise=msgspec.structs.replace(named, suspended=False))
    after = Scene(record.with_slot(s.active, confirmed=None, accepted=None), s.seen, s.policy, s.now)
    sentence = "it is active again: ask the gateways for the published value"
    return _move(after, "prove it is let in", Stage.CONFIRM, sentence, rule="A15", target=s.active)


def _compromise_over(s: Scene) -> bool:
    named = s.record.compromise
    looked = named is not None and named.look_at is not None and s.now >= named.look_at
    return looked and not s.unreadable and not s.skewed


def _close_compromise(s: Scene) -> Step:
    """No request outlives `late`: what was in the air when the values died has landed, and no sink shows them."""
    sentence = "the compromised values are dead, and no late publish has brought one back"
    event = Event(at=s.now, kind="compromise over", sentence=sentence, rule="A15")
    return Step(record=s.record.but(compromise=None), row="looked again", event=event)


# -------- rows: idle


def _due(s: Scene) -> bool:
    return due(s.record, s.policy, s.now) is not None


def _may_start(s: Scene) -> bool:
    """A window is open, and nobody of its fleet goes first. A person's request waits for neither."""
    return _due(s) and starts_at(s.record, s.policy, s.now) == s.now and s.seen.held_back is None


def _start(s: Scene) -> Step:
    reason = due(s.record, s.policy, s.now)
    assert reason is not None  # noqa: S101 - the guard asked
    return _move(
        s,
        "due",
        Stage.RENEW,
        reason.sentence,
        **_new_rotation(s),
    )


def _new_rotation(s: Scene) -> dict[str, Any]:
    return {
        "turning": s.active.other,
        "target": None,
        "renewed": None,
        "retired": False,
        "renewals": 0,
        "requested": None,
        "rolling_back": False,
    }


def _rest(s: Scene) -> Step:
    look = s.now + spread(s.record.key, s.policy.look_every)
    at = due_at(s.record, s.policy)
    until = min(instant for instant in (look, at, _look_again_at(s)) if instant is not None)
    sentence = "nothing to do" if at is None else f"due on {at:%Y-%m-%d %H:%M} UTC"
    return _wait(_at_rest(s), "rest", until, Waiting(reason="not-due", sentence=sentence))


def _at_rest(s: Scene) -> Scene:
    """The scene of a credential that is as it should be."""
    record = worked(s.record).but(looked_at=s.now, turning=None, target=None)
    if record.compromise is not None:
        record = record.but(compromise=msgspec.structs.replace(record.compromise, look_at=_landed_by(s)))
    if record.slot(s.active).published_at is None:  # somebody else published it: its age counts from here
        record = record.with_slot(s.active, published_at=s.now)
    return Scene(record, s.seen, s.policy, s.now)


def _landed_by(s: Scene) -> datetime | None:
    """When whatever publish of a compromised value was in the air at its death has landed (rule A15, trace V15)."""
    named = s.record.compromise
    if named is None:
        return None
    return s.now + s.policy.settling if named.look_at is None else min(named.look_at, s.now + s.policy.settling)


def _look_again_at(s: Scene) -> datetime | None:
    """The same as an instant to wait for: a look that is due, and proves nothing by a wrong clock, comes in a while."""
    at = _landed_by(s)
    return None if at is None else max(at, s.now + backoff(1))


def _wait_start(s: Scene) -> Step:
    """It is due, and may not start yet: no window is open, or its fleet's pace holds it back."""
    reason, opens = due(s.record, s.policy, s.now), starts_at(s.record, s.policy, s.now)
    assert reason is not None  # noqa: S101 - the guard asked
    look = s.now + spread(s.record.key, s.policy.look_every)
    if opens == s.now:
        sentence = f"{reason.sentence}; {s.seen.held_back}"
        until, waiting = s.now + PACE_LOOK, Waiting(reason="pace", sentence=sentence)
    else:
        hours = ", ".join(str(window) for window in s.policy.windows)
        when = "not within fifteen days" if opens is None else f"on {opens:%Y-%m-%d %H:%M} UTC"
        until = look if opens is None else opens
        waiting = Waiting(
            reason="outside-window",
            sentence=f"{reason.sentence}; it starts in its window ({hours}), {when}",
            shorter=f"`keyturn rotate {s.record.id}` waits for no window",
        )
    return _wait(_at_rest(s), "not now", min(look, until, _look_again_at(s) or look), waiting)


# -------- rows: writing a slot (A1, A5, A9)


def _intent(s: Scene) -> WriteIntent | None:
    return s.record.slot(s.writing).intent


def _landed(s: Scene) -> bool:
    intent = _intent(s)
    return intent is not None and intent.applied


def _already_renewed(s: Scene) -> bool:
    renewed = s.record.renewed
    return renewed is not None and s.live(s.writing) == renewed and _intent(s) is None


def _landed_or_renewed(s: Scene) -> bool:
    return _landed(s) or _already_renewed(s)


def _confirm_renewed(s: Scene) -> Step:
    slot = s.writing
    record = worked(s.record.with_slot(slot, intent=None)).but(renewed=s.live(slot))
    after = Scene(record, s.seen, s.policy, s.now)
    since, at = (None, None) if _landed(s) else _asked(s)
    sentence = f"{slot} holds a fresh value"
    return _move(after, "renewed", Stage.CONFIRM, sentence, target=slot, refused_since=since, refused_at=at)


def _asked(s: Scene) -> tuple[datetime | None, datetime | None]:
    """Since when gateways refuse a value counts on over a detour, so that asking ends in time (invariant 7)."""
    return s.record.refused_since, s.record.refused_at


def _prove_retired(s: Scene) -> Step:
    slot = s.writing
    record = worked(s.record.with_slot(slot, intent=None)).but(retired=True)
    after = Scene(record, s.seen, s.policy, s.now)
    return _move(after, "retired", Stage.PROVE, f"the old value in {slot} is dead", rule="A12", target=slot)


def _landing_until(s: Scene) -> datetime | None:
    """Until when an earlier send to this slot is given time to land before anything is sent again.

    regenerate: until it cannot land any more, for two of them are never in the air at once (rule A5, trace V6).
    set: a pause that grows, up to then; a second send carries the same ETag, so that at most one of the two can land
    (rule A9).
    """
    kept, intent = s.record.slot(s.writing), _intent(s)
    if intent is None or intent.sent_at is None:
        return None
    if intent.mode is Mode.REGENERATE:
        return kept.unsettled_until
    return intent.sent_at + min(backoff(max(intent.sends, s.record.renewals)), s.policy.settling)


def _may_land(s: Scene) -> bool:
    until = _landing_until(s)
    return until is not None and s.now < until


def _wait_landing(s: Scene) -> Step:
    until = _landing_until(s)
    assert until is not None  # noqa: S101 - the guard asked
    waiting = Waiting(
        reason="unsettled",
        rule="A5",
        sentence=f"a write to {s.writing} was not acknowledged and may still land",
    )
    return _wait(s, "may still land", until, waiting)


def _fence_missing(s: Scene) -> bool:
    return s.policy.mode is Mode.SET and s.seen.fence is None


def _fence_refuted(s: Scene) -> bool:
    return s.policy.mode is Mode.SET and s.seen.fence is False


def _prove_fence(s: Scene) -> Step:
    sentence = "prove that this service refuses a wrong ETag before trusting it as a fence"
    return _send(s, "prove the fence", ProveFence(), sentence)


def _hold_fence(s: Scene) -> Step:
    sentence = "this service did not refuse a write with a wrong ETag, so `renew: set` is not safe on it"
    return _hold(s, "fence not proven", "fence-not-proven", sentence)


def _may_not_write(s: Scene) -> bool:
    return blocked(s, s.writing) is not None


def _wait_blocked(s: Scene) -> Step:
    why = blocked(s, s.writing)
    assert why is not None  # noqa: S101 - the guard asked
    if why.hold:
        return _hold(s, "in use", why.reason, why.sentence, rule=why.rule)
    waiting = Waiting(reason=why.reason, sentence=why.sentence, rule=why.rule, shorter=why.shorter)
    if why.reason in {"clock-skew", "sink-unreadable"}:
        return _fail(s, "slot not quiet", waiting)
    return _wait(s, "slot not quiet", why.until, waiting)


def _in_the_air(s: Scene, slot: Slot) -> WriteIntent | None:
    """The intent whose sends may still land; no request outlives `late` (protocol.md, section 3)."""
    intent = s.record.slot(slot).intent
    if intent is None or intent.sent_at is None or s.now >= intent.sent_at + s.policy.settling:
        return None
    return intent


def _tried_enough(s: Scene) -> bool:
    intent = _in_the_air(s, s.writing)
    drawn = len(intent.candidates) if intent is not None else 0
    return drawn >= MOST_CANDIDATES or s.record.renewals >= 2 * MOST_CANDIDATES


def _hold_tried(s: Scene) -> Step:
    sentence = f"{s.record.renewals} writes to {s.writing} did not leave a value of ours in it"
    return _hold(s, "tried enough", "write-does-not-land", sentence, rule="A9")


def _write(s: Scene) -> Step:
    """The intent is saved with this step; in set mode the turn adds the fingerprint of the value it draws."""
    slot = s.writing
    record = _with_intent(s, slot, s.policy.mode).but(renewals=s.record.renewals + 1)
    row = "renew the standby" if s.record.stage is Stage.RENEW else "retire the old slot"
    effect = Write(slot=slot, mode=s.policy.mode, etag=s.seen.etag)
    return _send(s, row, effect, f"{row}: a fresh value for {slot}", rule="A1", record=record)


def _with_intent(s: Scene, slot: Slot, mode: Mode, *, by_hand: bool = False) -> Record:
    """The record with one more send intended. Earlier candidates stay while any may still land (rule A9)."""
    kept = s.record.slot(slot)
    before = _in_the_air(s, slot) if mode is Mode.SET else kept.intent
    intent = WriteIntent(
        mode=mode,
        candidates=before.candidates if before is not None else (),
        before=kept.fingerprint,
        etag=s.seen.etag,
        sends=(before.sends if before is not None else 0) + 1,
        sent_at=s.now,
        by_hand=by_hand,
    )
    unsettled = s.now + s.policy.settling if mode is Mode.REGENERATE else kept.unsettled_until
    return s.record.with_slot(slot, intent=intent, unsettled_until=unsettled)


# -------- rows: confirm (A5, A17)


def _somebody_wrote_target(s: Scene) -> bool:
    """The slot being turned holds a value that is not ours and that no sink showed: draw anew."""
    slot = s.target
    turning = slot is s.record.turning and slot is not s.active
    return turning and s.record.slot(slot).foreign and not s.record.slot(slot).exposed


def _renew_again(s: Scene) -> Step:
    sentence = f"somebody else wrote {s.target} before it was published: renew it again"
    return _move(s, "renew again", Stage.RENEW, sentence, target=None, renewed=None)


def _target_unsettled(s: Scene) -> bool:
    return not s.settled(s.target)


def _wait_settled(s: Scene) -> Step:
    kept = s.record.slot(s.target)
    sent_at = kept.intent.sent_at if kept.intent is not None and kept.intent.sent_at is not None else s.now
    until = max(kept.unsettled_until or sent_at + s.policy.settling, s.now + backoff(1))
    waiting = Waiting(
        reason="unsettled",
        rule="A5",
        sentence=f"{_may_still_land(s, s.target)}; publishing waits for it",
    )
    return _wait(s, "target unsettled", until, waiting)


def _is_confirmed(s: Scene) -> bool:
    return s.confirmed(s.target)


def _publish_confirmed(s: Scene) -> Step:
    return _move(s, "confirmed", Stage.PUBLISH, f"{s.target} is confirmed", rule="A5")


def _rotated(s: Scene) -> Scene:
    """The scene with a rotation more, and none under way."""
    record = worked(s.record).but(rotations=s.record.rotations + 1)
    record = record.but(turning=None, target=None, renewed=None, retired=False)
    return Scene(record, s.seen, s.policy, s.now)


def _finish(s: Scene) -> Step:
    after = _rotated(s)
    return _move(after, "finish", Stage.IDLE, f"rotated: {s.active} is active, {s.active.other} is a fresh standby")


def _is_accepted(s: Scene) -> bool:
    kept = s.record.slot(s.target)
    return kept.accepted is not None and kept.accepted == kept.fingerprint


def _confirm_due_at(s: Scene) -> datetime:
    """When the value counts as confirmed: settled after the accepts, or waited for where there is no probe."""
    kept = s.record.slot(s.target)
    if s.policy.probe is not None:
        return (kept.accepted_at or s.azure_now) + s.seen.skew + s.policy.settle
    return (kept.written_at or s.now) + s.policy.propagation_wait


def _waited(s: Scene) -> bool:
    return (_is_accepted(s) or s.policy.probe is None) and s.now >= _confirm_due_at(s)


def _note_confirmed(s: Scene) -> Step:
    slot, probed = s.target, s.policy.probe is not None
    record = worked(s.record.with_slot(slot, confirmed=s.live(slot), proven=probed))
    how = "every gateway accepted it" if probed else "not proven: waited for propagation, no probe is configured"
    event = Event(at=s.now, kind="confirm", sentence=f"{slot} confirmed: {how}", rule="A17" if probed else "A3")
    return Step(record=record.but(not_before=None, waiting=None), row="note confirmed", event=event)


def _must_wait(s: Scene) -> bool:
    return _is_accepted(s) or s.policy.probe is None


def _wait_confirm(s: Scene) -> Step:
    probed = s.policy.probe is not None
    waiting = Waiting(
        reason="settle" if probed else "propagation",
        rule="A17" if probed else "A3",
        sentence=f"every gateway accepted {s.target}; units behind one address may lag"
        if probed
        else f"no probe is configured: wait until {s.target} must have reached every gateway",
        shorter="" if probed else "configure a probe",
    )
    return _wait(s, "settle", _confirm_due_at(s), waiting)


def _asked_too_long(s: Scene) -> bool:
    """Judged between two asks: time in which nobody asked says nothing of the gateways."""
    first, last = s.record.refused_since, s.record.refused_at
    return first is not None and last is not None and last - first > s.policy.confirm_limit


def _hold_unconfirmed(s: Scene) -> Step:
    sentence = f"gateways still refuse the fresh value in {s.target} after {spell(s.policy.confirm_limit)}"
    return _hold(s, "not accepted", "not-accepted", sentence, rule="A17")


def _value_not_held(s: Scene) -> bool:
    return s.live(s.target) not in s.seen.held


def _ask(s: Scene) -> Step:
    value = s.live(s.target)
    assert value is not None  # noqa: S101 - values are current here
    return _send(
        s,
        "ask the gateways",
        Ask(slot=s.target, fingerprint=value),
        f"ask every gateway whether it accepts {s.target}",
        rule="A17",
    )


# -------- rows: publish (A5, A10)


def _target_lost(s: Scene) -> bool:
    return not s.publishable(s.target) and not _refreshed(s)


def _refreshed(s: Scene) -> bool:
    """The active value stands in every sink, fresh again: that it was never confirmed says nothing against it."""
    return s.target is s.active and not s.without(s.target)


def _target_lost_and_rescue(s: Scene) -> bool:
    return _target_lost(s) and s.rescue is not None and s.rescue is not s.target


def _published(s: Scene) -> bool:
    return not s.without(s.target) and not s.unreadable and not s.sealed


def _close_publish(s: Scene) -> Step:
    """Every sink shows the target: it is active. What follows depends on what the publish was for."""
    slot, turning = s.target, s.record.turning
    kept = s.record.slot(slot)
    record = s.record.with_slot(slot, published_at=kept.published_at or s.now)
    record = worked(record).but(active=slot, target=None, looked_at=s.now)
    after = Scene(record, s.seen, s.policy, s.now)
    sentence = f"every sink shows {slot}"
    if s.record.rolling_back:
        idle = _move(after, "rolled back", Stage.IDLE, sentence, rule="A6", turning=None, rolling_back=False)
        held = Scene(idle.record, s.seen, s.policy, s.now)
        why = f"a rollback was asked for, and {sentence}; release it when the next rotation may come"
        return _hold(held, "rolled back", "rolled-back", why, rule="A6")
    if turning is slot:
        return _move(after, "published", Stage.DRAIN, sentence)
    if turning is not None:
        return _move(after, "repaired in a rotation", Stage.RENEW, sentence, rule="A7")
    return _move(after, "repaired", Stage.IDLE, sentence, rule="A7")


def _writable(s: Scene) -> bool:
    return bool(s.without(s.target))


def _writable_and_not_held(s: Scene) -> bool:
    return _writable(s) and _value_not_held(s)


def _publish(s: Scene) -> Step:
    return _publish_to(s, s.target, s.without(s.target), "publish")


def _publish_to(s: Scene, slot: Slot, given: Sequence[SinkSeen], what: str) -> Step:
    """The intent: the slot counts as exposed from this save on, and the sequence grows by one (rules A1, A10). Until
    it is answered it may land late, in sinks that can be read and in those that cannot (ADR 0021, 0022)."""
    value = s.live(slot)
    assert value is not None  # noqa: S101 - it is publishable
    sinks = tuple(sink.name for sink in given)
    written_only = [sink.name for sink in given if sink.write_only]
    earlier = {n: until for n, until in s.record.unheard.items() if n in written_only and until > s.azure_now}
    lands = s.azure_now + s.policy.settling
    before = s.record.slot(slot).unheard_until
    record = s.record.with_slot(slot, exposed=True, quiet_since=None, unheard_until=lands).but(
        seq=max(s.record.seq, _highest_seq(s)) + 1,
        written={name: shown for name, shown in s.record.written.items() if name not in written_only},
        unheard={**s.record.unheard, **dict.fromkeys(written_only, lands)},
    )
    effect = Publish(slot=slot, fingerprint=value, sinks=sinks, unheard=earlier, unheard_until=before)
    return _send(s, "publish", effect, f"{what} {_given(slot, given)}", rule="A10", record=record)


def _given(slot: Slot, sinks: Sequence[SinkSeen]) -> str:
    """`primary to a, b and a token of primary to c`."""
    values = ", ".join(sink.name for sink in sinks if sink.token is None)
    tokens = ", ".join(sink.name for sink in sinks if sink.token is not None)
    told = [f"{slot} to {values}"] if values else []
    return " and ".join([*told, f"a token of {slot} to {tokens}"] if tokens else told)


def _wait_sinks(s: Scene) -> Step:
    sink = s.unreadable[0]
    waiting = Waiting(
        reason="sink-unreadable",
        rule="A14",
        sentence=f"{sink.name} cannot be read: {sink.problem}; no value dies until it can",
        shorter=f"make {sink.name} readable",
    )
    return _fail(s, "sink unreadable", waiting)


# -------- rows: drain


def _retires_later(s: Scene) -> bool:
    return s.policy.retire is Retire.NEXT_ROTATION and not s.compromised(s.active.other)


def _finish_unretired(s: Scene) -> Step:
    after = _rotated(s)
    sentence = f"rotated: {s.active} is active; the value in {s.active.other} dies at the next rotation"
    return _move(after, "finish, retire later", Stage.IDLE, sentence)


def _is_retired(s: Scene) -> bool:
    return s.record.retired


def _prove_again(s: Scene) -> Step:
    """The old value is dead already, by this rotation or by hand: what is left is to prove the fresh standby."""
    sentence = f"the old value in {s.active.other} is dead already: prove the fresh standby"
    since, at = _asked(s)
    return _move(
        s,
        "retired before",
        Stage.PROVE,
        sentence,
        rule="A7",
        target=s.active.other,
        refused_since=since,
        refused_at=at,
    )


def _retire(s: Scene) -> Step:
    sentence = f"{s.active.other} has been out of every sink for {spell(s.policy.drain)}"
    if s.compromised(s.active.other):
        sentence = f"{s.active.other} is compromised: it dies without a drain"
    return _move(s, "drained", Stage.RETIRE, sentence, rule="A1")


@lru_cache
def _rows_of(table: tuple[Row, ...], stage: Stage) -> tuple[Row, ...]:
    """The rows of a stage, in their order."""
    return tuple(row for row in table if stage in row.at)


def next_step(record: Record, seen: Seen, policy: Policy, now: datetime) -> Step:
    """What to do next with this credential, by the first row that fits. Total: some row always fits."""
    scene = Scene(mark(record, seen, policy, now), seen, policy, now)
    if scene.suspended:  # no gateway accepts anything: what cannot be asked is waited for
        scene = Scene(scene.record, seen, msgspec.structs.replace(policy, probe=None), now)
    for row in _rows_of(TABLE, record.stage):
        if row.when(scene):
            return msgspec.structs.replace(row.do(scene), row=row.name)
    raise AssertionError(f"no row fits {record.stage}")


# -------- the picture


def picture() -> str:
    """The state picture of the docs, generated from `TABLE`, as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> unknown"]
    for row in TABLE:
        for start in sorted(row.at):
            for end in row.to:
                lines.append(f"    {start} --> {end}: {row.name}" + (f" ({row.rule})" if row.rule else ""))
    return "\n".join(lines) + "\n"


TABLE = rows()
