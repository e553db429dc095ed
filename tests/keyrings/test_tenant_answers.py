"""What TenantKeyring makes of answers, whichever Azure gives: whom tokens name, what a set carries, what it trusts."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from keyturn.errors import Gone, NotSent, Refused
from keyturn.model import Kind, Secret, Slot
from keyturn.ports import Applied, NotApplied, Uncertain
from tests.azure.stub import Scripted, error
from tests.contracts.keyring import FRESH
from tests.keyrings.scripted import ETAG, LIVE, SERVICE, Asking, credential, entity, secrets

MOVED = '"AAAAAAAAC7oAAAAAAAAAAA=="'


@pytest.mark.parametrize(
    ("name", "told", "identity"),
    [
        ("access", {"principalId": "integration"}, "integration"),
        ("access", {"id": "5600b59375ff190048030003"}, "5600b59375ff190048030003"),
        ("access", {"id": "/tenant/access"}, "integration"),
        ("access", {"principalId": None, "id": None}, "integration"),
        ("access", {"principalId": "ada", "id": "5600b59375ff190048030003"}, "ada"),
        ("gitAccess", {"principalId": "git"}, "git"),
        ("gitAccess", {}, "git"),
    ],
)
def test_a_token_names_the_principal_else_a_plain_id_else_the_usual_one(
    asking: Asking, name: str, told: dict[str, Any], identity: str
) -> None:
    asking.answer(entity(name, enabled=True, **told))
    found = {each.name: each for each in asking.tenant.discover()}
    assert found[name].identity == identity


def test_each_name_is_read_by_itself_because_the_list_lists_nothing(asking: Asking) -> None:
    asking.answer(entity("access", enabled=True), entity("gitAccess", enabled=False))
    found = list(asking.tenant.discover())
    assert asking.asked() == [("GET", "/tenant/access"), ("GET", "/tenant/gitAccess")]
    assert [(each.id, each.kind, each.state) for each in found] == [
        ("shop/tenant/access", Kind.TENANT, "active"),
        ("shop/tenant/gitAccess", Kind.TENANT, "disabled"),
    ]
    assert found[0].key == f"{SERVICE}/tenant/access".lower()


def test_a_tier_without_tenant_access_has_none_and_that_is_no_error(asking: Asking) -> None:
    asking.answer(error(400, "MethodNotAllowedInPricingTier", "Method not allowed in this pricing tier"))
    assert list(asking.tenant.discover()) == []


@pytest.mark.parametrize(
    ("answer", "raised"), [(error(404, "ServiceNotFound"), Gone), (error(400, "ValidationError"), Refused)]
)
def test_any_other_refusal_is_an_error_of_discovery(asking: Asking, answer: Scripted, raised: type[Exception]) -> None:
    asking.answer(answer)
    with pytest.raises(raised):
        list(asking.tenant.discover())


@pytest.mark.parametrize("slot", list(Slot))
def test_a_set_puts_both_values_and_what_stands_there_and_nothing_else(asking: Asking, slot: Slot) -> None:
    asking.answer(secrets(enabled=False), entity())
    assert isinstance(asking.tenant.set_value(credential(), slot, FRESH, ETAG, asking.send_by()), Applied)
    assert asking.asked() == [("POST", "/tenant/access/listSecrets"), ("PUT", "/tenant/access")]
    keys = {f"{each}Key": value for each, value in {**LIVE, slot: FRESH.reveal()}.items()}
    assert asking.body() == {"properties": {"principalId": "integration", "enabled": False, **keys}}
    assert asking.if_match() == ETAG


def test_what_azure_does_not_tell_is_not_invented_by_a_set(asking: Asking) -> None:
    asking.answer(secrets(principalId=None), entity())
    asking.tenant.set_value(credential(), Slot.PRIMARY, FRESH, ETAG, asking.send_by())
    assert set(asking.body()["properties"]) == {"enabled", "primaryKey", "secondaryKey"}


@pytest.mark.parametrize("etag", [MOVED, None])
def test_a_set_on_what_has_moved_since_its_look_is_not_applied_and_puts_nothing(
    asking: Asking, etag: str | None
) -> None:
    asking.answer(secrets(etag=etag), entity())
    answer = asking.tenant.set_value(credential(), Slot.PRIMARY, FRESH, ETAG, asking.send_by())
    assert isinstance(answer, NotApplied) and (answer.status, answer.code) == (412, "PreconditionFailed")
    assert asking.asked() == [("POST", "/tenant/access/listSecrets")]


def test_a_set_whose_list_answers_no_keys_was_not_sent(asking: Asking) -> None:
    asking.answer(Scripted(200, {"primaryKey": None, "secondaryKey": None, "enabled": True}, {"ETag": ETAG}))
    with pytest.raises(NotSent):
        asking.tenant.set_value(credential(), Slot.PRIMARY, FRESH, ETAG, asking.send_by())
    assert asking.asked() == [("POST", "/tenant/access/listSecrets")]


@pytest.mark.parametrize(
    "answer",
    [error(403, "AuthorizationFailed", "no"), error(404, "ResourceNotFound")],
    ids=["refused", "gone"],
)
def test_a_set_whose_list_is_refused_is_refused_and_nothing_is_put(asking: Asking, answer: Scripted) -> None:
    asking.answer(answer)
    told = asking.tenant.set_value(credential(), Slot.PRIMARY, FRESH, ETAG, asking.send_by())
    assert isinstance(told, NotApplied) and told.status == answer.status
    assert asking.asked() == [("POST", "/tenant/access/listSecrets")]


def test_a_set_that_is_too_late_asks_for_no_values(asking: Asking) -> None:
    asking.answer(secrets(), entity())
    with pytest.raises(NotSent):
        asking.tenant.set_value(credential(), Slot.PRIMARY, FRESH, ETAG, asking.too_late())
    assert asking.asked() == []


@pytest.mark.parametrize(
    ("echo", "etag", "trusted"),
    [
        ({"primaryKey": FRESH.reveal(), "secondaryKey": LIVE[Slot.SECONDARY]}, MOVED, True),
        ({"primaryKey": "somebody else's", "secondaryKey": LIVE[Slot.SECONDARY]}, MOVED, False),
        ({"primaryKey": FRESH.reveal(), "secondaryKey": LIVE[Slot.SECONDARY]}, "", False),
        ({"primaryKey": None, "secondaryKey": None}, MOVED, False),
        ({}, MOVED, False),
    ],
    ids=["the value", "another value", "no ETag", "nulls", "no keys"],
)
def test_an_echo_counts_only_if_it_shows_the_value_that_was_sent_and_an_etag(
    asking: Asking, echo: dict[str, Any], etag: str, trusted: bool
) -> None:
    echoing = entity(etag=etag, **echo)
    if not etag:
        echoing.headers = {}
    asking.answer(secrets(), echoing)
    answer = asking.tenant.set_value(credential(), Slot.PRIMARY, FRESH, ETAG, asking.send_by())
    assert isinstance(answer, Applied)
    if trusted:
        assert answer.values is not None
        assert (answer.values.primary, answer.values.etag) == (FRESH, MOVED)
    else:
        assert answer.values is None


def test_a_put_without_an_answer_is_uncertain_and_was_sent_once(asking: Asking) -> None:
    asking.answer(secrets(), Scripted(cut=True))
    answer = asking.tenant.set_value(credential(), Slot.PRIMARY, FRESH, ETAG, asking.send_by())
    assert isinstance(answer, Uncertain)
    assert [method for method, _ in asking.asked()] == ["POST", "PUT"]


def test_a_refusal_that_quotes_both_values_is_passed_on_without_them(
    asking: Asking, caplog: pytest.LogCaptureFixture
) -> None:
    quoted = error(400, "ValidationError", f"{FRESH.reveal()} and {LIVE[Slot.SECONDARY]} are wrong")
    asking.answer(secrets(), quoted)
    with caplog.at_level(logging.DEBUG):
        answer = asking.tenant.set_value(credential(), Slot.PRIMARY, FRESH, ETAG, asking.send_by())
    assert isinstance(answer, NotApplied) and "are wrong" in answer.sentence
    told = [repr(answer), *(record.getMessage() for record in caplog.records)]
    forbidden = [FRESH, *(Secret(value) for value in LIVE.values())]
    assert not [text for text in told for secret in forbidden if secret.reveal() in text]


@pytest.mark.parametrize(
    ("name", "slot", "path"),
    [
        ("access", Slot.PRIMARY, "/tenant/access/regeneratePrimaryKey"),
        ("access", Slot.SECONDARY, "/tenant/access/regenerateSecondaryKey"),
        ("gitAccess", Slot.PRIMARY, "/tenant/gitAccess/git/regeneratePrimaryKey"),
        ("gitAccess", Slot.SECONDARY, "/tenant/gitAccess/git/regenerateSecondaryKey"),
    ],
)
def test_each_name_regenerates_under_its_own_path(asking: Asking, name: str, slot: Slot, path: str) -> None:
    asking.answer(Scripted(204))
    assert asking.tenant.regenerate(credential(name), slot, asking.send_by()) == Applied()
    assert asking.asked() == [("POST", path)]


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("live", ['"AAAAAAAAAAEAAAAAAAAAAA=="', ETAG])
def test_the_fence_is_proven_by_the_put_that_sets_with_what_is_live_and_an_etag_that_is_wrong(
    asking: Asking, enabled: bool, live: str
) -> None:
    asking.answer(secrets(etag=live, enabled=enabled), error(412, "PreconditionFailed"))
    answer = asking.tenant.prove_fence(credential(), asking.send_by())
    assert isinstance(answer, NotApplied) and answer.status == 412
    assert asking.asked() == [("POST", "/tenant/access/listSecrets"), ("PUT", "/tenant/access")]
    told = asking.body()["properties"]
    assert (told["primaryKey"], told["secondaryKey"]) == (LIVE[Slot.PRIMARY], LIVE[Slot.SECONDARY])
    assert told["enabled"] is enabled
    assert asking.if_match() != live
    assert len(asking.if_match() or "") == len(ETAG)


def test_a_fence_that_does_not_hold_is_answered_as_applied(asking: Asking) -> None:
    asking.answer(secrets(), entity(enabled=True))
    assert asking.tenant.prove_fence(credential(), asking.send_by()) == Applied()


def test_no_fence_is_proven_where_azure_does_not_tell_what_would_change_nothing(asking: Asking) -> None:
    asking.answer(*[error(503, "ServiceUnavailable")] * 9)
    with pytest.raises(NotSent):
        asking.tenant.prove_fence(credential(), asking.send_by())
    assert set(asking.asked()) == {("POST", "/tenant/access/listSecrets")}


def test_whom_azure_does_not_let_read_it_refuses_and_nothing_is_put(asking: Asking) -> None:
    asking.answer(error(403, "AuthorizationFailed"))
    answer = asking.tenant.prove_fence(credential(), asking.send_by())
    assert isinstance(answer, NotApplied) and answer.status == 403
    assert asking.asked() == [("POST", "/tenant/access/listSecrets")]


@pytest.mark.parametrize("on", [True, False])
def test_enabling_patches_enabled_alone_once_and_fenced(asking: Asking, on: bool) -> None:
    asking.answer(entity(enabled=on, primaryKey=LIVE[Slot.PRIMARY], secondaryKey=LIVE[Slot.SECONDARY]))
    assert asking.tenant.enable(credential(), on, ETAG, asking.send_by()) == Applied()
    assert asking.asked() == [("PATCH", "/tenant/access")]
    assert asking.body() == {"properties": {"enabled": on}}
    assert asking.if_match() == ETAG


@pytest.mark.parametrize(
    ("told", "endpoint"),
    [
        (
            {"gatewayUrl": "https://shop-apim.azure-api.net", "managementApiUrl": "https://shop.own.example/"},
            "https://shop.own.example",
        ),
        ({"gatewayUrl": "https://shop-apim.azure-api.net"}, "https://shop-apim.management.azure-api.net"),
        (
            {"gatewayUrl": "https://shop-apim.azure-api.cn", "managementApiUrl": None},
            "https://shop-apim.management.azure-api.cn",
        ),
    ],
)
def test_the_management_endpoint_is_the_services_own_word_or_derived_in_its_cloud(
    asking: Asking, told: dict[str, Any], endpoint: str
) -> None:
    asking.answer(Scripted(200, {"properties": told}))
    assert list(asking.tenant.gateways()) == [endpoint]


def test_a_service_that_names_no_address_is_refused_rather_than_guessed(asking: Asking) -> None:
    asking.answer(Scripted(200, {"properties": {"gatewayUrl": None}}))
    with pytest.raises(Refused, match="management address is not known"):
        asking.tenant.gateways()
