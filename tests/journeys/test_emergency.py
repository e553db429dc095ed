"""A key on a public page, a window that is closed, a vault that refuses for weeks: what a person reads and types."""

from __future__ import annotations

import json

from tests.cli.terminal import Terminal
from tests.journeys.stage import Stage
from tests.journeys.test_trouble import draining, says, status

BECAUSE = ("--because", "key on a public page")
COMPROMISED = ("rotate", "contoso", "--compromised", *BECAUSE)


def test_it_says_who_is_cut_off_and_asks_and_changes_nothing_without_an_answer(stage: Stage) -> None:
    draining(stage)
    before = stage.azure.keys("shop-apim", "contoso")
    outcome = stage.run(*COMPROMISED)
    says(
        outcome,
        2,
        "shop/contoso: these values die without a drain",
        "it is in shop-kv/apim-contoso: whoever has it is refused",
        "after 1 h at the latest, by consumers.cache",
        "less than the drain (24 h): who still has it is refused",
        "nobody is there to ask; --yes answers for you",
    )
    assert stage.azure.keys("shop-apim", "contoso") == before
    assert "compromised" not in stage.run("history", "contoso", "--lines").out


def test_ctrl_c_at_the_question_changes_nothing_and_is_told_on_a_line_of_its_own_within_80_columns(
    stage: Stage,
) -> None:
    draining(stage)
    before = stage.azure.keys("shop-apim", "contoso")
    terminal = Terminal(stage.folder, *COMPROMISED, "--suspend", columns=80, env=stage.env)
    terminal.until("[y/N]")
    terminal.interrupt()
    assert terminal.end() == 130
    lines = terminal.seen.splitlines()
    assert "keyturn: stopped before it was done" in lines
    assert max(len(line) for line in lines) <= 80
    assert stage.azure.keys("shop-apim", "contoso") == before


def test_with_an_agreement_both_values_die_within_minutes_and_the_vault_shows_a_live_one(stage: Stage) -> None:
    draining(stage)
    leaked = set(stage.azure.keys("shop-apim", "contoso").values())
    outcome = stage.run(*COMPROMISED, "--yes", "--json")
    document = json.loads(outcome.out)
    assert outcome.code == 0, outcome.all
    assert [each["slot"] for each in document["cut_off"]["shop/contoso"]]
    assert all(each["seconds"] is not None for each in document["cut_off"]["shop/contoso"])
    live = stage.azure.keys("shop-apim", "contoso")
    assert not leaked & set(live.values())
    told = status(stage)
    assert any("are dead; the sinks are looked at once more in" in note for note in told["notes"])
    stage.azure.advance(3600)
    stage.good("run")
    says(stage.good("history", "contoso", "--lines"), 0, "compromised: primary and secondary are compromised: key on a")
    assert not any("compromised" in note for note in status(stage)["notes"])


def test_a_standby_that_is_named_alone_dies_and_the_published_value_stays(stage: Stage) -> None:
    stage.good("run")
    stage.azure.advance(86_400)
    before = stage.azure.keys("shop-apim", "contoso")
    outcome = stage.run(*COMPROMISED, "--slot", "secondary", "--yes")
    says(outcome, 0, "secondary: ")
    after = stage.azure.keys("shop-apim", "contoso")
    assert after["primary"] == before["primary"]
    assert after["secondary"] != before["secondary"]


def test_suspended_it_is_active_again_once_the_values_are_dead(stage: Stage) -> None:
    draining(stage)
    leaked = set(stage.azure.keys("shop-apim", "contoso").values())
    outcome = stage.run(*COMPROMISED, "--suspend", "--yes")
    says(outcome, 0, "every caller is refused, whatever its key")
    assert _state(stage) == "suspended"
    outcome = stage.run("run", "contoso", "--wait")
    assert outcome.code == 0, outcome.all
    assert _state(stage) == "active"
    assert not leaked & set(stage.azure.keys("shop-apim", "contoso").values())


def _state(stage: Stage) -> str:
    (service,) = (each for each in stage.azure.snapshot()["services"] if each["id"].endswith("/shop-apim"))
    (found,) = (each for each in service["subscriptions"] if each["sid"] == "contoso")
    return str(found["state"])


def test_one_that_cannot_be_named_keeps_no_other_alive(stage: Stage) -> None:
    stage.configure({"match": "{ product: gold }"})
    stage.good("run")
    stage.azure.advance(86_400)
    stage.good("hold", "fabrikam", "--because", "an audit")
    before = stage.azure.keys("shop-apim", "contoso")
    outcome = stage.run("rotate", "contoso", "fabrikam", "--compromised", *BECAUSE, "--yes")
    says(outcome, 1, "shop/fabrikam is held (by-hand): an audit", "shop/contoso: these values die without a drain")
    assert not set(before.values()) & set(stage.azure.keys("shop-apim", "contoso").values())


def test_its_options_mean_nothing_without_it(stage: Stage) -> None:
    says(stage.run("rotate", "contoso", "--slot", "primary"), 2, "--slot, --suspend and --yes belong to --compromised")


def test_what_is_not_adopted_is_told_so(stage: Stage) -> None:
    says(stage.run(*COMPROMISED, "--yes"), 1, "shop/contoso is not adopted", "keyturn adopt shop/contoso")


def test_a_closed_window_is_told_by_status_and_plan_and_a_person_goes_through_it(stage: Stage) -> None:
    # the emulator begins on Monday, 2026-01-05, 08:00 UTC
    stage.configure({"rotate": '{ every: 30d, window: "Tue 01:00-02:00 Europe/Oslo" }'})
    stage.good("run")
    stage.azure.advance(30 * 86_400 + 3600)
    says(stage.good("run"), 0, "1 waiting")
    told = status(stage)
    assert told["waiting"]["reason"] == "outside-window"
    assert "Tue 01:00-02:00 Europe/Oslo" in told["waiting"]["sentence"]
    says(stage.good("status"), 0, "starts in", "outside-window")
    says(stage.good("plan", "contoso", "--utc"), 0, "due", "00:00")
    stage.good("rotate", "contoso", "--because", "cannot wait")
    assert status(stage)["stage"] != "idle"


def test_what_was_parked_is_released_together_and_named_before(stage: Stage) -> None:
    stage.configure({"park_after": "2d"})
    draining(stage)
    reads = {"host": "shop-kv.vault.azure.net"}
    stage.azure.fault("status", reads, status=403, code="Forbidden", message="no", times=100_000)
    for _ in range(40):
        stage.run("run")
        told = status(stage)
        if told["condition"] == "held":
            break
        assert any("parked in" in note for note in told["notes"]) or not told["failures"]
        stage.azure.advance(4 * 3600)
    assert told["hold"]["reason"] == "parked"
    stage.azure.control("DELETE", "faults")
    says(stage.run("release"), 2, "--reason CODE for all that are held for it")
    says(stage.good("release", "--reason", "gone"), 0, "Nothing is held for gone")
    says(stage.good("release", "--reason", "parked"), 0, "The next `keyturn run` looks at it")
    stage.good("run")
    assert status(stage)["condition"] != "held"
