"""The command within this very process: for what needs neither a process of its own nor a terminal."""

from __future__ import annotations

import contextlib
import io
from typing import NamedTuple

from keyturn.cli import main


class Done(NamedTuple):
    """What it printed, and its exit code."""

    code: int
    out: str
    err: str


def run(*arguments: str) -> Done:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    return Done(code, out.getvalue(), err.getvalue())
