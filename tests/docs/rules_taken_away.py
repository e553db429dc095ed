"""One way to take each rule of docs/protocol.md away from the code, for the test that asks who notices."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from keyturn import by_hand, model, outcome, plan, policy, scene, testing, turn
from keyturn.model import Event, Record, Slot, Stage
from keyturn.policy import Policy
from keyturn.ports import SendBy
from keyturn.scene import Scene, SinkSeen

Take = Callable[[pytest.MonkeyPatch], None]
FOR_EVER = timedelta(days=3650)


def without_rows(*names: str) -> Take:
    def take(patch: pytest.MonkeyPatch) -> None:
        assert set(names) <= {row.name for row in plan.TABLE}
        patch.setattr(plan, "TABLE", tuple(row for row in plan.TABLE if row.name not in names))

    return take


def _quiet_slots(patch: pytest.MonkeyPatch) -> None:
    """Draining still waits; renewing does not ask."""
    guard = plan.blocked

    def careless(s: Scene, slot: Slot) -> plan.Blocked | None:
        return None if s.record.stage is Stage.RENEW else guard(s, slot)

    patch.setattr(plan, "blocked", careless)


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

    patch.setattr(turn.Turn, "_send_by", never)


def _confirmed_and_settled(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scene, "settled", lambda _self, _slot: True)
    patch.setattr(Scene, "publishable", lambda self, _slot: self.values_current)


def _no_rollback_from_retire(patch: pytest.MonkeyPatch) -> None:
    rollback = by_hand.rollback

    def always(record: Record, because: str, now: datetime) -> tuple[Record, Event]:
        forgetful = record.but(stage=Stage.DRAIN)
        for slot in Slot:
            forgetful = forgetful.with_slot(slot, intent=None)
        return rollback(forgetful, because, now)

    patch.setattr(by_hand, "rollback", always)


def _compare_and_swap(patch: pytest.MonkeyPatch) -> None:
    save = testing.MemoryLedger.save

    def careless(self: testing.MemoryLedger, record: Record, expected: int, events: Any) -> int:
        stored = self.stored.get(record.key)
        return save(self, record, 0 if stored is None else stored.version, events)

    patch.setattr(testing.MemoryLedger, "save", careless)


def _appended_intents(patch: pytest.MonkeyPatch) -> None:
    with_intent = plan._with_intent

    def replacing(s: Scene, slot: Slot, mode: model.Mode, *, by_hand: bool = False) -> Record:
        record = with_intent(s, slot, mode, by_hand=by_hand)
        intent = record.slot(slot).intent
        assert intent is not None
        return record.with_slot(slot, intent=msgspec.structs.replace(intent, candidates=()))

    patch.setattr(plan, "_with_intent", replacing)


def _values_of_an_etag(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scene, "values_current", property(lambda self: self.record.etag is not None))


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


def _negative_control(patch: pytest.MonkeyPatch) -> None:
    learn = outcome.learn_not_accepted

    def believing(record: Record, sentence: str, proves_nothing: bool, now: datetime) -> tuple[Record, Event]:
        return learn(record, sentence, False, now)

    patch.setattr(outcome, "learn_not_accepted", believing)


def _refusals(patch: pytest.MonkeyPatch) -> None:
    def unclear(
        record: Record, slot: Slot, refusal: model.NotApplied, _policy: policy.Policy, now: datetime
    ) -> tuple[Record, Event | None]:
        return outcome.learn_unclear(record, refusal.sentence, now)

    patch.setattr(outcome, "learn_refused", unclear)


TAKEN_AWAY: dict[str, Take] = {
    "A1": _quiet_slots,
    "A2": _adoption_assumes_the_worst,
    "A3": _lengthened_waits,
    "A4": _deadlines,
    "A5": _confirmed_and_settled,
    "A6": _no_rollback_from_retire,
    "A7": without_rows("repair", "confirm first"),
    "A8": _compare_and_swap,
    "A9": _appended_intents,
    "A10": without_rows("old ledger"),
    "A11": _values_of_an_etag,
    "A12": without_rows("fail over"),
    "A13": _equal_slots,
    "A14": _unreadable_sinks,
    "A15": _no_look_after_a_compromise,
    "A16": _bounded_waits,
    "A17": _negative_control,
    "A18": _refusals,
}
