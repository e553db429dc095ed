"""Signing in with azure-identity's own credentials, and what its refusals say to a person."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import AzureAuthorityHosts, ClientSecretCredential, DefaultAzureCredential
from azure.mgmt.core.tools import get_arm_endpoints

from keyturn.azure.cloud import CHINA, CLOUDS, PUBLIC, USGOV, Cloud
from keyturn.azure.signin import DEFAULT, Identity, SignIn, credential, explain
from keyturn.errors import KeyturnError, Misconfigured, Refused, TryAgain
from keyturn.model import Secret
from keyturn_emulator import seed
from keyturn_emulator.testing import RunningEmulator, environment

SCOPE = PUBLIC.arm_scope
WRONG = Secret("a-wrong-client-secret")


@pytest.fixture(scope="module")
def process() -> Iterator[RunningEmulator]:
    with RunningEmulator.start() as running:
        yield running


@pytest.fixture
def azure(process: RunningEmulator) -> Iterator[RunningEmulator]:
    process.seed(seed.default_description())
    with environment(process.env):
        yield process


def sign_in(azure: RunningEmulator, **changes: Any) -> SignIn:
    ready = azure.ready
    right = SignIn(tenant=ready["tenant"], client_id=ready["client_id"], secret=Secret(ready["client_secret"]))
    return msgspec.structs.replace(right, **changes)


def test_a_token_is_fetched_once_and_used_again(azure: RunningEmulator) -> None:
    identity = Identity(sign_in(azure), PUBLIC)
    assert identity.token(SCOPE) == identity.token(SCOPE)
    assert sum(call["method"] == "POST" for call in azure.calls("entra")) == 1


def test_a_forgotten_token_is_fetched_anew(azure: RunningEmulator) -> None:
    identity = Identity(sign_in(azure), PUBLIC)
    identity.token(SCOPE)
    identity.forget()
    identity.token(SCOPE)
    assert sum(call["method"] == "POST" for call in azure.calls("entra")) == 2


def test_the_secret_may_stand_in_an_environment_variable(
    azure: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROTATOR_SECRET", azure.ready["client_secret"])
    identity = Identity(sign_in(azure, secret=None, secret_env="ROTATOR_SECRET"), PUBLIC)
    assert identity.token(SCOPE).reveal()


def test_an_unset_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROTATOR_SECRET", raising=False)
    with pytest.raises(Misconfigured, match="ROTATOR_SECRET"):
        credential(SignIn(tenant="t", client_id="c", secret_env="ROTATOR_SECRET"), PUBLIC)


def test_a_secret_without_its_app_is_a_configuration_error() -> None:
    with pytest.raises(Misconfigured, match="tenant and client_id"):
        credential(SignIn(secret=WRONG), PUBLIC)


def test_a_secret_chooses_the_secret_credential_and_none_the_default_chain() -> None:
    chosen = credential(SignIn(tenant="t", client_id="c", secret=WRONG), PUBLIC)
    assert isinstance(chosen, ClientSecretCredential)
    assert isinstance(credential(DEFAULT, PUBLIC), DefaultAzureCredential)


NOBODY = "9d0c2b7e-6a41-4c8e-b7f5-3e1d0a9c8b76"
REFUSALS: list[tuple[dict[str, Any], type[KeyturnError], str]] = [
    ({"secret": WRONG}, Refused, "AADSTS7000215"),
    ({"client_id": NOBODY}, Misconfigured, "AADSTS700016"),
    ({"tenant": NOBODY}, Misconfigured, NOBODY),
]


@pytest.mark.parametrize(("changes", "kind", "words"), REFUSALS, ids=[words for _, _, words in REFUSALS])
def test_what_entra_refuses_is_explained_without_the_secret(
    azure: RunningEmulator,
    changes: dict[str, Any],
    kind: type[KeyturnError],
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        caplog.at_level(logging.DEBUG),
        caplog.at_level(logging.DEBUG, "azure"),
        pytest.raises(kind, match=words) as raised,
    ):
        Identity(sign_in(azure, **changes), PUBLIC).token(SCOPE)
    assert raised.value.hint
    texts = [str(raised.value), raised.value.hint, *(repr(record.__dict__) for record in caplog.records)]
    forbidden = (WRONG.reveal(), azure.ready["client_secret"])
    assert not [text for text in texts for secret in forbidden if secret in text]


def test_an_unreachable_authority_is_tried_again_later(azure: RunningEmulator) -> None:
    azure.fault("drop", {"host": "login.microsoftonline.com"}, times=-1)
    with pytest.raises(TryAgain, match="cannot reach"):
        Identity(sign_in(azure), PUBLIC).token(SCOPE)


def test_a_code_that_nobody_foresaw_is_refused_with_a_place_to_look_it_up() -> None:
    error = explain(ClientAuthenticationError("AADSTS53003: Access has been blocked"), DEFAULT, PUBLIC)
    assert isinstance(error, Refused)
    assert error.code == "AADSTS53003" and "53003" in error.hint


def test_what_stands_in_the_environment_is_read_anew_after_a_failure(
    azure: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROTATOR_SECRET", WRONG.reveal())
    identity = Identity(sign_in(azure, secret=None, secret_env="ROTATOR_SECRET"), PUBLIC)
    with pytest.raises(Refused):
        identity.token(SCOPE)
    monkeypatch.setenv("ROTATOR_SECRET", azure.ready["client_secret"])
    assert identity.token(SCOPE).reveal()


def test_nothing_to_sign_in_with_says_what_to_do() -> None:
    error = explain(ClientAuthenticationError("DefaultAzureCredential failed"), DEFAULT, PUBLIC)
    assert isinstance(error, Misconfigured) and "az login" in error.hint


@pytest.mark.parametrize("cloud", [PUBLIC, CHINA, USGOV], ids=lambda cloud: cloud.name)
def test_our_clouds_agree_with_microsofts_own_tables(cloud: Cloud) -> None:
    from azure.core import AzureClouds

    theirs = {
        "public": (AzureClouds.AZURE_PUBLIC_CLOUD, AzureAuthorityHosts.AZURE_PUBLIC_CLOUD),
        "china": (AzureClouds.AZURE_CHINA_CLOUD, AzureAuthorityHosts.AZURE_CHINA),
        "usgov": (AzureClouds.AZURE_US_GOVERNMENT, AzureAuthorityHosts.AZURE_GOVERNMENT),
    }
    setting, host = theirs[cloud.name]
    endpoints = get_arm_endpoints(setting)
    assert f"{cloud.arm}/" == endpoints["resource_manager"]
    assert [cloud.arm_scope] == endpoints["credential_scopes"]
    assert cloud.authority == f"https://{host}"
    assert CLOUDS[cloud.name] is cloud


def test_a_vaults_name_becomes_its_address_and_an_address_stays() -> None:
    assert PUBLIC.vault_url("shop-kv") == "https://shop-kv.vault.azure.net"
    assert PUBLIC.vault_url("https://own.example/") == "https://own.example"
