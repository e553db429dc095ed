"""The command as a whole, on a module of a few lines whose mutants are known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.__main__ import choose
from tests.mutation.operators import mutants
from tests.mutation.running import Room
from tests.mutation.survivors import Survivors

ROOT = Path(__file__).parents[2]
SURVIVOR = '["tiny.is_many", "return count > LIMIT", "count > LIMIT -> count >= LIMIT"]'
TINY = "tests.mutation.tiny"


def asked(*words: str, survivors: Path | None = None) -> tuple[int, str]:
    """What the command answers and says."""
    listed = [] if survivors is None else ["--survivors", str(survivors)]
    command = [sys.executable, "-m", "tests.mutation", "--jobs", "1", *listed, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def listing(path: Path, *mutants: str, why: str = "nobody asks") -> Path:
    """A list of survivors."""
    path.write_text(f'[[survivors]]\nwhy = "{why}"\nmutants = [{", ".join(mutants)}]\n')
    return path


def about_tiny(tmp_path: Path, *mutants: str) -> tuple[int, str]:
    survivors = listing(tmp_path / "survivors.toml", *mutants)
    return asked("--module", TINY, "--suite", "tests/mutation/test_tiny.py", survivors=survivors)


def test_mutants_are_killed_but_for_those_that_are_listed(tmp_path: Path) -> None:
    """Among the killed: of a constant, of a property, of a function with a cache, and one that never ends."""
    code, said = about_tiny(tmp_path, SURVIVOR)
    total = sum(not m.text for m in Room.of(TINY).mutants)
    assert code == 0, said
    assert f"{total} asked for, {total - 1} killed" in said
    assert "1 survive, 1 of these listed" in said


def test_a_survivor_that_is_not_listed_is_an_error_and_so_is_an_entry_that_is_killed_or_gone(tmp_path: Path) -> None:
    killed = SURVIVOR.replace("LIMIT -> count >= LIMIT", "LIMIT -> count <= LIMIT")
    gone = SURVIVOR.replace("is_many", "is_few")
    code, said = about_tiny(tmp_path, killed, gone)
    assert code == 1
    assert "survives, and is not listed: tiny.is_many | return count > LIMIT | count > LIMIT -> count >= LIMIT" in said
    assert "is listed, and is killed: tiny.is_many" in said
    assert "is listed, and there is no such mutant: tiny.is_few" in said


def test_an_entry_needs_a_reason_and_is_there_once(tmp_path: Path) -> None:
    path = tmp_path / "survivors.toml"
    assert list(Survivors.read(listing(path, SURVIVOR)).why.values()) == ["nobody asks"]
    with pytest.raises(ValueError, match="without a reason"):
        Survivors.read(listing(path, SURVIVOR, why=" "))
    with pytest.raises(ValueError, match="there twice"):
        Survivors.read(listing(path, SURVIVOR, SURVIVOR))


def test_a_suite_that_fails_without_any_mutant_answers_nothing(tmp_path: Path) -> None:
    failing = tmp_path / "test_failing.py"
    failing.write_text("def test_no() -> None:\n    assert False\n")
    code, said = asked("--module", TINY, "--suite", str(failing))
    assert code == 2
    assert "a test fails without any mutant" in said


def test_entries_of_a_room_that_was_not_asked_about_are_left_alone() -> None:
    survivors = Survivors({("plan.gone", "", "", 1): "because"})
    room = Room.of(TINY)
    assert survivors.complaints(room.mutants, {}) == []
    assert survivors.complaints(mutants("plan", room.tree, room.module), {}) != []


def test_less_than_was_promised_is_an_error_although_every_survivor_is_listed(tmp_path: Path) -> None:
    """None of the mutants of `Pile` is killed by a suite that does not know it."""
    suite = tmp_path / "test_little.py"
    suite.write_text("from tests.mutation import tiny\n\n\ndef test_it() -> None:\n    assert tiny.LIMIT == 3\n")
    entries = [
        f"[{', '.join(map(repr, m.identity[:3]))}]" for m in Room.of(TINY).mutants if not m.text and m.in_function
    ]
    survivors = listing(tmp_path / "survivors.toml", *entries)
    code, said = asked("--module", TINY, "--suite", str(suite), survivors=survivors)
    assert code == 1
    assert "is listed" not in said
    assert f"{len(entries)} survive, {len(entries)} of these listed" in said


@pytest.mark.parametrize("seed", [1, 2])
def test_a_sample_is_the_same_whenever_its_seed_is(seed: int) -> None:
    known = Room.of("keyturn.policy").mutants

    def drawn(seed: int) -> list[str]:
        return [str(m) for m in choose(known, text=False, sample=20, seed=seed, like="")]

    assert drawn(seed) == drawn(seed)
    assert len(drawn(seed)) == 20
    assert drawn(seed) != drawn(seed + 1)
    assert not any(m.text for m in choose(known, text=False, sample=20, seed=seed, like=""))
    assert len(choose(known, text=False, sample=10**6, seed=seed, like="")) == sum(not m.text for m in known)
