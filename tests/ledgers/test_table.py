"""The ledger in a table of Azure Storage passes the contract, on a real Azurite, and keeps its table to itself."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.data.tables import TableClient

from keyturn.errors import Conflict, LedgerFault, Misconfigured
from keyturn.ledgers import table_rows, table_wire
from keyturn.ledgers.table import TableLedger
from keyturn.ledgers.table_view import TableView
from tests import azurite

from .compared import ComparedLedgerContract
from .contract import (
    NOW,
    LedgerContract,
    Rewrite,
    SharedLedgerContract,
    StoredLedgerContract,
    event,
    full_record,
    record,
)
from .tables import open_table, place_of, table_of

SALT = bytes(range(32))
Factory = Callable[[], TableLedger]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[azurite.Account]:
    with azurite.running(tmp_path_factory.mktemp("azurite")) as account:
        yield account


@pytest.fixture
def table(request: pytest.FixtureRequest) -> str:
    return table_of(request)


@pytest.fixture
def opener(account: azurite.Account, table: str) -> Callable[..., TableLedger]:
    return functools.partial(open_table, table, account.connection_string)


@pytest.fixture
def ledger_factory(opener: Callable[..., TableLedger]) -> Callable[..., TableLedger]:
    return opener


@pytest.fixture
def client(account: azurite.Account, table: str) -> Iterator[TableClient]:
    """The table as anybody else sees it."""
    with TableClient.from_connection_string(account.connection_string, table) as client:
        yield client


@pytest.fixture
def rewrite(client: TableClient) -> Rewrite:
    def rewrite(change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        for entity in list(client.list_entities()):
            if "body" in entity:
                changed = json.dumps(change(json.loads(entity["body"]))).encode()
                client.update_entity({**entity, "body": changed}, mode="replace")  # type: ignore[arg-type]

    return rewrite


class TestTableLedger(LedgerContract):
    adapter = TableLedger


class TestTableLedgerOfManyProcesses(SharedLedgerContract):
    pass


class TestTableLedgerOfAnotherVersion(StoredLedgerContract):
    pass


class TestTableLedgerBesideTheOneInMemory(ComparedLedgerContract):
    operations = 60

    @pytest.fixture
    def view_factory(self, account: azurite.Account, table: str) -> Callable[[], TableView]:
        def view() -> TableView:
            found = TableView.find(place_of(table, account.connection_string))
            assert found is not None
            return found

        return view


# -------- many writers


def test_writers_of_different_records_lose_nothing_to_each_other(ledger_factory: Factory) -> None:
    start = threading.Barrier(6)

    def write(who: int) -> None:
        with closing(ledger_factory()) as ledger:
            start.wait()
            for version in range(8):
                ledger.save(record(str(who), seq=version), version, [event(f"{who}.{version}a"), event("b")])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    lines = ledger_factory().history(limit=1000)
    assert [line.seq for line in lines] == list(range(1, 97))
    assert len({line.event.kind for line in lines}) == 49
    assert all(one.key == two.key and two.event.kind == "b" for one, two in zip(lines[::2], lines[1::2], strict=True))


def test_many_that_make_the_same_ledger_at_once_end_up_with_one(ledger_factory: Factory) -> None:
    start = threading.Barrier(6)

    def make(_: int) -> tuple[str, bytes]:
        start.wait()
        with closing(ledger_factory()) as ledger:
            return ledger.id, ledger.salt

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(make, range(6)))) == 1


# -------- opening


def test_everything_is_still_there_after_closing(opener: Callable[..., TableLedger]) -> None:
    with opener() as ledger:
        ledger.save(record(), 0, [event()])
        before = (ledger.id, ledger.salt)
    with opener(create=False) as ledger:
        assert (ledger.id, ledger.salt) == before
        assert list(ledger.records()) == [record()]


def test_two_tables_of_one_account_are_two_ledgers(account: azurite.Account, table: str) -> None:
    one, two = (open_table(f"{table[:40]}{n}", account.connection_string) for n in "12")
    one.save(record(), 0, [event()])
    assert one.id != two.id
    assert one.salt != two.salt
    assert list(two.records()) == []
    assert list(two.history()) == []


def test_the_view_tells_the_same_as_the_ledger_and_needs_no_salt(
    account: azurite.Account, table: str, opener: Callable[..., TableLedger]
) -> None:
    ledger = opener(salt=SALT)
    for name in ("b", "a"):
        ledger.save(record(name), 0, [event(f"{name}1"), event(f"{name}2")])
    ledger.save(full_record(), 0, [])
    ledger.put_note("fence shop", "proven")
    view = TableView.find(place_of(table, account.connection_string))
    assert view is not None
    with view:
        assert view.id == ledger.id
        assert list(view.records()) == [record("a"), record("b"), full_record()] == list(ledger.records())
        assert [line.event.kind for line in view.history()] == ["b1", "b2", "a1", "a2"]
        assert view.history("/arm/a", 1) == ledger.history("/arm/a", 1)
        assert (view.note("fence shop"), view.note("fence mail")) == ("proven", None)


def test_a_missing_ledger_is_neither_made_unasked_nor_by_looking(
    account: azurite.Account, table: str, opener: Callable[..., TableLedger], client: TableClient
) -> None:
    for make_table_first in (False, True):
        if make_table_first:
            client.create_table()
        with pytest.raises(LedgerFault, match="There is no ledger in table"):
            opener(create=False)
        assert TableView.find(place_of(table, account.connection_string)) is None
    assert list(client.list_entities()) == []
    with opener() as ledger:
        assert ledger.id


def test_an_empty_table_that_somebody_made_beforehand_is_taken(
    client: TableClient, opener: Callable[..., TableLedger]
) -> None:
    client.create_table()
    assert opener().id == opener().id


def test_a_salt_kept_outside_is_not_in_the_table(opener: Callable[..., TableLedger], client: TableClient) -> None:
    with opener(salt=SALT) as ledger:
        assert ledger.salt == SALT
        ledger.save(record(), 0, [event()])
    assert SALT not in [value for entity in client.list_entities() for value in entity.values()]
    with opener(salt=SALT) as ledger:
        assert ledger.salt == SALT


@pytest.mark.parametrize(("given", "sentence"), [(None, "kept outside"), (bytes(32), "another salt")])
def test_a_missing_or_wrong_salt_is_refused(
    opener: Callable[..., TableLedger], given: bytes | None, sentence: str
) -> None:
    opener(salt=SALT).close()
    with pytest.raises(LedgerFault, match=sentence):
        opener(salt=given)


def test_a_salt_of_a_few_bytes_is_refused_before_a_table_is_made(
    opener: Callable[..., TableLedger], client: TableClient
) -> None:
    with pytest.raises(Misconfigured, match="too few"):
        opener(salt=b"pepper")
    client.create_table()  # would fail if there were one


Spoil = Callable[[TableClient], object]
SPOILT: dict[str, tuple[Spoil, str]] = {
    "another program's rows": (
        lambda client: client.create_entity({"PartitionKey": "orders", "RowKey": "1", "price": 7}),
        "not a keyturn ledger",
    ),
    "another program's row of the same name": (
        lambda client: client.create_entity({"PartitionKey": "ledger", "RowKey": "meta", "schema": "other"}),
        "not a keyturn ledger",
    ),
    "a newer ledger": (
        lambda client: client.create_entity(_meta(table_rows.SCHEMA_VERSION + 1)),
        "made by a newer keyturn",
    ),
    "an older ledger": (lambda client: client.create_entity(_meta(0)), "cannot bring it to"),
}


def _meta(version: int) -> dict[str, object]:
    return {**table_rows.meta_row("an id", SALT, kept_outside=False), "keyturn_schema": version}


@pytest.mark.parametrize("what", SPOILT)
def test_what_is_no_ledger_of_ours_is_refused_and_left_alone(
    account: azurite.Account, table: str, opener: Callable[..., TableLedger], client: TableClient, what: str
) -> None:
    spoil, sentence = SPOILT[what]
    client.create_table()
    spoil(client)
    before = [(dict(entity), entity.metadata["etag"]) for entity in client.list_entities()]
    for open_it in (opener, functools.partial(opener, create=False)):
        with pytest.raises(LedgerFault, match=sentence) as caught:
            open_it()
        assert caught.value.hint
    with pytest.raises(LedgerFault, match=sentence):
        TableView.find(place_of(table, account.connection_string))
    assert [(dict(entity), entity.metadata["etag"]) for entity in client.list_entities()] == before


# -------- what fits into a row


@pytest.mark.parametrize("too_long", ["record", "event", "events"])
def test_what_is_too_long_for_a_row_is_refused_and_nothing_is_written(ledger_factory: Factory, too_long: str) -> None:
    ledger = ledger_factory()
    ledger.save(record(), 0, [event("first")])
    body = record(policy="x" * 1_000_000) if too_long == "record" else record(seq=1)
    events = {"event": [event("y" * 1_000_000)], "events": [event()] * (table_rows.MOST_EVENTS + 1)}
    with pytest.raises(LedgerFault) as caught:
        ledger.save(body, 1, events.get(too_long, []))
    assert "Nothing was written" in caught.value.hint
    stored = ledger.load(record().key)
    assert stored is not None
    assert stored.record == record()
    assert len(ledger.history()) == 1


def test_as_many_events_as_a_transaction_holds_are_written_with_one_save(ledger_factory: Factory) -> None:
    ledger = ledger_factory()
    ledger.save(record(), 0, [event(str(n)) for n in range(table_rows.MOST_EVENTS)])
    assert [line.event.kind for line in ledger.history()] == [str(n) for n in range(table_rows.MOST_EVENTS)]


@pytest.mark.parametrize("limit", [1, 3, 4, 7, 100])
def test_answers_of_several_pages_come_whole_and_in_order(
    ledger_factory: Factory, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(table_wire, "PAGE", 3)
    ledger = ledger_factory()
    names = [f"{n:02}" for n in range(10)]
    for name in reversed(names):
        ledger.save(record(name), 0, [event(name), event(f"{name} again")])
    assert [found.id for found in ledger.records()] == [f"shop/{name}" for name in names]
    assert list(ledger.due(NOW)) == [f"/arm/{name}" for name in names]
    told = [kind for name in reversed(names) for kind in (name, f"{name} again")]
    assert [line.event.kind for line in ledger.history(limit=limit)] == told[-limit:]
    assert [line.event.kind for line in ledger.history("/arm/04", limit)] == ["04", "04 again"][-limit:]


def test_due_asks_the_table_for_what_is_due_and_for_no_bodies(
    ledger_factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = ledger_factory()
    for name in ("a", "b"):
        ledger.save(record(name, not_before=NOW if name == "a" else NOW.replace(year=2030)), 0, [])
    answers: list[list[dict[str, object]]] = []
    query = ledger._wire.query

    def listened(*args: object, **kwargs: object) -> list[dict[str, object]]:
        answers.append(query(*args, **kwargs))  # type: ignore[arg-type]
        return answers[-1]

    monkeypatch.setattr(ledger._wire, "query", listened)
    assert list(ledger.due(NOW)) == ["/arm/a"]
    assert [[set(row) for row in rows] for rows in answers] == [[{"key", "not_before"}]]


# -------- damage


def _spoil_rows(client: TableClient, prefix: str, **values: object) -> None:
    for entity in list(client.list_entities()):
        if entity["RowKey"].startswith(prefix) and entity["RowKey"] != "meta":
            client.update_entity(
                {**entity, **values},
                mode="replace",  # type: ignore[arg-type]
                etag=entity.metadata["etag"],
                match_condition=MatchConditions.IfNotModified,
            )


@pytest.mark.parametrize("body", [b"{", b"\xff", "text", 7])
def test_rows_that_cannot_be_read_are_a_fault_by_either_way_in(
    account: azurite.Account, table: str, ledger_factory: Factory, client: TableClient, body: object
) -> None:
    with closing(ledger_factory()) as ledger:
        ledger.save(record(), 0, [event()])
        _spoil_rows(client, "", body=body)
        view = TableView.find(place_of(table, account.connection_string))
        assert view is not None
        verbs: list[Callable[[], object]] = [
            lambda: ledger.load(record().key),
            ledger.records,
            ledger.history,
            lambda: ledger.history(record().key),
            view.records,
            view.history,
        ]
        for verb in verbs:
            with pytest.raises(LedgerFault, match="damaged"):
                verb()
        view.close()


def test_a_record_that_somebody_deleted_by_hand_cannot_be_saved_over(
    ledger_factory: Factory, client: TableClient
) -> None:
    ledger = ledger_factory()
    ledger.save(record(), 0, [event("first")])
    for entity in list(client.list_entities()):
        if entity["RowKey"].startswith(table_rows.RECORDS):
            client.delete_entity(entity)
    with pytest.raises(Conflict):
        ledger.save(record(seq=1), 1, [event("second")])
    assert [line.event.kind for line in ledger.history()] == ["first"]


# -------- what it costs


def test_the_room_loads_no_azure_library_before_a_table_is_opened() -> None:
    heavy = "{'azure.core', 'azure.data', 'requests', 'sqlalchemy', 'yaml'} & set(sys.modules)"
    script = f"import sys, keyturn.ledgers.table, keyturn.ledgers.table_view; print(sorted({heavy}))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


def test_a_save_of_a_record_that_was_just_read_is_one_call(ledger_factory: Factory) -> None:
    ledger = ledger_factory()
    ledger.save(record(), 0, [event()])
    assert ledger.load(record().key) is not None
    calls: list[str] = []
    for verb in ("get", "query", "write"):
        _count(ledger, verb, calls)
    for version in range(1, 5):
        ledger.save(record(seq=version), version, [event()])
    assert calls == ["write"] * 4


def _count(ledger: TableLedger, verb: str, calls: list[str]) -> None:
    real = getattr(ledger._wire, verb)

    def counted(*args: object, **kwargs: object) -> object:
        calls.append(verb)
        return real(*args, **kwargs)

    setattr(ledger._wire, verb, counted)
