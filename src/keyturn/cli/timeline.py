"""A timeline as text: under each day what happens at what hour, how long from now that is, and what it costs.

Pure but for the zone of this machine. Never here: what happens (that is `preview`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from keyturn.cli.clockface import Face
from keyturn.cli.layout import Line, Piece, Tone, line, wrapped
from keyturn.policy import spell
from keyturn.preview import Line as Step
from keyturn.preview import Preview

UNFOLD = "--every-token"


def timeline(seen: Preview, now: datetime, face: Face, columns: int | None) -> Iterator[Line]:
    """The steps under their days. A day is named again where the zone's offset changes within it."""
    offsets = [_from_now(step.offset) for step in seen.lines]
    wide = max((len(offset) for offset in offsets), default=0)
    named = max((len(step.what) for step in seen.lines), default=0)
    day = zone = ""
    for step, offset in zip(seen.lines, offsets, strict=True):
        at = now + step.offset
        if (face.day(at), face.zone(at)) != (day, zone):
            said = "" if face.zone(at) == zone else f" ({face.zone(at)})"
            day, zone = face.day(at), face.zone(at)
            yield (Piece(f"  {day}"), Piece(said, Tone.DIM)) if said else line(f"  {day}")
        head = f"    {face.hour(at)}  {offset:<{wide}}  {step.what:<{named}}  "
        first, *more = wrapped(head, _detail(step), columns)
        yield line(first)
        yield from (line(each) for each in more)


def _from_now(offset: timedelta) -> str:
    """`now`, `+30 s`, `+30 d 30 s`."""
    days, rest = timedelta(days=offset.days), offset % timedelta(days=1)
    told = " ".join(spell(part) for part in (days, rest) if part)
    return f"+{told}" if told else "now"


def _detail(step: Step) -> str:
    writes = f"{step.arm_writes} ARM write{'s' if step.arm_writes != 1 else ''}, " if step.arm_writes else ""
    more = f" ({UNFOLD} tells each)" if step.times > 1 else ""
    return f"{writes}{step.detail}{more}"
