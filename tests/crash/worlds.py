"""The worlds of the crash matrix: one credential of each kind, its sinks, and everybody who calls with what they show.

A world is described anew for every cell, in an emulator that runs on. Key values pass through here in memory only.
Never here: a crash, or what it must not break.
"""

from __future__ import annotations

import http.client
import json
import secrets
import ssl
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from keyturn.demo.control import EmulatedAzure
from keyturn.demo.signed_in import CONFIGURATION, MANAGEMENT
from keyturn.demo.stage import (
    ALIAS,
    CONTROL_VARIABLE,
    OPERATOR,
    READER,
    ROTATOR,
    SERVICE,
    SIGNIN_VARIABLE,
    TENANT,
    VAULT,
    Client,
    Pair,
    described,
    service_id,
)
from keyturn.model import Secret
from keyturn.tokens import Form, create
from tests.crash.receiver import SIGNING, Receiver

CACHE: Final = timedelta(minutes=8)
LATE: Final = timedelta(minutes=1)
DEADLINE: Final = timedelta(seconds=20)
PATIENCE: Final = 30.0
"""Machine seconds that the emulator may take to answer a caller."""
RULES: Final = """\
    rotate: { every: 90d }
    consumers: { cache: 8m, longest_call: 10s, replication: 10s }
    drain: 10m
    settle: 10s
    propagation: 1m
    deadline: 20s
    late: 1m
    max_clock_skew: 10s
    look_every: 30d
"""
DELAYS: Final = {"delay_new": 12, "delay_old": 28}
"""Emulated seconds until an endpoint knows a fresh value, and until it forgets a dead one."""
REGIONS: Final = ("West Europe",)
REFUSED: Final = frozenset({401, 403})
VARIABLE: Final = "SHOWN"
NAMED: Final = "shown"
SIGNING_VARIABLE: Final = "CRASH_HOOK"
SECRET: Final = "shown"


class Kind(NamedTuple):
    """One kind of credential: where Azure has it, and where its values are shown."""

    name: str
    below: str
    """Its ARM path below the service."""
    query: str
    """How the control API is asked for its values."""
    match: str
    rules: str
    """What its policy says besides."""
    sinks: tuple[str, ...]
    tokens: str
    """The kind of the tokens in its sinks; empty: they hold the value itself."""
    modes: tuple[str, ...]

    @property
    def id(self) -> str:
        return f"{ALIAS}/{self.below.removeprefix('subscriptions/')}"


SUBSCRIPTION: Final = Kind(
    name="subscription",
    below="subscriptions/contoso",
    query="sid=contoso",
    match="sid: contoso",
    rules="    probe: { path: /status/ping }\n    accepts: 2\n",
    sinks=("vault", "file", "namedvalue", "webhook"),
    tokens="",
    modes=("set", "regenerate"),
)
TENANT_ACCESS: Final = Kind(
    name="tenant",
    below="tenant/access",
    query="tenant=access",
    match="tenant: access",
    rules=f'    probe: {{ path: "{MANAGEMENT.path}" }}\n    accepts: 2\n',
    sinks=("vault", "file"),
    tokens="management",
    modes=("set", "regenerate"),
)
GATEWAY: Final = Kind(
    name="gateway",
    below="gateways/gw-oslo",
    query="gateway=gw-oslo",
    match="gateway: gw-oslo",
    rules="",
    sinks=("vault", "file"),
    tokens="gateway",
    modes=("regenerate",),
)
KINDS: Final = {kind.name: kind for kind in (SUBSCRIPTION, TENANT_ACCESS, GATEWAY)}


class Caller:
    """Reads what one sink shows, keeps it as long as callers may, and calls with it at every place that takes it."""

    def __init__(self, read: Callable[[], str | None], calls: list[Callable[[str], int]]) -> None:
        self._read, self._calls = read, calls
        self._shown: str | None = None
        self._read_at: datetime | None = None
        self.calls = 0
        self.refused = 0
        self.errors = 0

    def call(self, now: datetime) -> None:
        """Nobody calls before keyturn has filled their sink for the first time."""
        if self._shown is None or self._read_at is None or now - self._read_at >= CACHE:
            self._shown, self._read_at = self._read(), now
        if self._shown is None:
            return
        for call in self._calls:
            status = call(self._shown)
            self.calls += 1
            self.refused += status in REFUSED
            self.errors += status not in {200, *REFUSED}


class World:
    """One credential of a kind, in the emulator, with a folder for keyturn and one for its file sink."""

    def __init__(self, azure: EmulatedAzure, folder: Path, kind: Kind, mode: str) -> None:
        self.kind, self.mode, self.control = kind, mode, azure.control
        self._azure = azure
        self._app_secret = secrets.token_hex(16)
        self.home, self._file = folder / "home", folder / "sinks" / "shown.env"
        self.home.mkdir(parents=True)
        self._file.parent.mkdir()
        self.config, self.log, self.ledger = (self.home / f"keyturn.{end}" for end in ("yaml", "log", "db"))
        self.control.ask("DELETE", "faults")
        self.control.ask("POST", "seed", described(self._service(), self._app_secret))
        self.operator = Client(azure, OPERATOR, self._app_secret)
        self._reader = Client(azure, READER, self._app_secret)
        self._wire = Wire(azure)
        self.receiver = Receiver()
        self.config.write_text(self._configuration(), encoding="utf-8")
        self._fill_the_vault()
        self.callers = [Caller(self.shown_in(sink), self._doors()) for sink in kind.sinks]

    def close(self) -> None:
        for each in (self.operator, self._reader, self._wire, self.receiver):
            each.close()

    @property
    def env(self) -> dict[str, str]:
        """The environment that keyturn gets."""
        return {
            **self._azure.env,
            SIGNIN_VARIABLE: self._app_secret,
            CONTROL_VARIABLE: str(self._azure.ready["secret"]),
            SIGNING_VARIABLE: SIGNING,
            "NO_COLOR": "1",
            "PYTHONUTF8": "1",
        }

    def live(self) -> Pair:
        told = self.control.ask("GET", f"keys?service={SERVICE}&{self.kind.query}")
        return Pair(str(told["primary"]), str(told["secondary"]))

    def everybody_calls(self, now: datetime) -> None:
        for caller in self.callers:
            caller.call(now)

    def shown_in(self, sink: str) -> Callable[[], str | None]:
        return {
            "vault": self._in_vault,
            "file": self._in_file,
            "namedvalue": self._in_named_value,
            "webhook": lambda: self.receiver.value,
        }[sink]

    # -------- what the sinks show

    def _in_vault(self) -> str | None:
        return self._reader.secret(VAULT, SECRET)

    def _in_file(self) -> str | None:
        text = self._file.read_text(encoding="utf-8") if self._file.exists() else ""
        lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        return lines[VARIABLE].strip("'\"") if VARIABLE in lines else None

    def _in_named_value(self) -> str | None:
        path = f"{service_id()}/namedValues/{NAMED}/listValue?api-version=2022-08-01"
        status, told = self.operator.ask("POST", "management.azure.com", path)
        return str(told["value"]) if status == 200 else None

    def _fill_the_vault(self) -> None:
        path = f"/secrets/{SECRET}?api-version=7.4"
        self.operator.ask("PUT", f"{VAULT}.vault.azure.net", path, {"value": self._first()})

    def _first(self) -> str:
        """What an operator had published before keyturn came: the primary value, or a token made from it."""
        expires = self.control.now() + timedelta(days=20)
        if self.kind is TENANT_ACCESS:
            return create(Form.LONG, "integration", Secret(self.live().primary), expires).reveal()
        if self.kind is SUBSCRIPTION:
            return self.live().primary
        path = f"{service_id()}/{self.kind.below}/generateToken?api-version=2022-08-01"
        body = {"keyType": "primary", "expiry": f"{expires:%Y-%m-%dT%H:%M:%SZ}"}
        return f"GatewayKey {self.operator.ask('POST', 'management.azure.com', path, body)[1]['value']}"

    def _doors(self) -> list[Callable[[str], int]]:
        if self.kind is SUBSCRIPTION:
            snapshot = self.control.ask("GET", "snapshot")
            hosts = [str(gateway["host"]) for gateway in snapshot["services"][0]["gateways"]]
            return [self._wire.door(host, "/orders/1", "Ocp-Apim-Subscription-Key") for host in hosts]
        door = MANAGEMENT if self.kind is TENANT_ACCESS else CONFIGURATION
        return [self._wire.door(door.host, door.path, "Authorization")]

    # -------- the description and the configuration

    def _service(self) -> dict[str, Any]:
        service: dict[str, Any] = {"gateways": [{"region": region, **DELAYS} for region in REGIONS]}
        if self.kind is SUBSCRIPTION:
            apis = ["orders", "status"]
            service["apis"] = [{"id": name, "path": name} for name in apis]
            service["products"] = [{"id": "gold", "display_name": "Gold", "apis": apis}]
            service["subscriptions"] = [{"sid": "contoso", "display_name": "contoso", "product": "gold"}]
        service["tenant_access"] = {"enabled": True, **DELAYS}
        service["self_hosted_gateways"] = [{"id": "gw-oslo", **DELAYS}]
        return service

    def _configuration(self) -> str:
        return (
            f"services:\n  {ALIAS}:\n    id: {service_id()}\n"
            f"policies:\n"
            f"  - name: cell\n"
            f"    match: {{ service: {ALIAS}, {self.kind.match} }}\n"
            f"    renew: {self.mode}\n"
            f"{self.kind.rules}{RULES}{self._publish()}"
            f"ledger: sqlite:///keyturn.db\n"
            f"workers: 1\n"
            f"signin:\n"
            f"  client_secret: {{ tenant: {TENANT}, client_id: {ROTATOR}, secret_env: {SIGNIN_VARIABLE} }}\n"
            f"clock:\n"
            f"  emulator: {{ control: {self._azure.ready['control']}, secret_env: {CONTROL_VARIABLE} }}\n"
        )

    def _publish(self) -> str:
        written = {
            "vault": f"keyvault: {{ vault: {VAULT}, secret: {SECRET} }}",
            "file": f"file: {{ path: {json.dumps(str(self._file))}, variable: {VARIABLE} }}",
            "namedvalue": f"namedvalue: {{ name: {NAMED} }}",
            "webhook": f"webhook: {{ url: {json.dumps(self.receiver.url)}, secret_env: {SIGNING_VARIABLE}, "
            f"include_value: true }}",
        }
        listed = ", ".join(f"{{ {written[sink]} }}" for sink in self.kind.sinks)
        if not self.kind.tokens:
            return f"    publish: [ {listed} ]\n"
        return f"    tokens:\n      kind: {self.kind.tokens}\n      lifetime: 14d\n      publish: [ {listed} ]\n"


class Wire:
    """Plain HTTPS to the emulated Azure, one kept connection per host."""

    def __init__(self, azure: EmulatedAzure) -> None:
        self._proxy = urlsplit(str(azure.ready["proxy"]))
        self._trust = ssl.create_default_context(cafile=str(azure.ready["ca_bundle"]))
        self._connections: dict[str, http.client.HTTPSConnection] = {}

    def door(self, host: str, path: str, header: str) -> Callable[[str], int]:
        """A GET that shows what it is given in this header; its status."""
        return lambda shown: self._get(host, path, {header: shown, "User-Agent": "caller/matrix"})

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()

    def _get(self, host: str, path: str, headers: dict[str, str]) -> int:
        if host not in self._connections:
            made = http.client.HTTPSConnection(
                str(self._proxy.hostname), self._proxy.port, timeout=PATIENCE, context=self._trust
            )
            made.set_tunnel(host, 443)
            self._connections[host] = made
        self._connections[host].request("GET", path, headers=headers)
        response = self._connections[host].getresponse()
        response.read()
        return response.status
