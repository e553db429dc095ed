"""The page of ports: what the engines need of the world, and nothing else.

Keyring, Sink, Ledger, Probe, Evidence, Clock, Notifier. Each adapter implements one; each has an in-memory twin in
`testing`. Effects (`Keyring.set_value`, `regenerate`, `Sink.write`) are sent exactly once, not later than `send_by`,
and answer with one of three classes (rule A18); they raise nothing but `NotSent`. Reads raise `TryAgain`, `Refused`
or `Gone`. Never here: an implementation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from keyturn.model import Credential, Event, NotApplied, Record, Secret, Slot
from keyturn.policy import ProbeSpec

__all__ = [
    "LONGEST_LEASE",
    "Answer",
    "Applied",
    "Clock",
    "Entity",
    "Evidence",
    "HistoryLine",
    "Holder",
    "Keyring",
    "Ledger",
    "NotApplied",
    "Notifier",
    "Probe",
    "SendBy",
    "Shown",
    "Sink",
    "Stored",
    "Tags",
    "Uncertain",
    "Values",
    "Verdict",
]


class SendBy(msgspec.Struct, frozen=True, kw_only=True):
    """The last instant at which an effect may be sent, by both clocks (rule A4): whichever is reached first.

    `seconds` is how long a send may take before its turn abandons it.
    """

    at: datetime
    boot: float
    seconds: float


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """What one read of a credential told. `date` is Azure's own clock, from the answer's Date header."""

    etag: str | None
    state: str
    owner: str | None = None
    date: datetime | None = None
    display_name: str | None = None


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """Both live values, and the ETag that the same answer carried (rule A11)."""

    primary: Secret
    secondary: Secret
    etag: str | None

    def of(self, slot: Slot) -> Secret:
        return self.primary if slot is Slot.PRIMARY else self.secondary


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """The effect happened. `values` is the answer's own echo, where it has one."""

    values: Values | None = None


class Uncertain(msgspec.Struct, frozen=True, kw_only=True):
    """The effect may have happened, or may still happen: only a look tells."""

    sentence: str


Answer = Applied | NotApplied | Uncertain


class Keyring(Protocol):
    """Credentials of one kind in one service."""

    def discover(self) -> Iterable[Credential]:
        """Every credential there is, in Azure's order. Raises TryAgain, Refused, Gone."""

    def read(self, credential: Credential) -> Entity:
        """One ARM read. Raises TryAgain, Refused, Gone."""

    def read_values(self, credential: Credential) -> Values:
        """Both live values: one ARM call, charged as a write. Raises TryAgain, Refused, Gone."""

    def set_value(self, credential: Credential, slot: Slot, value: Secret, etag: str, send_by: SendBy) -> Answer:
        """Write a chosen value, fenced by `etag`. One ARM write. Raises NotSent."""

    def regenerate(self, credential: Credential, slot: Slot, send_by: SendBy) -> Answer:
        """Let Azure draw a fresh value. One ARM write. Raises NotSent."""

    def enable(self, credential: Credential, on: bool, etag: str, send_by: SendBy) -> Answer:
        """Let callers in, or lock them all out: activate or suspend an apim subscription, enable or disable tenant
        access. One ARM write. NotApplied where the kind has no such thing. Raises NotSent."""

    def prove_fence(self, credential: Credential, send_by: SendBy) -> Answer:
        """Send a write that changes nothing with a wrong ETag: NotApplied with status 412 proves the fence."""

    def gateways(self) -> Sequence[str]:
        """Base addresses (`https://host`) of every gateway of the service. Raises TryAgain, Refused, Gone."""


class Tags(msgspec.Struct, frozen=True, kw_only=True):
    """What a publish writes beside the value, for keyturn (rule A10) and for whoever looks at the sink."""

    ledger: str
    seq: int
    slot: Slot
    provider_address: str
    """The credential's ARM id."""
    validity_days: int
    expires: datetime
    """Next due + 30 days, so that Key Vault's SecretNearExpiry event means due."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a sink shows: nothing (`value` None), or a value with the tags it was written with."""

    value: Secret | None = None
    ledger: str | None = None
    seq: int | None = None
    slot: Slot | None = None


class Sink(Protocol):
    """One place that callers read one credential's value from."""

    @property
    def name(self) -> str:
        """Its identity, as people write it: `shop-kv/apim-contoso`."""

    @property
    def write_only(self) -> bool:
        """True where nothing can be read back (rule A14)."""

    def read(self) -> Shown:
        """What it shows now. Raises TryAgain, Refused, Gone (the place itself; an absent secret is empty)."""

    def write(self, value: Secret, tags: Tags, send_by: SendBy) -> Answer:
        """Show `value` from now on. Raises NotSent."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateways said to a value.

    `accepted`: every gateway, as often as asked. `proves_nothing`: a gateway also accepted a random value.
    """

    accepted: bool
    proves_nothing: bool = False
    sentence: str = ""


class Probe(Protocol):
    """Asks the gateways whether they accept a value."""

    def ask(self, gateways: Sequence[str], spec: ProbeSpec, value: Secret, accepts: int) -> Verdict:
        """Call every gateway on fresh connections: first with a random value (it must get 401), then `accepts`
        times with `value`. An unreachable gateway has not accepted. Raises nothing."""


class Evidence(Protocol):
    """Tells which slot callers used last."""

    def last_used(self, credential: Credential) -> Mapping[Slot, datetime]:
        """Per slot, the last call seen with its value (UTC). Absent: no call seen. Raises TryAgain, Refused."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A record and the version to save against."""

    record: Record
    version: int


class HistoryLine(msgspec.Struct, frozen=True, kw_only=True):
    """One event as the ledger keeps it: `seq` grows by one per event over the whole ledger."""

    seq: int
    key: str
    event: Event


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lease: enough to know whether a holder on this host is provably dead."""

    host: str
    boot_id: str
    pid: int
    started: str
    """The process's start time as the system tells it: a pid alone may be taken again."""
    nonce: str


LONGEST_LEASE = timedelta(days=1)
"""A lease that ends later than this from now was taken by a clock that was wrong, and counts as over (rule A16)."""


class Ledger(Protocol):
    """The durable record of intents and results. Every verb raises LedgerFault when the ledger is not usable."""

    @property
    def id(self) -> str:
        """Names this ledger in the sinks' tags (rule A10)."""

    @property
    def salt(self) -> bytes:
        """The salt of every fingerprint in it."""

    def load(self, key: str) -> Stored | None:
        """The record of one credential, or None."""

    def save(self, record: Record, expected: int, events: Sequence[Event]) -> int:
        """Write record and history in one transaction if the stored version is `expected` (0: not there yet).
        Returns the new version. Raises Conflict."""

    def records(self) -> Iterable[Record]:
        """Every record, by id."""

    def due(self, now: datetime) -> Sequence[str]:
        """Keys of the records that are not held and whose `not_before` is absent or past, longest waiting first."""

    def history(self, key: str | None = None, limit: int = 100) -> Sequence[HistoryLine]:
        """The newest events, oldest of them first."""

    def note(self, name: str) -> str | None:
        """A fact about a service, such as its proven fence."""

    def put_note(self, name: str, text: str) -> None:
        """Keep a fact about a service."""

    def lease(self, key: str, holder: Holder, now: datetime, span: timedelta) -> bool:
        """Take or extend the lease on a credential. False while somebody else holds it who is not provably dead."""

    def release(self, key: str, holder: Holder) -> None:
        """Give the lease back; no error if it is not ours any more."""


class Clock(Protocol):
    """Time and randomness, the only way they come in."""

    def now(self) -> datetime:
        """UTC, aware."""

    def boottime(self) -> float:
        """Seconds since boot, counting suspend."""

    def random_bytes(self, count: int) -> bytes:
        """From the operating system's generator."""

    def wait(self, seconds: float) -> None:
        """Sleep; returns early only when the process is asked to stop."""


class Notifier(Protocol):
    """Tells people."""

    def tell(self, credential: str, event: Event) -> None:
        """Pass one event on. Raises nothing."""
