"""One pass over all that is due, with a bounded pool of threads, and how long to wait for the next.

A sweep starts turns and lets each credential's fate be its own: one that fails waits, the others go on. A lease per
credential keeps two keyturns from doing the same work; it is never what makes that safe (design.md, invariant 5).
Never here: what a turn does, or which credentials there are (that is `assemble`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import datetime, timedelta

import msgspec

from keyturn import failing, plan
from keyturn.errors import LedgerFault
from keyturn.model import Credential, Record, Stage
from keyturn.policy import Policy
from keyturn.ports import Clock, Holder, Ledger
from keyturn.turn import Advanced
from keyturn.turn_by_hand import TurnByHand

SHORT_WAIT = timedelta(seconds=60)
"""Waits up to this long (settle, a refused probe) are waited for between turns; the values stay in memory meanwhile."""


class Charge(msgspec.Struct, frozen=True):
    """One credential, the policy that won it, and the turns that look after it."""

    credential: Credential
    policy: Policy
    turn: TurnByHand


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What one or more passes did. `next_at` is when the next wait ends; None if nothing waits."""

    turns: int = 0
    moved: int = 0
    """Turns that did more than wait on."""
    busy: int = 0
    """Credentials that another keyturn holds the lease of."""
    left: int = 0
    """Credentials that were due and not begun: a stop was asked for, or the time was over."""
    next_at: datetime | None = None


def take(charge: Charge, *, ledger: Ledger, clock: Clock, holder: Holder, force: bool = False) -> Advanced | None:
    """One turn under a lease; None while somebody else holds it. `force` looks even before `not_before`.

    Two threads of one process need two holders, or each would take the other's lease for its own. Raises LedgerFault.
    """
    key = charge.credential.key
    if not ledger.lease(key, holder, clock.now(), 2 * charge.policy.deadline):
        return None
    try:
        return charge.turn.advance(charge.credential, charge.policy, force=force)
    finally:
        ledger.release(key, holder)


def threads(workers: int) -> Executor:
    """A pool of that many threads."""
    return ThreadPoolExecutor(max_workers=workers, thread_name_prefix="turn")


class Sweep:
    """Passes over a fixed list of charges. One thread calls it; the turns run on `workers` threads of a `pool`.

    `until` is an instant of the clock's boot time, in seconds, from which on nothing new is begun, and beyond which
    nothing is waited for: a host that ends what takes too long would end a turn in its middle, which is safe, and yet
    a pity.
    """

    def __init__(
        self,
        charges: Sequence[Charge],
        *,
        ledger: Ledger,
        clock: Clock,
        holder: Holder,
        workers: int = 8,
        told: Callable[[Credential, Advanced], None] | None = None,
        until: float | None = None,
        pool: Callable[[int], Executor] = threads,
    ) -> None:
        self._charges = {charge.credential.key: charge for charge in charges}
        self._ledger, self._clock, self._holder = ledger, clock, holder
        self._workers, self._pool = workers, pool
        self._told = told
        self._until = until
        self._left: set[str] = set()
        self._stop = threading.Event()
        self._records: dict[str, Record] = {}
        self._busy_until: dict[str, datetime] = {}

    def stop(self) -> None:
        """Start nothing new; turns under way end by themselves. Safe from a signal handler."""
        self._stop.set()

    def once(self, force: Collection[str] = ()) -> Swept:
        """Take one turn for every charge that is due, is new, or whose policy changed. `force`: keys to look at now.

        Raises LedgerFault; any other defect of a turn is raised once the others are done.
        """
        due = self.due(force)
        self._left.clear()
        turns: list[tuple[Advanced | None, str]] = []
        futures: list[Future[Advanced | None]] = []
        if due:
            with self._pool(self._workers) as pool:
                futures = [pool.submit(self._one, self._charges[key], key in force) for key in due]
        for key, future in zip(due, futures, strict=True):
            problem = future.exception()
            if isinstance(problem, LedgerFault):
                raise problem
            turns.append((None if problem is not None else future.result(), key))
        for future in futures:
            future.result()  # raises the first defect, once the others are done
        self._refresh(set(due))
        taken = [advanced for advanced, _ in turns if advanced is not None]
        return Swept(
            turns=len(taken),
            moved=sum(1 for advanced in taken if len(advanced.rows) > 1),
            busy=len(turns) - len(taken) - len(self._left),
            left=len(self._left),
            next_at=self.next_at(),
        )

    def is_new(self, key: str) -> bool:
        """Whether the ledger did not know it when it was read, or knew it under another policy, and not held for
        anything that a changed policy leaves as it is."""
        known = self._records.get(key)
        return known is None or (
            known.policy != self._charges[key].policy.digest
            and (known.hold is None or known.hold.reason == failing.PARKED)
        )

    def follow(self, *, to_the_end: bool = False, force: Collection[str] = ()) -> Swept:
        """Sweep until nothing can move within a short wait; `to_the_end`: until every charge is idle or held."""
        turns = moved = 0
        forced = force
        while True:
            swept = self.once(forced)
            forced = ()
            turns, moved = turns + swept.turns, moved + swept.moved
            until = self._worth_waiting_for(to_the_end)
            if self._stop.is_set() or until is None:
                return Swept(turns=turns, moved=moved, busy=swept.busy, left=swept.left, next_at=swept.next_at)
            self._clock.wait(max((until - self._clock.now()).total_seconds(), 0.0))

    def next_at(self) -> datetime | None:
        """When the earliest wait of a charge ends."""
        waiting = [record for record in self._records.values() if record.hold is None]
        known = [at for record in waiting if (at := self._next_turn(record)) is not None]
        return min([*known, *self._busy_until.values()], default=None)

    def _next_turn(self, record: Record) -> datetime | None:
        """When its wait ends; while somebody else has its lease, not before that may be over."""
        busy_until = self._busy_until.get(record.key)
        if busy_until is None or record.not_before is None:
            return record.not_before
        return max(record.not_before, busy_until)

    def _worth_waiting_for(self, to_the_end: bool) -> datetime | None:
        """When the next wait of a rotation under way ends; without `to_the_end` only a short one that is not a
        failure's, so that whoever reads the screen learns of a refusal at once."""
        moving = [r for r in self._records.values() if r.hold is None and r.stage is not Stage.IDLE]
        moving = [r for r in moving if r.waiting is None or r.waiting.reason != "not-active"]
        if to_the_end:
            return self.next_at() if moving or self._busy_until else None
        waits = [at for r in moving if (at := self._next_turn(r)) is not None and r.failures == 0]
        soon = min(waits, default=None)
        return soon if soon is not None and soon - self._clock.now() <= self._patience() else None

    def _patience(self) -> timedelta:
        """How long a wait may be to be waited for now."""
        if self._until is None:
            return SHORT_WAIT
        return min(SHORT_WAIT, timedelta(seconds=self._until - self._clock.boottime()))

    def _is_over(self) -> bool:
        return self._stop.is_set() or (self._until is not None and self._clock.boottime() >= self._until)

    def _refresh(self, taken: Collection[str]) -> None:
        """Another keyturn, or a person, may have been at work since: read again whatever is held, and what is past its
        wait and was not due here. What the ledger has lost is new again."""
        now = self._clock.now()
        self._busy_until = {key: until for key, until in self._busy_until.items() if until > now}
        for key, record in list(self._records.items()):
            waits = record.hold is None and record.not_before is not None and record.not_before > now
            if key in taken or waits:
                continue
            stored = self._ledger.load(key)
            if stored is None:
                del self._records[key]
            else:
                self._records[key] = stored.record

    def due(self, force: Collection[str] = ()) -> list[str]:
        """Keys of the charges that have something to do now: those that are new or whose policy changed first, then
        those that have waited longest. Raises LedgerFault."""
        if not self._records:
            known = {record.key: record for record in self._ledger.records()}
            self._records = {key: known[key] for key in self._charges if key in known}
        now = self._clock.now()
        ready = [key for key in self._ledger.due(now) if key in self._charges]
        fresh = [key for key in self._charges if key in force or self.is_new(key)]
        # what the ledger's index does not tell: a wait that a wrong clock left, a token that is due under a hold
        resting = [(key, record) for key, record in self._records.items() if key in self._charges]
        woken = [key for key, record in resting if not plan.rests(record, self._charges[key].policy, now)]
        found = list(dict.fromkeys([*fresh, *ready, *woken]))
        return [key for key in found if self._busy_until.get(key, now) <= now]

    def _one(self, charge: Charge, force: bool) -> Advanced | None:
        """One turn under a lease; None if somebody else holds it, or a stop was asked for."""
        key = charge.credential.key
        if self._is_over():
            self._left.add(key)
            return None
        stale = key in self._records and self._records[key].policy != charge.policy.digest
        advanced = take(charge, ledger=self._ledger, clock=self._clock, holder=self._holder, force=force or stale)
        if advanced is None:
            self._busy_until[key] = self._clock.now() + 2 * charge.policy.deadline
            return None
        self._busy_until.pop(key, None)
        self._records[key] = advanced.record
        if self._told is not None:
            self._told(charge.credential, advanced)
        return advanced
