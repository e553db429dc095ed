"""Roles: which assignment allows which action where (azure-facts 3)."""

from __future__ import annotations

import pytest

from keyturn_emulator.rbac import ROLES, Role, UnknownRole, allows, find_role
from keyturn_emulator.world import RoleAssignment, World
from tests.emulator.small_azure import AZURE, CLIENT, GROUP, SmallAzure

APIM = "Microsoft.ApiManagement/service"
SERVICE = f"{GROUP}/providers/Microsoft.ApiManagement/service/shop-apim"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv"
OID = "0b1c2d3e-0000-4000-8000-000000000001"


def world_with(*assignments: tuple[str, str], roles: tuple[Role, ...] = ()) -> World:
    world = SmallAzure().world
    world.custom_roles.extend(roles)
    world.role_assignments[:] = [RoleAssignment(OID, role, scope) for role, scope in assignments]
    return world


@pytest.mark.witness("built-in-roles")
@pytest.mark.parametrize(
    ("role", "action", "allowed"),
    [
        ("API Management Service Contributor", f"{APIM}/subscriptions/write", True),
        ("API Management Service Contributor", f"{APIM}/subscriptions/listSecrets/action", True),
        ("API Management Service Contributor", "Microsoft.Resources/subscriptions/resourceGroups/read", True),
        ("API Management Service Contributor", "Microsoft.Resources/subscriptions/read", False),
        ("API Management Service Reader Role", f"{APIM}/read", True),
        ("API Management Service Reader Role", f"{APIM}/subscriptions/read", True),
        ("API Management Service Reader Role", f"{APIM}/subscriptions/listSecrets/action", False),
        ("API Management Service Reader Role", f"{APIM}/users/keys/read", False),
        ("API Management Service Operator Role", f"{APIM}/write", True),
        ("API Management Service Operator Role", f"{APIM}/subscriptions/write", False),
        ("API Management Service Operator Role", f"{APIM}/subscriptions/regeneratePrimaryKey/action", False),
        ("Reader", f"{APIM}/subscriptions/read", True),
        ("Reader", f"{APIM}/subscriptions/listSecrets/action", False),
        ("Contributor", f"{APIM}/subscriptions/delete", True),
        ("Contributor", "Microsoft.Authorization/roleAssignments/write", False),
        ("Owner", "Microsoft.Authorization/roleAssignments/write", True),
        ("71522526-B88F-4D52-B57F-D31FC3546D0D", f"{APIM}/subscriptions/read", True),
    ],
)
def test_a_built_in_role_allows_its_actions_and_no_others(role: str, action: str, allowed: bool) -> None:
    assert allows(world_with((role, SERVICE)), OID, action, SERVICE) is allowed


def test_actions_compare_without_case() -> None:
    world = world_with(("API Management Service Reader Role", SERVICE.upper()))
    assert allows(world, OID.upper(), f"{APIM}/SUBSCRIPTIONS/READ".lower(), SERVICE)


@pytest.mark.witness("an-assignment-reaches-down")
@pytest.mark.parametrize(
    ("granted", "allowed"),
    [
        ("/", True),
        (f"/subscriptions/{AZURE}", True),
        (GROUP, True),
        (SERVICE, True),
        (f"{SERVICE}/subscriptions/contoso", True),
        (f"{SERVICE}/subscriptions/contoso/", True),
        (f"{SERVICE}/subscriptions/fabrikam", False),
        (f"{SERVICE}/subscriptions/conto", False),
        (f"{GROUP}2", False),
        (f"{SERVICE}/subscriptions/contoso/deeper", False),
    ],
)
def test_an_assignment_reaches_its_scope_and_everything_below_it(granted: str, allowed: bool) -> None:
    asked = f"{SERVICE}/subscriptions/contoso"
    assert allows(world_with(("Reader", granted)), OID, f"{APIM}/subscriptions/read", asked) is allowed


@pytest.mark.witness("an-assignment-reaches-down")
def test_one_roles_not_actions_take_nothing_from_another_role() -> None:
    action = f"{APIM}/users/keys/read"
    assert not allows(world_with(("API Management Service Reader Role", SERVICE)), OID, action, SERVICE)
    both = world_with(("API Management Service Reader Role", SERVICE), ("Reader", SERVICE))
    assert allows(both, OID, action, SERVICE)


def test_data_actions_and_actions_are_different_rights() -> None:
    get = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
    assert allows(world_with(("Key Vault Secrets User", VAULT)), OID, get, VAULT, data=True)
    assert not allows(world_with(("Key Vault Secrets User", VAULT)), OID, get, VAULT)
    assert not allows(world_with(("Owner", VAULT)), OID, get, VAULT, data=True)


def test_the_secrets_user_reads_and_the_secrets_officer_writes() -> None:
    write = "Microsoft.KeyVault/vaults/secrets/setSecret/action"
    assert not allows(world_with(("Key Vault Secrets User", VAULT)), OID, write, VAULT, data=True)
    assert allows(world_with(("Key Vault Secrets Officer", VAULT)), OID, write, VAULT, data=True)


def test_somebody_elses_assignment_gives_nothing() -> None:
    assert not allows(world_with(("Owner", "/")), "another", f"{APIM}/read", SERVICE)


@pytest.mark.witness("custom-roles-by-name")
def test_a_custom_role_is_found_by_name_by_id_and_by_its_full_definition_id() -> None:
    mine = Role("11111111-2222-4333-8444-555555555555", "Key turner", (f"{APIM}/subscriptions/write",))
    world = world_with(roles=(mine,))
    definition = f"/subscriptions/{AZURE}/providers/Microsoft.Authorization/roleDefinitions/{mine.id}"
    assert [find_role(world, name) for name in ("key turner", mine.id.upper(), definition)] == [mine] * 3


def test_a_role_that_does_not_exist_is_an_error_and_not_a_refusal() -> None:
    with pytest.raises(UnknownRole, match="Key Keeper"):
        allows(world_with(("Key Keeper", "/")), OID, f"{APIM}/read", SERVICE)


def test_a_regenerate_role_at_the_service_cannot_write_or_read_secrets_elsewhere() -> None:
    least = Role(
        "11111111-2222-4333-8444-666666666666",
        "Regenerator",
        (f"{APIM}/subscriptions/read", f"{APIM}/subscriptions/regenerate*/action"),
    )
    world = world_with(("Regenerator", SERVICE), roles=(least,))
    entity = f"{SERVICE}/subscriptions/contoso"
    assert allows(world, OID, f"{APIM}/subscriptions/regenerateSecondaryKey/action", entity)
    assert not allows(world, OID, f"{APIM}/subscriptions/write", entity)
    assert not allows(world, OID, f"{APIM}/subscriptions/regeneratePrimaryKey/action", f"{SERVICE}-2")


def test_role_ids_and_names_are_unique() -> None:
    assert len({role.id for role in ROLES}) == len({role.name for role in ROLES}) == len(ROLES)


def test_the_seeded_principal_is_the_one_that_the_assignment_names() -> None:
    azure = SmallAzure()
    app = azure.world.applications[CLIENT]
    assert allows(azure.world, app.object_id, f"{APIM}/read", SERVICE)
