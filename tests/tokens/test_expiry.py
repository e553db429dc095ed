"""What a person may write for an expiry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyturn.config.form import Node, Problems, Span
from keyturn.tokens import Malformed, expiry

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
seeded = settings(derandomize=True, deadline=None, max_examples=300)
counts = st.integers(0, 200)
spans = st.builds(
    lambda parts, gap, minute: gap.join(
        f"{count}{gap}{unit}" for count, unit in zip(parts, ("w", "d", "h", minute, "s"), strict=True) if count
    ),
    st.tuples(counts, counts, counts, counts, counts).filter(any),
    st.sampled_from(("", " ")),
    st.sampled_from(("m", "min")),
)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("30d", NOW + timedelta(days=30)),
        (" 12h30m ", NOW + timedelta(hours=12, minutes=30)),
        ("1w", NOW + timedelta(weeks=1)),
        ("2030-02-01T00:00Z", datetime(2030, 2, 1, tzinfo=UTC)),
        ("2030-02-01T02:00:00+02:00", datetime(2030, 2, 1, tzinfo=UTC)),
        ("2030-02-01 06:30", datetime(2030, 2, 1, 6, 30, tzinfo=UTC)),
        ("2030-02-01", datetime(2030, 2, 1, tzinfo=UTC)),
        ("2030-02-01T00:00:00.1234567Z", datetime(2030, 2, 1, microsecond=123_456, tzinfo=UTC)),
        ("02/01/2030 6:30 PM", datetime(2030, 2, 1, 18, 30, tzinfo=UTC)),
        ("2/1/2030 6:30 am", datetime(2030, 2, 1, 6, 30, tzinfo=UTC)),
        ("02/01/2030 12:00 AM", datetime(2030, 2, 1, tzinfo=UTC)),
        ("02/01/2030 12:00 PM", datetime(2030, 2, 1, 12, tzinfo=UTC)),
    ],
)
def test_a_duration_an_iso_time_and_the_portals_form_are_read_in_utc(text: str, end: datetime) -> None:
    assert expiry(text, NOW) == end
    assert expiry(text, NOW).tzinfo is UTC


@seeded
@given(spans)
def test_durations_mean_what_they_mean_in_the_configuration(text: str) -> None:
    span = Span().read(Node(text, 1, 1), "expires", Problems())
    assert isinstance(span, timedelta)
    assert expiry(text, NOW) == NOW + span


def test_a_duration_counts_from_now_in_utc_wherever_now_was_told() -> None:
    assert expiry("1d", NOW.astimezone(timezone(timedelta(hours=5)))) == NOW + timedelta(days=1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "30",
        "-1d",
        "1d 1w",
        "999999999d",
        "13/01/2030 6:30 PM",
        "02/30/2030 6:30 PM",
        "02/01/2030 13:00 PM",
        "02/01/2030 0:30 AM",
        "02/01/2030 6:60 PM",
        "02/01/2030",
        "02/01/2030 18:30",
        "2030-13-01",
        "0001-01-01T00:00+05:00",
        "\u0660\u0662/01/2030 6:30 PM",
    ],
)
def test_anything_else_is_refused_with_the_three_ways_to_write_one(text: str) -> None:
    with pytest.raises(Malformed, match="no time") as error:
        expiry(text, NOW)
    assert "30d" in error.value.hint
    assert "AM" in error.value.hint
    assert error.value.__context__ is None
