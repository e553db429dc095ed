"""The roles in the pages are those of deploy/roles. That a whole rotation needs exactly their actions is shown in
tests/deploy."""

from __future__ import annotations

import json
import re

import pytest

from keyturn.azure import rights
from tests.deploy.roles import DEFINITIONS, PLACEHOLDER, actions, below_service
from tests.docs import permissions_page
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


# -------- docs/permissions.md, the roles and the check have one source


def test_the_page_of_permissions_is_current() -> None:
    assert read(permissions_page.PAGE) == permissions_page.page_text(), "python -m tests.docs.permissions_page"


def test_the_roles_have_the_actions_that_the_check_looks_for() -> None:
    jobs = {job.role: list(job.actions) for job in rights.JOBS if job.role is not None}
    assert jobs == {name: actions(name) for name in DEFINITIONS}


def test_named_values_need_what_their_page_says() -> None:
    shown = re.search(r"<!-- actions: namedvalue -->\n```json\n(.*?)```", read(DOCS / "sinks.md"), re.DOTALL)
    assert shown is not None
    assert sorted(json.loads(shown[1])) == sorted(rights.NAMED_VALUES.actions)


@pytest.mark.parametrize("job", rights.JOBS, ids=lambda job: job.name)
def test_no_call_that_stands_for_a_right_could_change_anything(job: rights.Job) -> None:
    """A GET; a POST of an action that lists; a PATCH, which is sent with no property in it."""
    for right in job.rights:
        if right.ask is not None:
            assert right.ask.method in {"GET", "POST", "PATCH"}
            assert right.ask.method != "POST" or re.search(r"/list(Secrets|Keys|Value)$", right.ask.path)
            assert rights.NOBODY in right.ask.path or right.ask == rights.Ask("GET", "")
    assert [right for right in job.rights if "regenerate" in right.action and right.ask is not None] == []
