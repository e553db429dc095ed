"""What every operation of the resource provider has in common: If-Match, pages, filters, names that must exist.

Decides: when a tag matches, how a list is filtered, cut into pages and linked. Never here: an operation, what a filter
may say (`odata`), or what any one kind of entity looks like.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import islice
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote

from keyturn_emulator.arm_errors import entity_not_found, invalid_fields, not_supported, precondition_failed
from keyturn_emulator.arm_routes import Visit
from keyturn_emulator.odata import Field, FilterNotServed, read_filter
from keyturn_emulator.switches import is_on
from keyturn_emulator.wire import Answer, indented_json_answer

PAGE: Final = 100  # azure-facts 1.4
LONGEST_NUMBER: Final = 18  # digits
SERVICE: Final = "subscriptions/{azure}/resourceGroups/{group}/providers/Microsoft.ApiManagement/service/{service}"
ACTION: Final = "Microsoft.ApiManagement/service"
LISTING: Final = frozenset({"$filter", "$top", "$skip"})

Entity = TypeVar("Entity")


class Tagged(Protocol):
    """Something with an ETag."""

    @property
    def etag(self) -> str: ...


def known(found: Mapping[str, Entity], name: str, kind: str) -> Entity:
    entity = found.get(name.lower())
    if entity is None:
        raise entity_not_found(kind)
    return entity


def check_match(visit: Visit, entity: Tagged | None, *, needed: bool) -> None:
    """`*` matches anything; else the tag must be the entity's own, quotes included (azure-facts 1.5).

    `entity` is None for what does not exist.
    """
    given = visit.call.headers.get("if-match")
    if given is None and needed and is_on(visit.world, "strict_if_match"):
        raise invalid_fields(("If-Match", "The header 'If-Match' must be specified"))
    if given is None or given == "*":
        return
    if entity is None and needed:  # a DELETE of what is gone: 204 with any tag
        return
    if entity is None or entity.etag != given:
        raise precondition_failed()


def page(
    visit: Visit, found: Collection[Entity], form: Callable[[Entity], dict[str, Any]], *, filtered: bool = False
) -> Answer:
    """One page with the count of all of them, and a nextLink if there are more (azure-recorded 5)."""
    if not filtered and visit.call.param("$filter") is not None:
        raise not_supported("$filter on this list")
    top = number(visit, "$top", PAGE, 1)
    skip = number(visit, "$skip", 0, 0)
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


def number(visit: Visit, name: str, default: int, least: int) -> int:
    given = visit.call.param(name)
    if given is None:
        return default
    if not given.isascii() or not given.isdigit() or len(given) > LONGEST_NUMBER or int(given) < least:
        raise invalid_fields((name, f"The value must be a whole number of at least {least}"))
    return int(given)


def meeting(visit: Visit, found: Iterable[Entity], fields: Mapping[str, Field[Entity]]) -> list[Entity]:
    """Those of `found` that the request's `$filter` chooses, or all. Raises ArmError 501 naming what is not served."""
    text = visit.call.param("$filter")
    if text is None:
        return list(found)
    try:
        meets = read_filter(text, fields)
    except FilterNotServed as error:
        raise not_supported(str(error)) from error
    return [entity for entity in found if meets(entity)]
