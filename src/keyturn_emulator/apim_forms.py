"""The JSON forms of API Management: what a stored entity looks like on the wire, by api-version.

Decides: which fields an answer has, null or absent, and how dates and ids are written. Never here: state
changes, or what a request may say. `keys` is the only way a key value gets into a form.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from keyturn_emulator.apim import Api, ApimService, ApimSubscription, Operation, Product, User, etag_of

# The versions whose manners are known: recorded up to 2022-08-01, published examples for 2024-05-01.
VERSIONS: Final = ("2019-12-01", "2021-08-01", "2022-08-01", "2024-05-01")
_TYPE: Final = "Microsoft.ApiManagement/service"


def patch_echoes(version: str) -> bool:
    """PATCH answers 204 up to 2019-12-01, and the entity with its keys after (azure-recorded 3)."""
    return version >= "2021-08-01"


def subscription(
    service: ApimService,
    entity: ApimSubscription,
    version: str,
    *,
    under: str = "",
    keys: bool = False,
    fresh: bool = False,
) -> dict[str, Any]:
    """`under`: `/products/x` or `/users/x` for their own lists.

    `keys`: an answer that echoes. `fresh`: to its PUT.
    """
    properties: dict[str, Any] = {}
    if entity.owner is not None:  # absent, not null, without an owner (azure-recorded 4)
        properties["ownerId"] = f"{service.id}/users/{entity.owner}"
        if keys:
            properties["user"] = _owner(service, entity.owner)
    properties |= {
        "scope": f"{service.id}{entity.scope}",
        "displayName": entity.display_name,
        "state": entity.state,
        "createdDate": _seven_digits(entity.created) if fresh else _trimmed(entity.created),
        "startDate": _trimmed(entity.started),
        "expirationDate": _trimmed(entity.expires),
        "endDate": _trimmed(entity.ended),
        "notificationDate": _trimmed(entity.notifies),
        "stateComment": entity.state_comment,
    }
    if keys:
        properties |= {"primaryKey": entity.primary, "secondaryKey": entity.secondary}
    if version >= "2022-08-01":  # always there from then on, before only if ever set (azure-recorded 4)
        properties["allowTracing"] = bool(entity.allow_tracing)
    elif entity.allow_tracing is not None:
        properties["allowTracing"] = entity.allow_tracing
    kind = under.split("/")[1] if under else ""
    return {
        "id": f"{service.id}{under}/subscriptions/{entity.sid}",
        "type": f"{_TYPE}/{kind}/subscriptions" if kind else f"{_TYPE}/subscriptions",
        "name": entity.sid,
        "properties": properties,
    }


def product(service: ApimService, entity: Product) -> dict[str, Any]:
    properties = {
        "displayName": entity.display_name or entity.id,
        "description": None,
        "terms": None,
        "subscriptionRequired": entity.subscription_required,
        # Azure gives these two to products that require an apim subscription only
        **(
            {"approvalRequired": entity.approval_required, "subscriptionsLimit": None}
            if entity.subscription_required
            else {}
        ),
        "state": "published",
    }
    return _entity(service, "products", entity.id, properties)


def api(service: ApimService, entity: Api, under: str = "") -> dict[str, Any]:
    properties = {
        "displayName": entity.display_name or entity.id,
        "apiRevision": "1",
        "description": None,
        "subscriptionRequired": entity.subscription_required,
        "serviceUrl": None,
        "path": entity.path,
        "protocols": ["https"],
        "authenticationSettings": None,
        "subscriptionKeyParameterNames": {"header": entity.header, "query": entity.query},
        "isCurrent": True,
    }
    return _entity(service, "apis", entity.id, properties, under)


def operation(service: ApimService, api: Api, entity: Operation) -> dict[str, Any]:
    names = re.findall(r"{([^}]+)}", entity.url)
    properties: dict[str, Any] = {
        "displayName": entity.display_name or entity.id,
        "method": entity.method,
        "urlTemplate": entity.url,
        "templateParameters": [
            {"name": name, "description": None, "type": "string", "required": True, "values": []} for name in names
        ],
        "description": None,
        "request": {"description": None, "queryParameters": [], "headers": [], "representations": []},
        "responses": [],
        "policies": None,
    }
    return _entity(service, "operations", entity.id, properties, f"/apis/{api.id}")


def user(service: ApimService, entity: User) -> dict[str, Any]:
    return _entity(service, "users", entity.id, _person(service, entity))


def service_form(service: ApimService, version: str) -> dict[str, Any]:
    """Every optional field is there as null, targetProvisioningState is empty text (azure-recorded 4)."""
    first, *others = service.gateways
    host = service.name.lower()
    properties: dict[str, Any] = {
        "publisherEmail": f"admin@{host}.example",
        "publisherName": service.name,
        "notificationSenderEmail": "apimgmt-noreply@mail.windowsazure.com",
        "provisioningState": "Succeeded",
        "targetProvisioningState": "",
        "createdAtUtc": _seven_digits(service.created),
        "gatewayUrl": f"https://{service.host}",
        "gatewayRegionalUrl": f"https://{first.host}",
        "portalUrl": f"https://{host}.portal.azure-api.net",
        "developerPortalUrl": f"https://{host}.developer.azure-api.net",
        "managementApiUrl": f"https://{host}.management.azure-api.net",
        "scmUrl": f"https://{host}.scm.azure-api.net",
        "hostnameConfigurations": [
            {
                "type": "Proxy",
                "hostName": service.host,
                "encodedCertificate": None,
                "keyVaultId": None,
                "certificatePassword": None,
                "negotiateClientCertificate": False,
                "certificate": None,
                "defaultSslBinding": True,
                "identityClientId": None,
                "certificateSource": "BuiltIn",
                "certificateStatus": None,
            }
        ],
        "publicIPAddresses": None,
        "privateIPAddresses": None,
        "additionalLocations": [_location(service, place.region, place.host) for place in others] or None,
        "virtualNetworkConfiguration": None,
        "customProperties": None,
        "virtualNetworkType": "None",
        "certificates": None,
        "disableGateway": False,
        "apiVersionConstraint": {"minApiVersion": service.min_api_version},
        "publicIpAddressId": None,
        "publicNetworkAccess": "Enabled",
        "privateEndpointConnections": None,
        "platformVersion": "stv2",
    }
    if version >= "2022-08-01":
        properties |= {"natGatewayState": "Disabled", "outboundPublicIPAddresses": None}
    return {
        "id": service.id,
        "name": service.name,
        "type": _TYPE,
        "tags": {},
        "location": service.location,
        "etag": etag_of(service.row).strip('"'),
        "properties": properties,
        "sku": {"name": service.sku, "capacity": 1},
        "identity": None,
        "zones": None,
    }


def _entity(service: ApimService, kind: str, name: str, properties: dict[str, Any], under: str = "") -> dict[str, Any]:
    above = under.split("/")[1] + "/" if under else ""
    return {
        "id": f"{service.id}{under}/{kind}/{name}",
        "type": f"{_TYPE}/{above}{kind}",
        "name": name,
        "properties": properties,
    }


def _owner(service: ApimService, name: str) -> dict[str, Any]:
    """The owner inside a PUT or PATCH answer: groups and identities are empty there (azure-recorded 4)."""
    person = service.users[name.lower()]
    return {
        "id": f"{service.id}/users/{person.id}",
        **_person(service, person),
        "groups": [],
        "identities": [],
    }


def _person(service: ApimService, entity: User) -> dict[str, Any]:
    return {
        "firstName": entity.first_name,
        "lastName": entity.last_name,
        "email": entity.email,
        "state": "active",
        "registrationDate": _trimmed(service.created),
        "note": None,
        "identities": [],
    }


def _location(service: ApimService, region: str, host: str) -> dict[str, Any]:
    return {
        "location": region,
        "sku": {"name": service.sku, "capacity": 1},
        "zones": None,
        "publicIPAddresses": None,
        "privateIPAddresses": None,
        "virtualNetworkConfiguration": None,
        "gatewayRegionalUrl": f"https://{host}",
        "natGatewayState": "Disabled",
        "outboundPublicIPAddresses": None,
        "publicIpAddressId": None,
        "disableGateway": False,
        "platformVersion": "stv2",
    }


def _seven_digits(moment: datetime) -> str:
    """The form of a create answer: 7 fraction digits (azure-recorded 6)."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def _trimmed(moment: datetime | None) -> str | None:
    """The form of every later answer: cut to milliseconds, trailing zeros dropped (azure-recorded 6)."""
    if moment is None:
        return None
    fraction = f"{moment.microsecond // 1000:03}".rstrip("0")
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"
