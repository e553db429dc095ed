"""The gateways of API Management: the calls that callers make with their keys.

Decides: which API a path means, whether the presented key opens it here and now, and what is counted about
it. Never here: Resource Manager, state changes, or a key value in an answer, a count or a log.

What a gateway knows is old: see `propagation`. What a wrong value does at an API that needs none is disputed:
see the switch `open_accepts_any_key`.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

from keyturn_emulator.apim import Api, ApimService, Gateway
from keyturn_emulator.clock import iso
from keyturn_emulator.propagation import Slot
from keyturn_emulator.switches import is_on
from keyturn_emulator.wire import Answer, Call
from keyturn_emulator.world import World

Outcome = Literal["ok", "missing", "unknown-value", "dead-value", "not-yet", "inactive", "out-of-scope", "no-route"]
SUFFIX: Final = ".azure-api.net"
REMEMBERED_REFUSALS: Final = 1000

# Both bodies word for word, spaces included (azure-facts 6).
MISSING_BODY: Final = (
    b'{ "statusCode": 401, "message": "Access denied due to missing subscription key. '
    b'Make sure to include subscription key when making requests to an API." }'
)
INVALID_BODY: Final = (
    b'{ "statusCode": 401, "message": "Access denied due to invalid subscription key. '
    b'Make sure to provide a valid key for an active subscription." }'
)
NO_ROUTE_BODY: Final = b'{ "statusCode": 404, "message": "Resource not found" }'
_JSON: Final = "application/json"


@dataclass(slots=True, frozen=True)
class Verdict:
    """What a gateway makes of a call: the outcome, and whose key it was where that is known."""

    outcome: Outcome
    sid: str | None = None
    slot: Slot | None = None


class GatewayRoom:
    """Answers on `{service}.azure-api.net` and on the host of every regional gateway."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._hosts: dict[str, tuple[ApimService, Gateway]] = {}
        self._counts: Counter[tuple[str, str, str | None, str | None, str, str]] = Counter()
        self._refusals: deque[dict[str, Any]] = deque(maxlen=REMEMBERED_REFUSALS)
        self._dead = 0

    def answer(self, call: Call) -> Answer:
        """200 with a small echo, one of the two 401s, or 404. Every call is counted once."""
        place = self._find(call.host)
        if place is None:
            return Answer(404, NO_ROUTE_BODY, {"Content-Type": _JSON})
        service, gateway = place
        api, rest = _route(service, call.path)
        agent = call.headers.get("user-agent", "-").partition(" ")[0] or "-"
        if api is None:
            self._count(service, gateway, Verdict("no-route"), agent)
            return Answer(404, NO_ROUTE_BODY, {"Content-Type": _JSON})
        verdict = self._judge(service, gateway, api, call)
        self._count(service, gateway, verdict, agent)
        if verdict.outcome == "ok":
            return Answer(200, _echo(api.id, call.method, rest), {"Content-Type": _JSON})
        if verdict.outcome == "dead-value":
            self._remember(service, gateway, verdict, agent, api)
        return _refuse(call, api, MISSING_BODY if verdict.outcome == "missing" else INVALID_BODY)

    def summary(self) -> dict[str, Any]:
        """`calls`: a row for each combination; `outcomes`: totals; `dead`: the last refusals of dead values.

        `dead_total` counts those refusals even after the log has dropped them.
        """
        names = ("service", "gateway", "sid", "slot", "outcome", "agent")
        rows = [{**dict(zip(names, key, strict=True)), "calls": calls} for key, calls in self._counts.items()]
        outcomes: Counter[str] = Counter()
        for key, calls in self._counts.items():
            outcomes[key[4]] += calls
        return {
            "calls": rows,
            "outcomes": dict(sorted(outcomes.items())),
            "dead": list(self._refusals),
            "dead_total": self._dead,
        }

    def reset(self) -> None:
        """Forget every count and every remembered refusal."""
        self._counts.clear()
        self._refusals.clear()
        self._dead = 0

    def hosts(self) -> list[str]:
        """Every host that a gateway answers on, sorted."""
        return sorted(_hosts(self._world))

    def _find(self, host: str) -> tuple[ApimService, Gateway] | None:
        place = self._hosts.get(host)
        if place is None or self._world.services.get(place[0].key) is not place[0]:
            self._hosts = _hosts(self._world)
            place = self._hosts.get(host)
        return place

    def _judge(self, service: ApimService, gateway: Gateway, api: Api, call: Call) -> Verdict:
        value = _presented(call, api)
        if not value:
            return Verdict("ok" if service.is_open(api) else "missing")
        verdict = self._judge_value(service, gateway, api, value)
        if verdict.outcome == "ok" or not service.is_open(api):
            return verdict
        if not is_on(self._world, "open_accepts_any_key"):
            return verdict
        return Verdict("ok", verdict.sid, verdict.slot)

    def _judge_value(self, service: ApimService, gateway: Gateway, api: Api, value: str) -> Verdict:
        """Only an active apim subscription with the API in its scope opens it (azure-facts 6)."""
        view = gateway.view
        view.settle(self._world.clock.boot())
        refused: Verdict | None = None
        for grant in view.grants(value):
            standing = view.standing(grant.sid)
            if standing is None:
                refused = refused or Verdict("not-yet", grant.sid, grant.slot)
            elif standing.state != "active":
                refused = refused or Verdict("inactive", grant.sid, grant.slot)
            elif not service.covers(standing.scope, api):
                refused = refused or Verdict("out-of-scope", grant.sid, grant.slot)
            else:
                return Verdict("ok", grant.sid, grant.slot)
        return refused or _explain(service, value)

    def _count(self, service: ApimService, gateway: Gateway, verdict: Verdict, agent: str) -> None:
        self._counts[service.name, gateway.region, verdict.sid, verdict.slot, verdict.outcome, agent] += 1

    def _remember(self, service: ApimService, gateway: Gateway, verdict: Verdict, agent: str, api: Api) -> None:
        self._dead += 1
        self._refusals.append(
            {
                "at": iso(self._world.clock.now()),
                "service": service.name,
                "gateway": gateway.region,
                "sid": verdict.sid,
                "slot": verdict.slot,
                "agent": agent,
                "api": api.id,
            }
        )


def _hosts(world: World) -> dict[str, tuple[ApimService, Gateway]]:
    """The service's own host is its first gateway."""
    found: dict[str, tuple[ApimService, Gateway]] = {}
    for service in world.services.values():
        found[service.host] = (service, service.gateways[0])
        found |= {gateway.host: (service, gateway) for gateway in service.gateways}
    return found


def _route(service: ApimService, path: str) -> tuple[Api | None, str]:
    """The API with the longest path that the call's path starts with, and what is left of it."""
    by_path = service.routes
    prefix = path.strip("/").lower()
    whole = prefix
    while True:
        api = by_path.get(prefix)
        if api is not None:
            return api, whole[len(prefix) :] or "/"
        if not prefix:
            return None, "/"
        prefix = prefix.rpartition("/")[0]


def _presented(call: Call, api: Api) -> str | None:
    """The header wins even when it is empty: the query is looked at only without it (azure-facts 6)."""
    value = call.headers.get(api.header.lower())
    return call.param(api.query) if value is None else value


def _explain(service: ApimService, value: str) -> Verdict:
    """Why a value that this gateway does not know is refused: never seen, lived once, or too new."""
    place = service.lived(value)
    if place is None:
        return Verdict("unknown-value")
    sid, slot, lives = place
    return Verdict("not-yet" if lives else "dead-value", sid, slot)


def _refuse(call: Call, api: Api, body: bytes) -> Answer:
    challenge = f'AzureApiManagementKey realm="https://{call.host}/{api.path}",name="{api.header}",type="header"'
    return Answer(401, body, {"Content-Type": _JSON, "WWW-Authenticate": challenge})


@lru_cache(maxsize=4096)
def _echo(api: str, method: str, rest: str) -> bytes:
    return json.dumps({"api": api, "operation": f"{method} {rest}"}).encode()
