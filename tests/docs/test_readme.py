"""The README's commands are run as they stand, and print what it says they print."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from keyturn.model import Stage
from tests.docs.pages import MARKED, ROOT, Told, executed, missing, read, transcript
from tests.docs.played import beside_an_emulator, environment, play

README = ROOT / "README.md"
BLOCKS = executed(README)
FEW = 2

# What differs from run to run, with the size of the fleet, or by layout, made equal on both sides. A count that must
# not differ, above all that of refused calls, is not among them.
VARIES = (
    (re.compile(r" {2,}"), "  "),
    (re.compile(r"about \d+ s on"), "about N s on"),
    (re.compile(r"Done in \d+ s"), "Done in N s"),
    (re.compile(r"rotated (\d+) of \1 "), "rotated all of all "),
    (re.compile(r"slots renewed \d+ "), "slots renewed N "),
    (re.compile(r"calls [\d,]+ "), "calls N "),
    (re.compile(r"ARM writes [\d,]+$"), "ARM writes N"),
    (re.compile(r"(\d+) apim subscriptions, \1 callers"), "N apim subscriptions, N callers"),
)


def told(block: str) -> tuple[Told, ...]:
    return transcript(BLOCKS[block])


def evenly(lines: Sequence[str]) -> list[str]:
    for pattern, same in VARIES:
        lines = [pattern.sub(same, line.rstrip()) for line in lines]
    return list(lines)


@pytest.fixture
def reader(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path)


def test_two_commands_set_everything_up() -> None:
    before = read(README).partition("By hand:")[0]
    commands = [line for line in before.splitlines() if line.startswith("$ ")]
    assert commands == ["$ uv run keyturn demo", "$ uv run pytest"]


def test_the_picture_of_the_turn_has_the_words_of_the_stages_in_their_order() -> None:
    """Adopting and resting are no part of a turn; PROVE is the confirm that ends the retirement."""
    turning = [stage.value for stage in Stage if stage not in {Stage.UNKNOWN, Stage.IDLE, Stage.PROVE}]
    heads = next(line for line in read(README).splitlines() if line.lstrip().startswith("renew  "))
    assert heads.split() == turning


def test_every_transcript_with_output_is_executed() -> None:
    """What shows a command's output but is not run would go stale unnoticed."""
    rest = MARKED.sub("", read(README))
    shown = re.findall(r"```console\n(.*?)```", rest, re.DOTALL)
    assert [line for block in shown for line in block.splitlines() if not line.startswith("$ ")] == []


def test_the_demo_prints_what_the_readme_shows(reader: dict[str, str], tmp_path: Path) -> None:
    (demo,) = told("demo")
    play([demo._replace(command=f"{demo.command} --credentials {FEW}")], tmp_path, reader, evenly)


def test_the_commands_by_hand_print_what_the_readme_shows(reader: dict[str, str], tmp_path: Path) -> None:
    with beside_an_emulator(README, tmp_path, reader) as blocks:
        play(transcript(blocks["by hand"]), tmp_path, reader, evenly)


def test_a_line_that_is_not_printed_is_noticed() -> None:
    printed = ["one", "two", "three"]
    assert missing(("one", "two", "three"), printed) is None
    assert missing(("...", "three"), printed) is None
    assert missing(("one", "..."), printed) is None
    assert missing(("one", "three"), printed) == "three"
    assert missing(("...", "four"), printed) == "four"
    assert missing(("one", "two"), printed) == "nothing after: three"
    assert missing(("...", "three", "one"), printed) == "one"
    assert evenly(["refused 0 (callers)"]) != evenly(["refused 1 (callers)"])
    assert evenly(["rotated 23 of 24 ·"]) != evenly(["rotated 24 of 24 ·"])
