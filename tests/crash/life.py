"""A keyturn that lives on another machine, or that dies at an instant which nobody outside can see.

    python life.py [--machine NAME] [--dies WHAT [--nth N] [--after]] -- run --wait …

It is keyturn itself, with two things changed where it meets its machine: what the machine is called, and a SIGKILL that
it sends to itself right before (or after) it saves its n-th event of a kind, or writes a file. Never here: anything else.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from keyturn.ledgers import holder
from keyturn.ledgers.sql import SqlLedger
from keyturn.model import Event, Record
from keyturn.sinks.file import FileVariable

FILE = "file"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--machine")
    parser.add_argument("--dies", help=f"a kind of event, or {FILE}")
    parser.add_argument("--nth", type=int, default=1)
    parser.add_argument("--after", action="store_true")
    parser.add_argument("command", nargs="+")
    asked = parser.parse_args(arguments)
    if asked.machine:
        _live_on(asked.machine)
    if asked.dies:
        _die_at(asked.dies, asked.nth, after=asked.after)
    from keyturn.cli import main as keyturn

    return keyturn(asked.command)


def _live_on(machine: str) -> None:
    """Another host, which has booted at another time: nothing of the first one's processes can be known there."""
    holder._host = lambda: machine  # type: ignore[assignment]
    holder._boot_id = lambda: f"boot of {machine}"  # type: ignore[assignment]


def _die_at(what: str, nth: int, *, after: bool) -> None:
    left = nth

    def passes() -> bool:
        """Count one; whether this was the n-th."""
        nonlocal left
        left -= 1
        return left == 0

    def dying(act: Callable[..., Any], counts: Callable[..., bool]) -> Callable[..., Any]:
        def acting(*given: Any) -> Any:
            dies = counts(*given) and passes()
            if dies and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            came = act(*given)
            if dies:
                os.kill(os.getpid(), signal.SIGKILL)
            return came

        return acting

    def tells(ledger: SqlLedger, record: Record, expected: int, events: Sequence[Event]) -> bool:
        return any(event.kind == what for event in events)

    if what == FILE:
        FileVariable.write = dying(FileVariable.write, lambda *_: True)  # type: ignore[method-assign]
    else:
        SqlLedger.save = dying(SqlLedger.save, tells)  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
