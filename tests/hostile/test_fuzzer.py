"""The fuzzer of token parsing finds nothing in what is there, and finds what is put there."""

from __future__ import annotations

import pytest

from keyturn import tokens
from tests.hostile.drawn import TIMES
from tests.hostile.fuzzer import CORPUS, check, fuzz

SEED = 7


def test_each_form_of_the_corpus_is_read_as_it_should_be() -> None:
    assert [check(text) for text in CORPUS] == [""] * len(CORPUS)


def test_the_fuzzer_finds_nothing_and_gets_far() -> None:
    found = fuzz(SEED, times=6_000 * TIMES)
    assert found.broken == ()
    assert found.kept > 3, "it found no way into the parser"
    assert found.lines > 40


def test_a_parser_that_breaks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that reads a minute without looking at its digits first."""
    monkeypatch.setattr(tokens, "_short_expiry", lambda stated: tokens._moment(f"{int(stated)}"))
    assert fuzz(SEED, times=300).broken


def test_a_seed_replays() -> None:
    assert fuzz(SEED, times=500) == fuzz(SEED, times=500)
