"""How Entra's token endpoint says no: the AADSTS codes with their texts, and the one form of every refusal.

Decides: code, status, error word and text (azure-facts 2.5). Where nobody recorded a text or a code, it is ours; the
page of the emulator says which. Never here: who is refused, or a secret or an assertion in a text.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from keyturn_emulator.clock import machine_now
from keyturn_emulator.wire import Answer, json_answer

LOGIN = "login.microsoftonline.com"
HEADERS = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff"}
_CHECK = "Check your federated identity credential Subject, Audience and Issuer against the presented assertion."


@dataclass(slots=True, frozen=True)
class Refusal:
    """One way to say no: HTTP status, OAuth error word, AADSTS number, and the text with its words to fill in."""

    status: int
    error: str
    code: int
    text: str


REFUSALS = {
    "wrong-secret": Refusal(
        401,
        "invalid_client",
        7000215,
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
        "not the client secret ID, for a secret added to app '{app}'.",
    ),
    "expired-secret": Refusal(
        401,
        "invalid_client",
        7000222,
        "The provided client secret keys for app '{app}' are expired. Visit the Azure portal to create new keys for "
        "your app, or consider using certificate credentials for added security.",
    ),
    "unknown-app": Refusal(
        400,
        "unauthorized_client",
        700016,
        "Application with identifier '{app}' was not found in the directory '{tenant}'. This can happen if the "
        "application has not been installed by the administrator of the tenant or consented to by any user in the "
        "tenant. You may have sent your authentication request to the wrong tenant.",
    ),
    "unknown-tenant": Refusal(
        400,
        "invalid_request",
        90002,
        "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the "
        "correct cloud. Check with your subscription administrator, this may happen if there are no active "
        "subscriptions for the tenant.",
    ),
    "unknown-resource": Refusal(
        400,
        "invalid_resource",
        500011,
        "The resource principal named {resource} was not found in the tenant named {tenant}. This can happen if the"
        " application has not been installed by the administrator of the tenant or consented to by any user in the "
        "tenant. You might have sent your authentication request to the wrong tenant.",
    ),
    "bad-scope": Refusal(
        400,
        "invalid_scope",
        1002012,
        "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with "
        "/.default suffixed to the resource identifier (application ID URI).",
    ),
    "missing-field": Refusal(
        400,
        "invalid_request",
        900144,
        "The request body must contain the following parameter: '{field}'.",
    ),
    "grant": Refusal(
        400,
        "unsupported_grant_type",
        70003,
        "The app requested an unsupported grant type '{grant}'. The emulator knows client_credentials only.",
    ),
    "no-thumbprint": Refusal(
        401,
        "invalid_client",
        50027,
        "Invalid JWT token. No certificate thumbprint specified in token header.",
    ),
    "malformed-assertion": Refusal(
        401,
        "invalid_client",
        50027,
        "Invalid JWT token. {why}",
    ),
    "bad-assertion": Refusal(
        401,
        "invalid_client",
        700027,
        "Client assertion contains an invalid signature. [Reason - {why}, Thumbprint of key used by client: '{key}']",
    ),
    "assertion-audience": Refusal(
        401,
        "invalid_client",
        700023,
        "Client assertion audience claim does not match Realm issuer. It is '{audience}'.",
    ),
    "assertion-app": Refusal(
        401,
        "invalid_client",
        700021,
        "Client assertion application identifier doesn't match 'client_id' parameter.",
    ),
    "assertion-time": Refusal(
        401,
        "invalid_client",
        700024,
        "Client assertion is not within its valid time range. Current time: {now}, assertion valid from {start}, "
        "expiry time of assertion {end}.",
    ),
    "replayed-assertion": Refusal(
        401,
        "invalid_client",
        700027,
        "Client assertion was presented before: the emulator was told to take each only once.",
    ),
    "no-federation": Refusal(
        401,
        "invalid_client",
        70025,
        "The client '{app}'({name}) has no configured federated identity credentials.",
    ),
    "federated-issuer": Refusal(
        401,
        "invalid_client",
        700211,
        "No matching federated identity record found for presented assertion issuer '{presented}'. " + _CHECK,
    ),
    "federated-subject": Refusal(
        401,
        "invalid_client",
        700213,
        "No matching federated identity record found for presented assertion subject '{presented}'. " + _CHECK,
    ),
    "federated-audience": Refusal(
        401,
        "invalid_client",
        700212,
        "No matching federated identity record found for presented assertion audience '{presented}'. " + _CHECK,
    ),
    "issuer-unreachable": Refusal(
        400,
        "invalid_request",
        90061,
        "Request to External OIDC endpoint failed. The emulator has the keys of its own two issuers alone.",
    ),
    "unknown-field": Refusal(
        400,
        "invalid_request",
        90014,
        "The emulator does not know the parameter '{field}' of a token request.",
    ),
    "repeated-field": Refusal(
        400,
        "invalid_request",
        90014,
        "The emulator takes the parameter '{field}' of a token request only once.",
    ),
    "two-proofs": Refusal(
        400,
        "invalid_request",
        90014,
        "The emulator takes 'client_secret' or 'client_assertion' in a token request, and not both.",
    ),
}


def refuse(reason: str, **words: str) -> Answer:
    """The refusal of that name in REFUSALS; `words` fill its text. Raises KeyError for one that is not there."""
    refusal = REFUSALS[reason]
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    stamp = machine_now().strftime("%Y-%m-%d %H:%M:%SZ")
    description = (
        f"AADSTS{refusal.code}: {refusal.text.format(**words)}"
        f"\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {stamp}"
    )
    body = {
        "error": refusal.error,
        "error_description": description,
        "error_codes": [refusal.code],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://{LOGIN}/error?code={refusal.code}",
    }
    return json_answer(refusal.status, body, HEADERS)
