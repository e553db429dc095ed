"""The front door of Azure Resource Manager on management.azure.com.

Decides: the order of checks (azure-facts 1.6), the headers that every answer carries (azure-recorded 9), and
the few things Resource Manager answers itself. Never here: what a resource provider does once everything else
is in order.

The order: path, api-version, token, azure subscription and resource group, role, throttling, the provider. A
path, a query parameter or a header that the emulator does not know is refused by name, never ignored.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final

from keyturn_emulator import apim_plane, arm_authorization, arm_errors, entra
from keyturn_emulator.apim_forms import VERSIONS
from keyturn_emulator.arm_errors import ArmError
from keyturn_emulator.arm_routes import Row, Table, Visit, check_manners
from keyturn_emulator.clock import machine_now
from keyturn_emulator.entra import Principal, TokenFault
from keyturn_emulator.flights import Flights
from keyturn_emulator.rbac import allows, has_any_role
from keyturn_emulator.switches import is_on
from keyturn_emulator.throttling import Throttle, operation_of
from keyturn_emulator.wire import Answer, Call, json_answer
from keyturn_emulator.world import AzureSubscription, World

HOST: Final = "management.azure.com"

_PROVIDER: Final = "Microsoft.ApiManagement"
# What Resource Manager's own rows accept: the versions its usual clients send.
_ARM_VERSIONS: Final = (
    "2016-02-01",
    "2016-06-01",
    "2019-06-01",
    "2019-11-01",
    "2020-01-01",
    "2021-01-01",
    "2021-04-01",
    "2022-09-01",
    "2022-12-01",
    "2024-11-01",
)
_ALWAYS: Final = {
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
    "Expires": "-1",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Server": "Microsoft-HTTPAPI/2.0",
}


# what Resource Manager answers itself


def metadata_endpoints(visit: Visit) -> Answer:
    """What the az command line asks before it signs in, without a token (azure-facts 1.7)."""
    host = visit.call.host
    return json_answer(
        200,
        {
            "name": "AzureCloud",
            "portal": "https://portal.azure.com",
            "authentication": {
                "loginEndpoint": f"https://{entra.LOGIN}/",
                "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
                "tenant": "common",
                "identityProvider": "AAD",
            },
            "resourceManager": f"https://{host}/",
            "suffixes": {"keyVaultDns": "vault.azure.net"},
        },
    )


def list_azure_subscriptions(visit: Visit) -> Answer:
    """Only those in which the principal holds a role."""
    found = [
        _azure_subscription(item)
        for item in visit.world.azure_subscriptions.values()
        if has_any_role(visit.world, visit.object_id, item.id)
    ]
    return json_answer(200, {"value": found, "count": {"type": "Total", "value": len(found)}})


def get_azure_subscription(visit: Visit) -> Answer:
    return json_answer(200, _azure_subscription(_inside(visit)))


def list_tenants(visit: Visit) -> Answer:
    """Those of the caller: a token is of one tenant, and so is an application."""
    found = [
        {"id": f"/tenants/{tenant}", "tenantId": tenant, "tenantCategory": "Home", "displayName": "Emulated"}
        for tenant in sorted({item.tenant_id for item in visit.world.azure_subscriptions.values()})
        if tenant.lower() == visit.tenant_id.lower()
    ]
    return json_answer(200, {"value": found})


def list_resource_groups(visit: Visit) -> Answer:
    inside = _inside(visit)
    groups = [_resource_group(visit, name) for name in sorted(inside.resource_groups)]
    return json_answer(200, {"value": groups})


def get_resource_group(visit: Visit) -> Answer:
    name = next(name for name in _inside(visit).resource_groups if name.lower() == visit.names["group"].lower())
    return json_answer(200, _resource_group(visit, name))


def register_provider(visit: Visit) -> Answer:
    """azure-mgmt-core sends this when it is told that a provider is not registered; here it always is."""
    return json_answer(
        200,
        {
            "id": f"/subscriptions/{_inside(visit).id}/providers/{_PROVIDER}",
            "namespace": _PROVIDER,
            "registrationState": "Registered",
            "registrationPolicy": "RegistrationRequired",
        },
    )


def _own(method: str, path: str, action: str, perform: Callable[[Visit], Answer]) -> Row:
    return Row(method, path, action, perform, versions=_ARM_VERSIONS, kind="subscriptions")


_RESOURCES: Final = "Microsoft.Resources/subscriptions"
_GROUPS: Final = f"{_RESOURCES}/resourceGroups/read"
# An empty action: signing in is enough. No `perform` of these stands under a service.
OPEN_ROW: Final = _own("GET", "metadata/endpoints|", "", metadata_endpoints)
_ARM_ROWS: Final = (
    _own("GET", "subscriptions|", "", list_azure_subscriptions),
    _own("GET", "tenants|", "", list_tenants),
    _own("GET", "subscriptions/{azure}|", f"{_RESOURCES}/read", get_azure_subscription),
    _own("GET", "subscriptions/{azure}|resourceGroups", _GROUPS, list_resource_groups),
    _own("GET", "subscriptions/{azure}/resourceGroups/{group}|", _GROUPS, get_resource_group),
    _own(
        "POST",
        f"subscriptions/{{azure}}|providers/{_PROVIDER}/register",
        f"{_PROVIDER}/register/action",
        register_provider,
    ),
)
ROWS: Final = (OPEN_ROW, *_ARM_ROWS, *arm_authorization.ROWS, *apim_plane.ROWS)


class ArmRoom:
    """Answers on management.azure.com."""

    def __init__(self, world: World, throttle: Throttle | None = None) -> None:
        """`throttle` where two rooms share their buckets."""
        self._world = world
        self._table = Table(ROWS)
        self.throttle = throttle or Throttle()
        self.flights = Flights(world)
        self._ids = random.Random("correlation")  # noqa: S311 - ids, apart from the world's own random

    def answer(self, call: Call) -> Answer:
        """The answer to one request, with the headers that every answer carries."""
        visit = Visit(self._world, call, call.param("api-version") or "")
        try:
            answer = self._admit(visit)
        except ArmError as error:
            answer = error.answer()
        if call.method == "HEAD":
            answer.body = b""
        answer.headers = {**_ALWAYS, **self._trail(), **visit.headers, **answer.headers}
        return answer

    def _admit(self, visit: Visit) -> Answer:
        row = self._find(visit)
        self._check_version(visit, row)
        check_manners(visit.call, row)
        if row is OPEN_ROW:
            return row.perform(visit)
        principal = self._identify(visit)
        self._place(visit, principal)
        self._authorize(visit, row, principal)
        self._charge(visit, row, principal)
        self._find_service(visit)
        if self.flights.blocks(visit.call):
            raise arm_errors.precondition_failed()
        return row.perform(visit)

    def _find(self, visit: Visit) -> Row:
        found = self._table.find(visit.call.method, visit.call.segments)
        if found is None:
            raise arm_errors.not_supported(f"{visit.call.method} {visit.call.path}")
        row, visit.names = found
        return row

    def _check_version(self, visit: Visit, row: Row) -> None:
        """A version whose manners nobody recorded or published is refused, with those that are named."""
        if not visit.version:
            raise arm_errors.missing_api_version()
        supported = row.versions or VERSIONS
        if visit.version not in supported:
            places = sorted({service.location for service in self._world.services.values()})
            raise arm_errors.unknown_api_version(row.kind, visit.version, supported, places)

    def _identify(self, visit: Visit) -> Principal:
        try:
            principal = entra.check_token(self._world, visit.call.headers.get("authorization"), entra.ARM_AUDIENCES)
        except TokenFault as fault:
            raise self._token_error(visit, fault) from fault
        visit.object_id = principal.object_id
        visit.tenant_id = principal.tenant_id
        return principal

    def _token_error(self, visit: Visit, fault: TokenFault) -> ArmError:
        """Each fault of a token in the words of azure-facts 1.6."""
        tenant = self._home_tenant(visit)
        match fault.code:
            case "Missing":
                text = "Authentication failed. The 'Authorization' header is missing."
                return arm_errors.unauthorized("AuthenticationFailed", text, tenant)
            case "WrongAudience":
                return arm_errors.wrong_audience(fault.audience or "", tenant)
            case "WrongIssuer":
                return arm_errors.wrong_tenant(fault.tenant or "", tenant)
            case "Expired":
                expiry = datetime.fromtimestamp(fault.expired_at or 0, UTC)
                text = (
                    f"The access token expiry UTC time '{expiry:%m/%d/%Y %H:%M:%S}' is earlier than "
                    f"current UTC time '{machine_now():%m/%d/%Y %H:%M:%S}'."
                )
                return arm_errors.unauthorized("ExpiredAuthenticationToken", text, tenant)
        return arm_errors.unauthorized("InvalidAuthenticationToken", "The access token is invalid.", tenant)

    def _home_tenant(self, visit: Visit) -> str:
        found = self._world.azure_subscriptions.get(visit.names.get("azure", "").lower())
        return found.tenant_id if found else min(self._world.tenants, default="common")

    def _place(self, visit: Visit, principal: Principal) -> None:
        """The azure subscription and the resource group exist, and the token is of their tenant."""
        name = visit.names.get("azure")
        if name is None:
            return
        found = self._world.azure_subscriptions.get(name.lower())
        if found is None:
            raise arm_errors.azure_subscription_not_found(name)
        if principal.tenant_id.lower() != found.tenant_id.lower():
            raise arm_errors.wrong_tenant(principal.tenant_id, found.tenant_id)
        visit.azure_subscription = found
        group = visit.names.get("group")
        if group is not None and group.lower() not in {known.lower() for known in found.resource_groups}:
            raise arm_errors.resource_group_not_found(group)

    def _authorize(self, visit: Visit, row: Row, principal: Principal) -> None:
        if not row.action or arm_authorization.needs_no_role(self._world, row):
            return
        scope = "/" + "/".join(visit.call.segments[: row.scope_length])
        if not allows(self._world, principal.object_id, row.action, scope):
            # For service principals both names in the text are ids (azure-facts 3.3).
            raise arm_errors.authorization_failed(principal.client_id, principal.object_id, row.action, scope)

    def _charge(self, visit: Visit, row: Row, principal: Principal) -> None:
        now = self._world.clock.boot()
        inside = visit.azure_subscription
        if inside is None:
            toll = self.throttle.take_tenant(principal.tenant_id, principal.object_id, row.method, now)
        else:
            own = is_on(self._world, "post_actions_own_bucket")
            toll = self.throttle.take(inside.id, principal.object_id, row.method, now, own=own)
        visit.headers |= toll.headers
        operation = operation_of(row.method)
        if toll.wait:
            where = inside.id if inside else principal.tenant_id
            raise arm_errors.throttled(operation, where, principal.object_id, toll.wait)

    def _find_service(self, visit: Visit) -> None:
        name = visit.names.get("service")
        if name is None:
            return
        key = "/" + "/".join(visit.call.segments[:8]).lower()
        service = self._world.services.get(key)
        if service is None:
            if is_on(self._world, "service_not_found_by_arm"):
                raise arm_errors.arm_resource_not_found(f"{_PROVIDER}/service", name, visit.names["group"])
            raise arm_errors.service_not_found(name)
        least = service.min_api_version
        if least is not None and visit.version < least:
            raise arm_errors.version_not_allowed(version for version in VERSIONS if version >= least)
        visit.found_service = service

    def _trail(self) -> dict[str, str]:
        """Request id = correlation id, as recorded from 2022 on (azure-recorded 9). Date is emulated time."""
        now = self._world.clock.now()
        name = str(uuid.UUID(bytes=self._ids.randbytes(16), version=4))
        return {
            "Date": format_datetime(now, usegmt=True),
            "x-ms-request-id": name,
            "x-ms-correlation-request-id": name,
            "x-ms-routing-request-id": f"WESTEUROPE:{now:%Y%m%dT%H%M%SZ}:{name}",
        }


def _inside(visit: Visit) -> AzureSubscription:
    if visit.azure_subscription is None:
        raise RuntimeError("this operation stands under no azure subscription")
    return visit.azure_subscription


def _azure_subscription(item: AzureSubscription) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{item.id}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": item.id,
        "tenantId": item.tenant_id,
        "displayName": item.display_name,
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    }


def _resource_group(visit: Visit, name: str) -> dict[str, Any]:
    """Where a group lies is not modelled: it lies where its first service does."""
    inside = _inside(visit)
    places = (
        service.location
        for service in visit.world.services.values()
        if service.azure_subscription.lower() == inside.id.lower() and service.resource_group.lower() == name.lower()
    )
    return {
        "id": f"/subscriptions/{inside.id}/resourceGroups/{name}",
        "name": name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": next(places, "westeurope").replace(" ", "").lower(),
        "properties": {"provisioningState": "Succeeded"},
    }
