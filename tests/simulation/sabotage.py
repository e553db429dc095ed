"""It can fail: take rules away from the real code, and the trace that they keep out is back within so many schedules.

    uv run python -m tests.simulation.sabotage [--trace V7] [--rule A5] [--green 100] [--measure 300]

Per trace the smallest sets of rules. With all rules its schedules break nothing; without the set one of them does, by
the invariant that is named; without any smaller part of the set none does. A rule that no trace needs is listed with
its reason, schedules of its own, and the test that its section of docs/protocol.md names, which must fail.
Never here: how a rule is taken away (`rules_removed`), or what a trace's schedules are (`traces`).
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterable, Sequence

import msgspec

from tests.docs.test_protocol import fails, rules
from tests.simulation.rules_removed import REMOVED, without
from tests.simulation.traces import BY_NAME, TRACES


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Without these rules the trace is back within so many schedules, from seed 0 or from any other."""

    trace: str
    rules: tuple[str, ...]
    within: int
    reason: str = ""
    """Why no trace needs this rule; its schedules are its own."""

    @property
    def called(self) -> str:
        return f"{self.trace} without {' and '.join(self.rules)}"


LINES = (
    Line(trace="V1", rules=("A4",), within=40),
    Line(trace="V1 as it sends", rules=("A1",), within=5),
    Line(trace="V2", rules=("A1",), within=5),
    Line(trace="V3", rules=("A1",), within=5),
    Line(trace="V4", rules=("A1",), within=5),
    Line(trace="V4", rules=("A2",), within=5),
    Line(trace="V5", rules=("A1",), within=5),
    Line(trace="V6", rules=("A5",), within=5),
    Line(trace="V6", rules=("A18",), within=5),
    Line(trace="V7", rules=("A5", "A6"), within=10),
    Line(trace="V7 afterwards", rules=("A6",), within=5),
    Line(trace="V8", rules=("A10",), within=5),
    Line(trace="V8 in the air", rules=("A1",), within=5),
    Line(trace="V9", rules=("A11",), within=5),
    Line(trace="V10", rules=("A5", "A9"), within=10),
    Line(trace="V10", rules=("A8",), within=10),
    Line(trace="V11", rules=("A7",), within=2),
    Line(trace="V11 going back", rules=("A5",), within=25),
    Line(trace="V12", rules=("A5",), within=10),
    Line(trace="V12", rules=("A8",), within=15),
    Line(trace="V13", rules=("A13",), within=2),
    Line(trace="V14", rules=("A3",), within=30),
    Line(trace="V15", rules=("A15",), within=5),
)
UNTRACED = (
    Line(
        trace="A12",
        rules=("A12",),
        within=5,
        reason="it shortens an outage that somebody else caused; the traces are keyturn's own",
    ),
    Line(
        trace="A14",
        rules=("A14",),
        within=5,
        reason="reasoned, not searched: the search knew of no sink that cannot be read",
    ),
    Line(
        trace="A16",
        rules=("A16",),
        within=20,
        reason="reasoned, not searched: the search knew of no clock that jumps",
    ),
    Line(
        trace="A17",
        rules=("A17",),
        within=15,
        reason="reasoned, not searched: the search knew of one gateway, which either accepts or does not",
    ),
)
EVERY = (*LINES, *UNTRACED)


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a line: the first schedule that brought it back, and what is not as promised."""

    line: Line
    first: int | None
    invariant: str = ""
    complaints: tuple[str, ...] = ()
    schedules: int = 0


def first_back(trace: str, seeds: Iterable[int]) -> tuple[int, str] | None:
    """The first of these schedules that brings the trace back, and the invariant that it breaks."""
    family = BY_NAME[trace]
    for seed in seeds:
        broken = family.broken(seed)
        if broken is not None and family.is_back(broken):
            return seed, broken.invariant
    return None


def green(trace: str, schedules: int) -> tuple[str, ...]:
    """What the code with all its rules breaks in this trace's schedules: nothing."""
    found = ((seed, BY_NAME[trace].broken_strictly(seed)) for seed in range(schedules))
    return tuple(
        f"{trace}, schedule {seed}, with all rules: {broken.invariant}: {broken.sentence}"
        for seed, broken in found
        if broken is not None
    )


def check(line: Line, *, smaller: int = 0) -> Checked:
    """Whether it is back in time, and without a part of its rules only in none of so many schedules, nor in time."""
    with without(line.rules):
        back = first_back(line.trace, range(line.within))
    complaints = [] if back is not None else [f"{line.called} is not back within {line.within} schedules"]
    played = line.within if back is None else back[0] + 1
    for count in range(1, len(line.rules)):
        for part in itertools.combinations(line.rules, count):
            with without(part):
                enough = first_back(line.trace, range(max(line.within, smaller)))
            played += max(line.within, smaller)
            if enough is not None:
                complaints.append(f"{line.called} needs no more than {' and '.join(part)}: schedule {enough[0]}")
    first, invariant = (None, "") if back is None else back
    return Checked(line=line, first=first, invariant=invariant, complaints=tuple(complaints), schedules=played)


def witness(rule: str) -> Callable[..., None]:
    """The test that the rule's section of docs/protocol.md names."""
    return rules()[rule].witness


def unwitnessed(rule: str) -> tuple[str, ...]:
    with without([rule]):
        if fails(witness(rule)):
            return ()
    return (f"{witness(rule).__name__} does not fail without {rule}",)


def unlisted() -> tuple[str, ...]:
    """Every trace has a line, and every rule is in one; A19 is not built."""
    traces = {line.trace for line in LINES}
    used = {rule for line in EVERY for rule in line.rules}
    idle = [f"{line.trace} has a trace, and need not be listed" for line in UNTRACED if line.rules[0] in _traced()]
    lost = [f"{trace.name} has no line" for trace in TRACES if trace.name not in traces]
    return (*idle, *lost, *(f"{rule} is in no line" for rule in REMOVED if rule not in used))


def _traced() -> set[str]:
    return {rule for line in LINES for rule in line.rules}


def measured(line: Line, schedules: int) -> str:
    """How often it is back, and the longest run of schedules in which it is not."""
    with without(line.rules):
        hits = [first_back(line.trace, [seed]) is not None for seed in range(schedules)]
    misses = max((len(list(run)) for back, run in itertools.groupby(hits) if not back), default=0)
    return f"{line.called}: {sum(hits)} of {schedules} schedules, at most {misses} in a row without"


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.sabotage", description=__doc__)
    parser.add_argument("--trace", help="only the lines of this trace: V1 to V15, or a rule's own")
    parser.add_argument("--rule", help="only the lines without this rule")
    parser.add_argument(
        "--green",
        type=int,
        default=100,
        help="so many schedules of each trace with all rules, and of a pair without one rule",
    )
    parser.add_argument("--measure", type=int, default=0, help="instead: how often each line is back in so many")
    asked = parser.parse_args(words)
    started = time.monotonic()
    chosen = [
        line
        for line in EVERY
        if asked.trace in {None, line.trace, line.trace.split()[0]} and asked.rule in {None, *line.rules}
    ]
    if not chosen:
        parser.error("no line is of that trace and that rule")
    if asked.measure:
        for line in chosen:
            _say(measured(line, asked.measure))
        return 0
    names = dict.fromkeys(line.trace for line in chosen)
    complaints = [*unlisted(), *(told for name in names for told in green(name, asked.green))]
    results = [check(line, smaller=asked.green) for line in chosen]
    untraced = [line.rules[0] for line in chosen if line.reason]
    complaints += [told for result in results for told in result.complaints]
    complaints += [told for rule in untraced for told in unwitnessed(rule)]
    _say(*_table(results), "", *_reasons(chosen), *complaints, *_figures(results, len(names) * asked.green))
    _say(f"{'as promised' if not complaints else 'NOT as promised'}, in {time.monotonic() - started:.0f} s")
    return 1 if complaints else 0


def _table(results: Sequence[Checked]) -> list[str]:
    heads = ("trace", "without", "breaks", "schedule", "promised")
    rows = [
        (
            result.line.trace,
            ", ".join(result.line.rules),
            result.invariant or "nothing",
            "never" if result.first is None else f"{result.first + 1}",
            f"within {result.line.within}",
        )
        for result in results
    ]
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [heads, *rows]]


def _reasons(lines: Sequence[Line]) -> list[str]:
    return [
        f"{line.rules[0]} is in no trace: {line.reason}. Its own test: {witness(line.rules[0]).__name__}"
        for line in lines
        if line.reason
    ]


def _figures(results: Sequence[Checked], calm: int) -> list[str]:
    latest = max((result.first or 0 for result in results), default=0)
    taken = {rule for result in results for rule in result.line.rules}
    return [
        f"{len(results)} lines, {len({result.line.trace.split()[0] for result in results})} traces and untraced rules, "
        f"{len(taken)} rules taken away; the latest is back at schedule {latest + 1}",
        f"{calm} schedules with all rules, {sum(result.schedules for result in results)} without some",
    ]


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
