"""Entra ID: sign-in with official clients, the AADSTS errors, and which tokens are good."""

from __future__ import annotations

import base64
import json
import time
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential
from cryptography.hazmat.primitives.asymmetric import rsa

from keyturn_emulator import entra, seed
from keyturn_emulator.assertions import SKEW
from keyturn_emulator.entra import ARM_AUDIENCES, VAULT_AUDIENCES, EntraRoom, TokenFault
from keyturn_emulator.testing import RunningEmulator
from keyturn_emulator.wire import Call
from keyturn_emulator.world import World

ARM_SCOPE = "https://management.azure.com/.default"
OTHER_TENANT = "00000000-1111-2222-3333-444444444444"


@pytest.fixture
def world() -> World:
    return seed.default_world()


def _sign_in(tenant: str = seed.TENANT, client: str = seed.CLIENT, secret: str = seed.CLIENT_SECRET) -> Any:
    with ClientSecretCredential(tenant, client, secret) as credential:
        return credential.get_token(ARM_SCOPE)


# --- an unmodified azure-identity -----------------------------------------------------------------


@pytest.mark.witness("azure-identity-signs-in-unmodified")
def test_a_default_credential_signs_in_with_two_variables_set(azure: RunningEmulator) -> None:
    before = time.time()
    token = _sign_in()
    claims = jwt.decode(token.token, options={"verify_signature": False})
    assert 3500 < token.expires_on - before < 3700
    assert claims["aud"] == "https://management.azure.com"
    assert claims["iss"] == f"https://sts.windows.net/{seed.TENANT}/"
    assert (claims["appid"], claims["tid"], claims["ver"]) == (seed.CLIENT, seed.TENANT, "1.0")
    assert claims["exp"] - claims["iat"] == 3599


@pytest.mark.witness("lifetimes-by-the-machines-clock")
def test_token_lifetimes_follow_the_machine_and_not_the_emulated_clock(azure: RunningEmulator) -> None:
    azure.advance(365 * 86400)
    assert abs(jwt.decode(_sign_in().token, options={"verify_signature": False})["iat"] - time.time()) < 300


@pytest.mark.witness("signed-tokens")
def test_the_tokens_signature_checks_against_the_published_keys(azure: RunningEmulator) -> None:
    token = _sign_in().token
    keys = requests.get(f"https://login.microsoftonline.com/{seed.TENANT}/discovery/v2.0/keys", timeout=10).json()
    published = {key["kid"]: jwt.PyJWK(key) for key in keys["keys"]}
    key = published[jwt.get_unverified_header(token)["kid"]]
    assert jwt.decode(token, key, audience="https://management.azure.com")["appid"] == seed.CLIENT


@pytest.mark.witness("refused-client-secrets")
def test_a_wrong_secret_is_refused_in_entras_words(azure: RunningEmulator) -> None:
    with pytest.raises(ClientAuthenticationError) as caught:
        _sign_in(secret="wrong-secret-value")
    text = str(caught.value)
    assert (
        "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client "
        f"secret value, not the client secret ID, for a secret added to app '{seed.CLIENT}'." in text
    )
    assert "wrong-secret-value" not in text
    assert seed.CLIENT_SECRET not in text


@pytest.mark.witness("refused-client-secrets")
def test_an_unknown_application_is_refused_in_entras_words(azure: RunningEmulator) -> None:
    with pytest.raises(ClientAuthenticationError) as caught:
        _sign_in(client=OTHER_TENANT)
    assert f"Application with identifier '{OTHER_TENANT}' was not found in the directory '{seed.TENANT}'." in str(
        caught.value
    )


@pytest.mark.witness("refused-client-secrets")
def test_a_wrong_tenant_is_refused_in_entras_words(azure: RunningEmulator) -> None:
    with pytest.raises((ClientAuthenticationError, ValueError)) as caught:
        _sign_in(tenant=OTHER_TENANT)
    assert OTHER_TENANT in str(caught.value)
    url = f"https://login.microsoftonline.com/{OTHER_TENANT}/v2.0/.well-known/openid-configuration"
    answer = requests.get(url, timeout=10)
    assert (answer.status_code, answer.json()["error_codes"]) == (400, [90002])
    assert f"AADSTS90002: Tenant '{OTHER_TENANT}' not found." in answer.json()["error_description"]


@pytest.mark.witness("instance-discovery")
def test_msal_may_ask_which_names_are_one_authority(azure: RunningEmulator) -> None:
    url = "https://login.microsoftonline.com/common/discovery/instance"
    query = {
        "api-version": "1.1",
        "authorization_endpoint": f"https://login.windows.net/{seed.TENANT}/oauth2/authorize",
    }
    told = requests.get(url, params=query, timeout=10).json()
    assert told["tenant_discovery_endpoint"].endswith(f"/{seed.TENANT}/v2.0/.well-known/openid-configuration")
    assert set(told["metadata"][0]["aliases"]) == entra.HOSTS
    query["authorization_endpoint"] = "https://login.example.org/common/oauth2/authorize"
    refused = requests.get(url, params=query, timeout=10)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_instance")


# --- the token endpoint, as a table ---------------------------------------------------------------

GOOD = {
    "grant_type": "client_credentials",
    "client_id": seed.CLIENT,
    "client_secret": seed.CLIENT_SECRET,
    "scope": ARM_SCOPE,
}


def _post(world: World, form: dict[str, str | None], tenant: str = seed.TENANT) -> tuple[int, dict[str, Any]]:
    fields = {name: value for name, value in {**GOOD, **form}.items() if value is not None}
    body = requests.models.RequestEncodingMixin._encode_params(fields).encode()  # type: ignore[attr-defined]
    call = Call("POST", "login.microsoftonline.com", f"/{tenant}/oauth2/v2.0/token", body=body)
    answer = EntraRoom(world).answer(call)
    return answer.status, json.loads(answer.body)


@pytest.mark.witness("unknown-parameters-of-a-token-request")
@pytest.mark.parametrize("twice", ["client_id", "client_secret", "scope"])
def test_a_parameter_that_is_given_twice_is_refused(world: World, twice: str) -> None:
    body = urlencode([*GOOD.items(), (twice, GOOD[twice])]).encode()
    call = Call("POST", "login.microsoftonline.com", f"/{seed.TENANT}/oauth2/v2.0/token", body=body)
    answer = EntraRoom(world).answer(call)
    assert (answer.status, json.loads(answer.body)["error_codes"]) == (400, [90014])
    assert twice in json.loads(answer.body)["error_description"]


@pytest.mark.witness("unknown-parameters-of-a-token-request")
def test_a_secret_and_an_assertion_together_are_refused_by_name_though_the_secret_is_good(world: World) -> None:
    both: dict[str, str | None] = {"client_assertion": "x", "client_assertion_type": entra.ASSERTION_TYPE}
    status, body = _post(world, both)
    assert (status, body["error"], body["error_codes"]) == (400, "invalid_request", [90014])
    assert "'client_secret' or 'client_assertion'" in body["error_description"]
    assert "access_token" not in body


@pytest.mark.witness("unknown-parameters-of-a-token-request")
@pytest.mark.parametrize(
    ("form", "tenant", "status", "error", "code"),
    [
        ({"client_secret": "wrong"}, seed.TENANT, 401, "invalid_client", 7000215),
        ({"client_id": OTHER_TENANT}, seed.TENANT, 400, "unauthorized_client", 700016),
        ({}, OTHER_TENANT, 400, "invalid_request", 90002),
        ({"scope": "https://nowhere.example/.default"}, seed.TENANT, 400, "invalid_resource", 500011),
        ({"scope": "https://management.azure.com/user_impersonation"}, seed.TENANT, 400, "invalid_scope", 1002012),
        ({"scope": f"{ARM_SCOPE} openid"}, seed.TENANT, 400, "invalid_scope", 1002012),
        ({"scope": None}, seed.TENANT, 400, "invalid_request", 900144),
        ({"client_secret": None}, seed.TENANT, 400, "invalid_request", 900144),
        ({"grant_type": "password"}, seed.TENANT, 400, "unsupported_grant_type", 70003),
        ({"client_secret": None, "client_assertion": "x"}, seed.TENANT, 400, "invalid_request", 900144),
        ({"colour": "blue"}, seed.TENANT, 400, "invalid_request", 90014),
    ],
)
def test_a_refusal_names_its_error_and_its_code(
    world: World, form: dict[str, str | None], tenant: str, status: int, error: str, code: int
) -> None:
    given, body = _post(world, form, tenant)
    assert (given, body["error"], body["error_codes"]) == (status, error, [code])
    assert body["error_description"].startswith(f"AADSTS{code}: ")
    assert f"\r\nTrace ID: {body['trace_id']}\r\nCorrelation ID: {body['correlation_id']}" in body["error_description"]
    assert body["error_uri"].endswith(f"code={code}")
    assert "access_token" not in body


def test_an_expired_secret_has_an_error_of_its_own(world: World) -> None:
    world.applications[seed.CLIENT].expired_secrets.add("old")
    status, body = _post(world, {"client_secret": "old"})
    assert (status, body["error_codes"]) == (401, [7000222])


@pytest.mark.witness("audience-from-scope")
@pytest.mark.parametrize(
    ("scope", "audience"),
    [
        ("https://management.azure.com/.default", "https://management.azure.com"),
        ("https://management.core.windows.net//.default", "https://management.core.windows.net/"),
        ("https://vault.azure.net/.default", "https://vault.azure.net"),
    ],
)
def test_the_audience_is_the_scope_without_its_suffix(world: World, scope: str, audience: str) -> None:
    status, body = _post(world, {"scope": scope})
    assert status == 200
    assert jwt.decode(body["access_token"], options={"verify_signature": False})["aud"] == audience
    assert (body["token_type"], body["expires_in"], body["ext_expires_in"]) == ("Bearer", 3599, 3599)


def test_an_unknown_path_is_refused_by_name(world: World) -> None:
    answer = EntraRoom(world).answer(Call("GET", "login.microsoftonline.com", "/common/oauth2/authorize"))
    assert answer.status == 404
    assert "GET /common/oauth2/authorize" in answer.body.decode()


# --- presented tokens -----------------------------------------------------------------------------


def _fault(world: World, authorization: str | None, audiences: frozenset[str] = ARM_AUDIENCES) -> TokenFault:
    with pytest.raises(TokenFault) as caught:
        entra.check_token(world, authorization, audiences)
    return caught.value


def _arm_token(world: World, **options: Any) -> str:
    return entra.issue_token(world, seed.CLIENT, "https://management.azure.com", **options)


def test_a_good_token_names_its_principal(world: World) -> None:
    principal = entra.check_token(world, f"Bearer {_arm_token(world)}", ARM_AUDIENCES)
    app = world.applications[seed.CLIENT]
    assert (principal.object_id, principal.client_id, principal.tenant_id) == (
        app.object_id,
        seed.CLIENT,
        seed.TENANT,
    )


@pytest.mark.parametrize("authorization", [None, ""])
def test_no_token_is_missing(world: World, authorization: str | None) -> None:
    assert _fault(world, authorization).code == "Missing"


@pytest.mark.parametrize("authorization", ["Bearer", "Bearer ", "Basic abc", "Bearer abc", "Bearer a.b.c"])
def test_what_is_no_token_is_malformed(world: World, authorization: str) -> None:
    assert _fault(world, authorization).code == "Malformed"


@pytest.mark.witness("signed-tokens")
def test_a_token_signed_by_somebody_else_is_refused(world: World) -> None:
    claims = jwt.decode(_arm_token(world), options={"verify_signature": False})
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert _fault(world, f"Bearer {jwt.encode(claims, stranger, algorithm='RS256')}").code == "BadSignature"


@pytest.mark.witness("signed-tokens")
def test_a_token_whose_claims_were_changed_is_refused(world: World) -> None:
    head, body, signature = _arm_token(world).split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    claims["oid"] = OTHER_TENANT
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    assert _fault(world, f"Bearer {head}.{forged}.{signature}").code == "BadSignature"


@pytest.mark.witness("signed-tokens")
def test_a_token_without_a_signature_is_refused(world: World) -> None:
    claims = jwt.decode(_arm_token(world), options={"verify_signature": False})
    unsigned = jwt.encode(claims, "", algorithm="none")
    assert _fault(world, f"Bearer {unsigned}").code in {"Malformed", "BadSignature"}


def test_a_token_past_its_end_and_the_skew_is_expired_even_if_it_was_good_before(world: World) -> None:
    token = _arm_token(world, lifetime=-SKEW + 100)
    assert entra.check_token(world, f"Bearer {token}", ARM_AUDIENCES).client_id == seed.CLIENT
    old = _arm_token(world, lifetime=-SKEW - 100)
    fault = _fault(world, f"Bearer {old}")
    assert (fault.code, fault.expired_at) == ("Expired", jwt.decode(old, options={"verify_signature": False})["exp"])


def test_a_token_for_another_resource_is_refused_and_its_audience_told(world: World) -> None:
    fault = _fault(world, f"Bearer {_arm_token(world)}", VAULT_AUDIENCES)
    assert (fault.code, fault.audience) == ("WrongAudience", "https://management.azure.com")


def test_a_token_of_another_tenant_is_refused_and_its_tenant_told(world: World) -> None:
    token = _arm_token(world)
    elsewhere = seed.build({**seed.default_description(), "tenant": OTHER_TENANT})
    fault = _fault(elsewhere, f"Bearer {token}")
    assert (fault.code, fault.tenant) == ("WrongIssuer", seed.TENANT)


@pytest.fixture
def short_tokens(azure: RunningEmulator) -> RunningEmulator:
    azure.seed({**seed.default_description(), "token_lifetime": 60})
    return azure


def test_a_world_may_give_shorter_tokens(short_tokens: RunningEmulator) -> None:
    assert _sign_in().expires_on - time.time() < 120
