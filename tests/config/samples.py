"""A small configuration to bend, and credentials to match against it."""

from __future__ import annotations

import pytest

from keyturn.config import Config, parse
from keyturn.errors import Misconfigured
from keyturn.model import Credential
from keyturn.yaml_marks import read_text

SHOP = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.ApiManagement/service"
SERVICES = f"services:\n  shop: {{id: {SHOP}/shop-apim}}\n  mail: {{id: {SHOP}/mail-apim}}\n"
HOOK = "{webhook: {url: 'https://hooks.example.com:8443/keyturn', secret_env: HOOK}}"
PUBLISH = 'publish: [{keyvault: {vault: shop-kv, secret: "apim-{sid}"}}]'


def policy(
    settings: str = "", *, name: str = "partners", match: str = "{service: shop}", publish: str = PUBLISH
) -> str:
    """One policy, in one line; `settings` end with a comma."""
    return f"  - {{{settings} name: {name}, match: {match}, {publish}}}\n"


def one_policy(settings: str = "", rest: str = "") -> str:
    return f"{SERVICES}policies:\n{policy(settings)}{rest}"


def config(text: str, file: str = "keyturn.yaml") -> Config:
    return parse(read_text(text, file), file)


def refusal(text: str) -> list[str]:
    """What is wrong with it, line by line."""
    with pytest.raises(Misconfigured) as caught:
        config(text)
    return list(caught.value.problems)


def credential(
    name: str,
    *,
    service: str = "shop",
    product: str | None = "gold",
    owner: str | None = None,
    scope: str | None = None,
) -> Credential:
    address = f"{SHOP}/{service}-apim/subscriptions/{name}"
    return Credential(
        id=f"{service}/{name}",
        key=address.lower(),
        address=address,
        service=service,
        name=name,
        owner=owner,
        product=product,
        scope=scope if scope is not None else f"{SHOP}/{service}-apim/products/{product}",
    )
