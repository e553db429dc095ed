"""Whatever is written, a parser reads it or refuses it by name: no traceback, no quadratic wait, no secret repeated."""

from __future__ import annotations

import ast
import importlib.util
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from keyturn.config.matching import glob_matches
from keyturn.errors import Malformed, Misconfigured
from keyturn.model import Secret
from keyturn.sinks.file import FileVariable
from keyturn.sinks.webhook import signing_secrets
from keyturn.testing import ManualClock
from keyturn.tokens import Form, create
from tests.hostile.clients import PATIENCE
from tests.hostile.drawn import tried
from tests.hostile.parsers import ELSEWHERE, MARK, Parser, parsers

NAMES = sorted(parsers(Path()))
ROOT = Path(__file__).parents[2] / "src"
READS = re.compile(r"(parse|read|decode|from)(_\w+)?")


@pytest.mark.parametrize("name", NAMES)
def test_a_parser_reads_or_refuses_by_name(name: str, tmp_path: Path) -> None:
    parser = parsers(tmp_path)[name]

    @tried(120)
    @given(written=parser.given)
    def read(written: Any) -> None:
        begun = time.monotonic()
        said = what_it_says(parser, written)
        if parser.hushes:
            assert MARK not in said
        assert time.monotonic() - begun < PATIENCE

    read()


def what_it_says(parser: Parser, written: Any) -> str:
    """Its refusal; nothing where it reads. Raises whatever is no refusal of its own."""
    try:
        parser.read(written)
    except parser.refuses as refusal:
        return f"{refusal} {getattr(refusal, 'hint', '')}"
    return ""


def test_every_parser_of_the_product_is_tried_here_or_where_this_table_says() -> None:
    found = set()
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and READS.fullmatch(node.name):
                found.add(f"{module}.{node.name}")
    assert found, "this test would prove nothing"
    untried = found - set(NAMES) - set(ELSEWHERE)
    assert not untried, f"add a row to tests/hostile/parsers.py for {sorted(untried)}"
    for name in ELSEWHERE.values():
        assert importlib.util.find_spec(f"tests.hostile.{name}") is not None


# -------- found by the above, or on the way to it


@pytest.mark.parametrize("glob", ["*a" * 40, "*" * 60 + "b", "a*" * 40 + "c"])
def test_a_pattern_of_many_stars_is_decided_at_once(glob: str) -> None:
    """As a regular expression it would take longer than there is time."""
    assert not glob_matches(glob, "a" * 30 + "d")
    assert glob_matches("*a" * 30, "a" * 200)


@pytest.mark.parametrize(
    ("glob", "text", "fits"),
    [
        ("*", "", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*/Read", "x/y/READ", True),
        ("a*b*c", "aXbXbc", True),
        ("a*bc*c", "abc", False),
        ("", "", True),
        ("", "x", False),
        ("a.c", "abc", False),
    ],
)
def test_a_star_stands_for_anything_and_all_else_for_itself(glob: str, text: str, fits: bool) -> None:
    assert glob_matches(glob, text) is fits


@pytest.mark.parametrize("line", ["KEY=x" + " " * 200_000 + "y", "KEY=" + " " * 200_000 + "#", "KEY='" + "x" * 200_000])
def test_a_long_line_of_a_dotenv_file_is_read_and_written_at_once(line: str, tmp_path: Path) -> None:
    path = tmp_path / "callers.env"
    path.write_text(line, encoding="utf-8")
    sink = FileVariable(path, "KEY", ManualClock())
    begun = time.monotonic()
    sink.read()
    sink._put(line, "KEY", "v")
    assert time.monotonic() - begun < PATIENCE


@pytest.mark.parametrize("key", ["\udcff", "\ud800" + "A" * 30])
def test_a_key_of_no_text_is_refused_in_a_sentence(key: str) -> None:
    with pytest.raises(Malformed, match="is no text"):
        create(Form.LONG, "integration", Secret(key), datetime(2030, 1, 1, tzinfo=UTC))


def test_a_signing_secret_beyond_ascii_is_refused_in_a_sentence() -> None:
    with pytest.raises(Misconfigured, match="no signing secret"):
        signing_secrets("whsec_é" + "A" * 40, "HOOK")
