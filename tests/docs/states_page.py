"""The picture of the states and its table, as docs/protocol.md has them: both from `plan.TABLE`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from keyturn import plan
from tests.docs.pages import DOCS, read
from tests.docs.published import rule_link

PAGE = DOCS / "protocol.md"
PICTURE = re.compile(r"<!-- picture -->\n.*?<!-- /picture -->\n", re.DOTALL)
ARROW = re.compile(r"^ +(?P<start>\w+) --> (?P<end>\w+): (?P<row>[^(\n]+?)(?: \((?P<rule>A\d+)\))?$", re.MULTILINE)


def page_text() -> str:
    """The page with the picture and the table as they should be."""
    drawn = f"```mermaid\n{plan.picture()}```"
    return PICTURE.sub(lambda _: f"<!-- picture -->\n{drawn}\n\n{table()}<!-- /picture -->\n", read(PAGE), count=1)


def table() -> str:
    """The arrows of the picture, those of one row together."""
    arrows: dict[tuple[str, str, str], list[str]] = {}
    for found in ARROW.finditer(plan.picture()):
        arrows.setdefault((found["end"], found["row"], found["rule"] or ""), []).append(found["start"])
    return "".join(f"{line}\n" for line in _lines(arrows))


def _lines(arrows: dict[tuple[str, str, str], list[str]]) -> Iterator[str]:
    yield from ("| From | To | Row | Rule |", "|---|---|---|---|")
    for (end, row, rule), starts in arrows.items():
        yield f"| {', '.join(starts)} | {end} | {row} | {rule_link(rule, page='') if rule else ''} |"
    yield ""
