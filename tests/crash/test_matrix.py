"""A sample of the crash matrix, and that the matrix can fail: `uv run python -m tests.crash` plays all of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from keyturn.demo.stage import service_id
from tests.crash.__main__ import exit_code, figures, told_of
from tests.crash.cell import Ground, Incident, Played, play
from tests.crash.matrix import SENDS, Cell, Next, Way, cells, named, sample
from tests.crash.worlds import DEADLINE, KINDS, World

SEED = 7
COUNT = 20
Player = Callable[..., Played]


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    made = Ground.start()
    yield made
    made.close()


@pytest.fixture
def player(ground: Ground, tmp_path: Path) -> Player:
    """Plays the cell with a name."""

    def playing(name: str, incident: Incident | None = None) -> Played:
        (cell,) = named([name])
        return play(ground, tmp_path / name.replace("/", " "), cell, SEED, incident)

    return playing


@pytest.mark.long
def test_killed_once_at_any_step_every_rotation_ends_and_nobody_is_refused(
    ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    played = [play(ground, tmp_path / str(at), cell, SEED) for at, cell in enumerate(sample(SEED, COUNT))]
    with capsys.disabled():
        print("", *figures(played), sep="\n")  # noqa: T201
    assert [line for each in played for line in told_of(each, SEED)] == []
    assert sum(each.kills for each in played) > COUNT / 2
    assert {each.cell.way for each in played} == set(Way)


@pytest.mark.parametrize("quiet", [f"{kind}/{mode}/none" for kind, mode in SENDS])
def test_the_matrix_knows_every_request_and_every_save_of_a_rotation(player: Player, quiet: str) -> None:
    played = player(quiet)
    assert played.broken == ()
    allowed = SENDS[played.cell.kind.name, played.cell.mode]
    assert (played.writes, played.lists) == (allowed.quiet_writes, allowed.quiet_lists)


def test_another_machine_waits_for_the_lease_of_the_dead_and_the_same_one_does_not(player: Player) -> None:
    same, other = (player(f"gateway/regenerate/save-drained-1/before/{who}") for who in Next)
    assert same.broken == other.broken == ()
    assert same.rested is not None and other.rested is not None
    assert same.rested < timedelta(seconds=10)
    assert other.rested >= 2 * DEADLINE - timedelta(seconds=10)


# -------- the matrix can fail


def _regenerated(slot: str) -> Incident:
    """A person at the portal gives a slot another value."""

    def incident(world: World) -> None:
        name, _, value = world.kind.query.partition("=")
        world.control.ask("POST", "portal", {"service": "shop-apim", name: value, "slot": slot})

    return incident


def _sent_once_more(world: World) -> None:
    """Somebody repeats a write that must not be repeated."""
    path = f"{service_id()}/{world.kind.below}/regenerateSecondaryKey?api-version=2022-08-01"
    assert world.operator.ask("POST", "management.azure.com", path)[0] == 204


@pytest.mark.parametrize("kind", ["subscription/set", "tenant/set", "gateway/regenerate"])
def test_a_published_value_that_dies_is_a_broken_promise_in_every_kind(player: Player, kind: str) -> None:
    played = player(f"{kind}/renew/after/same", _regenerated("primary"))
    assert any("was refused" in sentence for sentence in played.broken)
    assert any("the endpoints refused" in sentence for sentence in played.broken)
    assert played.refused > 0


def test_a_write_that_is_sent_once_too_often_is_a_broken_promise(player: Player) -> None:
    played = player("subscription/regenerate/renew/after/same", _sent_once_more)
    assert "3 writes reached Azure, of 2 at most" in played.broken
    assert "3 writes took effect, and not one per slot" in played.broken


def test_a_rotation_that_does_not_end_is_a_broken_promise(player: Player) -> None:
    def lost(world: World) -> None:
        os.truncate(world.config, 0)

    played = player("subscription/set/renew/before/same", lost)
    assert "keyturn ended with 2" in played.broken
    assert "the old value still lives" in played.broken


def test_a_value_in_what_keyturn_leaves_behind_is_a_broken_promise(player: Player) -> None:
    def leaked(world: World) -> None:
        world.log.write_text(f"oops: {world.live().secondary}\n", encoding="utf-8")

    assert player("subscription/set/renew/after/same", leaked).broken == ("a key value stands in keyturn.log",)


def test_the_command_says_which_cell_failed_and_how_to_play_it_again_and_exits_1(player: Player) -> None:
    played = player("subscription/regenerate/renew/after/other", _sent_once_more)
    line, said = told_of(played, SEED, all_of_it=True)
    assert line.startswith("subscription/regenerate/renew/after/other: 3 writes reached Azure")
    assert "python -m tests.crash --cells 'subscription/regenerate/renew/after/other' --seed 7" in line
    assert "renew the standby" in said
    assert figures([played])[-1].endswith("0 refused, 1 cells failed")
    assert exit_code([played]) == 1


# -------- which cells there are


def _crossed(cell: Cell) -> tuple[str, str, Way, Next]:
    return cell.kind.name, cell.mode, cell.way, cell.next


def test_everything_is_crossed_with_everything_and_each_cell_has_a_name_of_its_own() -> None:
    every = cells()
    assert len({cell.name for cell in every}) == len(every)
    assert {(cell.kind.name, cell.mode) for cell in every} == set(SENDS)
    for kind, mode in SENDS:
        wanted = {(kind, mode, way, after) for way in Way for after in Next if way is not Way.QUIET}
        assert wanted <= {_crossed(cell) for cell in every}
    for step in ("renew", "retire", "publish", "publish-adopted"):
        ways = {(cell.kind.name, cell.mode, cell.way, cell.next) for cell in every if cell.step.name == step}
        assert len(ways) == len(SENDS) * 4 * len(Next), step


def test_a_sample_has_every_kind_and_every_way_and_is_drawn_by_its_seed() -> None:
    drawn = sample(SEED, COUNT)
    assert [cell.name for cell in drawn] == [cell.name for cell in sample(SEED, COUNT)]
    assert [cell.name for cell in drawn] != [cell.name for cell in sample(SEED + 1, COUNT)]
    assert {(cell.kind.name, cell.mode) for cell in drawn} == set(SENDS)
    assert {cell.kind.name for cell in drawn} == set(KINDS)
    assert {(cell.way, cell.next) for cell in drawn} >= {(way, after) for way in list(Way)[1:] for after in Next}


def test_cells_are_asked_for_by_the_beginning_of_their_names() -> None:
    assert len(named(["*/*/renew"])) == len(SENDS) * 8
    assert [cell.name for cell in named(["tenant/set/fence/late/other"])] == ["tenant/set/fence/late/other"]
    with pytest.raises(ValueError, match="no cell's name begins with tenant/steal"):
        named(["tenant/set/fence", "tenant/steal"])
