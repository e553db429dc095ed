"""The README's commands are run as they stand, and print what it says they print."""

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

from keyturn.model import Stage
from tests.docs.pages import MARKED, ROOT, Told, executed, missing, read, transcript

README = ROOT / "README.md"
BLOCKS = executed(README)
FEW = 2
LIMIT = 240.0  # seconds after which a command that hangs is a failure; nothing is measured

# What differs from run to run, with the size of the fleet, or by layout, made equal on both sides. A count that must
# not differ, above all that of refused calls, is not among them.
VARIES = (
    (re.compile(r" {2,}"), "  "),
    (re.compile(r"Done in \d+ s"), "Done in N s"),
    (re.compile(r"rotated (\d+) of \1 "), "rotated all of all "),
    (re.compile(r"slots renewed \d+ "), "slots renewed N "),
    (re.compile(r"calls [\d,]+ "), "calls N "),
    (re.compile(r"ARM writes [\d,]+$"), "ARM writes N"),
    (re.compile(r"(\d+) apim subscriptions, \1 callers"), "N apim subscriptions, N callers"),
)
# curl for machines that have only Python: the one request of the transcript.
CURL = """#!{python}
import sys, urllib.request
_, _s, _h, header, _d, body, url = sys.argv
name, _, value = header.partition(": ")
with urllib.request.urlopen(urllib.request.Request(url, body.encode(), {{name: value}})) as answer:
    sys.stdout.write(answer.read().decode())
"""


def told(block: str) -> tuple[Told, ...]:
    return transcript(BLOCKS[block])


def evenly(lines: tuple[str, ...] | list[str]) -> list[str]:
    for pattern, same in VARIES:
        lines = [pattern.sub(same, line.rstrip()) for line in lines]
    return list(lines)


def as_run(command: str) -> str:
    """The command with this very Python in the place of `uv run`."""
    return command.replace("uv run keyturn", f"'{sys.executable}' -m keyturn")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The reader's: nothing of Azure, no proxy, output without colours; curl where the machine has none."""
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(("AZURE_", "KEYTURN_", "HTTP", "NO_PROXY"))}
    if shutil.which("curl") is None:
        stand_in = tmp_path / "bin" / "curl"
        stand_in.parent.mkdir()
        stand_in.write_text(CURL.format(python=sys.executable), encoding="utf-8")
        stand_in.chmod(0o700)
        kept["PATH"] = f"{stand_in.parent}{os.pathsep}{kept['PATH']}"
    return {**kept, "NO_COLOR": "1", "COLUMNS": "200", "PYTHONUTF8": "1"}


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


def test_the_demo_prints_what_the_readme_shows(environment: dict[str, str]) -> None:
    (demo,) = told("demo")
    ran = subprocess.run(
        f"{as_run(demo.command)} --credentials {FEW}",
        shell=True,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LIMIT,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert missing(tuple(evenly(demo.lines)), evenly(ran.stdout.splitlines())) is None, ran.stdout


@pytest.fixture
def emulated(tmp_path: Path, environment: dict[str, str]) -> Iterator[Path]:
    """The README's configuration in a folder, and its emulator running there, on any free port."""
    (emulator,) = told("emulator")
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
        ready = json.loads(process.stdout.readline())
        port = ready["proxy"].rpartition(":")[2]
        written = BLOCKS["file keyturn.yaml"].replace(":8377", f":{port}")
        (tmp_path / "keyturn.yaml").write_text(written, encoding="utf-8")
        yield tmp_path
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        process.stdout.close()


def test_the_commands_by_hand_print_what_the_readme_shows(emulated: Path, environment: dict[str, str]) -> None:
    """One shell, as a reader has one; a line of its own after each command tells the outputs apart."""
    steps = told("by hand")
    mark = "-- next command --"
    script = "".join(f"{as_run(step.command)}\necho '{mark}'\n" for step in steps)
    ran = subprocess.run(
        ["sh", "-eu"],
        input=script,
        cwd=emulated,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LIMIT,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    printed = ran.stdout.split(f"{mark}\n")[:-1]
    assert len(printed) == len(steps)
    wrong = {
        step.command: missing(tuple(evenly(step.lines)), evenly(output.splitlines()))
        for step, output in zip(steps, printed, strict=True)
    }
    assert {command: line for command, line in wrong.items() if line is not None} == {}, ran.stdout


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
