"""The reason codes as they stand in the source, read from its syntax."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.docs.pages import SOURCE

ROOMS = ("plan", "outcome", "failing", "by_hand", "policy", "assemble", "turn", "turn_by_hand", "sweep", "conditions")
CARRIERS = frozenset({"Waiting", "Hold", "Blocked", "Due", "TokenEnding"})
"""The types whose `reason` is a code."""


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for room in ROOMS:
        path = SOURCE / "keyturn" / f"{room}.py"
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _names_a_code(node: ast.Assign) -> bool:
    """`reason = "throttled" if ... else "refused"`"""
    named = [ast.unparse(target) for target in node.targets] == ["reason"]
    return named and isinstance(node.value, ast.Constant | ast.IfExp)


def _expressions(tree: ast.Module) -> Iterator[ast.expr]:
    """Every expression that becomes a reason."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = _called(node)
            if name in CARRIERS:
                yield from (word.value for word in node.keywords if word.arg == "reason")
            if name == "_hold" and len(node.args) >= 3 and isinstance(node.args[1], ast.Constant):
                yield node.args[2]  # plan._hold(scene, row, reason, sentence)
            if name == "append" and isinstance(node.args[0], ast.Tuple) and len(node.args[0].elts) == 3:
                yield node.args[0].elts[1]  # assemble.unusable: credential, reason, sentence
        elif isinstance(node, ast.Assign) and _names_a_code(node):
            yield node.value


def _codes(expression: ast.expr) -> set[str] | None:
    """The codes that an expression can be; None where this cannot be told."""
    match expression:
        case ast.Constant(value=str(code)):
            return {code}
        case ast.IfExp(body=body, orelse=orelse):
            one, other = _codes(body), _codes(orelse)
            return None if one is None or other is None else one | other
        case ast.Name(id="reason") | ast.Attribute(attr="reason"):
            return set()  # passed on; it is counted where it is made
        case _:
            return None


def codes() -> set[str]:
    """Every reason code that the source can make. Fails on one that it cannot read."""
    found: set[str] = set()
    for path, tree in trees():
        for expression in _expressions(tree):
            read = _codes(expression)
            assert read is not None, f"{path.name}:{expression.lineno}: {ast.unparse(expression)} is no code to read"
            found |= read
    return found
