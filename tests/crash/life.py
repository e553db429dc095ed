"""Lives of keyturn: each a process of its own, forked from this program, which has imported what keyturn imports.

That spares every life nearly a second, and nothing else: this program holds no connection, no token, no value and no
ledger, and a life ends with its process. It reads one JSON line for each request and answers with one:

    {"born": {"command": [...], "env": {...}, "log": FILE, "machine": NAME, "dies": WHAT, "nth": N, "after": BOOL}}
    {"ended": PID}

A life may be told that it lives on another machine; and to send itself a SIGKILL, right before (or after) it saves its
n-th event of a kind, or writes a file: an instant that nobody outside can see.
Never here: anything else that would make it another program than `keyturn`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import azure.identity
import requests

import keyturn.assemble
import keyturn.azure.pipeline
import keyturn.probes.gateway
import keyturn.sinks.keyvault
import keyturn.sinks.namedvalue
import keyturn.sweep
from keyturn.cli import main as keyturn_main
from keyturn.ledgers import holder
from keyturn.ledgers.sql import SqlLedger
from keyturn.model import Event, Record
from keyturn.sinks.file import FileVariable

FILE = "file"
DEFECT = 70
IMPORTED = (
    azure.identity,
    requests,
    keyturn.assemble,
    keyturn.azure.pipeline,
    keyturn.probes.gateway,
    keyturn.sinks.keyvault,
    keyturn.sinks.namedvalue,
    keyturn.sweep,
)


def serve() -> None:
    """Until nobody asks any more. Lives that run then go on: whoever started them ends them."""
    for line in sys.stdin:
        asked = json.loads(line)
        answer = {"pid": _bear(asked["born"])} if "born" in asked else {"code": _ended(asked["ended"])}
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


def _bear(asked: Mapping[str, Any]) -> int:
    """Start a life; its process id."""
    pid = os.fork()
    if pid == 0:
        code = DEFECT
        try:
            code = _live(asked)
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else DEFECT
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return pid


def _ended(pid: int) -> int | None:
    """Its exit code, less than 0 for a signal; None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _live(asked: Mapping[str, Any]) -> int:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for told, own in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(told, own)
    os.environ.clear()
    os.environ.update(asked["env"])
    if asked["machine"]:
        _live_on(asked["machine"])
    if asked["dies"]:
        _die_at(asked["dies"], asked["nth"], after=asked["after"])
    return keyturn_main(asked["command"])


def _live_on(machine: str) -> None:
    """Another host, which has booted at another time: nothing of the first one's processes can be known there."""
    holder._host = lambda: machine  # type: ignore[assignment]
    holder._boot_id = lambda: f"boot of {machine}"  # type: ignore[assignment]


def _die_at(what: str, nth: int, *, after: bool) -> None:
    left = nth

    def dying(act: Callable[..., Any], counts: Callable[..., bool]) -> Callable[..., Any]:
        def acting(*given: Any) -> Any:
            nonlocal left
            left -= counts(*given)
            if left > 0:
                return act(*given)
            if after:
                act(*given)
            os.kill(os.getpid(), signal.SIGKILL)
            return None

        return acting

    def tells(ledger: SqlLedger, record: Record, expected: int, events: Sequence[Event]) -> bool:
        return any(event.kind == what for event in events)

    if what == FILE:
        FileVariable.write = dying(FileVariable.write, lambda *_: True)  # type: ignore[method-assign]
    else:
        SqlLedger.save = dying(SqlLedger.save, tells)  # type: ignore[method-assign]


if __name__ == "__main__":
    serve()
