"""docs/first-real-service.md's day on the emulator is run as it stands, and prints what it says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, executed, missing, transcript

BLOCKS = executed(DOCS / "first-real-service.md")
LIMIT = 240.0  # seconds after which a command that hangs is a failure; nothing is measured
MARK = "-- next command --"
# the command as an installed one: a function of the shell that runs the transcript
KEYTURN = f"keyturn() {{ '{sys.executable}' -m keyturn \"$@\"; }}\n"


@pytest.fixture
def environment() -> dict[str, str]:
    """The reader's: nothing of Azure, no proxy, output without colours."""
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(("AZURE_", "KEYTURN_", "HTTP", "NO_PROXY"))}
    return {**kept, "NO_COLOR": "1", "PYTHONUTF8": "1", "TZ": "UTC"}


@pytest.fixture
def folder(tmp_path: Path, environment: dict[str, str]) -> Iterator[Path]:
    """A folder in which the page's emulator runs."""
    (emulator,) = transcript(BLOCKS["emulator"])
    process = subprocess.Popen(
        ["sh", "-c", f"exec '{sys.executable}' -m {emulator.command} --port 0"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert json.loads(process.stdout.readline())["ready"] is True
        yield tmp_path
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        process.stdout.close()


def test_the_day_on_the_emulator_goes_as_the_page_says(folder: Path, environment: dict[str, str]) -> None:
    steps = transcript(BLOCKS["new"])
    script = KEYTURN + "".join(f"{step.command}\necho '{MARK}'\n" for step in steps)
    ran = subprocess.run(
        ["sh", "-eu"],
        input=script,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LIMIT,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    printed = ran.stdout.split(f"{MARK}\n")[:-1]
    assert len(printed) == len(steps)
    wrong = {
        step.command: missing(step.lines, [line.rstrip() for line in output.splitlines()])
        for step, output in zip(steps, printed, strict=True)
    }
    assert {command: line for command, line in wrong.items() if line is not None} == {}, ran.stdout + ran.stderr
