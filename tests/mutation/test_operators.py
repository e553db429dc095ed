"""What mutants there are of a piece of code, and what they are called."""

from __future__ import annotations

import ast
from types import ModuleType
from typing import Any

import pytest

from keyturn import plan
from keyturn.model import Slot
from tests.mutation.operators import Mutant, mutants


def found(source: str, **names: Any) -> list[Mutant]:
    module = ModuleType("room")
    vars(module).update(names)
    return mutants("room", ast.parse(source), module)


def changes(body: str, returns: str = "object", **names: Any) -> list[str]:
    """The changes of a function with this body, in their order."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return [m.change for m in found(f"def f(a, b, c) -> {returns}:\n{lines}", **names)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return a < b", ["a < b -> a <= b", "a < b -> a >= b"]),
        ("return a is None", ["a is None -> a is not None"]),
        ("return a in b", ["a in b -> a not in b"]),
        ("return not a", ["not a -> a"]),
        ("return a and b", ["a and b -> a or b", "a and b -> b", "a and b -> a"]),
        ("return a + b", ["a + b -> a - b", "a + b -> a", "a + b -> b"]),
        ("return a - b", ["a - b -> a + b", "a - b -> a"]),
        ("return a & b", ["a & b -> a | b", "a & b -> a", "a & b -> b"]),
        ("return min(a, b)", ["min(a, b) -> max(a, b)", "min(a, b) -> a", "min(a, b) -> b"]),
        ("return any(a)", ["any(a) -> all(a)"]),
        ("return [True, 3]", ["without True", "without 3", "True -> False", "3 -> 4"]),
        ("return a if b else c", ["if b -> if True", "if b -> if False"]),
        ("return [x for x in a if x]", ["if x -> if True"]),
        ("return a.but(b=b, c=c)", ["without b=b", "without c=c"]),
        ("return {'x': a, **b}", ["without 'x'", "without **b", "'x' -> 'x!'"]),
        ("return a.other", ["a.other -> a"]),
        ("a.append(b)", ["left out"]),
        ("a = b", ["left out"]),
        ("d = b", []),
        ("assert a is not None", []),
        ("'''What it does.'''", []),
        ("if a: return b", ["if a -> if True", "if a -> if False"]),
    ],
)
def test_every_small_change_of_a_piece_of_code_is_a_mutant(body: str, expected: list[str]) -> None:
    assert changes(body) == expected


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        ("bool", ["return True", "return False"]),
        ("int | None", ["return None"]),
        ("tuple[int, ...]", ["return ()"]),
        ("int", []),
    ],
)
def test_what_a_function_returns_may_become_what_its_type_allows(returns: str, expected: list[str]) -> None:
    assert changes("return a", returns) == expected


def test_a_member_of_an_enumeration_becomes_the_next() -> None:
    assert changes("return Slot.SECONDARY", Slot=Slot) == ["Slot.SECONDARY -> Slot.PRIMARY"]


def test_an_argument_that_a_call_cannot_do_without_is_not_left_out() -> None:
    def needs(*, b: int, c: int = 0) -> int:
        return b + c

    assert changes("return needs(b=b, c=c)", needs=needs) == ["without c=c"]


TABLE = [("a", "IDLE"), ("b", "ANY"), ("c", "IDLE"), ("d", "DRAIN")]


def test_a_row_of_a_table_is_left_out_asked_in_every_stage_and_moved_past_one_that_shares_a_stage() -> None:
    table = ", ".join(f"Row('{name}', {stages}, x, y)" for name, stages in TABLE)
    source = f"def rows():\n    return ({table})"
    names = {"IDLE": plan.IDLE, "DRAIN": plan.DRAIN, "ANY": plan.ANY}
    told = [m.change for m in found(source, **names) if not m.text]
    assert "without Row('b', ANY, x, y)" in told
    assert "Row('a', IDLE, x, y) -> Row('a', ANY, x, y)" in told
    assert not any(change.startswith("Row('b', ANY, x, y) ->") for change in told)
    assert [change for change in told if " before " in change] == ["'b' before 'a'", "'c' before 'b'"]


TEXTS = """
def f(a):
    if a:
        return Waiting(reason="a-code", sentence="so" if a else "not", shorter=a and "do it")
    return f"{a + 1} times", "what people read"
"""


def test_what_people_read_is_told_apart_from_what_anybody_decides_by() -> None:
    by_kind = {kind: [m.change for m in found(TEXTS) if m.text is kind] for kind in (True, False)}
    assert "'a-code' -> 'a-code!'" in by_kind[False]
    assert "'what people read' -> 'what people read!'" in by_kind[True]
    assert {"a + 1 -> a - 1", "'so' -> 'so!'", "a and 'do it' -> a or 'do it'"} <= set(by_kind[True])
    assert not any("sentence" in change for change in by_kind[False])


def test_a_mutant_is_called_the_same_wherever_its_line_moves() -> None:
    plain = [m.identity for m in found("def f(a):\n    return a < 1")]
    moved = [m.identity for m in found("X = '''moved'''\n\n\ndef f(a):\n    # a comment\n    return (a\n        < 1)")]
    assert plain == [i for i in moved if i[0] == "room.f"]
    assert plain[0] == ("room.f", "return a < 1", "a < 1 -> a <= 1", 1)


def test_no_two_mutants_have_one_name() -> None:
    twice = found("def f(a):\n    x = a + 1\n    x = a + 1\n    return x")
    assert len({m.identity for m in twice}) == len(twice)
    assert max(m.number for m in twice) == 2
