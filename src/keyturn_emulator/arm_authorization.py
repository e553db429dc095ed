"""Microsoft.Authorization, as far as one may read it: permissions, role assignments and role definitions at a scope.

Decides: at which scopes they are answered, which filters are understood, and their JSON forms. Never here: what a role
allows (`rbac`), or any write: roles are given in the description of a world.

A scope is an azure subscription, a resource group, a service, one entity of a service, or a vault. Whether an entity
exists is not asked: all of this is a matter of assignments alone.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from keyturn_emulator.apim_manners import SERVICE
from keyturn_emulator.arm_errors import ArmError, arm_resource_not_found, not_supported
from keyturn_emulator.arm_routes import Row, Visit
from keyturn_emulator.rbac import ROLES, Role, covers, find_role, roles_at
from keyturn_emulator.switches import is_on
from keyturn_emulator.wire import Answer, json_answer
from keyturn_emulator.world import RoleAssignment

if TYPE_CHECKING:
    from keyturn_emulator.world import World

_AUTHORIZATION: Final = "Microsoft.Authorization"
_MAY_LIST_PERMISSIONS: Final = f"{_AUTHORIZATION}/permissions/read"
# The versions of the published specifications and clients in which the forms below are the same (azure-facts 3.5).
_VERSIONS: Final = ("2018-01-01-preview", "2020-04-01-preview", "2022-04-01", "2022-05-01-preview")
_SCOPES: Final = (
    "subscriptions/{azure}",
    "subscriptions/{azure}/resourceGroups/{group}",
    SERVICE,
    f"{SERVICE}/{{kind}}/{{entity}}",
    "subscriptions/{azure}/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults/{vault}",
)
_NAMES: Final = uuid.UUID("5b1f0c9e-6f0b-4c58-9c1c-2f4c7f3c6a10")  # of role assignments: their names are made from this


def needs_no_role(world: World, row: Row) -> bool:
    """Whether anybody may ask: nobody verified it for one's own permissions, nor for the list of all services."""
    if row.action == _MAY_LIST_PERMISSIONS:
        return not is_on(world, "permissions_need_a_role")
    return row.shows_what_may_be_read and is_on(world, "lists_show_what_may_be_read")


# permissions


def list_permissions(visit: Visit) -> Answer:
    """What the caller may do at the scope: one entry for each role that it holds there or above."""
    roles = roles_at(visit.world, visit.object_id, _scope(visit))
    return json_answer(200, {"value": [_permissions(role) for role in roles]})


def _permissions(role: Role) -> dict[str, Any]:
    return {
        "actions": list(role.actions),
        "notActions": list(role.not_actions),
        "dataActions": list(role.data_actions),
        "notDataActions": list(role.not_data_actions),
    }


# role assignments

_AT_SCOPE: Final = re.compile(r"atScope\(\)", re.IGNORECASE)
_OF_PRINCIPAL: Final = re.compile(r"(?:principalId\s+eq\s+'([^']*)'|assignedTo\('([^']*)'\))", re.IGNORECASE)


def list_assignments(visit: Visit) -> Answer:
    """At, above and below the scope; a filter leaves out what is below, or asks for one principal (azure-facts 3.5).

    `assignedTo` would also count groups: there are none here.
    """
    scope = _scope(visit)
    found = [item for item in visit.world.role_assignments if covers(item.scope, scope) or covers(scope, item.scope)]
    for part in _filter_parts(visit):
        if _AT_SCOPE.fullmatch(part):
            found = [item for item in found if covers(item.scope, scope)]
        elif principal := _OF_PRINCIPAL.fullmatch(part):
            wanted = (principal[1] or principal[2] or "").lower()
            found = [item for item in found if item.object_id.lower() == wanted]
        else:
            raise not_supported(f"'{part}' in the $filter of role assignments")
    return json_answer(200, {"value": [_assignment(visit, item) for item in found]})


def get_assignment(visit: Visit) -> Answer:
    """By name, at the scope that it was made at."""
    scope, wanted = _scope(visit), visit.names["assignment"].lower()
    for item in visit.world.role_assignments:
        if _name(item) == wanted and covers(item.scope, scope) and covers(scope, item.scope):
            return json_answer(200, _assignment(visit, item))
    raise ArmError(404, "RoleAssignmentNotFound", f"The role assignment '{visit.names['assignment']}' is not found.")


def _assignment(visit: Visit, item: RoleAssignment) -> dict[str, Any]:
    name = _name(item)
    scope = item.scope.rstrip("/") or "/"
    return {
        "properties": {
            "roleDefinitionId": _role_id(visit, find_role(visit.world, item.role)),
            "principalId": item.object_id,
            "principalType": "ServicePrincipal",
            "scope": scope,
            "condition": None,
            "conditionVersion": None,
        },
        "id": f"{scope.rstrip('/')}/providers/{_AUTHORIZATION}/roleAssignments/{name}",
        "type": f"{_AUTHORIZATION}/roleAssignments",
        "name": name,
    }


def _name(item: RoleAssignment) -> str:
    """The same each time for the same assignment, so that a run can be replayed."""
    return str(uuid.uuid5(_NAMES, f"{item.object_id} {item.role} {item.scope}".lower()))


# role definitions

_BY_FIELD: Final = re.compile(r"(roleName|type)\s+eq\s+'((?:[^']|'')*)'", re.IGNORECASE)


def list_definitions(visit: Visit) -> Answer:
    """All built-in and custom roles: a custom one may be assigned anywhere in the azure subscription."""
    found: list[Role] = [*visit.world.custom_roles, *ROLES]
    for part in _filter_parts(visit):
        if by_field := _BY_FIELD.fullmatch(part):
            read = _role_name if by_field[1].lower() == "rolename" else _role_type
            wanted = by_field[2].replace("''", "'").lower()
            found = [role for role in found if read(role).lower() == wanted]
        elif part.lower() != "atscopeandbelow()":
            raise not_supported(f"'{part}' in the $filter of role definitions")
    return json_answer(200, {"value": [_definition(visit, role) for role in found]})


def get_definition(visit: Visit) -> Answer:
    """By its GUID."""
    wanted = visit.names["role"]
    for role in (*visit.world.custom_roles, *ROLES):
        if role.id.lower() == wanted.lower():
            return json_answer(200, _definition(visit, role))
    message = f"The specified role definition with ID '{wanted}' does not exist."
    raise ArmError(404, "RoleDefinitionDoesNotExist", message)


def _definition(visit: Visit, role: Role) -> dict[str, Any]:
    return {
        "properties": {
            "roleName": role.name,
            "type": _role_type(role),
            "description": "",
            "assignableScopes": ["/"] if role in ROLES else [f"/subscriptions/{visit.names['azure']}"],
            "permissions": [_permissions(role)],
        },
        "id": _role_id(visit, role),
        "type": f"{_AUTHORIZATION}/roleDefinitions",
        "name": role.id,
    }


def _role_name(role: Role) -> str:
    return role.name


def _role_type(role: Role) -> str:
    return "BuiltInRole" if role in ROLES else "CustomRole"


def _role_id(visit: Visit, role: Role) -> str:
    return f"/subscriptions/{visit.names['azure']}/providers/{_AUTHORIZATION}/roleDefinitions/{role.id}"


# scopes, filters, rows


def _scope(visit: Visit) -> str:
    """The path before the last `/providers/Microsoft.Authorization/`. Raises ArmError 404 if it is no vault's."""
    segments = visit.call.segments
    end = max(number for number, part in enumerate(segments) if part.lower() == _AUTHORIZATION.lower()) - 1
    vault = visit.names.get("vault")
    scope = "/" + "/".join(segments[:end])
    if vault is not None and scope.lower() not in {known.id.lower() for known in visit.world.vaults.values()}:
        raise arm_resource_not_found("Microsoft.KeyVault/vaults", vault, visit.names["group"])
    return scope


def _filter_parts(visit: Visit) -> Iterable[str]:
    text = visit.call.param("$filter")
    return () if text is None else (part.strip() for part in re.split(r"\s+and\s+", text, flags=re.IGNORECASE))


def _at_every_scope(path: str, perform: Callable[[Visit], Answer], query: frozenset[str] = frozenset()) -> list[Row]:
    """`path` below the provider: a list of a kind, or one of it, which has the kind's own action."""
    kind = path.partition("/")[0]
    return [
        Row(
            "GET",
            f"{scope}|providers/{_AUTHORIZATION}/{path}",
            f"{_AUTHORIZATION}/{kind}/read",
            perform,
            query,
            versions=_VERSIONS,
            kind=kind,
        )
        for scope in _SCOPES
    ]


_FILTER: Final = frozenset({"$filter"})
ROWS: Final = (
    *_at_every_scope("permissions", list_permissions),
    *_at_every_scope("roleAssignments", list_assignments, _FILTER),
    *_at_every_scope("roleAssignments/{assignment}", get_assignment),
    *_at_every_scope("roleDefinitions", list_definitions, _FILTER),
    *_at_every_scope("roleDefinitions/{role}", get_definition),
)
