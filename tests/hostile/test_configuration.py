"""Whatever stands in a configuration: it is read, or refused with file and line, and no secret is repeated."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.assemble import read
from keyturn.config import Config, parse
from keyturn.errors import Misconfigured
from keyturn.yaml_marks import MOST_NODES, read_text
from tests.config.samples import HOOK, SERVICES, policy
from tests.hostile.clients import PATIENCE
from tests.hostile.drawn import texts, tried

SECRET: Final = "hunterhunterhunterhunter"
FILE: Final = "keyturn.yaml"
GOOD: Final = (
    f"{SERVICES}policies:\n"
    + policy(
        "rotate: {every: 30d, window: ['Mon-Thu 09:00-16:00 Europe/Oslo'], jitter: 2d}, drain: {time: 24h, max: 5d}, "
        "probe: {path: /status/ping}, consumers: {cache: 1h}, renew: set, adopt: primary, accepts: 5,",
        publish=f'publish: [{{keyvault: {{vault: shop-kv, secret: "apim-{{sid}}"}}}}, {HOOK}, '
        "{file: {path: out/keys.env, variable: KEY}}, {namedvalue: {name: k, service: mail}}]",
    )
    + "ledger: sqlite:///k.db\nbudget: {share: 25%}\nworkers: 3\nsalt: {env: SALT}\n"
    "signin: {client_secret: {tenant: t, client_id: c, secret_env: S}}\n"
)
"""A configuration with something of most kinds, to bend."""
WORDS: Final = sorted(set(re.findall(r"[A-Za-z_]+|[0-9]+[a-z%]?|[{}\[\]:,'\"]|\n", GOOD)))
ODD: Final = (
    "&a ", "*a", "!!python/object:os.system ", "!x ", "<<: *a", "---\n", "...\n", "%YAML 9.9\n", "? ", "- ", "|\n  ",
    ">\n", "\t", "  ", "#", "{" * 200, "[" * 200, "9" * 400, "-1", ".inf", ".nan", "0x10", "1:30", "no", "~", "null",
    "é", "\u202e", '"\\ud800"', '"\\0"', '"\\e[31m"', "\ufeff", "\x85", "\u2028", "\U0001f600", "'", '"', "2001-01-01",
    "=",
)  # fmt: skip


def outcome(text: str) -> Config | list[str]:
    """A configuration, or what is wrong with the text. Raises whatever is no Misconfigured."""
    begun, where = time.monotonic(), f"{FILE}:1"
    try:
        found: Config | list[str] = parse(read_text(text, FILE), FILE)
    except Misconfigured as refused:
        found, where = list(refused.problems), refused.where
    assert re.match(rf"{FILE}:\d+$", where), where
    assert time.monotonic() - begun < PATIENCE
    return found


def assert_told_well(found: Config | list[str]) -> None:
    if isinstance(found, Config):
        return
    assert found
    for line in found:
        assert re.match(rf"{FILE}:\d+:\d+  .", line), line
        assert line.isprintable(), f"a terminal would obey {line!r}"
        assert len(line) < 1_000


@tried(250)
@given(text=st.lists(st.one_of(st.sampled_from(WORDS), st.sampled_from(ODD), texts), max_size=40).map("".join))
def test_any_text_is_a_configuration_or_is_refused_with_its_place(text: str) -> None:
    assert_told_well(outcome(text))


@st.composite
def bent(draw: st.DrawFn) -> str:
    """The good one with a few pieces taken out, doubled, swapped or replaced."""
    found = GOOD
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(found)))
        to = min(len(found), at + draw(st.integers(0, 30)))
        put = draw(st.one_of(st.sampled_from(WORDS), st.sampled_from(ODD), st.just(found[at:to] * 2), st.just("")))
        found = found[:at] + put + found[to:]
    return found


@tried(350)
@given(text=bent())
def test_a_bent_configuration_is_read_or_refused_with_its_place(text: str) -> None:
    assert_told_well(outcome(text))


SCALARS: Final = [found.span() for found in re.finditer(r"(?<=[:,\[] )[^\s{}\[\],'\"][^{}\[\],\n'\"]*", GOOD)]
"""Where a single value stands."""


@tried(250)
@given(place=st.sampled_from(SCALARS), text=st.one_of(texts, st.sampled_from(ODD)))
def test_any_value_in_any_place_is_read_or_refused(place: tuple[int, int], text: str) -> None:
    quoted = '"' + "".join(f"\\U{ord(each):08x}" if not each.isalnum() else each for each in text) + '"'
    for written in (quoted, text):
        assert_told_well(outcome(GOOD[: place[0]] + written + GOOD[place[1] :]))


@pytest.mark.parametrize("letters", ["9" * 5_000, "{" * 5_000, "{a" * 3_000, "{%s}" % ("a" * 5_000), "x" * 20_000])
def test_a_value_beyond_reason_is_not_repeated_whole_in_any_place(letters: str) -> None:
    for start, end in SCALARS:
        assert_told_well(outcome(f'{GOOD[:start]}"{letters}"{GOOD[end:]}'))


HUSHED: Final = {
    "a variable's name": "salt: {env: %s}",
    "the client secret's variable": "signin: {client_secret: {tenant: t, client_id: c, secret_env: '%s='}}",
    "a table's connection": "ledger: {table: {connection_env: 'AccountKey=%s'}}",
    "an address": "ledger: {table: {url: 'https://u:%s@shop.table.core.windows.net'}}",
    "a ledger's address": "ledger: postgresql://u:%s@host/db",
    "an unknown alias": "salt: {env: *%s}",
    "a tag": "salt: {env: !%s x}",
    "an anchor twice": "salt: {env: &%s x}\nworkers: &%s 3",
    "an unknown setting": "'%s7': x",
    "an unknown escape": 'salt: {env: "%s\\q"}',
    "a text that does not end": 'salt: {env: "%s',
}


@pytest.mark.parametrize("line", HUSHED.values(), ids=HUSHED)
def test_a_secret_in_the_wrong_place_is_not_repeated(line: str) -> None:
    """Where somebody may well write the secret itself."""
    found = outcome(re.sub(r"^(ledger|salt|signin):.*\n", "", GOOD, flags=re.MULTILINE) + line.replace("%s", SECRET))
    if isinstance(found, list):
        assert_told_well(found)
        assert SECRET not in "\n".join(found)


LAUGHS: Final = {
    "a billion laughs": "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)),
    "policies of policies": (
        "services: {s: {id: x}}\nk: &k {keyvault: {vault: v, secret: s}}\nt: &t {kind: management, publish: ["
        + ", ".join(["*k"] * 1000) + "]}\np: &p {name: n, match: {sid: x}, tokens: [" + ", ".join(["*t"] * 1000)
        + "]}\npolicies: [" + ", ".join(["*p"] * 1000) + "]\n"
    ),
    "deep lists": "a: " + "[" * 20_000 + "]" * 20_000,
    "deep maps": "a: " + "{b: " * 5_000 + "x" + "}" * 5_000,
    "deep lines": "\n".join(" " * n + "a:" for n in range(2_000)),
    "a list in itself": "a: &a [*a]",
    "a map in itself": "a: &a {b: *a}",
    "a key of a megabyte": "x" * 1_000_000 + ": y",
    "a value of a megabyte": SERVICES + "workers: '" + "x" * 1_000_000 + "'",
    "two thousand unknown keys": "".join(f"k{n}: x\n" for n in range(2_000)),
    "a number of a megabyte": SERVICES + "workers: " + "9" * 1_000_000,
    "a duration of a megabyte": f"{SERVICES}policies:\n" + policy(f"drain: {'9' * 1_000_000}h,"),
}  # fmt: skip
LAUGHS["a billion laughs"] = "a0: &a0 x\n" + LAUGHS["a billion laughs"]


@pytest.mark.parametrize("text", LAUGHS.values(), ids=LAUGHS)
def test_what_is_deep_or_large_is_refused_in_time(text: str) -> None:
    found = outcome(text)
    assert isinstance(found, list)
    assert_told_well(found)


def test_a_large_and_honest_configuration_is_read() -> None:
    """Five hundred policies with a shared list of sinks are no bomb."""
    lines = "".join(policy(name=f"p{n}", match=f"{{sid: s{n}-*}}") for n in range(500))
    found = outcome(f"{SERVICES}policies:\n{lines}")
    assert isinstance(found, Config) and len(found.policies) == 500
    assert MOST_NODES >= 100_000


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"\x00" * 100, "services:".encode("utf-16"), b"\xef\xbb\xbf", b"a: \x1b[31m", b"\xed\xa0\x80"],
)
def test_a_file_of_other_bytes_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "keyturn.yaml"
    path.write_bytes(content)
    with pytest.raises(Misconfigured) as refused:
        read(path)
    assert refused.value.message.isprintable() and str(path) in refused.value.message
