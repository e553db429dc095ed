"""A fresh value row by row: in RENEW the standby, in RETIRE the old slot (A1, A5, A9)."""

from __future__ import annotations

from typing import Any

import msgspec

from keyturn.model import Fingerprint, Mode, Record, Stage, WriteIntent
from keyturn.plan import ProveFence, Write, next_step
from keyturn.policy import DAY, HOUR, MINUTE, Policy
from keyturn.scene import Seen
from tests.keyturns import policy
from tests.plan.scenes import (
    LATE,
    NOW,
    REFUSED_AT,
    REFUSED_SINCE,
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
    waits,
)

REGENERATE = policy(mode=Mode.REGENERATE)
SHOWS_S = seen(sink("s"))


def renewing(intent: WriteIntent | None = None, **changes: Any) -> Record:
    """The standby is to get a fresh value."""
    return record(Stage.RENEW, **{"secondary": quiet("s", intent=intent), **changes})


def retiring(intent: WriteIntent | None = None, **changes: Any) -> Record:
    """Secondary is active, and primary is to die."""
    return record(Stage.RETIRE, **{"primary": quiet("p", intent=intent), **changes})


def candidates(count: int) -> tuple[Fingerprint, ...]:
    return tuple(Fingerprint(f"drawn {n}") for n in range(count))


def intends(given: Record, rules: Policy = RULES, **more: Any) -> dict[str, Any]:
    """One more send is intended."""
    slot = S if given.stage is Stage.RENEW else P
    kept = given.slot(slot)
    usual: dict[str, Any] = {"mode": rules.mode, "before": kept.fingerprint, "etag": "7", "sends": 1, "sent_at": NOW}
    until = LATE if rules.mode is Mode.REGENERATE else kept.unsettled_until
    after = msgspec.structs.replace(kept, intent=WriteIntent(**(usual | more)), unsettled_until=until)
    return sends(**{slot.value: after, "renewals": given.renewals + 1})


def renews(given: Record, look: Seen | None = None, rules: Policy = RULES, **more: Any) -> Case:
    return Case(
        row="renew the standby",
        given=given,
        look=look or seen(),
        rules=rules,
        changes=intends(given, rules, **more),
        event=("renew the standby", "A1"),
        effect=Write(slot=S, mode=rules.mode, etag="7"),
    )


WRITTEN = {
    "the standby": renews(renewing()),
    "the standby, by Azure": renews(renewing(), rules=REGENERATE),
    "the standby of equal slots": renews(record(Stage.RENEW, secondary=active("p"))),
    "the old slot": Case(
        row="retire the old slot",
        given=retiring(),
        look=SHOWS_S,
        changes=intends(retiring()),
        event=("retire the old slot", "A1"),
        effect=Write(slot=P, mode=Mode.SET, etag="7"),
    ),
    "again, once the pause after a send is over": renews(
        renewing(sent(30 * SECOND, candidates=candidates(2))), candidates=candidates(2), sends=2
    ),
    "again, long after": renews(renewing(sent(18 * MINUTE, candidates=candidates(2), sends=9))),
    "again, a moment before the send can land no more": renews(
        renewing(sent(18 * MINUTE - SECOND, candidates=candidates(2), sends=5)), candidates=candidates(2), sends=6
    ),
    "again, by Azure, when the send can land no more": renews(
        renewing(sent(18 * MINUTE, mode=Mode.REGENERATE)), rules=REGENERATE, sends=2
    ),
    "again, after a send that never left": renews(renewing(sent(HOUR, sent_at=None, candidates=candidates(1)))),
    "again, by Azure, after a send that never left": renews(
        renewing(sent(HOUR, sent_at=None, mode=Mode.REGENERATE)), rules=REGENERATE, sends=2
    ),
    "the standby, although the active value is due again": renews(
        renewing(primary=active("p", published_at=NOW - 31 * DAY))
    ),
    "fifteen writes were begun": renews(renewing(renewals=15)),
    "eight values drawn long ago": renews(renewing(sent(HOUR, candidates=candidates(8)))),
    "seven values drawn": renews(
        renewing(sent(10 * MINUTE, candidates=candidates(7))), candidates=candidates(7), sends=2
    ),
}


@cases(WRITTEN)
def test_a_quiet_slot_is_given_a_fresh_value_and_the_intent_is_saved_first(case: Case) -> None:
    decide(case)


LANDS = ("wait", "A5")
HIDDEN = seen(sink(), sink(None, "file", problem="503"))
WAITING = {
    "the fence not tried yet": Case(
        row="prove the fence",
        given=renewing(),
        look=seen(fence=None),
        changes=sends(),
        event=("prove the fence", ""),
        effect=ProveFence(),
    ),
    "the fence refuted": Case(
        row="fence not proven",
        given=retiring(),
        look=seen(sink("s"), fence=False),
        changes=holds("fence-not-proven"),
        event=("hold", ""),
    ),
    "for the first send, half a minute": Case(
        row="may still land",
        given=renewing(sent(29 * SECOND)),
        changes=waits("unsettled", NOW + SECOND, "A5"),
        event=LANDS,
    ),
    "for the third send, longer": Case(
        row="may still land",
        given=renewing(sent(MINUTE, sends=3)),
        changes=waits("unsettled", NOW + MINUTE, "A5"),
        event=LANDS,
    ),
    "after many writes, longer": Case(
        row="may still land",
        given=renewing(sent(MINUTE), renewals=4),
        changes=waits("unsettled", NOW + 3 * MINUTE, "A5"),
        event=LANDS,
    ),
    "for no send longer than it may take to land": Case(
        row="may still land",
        given=renewing(sent(MINUTE, sends=9)),
        changes=waits("unsettled", NOW + 17 * MINUTE, "A5"),
        event=LANDS,
    ),
    "by Azure, until the send can land no more": Case(
        row="may still land",
        given=renewing(secondary=quiet("s", intent=sent(MINUTE, mode=Mode.REGENERATE), unsettled_until=LATE)),
        rules=REGENERATE,
        changes=waits("unsettled", LATE, "A5"),
        event=LANDS,
    ),
    "tried eight values": Case(
        row="tried enough",
        given=renewing(sent(10 * MINUTE, candidates=candidates(8))),
        changes=holds("write-does-not-land"),
        event=("hold", "A9"),
    ),
    "tried eight values, and the last may still land": Case(
        row="may still land",
        given=renewing(sent(29 * SECOND, candidates=candidates(8))),
        changes=waits("unsettled", NOW + SECOND, "A5"),
        event=LANDS,
    ),
    "tried sixteen times, and it is not quiet": Case(
        row="tried enough",
        given=renewing(secondary=quiet("s", quiet_since=NOW - HOUR), renewals=16),
        changes=holds("write-does-not-land"),
        event=("hold", "A9"),
    ),
    "tried sixteen times": Case(
        row="tried enough",
        given=retiring(renewals=16),
        look=SHOWS_S,
        changes=holds("write-does-not-land"),
        event=("hold", "A9"),
    ),
    "the standby is not quiet": Case(
        row="slot not quiet",
        given=renewing(secondary=quiet("s", quiet_since=NOW - HOUR)),
        changes=waits("quiet-slot", NOW + 23 * HOUR, "A1"),
        event=("wait", "A1"),
    ),
    "the old slot is not quiet": Case(
        row="slot not quiet",
        given=retiring(primary=quiet("p", quiet_since=NOW - HOUR)),
        look=SHOWS_S,
        changes=waits("quiet-slot", NOW + 23 * HOUR, "A1"),
        event=("wait", "A1"),
    ),
    "a sink hides what it shows": Case(
        row="slot not quiet",
        given=renewing(),
        look=HIDDEN,
        changes=fails("sink-unreadable", "A14"),
        event=("wait", "A14"),
        cites="A1",
    ),
    "clocks differ": Case(
        row="slot not quiet",
        given=renewing(),
        look=seen(skew=2 * MINUTE),
        changes=fails("clock-skew", "A16"),
        event=("wait", "A16"),
        cites="A1",
    ),
    "a caller uses it": Case(
        row="slot not quiet",
        given=renewing(secondary=quiet("s", quiet_since=NOW - 2 * DAY)),
        look=seen(used={S: NOW - HOUR}),
        changes=waits("in-use", NOW + 23 * HOUR, "A16"),
        event=("wait", "A16"),
        cites="A1",
    ),
    "a caller uses it for ever": Case(
        row="slot not quiet",
        given=renewing(secondary=quiet("s", quiet_since=NOW - 5 * DAY)),
        look=seen(used={S: NOW - HOUR}),
        changes=holds("in-use"),
        event=("hold", "A16"),
        cites="A1",
    ),
}


@cases(WAITING)
def test_nothing_is_written_while_an_earlier_write_may_land_or_somebody_may_need_the_value(case: Case) -> None:
    decide(case)


LANDED = sent(SECOND, applied=True)
DONE = {
    "the standby landed": Case(
        row="renewed",
        given=renewing(LANDED),
        changes=enters(Stage.CONFIRM, target=S, renewed="s", secondary=quiet("s"), **WORKED),
        event=("renewed", ""),
        cites="A9",
    ),
    "the standby landed before, and a detour came between": Case(
        row="renewed",
        given=renewing(renewed="s"),
        changes=enters(
            Stage.CONFIRM, target=S, renewed="s", refused_since=REFUSED_SINCE, refused_at=REFUSED_AT, **WORKED
        ),
        event=("renewed", ""),
        cites="A9",
    ),
    "somebody wrote the standby after it had landed": renews(renewing(renewed="t")),
    "a send is under way although the value was ours": renews(renewing(sent(HOUR), renewed="s")),
    "the old slot landed": Case(
        row="retired",
        given=retiring(LANDED),
        look=SHOWS_S,
        changes=enters(Stage.PROVE, target=P, retired=True, primary=quiet("p"), **WORKED),
        event=("retired", "A12"),
        cites="A9",
    ),
    "the old slot is dead already": Case(
        row="retired before",
        given=retiring(retired=True),
        look=SHOWS_S,
        changes=enters(Stage.PROVE, target=P, refused_since=REFUSED_SINCE, refused_at=REFUSED_AT),
        event=("retired before", "A7"),
    ),
    "the old slot is dead already, while it drains": Case(
        row="retired before",
        given=record(Stage.DRAIN, retired=True),
        look=SHOWS_S,
        changes=enters(Stage.PROVE, target=P, refused_since=REFUSED_SINCE, refused_at=REFUSED_AT),
        event=("retired before", "A7"),
    ),
}


@cases(DONE)
def test_a_fresh_value_that_landed_is_asked_about_and_never_written_twice(case: Case) -> None:
    decide(case)


def test_of_a_write_that_does_not_land_its_tries_are_told() -> None:
    hold = next_step(renewing(renewals=16), seen(), RULES, NOW).record.hold
    assert hold is not None
    assert hold.sentence == "16 writes to secondary did not leave a value of ours in it"


def test_a_send_by_azure_is_waited_for_no_longer_than_it_may_land() -> None:
    given = renewing(secondary=quiet("s", intent=sent(MINUTE, mode=Mode.REGENERATE)))
    assert next_step(given, seen(), REGENERATE, NOW).row == "renew the standby"
