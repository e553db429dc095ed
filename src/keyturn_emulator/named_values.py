"""The named values of one API Management service: what is stored, and when an accepted write takes effect.

Decides: what a write leaves behind, when the ETag moves, and how long a write that was only accepted stays out of
sight. Never here: HTTP, or which answer shows a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from keyturn_emulator.world import World

HIDDEN: Final = ("value",)


@dataclass(slots=True, frozen=True)
class NamedValue:
    """One named value. `key_vault` is the secret's identifier where a vault holds the value; `value` is then empty."""

    id: str
    display_name: str
    value: str = field(default="", repr=False)
    secret: bool = False
    tags: tuple[str, ...] = ()
    key_vault: str | None = None
    etag: str = ""


@dataclass(slots=True, frozen=True)
class Accepted:
    """A write that was answered 202: it takes effect once its operation is asked for, or time moves."""

    operation: str
    coming: NamedValue
    at: float


class NamedValues:
    """The named values of a service, by lower-case id in order of creation. `next_etag` counts for all of it."""

    def __init__(self, world: World, next_etag: Callable[[], str]) -> None:
        self._world = world
        self._next_etag = next_etag
        self._found: dict[str, NamedValue] = {}
        self._accepted: list[Accepted] = []
        self._operations = 0

    def all(self) -> list[NamedValue]:
        self._land(lambda write: write.at < self._world.clock.boot())
        return list(self._found.values())

    def find(self, name: str) -> NamedValue | None:
        self._land(lambda write: write.at < self._world.clock.boot())
        return self._found.get(name.lower())

    def put(self, wanted: NamedValue) -> NamedValue:
        """Store it. A write that changes nothing keeps the ETag, as it does for other entities (azure-recorded 1)."""
        self.land_all()
        there = self._found.get(wanted.id.lower())
        if there is not None and replace(wanted, etag=there.etag) == there:
            return there
        made = replace(wanted, etag=self._next_etag())
        self._found[made.id.lower()] = made
        return made

    def accept(self, wanted: NamedValue) -> str:
        """Store it a little later; returns the id of the operation."""
        self.land_all()
        self._operations += 1
        operation = f"{self._operations:024x}"
        self._accepted.append(Accepted(operation, wanted, self._world.clock.boot()))
        return operation

    def finish(self, operation: str) -> None:
        """Let the write of that operation take effect, if it has not yet."""
        self._land(lambda write: write.operation == operation)

    def land_all(self) -> None:
        """Let every accepted write take effect: writes keep their order."""
        self._land(lambda _: True)

    def delete(self, entity: NamedValue) -> None:
        self.land_all()
        del self._found[entity.id.lower()]
        self._next_etag()

    def called(self, display_name: str, besides: str) -> NamedValue | None:
        """The named value of that display name, other than the one with the id `besides`."""
        others = (item for item in self._found.values() if item.id.lower() != besides.lower())
        return next((item for item in others if item.display_name == display_name), None)

    def snapshot(self) -> list[Mapping[str, Any]]:
        """The state as plain data, without any value."""
        return [{name: part for name, part in asdict(item).items() if name not in HIDDEN} for item in self.all()]

    def _land(self, ready: Callable[[Accepted], bool]) -> None:
        landing: Iterable[Accepted] = [write for write in self._accepted if ready(write)]
        self._accepted = [write for write in self._accepted if not ready(write)]
        for write in landing:
            self._found[write.coming.id.lower()] = replace(write.coming, etag=self._next_etag())
