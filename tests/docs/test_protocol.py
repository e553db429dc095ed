"""docs/protocol.md: every rule is where it says it is, and the test it names fails when the rule is taken away."""

from __future__ import annotations

import html
import importlib
import inspect
import itertools
import re
import runpy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from keyturn import plan
from tests.docs.pages import DOCS, read
from tests.docs.states_page import ARROW, page_text, table
from tests.simulation.rules_removed import REMOVED
from tests.turn import test_traces

PAGE = read(DOCS / "protocol.md")
PICTURE = re.compile(r"<!-- picture -->\n```mermaid\n(?P<text>.*?)```\n", re.DOTALL)
RULE = re.compile(
    r"^### (?P<name>A\d+) [^\n]+\n\n.*?^- Why: [^\n]+\.\n- Where: (?P<where>[^\n]+)\n"
    r"- Breaks: `(?P<module>[\w/]+)::(?P<test>test_\w+)`\n",
    re.MULTILINE | re.DOTALL,
)
RULES = [f"A{number}" for number in range(1, 19)]
TRACES = [f"V{number}" for number in range(1, 16)]


class Rule(NamedTuple):
    """A rule's section, as far as a machine can check it."""

    places: list[str]
    rows: list[str]
    witness: Callable[..., None]


def rules() -> dict[str, Rule]:
    found = {}
    for section in RULE.finditer(PAGE):
        module = importlib.import_module(f"tests.{section['module'].replace('/', '.')}")
        places = re.findall(r"`([\w.]+)`", section["where"])
        rows = re.findall(r"\*([^*]+)\*", section["where"])
        found[section["name"]] = Rule(places, rows, getattr(module, section["test"]))
    return found


def cases(test: Callable[..., None]) -> Iterator[dict[str, Any]]:
    """The arguments that pytest would call a parametrised test with; one empty set for a plain one."""
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    axes = []
    for mark in marks:
        names = [name.strip() for name in mark.args[0].split(",")]
        rows = [
            getattr(row, "values", row) if len(names) > 1 else (getattr(row, "values", (row,))) for row in mark.args[1]
        ]
        axes.append([dict(zip(names, row, strict=True)) for row in rows])
    for chosen in itertools.product(*axes):
        yield {name: value for part in chosen for name, value in part.items()}


def test_the_picture_is_the_tables() -> None:
    drawn = PICTURE.search(PAGE)
    assert drawn is not None
    assert drawn["text"] == plan.picture(), "run `uv run python -m tests.docs.published`"


def test_the_table_below_it_says_the_same() -> None:
    assert page_text() == PAGE, "run `uv run python -m tests.docs.published`"
    arrows = len(ARROW.findall(plan.picture()))
    told = [line.split(" | ")[0] for line in table().strip().splitlines()[2:]]
    assert sum(len(starts.split(", ")) for starts in told) == arrows > 40


def test_the_site_draws_every_arrow_of_it() -> None:
    """docs/site is no package: it is read as the site's builder reads it."""
    room = runpy.run_path(str(DOCS / "site" / "picture.py"))
    drawn = room["drawn"](plan.picture())
    titles = [html.unescape(found) for found in re.findall("<title>(.*?)</title>", drawn)]
    for found in ARROW.finditer(plan.picture()):
        (title,) = (each for each in titles if each.startswith(f"{found['start']} to {found['end']}: "))
        assert found["row"] in title
    with pytest.raises(ValueError, match="elsewhere has no place"):
        room["drawn"]("    idle --> elsewhere: x")


def test_every_rule_has_a_section_of_the_same_form() -> None:
    assert list(rules()) == RULES
    assert list(REMOVED) == RULES


def test_every_rule_that_the_table_names_is_a_rule_here() -> None:
    assert {row.rule for row in plan.TABLE if row.rule} <= set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_lives_where_its_section_says(name: str) -> None:
    rule = rules()[name]
    assert rule.places
    for place in rule.places:
        parts = place.split(".")
        depth = next(n for n in range(len(parts) - 1, 0, -1) if _is_module(".".join(parts[:n])))
        thing: Any = importlib.import_module(f"keyturn.{'.'.join(parts[:depth])}")
        for part in parts[depth:]:
            thing = getattr(thing, part)
    assert set(rule.rows) <= {row.name for row in plan.TABLE}


def _is_module(name: str) -> bool:
    try:
        importlib.import_module(f"keyturn.{name}")
    except ModuleNotFoundError:
        return False
    return True


@pytest.mark.parametrize("name", RULES)
def test_a_rule_taken_away_is_noticed_by_the_test_its_section_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = rules()[name].witness
    assert set(inspect.signature(witness).parameters) == set(next(cases(witness)))
    REMOVED[name](monkeypatch)
    assert fails(witness)


def fails(test: Callable[..., None]) -> bool:
    """Whether the test fails for any of its arguments. A crash is raised: it would be the fault of the taking away."""
    for arguments in cases(test):
        try:
            test(**arguments)
        except (AssertionError, pytest.fail.Exception):
            return True
    return False


def traces() -> dict[str, tuple[list[str], list[str]]]:
    """Per trace, its rules and the names of its tests."""
    row = re.compile(r"^\| (V\d+) \| [^|]+\. \| ([A\d, ]+) \| ([\w` ]+) \|$", re.MULTILINE)
    return {trace: (re.findall(r"A\d+", rules), re.findall(r"\w+", tests)) for trace, rules, tests in row.findall(PAGE)}


@pytest.mark.parametrize("trace", TRACES)
def test_a_trace_is_seen_again_once_one_of_its_rules_is_taken_away(trace: str) -> None:
    rules_of_it, tests = traces()[trace]
    for rule in rules_of_it:
        with pytest.MonkeyPatch.context() as patch:
            REMOVED[rule](patch)
            if any(
                fails(getattr(test_traces, name)) for name in reversed(tests)
            ):  # the one that takes longest is first
                return
    raise AssertionError(f"{trace} is not seen without {' or '.join(rules_of_it)}")


def test_every_trace_is_told_with_the_tests_that_are_named_after_it() -> None:
    assert list(traces()) == TRACES
    there = [name for name in vars(test_traces) if name.startswith("test_v")]
    for trace, (_, tests) in traces().items():
        assert tests == [name for name in there if name.startswith(f"test_{trace.lower()}_")]


def test_the_nine_invariants_are_told_in_order() -> None:
    section = PAGE.partition("## What must never break")[2].partition("\n## ")[0]
    assert re.findall(r"^(\d)\. ", section, re.MULTILINE) == [str(number) for number in range(1, 10)]
