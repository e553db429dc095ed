"""Writes what is published from the code: docs/reasons.md, docs/errors.md, the states of docs/protocol.md, the
tables of docs/proof.md, and the links from what the pages on safety claim to the tests that show it.

uv run python -m tests.docs.published
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from keyturn import reasons
from keyturn.plan import KEEPS_TOKENS
from tests.docs.pages import DOCS, published

PAGE = DOCS / "reasons.md"
MARK = "published` -->\n"


def page_text() -> str:
    """The page as it is up to the mark, then the tables as they should be."""
    return published(PAGE, MARK, f"\n{tables()}")


def tables() -> str:
    return "\n".join(line for group in reasons.GROUPS for line in _section(group))


def _section(group: reasons.Group) -> Iterator[str]:
    yield from (f"## {group.heading}", "")
    if group.about:
        yield from (group.about.format(keeps_tokens=_keeps_tokens()), "")
    yield "| Reason | Meaning | Whose move | What to do | Rule |"
    yield "|---|---|---|---|---|"
    for each in group.reasons:
        rules = ", ".join(rule_link(name) for name in each.rules)
        yield f"| `{each.code}` | {each.meaning} | {each.move} | {each.to_do} | {rules} |"
    yield ""


def _keeps_tokens() -> str:
    *others, last = [f"`{each}`" for each in reasons.REASONS if each in KEEPS_TOKENS]
    return f"{', '.join(others)} or {last}"


def rule_link(name: str, page: str = "protocol.md") -> str:
    """A link to the rule's section, from a page of docs/."""
    heading = f"{name} {reasons.RULES[name].title}"
    fragment = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
    return f"[{name}]({page}#{fragment})"


if __name__ == "__main__":
    from tests.docs import claims, errors_page, proof_page, states_page  # they know this room

    rooms = (errors_page, proof_page, states_page)
    for text, page in ((page_text(), PAGE), *((room.page_text(), room.PAGE) for room in rooms), *claims.pages()):
        page.write_text(text, encoding="utf-8")
