"""The first day, as a transcript of commands and what they print."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyturn_emulator import seed
from tests.journeys.stage import Stage, play

HERE = Path(__file__).parent
CHOSEN = "a-value-that-a-person-chose-0123456789"


@pytest.mark.long
def test_the_first_day_goes_as_its_transcript_says(stage: Stage) -> None:
    stage.secrets.add(CHOSEN)
    play(stage, HERE / "first_day.txt", env={"CHOSEN": CHOSEN})
    assert stage.azure.keys("shop-apim", "contoso")["secondary"] == CHOSEN


def test_run_wait_follows_a_whole_rotation_to_its_end_and_both_values_are_new(stage: Stage) -> None:
    stage.good("run")
    before = stage.azure.keys("shop-apim", "contoso")
    stage.good("rotate", "contoso", "--wait", "--json")
    after = stage.azure.keys("shop-apim", "contoso")
    assert set(before.values()).isdisjoint(after.values())
    history = stage.good("history", "contoso", "--lines").out
    assert "retire the old slot" in history


def test_plan_tells_below_the_timeline_that_others_may_go_first(stage: Stage) -> None:
    assert "May start later" not in stage.good("plan").out
    stage.configure({"pace": "{ first: 2 }"})
    told = " ".join(stage.good("plan").out.split())
    assert "May start later: pace: the first 2 of policy partners go through before the rest." in told


def test_plan_writes_no_ledger_and_sends_no_change(stage: Stage) -> None:
    stage.good("plan")
    assert not stage.ledger.exists()
    writes = [call for call in stage.azure.calls() if call.get("method") in {"PATCH", "PUT", "DELETE"}]
    assert writes == []


def test_the_emulator_is_the_program_that_the_default_world_comes_from(stage: Stage) -> None:
    assert stage.azure.ready["client_secret"] == seed.CLIENT_SECRET
