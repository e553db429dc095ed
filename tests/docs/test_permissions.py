"""The roles in the pages: a whole rotation works with exactly these actions, and each of them is needed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from keyturn.cli import main
from keyturn_emulator.seed import default_description
from keyturn_emulator.testing import RunningEmulator, environment
from tests.docs.pages import DOCS, ROOT, read

ROLE = re.compile(r"<!-- role: (?P<mode>\w+) -->\n```json\n(?P<body>.*?)```", re.DOTALL)
ROLES = {found["mode"]: json.loads(found["body"]) for found in ROLE.finditer(read(DOCS / "first-real-service.md"))}
EACH = [(mode, action) for mode, role in ROLES.items() for action in role["Actions"]]
DAY = 86_400
CONFIGURATION = """
services:
  shop: {{ id: {service}, mode: {mode} }}
policies:
  - name: one
    match: {{ sid: contoso }}
    adopt: primary
    probe: {{ path: /status/ping }}
    settle: 0s
    publish: [keyvault: {{ vault: shop-kv, secret: apim-contoso }}]
clock: {{ emulator: {{ control: "{control}", secret_env: KEYTURN_EMULATOR_SECRET }} }}
"""


@pytest.fixture(scope="module")
def azure() -> Iterator[RunningEmulator]:
    with RunningEmulator.start() as running:
        yield running


def seeded(azure: RunningEmulator, actions: list[str]) -> dict[str, Any]:
    """The emulator's own world, in which keyturn has one role of these actions at the service, and the vault's."""
    world = default_description()
    rotator = world["applications"][0]["client_id"]
    group = world["role_assignments"][0]["scope"]
    service = f"{group}/providers/Microsoft.ApiManagement/service/shop-apim"
    world["custom_roles"] = [{"name": "least", "id": "11111111-2222-4333-8444-777777777777", "actions": actions}]
    world["role_assignments"] = [
        {"client_id": rotator, "role": "least", "scope": service},
        {"client_id": rotator, "role": "Key Vault Secrets Officer", "scope": group},
    ]
    azure.seed(world)
    return {"service": service, "control": azure.ready["control"]}


def rotations(azure: RunningEmulator, folder: Path, mode: str, actions: list[str]) -> int:
    """Adopt, rotate once, which gives both slots a fresh value, and count the rotations that were finished."""
    places = seeded(azure, actions)
    config = folder / "keyturn.yaml"
    config.write_text(CONFIGURATION.format(mode=mode, **places), encoding="utf-8")
    with environment({**azure.env, **signin(azure), "KEYTURN_CONFIG": str(config)}):
        run("run")
        azure.advance(2 * DAY)
        run("rotate", "contoso")
        azure.advance(2 * DAY)
        run("run")
        told = json.loads(run("status", "--json"))
    return sum(int(credential["rotations"]) for credential in told["credentials"])


def run(*arguments: str) -> str:
    """What the command prints, however it ends: a missing action is a refusal, not a crash."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()):
        main(arguments)
    return out.getvalue()


def signin(azure: RunningEmulator) -> dict[str, str]:
    return {
        "AZURE_TENANT_ID": azure.ready["tenant"],
        "AZURE_CLIENT_ID": azure.ready["client_id"],
        "AZURE_CLIENT_SECRET": azure.ready["client_secret"],
        "KEYTURN_EMULATOR_SECRET": azure.ready["secret"],
    }


@pytest.mark.parametrize("mode", ROLES)
def test_a_rotation_needs_no_action_beyond_those_of_its_role(azure: RunningEmulator, tmp_path: Path, mode: str) -> None:
    assert rotations(azure, tmp_path, mode, ROLES[mode]["Actions"]) == 1


@pytest.mark.parametrize(("mode", "action"), EACH, ids=[f"{mode} without {action[28:]}" for mode, action in EACH])
def test_each_action_of_a_role_is_needed(azure: RunningEmulator, tmp_path: Path, mode: str, action: str) -> None:
    fewer = [kept for kept in ROLES[mode]["Actions"] if kept != action]
    assert rotations(azure, tmp_path, mode, fewer) == 0


@pytest.mark.parametrize("mode", ROLES)
def test_the_readmes_table_has_the_same_actions(mode: str) -> None:
    row = next(line for line in read(ROOT / "README.md").splitlines() if line.startswith(f"| `renew: {mode}`"))
    told = [action.replace("…/", "Microsoft.ApiManagement/") for action in re.findall(r"`([\w.…]+/[\w/.]+)`", row)]
    assert told == ROLES[mode]["Actions"]
