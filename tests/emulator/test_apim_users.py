"""Users at the resource provider: reading them, and the tokens and addresses made for them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from keyturn_emulator.propagation import SLOTS, Slot
from tests.emulator.small_azure import NOBODY, SmallAzure, content, error_of

EXPIRY = "2026-01-20T03:04:05.9876543Z"


def token(azure: SmallAzure, user: str = "ada", **properties: Any) -> str:
    wish = {"keyType": "primary", "expiry": EXPIRY} | properties
    answer = azure.ask("POST", f"users/{user}/token", {"properties": wish})
    assert answer.status == 200
    assert "ETag" not in answer.headers
    return str(content(answer)["value"])


def signature(key: str, moment: str) -> str:
    """With plain hmac calls, apart from the emulator's own."""
    return base64.b64encode(hmac.new(key.encode(), f"ada\n{moment}".encode(), hashlib.sha512).digest()).decode()


def test_one_user_is_read_with_a_tag_of_two_rowversions() -> None:
    azure = SmallAzure()
    answer = azure.ask("GET", "users/ada")
    assert content(answer)["properties"]["email"] == "ada@example.org"
    tag = base64.b64decode(answer.headers["ETag"].strip('"'), validate=True)
    assert len(tag) == 16
    assert 0 < int.from_bytes(tag[:8], "big") < int.from_bytes(tag[8:], "big")
    head = azure.ask("HEAD", "users/ADA")
    assert (head.status, head.body, head.headers["ETag"]) == (200, b"", answer.headers["ETag"])
    missing = azure.ask("GET", "users/nobody")
    assert (missing.status, error_of(missing)["message"]) == (404, "User not found.")


@pytest.mark.witness("switch user_tokens_by_tenant_keys")
@pytest.mark.parametrize("slot", SLOTS)
def test_a_users_token_is_signed_with_the_tenants_key_of_its_type_unless_switched(slot: Slot) -> None:
    azure = SmallAzure()
    keys = azure.service.credentials.access.keys
    made = token(azure, keyType=slot)
    tenants = {name: signature(keys.key(name), "2026-01-20T03:04:00.0000000Z") for name in SLOTS}
    assert made == f"ada&202601200304&{tenants[slot]}"
    azure.world.switches["user_tokens_by_tenant_keys"] = False
    other = token(azure, keyType=slot)
    assert other.startswith("ada&202601200304&")
    assert not any(other.endswith(one) for one in tenants.values())


@pytest.mark.witness("switch user_tokens_with_seconds")
def test_the_expiry_in_a_users_token_has_twelve_digits_and_fourteen_when_switched() -> None:
    azure = SmallAzure(switches={"user_tokens_with_seconds": True})
    key = azure.service.credentials.access.keys.primary
    assert token(azure) == f"ada&20260120030405&{signature(key, '2026-01-20T03:04:05.0000000Z')}"
    azure.world.switches["user_tokens_with_seconds"] = False
    assert token(azure).split("&")[1] == "202601200304"


@pytest.mark.witness("expiry-of-a-gateways-token")
def test_a_users_token_lives_thirty_days_at_most() -> None:
    answer = SmallAzure().ask(
        "POST", "users/ada/token", {"properties": {"keyType": "primary", "expiry": "2026-03-01T00:00:00Z"}}
    )
    assert (answer.status, error_of(answer)["details"][0]["target"]) == (400, "expiry")


def test_a_users_wish_stands_under_properties() -> None:
    flat = SmallAzure().ask("POST", "users/ada/token", {"keyType": "primary", "expiry": EXPIRY})
    assert (flat.status, error_of(flat)["code"]) == (400, "InvalidRequestContent")


@pytest.mark.witness("users-get-and-head")
def test_a_sign_in_address_holds_a_token_of_five_minutes_in_lower_case_hex() -> None:
    azure = SmallAzure()
    address = str(content(azure.ask("POST", "users/ada/generateSsoUrl"))["value"])
    parts = urlsplit(address)
    assert (parts.netloc, parts.path) == ("shop-apim.portal.azure-api.net", "/signin-sso")
    made = parse_qs(parts.query)["token"][0]
    key = azure.service.credentials.access.keys.primary
    assert made == f"ada&202601050805&{signature(key, '2026-01-05T08:05:00.0000000Z')}"
    encoded = parts.query.removeprefix("token=")
    assert unquote(encoded) == made
    assert "%3d%3d" in encoded


@pytest.mark.witness("each-operation-asks-for-the-action")
@pytest.mark.parametrize("action", ["token", "generateSsoUrl"])
def test_tokens_and_addresses_of_users_need_their_own_action(action: str) -> None:
    refused = SmallAzure().ask("POST", f"users/ada/{action}", client=NOBODY)
    assert refused.status == 403
    assert f"'Microsoft.ApiManagement/service/users/{action}/action'" in error_of(refused)["message"]
