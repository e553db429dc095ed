"""The machine's clock, and the emulator's."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from keyturn.clocks.emulator import EmulatorClock
from keyturn.clocks.system import SystemClock
from keyturn.errors import TryAgain
from keyturn_emulator.testing import RunningEmulator
from tests.contracts.emulated import Emulated


def test_the_systems_time_is_aware_utc_and_its_boot_time_never_goes_back() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
    readings = [clock.boottime() for _ in range(100)]
    assert readings == sorted(readings)


def test_a_wait_ends_when_the_process_is_asked_to_stop() -> None:
    clock = SystemClock()
    waiting = threading.Thread(target=clock.wait, args=(3600.0,))
    waiting.start()
    clock.stop.set()
    waiting.join(60)
    assert not waiting.is_alive()


def test_random_bytes_are_as_many_as_asked_and_do_not_repeat() -> None:
    clock = SystemClock()
    drawn = {clock.random_bytes(16) for _ in range(100)}
    assert len(drawn) == 100 and {len(each) for each in drawn} == {16}


def test_emulated_time_stands_still_until_it_is_moved(emulated: Emulated) -> None:
    clock = emulated.clock
    start, boot = clock.now(), clock.boottime()
    assert start == datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert (clock.now(), clock.boottime()) == (start, boot)
    emulated.azure.advance(86400)
    assert (clock.now() - start, clock.boottime() - boot) == (timedelta(days=1), 86400)


def test_the_first_reading_after_a_move_shows_it_however_soon_it_is_taken(emulated: Emulated) -> None:
    start = emulated.clock.now()
    boot = emulated.clock.boottime()
    for moves in range(1, 100):
        emulated.azure.advance(60)
        assert emulated.clock.boottime() - boot == moves * 60
        assert emulated.clock.now() - start == timedelta(minutes=moves)


def test_a_jump_of_the_emulated_clock_lets_no_boot_time_pass(emulated: Emulated) -> None:
    start, boot = emulated.clock.now(), emulated.clock.boottime()
    emulated.azure.control("POST", "clock", {"jump": 3600})
    assert (emulated.clock.now() - start, emulated.clock.boottime() - boot) == (timedelta(hours=1), 0)


def wait_for_waiter(azure: RunningEmulator, name: str) -> None:
    while name not in [waiter["name"] for waiter in azure.control("GET", "clock")["waiters"]]:
        pass


def test_a_wait_ends_when_that_much_emulated_time_has_passed_and_not_before(emulated: Emulated) -> None:
    ready = emulated.azure.ready
    clock = EmulatorClock(ready["control"], ready["secret"], name="sleeper")
    ended = threading.Event()

    def sleep() -> None:
        clock.wait(100)
        ended.set()

    thread = threading.Thread(target=sleep)
    thread.start()
    wait_for_waiter(emulated.azure, "sleeper")
    emulated.azure.advance(99)
    wait_for_waiter(emulated.azure, "sleeper")
    assert not ended.is_set()
    emulated.azure.advance(1)
    thread.join(60)
    assert ended.is_set()


def test_a_wait_of_less_than_the_clock_counts_ends(emulated: Emulated) -> None:
    emulated.clock.wait(1e-7)


def test_a_wait_is_not_shortened_by_a_jump(emulated: Emulated) -> None:
    ready = emulated.azure.ready
    clock = EmulatorClock(ready["control"], ready["secret"], name="jumped")
    thread = threading.Thread(target=clock.wait, args=(100.0,))
    thread.start()
    wait_for_waiter(emulated.azure, "jumped")
    emulated.azure.control("POST", "clock", {"jump": 1000})
    wait_for_waiter(emulated.azure, "jumped")
    assert thread.is_alive()
    emulated.azure.advance(100)
    thread.join(60)
    assert not thread.is_alive()


def test_a_wrong_secret_and_an_absent_emulator_are_errors_that_hold_no_secret(emulated: Emulated) -> None:
    for url in (emulated.azure.ready["control"], "http://127.0.0.1:9/_emulator"):
        with pytest.raises(TryAgain) as raised:
            EmulatorClock(url, "a-wrong-secret").now()
        assert "a-wrong-secret" not in str(raised.value)
