"""Writes that are under way, and which of them stand in each other's way.

Decides: whether a write of an apim subscription is refused because another one under the same product or owner is
not answered yet. Never here: If-Match (that is `apim_plane`), or how long a write takes: a write is under way only
while `server` holds it up.

The live service answers 412 to parallel creates under one product or owner, If-Match or not, because it has to
enforce the product's limit: the first wins, the others retry (azure-facts 1.5). That it does so for updates too is
assumed, which is the stricter reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from keyturn_emulator.apim import ApimService
from keyturn_emulator.apim_bodies import read_create, read_update
from keyturn_emulator.arm_errors import ArmError
from keyturn_emulator.wire import Call

if TYPE_CHECKING:
    from keyturn_emulator.world import World

_ENTITY_SEGMENTS = 10  # subscriptions/../resourceGroups/../providers/../service/../subscriptions/{sid}


class Flights:
    """The writes under way in one emulated Azure."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._under_way: list[tuple[Call, frozenset[str]]] = []

    @contextmanager
    def flight(self, call: Call) -> Iterator[None]:
        """While this is open, `call` is under way. Any request may be passed: most have no owner to share."""
        entry = (call, self._owners(call))
        self._under_way.append(entry)
        try:
            yield
        finally:
            self._under_way.remove(entry)

    def blocks(self, call: Call) -> bool:
        """Whether a write under way, other than this very one, shares a product or an owner with it."""
        others = [owners for other, owners in self._under_way if other is not call and owners]
        return bool(others) and any(owners & self._owners(call) for owners in others)

    def _owners(self, call: Call) -> frozenset[str]:
        parts = call.segments
        if call.method not in {"PUT", "PATCH"} or len(parts) != _ENTITY_SEGMENTS or parts[8].lower() != "subscriptions":
            return frozenset()
        service = self._world.services.get("/" + "/".join(parts[:8]).lower())
        if service is None:
            return frozenset()
        entity = service.find(parts[9])
        try:
            values = (read_create if call.method == "PUT" else read_update)(service, call.body)
        except ArmError:
            values = {}
        wanted = _names(service, values.get("owner"), values.get("scope"))
        return wanted if entity is None else wanted | _names(service, entity.owner, entity.scope)


def _names(service: ApimService, owner: str | None, scope: str | None) -> frozenset[str]:
    """The owner and the product that a write concerns: those before it, and those after it."""
    names = {f"{service.key}/users/{owner}"} if owner else set()
    if scope is not None and scope.startswith("/products/"):
        names.add(service.key + scope)
    return frozenset(names)
