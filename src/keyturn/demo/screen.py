"""What people see of the play: a live picture on a terminal, plain lines elsewhere.

Decides looks alone. Every line says where things are, what waits for what, and by which rule. Never here: a value, or
anything that moves the play on.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import click
import msgspec

from keyturn.demo.control import Tally, machine_seconds
from keyturn.model import Record, Stage
from keyturn.policy import spell

if TYPE_CHECKING:
    from rich.live import Live

LINES_EVERY: Final = 2.0
"""Machine seconds between two lines of progress where there is no terminal."""
PICTURES_EVERY: Final = 0.15
BAR: Final = 30
WAIT_SHOWN: Final = 96
"""So many characters of a wait fit on one line with the rest."""
PHASES: Final = (
    ("renew", Stage.RENEW),
    ("confirm", Stage.CONFIRM),
    ("publish", Stage.PUBLISH),
    ("drain", Stage.DRAIN),
    ("retire", Stage.RETIRE),
    ("confirm", Stage.PROVE),
)
_ORDER: Final = [Stage.RENEW, Stage.CONFIRM, Stage.PUBLISH, Stage.DRAIN, Stage.RETIRE, Stage.PROVE]


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """All that is shown at one moment."""

    start: datetime
    now: datetime
    act: str
    records: Sequence[Record]
    tally: Tally
    gateway_refused: int
    arm_writes: int
    done: int | None = None
    """Where there are no records to look at: how many the script is done with."""


class Screen:
    """Says milestones, and progress as often as is good for its reader."""

    def __init__(self, *, plain: bool) -> None:
        self._live: Live | None = None
        self._opened = False
        self._shown_at = float("-inf")
        self._told = ""
        self._wide = not plain and sys.stdout.isatty()
        self._colour = self._wide and not os.environ.get("NO_COLOR")

    def open(self) -> None:
        """From here on pictures are wanted: before, nobody was told what they are of."""
        self._opened = True
        if not self._wide:
            return
        from rich.console import Console  # noqa: PLC0415 - only where a person looks
        from rich.live import Live  # noqa: PLC0415

        console = Console(no_color=not self._colour, highlight=False)
        self._live = Live("", console=console, auto_refresh=False, transient=True)
        self._live.start()

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, line: str = "") -> None:
        """A milestone, or several lines."""
        shown = "\n".join(fitted(each, self._columns()) for each in line.split("\n"))
        if self._live is not None:
            self._live.console.print(shown, markup=False, soft_wrap=True)
        else:
            click.echo(shown)
            sys.stdout.flush()

    def _columns(self) -> int | None:
        return shutil.get_terminal_size((80, 24)).columns if self._wide else None

    def wants(self) -> bool:
        """Whether a new picture is worth making."""
        pause = PICTURES_EVERY if self._live is not None else LINES_EVERY
        return self._opened and machine_seconds() - self._shown_at >= pause

    def show(self, picture: Picture) -> None:
        self._shown_at = machine_seconds()
        if self._live is None:
            told = line(picture)
            if told != self._told:  # nothing new to say while keyturn works and emulated time stands
                self._told = told
                click.echo(told)
                sys.stdout.flush()
            return
        from rich.text import Text  # noqa: PLC0415

        self._live.update(Text("\n" + "\n".join(lines(picture, self._columns()))), refresh=True)


def fitted(text: str, columns: int | None) -> str:
    """A line in at most so many columns; what does not fit goes on behind the time. None: as it is."""
    if columns is None or len(text) <= columns:
        return text
    behind = " " * (len("  day 30  08:15  ") if text.startswith("  day ") else 2)
    return "\n".join(textwrap.wrap(text, columns, subsequent_indent=behind, break_long_words=False))


def when(start: datetime, now: datetime) -> str:
    """`day 30  08:15`: days by the calendar, so that a day ends at midnight."""
    return f"day {(now.date() - start.date()).days:>2}  {now:%H:%M}"


def lines(picture: Picture, columns: int | None = None) -> list[str]:
    """When, what and why; how far; the callers. In at most so many columns; None: as wide as they are."""
    shown = [f"  {when(picture.start, picture.now)}  {picture.act}"]
    if picture.records:
        shown += [f"  {each}" for each in _progress(picture.records, columns)]
        waiting = waits(picture.records, picture.now)
        shown.append(f"  {waiting}" if waiting else "")
    elif picture.done is not None:
        shown.append(f"  regenerated in place {picture.done}")
    refused = f"refused {picture.tally.refused} (they say) {picture.gateway_refused} (gateways say)"
    shown.append(f"  callers  {picture.tally.calls:,} calls  {refused}  ARM writes {picture.arm_writes:,}")
    return [fitted(each, columns) for each in shown]


def line(picture: Picture) -> str:
    """The same on one line: when, the phase that is furthest behind, the callers, the wait."""
    parts = [f"  {when(picture.start, picture.now)} "]
    if any(record.stage in _ORDER for record in picture.records):
        total = len(picture.records)
        counts = [(word, sum(_is_past(record, stage) for record in picture.records)) for word, stage in PHASES]
        parts.append(" ".join(f"{word} {past}/{total}" for word, past in counts if past) or f"renew 0/{total}")
    elif picture.done is not None:
        parts.append(f"regenerated {picture.done}")
    parts.append(f"{picture.tally.calls:,} calls, {picture.tally.refused} + {picture.gateway_refused} refused")
    why = waits(picture.records, picture.now)
    return "  ".join([*parts, why[:WAIT_SHOWN] + ("…" if len(why) > WAIT_SHOWN else "")]).rstrip()


def _progress(records: Sequence[Record], columns: int | None) -> list[str]:
    """`renew 24/24  confirm 24/24  publish 19/24`, behind a bar over all phases, or below it where there is less room;
    at rest only that."""
    total = len(records)
    turning = [record for record in records if record.stage in _ORDER]
    if not turning and not any(record.rotations for record in records):
        adopted = sum(record.stage is Stage.IDLE for record in records)
        return [f"{_bar(adopted, total)}  adopted {adopted}/{total}"]
    past = [[_is_past(record, stage) for record in records] for _, stage in PHASES]
    counts = "  ".join(f"{word} {sum(row)}/{total}" for (word, _), row in zip(PHASES, past, strict=True))
    bar = _bar(sum(map(sum, past)), total * len(PHASES))
    if columns is None or len(f"  {bar}  {counts}") <= columns:
        return [f"{bar}  {counts}"]
    short = "  ".join(f"{word} {sum(row)}" for (word, _), row in zip(PHASES, past, strict=True))
    return [bar, f"of {total}: {short}"]


def _is_past(record: Record, stage: Stage) -> bool:
    if record.stage in _ORDER:
        return _ORDER.index(record.stage) > _ORDER.index(stage)
    return record.rotations > 0


def _bar(done: int, total: int) -> str:
    filled = BAR * done // max(total, 1)
    return "█" * filled + "░" * (BAR - filled)


def waits(records: Sequence[Record], now: datetime) -> str:
    """What most of those under way wait for, by which rule, and for how long yet."""
    held = [record for record in records if record.hold is not None]
    if held and held[0].hold is not None:
        return f"{len(held)} held: {held[0].hold.sentence}"
    pairs = [(r.waiting, r.not_before) for r in records if r.waiting is not None and r.stage in _ORDER]
    if not pairs:
        return ""
    reason, count = Counter(waiting.reason for waiting, _ in pairs).most_common(1)[0]
    waiting, until = next(pair for pair in pairs if pair[0].reason == reason)
    rule = f" (rule {waiting.rule})" if waiting.rule else ""
    left = f" {spell(until - now)} yet" if until is not None and until > now else ""
    return f"{count} wait{left}: {reason}{rule}: {waiting.sentence}"
