"""Microsoft's own clients, unmodified, against the running emulator: azure-identity and azure-mgmt-apimanagement."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceModifiedError,
    ResourceNotFoundError,
    ServiceResponseError,
)
from azure.identity import ClientSecretCredential
from azure.mgmt.apimanagement import ApiManagementClient
from azure.mgmt.apimanagement.models import (
    SubscriptionContract,
    SubscriptionCreateParameters,
    SubscriptionUpdateParameters,
)

from keyturn_emulator import seed
from keyturn_emulator.testing import RunningEmulator

SERVICE = ("rg", "shop-apim")
Connect = Callable[..., ApiManagementClient]


@pytest.fixture
def connect(azure: RunningEmulator) -> Iterator[Connect]:
    """Makes clients with nothing changed but where HTTPS goes and which authority is trusted."""
    opened: list[Any] = []

    def make(client_id: str = seed.CLIENT, secret: str = seed.CLIENT_SECRET) -> ApiManagementClient:
        credential = ClientSecretCredential(seed.TENANT, client_id, secret)
        client = ApiManagementClient(credential, seed.AZURE_SUBSCRIPTION)
        opened.extend((client, credential))
        return client

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def client(connect: Connect) -> ApiManagementClient:
    return connect()


def with_etag(_: Any, entity: SubscriptionContract, headers: dict[str, str]) -> tuple[SubscriptionContract, str]:
    return entity, headers["ETag"]


def etag(client: ApiManagementClient, sid: str) -> str:
    found: tuple[SubscriptionContract, str] = client.subscription.get(*SERVICE, sid, cls=with_etag)  # type: ignore[assignment]
    return found[1]


def keys(client: ApiManagementClient, sid: str) -> tuple[str | None, str | None]:
    told = client.subscription.list_secrets(*SERVICE, sid)
    return told.primary_key, told.secondary_key


@pytest.mark.witness("apim-subscriptions")
def test_the_client_pages_through_more_than_a_hundred(azure: RunningEmulator, client: ApiManagementClient) -> None:
    many = copy.deepcopy(seed.default_description())
    many["services"][0]["subscriptions"] += [{"sid": f"s{number}", "scope": "/apis"} for number in range(244)]
    azure.seed(many)
    found: list[Any] = list(client.subscription.list(*SERVICE))
    names = [item.name for item in found]
    assert len(names) == len(set(names)) == 251
    assert names[0] == "master"
    pager: Any = client.subscription.list(*SERVICE, top=120)
    pages = [list(page) for page in pager.by_page()]
    assert [len(page) for page in pages] == [120, 120, 11]


@pytest.mark.witness("apim-subscriptions")
def test_the_client_reads_one_without_its_keys(client: ApiManagementClient) -> None:
    found: Any = client.subscription.get(*SERVICE, "contoso")
    assert (found.name, found.display_name, found.state) == ("contoso", "Contoso", "active")
    assert (found.primary_key, found.secondary_key) == (None, None)
    assert found.owner_id is not None and found.owner_id.endswith("/users/contoso")
    assert all(keys(client, "contoso"))


@pytest.mark.witness("apim-subscriptions")
def test_the_client_creates_with_chosen_keys_and_gets_them_echoed(client: ApiManagementClient) -> None:
    wanted = SubscriptionCreateParameters(scope="/products/gold", display_name="New", primary_key="chosen")
    made: Any = client.subscription.create_or_update(*SERVICE, "new one", wanted)
    assert made.primary_key == "chosen"
    assert made.created_date is not None
    assert keys(client, "new one") == ("chosen", made.secondary_key)


@pytest.mark.witness("412-for-a-stale-tag")
def test_the_client_updates_with_the_etag_it_read_once_and_gets_a_412_the_second_time(
    client: ApiManagementClient,
) -> None:
    tag = etag(client, "contoso")
    update = SubscriptionUpdateParameters(secondary_key="set-by-the-client")
    updated = client.subscription.update(*SERVICE, "contoso", tag, update)
    assert updated.secondary_key == "set-by-the-client"
    with pytest.raises(HttpResponseError, match="Resource was modified since last retrieval") as refused:
        client.subscription.update(*SERVICE, "contoso", tag, SubscriptionUpdateParameters(secondary_key="late"))
    assert not isinstance(refused.value, ResourceModifiedError), "the client has no class of its own for this one"
    assert refused.value.status_code == 412
    assert refused.value.error is not None and refused.value.error.code == "PreconditionFailed"
    assert keys(client, "contoso")[1] == "set-by-the-client"


@pytest.mark.witness("apim-subscriptions")
def test_the_client_regenerates_each_slot_alone_and_the_etag_moves(client: ApiManagementClient) -> None:
    before, tags = keys(client, "contoso"), [etag(client, "contoso")]
    client.subscription.regenerate_primary_key(*SERVICE, "contoso")
    tags.append(etag(client, "contoso"))
    between = keys(client, "contoso")
    client.subscription.regenerate_secondary_key(*SERVICE, "contoso")
    tags.append(etag(client, "contoso"))
    after = keys(client, "contoso")
    assert before[0] != between[0] and before[1] == between[1]
    assert between[0] == after[0] and between[1] != after[1]
    assert len(set(tags)) == 3


@pytest.mark.witness("apim-subscriptions")
def test_the_client_deletes_and_deleting_again_is_no_error(client: ApiManagementClient) -> None:
    client.subscription.delete(*SERVICE, "contoso", etag(client, "contoso"))
    with pytest.raises(ResourceNotFoundError, match=r"Subscription not found\.") as missing:
        client.subscription.get(*SERVICE, "contoso")
    assert missing.value.error is not None and missing.value.error.code == "ResourceNotFound"
    client.subscription.delete(*SERVICE, "contoso", "*")


@pytest.mark.witness("apim-subscriptions")
def test_the_client_asks_for_the_entity_tag_alone(client: ApiManagementClient) -> None:
    assert client.subscription.get_entity_tag(*SERVICE, "contoso") is True
    with pytest.raises(ResourceNotFoundError):
        client.subscription.get_entity_tag(*SERVICE, "nobody")


def test_the_client_reads_the_service_and_both_lists_of_services(azure: RunningEmulator, connect: Connect) -> None:
    described = seed.default_description()
    everywhere = f"/subscriptions/{seed.AZURE_SUBSCRIPTION}"
    described["role_assignments"].append({"client_id": seed.CLIENT, "role": "Reader", "scope": everywhere})
    azure.seed(described)
    client = connect()
    service: Any = client.api_management_service.get(*SERVICE)
    assert service.gateway_url == "https://shop-apim.azure-api.net"
    assert service.provisioning_state == "Succeeded"
    assert service.etag
    in_group: list[Any] = list(client.api_management_service.list_by_resource_group("rg"))
    in_all: list[Any] = list(client.api_management_service.list())
    assert [item.id for item in in_group] == [item.id for item in in_all] == [service.id]


@pytest.mark.witness("switch lists_show_what_may_be_read")
def test_all_services_are_listed_as_far_as_one_may_read_them_unless_switched(
    azure: RunningEmulator, connect: Connect
) -> None:
    described = seed.default_description()
    described["services"].append({"name": "other-apim", "resource_group": "other"})
    azure.seed(described)
    assert [item.name for item in connect().api_management_service.list()] == ["shop-apim"]
    azure.seed({**described, "switches": {"lists_show_what_may_be_read": False}})
    client = connect()
    assert len(list(client.api_management_service.list_by_resource_group("rg"))) == 1
    with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
        list(client.api_management_service.list())


@pytest.mark.witness("the-service-and-its-lists")
def test_the_client_reads_products_and_their_apis_and_subscriptions(client: ApiManagementClient) -> None:
    products = {item.name: item.subscription_required for item in client.product.list_by_service(*SERVICE)}
    assert products == {"gold": True, "silver": True, "free": False}
    assert [item.path for item in client.product_api.list_by_product(*SERVICE, "gold")] == ["orders", "status"]
    held = [item.name for item in client.product_subscriptions.list(*SERVICE, "silver")]
    assert held == ["northwind", "tailspin"]
    assert [item.name for item in client.user_subscription.list(*SERVICE, "contoso")] == ["contoso"]


def names(found: Any) -> list[str]:
    return [item.name for item in found]


@pytest.mark.witness("filters", "apim-subscriptions-of-a-product-or-user")
def test_the_client_filters_and_pages_every_list_of_apim_subscriptions(client: ApiManagementClient) -> None:
    words = "contains(displayName,'i') and not (productId eq 'gold')"
    assert names(client.subscription.list(*SERVICE, filter=words)) == ["master", "northwind", "tailspin"]
    pages: Any = client.product_subscriptions.list(
        *SERVICE, "gold", filter="startswith(name,'c') or name gt 'd'", top=1
    )
    assert [names(page) for page in pages.by_page()] == [["contoso"], ["fabrikam"]]
    assert names(client.product_subscriptions.list(*SERVICE, "gold", skip=1)) == ["fabrikam"]
    assert names(client.user_subscription.list(*SERVICE, "contoso", filter="state eq 'active'")) == ["contoso"]
    assert names(client.user_subscription.list(*SERVICE, "contoso", filter="state eq 'suspended'")) == []


@pytest.mark.witness("apim-subscriptions-of-a-product-or-user")
def test_the_client_reads_one_as_its_users(client: ApiManagementClient) -> None:
    found: Any = client.user_subscription.get(*SERVICE, "contoso", "contoso")
    assert found.id.endswith("/users/contoso/subscriptions/contoso")
    assert found.type == "Microsoft.ApiManagement/service/users/subscriptions"
    listed: list[Any] = list(client.product_subscriptions.list(*SERVICE, "gold", top=1, filter="name eq 'contoso'"))
    assert listed[0].type == "Microsoft.ApiManagement/service/products/subscriptions"
    with pytest.raises(ResourceNotFoundError):
        client.user_subscription.get(*SERVICE, "contoso", "fabrikam")


@pytest.mark.witness("notify-and-app-type")
def test_the_client_writes_with_a_notice_and_the_portals_kind(client: ApiManagementClient) -> None:
    wanted = SubscriptionCreateParameters(scope="/products/gold", display_name="New")
    made = client.subscription.create_or_update(*SERVICE, "new", wanted, notify=True, app_type="developerPortal")
    assert made.state == "active"
    change = SubscriptionUpdateParameters(state="suspended")
    changed: Any = client.subscription.update(*SERVICE, "new", "*", change, notify=False, app_type="portal")
    assert changed.state == "suspended"
    with pytest.raises(HttpResponseError, match="One or more fields contain incorrect values") as refused:
        client.subscription.update(*SERVICE, "new", "*", change, app_type="nowhere")
    assert refused.value.status_code == 400


@pytest.mark.witness("operations-of-an-api")
def test_the_client_reads_the_operations_of_an_api(client: ApiManagementClient) -> None:
    found: list[Any] = list(client.api_operation.list_by_api(*SERVICE, "orders"))
    assert [(item.name, item.method, item.url_template) for item in found] == [
        ("list-orders", "GET", "/"),
        ("get-order", "GET", "/{id}"),
        ("place-order", "POST", "/"),
    ]
    one: Any = client.api_operation.get(*SERVICE, "orders", "get-order")
    assert [parameter.name for parameter in one.template_parameters] == ["id"]
    assert [item.name for item in client.api.list_by_service(*SERVICE)] == ["orders", "status"]


def test_a_service_that_does_not_exist_is_an_error_of_the_clients_own_class(client: ApiManagementClient) -> None:
    with pytest.raises(ResourceNotFoundError, match="Api service does not exist: nowhere"):
        client.subscription.get("rg", "nowhere", "contoso")


@pytest.mark.witness("403-names-who-and-what")
def test_without_the_role_the_client_is_told_which_action_where(azure: RunningEmulator, connect: Connect) -> None:
    reader = connect(seed.READER, seed.READER_SECRET)
    scope = (
        f"/subscriptions/{seed.AZURE_SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.ApiManagement/service/"
        "shop-apim/subscriptions/contoso"
    )
    oid = next(app["object_id"] for app in azure.snapshot()["applications"] if app["client_id"] == seed.READER)
    with pytest.raises(HttpResponseError) as refused:
        reader.subscription.list_secrets(*SERVICE, "contoso")
    assert refused.value.status_code == 403
    assert refused.value.error is not None and refused.value.error.code == "AuthorizationFailed"
    assert refused.value.error.message == (
        f"The client '{seed.READER}' with object id '{oid}' does not have authorization to perform action "
        f"'Microsoft.ApiManagement/service/subscriptions/listSecrets/action' over scope '{scope}' or the scope is "
        "invalid. If access was recently granted, please refresh your credentials."
    )


def test_a_wrong_secret_never_reaches_resource_manager(azure: RunningEmulator, connect: Connect) -> None:
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        connect(secret="wrong").subscription.get(*SERVICE, "contoso")
    assert azure.control("GET", "arm")["reads"] == 0


def test_a_regenerated_key_opens_the_gateway_and_the_old_one_does_not(client: ApiManagementClient) -> None:
    old = keys(client, "contoso")[0]
    client.subscription.regenerate_primary_key(*SERVICE, "contoso")
    fresh = keys(client, "contoso")[0]

    def call(value: str | None) -> int:
        headers = {"Ocp-Apim-Subscription-Key": str(value)}
        return requests.get("https://shop-apim.azure-api.net/orders/1", headers=headers, timeout=30).status_code

    assert [call(fresh), call(old), call("never")] == [200, 401, 401]


def test_every_request_of_the_client_was_understood(azure: RunningEmulator, client: ApiManagementClient) -> None:
    list(client.subscription.list(*SERVICE, filter="scope eq '/apis'", top=2, skip=0))
    client.subscription.get(*SERVICE, "contoso")
    wanted = SubscriptionCreateParameters(scope="/apis", display_name="New", state="active", allow_tracing=False)
    client.subscription.create_or_update(*SERVICE, "new", wanted, notify=False, app_type="portal")
    statuses = {call["status"] for call in azure.control("GET", "calls?kind=arm")["calls"]}
    assert statuses == {200, 201}


@pytest.mark.witness("412-for-parallel-writes-of-an-owner")
def test_a_write_beside_a_slow_one_of_the_same_product_is_a_412(
    azure: RunningEmulator, client: ApiManagementClient
) -> None:
    tag = etag(client, "fabrikam")
    azure.fault("delay", {"method": "PATCH"}, seconds=20, when="after")
    update = SubscriptionUpdateParameters(display_name="Renamed")
    with pytest.raises(ServiceResponseError):
        client.subscription.update(*SERVICE, "contoso", "*", update, retry_total=0, read_timeout=0.5)
    with pytest.raises(HttpResponseError) as refused:
        client.subscription.update(*SERVICE, "fabrikam", tag, update)
    assert refused.value.status_code == 412
    assert etag(client, "fabrikam") == tag
    assert client.subscription.update(*SERVICE, "northwind", "*", update).display_name == "Renamed"
