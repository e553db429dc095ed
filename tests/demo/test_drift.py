"""`keyturn demo --scene drift`: played as a person would, played without fail-over, and its reckoning by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keyturn.demo import drift, reckoning
from keyturn.demo.incidents import ACTIVE, ACTIVE_REREADS, ACTIVE_TURNING, BOTH, LIVE_SECRET, STANDBY, UNTOUCHED, Cause
from keyturn.demo.reckoning import Incident, Witness
from keyturn.model import Event

LIMIT = 280.0
AT = datetime(2026, 1, 5, 20, 30, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
SETTINGS = drift.settings()
# keyturn and the demo that starts it, without any answer to an active value that somebody else changed
WITHOUT_FAIL_OVER = """
import sys
from keyturn import plan
from keyturn.cli import main
from keyturn.demo import control

names = {"fail over", "confirm first", "target lost"}
assert names <= {row.name for row in plan.TABLE}
plan.TABLE = tuple(row for row in plan.TABLE if row.name not in names)
control.KEYTURN = (sys.executable, __file__)
sys.exit(main(sys.argv[1:]))
"""


def _play(*options: str, folder: Path, program: Sequence[str] = ("-m", "keyturn")) -> tuple[int, list[str], Any]:
    """Exit code, the lines before the last, and the last one as JSON."""
    command = [sys.executable, *program, "demo", "--scene", "drift", "--json", *options]
    env = {**os.environ, "TMPDIR": str(folder), "PYTHONUTF8": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=env, check=False)
    *told, last = ended.stdout.strip().splitlines() or [""]
    assert last.startswith("{"), f"it ended with {ended.returncode}: {ended.stdout[-1500:]} {ended.stderr[-1500:]}"
    return ended.returncode, told, json.loads(last)


def _by_cause(outcome: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["cause"]: row for row in outcome["causes"]}


# -------- the scene


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, list[str], Any]:
    return _play("--credentials", "9", "--seed", "1", folder=tmp_path_factory.mktemp("drift"))


def test_only_those_are_refused_whose_key_or_secret_somebody_else_changed(
    played: tuple[int, list[str], Any],
) -> None:
    code, _, outcome = played
    assert (code, outcome["good"]) == (0, True)
    assert (outcome["unprovoked"], outcome["outside"]) == (0, 0)
    rows = _by_cause(outcome)
    for cause in ("standby-regenerated", "secret-set-back-draining", "rotates"):
        assert rows[cause]["refused"] == {"callers": 0, "gateways": 0}, cause
    for cause in ("active-regenerated", "active-regenerated-draining", "both-keys-set-back"):
        assert rows[cause]["refused"]["callers"] > 0, f"{cause}: a dead key must be seen to be refused"
        assert rows[cause]["refused"]["callers"] == rows[cause]["refused"]["gateways"]
        assert rows[cause]["longest_seconds"] <= rows[cause]["bound_seconds"], cause
    assert outcome["refused"]["callers"] == sum(row["refused"]["callers"] for row in rows.values())
    assert outcome["refused"]["gateways"] == sum(row["refused"]["gateways"] for row in rows.values())


def test_keyturn_answers_each_cause_as_the_protocol_says(played: tuple[int, list[str], Any]) -> None:
    rows = _by_cause(played[2])
    assert {cause: row["keyturn"] for cause, row in rows.items()} == {
        "standby-regenerated": ["drift"],
        "active-regenerated": ["fail over"],
        "active-regenerated-reread": ["fail over"],
        "active-regenerated-draining": ["fail over"],
        "both-keys-set-back": ["confirm first"],
        "secret-set-back": ["repair"],
        "secret-set-back-draining": ["repair"],
        "secret-edited": ["repair"],
        "rotates": [""],
    }


def test_two_keyturns_share_the_work_and_the_rotations_go_on(played: tuple[int, list[str], Any]) -> None:
    outcome = played[2]
    assert len(outcome["keyturns"]) == 2
    assert min(outcome["keyturns"]) > 0, "one of them did nothing"
    assert outcome["rotations"] == {"begun": 3, "finished": 3}
    assert outcome["alive"] == outcome["credentials"] == 9
    assert (outcome["errors"], outcome["complaints"], outcome["leaks"]) == (0, [], [])


def test_a_keyturn_with_another_ledger_is_held_and_writes_nothing(played: tuple[int, list[str], Any]) -> None:
    assert played[2]["another_ledger"] == {"held": "another-keyturn", "arm_writes": 0}


def test_the_figures_fit_80_columns(played: tuple[int, list[str], Any]) -> None:
    told = played[1]
    table = told[next(number for number, line in enumerate(told) if line.startswith("who changed what")) :]
    assert len(table) > len(played[2]["causes"])
    assert [line for line in table if len(line) > 80] == []


@pytest.mark.long
def test_without_fail_over_calls_are_refused_beyond_the_bound_and_it_exits_1(tmp_path: Path) -> None:
    script = tmp_path / "without_fail_over.py"
    script.write_text(WITHOUT_FAIL_OVER, encoding="utf-8")
    code, _, outcome = _play("--credentials", "6", folder=tmp_path, program=(str(script),))
    assert (code, outcome["good"]) == (1, False)
    row = _by_cause(outcome)["active-regenerated"]
    assert row["outside"] > 0
    assert row["longest_seconds"] > row["bound_seconds"]
    assert "fail over" not in row["keyturn"]


@pytest.mark.parametrize(
    "options", [("--credentials", "5"), ("--credentials", "25"), ("--naive",), ("--pull-plug",)], ids=" ".join
)
def test_what_the_scene_cannot_play_is_refused(options: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "keyturn", "demo", "--scene", "drift", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert ended.returncode == 2
    assert "--scene drift" in ended.stderr


# -------- the reckoning


def _found(
    cause: Cause, *refused: timedelta, published: timedelta | None = None, kind: str = "", look_in: timedelta = HOUR
) -> reckoning.Found:
    """What is found of a credential whose caller was refused so long after the incident, by both counts."""
    witness = Witness()
    for number, after in enumerate(refused, start=1):
        witness.note(AT + after, ["contoso"], {"contoso": number})
    touched = bool(cause.answer)
    incident = Incident(
        cause=cause, sid="contoso", at=AT if touched else None, look_by=AT + look_in if touched else None
    )
    events = [Event(at=AT + look_in, kind=kind or cause.answer, sentence="")] if touched else []
    if published is not None:
        events.append(Event(at=AT + published, kind="published", sentence=""))
    return reckoning.find(incident, events, witness, SETTINGS)


def test_a_refusal_within_one_look_and_one_cache_time_is_within_the_bound() -> None:
    assert _found(ACTIVE, MINUTE, HOUR, 2 * HOUR - MINUTE).is_good


@pytest.mark.parametrize("after", [-MINUTE, 2 * HOUR + 5 * MINUTE])
def test_a_refusal_before_the_incident_or_after_the_bound_is_outside(after: timedelta) -> None:
    found = _found(ACTIVE, MINUTE, after)
    assert (found.outside, found.is_good) == (2, False)  # by both counts


@pytest.mark.parametrize("cause", [UNTOUCHED, STANDBY, LIVE_SECRET])
def test_any_refusal_of_a_caller_whose_value_lives_is_outside(cause: Cause) -> None:
    assert _found(cause).is_good
    assert not _found(cause, MINUTE).is_good


def test_the_bound_counts_from_the_look_that_was_due_and_not_from_the_longest() -> None:
    assert not _found(ACTIVE, HOUR + 30 * MINUTE, look_in=10 * MINUTE).is_good


def test_once_the_sink_is_right_only_a_value_read_before_excuses_a_refusal() -> None:
    assert not _found(ACTIVE, HOUR + 30 * MINUTE, published=5 * MINUTE).is_good


def test_a_look_that_is_due_too_late_excuses_nothing() -> None:
    assert not _found(ACTIVE, 5 * HOUR, look_in=10 * HOUR).is_good
    assert _found(ACTIVE_TURNING, 5 * HOUR, look_in=5 * HOUR).is_good


def test_callers_that_reread_are_excused_until_their_next_call_only() -> None:
    assert _found(ACTIVE_REREADS, HOUR + 10 * MINUTE).is_good
    assert not _found(ACTIVE_REREADS, HOUR + 30 * MINUTE).is_good


def test_an_answer_that_the_protocol_does_not_give_is_no_good() -> None:
    assert _found(BOTH, MINUTE).is_good
    assert not _found(BOTH, MINUTE, kind="repair").is_good
    assert not _found(ACTIVE, kind="drift").is_good
