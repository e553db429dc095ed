"""The command: `uv run python -m tests.mutation --help`."""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.operators import Mutant
from tests.mutation.running import BrokenSuite, Outcome, Room, run
from tests.mutation.survivors import LIST, Survivors

ROOMS = {"plan": "keyturn.plan", "policy": "keyturn.policy"}
SUITE = (
    "tests/docs/test_protocol.py::test_the_picture_is_the_tables",
    "tests/plan/test_adopting.py",
    "tests/plan/test_asking.py",
    "tests/plan/test_blocked.py",
    "tests/plan/test_bounds.py",
    "tests/plan/test_compromised.py",
    "tests/plan/test_drifting.py",
    "tests/plan/test_idle.py",
    "tests/plan/test_policy.py",
    "tests/plan/test_publishing.py",
    "tests/plan/test_standing_still.py",
    "tests/plan/test_writing.py",
)
"""What asks the table and the policy by example, and runs in a second: no turns, and no storms."""
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
        return _say(*chosen)
    try:
        survivors = Survivors.read(asked.survivors)
        outcome = run(rooms, chosen, asked.suite or SUITE, asked.jobs)
    except (BrokenSuite, ValueError) as broken:
        sys.stderr.write(f"{broken}\n")
        return 2
    complaints = survivors.complaints(known, outcome.killed)
    figures = [figures_of(room, outcome, survivors) for room in rooms]
    _say(*complaints, *figures)
    _say(
        f"{len(outcome.killed)} mutants in {time.monotonic() - started:.0f} s, {asked.jobs} at a time, "
        f"{_processor_time():.0f} s of processor time; "
        f"the suite's {outcome.tests} tests take {outcome.suite:.1f} s"
    )
    return 1 if complaints or not all(figure.kept for figure in figures) else 0


def choose(known: Sequence[Mutant], *, text: bool, sample: int | None, seed: int, like: str) -> list[Mutant]:
    """The mutants to ask for: all that are no text, or those that are; the same sample whenever the seed is."""
    chosen = [mutant for mutant in known if mutant.text == text and like in str(mutant)]
    if sample is None or sample >= len(chosen):
        return chosen
    drawn = set(random.Random(seed).sample(range(len(chosen)), sample))
    return [mutant for place, mutant in enumerate(chosen) if place in drawn]


@dataclass(frozen=True)
class Figures:
    """What came of one room's mutants."""

    room: str
    mutants: int
    text: int
    asked: int
    killed: int
    listed: int
    """Of those that survive."""

    @property
    def kept(self) -> bool:
        """Whether the promise is. It is about all of them: of a sample, the list of survivors alone decides."""
        return self.asked < self.mutants - self.text or self.killed >= PROMISE * self.asked

    def __str__(self) -> str:
        share = f" ({self.killed / self.asked:.1%})" if self.asked else ""
        return (
            f"{self.room}: {self.mutants} mutants, {self.text} of them text; {self.asked} asked for, "
            f"{self.killed} killed{share}, {self.asked - self.killed} survive, {self.listed} of these listed"
        )


def figures_of(room: Room, outcome: Outcome, survivors: Survivors) -> Figures:
    asked = {mutant: killed for mutant, killed in outcome.killed.items() if mutant.room == room.name}
    return Figures(
        room=room.name,
        mutants=len(room.mutants),
        text=sum(mutant.text for mutant in room.mutants),
        asked=len(asked),
        killed=sum(asked.values()),
        listed=sum(mutant.identity in survivors.why for mutant, killed in asked.items() if not killed),
    )


def _processor_time() -> float:
    """What this process and those that it forked have used up: the same on a machine that is busy otherwise."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _say(*lines: object) -> int:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


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
