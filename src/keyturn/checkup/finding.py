"""One thing that was looked at, and how it stands. Never here: the look."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from keyturn.errors import KeyturnError


class Mark(StrEnum):
    """How a finding stands."""

    OK = "ok"
    ATTENTION = "attention"
    """It works, or nobody can tell; a person should know."""
    MISSING = "missing"
    """Without it keyturn cannot do its work."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `about` names it, `next` is what to do."""

    mark: Mark
    about: str
    sentence: str
    next: str = ""
    action: str = ""
    """The right that is missing or not needed, where it is one."""


def ok(about: str, sentence: str) -> Finding:
    """It is as it should be."""
    return Finding(mark=Mark.OK, about=about, sentence=sentence)


def attention(about: str, sentence: str, next: str = "", action: str = "") -> Finding:
    """A person should know it."""
    return Finding(mark=Mark.ATTENTION, about=about, sentence=sentence, next=next, action=action)


def missing(about: str, sentence: str, next: str = "", action: str = "") -> Finding:
    """It has to be mended first."""
    return Finding(mark=Mark.MISSING, about=about, sentence=sentence, next=next, action=action)


def trouble(about: str, error: KeyturnError, otherwise: str = "") -> Finding:
    """What went wrong, as the error says it. `otherwise` is what to do where the error knows of nothing."""
    return missing(about, error.message, hint_of(error, otherwise))


def hint_of(error: KeyturnError, otherwise: str = "") -> str:
    """What a person can do about it; nothing where a run would only try again, which `check` does not."""
    return "" if error.hint.startswith("Nothing to do") else error.hint or otherwise


def counted(count: int, what: str) -> str:
    """`1 action`, `3 actions`."""
    return f"{count} {what}{'' if count == 1 else 's'}"
