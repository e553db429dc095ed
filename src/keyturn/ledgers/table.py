"""The ledger in a table of Azure Storage, for the Azure Function: in the app's own storage account, and nothing else.

A save is one entity-group transaction: the record against the ETag of the version that it replaces, and its history
as rows that must not be there yet. The next number of the history is the newest row's plus one; whoever else took that
number first makes the transaction fail, as a whole, and it is tried again with the next. So there is no row that every
save changes, and two saves can neither lose nor double a line.

A transaction that failed, or whose answer was lost, is resolved by a look at the record, which remembers its latest
saves by their nonces: ours (done), somebody else's (Conflict), or neither (send again). A send that lands after such a
look finds another ETag and is refused by the table itself. No value is ever stored here. Threads may share a ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

from keyturn.errors import Conflict, LedgerFault, Misconfigured
from keyturn.ledgers import schema
from keyturn.ledgers import table_rows as rows
from keyturn.ledgers.holder import provably_dead
from keyturn.ledgers.table_rows import Saved
from keyturn.ledgers.table_view import TableView, inspect
from keyturn.ledgers.table_wire import (
    Done,
    Found,
    Operation,
    Outcome,
    Refused,
    TablePlace,
    Unclear,
    Wire,
    create,
    put,
    remove,
    replace,
)
from keyturn.model import Event, Record
from keyturn.ports import LONGEST_LEASE, Clock, Holder, Stored

MOST_REFUSED = 60
"""How often a write that lost a race is tried again. Each time another writer has won, so that someone gets on."""
MOST_UNCLEAR = 4
AT_ONCE = 3
"""So many times without a pause: nobody waits for a race that is over."""
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
LONGEST_RETRY_AFTER = 10.0
_ID_BYTES = 16
_NONCE_BYTES = 8


class TableLedger(TableView):
    """Implements ports.Ledger. Open one with `open`, once per process; close it when done."""

    def __init__(self, wire: Wire, meta: schema.Meta, salt: bytes, clock: Clock) -> None:
        super().__init__(wire, meta)
        self._salt = salt
        self._clock = clock
        # The threads of one process would only race each other for the next number; they queue here instead.
        self._turn_to_write = threading.Lock()
        self._known: dict[str, Saved] = {}
        self._newest: int | None = None

    @classmethod
    def open(cls, place: TablePlace, clock: Clock, *, salt: bytes | None = None, create: bool = True) -> TableLedger:
        """Open the ledger in a table, making table and ledger first if they are not there and `create` says so.

        `salt`: the fingerprints' salt, where it is kept outside the ledger (at least 16 bytes).
        `clock`: for the pauses between tries, for jitter and for nonces.
        Raises LedgerFault (missing, unreachable, refused, somebody else's, newer, another salt) and Misconfigured
        (no connection string, salt too short).
        """
        if salt is not None and len(salt) < schema.SHORTEST_SALT:
            raise Misconfigured(
                f"salt: {len(salt)} bytes are too few; a salt needs at least {schema.SHORTEST_SALT}.",
                hint="Draw 32 random bytes and keep them where the ledger is not.",
            )
        wire = Wire(place)
        try:
            meta = inspect(wire) or _make(wire, clock, salt, create)
            return cls(wire, meta, schema.check_salt(meta, salt, wire.place), clock)
        except BaseException:
            wire.close()
            raise

    @property
    def salt(self) -> bytes:
        """The salt of every fingerprint in it."""
        return self._salt

    def load(self, key: str) -> Stored | None:
        """The record of one credential with its version, or None."""
        found = self._wire.get(rows.LEDGER, rows.row_of(key, rows.RECORDS))
        if found is None:
            return None
        seen = self._known[key] = rows.saved(found.row, found.etag, self._place)
        return Stored(record=rows.read_record(found.row, self._place), version=seen.version)

    def due(self, now: datetime) -> Sequence[str]:
        """Keys of the records that are not held and wait for nothing after `now`, longest waiting first."""
        found = self._wire.query(rows.waits_no_more(now), columns=("key", "not_before"))
        if not all(isinstance(row.get("key"), str) for row in found):
            raise rows.damaged(self._place, "a record in it has no name")
        return [str(row["key"]) for row in sorted(found, key=lambda row: (row["not_before"], row["key"]))]

    def save(self, record: Record, expected: int, events: Sequence[Event]) -> int:
        """Write record and history in one transaction if the stored version is `expected` (0: not there yet).

        Returns the new version. Raises Conflict: then nothing was written.
        """
        if len(events) > rows.MOST_EVENTS:
            raise LedgerFault(
                f"{self._place} cannot write {len(events)} events with one save; {rows.MOST_EVENTS} is the most.",
                hint="Nothing was written. This is a mistake in keyturn: please report it.",
            )
        nonce = self._clock.random_bytes(_NONCE_BYTES).hex()
        patience = _Patience(self._clock, self._place)
        with self._turn_to_write:
            base = self._known.get(record.key, rows.NOT_THERE)
            if base.version != expected:
                base = self._look(record.key)
            while base.version == expected:
                patience.refuse_more()
                outcome = self._send(record, base, events, nonce)
                if isinstance(outcome, Done):
                    return expected + 1
                patience.pause(outcome)
                self._newest = None
                base = self._look(record.key)
        if nonce in base.saves:
            return expected + 1
        raise _conflict(record, expected)

    def _look(self, key: str) -> Saved:
        """How the record is stored now, and nothing that was remembered."""
        found = self._wire.get(rows.LEDGER, rows.row_of(key, rows.RECORDS))
        self._known[key] = rows.NOT_THERE if found is None else rows.saved(found.row, found.etag, self._place)
        return self._known[key]

    def _send(self, record: Record, base: Saved, events: Sequence[Event], nonce: str) -> Outcome:
        row = rows.record_row(record, base.version + 1, (*base.saves, nonce), self._place)
        operations: list[Operation] = [replace(row, base.etag) if base.version else create(row)]
        newest = self._newest
        if events and newest is None:
            newest = self._newest_line()
        for number, event in enumerate(events, 1):
            lines = rows.history_rows(record.key, event, (newest or 0) + number, self._place)
            operations += [create(line) for line in lines]
        outcome = self._wire.write(operations)
        if isinstance(outcome, Done):
            if newest is not None:
                self._newest = newest + len(events)
            saves = (*base.saves, nonce)[-rows.RECENT_SAVES :]
            self._known[record.key] = Saved(version=base.version + 1, etag=outcome.etags[0], saves=saves)
            if not outcome.etags[0]:
                del self._known[record.key]
        return outcome

    def _newest_line(self) -> int:
        """The number of the newest line of history; 0 where there is none."""
        newest = self._wire.query(rows.below(rows.HISTORY), limit=1, columns=("RowKey",))
        return rows.line_seq(newest[0], self._place) if newest else 0

    def put_note(self, name: str, text: str) -> None:
        """Keep a fact about a service."""
        row, patience = rows.note_row(name, text, self._place), _Patience(self._clock, self._place)
        while not isinstance(outcome := self._wire.write([put(row)]), Done):
            patience.pause(outcome)
            patience.refuse_more()

    def lease(self, key: str, holder: Holder, now: datetime, span: timedelta) -> bool:
        """Take or extend the lease on a credential.

        False while somebody else holds it whose time is not over and who is not provably dead.
        """
        row, patience = rows.lease_row(key, holder, now + span), _Patience(self._clock, self._place)
        while True:
            found = self._wire.get(rows.LEASES, rows.row_of(key))
            if found is not None and not self._free(found, holder, now):
                return False
            outcome = self._wire.write([create(row) if found is None else replace(row, found.etag)])
            if isinstance(outcome, Done):
                return True
            patience.pause(outcome)
            patience.refuse_more()

    def release(self, key: str, holder: Holder) -> None:
        """Give the lease back; nothing happens if it is not ours any more."""
        patience = _Patience(self._clock, self._place)
        while (found := self._wire.get(rows.LEASES, rows.row_of(key))) is not None:
            current, _ = rows.read_lease(found.row, self._place)
            if current != holder or isinstance(outcome := self._wire.write([remove(found.row, found.etag)]), Done):
                return
            patience.pause(outcome)
            patience.refuse_more()

    def _free(self, found: Found, holder: Holder, now: datetime) -> bool:
        """Whether `holder` may take the lease that was found."""
        current, until = rows.read_lease(found.row, self._place)
        lasts = now < until <= now + LONGEST_LEASE
        return current == holder or not lasts or provably_dead(current)


class _Patience:
    """How often one write is tried again, and the pauses in between, each of a random part of its length."""

    def __init__(self, clock: Clock, place: str) -> None:
        self._clock = clock
        self._place = place
        self._refused = 0
        self._unclear = 0
        self._last: Outcome = Refused()

    def pause(self, outcome: Outcome) -> None:
        """Wait before the next look."""
        self._last, after = outcome, 0.0
        if isinstance(outcome, Unclear):
            self._unclear += 1
            after = min(outcome.after, LONGEST_RETRY_AFTER)
        else:
            self._refused += 1
        tries = self._refused + 4 * self._unclear - AT_ONCE
        if tries > 0:
            longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(tries, 10))
            after += longest * int.from_bytes(self._clock.random_bytes(2), "big") / 0xFFFF
        if after:
            self._clock.wait(after)

    def refuse_more(self) -> None:
        """Raises LedgerFault once it was tried often enough."""
        if self._unclear >= MOST_UNCLEAR and isinstance(self._last, Unclear):
            raise LedgerFault(
                f"The ledger in {self._place} cannot be written: {self._last.sentence}.",
                hint="Nothing to do if it passes: keyturn sends nothing that it cannot write down.",
            )
        if self._refused >= MOST_REFUSED:
            raise LedgerFault(
                f"The ledger in {self._place} is busy: {self._refused} times another writer was quicker.",
                hint="Nothing was written. Let fewer machines share one ledger, or lower `workers`.",
            )


def _make(wire: Wire, clock: Clock, salt: bytes | None, asked: bool) -> schema.Meta:
    """Make the table if need be, and name the ledger in it; if somebody else was quicker, theirs stays."""
    if not asked:
        raise LedgerFault(
            f"There is no ledger in {wire.place}.", hint="Correct `ledger:`; the first `run` makes a new one."
        )
    wire.make()
    drawn = salt if salt is not None else clock.random_bytes(schema.SALT_BYTES)
    row = rows.meta_row(clock.random_bytes(_ID_BYTES).hex(), drawn, kept_outside=salt is not None)
    patience = _Patience(clock, wire.place)
    while (found := wire.get(rows.LEDGER, rows.META)) is None:
        outcome = wire.write([create(row)])
        if not isinstance(outcome, Done):
            patience.pause(outcome)
            patience.refuse_more()
    return rows.read_meta(found.row, wire.place)


def _conflict(record: Record, expected: int) -> Conflict:
    sentence = (
        f"The record of {record.id} has changed since it was read."
        if expected
        else f"{record.id} is in the ledger already: somebody else saved it first."
    )
    return Conflict(sentence, hint="Nothing was written. Read the record again.")
