"""What a power cut, a full or failing disk, or a careless hand may leave of a ledger's files.

Whatever is done to them, opening and every verb either answer with a state that was once saved, or raise a LedgerFault
that names the file and says what to do; and where it does, no byte of what was found is changed. A save that was
answered is on the disk: it is there after any cut that left whole what had been written when it was answered.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from keyturn.errors import LedgerFault
from keyturn.ledgers.holder import this_process
from keyturn.ledgers.reading import LedgerView
from keyturn.ledgers.sql import SqlLedger
from keyturn.ports import Stored
from keyturn.testing import MemoryLedger

from .contract import ELSEWHERE, MINUTE, NOW, SeededClock, event, full_record, record

SECTOR, PAGE, FRAME, LOG_HEADER = 512, 4096, 4096 + 24, 32
AT_REST, SAVES = 7, 12
"""So many saves are in the main file; the others stand in the log beside it alone."""
NAMES = ("contoso", "fabrikam", "legacy")


class Damage(msgspec.Struct, frozen=True):
    """The files of one ledger, as bytes, at the instants that matter."""

    ledger_id: str
    main: bytes
    log: bytes
    ends: tuple[int, ...]
    """How long the log was when each of its saves was answered."""
    closed: bytes
    """The main file once everything is in it."""


def _save(ledger: SqlLedger | MemoryLedger, number: int) -> None:
    name, version = NAMES[number % len(NAMES)], number // len(NAMES)
    changed = full_record().but(key=f"/arm/{name}", id=f"shop/{name}", seq=number, hold=None, policy="p" * 700)
    assert ledger.save(changed, version, [event(f"{number}.{part}") for part in range(3)]) == version + 1


def _standings() -> list[dict[str, Any]]:
    """What a ledger tells after none, one, two... of the saves."""
    memory = MemoryLedger()
    told = []
    for number in range(SAVES + 1):
        if number:
            _save(memory, number - 1)
        loaded = {name: memory.load(f"/arm/{name}") for name in NAMES}
        records, history, due = list(memory.records()), memory.history(limit=1000), list(memory.due(NOW + MINUTE))
        told.append({**loaded, "records": records, "history": history, "due": due, "note": "proven"})
    return told


STANDINGS = _standings()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Damage:
    path = tmp_path_factory.mktemp("kept") / "keyturn.db"
    log = path.with_name("keyturn.db-wal")
    with SqlLedger.open(f"sqlite:///{path}") as ledger:
        ledger.put_note("fence shop", "proven")
        assert ledger.lease("k", ELSEWHERE, NOW, MINUTE)
        for number in range(AT_REST):
            _save(ledger, number)
    with SqlLedger.open(f"sqlite:///{path}") as ledger:
        ends = []
        for number in range(AT_REST, SAVES):
            _save(ledger, number)
            ends.append(log.stat().st_size)
        main, written = path.read_bytes(), log.read_bytes()
    assert len(main) > 10 * PAGE
    assert len(written) > 30 * FRAME
    return Damage(ledger.id, main, written, tuple(ends), path.read_bytes())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyturn.db"


class _Seen:
    """One damaged ledger, looked at from every side."""

    def __init__(
        self,
        path: Path,
        main: bytes | None,
        log: bytes | None = None,
        shm: bytes | None = None,
        *,
        always_write: bool = False,
    ) -> None:
        self.path, self.url, self._always_write = path, f"sqlite:///{path}", always_write
        self.faults: list[str] = []
        self.hints: list[str] = []
        for ending, content in (("", main), ("-wal", log), ("-shm", shm)):
            file = path.with_name(path.name + ending)
            file.unlink(missing_ok=True)
            if content is not None:
                file.write_bytes(content)
        self._found = self._bytes()
        self.standing = self._look()
        assert all("X" in fault for fault in self.faults), "each names the file"
        assert all("eyturn" in hint for hint in self.hints), "each says what to do, or what was not done"

    def _bytes(self) -> dict[str, bytes]:
        """Of everything but the shared memory, which is made anew by whoever comes first."""
        files = (file for file in self.path.parent.iterdir() if not file.name.endswith("-shm"))
        return {file.name: file.read_bytes() for file in files}

    def _untouched(self) -> None:
        now = self._bytes()
        assert {name: now.get(name) for name in self._found} == self._found, "something was overwritten"

    def _ask(self, verb: Callable[[], Any]) -> Any:
        try:
            return verb()
        except LedgerFault as fault:
            self.faults.append(fault.message.replace(str(self.path), "X"))
            self.hints.append(fault.hint)
            return fault

    def _look(self) -> int | None:
        """Which standing it tells; None where anything at all was refused."""
        self._view()
        standing = self._ledger()
        return None if self.faults else standing

    def _view(self) -> None:
        view = self._ask(lambda: LedgerView.open(self.url))
        if not isinstance(view, LedgerFault):
            with view:
                for verb in (view.records, view.history, lambda: view.note("fence shop")):
                    self._ask(verb)
        self._untouched()

    def _ledger(self) -> int | None:
        ledger = self._ask(lambda: SqlLedger.open(self.url))
        if isinstance(ledger, LedgerFault):
            self._untouched()
            return None
        try:
            return self._told(ledger)
        finally:
            self._untouched()
            if self.faults or self._always_write:
                self._write(ledger)
            ledger.close()

    def _told(self, ledger: SqlLedger) -> int | None:
        """All reads: what they tell was once so, all at one time; beside a fault some may have nothing to tell."""
        ask = self._ask
        records = ask(lambda: list(ledger.records()))
        history = ask(lambda: list(ledger.history(limit=1000)))
        loaded = [ask(partial(ledger.load, f"/arm/{name}")) for name in NAMES]
        due = ask(lambda: list(ledger.due(NOW + MINUTE)))
        note = ask(lambda: ledger.note("fence shop"))
        told = [("records", records), ("history", history)]
        told += [(name, each) for name, each in zip(NAMES, loaded, strict=True)]
        told += [("due", due), ("note", note)]
        fitting = [number for number, standing in enumerate(STANDINGS) if self._fits(told, standing)]
        assert fitting, f"it tells what was never saved: of {[name for name, _ in told]}, beside {self.faults}"
        return fitting[-1]

    def _fits(self, told: list[tuple[str, Any]], standing: Mapping[str, Any]) -> bool:
        """Whether every answer is that of one standing, or a fault; or, beside a fault, has nothing to tell."""
        return all(
            isinstance(answer, LedgerFault)
            or answer == standing[name]
            or (self.faults and (answer is None or (name == "due" and set(answer) < set(standing[name]))))
            for name, answer in told
        )

    def _write(self, ledger: SqlLedger) -> None:
        """Whatever a person's next command may do to one that is damaged: it works, or is refused by a sentence."""
        us = this_process(SeededClock())
        stored = self._ask(lambda: ledger.load("/arm/contoso"))
        if isinstance(stored, Stored):
            self._ask(lambda: ledger.save(stored.record, stored.version, [event("afterwards")]))
        self._ask(lambda: ledger.save(record("new"), 0, []))
        self._ask(lambda: ledger.put_note("new", "t"))
        self._ask(lambda: ledger.lease("k", us, NOW, MINUTE))
        self._ask(lambda: ledger.release("k", us))


# -------- a save that was answered is there


def test_every_commit_is_on_the_disk_before_it_is_answered(path: Path) -> None:
    """Every connection is told so: SQLite's documents say what it means, and no test can pull the plug."""
    with (
        SqlLedger.open(f"sqlite:///{path}") as ledger,
        ledger._engine.connect() as one,
        ledger._engine.connect() as two,
    ):
        for connection in (one, two):
            told = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "fullfsync")
            }
            assert told == {"journal_mode": "wal", "synchronous": 3, "fullfsync": 1}


def test_a_file_system_without_shared_memory_gets_the_journal_that_survives_a_cut_right_after_a_commit(
    path: Path,
) -> None:
    """In exclusive mode SQLite needs none; what matters is that `synchronous` is EXTRA there, and not FULL."""
    with SqlLedger.open(f"sqlite:///{path}") as ledger:
        assert _of(ledger._engine, "PRAGMA journal_mode=DELETE") == "delete"
        assert _of(ledger._engine, "PRAGMA synchronous") == 3
        _save(ledger, 0)
        assert ledger.load("/arm/contoso") is not None


def _of(engine: Engine, pragma: str) -> object:
    with closing(engine.raw_connection()) as raw:
        cursor = raw.cursor()
        cursor.execute(pragma)
        row = cursor.fetchone()
    return row[0] if row else None


def _whole_saves(kept: Damage, length: int) -> int:
    """How many saves a log of that many good bytes holds, with those of the main file."""
    return AT_REST + sum(end <= length for end in kept.ends)


def test_a_log_that_is_cut_off_anywhere_holds_every_save_that_was_answered_before(path: Path, kept: Damage) -> None:
    offsets = (0, 24 + 3 * SECTOR + 7, FRAME - 1)
    cuts = [0, 1, LOG_HEADER - 1, LOG_HEADER + 1, LOG_HEADER + 23, LOG_HEADER + 24]
    cuts += [LOG_HEADER + frame + offset for frame in range(0, len(kept.log) - LOG_HEADER, FRAME) for offset in offsets]
    for cut in [*cuts, len(kept.log)]:
        seen = _Seen(path, kept.main, kept.log[:cut])
        assert (seen.standing, seen.faults) == (_whole_saves(kept, cut), []), f"cut at {cut}"


def test_a_torn_sector_of_the_log_ends_it_there_and_whatever_follows_is_not_taken_for_saves(
    path: Path, kept: Damage
) -> None:
    garbage = random.Random("torn")
    for frame in range(LOG_HEADER, len(kept.log), FRAME):
        sector = frame + garbage.randrange(FRAME // SECTOR) * SECTOR
        torn = bytearray(kept.log)
        torn[sector + SECTOR // 2 : sector + SECTOR] = garbage.randbytes(SECTOR // 2)
        seen = _Seen(path, kept.main, bytes(torn))
        assert (seen.standing, seen.faults) == (_whole_saves(kept, frame), []), f"torn at {sector}"


def test_without_its_log_it_stands_where_the_main_file_does(path: Path, kept: Damage) -> None:
    for log in (None, b"", bytes(len(kept.log)), random.Random("log").randbytes(len(kept.log))):
        seen = _Seen(path, kept.main, log)
        assert (seen.standing, seen.faults) == (AT_REST, [])


def test_what_is_left_of_its_shared_memory_is_not_trusted(path: Path, kept: Damage) -> None:
    for shm in (None, b"", bytes(32_768), random.Random("shm").randbytes(32_768), b"x" * 77):
        seen = _Seen(path, kept.main, kept.log, shm)
        assert (seen.standing, seen.faults) == (SAVES, [])


# -------- a main file that is cut off


def _lengths(whole: bytes) -> list[int]:
    inside = [1, 15, 16, 50, 99, 100, 101, SECTOR, 1000]
    pages = [page + offset for page in range(PAGE, len(whole), PAGE) for offset in (-1, 0, 1, PAGE // 2)]
    return [*inside, *pages, len(whole) - 1]


def test_a_main_file_that_is_cut_off_anywhere_is_a_fault_and_stays_as_it_is(path: Path, kept: Damage) -> None:
    for length in _lengths(kept.closed):
        seen = _Seen(path, kept.closed[:length])
        assert seen.faults, f"cut at {length}"
        assert any("damaged" in fault or "empty" in fault or "database" in fault for fault in seen.faults)


def test_a_main_file_that_is_cut_off_beside_a_whole_log_is_a_fault_unless_the_log_has_what_is_missing(
    path: Path, kept: Damage
) -> None:
    ends = Counter[bool]()
    for length in _lengths(kept.main):
        seen = _Seen(path, kept.main[:length], kept.log)
        assert seen.standing in (None, SAVES), f"cut at {length}"
        ends[seen.standing is None] += 1
    assert ends[True] > 10


@pytest.mark.parametrize("main", [b"", b"\0"])
@pytest.mark.parametrize("with_log", [False, True])
def test_an_emptied_file_is_no_fresh_start_and_the_log_beside_it_is_not_thrown_away(
    path: Path, kept: Damage, main: bytes, with_log: bool
) -> None:
    """SQLite itself would begin a new database there, and delete the log first."""
    seen = _Seen(path, main, kept.log if with_log else None)
    assert set(seen.faults) == {"The ledger X is empty: something has truncated it, or keyturn did not make it."}


# -------- pages and sectors that are not what was written


FILLINGS: dict[str, Callable[[random.Random, int], bytes]] = {
    "zeros": lambda _, size: bytes(size),
    "garbage": lambda drawn, size: drawn.randbytes(size),
    "ones": lambda _, size: b"\xff" * size,
}


@pytest.mark.parametrize("filling", FILLINGS)
@pytest.mark.parametrize("size", [PAGE, SECTOR, 16])
def test_what_was_overwritten_is_a_fault_or_was_not_in_use_and_is_never_told_as_if_it_had_been_saved(
    path: Path, kept: Damage, filling: str, size: int
) -> None:
    drawn = random.Random(f"{filling} {size}")
    refused = 0
    steps = range(0, len(kept.closed), size if size == PAGE else 3 * SECTOR)
    for step in steps:
        at = step + (drawn.randrange(SECTOR) if size < SECTOR else 0)
        spoilt = bytearray(kept.closed)
        spoilt[at : at + size] = FILLINGS[filling](drawn, len(spoilt[at : at + size]))
        seen = _Seen(path, bytes(spoilt))
        assert seen.standing in (None, SAVES), f"at {at}"
        refused += seen.standing is None
    assert refused > len(steps) * (0.9 if size == PAGE else 0.4 if size == SECTOR else 0.1), (
        f"{refused} of {len(steps)}"
    )


ODD_ROWS = {
    "a name that is a number": "UPDATE meta SET ledger_id = 7",
    "a name that is too short": "UPDATE meta SET ledger_id = 'abc'",
    "a version that is a text": "UPDATE meta SET schema_version = 'x'",
    "no row that names it": "DELETE FROM meta",
    "a salt that is a text": "UPDATE meta SET salt = 'abc'",
    "another salt": "UPDATE meta SET salt = x'00112233445566778899aabbccddeeff'",
    "a check that is bytes": "UPDATE meta SET salt_check = x'00'",
    "a record of text": "UPDATE records SET body = 'text'",
    "a record of a number": "UPDATE records SET body = 5",
    "a record that is another's": "UPDATE records SET body = (SELECT body FROM records WHERE id = 'shop/legacy')",
    "a record with no version": "UPDATE records SET version = 'x'",
    "a record of version zero": "UPDATE records SET version = 0",
    "a record that would never be due": "UPDATE records SET not_before = 9223372036854775807",
    "a record that is held by its row alone": "UPDATE records SET held = 1",
    "a record under no key": "UPDATE records SET key = x'ff' WHERE id = 'shop/legacy'",
    "a record under a text that is none": "UPDATE records SET key = CAST(x'ff' AS TEXT) WHERE id = 'shop/legacy'",
    "a line of text": "UPDATE history SET body = 'text' WHERE seq = 4",
    "a line of nobody": "UPDATE history SET key = x'ff' WHERE seq = 4",
    "a line with another number": "UPDATE history SET seq = 777 WHERE seq = 4",
    "a line that is missing": "DELETE FROM history WHERE seq = 4",
    "a note of bytes": "UPDATE notes SET text = x'ff'",
    "a note of a text that is none": "UPDATE notes SET text = CAST(x'ff' AS TEXT)",
    "a lease of no process": "UPDATE leases SET pid = 'x'",
    "a lease without an end": "UPDATE leases SET until = 'x'",
    "no table of leases": "DROP TABLE leases",
    "no history": "DROP TABLE history",
    "a table without a column": "ALTER TABLE records DROP COLUMN body",
}


@pytest.mark.parametrize("what", ODD_ROWS)
def test_a_row_that_keyturn_never_wrote_is_a_fault_of_a_sentence(path: Path, kept: Damage, what: str) -> None:
    path.write_bytes(kept.closed)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(ODD_ROWS[what])
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    seen = _Seen(path, path.read_bytes(), always_write=True)
    assert seen.faults
    assert all(fault.startswith("The ledger X is damaged: ") for fault in seen.faults), seen.faults


def test_an_index_that_has_lost_a_credential_is_found_before_it_is_never_due_again(path: Path, kept: Damage) -> None:
    path.write_bytes(kept.closed)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("PRAGMA writable_schema = ON")
        other.execute("UPDATE sqlite_master SET sql = sql || ' WHERE version < 0' WHERE name = 'records_due'")
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("REINDEX records_due")
        other.execute("PRAGMA writable_schema = ON")
        other.execute(
            "UPDATE sqlite_master SET sql = replace(sql, ' WHERE version < 0', '') WHERE name = 'records_due'"
        )
    with pytest.raises(LedgerFault, match="do not fit together"):
        SqlLedger.open(f"sqlite:///{path}")


# -------- something else in its place


def _a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _another_database(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, price INTEGER)")


INSTEAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "a text": (lambda path: path.write_text("keys: none\n" * 1000, encoding="utf-8"), "is not a database|is damaged"),
    "a picture": (lambda path: path.write_bytes(b"\x89PNG\r\n" + bytes(9000)), "is not a database|is damaged"),
    "a database of another program": (_another_database, "is a database, but not a keyturn ledger"),
    "a directory": (_a_directory, "is not a file"),
}


@pytest.mark.parametrize("what", INSTEAD)
def test_something_else_in_its_place_is_refused_and_so_is_the_log_beside_it_left_alone(
    path: Path, kept: Damage, what: str
) -> None:
    put, sentence = INSTEAD[what]
    log = path.with_name("keyturn.db-wal")
    path.write_bytes(b"")
    put(path)
    before = path.read_bytes() if path.is_file() else None
    if what != "a database of another program":  # there it would be played into it by SQLite, whoever looks
        log.write_bytes(kept.log)
    for open_it in (SqlLedger.open, LedgerView.open):
        with pytest.raises(LedgerFault, match=sentence) as caught:
            open_it(f"sqlite:///{path}")
        assert caught.value.hint
    assert (path.read_bytes() if path.is_file() else None) == before
    assert not log.exists() or log.read_bytes() in (kept.log, b"")


# -------- moved away, as the sentence advises


@pytest.fixture
def moved(path: Path, kept: Damage) -> Path:
    """The main file is gone; what a killed keyturn had beside it is still there."""
    path.write_bytes(kept.main)
    path.with_name("keyturn.db-wal").write_bytes(kept.log)
    aside = path.with_name("damaged.db")
    path.rename(aside)
    return aside


def test_no_ledger_is_made_beside_the_log_of_one_that_is_gone(path: Path, kept: Damage, moved: Path) -> None:
    """SQLite would play the old log into the new file: old records under a new salt, all of them foreign."""
    with pytest.raises(LedgerFault, match="holds the last saves of one") as caught:
        SqlLedger.open(f"sqlite:///{path}")
    assert "move keyturn.db-wal away, too" in caught.value.hint
    assert not path.exists()
    assert path.with_name("keyturn.db-wal").read_bytes() == kept.log
    moved.rename(path)
    with SqlLedger.open(f"sqlite:///{path}") as ledger:
        assert ledger.id == kept.ledger_id
        assert list(ledger.records()) == STANDINGS[SAVES]["records"], "put back beside it, nothing is lost"


def test_with_all_its_files_moved_away_a_new_one_is_made_that_knows_nothing(
    path: Path, kept: Damage, moved: Path
) -> None:
    shutil.move(path.with_name("keyturn.db-wal"), moved.with_name("damaged.db-wal"))
    with SqlLedger.open(f"sqlite:///{path}") as ledger:
        assert ledger.id != kept.ledger_id
        assert list(ledger.records()) == []
        assert list(ledger.history()) == []
    with SqlLedger.open(f"sqlite:///{moved}") as old:
        assert list(old.records()) == STANDINGS[SAVES]["records"]


def test_an_empty_log_that_was_left_behind_keeps_nobody_from_a_new_ledger(path: Path) -> None:
    path.with_name("keyturn.db-wal").touch()
    path.with_name("keyturn.db-shm").write_bytes(bytes(100))
    with SqlLedger.open(f"sqlite:///{path}") as ledger:
        assert list(ledger.records()) == []


def test_the_old_journal_of_sqlite_is_not_played_into_a_new_ledger_either(path: Path) -> None:
    path.with_name("keyturn.db-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(1000))
    with pytest.raises(LedgerFault, match=r"keyturn\.db-journal beside it"):
        SqlLedger.open(f"sqlite:///{path}")
    assert not path.exists()
