"""Where journeys are played: an emulator, a folder with a configuration, and the real command as a subprocess.

While a command waits for emulated time, the stage moves the emulator's clock to the end of that wait. After every
command it looks for a traceback and for every key value that the emulator ever held, in everything that was printed
and in the ledger.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from keyturn_emulator import seed
from keyturn_emulator.testing import RunningEmulator

SERVICE = (
    f"/subscriptions/{seed.AZURE_SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.ApiManagement/service/shop-apim"
)
POLICY = {
    "name": "partners",
    "match": "{ sid: contoso }",
    "rotate": "{ every: 30d }",
    "adopt": "primary",
    "probe": "{ path: /status/ping }",
    "publish": '[ { keyvault: { vault: shop-kv, secret: "apim-{sid}" } } ]',
    "consumers": "{ cache: 1h }",
    "drain": "24h",
}
STEP = 0.04  # machine seconds between two looks at a command that runs: each look is work for the emulator
PATIENCE = 60.0  # machine seconds that a command may take


@dataclass
class Outcome:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str = ""

    @property
    def all(self) -> str:
        return self.out + self.err


@dataclass
class Stage:
    """`azure` is steered by tests; `folder` is where commands run."""

    azure: RunningEmulator
    folder: Path
    description: dict[str, Any] = field(default_factory=seed.default_description)
    secrets: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.azure.control("POST", "resume")
        self.azure.control("DELETE", "faults")
        self.azure.seed(self.description)
        self.configure()

    # -------- the configuration

    def configure(self, *policies: Mapping[str, str], **top: str) -> Path:
        """Write keyturn.yaml: one policy for contoso unless told otherwise. Values are YAML text."""
        lines = ["services:", "  shop:", f"    id: {SERVICE}", "policies:"]
        for policy in policies or ({},):
            named = {**POLICY, **policy}
            lines += [f"  {'-' if at == 0 else ' '} {name}: {text}" for at, (name, text) in enumerate(named.items())]
        signin = f"tenant: {seed.TENANT}, client_id: {seed.CLIENT}, secret_env: AZURE_CLIENT_SECRET"
        clock = f"control: {self.azure.ready['control']}, secret_env: KEYTURN_EMULATOR_SECRET"
        top = {
            "signin": f"{{ client_secret: {{ {signin} }} }}",
            "clock": f"{{ emulator: {{ {clock} }} }}",
            **top,
        }
        lines += [f"{name}: {text}" for name, text in top.items()]
        path = self.folder / "keyturn.yaml"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    @property
    def env(self) -> dict[str, str]:
        """The variables that `keyturn emulator --write-env` would have set, and as few others as possible."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT", "TMPDIR") if name in os.environ}
        return {
            **kept,
            **self.azure.env,
            "AZURE_CLIENT_SECRET": seed.CLIENT_SECRET,
            "KEYTURN_EMULATOR_CONTROL": self.azure.ready["control"],
            "KEYTURN_EMULATOR_SECRET": self.azure.ready["secret"],
            "PYTHONUNBUFFERED": "1",
        }

    @property
    def ledger(self) -> Path:
        return self.folder / "keyturn.db"

    # -------- commands

    def start(self, *arguments: str, env: Mapping[str, str] | None = None, merged: bool = False) -> Running:
        """Start `keyturn ARGUMENTS` and return at once."""
        self.learn_secrets()
        process = subprocess.Popen(
            [sys.executable, "-m", "keyturn", *arguments],
            cwd=self.folder,
            env={**self.env, **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        return Running(self, process)

    def run(
        self, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None, merged: bool = False
    ) -> Outcome:
        """Run `keyturn ARGUMENTS` to its end, moving emulated time whenever it waits for it."""
        return self.start(*arguments, env=env, merged=merged).finish(stdin)

    def good(self, *arguments: str) -> Outcome:
        """The same, for a step that must work."""
        outcome = self.run(*arguments)
        assert outcome.code == 0, outcome.all
        return outcome

    def learn_secrets(self) -> None:
        """Every value that is live now; it must never be seen from here on."""
        for service in self.azure.snapshot()["services"]:
            for subscription in service["subscriptions"]:
                self.secrets |= set(self.azure.keys(service["id"], subscription["sid"]).values())
            for access in service["tenant"]:
                self.secrets |= set(self.keys_of(f"tenant/{access['name']}").values())
            for gateway in service["self_hosted_gateways"]:
                self.secrets |= set(self.keys_of(f"gateways/{gateway['id']}").values())

    def keys_of(self, place: str) -> dict[str, str]:
        """Both live values of `tenant/access`, `tenant/gitAccess` or `gateways/{id}`, as the emulator knows them."""
        kind, _, name = place.partition("/")
        asked = f"{'tenant' if kind == 'tenant' else 'gateway'}={quote(name, safe='')}"
        return dict(self.azure.control("GET", f"keys?service={quote(SERVICE, safe='')}&{asked}"))

    def look_for_leaks(self, text: str) -> None:
        """No value, nor the first half of one, and no traceback."""
        self.learn_secrets()
        places = self.folder.glob("keyturn.db*")
        stored = b"".join(path.read_bytes() for path in places)
        for secret in self.secrets:
            head = secret[:16]
            assert head not in text
            assert head.encode() not in stored
        assert seed.CLIENT_SECRET not in text
        assert "Traceback" not in text


class Running:
    """A command under way."""

    def __init__(self, stage: Stage, process: subprocess.Popen[str]) -> None:
        self._stage, self.process = stage, process

    def waits_until(self) -> str | None:
        """The emulated instant that it waits for, if it does."""
        waiters = self._stage.azure.control("GET", "clock")["waiters"]
        mine = [each["until"] for each in waiters if each["name"] == f"keyturn {self.process.pid}"]
        return min(mine) if mine else None

    def until_it_waits(self) -> str:
        """Let it run until it waits for emulated time; that instant."""
        for _ in range(int(PATIENCE / STEP)):
            until = self.waits_until()
            if until is not None:
                return until
            assert self.process.poll() is None, "it ended before it waited"
            self._pause()
        raise AssertionError("it never waited")

    def finish(self, stdin: str = "", *, moving: bool = True) -> Outcome:
        """Move time whenever it waits, until it ends."""
        assert self.process.stdin is not None
        if stdin:
            self.process.stdin.write(stdin)
        self.process.stdin.close()
        self.process.stdin = None
        for _ in range(int(PATIENCE / STEP)):
            if self.process.poll() is not None:
                break
            until = self.waits_until() if moving else None
            if until is not None:
                self._stage.azure.control("POST", "clock", {"to": until})
            self._pause()
        else:
            self.process.kill()
        out, err = self.process.communicate()
        outcome = Outcome(self.process.returncode, out, err or "")
        self._stage.look_for_leaks(outcome.all)
        return outcome

    def _pause(self) -> None:
        try:
            self.process.wait(STEP)
        except subprocess.TimeoutExpired:
            return


# -------- transcripts


def play(stage: Stage, transcript: Path, env: Mapping[str, str] | None = None) -> None:
    """Run every `$ keyturn ...` of a transcript and compare what follows it, up to `[exit N]`.

    `{}` stands for anything within a line, a line that is only `...` for any lines.
    """
    for command, expected in _parts(transcript.read_text(encoding="utf-8")):
        outcome = stage.run(*shlex.split(command), env=env, merged=True)
        shown = f"{outcome.out}[exit {outcome.code}]"
        assert re.fullmatch(_pattern(expected), shown, re.DOTALL), f"$ {command}\n{shown}\n--- expected\n{expected}"


def _parts(text: str) -> Sequence[tuple[str, str]]:
    """Each command with the lines that must follow it."""
    found = re.findall(r"^\$ keyturn (.*)\n((?:.*\n)*?\[exit \d+\])$", text, re.MULTILINE)
    assert len(found) == len(re.findall(r"^\$ ", text, re.MULTILINE)), "a command lacks its [exit N]"
    return found


def _pattern(expected: str) -> str:
    lines = []
    for line in expected.splitlines():
        if line == "...":
            lines.append(r"(?:[^\n]*\n)*?")
        else:
            lines.append("[^\n]*".join(re.escape(part) for part in line.split("{}")) + "\n")
    return "".join(lines).removesuffix("\n")
