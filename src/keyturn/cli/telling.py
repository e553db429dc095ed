"""`keyturn history`: what happened, line by line, or for one credential as a story.

It reads the ledger alone: it imports neither Azure nor SQLAlchemy. Never here: a save, or how a story goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from keyturn.cli import options, screen
from keyturn.cli.naming import resolve

if TYPE_CHECKING:
    from keyturn.ports import HistoryLine


@click.command()
@click.argument("name", required=False, metavar="[NAME]", shell_complete=options.complete_names)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many of the newest lines.")
@click.option("--lines", is_flag=True, help="Of one NAME, too, each line as it was written.")
@options.configured
def history(name: str | None, limit: int, lines: bool, config: str | None) -> int:
    """Show what happened, oldest first; of one NAME as a story, rotation by rotation. Reads the ledger alone."""
    from keyturn import assemble  # noqa: PLC0415

    read = options.read(config)
    view = assemble.view(read)
    if view is None:
        resolve([name] if name else [], ())
        screen.say(screen.NEVER_RAN)
        screen.document({"emulated": read.clock is not None, "lines": []})
        return 0
    with view:
        records = {record.id: record for record in view.records()}
        record = records[resolve([name], list(records))[0]] if name else None
        found = view.history(None if record is None else record.key, limit)
    names = {each.key: id for id, each in records.items()}
    if read.clock is not None:
        screen.say("emulated time")
    if record is None or lines:
        _plain(found, {} if record is not None else names)
    else:
        from keyturn.cli.story import story  # noqa: PLC0415

        screen.say(record.id)
        told = [line.event for line in found]
        screen.show(story(told, record.rotations, screen.width(), cut=len(found) == limit))
    screen.document(
        {
            "emulated": read.clock is not None,
            "lines": [_in_json(line, names) for line in found],
        }
    )
    return 0


def _in_json(line: HistoryLine, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "seq": line.seq,
        "id": names.get(line.key, line.key),
        "at": f"{line.event.at:%Y-%m-%dT%H:%M:%SZ}",
        "kind": line.event.kind,
        "sentence": line.event.sentence,
        "rule": line.event.rule,
        "facts": line.event.facts,
    }


def _plain(found: Sequence[HistoryLine], names: Mapping[str, str]) -> None:
    """A line for each event; with whose it is, where `names` has some."""
    for line in found:
        where = f"  {names.get(line.key, line.key)}" if names else ""
        told = screen.happened(line.event.kind, line.event.sentence, line.event.rule)
        screen.say(f"{line.event.at:%Y-%m-%d %H:%M:%S}{where}  {told}", below=screen.TIMED)
