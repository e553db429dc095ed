"""`plan` as a timeline: days and hours of this machine's zone, summer time, and 80 columns."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from keyturn.cli.clockface import Face
from keyturn.cli.layout import plain
from keyturn.cli.timeline import UNFOLD, timeline
from keyturn.model import Kind, Mode, Stage
from keyturn.policy import DAY, HOUR, TokenKind, TokenSpec
from keyturn.preview import Line, Preview, preview
from keyturn.testing import World
from tests.keyturns import follow, keyturn, policy

START = datetime(2026, 3, 28, 22, 30, tzinfo=UTC)


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


def set_zone(zone: pytest.MonkeyPatch, name: str) -> None:
    zone.setenv("TZ", name)
    time.tzset()


def told(*offsets: timedelta, now: datetime = START, utc: bool = False, columns: int | None = None) -> list[str]:
    lines = tuple(Line(offset=offset, what="publish", detail="shop-kv/apim-contoso") for offset in offsets)
    return [plain(each) for each in timeline(Preview(lines=lines), now, Face(utc=utc), columns)]


def test_hours_are_those_of_the_machines_zone_and_the_change_to_summer_time_is_right(zone: pytest.MonkeyPatch) -> None:
    set_zone(zone, "Europe/Oslo")
    lines = told(timedelta(0), 2 * HOUR, 3 * HOUR, DAY)
    assert [line.partition("  publish")[0].strip() for line in lines] == [
        "Sat 2026-03-28 (CET, UTC+01:00)",
        "23:30  now",
        "Sun 2026-03-29",
        "01:30  +2 h",
        "Sun 2026-03-29 (CEST, UTC+02:00)",
        "03:30  +3 h",
        "Mon 2026-03-30",
        "00:30  +24 h",
    ]


def test_an_hour_that_comes_twice_is_told_under_two_headings(zone: pytest.MonkeyPatch) -> None:
    set_zone(zone, "Europe/Oslo")
    lines = told(timedelta(0), HOUR, now=datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    assert [line.split()[0] for line in lines] == ["Sun", "02:30", "Sun", "02:30"]
    assert "(CEST, UTC+02:00)" in lines[0] and "(CET, UTC+01:00)" in lines[2]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("UTC", "(UTC)"),
        ("Asia/Kolkata", "(IST, UTC+05:30)"),
        ("America/Sao_Paulo", "(UTC-03:00)"),
        ("Europe/London", "(GMT, UTC+00:00)"),
    ],
)
def test_the_zone_is_named_with_its_offset(zone: pytest.MonkeyPatch, name: str, said: str) -> None:
    set_zone(zone, name)
    assert told(timedelta(0))[0].endswith(said)


def test_utc_is_utc_wherever_the_machine_is(zone: pytest.MonkeyPatch) -> None:
    set_zone(zone, "Asia/Tokyo")
    assert told(timedelta(0), utc=True)[:2] == [
        "  Sat 2026-03-28 (UTC)",
        "    22:30  now  publish  shop-kv/apim-contoso",
    ]
    assert Face(utc=False).moment(START) == "Sun 2026-03-29 07:30 JST"


def whole_rotation(*, lifetime: timedelta | None = None, fold: bool = True) -> tuple[Preview, datetime]:
    """The timeline of a real rotation, of a key or of a token that lives so long."""
    spec = None if lifetime is None else TokenSpec(kind=TokenKind.GATEWAY, lifetime=lifetime)
    rules = policy() if spec is None else policy(mode=Mode.REGENERATE, tokens=(spec,))
    world = World(sets=spec is None)
    world.add("contoso", kind=Kind.APIM_SUBSCRIPTION if spec is None else Kind.GATEWAY, tokens=spec)
    turn = keyturn(world)
    follow(world, turn, "contoso", rules, until=Stage.IDLE)
    sight, now = turn.sight(world.credential("contoso"), rules), world.clock.now()
    gateways = ("https://shop-apim-westeurope-01.regional.azure-api.net",)
    return preview(sight.record, sight.seen, rules, now, live=sight.live, gateways=gateways, fold=fold), now


def test_80_columns_are_enough_and_details_go_on_in_their_column() -> None:
    seen, now = whole_rotation()
    lines = [plain(each) for each in timeline(seen, now, Face(utc=True), 80)]
    address = "https://shop-apim-westeurope-01.regional.azure-api.net/status/ping"
    assert all(len(line) <= 80 or line.strip() == address for line in lines), lines
    at = next(at for at, line in enumerate(lines) if "retire" in line)
    column = lines[at].index("1 ARM write")
    assert lines[at + 1][:column].strip() == "" and lines[at + 1][column] != " "


def test_a_pipe_gets_a_line_for_each_step() -> None:
    seen, now = whole_rotation()
    lines = [plain(each) for each in timeline(seen, now, Face(utc=True), None)]
    assert len([line for line in lines if line.startswith("    ")]) == len(seen.lines)


def test_what_is_folded_says_how_often_and_how_to_read_each() -> None:
    seen, now = whole_rotation(lifetime=4 * HOUR)
    (folded,) = [plain(each) for each in timeline(seen, now, Face(utc=True), None) if "times more" in plain(each)][:1]
    assert UNFOLD in folded
    every, _ = whole_rotation(lifetime=4 * HOUR, fold=False)
    assert all(line.times == 1 for line in every.lines)
    assert sum(line.times for line in seen.lines if line.what == "token due") == len(
        [line for line in every.lines if line.what == "token due"]
    )
    assert every.arm_writes == seen.arm_writes
