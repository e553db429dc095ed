"""The resource provider Microsoft.ApiManagement: its operations, as a table, and what each one answers.

Decides: existence, If-Match, validation, status, headers and paging. Never here: sign-in, roles and
throttling (`arm` asked all of them before), nor what a write does to an entity (`apim`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from itertools import islice
from typing import Any, Final, TypeVar
from urllib.parse import quote

from keyturn_emulator import apim_forms as forms
from keyturn_emulator.apim import MASTER, ApimService, ApimSubscription, etag_of
from keyturn_emulator.apim_bodies import duplicates, read_create, read_update
from keyturn_emulator.arm_errors import entity_not_found, invalid_fields, not_supported, precondition_failed
from keyturn_emulator.arm_routes import Row, Visit
from keyturn_emulator.propagation import Slot
from keyturn_emulator.switches import is_on
from keyturn_emulator.wire import Answer, indented_json_answer, json_answer

PAGE: Final = 100  # azure-facts 1.4
_SERVICE: Final = "subscriptions/{azure}/resourceGroups/{group}/providers/Microsoft.ApiManagement/service/{service}"
_ACTION: Final = "Microsoft.ApiManagement/service"
_SID: Final = re.compile(r"[^*#&+:<>?]{1,256}")
_LISTING: Final = frozenset({"$filter", "$top", "$skip"})
_WRITING: Final = frozenset({"notify", "appType"})


Entity = TypeVar("Entity")

# one apim subscription


def get_subscription(visit: Visit) -> Answer:
    entity = _entity(visit)
    form = forms.subscription(visit.service, entity, visit.version)
    return indented_json_answer(200, form, {"ETag": entity.etag})


def head_subscription(visit: Visit) -> Answer:
    return Answer(200, b"", {"ETag": _entity(visit).etag})


def put_subscription(visit: Visit) -> Answer:
    """Create, or replace what the body names. Keys that it does not name stay, or are drawn."""
    service, sid = visit.service, visit.names["sid"]
    if not _SID.fullmatch(sid):
        raise invalid_fields(("sid", "The id must be 1 to 256 characters without any of *#&+:<>?"))
    entity = service.find(sid)
    _check_match(visit, entity, needed=False)
    values = read_create(service, visit.call.body)
    _check_duplicates(visit, values)
    status = 200 if entity else 201
    if entity is None:
        entity = service.create(sid, **values)
    else:
        service.change(entity, values)
    form = forms.subscription(service, entity, visit.version, keys=True, fresh=status == 201)
    return indented_json_answer(status, form, {"ETag": entity.etag})


def patch_subscription(visit: Visit) -> Answer:
    entity = _entity(visit)
    _check_match(visit, entity, needed=True)
    values = read_update(visit.service, visit.call.body)
    _check_duplicates(visit, values)
    visit.service.change(entity, values)
    if not forms.patch_echoes(visit.version):
        return Answer(204)
    form = forms.subscription(visit.service, entity, visit.version, keys=True)
    return indented_json_answer(200, form, {"ETag": entity.etag})


def delete_subscription(visit: Visit) -> Answer:
    """What is missing is gone already: 204, not 404 (azure-recorded 3)."""
    entity = visit.service.find(visit.names["sid"])
    _check_match(visit, entity, needed=True)
    if entity is None:
        return Answer(204)
    if entity.sid == MASTER:
        raise invalid_fields(("sid", "The built-in apim subscription cannot be deleted"))
    visit.service.delete(entity)
    return Answer(200)


def regenerate(slot: Slot) -> Callable[[Visit], Answer]:
    def perform(visit: Visit) -> Answer:
        """204 with neither body nor ETag: the caller has to read again (azure-recorded 1)."""
        visit.service.regenerate(_entity(visit), slot)
        return Answer(204)

    return perform


def list_secrets(visit: Visit) -> Answer:
    entity = _entity(visit)
    keys = {"primaryKey": entity.primary, "secondaryKey": entity.secondary}
    return json_answer(200, keys, {"ETag": entity.etag})


# lists


def list_subscriptions(visit: Visit) -> Answer:
    return _subscriptions(visit, "", visit.service.subscriptions.values())


def list_product_subscriptions(visit: Visit) -> Answer:
    product = _known(visit.service.products, visit.names["product"], "Product")
    found = [entity for entity in visit.service.subscriptions.values() if entity.scope == f"/products/{product.id}"]
    return _subscriptions(visit, f"/products/{product.id}", found)


def list_user_subscriptions(visit: Visit) -> Answer:
    user = _known(visit.service.users, visit.names["user"], "User")
    found = [entity for entity in visit.service.subscriptions.values() if entity.owner == user.id]
    return _subscriptions(visit, f"/users/{user.id}", found)


def get_user_subscription(visit: Visit) -> Answer:
    """The same ETag as under the plain path (azure-recorded 1)."""
    user = _known(visit.service.users, visit.names["user"], "User")
    entity = _entity(visit)
    if entity.owner != user.id:
        raise entity_not_found("Subscription")
    form = forms.subscription(visit.service, entity, visit.version, under=f"/users/{user.id}")
    return indented_json_answer(200, form, {"ETag": entity.etag})


def list_products(visit: Visit) -> Answer:
    return _page(visit, visit.service.products.values(), lambda item: forms.product(visit.service, item))


def get_product(visit: Visit) -> Answer:
    product = _known(visit.service.products, visit.names["product"], "Product")
    return indented_json_answer(200, forms.product(visit.service, product), {"ETag": etag_of(product.row)})


def list_product_apis(visit: Visit) -> Answer:
    product = _known(visit.service.products, visit.names["product"], "Product")
    found = [item for item in visit.service.apis.values() if item.id.lower() in product.apis]
    return _page(visit, found, lambda item: forms.api(visit.service, item, f"/products/{product.id}"))


def list_apis(visit: Visit) -> Answer:
    return _page(visit, visit.service.apis.values(), lambda item: forms.api(visit.service, item))


def get_api(visit: Visit) -> Answer:
    api = _known(visit.service.apis, visit.names["api"], "API")
    return indented_json_answer(200, forms.api(visit.service, api), {"ETag": etag_of(api.row)})


def list_users(visit: Visit) -> Answer:
    return _page(visit, visit.service.users.values(), lambda item: forms.user(visit.service, item))


# services


def get_service(visit: Visit) -> Answer:
    return json_answer(200, forms.service_form(visit.service, visit.version))


def list_services(visit: Visit) -> Answer:
    """`{value}` alone: no count, no nextLink, no ETag (azure-recorded 5). Of a resource group, or of all."""
    group = visit.names.get("group")
    found = [
        forms.service_form(service, visit.version)
        for service in visit.world.services.values()
        if service.azure_subscription.lower() == visit.names["azure"].lower()
        and (group is None or service.resource_group.lower() == group.lower())
    ]
    return json_answer(200, {"value": found})


_ONE: Final = f"{_SERVICE}/subscriptions/{{sid}}"
ROWS: Final = (
    Row("GET", f"{_SERVICE}|", f"{_ACTION}/read", get_service),
    Row(
        "GET",
        "subscriptions/{azure}|providers/Microsoft.ApiManagement/service",
        f"{_ACTION}/read",
        list_services,
    ),
    Row(
        "GET",
        "subscriptions/{azure}/resourceGroups/{group}|providers/Microsoft.ApiManagement/service",
        f"{_ACTION}/read",
        list_services,
    ),
    Row("GET", f"{_SERVICE}|subscriptions", f"{_ACTION}/subscriptions/read", list_subscriptions, _LISTING),
    Row("GET", f"{_ONE}|", f"{_ACTION}/subscriptions/read", get_subscription),
    Row("HEAD", f"{_ONE}|", f"{_ACTION}/subscriptions/read", head_subscription),
    Row("PUT", f"{_ONE}|", f"{_ACTION}/subscriptions/write", put_subscription, _WRITING, body=True),
    Row("PATCH", f"{_ONE}|", f"{_ACTION}/subscriptions/write", patch_subscription, _WRITING, body=True),
    Row("DELETE", f"{_ONE}|", f"{_ACTION}/subscriptions/delete", delete_subscription),
    Row(
        "POST",
        f"{_ONE}|regeneratePrimaryKey",
        f"{_ACTION}/subscriptions/regeneratePrimaryKey/action",
        regenerate("primary"),
    ),
    Row(
        "POST",
        f"{_ONE}|regenerateSecondaryKey",
        f"{_ACTION}/subscriptions/regenerateSecondaryKey/action",
        regenerate("secondary"),
    ),
    Row("POST", f"{_ONE}|listSecrets", f"{_ACTION}/subscriptions/listSecrets/action", list_secrets),
    Row(
        "GET",
        f"{_SERVICE}/products/{{product}}|subscriptions",
        f"{_ACTION}/products/subscriptions/read",
        list_product_subscriptions,
        _LISTING,
    ),
    Row(
        "GET",
        f"{_SERVICE}/users/{{user}}|subscriptions",
        f"{_ACTION}/users/subscriptions/read",
        list_user_subscriptions,
        _LISTING,
    ),
    Row(
        "GET",
        f"{_SERVICE}/users/{{user}}/subscriptions/{{sid}}|",
        f"{_ACTION}/users/subscriptions/read",
        get_user_subscription,
    ),
    Row("GET", f"{_SERVICE}|products", f"{_ACTION}/products/read", list_products, _LISTING),
    Row("GET", f"{_SERVICE}/products/{{product}}|", f"{_ACTION}/products/read", get_product),
    Row(
        "GET",
        f"{_SERVICE}/products/{{product}}|apis",
        f"{_ACTION}/products/apis/read",
        list_product_apis,
        _LISTING,
    ),
    Row("GET", f"{_SERVICE}|apis", f"{_ACTION}/apis/read", list_apis, _LISTING),
    Row("GET", f"{_SERVICE}/apis/{{api}}|", f"{_ACTION}/apis/read", get_api),
    Row("GET", f"{_SERVICE}|users", f"{_ACTION}/users/read", list_users, _LISTING),
)


# checks


def _entity(visit: Visit) -> ApimSubscription:
    entity = visit.service.find(visit.names["sid"])
    if entity is None:
        raise entity_not_found("Subscription")
    return entity


def _known(found: dict[str, Entity], name: str, kind: str) -> Entity:
    entity = found.get(name.lower())
    if entity is None:
        raise entity_not_found(kind)
    return entity


def _check_match(visit: Visit, entity: ApimSubscription | None, *, needed: bool) -> None:
    """`*` matches anything; else the tag must be the entity's own, quotes included (azure-facts 1.5)."""
    given = visit.call.headers.get("if-match")
    if given is None and needed and is_on(visit.world, "strict_if_match"):
        raise invalid_fields(("If-Match", "The header 'If-Match' must be specified"))
    if given is None or given == "*":
        return
    if entity is None and needed:  # a DELETE of what is gone: 204 with any tag
        return
    if entity is None or entity.etag != given:
        raise precondition_failed()


def _check_duplicates(visit: Visit, values: dict[str, Any]) -> None:
    if is_on(visit.world, "refuse_duplicate_keys"):
        refusal = duplicates(visit.service, visit.names["sid"], values)
        if refusal is not None:
            raise refusal


# pages


def _subscriptions(visit: Visit, under: str, found: Iterable[ApimSubscription]) -> Answer:
    chosen = _filter(visit)
    return _page(
        visit,
        [entity for entity in found if chosen(entity)],
        lambda entity: forms.subscription(visit.service, entity, visit.version, under=under),
        filtered=True,
    )


def _page(
    visit: Visit, found: Collection[Entity], form: Callable[[Entity], dict[str, Any]], *, filtered: bool = False
) -> Answer:
    """One page with the count of all of them, and a nextLink if there are more (azure-recorded 5)."""
    if not filtered and visit.call.param("$filter") is not None:
        raise not_supported("$filter on this list")
    top = _number(visit, "$top", PAGE, 1)
    skip = _number(visit, "$skip", 0, 0)
    body: dict[str, Any] = {
        "value": [form(entity) for entity in islice(found, skip, skip + top)],
        "count": len(found),
    }
    if skip + top < len(found):
        body["nextLink"] = _next_link(visit, skip + top)
    return indented_json_answer(200, body)


def _next_link(visit: Visit, skip: int) -> str:
    """With an explicit port and `%24` for `$`, in the order that was recorded (azure-recorded 5)."""
    call = visit.call
    kept = [(name, call.param(f"${name}")) for name in ("filter", "top")]
    parts = [f"%24{name}={quote(value, safe='')}" for name, value in kept if value is not None]
    parts += [f"api-version={visit.version}", f"%24skip={skip}"]
    return f"https://{call.host}:443{call.raw_path}?{'&'.join(parts)}"


def _number(visit: Visit, name: str, default: int, least: int) -> int:
    given = visit.call.param(name)
    if given is None:
        return default
    if not given.isascii() or not given.isdigit() or int(given) < least:
        raise invalid_fields((name, f"The value must be a whole number of at least {least}"))
    return int(given)


_COMPARISON: Final = re.compile(r"\s*(?:properties/)?(\w+)\s+eq\s+'((?:[^']|'')*)'\s*")
_FILTERS: Final[dict[str, Callable[[ApimService, ApimSubscription], str | None]]] = {
    "name": lambda _, entity: entity.sid,
    "displayname": lambda _, entity: entity.display_name,
    "state": lambda _, entity: entity.state,
    "scope": lambda service, entity: f"{service.id}{entity.scope}",
    "ownerid": lambda service, entity: f"{service.id}/users/{entity.owner}" if entity.owner else None,
    "productid": lambda _, entity: entity.product,
    "userid": lambda _, entity: entity.owner,
}


def _filter(visit: Visit) -> Callable[[ApimSubscription], bool]:
    """One `field eq 'value'`; ids may be relative (azure-recorded 5). Anything richer is refused by name."""
    text = visit.call.param("$filter")
    if text is None:
        return lambda _: True
    match = _COMPARISON.fullmatch(text)
    read = _FILTERS.get(match[1].lower()) if match else None
    if match is None or read is None:
        raise not_supported(f"the $filter {text}")
    service, wanted = visit.service, match[2].replace("''", "'").lower()
    if match[1].lower() in {"scope", "ownerid"} and not wanted.startswith("/subscriptions/"):
        wanted = service.id.lower() + wanted
    return lambda entity: (read(service, entity) or "").lower() == wanted
