"""Shared access tokens, as Azure makes and reads them: the long form and the short one.

Decides: what a token's text says, and which key signed it. Never here: whether what it opens is open, the time now, or
a token or key in an error. Nothing is shared with keyturn, so that two independent readings of the recipe meet.

The key is used as the text it is, not decoded. What is signed is the identity, a line feed and the expiry in .NET's
round-trip form; in the short form that is the minute (or second) that stands in it (azure-recorded 7).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, TypeVar

Form = Literal["long", "short"]
Whose = TypeVar("Whose")

_LONG: Final = re.compile(r"uid=(?P<id>.+?)&ex=(?P<ex>[^&]+)&sn=(?P<sn>[A-Za-z0-9+/]+={0,2})")
_SHORT: Final = re.compile(r"(?P<id>.+)&(?P<ex>\d{12}(?:\d\d)?)&(?P<sn>[A-Za-z0-9+/]+={0,2})")
# Seven digits, and UTC with or without saying so (azure-recorded 7).
_ROUND_TRIP: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{7})Z?")
_WRAPPED: Final = re.compile(r'token="(?P<token>[^"]*)"(?:,\s*refresh="(?:true|false)")?')


class MalformedToken(ValueError):
    """The text is no token. Its message never repeats the text."""


@dataclass(slots=True, frozen=True)
class Token:
    """What a token says. `message` is what must have been signed."""

    form: Form
    identity: str
    expiry: datetime
    message: str
    signature: str = field(repr=False)

    def signer(self, keys: Iterable[tuple[Whose, str]]) -> Whose | None:
        """Whose key made this token, of the (whose, key) given; None if no key did."""
        found = [whose for whose, key in keys if hmac.compare_digest(sign(key, self.message), self.signature)]
        return found[0] if found else None


def sign(key: str, message: str) -> str:
    """Base64 of HMAC-SHA512 under the text of the key."""
    return base64.b64encode(hmac.new(key.encode(), message.encode(), hashlib.sha512).digest()).decode()


def short(identity: str, expiry: datetime, key: str, *, seconds: bool = False) -> str:
    """A short token; the expiry is cut to the minute, or to the second."""
    moment = expiry.astimezone(UTC).replace(microsecond=0)
    moment = moment if seconds else moment.replace(second=0)
    signature = sign(key, f"{identity}\n{_round_trip(moment)}")
    return f"{identity}&{moment:{'%Y%m%d%H%M%S' if seconds else '%Y%m%d%H%M'}}&{signature}"


def read(text: str) -> Token:
    """A token in either form, without any scheme before it. Raises MalformedToken."""
    if match := _LONG.fullmatch(text):
        return Token("long", match["id"], _moment(match["ex"]), f"{match['id']}\n{match['ex']}", match["sn"])
    if match := _SHORT.fullmatch(text):
        digits = match["ex"]
        try:
            moment = datetime.strptime(digits, "%Y%m%d%H%M%S" if len(digits) == 14 else "%Y%m%d%H%M")  # noqa: DTZ007
        except ValueError:
            raise MalformedToken("the expiry is no date") from None
        moment = moment.replace(tzinfo=UTC)
        return Token("short", match["id"], moment, f"{match['id']}\n{_round_trip(moment)}", match["sn"])
    raise MalformedToken("neither uid=...&ex=...&sn=... nor {id}&{yyyyMMddHHmm}&{signature}")


def unwrap(text: str) -> str:
    """The token inside the portal's `token="...",refresh="true"`; any other text as it is (azure-facts 5.1)."""
    match = _WRAPPED.fullmatch(text)
    return match["token"] if match else text


def _round_trip(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06}0Z"


def _moment(text: str) -> datetime:
    match = _ROUND_TRIP.fullmatch(text)
    try:
        return datetime.fromisoformat(f"{match[1]}.{match[2][:6]}+00:00" if match else "")
    except ValueError:
        raise MalformedToken("ex= is no time of the form yyyy-MM-ddTHH:mm:ss.fffffffZ") from None
