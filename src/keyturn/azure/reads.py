"""How a read is tried again: a few times, with short pauses, through the Clock port.

Decides which failure passes by itself soon enough to be waited for. Never here: an effect (those are sent once).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from keyturn.azure import answers
from keyturn.azure.answers import Reply
from keyturn.errors import KeyturnError, TryAgain
from keyturn.ports import Clock

T = TypeVar("T")

PAUSES: Final = (0.5, 2.0, None)
"""Seconds between one try and the next, where Azure names no Retry-After; None: it was the last."""
LONGEST_PAUSE: Final = 10.0
"""A read that would have to wait longer than this many seconds raises TryAgain instead."""
LIMIT: Final = 60.0
"""Seconds of machine time after which one try is given up, however its answer drips."""


class Failed(NamedTuple):
    """An answer that is no success."""

    reply: Reply


def patiently(
    clock: Clock, what: str, sign_in_anew: Callable[[], None], once: Callable[[], T | Failed | TryAgain]
) -> T:
    """The first success of `once`. Raises TryAgain, Refused, Gone. A 401 is tried again with a fresh token, because
    a token may be revoked, or expire before its time."""
    signed_in_anew = False
    for pause in PAUSES:
        outcome = once()
        if not isinstance(outcome, (Failed, TryAgain)):
            return outcome
        if isinstance(outcome, Failed) and outcome.reply.status == 401 and not signed_in_anew:
            sign_in_anew()
            signed_in_anew = True
            continue
        wait = pause
        if isinstance(outcome, Failed):
            failure: KeyturnError = answers.read_failed(outcome.reply, what)
            if pause is not None and outcome.reply.retry_after is not None:
                wait = outcome.reply.retry_after
        else:
            failure = outcome
        if not isinstance(failure, TryAgain) or wait is None or wait > LONGEST_PAUSE:
            raise failure
        clock.wait(wait)
    raise TryAgain(f"{what}: Azure went on refusing the sign-in")
