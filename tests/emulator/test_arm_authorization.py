"""Permissions and roles, read through Resource Manager (azure-facts 3.5)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.small_azure import AZURE, CLIENT, GROUP, NOBODY, SmallAzure, content, error_of

SERVICE = f"{GROUP}/providers/Microsoft.ApiManagement/service/shop-apim"
ENTITY = f"{SERVICE}/subscriptions/contoso"
RBAC = "2022-04-01"
READS_ROLES = {"name": "Reads roles", "actions": ["Microsoft.Authorization/*/read"]}
SETS_KEYS = {
    "name": "Sets keys",
    "actions": ["Microsoft.ApiManagement/service/subscriptions/*"],
    "not_actions": ["Microsoft.ApiManagement/service/subscriptions/delete"],
    "data_actions": ["Microsoft.KeyVault/vaults/secrets/*"],
    "not_data_actions": ["Microsoft.KeyVault/vaults/secrets/purge/action"],
}


def azure_with(*assignments: tuple[str, str], **more: Any) -> SmallAzure:
    given = [{"client_id": CLIENT, "role": role, "scope": scope} for role, scope in assignments]
    return SmallAzure(role_assignments=given, custom_roles=[READS_ROLES, SETS_KEYS], **more)


def permissions(azure: SmallAzure, scope: str, client: str = CLIENT) -> Any:
    answer = azure.ask("GET", f"{scope}/providers/Microsoft.Authorization/permissions", version=RBAC, client=client)
    assert answer.status == 200, answer.body
    return content(answer)["value"]


@pytest.mark.witness("permissions-of-the-caller")
def test_permissions_are_those_of_the_roles_held_at_the_scope_or_above() -> None:
    azure = azure_with(("Reads roles", f"/subscriptions/{AZURE}"), ("Sets keys", SERVICE))
    reading = {
        "actions": ["Microsoft.Authorization/*/read"],
        "notActions": [],
        "dataActions": [],
        "notDataActions": [],
    }
    setting = {
        "actions": ["Microsoft.ApiManagement/service/subscriptions/*"],
        "notActions": ["Microsoft.ApiManagement/service/subscriptions/delete"],
        "dataActions": ["Microsoft.KeyVault/vaults/secrets/*"],
        "notDataActions": ["Microsoft.KeyVault/vaults/secrets/purge/action"],
    }
    assert permissions(azure, f"/subscriptions/{AZURE}") == [reading]
    assert permissions(azure, GROUP) == [reading]
    assert permissions(azure, SERVICE) == [reading, setting]
    assert permissions(azure, ENTITY) == [reading, setting]


def test_a_role_held_twice_is_told_once() -> None:
    azure = azure_with(("Reads roles", GROUP), ("Reads roles", SERVICE))
    assert len(permissions(azure, SERVICE)) == 1


def test_another_principals_roles_are_not_told() -> None:
    azure = azure_with(("Owner", GROUP))
    azure.world.switches["permissions_need_a_role"] = False
    assert permissions(azure, SERVICE, NOBODY) == []


@pytest.mark.witness("switch permissions_need_a_role")
def test_listing_permissions_needs_a_role_unless_switched() -> None:
    azure = azure_with(("Sets keys", SERVICE))
    path = f"{SERVICE}/providers/Microsoft.Authorization/permissions"
    refused = azure.ask("GET", path, version=RBAC)
    assert (refused.status, error_of(refused)["code"]) == (403, "AuthorizationFailed")
    assert "'Microsoft.Authorization/permissions/read' over scope" in error_of(refused)["message"]
    azure.world.switches["permissions_need_a_role"] = False
    assert len(permissions(azure, SERVICE)) == 1


@pytest.mark.witness("permissions-of-the-caller")
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/subscriptions/00000000-0000-4000-8000-00000000000e", "SubscriptionNotFound"),
        (f"/subscriptions/{AZURE}/resourceGroups/nowhere", "ResourceGroupNotFound"),
        (f"{GROUP}/providers/Microsoft.ApiManagement/service/nowhere", "ServiceNotFound"),
    ],
)
def test_permissions_at_what_is_missing_are_a_404(path: str, code: str) -> None:
    azure = azure_with(("Owner", f"/subscriptions/{AZURE}"))
    answer = azure.ask("GET", f"{path}/providers/Microsoft.Authorization/permissions", version=RBAC)
    assert (answer.status, error_of(answer)["code"]) == (404, code)


def test_an_api_version_of_another_provider_is_refused_with_those_that_are_served() -> None:
    answer = azure_with(("Owner", GROUP)).ask(
        "GET", f"{SERVICE}/providers/Microsoft.Authorization/permissions", version="2024-05-01"
    )
    assert (answer.status, error_of(answer)["code"]) == (400, "NoRegisteredProviderFound")
    assert "for type 'permissions'" in error_of(answer)["message"]
    assert "2022-04-01" in error_of(answer)["message"]


# role assignments and definitions


@pytest.fixture
def roles() -> SmallAzure:
    """Three assignments of the caller, one above the other, and one of somebody else."""
    given = [
        {"client_id": CLIENT, "role": "Reader", "scope": f"/subscriptions/{AZURE}"},
        {"client_id": CLIENT, "role": "Sets keys", "scope": SERVICE},
        {"client_id": CLIENT, "role": "Reads roles", "scope": ENTITY},
        {"client_id": NOBODY, "role": "API Management Service Reader Role", "scope": SERVICE},
    ]
    return SmallAzure(role_assignments=given, custom_roles=[READS_ROLES, SETS_KEYS])


def assignments(azure: SmallAzure, scope: str, query: dict[str, str] | None = None) -> list[tuple[str, str]]:
    """Role name and scope of each, by the definition that it names."""
    path = f"{scope}/providers/Microsoft.Authorization/roleAssignments"
    found = content(azure.ask("GET", path, version=RBAC, query=query))["value"]
    told = []
    for item in found:
        role = content(azure.ask("GET", item["properties"]["roleDefinitionId"], version=RBAC))
        told.append((role["properties"]["roleName"], item["properties"]["scope"]))
    return told


READER = ("Reader", f"/subscriptions/{AZURE}")
SETTER = ("Sets keys", SERVICE)
READS = ("Reads roles", ENTITY)
THEIRS = ("API Management Service Reader Role", SERVICE)


@pytest.mark.witness("role-assignments-at-a-scope")
def test_assignments_are_listed_at_above_and_below_a_scope(roles: SmallAzure) -> None:
    assert assignments(roles, SERVICE) == [READER, SETTER, READS, THEIRS]
    assert assignments(roles, f"{SERVICE}/products/gold") == [READER, SETTER, THEIRS]


@pytest.mark.witness("role-assignments-at-a-scope")
def test_at_scope_leaves_out_what_is_below(roles: SmallAzure) -> None:
    assert assignments(roles, SERVICE, {"$filter": "atScope()"}) == [READER, SETTER, THEIRS]
    assert assignments(roles, GROUP, {"$filter": "atScope()"}) == [READER]


@pytest.mark.witness("role-assignments-at-a-scope")
@pytest.mark.parametrize("words", ["principalId eq '{}'", "assignedTo('{}')"])
def test_the_assignments_of_one_principal_are_found(roles: SmallAzure, words: str) -> None:
    theirs = roles.world.applications[NOBODY].object_id
    assert assignments(roles, GROUP, {"$filter": words.format(theirs)}) == [THEIRS]
    mine = roles.world.applications[CLIENT].object_id
    both = f"atScope() and {words.format(mine)}"
    assert assignments(roles, SERVICE, {"$filter": both}) == [READER, SETTER]


@pytest.mark.witness("role-404s")
def test_an_assignment_names_its_principal_and_can_be_read_by_its_id(roles: SmallAzure) -> None:
    path = f"{SERVICE}/providers/Microsoft.Authorization/roleAssignments"
    listed = content(roles.ask("GET", path, version=RBAC, query={"$filter": "atScope()"}))["value"]
    mine = next(item for item in listed if item["properties"]["scope"] == SERVICE)
    assert mine["type"] == "Microsoft.Authorization/roleAssignments"
    assert mine["id"] == f"{path}/{mine['name']}"
    assert mine["properties"]["principalId"] == roles.world.applications[CLIENT].object_id
    assert mine["properties"]["principalType"] == "ServicePrincipal"
    assert content(roles.ask("GET", mine["id"], version=RBAC)) == mine
    missing = roles.ask("GET", f"{path}/nothing", version=RBAC)
    assert (missing.status, error_of(missing)["code"]) == (404, "RoleAssignmentNotFound")


def test_reading_assignments_needs_its_action() -> None:
    azure = azure_with(("Sets keys", SERVICE))
    refused = azure.ask("GET", f"{SERVICE}/providers/Microsoft.Authorization/roleAssignments", version=RBAC)
    assert (refused.status, error_of(refused)["code"]) == (403, "AuthorizationFailed")
    assert "'Microsoft.Authorization/roleAssignments/read'" in error_of(refused)["message"]


def definitions(azure: SmallAzure, words: str) -> Any:
    path = f"/subscriptions/{AZURE}/providers/Microsoft.Authorization/roleDefinitions"
    return content(azure.ask("GET", path, version=RBAC, query={"$filter": words}))["value"]


@pytest.mark.witness("role-definitions")
def test_role_definitions_tell_their_permissions_by_name_and_by_type(roles: SmallAzure) -> None:
    (custom,) = definitions(roles, "roleName eq 'Sets keys'")
    assert custom["properties"]["type"] == "CustomRole"
    assert custom["properties"]["assignableScopes"] == [f"/subscriptions/{AZURE}"]
    assert custom["properties"]["permissions"] == [
        {
            "actions": ["Microsoft.ApiManagement/service/subscriptions/*"],
            "notActions": ["Microsoft.ApiManagement/service/subscriptions/delete"],
            "dataActions": ["Microsoft.KeyVault/vaults/secrets/*"],
            "notDataActions": ["Microsoft.KeyVault/vaults/secrets/purge/action"],
        }
    ]
    names = [item["properties"]["roleName"] for item in definitions(roles, "type eq 'CustomRole'")]
    assert names == ["Reads roles", "Sets keys"]
    (owner,) = definitions(roles, "roleName eq 'Owner'")
    assert owner["name"] == "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
    assert owner["properties"]["permissions"][0]["actions"] == ["*"]


@pytest.mark.witness("role-404s")
def test_a_role_definition_that_does_not_exist_is_a_404(roles: SmallAzure) -> None:
    path = f"/subscriptions/{AZURE}/providers/Microsoft.Authorization/roleDefinitions/nothing"
    answer = roles.ask("GET", path, version=RBAC)
    assert (answer.status, error_of(answer)["code"]) == (404, "RoleDefinitionDoesNotExist")


@pytest.mark.witness("unknown-query-parameters")
@pytest.mark.parametrize("kind", ["roleAssignments", "roleDefinitions"])
@pytest.mark.parametrize("words", ["asTarget()", "createdBy eq 'me'", "atScope() or atScope()"])
def test_other_filters_of_roles_are_refused_by_name(roles: SmallAzure, kind: str, words: str) -> None:
    path = f"{GROUP}/providers/Microsoft.Authorization/{kind}"
    answer = roles.ask("GET", path, version=RBAC, query={"$filter": words})
    assert (answer.status, error_of(answer)["code"]) == (501, "NotSupportedByEmulator")
    assert words in error_of(answer)["message"]


@pytest.mark.witness("role-assignments-at-a-scope", "permissions-of-the-caller")
def test_a_vault_is_a_scope_too_if_it_exists() -> None:
    vaults = f"{GROUP}/providers/Microsoft.KeyVault/vaults"
    everywhere = f"/subscriptions/{AZURE}"
    azure = azure_with(("Owner", everywhere), ("Key Vault Secrets User", f"{vaults}/kv"), vaults=[{"name": "kv"}])
    assert assignments(azure, f"{vaults}/kv") == [("Owner", everywhere), ("Key Vault Secrets User", f"{vaults}/kv")]
    told = permissions(azure, f"{vaults}/kv")
    assert [role["dataActions"] != [] for role in told] == [False, True]
    missing = azure.ask("GET", f"{vaults}/none/providers/Microsoft.Authorization/permissions", version=RBAC)
    assert (missing.status, error_of(missing)["code"]) == (404, "ResourceNotFound")
    assert "'Microsoft.KeyVault/vaults/none' under resource group 'rg'" in error_of(missing)["message"]


@pytest.mark.witness("permissions-everywhere")
def test_permissions_of_an_entity_that_does_not_exist_are_those_of_its_service() -> None:
    azure = azure_with(("Owner", SERVICE))
    assert permissions(azure, f"{SERVICE}/subscriptions/nobody") == permissions(azure, SERVICE)
