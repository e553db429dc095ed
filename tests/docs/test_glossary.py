"""One word per idea: no text of the product and no page uses a word that docs/glossary.md rules out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, FENCE, ROOT, SOURCE, pages, read

GLOSSARY = DOCS / "glossary.md"
ROW = re.compile(r"^\| \*\*(?P<word>[^*]+)\*\* \|(?P<cells>.*)\|$", re.MULTILINE)
CODE = re.compile(r"`[^`]*`|\]\([^)]*\)")
QUOTED = re.compile(r'"[^"\n]*"')
BARE = re.compile(r"(?<!apim )(?<!azure )\bsubscriptions?\b(?!s?[/_-])", re.IGNORECASE)
AZURES_OWN = ("Subscription not found.", "API Management subscription")
"""Where Azure's word is quoted, not ours used."""


def ruled_out() -> list[str]:
    found = []
    for row in ROW.finditer(read(GLOSSARY)):
        last = row["cells"].split("|")[-1]
        found += [word.strip() for word in last.split(",") if word.strip()]
    return found


def sentences(path: Path) -> Iterator[str]:
    """The texts in a module that people read: strings with a space in them, docstrings too."""
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield " ".join(node.value.split())


def prose(page: Path) -> str:
    """A page without code, addresses, and what it quotes."""
    text = CODE.sub(" ", FENCE.sub("", read(page)))
    if page == GLOSSARY:
        text = ROW.sub("", text)
    return QUOTED.sub(" ", text)


@cache
def texts() -> tuple[tuple[str, str], ...]:
    """Where, and what is said there."""
    sources = sorted((SOURCE / "keyturn").rglob("*.py"))
    said = [(path, CODE.sub(" ", sentence)) for path in sources for sentence in sentences(path)]
    written = [(page, " ".join(prose(page).split())) for page in pages()]
    return tuple((path.relative_to(ROOT).as_posix(), text) for path, text in (*said, *written))


@pytest.mark.parametrize("word", ruled_out())
def test_a_word_that_is_ruled_out_is_used_nowhere(word: str) -> None:
    used = re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE)
    assert [where for where, text in texts() if used.search(text)] == []


def test_which_subscription_is_always_said() -> None:
    bare = {}
    for where, text in texts():
        for own in AZURES_OWN:
            text = text.replace(own, "")  # noqa: PLW2901
        if found := BARE.search(text):
            bare[where] = text[max(found.start() - 40, 0) : found.end() + 20]
    assert bare == {}


def test_the_glossary_rules_words_out_and_tells_each_once() -> None:
    words = [row["word"] for row in ROW.finditer(read(GLOSSARY))]
    assert len(words) == len(set(words))
    assert {"rekey", "active key"} <= set(ruled_out())


def test_a_bare_subscription_is_found() -> None:
    assert BARE.search("the subscription was renewed")
    assert BARE.search("Subscription keys")
    assert not BARE.search("the apim subscription and both azure subscriptions")
    assert not BARE.search("/subscriptions/0000 and subscription-key")
