"""The suite of `tiny`."""

from __future__ import annotations

from tests.mutation.tiny import Pile, halves, is_many


def test_a_few_are_not_many() -> None:
    assert not is_many(2)
    assert is_many(4)


def test_a_pile_is_counted() -> None:
    assert Pile(2).told == "2 of them"
    assert Pile(0).told == "none"


def test_eight_is_halved_three_times() -> None:
    assert halves(8) == 3
