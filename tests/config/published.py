"""Writes what is published from the configuration's table: the JSON Schema, and the reference in the documentation."""

from __future__ import annotations

import json
from pathlib import Path

import keyturn
from keyturn.config import json_schema, reference

SCHEMA = Path(keyturn.__file__).with_name("configuration.schema.json")
DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"
MARK = "published.py -->\n"


def schema_text() -> str:
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def document_text() -> str:
    """The document as it is up to the mark, then the reference as it should be."""
    by_hand, mark, _ = DOCUMENT.read_text(encoding="utf-8").partition(MARK)
    return f"{by_hand}{mark}\n{reference()}\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    DOCUMENT.write_text(document_text(), encoding="utf-8")
