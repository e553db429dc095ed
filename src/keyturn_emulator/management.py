"""The direct management endpoint of a service, on `{service}.management.azure-api.net`.

Decides: who may come in with a shared access token, and which operation of the resource provider a path means. Never
here: the operations themselves (the same table that Resource Manager serves answers), roles or throttling: whoever
signs in may do everything (azure-facts 5.5).

The azure subscription, resource group and service in the path may be anything: the host says which service is meant.
Support for this endpoint ended in March 2025, and nobody recorded its refusals: their words are ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from keyturn_emulator import apim_plane, arm_errors, sas
from keyturn_emulator.apim import ApimService
from keyturn_emulator.apim_forms import VERSIONS
from keyturn_emulator.arm_errors import ArmError
from keyturn_emulator.arm_routes import Table, Visit, check_manners
from keyturn_emulator.propagation import Slot
from keyturn_emulator.signins import Reason, Signin, SigninBook, check
from keyturn_emulator.switches import is_on
from keyturn_emulator.wire import Answer, Call, json_answer
from keyturn_emulator.world import World

TIERS: Final = frozenset({"Developer", "Basic", "Standard", "Premium"})  # azure-facts 5.5
SCHEME: Final = "SharedAccessSignature "
LONGEST_LIFE: Final = timedelta(days=30)
_FIXED: Final = {0: "subscriptions", 2: "resourcegroups", 4: "providers", 5: "microsoft.apimanagement", 6: "service"}
_DEPTH: Final = 8  # segments of a service's id
_WORDS: Final[dict[Reason, str]] = {
    "missing": "The request carries no shared access token.",
    "malformed": "The shared access token is in none of the known forms.",
    "short-form": "The short form of a shared access token is switched off here.",
    "unknown-identity": "The shared access token names an identity that this service does not know.",
    "bad-signature": "The shared access token is signed with neither key of its identity.",
    "expired": "The shared access token has expired.",
    "too-long": "The shared access token expires more than 30 days ahead.",
}


def host_of(service: ApimService) -> str:
    return f"{service.name.lower()}.management.azure-api.net"


class ManagementRoom:
    """Answers for every service that has this endpoint. Each request is in the book once."""

    def __init__(self, world: World, book: SigninBook) -> None:
        self._world = world
        self._book = book
        self._table = Table(apim_plane.ROWS)  # those above a service are too short to be met
        self._services = {host_of(service): service for service in world.services.values() if service.sku in TIERS}

    def hosts(self) -> list[str]:
        return list(self._services)

    def answer(self, call: Call) -> Answer:
        service = self._services[call.host]
        signin = self._sign_in(service, call)
        self._book.note(service.name, "management", signin, call.headers.get("user-agent"))
        if not signin.accepted:
            return _refusal(signin)
        try:
            answer = self._perform(service, call)
        except ArmError as error:
            answer = error.answer()
        if call.method == "HEAD":
            answer.body = b""
        return answer

    def _sign_in(self, service: ApimService, call: Call) -> Signin:
        access = service.credentials.access

        def keys_of(identity: str) -> Iterable[tuple[Slot, str]] | None:
            return access.keys.verifying(self._world.clock.boot()) if identity == access.principal else None

        now = self._world.clock.now()
        signin = check(_presented(call), keys_of, now)
        if not access.enabled:
            return replace(signin, reason="disabled")
        if signin.form == "short" and not is_on(self._world, "short_management_tokens"):
            return replace(signin, reason="short-form")
        capped = signin.form == "long" and is_on(self._world, "management_tokens_thirty_days")
        if signin.accepted and capped and signin.expiry is not None and signin.expiry > now + LONGEST_LIFE:
            return replace(signin, reason="too-long")
        return signin

    def _perform(self, service: ApimService, call: Call) -> Answer:
        version = call.param("api-version") or ""
        allowed = [known for known in VERSIONS if known >= (service.min_api_version or "")]
        if version not in allowed:  # in the words of a live service (azure-facts 5.5)
            message = (
                "The service is configured to allow management requests only with the following api-version values"
            )
            return json_answer(400, {"Message": f"{message}: {', '.join(allowed)}"})
        meant = _translate(service, call)
        found = None if meant is None else self._table.find(meant.method, meant.segments)
        if meant is None or found is None:
            raise arm_errors.not_supported(f"{call.method} {call.path} on {call.host}")
        row, names = found
        visit = Visit(self._world, meant, version, names)
        visit.azure_subscription = self._world.azure_subscriptions[service.azure_subscription.lower()]
        visit.found_service = service
        check_manners(meant, row)
        return row.perform(visit)


def _presented(call: Call) -> str | None:
    """The token of the Authorization header; the portal's wrapped form may come without a scheme."""
    given = call.headers.get("authorization")
    return None if given is None else sas.unwrap(given.removeprefix(SCHEME).strip())


def _translate(service: ApimService, call: Call) -> Call | None:
    """The call as Resource Manager would have it, with the ids of the service that the host means."""
    segments = call.segments
    if len(segments) < _DEPTH or any(segments[place].lower() != name for place, name in _FIXED.items()):
        return None
    rest = call.raw_path.strip("/").split("/")[_DEPTH:]
    return replace(call, raw_path="/".join((service.id, *rest)))


def _refusal(signin: Signin) -> Answer:
    if signin.reason == "disabled":
        message = "The management API of this service is not enabled: tenant access is disabled."
        return json_answer(403, {"error": {"code": "ManagementApiDisabled", "message": message}})
    body = {"error": {"code": "Unauthorized", "message": _WORDS[signin.reason]}}
    return json_answer(401, body, {"WWW-Authenticate": SCHEME.strip()})
