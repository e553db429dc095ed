"""`uv run python -m tests.crash`: play the crash matrix, and fail where a promise is broken.

One line for each cell that fails, with how to play it again; on a terminal, how many are played; the figures come last.
Exit 0: every promise was kept in
every cell; 1: one was not; 2: the command was called wrongly.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.crash.cell import Ground, Played, play
from tests.crash.matrix import SENDS, Cell, cells, named, sample


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--cells", default="", metavar="A,B", help="those whose names begin so (all)")
    parser.add_argument("--sample", type=int, metavar="N", help="so many of all, drawn by the seed")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="draws the sample, and when late effects come")
    parser.add_argument("--list", action="store_true", help="name them, and play none")
    parser.add_argument("--part", default="1/1", metavar="I/N", help="every N-th of them, from the I-th on")
    parser.add_argument("--told", action="store_true", help="what keyturn printed in each cell that failed, too")
    asked = parser.parse_args(arguments)
    try:
        chosen = named(asked.cells.split(",")) if asked.cells else cells()
        first, of = (int(number) for number in asked.part.split("/"))
    except ValueError as error:
        parser.error(str(error))
    if asked.sample is not None:
        chosen = sample(asked.seed, asked.sample)
    chosen = chosen[first - 1 :: of]
    if asked.list:
        _say(*(cell.name for cell in chosen))
        return 0
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what one program has compiled, the next thousand need not
    began = time.monotonic()
    played: list[Played] = []
    for each in play_all(chosen, asked.seed):
        played.append(each)
        _say(*told_of(each, asked.seed, all_of_it=asked.told))
        _count(len(played), len(chosen))
    _say(f"{time.monotonic() - began:.0f} s", *figures(played))
    return exit_code(played)


def play_all(chosen: Iterable[Cell], seed: int) -> Iterator[Played]:
    """One cell after the other in one emulator."""
    ground = Ground.start()
    try:
        for cell in chosen:
            with tempfile.TemporaryDirectory(prefix="keyturn-crash-") as folder:
                played = play(ground, Path(folder), cell, seed)
            yield played
    finally:
        ground.close()


def told_of(played: Played, seed: int, *, all_of_it: bool = False) -> list[str]:
    """One line for a cell that failed, and what keyturn printed, if that is wanted; nothing for one that did not."""
    if not played.broken:
        return []
    again = f"uv run python -m tests.crash --cells '{played.cell.name}' --seed {seed} --told"
    return [f"{played.cell.name}: {'; '.join(played.broken)}. Again: {again}", *([played.said] if all_of_it else [])]


def exit_code(played: Iterable[Played]) -> int:
    return 1 if any(each.broken for each in played) else 0


def figures(played: list[Played]) -> list[str]:
    """Per kind and mode the most that was sent, against what is documented; then all of it."""
    lines = []
    for (kind, mode), allowed in SENDS.items():
        of = [each for each in played if (each.cell.kind.name, each.cell.mode) == (kind, mode)]
        if of:
            writes, lists = max(each.writes for each in of), max(each.lists for each in of)
            lines.append(
                f"{kind}, {mode}: {len(of)} cells; at most {writes} writes (documented {allowed.writes}) "
                f"and {lists} reads of values (documented {allowed.lists})"
            )
    failed = sum(1 for each in played if each.broken)
    kills, calls, refused = (sum(getattr(each, name) for each in played) for name in ("kills", "calls", "refused"))
    lines.append(f"{len(played)} cells, {kills} kills, {calls} calls, {refused} refused, {failed} cells failed")
    return lines


def _count(played: int, of: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{played} of {of}" + ("\n" if played == of else ""))
        sys.stderr.flush()


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
