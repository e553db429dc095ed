"""Waits have lower bounds, and whoever goes below one is shown the sum."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keyturn.model import Record, Request, Slot, SlotRecord
from keyturn.policy import DAY, HOUR, MINUTE, Consumers, backoff, cautions, due, shortfalls, spell
from keyturn.testing import START
from tests.keyturns import policy

SECOND = timedelta(seconds=1)


def test_the_defaults_are_above_every_bound() -> None:
    assert shortfalls(policy()) == ()


def test_a_drain_shorter_than_what_callers_need_is_refused_with_the_sum() -> None:
    (sentence,) = shortfalls(policy(drain=30 * MINUTE))
    assert "drain: 30 min is shorter than what your callers need" in sentence
    assert "cache 1 h + longest call 2 min + sink replication 1 min + clocks 1 min = 1 h 4 min" in sentence


def test_a_drain_exactly_at_its_bound_is_enough() -> None:
    bound = HOUR + 4 * MINUTE
    assert shortfalls(policy(drain=bound)) == ()
    assert shortfalls(policy(drain=bound - SECOND)) != ()


def test_a_drain_shorter_than_a_late_request_is_refused() -> None:
    quick = Consumers(cache=MINUTE, longest_call=SECOND, replication=SECOND)
    (sentence,) = shortfalls(policy(consumers=quick, drain=15 * MINUTE))
    assert "late 15 min + deadline 1 min = 16 min" in sentence


def test_a_period_within_the_drain_is_refused() -> None:
    assert any("rotate.every" in sentence for sentence in shortfalls(policy(every=DAY)))


def test_a_drain_max_below_the_drain_is_refused() -> None:
    assert any("drain.max" in sentence for sentence in shortfalls(policy(drain_max=HOUR)))


@pytest.mark.parametrize("wait", ["deadline", "late", "max_clock_skew", "settle", "propagation"])
def test_a_wait_below_its_recommended_value_is_allowed_and_warned_about(wait: str) -> None:
    assert cautions(policy()) == ()
    (sentence,) = cautions(policy(**{wait: SECOND}))
    assert sentence.startswith(f"policy partners: {wait} 1 s is below the recommended")


def test_due_says_why_and_since_when() -> None:
    published = SlotRecord(published_at=START)
    record = Record(key="k", id="i", active=Slot.PRIMARY, primary=published)
    assert due(record, policy(), START + 30 * DAY - SECOND) is None
    reason = due(record, policy(), START + 31 * DAY)
    assert reason is not None
    assert (reason.reason, reason.since) == ("age-limit", START + 30 * DAY)
    assert reason.sentence == "primary is 31 d old, policy says 30 d"


def test_a_persons_request_comes_before_age() -> None:
    asked = Request(at=START, because="leaked on a screen share")
    reason = due(Record(key="k", id="i", requested=asked), policy(), START)
    assert reason is not None
    assert (reason.reason, reason.sentence) == ("requested", "leaked on a screen share")


def test_backoff_doubles_from_half_a_minute_to_an_hour() -> None:
    assert [backoff(n) for n in (0, 1, 2, 3)] == [30 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE]
    assert backoff(1000) == HOUR


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(0), "0 s"),
        (64 * MINUTE, "1 h 4 min"),
        (DAY, "24 h"),
        (2 * DAY, "2 d"),
        (3 * DAY + HOUR, "3 d 1 h"),
        (31 * DAY + HOUR, "31 d"),
        (-HOUR, "-1 h"),
    ],
)
def test_spans_are_spelled_as_people_write_them(span: timedelta, text: str) -> None:
    assert spell(span) == text


def test_the_digest_changes_with_any_wait() -> None:
    assert policy().digest != policy(drain=25 * HOUR).digest
