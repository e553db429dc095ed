"""The control API under `/_emulator/`: time, faults, the pause, the journal, the state, and a person in the
portal.

It decides what a test or a demo may see and script. Each request carries the bearer secret printed at the
start.

Key values leave here through `keys` alone, which exists so that tests can look for leaks. Never here:
anything that Azure would answer.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from typing import Any

from keyturn_emulator import faults, federation
from keyturn_emulator.apim import ApimService
from keyturn_emulator.azure import Azure
from keyturn_emulator.clock import from_iso, iso
from keyturn_emulator.faults import FaultError
from keyturn_emulator.keyvault import SecretVersion, Vault
from keyturn_emulator.propagation import SLOTS, Slot
from keyturn_emulator.seed import SeedError
from keyturn_emulator.switches import SWITCHES, is_on
from keyturn_emulator.wire import Answer, Call, json_answer, read_json

PREFIX = "/_emulator/"
LONGEST_WAIT = 60.0  # machine seconds of a long poll
DEFAULT_WAIT = 25.0
EARLIEST, LATEST = 315_532_800.0, 221_845_392_000.0  # 1980 and 9000: what is added to a time stays in the calendar
MOST_SECONDS = LATEST


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(slots=True)
class _Waiter:
    name: str
    until: datetime
    due: asyncio.Future[None]


@dataclass(slots=True, frozen=True)
class ControlCall:
    """A request and the event that is set when its connection closes."""

    call: Call
    closed: asyncio.Event

    def json(self, *fields: str) -> dict[str, Any]:
        """The body as an object that holds nothing but `fields`. Raises _Refused naming the stranger."""
        try:
            body = read_json(self.call.body or b"{}")
        except ValueError as error:
            raise _Refused(400, "the body is no JSON") from error
        if not isinstance(body, dict):
            raise _Refused(400, "the body must be a JSON object")
        for name in body:
            if name not in fields:
                raise _Refused(400, f"{name} is not known; known are {', '.join(fields) or 'no fields'}")
        return body

    def number(self, name: str, default: float) -> float:
        text = self.call.param(name)
        try:
            number = default if text is None else float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise _Refused(400, f"{name} must be a number")
        return number


Route = Callable[[ControlCall], Any]


class ControlRoom:
    """Answers control requests. Everything but the long polls is answered at once."""

    def __init__(self, azure: Azure, secret: str) -> None:
        self._azure = azure
        self._secret = f"Bearer {secret}".encode()
        self._waiters: list[_Waiter] = []
        azure.on_time.append(self._wake)
        self._routes: Mapping[tuple[str, str], Route] = {
            ("GET", "clock"): self._get_clock,
            ("POST", "clock"): self._move_clock,
            ("POST", "clock/wait"): self._wait_for_time,
            ("POST", "seed"): self._seed,
            ("GET", "seed"): self._get_seed,
            ("POST", "reset"): self._reset,
            ("GET", "snapshot"): self._snapshot,
            ("GET", "faults"): self._get_faults,
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): self._remove_faults,
            ("POST", "faults/release"): self._release_effects,
            ("GET", "pause"): self._get_pause,
            ("POST", "pause"): self._arm_pause,
            ("POST", "resume"): self._resume,
            ("GET", "calls"): self._calls,
            ("GET", "arm"): self._arm,
            ("GET", "gateway"): self._gateway,
            ("POST", "gateway/reset"): self._reset_gateway,
            ("GET", "signins"): self._signins,
            ("POST", "signins/reset"): self._reset_signins,
            ("GET", "switches"): self._get_switches,
            ("POST", "switches"): self._set_switches,
            ("GET", "keys"): self._keys,
            ("POST", "portal"): self._portal,
            ("POST", "federated-token"): self._federated_token,
        }

    async def answer(self, call: Call, closed: asyncio.Event) -> Answer:
        """`closed` is set when the client's connection is gone."""
        given = call.headers.get("authorization", "").encode()
        if not compare_digest(given, self._secret):
            return json_answer(
                401, {"error": "the control API needs Authorization: Bearer <the secret printed at start>"}
            )
        path = call.raw_path.removeprefix(PREFIX).strip("/")
        route = self._routes.get((call.method, path))
        if route is None:
            return json_answer(404, {"error": f"the control API knows no {call.method} {call.path}"})
        try:
            result = route(ControlCall(call, closed))
            payload = await result if asyncio.iscoroutine(result) else result
        except _Refused as refused:
            return json_answer(refused.status, {"error": refused.message})
        except FaultError as error:
            return json_answer(400, {"error": str(error)})
        return json_answer(200, payload)

    # time

    def _get_clock(self, _: ControlCall) -> dict[str, Any]:
        clock = self._azure.world.clock
        return {
            "now": iso(clock.now()),
            "boot": clock.boot(),
            "waiters": [{"name": waiter.name, "until": iso(waiter.until)} for waiter in self._waiters],
        }

    def _move_clock(self, request: ControlCall) -> dict[str, Any]:
        """advance: time passes. to: time passes until then. jump: the clock is set wrong or right, no time
        passes.
        """
        body = request.json("advance", "to", "jump")
        if len(body) != 1:
            raise _Refused(400, "give exactly one of advance, to and jump")
        clock = self._azure.world.clock
        if "to" in body:
            seconds = (_moment(body, "to") - clock.now()).total_seconds()
        else:
            seconds = _seconds(body, next(iter(body)))
        if not EARLIEST <= clock.now().timestamp() + seconds <= LATEST:
            raise _Refused(400, "the emulated clock goes from the year 1980 to the year 9000")
        if "jump" in body:
            clock.jump(seconds)
        else:
            faults.advance(clock, self._azure.faults, seconds)
        return self._get_clock(request)

    async def _wait_for_time(self, request: ControlCall) -> dict[str, Any]:
        body = request.json("name", "until", "max_seconds")
        name, until = body.get("name", ""), _moment(body, "until")
        seconds = min(_seconds(body, "max_seconds") if "max_seconds" in body else DEFAULT_WAIT, LONGEST_WAIT)
        if self._azure.world.clock.now() < until:
            waiter = _Waiter(str(name), until, asyncio.get_running_loop().create_future())
            self._waiters.append(waiter)
            try:
                await _first_of(waiter.due, request.closed, seconds)
            finally:
                self._waiters.remove(waiter)
        return self._get_clock(request)

    def _wake(self) -> None:
        now = self._azure.world.clock.now()
        for waiter in self._waiters:
            if waiter.until <= now and not waiter.due.done():
                waiter.due.set_result(None)

    # the world

    def _seed(self, request: ControlCall) -> dict[str, Any]:
        try:
            body = read_json(request.call.body)
            self._azure.load(body)
        except SeedError as error:
            raise _Refused(400, str(error)) from error
        except ValueError as error:
            raise _Refused(400, "the body is no JSON") from error
        return self._get_clock(request)

    def _get_seed(self, _: ControlCall) -> Any:
        """The description in force without its secrets and keys."""
        return _without(self._azure.description, {"secret", "more_secrets", "expired_secrets", *SLOTS})

    def _reset(self, request: ControlCall) -> dict[str, Any]:
        self._azure.reset()
        return self._get_clock(request)

    def _snapshot(self, _: ControlCall) -> dict[str, Any]:
        world = self._azure.world
        return {
            "now": iso(world.clock.now()),
            "tenants": sorted(world.tenants),
            "applications": [
                {
                    "client_id": app.client_id,
                    "object_id": app.object_id,
                    "display_name": app.display_name,
                    "managed_identity": app.managed_identity,
                }
                for app in world.applications.values()
            ],
            "role_assignments": [
                {"object_id": given.object_id, "role": given.role, "scope": given.scope}
                for given in world.role_assignments
            ],
            "services": [service.snapshot() for service in world.services.values()],
            "vaults": [_describe_vault(vault) for vault in world.vaults.values()],
            "switches": world.switches,
        }

    def _get_switches(self, _: ControlCall) -> dict[str, bool]:
        return {name: is_on(self._azure.world, name) for name in SWITCHES}

    def _set_switches(self, request: ControlCall) -> dict[str, bool]:
        body = _any_json(request) if request.call.body else {}
        if not isinstance(body, dict) or not all(isinstance(value, bool) for value in body.values()):
            raise _Refused(400, "switches are an object of true and false")
        if strange := body.keys() - SWITCHES.keys():
            raise _Refused(400, f"{', '.join(sorted(strange))}: no such switch; there are {', '.join(SWITCHES)}")
        self._azure.world.switches.update(body)
        return self._get_switches(request)

    # faults and the pause

    def _get_faults(self, _: ControlCall) -> dict[str, Any]:
        return self._azure.faults.describe()

    def _add_fault(self, request: ControlCall) -> dict[str, Any]:
        return self._azure.faults.add(_any_json(request)).describe()

    def _remove_faults(self, request: ControlCall) -> dict[str, Any]:
        wanted = request.call.param("id")
        if wanted is not None and not re.fullmatch(r"[0-9]{1,9}", wanted):
            raise _Refused(400, "id must be the number of a fault")
        return {"removed": self._azure.faults.remove(None if wanted is None else int(wanted))}

    def _release_effects(self, _: ControlCall) -> dict[str, Any]:
        return {"landed": self._azure.faults.release()}

    async def _get_pause(self, request: ControlCall) -> dict[str, Any]:
        seconds = min(request.number("wait", 0.0), LONGEST_WAIT)
        if seconds > 0:
            await self._azure.pause.wait_reached(seconds)
        return self._azure.pause.describe()

    def _arm_pause(self, request: ControlCall) -> dict[str, Any]:
        self._azure.pause.arm(_any_json(request))
        return self._azure.pause.describe()

    def _resume(self, _: ControlCall) -> dict[str, Any]:
        return {"released": self._azure.pause.resume()}

    # what happened

    def _calls(self, request: ControlCall) -> dict[str, Any]:
        journal = self._azure.journal
        since, limit = int(request.number("since", 0)), int(request.number("limit", 1000))
        return {
            "seq": journal.sequence,
            "totals": dict(journal.totals),
            "calls": journal.since(since, request.call.param("kind"), limit),
        }

    def _arm(self, _: ControlCall) -> dict[str, int]:
        counts = self._azure.journal.arm
        return {name: counts[name] for name in ("reads", "writes", "actions", "deletes", "throttled")}

    def _gateway(self, _: ControlCall) -> Any:
        return self._azure.gateway.summary()

    def _reset_gateway(self, _: ControlCall) -> dict[str, Any]:
        self._azure.gateway.reset()
        return {}

    def _signins(self, _: ControlCall) -> Any:
        return self._azure.signins.summary()

    def _reset_signins(self, _: ControlCall) -> dict[str, Any]:
        self._azure.signins.reset()
        return {}

    # keys, for tests, and a person in the portal

    def _keys(self, request: ControlCall) -> dict[str, str]:
        """The live values of both slots. For tests alone: they look for these values where none may be."""
        held = self._held({name: request.call.param(name) for name in ("service", *_HOLDERS)})
        return {slot: held.read(slot) for slot in SLOTS}

    def _portal(self, request: ControlCall) -> dict[str, Any]:
        """Write a slot as a person in the portal would: a chosen value, or a regenerate for none."""
        body = request.json("service", *_HOLDERS, "slot", "value")
        held = self._held(body)
        if body.get("slot") not in SLOTS:
            raise _Refused(400, f"slot must be one of {', '.join(SLOTS)}")
        value = body.get("value")
        if value is not None and not (isinstance(value, str) and value):
            raise _Refused(400, "value must be a text")
        held.write(body["slot"], value)
        return {"etag": held.etag()}

    def _federated_token(self, request: ControlCall) -> dict[str, str]:
        """A token of one of the emulator's two issuers, for whatever subject, audience and lifetime is asked for."""
        body = request.json("issuer", "subject", "audience", "lifetime")
        kind = next((each for each in federation.KINDS if each == body.get("issuer")), None)
        if kind is None:
            raise _Refused(400, f"issuer must be one of {', '.join(federation.KINDS)}")
        world = self._azure.world
        subject, audience = body.get("subject", world.workloads[kind]), body.get("audience", federation.AUDIENCE)
        if not isinstance(subject, str) or not isinstance(audience, str):
            raise _Refused(400, "subject and audience must be texts")
        lifetime = int(_seconds(body, "lifetime")) if "lifetime" in body else None
        tenant = min(world.tenants)
        token = federation.mint(kind, tenant, subject, audience=audience, lifetime=lifetime)
        return {"token": token, "issuer": federation.issuer_of(kind, tenant), "subject": subject}

    def _held(self, given: Mapping[str, Any]) -> _Held:
        """Whose slots are meant: of `sid`, `tenant` and `gateway`, exactly one is given; any case."""
        service = self._service(given.get("service"))
        named = [name for name in _HOLDERS if given.get(name) is not None]
        if len(named) != 1:
            raise _Refused(400, f"give exactly one of {', '.join(_HOLDERS)}")
        held = _HOLDERS[named[0]](service, str(given[named[0]]).lower())
        if held is None:
            kind = {"sid": "apim subscription", "tenant": "tenant access", "gateway": "self-hosted gateway"}[named[0]]
            raise _Refused(404, f"there is no {kind} {given[named[0]]} in {service.name}")
        return held

    def _service(self, name: Any) -> ApimService:
        """By name or ARM id, any case."""
        wanted = str(name or "").lower()
        found = next((it for it in self._azure.world.services.values() if wanted in (it.name.lower(), it.key)), None)
        if found is None:
            raise _Refused(404, f"there is no service {name}")
        return found


@dataclass(slots=True, frozen=True)
class _Held:
    """Two slots, whoever holds them. `write` draws a value when it is given none."""

    read: Callable[[Slot], str]
    write: Callable[[Slot, str | None], object]
    etag: Callable[[], str]


def _of_subscription(service: ApimService, name: str) -> _Held | None:
    entity = service.find(name)
    if entity is None:
        return None
    return _Held(entity.key, lambda slot, value: service.set_key(name, slot, value), lambda: entity.etag)


def _of_tenant(service: ApimService, name: str) -> _Held | None:
    credentials = service.credentials
    entity = credentials.tenant.get(name)
    if entity is None:
        return None
    return _Held(
        entity.keys.key,
        lambda slot, value: credentials.change_tenant(entity, {slot: value or credentials.draw()}),
        lambda: entity.etag,
    )


def _of_gateway(service: ApimService, name: str) -> _Held | None:
    credentials = service.credentials
    entity = credentials.gateways.get(name)
    if entity is None:
        return None
    return _Held(
        entity.keys.key,
        lambda slot, value: credentials.set_gateway_key(entity, slot, value),
        lambda: entity.etag,
    )


_HOLDERS: Mapping[str, Callable[[ApimService, str], _Held | None]] = {
    "sid": _of_subscription,
    "tenant": _of_tenant,
    "gateway": _of_gateway,
}


async def _first_of(due: asyncio.Future[None], closed: asyncio.Event, seconds: float) -> None:
    """Until the time has come, the connection closed, or `seconds` of machine time passed."""
    watching: asyncio.Future[Any] = asyncio.ensure_future(closed.wait())
    try:
        await asyncio.wait([due, watching], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        watching.cancel()
        due.cancel()


def _any_json(request: ControlCall) -> Any:
    try:
        return read_json(request.call.body)
    except ValueError as error:
        raise _Refused(400, "the body is no JSON") from error


def _seconds(body: Mapping[str, Any], name: str) -> float:
    value = body[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not -MOST_SECONDS <= value <= MOST_SECONDS:
        raise _Refused(400, f"{name} must be a number of seconds")
    return float(value)


def _moment(body: Mapping[str, Any], name: str) -> datetime:
    try:
        return from_iso(str(body.get(name, "")))
    except (ValueError, OverflowError) as error:
        raise _Refused(400, f"{name} must be an ISO time that ends with Z") from error


def _describe_vault(vault: Vault) -> dict[str, Any]:
    return {
        "name": vault.name,
        "id": vault.id,
        "secrets": [
            {"name": secret.name, "versions": [_describe_version(version) for version in secret.versions]}
            for secret in vault.secrets.values()
        ],
        "deleted": [gone.secret.name for gone in vault.deleted.values()],
    }


def _describe_version(version: SecretVersion) -> dict[str, Any]:
    return {
        "id": version.id,
        "enabled": version.enabled,
        "created": version.created,
        "updated": version.updated,
        "nbf": version.not_before,
        "exp": version.expires,
        "tags": version.tags,
        "content_type": version.content_type,
    }


def _without(value: Any, names: set[str]) -> Any:
    """`value` with every field called one of `names` left out, at any depth."""
    if isinstance(value, Mapping):
        return {name: _without(item, names) for name, item in value.items() if name not in names}
    if isinstance(value, list):
        return [_without(item, names) for item in value]
    return value
