"""One emulator for the tests of what is deployed, begun anew for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keyturn_emulator.testing import RunningEmulator
from tests.journeys.stage import Stage


@pytest.fixture(scope="session")
def deploy_azure() -> Iterator[RunningEmulator]:
    with RunningEmulator.start() as running:
        yield running


@pytest.fixture
def stage(deploy_azure: RunningEmulator, tmp_path: Path) -> Stage:
    return Stage(deploy_azure, tmp_path)
