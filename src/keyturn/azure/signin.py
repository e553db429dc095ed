# ruff: noqa: PLC0415 - what is costly to import is imported on first use
"""Signing in to Entra.

Decides which of azure-identity's credentials is used, and how long a token is reused. Never here: what proves who we
are (`proofs`), what a failure means (`signin_failures`), the secret in a sentence, or a token in a log.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from keyturn.azure import proofs, signin_failures
from keyturn.azure.cloud import Cloud
from keyturn.azure.once import Abandoned, bounded
from keyturn.azure.quoting import hide_in_logs
from keyturn.azure.signin_failures import Way, Who
from keyturn.azure.transport import transport
from keyturn.config import AzureCli, Certificate, GitHub, ManagedIdentity, WorkloadIdentity
from keyturn.errors import KeyturnError, Misconfigured, TryAgain, variable
from keyturn.model import Secret

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
    from azure.identity import (
        AzureCliCredential,
        CertificateCredential,
        ClientAssertionCredential,
        ClientSecretCredential,
        DefaultAzureCredential,
        ManagedIdentityCredential,
    )

    AnyCredential = (
        AzureCliCredential
        | CertificateCredential
        | ClientAssertionCredential
        | ClientSecretCredential
        | DefaultAzureCredential
        | ManagedIdentityCredential
    )

REFRESH_BEFORE: Final = 300.0
"""A token with no more than this many seconds left is not used any more, as azure-identity does."""


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """With a client secret; without one: whatever DefaultAzureCredential finds. Other ways are the configuration's.

    The client secret is given as `secret`, or as `secret_env`, the name of an environment variable that holds it.
    """

    tenant: str | None = None
    client_id: str | None = None
    secret: Secret | None = None
    secret_env: str | None = None


DEFAULT: Final = SignIn()
AnySignIn = SignIn | Certificate | WorkloadIdentity | GitHub | ManagedIdentity | AzureCli
"""Every way that a configuration may choose."""
TENANT, CLIENT, TOKEN_FILE = "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"
AZ_SECONDS: Final = 30
"""What az may take; it starts slowly."""
LIMIT: Final = 60.0
"""Machine seconds that getting one token may take, however the answer drips, and that one waits for another's."""
IMDS_RETRIES: Final = 3
"""Fewer than azure-identity's own five, which take half a minute: keyturn tries again by itself."""


def credential(signin: AnySignIn, cloud: Cloud) -> AnyCredential:
    """azure-identity's own credential. Makes no call. Raises Misconfigured."""
    import azure.identity as theirs

    trust: dict[str, Any] = {
        "authority": cloud.authority,
        "disable_instance_discovery": cloud.disable_instance_discovery,
        "transport": transport(cloud),
    }
    match signin:
        case Certificate():
            proof = proofs.certificate(signin)
            return theirs.CertificateCredential(
                signin.tenant,
                signin.client_id,
                certificate_data=proof.content,
                password=proof.password,
                send_certificate_chain=signin.send_chain,
                **trust,
            )
        case WorkloadIdentity():
            tenant, client, file = _workload(signin)
            # Not WorkloadIdentityCredential: it keeps what it read for ten minutes, and lets a missing file through
            # as it is.
            return theirs.ClientAssertionCredential(tenant, client, lambda: proofs.service_account_token(file), **trust)
        case GitHub():
            return theirs.ClientAssertionCredential(
                signin.tenant, signin.client_id, lambda: proofs.github_token(signin), **trust
            )
        case ManagedIdentity():
            return theirs.ManagedIdentityCredential(client_id=signin.client_id, retry_total=IMDS_RETRIES)
        case AzureCli():
            return theirs.AzureCliCredential(tenant_id=signin.tenant or "", process_timeout=AZ_SECONDS)
    secret = _secret(signin)
    if secret is None:
        del trust["transport"]  # it asks this machine's endpoint as well, which has timeouts and no proxy of its own
        return theirs.DefaultAzureCredential(connection_verify=cloud.ca_bundle or True, **trust)
    if not signin.tenant or not signin.client_id:
        raise Misconfigured(
            "signing in with a client secret needs tenant and client_id", hint="Add both beside the client secret."
        )
    hide_in_logs(secret, "azure", "msal")
    return theirs.ClientSecretCredential(signin.tenant, signin.client_id, secret.reveal(), **trust)


def _workload(signin: WorkloadIdentity) -> tuple[str, str, str]:
    """Tenant, client id and token file, from the configuration or else from what the cluster's webhook sets."""
    given = {"tenant": signin.tenant, "client_id": signin.client_id, "token_file": signin.token_file}
    variables = {"tenant": TENANT, "client_id": CLIENT, "token_file": TOKEN_FILE}
    found = {name: value or os.environ.get(variables[name], "").strip() for name, value in given.items()}
    missing = [name for name, value in found.items() if not value]
    if missing:
        raise Misconfigured(
            f"signin.workload_identity: no {' and no '.join(missing)}, and "
            f"{' and '.join(variables[name] for name in missing)} {'is' if len(missing) == 1 else 'are'} not set",
            hint='Label the pod azure.workload.identity/use: "true" and annotate its service account, so that the '
            "cluster sets them; or write them in the configuration.",
        )
    return found["tenant"], found["client_id"], found["token_file"]


class Identity:
    """One signed-in principal, shared by every driver; a TokenCredential for the Azure libraries, too.

    Thread-safe. Tokens are judged by the machine's clock, because they are by the libraries as well.
    """

    def __init__(self, signin: AnySignIn, cloud: Cloud) -> None:
        self.signin = signin
        self.cloud = cloud
        self._lock = threading.RLock()
        self._credential: AnyCredential | None = None
        self._tokens: dict[str, AccessToken] = {}

    def token(self, scope: str) -> Secret:
        """A token for `scope` with some minutes left. Raises Refused, Misconfigured, TryAgain."""
        if not self._lock.acquire(timeout=LIMIT):
            raise self._silent()
        try:
            held = self._tokens.get(scope)
            if held is None or held.expires_on - time.time() <= REFRESH_BEFORE:
                held = self._tokens[scope] = self._fetch(scope)
            return Secret(held.token)
        finally:
            self._lock.release()

    def _fetch(self, scope: str) -> AccessToken:
        own = self._own()
        try:
            return bounded(LIMIT, lambda: own.get_token(scope))
        except KeyturnError:
            raise
        except Abandoned:
            self._credential = None
            raise self._silent() from None
        except Exception as error:  # noqa: BLE001 - azure-identity lets strangers' exceptions through
            self._credential = None  # what proves us may have been replaced: it is read anew
            raise self.explain(error) from None

    def _silent(self) -> TryAgain:
        return TryAgain(f"sign-in: no token from {self.cloud.authority} within {LIMIT:g} s", after=30.0)

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

    def _own(self) -> AnyCredential:
        with self._lock:
            if self._credential is None:
                self._credential = credential(self.signin, self.cloud)
            return self._credential

    def explain(self, error: Exception) -> KeyturnError:
        """What a failed sign-in means: Refused, Misconfigured or TryAgain, never with the secret in it."""
        return explain(error, self.signin, self.cloud)


def explain(error: Exception, signin: AnySignIn, cloud: Cloud) -> KeyturnError:
    """What a failed sign-in means to a person. The error's own text is not passed on, but for Entra's code."""
    return signin_failures.explain(error, who(signin, cloud))


def who(signin: AnySignIn, cloud: Cloud) -> Who:
    """As whom `signin` signs in, as far as is known without a call."""
    app = getattr(signin, "client_id", None)
    tenant = getattr(signin, "tenant", None)
    way = _way(signin)
    if way in ("default", "workload_identity"):
        app, tenant = app or os.environ.get(CLIENT), tenant or os.environ.get(TENANT)
    return Who(
        way=way,
        app=app or "of this machine",
        tenant=tenant or "of this machine",
        authority=cloud.authority,
        named=app is not None,
    )


def _way(signin: AnySignIn) -> Way:
    match signin:
        case Certificate():
            return "certificate"
        case WorkloadIdentity():
            return "workload_identity"
        case GitHub():
            return "github"
        case ManagedIdentity():
            return "managed_identity"
        case AzureCli():
            return "azure_cli"
    return "default" if signin.secret is None and signin.secret_env is None else "client_secret"


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
