"""Managed identity: both endpoints that give a program on Azure its token without any secret (azure-facts 2.2).

Decides which described identity speaks, what has to be asked how, and what the refusals look like. The virtual
machine's endpoint (IMDS) asks for the header `Metadata: true`; App Service's asks for a secret header that only the
program knows. Never here: sockets, or what an identity may do.

The world is one machine: one system-assigned identity at most, any number of user-assigned ones.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from hmac import compare_digest
from typing import Any, Final

from keyturn_emulator import entra
from keyturn_emulator.switches import is_on
from keyturn_emulator.wire import Answer, Call, json_answer
from keyturn_emulator.world import Application, World

IMDS_PATH: Final = ("metadata", "identity", "oauth2", "token")
APP_SERVICE_PATH: Final = ("msi", "token")
IMDS_VERSIONS: Final = frozenset({"2018-02-01"})
APP_SERVICE_VERSIONS: Final = frozenset({"2019-08-01"})
# How a user-assigned identity is named, by the parameter: both spellings of the last one are asked for by clients.
SELECTORS: Final = ("client_id", "object_id", "msi_res_id", "mi_res_id")
_KNOWN: Final = frozenset({"api-version", "resource", *SELECTORS})


class _Refused(Exception):
    def __init__(self, error: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.error, self.text, self.status = error, text, status


class ManagedIdentityRoom:
    """Answers both endpoints. `header` is the secret of App Service's."""

    def __init__(self, world: World, header: str) -> None:
        self._world = world
        self._header = header

    def answer_imds(self, call: Call) -> Answer:
        """`http://169.254.169.254/metadata/identity/oauth2/token`, wherever it is reached here."""
        try:
            _check_metadata(call)
            token = self._token(call, IMDS_VERSIONS)
        except _Refused as refused:
            body = {"error": refused.error, "error_description": refused.text}
            return json_answer(refused.status, body)
        lasting = str(self._world.managed_token_lifetime)
        return json_answer(200, {**token, "expires_in": lasting, "ext_expires_in": lasting})

    def answer_app_service(self, call: Call) -> Answer:
        """`IDENTITY_ENDPOINT`."""
        try:
            self._check_header(call)
            token = self._token(call, APP_SERVICE_VERSIONS)
        except _Refused as refused:
            return json_answer(refused.status, {"statusCode": refused.status, "message": refused.text})
        return json_answer(200, token)

    def _check_header(self, call: Call) -> None:
        given = call.headers.get("x-identity-header", "").encode()
        if not compare_digest(given, self._header.encode()):
            raise _Refused("unauthorized", "the X-IDENTITY-HEADER is missing or not this program's", 401)

    def _token(self, call: Call, versions: frozenset[str]) -> dict[str, str]:
        """What both replies have in common: every value is a text. Raises _Refused."""
        if call.method != "GET":
            raise _Refused("invalid_request", f"{call.method} is not known here", 405)
        for name, _ in call.query:
            if name.lower() not in _KNOWN:
                raise _Refused("invalid_request", f"The emulator does not know the parameter {name} here")
        if len({name.lower() for name, _ in call.query}) < len(call.query):
            raise _Refused("invalid_request", "The emulator takes each parameter only once here")
        if call.param("api-version") not in versions:
            raise _Refused("invalid_request", f"api-version must be {' or '.join(sorted(versions))}")
        resource = call.param("resource")
        if not resource:
            raise _Refused("invalid_request", "Required parameter resource is missing")
        if resource not in entra.RESOURCES:
            raise _Refused("invalid_resource", f"AADSTS500011: The resource principal named {resource} was not found.")
        return self._issue(self._identity(call), resource)

    def _issue(self, app: Application, resource: str) -> dict[str, str]:
        lifetime, now = self._world.managed_token_lifetime, int(time.time())
        token = entra.issue_token(
            self._world,
            app.client_id,
            resource,
            lifetime=lifetime,
            strength="2",
            xms_mirid=resource_id(self._world, app),
        )
        return {
            "access_token": token,
            "client_id": app.client_id,
            "expires_on": str(now + lifetime),
            "not_before": str(now),
            "resource": resource,
            "token_type": "Bearer",
        }

    def _identity(self, call: Call) -> Application:
        """Whom the request names; without a name the system-assigned one. Raises _Refused."""
        wanted = {name: value for name in SELECTORS if (value := call.param(name))}
        if len(wanted) > 1:
            raise _Refused("invalid_request", f"name an identity by one of {', '.join(SELECTORS)}")
        found = _named(self._world, wanted) if wanted else self._unnamed()
        if found is None:
            raise _Refused("invalid_request", "Identity not found")
        return found

    def _unnamed(self) -> Application | None:
        system = _of_kind(self._world, "system-assigned")
        users = _of_kind(self._world, "user-assigned")
        if not system and len(users) == 1 and is_on(self._world, "lone_identity_answers_unnamed"):
            return users[0]
        return system[0] if system else None


def _check_metadata(call: Call) -> None:
    """Whoever a proxy brings is no program of this machine: that is what both headers are about."""
    if "x-forwarded-for" in call.headers:
        raise _Refused("invalid_request", "The emulator's endpoint takes no request that was forwarded")
    if call.headers.get("metadata", "").lower() != "true":
        raise _Refused("invalid_request", "Required metadata header not specified")


def _of_kind(world: World, kind: str) -> list[Application]:
    return [app for app in world.applications.values() if app.managed_identity == kind]


def _named(world: World, wanted: Mapping[str, str]) -> Application | None:
    """User-assigned ones answer to their names; the system-assigned one has none to be asked for."""
    ((name, value),) = wanted.items()
    read: dict[str, Any] = {"client_id": lambda app: app.client_id, "object_id": lambda app: app.object_id}
    of = read.get(name, lambda app: resource_id(world, app))
    return next((app for app in _of_kind(world, "user-assigned") if of(app).lower() == value.lower()), None)


def resource_id(world: World, app: Application) -> str:
    """The ARM id of a managed identity; a system-assigned one bears that of its machine."""
    azure = next(iter(world.azure_subscriptions.values()))
    group = f"/subscriptions/{azure.id}/resourcegroups/{min(azure.resource_groups)}/providers"
    if app.managed_identity == "user-assigned":
        return f"{group}/Microsoft.ManagedIdentity/userAssignedIdentities/{app.display_name}"
    return f"{group}/Microsoft.Compute/virtualMachines/{app.display_name}"
