"""The simulation itself, in the small that CI has time for: `python -m tests.simulation` plays as many as one likes."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyturn import plan
from keyturn.scene import Scene
from tests.simulation.__main__ import main
from tests.simulation.parts import kept, simulate
from tests.simulation.play import play
from tests.simulation.schedule import draw
from tests.simulation.shrink import PLAINER, rebuilt, replay, shrink, story

FIRST, SCHEDULES, FILES = 0, 2400, 8
"""CI plays the seeds from `FIRST` on, in so many parts that its workers share them."""


@pytest.mark.parametrize("part", range(FILES))
def test_no_schedule_breaks_an_invariant(part: int) -> None:
    for seed in range(FIRST + part, FIRST + SCHEDULES, FILES):
        broken = play(draw(seed)).broken
        assert broken is None, (
            f"seed {seed} breaks {broken.invariant}: uv run python -m tests.simulation --replay {seed}"
        )


def test_a_schedule_plays_the_same_twice_and_holds_a_whole_rotation() -> None:
    played = [play(draw(seed), telling=True) for seed in range(40)]
    assert played == [play(draw(seed), telling=True) for seed in range(40)]
    assert sum(each.rotations > 0 for each in played) == 40
    assert sum(each.struck > 0 for each in played) > 10


def test_no_story_holds_a_value() -> None:
    for seed in range(40):
        told = " ".join(sentence for _, sentence in play(draw(seed), telling=True).story)
        assert not any(len(word) >= 32 and set(word) <= set("0123456789abcdef") for word in told.split())


def _careless(_scene: Scene, _slot: object) -> None:
    """The guard of every slot write, gone."""


def test_a_defect_of_the_code_is_a_broken_schedule_with_a_story(monkeypatch: pytest.MonkeyPatch) -> None:
    def defective(_scene: Scene) -> bool:
        raise ZeroDivisionError("told")

    monkeypatch.setattr(plan, "_may_not_write", defective)
    monkeypatch.setattr(plan, "TABLE", plan.rows())
    broken = play(draw(1)).broken
    assert broken is not None
    assert broken.invariant == "0 the code does not fail"
    assert broken.sentence == "ZeroDivisionError in defective: told"


def test_what_fails_is_shrunk_replays_exactly_and_tells_its_story(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "blocked", _careless)
    seed, broken = next((seed, broken) for seed in range(100) if (broken := play(draw(seed)).broken) is not None)
    small = shrink(seed, broken)
    assert len(small.only) < len(draw(seed).incidents) or small.plainer
    assert rebuilt(seed, small.only, small.plainer) == small.schedule
    again = play(small.schedule).broken
    assert again is not None
    assert again.invariant.split()[0] == broken.invariant.split()[0]
    assert story(small.schedule)[-1].split("BROKEN ")[1].startswith(again.invariant)
    assert replay(seed, small).startswith(f"uv run python -m tests.simulation --replay {seed} --only")


def test_the_command_fails_where_an_invariant_breaks_and_tells_its_figures_last(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--schedules", "20", "--jobs", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("speed")
    monkeypatch.setattr(plan, "blocked", _careless)
    assert main(["--schedules", "20", "--jobs", "1"]) == 1
    told = capsys.readouterr().out
    assert "play it again: uv run python -m tests.simulation --replay" in told
    assert told.splitlines()[-1].startswith("speed")


def test_a_run_goes_on_where_it_was_and_plays_nothing_twice(tmp_path: Path) -> None:
    into, told = tmp_path / "parts", list[str]()
    first = simulate(5, 30, jobs=1, into=into, tell=told.append)
    assert [(part.first, part.last) for part in first] == [(5, 34)]
    again = simulate(5, 30, jobs=1, into=into, tell=told.append)
    assert again == first
    assert told[-1] == "30 were played before, by the same code"
    assert kept(into, "other code") == {}


@pytest.mark.parametrize("name", PLAINER)
def test_a_plainer_setting_plays_as_well(name: str) -> None:
    assert play(rebuilt(7, None, (name,))).broken is None
