"""`uv run python -m tests.leaks`: the hunt; its figures come last, and it exits 1 on a leak.

`--keep FOLDER` leaves everything there that was searched, and beside it the values that were looked for.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.leaks.hunt import Hunted, hunt

MOST_TOLD = 40


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.keep is not None:
        options.keep.mkdir(parents=True)
        return tell(hunt(options.keep))
    with tempfile.TemporaryDirectory(prefix="keyturn-leaks-") as folder:
        return tell(hunt(Path(folder)))


def tell(found: Hunted) -> int:
    """The exit code."""
    for place, find in found.leaks[:MOST_TOLD]:
        _say(f"LEAK {place}: {find.name}, {find.dress}, after: {find.around!r}")
    for place in (each for each, shows in found.places.items() if not shows):
        _say(f"BLIND {place}: a value stands there, and was not found")
    for command in found.untold:
        _say(f"UNTOLD keyturn {command}: the hunt does not run it")
    libraries = ", ".join(f"{name} {count}" for name, count in found.records.most_common(12))
    _say(f"log records           {sum(found.records.values())}: {libraries}")
    _say(f"commands              {found.commands} of the command line, {found.answers} answers over HTTP")
    _say(f"crash dumps           {found.crashes}")
    _say(f"searched              {found.files} files, {found.bytes / 1e6:.1f} MB")
    _say(f"for                   {found.values} values, {found.pieces} pieces of them")
    _say(f"where one may stand   {len(found.places)} places, found in {sum(found.places.values())}")
    _say(f"leaks                 {len(found.leaks)}")
    _say(f"seconds               {found.seconds:.0f}")
    return 0 if found.is_good else 1


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m tests.leaks", description="The hunt for values where none may be.")
    made.add_argument("--keep", type=Path, metavar="FOLDER", help="a new folder for what was searched")
    return made


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
