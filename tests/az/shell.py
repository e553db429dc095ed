"""Plays a transcript: commands in one folder, the variables that they export, and what they print.

A line `…` of what is expected stands for any lines, `…` inside a line for anything. A command is expected to fail when
what it should print begins with `ERROR`.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from keyturn_emulator.testing import RunningEmulator

LONGEST = 240.0  # machine seconds that one command may take


@dataclass(frozen=True)
class Step:
    command: str
    expected: str

    @property
    def fails(self) -> bool:
        return self.expected.startswith("ERROR")

    def fits(self, printed: str) -> bool:
        lines = [
            "(?:.*\n)*" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + "\n"
            for line in self.expected.splitlines()
        ]
        return re.fullmatch("".join(lines), printed) is not None


def steps_of(page: str) -> list[Step]:
    """The commands of every console block, each with the lines that follow it."""
    found: list[Step] = []
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            found.append(Step(command, expected.strip("\n")))
    return found


@dataclass
class Shell:
    """`azure` is the emulator that the commands meet, `az` the folder of the command line.

    `exported` grows with each `. file` and `export` of a transcript.
    """

    azure: RunningEmulator
    az: Path
    folder: Path
    exported: list[str] = field(default_factory=list)

    def run(self, command: str) -> tuple[int, str]:
        """Exit code and all that was printed; lines of nothing but white space are left out."""
        if command.startswith((". ", "export ")):
            self.exported.append(command)
            return 0, ""
        lines = ["set -eu", *self.exported, command]
        env = {name: value for name, value in os.environ.items() if not name.upper().startswith(("AZURE_", "PYTHON"))}
        env |= {"PATH": f"{self.az}{os.pathsep}{env['PATH']}", "HOME": str(self.folder)}
        done = subprocess.run(
            ["bash", "-c", "\n".join(lines)],
            cwd=self.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=LONGEST,
            check=False,
        )
        return done.returncode, "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines() if line.strip())

    def variables(self) -> dict[str, str]:
        """What a program started from this shell would find in its environment, beside `PATH`."""
        _, printed = self.run("env")
        pairs = (line.partition("=") for line in printed.splitlines())
        found = {name: value for name, _, value in pairs if name.startswith(("AZURE_", "HTTPS_", "REQUESTS_", "NO_"))}
        return found | {"PATH": f"{self.az}{os.pathsep}{os.environ['PATH']}"}
