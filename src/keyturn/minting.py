"""Sinks that show a token made from a value, instead of the value.

Decides what a token sink writes and how long it lives, and which value the token that it shows was made from. To the
plan such a sink shows the value itself: whoever uses the token is cut off when that value dies (ADR 0013).
Never here: when a token is due (that is `scene.Scene.stale`), or how a token is spelled (that is `tokens`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from keyturn import tokens
from keyturn.errors import Malformed
from keyturn.model import Credential, Kind, Secret
from keyturn.policy import TokenKind, TokenSpec
from keyturn.ports import Answer, SendBy, Shown, Sink, Tags

PROBED_LIFE: Final = timedelta(hours=1)
"""Of a token that is made only to ask whether it is accepted."""


class TokenSink:
    """A sink whose text is a token. `identity` is whom the token names (`model.Credential.identity`)."""

    def __init__(self, inner: Sink, spec: TokenSpec, identity: str) -> None:
        self.inner, self.spec, self._identity = inner, spec, identity

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def write_only(self) -> bool:
        return self.inner.write_only

    def read(self) -> Shown:
        """The token as it stands there. Raises TryAgain, Refused, Gone."""
        return self.inner.read()

    def write(self, value: Secret, tags: Tags, send_by: SendBy) -> Answer:
        """Show this token from now on. Raises NotSent."""
        return self.inner.write(value, tags, send_by)

    def mint(self, key: Secret, now: datetime) -> tuple[Secret, datetime]:
        """A token that lives from `now`, which is by Azure's clock, and the instant at which it ends."""
        expires = (now + self.spec.lifetime).replace(microsecond=0)
        if _form(self.spec) is not tokens.Form.LONG:
            expires = expires.replace(second=0)  # the short forms know no seconds (azure-recorded 7)
        return tokens.create(_form(self.spec), self._identity, key, expires), expires

    def expires(self, text: Secret) -> datetime | None:
        """When this token ends; None if it is none as it belongs here: another form, another name, or no token."""
        token = self._parsed(text)
        return None if token is None or token.form is not _form(self.spec) else token.expires

    def made_from(self, text: Secret, keys: Iterable[Secret]) -> Secret | None:
        """The one of these keys that signed the token; None if none did, or if it is not such a token."""
        token = self._parsed(text)
        return None if token is None else next((key for key in keys if tokens.verify(token, key)), None)

    def _parsed(self, text: Secret) -> tokens.Token | None:
        try:
            token = tokens.parse(text.reveal())
        except Malformed:
            return None
        return token if token.identity == self._identity else None


def _form(spec: TokenSpec) -> tokens.Form:
    if spec.kind is TokenKind.GATEWAY:
        return tokens.Form.GATEWAY
    return tokens.Form.SHORT if spec.short else tokens.Form.LONG


def signable(credential: Credential) -> bool:
    """Whether a token can name it, in every form that is made for its kind."""
    forms = (tokens.Form.GATEWAY,) if credential.kind is Kind.GATEWAY else (tokens.Form.LONG, tokens.Form.SHORT)
    return all(tokens.fits(form, credential.identity or "") for form in forms)


def presented(credential: Credential, value: Secret, now: datetime) -> Secret:
    """What a probe shows to ask whether a value is accepted: the value, or a token made from it. `now` is Azure's."""
    if credential.kind is Kind.APIM_SUBSCRIPTION:
        return value
    form = tokens.Form.GATEWAY if credential.kind is Kind.GATEWAY else tokens.Form.LONG
    return tokens.create(form, credential.identity or "", value, (now + PROBED_LIFE).replace(second=0, microsecond=0))
