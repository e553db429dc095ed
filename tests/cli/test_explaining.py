"""`keyturn explain`: every reason and every rule in words, and what a wrong code reads like."""

from __future__ import annotations

import json
import textwrap

import pytest

from keyturn.reasons import REASONS, RULES
from tests.cli.conftest import Folder
from tests.cli.inside import run


@pytest.mark.parametrize("code", REASONS)
def test_a_reason_is_told_with_its_meaning_its_move_and_what_to_do(code: str) -> None:
    reason, done = REASONS[code], run("explain", code)
    told = " ".join(done.out.split())
    for text in (reason.meaning, reason.to_do, reason.example):
        assert " ".join(text.split()) in told
    assert ("move yours" in told) == (reason.move == "you")
    for rule in reason.rules:
        assert f"rule {rule} {RULES[rule].title}: " in told


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_told_with_what_it_says_why_and_which_reasons_rest_on_it(name: str) -> None:
    told = " ".join(run("explain", name.lower()).out.split())
    assert RULES[name].says in told and RULES[name].why in told
    assert all(code in told for code, reason in REASONS.items() if name in reason.rules)


def test_without_a_code_all_are_listed_in_a_line_each() -> None:
    lines = run("explain").out.splitlines()
    heads = [line.split()[0] for line in lines if line.startswith("  ") and not line.startswith("   ")]
    assert heads == [*REASONS, *RULES]


def test_what_is_explained_fits_the_width_and_keeps_to_its_column() -> None:
    lines = run("explain", "token-ends").out.splitlines()
    assert max(len(line) for line in lines) <= 100
    (start,) = [at for at, line in enumerate(lines) if line.startswith("  means")]
    assert lines[start + 1].startswith(" " * 11) and lines[start + 1].strip()


@pytest.mark.parametrize(
    ("wrong", "near"), [("quietslot", "quiet-slot"), ("sink", "sink-unreadable"), ("Disagree", "sinks-disagree")]
)
def test_an_unknown_code_names_those_near_it(wrong: str, near: str) -> None:
    done = run("explain", wrong)
    assert done.code == 2
    assert f"there is no reason {wrong}; near it: " in done.err and near in done.err


def test_a_code_that_is_near_none_says_how_to_list_them() -> None:
    done = run("explain", "xyzzy")
    assert (done.code, "`keyturn explain` lists them all" in done.err) == (2, True)


def test_programs_get_one_document() -> None:
    one = json.loads(run("explain", "quiet-slot", "--json").out)
    assert (one["code"], one["move"], one["rules"]) == ("quiet-slot", "nobody", ["A1", "A3"])
    every = json.loads(run("explain", "--json").out)
    assert [each["code"] for each in every["reasons"]] == list(REASONS)
    assert [each["name"] for each in every["rules"]] == list(RULES)
    assert json.loads(run("explain", "A13", "--json").out)["title"] == RULES["A13"].title


def test_no_configuration_is_needed(folder: Folder) -> None:
    (folder.path / "keyturn.yaml").unlink()
    assert folder.run("explain", "gone").returncode == 0


def test_a_held_credential_leads_to_the_explanation_of_its_reason(filled: Folder) -> None:
    shown = filled.run("status", "shop/legacy").stdout
    assert "`keyturn explain sinks-disagree`" in shown
    assert textwrap.shorten(REASONS["sinks-disagree"].to_do, 40)[:20] in filled.run("explain", "sinks-disagree").stdout
