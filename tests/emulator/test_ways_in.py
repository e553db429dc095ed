"""`--sign-in`: a shell that sourced the --write-env file signs in that way, and in no other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keyturn_emulator import seed, ways_in
from keyturn_emulator.testing import RunningEmulator

# What unmodified programs do: the default credential, except for workflows, which it knows nothing of.
SIGN_IN = """
import os, sys, json, base64, urllib.request
from azure.identity import ClientAssertionCredential, DefaultAzureCredential

def ask():
    url = os.environ["ACTIONS_ID_TOKEN_REQUEST_URL"] + "&audience=api://AzureADTokenExchange"
    bearer = {"Authorization": "Bearer " + os.environ["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]}
    with urllib.request.urlopen(urllib.request.Request(url, headers=bearer), timeout=10) as answer:
        return json.load(answer)["value"]

tenant, client = os.environ.get("AZURE_TENANT_ID"), os.environ.get("AZURE_CLIENT_ID")
if "ACTIONS_ID_TOKEN_REQUEST_URL" in os.environ:
    credential = ClientAssertionCredential(tenant, client, ask)
else:
    credential = DefaultAzureCredential()
body = credential.get_token("https://management.azure.com/.default").token.split(".")[1]
claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
print(claims["appid"], claims["appidacr"])
"""
WHO = {
    "secret": f"{seed.CLIENT} 1",
    "certificate": f"{seed.CLIENT} 2",
    "workload": f"{seed.CLIENT} 2",
    "github": f"{seed.CLIENT} 2",
    "managed": f"{seed.MACHINE} 2",
    "app-service": f"{seed.MACHINE} 2",
}


def test_every_way_is_tried_here() -> None:
    assert tuple(WHO) == ways_in.WAYS


@pytest.mark.witness("sign-in-chooses-one-way")
@pytest.mark.parametrize("way", WHO)
def test_a_program_signs_in_by_the_chosen_way_whatever_its_environment_held_before(
    own_azure: Callable[..., RunningEmulator], tmp_path: Path, way: str
) -> None:
    file = tmp_path / "azure.env"
    own_azure("--write-env", str(file), "--sign-in", way, "--state-dir", str(tmp_path / "state"))
    leftovers = dict.fromkeys(ways_in.VARIABLES, "left over")
    script = f'. "{file}" && exec "$0" -c "$1"'
    told = subprocess.run(
        ["sh", "-c", script, sys.executable, SIGN_IN], capture_output=True, text=True, env=leftovers, check=False
    )
    assert told.returncode == 0, told.stderr[-2000:]
    assert told.stdout.strip() == WHO[way]


@pytest.mark.witness("sign-in-chooses-one-way")
@pytest.mark.parametrize("way", ["certificate", "workload"])
def test_what_is_written_for_it_is_readable_by_its_owner_alone(
    own_azure: Callable[..., RunningEmulator], tmp_path: Path, way: str
) -> None:
    own_azure("--write-env", str(tmp_path / "env"), "--sign-in", way, "--state-dir", str(tmp_path / "state"))
    name = ways_in.CERTIFICATE_FILE if way == "certificate" else ways_in.TOKEN_FILE
    assert (tmp_path / "state" / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("way", ["managed", "app-service", "workload", "github"])
def test_a_world_in_which_nobody_can_sign_in_that_way_is_refused(tmp_path: Path, way: str) -> None:
    world = tmp_path / "world.json"
    world.write_text('{"applications": [{"secret": "s"}]}', encoding="utf-8")
    with pytest.raises(RuntimeError, match=f"--sign-in {way}: no application"):
        RunningEmulator.start("--seed-file", str(world), "--sign-in", way)


def test_where_the_machine_has_no_identity_of_its_own_the_assigned_one_is_named(
    own_azure: Callable[..., RunningEmulator], tmp_path: Path
) -> None:
    world = tmp_path / "world.json"
    world.write_text(
        f'{{"applications": [{{"client_id": "{seed.ASSIGNED}", "managed_identity": "user-assigned"}}]}}',
        encoding="utf-8",
    )
    assert own_azure("--seed-file", str(world)).way("managed")["AZURE_CLIENT_ID"] == seed.ASSIGNED
