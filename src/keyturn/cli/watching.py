"""A screen that is drawn again and again until it is interrupted.

On a terminal a frame takes the place of the one before it, on a screen of its own, so that nothing scrolls or flickers;
what is left behind is the last frame. Elsewhere frames follow each other, with a line between them. Never here: what a
frame shows.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import Any, Protocol

from keyturn.cli import screen
from keyturn.cli.layout import Line, Tone, line
from keyturn.errors import KeyturnError


class Frame(Protocol):
    """What one look showed."""

    @property
    def lines(self) -> tuple[Line, ...]: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def code(self) -> int: ...


Look = Callable[[int | None], Frame]
"""A look, laid out for so many columns; None: for no terminal."""


def watching(look: Look, every: timedelta) -> int:
    """Look every so often, until Ctrl-C or SIGTERM. The exit code of the last look.

    The first look may fail as it likes; a later one that fails is told, and tried again.
    """
    frame = look(screen.width())
    with _interrupted_by_a_signal():
        try:
            (_redraw if _can_redraw() else _follow)(look, frame, every)
        except _Interrupted as last:
            frame = last.frame or frame
    if _can_redraw():
        screen.show(frame.lines)
    return frame.code


def _can_redraw() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


class _Interrupted(BaseException):
    """Somebody has seen enough."""

    frame: Frame | None = None


@contextmanager
def _interrupted_by_a_signal() -> Iterator[None]:
    def stop(_: int, __: FrameType | None) -> None:
        raise _Interrupted

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _follow(look: Look, frame: Frame, every: timedelta) -> None:
    """For a pipe or a file: whole frames, one after the other."""
    last = frame
    try:
        while True:
            screen.show(last.lines)
            for warning in last.warnings:
                screen.say(f"warning: {warning}")
            screen.say(SEPARATOR)
            sys.stdout.flush()
            time.sleep(every.total_seconds())
            last = _again(look, None, last)
    except _Interrupted as stopped:
        stopped.frame = last
        raise


SEPARATOR = "--"


def _redraw(look: Look, frame: Frame, every: timedelta) -> None:
    """On a screen of its own, each frame in the place of the last one."""
    from rich.console import Console  # noqa: PLC0415 - only where a person watches
    from rich.live import Live  # noqa: PLC0415

    console = Console(highlight=False)
    last = frame
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(_drawn(last, console.size.height, every), refresh=True)
                time.sleep(every.total_seconds())
                last = _again(look, screen.width(), last)
    except _Interrupted as stopped:
        stopped.frame = last
        raise


def _drawn(frame: Frame, height: int, every: timedelta) -> Any:
    """The frame as rich draws it, cut to the height, and saying so."""
    from rich.text import Text  # noqa: PLC0415

    lines = [screen.in_tones(each, sys.stdout) for each in cut(frame, height, every)]
    return Text.from_ansi("\n".join(lines), no_wrap=True, overflow="crop")


def cut(frame: Frame, height: int, every: timedelta) -> Sequence[Line]:
    """What of a frame fits, with a line at its end that says how to stop and what is missing."""
    warnings = [line(f"warning: {each}", Tone.ATTENTION) for each in frame.warnings]
    lines, room = [*frame.lines, *warnings], max(height - 1, 1)
    more = f"{len(lines) - room + 1} lines more than fit; " if len(lines) > room else ""
    kept = lines[: room - 1] if more else lines
    return [*kept, line(f"{more}every {every.total_seconds():g} s; Ctrl-C ends it", Tone.DIM)]


def _again(look: Look, columns: int | None, last: Frame) -> Frame:
    """The next look; where it fails, the last one with what went wrong below it."""
    try:
        return look(columns)
    except KeyturnError as error:
        return _Failed(last, error.message)


class _Failed:
    """A look that failed: what was seen last, and why there is nothing newer."""

    def __init__(self, last: Frame, sentence: str) -> None:
        seen = last.seen if isinstance(last, _Failed) else last
        self.seen: Frame = seen
        self.lines = (*seen.lines, line(f"That was the last look; this one failed: {sentence}", Tone.BAD))
        self.warnings = seen.warnings
        self.code = 1
