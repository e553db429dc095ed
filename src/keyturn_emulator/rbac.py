"""Who may do what where: Azure's roles, and the rule that combines them.

Decides: whether a principal's assignments allow an action at a scope. Never here: HTTP, tokens, or the
wording of a refusal. The evaluation is standard Azure RBAC from memory (azure-facts 3.4); the API Management
roles are documented (3.2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keyturn_emulator.world import World


class UnknownRole(LookupError):
    """A role assignment names a role that is neither built in nor custom."""


@dataclass(slots=True, frozen=True)
class Role:
    """A role definition. `*` in a pattern stands for any text, slashes included."""

    id: str
    name: str
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()


_APIM = "Microsoft.ApiManagement/service"
_COMMON = (
    "Microsoft.Authorization/*/read",
    "Microsoft.Insights/alertRules/*",
    "Microsoft.ResourceHealth/availabilityStatuses/read",
    "Microsoft.Resources/deployments/*",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
    "Microsoft.Support/*",
)
_SECRETS = "Microsoft.KeyVault/vaults/secrets"

ROLES: tuple[Role, ...] = (
    Role("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner", ("*",)),
    Role(
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        "Contributor",
        ("*",),
        (
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
        ),
    ),
    Role("acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader", ("*/read",)),
    Role(
        "312a565d-c81f-4fd8-895a-4e21e48d571c",
        "API Management Service Contributor",
        (f"{_APIM}/*", *_COMMON),
    ),
    Role(
        "e022efe7-f5ba-4159-bbe4-b44f577e9b61",
        "API Management Service Operator Role",
        (
            f"{_APIM}/*/read",
            f"{_APIM}/backup/action",
            f"{_APIM}/delete",
            f"{_APIM}/managedeployments/action",
            f"{_APIM}/read",
            f"{_APIM}/restore/action",
            f"{_APIM}/updatecertificate/action",
            f"{_APIM}/updatehostname/action",
            f"{_APIM}/write",
            *_COMMON,
        ),
        (f"{_APIM}/users/keys/read",),
    ),
    Role(
        "71522526-b88f-4d52-b57f-d31fc3546d0d",
        "API Management Service Reader Role",
        (f"{_APIM}/*/read", f"{_APIM}/read", *_COMMON),
        (f"{_APIM}/users/keys/read",),
    ),
    Role(
        "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
        "Key Vault Secrets Officer",
        (
            "Microsoft.Authorization/*/read",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.KeyVault/vaults/*/read",
        ),
        data_actions=(f"{_SECRETS}/*",),
    ),
    Role(
        "4633458b-17de-408a-b874-0445c86b69e6",
        "Key Vault Secrets User",
        data_actions=(f"{_SECRETS}/getSecret/action", f"{_SECRETS}/readMetadata/action"),
    ),
)


def find_role(world: World, wanted: str) -> Role:
    """The role of that name, id, or full role definition id (any case). Raises UnknownRole."""
    name = wanted.lower()
    last = name.rsplit("/", 1)[-1]
    for role in (*world.custom_roles, *ROLES):
        if role.name.lower() == name or role.id.lower() == last:
            return role
    raise UnknownRole(f"no role is called '{wanted}'")


def allows(world: World, object_id: str, action: str, scope: str, *, data: bool = False) -> bool:
    """Whether any assignment at `scope` or above it allows the action. Raises UnknownRole.

    A role's notActions take away from that role alone: another role may still allow the action.
    """
    for assignment in world.role_assignments:
        if assignment.object_id.lower() != object_id.lower() or not covers(assignment.scope, scope):
            continue
        role = find_role(world, assignment.role)
        wanted, unwanted = (role.data_actions, role.not_data_actions) if data else (role.actions, role.not_actions)
        if _matches(wanted, action) and not _matches(unwanted, action):
            return True
    return False


def roles_at(world: World, object_id: str, scope: str) -> list[Role]:
    """The roles that a principal's assignments at `scope` or above it give, each once. Raises UnknownRole."""
    found: list[Role] = []
    for assignment in world.role_assignments:
        if assignment.object_id.lower() == object_id.lower() and covers(assignment.scope, scope):
            role = find_role(world, assignment.role)
            if role not in found:
                found.append(role)
    return found


def has_any_role(world: World, object_id: str, azure_subscription: str) -> bool:
    """Whether a principal holds a role anywhere in, or above, an azure subscription, so that it sees it."""
    top = f"/subscriptions/{azure_subscription}"
    return any(
        assignment.object_id.lower() == object_id.lower()
        and (covers(top, assignment.scope) or covers(assignment.scope, top))
        for assignment in world.role_assignments
    )


def covers(granted: str, asked: str) -> bool:
    """Whether `granted` is `asked` or one of its ancestors, compared by whole segments without case."""
    above = granted.lower().rstrip("/") + "/"
    return (asked.lower().rstrip("/") + "/").startswith(above)


def _matches(patterns: tuple[str, ...], action: str) -> bool:
    return any(_pattern(pattern).fullmatch(action) for pattern in patterns)


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.IGNORECASE)
