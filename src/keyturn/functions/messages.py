"""The queue's messages: which credential is to be looked at, and why. They hold no value and decide nothing.

A message is a hint, never an order: it may come twice, late, out of order, or for a credential that has moved on since,
and a turn judges by the record and the world alone (invariants 4 and 5).
Never here: a queue.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from keyturn.errors import Malformed

LONGEST: Final = 8_192
"""Characters; what keyturn itself writes is much shorter."""
Why = Literal["due", "new", "lost", "look"]
"""`due`: its wait has ended. `new`: the ledger, or its policy, does not know it yet. `lost`: Azure does not list it.
`look`: something happened at one of its sinks or at API Management."""


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One credential, by its record's key (the lower-cased ARM id); `id` is for whoever reads the log."""

    key: str
    why: Why
    id: str = ""

    @property
    def forces(self) -> bool:
        """Whether to look even before the record's wait has ended."""
        return self.why in {"lost", "look"}


def written(message: Message) -> str:
    return msgspec.json.encode(message).decode()


def read(text: str) -> Message:
    """Raises Malformed, which repeats nothing of the text: whoever can write to the queue may have written anything."""
    if len(text) <= LONGEST:
        try:
            message = msgspec.json.decode(text, type=Message)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            pass
        else:
            ours = message.key == message.key.lower() and message.key.startswith("/subscriptions/")
            if ours and message.key.isprintable() and message.id.isprintable():
                return message
    raise Malformed("a message of the queue is none of keyturn's", hint="Only keyturn should write to its queue.")
