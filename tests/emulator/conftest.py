"""The emulator as a program of its own, for tests with official clients.

`azure` is one process for the whole run, begun anew for each test. `own_azure` starts another one with arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from keyturn_emulator import seed
from keyturn_emulator.testing import RunningEmulator, environment


@pytest.fixture(scope="session")
def azure_process() -> Iterator[RunningEmulator]:
    """One emulator for the whole run. Take `azure` instead: it finds a fresh world."""
    with RunningEmulator.start() as running:
        yield running


@pytest.fixture
def azure(azure_process: RunningEmulator) -> Iterator[RunningEmulator]:
    """A fresh default world, and the two variables with which official clients run unmodified."""
    azure_process.control("POST", "resume")
    azure_process.seed(seed.default_description())
    with environment(azure_process.env, without=("HTTP_PROXY", "https_proxy", "http_proxy", "no_proxy")):
        yield azure_process


@pytest.fixture
def own_azure() -> Iterator[Callable[..., RunningEmulator]]:
    """Starts emulators with command-line arguments, and ends them after the test."""
    started: list[RunningEmulator] = []

    def start(*arguments: str) -> RunningEmulator:
        running = RunningEmulator.start(*arguments)
        started.append(running)
        return running

    yield start
    for running in started:
        running.close()
