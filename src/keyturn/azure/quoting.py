"""A secret in somebody else's text, hidden: whole or in part, and in whatever form a service may quote it.

Decides what of a text is a quote of a secret. Six letters of one in a row are: what is hidden by chance beside it is no
loss. Bearer tokens are hidden wherever they stand. Libraries that log such a text are filtered. Never here:
which text is shown to whom.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import traceback
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote

from keyturn.model import MASK, Secret

LEAST: Final = 6
"""Letters of a secret in a row that are hidden. A shorter secret is hidden where it stands whole, as it is."""
_TOKEN: Final = re.compile(r"eyJ[\w.-]{8,}|(?<=[Bb]earer )\S{8,}")


def masked(text: str, secrets: Iterable[Secret] = ()) -> str:
    """The text without what it quotes of the secrets, and of a token that somebody signed in with."""
    text = _TOKEN.sub(MASK, text)
    for secret in secrets:
        value = secret.reveal()
        text = text.replace(value, MASK) if value else text
        for form in _forms(value) if len(value) >= LEAST else ():
            text = _without(text, form)
    return text


def _forms(value: str) -> Iterator[str]:
    """As it is, and as JSON, an address, a page and a dump write it; base64 from each of three places on."""
    raw = value.encode()
    yield value
    yield json.dumps(value)[1:-1]
    yield "".join(f"\\u{ord(each):04x}" for each in value)
    yield quote(value, safe="")
    yield "".join(f"%{byte:02x}" for byte in raw)
    yield html.escape(value)
    yield "".join(f"&#x{byte:02x};" for byte in raw)
    yield "".join(f"&#{byte};" for byte in raw)
    yield raw.hex()
    for before in range(3):
        yield base64.b64encode(bytes(before) + raw).decode()
        yield base64.urlsafe_b64encode(bytes(before) + raw).decode()


def _without(text: str, form: str) -> str:
    """Each stretch of the text hidden that is made of pieces of `form`, in capitals or not."""
    lowered, wanted = text.lower(), form.lower()
    if len(lowered) != len(text):  # a letter whose small form is two: the places would not fit
        lowered, wanted = text, form
    pieces = {wanted[at : at + LEAST] for at in range(len(wanted) - LEAST + 1)}
    hidden = [False] * len(text)
    for at in range(len(text) - LEAST + 1):
        if lowered[at : at + LEAST] in pieces:
            hidden[at : at + LEAST] = [True] * LEAST
    return "".join(_told(text, hidden))


def _told(text: str, hidden: list[bool]) -> Iterator[str]:
    for at, letter in enumerate(text):
        if not hidden[at]:
            yield letter
        elif at == 0 or not hidden[at - 1]:
            yield MASK


class _Hiding(logging.Filter):
    """Hides one secret in what a logger says, an exception's own text included."""

    def __init__(self, secret: Secret) -> None:
        super().__init__()
        self.secret = secret

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = masked(record.getMessage(), (self.secret,)), ()
        if record.exc_info and record.exc_info[0] is not None:
            told = "".join(traceback.format_exception(*record.exc_info)).rstrip()
            record.exc_text, record.exc_info = masked(told, (self.secret,)), None
        return True


def hide_in_logs(secret: Secret, *libraries: str) -> None:
    """From now on no logger of these libraries, which must be imported by now, says the secret: they log what an
    authority answers, and it may quote what it was sent."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if not isinstance(logger, logging.Logger) or name.partition(".")[0] not in libraries:
            continue
        if not any(isinstance(each, _Hiding) and each.secret == secret for each in logger.filters):
            logger.addFilter(_Hiding(secret))
