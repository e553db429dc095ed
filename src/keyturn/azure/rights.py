"""What keyturn must be allowed to do at an API Management service, for each of its jobs: one table.

The roles in deploy/roles, docs/permissions.md and `keyturn check` are all made from it, or compared with it; that a
whole rotation needs each of these actions, and no other, is shown by tests/deploy. An action's `ask` is a call that
tells whether it is granted without a change: it names something that does not exist, and would change nothing if it
did. Where there is no such call, it is None: only Azure's own list of permissions tells.

Pure. Never here: a call, or what is granted (that is `permissions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from keyturn.model import Kind, Mode

SERVICE: Final = "Microsoft.ApiManagement/service"
NOBODY: Final = "{nobody}"
"""In a path: a name that nothing has, drawn anew for each call."""


class Ask(NamedTuple):
    """GET; POST of an action that only reads; or PATCH with no property in it and an ETag that no entity has."""

    method: str
    path: str
    """Below the service; empty is the service itself."""


class Right(NamedTuple):
    """One action: what keyturn does with it, and what does not work without."""

    action: str
    why: str
    without: str
    ask: Ask | None = None


class Job(NamedTuple):
    """What a set of actions is for. `role` is the file in deploy/roles that grants it, if there is one."""

    name: str
    role: str | None
    rights: tuple[Right, ...]

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions of its rights, in their order."""
        return tuple(right.action for right in self.rights)


def _read(what: str, where: str, why: str, without: str) -> Right:
    return Right(f"{SERVICE}/{what}/read", why, without, Ask("GET", f"{where}/{NOBODY}"))


def _list(what: str, where: str, action: str, why: str, without: str) -> Right:
    return Right(f"{SERVICE}/{what}/{action}/action", why, without, Ask("POST", f"{where}/{NOBODY}/{action}"))


def _write(what: str, where: str, why: str, without: str) -> Right:
    return Right(f"{SERVICE}/{what}/write", why, without, Ask("PATCH", f"{where}/{NOBODY}"))


def _regenerate(what: str, action: str) -> Right:
    """There is no regenerate that would change nothing if what it names existed."""
    return Right(f"{SERVICE}/{what}/{action}/action", "Azure draws a fresh value", "no such slot is renewed")


_THE_SERVICE: Final = Right(
    f"{SERVICE}/read",
    "its gateways' addresses, and Azure's clock",
    "no gateway is known to probe",
    Ask("GET", ""),
)
_SUBSCRIPTIONS: Final = _read(
    "subscriptions", "subscriptions", "lists them; state, owner and ETag of one", "no apim subscription is found"
)
_SUBSCRIPTION_KEYS: Final = _list(
    "subscriptions",
    "subscriptions",
    "listSecrets",
    "both values: to adopt, and after an answer that was lost",
    "nothing is adopted, and no lost write is resolved",
)
_TENANT: Final = _read("tenant", "tenant", "whether it is enabled, whom its tokens name, its ETag", "it is not found")
_TENANT_KEYS: Final = _list("tenant", "tenant", "listSecrets", "both values", "nothing is adopted, and nothing is set")

JOBS: Final = (
    Job(
        "apim subscriptions, `renew: set`",
        "set",
        (
            _THE_SERVICE,
            _SUBSCRIPTIONS,
            _write("subscriptions", "subscriptions", "sets one slot, fenced by the ETag", "no slot is renewed"),
            _SUBSCRIPTION_KEYS,
        ),
    ),
    Job(
        "apim subscriptions, `renew: regenerate`",
        "regenerate",
        (
            _THE_SERVICE,
            _SUBSCRIPTIONS,
            _SUBSCRIPTION_KEYS,
            _regenerate("subscriptions", "regeneratePrimaryKey"),
            _regenerate("subscriptions", "regenerateSecondaryKey"),
        ),
    ),
    Job(
        "tenant access, `renew: set`",
        "tenant-access-set",
        (
            _THE_SERVICE,
            _TENANT,
            _write("tenant", "tenant", "sets one slot, fenced by the ETag", "no slot is renewed"),
            _TENANT_KEYS,
        ),
    ),
    Job(
        "tenant access, `renew: regenerate`",
        "tenant-access-regenerate",
        (
            _THE_SERVICE,
            _TENANT,
            _TENANT_KEYS,
            _regenerate("tenant", "regeneratePrimaryKey"),
            _regenerate("tenant", "regenerateSecondaryKey"),
        ),
    ),
    Job(
        "self-hosted gateways",
        "gateways",
        (
            _THE_SERVICE,
            _read("gateways", "gateways", "lists them; the ETag of one", "no self-hosted gateway is found"),
            _list("gateways", "gateways", "listKeys", "both values", "nothing is adopted, no token is made"),
            _regenerate("gateways", "regenerateKey"),
        ),
    ),
    Job(
        "named values as sinks",
        None,
        (
            _read("namedValues", "namedValues", "what the sink shows, and its ETag", "nothing is published there"),
            _write("namedValues", "namedValues", "publishes there, fenced by the ETag", "nothing is published there"),
            _list("namedValues", "namedValues", "listValue", "what a secret one shows", "nothing is published there"),
        ),
    ),
)

_SET, _REGENERATE, _TENANT_SET, _TENANT_REGENERATE, _GATEWAYS, NAMED_VALUES = JOBS
OF: Final[Mapping[tuple[Kind, Mode], Job]] = {
    (Kind.APIM_SUBSCRIPTION, Mode.SET): _SET,
    (Kind.APIM_SUBSCRIPTION, Mode.REGENERATE): _REGENERATE,
    (Kind.TENANT, Mode.SET): _TENANT_SET,
    (Kind.TENANT, Mode.REGENERATE): _TENANT_REGENERATE,
    (Kind.GATEWAY, Mode.REGENERATE): _GATEWAYS,
}
"""The job of a policy, by the kind of its credentials and its mode: gateways' keys can only be regenerated."""

VAULT_ROLE: Final = "Key Vault Secrets Officer"
VAULT: Final = (
    Right("Microsoft.KeyVault/vaults/secrets/getSecret/action", "what a sink shows", "no slot is written"),
    Right("Microsoft.KeyVault/vaults/secrets/setSecret/action", "publishes there", "nothing is published there"),
)
"""Data actions at a vault; its own answers tell of the first alone."""
ROLE_TO_ASK: Final = "Microsoft.Authorization/permissions/read"
"""What Azure documents that one needs to list one's own permissions."""

DANGERS: Final[tuple[tuple[str, str], ...]] = (
    ("Microsoft.Authorization/roleAssignments/write", "give roles to others"),
    (f"{SERVICE}/delete", "delete the service"),
    (f"{SERVICE}/write", "change the service itself"),
    (f"{SERVICE}/policies/write", "change what its gateways do"),
    (f"{SERVICE}/apis/write", "change its APIs"),
    (f"{SERVICE}/subscriptions/delete", "delete apim subscriptions"),
    (f"{SERVICE}/subscriptions/write", "set keys, scope and state of apim subscriptions"),
    (f"{SERVICE}/tenant/listSecrets/action", "read the tenant access keys"),
    (f"{SERVICE}/namedValues/listValue/action", "read every secret named value"),
)
"""What a right beyond need comes to, the worst first."""
