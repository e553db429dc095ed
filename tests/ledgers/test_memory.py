"""The ledger in memory, which tests of the engines stand on, keeps the same contract as the real ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keyturn.testing import MemoryLedger

from .contract import LedgerContract


@pytest.fixture
def ledger_factory() -> Callable[[], MemoryLedger]:
    ledger = MemoryLedger(salt=bytes(range(32)))
    return lambda: ledger


class TestMemoryLedger(LedgerContract):
    pass
