"""The suite leaves out no ledger that there is, and no verb of the port."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import keyturn.ledgers
import keyturn.testing
import tests.ledgers
from keyturn.ports import Ledger

from . import contract
from .contract import LedgerContract, SharedLedgerContract, StoredLedgerContract

VERBS = {name for name in vars(Ledger) if not name.startswith("_")}


def _modules(package: ModuleType, prefix: str = "") -> list[ModuleType]:
    found = pkgutil.iter_modules(package.__path__)
    return [
        importlib.import_module(f"{package.__name__}.{each.name}") for each in found if each.name.startswith(prefix)
    ]


def _implementing(modules: Iterable[ModuleType]) -> set[type]:
    """Every class that has all verbs of the port, wherever it inherits them from."""
    classes = [each for module in modules for each in vars(module).values() if inspect.isclass(each)]
    return {each for each in classes if hasattr(each, "save") and set(dir(each)) >= VERBS} - {Ledger}


def _tested(contract: type) -> list[Any]:
    """The classes below a contract that pytest runs: those in a file of tests, named as tests are."""
    below: list[Any] = contract.__subclasses__()
    return [each for each in below if each.__name__.startswith("Test")]


def test_every_ledger_in_the_code_is_in_the_suite() -> None:
    _modules(tests.ledgers, "test_")
    there = _implementing([*_modules(keyturn.ledgers), keyturn.testing])
    assert len(there) >= 3, "the look for ledgers finds none"
    assert {each.adapter for each in _tested(LedgerContract)} == there


def test_every_ledger_on_a_disk_is_also_tested_with_processes_and_with_other_versions_bodies() -> None:
    _modules(tests.ledgers, "test_")
    kept = _implementing(_modules(keyturn.ledgers))
    for shared in (SharedLedgerContract, StoredLedgerContract):
        assert len(_tested(shared)) == len(kept)


def test_every_verb_of_the_port_is_asked_for_by_the_suite() -> None:
    called = {node.attr for node in ast.walk(ast.parse(inspect.getsource(contract))) if isinstance(node, ast.Attribute)}
    assert {
        "id", "salt", "load", "save", "records", "due", "history", "note", "put_note", "lease", "release",
    } == VERBS  # fmt: skip
    assert called >= VERBS
