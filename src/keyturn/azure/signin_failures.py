# ruff: noqa: PLC0415 - what is costly to import is imported on first use
"""What a failed sign-in means to a person: whose move it is, and which.

Decides by Entra's code where there is one, else by what azure-identity says of the way that was tried. Never here: the
text of an error as it came, but for Entra's code and for what Entra repeats of a federated token's issuer, subject or
audience, without which nobody could mend the federated credential.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from keyturn.azure.broken import why
from keyturn.errors import KeyturnError, Misconfigured, Refused, TryAgain

Way = Literal["default", "client_secret", "certificate", "workload_identity", "github", "managed_identity", "azure_cli"]


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """Who tried to sign in, how, and where. `app` is a client id, or words for one that is not known here."""

    way: Way
    app: str
    tenant: str
    authority: str
    named: bool = True
    """Whether the configuration itself says which app or identity it is."""


_Kind = type[Refused] | type[Misconfigured] | type[TryAgain]
_AGAIN: Final = "Run `az login` again."
SAYINGS: Final[dict[str, tuple[_Kind, str, str]]] = {
    "7000215": (
        Refused,
        "Entra refused the client secret of app {app}",
        "Check that the secret's value is given, not its id, and that it belongs to this app.",
    ),
    "7000222": (
        Refused,
        "the client secret of app {app} has expired",
        "Add a new secret to the app registration and give that one.",
    ),
    "700016": (
        Misconfigured,
        "Entra knows no app {app} in tenant {tenant}",
        "Check client_id and tenant: the app may live in another tenant.",
    ),
    "7000229": (
        Misconfigured,
        "app {app} has no service principal in tenant {tenant}",
        "Run `az ad sp create --id {app}` in that tenant, or check tenant.",
    ),
    "7000112": (Refused, "app {app} is disabled", "Ask whoever runs tenant {tenant} to enable it."),
    "90002": (
        Misconfigured,
        "Entra knows no tenant {tenant}",
        "Check tenant, and that `cloud` names the cloud that the tenant is in.",
    ),
    "900023": (Misconfigured, "{tenant} is no tenant", "Give the tenant's id or one of its domain names."),
    "500011": (
        Misconfigured,
        "tenant {tenant} does not know the resource that a token was asked for",
        "Check the audience of `cloud`.",
    ),
    # certificates
    "700027": (
        Refused,
        "Entra refused the certificate of app {app}",
        "Check that the certificate is registered with the app and has not expired.",
    ),
    "700023": (
        Misconfigured,
        "the assertion of app {app} is for another Entra",
        "Check the authority of `cloud`.",
    ),
    "700024": (
        Refused,
        "what proves to be app {app} is out of its time",
        "Check this machine's clock.",
    ),
    "700021": (Refused, "Entra refused the assertion of app {app}", "Check client_id."),
    "50027": (Refused, "Entra cannot read what should prove to be app {app}", "Check that it is a token or assertion."),
    # federated identity
    "700211": (
        Refused,
        "app {app} trusts no token of the issuer {presented}",
        "Add a federated credential with exactly this issuer; a slash at its end counts.",
    ),
    "700213": (
        Refused,
        "no federated credential of app {app} is for the subject {presented}",
        "Add one with exactly this subject, capitals and all.",
    ),
    "700212": (
        Refused,
        "no federated credential of app {app} is for the audience {presented}",
        "Make both audiences the same: api://AzureADTokenExchange, unless there is a reason.",
    ),
    "70021": (
        Refused,
        "no federated credential of app {app} matches what runs here",
        "Compare its issuer, subject and audience with the token's.",
    ),
    "70025": (
        Refused,
        "app {app} has no federated credential at all",
        "Add one for what runs here to the app registration or to the managed identity.",
    ),
    "90061": (
        TryAgain,
        "Entra could not ask the token's issuer for its keys",
        "It passes by itself if the issuer can be reached from the internet; otherwise open that to Entra.",
    ),
    # az: a person's own sign-in
    "50173": (Refused, "the sign-in of az was revoked", _AGAIN),
    "700082": (Refused, "the sign-in of az has run out", _AGAIN),
    "70043": (Refused, "the sign-in of az has run out", _AGAIN),
    "50076": (Refused, "Entra asks whoever is signed in to az for another factor", _AGAIN),
    "50078": (Refused, "Entra asks whoever is signed in to az for another factor", _AGAIN),
    "50079": (Refused, "Entra asks whoever is signed in to az for another factor", _AGAIN),
}
"""AADSTS code: whose move, sentence, hint (azure-facts 2.5). The sentences are ours: Entra's texts change."""
# The same code means another move where the proof came another way: a hint in the place of the usual one.
_FURTHER: Final[dict[tuple[str, Way], str]] = {
    (
        "700213",
        "github",
    ): "Its subject says repository and branch, environment or pull request, capitals and all: add a "
    "federated credential with exactly this one, or run from where there is one.",
    ("700213", "workload_identity"): "It is namespace and service account of this pod: add a federated credential with "
    "exactly this subject, or run under the account that has one.",
    (
        "700211",
        "workload_identity",
    ): "It is this cluster's: add a federated credential with exactly this issuer, a slash at its end and all.",
    ("700212", "github"): "Write the federated credential's audience in signin.github.audience.",
    ("700212", "workload_identity"): "The volume of the token says audience: make it the federated credential's.",
    (
        "700024",
        "workload_identity",
    ): "The cluster should have replaced the token in the file: look at the pod's volume, and at this machine's clock.",
    ("700024", "certificate"): "Check this machine's clock: the assertion was signed a moment ago.",
    ("700027", "github"): "The token's signature is not its issuer's: nothing but GitHub may set "
    "ACTIONS_ID_TOKEN_REQUEST_URL.",
    (
        "700027",
        "workload_identity",
    ): "The token's signature is not its issuer's: does the cluster publish the key that it signs with?",
}
_OTHER_SENTENCES: Final[dict[tuple[str, Way], str]] = {
    ("700027", "github"): "Entra refused the token that GitHub gave for app {app}",
    ("700027", "workload_identity"): "Entra refused the service account's token for app {app}",
}
_CODE: Final = re.compile(r"AADSTS(\d+)")
_PRESENTED: Final = re.compile(r"presented assertion (?:subject|issuer|audience) '([^'\r\n]{1,200})'")


def explain(error: Exception, who: Who) -> KeyturnError:
    """Refused, Misconfigured or TryAgain; a KeyturnError as it is."""
    if isinstance(error, KeyturnError):
        return error
    text = str(error)
    found = _CODE.search(text)
    if found is not None:
        return _entra_said(found[1], text, who)
    special = _of_machine(text, who) or (_of_az(text) if who.way == "azure_cli" else None)
    if special is not None:
        return special
    if _is_network(error):
        broke = why(error, who.authority)
        if broke.persons:
            return Refused(f"sign-in: {broke.sentence}", hint=broke.hint)
        return TryAgain(f"sign-in: cannot reach {who.authority}", after=30.0)
    if "authority configuration" in text or "authority metadata" in text:
        return Misconfigured(
            f"{who.authority} does not serve tenant {who.tenant}", hint="Check tenant and the authority of `cloud`."
        )
    if who.way != "default":
        return TryAgain(f"sign-in as app {who.app} failed ({type(error).__name__})", after=60.0)
    return Misconfigured(
        "nothing to sign in with: no environment variables, workload identity, managed identity or az login was found",
        hint="Run `az login`, or say how to sign in with `signin:` in the configuration.",
    )


def _entra_said(number: str, text: str, who: Who) -> KeyturnError:
    code = f"AADSTS{number}"
    # A variant with one more digit, such as 7002138, says the same of a federated credential that matches by case or
    # expression (Azure/login issue 517).
    known = number if number in SAYINGS else number[:6] if number[:6] in ("700211", "700212", "700213") else None
    if known is None:
        return Refused(
            f"Entra refused to sign in app {who.app} ({code})",
            code=code,
            hint=f"Look {code} up at https://login.microsoftonline.com/error?code={number}",
        )
    kind, sentence, hint = SAYINGS[known]
    words = {"app": who.app, "tenant": who.tenant, "presented": _presented(text)}
    said = f"{_OTHER_SENTENCES.get((known, who.way), sentence).format(**words)} ({code})"
    hint = _FURTHER.get((known, who.way), hint).format(**words)
    if kind is Refused:
        return Refused(said, status=401, code=code, hint=hint)
    return TryAgain(said, after=300.0, hint=hint) if kind is TryAgain else Misconfigured(said, hint=hint)


def _presented(text: str) -> str:
    """What Entra repeats of the token: a name, never a part of the token itself."""
    found = _PRESENTED.search(text)
    return found[1] if found is not None and found[1].isprintable() else "of what runs here"


# Of the machine's endpoint, of App Service's, and of App Service's earlier one.
_NOT_ASSIGNED: Final = ("Identity not found", "Managed Identity found for", "No MSI found")

_TOKEN_REQUEST: Final = re.compile(r"Token request error: \((?P<error>[^)]{0,60})\)(?: (?P<status>\d{3}),)?")
# App Service's refusals have a status instead of an error; msal calls each of them invalid_scope.
_FINAL: Final = frozenset({"invalid_request", "invalid_resource", "invalid_scope", "unauthorized_client"})
_PASSING: Final = frozenset({408, 429, *range(500, 600)})


def _of_machine(text: str, who: Who) -> KeyturnError | None:
    """What a managed-identity endpoint said, or that none did."""
    if who.way not in ("managed_identity", "default"):
        return None
    mine = f" with the client id {who.app}" if who.way == "managed_identity" and who.named else ""
    if any(words in text for words in _NOT_ASSIGNED):
        return Refused(
            f"this machine has no managed identity{mine}",
            status=400,
            hint="Assign it to the machine or the app in Azure; signin.managed_identity.client_id must be that of a "
            "user-assigned one, and be left out for the system-assigned one.",
        )
    if who.way == "default":
        return None
    asked = _TOKEN_REQUEST.search(text)
    if asked is not None and (asked["error"] not in _FINAL or int(asked["status"] or 0) in _PASSING):
        return TryAgain("this machine's managed identity endpoint is not able to give a token now", after=60.0)
    if asked is not None:
        return Refused(
            f"this machine's managed identity endpoint gives no token{mine} ({asked['error']})",
            hint="Look at the machine's or the app's identity in Azure; nothing but Azure may set IDENTITY_ENDPOINT "
            "and IDENTITY_HEADER.",
        )
    return TryAgain(
        "no managed identity endpoint answers on this machine",
        after=60.0,
        hint="On Azure it passes by itself. Elsewhere there is none: choose another `signin`.",
    )


def _of_az(text: str) -> KeyturnError:
    if "not found on path" in text:
        return Misconfigured(
            "signin.azure_cli: az is not installed here, or not on PATH",
            hint="Install the Azure CLI, or choose another `signin`.",
        )
    if "az login" in text:
        return Misconfigured("signin.azure_cli: nobody is signed in to az", hint="Run `az login`.")
    if "Failed to invoke" in text or "Failed to execute" in text:
        return TryAgain("az did not answer in time, or could not be started", after=60.0)
    return Refused(
        "az gave no token",
        hint="Run `az account get-access-token --resource https://management.azure.com` to see what it says.",
    )


def _is_network(error: BaseException | None) -> bool:
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError

    while error is not None:
        if isinstance(error, (ServiceRequestError, ServiceResponseError, ConnectionError, TimeoutError)):
            return True
        error = error.__cause__ or error.__context__
    return False
