"""Named values of API Management: their operations, as rows, and what each one answers.

Decides: validation, which answer shows a value, and whether a write is done when it is answered. Never here:
sign-in, roles and throttling (`arm`), nor what is stored (`named_values`).

Nobody recorded named values. Statuses, fields and limits are those of the published specification and of the
official client made from it; ETags and If-Match are taken to be as for other entities of a service.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from keyturn_emulator.apim_manners import ACTION, LISTING, SERVICE, check_match, page
from keyturn_emulator.arm_errors import entity_not_found, invalid_content, invalid_fields, not_supported
from keyturn_emulator.arm_routes import Row, Visit
from keyturn_emulator.named_values import NamedValue
from keyturn_emulator.switches import is_on
from keyturn_emulator.wire import Answer, indented_json_answer, json_answer, read_json

MOST_TAGS: Final = 32
_ID: Final = re.compile(r"[^*#&+:<>?]{1,256}")
_POLLING: Final = frozenset({"asyncId", "asyncCode"})


def get_named_value(visit: Visit) -> Answer:
    """Also where the Location of an accepted write leads: the question lets it take effect."""
    operation = visit.call.param("asyncId")
    if operation is not None:
        visit.service.named_values.finish(operation)
    return _told(visit, 200, _entity(visit))


def head_named_value(visit: Visit) -> Answer:
    return Answer(200, b"", {"ETag": _entity(visit).etag})


def list_named_values(visit: Visit) -> Answer:
    return page(visit, visit.service.named_values.all(), lambda item: _form(visit, item, echo=False))


def put_named_value(visit: Visit) -> Answer:
    """Create, or replace as a whole."""
    name, stored = visit.names["named_value"], visit.service.named_values
    if not _ID.fullmatch(name):
        raise invalid_fields(("namedValueId", "The id must be 1 to 256 characters without any of *#&+:<>?"))
    stored.land_all()
    there = stored.find(name)
    check_match(visit, there, needed=False)
    values = _read(visit.call.body)
    missing = [field for field, known in (("displayName", "display_name"),) if known not in values]
    if "value" not in values and "key_vault" not in values:
        missing.append("value")
    if missing:
        raise invalid_fields(*((field, f"'{field}' must be specified") for field in missing))
    wanted = NamedValue(id=there.id if there else name, **values)
    # The client of 2024-05-01 takes 201 with a Location, the published example of 2022-08-01 shows 202.
    accepted = 201 if visit.version >= "2024-05-01" else 202
    return _write(visit, wanted, done=200 if there else 201, accepted=accepted)


def patch_named_value(visit: Visit) -> Answer:
    visit.service.named_values.land_all()
    there = _entity(visit)
    check_match(visit, there, needed=True)
    values = _read(visit.call.body)
    if "value" in values:
        values.setdefault("key_vault", None)
    return _write(visit, replace(there, **values), done=200, accepted=202)


def delete_named_value(visit: Visit) -> Answer:
    """What is missing is gone already, as for other entities (azure-recorded 3)."""
    visit.service.named_values.land_all()
    there = visit.service.named_values.find(visit.names["named_value"])
    check_match(visit, there, needed=True)
    if there is None:
        return Answer(204)
    visit.service.named_values.delete(there)
    return Answer(200)


def list_value(visit: Visit) -> Answer:
    there = _entity(visit)
    if there.key_vault is not None:
        raise not_supported("listValue of a named value that Key Vault holds")
    return json_answer(200, {"value": there.value}, {"ETag": there.etag})


_ONE: Final = f"{SERVICE}/namedValues/{{named_value}}"
ROWS: Final = (
    Row("GET", f"{SERVICE}|namedValues", f"{ACTION}/namedValues/read", list_named_values, LISTING),
    Row("GET", f"{_ONE}|", f"{ACTION}/namedValues/read", get_named_value, _POLLING),
    Row("HEAD", f"{_ONE}|", f"{ACTION}/namedValues/read", head_named_value),
    Row("PUT", f"{_ONE}|", f"{ACTION}/namedValues/write", put_named_value, body=True),
    Row("PATCH", f"{_ONE}|", f"{ACTION}/namedValues/write", patch_named_value, body=True),
    Row("DELETE", f"{_ONE}|", f"{ACTION}/namedValues/delete", delete_named_value),
    Row("POST", f"{_ONE}|listValue", f"{ACTION}/namedValues/listValue/action", list_value),
)


# writing


def _write(visit: Visit, wanted: NamedValue, *, done: int, accepted: int) -> Answer:
    """Done when it is answered, or behind a switch only accepted, with a Location to ask at."""
    stored = visit.service.named_values
    if stored.called(wanted.display_name, besides=wanted.id) is not None:
        raise invalid_fields(("displayName", "Another named value has this displayName"))
    if not is_on(visit.world, "named_value_writes_accepted"):
        return _told(visit, done, stored.put(wanted), echo=is_on(visit.world, "named_value_echo"))
    operation = stored.accept(wanted)
    call = visit.call
    where = f"https://{call.host}{call.raw_path}?api-version={visit.version}&asyncId={operation}&asyncCode={done}"
    if accepted == 202:
        return Answer(202, b"", {"Location": where})
    return indented_json_answer(accepted, _form(visit, wanted, echo=False), {"Location": where})


def _read(body: bytes) -> dict[str, Any]:
    """The fields of a body by their names in NamedValue. Raises ArmError 400 naming each that is unknown or wrong."""
    try:
        content = read_json(body)
    except ValueError:
        raise invalid_content("The body is no JSON") from None
    if not isinstance(content, dict) or not isinstance(content.get("properties"), dict):
        raise invalid_content("The body must be an object with an object 'properties'")
    given = {**{name: ... for name in content if name != "properties"}, **content["properties"]}
    wrong = [(name, f"Invalid field '{name}' specified") for name in given if name not in _FIELDS]
    wrong += [
        (name, _FIELDS[name][2]) for name, value in given.items() if name in _FIELDS and not _FIELDS[name][1](value)
    ]
    if wrong:
        raise invalid_fields(*wrong)
    values = {_FIELDS[name][0]: value for name, value in given.items()}
    if "tags" in values:
        values["tags"] = tuple(values["tags"])
    if "key_vault" in values:
        values |= {"key_vault": values["key_vault"]["secretIdentifier"], "secret": True, "value": ""}
    return values


def _is_tags(given: Any) -> bool:
    return isinstance(given, list) and len(given) <= MOST_TAGS and all(isinstance(tag, str) for tag in given)


def _is_vault(given: Any) -> bool:
    return isinstance(given, dict) and isinstance(given.get("secretIdentifier"), str) and len(given) == 1


# field on the wire -> field of NamedValue, whether a value is right, and by which rule it is not
_FIELDS: Final[Mapping[str, tuple[str, Callable[[Any], bool], str]]] = {
    "displayName": (
        "display_name",
        lambda given: isinstance(given, str) and re.fullmatch(r"[A-Za-z0-9._-]{1,256}", given) is not None,
        "The value must be 1 to 256 letters, digits, periods, dashes and underscores",
    ),
    "value": (
        "value",
        lambda given: isinstance(given, str) and 1 <= len(given) <= 4096,
        "The value must be a string of 1 to 4096 characters",
    ),
    "secret": ("secret", lambda given: isinstance(given, bool), "The value must be true or false"),
    "tags": ("tags", _is_tags, f"The value must be a list of at most {MOST_TAGS} strings"),
    "keyVault": ("key_vault", _is_vault, "The value must be an object with a secretIdentifier, and no more here"),
}


# answers


def _entity(visit: Visit) -> NamedValue:
    there = visit.service.named_values.find(visit.names["named_value"])
    if there is None:
        raise entity_not_found("NamedValue")
    return there


def _told(visit: Visit, status: int, entity: NamedValue, *, echo: bool = False) -> Answer:
    return indented_json_answer(status, _form(visit, entity, echo=echo), {"ETag": entity.etag})


def _form(visit: Visit, entity: NamedValue, *, echo: bool) -> dict[str, Any]:
    """A secret's value is absent, unless an answer echoes it."""
    properties: dict[str, Any] = {"displayName": entity.display_name}
    if entity.key_vault is not None:
        properties["keyVault"] = {"secretIdentifier": entity.key_vault}
    elif echo or not entity.secret:
        properties["value"] = entity.value
    properties |= {"tags": list(entity.tags), "secret": entity.secret}
    return {
        "id": f"{visit.service.id}/namedValues/{entity.id}",
        "type": "Microsoft.ApiManagement/service/namedValues",
        "name": entity.id,
        "properties": properties,
    }
