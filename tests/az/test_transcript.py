"""docs/az-on-the-emulator.md, played by Microsoft's own command line against the emulator."""

from __future__ import annotations

from pathlib import Path

import pytest
from azure.identity import AzureCliCredential
from azure.mgmt.apimanagement import ApiManagementClient

from keyturn_emulator import seed
from tests.az.shell import Shell, Step, steps_of
from tests.emulator import signers

PAGE = (Path(__file__).parents[2] / "docs" / "az-on-the-emulator.md").read_text(encoding="utf-8")
SIGN_IN = "## What is in the service"
NEEDS_LOGIN = ("az login", "az account", "az group")
CERTIFICATE_LOGIN = (
    'az login --service-principal -u "$AZURE_CLIENT_ID" --certificate rotator.pem --tenant "$AZURE_TENANT_ID" '
    '--query "[].name" -o tsv'
)


def play(shell: Shell, steps: list[Step]) -> None:
    for step in steps:
        code, printed = shell.run(step.command)
        assert step.fits(printed), f"$ {step.command}\n{printed}\nwhere the page has\n{step.expected}"
        assert (code != 0) is step.fails, f"$ {step.command} ended with {code}"


@pytest.mark.witness("az-works", "no-graph", "discovery-for-any-tenant")
def test_az_prints_what_the_page_says(shell: Shell) -> None:
    steps = steps_of(PAGE)
    assert len(steps) > 30
    play(shell, steps)


@pytest.mark.witness("programs-sign-in-through-az")
def test_the_sdk_signs_in_through_az(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    play(shell, steps_of(PAGE.partition(SIGN_IN)[0]))
    for name, value in shell.variables().items():
        monkeypatch.setenv(name, value)
    credential = AzureCliCredential(process_timeout=120)
    with ApiManagementClient(credential, seed.AZURE_SUBSCRIPTION) as client:
        told = client.subscription.list_secrets("rg", "shop-apim", "contoso")
    assert told.primary_key and told.secondary_key


@pytest.mark.witness("az-works")
def test_az_signs_in_with_a_certificate(shell: Shell) -> None:
    signer = signers.make()
    (shell.folder / "rotator.pem").write_bytes(signer.both)
    described = seed.default_description()
    described["applications"][0]["certificates"] = [signer.certificate]
    shell.azure.seed(described)
    until_login = [step for step in steps_of(PAGE.partition(SIGN_IN)[0]) if not step.command.startswith(NEEDS_LOGIN)]
    play(
        shell,
        [*until_login, Step(CERTIFICATE_LOGIN, "Emulated"), Step("az apim list --query [].name -o tsv", "shop-apim")],
    )


@pytest.mark.parametrize(
    ("expected", "printed", "fits"),
    [
        ("", "", True),
        ("", "something\n", False),
        ("a\nb", "a\nb\n", True),
        ("a\nb", "a\n", False),
        ("a … c", "a b c\n", True),
        ("ERROR: x\n…", "ERROR: x\nmore\nand more\n", True),
        ("a.c", "abc\n", False),
    ],
)
def test_a_transcript_that_differs_is_seen(expected: str, printed: str, fits: bool) -> None:
    assert Step("az", expected).fits(printed) is fits
