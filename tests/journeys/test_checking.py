"""`keyturn check` against the emulator: what is there, what is missing, what is too much, and that nothing changes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

import pytest
from azure.core.credentials import TokenCredential
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient

from keyturn.azure import rights
from keyturn.cli import main
from keyturn_emulator import seed
from keyturn_emulator.testing import environment
from tests.deploy.roles import actions
from tests.journeys.stage import SERVICE, Outcome, Stage

VAULT = SERVICE.replace("Microsoft.ApiManagement/service/shop-apim", "Microsoft.KeyVault/vaults/shop-kv")
OPEN = {
    "id": "open",
    "display_name": "Open",
    "subscription_required": False,
    "apis": ["orders"],
}
LEAST_JOBS = [
    ("set", "{ sid: contoso }", "set"),
    ("regenerate", "{ sid: contoso }", "regenerate"),
    ("tenant-access-set", "{ tenant: access }", "set"),
    ("tenant-access-regenerate", "{ tenant: access }", "regenerate"),
    ("gateways", "{ gateway: gw-oslo }", "regenerate"),
]
CANNOT_BE_TRIED = [right.action for job in rights.JOBS for right in job.rights if right.ask is None]
LIST_OF_RIGHTS = "Microsoft.Authorization/permissions/read"


def check(stage: Stage, *names: str) -> tuple[int, dict[str, Any]]:
    """The command's document, in this process: there are many of them."""
    config = {"KEYTURN_CONFIG": str(stage.folder / "keyturn.yaml")}
    with environment({**stage.env, **config}), redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        code = main(["check", "--json", *names])
    stage.look_for_leaks(out.getvalue() + err.getvalue())
    return code, json.loads(out.getvalue())


def marked(told: dict[str, Any], mark: str) -> list[dict[str, str]]:
    return [each for each in told["findings"] if each["mark"] == mark]


def about(told: dict[str, Any], name: str) -> list[dict[str, str]]:
    return [each for each in told["findings"] if each["about"] == name]


def rights_missing(told: dict[str, Any]) -> list[str]:
    return [each["action"] for each in marked(told, "missing") if each["action"]]


def grant(stage: Stage, allowed: Iterable[str], *, vault: str = "Key Vault Secrets Officer", **top: Any) -> None:
    """keyturn has exactly these actions at the service, and that role at the vault."""
    world = seed.default_description()
    rotator = world["applications"][0]["client_id"]
    world["custom_roles"] = [
        {"name": "least", "id": "11111111-2222-4333-8444-777777777777", "actions": list(allowed)},
        {"name": "nothing", "id": "11111111-2222-4333-8444-888888888888", "actions": []},
    ]
    world["role_assignments"] = [
        {"client_id": rotator, "role": "least", "scope": SERVICE},
        {"client_id": rotator, "role": vault, "scope": VAULT},
    ]
    stage.azure.seed({**world, **top})


def job(stage: Stage, match: str, mode: str) -> None:
    probe = {"tenant": '"/subscriptions/0/resourceGroups/0/providers/x"', "gateway": '"/"'}
    path = next((path for word, path in probe.items() if word in match), "/status/ping")
    configured = stage.configure({"match": match, "probe": f"{{ path: {path} }}"})
    if "sid" not in match:
        stage.configure({"match": match, "probe": f"{{ path: {path} }}", "publish": SINK})
    text = configured.read_text(encoding="utf-8")
    configured.write_text(text.replace(f"id: {SERVICE}", f"id: {SERVICE}\n    mode: {mode}"), encoding="utf-8")


SINK = "[ { keyvault: { vault: shop-kv, secret: turned } } ]"


# -------- all is well


def test_with_the_least_role_and_the_list_of_rights_all_is_well(stage: Stage) -> None:
    grant(stage, [*actions("set"), LIST_OF_RIGHTS])
    code, told = check(stage)
    assert (code, told["missing"], told["attention"]) == (0, 0, 0), told
    assert {"sign-in", "shop", "clock", "roles at shop", "vault shop-kv", "gateways", "ledger"} <= {
        each["about"] for each in told["findings"]
    }


def test_it_says_as_whom_it_is_signed_in(stage: Stage) -> None:
    _, told = check(stage)
    (signed_in,) = about(told, "sign-in")
    for text in (seed.CLIENT, seed.TENANT, "object "):
        assert text in signed_in["sentence"]


def test_it_changes_nothing_in_azure_and_makes_no_ledger(stage: Stage) -> None:
    before = stage.azure.snapshot()
    since = last_call(stage)
    check(stage)
    assert stage.azure.snapshot() == before
    assert not stage.ledger.exists()
    assert mutations(stage, since) == []


def last_call(stage: Stage) -> int:
    return max((call["seq"] for call in stage.azure.calls()), default=0)


def mutations(stage: Stage, since: int) -> list[dict[str, Any]]:
    """Calls that could have changed something, or told a key, and were not refused."""
    harmless = ("/oauth2/v2.0/token",)
    return [
        call
        for call in stage.azure.calls(since=since)
        if call["method"] not in {"GET", "HEAD", "CONNECT"}
        and call["status"] < 400
        and not call["path"].endswith(harmless)
    ]


def test_it_leaves_the_ledger_as_it_is(stage: Stage) -> None:
    stage.good("run")
    before = stage.ledger.read_bytes()
    code, told = check(stage)
    assert code == 0
    assert "opens, schema 1" in about(told, "ledger")[0]["sentence"]
    assert stage.ledger.read_bytes() == before


def test_trying_rights_by_hand_changes_nothing_either(stage: Stage) -> None:
    """No list of rights: every call that stands for a right is sent, and refused or finds nothing."""
    grant(stage, [*actions("set"), *actions("tenant-access-set"), *actions("gateways")])
    stage.configure(
        {},
        {"name": "tenant", "match": "{ tenant: access }", "publish": "[ { file: { path: t.env, variable: K } } ]"},
        {"name": "gates", "match": "{ gateway: gw-oslo }", "publish": "[ { file: { path: g.env, variable: K } } ]"},
    )
    before, since = stage.azure.snapshot(), last_call(stage)
    check(stage)
    assert any(call["method"] == "PATCH" for call in stage.azure.calls(since=since))
    assert stage.azure.snapshot() == before
    assert mutations(stage, since) == []


# -------- too little


@pytest.mark.parametrize(
    ("role", "match", "mode", "action"),
    [(*each, action) for each in LEAST_JOBS for action in actions(each[0])],
)
def test_each_action_that_is_missing_is_named_with_the_role_that_has_it(
    stage: Stage, role: str, match: str, mode: str, action: str
) -> None:
    grant(stage, [*(kept for kept in actions(role) if kept != action), LIST_OF_RIGHTS])
    job(stage, match, mode)
    code, told = check(stage)
    assert code == 1
    assert rights_missing(told) == [action]
    (finding,) = [each for each in told["findings"] if each["action"] == action]
    assert f"deploy/roles/{role}.json" in finding["next"]


@pytest.mark.parametrize(
    ("role", "match", "mode", "action"),
    [(*each, action) for each in LEAST_JOBS for action in actions(each[0]) if action not in CANNOT_BE_TRIED],
)
def test_where_the_list_of_rights_may_not_be_read_each_is_tried(
    stage: Stage, role: str, match: str, mode: str, action: str
) -> None:
    grant(stage, [kept for kept in actions(role) if kept != action])
    job(stage, match, mode)
    code, told = check(stage)
    assert code == 1
    assert rights_missing(told) == [action]


@pytest.mark.parametrize(("role", "match", "mode"), LEAST_JOBS)
def test_what_is_granted_is_found_by_trying_and_what_cannot_be_tried_is_said(
    stage: Stage, role: str, match: str, mode: str
) -> None:
    grant(stage, actions(role))
    job(stage, match, mode)
    _, told = check(stage)
    assert rights_missing(told) == []
    untold = [each["action"] for each in marked(told, "attention") if "cannot be told" in each["sentence"]]
    assert [action for action in untold if action] == [each for each in actions(role) if each in CANNOT_BE_TRIED]
    tried = len(actions(role)) - len([each for each in actions(role) if each in CANNOT_BE_TRIED])
    found = about(told, "roles at shop")
    assert any(f"{tried} of {len(actions(role))} actions tried" in each["sentence"] for each in found)
    assert any(LIST_OF_RIGHTS in each["next"] for each in found)


@pytest.mark.parametrize("action", rights.NAMED_VALUES.actions)
def test_named_values_as_sinks_need_rights_of_their_own(stage: Stage, action: str) -> None:
    others = [kept for kept in rights.NAMED_VALUES.actions if kept != action]
    stage.configure({"publish": '[ { namedvalue: { name: "{sid}-key" } } ]'})
    for listed in ([LIST_OF_RIGHTS], []):
        grant(stage, [*actions("set"), *others, *listed])
        code, told = check(stage)
        assert code == 1
        assert rights_missing(told) == [action]


def test_a_vault_that_may_not_be_read_names_the_role(stage: Stage) -> None:
    grant(stage, [*actions("set"), LIST_OF_RIGHTS], vault="nothing")
    code, told = check(stage)
    (finding,) = about(told, "vault shop-kv")
    assert (code, finding["mark"]) == (1, "missing")
    assert "Key Vault Secrets Officer" in finding["next"]
    assert finding["action"] == "Microsoft.KeyVault/vaults/secrets/getSecret/action"


def delete_secret(stage: Stage, name: str) -> None:
    """Somebody made it and deleted it, with the official client and nothing of ours."""
    ready = stage.azure.ready
    credential: TokenCredential = ClientSecretCredential(ready["tenant"], ready["client_id"], ready["client_secret"])
    with environment(stage.env), SecretClient("https://shop-kv.vault.azure.net", credential) as person:
        person.set_secret(name, "old")
        person.begin_delete_secret(name).wait()


@pytest.mark.parametrize("kind", ["value", "token"])
def test_a_deleted_secret_that_keeps_the_wanted_name_is_told_before_a_write_is_refused(stage: Stage, kind: str) -> None:
    if kind == "token":
        tokens = f"{{ kind: gateway, lifetime: 10d, publish: {SINK} }}"
        policy = {"match": "{ gateway: gw-oslo }", "probe": '{ path: "/" }', "tokens": tokens, "publish": "[]"}
        configured = stage.configure(policy)
        configured.write_text(configured.read_text(encoding="utf-8").replace("    publish: []\n", ""), encoding="utf-8")
    name = "apim-contoso" if kind == "value" else "turned"
    delete_secret(stage, name)
    code, told = check(stage)
    (finding,) = [each for each in about(told, "vault shop-kv") if each["mark"] == "missing"]
    assert code == 1
    assert f"{name} is deleted but recoverable" in finding["sentence"]
    assert "secret recover" in finding["next"] and "secret purge" in finding["next"]


def test_a_deleted_secret_that_may_not_be_seen_is_not_spoken_of(stage: Stage) -> None:
    delete_secret(stage, "apim-contoso")
    stage.azure.fault("status", {"path_contains": "/deletedsecrets/"}, status=403, times=-1)
    _, told = check(stage)
    assert [each["mark"] for each in about(told, "vault shop-kv")] == ["ok"], told


def test_a_secret_that_nobody_deleted_is_not_spoken_of_as_deleted(stage: Stage) -> None:
    _, told = check(stage)
    assert [each["mark"] for each in about(told, "vault shop-kv")] == ["ok"], told


# -------- too much


def test_more_than_is_needed_is_named_with_what_it_comes_to(stage: Stage) -> None:
    world = seed.default_description()
    rotator = world["applications"][0]["client_id"]
    world["role_assignments"].append({"client_id": rotator, "role": "Contributor", "scope": SERVICE})
    stage.azure.seed(world)
    code, told = check(stage)
    assert code == 0, "too much keeps nothing from working"
    (finding,) = [each for each in marked(told, "attention") if "more than is needed" in each["sentence"]]
    assert "delete the service" in finding["sentence"]
    assert "give roles to others" not in finding["sentence"], "Contributor may not"
    assert "deploy/roles/set.json" in finding["next"]


def test_one_single_action_beyond_need_is_named(stage: Stage) -> None:
    extra = f"{rights.SERVICE}/subscriptions/delete"
    grant(stage, [*actions("set"), LIST_OF_RIGHTS, extra])
    code, told = check(stage)
    assert code == 0
    (finding,) = marked(told, "attention")
    assert (finding["action"], extra in finding["sentence"]) == (extra, True)
    assert "delete apim subscriptions" in finding["sentence"]


# -------- places that do not answer


def test_a_vault_that_is_not_there_is_told_with_what_to_look_at(stage: Stage) -> None:
    stage.configure({"publish": '[ { keyvault: { vault: nowhere-kv, secret: "apim-{sid}" } } ]'})
    code, told = check(stage)
    (finding,) = about(told, "vault nowhere-kv")
    assert (code, finding["mark"]) == (1, "missing")
    assert "https://nowhere-kv.vault.azure.net" in finding["sentence"]
    assert "Check the vault's name" in finding["next"]


def test_a_service_that_is_not_there_is_told_once_and_the_rest_goes_on(stage: Stage) -> None:
    path = stage.configure()
    path.write_text(path.read_text(encoding="utf-8").replace("service/shop-apim", "service/nowhere-apim"))
    code, told = check(stage)
    (finding,) = about(told, "shop")
    assert (code, finding["mark"]) == (1, "missing")
    assert "does not exist" in finding["sentence"]
    assert about(told, "ledger")


def test_a_sign_in_that_is_refused_leaves_the_rest_to_be_told(stage: Stage) -> None:
    stage.secrets.add("wrong-secret-value-0123456789")
    config = {"KEYTURN_CONFIG": str(stage.folder / "keyturn.yaml")}
    wrong = {"AZURE_CLIENT_SECRET": "wrong-secret-value-0123456789"}
    with environment({**stage.env, **config, **wrong}), redirect_stdout(StringIO()) as out:
        code = main(["check", "--json"])
    told = json.loads(out.getvalue())
    (finding,) = about(told, "sign-in")
    assert (code, finding["mark"]) == (1, "missing")
    assert "AADSTS7000215" in finding["sentence"]
    assert finding["next"]
    assert about(told, "ledger")


def test_a_gateway_that_does_not_answer_is_missing(stage: Stage) -> None:
    path = stage.configure()
    gateways = f"id: {SERVICE}\n    gateways: [ 'https://nowhere.example' ]"
    path.write_text(path.read_text(encoding="utf-8").replace(f"id: {SERVICE}", gateways), encoding="utf-8")
    code, told = check(stage)
    (finding,) = about(told, "gateway")
    assert (code, finding["mark"]) == (1, "missing")
    assert "https://nowhere.example" in finding["sentence"]


@pytest.mark.parametrize(("others", "asked"), [("", []), (", 'https://shop-apim.azure-api.net'", ["1 gateway"])])
def test_a_gateway_that_does_not_answer_is_not_waited_for_once_more_by_each_policy(
    stage: Stage, others: str, asked: list[str]
) -> None:
    path = stage.configure()
    gateways = f"id: {SERVICE}\n    gateways: [ 'https://nowhere.example'{others} ]"
    path.write_text(path.read_text(encoding="utf-8").replace(f"id: {SERVICE}", gateways), encoding="utf-8")
    code, told = check(stage)
    assert (code, len(about(told, "gateway"))) == (1, 1)
    proofs = [each["sentence"] for each in about(told, "probe of partners")]
    assert [proof.rpartition(" at ")[2] for proof in proofs] == asked


# -------- probes


def test_a_probe_that_anybody_passes_proves_nothing(stage: Stage) -> None:
    world = seed.default_description()
    world["services"][0]["products"].append(OPEN)
    stage.azure.seed(world)
    stage.configure({"probe": "{ path: /orders }"})
    code, told = check(stage)
    (finding,) = about(told, "probe of partners")
    assert (code, finding["mark"]) == (1, "missing")
    assert "a value that nobody has" in finding["sentence"]
    assert "proves nothing" in finding["sentence"]


def test_a_probe_of_a_path_that_is_not_there_is_missing(stage: Stage) -> None:
    stage.configure({"probe": "{ path: /nowhere }"})
    code, told = check(stage)
    (finding,) = about(told, "probe of partners")
    assert (code, finding["mark"]) == (1, "missing")
    assert "404" in finding["sentence"]


def test_no_probe_is_said(stage: Stage) -> None:
    path = stage.configure()
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "probe" not in line]
    path.write_text("\n".join(lines), encoding="utf-8")
    code, told = check(stage)
    assert code == 0
    (finding,) = about(told, "policy partners")
    assert "not proven" in finding["sentence"]


def test_what_a_sink_shows_is_shown_to_the_gateways(stage: Stage) -> None:
    stage.good("run")
    _, told = check(stage)
    (finding,) = about(told, "probe of partners")
    assert "1 of 1 value that sinks show accepted" in finding["sentence"]
    stage.azure.portal("shop-apim", "contoso", "primary")
    _, told = check(stage)
    (finding,) = about(told, "shop/contoso")
    assert (finding["mark"], "is not accepted" in finding["sentence"]) == ("attention", True)


def test_named_credentials_all_show_their_values_and_others_only_some(stage: Stage) -> None:
    stage.configure({"match": '{ product: "*" }'})
    stage.good("run")
    _, told = check(stage)
    assert (
        "3 of 3 values that sinks show accepted (1 more were not shown"
        in about(told, "probe of partners")[0]["sentence"]
    )
    _, told = check(stage, "contoso", "tailspin")
    assert "2 of 2 values" in about(told, "probe of partners")[0]["sentence"]


# -------- clocks, ledger, configuration


def test_a_clock_that_is_apart_from_azures_is_missing(stage: Stage) -> None:
    """The machine's clock beside an emulator's: months apart."""
    stage.configure(clock="system")
    code, told = check(stage)
    (finding,) = about(told, "clock")
    assert (code, finding["mark"]) == (1, "missing")
    assert "max_clock_skew is 1 min" in finding["sentence"]
    assert "emulator" in finding["next"]


def test_a_ledger_without_a_directory_is_missing(stage: Stage) -> None:
    stage.configure(ledger="sqlite:///away/keyturn.db")
    code, told = check(stage)
    (finding,) = about(told, "ledger")
    assert (code, finding["mark"]) == (1, "missing")
    assert "there is no directory" in finding["sentence"]


def test_a_ledger_that_is_none_is_told_beside_everything_else(stage: Stage) -> None:
    stage.ledger.write_text("a note, and no database; long enough to be looked at as one. " * 20, encoding="utf-8")
    code, told = check(stage)
    assert code == 1
    assert [each["about"] for each in marked(told, "missing")] == ["ledger"]


def test_a_ledgers_salt_that_is_not_the_one_it_was_made_with_is_told(stage: Stage) -> None:
    stage.good("run")
    stage.configure(salt="{ env: KEYTURN_EMULATOR_SECRET }")
    code, told = check(stage)
    assert code == 1
    assert "another salt" in about(told, "ledger")[0]["sentence"]


def test_cautions_of_the_configuration_are_told(stage: Stage) -> None:
    stage.configure({"propagation": "1s", "settle": "0s"})
    code, told = check(stage)
    assert code == 0
    assert not any("settle" in each["sentence"] for each in told["findings"]), "nothing settles while time stands"
    assert any("propagation 1 s is below the recommended" in each["sentence"] for each in about(told, "configuration"))


def test_who_would_be_held_for_want_of_a_first_value_is_told_before_the_first_run(stage: Stage) -> None:
    silent = configure_without(stage, "adopt")
    code, told = check(stage)
    (finding,) = about(told, "policy partners")
    assert (code, finding["mark"]) == (1, "missing")
    assert "1 credential would be held: no sink shows a value yet" in finding["sentence"]
    assert "`adopt: primary`" in finding["next"]
    stage.configure()
    assert not about(check(stage)[1], "policy partners")
    stage.good("run")
    (stage.folder / "keyturn.yaml").write_text(silent, encoding="utf-8")
    assert not about(check(stage)[1], "policy partners"), "what is adopted needs no first value"


def configure_without(stage: Stage, setting: str) -> str:
    path = stage.configure()
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if f"{setting}:" not in line]
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8")


def test_credentials_that_would_be_held_are_told(stage: Stage) -> None:
    stage.configure({"match": "{ product: gold }", "publish": SINK})
    code, told = check(stage)
    assert code == 1
    assert {each["about"] for each in marked(told, "missing")} == {"shop/contoso", "shop/fabrikam"}


def test_a_missing_signing_secret_is_one_finding(stage: Stage) -> None:
    stage.configure({"publish": '[ { webhook: { url: "https://hooks.example.com/k", secret_env: NO_SUCH_HOOK } } ]'})
    code, told = check(stage)
    assert code == 1
    assert ["NO_SUCH_HOOK" in each["sentence"] for each in marked(told, "missing")] == [True]


def test_a_wrong_configuration_exits_with_2(stage: Stage) -> None:
    (stage.folder / "keyturn.yaml").write_text("services: {}\n", encoding="utf-8")
    assert stage.run("check").code == 2


def test_a_name_that_nobody_has_is_refused(stage: Stage) -> None:
    outcome = stage.run("check", "nobody-at-all")
    assert outcome.code == 2
    assert "there is no credential nobody-at-all" in outcome.err


# -------- on a screen


def test_on_a_screen_it_fits_80_columns_and_every_finding_begins_with_its_mark(stage: Stage) -> None:
    grant(stage, [LIST_OF_RIGHTS])
    outcome: Outcome = stage.run("check")
    assert outcome.code == 1
    findings = outcome.out.splitlines()[1:-2]
    wide = [line for line in findings if len(line) > 80 and len(line.split()) > 1 and " " in line.strip()]
    assert [line for line in wide if max(map(len, line.split())) < 60] == []
    assert {line.split()[0] for line in findings if not line.startswith(" ")} == {"ok", "missing"}
    assert "Next: do what stands behind `do:`" in outcome.out
    assert "Nothing was changed.   exit 1" in outcome.out
