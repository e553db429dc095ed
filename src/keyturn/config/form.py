"""How text with marks becomes plain data: the kinds of field a configuration has, each once for reading and schema.

A `Form` is a table of fields. Reading one never stops at the first mistake: problems are collected, each with the
line and column of the node that it is about, and a field that cannot be read is left out and named in `bad`.
Messages show what a person wrote, except where a secret is likely to stand by mistake.

Never here: YAML, files, or what any field means to keyturn (that is `table`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

import msgspec

from keyturn import windows
from keyturn.windows import Window


class Node(msgspec.Struct, frozen=True):
    """One piece of a configuration with its place. `line` and `column` count from 1.

    `value` is text, a list of nodes, or, for a map, a list of (key, value) pairs of nodes; `kind` tells which, since
    an empty list and an empty map look alike.
    """

    value: str | Sequence[Node] | Sequence[tuple[Node, Node]]
    line: int
    column: int
    kind: str = "text"

    @property
    def text(self) -> str:
        return self.value if isinstance(self.value, str) else ""

    @property
    def items(self) -> list[Node]:
        return [item for item in self.value if isinstance(item, Node)] if self.kind == "list" else []

    @property
    def pairs(self) -> list[tuple[Node, Node]]:
        return [item for item in self.value if isinstance(item, tuple)] if self.kind == "map" else []


LONGEST_SHOWN = 80


def shown(text: str) -> str:
    """What a person wrote, as far as it helps to find it."""
    return repr(text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…")


class Problem(msgspec.Struct, frozen=True, order=True):
    """One mistake: where, what, and what to do about it."""

    line: int
    column: int
    sentence: str
    hint: str = ""

    def shown(self, file: str) -> str:
        line = f"{file}:{self.line}:{self.column}  {self.sentence} {self.hint}".rstrip()
        return "".join(each if each.isprintable() else "?" for each in line)


class Problems:
    """The mistakes found so far."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, node: Node, sentence: str, hint: str = "") -> Bad:
        self.found.append(Problem(node.line, node.column, sentence, hint))
        return BAD


class Bad:
    """Stands for a value that could not be read; its problem is noted."""


BAD = Bad()


class Kind(Protocol):
    """One kind of value."""

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """The value, or BAD with a problem noted."""

    def schema(self) -> dict[str, Any]:
        """The same in JSON Schema."""


def did_you_mean(written: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, or all of them."""
    choices = list(known)
    if len(written) > LONGEST_SHOWN:  # no misspelt word; comparing it would take long
        return f"Known here: {', '.join(choices)}." if choices else ""
    near = difflib.get_close_matches(written, choices, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]}?"
    return f"Known here: {', '.join(choices)}." if choices else ""


def _scalar(node: Node, path: str, problems: Problems, what: str) -> str | Bad:
    if node.kind != "text":
        return problems.add(node, f"{path} is a {node.kind}.", f"Write {what}.")
    if node.text == "":
        return problems.add(node, f"{path} is empty.", f"Write {what}, or leave {path} out.")
    return node.text


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """Text that matches `pattern` as a whole. `hushed`: never repeat what was written."""

    what: str
    pattern: str = r".+"
    hushed: bool = False
    hint: str = ""

    def read(self, node: Node, path: str, problems: Problems) -> str | Bad:
        text = _scalar(node, path, problems, self.what)
        if isinstance(text, Bad) or re.fullmatch(self.pattern, text, re.DOTALL):
            return text
        written = "this" if self.hushed else shown(text)
        return problems.add(node, f"{path}: {written} is not {self.what}.", self.hint)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^(?:{self.pattern})$"}


_SPAN = re.compile(r"(?:([0-9]+) ?w)? ?(?:([0-9]+) ?d)? ?(?:([0-9]+) ?h)? ?(?:([0-9]+) ?m(?:in)?)? ?(?:([0-9]+) ?s)?")
_SPAN_SECONDS = (604_800, 86_400, 3600, 60, 1)
_LONGEST = timedelta(days=3660)


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A duration such as `30d`, `1h30m`, `45s`, `2w`."""

    may_be_zero: bool = False

    def read(self, node: Node, path: str, problems: Problems) -> timedelta | Bad:
        text = _scalar(node, path, problems, "a duration such as 30d or 1h30m")
        if isinstance(text, Bad):
            return text
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
            return problems.add(node, f"{path}: {shown(text)} has no unit.", _with_units(text))
        found = _SPAN.fullmatch(text)
        if found is None or not any(found.groups()) or max(len(part or "") for part in found.groups()) > 10:
            units = "w, d, h, m and s, the largest first"
            return problems.add(
                node, f"{path}: {shown(text)} is not a duration.", f"Write it like 30d or 1h30m: {units}."
            )
        seconds = sum(int(count or 0) * unit for count, unit in zip(found.groups(), _SPAN_SECONDS, strict=True))
        if seconds > _LONGEST.total_seconds():
            return problems.add(node, f"{path}: {text} is longer than ten years.", "Write a shorter one.")
        if seconds == 0 and not self.may_be_zero:
            return problems.add(node, f"{path}: {text} is no time at all.", "Write a longer one, or leave it out.")
        return timedelta(seconds=seconds)

    def schema(self) -> dict[str, Any]:
        # At least one part, the largest unit first.
        return {"type": "string", "pattern": rf"^(?=[0-9]){_SPAN.pattern}$"}


def _with_units(number: str) -> str:
    few = number if len(number) <= 9 else "30"
    return f"Write {few}d for days, {few}h, {few}m or {few}s."


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One of some words."""

    words: Mapping[str, Any]

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        text = _scalar(node, path, problems, " or ".join(self.words))
        if isinstance(text, Bad):
            return text
        if text not in self.words:
            return problems.add(node, f"{path}: {shown(text)} is not known here.", did_you_mean(text, self.words))
        return self.words[text]

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.words)}


class Flag(msgspec.Struct, frozen=True):
    """`true` or `false`, and no other spelling."""

    def read(self, node: Node, path: str, problems: Problems) -> bool | Bad:
        text = _scalar(node, path, problems, "true or false")
        if isinstance(text, Bad):
            return text
        if text not in ("true", "false"):
            return problems.add(node, f"{path}: {shown(text)} is neither true nor false.", "Write true or false.")
        return text == "true"

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """A whole number within bounds."""

    least: int
    most: int

    def read(self, node: Node, path: str, problems: Problems) -> int | Bad:
        text = _scalar(node, path, problems, f"a whole number from {self.least} to {self.most}")
        if isinstance(text, Bad):
            return text
        if not re.fullmatch(r"[0-9]{1,9}", text) or not self.least <= int(text) <= self.most:
            return problems.add(
                node, f"{path}: {shown(text)} is not a whole number from {self.least} to {self.most}.", "Correct it."
            )
        return int(text)

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


class Share(msgspec.Struct, frozen=True):
    """A share such as `50%`, as a fraction of 1."""

    def read(self, node: Node, path: str, problems: Problems) -> float | Bad:
        text = _scalar(node, path, problems, "a share such as 50%")
        if isinstance(text, Bad):
            return text
        if not re.fullmatch(_SHARE, text):
            return problems.add(node, f"{path}: {shown(text)} is not a share from 1% to 100%.", "Write it like 50%.")
        return int(text[:-1]) / 100

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^(?:{_SHARE})$"}


_SHARE = r"[1-9][0-9]?%|100%"


class Hours(msgspec.Struct, frozen=True):
    """A window such as `Mon-Thu 09:00-16:00 Europe/Oslo`."""

    def read(self, node: Node, path: str, problems: Problems) -> Window | Bad:
        text = _scalar(node, path, problems, "a window such as Mon-Thu 09:00-16:00 Europe/Oslo")
        if isinstance(text, Bad):
            return text
        try:
            return windows.parse(text)
        except ValueError as problem:
            hint = "Write days, hours and zone, like Mon-Thu 09:00-16:00 Europe/Oslo."
            return problems.add(node, f"{path}: {problem}.", hint)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^(?:{_WINDOW})$"}


_DAY = r"[A-Za-z]{3}(-[A-Za-z]{3})?"
_WINDOW = rf"({_DAY}(,{_DAY})* +)?[0-9]{{1,2}}:[0-9]{{2}}-[0-9]{{1,2}}:[0-9]{{2}}( +[A-Za-z][A-Za-z0-9_+/-]*)?"


class Many(msgspec.Struct, frozen=True, kw_only=True):
    """A list. `or_one`: a single value may stand without its list."""

    of: Any
    least: int = 0
    or_one: bool = False

    def read(self, node: Node, path: str, problems: Problems) -> tuple[Any, ...] | Bad:
        if node.kind != "list":
            if self.or_one:
                value = self.of.read(node, path, problems)
                return value if isinstance(value, Bad) else (value,)
            return problems.add(node, f"{path} is not a list.", f"Begin each item of {path} with a dash.")
        if len(node.items) < self.least:
            return problems.add(node, f"{path} is an empty list.", f"Give at least {self.least}.")
        values = [self.of.read(item, f"{path}[{n}]", problems) for n, item in enumerate(node.items)]
        return BAD if any(isinstance(value, Bad) for value in values) else tuple(values)

    def schema(self) -> dict[str, Any]:
        several: dict[str, Any] = {"type": "array", "items": self.of.schema()}
        if self.least:
            several["minItems"] = self.least
        return {"anyOf": [self.of.schema(), several]} if self.or_one else several


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a form. `default` is what its absence means, as a person would write it."""

    name: str
    kind: Any
    doc: str
    default: str = ""
    required: bool = False


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """A form as somebody filled it in. `marks` has the node of every field that was written, readable or not."""

    node: Node
    values: Mapping[str, Any]
    marks: Mapping[str, Node]
    bad: frozenset[str]

    def get(self, name: str, default: Any = None) -> Any:
        return self.values.get(name, default)

    def mark(self, name: str) -> Node:
        """Where to point for a field: at it, or at the form where it was not written."""
        return self.marks.get(name, self.node)


_SETTING = r"[A-Za-z][A-Za-z_.-]{0,39}|[A-Za-z][A-Za-z0-9_.-]{0,15}"
"""What may be repeated of an unknown key: one that could be the name of a setting, and no key that has digits."""


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """A map with known keys."""

    fields: tuple[Field, ...]

    def read(self, node: Node, path: str, problems: Problems) -> Filled | Bad:
        if node.kind != "map":
            needs = ", ".join(field.name for field in self.fields[:3])
            return problems.add(node, f"{path} is not a map.", f"Write its settings below it: {needs}.")
        known = {field.name: field for field in self.fields}
        values: dict[str, Any] = {}
        marks: dict[str, Node] = {}
        for key, value in node.pairs:
            below = f"{path}.{key.text}" if path else key.text
            if key.text not in known:
                named = below if re.fullmatch(_SETTING, key.text) else f"{path or 'this file'}: a line"
                problems.add(key, f"{named} is not a setting of keyturn.", did_you_mean(key.text, known))
            else:
                marks[key.text] = key if value.kind != "text" else value
                values[key.text] = known[key.text].kind.read(value, below, problems)
        for field in self.fields:
            if field.required and field.name not in marks:
                below = f"{path}.{field.name}" if path else field.name
                problems.add(node, f"{below} is missing.", field.doc)
        bad = {field.name for field in self.fields if field.required and field.name not in marks}
        bad |= {name for name, value in values.items() if isinstance(value, Bad)}
        good = {name: value for name, value in values.items() if not isinstance(value, Bad)}
        return Filled(node=node, values=good, marks=marks, bad=frozenset(bad))

    def schema(self) -> dict[str, Any]:
        described: dict[str, Any] = {
            "type": "object",
            "properties": {field.name: _described(field) for field in self.fields},
            "additionalProperties": False,
        }
        required = [field.name for field in self.fields if field.required]
        return {**described, "required": required} if required else described


def _described(field: Field) -> dict[str, Any]:
    default = f" Default: {field.default}." if field.default else ""
    return {**field.kind.schema(), "description": f"{field.doc}{default}"}


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A map whose keys a person chooses."""

    of: Any
    key: Text

    def read(self, node: Node, path: str, problems: Problems) -> Mapping[str, Any] | Bad:
        if node.kind != "map" or not node.pairs:
            return problems.add(node, f"{path} has nothing in it.", f"Below {path}, write {self.key.what} and a colon.")
        read = {
            key.text: (self.key.read(key, path, problems), self.of.read(value, f"{path}.{key.text}", problems))
            for key, value in node.pairs
        }
        return {name: value for name, (key, value) in read.items() if not isinstance(key, Bad)}

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "minProperties": 1,
            "propertyNames": self.key.schema(),
            "additionalProperties": self.of.schema(),
        }


class OneOf(msgspec.Struct, frozen=True, kw_only=True):
    """A map with exactly one key, which says what its value is: the result is (key, value)."""

    forms: Mapping[str, Any]

    def read(self, node: Node, path: str, problems: Problems) -> tuple[str, Any] | Bad:
        names = " or ".join(self.forms)
        if node.kind != "map" or len(node.pairs) != 1:
            return problems.add(
                node, f"{path} must name exactly one kind.", f"Write {names}, a colon, and its settings."
            )
        ((key, value),) = node.pairs
        if key.text not in self.forms:
            return problems.add(
                key, f"{path}: {shown(key.text)} is not known here.", did_you_mean(key.text, self.forms)
            )
        read = self.forms[key.text].read(value, f"{path}.{key.text}", problems)
        return BAD if isinstance(read, Bad) else (key.text, read)

    def schema(self) -> dict[str, Any]:
        return {"oneOf": [_only(name, form.schema()) for name, form in self.forms.items()]}


def _only(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": False}


class Either(msgspec.Struct, frozen=True, kw_only=True):
    """A word in the usual case, a map where more is to be said."""

    word: Any
    form: Any

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        chosen = self.form if node.kind == "map" else self.word
        return chosen.read(node, path, problems)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.word.schema(), self.form.schema()]}
