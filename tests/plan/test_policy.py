"""Waits have lower bounds, and whoever goes below one is shown the sum."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keyturn.model import Record, Request, Slot, SlotRecord
from keyturn.policy import (
    DAY,
    HOUR,
    MINUTE,
    QUICK_TRIES,
    Consumers,
    backoff,
    cautions,
    due,
    due_at,
    shortfalls,
    spell,
    starts_at,
)
from keyturn.testing import START
from keyturn.windows import is_open, parse
from tests.keyturns import policy

SECOND = timedelta(seconds=1)
PUBLISHED = SlotRecord(published_at=START)


def test_the_defaults_are_above_every_bound() -> None:
    assert shortfalls(policy()) == ()


def test_a_drain_shorter_than_what_callers_need_is_refused_with_the_sum() -> None:
    (sentence,) = shortfalls(policy(drain=30 * MINUTE))
    assert "drain: 30 min is shorter than what your callers need" in sentence
    assert "cache 1 h + longest call 2 min + sink replication 1 min + clocks 2 min = 1 h 5 min" in sentence


def test_a_drain_exactly_at_its_bound_is_enough() -> None:
    bound = HOUR + 5 * MINUTE
    assert shortfalls(policy(drain=bound)) == ()
    assert shortfalls(policy(drain=bound - SECOND)) != ()


def test_a_drain_shorter_than_a_late_request_is_refused() -> None:
    quick = Consumers(cache=MINUTE, longest_call=SECOND, replication=SECOND)
    (sentence,) = shortfalls(policy(consumers=quick, drain=15 * MINUTE))
    assert "late 15 min + deadline 1 min + clocks 2 min = 18 min" in sentence


def test_a_period_within_the_drain_is_refused() -> None:
    assert any("rotate.every" in sentence for sentence in shortfalls(policy(every=DAY)))


def test_a_drain_max_below_the_drain_is_refused() -> None:
    assert any("drain.max" in sentence for sentence in shortfalls(policy(drain_max=HOUR)))


@pytest.mark.parametrize("wait", ["deadline", "late", "max_clock_skew", "settle", "propagation"])
def test_a_wait_below_its_recommended_value_is_allowed_and_warned_about(wait: str) -> None:
    assert cautions(policy()) == ()
    (sentence,) = cautions(policy(**{wait: SECOND}))
    assert sentence.startswith(f"policy partners: {wait} 1 s is below the recommended")


def test_where_time_stands_while_a_gateway_is_asked_nobody_is_warned_that_nothing_settles() -> None:
    assert cautions(policy(settle=0 * SECOND), emulated=True) == ()
    assert len(cautions(policy(settle=0 * SECOND, late=SECOND), emulated=True)) == 1


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


def test_pauses_double_within_an_hour_and_then_from_an_hour_to_32() -> None:
    assert [backoff(n) for n in (0, 1, 2, 3)] == [30 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE]
    assert sum((backoff(n) for n in range(1, QUICK_TRIES + 1)), timedelta(0)) == 63.5 * MINUTE
    assert [backoff(QUICK_TRIES + n) for n in range(1, 8)] == [n * HOUR for n in (1, 2, 4, 8, 16, 32, 32)]
    assert backoff(1000) == 32 * HOUR


def test_jitter_makes_a_rotation_due_sooner_by_a_share_that_stays_with_its_credential() -> None:
    rules = policy(jitter=2 * HOUR)
    at = {key: due_at(Record(key=key, id=key, active=Slot.PRIMARY, primary=PUBLISHED), rules) for key in "abcdefgh"}
    latest = START + rules.every
    assert all(moment is not None and latest - 2 * HOUR <= moment <= latest for moment in at.values())
    assert len(set(at.values())) == len(at)
    again = due_at(Record(key="a", id="other", active=Slot.PRIMARY, primary=PUBLISHED), rules)
    assert again == at["a"]


def test_a_rotation_starts_when_it_is_due_and_its_window_is_open() -> None:
    rules = policy(windows=(parse("Mon-Thu 09:00-16:00 Europe/Oslo"),))
    record = Record(key="k", id="i", active=Slot.PRIMARY, primary=PUBLISHED)
    at = due_at(record, rules)
    assert at is not None
    starts = starts_at(record, rules, START)
    assert starts is not None
    assert starts >= at
    assert is_open(rules.windows, starts)
    assert starts_at(record, rules, starts + 5 * MINUTE) == starts + 5 * MINUTE
    asked = record.but(requested=Request(at=START, because="now"))
    assert starts_at(asked, rules, START + HOUR / 2) == START + HOUR / 2, "a person waits for no window"


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
