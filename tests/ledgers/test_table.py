"""The ledger in a table of Azure Storage passes the contract, on a real Azurite."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator

import pytest

from keyturn.azure.cloud import PUBLIC
from keyturn.clocks.system import SystemClock
from keyturn.ledgers.table import TableLedger
from keyturn.ledgers.table_wire import TablePlace
from keyturn.model import Secret
from tests import azurite

from .contract import LedgerContract, SharedLedgerContract


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[azurite.Account]:
    with azurite.running(tmp_path_factory.mktemp("azurite")) as account:
        yield account


def open_table(name: str, connection: str, salt: bytes | None = None, create: bool = True) -> TableLedger:
    place = TablePlace(name=name, cloud=PUBLIC, connection=Secret(connection))
    return TableLedger.open(place, SystemClock(), salt=salt, create=create)


@pytest.fixture
def table(request: pytest.FixtureRequest) -> str:
    """A table of this test's own, by its name."""
    return f"k{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:40]}"


@pytest.fixture
def ledger_factory(account: azurite.Account, table: str) -> functools.partial[TableLedger]:
    return functools.partial(open_table, table, account.connection_string)


class TestTableLedger(LedgerContract):
    pass


class TestTableLedgerOfManyProcesses(SharedLedgerContract):
    pass
