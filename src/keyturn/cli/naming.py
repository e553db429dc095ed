"""NAME on the command line: a credential's id, or any unique end of it.

Never here: where the ids come from.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import click

LISTED = 5
SHORTEST_VALUE = 32


class NoSuchName(click.UsageError):
    """A name that fits none or several; `hint` says how to find the right one."""

    def __init__(self, message: str, hint: str = "`keyturn status` lists those that the ledger knows.") -> None:
        super().__init__(message)
        self.hint = hint


def resolve(names: Sequence[str], ids: Sequence[str]) -> tuple[str, ...]:
    """The ids that the names mean, in the order of the names; no names: all ids. Raises NoSuchName."""
    if not names:
        return tuple(ids)
    return tuple(dict.fromkeys(_one(name, ids) for name in names))


def _one(name: str, ids: Sequence[str]) -> str:
    """An exact id first, then whole ends (`contoso`), then any end (`toso`); case does not matter."""
    wanted = name.lower()
    for fits in (_is, _ends_whole, _ends):
        found = [each for each in ids if fits(each.lower(), wanted)]
        if len(found) == 1:
            return found[0]
        if found:
            more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
            raise NoSuchName(
                f"{name} is ambiguous: it could be {', '.join(found[:LISTED])}{more}",
                "a longer end of the id, or the id itself.",
            )
    near = difflib.get_close_matches(wanted, [each.lower() for each in ids], n=LISTED, cutoff=0.5)
    near += [each.lower() for each in ids if wanted and wanted in each.lower() and each.lower() not in near]
    shown = [each for each in ids if each.lower() in near[:LISTED]]
    said = _repeated(name)
    if shown:
        raise NoSuchName(f"there is no credential {said}; near it: {', '.join(shown)}")
    if not ids:
        raise NoSuchName(
            f"there is no credential {said}: keyturn knows of none yet",
            "`keyturn plan` tells whom the configuration opts in, `keyturn run` adopts them.",
        )
    listed = ", ".join(ids[:LISTED])
    raise NoSuchName(f"there is no credential {said}; there are {len(ids)}, such as {listed}")


def _repeated(name: str) -> str:
    """The name, unless it may be a value that was given in a name's place: Azure's have 32 characters."""
    looks_like_one = len(name) >= SHORTEST_VALUE and "/" not in name
    return "of that name (not repeated here: it looks like a value)" if looks_like_one else name


def _is(each: str, wanted: str) -> bool:
    return each == wanted


def _ends_whole(each: str, wanted: str) -> bool:
    return each.endswith(f"/{wanted}")


def _ends(each: str, wanted: str) -> bool:
    return bool(wanted) and each.endswith(wanted)
