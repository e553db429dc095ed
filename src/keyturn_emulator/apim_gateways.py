"""Self-hosted gateways of the resource provider: the entity, its two keys, and the tokens made from them.

Decides: what these operations answer, which bodies they take, and how far ahead a token may expire. Never here: what a
write does to the entity (`credentials`), or what a token opens (`configuration`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from keyturn_emulator import sas
from keyturn_emulator.apim import ApimService
from keyturn_emulator.apim_bodies import (
    Fields,
    WrongValueError,
    date,
    demand,
    object_of,
    properties_of,
    read_fields,
    text,
)
from keyturn_emulator.apim_forms import patch_echoes
from keyturn_emulator.apim_manners import ACTION, LISTING, SERVICE, check_match, known, meeting, page
from keyturn_emulator.arm_errors import invalid_fields, not_in_this_tier
from keyturn_emulator.arm_routes import Row, Visit
from keyturn_emulator.credentials import Place, SelfHostedGateway
from keyturn_emulator.odata import Field
from keyturn_emulator.propagation import SLOTS, Slot
from keyturn_emulator.wire import Answer, indented_json_answer, json_answer

TIERS: Final = frozenset({"Developer", "Premium"})  # azure-facts 5.3
LONGEST_TOKEN: Final = timedelta(days=30)  # azure-facts 5.1
_ID: Final = re.compile(r"[^/]{1,80}")


# bodies


def is_gateway_id(name: str) -> bool:
    """1 to 80 characters, but not `managed` (azure-facts 1.2)."""
    return bool(_ID.fullmatch(name)) and name.lower() != "managed"


def _slot(_: ApimService, given: Any) -> Slot:
    for slot in SLOTS:
        if slot == given:
            return slot
    raise WrongValueError("The value must be primary or secondary")


_PLACE: Final[Fields] = {
    "name": ("name", text(1, 256)),
    "city": ("city", text(0, 256)),
    "district": ("district", text(0, 256)),
    "countryOrRegion": ("country", text(0, 256)),
}


def _place(service: ApimService, given: Any) -> Place:
    if not isinstance(given, Mapping):
        raise WrongValueError("The value must be an object")
    values = read_fields(service, {name: value for name, value in given.items() if value is not None}, _PLACE)
    demand(values, _PLACE, "name")
    return Place(**values)


_WRITTEN: Final[Fields] = {"locationData": ("place", _place), "description": ("description", text(0, 1000))}
_KEY_TYPE: Final[Fields] = {"keyType": ("slot", _slot)}
TOKEN_FIELDS: Final[Fields] = {**_KEY_TYPE, "expiry": ("expiry", date)}


def read_token_wish(visit: Visit, given: Mapping[str, Any]) -> tuple[Slot, datetime]:
    """Slot and expiry. Raises ArmError 400, also for an expiry more than 30 days ahead; a past one is let through,
    as recorded (azure-recorded 7).
    """
    values = read_fields(visit.service, given, TOKEN_FIELDS)
    demand(values, TOKEN_FIELDS, "keyType", "expiry")
    if values["expiry"] > visit.world.clock.now() + LONGEST_TOKEN:
        raise invalid_fields(("expiry", f"The expiry must be at most {LONGEST_TOKEN.days} days ahead"))
    return values["slot"], values["expiry"]


# operations


def list_gateways(visit: Visit) -> Answer:
    _check_tier(visit)
    found = meeting(visit, visit.service.credentials.gateways.values(), _FILTERS)
    return page(visit, found, lambda entity: _form(visit, entity, heartbeat=[]), filtered=True)


_FILTERS: Final[dict[str, Field[SelfHostedGateway]]] = {
    "name": Field(lambda entity, _: entity.id),
    "region": Field(lambda entity, _: entity.place.name if entity.place else None),
    "description": Field(lambda entity, _: entity.description),
}


def get_gateway(visit: Visit) -> Answer:
    entity = _entity(visit)
    return indented_json_answer(200, _form(visit, entity, heartbeat=[]), {"ETag": entity.etag})


def head_gateway(visit: Visit) -> Answer:
    return Answer(200, b"", {"ETag": _entity(visit).etag})


def put_gateway(visit: Visit) -> Answer:
    """Create, or change what the body names."""
    _check_tier(visit)
    credentials, name = visit.service.credentials, visit.names["gateway"]
    if not is_gateway_id(name):
        raise invalid_fields(("gatewayId", "The id must be 1 to 80 characters, and not 'managed'"))
    entity = credentials.gateways.get(name.lower())
    check_match(visit, entity, needed=False)
    values = read_fields(visit.service, properties_of(visit.call.body), _WRITTEN)
    status = 200 if entity else 201
    if entity is None:
        entity = credentials.create_gateway(name, **values)
    else:
        credentials.change_gateway(entity, values)
    return indented_json_answer(status, _form(visit, entity, heartbeat=None), {"ETag": entity.etag})


def patch_gateway(visit: Visit) -> Answer:
    entity = _entity(visit)
    check_match(visit, entity, needed=True)
    values = read_fields(visit.service, properties_of(visit.call.body), _WRITTEN)
    visit.service.credentials.change_gateway(entity, values)
    if not patch_echoes(visit.version):
        return Answer(204)
    return indented_json_answer(200, _form(visit, entity, heartbeat=None), {"ETag": entity.etag})


def delete_gateway(visit: Visit) -> Answer:
    """What is missing is gone already: 204 (azure-recorded 3)."""
    _check_tier(visit)
    entity = visit.service.credentials.gateways.get(visit.names["gateway"].lower())
    check_match(visit, entity, needed=True)
    if entity is None:
        return Answer(204)
    visit.service.credentials.delete_gateway(entity)
    return Answer(200)


def list_keys(visit: Visit) -> Answer:
    entity = _entity(visit)
    keys = {"primary": entity.keys.primary, "secondary": entity.keys.secondary}
    return json_answer(200, keys, {"ETag": entity.etag})


def regenerate_key(visit: Visit) -> Answer:
    """Which one, the body says; 204 with neither body nor ETag (azure-recorded 3)."""
    entity = _entity(visit)
    values = read_fields(visit.service, object_of(visit.call.body), _KEY_TYPE)
    demand(values, _KEY_TYPE, "keyType")
    visit.service.credentials.set_gateway_key(entity, values["slot"])
    return Answer(204)


def generate_token(visit: Visit) -> Answer:
    """The part after `GatewayKey `. Its body is flat, unlike a user's (azure-recorded 7)."""
    entity = _entity(visit)
    slot, expiry = read_token_wish(visit, object_of(visit.call.body))
    return json_answer(200, {"value": sas.short(entity.id, expiry, entity.keys.key(slot))})


_ONE: Final = f"{SERVICE}/gateways/{{gateway}}"
_GATEWAYS: Final = f"{ACTION}/gateways"
ROWS: Final = (
    Row("GET", f"{SERVICE}|gateways", f"{_GATEWAYS}/read", list_gateways, LISTING),
    Row("GET", f"{_ONE}|", f"{_GATEWAYS}/read", get_gateway),
    Row("HEAD", f"{_ONE}|", f"{_GATEWAYS}/read", head_gateway),
    Row("PUT", f"{_ONE}|", f"{_GATEWAYS}/write", put_gateway, body=True),
    Row("PATCH", f"{_ONE}|", f"{_GATEWAYS}/write", patch_gateway, body=True),
    Row("DELETE", f"{_ONE}|", f"{_GATEWAYS}/delete", delete_gateway),
    Row("POST", f"{_ONE}|listKeys", f"{_GATEWAYS}/listKeys/action", list_keys),
    Row("POST", f"{_ONE}|regenerateKey", f"{_GATEWAYS}/regenerateKey/action", regenerate_key, body=True),
    Row("POST", f"{_ONE}|generateToken", f"{_GATEWAYS}/generateToken/action", generate_token, body=True),
)


def _entity(visit: Visit) -> SelfHostedGateway:
    _check_tier(visit)
    return known(visit.service.credentials.gateways, visit.names["gateway"], "Gateway")


def _check_tier(visit: Visit) -> None:
    if visit.service.sku not in TIERS:
        raise not_in_this_tier()


def _form(visit: Visit, entity: SelfHostedGateway, *, heartbeat: list[Any] | None) -> dict[str, Any]:
    """The heartbeat is null in answers to a write and a list elsewhere; an unset city is null (azure-recorded 4)."""
    place = entity.place and {
        "name": entity.place.name,
        "city": entity.place.city,
        "district": entity.place.district,
        "countryOrRegion": entity.place.country,
    }
    return {
        "id": f"{visit.service.id}/gateways/{entity.id}",
        "type": f"{ACTION}/gateways",
        "name": entity.id,
        "properties": {"locationData": place, "description": entity.description, "heartbeat": heartbeat},
    }
