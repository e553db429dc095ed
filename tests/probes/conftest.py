import pytest

from tests.contracts.emulated import azure, azure_process, emulated

pytest.register_assert_rewrite("tests.contracts.keyring", "tests.contracts.sink")

__all__ = ["azure", "azure_process", "emulated"]
