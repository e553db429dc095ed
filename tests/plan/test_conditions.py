"""What a screen says of tokens: in time, and whose move it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from keyturn.conditions import condition, in_json, is_bad, word_of
from keyturn.model import Hold, Record, Slot, SlotRecord, Stage, TokenLife, Waiting
from keyturn.policy import DAY, HOUR, Policy, TokenKind, TokenSpec, cautions

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
SPEC = TokenSpec(kind=TokenKind.GATEWAY)
RULES = Policy(name="gateways", tokens=(SPEC,))


def record(left: timedelta, **changes: object) -> Record:
    """At rest, with one token that ends in `left` and should be renewed ten days before its end."""
    life = TokenLife(expires=NOW + left, renew_at=NOW + left - 10 * DAY)
    made = Record(key="k", id="shop/gateways/gw", stage=Stage.IDLE, active=Slot.PRIMARY, tokens={"vault/token": life})
    return made.but(primary=SlotRecord(published_at=NOW - 3 * DAY), not_before=NOW + HOUR, **changes)


def test_a_token_with_time_left_is_no_matter() -> None:
    rested = record(20 * DAY)
    assert word_of(rested, NOW) == "ok"
    (note,) = [note for note in condition(rested, RULES, NOW).notes if "token" in note]
    assert note == "the token in vault/token is good for 20 d; a fresh one comes in 10 d"


def test_a_token_that_is_due_is_noted_and_not_yet_a_reason_to_worry() -> None:
    due = record(9 * DAY)
    assert not is_bad(due, NOW)
    assert condition(due, RULES, NOW).notes[0] == ("the token in vault/token ends in 9 d; a fresh one is due for 24 h")


def test_a_token_that_nobody_renewed_for_half_of_its_margin_is_expiring() -> None:
    told = condition(record(4 * DAY), RULES, NOW)
    assert told.word == "expiring"
    assert told.bad
    assert told.why.startswith("token-ends: the token in vault/token ends in 4 d")
    assert "keyturn run" in told.shorter


def test_a_failing_renewal_names_what_is_to_be_mended() -> None:
    waiting = Waiting(reason="sink-refused", sentence="vault refuses to be written")
    told = condition(record(4 * DAY, failures=3, waiting=waiting), RULES, NOW)
    assert told.word == "expiring"
    assert "sink-refused: vault refuses to be written" in told.shorter


def test_a_token_that_ended_says_since_when() -> None:
    told = condition(record(-2 * HOUR), RULES, NOW)
    assert told.why == "token-ends: the token in vault/token ended 2 h ago"


def test_a_token_that_ends_before_the_next_turn_is_expiring_although_it_is_not_due_yet() -> None:
    late = record(20 * DAY).but(not_before=NOW + 21 * DAY)
    assert word_of(late, NOW) == "expiring"


def test_a_held_credential_is_held_and_its_token_noted() -> None:
    held = record(9 * DAY, hold=Hold(reason="by-hand", sentence="an audit", since=NOW))
    told = condition(held, RULES, NOW)
    assert told.word == "held"
    assert "ends in 9 d" in told.notes[0]
    assert told.why == (
        "token-ends: the token in vault/token ends in 9 d; a fresh one is due for 24 h; held for by-hand: an audit"
    )


def test_a_hold_that_keeps_tokens_fresh_says_nothing_of_one_that_is_due() -> None:
    kept = record(9 * DAY, hold=Hold(reason="rolled-back", sentence="it broke", since=NOW))
    assert condition(kept, RULES, NOW).why == "rolled-back: it broke"


UNREADABLE = Waiting(reason="sink-unreadable", sentence="vault/contoso cannot be read")


@pytest.mark.parametrize(
    ("failures", "since", "told"),
    [
        (3, 2 * HOUR, "failed 3 times in 2 h; parked in 6 d 22 h if it goes on (park_after)"),
        (4, 8 * DAY, "failed 4 times in 8 d; parked if it fails 4 times more (park_after)"),
        (7, 8 * DAY, "failed 7 times in 8 d; parked if it fails 1 time more (park_after)"),
    ],
)
def test_what_fails_says_when_it_is_parked(failures: int, since: timedelta, told: str) -> None:
    failing = record(20 * DAY, failures=failures, failing_since=NOW - since, waiting=UNREADABLE)
    assert f"{told}; `keyturn run shop/gateways/gw` tries now" in condition(failing, RULES, NOW).notes


def test_what_fails_says_for_how_long_it_has_and_not_how_old_its_value_is() -> None:
    waiting = Waiting(reason="sink-unreadable", sentence="vault/apim-contoso cannot be read")
    once = record(20 * DAY, failures=1, failing_since=NOW, waiting=waiting)
    assert condition(once, RULES, NOW).since == "0 s"
    assert any("failed once in 0 s" in note for note in condition(once, RULES, NOW).notes)
    often = record(20 * DAY, failures=5, failing_since=NOW - HOUR, waiting=waiting)
    assert condition(often, RULES, NOW).since == "1 h"
    assert any("failed 5 times in 1 h" in note for note in condition(often, RULES, NOW).notes)


def test_what_is_held_does_not_say_that_a_run_tries_it_again() -> None:
    parked = Hold(reason="parked", sentence="it has failed for 7 d", since=NOW)
    held = record(20 * DAY, failures=9, failing_since=NOW - 8 * DAY, hold=parked)
    assert not [note for note in condition(held, RULES, NOW).notes if "keyturn run" in note]


def test_a_token_that_no_policy_keeps_fresh_any_more_is_nobodys_worry() -> None:
    left = record(-2 * HOUR)
    assert not is_bad(left, NOW, kept=False)
    assert condition(left, None, NOW).word == "ok"


def test_what_waits_for_a_person_is_named_instead_of_more_runs() -> None:
    waiting = Waiting(reason="not-active", sentence="it is disabled", shorter="`keyturn key enable X`")
    told = condition(record(4 * DAY, waiting=waiting), RULES, NOW)
    assert "it is disabled" in told.shorter


def test_programs_are_told_both_instants() -> None:
    assert in_json(record(20 * DAY), RULES, NOW)["tokens"] == {
        "vault/token": {"expires": "2026-05-21T12:00:00Z", "renew_at": "2026-05-11T12:00:00Z"}
    }


def test_a_wait_that_a_token_cut_short_still_tells_the_end_of_the_drain() -> None:
    waiting = Waiting(reason="quiet-slot", sentence="")
    draining = record(20 * DAY, stage=Stage.DRAIN, turning=Slot.SECONDARY, waiting=waiting)
    quiet = draining.but(primary=SlotRecord(exposed=False, quiet_since=NOW - 4 * HOUR))
    assert condition(quiet, RULES, NOW).why == "quiet-slot: 20 h until primary has been out of every sink for 24 h"


@pytest.mark.parametrize(("look_every", "warned"), [(DAY, True), (6 * HOUR, False)])
def test_a_policy_whose_tokens_are_due_later_than_the_usual_look_is_told_about(
    look_every: timedelta, warned: bool
) -> None:
    short = TokenSpec(kind=TokenKind.GATEWAY, lifetime=DAY)
    found = cautions(Policy(name="gateways", tokens=(short,), look_every=look_every))
    assert bool(found) is warned
