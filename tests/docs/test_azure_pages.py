"""Every citation of docs/azure-recorded.md and docs/azure-facts.md leads to a section, and every section is cited."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, read

PAGES = {"recorded": DOCS / "azure-recorded.md", "facts": DOCS / "azure-facts.md"}
NUMBER = r"\d+(?:\.\d+)?"
CITED = re.compile(rf"azure-(?P<page>recorded|facts)\s+(?P<numbers>{NUMBER}(?:(?:, | and ){NUMBER})*)")
SECTION = re.compile(rf"^###? (?P<number>{NUMBER}) ", re.MULTILINE)
MAY_CITE = (*sorted((ROOT / "src").rglob("*.py")), *sorted(DOCS.rglob("*.md")), *sorted((ROOT / "tests").rglob("*.py")))


def citations(path: Path) -> Iterator[tuple[str, str]]:
    for found in CITED.finditer(read(path)):
        for number in re.findall(NUMBER, found["numbers"]):
            yield found["page"], number


def sections(page: str) -> list[str]:
    return [found["number"] for found in SECTION.finditer(read(PAGES[page]))]


def test_every_citation_leads_to_a_section() -> None:
    known = {page: set(sections(page)) for page in PAGES}
    lost = {
        (path.relative_to(ROOT).as_posix(), page, number)
        for path in MAY_CITE
        for page, number in citations(path)
        if number not in known[page]
    }
    assert lost == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_section_is_cited_by_something_but_its_own_page(page: str) -> None:
    cited = {
        number for path in MAY_CITE if path not in PAGES.values() for name, number in citations(path) if name == page
    }
    wider = {number.partition(".")[0] for number in cited}
    assert [number for number in sections(page) if number not in cited | wider] == []


@pytest.mark.parametrize("page", PAGES)
def test_sections_stand_once_and_in_order(page: str) -> None:
    found = [tuple(int(part) for part in number.split(".")) for number in sections(page)]
    assert found == sorted(set(found))


def test_every_fact_says_how_well_it_is_known() -> None:
    facts = read(PAGES["facts"]).partition("## Sources")[0]
    parts = re.split(r"^###? (?=\d)", facts, flags=re.MULTILINE)[1:]
    filled = [part for part in parts if len(part.split("\n\n")) > 1 and part.partition("\n")[2].strip()]
    assert [part.splitlines()[0] for part in filled if not re.search(r"\[[SEDTM]\b", part)] == []
