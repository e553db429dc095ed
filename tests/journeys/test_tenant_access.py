"""`keyturn key enable` and `disable`: tenant access on and off, by hand, and nothing else."""

from __future__ import annotations

import json
import sys
from io import StringIO

import pytest

from keyturn.cli import main
from keyturn_emulator import seed
from keyturn_emulator.testing import environment
from tests.journeys.stage import Stage

ACCESS = {
    "name": "management",
    "match": "{ tenant: access }",
    "publish": '[ { keyvault: { vault: shop-kv, secret: "tenant-{service}" } } ]',
}
PROBE = "    probe: { path: /status/ping }\n"
ENDPOINT = "https://shop-apim.management.azure-api.net"


@pytest.fixture
def managed(stage: Stage) -> Stage:
    """A stage with a policy for tenant access beside the one for contoso."""
    configure(stage, ACCESS)
    return stage


def configure(stage: Stage, other: dict[str, str]) -> None:
    """Two policies, of which the other has no probe."""
    path = stage.configure({}, other)
    before, probe, after = path.read_text(encoding="utf-8").rpartition(PROBE)
    assert probe
    path.write_text(before + after, encoding="utf-8")


def begin_disabled(stage: Stage) -> None:
    description = seed.default_description()
    description["services"][0]["tenant_access"] = {"enabled": False}
    stage.azure.seed(description)


def is_enabled(stage: Stage) -> bool:
    """What the emulator's own books say."""
    (service,) = stage.azure.snapshot()["services"]
    return bool(next(each["enabled"] for each in service["tenant"] if each["name"] == "access"))


def writes(stage: Stage) -> int:
    return sum(call["method"] in {"PATCH", "PUT"} for call in stage.azure.calls())


def test_disabling_and_enabling_take_one_write_each_and_stand_in_history(managed: Stage) -> None:
    off = managed.good("key", "disable", "tenant/access", "--yes", "--because", "nobody calls it")
    assert not is_enabled(managed)
    assert "shop/tenant/access is disabled." in off.out
    on = managed.good("key", "enable", "tenant/access")
    assert is_enabled(managed)
    assert "shop/tenant/access is enabled." in on.out
    assert writes(managed) == 2
    told = managed.good("history", "tenant/access").out
    assert "disabled by hand: nobody calls it" in told and "enabled by hand" in told


@pytest.mark.parametrize(("command", "state"), [(["enable"], "enabled"), (["disable", "--yes"], "disabled")])
def test_what_is_so_already_is_said_and_not_written(managed: Stage, command: list[str], state: str) -> None:
    if state == "disabled":
        begin_disabled(managed)
    name, *options = command
    told = managed.good("key", name, "tenant/access", *options)
    assert f"shop/tenant/access is {state} already; nothing was changed." in told.out
    assert writes(managed) == 0
    assert "by hand" not in managed.good("history").out


def test_where_nobody_can_be_asked_it_says_who_would_be_cut_off_and_disables_nothing(managed: Stage) -> None:
    refused = managed.run("key", "disable", "tenant/access")
    assert refused.code == 2
    assert f"every caller of {ENDPOINT}" in refused.err and "--yes answers for you" in refused.err
    assert is_enabled(managed)
    assert writes(managed) == 0


class Person(StringIO):
    """Somebody at a terminal, and what they type."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "code", "enabled"), [("y\n", 0, False), ("n\n", 130, True)])
def test_a_person_is_told_who_is_cut_off_and_decides(
    managed: Stage,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    code: int,
    enabled: bool,
) -> None:
    monkeypatch.setattr(sys, "stdin", Person(typed))
    with environment({**managed.env, "KEYTURN_CONFIG": str(managed.folder / "keyturn.yaml")}):
        monkeypatch.chdir(managed.folder)
        assert main(["key", "disable", "tenant/access"]) == code
    told = capsys.readouterr().err
    assert f"cuts off every caller of {ENDPOINT}" in told and "Go on?" in told
    assert ("keyturn: you said no\n  Nothing was changed." in told) is enabled
    assert is_enabled(managed) is enabled


@pytest.mark.parametrize("command", ["enable", "disable"])
def test_other_credentials_cannot_be_switched_and_the_refusal_names_what_can(managed: Stage, command: str) -> None:
    configure(managed, {**ACCESS, "name": "oslo", "match": "{ gateway: gw-oslo }"})
    for name, kind in {"contoso": "an apim subscription", "gw-oslo": "a self-hosted gateway"}.items():
        refused = managed.run("key", command, name)
        assert refused.code == 2
        assert f"is {kind}; only tenant access can be enabled or disabled, such as shop/tenant/access" in refused.err
    assert writes(managed) == 0


def test_a_credential_that_waits_for_being_enabled_goes_on_with_the_next_run(managed: Stage) -> None:
    begin_disabled(managed)
    managed.good("run")
    assert "key enable shop/tenant/access" in managed.run("status", "tenant/access").out
    (told,) = json.loads(managed.run("status", "tenant/access", "--json").out)["credentials"]
    assert told["waiting"]["reason"] == "not-active" and told["active"] is None
    managed.good("key", "enable", "tenant/access")
    managed.good("run")
    (told,) = json.loads(managed.run("status", "tenant/access", "--json").out)["credentials"]
    assert told["waiting"] is None or told["waiting"]["reason"] != "not-active"
    assert told["active"] == "primary"


def test_a_lost_answer_is_resolved_by_a_look(managed: Stage) -> None:
    managed.azure.fault("lost-answer", {"method": "PATCH"}, times=1)
    told = managed.good("key", "disable", "tenant/access", "--yes")
    assert "shop/tenant/access is disabled." in told.out
    assert writes(managed) == 1


def test_an_answer_that_leaves_it_open_and_an_unchanged_state_are_told_as_they_are(managed: Stage) -> None:
    managed.azure.fault("status", {"method": "PATCH"}, status=503, times=1)
    told = managed.run("key", "disable", "tenant/access", "--yes")
    assert told.code == 1
    assert "Whether shop/tenant/access was disabled is not known." in told.err
    assert "Run the command again: it looks first." in " ".join(told.err.split())
    assert "by hand" not in managed.good("history").out
    assert is_enabled(managed)


def test_a_change_between_the_look_and_the_write_leaves_everything_as_it_is(managed: Stage) -> None:
    managed.azure.fault("status", {"method": "PATCH"}, status=412, times=1)
    told = managed.run("key", "disable", "tenant/access", "--yes")
    assert told.code == 1
    assert "Nothing was changed." in told.err and "run the command again" in told.err
    assert is_enabled(managed)


def test_json_tells_whether_anything_changed(managed: Stage) -> None:
    documents = [
        json.loads(managed.good("key", "disable", "tenant/access", "--yes", "--json").out),
        json.loads(managed.good("key", "disable", "tenant/access", "--yes", "--json").out),
    ]
    assert [(each["id"], each["enabled"], each["changed"]) for each in documents] == [
        ("shop/tenant/access", False, True),
        ("shop/tenant/access", False, False),
    ]
