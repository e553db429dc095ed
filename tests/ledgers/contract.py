"""What every ledger must do, whatever it is made of.

Subclass `LedgerContract` with a fixture `ledger_factory`: a callable that opens the same, at first empty, ledger as
often as it is called. Subclass `SharedLedgerContract` too where several processes may open it; its factory must be
picklable, because it is called in other processes.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from multiprocessing.connection import Connection
from typing import Protocol

import pytest

from keyturn.errors import Conflict
from keyturn.ledgers.holder import this_process
from keyturn.model import Event, Fingerprint, Hold, Mode, Record, Request, Slot, SlotRecord, Stage, Waiting, WriteIntent
from keyturn.ports import Holder, Ledger, Stored

NOW = datetime(2027, 3, 4, 5, 6, 7, 891234, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ELSEWHERE = Holder(host="another-host", boot_id="b", pid=1, started="1", nonce="n")


class OpenLedger(Ledger, Protocol):
    """A ledger that can be closed."""

    def close(self) -> None: ...


Factory = Callable[[], OpenLedger]


class SeededClock:
    """A clock that stands still; its random bytes repeat from run to run."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def now(self) -> datetime:
        return NOW

    def boottime(self) -> float:
        return 1.0

    def random_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def wait(self, seconds: float) -> None:
        raise AssertionError("a ledger never sleeps on this clock")


def record(name: str = "contoso", **changes: object) -> Record:
    return Record(key=f"/arm/{name}", id=f"shop/{name}").but(**changes)


def event(kind: str = "renewed", at: datetime = NOW) -> Event:
    return Event(at=at, kind=kind, sentence=f"It was {kind}.", rule="A1", facts={"slot": "primary", "ü": "✓"})


def full_record() -> Record:
    """A record with something in every place, deep ones and odd characters included."""
    intent = WriteIntent(
        mode=Mode.REGENERATE, candidates=(Fingerprint("ab" * 12),), before=Fingerprint("cd" * 12), sends=2, sent_at=NOW
    )
    slot = SlotRecord(fingerprint=Fingerprint("ef" * 12), written_at=NOW, quiet_since=NOW, intent=intent)
    return record(
        "späce / slash '\"",
        stage=Stage.DRAIN,
        since=NOW,
        active=Slot.SECONDARY,
        primary=slot,
        etag='"AAAA="',
        seq=7,
        written={"hook": Fingerprint("01" * 12)},
        not_before=NOW + MINUTE,
        waiting=Waiting(reason="quiet-slot", sentence="Until it is quiet."),
        hold=Hold(reason="asked", sentence="Somebody asked.", since=NOW),
        requested=Request(at=NOW, because="audit"),
        policy="partners 0123456789ab",
    )


class LedgerContract:
    """Every ledger, in memory or on a disk."""

    def test_an_unknown_key_has_no_record(self, ledger_factory: Factory) -> None:
        assert ledger_factory().load("/arm/nobody") is None

    def test_a_record_comes_back_as_it_was_saved(self, ledger_factory: Factory) -> None:
        saved = full_record()
        assert ledger_factory().save(saved, 0, []) == 1
        assert ledger_factory().load(saved.key) == Stored(record=saved, version=1)

    def test_each_save_gives_the_next_version(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        assert [ledger.save(record(seq=n), n, []) for n in range(4)] == [1, 2, 3, 4]
        assert ledger.load(record().key) == Stored(record=record(seq=3), version=4)

    @pytest.mark.parametrize("expected", [0, 1, 3])
    def test_a_save_against_another_version_writes_neither_record_nor_history(
        self, ledger_factory: Factory, expected: int
    ) -> None:
        ledger = ledger_factory()
        ledger.save(record(seq=1), 0, [event("first")])
        ledger.save(record(seq=2), 1, [event("second")])
        with pytest.raises(Conflict):
            ledger.save(record(seq=9), expected, [event("stale")])
        assert ledger.load(record().key) == Stored(record=record(seq=2), version=2)
        assert [line.event.kind for line in ledger.history()] == ["first", "second"]

    def test_a_record_that_is_not_there_cannot_be_changed(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        with pytest.raises(Conflict):
            ledger.save(record(), 1, [event()])
        assert ledger.load(record().key) is None
        assert list(ledger.history()) == []

    def test_records_come_by_id(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        for name in ("m", "z", "a"):
            ledger.save(record(name), 0, [])
        assert [found.id for found in ledger.records()] == ["shop/a", "shop/m", "shop/z"]

    def test_history_counts_over_the_whole_ledger_and_shows_the_newest_oldest_first(
        self, ledger_factory: Factory
    ) -> None:
        ledger = ledger_factory()
        ledger.save(record("a"), 0, [event("a1"), event("a2")])
        ledger.save(record("b"), 0, [event("b1")])
        ledger.save(record("a", seq=1), 1, [event("a3")])
        lines = list(ledger.history())
        assert [line.event.kind for line in lines] == ["a1", "a2", "b1", "a3"]
        assert [line.seq for line in lines] == list(range(lines[0].seq, lines[0].seq + 4))
        assert [line.event.kind for line in ledger.history(limit=2)] == ["b1", "a3"]
        assert [line.event.kind for line in ledger.history("/arm/a", 2)] == ["a2", "a3"]
        assert {line.key for line in ledger.history("/arm/a")} == {"/arm/a"}
        assert list(ledger.history("/arm/nobody")) == []

    def test_an_event_comes_back_as_it_was_saved(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        ledger.save(record(), 0, [event()])
        assert [line.event for line in ledger.history()] == [event()]

    def test_due_are_those_that_wait_no_more_longest_waiting_first(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        waits = {"later": NOW + MINUTE, "just": NOW, "long": NOW - MINUTE, "never": None}
        for name, until in waits.items():
            ledger.save(record(name, not_before=until), 0, [])
        assert list(ledger.due(NOW)) == ["/arm/never", "/arm/long", "/arm/just"]
        assert list(ledger.due(NOW + MINUTE)) == ["/arm/never", "/arm/long", "/arm/just", "/arm/later"]

    def test_due_compares_instants_to_the_microsecond_and_across_zones(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        oslo = timezone(timedelta(hours=1))
        ledger.save(record(not_before=(NOW + timedelta(microseconds=1)).astimezone(oslo)), 0, [])
        assert list(ledger.due(NOW)) == []
        assert list(ledger.due(NOW + timedelta(microseconds=1))) == ["/arm/contoso"]

    def test_a_held_record_is_not_due_until_it_is_released(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        ledger.save(record(hold=Hold(reason="asked", sentence="Somebody asked.", since=NOW)), 0, [])
        assert list(ledger.due(NOW)) == []
        ledger.save(record(), 1, [])
        assert list(ledger.due(NOW)) == ["/arm/contoso"]

    def test_a_note_is_kept_and_replaced(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        assert ledger.note("fence shop") is None
        ledger.put_note("fence shop", "proven")
        ledger.put_note("fence shop", "proven again")
        assert ledger_factory().note("fence shop") == "proven again"
        assert ledger.note("fence") is None

    def test_every_handle_tells_the_same_id_and_salt(self, ledger_factory: Factory) -> None:
        one, two = ledger_factory(), ledger_factory()
        assert (one.id, one.salt) == (two.id, two.salt)
        assert one.id
        assert len(one.salt) >= 16

    def test_a_lease_keeps_others_out_until_its_time_is_over(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        us = this_process(SeededClock())
        assert ledger.lease("k", ELSEWHERE, NOW, MINUTE)
        assert not ledger.lease("k", us, NOW + MINUTE - timedelta(microseconds=1), MINUTE)
        assert ledger.lease("k", us, NOW + MINUTE, MINUTE)
        assert not ledger.lease("k", ELSEWHERE, NOW + MINUTE, MINUTE)

    def test_a_lease_taken_by_a_clock_far_ahead_counts_as_over(self, ledger_factory: Factory) -> None:
        ledger, us = ledger_factory(), this_process(SeededClock())
        assert ledger.lease("k", ELSEWHERE, NOW + timedelta(days=400), MINUTE)
        assert ledger.lease("k", us, NOW, MINUTE)

    def test_a_lease_on_one_credential_leaves_the_others_free(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        assert ledger.lease("k", ELSEWHERE, NOW, MINUTE)
        assert ledger.lease("other", this_process(SeededClock()), NOW, MINUTE)

    def test_its_holder_extends_a_lease(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        assert ledger.lease("k", ELSEWHERE, NOW, MINUTE)
        assert ledger.lease("k", ELSEWHERE, NOW + MINUTE / 2, MINUTE)
        assert not ledger.lease("k", this_process(SeededClock()), NOW + MINUTE, MINUTE)

    def test_a_released_lease_is_free_and_only_its_holder_releases_it(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        us = this_process(SeededClock())
        assert ledger.lease("k", ELSEWHERE, NOW, MINUTE)
        ledger.release("k", us)
        assert not ledger.lease("k", us, NOW, MINUTE)
        ledger.release("k", ELSEWHERE)
        assert ledger.lease("k", us, NOW, MINUTE)
        ledger.release("unknown", us)

    def test_two_holders_in_one_living_process_keep_each_other_out(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        one, two = this_process(SeededClock(1)), this_process(SeededClock(2))
        assert ledger.lease("k", one, NOW, MINUTE)
        assert not ledger.lease("k", two, NOW, MINUTE)

    def test_threads_that_compare_and_swap_lose_nothing(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        ledger.save(record(), 0, [])
        start = threading.Barrier(8)

        def count(who: int) -> None:
            start.wait()
            _count_up(ledger, 25, f"thread {who}")

        with _quick_switches(), ThreadPoolExecutor(8) as pool:
            list(pool.map(count, range(8)))
        stored = ledger.load(record().key)
        assert stored is not None
        assert (stored.record.seq, stored.version) == (200, 201)
        assert len(ledger.history(limit=1000)) == 200

    def test_of_many_threads_one_gets_the_lease(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        holders = [this_process(SeededClock(seed)) for seed in range(8)]
        start = threading.Barrier(8)

        def take(holder: Holder) -> bool:
            start.wait()
            return ledger.lease("k", holder, NOW, MINUTE)

        with _quick_switches(), ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(take, holders)) == [False] * 7 + [True]


class SharedLedgerContract:
    """Ledgers that several processes open at once."""

    def test_processes_that_compare_and_swap_lose_nothing(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        ledger.save(record(), 0, [])
        spawn = multiprocessing.get_context("spawn")
        workers = [spawn.Process(target=_count_in_a_process, args=(ledger_factory, 40, str(n))) for n in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0, 0, 0]
        stored = ledger.load(record().key)
        assert stored is not None
        assert (stored.record.seq, stored.version) == (120, 121)
        by_worker = [line.event.kind for line in ledger.history(limit=1000)]
        assert sorted(by_worker) == sorted(["0"] * 40 + ["1"] * 40 + ["2"] * 40)

    def test_the_lease_of_a_killed_process_is_taken_over_at_once(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        spawn = multiprocessing.get_context("spawn")
        here, there = spawn.Pipe()
        worker = spawn.Process(target=_hold_the_lease, args=(ledger_factory, there))
        worker.start()
        assert here.recv() is True
        us = this_process(SeededClock(2))
        assert not ledger.lease("k", us, NOW, MINUTE), "its holder lives"
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        assert ledger.lease("k", us, NOW, MINUTE)

    def test_a_process_killed_while_saving_leaves_whole_saves_behind(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        ledger.save(record(), 0, [event("0")])
        spawn = multiprocessing.get_context("spawn")
        here, there = spawn.Pipe()
        worker = spawn.Process(target=_save_until_killed, args=(ledger_factory, there))
        worker.start()
        answered = max(here.recv() for _ in range(20))
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        stored = ledger.load(record().key)
        assert stored is not None
        assert stored.version >= answered, "a save that was answered must be there"
        assert stored.record.seq == stored.version - 1
        kinds = [line.event.kind for line in ledger.history(limit=100_000)]
        assert kinds == [str(n) for n in range(stored.version)], "every save has its history, and no other has"
        assert ledger.save(record(), stored.version, []) == stored.version + 1


@contextmanager
def _quick_switches() -> Iterator[None]:
    """Threads take turns so often that a gap between reading and writing is found."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _count_up(ledger: Ledger, times: int, who: str) -> None:
    """Add one to the record's seq that often, taking a new turn after each conflict."""
    done = 0
    while done < times:
        stored = ledger.load(record().key)
        assert stored is not None
        try:
            ledger.save(stored.record.but(seq=stored.record.seq + 1), stored.version, [event(who)])
        except Conflict:
            continue
        done += 1


def _count_in_a_process(ledger_factory: Factory, times: int, who: str) -> None:
    with closing(ledger_factory()) as ledger:
        _count_up(ledger, times, who)


def _hold_the_lease(ledger_factory: Factory, there: Connection) -> None:
    there.send(ledger_factory().lease("k", this_process(SeededClock()), NOW, 1000 * MINUTE))
    threading.Event().wait()


def _save_until_killed(ledger_factory: Factory, there: Connection) -> None:
    ledger = ledger_factory()
    version = 1
    while True:
        version = ledger.save(record(seq=version), version, [event(str(version))])
        there.send(version)
