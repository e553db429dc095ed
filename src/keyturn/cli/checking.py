"""`keyturn check`: is everything there? It looks, and changes nothing.

Never here: what is looked at (that is `checkup`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from keyturn.cli import options, screen
from keyturn.cli.layout import Line, Piece, Tone, line, wrapped
from keyturn.cli.looking import chosen

if TYPE_CHECKING:
    from keyturn.assemble import Discovered
    from keyturn.checkup import Finding
    from keyturn.sweep import Charge

COLUMNS = 80
"""Where stdout is no terminal."""
MARK = 11
TONES = {"ok": Tone.OK, "attention": Tone.ATTENTION, "missing": Tone.BAD}


@click.command()
@options.NAMES
@options.configured
def check(names: tuple[str, ...], config: str | None) -> int:
    """Tell whether everything is there: sign-in, roles, gateways, probes, vaults, ledger, clock. Changes nothing.

    Exits 1 when something is missing.
    """
    from keyturn import assemble  # noqa: PLC0415
    from keyturn.checkup import Mark, findings  # noqa: PLC0415

    screen.quiet_strangers()
    read = options.read(config)
    told = []
    with assemble.open_to_check(read) as keyturn:
        options.clock_line(read, keyturn.clock.now())
        found = keyturn.discover()
        named = bool(names) and not found.problems
        for finding in findings(keyturn, found, _meant(names, found), named=named):
            told.append(finding)
            screen.show(_lines(finding))
    counts = {mark: sum(each.mark is mark for each in told) for mark in Mark}
    code = 1 if counts[Mark.MISSING] else 0
    screen.say(f"{', '.join(f'{count} {mark}' for mark, count in counts.items())}. Nothing was changed.   exit {code}")
    following = _following(code, bool(found.charges))
    screen.say(f"Next: {following}")
    screen.document(
        {
            "emulated": read.clock is not None,
            "findings": [_in_json(each) for each in told],
            **{mark.value: count for mark, count in counts.items()},
            "next": following,
            "exit": code,
        }
    )
    return code


def _meant(names: Sequence[str], found: Discovered) -> list[Charge]:
    """The credentials to look at. Where a service could not be listed, an unknown name is no reason to tell nothing."""
    here = [charge for charge in found.charges if charge.credential.key not in found.lost]
    if found.problems:
        return here
    return chosen(names, found) if names else here


def _in_json(finding: Finding) -> dict[str, str]:
    return {
        "mark": finding.mark,
        "about": finding.about,
        "sentence": finding.sentence,
        "action": finding.action,
        "next": finding.next,
    }


def _following(code: int, anybody: bool) -> str:
    if code:
        return "do what stands behind `do:`, then `keyturn check` again."
    return "`keyturn plan` tells what would happen." if anybody else "opt somebody in, then `keyturn check` again."


def _lines(finding: Finding) -> list[Line]:
    """The mark, whom it is about, and below it the rest; words that are longer than a line are there to be copied."""
    columns = min(screen.width() or COLUMNS, screen.WIDTH)
    first, *more = wrapped(f"{'':<{MARK}}", f"{finding.about}: {finding.sentence}", columns)
    lines: list[Line] = [(Piece(f"{finding.mark:<{MARK}}", TONES[finding.mark]), Piece(first[MARK:]))]
    lines += [line(text) for text in more]
    if finding.next:
        lines += [line(text) for text in wrapped(f"{'':<{MARK}}do: ", finding.next, columns)]
    return lines
