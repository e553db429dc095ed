"""Whom a token names. Decides what is shown of it: ids and names, never the token.

A token is opaque to its bearer by contract, so nothing but a sentence for people may rest on this; one that cannot be
read names nobody. Never here: a check of its signature, which is not ours to make.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, NamedTuple

import msgspec

from keyturn.azure.answers import LONGEST_NAME, printable
from keyturn.model import Secret


class Named(NamedTuple):
    """Who is signed in. Any of them may be empty."""

    app: str = ""
    object_id: str = ""
    tenant: str = ""
    person: str = ""

    @property
    def sentence(self) -> str:
        """For people, as far as it is known."""
        who = self.person or (f"app {self.app}" if self.app else "somebody whom the token does not name")
        inside = f" (object {self.object_id})" if self.object_id else ""
        return f"{who}{inside}{f', tenant {self.tenant}' if self.tenant else ''}"


def named(token: Secret) -> Named:
    """Whom an access token of Entra names."""
    claims = _claims(token)

    def first(*names: str) -> str:
        return next((printable(claims[name], LONGEST_NAME) for name in names if isinstance(claims.get(name), str)), "")

    return Named(
        app=first("appid", "azp"),
        object_id=first("oid"),
        tenant=first("tid"),
        person=first("upn", "preferred_username", "unique_name"),
    )


def _claims(token: Secret) -> dict[str, Any]:
    parts = token.reveal().split(".")
    if len(parts) != 3:
        return {}
    body = parts[1] + "=" * (-len(parts[1]) % 4)
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(body))
    except (ValueError, binascii.Error, msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
