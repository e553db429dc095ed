"""The faults of the emulated Azure that a soak goes through: a table, and how often each has struck.

Rates are modest: keyturn is to get on with its work. A late effect lands within `late` even if its sender was frozen
before. Callers meet those of the vault and of signing in as well, and ask again. Never here: who is killed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

from keyturn.demo.control import Control
from keyturn.demo.stage import VAULT

LATE: Final = timedelta(seconds=75)
"""Emulated, until a late effect lands."""
SLOW: Final = 0.3
"""Machine seconds of a slow answer: shorter than keyturn takes to start, so that it is over before time leaps."""
ARM: Final = {"host": "management.azure.com"}
SLOT_WRITES: Final = (
    {**ARM, "method": "PATCH"},
    {**ARM, "method": "POST", "path_contains": "/regenerate"},
)
SINK_WRITE: Final = {"host": f"{VAULT}.vault.azure.net", "method": "PUT"}
SINK: Final = {"host": f"{VAULT}.vault.azure.net"}
SIGNIN: Final = {"host": "login.microsoftonline.com", "method": "POST"}
PROBE: Final = {"path_contains": "/status/ping"}


class Fault(NamedTuple):
    """A row: what it is called, which requests it may strike, what the emulator does, and how often."""

    name: str
    match: Mapping[str, str]
    what: Mapping[str, Any]
    probability: float


def _status(status: int, **more: Any) -> Mapping[str, Any]:
    return {"kind": "status", "status": status, **more}


LOST: Final = {"kind": "lost-answer"}
LATE_EFFECT: Final = {"kind": "late-effect", "after": LATE.total_seconds()}
SLOW_BEFORE: Final = {"kind": "delay", "seconds": SLOW, "when": "before"}
SLOW_AFTER: Final = {"kind": "delay", "seconds": SLOW, "when": "after"}

TABLE: Final = (
    Fault("429", ARM, _status(429, retry_after=5), 0.01),
    Fault("429", SINK_WRITE, _status(429, retry_after=5), 0.02),
    Fault("500", ARM, _status(500), 0.01),
    Fault("500", SINK, _status(500), 0.005),
    Fault("503", ARM, _status(503), 0.01),
    Fault("503", SINK, _status(503), 0.005),
    Fault("503", SIGNIN, _status(503), 0.02),
    Fault("503", PROBE, _status(503), 0.001),
    *(Fault("lost answer", match, LOST, 0.05) for match in (*SLOT_WRITES, SINK_WRITE)),
    *(Fault("late effect", match, LATE_EFFECT, 0.04) for match in (*SLOT_WRITES, SINK_WRITE)),
    *(Fault("slow answer", match, SLOW_BEFORE, 0.05) for match in (*SLOT_WRITES, SINK_WRITE)),
    *(Fault("slow answer", match, SLOW_AFTER, 0.05) for match in (*SLOT_WRITES, SINK_WRITE)),
    Fault("slow answer", ARM, SLOW_BEFORE, 0.01),
    Fault("slow answer", PROBE, SLOW_BEFORE, 0.002),
)


class Weather:
    """The faults in force."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._names: dict[int, str] = {}
        self._struck: Counter[str] = Counter({fault.name: 0 for fault in TABLE})

    def rise(self) -> None:
        """Every row is in force from now on."""
        for fault in TABLE:
            body = {"match": fault.match, **fault.what, "times": -1, "probability": fault.probability}
            self._names[int(self._control.ask("POST", "faults", body)["id"])] = fault.name

    def clear(self) -> None:
        """No more of them; what is late still lands."""
        self._struck = Counter(self.struck())
        self._names.clear()
        self._control.ask("DELETE", "faults")

    def struck(self) -> dict[str, int]:
        """How often, by name."""
        struck = Counter(self._struck)
        if self._names:
            for row in self._control.ask("GET", "faults")["faults"]:
                struck[self._names[row["id"]]] += row["struck"]
        return dict(struck)
