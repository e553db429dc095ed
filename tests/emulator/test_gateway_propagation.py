"""What a gateway has heard of, against a plain restatement of the rule."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyturn_emulator.propagation import GatewayView, Slot

VALUES = ("a", "b", "c")
SLOTS: tuple[Slot, ...] = ("primary", "secondary")


@dataclass(frozen=True)
class Write:
    wait: int  # seconds since the write before it
    slot: Slot
    value: str


writes = st.lists(st.builds(Write, st.integers(0, 6), st.sampled_from(SLOTS), st.sampled_from(VALUES)), max_size=8)


def accepted(told: list[tuple[int, Write]], new: int, old: int, now: int) -> set[tuple[str, Slot]]:
    """A value is accepted once its write is `new` seconds old, until a later write of its slot is `old` seconds old."""
    return {
        (write.value, write.slot)
        for number, (at, write) in enumerate(told)
        if now >= at + new
        and not any(later.slot == write.slot and now >= then + old for then, later in told[number + 1 :])
    }


@pytest.mark.witness("each-gateway-has-its-delays")
@settings(derandomize=True, max_examples=300, deadline=None)
@given(writes, st.integers(0, 8), st.integers(0, 8), st.booleans())
def test_a_gateway_accepts_exactly_what_its_delays_let_it(
    planned: list[Write], new: int, old: int, look_between: bool
) -> None:
    view = GatewayView(new, old)
    told: list[tuple[int, Write]] = []
    now = 0
    for number, write in enumerate(planned, 1):
        now += write.wait
        view.tell_key(now, "sid", write.slot, write.value, number)
        told.append((now, write))
        if look_between:
            view.settle(now)
    for later in range(now, now + 20):
        view.settle(later)
        found = {(value, grant.slot) for value in VALUES for grant in view.grants(value)}
        assert found == accepted(told, new, old, later)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from(("active", "suspended"))), min_size=1),
    st.integers(0, 8),
    st.integers(0, 8),
)
def test_a_gateway_ends_with_the_last_state_in_whatever_order_the_news_came(
    changes: list[tuple[int, str]], new: int, old: int
) -> None:
    view = GatewayView(new, old)
    now = 0
    for number, (wait, state) in enumerate(changes, 1):
        now += wait
        view.tell_standing(now, "sid", state, "/apis", number)
    view.settle(now + 10)
    standing = view.standing("sid")
    assert standing is not None
    assert standing.state == changes[-1][1]


def test_nothing_is_kept_of_values_that_ended() -> None:
    view = GatewayView(5, 5)
    for number in range(1, 1001):
        view.tell_key(number, "sid", "primary", f"value-{number}", number)
    view.settle(2000)
    assert [value for value in range(1, 1001) if view.grants(f"value-{value}")] == [1000]
