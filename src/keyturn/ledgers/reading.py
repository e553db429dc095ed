"""A ledger file as commands see it that only look: `status`, `history`.

It starts fast (the standard library's sqlite3, no SQLAlchemy), opens the file read-only, and never makes one.
Records decode into the same types as in `sql`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import msgspec

from keyturn.disk import foreign_link
from keyturn.errors import LedgerFault
from keyturn.ledgers import schema
from keyturn.ledgers.faults import as_faults, damaged
from keyturn.model import Event, Record
from keyturn.ports import HistoryLine

BUSY_SECONDS = 10.0
WHOLE_CHECK_BYTES = 64 * 1024 * 1024
"""Up to this size the whole file is checked before it is written to (about 5 ms per MB); above, not history."""

_RECORDS = f"SELECT body FROM {schema.RECORDS}"  # noqa: S608
_HISTORY = f"SELECT seq, key, body FROM {schema.HISTORY} ORDER BY seq DESC LIMIT ?"  # noqa: S608
_HISTORY_OF = f"SELECT seq, key, body FROM {schema.HISTORY} WHERE key = ? ORDER BY seq DESC LIMIT ?"  # noqa: S608
_NOTE = f"SELECT text FROM {schema.NOTES} WHERE name = ?"  # noqa: S608

_decode_record = msgspec.json.Decoder(Record).decode
_decode_event = msgspec.json.Decoder(Event).decode


class LedgerView:
    """A read-only view of an SQLite ledger. Every verb raises LedgerFault when the ledger is not usable."""

    def __init__(self, connection: sqlite3.Connection, path: Path, ledger_id: str) -> None:
        self._connection = connection
        self._path = path
        self._id = ledger_id

    @classmethod
    def open(cls, url: str) -> LedgerView:
        """Open the ledger at `sqlite:///FILE`. Raises LedgerFault; Misconfigured for another kind of URL."""
        path = schema.sqlite_path(url)
        with as_faults(path):
            refuse_odd_file(path)
            connection = connect_read_only(path)
            try:
                meta = schema.verify(connection, path)
            except BaseException:
                connection.close()
                raise
        return cls(connection, path, meta.ledger_id)

    @property
    def id(self) -> str:
        return self._id

    def records(self) -> Iterable[Record]:
        """Every record, by id."""
        with as_faults(self._path):
            rows = self._connection.execute(_RECORDS).fetchall()
        records = [decode_record(body, self._path) for (body,) in rows]
        return sorted(records, key=lambda record: (record.id, record.key))

    def history(self, key: str | None = None, limit: int = 100) -> Sequence[HistoryLine]:
        """The newest events, oldest of them first."""
        with as_faults(self._path):
            found = (
                self._connection.execute(_HISTORY, (limit,))
                if key is None
                else self._connection.execute(_HISTORY_OF, (key, limit))
            )
            rows = found.fetchall()
        return decode_lines(rows[::-1], self._path, whole=key is None)

    def note(self, name: str) -> str | None:
        """A fact about a service."""
        with as_faults(self._path):
            row = self._connection.execute(_NOTE, (name,)).fetchone()
        return None if row is None else decode_note(row[0], self._path)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> LedgerView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def decode_record(body: bytes | str, path: Path) -> Record:
    """A stored record. Raises LedgerFault if it is none."""
    try:
        return _decode_record(body)
    except (msgspec.DecodeError, TypeError, UnicodeError, RecursionError) as error:
        raise damaged(path, "a record in it cannot be read") from error


def decode_lines(rows: Sequence[tuple[int, str, bytes]], path: Path, *, whole: bool) -> list[HistoryLine]:
    """Stored lines of history, oldest first. `whole`: of every credential, so that no number may be missing.

    Raises LedgerFault for a line that is none, and for a gap.
    """
    lines = [_decode_line(seq, key, body, path) for seq, key, body in rows]
    if whole and lines and [line.seq for line in lines] != list(range(lines[0].seq, lines[0].seq + len(lines))):
        raise damaged(path, "lines of its history are missing")
    return lines


def _decode_line(seq: int, key: str, body: bytes, path: Path) -> HistoryLine:
    try:
        if isinstance(key, str):
            return HistoryLine(seq=seq, key=key, event=_decode_event(body))
    except (msgspec.DecodeError, TypeError, UnicodeError, RecursionError) as error:
        raise damaged(path, f"line {seq} of its history cannot be read") from error
    raise damaged(path, f"line {seq} of its history belongs to nobody")


def decode_note(text: object, path: Path) -> str:
    """A stored note. Raises LedgerFault if it is none."""
    if not isinstance(text, str):
        raise damaged(path, "a note in it cannot be read")
    return text


def refuse_foreign_link(path: Path) -> None:
    """Raises LedgerFault where somebody else could turn the path elsewhere."""
    link = foreign_link(path)
    if link is not None:
        raise LedgerFault(
            f"The ledger {path} is below {link}, a symbolic link of another user.",
            hint="Name the ledger by a path without that link.",
        )


def refuse_odd_file(path: Path) -> None:
    """Raises LedgerFault for a symbolic link or anything but a file, FileNotFoundError for nothing; LedgerFault, too,
    below a link of somebody else's.

    The file is never opened here: closing any descriptor of it would drop the locks that SQLite holds for the
    whole process.
    """
    refuse_foreign_link(path)
    if path.is_symlink():
        raise LedgerFault(
            f"The ledger {path} is a symbolic link, and keyturn does not follow one.",
            hint="Write the name of the file itself.",
        )
    path.lstat()
    if not path.is_file():
        raise LedgerFault(f"The ledger {path} is not a file.", hint="Correct `ledger:`: it must name a file.")


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot change the file. Raises sqlite3.Error."""
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    return sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def inspect(path: Path) -> schema.Meta:
    """What the ledger says of itself, after a look for damage, through a connection that cannot write.

    A ledger is checked before anything is written to it, so that a damaged one stays as it was found.
    Raises LedgerFault; sqlite3.Error passes through.
    """
    refuse_odd_file(path)
    with closing(connect_read_only(path)) as connection:
        meta = schema.verify(connection, path)
        size = path.stat().st_size
        (page,) = connection.execute("PRAGMA page_size").fetchone()
        journal = path.with_name(f"{path.name}-wal")
        if size % page and not (journal.exists() and journal.stat().st_size):
            raise damaged(path, "its last page is torn")
        whole = size <= WHOLE_CHECK_BYTES
        tables = [""] if whole else [f"('{name}')" for name in schema.COLUMNS if name != schema.HISTORY]
        for table in tables:
            # Not quick_check: a record that is missing from the index of what is due would never be due again.
            answer = connection.execute(f"PRAGMA integrity_check{table}").fetchone()
            if answer != ("ok",):
                raise damaged(path, "its pages do not fit together")
    return meta
