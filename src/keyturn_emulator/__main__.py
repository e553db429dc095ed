"""`python -m keyturn_emulator`: start the emulated Azure and say where it is.

It prints one JSON line on stdout when it is ready, and lines for people on stderr. It ends cleanly on
SIGTERM and SIGINT, and when the process given by --parent-pid is gone.

Never here: anything that a request could reach.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import shlex
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

from keyturn_emulator import seed, ways_in
from keyturn_emulator.azure import Azure
from keyturn_emulator.certificates import Authority, write_private
from keyturn_emulator.clock import from_iso
from keyturn_emulator.seed import SeedError
from keyturn_emulator.server import LOOPBACK, Server

PARENT_CHECK = 0.5  # machine seconds between two looks at the parent, where the system cannot tell us


def main(arguments: list[str] | None = None) -> int:
    """Serve until somebody ends it. The exit code: 2 where the description is wrong, 1 where a port is taken."""
    options = parser().parse_args(arguments)
    with ExitStack() as stack:
        directory = options.state_dir or _own_directory(stack)
        try:
            description = seed.default_description() if options.seed_file is None else _read(options.seed_file)
            if options.sign_in == "certificate":
                description = ways_in.with_certificate(description, directory)
            azure = Azure(description, options.start)
            ways_in.check(azure.world, options.sign_in)
            authority = Authority(directory)
        except (SeedError, OSError, ValueError) as error:
            problems = error.problems if isinstance(error, SeedError) else [str(error)]
            sys.stderr.write("".join(f"keyturn-emulator: {problem}\n" for problem in problems))
            return 2
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            try:
                return runner.run(_serve(azure, authority, directory, options))
            except KeyboardInterrupt:  # how Windows, which has no handlers for signals, says it
                return 0


def _own_directory(stack: ExitStack) -> Path:
    """One that goes with the emulator."""
    made = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="emulator-")))
    made.chmod(0o700)  # a umask may have taken even the owner's bits
    return made


def parser() -> argparse.ArgumentParser:
    """Every option there is."""
    made = argparse.ArgumentParser(prog="python -m keyturn_emulator", description="An Azure of its own on loopback.")
    made.add_argument("--port", type=int, default=0, help="proxy and control API; 0 takes any free port")
    made.add_argument("--tls-port", type=int, default=0, help="direct TLS; 0 takes any free port")
    made.add_argument("--machine-port", type=int, default=0, help="managed identity; 0 takes any free port")
    made.add_argument("--seed-file", type=Path, help="a JSON description of the world")
    made.add_argument("--start", type=_moment, help="the first emulated moment, such as 2026-01-05T08:00:00Z")
    made.add_argument("--write-env", type=Path, metavar="FILE", help="write shell lines to source, mode 0600")
    made.add_argument("--state-dir", type=Path, metavar="DIR", help="keep the CA here from start to start")
    made.add_argument(
        "--sign-in", choices=ways_in.WAYS, default="secret", help="which way to sign in --write-env is for"
    )
    made.add_argument("--parent-pid", type=int, metavar="PID", help="end when this process is gone")
    return made


def _moment(text: str) -> datetime:
    try:
        return from_iso(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _read(path: Path) -> Mapping[str, Any]:
    description = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(description, dict):
        raise SeedError([f"{path} must hold a JSON object"])
    return description


def _loop_factory() -> Any:
    try:
        import uvloop  # noqa: PLC0415 - absent on Windows
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(azure: Azure, authority: Authority, directory: Path, options: argparse.Namespace) -> int:
    secret = secrets.token_urlsafe(24)
    server = Server(azure, authority, secret)
    try:
        port, tls_port = await server.start(options.port, options.tls_port, options.machine_port)
    except OSError as error:
        sys.stderr.write(f"keyturn-emulator: cannot listen: {error}\n")
        return 1
    ready = _readiness(azure, port, tls_port, secret, authority.ca_file.resolve())
    machine = f"http://{LOOPBACK}:{server.machine_port}"
    ready["machine"] = machine
    ready["sign_in"] = {way: ways_in.variables(azure, way, machine, directory) for way in ways_in.WITHOUT_FILES}
    exports = {"HTTPS_PROXY": ready["proxy"], "REQUESTS_CA_BUNDLE": ready["ca_bundle"]}
    if options.write_env is not None:
        way = ways_in.variables(azure, options.sign_in, machine, directory)
        try:
            write_private(options.write_env, _shell_lines(ready, exports, way).encode())
        except OSError as error:
            sys.stderr.write(f"keyturn-emulator: cannot write {options.write_env}: {error.strerror}\n")
            server.close()
            return 1
    told = _listen_for_the_end()  # before anybody may think us ready: a signal right after that must end us cleanly
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    sys.stderr.write(_for_people(azure, exports, options.write_env))
    sys.stderr.flush()
    await _until_told_to_end(told, options.parent_pid)
    server.close()
    return 0


def _readiness(azure: Azure, port: int, tls_port: int, secret: str, ca_file: Path) -> dict[str, Any]:
    """Where everything is, and the first application's sign-in."""
    world = azure.world
    applications = [
        {
            "client_id": app.client_id,
            "client_secret": min(app.secrets, default=""),
            "object_id": app.object_id,
            "display_name": app.display_name,
        }
        for app in world.applications.values()
    ]
    first = applications[0] if applications else {"client_id": "", "client_secret": ""}
    return {
        "ready": True,
        "pid": os.getpid(),
        "proxy": f"http://{LOOPBACK}:{port}",
        "direct": f"https://{LOOPBACK}:{tls_port}",
        "ca_bundle": str(ca_file),
        "control": f"http://{LOOPBACK}:{port}/_emulator",
        "secret": secret,
        "tenant": min(world.tenants),
        "client_id": first["client_id"],
        "client_secret": first["client_secret"],
        "applications": applications,
        "azure_subscription": next(iter(world.azure_subscriptions.values())).id,
        "services": [service.id for service in world.services.values()],
        "vaults": [f"https://{vault.host}" for vault in world.vaults.values()],
    }


def _shell_lines(ready: Mapping[str, Any], exports: Mapping[str, str], way: Mapping[str, str]) -> str:
    """What to export. What another way of signing in would look at is unset, because the default credential takes the
    first way that it finds."""
    values = {
        **exports,
        "NO_PROXY": "localhost,127.0.0.1",
        **way,
        "AZURE_SUBSCRIPTION_ID": ready["azure_subscription"],
        "KEYTURN_EMULATOR_CONTROL": ready["control"],
        "KEYTURN_EMULATOR_SECRET": ready["secret"],
    }
    others = [name for name in ways_in.VARIABLES if name not in way]
    return f"unset {' '.join(others)}\n" + "".join(
        f"export {name}={shlex.quote(value)}\n" for name, value in values.items()
    )


def _for_people(azure: Azure, exports: Mapping[str, str], written: Path | None) -> str:
    world = azure.world
    held = sum(len(service.subscriptions) for service in world.services.values())
    summary = (
        f"An Azure of its own is running: emulated time {world.clock.now():%Y-%m-%d %H:%M} UTC, "
        f"{len(world.services)} service(s), {held} apim subscriptions, {len(world.vaults)} vault(s)."
    )
    lines = [
        summary,
        "Official clients reach it with nothing but:",
        *(f"  export {name}={shlex.quote(value)}" for name, value in exports.items()),
    ]
    if written is not None:
        file = shlex.quote(str(written))
        lines.append(f"In another terminal:  . {file if '/' in file else f'./{file}'}   (these, and how to sign in)")
    lines.append("Its time stands until it is told to pass. Ctrl-C ends it.")
    return "\n".join(lines) + "\n"


def _listen_for_the_end() -> asyncio.Event:
    """Set when SIGTERM or SIGINT arrives."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    if sys.platform != "win32":
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told.set)
    return told


async def _until_told_to_end(told: asyncio.Event, parent: int | None) -> None:
    watching = None if parent is None else asyncio.create_task(_watch_parent(parent, told))
    await told.wait()
    if watching is not None:
        watching.cancel()


async def _watch_parent(parent: int, gone: asyncio.Event) -> None:
    """Set `gone` when the process is no more. A zombie counts as gone where the system says so (Linux)."""
    if hasattr(os, "pidfd_open"):
        try:
            handle = os.pidfd_open(parent)
        except ProcessLookupError:
            gone.set()
            return
        asyncio.get_running_loop().add_reader(handle, gone.set)
        return
    while not gone.is_set():
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            gone.set()
        await asyncio.sleep(PARENT_CHECK)


if __name__ == "__main__":
    sys.exit(main())
