"""The ledger in memory, which tests of the engines stand on, keeps the same contract as the real ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keyturn.ports import Holder, Ledger
from keyturn.testing import MemoryLedger

from .contract import LedgerContract


@pytest.fixture
def ledger_factory() -> Callable[[], MemoryLedger]:
    ledger = MemoryLedger(salt=bytes(range(32)))
    return lambda: ledger


class TestMemoryLedger(LedgerContract):
    adapter = MemoryLedger

    def dead_holder(self, ledger: Ledger) -> Holder:
        """In memory nothing runs, so that a test says who is dead."""
        assert isinstance(ledger, MemoryLedger)
        dead = super().dead_holder(ledger)
        ledger.dead.add(dead)
        return dead
