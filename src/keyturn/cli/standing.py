"""`keyturn status`: where every credential is and what it waits for, once or again and again.

It reads the ledger alone: it imports neither Azure nor SQLAlchemy. Never here: a save, an effect, or the words for a
record (those are `conditions`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from keyturn.cli import layout, options, screen
from keyturn.cli.layout import Line, Piece, Tone, line
from keyturn.cli.naming import resolve

if TYPE_CHECKING:
    from keyturn.conditions import Condition
    from keyturn.config import Config
    from keyturn.model import Record

HEADS = ("NAME", "CONDITION", "ACTIVE", "SINCE", "NEXT", "WHY")
SPARE = (HEADS.index("SINCE"), HEADS.index("ACTIVE"))
"""Where the screen is too narrow these go, the first of them first."""
BELOW = (HEADS.index("NEXT"),)


class Looked(NamedTuple):
    """What one look at the ledger showed: for people, and for programs."""

    lines: tuple[Line, ...]
    warnings: tuple[str, ...]
    code: int
    document: Callable[[], dict[str, Any]]


@click.command()
@options.NAMES
@click.option("-v", "--verbose", is_flag=True, help="Every wait in full; a single NAME does it, too.")
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option("--every", metavar="SPAN", default="5s", show_default=True, help="With --watch: how often.")
@options.configured
def status(names: tuple[str, ...], verbose: bool, watch: bool, every: str, config: str | None) -> int:
    """Show where every credential is, and what it waits for. Reads the ledger alone.

    Exits 1 when a credential is held or failing; --watch exits as the last look would have.
    """
    pause = options.span(every)
    read = options.read(config)
    if watch:
        if screen.speaks_json():
            raise click.UsageError(
                "--watch is for people: a program calls `keyturn status --json` as often as it likes"
            )
        from keyturn.cli.watching import watching  # noqa: PLC0415

        return watching(lambda columns: look(read, names, verbose, columns), pause)
    looked = look(read, names, verbose, screen.width())
    screen.show(looked.lines)
    for warning in looked.warnings:
        screen.warn(warning)
    screen.document(looked.document)
    return looked.code


def look(read: Config, names: Sequence[str], verbose: bool, columns: int | None) -> Looked:
    """One look, laid out for so many columns. Raises click.UsageError, LedgerFault, TryAgain."""
    from keyturn import assemble  # noqa: PLC0415
    from keyturn.conditions import condition, in_json, summary  # noqa: PLC0415

    now = assemble.clock_of(read).now()
    records = _records(read, names)
    told = [condition(record, assemble.policy_named(read, record), now) for record in records]
    code = 1 if any(each.bad for each in told) else 0
    lines = [line(f"emulated time {now:%Y-%m-%d %H:%M} UTC")] if read.clock is not None else []
    if verbose or len(names) == 1:
        lines += [each for shown in told for each in _in_full(shown, now, columns)]
    elif told:
        lines += _in_short(told, columns)
    if told:
        counts = f"{summary([each.word for each in told])}."
        lines.append((Piece(counts, Tone.BAD if code else Tone.OK), Piece(f"   exit {code}")))
        lines += [line(text, Tone.DIM) for text in layout.wrapped("", _detection(read), columns)]
    else:
        lines.append(line(screen.NEVER_RAN))
    warnings = cautions(read)

    def document() -> dict[str, Any]:
        return {
            "emulated": read.clock is not None,
            "now": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "credentials": [in_json(record, assemble.policy_named(read, record), now) for record in records],
            "warnings": warnings,
            "exit": code,
        }

    return Looked(tuple(lines), tuple(warnings), code, document)


def _records(config: Config, names: Sequence[str]) -> list[Record]:
    from keyturn import assemble  # noqa: PLC0415

    view = assemble.view(config)
    if view is None:
        resolve(names, ())
        return []
    with view:
        records = {record.id: record for record in view.records()}
    return [records[each] for each in resolve(names, list(records))]


def _detection(config: Config) -> str:
    """Invariant 1's 'within one look', in figures."""
    from keyturn.policy import spell  # noqa: PLC0415

    spans = {entry.policy.look_every for entry in config.policies}
    shown = spell(min(spans)) if len(spans) == 1 else f"{spell(min(spans))} to {spell(max(spans))}, by policy"
    return f"A value that somebody else changes is noticed within {shown} (look_every), if keyturn runs that often."


def cautions(config: Config) -> list[str]:
    """The waits that a policy sets below what is recommended (protocol.md: they have no hidden floor)."""
    from keyturn.policy import cautions  # noqa: PLC0415

    emulated = config.clock is not None
    return [caution for entry in config.policies for caution in cautions(entry.policy, emulated=emulated)]


# -------- looks


def _in_short(told: Sequence[Condition], columns: int | None) -> Iterator[Line]:
    rows = [(each.id, each.word, each.active, each.since, each.next, each.why) for each in told]
    tones = [tone(each) for each in told]
    fitted = layout.table(HEADS, rows, columns, tones=tones, spare=SPARE, below=BELOW)
    yield from fitted.lines
    if fitted.left_out:
        heads = " and ".join(fitted.left_out)
        text = f"{heads}: no room in {columns} columns; `keyturn status NAME` tells all."
        yield from (line(each, Tone.DIM) for each in layout.wrapped("", text, columns))


def tone(each: Condition) -> Tone:
    """Bad is what wants a person; at rest is green; what merely takes its time has no colour."""
    if each.bad:
        return Tone.BAD
    return Tone.OK if each.word == "ok" else Tone.PLAIN


def _in_full(each: Condition, now: datetime, columns: int | None) -> Iterator[Line]:
    from keyturn.policy import spell  # noqa: PLC0415

    until = "" if each.until is None else f"{each.until:%Y-%m-%d %H:%M:%S} UTC"
    left = "" if each.until is None or each.until <= now else f" (in {spell(each.until - now)})"
    since = f" for {each.since}" if each.since else ""
    told = [
        ("active", f"{each.active}, {each.word}{since}", tone(each)),
        ("next", each.next, Tone.PLAIN),
        ("waits", each.why, Tone.PLAIN),
        ("rule", each.rule, Tone.PLAIN),
        ("until" if each.why else "look", f"{until}{left}", Tone.PLAIN),
        ("shorter", each.shorter, Tone.PLAIN),
        *(("note", note, Tone.PLAIN) for note in each.notes),
    ]
    yield line(each.id)
    for head, text, said in told:
        for at, shown in enumerate(layout.wrapped(f"  {head:<8} ", text, columns) if text else ()):
            dim = len("  active   ") if at == 0 else 0
            yield (Piece(shown[:dim], Tone.DIM), Piece(shown[dim:], said))
