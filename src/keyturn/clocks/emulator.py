"""The emulator's clock, read over its control API: a month passes in seconds.

Decides nothing about time; it moves only on the emulator's command. Never here: moving it.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import weakref
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from keyturn.errors import TryAgain

LONGEST_POLL: Final = 25.0
"""Machine seconds that one request for a wait may hang."""
LONGEST_SILENCE: Final = 60.0
NOTHING: Final = 1e-6
"""Emulated time counts in microseconds: what is left below that would never pass."""


class _Reading(NamedTuple):
    now: datetime
    boot: float


class EmulatorClock:
    """Emulated time. `control_url` is `http://host:port/_emulator`, `secret` the bearer secret printed at start, and
    `name` what the emulator shows of this process while it waits.

    Thread-safe; connections are kept. Raises TryAgain when the emulator is gone.
    """

    def __init__(
        self, control_url: str, secret: str, name: str = "keyturn", stop: threading.Event | None = None
    ) -> None:
        parts = urlsplit(control_url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._path = parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        self._name = name
        self._idle: list[http.client.HTTPConnection] = []
        weakref.finalize(self, _close_all, self._idle)
        self.stop = stop or threading.Event()

    def now(self) -> datetime:
        return self._read().now

    def boottime(self) -> float:
        """Emulated seconds that really passed since the emulator started; a jump of its clock does not count."""
        return self._read().boot

    def random_bytes(self, count: int) -> bytes:
        """From the operating system: keys must not repeat because time does."""
        return os.urandom(count)

    def wait(self, seconds: float) -> None:
        """Until `seconds` of emulated time have passed, which happens when somebody moves the emulator's clock."""
        if seconds <= 0:
            return
        start = self._read()
        end = start.boot + seconds
        reading = start
        while end - reading.boot > NOTHING and not self.stop.is_set():
            until = reading.now + timedelta(seconds=end - reading.boot)
            body = {"name": self._name, "until": _iso(until), "max_seconds": LONGEST_POLL}
            reading = self._fetch("POST", "/clock/wait", body)

    def _read(self) -> _Reading:
        """Asked anew each time: a kept reading, however young, would be as wrong as the last move was long."""
        return self._fetch("GET", "/clock", None)

    def _fetch(self, method: str, path: str, body: dict[str, Any] | None) -> _Reading:
        payload = None if body is None else json.dumps(body)
        try:
            status, told = self._exchange(method, self._path + path, payload)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise TryAgain(
                f"the emulator's clock does not answer ({type(error).__name__})",
                hint="Start `keyturn emulator` and source its --write-env file, or take `clock` out for a real Azure.",
            ) from None
        if status != 200:
            raise TryAgain(f"the emulator's clock answered {status}")
        return _Reading(datetime.fromisoformat(told["now"]).astimezone(UTC), float(told["boot"]))

    def _exchange(self, method: str, path: str, payload: str | None) -> tuple[int, Any]:
        """On a kept connection if there is one; if the emulator closed that meanwhile, on a new one."""
        kept = self._idle.pop() if self._idle else None
        connection = kept or http.client.HTTPConnection(self._host, self._port, timeout=LONGEST_SILENCE)
        try:
            connection.request(method, path, payload, self._headers)
            response = connection.getresponse()
            told = json.loads(response.read())
        except (ConnectionError, http.client.HTTPException):
            connection.close()
            if kept is None:
                raise
            return self._exchange(method, path, payload)
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return response.status, told

    def close(self) -> None:
        """Close every kept connection; the next reading opens one anew."""
        _close_all(self._idle)


def _close_all(connections: list[http.client.HTTPConnection]) -> None:
    while connections:
        connections.pop().close()


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
