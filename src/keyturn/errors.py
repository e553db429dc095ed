"""Errors that say whose move it is.

    KeyturnError
    ├── TryAgain        nobody's move: it passes by itself (carries `after`, seconds)
    ├── Refused         Azure said no (carries HTTP status, code, request id)
    │   └── Gone        the entity is not there any more
    ├── Misconfigured   the configuration's move (carries file and line where there is one)
    ├── Unclear         an effect may or may not have happened: look before acting
    ├── NotSent         the effect was dropped before it was sent: its look is too old
    ├── Conflict        somebody else saved the record first: read it again
    ├── LedgerFault     the ledger cannot be used as it is
    ├── Malformed       what was handed in is not what it should be: a token, an expiry, an identity
    └── NeedsPerson     a person must look

Each carries a `hint`: what to do next. None can hold a Secret: a message with one in it is masked by `Secret` itself.
"""

from __future__ import annotations

from contextlib import suppress


class KeyturnError(Exception):
    """Base of every error that keyturn raises on purpose. `hint` is one sentence: what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class TryAgain(KeyturnError):
    """It passes by itself. `after` is how long to wait first, in seconds."""

    def __init__(self, message: str, *, after: float = 30.0, hint: str = "") -> None:
        super().__init__(message, hint=hint or "Nothing to do: keyturn tries again by itself.")
        self.after = after


class Refused(KeyturnError):
    """Azure said no. `status` is HTTP's, `code` Azure's own, `request_id` what Azure's support asks for."""

    def __init__(self, message: str, *, status: int = 0, code: str = "", request_id: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.request_id = request_id


class Gone(Refused):
    """The service, vault, or apim subscription is not there."""


class Misconfigured(KeyturnError):
    """The configuration is wrong. `where` is `file:line` where there is one; `problems` holds all of them."""

    def __init__(self, message: str, *, where: str = "", hint: str = "", problems: tuple[str, ...] = ()) -> None:
        super().__init__(f"{where}: {message}" if where else message, hint=hint)
        self.where = where
        self.problems = problems or (str(self),)


class Unclear(KeyturnError):
    """The effect may or may not have happened, or may still happen (rule A18). Only a look tells."""


class NotSent(KeyturnError):
    """Nothing was sent: the look that the effect rests on is older than `deadline` (rule A4)."""


class Conflict(KeyturnError):
    """The record changed since it was read; the save was refused and nothing was written."""


class LedgerFault(KeyturnError):
    """The ledger is locked, read-only, corrupt, or from a newer keyturn. Nothing in it was overwritten."""


class Malformed(KeyturnError):
    """A token, or a part of one, is not what it should be. It may be a secret: no message repeats any of it."""


class NeedsPerson(KeyturnError):
    """keyturn could go on, but only a person may decide that it should. `reason` is a code of docs/reasons.md, where
    one of those is why."""

    def __init__(self, message: str, *, hint: str = "", reason: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


def forget_locals(error: BaseException) -> None:
    """Empty the frames that `error`, and whatever led to it, came through. A value may be in the open in them, and
    crash reporters send the locals of every frame; which lines it came through stays told."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            _empty_frames(one)
            waiting += [one.__cause__, one.__context__]


def _empty_frames(error: BaseException) -> None:
    place = error.__traceback__
    while place is not None:
        with suppress(RuntimeError):  # it runs still: whoever calls this, and those above him
            place.tb_frame.clear()
        place = place.tb_next


def variable(name: str) -> str:
    """An environment variable in a sentence. A name that could be the secret itself, written where its variable's name
    belongs, is not repeated: names of variables do not mix small letters and digits, nor do long ones run on in small
    letters; secrets do."""
    small = any(each.islower() for each in name)
    mixed = small and any(each.isdigit() for each in name)
    runs_on = small and "_" not in name and len(name) >= LONGEST_WORD
    if mixed or runs_on or len(name) > LONGEST_NAME:
        return "the environment variable that is named there (not repeated here: it looks like a secret itself)"
    return f"the environment variable {name}"


LONGEST_NAME = 60
LONGEST_WORD = 24
