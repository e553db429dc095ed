"""What GatewayKeyring and ask_user_token make of answers, whichever Azure gives."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta, timezone

import pytest

from keyturn.errors import Gone, Refused
from keyturn.keyrings.users import ask_user_token
from keyturn.model import Kind, Slot
from keyturn.ports import Applied, NotApplied, Uncertain
from tests.azure.stub import Scripted, error
from tests.contracts.keyring import FRESH
from tests.keyrings.scripted import ETAG, SERVICE, Asking, gateway

EXPIRES = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
TOKEN = "gw-oslo&203001020304&c2lnbmF0dXJl"


def page(*names: str, following: str | None = None) -> Scripted:
    items = [
        {"id": f"{SERVICE}/gateways/{name}", "name": name, "properties": {"description": f"in {name}"}}
        for name in names
    ]
    return Scripted(200, {"value": items, "count": 3} | ({"nextLink": following} if following else {}))


def test_gateways_are_listed_page_after_page_and_their_tokens_name_them(asking: Asking) -> None:
    path = f"{SERVICE}/gateways"
    following = f"https://management.azure.com:443{path}?api-version=2022-08-01&%24skip=2"
    asking.answer(page("gw-oslo", "gw-bergen", following=following), page("gw-tromso"))
    found = list(asking.gateways.discover())
    assert [each.id for each in found] == [f"shop/gateways/{name}" for name in ("gw-oslo", "gw-bergen", "gw-tromso")]
    assert {(each.kind, each.identity == each.name, each.state) for each in found} == {(Kind.GATEWAY, True, "active")}
    assert found[0].key == f"{SERVICE}/gateways/gw-oslo".lower()


def test_a_tier_without_gateways_has_none_and_that_is_no_error(asking: Asking) -> None:
    asking.answer(error(400, "MethodNotAllowedInPricingTier", "Method not allowed in this pricing tier"))
    assert list(asking.gateways.discover()) == []


@pytest.mark.parametrize(
    ("answer", "raised"), [(error(404, "ServiceNotFound"), Gone), (error(400, "ValidationError"), Refused)]
)
def test_any_other_refusal_is_an_error_of_discovery(asking: Asking, answer: Scripted, raised: type[Exception]) -> None:
    asking.answer(answer)
    with pytest.raises(raised):
        list(asking.gateways.discover())


def test_what_cannot_be_set_is_not_even_sent_and_says_what_can_be_done(asking: Asking) -> None:
    asking.answer(Scripted(200))
    answers = [
        asking.gateways.set_value(gateway(), Slot.PRIMARY, FRESH, ETAG, asking.send_by()),
        asking.gateways.prove_fence(gateway(), asking.send_by()),
    ]
    for answer in answers:
        assert isinstance(answer, NotApplied) and answer.status == 405
        assert "can only be regenerated" in answer.sentence and "renew: regenerate" in answer.hint
    assert asking.asked() == []
    assert (asking.gateways.sets, asking.tenant.sets) == (False, True)


@pytest.mark.parametrize("slot", list(Slot))
def test_a_regenerate_names_its_slot_in_the_body_and_is_sent_once(asking: Asking, slot: Slot) -> None:
    asking.answer(Scripted(204))
    assert asking.gateways.regenerate(gateway(), slot, asking.send_by()) == Applied()
    assert asking.asked() == [("POST", "/gateways/gw-oslo/regenerateKey")]
    assert asking.body() == {"keyType": slot.value}


def test_a_regenerate_without_an_answer_is_uncertain_and_was_sent_once(asking: Asking) -> None:
    asking.answer(Scripted(cut=True))
    assert isinstance(asking.gateways.regenerate(gateway(), Slot.PRIMARY, asking.send_by()), Uncertain)
    assert len(asking.asked()) == 1


def test_a_gateway_id_of_any_characters_is_encoded(asking: Asking) -> None:
    asking.answer(Scripted(204))
    asking.gateways.regenerate(gateway("a/b c"), Slot.PRIMARY, asking.send_by())
    assert asking.asked() == [("POST", "/gateways/a%2Fb%20c/regenerateKey")]


def test_values_come_from_the_list_of_keys_with_its_etag(asking: Asking) -> None:
    asking.answer(Scripted(200, {"primary": "one", "secondary": "two"}, {"ETag": '"EAAAAAAAAAA="'}))
    values = asking.gateways.read_values(gateway())
    assert (values.primary.reveal(), values.secondary.reveal(), values.etag) == ("one", "two", '"EAAAAAAAAAA="')
    assert asking.asked() == [("POST", "/gateways/gw-oslo/listKeys")]


def test_an_answer_without_values_is_refused(asking: Asking) -> None:
    asking.answer(Scripted(200, {"primary": "one", "secondary": None}))
    with pytest.raises(Refused, match="holds no keys"):
        asking.gateways.read_values(gateway())


def test_gateways_sign_in_at_the_configuration_endpoint(asking: Asking) -> None:
    asking.answer(Scripted(200, {"properties": {"gatewayUrl": "https://shop-apim.azure-api.net"}}))
    assert list(asking.gateways.gateways()) == ["https://shop-apim.configuration.azure-api.net"]


@pytest.mark.parametrize("expires", [EXPIRES, EXPIRES.astimezone(timezone(timedelta(hours=2)))], ids=["UTC", "+02:00"])
def test_a_gateways_token_is_asked_for_flat_and_a_users_wrapped(asking: Asking, expires: datetime) -> None:
    asked = {"keyType": "secondary", "expiry": "2030-01-02T03:04:05.0000000Z"}
    asking.answer(Scripted(200, {"value": TOKEN}))
    assert asking.gateways.generate_token(gateway(), Slot.SECONDARY, expires).reveal() == TOKEN
    assert (asking.asked(), asking.body()) == ([("POST", "/gateways/gw-oslo/generateToken")], asked)

    asking.answer(Scripted(200, {"value": TOKEN}))
    assert ask_user_token(asking.arm, f"{SERVICE}/", "ada", Slot.SECONDARY, expires).reveal() == TOKEN
    assert (asking.asked(), asking.body()) == ([("POST", "/users/ada/token")], {"properties": asked})


@pytest.mark.parametrize("payload", [{}, {"value": None}, {"value": ""}, [TOKEN]])
def test_an_answer_without_a_token_is_refused_without_being_shown(asking: Asking, payload: object) -> None:
    asking.answer(Scripted(200, payload))
    with pytest.raises(Refused, match="holds no token") as refused:
        asking.gateways.generate_token(gateway(), Slot.PRIMARY, EXPIRES)
    assert TOKEN not in str(refused.value)


def test_no_log_record_holds_a_token(asking: Asking, caplog: pytest.LogCaptureFixture) -> None:
    asking.answer(Scripted(200, {"value": TOKEN}))
    with (
        caplog.at_level(logging.DEBUG),
        caplog.at_level(logging.DEBUG, "azure"),
        caplog.at_level(logging.DEBUG, "urllib3"),
    ):
        token = asking.gateways.generate_token(gateway(), Slot.PRIMARY, EXPIRES)
    assert caplog.records
    texts = [record.getMessage() + repr(record.__dict__) for record in caplog.records] + [repr(token)]
    assert not [text for text in texts if TOKEN in text]
