"""docs/reasons.md explains every reason code, and no code that is not there any more."""

from __future__ import annotations

import re

from tests.docs.pages import DOCS, read
from tests.docs.reasons_in_source import codes

PAGE = read(DOCS / "reasons.md")
ROW = re.compile(r"^\| `(?P<code>[a-z-]+)` \|(?P<rest>.*)\|$", re.MULTILINE)


def test_every_reason_is_explained_and_no_stale_one_is() -> None:
    assert {found["code"] for found in ROW.finditer(PAGE)} == codes()


def test_every_reason_says_what_it_means_whose_move_it_is_and_what_to_do() -> None:
    for found in ROW.finditer(PAGE):
        meaning, move, to_do = (cell.strip() for cell in found["rest"].split(" | "))
        assert meaning.endswith(".") and to_do.endswith("."), found["code"]
        assert move in {"nobody", "you"}, found["code"]


def test_a_reason_is_explained_once() -> None:
    explained = [found["code"] for found in ROW.finditer(PAGE)]
    assert len(explained) == len(set(explained))
