"""How tests come to a ledger in a table of their own."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime

import pytest

from keyturn.azure.cloud import PUBLIC
from keyturn.clocks.system import SystemClock
from keyturn.ledgers.table import TableLedger
from keyturn.ledgers.table_wire import TablePlace
from keyturn.model import Secret
from keyturn.ports import Clock


class PausingClock:
    """The machine's clock with seeded randomness, which notes the pauses and makes none."""

    def __init__(self) -> None:
        self._random = random.Random(1)
        self.pauses: list[float] = []

    def now(self) -> datetime:
        return datetime.now(UTC)

    def boottime(self) -> float:
        return SystemClock().boottime()

    def random_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)


def table_of(request: pytest.FixtureRequest) -> str:
    """A name that no other test has. In small letters: Azurite forgets to undo a transaction in any other table."""
    return f"k{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:40]}"


def place_of(name: str, connection: str) -> TablePlace:
    return TablePlace(name=name, cloud=PUBLIC, connection=Secret(connection))


def open_table(
    name: str, connection: str, clock: Clock | None = None, salt: bytes | None = None, create: bool = True
) -> TableLedger:
    """Fit to be called in another process."""
    return TableLedger.open(place_of(name, connection), clock or SystemClock(), salt=salt, create=create)
