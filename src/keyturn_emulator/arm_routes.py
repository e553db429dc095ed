"""How a path of Resource Manager is read: rows of a table, each naming an operation.

Decides: which row a request meets, the values its placeholders take, the ARM id that its role check is about, and
what else a request of that row may carry. Never here: what an operation does, or what Azure holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from keyturn_emulator.arm_errors import not_supported
from keyturn_emulator.wire import Answer, Call

if TYPE_CHECKING:
    from keyturn_emulator.apim import ApimService
    from keyturn_emulator.world import AzureSubscription, World


_JSON: Final = "application/json"
# They would change what a request means, and nobody knows how Azure takes them.
_REFUSED_HEADERS: Final = (
    "If-None-Match",
    "If-Modified-Since",
    "If-Unmodified-Since",
    "If-Range",
    "Range",
    "Prefer",
    "X-HTTP-Method-Override",
)


@dataclass(slots=True)
class Visit:
    """One request on its way: filled in step by step as the checks of Resource Manager pass."""

    world: World
    call: Call
    version: str
    names: dict[str, str] = field(default_factory=dict)  # what the placeholders stand for
    azure_subscription: AzureSubscription | None = None
    object_id: str = ""  # of the caller, and its tenant
    tenant_id: str = ""
    headers: dict[str, str] = field(default_factory=dict)  # for the answer, whatever it will be
    found_service: ApimService | None = None

    @property
    def service(self) -> ApimService:
        if self.found_service is None:
            raise RuntimeError("this operation stands under no service")
        return self.found_service


@dataclass(slots=True, frozen=True)
class Row:
    """One operation. In `path`, `{x}` is a placeholder and `|` ends the id that the role check is about."""

    method: str
    path: str
    action: str
    perform: Callable[[Visit], Answer]
    query: frozenset[str] = frozenset()  # allowed beside api-version
    body: bool = False
    versions: tuple[str, ...] = ()  # those it knows; none given: API Management's
    shows_what_may_be_read: bool = False  # a list above what roles are given at
    kind: str = "service"  # the resource type that the refusal of another version names

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(part for part in self.path.replace("|", "/").split("/") if part)

    @property
    def scope_length(self) -> int:
        return len([part for part in self.path.partition("|")[0].split("/") if part])


class Table:
    """Rows, found by method and path. Segments compare without case, as Resource Manager compares them."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows: dict[tuple[str, int], list[tuple[Row, tuple[str, ...]]]] = {}
        for row in rows:
            entry = (row, tuple(part if part.startswith("{") else part.lower() for part in row.parts))
            self._rows.setdefault((row.method, len(row.parts)), []).append(entry)

    def find(self, method: str, segments: tuple[str, ...]) -> tuple[Row, dict[str, str]] | None:
        """The row that these segments meet, with the values of its placeholders."""
        folded = tuple(segment.lower() for segment in segments)
        for row, parts in self._rows.get((method, len(segments)), ()):
            if all(
                part == there or (part.startswith("{") and there) for part, there in zip(parts, folded, strict=True)
            ):
                names = {
                    part[1:-1]: segment for part, segment in zip(parts, segments, strict=True) if part.startswith("{")
                }
                return row, names
        return None


def check_manners(call: Call, row: Row) -> None:
    """Raises ArmError 501 for a query parameter, header or body that the row does not take: nothing is ignored."""
    allowed = {name.lower() for name in row.query} | {"api-version"}
    seen: set[str] = set()
    for name, _ in call.query:
        if name.lower() not in allowed:
            raise not_supported(f"the query parameter {name} of {row.method} {row.path}")
        if name.lower() in seen:
            raise not_supported(f"the query parameter {name} twice")
        seen.add(name.lower())
    for name in _REFUSED_HEADERS:
        if name.lower() in call.headers:
            raise not_supported(f"the header {name}")
    if "if-match" in call.headers and row.method not in {"PUT", "PATCH", "DELETE"}:
        raise not_supported(f"the header If-Match on {row.method}")
    if call.body and not row.body:
        raise not_supported(f"a body of {row.method} {row.path}")
    kind = call.headers.get("content-type", _JSON).partition(";")[0].strip().lower()
    if call.body and kind != _JSON:
        raise not_supported(f"a body of the type {kind}")
