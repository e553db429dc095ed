"""`uv run python -m tests.simulation --schedules N --seed S`: play schedules, and fail where an invariant breaks.

The figures come last. Exit 0: every invariant held in every schedule; 1: one did not, and its story is told; 2: the
command was called wrongly. With `--into FILE` every part that is done is kept, and a later call goes on from there;
parts that were played by other code are played again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.simulation.invariants import Broken
from tests.simulation.parts import figures, simulate
from tests.simulation.play import play
from tests.simulation.shrink import rebuilt, replay, shrink, story

MOST_TOLD = 3


def failed(seed: int, broken: Broken) -> list[str]:
    """A failing seed's story, shrunk."""
    small = shrink(seed, broken)
    return [
        f"seed {seed} breaks: {broken.invariant}: {broken.sentence}",
        f"shrunk in {small.tries} tries to {len(small.only)} incidents:",
        *story(small.schedule),
        f"play it again: {replay(seed, small)}",
        "",
    ]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=2000, metavar="N", help="how many (2000)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the first one's seed (0)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes (2)")
    parser.add_argument("--into", type=Path, metavar="FILE", help="keep what is done here, and go on from there")
    parser.add_argument("--replay", type=int, metavar="SEED", help="play one schedule and tell its story")
    parser.add_argument("--only", metavar="I,J", help="with --replay: only these of its incidents, or none")
    parser.add_argument("--plainer", default="", metavar="A,B", help="with --replay: changes to its setting")
    asked = parser.parse_args(arguments)
    if asked.replay is not None:
        return _replayed(asked.replay, asked.only, asked.plainer)
    if asked.schedules < 1 or asked.jobs < 1:
        parser.error("there must be at least one schedule, and one process to play it")
    parts = simulate(asked.seed, asked.schedules, jobs=asked.jobs, into=asked.into, tell=_to_stderr)
    found = sorted((each for part in parts for each in part.broken), key=lambda each: each[0])
    for seed, broken in found[:MOST_TOLD]:
        _say(*failed(seed, broken))
    if found[MOST_TOLD:]:
        _say("broken as well: " + ", ".join(str(seed) for seed, _ in found[MOST_TOLD:]), "")
    _say(*figures(parts))
    return 1 if found else 0


def _replayed(seed: int, only: str | None, plainer: str) -> int:
    places = None if only is None else tuple(int(place) for place in only.split(",") if only != "none")
    schedule = rebuilt(seed, places, tuple(name for name in plainer.split(",") if name))
    _say(*story(schedule))
    broken = play(schedule).broken
    _say(f"seed {seed}: " + ("every invariant held" if broken is None else f"breaks {broken.invariant}"))
    return 0 if broken is None else 1


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _to_stderr(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
