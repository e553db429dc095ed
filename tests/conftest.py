"""What no test may leave behind for another one of its process."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

STRANGERS = ("azure", "msal", "requests", "urllib3")


@pytest.fixture(autouse=True)
def libraries_that_log_again() -> Iterator[None]:
    """A command, and a Function, make libraries quiet for the rest of their process; a test's process has others."""
    yield
    for name in STRANGERS:
        logging.getLogger(name).setLevel(logging.NOTSET)
