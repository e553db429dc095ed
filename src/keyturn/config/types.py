"""What a configuration holds, once it is read and checked: plain data.

Never here: how it is written (that is `table`), or what it means for one credential (`matching`, `places`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from keyturn.model import Kind, Mode
from keyturn.policy import Policy, TokenSpec


class CustomCloud(msgspec.Struct, frozen=True, kw_only=True):
    """An Azure cloud of one's own. Addresses are `https://host[:port]`; `vault_suffix` has no leading dot."""

    authority: str
    resource_manager: str
    audience: str
    vault_suffix: str
    ca: str | None = None
    instance_discovery: bool = False


Cloud = Literal["public", "china", "usgov"] | CustomCloud


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One API Management service. None means: not said here."""

    alias: str
    id: str
    """Its ARM id, as written."""
    mode: Mode | None = None
    api_version: str | None = None
    gateways: tuple[str, ...] = ()
    trust_etag: bool = True
    cloud: Cloud | None = None
    """Another cloud than the configuration's own."""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """Which credentials a policy is for: every field that is given must match, by any of its globs.

    `tenant` and `gateway` say what kind they are of; without either, apim subscriptions.
    """

    service: tuple[str, ...] | None = None
    product: tuple[str, ...] | None = None
    sid: tuple[str, ...] | None = None
    owner: tuple[str, ...] | None = None
    scope: tuple[str, ...] | None = None
    tenant: tuple[str, ...] | None = None
    gateway: tuple[str, ...] | None = None

    @property
    def kind(self) -> Kind:
        if self.gateway is not None:
            return Kind.GATEWAY
        return Kind.TENANT if self.tenant is not None else Kind.APIM_SUBSCRIPTION


class KeyVaultSink(msgspec.Struct, frozen=True, kw_only=True):
    """A Key Vault secret; both names may be templates."""

    vault: str
    secret: str

    @property
    def name(self) -> str:
        return f"{self.vault}/{self.secret}"


class FileSink(msgspec.Struct, frozen=True, kw_only=True):
    """One variable of a file; path and variable may be templates."""

    path: str
    variable: str
    format: Literal["dotenv", "json"]

    @property
    def name(self) -> str:
        return f"{self.path}:{self.variable}"


class NamedValueSink(msgspec.Struct, frozen=True, kw_only=True):
    """A named value of API Management; `named_value` may be a template. `service` None: the credential's own."""

    named_value: str
    service: str | None = None

    @property
    def name(self) -> str:
        return f"{self.service or '{service}'}/named-values/{self.named_value}"


class WebhookSink(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver of signed events; the signing secret is in the environment variable `secret_env`.

    `credential` is the id of the one that it is told about, once it is known.
    """

    url: str
    secret_env: str
    include_value: bool = False
    credential: str = ""

    @property
    def name(self) -> str:
        return self.url


SinkSpec = KeyVaultSink | FileSink | NamedValueSink | WebhookSink


class TokenEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A token that is kept fresh, and where it is published."""

    spec: TokenSpec
    publish: tuple[SinkSpec, ...]


class PolicyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A policy with what it is for and where it publishes. `mode_given`: the policy itself says how to renew."""

    match: Match
    policy: Policy
    publish: tuple[SinkSpec, ...]
    tokens: tuple[TokenEntry, ...] = ()
    mode_given: bool
    line: int

    @property
    def sinks(self) -> tuple[SinkSpec, ...]:
        """Every sink, those with values first, then those with tokens."""
        return (*self.publish, *(sink for token in self.tokens for sink in token.publish))

    @property
    def name(self) -> str:
        return self.policy.name


class ClientSecret(msgspec.Struct, frozen=True, kw_only=True):
    """Sign-in as an app; its secret is in the environment variable `secret_env`."""

    tenant: str
    client_id: str
    secret_env: str


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """Sign-in as an app by a certificate: a file with its private key, PEM or PKCS 12."""

    tenant: str
    client_id: str
    path: str
    password_env: str | None = None
    send_chain: bool = False


class WorkloadIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Sign-in as an app by a token that a Kubernetes cluster keeps in a file. None: what the environment says."""

    tenant: str | None = None
    client_id: str | None = None
    token_file: str | None = None


class GitHub(msgspec.Struct, frozen=True, kw_only=True):
    """Sign-in as an app by the token that GitHub gives to a job of a workflow."""

    tenant: str
    client_id: str
    audience: str = "api://AzureADTokenExchange"


class ManagedIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Sign-in as what Azure knows this machine by; `client_id` names a user-assigned identity."""

    client_id: str | None = None


class AzureCli(msgspec.Struct, frozen=True, kw_only=True):
    """Sign-in as whoever is signed in to az. `tenant` None: the one that az is in."""

    tenant: str | None = None


SignInSpec = ClientSecret | Certificate | WorkloadIdentity | GitHub | ManagedIdentity | AzureCli


class EmulatorTime(msgspec.Struct, frozen=True, kw_only=True):
    """The emulator's clock: its control address, and the environment variable that holds the control secret."""

    control: str
    secret_env: str


class TableSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger in a table of a storage account: by the connection string in the environment variable `connection_env`,
    or at `url`, signed in like the rest. One of them is given."""

    name: str = "keyturn"
    connection_env: str | None = None
    url: str | None = None


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A whole configuration, checked. Relative paths in it have been resolved beside the configuration file."""

    file: str
    services: Mapping[str, Service]
    policies: tuple[PolicyEntry, ...]
    ledger: str | TableSpec = "sqlite:///keyturn.db"
    salt_env: str | None = None
    signin: SignInSpec | None = None
    """None: whatever azure-identity's default finds."""
    cloud: Cloud = "public"
    clock: EmulatorTime | None = None
    """None: the system's clock."""
    budget_share: float = 0.5
    workers: int = 8
