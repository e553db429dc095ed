"""Asking the token endpoint of Entra's room directly, as the rotator, with a client assertion."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from keyturn_emulator import entra, seed
from keyturn_emulator.entra import EntraRoom
from keyturn_emulator.wire import Call
from keyturn_emulator.world import World

ENDPOINT = f"https://login.microsoftonline.com/{seed.TENANT}/oauth2/v2.0/token"
ARM_SCOPE = "https://management.azure.com/.default"
VAULT_SCOPE = "https://vault.azure.net/.default"


def present(room: EntraRoom | World, assertion: str, scope: str = ARM_SCOPE) -> tuple[int, dict[str, Any]]:
    """Status and body of a token request with this assertion."""
    form = {
        "grant_type": "client_credentials",
        "client_id": seed.CLIENT,
        "client_assertion": assertion,
        "client_assertion_type": entra.ASSERTION_TYPE,
        "scope": scope,
    }
    path = f"/{seed.TENANT}/oauth2/v2.0/token"
    asked = room if isinstance(room, EntraRoom) else EntraRoom(room)
    answer = asked.answer(Call("POST", entra.LOGIN, path, body=urlencode(form).encode()))
    return answer.status, json.loads(answer.body)


def code(answered: tuple[int, dict[str, Any]]) -> int | None:
    """The AADSTS code of a refusal; None for a token."""
    status, body = answered
    if status == 200:
        assert body["access_token"]
        return None
    (number,) = body["error_codes"]
    assert "access_token" not in body
    return int(number)
