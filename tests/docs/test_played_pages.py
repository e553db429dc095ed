"""Pages whose walk-through is run as it stands: docs/emergency.md and docs/schedule.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, executed, missing, read, transcript
from tests.docs.played import beside_an_emulator, environment, play

PAGES = ("emergency", "schedule")


def shell(blocks: dict[str, str]) -> list[str]:
    """The transcripts, in the page's order."""
    return [text for name, text in blocks.items() if name != "emulator" and not name.startswith("file ")]


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES)
def test_the_walk_through_prints_what_the_page_shows(page: str, tmp_path: Path) -> None:
    reader = environment(tmp_path)
    with beside_an_emulator(DOCS / f"{page}.md", tmp_path, reader) as blocks:
        printed = play([step for block in shell(blocks) for step in transcript(block)], tmp_path, reader)
    assert len(printed) > 8


@pytest.mark.parametrize("page", PAGES)
def test_every_transcript_with_output_is_executed(page: str) -> None:
    text = read(DOCS / f"{page}.md")
    run = list(executed(DOCS / f"{page}.md").values())
    shown = [block for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL) if block not in run]
    assert [line for block in shown for line in block.splitlines() if not line.startswith("$ ")] == []


def test_a_line_that_is_not_printed_is_noticed(tmp_path: Path) -> None:
    reader = environment(tmp_path)
    good = transcript("$ echo one; echo two\none\n...\n$ echo three\nthree\n")
    assert play(good, tmp_path, reader) == ["one\ntwo\n", "three\n"]
    with pytest.raises(AssertionError):
        play(transcript("$ echo three\nfour\n"), tmp_path, reader)
    assert missing(("one",), ["one", "two"]) == "nothing after: two"
