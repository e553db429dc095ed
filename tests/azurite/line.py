"""A line to Azurite that can be bad: it loses requests and answers, holds them back, or says that it is busy.

A real HTTP server on loopback that passes everything on to Azurite and its answer back, unless the next write has
another fate. Fates are taken in order, one for each write; reads have their own. Never here: a lasting fault.
"""

from __future__ import annotations

import http.client
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.azurite.server import Account

SKIPPED = ("connection", "keep-alive", "transfer-encoding", "content-length")


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Request(NamedTuple):
    """A request, kept; `pass_on` delivers it, now or later."""

    pass_on: Callable[[], Answer]


Fate = Callable[[Request], Answer | None]
"""What becomes of a request: an answer, or None for a line that breaks."""


def passed_on(request: Request) -> Answer:
    return request.pass_on()


def request_lost(request: Request) -> None:
    """It never arrives."""


def answer_lost(request: Request) -> None:
    """It takes effect, and nobody hears of it."""
    request.pass_on()


def busy(status: int = 503, retry_after: int | None = None) -> Fate:
    """Refused before it took effect."""

    def fate(request: Request) -> Answer:
        headers = [] if retry_after is None else [("Retry-After", str(retry_after))]
        return Answer(status, headers, b"")

    return fate


class Line:
    """`account` is the same account, by this line. `sent` counts the writes."""

    def __init__(self, account: Account, port: int) -> None:
        parts = urlsplit(account.url)
        self.port = port
        self.account = account._replace(url=f"http://127.0.0.1:{port}{parts.path}")
        self.writes: deque[Fate] = deque()
        self.reads: deque[Fate] = deque()
        self.sent = 0
        self.is_cut = False

    def fate_of(self, method: str, path: str) -> Fate:
        if self.is_cut:
            return request_lost
        if method == "GET":
            return self.reads.popleft() if self.reads else passed_on
        if path.endswith("/Tables"):
            return passed_on
        self.sent += 1
        return self.writes.popleft() if self.writes else passed_on


@contextmanager
def bad_line(account: Account, port: int = 0) -> Iterator[Line]:
    """A line to a running Azurite; afterwards nobody answers there any more."""
    there = urlsplit(account.url).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            method, path, headers = self.command, self.path, dict(self.headers.items())
            fate = line.fate_of(method, path)
            answer = fate(Request(lambda: _deliver(there, method, path, headers, body)))
            self.close_connection = answer is None
            if answer is not None:
                self.send_response(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the server's names

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", port), Handler) as server:
        line = Line(account, server.server_address[1])
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield line
        finally:
            line.is_cut = True  # for the connections that are still open
            server.shutdown()
            serving.join()


def _deliver(there: str, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    connection = http.client.HTTPConnection(there, timeout=60)
    try:
        kept = {name: value for name, value in headers.items() if name.lower() not in SKIPPED}
        connection.request(method, path, body=body, headers=kept)
        reply = connection.getresponse()
        said = [(name, value) for name, value in reply.getheaders() if name.lower() not in SKIPPED]
        return Answer(reply.status, said, reply.read())
    finally:
        connection.close()
