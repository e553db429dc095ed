"""A module to be mutated: its mutants are known, and which of them `test_tiny` kills."""

from __future__ import annotations

from functools import lru_cache

LIMIT = 3


def is_many(count: int) -> bool:
    """No test asks about exactly the limit, so that `>=` survives."""
    return count > LIMIT


class Pile:
    """What a mutant in a property looks like."""

    def __init__(self, count: int) -> None:
        self.count = count

    @property
    def told(self) -> str:
        return f"{self.count} of them" if self.count else "none"


@lru_cache
def halves(count: int) -> int:
    """How often it can be halved; with `*` for `//` it would go on for ever."""
    found = 0
    while count > 1:
        count //= 2
        found += 1
    return found


def between(least: int, count: int, most: int) -> int:
    """The count, or the bound that it is beyond."""
    return max(least, min(count, most))
