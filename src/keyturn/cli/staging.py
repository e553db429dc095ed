"""`keyturn emulator`: start the emulated Azure as a program of its own, and let its time pass.

The two packages never import one another, so this knows its options and its control API's clock, and nothing else.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import NoReturn
from urllib.parse import urlsplit

import click

from keyturn.cli import options, screen
from keyturn.errors import TryAgain

PROGRAM = (sys.executable, "-m", "keyturn_emulator")
CONTROL, SECRET = "KEYTURN_EMULATOR_CONTROL", "KEYTURN_EMULATOR_SECRET"
WAYS = ("secret", "certificate", "workload", "github", "managed", "app-service")


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Proxy and control API; 0 takes any free port.")
@click.option("--tls-port", type=click.IntRange(0, 65535), help="Direct TLS; 0 takes any free port.")
@click.option("--machine-port", type=click.IntRange(0, 65535), help="Managed identity; 0 takes any free port.")
@click.option("--seed-file", metavar="FILE", help="A JSON description of the world.")
@click.option("--start", metavar="TIME", help="The first emulated moment, such as 2026-01-05T08:00:00Z.")
@click.option("--write-env", metavar="FILE", help="Write shell lines to source, readable by you alone.")
@click.option(
    "--sign-in",
    type=click.Choice(WAYS),
    help="Which way to sign in the --write-env file is for; unless told otherwise, a client secret.",
)
@click.option("--state-dir", metavar="DIR", help="Keep its certificate authority here from start to start.")
@click.option("--parent-pid", type=int, metavar="PID", help="End when this process is gone.")
@click.option(
    "--advance", metavar="SPAN", help="Start nothing: let 24h, say, pass in the one that the environment names."
)
@options.speaking
def emulator(advance: str | None, **given: object) -> int:
    """Start an Azure of its own on this machine, in the foreground; Ctrl-C ends it.

    One JSON line on stdout says where it is; the lines on stderr are what official clients need to reach it. Its time
    passes on command alone: `keyturn emulator --advance 24h`, from a shell that has sourced the --write-env file.
    """
    if advance is not None:
        return _advance(options.span(advance))
    arguments = [text for name, value in given.items() if value is not None for text in (_flag(name), str(value))]
    command = [*PROGRAM, *arguments]
    if sys.platform == "win32":
        return subprocess.run(command, check=False).returncode  # noqa: S603 - our own program
    return _become(command)


def _become(command: list[str]) -> NoReturn:
    """The emulator takes our place, so that signals reach it."""
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - our own program


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _advance(span: timedelta) -> int:
    """Ask the running emulator to let time pass. Raises click.UsageError, TryAgain."""
    control, secret = os.environ.get(CONTROL), os.environ.get(SECRET)
    if not control or not secret:
        raise click.UsageError(f"{CONTROL} and {SECRET} are not set: source the file that --write-env wrote")
    address = urlsplit(control)
    connection = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=60)
    try:
        body = json.dumps({"advance": span.total_seconds()})
        connection.request("POST", f"{address.path}/clock", body, {"Authorization": f"Bearer {secret}"})
        response = connection.getresponse()
        told = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise TryAgain(f"no emulator answers at {control} ({type(error).__name__})", hint="Start one.") from None
    finally:
        connection.close()
    if response.status != 200:
        raise TryAgain(f"the emulator refuses: {told.get('error', response.status)}")
    screen.say(f"emulated time {told['now'][:16].replace('T', ' ')} UTC")
    screen.document({"emulated": True, "now": told["now"]})
    return 0
