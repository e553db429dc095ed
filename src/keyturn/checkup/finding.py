"""One thing that was looked at, and how it stands. Never here: the look."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from keyturn.errors import KeyturnError


class Mark(StrEnum):
    """How a finding stands."""

    OK = "ok"
    ATTENTION = "attention"  # it works, or nobody can tell; a person should know
    MISSING = "missing"  # without it keyturn cannot do its work


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `about` names it, `next` is what to do."""

    mark: Mark
    about: str
    sentence: str
    next: str = ""
    action: str = ""
    """The right that is missing or not needed, where it is one."""


def ok(about: str, sentence: str) -> Finding:
    return Finding(mark=Mark.OK, about=about, sentence=sentence)


def attention(about: str, sentence: str, next: str = "", action: str = "") -> Finding:
    return Finding(mark=Mark.ATTENTION, about=about, sentence=sentence, next=next, action=action)


def missing(about: str, sentence: str, next: str = "", action: str = "") -> Finding:
    return Finding(mark=Mark.MISSING, about=about, sentence=sentence, next=next, action=action)


def trouble(about: str, error: KeyturnError, otherwise: str = "") -> Finding:
    return missing(about, error.message, "" if error.hint.startswith("Nothing to do") else error.hint or otherwise)


def counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
