"""The traces V1 to V15 cannot come to pass, and come back where the rules that keep them out are taken away."""

from __future__ import annotations

import pytest

from tests.simulation.rules_removed import REMOVED, without
from tests.simulation.sabotage import EVERY, LINES, Line, check, green, unlisted
from tests.simulation.traces import BY_NAME, TRACES

A_FEW = 8


@pytest.mark.parametrize("trace", BY_NAME)
def test_with_all_rules_no_schedule_of_a_trace_breaks_anything(trace: str) -> None:
    assert green(trace, A_FEW) == ()


@pytest.mark.parametrize("line", [pytest.param(line, id=line.called) for line in EVERY])
def test_without_the_rules_that_keep_it_out_a_trace_is_back_in_time_and_not_without_fewer(line: Line) -> None:
    checked = check(line)
    assert checked.complaints == ()
    assert checked.first is not None
    assert checked.first < line.within


def test_every_trace_and_every_rule_has_a_line() -> None:
    assert unlisted() == ()
    assert {line.trace.split()[0] for line in LINES} == {f"V{number}" for number in range(1, 16)}
    assert {trace.name.split()[0] for trace in TRACES} == {f"V{number}" for number in range(1, 16)}
    assert list(REMOVED) == [f"A{number}" for number in range(1, 19)]


def test_a_line_that_promises_too_much_is_told() -> None:
    """What the command and these tests rest on: a set that brings nothing back, and one that is not the smallest."""
    nothing = check(Line(trace="V2", rules=("A12",), within=2))
    assert nothing.complaints == ("V2 without A12 is not back within 2 schedules",)
    larger = check(Line(trace="V2", rules=("A1", "A12"), within=2))
    assert larger.complaints == ("V2 without A1 and A12 needs no more than A1: schedule 0",)


def test_a_rule_is_taken_away_for_a_while_only() -> None:
    trace = BY_NAME["V3"]
    with without(["A1"]):
        assert trace.is_back(trace.broken(0))
    assert trace.broken(0) is None


def test_a_schedule_of_a_trace_is_the_same_each_time() -> None:
    for trace in BY_NAME.values():
        assert trace.schedule(3) == trace.schedule(3)
        assert trace.schedule(3) != trace.schedule(4)
