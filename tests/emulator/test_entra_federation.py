"""Federated identity credentials: whose tokens an application takes as its own proof, and which it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientAssertionCredential, DefaultAzureCredential, WorkloadIdentityCredential

from keyturn_emulator import federation, seed
from keyturn_emulator.federation import AUDIENCE, KINDS, Kind
from keyturn_emulator.testing import ControlError, RunningEmulator, environment
from keyturn_emulator.world import World
from tests.emulator import signers
from tests.emulator.token_endpoint import ARM_SCOPE, code, present

OF_CLUSTER = federation.issuer_of("kubernetes", seed.TENANT)


@pytest.fixture
def world() -> World:
    return seed.default_world()


def minted(kind: Kind = "github", **asked: Any) -> str:
    subject = asked.pop("subject", seed.WORKLOADS[kind])
    return federation.mint(kind, seed.TENANT, subject, **asked)


# --- an unmodified azure-identity -----------------------------------------------------------------


@pytest.mark.witness("federated-tokens-sign-in")
def test_azure_identity_signs_in_with_a_service_accounts_token(azure: RunningEmulator, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(azure.federated_token("kubernetes"), encoding="utf-8")
    with WorkloadIdentityCredential(
        tenant_id=seed.TENANT, client_id=seed.CLIENT, token_file_path=str(path)
    ) as credential:
        token = credential.get_token(ARM_SCOPE).token
    told = jwt.decode(token, options={"verify_signature": False})
    assert (told["appid"], told["appidacr"]) == (seed.CLIENT, "2")


def test_a_default_credential_finds_the_service_accounts_token(azure: RunningEmulator, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(azure.federated_token("kubernetes"), encoding="utf-8")
    values = {"AZURE_TENANT_ID": seed.TENANT, "AZURE_CLIENT_ID": seed.CLIENT, "AZURE_FEDERATED_TOKEN_FILE": str(path)}
    with environment(values, without=("AZURE_CLIENT_SECRET",)), DefaultAzureCredential() as credential:
        assert credential.get_token(ARM_SCOPE).token


@pytest.mark.witness("federated-tokens-sign-in")
def test_azure_identity_signs_in_with_what_a_workflow_is_given(azure: RunningEmulator) -> None:
    def ask() -> str:
        way = azure.way("github")
        headers = {"Authorization": f"Bearer {way['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"}
        url = f"{way['ACTIONS_ID_TOKEN_REQUEST_URL']}&audience={AUDIENCE}"
        return str(requests.get(url, headers=headers, timeout=10).json()["value"])

    with ClientAssertionCredential(seed.TENANT, seed.CLIENT, ask) as credential:
        assert credential.get_token(ARM_SCOPE).token


def test_a_workflow_that_is_not_trusted_is_told_its_subject(azure: RunningEmulator) -> None:
    subject = "repo:contoso/rotation:ref:refs/heads/other"
    with (
        ClientAssertionCredential(
            seed.TENANT, seed.CLIENT, lambda: azure.federated_token("github", subject=subject)
        ) as credential,
        pytest.raises(ClientAuthenticationError, match=f"AADSTS700213: .*'{subject}'"),
    ):
        credential.get_token(ARM_SCOPE)


@pytest.mark.witness("a-workflow-asks-for-its-token")
def test_a_workflow_asks_with_its_own_bearer_and_gets_githubs_own_audience_unless_it_names_one(
    azure: RunningEmulator,
) -> None:
    way = azure.way("github")
    url, bearer = way["ACTIONS_ID_TOKEN_REQUEST_URL"], way["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
    assert requests.get(url, timeout=10).status_code == 401
    assert requests.get(url, headers={"Authorization": f"Bearer {bearer}x"}, timeout=10).status_code == 401
    told = requests.get(url, headers={"Authorization": f"Bearer {bearer}"}, timeout=10).json()
    assert jwt.decode(told["value"], options={"verify_signature": False})["aud"] == "https://github.com/contoso"


@pytest.mark.witness("two-issuers-of-federated-tokens")
@pytest.mark.parametrize("kind", KINDS)
def test_each_issuer_publishes_the_key_that_signs_its_tokens(azure: RunningEmulator, kind: Kind) -> None:
    token = azure.federated_token(kind)
    issuer = jwt.decode(token, options={"verify_signature": False})["iss"]
    told = requests.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration", timeout=10).json()
    keys = requests.get(told["jwks_uri"], timeout=10).json()["keys"]
    published = {key["kid"]: jwt.PyJWK(key) for key in keys}
    key = published[jwt.get_unverified_header(token)["kid"]]
    assert told["issuer"] == issuer
    assert jwt.decode(token, key, audience=AUDIENCE)["sub"] == seed.WORKLOADS[kind]
    assert requests.get(f"{issuer.rstrip('/')}/nothing", timeout=10).status_code == 404


@pytest.mark.witness("two-issuers-of-federated-tokens")
def test_a_token_of_no_issuer_cannot_be_asked_for(azure: RunningEmulator) -> None:
    with pytest.raises(ControlError, match="github, kubernetes"):
        azure.federated_token("gitlab")
    with pytest.raises(ControlError, match="must be texts"):
        azure.federated_token("github", subject=7)


# --- the token endpoint, as a table ---------------------------------------------------------------


@pytest.mark.witness("federated-tokens-sign-in", "codes-from-memory")
@pytest.mark.parametrize(
    ("kind", "asked", "refused"),
    [
        ("github", {}, None),
        ("kubernetes", {}, None),
        ("github", {"lifetime": -100}, None),  # within the skew
        ("github", {"lifetime": -400}, 700024),
        ("kubernetes", {"lifetime": -400}, 700024),
        ("github", {"subject": "repo:contoso/rotation:ref:refs/heads/other"}, 700213),
        ("github", {"subject": "repo:Contoso/rotation:ref:refs/heads/main"}, 700213),
        ("kubernetes", {"subject": "system:serviceaccount:keyturn:other"}, 700213),
        ("github", {"subject": seed.WORKLOADS["kubernetes"]}, 700213),
        ("github", {"audience": "https://github.com/contoso"}, 700212),
        ("kubernetes", {"audience": "https://kubernetes.default.svc"}, 700212),
        ("github", {"issuer": "https://token.actions.githubusercontent.com/"}, 700211),
        ("kubernetes", {"issuer": OF_CLUSTER.rstrip("/")}, 700211),
        ("kubernetes", {"issuer": "https://token.actions.githubusercontent.com"}, 700213),
    ],
)
def test_issuer_subject_and_audience_must_be_those_of_one_federated_credential(
    world: World, kind: Kind, asked: dict[str, Any], refused: int | None
) -> None:
    assert code(present(world, minted(kind, **asked))) == refused


@pytest.mark.witness("federated-tokens-sign-in")
def test_each_of_the_three_is_looked_for_in_the_same_credential(world: World) -> None:
    credentials = [
        {"issuer": "github", "subject": "repo:a/b:environment:one", "audience": "api://one"},
        {"issuer": "github", "subject": "repo:a/b:environment:two", "audience": "api://two"},
    ]
    description = seed.default_description()
    description["applications"][0]["federated_credentials"] = credentials
    world = seed.build(description)
    one = "repo:a/b:environment:one"
    assert code(present(world, minted(subject=one, audience="api://one"))) is None
    assert code(present(world, minted(subject=one, audience="api://two"))) == 700212


def forged(key: Any, kid: str) -> str:
    right = jwt.decode(minted(), options={"verify_signature": False})
    return jwt.encode(right, key, "RS256", headers={"kid": kid})


@pytest.mark.witness("refused-federated-tokens", "codes-from-memory")
def test_a_forged_token_is_refused_under_the_issuers_key_id_and_under_another(world: World) -> None:
    theirs = federation.key_of("github").id
    assert code(present(world, forged(signers.stranger().key, theirs))) == 700027
    assert code(present(world, forged(signers.stranger().key, "mine"))) == 700027
    assert code(present(world, forged(federation.key_of("github").private, "mine"))) == 700027
    assert code(present(world, forged(federation.key_of("kubernetes").private, theirs))) == 700027
    assert code(present(world, forged(federation.key_of("github").private, theirs))) is None


@pytest.mark.witness("refused-federated-tokens")
def test_a_token_whose_claims_were_changed_is_refused(world: World) -> None:
    other = minted(subject="repo:contoso/rotation:ref:refs/heads/other")
    head, _, signature = other.split(".")
    assert code(present(world, f"{head}.{minted().split('.')[1]}.{signature}")) == 700027


@pytest.mark.witness("no-keys-of-other-issuers")
def test_an_issuer_that_is_trusted_but_not_the_emulators_cannot_be_asked_for_its_keys() -> None:
    elsewhere = {"issuer": "https://oidc.example.org", "subject": "me"}
    description = seed.default_description()
    description["applications"][0]["federated_credentials"] = [elsewhere]
    token = minted(subject="me", issuer="https://oidc.example.org")
    assert code(present(seed.build(description), token)) == 90061


@pytest.mark.witness("codes-from-memory")
def test_an_application_without_federated_credentials_says_so() -> None:
    description = seed.default_description()
    del description["applications"][0]["federated_credentials"]
    assert code(present(seed.build(description), minted())) == 70025


def test_a_token_may_be_presented_again_and_again(world: World) -> None:
    world.switches["refuse_replayed_assertions"] = True
    token = minted("kubernetes")
    assert [code(present(world, token)) for _ in range(2)] == [None, None]


def test_no_refusal_repeats_the_token(world: World) -> None:
    token = minted(subject="nobody")
    _, body = present(world, token)
    assert "nobody" in body["error_description"]
    assert not [part for part in token.split(".") if part in str(body)]


def test_a_presented_claim_is_repeated_in_part_only(world: World) -> None:
    _, body = present(world, minted(subject="x" * 5000))
    assert len(body["error_description"]) < 1000
