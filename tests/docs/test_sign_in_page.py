"""docs/sign-in.md: its blocks are configurations, and its tables leave nothing out."""

from __future__ import annotations

import re

import pytest

from keyturn.azure.signin_failures import SAYINGS
from keyturn.cli import staging
from keyturn.config.table import SIGNIN
from keyturn.errors import Misconfigured, Refused, TryAgain
from tests.config.samples import config, one_policy
from tests.docs.pages import DOCS, read

PAGE = read(DOCS / "sign-in.md")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_each_block_is_a_part_of_a_configuration(block: str) -> None:
    config(one_policy(rest=block))


def test_every_way_has_a_block_and_a_line_in_the_first_table() -> None:
    first = PAGE.partition("\n## ")[0]
    for way in (*SIGNIN.forms, "default"):
        assert f"| [`{way}`](#" in first
        assert any(re.search(rf"signin: {way}\n|  {way}:", block) for block in BLOCKS), way


def test_every_code_of_entra_that_has_a_sentence_is_told_with_that_sentence() -> None:
    rows = [line for line in PAGE.splitlines() if "AADSTS" in line and line.startswith("|")]
    told = {code: row for row in rows for code in re.findall(r"AADSTS(\d+)", row)}
    assert set(told) == set(SAYINGS)
    for code, (kind, sentence, _) in SAYINGS.items():
        assert kind in (Refused, Misconfigured, TryAgain)
        assert re.sub(r"\{\w+\}", "…", sentence) in told[code]


def test_every_way_of_the_emulator_is_in_its_table() -> None:
    assert re.findall(r"^\| `([a-z-]+)`.*\| `(?:AZURE|ACTIONS|IDENTITY)", PAGE, re.MULTILINE) == list(staging.WAYS)
