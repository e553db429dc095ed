"""The resource provider Microsoft.ApiManagement: its operations, as a table, and what each one answers.

Decides: existence, If-Match, validation, status, headers and paging. Never here: sign-in, roles and
throttling (`arm` asked all of them before), nor what a write does to an entity (`apim`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from keyturn_emulator import apim_forms as forms
from keyturn_emulator import apim_gateways, apim_named_values, apim_tenant, apim_users
from keyturn_emulator.apim import MASTER, ApimService, ApimSubscription, etag_of
from keyturn_emulator.apim_bodies import duplicates, read_create, read_update
from keyturn_emulator.apim_manners import ACTION, LISTING, SERVICE, check_match, known, meeting, page
from keyturn_emulator.arm_errors import entity_not_found, invalid_fields
from keyturn_emulator.arm_routes import Row, Visit
from keyturn_emulator.odata import Field
from keyturn_emulator.propagation import Slot
from keyturn_emulator.rbac import allows
from keyturn_emulator.switches import is_on
from keyturn_emulator.wire import Answer, indented_json_answer, json_answer

_SID: Final = re.compile(r"[^*#&+:<>?]{1,256}")
# What may stand beside a PUT or PATCH, and the values that the contract names.
_WRITING: Final = {"notify": ("true", "false"), "appType": ("portal", "developerPortal")}

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
    _check_writing(visit)
    if not _SID.fullmatch(sid):
        raise invalid_fields(("sid", "The id must be 1 to 256 characters without any of *#&+:<>?"))
    entity = service.find(sid)
    check_match(visit, entity, needed=False)
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
    _check_writing(visit)
    entity = _entity(visit)
    check_match(visit, entity, needed=True)
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
    check_match(visit, entity, needed=True)
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
    product = known(visit.service.products, visit.names["product"], "Product")
    found = [entity for entity in visit.service.subscriptions.values() if entity.scope == f"/products/{product.id}"]
    return _subscriptions(visit, f"/products/{product.id}", found)


def list_user_subscriptions(visit: Visit) -> Answer:
    user = known(visit.service.users, visit.names["user"], "User")
    found = [entity for entity in visit.service.subscriptions.values() if entity.owner == user.id]
    return _subscriptions(visit, f"/users/{user.id}", found)


def get_user_subscription(visit: Visit) -> Answer:
    """The same ETag as under the plain path (azure-recorded 1)."""
    user = known(visit.service.users, visit.names["user"], "User")
    entity = _entity(visit)
    if entity.owner != user.id:
        raise entity_not_found("Subscription")
    form = forms.subscription(visit.service, entity, visit.version, under=f"/users/{user.id}")
    return indented_json_answer(200, form, {"ETag": entity.etag})


def list_products(visit: Visit) -> Answer:
    return page(visit, visit.service.products.values(), lambda item: forms.product(visit.service, item))


def get_product(visit: Visit) -> Answer:
    product = known(visit.service.products, visit.names["product"], "Product")
    return indented_json_answer(200, forms.product(visit.service, product), {"ETag": etag_of(product.row)})


def list_product_apis(visit: Visit) -> Answer:
    product = known(visit.service.products, visit.names["product"], "Product")
    found = [item for item in visit.service.apis.values() if item.id.lower() in product.apis]
    return page(visit, found, lambda item: forms.api(visit.service, item, f"/products/{product.id}"))


def list_apis(visit: Visit) -> Answer:
    return page(visit, visit.service.apis.values(), lambda item: forms.api(visit.service, item))


def get_api(visit: Visit) -> Answer:
    api = known(visit.service.apis, visit.names["api"], "API")
    return indented_json_answer(200, forms.api(visit.service, api), {"ETag": etag_of(api.row)})


def list_operations(visit: Visit) -> Answer:
    api = known(visit.service.apis, visit.names["api"], "API")
    return page(visit, api.operations, lambda item: forms.operation(visit.service, api, item))


def get_operation(visit: Visit) -> Answer:
    """It shares the ETag of its API: the emulator writes neither."""
    api = known(visit.service.apis, visit.names["api"], "API")
    operation = known({item.id.lower(): item for item in api.operations}, visit.names["operation"], "Operation")
    form = forms.operation(visit.service, api, operation)
    return indented_json_answer(200, form, {"ETag": etag_of(api.row)})


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
        and allows(visit.world, visit.object_id, f"{ACTION}/read", service.id)
    ]
    return json_answer(200, {"value": found})


_ONE: Final = f"{SERVICE}/subscriptions/{{sid}}"
ROWS: Final = (
    Row("GET", f"{SERVICE}|", f"{ACTION}/read", get_service),
    Row(
        "GET",
        "subscriptions/{azure}|providers/Microsoft.ApiManagement/service",
        f"{ACTION}/read",
        list_services,
        shows_what_may_be_read=True,
    ),
    Row(
        "GET",
        "subscriptions/{azure}/resourceGroups/{group}|providers/Microsoft.ApiManagement/service",
        f"{ACTION}/read",
        list_services,
    ),
    Row("GET", f"{SERVICE}|subscriptions", f"{ACTION}/subscriptions/read", list_subscriptions, LISTING),
    Row("GET", f"{_ONE}|", f"{ACTION}/subscriptions/read", get_subscription),
    Row("HEAD", f"{_ONE}|", f"{ACTION}/subscriptions/read", head_subscription),
    Row("PUT", f"{_ONE}|", f"{ACTION}/subscriptions/write", put_subscription, frozenset(_WRITING), body=True),
    Row("PATCH", f"{_ONE}|", f"{ACTION}/subscriptions/write", patch_subscription, frozenset(_WRITING), body=True),
    Row("DELETE", f"{_ONE}|", f"{ACTION}/subscriptions/delete", delete_subscription),
    Row(
        "POST",
        f"{_ONE}|regeneratePrimaryKey",
        f"{ACTION}/subscriptions/regeneratePrimaryKey/action",
        regenerate("primary"),
    ),
    Row(
        "POST",
        f"{_ONE}|regenerateSecondaryKey",
        f"{ACTION}/subscriptions/regenerateSecondaryKey/action",
        regenerate("secondary"),
    ),
    Row("POST", f"{_ONE}|listSecrets", f"{ACTION}/subscriptions/listSecrets/action", list_secrets),
    Row(
        "GET",
        f"{SERVICE}/products/{{product}}|subscriptions",
        f"{ACTION}/products/subscriptions/read",
        list_product_subscriptions,
        LISTING,
    ),
    Row(
        "GET",
        f"{SERVICE}/users/{{user}}|subscriptions",
        f"{ACTION}/users/subscriptions/read",
        list_user_subscriptions,
        LISTING,
    ),
    Row(
        "GET",
        f"{SERVICE}/users/{{user}}/subscriptions/{{sid}}|",
        f"{ACTION}/users/subscriptions/read",
        get_user_subscription,
    ),
    Row("GET", f"{SERVICE}|products", f"{ACTION}/products/read", list_products, LISTING),
    Row("GET", f"{SERVICE}/products/{{product}}|", f"{ACTION}/products/read", get_product),
    Row(
        "GET",
        f"{SERVICE}/products/{{product}}|apis",
        f"{ACTION}/products/apis/read",
        list_product_apis,
        LISTING,
    ),
    Row("GET", f"{SERVICE}|apis", f"{ACTION}/apis/read", list_apis, LISTING),
    Row("GET", f"{SERVICE}/apis/{{api}}|", f"{ACTION}/apis/read", get_api),
    Row(
        "GET",
        f"{SERVICE}/apis/{{api}}|operations",
        f"{ACTION}/apis/operations/read",
        list_operations,
        LISTING,
    ),
    Row(
        "GET",
        f"{SERVICE}/apis/{{api}}/operations/{{operation}}|",
        f"{ACTION}/apis/operations/read",
        get_operation,
    ),
    *apim_gateways.ROWS,
    *apim_tenant.ROWS,
    *apim_users.ROWS,
    *apim_named_values.ROWS,
)


# checks


def _check_writing(visit: Visit) -> None:
    """`notify` would send a mail, `appType` says from which portal; here neither changes anything."""
    wrong = [
        (name, f"The value must be one of {', '.join(values)}")
        for name, values in _WRITING.items()
        if (given := visit.call.param(name)) is not None and given.lower() not in {value.lower() for value in values}
    ]
    if wrong:
        raise invalid_fields(*wrong)


def _entity(visit: Visit) -> ApimSubscription:
    entity = visit.service.find(visit.names["sid"])
    if entity is None:
        raise entity_not_found("Subscription")
    return entity


def _check_duplicates(visit: Visit, values: dict[str, Any]) -> None:
    if is_on(visit.world, "refuse_duplicate_keys"):
        refusal = duplicates(visit.service, visit.names["sid"], values)
        if refusal is not None:
            raise refusal


# pages


def _subscriptions(visit: Visit, under: str, found: Iterable[ApimSubscription]) -> Answer:
    return page(
        visit,
        meeting(visit, found, _filters(visit.service)),
        lambda entity: forms.subscription(visit.service, entity, visit.version, under=under),
        filtered=True,
    )


def _filters(service: ApimService) -> dict[str, Field[ApimSubscription]]:
    """The documented fields (azure-facts 1.4)."""
    return {
        "name": Field(lambda entity, _: entity.sid),
        "displayname": Field(lambda entity, _: entity.display_name),
        "statecomment": Field(lambda entity, _: entity.state_comment),
        "ownerid": Field(
            lambda entity, text: _spelled(service, f"/users/{entity.owner}", text) if entity.owner else None
        ),
        "scope": Field(lambda entity, text: _spelled(service, entity.scope, text)),
        "userid": Field(lambda entity, _: entity.owner),
        "productid": Field(lambda entity, _: entity.product),
        "state": Field(lambda entity, _: entity.state, equality_only=True),
    }


def _spelled(service: ApimService, relative: str, compared_with: str) -> str:
    """An id in full, unless the filter's text is a relative one: that matches too (azure-recorded 5)."""
    is_relative = compared_with.startswith("/") and not compared_with.lower().startswith("/subscriptions/")
    return relative if is_relative else f"{service.id}{relative}"
