"""What a command says when something stands in its way that only a person can see."""

from __future__ import annotations

import pytest

from tests.journeys.stage import Stage


def test_run_does_not_forget_what_is_held_in_the_ledger_and_no_policy_matches_any_more(stage: Stage) -> None:
    stage.good("run")
    stage.good("hold", "contoso", "--because", "under investigation")
    stage.configure({"match": "{ sid: fabrikam }", "publish": '[ { file: { path: "{sid}.env", variable: KEY } } ]'})
    ended = stage.run("run")
    assert ended.code == 1
    assert "shop/contoso is held in the ledger, and was not looked at" in ended.out


def test_a_file_of_authorities_that_is_not_there_is_named(stage: Stage) -> None:
    missing = str(stage.folder / "gone.pem")
    ended = stage.start("run", env={"REQUESTS_CA_BUNDLE": missing}).finish()
    assert ended.code == 2
    assert f"$REQUESTS_CA_BUNDLE names {missing}, which does not exist" in ended.all
    assert "a defect" not in ended.all


def test_a_hold_says_how_it_is_released(stage: Stage) -> None:
    stage.good("run")
    stage.good("hold", "contoso", "--because", "under investigation")
    told = stage.run("status", "contoso")
    assert "keyturn release shop/contoso" in told.out


def test_the_refusal_for_a_published_slot_names_what_may_be_done_instead(stage: Stage) -> None:
    stage.good("run")
    refused = stage.run("key", "regenerate", "contoso", "--slot", "primary")
    assert refused.code == 1
    assert "`keyturn rotate shop/contoso`" in " ".join(refused.all.split())


@pytest.mark.parametrize("value", ["with\x01control", " a space before", "日本語のキー"])
def test_a_value_that_cannot_travel_in_a_header_is_refused(stage: Stage, value: str) -> None:
    refused = stage.start("key", "set", "contoso", "--slot", "secondary", "--stdin").finish(value + "\n")
    assert refused.code == 2
    assert "must travel in an HTTP header" in refused.all
    assert value.strip() not in refused.all


def test_plan_tells_no_story_for_a_credential_that_would_be_held_at_once(stage: Stage) -> None:
    stage.configure({"match": "{ product: gold }", "publish": "[ { keyvault: { vault: shop-kv, secret: same } } ]"})
    told = stage.run("plan")
    assert "would be held: shop-kv/same is also the sink of" in told.out
    assert "publish" not in told.out.replace("published", "")


@pytest.mark.parametrize("command", ["plan", "run"])
def test_where_nobody_is_opted_in_the_next_step_is_named(stage: Stage, command: str) -> None:
    stage.configure({"match": "{}"})
    assert "Nobody is opted in. Next: say whom in a policy's `match`" in stage.good(command).out


def test_a_run_that_waits_for_nothing_but_a_person_says_for_whom(stage: Stage) -> None:
    stage.good("run")
    stage.good("hold", "contoso", "--because", "under investigation")
    assert "Nothing waits for a time; 1 waits for you." in stage.run("run").out
