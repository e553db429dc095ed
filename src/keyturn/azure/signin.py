# ruff: noqa: PLC0415 - what is costly to import is imported on first use
"""Signing in to Entra.

Decides which of azure-identity's credentials is used, how long a token is reused, and what a failed sign-in means to
a person. Never here: the secret in a sentence, or a token in a log.
"""

from __future__ import annotations

import os
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from keyturn.azure.cloud import Cloud
from keyturn.errors import KeyturnError, Misconfigured, Refused, TryAgain, variable
from keyturn.model import Secret

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
    from azure.identity import ClientSecretCredential, DefaultAzureCredential

REFRESH_BEFORE: Final = 300.0
"""A token with no more than this many seconds left is not used any more, as azure-identity does."""


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """How to sign in. Without a client id: whatever DefaultAzureCredential finds.

    The client secret is given as `secret`, or as `secret_env`, the name of an environment variable that holds it.
    """

    tenant: str | None = None
    client_id: str | None = None
    secret: Secret | None = None
    secret_env: str | None = None


DEFAULT = SignIn()


def credential(signin: SignIn, cloud: Cloud) -> ClientSecretCredential | DefaultAzureCredential:
    """azure-identity's own credential. Makes no call. Raises Misconfigured."""
    trust: dict[str, Any] = {
        "authority": cloud.authority,
        "disable_instance_discovery": cloud.disable_instance_discovery,
        "connection_verify": cloud.ca_bundle or True,
    }
    secret = _secret(signin)
    if secret is None:
        from azure.identity import DefaultAzureCredential

        return DefaultAzureCredential(**trust)
    if not signin.tenant or not signin.client_id:
        raise Misconfigured(
            "signing in with a client secret needs tenant and client_id", hint="Add both beside the client secret."
        )
    from azure.identity import ClientSecretCredential

    return ClientSecretCredential(signin.tenant, signin.client_id, secret.reveal(), **trust)


class Identity:
    """One signed-in principal, shared by every driver; a TokenCredential for the Azure libraries, too.

    Thread-safe. Tokens are judged by the machine's clock, because they are by the libraries as well.
    """

    def __init__(self, signin: SignIn, cloud: Cloud) -> None:
        self.signin = signin
        self.cloud = cloud
        self._lock = threading.RLock()
        self._credential: ClientSecretCredential | DefaultAzureCredential | None = None
        self._tokens: dict[str, AccessToken] = {}

    def token(self, scope: str) -> Secret:
        """A token for `scope` with some minutes left. Raises Refused, Misconfigured, TryAgain."""
        with self._lock:
            held = self._tokens.get(scope)
            if held is None or held.expires_on - time.time() <= REFRESH_BEFORE:
                try:
                    held = self._own().get_token(scope)
                except KeyturnError:
                    raise
                except Exception as error:  # noqa: BLE001 - azure-identity lets strangers' exceptions through
                    raise self.explain(error) from None
                self._tokens[scope] = held
            return Secret(held.token)

    def forget(self) -> None:
        """Drop every token: one of them was refused before its time."""
        with self._lock:
            self._tokens.clear()
            self._credential = None

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """For the Azure libraries; raises what they expect."""
        return self._own().get_token(*scopes, **options)

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """For the Azure libraries; raises what they expect."""
        return self._own().get_token_info(*scopes, options=options)

    def _own(self) -> ClientSecretCredential | DefaultAzureCredential:
        with self._lock:
            if self._credential is None:
                self._credential = credential(self.signin, self.cloud)
            return self._credential

    def explain(self, error: Exception) -> KeyturnError:
        """What a failed sign-in means: Refused, Misconfigured or TryAgain, never with the secret in it."""
        return explain(error, self.signin, self.cloud)


_ENTRA_CODE: Final = re.compile(r"AADSTS(\d+)")
# AADSTS code -> whose move, sentence, hint (azure-facts 2.5). The sentences are ours: Entra's texts change.
_SAYINGS: Final[dict[str, tuple[type[Refused | Misconfigured], str, str]]] = {
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
    "700213": (
        Refused,
        "no federated identity of app {app} matches this workload",
        "Compare the federated credential's subject with the workload's.",
    ),
    "700027": (
        Refused,
        "Entra refused the certificate of app {app}",
        "Check that the certificate is registered with the app and has not expired.",
    ),
}


def explain(error: Exception, signin: SignIn, cloud: Cloud) -> KeyturnError:
    """What a failed sign-in means to a person. The error's own text is not passed on, but for Entra's code."""
    app = signin.client_id or os.environ.get("AZURE_CLIENT_ID") or "of this machine"
    tenant = signin.tenant or os.environ.get("AZURE_TENANT_ID") or "of this machine"
    text = str(error)
    found = _ENTRA_CODE.search(text)
    if found is not None:
        return _entra_said(found[1], app, tenant)
    if _is_network(error):
        return TryAgain(f"sign-in: cannot reach {cloud.authority}", after=30.0)
    if "authority configuration" in text or "authority metadata" in text:
        return Misconfigured(
            f"{cloud.authority} does not serve tenant {tenant}", hint="Check tenant and the authority of `cloud`."
        )
    if _secret_given(signin):
        return TryAgain(f"sign-in as app {app} failed ({type(error).__name__})", after=60.0)
    return Misconfigured(
        "nothing to sign in with: no environment variables, workload identity, managed identity or az login was found",
        hint="Run `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET.",
    )


def _entra_said(number: str, app: str, tenant: str) -> KeyturnError:
    code = f"AADSTS{number}"
    saying = _SAYINGS.get(number)
    if saying is None:
        return Refused(
            f"Entra refused to sign in app {app} ({code})",
            code=code,
            hint=f"Look {code} up at https://login.microsoftonline.com/error?code={number}",
        )
    kind, sentence, hint = saying
    sentence = f"{sentence.format(app=app, tenant=tenant)} ({code})"
    return (
        Refused(sentence, status=401, code=code, hint=hint) if kind is Refused else Misconfigured(sentence, hint=hint)
    )


def _is_network(error: BaseException | None) -> bool:
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError

    while error is not None:
        if isinstance(error, (ServiceRequestError, ServiceResponseError, ConnectionError, TimeoutError)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _secret_given(signin: SignIn) -> bool:
    return signin.secret is not None or signin.secret_env is not None


def _secret(signin: SignIn) -> Secret | None:
    if signin.secret is not None or signin.secret_env is None:
        return signin.secret
    value = os.environ.get(signin.secret_env, "")
    if not value:
        raise Misconfigured(
            f"signin.client_secret.secret_env: {variable(signin.secret_env)} is empty or not set",
            hint="Put the app's client secret into it.",
        )
    return Secret(value)
