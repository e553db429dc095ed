"""`keyturn demo --scene tokens`: a self-hosted gateway and a management client stay signed in while their keys turn.

Stage and play in one: one service, its tenant access keys, one self-hosted gateway, a vault with a token for each,
and ninety days. A timer starts keyturn whenever its ledger says that something is due. What counts in the end is what
the guests and the two endpoints counted, and what the emulator holds. Never here: a rule of keyturn, or a value that
is shown.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from keyturn.demo.conductor import Conductor
from keyturn.demo.control import EmulatedAzure, Program, StageFault, keyturn_program, machine_seconds
from keyturn.demo.doors import Door, Guest, everybody
from keyturn.demo.screen import Picture, Screen, when
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
    described,
    holds_any,
    service_id,
)
from keyturn.errors import LedgerFault
from keyturn.ledgers.reading import LedgerView
from keyturn.model import Record

GATEWAY: Final = "gw-oslo"
DAYS: Final = timedelta(days=90)
PERIOD: Final = timedelta(days=30)
CACHE: Final = timedelta(hours=1)
STEP: Final = CACHE / 4
IDLE_STEP: Final = timedelta(hours=2)
LATE: Final = (12, 45)
"""Emulated seconds until the endpoints know a fresh key, and until they forget a dead one."""
MANAGEMENT: Final = Door(
    name="management-client",
    secret="management-token",  # noqa: S106 - its name
    host=f"{SERVICE}.management.azure-api.net",
    path="/subscriptions/00000/resourceGroups/00000/providers/Microsoft.ApiManagement/service/00000/users"
    "?api-version=2022-08-01",
)
CONFIGURATION: Final = Door(
    name="self-hosted-gateway",
    secret="gateway-token",  # noqa: S106 - its name
    host=f"{SERVICE}.configuration.azure-api.net",
    path="/",
)
HOLDERS: Final = {"tenant access": "tenant=access", f"gateway {GATEWAY}": f"gateway={GATEWAY}"}
"""Whose keys turn, and how the control API is asked for them."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the play proved."""

    rotations: dict[str, int]
    """Per credential: how often both its keys were replaced, as the emulator holds them."""
    tokens: dict[str, int]
    """Per guest: how many tokens it held, one after the other."""
    signins: int
    refused_by_guests: int
    refused_by_endpoints: int
    errors: int
    arm_writes: int
    leaks: list[str]
    emulated: timedelta
    seconds: float

    @property
    def is_good(self) -> bool:
        refused = self.refused_by_guests or self.refused_by_endpoints
        return not refused and not self.errors and not self.leaks and min(self.rotations.values()) >= 3

    def in_json(self) -> dict[str, Any]:
        return {
            "scene": "tokens",
            "rotations": self.rotations,
            "tokens": self.tokens,
            "signins": self.signins,
            "refused": {"guests": self.refused_by_guests, "endpoints": self.refused_by_endpoints},
            "errors": self.errors,
            "arm_writes": self.arm_writes,
            "leaks": self.leaks,
            "emulated_days": round(self.emulated / timedelta(days=1), 2),
            "seconds": round(self.seconds, 1),
        }


class SignedIn:
    """One performance in one folder. Close it, whatever happens."""

    def __init__(self, azure: EmulatedAzure, folder: Path, screen: Screen) -> None:
        self._azure, self._folder, self._screen = azure, folder, screen
        self._control = azure.control
        self._app_secret = secrets.token_hex(16)
        self._config, self._log = folder / "keyturn.yaml", folder / "keyturn.log"
        self._ledger = folder / "keyturn.db"
        self._clients: list[Client] = []
        self._guests: list[Guest] = []
        self._program: Program | None = None
        self._keys: dict[str, list[tuple[str, str]]] = {name: [] for name in HOLDERS}
        """Every pair of keys that each credential ever had, in order."""
        self._records: list[Record] = []
        self._refused = 0
        self._began = machine_seconds()
        self._conductor = Conductor(self._control, self._after_step, most=STEP, between=self._look)

    # -------- the play

    def open(self) -> datetime:
        """Build the stage; both guests sign in for the first time. The emulated instant at which it begins."""
        self._control.ask("POST", "seed", self._description())
        self._start = self._control.now()
        self._note_keys()
        operator = self._client(OPERATOR)
        self._put(operator, CONFIGURATION, f"GatewayKey {self._azures_token(operator)}")
        self._put(operator, MANAGEMENT, self._token_by_recipe(operator))
        self._config.write_text(self._configuration(), encoding="utf-8")
        self._guests = [Guest(door, self._client(READER), CACHE) for door in (CONFIGURATION, MANAGEMENT)]
        for guest in self._guests:
            guest.sign_in(self._start)
        return self._start

    def perform(self) -> Outcome:
        """Ninety days, and however long the third rotation takes. Raises StageFault."""
        self._arm_before = self._control.arm_writes()
        self._say("keyturn adopts what it finds: the tokens tell which key signed them")
        while True:
            self._run()
            now, due = self._control.now(), self._due()
            if now - self._start >= DAYS and all(record.rotations >= 3 for record in self._records):
                break
            self._conductor.pass_time(max(due - now, IDLE_STEP / 8), IDLE_STEP)
        self._say("both guests read their token once more")
        self._conductor.pass_time(CACHE, STEP)
        return self._compare()

    def close(self) -> None:
        for each in (self._program, *self._clients):
            if each is not None:
                each.close()

    def _run(self) -> None:
        """A timer starts keyturn; it works until nothing is under way."""
        before = {record.id: (record.rotations, record.seq) for record in self._records}
        self._program = keyturn_program(["run", "--wait", "--config", str(self._config)], self._env, self._log)
        code = self._conductor.follow(self._program)
        self._look(force=True)
        if code != 0:
            raise StageFault(f"keyturn ended with {code}: {self._last_words()}")
        for record in self._records:
            rotations, seq = before.get(record.id, (0, 0))
            if record.rotations > rotations:
                self._say(f"{record.id}: its keys turned, its token first; {record.active} signs now")
            elif record.seq > seq:
                self._say(f"{record.id}: a fresh token of the same key")

    def _due(self) -> datetime:
        """When the ledger wants to be looked at again."""
        waits = [record.not_before for record in self._records if record.not_before is not None]
        if not waits:
            raise StageFault("keyturn waits for nothing: a defect, please report it")
        return min(waits)

    def _compare(self) -> Outcome:
        tally = everybody(self._guests)
        needles = {key for pairs in self._keys.values() for pair in pairs for key in pair}
        needles |= {token for guest in self._guests for token in guest.tokens}
        return Outcome(
            rotations={name: _turns(pairs) for name, pairs in self._keys.items()},
            tokens={guest.door.name: len(guest.tokens) for guest in self._guests},
            signins=tally.calls,
            refused_by_guests=tally.refused,
            refused_by_endpoints=self._refused_by_endpoints(),
            errors=tally.errors,
            arm_writes=self._control.arm_writes() - self._arm_before,
            leaks=self._leaks([needle.encode() for needle in needles]),
            emulated=self._control.now() - self._start,
            seconds=machine_seconds() - self._began,
        )

    # -------- between

    def _after_step(self) -> None:
        now = self._control.now()
        for guest in self._guests:
            guest.sign_in(now)
        self._note_keys()
        self._look()

    def _note_keys(self) -> None:
        for name, query in HOLDERS.items():
            told = self._control.ask("GET", f"keys?service={SERVICE}&{query}")
            pair = (str(told["primary"]), str(told["secondary"]))
            if not self._keys[name] or self._keys[name][-1] != pair:
                self._keys[name].append(pair)

    def _look(self, *, force: bool = False) -> None:
        if not (self._screen.wants() or force):
            return
        self._records = self._read_ledger()
        self._refused = self._refused_by_endpoints()
        self._screen.show(
            Picture(
                start=self._start,
                now=self._control.now(),
                act="a self-hosted gateway and a management client sign in all the time",
                records=self._records,
                tally=everybody(self._guests),
                gateway_refused=self._refused,
                arm_writes=self._control.arm_writes(),
            )
        )

    def _refused_by_endpoints(self) -> int:
        """The sign-ins of guests, not of probes, that the endpoints refused."""
        rows = self._control.ask("GET", "signins")["signins"]
        mine = {guest.door.agent for guest in self._guests}
        return sum(row["calls"] for row in rows if row["agent"] in mine and not row["accepted"])

    def _read_ledger(self) -> list[Record]:
        if not self._ledger.exists():
            return []
        try:
            with LedgerView.open(f"sqlite:///{self._ledger}") as view:
                return list(view.records())
        except LedgerFault:
            return self._records

    def _leaks(self, needles: list[bytes]) -> list[str]:
        """Files of keyturn's folder in which a key or a token can be read."""
        files = [path for path in sorted(self._folder.rglob("*")) if path.is_file()]
        return [path.name for path in files if holds_any(path.read_bytes(), needles)]

    def _say(self, sentence: str) -> None:
        self._screen.say(f"  {when(self._start, self._control.now())}  {sentence}")

    def _last_words(self) -> str:
        said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " / ".join(said[-4:]) or "it said nothing"

    # -------- the stage

    @property
    def _env(self) -> dict[str, str]:
        return {
            **self._azure.env,
            SIGNIN_VARIABLE: self._app_secret,
            CONTROL_VARIABLE: str(self._azure.ready["secret"]),
            "NO_COLOR": "1",
            "PYTHONUTF8": "1",
        }

    def _client(self, client_id: str) -> Client:
        client = Client(self._azure, client_id, self._app_secret)
        self._clients.append(client)
        return client

    def _put(self, operator: Client, door: Door, token: str) -> None:
        path = f"/secrets/{door.secret}?api-version=7.4"
        status, _ = operator.ask("PUT", f"{VAULT}.vault.azure.net", path, {"value": token})
        if status != 200:
            raise StageFault(f"the vault answered {status} to the operator")

    def _azures_token(self, operator: Client) -> str:
        """The gateway's first token, as an operator asks Azure for it."""
        body = {"keyType": "primary", "expiry": f"{self._start + timedelta(days=30):%Y-%m-%dT%H:%M:%SZ}"}
        told = self._arm(operator, f"gateways/{GATEWAY}/generateToken", body)
        return str(told["value"])

    def _token_by_recipe(self, operator: Client) -> str:
        """The management client's first token, by the recipe that Microsoft published (azure-facts 5.1)."""
        key = str(self._arm(operator, "tenant/access/listSecrets")["primaryKey"])
        expiry = f"{self._start + timedelta(days=30):%Y-%m-%dT%H:%M:%S}.0000000Z"
        signed = hmac.new(key.encode(), f"integration\n{expiry}".encode(), hashlib.sha512).digest()
        return f"SharedAccessSignature uid=integration&ex={expiry}&sn={base64.b64encode(signed).decode()}"

    @staticmethod
    def _arm(operator: Client, action: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        path = f"{service_id()}/{action}?api-version=2022-08-01"
        status, told = operator.ask("POST", "management.azure.com", path, body)
        if status != 200:
            raise StageFault(f"{action} was answered {status}")
        return dict(told)

    def _description(self) -> dict[str, Any]:
        new, old = LATE
        service = {
            "gateways": [{"region": "West Europe", "delay_new": new, "delay_old": old}],
            "tenant_access": {"enabled": True, "delay_new": new, "delay_old": old},
            "self_hosted_gateways": [{"id": GATEWAY, "delay_new": new, "delay_old": old}],
        }
        return described(service, self._app_secret)

    def _configuration(self) -> str:
        probe = MANAGEMENT.path
        return (
            f"services:\n"
            f"  {ALIAS}:\n"
            f"    id: {service_id()}\n"
            f"policies:\n"
            f"  - name: self-hosted gateways\n"
            f'    match: {{ service: {ALIAS}, gateway: "*" }}\n'
            f"    rotate: {{ every: {PERIOD.days}d }}\n"
            f"    look_every: 10d\n"
            f"    tokens:\n"
            f"      kind: gateway\n"
            f"      lifetime: 14d\n"
            f"      publish: [keyvault: {{ vault: {VAULT}, secret: {CONFIGURATION.secret} }}]\n"
            f"  - name: management clients\n"
            f"    match: {{ service: {ALIAS}, tenant: access }}\n"
            f"    rotate: {{ every: {PERIOD.days}d }}\n"
            f"    look_every: 10d\n"
            f'    probe: {{ path: "{probe}" }}\n'
            f"    tokens:\n"
            f"      kind: management\n"
            f"      lifetime: 7d\n"
            f"      publish: [keyvault: {{ vault: {VAULT}, secret: {MANAGEMENT.secret} }}]\n"
            f"ledger: sqlite:///keyturn.db\n"
            f"signin:\n"
            f"  client_secret: {{ tenant: {TENANT}, client_id: {ROTATOR}, secret_env: {SIGNIN_VARIABLE} }}\n"
            f"clock:\n"
            f"  emulator: {{ control: {self._azure.ready['control']}, secret_env: {CONTROL_VARIABLE} }}\n"
        )


def _turns(pairs: list[tuple[str, str]]) -> int:
    """How often both keys of a credential were replaced."""
    return min(len({pair[slot] for pair in pairs}) for slot in (0, 1)) - 1
