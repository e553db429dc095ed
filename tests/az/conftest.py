"""The az command line, which only `.ci/run full` installs: without it these tests fail, and say so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyturn_emulator.testing import RunningEmulator
from tests.az.shell import Shell

FOLDER = Path(__file__).parents[2] / ".cache" / "az" / ("Scripts" if os.name == "nt" else "bin")


@pytest.fixture(scope="session")
def az() -> Path:
    """The folder of the az command line."""
    if not any((FOLDER / name).exists() for name in ("az", "az.bat")):
        pytest.fail(
            "tests/az needs Microsoft's az command line: `.ci/run full` installs it below .cache/ and runs them"
        )
    return FOLDER


@pytest.fixture
def shell(az: Path, tmp_path: Path) -> Iterator[Shell]:
    """A shell in a folder of its own, where an emulator has written its `azure.env`."""
    with RunningEmulator.start("--write-env", str(tmp_path / "azure.env")) as azure:
        yield Shell(azure, az, tmp_path)
