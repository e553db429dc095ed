"""Drift row by row: a sink does not show the active value, or a token of it that is fresh (A7, A12, A13)."""

from __future__ import annotations

from typing import Any

import pytest

from keyturn.model import Record, Slot, Stage
from keyturn.plan import next_step
from keyturn.policy import DAY, MINUTE
from keyturn.scene import Seen
from tests.plan.scenes import (
    LATE,
    NOW,
    RULES,
    SECOND,
    WEEKLY,
    Case,
    P,
    S,
    active,
    cases,
    decide,
    enters,
    holds,
    record,
    seen,
    sink,
    token,
)


def unconfirmed(name: str = "p", **changes: Any) -> Any:
    return active(name, confirmed=None, **changes)


STALE = token(left=DAY)
DEAD = sink("x")
REPAIR = enters(Stage.PUBLISH, target=P)
ASKING = enters(Stage.CONFIRM, target=P)

DRIFTED = {
    "a foreign value in a sink of ours": Case(
        row="repair", given=record(), look=seen(DEAD), changes=REPAIR, event=("repair", "A7")
    ),
    "a foreign value in a sink that is new": Case(
        row="foreign in a new sink",
        given=record(),
        look=seen(sink(), sink("x", "file")),
        changes=holds("foreign-value"),
        event=("hold", "A13"),
    ),
    "an older value of ours in a sink that is new": Case(
        row="repair",
        given=record(),
        look=seen(sink(), sink("x", "file", ledger="ours")),
        changes=REPAIR,
        event=("repair", "A7"),
    ),
    "an empty sink": Case(row="repair", given=record(), look=seen(sink(None)), changes=REPAIR, event=("repair", "A7")),
    "the standby's value": Case(
        row="repair", given=record(), look=seen(sink("s")), changes=REPAIR, event=("repair", "A7")
    ),
    "a token that is due": Case(
        row="renew the token", given=record(), look=seen(STALE), changes=REPAIR, event=("renew the token", "")
    ),
    "a token that is due, of a value that nobody confirmed": Case(
        row="renew the token",
        given=record(primary=unconfirmed()),
        look=seen(STALE),
        changes=REPAIR,
        event=("renew the token", ""),
    ),
    "a token that is due while rolling back": Case(
        row="repair", given=record(rolling_back=True), look=seen(STALE), changes=REPAIR, event=("repair", "A7")
    ),
    "a token that is due beside an empty sink": Case(
        row="repair", given=record(), look=seen(STALE, sink(None, "file")), changes=REPAIR, event=("repair", "A7")
    ),
    "an empty sink, and the value not confirmed": Case(
        row="confirm first",
        given=record(primary=unconfirmed()),
        look=seen(sink(None)),
        changes=ASKING,
        event=("confirm first", "A12"),
    ),
    "an empty sink, and a write that may still land": Case(
        row="confirm first",
        given=record(primary=active("p", unsettled_until=LATE)),
        look=seen(sink(None)),
        changes=ASKING,
        event=("confirm first", "A12"),
    ),
    "a dead value, and the other one confirmed": Case(
        row="fail over",
        given=record(primary=unconfirmed(foreign=True), retired=True),
        look=seen(DEAD),
        changes=enters(Stage.PUBLISH, target=S, turning=S, retired=False),
        event=("fail over", "A12"),
    ),
    "a dead value that a person set through us, and the other one confirmed": Case(
        row="fail over",
        given=record(primary=unconfirmed(), retired=True, turning=S),
        look=seen(DEAD),
        changes=enters(Stage.PUBLISH, target=S, turning=None, retired=False),
        event=("fail over", "A12"),
    ),
    "a dead value in the middle of a rotation, and the active one confirmed": Case(
        row="fail over",
        given=record(Stage.CONFIRM, retired=True, target=P),
        look=seen(DEAD),
        changes=enters(Stage.PUBLISH, target=P, turning=S, retired=True),
        event=("fail over", "A12"),
    ),
    "a dead value, and neither one confirmed": Case(
        row="confirm first",
        given=record(primary=unconfirmed(), secondary=unconfirmed("s")),
        look=seen(DEAD),
        changes=ASKING,
        event=("confirm first", "A12"),
    ),
    "an empty sink is nobody's death": Case(
        row="confirm first",
        given=record(primary=unconfirmed()),
        look=seen(sink(None)),
        changes=ASKING,
        event=("confirm first", "A12"),
    ),
}


@cases(DRIFTED)
def test_a_sink_that_shows_something_else_is_given_a_live_value_that_is_confirmed(case: Case) -> None:
    decide(case)


REPAIRED = [stage for stage in Stage if stage not in {Stage.UNKNOWN, Stage.CONFIRM, Stage.PUBLISH}]


def active_of(stage: Stage) -> tuple[Slot, str, Record]:
    given = record(stage)
    slot = given.active or P
    return slot, given.slot(slot).fingerprint or "", given


@pytest.mark.parametrize("stage", REPAIRED)
def test_a_drift_is_repaired_in_every_stage_in_which_nothing_is_being_published(stage: Stage) -> None:
    slot, _, given = active_of(stage)
    step = next_step(given, seen(sink(None)), RULES, NOW)
    assert (step.row, step.record.stage, step.record.target) == ("repair", Stage.PUBLISH, slot)
    step = next_step(given.with_slot(slot, confirmed=None), seen(sink(None)), RULES, NOW)
    assert (step.row, step.record.stage, step.record.target) == ("confirm first", Stage.CONFIRM, slot)


@pytest.mark.parametrize("stage", [*REPAIRED, Stage.CONFIRM])
def test_a_token_is_renewed_and_a_dead_value_replaced_in_every_stage_in_which_nothing_is_being_published(
    stage: Stage,
) -> None:
    slot, shown, given = active_of(stage)
    step = next_step(given, seen(token(shown, left=DAY)), RULES, NOW)
    assert (step.row, step.record.stage, step.record.target) == ("renew the token", Stage.PUBLISH, slot)
    step = next_step(given.with_slot(slot, confirmed=None, foreign=True), seen(DEAD), RULES, NOW)
    assert (step.row, step.record.stage, step.record.target) == ("fail over", Stage.PUBLISH, slot.other)


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.UNKNOWN])
def test_a_foreign_value_in_a_new_sink_is_asked_about_in_every_stage(stage: Stage) -> None:
    _, shown, given = active_of(stage)
    step = next_step(given, seen(sink(shown), sink("x", "file")), RULES, NOW)
    assert step.row == "foreign in a new sink"


@pytest.mark.parametrize(
    ("look", "told"),
    [
        (seen(STALE), "a fresh token is due: the one in vault ends on 2026-03-03 12:00 UTC"),
        (seen(token(left=-MINUTE)), "a fresh token is due: the one in vault ended on 2026-03-02 11:59 UTC"),
        (seen(token(left=7 * DAY + MINUTE + SECOND)), "ends on 2026-03-09 12:01 UTC"),
        (seen(sink("p", token=WEEKLY)), "the one in vault is none as it should be"),
    ],
)
def test_of_a_token_that_is_renewed_its_end_is_told(look: Seen, told: str) -> None:
    event = next_step(record(), look, RULES, NOW).event
    assert event is not None
    assert told in event.sentence
