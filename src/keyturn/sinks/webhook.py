# ruff: noqa: PLC0415 - what is costly to import is imported on first use
"""Somebody's own receiver, told by a signed request that a value is published now.

Decides what an event holds and how it is signed: CloudEvents 1.0 in structured JSON, and the signature scheme of
Standard Webhooks. The value is in it only where the configuration asks for that. What the receiver shows to its
callers cannot be read back, so that its answer is all that keyturn knows (rule A14).
Never here: when to publish. Nothing of an answer is read but status and Retry-After: its body could quote the value.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit

from keyturn.azure.agent import user_agent
from keyturn.azure.answers import Reply
from keyturn.azure.broken import causes
from keyturn.azure.once import Abandoned, bounded, left, refuse_late
from keyturn.azure.transport import CONNECT_SECONDS, READ_SECONDS, session
from keyturn.errors import Misconfigured, Refused, variable
from keyturn.model import Secret
from keyturn.ports import Answer, Applied, Clock, NotApplied, SendBy, Shown, Tags, Uncertain

EVENT_TYPE: Final = "io.keyturn.published"
CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"
PREFIX: Final = "whsec_"
SECRET_BYTES: Final = range(24, 65)
"""How long a signing secret may be: what Standard Webhooks asks for."""
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_HINTS: Final = {
    401: "Check that the receiver knows the signing secret.",
    403: "Check that the receiver knows the signing secret.",
    404: "Check the address.",
    413: "The receiver takes no body of this size.",
}


def signing_secrets(text: str, name: str) -> tuple[Secret, ...]:
    """The signing secrets in the text of an environment variable, which is named in errors: base64, with `whsec_`
    before it or not, several with a space between them while the receiver changes over. Raises Misconfigured."""
    found = tuple(Secret(part) for part in text.split())
    if not found:
        raise Misconfigured(
            f"webhook.secret_env: {variable(name)} is empty or not set; it holds a webhook's signing secret",
            hint="Set it to whsec_ and the base64 of 24 to 64 random bytes; the receiver needs the same.",
        )
    for number, secret in enumerate(found, 1):
        if len(_key(secret) or b"") not in SECRET_BYTES:
            which = f"secret {number} in" if len(found) > 1 else "what is in"
            raise Misconfigured(
                f"webhook.secret_env: {which} {variable(name)} is no signing secret: not the base64 of "
                f"{SECRET_BYTES.start} to {SECRET_BYTES.stop - 1} bytes",
                hint="Write whsec_ and base64, as Standard Webhooks has it.",
            )
    return found


class Webhook:
    """The receiver at `url`, told about one credential. Thread-safe.

    `secrets` sign every request, each by itself; get them from `signing_secrets`.
    """

    def __init__(
        self, url: str, credential: str, secrets: Sequence[Secret], clock: Clock, *, include_value: bool = False
    ) -> None:
        self._url = url
        self._credential = credential
        self._secrets = tuple(secrets)
        self._clock = clock
        self._include_value = include_value

    @property
    def name(self) -> str:
        return self._url

    @property
    def write_only(self) -> bool:
        return True

    def read(self) -> Shown:
        """Raises Refused: nobody can."""
        raise Refused(f"{self.name} cannot be read back: it is a webhook")

    def write(self, value: Secret, tags: Tags, send_by: SendBy) -> Answer:
        """Raises NotSent. One POST, with no redirect followed; applied with any 2xx."""
        what = f"publish to {self.name}"
        body = self._body(value, tags)
        headers = self._headers(_event_id(tags), body)
        refuse_late(self._clock, send_by, what)
        try:
            reply = bounded(left(self._clock, send_by), lambda: self._post(headers, body))
        except Abandoned:
            return Uncertain(sentence=f"{what}: no answer within `deadline`, it may still happen")
        except Exception as error:  # noqa: BLE001 - whatever broke, what matters is whether it was sent
            return _broken(error, what)
        return _class_of(reply, what)

    def _body(self, value: Secret, tags: Tags) -> bytes:
        data: dict[str, Any] = {
            "credential": self._credential,
            "address": tags.provider_address,
            "slot": tags.slot.value,
            "seq": tags.seq,
            "ledger": tags.ledger,
            "expires": _rfc3339(tags.expires),
        }
        if self._include_value:
            data["value"] = value.reveal()
        event = {
            "specversion": "1.0",
            "id": _event_id(tags),
            "source": f"urn:keyturn:ledger:{quote(tags.ledger, safe='')}",
            "type": EVENT_TYPE,
            "subject": self._credential,
            "time": _rfc3339(self._clock.now()),
            "datacontenttype": "application/json",
            "data": data,
        }
        return json.dumps(event, ensure_ascii=False).encode()

    def _headers(self, event: str, body: bytes) -> dict[str, str]:
        """What Standard Webhooks wants beside the body: every secret signs id, time and body."""
        moment = str(math.floor(self._clock.now().timestamp()))
        signed = b".".join((event.encode(), moment.encode(), body))
        signatures = [hmac.digest(_key(secret) or b"", signed, "sha256") for secret in self._secrets]
        return {
            "Content-Type": CONTENT_TYPE,
            "User-Agent": user_agent(),
            "Connection": "close",
            "webhook-id": event,
            "webhook-timestamp": moment,
            "webhook-signature": " ".join(f"v1,{base64.b64encode(one).decode()}" for one in signatures),
        }

    def _post(self, headers: dict[str, str], body: bytes) -> Reply:
        """On a connection of its own: one kept from before may be dead, and only the send would tell."""
        here = urlsplit(self._url).hostname in LOOPBACK
        direct: dict[str, Any] = {"http": None, "https": None}
        with (
            session() as opened,
            opened.post(
                self._url,
                data=body,
                headers=headers,
                allow_redirects=False,
                stream=True,  # the body is not read: it may drip, and status and headers say all
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                proxies=direct if here else None,
            ) as response,
        ):
            return Reply(response.status_code, dict(response.headers), b"")


def _event_id(tags: Tags) -> str:
    """Names one intent to publish, by ledger, credential and sequence (rule A10), so that a receiver can drop what
    something on the way sent twice. keyturn tells a receiver again by a new intent, with a higher sequence.
    No dots: they separate what is signed."""
    named = "\n".join((tags.ledger, tags.provider_address.lower(), str(tags.seq)))
    return f"keyturn_{hashlib.sha256(named.encode()).hexdigest()[:32]}"


def _class_of(reply: Reply, what: str) -> Answer:
    """Rule A18, for a receiver that may be anybody's. A redirect is a refusal: it was not taken where it was sent."""
    status = reply.status
    if 200 <= status < 300:
        return Applied()
    if status == 408 or status >= 500 or status < 200:
        return Uncertain(sentence=f"{what}: the receiver answered {status}, it may have happened all the same")
    if status < 400:
        sentence, hint = f"answered {status}, a redirect, which is not followed", "Correct the address."
    else:
        sentence, hint = f"answered {status}", _HINTS.get(status, "")
    return NotApplied(
        status=status, code="", sentence=f"{what}: the receiver {sentence}", hint=hint, after=reply.retry_after
    )


def _broken(error: Exception, what: str) -> NotApplied | Uncertain:
    """A connection that was never there has carried nothing. Errors are named, not quoted."""
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError

    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            sentence = f"{what}: its certificate is not trusted ({cause.verify_message})"
            return NotApplied(status=0, code="", sentence=sentence, hint="Set REQUESTS_CA_BUNDLE if it is your own.")
        if isinstance(cause, NewConnectionError | ConnectTimeoutError | ProxyError):
            return NotApplied(status=0, code="", sentence=f"{what}: it cannot be reached ({type(cause).__name__})")
    return Uncertain(sentence=f"{what}: the connection broke ({type(error).__name__}), it may have happened")


def _key(secret: Secret) -> bytes | None:
    """The bytes that sign; None where it is no base64. Padding may be left out, as in the scheme's own libraries."""
    text = secret.reveal().removeprefix(PREFIX)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:  # no base64, or not even ASCII
        return None


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
