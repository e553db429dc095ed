"""The recipe in docs/tokens.md is one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from keyturn.model import Secret
from keyturn.tokens import Form, create
from tests.docs.pages import DOCS, read

KEY = "a key is its own text"
END = datetime(2030, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)


def test_the_recipe_on_the_page_makes_the_token_that_we_make() -> None:
    (recipe,) = re.findall(r"```python\n(.*?)```", read(DOCS / "tokens.md"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(recipe, names)
    assert names["long_token"]("integration", END, KEY) == create(Form.LONG, "integration", Secret(KEY), END).reveal()
