"""The errors of Azure Resource Manager and of API Management, as one exception with its wire form.

Decides: which code, text and shape an error has. Never here: when an error is due (that is each room's
business), and never a key value, not even in a message about a bad one.

Resource Manager's own errors are `{"error":{"code","message"}}`; API Management adds `details`, null when
there are none (azure-recorded 4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from keyturn_emulator.wire import Answer, json_answer

ALLOWED_AUDIENCES = (
    "https://management.core.windows.net/",
    "https://management.core.windows.net",
    "https://management.azure.com/",
    "https://management.azure.com",
)


class ArmError(Exception):
    """A refusal on its way to the wire. `more` joins code and message inside `error`."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        more: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.more = dict(more or {})
        self.headers = dict(headers or {})

    def answer(self) -> Answer:
        error = {"code": self.code, "message": self.message, **self.more}
        return json_answer(self.status, {"error": error}, self.headers)


# The emulator's own refusals: Azure may well answer here, this emulator does not know how.


def not_supported(what: str) -> ArmError:
    """501, never an Azure code, so that nobody mistakes a gap of the emulator for Azure's opinion."""
    return ArmError(501, "NotSupportedByEmulator", f"This emulator does not serve {what}.")


# Resource Manager, before any resource provider is asked (azure-facts 1.1, 1.6, 3.3).


def missing_api_version() -> ArmError:
    return ArmError(
        400,
        "MissingApiVersionParameter",
        "The api-version query parameter (?api-version=) is required for all requests.",
    )


def unknown_api_version(kind: str, version: str, supported: Iterable[str], places: Iterable[str]) -> ArmError:
    places = list(places)
    message = (
        f"No registered resource provider found for location '{places[0] if places else ''}' and API version "
        f"'{version}' for type '{kind}'. The supported api-versions are '{', '.join(supported)}'. "
        f"The supported locations are '{', '.join(places)}'."
    )
    return ArmError(400, "NoRegisteredProviderFound", message)


def unauthorized(code: str, message: str, tenant: str) -> ArmError:
    """401 with the challenge that names where tokens come from (azure-facts 1.6)."""
    challenge = (
        f'Bearer authorization_uri="https://login.windows.net/{tenant}", error="invalid_token", '
        f'error_description="{message}"'
    )
    return ArmError(401, code, message, headers={"WWW-Authenticate": challenge})


def wrong_audience(audience: str, tenant: str) -> ArmError:
    allowed = ",".join(f"'{name}'" for name in ALLOWED_AUDIENCES)
    message = (
        f"The access token has been obtained for wrong audience or resource '{audience}'. It should exactly "
        f"match with one of the allowed audiences {allowed}."
    )
    return unauthorized("InvalidAuthenticationTokenAudience", message, tenant)


def wrong_tenant(got: str, want: str) -> ArmError:
    message = (
        f"The access token is from the wrong issuer 'https://sts.windows.net/{got}/'. It must match the "
        f"tenant 'https://sts.windows.net/{want}/' associated with this subscription. Please use the "
        f"authority (URL) 'https://login.windows.net/{want}' to get the token. Note, if the subscription is "
        "transferred to another tenant there is no impact to the services, but information about new tenant "
        "could take time to propagate (up to an hour). If you just transferred your subscription and see "
        "this error message, please try back later."
    )
    return unauthorized("InvalidAuthenticationTokenTenant", message, want)


def azure_subscription_not_found(name: str) -> ArmError:
    return ArmError(404, "SubscriptionNotFound", f"The subscription '{name}' could not be found.")


def resource_group_not_found(name: str) -> ArmError:
    return ArmError(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")


def authorization_failed(client_id: str, object_id: str, action: str, scope: str) -> ArmError:
    message = (
        f"The client '{client_id}' with object id '{object_id}' does not have authorization to perform "
        f"action '{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, "
        "please refresh your credentials."
    )
    return ArmError(403, "AuthorizationFailed", message)


def arm_resource_not_found(kind: str, name: str, resource_group: str) -> ArmError:
    message = (
        f"The Resource '{kind}/{name}' under resource group '{resource_group}' "
        "was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
    )
    return ArmError(404, "ResourceNotFound", message)


def invalid_content(why: str) -> ArmError:
    message = f"The request content was invalid and could not be deserialized: '{why}'."
    return ArmError(400, "InvalidRequestContent", message)


# API Management itself (azure-recorded 8, azure-facts 1.5 and 1.6).


def service_not_found(name: str) -> ArmError:
    more = {"details": None, "innerError": None}
    return ArmError(404, "ServiceNotFound", f"Api service does not exist: {name}", more)


def entity_not_found(kind: str) -> ArmError:
    """`kind` as Azure words it: "Subscription", "User", "Product", "API"."""
    return ArmError(404, "ResourceNotFound", f"{kind} not found.", {"details": None})


def invalid_fields(*wrong: tuple[str, str]) -> ArmError:
    """400 with one detail for each (target, message)."""
    details = [{"code": "ValidationError", "target": target, "message": text} for target, text in wrong]
    message = "One or more fields contain incorrect values:"
    return ArmError(400, "ValidationError", message, {"details": details})


def precondition_failed() -> ArmError:
    message = "Resource was modified since last retrieval. Please retrieve latest version."
    return ArmError(412, "PreconditionFailed", message, {"details": None})


def not_in_this_tier() -> ArmError:
    return ArmError(400, "MethodNotAllowedInPricingTier", "Method not allowed in this pricing tier", {"details": None})


def version_not_allowed(supported: Iterable[str]) -> ArmError:
    message = (
        "API version query parameter is not specified or was specified incorrectly.  Supported versions: "
        f"{','.join(supported)}"
    )
    return ArmError(400, "MissingOrIncorrectVersionParameter", message, {"details": None})


def throttled(operation: str, where: str, actor: str, wait: int) -> ArmError:
    """429 in the words seen against Microsoft.ApiManagement (azure-recorded 8). `wait` in seconds."""
    message = (
        f"Number of '{operation.removesuffix('s')}' requests for subscription actor '{where}:{actor}' "
        f"exceeded. Please try again after '{wait}' seconds after additional tokens are available. Refer to "
        "https://aka.ms/arm-throttling for additional information."
    )
    return ArmError(429, "SubscriptionRequestsThrottled", message, headers={"Retry-After": str(wait)})
