"""Tokens that Azure signs for a user of an API Management service (azure-facts 5.4).

A user is no credential: nothing here can be rotated. Decides how one asks. Never here: a token made by ourselves.
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from keyturn.azure.pipeline import Arm
from keyturn.keyrings.service import API_VERSION, round_trip, token
from keyturn.model import Secret, Slot


def ask_user_token(
    arm: Arm, service_id: str, user: str, slot: Slot, expires: datetime, *, api_version: str = API_VERSION
) -> Secret:
    """A token that Azure signs for `user`, whose id stands in it, until `expires` (at most 30 days ahead).

    It changes nothing; Azure charges it as a write. Raises TryAgain, Refused, Gone.
    """
    what = f"ask for a token of the user {user}"
    path = f"{quote(service_id.rstrip('/'), safe='/')}/users/{quote(user, safe='')}/token"
    body = {"properties": {"keyType": slot.value, "expiry": round_trip(expires)}}
    return token(arm.ask(path, api_version=api_version, what=what, body=body), what)
