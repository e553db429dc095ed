"""Schedules in parts, each played by a process of its own, counted, and kept so that a run may go on later.

Never here: what a schedule is, or what is judged.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from tests.simulation.invariants import Broken
from tests.simulation.play import play
from tests.simulation.schedule import What, draw

PART = 1000
"""Schedules that one process plays in a row."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the schedules of the seeds from `first` to `last`."""

    first: int
    last: int
    code: str
    """Names the code that was played."""
    cpu: float = 0.0
    """Seconds of processor time."""
    rotations: int = 0
    whole: int = 0
    """Schedules with at least one whole rotation."""
    events: int = 0
    saves: int = 0
    effects: int = 0
    hours: float = 0.0
    """Simulated."""
    incidents: dict[str, int] = {}
    broken: tuple[tuple[int, Broken], ...] = ()

    @property
    def schedules(self) -> int:
        return self.last - self.first + 1


def played(task: tuple[int, int, str]) -> Part:
    """One part, in a process of its own."""
    first, last, code = task
    began = time.process_time()
    incidents: Counter[str] = Counter()
    broken: list[tuple[int, Broken]] = []
    rotations = whole = events = saves = effects = 0
    seconds = 0.0
    for seed in range(first, last + 1):
        schedule = draw(seed)
        came = play(schedule)
        incidents.update(incident.what.value for incident in schedule.incidents)
        rotations, whole = rotations + came.rotations, whole + (came.rotations > 0)
        events, saves, effects = events + came.events, saves + came.saves, effects + came.effects
        seconds += came.seconds
        if came.broken is not None:
            broken.append((seed, came.broken))
    return Part(
        first=first,
        last=last,
        code=code,
        cpu=time.process_time() - began,
        rotations=rotations,
        whole=whole,
        events=events,
        saves=saves,
        effects=effects,
        hours=seconds / 3600,
        incidents=dict(incidents),
        broken=tuple(broken),
    )


def code_now() -> str:
    """Changes when any code changes that a schedule goes through: keyturn's, or the simulation's own."""
    own = [f"tests.simulation.{name}" for name in ("azure", "invariants", "keyturns", "play", "schedule", "scheduler")]
    played = [name for name in sorted(sys.modules) if name.partition(".")[0] == "keyturn" or name in own]
    digest = hashlib.sha256()
    for name in played:
        file = sys.modules[name].__file__
        if file is not None:
            digest.update(name.encode() + Path(file).read_bytes())
    return digest.hexdigest()[:12]


def kept(into: Path | None, code: str) -> dict[int, Part]:
    """The parts that this code has played already, by their first seed."""
    if into is None or not into.exists():
        return {}
    parts = [msgspec.json.decode(line, type=Part) for line in into.read_bytes().splitlines()]
    return {part.first: part for part in parts if part.code == code}


def simulate(first: int, schedules: int, *, jobs: int, into: Path | None, tell: Callable[[str], None]) -> list[Part]:
    """Every part from `first` on, those that are kept already included."""
    code = code_now()
    done = kept(into, code)
    tasks = [(at, min(at + PART, first + schedules) - 1, code) for at in range(first, first + schedules, PART)]
    parts = [done[task[0]] for task in tasks if task[0] in done and done[task[0]].last == task[1]]
    left = [task for task in tasks if task[0] not in {part.first for part in parts}]
    if parts:
        tell(f"{sum(part.schedules for part in parts):,} were played before, by the same code")
    for part in _in_processes(left, jobs):
        parts.append(part)
        if into is not None:
            with into.open("ab") as file:
                file.write(msgspec.json.encode(part) + b"\n")
        tell(f"{sum(each.schedules for each in parts):,} of {schedules:,} schedules, {_broken(parts)} broken")
    return parts


def _in_processes(tasks: list[tuple[int, int, str]], jobs: int) -> Iterator[Part]:
    if jobs == 1:
        yield from map(played, tasks)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(played, tasks)


def _broken(parts: Iterable[Part]) -> int:
    return sum(len(part.broken) for part in parts)


def figures(parts: list[Part]) -> list[str]:
    """What was played, and how fast."""
    many, cpu = sum(part.schedules for part in parts), sum(part.cpu for part in parts)
    struck: Counter[str] = Counter()
    for part in parts:
        struck.update(part.incidents)
    first, last = min(part.first for part in parts), max(part.last for part in parts)
    return [
        f"schedules   {many:,} (seeds {first} to {last}), code {parts[0].code}",
        f"broken      {_broken(parts)}",
        f"rotations   {sum(part.rotations for part in parts):,}; a whole one in "
        f"{100 * sum(part.whole for part in parts) / many:.1f} % of the schedules",
        f"events      {sum(part.events for part in parts):,} judged; {sum(part.effects for part in parts):,} effects, "
        f"{sum(part.saves for part in parts):,} saves, {sum(part.hours for part in parts) / 8766:,.1f} simulated years",
        "incidents   " + ", ".join(f"{struck[what.value]:,} {what.value}" for what in What if struck[what.value]),
        f"speed       {many / cpu:.0f} schedules a second and core" if cpu else "speed       not measured",
    ]
