"""Signing in with a certificate: what an assertion of the application's own has to prove."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CertificateCredential, DefaultAzureCredential
from cryptography.hazmat.primitives import hashes, serialization

from keyturn_emulator import seed
from keyturn_emulator.entra import EntraRoom
from keyturn_emulator.testing import RunningEmulator, environment
from keyturn_emulator.world import World
from tests.emulator import signers
from tests.emulator.signers import Signer
from tests.emulator.token_endpoint import ARM_SCOPE, ENDPOINT, VAULT_SCOPE, code, present

OTHER = "00000000-1111-2222-3333-444444444444"


def described(*registered: Signer) -> dict[str, Any]:
    description = seed.default_description()
    del description["applications"][0]["secret"]
    description["applications"][0]["certificates"] = [signer.certificate for signer in registered]
    return description


@pytest.fixture
def world() -> World:
    return seed.build(described(signers.ours()))


def claims(**changes: Any) -> dict[str, Any]:
    right = {"aud": ENDPOINT, "iss": seed.CLIENT, "sub": seed.CLIENT, "exp": time.time() + 600.5, "jti": "1"}
    return {name: value for name, value in {**right, **changes}.items() if value is not None}


def signed(
    payload: dict[str, Any],
    by: Signer | None = None,
    under: Signer | None = None,
    algorithm: str = "RS256",
    header: dict[str, Any] | None = None,
) -> str:
    """An assertion by one signer's key, under another's thumbprint if so told."""
    key, name = by or signers.ours(), under or by or signers.ours()
    return jwt.encode(payload, key.key, algorithm, headers={"x5t": name.thumbprint()} if header is None else header)


# --- an unmodified azure-identity -----------------------------------------------------------------


@pytest.mark.witness("a-certificate-signs-in-rs256")
@pytest.mark.parametrize("chain", [False, True])
def test_azure_identity_signs_in_with_a_certificate(azure: RunningEmulator, chain: bool) -> None:
    azure.seed(described(signers.stranger(), signers.ours()))
    with CertificateCredential(
        seed.TENANT, seed.CLIENT, certificate_data=signers.ours().both, send_certificate_chain=chain
    ) as credential:
        token = credential.get_token(ARM_SCOPE).token
    assert jwt.decode(token, options={"verify_signature": False})["appidacr"] == "2"


@pytest.mark.witness("a-certificate-signs-in-rs256")
def test_a_default_credential_takes_the_certificate_that_the_environment_names(
    azure: RunningEmulator, tmp_path: Any
) -> None:
    azure.seed(described(signers.ours()))
    path = tmp_path / "rotator.pem"
    path.write_bytes(signers.ours().both)
    values = {
        "AZURE_TENANT_ID": seed.TENANT,
        "AZURE_CLIENT_ID": seed.CLIENT,
        "AZURE_CLIENT_CERTIFICATE_PATH": str(path),
    }
    with environment(values, without=("AZURE_CLIENT_SECRET",)), DefaultAzureCredential() as credential:
        assert credential.get_token(ARM_SCOPE).token


@pytest.mark.witness("an-assertion-is-good-for-several-resources")
def test_one_credential_gets_tokens_for_two_resources_with_one_assertion(azure: RunningEmulator) -> None:
    azure.seed(described(signers.ours()))
    with CertificateCredential(seed.TENANT, seed.CLIENT, certificate_data=signers.ours().both) as credential:
        both = [credential.get_token(scope).token for scope in (ARM_SCOPE, VAULT_SCOPE)]
        azure.control("POST", "switches", {"refuse_replayed_assertions": True})
        assert credential.get_token(ARM_SCOPE).token == both[0]  # from its cache: nothing is presented
    assert len({jwt.decode(token, options={"verify_signature": False})["aud"] for token in both}) == 2


@pytest.mark.witness("refused-assertions")
def test_a_certificate_that_the_application_does_not_have_is_refused(azure: RunningEmulator) -> None:
    azure.seed(described(signers.ours()))
    with (
        CertificateCredential(seed.TENANT, seed.CLIENT, certificate_data=signers.stranger().both) as credential,
        pytest.raises(ClientAuthenticationError, match=r"AADSTS700027: .*The key was not found"),
    ):
        credential.get_token(ARM_SCOPE)


@pytest.mark.witness("refused-assertions")
def test_a_certificate_that_has_expired_is_refused(azure: RunningEmulator) -> None:
    azure.seed(described(signers.expired()))
    with (
        CertificateCredential(seed.TENANT, seed.CLIENT, certificate_data=signers.expired().both) as credential,
        pytest.raises(ClientAuthenticationError, match=r"AADSTS700027: .*The key used is expired"),
    ):
        credential.get_token(ARM_SCOPE)


# --- the token endpoint, as a table ---------------------------------------------------------------


class ago(float):  # noqa: N801 - it reads as the word that it is
    """So many seconds before the test runs, which may be long after this table was made."""


@pytest.mark.witness("refused-assertions", "codes-from-memory")
@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, None),
        ({"nbf": ago(1.25)}, None),
        ({"exp": ago(100.5)}, None),  # within the skew
        ({"aud": "https://login.microsoftonline.com/common/oauth2/v2.0/token"}, 700023),
        ({"iss": OTHER}, 700021),
        ({"sub": OTHER}, 700021),
        ({"exp": ago(400.5)}, 700024),
        ({"nbf": ago(-400.5)}, 700024),
        ({"exp": "soon"}, 50027),
        ({"exp": [1]}, 50027),
        ({"exp": float("nan")}, 50027),
        ({"exp": 10**400}, 50027),
        ({"nbf": float("inf")}, 50027),
        ({"exp": 1e300}, None),
        ({"nbf": 1e300}, 700024),
        ({"iss": [seed.CLIENT]}, 700021),
        ({"exp": None}, 50027),
        ({"jti": None}, 50027),
    ],
)
def test_an_assertion_must_be_of_the_application_for_this_endpoint_and_in_time(
    world: World, changes: dict[str, Any], refused: int | None
) -> None:
    told = {name: time.time() - value if isinstance(value, ago) else value for name, value in changes.items()}
    payload = json.dumps(claims(**told)).encode()
    assertion = jwt.api_jws.encode(payload, signers.ours().key, "RS256", headers={"x5t": signers.ours().thumbprint()})
    assert code(present(world, assertion)) == refused


@pytest.mark.witness("a-certificate-signs-in-rs256")
def test_both_thumbprints_and_both_algorithms_are_taken(world: World) -> None:
    of_sha256 = {"x5t#S256": signers.ours().thumbprint(hashes.SHA256()).rstrip("=")}
    for algorithm in ("RS256", "PS256"):
        for header in (None, of_sha256, {**of_sha256, "x5t": signers.ours().thumbprint()}):
            assert code(present(world, signed(claims(), algorithm=algorithm, header=header))) is None
    assert code(present(world, signed(claims(), algorithm="RS512"))) == 700027


def test_two_thumbprints_of_different_certificates_name_none(world: World) -> None:
    header = {"x5t": signers.ours().thumbprint(), "x5t#S256": signers.stranger().thumbprint(hashes.SHA256())}
    assert code(present(world, signed(claims(), header=header))) == 700027


@pytest.mark.witness("refused-assertions")
def test_another_key_under_the_right_thumbprint_is_refused(world: World) -> None:
    answered = present(world, signed(claims(), by=signers.stranger(), under=signers.ours()))
    assert code(answered) == 700027
    assert "did not match the expected signature" in answered[1]["error_description"]


def test_an_unsigned_assertion_is_refused(world: World) -> None:
    unsigned = jwt.encode(claims(), "", algorithm="none", headers={"x5t": signers.ours().thumbprint()})
    assert code(present(world, unsigned)) == 700027


@pytest.mark.witness("a-certificate-signs-in-rs256")
def test_a_chain_that_is_not_the_certificates_own_is_refused(world: World) -> None:
    def chained(of: Signer) -> str:
        der = of.x509.public_bytes(serialization.Encoding.DER)
        header = {"x5t": signers.ours().thumbprint(), "x5c": [base64.b64encode(der).decode()]}
        return signed(claims(), header=header)

    assert code(present(world, chained(signers.ours()))) is None
    assert code(present(world, chained(signers.stranger()))) == 700027


def test_without_a_thumbprint_nobody_knows_which_certificate_it_is(world: World) -> None:
    assert code(present(world, signed(claims(), header={}))) == 50027


@pytest.mark.parametrize("text", ["", "x", "a.b.c"])
def test_what_is_no_assertion_is_malformed(world: World, text: str) -> None:
    assert code(present(world, text)) == 50027


@pytest.mark.witness("switch refuse_replayed_assertions")
def test_a_replayed_assertion_is_taken_unless_switched(world: World) -> None:
    room = EntraRoom(world)
    assertion = signed(claims())
    assert [code(present(room, assertion)) for _ in range(2)] == [None, None]
    world.switches["refuse_replayed_assertions"] = True
    assert [code(present(room, assertion)) for _ in range(2)] == [None, 700027]
    assert code(present(room, signed(claims(jti="2")))) is None


def test_no_refusal_repeats_the_assertion(world: World) -> None:
    assertion = signed(claims(), by=signers.stranger())
    status, body = present(world, assertion)
    assert status == 401
    assert not [part for part in assertion.split(".") if part in str(body)]
