"""What the az command line asks for beside the operations it is told to call, seen without az: tests/az have it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keyturn_emulator import seed
from keyturn_emulator.entra import LOGIN, EntraRoom
from keyturn_emulator.wire import Call
from tests.emulator.small_azure import GROUP, SmallAzure, content

SERVICE = f"{GROUP}/providers/Microsoft.ApiManagement/service/shop-apim"


def ask(method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
    answer = EntraRoom(seed.default_world()).answer(Call(method, LOGIN, path, body=body))
    return answer.status, json.loads(answer.body)


@pytest.mark.witness("discovery-for-any-tenant")
@pytest.mark.parametrize("tenant", ["organizations", "common", "Organizations"])
def test_endpoints_are_told_before_the_tenant_is_known_and_no_application_signs_in_there(tenant: str) -> None:
    status, told = ask("GET", f"/{tenant}/v2.0/.well-known/openid-configuration")
    assert status == 200
    assert told["token_endpoint"] == f"https://{LOGIN}/{tenant}/oauth2/v2.0/token"
    assert told["issuer"] == f"https://{LOGIN}/{{tenantid}}/v2.0"
    form = (
        f"grant_type=client_credentials&client_id={seed.CLIENT}&client_secret={seed.CLIENT_SECRET}"
        "&scope=https%3A%2F%2Fmanagement.azure.com%2F.default"
    )
    refused, _ = ask("POST", f"/{tenant}/oauth2/v2.0/token", form.encode())
    assert refused == 400


@pytest.mark.witness("az-works")
def test_an_empty_body_of_any_type_is_no_body() -> None:
    """`az resource invoke-action` says what type its empty body has (azure-facts 1.7)."""
    azure = SmallAzure()
    before = azure.keys("contoso")
    answer = azure.ask("POST", f"{SERVICE}/subscriptions/contoso/regeneratePrimaryKey", headers={"content-type": "x/y"})
    assert answer.status == 204
    assert azure.keys("contoso")[0] != before[0]


@pytest.mark.witness("az-works")
def test_the_roles_of_a_scope_and_their_names_come_from_two_lists_of_different_versions() -> None:
    azure = SmallAzure(
        role_assignments=[{"client_id": seed.CLIENT, "role": "Owner", "scope": GROUP.rpartition("/resourceGroups")[0]}]
    )
    assigned = azure.ask("GET", f"{SERVICE}/providers/Microsoft.Authorization/roleAssignments", version="2022-04-01")
    (assignment,) = content(assigned)["value"]
    defined = azure.ask(
        "GET", f"{SERVICE}/providers/Microsoft.Authorization/roleDefinitions", version="2022-05-01-preview"
    )
    names = {role["id"]: role["properties"]["roleName"] for role in content(defined)["value"]}
    assert names[assignment["properties"]["roleDefinitionId"]] == "Owner"
