"""What a ledger in a table of Azure Storage looks like: its partitions, its row keys, and how a record becomes a row.

Pure: rows in, rows out. One partition holds what a save must write in one transaction: records and history. Leases and
notes have partitions of their own, so that they are in no save's way. Never here: a call, or a decision about time.

Row keys may hold neither `/` nor `#`, and at most 512 characters; ARM ids hold the first and may be longer. So a row
is found by the SHA-256 of its key, and the key itself stands in the row. History counts backwards in its row keys:
rows come in their order, and what is asked for is always the newest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from keyturn.errors import LedgerFault
from keyturn.ledgers import schema
from keyturn.model import Event, Record
from keyturn.ports import HistoryLine, Holder

SCHEMA_VERSION: Final = 1

LEDGER, LEASES, NOTES = "ledger", "leases", "notes"
META: Final = "meta"
RECORDS: Final = "r-"
HISTORY: Final = "h-"
HISTORY_OF: Final = "o-"
"""Each line of history stands in the table twice: once for the ledger's history, once for its credential's."""

CHUNK: Final = 60 * 1024
"""One property holds at most 64 KiB, so that a long body goes into several."""
MOST_CHUNKS: Final = 12
"""A row holds at most 1 MiB, which Azurite counts in base64."""
MOST_EVENTS: Final = 49
"""A transaction changes at most 100 rows: the record, and two for each event."""
RECENT_SAVES: Final = 8
"""A row remembers the last saves by their nonces, so that a save whose answer was lost is recognised."""

SHOWN: Final = 1000
"""Characters of what stands in a row for people alone, beside the body that has it whole."""

_LAST: Final = 10**15 - 1
_ZERO: Final = datetime(1, 1, 1, tzinfo=schema.instant(0).tzinfo)
_NO_WAIT: Final = "-"
"""`not_before` of a record that waits for nothing: sorts before every digit."""

Row = Mapping[str, Any]

_decode_record = msgspec.json.Decoder(Record).decode
_decode_event = msgspec.json.Decoder(Event).decode
_decode_holder = msgspec.json.Decoder(Holder).decode


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a stored record without its body. Version 0: it is not there. `saves`: the newest last."""

    version: int = 0
    etag: str = ""
    saves: tuple[str, ...] = ()


NOT_THERE: Final = Saved()


# -------- what a ledger says of itself


def meta_row(ledger_id: str, salt: bytes, kept_outside: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "PartitionKey": LEDGER,
        "RowKey": META,
        "keyturn_schema": SCHEMA_VERSION,
        "ledger_id": ledger_id,
        "salt_check": schema.salt_check(salt),
    }
    return row if kept_outside else {**row, "salt": salt}


def read_meta(row: Row, place: str) -> schema.Meta:
    """Raises LedgerFault for a row of somebody else's, and for a ledger of another version."""
    version, ledger_id = row.get("keyturn_schema"), row.get("ledger_id")
    salt, check = row.get("salt"), row.get("salt_check")
    if not isinstance(version, int) or not isinstance(ledger_id, str) or not ledger_id:
        raise stranger(place)
    if version > SCHEMA_VERSION:
        raise LedgerFault(
            f"The ledger in {place} was made by a newer keyturn: schema {version}; this one knows {SCHEMA_VERSION}.",
            hint="Install that version of keyturn again. Nothing in the ledger was changed.",
        )
    if version < SCHEMA_VERSION:
        raise LedgerFault(
            f"The ledger in {place} has schema {version}, and this keyturn cannot bring it to {SCHEMA_VERSION}.",
            hint="Open it once with the keyturn version in between.",
        )
    if not isinstance(salt, bytes | None) or not isinstance(check, str):
        raise damaged(place, "the row that names it cannot be read")
    return schema.Meta(version=version, ledger_id=ledger_id, salt=salt, salt_check=check)


def stranger(place: str) -> LedgerFault:
    return LedgerFault(
        f"{place} holds rows, but is not a keyturn ledger.",
        hint="Give `ledger.table.name` another name; keyturn makes the table itself.",
    )


# -------- records


def row_of(key: str, prefix: str = "") -> str:
    """The row key for a key of any length and any characters."""
    return prefix + hashlib.sha256(key.encode()).hexdigest()


def record_row(record: Record, version: int, saves: Sequence[str], place: str) -> dict[str, Any]:
    """Raises LedgerFault for a record that is too long for a row."""
    return {
        "PartitionKey": LEDGER,
        "RowKey": row_of(record.key, RECORDS),
        "key": record.key,
        "id": record.id[:SHOWN],
        "version": version,
        "stage": record.stage.value,
        "not_before": _NO_WAIT if record.not_before is None else sortable(record.not_before),
        "held": record.hold is not None,
        "saves": " ".join(saves[-RECENT_SAVES:]),
        **_packed(msgspec.json.encode(record), f"the record of {record.id}", place),
    }


def saved(row: Row, etag: str, place: str) -> Saved:
    version, saves = row.get("version"), row.get("saves")
    if not isinstance(version, int) or not isinstance(saves, str):
        raise damaged(place, "a record in it has no version")
    return Saved(version=version, etag=etag, saves=tuple(saves.split()))


def read_record(row: Row, place: str) -> Record:
    """Raises LedgerFault if it is none."""
    try:
        return _decode_record(_unpacked(row))
    except (msgspec.DecodeError, TypeError, UnicodeError, RecursionError) as error:
        raise damaged(place, "a record in it cannot be read") from error


def sortable(at: datetime) -> str:
    """An instant as text that sorts like it, to the microsecond. Raises TypeError for a time without a zone."""
    return f"{(at - _ZERO) // timedelta(microseconds=1):018d}"


# -------- history


def history_rows(key: str, event: Event, seq: int, place: str) -> list[dict[str, Any]]:
    """One line, for the ledger's history and for its credential's. Raises LedgerFault for one that is too long."""
    line = {
        "PartitionKey": LEDGER,
        "key": key,
        "seq": str(seq),
        "kind": event.kind[:SHOWN],
        **_packed(msgspec.json.encode(event), f"an event of {key}", place),
    }
    back = f"{_LAST - seq:015d}"
    return [{**line, "RowKey": HISTORY + back}, {**line, "RowKey": f"{row_of(key, HISTORY_OF)}-{back}"}]


def line_seq(row: Row, place: str) -> int:
    """The number that a line has, by its row key. Raises LedgerFault if it has none."""
    number = str(row["RowKey"]).rpartition("-")[2]
    if not number.isdecimal():
        raise damaged(place, "a line of its history has no number")
    return _LAST - int(number)


def read_line(row: Row, place: str) -> HistoryLine:
    """Raises LedgerFault if it is none."""
    try:
        return HistoryLine(seq=line_seq(row, place), key=str(row["key"]), event=_decode_event(_unpacked(row)))
    except (msgspec.DecodeError, TypeError, KeyError, ValueError, RecursionError) as error:
        raise damaged(place, "a line of its history cannot be read") from error


# -------- leases and notes


def lease_row(key: str, holder: Holder, until: datetime) -> dict[str, Any]:
    return {
        "PartitionKey": LEASES,
        "RowKey": row_of(key),
        "key": key,
        "until": schema.micros(until).to_bytes(8, "big", signed=True),
        "holder": msgspec.json.encode(holder),
    }


def read_lease(row: Row, place: str) -> tuple[Holder, datetime]:
    """Who holds it, and until when. Raises LedgerFault if it is no lease."""
    try:
        return _decode_holder(row["holder"]), schema.instant(int.from_bytes(row["until"], "big", signed=True))
    except (msgspec.DecodeError, TypeError, KeyError, ValueError, OverflowError, RecursionError) as error:
        raise damaged(place, "a lease in it cannot be read") from error


def note_row(name: str, text: str, place: str) -> dict[str, Any]:
    packed = _packed(text.encode(), f"the note {name}", place)
    return {"PartitionKey": NOTES, "RowKey": row_of(name), "name": name, **packed}


def read_note(row: Row, place: str) -> str:
    try:
        return _unpacked(row).decode()
    except (TypeError, UnicodeError) as error:
        raise damaged(place, "a note in it cannot be read") from error


# -------- filters


def below(prefix: str) -> str:
    """Every row of the ledger's partition whose key begins so. `prefix` ends in a dash."""
    return f"PartitionKey eq '{LEDGER}' and RowKey ge '{prefix}' and RowKey lt '{prefix[:-1]}.'"


def waits_no_more(now: datetime) -> str:
    return f"{below(RECORDS)} and held eq false and not_before le '{sortable(now)}'"


# -------- bodies


def _packed(body: bytes, what: str, place: str) -> dict[str, bytes]:
    """Bytes, not text: a property of text is bounded in UTF-16, and its characters in what may be said in XML."""
    chunks = [body[at : at + CHUNK] for at in range(0, len(body), CHUNK)] or [b""]
    if len(chunks) > MOST_CHUNKS:
        raise LedgerFault(
            f"{place} cannot keep {what}: it has {len(body):,} bytes, and a row holds {CHUNK * MOST_CHUNKS:,}.",
            hint="Nothing was written. Look at why it has grown so long: it may have a very large number of sinks.",
        )
    return {f"body{number or ''}": chunk for number, chunk in enumerate(chunks)}


def _unpacked(row: Row) -> bytes:
    """Raises TypeError where a part is missing or no bytes."""
    parts = [row.get("body")]
    while (part := row.get(f"body{len(parts)}")) is not None:
        parts.append(part)
    return b"".join(part if isinstance(part, bytes) else _no_bytes() for part in parts)


def _no_bytes() -> bytes:
    raise TypeError


def damaged(place: str, what: str) -> LedgerFault:
    return LedgerFault(
        f"The ledger in {place} is damaged: {what}.",
        hint="keyturn has left it as it is. Restore the table, or name another one: keyturn then learns from the "
        "sinks again, and writes no slot for a full drain.",
    )
