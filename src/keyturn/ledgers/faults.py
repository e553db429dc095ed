"""Which sentence and which hint a failure of SQLite deserves.

Every cause that a person can do something about has a row. It never looks at a record, and never writes.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from keyturn.errors import LedgerFault

_UNTOUCHED = "keyturn has left it as it is."
_RESTORE = (
    f"{_UNTOUCHED} Move the file away, together with those beside it that end in -wal and -shm; then restore a backup, "
    "or start without one: keyturn learns from the sinks again, and writes no slot for a full drain."
)

_Row = tuple[str, str]


def _locked(path: Path) -> _Row:
    return (
        f"The ledger {path} is locked: another program keeps writing to it.",
        "Nothing was changed. Look for a stuck keyturn or an open database browser, then run it again.",
    )


def _read_only(path: Path) -> _Row:
    file = _may(path, os.F_OK) and not _may(path, os.W_OK)
    shown = f"file {path}" if file else f"directory {path.absolute().parent}"
    return (
        f"The ledger cannot be written: the {shown} is read-only.",
        "Let the user that runs keyturn write both the file and its directory: SQLite keeps two files beside it.",
    )


def _corrupt(path: Path) -> _Row:
    return f"The ledger {path} is damaged: part of it is missing or overwritten.", _RESTORE


def _not_a_database(path: Path) -> _Row:
    return f"The ledger {path} is not a database.", _RESTORE


def _unlike(path: Path) -> _Row:
    return f"The ledger {path} is damaged: it is not built as keyturn builds one.", _RESTORE


def _full(path: Path) -> _Row:
    return (
        f"The disk that holds the ledger {path} is full.",
        "Nothing was changed. Make room, then run it again: what cannot be written down is not sent either.",
    )


def _missing(path: Path) -> _Row:
    parent = path.absolute().parent
    if not _may(parent, os.F_OK):
        return f"The directory {parent} of the ledger is missing.", "Make the directory, or correct `ledger:`."
    return f"There is no ledger at {path}.", "Correct `ledger:`; the first `run` makes a new one."


def _cannot_open(path: Path) -> _Row:
    parent = path.absolute().parent
    if not _may(parent, os.X_OK) or (_may(path, os.F_OK) and not _may(path, os.R_OK)):
        return f"The ledger {path} may not be read by this user.", "Run keyturn as the user that owns the ledger."
    if not _may(parent, os.W_OK):
        return _read_only(path)
    if not _may(path, os.F_OK):
        return _missing(path)
    return f"The ledger {path} cannot be opened.", "Correct `ledger:`: it must name a file that keyturn made."


def _may(path: Path, how: int) -> bool:
    """Whether this user may; unlike Path.exists it never raises, whatever is in the way."""
    return os.access(path, how, effective_ids=os.access in os.supports_effective_ids)


def _disk(path: Path) -> _Row:
    return (
        f"The disk failed while the ledger {path} was used.",
        "Look at the system's log for the disk. The last save was not made; run it again.",
    )


# What Python's sqlite3 says, with no code of SQLite's own, of a text that is none.
_UNREADABLE = "Could not decode to UTF-8"

# By SQLite's primary result code; the extended ones keep it in their low byte.
_CAUSES: dict[int, Callable[[Path], _Row]] = {
    sqlite3.SQLITE_BUSY: _locked,
    sqlite3.SQLITE_LOCKED: _locked,
    sqlite3.SQLITE_READONLY: _read_only,
    sqlite3.SQLITE_PERM: _read_only,
    sqlite3.SQLITE_AUTH: _read_only,
    sqlite3.SQLITE_CORRUPT: _corrupt,
    sqlite3.SQLITE_ERROR: _unlike,  # our statements are fixed: a table or column is missing, or the format is odd
    sqlite3.SQLITE_FORMAT: _corrupt,
    sqlite3.SQLITE_NOTADB: _not_a_database,
    sqlite3.SQLITE_FULL: _full,
    sqlite3.SQLITE_CANTOPEN: _cannot_open,
    sqlite3.SQLITE_IOERR: _disk,
}

# What the system itself answers while a ledger is made or looked at.
_SYSTEM: dict[int, Callable[[Path], _Row]] = {
    errno.ENOENT: _missing,
    errno.ENOTDIR: _missing,
    errno.EACCES: _cannot_open,
    errno.EPERM: _cannot_open,
    errno.EROFS: _read_only,
    errno.ENOSPC: _full,
    errno.EDQUOT: _full,
}


def fault(error: BaseException, path: Path) -> LedgerFault:
    """The LedgerFault for an error of SQLite, whoever wrapped it."""
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlite_errorcode", None)
    if code is None and str(cause).startswith(_UNREADABLE):
        return damaged(path, "a text in it cannot be read")
    row = _CAUSES.get(code & 0xFF) if isinstance(code, int) else None
    if row is None:
        return LedgerFault(
            f"The ledger {path} cannot be used: {cause}.",
            hint=f"{_UNTOUCHED} docs/continuity.md says how to go on without it.",
        )
    sentence, hint = row(path)
    return LedgerFault(sentence, hint=hint)


def damaged(path: Path, what: str) -> LedgerFault:
    """The LedgerFault for something that SQLite reads happily, but that is no record of ours."""
    return LedgerFault(f"The ledger {path} is damaged: {what}.", hint=_RESTORE)


def empty(path: Path) -> LedgerFault:
    """The LedgerFault for a file of no bytes: keyturn makes none, so that something has emptied it."""
    return LedgerFault(
        f"The ledger {path} is empty: something has truncated it, or keyturn did not make it.", hint=_RESTORE
    )


def orphaned(path: Path, journal: Path) -> LedgerFault:
    """The LedgerFault for the journal of a ledger that is gone: SQLite would play it into whatever comes instead."""
    return LedgerFault(
        f"There is no ledger at {path}, but {journal.name} beside it holds the last saves of one.",
        hint=f"{_UNTOUCHED} Put the ledger back beside it; or, to start without, move {journal.name} away, too: "
        "keyturn learns from the sinks again, and writes no slot for a full drain.",
    )


@contextmanager
def as_faults(path: Path) -> Iterator[None]:
    """Inside, every failure of sqlite3 and of the file system is a LedgerFault."""
    try:
        yield
    except sqlite3.Error as error:
        raise fault(error, path) from error
    except UnicodeDecodeError as error:  # SQLite's own sentence quotes what it found, and Python cannot read that
        raise damaged(path, "a text in it cannot be read") from error
    except MemoryError as error:  # SQLite's word for a row that claims to be larger than any memory
        raise LedgerFault(
            f"The ledger {path} cannot be read: a row in it asks for more memory than there is.",
            hint=f"If this machine has memory left, the file is damaged. {_RESTORE}",
        ) from error
    except OSError as error:
        sentence, hint = _SYSTEM.get(error.errno or 0, _disk)(path)
        raise LedgerFault(sentence, hint=hint) from error
