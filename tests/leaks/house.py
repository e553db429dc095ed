"""The house that is searched: its folders, the programs in it, and what stands in it afterwards.

Everything that a program of the hunt can write lies below one folder: its home, its temporary files, its logs, what it
said. Beside it, and never searched, lies the list of what is secret. Never here: what the programs are asked to do.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from keyturn.cli import COMMANDS
from keyturn_emulator.testing import RunningEmulator
from tests.leaks.loud import sitecustomize as loud
from tests.leaks.marked import Marked, secret_part
from tests.leaks.searching import Searcher

ROOT: Final = Path(__file__).parents[2]
LOUD: Final = Path(__file__).parent / "loud"
WORDS: Final = frozenset({*COMMANDS, "show", "set", "regenerate", "enable", "disable", "create", "inspect", "verify"})
"""What the files are called by; no other argument, since it may be a value."""
STEP: Final = 0.02  # machine seconds between two looks at a program that may wait for emulated time
PATIENCE: Final = 600.0  # machine seconds that one command may take, on a machine that has others to serve


class House:
    """`searched` is what the searcher goes through; `known` what it must not find there."""

    def __init__(self, folder: Path) -> None:
        self.searched, self.known = folder / "searched", folder / "known"
        self.marked = Marked()
        for name in ("home", "tmp", "said", "logs", "dumps", "cli"):
            (self.searched / name).mkdir(parents=True)
        self.known.mkdir()

    def path(self, *parts: str) -> Path:
        return self.searched.joinpath(*parts)

    def env(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Of a program that is as loud as can be, and lives here; nothing else of this process's environment."""
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.path("home")),
            "TMPDIR": str(self.path("tmp")),
            "PYTHONPATH": f"{LOUD}{os.pathsep}{ROOT}",
            "PYTHONFAULTHANDLER": "1",
            "PYTHONUTF8": "1",
            "NO_COLOR": "1",
            loud.KNOWN: str(self.known),
            loud.LOGS: str(self.path("logs")),
            loud.DUMPS: str(self.path("dumps")),
            **(more or {}),
        }

    def write(self, name: str, text: str) -> None:
        """Something else that was said, such as an HTTP answer."""
        self.path("said", name).write_text(text, encoding="utf-8")

    # -------- what is looked for, and where

    def secrets(self) -> list[tuple[str, str]]:
        """Every value by name: what was marked, and what the programs said is one."""
        named = list(self.marked.named)
        for file in sorted(self.known.iterdir()):
            named += [tuple(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
        return [(name, secret_part(value)) for name, value in dict.fromkeys(named)]

    def searcher(self) -> Searcher:
        return Searcher(self.secrets())

    def artefacts(self) -> Iterator[tuple[str, bytes]]:
        """Every file below `searched`, by its path there; names of files are looked at as well."""
        for path in sorted(self.searched.rglob("*")):
            if path.is_file() and not path.is_symlink():
                name = path.relative_to(self.searched).as_posix()
                yield name, name.encode() + b"\n" + path.read_bytes()


class Azure:
    """The emulator, loud too."""

    def __init__(self, house: House) -> None:
        self.running = RunningEmulator.start(env=house.env())
        house.marked.named.append(("the emulator's control secret", self.running.ready["secret"]))

    def wait_for(self, process: subprocess.Popen[Any], ended: threading.Event) -> None:
        """Until it has ended its work, with time moving whenever it waits for it."""
        end = time.monotonic() + PATIENCE
        while not ended.wait(STEP):
            assert time.monotonic() < end, "a program of the hunt does not end"
            waiters = self.running.control("GET", "clock")["waiters"]
            mine = [each["until"] for each in waiters if each["name"] == f"keyturn {process.pid}"]
            if mine:
                self.running.control("POST", "clock", {"to": min(mine)})


class Asked:
    """A program that takes one JSON line at a time, and answers it with one: `batch`, or `host`."""

    def __init__(self, house: House, azure: Azure, module: str, folder: Path, env: Mapping[str, str]) -> None:
        self._azure = azure
        self._stderr = house.path("said", f"{module.rpartition('.')[2]}.stderr").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=folder,
            env=house.env(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
        )

    def ask(self, given: Mapping[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        stdout, heard, answered = self.process.stdout, [], threading.Event()

        def listen() -> None:
            heard.append(stdout.readline())
            answered.set()

        self.process.stdin.write(json.dumps(given) + "\n")
        self.process.stdin.flush()
        threading.Thread(target=listen, daemon=True).start()
        self._azure.wait_for(self.process, answered)
        assert heard[0], "a program of the hunt died"
        told: dict[str, Any] = json.loads(heard[0])
        return told

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()
        self._stderr.close()


class Cli:
    """keyturn's commands, one after the other. What each said lies in `said`; `codes` has each one's exit code."""

    def __init__(
        self, house: House, azure: Azure, env: Mapping[str, str], *, module: str = "tests.leaks.batch"
    ) -> None:
        self._house = house
        self.program = Asked(house, azure, module, house.path("cli"), env)
        self.said: list[tuple[str, Sequence[str], int]] = []

    def run(self, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None, forced: str = "") -> int:
        """One command; its exit code. `forced`: the defect that happens meanwhile, see `loud`."""
        words = [word for word in arguments[:3] if word in WORDS]
        called = f"{len(self.said):03}-{'-'.join(words) or 'keyturn'}"
        code = int(
            self.program.ask(
                {
                    "arguments": list(arguments),
                    "stdin": stdin,
                    "env": dict(env or {}),
                    "forced": forced,
                    "out": str(self._house.path("said", f"{called}.stdout")),
                    "err": str(self._house.path("said", f"{called}.stderr")),
                }
            )["code"]
        )
        self.said.append((called, arguments, code))
        return code

    def good(self, *arguments: str, **more: Any) -> None:
        """One that must work: a command that fails early hides nothing, and shows nothing."""
        code = self.run(*arguments, **more)
        assert code == 0, f"{arguments} ended with {code}: {self.err()}"

    def bad(self, *arguments: str, **more: Any) -> None:
        """One that must fail."""
        assert self.run(*arguments, **more) != 0, f"{arguments} did not fail"

    def out(self) -> str:
        """What the last one said on stdout."""
        return self._house.path("said", f"{self.said[-1][0]}.stdout").read_text(encoding="utf-8")

    def err(self) -> str:
        return self._house.path("said", f"{self.said[-1][0]}.stderr").read_text(encoding="utf-8")


class Receiver:
    """A webhook's receiver that may answer with everything that it was sent."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.bodies: list[bytes] = []
        taken = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                taken.bodies.append(body)
                status = taken.answers.pop(0) if taken.answers else 204
                quoted = b"" if status == 204 else body + str(self.headers).encode()
                self.send_response(status, "" if status == 204 else body.decode("latin-1"))
                self.send_header("Content-Length", str(len(quoted)))
                self.end_headers()
                self.wfile.write(quoted)

            def log_message(self, format: str, *args: Any) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/keyturn"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
