"""Who was refused when, by whose doing, and whether that lies within the bound that the protocol gives.

Callers and gateways count each on their own, call by call. A refused call of a caller whose key and sink nobody else
touched may not be; one of the others must lie between the incident and its bound. Never here: what happens on stage.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from keyturn.demo.incidents import CONFIRMED, FAILED_OVER, NOTED, REPAIRED, TABLE, Cause
from keyturn.demo.stage import Settings
from keyturn.model import Event
from keyturn.policy import Policy, spell

PUBLISHED: Final = "published"
DID: Final = {FAILED_OVER: "failed over", CONFIRMED: "confirmed, published", REPAIRED: "repaired", NOTED: "noted"}
WAKING: Final = timedelta(minutes=2)
"""A timer that starts keyturn once a minute, and `deadline` (60 s), within which a look has its effect or drops it."""
CONFIRMING: Final = Policy(name="").propagation
"""How long confirming a live value takes at most: until every gateway must have it (A3)."""


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to one credential; to whom nothing happened, `at` is None."""

    cause: Cause
    sid: str
    at: datetime | None = None
    look_by: datetime | None = None
    """When keyturn's next look was due by then, as its ledger said."""

    def bound(self, settings: Settings) -> timedelta:
        """For how long calls may be refused, from the incident on, by what is configured (protocol: A12, and what
        cannot be prevented)."""
        if not self.cause.refuses:
            return timedelta(0)
        return look(self.cause, settings) + _after_look(self.cause, settings)

    def latest(self, settings: Settings) -> datetime | None:
        """The last instant at which a call may be refused, by when this very look was due. None: none may be."""
        if not self.cause.refuses or self.at is None or self.look_by is None:
            return None
        due = min(self.look_by, self.at + look(self.cause, settings))
        return max(due, self.at) + WAKING + _after_look(self.cause, settings)


def look(cause: Cause, settings: Settings) -> timedelta:
    """The longest time to keyturn's next look. In a drain that is its end: nothing is looked at before."""
    return max(settings.drain, settings.look_every) if cause.turning else settings.look_every


def _after_look(cause: Cause, settings: Settings) -> timedelta:
    confirming = CONFIRMING if cause.answer == CONFIRMED else timedelta(0)
    return confirming + (settings.step if cause.rereads else settings.cache)


class Witness:
    """Notes refused calls as callers and gateways count them, with the emulated instant."""

    def __init__(self) -> None:
        self.by_callers: dict[str, list[datetime]] = defaultdict(list)
        self.by_gateways: dict[str, list[datetime]] = defaultdict(list)
        self._counted: Mapping[str, int] = {}

    def note(self, now: datetime, refused: Iterable[str], counted: Mapping[str, int]) -> None:
        """After a round: who says that it was refused, and all that the gateways have refused so far."""
        for name in refused:
            self.by_callers[name].append(now)
        for name, count in counted.items():
            self.by_gateways[name] += [now] * (count - self._counted.get(name, 0))
        self._counted = counted


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one incident."""

    incident: Incident
    did: str
    """What keyturn did first, as its history calls it."""
    after: timedelta | None
    """How long after the incident it did."""
    by_callers: int
    by_gateways: int
    longest: timedelta
    """From the incident to the last refused call."""
    outside: int
    """Refused calls that nothing explains: before the incident, or after its bound."""

    @property
    def is_good(self) -> bool:
        """Whether keyturn did what the protocol says, and nobody was refused outside the bound."""
        return not self.outside and self.did == self.incident.cause.answer


def find(incident: Incident, events: Sequence[Event], witness: Witness, settings: Settings) -> Found:
    """Compare what the history tells of one credential with what callers and gateways counted."""
    at, latest = incident.at, incident.latest(settings)
    since = [event for event in events if at is not None and event.at >= at]
    answers = [event for event in since if event.kind in DID]
    answer = next((event for event in answers if event.kind != NOTED), answers[0] if answers else None)
    published = next((event.at for event in since if event.kind == PUBLISHED), None)
    if latest is not None and published is not None:  # once the sink is right, only what was read before is wrong
        latest = min(latest, published + (settings.step if incident.cause.rereads else settings.cache))
    callers, gateways = witness.by_callers[incident.sid], witness.by_gateways[incident.sid]
    last = max([*callers, *gateways], default=None)
    if at is None or latest is None:
        outside = len(gateways) + len(callers)
    else:
        outside = sum(not at <= refused <= latest for refused in [*callers, *gateways])
    return Found(
        incident=incident,
        did="" if answer is None else answer.kind,
        after=None if answer is None or at is None else answer.at - at,
        by_callers=len(callers),
        by_gateways=len(gateways),
        longest=timedelta(0) if last is None or at is None else last - at,
        outside=outside,
    )


# -------- telling


def in_json(found: Sequence[Found], settings: Settings) -> list[dict[str, Any]]:
    """One object for each cause that happened."""
    return [
        {
            "cause": cause.code,
            "credentials": [each.incident.sid for each in mine],
            "keyturn": sorted({each.did for each in mine}),
            "after_seconds": [round(each.after.total_seconds()) for each in mine if each.after is not None],
            "refused": {
                "callers": sum(each.by_callers for each in mine),
                "gateways": sum(each.by_gateways for each in mine),
            },
            "longest_seconds": round(max(each.longest for each in mine).total_seconds()),
            "bound_seconds": round(mine[0].incident.bound(settings).total_seconds()),
            "outside": sum(each.outside for each in mine),
        }
        for cause, mine in _by_cause(found)
    ]


def table(found: Sequence[Found], settings: Settings) -> list[str]:
    """In 80 columns: who did what, to how many, what keyturn did, calls refused, for how long, and at most."""
    shown = [_line("who changed what", "of", "keyturn", "refused", "for", "bound")]
    for cause, mine in _by_cause(found):
        did = ", ".join(sorted({DID.get(each.did, "nothing") for each in mine}))
        refused = str(sum(each.by_callers for each in mine))
        longest, bound = max(each.longest for each in mine), mine[0].incident.bound(settings)
        shown.append(_line(cause.told, str(len(mine)), did, refused, _clock(longest), _clock(bound)))
    return shown


def explained(settings: Settings) -> list[str]:
    """What the table's bounds are made of."""
    looks = (
        f"one look ({spell(settings.look_every)}; {spell(settings.drain)} in a drain, which is looked at when it ends)"
    )
    return [
        f"bound (h:mm): {looks},",
        f"then one cache time ({spell(settings.cache)}), or the next call of who rereads; {spell(CONFIRMING)} more",
        "where no standby is left that is confirmed",
    ]


def _clock(span: timedelta) -> str:
    """Hours and minutes, rounded up."""
    minutes = -(-int(span.total_seconds()) // 60)
    return f"{minutes // 60}:{minutes % 60:02}" if minutes else "0"


def _line(cause: str, count: str, did: str, refused: str, longest: str, bound: str) -> str:
    return f"{cause:<35} {count:>2}  {did:<20}{refused:>7} {longest:>5} {bound:>6}"


def _by_cause(found: Sequence[Found]) -> list[tuple[Cause, list[Found]]]:
    groups = [(cause, [each for each in found if each.incident.cause == cause]) for cause in TABLE]
    return [(cause, mine) for cause, mine in groups if mine]
