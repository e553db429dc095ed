"""The quick view tells the same as the ledger itself, and starts without what makes that one slow."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keyturn.errors import LedgerFault, Misconfigured
from keyturn.ledgers.reading import LedgerView
from keyturn.ledgers.sql import SqlLedger

from .contract import event, full_record, record

Opener = Callable[[str], SqlLedger | LedgerView]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'keyturn.db'}"


@pytest.fixture(params=[SqlLedger.open, LedgerView.open], ids=["ledger", "view"])
def open_it(request: pytest.FixtureRequest) -> Opener:
    opener: Opener = request.param
    return opener


def _filled(url: str) -> SqlLedger:
    ledger = SqlLedger.open(url)
    ledger.save(record("b"), 0, [event("b1")])
    ledger.save(full_record(), 0, [event("full")])
    ledger.save(record("a"), 0, [event("a1"), event("a2")])
    ledger.put_note("fence shop", "proven")
    return ledger


@pytest.mark.parametrize("writer_lives", [True, False])
def test_ledger_and_view_tell_the_same(url: str, open_it: Opener, writer_lives: bool) -> None:
    ledger = _filled(url)
    ledger_id = ledger.id
    if not writer_lives:
        ledger.close()
    with open_it(url) as seen:
        assert seen.id == ledger_id
        assert list(seen.records()) == [record("a"), record("b"), full_record()]
        assert [line.event.kind for line in seen.history()] == ["b1", "full", "a1", "a2"]
        assert [line.event.kind for line in seen.history(limit=1)] == ["a2"]
        assert [(line.seq, line.key) for line in seen.history("/arm/a", 1)] == [(4, "/arm/a")]
        assert [line.event for line in seen.history("/arm/b")] == [event("b1")]
        assert seen.note("fence shop") == "proven"
        assert seen.note("fence mail") is None
    ledger.close()


def test_a_view_sees_what_was_saved_after_it_was_opened(url: str) -> None:
    with _filled(url) as ledger, LedgerView.open(url) as view:
        ledger.save(record("c"), 0, [event("c1")])
        assert [found.id for found in view.records()][:3] == ["shop/a", "shop/b", "shop/c"]


def test_a_view_makes_no_ledger(url: str) -> None:
    with pytest.raises(LedgerFault, match="no ledger"):
        LedgerView.open(url)
    assert not Path(url.removeprefix("sqlite:///")).exists()


def test_a_view_of_another_kind_of_database_is_refused() -> None:
    with pytest.raises(Misconfigured):
        LedgerView.open("postgresql://db/keyturn")


def test_a_view_cannot_write(url: str) -> None:
    _filled(url).close()
    with LedgerView.open(url) as view:
        code = "attempt to write a readonly database"
        with pytest.raises(Exception, match=code):
            view._connection.execute("DELETE FROM records")


def test_the_view_loads_neither_sqlalchemy_nor_a_network_library() -> None:
    heavy = "{'sqlalchemy', 'azure', 'requests', 'yaml', 'rich'} & {name.split('.')[0] for name in sys.modules}"
    script = f"import sys, keyturn.ledgers.reading; print(sorted({heavy}))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
