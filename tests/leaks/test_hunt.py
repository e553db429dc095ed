"""The hunt finds nothing where no value may stand, and is red where somebody plants one."""

from __future__ import annotations

import base64
import os
import time
from pathlib import Path

import pytest

from tests.leaks.__main__ import tell
from tests.leaks.house import House
from tests.leaks.hunt import SINKS, Hunted, hunt, search
from tests.leaks.quotes import FORMS, quoted

pytestmark = pytest.mark.long
LIBRARIES = {"keyturn", "azure", "msal", "urllib3", "sqlalchemy"}
LOOKED = [("status",)]


def test_one_run_of_everything_leaves_no_value_where_none_may_stand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = dict(os.environ)
    found = hunt(tmp_path)
    assert dict(os.environ) == before, "whatever this process starts next would be loud"
    code = tell(found)
    assert code == 0, capsys.readouterr().out
    assert found.records.keys() >= LIBRARIES, "a library that says nothing was not listened to"
    assert found.crashes > 30 and found.answers > 20 and found.commands > 150


# -------- whether it would notice


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def searched(house: House, allowed: set[str] | None = None) -> Hunted:
    return search(house, LOOKED, allowed or set(), 0, time.monotonic())


@pytest.mark.parametrize("place", ["said/001-run.stderr", "logs/77.log", "dumps/77-1-crash.txt", "cli/keyturn.db-wal"])
@pytest.mark.parametrize("form", FORMS)
def test_a_value_that_is_planted_anywhere_in_any_form_makes_it_red(
    house: House, capsys: pytest.CaptureFixture[str], place: str, form: str
) -> None:
    value = house.marked.draw("planted")
    assert not searched(house).leaks
    house.path(place).write_text(f"2026-01-05 before\nsaid: {quoted(value, form)}!\nafter\n", encoding="utf-8")
    found = searched(house)
    assert {leak.place for leak in found.leaks} == {place}
    assert tell(found) == 1
    told = capsys.readouterr().out
    assert f"LEAK {place}: planted" in told
    assert value not in told and value[:6] not in told


def test_what_a_program_itself_calls_a_secret_is_looked_for(house: House) -> None:
    key = base64.b64encode(bytes(range(64))).decode()
    (house.known / "1.jsonl").write_text(f'["a secret of keyturn.turn", "{key}"]\n', encoding="utf-8")
    house.path("logs", "1.log").write_text(f"urllib3 DEBUG PUT {key[20:40]}\n", encoding="utf-8")
    (leak,) = searched(house).leaks
    assert leak.find.name == "a secret of keyturn.turn"


def test_the_name_of_a_file_is_searched_as_well(house: House) -> None:
    house.path("tmp", f"key-{house.marked.draw('planted')}").write_text("", encoding="utf-8")
    assert searched(house).leaks


def test_what_stands_in_a_sink_hides_no_leak_of_the_same_line(house: House) -> None:
    line = f"KEY={house.marked.draw('planted')}\n"
    for place in ("cli/app.env", "logs/1.log"):
        house.path(place).write_text(line, encoding="utf-8")
    found = searched(house, {"cli/app.env"})
    assert found.places == {"cli/app.env": True}
    assert [leak.place for leak in found.leaks] == ["logs/1.log"]


def test_a_place_that_should_show_a_value_and_shows_none_makes_it_red(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house.path("cli", "app.env").write_text("KEY=nothing\n", encoding="utf-8")
    found = searched(house, {"cli/app.env", "cli/absent.env"})
    assert found.places == {"cli/app.env": False, "cli/absent.env": False}
    assert tell(found) == 1
    assert capsys.readouterr().out.count("BLIND") == 2


def test_a_command_that_nobody_runs_makes_it_red(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    found = searched(house)
    assert "key show" in found.untold and "status" not in found.untold
    assert tell(found) == 1
    assert "UNTOLD keyturn key show" in capsys.readouterr().out


def test_the_places_where_a_value_may_stand_are_sinks_and_the_emulators_own(house: House) -> None:
    assert {place.partition("/")[0] for place in SINKS} == {"cli", "shows"}
    assert all(place.startswith(("cli/sinks/", "shows/emulator.")) for place in SINKS)
