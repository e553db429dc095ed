"""Callers that know which value each refused call came with.

Two for each credential, half a cache apart, at different gateways. Each keeps the value that it read for less than the
cache time, and asks again where the vault does not answer: what a fault does to a caller is not what is judged. A few
threads, one round after the other. Never here: whose doing a refused call is, or a value in anything that is told.
"""

from __future__ import annotations

import hashlib
import http.client
import ssl
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

from bench.soak.judge import Mark
from keyturn.demo.control import CALLING, REFUSED, StageFault, machine_seconds
from keyturn.demo.stage import READER, VAULT, Client, Stage, secret_name

THREADS = 2
TRIES = 8
SIGNED_IN = 1800.0
"""Machine seconds after which a thread signs in again: a token lives for an hour of them."""


def mark(value: str) -> Mark:
    return Mark(hashlib.sha256(value.encode()).hexdigest()[:16])


class Caller:
    """One client application, and the value that it has in memory."""

    def __init__(self, name: str, sid: str, host: str, path: str, read_at: datetime) -> None:
        self.name, self.sid, self.host, self.path = name, sid, host, path
        self.value = ""
        self.read_at = read_at


class Refused(NamedTuple):
    """A call that got a 401 or 403."""

    caller: str
    sid: str
    mark: Mark
    read_at: datetime


class _Thread:
    """A share of the callers, and the connections they use."""

    def __init__(self, stage: Stage, callers: list[Caller]) -> None:
        self._stage, self._callers = stage, callers
        ready = stage.azure.ready
        self._proxy = urlsplit(str(ready["proxy"]))
        self._trust = ssl.create_default_context(cafile=str(ready["ca_bundle"]))
        self._connections: dict[str, http.client.HTTPSConnection] = {}
        self._vault: Client | None = None
        self._signed_in = 0.0
        self.calls = 0
        self.errors: list[str] = []
        self.used: set[str] = set()

    def round(self, now: datetime) -> list[Refused]:
        """Each calls once; who was refused."""
        refused = []
        for caller in self._callers:
            if not caller.value or now - caller.read_at >= self._stage.settings.cache:
                caller.value, caller.read_at = self._read(caller.sid), now
                self.used.add(caller.value)
            self.calls += 1
            status = self._call(caller)
            if status in (401, 403):
                refused.append(Refused(caller.name, caller.sid, mark(caller.value), caller.read_at))
            elif status != 200:
                self.errors.append(f"a gateway answered {status} to {caller.name}")
        return refused

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        if self._vault is not None:
            self._vault.close()

    def _read(self, sid: str) -> str:
        """What the sink shows. Raises StageFault."""
        for _ in range(TRIES):
            try:
                return self._signed_in_client().secret(VAULT, secret_name(sid))
            except (StageFault, KeyError):  # a fault struck the read, or the sign-in
                self._signed_in = 0.0
        raise StageFault(f"the vault does not answer the callers of {sid}")

    def _signed_in_client(self) -> Client:
        if self._vault is None or machine_seconds() - self._signed_in > SIGNED_IN:
            if self._vault is not None:
                self._vault.close()
            self._vault, self._signed_in = self._stage.client(READER), machine_seconds()
        return self._vault

    def _call(self, caller: Caller) -> int:
        headers = {"Ocp-Apim-Subscription-Key": caller.value, "User-Agent": f"{CALLING}{caller.name}"}
        connection = self._connections.get(caller.host)
        if connection is None:
            connection = http.client.HTTPSConnection(
                str(self._proxy.hostname), self._proxy.port, timeout=30, context=self._trust
            )
            connection.set_tunnel(caller.host, 443)
            self._connections[caller.host] = connection
        try:
            connection.request("GET", caller.path, headers=headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self._connections.pop(caller.host)
            raise StageFault(f"{caller.host} does not answer ({type(error).__name__})") from error
        return response.status


class Crowd:
    """All callers. Close it, whatever happens."""

    def __init__(self, stage: Stage) -> None:
        hosts, now, cache = stage.gateways(), stage.control.now(), stage.settings.cache
        callers = [
            Caller(f"{sid}.{number}", sid, hosts[number % len(hosts)], f"/orders/{sid}", now)
            for sid in stage.sids
            for number in range(2)
        ]
        self._control = stage.control
        self._threads = [_Thread(stage, callers[start::THREADS]) for start in range(THREADS)]
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="callers")
        self._counted: Counter[tuple[str, str]] = Counter()
        self._stagger(callers, now, cache)

    @property
    def calls(self) -> int:
        return sum(thread.calls for thread in self._threads)

    @property
    def errors(self) -> list[str]:
        """Calls that were neither answered well nor refused: a fault of the stage."""
        return [error for thread in self._threads for error in thread.errors]

    @property
    def used(self) -> set[str]:
        """Every value that anybody called with."""
        return set().union(*(thread.used for thread in self._threads))

    def round(self, now: datetime) -> list[tuple[Refused, str]]:
        """Each calls once at this emulated instant; who was refused, and what the gateway says of the value."""
        found = [each for part in self._pool.map(lambda thread: thread.round(now), self._threads) for each in part]
        if not found:
            return []
        outcomes = self._outcomes()
        return [(each, outcomes.get(each.caller, "not counted by the gateway")) for each in found]

    def close(self) -> None:
        self._pool.shutdown()
        for thread in self._threads:
            thread.close()

    def _outcomes(self) -> dict[str, str]:
        """Of every caller that a gateway has refused since this was asked last."""
        counts: Counter[tuple[str, str]] = Counter()
        for row in self._control.ask("GET", "gateway")["calls"]:
            if row["agent"].startswith(CALLING) and row["outcome"] in REFUSED:
                counts[row["agent"].removeprefix(CALLING), row["outcome"]] += row["calls"]
        fresh, self._counted = counts - self._counted, counts
        return dict(fresh.keys())

    def _stagger(self, callers: list[Caller], now: datetime, cache: timedelta) -> None:
        """All read now; the second of each pair as if it had half a cache ago."""
        self.round(now)
        for caller in callers:
            if caller.name.endswith(".1"):
                caller.read_at = now - cache / 2
