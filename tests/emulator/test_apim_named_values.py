"""Named values: what is stored, who may see it, and what Microsoft's own client makes of the answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.mgmt.apimanagement import ApiManagementClient
from azure.mgmt.apimanagement.models import NamedValueCreateContract, NamedValueUpdateParameters

from keyturn_emulator import seed
from keyturn_emulator.testing import RunningEmulator
from tests.emulator.small_azure import AZURE, CLIENT, NOBODY, SmallAzure, content, error_of

SERVICE = ("rg", "shop-apim")
ONE = "namedValues/backend-key"
SECRET = {"displayName": "backend-key", "secret": True, "value": "hush", "tags": ["team:payments"]}
TYPE = "Microsoft.ApiManagement/service/namedValues"


@pytest.fixture
def small() -> SmallAzure:
    return SmallAzure()


@pytest.fixture
def client(azure: RunningEmulator) -> Iterator[ApiManagementClient]:
    credential = ClientSecretCredential(seed.TENANT, seed.CLIENT, seed.CLIENT_SECRET)
    with ApiManagementClient(credential, seed.AZURE_SUBSCRIPTION) as opened:
        yield opened
    credential.close()


def put(small: SmallAzure, name: str = ONE, **changes: Any) -> Any:
    return small.ask("PUT", name, {"properties": SECRET | changes})


def patch(small: SmallAzure, match: str | None = "*", **properties: Any) -> Any:
    return small.ask("PATCH", ONE, {"properties": properties}, match=match)


def value(small: SmallAzure) -> str:
    told: str = content(small.ask("POST", f"{ONE}/listValue"))["value"]
    return told


# the official client


@pytest.mark.witness("named-values")
def test_the_client_creates_reads_updates_and_deletes_a_secret_one(client: ApiManagementClient) -> None:
    wanted = NamedValueCreateContract(display_name="backend-key", value="hush", secret=True, tags=["a", "b"])
    made: Any = client.named_value.begin_create_or_update(*SERVICE, "backend-key", wanted).result()
    assert (made.name, made.type, made.value) == ("backend-key", TYPE, None)
    found: Any = client.named_value.get(*SERVICE, "backend-key")
    assert (found.display_name, found.secret, found.tags, found.value) == ("backend-key", True, ["a", "b"], None)
    assert client.named_value.get_entity_tag(*SERVICE, "backend-key") is True
    assert client.named_value.list_value(*SERVICE, "backend-key").value == "hush"
    change = NamedValueUpdateParameters(value="other", tags=["c"])
    client.named_value.begin_update(*SERVICE, "backend-key", "*", change).result()
    assert client.named_value.list_value(*SERVICE, "backend-key").value == "other"
    listed: list[Any] = list(client.named_value.list_by_service(*SERVICE))
    assert [(item.name, item.tags, item.value) for item in listed] == [("backend-key", ["c"], None)]
    client.named_value.delete(*SERVICE, "backend-key", "*")
    with pytest.raises(ResourceNotFoundError):
        client.named_value.get(*SERVICE, "backend-key")


@pytest.mark.witness("statuses-of-named-values")
def test_the_client_gets_a_412_for_a_tag_that_is_not_current(client: ApiManagementClient) -> None:
    wanted = NamedValueCreateContract(display_name="k", value="v", secret=True)
    client.named_value.begin_create_or_update(*SERVICE, "k", wanted).result()
    with pytest.raises(HttpResponseError) as refused:
        client.named_value.begin_update(*SERVICE, "k", '"AAAAAAAAAAE="', NamedValueUpdateParameters(value="w"))
    assert refused.value.status_code == 412
    assert client.named_value.list_value(*SERVICE, "k").value == "v"


@pytest.mark.witness("switch named_value_writes_accepted")
def test_the_client_waits_for_writes_that_are_only_accepted(
    azure: RunningEmulator, client: ApiManagementClient
) -> None:
    azure.seed(seed.default_description() | {"switches": {"named_value_writes_accepted": True}})
    wanted = NamedValueCreateContract(display_name="k", value="v", secret=True)
    made = client.named_value.begin_create_or_update(*SERVICE, "k", wanted, polling_interval=0)
    assert made.result().name == "k"
    change = NamedValueUpdateParameters(value="w")
    updated = client.named_value.begin_update(*SERVICE, "k", "*", change, polling_interval=0)
    assert updated.result().name == "k"
    assert client.named_value.list_value(*SERVICE, "k").value == "w"
    statuses = [(call["method"], call["status"]) for call in azure.calls("arm")]
    assert ("PUT", 201) in statuses and ("PATCH", 202) in statuses


# statuses and tags


@pytest.mark.witness("statuses-of-named-values")
def test_put_is_201_for_a_new_one_and_200_for_one_that_is_there(small: SmallAzure) -> None:
    assert [put(small).status, put(small, value="other").status] == [201, 200]


@pytest.mark.witness("statuses-of-named-values")
def test_a_real_change_moves_the_etag_and_none_keeps_it(small: SmallAzure) -> None:
    first = put(small).headers["ETag"]
    assert patch(small, value="hush").headers["ETag"] == first
    moved = patch(small, first, value="other").headers["ETag"]
    assert moved != first
    told = [small.ask("GET", ONE), small.ask("HEAD", ONE), small.ask("POST", f"{ONE}/listValue")]
    assert [answer.headers["ETag"] for answer in told] == [moved] * 3


@pytest.mark.witness("statuses-of-named-values")
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_stale_tag_is_a_412_and_changes_nothing(small: SmallAzure, method: str) -> None:
    stale = put(small).headers["ETag"]
    patch(small, value="theirs")
    body = None if method == "DELETE" else {"properties": SECRET | {"value": "late"}}
    refused = small.ask(method, ONE, body, match=stale)
    assert (refused.status, error_of(refused)["code"]) == (412, "PreconditionFailed")
    assert value(small) == "theirs"


@pytest.mark.witness("statuses-of-named-values")
def test_without_if_match_patch_and_delete_are_refused(small: SmallAzure) -> None:
    put(small)
    assert [patch(small, None, value="x").status, small.ask("DELETE", ONE).status] == [400, 400]


@pytest.mark.witness("statuses-of-named-values")
def test_deleting_is_an_empty_200_and_deleting_what_is_gone_a_204(small: SmallAzure) -> None:
    put(small)
    assert [small.ask("DELETE", ONE, match="*").status for _ in range(2)] == [200, 204]
    assert error_of(small.ask("GET", ONE))["code"] == "ResourceNotFound"


# who sees the value


@pytest.mark.witness("a-secret-named-values-value")
def test_a_secrets_value_is_told_by_list_value_alone(small: SmallAzure) -> None:
    answers = [put(small), patch(small, tags=["x"]), small.ask("GET", ONE), small.ask("GET", "namedValues")]
    assert [answer for answer in answers if b"hush" in answer.body or b'"value": null' in answer.body] == []
    assert value(small) == "hush"
    assert "hush" not in str(small.service.snapshot())


@pytest.mark.witness("a-secret-named-values-value")
def test_a_plain_ones_value_is_told_by_every_answer(small: SmallAzure) -> None:
    put(small, secret=False, value="open")
    assert content(small.ask("GET", ONE))["properties"]["value"] == "open"
    assert content(small.ask("GET", "namedValues"))["value"][0]["properties"]["value"] == "open"


@pytest.mark.witness("switch named_value_echo")
def test_writes_echo_a_secret_only_when_switched() -> None:
    small = SmallAzure(switches={"named_value_echo": True})
    assert content(put(small))["properties"]["value"] == "hush"
    assert content(patch(small, value="new"))["properties"]["value"] == "new"
    assert "value" not in content(small.ask("GET", ONE))["properties"]


@pytest.mark.witness("a-named-value-from-a-vault", "refresh-of-a-named-value")
def test_one_that_a_vault_holds_tells_which_secret_and_no_value(small: SmallAzure) -> None:
    secret = "https://shop-kv.vault.azure.net/secrets/backend"
    small.ask("PUT", ONE, {"properties": {"displayName": "k", "keyVault": {"secretIdentifier": secret}}})
    properties = content(small.ask("GET", ONE))["properties"]
    assert properties["keyVault"]["secretIdentifier"] == secret and "value" not in properties
    assert error_of(small.ask("POST", f"{ONE}/listValue"))["code"] == "NotSupportedByEmulator"


# what is refused


@pytest.mark.witness("limits-of-named-values")
@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"displayName": "with space"}, "displayName"),
        ({"displayName": ""}, "displayName"),
        ({"displayName": "x" * 257}, "displayName"),
        ({"value": ""}, "value"),
        ({"value": "x" * 4097}, "value"),
        ({"tags": ["x"] * 33}, "tags"),
        ({"tags": "x"}, "tags"),
        ({"secret": "yes"}, "secret"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_created(small: SmallAzure, changes: dict[str, Any], target: str) -> None:
    refused = put(small, **changes)
    assert (refused.status, error_of(refused)["details"][0]["target"]) == (400, target)
    assert small.ask("GET", ONE).status == 404


@pytest.mark.witness("limits-of-named-values")
def test_the_limits_themselves_are_allowed(small: SmallAzure) -> None:
    assert put(small, displayName="x" * 256, value="x" * 4096, tags=["x"] * 32).status == 201


@pytest.mark.witness("limits-of-named-values")
def test_a_display_name_is_unique_in_its_service(small: SmallAzure) -> None:
    put(small)
    assert put(small, "namedValues/another").status == 400
    assert put(small, "namedValues/another", displayName="another").status == 201


@pytest.mark.witness("refresh-of-a-named-value")
def test_refreshing_from_a_vault_is_refused_by_name(small: SmallAzure) -> None:
    put(small)
    refused = error_of(small.ask("POST", f"{ONE}/refreshSecret"))
    assert refused["code"] == "NotSupportedByEmulator" and "refreshSecret" in refused["message"]


@pytest.mark.witness("actions-of-named-values")
@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", ONE, "read"),
        ("HEAD", ONE, "read"),
        ("GET", "namedValues", "read"),
        ("PUT", ONE, "write"),
        ("PATCH", ONE, "write"),
        ("DELETE", ONE, "delete"),
        ("POST", f"{ONE}/listValue", "listValue/action"),
    ],
)
def test_each_operation_has_its_action(method: str, path: str, action: str) -> None:
    full = f"Microsoft.ApiManagement/service/namedValues/{action}"
    role = {"name": "exact", "id": "11111111-2222-4333-8444-555555555555", "actions": [full]}
    everywhere = f"/subscriptions/{AZURE}"
    small = SmallAzure(
        custom_roles=[role],
        role_assignments=[
            {"client_id": CLIENT, "role": "Contributor", "scope": everywhere},
            {"client_id": NOBODY, "role": "exact", "scope": everywhere},
        ],
    )
    put(small)
    body = {"properties": SECRET} if method in {"PUT", "PATCH"} else None
    match = "*" if method in {"PUT", "PATCH", "DELETE"} else None
    assert small.ask(method, path, body, match=match, client=NOBODY).status == 200
    role["actions"] = ["Microsoft.ApiManagement/service/read"]
    without = SmallAzure(
        custom_roles=[role], role_assignments=[{"client_id": NOBODY, "role": "exact", "scope": everywhere}]
    )
    refused = without.ask(method, path, body, match=match, client=NOBODY)
    assert refused.status == 403
    if method != "HEAD":
        assert f"'{full}'" in error_of(refused)["message"]


# writes that are only accepted


@pytest.mark.witness("switch named_value_writes_accepted")
def test_an_accepted_write_takes_effect_when_it_is_asked_for_or_time_moves() -> None:
    small = SmallAzure(switches={"named_value_writes_accepted": True})
    accepted = put(small)
    assert (accepted.status, accepted.body) == (202, b"")
    assert small.ask("GET", ONE).status == 404
    small.world.clock.advance(1)
    assert value(small) == "hush"
    patched = patch(small, value="new")
    assert value(small) == "hush"
    path, _, query = patched.headers["Location"].removeprefix("https://management.azure.com").partition("?")
    asked = dict(part.split("=") for part in query.split("&"))
    asked.pop("api-version")
    assert small.ask("GET", path, query=asked).status == 200
    assert value(small) == "new"


@pytest.mark.witness("switch named_value_writes_accepted")
def test_a_write_beside_an_accepted_one_meets_its_new_tag() -> None:
    small = SmallAzure(switches={"named_value_writes_accepted": True})
    put(small)
    small.world.clock.advance(1)
    tag = small.ask("HEAD", ONE).headers["ETag"]
    assert [patch(small, tag, value="one").status, patch(small, tag, value="two").status] == [202, 412]
    assert value(small) == "one"
