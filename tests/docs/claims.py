"""The pages that claim something of safety, and the links from each claim to the tests that show it.

A claim names a test as [`file::test`], which is a link by the definitions at the page's end; those are written here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tests.docs.pages import DOCS, published, read

CLAIMS: Final = ("continuity.md", "critiques.md", "security.md")
NAMED: Final = re.compile(r"\[`(?P<file>[\w/]+)::(?P<test>test_\w+)`\](?!:)")
MARK: Final = "<!-- from here on published -->\n"


def named_in(page: str) -> set[tuple[str, str]]:
    """File and test of each test that a page's claims name."""
    return {(found["file"], found["test"]) for found in NAMED.finditer(read(DOCS / page))}


def page_text(page: str) -> str:
    """The page, with a definition for each test that it names."""
    links = (f"[`{file}::{test}`]: ../tests/{file}.py" for file, test in sorted(named_in(page)))
    return published(DOCS / page, MARK, "\n" + "".join(f"{link}\n" for link in links))


def pages() -> list[tuple[str, Path]]:
    return [(page_text(page), DOCS / page) for page in CLAIMS]
