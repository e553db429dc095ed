"""Plays what a page lets its reader run: in one shell, beside an emulator of its own.

A page's blocks are marked `<!-- executed: … -->` (`pages.executed`): `emulator` is the command that starts one,
`file NAME` is saved beside it, the others are transcripts. Both `keyturn` and `uv run keyturn` become this very Python.

Never here: what a page should say.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.docs.pages import Told, executed, missing, transcript

LIMIT = 240.0  # seconds after which a command that hangs is a failure; nothing is measured
MARK = "-- next command --"
KEYTURN = f"keyturn() {{ '{sys.executable}' -m keyturn \"$@\"; }}\n"
FOREIGN = ("AZURE", "KEYTURN_", "HTTP", "NO_PROXY")
# curl for machines that have only Python: the kinds of requests that transcripts make.
CURL = """#!{python}
import argparse, sys, urllib.request
asked = argparse.ArgumentParser()
asked.add_argument("-s", action="store_true")
for name in ("-H", "-d", "-X"):
    asked.add_argument(name)
asked.add_argument("url")
asked = asked.parse_args()
name, _, value = asked.H.partition(": ")
body = asked.d and asked.d.encode()
with urllib.request.urlopen(urllib.request.Request(asked.url, body, {{name: value}}, method=asked.X)) as answer:
    sys.stdout.write(answer.read().decode())
"""


def environment(folder: Path) -> dict[str, str]:
    """The reader's: nothing of Azure, no proxy, no colours; curl, in the folder, where the machine has none."""
    kept = {name: text for name, text in os.environ.items() if not name.upper().startswith(FOREIGN)}
    if shutil.which("curl") is None:
        stand_in = folder / "bin" / "curl"
        stand_in.parent.mkdir()
        stand_in.write_text(CURL.format(python=sys.executable), encoding="utf-8")
        stand_in.chmod(0o700)
        kept["PATH"] = f"{stand_in.parent}{os.pathsep}{kept['PATH']}"
    return {**kept, "NO_COLOR": "1", "COLUMNS": "200", "PYTHONUTF8": "1", "TZ": "UTC"}


def as_run(command: str) -> str:
    """The command with this very Python in the place of `uv run`."""
    python = f"'{sys.executable}'"
    return command.replace("uv run python", python).replace("uv run keyturn", f"{python} -m keyturn")


@contextmanager
def beside_an_emulator(page: Path, folder: Path, reader: dict[str, str]) -> Iterator[dict[str, str]]:
    """The page's files in the folder, and its emulator running there, on any free port. Yields the page's blocks."""
    blocks = executed(page)
    (emulator,) = transcript(blocks["emulator"])
    command = re.sub(r" --port \d+", "", as_run(re.sub(r"^keyturn ", "uv run keyturn ", emulator.command)))
    process = subprocess.Popen(
        ["sh", "-c", f"exec {command} --port 0"],
        cwd=folder,
        env=reader,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        port = json.loads(process.stdout.readline())["proxy"].rpartition(":")[2]
        for name, text in blocks.items():
            if name.startswith("file "):
                (folder / name.removeprefix("file ")).write_text(text.replace(":8377", f":{port}"), encoding="utf-8")
        yield blocks
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        process.stdout.close()


def as_they_are(lines: Sequence[str]) -> list[str]:
    return [line.rstrip() for line in lines]


def play(
    steps: Sequence[Told],
    folder: Path,
    reader: dict[str, str],
    evenly: Callable[[Sequence[str]], list[str]] = as_they_are,
) -> list[str]:
    """What each command printed, on stdout, as one shell runs them one after the other; asserts that it is what the
    page shows. `evenly` makes equal, on both sides, what differs from run to run."""
    script = KEYTURN + "".join(f"{as_run(step.command)}\necho '{MARK}'\n" for step in steps)
    ran = subprocess.run(
        ["sh", "-eu"],
        input=script,
        cwd=folder,
        env=reader,
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
        step.command: missing(tuple(evenly(step.lines)), evenly(output.splitlines()))
        for step, output in zip(steps, printed, strict=True)
    }
    assert {command: line for command, line in wrong.items() if line is not None} == {}, ran.stdout + ran.stderr
    return printed
