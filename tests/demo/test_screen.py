"""What the demo shows, from records alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from keyturn.demo.control import Tally
from keyturn.demo.plug import instants
from keyturn.demo.screen import Picture, Screen, fitted, line, lines
from keyturn.model import Hold, Record, Stage, Waiting

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
NOW = START + timedelta(days=30, hours=18)
QUIET = Waiting(reason="quiet-slot", sentence="callers may still use it", rule="A1")


def _record(stage: Stage, **changes: object) -> Record:
    return Record(key="k", id="shop/contoso", stage=stage, **changes)  # type: ignore[arg-type]


def _picture(*records: Record) -> Picture:
    return Picture(
        start=START, now=NOW, act="2 due", records=records, tally=Tally(1200, 0, 0), gateway_refused=0, arm_writes=2
    )


def test_progress_counts_the_phases_that_each_credential_has_behind_it() -> None:
    shown = "\n".join(lines(_picture(_record(Stage.DRAIN), _record(Stage.CONFIRM), _record(Stage.IDLE, rotations=1))))
    assert "renew 3/3  confirm 2/3  publish 2/3  drain 1/3  retire 1/3  confirm 1/3" in shown
    assert "1,200 calls  refused 0 (they say) 0 (gateways say)" in shown


def test_a_picture_of_a_large_fleet_fits_80_columns_and_loses_no_number() -> None:
    waits = _record(Stage.DRAIN, waiting=QUIET, not_before=NOW + timedelta(hours=6))
    picture = _picture(*[waits] * 1000)
    act = "a self-hosted gateway and a management client sign in all the time, and nobody refuses them"
    shown = lines(msgspec.structs.replace(picture, act=act, tally=Tally(1_234_567, 0, 0), arm_writes=12_345), 80)
    text = "\n".join(shown)
    assert max(len(each) for each in text.splitlines()) <= 80
    assert "of 1000: renew 1000  confirm 1000  publish 1000  drain 0  retire 0  confirm 0" in text
    assert "1,234,567 calls" in text and "12,345" in text
    assert " ".join(fitted(f"  day 30  02:00  {act}", 80).split()) == f"day 30 02:00 {act}"


def test_no_picture_is_wanted_before_it_was_said_what_is_played() -> None:
    screen = Screen(plain=True)
    assert not screen.wants()
    screen.open()
    assert screen.wants()


def test_a_line_says_what_waits_for_how_long_and_by_which_rule() -> None:
    waits = _record(Stage.DRAIN, waiting=QUIET, not_before=NOW + timedelta(hours=6))
    assert "1 wait 6 h yet: quiet-slot (rule A1): callers may still use it" in line(_picture(waits))


def test_a_day_ends_at_midnight() -> None:
    assert line(_picture()).startswith("  day 31  02:00")


def test_who_is_held_is_said_before_who_waits() -> None:
    held = _record(Stage.DRAIN, hold=Hold(reason="gone", sentence="it is not there any more", since=NOW))
    waits = _record(Stage.DRAIN, waiting=QUIET, not_before=NOW)
    assert "1 held: it is not there any more" in line(_picture(waits, held))


def test_the_instants_of_the_plug_follow_from_the_seed_and_cover_every_phase() -> None:
    drain = timedelta(hours=24)
    assert instants(1, 24, drain) == instants(1, 24, drain) != instants(2, 24, drain)
    phases = ["renew", "confirm", "publish", "drain", "retire", "confirm the standby"]
    assert [instant.where for instant in instants(1, 1, drain)] == phases
