"""Puts a mutant in the place of the code that was imported, and marks which lines the code runs.

What changes in a function's body changes its code object, in place: whoever imported the function, and every row of the
table that names it, has the mutant without knowing. What changes beside that runs when a module is imported; such a
mutant needs an import of its own, which `Imports` does for the modules that are imported after it.

Whatever is put here stays: only a process that is about to end may do it.
"""

from __future__ import annotations

import ast
import sys
import types
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any

HIT = "__hit__"


def parsed(module: types.ModuleType) -> ast.Module:
    return ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))


def put(tree: ast.Module, module: types.ModuleType, where: str) -> None:
    """Give the function at `where`, a dotted path, the code that the tree has for it now.

    A table that a function of the module makes at its import, `TABLE = rows()`, is made anew.
    """
    statement = next(s for s in tree.body if getattr(s, "name", None) == where.split(".")[0])
    codes = dict(_codes(_compiled(ast.Module(body=[statement], type_ignores=[]), module)))
    _function(module, where).__code__ = codes[where]
    if where == "rows":
        _spread(vars(module)["TABLE"], module.rows())
    forget_answers(module)


def mark(tree: ast.Module, module: types.ModuleType, hit: Any) -> None:
    """Let every function of the module call `hit(line)` before each of its statements. The tree is left changed."""
    _Marks().visit(tree)
    ast.fix_missing_locations(tree)
    vars(module)[HIT] = hit
    for name, code in _codes(_compiled(tree, module)):
        _function(module, name).__code__ = code


def forget_answers(module: types.ModuleType) -> None:
    """Empty the caches of the module's functions: nobody may have an answer of the code as it was."""
    for each in vars(module).values():
        clear = getattr(each, "cache_clear", None)
        if clear is not None:
            clear()


def forget(packages: frozenset[str]) -> None:
    """Forget the modules of these packages, so that the next import of one imports it anew."""
    for name in list(sys.modules):
        if name.split(".")[0] in packages:
            del sys.modules[name]


class Imports(MetaPathFinder):
    """Imports one module from a changed tree, and leaves every other to whoever comes next."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self.name, self.tree = name, tree

    def find_spec(self, fullname: str, path: Any = None, target: types.ModuleType | None = None) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = _Changed(fullname, spec.origin, self.tree)
        return spec


class _Changed(SourceFileLoader):
    def __init__(self, name: str, path: str, tree: ast.Module) -> None:
        super().__init__(name, path)
        self.tree = tree

    def get_code(self, fullname: str) -> types.CodeType:
        code = compile(ast.fix_missing_locations(self.tree), self.path, "exec", dont_inherit=True)
        assert isinstance(code, types.CodeType)
        return code


# -------- code objects


def _compiled(tree: ast.Module, module: types.ModuleType) -> types.CodeType:
    flags = sys.modules["__future__"].annotations.compiler_flag
    code = compile(ast.fix_missing_locations(tree), str(module.__file__), "exec", flags=flags, dont_inherit=True)
    assert isinstance(code, types.CodeType)
    return code


def _codes(code: types.CodeType) -> Iterator[tuple[str, types.CodeType]]:
    """The functions that a module's or a class's code makes, by their dotted paths."""
    for made in code.co_consts:
        if not isinstance(made, types.CodeType) or made.co_name.startswith("<"):
            continue
        if made.co_flags & 0x2:  # CO_NEWLOCALS: a function, and no class
            yield made.co_qualname, made
        else:
            yield from _codes(made)


def _function(module: types.ModuleType, where: str) -> types.FunctionType:
    *outer, name = where.split(".")
    found: Any = module
    for each in outer:
        found = getattr(found, each)
    found = vars(found)[name]
    for inner in ("fget", "func", "__wrapped__"):  # of a property, a cached property, a function with a cache
        found = getattr(found, inner, None) or found
    assert isinstance(found, types.FunctionType)
    return found


def _spread(old: object, new: object) -> None:
    """Give every module that knows a value by a name another one by that name."""
    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is old:
                vars(module)[name] = new


class _Marks(ast.NodeTransformer):
    """Puts `__hit__(line)` before each statement of each function."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self._mark(node)
        return node

    def _mark(self, node: ast.AST) -> None:
        for field in ("body", "orelse"):
            body = getattr(node, field, None)
            if isinstance(body, list):
                setattr(node, field, [each for statement in body for each in self._marked(statement)])

    def _marked(self, statement: ast.stmt) -> Iterator[ast.stmt]:
        call = ast.Call(ast.Name(HIT, ast.Load()), [ast.Constant(statement.lineno)], [])
        yield ast.copy_location(ast.Expr(call), statement)
        self._mark(statement)
        yield statement
