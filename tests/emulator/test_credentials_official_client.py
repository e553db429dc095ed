"""Microsoft's own client, unmodified, on tenant access, self-hosted gateways and users."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.mgmt.apimanagement import ApiManagementClient
from azure.mgmt.apimanagement.models import (
    AccessInformationCreateParameters,
    AccessInformationUpdateParameters,
    GatewayContract,
    GatewayKeyRegenerationRequestContract,
    GatewayTokenRequestContract,
    ResourceLocationDataContract,
    UserTokenParameters,
)

from keyturn_emulator import seed
from keyturn_emulator.testing import RunningEmulator

SERVICE = ("rg", "shop-apim")
ACCESS = (*SERVICE, "access")
OSLO = (*SERVICE, "gw-oslo")
SOON = datetime(2026, 1, 20, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def client(azure: RunningEmulator) -> Iterator[ApiManagementClient]:
    """Nothing is changed but where HTTPS goes and which authority is trusted."""
    credential = ClientSecretCredential(seed.TENANT, seed.CLIENT, seed.CLIENT_SECRET)
    with credential, ApiManagementClient(credential, seed.AZURE_SUBSCRIPTION) as client:
        yield client


def tag(_: Any, __: Any, headers: dict[str, str]) -> str:
    return headers["ETag"]


def etag(client: ApiManagementClient) -> Any:
    return client.tenant_access.get(*ACCESS, cls=tag)


def keys(client: ApiManagementClient, name: str = "access") -> tuple[str, str]:
    told: Any = client.tenant_access.list_secrets(*SERVICE, name)
    return told.primary_key, told.secondary_key


def gateway_keys(client: ApiManagementClient) -> tuple[str, str]:
    told: Any = client.gateway.list_keys(*OSLO)
    return told.primary, told.secondary


@pytest.mark.witness("tenant-access")
def test_the_client_reads_and_switches_tenant_access_by_its_etag(client: ApiManagementClient) -> None:
    found: Any = client.tenant_access.get(*ACCESS)
    assert (found.name, found.principal_id, found.enabled) == ("access", "integration", True)
    assert client.tenant_access.get_entity_tag(*ACCESS) is True
    before = etag(client)
    off: Any = client.tenant_access.update(*ACCESS, before, AccessInformationUpdateParameters(enabled=False))
    assert off.enabled is False
    with pytest.raises(HttpResponseError) as refused:
        client.tenant_access.update(*ACCESS, before, AccessInformationUpdateParameters(enabled=True))
    assert refused.value.status_code == 412
    assert list(client.tenant_access.list_by_service(*SERVICE)) == []


@pytest.mark.witness("tenant-access")
def test_the_client_regenerates_each_tenant_key_alone_and_the_etag_moves(client: ApiManagementClient) -> None:
    before, tags = keys(client), [etag(client)]
    client.tenant_access.regenerate_primary_key(*ACCESS)
    tags.append(etag(client))
    between = keys(client)
    client.tenant_access.regenerate_secondary_key(*ACCESS)
    tags.append(etag(client))
    after = keys(client)
    assert before[0] != between[0] == after[0]
    assert before[1] == between[1] != after[1]
    assert len(set(tags)) == 3
    told: Any = client.tenant_access.list_secrets(*ACCESS)
    assert (told.id, told.principal_id, told.enabled) == ("/tenant/access", "integration", True)


@pytest.mark.witness("tenant-access")
def test_the_client_sets_a_tenant_key_of_its_choice(client: ApiManagementClient) -> None:
    before = keys(client)
    wanted = AccessInformationCreateParameters(secondary_key="chosen-by-the-client", enabled=True)
    made: Any = client.tenant_access.create(*ACCESS, etag(client), wanted)
    assert made.enabled is True
    assert keys(client) == (before[0], "chosen-by-the-client")


@pytest.mark.witness("tenant-access")
def test_the_client_regenerates_git_keys(client: ApiManagementClient) -> None:
    access, before = keys(client), keys(client, "gitAccess")
    client.tenant_access_git.regenerate_primary_key(*SERVICE, "gitAccess")
    client.tenant_access_git.regenerate_secondary_key(*SERVICE, "gitAccess")
    assert not set(before) & set(keys(client, "gitAccess"))
    assert keys(client) == access
    found: Any = client.tenant_access.get(*SERVICE, "gitAccess")
    assert found.principal_id == "git"


@pytest.mark.witness("self-hosted-gateways")
def test_the_client_creates_changes_lists_and_deletes_a_gateway(client: ApiManagementClient) -> None:
    place = ResourceLocationDataContract(name="Bergen", country_or_region="Norway")
    made: Any = client.gateway.create_or_update(*SERVICE, "gw-bergen", GatewayContract(location_data=place))
    assert (made.name, made.location_data.country_or_region, made.description) == ("gw-bergen", "Norway", None)
    assert client.gateway.get_entity_tag(*SERVICE, "gw-bergen") is True
    found: Any = client.gateway.get(*SERVICE, "gw-bergen", cls=tag)
    patched: Any = client.gateway.update(*SERVICE, "gw-bergen", found, GatewayContract(description="by the sea"))
    assert (patched.description, patched.location_data.name) == ("by the sea", "Bergen")
    assert [one.name for one in client.gateway.list_by_service(*SERVICE)] == ["gw-oslo", "gw-bergen"]
    client.gateway.delete(*SERVICE, "gw-bergen", "*")
    with pytest.raises(ResourceNotFoundError):
        client.gateway.get(*SERVICE, "gw-bergen")


@pytest.mark.witness("self-hosted-gateways")
def test_the_client_regenerates_each_gateway_key_alone(client: ApiManagementClient) -> None:
    before = gateway_keys(client)
    client.gateway.regenerate_key(*OSLO, GatewayKeyRegenerationRequestContract(key_type="secondary"))
    between = gateway_keys(client)
    client.gateway.regenerate_key(*OSLO, GatewayKeyRegenerationRequestContract(key_type="primary"))
    after = gateway_keys(client)
    assert before[0] == between[0] != after[0]
    assert before[1] != between[1] == after[1]


@pytest.mark.witness("self-hosted-gateways")
def test_the_client_is_given_a_gateways_token_that_follows_its_key(client: ApiManagementClient) -> None:
    def token(slot: str) -> str:
        made: Any = client.gateway.generate_token(*OSLO, GatewayTokenRequestContract(key_type=slot, expiry=SOON))
        return str(made.value)

    first = token("primary"), token("secondary")
    assert all(one.startswith("gw-oslo&202601200304&") for one in first)
    client.gateway.regenerate_key(*OSLO, GatewayKeyRegenerationRequestContract(key_type="primary"))
    assert token("primary") != first[0]
    assert token("secondary") == first[1]


@pytest.mark.witness("users-get-and-head")
def test_the_client_reads_a_user_and_is_given_a_token_and_an_address(client: ApiManagementClient) -> None:
    found: Any = client.user.get(*SERVICE, "contoso")
    assert (found.first_name, found.last_name) == ("Con", "Toso")
    assert client.user.get_entity_tag(*SERVICE, "contoso") is True
    wish = UserTokenParameters(key_type="primary", expiry=SOON)
    made: Any = client.user.get_shared_access_token(*SERVICE, "contoso", wish)
    assert made.value.startswith("contoso&202601200304&")
    address: Any = client.user.generate_sso_url(*SERVICE, "contoso")
    assert address.value.startswith("https://shop-apim.portal.azure-api.net/signin-sso?token=contoso%26")
