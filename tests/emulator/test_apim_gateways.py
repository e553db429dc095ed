"""Self-hosted gateways at the resource provider: the entity, its keys, and the tokens made from them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest

from keyturn_emulator.seed import SeedError
from keyturn_emulator.wire import Answer
from tests.emulator.small_azure import NOBODY, SmallAzure, content, description, error_of

PATH = "gateways/gw1"


@pytest.fixture
def azure() -> SmallAzure:
    return with_gateways({"id": "gw1", "location": "Oslo", "description": "first"})


def with_gateways(*gateways: dict[str, Any], **changes: Any) -> SmallAzure:
    services = description()["services"]
    services[0] |= {"self_hosted_gateways": list(gateways), **changes}
    return SmallAzure(services=services)


def etag(azure: SmallAzure, path: str = PATH) -> str:
    return azure.ask("HEAD", path).headers["ETag"]


def count_of(tag: str) -> int:
    raw = base64.b64decode(tag.strip('"'), validate=True)
    assert len(raw) == 8
    return int.from_bytes(raw, "little")


def keys(azure: SmallAzure, path: str = PATH) -> dict[str, str]:
    told: dict[str, str] = content(azure.ask("POST", f"{path}/listKeys"))
    return told


def put(azure: SmallAzure, path: str, **properties: Any) -> Answer:
    return azure.ask("PUT", path, {"properties": properties})


def regenerate(azure: SmallAzure, slot: Any) -> Answer:
    return azure.ask("POST", f"{PATH}/regenerateKey", {"keyType": slot})


def token(azure: SmallAzure, **wish: Any) -> Answer:
    return azure.ask("POST", f"{PATH}/generateToken", wish)


@pytest.mark.witness("statuses-of-self-hosted-gateways")
def test_putting_a_gateway_is_201_and_then_200(azure: SmallAzure) -> None:
    made = put(azure, "gateways/gw2", locationData={"name": "Bergen", "city": "Bergen"}, description="second")
    assert (made.status, made.headers["ETag"]) == (201, etag(azure, "gateways/gw2"))
    assert content(made) == {
        "id": f"{azure.service.id}/gateways/gw2",
        "type": "Microsoft.ApiManagement/service/gateways",
        "name": "gw2",
        "properties": {
            "locationData": {"name": "Bergen", "city": "Bergen", "district": None, "countryOrRegion": None},
            "description": "second",
            "heartbeat": None,
        },
    }
    again = put(azure, "gateways/GW2", description="renamed")
    assert again.status == 200
    assert content(again)["name"] == "gw2"
    assert content(again)["properties"]["description"] == "renamed"
    assert content(again)["properties"]["locationData"]["city"] == "Bergen"


@pytest.mark.witness("heartbeat-and-keys-of-self-hosted-gateways")
def test_the_heartbeat_is_null_after_a_write_and_a_list_when_read(azure: SmallAzure) -> None:
    read = content(azure.ask("GET", PATH))["properties"]
    listed = content(azure.ask("GET", "gateways"))["value"][0]["properties"]
    patched = content(azure.ask("PATCH", PATH, {"properties": {"description": "x"}}, match="*"))["properties"]
    assert (read["heartbeat"], listed["heartbeat"], patched["heartbeat"]) == ([], [], None)


@pytest.mark.witness("heartbeat-and-keys-of-self-hosted-gateways")
def test_no_answer_but_list_keys_shows_a_gateways_key(azure: SmallAzure) -> None:
    told = keys(azure)
    assert set(told) == {"primary", "secondary"}
    assert {len(base64.b64decode(key, validate=True)) for key in told.values()} == {64}
    answers = [
        azure.ask("GET", PATH),
        azure.ask("GET", "gateways"),
        put(azure, PATH, description="x"),
        azure.ask("PATCH", PATH, {"properties": {"description": "y"}}, match="*"),
    ]
    assert [answer.status for answer in answers] == [200, 200, 200, 200]
    assert [key for key in told.values() for answer in answers if key.encode() in answer.body] == []
    assert [key for key in told.values() if key in str(azure.service.snapshot())] == []


@pytest.mark.witness("etag-of-self-hosted-gateways")
def test_a_gateways_etag_is_a_little_endian_counter_that_each_regenerate_moves_by_one(azure: SmallAzure) -> None:
    counts = [count_of(etag(azure))]
    for slot in ("primary", "secondary"):
        before = keys(azure)
        answer = regenerate(azure, slot)
        assert (answer.status, answer.body) == (204, b"")
        assert "ETag" not in answer.headers
        assert [name for name, key in keys(azure).items() if before[name] != key] == [slot]
        counts.append(count_of(etag(azure)))
    assert counts == [counts[0], counts[0] + 1, counts[0] + 2]


def test_listing_keys_tells_the_gateways_etag_and_keeps_it(azure: SmallAzure) -> None:
    tag = etag(azure)
    assert azure.ask("POST", f"{PATH}/listKeys").headers["ETag"] == tag == etag(azure)


def test_a_patch_that_changes_nothing_keeps_the_gateways_etag(azure: SmallAzure) -> None:
    tag = etag(azure)
    same = azure.ask("PATCH", PATH, {"properties": {"description": "first"}}, match=tag)
    assert (same.status, same.headers["ETag"]) == (200, tag)
    moved = azure.ask("PATCH", PATH, {"properties": {"description": "other"}}, match=tag)
    assert moved.headers["ETag"] != tag
    stale = azure.ask("PATCH", PATH, {"properties": {"description": "late"}}, match=tag)
    assert (stale.status, error_of(stale)["code"]) == (412, "PreconditionFailed")


def test_patching_a_gateway_is_an_empty_204_up_to_2019(azure: SmallAzure) -> None:
    answer = azure.ask("PATCH", PATH, {"properties": {"description": "x"}}, match="*", version="2019-12-01")
    assert (answer.status, answer.body) == (204, b"")


@pytest.mark.witness("statuses-of-self-hosted-gateways")
def test_deleting_a_gateway_needs_if_match_is_200_and_then_204(azure: SmallAzure) -> None:
    assert error_of(azure.ask("DELETE", PATH))["details"][0]["target"] == "If-Match"
    assert azure.ask("DELETE", PATH, match=etag(azure)).status == 200
    assert [azure.ask("DELETE", PATH, match=tag).status for tag in ("*", '"AAAAAAAAAAE="')] == [204, 204]
    missing = azure.ask("GET", PATH)
    assert (missing.status, error_of(missing)["message"]) == (404, "Gateway not found.")


def test_a_gateway_made_anew_has_neither_the_keys_nor_the_tag_of_the_old_one(azure: SmallAzure) -> None:
    before, tag = keys(azure), etag(azure)
    azure.ask("DELETE", PATH, match="*")
    assert put(azure, PATH).status == 201
    assert not set(keys(azure).values()) & set(before.values())
    assert etag(azure) != tag


def test_gateways_are_listed_in_pages_and_by_filter() -> None:
    azure = with_gateways(*({"id": f"gw{number}", "location": f"place {number % 2}"} for number in range(5)))
    first = content(azure.ask("GET", "gateways", query={"$top": "2"}))
    assert ([one["name"] for one in first["value"]], first["count"]) == (["gw0", "gw1"], 5)
    assert "%24top=2" in first["nextLink"]
    last = content(azure.ask("GET", "gateways", query={"$top": "2", "$skip": "4"}))
    assert [one["name"] for one in last["value"]] == ["gw4"]
    assert "nextLink" not in last
    chosen = content(azure.ask("GET", "gateways", query={"$filter": "region eq 'place 1'"}))
    assert [one["name"] for one in chosen["value"]] == ["gw1", "gw3"]


@pytest.mark.parametrize("name", ["managed", "x" * 81])
def test_a_gateways_id_has_1_to_80_characters_and_is_not_managed(azure: SmallAzure, name: str) -> None:
    refused = put(azure, f"gateways/{name}")
    assert (refused.status, error_of(refused)["details"][0]["target"]) == (400, "gatewayId")
    assert put(azure, f"gateways/{'x' * 80}").status == 201


def test_wrong_fields_of_a_gateway_are_named(azure: SmallAzure) -> None:
    refused = put(azure, PATH, description="x" * 1001, heartbeat=[], locationData="Oslo")
    assert [one["target"] for one in error_of(refused)["details"]] == ["description", "heartbeat", "locationData"]
    nameless = put(azure, PATH, locationData={"city": "Oslo"})
    assert [one["target"] for one in error_of(nameless)["details"]] == ["name"]


@pytest.mark.parametrize("slot", ["tertiary", None, ["primary"]])
def test_a_key_type_that_is_none_is_refused_and_regenerates_nothing(azure: SmallAzure, slot: Any) -> None:
    before = keys(azure)
    refused = regenerate(azure, slot)
    assert [one["target"] for one in error_of(refused)["details"]] == ["keyType"]
    assert keys(azure) == before


@pytest.mark.witness("form-of-a-gateways-token")
@pytest.mark.parametrize("slot", ["primary", "secondary"])
def test_a_generated_token_is_the_published_recipe_with_the_chosen_key(azure: SmallAzure, slot: str) -> None:
    """Written out with plain hmac calls, apart from the emulator's own."""
    answer = token(azure, keyType=slot, expiry="2026-01-20T03:04:59.9999999Z")
    assert answer.status == 200
    assert "ETag" not in answer.headers
    message = b"gw1\n2026-01-20T03:04:00.0000000Z"
    digest = hmac.new(keys(azure)[slot].encode(), message, hashlib.sha512).digest()
    assert content(answer) == {"value": f"gw1&202601200304&{base64.b64encode(digest).decode()}"}


@pytest.mark.witness("form-of-a-gateways-token")
def test_the_recorded_vector_of_a_gateway_token_comes_out() -> None:
    key = base64.b64encode(bytes(range(64))).decode()
    azure = with_gateways({"id": "gw-test", "primary": key})
    azure.world.clock.advance(365.25 * 4 * 86400 - 86400 * 15)
    answer = azure.ask(
        "POST", "gateways/gw-test/generateToken", {"keyType": "primary", "expiry": "2030-01-02T03:04:05Z"}
    )
    assert content(answer)["value"] == (
        "gw-test&203001020304&W1d6JpVygShVkl5XKJBiXS8A0FbRpm0OxQXJ/2pDKtig1y0cbiQvh4hDcuITiuqGZzslmdoP1dRMKm4ZcTX5Pw=="
    )


@pytest.mark.witness("form-of-a-gateways-token")
def test_the_same_wish_gives_the_same_token_until_the_key_is_regenerated(azure: SmallAzure) -> None:
    wish = {"keyType": "primary", "expiry": "2026-01-20T00:00:00Z"}
    first = token(azure, **wish).body
    assert token(azure, **wish).body == first
    regenerate(azure, "secondary")
    assert token(azure, **wish).body == first
    regenerate(azure, "primary")
    assert token(azure, **wish).body != first


@pytest.mark.witness("expiry-of-a-gateways-token")
def test_an_expiry_more_than_thirty_days_ahead_is_refused_and_one_in_the_past_is_not(azure: SmallAzure) -> None:
    assert token(azure, keyType="primary", expiry="2026-02-04T08:00:00.1234Z").status == 200
    refused = token(azure, keyType="primary", expiry="2026-02-04T08:00:01Z")
    assert (refused.status, error_of(refused)["details"][0]["target"]) == (400, "expiry")
    assert content(token(azure, keyType="primary", expiry="2023-07-01T00:00:00Z"))["value"].startswith(
        "gw1&202307010000&"
    )


def test_a_token_needs_key_type_and_expiry(azure: SmallAzure) -> None:
    assert [one["target"] for one in error_of(token(azure))["details"]] == ["keyType", "expiry"]
    wrapped = azure.ask("POST", f"{PATH}/generateToken", {"properties": {"keyType": "primary"}})
    assert [one["target"] for one in error_of(wrapped)["details"]] == ["properties"]


@pytest.mark.witness("more-of-self-hosted-gateways")
@pytest.mark.parametrize("action", ["invalidateDebugCredentials", "listDebugCredentials", "listTrace"])
def test_debugging_a_gateway_is_refused_by_name(azure: SmallAzure, action: str) -> None:
    refused = azure.ask("POST", f"{PATH}/{action}")
    assert (refused.status, error_of(refused)["code"]) == (501, "NotSupportedByEmulator")
    assert action in error_of(refused)["message"]


@pytest.mark.witness("400-where-the-tier-has-none")
@pytest.mark.parametrize("tier", ["Basic", "Standard", "Consumption", "StandardV2"])
def test_self_hosted_gateways_are_in_two_tiers_alone(tier: str) -> None:
    azure = SmallAzure(services=[{"name": "shop-apim", "sku": tier}])
    for method, path, body in (("GET", "gateways", None), ("GET", PATH, None), ("PUT", PATH, {"properties": {}})):
        refused = azure.ask(method, path, body)
        assert (refused.status, error_of(refused)["code"]) == (400, "MethodNotAllowedInPricingTier")


@pytest.mark.witness("each-operation-asks-for-the-action")
@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", "gateways", "read"),
        ("GET", PATH, "read"),
        ("PUT", PATH, "write"),
        ("PATCH", PATH, "write"),
        ("DELETE", PATH, "delete"),
        ("POST", f"{PATH}/listKeys", "listKeys/action"),
        ("POST", f"{PATH}/regenerateKey", "regenerateKey/action"),
        ("POST", f"{PATH}/generateToken", "generateToken/action"),
    ],
)
def test_each_operation_on_a_gateway_needs_its_own_action(
    azure: SmallAzure, method: str, path: str, action: str
) -> None:
    refused = azure.ask(method, path, client=NOBODY)
    assert refused.status == 403
    assert f"'Microsoft.ApiManagement/service/gateways/{action}'" in error_of(refused)["message"]


def test_a_description_that_makes_no_sense_of_a_gateway_is_refused_with_its_place() -> None:
    with pytest.raises(SeedError) as refused:
        with_gateways({"id": "managed"}, {"id": "a"}, {"id": "A", "keys": 1}, sku="Basic")
    tier = "self-hosted gateways need the tier Developer or Premium, not Basic"
    assert refused.value.problems == [
        "services[0].self_hosted_gateways[0].id: must have 1 to 80 characters, and not be 'managed'",
        f"services[0].self_hosted_gateways[0].id: {tier}",
        f"services[0].self_hosted_gateways[1].id: {tier}",
        f"services[0].self_hosted_gateways[2].id: {tier}",
        "services[0].self_hosted_gateways[2].id: A stands here twice",
        "services[0].self_hosted_gateways[2].keys: is not a known field",
    ]
