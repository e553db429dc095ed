"""What a plan may judge by: a record, one look at the world, a policy, an instant.

`Seen` is the look; `mark` brings a record's exposed and quiet marks up to it (rule A1); `Scene` answers the questions
that the rows of `plan.TABLE` ask. Never here: what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Generic, TypeVar, overload

import msgspec

from keyturn.model import SLOTS, Fingerprint, Record, Slot, SlotRecord, Stage, TokenLife
from keyturn.policy import Policy, TokenSpec

SUSPENDED = "suspended"
"""The state of an apim subscription that gateways refuse until it is active again (azure-facts 6)."""


DISABLED = "disabled"
"""The state of tenant access keys that are switched off."""


class SinkSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What one sink showed in this turn's look. `problem` is why it could not be read, if it could not."""

    name: str
    shows: Fingerprint | None = None
    problem: str | None = None
    write_only: bool = False
    ledger: str | None = None
    seq: int | None = None
    slot: Slot | None = None
    sealed: bool = False
    """It shows a token, and the live values are not at hand to tell which of them it was made from."""
    token: TokenSpec | None = None
    """The token that belongs here; None where the value itself does."""
    expires: datetime | None = None
    """When the token that it shows stops working, by Azure's clock; None where it shows none."""

    @property
    def life(self) -> TokenLife | None:
        if self.token is None or self.expires is None:
            return None
        return TokenLife(expires=self.expires, renew_at=self.expires - self.token.renews_before)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One look: the entity, then the sinks (rule A8), and what the turn knows besides."""

    ledger: str
    """Our ledger's id."""
    state: str = "active"
    etag: str | None = None
    gone: str | None = None
    problem: str | None = None
    """Why the entity could not be read."""
    refused: bool = False
    """Azure said no, rather than nothing."""
    retry_after: float = 30.0
    sinks: tuple[SinkSeen, ...] = ()
    listed: bool = False
    """Both values were read, or echoed by an own write, in this turn."""
    held: frozenset[Fingerprint] = frozenset()
    """The values that the turn has in memory."""
    used: Mapping[Slot, datetime] = msgspec.field(default_factory=dict)
    """Evidence: per slot, the last call seen with its value."""
    skew: timedelta = timedelta(0)
    """The local clock less Azure's."""
    held_back: str | None = None
    """Why its fleet's pace does not let a rotation start now."""
    fence: bool | None = None
    """Whether this service refuses a wrong ETag; None: not tried yet."""


Answer = TypeVar("Answer")


class asked_once(Generic[Answer]):  # noqa: N801 - it is used as `property` is
    """A property of a scene that is worked out when it is first asked for. As `functools.cached_property` from Python
    3.12 on; before, that takes a lock, and a tenth of a turn's time, although a scene is one thread's own."""

    def __init__(self, question: Callable[[Scene], Answer]) -> None:
        self._question = question
        self.__doc__ = question.__doc__

    @overload
    def __get__(self, scene: None, _: object) -> asked_once[Answer]: ...

    @overload
    def __get__(self, scene: Scene, _: object) -> Answer: ...

    def __get__(self, scene: Scene | None, _: object) -> Answer | asked_once[Answer]:
        if scene is None:
            return self
        answer = self._question(scene)
        scene.__dict__[self._question.__name__] = answer  # where it is found from now on, before this descriptor
        return answer


class Scene(msgspec.Struct, frozen=True, dict=True):
    """A record, a look, a policy and an instant: all that a guard may judge by."""

    record: Record
    seen: Seen
    policy: Policy
    now: datetime

    @asked_once
    def values_current(self) -> bool:
        """The record's fingerprints are what is live (rule A11)."""
        if self.record.etag is None:
            return False
        if self.seen.listed:
            return True
        if self.sealed:
            return False
        return self.policy.trust_etag and self.record.etag == self.seen.etag

    def live(self, slot: Slot) -> Fingerprint | None:
        return self.record.slot(slot).fingerprint

    @property
    def active(self) -> Slot:
        assert self.record.active is not None  # noqa: S101 - every stage but UNKNOWN has one
        return self.record.active

    @property
    def target(self) -> Slot:
        return self.record.target or self.active

    @property
    def writing(self) -> Slot:
        """The slot that RENEW or RETIRE gives a fresh value: the turning one, or the one it replaces."""
        turning = self.record.turning or self.active.other
        return turning if self.record.stage is Stage.RENEW else turning.other

    @property
    def skewed(self) -> bool:
        """This machine's clock and Azure's differ by too much for any instant to be judged by (rule A16)."""
        return abs(self.seen.skew) > self.policy.max_clock_skew

    @asked_once
    def unreadable(self) -> tuple[SinkSeen, ...]:
        return tuple(sink for sink in self.seen.sinks if sink.problem is not None)

    @asked_once
    def sealed(self) -> bool:
        """Some sink shows a token of which nobody can tell yet who signed it: the values must be read."""
        return any(sink.sealed for sink in self.seen.sinks)

    def shows(self, sink: SinkSeen) -> Fingerprint | None:
        """What a sink shows; for a write-only one, what its last answered write left there (rule A14), until another
        publish may have landed on it since."""
        if not sink.write_only:
            return sink.shows
        until = self.record.unheard.get(sink.name)
        return self.record.written.get(sink.name) if until is None or self.azure_now < until else None

    @asked_once
    def heard_at(self) -> datetime | None:
        """When, by this machine's clock, the next publish that nobody answered has landed or never will."""
        of_slots = [self.record.slot(slot).unheard_until for slot in SLOTS]
        ends = [until for until in (*self.record.unheard.values(), *of_slots) if until is not None]
        return min((until + self.seen.skew for until in ends if until > self.azure_now), default=None)

    def may_be_quiet(self, slot: Slot) -> bool:
        """No publish of its value that nobody answered may land any more (ADR 0022); or nobody waits for that."""
        until = self.record.slot(slot).unheard_until
        return until is None or self.azure_now >= until or self.dies_at_once(slot)

    def without(self, slot: Slot) -> tuple[SinkSeen, ...]:
        """The sinks known not to hold the slot's live value, or a token made from it that is still fresh."""
        value = self.live(slot)
        return tuple(s for s in self.known if self.shows(s) != value or self.stale(s))

    @asked_once
    def known(self) -> tuple[SinkSeen, ...]:
        """The sinks that were read and understood."""
        return tuple(sink for sink in self.seen.sinks if sink.problem is None and not sink.sealed)

    def stale(self, sink: SinkSeen) -> bool:
        """Its token is due for a fresh one, by Azure's clock, which will refuse it one day; or it shows none at all, or
        one that lives longer than the policy says."""
        if sink.token is None:
            return False
        life, now = sink.life, self.azure_now
        return (
            life is None
            or now >= life.renew_at
            or life.expires > now + sink.token.lifetime + self.policy.max_clock_skew
        )

    def ended(self, sink: SinkSeen) -> bool:
        """The token that it shows has expired: nobody who reads it is let in."""
        return sink.expires is not None and self.azure_now >= sink.expires

    @property
    def azure_now(self) -> datetime:
        """Now by Azure's clock, as far as this look knows."""
        return self.now - self.seen.skew

    @asked_once
    def next_stale(self) -> datetime | None:
        """When, by this machine's clock, the next token that is still fresh will be stale."""
        fresh = [sink.life for sink in self.seen.sinks if not self.stale(sink)]
        return min((life.renew_at + self.seen.skew for life in fresh if life is not None), default=None)

    @asked_once
    def dead(self) -> tuple[SinkSeen, ...]:
        """The sinks that show a value which no slot holds: whoever reads them is refused."""
        alive = {self.live(Slot.PRIMARY), self.live(Slot.SECONDARY), None}
        return tuple(s for s in self.known if self.shows(s) not in alive)

    def compromised(self, slot: Slot) -> bool:
        """Its live value is one that a person named as compromised (rule A15)."""
        named = self.record.compromise
        return named is not None and self.live(slot) in named.values

    def dies_at_once(self, slot: Slot) -> bool:
        """Rule A15: a compromised value waits for no drain, and neither does the standby that is to replace one. That a
        sink shows or may show it blocks its slot all the same; that a publish of it may yet land does not, for the
        sinks are looked at once more after it has (trace V15)."""
        return self.compromised(slot) or (slot is self.active.other and self.compromised(self.active))

    @asked_once
    def suspended(self) -> bool:
        """Suspended by keyturn for the time of a compromise: gateways refuse every value of it."""
        named = self.record.compromise
        return named is not None and named.suspended and self.seen.state in {SUSPENDED, DISABLED}

    @asked_once
    def equal_slots(self) -> bool:
        return self.live(Slot.PRIMARY) == self.live(Slot.SECONDARY) and self.live(Slot.PRIMARY) is not None

    def settled(self, slot: Slot) -> bool:
        """No write to the slot is unresolved (rule A5)."""
        kept, intent = self.record.slot(slot), self.record.slot(slot).intent
        if kept.unsettled_until is not None and (self.skewed or self.now < kept.unsettled_until):
            return False
        if intent is None or intent.applied:
            return True
        if self.skewed:
            return False
        # no request outlives `late` (protocol.md 3): after that it has not landed, and never will
        return intent.sent_at is not None and self.now >= intent.sent_at + self.policy.settling

    def confirmed(self, slot: Slot) -> bool:
        kept = self.record.slot(slot)
        return kept.confirmed is not None and kept.confirmed == kept.fingerprint

    def publishable(self, slot: Slot) -> bool:
        """Rule A5: live in this turn's look, confirmed by the gateways, and settled."""
        return self.values_current and (self.refreshes(slot) or (self.confirmed(slot) and self.settled(slot)))

    def refreshes(self, slot: Slot) -> bool:
        """All that is missing are fresh tokens of a value that those very sinks show already. Nobody is handed another
        value, so there is nothing to confirm, nor to settle; and neither a probe that fails nor a clock that is wrong
        may let a token run out (ADR 0013)."""
        missing = self.without(slot)
        return bool(missing) and all(self.shows(sink) == self.live(slot) for sink in missing)

    @asked_once
    def rescue(self) -> Slot | None:
        """A slot whose value may be published at once: the active one first, else the other (rule A12); a compromised
        value is never handed round (rule A15)."""
        return next(
            (s for s in (self.active, self.active.other) if self.publishable(s) and not self.compromised(s)), None
        )


def mark(record: Record, seen: Seen, policy: Policy, now: datetime) -> Record:
    """Bring the marks of both slots up to this look: exposed, quiet, and whatever instant a wrong clock left (A1, A16).

    A slot becomes quiet only at a look that could read every sink, by a clock that agrees with Azure's, once no
    publish of its value may land any more.
    """
    if record.looked_at is not None and record.looked_at > now:
        record = record.but(looked_at=now)  # a clock that was ahead stored it, and this look is later than that
    if seen.problem is not None or seen.gone is not None:
        return record
    scene = Scene(record, seen, policy, now)
    sees_everything = _sees_everything(scene)
    shown = {scene.shows(sink) for sink in scene.known} - {None}
    marked: dict[str, SlotRecord] = {}
    for slot in SLOTS:
        kept = _timed(record.slot(slot), scene)
        being_published = record.stage is Stage.PUBLISH and record.target is slot
        if kept.fingerprint in shown or (kept.intent is not None and not shown.isdisjoint(kept.intent.candidates)):
            kept = msgspec.structs.replace(kept, exposed=True, quiet_since=None)
        elif kept.exposed and not being_published and sees_everything and scene.may_be_quiet(slot):
            kept = msgspec.structs.replace(kept, exposed=False, quiet_since=now)
        marked[slot.value] = kept
    own = _own_sinks(scene)
    marked_sinks = {"left": _left(scene, own), "tokens": _tokens(scene), "written": _written(scene)}
    return record.but(**marked, **marked_sinks, sinks=own, unheard=_unheard(scene))


def _sees_everything(scene: Scene) -> bool:
    """Every sink was read, and what a write-only one shows is known from an answered write (rule A14) that no other
    can have come after."""
    written, unheard = scene.record.written, scene.record.unheard
    unknown = any(k.write_only and (k.name not in written or k.name in unheard) for k in scene.seen.sinks)
    return not (scene.unreadable or scene.sealed or unknown or scene.skewed or scene.record.stage is Stage.UNKNOWN)


def _own_sinks(scene: Scene) -> tuple[str, ...]:
    """Those known before that the policy still names, and those found; none is forgotten by a look that is blind."""
    alive = {scene.live(Slot.PRIMARY), scene.live(Slot.SECONDARY)} - {None}
    ours = {scene.seen.ledger, scene.record.succeeds} - {None}
    found = [k.name for k in scene.seen.sinks if scene.shows(k) in alive or k.ledger in ours or k.write_only]
    named = {sink.name for sink in scene.seen.sinks}
    known = [name for name in scene.record.sinks if name in named or scene.unreadable]
    return tuple(sorted({*known, *found}))


def _left(scene: Scene, own: tuple[str, ...]) -> dict[str, Fingerprint]:
    """The sinks of ours that the policy names no more, until what they were given has died: nobody empties them, and
    who still reads them there is refused then."""
    known = dict(scene.record.left)
    gone = {*scene.record.sinks} - {*own}
    if not known and not gone:
        return {}
    alive = {scene.live(Slot.PRIMARY), scene.live(Slot.SECONDARY)}
    if scene.record.active is not None:
        given = scene.live(scene.target if scene.record.stage is Stage.PUBLISH else scene.active)
        known |= {} if given is None else dict.fromkeys(sorted(gone), given)
    named = {sink.name for sink in scene.seen.sinks}
    return {name: value for name, value in known.items() if value in alive and name not in named}


def _tokens(scene: Scene) -> dict[str, TokenLife]:
    """How long each sink's token is good; what an unreadable or sealed one showed last is remembered."""
    if not scene.record.tokens and all(sink.token is None for sink in scene.seen.sinks):
        return {}
    kept = {sink.name: scene.record.tokens.get(sink.name) for sink in scene.seen.sinks}
    found = {**kept, **{sink.name: sink.life for sink in scene.known}}
    return {name: life for name, life in found.items() if life is not None}


def _written(scene: Scene) -> dict[str, Fingerprint]:
    """What write-only sinks were given. One that was given a token and is to have the value now was given nothing."""
    if not scene.record.written:
        return {}
    values = {sink.name for sink in scene.seen.sinks if sink.write_only and sink.token is None}
    changed = values & scene.record.tokens.keys()
    return {name: value for name, value in scene.record.written.items() if name not in changed}


def _unheard(scene: Scene) -> dict[str, datetime]:
    """Of the sinks that are write-only; no further away than a request can live."""
    if not scene.record.unheard:
        return {}
    longest = scene.azure_now + scene.policy.settling
    named = {sink.name for sink in scene.seen.sinks if sink.write_only}
    return {name: min(until, longest) for name, until in scene.record.unheard.items() if name in named}


_INSTANTS = ("quiet_since", "written_at", "published_at")


def _timed(kept: SlotRecord, scene: Scene) -> SlotRecord:
    """The slot's instants as this clock may use them: none by a clock that is wrong, none further away than legal."""
    changes: dict[str, object] = {}
    if kept.confirmed is None or kept.confirmed != kept.fingerprint:
        if scene.skewed:
            changes |= {"written_at": None, "accepted": None, "accepted_at": None}
        elif kept.fingerprint is not None and kept.written_at is None:
            changes["written_at"] = scene.now
    if not scene.skewed:
        for name in _INSTANTS:
            at = getattr(kept, name)
            if at is not None and at > scene.now:
                changes[name] = scene.now
        if kept.accepted_at is not None and kept.accepted_at > scene.azure_now:
            changes["accepted_at"] = scene.azure_now
        if kept.unsettled_until is not None and kept.unsettled_until > scene.now + scene.policy.settling:
            changes["unsettled_until"] = scene.now + scene.policy.settling
    if kept.unheard_until is not None and kept.unheard_until > scene.azure_now + scene.policy.settling:
        changes["unheard_until"] = scene.azure_now + scene.policy.settling
    return msgspec.structs.replace(kept, **changes) if changes else kept
