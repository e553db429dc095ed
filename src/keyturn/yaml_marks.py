"""YAML into marked text: every scalar stays the text that was written, every node knows its line and column.

It refuses what would vanish or change silently: duplicate keys, tags, merge keys, several documents, and aliases that
contain themselves. Anchors and aliases are fine. It never makes a value of a type: `1:30` and `no` stay text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import yaml

from keyturn.config.form import Node, Problem
from keyturn.errors import Misconfigured

_KINDS: Final = {
    yaml.ScalarNode: ("text", "tag:yaml.org,2002:str"),
    yaml.SequenceNode: ("list", "tag:yaml.org,2002:seq"),
    yaml.MappingNode: ("map", "tag:yaml.org,2002:map"),
}
_MERGE: Final = "<<"


class _AsText(yaml.SafeLoader):
    """Resolves no scalar to anything but text."""

    yaml_implicit_resolvers: dict[str, list[object]] = {}  # noqa: RUF012 - the loader's own name for it


def read_file(path: Path) -> Node:
    """The configuration in a file. Raises Misconfigured, with every problem of the text."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise Misconfigured(
            f"There is no configuration at {path}.",
            hint="`keyturn init` writes a first one; --config names one that is elsewhere.",
        ) from None
    except OSError as error:
        raise Misconfigured(f"The configuration {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{path} is not UTF-8 text.", hint="Save it as UTF-8.") from error
    return read_text(text, str(path))


def read_text(text: str, file: str) -> Node:
    """The configuration in a text; `file` is its name in messages. Raises Misconfigured, with every problem."""
    try:
        root = yaml.compose(text, Loader=_AsText)
    except yaml.MarkedYAMLError as error:
        raise _refused([_problem_of(error)], file) from None
    except (yaml.YAMLError, RecursionError) as error:
        sentence = (
            "It is nested too deeply."
            if isinstance(error, RecursionError)
            else "It holds a character that YAML forbids."
        )
        raise _refused([Problem(1, 1, sentence, "Correct the file.")], file) from None
    if root is None:
        raise _refused([Problem(1, 1, "The configuration is empty.", "Start with `services:`.")], file)
    reader = _Reader()
    node = reader.node(root, ())
    if reader.problems:
        raise _refused(reader.problems, file)
    return node


class _Reader:
    """Turns composed nodes into ours; an alias's target is turned once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._done: dict[int, Node] = {}

    def node(self, found: yaml.Node, above: tuple[int, ...]) -> Node:
        if id(found) in self._done:
            return self._done[id(found)]
        line, column = _place(found)
        if id(found) in above:
            self._note(found, "This alias contains itself.", "Write its value out.")
            return Node("", line, column)
        kind, tag = _KINDS[type(found)]
        if found.tag != tag:
            self._note(found, f"keyturn reads no YAML tags, and this one is {found.tag}.", "Remove the tag.")
        inside = (*above, id(found))
        if isinstance(found, yaml.MappingNode):
            made = Node(self._pairs(found, inside), line, column, kind)
        elif isinstance(found, yaml.SequenceNode):
            made = Node([self.node(item, inside) for item in found.value], line, column, kind)
        else:
            made = Node(found.value, line, column, kind)
        self._done[id(found)] = made
        return made

    def _pairs(self, found: yaml.MappingNode, inside: tuple[int, ...]) -> list[tuple[Node, Node]]:
        seen: dict[str, Node] = {}
        pairs = []
        for key_node, value_node in found.value:
            key, value = self.node(key_node, inside), self.node(value_node, inside)
            if key.kind != "text":
                self._note(key_node, f"A {key.kind} cannot be a key.", "Write a word before the colon.")
            elif key.text == _MERGE:
                self._note(key_node, "keyturn reads no merge keys.", "Write the settings out, or use an alias for one.")
            elif key.text in seen:
                first = seen[key.text].line
                self._note(key_node, f"{key.text} stands here twice; first in line {first}.", "Remove one of them.")
            else:
                seen[key.text] = key
                pairs.append((key, value))
        return pairs

    def _note(self, found: yaml.Node, sentence: str, hint: str) -> None:
        self.problems.append(Problem(*_place(found), sentence, hint))


def _place(found: yaml.Node) -> tuple[int, int]:
    return found.start_mark.line + 1, found.start_mark.column + 1


def _problem_of(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    sentence = f"This is not YAML: {error.problem or error.context}."
    return Problem(line, column, sentence, "Look at the line above, too; quote text that holds { } or a colon.")


def _refused(problems: list[Problem], file: str) -> Misconfigured:
    shown = tuple(problem.shown(file) for problem in sorted(problems))
    refused = Misconfigured("\n".join(shown), hint="Nothing was changed.", problems=shown)
    refused.where = f"{file}:{min(problems).line}"
    return refused
