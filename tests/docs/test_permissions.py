"""The roles in the pages are those of deploy/roles. That a whole rotation needs exactly their actions is shown in
tests/deploy."""

from __future__ import annotations

import json
import re

import pytest

from tests.deploy.roles import DEFINITIONS, PLACEHOLDER, actions, below_service
from tests.docs.pages import DOCS, ROOT, read

PAGE = read(DOCS / "first-real-service.md")
ROLE = re.compile(r"<!-- role: (?P<mode>\w+) -->\n```json\n(?P<body>.*?)```", re.DOTALL)
SHOWN = {found["mode"]: json.loads(found["body"]) for found in ROLE.finditer(PAGE)}
ROWS = {
    "tenant-access-set": "tenant access, `renew: set`",
    "tenant-access-regenerate": "tenant access, `renew: regenerate`",
    "gateways": "self-hosted gateways",
}


def test_a_role_is_shown_for_each_way_to_renew() -> None:
    assert list(SHOWN) == ["set", "regenerate"]
    assert set(DEFINITIONS) == {*SHOWN, *ROWS}


@pytest.mark.parametrize("mode", SHOWN)
def test_a_role_that_is_shown_is_the_one_in_its_file(mode: str) -> None:
    for field, told in SHOWN[mode].items():
        assert told == DEFINITIONS[mode][field], field


@pytest.mark.parametrize("mode", SHOWN)
def test_the_readmes_table_has_the_same_actions(mode: str) -> None:
    row = next(line for line in read(ROOT / "README.md").splitlines() if line.startswith(f"| `renew: {mode}`"))
    told = [action.replace("…/", "Microsoft.ApiManagement/") for action in re.findall(r"`([\w.…]+/[\w/.]+)`", row)]
    assert told == actions(mode)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_for_other_credentials_has_the_actions_of_its_file(name: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {ROWS[name]} |"))
    assert re.findall(r"`([a-zA-Z/]+)`", row.partition(ROWS[name])[2]) == below_service(name)
    assert f"`{name}.json`" in PAGE


def test_the_command_that_fills_in_the_placeholder_names_it() -> None:
    placeholder = PLACEHOLDER.removeprefix("/subscriptions/")
    assert f'sed "s/{placeholder}/' in PAGE
