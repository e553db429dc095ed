"""The network of the emulator: three loopback ports in one process.

The front port speaks plain HTTP for the control API and CONNECT for the Azure names that exist; a tunnel
becomes TLS in place, so no byte is copied twice. The direct port speaks TLS from the start and answers by
Host header. The machine's port speaks plain HTTP, as what a program finds on its own machine does.

It decides which bytes become which `Call` and carries out what `faults` and `pause` decided. Never here:
what any Azure service would answer, nor a body or an Authorization header in any output.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import cast

from keyturn_emulator.azure import Azure, defect
from keyturn_emulator.certificates import Authority, is_covered
from keyturn_emulator.control import PREFIX, ControlRoom
from keyturn_emulator.faults import Fault, fault_answer
from keyturn_emulator.http11 import Connection, HttpProtocol, Reply
from keyturn_emulator.machine import HOST as MACHINE
from keyturn_emulator.wire import Answer, Call, json_answer

LOOPBACK = "127.0.0.1"
LONGEST_HEAD = 16 * 1024  # bytes of a CONNECT request
_CONNECT = b"CONNECT "
_METHODS = frozenset({"GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"})


class Server:
    """The running emulator. `start` opens all ports, `close` ends every connection. `machine_port` is known then."""

    def __init__(self, azure: Azure, authority: Authority, secret: str) -> None:
        self.azure = azure
        self._authority = authority
        self._context = authority.server_context()
        self._control = ControlRoom(azure, secret)
        self._servers: list[asyncio.Server] = []
        self._certified: frozenset[str] = frozenset()
        self._date: tuple[datetime, str] | None = None
        self.machine_port = 0

    async def start(self, port: int = 0, tls_port: int = 0, machine_port: int = 0) -> tuple[int, int]:
        """Listen on the loopback ports, 0 for any free one; the first two that were taken. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._certify()
        self.azure.on_time.append(self._certify)
        front = await loop.create_server(lambda: FrontDoor(self), LOOPBACK, port, backlog=1024)
        direct = await loop.create_server(lambda: DirectDoor(self), LOOPBACK, tls_port, ssl=self._context, backlog=1024)
        beside = await loop.create_server(lambda: HttpDoor(self), LOOPBACK, machine_port, backlog=128)
        self._servers = [front, direct, beside]
        self.machine_port = beside.sockets[0].getsockname()[1]
        return front.sockets[0].getsockname()[1], direct.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Listen no more. Connections end with the event loop."""
        for server in self._servers:
            server.close()

    def _certify(self) -> None:
        """A described world may have gateway names of its own, which the certificate has to cover."""
        own = frozenset(host for host in self.azure.hosts() if not is_covered(host))
        if own != self._certified:
            self._authority.certify(self._context, sorted(own))
            self._certified = own

    # what the doors need

    @property
    def context(self) -> ssl.SSLContext:
        return self._context

    def attach(self, transport: asyncio.Transport, connection: Connection, first: bytes) -> None:
        """Give `transport` to an HTTP protocol of its own, which finds `first` already received."""
        protocol = HttpProtocol(self, connection)
        transport.set_protocol(protocol)
        protocol.attach(transport, first)

    # answering

    def respond(self, call: Call, connection: Connection) -> Reply:
        """The way of every request. Only what has to wait for something leaves the fast path."""
        if call.raw_path.startswith(PREFIX) and connection.tunnel is None:
            return self._ask_control(call, connection)
        refusal = self._misdirected(connection, call)
        if refusal is not None:
            return refusal
        return self._answer(call, connection)

    def respond_on_machine(self, call: Call, connection: Connection) -> Reply:
        """The same for the machine's port, whatever its clients call it."""
        return self._answer(dataclasses.replace(call, host=MACHINE), connection)

    def _answer(self, call: Call, connection: Connection) -> Reply:
        azure = self.azure
        if azure.pause.armed and azure.pause.stops(call):
            if (late := azure.pause.comes_late()) is not None:
                azure.faults.postpone(call, late)
                return self._hold_for_good(connection)
            return self._hold(call, connection, azure.ask(call) if azure.pause.applies_first() else None)
        return self._ask_azure(call)

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

    async def _ask_control(self, call: Call, connection: Connection) -> Answer:
        return await self._control.answer(call, connection.gone)

    def defect(self, call: Call, error: Exception) -> Answer:
        return defect(call, error)

    async def _hold(self, call: Call, connection: Connection, early: Answer | None) -> Answer | None:
        """Wait for the resume; a client that is gone by then has no effect any more."""
        if not await self.azure.pause.hold(connection.is_open):
            return None
        if early is not None:
            return early
        reply = self._ask_azure(call)
        return reply if isinstance(reply, Answer) else await reply

    async def _hold_for_good(self, connection: Connection) -> None:
        """Its effect comes by itself, and nobody learns of it."""
        await self.azure.pause.hold(connection.is_open)

    def _ask_azure(self, call: Call) -> Reply:
        azure = self.azure
        if azure.faults.faults and (fault := azure.faults.strike(call)) is not None:
            return self._suffer(fault, call)
        return azure.ask(call)

    async def _suffer(self, fault: Fault, call: Call) -> Answer | None:
        azure = self.azure
        scripted = None if fault.status is None else fault_answer(azure.kind(call.host), fault)
        match fault.kind:
            case "delay":
                with azure.arm.flights.flight(call):
                    if fault.when == "before":
                        await asyncio.sleep(fault.seconds)
                        return azure.ask(call, fault.kind)
                    answer = azure.ask(call, fault.kind)
                    await asyncio.sleep(fault.seconds)
                    return answer
            case "stale":
                return azure.ask_past(fault, call)
            case "lost-answer":
                azure.ask(call, fault.kind)
                return scripted
            case "late-effect":
                azure.faults.postpone(call, fault.after)
        azure.note_unasked(call, fault.kind)
        return None if fault.kind == "drop" else scripted

    def emulated_date(self) -> str:
        now = self.azure.world.clock.now()
        if self._date is None or self._date[0] != now:
            self._date = (now, format_datetime(now.astimezone(UTC), usegmt=True))
        return self._date[1]


# --- doors ----------------------------------------------------------------------------------------


class FrontDoor(asyncio.Protocol):
    """The first bytes of a connection to the front port: a CONNECT becomes a tunnel, all else plain HTTP."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._head = b""
        self._transport: asyncio.Transport
        self._upgrade: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        if not self._head.startswith(_CONNECT[: len(self._head)]):
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


class HttpDoor(asyncio.Protocol):
    """A connection to the machine's port: plain HTTP to what stands on the machine itself."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        given = cast("asyncio.Transport", transport)
        protocol = HttpProtocol(_OnMachine(self._server), Connection())
        given.set_protocol(protocol)
        protocol.attach(given)


class _OnMachine:
    """Answers what comes through the machine's port."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.emulated_date = server.emulated_date
        self.defect = server.defect

    def respond(self, call: Call, connection: Connection) -> Reply:
        return self._server.respond_on_machine(call, connection)
