"""The recipe and the policies in docs/tokens.md are what they say."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from keyturn.config import KeyVaultSink
from keyturn.model import Kind, Secret, Slot
from keyturn.tokens import Form, create
from tests.config.samples import SERVICES, config
from tests.docs.pages import DOCS, read

KEY = "a key is its own text"
END = datetime(2030, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)


def test_the_recipe_on_the_page_makes_the_token_that_we_make() -> None:
    (recipe,) = re.findall(r"```python\n(.*?)```", read(DOCS / "tokens.md"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(recipe, names)
    assert names["long_token"]("integration", END, KEY) == create(Form.LONG, "integration", Secret(KEY), END).reveal()


def test_the_policies_on_the_page_are_read_as_they_stand() -> None:
    (policies,) = re.findall(r"```yaml\n(.*?)```", read(DOCS / "tokens.md"), re.DOTALL)
    gateways, clients = config(f"{SERVICES}{policies}").policies
    assert gateways.match.kind is Kind.GATEWAY
    assert gateways.policy.adopt is Slot.PRIMARY
    assert gateways.tokens[0].spec.renews_before == timedelta(days=10)
    assert clients.match.kind is Kind.TENANT
    assert clients.sinks == (KeyVaultSink(vault="shop-kv", secret="management-token"),)
