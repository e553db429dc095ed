"""`keyturn init`, and the first day of somebody who has never seen keyturn, on the emulator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keyturn.config import Config, parse
from keyturn.starter import OPT_IN
from keyturn.yaml_marks import read_file
from keyturn_emulator import seed
from tests.deploy.roles import actions
from tests.journeys.stage import SERVICE, Outcome, Stage

GROUP = SERVICE.partition("/providers/")[0]


@pytest.fixture
def new(stage: Stage) -> Stage:
    """Somebody who has started an emulator, sourced its file, and has no configuration yet."""
    (stage.folder / "keyturn.yaml").unlink()
    return stage


def signed_in(**more: str) -> dict[str, str]:
    """What `--write-env` writes beside what every stage sets."""
    return {"AZURE_TENANT_ID": seed.TENANT, "AZURE_CLIENT_ID": seed.CLIENT, **more}


def init(stage: Stage, *arguments: str) -> Outcome:
    return stage.run("init", *arguments, env=signed_in())


def told(stage: Stage, *arguments: str) -> dict[str, Any]:
    outcome = init(stage, "--json", *arguments)
    assert outcome.code == 0, outcome.all
    return dict(json.loads(outcome.out))


def written(stage: Stage, name: str = "keyturn.yaml") -> Config:
    path: Path = stage.folder / name
    return parse(read_file(path), str(path))


# -------- which service


def test_the_only_service_needs_no_name(new: Stage) -> None:
    outcome = init(new)
    assert outcome.code == 0, outcome.all
    assert [service.id for service in written(new).services.values()] == [SERVICE]
    assert "No key value was read, nothing was changed." in outcome.out
    for step in ("Edit keyturn.yaml", "keyturn check", "keyturn plan"):
        assert step in outcome.out


@pytest.mark.parametrize("asked", ["shop-apim", "SHOP-APIM", SERVICE, f"{SERVICE}/"])
def test_a_service_is_named_by_its_name_or_by_its_arm_id(new: Stage, asked: str) -> None:
    assert told(new, asked)["service"] == SERVICE


def test_several_services_are_listed_with_what_to_type(new: Stage) -> None:
    world = seed.default_description()
    world["services"].append({"name": "mail-apim"})
    new.azure.seed(world)
    outcome = init(new)
    assert outcome.code == 2
    assert "there are 2 services" in outcome.err
    assert f"keyturn init mail-apim   # {GROUP}" in outcome.err
    assert told(new, "mail-apim")["service"].endswith("/mail-apim")


def test_an_unknown_name_is_told_what_there_is(new: Stage) -> None:
    outcome = init(new, "shop-apin")
    assert outcome.code == 2
    assert "there is no service shop-apin; did you mean shop-apim?" in outcome.err
    assert "keyturn init shop-apim" in outcome.err


def test_what_is_no_arm_id_of_a_service_is_refused_before_azure_is_asked(new: Stage) -> None:
    outcome = init(new, "/subscriptions/1/resourceGroups/rg")
    assert outcome.code == 2
    assert "is no ARM id of an API Management service" in outcome.err


def test_who_sees_no_service_is_told_what_would_help(new: Stage) -> None:
    world = seed.default_description()
    world["role_assignments"] = []
    new.azure.seed(world)
    outcome = init(new)
    assert outcome.code == 1
    assert "no API Management service can be listed" in outcome.err
    assert "deploy/roles/set.json" in outcome.err


# -------- what is written


def test_it_proposes_a_policy_and_a_probe_per_product_and_leaves_the_rest_out(new: Stage) -> None:
    document = told(new)
    assert [(each["name"], each["apim_subscriptions"]) for each in document["policies"]] == [
        ("gold", ["contoso", "fabrikam"]),
        ("silver", ["northwind", "tailspin"]),
    ]
    assert all(str(each["probe"]).startswith("/status") for each in document["policies"])
    assert sorted(document["left_out"]) == ["batch", "legacy", "master"]


def test_an_api_that_an_open_product_holds_is_no_probe(new: Stage) -> None:
    world = seed.default_description()
    free = next(product for product in world["services"][0]["products"] if product["id"] == "free")
    free["apis"] = ["status"]
    new.azure.seed(world)
    for policy in told(new)["policies"]:
        assert not str(policy["probe"]).startswith("/status")


def test_it_reads_no_key_value(new: Stage) -> None:
    init(new)
    asked = [call["path"] for call in new.azure.calls(kind="arm") if call["method"] != "GET"]
    assert asked == []


def test_with_the_least_role_it_writes_what_it_may_read_and_says_what_it_may_not(new: Stage) -> None:
    world = seed.default_description()
    world["custom_roles"] = [{"name": "least", "id": "11111111-2222-4333-8444-777777777777", "actions": actions("set")}]
    world["role_assignments"] = [{"client_id": seed.CLIENT, "role": "least", "scope": SERVICE}]
    new.azure.seed(world)
    document = told(new, SERVICE)
    assert [each["name"] for each in document["policies"]] == ["gold", "silver"]
    assert any("its products" in problem for problem in document["problems"])
    assert [entry.name for entry in written(new).policies] == ["gold", "silver"]


def test_a_file_that_is_there_is_kept_unless_it_is_forced(new: Stage) -> None:
    path = new.folder / "keyturn.yaml"
    path.write_text("mine\n", encoding="utf-8")
    outcome = init(new)
    assert outcome.code == 2
    assert "--force" in outcome.err
    assert path.read_text(encoding="utf-8") == "mine\n"
    assert init(new, "--force").code == 0
    assert path.read_text(encoding="utf-8") != "mine\n"


def test_the_file_may_be_elsewhere_and_the_next_steps_name_it(new: Stage) -> None:
    outcome = init(new, "--out", "other.yaml", "--vault", "shop-kv")
    assert "keyturn check --config other.yaml" in outcome.out
    assert not (new.folder / "keyturn.yaml").exists()
    assert "name the vault" not in outcome.out
    assert written(new, "other.yaml").policies[0].publish[0].name == "shop-kv/apim-{sid}"


def test_it_prints_the_file_alone_and_the_rest_beside_it(new: Stage) -> None:
    printed = init(new, "--out", "-")
    assert not (new.folder / "keyturn.yaml").exists()
    init(new)
    assert printed.out == (new.folder / "keyturn.yaml").read_text(encoding="utf-8")
    assert "Next:" in printed.err


def test_a_vault_that_is_none_is_refused(new: Stage) -> None:
    outcome = init(new, "--vault", "no vault!")
    assert outcome.code == 2
    assert "is no vault's name" in outcome.err


def test_a_folder_that_is_not_there_is_told(new: Stage) -> None:
    outcome = init(new, "--out", "away/keyturn.yaml")
    assert outcome.code == 2
    assert "cannot be written" in outcome.err


def test_the_emulators_variables_make_it_the_emulators_configuration(new: Stage) -> None:
    init(new)
    clock = written(new).clock
    assert clock is not None
    assert clock.control == new.azure.ready["control"]


# -------- the first day


def test_somebody_new_comes_from_nothing_to_a_first_rotation_by_what_keyturn_says(new: Stage) -> None:
    env = signed_in()
    assert "keyturn check" in init(new).out
    path = new.folder / "keyturn.yaml"

    before = new.run("check", env=env)
    assert before.code == 0
    assert "nothing would be touched" in " ".join(before.out.split())
    assert "opt somebody in" in before.out

    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(f"match: {OPT_IN}{{ service: shop-apim, product: gold", "match: { product: gold"))
    unnamed = new.run("check", env=env)
    assert unnamed.code == 1
    assert "nobody has named the vault yet" in " ".join(unnamed.out.split())

    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("REPLACE-WITH-YOUR-VAULTS-NAME", "shop-kv").replace("# adopt:", "adopt:"))
    checked = new.run("check", env=env)
    assert checked.code == 0, checked.out
    assert "`keyturn plan` tells what would happen" in checked.out

    planned = new.run("plan", env=env)
    assert "shop-apim/contoso" in planned.out
    assert "shop-apim/northwind" not in planned.out

    assert new.run("adopt", "contoso", env=env).code == 0
    ran = new.run("run", env=env)
    assert "2 credentials: 2 ok." in ran.out
    assert "2 credentials: 2 ok." in new.run("status", env=env).out
    assert "adopted" in new.run("history", "contoso", env=env).out

    old = new.azure.keys("shop-apim", "contoso")
    assert new.run("rotate", "contoso", "--because", "a first one", "--wait", env=env).code == 0
    assert set(old.values()).isdisjoint(new.azure.keys("shop-apim", "contoso").values())
    after = new.run("check", env=env)
    assert after.code == 0
    assert "2 of 2 values that sinks show accepted" in " ".join(after.out.split())
