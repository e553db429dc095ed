"""Idle row by row: what starts a rotation, and when somebody looks again (A3, A14)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from keyturn.model import Compromise, Record, Request, Stage
from keyturn.plan import next_step
from keyturn.policy import DAY, HOUR, MINUTE, Policy, spread
from keyturn.scene import Seen
from keyturn.windows import parse
from tests.keyturns import policy
from tests.plan.scenes import (
    LATE,
    NOW,
    RULES,
    SECOND,
    Case,
    P,
    S,
    active,
    cases,
    decide,
    enters,
    fails,
    record,
    seen,
    sink,
    token,
    value,
    waits,
)

ASKED = Request(at=NOW - MINUTE, because="asked")
LOOK = NOW + spread("k", DAY)
"""When this record is looked at again, by the default policy."""
NEVER_MIND: dict[str, Any] = {
    "renewed": "s",
    "retired": True,
    "rolling_back": True,
    "renewals": 7,
    "target": S,
    "turning": P,
}
STARTS = enters(
    Stage.RENEW, turning=S, target=None, renewed=None, retired=False, rolling_back=False, renewals=0, requested=None
)


def aged(age: timedelta, **changes: Any) -> Record:
    return record(primary=active("p", published_at=NOW - age), **changes)


def rests(**more: Any) -> dict[str, Any]:
    return {"reason": "not-due", "until": LOOK, "looked_at": NOW, "turning": None, "target": None, **more}


MONDAYS = (parse("Mon 14:00-16:00 UTC"),)
"""Two hours from now: this is a Monday at noon."""

COMPROMISED = Compromise(values=(value("x"),), because="leaked", at=NOW)
LAST_LOOK = Compromise(values=(value("x"),), because="leaked", at=NOW, look_at=LATE)

IDLE = {
    "of age": Case(row="due", given=aged(30 * DAY, **NEVER_MIND), changes=STARTS, event=("due", "")),
    "not of age": Case(
        row="rest", given=aged(30 * DAY - SECOND), changes=waits(**rests(until=NOW + SECOND)), event=("wait", "")
    ),
    "asked for": Case(row="due", given=record(requested=ASKED), changes=STARTS, event=("due", "")),
    "asked for outside its window": Case(
        row="due", given=record(requested=ASKED), rules=policy(windows=MONDAYS), changes=STARTS, event=("due", "")
    ),
    "of age, and a sink unreadable": Case(
        row="due",
        given=aged(30 * DAY),
        look=seen(sink(), sink(None, "file", problem="503")),
        changes=STARTS,
        event=("due", ""),
    ),
    "a sink unreadable": Case(
        row="rest, sink unreadable",
        given=record(),
        look=seen(sink(), sink(None, "file", problem="503")),
        changes=fails("sink-unreadable", "A14"),
        event=("wait", "A14"),
    ),
    "outside its window, and a sink unreadable": Case(
        row="rest, sink unreadable",
        given=aged(30 * DAY),
        look=seen(sink(), sink(None, "file", problem="503")),
        rules=policy(windows=MONDAYS),
        changes=fails("sink-unreadable", "A14"),
        event=("wait", "A14"),
    ),
    "outside its window, with a last look to come": Case(
        row="not now",
        given=aged(30 * DAY, compromise=COMPROMISED),
        rules=policy(windows=MONDAYS),
        changes=waits("outside-window", LATE, looked_at=NOW, compromise=LAST_LOOK),
        event=("wait", ""),
    ),
    "outside its window, with a last look to come, and looked at often": Case(
        row="not now",
        given=aged(30 * DAY, compromise=COMPROMISED),
        rules=policy(windows=MONDAYS, look_every=10 * MINUTE),
        changes=waits("outside-window", NOW + spread("k", 10 * MINUTE), looked_at=NOW, compromise=LAST_LOOK),
        event=("wait", ""),
    ),
    "the fence not tried yet, which only writing needs": Case(
        row="rest", given=record(), look=seen(fence=None), changes=waits(**rests()), event=("wait", "")
    ),
    "the fence refuted, which only writing needs": Case(
        row="rest", given=record(), look=seen(fence=False), changes=waits(**rests()), event=("wait", "")
    ),
    "outside its window": Case(
        row="not now",
        given=aged(30 * DAY, target=S, turning=S),
        rules=policy(windows=MONDAYS),
        changes=waits("outside-window", NOW + 2 * HOUR, looked_at=NOW, turning=None, target=None),
        event=("wait", ""),
    ),
    "of age, a window far away": Case(
        row="not now",
        given=aged(30 * DAY),
        rules=policy(windows=(parse("Sun 14:00-16:00 UTC"),)),
        changes=waits("outside-window", LOOK, looked_at=NOW),
        event=("wait", ""),
    ),
    "of age, a window open, and somebody of its fleet goes first": Case(
        row="not now",
        given=aged(30 * DAY),
        look=seen(held_back="others go first"),
        changes=waits("pace", NOW + HOUR, looked_at=NOW),
        event=("wait", ""),
    ),
    "somebody of its fleet goes first, and it is looked at often": Case(
        row="not now",
        given=aged(30 * DAY),
        look=seen(held_back="others go first"),
        rules=policy(look_every=10 * MINUTE),
        changes=waits("pace", NOW + spread("k", 10 * MINUTE), looked_at=NOW),
        event=("wait", ""),
    ),
    "nothing to do, but for a publish that may still land where nobody looks": Case(
        row="rest",
        given=record(written={"hook": value("p")}, unheard={"hook": NOW + 3 * MINUTE}),
        look=seen(sink(), sink(None, "hook", write_only=True), skew=SECOND),
        changes=waits(**rests(until=NOW + 3 * MINUTE + SECOND)),
        event=("wait", ""),
    ),
    "due sooner than a token is, and than a publish that may still land": Case(
        row="rest",
        given=aged(30 * DAY - SECOND, written={"hook": value("p")}, unheard={"hook": NOW + 3 * MINUTE}),
        look=seen(token(), sink(None, "hook", write_only=True)),
        changes=waits(**rests(until=NOW + SECOND)),
        event=("wait", ""),
    ),
    "nothing to do, and one that may still land for longer than the next look": Case(
        row="rest",
        given=record(written={"hook": value("p")}, unheard={"hook": NOW + 3 * MINUTE}),
        look=seen(sink(), sink(None, "hook", write_only=True)),
        rules=policy(look_every=MINUTE),
        changes=waits(**rests(until=NOW + spread("k", MINUTE))),
        event=("wait", ""),
    ),
    "nothing to do": Case(
        row="rest",
        given=record(turning=S, target=P, looked_at=NOW - DAY),
        changes=waits(**rests()),
        event=("wait", ""),
    ),
    "a token comes sooner than the next look": Case(
        row="rest",
        given=record(),
        look=seen(token(left=DAY + MINUTE)),
        changes=waits(**rests(until=NOW + MINUTE)),
        event=("wait", ""),
    ),
    "published by somebody else, its age counts from here": Case(
        row="rest",
        given=record(primary=active("p", published_at=None)),
        changes=waits(**rests(primary=active("p", published_at=NOW))),
        event=("wait", ""),
    ),
}


@cases(IDLE)
def test_a_rotation_starts_when_it_is_due_and_may(case: Case) -> None:
    decide(case)


@pytest.mark.parametrize(
    ("given", "look", "rules", "told"),
    [
        (record(), seen(), RULES, "due on 2026-03-22 12:00 UTC"),
        (record(primary=active("p", published_at=None)), seen(), RULES, "nothing to do"),
        (
            aged(30 * DAY),
            seen(held_back="others go first"),
            RULES,
            "primary is 30 d old, policy says 30 d; others go first",
        ),
        (aged(30 * DAY), seen(), policy(windows=MONDAYS), "on 2026-03-02 14:00 UTC"),
        (record(requested=ASKED), seen(), RULES, "asked"),
    ],
)
def test_why_nothing_happens_or_something_does_is_told(given: Record, look: Seen, rules: Policy, told: str) -> None:
    event = next_step(given, look, rules, NOW).event
    assert event is not None
    assert told in event.sentence


def test_who_is_held_back_is_told_of_the_command_that_waits_for_no_window() -> None:
    waiting = next_step(aged(30 * DAY), seen(), policy(windows=MONDAYS), NOW).record.waiting
    assert waiting is not None
    assert waiting.shorter == "`keyturn rotate shop/contoso` waits for no window"
