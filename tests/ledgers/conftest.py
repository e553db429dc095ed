"""The contract's assertions explain themselves like any test's."""

import pytest

pytest.register_assert_rewrite(f"{__package__}.contract", f"{__package__}.compared", f"{__package__}.rotating")
