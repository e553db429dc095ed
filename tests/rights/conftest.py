"""One emulator for all, begun anew for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keyturn_emulator.testing import RunningEmulator
from tests.rights.house import Machine


@pytest.fixture(scope="session")
def rights_azure() -> Iterator[RunningEmulator]:
    with RunningEmulator.start() as running:
        yield running


@pytest.fixture
def machine(rights_azure: RunningEmulator, tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine", rights_azure)
