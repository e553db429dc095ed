"""`python -m keyturn_emulator.callers`: a plain program that stands for many client applications.

Each caller reads its key from Key Vault, keeps it for as long as it declares, and calls a gateway with it. That is
all it does: no retry, no second look, unless `reread_on_401` says so. It is what a rotation must not break.

Standard input holds one JSON line of configuration and then one command per line; each is answered with one JSON
line. Never here: anything of keyturn, or a key in any output.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import partial
from threading import Lock
from typing import IO, Any, Final
from urllib.parse import quote, urlencode, urlsplit

LOGIN: Final = "login.microsoftonline.com"
VAULT_SCOPE: Final = "https://vault.azure.net/.default"
VAULT_API: Final = "7.4"
TIMEOUT: Final = 30.0  # machine seconds for any one answer
TOKEN_MARGIN: Final = 300.0  # machine seconds before its end at which a token is fetched anew
TOLD_REFUSALS: Final = 20  # per round
_NEVER: Final = float("-inf")


class Misconfigured(ValueError):
    """The configuration line says something that a caller cannot do; the text names the field."""


@dataclass(slots=True)
class Caller:
    """One client application and the key it has in memory."""

    name: str
    vault: str  # https://{vault}.vault.azure.net, or the vault's name
    secret: str
    url: str
    header: str = "Ocp-Apim-Subscription-Key"
    key: str = field(default="", repr=False)
    read_at: float = _NEVER  # emulated epoch seconds


@dataclass(slots=True)
class Settings:
    proxy: str
    ca_bundle: str
    control: str
    control_secret: str = field(repr=False)
    tenant: str
    client_id: str
    client_secret: str = field(repr=False)
    callers: list[Caller]
    cache: float = 3600.0  # emulated seconds that a caller keeps its key
    threads: int = 4
    reread_on_401: bool = False


@dataclass(slots=True)
class Tally:
    """What happened in one round, or in all of them."""

    calls: int = 0
    refused: int = 0
    errors: int = 0
    rereads: int = 0
    refusals: list[dict[str, Any]] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)  # of errors

    def add(self, other: Tally) -> None:
        self.calls += other.calls
        self.refused += other.refused
        self.errors += other.errors
        self.rereads += other.rereads
        self.refusals += other.refusals
        for kind, count in other.kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + count

    def fail(self, kind: str) -> None:
        self.errors += 1
        self.kinds[kind] = self.kinds.get(kind, 0) + 1


# --- one kept connection --------------------------------------------------------------------------------------------


class Channel:
    """A kept TLS connection to one host through the proxy. Any OSError or ValueError leaves it unusable."""

    def __init__(self, proxy: str, context: ssl.SSLContext, host: str) -> None:
        address = urlsplit(proxy)
        self._host = host
        plain = socket.create_connection((str(address.hostname), int(address.port or 0)), TIMEOUT)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _open_tunnel(plain, host)
            self._socket = context.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> tuple[int, bytes]:
        """Status and body. Raises OSError when the connection breaks, ValueError for what is no HTTP."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n{lines}{length}\r\n"
        self._socket.sendall(head.encode("latin-1") + body)
        return self._read()

    def _read(self) -> tuple[int, bytes]:
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        status, length = _read_head(head)
        while len(body) < length:
            body += self._more()
        return status, body

    def _more(self) -> bytes:
        part = self._socket.recv(65536)
        if not part:
            raise ConnectionResetError("the connection ended before the answer did")
        return part

    def close(self) -> None:
        self._socket.close()


def _open_tunnel(plain: socket.socket, host: str) -> None:
    plain.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
    reply = plain.recv(4096)
    if b" 200 " not in reply.split(b"\r\n", 1)[0]:
        raise ConnectionRefusedError(f"the proxy does not lead to {host}")


def _read_head(head: bytes) -> tuple[int, int]:
    first, *lines = head.split(b"\r\n")
    length = next((int(line.partition(b":")[2]) for line in lines if line[:15].lower() == b"content-length:"), 0)
    return int(first.split(b" ", 2)[1]), length


# What one request to a host comes to: status and body, or None when it failed and was counted.
Ask = Callable[[str, str, str, Mapping[str, str], bytes], tuple[int, bytes] | None]


# --- the callers ----------------------------------------------------------------------------------------------------


class Worker:
    """A share of the callers and the connections they use; works in one thread at a time."""

    def __init__(self, settings: Settings, tokens: Tokens, callers: list[Caller]) -> None:
        self._settings = settings
        self._tokens = tokens
        self._callers = callers
        self._context = ssl.create_default_context(cafile=settings.ca_bundle)
        self._channels: dict[str, Channel] = {}

    def round(self, now: float, times: int) -> Tally:
        """Every caller calls `times` times, at the emulated epoch second `now`."""
        tally = Tally()
        for caller in self._callers:
            if now - caller.read_at >= self._settings.cache:
                self._read_key(caller, now, tally)
            for _ in range(times):
                self._call(caller, now, tally)
        return tally

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()

    def _call(self, caller: Caller, now: float, tally: Tally) -> None:
        if not caller.key:
            tally.fail("no key")
            return
        status = self._call_gateway(caller, tally)
        if status == 401 and self._settings.reread_on_401:
            self._read_key(caller, now, tally)
            status = self._call_gateway(caller, tally)
        if status in (401, 403):
            tally.refused += 1
            if len(tally.refusals) < TOLD_REFUSALS:
                age = now - caller.read_at
                tally.refusals.append({"caller": caller.name, "time": _iso(now), "status": status, "age": age})
        elif status is not None and status != 200:
            tally.fail(f"gateway {status}")

    def _call_gateway(self, caller: Caller, tally: Tally) -> int | None:
        address = urlsplit(caller.url)
        path = (address.path or "/") + (f"?{address.query}" if address.query else "")
        headers = {"User-Agent": f"caller/{caller.name}", caller.header: caller.key}
        tally.calls += 1
        reply = self._ask(str(address.hostname), "GET", path, headers, b"", tally)
        return None if reply is None else reply[0]

    def _read_key(self, caller: Caller, now: float, tally: Tally) -> None:
        """Read the secret; one that cannot be read leaves the caller with the key it has, as programs do."""
        token = self._tokens.current(partial(self._ask, tally=tally))
        if token is None:
            return
        tally.rereads += 1
        host = urlsplit(caller.vault).hostname if "://" in caller.vault else f"{caller.vault}.vault.azure.net"
        path = f"/secrets/{quote(caller.secret)}/?api-version={VAULT_API}"
        headers = {"User-Agent": f"caller/{caller.name}", "Authorization": f"Bearer {token}"}
        reply = self._ask(str(host), "GET", path, headers, b"", tally)
        if reply is None:
            return
        if reply[0] != 200:
            tally.fail(f"vault {reply[0]}")
            return
        caller.key, caller.read_at = json.loads(reply[1])["value"], now

    def _ask(
        self, host: str, method: str, path: str, headers: Mapping[str, str], body: bytes, tally: Tally
    ) -> tuple[int, bytes] | None:
        """Status and body, or None after counting an error; a broken connection is opened anew next time."""
        try:
            channel = self._channels.get(host)
            if channel is None:
                channel = self._channels[host] = Channel(self._settings.proxy, self._context, host)
            return channel.ask(method, path, headers, body)
        except (OSError, ValueError) as error:
            tally.fail(type(error).__name__)
            broken = self._channels.pop(host, None)
            if broken is not None:
                broken.close()
            return None


class Tokens:
    """One access token for all callers, fetched anew before it ends by the machine's clock."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._token: str | None = None
        self._until = 0.0

    def current(self, ask: Ask) -> str | None:
        """The token, or None when sign-in failed."""
        with self._lock:
            if self._token is None or time.monotonic() > self._until:
                self._fetch(ask)
            return self._token

    def _fetch(self, ask: Ask) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._settings.client_id,
            "client_secret": self._settings.client_secret,
            "scope": VAULT_SCOPE,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        path = f"/{self._settings.tenant}/oauth2/v2.0/token"
        reply = ask(LOGIN, "POST", path, headers, urlencode(form).encode())
        if reply is None or reply[0] != 200:
            self._token = None
            return
        granted = json.loads(reply[1])
        self._token = granted["access_token"]
        self._until = time.monotonic() + granted["expires_in"] - TOKEN_MARGIN


class Crowd:
    """All callers, shared out over a few threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clock = ControlClock(settings)
        tokens = Tokens(settings)
        threads = max(1, min(settings.threads, len(settings.callers) or 1))
        self._workers = [Worker(settings, tokens, settings.callers[start::threads]) for start in range(threads)]
        self._pool = ThreadPoolExecutor(threads)
        self._total = Tally()
        self._rounds = 0

    def round(self, times: int = 1) -> dict[str, Any]:
        """One round of every caller and what came of it. Raises OSError when the control API does not answer."""
        now = self._clock.now()
        tally = Tally()
        for part in self._pool.map(lambda worker: worker.round(now, times), self._workers):
            tally.add(part)
        self._total.add(tally)
        self._total.refusals.clear()
        self._rounds += 1
        return {
            "calls": tally.calls,
            "refused": tally.refused,
            "errors": tally.errors,
            "rereads": tally.rereads,
            "refusals": tally.refusals[:TOLD_REFUSALS],
            "error_kinds": tally.kinds,
            "time": _iso(now),
            "rounds": self._rounds,
            "total": {
                "calls": self._total.calls,
                "refused": self._total.refused,
                "errors": self._total.errors,
                "rereads": self._total.rereads,
            },
        }

    def close(self) -> None:
        self._pool.shutdown()
        for worker in self._workers:
            worker.close()
        self._clock.close()


class ControlClock:
    """Emulated time, read from the control API over one kept plain connection."""

    def __init__(self, settings: Settings) -> None:
        address = urlsplit(settings.control)
        self._address = (str(address.hostname), int(address.port or 0))
        request = f"GET {address.path}/clock HTTP/1.1\r\nHost: {address.netloc}\r\n"
        self._request = f"{request}Authorization: Bearer {settings.control_secret}\r\n\r\n".encode()
        self._socket: socket.socket | None = None

    def now(self) -> float:
        """Emulated epoch seconds. Raises OSError."""
        if self._socket is None:
            self._socket = socket.create_connection(self._address, TIMEOUT)
        self._socket.sendall(self._request)
        received = b""
        while b"\r\n\r\n" not in received or not received.endswith(b"}"):
            part = self._socket.recv(65536)
            if not part:
                raise ConnectionResetError("the control API ended the connection")
            received += part
        status, _ = _read_head(received.partition(b"\r\n\r\n")[0])
        if status != 200:
            raise ConnectionRefusedError(f"the control API answered {status}")
        text = json.loads(received.partition(b"\r\n\r\n")[2])["now"]
        return datetime.fromisoformat(text).timestamp()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()


# --- configuration and commands -------------------------------------------------------------------------------------


def _iso(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat().replace("+00:00", "Z")


def read_settings(raw: Any) -> Settings:
    """Raises Misconfigured naming the field."""
    if not isinstance(raw, dict):
        raise Misconfigured("the configuration must be a JSON object")
    checked = _known_fields(raw, Settings, "")
    rows = checked.get("callers")
    if not isinstance(rows, list):
        raise Misconfigured("callers must be a list")
    checked["callers"] = [
        Caller(**_known_fields(row, Caller, f"callers[{number}].", hidden=("key", "read_at")))
        for number, row in enumerate(rows)
    ]
    return Settings(**checked)


def _known_fields(raw: Any, kind: type, where: str, hidden: Iterable[str] = ()) -> dict[str, Any]:
    known = {item.name: item for item in fields(kind) if item.name not in set(hidden)}
    if not isinstance(raw, dict):
        raise Misconfigured(f"{where.rstrip('.')} must be an object")
    for name in raw:
        if name not in known:
            raise Misconfigured(f"{where}{name} is not known")
    for name, item in known.items():
        if name not in raw and repr(item.default).startswith("<dataclasses."):
            raise Misconfigured(f"{where}{name} is missing")
    return dict(raw)


def main(lines: IO[str], out: IO[str]) -> int:
    """Serve commands until `quit` or the end of input; 2 when the configuration is no good."""
    try:
        crowd = Crowd(read_settings(json.loads(lines.readline())))
    except (ValueError, OSError) as error:
        _tell(out, {"error": str(error)})
        return 2
    try:
        for reply in _replies(crowd, lines):
            _tell(out, reply)
    finally:
        crowd.close()
    return 0


def _replies(crowd: Crowd, lines: IO[str]) -> Iterator[dict[str, Any]]:
    for line in iter(lines.readline, ""):
        try:
            command = json.loads(line)
            name = command["cmd"]
        except (ValueError, KeyError, TypeError):
            yield {"error": 'a command is a JSON object such as {"cmd": "round"}'}
            continue
        match name:
            case "quit":
                return
            case "round":
                yield _round(crowd, command.get("times", 1))
            case _:
                yield {"error": f"there is no command {name}"}


def _round(crowd: Crowd, times: Any) -> dict[str, Any]:
    if isinstance(times, bool) or not isinstance(times, int) or times < 1:
        return {"error": "times must be a whole number from 1"}
    try:
        return crowd.round(times)
    except OSError as error:
        return {"error": f"the emulator does not answer: {error}"}


def _tell(out: IO[str], reply: Mapping[str, Any]) -> None:
    out.write(json.dumps(reply) + "\n")
    out.flush()


if __name__ == "__main__":
    sys.exit(main(sys.stdin, sys.stdout))
