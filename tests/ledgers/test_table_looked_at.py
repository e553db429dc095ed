"""The look that `keyturn check` takes at a ledger that is a table: it tells what is there, and leaves no trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.data.tables import TableServiceClient

from keyturn import assemble
from keyturn.config import Config
from keyturn.errors import LedgerFault, Misconfigured
from keyturn.testing import World
from tests import azurite
from tests.cli.conftest import CONFIGURATION, Folder

from .tables import open_table, table_of

VARIABLE = "STORE_OF_KEYTURN"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[azurite.Account]:
    with azurite.running(tmp_path_factory.mktemp("azurite")) as account:
        yield account


@pytest.fixture
def table(request: pytest.FixtureRequest) -> str:
    return table_of(request)


@pytest.fixture
def config(tmp_path: Path, table: str) -> Config:
    made = Folder(tmp_path)
    made.write(f"{CONFIGURATION}ledger: {{ table: {{ name: {table}, connection_env: {VARIABLE} }} }}\n")
    return assemble.read(tmp_path / "keyturn.yaml")


def tables(account: azurite.Account) -> set[str]:
    with TableServiceClient.from_connection_string(account.connection_string) as client:
        return {each.name for each in client.list_tables()}


def test_one_that_is_not_there_is_not_made(
    account: azurite.Account, config: Config, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, account.connection_string)
    assert not assemble.look_at_ledger(config).made
    assert table not in tables(account)


def test_one_that_is_there_is_named_and_what_cannot_be_told_is_said(
    account: azurite.Account, config: Config, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, account.connection_string)
    with open_table(table, account.connection_string, World().clock) as ledger:
        name = ledger.id
    seen = assemble.look_at_ledger(config)
    assert (seen.made, seen.id, seen.unwritable) == (True, name, "")
    assert "cannot be told without a write" in seen.note


def test_one_that_cannot_be_reached_is_told(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Misconfigured, match=VARIABLE):
        assemble.look_at_ledger(config)
    nowhere = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;TableEndpoint=http://127.0.0.1:9/a;"
    monkeypatch.setenv(VARIABLE, nowhere)
    with pytest.raises(LedgerFault):
        assemble.look_at_ledger(config)
