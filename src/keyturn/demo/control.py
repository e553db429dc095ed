"""The programs on the stage, and the emulator's control API.

Starts the emulator and the callers as programs of their own, asks the control API, and ends by its process id
whatever it started. Never here: when time moves, or what is played.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from keyturn.errors import KeyturnError

ANSWERING: Final = 60.0
"""Machine seconds that the control API may take to answer."""
ENDING: Final = 5.0
"""Machine seconds that a program may take to end when it is asked to."""
REFUSED: Final = frozenset({"missing", "unknown-value", "dead-value", "not-yet", "inactive", "out-of-scope"})
"""What a gateway counts as a refused call."""
CALLING: Final = "caller/"
"""What the agent of a caller begins with; its name follows."""
KEYTURN: Final = (sys.executable, "-m", "keyturn")


class StageFault(KeyturnError):
    """Something on the stage does not work, so that the play proves nothing."""


# -------- programs


def start(command: Sequence[str], *, env: Mapping[str, str] | None = None, log: IO[bytes] | None = None) -> Program:
    """Start a program in a process group of its own, so that a Ctrl-C reaches the demo alone. With `log`, what it says
    goes there; without, it is talked to by lines."""
    talks = subprocess.PIPE if log is None else None
    process = subprocess.Popen(  # noqa: S603 - our own programs
        list(command),
        stdin=talks or subprocess.DEVNULL,
        stdout=talks or log,
        stderr=subprocess.DEVNULL if log is None else log,
        env=dict(env) if env is not None else None,
        start_new_session=os.name == "posix",
    )
    return Program(process)


class Program:
    """A started program. `close` ends it, however it is."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    @property
    def pid(self) -> int:
        return self.process.pid

    def ended(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self.process.poll()

    def tell(self, message: Mapping[str, Any]) -> None:
        """Write one JSON line to it. Raises StageFault if it is gone."""
        assert self.process.stdin is not None  # noqa: S101 - started to be talked to
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise StageFault("a program of the stage ended too early") from error

    def hear(self) -> dict[str, Any]:
        """One JSON line from it. Raises StageFault if it is gone or says that it cannot."""
        assert self.process.stdout is not None  # noqa: S101 - started to be talked to
        line = self.process.stdout.readline()
        if not line:
            raise StageFault("a program of the stage ended too early")
        heard: dict[str, Any] = json.loads(line)
        if "error" in heard:
            raise StageFault(f"a program of the stage says: {heard['error']}")
        return heard

    def kill(self) -> None:
        """End it at once, with its whole group: no handler runs, nothing is saved."""
        if os.name == "posix":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Ask it to end; kill it if it does not."""
        if self.ended() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(ENDING)
        if self.ended() is None:
            self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


# -------- the emulator


class Waiter(NamedTuple):
    """Who waits for which emulated instant."""

    name: str
    until: datetime


class Control:
    """The control API over one kept connection. For one thread. Raises StageFault when it does not answer."""

    def __init__(self, ready: Mapping[str, Any]) -> None:
        self.ready = ready
        address = urlsplit(str(ready["control"]))
        self._path = address.path
        self._headers = {"Authorization": f"Bearer {ready['secret']}", "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=ANSWERING)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request, such as `ask("POST", "clock", {"advance": 60})`."""
        content = None if body is None else json.dumps(body)
        try:
            self._connection.request(method, f"{self._path}/{path}", content, self._headers)
            response = self._connection.getresponse()
            told = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            raise StageFault(f"the emulator does not answer ({type(error).__name__})") from error
        if response.status != 200:
            raise StageFault(f"the emulator's control API refuses {method} {path}: {told.get('error')}")
        return told

    def close(self) -> None:
        self._connection.close()

    def clock(self) -> tuple[datetime, list[Waiter]]:
        """Emulated now, and who waits for an instant after it."""
        told = self.ask("GET", "clock")
        now = datetime.fromisoformat(told["now"])
        waiters = [Waiter(it["name"], datetime.fromisoformat(it["until"])) for it in told["waiters"]]
        return now, [waiter for waiter in waiters if waiter.until > now]

    def now(self) -> datetime:
        return self.clock()[0]

    def advance(self, span: timedelta) -> None:
        """Let emulated time pass."""
        self.ask("POST", "clock", {"advance": span.total_seconds()})

    def sequence(self, since: int = 0) -> int:
        """How many requests Azure has received. `since` is an older answer; it only saves work."""
        return int(self.ask("GET", f"calls?since={since}&limit=1")["seq"])

    def arm_writes(self) -> int:
        """ARM calls that were charged as a write: POST actions are (azure-facts 4). Refused ones are not counted."""
        counts = self.ask("GET", "arm")
        return int(counts["writes"] + counts["actions"])

    def values(self, service: str, sid: str) -> tuple[str, str]:
        """The live values of both slots; what tests and this demo compare, and never show."""
        told = self.ask("GET", f"keys?service={quote(service, safe='')}&sid={quote(sid, safe='')}")
        return told["primary"], told["secondary"]

    def refused_callers(self) -> int:
        """The calls of callers (not of probes) that the gateways counted as refused."""
        return sum(self.refused_by_caller().values())

    def refused_by_caller(self) -> dict[str, int]:
        """The same for each caller by its name; who was never refused is left out."""
        counts: Counter[str] = Counter()
        for row in self.ask("GET", "gateway")["calls"]:
            if row["agent"].startswith(CALLING) and row["outcome"] in REFUSED:
                counts[row["agent"].removeprefix(CALLING)] += row["calls"]
        return dict(counts)

    def pause_at(self, request: int, match: Mapping[str, str], *, apply: bool) -> None:
        """Hold every matching request from that one on; `apply`: that one takes effect first."""
        self.ask("POST", "pause", {"after_requests": request, "apply": apply, "match": dict(match)})

    def paused(self) -> bool:
        """Whether the request that was waited for has arrived."""
        return bool(self.ask("GET", "pause")["reached"])

    def resume(self) -> None:
        self.ask("POST", "resume")


class EmulatedAzure:
    """The emulator as a program; it ends when this process does."""

    def __init__(self, program: Program, ready: Mapping[str, Any]) -> None:
        self.program = program
        self.ready = ready
        self.control = Control(ready)

    @classmethod
    def start(cls) -> EmulatedAzure:
        """Start it and wait until it is ready. Raises StageFault."""
        command = [sys.executable, "-m", "keyturn_emulator", "--parent-pid", str(os.getpid())]
        program = start(command)
        try:
            return cls(program, program.hear())
        except BaseException:
            program.close()
            raise

    @property
    def env(self) -> dict[str, str]:
        """This process's environment, led to the emulator: all that an unmodified client needs."""
        kept = {name: text for name, text in os.environ.items() if name.upper() not in _LEADING_ELSEWHERE}
        return {
            **kept,
            "HTTPS_PROXY": str(self.ready["proxy"]),
            "REQUESTS_CA_BUNDLE": str(self.ready["ca_bundle"]),
            "NO_PROXY": "localhost,127.0.0.1",
        }

    def close(self) -> None:
        self.control.close()
        self.program.close()


_LEADING_ELSEWHERE: Final = frozenset(
    {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE"}
)


# -------- the callers


class Tally(NamedTuple):
    """What all callers together have seen so far."""

    calls: int = 0
    refused: int = 0
    errors: int = 0


class Callers:
    """The callers' program: many small applications that know nothing of keyturn."""

    def __init__(self, azure: EmulatedAzure, configuration: Mapping[str, Any]) -> None:
        self._program = start([sys.executable, "-m", "keyturn_emulator.callers"], env=azure.env)
        self._program.tell(configuration)
        self.tally = Tally()
        self.refused: tuple[str, ...] = ()
        """Who was refused in the last round, once for each call; the callers' program names twenty at most."""

    def round(self) -> Tally:
        """Every caller calls once, with the key it has in memory, at this emulated instant."""
        self._program.tell({"cmd": "round"})
        heard = self._program.hear()
        self.refused = tuple(refusal["caller"] for refusal in heard["refusals"])
        told = heard["total"]
        self.tally = Tally(told["calls"], told["refused"], told["errors"])
        return self.tally

    def close(self) -> None:
        self._program.close()


def keyturn_program(
    arguments: Sequence[str], env: Mapping[str, str], log: Path, command: Sequence[str] = KEYTURN
) -> Program:
    """Start keyturn itself, as a person would; what it says is added to `log`."""
    with log.open("ab") as said:
        return start([*command, *arguments], env=env, log=said)


def machine_seconds() -> float:
    """For what people and programs really wait: emulated time does not pass by itself."""
    return time.monotonic()
