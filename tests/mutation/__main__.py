"""The command: `uv run python -m tests.mutation --help`."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.mutation.operators import Mutant
from tests.mutation.running import BrokenSuite, Outcome, Room, run
from tests.mutation.survivors import LIST, Survivors

ROOMS = {"plan": "keyturn.plan", "policy": "keyturn.policy"}
SUITE = (
    "tests/plan",
    "tests/turn/test_adoption.py",
    "tests/turn/test_compromise.py",
    "tests/turn/test_drift.py",
    "tests/turn/test_failing.py",
    "tests/turn/test_hard_cases.py",
    "tests/turn/test_rotation.py",
    "tests/turn/test_starting.py",
    "tests/turn/test_tokens.py",
    "tests/turn/test_traces.py",
)
"""What runs in seconds: not the storms."""
PROMISE = 0.95
"""So large a share of the mutants that are no text is killed."""


def main(words: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(words)
    started = time.monotonic()
    names = {asked.room: ROOMS[asked.room]} if asked.room else ROOMS
    rooms = [Room.of(asked.module)] if asked.module else [Room.of(module) for module in names.values()]
    known = [mutant for room in rooms for mutant in room.mutants]
    chosen = choose(known, text=asked.text, sample=asked.sample, seed=asked.seed, like=asked.like)
    if asked.list:
        print(*chosen, sep="\n")
        return 0
    try:
        outcome = run(rooms, chosen, asked.suite or SUITE, asked.jobs)
        survivors = Survivors.read(asked.survivors)
    except (BrokenSuite, ValueError) as broken:
        print(broken, file=sys.stderr)
        return 2
    complaints = [*survivors.complaints([m for m in known if m.room in {r.name for r in rooms}], outcome.killed)]
    print(*complaints, sep="\n", end="\n" if complaints else "")
    kept = all([told(room.name, room.mutants, outcome, survivors) for room in rooms])
    print(
        f"{len(outcome.killed)} mutants in {time.monotonic() - started:.0f} s, {asked.jobs} at a time; "
        f"the suite's {outcome.tests} tests take {outcome.suite:.1f} s"
    )
    return 0 if kept and not complaints else 1


def choose(known: Sequence[Mutant], *, text: bool, sample: int | None, seed: int, like: str) -> list[Mutant]:
    """The mutants to ask for: all that are no text, or those that are; the same sample whenever the seed is."""
    chosen = [mutant for mutant in known if mutant.text == text and like in str(mutant)]
    if sample is None or sample >= len(chosen):
        return chosen
    drawn = set(random.Random(seed).sample(range(len(chosen)), sample))
    return [mutant for place, mutant in enumerate(chosen) if place in drawn]


def told(room: str, known: Sequence[Mutant], outcome: Outcome, survivors: Survivors) -> bool:
    """Print the figures of one room. Whether its promise is kept."""
    asked = {m: killed for m, killed in outcome.killed.items() if m.room == room}
    killed, text = sum(asked.values()), sum(m.text for m in known)
    listed = sum(m.identity in survivors.why for m, is_dead in asked.items() if not is_dead)
    share = killed / len(asked) if asked else 1.0
    print(
        f"{room}: {len(known)} mutants, {text} of them text; {len(asked)} asked for, {killed} killed ({share:.1%}), "
        f"{len(asked) - killed} survive, {listed} of these listed with a reason"
    )
    return share >= PROMISE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation",
        description="Asks the tests of the core about every mutant of plan and policy.",
        epilog="Ends with 1 where less than 95 % are killed, or the list of survivors is not true.",
    )
    parser.add_argument("--room", choices=sorted(ROOMS), help="one room only")
    parser.add_argument("--sample", type=int, metavar="N", help="so many mutants only")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="which of them (1)")
    parser.add_argument("--like", default="", metavar="TEXT", help="those whose name has this in it")
    parser.add_argument("--text", action="store_true", help="the mutants of text instead of the others")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="so many at a time (2)")
    parser.add_argument("--list", action="store_true", help="name them, and run nothing")
    parser.add_argument("--module", metavar="NAME", help="another module than the rooms")
    parser.add_argument("--suite", action="append", metavar="PATH", help="other tests than the suite")
    parser.add_argument("--survivors", type=Path, default=LIST, metavar="PATH", help="another list of survivors")
    return parser


if __name__ == "__main__":
    sys.exit(main())
