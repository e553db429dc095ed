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


def test_listing_permissions_needs_a_role_unless_switched() -> None:
    azure = azure_with(("Sets keys", SERVICE))
    path = f"{SERVICE}/providers/Microsoft.Authorization/permissions"
    refused = azure.ask("GET", path, version=RBAC)
    assert (refused.status, error_of(refused)["code"]) == (403, "AuthorizationFailed")
    assert "'Microsoft.Authorization/permissions/read' over scope" in error_of(refused)["message"]
    azure.world.switches["permissions_need_a_role"] = False
    assert len(permissions(azure, SERVICE)) == 1


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
