"""`keyturn emulator`: start the emulated Azure as a program of its own.

The two packages never import one another, so this knows its options and nothing else of it.
"""

from __future__ import annotations

import os
import subprocess
import sys

import click

from keyturn.cli import options

PROGRAM = (sys.executable, "-m", "keyturn_emulator")


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Proxy and control API; 0 takes any free port.")
@click.option("--tls-port", type=click.IntRange(0, 65535), help="Direct TLS; 0 takes any free port.")
@click.option("--seed-file", metavar="FILE", help="A JSON description of the world.")
@click.option("--start", metavar="TIME", help="The first emulated moment, such as 2026-01-05T08:00:00Z.")
@click.option("--write-env", metavar="FILE", help="Write shell lines to source, readable by you alone.")
@click.option("--state-dir", metavar="DIR", help="Keep its certificate authority here from start to start.")
@click.option("--parent-pid", type=int, metavar="PID", help="End when this process is gone.")
@options.speaking
def emulator(**given: object) -> int:
    """Start an Azure of its own on this machine, in the foreground; Ctrl-C ends it.

    One JSON line on stdout says where it is; the lines on stderr are what official clients need to reach it.
    """
    arguments = [text for name, value in given.items() if value is not None for text in (_flag(name), str(value))]
    command = [*PROGRAM, *arguments]
    if sys.platform == "win32":
        return subprocess.run(command, check=False).returncode  # noqa: S603 - our own program
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - our own program, in our place: signals reach it


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
