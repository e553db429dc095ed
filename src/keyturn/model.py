"""The words of keyturn as types: credential, slot, value, record.

A record is everything that keyturn remembers of one credential between turns. It holds fingerprints, never values.

Never here: a clock, randomness, IO, or a decision about what to do next (that is `plan`).
"""

from __future__ import annotations

import hmac
from datetime import datetime
from enum import StrEnum
from typing import NewType

import msgspec

Fingerprint = NewType("Fingerprint", str)
"""All that the ledger, logs and screens ever know of a value: 96 bits of a salted HMAC-SHA256, as 24 hex digits."""

FINGERPRINT_BITS = 96
MASK = "********"


class Slot(StrEnum):
    """Where a live value sits."""

    PRIMARY = "primary"
    SECONDARY = "secondary"

    @property
    def other(self) -> Slot:
        return Slot.SECONDARY if self is Slot.PRIMARY else Slot.PRIMARY


SLOTS = (Slot.PRIMARY, Slot.SECONDARY)
"""Both, in their order; an enum takes longer to go through, and every look does."""


class Secret:
    """A key value or other secret, masked in repr, str, format, pickle and JSON.

    `reveal` is the only way to the value, so that `grep -rn reveal` lists every place that touches one.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        return self.__value

    def fingerprint(self, salt: bytes) -> Fingerprint:
        digest = hmac.digest(salt, self.__value.encode(), "sha256")
        return Fingerprint(digest[: FINGERPRINT_BITS // 8].hex())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__value.encode(), other.__value.encode())

    def __hash__(self) -> int:
        return hash(self.__value)

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return (Secret, (MASK,))


class Kind(StrEnum):
    """What holds the two slots; each kind has a keyring of its own."""

    APIM_SUBSCRIPTION = "apim subscription"
    TENANT = "tenant"  # the service's tenant access keys: `access`, and `gitAccess` for its git repository
    GATEWAY = "gateway"  # a self-hosted gateway's keys


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """One two-slot credential that keyturn looks after, as its keyring found it."""

    id: str
    """What people write: `{service alias}/{sid}`, `{alias}/tenant/access`, `{alias}/gateways/{id}`."""
    key: str
    """The record's key: the lower-cased ARM id."""
    address: str
    """The ARM id as Azure writes it."""
    service: str
    """The service's alias in the configuration."""
    name: str
    """The sid; `access` or `gitAccess`; the gateway's id."""
    kind: Kind = Kind.APIM_SUBSCRIPTION
    identity: str | None = None
    """Whom a token made from its keys names: the tenant's `integration` or `git`, a gateway's id."""
    owner: str | None = None
    """The APIM user's id, or None: product- or service-wide ones may have no owner."""
    product: str | None = None
    scope: str = ""
    state: str = "active"
    display_name: str | None = None


class Stage(StrEnum):
    """Where a credential is in its rotation. `plan` holds every way from one to another."""

    UNKNOWN = "unknown"  # not adopted yet: which slot is active is not known
    IDLE = "idle"  # the active value is in every sink, the standby rests
    RENEW = "renew"  # the standby gets a fresh value
    CONFIRM = "confirm"  # the gateways must accept a value before it is published
    PUBLISH = "publish"  # the value goes to every sink
    DRAIN = "drain"  # the old value stays live until no caller uses it
    RETIRE = "retire"  # the old slot gets a fresh value: the old value dies
    PROVE = "prove"  # the gateways must accept the fresh standby, so that there is something to fail over to


class Mode(StrEnum):
    """How a slot gets a fresh value."""

    SET = "set"  # keyturn draws the value and PATCHes it, fenced by the ETag
    REGENERATE = "regenerate"  # Azure draws it; needs fewer rights


class WriteIntent(msgspec.Struct, frozen=True, kw_only=True):
    """A write to a slot that was decided and saved before it was sent (invariant 4).

    `candidates` are the fingerprints of every value drawn for this one renew, at most eight, appended and never
    replaced (rule A9): any of them live in the slot means done. In regenerate mode there are none, and `before`
    tells a change from no change.
    """

    mode: Mode
    candidates: tuple[Fingerprint, ...] = ()
    before: Fingerprint | None = None
    etag: str | None = None
    sends: int = 0
    sent_at: datetime | None = None
    applied: bool = False
    acknowledged: bool = False
    by_hand: bool = False
    """A person asked for this one write (`key set`, `key regenerate`); no rotation waits for it."""


class SlotRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the record knows of one slot."""

    fingerprint: Fingerprint | None = None
    """The value last known to be live in the slot."""
    written_at: datetime | None = None
    """When keyturn saw that value arrive (UTC)."""
    foreign: bool = False
    """Somebody else wrote the value."""
    accepted: Fingerprint | None = None
    """The value that every gateway accepted; it counts as confirmed once the settle time has passed."""
    accepted_at: datetime | None = None
    """When, by Azure's clock: the settle time is shorter than machines' clocks may differ by (ADR 0020)."""
    confirmed: Fingerprint | None = None
    """The value that counts as confirmed (rules A5, A17)."""
    proven: bool = False
    """Confirmed by a probe, not by waiting alone."""
    exposed: bool = True
    """A sink shows or may show the slot's value (rule A1)."""
    quiet_since: datetime | None = None
    """The first look that saw the value in no sink any more (rule A1): the slot is quiet once `drain` has passed since
    then, by whatever the policy says `drain` is. None while exposed, and for a value that no sink ever showed."""
    published_at: datetime | None = None
    """When the value first stood in every sink: the age of an active value counts from here."""
    unsettled_until: datetime | None = None
    """A write that nobody acknowledged may land until then (rules A2, A5)."""
    unheard_until: datetime | None = None
    """A publish of the value that nobody answered may land in a sink until then, by Azure's clock: another may write
    over it there before anybody looks, so that a look before then does not tell that the value is quiet (ADR 0022)."""
    intent: WriteIntent | None = None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing happens before `not_before`: a reason code, a sentence, the rule behind it, what would shorten it."""

    reason: str
    sentence: str
    rule: str = ""
    shorter: str = ""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Stopped for a person."""

    reason: str
    sentence: str
    since: datetime


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A person asked for a rotation now."""

    at: datetime
    because: str


class Compromise(msgspec.Struct, frozen=True, kw_only=True):
    """A person said that these values are in wrong hands: they die without a drain (rule A15)."""

    values: tuple[Fingerprint, ...]
    because: str
    at: datetime
    suspended: bool = False
    """The apim subscription was suspended for it, and is to be activated once they are dead."""
    look_at: datetime | None = None
    """They are dead; a publish of one that was in the air has landed by then, and a look shows it (trace V15)."""


class TokenLife(msgspec.Struct, frozen=True, kw_only=True):
    """How long a token in a sink is good (UTC, by Azure's clock), and from when on a fresh one is due."""

    expires: datetime
    renew_at: datetime


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that keyturn remembers of one credential. Saved by compare-and-swap; holds no value."""

    key: str
    id: str
    stage: Stage = Stage.UNKNOWN
    since: datetime | None = None
    """When the stage was entered (UTC)."""
    active: Slot | None = None
    """The slot whose value is published."""
    turning: Slot | None = None
    """The slot that this rotation makes active; None when none is under way."""
    target: Slot | None = None
    """The slot whose value is being confirmed or published."""
    primary: SlotRecord = SlotRecord()
    secondary: SlotRecord = SlotRecord()
    etag: str | None = None
    """The entity's ETag at which both fingerprints were read; None when they must be read again."""
    seq: int = 0
    """Grows by one per publish intent; every publish tags its sinks with it (rule A10)."""
    renewed: Fingerprint | None = None
    """The value that this rotation gave to the turning slot; kept so that a detour does not renew it twice."""
    written: dict[str, Fingerprint] = {}
    """Per write-only sink, the last value whose writing was answered (rule A14)."""
    unheard: dict[str, datetime] = {}
    """Per write-only sink, until when (by Azure's clock) a publish that nobody answered may still land there: no look
    would tell, so that it is given its value once more then (ADR 0021)."""
    tokens: dict[str, TokenLife] = {}
    """Per sink that shows a token, how long that token is good."""
    looked_at: datetime | None = None
    refused_since: datetime | None = None
    """The first ask of this CONFIRM or PROVE that a gateway refused."""
    refused_at: datetime | None = None
    """The last such ask."""
    retired: bool = False
    """This rotation has ended the old value: there is nothing to roll back to (rule A6)."""
    sinks: tuple[str, ...] = ()
    """The sinks that were seen to show a value of this credential, or one of ours: they are its own."""
    left: dict[str, Fingerprint] = {}
    """Per sink that the policy names no more, the value that it was given last, for as long as that value lives."""
    not_before: datetime | None = None
    waiting: Waiting | None = None
    hold: Hold | None = None
    rolling_back: bool = False
    """A person asked for the old slot to be published again; hold once that is done."""
    vouched: datetime | None = None
    """A person vouches that no caller has used the standby since then (`adopt --quiet-since`)."""
    succeeds: str | None = None
    """Another ledger's id whose sinks a person let this one take over (rule A10)."""
    requested: Request | None = None
    compromise: Compromise | None = None
    """Values that a person named as compromised, until they are dead and the sinks were looked at again."""
    failures: int = 0
    """Successive turns that failed; resets at the first that does not."""
    failing_since: datetime | None = None
    """When the first of them did (UTC)."""
    renewals: int = 0
    """Writes begun since the rotation began; bounds it (invariant 7)."""
    rotations: int = 0
    policy: str = ""
    """Name and digest of the policy that the waits were computed under."""

    def slot(self, slot: Slot) -> SlotRecord:
        return self.primary if slot is Slot.PRIMARY else self.secondary

    def with_slot(self, slot: Slot, **changes: object) -> Record:
        """This record with some fields of one slot changed."""
        changed = msgspec.structs.replace(self.slot(slot), **changes)
        return msgspec.structs.replace(self, **{slot.value: changed})

    def but(self, **changes: object) -> Record:
        return msgspec.structs.replace(self, **changes)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of history. `sentence` and `facts` are safe to show: they hold no value."""

    at: datetime
    kind: str
    sentence: str
    rule: str = ""
    facts: dict[str, str] = {}


class NotApplied(msgspec.Struct, frozen=True, kw_only=True):
    """The effect did not happen and never will: Azure refused it (rule A18). `after` is Retry-After, in seconds."""

    status: int
    code: str
    sentence: str
    hint: str = ""
    after: float | None = None
