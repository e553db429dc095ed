"""The contracts' assertions explain themselves like any test's."""

import pytest

pytest.register_assert_rewrite("tests.contracts.keyring", "tests.contracts.sink")
