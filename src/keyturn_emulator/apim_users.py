"""Users of the resource provider, and the tokens and sign-in addresses that are made for them.

Decides: what these operations answer. Never here: writing users, or what their tokens open: nothing in this emulator
accepts one.
"""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import timedelta
from typing import Final
from urllib.parse import quote

from keyturn_emulator import sas
from keyturn_emulator.apim import User
from keyturn_emulator.apim_bodies import properties_of
from keyturn_emulator.apim_forms import user as form
from keyturn_emulator.apim_gateways import read_token_wish
from keyturn_emulator.apim_manners import ACTION, LISTING, SERVICE, known, page
from keyturn_emulator.arm_routes import Row, Visit
from keyturn_emulator.propagation import Slot
from keyturn_emulator.switches import is_on
from keyturn_emulator.wire import Answer, indented_json_answer, json_answer

SIGN_IN_LIFE: Final = timedelta(minutes=5)  # azure-recorded 7


def list_users(visit: Visit) -> Answer:
    return page(visit, visit.service.users.values(), lambda item: form(visit.service, item))


def get_user(visit: Visit) -> Answer:
    user = _user(visit)
    return indented_json_answer(200, form(visit.service, user), {"ETag": user.etag})


def head_user(visit: Visit) -> Answer:
    return Answer(200, b"", {"ETag": _user(visit).etag})


def make_token(visit: Visit) -> Answer:
    """A short token; keyType and expiry stand under properties (azure-recorded 7)."""
    user = _user(visit)
    slot, expiry = read_token_wish(visit, properties_of(visit.call.body))
    seconds = is_on(visit.world, "user_tokens_with_seconds")
    return json_answer(200, {"value": sas.short(user.id, expiry, _key(visit, user, slot), seconds=seconds)})


def sign_in_address(visit: Visit) -> Answer:
    """Percent-encoded in lower-case hex, save the ampersands that part the token (azure-recorded 7)."""
    user = _user(visit)
    expiry = visit.world.clock.now() + SIGN_IN_LIFE
    seconds = is_on(visit.world, "user_tokens_with_seconds")
    parts = sas.short(user.id, expiry, _key(visit, user, "primary"), seconds=seconds).rsplit("&", 2)
    token = "%26".join(_encoded(part) for part in parts)
    return json_answer(
        200, {"value": f"https://{visit.service.name.lower()}.portal.azure-api.net/signin-sso?token={token}"}
    )


_ONE: Final = f"{SERVICE}/users/{{user}}"
_USERS: Final = f"{ACTION}/users"
ROWS: Final = (
    Row("GET", f"{SERVICE}|users", f"{_USERS}/read", list_users, LISTING),
    Row("GET", f"{_ONE}|", f"{_USERS}/read", get_user),
    Row("HEAD", f"{_ONE}|", f"{_USERS}/read", head_user),
    Row("POST", f"{_ONE}|token", f"{_USERS}/token/action", make_token, body=True),
    Row("POST", f"{_ONE}|generateSsoUrl", f"{_USERS}/generateSsoUrl/action", sign_in_address),
)


def _user(visit: Visit) -> User:
    return known(visit.service.users, visit.names["user"], "User")


def _key(visit: Visit, user: User, slot: Slot) -> str:
    """Whose key signs a user's token is not verified: see the switch (azure-facts 5.1)."""
    if is_on(visit.world, "user_tokens_by_tenant_keys"):
        return visit.service.credentials.access.keys.key(slot)
    own = hashlib.sha512(f"{visit.service.key}/users/{user.id}/{slot}".encode()).digest()
    return base64.b64encode(own).decode()


def _encoded(part: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quote(part, safe=""))
