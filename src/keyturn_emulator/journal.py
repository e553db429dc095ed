"""What was asked of the emulated Azure: the last requests and totals by kind.

Never here: a query, a body or an Authorization header, for keys and tokens travel in them.
"""

from __future__ import annotations

from collections import Counter, deque
from datetime import datetime
from itertools import takewhile
from typing import Any

from keyturn_emulator.clock import iso
from keyturn_emulator.wire import Call

KEPT = 20_000  # requests outside the gateways
KEPT_GATEWAY = 2_000  # callers are many: they must not crowd out the rest

_OPERATIONS = {
    "GET": "read",
    "HEAD": "read",
    "PUT": "write",
    "PATCH": "write",
    "DELETE": "delete",
    "POST": "action",
}


class Journal:
    """An entry is (seq, emulated time, room, method, host, raw path, status, agent, api-version, fault
    kind).
    """

    def __init__(self) -> None:
        self.sequence = 0
        self.totals: Counter[str] = Counter()
        self.arm: Counter[str] = Counter()
        self._entries: deque[tuple[Any, ...]] = deque(maxlen=KEPT)
        self._gateway: deque[tuple[Any, ...]] = deque(maxlen=KEPT_GATEWAY)

    def note(self, now: datetime, room: str, call: Call, status: int | None, fault: str | None) -> None:
        """`status` is what the room answered, None when it was never asked."""
        self.sequence += 1
        self.totals[room] += 1
        agent = call.headers.get("user-agent", "")
        version = None if room == "gateway" else call.param("api-version")
        kept = self._gateway if room == "gateway" else self._entries
        kept.append((self.sequence, now, room, call.method, call.host, call.raw_path, status, agent, version, fault))
        if room == "arm":
            self.arm["throttled" if status == 429 else _arm_class(call.method)] += 1

    def since(self, sequence: int, room: str | None, limit: int) -> list[dict[str, Any]]:
        """The newest `limit` entries after `sequence`, oldest first."""
        rows = [
            entry
            for kept in (self._entries, self._gateway)
            for entry in takewhile(lambda entry: entry[0] > sequence, reversed(kept))
            if room is None or entry[2] == room
        ]
        rows.sort(key=lambda entry: int(entry[0]))
        return [_describe(entry) for entry in rows[-limit:]]


def _arm_class(method: str) -> str:
    return {"read": "reads", "write": "writes", "delete": "deletes", "action": "actions"}[_OPERATIONS[method]]


def _describe(entry: tuple[Any, ...]) -> dict[str, Any]:
    sequence, now, room, method, host, path, status, agent, version, fault = entry
    return {
        "seq": sequence,
        "time": iso(now),
        "kind": room,
        "method": method,
        "host": host,
        "path": path,
        "status": status,
        "agent": agent,
        "api_version": version,
        "operation": _OPERATIONS.get(method, "other"),
        "fault": fault,
    }
