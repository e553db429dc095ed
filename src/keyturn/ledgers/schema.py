"""What a ledger database looks like, in plain words: tables, columns, versions, and whether a file is one.

Both `sql` and `reading` rest on this room, so it imports nothing that starts slowly, such as SQLAlchemy. It decides
whether a file is a keyturn ledger of a version known here. It never writes.

Times are whole microseconds since 1970 (UTC): they sort alike in every database, whatever its collation.
"""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from keyturn.errors import LedgerFault, Misconfigured
from keyturn.ledgers.faults import damaged, empty

SCHEMA_VERSION = 1

META, RECORDS, HISTORY, LEASES, NOTES = "meta", "records", "history", "leases", "notes"

COLUMNS: Mapping[str, tuple[str, ...]] = {
    META: ("schema_version", "ledger_id", "salt", "salt_check", "created"),
    RECORDS: ("key", "id", "version", "stage", "not_before", "held", "body"),
    HISTORY: ("seq", "key", "at", "kind", "body", "prev", "hash"),
    LEASES: ("key", "host", "boot_id", "pid", "started", "nonce", "until"),
    NOTES: ("name", "text"),
}

MIGRATIONS: Mapping[int, tuple[str, ...]] = {}
"""The statements that bring a ledger from this version to the next. Empty: there has been one version."""

NO_WAIT = -(2**63)
"""`not_before` of a record that waits for nothing: before every instant, so that `due` is one index range."""

ID_BYTES = 16
SALT_BYTES = 32
SHORTEST_SALT = 16

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HEX = frozenset("0123456789abcdef")
_COLUMNS = """\
SELECT tables.name, columns.name FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
WHERE tables.type = 'table'"""


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """What a ledger says of itself. `salt` is None where it is kept outside."""

    version: int
    ledger_id: str
    salt: bytes | None
    salt_check: str


def sqlite_path(url: str) -> Path:
    """The file that `sqlite:///FILE` names (`sqlite:////FILE`: absolute). Raises Misconfigured for other URLs."""
    scheme, found, path = url.partition(":///")
    if scheme != "sqlite" or not found:
        raise Misconfigured(
            f"ledger: {url!r} is not a ledger that this version knows.",
            hint="Write sqlite:///keyturn.db for a file in this directory, or sqlite:////var/lib/keyturn.db.",
        )
    if path in ("", ":memory:"):
        raise Misconfigured(
            "ledger: a ledger in memory would forget its intents when the process ends.",
            hint="Name a file: sqlite:///keyturn.db.",
        )
    return Path(path)


def micros(at: datetime) -> int:
    """Microseconds since 1970. Raises TypeError for a time without a zone."""
    return (at - _EPOCH) // _MICROSECOND


def instant(micros: int) -> datetime:
    """The inverse of `micros`, in UTC."""
    return _EPOCH + micros * _MICROSECOND


def salt_check(salt: bytes) -> str:
    """Tells a wrong salt from the right one, and nothing else about it."""
    return hmac.new(salt, b"keyturn: is this the salt of this ledger?", "sha256").hexdigest()[:24]


def verify(connection: sqlite3.Connection, path: Path) -> Meta:
    """What the database says of itself, if it is a ledger that this keyturn knows.

    Raises LedgerFault for a stranger's database, an empty file, or another version; sqlite3.Error passes.
    """
    # Before the first statement: it would make SQLite delete the journal beside a file of no bytes, or of one.
    if path.stat().st_size <= 1:
        raise empty(path)
    columns: dict[str, set[str]] = {}
    for table, column in connection.execute(_COLUMNS):
        columns.setdefault(table, set()).add(column)
    if not {"schema_version", "ledger_id"} <= columns.get(META, set()):
        raise LedgerFault(
            f"{path} is a database, but not a keyturn ledger.",
            hint="Point `ledger:` at another file; keyturn makes the file itself.",
        )
    version = connection.execute(f"SELECT schema_version FROM {META}").fetchone()  # noqa: S608
    if version is None or type(version[0]) is not int:
        raise damaged(path, "it has lost its own name")
    _check_version(version[0], path)
    if lost := [name for name, wanted in COLUMNS.items() if not set(wanted) <= columns.get(name, set())]:
        raise damaged(path, f"it has lost its {lost[0]}, or a part of them")
    row = connection.execute(f"SELECT {', '.join(COLUMNS[META][:4])} FROM {META}").fetchone()  # noqa: S608
    return read_meta(row, path)


def read_meta(row: tuple[object, ...], path: Path) -> Meta:
    """What that row says. Raises LedgerFault where it says nothing that keyturn has written."""
    version, ledger_id, salt, check = row
    if (
        not isinstance(version, int)
        or not isinstance(ledger_id, str)
        or len(ledger_id) != 2 * ID_BYTES
        or not _HEX.issuperset(ledger_id)
        or not isinstance(salt, bytes | None)
        or not isinstance(check, str)
    ):
        raise damaged(path, "it has lost its own name")
    return Meta(version=version, ledger_id=ledger_id, salt=salt, salt_check=check)


def check_salt(meta: Meta, given: bytes | None, path: Path | str) -> bytes:
    """The salt to work with: the one given, or the ledger's own. Raises LedgerFault if they do not fit."""
    salt = given if given is not None else meta.salt
    if salt is None:
        raise LedgerFault(
            f"The ledger {path} was made with a salt that is kept outside it, and none was given.",
            hint="Set `salt: {env: NAME}` in the configuration, and the variable.",
        )
    if given is None and salt_check(salt) != meta.salt_check:
        raise LedgerFault(
            f"The ledger {path} is damaged: the salt in it is not the one that it was made with.",
            hint="keyturn has left it as it is. Restore a backup, or name another ledger: keyturn then learns from the "
            "sinks again, and writes no slot for a full drain.",
        )
    if salt_check(salt) != meta.salt_check:
        raise LedgerFault(
            f"The ledger {path} was made with another salt: every fingerprint in it would look foreign.",
            hint="Give the salt that the ledger was made with.",
        )
    return salt


def _check_version(found: int, path: Path) -> None:
    if found > SCHEMA_VERSION:
        raise LedgerFault(
            f"The ledger {path} was made by a newer keyturn: schema {found}; this one knows {SCHEMA_VERSION}.",
            hint="Install that version of keyturn again. Nothing in the ledger was changed.",
        )
    missing = [version for version in range(found, SCHEMA_VERSION) if version not in MIGRATIONS]
    if missing:
        raise LedgerFault(
            f"The ledger {path} has schema {found}, and this keyturn cannot bring it to {SCHEMA_VERSION}.",
            hint="Open it once with the keyturn version in between.",
        )
