"""A rotation with each way to sign in: the real command, the emulator, and nothing else in the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from keyturn.cli import staging
from keyturn_emulator import seed, ways_in
from tests.emulator import signers
from tests.journeys.stage import Outcome, Stage

APP = f"tenant: {seed.TENANT}, client_id: {seed.CLIENT}"
# A stand-in for az, which cannot be installed here: it asks the emulator's Entra as the rotator.
AZ = f"""#!{sys.executable}
import json, os, sys, time
from azure.identity import ClientSecretCredential
assert sys.argv[1:3] == ["account", "get-access-token"], sys.argv
resource = sys.argv[sys.argv.index("--resource") + 1]
credential = ClientSecretCredential({seed.TENANT!r}, {seed.CLIENT!r}, os.environ["SECRET_OF_AZ"])
token = credential.get_token(resource.rstrip("/") + "/.default")
print(json.dumps({{"accessToken": token.token, "expires_on": token.expires_on}}))
"""


def private(path: Path, content: bytes, mode: int = 0o600) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def by_certificate(stage: Stage) -> tuple[str, Mapping[str, str]]:
    private(stage.folder / "keys" / "rotator.pfx", signers.ours().pfx("open-sesame"))
    form = f"{{ certificate: {{ {APP}, path: keys/rotator.pfx, password_env: PFX_PASSWORD }} }}"
    return form, {"PFX_PASSWORD": "open-sesame"}


def by_workload(stage: Stage) -> tuple[str, Mapping[str, str]]:
    token = private(stage.folder / "token", stage.azure.federated_token("kubernetes").encode())
    names = {"AZURE_TENANT_ID": seed.TENANT, "AZURE_CLIENT_ID": seed.CLIENT, "AZURE_FEDERATED_TOKEN_FILE": token}
    return "workload_identity", names


def by_github(stage: Stage) -> tuple[str, Mapping[str, str]]:
    names = ("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    return f"{{ github: {{ {APP} }} }}", {name: stage.azure.way("github")[name] for name in names}


def by_machine(stage: Stage) -> tuple[str, Mapping[str, str]]:
    return "managed_identity", stage.azure.way("managed")


def by_app_service(stage: Stage) -> tuple[str, Mapping[str, str]]:
    return f"{{ managed_identity: {{ client_id: {seed.ASSIGNED} }} }}", stage.azure.way("app-service")


def by_az(stage: Stage) -> tuple[str, Mapping[str, str]]:
    private(stage.folder / "bin" / "az", AZ.encode(), 0o755)
    path = f"{stage.folder / 'bin'}{os.pathsep}{stage.env['PATH']}"
    return "azure_cli", {"PATH": path, "SECRET_OF_AZ": seed.CLIENT_SECRET}


def by_default(stage: Stage) -> tuple[str, Mapping[str, str]]:
    return "default", stage.azure.way("app-service")


EVERY = [by_certificate, by_workload, by_github, by_machine, by_app_service, by_az, by_default]


@pytest.fixture
def played(stage: Stage) -> Stage:
    stage.description["applications"][0]["certificates"] = [signers.ours().certificate]
    stage.azure.seed(stage.description)
    return stage


@pytest.mark.parametrize("way", EVERY, ids=lambda way: way.__name__)
def test_a_credential_is_planned_and_rotated_signed_in_that_way(
    played: Stage, way: Callable[[Stage], tuple[str, Mapping[str, str]]]
) -> None:
    form, names = way(played)
    played.configure(signin=form)
    env = {**names, **({} if "AZURE_CLIENT_SECRET" in names else {"AZURE_CLIENT_SECRET": ""})}
    before = played.azure.keys("shop-apim", "contoso")

    def good(*arguments: str) -> Outcome:
        outcome = played.run(*arguments, env=env)
        assert outcome.code == 0, outcome.all
        return outcome

    assert "partners" in good("plan", "contoso").all
    good("rotate", "contoso", "--because", "a test asks for it", "--wait")
    after = played.azure.keys("shop-apim", "contoso")
    assert not set(before.values()) & set(after.values())


def test_the_command_offers_the_ways_that_the_emulator_has() -> None:
    assert staging.WAYS == ways_in.WAYS


# -------- and told well


def refused(stage: Stage, code: int, *phrases: str, env: Mapping[str, str] | None = None) -> None:
    outcome = stage.run("run", env={"AZURE_CLIENT_SECRET": "", **(env or {})})
    assert outcome.code == code, outcome.all
    for phrase in phrases:
        assert phrase in outcome.all.replace("\n", " ")


def test_a_workflow_without_the_permission_is_told_the_line_that_it_lacks(stage: Stage) -> None:
    stage.configure(signin=f"{{ github: {{ {APP} }} }}")
    refused(stage, 2, "ACTIONS_ID_TOKEN_REQUEST_URL", "permissions: { id-token: write }")


def test_a_certificate_that_others_may_read_is_told_with_the_command_that_mends_it(stage: Stage) -> None:
    private(stage.folder / "rotator.pem", signers.ours().both, 0o644)
    stage.configure(signin=f"{{ certificate: {{ {APP}, path: rotator.pem }} }}")
    refused(stage, 2, "mode 0644", "chmod 600 rotator.pem")


def test_a_machine_without_the_identity_is_told_which(stage: Stage) -> None:
    stage.configure(signin=f"{{ managed_identity: {{ client_id: {seed.READER} }} }}")
    refused(stage, 1, "no managed identity with the client id", seed.READER, env=stage.azure.way("managed"))


def test_an_az_that_is_missing_is_told(stage: Stage) -> None:
    stage.configure(signin="azure_cli")
    refused(stage, 2, "az is not installed here", env={"PATH": str(stage.folder)})
