from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.azure.stub import running_stub
from tests.contracts.emulated import azure, azure_process, emulated
from tests.keyrings.scripted import Asking

pytest.register_assert_rewrite("tests.contracts.keyring", "tests.contracts.sink")

__all__ = ["azure", "azure_process", "emulated"]


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with running_stub(tmp_path) as stub:
        yield Asking(stub)
