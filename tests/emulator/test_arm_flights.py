"""Parallel writes under one product or owner: the first wins, the others get 412 (azure-facts 1.5)."""

from __future__ import annotations

import json

import pytest

from keyturn_emulator import entra
from keyturn_emulator.wire import Answer, Call
from tests.emulator.small_azure import CLIENT, SmallAzure, error_of

BODY = b'{"properties": {"scope": "/products/gold", "displayName": "New"}}'


@pytest.fixture
def azure() -> SmallAzure:
    azure = SmallAzure()
    azure.service.add_subscription("tailspin", scope="/products/gold", display_name="Tailspin")
    azure.service.add_subscription("ada-too", scope="/apis/news", display_name="Ada's", owner="ada")
    azure.service.add_subscription("other", scope="/products/vetted", display_name="Other")
    return azure


def call(azure: SmallAzure, method: str, sid: str, body: bytes = BODY, match: str = "*") -> Call:
    token = entra.issue_token(azure.world, CLIENT, "https://management.azure.com")
    headers = {"authorization": f"Bearer {token}"} | ({"if-match": match} if method in {"PATCH", "DELETE"} else {})
    path = f"{azure.service.id}/subscriptions/{sid}"
    return Call(method, "management.azure.com", path, (("api-version", "2022-08-01"),), headers, body)


RENAME = b'{"properties": {"displayName": "Renamed"}}'


@pytest.mark.witness("412-for-parallel-writes-of-an-owner")
@pytest.mark.parametrize("sid", ["contoso", "tailspin", "ada-too"])
def test_a_write_that_shares_product_or_owner_with_one_under_way_is_a_412_and_changes_nothing(
    azure: SmallAzure, sid: str
) -> None:
    before = azure.etag(sid)
    with azure.arm.flights.flight(call(azure, "PATCH", "contoso", RENAME)):
        refused = azure.patch(sid, {"displayName": "Renamed"}, before)
    assert refused.status == 412
    assert error_of(refused)["code"] == "PreconditionFailed"
    assert azure.etag(sid) == before, "the ETag did not move: that is how a caller tells this from a real change"
    assert azure.patch(sid, {"displayName": "Renamed"}, before).status == 200


@pytest.mark.witness("412-for-parallel-writes-of-an-owner")
@pytest.mark.parametrize("moved", ["scope", "ownerId"])
@pytest.mark.parametrize("first", [True, False])
def test_a_write_that_moves_to_another_product_or_owner_shares_that_one_too(
    azure: SmallAzure, moved: str, first: bool
) -> None:
    move = {"scope": "/products/gold", "ownerId": "/users/ada"}[moved]
    moving = call(azure, "PATCH", "other", json.dumps({"properties": {moved: move}}).encode())
    beside = call(azure, "PATCH", "contoso", RENAME)
    under_way, refused = (moving, beside) if first else (beside, moving)
    with azure.arm.flights.flight(under_way):
        assert azure.arm.answer(refused).status == 412
    assert azure.arm.answer(refused).status == 200


@pytest.mark.witness("requests-take-no-time")
def test_parallel_creates_under_one_product_let_the_first_win(azure: SmallAzure) -> None:
    first = call(azure, "PUT", "one")
    with azure.arm.flights.flight(first):
        second = azure.arm.answer(call(azure, "PUT", "two"))
        own = azure.arm.answer(first)
    assert (second.status, own.status) == (412, 201)


def test_writes_elsewhere_reads_and_regenerates_are_not_held_up(azure: SmallAzure) -> None:
    with azure.arm.flights.flight(call(azure, "PATCH", "contoso", RENAME)):
        answers: list[Answer] = [
            azure.patch("other", {"displayName": "Renamed"}),
            azure.patch("fabrikam", {"displayName": "Renamed"}),
            azure.ask("GET", "subscriptions/tailspin"),
            azure.ask("POST", "subscriptions/tailspin/regeneratePrimaryKey"),
        ]
    assert [answer.status for answer in answers] == [200, 200, 200, 204]


@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("PUT", b"not json"), ("DELETE", b"")])
def test_what_is_no_write_or_cannot_be_read_holds_up_nothing(azure: SmallAzure, method: str, body: bytes) -> None:
    with azure.arm.flights.flight(call(azure, method, "brand-new", body)):
        assert azure.patch("contoso", {"displayName": "Renamed"}).status == 200
