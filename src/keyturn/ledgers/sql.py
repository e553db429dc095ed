"""The ledger on SQLite, written in SQLAlchemy Core so that other databases can follow.

A save is one transaction: compare-and-swap on the record's version, and the history that belongs to it.
Writes take the write lock at once (BEGIN IMMEDIATE), so nothing read inside one can be stale at its commit;
a commit is on the disk before it is answered: an intent must outlive the machine.

The file comes into being whole or not at all, with mode 0600, and is never made again over something that is
there: an empty or damaged file is a fault, not a fresh start, and so is the journal of a ledger that is gone. What a
row repeats of its record must agree with it: pages may be whole and not what was written. No value is ever stored
here. Threads may share a ledger; each process opens its own.
"""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    QueuePool,
    Row,
    RowMapping,
    Table,
    Text,
    create_engine,
    event,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnection

from keyturn.errors import Conflict, LedgerFault, Misconfigured
from keyturn.ledgers import schema
from keyturn.ledgers.faults import as_faults, damaged, fault, orphaned
from keyturn.ledgers.holder import provably_dead
from keyturn.ledgers.reading import BUSY_SECONDS, decode_lines, decode_note, decode_record, inspect, refuse_foreign_link
from keyturn.model import Event, Record
from keyturn.ports import LONGEST_LEASE, HistoryLine, Holder, Stored

_Long = BigInteger().with_variant(Integer, "sqlite")
_tables = MetaData()

_meta = Table(
    schema.META,
    _tables,
    Column("schema_version", Integer, nullable=False),
    Column("ledger_id", Text, nullable=False),
    Column("salt", LargeBinary),
    Column("salt_check", Text, nullable=False),
    Column("created", Text, nullable=False),
)
_records = Table(
    schema.RECORDS,
    _tables,
    Column("key", Text, primary_key=True),
    Column("id", Text, nullable=False),
    Column("version", _Long, nullable=False),
    Column("stage", Text, nullable=False),
    Column("not_before", _Long, nullable=False),
    Column("held", Boolean, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("records_due", "held", "not_before"),
)
_history = Table(
    schema.HISTORY,
    _tables,
    Column("seq", _Long, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False),
    Column("at", _Long, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    # Room for a hash chain, which no version writes yet.
    Column("prev", LargeBinary),
    Column("hash", LargeBinary),
    Index("history_of", "key", "seq"),
    sqlite_autoincrement=True,
)
_leases = Table(
    schema.LEASES,
    _tables,
    Column("key", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("boot_id", Text, nullable=False),
    Column("pid", _Long, nullable=False),
    Column("started", Text, nullable=False),
    Column("nonce", Text, nullable=False),
    Column("until", _Long, nullable=False),
)
_notes = Table(schema.NOTES, _tables, Column("name", Text, primary_key=True), Column("text", Text, nullable=False))

_STORED = select(*(_records.c[name] for name in schema.COLUMNS[schema.RECORDS]))

_KEPT_CONNECTIONS = 8
"""As many as a sweep has threads; more are made when needed and dropped afterwards."""

_PRAGMAS = (
    "journal_mode=WAL",
    # On the disk at every commit. With a write-ahead log it is what FULL is; where the file system has none (shared
    # memory over a network) and SQLite stays with its other journal, only this outlives a power cut right after it.
    "synchronous=EXTRA",
    "fullfsync=ON",  # macOS calls a write done that is still in the disk's cache, unless asked like this
    "cell_size_check=ON",
    "trusted_schema=OFF",
)
_JOURNALS = ("-wal", "-journal")
_WRITES = "keyturn_writes"
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP)


class SqlLedger:
    """Implements ports.Ledger. Open one with `open`, once per process; close it when done."""

    def __init__(self, engine: Engine, path: Path, meta: schema.Meta, salt: bytes) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{_WRITES: True})
        # SQLite's own waiting is neither fair nor quick; threads of one process queue here instead.
        self._turn_to_write = threading.Lock()
        self._path = path
        self._file = _identity(path)
        self._id = meta.ledger_id
        self._salt = salt

    @classmethod
    def open(
        cls, url: str, *, salt: bytes | None = None, create: bool = True, busy_seconds: float = BUSY_SECONDS
    ) -> SqlLedger:
        """Open the ledger at `sqlite:///FILE`, making it first if it is not there and `create` says so.

        `salt`: the fingerprints' salt, where it is kept outside the ledger (at least 16 bytes).
        `busy_seconds`: how long to wait for another process that is writing.
        Raises LedgerFault (missing, locked, read-only, damaged, somebody else's, newer, another salt) and
        Misconfigured (not an SQLite address, salt too short).
        """
        path = schema.sqlite_path(url)
        if salt is not None and len(salt) < schema.SHORTEST_SALT:
            raise Misconfigured(
                f"salt: {len(salt)} bytes are too few; a salt needs at least {schema.SHORTEST_SALT}.",
                hint="Draw 32 random bytes and keep them where the ledger is not.",
            )
        with as_faults(path):
            if create and not os.path.lexists(path):
                refuse_foreign_link(path)
                _refuse_orphans(path)
                _make(path, salt)
            meta = inspect(path)
        salt = schema.check_salt(meta, salt, path)
        engine = _engine(path, busy_seconds)
        ledger = cls(engine, path, meta, salt)
        ledger._migrate(meta.version)
        return ledger

    @property
    def id(self) -> str:
        """Names this ledger in the sinks' tags."""
        return self._id

    @property
    def salt(self) -> bytes:
        """The salt of every fingerprint in it."""
        return self._salt

    def load(self, key: str) -> Stored | None:
        """The record of one credential with its version, or None."""
        with self._reading() as db:
            row = db.execute(_STORED.where(_records.c.key == key)).first()
        return None if row is None else _stored(row, self._path)

    def save(self, record: Record, expected: int, events: Sequence[Event]) -> int:
        """Write record and history in one transaction if the stored version is `expected` (0: not there yet).

        Returns the new version. Raises Conflict: then nothing was written.
        """
        row = _row(record, expected + 1)
        with self._writing() as db:
            if expected == 0:
                _insert_new(db, row)
            else:
                of_that_version = (_records.c.key == record.key) & (_records.c.version == expected)
                if db.execute(update(_records).where(of_that_version).values(row)).rowcount != 1:
                    raise _conflict(record)
            if events:
                db.execute(insert(_history), [_line(record.key, event) for event in events])
        return expected + 1

    def records(self) -> Iterable[Record]:
        """Every record, by id."""
        with self._reading() as db:
            rows = db.execute(_STORED.order_by(_records.c.id, _records.c.key)).all()
        return [_stored(row, self._path).record for row in rows]

    def due(self, now: datetime) -> Sequence[str]:
        """Keys of the records that are not held and wait for nothing after `now`, longest waiting first."""
        ready = (_records.c.held == literal(False)) & (_records.c.not_before <= schema.micros(now))
        with self._reading() as db:
            found = db.scalars(
                select(_records.c.key).where(ready).order_by(_records.c.not_before, _records.c.key)
            ).all()
        if not all(isinstance(key, str) for key in found):
            raise damaged(self._path, "a record in it has no name")
        return found

    def history(self, key: str | None = None, limit: int = 100) -> Sequence[HistoryLine]:
        """The newest events, oldest of them first."""
        wanted = select(_history.c.seq, _history.c.key, _history.c.body)
        if key is not None:
            wanted = wanted.where(_history.c.key == key)
        with self._reading() as db:
            rows = db.execute(wanted.order_by(_history.c.seq.desc()).limit(limit)).all()
        lines = [(row.seq, row.key, row.body) for row in reversed(rows)]
        return decode_lines(lines, self._path, whole=key is None)

    def note(self, name: str) -> str | None:
        """A fact about a service, such as its proven fence."""
        with self._reading() as db:
            row = db.execute(select(_notes.c.text).where(_notes.c.name == name)).first()
        return None if row is None else decode_note(row.text, self._path)

    def put_note(self, name: str, text: str) -> None:
        """Keep a fact about a service."""
        with self._writing() as db:
            if db.execute(update(_notes).where(_notes.c.name == name).values(text=text)).rowcount == 0:
                db.execute(insert(_notes).values(name=name, text=text))

    def lease(self, key: str, holder: Holder, now: datetime, span: timedelta) -> bool:
        """Take or extend the lease on a credential.

        False while somebody else holds it whose time is not over and who is not provably dead.
        """
        until = schema.micros(now + span)
        with self._writing() as db:
            row = db.execute(select(_leases).where(_leases.c.key == key)).mappings().first()
            taken = {**msgspec.structs.asdict(holder), "until": until}
            if row is None:
                db.execute(insert(_leases).values(key=key, **taken))
                return True
            if not _free(row, holder, now, self._path):
                return False
            db.execute(update(_leases).where(_leases.c.key == key).values(taken))
            return True

    def release(self, key: str, holder: Holder) -> None:
        """Give the lease back; nothing happens if it is not ours any more."""
        ours = [_leases.c[name] == value for name, value in msgspec.structs.asdict(holder).items()]
        with self._writing() as db:
            db.execute(_leases.delete().where(_leases.c.key == key, *ours))

    def close(self) -> None:
        """Close every connection. The ledger cannot be used afterwards."""
        self._engine.dispose()

    def __enter__(self) -> SqlLedger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._faults(), self._engine.connect() as db:
            yield db

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One write transaction: committed at the end, rolled back by any error."""
        with self._turn_to_write, self._faults(), self._writer.begin() as db:
            yield db

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Inside, every failure of the database is a LedgerFault, and so is a file that is ours no more."""
        with as_faults(self._path):
            if _identity(self._path) != self._file:
                raise LedgerFault(
                    f"The ledger {self._path} was replaced while keyturn was using it.",
                    hint="Nothing was written to either file. Start keyturn again.",
                )
            try:
                yield
            except (DBAPIError, NoConnection) as error:
                raise fault(error, self._path) from error

    def _migrate(self, found: int) -> None:
        for version in range(found, schema.SCHEMA_VERSION):
            with self._writing() as db:
                if db.scalar(select(_meta.c.schema_version)) != version:
                    continue  # another process was here first
                for statement in schema.MIGRATIONS[version]:
                    db.execute(text(statement))
                db.execute(update(_meta).values(schema_version=version + 1))


def _row(record: Record, version: int) -> dict[str, object]:
    return {
        "key": record.key,
        "id": record.id,
        "version": version,
        "stage": record.stage.value,
        "not_before": _waits(record),
        "held": record.hold is not None,
        "body": msgspec.json.encode(record),
    }


def _waits(record: Record) -> int:
    return schema.NO_WAIT if record.not_before is None else schema.micros(record.not_before)


def _line(key: str, event: Event) -> dict[str, object]:
    return {"key": key, "at": schema.micros(event.at), "kind": event.kind, "body": msgspec.json.encode(event)}


def _insert_new(db: Connection, row: dict[str, object]) -> None:
    try:
        db.execute(insert(_records).values(row))
    except IntegrityError:
        raise Conflict(
            f"{row['id']} is in the ledger already: somebody else saved it first.",
            hint="Nothing was written. Read the record again.",
        ) from None


def _conflict(record: Record) -> Conflict:
    return Conflict(
        f"The record of {record.id} has changed since it was read.",
        hint="Nothing was written. Read the record again.",
    )


def _stored(row: Row[Any], path: Path) -> Stored:
    """A record with its version. Raises LedgerFault where the row is none of ours, or says something else than it."""
    record = decode_record(row.body, path)
    if type(row.version) is not int or row.version < 1:
        raise damaged(path, f"the record of {record.id} has no version")
    said = (row.key, row.id, row.stage, row.not_before, row.held)
    if said != (record.key, record.id, record.stage.value, _waits(record), record.hold is not None):
        raise damaged(path, f"the record of {record.id} is not the one that was written there")
    return Stored(record=record, version=row.version)


def _free(row: RowMapping, holder: Holder, now: datetime, path: Path) -> bool:
    """Whether `holder` may take the lease that `row` describes."""
    try:
        current = msgspec.convert({name: row[name] for name in Holder.__struct_fields__}, Holder)
        until = msgspec.convert(row["until"], int)
    except msgspec.ValidationError as error:
        raise damaged(path, "a lease in it cannot be read") from error
    lasts = schema.micros(now) < until <= schema.micros(now + LONGEST_LEASE)
    return current == holder or not lasts or provably_dead(current)


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _engine(path: Path, busy_seconds: float) -> Engine:
    """Connections to an existing file: `mode=rw` never makes one, so a file that vanished is noticed."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode=rw",
            uri=True,
            timeout=busy_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=_KEPT_CONNECTIONS,
        max_overflow=-1,
        hide_parameters=True,
    )
    event.listen(engine, "begin", _begin)
    return engine


def _begin(db: Connection) -> None:
    """Our own BEGIN: Python's sqlite3 would begin a transaction late, after what it rests on was read."""
    db.exec_driver_sql("BEGIN IMMEDIATE" if db.get_execution_options().get(_WRITES) else "BEGIN")


def _refuse_orphans(path: Path) -> None:
    """A new ledger beside the journal of an old one would be given the old one's pages. Raises LedgerFault."""
    for journal in (path.with_name(f"{path.name}{ending}") for ending in _JOURNALS):
        # Looked at last: another process may be making this very ledger now.
        if journal.exists() and journal.stat().st_size and not os.path.lexists(path):
            raise orphaned(path, journal)


def _make(path: Path, salt: bytes | None) -> None:
    """Make a complete ledger under another name, then give it its own: nobody ever sees half of one.

    If somebody else was quicker, theirs stays and ours goes.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(draft, flags, 0o600)
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, 0o600)  # whatever the umask took away
        os.close(descriptor)
        _fill(draft, salt)
        _name(draft, path)
    finally:
        for name in (draft, draft.with_name(f"{draft.name}-wal"), draft.with_name(f"{draft.name}-shm")):
            name.unlink(missing_ok=True)
    _sync_directory(path.absolute().parent)


def _name(draft: Path, path: Path) -> None:
    """Give the draft its name, unless that is taken. Some file systems (FAT) have no links: there, rename."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in _NO_LINKS or path.exists():
            raise
        draft.rename(path)


def _fill(draft: Path, salt: bytes | None) -> None:
    drawn = salt if salt is not None else secrets.token_bytes(schema.SALT_BYTES)
    engine = _engine(draft, BUSY_SECONDS)
    try:
        with engine.execution_options(**{_WRITES: True}).begin() as db:
            _tables.create_all(db)
            db.execute(
                insert(_meta).values(
                    schema_version=schema.SCHEMA_VERSION,
                    ledger_id=secrets.token_hex(schema.ID_BYTES),
                    salt=None if salt is not None else drawn,
                    salt_check=schema.salt_check(drawn),
                    # By the database's clock, for people alone: nothing is decided by it.
                    created=func.current_timestamp(),
                )
            )
        with closing(engine.raw_connection()) as raw:  # closing the last one does so, too, but hides a full disk
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except DBAPIError as error:
        raise error.orig or error from error
    finally:
        engine.dispose()


def _sync_directory(directory: Path) -> None:
    """Make the new name survive a power cut, where the system can."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
