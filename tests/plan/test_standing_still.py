"""What may come in any stage: held, gone, unreachable, another's, not active, unknown values."""

from __future__ import annotations

from typing import Any

import pytest

from keyturn.model import Compromise, Hold, Record, Request, Stage, TokenLife, Waiting
from keyturn.plan import KEEPS_TOKENS, Publish, ReadValues, next_step, rests, token_due
from keyturn.policy import DAY, HOUR, MINUTE
from keyturn.scene import Seen, mark
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
    fails,
    holds,
    record,
    seen,
    sends,
    sink,
    token,
    value,
    waits,
)

DUE = TokenLife(expires=NOW + DAY, renew_at=NOW)
FRESH = TokenLife(expires=NOW + DAY + SECOND, renew_at=NOW + SECOND)
GONE = "it was deleted"


def held(stage: Stage = Stage.IDLE, reason: str = "parked", **changes: Any) -> Record:
    """Held, with a token in its sink."""
    hold = Hold(reason=reason, sentence="because", since=NOW - HOUR)
    return record(stage, **{"hold": hold, "tokens": {"vault": DUE}, **changes})


def stale(**changes: Any) -> Seen:
    return seen(token(left=DAY), **changes)


STUCK = fails("token-stuck", until=NOW + MINUTE)
PUBLISHED = sends(seq=5, primary=active("p", unheard_until=LATE))

HELD = {
    "without tokens": Case(row="held", given=held(tokens={}), look=seen()),
    "without tokens, and gone": Case(row="held", given=held(tokens={}), look=seen(gone=GONE)),
    "with a fresh token": Case(row="held", given=held(tokens={"vault": FRESH}), look=seen(token(left=DAY + SECOND))),
    "its clock is ahead, and the token is fresh by Azure's": Case(
        row="held", given=held(), look=seen(token(left=DAY - SECOND), skew=2 * SECOND)
    ),
    "for a doubt about what is published": Case(row="held", given=held(reason="foreign-value"), look=stale()),
    "not adopted yet": Case(row="held", given=held(Stage.UNKNOWN, active=None), look=stale()),
    "gone": Case(
        row="held, unreachable", given=held(), look=stale(gone=GONE), changes=STUCK, event=("wait", ""), cites=""
    ),
    "unreachable": Case(
        row="held, unreachable", given=held(), look=stale(problem="503"), changes=STUCK, event=("wait", "")
    ),
    "unreachable, and its values unknown": Case(
        row="held, unreachable", given=held(etag=None), look=stale(problem="503"), changes=STUCK, event=("wait", "")
    ),
    "another's sink": Case(
        row="held, unreachable",
        given=held(),
        look=seen(token(left=DAY, ledger="theirs")),
        changes=STUCK,
        event=("wait", ""),
    ),
    "of an old ledger": Case(
        row="held, unreachable",
        given=held(),
        look=seen(token(left=DAY, ledger="ours", seq=5)),
        changes=STUCK,
        event=("wait", ""),
    ),
    "values unknown": Case(
        row="held, read the values",
        given=held(etag=None),
        look=stale(),
        changes=sends(),
        event=("read the values", "A11"),
        effect=ReadValues(),
    ),
    "a token is due": Case(
        row="held, renew the token",
        given=held(),
        look=stale(),
        changes=PUBLISHED,
        event=("publish", "A10"),
        cites="",
        effect=Publish(slot=P, fingerprint=value("p"), sinks=("vault",)),
    ),
    "a token is due whose sink shows another value": Case(
        row="held, token stuck", given=held(), look=seen(token("s", left=DAY)), changes=STUCK, event=("wait", "")
    ),
    "a token is due beside a sink that shows another value": Case(
        row="held, renew the token",
        given=held(sinks=("file", "vault")),
        look=seen(token(left=DAY), token("s", "file")),
        changes=PUBLISHED,
        event=("publish", "A10"),
        cites="",
        effect=Publish(slot=P, fingerprint=value("p"), sinks=("vault",)),
    ),
}


@cases(HELD)
def test_whoever_is_held_goes_no_further_and_keeps_its_tokens(case: Case) -> None:
    decide(case)


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.UNKNOWN])
def test_whoever_is_held_keeps_its_tokens_in_every_stage(stage: Stage) -> None:
    given = held(stage)
    slot = given.active or P
    shown = given.slot(slot).fingerprint or ""
    effect = Publish(slot=slot, fingerprint=value(shown), sinks=("vault",))
    look = seen(token(shown, left=DAY))
    intended = mark(given, look, RULES, NOW).with_slot(slot, unheard_until=LATE).slot(slot)
    decide(
        Case(
            row="held, renew the token",
            given=given,
            look=look,
            changes=sends(**{"seq": 5, slot.value: intended}),
            event=("publish", "A10"),
            cites="",
            effect=effect,
        )
    )


def test_holds_that_leave_no_doubt_about_what_is_published_keep_its_tokens() -> None:
    assert {
        "fence-not-proven",
        "in-use",
        "not-accepted",
        "parked",
        "probe-proves-nothing",
        "rolled-back",
        "write-does-not-land",
    } == KEEPS_TOKENS


THEIRS = sink(ledger="theirs")
ADDED = seen(sink("p"), sink("s", "file", ledger="theirs", seq=9), sink("s", "mail", ledger="older"))
RELEARNT = {
    "stage": Stage.UNKNOWN,
    "since": NOW,
    "active": None,
    "turning": None,
    "target": None,
    "primary": Record(key="", id="").primary,
    "secondary": Record(key="", id="").secondary,
    "etag": None,
    "seq": 6,
    "sinks": (),
    "renewals": 0,
    "refused_since": None,
    "refused_at": None,
    "not_before": None,
    "waiting": None,
    **WORKED,
}
ASKED = Request(at=NOW, because="asked")
LEAKED = Compromise(values=(value("x"),), because="leaked", at=NOW)

STOPPED = {
    "gone": Case(
        row="gone", given=record(), look=seen(THEIRS, gone=GONE), changes=holds("gone"), event=("hold", ""), cites=""
    ),
    "unreachable": Case(
        row="entity unreadable",
        given=record(),
        look=seen(THEIRS, problem="503", retry_after=90.0),
        changes=fails("unreachable", until=NOW + 90 * SECOND),
        event=("wait", ""),
    ),
    "refused": Case(
        row="entity unreadable",
        given=record(),
        look=seen(problem="403", refused=True, retry_after=0.0),
        changes=fails("refused"),
        event=("wait", ""),
    ),
    "the first failure of all": Case(
        row="entity unreadable",
        given=record(failures=0, failing_since=None, waiting=None, not_before=None),
        look=seen(problem="503", retry_after=0.0),
        changes=fails("unreachable", until=NOW + 30 * SECOND) | {"failures": 1, "failing_since": NOW},
        event=("wait", ""),
    ),
    "a failure of a week parks it": Case(
        row="entity unreadable",
        given=record(failures=9, failing_since=NOW - 7 * DAY),
        look=seen(token(), problem="403", refused=True),
        changes=holds("parked", failures=10),
        event=("hold", ""),
    ),
    "a failure that was told already is not told again": Case(
        row="entity unreadable",
        given=record(waiting=Waiting(reason="unreachable", sentence="502")),
        look=seen(problem="503"),
        changes=fails("unreachable"),
    ),
    "a token comes before the next try": Case(
        row="entity unreadable",
        given=record(tokens={"vault": FRESH}),
        look=seen(token(left=DAY + SECOND), problem="503"),
        changes=fails("unreachable", until=NOW + SECOND),
        event=("wait", ""),
    ),
    "a token comes sooner by Azure's clock": Case(
        row="entity unreadable",
        given=record(),
        look=seen(token(left=DAY + MINUTE), problem="503", skew=-20 * SECOND),
        changes=fails("unreachable", until=NOW + 40 * SECOND),
        event=("wait", ""),
    ),
    "a token that comes later changes nothing of the next try": Case(
        row="entity unreadable",
        given=record(),
        look=seen(token(), problem="503"),
        changes=fails("unreachable"),
        event=("wait", ""),
    ),
    "another's sink": Case(
        row="another keyturn", given=record(), look=ADDED, changes=holds("another-keyturn"), event=("hold", "A10")
    ),
    "another's sink, though another one is newer than the ledger": Case(
        row="another keyturn",
        given=record(),
        look=seen(THEIRS, sink("p", "file", ledger="ours", seq=5)),
        changes=holds("another-keyturn"),
        event=("hold", "A10"),
    ),
    "another's sink before a state that is not active": Case(
        row="another keyturn",
        given=record(),
        look=seen(THEIRS, state="suspended"),
        changes=holds("another-keyturn"),
        event=("hold", "A10"),
    ),
    "a sink is newer than the ledger": Case(
        row="old ledger",
        given=record(requested=ASKED, compromise=LEAKED, policy="partners 1"),
        look=seen(sink(ledger="ours", seq=6), sink("p", "file", ledger="ours", seq=3), state="suspended"),
        changes=RELEARNT,
        event=("relearn", "A10"),
    ),
    "not active": Case(
        row="not active",
        given=record(etag=None),
        look=seen(state="suspended"),
        changes=waits("not-active", NOW + HOUR),
        event=("wait", ""),
    ),
    "not active, looked at often": Case(
        row="not active",
        given=record(),
        look=seen(state="suspended"),
        rules=policy(look_every=MINUTE),
        changes=waits("not-active", NOW + MINUTE),
        event=("wait", ""),
    ),
    "not active, with a token that is due": Case(
        row="not active",
        given=record(tokens={"vault": DUE}),
        look=stale(state="suspended"),
        changes=waits("not-active", NOW + HOUR),
        event=("wait", ""),
    ),
    "disabled": Case(
        row="not active",
        given=record(),
        look=seen(state="disabled"),
        changes=waits("not-active", NOW + HOUR),
        event=("wait", ""),
    ),
    "disabled, with a token that will be due": Case(
        row="not active",
        given=record(),
        look=seen(token(left=DAY + SECOND), state="disabled"),
        changes=waits("not-active", NOW + SECOND),
        event=("wait", ""),
    ),
    "disabled, with a token that is due by its own clock only": Case(
        row="not active",
        given=record(),
        look=seen(token(left=DAY + SECOND), state="disabled", skew=SECOND),
        changes=waits("not-active", NOW + 2 * SECOND),
        event=("wait", ""),
    ),
    "disabled before it was adopted": Case(
        row="not active",
        given=record(Stage.UNKNOWN, tokens={"vault": DUE}),
        look=stale(state="disabled"),
        changes=waits("not-active", NOW + HOUR),
        event=("wait", ""),
    ),
    "values unknown": Case(
        row="read the values",
        given=record(etag=None),
        changes=sends(),
        event=("read the values", "A11"),
        effect=ReadValues(),
    ),
}


@cases(STOPPED)
def test_what_is_gone_unreachable_anothers_or_unknown_goes_no_further(case: Case) -> None:
    decide(case)


@pytest.mark.parametrize(
    ("look", "told", "shorter"),
    [
        (
            seen(state="suspended"),
            "the apim subscription is suspended: gateways refuse",
            "activate it in API Management",
        ),
        (
            seen(state="disabled"),
            "it is disabled: the management endpoint refuses",
            "`keyturn key enable shop/contoso`",
        ),
        (seen(problem="403", refused=True), "403", "grant what is missing"),
        (seen(problem="503"), "503", ""),
    ],
)
def test_who_is_kept_from_its_work_is_told_what_would_help(look: Seen, told: str, shorter: str) -> None:
    waiting = next_step(record(), look, RULES, NOW).record.waiting
    assert waiting is not None
    assert told in waiting.sentence
    assert shorter in waiting.shorter
    assert bool(shorter) is bool(waiting.shorter)


def test_whose_ledger_a_sink_names_is_told_and_no_sink_of_ours_is() -> None:
    ours = [sink(), sink("p", "a", ledger="ours"), sink("p", "b", ledger="before")]
    look = seen(*ours, sink("p", "c", ledger="theirs"), sink("p", "d", ledger="other"))
    hold = next_step(record(succeeds="before"), look, RULES, NOW).record.hold
    assert hold is not None
    assert hold.sentence.startswith("c, d was published by a keyturn with another ledger (other, theirs); two may")
    assert "--take-over other" in hold.sentence


def test_a_sink_that_tells_no_sequence_is_not_newer_than_a_fresh_ledger() -> None:
    assert next_step(record(seq=0), seen(sink(ledger="ours")), RULES, NOW).row == "rest"


OUR_OWN = {
    "of our ledger": seen(sink(ledger="ours", seq=4)),
    "of the ledger that a person let this one take over": seen(sink(ledger="theirs", seq=9)),
    "of no ledger": seen(sink(seq=9)),
}


@pytest.mark.parametrize("look", OUR_OWN.values(), ids=OUR_OWN)
def test_a_sink_of_ours_or_of_nobody_stops_nothing(look: Seen) -> None:
    given = record(succeeds="theirs", primary=active("p", published_at=NOW - 31 * DAY))
    reason = {"stage": Stage.RENEW, "since": NOW, "turning": S, "renewals": 0, "not_before": None, "waiting": None}
    decide(Case(row="due", given=given, look=look, changes=reason, event=("due", "")))


def test_a_disabled_one_whose_token_is_due_is_given_a_fresh_one() -> None:
    changes = {"stage": Stage.PUBLISH, "since": NOW, "target": P, "not_before": None, "waiting": None}
    decide(
        Case(
            row="renew the token",
            given=record(tokens={"vault": DUE}),
            look=stale(state="disabled"),
            changes=changes,
            event=("renew the token", ""),
        )
    )


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize(
    ("look", "row"),
    [
        (seen(gone=GONE), "gone"),
        (seen(problem="503"), "entity unreadable"),
        (seen(THEIRS), "another keyturn"),
        (seen(state="suspended"), "not active"),
        (seen(etag="8"), "read the values"),
    ],
    ids=lambda what: what if isinstance(what, str) else "",
)
def test_in_every_stage_that_comes_before_anything_else(stage: Stage, look: Seen, row: str) -> None:
    given = record(stage, etag=None) if row == "read the values" else record(stage)
    assert next_step(given, look, RULES, NOW).row == row


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.UNKNOWN])
def test_a_ledger_from_a_backup_is_found_out_in_every_stage(stage: Stage) -> None:
    assert next_step(record(stage), seen(sink(ledger="ours", seq=5)), RULES, NOW).row == "old ledger"


# -------- whether there is anything to do


RESTING = [
    (record(not_before=None), False),
    (record(not_before=NOW), False),
    (record(not_before=NOW + SECOND), True),
    (record(not_before=NOW + 4 * DAY), True),
    (record(not_before=NOW + 4 * DAY + SECOND), False),
    (record(not_before=NOW + HOUR, looked_at=NOW + MINUTE), True),
    (record(not_before=NOW + HOUR, looked_at=NOW + MINUTE + SECOND), False),
    (held(tokens={}, not_before=None), True),
    (held(not_before=None), False),
    (held(not_before=NOW + HOUR), True),
    (held(reason="foreign-value", not_before=None), True),
    (held(tokens={"vault": FRESH}, not_before=None), True),
]


@pytest.mark.parametrize(("given", "expected"), RESTING)
def test_a_record_rests_until_its_wait_is_over_and_no_longer_than_any_wait_may_be(
    given: Record, expected: bool
) -> None:
    assert rests(given, RULES, NOW) is expected


@pytest.mark.parametrize(
    ("tokens", "due"), [({}, False), ({"a": FRESH}, False), ({"a": DUE}, True), ({"a": FRESH, "b": DUE}, True)]
)
def test_a_token_is_due_from_the_instant_on_that_it_is_to_be_renewed(tokens: dict[str, TokenLife], due: bool) -> None:
    assert token_due(record(tokens=tokens), NOW) is due
