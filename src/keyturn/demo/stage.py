"""What stands on the stage: one service, its products, apim subscriptions, a vault, callers, and a configuration.

Describes the emulated world, puts the first keys into the vault as an operator would have done, writes keyturn's
configuration, and compares afterwards. Key values pass through here in memory only, and leave for the vault alone.
Never here: the order of the play, or emulated time moving.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import ssl
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

import msgspec

from keyturn.demo.control import Callers, Control, EmulatedAzure, StageFault

TENANT: Final = "0d4c1a52-93a6-4a63-9d0e-51b0c2f7aa01"
AZURE_SUBSCRIPTION: Final = "5be0a7d4-6f0f-4d1c-8f38-7a2f1c9e4b02"
SERVICE: Final = "shop-apim"
ALIAS: Final = "shop"
VAULT: Final = "shop-kv"
GROUP: Final = "rg"
START: Final = "2026-01-05T08:00:00Z"
PRODUCTS: Final = ("gold", "silver", "bronze")
CUSTOMERS: Final = ("contoso", "fabrikam", "northwind", "tailspin", "adatum", "litware", "proseware", "wingtip")
GATEWAYS: Final = (("West Europe", 12), ("East US", 28))
"""Regions, and how many emulated seconds a fresh value, or the death of an old one, takes to get there."""
ROTATOR: Final = "8a1f6f5c-0a53-4c0e-a7a7-0c2f5c1d3e11"
READER: Final = "8a1f6f5c-0a53-4c0e-a7a7-0c2f5c1d3e12"
OPERATOR: Final = "8a1f6f5c-0a53-4c0e-a7a7-0c2f5c1d3e13"
TERRAFORM: Final = "8a1f6f5c-0a53-4c0e-a7a7-0c2f5c1d3e14"
SIGNIN_VARIABLE: Final = "KEYTURN_DEMO_CLIENT_SECRET"
CONTROL_VARIABLE: Final = "KEYTURN_EMULATOR_SECRET"
TIMEOUT: Final = 30.0
LARGE: Final = 100
"""Credentials from which on the stage saves calls."""
VAULT_PAUSE: Final = timedelta(seconds=10)
"""A vault takes 300 new versions in 10 s (azure-facts 7.4)."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the fleet is looked after. Spans are emulated time."""

    credentials: int = 24
    mode: str = "set"
    period: timedelta = timedelta(days=30)
    drain: timedelta = timedelta(hours=24)
    cache: timedelta = timedelta(hours=1)
    look_every: timedelta = timedelta(days=10)
    threads: int = 2
    workers: int = 2
    """More only get in each other's way where the emulator and the callers share two cores with keyturn."""
    probe: bool = True
    share: int = 50
    """Percent of ARM's allowance that keyturn may use."""
    more: str = ""
    """Further lines of the policy, indented as in the file."""
    also_publish: str = ""
    """Further sinks, as YAML list items, indented as in the file."""

    @property
    def is_large(self) -> bool:
        """So many that what people watch must be made with fewer calls, or they would wait for minutes."""
        return self.credentials > LARGE

    @property
    def accepts(self) -> int:
        """Each emulated gateway is one unit behind its address, so that two accepts tell as much as five."""
        return 2 if self.is_large else 5

    @property
    def idle_step(self) -> timedelta:
        """The step of the clock while every credential is idle."""
        return timedelta(hours=12 if self.is_large else 6)

    @property
    def least_step(self) -> timedelta:
        """The shortest step: so long do waits for the budget gather before time moves."""
        return timedelta(seconds=10 if self.is_large else 5)

    @property
    def step(self) -> timedelta:
        """The longest step of the clock while any credential is not idle."""
        return self.cache / 4


class Pair(NamedTuple):
    """The values of both slots at one moment. Never shown."""

    primary: str
    secondary: str


class Stage:
    """One world in a running emulator, and a folder with keyturn's configuration, ledger, and output."""

    def __init__(self, azure: EmulatedAzure, folder: Path, settings: Settings) -> None:
        self.azure, self.folder, self.settings = azure, folder, settings
        self.control: Control = azure.control
        self.sids = tuple(_sids(settings.credentials))
        self.config, self.log = folder / "keyturn.yaml", folder / "keyturn.log"
        self.ledger = folder / "keyturn.db"
        self._app_secret = secrets.token_hex(16)
        self.ever: set[str] = set()
        """Every key value that was seen live: what must be found nowhere but in APIM and in the sinks."""
        self.first: dict[str, Pair] = {}
        """What the slots held at the beginning: what a Terraform state file goes on saying."""

    def build(self) -> None:
        """Describe the world, and let an operator put the primary values into the vault. Raises StageFault."""
        first = self.first = {sid: Pair(secrets.token_hex(16), secrets.token_hex(16)) for sid in self.sids}
        self.control.ask("POST", "seed", self._description(first))
        operator = self.client(OPERATOR)
        try:
            for sid, pair in first.items():
                self._put_secret(operator, sid, pair.primary)
        finally:
            operator.close()
        self.config.write_text(self._configuration(), encoding="utf-8")
        self.note_values()

    def callers(self, only: Collection[str] | None = None, *, reread_on_401: bool = False) -> Callers:
        """As many callers as credentials, shared out over the gateways; `only`: those of these apim subscriptions."""
        hosts = self.gateways()
        rows = [
            {
                "name": sid,
                "vault": VAULT,
                "secret": secret_name(sid),
                "url": f"https://{hosts[number % len(hosts)]}/orders/{number}",
            }
            for number, sid in enumerate(self.sids)
            if only is None or sid in only
        ]
        ready = self.azure.ready
        return Callers(
            self.azure,
            {
                "proxy": ready["proxy"],
                "ca_bundle": ready["ca_bundle"],
                "control": ready["control"],
                "control_secret": ready["secret"],
                "tenant": TENANT,
                "client_id": READER,
                "client_secret": self._app_secret,
                "cache": self.settings.cache.total_seconds(),
                "threads": self.settings.threads,
                "reread_on_401": reread_on_401,
                "callers": rows,
            },
        )

    @property
    def env(self) -> dict[str, str]:
        """The environment that keyturn gets."""
        return {
            **self.azure.env,
            SIGNIN_VARIABLE: self._app_secret,
            CONTROL_VARIABLE: str(self.azure.ready["secret"]),
            "NO_COLOR": "1",
            "PYTHONUTF8": "1",
        }

    def as_rotator(self) -> Client:
        """Signed in with keyturn's own rights, for the script of `--naive`."""
        return self.client(ROTATOR)

    def client(self, client_id: str) -> Client:
        """Signed in as one of the applications."""
        return Client(self.azure, client_id, self._app_secret)

    def gateways(self) -> list[str]:
        service = self.control.ask("GET", "snapshot")["services"][0]
        return [str(gateway["host"]) for gateway in service["gateways"]]

    # -------- comparing

    def live(self) -> dict[str, Pair]:
        """The values of both slots of every credential; they are noted as seen."""
        found = {sid: Pair(*self.control.values(SERVICE, sid)) for sid in self.sids}
        for pair in found.values():
            self.ever |= set(pair)
        return found

    note_values = live

    def shown(self) -> dict[str, str]:
        """What the vault shows for each credential."""
        operator = self.client(OPERATOR)
        try:
            return {sid: str(self._get_secret(operator, sid)["value"]) for sid in self.sids}
        finally:
            operator.close()

    def leaks(self) -> list[str]:
        """Files of the folder in which a key value that ever lived can be read. Sinks belong elsewhere."""
        needles = [value.encode() for value in self.ever]
        found = []
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and holds_any(path.read_bytes(), needles):
                found.append(path.relative_to(self.folder).as_posix())
        return found

    # -------- pieces

    def _put_secret(self, operator: Client, sid: str, value: str) -> None:
        while True:
            status, _ = operator.ask(
                "PUT", f"{VAULT}.vault.azure.net", f"/secrets/{secret_name(sid)}?api-version=7.4", {"value": value}
            )
            if status == 200:
                return
            if status != 429:
                raise StageFault(f"the vault answered {status} to the operator")
            self.control.advance(VAULT_PAUSE)

    def _get_secret(self, operator: Client, sid: str) -> dict[str, Any]:
        while True:
            status, told = operator.ask(
                "GET", f"{VAULT}.vault.azure.net", f"/secrets/{secret_name(sid)}/?api-version=7.4"
            )
            if status == 200:
                return dict(told)
            if status != 429:
                raise StageFault(f"the vault answered {status} to the operator")
            self.control.advance(VAULT_PAUSE)

    def _description(self, first: Mapping[str, Pair]) -> dict[str, Any]:
        pace = 0.5 if self.settings.is_large else 1.0  # fewer probes that come too early
        service = {
            "gateways": [
                {"region": region, "delay_new": delay * pace, "delay_old": delay * pace} for region, delay in GATEWAYS
            ],
            "apis": [{"id": "orders", "path": "orders"}, {"id": "status", "path": "status"}],
            "products": [{"id": name, "display_name": name.title(), "apis": ["orders", "status"]} for name in PRODUCTS],
            "subscriptions": [
                {
                    "sid": sid,
                    "display_name": sid,
                    "product": PRODUCTS[number % len(PRODUCTS)],
                    "primary": first[sid].primary,
                    "secondary": first[sid].secondary,
                }
                for number, sid in enumerate(self.sids)
            ],
        }
        return described(service, self._app_secret)

    def _configuration(self) -> str:
        s = self.settings
        more = f"{s.more.rstrip()}\n" if s.more else ""
        probe = f"    probe: {{ path: /status/ping }}\n    accepts: {s.accepts}\n" if s.probe else ""
        consumers = "" if "consumers:" in s.more else f"    consumers: {{ cache: {_span(s.cache)} }}\n"
        also = f"{s.also_publish.rstrip()}\n" if s.also_publish else ""
        return (
            f"services:\n"
            f"  {ALIAS}:\n"
            f"    id: {service_id()}\n"
            f"policies:\n"
            f"  - name: partners\n"
            f"    match: {{ service: {ALIAS} }}\n"
            f"    rotate: {{ every: {_span(s.period)} }}\n"
            f"    renew: {s.mode}\n"
            f"{probe}"
            f"    publish:\n"
            f'      - keyvault: {{ vault: {VAULT}, secret: "apim-{{sid}}" }}\n'
            f"{also}"
            f"{consumers}"
            f"    drain: {_span(s.drain)}\n"
            f"    look_every: {_span(s.look_every)}\n"
            f"{more}"
            f"ledger: sqlite:///keyturn.db\n"
            f"budget: {{ share: {s.share}% }}\n"
            f"workers: {s.workers}\n"
            f"signin:\n"
            f"  client_secret: {{ tenant: {TENANT}, client_id: {ROTATOR}, secret_env: {SIGNIN_VARIABLE} }}\n"
            f"clock:\n"
            f"  emulator: {{ control: {self.azure.ready['control']}, secret_env: {CONTROL_VARIABLE} }}\n"
        )


def described(service: Mapping[str, Any], app_secret: str) -> dict[str, Any]:
    """The emulated world around one service: who may do what, and a vault."""
    group = f"/subscriptions/{AZURE_SUBSCRIPTION}/resourceGroups/{GROUP}"
    roles = (
        (ROTATOR, "API Management Service Contributor"),
        (ROTATOR, "Key Vault Secrets Officer"),
        (OPERATOR, "API Management Service Contributor"),
        (OPERATOR, "Key Vault Secrets Officer"),
        (TERRAFORM, "API Management Service Contributor"),
        (TERRAFORM, "Key Vault Secrets Officer"),
        (READER, "Key Vault Secrets User"),
    )
    return {
        "seed": 1,
        "start": START,
        "tenant": TENANT,
        "azure_subscription": AZURE_SUBSCRIPTION,
        "resource_group": GROUP,
        "applications": [
            {"client_id": client, "secret": app_secret, "display_name": name}
            for client, name in (
                (ROTATOR, "rotator"),
                (READER, "callers"),
                (OPERATOR, "operator"),
                (TERRAFORM, "terraform"),
            )
        ],
        "role_assignments": [{"client_id": client, "role": role, "scope": group} for client, role in roles],
        "services": [{"name": SERVICE, "location": GATEWAYS[0][0], "sku": "Premium", **service}],
        "vaults": [{"name": VAULT}],
    }


def service_id() -> str:
    return (
        f"/subscriptions/{AZURE_SUBSCRIPTION}/resourceGroups/{GROUP}"
        f"/providers/Microsoft.ApiManagement/service/{SERVICE}"
    )


def secret_name(sid: str) -> str:
    return f"apim-{sid}"


def holds_any(content: bytes, needles: list[bytes]) -> bool:
    return any(needle in content for needle in needles)


def _sids(count: int) -> Iterator[str]:
    """contoso, fabrikam, … and, once every customer has one, contoso-2, …"""
    for number in range(count):
        again, customer = divmod(number, len(CUSTOMERS))
        yield f"{CUSTOMERS[customer]}-{again + 1}" if again else CUSTOMERS[customer]


def _span(span: timedelta) -> str:
    """As the configuration writes it: whole seconds."""
    return f"{int(span.total_seconds())}s"


class Client:
    """A plain HTTPS client of the emulated Azure, as scripts have one; one kept connection per host."""

    def __init__(self, azure: EmulatedAzure, client_id: str, client_secret: str) -> None:
        self._proxy = urlsplit(str(azure.ready["proxy"]))
        self._trust = ssl.create_default_context(cafile=os.fspath(azure.ready["ca_bundle"]))
        self._who = {"client_id": client_id, "client_secret": client_secret, "grant_type": "client_credentials"}
        self._connections: dict[str, http.client.HTTPSConnection] = {}
        self._tokens: dict[str, str] = {}

    def ask(self, method: str, host: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """Status and JSON content, signed in. Raises StageFault when nothing answers."""
        audience = "https://vault.azure.net" if host.endswith(".vault.azure.net") else f"https://{host}"
        if audience not in self._tokens:
            form = urlencode({**self._who, "scope": f"{audience}/.default"})
            url = f"/{TENANT}/oauth2/v2.0/token"
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            _, told = self._send("POST", "login.microsoftonline.com", url, form, kind)
            self._tokens[audience] = str(told["access_token"])
        headers = {"Authorization": f"Bearer {self._tokens[audience]}", "Content-Type": "application/json"}
        return self._send(method, host, path, None if body is None else json.dumps(body), headers)

    def secret(self, vault: str, name: str) -> str:
        """What a secret shows now. Raises StageFault."""
        status, told = self.ask("GET", f"{vault}.vault.azure.net", f"/secrets/{name}/?api-version=7.4")
        if status != 200:
            raise StageFault(f"the vault answered {status} to a reader of {name}")
        return str(told["value"])

    def show(self, host: str, path: str, authorization: str, agent: str) -> int:
        """The status that a GET with this authorization is answered with. Raises StageFault when nothing answers."""
        status, _ = self._send("GET", host, path, None, {"Authorization": authorization, "User-Agent": agent})
        return status

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()

    def _send(
        self, method: str, host: str, path: str, content: str | None, headers: Mapping[str, str]
    ) -> tuple[int, Any]:
        connection = self._connections.get(host)
        if connection is None:
            connection = http.client.HTTPSConnection(
                str(self._proxy.hostname), self._proxy.port, timeout=TIMEOUT, context=self._trust
            )
            connection.set_tunnel(host, 443)
            self._connections[host] = connection
        try:
            connection.request(method, path, content, dict(headers))
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise StageFault(f"{host} does not answer ({type(error).__name__})") from error
        return response.status, json.loads(text) if text else {}
