"""The Bicep files as trees, and what they declare and name. Never here: what Azure makes of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

from tests.docs.pages import ROOT

FOLDER = ROOT / "deploy" / "bicep"
FILES = sorted(FOLDER.rglob("*.bicep"))
PARAMETERS = sorted(FOLDER.rglob("*.bicepparam"))
DECLARATIONS = (
    "parameter_declaration",
    "variable_declaration",
    "resource_declaration",
    "module_declaration",
    "output_declaration",
)


@dataclass
class Bicep:
    """One file. `text` is what was parsed."""

    text: str

    @classmethod
    def read(cls, path: Path) -> Bicep:
        return cls(path.read_text(encoding="utf-8"))

    @classmethod
    def read_parameters(cls, path: Path) -> Bicep:
        """A file of parameters. The grammar knows them as declarations only, so each is read as a variable, which has
        the same form."""
        return cls(re.sub(r"^param ", "var ", path.read_text(encoding="utf-8"), flags=re.MULTILINE))

    @cached_property
    def root(self) -> Node:
        return Parser(Language(tree_sitter_bicep.language())).parse(self.text.encode()).root_node

    def nodes(self, *kinds: str, below: Node | None = None) -> Iterator[Node]:
        """Every node of these kinds, in their order."""
        here = below or self.root
        if here.type in kinds:
            yield here
        for child in here.children:
            yield from self.nodes(*kinds, below=child)

    def mistakes(self) -> list[str]:
        """What does not fit the grammar, with its line."""
        return [
            f"{node.start_point[0] + 1}: {source(node)[:60]}"
            for node in every(self.root)
            if node.is_error or node.is_missing
        ]

    def declared(self, *kinds: str) -> dict[str, Node]:
        """Declarations by their names."""
        return {source(name_of(node)): node for node in self.nodes(*(kinds or DECLARATIONS))}

    def calls(self, function: str) -> list[str]:
        """The first argument, a plain text, of every call of a function."""
        found = (node for node in self.nodes("call_expression") if source(node.children[0]) == function)
        return [text(next(self.nodes("string", below=node))) for node in found]


def every(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from every(child)


def source(node: Node) -> str:
    assert node.text is not None
    return node.text.decode()


def text(node: Node) -> str:
    """The content of a plain text."""
    return source(node).strip("'")


def name_of(declaration: Node) -> Node:
    return next(child for child in declaration.children if child.type == "identifier")


def properties(node: Node) -> dict[str, Node]:
    """The properties of an object: name to value."""
    pairs = [child for child in node.children if child.type == "object_property"]
    return {text(pair.named_children[0]): pair.named_children[-1] for pair in pairs if len(pair.named_children) > 1}


def first(node: Node, kind: str) -> Node:
    """The first node of a kind in or below this one."""
    return next(each for each in every(node) if each.type == kind)


def used(bicep: Bicep) -> set[str]:
    """Names that a file uses: neither a declaration's own name, nor a property's, nor part of a type."""
    names = set()
    for node in bicep.nodes("identifier"):
        above = node.parent
        assert above is not None
        is_own = above.type in DECLARATIONS and name_of(above) == node
        is_property = above.type == "object_property" and above.named_children[0] == node
        if not (is_own or is_property or above.type in {"type", "for_loop_parameters"}):
            names.add(source(node))
    return names


def loop_names(bicep: Bicep) -> set[str]:
    """What the loops of a file call their items and numbers."""
    found = re.findall(r"\[for (?:\((\w+), (\w+)\)|(\w+)) in ", bicep.text)
    return {name for names in found for name in names if name}
