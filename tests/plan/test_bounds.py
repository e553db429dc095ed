"""The spans of a policy: what they are by default, what is computed from them, and whom their bounds refuse."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from keyturn.model import Mode, Record, Slot, SlotRecord
from keyturn.policy import (
    DAY,
    HOUR,
    MINUTE,
    Consumers,
    Pace,
    Policy,
    ProbeSpec,
    Retire,
    TokenKind,
    TokenSpec,
    age_told,
    backoff,
    cautions,
    due,
    due_at,
    pause,
    share_of,
    shortfalls,
    spell,
    spread,
    starts_at,
    token_shortfalls,
)
from keyturn.testing import START
from keyturn.tokens import LONGEST_LIFE
from tests.keyturns import policy

SECOND = timedelta(seconds=1)
NOTHING = timedelta(0)

DEFAULTS: dict[type[msgspec.Struct], dict[str, Any]] = {
    Policy: {
        "mode": Mode.SET,
        "every": timedelta(days=30),
        "windows": (),
        "jitter": NOTHING,
        "pace": Pace(),
        "drain": timedelta(days=1),
        "drain_max": None,
        "retire": Retire.AFTER_DRAIN,
        "adopt": None,
        "consumers": Consumers(),
        "probe": None,
        "accepts": 5,
        "settle": timedelta(seconds=30),
        "propagation": timedelta(minutes=10),
        "trust_etag": True,
        "look_every": timedelta(days=1),
        "deadline": timedelta(minutes=1),
        "late": timedelta(minutes=15),
        "max_clock_skew": timedelta(minutes=1),
        "park_after": timedelta(days=7),
        "tokens": (),
    },
    Consumers: {
        "cache": timedelta(hours=1),
        "longest_call": timedelta(minutes=2),
        "replication": timedelta(minutes=1),
    },
    Pace: {"first": 0, "stop_above": None},
    ProbeSpec: {"method": "GET", "header": "Ocp-Apim-Subscription-Key", "query": None, "gateways": (), "strict": False},
    TokenSpec: {"lifetime": timedelta(days=30), "renew_before": None, "short": False},
}
NEEDED: dict[type[msgspec.Struct], dict[str, Any]] = {
    Policy: {"name": "partners"},
    Consumers: {},
    Pace: {},
    ProbeSpec: {"path": "/status"},
    TokenSpec: {"kind": TokenKind.GATEWAY},
}


@pytest.mark.parametrize("kind", DEFAULTS, ids=lambda kind: kind.__name__)
def test_what_a_policy_does_not_say_is_what_the_protocol_says(kind: type[msgspec.Struct]) -> None:
    assert msgspec.structs.asdict(kind(**NEEDED[kind])) == NEEDED[kind] | DEFAULTS[kind]


def test_words_of_the_configuration_are_the_values_of_the_types() -> None:
    assert [kind.value for kind in Retire] == ["after-drain", "next-rotation"]
    assert [kind.value for kind in TokenKind] == ["gateway", "management"]


# -------- computed spans


@pytest.mark.parametrize(
    ("span", "rules", "expected"),
    [
        ("drain_limit", policy(drain=2 * HOUR), 8 * HOUR),
        ("drain_limit", policy(drain=2 * HOUR, drain_max=3 * HOUR), 3 * HOUR),
        ("settling", policy(late=7 * MINUTE, deadline=2 * MINUTE), 11 * MINUTE),
        ("propagation_wait", policy(propagation=5 * MINUTE, max_clock_skew=2 * MINUTE), 9 * MINUTE),
        ("confirm_limit", policy(), 72 * MINUTE),
        ("confirm_limit", policy(propagation=4 * MINUTE), HOUR),
        ("longest_pause", policy(look_every=MINUTE), HOUR),
        ("longest_pause", policy(look_every=5 * HOUR), 5 * HOUR),
        ("longest_pause", policy(look_every=7 * DAY), 32 * HOUR),
    ],
)
def test_spans_that_follow_from_others(span: str, rules: Policy, expected: timedelta) -> None:
    assert getattr(rules, span) == expected


SHORT = {
    "drain": MINUTE,
    "drain_max": MINUTE,
    "look_every": MINUTE,
    "late": MINUTE,
    "deadline": MINUTE,
    "propagation": MINUTE,
    "max_clock_skew": MINUTE,
    "settle": MINUTE,
}


@pytest.mark.parametrize("longest", ["drain_max", "look_every", "late", "propagation", "settle"])
def test_no_wait_is_legal_that_is_longer_than_the_longest_of_a_policys_waits(longest: str) -> None:
    rules = Policy(name="short", **{**SHORT, longest: 40 * DAY})  # type: ignore[arg-type]
    more = {"late": 3 * MINUTE, "propagation": 2 * MINUTE}.get(longest, NOTHING)
    assert rules.longest_wait == 40 * DAY + more


def test_a_pause_after_failures_is_legal_however_short_every_wait_is() -> None:
    assert Policy(name="short", **SHORT).longest_wait == HOUR  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lifetime", "renew_before", "expected"),
    [(30 * DAY, None, 10 * DAY), (30 * DAY, DAY, DAY), (HOUR, None, 20 * MINUTE)],
)
def test_a_token_is_renewed_a_third_of_its_life_before_its_end_unless_told_otherwise(
    lifetime: timedelta, renew_before: timedelta | None, expected: timedelta
) -> None:
    spec = TokenSpec(kind=TokenKind.GATEWAY, lifetime=lifetime, renew_before=renew_before)
    assert spec.renews_before == expected


@pytest.mark.parametrize(
    ("failures", "asked", "expected"),
    [
        (1, 0.0, 30 * SECOND),
        (1, 30.0, 30 * SECOND),
        (1, 600.0, 10 * MINUTE),
        (1, 86_400.0, HOUR),
        (9, 600.0, 2 * HOUR),
    ],
)
def test_a_pause_is_as_long_as_asked_for_but_an_hour_at_most_and_no_shorter_than_usual(
    failures: int, asked: float, expected: timedelta
) -> None:
    assert pause(failures, asked) == expected


def test_no_pause_is_longer_than_32_hours() -> None:
    assert backoff(13) == backoff(14) == backoff(10_000) == 32 * HOUR


def test_a_share_is_between_none_and_all_and_stays_with_its_key() -> None:
    shares = [share_of(f"key-{n}") for n in range(200)]
    assert all(0 <= share <= 1 for share in shares)
    assert min(shares) < 0.1
    assert max(shares) > 0.9
    assert share_of("key-1") == shares[1]


def test_looks_are_spread_over_the_last_seventh_of_the_span() -> None:
    looks = [spread(f"key-{n}", 100 * HOUR) for n in range(200)]
    assert all(85 * HOUR <= look <= 100 * HOUR for look in looks)
    assert min(looks) < 87 * HOUR
    assert max(looks) > 98 * HOUR


# -------- when a rotation is due


def test_what_was_never_published_has_no_age() -> None:
    nothing = Record(key="k", id="i")
    assert due_at(nothing.but(secondary=SlotRecord(published_at=START)), policy()) is None
    unpublished = Record(key="k", id="i", active=Slot.PRIMARY)
    assert [due_at(record, policy()) for record in (nothing, unpublished)] == [None, None]
    assert [starts_at(record, policy(), START) for record in (nothing, unpublished)] == [None, None]
    assert [due(record, policy(), START) for record in (nothing, unpublished)] == [None, None]


def test_a_value_is_due_at_the_instant_that_it_reaches_its_age() -> None:
    published = Record(key="k", id="i", active=Slot.PRIMARY, primary=SlotRecord(published_at=START))
    reason = due(published, policy(), START + 30 * DAY)
    assert reason is not None
    assert reason.since == START + 30 * DAY
    assert reason.sentence == "primary is 30 d old, policy says 30 d"


def test_the_age_of_a_value_is_told_whole_although_jitter_made_it_due_sooner() -> None:
    rules = policy(jitter=10 * DAY)
    published = Record(key="k", id="i", active=Slot.PRIMARY, primary=SlotRecord(published_at=START))
    reason = due(published, rules, START + 30 * DAY)
    assert reason is not None
    assert reason.sentence == "primary is 30 d old, policy says 30 d less up to 10 d of jitter"
    assert age_told(policy()) == "30 d"


# -------- bounds


def test_a_drain_max_of_one_drain_is_enough() -> None:
    assert shortfalls(policy(drain_max=DAY)) == ()


@pytest.mark.parametrize(("jitter", "refused"), [(28 * DAY, False), (29 * DAY, True), (29 * DAY - SECOND, False)])
def test_jitter_may_not_eat_up_the_period_down_to_the_drain(jitter: timedelta, refused: bool) -> None:
    found = shortfalls(policy(jitter=jitter))
    assert [sentence.startswith("rotate.jitter: ") for sentence in found] == ([True] if refused else [])


NEEDS = HOUR + 5 * MINUTE
"""What the callers of the default policy need."""


@pytest.mark.parametrize(
    ("lifetime", "renew_before", "complaints"),
    [
        (30 * DAY, None, []),
        (LONGEST_LIFE, DAY, []),
        (LONGEST_LIFE + SECOND, DAY, ["lifetime: "]),
        (DAY, DAY - 18 * MINUTE, []),
        (DAY, DAY - 18 * MINUTE + SECOND, ["renew_before: 23 h 42 min leaves less of lifetime"]),
        (DAY, NEEDS, []),
        (DAY, NEEDS - SECOND, ["renew_before: 1 h 4 min is shorter than what your callers need: cache 1 h + "]),
        (10 * MINUTE, 5 * MINUTE, ["renew_before: 5 min leaves less of", "renew_before: 5 min is shorter than"]),
    ],
)
def test_a_tokens_spans_have_bounds(lifetime: timedelta, renew_before: timedelta | None, complaints: list[str]) -> None:
    spec = TokenSpec(kind=TokenKind.GATEWAY, lifetime=lifetime, renew_before=renew_before)
    found = token_shortfalls(policy(), spec)
    assert len(found) == len(complaints)
    assert all(sentence.startswith(start) for sentence, start in zip(found, complaints, strict=True))
    assert shortfalls(policy(tokens=(spec,))) == found


def test_a_token_that_is_fresh_for_less_than_a_look_is_warned_about() -> None:
    hourly = TokenSpec(kind=TokenKind.MANAGEMENT, lifetime=3 * DAY, renew_before=DAY)
    (sentence,) = cautions(policy(tokens=(hourly,), look_every=DAY + SECOND))
    assert sentence.startswith("policy partners: a management token has a fresh one 24 h before it ends")
    assert cautions(policy(tokens=(hourly,), look_every=DAY)) == ()


def test_without_a_probe_there_is_nothing_to_settle() -> None:
    assert cautions(policy(settle=NOTHING, probe=None)) == ()
    assert len(cautions(policy(settle=NOTHING))) == 1


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (-SECOND, "-1 s"),
        (timedelta(hours=1, minutes=2, seconds=3), "1 h 2 min"),
        (timedelta(minutes=2, seconds=3), "2 min 3 s"),
        (2 * DAY - SECOND, "47 h 59 min"),
        (6 * DAY + 23 * HOUR, "6 d 23 h"),
        (7 * DAY + HOUR, "7 d"),
    ],
)
def test_a_span_is_spelled_in_two_units_at_most(span: timedelta, text: str) -> None:
    assert spell(span) == text
