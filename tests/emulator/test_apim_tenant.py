"""Tenant access at the resource provider: what its operations answer, by api-version."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from keyturn_emulator.seed import SeedError
from keyturn_emulator.wire import Answer
from tests.emulator.small_azure import NOBODY, SmallAzure, content, description, error_of

PATH = "tenant/access"
LATER = ("2021-08-01", "2022-08-01", "2024-05-01")


def keys(azure: SmallAzure, name: str = "access") -> tuple[str, str]:
    told = content(azure.ask("POST", f"tenant/{name}/listSecrets"))
    return told["primaryKey"], told["secondaryKey"]


def etag(azure: SmallAzure) -> str:
    return azure.ask("HEAD", PATH).headers["ETag"]


def patch(azure: SmallAzure, enabled: Any, **more: Any) -> Answer:
    return azure.ask("PATCH", PATH, {"properties": {"enabled": enabled}}, match=more.pop("match", "*"), **more)


def put(azure: SmallAzure, match: str | None = "*", **properties: Any) -> Answer:
    return azure.ask("PUT", PATH, {"properties": properties}, match=match)


@pytest.mark.witness("defaults-of-tenant-access")
def test_tenant_access_is_there_disabled_and_git_enabled_unless_described_otherwise() -> None:
    azure = SmallAzure()
    found = {name: content(azure.ask("GET", f"tenant/{name}")) for name in ("access", "gitAccess")}
    assert {name: one["properties"]["enabled"] for name, one in found.items()} == {"access": False, "gitAccess": True}
    assert found["access"]["properties"]["principalId"] == "integration"
    assert found["gitAccess"]["properties"]["principalId"] == "git"
    assert found["gitAccess"]["id"] == f"{azure.service.id}/tenant/gitAccess"
    assert found["gitAccess"]["type"] == "Microsoft.ApiManagement/service/tenant"


def test_a_tenant_access_of_another_name_is_not_found() -> None:
    answer = SmallAzure().ask("GET", "tenant/other")
    assert (answer.status, error_of(answer)["code"]) == (404, "ResourceNotFound")


@pytest.mark.witness("list-of-tenant-accesses")
def test_the_list_of_tenant_accesses_is_empty_although_there_are_two() -> None:
    assert content(SmallAzure().ask("GET", "tenant")) == {"value": [], "count": 0}


@pytest.mark.witness("keys-in-answers-of-tenant-access")
@pytest.mark.parametrize("version", LATER)
def test_a_get_has_both_keys_as_null_from_2021_on(version: str) -> None:
    properties = content(SmallAzure().ask("GET", PATH, version=version))["properties"]
    assert properties == {"principalId": "integration", "primaryKey": None, "secondaryKey": None, "enabled": False}


def test_a_get_has_no_key_fields_before() -> None:
    properties = content(SmallAzure().ask("GET", PATH, version="2019-12-01"))["properties"]
    assert properties == {"principalId": "integration", "enabled": False}


@pytest.mark.witness("keys-in-answers-of-tenant-access")
@pytest.mark.parametrize("version", LATER)
def test_a_patch_echoes_the_real_keys_from_2021_on(version: str) -> None:
    azure = SmallAzure()
    answer = patch(azure, True, version=version)
    properties = content(answer)["properties"]
    assert (answer.status, properties["enabled"]) == (200, True)
    assert (properties["primaryKey"], properties["secondaryKey"]) == keys(azure)
    assert answer.headers["ETag"] == etag(azure)


@pytest.mark.witness("keys-in-answers-of-tenant-access")
def test_a_patch_is_an_empty_204_up_to_2019_and_a_put_is_not_known_there() -> None:
    azure = SmallAzure()
    answer = patch(azure, True, version="2019-12-01")
    assert (answer.status, answer.body) == (204, b"")
    assert azure.service.credentials.access.enabled is True
    refused = azure.ask("PUT", PATH, {"properties": {}}, match="*", version="2019-12-01")
    assert (refused.status, error_of(refused)["code"]) == (501, "NotSupportedByEmulator")


@pytest.mark.witness("list-secrets-of-tenant-access")
def test_the_secrets_are_flat_with_a_short_id_and_the_etag() -> None:
    azure = SmallAzure()
    answer = azure.ask("POST", f"{PATH}/listSecrets")
    told = content(answer)
    primary, secondary = told.pop("primaryKey"), told.pop("secondaryKey")
    assert told == {"id": "/tenant/access", "principalId": "integration", "enabled": False}
    assert [len(base64.b64decode(key, validate=True)) for key in (primary, secondary)] == [64, 64]
    assert {len(primary), len(secondary)} == {88}
    assert primary != secondary
    assert answer.headers["ETag"] == etag(azure)


@pytest.mark.witness("etag-of-tenant-access")
def test_a_tenants_etag_is_a_rowversion_and_eight_zero_bytes() -> None:
    raw = base64.b64decode(etag(SmallAzure()).strip('"'), validate=True)
    assert len(raw) == 16
    assert raw[8:] == bytes(8)
    assert int.from_bytes(raw[:8], "big") > 0


@pytest.mark.witness("etag-of-tenant-access")
def test_each_regenerate_is_an_empty_204_without_etag_and_moves_its_slot_and_the_tag() -> None:
    azure = SmallAzure()
    before, tags = keys(azure), [etag(azure)]
    for slot, path in enumerate(("regeneratePrimaryKey", "regenerateSecondaryKey")):
        answer = azure.ask("POST", f"{PATH}/{path}")
        assert (answer.status, answer.body) == (204, b"")
        assert "ETag" not in answer.headers
        after = keys(azure)
        assert [one == two for one, two in zip(before, after, strict=True)] == [slot != 0, slot != 1]
        before = after
        tags.append(etag(azure))
    assert len(set(tags)) == 3


def test_git_keys_are_regenerated_under_either_path_and_leave_the_others_alone() -> None:
    azure = SmallAzure()
    access, before = keys(azure), keys(azure, "gitAccess")
    assert azure.ask("POST", "tenant/gitAccess/git/regeneratePrimaryKey").status == 204
    assert azure.ask("POST", "tenant/gitAccess/regenerateSecondaryKey").status == 204
    assert not set(keys(azure, "gitAccess")) & set(before)
    assert keys(azure) == access


@pytest.mark.witness("more-of-self-hosted-gateways")
def test_git_under_access_is_refused_by_name() -> None:
    refused = SmallAzure().ask("POST", "tenant/access/git/regeneratePrimaryKey")
    assert (refused.status, error_of(refused)["code"]) == (501, "NotSupportedByEmulator")
    assert "git/ under tenant/access" in error_of(refused)["message"]


@pytest.mark.witness("etag-of-tenant-access")
def test_a_patch_that_changes_nothing_keeps_the_tenants_etag() -> None:
    azure = SmallAzure()
    tag = etag(azure)
    assert patch(azure, False).headers["ETag"] == tag
    assert patch(azure, True).headers["ETag"] != tag


@pytest.mark.witness("tenant-access-writes-need-if-match")
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_tenants_write_needs_if_match_unless_switched(method: str) -> None:
    body = {"properties": {"enabled": True}}
    refused = SmallAzure().ask(method, PATH, body)
    assert (refused.status, error_of(refused)["details"][0]["target"]) == (400, "If-Match")
    assert SmallAzure(switches={"strict_if_match": False}).ask(method, PATH, body).status == 200


@pytest.mark.witness("tenant-access-writes-need-if-match")
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_tenants_write_with_a_stale_tag_is_a_412_and_changes_nothing(method: str) -> None:
    azure = SmallAzure()
    tag = etag(azure)
    azure.ask("POST", f"{PATH}/regeneratePrimaryKey")
    refused = azure.ask(method, PATH, {"properties": {"enabled": True}}, match=tag)
    assert (refused.status, error_of(refused)["code"]) == (412, "PreconditionFailed")
    assert azure.service.credentials.access.enabled is False


@pytest.mark.witness("a-put-sets-tenant-access")
def test_a_put_sets_chosen_keys_and_keeps_what_it_does_not_name() -> None:
    azure = SmallAzure()
    before = keys(azure)
    answer = put(azure, primaryKey="chosen")
    assert (answer.status, answer.headers["ETag"]) == (200, etag(azure))
    assert keys(azure) == ("chosen", before[1])
    assert azure.service.credentials.access.enabled is False
    put(azure, secondaryKey="too", enabled=True, principalId="robot")
    told = content(azure.ask("POST", f"{PATH}/listSecrets"))
    assert told["principalId"] == "robot"
    assert (told["enabled"], told["secondaryKey"]) == (True, "too")


@pytest.mark.witness("switch tenant_put_redraws_omitted_keys")
def test_a_put_draws_the_keys_it_does_not_name_when_switched() -> None:
    azure = SmallAzure(switches={"tenant_put_redraws_omitted_keys": True})
    before = keys(azure)
    put(azure, primaryKey="chosen")
    assert keys(azure)[0] == "chosen"
    assert keys(azure)[1] != before[1]


@pytest.mark.witness("switch tenant_put_echoes_keys")
def test_a_put_echoes_both_keys_unless_switched() -> None:
    azure = SmallAzure()
    echoed = content(put(azure, primaryKey="chosen"))["properties"]
    assert (echoed["primaryKey"], echoed["secondaryKey"]) == keys(azure)
    silent = content(put(SmallAzure(switches={"tenant_put_echoes_keys": False}), primaryKey="chosen"))["properties"]
    assert (silent["primaryKey"], silent["secondaryKey"]) == (None, None)


def test_wrong_fields_of_a_tenants_write_are_named_without_their_values() -> None:
    azure = SmallAzure()
    refused = put(azure, primaryKey="", state="secret-text", enabled="yes")
    assert [detail["target"] for detail in error_of(refused)["details"]] == ["primaryKey", "state", "enabled"]
    assert b"secret-text" not in refused.body
    assert patch(azure, True).status == 200
    wrong = azure.ask("PATCH", PATH, {"properties": {"primaryKey": "chosen"}}, match="*")
    assert [detail["target"] for detail in error_of(wrong)["details"]] == ["primaryKey"]


@pytest.mark.witness("400-where-the-tier-has-none")
def test_tenant_access_is_not_in_the_tier_consumption() -> None:
    services = [{"name": "shop-apim", "sku": "Consumption"}]
    for method, path in (("GET", "tenant"), ("GET", PATH), ("POST", f"{PATH}/listSecrets")):
        refused = SmallAzure(services=services).ask(method, path)
        assert (refused.status, error_of(refused)["code"]) == (400, "MethodNotAllowedInPricingTier")


@pytest.mark.witness("each-operation-asks-for-the-action")
@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", "tenant", "read"),
        ("GET", PATH, "read"),
        ("PUT", PATH, "write"),
        ("PATCH", PATH, "write"),
        ("POST", f"{PATH}/listSecrets", "listSecrets/action"),
        ("POST", f"{PATH}/regeneratePrimaryKey", "regeneratePrimaryKey/action"),
        ("POST", f"{PATH}/regenerateSecondaryKey", "regenerateSecondaryKey/action"),
    ],
)
def test_each_operation_on_tenant_access_needs_its_own_action(method: str, path: str, action: str) -> None:
    refused = SmallAzure().ask(method, path, client=NOBODY)
    assert refused.status == 403
    assert f"'Microsoft.ApiManagement/service/tenant/{action}'" in error_of(refused)["message"]


def test_a_described_tenant_access_has_the_keys_and_state_that_were_described() -> None:
    described = description()["services"]
    described[0]["tenant_access"] = {"enabled": True, "primary": "p", "secondary": "s"}
    described[0]["git_access"] = {"enabled": False, "primary": "g"}
    azure = SmallAzure(services=described)
    assert keys(azure) == ("p", "s")
    assert azure.service.credentials.access.enabled is True
    assert keys(azure, "gitAccess")[0] == "g"
    assert content(azure.ask("GET", "tenant/gitAccess"))["properties"]["enabled"] is False


def test_a_description_that_makes_no_sense_of_tenant_access_is_refused_with_its_place() -> None:
    services = [{"name": "a", "sku": "Consumption", "tenant_access": {"enabled": "yes", "more": 1}}]
    with pytest.raises(SeedError) as refused:
        SmallAzure(services=services)
    assert refused.value.problems == [
        "services[0].tenant_access: is not in the tier Consumption",
        "services[0].tenant_access.enabled: must be of type bool",
        "services[0].tenant_access.more: is not a known field",
    ]


def test_no_key_of_tenant_access_stands_in_a_snapshot_or_a_repr() -> None:
    azure = SmallAzure()
    shown = f"{azure.service.snapshot()} {azure.service.credentials.tenant}"
    assert [key for key in (*keys(azure), *keys(azure, "gitAccess")) if key in shown] == []
