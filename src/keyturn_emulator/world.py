"""Everything that exists in the emulated Azure: tenants, applications, role assignments, services, vaults.

Plain state and its lookups. Never here: HTTP, tokens, or a decision that Azure would make.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from keyturn_emulator.clock import EmulatedClock

if TYPE_CHECKING:
    from keyturn_emulator.apim import ApimService
    from keyturn_emulator.keyvault import Vault
    from keyturn_emulator.rbac import Role


@dataclass(slots=True, frozen=True)
class FederatedCredential:
    """Whose tokens an application takes as its own proof."""

    issuer: str
    subject: str
    audience: str


@dataclass(slots=True)
class Application:
    """An app registration with its service principal, or the service principal of a managed identity."""

    client_id: str
    object_id: str
    tenant_id: str
    display_name: str
    secrets: set[str] = field(default_factory=set, repr=False)
    expired_secrets: set[str] = field(default_factory=set, repr=False)
    certificates: list[str] = field(default_factory=list)  # PEM, without any private key
    federated: list[FederatedCredential] = field(default_factory=list)
    managed_identity: str | None = (
        None  # "system-assigned" or "user-assigned": Azure itself holds what it signs in with
    )


@dataclass(slots=True, frozen=True)
class RoleAssignment:
    """`role` is a name or id of `rbac.ROLES` or of a custom role; `scope` an ARM id (any case)."""

    object_id: str
    role: str
    scope: str


@dataclass(slots=True)
class AzureSubscription:
    id: str
    tenant_id: str
    display_name: str
    resource_groups: set[str] = field(default_factory=set)


@dataclass
class World:
    """The whole state. `random` is the one source of ids and keys, so a seed replays a world exactly."""

    clock: EmulatedClock
    random: random.Random
    tenants: set[str] = field(default_factory=set)
    applications: dict[str, Application] = field(default_factory=dict)  # by client id, lower case
    role_assignments: list[RoleAssignment] = field(default_factory=list)
    custom_roles: list[Role] = field(default_factory=list)
    azure_subscriptions: dict[str, AzureSubscription] = field(default_factory=dict)  # by id, lower case
    services: dict[str, ApimService] = field(default_factory=dict)  # by ARM id, lower case
    vaults: dict[str, Vault] = field(default_factory=dict)  # by name, lower case
    switches: dict[str, bool] = field(default_factory=dict)  # behaviours nobody verified; see each room
    token_lifetime: int = 3599  # machine seconds: clients cache tokens by the machine's clock
    managed_token_lifetime: int = 86_399  # the same, of managed identities (azure-facts 2.4, from memory)
    workloads: dict[str, str] = field(default_factory=dict)  # the subject that runs here, by kind of issuer

    def new_guid(self) -> str:
        return str(uuid.UUID(bytes=self.random.randbytes(16), version=4))

    def new_hex(self, size: int = 16) -> str:
        """`size` random bytes as lower-case hex."""
        return self.random.randbytes(size).hex()
