"""Publishing and draining row by row: every sink shows the value before anything else happens (A1, A5, A10, A14)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from keyturn.model import Compromise, Record, Stage
from keyturn.plan import Publish, ReadValues, next_step
from keyturn.policy import DAY, HOUR, MINUTE, Retire
from keyturn.scene import Seen
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
    token,
    value,
    waits,
)

FILE = sink(None, "file", problem="503")


def publishing(**changes: Any) -> Record:
    """The fresh `s` is to be published, in a rotation from `p`."""
    return record(Stage.PUBLISH, **{"secondary": active("s", published_at=None), **changes})


def publishes(*sinks: str, **more: Any) -> dict[str, Any]:
    exposed = active("s", published_at=None, unheard_until=LATE)
    return sends(**{"seq": 5, "secondary": exposed, **more})


def effect(*sinks: str, slot: Any = S) -> Publish:
    return Publish(slot=slot, fingerprint=value("s" if slot is S else "p"), sinks=sinks)


SENT = ("publish", "A10")
SHOWN = seen(sink("s"))
OLD_CLOSED = {**WORKED, "active": P, "target": None, "looked_at": NOW}
CLOSED = {**OLD_CLOSED, "active": S, "secondary": active("s", published_at=NOW)}

PUBLISHING = {
    "to the one sink": Case(row="publish", given=publishing(), changes=publishes(), event=SENT, effect=effect("vault")),
    "a standby that was quiet counts as exposed from here on": Case(
        row="publish",
        given=record(Stage.PUBLISH),
        changes=publishes(),
        event=SENT,
        effect=effect("vault"),
    ),
    "to those that do not show it, and to no other": Case(
        row="publish",
        given=publishing(sinks=("file", "mail", "vault")),
        look=seen(sink(), sink("s", "file"), sink(None, "mail"), FILE),
        changes=publishes(),
        event=SENT,
        effect=effect("vault", "mail"),
    ),
    "after the highest sequence that a sink of ours shows": Case(
        row="publish",
        given=publishing(succeeds="theirs"),
        look=seen(sink(ledger="theirs", seq=8), sink("s", "file", ledger="ours", seq=3), sink("s", "mail", seq=9)),
        changes=publishes(seq=9),
        event=SENT,
        effect=effect("vault"),
    ),
    "what a write-only sink was given last is forgotten": Case(
        row="publish",
        given=publishing(written={"vault": value("p"), "file": value("s")}),
        look=seen(sink(None, write_only=True), sink(None, "file", write_only=True)),
        changes=publishes(written={"file": value("s")}, unheard={"vault": LATE}),
        event=SENT,
        effect=effect("vault"),
    ),
    "what may still land on a write-only sink is remembered, and what cannot any more is not": Case(
        row="publish",
        given=publishing(
            unheard={"vault": NOW + MINUTE, "file": NOW, "hook": NOW + 2 * MINUTE, "readable": NOW + MINUTE},
            written={"file": value("s"), "hook": value("s")},
        ),
        look=seen(
            sink(None, write_only=True),
            sink(None, "file", write_only=True),
            sink(None, "hook", write_only=True),
            sink("s", "readable"),
        ),
        changes=publishes(
            unheard={"vault": LATE, "file": LATE, "hook": NOW + 2 * MINUTE}, written={"hook": value("s")}
        ),
        event=SENT,
        effect=msgspec.structs.replace(effect("vault", "file"), unheard={"vault": NOW + MINUTE}),
    ),
    "nor what may still land on a sink that can be read": Case(
        row="publish",
        given=publishing(secondary=active("s", published_at=None, unheard_until=NOW + MINUTE)),
        changes=publishes(),
        event=SENT,
        effect=msgspec.structs.replace(effect("vault"), unheard_until=NOW + MINUTE),
    ),
    "what another kind of sink was given is not": Case(
        row="publish",
        given=publishing(written={"vault": value("p")}),
        look=seen(sink(None)),
        changes=publishes(),
        event=SENT,
        effect=effect("vault"),
    ),
    "the value is not at hand": Case(
        row="value to publish not at hand",
        given=publishing(),
        look=seen(held=frozenset({"p"})),
        changes=sends(),
        event=("read the values", "A11"),
        cites="",
        effect=ReadValues(),
    ),
    "the value is not at hand, and no sink that can be read lacks it": Case(
        row="sink unreadable",
        given=publishing(),
        look=seen(sink("s"), FILE, held=frozenset()),
        changes=fails("sink-unreadable", "A14"),
        event=("wait", "A14"),
    ),
    "clocks differ": Case(
        row="publish",
        given=publishing(),
        look=seen(skew=2 * MINUTE),
        changes=publishes(secondary=active("s", published_at=None, unheard_until=LATE - 2 * MINUTE)),
        event=SENT,
        effect=effect("vault"),
    ),
    "a write to it may still land, though every sink shows it": Case(
        row="target unconfirmed",
        given=publishing(secondary=active("s", unsettled_until=LATE), primary=active("p", confirmed=None)),
        look=SHOWN,
        changes=enters(Stage.CONFIRM),
        event=("confirm first", "A12"),
        cites="A5",
    ),
    "the value is not at hand, and every sink shows it": Case(
        row="published",
        given=publishing(),
        look=seen(sink("s"), held=frozenset()),
        changes=enters(Stage.DRAIN, **CLOSED),
        event=("published", ""),
    ),
    "the value lost its confirmation": Case(
        row="target unconfirmed",
        given=publishing(secondary=active("s", confirmed="t"), primary=active("p", confirmed=None)),
        look=seen(sink(None)),
        changes=enters(Stage.CONFIRM),
        event=("confirm first", "A12"),
        cites="A5",
    ),
    "the value lost its confirmation, and the active one is good": Case(
        row="target lost",
        given=publishing(secondary=active("s", confirmed="t")),
        changes=enters(Stage.PUBLISH, target=P, turning=S),
        event=("fail over", "A12"),
    ),
    "a write to it may still land": Case(
        row="target unconfirmed",
        given=publishing(secondary=active("s", unsettled_until=LATE), primary=active("p", confirmed=None)),
        look=seen(sink(None)),
        changes=enters(Stage.CONFIRM),
        event=("confirm first", "A12"),
        cites="A5",
    ),
    "the active value stands everywhere, though nobody confirmed it": Case(
        row="published",
        given=publishing(target=P, primary=active("p", confirmed=None)),
        changes=enters(Stage.RENEW, **OLD_CLOSED),
        event=("repaired in a rotation", "A7"),
        cites="",
    ),
    "the active value is missing somewhere, and nobody confirmed it": Case(
        row="target lost",
        given=publishing(target=P, primary=active("p", confirmed=None), secondary=active("s")),
        look=seen(sink("p"), sink(None, "file")),
        changes=enters(Stage.PUBLISH, target=S, turning=None),
        event=("fail over", "A12"),
    ),
    "published, and the old value drains": Case(
        row="published",
        given=publishing(),
        look=SHOWN,
        changes=enters(Stage.DRAIN, **CLOSED),
        event=("published", ""),
    ),
    "published before": Case(
        row="published",
        given=publishing(secondary=active("s")),
        look=SHOWN,
        changes=enters(Stage.DRAIN, **{**CLOSED, "secondary": active("s")}),
        event=("published", ""),
    ),
    "repaired in a rotation": Case(
        row="published",
        given=publishing(target=P),
        look=seen(sink("p")),
        changes=enters(Stage.RENEW, **OLD_CLOSED),
        event=("repaired in a rotation", "A7"),
        cites="",
    ),
    "repaired": Case(
        row="published",
        given=publishing(turning=None),
        look=SHOWN,
        changes=enters(Stage.IDLE, **CLOSED),
        event=("repaired", "A7"),
        cites="",
    ),
    "rolled back": Case(
        row="published",
        given=publishing(rolling_back=True),
        look=SHOWN,
        changes=enters(Stage.IDLE, **CLOSED, turning=None, rolling_back=False) | holds("rolled-back"),
        event=("hold", "A6"),
        cites="",
    ),
    "a sink cannot be read": Case(
        row="sink unreadable",
        given=publishing(),
        look=seen(sink("s"), FILE),
        changes=fails("sink-unreadable", "A14"),
        event=("wait", "A14"),
    ),
}


@cases(PUBLISHING)
def test_a_value_is_published_wherever_it_does_not_stand_and_then_counts_as_active(case: Case) -> None:
    decide(case)


@pytest.mark.parametrize(
    ("look", "told"),
    [
        (seen(sink(), sink(None, "file")), "publish secondary to vault, file"),
        (seen(token("p")), "publish a token of secondary to vault"),
        (seen(sink(), token("p", "a"), token("p", "b")), "publish secondary to vault and a token of secondary to a, b"),
    ],
)
def test_a_publish_tells_what_goes_where(look: Seen, told: str) -> None:
    event = next_step(publishing(), look, RULES, NOW).event
    assert event is not None
    assert event.sentence == told


# -------- drain


def draining(**changes: Any) -> Record:
    return record(Stage.DRAIN, **changes)


LATER = policy(retire=Retire.NEXT_ROTATION)
DRAINING = {
    "in its drain": Case(
        row="draining",
        given=draining(primary=quiet("p", quiet_since=NOW - DAY + SECOND)),
        look=SHOWN,
        changes=waits("quiet-slot", NOW + SECOND, "A1"),
        event=("wait", "A1"),
    ),
    "a drain that ends before its token is due": Case(
        row="draining",
        given=draining(primary=quiet("p", quiet_since=NOW - DAY + SECOND)),
        look=seen(token("s")),
        changes=waits("quiet-slot", NOW + SECOND, "A1"),
        event=("wait", "A1"),
    ),
    "a drain that ends after the next look": Case(
        row="draining",
        given=draining(primary=quiet("p", quiet_since=NOW)),
        look=SHOWN,
        rules=policy(look_every=HOUR),
        changes=waits("quiet-slot", NOW + HOUR, "A1"),
        event=("wait", "A1"),
    ),
    "in its drain, and to die later": Case(
        row="draining",
        given=draining(primary=quiet("p", quiet_since=NOW)),
        look=SHOWN,
        rules=LATER,
        changes=waits("quiet-slot", NOW + DAY, "A1"),
        event=("wait", "A1"),
    ),
    "a sink cannot be read": Case(
        row="draining",
        given=draining(),
        look=seen(sink("s"), FILE),
        changes=fails("sink-unreadable", "A14"),
        event=("wait", "A14"),
        cites="A1",
    ),
    "drained": Case(row="drained", given=draining(), look=SHOWN, changes=enters(Stage.RETIRE), event=("drained", "A1")),
    "drained, and to die later": Case(
        row="finish, retire later",
        given=draining(retired=False, renewed="s", target=P),
        look=SHOWN,
        rules=LATER,
        changes=enters(Stage.IDLE, **WORKED, rotations=4, turning=None, target=None, renewed=None),
        event=("finish, retire later", ""),
    ),
}


@cases(DRAINING)
def test_the_old_value_stays_until_nobody_can_be_using_it(case: Case) -> None:
    decide(case)


GOES_ON = {
    "a write to the old slot may still land": draining(primary=quiet("p", intent=sent(SECOND))),
    "too many writes were begun": draining(renewals=16),
    "gateways have just accepted the active value": draining(secondary=active("s", accepted="s", accepted_at=NOW)),
    "they accepted it long ago": draining(secondary=active("s", accepted="s", accepted_at=NOW - HOUR)),
    "they refused a value for long": draining(refused_since=NOW - DAY, refused_at=NOW),
}


@pytest.mark.parametrize("given", GOES_ON.values(), ids=GOES_ON)
def test_what_concerns_writing_and_asking_does_not_keep_a_drained_slot_from_its_end(given: Record) -> None:
    step = next_step(given, SHOWN, RULES, NOW)
    assert (step.row, step.record.stage) == ("drained", Stage.RETIRE)


def test_a_value_dies_for_the_reason_that_is_told() -> None:
    def told(given: Record) -> str:
        event = next_step(given, SHOWN, RULES, NOW).event
        assert event is not None
        return event.sentence

    leaked = Compromise(values=(value("p"),), because="leaked", at=NOW)
    assert told(draining()) == "primary has been out of every sink for 24 h"
    assert told(draining(compromise=leaked)) == "primary is compromised: it dies without a drain"


def test_what_fails_does_not_wait_for_a_token_that_is_due_already() -> None:
    due = seen(token("s", left=DAY), problem="503")
    assert next_step(draining(), due, RULES, NOW).record.not_before == NOW + MINUTE
