"""Both managed-identity endpoints, by official clients and by hand."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError, DefaultAzureCredential, ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient

from keyturn_emulator import seed
from keyturn_emulator.managed_identity import resource_id
from keyturn_emulator.seed import SeedError
from keyturn_emulator.testing import RunningEmulator, environment
from tests.emulator.token_endpoint import ARM_SCOPE

ARM = "https://management.azure.com"
OTHERS = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE")
WAYS = ("managed", "app-service")
STRANGER = "00000000-1111-2222-3333-444444444444"


def unverified(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


# --- an unmodified azure-identity -----------------------------------------------------------------


@pytest.mark.witness("managed-identity-endpoints")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("asked", "who"), [({}, seed.MACHINE), ({"client_id": seed.ASSIGNED}, seed.ASSIGNED)])
def test_azure_identity_signs_in_as_the_identity_that_it_names_or_the_machines_own(
    azure: RunningEmulator, way: str, asked: dict[str, Any], who: str
) -> None:
    with environment(azure.way(way), without=OTHERS), ManagedIdentityCredential(**asked) as credential:
        token = credential.get_token(ARM_SCOPE)
    claims = unverified(token.token)
    assert (claims["appid"], claims["aud"], claims["idtyp"]) == (who, ARM, "app")
    assert 80_000 < token.expires_on - time.time() < 90_000


@pytest.mark.witness("managed-identity-endpoints")
@pytest.mark.parametrize("way", WAYS)
def test_a_default_credential_ends_at_the_machines_own_identity(azure: RunningEmulator, way: str) -> None:
    with environment(azure.way(way), without=OTHERS), DefaultAzureCredential() as credential:
        assert unverified(credential.get_token(ARM_SCOPE).token)["appid"] == seed.MACHINE


@pytest.mark.witness("which-managed-identity-answers")
@pytest.mark.parametrize("way", WAYS)
def test_a_default_credential_takes_the_assigned_identity_that_the_environment_names(
    azure: RunningEmulator, way: str
) -> None:
    with (
        environment({**azure.way(way), "AZURE_CLIENT_ID": seed.ASSIGNED}, without=OTHERS[:1] + OTHERS[2:]),
        DefaultAzureCredential() as credential,
    ):
        assert unverified(credential.get_token(ARM_SCOPE).token)["appid"] == seed.ASSIGNED


@pytest.mark.witness("managed-identity-endpoints")
def test_its_token_opens_a_vault_through_the_official_client(azure: RunningEmulator) -> None:
    with (
        environment(azure.way("managed"), without=OTHERS),
        ManagedIdentityCredential() as credential,
        SecretClient("https://shop-kv.vault.azure.net", credential) as client,
    ):
        client.set_secret("name", "value")
        assert client.get_secret("name").value == "value"


@pytest.mark.witness("400-without-metadata-true")
@pytest.mark.parametrize("way", WAYS)
def test_an_identity_that_is_not_assigned_is_not_found(azure: RunningEmulator, way: str) -> None:
    with (
        environment(azure.way(way), without=OTHERS),
        ManagedIdentityCredential(client_id=STRANGER) as credential,
        pytest.raises((CredentialUnavailableError, ClientAuthenticationError), match="Identity not found"),
    ):
        credential.get_token(ARM_SCOPE)


@pytest.mark.witness("which-managed-identity-answers")
@pytest.mark.parametrize("selector", ["object_id", "resource_id"])
@pytest.mark.parametrize("way", WAYS)
def test_azure_identity_may_name_it_by_object_id_or_resource_id(
    azure: RunningEmulator, way: str, selector: str
) -> None:
    world = seed.default_world()
    app = world.applications[seed.ASSIGNED]
    name = app.object_id if selector == "object_id" else resource_id(world, app)
    with (
        environment(azure.way(way), without=OTHERS),
        ManagedIdentityCredential(identity_config={selector: name}) as credential,
    ):
        claims = unverified(credential.get_token(ARM_SCOPE).token)
    assert claims["appid"] == seed.ASSIGNED
    assert claims["xms_mirid"].endswith("/Microsoft.ManagedIdentity/userAssignedIdentities/rotator-identity")


def test_the_environment_of_a_program_outlives_a_reset(azure: RunningEmulator) -> None:
    azure.reset()
    with environment(azure.way("app-service"), without=OTHERS), ManagedIdentityCredential() as credential:
        assert credential.get_token(ARM_SCOPE).token


# --- by hand --------------------------------------------------------------------------------------


def imds(azure: RunningEmulator, changes: Mapping[str, str | None] = {}, metadata: str | None = "true") -> Any:
    query = {"api-version": "2018-02-01", "resource": ARM, **changes}
    return requests.get(
        f"{azure.ready['machine']}/metadata/identity/oauth2/token",
        params=query,
        headers={} if metadata is None else {"Metadata": metadata},
        timeout=10,
    )


def app_service(azure: RunningEmulator, changes: Mapping[str, str | None] = {}, header: str | None = None) -> Any:
    way = azure.way("app-service")
    query = {"api-version": "2019-08-01", "resource": ARM, **changes}
    sent = {"X-IDENTITY-HEADER": way["IDENTITY_HEADER"] if header is None else header}
    return requests.get(way["IDENTITY_ENDPOINT"], params=query, headers=sent, timeout=10)


@pytest.mark.witness("replies-of-managed-identity")
def test_the_reply_of_the_machines_endpoint_holds_texts_alone(azure: RunningEmulator) -> None:
    told = imds(azure).json()
    assert set(told) == {
        "access_token",
        "client_id",
        "expires_in",
        "expires_on",
        "ext_expires_in",
        "not_before",
        "resource",
        "token_type",
    }
    assert all(isinstance(value, str) for value in told.values())
    assert (told["client_id"], told["resource"], told["token_type"]) == (seed.MACHINE, ARM, "Bearer")
    assert int(told["expires_on"]) - int(told["not_before"]) == int(told["expires_in"]) == 86_399


@pytest.mark.witness("replies-of-managed-identity")
def test_the_reply_of_app_service_has_no_duration(azure: RunningEmulator) -> None:
    told = app_service(azure).json()
    assert set(told) == {"access_token", "client_id", "expires_on", "not_before", "resource", "token_type"}
    assert all(isinstance(value, str) for value in told.values())


@pytest.mark.witness("400-without-metadata-true")
@pytest.mark.parametrize("metadata", [None, "", "false", "1"])
def test_without_its_header_the_machines_endpoint_refuses(azure: RunningEmulator, metadata: str | None) -> None:
    told = imds(azure, metadata=metadata)
    assert (told.status_code, told.json()) == (
        400,
        {"error": "invalid_request", "error_description": "Required metadata header not specified"},
    )


@pytest.mark.witness("parameters-of-managed-identity")
def test_a_parameter_that_is_given_twice_is_refused(azure: RunningEmulator) -> None:
    asked = [("api-version", "2018-02-01"), ("resource", ARM), ("Resource", "https://vault.azure.net")]
    address = f"{azure.ready['machine']}/metadata/identity/oauth2/token"
    told = requests.get(address, params=asked, headers={"Metadata": "true"}, timeout=10)
    assert (told.status_code, told.json()["error"]) == (400, "invalid_request")


@pytest.mark.witness("no-forwarded-request")
def test_a_request_that_was_forwarded_gets_no_token(azure: RunningEmulator) -> None:
    address = f"{azure.ready['machine']}/metadata/identity/oauth2/token?api-version=2018-02-01&resource={ARM}"
    asked = {"Metadata": "true"}
    assert requests.get(address, headers=asked, timeout=10).status_code == 200
    told = requests.get(address, headers={**asked, "X-Forwarded-For": "203.0.113.9"}, timeout=10)
    assert (told.status_code, told.json()["error"]) == (400, "invalid_request")
    assert "access_token" not in told.text


@pytest.mark.witness("app-services-header")
@pytest.mark.parametrize("header", ["", "wrong", "é"])
def test_without_the_programs_header_app_service_refuses(azure: RunningEmulator, header: str) -> None:
    told = app_service(azure, header=header.encode())  # type: ignore[arg-type]
    assert (told.status_code, set(told.json())) == (401, {"statusCode", "message"})


WRONG: list[tuple[dict[str, str | None], str]] = [
    ({"api-version": None}, "api-version"),
    ({"api-version": "2017-09-01"}, "api-version"),
    ({"resource": None}, "resource"),
    ({"resource": ""}, "resource"),
    ({"resource": "https://nowhere.example"}, "AADSTS500011"),
    ({"resource": ARM_SCOPE}, "AADSTS500011"),
    ({"colour": "blue"}, "colour"),
    ({"client_id": STRANGER}, "Identity not found"),
    ({"client_id": seed.MACHINE}, "Identity not found"),
    ({"client_id": seed.CLIENT}, "Identity not found"),
    ({"object_id": STRANGER}, "Identity not found"),
    ({"client_id": seed.ASSIGNED, "object_id": STRANGER}, "by one of"),
]


@pytest.mark.witness("parameters-of-managed-identity", "wording-of-managed-identity")
@pytest.mark.parametrize(("changes", "words"), WRONG, ids=[str(changes) for changes, _ in WRONG])
def test_a_wrong_question_is_a_400_that_says_what_is_wrong(
    azure: RunningEmulator, changes: dict[str, str | None], words: str
) -> None:
    for told in (imds(azure, changes), app_service(azure, changes)):
        assert told.status_code == 400
        assert words in told.text
        assert "access_token" not in told.text


@pytest.mark.witness("parameters-of-managed-identity")
def test_anything_but_a_get_and_any_other_path_is_refused(azure: RunningEmulator) -> None:
    machine, sent = azure.ready["machine"], {"Metadata": "true"}
    assert requests.post(f"{machine}/metadata/identity/oauth2/token", headers=sent, timeout=10).status_code == 405
    for path in ("/", "/metadata/instance", "/_emulator/clock"):
        assert requests.get(f"{machine}{path}", headers={**sent, **azure.headers}, timeout=10).status_code == 404


def described(*kinds: str) -> dict[str, Any]:
    """A world whose managed identities are these alone."""
    description = seed.default_description()
    kept = [app for app in description["applications"] if "managed_identity" not in app]
    made = [{"display_name": f"identity-{n}", "managed_identity": kind} for n, kind in enumerate(kinds)]
    assignments = [row for row in description["role_assignments"] if row["client_id"] in (seed.CLIENT, seed.READER)]
    return {**description, "applications": [*kept, *made], "role_assignments": assignments}


@pytest.mark.parametrize("kinds", [(), ("user-assigned",), ("user-assigned", "user-assigned")])
def test_without_a_system_assigned_identity_nobody_answers_where_none_is_named(
    azure: RunningEmulator, kinds: tuple[str, ...]
) -> None:
    azure.seed(described(*kinds))
    assert imds(azure).json()["error_description"] == "Identity not found"
    assert app_service(azure).status_code == 400


@pytest.mark.witness("switch lone_identity_answers_unnamed")
def test_the_only_assigned_identity_answers_where_none_is_named_when_switched(azure: RunningEmulator) -> None:
    azure.seed({**described("user-assigned"), "switches": {"lone_identity_answers_unnamed": True}})
    assert imds(azure).status_code == 200
    azure.seed({**described("user-assigned", "user-assigned"), "switches": {"lone_identity_answers_unnamed": True}})
    assert imds(azure).status_code == 400


@pytest.mark.witness("managed-tokens-live-24-hours")
def test_its_tokens_live_as_long_as_the_world_says(azure: RunningEmulator) -> None:
    azure.seed({**seed.default_description(), "managed_token_lifetime": 600})
    assert imds(azure).json()["expires_in"] == "600"


def test_what_happens_on_the_machine_is_in_the_journal_without_its_query_and_takes_faults(
    azure: RunningEmulator,
) -> None:
    azure.fault("status", {"host": "this-machine"}, status=429, times=1)
    assert imds(azure).status_code == 429
    assert imds(azure).status_code == 200
    rows = azure.calls("machine")
    assert [(row["path"], row["fault"]) for row in rows] == [
        ("/metadata/identity/oauth2/token", fault) for fault in ("status", None)
    ]
    assert "resource" not in str(rows)


# --- the description ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"secret": "s"}, "no secrets"),
        ({"managed_identity": "shared"}, "system-assigned, user-assigned"),
    ],
)
def test_a_managed_identity_that_cannot_be_is_refused(changes: dict[str, Any], words: str) -> None:
    description = described("user-assigned")
    description["applications"][-1].update(changes)
    with pytest.raises(SeedError, match=words):
        seed.build(description)


def test_a_machine_has_one_system_assigned_identity_at_most() -> None:
    with pytest.raises(SeedError, match="one system-assigned identity already"):
        seed.build(described("system-assigned", "system-assigned"))
