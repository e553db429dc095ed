"""What no test may leave behind for another one of its process; and how tests are shared out among the workers."""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator

import pytest

STRANGERS = ("azure", "msal", "requests", "urllib3")

# Tests start programs by the hundred: what one of them has compiled, all others need not.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.fixture(autouse=True)
def libraries_that_log_again() -> Iterator[None]:
    """A command, and a Function, make libraries quiet for the rest of their process; a test's process has others."""
    yield
    for name in STRANGERS:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One worker more than there are cores: while a test waits for a program of its own, a core has nothing to do.
    None where the usual variable says another number: xdist reads it."""
    return None if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") else (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a test that takes long come first, so that no worker begins one when the others are done; then, as
    xdist would have it, those with the most tests."""
    in_file = Counter(item.path for item in items)
    long = {item.path for item in items if item.get_closest_marker("long")}
    items.sort(key=lambda item: (item.path not in long, -in_file[item.path]))
