"""A TLS server that answers as a test scripts it, and remembers what it was asked, bodies included.

For what an emulated Azure would never do: drip, break off mid-answer, redirect, answer any status at all.
"""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import trustme

from keyturn.azure.cloud import Cloud
from keyturn.azure.signin import DEFAULT, Identity
from keyturn.model import Secret

TOKEN = "token-that-no-log-may-hold"


@dataclass
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Scripted:
    """One answer. `drip` sends the body byte by byte until `released`; `cut` closes without an answer."""

    status: int = 200
    payload: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    drip: bool = False
    before: Callable[[], object] | None = None


@cache
def _authority() -> trustme.CA:
    """One for the whole run: making keys takes longer than most tests."""
    return trustme.CA()


def error(status: int, code: str, message: str = "", **headers: str) -> Scripted:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Scripted(status, {"error": {"code": code, "message": message}}, named)


class Stub:
    """`answers` are used up in order; the last one stays."""

    def __init__(self, directory: Path) -> None:
        authority = _authority()
        self.ca_bundle = directory / "stub-ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_bundle))
        self.answers: list[Scripted] = [Scripted()]
        self.asked: list[Asked] = []
        self.released = threading.Event()
        self._guard = threading.Lock()
        self._server = _server(self, authority.issue_cert("localhost"))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def address(self) -> str:
        return f"https://localhost:{self._server.server_address[1]}"

    @property
    def cloud(self) -> Cloud:
        return Cloud(
            name="stub",
            authority=self.address,
            arm=self.address,
            arm_scope="https://stub/.default",
            vault_suffix="unused.test",
            ca_bundle=str(self.ca_bundle),
            disable_instance_discovery=True,
        )

    def answer(self, asked: Asked) -> Scripted:
        with self._guard:
            self.asked.append(asked)
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class SignedIn(Identity):
    """Has a token already. `tokens` counts how often one was asked for."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(DEFAULT, cloud)
        self.tokens = 0
        self.forgotten = 0

    def token(self, scope: str) -> Secret:
        self.tokens += 1
        return Secret(TOKEN)

    def forget(self) -> None:
        self.forgotten += 1


@contextmanager
def running_stub(directory: Path) -> Iterator[Stub]:
    stub = Stub(directory)
    try:
        yield stub
    finally:
        stub.close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, trust: ssl.SSLContext, handler: type[BaseHTTPRequestHandler]) -> None:
        self._trust = trust
        super().__init__(("127.0.0.1", 0), handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """The handshake belongs to the connection's own thread."""
        try:
            secured = self._trust.wrap_socket(request, server_side=True)
        except (ssl.SSLError, ConnectionError):
            return
        with secured:
            super().finish_request(secured, client_address)

    def shutdown_request(self, request: Any) -> None:
        request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what some tests are about."""


def _server(stub: Stub, certificate: trustme.LeafCert) -> _Server:
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(trust)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            scripted = stub.answer(Asked(self.command, self.path, dict(self.headers), body))
            if scripted.before is not None:
                scripted.before()
            if scripted.cut:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            content = b"" if scripted.payload is None else json.dumps(scripted.payload).encode()
            self.send_response(scripted.status)
            for name, text in scripted.headers.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if scripted.drip:
                self._drip(content)
            else:
                self.wfile.write(content)

        def _drip(self, content: bytes) -> None:
            for index in range(len(content) - 1):
                self.wfile.write(content[index : index + 1])
                self.wfile.flush()
                if stub.released.wait(0.05):
                    return
            stub.released.wait()

        do_GET = do_HEAD = do_PATCH = do_POST = do_PUT = _any  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: Any) -> None:
            """Silent."""

    return _Server(trust, Handler)
