"""Tenant access and self-hosted gateways turn as apim subscriptions do, each in the way that Azure allows."""

from __future__ import annotations

import json

import pytest

from keyturn_emulator.testing import RunningEmulator
from tests.journeys.stage import Stage

PROBE = "    probe: { path: /status/ping }\n"
DAY = 86_400
KINDS = {
    "tenant/access": "tenant: access",
    "tenant/gitAccess": "tenant: gitAccess",
    "gateways/gw-oslo": "gateway: gw-oslo",
}


def sent(azure: RunningEmulator, name: str) -> set[tuple[str, str]]:
    """Every kind of write to the credential: its method, and the action where there is one."""
    calls = [call for call in azure.calls() if call["method"] not in {"GET", "HEAD"}]
    below = [(str(call["method"]), str(call["path"]).partition(f"/shop-apim/{name}")) for call in calls]
    return {(method, action.partition("?")[0]) for method, (_, found, action) in below if found}


WRITES = {
    "tenant/access": {("PUT", ""), ("POST", "/listSecrets")},
    "tenant/gitAccess": {("PUT", ""), ("POST", "/listSecrets")},
    "gateways/gw-oslo": {("POST", "/regenerateKey"), ("POST", "/listKeys")},
}


@pytest.mark.parametrize("name", KINDS)
def test_a_whole_rotation_gives_both_slots_a_fresh_value(stage: Stage, name: str) -> None:
    publish = '[ { keyvault: { vault: shop-kv, secret: "turned" } } ]'
    path = stage.configure({"name": "turned", "match": f"{{ {KINDS[name]} }}", "publish": publish})
    path.write_text(path.read_text(encoding="utf-8").replace(PROBE, ""), encoding="utf-8")
    before = stage.keys_of(name)
    stage.good("run")  # adopts
    for _ in range(2):  # confirms and publishes; then rests until its standby is quiet
        stage.azure.advance(2 * DAY)
        stage.good("run")
    stage.good("rotate", name, "--wait")
    (told,) = json.loads(stage.good("status", name, "--json").out)["credentials"]
    assert (told["rotations"], told["condition"], told["active"]) == (1, "ok", "secondary")
    after = stage.keys_of(name)
    assert len({*before.values(), *after.values()}) == 4
    assert sent(stage.azure, name) == WRITES[name]


def test_a_gateways_key_cannot_be_set_and_that_is_said_of_azure_and_not_of_the_service(stage: Stage) -> None:
    publish = '[ { keyvault: { vault: shop-kv, secret: "turned" } } ]'
    stage.configure({"name": "turned", "match": "{ gateway: gw-oslo }", "publish": publish})
    refused = stage.run("key", "set", "gw-oslo", "--slot", "secondary", "--stdin", stdin="AAAA\n")
    assert refused.code == 2
    assert "Azure has no way to set a key of shop/gateways/gw-oslo" in refused.err
    assert "key regenerate" in refused.err


def test_a_hold_says_when_the_tokens_under_it_end(stage: Stage) -> None:
    tokens = "{ kind: gateway, slot: primary, publish: [ { keyvault: { vault: shop-kv, secret: turned } } ] }"
    path = stage.configure({"name": "turned", "match": "{ gateway: gw-oslo }", "publish": "[]", "tokens": tokens})
    text = path.read_text(encoding="utf-8").replace(PROBE, "").replace("    publish: []\n", "")
    path.write_text(text, encoding="utf-8")
    for _ in range(2):
        stage.good("run")
        stage.azure.advance(DAY)
    assert "is good for" in stage.good("status", "gw-oslo").out
    held = stage.good("hold", "gw-oslo", "--because", "an audit")
    assert "the first ends on" in held.out
    stage.azure.advance(31 * DAY)
    told = stage.run("status")
    assert told.code == 1
    assert "token-ends: the token in shop-kv/turned ended" in told.out
    assert "held for by-hand: an audit" in told.out


@pytest.mark.parametrize("name", ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "Q8superSecretClientValue"])
def test_a_secret_where_its_variables_name_belongs_is_not_repeated(stage: Stage, name: str) -> None:
    hook = f"{{ webhook: {{ url: 'https://hooks.example/x', secret_env: {name} }} }}"
    stage.configure({"name": "told", "match": "{ sid: contoso }", "publish": f"[ {hook} ]"})
    for command in (("plan",), ("plan", "--json"), ("run",)):
        refused = stage.run(*command)
        assert refused.code == 2
        assert name not in refused.out + refused.err


def test_a_webhook_without_its_secret_does_not_stop_the_emergency_brake(stage: Stage) -> None:
    hook = "{ webhook: { url: 'https://hooks.example/x', secret_env: NOT_SET_ANYWHERE } }"
    stage.configure({"name": "told", "match": "{ tenant: access }", "publish": f"[ {hook} ]"})
    assert stage.run("run").code == 2
    stage.good("key", "disable", "tenant/access", "--yes")
