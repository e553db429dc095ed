"""Services, products, APIs and users as Resource Manager shows them (azure-recorded 4 and 5)."""

from __future__ import annotations

import pytest

from tests.emulator.small_azure import AZURE, EAST, GROUP, SmallAzure, content, error_of

SERVICE = f"{GROUP}/providers/Microsoft.ApiManagement/service/shop-apim"
BY_SUBSCRIPTION = f"/subscriptions/{AZURE}/providers/Microsoft.ApiManagement/service"
BY_GROUP = f"{GROUP}/providers/Microsoft.ApiManagement/service"


@pytest.fixture
def azure() -> SmallAzure:
    return SmallAzure()


@pytest.mark.witness("the-service-and-its-lists")
def test_a_service_tells_its_gateways_regions_and_etag(azure: SmallAzure) -> None:
    answer = azure.ask("GET", "")
    form = content(answer)
    assert (form["id"], form["name"], form["type"]) == (SERVICE, "shop-apim", "Microsoft.ApiManagement/service")
    assert (form["location"], form["sku"]["name"]) == ("West Europe", "Premium")
    properties = form["properties"]
    assert properties["provisioningState"] == "Succeeded"
    assert properties["gatewayUrl"] == "https://shop-apim.azure-api.net"
    assert properties["gatewayRegionalUrl"] == "https://shop-apim-westeurope-01.regional.azure-api.net"
    assert [place["gatewayRegionalUrl"] for place in properties["additionalLocations"]] == [f"https://{EAST}"]
    assert '"' not in form["etag"], "the etag in the body is unquoted"
    assert "ETag" not in answer.headers


@pytest.mark.witness("the-services-own-host")
def test_every_url_of_a_service_names_a_gateway_that_answers(azure: SmallAzure) -> None:
    properties = content(azure.ask("GET", ""))["properties"]
    urls = [properties["gatewayUrl"], properties["gatewayRegionalUrl"]]
    urls += [place["gatewayRegionalUrl"] for place in properties["additionalLocations"]]
    for url in urls:
        assert azure.call("/ping", host=url.removeprefix("https://")).status == 200


def test_optional_fields_of_a_service_are_null_and_the_target_state_is_empty(azure: SmallAzure) -> None:
    form = content(azure.ask("GET", ""))
    assert form["identity"] is None and form["zones"] is None
    assert form["properties"]["targetProvisioningState"] == ""
    assert form["properties"]["virtualNetworkConfiguration"] is None


def test_a_service_in_one_region_has_null_additional_locations(azure: SmallAzure) -> None:
    del azure.service.gateways[1:]
    assert content(azure.ask("GET", ""))["properties"]["additionalLocations"] is None


@pytest.mark.parametrize(("version", "has"), [("2019-12-01", False), ("2021-08-01", False), ("2022-08-01", True)])
def test_two_fields_of_a_service_came_in_2022(azure: SmallAzure, version: str, has: bool) -> None:
    properties = content(azure.ask("GET", "", version=version))["properties"]
    assert ("natGatewayState" in properties) is ("outboundPublicIPAddresses" in properties) is has


@pytest.mark.witness("the-service-and-its-lists")
@pytest.mark.parametrize("path", [BY_SUBSCRIPTION, BY_GROUP])
def test_service_lists_hold_a_value_alone(azure: SmallAzure, path: str) -> None:
    answer = azure.ask("GET", path)
    assert content(answer) == {"value": [content(azure.ask("GET", ""))]}
    assert "ETag" not in answer.headers


def test_a_group_lists_its_own_services_only() -> None:
    azure = SmallAzure(
        services=[
            {"name": "one", "apis": [], "products": []},
            {"name": "two", "resource_group": "other", "apis": [], "products": []},
        ]
    )
    listed = content(azure.ask("GET", BY_GROUP))["value"]
    everywhere = content(azure.ask("GET", BY_SUBSCRIPTION))["value"]
    assert [item["name"] for item in listed] == ["one"]
    assert [item["name"] for item in everywhere] == ["one", "two"]


@pytest.mark.witness("the-service-and-its-lists")
def test_products_tell_whether_they_are_open_and_which_apis_they_hold(azure: SmallAzure) -> None:
    products = content(azure.ask("GET", "products"))
    required = {item["name"]: item["properties"]["subscriptionRequired"] for item in products["value"]}
    assert required == {"gold": True, "vetted": True, "free": False}
    assert content(azure.ask("GET", "products/FREE"))["name"] == "free"
    held = content(azure.ask("GET", "products/gold/apis"))["value"]
    assert [item["name"] for item in held] == ["orders", "status"]
    assert held[0]["id"] == f"{SERVICE}/products/gold/apis/orders"


def test_apis_tell_their_path_and_where_they_look_for_the_key(azure: SmallAzure) -> None:
    properties = {item["name"]: item["properties"] for item in content(azure.ask("GET", "apis"))["value"]}
    assert properties["status"]["subscriptionKeyParameterNames"] == {
        "header": "X-Status-Key",
        "query": "status-key",
    }
    assert properties["orders-v2"]["path"] == "orders/v2"
    assert properties["ping"]["subscriptionRequired"] is False
    assert content(azure.ask("GET", "apis/orders"))["id"] == f"{SERVICE}/apis/orders"


def test_users_are_listed_with_the_administrator_first(azure: SmallAzure) -> None:
    users = content(azure.ask("GET", "users"))["value"]
    assert [(user["name"], user["properties"]["firstName"]) for user in users] == [
        ("1", "Administrator"),
        ("ada", "Ada"),
    ]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("products/none", "Product not found."),
        ("products/none/apis", "Product not found."),
        ("apis/none", "API not found."),
        ("apis/none/operations", "API not found."),
        ("apis/orders/operations/none", "Operation not found."),
    ],
)
def test_what_is_missing_is_named_by_its_kind(azure: SmallAzure, path: str, message: str) -> None:
    answer = azure.ask("GET", path)
    assert (answer.status, error_of(answer)["message"]) == (404, message)


def test_one_product_and_one_api_are_told_with_an_etag_of_their_own(azure: SmallAzure) -> None:
    told = [azure.ask("GET", path) for path in ("products/gold", "products/free", "apis/orders")]
    tags = [answer.headers["ETag"] for answer in told]
    assert len(set(tags)) == 3
    assert all(tag.startswith('"') and tag.endswith('"') for tag in tags)
    assert "ETag" not in azure.ask("GET", "products").headers


@pytest.mark.witness("operations-of-an-api")
def test_an_api_that_describes_no_operations_has_one_for_everything(azure: SmallAzure) -> None:
    (listed,) = content(azure.ask("GET", "apis/orders/operations"))["value"]
    assert listed["id"] == f"{SERVICE}/apis/orders/operations/any"
    assert listed["type"] == "Microsoft.ApiManagement/service/apis/operations"
    assert (listed["properties"]["method"], listed["properties"]["urlTemplate"]) == ("GET", "/*")
    one = azure.ask("GET", "apis/orders/operations/ANY")
    assert content(one) == listed
    assert one.headers["ETag"] == azure.ask("GET", "apis/orders").headers["ETag"]


@pytest.mark.witness("operations-of-an-api")
def test_described_operations_tell_their_method_and_template() -> None:
    operations = [{"id": "get-one", "url": "/{kind}/{id}"}, {"id": "make", "method": "post", "display_name": "Make"}]
    described = {"name": "one", "apis": [{"id": "things", "path": "things", "operations": operations}]}
    azure = SmallAzure(services=[described])
    first, second = content(azure.ask("GET", "apis/things/operations"))["value"]
    assert (first["properties"]["displayName"], first["properties"]["method"]) == ("get-one", "GET")
    assert [parameter["name"] for parameter in first["properties"]["templateParameters"]] == ["kind", "id"]
    assert (second["properties"]["displayName"], second["properties"]["urlTemplate"]) == ("Make", "/")
    assert second["properties"]["method"] == "POST"
