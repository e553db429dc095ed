"""A ledger in a table under what works with it: a whole rotation, and the commands that look and change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.data.tables import TableClient

from keyturn import assemble
from keyturn.ledgers.table import TableLedger
from keyturn.ledgers.table_view import TableView
from keyturn.model import Stage
from keyturn.testing import MemoryLedger
from tests import azurite
from tests.cli.conftest import CONFIGURATION, SERVICE, Folder

from .contract import event, record
from .rotating import a_whole_rotation
from .tables import open_table, table_of

VARIABLE = "STORE_OF_KEYTURN"
KEY = f"{SERVICE}/service/shop-apim/subscriptions/contoso".lower()


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[azurite.Account]:
    with azurite.running(tmp_path_factory.mktemp("azurite")) as account:
        yield account


@pytest.fixture
def table(request: pytest.FixtureRequest) -> str:
    return table_of(request)


@pytest.fixture
def folder(tmp_path: Path, table: str) -> Folder:
    made = Folder(tmp_path)
    made.write(f"{CONFIGURATION}ledger: {{ table: {{ name: {table}, connection_env: {VARIABLE} }} }}\n")
    return made


def test_a_whole_rotation_is_kept_in_a_table_and_no_value_ever_is(account: azurite.Account, table: str) -> None:
    values = a_whole_rotation(lambda clock: open_table(table, account.connection_string, clock))
    with TableClient.from_connection_string(account.connection_string, table) as client:
        kept = repr([dict(row) for row in client.list_entities()])
    assert "contoso" in kept
    for value in values:
        assert value not in kept
        assert value[:12] not in kept


def test_the_commands_that_look_and_change_work_on_a_table(
    account: azurite.Account, table: str, folder: Folder
) -> None:
    env = {VARIABLE: account.connection_string}
    before = folder.run("status", env=env)
    assert before.returncode == 0, before.stderr
    with open_table(table, account.connection_string) as ledger:
        ledger.save(record().but(key=KEY, id="shop/contoso", stage=Stage.IDLE), 0, [event("adopt")])
    held = folder.run("hold", "contoso", "--because", "an audit", env=env)
    assert held.returncode in (0, 1), held.stderr
    status, history = folder.run("status", env=env), folder.run("history", "contoso", env=env)
    assert status.returncode == 1, "one is held"
    assert "shop/contoso" in status.stdout and "held" in status.stdout
    assert "It was adopt." in history.stdout and "an audit" in history.stdout
    with open_table(table, account.connection_string) as ledger:
        stored = ledger.load(KEY)
        assert stored is not None
        assert stored.version == 2 and stored.record.hold is not None


@pytest.mark.parametrize("command", [["status"], ["history"], ["hold", "contoso", "--because", "x"], ["run"], ["plan"]])
def test_a_missing_connection_string_is_named_before_anything_is_done(folder: Folder, command: list[str]) -> None:
    done = folder.run(*command)
    assert done.returncode == 2
    assert VARIABLE in done.stderr
    assert "Next: " in done.stderr


def test_a_wrong_key_is_told_and_not_shown(account: azurite.Account, folder: Folder) -> None:
    wrong = "bm90IHRoZSBrZXkgb2YgYW55IGFjY291bnQsIGFuZCBuZXZlciB3YXM="
    done = folder.run("status", env={VARIABLE: account.signed_with(wrong)})
    assert done.returncode == 1
    assert "Check the connection string" in done.stderr
    assert wrong not in done.stderr + done.stdout


def test_looking_makes_no_table_and_working_makes_it_once(
    account: azurite.Account, table: str, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, account.connection_string)
    config = assemble.read(folder.path / "keyturn.yaml")
    assert assemble.view(config) is None
    with assemble.open_to_look(config) as looking:
        assert isinstance(looking.ledger, MemoryLedger)
    assert assemble.view(config) is None
    with assemble.open_all(config) as working:
        assert isinstance(working.ledger, TableLedger)
        working.ledger.save(record(), 0, [event()])
        made = working.ledger.id
    with assemble.open_all(config) as again, assemble.open_to_look(config) as looking:
        assert again.ledger.id == looking.ledger.id == made
    with assemble.ledger_of(config) as alone:
        assert [found.id for found in alone.records()] == ["shop/contoso"]
    view = assemble.view(config)
    assert isinstance(view, TableView)
    with view:
        assert view.id == made


def test_a_ledger_at_an_address_is_signed_in_to_like_the_rest(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    signin = "signin: { client_secret: { tenant: t, client_id: c, secret_env: NOT_SET } }\n"
    folder.write(f"{CONFIGURATION}{signin}ledger: {{ table: {{ url: 'https://127.0.0.1:9/account' }} }}\n")
    done = folder.run("status")
    assert done.returncode == 1
    assert "NOT_SET is empty or not set" in done.stderr
