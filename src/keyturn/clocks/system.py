"""The machine's own clock. Never here: a decision about time."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime


class SystemClock:
    """UTC of this machine. Set `stop` (from a signal handler, say) and every wait returns at once."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self.stop = stop or threading.Event()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def boottime(self) -> float:
        """Seconds since boot. Counts suspend where the system can (CLOCK_BOOTTIME, Linux); elsewhere it may not."""
        return time.clock_gettime(_BOOTTIME) if _BOOTTIME is not None else time.monotonic()

    def random_bytes(self, count: int) -> bytes:
        return os.urandom(count)

    def wait(self, seconds: float) -> None:
        self.stop.wait(max(seconds, 0.0))


_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)
