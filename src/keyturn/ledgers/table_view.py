"""A ledger in a table of Azure Storage as commands see it that only look: `status`, `history`.

It makes no table, writes nothing and needs no salt. `table` rests on it for every read. Never here: a write.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TypeVar

from keyturn.ledgers import table_rows as rows
from keyturn.ledgers.schema import Meta
from keyturn.ledgers.table_wire import TablePlace, Wire
from keyturn.model import Record
from keyturn.ports import HistoryLine

Self = TypeVar("Self", bound="TableView")


class TableView:
    """The reading half of ports.Ledger. Every verb raises LedgerFault when the ledger is not usable."""

    def __init__(self, wire: Wire, meta: Meta) -> None:
        self._wire = wire
        self._meta = meta
        self._place = wire.place

    @staticmethod
    def find(place: TablePlace) -> TableView | None:
        """The ledger in a table; None where no keyturn has made one yet.

        Raises LedgerFault (unreachable, refused, somebody else's, newer) and Misconfigured (no connection string).
        """
        wire = Wire(place)
        try:
            meta = inspect(wire)
        except BaseException:
            wire.close()
            raise
        if meta is None:
            wire.close()
            return None
        return TableView(wire, meta)

    @property
    def id(self) -> str:
        """Names this ledger in the sinks' tags."""
        return self._meta.ledger_id

    def records(self) -> Iterable[Record]:
        """Every record, by id."""
        found = self._wire.query(rows.below(rows.RECORDS))
        return sorted((rows.read_record(row, self._place) for row in found), key=lambda record: (record.id, record.key))

    def history(self, key: str | None = None, limit: int = 100) -> Sequence[HistoryLine]:
        """The newest events, oldest of them first."""
        prefix = rows.HISTORY if key is None else f"{rows.row_of(key, rows.HISTORY_OF)}-"
        newest_first = self._wire.query(rows.below(prefix), limit=limit)
        return [rows.read_line(row, self._place) for row in reversed(newest_first)]

    def note(self, name: str) -> str | None:
        """A fact about a service, such as its proven fence."""
        found = self._wire.get(rows.NOTES, rows.row_of(name))
        return None if found is None else rows.read_note(found.row, self._place)

    def close(self) -> None:
        """Close every connection. The ledger cannot be used afterwards."""
        self._wire.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def inspect(wire: Wire) -> Meta | None:
    """What the ledger says of itself; None for no table, and for an empty one.

    Raises LedgerFault for a table that holds something else, and for a ledger of another version.
    """
    found = wire.get(rows.LEDGER, rows.META, no_table=True)
    if found is None and wire.is_empty():
        return None
    # A ledger's first row is the one that says so: rows without it are a stranger's, unless it was made just now.
    found = found or wire.get(rows.LEDGER, rows.META, no_table=True)
    if found is None:
        raise rows.stranger(wire.place)
    return rows.read_meta(found.row, wire.place)
