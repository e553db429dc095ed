"""What hypothesis draws from: texts, numbers and JSON that nobody means, and how many times each property is tried."""

from __future__ import annotations

import json
import os
from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

TIMES: Final = int(os.environ.get("KEYTURN_HOSTILE_TIMES", "1"))
"""How many times as many examples as CI plays; more than one draws others each time."""


def tried(examples: int) -> settings:
    """`examples` of a property in CI, always the same ones."""
    return settings(
        max_examples=examples * TIMES,
        derandomize=TIMES == 1,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


STRANGE: Final = (
    "",
    "\0",
    "a\0b",
    "\x1b[31m",
    "\u202e",
    "\u2028",
    "\ud800",
    "é" * 300,
    "9" * 5_000,
    "-1",
    "1e999",
    "nan",
    "Infinity",
    "٣",
    "../..",
    "%",
    "%00",
    "%ff",
    "'",
    '"',
    "{{}}",
    "((((",
    "null",
    "x" * 20_000,
)
texts: Final = st.one_of(st.sampled_from(STRANGE), st.text(max_size=30))
encodable: Final = texts.filter(lambda text: all(not 0xD800 <= ord(each) < 0xE000 for each in text))
numbers: Final = st.one_of(
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**63, 2**64, 10**400, -(10**400), 0.5, -0.0, 1e308]),
    st.floats(),
)
scalars: Final = st.one_of(st.none(), st.booleans(), numbers, texts)


def json_like(names: st.SearchStrategy[str] = texts) -> st.SearchStrategy[Any]:
    """Anything that JSON can say."""
    return st.recursive(
        scalars,
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4)),
        max_leaves=12,
    )


def written(content: Any) -> bytes:
    """As JSON, half pairs and numbers without end included."""
    return json.dumps(content).encode()


def bodies(names: st.SearchStrategy[str] = texts) -> st.SearchStrategy[bytes]:
    """Bodies of requests: JSON, nearly JSON, and none at all."""
    return st.one_of(
        json_like(names).map(written),
        st.dictionaries(names, scalars, max_size=5).map(written),
        st.binary(max_size=40),
        st.sampled_from(
            [
                b"",
                b"{",
                b"[" * 20_000,
                b'{"a":' * 8_000,
                b"9" * 10_000,
                b'{"a":' + b"9" * 10_000 + b"}",
                b"\xff\xfe",
                b"NaN",
            ]
        ),
    )
