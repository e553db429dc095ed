"""YAML into marked text: every scalar stays the text that was written, every node knows its line and column.

It refuses what would vanish or change silently: duplicate keys, tags, merge keys, several documents, and aliases that
contain themselves. Anchors and aliases are fine. It never makes a value of a type: `1:30` and `no` stay text.
"""

from __future__ import annotations

import re
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
_QUOTED: Final = re.compile(r"'[^']{2,}'|\"[^\"]{2,}\"")
_MERGE: Final = "<<"
_UNWRITABLE: Final = re.compile(r"[\x00\ud800-\udfff]")
"""The end of a path to the operating system, and half a pair of UTF-16, which cannot be encoded."""
MOST_NODES: Final = 200_000
"""Of a configuration with its aliases written out; the largest that make sense have some thousands."""


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
    try:
        node = reader.node(root, ())
    except RecursionError:
        raise _refused([Problem(1, 1, "It is nested too deeply.", "Correct the file.")], file) from None
    if not reader.problems and reader.size(root) > MOST_NODES:
        problem = Problem(1, 1, f"With its aliases it is longer than {MOST_NODES} settings.", "Write fewer aliases.")
        raise _refused([problem], file)
    if reader.problems:
        raise _refused(reader.problems, file)
    return node


class _Reader:
    """Turns composed nodes into ours; an alias's target is turned once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._done: dict[int, Node] = {}
        self._sizes: dict[int, int] = {}

    def size(self, found: yaml.Node) -> int:
        """How many nodes it is with every alias written out: few lines can stand for millions."""
        return self._sizes.get(id(found), 1)

    def node(self, found: yaml.Node, above: tuple[int, ...]) -> Node:
        if id(found) in self._done:
            return self._done[id(found)]
        line, column = _place(found)
        if id(found) in above:
            self._note(found, "This alias contains itself.", "Write its value out.")
            return Node("", line, column)
        kind, tag = _KINDS[type(found)]
        if found.tag != tag:
            self._note(found, "keyturn reads no YAML tags.", "Remove the tag, or quote text that begins with !.")
        if isinstance(found, yaml.ScalarNode) and _UNWRITABLE.search(found.value):
            self._note(found, "This text holds a character that no name and no path can have.", "Remove it.")
        inside = (*above, id(found))
        if isinstance(found, yaml.MappingNode):
            made = Node(self._pairs(found, inside), line, column, kind)
        elif isinstance(found, yaml.SequenceNode):
            made = Node([self.node(item, inside) for item in found.value], line, column, kind)
        else:
            made = Node(found.value, line, column, kind)
        self._done[id(found)] = made
        self._sizes[id(found)] = 1 + sum(self.size(below) for below in _below(found))
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
                self._note(
                    key_node, f"{key.text[:40]} stands here twice; first in line {first}.", "Remove one of them."
                )
            else:
                seen[key.text] = key
                pairs.append((key, value))
        return pairs

    def _note(self, found: yaml.Node, sentence: str, hint: str) -> None:
        self.problems.append(Problem(*_place(found), sentence, hint))


def _below(found: yaml.Node) -> list[yaml.Node]:
    if isinstance(found, yaml.MappingNode):
        return [node for pair in found.value for node in pair]
    return list(found.value) if isinstance(found, yaml.SequenceNode) else []


def _place(found: yaml.Node) -> tuple[int, int]:
    return found.start_mark.line + 1, found.start_mark.column + 1


def _problem_of(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    # what is quoted is the file's own text, which may be a secret that begins with * or &
    said = _QUOTED.sub("", str(error.problem or error.context))
    sentence = f"This is not YAML: {' '.join(said.split())}."
    return Problem(line, column, sentence, "Look at the line above, too; quote text that holds { } or a colon.")


def _refused(problems: list[Problem], file: str) -> Misconfigured:
    shown = tuple(problem.shown(file) for problem in sorted(problems))
    refused = Misconfigured("\n".join(shown), hint="Nothing was changed.", problems=shown)
    refused.where = f"{file}:{min(problems).line}"
    return refused
