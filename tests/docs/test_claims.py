"""The pages that claim something of safety: each claim links to the tests that show it, or says that none does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.docs.claims import CLAIMS, NAMED, named_in, page_text
from tests.docs.pages import DOCS, ROOT, read

BARE = re.compile(r"(?<!\[)`[\w/]+::test_\w+`|\[?`[\w/]+::test_\w+`(?!\])")
BULLET = re.compile(r"^- .*?(?=^- |^#|^\|\s|\Z|\n\n)", re.MULTILINE | re.DOTALL)
NONE_SHOWS_IT = "No test shows"


def claims() -> Iterator[tuple[str, str]]:
    for page in CLAIMS:
        for claim in BULLET.findall(read(DOCS / page)):
            yield page, claim


@cache
def there_are_in(file: str) -> frozenset[str]:
    path = ROOT / "tests" / f"{file}.py"
    if not path.exists():
        return frozenset()
    return frozenset(node.name for node in ast.parse(read(path)).body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("page", "claim"), tuple(claims()))
def test_a_claim_names_a_test_that_shows_it_or_says_that_none_does(page: str, claim: str) -> None:
    told = " ".join(claim.split())
    assert NAMED.search(told) is not None or NONE_SHOWS_IT in told, f"docs/{page}: {told}"


@pytest.mark.parametrize("page", CLAIMS)
def test_every_section_names_a_test(page: str) -> None:
    _, *sections = read(DOCS / page).split("\n## ")
    assert [text.partition("\n")[0] for text in sections if not NAMED.search(text)] == []


@pytest.mark.parametrize("page", CLAIMS)
def test_every_test_that_a_page_names_is_there_and_linked(page: str) -> None:
    named = named_in(page)
    assert len(named) > 10
    assert [f"{file}::{test}" for file, test in sorted(named) if test not in there_are_in(file)] == []
    assert BARE.findall(read(DOCS / page)) == []
    assert read(DOCS / page) == page_text(page), "run `uv run python -m tests.docs.published`"


def test_a_claim_without_a_test_would_be_seen() -> None:
    text = "- **One.** Shown by [`a/test_b::test_c`].\n- **Two:** of two\n  lines.\n\nNo claim.\n- Three\n"
    assert [NAMED.search(claim) is not None for claim in BULLET.findall(text)] == [True, False, False]


def test_a_name_that_is_no_link_would_be_seen() -> None:
    assert BARE.findall("`a/test_b::test_c`, [`a/test_b::test_d`], and [`a/test_b::test_e`]: x") == [
        "`a/test_b::test_c`"
    ]
