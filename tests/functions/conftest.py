"""One emulator for all tests of the Function, begun anew for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keyturn_emulator.testing import RunningEmulator
from tests.functions.hosting import Hosted
from tests.journeys.stage import Stage


@pytest.fixture(scope="session")
def functions_azure() -> Iterator[RunningEmulator]:
    with RunningEmulator.start() as running:
        yield running


@pytest.fixture
def stage(functions_azure: RunningEmulator, tmp_path: Path) -> Stage:
    return Stage(functions_azure, tmp_path)


@pytest.fixture
def hosted(stage: Stage) -> Iterator[Hosted]:
    """An app whose ledger is a file, with the policy of the stage: contoso, published to a vault."""
    with Hosted.started(stage) as app:
        yield app
