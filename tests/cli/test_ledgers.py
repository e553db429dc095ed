"""A ledger that cannot be used: the sentence, the exit code, and every byte as it was."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from keyturn.ledgers.sql import SqlLedger
from tests.cli.conftest import CONFIGURATION, Folder


def _garbage(path: Path) -> None:
    path.write_bytes(b"this is no database at all" * 100)


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET schema_version = 99")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _linked(path: Path) -> None:
    path.rename(path.with_name("real.db"))
    path.symlink_to("real.db")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_garbage, "is not a database"),
        (_truncated, "is damaged"),
        (_newer, "was made by a newer keyturn"),
        (_empty, "is empty"),
        (_linked, "is a symbolic link"),
    ],
)
def test_a_spoilt_ledger_is_named_and_left_as_it_was(
    filled: Folder, spoil: Callable[[Path], None], sentence: str
) -> None:
    _at_rest(filled.ledger)
    spoil(filled.ledger)
    before = filled.ledger.read_bytes()
    done = filled.run("hold", "fabrikam", "--because", "a test")
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Next: " in done.stderr
    assert filled.ledger.read_bytes() == before


COMMANDS = (["run"], ["plan"], ["rotate", "fabrikam", "--because", "a test"], ["check"])
LOOKS = (["status"], ["status", "--json"], ["history"], ["history", "fabrikam"])


@pytest.mark.parametrize("command", [*COMMANDS, *LOOKS], ids=" ".join)
def test_every_command_names_a_ledger_that_a_power_cut_has_damaged_and_changes_no_byte_of_it(
    filled: Folder, command: list[str]
) -> None:
    """Its log is whole and the main file torn, as a disk leaves them that did not write what it said it had."""
    log = filled.ledger.with_name("keyturn.db-wal")
    with SqlLedger.open(f"sqlite:///{filled.ledger}") as ledger:
        ledger.put_note("fence shop", "proven")
        kept = filled.ledger.read_bytes(), log.read_bytes()
    assert kept[1]
    torn = kept[0][: len(kept[0]) // 8192 * 4096 + 700]
    filled.ledger.write_bytes(torn)
    log.write_bytes(kept[1])
    done = filled.run(*command)
    told = done.stdout + done.stderr
    assert done.returncode == 1, told
    assert "keyturn.db is damaged" in told.replace("\n", " ")
    assert "Move the file away" in told
    assert filled.ledger.read_bytes() == torn
    assert log.read_bytes() == kept[1]


def test_no_command_makes_a_new_ledger_beside_the_log_of_one_that_was_moved_away(filled: Folder) -> None:
    log = filled.ledger.with_name("keyturn.db-wal")
    with SqlLedger.open(f"sqlite:///{filled.ledger}") as ledger:
        ledger.put_note("fence shop", "proven")
        kept = log.read_bytes()
    filled.ledger.rename(filled.path / "damaged.db")
    log.write_bytes(kept)
    done = filled.run("run")
    assert done.returncode == 1
    assert "keyturn.db-wal beside it holds the last saves of one" in done.stderr
    assert not filled.ledger.exists()
    assert log.read_bytes() == kept


def test_a_locked_ledger_is_named_and_nothing_is_changed(filled: Folder) -> None:
    with closing(sqlite3.connect(filled.ledger, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        done = filled.run("hold", "fabrikam", "--because", "a test")
    assert done.returncode == 1
    assert "is locked: another program keeps writing to it" in done.stderr
    assert "Nothing was changed" in done.stderr


@pytest.mark.parametrize(("mode", "sentence"), [(0o555, "the directory"), (0o777, "the file")])
def test_a_read_only_ledger_is_named_and_left_as_it_was(mode: int, sentence: str) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Folder(Path(made))
        folder.write(CONFIGURATION)
        folder.fill()
        _at_rest(folder.ledger)
        (folder.path / "unprivileged.py").write_text(UNPRIVILEGED, encoding="utf-8")
        before = folder.ledger.read_bytes()
        folder.ledger.chmod(0o666 if mode == 0o555 else 0o444)
        folder.path.chmod(mode)
        done = folder.run("hold", "fabrikam", "--because", "a test", program="unprivileged.py")
        folder.path.chmod(0o700)
        assert done.returncode == 1
        assert f"{sentence} {folder.path if mode == 0o555 else ''}" in done.stderr
        assert "is read-only" in done.stderr
        assert folder.ledger.read_bytes() == before


UNPRIVILEGED = """\
import encodings.idna, encodings.utf_8_sig, os, sys
import keyturn.cli.asking, keyturn.assemble, keyturn.by_hand, keyturn.yaml_marks, keyturn.ledgers.sql
import keyturn.clocks.system, sqlalchemy.dialects.sqlite
if os.geteuid() == 0:
    os.seteuid(65534)  # root may write anywhere
sys.exit(keyturn.cli.main(sys.argv[1:]))
"""


def _at_rest(path: Path) -> None:
    """Everything is in the one file, as after a clean end."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
