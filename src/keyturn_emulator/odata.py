"""The `$filter` of API Management's lists: the documented part of OData, and nothing besides.

Decides: which filters are understood, and whether an entity meets one. Never here: which fields a kind of entity has
(its own room says so), or a list.

    filter     = and-part *( "or" and-part )
    and-part   = term *( "and" term )
    term       = "(" filter ")" | "not" ( "(" filter ")" | function ) | function | field operator text
    function   = ( "contains" | "startswith" | "endswith" ) "(" field "," text ")"
               | "substringof" "(" text "," field ")"
    operator   = "eq" | "ne" | "gt" | "ge" | "lt" | "le"

Operators, functions and fields are documented (azure-facts 1.4). That the words combine by `and`, `or`, `not` and
parentheses is OData's own rule; texts are compared without case, and null is equal to no text.
A field may be spelled `properties/scope`, as recorded (azure-recorded 5).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, NoReturn, TypeVar

Entity = TypeVar("Entity")
Meets = Callable[[Entity], bool]
Compare = Callable[[str, str], bool]

_OPERATORS: Final[Mapping[str, Compare]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_FUNCTIONS: Final[Mapping[str, Compare]] = {
    "contains": lambda value, wanted: wanted in value,
    "substringof": lambda value, wanted: wanted in value,
    "startswith": str.startswith,
    "endswith": str.endswith,
}
_TOKEN: Final = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<word>[\w/.]+)|(?P<sign>[(),]))")

DEEPEST: Final = 30
"""Parentheses within parentheses; nobody knows how many Azure reads."""


class FilterNotServed(ValueError):
    """The filter says something that is not documented; the text names it and where it stands."""


@dataclass(frozen=True)
class Field(Generic[Entity]):
    """`read` gets the entity and the text it is compared with, which may choose the spelling of an id."""

    read: Callable[[Entity, str], str | None]
    equality_only: bool = False


def read_filter(text: str, fields: Mapping[str, Field[Entity]]) -> Meets[Entity]:
    """What an entity has to meet. `fields` by lower-case name. Raises FilterNotServed."""
    return _Reader(text, fields).whole()


class _Reader(Generic[Entity]):
    """Reads one filter from left to right: one method for each line of the grammar."""

    def __init__(self, text: str, fields: Mapping[str, Field[Entity]]) -> None:
        self._text = text
        self._fields = fields
        self._tokens = self._cut(text)
        self._next = 0
        self._depth = 0

    def whole(self) -> Meets[Entity]:
        """The filter from its first token to its last. Raises FilterNotServed."""
        found = self._either()
        if self._peek():
            self._refuse(f"'{self._peek()}' where the filter should end")
        return found

    def _either(self) -> Meets[Entity]:
        parts = [self._both()]
        while self._take_word("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda entity: any(part(entity) for part in parts)

    def _both(self) -> Meets[Entity]:
        parts = [self._term()]
        while self._take_word("and"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else lambda entity: all(part(entity) for part in parts)

    def _term(self) -> Meets[Entity]:
        if self._take_word("not"):
            return self._negated()
        if self._peek() == "(":
            return self._in_parentheses()
        if self._after_next() == "(":
            return self._function()
        return self._comparison()

    def _negated(self) -> Meets[Entity]:
        """`not` binds closer than an operator, so that OData has it before parentheses and functions only."""
        if self._peek() != "(" and self._after_next() != "(":
            self._refuse("'not' before a comparison without parentheses")
        inner = self._term()
        return lambda entity: not inner(entity)

    def _in_parentheses(self) -> Meets[Entity]:
        self._expect("(")
        self._depth += 1
        if self._depth > DEEPEST:
            self._refuse(f"more than {DEEPEST} parentheses within each other")
        inner = self._either()
        self._depth -= 1
        self._expect(")")
        return inner

    def _function(self) -> Meets[Entity]:
        name = self._take()
        compare = _FUNCTIONS.get(name.lower())
        if compare is None:
            self._refuse(f"the function '{name}'")
        self._expect("(")
        if name.lower() == "substringof":
            wanted = self._literal()
            self._expect(",")
            field = self._field(self._take(), name)
        else:
            field = self._field(self._take(), name)
            self._expect(",")
            wanted = self._literal()
        self._expect(")")
        return _meets(field, compare, wanted)

    def _comparison(self) -> Meets[Entity]:
        name, word = self._take(), self._take()
        compare = _OPERATORS.get(word.lower())
        if compare is None:
            self._refuse(f"the operator '{word}'")
        field, wanted = self._field(name, word), self._literal()
        if word.lower() == "ne":
            equal = _meets(field, operator.eq, wanted)
            return lambda entity: not equal(entity)
        return _meets(field, compare, wanted)

    def _field(self, name: str, used_by: str) -> Field[Entity]:
        field = self._fields.get(name.lower().removeprefix("properties/"))
        if field is None:
            self._refuse(f"the field '{name}'")
        if field.equality_only and used_by.lower() != "eq":
            self._refuse(f"'{used_by}' of the field '{name}', which takes eq only")
        return field

    def _literal(self) -> str:
        token = self._take()
        if not token.startswith("'"):
            self._refuse(f"'{token}' where a text in single quotes should stand")
        return token[1:-1].replace("''", "'")

    # tokens

    def _cut(self, text: str) -> list[str]:
        tokens: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                self._refuse(f"what begins with '{text[at:].strip()[:10]}'")
            tokens.append(found[0].strip() if found["text"] is None else found["text"])
            at = found.end()
        return tokens

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _after_next(self) -> str:
        return self._tokens[self._next + 1] if self._next + 1 < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        if not token:
            self._refuse("an end in the middle")
        self._next += 1
        return token

    def _take_word(self, word: str) -> bool:
        """Whether the next token is that word; then it is taken."""
        found = self._peek().lower() == word
        self._next += found
        return found

    def _expect(self, sign: str) -> None:
        token = self._peek()
        if token != sign:
            self._refuse(f"'{token}' where '{sign}' should stand" if token else f"an end where '{sign}' should stand")
        self._next += 1

    def _refuse(self, what: str) -> NoReturn:
        raise FilterNotServed(f"{what} in the $filter {self._text}")


def _meets(field: Field[Entity], compare: Compare, wanted: str) -> Meets[Entity]:
    folded = wanted.lower()

    def meets(entity: Entity) -> bool:
        value = field.read(entity, wanted)
        return value is not None and compare(value.lower(), folded)

    return meets
