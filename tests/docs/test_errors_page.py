"""docs/errors.md: every kind of error has its section, as it is printed, with the exit code that it has."""

from __future__ import annotations

import re

import pytest

from keyturn import errors
from keyturn.errors import KeyturnError
from tests.docs.errors_page import KINDS, PAGE, exits, page_text
from tests.docs.pages import DOCS, SOURCE, read

CLASSES = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, KeyturnError)}
CODES = re.compile(r"^\| (\d+) \|", re.MULTILINE)


def test_every_kind_of_error_has_a_section_and_no_other() -> None:
    assert set(KINDS) == CLASSES - {KeyturnError}


def test_the_page_is_what_the_code_makes_of_it() -> None:
    assert read(PAGE) == page_text(), "run `uv run python -m tests.docs.published`"


def test_its_own_docstring_names_them_all() -> None:
    assert errors.__doc__ is not None
    assert set(re.findall(r"[├└]── (\w+)", errors.__doc__)) == {kind.__name__ for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_example_is_of_its_kind_and_in_the_words_of_the_code(kind: type[KeyturnError]) -> None:
    told = KINDS[kind]
    error = told.example()
    assert type(error) is kind
    assert any(told.said in read(path) for path in (SOURCE / "keyturn").rglob("*.py")), told.said
    code, printed = exits(error)
    assert printed.startswith(("keyturn: ", "keyturn.yaml:"))
    assert code in {1, 2}


def test_both_pages_that_tell_exit_codes_tell_the_same_ones() -> None:
    """What the source hands to the shell, so that a code that nobody explained is red."""
    told = set(CODES.findall(read(PAGE).partition("<!--")[0]))
    commands = read(DOCS / "commands.md").partition("\n## ")[0]
    assert told == set(CODES.findall(commands))
    texts = [read(path) for path in sorted((SOURCE / "keyturn" / "cli").rglob("*.py"))]
    given = {code for text in texts for code in re.findall(r"\b(?:code=|return |INTERRUPTED = )(\d+)\b", text)}
    given |= {code for text in texts for code in re.findall(r"(\d+) if .+? else \d+", text)}
    assert {code for code in given if int(code) > 0} <= told
    assert {"1", "2", "130"} <= given
