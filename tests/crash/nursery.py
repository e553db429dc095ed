"""Starts lives of keyturn for the crash matrix, and ends them. Never here: when one dies."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from keyturn.demo.control import Program, start


class Life(Program):
    """One keyturn, in a process of its own that the nursery forked."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        super().__init__(nursery.program.process)
        self._nursery, self._pid = nursery, pid
        self._code: int | None = None

    @property
    def pid(self) -> int:
        return self._pid

    def ended(self) -> int | None:
        if self._code is None:
            self._code = self._nursery.ask({"ended": self._pid})["code"]
        return self._code

    def kill(self) -> None:
        """End it at once. It is gone, with all its connections, when this returns."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        while self.ended() is None:
            pass


class Nursery:
    """The program from which lives are forked (`life`). Close it when none is needed any more."""

    def __init__(self) -> None:
        own = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        here = Path(__file__).with_name("life.py")
        self.program = start([sys.executable, os.fspath(here)], env={**own, "PYTHONUTF8": "1"})

    def bear(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        log: Path,
        *,
        machine: str = "",
        dies: str = "",
        nth: int = 1,
        after: bool = False,
    ) -> Life:
        """Start one. `machine`: another one than this; `dies`: what it kills itself at, and at the n-th of those."""
        asked = {"command": list(command), "env": dict(env), "log": os.fspath(log), "machine": machine}
        return Life(self, int(self.ask({"born": {**asked, "dies": dies, "nth": nth, "after": after}})["pid"]))

    def ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """One question to the program. Raises StageFault if it is gone."""
        self.program.tell(asked)
        return self.program.hear()

    def close(self) -> None:
        self.program.close()
