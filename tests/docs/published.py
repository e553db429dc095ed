"""Writes what is published from `keyturn.reasons`: the tables of docs/reasons.md."""

from __future__ import annotations

import re
from collections.abc import Iterator

from keyturn import reasons
from keyturn.plan import KEEPS_TOKENS
from tests.docs.pages import DOCS, read

PAGE = DOCS / "reasons.md"
MARK = "published` -->\n"


def page_text() -> str:
    """The page as it is up to the mark, then the tables as they should be."""
    by_hand, mark, _ = read(PAGE).partition(MARK)
    return f"{by_hand}{mark}\n{tables()}"


def tables() -> str:
    return "\n".join(line for group in reasons.GROUPS for line in _section(group))


def _section(group: reasons.Group) -> Iterator[str]:
    yield from (f"## {group.heading}", "")
    if group.about:
        yield from (group.about.format(keeps_tokens=_keeps_tokens()), "")
    yield "| Reason | Meaning | Whose move | What to do | Rule |"
    yield "|---|---|---|---|---|"
    for each in group.reasons:
        rules = ", ".join(_link(name) for name in each.rules)
        yield f"| `{each.code}` | {each.meaning} | {each.move} | {each.to_do} | {rules} |"
    yield ""


def _keeps_tokens() -> str:
    *others, last = [f"`{each}`" for each in reasons.REASONS if each in KEEPS_TOKENS]
    return f"{', '.join(others)} or {last}"


def _link(name: str) -> str:
    heading = f"{name} {reasons.RULES[name].title}"
    fragment = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
    return f"[{name}](protocol.md#{fragment})"


if __name__ == "__main__":
    PAGE.write_text(page_text(), encoding="utf-8")
