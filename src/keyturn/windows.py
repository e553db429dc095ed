"""When a rotation may start: days and hours of somebody's wall clock.

A window is judged by the clock on a wall in its zone. An hour that a change to summer time leaves out is not there to
be open in; one that a change back repeats is open twice. Pure, but for the zones, which Python reads from the system's
table of them, or from the `tzdata` package.

Never here: what a closed window stops (that is `plan`: the start of a rotation, and nothing else).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EVERY_DAY: Final = tuple(range(7))
SEARCHED: Final = 15
"""Days that are searched for the next opening: a window of one weekday may lose one week to summer time."""

_SHAPE: Final = re.compile(
    r"(?:(?P<days>[A-Za-z]{3}(?:-[A-Za-z]{3})?(?:,[A-Za-z]{3}(?:-[A-Za-z]{3})?)*)\s+)?"
    r"(?P<opens>\d{1,2}:\d{2})-(?P<closes>\d{1,2}:\d{2})"
    r"(?:\s+(?P<zone>[A-Za-z][A-Za-z0-9_+/-]*))?"
)


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Hours of some days on the wall clock of a zone; `closes` not after `opens` means on the day after.

    `days` are those on which it opens, Monday being 0; `opens` and `closes` are minutes since midnight, 1440 being the
    midnight that ends the day.
    """

    days: tuple[int, ...]
    opens: int
    closes: int
    zone: str = "UTC"

    def __str__(self) -> str:
        return f"{_days(self.days)} {_hour(self.opens)}-{_hour(self.closes)} {self.zone}"


def parse(text: str) -> Window:
    """`Mon-Thu 09:00-16:00 Europe/Oslo`; without days every day, without a zone UTC. Raises ValueError: a sentence."""
    found = _SHAPE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no window")
    opens, closes = _minutes(found["opens"]), _minutes(found["closes"])
    if opens in {closes, 1440}:
        raise ValueError(f"{text!r} never opens, or never closes")
    zone = found["zone"] or "UTC"
    try:
        _zone(zone)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{zone!r} is no time zone") from None
    return Window(days=_read_days(found["days"]), opens=opens, closes=closes, zone=zone)


def is_open(windows: Sequence[Window], at: datetime) -> bool:
    """Whether a rotation may start at that instant. No window at all: at any time."""
    return not windows or any(_is_open(window, at) for window in windows)


def opening(windows: Sequence[Window], at: datetime) -> datetime | None:
    """The first instant from `at` on at which a rotation may start: `at` itself, if one is open; None if none opens
    within fifteen days."""
    if is_open(windows, at):
        return at
    return min((found for window in windows for found in _openings(window, at) if found > at), default=None)


def _is_open(window: Window, at: datetime) -> bool:
    local = at.astimezone(_zone(window.zone))
    minute, day = local.hour * 60 + local.minute, local.weekday()
    if window.closes > window.opens:
        return day in window.days and window.opens <= minute < window.closes
    since_yesterday = (day - 1) % 7 in window.days and minute < window.closes
    return since_yesterday or (day in window.days and minute >= window.opens)


def _openings(window: Window, at: datetime) -> Iterator[datetime]:
    """Where the window opens on the days around, as instants: when the clock on the wall comes to the hour, once or
    twice, and when it is put forward or back into the open hours."""
    first = at.astimezone(_zone(window.zone)).date()
    for ahead in range(-1, SEARCHED):
        day = first + timedelta(days=ahead)
        for found in (*_shown_at(day, window.opens, window.zone), *_changes(day, window.zone)):
            if _is_open(window, found):
                yield found


def _shown_at(day: date, minute: int, zone: str) -> tuple[datetime, ...]:
    """The instants at which the clock shows that minute: twice, where the hour is repeated. One that is left out is
    told as instants before and after the gap, which show something else."""
    wall = datetime.combine(day, time(minute // 60, minute % 60), _zone(zone))
    return tuple(wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1))


@cache
def _changes(day: date, zone: str) -> tuple[datetime, ...]:
    """The instant of that day at which the clock is put forward or back, if there is one."""
    low, high = (datetime.combine(each, time(), _zone(zone)).astimezone(UTC) for each in (day, day + timedelta(days=1)))
    if _offset(low, zone) == _offset(high, zone):
        return ()
    while high - low > timedelta(minutes=1):
        middle = low + (high - low) // timedelta(minutes=2) * timedelta(minutes=1)
        low, high = (middle, high) if _offset(middle, zone) == _offset(low, zone) else (low, middle)
    return (high,)


def _offset(at: datetime, zone: str) -> timedelta | None:
    return at.astimezone(_zone(zone)).utcoffset()


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    total = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or total > 1440:
        raise ValueError(f"{text} is no time of day")
    return total


def _read_days(text: str | None) -> tuple[int, ...]:
    if text is None:
        return EVERY_DAY
    found: set[int] = set()
    for part in text.split(","):
        ends = [_day(name) for name in part.split("-")]
        found |= {(ends[0] + ahead) % 7 for ahead in range((ends[-1] - ends[0]) % 7 + 1)}
    return tuple(sorted(found))


def _day(name: str) -> int:
    try:
        return DAYS.index(name.capitalize())
    except ValueError:
        raise ValueError(f"{name!r} is no day; write {', '.join(DAYS)}") from None


def _days(days: Iterable[int]) -> str:
    chosen = list(days)
    if len(chosen) == 7:
        return "daily"
    runs: list[list[int]] = []
    for day in chosen:
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ",".join(DAYS[run[0]] if len(run) == 1 else f"{DAYS[run[0]]}-{DAYS[run[-1]]}" for run in runs)


def _hour(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
