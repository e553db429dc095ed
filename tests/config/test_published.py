"""What is published of the configuration is what the code reads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from keyturn.config import json_schema
from keyturn.errors import Misconfigured

from . import published
from .samples import config

EXAMPLES = re.findall(r"```yaml\n(.*?)```", published.DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


def test_the_published_schema_is_current() -> None:
    assert published.SCHEMA.read_text(encoding="utf-8") == published.schema_text(), "python tests/config/published.py"


def test_the_reference_in_the_documentation_is_current() -> None:
    assert published.DOCUMENT.read_text(encoding="utf-8") == published.document_text(), (
        "python tests/config/published.py"
    )


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_documentation_is_a_configuration(example: str) -> None:
    assert config(example).policies


def test_every_pattern_of_the_schema_is_one_that_editors_know() -> None:
    """JSON Schema's patterns are ECMAScript's: inline flags and possessive parts are Python's own."""
    patterns = re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', json.dumps(json_schema()))
    assert patterns
    odd = [pattern for pattern in map(json.loads, patterns) if re.search(r"\(\?[aiLmsux]|\(\?P|\\A|\\Z", pattern)]
    assert odd == []


def _valid(value: Any, schema: dict[str, Any]) -> bool:
    """As much of JSON Schema as ours uses; a word that is not known here fails the test."""
    types = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    checks: dict[str, Callable[[Any], bool]] = {
        "type": lambda wanted: isinstance(value, types[wanted]) and (wanted == "boolean" or value is not True),
        "enum": lambda words: value in words,
        "pattern": lambda pattern: not isinstance(value, str) or re.search(pattern, value) is not None,
        "minimum": lambda least: value >= least,
        "maximum": lambda most: value <= most,
        "minItems": lambda least: len(value) >= least,
        "minProperties": lambda least: len(value) >= least,
        "items": lambda of: all(_valid(item, of) for item in value),
        "required": lambda names: set(names) <= set(value),
        "properties": lambda known: all(_valid(value[name], of) for name, of in known.items() if name in value),
        "additionalProperties": lambda of: all(
            of is not False and _valid(value[name], of) for name in value if name not in schema.get("properties", {})
        ),
        "propertyNames": lambda of: all(_valid(name, of) for name in value),
        "anyOf": lambda several: any(_valid(value, of) for of in several),
        "oneOf": lambda several: sum(_valid(value, of) for of in several) == 1,
    }
    words = [word for word in schema if word not in ("$schema", "title", "description")]
    words.sort(key=lambda word: word != "type")
    return all(checks[word](schema[word]) for word in words)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_schema_accepts_the_examples(example: str) -> None:
    assert _valid(yaml.safe_load(example), json_schema())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("policies:", "polices:"),
        ("name: partners", "nam: partners"),
        ("vault: shop-kv", "vult: shop-kv"),
        ("keyvault:", "keyvalt:"),
        ("match: { service", "drain: 24\n    match: { service"),
        ("match: { service", "drain: 24x\n    match: { service"),
        ("match: { service", "rotate: { window: x }\n    match: { service"),
        ("match: { service", "accepts: 0\n    match: { service"),
        ("match: { service", "renew: always\n    match: { service"),
        ("/subscriptions/0000", "/subscription/0000"),
    ],
)
def test_the_schema_refuses_what_keyturn_refuses(old: str, new: str) -> None:
    broken = EXAMPLES[0].replace(old, new, 1)
    assert broken != EXAMPLES[0]
    assert not _valid(yaml.safe_load(broken), json_schema())
    with pytest.raises(Misconfigured):
        config(broken)
