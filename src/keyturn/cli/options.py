"""The options that every command has, and how a command gets its configuration.

Never here: what a command does with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from keyturn.cli import screen

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from keyturn.config import Config

F = TypeVar("F", bound=Callable[..., Any])


def complete_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """What a shell completes a NAME to. Silent: whatever goes wrong completes to nothing."""
    with suppress(Exception):
        from keyturn.cli import completing  # noqa: PLC0415

        given = context.params.get("names") or ()
        found = completing.fitting(completing.names(context), incomplete)
        return [completing.escaped(each) for each in found if each not in given]
    return []


def _complete_file(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem  # noqa: PLC0415

    return [CompletionItem(incomplete, type="file")]


NAMES = click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_names)
SOME_NAMES = click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_names)
ONE_NAME = click.argument("name", metavar="NAME", shell_complete=complete_names)
YES = click.option("--yes", is_flag=True, help="Do not ask.")


def speaking(command: F) -> F:
    """`--json`, `--no-color` and `--debug`."""
    json = click.option(
        "--json", is_flag=True, expose_value=False, is_eager=True, callback=screen.as_json, help="One JSON document."
    )
    debug = click.option(
        "--debug", is_flag=True, expose_value=False, is_eager=True, callback=screen.debugging, hidden=True
    )
    plain = click.option(
        "--no-color", is_flag=True, expose_value=False, is_eager=True, callback=screen.no_color, help="No colours."
    )
    return json(plain(debug(command)))


def configured(command: F) -> F:
    """`--config`, and what `speaking` adds; the command takes `config`, the file's name or None."""
    return click.option(
        "--config",
        metavar="FILE",
        shell_complete=_complete_file,
        help="The configuration; else $KEYTURN_CONFIG, else ./keyturn.yaml.",
    )(speaking(command))


def because(*, required: bool, default: str = "") -> Callable[[F], F]:
    """`--because`: why a person asks for it; it goes into the history."""
    if required:  # without a default: click takes one of None for an answer
        return click.option("--because", required=True, callback=_worded, metavar="TEXT", help="Why, for the history.")
    return click.option("--because", default=default, show_default=True, metavar="TEXT", help="Why, for the history.")


def _worded(_: click.Context, __: click.Parameter, text: str) -> str:
    if not text.strip():
        raise click.UsageError("say why: --because TEXT goes into the history")
    return text


def read(config: str | None) -> Config:
    """The configuration. Raises Misconfigured."""
    from keyturn import assemble  # noqa: PLC0415 - a command's `--help` needs none of it

    return assemble.read(assemble.which(config))


def instant(text: str) -> datetime:
    """A UTC time as people write it. Raises click.UsageError."""
    try:
        at = datetime.fromisoformat(text.strip())
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.UsageError(f"{text!r} is no time; write it like 2026-01-05T08:00Z") from None


UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def span(text: str) -> timedelta:
    """A span as people write it: 5s, 1h30m. Longer than nothing. Raises click.UsageError."""
    parts = re.findall(r"([0-9]{1,9})([wdhms])", text)
    whole = "".join(count + unit for count, unit in parts) == text
    try:
        found = sum((timedelta(**{UNITS[unit]: int(count)}) for count, unit in parts), timedelta(0))
    except OverflowError:
        whole, found = False, timedelta(0)
    if not (whole and found):
        raise click.UsageError(f"{text!r} is no span; write it like 24h or 1h30m")
    return found


def clock_line(config: Config, now: datetime) -> None:
    """Every screen says it when time is not real."""
    if config.clock is not None:
        screen.say(f"emulated time {now:%Y-%m-%d %H:%M} UTC")
