"""A sample of the core's mutants in every run of the tests; `python -m tests.mutation` asks about all of them."""

from __future__ import annotations

from tests.mutation.test_command import asked

SAMPLE, SEED = 200, 1


def test_a_sample_of_the_mutants_of_plan_and_policy_is_killed_but_for_those_that_are_listed() -> None:
    code, said = asked("--sample", str(SAMPLE), "--seed", str(SEED))
    assert code == 0, said
    assert f"{SAMPLE} mutants in " in said
