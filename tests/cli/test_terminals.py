"""The real command on terminals of many widths: what fits, what is coloured, and how a watched screen behaves."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.cli.conftest import Folder
from tests.cli.terminal import ALTERNATE, COLOUR, HOME, NORMAL, Terminal, show

RED, GREEN = "\x1b[31m", "\x1b[32m"


@pytest.mark.parametrize("columns", [80, 100, 140])
def test_status_fits_the_terminal_and_names_every_reason(filled: Folder, columns: int) -> None:
    shown = show(filled.path, "status", columns=columns).seen
    lines = shown.splitlines()
    assert max(len(line) for line in lines) <= columns
    for told in ("shop/team/contoso", "quiet-slot: ", "sinks-disagree: two values are shown", "waits for you"):
        assert told in shown


@pytest.mark.parametrize("name", ["contoso", "legacy"])
def test_one_credential_in_full_fits_80_columns(filled: Folder, name: str) -> None:
    lines = show(filled.path, "status", f"shop/{name}", columns=80).seen.splitlines()
    assert max(len(line) for line in lines) <= 80


LONG = (
    "an audit of everybody who may read the vault, which goes on until Friday, or until its last question is answered"
)


def test_what_happened_and_what_went_wrong_fit_80_columns_word_by_word(filled: Folder) -> None:
    filled.write(filled.configuration.replace("drain: 24h", "drain: 24h\n    settle: 1s"))
    for arguments in (
        ("hold", "fabrikam", "--because", LONG),
        ("hold", "fabrikam", "--because", "again"),  # refused, with the reason of the hold
        ("history",),
        ("status", "fabrikam"),  # with a warning for the settle
        ("status", "nobody"),
    ):
        lines = show(filled.path, *arguments, columns=80).seen.splitlines()
        assert max(len(line) for line in lines) <= 80, arguments
        if "nobody" not in arguments:
            assert LONG in " ".join(line.strip() for line in lines), "no word is lost, and none is cut"


def test_what_is_there_to_be_saved_is_as_wide_as_it_is(filled: Folder) -> None:
    on_a_terminal = show(filled.path, "completion", "bash", columns=40).seen
    assert on_a_terminal == filled.run("completion", "bash").stdout


def test_colours_say_what_the_words_say(filled: Folder) -> None:
    sent = show(filled.path, "status", columns=140).sent
    assert re.search(rf"{re.escape(RED)}(?:\x1b\[1m)?held", sent)
    assert f"{GREEN}ok" in sent
    assert not re.search(r"\x1b\[[0-9;]*mdraining", sent), "what takes its time is no colour"


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (("status", "--no-color"), {}),
        (("--no-color", "status"), {}),
        (("status",), {"NO_COLOR": "1"}),
        (("status",), {"TERM": "dumb"}),
        (("hold", "nobody", "--because", "x", "--no-color"), {}),
    ],
)
def test_colours_can_be_left_out(filled: Folder, arguments: tuple[str, ...], env: dict[str, str]) -> None:
    assert COLOUR.search(show(filled.path, *arguments, columns=100, env=env).sent) is None


def test_an_error_begins_in_red_and_says_whose_it_is(filled: Folder) -> None:
    assert f"{RED}\x1b[1mkeyturn:" in show(filled.path, "status", "nobody", columns=100).sent


def test_what_is_piped_has_no_colour_and_whole_lines(filled: Folder) -> None:
    out = filled.run("status", env={"COLUMNS": "60"}).stdout
    assert "\x1b" not in out
    (row,) = [line for line in out.splitlines() if line.startswith("shop/legacy")]
    assert row.endswith("sinks-disagree: two values are shown")


# -------- watch


def test_a_watched_screen_is_drawn_over_and_leaves_its_last_frame_behind(filled: Folder) -> None:
    terminal = Terminal(filled.path, "status", "--watch", "--every", "1s", columns=100)
    terminal.until("Ctrl-C ends it", times=2)
    terminal.interrupt()
    assert terminal.end() == 1, "as the last status: one is held"
    drawn = terminal.sent[terminal.sent.index(ALTERNATE) : terminal.sent.index(NORMAL)]
    assert "\x1b[2J" not in drawn.partition("NAME")[2], "a screen that is cleared between two frames flickers"
    assert drawn.count(HOME) >= 2
    after = terminal.sent[terminal.sent.index(NORMAL) :]
    assert "shop/fabrikam" in after and "exit 1" in after


def test_a_watched_screen_ends_with_0_where_nothing_is_bad(filled: Folder) -> None:
    filled.run("release", "legacy")
    terminal = Terminal(filled.path, "status", "--watch", columns=100)
    terminal.until("Ctrl-C ends it")
    terminal.interrupt()
    assert terminal.end() == 0


def test_a_screen_that_is_too_low_says_how_much_is_missing(filled: Folder) -> None:
    terminal = Terminal(filled.path, "status", "--watch", columns=100, rows=6)
    terminal.until("lines more than fit")
    terminal.interrupt()
    terminal.end()


def test_a_watch_that_is_piped_prints_frame_after_frame(filled: Folder) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "keyturn", "status", "--watch", "--every", "1s"],
        cwd=filled.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    ends = 0
    while ends < 2:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        ends += line == "--\n"
    process.terminate()
    out, err = process.communicate()
    assert (process.returncode, err, "\x1b" in out) == (1, "", False)


def test_a_watch_whose_ledger_goes_away_says_so_and_goes_on(filled: Folder) -> None:
    terminal = Terminal(filled.path, "status", "--watch", "--every", "1s", columns=100)
    terminal.until("Ctrl-C ends it")
    filled.ledger.write_bytes(b"this is no ledger" * 100)
    terminal.until("this one failed")
    terminal.interrupt()
    assert terminal.end() == 1
    assert "shop/fabrikam" in terminal.seen.rpartition("NAME")[2]


@pytest.mark.parametrize("span", ["0s", "5", "soon", "99999999999999999w"])
def test_a_span_that_is_none_is_refused(filled: Folder, span: str) -> None:
    done = filled.run("status", "--watch", "--every", span)
    assert (done.returncode, "is no span" in done.stderr) == (2, True)


def test_a_watch_is_not_for_programs(filled: Folder) -> None:
    assert filled.run("status", "--watch", "--json").returncode == 2
