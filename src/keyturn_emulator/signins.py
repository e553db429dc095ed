"""Signing in with a shared access token: whether a token is good at an instant, and the book of who came with one.

Decides: why a token is let in or refused, and what a test is told of it. Never here: which identities an endpoint
knows, what its answers look like, or a token, key or signature in the book.

The order of the checks is ours: nobody documented it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from keyturn_emulator import sas
from keyturn_emulator.propagation import Slot

Endpoint = Literal["management", "configuration"]
Reason = Literal[
    "ok",
    "missing",
    "malformed",
    "short-form",
    "disabled",
    "unknown-identity",
    "bad-signature",
    "expired",
    "too-long",
]
KeysOf = Callable[[str], Iterable[tuple[Slot, str]] | None]
_LONGEST_IDENTITY: Final = 80


@dataclass(slots=True, frozen=True)
class Signin:
    """What came of a token. `slot` is whose key made it, also where it is refused for another reason."""

    reason: Reason
    identity: str = "-"
    slot: Slot | None = None
    expiry: datetime | None = None
    form: sas.Form | None = None

    @property
    def accepted(self) -> bool:
        return self.reason == "ok"


def check(text: str | None, keys_of: KeysOf, now: datetime) -> Signin:
    """Judge a token without its scheme. `keys_of` tells the keys that sign for an identity; None: it is unknown."""
    if not text:
        return Signin("missing")
    try:
        token = sas.read(text)
    except sas.MalformedToken:
        return Signin("malformed")
    identity = token.identity[:_LONGEST_IDENTITY]
    keys = keys_of(token.identity)
    if keys is None:
        return Signin("unknown-identity", identity, None, token.expiry, token.form)
    slot = token.signer(keys)
    reason: Reason = "bad-signature" if slot is None else "expired" if token.expiry <= now else "ok"
    return Signin(reason, identity, slot, token.expiry, token.form)


class SigninBook:
    """Counts of sign-ins, by service, endpoint, identity, slot, reason and the caller's User-Agent."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, Endpoint, str, str, Reason, str]] = Counter()

    def note(self, service: str, endpoint: Endpoint, signin: Signin, agent: str | None) -> None:
        """Of `agent`, only the first word is kept."""
        first = (agent or "").partition(" ")[0] or "-"
        self._counts[service, endpoint, signin.identity, signin.slot or "none", signin.reason, first] += 1

    def summary(self) -> dict[str, Any]:
        """`signins`: a row for each combination; `accepted` and `refused`: totals."""
        names = ("service", "endpoint", "identity", "slot", "reason", "agent")
        rows: list[dict[str, Any]] = [
            {**dict(zip(names, key, strict=True)), "accepted": key[4] == "ok", "calls": calls}
            for key, calls in self._counts.items()
        ]
        return {
            "signins": rows,
            "accepted": sum(row["calls"] for row in rows if row["accepted"]),
            "refused": sum(row["calls"] for row in rows if not row["accepted"]),
        }

    def reset(self) -> None:
        self._counts.clear()
