"""The SQLite ledger passes the contract, and its file is kept as carefully as its rows."""

from __future__ import annotations

import functools
import json
import os
import sqlite3
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event

from keyturn.errors import LedgerFault, Misconfigured
from keyturn.ledgers import schema, sql
from keyturn.ledgers.reading import LedgerView
from keyturn.ledgers.sql import SqlLedger

from .compared import ComparedLedgerContract
from .contract import NOW, LedgerContract, Rewrite, SharedLedgerContract, StoredLedgerContract, event, record
from .rotating import a_whole_rotation

SALT = bytes(range(32))
NOBODY = 65_534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyturn.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def ledger_factory(url: str) -> functools.partial[SqlLedger]:
    return functools.partial(SqlLedger.open, url)


@pytest.fixture
def rewrite(path: Path) -> Rewrite:
    def rewrite(change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        with closing(sqlite3.connect(path)) as other, other:
            for table in ("records", "history"):
                for number, body in other.execute(f"SELECT rowid, body FROM {table}").fetchall():
                    changed = json.dumps(change(json.loads(body))).encode()
                    other.execute(f"UPDATE {table} SET body = ? WHERE rowid = ?", (changed, number))

    return rewrite


class TestSqlLedger(LedgerContract):
    adapter = SqlLedger


class TestSqlLedgerOfManyProcesses(SharedLedgerContract):
    racers = (3, 4, 12)


class TestSqlLedgerOfAnotherVersion(StoredLedgerContract):
    pass


class TestSqlLedgerBesideTheOneInMemory(ComparedLedgerContract):
    operations = 400

    @pytest.fixture
    def view_factory(self, url: str) -> functools.partial[LedgerView]:
        return functools.partial(LedgerView.open, url)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
def test_only_its_owner_may_read_the_files_under_any_umask(path: Path, url: str, mask: int) -> None:
    before = os.umask(mask)
    try:
        with SqlLedger.open(url) as ledger:
            ledger.save(record(), 0, [event()])
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"keyturn.db": 0o600, "keyturn.db-wal": 0o600, "keyturn.db-shm": 0o600}


def test_making_a_ledger_leaves_nothing_else_behind(path: Path, url: str) -> None:
    SqlLedger.open(url).close()
    assert [file.name for file in path.parent.iterdir() if not file.name.endswith(("-wal", "-shm"))] == ["keyturn.db"]


def test_everything_is_still_there_after_closing(url: str) -> None:
    with SqlLedger.open(url) as ledger:
        ledger.save(record(), 0, [event()])
        before = (ledger.id, ledger.salt)
    with SqlLedger.open(url, create=False) as ledger:
        assert (ledger.id, ledger.salt) == before
        assert [found.id for found in ledger.records()] == ["shop/contoso"]


def test_a_whole_rotation_is_kept_in_a_file_and_no_value_ever_is(path: Path, url: str) -> None:
    with SqlLedger.open(url) as kept_open:
        assert kept_open.load("nobody") is None  # it is in use from then on, so that its log stays to be looked at
        values = a_whole_rotation(lambda _: SqlLedger.open(url))
        kept = {file.name: file.read_bytes() for file in path.parent.iterdir()}
        assert [found.rotations for found in kept_open.records()] == [1]
    assert set(kept) == {"keyturn.db", "keyturn.db-wal", "keyturn.db-shm"}
    assert b"contoso" in kept["keyturn.db-wal"]
    for value in values:
        assert not [name for name, content in kept.items() if value[:12].encode() in content]


def test_many_that_make_the_same_ledger_at_once_end_up_with_one(url: str) -> None:
    start = threading.Barrier(6)
    ids: list[str] = []

    def make() -> None:
        start.wait()
        with SqlLedger.open(url) as ledger:
            ids.append(ledger.id)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 6
    assert len(set(ids)) == 1


def test_two_ledgers_have_different_ids_and_salts(tmp_path: Path) -> None:
    one, two = (SqlLedger.open(f"sqlite:///{tmp_path / name}") for name in ("one.db", "two.db"))
    assert one.id != two.id
    assert one.salt != two.salt


def test_a_salt_kept_outside_is_not_in_the_file(path: Path, url: str) -> None:
    with SqlLedger.open(url, salt=SALT) as ledger:
        assert ledger.salt == SALT
    assert SALT not in path.read_bytes()
    with SqlLedger.open(url, salt=SALT) as ledger:
        assert ledger.salt == SALT


@pytest.mark.parametrize(("given", "sentence"), [(None, "kept outside"), (bytes(32), "another salt")])
def test_a_missing_or_wrong_salt_is_refused(url: str, given: bytes | None, sentence: str) -> None:
    SqlLedger.open(url, salt=SALT).close()
    with pytest.raises(LedgerFault, match=sentence):
        SqlLedger.open(url, salt=given)


def test_a_salt_of_a_few_bytes_is_refused_before_a_file_is_made(path: Path, url: str) -> None:
    with pytest.raises(Misconfigured, match="too few"):
        SqlLedger.open(url, salt=b"pepper")
    assert not path.exists()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "postgresql://db/keyturn", "x.db"])
def test_an_address_that_is_no_file_of_sqlite_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        SqlLedger.open(url)
    assert "sqlite:///keyturn.db" in caught.value.hint


def test_a_missing_ledger_is_not_made_unasked(path: Path, url: str) -> None:
    with pytest.raises(LedgerFault, match="no ledger"):
        SqlLedger.open(url, create=False)
    assert not path.exists()


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerFault, match=r"directory .*nowhere.* is missing"):
        SqlLedger.open(f"sqlite:///{tmp_path / 'nowhere' / 'keyturn.db'}")


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    real = tmp_path / "real.db"
    SqlLedger.open(f"sqlite:///{real}").close()
    for target in (real, tmp_path / "dangling.db"):
        link = tmp_path / f"link to {target.name}"
        link.symlink_to(target)
        with pytest.raises(LedgerFault, match="symbolic link"):
            SqlLedger.open(f"sqlite:///{link}")
    assert not (tmp_path / "dangling.db").exists()


def test_a_directory_is_not_a_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerFault, match="is not a file"):
        SqlLedger.open(f"sqlite:///{tmp_path}")


def _ledger_bytes(path: Path) -> bytes:
    """A ledger with a few pages of everything, closed so that all of it is in the one file."""
    with SqlLedger.open(f"sqlite:///{path}") as ledger:
        for n in range(60):
            ledger.save(record(f"name {n}"), 0, [event("x" * 200)] * 3)
    return path.read_bytes()


def _torn(whole: bytes, page: int) -> bytes:
    """One page of it was never written to the disk."""
    return whole[: page * 4096] + bytes(4096) + whole[(page + 1) * 4096 :]


def _spoilt(whole: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "a few bytes": whole[:50],
        "the header alone": whole[:100],
        "one page": whole[:4096],
        "half": whole[: len(whole) // 8192 * 4096],
        "all but a page": whole[:-4096],
        "all but a byte": whole[:-1],
        "garbage": bytes(range(256)) * 64,
        "text": b"this is not a database\n" * 400,
        "garbage in front": b"garbage" + whole,
        "first page torn": _torn(whole, 0),
        "second page torn": _torn(whole, 1),
        "records torn": _torn(whole, whole.index(b'"id":"shop/name 7"') // 4096),
        "history torn": _torn(whole, whole.index(b"x" * 200) // 4096),
    }


@pytest.mark.parametrize("how", list(_spoilt(bytes(4096) + b'"id":"shop/name 7"' + b"x" * 200)))
def test_a_damaged_ledger_is_a_fault_and_stays_as_it_was(path: Path, url: str, how: str) -> None:
    spoilt = _spoilt(_ledger_bytes(path))[how]
    for file in path.parent.iterdir():
        file.unlink()
    path.write_bytes(spoilt)
    with pytest.raises(LedgerFault) as caught:
        SqlLedger.open(url)
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert path.read_bytes() == spoilt


def test_a_record_that_is_no_record_is_a_fault_by_either_way_in(path: Path, url: str) -> None:
    with SqlLedger.open(url) as ledger:
        ledger.save(record(), 0, [event()])
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE records SET body = x'7b22'")
        other.execute("UPDATE history SET body = x'ff'")
    with SqlLedger.open(url) as ledger, LedgerView.open(url) as view:
        for broken in (
            lambda: ledger.load(record().key),
            ledger.records,
            ledger.history,
            view.records,
            view.history,
        ):
            with pytest.raises(LedgerFault, match="damaged"):
                broken()


def test_somebody_elses_database_is_refused_and_left_alone(path: Path, url: str) -> None:
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE meta (name TEXT, value TEXT)")
    before = path.read_bytes()
    for open_it in (SqlLedger.open, LedgerView.open):
        with pytest.raises(LedgerFault, match="not a keyturn ledger"):
            open_it(url)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("version", "sentence"), [(schema.SCHEMA_VERSION + 1, "newer keyturn"), (0, "cannot bring")])
def test_a_ledger_of_another_version_is_refused(path: Path, url: str, version: int, sentence: str) -> None:
    SqlLedger.open(url).close()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE meta SET schema_version = ?", (version,))
    before = path.read_bytes()
    for open_it in (SqlLedger.open, LedgerView.open):
        with pytest.raises(LedgerFault, match=sentence):
            open_it(url)
    assert path.read_bytes() == before


def test_a_ledger_locked_by_another_program_says_so_and_changes_nothing(path: Path, url: str) -> None:
    with SqlLedger.open(url, busy_seconds=0.01) as ledger:
        ledger.save(record(), 0, [])
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerFault, match="locked"):
                ledger.save(record(seq=1), 1, [event()])
            stored = ledger.load(record().key)
            assert stored is not None
            assert stored.version == 1
        assert ledger.save(record(seq=1), 1, [event()]) == 2


def test_a_full_disk_says_so_and_keeps_what_was_saved(url: str) -> None:
    with SqlLedger.open(url) as ledger:
        ledger.save(record(), 0, [])

        def no_more_room(connection: sqlite3.Connection, *_: object) -> None:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages}")

        sqlalchemy_event.listen(ledger._engine, "checkout", no_more_room)
        with pytest.raises(LedgerFault, match="full") as caught:
            ledger.save(record(seq=1), 1, [event("x" * 100_000)])
        assert "room" in caught.value.hint
        stored = ledger.load(record().key)
        assert stored is not None
        assert stored.record == record()


@contextmanager
def _unprivileged() -> Iterator[None]:
    """Without root's right to write anywhere, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory whose parents everybody may pass through, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
        Path(name).chmod(0o700)


@pytest.mark.parametrize(
    ("directory_mode", "file_mode", "sentence"),
    [
        (0o777, 0o444, "the file .* is read-only"),
        (0o555, 0o666, "the directory .* is read-only"),
        (0o777, 0o000, "may not be read"),
        (0o000, 0o666, "may not be read"),
    ],
)
def test_a_file_or_directory_that_may_not_be_used_is_told_apart(
    place: Path, directory_mode: int, file_mode: int, sentence: str
) -> None:
    path = place / "keyturn.db"
    SqlLedger.open(f"sqlite:///{path}").close()
    for file in place.iterdir():
        if file != path:
            file.unlink()
    before = path.read_bytes()
    path.chmod(file_mode)
    place.chmod(directory_mode)
    with _unprivileged(), pytest.raises(LedgerFault, match=sentence):
        SqlLedger.open(f"sqlite:///{path}").save(record(), 0, [])
    place.chmod(0o777)
    path.chmod(0o666)
    assert path.read_bytes() == before


def test_a_ledger_in_a_directory_that_may_not_be_written_is_not_made(place: Path) -> None:
    place.chmod(0o555)
    with _unprivileged(), pytest.raises(LedgerFault, match=r"directory .* is read-only"):
        SqlLedger.open(f"sqlite:///{place / 'keyturn.db'}")
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("gone", [True, False])
def test_a_ledger_that_is_taken_away_while_in_use_is_noticed(path: Path, url: str, gone: bool) -> None:
    with SqlLedger.open(url) as ledger:
        ledger.save(record(), 0, [])
        path.rename(path.with_name("elsewhere.db"))
        if not gone:
            SqlLedger.open(f"sqlite:///{path.with_name('new.db')}").close()
            path.with_name("new.db").rename(path)
        with pytest.raises(LedgerFault, match="no ledger" if gone else "replaced"):
            ledger.save(record(seq=1), 1, [])
    assert path.exists() is not gone


def test_the_two_descriptions_of_the_tables_agree() -> None:
    described = {table.name: tuple(column.name for column in table.columns) for table in sql._tables.tables.values()}
    assert described == dict(schema.COLUMNS)


def test_due_reads_an_index_and_not_the_table(path: Path, url: str) -> None:
    with SqlLedger.open(url) as ledger:
        ledger.save(record(), 0, [])
        statements: list[str] = []
        sqlalchemy_event.listen(
            ledger._engine, "before_cursor_execute", lambda _c, _u, statement, *_: statements.append(statement)
        )
        assert ledger.due(NOW) == ["/arm/contoso"]
    (asked,) = [statement for statement in statements if statement.startswith("SELECT")]
    with closing(sqlite3.connect(path)) as other:
        steps = [step for *_, step in other.execute(f"EXPLAIN QUERY PLAN {asked}", (0, 0))]
    assert any("USING INDEX records_due (held=? AND not_before<?)" in step for step in steps), steps


def test_no_error_shows_what_was_being_written(url: str) -> None:
    with SqlLedger.open(url) as ledger:
        ledger.save(record(), 0, [])
        ledger._engine.dispose()
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as other, other:
            other.execute("DROP TABLE history")
        with pytest.raises(LedgerFault) as caught:
            ledger.save(record(), 1, [event("unspeakable")])
    assert "unspeakable" not in f"{caught.value} {caught.value.__cause__}"
