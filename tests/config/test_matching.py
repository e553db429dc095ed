"""Which policy looks after which credential, and what a service adds to it."""

from __future__ import annotations

import pytest

from keyturn.config import match_policy, never_winning, policy_for
from keyturn.model import Mode

from .samples import SERVICES, SHOP, config, credential, policy


def _matches(match: str, *, product: str | None = "gold", owner: str | None = "anna") -> bool:
    read = config(f"{SERVICES}policies:\n{policy(match=match)}")
    return match_policy(read, credential("Contoso EU/1", product=product, owner=owner)) is not None


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("{service: shop}", True),
        ("{service: mail}", False),
        ("{service: '*'}", True),
        ("{product: gold}", True),
        ("{product: [silver, gold]}", True),
        ("{product: [silver]}", False),
        ("{product: gol}", False),
        ("{sid: 'contoso*'}", True),
        ("{sid: '*EU/*'}", True),
        ("{sid: 'contoso'}", False),
        ("{sid: '[c]ontoso*'}", False),
        ("{sid: 'Contoso?EU/1'}", False),
        ("{owner: anna}", True),
        ("{service: shop, product: gold, sid: '*', owner: anna}", True),
        ("{service: shop, product: gold, sid: '*', owner: ben}", False),
        ("{scope: /products/gold}", True),
        ("{scope: '/products/*'}", True),
        (f"{{scope: '{SHOP}/shop-apim/products/gold'}}", True),
        ("{scope: /apis}", False),
        ("{}", False),
        ("{sid: []}", False),
    ],
)
def test_all_fields_must_match_by_any_of_their_globs(match: str, expected: bool) -> None:
    assert _matches(match) is expected


def test_what_a_credential_does_not_have_matches_not_even_a_star() -> None:
    assert _matches("{product: '*'}") and _matches("{owner: '*'}")
    assert not _matches("{product: '*'}", product=None)
    assert not _matches("{owner: '*'}", owner=None)


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("{service: shop}", False),
        ("{sid: '*'}", False),
        ("{sid: 'm*'}", False),
        ("{sid: ['*', 'maste*']}", False),
        ("{service: shop, sid: master}", True),
        ("{service: mail, sid: master}", False),
    ],
)
def test_the_built_in_all_access_one_matches_by_its_name_alone(match: str, expected: bool) -> None:
    read = config(f"{SERVICES}policies:\n{policy(match=match)}")
    master = credential("master", product=None, scope=f"{SHOP}/shop-apim/")
    assert (match_policy(read, master) is not None) is expected


def test_the_first_policy_that_matches_wins_and_the_others_are_told() -> None:
    read = config(
        f"{SERVICES}policies:\n"
        + policy(name="one", match="{sid: a}")
        + policy(name="all", match="{service: shop}")
        + policy(name="shadowed", match="{sid: b}")
        + policy(name="empty", match="{}")
    )
    credentials = [credential("a"), credential("b"), credential("c", service="mail")]
    won = [match_policy(read, found) for found in credentials]
    assert [entry.name if entry is not None else None for entry in won] == ["one", "all", None]
    assert [entry.name for entry in never_winning(read, credentials)] == ["shadowed", "empty"]


def test_a_service_adds_its_mode_gateways_and_trust_where_the_policy_says_nothing() -> None:
    services = f"services:\n  shop: {{id: {SHOP}/a, mode: regenerate, trust_etag: false, gateways: ['https://edge.example']}}\n"
    own = "probe: {path: /p, gateways: ['https://own.example']}, renew: set,"
    read = config(
        f"{services}policies:\n"
        + policy(own, name="own", match="{sid: own}")
        + policy("probe: {path: /p},", name="plain", match="{service: shop}")
    )
    policies = {}
    for found in (credential("own"), credential("other")):
        entry = match_policy(read, found)
        assert entry is not None
        policies[entry.name] = policy_for(read, entry, found)
    assert [(p.mode, p.trust_etag) for p in policies.values()] == [(Mode.SET, False), (Mode.REGENERATE, False)]
    probes = [p.probe.gateways for p in policies.values() if p.probe is not None]
    assert probes == [("https://own.example",), ("https://edge.example",)]
