"""One way to take each rule of docs/protocol.md away from the real code: the function or row that embodies it.

What is left is the code without that rule, and with all others: what only a comment would miss is not here. The
documentation asks of each rule which test notices; the traces ask which of them comes back. Never here: who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from keyturn import by_hand, model, outcome, plan, policy, scene, testing, turn
from keyturn.model import Event, Record, Slot, Stage
from keyturn.policy import Policy, Retire
from keyturn.ports import SendBy
from keyturn.scene import Scene, SinkSeen

Take = Callable[[pytest.MonkeyPatch], None]
FOR_EVER = timedelta(days=3650)


@contextmanager
def without(rules: Collection[str]) -> Iterator[None]:
    """The code without these rules, for as long as this lasts."""
    with pytest.MonkeyPatch.context() as patch:
        for rule in sorted(rules):
            REMOVED[rule](patch)
        yield


def without_rows(patch: pytest.MonkeyPatch, *names: str) -> None:
    """The table without these rows."""
    assert set(names) <= {row.name for row in plan.TABLE}
    patch.setattr(plan, "TABLE", tuple(row for row in plan.TABLE if row.name not in names))


def _quiet_slots(patch: pytest.MonkeyPatch) -> None:
    """Back to what this rule replaced: a look that no sink shows the value now, and one timer in the rotation that
    counts from its publish. With `retire: next-rotation` there is no timer."""
    guard = plan.blocked

    def timed(s: Scene, slot: Slot) -> plan.Blocked | None:
        if s.equal_slots and slot is s.active.other:
            return guard(s, slot)
        unmarked = s.record.with_slot(slot, exposed=False, quiet_since=None)
        why = guard(Scene(unmarked, s.seen, s.policy, s.now), slot)
        if why is not None:
            return why
        if any(s.shows(sink) == s.live(slot) for sink in s.known):
            return plan.Blocked(reason="exposed", rule="", until=s.now + policy.backoff(1), sentence="a sink shows it")
        published_at = s.record.slot(s.active).published_at
        timer = s.record.stage in {Stage.DRAIN, Stage.RETIRE} and s.policy.retire is Retire.AFTER_DRAIN
        if not timer or published_at is None or s.dies_at_once(slot):
            return None
        over = published_at + s.policy.drain
        return plan.Blocked(reason="timer", rule="", until=over, sentence="draining") if s.now < over else None

    patch.setattr(plan, "blocked", timed)


def _adoption_assumes_the_worst(patch: pytest.MonkeyPatch) -> None:
    adopt = plan._adopt

    def trusting(s: Scene, active: Slot, sentence: str) -> plan.Step:
        step = adopt(s, active, sentence)
        calm = step.record.with_slot(active.other, exposed=False, quiet_since=None, unsettled_until=None)
        return msgspec.structs.replace(step, record=calm)

    patch.setattr(plan, "_adopt", trusting)


def _lengthened_waits(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(policy.Policy, "propagation_wait", property(lambda self: self.propagation))


def _deadlines(patch: pytest.MonkeyPatch) -> None:
    span = FOR_EVER.total_seconds()

    def never(self: turn.Turn, look: turn.Look, rules: Policy) -> SendBy:
        return SendBy(at=look.at + FOR_EVER, boot=look.boot + span, seconds=span)

    def fresh(self: turn.Turn, look: turn.Look, rules: Policy) -> bool:
        return False

    patch.setattr(turn.Turn, "_send_by", never)
    patch.setattr(turn.Turn, "_stale", fresh)


def _confirmed_and_settled(patch: pytest.MonkeyPatch) -> None:
    """Whatever was read is as good as what was confirmed, and an answer that did not come is none to wait for."""
    patch.setattr(Scene, "settled", lambda _self, _slot: True)
    patch.setattr(Scene, "publishable", lambda self, _slot: self.values_current)
    patch.setattr(plan, "unsettled", lambda _scene, _slot: None)
    without_rows(patch, "may still land")


def _no_rollback_from_retire(patch: pytest.MonkeyPatch) -> None:
    rollback = by_hand.rollback

    def always(record: Record, because: str, now: datetime) -> tuple[Record, Event]:
        forgetful = record.but(stage=Stage.DRAIN, retired=False)
        for slot in Slot:
            forgetful = forgetful.with_slot(slot, intent=None)
        back, event = rollback(forgetful, because, now)
        for slot in Slot:
            back = back.with_slot(slot, intent=record.slot(slot).intent)
        return back, event

    patch.setattr(by_hand, "rollback", always)


def _every_phase_repairs(patch: pytest.MonkeyPatch) -> None:
    without_rows(patch, "repair", "confirm first")


def _compare_and_swap(patch: pytest.MonkeyPatch) -> None:
    save = testing.MemoryLedger.save

    def careless(self: testing.MemoryLedger, record: Record, expected: int, events: Any) -> int:
        stored = self.stored.get(record.key)
        return save(self, record, 0 if stored is None else stored.version, events)

    patch.setattr(testing.MemoryLedger, "save", careless)


def _appended_intents(patch: pytest.MonkeyPatch) -> None:
    """Each renew replaces the intent of the one before, and none is one too many."""
    with_intent = plan._with_intent

    def replacing(s: Scene, slot: Slot, mode: model.Mode, *, by_hand: bool = False) -> Record:
        record = with_intent(s, slot, mode, by_hand=by_hand)
        intent = record.slot(slot).intent
        assert intent is not None
        return record.with_slot(slot, intent=msgspec.structs.replace(intent, candidates=()))

    patch.setattr(plan, "_with_intent", replacing)
    without_rows(patch, "tried enough")


def _sequence_tags(patch: pytest.MonkeyPatch) -> None:
    without_rows(patch, "old ledger")


def _values_of_an_etag(patch: pytest.MonkeyPatch) -> None:
    """Every ETag is trusted, whatever the policy says of this service."""

    def current(s: Scene) -> bool:
        known = s.record.etag is not None and not s.sealed
        return known and (s.seen.listed or s.record.etag == s.seen.etag)

    patch.setattr(Scene, "values_current", property(current))


def _fail_over(patch: pytest.MonkeyPatch) -> None:
    without_rows(patch, "fail over")


def _equal_slots(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scene, "equal_slots", property(lambda _self: False))


def _unreadable_sinks(patch: pytest.MonkeyPatch) -> None:
    nothing: tuple[SinkSeen, ...] = ()
    patch.setattr(Scene, "unreadable", property(lambda _self: nothing))


def _no_look_after_a_compromise(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(plan, "_look_again_at", lambda _scene: None)


def _bounded_waits(patch: pytest.MonkeyPatch) -> None:
    def believing(record: Record, _policy: policy.Policy, now: datetime) -> bool:
        return record.hold is not None or (record.not_before is not None and now < record.not_before)

    patch.setattr(scene, "_timed", lambda kept, _scene: kept)
    patch.setattr(plan, "rests", believing)
    patch.setattr(policy.Policy, "longest_wait", property(lambda _self: FOR_EVER))


def _sampling(patch: pytest.MonkeyPatch) -> None:
    """Once accepted is confirmed, and a probe that proves nothing is one that refuses."""
    learn, due_at, ask = outcome.learn_not_accepted, plan._confirm_due_at, testing.MemoryProbe.ask

    def believing(record: Record, sentence: str, proves_nothing: bool, now: datetime) -> tuple[Record, Event]:
        return learn(record, sentence, False, now)

    def at_once(s: Scene) -> datetime:
        return due_at(s) - (s.policy.settle if s.policy.probe is not None else timedelta(0))

    patch.setattr(outcome, "learn_not_accepted", believing)

    def once(probe: testing.MemoryProbe, gateways: Any, spec: Any, value: model.Secret, accepts: int) -> Any:
        return ask(probe, gateways, spec, value, min(accepts, 1))

    patch.setattr(plan, "_confirm_due_at", at_once)
    patch.setattr(testing.MemoryProbe, "ask", once)


def _classes_of_answers(patch: pytest.MonkeyPatch) -> None:
    """A refusal is unclear, and what is unclear did not happen."""
    unclear = outcome.learn_unclear

    def not_happened(record: Record, sentence: str, now: datetime) -> tuple[Record, Event]:
        for slot in Slot:
            intent = record.slot(slot).intent
            if intent is not None and not intent.applied:
                record = outcome.learn_not_sent(record, slot)
        return unclear(record, sentence, now)

    def refused(
        record: Record, slot: Slot, refusal: model.NotApplied, _policy: policy.Policy, now: datetime
    ) -> tuple[Record, Event | None]:
        return unclear(record, refusal.sentence, now)

    patch.setattr(outcome, "learn_unclear", not_happened)
    patch.setattr(outcome, "learn_refused", refused)


REMOVED: dict[str, Take] = {
    "A1": _quiet_slots,
    "A2": _adoption_assumes_the_worst,
    "A3": _lengthened_waits,
    "A4": _deadlines,
    "A5": _confirmed_and_settled,
    "A6": _no_rollback_from_retire,
    "A7": _every_phase_repairs,
    "A8": _compare_and_swap,
    "A9": _appended_intents,
    "A10": _sequence_tags,
    "A11": _values_of_an_etag,
    "A12": _fail_over,
    "A13": _equal_slots,
    "A14": _unreadable_sinks,
    "A15": _no_look_after_a_compromise,
    "A16": _bounded_waits,
    "A17": _sampling,
    "A18": _classes_of_answers,
}
