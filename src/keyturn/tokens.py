"""Tokens that are made from keys: how they are written, read, and checked. Three forms, one signature.

A token is a text of three parts: whom it names, until when it is good, and the HMAC-SHA512 over both, in base64, under
the key's own text (never decoded first). What is signed is the identity, a line feed, and the expiry as .NET writes a
UTC time (azure-recorded 7, azure-facts 5.1):

    long      SharedAccessSignature uid={identity}&ex={expiry}&sn={signature}
    short     SharedAccessSignature {identity}&{yyyyMMddHHmm}&{signature}
    gateway   GatewayKey {identity}&{yyyyMMddHHmm}&{signature}

The short forms sign their minute as the long one writes it. That is recorded for gateway tokens; for others it is
likely, and proven nowhere (azure-facts 5.1).

Never here: a clock, a key's origin, or a word about where a token is accepted. No error repeats any of a token.
"""

from __future__ import annotations

import binascii
import hmac
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec

from keyturn.errors import Malformed, NeedsPerson
from keyturn.model import Secret

__all__ = [
    "LONGEST_LIFE",
    "Form",
    "Malformed",
    "Token",
    "bare",
    "check_life",
    "create",
    "expiry",
    "fits",
    "parse",
    "verify",
]

LONGEST_LIFE: Final = timedelta(days=30)
"""Azure signs none for longer, and its portal offers none; of self-signed ones nobody knows (azure-facts 5.1)."""

LONGEST_IDENTITY: Final = 80
"""User and gateway ids have 1 to 80 characters (azure-facts 1.2)."""

SHAPES: Final = (
    "A token reads `SharedAccessSignature uid=…&ex=…&sn=…`, `SharedAccessSignature id&yyyyMMddHHmm&…` "
    "or `GatewayKey id&yyyyMMddHHmm&…`; copy the whole of it, and decode %26 and the like first."
)


class Form(StrEnum):
    """How a token is written, and which scheme word stands before it."""

    LONG = "long"
    SHORT = "short"
    GATEWAY = "gateway"


class Token(msgspec.Struct, frozen=True):
    """What a token says. Nothing in it is to be believed before `verify`."""

    form: Form
    """A short token without its scheme word counts as SHORT: the word alone tells a gateway's."""
    identity: str
    expires: datetime
    """UTC, to the microsecond."""
    signature: Secret
    """As it stands, in base64."""
    stated: str
    """The expiry as it stands: what was signed follows from these very characters."""


# -------- written


def create(form: Form, identity: str, key: Secret, expires: datetime) -> Secret:
    """The whole header value, scheme word included. `expires` is an aware time; short forms drop its seconds.

    Raises Malformed for an identity that no token can carry, an empty key, and a time without a zone.
    """
    if not fits(form, identity):
        raise Malformed(
            f"this identity fits no {form} token: 1 to {LONGEST_IDENTITY} printable ASCII characters, no space at "
            f"either end, and nothing that reads like a part of a token",
            hint="It is `integration` for the management API, and a gateway's or a user's id for theirs.",
        )
    if expires.tzinfo is not UTC:
        expires = _in_utc(expires)
    # a table of two-digit texts is several times as fast as strftime, and twice as fast as isoformat
    century, year = divmod(expires.year, 100)
    minute = (
        f"{_TWO[century]}{_TWO[year]}-{_TWO[expires.month]}-{_TWO[expires.day]}"
        f"T{_TWO[expires.hour]}:{_TWO[expires.minute]}"
    )
    if form is _LONG:
        # .NET writes seven digits of a second, always; we know six (azure-facts 5.1)
        fraction = f"{expires.microsecond:06}0" if expires.microsecond else "0000000"
        stated = f"{minute}:{_TWO[expires.second]}.{fraction}Z"
        return Secret(f"SharedAccessSignature uid={identity}&ex={stated}&sn={_sign(key, identity, stated)}")
    signature = _sign(key, identity, f"{minute}:00.0000000Z")
    word = "SharedAccessSignature" if form is _SHORT else "GatewayKey"
    digits = minute.replace("-", "").replace("T", "").replace(":", "")
    return Secret(f"{word} {identity}&{digits}&{signature}")


def bare(token: Secret) -> Secret:
    """The token without its scheme word, as Azure's own generateToken and users/token answer it."""
    return Secret(_split_scheme(token.reveal())[1])


def fits(form: Form, identity: str) -> bool:
    """Whether a token of that form can name this identity, and be read again."""
    return _fits_long(identity) if form is _LONG else _fits_short(identity)


def _carried(identity: str) -> bool:
    """Tokens travel in headers: printable ASCII, no space at either end."""
    return identity.isascii() and identity.isprintable() and 0 < len(identity.strip()) == len(identity)


@lru_cache(maxsize=256)
def _fits_long(identity: str) -> bool:
    """Nothing in it that a reader takes for the end of it. Remembered: identities are few, and no secrets."""
    return (
        _carried(identity) and len(identity) <= LONGEST_IDENTITY and "&ex=" not in identity and "&sn=" not in identity
    )


@lru_cache(maxsize=256)
def _fits_short(identity: str) -> bool:
    """It does not begin as another form does. It may hold `&`: a short token is read from the right."""
    return _carried(identity) and len(identity) <= LONGEST_IDENTITY and not identity.lower().startswith(_OTHER_STARTS)


def _sign(key: Secret, identity: str, moment: str) -> str:
    """Base64 of the HMAC-SHA512 under the key's UTF-8 text; it looks like base64, and is not decoded first."""
    text = key.reveal()
    if not text:
        raise Malformed("an empty key signs nothing", hint="Give the primary or the secondary key, all of it.")
    try:
        key_bytes = text.encode()
    except UnicodeEncodeError:  # a variable of the environment may hold any bytes
        raise Malformed("this key is no text", hint="Copy it anew: keys are letters, digits and a few signs.") from None
    signed = hmac.digest(key_bytes, f"{identity}\n{moment}".encode(), "sha512")
    return binascii.b2a_base64(signed, newline=False).decode()


def _in_utc(moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        raise Malformed("this expiry has no time zone", hint="Give it one: tokens count in UTC.")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        pass
    raise Malformed("this expiry is beyond the calendar", hint="Choose a nearer one.")


# -------- read


def parse(text: str) -> Token:
    """What a token says, from a header's value, a setting's, or a portal's wrapping (`token="…",refresh="true"`).

    The scheme word may be missing. Raises Malformed.
    """
    scheme, body = _split_scheme(text.strip())
    wrapped = _WRAPPED.fullmatch(body)
    if wrapped is not None:
        inner, body = _split_scheme(wrapped[1])
        scheme = scheme or inner
    if body.startswith(_LONG_START):
        form = Form.LONG
        # base64 and identities may hold `=` and `&`: the first marks count (azure-facts 5.1)
        identity, _, rest = body.removeprefix(_LONG_START).partition("&ex=")
        stated, _, signature = rest.partition("&sn=")
        expires = _long_expiry(stated)
    else:
        form = Form.GATEWAY if scheme == _GATEWAY_WORD else Form.SHORT
        # an id may hold `&`, the two parts after it may not (azure-facts 1.2): read from the right
        head, _, signature = body.rpartition("&")
        identity, _, stated = head.rpartition("&")
        expires = _short_expiry(stated)
    if form is Form.LONG and scheme == _GATEWAY_WORD:
        raise Malformed("not a token: gateway tokens come in the short form alone", hint=SHAPES)
    if _SIGNATURE.fullmatch(signature) is None:
        raise Malformed("not a token: it does not end in a signature of 64 bytes in base64", hint=SHAPES)
    if expires is None:
        raise Malformed("not a token: what stands for its expiry is no time", hint=SHAPES)
    if not _carried(identity):
        raise Malformed("not a token: what stands for its identity is empty, or not printable ASCII", hint=SHAPES)
    return Token(form, identity, expires, Secret(signature), stated)


def _split_scheme(text: str) -> tuple[str, str]:
    """The scheme word in lower case, or nothing, and what follows it."""
    word, space, rest = text.partition(" ")
    if space and word.lower() in _SCHEME_WORDS:
        return word.lower(), rest.lstrip(" ")
    return "", text


def _long_expiry(stated: str) -> datetime | None:
    """UTC with or without Z, as both were seen (azure-recorded 7); with any number of digits of a second."""
    found = _LONG_EXPIRY.fullmatch(stated)
    if found is None:
        return None
    return _moment(f"{found[1]}.{(found[2] or '')[:6]:0<6}")


def _short_expiry(stated: str) -> datetime | None:
    """To the minute; some answers of Azure name seconds, too (azure-recorded 7)."""
    if _SHORT_EXPIRY.fullmatch(stated) is None:
        return None
    return _moment(_spelt_out(stated))


def _spelt_out(digits: str) -> str:
    """`2030-01-02T03:04:00` from 203001020304, or with the seconds of 20300102030405."""
    day, time = f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}", f"{digits[8:10]}:{digits[10:12]}"
    return f"{day}T{time}:{digits[12:] or '00'}"


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(f"{text}+00:00")
    except ValueError:
        return None


# -------- checked


def verify(token: Token, key: Secret) -> bool:
    """Whether this key signed this token. Takes as long for any wrong signature; says nothing of the expiry.

    A signature counts only as base64 writes it, so that no token has a second spelling. An empty key signed nothing.
    """
    # what was signed is what stands there: another fraction, or no Z, is another text (azure-recorded 7);
    # seconds in a short token are taken as signed, which is proven nowhere
    moment = token.stated if token.form is Form.LONG else f"{_spelt_out(token.stated)}.0000000Z"
    if not key.reveal():
        return False
    return hmac.compare_digest(_sign(key, token.identity, moment).encode(), token.signature.reveal().encode())


def check_life(expires: datetime, now: datetime, *, beyond: bool = False) -> None:
    """Raises Malformed for an expiry that is past, and NeedsPerson for one beyond 30 days unless `beyond` says so."""
    if expires <= now:
        raise Malformed("a token with this expiry would be dead at birth: it is past", hint="Choose a later expiry.")
    if expires - now > LONGEST_LIFE and not beyond:
        raise NeedsPerson(
            f"this token would live longer than {LONGEST_LIFE.days} days: Azure makes none such, and whether it "
            f"accepts one that was signed elsewhere is not known",
            hint="Choose an earlier expiry, or say --beyond-30-days if you know that yours is accepted.",
        )


def expiry(text: str, now: datetime) -> datetime:
    """When a token ends, in UTC, from what a person writes: `30d` or `12h30m` from now, an ISO 8601 time, or the
    portal's `MM/DD/YYYY H:MM PM`. A time without a zone is UTC. Raises Malformed."""
    text = text.strip()
    end = _span_from(text, now) or _portal_time(text) or _iso_time(text)
    if end is None:
        raise Malformed(
            "this expiry is no time",
            hint="Write a duration such as 30d or 12h30m, a time such as 2030-01-02T03:04Z, or as the portal does: "
            "01/02/2030 3:04 AM (UTC).",
        )
    return end


def _span_from(text: str, now: datetime) -> datetime | None:
    found = _SPAN.fullmatch(text)
    if found is None or not any(found.groups()):
        return None
    try:
        seconds = sum(int(count or 0) * unit for count, unit in zip(found.groups(), _SPAN_SECONDS, strict=True))
        return now.astimezone(UTC) + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _portal_time(text: str) -> datetime | None:
    found = _PORTAL.fullmatch(text)
    if found is None:
        return None
    month, day, year, hour, minute = (int(part) for part in found.groups()[:5])
    if not 1 <= hour <= 12:
        return None
    try:
        return datetime(year, month, day, hour % 12 + (12 if found[6].lower() == "pm" else 0), minute, tzinfo=UTC)
    except ValueError:
        return None


def _iso_time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


# -------- the grammar

_LONG, _SHORT = Form.LONG, Form.SHORT  # looking a member up costs a tenth of a signature
_TWO: Final = tuple(f"{number:02}" for number in range(100))
_SCHEME_WORDS: Final = frozenset(("sharedaccesssignature", "gatewaykey"))
_GATEWAY_WORD: Final = "gatewaykey"
_LONG_START: Final = "uid="
_OTHER_STARTS: Final = (_LONG_START, *(f"{word} " for word in _SCHEME_WORDS))
_WRAPPED: Final = re.compile(r'token="(.*?)"(?: ?, ?refresh="[a-z]+")?', re.DOTALL)

# 64 bytes in base64, each written one way only: the last character before the padding carries two bits
_SIGNATURE: Final = re.compile(r"[A-Za-z0-9+/]{85}[AQgw]==")
_LONG_EXPIRY: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?Z?")
_SHORT_EXPIRY: Final = re.compile(r"[0-9]{12}(?:[0-9]{2})?")

# as the configuration spells durations; it is a room above this one
_SPAN: Final = re.compile(" ?".join(rf"(?:([0-9]{{1,9}}) ?{unit})?" for unit in ("w", "d", "h", "m(?:in)?", "s")))
_SPAN_SECONDS: Final = (604_800, 86_400, 3600, 60, 1)
_PORTAL: Final = re.compile(
    r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4}) +([0-9]{1,2}):([0-9]{2}) ?(AM|PM)", re.IGNORECASE | re.ASCII
)
