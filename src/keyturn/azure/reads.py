"""How a read is tried again: once and at once, where that may help.

Decides which failure is worth a second try. Longer waits belong to the record (`not_before`), so that no turn sleeps
for Azure. Never here: an effect (those are sent once).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from keyturn.azure import answers
from keyturn.azure.answers import Reply
from keyturn.azure.broken import Why
from keyturn.errors import Refused, TryAgain

T = TypeVar("T")

LIMIT: Final = 60.0
"""Seconds of machine time after which a read is given up, however its answer drips."""


class Failed(NamedTuple):
    """An answer that is no success."""

    reply: Reply


class Broken(NamedTuple):
    """No answer. `again` is whether a second try may help; `persons`, that it does not pass by itself."""

    sentence: str
    again: bool = True
    hint: str = ""
    persons: bool = False

    @classmethod
    def because(cls, why: Why) -> Broken:
        return cls(why.sentence, again=not why.persons and not why.large, hint=why.hint, persons=why.persons)


def patiently(what: str, sign_in_anew: Callable[[], None], once: Callable[[], T | Failed | Broken]) -> T:
    """The first success of `once`, which is called at most twice. Raises TryAgain, Refused, Gone.

    A 401 is tried again with a fresh token, because a token may be revoked, or expire before its time.
    """
    outcome = once()
    if isinstance(outcome, Failed) and outcome.reply.status == 401:
        sign_in_anew()
        outcome = once()
    elif _may_help(outcome):
        outcome = once()
    if isinstance(outcome, Failed):
        raise answers.read_failed(outcome.reply, what)
    if isinstance(outcome, Broken):
        sentence = f"{what}: {outcome.sentence}"
        raise Refused(sentence, hint=outcome.hint) if outcome.persons else TryAgain(sentence, hint=outcome.hint)
    return outcome


def _may_help(outcome: object) -> bool:
    """A broken connection, or a server's error for which Azure asks for no pause; never a 429."""
    if isinstance(outcome, Broken):
        return outcome.again
    if not isinstance(outcome, Failed):
        return False
    status = outcome.reply.status
    return (status >= 500 or status == 408) and outcome.reply.retry_after is None
