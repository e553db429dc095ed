"""A ledger beside the one in memory: whatever is asked of both, in whatever order, they give the same answers.

The engines' own tests stand on the ledger in memory, so a difference here would be one that they cannot see. What
each answer should be is the contract's subject, for both.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol

import msgspec
import pytest

from keyturn.errors import Conflict
from keyturn.ledgers.holder import this_process
from keyturn.model import Hold, Record, Stage
from keyturn.ports import LONGEST_LEASE, HistoryLine, Holder, Ledger, Stored
from keyturn.testing import MemoryLedger

from .contract import ELSEWHERE, MINUTE, NOW, OSLO, TICK, Factory, SeededClock, event, record

KEYS = ("a", "A", "b", "näme ✓", "with / slash")
NOTES = ("fence shop", "fence", "Fence shop", "")


class View(Protocol):
    """The reading half, as commands see it that only look."""

    def records(self) -> Iterable[Record]: ...

    def history(self, key: str | None = None, limit: int = 100) -> Sequence[HistoryLine]: ...

    def note(self, name: str) -> str | None: ...


Ask = Callable[[Ledger], object]


class ComparedLedgerContract:
    """Needs a fixture `view_factory` beside the contract's: it opens the view of the same ledger."""

    operations: ClassVar[int]
    """How many of a seed's operations are tried."""

    @pytest.mark.parametrize("seed", range(5))
    def test_it_answers_any_sequence_of_operations_as_the_ledger_in_memory_does(
        self, ledger_factory: Factory, view_factory: Callable[[], AbstractContextManager[View]], seed: int
    ) -> None:
        ledger, memory = ledger_factory(), MemoryLedger()
        asking = _Asking(seed)
        memory.dead.add(asking.dead)
        for number in range(self.operations):
            if asking.random.random() < 0.03:
                ledger.close()
                ledger = ledger_factory()
            what, ask = asking.next(memory)
            assert _answer(ask, ledger) == _answer(ask, memory), f"operation {number}: {what}"
        with view_factory() as view:
            assert list(view.records()) == list(memory.records())
            assert list(view.history(limit=10_000)) == list(memory.history(limit=10_000))
            for key in KEYS:
                assert list(view.history(f"/arm/{key}", 7)) == list(memory.history(f"/arm/{key}", 7))
            assert [view.note(name) for name in NOTES] == [memory.note(name) for name in NOTES]
        assert memory.lines, "the sequence has saved something"
        ledger.close()


class _Asking:
    """What to ask next: everything, at random, and more often than not something that succeeds."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(f"a ledger {seed}")
        self.dead = msgspec.structs.replace(this_process(SeededClock(9)), boot_id="an earlier boot")
        self._holders = (this_process(SeededClock(1)), this_process(SeededClock(2)), ELSEWHERE, self.dead)
        self._verbs: tuple[tuple[int, Callable[[MemoryLedger], tuple[str, Ask]]], ...] = (
            (8, self._save),
            (2, self._load),
            (2, self._records),
            (3, self._due),
            (3, self._history),
            (2, self._put_note),
            (1, self._note),
            (4, self._lease),
            (2, self._release),
        )

    def next(self, memory: MemoryLedger) -> tuple[str, Ask]:
        (verb,) = self.random.choices([verb for _, verb in self._verbs], [weight for weight, _ in self._verbs])
        return verb(memory)

    def _save(self, memory: MemoryLedger) -> tuple[str, Ask]:
        changed = self._record()
        stored = memory.load(changed.key)
        version = stored.version if stored is not None else 0
        expected = self.random.choice((version, version, version, version - 1, version + 1, 0))
        events = [event(f"{self.random.random()}", self._instant()) for _ in range(self.random.choice((0, 1, 1, 3)))]
        return f"save {changed} against {expected}", lambda ledger: ledger.save(changed, expected, events)

    def _record(self) -> Record:
        key = self.random.choice(KEYS)
        return record(key).but(
            id=self.random.choice((f"shop/{key}", "shop/the same", "mail/ü")),
            seq=self.random.randrange(1000),
            stage=self.random.choice(list(Stage)),
            not_before=self.random.choice((None, self._instant(), self._instant())),
            hold=self.random.choice((None, None, Hold(reason="asked", sentence="Somebody asked.", since=NOW))),
            policy="x" * self.random.choice((0, 10, 5000)),
        )

    def _instant(self) -> datetime:
        """One of few, so that they are equal often, in one zone or another."""
        at = NOW + self.random.choice((-MINUTE, -TICK, timedelta(0), timedelta(0), TICK, MINUTE, 400 * LONGEST_LEASE))
        return self.random.choice((at, at.astimezone(OSLO)))

    def _load(self, _: MemoryLedger) -> tuple[str, Ask]:
        key = f"/arm/{self.random.choice((*KEYS, 'nobody'))}"
        return f"load {key}", lambda ledger: ledger.load(key)

    def _records(self, _: MemoryLedger) -> tuple[str, Ask]:
        return "records", lambda ledger: list(ledger.records())

    def _due(self, _: MemoryLedger) -> tuple[str, Ask]:
        now = self._instant()
        return f"due {now}", lambda ledger: list(ledger.due(now))

    def _history(self, _: MemoryLedger) -> tuple[str, Ask]:
        key = self.random.choice((None, *(f"/arm/{key}" for key in KEYS)))
        limit = self.random.choice((0, 1, 3, 100))
        return f"history {key} {limit}", lambda ledger: list(ledger.history(key, limit))

    def _put_note(self, _: MemoryLedger) -> tuple[str, Ask]:
        name, text = self.random.choice(NOTES), self.random.choice(("", "proven", "ü" * 100))
        return f"put_note {name!r} {text!r}", lambda ledger: ledger.put_note(name, text)

    def _note(self, _: MemoryLedger) -> tuple[str, Ask]:
        name = self.random.choice((*NOTES, "of nothing"))
        return f"note {name!r}", lambda ledger: ledger.note(name)

    def _lease(self, _: MemoryLedger) -> tuple[str, Ask]:
        key, holder, now = self._leased()
        span = self.random.choice((TICK, MINUTE, 2 * MINUTE, LONGEST_LEASE, LONGEST_LEASE + TICK))
        return f"lease {key} {holder} {now} {span}", lambda ledger: ledger.lease(key, holder, now, span)

    def _release(self, _: MemoryLedger) -> tuple[str, Ask]:
        key, holder, _now = self._leased()
        return f"release {key} {holder}", lambda ledger: ledger.release(key, holder)

    def _leased(self) -> tuple[str, Holder, datetime]:
        return self.random.choice(KEYS[:2]), self.random.choice(self._holders), self._instant()


def _answer(ask: Ask, ledger: Ledger) -> Any:
    """What it answers; a refusal is an answer, too."""
    try:
        answer = ask(ledger)
    except Conflict:
        return Conflict
    assert not isinstance(answer, Stored) or isinstance(answer.version, int)
    return answer
