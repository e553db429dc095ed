"""Every reason code is explained, no code that is not there any more, and docs/reasons.md tells the same."""

from __future__ import annotations

import re

import pytest

from keyturn.plan import KEEPS_TOKENS
from keyturn.reasons import GROUPS, NOBODY, REASONS, RULES, YOU, Reason
from tests.docs.pages import DOCS, read
from tests.docs.published import page_text
from tests.docs.reasons_in_source import codes

HEADING = re.compile(r"^### (?P<name>A\d+) (?P<title>[^\n]+)$", re.MULTILINE)


def test_every_reason_is_explained_and_no_stale_one_is() -> None:
    assert set(REASONS) == codes()


def test_the_page_is_what_the_table_makes_of_it() -> None:
    assert read(DOCS / "reasons.md") == page_text(), "run `uv run python -m tests.docs.published`"


@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)
def test_a_reason_says_what_it_means_whose_move_it_is_what_to_do_and_gives_an_example(reason: Reason) -> None:
    assert reason.meaning.endswith(".") and reason.to_do.endswith(".")
    assert reason.move in {NOBODY, YOU}
    assert reason.example and not reason.example.endswith(".")
    assert "|" not in reason.meaning + reason.to_do, "a cell of the page's table ends there"
    assert set(reason.rules) <= set(RULES)


def test_a_reason_is_explained_once() -> None:
    assert len(REASONS) == sum(len(group.reasons) for group in GROUPS)


def test_every_hold_that_keeps_tokens_fresh_is_a_reason() -> None:
    assert set(REASONS) >= KEEPS_TOKENS


def test_every_rule_of_the_protocol_is_explained_under_its_own_title() -> None:
    headings = {found["name"]: found["title"] for found in HEADING.finditer(read(DOCS / "protocol.md"))}
    assert {rule.name: rule.title for rule in RULES.values()} == headings
