"""When a rotation may start: windows against a wall clock that is walked minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyturn.windows import DAYS, Window, is_open, opening, parse

OSLO = "Europe/Oslo"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
OFFICE = parse("Mon-Thu 09:00-16:00 Europe/Oslo")


def at(text: str, zone: str = OSLO, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Mon-Thu 09:00-16:00 Europe/Oslo", "Mon-Thu 09:00-16:00 Europe/Oslo"),
        ("9:00-16:00", "daily 09:00-16:00 UTC"),
        ("sat,sun 00:00-24:00 America/New_York", "Sat-Sun 00:00-24:00 America/New_York"),
        ("Fri-Mon 22:00-02:00", "Mon,Fri-Sun 22:00-02:00 UTC"),
        ("Mon,Wed-Fri 01:00-02:00 Asia/Kolkata", "Mon,Wed-Fri 01:00-02:00 Asia/Kolkata"),
    ],
)
def test_a_window_is_read_as_people_write_it(text: str, shown: str) -> None:
    assert str(parse(text)) == shown


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("office hours", "is no window"),
        ("Mon 09:00", "is no window"),
        ("Mom 09:00-10:00", "'Mom' is no day"),
        ("Mon 09:60-10:00", "09:60 is no time of day"),
        ("Mon 09:00-25:00", "25:00 is no time of day"),
        ("Mon 09:00-09:00", "never opens"),
        ("Mon 24:00-02:00", "never opens"),
        ("Mon 09:00-10:00 Europe/Atlantis", "'Europe/Atlantis' is no time zone"),
        ("Mon 09:00-10:00 Europe/../Oslo", "is no window"),
    ],
)
def test_what_is_no_window_is_refused_in_a_sentence(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(text)


def test_without_a_window_it_is_always_open() -> None:
    now = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert is_open((), now)
    assert opening((), now) == now


def test_hours_are_those_of_the_zone_in_summer_and_in_winter() -> None:
    assert is_open([OFFICE], datetime(2026, 1, 5, 8, 0, tzinfo=UTC))  # 09:00 in Oslo
    assert not is_open([OFFICE], datetime(2026, 1, 5, 7, 59, tzinfo=UTC))
    assert is_open([OFFICE], datetime(2026, 7, 6, 7, 0, tzinfo=UTC))  # 09:00 in Oslo, summer time
    assert not is_open([OFFICE], datetime(2026, 7, 6, 14, 0, tzinfo=UTC))  # 16:00: closed at its end


def test_after_friday_the_next_opening_is_monday() -> None:
    assert opening([OFFICE], at("2026-01-08T16:00")) == at("2026-01-12T09:00")


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_opens() -> None:
    friday = parse("Fri 22:00-02:00 Europe/Oslo")
    assert is_open([friday], at("2026-01-10T01:59"))  # Saturday
    assert not is_open([friday], at("2026-01-09T01:59"))  # Friday, before it opened
    assert opening([friday], at("2026-01-10T02:00")) == at("2026-01-16T22:00")


def test_an_hour_that_summer_time_leaves_out_opens_nothing() -> None:
    """2026-03-29, Oslo: 02:00 is followed by 03:00."""
    gone = parse("Sun 02:00-03:00 Europe/Oslo")
    assert opening([gone], at("2026-03-28T12:00")) == at("2026-04-05T02:00")
    partly = parse("Sun 02:30-04:00 Europe/Oslo")
    assert opening([partly], at("2026-03-28T12:00")) == at("2026-03-29T03:00")


def test_an_hour_that_is_repeated_is_open_twice() -> None:
    """2026-10-25, Oslo: 03:00 is followed by 02:00."""
    twice = parse("Sun 02:00-02:30 Europe/Oslo")
    first, second = at("2026-10-25T02:00"), at("2026-10-25T02:00", fold=1)
    assert second - first == timedelta(hours=1)
    assert opening([twice], at("2026-10-25T01:00")) == first
    assert not is_open([twice], first + timedelta(minutes=30))
    assert opening([twice], first + timedelta(minutes=30)) == second


def test_a_clock_that_is_put_back_into_open_hours_opens_them_again() -> None:
    early = parse("Sun 01:00-02:30 Europe/Oslo")
    assert opening([early], at("2026-10-25T02:30")) == at("2026-10-25T02:00", fold=1)


@pytest.mark.parametrize("zone", ["Europe/Oslo", "Australia/Lord_Howe", "America/New_York"])
@pytest.mark.parametrize("hours", ["00:00-02:30", "01:30-02:15", "02:00-03:00", "02:45-01:45", "23:30-03:15"])
def test_around_every_change_of_the_clock_the_next_opening_is_the_first_open_minute(zone: str, hours: str) -> None:
    window = parse(f"{hours} {zone}")
    for day in range(365):
        noon = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(days=day)
        if noon.astimezone(ZoneInfo(zone)).utcoffset() == (noon + 24 * HOUR).astimezone(ZoneInfo(zone)).utcoffset():
            continue
        for quarter in range(96):
            start = walked = noon + quarter * 15 * MINUTE
            while not is_open([window], walked):
                walked += MINUTE
            assert opening([window], start) == walked


def test_of_several_windows_the_first_to_open_counts() -> None:
    windows = [OFFICE, parse("Sat 10:00-11:00")]
    assert opening(windows, at("2026-01-09T12:00")) == datetime(2026, 1, 10, 10, 0, tzinfo=UTC)


ZONES = ["UTC", OSLO, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Sao_Paulo"]


@settings(max_examples=120, deadline=None)
@given(
    days=st.frozensets(st.integers(0, 6), min_size=1),
    opens=st.integers(0, 95).map(lambda quarter: quarter * 15),
    length=st.integers(1, 95).map(lambda quarter: quarter * 15),
    zone=st.sampled_from(ZONES),
    start=st.integers(0, 365 * 96).map(lambda quarters: datetime(2026, 1, 1, tzinfo=UTC) + 15 * quarters * MINUTE),
)
def test_the_next_opening_is_the_first_open_minute(
    days: frozenset[int], opens: int, length: int, zone: str, start: datetime
) -> None:
    closes = (opens + length) % 1440
    window = Window(days=tuple(sorted(days)), opens=opens, closes=closes, zone=zone)
    walked = start
    while not is_open([window], walked):
        walked += MINUTE
    assert opening([window], start) == walked


def test_every_day_has_a_name() -> None:
    assert len(DAYS) == 7
