"""docs/drift.md: what it lets a reader run is run, and prints what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, executed, read, transcript
from tests.docs.played import beside_an_emulator, environment, play

PAGE = DOCS / "drift.md"
BLOCKS = executed(PAGE)
SHELL = [name for name in BLOCKS if name != "emulator" and not name.startswith("file ")]


@pytest.mark.long
def test_the_walk_through_prints_what_the_page_shows(tmp_path: Path) -> None:
    """One shell for all blocks, as a reader has one."""
    reader = environment(tmp_path)
    steps = [step for block in SHELL for step in transcript(BLOCKS[block])]
    with beside_an_emulator(PAGE, tmp_path, reader):
        printed = play(steps, tmp_path, reader)
    both = next(output for step, output in zip(steps, printed, strict=True) if step.command.endswith("; wait"))
    assert [both.count(word) for word in ("drift: ", "fail over: ", "published: ")] == [1, 1, 1], "both of them did it"
    assert "another-keyturn" in printed[-2], "the second ledger is held for another reason than the page says"


def test_every_transcript_is_executed() -> None:
    shown = re.findall(r"```(?:console|python|yaml)\n(.*?)```", read(PAGE), re.DOTALL)
    assert sorted(shown) == sorted(BLOCKS.values())
    assert len(SHELL) >= 6
