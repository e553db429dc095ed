"""Scripted misfortune: what goes wrong with which request, and when a late effect lands.

It decides, per request, whether a fault strikes, and keeps the effects that come later. The server carries
faults out.

Never here: sockets, or what a room would have answered.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from keyturn_emulator.clock import EmulatedClock, iso
from keyturn_emulator.wire import Answer, Call, json_answer

KINDS: Mapping[str, str] = {
    "status": "the room is not asked; `status` is answered",
    "delay": "the answer comes `seconds` of machine time later; the effect before or after that, see `when`",
    "lost-answer": "the room runs; then the connection is cut, or `status` answered",
    "late-effect": "the connection is cut, or `status` answered, at once; the room runs `after` "
    "emulated seconds later, or when the effect is released",
    "drop": "no effect; the connection is cut",
    "stale": "a GET or HEAD of Resource Manager or of a vault is answered as it would have been when the fault "
    "was added",
}
FIELDS = frozenset(
    {"match", "kind", "status", "code", "message", "retry_after", "seconds", "when", "after", "times", "skip",
     "probability"}
)  # fmt: skip
MATCH_FIELDS = frozenset({"host", "method", "path_contains", "path_regex", "agent_regex"})


class FaultError(ValueError):
    """A fault description that says nothing the emulator could do; its text names the field."""


@dataclass(slots=True, frozen=True)
class Match:
    """Which requests: every field that is set must fit. Paths are compared decoded, hosts and methods
    without case.
    """

    host: str | None = None
    method: str | None = None
    path_contains: str | None = None
    path_regex: re.Pattern[str] | None = None
    agent_regex: re.Pattern[str] | None = None

    @classmethod
    def read(cls, raw: Any) -> Match:
        """Raises FaultError."""
        if not isinstance(raw, dict):
            raise FaultError("match must be an object")
        for name, value in raw.items():
            if name not in MATCH_FIELDS:
                raise FaultError(f"match.{name} is not known; known are {', '.join(sorted(MATCH_FIELDS))}")
            if not isinstance(value, str):
                raise FaultError(f"match.{name} must be a text")
        return cls(
            host=raw["host"].lower() if "host" in raw else None,
            method=raw["method"].upper() if "method" in raw else None,
            path_contains=raw.get("path_contains"),
            path_regex=_pattern(raw, "path_regex"),
            agent_regex=_pattern(raw, "agent_regex"),
        )

    def fits(self, call: Call) -> bool:
        return (
            (self.host is None or self.host == call.host)
            and (self.method is None or self.method == call.method)
            and (self.path_contains is None or self.path_contains in call.path)
            and (self.path_regex is None or self.path_regex.search(call.path) is not None)
            and (self.agent_regex is None or self.agent_regex.search(call.headers.get("user-agent", "")) is not None)
        )

    def describe(self) -> dict[str, str]:
        fields = {
            "host": self.host,
            "method": self.method,
            "path_contains": self.path_contains,
            "path_regex": self.path_regex.pattern if self.path_regex else None,
            "agent_regex": self.agent_regex.pattern if self.agent_regex else None,
        }
        return {name: value for name, value in fields.items() if value is not None}


def _pattern(raw: Mapping[str, str], name: str) -> re.Pattern[str] | None:
    try:
        return re.compile(raw[name]) if name in raw else None
    except re.error as error:
        raise FaultError(f"match.{name}: {error}") from error


class Past(Protocol):
    """The emulated Azure as it once was."""

    def knows(self, call: Call) -> bool:
        """Whether this request only reads something that the past has an answer to."""
        ...

    def answer(self, call: Call) -> Answer: ...


@dataclass(slots=True)
class Fault:
    id: int
    kind: str
    match: Match
    status: int | None = None
    code: str = "EmulatedFault"
    message: str = "A fault scripted by a test."
    retry_after: int | None = None  # seconds
    seconds: float = 0.0  # machine seconds of a delay
    when: str = "before"  # whether a delay comes before or after the effect
    after: float | None = None  # emulated seconds until a late effect; None waits for a release
    times: int = 1  # -1: until removed
    skip: int = 0
    probability: float = 1.0
    struck: int = 0
    past: Past | None = None  # of a stale one: what it answers from

    def describe(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind,
            "match": self.match.describe(),
            "status": self.status,
            "code": self.code,
            "times": self.times,
            "skip": self.skip,
            "probability": self.probability,
            "struck": self.struck,
        }


@dataclass(slots=True)
class LateEffect:
    call: Call
    due: datetime | None  # emulated; None waits for a release


@dataclass
class FaultBook:
    """The faults in force, in the order they were added, and the effects still to come.

    `apply` runs one call in its room; its answer has nobody to go to. `freeze` keeps what is true now.
    """

    clock: EmulatedClock
    apply: Callable[[Call], None]
    freeze: Callable[[], Past]
    seed: int = 0
    faults: list[Fault] = field(default_factory=list)
    late: list[LateEffect] = field(default_factory=list)
    added: int = 0

    def __post_init__(self) -> None:
        # A generator of its own: key values must not depend on how often a fault was weighed.
        self._chance = random.Random(f"faults:{self.seed}")  # noqa: S311 - replayable on purpose, guards nothing
        self.clock.on_move.append(self._apply_due)

    def add(self, raw: Any) -> Fault:
        """Raises FaultError naming the field that is unknown or makes no sense."""
        fault = _read_fault(raw, self.added + 1)
        if fault.kind == "stale":
            fault.past = self.freeze()
        self.added += 1
        self.faults.append(fault)
        return fault

    def remove(self, fault_id: int | None) -> int:
        """Remove one fault, or all; how many went. Late effects already under way still come."""
        before = len(self.faults)
        self.faults = [fault for fault in self.faults if fault_id is not None and fault.id != fault_id]
        return before - len(self.faults)

    def strike(self, call: Call) -> Fault | None:
        """The fault that strikes this call, counted as struck; None almost always."""
        for fault in self.faults:
            if fault.times == 0 or not fault.match.fits(call):
                continue
            if fault.past is not None and not fault.past.knows(call):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.probability < 1.0 and self._chance.random() >= fault.probability:
                continue
            fault.times -= fault.times > 0
            fault.struck += 1
            return fault
        return None

    def postpone(self, call: Call, after: float | None) -> None:
        """`call` takes effect `after` emulated seconds from now; None: when the effects are released."""
        due = None if after is None else self.clock.now() + timedelta(seconds=after)
        self.late.append(LateEffect(call, due))

    def next_due(self) -> datetime | None:
        return min((effect.due for effect in self.late if effect.due is not None), default=None)

    def release(self) -> int:
        """Let every late effect land now, in the order of their requests; how many landed."""
        landing, self.late = self.late, []
        for effect in landing:
            self.apply(effect.call)
        return len(landing)

    def _apply_due(self) -> None:
        now = self.clock.now()
        landing = [effect for effect in self.late if effect.due is not None and effect.due <= now]
        self.late = [effect for effect in self.late if effect not in landing]
        for effect in landing:
            self.apply(effect.call)

    def describe(self) -> dict[str, Any]:
        return {
            "faults": [fault.describe() for fault in self.faults],
            "late_effects": [
                {
                    "method": effect.call.method,
                    "host": effect.call.host,
                    "path": effect.call.path,
                    "due": None if effect.due is None else iso(effect.due),
                }
                for effect in self.late
            ],
        }


def advance(clock: EmulatedClock, book: FaultBook, seconds: float) -> None:
    """Let `seconds` of emulated time pass, stopping at each late effect so that it lands at its own moment."""
    target = clock.now() + timedelta(seconds=seconds)
    while (due := book.next_due()) is not None and clock.now() < due <= target:
        clock.advance((due - clock.now()).total_seconds())
    clock.advance((target - clock.now()).total_seconds())


def fault_answer(room: str, fault: Fault) -> Answer:
    """The status of a fault, in the envelope of the room that it pretends to come from."""
    status = fault.status or 500
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    if room == "gateway":
        return json_answer(status, {"statusCode": status, "message": fault.message}, headers)
    if room in ("entra", "machine"):
        return json_answer(status, {"error": fault.code, "error_description": fault.message}, headers)
    return json_answer(status, {"error": {"code": fault.code, "message": fault.message}}, headers)


LARGEST = 1_000_000_000
"""Of any number in a fault: 31 years, where it is seconds."""
_TYPES: Mapping[str, tuple[type, ...]] = {
    "status": (int,),
    "code": (str,),
    "message": (str,),
    "retry_after": (int,),
    "seconds": (int, float),
    "when": (str,),
    "after": (int, float),
    "times": (int,),
    "skip": (int,),
    "probability": (int, float),
}


def _read_fault(raw: Any, fault_id: int) -> Fault:
    if not isinstance(raw, dict):
        raise FaultError("a fault is an object with match and kind")
    for name, value in raw.items():
        if name not in FIELDS:
            raise FaultError(f"{name} is not known; known are {', '.join(sorted(FIELDS))}")
        if name in _TYPES and (not isinstance(value, _TYPES[name]) or isinstance(value, bool)):
            raise FaultError(f"{name} has the wrong type")
        if name in _TYPES and not isinstance(value, str) and not abs(value) <= LARGEST:
            raise FaultError(f"{name} is beyond reason")
    kind = raw.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise FaultError(f"kind must be one of {', '.join(KINDS)}")
    if kind == "status" and "status" not in raw:
        raise FaultError("kind status needs a status")
    if not 400 <= raw.get("status", 500) <= 599:
        raise FaultError("status must be from 400 to 599")
    if raw.get("when", "before") not in {"before", "after"}:
        raise FaultError("when must be before or after")
    fields = {name: value for name, value in raw.items() if name in _TYPES}
    return Fault(id=fault_id, kind=kind, match=Match.read(raw.get("match", {})), **fields)
