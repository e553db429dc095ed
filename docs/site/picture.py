"""The picture of the states as SVG, from the Mermaid block that code hosts draw themselves.

States stand one below the other in the order of a turn; what leads on is drawn on the right, what leads back on the
left. The rows behind each arrow are its title; the page has them as a table. Pure: a text in, a text out.
"""

from __future__ import annotations

import re
from html import escape

ARROW = re.compile(r"^ *(?P<start>\w+) --> (?P<end>\w+): (?P<row>.+)$", re.MULTILINE)
ORDER = ("unknown", "idle", "renew", "confirm", "publish", "drain", "retire", "prove")
STEP, WIDE, HIGH, MIDDLE = 76, 108, 34, 330
FIRST, SIDE = 40, 62
"""Pixels: from state to state, a state's box, where the column stands, and how much further each longer arc reaches."""


def drawn(block: str) -> str:
    """Raises ValueError on a state that it does not know."""
    arrows: dict[tuple[int, int], list[str]] = {}
    for found in ARROW.finditer(block):
        arrows.setdefault((_place(found["start"]), _place(found["end"])), []).append(found["row"])
    height = FIRST * 2 + STEP * (len(ORDER) - 1)
    parts = [_arc(start, end, rows) for (start, end), rows in sorted(arrows.items())]
    parts += [_state(place, name) for place, name in enumerate(ORDER)]
    return (
        f'<svg class="states" role="img" aria-label="The states, and the rows that lead from one to another; the table '
        f'below tells the same" viewBox="0 0 {MIDDLE * 2} {height}" style="max-width: {MIDDLE * 2}px; width: 100%" '
        f'xmlns="http://www.w3.org/2000/svg" fill="none" stroke="currentColor" font-family="inherit" font-size="15">'
        f'<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="currentColor" stroke="none"/></marker></defs>{"".join(parts)}</svg>'
    )


def _place(state: str) -> int:
    if state not in ORDER:
        raise ValueError(f"{state} has no place in the picture")
    return ORDER.index(state)


def _state(place: int, name: str) -> str:
    y = FIRST + STEP * place
    return (
        f'<rect x="{MIDDLE - WIDE / 2}" y="{y - HIGH / 2}" width="{WIDE}" height="{HIGH}" rx="8" stroke-width="1.5" '
        f'fill="var(--color-background-primary, #fff)"/>'
        f'<text x="{MIDDLE}" y="{y + 5}" text-anchor="middle" fill="currentColor" stroke="none">{name}</text>'
    )


def _arc(start: int, end: int, rows: list[str]) -> str:
    """On the right downwards, on the left upwards; ends of arcs are spread over the side of a box."""
    onwards = end >= start
    side = 1 if onwards else -1
    x = MIDDLE + side * WIDE / 2
    steps = abs(end - start)
    reach = x + side * (18 + SIDE * max(steps, 0.5) / 2.2)
    low, high = (6, -6) if onwards else (-6, 6)
    if steps == 0:
        low, high = -8, 8
    y1, y2 = FIRST + STEP * start + low, FIRST + STEP * end + high
    title = escape(f"{ORDER[start]} to {ORDER[end]}: {', '.join(rows)}")
    return (
        f'<path d="M{x} {y1} C{reach:g} {y1} {reach:g} {y2} {x} {y2}" stroke-width="1.3" opacity="0.75" '
        f'marker-end="url(#head)"><title>{title}</title></path>'
    )
