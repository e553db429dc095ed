"""The simulation can fail: everyday bugs in the real code are caught by random schedules.

How many schedules each takes at most is measured and promised in `bugs.py`, and its command plays them from any seed.
Here each search begins at a seed near one that is known to catch its bug, so that there is time for all of them; where
that is not true any more, as the drawing or the code changed, the search goes on to the promised number, and takes its
time.
"""

from __future__ import annotations

import pytest

from tests.simulation import bugs
from tests.simulation.bugs import BUGS, Bug, find
from tests.simulation.invariants import IT_ENDS, RETIRE_LAST


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_an_everyday_bug_breaks_an_invariant_where_the_product_breaks_none(bug: Bug) -> None:
    found = find(bug, bug.near)
    assert found.right, found.line


def test_what_is_no_bug_is_not_caught() -> None:
    harmless = Bug(lambda _: None, frozenset({IT_ENDS}), within=3, near=0)
    found = find(harmless, 0)
    assert (found.right, found.schedules, found.broken) == (False, 3, None)


def test_a_bug_that_breaks_another_invariant_than_promised_is_not_as_promised() -> None:
    found = find(Bug(bugs.drain_too_short, frozenset({IT_ENDS}), within=50, near=0), 0)
    assert found.broken is not None
    assert found.broken.invariant == RETIRE_LAST
    assert not found.right


def test_every_bug_is_told_in_a_sentence_of_its_own() -> None:
    told = [bug.told for bug in BUGS]
    assert all(sentence.endswith(".") and "\n" not in sentence for sentence in told)
    assert len(set(told)) == len(told) == len({bug.name for bug in BUGS})


def test_the_command_tells_a_line_per_bug_and_the_figures_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert bugs.main(["--bug", "drain-too-short", "--seed", "7"]) == 0
    line, _, figures, last = capsys.readouterr().out.splitlines()
    assert line.startswith("drain-too-short ")
    assert RETIRE_LAST in line or "2 only quiet slots" in line
    assert figures.startswith("1 of 1 bugs caught within their numbers")
    assert "from seed 7 on" in last


def test_the_command_fails_where_a_bug_is_not_caught(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(_: pytest.MonkeyPatch) -> None:
        """Changes nothing."""

    monkeypatch.setattr(bugs, "BUGS", (Bug(nothing, frozenset({IT_ENDS}), within=2, near=0),))
    assert bugs.main([]) == 1
    told = capsys.readouterr().out
    assert "NOT CAUGHT in 2 schedules: Changes nothing." in told
    assert "0 of 1 bugs caught" in told
