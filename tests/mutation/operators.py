"""What mutants there are of a module: one small change each, and a name for it that survives edits elsewhere.

A mutant's identity is where it is (the function), the line it changes as `ast.unparse` writes it, what becomes of what,
and a number where that is still ambiguous: nothing in it moves with line numbers or formatting.

Mutants of text change what people read, and nothing that anybody decides by: sentences, what stands in an f-string,
and `sentence=` and `shorter=` whatever they are made of. Codes ("quiet-slot", "A1") are no text.

Left out, because nothing would change: docstrings, annotations, names of unions of types, imports, and assertions that
tell mypy what a guard has asked.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise
from types import ModuleType, UnionType
from typing import Any, TypeGuard

LONGEST_LINE = 160
"""A longer line is named by the first part of it around the change that is shorter, or by its beginning."""

TEXT_ARGUMENTS = {"sentence", "shorter"}
CODE = re.compile(r"[A-Za-z0-9_-]+")

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.LShift: ast.RShift,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any"}
DROPPED = {"abs", "sorted"}


@dataclass(frozen=True)
class Mutant:
    """One change. `parent`, `field` and `index` say where in the module's tree the node `now` comes to stand."""

    room: str
    where: str
    line: str
    change: str
    number: int
    text: bool
    at: int
    """The line number of the statement that it changes; for a table's row, of that row."""
    in_function: bool
    """Whether it changes a function's body, and nothing that runs when the module is imported."""
    hint: str
    """The function that a changed row of a table calls; empty elsewhere."""
    parent: ast.AST
    field: str
    index: int | None
    now: Any

    @property
    def identity(self) -> tuple[str, str, str, int]:
        return f"{self.room}.{self.where}" if self.where else self.room, self.line, self.change, self.number

    def __str__(self) -> str:
        where, line, change, number = self.identity
        return f"{where} | {line} | {change}" + (f" | {number}" if number > 1 else "")

    def put(self) -> None:
        """Change the tree."""
        if self.index is None:
            setattr(self.parent, self.field, self.now)
        else:
            getattr(self.parent, self.field)[self.index] = self.now


@dataclass(frozen=True)
class _Place:
    """Where the walk is."""

    names: tuple[str, ...] = ()
    returns: str = ""
    bound: frozenset[str] = frozenset()
    in_function: bool = False
    text: bool = False
    line: str = ""
    at: int = 0
    hint: str = ""

    def in_(self, node: ast.AST) -> _Place:
        """The same within a node, which names the line while the line is too long to be a name."""
        if len(self.line) <= LONGEST_LINE or not isinstance(node, ast.expr | ast.keyword):
            return self
        return replace(self, line=_told(node), at=self.at)


def mutants(room: str, tree: ast.Module, module: ModuleType) -> list[Mutant]:
    """Every mutant of a module, in the order of its source. `module` is asked what its names mean, and is left alone.

    `room` is what the module is called in names of mutants.
    """
    found: list[Mutant] = []
    seen: Counter[tuple[str, str, str]] = Counter()
    for place, parent, field, index, was, now, told in _Walk(module).module(tree):
        change = told or f"{_told(was)} -> {_told(now)}"
        key = ".".join(place.names), _short(place.line), change
        seen[key] += 1
        found.append(
            Mutant(
                room=room,
                where=key[0],
                line=key[1],
                change=change,
                number=seen[key],
                text=place.text,
                at=place.at,
                in_function=place.in_function,
                hint=place.hint,
                parent=parent,
                field=field,
                index=index,
                now=now,
            )
        )
    return found


Change = tuple[_Place, ast.AST, str, int | None, Any, Any, str]


class _Walk:
    def __init__(self, module: ModuleType) -> None:
        self.names = vars(module)

    # -------- statements

    def module(self, tree: ast.Module) -> Iterator[Change]:
        yield from self._body(tree, "body", _Place())

    def _body(self, parent: ast.AST, field: str, place: _Place) -> Iterator[Change]:
        bound = place.bound
        for index, statement in enumerate(getattr(parent, field)):
            here = replace(place, bound=bound, line=_head(statement), at=statement.lineno)
            yield from self._statement(parent, field, index, statement, here)
            bound |= _bound(statement)

    def _statement(
        self, parent: ast.AST, field: str, index: int, statement: ast.stmt, place: _Place
    ) -> Iterator[Change]:
        match statement:
            case ast.FunctionDef():
                yield from self._function(statement, place)
            case ast.ClassDef():
                yield from self._body(statement, "body", replace(place, names=(*place.names, statement.name)))
            case ast.Import() | ast.ImportFrom() | ast.Assert() | ast.Expr(value=ast.Constant()):
                return
            case ast.Assign(targets=[ast.Name(id=name)]) if isinstance(self.names.get(name), UnionType):
                return
            case _:
                if place.in_function and _may_be_left_out(statement, place.bound):
                    yield place, parent, field, index, statement, ast.Pass(), "left out"
                if isinstance(statement, ast.Return) and statement.value is not None:
                    yield from self._return(statement, place)
                yield from self._fields(statement, place)

    def _function(self, function: ast.FunctionDef, place: _Place) -> Iterator[Change]:
        """Its defaults belong to the line that defines it: they are worked out when the module is imported."""
        names = (*place.names, function.name)
        arguments = function.args
        known = frozenset(a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs))
        yield from self._fields(arguments, replace(place, names=names))
        returns = ast.unparse(function.returns) if function.returns is not None else ""
        inside = _Place(names=names, returns=returns, bound=known, in_function=True)
        yield from self._body(function, "body", inside)

    def _return(self, statement: ast.Return, place: _Place) -> Iterator[Change]:
        value = statement.value
        if isinstance(value, ast.Constant):
            return
        instead: list[ast.expr] = []
        if place.returns == "bool":
            instead = [ast.Constant(True), ast.Constant(False)]
        elif place.returns.endswith("| None"):
            instead = [ast.Constant(None)]
        elif place.returns.startswith("tuple["):
            instead = [ast.Tuple([], ast.Load())]
        for now in instead:
            yield place, statement, "value", None, value, now, f"return {_told(now)}"

    # -------- expressions

    def _fields(self, node: ast.AST, place: _Place) -> Iterator[Change]:
        """The changes of everything below a node."""
        for field, value in ast.iter_fields(node):
            if field in {"annotation", "returns", "type_comment", "ctx", "targets", "target", "decorator_list"}:
                continue
            if isinstance(value, list):
                if value and isinstance(value[0], ast.stmt):
                    yield from self._body(node, field, place)
                    continue
                for index, item in enumerate(value):
                    if isinstance(item, ast.AST):
                        yield from self._node(node, field, index, item, place)
            elif isinstance(value, ast.AST):
                yield from self._node(node, field, None, value, place)

    def _node(self, parent: ast.AST, field: str, index: int | None, node: ast.AST, place: _Place) -> Iterator[Change]:
        place = place.in_(node)
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.keyword) and node.arg in TEXT_ARGUMENTS):
            place = replace(place, text=True)
        if isinstance(node, ast.Tuple) and node.elts and _is_row(node.elts[0]):
            place = replace(place, line="the table")
        if _is_row(node):
            place = replace(place, hint=_told(node.args[3]), line=f"Row({_told(node.args[0])})", at=node.lineno)
        if isinstance(node, ast.expr):
            asked = field == "test" or (field == "ifs" and isinstance(parent, ast.comprehension))
            answers: tuple[bool, ...] = () if not asked else (True,) if field == "ifs" else (True, False)
            for answer in answers:
                now: ast.expr = ast.Constant(answer)
                yield place, parent, field, index, node, now, f"if {_told(node)} -> if {answer}"
            for now in self._instead(node):
                text = place.text or _is_text(node)
                yield replace(place, text=text), parent, field, index, node, now, ""
            for now, told in self._without_one(node):
                yield place, parent, field, index, node, now, told
        yield from self._fields(node, place)

    def _instead(self, node: ast.expr) -> Iterator[ast.expr]:
        """What may stand in place of an expression."""
        match node:
            case ast.Compare(ops=[op]):
                for other in COMPARISONS[type(op)]:
                    yield _like(node, ops=[other()])
            case ast.Compare(ops=ops):
                for index, op in enumerate(ops):
                    for other in COMPARISONS[type(op)]:
                        yield _like(node, ops=[*ops[:index], other(), *ops[index + 1 :]])
            case ast.BoolOp(op=op, values=values):
                yield _like(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
                for index in range(len(values)):
                    left = [*values[:index], *values[index + 1 :]]
                    yield _like(node, values=left) if len(left) > 1 else left[0]
            case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
                yield operand
            case ast.BinOp(left=left, op=op, right=right):
                if type(op) in ARITHMETIC:
                    yield _like(node, op=ARITHMETIC[type(op)]())
                if isinstance(op, ast.Add | ast.Sub | ast.BitOr | ast.BitAnd):
                    yield left
                if isinstance(op, ast.Add | ast.BitOr | ast.BitAnd):
                    yield right
            case ast.Constant(value=bool() as value):
                yield ast.Constant(not value)
            case ast.Constant(value=int() | float() as value):
                yield ast.Constant(value + 1)
            case ast.Constant(value=str() as value):
                yield ast.Constant(f"{value}!")
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if isinstance(self.names.get(name), type(Enum)):
                members = list(self.names[name].__members__)
                yield _like(node, attr=members[(members.index(attr) + 1) % len(members)])
            case ast.Attribute(value=inner, attr="other"):
                yield inner
            case ast.Call(func=ast.Name(id=name), args=[*args], keywords=keywords):
                if name in SWAPPED:
                    yield _like(node, func=ast.Name(SWAPPED[name], ast.Load()))
                if name in {"min", "max"} and len(args) == 2:
                    yield from args
                elif name in {"min", "max"} and len(args) > 2:
                    yield from (_like(node, args=[*args[:n], *args[n + 1 :]]) for n in range(len(args)))
                if name in DROPPED and len(args) == 1 and not keywords:
                    yield args[0]
                if _is_row(node) and _told(args[1]) != "ANY":
                    yield _like(node, args=[args[0], ast.Name("ANY", ast.Load()), *args[2:]])

    def _without_one(self, node: ast.expr) -> Iterator[tuple[ast.expr, str]]:
        """A list, set, table or call less one of its parts; a table with two rows in the other order."""
        match node:
            case ast.Tuple(elts=elts) | ast.List(elts=elts) | ast.Set(elts=elts):
                for index, part in enumerate(elts):
                    if isinstance(node, ast.Set) and len(elts) == 1:
                        continue
                    yield _like(node, elts=[*elts[:index], *elts[index + 1 :]]), f"without {_told(part)}"
                for index, (one, two) in enumerate(pairwise(elts)):
                    if _is_row(one) and _is_row(two) and self._meet(one, two):
                        turned = [*elts[:index], two, one, *elts[index + 2 :]]
                        yield _like(node, elts=turned), f"{_told(two.args[0])} before {_told(one.args[0])}"
            case ast.Dict(keys=keys, values=values):
                for index, key in enumerate(keys):
                    left = [*keys[:index], *keys[index + 1 :]], [*values[:index], *values[index + 1 :]]
                    told = _told(key) if key is not None else f"**{_told(values[index])}"
                    yield _like(node, keys=left[0], values=left[1]), f"without {told}"
            case ast.Call(keywords=keywords):
                for index, keyword in enumerate(keywords):
                    if keyword.arg is None or keyword.arg in TEXT_ARGUMENTS or self._needs(node, keyword.arg):
                        continue
                    left_out = [*keywords[:index], *keywords[index + 1 :]]
                    yield _like(node, keywords=left_out), f"without {_told(keyword)}"

    def _needs(self, call: ast.Call, name: str) -> bool:
        """Whether the call cannot do without this argument: leaving it out is no mutant, but a mistake."""
        if not isinstance(call.func, ast.Name) or call.func.id not in self.names:
            return False
        try:
            parameter = inspect.signature(self.names[call.func.id]).parameters.get(name)
        except ValueError:  # of a type written in C, whose arguments may all be left out
            return False
        return parameter is not None and parameter.default is inspect.Parameter.empty

    def _meet(self, one: ast.Call, two: ast.Call) -> bool:
        """Whether some stage may ask both rows; otherwise their order says nothing."""
        first, second = (eval(ast.unparse(row.args[1]), dict(self.names)) for row in (one, two))
        return bool(first & second)


# -------- small questions


def _told(node: Any) -> str:
    return ast.unparse(node)


def _short(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} ..."


def _head(statement: ast.stmt) -> str:
    """A statement as one line; of one with a body, its first."""
    return ast.unparse(statement).split("\n")[0]


def _like(node: ast.expr, **changes: Any) -> Any:
    fields = {name: deepcopy(value) for name, value in ast.iter_fields(node)}
    return ast.copy_location(type(node)(**(fields | changes)), node)


def _bound(node: ast.AST) -> frozenset[str]:
    """The names that get a value somewhere in a node."""
    names = (each for each in ast.walk(node) if isinstance(each, ast.Name))
    return frozenset(name.id for name in names if isinstance(name.ctx, ast.Store))


def _is_row(call: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Row"


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value) is None


def _may_be_left_out(statement: ast.stmt, bound: frozenset[str]) -> bool:
    """What is called for its effect, and what gives a name another value: without it, the code still runs."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Call)
    if isinstance(statement, ast.AugAssign):
        return True
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    plain = all(isinstance(target, ast.Name | ast.Tuple) for target in targets)
    return bool(targets) and plain and all(_bound(target) <= bound for target in targets)
