"""The network of the emulator: two loopback ports in one process.

The front port speaks plain HTTP for the control API and CONNECT for the Azure names that exist; a tunnel becomes TLS
in place, so no byte is copied twice. The direct port speaks TLS from the start and answers by Host header.

It decides which bytes become which `Call` and carries out what `faults` and `pause` decided. Never here: what any
Azure service would answer, nor a body or an Authorization header in any output.
"""

from __future__ import annotations

import asyncio
import select
import ssl
import sys
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, cast
from urllib.parse import parse_qsl

import uvicorn
from uvicorn.server import ServerState

from keyturn_emulator.azure import Azure
from keyturn_emulator.certificates import Authority
from keyturn_emulator.control import PREFIX, ControlRoom
from keyturn_emulator.faults import Fault, fault_answer
from keyturn_emulator.wire import Answer, Call, json_answer

LOOPBACK = "127.0.0.1"
KEEP_ALIVE = 600  # seconds: a client that waits between two calls must not lose its connection
LONGEST_HEAD = 16 * 1024  # bytes of a CONNECT request
_CONNECT = b"CONNECT "
_METHODS = frozenset({"GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"})


@dataclass(slots=True)
class Connection:
    """What the application has to know of the connection under a request."""

    tunnel: str | None = None  # the name that a CONNECT asked for
    encrypted: bool = False
    transport: asyncio.Transport | None = None

    def cut(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def is_open(self) -> bool:
        """Whether the peer is still there, even if the loop has not read the end of the stream yet."""
        if self.transport is None or self.transport.is_closing():
            return False
        sock = self.transport.get_extra_info("socket")
        return sock is None or not _hung_up(sock.fileno())


def _hung_up(descriptor: int) -> bool:
    if descriptor < 0:
        return True
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(descriptor, getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))


class Server:
    """The running emulator. `start` opens both ports, `close` ends every connection."""

    def __init__(self, azure: Azure, authority: Authority, secret: str) -> None:
        self.azure = azure
        self._authority = authority
        self._context = authority.server_context()
        self._control = ControlRoom(azure, secret)
        self._state = ServerState()
        self._transports: set[asyncio.BaseTransport] = set()
        self._servers: list[asyncio.Server] = []
        self._certified: frozenset[str] = frozenset()
        self._date: tuple[datetime, bytes] | None = None
        # The paths of `Config` that import by name are not wanted: this application is the only one.
        self._config = uvicorn.Config(
            self._application,
            interface="asgi3",
            http="auto",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE,
        )
        self._config.load()
        self._protocol_class: Any = self._config.http_protocol_class

    async def start(self, port: int = 0, tls_port: int = 0) -> tuple[int, int]:
        """Listen on both loopback ports, 0 for any free one; the ports taken. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._certify()
        self.azure.on_time.append(self._certify)
        front = await loop.create_server(lambda: FrontDoor(self), LOOPBACK, port, backlog=1024)
        direct = await loop.create_server(
            lambda: DirectDoor(self), LOOPBACK, tls_port, ssl=self._context, backlog=1024
        )
        self._servers = [front, direct]
        return front.sockets[0].getsockname()[1], direct.sockets[0].getsockname()[1]

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for transport in tuple(self._transports):
            transport.close()
        for protocol in tuple(self._state.connections):
            protocol.transport.abort()
        for task in tuple(self._state.tasks):
            task.cancel()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)

    def _certify(self) -> None:
        """A described world may have gateway names of its own, which the certificate has to cover."""
        own = frozenset(host for host in self.azure.hosts() if not host.endswith(_COVERED))
        if own != self._certified:
            self._authority.certify(self._context, sorted(own))
            self._certified = own

    # what the doors need

    @property
    def context(self) -> ssl.SSLContext:
        return self._context

    def remember(self, transport: asyncio.BaseTransport) -> None:
        self._transports.add(transport)

    def forget(self, transport: asyncio.BaseTransport) -> None:
        self._transports.discard(transport)

    def attach(self, transport: asyncio.Transport, connection: Connection, first: bytes) -> None:
        """Give `transport` to an HTTP protocol of its own, which finds `first` already received."""
        protocol = self._protocol_class(
            config=self._config, server_state=self._state, app_state={"connection": connection}
        )
        connection.transport = transport
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if first:
            protocol.data_received(first)

    # the application

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        connection: Connection = scope["state"]["connection"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = await _read_body(receive) if _has_body(headers) else b""
        call = _read_call(scope, headers, body)
        if call.raw_path.startswith(PREFIX) and connection.tunnel is None:
            answer: Answer | None = await self._ask_control(call, receive)
        elif (refusal := self._misdirected(connection, call)) is not None:
            answer = refusal
        else:
            answer = await self._ask_azure(call, connection)
        if answer is None:
            connection.cut()
            await _until_gone(receive)
        else:
            await self._send(answer, send)

    def _misdirected(self, connection: Connection, call: Call) -> Answer | None:
        """Requests that reached a door which does not lead where they want to go."""
        if not connection.encrypted:
            message = "this port speaks CONNECT for Azure's names, and plain HTTP for the control API alone"
            return json_answer(403, {"error": message})
        if connection.tunnel is not None and call.host != connection.tunnel:
            message = f"this tunnel leads to {connection.tunnel}, not to {call.host}"
            return json_answer(421, {"error": message})
        if not self.azure.knows(call.host):
            message = f"the emulator knows no host {call.host}; it knows {', '.join(self.azure.hosts())}"
            return json_answer(421, {"error": message})
        if call.method not in _METHODS:
            return json_answer(405, {"error": f"the emulator knows no method {call.method}"})
        return None

    async def _ask_control(self, call: Call, receive: Any) -> Answer:
        try:
            return await self._control.answer(call, lambda: _until_gone(receive))
        except Exception as error:  # noqa: BLE001 - answered as a defect, never swallowed
            where = "".join(traceback.format_tb(error.__traceback__))
            sys.stderr.write(f"emulator defect: {type(error).__name__} in the control API\n{where}")
            return json_answer(
                500, {"error": f"a defect of the emulator's control API: {type(error).__name__}"}
            )

    async def _ask_azure(self, call: Call, connection: Connection) -> Answer | None:
        """The answer, or None when the connection is to be cut."""
        azure = self.azure
        if azure.pause.armed and azure.pause.stops(call):
            early = azure.ask(call) if azure.pause.applies_first() else None
            if not await azure.pause.hold(connection.is_open):
                return None
            if early is not None:
                return early
        if azure.faults.faults and (fault := azure.faults.strike(call)) is not None:
            return await self._suffer(fault, call)
        return azure.ask(call)

    async def _suffer(self, fault: Fault, call: Call) -> Answer | None:
        azure = self.azure
        scripted = None if fault.status is None else fault_answer(azure.kind(call.host), fault)
        match fault.kind:
            case "delay":
                if fault.when == "before":
                    await asyncio.sleep(fault.seconds)
                    return azure.ask(call, fault.kind)
                answer = azure.ask(call, fault.kind)
                await asyncio.sleep(fault.seconds)
                return answer
            case "lost-answer":
                azure.ask(call, fault.kind)
                return scripted
            case "late-effect":
                azure.faults.postpone(fault, call)
        azure.note_unasked(call, fault.kind)
        return None if fault.kind == "drop" else scripted

    async def _send(self, answer: Answer, send: Any) -> None:
        headers = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()
        ]
        if answer.status != 204:  # a regenerate's 204 has no Content-Length at all (azure-recorded 3)
            headers.append((b"Content-Length", b"%d" % len(answer.body)))
        if "Date" not in answer.headers:
            headers.append((b"Date", self._emulated_date()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _emulated_date(self) -> bytes:
        now = self.azure.world.clock.now()
        if self._date is None or self._date[0] != now:
            self._date = (now, format_datetime(now.astimezone(UTC), usegmt=True).encode())
        return self._date[1]


_COVERED = (
    "login.microsoftonline.com",
    "login.windows.net",
    "management.azure.com",
    ".vault.azure.net",
    ".azure-api.net",
)


# --- doors ----------------------------------------------------------------------------------------------------------


class FrontDoor(asyncio.Protocol):
    """The first bytes of a connection to the front port: a CONNECT becomes a tunnel, all else plain HTTP."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._head = b""
        self._transport: asyncio.Transport
        self._upgrade: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.remember(transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature of asyncio
        self._server.forget(self._transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        if not self._head.startswith(_CONNECT[: len(self._head)]):
            self._server.forget(self._transport)
            self._server.attach(self._transport, Connection(), self._head)
        elif b"\r\n\r\n" in self._head:
            self._connect()
        elif len(self._head) > LONGEST_HEAD:
            self._refuse(b"431 Request Header Fields Too Large", "the CONNECT request is too long")

    def _connect(self) -> None:
        target = self._head.split(b" ", 2)[1].decode("latin-1").lower()
        host, _, port = target.rpartition(":")
        if port != "443" or not self._server.azure.knows(host):
            known = ", ".join(self._server.azure.hosts())
            self._refuse(
                b"403 Forbidden",
                f"this proxy leads to the emulated Azure alone, not to {target}; it knows {known}",
            )
            return
        # Nothing may be read between here and the handshake: the client's hello belongs to TLS.
        self._transport.pause_reading()
        self._transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self._upgrade = asyncio.get_running_loop().create_task(self._encrypt(host))

    async def _encrypt(self, host: str) -> None:
        waiting = _Waiting()
        loop = asyncio.get_running_loop()
        try:
            encrypted = await loop.start_tls(
                self._transport, waiting, self._server.context, server_side=True, ssl_handshake_timeout=20
            )
        except (OSError, ssl.SSLError):
            # A client that does not trust the emulator's CA ends the handshake: that is its answer.
            self._transport.abort()
            return
        finally:
            self._server.forget(self._transport)
        if encrypted is None or waiting.lost:
            return
        self._server.attach(encrypted, Connection(tunnel=host, encrypted=True), waiting.received)

    def _refuse(self, status: bytes, sentence: str) -> None:
        body = sentence.encode()
        self._transport.write(
            b"HTTP/1.1 " + status + b"\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
            b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
        )
        self._transport.close()


class _Waiting(asyncio.Protocol):
    """Keeps what arrives with the end of a TLS handshake until there is somebody to read it."""

    def __init__(self) -> None:
        self.received = b""
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature of asyncio
        self.lost = True


class DirectDoor(asyncio.Protocol):
    """A connection to the direct port, already encrypted."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._server.attach(cast("asyncio.Transport", transport), Connection(encrypted=True), b"")


# --- ASGI -----------------------------------------------------------------------------------------------------------


def _has_body(headers: dict[str, str]) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


async def _read_body(receive: Any) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _read_call(scope: Any, headers: dict[str, str], body: bytes) -> Call:
    query = scope["query_string"]
    return Call(
        method=scope["method"],
        host=headers.get("host", "").partition(":")[0].lower(),
        raw_path=scope["raw_path"].decode("latin-1"),
        query=tuple(parse_qsl(query.decode("latin-1"), keep_blank_values=True)) if query else (),
        headers=headers,
        body=body,
    )


async def _until_gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
