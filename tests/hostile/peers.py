"""A server in Azure's place that does what no server should, and remembers what it was told.

A manner is what it does to one connection. It speaks TLS with a certificate that the clients here trust, unless it is
given another one, or none.
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

import trustme

MEGABYTE: Final = 1024 * 1024
PAUSE: Final = 0.05
"""Machine seconds between two bytes of a drip: many more often than a limit, and far too seldom to end."""
_BLOCK: Final = b"x" * MEGABYTE


class Left(Exception):
    """The client is gone, or the server is to end: nothing more to do to this connection."""


class Line:
    """One connection, after its request was read."""

    def __init__(self, connection: socket.socket, request: bytes, ending: threading.Event) -> None:
        self._connection = connection
        self._ending = ending
        self.request = request
        self.sent = 0

    def say(self, *parts: bytes) -> None:
        """Raises Left."""
        for part in parts:
            if self._ending.is_set():
                raise Left
            try:
                self._connection.sendall(part)
            except OSError:
                raise Left from None
            self.sent += len(part)

    def drip(self, text: bytes) -> None:
        """One byte at a time. Raises Left."""
        for at in range(len(text)):
            self.say(text[at : at + 1])
            if self._ending.wait(PAUSE):
                raise Left

    def wait(self) -> None:
        """Say nothing, until the server is to end or the client has left."""
        self._connection.settimeout(PAUSE)
        while not self._ending.is_set():
            with suppress(TimeoutError):
                if not self._peek():
                    raise Left

    def hear(self) -> bytes:
        """What the client says next, whatever it is."""
        try:
            return self._connection.recv(65536)
        except OSError:
            raise Left from None

    def join(self, port: int) -> None:
        """Lead to that port of this machine, until either end leaves."""
        with socket.create_connection(("127.0.0.1", port)) as other:
            back = threading.Thread(target=_pass_on, args=(other, self._connection))
            back.start()
            _pass_on(self._connection, other)
            back.join()

    def _peek(self) -> bytes:
        try:
            return self._connection.recv(1)
        except TimeoutError:
            raise
        except OSError:
            return b""


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


Manner = Callable[[Line], None]


class Peer:
    """Listens on loopback until closed. `manner` may be changed between calls."""

    def __init__(self, manner: Manner, context: ssl.SSLContext | None) -> None:
        self.manner = manner
        self.requests: list[bytes] = []
        self.connections = 0
        self.most_sent = 0
        """Bytes of the answer of which the most was taken."""
        self._context = context
        self._ending = threading.Event()
        self._lines: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._thread = threading.Thread(target=self._listen, name="hostile-peer")
        self._thread.start()

    @property
    def address(self) -> str:
        return f"{'http' if self._context is None else 'https'}://localhost:{self.port}"

    def heard(self) -> bytes:
        """All that any client has sent, in the clear."""
        return b"\n".join(self.requests)

    def close(self) -> None:
        self._ending.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()
        for line in self._lines:
            line.join()

    def _listen(self) -> None:
        while not self._ending.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            line = threading.Thread(target=self._meet, args=(connection,), name="hostile-line")
            self._lines = [each for each in self._lines if each.is_alive()] + [line]
            line.start()

    def _meet(self, connection: socket.socket) -> None:
        connection.settimeout(20)
        try:
            secured = connection if self._context is None else self._context.wrap_socket(connection, server_side=True)
        except (OSError, ValueError):
            connection.close()
            return
        with secured, suppress(Left, OSError):
            request = self._read(secured)
            if not request:
                return
            self.requests.append(request)
            line = Line(secured, request, self._ending)
            try:
                self.manner(line)
            finally:
                self.most_sent = max(self.most_sent, line.sent)

    def _read(self, connection: socket.socket) -> bytes:
        """Head and body of one request, or what came instead."""
        request = b""
        while b"\r\n\r\n" not in request:
            more = connection.recv(65536)
            if not more:
                return request
            request += more
        head, _, body = request.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += connection.recv(65536) or b"?" * length
        return head + b"\r\n\r\n" + body


# -------- certificates


@cache
def authority() -> trustme.CA:
    return trustme.CA()


@cache
def stranger() -> trustme.CA:
    """An authority that nobody trusts."""
    return trustme.CA(organization_name="somebody else")


def context_of(certificate: trustme.LeafCert) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(made)
    return made


@cache
def trusted() -> ssl.SSLContext:
    return context_of(authority().issue_cert("localhost", "127.0.0.1"))


UNTRUSTED: Final[dict[str, Callable[[], ssl.SSLContext]]] = {
    "signed by a stranger": lambda: context_of(stranger().issue_cert("localhost")),
    "for another host": lambda: context_of(authority().issue_cert("elsewhere.example")),
    "expired": lambda: context_of(authority().issue_cert("localhost", not_after=datetime(2020, 1, 1, tzinfo=UTC))),
}


def trust_file(folder: Path) -> Path:
    """The one authority that clients are told to trust."""
    path = folder / "authority.pem"
    authority().cert_pem.write_to_path(str(path))
    return path


@contextmanager
def running(manner: Manner, context: ssl.SSLContext | None) -> Iterator[Peer]:
    peer = Peer(manner, context)
    try:
        yield peer
    finally:
        peer.close()


# -------- manners

HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
HTML: Final = b"<html><body>407 \x1b[31mProxy\x1b[0m says: log in at http://evil.example/</body></html>"


def says(answer: bytes) -> Manner:
    """These bytes, and the end of the connection."""
    return lambda line: line.say(answer)


def answers(body: bytes, status: bytes = b"200 OK", *headers: bytes) -> Manner:
    """A proper answer with that body."""
    lines = [b"HTTP/1.1 " + status, b"Content-Type: application/json", *headers]
    lines.append(b"Content-Length: %d" % len(body))
    return says(b"\r\n".join(lines) + b"\r\n\r\n" + body)


def _endless(begin: bytes, part: bytes, end: bytes = b"", times: int = 10**9) -> Manner:
    def manner(line: Line) -> None:
        line.say(begin)
        for _ in range(times):
            line.say(part)
        line.say(end)

    return manner


def _dripping(begin: bytes, text: bytes) -> Manner:
    def manner(line: Line) -> None:
        line.say(begin)
        while True:
            line.drip(text)

    return manner


def _silent(begin: bytes) -> Manner:
    def manner(line: Line) -> None:
        line.say(begin)
        line.wait()

    return manner


@cache
def bomb() -> bytes:
    """200 MB of JSON in some 200 kB."""
    return gzip.compress(b'"' + b"A" * (200 * MEGABYTE) + b'"', compresslevel=6)


def bomb_of(layers: int) -> bytes:
    packed = bomb()
    for _ in range(layers):
        packed = gzip.compress(packed)
    return packed


CHUNK: Final = b"100000\r\n" + _BLOCK + b"\r\n"
LARGE: Final[dict[str, Manner]] = {
    "200 MB with a length": _endless(HEAD + b"Content-Length: %d\r\n\r\n" % (200 * MEGABYTE), _BLOCK, times=200),
    "200 MB in chunks": _endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK, b"0\r\n\r\n", times=200),
    "200 MB to the end of the connection": _endless(HEAD + b"\r\n", _BLOCK, times=200),
    "chunks that never end": _endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK),
    "an error of 200 MB": _endless(
        b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n" % (200 * MEGABYTE), _BLOCK, times=200
    ),
    "a bomb in gzip": lambda line: line.say(
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb()), bomb()
    ),
    "a bomb in a bomb": lambda line: line.say(
        HEAD + b"Content-Encoding: gzip, gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb_of(1)), bomb_of(1)
    ),
    "a header of 1 MB": says(b"HTTP/1.1 200 OK\r\nX-Large: " + _BLOCK + b"\r\nContent-Length: 2\r\n\r\n{}"),
    "10,000 headers": says(b"HTTP/1.1 200 OK\r\n" + b"X-More: 1\r\n" * 10_000 + b"\r\n{}"),
    "a status line of 1 MB": says(b"HTTP/1.1 200 " + _BLOCK + b"\r\n\r\n{}"),
}
"""More than any client should keep. Each ends the connection when it is through."""

LASTING: Final[dict[str, Manner]] = {
    "nothing at all": _silent(b""),
    "nothing after the head": _silent(HEAD + b"Content-Length: 2\r\n\r\n"),
    "a dripping head": _dripping(b"HTTP/1.1 200 OK\r\n", b"X-Drip: drip\r\n"),
    "a dripping body": _dripping(HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
    "a dripping chunk": _dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a dripping error": _dripping(b"HTTP/1.1 503 Later\r\nContent-Length: 1000000\r\n\r\n", b" "),
    "interim answers without end": _endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "dripping interim answers": _dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}
"""Until the client leaves."""

GARBLED: Final[dict[str, Manner]] = {
    "nothing, and the end": says(b""),
    "a garbled status line": says(b"\x00\xff\xfeHTTP/banana OK\r\n\r\n"),
    "a status of five digits": says(b"HTTP/1.1 99999 Hm\r\nContent-Length: 0\r\n\r\n"),
    "a status below all": says(b"HTTP/1.1 -200 Hm\r\nContent-Length: 0\r\n\r\n"),
    "another protocol": says(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "HTTP/0.9": says(b"<html>hello</html>"),
    "a line that is no header": says(b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n{}"),
    "a length beyond the body": says(HEAD + b"Content-Length: 1000\r\n\r\n{}"),
    "a length below the body": says(HEAD + b"Content-Length: 1\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\n"),
    "a length below zero": says(HEAD + b"Content-Length: -1\r\n\r\n{}"),
    "a length that is no number": says(HEAD + b"Content-Length: banana\r\n\r\n{}"),
    "a length of a million digits": says(HEAD + b"Content-Length: " + b"9" * 60_000 + b"\r\n\r\n{}"),
    "two lengths": says(HEAD + b"Content-Length: 2\r\nContent-Length: 5\r\n\r\n{}"),
    "chunks of no size": says(HEAD + b"Transfer-Encoding: chunked\r\n\r\nbanana\r\n{}\r\n0\r\n\r\n"),
    "a chunk below zero": says(HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n0\r\n\r\n"),
    "a chunk cut off": says(HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{}"),
    "gzip that is none": answers(b"banana", b"200 OK", b"Content-Encoding: gzip"),
    "gzip cut off": answers(gzip.compress(b"{}" * 1000)[:20], b"200 OK", b"Content-Encoding: gzip"),
    "a hundred encodings": answers(b"{}", b"200 OK", b"Content-Encoding: " + b", ".join([b"gzip"] * 100)),
    "an unknown encoding": answers(b"{}", b"200 OK", b"Content-Encoding: banana"),
    "nothing, as 204": says(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "accepted": answers(b"{}", b"202 Accepted", b"Location: http://evil.example/"),
    "a page": answers(HTML, b"200 OK"),
    "a page of a proxy, 407": answers(HTML, b"407 Proxy Authentication Required", b"Proxy-Authenticate: Basic realm=x"),
    "a page of a proxy, 502": answers(HTML, b"502 Bad Gateway"),
    "a challenge to sign in elsewhere": answers(
        b"{}",
        b"401 Unauthorized",
        b'WWW-Authenticate: Bearer authorization="https://evil.example/t", resource="https://evil.example"',
    ),
    "a challenge that is none": answers(b"{}", b"401 Unauthorized", b'WWW-Authenticate: Bearer \xff=,,"='),
    "a challenge of claims": answers(
        b"{}",
        b"401 Unauthorized",
        b'WWW-Authenticate: Bearer authorization="https://localhost/t", resource="https://localhost", '
        b'error="insufficient_claims", claims="!!!"',
    ),
}

HEADERS: Final[dict[str, bytes]] = {
    "a date beyond the calendar": b"Date: Fri, 31 Dec 9999 23:59:59 -2359",
    "a date before the calendar": b"Date: Mon, 01 Jan 0001 00:00:00 +2359",
    "a date that is none": b"Date: Thu, 99 Foo 99999 99:99:99 +99999999999999999999",
    "a date of digits": b"Date: " + b"9" * 10_000,
    "a pause of years": b"Retry-After: 999999999",
    "a pause of days": b"Retry-After: 999999",
    "a pause below zero": b"Retry-After: -5",
    "a pause of many digits": b"Retry-After: " + b"9" * 10_000,
    "a pause until a date": b"Retry-After: Fri, 31 Dec 9999 23:59:59 -2359",
    "reads left beyond all": b"x-ms-ratelimit-remaining-subscription-reads: " + b"9" * 5_000,
    "writes left beyond all": b"x-ms-ratelimit-remaining-subscription-writes: " + b"9" * 400,
    "a request id that a terminal obeys": b"x-ms-request-id: \x1b]0;owned\x07" + b"z" * 10_000,
    "an ETag that is none": b"ETag: \xff\xfe" + b"e" * 10_000,
}

BODIES: Final[dict[str, bytes]] = {
    "nested 100,000 deep": b"[" * 100_000,
    "objects nested 100,000 deep": b'{"value":' * 100_000,
    "a number of a million digits": b'{"value":' + b"9" * 1_000_000 + b"}",
    "a fraction of a million digits": b'{"value":0.' + b"9" * 1_000_000 + b"}",
    "a number beyond all": b'{"value":1e999999999}',
    "half a pair": b'{"value":"\\ud800","id":"\\ud800","name":"\\ud800","properties":{"displayName":"\\ud800"}}',
    "a nothing in text": b'{"value":"a\\u0000b","id":"\\u0000","name":"\\u0000"}',
    "not UTF-8": b'{"value":"\xff\xfe"}',
    "UTF-16": '{"value":"v"}'.encode("utf-16"),
    "UTF-32": '{"value":"v"}'.encode("utf-32"),
    "UTF-7": b'{"value":"v+2AA-"}',
    "Latin-1": '{"value":"é"}'.encode("latin-1"),
    "a mark before": b'\xef\xbb\xbf{"value":"v"}',
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"text"',
    "a number": b"5",
    "true": b"true",
    "two objects": b"{}{}",
    "cut off": b'{"value":[{"id":"x',
    "a value that is a list": b'{"value":[1,null,"x",[]],"nextLink":5}',
    "a value that is a number": b'{"value":5}',
    "entities without names": b'{"value":[{},{"id":null,"name":null},{"id":5,"name":[]}]}',
    "properties that are a list": (
        b'{"id":"i","name":"n","properties":[],"value":[{"id":"i","name":"n","properties":5}]}'
    ),
    "properties of the wrong kinds": (
        b'{"id":"i","name":"n","sku":5,"value":[{"id":"i","name":"n","properties":{"scope":5,"ownerId":[],"state":{},'
        b'"displayName":{},"description":[]}}],"properties":{"state":[],"ownerId":{},"displayName":5,"tags":5,'
        b'"keyVault":[],"gatewayUrl":5,"additionalLocations":5,"primaryKey":5,"secondaryKey":[],"enabled":"yes"},'
        b'"primaryKey":5,"secondaryKey":{},"primary":5,"secondary":null,"tags":{"keyturn-seq":5,"CredentialId":[]},'
        b'"attributes":5,"contentType":[]}'
    ),
    "addresses that lead elsewhere": (
        b'{"id":"i","name":"n","properties":{"gatewayUrl":"http://evil.example","managementApiUrl":"https://[",'
        b'"additionalLocations":[{"gatewayRegionalUrl":"https://user@evil.example"},5]}}'
    ),
    "a vault's secret of the wrong kinds": (
        b'{"id":"https://localhost/secrets/s/v","value":"v","attributes":{"created":"x","exp":1e40},'
        b'"tags":{"keyturn-seq":"' + b"9" * 5_000 + b'","CredentialId":{},"keyturn-ledger":5}}'
    ),
    "a vault's secret of no text": b'{"id":"https://localhost/secrets/s/v","value":{"a":[]},"attributes":{}}',
    "a vault's secret with half a pair": b'{"id":"https://localhost/secrets/s/v","value":"\\udfff","attributes":{}}',
    "a list that leads elsewhere": b'{"value":[],"nextLink":"https://evil.example/steal?x"}',
    "a list that leads nowhere": b'{"value":[],"nextLink":"https://[::1/x"}',
    "a list that leads back": b'{"value":[],"nextLink":"https://localhost/subscriptions/s?api-version=2022-08-01"}',
}


def error_of(code: str, message: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "innererror": {"code": code}}}).encode()


def echo(status: bytes) -> Manner:
    """An error that quotes all that was sent, where an error's own words belong."""

    def manner(line: Line) -> None:
        sent = line.request.decode("latin-1")
        quoted = f"perform action '{sent}' over scope '{sent}'. The client '{sent}' \x1b[31m{sent}"
        answers(error_of(sent, quoted), status)(line)

    return manner


def redirect(to: str, status: bytes = b"307 Temporary Redirect") -> Manner:
    return answers(b"{}", status, b"Location: " + to.encode())


class Speaking(Peer):
    """Speaks first, and not TLS: for what happens before a request could be read."""

    def __init__(self, manner: Manner) -> None:
        super().__init__(manner, None)

    def _read(self, connection: socket.socket) -> bytes:
        return b"-"

    def __enter__(self) -> Speaking:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
