"""The budget stays below Azure's buckets, and is hardly slower than they are."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from keyturn.azure.budget import ARM_RATES, VAULT_RATES, Budget
from keyturn.testing import ManualClock
from keyturn_emulator.throttling import Throttle


def spend(budget: Budget, clock: ManualClock, kind: str, calls: int) -> float:
    """Take that many calls; the seconds it took."""
    start = clock.boottime()
    assert all(budget.take(kind) for _ in range(calls))
    return clock.boottime() - start


def test_a_full_bucket_is_spent_without_waiting() -> None:
    clock = ManualClock()
    assert spend(Budget(clock, ARM_RATES, share=1.0), clock, "writes", 198) == 0


@pytest.mark.parametrize(("kind", "size", "rate"), [("reads", 250, 25), ("writes", 200, 10)])
def test_a_thousand_calls_take_hardly_longer_than_azures_own_bucket_allows(kind: str, size: int, rate: int) -> None:
    clock = ManualClock()
    bound = (1000 - size) / rate
    assert bound <= spend(Budget(clock, ARM_RATES, share=1.0), clock, kind, 1000) <= 1.05 * bound


def test_azures_throttle_refuses_none_of_a_thousand_writes_that_follow_its_headers() -> None:
    clock, throttle = ManualClock(), Throttle()
    budget = Budget(clock, ARM_RATES, share=1.0)
    start, refused = clock.boottime(), 0
    for number in range(1000):
        assert budget.take("writes")
        sent_at = clock.boottime()
        clock.move(timedelta(seconds=0.02 + 0.03 * (number % 7) / 7))  # the way there
        toll = throttle.take("azure", "principal", "PATCH", clock.boottime(), own=False)
        clock.move(timedelta(seconds=0.01 + 0.02 * (number % 3) / 3))  # and back
        refused += toll.wait > 0
        budget.follow("writes", int(toll.headers["x-ms-ratelimit-remaining-subscription-writes"]), sent_at)
    assert refused == 0
    assert clock.boottime() - start <= 1.05 * 80 + 200 * 0.08


def test_half_a_share_takes_half_of_the_bucket_and_of_its_refill() -> None:
    clock = ManualClock()
    budget = Budget(clock, ARM_RATES, share=0.5)
    assert spend(budget, clock, "writes", 99) == 0
    assert spend(budget, clock, "writes", 50) == pytest.approx(50 / 5)


def test_what_azure_says_is_left_lowers_the_budget_but_never_raises_it() -> None:
    clock = ManualClock()
    budget = Budget(clock, ARM_RATES, share=1.0)
    budget.follow("writes", 9, clock.boottime())
    assert spend(budget, clock, "writes", 10) == 0
    budget.follow("writes", 199, clock.boottime())
    assert spend(budget, clock, "writes", 10) == pytest.approx(1.0)


def test_an_answer_that_took_long_is_not_held_against_the_tokens_that_came_back_meanwhile() -> None:
    clock = ManualClock()
    budget = Budget(clock, ARM_RATES, share=1.0)
    sent_at = clock.boottime()
    clock.move(timedelta(seconds=5))
    budget.follow("writes", 0, sent_at)
    assert spend(budget, clock, "writes", 50) == 0


def test_nobody_calls_before_a_retry_after_ends_and_only_that_kind_waits() -> None:
    clock = ManualClock()
    budget = Budget(clock, ARM_RATES)
    budget.close("writes", 17)
    assert spend(budget, clock, "reads", 1) == 0
    assert spend(budget, clock, "writes", 1) == pytest.approx(17)


def test_a_wait_beyond_the_last_instant_takes_nothing_and_does_not_wait() -> None:
    clock = ManualClock()
    budget = Budget(clock, ARM_RATES)
    budget.close("writes", 100)
    before = clock.boottime()
    assert not budget.take("writes", latest=before + 60)
    assert clock.boottime() == before


def test_a_wait_cut_short_because_the_process_stops_takes_nothing() -> None:
    class Stopping(ManualClock):
        def wait(self, seconds: float) -> None:
            """Told to stop."""

    budget = Budget(Stopping(), ARM_RATES)
    budget.close("writes", 100)
    assert not budget.take("writes")


def test_the_first_to_come_is_the_first_to_go() -> None:
    waiting, go = threading.Event(), threading.Event()

    class Held(ManualClock):
        def wait(self, seconds: float) -> None:
            waiting.set()
            go.wait()
            super().wait(seconds)

    clock = Held()
    budget = Budget(clock, ARM_RATES)
    budget.close("writes", 5)
    order: list[int] = []

    def take(number: int) -> None:
        assert budget.take("writes")
        order.append(number)

    threads = []
    for number in range(5):
        thread = threading.Thread(target=take, args=(number,))
        thread.start()
        threads.append(thread)
        while len(budget._queues["writes"]) <= number:
            waiting.wait(0.001)
    go.set()
    for thread in threads:
        thread.join()
    assert order == sorted(order)


def test_no_window_of_ten_seconds_holds_more_sets_than_a_vault_allows() -> None:
    clock = ManualClock()
    budget = Budget(clock, VAULT_RATES, share=1.0)
    times = []
    for _ in range(900):
        assert budget.take("sets")
        times.append(clock.boottime())
    assert max(sum(1 for t in times if start <= t < start + 10) for start in times) <= 300


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        Budget(ManualClock(), ARM_RATES, share)
