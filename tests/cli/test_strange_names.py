"""Sids, names and Azure's texts are somebody else's: none of them may steer the terminal that shows them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from keyturn.ledgers.sql import SqlLedger
from keyturn.model import Event, Hold, Record, Stage
from tests.cli.conftest import SERVICE, Folder

CLEARS_THE_SCREEN = "\x1b[2J"
ALSO_CLEARS = "\x9b2J"
TURNS_THE_ORDER = "\N{RIGHT-TO-LEFT OVERRIDE}"
STRANGE = f"shop/a{CLEARS_THE_SCREEN}b{ALSO_CLEARS}c{TURNS_THE_ORDER}d"


@pytest.fixture
def strange(folder: Folder) -> Folder:
    """A ledger in which a stranger chose a name, and Azure's text repeats it."""
    now = datetime.now(UTC)
    hold = Hold(reason="sinks-disagree", sentence=f"{STRANGE} is odd", since=now)
    key = f"{SERVICE}/service/shop-apim/subscriptions/strange".lower()
    record = Record(key=key, id=STRANGE, stage=Stage.IDLE, since=now, hold=hold)
    with SqlLedger.open(f"sqlite:///{folder.ledger}") as ledger:
        ledger.save(record, 0, [Event(at=now, kind="hold", sentence=f"held {STRANGE}", rule="A13")])
    return folder


@pytest.mark.parametrize(
    "arguments",
    [("status",), ("status", STRANGE), ("status", "--json"), ("history",), ("history", STRANGE), ("history", "--json")],
)
def test_a_name_that_a_stranger_chose_steers_no_terminal(strange: Folder, arguments: tuple[str, ...]) -> None:
    done = strange.run(*arguments)
    shown = (done.stdout + done.stderr).replace("\n", "")
    assert "shop/a" in shown
    assert shown.isprintable()


@pytest.mark.parametrize("command", ["status", "plan", "explain"])
def test_a_word_that_is_not_known_is_repeated_without_what_steers_a_terminal(strange: Folder, command: str) -> None:
    done = strange.run(command, f"nobody{CLEARS_THE_SCREEN}")
    assert done.returncode != 0
    assert done.stderr.replace("\n", "").isprintable()


def test_a_program_is_told_the_whole_name(strange: Folder) -> None:
    told = json.loads(strange.run("status", "--json").stdout)
    assert told["credentials"][0]["id"] == STRANGE
