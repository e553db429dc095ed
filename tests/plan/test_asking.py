"""Asking the gateways row by row, before a value is published, and after the old one died (A3, A5, A17)."""

from __future__ import annotations

from typing import Any

import pytest

from keyturn.model import Record, Stage
from keyturn.plan import Ask, ReadValues, next_step
from keyturn.policy import DAY, HOUR, MINUTE
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
    holds,
    quiet,
    record,
    seen,
    sends,
    sent,
    sink,
    value,
    waits,
)

UNPROBED = policy(probe=None)


def confirming(**changes: Any) -> Record:
    """The fresh standby `s` is to be asked about."""
    return record(Stage.CONFIRM, renewed="s", **{"secondary": fresh(), **changes})


def fresh(name: str = "s", **changes: Any) -> Any:
    return quiet(name, **{"confirmed": None, "quiet_since": None, "written_at": NOW - HOUR, **changes})


def accepted(ago: Any, **changes: Any) -> Any:
    return fresh(accepted="s", accepted_at=NOW - ago, **changes)


def proving(**changes: Any) -> Record:
    """The old value is dead, and the fresh `p` in its slot is to be asked about."""
    return record(Stage.PROVE, **{"primary": fresh("p"), **changes})


ASKS = Ask(slot=S, fingerprint=value("s"))
CONFIRMED = sends(secondary=fresh(confirmed="s", proven=True, accepted="s", accepted_at=NOW - 30 * SECOND), **WORKED)
ROTATED = enters(Stage.IDLE, rotations=4, turning=None, target=None, renewed=None, retired=False, **WORKED)

ASKING = {
    "confirmed": Case(
        row="confirmed",
        given=confirming(secondary=quiet("s")),
        changes=enters(Stage.PUBLISH),
        event=("confirmed", "A5"),
    ),
    "confirmed, while clocks differ": Case(
        row="confirmed",
        given=confirming(secondary=quiet("s")),
        look=seen(skew=2 * MINUTE),
        changes=enters(Stage.PUBLISH),
        event=("confirmed", "A5"),
    ),
    "another value was confirmed": Case(
        row="ask the gateways",
        given=confirming(secondary=fresh(confirmed="t")),
        changes=sends(),
        event=("ask the gateways", "A17"),
        effect=ASKS,
    ),
    "proven": Case(
        row="finish",
        given=proving(primary=quiet("p"), renewed="s", retired=True),
        look=seen(sink("s")),
        changes=ROTATED,
        event=("finish", ""),
    ),
    "proven, while clocks differ": Case(
        row="finish",
        given=proving(primary=quiet("p"), renewed="s", retired=True),
        look=seen(sink("s"), skew=2 * MINUTE),
        changes=ROTATED,
        event=("finish", ""),
    ),
    "not asked yet": Case(
        row="ask the gateways",
        given=confirming(),
        changes=sends(),
        event=("ask the gateways", "A17"),
        effect=ASKS,
    ),
    "the fresh standby is asked about, too": Case(
        row="ask the gateways",
        given=proving(),
        look=seen(sink("s")),
        changes=sends(),
        event=("ask the gateways", "A17"),
        effect=Ask(slot=P, fingerprint=value("p")),
    ),
    "the value is not at hand": Case(
        row="value not at hand",
        given=confirming(),
        look=seen(held=frozenset({"p"})),
        changes=sends(),
        event=("read the values", "A11"),
        cites="",
        effect=ReadValues(),
    ),
    "somebody wrote it": Case(
        row="renew again",
        given=confirming(secondary=fresh(foreign=True)),
        changes=enters(Stage.RENEW, target=None, renewed=None),
        event=("renew again", ""),
    ),
    "somebody wrote it, and a write may still land": Case(
        row="renew again",
        given=confirming(secondary=fresh(foreign=True, unsettled_until=LATE)),
        changes=enters(Stage.RENEW, target=None, renewed=None),
        event=("renew again", ""),
    ),
    "somebody wrote what a rollback is to publish": Case(
        row="ask the gateways",
        given=confirming(turning=None, secondary=fresh(foreign=True)),
        changes=sends(),
        event=("ask the gateways", "A17"),
        effect=ASKS,
    ),
    "somebody wrote it, and a sink shows it": Case(
        row="ask the gateways",
        given=confirming(secondary=active("s", foreign=True, confirmed=None)),
        look=seen(sink("s")),
        changes=sends(),
        event=("ask the gateways", "A17"),
        effect=ASKS,
    ),
    "somebody wrote the active value, which is asked about in a repair": Case(
        row="ask the gateways",
        given=confirming(target=P, primary=fresh("p", foreign=True)),
        look=seen(sink(None)),
        changes=sends(),
        event=("ask the gateways", "A17"),
        effect=Ask(slot=P, fingerprint=value("p")),
    ),
    "somebody wrote the active value, which was being turned to": Case(
        row="ask the gateways",
        given=confirming(target=P, turning=P, primary=fresh("p", foreign=True)),
        look=seen(sink(None)),
        changes=sends(),
        event=("ask the gateways", "A17"),
        effect=Ask(slot=P, fingerprint=value("p")),
    ),
    "a write to it may still land": Case(
        row="target unsettled",
        given=confirming(secondary=quiet("s", unsettled_until=NOW + 2 * MINUTE)),
        changes=waits("unsettled", NOW + 2 * MINUTE, "A5"),
        event=("wait", "A5"),
    ),
    "a write to it may land for a moment": Case(
        row="target unsettled",
        given=confirming(secondary=quiet("s", unsettled_until=NOW + SECOND)),
        changes=waits("unsettled", NOW + 30 * SECOND, "A5"),
        event=("wait", "A5"),
    ),
    "a send to it is in the air": Case(
        row="target unsettled",
        given=proving(primary=fresh("p", intent=sent(MINUTE))),
        look=seen(sink("s")),
        changes=waits("unsettled", NOW + 17 * MINUTE, "A5"),
        event=("wait", "A5"),
    ),
    "a send to it that nobody knows the instant of": Case(
        row="target unsettled",
        given=confirming(secondary=fresh(intent=sent(MINUTE, sent_at=None))),
        changes=waits("unsettled", LATE, "A5"),
        event=("wait", "A5"),
    ),
    "clocks differ, and nothing else tells when it is settled": Case(
        row="target unsettled",
        given=confirming(secondary=fresh(unsettled_until=NOW - HOUR)),
        look=seen(skew=2 * MINUTE),
        changes=waits("unsettled", NOW + 30 * SECOND, "A5"),
        event=("wait", "A5"),
    ),
    "clocks differ": Case(
        row="clocks differ",
        given=confirming(),
        look=seen(skew=2 * MINUTE),
        changes=fails("clock-skew", "A16"),
        event=("wait", "A16"),
    ),
    "accepted, and settling": Case(
        row="settle",
        given=confirming(secondary=accepted(29 * SECOND)),
        changes=waits("settle", NOW + SECOND, "A17"),
        event=("wait", "A17"),
    ),
    "accepted, and settling, after it was refused for too long": Case(
        row="settle",
        given=confirming(secondary=accepted(29 * SECOND), refused_since=NOW - DAY, refused_at=NOW),
        changes=waits("settle", NOW + SECOND, "A17"),
        event=("wait", "A17"),
    ),
    "accepted, at an instant that was forgotten": Case(
        row="settle",
        given=confirming(secondary=fresh(accepted="s")),
        changes=waits("settle", NOW + 30 * SECOND, "A17"),
        event=("wait", "A17"),
    ),
    "accepted, and settled": Case(
        row="note confirmed",
        given=confirming(secondary=accepted(30 * SECOND)),
        changes=CONFIRMED,
        event=("confirm", "A17"),
    ),
    "another value was accepted": Case(
        row="ask the gateways",
        given=confirming(secondary=fresh(accepted="t", accepted_at=NOW - HOUR)),
        changes=sends(),
        event=("ask the gateways", "A17"),
        effect=ASKS,
    ),
    "accepted, and settling by Azure's clock, whichever machine's clock the accepts were seen by": Case(
        row="settle",
        given=confirming(secondary=fresh(accepted="s", accepted_at=NOW - 70 * SECOND)),
        look=seen(skew=50 * SECOND),
        changes=waits("settle", NOW + 10 * SECOND, "A17"),
        event=("wait", "A17"),
    ),
    "no probe, and the value is on its way": Case(
        row="settle",
        given=confirming(secondary=fresh(written_at=NOW - 10 * MINUTE)),
        rules=UNPROBED,
        changes=waits("propagation", NOW + 2 * MINUTE, "A3"),
        event=("wait", "A3"),
        cites="A17",
    ),
    "no probe, and nobody knows since when": Case(
        row="settle",
        given=confirming(secondary=fresh(written_at=None)),
        rules=UNPROBED,
        changes=waits("propagation", NOW + 12 * MINUTE, "A3"),
        event=("wait", "A3"),
        cites="A17",
    ),
    "no probe, and long enough ago": Case(
        row="note confirmed",
        given=confirming(secondary=fresh(written_at=NOW - 12 * MINUTE)),
        rules=UNPROBED,
        changes=sends(secondary=fresh(written_at=NOW - 12 * MINUTE, confirmed="s"), **WORKED),
        event=("confirm", "A3"),
        cites="A17",
    ),
    "no probe, and proven before by one": Case(
        row="note confirmed",
        given=confirming(secondary=fresh(proven=True)),
        rules=UNPROBED,
        changes=sends(secondary=fresh(confirmed="s"), **WORKED),
        event=("confirm", "A3"),
        cites="A17",
    ),
    "refused for as long as it may be": Case(
        row="ask the gateways",
        given=confirming(refused_since=NOW - 73 * MINUTE, refused_at=NOW - MINUTE),
        changes=sends(),
        event=("ask the gateways", "A17"),
        effect=ASKS,
    ),
    "refused for too long": Case(
        row="not accepted",
        given=confirming(refused_since=NOW - 73 * MINUTE - SECOND, refused_at=NOW - MINUTE),
        changes=holds("not-accepted"),
        event=("hold", "A17"),
    ),
    "refused for too long, and the value is not at hand": Case(
        row="not accepted",
        given=confirming(refused_since=NOW - DAY, refused_at=NOW),
        look=seen(held=frozenset()),
        changes=holds("not-accepted"),
        event=("hold", "A17"),
    ),
    "refused once, long ago": Case(
        row="ask the gateways",
        given=confirming(refused_since=NOW - DAY, refused_at=None),
        changes=sends(),
        event=("ask the gateways", "A17"),
        effect=ASKS,
    ),
    "never refused": Case(
        row="ask the gateways",
        given=confirming(refused_since=None, refused_at=NOW),
        changes=sends(),
        event=("ask the gateways", "A17"),
        effect=ASKS,
    ),
}


@cases(ASKING)
def test_a_value_counts_as_confirmed_once_gateways_accepted_it_or_it_was_waited_for(case: Case) -> None:
    decide(case)


@pytest.mark.parametrize("given", [confirming(), proving()], ids=["confirm", "prove"])
def test_both_stages_that_ask_go_the_same_way(given: Record) -> None:
    slot = given.target
    assert slot is not None
    name = given.slot(slot).fingerprint or ""
    look = seen(sink("p" if slot is S else "s"))

    def row(look: Any = look, rules: Any = RULES, **changes: Any) -> str:
        return next_step(given.with_slot(slot, **changes), look, rules, NOW).row

    assert row() == "ask the gateways"
    assert row(unsettled_until=LATE) == "target unsettled"
    assert row(accepted=name, accepted_at=NOW) == "settle"
    assert row(accepted=name, accepted_at=NOW - MINUTE) == "note confirmed"
    assert row(look=seen(*look.sinks, held=frozenset())) == "value not at hand"
    assert row(look=seen(*look.sinks, skew=2 * MINUTE)) == "clocks differ"
    refused = given.but(refused_since=NOW - 2 * HOUR, refused_at=NOW)
    assert next_step(refused, look, RULES, NOW).row == "not accepted"


def test_how_a_value_was_confirmed_is_told() -> None:
    def told(given: Record, rules: Any) -> str:
        event = next_step(given, seen(), rules, NOW).event
        assert event is not None
        return event.sentence

    assert told(confirming(secondary=accepted(HOUR)), RULES) == "secondary confirmed: every gateway accepted it"
    assert told(confirming(), UNPROBED).startswith("secondary confirmed: not proven: waited for propagation")


def test_without_a_probe_its_configuration_is_what_would_shorten_the_wait() -> None:
    def shorter(rules: Any) -> str:
        waiting = next_step(confirming(secondary=accepted(SECOND, written_at=NOW)), seen(), rules, NOW).record.waiting
        assert waiting is not None
        return waiting.shorter

    assert shorter(UNPROBED) == "configure a probe"
    assert shorter(RULES) == ""
