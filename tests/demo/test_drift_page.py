"""docs/drift.md: what it lets a reader run is run, and prints what the page says."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, executed, missing, read, transcript
from tests.docs.test_readme import CURL

PAGE = DOCS / "drift.md"
BLOCKS = executed(PAGE)
SHELL = [name for name in BLOCKS if name != "emulator" and not name.startswith("file ")]
LIMIT = 240.0  # seconds after which a command that hangs is a failure; nothing is measured
MARK = "-- next command --"


def as_run(command: str) -> str:
    """The command with this very Python in the place of `uv run`."""
    python = f"'{sys.executable}'"
    return command.replace("uv run python", python).replace("uv run keyturn", f"{python} -m keyturn")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The reader's: nothing of Azure, no proxy; curl where the machine has none."""
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(("AZURE", "KEYTURN_", "HTTP", "NO_PROXY"))}
    if shutil.which("curl") is None:
        stand_in = tmp_path / "bin" / "curl"
        stand_in.parent.mkdir()
        stand_in.write_text(CURL.format(python=sys.executable), encoding="utf-8")
        stand_in.chmod(0o700)
        kept["PATH"] = f"{stand_in.parent}{os.pathsep}{kept['PATH']}"
    return {**kept, "NO_COLOR": "1", "COLUMNS": "200", "PYTHONUTF8": "1"}


@pytest.fixture
def folder(tmp_path: Path, environment: dict[str, str]) -> Iterator[Path]:
    """The page's two files in a folder, and its emulator running there, on any free port."""
    (emulator,) = transcript(BLOCKS["emulator"])
    assert "--port 8377" in emulator.command
    process = subprocess.Popen(
        "exec " + as_run(emulator.command).replace("--port 8377", "--port 0"),
        shell=True,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        port = json.loads(process.stdout.readline())["proxy"].rpartition(":")[2]
        written = BLOCKS["file keyturn.yaml"].replace(":8377", f":{port}")
        (tmp_path / "keyturn.yaml").write_text(written, encoding="utf-8")
        (tmp_path / "caller.py").write_text(BLOCKS["file caller.py"], encoding="utf-8")
        yield tmp_path
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        process.stdout.close()


def test_the_walk_through_prints_what_the_page_shows(folder: Path, environment: dict[str, str]) -> None:
    """One shell for all blocks, as a reader has one; a line of its own after each command tells the outputs apart."""
    steps = [step for block in SHELL for step in transcript(BLOCKS[block])]
    script = "".join(f"{as_run(step.command)}\necho '{MARK}'\n" for step in steps)
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
    assert {command: line for command, line in wrong.items() if line is not None} == {}, ran.stdout
    both = next(output for step, output in zip(steps, printed, strict=True) if step.command.endswith("; wait"))
    assert [both.count(word) for word in ("drift: ", "fail over: ", "published: ")] == [1, 1, 1], "both of them did it"
    assert "another-keyturn" in printed[-2], "the second ledger is held for another reason than the page says"


def test_every_transcript_is_executed() -> None:
    shown = re.findall(r"```(?:console|python|yaml)\n(.*?)```", read(PAGE), re.DOTALL)
    assert sorted(shown) == sorted(BLOCKS.values())
    assert len(SHELL) >= 6
