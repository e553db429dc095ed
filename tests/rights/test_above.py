"""A folder above the target that is a stranger's link: nothing is read or written below it."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from keyturn.cli.starting import _save
from keyturn.clocks.system import SystemClock
from keyturn.errors import LedgerFault, Misconfigured, Refused
from keyturn.ledgers.reading import LedgerView
from keyturn.ledgers.sql import SqlLedger
from keyturn.ports import NotApplied
from keyturn.sinks.file import FileVariable
from tests.contracts.sink import FIRST, TAGS
from tests.rights.test_links import strangers_link
from tests.sinks.test_file import send_by


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`theirs/below`, where `theirs` leads to a folder with a file and a ledger in it."""
    real = tmp_path / "real"
    (real / "below").mkdir(parents=True)
    (real / "below" / "app.env").write_text("KEY=before\n", encoding="utf-8")
    SqlLedger.open(f"sqlite:///{real / 'below' / 'old.db'}").close()
    strangers_link(tmp_path / "theirs", real, monkeypatch)
    return tmp_path / "theirs" / "below"


def test_a_file_sink_is_neither_read_nor_written_there(theirs: Path) -> None:
    before = sorted(theirs.iterdir())
    sink = FileVariable(theirs / "app.env", "KEY", SystemClock())
    with pytest.raises(Refused, match="belongs to another user"):
        sink.read()
    answer = sink.write(FIRST, TAGS, send_by())
    assert isinstance(answer, NotApplied) and "belongs to another user" in answer.sentence
    assert (theirs / "app.env").read_text(encoding="utf-8") == "KEY=before\n"
    assert sorted(theirs.iterdir()) == before


@pytest.mark.parametrize("name", ["old.db", "new.db"])
def test_a_ledger_is_neither_opened_nor_made_there(theirs: Path, name: str) -> None:
    with pytest.raises(LedgerFault, match="symbolic link of another user"):
        SqlLedger.open(f"sqlite:///{theirs / name}")
    with pytest.raises(LedgerFault, match="symbolic link of another user"):
        LedgerView.open(f"sqlite:///{theirs / name}")
    assert not (theirs / "new.db").exists()


def test_a_configuration_is_not_written_there(theirs: Path) -> None:
    with pytest.raises((Misconfigured, click.UsageError), match="belongs to another user"):
        _save(theirs / "keyturn.yaml", "text", force=True)
    assert not (theirs / "keyturn.yaml").exists()
