"""One emulator for all soaks of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keyturn.demo.control import EmulatedAzure, Program
from keyturn_emulator.testing import RunningEmulator


@pytest.fixture(scope="module")
def azure() -> Iterator[EmulatedAzure]:
    """Closing it fails if the emulator complained about itself."""
    with RunningEmulator.start() as running:
        emulated = EmulatedAzure(Program(running.process), running.ready)  # type: ignore[arg-type]
        yield emulated
        emulated.control.close()
