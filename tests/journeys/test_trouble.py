"""What goes wrong, and what a person reads then. Each runs the real command."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from keyturn_emulator import seed
from tests.journeys.stage import Outcome, Stage

FORCE = ("--because", "a test asks for it")


def rotating(stage: Stage) -> None:
    """Contoso is adopted, and its rotation waits until the standby is quiet."""
    stage.good("rotate", "contoso", *FORCE)


def draining(stage: Stage) -> None:
    """A day later: its fresh value is published, and the old one drains."""
    rotating(stage)
    stage.azure.advance(86_400)
    stage.good("run")


def status(stage: Stage, name: str = "shop/contoso") -> dict[str, Any]:
    document = json.loads(stage.run("status", "--json").out)
    return next(each for each in document["credentials"] if each["id"] == name)


def says(outcome: Outcome, code: int, *phrases: str) -> None:
    assert outcome.code == code, outcome.all
    for phrase in phrases:
        assert phrase in outcome.all


def test_a_wrong_client_secret_is_named_as_such_and_nothing_is_changed(stage: Stage) -> None:
    outcome = stage.run("run", env={"AZURE_CLIENT_SECRET": "not-the-secret-of-this-app"})
    says(outcome, 1, "Entra refused the client secret", "Next:", "AADSTS7000215")
    assert "not-the-secret-of-this-app" not in outcome.all


def test_an_unknown_tenant_is_a_mistake_of_the_configuration(stage: Stage) -> None:
    text = (stage.folder / "keyturn.yaml").read_text(encoding="utf-8")
    (stage.folder / "keyturn.yaml").write_text(text.replace(seed.TENANT, seed.READER), encoding="utf-8")
    says(stage.run("run"), 2, seed.READER, "Check tenant")


def test_a_missing_permission_names_the_action_and_the_scope(stage: Stage) -> None:
    stage.description["role_assignments"] = stage.description["role_assignments"][1:]
    stage.azure.seed(stage.description)
    says(stage.run("run"), 1, "Microsoft.ApiManagement/service/subscriptions/read", "shop-apim", "Next: Assign a role")


def test_an_apim_subscription_that_goes_away_in_the_middle_of_a_rotation_is_held(stage: Stage) -> None:
    rotating(stage)
    kept = [row for row in stage.description["services"][0]["subscriptions"] if row["sid"] != "contoso"]
    stage.description["services"][0]["subscriptions"] = kept
    stage.azure.seed({**stage.description, "start": stage.azure.now()})
    says(stage.run("run"), 1, "gone")
    assert status(stage)["hold"]["reason"] == "gone"


def test_a_service_that_goes_away_in_the_middle_of_a_rotation_is_held(stage: Stage) -> None:
    rotating(stage)
    stage.azure.seed({**stage.description, "services": [], "start": stage.azure.now()})
    says(stage.run("run"), 1, "the API Management service does not exist")
    assert status(stage)["hold"]["reason"] == "gone"


def test_a_vault_that_goes_away_in_the_middle_keeps_both_values_alive_and_status_says_what_waits(stage: Stage) -> None:
    draining(stage)
    before = stage.azure.keys("shop-apim", "contoso")
    stage.azure.fault("drop", {"host": "shop-kv.vault.azure.net"}, times=100_000)
    stage.azure.advance(4 * 86_400)
    stage.run("run")
    told = status(stage)
    assert told["condition"] == "failing"
    assert "shop-kv" in told["waiting"]["sentence"]
    assert stage.azure.keys("shop-apim", "contoso") == before


def test_a_sink_that_refuses_for_days_stays_in_publish_with_both_values_alive(stage: Stage) -> None:
    rotating(stage)
    writes = {"host": "shop-kv.vault.azure.net", "method": "PUT"}
    stage.azure.fault("status", writes, status=403, code="Forbidden", message="no", times=100_000)
    seen = []
    for _ in range(3):
        stage.azure.advance(86_400)
        assert stage.run("run").code == 1
        seen.append(stage.azure.keys("shop-apim", "contoso"))
    told = status(stage)
    assert (told["stage"], told["waiting"]["reason"]) == ("publish", "sink-refused")
    assert "both values stay live" in told["waiting"]["sentence"]
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("value", ["", "x" * 257])
def test_a_value_of_a_wrong_length_is_refused_by_a_sentence(stage: Stage, value: str) -> None:
    outcome = stage.run("key", "set", "contoso", "--slot", "secondary", "--stdin", stdin=f"{value}\n")
    says(outcome, 2, f"the value has {len(value)} characters; API Management takes 1 to 256")


def test_key_regenerate_of_the_published_slot_asks_and_names_the_sink_that_shows_it(stage: Stage) -> None:
    stage.good("run")
    before = stage.azure.keys("shop-apim", "contoso")
    outcome = stage.run("key", "regenerate", "contoso", "--slot", "primary", "--cut-off-callers")
    says(outcome, 2, "This cuts off every caller", "shop-kv/apim-contoso")
    assert stage.azure.keys("shop-apim", "contoso") == before


def test_key_regenerate_with_the_agreement_to_cut_off_callers_publishes_a_live_value_at_once(stage: Stage) -> None:
    stage.good("run")
    before = stage.azure.keys("shop-apim", "contoso")
    stage.good("key", "regenerate", "contoso", "--slot", "secondary", "--cut-off-callers", "--yes")
    after = stage.azure.keys("shop-apim", "contoso")
    assert after["primary"] == before["primary"]
    assert after["secondary"] != before["secondary"]


def test_key_show_prints_the_live_value_when_asked_and_nowhere_else(stage: Stage) -> None:
    live = stage.azure.keys("shop-apim", "contoso")["secondary"]
    shown = stage.start("key", "show", "contoso", "--slot", "secondary", "--reveal").process.communicate()[0]
    assert shown.strip() == live
    says(stage.run("key", "show", "contoso", "--slot", "secondary", "--json"), 2, "--reveal prints it anywhere")


def test_two_credentials_with_one_sink_are_both_held_and_name_each_other(stage: Stage) -> None:
    publish = "[ { keyvault: { vault: shop-kv, secret: shared } } ]"
    stage.configure({"match": "{ sid: [contoso, fabrikam] }", "publish": publish})
    says(stage.run("run"), 1, "shop-kv/shared is also the sink of shop/fabrikam")
    assert status(stage)["hold"]["reason"] == "sink-clash"
    assert status(stage, "shop/fabrikam")["hold"]["reason"] == "sink-clash"


def test_a_name_that_a_vault_cannot_hold_holds_the_credential(stage: Stage) -> None:
    stage.configure({"publish": '[ { keyvault: { vault: shop-kv, secret: "apim_{sid}" } } ]'})
    says(stage.run("run"), 1, "a vault cannot hold 'apim_contoso'")
    assert status(stage)["hold"]["reason"] == "sink-name"


def test_two_runs_at_once_both_end_well_and_the_work_is_done_once(stage: Stage) -> None:
    rotating(stage)
    stage.azure.advance(86_400)
    asked = stage.azure.control("GET", "arm")["writes"]
    first = stage.start("run")
    second = stage.start("run")
    outcomes = [first.finish(), second.finish()]
    assert [outcome.code for outcome in outcomes] == [0, 0], [outcome.all for outcome in outcomes]
    stage.good("run", "--wait")
    assert stage.azure.control("GET", "arm")["writes"] - asked == 2  # one per renewed slot


def test_a_clock_that_jumps_back_a_day_holds_no_wait_for_longer_than_is_legal(stage: Stage) -> None:
    draining(stage)
    stage.azure.control("POST", "clock", {"jump": -90 * 86_400})
    outcome = stage.run("run", "--wait")
    assert outcome.code == 0, outcome.all
    assert status(stage)["rotations"] == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_a_waiting_run_and_the_next_one_goes_on(stage: Stage, number: int, code: int) -> None:
    running = stage.start("run", "--wait")
    running.until_it_waits()
    running.process.send_signal(number)
    outcome = running.finish(moving=False)
    says(outcome, code, "stopping once the turns under way have ended")
    stage.good("run", "--wait")
    assert status(stage)["condition"] == "ok"


def test_emulated_time_with_any_other_azure_is_refused(stage: Stage) -> None:
    says(stage.run("run", env={"HTTPS_PROXY": "http://127.0.0.1:9"}), 2, "nothing but that emulator")
    says(stage.run("run", env={"NO_PROXY": "management.azure.com"}), 2, "NO_PROXY leads management.azure.com past it")


def test_a_policy_that_never_wins_is_a_warning_with_its_line(stage: Stage) -> None:
    stage.configure({}, {"name": "shadowed"})
    says(stage.run("plan"), 0, "keyturn.yaml:13  policy shadowed wins no credential")


def test_one_service_that_cannot_be_listed_does_not_stop_the_others(stage: Stage) -> None:
    path: Path = stage.configure()
    other = path.read_text(encoding="utf-8").replace("policies:", f"  gone:\n    id: {_elsewhere()}\npolicies:", 1)
    path.write_text(other, encoding="utf-8")
    says(stage.run("run"), 1, "service gone:", "1 ok")


def _elsewhere() -> str:
    group = f"/subscriptions/{seed.AZURE_SUBSCRIPTION}/resourceGroups/rg"
    return f"{group}/providers/Microsoft.ApiManagement/service/no-such-apim"
