"""Requests that no client means: each is refused as Azure's own form has it, and spoils nothing for those after it."""

from __future__ import annotations

import jwt
import pytest

from keyturn_emulator import entra, seed
from keyturn_emulator.seed import build
from keyturn_emulator.wire import Answer, Call
from tests.emulator.small_azure import CLIENT, SmallAzure, content, error_of
from tests.emulator.token_endpoint import code, present

DEEP = b"[" * 100_000 + b"]" * 100_000
HALF_A_PAIR = "\ud800"
BODIES = {
    "nested": b'{"properties":{"displayName":' + DEEP + b"}}",
    "half a pair": b'{"properties":{"displayName":"\\ud800"}}',
    "not UTF-8": b'{"properties":{"displayName":"\xff"}}',
    "a number without end": b'{"properties":{"displayName":' + b"9" * 10_000 + b"}}",
}


@pytest.fixture
def azure() -> SmallAzure:
    return SmallAzure()


def sent(azure: SmallAzure, method: str, path: str, body: bytes) -> Answer:
    token = entra.issue_token(azure.world, CLIENT, "https://management.azure.com")
    headers = {"authorization": f"Bearer {token}", "if-match": "*"}
    asked = (("api-version", "2022-08-01"),)
    return azure.arm.answer(
        Call(method, "management.azure.com", f"{azure.service.id}/{path}", asked, headers, body),
    )


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize(("method", "path"), [("PATCH", "subscriptions/contoso"), ("PUT", "namedValues/fresh")])
def test_a_body_that_cannot_be_read_is_a_400_and_later_answers_are_as_before(
    azure: SmallAzure, method: str, path: str, body: bytes
) -> None:
    before = content(azure.ask("GET", "subscriptions"))
    answer = sent(azure, method, path, body)
    assert (answer.status, error_of(answer)["code"]) == (400, "InvalidRequestContent")
    assert content(azure.ask("GET", "subscriptions")) == before


@pytest.mark.parametrize("deep", [31, 5_000])
def test_a_filter_that_is_nested_deeper_than_it_is_read_is_refused_by_name(azure: SmallAzure, deep: int) -> None:
    answer = azure.ask("GET", "subscriptions", query={"$filter": f"{'(' * deep}state eq 'active'{')' * deep}"})
    assert answer.status == 501
    assert "more than 30 parentheses" in error_of(answer)["message"]


def test_a_filter_may_be_nested_and_as_long_as_it_likes(azure: SmallAzure) -> None:
    nested = f"{'(' * 30}state eq 'active'{')' * 30}"
    answer = azure.ask("GET", "subscriptions", query={"$filter": " or ".join([nested] * 40)})
    assert answer.status == 200
    assert content(answer)["count"] > 0


@pytest.mark.parametrize("name", ["$top", "$skip"])
def test_a_number_of_thousands_of_digits_is_a_400(azure: SmallAzure, name: str) -> None:
    assert azure.ask("GET", "subscriptions", query={name: "9" * 5_000}).status == 400


@pytest.mark.parametrize(("claim", "number"), [("iss", 700211), ("sub", 700213), ("aud", 700212)])
def test_half_a_pair_in_a_presented_claim_is_refused_as_any_other_text(claim: str, number: int) -> None:
    good = {"iss": "https://token.actions.githubusercontent.com", "sub": "s", "aud": "api://AzureADTokenExchange"}
    trusted = {"issuer": "github", "subject": "s"}
    app = {"client_id": seed.CLIENT, "federated_credentials": [trusted]}
    world = build({"tenant": seed.TENANT, "applications": [app]})
    assert code(present(world, jwt.encode({**good, claim: HALF_A_PAIR}, "k" * 32))) == number
