"""What the page of sinks shows is what there is: rights that suffice and are needed, the event, the configuration."""

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
from keyturn.clocks.system import SystemClock
from keyturn.config import parse
from keyturn.config.table import CONFIGURATION
from keyturn.sinks.webhook import Webhook
from keyturn.yaml_marks import read_text
from keyturn_emulator.seed import default_description
from keyturn_emulator.testing import RunningEmulator, environment
from tests.contracts.sink import FIRST, TAGS
from tests.deploy.roles import actions as actions_of
from tests.docs.pages import DOCS, read

PAGE = read(DOCS / "sinks.md")
DAY = 86_400


def shown(mark: str) -> Any:
    """The JSON block below a mark of the page."""
    found = re.search(rf"<!-- {mark} -->\n```json\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


NAMED_VALUES: list[str] = shown("actions: namedvalue")
CONFIGURED = """
services:
  shop: {{ id: {service} }}
policies:
  - name: one
    match: {{ sid: contoso }}
    adopt: primary
    probe: {{ path: /status/ping }}
    settle: 0s
    publish: [namedvalue: {{ name: contoso-key }}]
clock: {{ emulator: {{ control: "{control}", secret_env: KEYTURN_EMULATOR_SECRET }} }}
"""


@pytest.fixture(scope="module")
def azure() -> Iterator[RunningEmulator]:
    with RunningEmulator.start() as running:
        yield running


def rotations(azure: RunningEmulator, folder: Path, actions: list[str]) -> int:
    """Rotations finished with a named value as the only sink, as one who may do these things."""
    world = default_description()
    client, group = world["applications"][0]["client_id"], world["role_assignments"][0]["scope"]
    service = f"{group}/providers/Microsoft.ApiManagement/service/shop-apim"
    world["custom_roles"] = [{"name": "least", "id": "11111111-2222-4333-8444-777777777777", "actions": actions}]
    world["role_assignments"] = [{"client_id": client, "role": "least", "scope": service}]
    azure.seed(world)
    config = folder / "keyturn.yaml"
    config.write_text(CONFIGURED.format(service=service, control=azure.ready["control"]), encoding="utf-8")
    with environment({**azure.env, **signin(azure), "KEYTURN_CONFIG": str(config)}):
        run("run")
        azure.advance(2 * DAY)
        run("rotate", "contoso")
        azure.advance(2 * DAY)
        run("run")
        return sum(int(one["rotations"]) for one in json.loads(run("status", "--json"))["credentials"])


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


def test_a_rotation_into_a_named_value_needs_no_action_beyond_those_shown(
    azure: RunningEmulator, tmp_path: Path
) -> None:
    assert rotations(azure, tmp_path, [*actions_of("set"), *NAMED_VALUES]) == 1


@pytest.mark.parametrize("action", NAMED_VALUES, ids=lambda action: action.partition("service/")[2])
def test_each_of_them_is_needed(azure: RunningEmulator, tmp_path: Path, action: str) -> None:
    fewer = [*actions_of("set"), *(kept for kept in NAMED_VALUES if kept != action)]
    assert rotations(azure, tmp_path, fewer) == 0


def test_the_event_has_the_fields_that_the_page_shows() -> None:
    hook = Webhook("https://hooks.example.com", "shop/contoso", (), SystemClock(), include_value=False)
    event, page = json.loads(hook._body(FIRST, TAGS)), shown("event")
    assert list(event) == list(page) and list(event["data"]) == list(page["data"])
    fixed = ("specversion", "type", "subject", "datacontenttype")
    assert [event[name] for name in fixed] == [page[name] for name in fixed]
    assert page["source"] == f"urn:keyturn:ledger:{page['data']['ledger']}"


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_the_examples_are_configurations(example: str) -> None:
    service = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.ApiManagement"
    services = f"services:\n  shop: {{id: {service}/service/shop}}\n  mail: {{id: {service}/service/mail}}\n"
    indented = example.replace("\n", "\n    ")
    text = f"{services}policies:\n  - name: p\n    match: {{service: shop}}\n    {indented}\n"
    assert len(parse(read_text(text, "keyturn.yaml"), "keyturn.yaml").policies[0].publish) == 2


def test_every_kind_of_sink_has_a_column() -> None:
    policies = next(field.kind for field in CONFIGURATION.fields if field.name == "policies")
    publish = next(field.kind for field in policies.of.fields if field.name == "publish")
    header = next(line for line in PAGE.splitlines() if line.startswith("| |"))
    assert re.findall(r"`(\w+)`", header) == list(publish.of.forms)
