"""docs/proof.md tells what the code has, and names commands that exist."""

from __future__ import annotations

import importlib.util
import re

from keyturn.reasons import RULES
from tests.docs.pages import DOCS, read
from tests.docs.proof_page import page_text
from tests.simulation.sabotage import EVERY

PAGE = read(DOCS / "proof.md")


def test_its_tables_are_what_the_code_makes_of_them() -> None:
    assert page_text() == PAGE, "run `uv run python -m tests.docs.published`"


def test_every_command_on_it_is_there() -> None:
    modules = set(re.findall(r"python -m (tests\.[\w.]+)", PAGE))
    assert modules >= {"tests.simulation", "tests.simulation.sabotage", "tests.simulation.bugs", "tests.mutation"}
    assert all(importlib.util.find_spec(module) is not None for module in modules)


def test_every_rule_is_needed_by_a_trace_or_has_a_line_of_its_own() -> None:
    assert {rule for line in EVERY for rule in line.rules} == set(RULES)


def test_every_trace_comes_back() -> None:
    assert {line.trace.split()[0] for line in EVERY if line.trace.startswith("V")} == {f"V{n}" for n in range(1, 16)}
