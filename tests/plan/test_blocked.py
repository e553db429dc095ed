"""The guard of every slot write: who may be written, and what a person is told of who may not (A1, A5, A14, A16)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from keyturn.model import Compromise, Mode, Record, Slot, Stage
from keyturn.plan import CUTTING_OFF, Blocked, blocked, unsettled, write_by_hand
from keyturn.policy import DAY, HOUR, MINUTE, Policy
from keyturn.scene import Scene, Seen
from tests.keyturns import policy
from tests.plan.scenes import AGAIN, LATE, NOW, RULES, SECOND, P, S, active, quiet, record, seen, sent, sink

ALMOST_A_DAY = DAY - SECOND
HIDDEN = sink(None, "file", problem="503")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A slot that somebody wants to write: the standby, unless told otherwise."""

    slot: Slot = S
    given: Record = field(default_factory=record)
    look: Seen = field(default_factory=seen)
    rules: Policy = RULES

    def answer(self) -> Blocked | None:
        return blocked(Scene(self.given, self.look, self.rules, NOW), self.slot)


def standby(**changes: Any) -> Record:
    return record(Stage.RENEW, secondary=quiet("s", **changes))


def compromised(*values: str, **changes: Any) -> Record:
    named = Compromise(values=values, because="leaked", at=NOW)  # type: ignore[arg-type]
    return record(Stage.RENEW, compromise=named, **changes)


def used(slot: Slot, ago: timedelta) -> Seen:
    return seen(used={slot: NOW - ago})


FREE = {
    "a standby that was quiet for a drain": Asked(given=standby(quiet_since=NOW - DAY)),
    "a value that no sink ever showed": Asked(given=standby(quiet_since=None)),
    "an active value that is quiet": Asked(slot=P, given=record(primary=quiet("p"))),
    "a write that cannot land any more": Asked(given=standby(unsettled_until=NOW)),
    "used a drain ago": Asked(look=used(S, DAY)),
    "another slot's use": Asked(look=used(P, MINUTE)),
    "clocks that differ as much as they may": Asked(look=seen(skew=MINUTE)),
    "equal slots, where the standby's value is shown": Asked(
        given=record(primary=active("p"), secondary=active("p")), look=used(S, MINUTE)
    ),
    "a compromised value that was quiet a moment ago": Asked(
        given=compromised("s", secondary=quiet("s", quiet_since=NOW))
    ),
    "a compromised value in use": Asked(given=compromised("s"), look=used(S, MINUTE)),
    "the standby of a compromised value, quiet a moment ago": Asked(
        given=compromised("p", secondary=quiet("s", quiet_since=NOW))
    ),
}


@pytest.mark.parametrize("asked", FREE.values(), ids=FREE)
def test_a_quiet_slot_may_be_written(asked: Asked) -> None:
    assert asked.answer() is None


@dataclass(frozen=True, kw_only=True)
class Refused(Asked):
    reason: str
    rule: str
    until: datetime
    hold: bool = False
    says: str
    shorter: str = ""


QUIET_AGO = NOW - 2 * DAY
BLOCKED = {
    "clocks differ, ahead": Refused(
        look=seen(HIDDEN, skew=MINUTE + SECOND),
        reason="clock-skew",
        rule="A16",
        until=AGAIN,
        says="differ by 1 min 1 s, more than max_clock_skew 1 min",
        shorter="clock right",
    ),
    "clocks differ, behind": Refused(
        look=seen(skew=-MINUTE - SECOND),
        reason="clock-skew",
        rule="A16",
        until=AGAIN,
        says="1 min 1 s",
        shorter="clock",
    ),
    "a sink hides what it shows": Refused(
        given=record(secondary=active("s")),
        look=seen(sink(), HIDDEN),
        reason="sink-unreadable",
        rule="A14",
        until=AGAIN,
        says="file cannot be read, so it may still show the secondary value: 503",
        shorter="make file readable",
    ),
    "a sink shows it": Refused(
        given=record(secondary=active("s", unsettled_until=LATE)),
        reason="exposed",
        rule="A1",
        until=AGAIN,
        says="a sink shows or may show the secondary value",
    ),
    "a publish may still land where nobody looks": Refused(
        given=record(secondary=active("s"), unheard={"hook": NOW + 5 * MINUTE}),
        look=seen(sink(), sink(None, "hook", write_only=True)),
        reason="exposed",
        rule="A1",
        until=NOW + 5 * MINUTE,
        says="may show",
    ),
    "a publish may still land where nobody looks, but not for long": Refused(
        given=record(secondary=active("s"), unheard={"hook": NOW + SECOND}),
        look=seen(sink(), sink(None, "hook", write_only=True)),
        reason="exposed",
        rule="A1",
        until=AGAIN,
        says="may show",
    ),
    "a publish of it may still land, where the next look may be too late to see it": Refused(
        given=record(secondary=active("s", unheard_until=NOW + 5 * MINUTE)),
        look=seen(skew=-SECOND),
        reason="exposed",
        rule="A1",
        until=NOW + 5 * MINUTE - SECOND,
        says="may show",
    ),
    "after more failures it is looked at later": Refused(
        given=record(secondary=active("s"), failures=3),
        reason="exposed",
        rule="A1",
        until=NOW + 4 * MINUTE,
        says="shows",
    ),
    "a sink shows a compromised value": Refused(
        given=compromised("s", secondary=active("s")), reason="exposed", rule="A1", until=AGAIN, says="shows"
    ),
    "quiet for less than the drain": Refused(
        given=standby(quiet_since=NOW - ALMOST_A_DAY),
        reason="quiet-slot",
        rule="A1",
        until=NOW + SECOND,
        says="no sink shows the secondary value since 2026-03-01 12:00 UTC; callers may use it until it has been out "
        "of every sink for 24 h",
        shorter="`keyturn adopt shop/contoso --quiet-since",
    ),
    "the drain of the policy is what counts": Refused(
        given=standby(quiet_since=QUIET_AGO),
        rules=policy(drain=3 * DAY),
        reason="quiet-slot",
        rule="A1",
        until=NOW + DAY,
        says="for 3 d",
        shorter="adopt",
    ),
    "an active value drains although the other is compromised": Refused(
        slot=P,
        given=compromised("s", primary=quiet("p", quiet_since=NOW - HOUR)),
        reason="quiet-slot",
        rule="A1",
        until=NOW + 23 * HOUR,
        says="primary",
        shorter="adopt",
    ),
    "a write may still land": Refused(
        given=standby(unsettled_until=NOW + SECOND, intent=sent(MINUTE)),
        look=used(S, MINUTE),
        reason="unsettled",
        rule="A5",
        until=NOW + SECOND,
        says="an earlier write to secondary was not acknowledged and may still land",
    ),
    "nobody knows of a write that may still land": Refused(
        given=standby(unsettled_until=LATE), reason="unsettled", rule="A5", until=LATE, says="nobody can rule out an"
    ),
    "equal slots do not settle a write": Refused(
        given=record(primary=active("p"), secondary=active("p", unsettled_until=LATE)),
        reason="unsettled",
        rule="A5",
        until=LATE,
        says="nobody can rule out an",
    ),
    "equal slots, and the active one": Refused(
        slot=P,
        given=record(primary=active("p"), secondary=active("p")),
        reason="exposed",
        rule="A1",
        until=AGAIN,
        says="p",
    ),
    "a compromised value with a write that may still land": Refused(
        given=compromised("s", secondary=quiet("s", unsettled_until=LATE)),
        reason="unsettled",
        rule="A5",
        until=LATE,
        says="rule out",
    ),
    "used within the drain": Refused(
        look=used(S, ALMOST_A_DAY),
        given=standby(quiet_since=QUIET_AGO),
        reason="in-use",
        rule="A16",
        until=NOW + SECOND,
        says="a caller used the secondary value 23 h 59 min ago although no sink shows it",
        shorter="find that caller",
    ),
    "used, and near the longest drain": Refused(
        look=used(S, MINUTE),
        given=standby(quiet_since=NOW - 4 * DAY + HOUR),
        reason="in-use",
        rule="A16",
        until=NOW + HOUR,
        says="1 min ago",
        shorter="find",
    ),
    "used, and at the longest drain": Refused(
        look=used(S, MINUTE),
        given=standby(quiet_since=NOW - 4 * DAY),
        reason="in-use",
        rule="A16",
        until=NOW,
        hold=True,
        says="1 min ago",
        shorter="find",
    ),
    "used, and never seen in a sink": Refused(
        look=used(S, MINUTE),
        given=standby(quiet_since=None),
        reason="in-use",
        rule="A16",
        until=NOW + DAY - MINUTE,
        says="1 min ago",
        shorter="find",
    ),
}


@pytest.mark.parametrize("asked", BLOCKED.values(), ids=BLOCKED)
def test_whatever_may_be_in_use_is_not_written_and_says_why_and_until_when(asked: Refused) -> None:
    why = asked.answer()
    assert why is not None
    assert (why.reason, why.rule, why.until, why.hold) == (asked.reason, asked.rule, asked.until, asked.hold)
    assert asked.says in why.sentence
    assert asked.shorter in why.shorter
    assert bool(asked.shorter) is bool(why.shorter)


@pytest.mark.parametrize("skew", [timedelta(0), 2 * MINUTE])
def test_a_write_that_may_still_land_is_unsettled_by_the_clock_and_by_none_that_is_wrong(skew: timedelta) -> None:
    given = standby(unsettled_until=NOW)
    why = unsettled(Scene(given, seen(skew=skew), RULES, NOW), S)
    assert (why is None) is (skew == timedelta(0))


def test_a_person_may_overrule_whatever_is_about_callers_and_nothing_that_is_about_writes_or_clocks() -> None:
    assert {"exposed", "quiet-slot", "in-use", "sink-unreadable"} == CUTTING_OFF


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("exposed", [False, True])
def test_a_write_by_hand_is_intended_before_it_is_sent_and_says_whether_it_cuts_callers_off(
    mode: Mode, exposed: bool
) -> None:
    given = record(secondary=quiet("s", exposed=exposed, unsettled_until=NOW - HOUR))
    step = write_by_hand(Scene(given, seen(), RULES, NOW), S, mode, "asked for")
    intent = step.record.secondary.intent
    assert intent is not None
    assert (intent.mode, intent.by_hand, intent.sends, intent.sent_at, intent.etag) == (mode, True, 1, NOW, "7")
    assert step.record.secondary.unsettled_until == (LATE if mode is Mode.REGENERATE else NOW - HOUR)
    assert step.record == given.with_slot(S, intent=intent, unsettled_until=step.record.secondary.unsettled_until)
    assert (step.row, step.effect) == ("by hand", None)
    assert step.event is not None
    assert (step.event.kind, step.event.at) == ("by hand", NOW)
    assert step.event.facts == {"slot": "secondary", "mode": mode.value, "cut-off-callers": str(exposed).lower()}
    how = "set" if mode is Mode.SET else "regenerated"
    cutting = ", cutting callers off" if exposed else ""
    assert step.event.sentence == f"by hand: secondary {how}{cutting}: asked for"


def test_a_write_by_hand_without_a_reason_is_told_without_one() -> None:
    step = write_by_hand(Scene(record(), seen(), RULES, NOW), S, Mode.SET, "")
    assert step.event is not None
    assert step.event.sentence == "by hand: secondary set"
