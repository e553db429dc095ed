"""The history of one credential as a story: a chapter for each rotation, and for what happened between two.

What was decided and what came of it are one line, a wait is told by how long it took, and each rotation ends with what
it cost and how long the old value lived on. Nothing is told that is not in the history; `--lines` shows that as it is.
Pure. Never here: a look at the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import NamedTuple

from keyturn.cli.layout import Line, Piece, Tone, line, wrapped
from keyturn.model import Event
from keyturn.policy import spell

ASKED, WAITED, NAMED = "requested", "wait", "compromised"
"""NAMED: first a person says so; then, unless a rotation renews already, a turn begins one."""
BEGINS = frozenset({"due", NAMED})
ENDS = frozenset({"finish", "finish, retire later"})
SHOWN = frozenset({"published", "repaired", "repaired in a rotation"})
LEADS_TO = {
    "renew the standby": frozenset({"renewed"}),
    "retire the old slot": frozenset({"retired"}),
    "read the values": frozenset({"renewed", "retired", "adopt: shown", "adopt: empty"}),
    "prove the fence": frozenset({"fence"}),
    "accepted": frozenset({"confirm"}),
    "confirmed": SHOWN,
    "publish": SHOWN,
    "drained": frozenset({"retired"}),
}
"""What is left out, because something later in the same chapter says how it went."""
TROUBLE = frozenset({"refused", "unreachable", "unclear", "refused-by-gateway", "drift", "hold"})
BY_A_PERSON = frozenset({"by hand", "release", "rollback", "vouch", "take-over"})
WRITES = frozenset({"renew the standby", "retire the old slot", "by hand"})
PUBLISHED = re.compile(r"publish \w+ to (?P<where>.+)")
AT_ONCE = timedelta(seconds=1)


class Chapter(NamedTuple):
    """Some events that belong together, oldest first; `over`: when the next chapter began, if it did."""

    events: tuple[Event, ...]
    over: datetime | None = None

    @property
    def rotates(self) -> bool:
        """Whether a rotation begins in it, or is asked for."""
        return any(event.kind in BEGINS | {ASKED} for event in self.events)

    @property
    def ended(self) -> bool:
        """Whether a rotation comes to its end in it."""
        return self.events[-1].kind in ENDS

    def first(self, *kinds: str) -> Event | None:
        """The first event of one of these kinds."""
        return next((event for event in self.events if event.kind in kinds), None)


def story(events: Sequence[Event], rotations: int, columns: int | None, *, cut: bool = False) -> Iterator[Line]:
    """The chapters, oldest first. `rotations`: how many have ended so far; `cut`: older events were left out."""
    told = chapters(events)
    unnumbered = rotations - sum(1 for chapter in told if chapter.ended)
    for at, chapter in enumerate(told):
        last = at == len(told) - 1
        if chapter.ended or (chapter.rotates and last):
            unnumbered += 1
        if at == 0 and cut:
            yield line("Older lines are left out: --limit shows more.", Tone.DIM)
        yield from _heading(chapter, unnumbered, last=last, beginning=not (at == 0 and cut))
        yield from _told(chapter, columns)
        if chapter.ended:
            yield from _reckoning(chapter, columns)
        if not last:
            yield ()


def chapters(events: Sequence[Event]) -> list[Chapter]:
    """A rotation goes from what asked for it to its end; what is between two is a chapter of its own."""
    found: list[list[Event]] = []
    for event in events:
        so_far = found[-1] if found else []
        if not so_far or so_far[-1].kind in ENDS or _begins(event, so_far):
            found.append([])
        found[-1].append(event)
    ends = [each[0].at for each in found[1:]]
    return [Chapter(tuple(each), over) for each, over in zip_longest(found, ends)]


def _begins(event: Event, so_far: Sequence[Event]) -> bool:
    """Whether another rotation begins with it, after what the chapter holds so far."""
    if event.kind not in BEGINS | {ASKED}:
        return False
    kinds = {each.kind for each in so_far}
    only_asked_yet = so_far[0].kind in {ASKED, NAMED} and kinds <= {ASKED, NAMED, WAITED}
    named_in_a_rotation = event.kind == NAMED and NAMED not in kinds and bool(kinds & (BEGINS | {ASKED}))
    return not (only_asked_yet or named_in_a_rotation)


def _heading(chapter: Chapter, number: int, *, last: bool, beginning: bool) -> Iterator[Line]:
    start, end = chapter.events[0].at, chapter.events[-1].at
    span = f"{_moment(start)} to {_moment(end)} UTC, {spell(end - start)}"
    if chapter.ended:
        head = f"Rotation {number}" if number > 0 else "A rotation"
        yield (Piece(f"{head}   "), Piece(span if beginning else f"to {_moment(end)} UTC", Tone.DIM))
    elif chapter.rotates and last:
        yield (Piece(f"Rotation {number}   "), Piece(f"since {_moment(start)} UTC, not at its end yet", Tone.DIM))
    elif chapter.rotates:
        yield (Piece("A rotation that did not come to its end   "), Piece(span, Tone.DIM))
    else:
        what = "Adoption" if any(event.kind.startswith("adopt") for event in chapter.events) else "At rest"
        lasted = "" if chapter.over is None else f", {spell(chapter.over - start)}"
        yield (Piece(f"{what}   "), Piece(f"since {_moment(start)} UTC{lasted}", Tone.DIM))


def _told(chapter: Chapter, columns: int | None) -> Iterator[Line]:
    """One line for each thing that happened, in UTC."""
    events = chapter.events
    if chapter.over is not None and {event.kind for event in events} == {WAITED}:
        return  # the heading says how long it rested
    for at, event in enumerate(events):
        later = {each.kind for each in events[at + 1 :]}
        if LEADS_TO.get(event.kind, frozenset()) & later:
            continue
        text, tone = _said(chapter, at)
        if text:
            head = f"  {_moment(event.at)}  "
            yield from (line(each, tone) for each in wrapped(head, text, columns))


def _said(chapter: Chapter, at: int) -> tuple[str, Tone]:
    """What is told of an event, if anything, and how."""
    event = chapter.events[at]
    rule = f"  [{event.rule}]" if event.rule else ""
    if event.kind == WAITED:
        return _waited(chapter, at), Tone.DIM
    if event.kind == ASKED or event.kind in BEGINS:
        asked = chapter.first(ASKED)
        if asked is not None and event is not asked and event.sentence == asked.sentence:
            return "", Tone.PLAIN
        why = "somebody asked for it: " if event.kind == ASKED else ""
        return f"because {why}{event.sentence}{rule}", Tone.PLAIN
    if event.kind in SHOWN:
        places = [PUBLISHED.search(each.sentence) for each in chapter.events[:at] if each.kind == "publish"]
        where = f": {places[-1]['where']}" if places and places[-1] is not None else ""
        return f"{event.sentence}{where}{rule}", Tone.PLAIN
    tone = Tone.ATTENTION if event.kind in TROUBLE else Tone.PLAIN
    head = f"{event.kind}: " if event.kind in TROUBLE | BY_A_PERSON else ""
    return f"{head}{event.sentence}{rule}", tone


def _waited(chapter: Chapter, at: int) -> str:
    """How long, until the next thing that happened; the last wait of all may still go on."""
    event = chapter.events[at]
    rule = f"  [{event.rule}]" if event.rule else ""
    until = chapter.over if at == len(chapter.events) - 1 else chapter.events[at + 1].at
    if until is None:
        return f"waits: {event.sentence}{rule}"
    lasted = until - event.at
    return f"waited {spell(lasted)}: {event.sentence}{rule}" if lasted >= AT_ONCE else ""


def _reckoning(chapter: Chapter, columns: int | None) -> Iterator[Line]:
    """What it cost, and how long the old value lived on beside the new one."""
    events = chapter.events
    counts = [
        (sum(1 for event in events if event.kind in WRITES), "slot write", "slot writes"),
        (sum(1 for event in events if event.kind == "publish"), "publish", "publishes"),
        (sum(1 for event in events if event.kind == "accepted"), "confirmation", "confirmations"),
        (sum(1 for event in events if event.kind in TROUBLE), "thing that went wrong", "things that went wrong"),
    ]
    parts = [f"{count} {one if count == 1 else many}" for count, one, many in counts if count]
    retired, published = chapter.first("retired"), chapter.first("published")
    if retired is not None and published is not None and retired.at > published.at:
        parts.append(f"the old value died {spell(retired.at - published.at)} after every sink showed the new one")
    if parts:
        yield from (line(each, Tone.DIM) for each in wrapped("  in all: ", "; ".join(parts), columns))


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
