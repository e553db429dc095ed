"""What every ledger must do, whatever it is made of.

Subclass `LedgerContract`, naming the adapter, with a fixture `ledger_factory`: a callable that opens the same, at first
empty, ledger as often as it is called. Subclass `SharedLedgerContract` too where several processes may open it; its
factory must be picklable, because it is called in other processes. `StoredLedgerContract` is for those that keep
records as bytes, which another version of keyturn may have written. `test_every_adapter` sees to it that nobody is
left out.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from multiprocessing.connection import Connection
from typing import Any, ClassVar, Protocol

import msgspec
import pytest

from keyturn.errors import Conflict
from keyturn.ledgers.holder import this_process
from keyturn.model import (
    Event,
    Fingerprint,
    Hold,
    Mode,
    Record,
    Request,
    Secret,
    Slot,
    SlotRecord,
    Stage,
    Waiting,
    WriteIntent,
)
from keyturn.ports import LONGEST_LEASE, Holder, Ledger, Stored

NOW = datetime(2027, 3, 4, 5, 6, 7, 891234, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OSLO = timezone(timedelta(hours=1))
TICK = timedelta(microseconds=1)
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


LONG_KEY = f"/arm/{'x' * 900}"
ODD_KEYS = [
    LONG_KEY,
    LONG_KEY + "y",
    "/arm/a/b\\c#d?e%2f",
    "/arm/näme ✓ 𝄞",
    "/arm/a'b''c",
    "/arm/a\tb\x85",
    "/arm/A",
    "/arm/a",
    "/arm/a ",
    "",
    "-",
    ".",
    "%",
    "_",
]


class LedgerContract:
    """Every ledger, in memory or on a disk."""

    adapter: ClassVar[type[Ledger]]
    """The class under test."""

    def dead_holder(self, _: Ledger) -> Holder:
        """One that is provably dead: it ran on this host, before it booted."""
        return msgspec.structs.replace(this_process(SeededClock(9)), boot_id="an earlier boot")

    def test_the_ledger_under_test_is_the_adapter_that_the_suite_names(self, ledger_factory: Factory) -> None:
        assert type(ledger_factory()) is self.adapter

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
        assert ledger.save(record(seq=3), 2, [event("third")]) == 3
        assert [line.seq for line in ledger.history()] == [1, 2, 3], "what was refused has taken no number"

    def test_a_conflict_names_the_credential_and_says_what_to_do(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        ledger.save(record(), 0, [])
        for expected in (0, 7):
            with pytest.raises(Conflict, match="shop/contoso") as caught:
                ledger.save(record(), expected, [])
            assert caught.value.hint

    def test_what_one_handle_saves_another_sees_and_cannot_save_over(self, ledger_factory: Factory) -> None:
        one, two = ledger_factory(), ledger_factory()
        assert one.load(record().key) is None
        two.save(record(seq=1), 0, [event("by two")])
        assert one.load(record().key) == Stored(record=record(seq=1), version=1)
        assert one.save(record(seq=2), 1, [event("by one")]) == 2
        with pytest.raises(Conflict):
            two.save(record(seq=3), 1, [event("too late")])
        assert [line.event.kind for line in two.history()] == ["by two", "by one"]

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
        ledger.save(record("z").but(id="shop/b"), 1, [])
        assert [found.key for found in ledger.records()] == ["/arm/a", "/arm/z", "/arm/m"], "by the id it has now"

    def test_records_of_one_id_come_by_key(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        for name in ("z", "a", "m"):
            ledger.save(record(name).but(id="shop/same"), 0, [])
        assert [found.key for found in ledger.records()] == ["/arm/a", "/arm/m", "/arm/z"]

    def test_keys_of_any_length_and_any_characters_are_told_apart(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        odd = [record().but(key=key, id=f"shop/{key}") for key in ODD_KEYS]
        for each in odd:
            assert ledger.save(each, 0, [event(f"of {each.key}")]) == 1
        for each in odd:
            assert ledger.load(each.key) == Stored(record=each, version=1)
            assert [line.event.kind for line in ledger.history(each.key)] == [f"of {each.key}"]
            ledger.put_note(each.key, f"about {each.key}")
            assert ledger.lease(each.key, ELSEWHERE, NOW, MINUTE)
        assert list(ledger.due(NOW)) == sorted(ODD_KEYS)
        assert [found.id for found in ledger.records()] == sorted(f"shop/{key}" for key in ODD_KEYS)
        assert [ledger.note(key) for key in ODD_KEYS] == [f"about {key}" for key in ODD_KEYS]

    def test_a_long_record_comes_back_whole_and_may_shrink_again(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        long = record(policy="ü" * 300_000)
        long_event = Event(at=NOW, kind="k" * 40_000, sentence="x" * 200_000)
        ledger.save(long, 0, [long_event])
        assert ledger.load(long.key) == Stored(record=long, version=1)
        assert [line.event for line in ledger.history()] == [long_event]
        ledger.save(record(policy="short"), 1, [])
        assert ledger.load(long.key) == Stored(record=record(policy="short"), version=2)

    def test_history_counts_over_the_whole_ledger_and_shows_the_newest_oldest_first(
        self, ledger_factory: Factory
    ) -> None:
        ledger = ledger_factory()
        ledger.save(record("a"), 0, [event("a1"), event("a2")])
        ledger.save(record("b"), 0, [event("b1")])
        ledger.save(record("a", seq=1), 1, [event("a3")])
        ledger.save(record("b", seq=1), 1, [])
        lines = list(ledger.history())
        assert [line.event.kind for line in lines] == ["a1", "a2", "b1", "a3"]
        assert [line.seq for line in lines] == [1, 2, 3, 4]
        assert [line.key for line in lines] == ["/arm/a", "/arm/a", "/arm/b", "/arm/a"]
        assert [line.event.kind for line in ledger.history(limit=2)] == ["b1", "a3"]
        assert [line.event.kind for line in ledger.history("/arm/a", 2)] == ["a2", "a3"]
        assert [line.seq for line in ledger.history("/arm/a")] == [1, 2, 4]
        assert list(ledger.history(limit=0)) == []
        assert list(ledger.history("/arm/a", 0)) == []
        assert list(ledger.history(limit=1000)) == lines
        assert list(ledger.history("/arm/nobody")) == []

    def test_a_history_of_which_no_more_is_asked_shows_a_hundred_lines(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        for version in range(3):
            ledger.save(record(seq=version), version, [event(f"{version}.{n}") for n in range(35)])
        assert [line.seq for line in ledger.history()] == list(range(6, 106))
        assert [line.seq for line in ledger.history(record().key)] == list(range(6, 106))

    def test_an_event_comes_back_as_it_was_saved(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        told = [event(), event("earlier", NOW - MINUTE), event("of another zone", NOW.astimezone(OSLO) + TICK)]
        ledger.save(record(), 0, told)
        assert [line.event for line in ledger.history()] == told, "in the order of the save, whatever their time"

    def test_due_are_those_that_wait_no_more_longest_waiting_first(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        waits = {"later": NOW + MINUTE, "just": NOW, "long": NOW - MINUTE, "never": None}
        for name, until in waits.items():
            ledger.save(record(name, not_before=until), 0, [])
        assert list(ledger.due(NOW)) == ["/arm/never", "/arm/long", "/arm/just"]
        assert list(ledger.due(NOW + MINUTE)) == ["/arm/never", "/arm/long", "/arm/just", "/arm/later"]

    def test_due_compares_instants_to_the_microsecond_and_across_zones(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        ledger.save(record(not_before=(NOW + TICK).astimezone(OSLO)), 0, [])
        assert list(ledger.due(NOW)) == []
        assert list(ledger.due(NOW + TICK)) == ["/arm/contoso"]
        assert list(ledger.due((NOW + TICK).astimezone(OSLO))) == ["/arm/contoso"]

    def test_those_that_have_waited_equally_long_are_due_in_the_order_of_their_keys(
        self, ledger_factory: Factory
    ) -> None:
        ledger = ledger_factory()
        for name, until in (("z", NOW), ("m", None), ("a", NOW.astimezone(OSLO)), ("n", NOW), ("b", None)):
            ledger.save(record(name, not_before=until), 0, [])
        assert list(ledger.due(NOW)) == ["/arm/b", "/arm/m", "/arm/a", "/arm/n", "/arm/z"]

    def test_due_is_judged_by_what_was_saved_last(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        ledger.save(record(not_before=NOW), 0, [])
        ledger.save(record(not_before=NOW + MINUTE), 1, [])
        assert list(ledger.due(NOW)) == []
        ledger.save(record(), 2, [])
        assert list(ledger.due(NOW)) == ["/arm/contoso"]

    def test_the_first_and_the_last_instant_that_there_are_can_be_waited_for(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        for name, until in (("last", last), ("first", first), ("never", None)):
            ledger.save(record(name, not_before=until), 0, [event(name, until or NOW)])
        assert list(ledger.due(first)) == ["/arm/never", "/arm/first"]
        assert list(ledger.due(NOW)) == ["/arm/never", "/arm/first"]
        assert list(ledger.due(last)) == ["/arm/never", "/arm/first", "/arm/last"]
        assert [found.not_before for found in ledger.records()] == [first, last, None]

    def test_a_held_record_is_not_due_until_it_is_released(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        ledger.save(record(hold=Hold(reason="asked", sentence="Somebody asked.", since=NOW)), 0, [])
        assert list(ledger.due(NOW)) == []
        assert [found.id for found in ledger.records()] == ["shop/contoso"]
        ledger.save(record(), 1, [])
        assert list(ledger.due(NOW)) == ["/arm/contoso"]

    @pytest.mark.parametrize("text", ["", " ", "näme ✓ 𝄞", "line\nline", "x" * 300_000, "{}", "null"])
    def test_a_note_comes_back_as_it_was_put(self, ledger_factory: Factory, text: str) -> None:
        ledger_factory().put_note("n", text)
        assert ledger_factory().note("n") == text

    def test_a_note_is_kept_and_replaced(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        assert ledger.note("fence shop") is None
        ledger.put_note("fence shop", "proven")
        ledger.put_note("fence shop", "proven again")
        ledger.put_note("Fence shop", "another's")
        assert ledger_factory().note("fence shop") == "proven again"
        assert ledger.note("fence") is None
        assert (list(ledger.records()), list(ledger.history())) == ([], []), "a note is neither record nor history"

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

    def test_the_longest_lease_there_is_counts_and_one_a_tick_longer_does_not(self, ledger_factory: Factory) -> None:
        ledger, us = ledger_factory(), this_process(SeededClock())
        assert ledger.lease("longest", ELSEWHERE, NOW, LONGEST_LEASE)
        assert not ledger.lease("longest", us, NOW, MINUTE)
        assert ledger.lease("longer", ELSEWHERE, NOW, LONGEST_LEASE + TICK)
        assert ledger.lease("longer", us, NOW, MINUTE)

    def test_the_lease_of_a_holder_that_is_provably_dead_is_taken_over_at_once(self, ledger_factory: Factory) -> None:
        ledger, us = ledger_factory(), this_process(SeededClock())
        assert ledger.lease("k", self.dead_holder(ledger), NOW, MINUTE)
        assert ledger.lease("k", us, NOW, MINUTE)
        assert not ledger.lease("k", ELSEWHERE, NOW, MINUTE), "it is ours from then on"

    def test_a_holder_that_nobody_can_prove_dead_keeps_its_lease(self, ledger_factory: Factory) -> None:
        ledger, us = ledger_factory(), this_process(SeededClock())
        assert ledger.lease("k", ELSEWHERE, NOW, MINUTE)
        assert not ledger.lease("k", us, NOW, MINUTE)

    def test_a_lease_whose_time_is_over_is_its_old_holders_again_if_nobody_took_it(
        self, ledger_factory: Factory
    ) -> None:
        ledger, us = ledger_factory(), this_process(SeededClock())
        assert ledger.lease("k", ELSEWHERE, NOW, MINUTE)
        assert ledger.lease("k", ELSEWHERE, NOW + 2 * MINUTE, MINUTE)
        assert not ledger.lease("k", us, NOW + 2 * MINUTE, MINUTE)

    def test_a_release_that_comes_too_late_leaves_the_next_holders_lease_alone(self, ledger_factory: Factory) -> None:
        ledger, us = ledger_factory(), this_process(SeededClock())
        assert ledger.lease("k", ELSEWHERE, NOW, MINUTE)
        assert ledger.lease("k", us, NOW + MINUTE, MINUTE)
        ledger.release("k", ELSEWHERE)
        assert not ledger.lease("k", ELSEWHERE, NOW + MINUTE, MINUTE)

    def test_a_lease_is_neither_record_nor_history_and_keeps_nobody_from_saving(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        assert ledger.lease(record().key, ELSEWHERE, NOW, MINUTE)
        assert ledger.load(record().key) is None
        assert ledger.save(record(), 0, [event()]) == 1, "a lease is for liveness, never for safety"
        assert not ledger.lease(record().key, this_process(SeededClock()), NOW, MINUTE)

    def test_a_lease_on_one_credential_leaves_the_others_free(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        assert ledger.lease("k", ELSEWHERE, NOW, MINUTE)
        assert ledger.lease("other", this_process(SeededClock()), NOW, MINUTE)

    def test_its_holder_extends_a_lease(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        assert ledger.lease("k", ELSEWHERE, NOW, MINUTE)
        assert ledger.lease("k", ELSEWHERE, NOW + MINUTE / 2, MINUTE)
        assert not ledger.lease("k", this_process(SeededClock()), NOW + MINUTE, MINUTE)
        assert ledger.lease("k", this_process(SeededClock()), NOW + MINUTE * 3 / 2, MINUTE)

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


Rewrite = Callable[[Callable[[dict[str, Any]], dict[str, Any]]], None]
"""Changes the stored body of every record and every event, beside the ledger's back."""


class StoredLedgerContract:
    """Ledgers that keep records as bytes. Needs a fixture `rewrite`, too."""

    def test_what_a_newer_keyturn_wrote_in_addition_is_read_over(
        self, ledger_factory: Factory, rewrite: Rewrite
    ) -> None:
        ledger_factory().save(full_record(), 0, [event()])
        rewrite(lambda body: {**body, "a_field_of_tomorrow": {"deep": [1, None]}})
        ledger = ledger_factory()
        assert ledger.load(full_record().key) == Stored(record=full_record(), version=1)
        assert list(ledger.records()) == [full_record()]
        assert [line.event for line in ledger.history()] == [event()]

    def test_what_an_older_keyturn_did_not_write_yet_has_its_default(
        self, ledger_factory: Factory, rewrite: Rewrite
    ) -> None:
        needed = {"key", "id", "at", "kind", "sentence"}
        ledger_factory().save(record(seq=3, policy="p"), 0, [event()])
        rewrite(lambda body: {name: value for name, value in body.items() if name in needed})
        ledger = ledger_factory()
        assert ledger.load(record().key) == Stored(record=record(), version=1)
        assert [line.event for line in ledger.history()] == [Event(at=NOW, kind="renewed", sentence="It was renewed.")]
        assert ledger.save(record(seq=4), 1, []) == 2

    def test_no_secret_can_be_put_into_a_ledger_by_mistake(self, ledger_factory: Factory) -> None:
        ledger = ledger_factory()
        secret: Any = Secret("unspeakable")
        with pytest.raises(TypeError) as caught:
            ledger.save(record(etag=secret), 0, [])
        assert "unspeakable" not in str(caught.value)
        with pytest.raises(TypeError):
            ledger.save(record(), 0, [Event(at=NOW, kind="k", sentence="s", facts={"value": secret})])
        assert ledger.load(record().key) is None, "neither the record nor a part of it"
        assert list(ledger.history()) == []


class SharedLedgerContract:
    """Ledgers that several processes open at once."""

    racers: ClassVar[tuple[int, int, int]] = (2, 3, 10)
    """Processes, threads in each, and versions that each thread must win."""

    def test_of_processes_and_threads_that_race_for_a_record_exactly_one_wins_each_version(
        self, ledger_factory: Factory
    ) -> None:
        processes, threads, times = self.racers
        ledger = ledger_factory()
        ledger.save(record(), 0, [event("start 1")])
        spawn = multiprocessing.get_context("spawn")
        racers = [
            spawn.Process(target=_race_in_threads, args=(ledger_factory, threads, times, str(n)))
            for n in range(processes)
        ]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert [racer.exitcode for racer in racers] == [0] * processes
        versions = list(range(1, processes * threads * times + 2))
        lines = ledger.history(limit=10 * len(versions))
        assert [line.seq for line in lines] == versions, "no line is lost, and none is doubled"
        assert [int(line.event.kind.split()[1]) for line in lines] == versions, "in the order of the versions"
        wins = Counter(line.event.kind.split()[0] for line in lines)
        assert wins.pop("start") == 1
        assert sorted(wins.values()) == [times] * processes * threads
        assert ledger.history(record().key, 10 * len(versions)) == lines
        assert ledger.load(record().key) == Stored(record=record(seq=len(versions) - 1), version=len(versions))

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


def _race(ledger_factory: Factory, times: int, who: str) -> None:
    """Win that many versions of one record; each winner writes down which."""
    with closing(ledger_factory()) as ledger:
        won = 0
        while won < times:
            stored = ledger.load(record().key)
            assert stored is not None
            mine = stored.version + 1
            try:
                version = ledger.save(record(seq=stored.version), stored.version, [event(f"{who} {mine}")])
            except Conflict:
                continue
            assert version == mine
            won += 1


def _race_in_threads(ledger_factory: Factory, threads: int, times: int, who: str) -> None:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda n: _race(ledger_factory, times, f"{who}.{n}"), range(threads)))


def _hold_the_lease(ledger_factory: Factory, there: Connection) -> None:
    there.send(ledger_factory().lease("k", this_process(SeededClock()), NOW, 1000 * MINUTE))
    threading.Event().wait()


def _save_until_killed(ledger_factory: Factory, there: Connection) -> None:
    ledger = ledger_factory()
    version = 1
    while True:
        version = ledger.save(record(seq=version), version, [event(str(version))])
        there.send(version)
