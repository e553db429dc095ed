"""What travels between the network and the rooms of the emulator.

A room answers a `Call` with an `Answer`, synchronously, over the state of one `World`. The event loop has
one thread, so whatever a room does is atomic; delays, lost answers and late effects are put around rooms by
`server`.

Never here: sockets, state, or knowledge of any one Azure service.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote


@dataclass(slots=True, frozen=True)
class Call:
    """One request. `path` is decoded, `raw_path` as sent; header names are lower case; query keys keep
    their case.
    """

    method: str
    host: str  # lower case, without port
    raw_path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        return unquote(self.raw_path)

    @property
    def segments(self) -> tuple[str, ...]:
        """Path segments, each decoded on its own, so that an encoded slash stays inside its segment."""
        return tuple(unquote(part) for part in self.raw_path.strip("/").split("/"))

    def param(self, name: str) -> str | None:
        """The first query parameter of that name; names are compared without case, as Azure does."""
        wanted = name.lower()
        return next((value for key, value in self.query if key.lower() == wanted), None)

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(slots=True)
class Answer:
    """One response. Rooms fill status, headers and body; `server` adds Content-Length."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def read_json(body: bytes) -> Any:
    """What a body says. Raises ValueError for no JSON, for what is nested beyond reading, and for a text that cannot be
    written again: half of a surrogate pair would spoil every later answer that repeats it.
    """
    try:
        content = json.loads(body, parse_constant=_refuse_constant)
        json.dumps(content, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return content


def _refuse_constant(name: str) -> None:
    """Python reads NaN and Infinity, which JSON does not know; no clock can be moved by them."""
    raise ValueError(f"{name} is no JSON")


def json_answer(status: int, payload: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """A compact JSON answer (action results, errors and service bodies: azure-recorded 6)."""
    body = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
    return Answer(status, body, {"Content-Type": "application/json; charset=utf-8", **(headers or {})})


def indented_json_answer(status: int, payload: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """JSON indented by two with CRLF: entities and lists of the child plane (azure-recorded 6)."""
    body = json.dumps(payload, indent=2, ensure_ascii=False).replace("\n", "\r\n").encode()
    return Answer(status, body, {"Content-Type": "application/json; charset=utf-8", **(headers or {})})
