"""For tests and demos: start the emulator as a program of its own, and steer it.

    with RunningEmulator.start() as azure:
        subprocess.run([...], env={**os.environ, **azure.env})
        azure.advance(86400)

Only the standard library is used. Never here: anything that the control API cannot do.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import quote, urlsplit

ENDING = 10.0  # machine seconds that a stopped emulator may take to end
CONTROL_TIMEOUT = 90.0  # machine seconds, longer than any long poll


class ControlError(RuntimeError):
    """The control API refused; the text is its own sentence."""


class EmulatorDefect(AssertionError):
    """The emulator reported a defect of its own while it ran."""


class RunningEmulator:
    """A started emulator. `ready` is its readiness line; every method is one control request."""

    def __init__(self, process: subprocess.Popen[str], ready: Mapping[str, Any], complaints: IO[str]) -> None:
        self.process = process
        self.ready = dict(ready)
        self._complaints = complaints
        address = urlsplit(self.ready["control"])
        self._host, self._port = str(address.hostname), int(address.port or 0)

    @classmethod
    def start(
        cls, *arguments: str, description: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None
    ) -> Self:
        """Start it, with command-line `arguments`, and wait until it is ready. `env` is its whole environment; None:
        this process's own. Raises RuntimeError if it is not ready."""
        complaints = tempfile.TemporaryFile("a+", encoding="utf-8")  # noqa: SIM115 - closed by `close`
        command = [sys.executable, "-m", "keyturn_emulator", "--parent-pid", str(os.getpid()), *arguments]
        process = subprocess.Popen(  # noqa: S603 - our own program
            command, stdout=subprocess.PIPE, stderr=complaints, text=True, encoding="utf-8", env=env
        )
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            process.wait()
            complaints.seek(0)
            text = complaints.read()
            complaints.close()
            if process.stdout:
                process.stdout.close()
            raise RuntimeError(f"the emulator did not start: {text}")
        running = cls(process, json.loads(line), complaints)
        if description is not None:
            running.seed(description)
        return running

    def close(self) -> None:
        """End it. Raises EmulatorDefect when it complained about itself while it ran."""
        self.process.terminate()
        try:
            self.process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        text = self.complaints()
        self._complaints.close()
        if "emulator defect" in text:
            raise EmulatorDefect(text)

    def complaints(self) -> str:
        """What it has written to stderr so far."""
        self._complaints.seek(0)
        return self._complaints.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def env(self) -> dict[str, str]:
        """All that an unmodified client needs."""
        return {
            "HTTPS_PROXY": self.ready["proxy"],
            "REQUESTS_CA_BUNDLE": self.ready["ca_bundle"],
            "NO_PROXY": "localhost,127.0.0.1",
        }

    @property
    def ca_bundle(self) -> Path:
        """The file of certificates that a client has to trust."""
        return Path(self.ready["ca_bundle"])

    # the control API

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """One request, such as `control("POST", "clock", {"advance": 60})`. Raises ControlError."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=CONTROL_TIMEOUT)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, f"/_emulator/{path}", content, self.headers)
            response = connection.getresponse()
            payload = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise ControlError(f"{response.status}: {payload.get('error')}")
        return payload

    @property
    def headers(self) -> dict[str, str]:
        """What the control API answers nobody without."""
        return {"Authorization": f"Bearer {self.ready['secret']}"}

    def now(self) -> str:
        """The emulated time, in ISO 8601."""
        return str(self.control("GET", "clock")["now"])

    def advance(self, seconds: float) -> str:
        """Let emulated seconds pass; the new emulated time."""
        return str(self.control("POST", "clock", {"advance": seconds})["now"])

    def seed(self, description: Mapping[str, Any]) -> None:
        """Another world in the place of this one. Raises ControlError."""
        self.control("POST", "seed", description)

    def reset(self) -> None:
        """The world as it is described, with nothing that happened since."""
        self.control("POST", "reset")

    def snapshot(self) -> dict[str, Any]:
        """What there is in the world now."""
        return dict(self.control("GET", "snapshot"))

    def fault(self, kind: str, match: Mapping[str, str] | None = None, **fields: Any) -> int:
        """Script a fault; its id."""
        return int(self.control("POST", "faults", {"kind": kind, "match": dict(match or {}), **fields})["id"])

    def release_effects(self) -> int:
        """Let every effect land that a fault keeps in the air; how many there were."""
        return int(self.control("POST", "faults/release")["landed"])

    def pause_at(self, request: int, *, apply: bool = False, match: Mapping[str, str] | None = None) -> None:
        """Hold everything from the n-th matching request on; see `pause`."""
        body = {"after_requests": request, "apply": apply, "match": dict(match or {})}
        self.control("POST", "pause", body)

    def wait_until_paused(self, seconds: float = 30.0) -> bool:
        """Whether a request is held, waiting at most that many machine seconds for it."""
        return bool(self.control("GET", f"pause?wait={seconds}")["reached"])

    def resume(self) -> int:
        """Let go on what `pause_at` held; how many requests."""
        return int(self.control("POST", "resume")["released"])

    def calls(self, kind: str | None = None, since: int = 0) -> list[dict[str, Any]]:
        """What was asked since that number of the journal, the oldest first."""
        query = f"?since={since}&limit=100000" + (f"&kind={kind}" if kind else "")
        return list(self.control("GET", f"calls{query}")["calls"])

    def keys(self, service: str, sid: str) -> dict[str, str]:
        """The live values of both slots."""
        return dict(self.control("GET", f"keys?service={quote(service, safe='')}&sid={quote(sid, safe='')}"))

    def portal(self, service: str, sid: str, slot: str, value: str | None = None) -> None:
        """A person in the portal sets a slot, or regenerates it when there is no value."""
        body = {"service": service, "sid": sid, "slot": slot}
        self.control("POST", "portal", body if value is None else {**body, "value": value})

    def tenant_keys(self, service: str, name: str = "access") -> dict[str, str]:
        """The live values of tenant access, or of `gitAccess`."""
        return dict(self.control("GET", f"keys?service={quote(service, safe='')}&tenant={quote(name, safe='')}"))

    def gateway_keys(self, service: str, gateway: str) -> dict[str, str]:
        """The live values of a self-hosted gateway."""
        return dict(self.control("GET", f"keys?service={quote(service, safe='')}&gateway={quote(gateway, safe='')}"))

    def portal_tenant(self, service: str, slot: str, value: str | None = None, name: str = "access") -> None:
        """Like `portal`, for tenant access."""
        body = {"service": service, "tenant": name, "slot": slot}
        self.control("POST", "portal", body if value is None else {**body, "value": value})

    def portal_gateway(self, service: str, gateway: str, slot: str) -> None:
        """Like `portal`, for a self-hosted gateway, whose keys nobody can choose."""
        self.control("POST", "portal", {"service": service, "gateway": gateway, "slot": slot})

    def way(self, name: str) -> dict[str, str]:
        """The variables with which a program signs in by `managed`, `app-service` or `github`."""
        return dict(self.ready["sign_in"][name])

    def federated_token(self, issuer: str, **asked: Any) -> str:
        """A token of the issuer `github` or `kubernetes`; `subject`, `audience` and `lifetime` (s) may be asked for."""
        return str(self.control("POST", "federated-token", {"issuer": issuer, **asked})["token"])

    def gateway(self) -> dict[str, Any]:
        """How many calls the gateways let through and refused."""
        return dict(self.control("GET", "gateway"))

    def signins(self) -> dict[str, Any]:
        """Who signed in with a shared access token, and who was refused."""
        return dict(self.control("GET", "signins"))

    def reset_signins(self) -> None:
        """Count sign-ins from nothing again."""
        self.control("POST", "signins/reset")


@contextmanager
def environment(values: Mapping[str, str], without: Sequence[str] = ()) -> Iterator[None]:
    """Set variables of this process for a while, and unset those in `without`."""
    before = {name: os.environ.get(name) for name in (*values, *without)}
    os.environ.update(values)
    for name in without:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
