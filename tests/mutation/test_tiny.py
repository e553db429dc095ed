"""The suite of `tiny`."""

from __future__ import annotations

from tests.mutation.tiny import Pile, between, halves, is_many


def test_a_few_are_not_many() -> None:
    assert not is_many(2)
    assert is_many(4)


def test_a_pile_is_counted() -> None:
    assert Pile(2).told == "2 of them"
    assert Pile(0).told == "none"


def test_eight_is_halved_three_times() -> None:
    assert halves(8) == 3


def test_a_count_stays_between_its_bounds() -> None:
    assert [between(2, count, 4) for count in (1, 3, 5)] == [2, 3, 4]
