"""The roles in deploy/roles: a whole rotation by the command needs each of their actions, and not one more."""

from __future__ import annotations

import json
import re
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import NamedTuple

import pytest

from keyturn.azure.answers import such_as
from keyturn.cli import main
from keyturn_emulator import seed
from keyturn_emulator.testing import environment
from tests.deploy.roles import DEFINITIONS, PLACEHOLDER, SERVICE, actions
from tests.docs.pages import DOCS, read
from tests.functions.hosting import Hosted
from tests.journeys import stage as journeys
from tests.journeys.stage import Stage

FIELDS = ["Name", "IsCustom", "Description"]
RIGHTS = ["Actions", "NotActions", "DataActions", "NotDataActions"]
VAULT = journeys.SERVICE.replace("Microsoft.ApiManagement/service/shop-apim", "Microsoft.KeyVault/vaults/shop-kv")
NOWHERE = "/subscriptions/0/resourceGroups/0/providers/Microsoft.ApiManagement/service/0"
DAY = 86_400
ROLE_FILE = re.compile(r"([a-z-]+)\.json")


class Job(NamedTuple):
    """What a role is for: a credential, how a policy matches it, how it is renewed, and where it is probed."""

    credential: str
    match: str
    mode: str
    probe: str


SUBSCRIPTION = ("contoso", "{ sid: contoso }")
TENANT = ("tenant/access", "{ tenant: access }")
MANAGEMENT = f"{NOWHERE}/users?api-version=2022-08-01"
JOBS = {
    "set": Job(*SUBSCRIPTION, "set", "/status/ping"),
    "regenerate": Job(*SUBSCRIPTION, "regenerate", "/status/ping"),
    "tenant-access-set": Job(*TENANT, "set", MANAGEMENT),
    "tenant-access-regenerate": Job(*TENANT, "regenerate", MANAGEMENT),
    "gateways": Job("gateways/gw-oslo", "{ gateway: gw-oslo }", "regenerate", "/"),
}
EACH = [(name, action) for name in JOBS for action in actions(name)]
IDS = [f"{name} without {action.removeprefix(SERVICE)}" for name, action in EACH]


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


def prepare(stage: Stage, name: str, allowed: list[str]) -> None:
    """keyturn has this role with these actions at the service, and Key Vault Secrets Officer at the vault; nothing
    else. One policy is for the role's credential."""
    definition, job, world = DEFINITIONS[name], JOBS[name], seed.default_description()
    rotator = world["applications"][0]["client_id"]
    world["custom_roles"] = [
        {
            "name": definition["Name"],
            "id": "11111111-2222-4333-8444-777777777777",
            "actions": allowed,
            "not_actions": definition["NotActions"],
            "data_actions": definition["DataActions"],
            "not_data_actions": definition["NotDataActions"],
        }
    ]
    world["role_assignments"] = [
        {"client_id": rotator, "role": definition["Name"], "scope": journeys.SERVICE},
        {"client_id": rotator, "role": "Key Vault Secrets Officer", "scope": VAULT},
    ]
    stage.azure.seed(world)
    path = stage.configure(
        {
            "match": job.match,
            "probe": f'{{ path: "{job.probe}" }}',
            "publish": "[ { keyvault: { vault: shop-kv, secret: turned } } ]",
            "settle": "0s",
        }
    )
    text = path.read_text(encoding="utf-8")
    service = f"id: {journeys.SERVICE}"
    path.write_text(text.replace(service, f"{service}\n    mode: {job.mode}"), encoding="utf-8")


def keyturn(stage: Stage, *arguments: str) -> Outcome:
    """The command, in this process: with an action missing there are many of them."""
    config = {"KEYTURN_CONFIG": str(stage.folder / "keyturn.yaml")}
    with environment({**stage.env, **config}), redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        code = main(arguments)
    return Outcome(code, out.getvalue(), err.getvalue())


def rotate(stage: Stage, name: str) -> list[Outcome]:
    """Adopt, rotate once, which gives both slots a fresh value; ends at the first command that ends badly."""
    outcomes = []
    for arguments in (["run"], ["rotate", JOBS[name].credential], ["run"]):
        outcomes.append(keyturn(stage, *arguments))
        if outcomes[-1].code:
            break
        stage.azure.advance(2 * DAY)
    stage.look_for_leaks("".join(each.text for each in outcomes))
    return outcomes


def rotations(stage: Stage) -> int:
    told = json.loads(keyturn(stage, "status", "--json").out)
    return sum(int(credential["rotations"]) for credential in told["credentials"])


def live(stage: Stage, name: str) -> set[str]:
    credential = JOBS[name].credential
    if "/" in credential:
        return set(stage.keys_of(credential).values())
    return set(stage.azure.keys(journeys.SERVICE, credential).values())


# -------- what they allow


@pytest.mark.parametrize("name", JOBS)
def test_a_whole_rotation_goes_through_with_a_role_alone(stage: Stage, name: str) -> None:
    prepare(stage, name, actions(name))
    before = live(stage, name)
    outcomes = rotate(stage, name)
    assert [outcome.code for outcome in outcomes] == [0, 0, 0], "".join(each.text for each in outcomes)
    assert rotations(stage) == 1
    assert len(before | live(stage, name)) == 4


@pytest.mark.parametrize(("name", "action"), EACH, ids=IDS)
def test_without_one_action_a_rotation_is_refused_and_the_action_is_named(stage: Stage, name: str, action: str) -> None:
    prepare(stage, name, [kept for kept in actions(name) if kept != action])
    last = rotate(stage, name)[-1]
    assert last.code == 1
    assert f"may not perform {action} on " in last.text, last.text
    assert rotations(stage) == 0


@pytest.mark.parametrize("name", ["set", "regenerate"])
def test_the_function_needs_no_other_role_than_the_command(stage: Stage, name: str) -> None:
    prepare(stage, name, actions(name))
    with Hosted.started(stage) as hosted:
        hosted.settled()
        stage.azure.advance(31 * DAY)
        for _ in range(100):
            hosted.follow(seconds=1_800)
            if hosted.record().rotations:
                break
        record = hosted.record()
    assert (record.rotations, record.failures, record.hold) == (1, 0, None)


# -------- what they are


def test_every_role_has_a_job_and_every_job_a_role() -> None:
    assert set(DEFINITIONS) == set(JOBS)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_role_has_the_form_that_az_takes_and_allows_nothing_but_single_actions(name: str) -> None:
    definition = DEFINITIONS[name]
    assert list(definition) == [*FIELDS, *RIGHTS, "AssignableScopes"]
    assert definition["IsCustom"] is True
    assert [definition[field] for field in RIGHTS[1:]] == [[], [], []]
    assert all(re.fullmatch(rf"{SERVICE}[A-Za-z/]+", action) for action in definition["Actions"])
    assert len(definition["Actions"]) == len(set(definition["Actions"]))


@pytest.mark.parametrize("name", DEFINITIONS)
def test_where_a_role_may_be_assigned_is_a_placeholder_that_says_so(name: str) -> None:
    assert DEFINITIONS[name]["AssignableScopes"] == [PLACEHOLDER]


def test_role_names_differ() -> None:
    assert len({definition["Name"] for definition in DEFINITIONS.values()}) == len(DEFINITIONS)


def test_the_actions_are_among_those_that_azure_publishes() -> None:
    """azure-facts 3.1"""
    section = re.search(r"^### 3\.1 .*?^### ", read(DOCS / "azure-facts.md"), re.DOTALL | re.MULTILINE)
    assert section is not None
    known = set(re.findall(r"`([A-Za-z/]+)`", section[0]))
    unknown = [action for name in JOBS for action in actions(name) if action.removeprefix(SERVICE) not in known]
    assert unknown == [], sorted(known)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_whoever_misses_an_action_is_told_of_a_role_that_has_it(name: str) -> None:
    for action in actions(name):
        if action.count("/") > 2:  # what is below the service; to read the service itself is in all of them
            named = ROLE_FILE.findall(such_as(action))
            assert named, action
            assert all(action in actions(role) for role in named)
