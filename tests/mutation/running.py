"""Asks the tests of a suite about each mutant, in a process of the mutant's own.

The tests are collected once. They run once on the code as it is, which must pass, and which tells what lines each of
them runs. Then a process forks for each mutant, changes the code and runs the tests that run the changed line, the
fastest first, to the first that fails. A mutant of what runs at import makes its process collect the tests again.

A mutant whose tests need far more time of the processor than they did is killed, too: it would not end.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import io
import math
import os
import pickle
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import IO, NoReturn

import pytest

from tests.mutation import applying
from tests.mutation.operators import Mutant, mutants

QUIET = ("-q", "-q", "-n", "0", "-p", "no:cacheprovider", "--tb=no", "--assert=plain", "--no-header", "-s")
PASSED, FAILED, BROKEN = 0, 1, 2
PATIENCE = 10.0
"""A test of a mutant may take so many times its usual processor time."""
GRACE = 1.0
"""And so many seconds of it besides; whole ones are what a timer counts here."""
LONGEST_WAIT = 600
"""Nobody waits for anything in a process for longer, in seconds: a mutant may wait for what never comes."""


@dataclass(frozen=True)
class Room:
    """A module whose mutants are asked for, and what it is called."""

    name: str
    module: ModuleType
    tree: ast.Module
    mutants: Sequence[Mutant]

    @staticmethod
    def of(module: str) -> Room:
        imported = importlib.import_module(module)
        tree = applying.parsed(imported)
        name = module.rpartition(".")[2]
        return Room(name=name, module=imported, tree=tree, mutants=mutants(name, tree, imported))


@dataclass
class Outcome:
    """What came of a run: of each mutant whether it was killed; the suite's time without mutants, in seconds."""

    killed: dict[Mutant, bool] = field(default_factory=dict)
    tests: int = 0
    suite: float = 0.0


class BrokenSuite(Exception):
    """The tests fail without any mutant, or a mutant could not be put in place: no answer would mean anything."""


def run(rooms: Sequence[Room], asked: Sequence[Mutant], suite: Sequence[str], jobs: int) -> Outcome:
    """Whether the suite kills each of these mutants; `jobs` of them at a time. Raises BrokenSuite."""
    stage = _Stage(rooms, asked, jobs)
    with _silent() as said:
        code = pytest.main([*QUIET, *suite], plugins=[stage])
    if stage.trouble or code not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        raise BrokenSuite(stage.trouble or f"pytest ended with {code}:\n{said.getvalue()}")
    return stage.outcome


class _Stage:
    """The pytest plugin that, in place of running the tests once, runs them for each mutant."""

    def __init__(self, rooms: Sequence[Room], asked: Sequence[Mutant], jobs: int) -> None:
        self.rooms = {room.name: room for room in rooms}
        self.asked, self.jobs = asked, jobs
        self.outcome = Outcome()
        self.trouble = ""
        self.failed = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        try:
            self._run(session)
        except BrokenSuite as broken:
            self.trouble = str(broken)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed

    def _run(self, session: pytest.Session) -> None:
        if not session.items or session.testsfailed:
            raise BrokenSuite("the suite cannot be collected")
        gc.collect()
        gc.freeze()  # what is shared with the processes to come stays shared
        lanes = [session.items[lane :: self.jobs] for lane in range(self.jobs)]
        seen: dict[str, _Passed] = {}
        with contextlib.ExitStack() as files:
            answers = [files.enter_context(tempfile.TemporaryFile()) for _ in lanes]
            watch = [partial(self._once, lane, answer) for lane, answer in zip(lanes, answers, strict=True)]
            if set(_forked(watch, self.jobs)) != {PASSED}:
                raise BrokenSuite("a test fails without any mutant")
            for answer in answers:
                answer.seek(0)
                seen |= pickle.load(answer)
        self.outcome.tests, self.outcome.suite = len(session.items), sum(each.seconds for each in seen.values())
        items = sorted(session.items, key=lambda item: seen[item.nodeid].seconds)
        again = {mutant.room: self.rooms[mutant.room] for mutant in self.asked if not mutant.in_function}
        if any(_forked([partial(self._ask_anew, room, items, seen) for room in again.values()], self.jobs)):
            raise BrokenSuite("the suite fails where the code is imported a second time, without any mutant")
        work = [partial(self._ask, mutant, items, seen) for mutant in self.asked]
        for mutant, code in zip(self.asked, _forked(work, self.jobs), strict=True):
            if code == BROKEN:
                raise BrokenSuite(f"this mutant could not be put in place: {mutant}")
            self.outcome.killed[mutant] = code != PASSED

    # -------- in a process of its own

    def _once(self, items: Sequence[pytest.Item], answer: IO[bytes]) -> int:
        """Each test on the code as it is: what lines of which room it runs, and for how long."""
        seen: dict[str, _Passed] = {}
        hits: set[tuple[str, int]] = set()
        for room in self.rooms.values():
            applying.mark(room.tree, room.module, lambda line, name=room.name: hits.add((name, line)))
        for item in items:
            hits.clear()
            for room in self.rooms.values():
                applying.forget_answers(room.module)
            started = time.process_time()
            if not self._passes(item):
                os.write(2, f"fails without any mutant: {item.nodeid}\n".encode())
                return FAILED
            seen[item.nodeid] = _Passed(seconds=time.process_time() - started, lines=frozenset(hits))
        answer.write(pickle.dumps(seen))
        answer.flush()
        return PASSED

    def _ask(self, mutant: Mutant, items: Sequence[pytest.Item], seen: Mapping[str, _Passed]) -> int:
        room = self.rooms[mutant.room]
        mutant.put()
        if not mutant.in_function:
            return self._ask_anew(room, items, seen)
        applying.put(room.tree, room.module, mutant.where)
        for item in _concerned(mutant, room, items, seen):
            _limit(seen[item.nodeid].seconds)
            if not self._passes(item):
                return FAILED
        return PASSED

    def _ask_anew(self, room: Room, items: Sequence[pytest.Item], seen: Mapping[str, _Passed]) -> int:
        """Import the mutant, and with it everything that knows the code, and collect the tests again."""
        tests = {item.module.__name__ for item in items if isinstance(item, pytest.Function)}
        applying.forget(frozenset(name.split(".")[0] for name in (room.module.__name__, "tests", *tests)))
        sys.meta_path.insert(0, applying.Imports(room.module.__name__, room.tree))
        paths = list(dict.fromkeys(str(item.path) for item in items))
        order = {item.nodeid: place for place, item in enumerate(items)}
        _limit(sum(each.seconds for each in seen.values()))
        code = pytest.main([*QUIET, "-x", *paths], plugins=[_InOrder(order)])
        return PASSED if code == pytest.ExitCode.OK else FAILED

    def _passes(self, item: pytest.Item) -> bool:
        self.failed = False
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        return not self.failed


@dataclass(frozen=True)
class _Passed:
    """A test that passed: in how many seconds of processor time, and the lines that it ran, each with its room."""

    seconds: float
    lines: frozenset[tuple[str, int]]


class _InOrder:
    """Lets pytest run the tests in this order, and no others."""

    def __init__(self, order: Mapping[str, int]) -> None:
        self.order = order

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((i for i in items if i.nodeid in self.order), key=lambda i: self.order[i.nodeid])


def _concerned(
    mutant: Mutant, room: Room, items: Sequence[pytest.Item], seen: Mapping[str, _Passed]
) -> Iterator[pytest.Item]:
    """The tests that run the mutant's line. A table's row has no line that runs: first those in which it decides, then
    all that ask the table."""
    if mutant.where != "rows":
        yield from (item for item in items if (room.name, mutant.at) in seen[item.nodeid].lines)
        return
    doing = next((s for s in room.tree.body if isinstance(s, ast.FunctionDef) and s.name == mutant.hint), None)
    first = {(room.name, doing.body[0].lineno)} if doing is not None else set()
    decided = [item for item in items if seen[item.nodeid].lines & first]
    yield from decided
    yield from (item for item in items if item not in decided)


def _limit(seconds: float) -> None:
    """End this process once it has used up so much processor time from now on."""
    signal.setitimer(signal.ITIMER_PROF, math.ceil(seconds * PATIENCE + GRACE))


# -------- processes


def _forked(work: Sequence[Callable[[], int]], jobs: int) -> list[int]:
    """What each piece of work answered in a process of its own, so many at a time; FAILED for one that was ended."""
    codes, running = [BROKEN] * len(work), dict[int, int]()
    for place, piece in enumerate(work):
        if len(running) >= jobs:
            _reap(running, codes)
        pid = os.fork()
        if pid == 0:
            _alone(piece)
        running[pid] = place
    while running:
        _reap(running, codes)
    return codes


def _reap(running: dict[int, int], codes: list[int]) -> None:
    pid, status = os.waitpid(-1, 0)
    code = os.waitstatus_to_exitcode(status)
    codes[running.pop(pid)] = code if code >= 0 else FAILED


def _alone(piece: Callable[[], int]) -> NoReturn:
    """Do this, answer by the exit code, and end without what a process does at its end."""
    code = BROKEN
    try:
        signal.alarm(LONGEST_WAIT)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        code = piece()
    except BaseException:  # noqa: BLE001 - whatever it is, it must not get into the loop that forked this
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(code)


@contextlib.contextmanager
def _silent() -> Iterator[io.StringIO]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        yield said
