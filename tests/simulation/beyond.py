"""`uv run python -m tests.simulation.beyond`: what nobody can prevent, measured, beside what protocol.md says of it.

Its section 3 names two holes: a keyturn that is frozen between its last check and the send of a publish, for longer
than the drain covers, and a regenerate that lands later than `late`. Here both are driven beyond their bounds, step by
step: how far it takes until a sink shows a value that is dead, and for how long it does. Exits 1 where either is worse
than stated. Never here: a judgement of what happens within the bounds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

import msgspec

from keyturn.model import Mode
from tests.simulation.play import play
from tests.simulation.schedule import DRAIN, LATE, POLICY, Incident, Keyturn, Schedule, Setting, What, spelled

DRAINED = DRAIN.total_seconds()
PERIOD = POLICY.every.total_seconds()
LOOK = POLICY.look_every.total_seconds()
DEADLINE = POLICY.deadline.total_seconds()
VERIFIED = 5.0
"""Seconds that the verifying look of a writer that lives, and its repair, take here at most (protocol.md: 1 to 2 s)."""
CHANCES = 8
"""Schedules tried for each measured point: the moments within them vary by seed."""
STEPS = tuple(step / 4 for step in range(1, 25))
"""How far each bound is left, in drains or in `late`."""


class Hole(msgspec.Struct, frozen=True, kw_only=True):
    """One way out of the bounds. `unit`: what its length is counted in (seconds)."""

    name: str
    schedule: Callable[[int, float], Schedule]
    unit: float
    counted_in: str
    least: float
    """From what length on, in `unit`s, protocol.md says that somebody may be refused."""
    longest: float
    """For how long a sink shows a dead value at most, by protocol.md (seconds); callers' caches come on top."""
    why: str


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one hole: the shortest length that hurt, in its units, and the longest exposure (seconds)."""

    hole: Hole
    schedules: int
    shortest: float | None
    longest: float

    @property
    def kept(self) -> bool:
        """Whether it was no worse than stated, and could be provoked at all."""
        return self.shortest is not None and self.shortest >= self.hole.least and self.longest <= self.hole.longest


def _two(seed: int, **changes: object) -> Setting:
    """Two prompt services and one sink; the lease of the frozen one ends long before it wakes."""
    plain = Setting(
        seed=seed,
        keyturns=(Keyturn.SERVICE, Keyturn.SERVICE),
        clocks=(0.0, 0.0),
        eager=2.0,
        step=0.3,
        lasts=12 * 3600.0,
    )
    return msgspec.structs.replace(plain, **changes)


def _frozen(span: float, *, dies: bool = False) -> Iterator[Incident]:
    """Whoever publishes first after the adoption freezes right before its send; `dies`: it ends right after it."""
    yield Incident(what=What.STALL, who=-1, point="sink.write.sent", nth=1, span=span, how="dies" if dies else "")


def _asked(how: str, nth: int, later: float) -> Incident:
    """Somebody asks for it, so many seconds after the nth publish of anybody has landed."""
    return Incident(what=What.OPERATOR, after="sink.write.done", nth=nth, at=later, how=how)


def _rolled_back(seed: int, span: float) -> Schedule:
    """Another keyturn publishes the value, a person rolls back, releases, and asks for the next rotation."""
    told = (_asked("rollback", 1, 5.0), _asked("release", 2, 5.0), _asked("rotate", 2, 10.0))
    return Schedule(setting=_two(seed), incidents=(*_frozen(span), *told))


def _rolled_back_and_dies(seed: int, span: float) -> Schedule:
    told = (_asked("rollback", 1, 5.0), _asked("release", 2, 5.0), _asked("rotate", 2, 10.0))
    return Schedule(setting=_two(seed), incidents=(*_frozen(span, dies=True), *told))


def _asked_again(seed: int, span: float) -> Schedule:
    """Another keyturn publishes, drains, retires; a person asks for the next rotation as soon as that is done."""
    hurry = tuple(_asked("rotate", 1, DRAINED + 60.0 * minutes) for minutes in range(1, 6))
    return Schedule(setting=_two(seed), incidents=(*_frozen(span), *hurry))


def _left_alone(seed: int, span: float) -> Schedule:
    """Nobody asks for anything: the next rotation comes when it is due."""
    return Schedule(setting=_two(seed), incidents=tuple(_frozen(span)))


def _regenerated_late(seed: int, span: float) -> Schedule:
    """The first regenerate of the rotation is answered by nobody and lands that much later."""
    late = (Incident(what=What.ANSWER, who=who, point="regenerate", nth=1, span=span, how="late") for who in (0, 1))
    return Schedule(setting=_two(seed, mode=Mode.REGENERATE), incidents=tuple(late))


HOLES = (
    Hole(
        name="frozen, rolled back meanwhile",
        schedule=_rolled_back,
        unit=DRAINED,
        counted_in="drains",
        least=1.0,
        longest=VERIFIED,
        why="until the writer's own verifying look",
    ),
    Hole(
        name="the same, and the writer dies",
        schedule=_rolled_back_and_dies,
        unit=DRAINED,
        counted_in="drains",
        least=1.0,
        longest=LOOK + VERIFIED,
        why="until the next look",
    ),
    Hole(
        name="frozen, rotated again by hand",
        schedule=_asked_again,
        unit=DRAINED,
        counted_in="drains",
        least=2.0,
        longest=VERIFIED,
        why="until the writer's own verifying look",
    ),
    Hole(
        name="frozen, left alone",
        schedule=_left_alone,
        unit=DRAINED,
        counted_in="drains",
        least=(PERIOD + DRAINED) / DRAINED,
        longest=VERIFIED,
        why="until the writer's own verifying look",
    ),
    Hole(
        name="a regenerate that lands late",
        schedule=_regenerated_late,
        unit=LATE,
        counted_in="late",
        least=(LATE + DEADLINE) / LATE,
        longest=LOOK + VERIFIED,
        why="until the next look",
    ),
)


def measured(hole: Hole, seed: int) -> Measured:
    """Every length of `STEPS`, each with some schedules."""
    shortest, longest, count = None, 0.0, 0
    for step in STEPS:
        for chance in range(CHANCES):
            count += 1
            came = play(hole.schedule(seed + chance, step * hole.unit), beyond=True)
            outages = [outage.span for outage in came.outages if outage.span > 0]
            if outages and shortest is None:
                shortest = step
            longest = max([longest, *outages])
    return Measured(hole=hole, schedules=count, shortest=shortest, longest=longest)


def told(found: Measured) -> str:
    hole = found.hole
    began = "never" if found.shortest is None else f"{found.shortest:.2f}"
    return (
        f"{hole.name:32} {began:>6} {hole.least:>8.2f}  {hole.counted_in:8} {spelled(found.longest):>10}"
        f" {spelled(hole.longest):>10}  {hole.why}{'' if found.kept else '  WORSE THAN STATED'}"
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.beyond", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the first schedule's seed (0)")
    asked = parser.parse_args(arguments)
    found = [measured(hole, asked.seed) for hole in HOLES]
    heading = f"{'beyond the bounds':32} {'hurts at':>6} {'stated':>6}  {'':8} {'exposed':>10} {'stated':>10}"
    failed = [each for each in found if not each.kept]
    figures = f"{sum(each.schedules for each in found):,} schedules, {len(failed)} of {len(found)} worse than stated"
    sys.stdout.write("\n".join([heading, *map(told, found), figures]) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
