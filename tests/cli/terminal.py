"""A terminal of a given size for one command: what it was sent, and what a person would see of it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[()][AB0])")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
HOME = "\x1b[H"
ALTERNATE, NORMAL = "\x1b[?1049h", "\x1b[?1049l"


class Terminal:
    """The command as it runs; `sent` is all that it wrote so far."""

    def __init__(
        self, folder: Path, *arguments: str, columns: int, rows: int = 40, env: Mapping[str, str] | None = None
    ):
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "keyturn", *arguments],
            cwd=folder,
            env={**kept, "TERM": "xterm-256color", **(env or {})},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.sent = ""
        self._interrupted = False

    def until(self, text: str, times: int = 1) -> None:
        """Read until it has sent this text so often."""
        while self.sent.count(text) < times:
            assert self._read(), f"it ended before it sent {text!r} {times} times: {self.sent}"

    def interrupt(self) -> None:
        """Ctrl-C; and again, as a person would, while nothing comes of it: it may have come between a question and its
        wait for an answer."""
        self._interrupted = True
        self.process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            pass
        os.close(self._ours)
        code = self.process.wait()
        assert "Traceback" not in self.sent
        return code

    @property
    def seen(self) -> str:
        """Without colours and commands to the terminal."""
        return ESCAPE.sub("", self.sent).replace("\r\n", "\n").replace("\r", "")

    def _read(self) -> bool:
        while self._interrupted and not select.select([self._ours], [], [], 1.0)[0]:
            self.process.send_signal(signal.SIGINT)
        try:
            chunk = os.read(self._ours, 65536)
        except OSError:  # what a closed terminal answers on Linux
            return False
        self.sent += chunk.decode("utf-8", "replace")
        return bool(chunk)


def show(folder: Path, *arguments: str, columns: int, env: Mapping[str, str] | None = None) -> Terminal:
    """A command run to its end on a terminal."""
    terminal = Terminal(folder, *arguments, columns=columns, env=env)
    terminal.end()
    return terminal
