"""Text in columns: what stands beside what, and what goes below where a screen is too narrow.

Pure. A line is a row of pieces, each with the tone in which it is said; a tone is a colour where there are colours, and
never the only thing that says it. No word is cut: a reason code is there to be copied. Never here: what is told.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Sequence
from enum import Enum
from typing import NamedTuple

NARROWEST = 24
"""Columns that are left to a text, whatever stands before it."""
ROOM = 40
"""A last column with less room than this goes below its row."""
GAPS = (3, 2)
"""Between two columns: rather this much, then that."""
INDENT = "    "


class Tone(Enum):
    """The palette: what a colour means."""

    PLAIN = "plain"
    OK = "ok"
    ATTENTION = "attention"
    BAD = "bad"
    DIM = "dim"


class Piece(NamedTuple):
    """Some text in one tone."""

    text: str
    tone: Tone = Tone.PLAIN


Line = tuple[Piece, ...]


def line(text: str = "", tone: Tone = Tone.PLAIN) -> Line:
    """A line of one piece; empty where the text is."""
    return (Piece(text, tone),) if text else ()


def plain(pieces: Line) -> str:
    """The text of a line, without its tones."""
    return "".join(piece.text for piece in pieces)


def wrapped(head: str, text: str, columns: int | None, *, below: int | None = None) -> list[str]:
    """`head` and `text` in lines of at most `columns`; None: in one. What does not fit goes on below the text, or at
    column `below`. Longer only where a single word is."""
    if columns is None:
        return [f"{head}{text}".rstrip()]
    lines = textwrap.wrap(
        text,
        max(columns, len(head) + NARROWEST),
        initial_indent=head,
        subsequent_indent=" " * (len(head) if below is None else below),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines or [head.rstrip()]


def joined(parts: Sequence[str], columns: int | None, *, indent: str = INDENT) -> list[str]:
    """Parts beside each other, three spaces apart; one that does not fit begins a line of its own."""
    lines = [""]
    for part in (part for part in parts if part):
        longer = f"{lines[-1]}{' ' * GAPS[0]}{part}" if lines[-1] else part
        if columns is None or not lines[-1] or len(longer) <= columns:
            lines[-1] = longer
        else:
            lines.append(f"{indent}{part}")
    return lines


class Table(NamedTuple):
    """A table as it fits: its lines, and the heads of the columns for which there was no room."""

    lines: tuple[Line, ...]
    left_out: tuple[str, ...] = ()


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    columns: int | None,
    *,
    tones: Sequence[Tone] = (),
    toned: int = 1,
    spare: Sequence[int] = (),
    below: Collection[int] = (),
) -> Table:
    """Rows under heads, in `columns`; None: as wide as they are.

    The last column is prose: where it has not room enough it goes below its row, wrapped. Then the `spare` columns go,
    the first of them first; then those of `below` join the prose. `tones`: of each row's column `toned`.
    """
    tones = tones or [Tone.PLAIN] * len(rows)
    beside, under, gap = _fitted(heads, rows, columns, spare, below)
    widths = {at: max(len(row[at]) for row in (heads, *rows)) for at in beside}
    prose = len(heads) - 1
    indent = sum(widths[at] + gap for at in beside if at != prose)

    def told(row: Sequence[str], tone: Tone, rest: Tone) -> Iterator[Line]:
        pieces: list[Piece] = []
        for at in beside:
            if at != prose:
                pieces += [
                    Piece(row[at], tone if at == toned else rest),
                    Piece(" " * (widths[at] - len(row[at]) + gap)),
                ]
        first, *more = _in_room(row[prose], None if columns is None else columns - indent) if prose in beside else [""]
        yield _trimmed([*pieces, Piece(first, tone if prose == toned else rest)])
        yield from (line(f"{' ' * indent}{each}", rest) for each in more)

    lines = list(told(heads, Tone.DIM, Tone.DIM))
    for row, tone in zip(rows, tones, strict=True):
        lines += told(row, tone, Tone.PLAIN)
        lines += [line(text) for at in under if row[at] for text in wrapped(INDENT, row[at], columns)]
    left_out = [heads[at] for at in range(len(heads)) if at not in {*beside, *under}]
    return Table(tuple(lines), tuple(left_out))


def _in_room(text: str, room: int | None) -> list[str]:
    """The text in lines of at most `room`; None: in one."""
    if room is None:
        return [text]
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]


def _fitted(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    columns: int | None,
    spare: Sequence[int],
    below: Collection[int],
) -> tuple[list[int], list[int], int]:
    """The columns that stand beside each other, those that go below, and the gap: the first choice that fits."""
    every, fixed, prose = list(range(len(heads))), list(range(len(heads) - 1)), len(heads) - 1
    wide = {at: max(len(row[at]) for row in (heads, *rows)) for at in every}

    def takes(shown: Sequence[int], gap: int) -> int:
        """Columns of the screen."""
        return sum(wide[at] for at in shown) + gap * (len(shown) - 1)

    if columns is None or takes(every, GAPS[0]) <= columns:
        return every, [], GAPS[0]
    if takes(fixed, GAPS[0]) + GAPS[0] + ROOM <= columns:
        return every, [], GAPS[0]
    shown, under = fixed, [prose]
    for gone in (None, *spare):
        shown = [at for at in shown if at != gone]
        for gap in GAPS:
            if takes(shown, gap) <= columns:
                return shown, under, gap
    return [at for at in shown if at not in below], [*below, *under], GAPS[-1]


def _trimmed(pieces: Sequence[Piece]) -> Line:
    """Without the spaces and the empty pieces at its end."""
    kept = list(pieces)
    while kept and not kept[-1].text.rstrip():
        kept.pop()
    if kept:
        kept[-1] = Piece(kept[-1].text.rstrip(), kept[-1].tone)
    return tuple(kept)
