"""Cases of the table: a record, what is seen, a policy and an instant; and exactly what the table makes of them.

Every record here is well in the middle of things: it failed once, was refused by a gateway, and waited for something,
so that a row which has to forget that shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from keyturn.model import Fingerprint, Hold, Record, Slot, SlotRecord, Stage, Waiting, WriteIntent
from keyturn.plan import TABLE, Effect, next_step
from keyturn.policy import DAY, HOUR, MINUTE, Policy, TokenKind, TokenSpec
from keyturn.scene import Scene, Seen, SinkSeen, mark
from tests.keyturns import policy

P, S = Slot.PRIMARY, Slot.SECONDARY
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
REFUSED_SINCE, REFUSED_AT = NOW - 5 * MINUTE, NOW - MINUTE
RULES = policy()
AGAIN = NOW + MINUTE
"""When a second failure in a row is tried again."""
LATE = NOW + 18 * MINUTE
"""Until when a write of this instant may land: late + deadline."""

TURNING: dict[Stage, dict[str, Slot | None]] = {
    Stage.UNKNOWN: {"active": None},
    Stage.IDLE: {"active": P},
    Stage.RENEW: {"active": P, "turning": S},
    Stage.CONFIRM: {"active": P, "turning": S, "target": S},
    Stage.PUBLISH: {"active": P, "turning": S, "target": S},
    Stage.DRAIN: {"active": S, "turning": S},
    Stage.RETIRE: {"active": S, "turning": S},
    Stage.PROVE: {"active": S, "turning": S, "target": P},
}
"""The slots of a rotation from primary to secondary, by stage."""


def value(name: str) -> Fingerprint:
    return Fingerprint(name)


def active(name: str, **changes: Any) -> SlotRecord:
    """A confirmed value that was published ten days ago."""
    shown: dict[str, Any] = {"exposed": True, "published_at": NOW - 10 * DAY}
    return msgspec.structs.replace(quiet(name, quiet_since=None), **(shown | changes))


def quiet(name: str, **changes: Any) -> SlotRecord:
    """A confirmed value that has been in no sink for five days."""
    known: dict[str, Any] = {"confirmed": name, "exposed": False, "quiet_since": NOW - 5 * DAY}
    return SlotRecord(**{"fingerprint": name, "written_at": NOW - 20 * DAY, **known, **changes})


def record(stage: Stage = Stage.IDLE, **changes: Any) -> Record:
    """The values are `p` and `s`; the active one is published, and the other quiet."""
    slots = TURNING[stage]
    first = slots["active"] is not S
    usual: dict[str, Any] = {
        "since": NOW - HOUR,
        "primary": active("p") if first else quiet("p"),
        "secondary": quiet("s") if first else active("s"),
        "etag": "7",
        "seq": 4,
        "sinks": ("vault",),
        "renewals": 1,
        "rotations": 3,
        "failures": 1,
        "failing_since": NOW - 5 * MINUTE,
        "refused_since": REFUSED_SINCE,
        "refused_at": REFUSED_AT,
        "not_before": NOW - MINUTE,
        "waiting": Waiting(reason="earlier", sentence="something else"),
    }
    return Record(**{"key": "k", "id": "shop/contoso", "stage": stage, **slots, **usual, **changes})


def sink(shows: str | None = "p", name: str = "vault", **more: Any) -> SinkSeen:
    return SinkSeen(name=name, shows=None if shows is None else value(shows), **more)


WEEKLY = TokenSpec(kind=TokenKind.GATEWAY, lifetime=7 * DAY, renew_before=DAY)


def token(shows: str = "p", name: str = "vault", left: timedelta = 6 * DAY, **more: Any) -> SinkSeen:
    """A sink with a token that lives so much longer, and is due a day before that."""
    return sink(shows, name, token=WEEKLY, expires=NOW + left, **more)


def seen(*sinks: SinkSeen, **changes: Any) -> Seen:
    """One sink that shows `p`, and both values at hand."""
    usual: dict[str, Any] = {"ledger": "ours", "etag": "7", "fence": True, "held": frozenset({"p", "s"})}
    return Seen(sinks=sinks or (sink(),), **(usual | changes))


def sent(ago: timedelta, **changes: Any) -> WriteIntent:
    """A write that was sent that long ago."""
    usual: dict[str, Any] = {"mode": RULES.mode, "sends": 1, "sent_at": NOW - ago, "before": "s"}
    return WriteIntent(**(usual | changes))


def scene(given: Record, look: Seen | None = None, rules: Policy = RULES, now: datetime = NOW) -> Scene:
    look = seen() if look is None else look
    return Scene(mark(given, look, rules, now), look, rules, now)


# -------- what becomes of a record


def enters(stage: Stage, **more: Any) -> dict[str, Any]:
    asking = {"refused_since": None, "refused_at": None} if stage in {Stage.CONFIRM, Stage.PROVE} else {}
    return {"stage": stage, "since": NOW, "not_before": None, "waiting": None, **asking, **more}


def sends(**more: Any) -> dict[str, Any]:
    return {"not_before": None, "waiting": None, **more}


WORKED: Mapping[str, Any] = {"failures": 0, "failing_since": None}


def waits(reason: str, until: datetime, rule: str = "", **more: Any) -> dict[str, Any]:
    return {**WORKED, "not_before": until, "waiting": (reason, rule), **more}


def fails(reason: str, rule: str = "", until: datetime = AGAIN, **more: Any) -> dict[str, Any]:
    return {"failures": 2, "not_before": until, "waiting": (reason, rule), **more}


def holds(reason: str, **more: Any) -> dict[str, Any]:
    return {"hold": (reason, NOW), "not_before": None, "waiting": None, **more}


# -------- cases


@dataclass(frozen=True, kw_only=True)
class Case:
    """What the table does about a record: which row decides, what it changes, tells and sends.

    `changes` are the fields that differ from the record, brought up to the look; of a wait its reason and rule, of a
    hold its reason and instant. `event` is its kind and rule. `cites` is the rule of the row itself.
    """

    row: str
    given: Record
    look: Seen = field(default_factory=seen)
    rules: Policy = RULES
    now: datetime = NOW
    changes: Mapping[str, Any] = field(default_factory=dict)
    event: tuple[str, str] | None = None
    effect: Effect | None = None
    cites: str | None = None


def cases(table: Mapping[str, Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", table.values(), ids=table)


def decide(case: Case) -> None:
    """Ask the table, and compare all that it answers."""
    marked = mark(case.given, case.look, case.rules, case.now)
    step = next_step(case.given, case.look, case.rules, case.now)
    (row,) = (row for row in TABLE if row.name == step.row)
    told = None if step.event is None else (step.event.kind, step.event.rule)
    expected = {name: what for name, what in case.changes.items() if what != _plain(getattr(marked, name))}
    assert (step.row, _changes(marked, step.record)) == (case.row, expected)
    assert (told, step.effect) == (case.event, case.effect)
    assert step.event is None or step.event.at == case.now
    assert step.record.stage is case.given.stage or step.record.stage in row.to
    assert row.rule == (case.cites if case.cites is not None else case.event[1] if case.event is not None else "")


def _changes(before: Record, after: Record) -> dict[str, Any]:
    was, now = ({n: _plain(getattr(each, n)) for n in Record.__struct_fields__} for each in (before, after))
    return {name: what for name, what in now.items() if what != was[name]}


def _plain(what: Any) -> Any:
    if isinstance(what, Waiting):
        return what.reason, what.rule
    if isinstance(what, Hold):
        return what.reason, what.since
    return what
