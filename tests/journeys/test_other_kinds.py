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
    "tenant/access": {("PATCH", ""), ("PUT", ""), ("POST", "/listSecrets")},
    "tenant/gitAccess": {("PATCH", ""), ("PUT", ""), ("POST", "/listSecrets")},
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
