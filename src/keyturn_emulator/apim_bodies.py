"""What a body says, checked field by field, and the fields of an apim subscription.

Decides: which fields are understood, which values are right, and which entities they mean. Never here: state
changes, or echoing a bad key value in an error: a message names the field and the rule only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from keyturn_emulator.apim import STATES, ApimService
from keyturn_emulator.arm_errors import ArmError, invalid_content, invalid_fields
from keyturn_emulator.propagation import SLOTS
from keyturn_emulator.wire import read_json

Reader = Callable[[ApimService, Any], Any]
Fields = Mapping[str, tuple[str, Reader]]  # field on the wire -> field of the entity, and how to read it


class WrongValueError(ValueError):
    """The value of one field is refused; the text says by which rule."""


def text(low: int, high: int) -> Reader:
    def read(_: ApimService, given: Any) -> str:
        if not isinstance(given, str) or not low <= len(given) <= high:
            raise WrongValueError(f"The value must be a string of {low} to {high} characters")
        return given

    return read


def _state(_: ApimService, given: Any) -> str:
    if given not in STATES:
        raise WrongValueError(f"The value must be one of {', '.join(STATES)}")
    return str(given)


def flag(_: ApimService, given: Any) -> bool:
    if not isinstance(given, bool):
        raise WrongValueError("The value must be true or false")
    return given


def date(_: ApimService, given: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(given)
    except (TypeError, ValueError):
        raise WrongValueError("The value must be an ISO 8601 date") from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def _owner(service: ApimService, given: Any) -> str:
    """A user by full ARM id or by `/users/x` (azure-recorded 6)."""
    kind, _, name = _relative(service, given)[1:].partition("/")
    user = service.users.get(name.lower()) if kind.lower() == "users" else None
    if user is None:
        raise WrongValueError("User not found")
    return user.id


def _scope(service: ApimService, given: Any) -> str:
    """A scope by full ARM id or by its end: `/`, `/apis`, `/apis/x`, `/products/x` (azure-recorded 6)."""
    scope = _relative(service, given)
    if scope.lower() in {"/", "/apis", "/apis/"}:
        return "/" if scope == "/" else "/apis"
    kind, _, name = scope[1:].partition("/")
    if kind.lower() == "products" and name.lower() in service.products:
        return f"/products/{service.products[name.lower()].id}"
    if kind.lower() == "apis" and name.lower() in service.apis:
        return f"/apis/{service.apis[name.lower()].id}"
    raise WrongValueError("The scope names no product or API of this service")


def _relative(service: ApimService, given: Any) -> str:
    if not isinstance(given, str) or not given.startswith("/"):
        raise WrongValueError("The value must be a resource id of this service, or the end of one")
    return given[len(service.id) :] if given.lower().startswith(service.id.lower() + "/") else given


KEY = text(1, 256)  # azure-facts 1.2
_NAME = text(1, 100)

# the fields of an apim subscription
_BOTH: Final[dict[str, tuple[str, Reader]]] = {
    "ownerId": ("owner", _owner),
    "scope": ("scope", _scope),
    "displayName": ("display_name", _NAME),
    "primaryKey": ("primary", KEY),
    "secondaryKey": ("secondary", KEY),
    "state": ("state", _state),
    "allowTracing": ("allow_tracing", flag),
}
CREATE_FIELDS: Final = _BOTH
UPDATE_FIELDS: Final = _BOTH | {
    "expirationDate": ("expires", date),
    "stateComment": ("state_comment", text(0, 4096)),
}


def read_create(service: ApimService, body: bytes) -> dict[str, Any]:
    """The values of a PUT. Raises ArmError 400 naming every field that is missing, unknown or wrong."""
    values = read_fields(service, properties_of(body), CREATE_FIELDS)
    demand(values, CREATE_FIELDS, "scope", "displayName")
    return values


def read_update(service: ApimService, body: bytes) -> dict[str, Any]:
    """The values of a PATCH. Raises ArmError 400 naming every field that is unknown or wrong."""
    return read_fields(service, properties_of(body), UPDATE_FIELDS)


def duplicates(service: ApimService, sid: str, values: Mapping[str, Any]) -> ArmError | None:
    """A refusal of values that another slot holds: hearsay, so behind a switch."""
    taken = {
        entity.key(slot): (entity.sid.lower(), slot) for entity in service.subscriptions.values() for slot in SLOTS
    }
    wrong = [
        (f"{slot}Key", "The key is in use already")
        for slot in SLOTS
        if slot in values and taken.get(values[slot], (sid.lower(), slot)) != (sid.lower(), slot)
    ]
    return invalid_fields(*wrong) if wrong else None


def read_fields(service: ApimService, given: Mapping[str, Any], known: Fields) -> dict[str, Any]:
    """The values of `given` by our own names. Raises ArmError 400 naming every field that is unknown or wrong."""
    values: dict[str, Any] = {}
    wrong: list[tuple[str, str]] = []
    for name, value in given.items():
        if name not in known:
            wrong.append((name, f"Invalid field '{name}' specified"))
            continue
        field, read = known[name]
        try:
            values[field] = read(service, value)
        except WrongValueError as error:
            wrong.append((name, str(error)))
    if wrong:
        raise invalid_fields(*wrong)
    return values


def demand(values: Mapping[str, Any], known: Fields, *names: str) -> None:
    """Raises ArmError 400 naming each of `names`, as the wire calls them, that `values` does not hold."""
    missing = [name for name in names if known[name][0] not in values]
    if missing:
        raise invalid_fields(*((name, f"'{name}' must be specified") for name in missing))


def object_of(body: bytes) -> dict[str, Any]:
    """A body that is an object. Raises ArmError 400 for any other."""
    try:
        content = read_json(body)
    except ValueError:
        raise invalid_content("The body is no JSON") from None
    if not isinstance(content, dict):
        raise invalid_content("The body must be an object")
    return content


def properties_of(body: bytes) -> dict[str, Any]:
    """The `properties` of a body, which may hold nothing else. Raises ArmError 400."""
    content = object_of(body)
    if not isinstance(content.get("properties"), dict):
        raise invalid_content("The body must be an object with an object 'properties'")
    strange = [name for name in content if name != "properties"]
    if strange:
        raise invalid_fields(*((name, f"Invalid field '{name}' specified") for name in strange))
    properties: dict[str, Any] = content["properties"]
    return properties
