"""HTTP/1.1 on one connection: bytes in, a `Call` out; an `Answer` in, bytes out.

Lean on purpose: a gateway call is parsed, answered and written in one turn of the event loop, without a
task, because thousands of callers per second have to fit beside their own programs on one small machine.

It decides framing, order and the end of a connection. Never here: hosts, rooms, faults.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qsl

import httptools

from keyturn_emulator.sockets import acknowledge, hung_up
from keyturn_emulator.wire import Answer, Call

LARGEST_BODY = 4 * 1024 * 1024  # bytes; nothing that is asked of this Azure comes near

# An answer at once, one that comes later, or None later: the connection is to be cut.
Reply = Answer | Awaitable[Answer | None]

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("latin-1") for status in HTTPStatus
}


def _status_line(status: int) -> bytes:
    """Faults may answer with a status that has no name."""
    return _STATUS_LINES.get(status) or f"HTTP/1.1 {status} Unnamed\r\n".encode("latin-1")


@dataclass(slots=True)
class Connection:
    """What a responder has to know of the connection under a call."""

    tunnel: str | None = None  # the name that a CONNECT asked for
    encrypted: bool = False
    transport: asyncio.Transport | None = None
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def is_open(self) -> bool:
        """Whether the peer is still there, even if the loop has not read the end of the stream yet."""
        if self.gone.is_set() or self.transport is None or self.transport.is_closing():
            return False
        return not hung_up(self.transport.get_extra_info("socket"))


class Host(Protocol):
    """Who answers the calls of a connection."""

    def respond(self, call: Call, connection: Connection) -> Reply: ...

    def emulated_date(self) -> str:
        """The Date header of answers that carry none."""

    def defect(self, call: Call, error: Exception) -> Answer:
        """What is answered when answering itself went wrong."""


class HttpProtocol(asyncio.Protocol):
    """One connection that speaks HTTP/1.1."""

    __slots__ = (
        "_body",
        "_busy",
        "_connection",
        "_headers",
        "_host",
        "_parser",
        "_queue",
        "_size",
        "_task",
        "_transport",
        "_unfinished",
        "_url",
    )

    def __init__(self, host: Host, connection: Connection) -> None:
        self._host = host
        self._connection = connection
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._queue: deque[tuple[Call, bool]] = deque()
        self._busy = False
        self._unfinished = False
        self._task: asyncio.Task[None] | None = None

    # asyncio

    def attach(self, transport: asyncio.Transport, first: bytes = b"") -> None:
        """Take over `transport`, with what was already received from it."""
        self._transport = transport
        self._connection.transport = transport
        if first:
            self.data_received(first)
        else:
            acknowledge(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, UnicodeDecodeError):
            if not self._transport.is_closing():
                self._refuse(400, "this is no HTTP/1.1 that the emulator reads")
            return
        if self._unfinished:
            acknowledge(self._transport.get_extra_info("socket"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature of asyncio
        self._connection.gone.set()
        self._queue.clear()

    # httptools

    def on_message_begin(self) -> None:
        self._unfinished = True
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > LARGEST_BODY:
            self._refuse(413, "the body is larger than anything this Azure takes")
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        self._unfinished = False
        if self._transport.is_closing():
            return
        target, _, query = self._url.decode("latin-1").partition("?")
        call = Call(
            method=self._parser.get_method().decode("latin-1"),
            host=self._headers.get("host", "").partition(":")[0].lower(),
            raw_path=target,
            query=tuple(parse_qsl(query, keep_blank_values=True)) if query else (),
            headers=self._headers,
            body=b"".join(self._body),
        )
        keep = self._parser.should_keep_alive()
        if self._busy:
            self._queue.append((call, keep))
        else:
            self._take(call, keep)

    # answering, in the order of the requests

    def _take(self, call: Call, keep: bool) -> None:
        try:
            reply = self._host.respond(call, self._connection)
        except Exception as error:  # noqa: BLE001 - answered and told as a defect, never swallowed
            reply = self._host.defect(call, error)
        if isinstance(reply, Answer):
            self._write(call, reply, keep)
        else:
            self._busy = True
            self._task = asyncio.ensure_future(self._answer_later(call, reply, keep))

    async def _answer_later(self, call: Call, reply: Awaitable[Answer | None], keep: bool) -> None:
        try:
            answer = await reply
        except Exception as error:  # noqa: BLE001 - the same
            answer = self._host.defect(call, error)
        if answer is None:
            self._transport.abort()
        elif not self._connection.gone.is_set():
            self._write(call, answer, keep)
        self._busy = False
        if self._queue and not self._transport.is_closing():
            self._take(*self._queue.popleft())

    def _write(self, call: Call, answer: Answer, keep: bool) -> None:
        lines = [f"{name}: {value}\r\n" for name, value in answer.headers.items()]
        if answer.status != 204:  # a regenerate's 204 has no Content-Length at all (azure-recorded 3)
            lines.append(f"Content-Length: {len(answer.body)}\r\n")
        if "Date" not in answer.headers:
            lines.append(f"Date: {self._host.emulated_date()}\r\n")
        if not keep:
            lines.append("Connection: close\r\n")
        lines.append("\r\n")
        body = b"" if call.method == "HEAD" else answer.body
        self._transport.write(_status_line(answer.status) + "".join(lines).encode("latin-1") + body)
        if not keep:
            self._transport.close()

    def _refuse(self, status: int, sentence: str) -> None:
        body = sentence.encode()
        self._transport.write(
            _status_line(status)
            + b"Content-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
            + body
        )
        self._transport.close()
