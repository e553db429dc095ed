"""Tenant access of the resource provider: `access`, which guards direct management, and `gitAccess`.

Decides: what these operations answer by api-version, and what a PUT does with what it does not name. Never here: what
a write does to the entity (`credentials`), or what its tokens open (`management`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from keyturn_emulator.apim_bodies import KEY, Fields, flag, properties_of, read_fields, text
from keyturn_emulator.apim_forms import patch_echoes
from keyturn_emulator.apim_manners import ACTION, SERVICE, check_match, known
from keyturn_emulator.arm_errors import not_in_this_tier, not_supported
from keyturn_emulator.arm_routes import Row, Visit
from keyturn_emulator.credentials import GIT_ACCESS, TenantAccess
from keyturn_emulator.propagation import SLOTS, Slot
from keyturn_emulator.switches import is_on
from keyturn_emulator.wire import Answer, indented_json_answer, json_answer

_PATCHED: Final[Fields] = {"enabled": ("enabled", flag)}
_PUT: Final[Fields] = {
    **_PATCHED,
    "principalId": ("principal", text(1, 80)),
    "primaryKey": ("primary", KEY),
    "secondaryKey": ("secondary", KEY),
}


def list_accesses(visit: Visit) -> Answer:
    """Lists nothing, although there is something (azure-recorded 5)."""
    _check_tier(visit)
    return indented_json_answer(200, {"value": [], "count": 0})


def get_access(visit: Visit) -> Answer:
    entity = _entity(visit)
    return indented_json_answer(200, _form(visit, entity), {"ETag": entity.etag})


def head_access(visit: Visit) -> Answer:
    return Answer(200, b"", {"ETag": _entity(visit).etag})


def put_access(visit: Visit) -> Answer:
    """The entity is always there: a PUT changes what it names. What becomes of the rest, two switches say."""
    entity = _entity(visit)
    if not patch_echoes(visit.version):
        raise not_supported(f"PUT of tenant access at {visit.version}, which its contract does not know")
    check_match(visit, entity, needed=True)
    credentials = visit.service.credentials
    values = read_fields(visit.service, properties_of(visit.call.body), _PUT)
    if is_on(visit.world, "tenant_put_redraws_omitted_keys"):
        values = {slot: credentials.draw() for slot in SLOTS if slot not in values} | values
    credentials.change_tenant(entity, values)
    form = _form(visit, entity, echo=is_on(visit.world, "tenant_put_echoes_keys"))
    return indented_json_answer(200, form, {"ETag": entity.etag})


def patch_access(visit: Visit) -> Answer:
    entity = _entity(visit)
    check_match(visit, entity, needed=True)
    values = read_fields(visit.service, properties_of(visit.call.body), _PATCHED)
    visit.service.credentials.change_tenant(entity, values)
    if not patch_echoes(visit.version):
        return Answer(204)
    return indented_json_answer(200, _form(visit, entity, echo=True), {"ETag": entity.etag})


def regenerate(slot: Slot) -> Callable[[Visit], Answer]:
    def perform(visit: Visit) -> Answer:
        """204 with neither body nor ETag (azure-recorded 1)."""
        visit.service.credentials.regenerate_tenant(_entity(visit), slot)
        return Answer(204)

    return perform


def regenerate_git(slot: Slot) -> Callable[[Visit], Answer]:
    """The same under `git/`. Whose key it is when it is asked of `access`, nobody wrote down."""
    plain = regenerate(slot)

    def perform(visit: Visit) -> Answer:
        if _entity(visit).name != GIT_ACCESS:
            raise not_supported(f"git/ under tenant/{visit.names['access']}; it does under tenant/{GIT_ACCESS}")
        return plain(visit)

    return perform


def list_secrets(visit: Visit) -> Answer:
    """Flat, with an id of its own kind (azure-recorded 4)."""
    entity = _entity(visit)
    body = {
        "id": f"/tenant/{entity.name}",
        "principalId": entity.principal,
        "primaryKey": entity.keys.primary,
        "secondaryKey": entity.keys.secondary,
        "enabled": entity.enabled,
    }
    return json_answer(200, body, {"ETag": entity.etag})


_ONE: Final = f"{SERVICE}/tenant/{{access}}"
_TENANT: Final = f"{ACTION}/tenant"
ROWS: Final = (
    Row("GET", f"{SERVICE}|tenant", f"{_TENANT}/read", list_accesses, frozenset({"$filter"})),
    Row("GET", f"{_ONE}|", f"{_TENANT}/read", get_access),
    Row("HEAD", f"{_ONE}|", f"{_TENANT}/read", head_access),
    Row("PUT", f"{_ONE}|", f"{_TENANT}/write", put_access, body=True),
    Row("PATCH", f"{_ONE}|", f"{_TENANT}/write", patch_access, body=True),
    Row("POST", f"{_ONE}|listSecrets", f"{_TENANT}/listSecrets/action", list_secrets),
    Row("POST", f"{_ONE}|regeneratePrimaryKey", f"{_TENANT}/regeneratePrimaryKey/action", regenerate("primary")),
    Row("POST", f"{_ONE}|regenerateSecondaryKey", f"{_TENANT}/regenerateSecondaryKey/action", regenerate("secondary")),
    # No action of their own is published for these two (azure-facts 3).
    Row(
        "POST", f"{_ONE}|git/regeneratePrimaryKey", f"{_TENANT}/regeneratePrimaryKey/action", regenerate_git("primary")
    ),
    Row(
        "POST",
        f"{_ONE}|git/regenerateSecondaryKey",
        f"{_TENANT}/regenerateSecondaryKey/action",
        regenerate_git("secondary"),
    ),
)


def _entity(visit: Visit) -> TenantAccess:
    _check_tier(visit)
    return known(visit.service.credentials.tenant, visit.names["access"], "Tenant access")


def _check_tier(visit: Visit) -> None:
    if visit.service.sku == "Consumption":  # azure-facts 1.6
        raise not_in_this_tier()


def _form(visit: Visit, entity: TenantAccess, *, echo: bool = False) -> dict[str, Any]:
    """From 2021-08-01 on the keys are there, null unless the answer echoes (azure-recorded 2)."""
    properties: dict[str, Any] = {"principalId": entity.principal}
    if patch_echoes(visit.version):
        properties["primaryKey"] = entity.keys.primary if echo else None
        properties["secondaryKey"] = entity.keys.secondary if echo else None
    properties["enabled"] = entity.enabled
    return {
        "id": f"{visit.service.id}/tenant/{entity.name}",
        "type": f"{ACTION}/tenant",
        "name": entity.name,
        "properties": properties,
    }
