"""How many saves a second a ledger in a table takes, on a real Azurite, with one thread and with eight.

    uv run python -m bench.table_ledger

A save here is what a turn does: it reads a record, and writes it back with one event. Beside it stands the bare
library: one read and one transaction of as many rows, which fences nothing and numbers nothing. With one thread a save
must reach 0.6 times that rate, and eight threads of one process must reach 0.6 times what one reaches: they queue for
the next number of the history, and gain from each other's reads alone. Exits 1 when the promise is broken.

Azurite is one process of Node on the same machine: Azure's own figures are other ones.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from azure.data.tables import TableClient
from tests import azurite

from keyturn.azure.cloud import PUBLIC
from keyturn.clocks.system import SystemClock
from keyturn.ledgers import table_rows
from keyturn.ledgers.table import TableLedger
from keyturn.ledgers.table_wire import TablePlace
from keyturn.model import Event, Record, Secret

SAVES, WARM = 400, 20
LEAST, LEAST_OF_MANY = 0.6, 0.6
EVENT = Event(at=datetime(2027, 1, 1, tzinfo=UTC), kind="renewed", sentence="The standby was renewed.", rule="A9")


def rate(threads: int, save: Callable[[int, int], None]) -> float:
    """Calls of `save(thread, number)` a second."""
    each = SAVES // threads

    def work(thread: int) -> None:
        for number in range(each):
            save(thread, number)

    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        list(pool.map(work, range(threads)))
        return threads * each / (time.perf_counter() - began)


def of_ledger(connection: str, threads: int) -> float:
    place = TablePlace(name=f"ledger{threads}", cloud=PUBLIC, connection=Secret(connection))
    with TableLedger.open(place, SystemClock()) as ledger:

        def save(thread: int, number: int) -> None:
            key = f"/arm/{thread}"
            stored = ledger.load(key)
            record = Record(key=key, id=f"shop/{thread}", seq=number)
            ledger.save(record, 0 if stored is None else stored.version, [EVENT])

        for number in range(WARM):
            save(99, number)
        return rate(threads, save)


def of_library(connection: str) -> float:
    with TableClient.from_connection_string(connection, "bare") as client:
        client.create_table()
        record = Record(key="/arm/0", id="shop/0")
        row = table_rows.record_row(record, 1, (), "bare")
        client.upsert_entity(row)

        def save(_: int, number: int) -> None:
            client.get_entity(row["PartitionKey"], row["RowKey"])
            lines = table_rows.history_rows(record.key, EVENT, number + 1, "bare")
            client.submit_transaction([("upsert", each) for each in (row, *lines)])

        for number in range(WARM):
            save(0, SAVES + number)
        return rate(1, save)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, azurite.running(Path(folder)) as account:
        bare = of_library(account.connection_string)
        one, many = (of_ledger(account.connection_string, threads) for threads in (1, 8))
    print(f"the bare library: {bare:,.0f} reads and transactions/s")
    print(f"one thread: {one:,.0f} saves/s, {one / bare:.2f} x; promised: {LEAST} x")
    print(f"eight threads: {many:,.0f} saves/s, {many / one:.2f} x one thread's; promised: {LEAST_OF_MANY} x")
    return 0 if one >= LEAST * bare and many >= LEAST_OF_MANY * one else 1


if __name__ == "__main__":
    sys.exit(main())
