"""A compromise row by row: the values that a person named die without a drain, and nobody stays locked out (A15)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from keyturn.model import Compromise, Record, Request, Stage
from keyturn.plan import Ask, LetIn, next_step
from keyturn.policy import DAY, HOUR, MINUTE, Retire
from tests.keyturns import policy
from tests.plan.scenes import (
    LATE,
    NOW,
    RULES,
    SECOND,
    WORKED,
    Case,
    P,
    S,
    active,
    cases,
    decide,
    enters,
    fails,
    quiet,
    record,
    seen,
    sends,
    sent,
    sink,
    value,
    waits,
)

ASKED = Request(at=NOW, because="asked")


def named(*values: str, **changes: Any) -> Compromise:
    return Compromise(values=tuple(value(v) for v in values), because="leaked", at=NOW - HOUR, **changes)


def compromised(*values: str, stage: Stage = Stage.IDLE, look_at: datetime | None = NOW, **changes: Any) -> Record:
    return record(stage, **{"compromise": named(*values, look_at=look_at), **changes})


def rotation(**more: Any) -> dict[str, Any]:
    """A new rotation, which forgets whatever was under way; the last look counts from this death."""
    fresh = {"target": None, "renewed": None, "retired": False, "renewals": 0, "requested": None, "rolling_back": False}
    return {**fresh, **more}


UNDER_WAY: dict[str, Any] = {
    "requested": ASKED,
    "retired": True,
    "renewed": "s",
    "rolling_back": True,
    "renewals": 5,
    "target": S,
}

DYING = {
    "the active value": Case(
        row="compromised",
        given=compromised("p", **UNDER_WAY),
        changes=enters(Stage.RENEW, **rotation(turning=S, compromise=named("p"))),
        event=("compromised", "A15"),
    ),
    "both values: the active one first": Case(
        row="compromised",
        given=compromised("p", "s"),
        changes=enters(Stage.RENEW, **rotation(turning=S, compromise=named("p", "s"))),
        event=("compromised", "A15"),
    ),
    "the active value, whose sink cannot be read": Case(
        row="compromised",
        given=compromised("p"),
        look=seen(sink(None, problem="503")),
        changes=enters(Stage.RENEW, **rotation(turning=S, compromise=named("p"))),
        event=("compromised", "A15"),
    ),
    "the standby": Case(
        row="compromised standby",
        given=compromised("s", **UNDER_WAY),
        changes=enters(Stage.RETIRE, **rotation(turning=P, compromise=named("s"))),
        event=("compromised standby", "A15"),
    ),
    "the old value in its drain": Case(
        row="drained",
        given=compromised("p", stage=Stage.DRAIN, primary=quiet("p", quiet_since=NOW)),
        look=seen(sink("s")),
        changes=enters(Stage.RETIRE),
        event=("drained", "A1"),
    ),
    "the old value in its drain, which was to die later": Case(
        row="drained",
        given=compromised("p", stage=Stage.DRAIN),
        look=seen(sink("s")),
        rules=policy(retire=Retire.NEXT_ROTATION),
        changes=enters(Stage.RETIRE),
        event=("drained", "A1"),
    ),
    "a fresh value that is published nowhere": Case(
        row="compromised target",
        given=compromised("s", stage=Stage.CONFIRM, renewed="s"),
        changes=enters(Stage.RENEW, target=None, renewed=None) | {"refused_since": NOW - 5 * MINUTE},
        event=("compromised target", "A15"),
    ),
    "what a rollback was to publish": Case(
        row="compromised target",
        given=compromised("s", stage=Stage.CONFIRM, turning=None, renewed="s"),
        changes=enters(Stage.IDLE, target=None, renewed=None),
        event=("compromised target", "A15"),
    ),
}


@cases(DYING)
def test_a_compromised_value_dies_as_soon_as_no_sink_shows_it(case: Case) -> None:
    decide(case)


@pytest.mark.parametrize("stage", [Stage.IDLE, Stage.DRAIN, Stage.RETIRE, Stage.PROVE])
def test_an_active_value_is_replaced_from_every_stage_in_which_no_fresh_one_is_made(stage: Stage) -> None:
    shown = "p" if stage is Stage.IDLE else "s"
    step = next_step(compromised(shown, stage=stage), seen(sink(shown)), RULES, NOW)
    assert (step.row, step.record.stage) == ("compromised", Stage.RENEW)


@pytest.mark.parametrize(
    "given",
    [
        compromised("s", stage=Stage.CONFIRM, secondary=active("s", confirmed=None)),
        compromised("p", stage=Stage.CONFIRM, primary=active("p", confirmed=None, exposed=True), target=P),
        compromised("p", stage=Stage.CONFIRM, primary=quiet("p", confirmed=None), target=P),
        record(Stage.CONFIRM, secondary=quiet("s", confirmed=None)),
    ],
    ids=["a sink shows it", "it is active", "it is active, though no sink shows it", "it is not compromised"],
)
def test_a_target_that_callers_have_is_asked_about_all_the_same(given: Record) -> None:
    target = given.slot(given.target or P)
    look = seen(sink(target.fingerprint if target.exposed else None))
    step = next_step(given, look, RULES, NOW)
    assert step.row == "ask the gateways"
    assert isinstance(step.effect, Ask)


# -------- locked out, and let in again


def locked(*values: str, stage: Stage = Stage.IDLE, **changes: Any) -> Record:
    """Suspended for values that are dead by now."""
    return record(stage, **{"compromise": named(*values or ("x",), suspended=True), **changes})


SUSPENDED = seen(state="suspended", etag="7")
FRESH = quiet("s", confirmed=None, written_at=NOW - MINUTE)
KNOWN_AT = NOW - MINUTE + 12 * MINUTE
WAITS = waits("propagation", KNOWN_AT, "A15")

LOCKED = {
    "while a value of theirs lives": Case(
        row="compromised",
        given=locked("p"),
        look=SUSPENDED,
        changes=enters(Stage.RENEW, **rotation(turning=S)),
        event=("compromised", "A15"),
    ),
    "by a wrong clock": Case(
        row="let in soon",
        given=locked(),
        look=seen(state="suspended", skew=2 * MINUTE),
        changes=fails("clock-skew", "A16"),
        event=("wait", "A16"),
        cites="A15",
    ),
    "until every gateway knows the fresh value": Case(
        row="let in soon", given=locked(secondary=FRESH), look=SUSPENDED, changes=WAITS, event=("wait", "A15")
    ),
    "until every gateway knows both": Case(
        row="let in soon",
        given=locked(secondary=FRESH, primary=active("p", confirmed=None, written_at=NOW - 2 * MINUTE)),
        look=SUSPENDED,
        changes=WAITS,
        event=("wait", "A15"),
    ),
    "once every gateway knows it": Case(
        row="let in again",
        given=locked(secondary=quiet("s", confirmed=None, written_at=NOW - 12 * MINUTE)),
        look=SUSPENDED,
        changes=sends(),
        event=("let in again", "A15"),
        effect=LetIn(etag="7"),
    ),
    "at once where nothing fresh was written": Case(
        row="let in again",
        given=locked(),
        look=SUSPENDED,
        changes=sends(),
        event=("let in again", "A15"),
        effect=LetIn(etag="7"),
    ),
    "what was written of late, and confirmed, is known everywhere": Case(
        row="let in again",
        given=locked(primary=active("p", written_at=NOW)),
        look=SUSPENDED,
        changes=sends(),
        event=("let in again", "A15"),
        effect=LetIn(etag="7"),
    ),
    "disabled, too": Case(
        row="let in again",
        given=locked(),
        look=seen(state="disabled"),
        changes=sends(),
        event=("let in again", "A15"),
        effect=LetIn(etag="7"),
    ),
    "a value that has just landed is learned first": Case(
        row="renewed",
        given=locked(stage=Stage.RENEW, secondary=quiet("s", confirmed=None, intent=sent(MINUTE, applied=True))),
        look=SUSPENDED,
        changes=enters(
            Stage.CONFIRM,
            target=S,
            renewed="s",
            secondary=quiet("s", confirmed=None),
            **WORKED,
        ),
        event=("renewed", ""),
        cites="A9",
    ),
    "active again before the last look": Case(
        row="prove it is let in",
        given=record(compromise=named("x", suspended=True, look_at=NOW)),
        changes=enters(
            Stage.CONFIRM,
            target=P,
            compromise=named("x", look_at=NOW),
            primary=active("p", confirmed=None),
        ),
        event=("prove it is let in", "A15"),
    ),
    "active again": Case(
        row="prove it is let in",
        given=locked(primary=active("p", accepted="p")),
        changes=enters(
            Stage.CONFIRM,
            target=P,
            compromise=named("x"),
            primary=active("p", confirmed=None, written_at=NOW - 20 * DAY),
        ),
        event=("prove it is let in", "A15"),
    ),
}


@cases(LOCKED)
def test_whoever_was_locked_out_is_let_in_once_the_values_are_dead_and_their_successors_known(case: Case) -> None:
    decide(case)


@pytest.mark.parametrize("stage", [Stage.IDLE, Stage.RENEW, Stage.DRAIN, Stage.RETIRE])
def test_nobody_is_kept_out_for_the_rest_of_a_rotation(stage: Stage) -> None:
    shown = "p" if stage in {Stage.IDLE, Stage.RENEW} else "s"
    given = locked(stage=stage)
    fresh = given.with_slot(P, confirmed=None, written_at=NOW)
    assert next_step(fresh, seen(sink(shown), state="suspended"), RULES, NOW).row == "let in soon"
    assert next_step(given, seen(sink(shown), state="suspended"), RULES, NOW).row == "let in again"
    assert next_step(given, seen(sink(shown)), RULES, NOW).row == "prove it is let in"


@pytest.mark.parametrize(
    ("given", "row"),
    [
        (locked("p", stage=Stage.RENEW), "renew the standby"),
        (locked("p", "y", stage=Stage.RETIRE, secondary=active("s")), "retire the old slot"),
        (locked(stage=Stage.CONFIRM, secondary=quiet("s", confirmed=None, written_at=NOW)), "settle"),
        (locked(stage=Stage.CONFIRM), "confirmed"),
        (locked(stage=Stage.PUBLISH), "publish"),
        (locked(stage=Stage.PROVE), "finish"),
    ],
    ids=["p lives, and is replaced", "p lives, and dies", "asked", "confirmed", "published", "proven"],
)
def test_nobody_is_let_in_while_a_value_of_theirs_lives_or_its_successor_is_on_its_way(given: Record, row: str) -> None:
    shown = "s" if given.active is S else "p"
    assert next_step(given, seen(sink(shown), state="suspended"), RULES, NOW).row == row


def test_while_it_is_suspended_no_gateway_is_asked_and_propagation_is_waited_for() -> None:
    given = locked("p", stage=Stage.CONFIRM, secondary=quiet("s", confirmed=None, written_at=NOW - MINUTE))
    step = next_step(given, SUSPENDED, RULES, NOW)
    assert (step.row, step.record.not_before) == ("settle", KNOWN_AT)


# -------- the last look

LAST = {
    "when it is due": Case(
        row="looked again",
        given=compromised("x"),
        changes={"compromise": None},
        event=("compromise over", "A15"),
    ),
    "before a rotation that is due": Case(
        row="looked again",
        given=compromised("x", primary=active("p", published_at=NOW - 31 * DAY)),
        changes={"compromise": None},
        event=("compromise over", "A15"),
    ),
    "not before it is due": Case(
        row="rest",
        given=compromised("x", look_at=NOW + SECOND),
        rules=policy(look_every=MINUTE),
        changes=waits("not-due", NOW + 30 * SECOND, looked_at=NOW),
        event=("wait", ""),
    ),
    "not by a wrong clock": Case(
        row="rest",
        given=compromised("x"),
        look=seen(skew=2 * MINUTE),
        changes=waits("not-due", NOW + 30 * SECOND, looked_at=NOW),
        event=("wait", ""),
    ),
    "not where a sink cannot be read": Case(
        row="rest, sink unreadable",
        given=compromised("x"),
        look=seen(sink(), sink(None, "file", problem="503")),
        changes=fails("sink-unreadable", "A14"),
        event=("wait", "A14"),
    ),
    "it is set once they are dead": Case(
        row="rest",
        given=compromised("x", look_at=None),
        changes=waits("not-due", LATE, compromise=named("x", look_at=LATE), looked_at=NOW),
        event=("wait", ""),
    ),
    "one that a wrong clock set too far away comes sooner": Case(
        row="rest",
        given=compromised("x", look_at=LATE + SECOND),
        changes=waits("not-due", LATE, compromise=named("x", look_at=LATE), looked_at=NOW),
        event=("wait", ""),
    ),
    "one that comes soon stays": Case(
        row="rest",
        given=compromised("x", look_at=LATE - SECOND),
        changes=waits("not-due", LATE - SECOND, looked_at=NOW),
        event=("wait", ""),
    ),
}


@cases(LAST)
def test_a_last_look_comes_when_no_late_publish_can_bring_a_dead_value_back(case: Case) -> None:
    decide(case)
