"""Many threads and processes in one file of SQLite, and writers that are killed at any point of a save.

Kills are placed by count, never by time: at the n-th instruction of SQLite's machine, and at the n-th byte of a file.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import random
import resource
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event

from keyturn.errors import LedgerFault
from keyturn.ledgers.holder import this_process
from keyturn.ledgers.reading import LedgerView
from keyturn.ledgers.sql import SqlLedger
from keyturn.model import Record
from keyturn.ports import HistoryLine

from .contract import MINUTE, NOW, SeededClock, event, record

SPAWN = multiprocessing.get_context("spawn")
HANGS = 300
"""Seconds after which nobody waits any longer for a process that must have failed."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyturn.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@contextmanager
def _processes(target: Callable[..., None], arguments: Sequence[tuple[Any, ...]]) -> Iterator[list[BaseProcess]]:
    """Run beside what is inside; at its end all must have ended well."""
    processes = [SPAWN.Process(target=target, args=each) for each in arguments]
    for process in processes:
        process.start()
    yield list(processes)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(processes)


# -------- leases


CREDENTIALS = ("/arm/a", "/arm/b")
MOST_TRIES = 50_000


def _take_turns(url: str, witness: str, seeds: Sequence[int], times: int) -> None:
    """Each thread takes each lease so often, and leaves a mark that nobody else may find while it has it."""

    def work(ledger: SqlLedger, seed: int) -> None:
        us = this_process(SeededClock(seed))
        for key in CREDENTIALS * times:
            assert any(ledger.lease(key, us, NOW, MINUTE) for _ in range(MOST_TRIES)), "the lease is never given back"
            mark = Path(witness) / key.replace("/", "_")
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # fails if somebody else has it, too
            with (Path(witness) / "taken").open("a", encoding="utf-8") as taken:
                taken.write(f"{key} {seed}\n")
            mark.unlink()
            ledger.release(key, us)

    with SqlLedger.open(url, busy_seconds=HANGS) as ledger, ThreadPoolExecutor(len(seeds)) as pool:
        list(pool.map(functools.partial(work, ledger), seeds))


def test_a_lease_never_has_two_holders_at_once_as_an_independent_witness_sees(url: str, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    witness.mkdir()
    SqlLedger.open(url).close()
    with _processes(_take_turns, [(url, str(witness), (3 * n, 3 * n + 1, 3 * n + 2), 5) for n in range(3)]):
        pass
    taken = Counter((witness / "taken").read_text(encoding="utf-8").splitlines())
    assert taken == {f"{key} {seed}": 5 for key in CREDENTIALS for seed in range(9)}
    with SqlLedger.open(url) as ledger:
        assert all(ledger.lease(key, this_process(SeededClock()), NOW, MINUTE) for key in CREDENTIALS)


def _hold_and_end(url: str) -> None:
    assert SqlLedger.open(url).lease("k", this_process(SeededClock()), NOW, MINUTE)


def test_of_many_processes_that_find_a_dead_holders_lease_one_takes_it_over(url: str, tmp_path: Path) -> None:
    SqlLedger.open(url).close()
    with _processes(_hold_and_end, [(url,)]):
        pass
    tried = SPAWN.Barrier(3)
    with _processes(_try_once, [(url, str(tmp_path), n, tried) for n in range(3)]):
        pass
    assert len(list(tmp_path.glob("got-*"))) == 1


def _try_once(url: str, witness: str, number: int, tried: Barrier) -> None:
    with SqlLedger.open(url, busy_seconds=HANGS) as ledger:
        if ledger.lease("k", this_process(SeededClock(number)), NOW, MINUTE):
            (Path(witness) / f"got-{number}").touch()
        # No holder ends before all have tried: a dead one's lease could be taken over again, and rightly so.
        tried.wait(HANGS)


# -------- readers beside writers


SAVES = 30
EVENTS = 3
WRITERS = ("w0", "w1")


def _uniform(name: str, n: int) -> Record:
    """One number in every place, far apart on the disk."""
    return record(name, seq=n, etag=f"{n}", policy=f"{n} " * 4000, rotations=n)


def _write(url: str, name: str) -> None:
    with SqlLedger.open(url, busy_seconds=HANGS) as ledger:
        for n in range(SAVES):
            told = [event(f"{name}.{n}.{part}") for part in range(EVENTS)]
            assert ledger.save(_uniform(name, n), n, told) == n + 1
            ledger.put_note("shared", f"{name}.{n} " * 2000)


def _whole_history(lines: Sequence[HistoryLine]) -> None:
    assert [line.seq for line in lines] == list(range(1, len(lines) + 1))
    seen = {name: [line.event.kind for line in lines if line.key == f"/arm/{name}"] for name in WRITERS}
    for name, kinds in seen.items():
        saves = len(kinds) // EVENTS
        assert kinds == [f"{name}.{n}.{part}" for n in range(saves) for part in range(EVENTS)], "whole saves, in order"


def _read_until_done(url: str, writers: Sequence[BaseProcess]) -> int:
    """Look again and again; whatever is seen must have been saved just so. Returns how often something was new."""
    newest = dict.fromkeys(WRITERS, 0)
    news = 0
    with SqlLedger.open(url) as ledger, LedgerView.open(url) as view:
        while any(version < SAVES for version in newest.values()):
            assert all(not writer.exitcode for writer in writers)
            for name in WRITERS:
                stored = ledger.load(f"/arm/{name}")
                if stored is None:
                    continue
                assert stored.record == _uniform(name, stored.version - 1)
                assert stored.version >= newest[name], "time does not run backwards"
                news += stored.version > newest[name]
                newest[name] = stored.version
            for looked in (ledger, view):
                assert all(found == _uniform(found.id.removeprefix("shop/"), found.seq) for found in looked.records())
                _whole_history(looked.history(limit=10_000))
                note = looked.note("shared")
                assert note is None or len(set(note.split())) == 1, "a note of one writer, and all of it"
    return news


def test_readers_see_whole_saves_only_while_others_write(url: str) -> None:
    SqlLedger.open(url).close()
    with _processes(_write, [(url, name) for name in WRITERS]) as writers, ThreadPoolExecutor(2) as pool:
        seen = list(pool.map(_read_until_done, [url, url], [writers, writers]))
    assert all(news >= len(WRITERS) for news in seen)
    with SqlLedger.open(url) as ledger:
        assert list(ledger.records()) == [_uniform(name, SAVES - 1) for name in WRITERS]
        lines = ledger.history(limit=10_000)
        _whole_history(lines)
        assert len(lines) == len(WRITERS) * SAVES * EVENTS
        assert ledger.note("shared") in {f"{name}.{SAVES - 1} " * 2000 for name in WRITERS}


# -------- writers that are killed


SMALLEST_LIMIT = 33_000
"""SQLite's shared memory is a file, too, of 32 KiB."""


def _nursery(url: str, orders: Connection) -> None:
    """Bear a writer for each order, wait until it is killed, and tell how it ended and what it had been answered."""
    order: tuple[str, int] | None
    while (order := orders.recv()) is not None:
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(ours)
            try:
                _save_until(url, order, theirs)
            finally:
                os._exit(3)
        os.close(theirs)
        with os.fdopen(ours, "rb") as answers:
            told = answers.read().split()
        orders.send((os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), int(told[-1]) if told else 0))


def _save_until(url: str, order: tuple[str, int], answers: int) -> None:
    how, count = order
    if how == "making":
        _end_at_byte(count)
    with SqlLedger.open(url) as ledger:
        sqlalchemy_event.listen(ledger._engine, "connect", _checkpoint_often)
        ledger._engine.dispose()
        if how == "instruction":
            sqlalchemy_event.listen(ledger._engine, "checkout", _Countdown(count))
        elif how == "byte":
            log = Path(f"{url.removeprefix('sqlite:///')}-wal")
            _end_at_byte(max(SMALLEST_LIMIT, log.stat().st_size if log.exists() else 0) + count)
        stored = ledger.load(record().key)
        version = stored.version if stored is not None else 0
        while True:
            told = [event(f"{version + 1}.{part}") for part in range(EVENTS)]
            version = ledger.save(_uniform("contoso", version), version, told)
            os.write(answers, b"%d " % version)


def _checkpoint_often(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA wal_autocheckpoint=30")


class _Countdown:
    """Kills this process at the n-th instruction that SQLite carries out."""

    def __init__(self, count: int) -> None:
        self._left = count

    def __call__(self, connection: sqlite3.Connection, *_: object) -> None:
        connection.set_progress_handler(self._tick, 1)

    def _tick(self) -> int:
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0


def _end_at_byte(count: int) -> None:
    """The system itself ends this process at the first write beyond that byte of any file, after a part of it."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, count))


@pytest.fixture
def killing(url: str) -> Iterator[Callable[[str, int], tuple[int, int]]]:
    """Has a writer killed; tells by which signal it ended, and the last version that it was answered."""
    here, there = SPAWN.Pipe()
    nursery = SPAWN.Process(target=_nursery, args=(url, there))
    nursery.start()
    there.close()  # so that its end is seen here

    def kill(how: str, count: int) -> tuple[int, int]:
        here.send((how, count))
        ended: tuple[int, int] = here.recv()
        return ended

    yield kill
    here.send(None)
    nursery.join()
    assert nursery.exitcode == 0


@pytest.mark.parametrize(
    ("how", "most", "ends"), [("instruction", 2500, signal.SIGKILL), ("byte", 90_000, signal.SIGXFSZ)]
)
def test_a_writer_killed_anywhere_leaves_whole_saves_and_none_that_was_answered_is_missing(
    url: str, path: Path, killing: Callable[[str, int], tuple[int, int]], how: str, most: int, ends: int
) -> None:
    random_points = random.Random(how)
    SqlLedger.open(url).close()
    before, logs = 0, 0
    for _ in range(16):
        ended, answered = killing(how, random_points.randrange(1, most))
        assert ended == -ends
        logs += Path(f"{path}-wal").stat().st_size > 0
        # Every other time the next writer finds it as it was left; closing would tidy it up.
        if random_points.random() < 0.5:
            continue
        with SqlLedger.open(url) as ledger:
            stored = ledger.load(record().key)
            version = stored.version if stored is not None else 0
            assert version >= max(before, answered)
            assert stored is None or stored.record == _uniform("contoso", version - 1)
            kinds = [line.event.kind for line in ledger.history(limit=100_000)]
            assert kinds == [f"{n}.{part}" for n in range(1, version + 1) for part in range(EVENTS)]
            before = version
    assert before > 10, "they have got on"
    assert logs > 8, "most were killed with saves that stood in the log alone"


def test_a_process_killed_while_it_makes_a_ledger_leaves_none_or_a_whole_one(
    url: str, path: Path, killing: Callable[[str, int], tuple[int, int]]
) -> None:
    random_points = random.Random("making")
    left = Counter[bool]()
    for _ in range(12):
        ended, _answered = killing("making", random_points.randrange(1, 120_000))
        assert ended == -signal.SIGXFSZ
        left[path.exists()] += 1
        with SqlLedger.open(url) as ledger:
            _whole_saves(ledger)
        for file in path.parent.iterdir():
            file.unlink()
    assert set(left) == {True, False}, "some got so far as to have it made"


def _whole_saves(ledger: SqlLedger) -> None:
    stored = ledger.load(record().key)
    version = stored.version if stored is not None else 0
    assert len(ledger.history(limit=100_000)) == version * EVENTS


def test_a_disk_that_takes_no_more_is_told_and_what_was_saved_stays(url: str) -> None:
    """The system refuses the write itself, at a byte in the middle of a save."""
    with closing(SqlLedger.open(url)) as ledger:
        ledger.save(record(), 0, [event("first")])
    with _processes(_save_without_room, [(url,)]):
        pass
    with SqlLedger.open(url) as ledger:
        stored = ledger.load(record().key)
        assert stored is not None
        assert stored.version >= 1
        assert len(ledger.history(limit=1000)) == stored.version
        assert ledger.save(record(), stored.version, []) == stored.version + 1


def _save_without_room(url: str) -> None:
    with SqlLedger.open(url) as ledger:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
        version = 1
        refused: list[LedgerFault] = []
        while not refused:
            try:
                version = ledger.save(_uniform("contoso", version), version, [event(str(version))])
            except LedgerFault as fault:
                refused.append(fault)
        assert "disk" in refused[0].message
        assert refused[0].hint
        assert version > 1
        stored = ledger.load(record().key)
        assert stored is not None
        assert stored.version == version, "what was refused is not there"
