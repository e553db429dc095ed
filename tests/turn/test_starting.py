"""When a rotation that is due may start: its window, its jitter, and the pace of its fleet."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from keyturn import by_hand
from keyturn.model import Hold, Record, Slot, Stage
from keyturn.pace import _too_many_held, leaders
from keyturn.policy import DAY, HOUR, MINUTE, Pace, Policy, due_at, starts_at
from keyturn.preview import preview
from keyturn.testing import START, World
from keyturn.turn_by_hand import TurnByHand
from keyturn.windows import is_open, parse
from tests.keyturns import callers, follow, keyturn, policy

SID = "contoso"
OFFICE = (parse("Mon-Thu 09:00-16:00 Europe/Oslo"),)


def adopted(rules: Policy) -> tuple[World, TurnByHand]:
    world = World()
    world.add(SID)
    turn = keyturn(world)
    turn.advance(world.credential(SID), rules)
    return world, turn


def step(world: World, turn: TurnByHand, rules: Policy, sid: str = SID) -> Record:
    """Let time pass until the record's wait ends, and take a turn."""
    left = world.record(sid).not_before
    if left is not None:
        world.clock.move(max(left - world.clock.now(), timedelta(0)))
    return turn.advance(world.credential(sid), rules).record


def started_at(world: World, turn: TurnByHand, rules: Policy) -> datetime:
    for _ in range(60):
        if step(world, turn, rules).stage is not Stage.IDLE:
            return world.clock.now()
    raise AssertionError("it never started")


def test_a_rotation_that_is_due_waits_for_its_window_and_says_so() -> None:
    rules = policy(windows=OFFICE)
    world, turn = adopted(rules)
    at = due_at(world.record(SID), rules)
    assert at is not None
    closed = at + DAY / 2
    while is_open(OFFICE, closed):
        closed += HOUR
    world.clock.move(closed - world.clock.now())
    record = turn.advance(world.credential(SID), rules).record
    assert record.stage is Stage.IDLE
    assert record.waiting is not None
    assert record.waiting.reason == "outside-window"
    assert "Mon-Thu 09:00-16:00 Europe/Oslo" in record.waiting.sentence
    started = started_at(world, turn, rules)
    assert is_open(OFFICE, started)
    assert not is_open(OFFICE, started - MINUTE), "it starts as soon as the window opens"


def test_what_has_started_goes_on_at_every_hour_and_refuses_nobody() -> None:
    rules = policy(windows=OFFICE)
    world, turn = adopted(rules)
    calling = callers(world, SID)
    record = follow(world, turn, SID, rules, calling=calling, limit=60 * DAY)
    assert record.rotations == 1
    retired = next(line.event.at for line in world.ledger.lines if line.event.kind == "retired")
    published = next(line.event.at for line in world.ledger.lines if line.event.kind == "published")
    assert retired - published < 2 * DAY
    assert not any(caller.refusals for caller in calling)


def test_a_person_who_asks_waits_for_no_window() -> None:
    rules = policy(windows=OFFICE)
    world, turn = adopted(rules)
    world.clock.move(2 * DAY)
    while is_open(OFFICE, world.clock.now()):
        world.clock.move(HOUR)
    stored = world.ledger.stored[world.credential(SID).key]
    asked, event = by_hand.request(stored.record, "leaving employee", world.clock.now())
    world.ledger.save(asked, stored.version, [event])
    assert turn.advance(world.credential(SID), rules).record.stage is not Stage.IDLE


def test_drift_is_repaired_outside_every_window() -> None:
    rules = policy(windows=OFFICE)
    world, turn = adopted(rules)
    follow(world, turn, SID, rules, limit=60 * DAY)
    while is_open(OFFICE, world.clock.now()):
        world.clock.move(HOUR)
    world.sinks[SID][0].put("f" * 32)
    turn.advance(world.credential(SID), rules, force=True)
    record = world.record(SID)
    assert record.active is not None
    assert world.sinks[SID][0].value == world.value(SID, record.active)


def test_the_timeline_starts_in_the_window() -> None:
    rules = policy(windows=OFFICE)
    world, turn = adopted(rules)
    sight = turn.sight(world.credential(SID), rules)
    told = preview(sight.record, sight.seen, rules, world.clock.now(), live=sight.live)
    begins = next(line for line in told.lines if line.what == "due")
    assert told.stopped == ""
    assert is_open(OFFICE, world.clock.now() + begins.offset)
    assert starts_at(sight.record, rules, world.clock.now()) == world.clock.now() + begins.offset


# -------- pace

FLEET = [f"sub-{n:02}" for n in range(10)]


def fleet(rules: Policy) -> tuple[World, TurnByHand]:
    world = World()
    for sid in FLEET:
        world.add(sid)
    turn = TurnByHand(
        keyring=world.keyring,
        sinks=world.sinks_of,
        ledger=world.ledger,
        probe=world.probe,
        clock=world.clock,
        fleet=lambda: tuple(world.ledger.records()),
    )
    for sid in FLEET:
        turn.advance(world.credential(sid), rules)
    return world, turn


def sweep(world: World, turn: TurnByHand, rules: Policy, span: timedelta) -> list[tuple[str, datetime]]:
    """Turns for everybody every half an hour. Who started, and when."""
    started: list[tuple[str, datetime]] = []
    end = world.clock.now() + span
    while world.clock.now() < end:
        for sid in FLEET:
            before = world.record(sid).stage
            record = turn.advance(world.credential(sid), rules).record
            if before is Stage.IDLE and record.stage is not Stage.IDLE:
                started.append((sid, world.clock.now()))
        world.clock.move(HOUR / 2)
    return started


def test_the_first_few_are_through_before_anybody_else_starts() -> None:
    rules = policy(pace=Pace(first=2))
    world, turn = fleet(rules)
    first = {record.id.removeprefix("shop/") for record in leaders(rules, tuple(world.ledger.records()))}
    started = sweep(world, turn, rules, 33 * DAY)
    assert {sid for sid, _ in started[:2]} == first
    assert {sid for sid, _ in started} == set(FLEET), "then the rest, within the same period"
    done = max(
        line.event.at
        for line in world.ledger.lines
        if line.event.kind == "finish" and line.key in {world.credential(sid).key for sid in first}
    )
    assert all(at >= done for sid, at in started[2:])


def test_the_first_few_are_those_whose_jitter_brings_them_due_first() -> None:
    rules = policy(pace=Pace(first=3), jitter=5 * DAY)
    world, _ = fleet(rules)
    records = list(world.ledger.records())
    by_due = sorted(records, key=lambda record: (due_at(record, rules) or world.clock.now(), record.key))
    assert [record.key for record in leaders(rules, records)] == [record.key for record in by_due[:3]]


def test_while_one_of_the_first_is_held_the_rest_do_not_start_and_say_so() -> None:
    rules = policy(pace=Pace(first=1))
    world, turn = fleet(rules)
    (leader,) = leaders(rules, tuple(world.ledger.records()))
    stored = world.ledger.stored[leader.key]
    held, event = by_hand.hold(stored.record, "looking", world.clock.now())
    world.ledger.save(held, stored.version, [event])
    assert sweep(world, turn, rules, 33 * DAY) == []
    waiting = next(record.waiting for record in world.ledger.records() if record.key != leader.key)
    assert waiting is not None
    assert waiting.reason == "pace"
    assert f"{leader.id} goes first and is held" in waiting.sentence


@pytest.mark.parametrize(("held", "starts"), [(2, True), (3, False)])
def test_nobody_starts_while_too_great_a_share_is_held(held: int, starts: bool) -> None:
    rules = policy(pace=Pace(stop_above=0.2))
    world, turn = fleet(rules)
    for sid in FLEET[:held]:
        stored = world.ledger.stored[world.credential(sid).key]
        record, event = by_hand.hold(stored.record, "looking", world.clock.now())
        world.ledger.save(record, stored.version, [event])
    assert bool(sweep(world, turn, rules, 31 * DAY)) is starts


def test_what_is_gone_holds_nobody_back_and_counts_as_nobody() -> None:
    rules = policy(pace=Pace(first=1, stop_above=0.05))
    world, turn = fleet(rules)
    (leader,) = leaders(rules, tuple(world.ledger.records()))
    del world.keyring.entities[leader.id.removeprefix("shop/")]
    stored = world.ledger.stored[leader.key]
    gone = by_hand.hold(stored.record, "x", world.clock.now())[0]
    assert gone.hold is not None
    world.ledger.save(
        gone.but(hold=type(gone.hold)(reason="gone", sentence="x", since=gone.hold.since)), stored.version, []
    )
    left = [sid for sid in FLEET if f"shop/{sid}" != leader.id]
    world.clock.move(31 * DAY)
    moved = [turn.advance(world.credential(sid), rules).record.stage for sid in left]
    assert any(stage is not Stage.IDLE for stage in moved)


def test_a_person_who_asks_waits_for_no_pace() -> None:
    rules = policy(pace=Pace(first=1))
    world, turn = fleet(rules)
    (leader,) = leaders(rules, tuple(world.ledger.records()))
    sid = next(sid for sid in FLEET if f"shop/{sid}" != leader.id)
    world.clock.move(31 * DAY)
    stored = world.ledger.stored[world.credential(sid).key]
    asked, event = by_hand.request(stored.record, "now", world.clock.now())
    world.ledger.save(asked, stored.version, [event])
    assert turn.advance(world.credential(sid), rules).record.stage is not Stage.IDLE


def test_another_policys_fleet_is_not_asked() -> None:
    rules = policy(pace=Pace(first=1))
    world, turn = fleet(rules)
    (leader,) = leaders(rules, tuple(world.ledger.records()))
    stored = world.ledger.stored[leader.key]
    other = stored.record.but(
        policy="others 0123456789ab", hold=by_hand.hold(stored.record, "x", leader.since or world.clock.now())[0].hold
    )
    world.ledger.save(other, stored.version, [])
    (next_leader,) = leaders(rules, [r for r in world.ledger.records() if r.key != leader.key])
    world.clock.move(31 * DAY)
    sid = next_leader.id.removeprefix("shop/")
    assert turn.advance(world.credential(sid), rules).record.stage is not Stage.IDLE
    assert next_leader.active is Slot.PRIMARY


@pytest.mark.parametrize("share", [n / 100 for n in range(1, 100)])
def test_exactly_the_share_that_may_be_held_stops_nobody(share: float) -> None:
    """0.29 of 100 is 28.999999999999996 where it is multiplied."""
    rules = policy(pace=Pace(stop_above=share))
    ours = [Record(key=f"k{n}", id=f"shop/{n}", policy=rules.digest) for n in range(100)]
    limit = round(share * 100)
    assert _too_many_held(rules, _with_held(ours, limit)) is None
    told = _too_many_held(rules, _with_held(ours, limit + 1))
    assert told is not None
    assert f"more than {limit}%" in told


def _with_held(records: list[Record], count: int) -> list[Record]:
    held = Hold(reason="by-hand", sentence="x", since=START)
    return [record.but(hold=held if n < count else None) for n, record in enumerate(records)]


def test_one_that_nobody_looks_after_any_more_holds_nobody_back() -> None:
    """The leader was opted out: its record stays in the ledger, as due as it was, and gets no turn ever again."""
    rules = policy(pace=Pace(first=1))
    world, turn = fleet(rules)
    (leader,) = leaders(rules, tuple(world.ledger.records()))
    left = [sid for sid in FLEET if f"shop/{sid}" != leader.id]
    started: set[str] = set()
    end = world.clock.now() + 35 * DAY
    while world.clock.now() < end:
        for sid in left:
            if turn.advance(world.credential(sid), rules).record.stage is not Stage.IDLE:
                started.add(sid)
        world.clock.move(HOUR)
    assert started == set(left)


def test_after_weeks_in_which_nobody_ran_the_first_still_go_first() -> None:
    rules = policy(pace=Pace(first=1))
    world, turn = fleet(rules)
    (leader,) = leaders(rules, tuple(world.ledger.records()))
    world.clock.move(90 * DAY)
    for sid in FLEET:
        if f"shop/{sid}" != leader.id:
            assert turn.advance(world.credential(sid), rules).record.stage is Stage.IDLE


def test_a_leader_that_is_held_is_forgotten_by_nobody() -> None:
    rules = policy(pace=Pace(first=1))
    world, turn = fleet(rules)
    (leader,) = leaders(rules, tuple(world.ledger.records()))
    stored = world.ledger.stored[leader.key]
    held, event = by_hand.hold(stored.record, "looking", world.clock.now())
    world.ledger.save(held, stored.version, [event])
    assert sweep(world, turn, rules, 40 * DAY) == []


def test_the_pace_is_asked_by_a_turn_that_comes_to_rest_as_well() -> None:
    """The turn begins in the middle of a repair, ends it, and finds the rotation due."""
    rules = policy(pace=Pace(first=1))
    world, turn = fleet(rules)
    (leader,) = leaders(rules, tuple(world.ledger.records()))
    sid = next(sid for sid in FLEET if f"shop/{sid}" != leader.id)
    world.clock.move(31 * DAY)
    world.sinks[sid][0].put(None)
    assert turn.advance(world.credential(sid), rules).record.stage is Stage.CONFIRM
    turn.advance(world.credential(leader.id.removeprefix("shop/")), rules)
    world.clock.move(MINUTE)
    record = turn.advance(world.credential(sid), rules).record
    assert record.stage is Stage.IDLE
    assert record.waiting is not None
    assert record.waiting.reason == "pace"
