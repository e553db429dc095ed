"""The traces V1 to V15 of protocol.md, each directed step by step: what broke an earlier design must not break this.

A and B are two keyturns over one world. A stall is a trap at the point where A stands: whatever the trap runs happens
while A sleeps, and A goes on when it returns.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from keyturn import by_hand
from keyturn.errors import NeedsPerson
from keyturn.model import Mode, Record, Slot, Stage
from keyturn.policy import DAY, HOUR, MINUTE, Policy, Retire
from keyturn.testing import LATE, LOST, NEVER, START, Crash, ManualClock, MemoryCaller, World
from keyturn.turn_by_hand import TurnByHand
from tests.keyturns import callers, follow, keyturn, policy

SID = "contoso"


def in_stage(stage: Stage, rules: Policy, *, sinks: int = 1) -> World:
    """A world whose one credential has just entered a stage."""
    world = World()
    world.add(SID, sinks=[f"vault-{n}/{SID}" for n in range(sinks)])
    follow(world, keyturn(world), SID, rules, until=Stage.IDLE)
    world.clock.move(2 * DAY)
    if stage is not Stage.IDLE:
        ask(world, "rotate")
        follow(world, keyturn(world), SID, rules, until=stage)
    return world


def ask(world: World, what: str) -> Record:
    """What an operator asks for, saved by compare-and-swap as the command line does."""
    stored = world.ledger.stored[world.credential(SID).key]
    now = world.clock.now()
    asks = {"rotate": by_hand.request, "rollback": by_hand.rollback, "release": by_hand.release}
    record, event = asks[what](stored.record, what, now)
    world.ledger.save(record, stored.version, [event])
    return record


def published_is_live(world: World) -> bool:
    return all(sink.value is not None and world.keyring.accepts(sink.value) for sink in world.sinks[SID])


def refusals(calling: list[MemoryCaller]) -> int:
    return sum(len(caller.refusals) for caller in calling)


def pass_time(world: World, rules: Policy, span: timedelta, calling: list[MemoryCaller]) -> Record:
    """Turns every quarter of an hour for a while, with callers calling."""
    turn, end = keyturn(world), world.clock.azure + span
    while world.clock.azure < end:
        turn.advance(world.credential(SID), rules)
        for caller in calling:
            caller.call()
        world.clock.move(HOUR / 4)
    return world.record(SID)


# -------- V1


def test_v1_delayed_publish_wakes_after_the_next_rotation_and_is_dropped() -> None:
    rules = policy()
    world = in_stage(Stage.CONFIRM, rules)
    calling = callers(world, SID)

    def b_rotates_twice() -> None:
        follow(world, keyturn(world), SID, rules, calling=calling)
        ask(world, "rotate")
        follow(world, keyturn(world), SID, rules, until=Stage.DRAIN, calling=calling)
        world.script.at("set_value.done", lambda: None)

    world.script.at("sink.write", b_rotates_twice)
    follow(world, keyturn(world), SID, rules, calling=calling)
    pass_time(world, rules, 2 * DAY, calling)
    published = [value for _, value in world.sinks[SID][0].writes]
    assert len(published) == len(set(published)), "A's stale value was written a second time"
    assert published_is_live(world)
    assert refusals(calling) == 0


def test_v1_delayed_publish_frozen_past_its_check_for_less_than_the_drain_refuses_nobody() -> None:
    rules = policy()
    world = in_stage(Stage.CONFIRM, rules)
    calling = callers(world, SID)

    def b_rolls_back_and_rotates_again() -> None:
        follow(world, keyturn(world), SID, rules, until=Stage.DRAIN, calling=calling)
        ask(world, "rollback")
        follow(world, keyturn(world), SID, rules, calling=calling)
        ask(world, "release")
        pass_time(world, rules, rules.drain - HOUR, calling)

    world.script.at("sink.write.sent", b_rolls_back_and_rotates_again)
    follow(world, keyturn(world), SID, rules, calling=calling)
    pass_time(world, rules, 3 * DAY, calling)
    assert published_is_live(world)
    assert refusals(calling) == 0


def test_v1_delayed_publish_given_up_by_its_sender_lands_after_a_rollback() -> None:
    rules = policy()
    world = in_stage(Stage.CONFIRM, rules)
    calling = callers(world, SID)
    world.script.fault("sink.write", LATE)
    follow(world, keyturn(world), SID, rules, until=Stage.DRAIN, calling=calling)
    ask(world, "rollback")
    follow(world, keyturn(world), SID, rules, calling=calling)
    ask(world, "release")
    world.clock.move(rules.late - MINUTE)
    keyturn(world).advance(world.credential(SID), rules)
    fresh = world.value(SID, Slot.SECONDARY)
    world.script.land_late()
    assert world.sinks[SID][0].value == fresh, "the late write shows a value that still lives"
    pass_time(world, rules, 3 * DAY, calling)
    assert published_is_live(world)
    assert refusals(calling) == 0


def test_v1_delayed_publish_lands_after_the_ledger_was_lost() -> None:
    rules = policy()
    world = in_stage(Stage.CONFIRM, rules)
    calling = callers(world, SID)
    world.script.fault("sink.write", LATE)
    world.script.at("sink.write.sent", lambda: world.script.crash("sink.read"))
    world.clock.move(timedelta(seconds=30))
    with pytest.raises(Crash):
        keyturn(world).advance(world.credential(SID), rules)
    assert world.script.late
    world.ledger.stored.clear()
    keyturn(world).advance(world.credential(SID), rules)
    ask(world, "rotate")
    keyturn(world).advance(world.credential(SID), rules)
    world.script.land_late()
    pass_time(world, rules, 3 * DAY, calling)
    assert published_is_live(world)
    assert refusals(calling) == 0


# -------- V2


def test_v2_reverted_sink_restarts_the_drain() -> None:
    rules = policy()
    world = in_stage(Stage.DRAIN, rules)
    calling = callers(world, SID)
    pass_time(world, rules, rules.drain - HOUR, calling)
    old = world.value(SID, Slot.PRIMARY)
    world.sinks[SID][0].put(old)
    for caller in calling:
        caller.call()
    repaired_at = world.clock.azure
    record = pass_time(world, rules, 2 * HOUR, calling)
    assert record.stage is Stage.DRAIN
    assert record.primary.quiet_since is not None
    assert record.primary.quiet_since >= repaired_at
    pass_time(world, rules, 2 * DAY, calling)
    assert refusals(calling) == 0
    assert not world.keyring.accepts(old)


# -------- V3


def test_v3_rollback_then_rotate_waits_until_the_rolled_back_value_is_quiet() -> None:
    rules = policy()
    world = in_stage(Stage.DRAIN, rules)
    calling = callers(world, SID)
    for caller in calling:
        caller.call()
    rolled_back = world.value(SID, Slot.SECONDARY)
    ask(world, "rollback")
    held = follow(world, keyturn(world), SID, rules, calling=calling)
    assert held.hold is not None
    assert held.hold.reason == "rolled-back"
    assert held.active is Slot.PRIMARY
    ask(world, "release")
    ask(world, "rotate")
    record = keyturn(world).advance(world.credential(SID), rules).record
    assert record.stage is Stage.RENEW
    assert record.waiting is not None
    assert record.waiting.reason == "quiet-slot"
    assert world.keyring.accepts(rolled_back)
    follow(world, keyturn(world), SID, rules, calling=calling)
    assert refusals(calling) == 0


# -------- V4


def test_v4_ledger_lost_while_draining_assumes_both_slots_exposed() -> None:
    rules = policy()
    world = in_stage(Stage.DRAIN, rules)
    calling = callers(world, SID)
    for caller in calling:
        caller.call()
    cached = world.value(SID, Slot.PRIMARY)
    world.ledger.stored.clear()
    record = keyturn(world).advance(world.credential(SID), rules).record
    assert record.active is Slot.SECONDARY
    ask(world, "rotate")
    record = keyturn(world).advance(world.credential(SID), rules).record
    assert record.stage is Stage.RENEW
    assert record.not_before == world.clock.now() + rules.settling, "a publish of it may yet land (ADR 0022)"
    world.clock.move(rules.settling)
    record = keyturn(world).advance(world.credential(SID), rules).record
    assert record.stage is Stage.RENEW
    assert record.not_before == world.clock.now() + rules.drain
    assert world.keyring.accepts(cached)
    follow(world, keyturn(world), SID, rules, calling=calling)
    assert refusals(calling) == 0


# -------- V5


def test_v5_next_rotation_starting_early_waits_for_the_quiet_slot() -> None:
    rules = policy(retire=Retire.NEXT_ROTATION)
    world = in_stage(Stage.DRAIN, rules)
    calling = callers(world, SID)
    for caller in calling:
        caller.call()
    stored = world.ledger.stored[world.credential(SID).key]
    early = stored.record.but(stage=Stage.IDLE, turning=None, not_before=None)
    world.ledger.save(early, stored.version, [])
    ask(world, "rotate")
    record = keyturn(world).advance(world.credential(SID), rules).record
    assert record.stage is Stage.RENEW
    assert record.waiting is not None
    assert record.waiting.reason == "quiet-slot"
    follow(world, keyturn(world), SID, rules, calling=calling)
    assert refusals(calling) == 0


# -------- V6


def test_v6_regenerate_whose_answer_was_lost_is_not_sent_twice_while_it_may_land() -> None:
    rules = policy(mode=Mode.REGENERATE)
    world = in_stage(Stage.IDLE, rules)
    calling = callers(world, SID)
    world.script.fault("regenerate", LATE)
    ask(world, "rotate")
    keyturn(world).advance(world.credential(SID), rules)
    world.clock.move(10 * MINUTE)
    record = keyturn(world).advance(world.credential(SID), rules, force=True).record
    assert world.script.passed.count("regenerate") == 1
    assert record.waiting is not None
    assert record.waiting.reason == "unsettled"
    world.script.land_late()
    follow(world, keyturn(world), SID, rules, calling=calling)
    assert world.script.passed.count("regenerate") == 2  # one for each slot
    assert published_is_live(world)
    assert refusals(calling) == 0


def test_v6_regenerate_that_never_happened_is_sent_again_only_once_it_cannot_land_any_more() -> None:
    rules = policy(mode=Mode.REGENERATE)
    world = in_stage(Stage.IDLE, rules)
    world.script.fault("regenerate", NEVER)
    ask(world, "rotate")
    sent_at = world.clock.now()
    keyturn(world).advance(world.credential(SID), rules)
    world.script.at("regenerate", lambda: None)
    while world.script.passed.count("regenerate") == 1:
        world.clock.move(MINUTE)
        keyturn(world).advance(world.credential(SID), rules)
    assert world.clock.now() >= sent_at + rules.settling
    record = follow(world, keyturn(world), SID, rules, until=Stage.DRAIN)
    assert record.since is not None
    assert record.since >= sent_at + 2 * rules.settling, "a slot written twice stays unsettled (A5)"


# -------- V7


@pytest.mark.parametrize("fault", [LOST, LATE])
def test_v7_rollback_is_refused_once_a_retire_was_intended(fault: str) -> None:
    rules = policy()
    world = in_stage(Stage.DRAIN, rules)
    calling = callers(world, SID)
    for caller in calling:
        caller.call()
    world.clock.move(rules.drain)
    for caller in calling:
        caller.call()
    world.script.fault("set_value", fault)
    world.script.at("set_value.sent", lambda: world.script.crash("ledger.save"))
    with pytest.raises(Crash):
        keyturn(world).advance(world.credential(SID), rules)
    assert world.record(SID).primary.intent is not None
    with pytest.raises(NeedsPerson, match="may be dead already"):
        ask(world, "rollback")
    world.script.land_late()
    pass_time(world, rules, 2 * DAY, calling)
    assert world.record(SID).stage is Stage.IDLE
    assert published_is_live(world)
    assert refusals(calling) == 0


# -------- V8


def test_v8_restored_ledger_is_noticed_by_the_sequence_tag() -> None:
    rules = policy()
    world = in_stage(Stage.IDLE, rules)
    calling = callers(world, SID)
    ask(world, "rotate")
    backup = world.ledger.backup()
    follow(world, keyturn(world), SID, rules, until=Stage.DRAIN, calling=calling)
    world.ledger.restore(backup)
    record = keyturn(world).advance(world.credential(SID), rules, force=True).record
    assert "relearn" in [line.event.kind for line in world.ledger.lines]
    assert record.active is Slot.SECONDARY
    assert record.primary.unsettled_until is not None
    follow(world, keyturn(world), SID, rules, calling=calling)
    assert published_is_live(world)
    assert refusals(calling) == 0


def test_v8_restored_ledger_meets_a_publish_that_is_still_in_the_air() -> None:
    """No sink shows the newer sequence yet: only the standby's unknown value tells that the ledger is old."""
    rules = policy()
    world = in_stage(Stage.IDLE, rules)
    calling = callers(world, SID)
    backup = world.ledger.backup()
    ask(world, "rotate")
    follow(world, keyturn(world), SID, rules, until=Stage.CONFIRM, calling=calling)
    world.script.fault("sink.write", LATE)
    world.clock.move(MINUTE)
    keyturn(world).advance(world.credential(SID), rules)
    world.ledger.restore(backup)
    ask(world, "rotate")
    keyturn(world).advance(world.credential(SID), rules)
    world.clock.move(rules.late - MINUTE)
    keyturn(world).advance(world.credential(SID), rules)
    world.script.land_late()
    pass_time(world, rules, 4 * DAY, calling)
    assert published_is_live(world)
    assert refusals(calling) == 0


# -------- V9


@pytest.mark.parametrize("moves_etag", [True, False])
def test_v9_portal_regenerates_between_confirm_and_publish(moves_etag: bool) -> None:
    """An ETag that moves is trusted; where it does not, `trust_etag: false` reads the values before each publish."""
    rules = policy(trust_etag=moves_etag)
    world = in_stage(Stage.IDLE, rules)
    calling = callers(world, SID)
    turn = keyturn(world)  # one process throughout: it has the drawn value in memory
    ask(world, "rotate")
    follow(world, turn, SID, rules, until=Stage.CONFIRM)

    def portal() -> None:
        entity = world.keyring.entities[SID]
        etag = entity.etag
        world.keyring.portal(SID, Slot.SECONDARY)
        entity.etag = entity.etag if moves_etag else etag

    world.clock.move(timedelta(seconds=30))
    portal()
    follow(world, turn, SID, rules, until=Stage.DRAIN, calling=calling)
    assert published_is_live(world)
    follow(world, turn, SID, rules, calling=calling)
    assert refusals(calling) == 0


def test_v9_a_value_that_is_regenerated_while_the_gateways_are_asked_for_it_is_noticed_where_the_etag_stays() -> None:
    """It used to be asked for until a person was: an ETag that is not trusted was trusted while asking."""
    rules = policy(trust_etag=False)
    world = in_stage(Stage.IDLE, rules)
    entity = world.keyring.entities[SID]
    world.keyring.units = {gateway: (timedelta(minutes=2),) for gateway in world.keyring.units}
    ask(world, "rotate")
    turn = keyturn(world)
    asked = follow(world, turn, SID, rules, until=Stage.CONFIRM)
    assert asked.refused_at is not None
    etag = entity.etag
    world.keyring.portal(SID, Slot.SECONDARY)
    entity.etag = etag
    assert follow(world, turn, SID, rules, until=Stage.DRAIN).hold is None
    assert published_is_live(world)


def test_v9_a_regenerated_active_slot_is_noticed_at_a_look_even_where_the_etag_stays() -> None:
    rules = policy(trust_etag=False)
    world = in_stage(Stage.IDLE, rules)
    entity = world.keyring.entities[SID]
    etag = entity.etag
    world.keyring.portal(SID, Slot.PRIMARY)
    entity.etag = etag
    world.clock.move(rules.look_every)
    follow(world, keyturn(world), SID, rules, until=Stage.IDLE)
    assert published_is_live(world)


# -------- V10


def test_v10_two_keyturns_without_a_lease_do_not_replace_each_others_candidates_for_ever() -> None:
    rules = policy()
    world = in_stage(Stage.IDLE, rules)
    calling = callers(world, SID)
    ask(world, "rotate")

    def b_takes_a_turn() -> None:
        keyturn(world).advance(world.credential(SID), rules, force=True)

    world.script.at("set_value.done", b_takes_a_turn)
    world.script.fault("set_value", LOST)
    writes = world.keyring.writes
    follow(world, keyturn(world), SID, rules, until=Stage.CONFIRM, calling=calling)
    follow(world, keyturn(world), SID, rules, calling=calling)
    assert world.keyring.writes - writes <= 6
    assert published_is_live(world)
    assert refusals(calling) == 0


def test_v10_any_of_the_candidates_live_in_the_slot_means_done() -> None:
    rules = policy()
    world = in_stage(Stage.IDLE, rules)
    world.script.fault("set_value", LATE)
    ask(world, "rotate")
    keyturn(world).advance(world.credential(SID), rules)
    world.script.at("set_value", world.script.land_late)
    world.clock.move(MINUTE)
    record = keyturn(world).advance(world.credential(SID), rules, force=True).record
    assert record.renewals == 2
    assert record.stage is Stage.CONFIRM
    assert record.secondary.fingerprint == record.renewed
    follow(world, keyturn(world), SID, rules)
    assert published_is_live(world)


# -------- V11


def test_v11_a_sink_that_shows_the_old_value_again_is_repaired_from_retire() -> None:
    rules = policy()
    world = in_stage(Stage.DRAIN, rules)
    calling = callers(world, SID)
    old = world.value(SID, Slot.PRIMARY)

    def revert() -> None:
        world.sinks[SID][0].put(old)

    world.clock.move(rules.drain)
    for caller in calling:
        caller.call()
    world.script.fault("set_value", NEVER)
    keyturn(world).advance(world.credential(SID), rules)
    assert world.record(SID).stage is Stage.RETIRE
    revert()
    for caller in calling:
        caller.call()
    record = follow(world, keyturn(world), SID, rules, until=Stage.DRAIN, calling=calling)
    assert world.sinks[SID][0].value == world.value(SID, Slot.SECONDARY)
    assert record.primary.intent is not None, "the retire intent stays unresolved (A7)"
    follow(world, keyturn(world), SID, rules, calling=calling)
    assert refusals(calling) == 0


def test_v11_an_unconfirmed_old_value_is_never_published_by_going_back() -> None:
    """Somebody rewrites both slots while the old one is retired: nothing goes out before the gateways accept it."""
    rules = policy()
    world = in_stage(Stage.DRAIN, rules)
    world.clock.move(rules.drain)
    world.script.fault("set_value", NEVER)
    keyturn(world).advance(world.credential(SID), rules)
    world.keyring.delay = 5 * MINUTE
    foreign = world.keyring.portal(SID, Slot.PRIMARY)
    world.keyring.portal(SID, Slot.SECONDARY)
    writes = list(world.sinks[SID][0].writes)
    keyturn(world).advance(world.credential(SID), rules, force=True)
    assert world.sinks[SID][0].writes == writes
    pass_time(world, rules, 3 * DAY, callers(world, SID))
    assert foreign not in [value for _, value in world.sinks[SID][0].writes]
    assert published_is_live(world)
    assert world.record(SID).stage is Stage.IDLE


# -------- V12


def test_v12_a_record_that_moved_during_the_look_refuses_the_plan_made_on_it() -> None:
    rules = policy()
    world = in_stage(Stage.IDLE, rules)
    calling = callers(world, SID)
    ask(world, "rotate")
    writes = world.keyring.writes

    def b_renews_and_publishes() -> None:
        follow(world, keyturn(world), SID, rules, until=Stage.DRAIN, calling=calling)

    world.script.at("sink.read", b_renews_and_publishes)
    record = keyturn(world).advance(world.credential(SID), rules).record
    assert record.stage is Stage.DRAIN
    assert world.keyring.writes - writes == 1
    assert world.script.passed.index("ledger.load") < world.script.passed.index("read")
    assert published_is_live(world)
    assert refusals(calling) == 0


# -------- V13


def test_v13_equal_values_renew_exactly_one_slot_and_never_both() -> None:
    rules = policy()
    world = World()
    world.add(SID)
    same = world.value(SID, Slot.PRIMARY)
    world.keyring.portal(SID, Slot.SECONDARY, same)
    calling = callers(world, SID)
    record = follow(world, keyturn(world), SID, rules, until=Stage.IDLE)
    assert record.active is Slot.PRIMARY
    world.clock.move(rules.settling)
    ask(world, "rotate")
    follow(world, keyturn(world), SID, rules, until=Stage.CONFIRM, calling=calling)
    assert world.value(SID, Slot.PRIMARY) == same
    assert world.value(SID, Slot.SECONDARY) != same
    follow(world, keyturn(world), SID, rules, calling=calling)
    assert refusals(calling) == 0
    assert not world.keyring.accepts(same)


# -------- V14


def test_v14_waiting_instead_of_a_probe_is_lengthened_by_the_clocks_disagreement() -> None:
    """A's clock is a minute fast: it must not publish before every gateway has the value."""
    rules = policy(probe=None)
    clock = ManualClock(START)
    world = World(clock)
    world.add(SID)
    follow(world, keyturn(world), SID, rules, until=Stage.IDLE)
    clock.move(2 * DAY)
    ask(world, "rotate")
    follow(world, keyturn(world), SID, rules, until=Stage.CONFIRM)
    renewed_at = clock.azure
    clock.ahead = timedelta(seconds=59)
    while world.sinks[SID][0].tags is None:
        keyturn(world).advance(world.credential(SID), rules)
        clock.move(timedelta(seconds=1))
    assert clock.azure - renewed_at >= rules.propagation


# -------- V15


def test_v15_a_late_publish_of_the_previous_value_is_repaired_at_the_next_look() -> None:
    """Without a skipped drain, the late write of V15 finds its value alive: nobody is refused, and the next look
    repairs the sink."""
    rules = policy()
    world = in_stage(Stage.CONFIRM, rules)
    calling = callers(world, SID)
    world.script.fault("sink.write", LATE)
    follow(world, keyturn(world), SID, rules, until=Stage.DRAIN, calling=calling)
    world.script.late.extend(world.script.late)
    follow(world, keyturn(world), SID, rules, calling=calling)
    ask(world, "rotate")
    follow(world, keyturn(world), SID, rules, until=Stage.DRAIN, calling=calling)
    world.script.land_late()
    assert published_is_live(world)
    pass_time(world, rules, 3 * DAY, calling)
    record = world.record(SID)
    assert record.active is not None
    assert world.sinks[SID][0].value == world.value(SID, record.active)
    assert refusals(calling) == 0


def test_v15_no_path_skips_the_drain_but_a_compromise() -> None:
    rules = policy()
    world = in_stage(Stage.DRAIN, rules)
    with pytest.raises(NeedsPerson, match="may not be written now"):
        keyturn(world).write_slot(world.credential(SID), rules, Slot.PRIMARY, None, because="test")
    with pytest.raises(NeedsPerson, match="may not be written now"):
        keyturn(world).write_slot(world.credential(SID), rules, Slot.SECONDARY, None, because="test")


def test_v15_a_late_publish_of_a_compromised_value_is_found_by_the_look_after_late() -> None:
    rules = policy(look_every=20 * DAY)
    world = in_stage(Stage.CONFIRM, rules)
    turn = keyturn(world)
    world.script.fault("sink.write", LATE)  # a publish of what is about to be compromised, still in the air
    follow(world, turn, SID, rules, until=Stage.DRAIN)
    leaked, accepts = {world.value(SID, slot) for slot in Slot}, world.keyring.accepts
    turn.compromise(world.credential(SID), rules, list(Slot), because="test")
    died = _go_on(world, turn, rules, lambda record: record.stage is Stage.IDLE and not any(map(accepts, leaked)))
    world.clock.move(10 * MINUTE)
    world.script.land_late()
    assert world.sinks[SID][0].value in leaked, "the dead value is back in the sink"
    found = _go_on(world, turn, rules, lambda _: published_is_live(world))
    assert found - died <= rules.late + rules.deadline + HOUR
    assert _go_on(world, turn, rules, lambda record: record.compromise is None) - found <= HOUR


def _go_on(world: World, turn: TurnByHand, rules: Policy, done: Callable[[Record], bool]) -> datetime:
    """A turn at the end of every wait until that is so. When it was."""
    for _ in range(60):
        record = turn.advance(world.credential(SID), rules).record
        if done(record):
            return world.clock.azure
        left = (record.not_before or world.clock.now()) - world.clock.now()
        world.clock.move(max(left, timedelta(seconds=1)))
    raise AssertionError("it does not come to that")
