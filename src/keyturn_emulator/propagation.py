"""What one gateway has heard of so far.

Decides: which presented value a gateway accepts as whose key at an instant, given that news reaches it late:
a new value after `delay_new`, the end of an old one after `delay_old` emulated seconds. Never here: whether a
call is allowed, or HTTP.

No document bounds these delays; advice on live services speaks of up to ten minutes (azure-facts 6), so they
are parameters of each gateway. Instants are emulated boot seconds, so a clock that jumps hastens no news.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass
from typing import Final, Literal, get_args

Slot = Literal["primary", "secondary"]
SLOTS: Final[tuple[Slot, ...]] = get_args(Slot)
Place = tuple[str, Slot]  # the sid of an apim subscription, and the slot


@dataclass(slots=True, frozen=True)
class Grant:
    """A value lives, as far as a gateway knows, in this slot; `write` is the rowversion that put it there."""

    sid: str
    slot: Slot
    write: int


@dataclass(slots=True, frozen=True)
class Standing:
    """What a gateway knows of an apim subscription beside its keys. `state` None: deleted."""

    state: str | None
    scope: str
    write: int


@dataclass(slots=True, frozen=True)
class _Arrival:
    """A value reaches the gateway."""

    grant: Grant
    value: str


@dataclass(slots=True, frozen=True)
class _End:
    """Everything older than `write` in this slot is dead."""

    place: Place
    write: int


@dataclass(slots=True, frozen=True)
class _Change:
    sid: str
    standing: Standing


News = _Arrival | _End | _Change


class GatewayView:
    """The accepted values of one gateway. Writes are told at once and take effect when they are due."""

    def __init__(self, delay_new: float = 0.0, delay_old: float = 0.0) -> None:
        self.delay_new = delay_new
        self.delay_old = delay_old
        self._grants: dict[str, list[Grant]] = {}
        self._values: defaultdict[Place, list[tuple[str, Grant]]] = defaultdict(list)
        self._ended: dict[Place, int] = {}
        self._standings: dict[str, Standing] = {}
        self._due: list[tuple[float, int, News]] = []
        self._told = 0

    def tell_key(self, now: float, sid: str, slot: Slot, value: str, write: int) -> None:
        """A slot has a new value: accept it after delay_new, refuse its predecessors after delay_old."""
        self._put(now + self.delay_new, _Arrival(Grant(sid, slot, write), value))
        self._put(now + self.delay_old, _End((sid, slot), write))

    def tell_standing(self, now: float, sid: str, state: str, scope: str, write: int) -> None:
        """State or scope changed.

        What lets callers in comes like a new value, what shuts them out like an old.
        """
        delay = self.delay_new if state == "active" else self.delay_old
        self._put(now + delay, _Change(sid, Standing(state, scope, write)))

    def tell_gone(self, now: float, sid: str, write: int) -> None:
        """The apim subscription was deleted."""
        for slot in ("primary", "secondary"):
            self._put(now + self.delay_old, _End((sid, slot), write))
        self._put(now + self.delay_old, _Change(sid, Standing(None, "", write)))

    def settle(self, now: float) -> None:
        """Let everything that is due by now take effect."""
        while self._due and self._due[0][0] <= now:
            self._apply(heapq.heappop(self._due)[2])

    def settle_all(self) -> None:
        """Let everything take effect at once: for a seeded world, in which all of this is long past."""
        self.settle(float("inf"))

    def grants(self, value: str) -> list[Grant]:
        """Where the value lives as far as this gateway knows. Call `settle` first."""
        return self._grants.get(value, [])

    def values(self, sid: str, slot: Slot) -> list[str]:
        """The values that this gateway knows in a slot, oldest first. Call `settle` first."""
        return [value for value, _ in self._values.get((sid, slot), ())]

    def standing(self, sid: str) -> Standing | None:
        return self._standings.get(sid)

    def _put(self, at: float, news: News) -> None:
        self._told += 1
        heapq.heappush(self._due, (at, self._told, news))

    def _apply(self, news: News) -> None:
        match news:
            case _Arrival(grant, value):
                self._arrive(grant, value)
            case _End(place, write):
                self._end(place, write)
            case _Change(sid, standing):
                known = self._standings.get(sid)
                if known is None or known.write < standing.write:
                    self._standings[sid] = standing

    def _arrive(self, grant: Grant, value: str) -> None:
        """A value that a later write has already ended here never comes alive, however slow its arrival."""
        place = (grant.sid, grant.slot)
        if self._ended.get(place, 0) > grant.write:
            return
        self._grants.setdefault(value, []).append(grant)
        self._values[place].append((value, grant))

    def _end(self, place: Place, write: int) -> None:
        self._ended[place] = max(write, self._ended.get(place, 0))
        kept: list[tuple[str, Grant]] = []
        for value, grant in self._values[place]:
            if grant.write >= write:
                kept.append((value, grant))
                continue
            others = [other for other in self._grants[value] if other != grant]
            if others:
                self._grants[value] = others
            else:
                del self._grants[value]
        self._values[place] = kept
