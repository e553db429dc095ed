"""What a reader may type or set is on a page, and what a page names is there: variables, options, scenes, pages."""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from keyturn.cli import COMMANDS, keyturn
from keyturn.functions import settings
from keyturn_emulator.__main__ import parser
from tests.docs.pages import DOCS, ROOT, SOURCE, pages, read

VARIABLE = re.compile(r"`(_?[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)`")
INDEX = read(DOCS / "index.md")
PART = re.compile(r"^\*\*(?P<part>[^*]+)\*\*\n(?P<list>(?:- .*\n)+)", re.MULTILINE)
LISTED = re.compile(r"\]\(([^)#]+\.md)\)")
DECISION = re.compile(r"^\d{4}-")
ROUTE = re.compile(r'^ +\("([A-Z]+)", "([\w/-]+)"\): self\._', re.MULTILINE)


# -------- variables


class Read(ast.NodeVisitor):
    """Whatever of the environment a module reads: each as the expression that names the variable."""

    def __init__(self) -> None:
        self.found: list[ast.expr] = []
        self.given: list[ast.expr] = []

    def visit_Call(self, node: ast.Call) -> None:
        if ast.unparse(node.func) in {"os.environ.get", "os.getenv", "os.environ.pop", "os.environ.setdefault"}:
            self.found.append(node.args[0])
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if ast.unparse(node.value) == "os.environ":
            self.found.append(node.slice)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        if any(ast.unparse(each) == "os.environ" for each in node.comparators):
            self.found.append(node.left)
        self.generic_visit(node)


NAMED_BY_A_PERSON = frozenset(
    {"config.clock.secret_env", "spec.connection_env or ''", "config.salt_env", "spec.secret_env", "spec.password_env"}
    | {"signin.secret_env", "from_env"}
)
"""Expressions whose value stands in the configuration or in an option."""
ONE_OF_SEVERAL = {
    ("assemble.py", "name"): {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"},
    ("proofs.py", "name"): {"ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"},
    ("signin.py", "variables[name]"): {"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"},
    ("tokens.py", "name"): set(),  # --key-env and --token-env
}
"""Loops over variables, which no syntax tells."""


def read_by(path: Path) -> Iterator[str]:
    tree = Read()
    tree.visit(ast.parse(read(path)))
    for each in tree.found:
        text = ast.unparse(each)
        several = ONE_OF_SEVERAL.get((path.name, text))
        if several is not None:
            assert all(f'"{name}"' in read(path) or name.startswith("AZURE") for name in several)
            yield from several
        elif isinstance(each, ast.Constant):
            yield str(each.value)
        elif text not in NAMED_BY_A_PERSON:
            module = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
            yield str(getattr(importlib.import_module(module), text))


def test_every_variable_that_keyturn_reads_is_on_the_page_of_variables_and_no_other() -> None:
    found = {name for path in (SOURCE / "keyturn").rglob("*.py") for name in read_by(path)}
    found |= {value for value in vars(settings).values() if isinstance(value, str) and value.startswith("KEYTURN_")}
    ours = read(DOCS / "environment.md").partition("## Named by you")[0]
    assert found == set(VARIABLE.findall(ours))
    assert len(found) > 15


def test_every_setting_that_names_a_variable_is_told() -> None:
    """By the reference of settings, where each has a row that says so."""
    reference = read(DOCS / "configuration.md")
    sections = re.split(r"^### ", reference, flags=re.MULTILINE)[1:]
    named = {
        (section.partition("\n")[0].rpartition(".")[2].removesuffix("[]"), row)
        for section in sections
        for row in re.findall(r"^\| `(\w*env)` \|", section, re.MULTILINE)
    }
    told = re.findall(r"^\| `([\w.]*env)` \|", read(DOCS / "environment.md"), re.MULTILINE)
    assert {(name.split(".")[-2], name.split(".")[-1]) for name in told} == {
        (group, name) for group, name in named if (group, name) != ("clock.emulator", "secret_env")
    }


# -------- options and commands


def options(command: click.Command) -> set[str]:
    return {name for each in command.params if isinstance(each, click.Option) for name in each.opts}


def every_option() -> set[str]:
    """Of all commands and those below them."""
    context = click.Context(keyturn)
    found = options(keyturn) | {"--help", "-h"}
    for name in COMMANDS:
        command = keyturn.get_command(context, name)
        assert command is not None
        found |= options(command)
        if isinstance(command, click.Group):
            found |= {each for below in command.commands.values() for each in options(below)}
    return found


def section_of(command: str) -> str:
    return read(DOCS / "commands.md").partition(f"## `keyturn {command}`")[2].partition("\n## ")[0]


def test_every_option_of_the_emulator_is_told_with_its_command() -> None:
    """Which `keyturn emulator` hands on."""
    own = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", parser().format_usage()))
    assert len(own) > 7
    assert {name for name in own if f"`{name} " not in section_of("emulator")} == set()


def test_every_scene_of_the_demo_is_told() -> None:
    demo = keyturn.get_command(click.Context(keyturn), "demo")
    assert demo is not None
    (scene,) = (each for each in demo.params if each.name == "scene")
    assert isinstance(scene.type, click.Choice)
    told = set(re.findall(r"`--scene (\w+)`", section_of("demo")))
    assert told == set(scene.type.choices)


KEYTURNS = re.compile(r"(?:^|[`$ (;&|])keyturn (?P<rest>[a-z][^`\n;|&#)]*)", re.MULTILINE)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_names_no_option_that_its_command_lacks(page: Path) -> None:
    """Of what stands as code or in a transcript."""
    code = re.findall(r"^```(?:console|sh)?\n.*?^```|`[^`\n]+`", read(page), re.MULTILINE | re.DOTALL)
    unknown = set()
    for found in KEYTURNS.finditer("\n".join(code)):
        words = found["rest"].split()
        command = keyturn.get_command(click.Context(keyturn), words[0]) if words[0] in COMMANDS else None
        if command is None:
            continue
        if isinstance(command, click.Group) and len(words) > 1 and words[1] in command.commands:
            command = command.commands[words[1]]
        known = options(command) | options(keyturn) | {"--help", "-h"}
        if isinstance(command, click.Group):
            known |= {each for below in command.commands.values() for each in options(below)}
        unknown |= {
            (found["rest"], name)
            for name in re.findall(r"(?<![\w-])--[a-z][a-z-]*", found["rest"])
            if name not in known
        }
    assert unknown == set()


def test_an_option_that_is_not_there_would_be_found() -> None:
    assert "--quiet-since" in every_option()
    assert "--quite-since" not in every_option()
    (found,) = KEYTURNS.finditer("`keyturn adopt x --quite-since now`")
    assert found["rest"] == "adopt x --quite-since now"


# -------- the emulator's control API


def test_every_request_of_the_control_api_is_on_the_emulators_page() -> None:
    steered = read(DOCS / "emulator.md").partition("## Steer it")[2]
    told = set()
    for cell in re.findall(r"^\| `([A-Z]+ /_emulator/[^|]+) \|", steered, re.MULTILINE):
        method = "GET"
        for word in re.findall(r"`([^`]+)`", f"`{cell}"):
            verb, _, path = word.rpartition(" ")
            method = verb or method
            told.add((method, path.removeprefix("/_emulator/")))
    routes = set(ROUTE.findall(read(SOURCE / "keyturn_emulator" / "control.py")))
    assert len(routes) > 20
    assert told == routes


# -------- pages


def test_every_page_stands_in_one_part_of_the_index_and_once() -> None:
    parts = {found["part"]: LISTED.findall(found["list"]) for found in PART.finditer(INDEX)}
    assert list(parts) == ["Learn", "Do", "Look up", "Understand", "The project"]
    listed = Counter((DOCS / target).resolve() for targets in parts.values() for target in targets)
    assert {page for page, times in listed.items() if times > 1} == set()
    known = {page for page in pages() if not DECISION.match(page.name) and page != DOCS / "index.md"}
    assert set(listed) == known, "each page belongs into one part of docs/index.md"


def test_every_decision_is_in_the_list_of_decisions_once() -> None:
    listed = LISTED.findall(read(DOCS / "adr" / "README.md"))
    assert sorted(listed) == sorted(page.name for page in (DOCS / "adr").glob("0*.md"))


def test_the_site_builds_its_navigation_from_these_lists() -> None:
    """The same two pages, and no list of pages anywhere else."""
    builder = read(DOCS / "site" / "as_files.py")
    assert 'INDEX, DECISIONS = "docs/index", "docs/adr/README"' in builder
    assert ".md" not in read(DOCS / "site" / "conf.py").replace("index.md", "").partition("extensions")[2]
