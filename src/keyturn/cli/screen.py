"""What a person sees: lines, tables, errors; and what a program sees: one JSON document on stdout.

Decides looks alone. Colours are for terminals, and nothing is said by a colour alone. Errors say what happened, where,
what was not changed, and what to do next. Never here: a value, or a decision.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, TextIO

import click

from keyturn.cli.layout import INDENT, Line, Tone, wrapped
from keyturn.errors import KeyturnError, Misconfigured, forget_locals

WIDTH = 100
"""Prose is not wider than this, however wide the terminal is."""
INTERRUPTED = 130
"""The exit code of what a person ended."""
STANDARD = 80
"""Columns of a terminal that does not say how wide it is."""
STYLES: dict[Tone, dict[str, Any]] = {
    Tone.PLAIN: {},
    Tone.OK: {"fg": "green"},
    Tone.ATTENTION: {"fg": "yellow"},
    Tone.BAD: {"fg": "red", "bold": True},
    Tone.DIM: {"dim": True},
}
"""Every colour there is. What it means is said in words as well."""
LAYOUT = "\n\t"
"""What lays text out, and is no part of a name."""
TIMED = len("2026-01-05 08:00:00  ")
"""Where a line that begins with a time goes on."""

NEVER_RAN = "Nothing is known yet: `keyturn run` adopts what the configuration opts in."
UNCHANGED = "Nothing was changed."
GOES_ON = "What was done so far is in the ledger; the next run goes on from there."


class _Screen:
    """One process has one screen."""

    def __init__(self) -> None:
        self.debug = False
        self.json = False
        self.state = UNCHANGED
        self.lock = threading.Lock()


_screen = _Screen()


def begin() -> None:
    """A new command begins."""
    _screen.__init__()  # type: ignore[misc]


def debugging(_: click.Context, __: click.Parameter, wanted: bool) -> None:
    """`--debug`."""
    _screen.debug = _screen.debug or wanted


def no_color(_: click.Context, __: click.Parameter, wanted: bool) -> None:
    """By the variable that everybody knows, so that whatever is started or imported from here keeps to it, too."""
    if wanted:
        os.environ["NO_COLOR"] = "1"


def quiet_strangers() -> None:
    """Azure's libraries log at length what keyturn says in a sentence; --debug lets them."""
    import logging  # noqa: PLC0415

    if not _screen.debug:
        for name in ("azure", "msal"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def as_json(_: click.Context, __: click.Parameter, wanted: bool) -> bool:
    """`--json`: one document, and nothing else on stdout."""
    _screen.json = wanted
    return wanted


def acting(state: str = GOES_ON) -> None:
    """From here on an error cannot say any more that nothing was changed; it says this instead."""
    _screen.state = state


def tame(text: str, kept: str = "") -> str:
    """Without what would steer a terminal, hide, or turn the reading order: sids, names and Azure's texts are somebody
    else's."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in kept else "?" for each in text)


def say(line: str = "", *, below: int | None = None) -> None:
    """A line for people, or several, within the width of their terminal; programs do not get it. What does not fit goes
    on at column `below`, or a little behind where the line begins. Safe from any thread."""
    _tell_people(fitted(tame(line, LAYOUT), width(), below=below))


def whole(text: str) -> None:
    """The same, however wide its lines are: it is there to be saved."""
    _tell_people(tame(text, LAYOUT))


def fitted(text: str, columns: int | None, *, below: int | None = None) -> str:
    """Its lines in at most so many columns, longer only where a single word is; None: as they are."""
    if columns is None:
        return text
    told = []
    for each in text.split("\n"):
        own = len(each) - len(each.lstrip())
        goes_on = own + len(INDENT) if below is None else below
        told += [each] if len(each) <= columns else wrapped(each[:own], each[own:], columns, below=goes_on)
    return "\n".join(told)


def value(text: str) -> None:
    """A value that somebody asked for, exactly as it is; programs do not get it."""
    _tell_people(text)


def _tell_people(text: str) -> None:
    if not _screen.json:
        with _screen.lock:
            click.echo(text)


def item(head: str, text: str) -> None:
    """A line for people that starts with `head`; what does not fit goes on below the text, never below the head."""
    say("\n".join(wrapped(head, text, min(width() or WIDTH, WIDTH))))


def show(lines: Iterable[Line]) -> None:
    """Lines in their tones, for people. Safe from any thread."""
    for pieces in lines:
        _tell_people(in_tones(pieces, sys.stdout))


def in_tones(pieces: Line, stream: TextIO) -> str:
    """A line as text: in colours where the stream has them."""
    return "".join(painted(tame(piece.text), piece.tone, stream) for piece in pieces)


def painted(text: str, tone: Tone, stream: TextIO) -> str:
    """The text in its tone's colour, where the stream has colours."""
    style = STYLES[tone]
    return click.style(text, **style) if style and coloured(stream) else text


def coloured(stream: TextIO) -> bool:
    """A terminal that can, and nobody who asked for none: NO_COLOR, which --no-color sets."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def first_sentence(text: str) -> str:
    """As far as the first full stop that a space follows."""
    return text.partition(". ")[0].removesuffix(".") + "."


def width(stream: TextIO | None = None) -> int | None:
    """The columns of the terminal behind stdout, or another stream; None where there is none: whatever reads it gets
    whole lines."""
    stream = stream or sys.stdout
    if not stream.isatty():
        return None
    wanted = os.environ.get("COLUMNS", "")
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    with suppress(OSError, ValueError):
        return os.get_terminal_size(stream.fileno()).columns or STANDARD
    return STANDARD


def whisper(line: str) -> None:
    """A line for people beside the result: on stderr."""
    _tell_beside(fitted(tame(line, LAYOUT), width(sys.stderr)))


def _tell_beside(text: str) -> None:
    with _screen.lock:
        click.echo(text, err=True)


def happened(kind: str, sentence: str, rule: str) -> str:
    """An event as one phrase: its kind is left out where the sentence says it anyway."""
    told = sentence if sentence.startswith(kind) else f"{kind}: {sentence}"
    return f"{told}  [{rule}]" if rule else told


def warn(sentence: str) -> None:
    """Something that a person should look at; on stderr."""
    _headed("warning:", Tone.ATTENTION, [f"warning: {sentence}"])


class Declined(click.Abort):
    """A person was asked, and said no."""


def ask(question: str) -> None:
    """Returns if a person says yes. Raises Declined, click.Abort."""
    if not click.confirm(question, err=True):
        raise Declined


def stopped(how: click.Abort) -> int:
    """What ends a command that a person ended. Returns the exit code."""
    if isinstance(how, Declined):
        return fail("you said no", "", code=INTERRUPTED)
    if sys.stderr.isatty():
        click.echo(err=True)  # the question, or ^C, stands on this line
    return fail("stopped before it was done", "", code=INTERRUPTED)


def speaks_json() -> bool:
    """Whether a program reads this command's stdout."""
    return _screen.json


def document(content: Any) -> None:
    """The one JSON document, or what makes it; people do not get it."""
    if _screen.json:
        text = json.dumps(content() if callable(content) else content, indent=2, ensure_ascii=False)
        click.echo("".join(each if each.isprintable() or each == "\n" else _escaped(each) for each in text))


def _escaped(letter: str) -> str:
    """The same text for a program, and harmless on a terminal."""
    return json.dumps(letter)[1:-1]


# -------- what went wrong


def fail(sentence: str, hint: str, *, code: int) -> int:
    """The error that ends a command, on stderr; for programs the document, too. Returns the exit code."""
    said = _screen.state == UNCHANGED and "othing was changed" in f"{sentence} {hint}"
    state = "" if said else _screen.state
    _complain(sentence, state, hint)
    document({"error": sentence, "next": hint, "exit": code})
    return code


def trouble(where: str, error: KeyturnError) -> int:
    """An error that does not end the command, on stderr. Returns the exit code that it asks for."""
    forget_locals(error)
    _complain(f"{where}{error.message}", "", _next(error))
    return 2 if isinstance(error, Misconfigured) else 1


def fail_with(error: KeyturnError) -> int:
    """The same for an error of keyturn's own."""
    if _screen.debug:
        _tell_beside(tame(traceback.format_exc(), LAYOUT))
    if isinstance(error, Misconfigured) and error.where:
        whisper("\n".join(error.problems))
        wrong = len(error.problems)
        document({"error": "the configuration is wrong", "problems": list(error.problems), "exit": 2})
        _complain(f"the configuration has {wrong} error{'' if wrong == 1 else 's'}", UNCHANGED, "")
        return 2
    return fail(error.message, _next(error), code=2 if isinstance(error, Misconfigured) else 1)


def fail_by_defect(error: Exception) -> int:
    """A defect of ours. Its text could hold anything, so only its type is named."""
    if _screen.debug:
        _tell_beside(tame(traceback.format_exc(), LAYOUT))
    return fail(f"a defect: {type(error).__name__}; run with --debug to see where, and please report it", "", code=1)


def _next(error: KeyturnError) -> str:
    """The hint, without what is said anyway."""
    return "" if error.hint == UNCHANGED else error.hint


def _complain(sentence: str, state: str, hint: str) -> None:
    what, *more = sentence.splitlines() or [""]
    lines = [f"keyturn: {what}", *(f"  {line}" for line in more)]
    if state:
        lines.append(f"  {state}")
    if hint:
        # broken nowhere but between words: an ARM id is there to be copied
        lines += wrapped("  Next: ", hint, min(width(sys.stderr) or WIDTH, WIDTH))
    _headed("keyturn:", Tone.BAD, lines)


def _headed(head: str, tone: Tone, lines: Iterable[str]) -> None:
    """On stderr, what begins with a word in a tone; the lengths of lines are those without any."""
    text = "\n".join(fitted(tame(each, LAYOUT), width(sys.stderr)) for each in lines)
    _tell_beside(f"{painted(head, tone, sys.stderr)}{text.removeprefix(head)}")
