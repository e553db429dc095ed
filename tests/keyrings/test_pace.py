"""At a full share keyturn is as fast as Azure's own bucket allows, and is not refused."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from keyturn.model import Slot
from keyturn.ports import Applied, SendBy
from keyturn_emulator import seed
from keyturn_emulator.testing import RunningEmulator
from tests.contracts.emulated import Emulated

WRITES = 300
BOUND = (WRITES - 200) / 10  # emulated seconds: the bucket, then its refill (azure-facts 4)


def move_time_to_every_waiter(azure: RunningEmulator, done: threading.Event) -> None:
    while not done.is_set():
        waiters = azure.control("GET", "clock")["waiters"]
        if waiters:
            azure.control("POST", "clock", {"to": min(waiter["until"] for waiter in waiters)})
        else:
            done.wait(0.001)


def test_many_writes_at_once_take_hardly_longer_than_azure_allows_and_none_is_refused(emulated: Emulated) -> None:
    description = seed.default_description()
    description["services"][0]["subscriptions"] = [
        {"sid": f"s{number}", "display_name": f"S {number}", "scope": "/apis"} for number in range(20)
    ]
    emulated.azure.seed(description)
    credentials = [found for found in emulated.keyring.discover() if found.name != "master"]
    start, boot = emulated.clock.now(), emulated.clock.boottime()
    send_by = SendBy(at=start + timedelta(hours=1), boot=boot + 3600, seconds=60)
    done = threading.Event()
    driver = threading.Thread(target=move_time_to_every_waiter, args=(emulated.azure, done))
    driver.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            answers = list(
                pool.map(
                    lambda number: emulated.keyring.regenerate(credentials[number % 20], Slot.PRIMARY, send_by),
                    range(WRITES),
                )
            )
    finally:
        done.set()
        driver.join()
    assert all(isinstance(answer, Applied) for answer in answers)
    assert emulated.azure.control("GET", "arm")["throttled"] == 0
    assert BOUND <= emulated.clock.boottime() - boot <= 1.05 * BOUND
