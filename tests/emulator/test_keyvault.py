"""Key Vault secrets: the unmodified SecretClient, and the manners of a vault call by call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient
from azure.keyvault.secrets._shared import http_challenge_cache

from keyturn_emulator import entra, keyvault, seed
from keyturn_emulator.assertions import SKEW
from keyturn_emulator.keyvault import API_VERSIONS, KeyVaultRoom
from keyturn_emulator.testing import RunningEmulator
from keyturn_emulator.wire import Answer, Call
from keyturn_emulator.world import RoleAssignment, World

VAULT = "https://shop-kv.vault.azure.net"
HOST = "shop-kv.vault.azure.net"
GROUP = f"/subscriptions/{seed.AZURE_SUBSCRIPTION}/resourceGroups/{seed.DEFAULT_GROUP}"


# --- an unmodified SecretClient -------------------------------------------------------------------


@pytest.fixture
def connect(azure: RunningEmulator) -> Iterator[Callable[..., SecretClient]]:
    """Makes unmodified clients, for the rotator unless told otherwise."""
    opened: list[Any] = []

    def make(client: str = seed.CLIENT, secret: str = seed.CLIENT_SECRET) -> SecretClient:
        credential = ClientSecretCredential(seed.TENANT, client, secret)
        vault = SecretClient(VAULT, credential)
        opened.extend([vault, credential])
        return vault

    yield make
    for closing in opened:
        closing.close()


@pytest.fixture
def vault(connect: Callable[..., SecretClient]) -> SecretClient:
    return connect()


@pytest.mark.witness("secrets")
def test_a_secret_is_set_and_read_back_with_all_that_was_given(vault: SecretClient) -> None:
    expires = datetime(2026, 3, 1, tzinfo=UTC)
    made = vault.set_secret(
        "apim-contoso", "value-1", content_type="text/plain", tags={"slot": "primary"}, expires_on=expires
    )
    read = vault.get_secret("apim-contoso")
    assert (read.value, read.properties.version) == ("value-1", made.properties.version)
    assert (read.properties.content_type, read.properties.tags) == ("text/plain", {"slot": "primary"})
    assert (read.properties.expires_on, read.properties.enabled) == (expires, True)
    assert read.properties.created_on == datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert (read.properties.recovery_level, read.properties.recoverable_days) == ("Recoverable+Purgeable", 90)


@pytest.mark.witness("secrets")
def test_each_set_is_a_version_of_its_own_and_old_ones_stay_readable(
    azure: RunningEmulator, vault: SecretClient
) -> None:
    first = vault.set_secret("a", "one").properties.version
    azure.advance(60)
    second = vault.set_secret("a", "two").properties.version
    assert first != second
    assert vault.get_secret("a").value == "two"
    assert vault.get_secret("a", first).value == "one"
    assert vault.get_secret("a", second).properties.created_on == datetime(2026, 1, 5, 8, 1, tzinfo=UTC)


@pytest.mark.witness("versions-newest-first")
def test_versions_are_listed_newest_first_over_several_pages(vault: SecretClient) -> None:
    made = [vault.set_secret("a", str(number)).properties.version for number in range(60)]
    assert [found.version for found in vault.list_properties_of_secret_versions("a")] == made[::-1]


@pytest.mark.witness("secrets", "switch keyvault_empty_first_page")
@pytest.mark.parametrize("empty_first_page", [False, True])
def test_all_secrets_are_listed_over_several_pages(
    azure: RunningEmulator, vault: SecretClient, empty_first_page: bool
) -> None:
    azure.control("POST", "switches", {"keyvault_empty_first_page": empty_first_page})
    names = [f"s{number:02}" for number in range(53)]
    for name in names:
        vault.set_secret(name, "v")
    assert [found.name for found in vault.list_properties_of_secrets()] == names
    pages = [len(list(page)) for page in vault.list_properties_of_secrets().by_page()]
    assert pages == ([0] if empty_first_page else []) + [25, 25, 3]


@pytest.mark.witness("secrets")
def test_properties_of_a_version_can_be_changed_and_its_value_cannot(
    azure: RunningEmulator, vault: SecretClient
) -> None:
    version = vault.set_secret("a", "one", tags={"x": "1"}).properties.version
    azure.advance(5)
    changed = vault.update_secret_properties("a", version, tags={"x": "2"}, enabled=False)
    assert (changed.tags, changed.enabled) == ({"x": "2"}, False)
    assert changed.updated_on == datetime(2026, 1, 5, 8, 0, 5, tzinfo=UTC)
    with pytest.raises(HttpResponseError) as caught:
        vault.get_secret("a")
    assert caught.value.status_code == 403
    assert "Operation get is not allowed on a disabled secret." in str(caught.value)


@pytest.mark.witness("secrets", "soft-delete")
def test_a_deleted_secret_can_be_recovered_with_its_value(vault: SecretClient) -> None:
    vault.set_secret("a", "one")
    gone = vault.begin_delete_secret("a").result()
    assert gone.recovery_id == f"{VAULT}/deletedsecrets/a"
    assert gone.scheduled_purge_date == datetime(2026, 4, 5, 8, tzinfo=UTC)
    assert [found.name for found in vault.list_deleted_secrets()] == ["a"]
    with pytest.raises(ResourceNotFoundError, match="was not found in this key vault"):
        vault.get_secret("a")
    with pytest.raises(ResourceExistsError, match="deleted but recoverable state"):
        vault.set_secret("a", "two")
    vault.begin_recover_deleted_secret("a").wait()
    assert vault.get_secret("a").value == "one"
    assert list(vault.list_deleted_secrets()) == []


@pytest.mark.witness("secrets", "soft-delete")
def test_a_purged_secret_is_gone_and_its_name_free(vault: SecretClient) -> None:
    vault.set_secret("a", "one")
    vault.begin_delete_secret("a").wait()
    vault.purge_deleted_secret("a")
    with pytest.raises(ResourceNotFoundError):
        vault.get_deleted_secret("a")
    vault.set_secret("a", "two")
    assert len(list(vault.list_properties_of_secret_versions("a"))) == 1


@pytest.mark.witness("the-vaults-challenge")
def test_the_first_write_goes_out_without_body_and_token_and_is_challenged(
    azure: RunningEmulator, vault: SecretClient
) -> None:
    http_challenge_cache.clear()
    vault.set_secret("a", "one")
    calls = [(call["method"], call["status"]) for call in azure.calls("keyvault")]
    assert calls == [("PUT", 401), ("PUT", 200)]
    vault.get_secret("a")
    assert [call["status"] for call in azure.calls("keyvault")] == [401, 200, 200]


def test_a_reader_may_read_and_not_write(connect: Callable[..., SecretClient]) -> None:
    connect().set_secret("a", "one")
    reader = connect(seed.READER, seed.READER_SECRET)
    assert reader.get_secret("a").value == "one"
    with pytest.raises(HttpResponseError) as caught:
        reader.set_secret("a", "two")
    assert caught.value.status_code == 403
    assert "Microsoft.KeyVault/vaults/secrets/setSecret/action" in str(caught.value)
    assert connect().get_secret("a").value == "one"


def test_an_older_api_version_can_be_chosen(azure: RunningEmulator) -> None:
    with (
        ClientSecretCredential(seed.TENANT, seed.CLIENT, seed.CLIENT_SECRET) as credential,
        SecretClient(VAULT, credential, api_version="7.0") as vault,
    ):
        vault.set_secret("a", "one")
        assert vault.get_secret("a").properties.recoverable_days is None
    assert {call["api_version"] for call in azure.calls("keyvault")} == {"7.0"}


# --- call by call ---------------------------------------------------------------------------------


@dataclass
class Desk:
    """A vault's room, asked directly with a good token."""

    world: World
    client: str = seed.CLIENT

    def ask(
        self, method: str, path: str, body: Any = None, *, version: str | None = "7.4", token: str | None = "good"
    ) -> Answer:
        target, _, rest = path.partition("?")
        query = [("api-version", version)] if version is not None else []
        query += parse_qsl(rest, keep_blank_values=True)
        headers = {"x-ms-client-request-id": "mine"}
        if token == "good":
            token = entra.issue_token(self.world, self.client, "https://vault.azure.net")
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return KeyVaultRoom(self.world).answer(Call(method, HOST, target, tuple(query), headers, content))

    def told(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        answer = self.ask(method, path, body, **options)
        return answer.status, json.loads(answer.body) if answer.body else None

    def error(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, str, str | None]:
        status, payload = self.told(method, path, body, **options)
        return status, payload["error"]["code"], payload["error"].get("innererror", {}).get("code")


@pytest.fixture
def desk() -> Desk:
    return Desk(seed.default_world())


@pytest.mark.witness("the-vaults-challenge")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/secrets/a", b""),
        ("PUT", "/secrets/a", b"no json"),
        ("GET", "/secrets/absent/", b""),
        ("PUT", "/nonsense", b""),
    ],
)
def test_a_call_without_a_token_is_challenged_before_anything_else(
    desk: Desk, method: str, path: str, body: bytes
) -> None:
    answer = desk.ask(method, path, body, token=None, version=None)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == (
        f'Bearer authorization="https://login.windows.net/{seed.TENANT}", resource="https://vault.azure.net"'
    )
    assert json.loads(answer.body) == {
        "error": {"code": "Unauthorized", "message": "AKV10000: Request is missing a Bearer or PoP token."}
    }


def test_a_token_for_another_resource_is_challenged_too(desk: Desk) -> None:
    token = entra.issue_token(desk.world, seed.CLIENT, "https://management.azure.com")
    answer = desk.ask("GET", "/secrets/a/", token=token)
    assert answer.status == 401
    assert "AKV10022: Invalid audience" in answer.body.decode()
    assert "WWW-Authenticate" in answer.headers


def test_an_expired_token_is_challenged_and_says_so(desk: Desk) -> None:
    token = entra.issue_token(desk.world, seed.CLIENT, "https://vault.azure.net", lifetime=-SKEW - 60)
    answer = desk.ask("GET", "/secrets/a/", token=token)
    assert answer.status == 401
    assert "[TokenExpired] Error validating token: 'S2S12086'." in answer.body.decode()


@pytest.mark.parametrize("version", API_VERSIONS)
def test_every_api_version_that_the_client_knows_is_taken(desk: Desk, version: str) -> None:
    status, bundle = desk.told("PUT", "/secrets/a", {"value": "v"}, version=version)
    assert status == 200
    assert ("recoverableDays" in bundle["attributes"]) == (version not in {"2016-10-01", "7.0"})


@pytest.mark.parametrize("version", [None, "", "7.9", "2024-05-01"])
def test_another_api_version_is_refused(desk: Desk, version: str | None) -> None:
    assert desk.error("GET", "/secrets", version=version)[:2] == (400, "BadParameter")


@pytest.mark.witness("which-answers-show-a-secret")
def test_a_new_secret_has_no_fields_that_were_not_set(desk: Desk) -> None:
    status, bundle = desk.told("PUT", "/secrets/a", {"value": "v"})
    assert status == 200
    assert bundle.keys() == {"value", "id", "attributes"}
    assert bundle["attributes"].keys() == {"enabled", "created", "updated", "recoveryLevel", "recoverableDays"}
    assert bundle["attributes"]["created"] == int(desk.world.clock.now().timestamp())
    version = bundle["id"].removeprefix(f"{VAULT}/secrets/a/")
    assert len(version) == 32
    assert int(version, 16) >= 0


@pytest.mark.parametrize("path", ["/secrets/a", "/secrets/a/"])
def test_the_latest_version_is_read_with_and_without_a_trailing_slash(desk: Desk, path: str) -> None:
    desk.told("PUT", "/secrets/a", {"value": "old"})
    desk.told("PUT", "/secrets/A", {"value": "new"})
    assert desk.told("GET", path)[1]["value"] == "new"


@pytest.mark.witness("which-answers-show-a-secret")
@pytest.mark.parametrize(
    ("method", "path"),
    [("PATCH", "/secrets/a/"), ("DELETE", "/secrets/a"), ("GET", "/secrets"), ("GET", "/secrets/a/versions")],
)
def test_only_set_and_get_show_a_value(desk: Desk, method: str, path: str) -> None:
    desk.told("PUT", "/secrets/a", {"value": "the-value-itself"})
    answer = desk.ask(method, path, {"tags": {}} if method == "PATCH" else None)
    assert answer.status == 200
    assert "the-value-itself" not in answer.body.decode()


def test_a_recovered_secret_is_answered_without_its_value(desk: Desk) -> None:
    desk.told("PUT", "/secrets/a", {"value": "the-value-itself"})
    desk.told("DELETE", "/secrets/a")
    for method, path in (("GET", "/deletedsecrets/a"), ("POST", "/deletedsecrets/a/recover")):
        status, bundle = desk.told(method, path)
        assert status == 200
        assert "value" not in bundle


@pytest.mark.witness("unknown-vault-paths")
@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"{", "JSON"),
        (b"[]", "object"),
        ({}, "value"),
        ({"value": 5}, "value"),
        ({"value": "v", "colour": "blue"}, "colour"),
        ({"value": "v", "attributes": {"recoveryLevel": "x"}}, "attributes.recoveryLevel"),
        ({"value": "v", "attributes": {"exp": "soon"}}, "attributes.exp"),
        ({"value": "v", "attributes": {"enabled": 1}}, "attributes.enabled"),
        ({"value": "v", "tags": {"a": 1}}, "tags.a"),
        ({"value": "v", "tags": {str(number): "x" for number in range(16)}}, "tags"),
        ({"value": "v", "tags": {"a": "x" * 257}}, "tags.a"),
        ({"value": "v" * (25 * 1024 + 1)}, "longer"),
    ],
)
def test_a_body_that_a_vault_does_not_take_is_refused_by_name(desk: Desk, body: Any, named: str) -> None:
    status, payload = desk.told("PUT", "/secrets/a", body)
    assert (status, payload["error"]["code"]) == (400, "BadParameter")
    assert named in payload["error"]["message"]
    assert desk.error("GET", "/secrets/a")[0] == 404


@pytest.mark.parametrize("name", ["a_b", "a.b", "a b", "x" * 128])
def test_a_name_that_no_secret_may_have_is_refused(desk: Desk, name: str) -> None:
    assert desk.error("PUT", f"/secrets/{name.replace(' ', '%20')}", {"value": "v"})[:2] == (400, "BadParameter")


@pytest.mark.witness("unknown-vault-paths")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/keys/a", 404),
        ("POST", "/secrets/a", 404),
        ("GET", "/secrets/a/b/c", 404),
        ("POST", "/secrets/a/backup", 501),
        ("POST", "/secrets/restore", 501),
    ],
)
def test_a_path_that_is_not_emulated_is_refused_by_name(desk: Desk, method: str, path: str, status: int) -> None:
    assert desk.error(method, path)[:2] == (status, "NotEmulated")


@pytest.mark.witness("unknown-vault-paths")
@pytest.mark.parametrize(
    ("method", "path", "named"),
    [
        ("GET", "/secrets?api-version=7.4&$filter=x", "$filter of GET /secrets"),
        ("GET", "/secrets/a?api-version=7.4&maxresults=3", "maxresults of GET /secrets/{name}"),
        ("DELETE", "/secrets/a?api-version=7.4&purge=true", "purge of DELETE /secrets/{name}"),
    ],
)
def test_a_query_parameter_that_an_operation_does_not_take_is_refused_by_name(
    desk: Desk, method: str, path: str, named: str
) -> None:
    desk.told("PUT", "/secrets/a", {"value": "v"})
    status, payload = desk.told(method, path)
    assert (status, payload["error"]["code"]) == (501, "NotEmulated")
    assert named in payload["error"]["message"]
    assert desk.told("GET", "/secrets/a")[0] == 200


@pytest.mark.witness("errors-in-the-vaults")
def test_an_absent_secret_is_not_found_in_the_vaults_words(desk: Desk) -> None:
    status, payload = desk.told("GET", "/secrets/nope/")
    assert (status, payload["error"]["code"]) == (404, "SecretNotFound")
    assert payload["error"]["message"] == (
        "A secret with (name/id) nope was not found in this key vault. If you recently deleted this secret you may be "
        "able to recover it using the correct recovery command. For help resolving this issue, please see "
        "https://go.microsoft.com/fwlink/?linkid=2125182"
    )
    assert desk.error("GET", "/deletedsecrets/nope")[:2] == (404, "SecretNotFound")
    assert desk.told("GET", "/deletedsecrets/nope")[1]["error"]["message"] == "Deleted Secret not found: nope"


@pytest.mark.witness("errors-in-the-vaults")
def test_a_live_secret_cannot_be_recovered(desk: Desk) -> None:
    desk.told("PUT", "/secrets/a", {"value": "v"})
    assert desk.error("POST", "/deletedsecrets/a/recover") == (
        400,
        "MethodNotAllowed",
        "RequestNotAllowedOnNonDeletedObject",
    )


@pytest.mark.witness("errors-in-the-vaults")
def test_a_disabled_version_is_not_told_and_says_why(desk: Desk) -> None:
    desk.told("PUT", "/secrets/a", {"value": "v", "attributes": {"enabled": False}})
    assert desk.error("GET", "/secrets/a") == (403, "Forbidden", "SecretDisabled")


@pytest.mark.witness("errors-in-the-vaults")
def test_a_delete_may_take_its_time_and_then_the_name_is_being_deleted(desk: Desk) -> None:
    desk.world.vaults["shop-kv"].deletion_seconds = 20
    desk.told("PUT", "/secrets/a", {"value": "v"})
    desk.told("DELETE", "/secrets/a")
    assert desk.error("GET", "/deletedsecrets/a")[0] == 404
    assert desk.error("PUT", "/secrets/a", {"value": "w"}) == (409, "Conflict", "ObjectIsBeingDeleted")
    desk.world.clock.advance(20)
    assert desk.told("GET", "/deletedsecrets/a")[0] == 200
    assert desk.error("PUT", "/secrets/a", {"value": "w"}) == (409, "Conflict", "ObjectIsDeletedButRecoverable")


@pytest.mark.witness("soft-delete")
def test_a_deleted_secret_is_purged_when_its_days_are_over(desk: Desk) -> None:
    desk.told("PUT", "/secrets/a", {"value": "v"})
    desk.told("DELETE", "/secrets/a")
    desk.world.clock.advance(90 * 86400 - 1)
    assert desk.told("GET", "/deletedsecrets/a")[0] == 200
    desk.world.clock.advance(1)
    assert desk.error("GET", "/deletedsecrets/a")[0] == 404
    assert desk.told("PUT", "/secrets/a", {"value": "w"})[0] == 200


def test_every_answer_carries_the_vaults_headers(desk: Desk) -> None:
    for answer in (desk.ask("GET", "/secrets"), desk.ask("GET", "/secrets/a/"), desk.ask("GET", "/x", token=None)):
        assert answer.headers.keys() >= {
            "x-ms-keyvault-region",
            "x-ms-keyvault-service-version",
            "x-ms-keyvault-network-info",
            "x-ms-request-id",
        }
        assert answer.headers["x-ms-client-request-id"] == "mine"
        assert "ETag" not in answer.headers


# --- rights ---------------------------------------------------------------------------------------

EVERYTHING = [
    ("PUT", "/secrets/a", "setSecret/action"),
    ("GET", "/secrets/a/", "getSecret/action"),
    ("PATCH", "/secrets/a/", "update/action"),
    ("GET", "/secrets/a/versions", "readMetadata/action"),
    ("GET", "/secrets", "readMetadata/action"),
    ("GET", "/deletedsecrets", "readMetadata/action"),
    ("GET", "/deletedsecrets/b", "readMetadata/action"),
    ("POST", "/deletedsecrets/b/recover", "recover/action"),
    ("DELETE", "/deletedsecrets/b", "purge/action"),
    ("DELETE", "/secrets/a", "delete"),
]


@pytest.mark.witness("data-actions")
@pytest.mark.parametrize(("method", "path", "action"), EVERYTHING)
def test_without_a_role_every_operation_is_forbidden_by_rbac(desk: Desk, method: str, path: str, action: str) -> None:
    desk.told("PUT", "/secrets/a", {"value": "v"})
    desk.world.role_assignments.clear()
    status, payload = desk.told(method, path, {"value": "w"})
    assert (status, payload["error"]["code"]) == (403, "Forbidden")
    assert payload["error"]["innererror"] == {"code": "ForbiddenByRbac"}
    assert f"Action: 'Microsoft.KeyVault/vaults/secrets/{action}'" in payload["error"]["message"]


@pytest.mark.witness("data-actions")
@pytest.mark.parametrize(("method", "path", "action"), EVERYTHING)
def test_exactly_the_data_action_of_an_operation_allows_it(desk: Desk, method: str, path: str, action: str) -> None:
    officer = desk
    for name in ("a", "b"):
        officer.told("PUT", f"/secrets/{name}", {"value": "v"})
    officer.told("DELETE", "/secrets/b")
    description = seed.default_description()
    description["custom_roles"] = [
        {"name": "just this", "data_actions": [f"Microsoft.KeyVault/vaults/secrets/{action}"]}
    ]
    description["role_assignments"] = [{"client_id": seed.CLIENT, "role": "just this", "scope": GROUP}]
    narrow = seed.build(description)
    narrow.vaults["shop-kv"] = officer.world.vaults["shop-kv"]
    body = {"PUT": {"value": "w"}, "PATCH": {"tags": {}}}.get(method)
    assert Desk(narrow).ask(method, path, body).status in {200, 204}


@pytest.mark.witness("data-actions")
def test_a_role_on_one_secret_opens_that_secret_alone(desk: Desk) -> None:
    for name in ("a", "b"):
        desk.told("PUT", f"/secrets/{name}", {"value": "v"})
    reader = Desk(desk.world, seed.READER)
    scope = f"{desk.world.vaults['shop-kv'].id}/secrets/a"
    reader_id = desk.world.applications[seed.READER].object_id
    desk.world.role_assignments = [given for given in desk.world.role_assignments if given.object_id != reader_id]
    assert reader.ask("GET", "/secrets/a/").status == 403
    desk.world.role_assignments.append(RoleAssignment(reader_id, "Key Vault Secrets User", scope))
    assert (reader.ask("GET", "/secrets/a/").status, reader.ask("GET", "/secrets/b/").status) == (200, 403)


# --- paging ---------------------------------------------------------------------------------------


def test_a_page_is_as_long_as_asked_and_its_link_leads_to_the_rest(desk: Desk) -> None:
    for number in range(5):
        desk.told("PUT", f"/secrets/s{number}", {"value": "v"})
    seen, path = [], "/secrets?maxresults=2"
    links: list[str] = []
    while True:
        status, page = desk.told("GET", path, version=None if links else "7.4")
        assert status == 200
        seen += [row["id"].rsplit("/", 1)[1] for row in page["value"]]
        if page["nextLink"] is None:
            break
        links.append(page["nextLink"])
        path = links[-1].removeprefix(f"{VAULT}:443")
    assert seen == ["s0", "s1", "s2", "s3", "s4"]
    assert len(links) == 2
    assert dict(parse_qsl(urlsplit(links[0]).query)).keys() == {"api-version", "$skiptoken", "maxresults"}


def test_a_list_goes_on_where_it_was_even_if_the_last_row_is_gone(desk: Desk) -> None:
    for number in range(4):
        desk.told("PUT", f"/secrets/s{number}", {"value": "v"})
    _, page = desk.told("GET", "/secrets?maxresults=2")
    desk.told("DELETE", "/secrets/s1")
    path = page["nextLink"].removeprefix(f"{VAULT}:443")
    rest = desk.told("GET", path, version=None)[1]["value"]
    assert [row["id"].rsplit("/", 1)[1] for row in rest] == ["s2", "s3"]


@pytest.mark.parametrize(
    "query", ["maxresults=0", "maxresults=26", "maxresults=x", "$skiptoken=%25%25", "$skiptoken=eA=="]
)
def test_a_page_that_makes_no_sense_is_refused(desk: Desk, query: str) -> None:
    assert desk.error("GET", f"/secrets?{query}")[:2] == (400, "BadParameter")


# --- the vault's own limits -----------------------------------------------------------------------


@pytest.mark.witness("limits-of-a-vault")
def test_the_three_hundred_and_first_set_in_ten_seconds_is_throttled(desk: Desk) -> None:
    room = KeyVaultRoom(desk.world)
    token = entra.issue_token(desk.world, seed.CLIENT, "https://vault.azure.net")
    headers = {"authorization": f"Bearer {token}"}
    call = Call("PUT", HOST, "/secrets/a", (("api-version", "7.4"),), headers, b'{"value":"v"}')
    assert [room.answer(call).status for _ in range(300)] == [200] * 300
    refused = room.answer(call)
    assert (refused.status, json.loads(refused.body)) == (
        429,
        {
            "error": {
                "code": "Throttled",
                "message": "Request was not processed because too many requests were received. "
                "Reason: VaultRequestTypeLimitReached",
            }
        },
    )
    assert desk.told("GET", "/secrets/a/")[0] == 200
    desk.world.clock.advance(9.9)
    assert room.answer(call).status == 429
    desk.world.clock.advance(0.1)
    assert room.answer(call).status == 200
    assert len(desk.world.vaults["shop-kv"].secrets["a"].versions) == 301


@pytest.mark.witness("limits-of-a-vault")
def test_other_transactions_have_a_limit_of_their_own(desk: Desk) -> None:
    desk.world.vaults["shop-kv"].others = keyvault.Window(3)
    desk.told("PUT", "/secrets/a", {"value": "v"})
    assert [desk.ask("GET", "/secrets/a/").status for _ in range(4)] == [200, 200, 200, 429]
    assert desk.told("PUT", "/secrets/a", {"value": "v"})[0] == 200


def test_a_secret_version_never_shows_its_value_in_its_repr(desk: Desk) -> None:
    desk.told("PUT", "/secrets/a", {"value": "the-value-itself"})
    assert "the-value-itself" not in repr(desk.world.vaults)
