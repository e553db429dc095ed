"""docs/first-real-service.md's day on the emulator is run as it stands, and prints what it says."""

from __future__ import annotations

from pathlib import Path

from tests.docs.pages import DOCS, transcript
from tests.docs.played import beside_an_emulator, environment, play


def test_the_day_on_the_emulator_goes_as_the_page_says(tmp_path: Path) -> None:
    reader = environment(tmp_path)
    with beside_an_emulator(DOCS / "first-real-service.md", tmp_path, reader) as blocks:
        play(transcript(blocks["new"]), tmp_path, reader)
