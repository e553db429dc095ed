"""The project's pages as the tests of this package read them: files, headings, links, executed blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SOURCE = ROOT / "src"
MARKED = re.compile(r"<!-- executed: (?P<what>[^>]+?) -->\n```\w*\n(?P<body>.*?)```\n", re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(?P<text>.+?) *$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def published(page: Path, mark: str, rest: str) -> str:
    """The page as it is up to the mark, which people write, and then `rest`, which the code does."""
    by_hand, found, _ = read(page).partition(mark)
    return f"{by_hand}{found}{rest}"


def pages() -> list[Path]:
    """Every page that a person reads, the decisions included."""
    return [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


def executed(page: Path) -> dict[str, str]:
    """The blocks of a page that are run, by what their mark says."""
    return {found["what"]: found["body"] for found in MARKED.finditer(read(page))}


class Told(NamedTuple):
    """A command of a transcript, and the lines that it is said to print."""

    command: str
    lines: tuple[str, ...]


def transcript(block: str) -> tuple[Told, ...]:
    """Lines that start with `$ ` are commands; what follows is their output; `...` stands for any lines."""
    told: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            told.append((line.removeprefix("$ "), []))
        else:
            told[-1][1].append(line.rstrip())
    return tuple(Told(command, tuple(lines)) for command, lines in told)


def missing(expected: tuple[str, ...], printed: list[str]) -> str | None:
    """The first expected line that was not printed where it had to be; None where all were.

    Lines follow each other without a gap, unless `...` stands between them. Without one at the end, nothing follows.
    """
    at, gap = 0, False
    for line in expected:
        if line == "...":
            gap = True
            continue
        while gap and at < len(printed) and printed[at] != line:
            at += 1
        if at >= len(printed) or printed[at] != line:
            return line
        at, gap = at + 1, False
    return None if gap or at == len(printed) else f"nothing after: {printed[at]}"


def anchors(page: Path) -> set[str]:
    """The fragments that links to this page may name, as GitHub makes them from its headings."""
    text = FENCE.sub("", read(page))
    return {re.sub(r"[^\w\- ]", "", found["text"].lower()).replace(" ", "-") for found in HEADING.finditer(text)}


def links(page: Path) -> Iterator[str]:
    """Targets of the page's links that lead to other places of this repository."""
    for found in LINK.finditer(FENCE.sub("", read(page))):
        if "://" not in found["target"]:
            yield found["target"]
