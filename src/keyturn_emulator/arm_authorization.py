"""Microsoft.Authorization, as far as one may read it: permissions, role assignments and role definitions at a scope.

Decides: at which scopes they are answered, and their JSON forms. Never here: what a role allows (`rbac`), or any
write: roles are given in the description of a world.

A scope is an azure subscription, a resource group, a service, one entity of a service, or a vault. Whether the entity
exists is not asked: permissions are a matter of assignments alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from keyturn_emulator.apim_manners import SERVICE
from keyturn_emulator.arm_routes import Row, Visit
from keyturn_emulator.rbac import Role, roles_at
from keyturn_emulator.switches import is_on
from keyturn_emulator.wire import Answer, json_answer

if TYPE_CHECKING:
    from keyturn_emulator.world import World

_AUTHORIZATION: Final = "Microsoft.Authorization"
_MAY_LIST_PERMISSIONS: Final = f"{_AUTHORIZATION}/permissions/read"
# The versions of the published specifications and clients in which the forms below are the same (azure-facts 3.5).
_VERSIONS: Final = ("2018-01-01-preview", "2022-04-01", "2022-05-01-preview")
_SCOPES: Final = (
    "subscriptions/{azure}",
    "subscriptions/{azure}/resourceGroups/{group}",
    SERVICE,
    f"{SERVICE}/{{kind}}/{{entity}}",
)


def needs_no_role(world: World, row: Row) -> bool:
    """Whether anybody may ask: nobody verified it for one's own permissions, nor for the list of all services."""
    if row.action == _MAY_LIST_PERMISSIONS:
        return not is_on(world, "permissions_need_a_role")
    return row.shows_what_may_be_read and is_on(world, "lists_show_what_may_be_read")


def list_permissions(visit: Visit) -> Answer:
    """What the caller may do at the scope: one entry for each role that it holds there or above."""
    held = roles_at(visit.world, visit.object_id, _scope(visit))
    return json_answer(200, {"value": [_permissions(role) for role in held]})


def _permissions(role: Role) -> dict[str, Any]:
    return {
        "actions": list(role.actions),
        "notActions": list(role.not_actions),
        "dataActions": list(role.data_actions),
        "notDataActions": list(role.not_data_actions),
    }


def _scope(visit: Visit) -> str:
    """The path before `/providers/Microsoft.Authorization/`, which is the last one of that name."""
    segments = visit.call.segments
    end = max(number for number, part in enumerate(segments) if part.lower() == _AUTHORIZATION.lower()) - 1
    return "/" + "/".join(segments[:end])


def _at_every_scope(kind: str, perform: Callable[[Visit], Answer]) -> tuple[Row, ...]:
    action = f"{_AUTHORIZATION}/{kind}/read"
    return tuple(
        Row("GET", f"{scope}|providers/{_AUTHORIZATION}/{kind}", action, perform, versions=_VERSIONS, kind=kind)
        for scope in _SCOPES
    )


ROWS: Final = _at_every_scope("permissions", list_permissions)
