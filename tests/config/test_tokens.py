"""Policies for tenant access keys and self-hosted gateways, and the tokens that are made from them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keyturn.config import Config, KeyVaultSink, clashes, kinds, match_policy, policy_for, render, tenants
from keyturn.model import Credential, Kind, Mode, Slot
from keyturn.policy import TokenKind, TokenSpec
from tests.config.samples import SERVICES, SHOP, config, credential, policy, refusal

SINK = 'publish: [{keyvault: {vault: shop-kv, secret: "token-{gateway}"}}]'
GATEWAY = "{service: shop, gateway: '*'}"
TENANT = "{service: shop, tenant: access}"
FRESH = f"tokens: {{kind: gateway, {SINK}}}"
PLACES = {Kind.TENANT: "tenant", Kind.GATEWAY: "gateways"}


def of(kind: Kind, name: str) -> Credential:
    address = f"{SHOP}/shop-apim/{PLACES[kind]}/{name}"
    ident = f"shop/{PLACES[kind]}/{name}"
    return Credential(id=ident, key=address.lower(), address=address, service="shop", name=name, kind=kind)


def with_policies(*policies: str) -> Config:
    return config(f"{SERVICES}policies:\n{''.join(policies)}")


def told(settings: str = "", *, match: str = GATEWAY, publish: str = FRESH) -> list[str]:
    return refusal(f"{SERVICES}policies:\n{policy(settings, match=match, publish=publish)}")


def test_a_policys_kind_is_what_its_match_names() -> None:
    read = with_policies(
        policy(name="values"), policy(name="doors", match=GATEWAY, publish=FRESH), policy(name="own", match=TENANT)
    )
    won = {
        each.id: (found.name if (found := match_policy(read, each)) else None)
        for each in (credential("contoso"), of(Kind.GATEWAY, "gw-oslo"), of(Kind.TENANT, "access"))
    }
    assert won == {"shop/contoso": "values", "shop/gateways/gw-oslo": "doors", "shop/tenant/access": "own"}


def test_a_policy_for_everything_of_a_service_is_for_its_apim_subscriptions_alone() -> None:
    read = with_policies(policy(match="{service: '*'}"))
    assert match_policy(read, of(Kind.GATEWAY, "gw-oslo")) is None
    assert match_policy(read, of(Kind.TENANT, "access")) is None
    assert kinds(read, "shop") == {Kind.APIM_SUBSCRIPTION}


def test_only_what_a_policy_wants_of_a_service_is_asked_for() -> None:
    read = with_policies(policy(match="{service: mail}"), policy(name="own", match="{service: shop, tenant: access}"))
    assert kinds(read, "shop") == {Kind.TENANT}
    assert kinds(read, "mail") == {Kind.APIM_SUBSCRIPTION}
    assert (tenants(read, "shop"), tenants(read, "mail")) == (("access",), ())


def test_a_gateway_called_master_is_matched_like_any_other() -> None:
    read = with_policies(policy(match=GATEWAY, publish=FRESH))
    assert match_policy(read, of(Kind.GATEWAY, "master")) is not None


def test_a_gateways_keys_are_regenerated_whatever_the_service_does() -> None:
    read = with_policies(policy(match=GATEWAY, publish=FRESH))
    assert policy_for(read, read.policies[0], of(Kind.GATEWAY, "gw-oslo")).mode is Mode.REGENERATE
    own = with_policies(policy(match=TENANT))
    assert policy_for(own, own.policies[0], of(Kind.TENANT, "access")).mode is Mode.SET


def test_a_probe_shows_a_token_as_an_authorization() -> None:
    read = with_policies(policy("probe: {path: /p},", match=GATEWAY, publish=FRESH))
    probe = policy_for(read, read.policies[0], of(Kind.GATEWAY, "gw-oslo")).probe
    assert probe is not None
    assert probe.header == "Authorization"
    assert probe.strict


def test_every_setting_of_a_token_is_read() -> None:
    written = (
        "tokens: [{kind: management, lifetime: 10d, renew_before: 4d, slot: secondary, form: short, publish: "
        "[{keyvault: {vault: shop-kv, secret: token}}]}]"
    )
    (entry,) = with_policies(policy(match=TENANT, publish=written)).policies
    (token,) = entry.tokens
    days = timedelta(days=1)
    assert token.spec == TokenSpec(kind=TokenKind.MANAGEMENT, lifetime=10 * days, renew_before=4 * days, short=True)
    assert entry.policy.tokens == (token.spec,)
    assert entry.policy.adopt is Slot.SECONDARY
    assert entry.sinks == token.publish == (KeyVaultSink(vault="shop-kv", secret="token"),)


def test_the_defaults_of_a_token_are_a_month_and_a_third_of_it() -> None:
    (entry,) = with_policies(policy(match=GATEWAY, publish=FRESH)).policies
    spec = entry.tokens[0].spec
    assert (spec.lifetime, spec.renews_before, spec.short) == (timedelta(days=30), timedelta(days=10), False)
    assert entry.policy.adopt is None


def test_values_and_tokens_may_be_published_side_by_side() -> None:
    both = f"publish: [{{keyvault: {{vault: shop-kv, secret: key}}}}], tokens: {{kind: gateway, {SINK}}}"
    (entry,) = with_policies(policy(match=GATEWAY, publish=both)).policies
    assert [sink.name for sink in entry.sinks] == ["shop-kv/key", "shop-kv/token-{gateway}"]


def test_templates_know_gateways_and_tenants() -> None:
    (entry,) = with_policies(policy(match=GATEWAY, publish=FRESH)).policies
    assert render(entry.sinks[0], of(Kind.GATEWAY, "gw-oslo")).name == "shop-kv/token-gw-oslo"


def test_two_gateways_with_one_tokens_sink_clash() -> None:
    same = "tokens: {kind: gateway, publish: [{keyvault: {vault: shop-kv, secret: token}}]}"
    read = with_policies(policy(match=GATEWAY, publish=same))
    assert set(clashes(read, [of(Kind.GATEWAY, "gw-oslo"), of(Kind.GATEWAY, "gw-bergen")])) == {"shop-kv/token"}


MISTAKES = {
    "no sinks at all": ({"publish": "drain: 24h"}, "must say where to publish"),
    "a gateway token of a tenant": ({"match": TENANT}, "made from a self-hosted gateway's key"),
    "a gateway token of apim subscriptions": ({"match": "{service: shop}"}, "made from a self-hosted gateway's key"),
    "a management token of a gateway": (
        {"publish": f"tokens: {{kind: management, {SINK}}}"},
        "made from the tenant access keys",
    ),
    "a management token of the git keys": (
        {"match": "{tenant: [access, gitAccess]}", "publish": f"tokens: {{kind: management, {SINK}}}"},
        "made from the tenant access keys",
    ),
    "two kinds in one match": ({"match": "{gateway: '*', tenant: access}"}, "two kinds"),
    "a sid of a gateway": ({"match": "{gateway: '*', sid: a}"}, "sid is of apim subscriptions"),
    "a set of a gateway": ({"settings": "renew: set,"}, "no way to set"),
    "a form of a gateway token": (
        {"publish": f"tokens: {{kind: gateway, form: long, {SINK}}}"},
        "one form only",
    ),
    "two slots": (
        {"settings": "adopt: primary,", "publish": f"tokens: {{kind: gateway, slot: secondary, {SINK}}}"},
        "must name the same one",
    ),
    "too long a life": (
        {"publish": f"tokens: {{kind: gateway, lifetime: 31d, {SINK}}}"},
        "tokens.lifetime: 31 d is lo",
    ),
    "no room to renew": (
        {"publish": f"tokens: {{kind: gateway, lifetime: 2h, renew_before: 2h, {SINK}}}"},
        "tokens.renew_before: 2 h leaves less of lifetime 2 h",
    ),
    "renewed too late for its callers": (
        {"settings": "consumers: {cache: 12h},", "publish": f"tokens: {{kind: gateway, renew_before: 6h, {SINK}}}"},
        "tokens.renew_before: 6 h is shorter than what your callers need: cache 12 h",
    ),
    "a webhook that tells of a token nobody sees": (
        {"publish": "tokens: {kind: gateway, publish: [{webhook: {url: 'https://h.example/', secret_env: S}}]}"},
        "a webhook without include_value",
    ),
    "one sink for value and token": (
        {"publish": f"{SINK}, tokens: {{kind: gateway, {SINK}}}"},
        "the same sink twice",
    ),
    "a template word that is none": (
        {"publish": 'tokens: {kind: gateway, publish: [{keyvault: {vault: v, secret: "t-{gate}"}}]}'},
        "Did you mean gateway?",
    ),
    "a tenant that is none": ({"match": "{tenant: acces}", "publish": SINK}, "Did you mean access?"),
}


@pytest.mark.parametrize(("given", "sentence"), MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_about_tokens_is_told_where_it_stands(given: dict[str, str], sentence: str) -> None:
    lines = told(**given)
    assert any(sentence in line for line in lines), lines
    assert all(line.startswith("keyturn.yaml:") for line in lines)
