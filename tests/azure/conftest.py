from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.azure.stub import Stub, running_stub


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "REQUESTS_CA_BUNDLE",
        "ALL_PROXY",
        "all_proxy",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Stub]:
    with running_stub(tmp_path) as running:
        yield running
