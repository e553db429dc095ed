"""docs/emulator-coverage.md is what the code's tables, the claims and the tests make it, and leaves nothing out."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from keyturn_emulator import arm, entra, keyvault, seed
from keyturn_emulator.apim_forms import VERSIONS
from keyturn_emulator.arm_routes import Row
from keyturn_emulator.keyvault import KeyVaultRoom, VaultRow
from keyturn_emulator.wire import Call
from tests.emulator import published
from tests.emulator.claims import OPERATIONS, OTHER_SOURCES, SECTIONS
from tests.emulator.small_azure import AZURE, CLIENT, GROUP, SmallAzure, content

SERVICE = f"{GROUP}/providers/Microsoft.ApiManagement/service/shop-apim"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv"

DOCS = Path(__file__).parents[2] / "docs"
WITNESSES = published.witnesses()


def test_the_page_is_the_one_that_claims_and_tests_make() -> None:
    written = published.PAGE.read_text(encoding="utf-8")
    assert written == published.page(), "run `uv run python -m tests.emulator.published`"


def test_every_claim_has_a_witness() -> None:
    assert [key for key in published.known_keys() if key not in WITNESSES] == []


def test_every_witness_is_one_of_a_claim() -> None:
    assert {key: tests for key, tests in WITNESSES.items() if key not in published.known_keys()} == {}


def test_no_two_claims_have_one_key() -> None:
    assert [key for key, times in Counter(published.known_keys()).items() if times > 1] == []


# sources


def sections_of(document: str) -> set[str]:
    text = (DOCS / f"{document}.md").read_text(encoding="utf-8")
    return set(re.findall(r"^#+ (\d+(?:\.\d+)?)", text, re.MULTILINE))


def unknown_sources(text: str) -> list[str]:
    """What a source names that is neither a section of the two documents nor registered."""
    bare = re.sub(r"\([^)]*\)", "", text)
    cited = re.compile(r"(azure-recorded|azure-facts) (\d+(?:\.\d+)?(?:, \d+(?:\.\d+)?)*)")
    wrong = [
        f"{document} {number}"
        for document, numbers in cited.findall(bare)
        for number in numbers.split(", ")
        if number not in sections_of(document)
    ]
    rest = [part.strip(" ,") for part in cited.sub("", bare).split(";")]
    return wrong + [part for part in rest if part and part not in OTHER_SOURCES]


def test_every_source_is_a_section_or_a_registered_one() -> None:
    sourced = [claim for section in SECTIONS if section.heads[1] == "Source" for claim in section.claims]
    assert len(sourced) > 80
    assert {claim.key: found for claim in sourced if (found := unknown_sources(claim.because))} == {}


NOWHERE = "77.7"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("azure-recorded 1, azure-facts 1.5 (suggested)", []),
        (f"azure-recorded 1, {NOWHERE}", [f"azure-recorded {NOWHERE}"]),
        (f"azure-facts {NOWHERE}; for tests and demos", [f"azure-facts {NOWHERE}"]),
        ("hearsay", ["hearsay"]),
        ("azure-recorded 3 and my memory", ["and my memory"]),
    ],
)
def test_a_source_that_does_not_exist_is_seen(text: str, wrong: list[str]) -> None:
    assert unknown_sources(text) == wrong


# operations

BODIES: dict[str, Any] = {
    "PUT subscriptions": {"properties": {"scope": "/products/gold", "displayName": "New"}},
    "PATCH subscriptions": {"properties": {"displayName": "New"}},
    "PUT tenant": {"properties": {"enabled": True}},
    "PATCH tenant": {"properties": {"enabled": True}},
    "PUT gateways": {"properties": {"locationData": {"name": "Oslo"}}},
    "PATCH gateways": {"properties": {"description": "New"}},
    "POST regenerateKey": {"keyType": "primary"},
    "POST generateToken": {"keyType": "primary", "expiry": "2026-01-06T00:00:00Z"},
    "POST token": {"properties": {"keyType": "primary", "expiry": "2026-01-06T00:00:00Z"}},
    "PUT namedValues": {"properties": {"displayName": "new", "value": "v", "secret": True}},
    "PATCH namedValues": {"properties": {"displayName": "newer"}},
}
EXISTING = {
    "azure": AZURE,
    "group": "rg",
    "service": "shop-apim",
    "vault": "kv",
    "kind": "subscriptions",
    "entity": "contoso",
    "sid": "contoso",
    "product": "gold",
    "user": "ada",
    "api": "orders",
    "operation": "any",
    "gateway": "gw",
    "named_value": "plain",
    "access": "access",
    "role": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
}


@pytest.fixture
def azure() -> SmallAzure:
    owned = (f"/subscriptions/{AZURE}", GROUP, SERVICE, f"{SERVICE}/subscriptions/contoso", VAULT)
    made = SmallAzure(
        role_assignments=[{"client_id": CLIENT, "role": "Owner", "scope": scope} for scope in owned],
        vaults=[{"name": "kv"}],
    )
    for name, body in {"gateways/gw": BODIES["PUT gateways"], "namedValues/plain": BODIES["PUT namedValues"]}.items():
        assert made.ask("PUT", name, body).status == 201
    return made


def assignment_at(azure: SmallAzure, scope: str) -> str:
    listed = azure.ask("GET", f"{scope}/providers/Microsoft.Authorization/roleAssignments", version="2022-04-01")
    return next(str(item["name"]) for item in content(listed)["value"] if item["properties"]["scope"] == scope)


def body_of(row: Row) -> Any:
    """None where a row takes none."""
    if not row.body:
        return None
    return BODIES[f"{row.method} {row.parts[-1] if row.method == 'POST' else row.parts[-2]}"]


@pytest.mark.parametrize("row", arm.ROWS, ids=lambda row: f"{row.method} {'/'.join(row.parts[-4:])}")
def test_every_operation_is_reached_and_answers(azure: SmallAzure, row: Row) -> None:
    path = "/" + "/".join(row.parts)
    for name, value in EXISTING.items():
        path = path.replace(f"{{{name}}}", "gitAccess" if name == "access" and "git" in row.parts else value)
    if "{assignment}" in path:
        path = path.replace("{assignment}", assignment_at(azure, path.partition("/providers/Microsoft.Auth")[0]))
    match = "*" if row.method in {"PUT", "PATCH", "DELETE"} else None
    version = row.versions[-1] if row.versions else "2022-08-01"
    answer = azure.ask(row.method, path, body_of(row), match=match, version=version)
    assert answer.status in {200, 201, 204}, answer.body


@pytest.mark.parametrize("row", keyvault.ROWS, ids=lambda row: row.title)
def test_every_operation_of_a_vault_is_reached_and_answers(row: VaultRow) -> None:
    world = seed.default_world()
    token = entra.issue_token(world, seed.CLIENT, "https://vault.azure.net")
    room = KeyVaultRoom(world)

    def ask(method: str, path: str, body: Any = None) -> Any:
        headers = {"authorization": f"Bearer {token}"}
        content = b"" if body is None else json.dumps(body).encode()
        answer = room.answer(Call(method, "shop-kv.vault.azure.net", path, (("api-version", "7.4"),), headers, content))
        return answer.status, json.loads(answer.body) if answer.body else None

    _, made = ask("PUT", "/secrets/a", {"value": "v"})
    if row.path.startswith("deletedsecrets"):
        ask("DELETE", "/secrets/a")
    path = "/" + row.path.replace("{name}", "a").replace("{version}", made["id"].rsplit("/", 1)[-1])
    status, _ = ask(row.method, path, {"value": "w"} if row.method == "PUT" else {} if row.method == "PATCH" else None)
    assert status in {200, 204}


def test_every_operation_has_a_row() -> None:
    keys = {claim.key for claim in published.claims()}
    missing = [operation.title for operation in published.operations() if published.claim_of(operation) not in keys]
    assert missing == []


def test_every_pattern_of_operations_is_the_first_that_fits_some_operation() -> None:
    used = Counter(
        next((pattern for pattern, _ in OPERATIONS if published.fits(operation.title, pattern)), None)
        for operation in published.operations()
    )
    assert [pattern for pattern, _ in OPERATIONS if not used[pattern]] == []


# the guide beside it


def test_every_served_api_version_is_listed() -> None:
    assert [version for version in VERSIONS if f"`{version}`" not in published.page()] == []


def test_the_guide_has_no_table_of_its_own_and_leads_to_this_one() -> None:
    guide = (DOCS / "emulator.md").read_text(encoding="utf-8")
    assert "| Witness |" not in guide
    assert "(emulator-coverage.md" in guide
