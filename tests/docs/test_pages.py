"""All pages: links lead somewhere, every page can be found, and nothing tells of the machine it was written on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keyturn.cli import COMMANDS
from keyturn.config import parse
from keyturn.policy import shortfalls
from keyturn.yaml_marks import read_text
from tests.docs.pages import DOCS, ROOT, anchors, links, pages, read

PAGES = pages()
SHOWN = re.compile(r"(?:^\$ |`|&& )(?:uv run )?keyturn (?P<command>[a-z]+)\b", re.MULTILINE)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    broken = []
    for target in links(page):
        file, _, fragment = target.partition("#")
        place = page if not file else (page.parent / file).resolve()
        if not place.exists() or (fragment and fragment not in anchors(place)):
            broken.append(target)
    assert broken == []


def test_every_page_can_be_found_from_the_index() -> None:
    index = DOCS / "index.md"
    reached = {(index.parent / target.partition("#")[0]).resolve() for target in links(index)} | {index}
    reached |= {(index.parent / named).resolve() for named in re.findall(r"`([\w-]+\.md)`", read(index))}
    reached |= {(DOCS / "adr" / target).resolve() for target in links(DOCS / "adr" / "README.md")}
    assert [name(page) for page in PAGES if page.resolve() not in reached] == [], "name them in docs/index.md"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_page_tells_of_the_machine_it_was_written_on(page: Path) -> None:
    assert re.findall(r"/(?:work|tmp|root|home)/\S*", read(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_shows_only_commands_that_exist(page: Path) -> None:
    assert {found["command"] for found in SHOWN.finditer(read(page))} <= set(COMMANDS)


@pytest.mark.parametrize("page", sorted((DOCS / "adr").glob("0*.md")), ids=name)
def test_a_decision_has_context_decision_and_consequence(page: Path) -> None:
    text = read(page)
    assert text.startswith(f"# {page.name[:4]} ")
    assert re.findall(r"^\*\*(\w+)\.\*\* ", text, re.MULTILINE) == ["Context", "Decision", "Consequence"]


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(page.name[:4]) for page in sorted((DOCS / "adr").glob("0*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_configuration_for_the_first_real_service_is_one() -> None:
    shown = re.search(r"```yaml\n(.*?)```", read(DOCS / "first-real-service.md"), re.DOTALL)
    assert shown is not None
    group = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg"
    service = f"{group}/providers/Microsoft.ApiManagement/service/shop-apim"
    text = shown[1].replace("<the service's id>", service)
    config = parse(read_text(text, "keyturn.yaml"), "keyturn.yaml")
    assert [(entry.name, shortfalls(entry.policy)) for entry in config.policies] == [("first", ())]
