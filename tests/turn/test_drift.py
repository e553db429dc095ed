"""Drift, fail-over, waits and holds: rules A7, A12, A14, A16, A17, A18 and the writes by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keyturn import by_hand
from keyturn.errors import Gone, NeedsPerson, Refused, TryAgain
from keyturn.model import Mode, NotApplied, Secret, Slot, Stage
from keyturn.policy import DAY, HOUR, MINUTE
from keyturn.testing import LOST, NEVER, MemoryCaller, MemorySink, World
from tests.keyturns import callers, follow, keyturn, policy, rotated

SID = "contoso"
P, S = Slot.PRIMARY, Slot.SECONDARY


def ask_for_rotation(world: World) -> None:
    record, _ = by_hand.request(world.record(SID), "asked", world.clock.now())
    world.ledger.save(record, world.ledger.stored[record.key].version, [])


# -------- fail-over, rule A12


def test_a_changed_active_value_fails_over_to_the_confirmed_standby_within_one_look() -> None:
    rules = policy()
    world, turn = rotated(rules)
    standby = world.value(SID, P)
    world.keyring.portal(SID, S)
    asked = world.probe.asked
    record = turn.advance(world.credential(SID), rules, force=True).record
    assert world.sinks[SID][0].value == standby
    assert world.probe.asked == asked, "the standby was confirmed long ago: nothing to ask"
    assert record.active is P
    assert record.stage is Stage.DRAIN


def test_the_value_that_somebody_else_wrote_is_retired_after_a_fail_over() -> None:
    rules = policy()
    world, turn = rotated(rules)
    foreign = world.keyring.portal(SID, S)
    turn.advance(world.credential(SID), rules, force=True)
    calling = callers(world, SID)
    follow(world, turn, SID, rules, calling=calling)
    assert not world.keyring.accepts(foreign)
    assert [caller.refusals for caller in calling] == [[]]


def test_without_a_confirmed_standby_the_new_active_value_is_confirmed_first() -> None:
    rules = policy()
    world = World()
    world.add(SID)
    turn = keyturn(world)
    follow(world, turn, SID, rules, until=Stage.IDLE)
    new = world.keyring.portal(SID, P)
    record = turn.advance(world.credential(SID), rules, force=True).record
    assert record.stage is Stage.CONFIRM
    assert world.sinks[SID][0].value != new
    record = follow(world, turn, SID, rules, until=Stage.IDLE)
    assert world.sinks[SID][0].value == new
    assert record.active is P


def test_a_standby_that_somebody_else_wrote_is_never_failed_over_to_unconfirmed() -> None:
    rules = policy()
    world, turn = rotated(rules)
    world.keyring.delay = 5 * MINUTE
    foreign = world.keyring.portal(SID, P)
    new = world.keyring.portal(SID, S)
    record = turn.advance(world.credential(SID), rules, force=True).record
    assert record.stage is Stage.CONFIRM
    follow(world, turn, SID, rules, until=Stage.IDLE)
    assert world.sinks[SID][0].value == new
    assert foreign not in [value for _, value in world.sinks[SID][0].writes]


def test_when_somebody_writes_both_slots_while_publishing_nothing_goes_out_unconfirmed() -> None:
    rules = policy()
    world, turn = rotated(rules, sinks=2)
    ask_for_rotation(world)
    follow(world, turn, SID, rules, until=Stage.CONFIRM)
    world.sinks[SID][1].refuses = NotApplied(status=403, code="Forbidden", sentence="may not set")
    world.clock.move(MINUTE)
    assert turn.advance(world.credential(SID), rules).record.stage is Stage.PUBLISH
    world.keyring.delay = 3 * MINUTE
    foreign = [world.keyring.portal(SID, slot) for slot in Slot]
    world.sinks[SID][1].refuses = None
    record = turn.advance(world.credential(SID), rules, force=True).record
    assert record.stage is Stage.CONFIRM
    assert not {value for _, value in world.sinks[SID][1].writes} & set(foreign)
    follow(world, turn, SID, rules)
    assert all(world.keyring.accepts(sink.value or "") for sink in world.sinks[SID])


def test_eight_values_that_do_not_land_end_in_a_hold() -> None:
    rules = policy()
    world, turn = rotated(rules)
    ask_for_rotation(world)
    world.script.fault("set_value", NEVER, times=100)
    record = follow(world, turn, SID, rules, until=Stage.CONFIRM)
    assert record.hold is not None
    assert record.hold.reason == "write-does-not-land"
    assert record.renewals <= 16


# -------- sinks, rules A7 and A14


def test_an_overwritten_sink_is_repaired_at_the_next_look() -> None:
    rules = policy()
    world, turn = rotated(rules, sinks=2)
    world.sinks[SID][1].put("somebody typed this")
    turn.advance(world.credential(SID), rules, force=True)
    assert world.sinks[SID][1].value == world.value(SID, S)
    assert world.record(SID).stage is Stage.IDLE


def test_a_sink_that_cannot_be_read_for_days_keeps_the_rotation_in_publish_and_both_values_live() -> None:
    rules = policy()
    world, turn = rotated(rules, sinks=2)
    calling = callers(world, SID)
    ask_for_rotation(world)
    follow(world, turn, SID, rules, until=Stage.CONFIRM)
    both = [world.value(SID, slot) for slot in Slot]
    world.sinks[SID][1].problem = TryAgain("503")
    for _ in range(4 * 24 * 3):
        record = turn.advance(world.credential(SID), rules).record
        for caller in calling:
            caller.call()
        world.clock.move(HOUR / 4)
    assert record.stage is Stage.PUBLISH
    assert record.waiting is not None
    assert record.waiting.reason == "sink-unreadable"
    assert all(world.keyring.accepts(value) for value in both)
    world.sinks[SID][1].problem = None
    follow(world, turn, SID, rules, calling=calling)
    assert [caller.refusals for caller in calling] == [[], []]


def test_a_sink_that_refuses_to_be_written_waits_with_its_reason() -> None:
    rules = policy()
    world, turn = rotated(rules, sinks=2)
    ask_for_rotation(world)
    world.sinks[SID][1].refuses = NotApplied(status=403, code="Forbidden", sentence="may not set", hint="assign a role")
    for _ in range(10):
        world.clock.move(HOUR)
        record = turn.advance(world.credential(SID), rules).record
    assert record.stage is Stage.PUBLISH
    assert record.waiting is not None
    assert (record.waiting.reason, record.waiting.shorter) == ("sink-refused", "assign a role")
    assert record.failures >= 5


@pytest.mark.parametrize("stage", [Stage.RENEW, Stage.DRAIN])
def test_an_unreadable_sink_blocks_slot_writes_but_not_waiting(stage: Stage) -> None:
    rules = policy()
    world, turn = rotated(rules, sinks=2)
    ask_for_rotation(world)
    if stage is Stage.DRAIN:
        follow(world, turn, SID, rules, until=Stage.DRAIN)
    world.sinks[SID][1].problem = TryAgain("503")
    writes = world.keyring.writes
    for _ in range(40):
        world.clock.move(HOUR)
        record = turn.advance(world.credential(SID), rules).record
    assert record.stage is stage
    assert record.hold is None
    assert world.keyring.writes == writes


def test_a_write_only_sink_is_exposed_by_record_and_confirmed_by_its_answer() -> None:
    rules = policy()
    world = World()
    world.add(SID, sinks=["vault"])
    hook = MemorySink("hook", world.clock, world.script, write_only=True)
    world.sinks[SID].append(hook)
    turn = keyturn(world)
    follow(world, turn, SID, rules, until=Stage.IDLE)
    assert hook.value == world.value(SID, P)
    ask_for_rotation(world)
    world.script.fault("sink.write", LOST)
    record = follow(world, turn, SID, rules)
    assert record.written == {"hook": record.secondary.fingerprint}
    assert hook.value == world.value(SID, S)


# -------- evidence and bounded waits (A16)


def test_evidence_of_use_stretches_the_drain_and_then_asks_for_a_person() -> None:
    rules = policy(drain_max=3 * DAY)
    world, turn = rotated(rules)
    ask_for_rotation(world)
    drained_from = follow(world, turn, SID, rules, until=Stage.DRAIN).since
    assert drained_from is not None
    old = world.value(SID, S)
    while world.record(SID).hold is None:
        world.evidence.used[world.credential(SID).key] = {S: world.clock.now()}
        world.clock.move(HOUR)
        turn.advance(world.credential(SID), rules, force=True)
        assert world.clock.now() < drained_from + 4 * DAY
    hold = world.record(SID).hold
    assert hold is not None
    assert hold.reason == "in-use"
    assert world.clock.now() >= drained_from + 3 * DAY
    assert world.keyring.accepts(old)


def test_a_clock_that_disagrees_with_azure_holds_slot_writes_and_nothing_else() -> None:
    rules = policy()
    world, turn = rotated(rules)
    ask_for_rotation(world)
    world.clock.ahead = 2 * MINUTE
    writes = world.keyring.writes
    record = turn.advance(world.credential(SID), rules).record
    assert record.waiting is not None
    assert record.waiting.reason == "clock-skew"
    assert world.keyring.writes == writes
    world.clock.ahead = timedelta(0)
    follow(world, turn, SID, rules, until=Stage.CONFIRM)


def test_a_clock_that_jumped_back_recomputes_waits_from_now() -> None:
    rules = policy()
    world, turn = rotated(rules)
    ask_for_rotation(world)
    follow(world, turn, SID, rules, until=Stage.DRAIN)
    world.clock.azure -= 400 * DAY
    record = turn.advance(world.credential(SID), rules).record
    assert record.not_before is not None
    assert record.not_before <= world.clock.now() + rules.drain


# -------- the gateways, rule A17


def test_a_probe_that_accepts_anything_holds() -> None:
    rules = policy()
    world, turn = rotated(rules)
    world.probe.open_product = True
    ask_for_rotation(world)
    record = turn.advance(world.credential(SID), rules).record
    assert record.hold is not None
    assert record.hold.reason == "probe-proves-nothing"
    assert world.sinks[SID][0].value == world.value(SID, S)


def test_a_gateway_that_never_accepts_ends_in_a_hold() -> None:
    rules = policy()
    world, turn = rotated(rules)
    ask_for_rotation(world)
    world.keyring.delay = 30 * DAY
    record = follow(world, turn, SID, rules, until=Stage.PUBLISH)
    assert record.hold is not None
    assert record.hold.reason == "not-accepted"


def test_a_slow_gateway_is_waited_for_before_anything_is_published() -> None:
    rules = policy()
    world, turn = rotated(rules)
    ask_for_rotation(world)
    world.keyring.delay = 4 * MINUTE
    record = turn.advance(world.credential(SID), rules).record
    assert record.waiting is not None
    assert record.waiting.reason == "not-accepted-yet"
    calling = callers(world, SID)
    follow(world, turn, SID, rules, calling=calling)
    assert [caller.refusals for caller in calling] == [[]]


# -------- classes of answers, rule A18


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429])
def test_a_refused_write_leaves_no_intent_and_waits(status: int) -> None:
    rules = policy()
    world, turn = rotated(rules)
    ask_for_rotation(world)
    world.script.fault("set_value", NotApplied(status=status, code="X", sentence="no", hint="do that", after=90))
    record = turn.advance(world.credential(SID), rules).record
    assert record.stage is Stage.RENEW
    assert record.primary.intent is None
    assert record.waiting is not None
    assert record.waiting.sentence == "no"
    assert record.not_before == world.clock.now() + timedelta(seconds=90)
    world.clock.move(2 * MINUTE)
    assert turn.advance(world.credential(SID), rules).record.stage is Stage.CONFIRM


def test_a_412_whose_etag_has_not_moved_sends_the_same_value_once_more() -> None:
    rules = policy()
    world, turn = rotated(rules)
    ask_for_rotation(world)
    world.script.fault("set_value", NotApplied(status=412, code="PreconditionFailed", sentence="modified"))
    record = turn.advance(world.credential(SID), rules).record
    assert record.stage is Stage.CONFIRM
    assert record.renewals == 1
    assert world.script.passed.count("set_value.sent") == 2 + 2


def test_an_entity_that_is_gone_holds_in_the_middle_of_a_rotation() -> None:
    rules = policy()
    world, turn = rotated(rules)
    ask_for_rotation(world)
    follow(world, turn, SID, rules, until=Stage.DRAIN)
    credential = world.credential(SID)
    world.script.fault("read", Gone("Subscription not found.", status=404))
    record = turn.advance(credential, rules, force=True).record
    assert record.hold is not None
    assert record.hold.reason == "gone"


def test_a_missing_permission_waits_as_failing_and_names_what_azure_said() -> None:
    rules = policy()
    world, turn = rotated(rules)
    refusal = Refused("may not read", status=403, hint="assign a role")
    world.script.fault("read", refusal, times=3)
    for _ in range(3):
        record = turn.advance(world.credential(SID), rules, force=True).record
    assert record.waiting is not None
    assert record.waiting.reason == "refused"
    assert "may not read" in record.waiting.sentence
    assert record.failures == 3


# -------- by hand


def test_key_set_writes_a_chosen_value_to_the_quiet_standby_and_publishes_nothing() -> None:
    rules = policy()
    world, turn = rotated(rules)
    record = turn.write_slot(world.credential(SID), rules, P, Secret("chosen-by-a-person"), because="test").record
    assert world.value(SID, P) == "chosen-by-a-person"
    assert world.sinks[SID][0].value == world.value(SID, S)
    assert record.stage is Stage.IDLE
    assert record.primary.intent is None


def test_key_regenerate_of_the_standby_is_one_send() -> None:
    rules = policy()
    world, turn = rotated(rules)
    before = world.value(SID, P)
    turn.write_slot(world.credential(SID), rules, P, None, because="test")
    assert world.value(SID, P) != before
    assert world.script.passed.count("regenerate") == 1


@pytest.mark.parametrize("mode", list(Mode))
def test_a_slot_written_by_hand_does_not_count_as_renewed(mode: Mode) -> None:
    rules = policy()
    world, turn = rotated(rules)
    value = Secret("chosen-by-a-person") if mode is Mode.SET else None
    turn.write_slot(world.credential(SID), rules, P, value, because="test")
    by_hand_value = world.value(SID, P)
    world.clock.move(2 * DAY)
    ask_for_rotation(world)
    follow(world, turn, SID, rules, until=Stage.CONFIRM)
    assert world.value(SID, P) != by_hand_value


def test_key_set_on_the_published_slot_is_refused_unless_callers_may_be_cut_off() -> None:
    rules = policy()
    world, turn = rotated(rules)
    with pytest.raises(NeedsPerson, match="secondary may not be written now: a sink shows"):
        turn.write_slot(world.credential(SID), rules, S, Secret("x" * 32), because="test")
    record = turn.write_slot(
        world.credential(SID), rules, S, Secret("x" * 32), because="test", cut_off_callers=True
    ).record
    assert world.value(SID, S) == "x" * 32
    assert world.sinks[SID][0].value == world.value(SID, P), "failed over to the confirmed standby at once"
    assert record.active is P


def test_cut_off_callers_does_not_overrule_a_wrong_clock() -> None:
    rules = policy()
    world, turn = rotated(rules)
    world.clock.ahead = 5 * MINUTE
    with pytest.raises(NeedsPerson, match="clock"):
        turn.write_slot(world.credential(SID), rules, S, None, because="test", cut_off_callers=True)


# -------- effects that are dropped


@pytest.mark.parametrize("point", ["set_value", "sink.write", "prove_fence"])
def test_an_effect_whose_look_is_too_old_is_dropped_and_the_turn_looks_again(point: str) -> None:
    rules = policy()
    world = World()
    world.add(SID)
    if point != "prove_fence":
        world.keyring.clock.move(DAY)
    looks = len(world.script.passed)
    world.script.at(point, lambda: world.clock.move(rules.deadline + MINUTE))
    follow(world, keyturn(world), SID, rules)
    assert world.script.passed[looks:].count(f"{point}.sent") == (2 if point == "set_value" else 1)
    assert world.record(SID).rotations == 1


def test_a_turn_whose_effects_are_dropped_again_and_again_waits() -> None:
    rules = policy()
    world, turn = rotated(rules)
    ask_for_rotation(world)
    for skip in range(10):
        world.script.at("set_value", lambda: world.clock.move(rules.deadline + MINUTE), skip=skip)
    record = turn.advance(world.credential(SID), rules).record
    assert record.stage is Stage.RENEW
    assert record.not_before is not None
    assert record.primary.intent is None
    assert world.script.passed.count("set_value.sent") == 2


# -------- a sink that the policy names no more


def test_a_sink_that_left_the_policy_is_remembered_until_what_it_shows_has_died() -> None:
    rules = policy()
    world, turn = rotated(rules, sinks=2)
    gone = world.sinks[SID].pop()
    calling = MemoryCaller(world, gone)
    while True:
        record = turn.advance(world.credential(SID), rules, force=True).record
        calling.call()
        if calling.refusals:
            break
        assert set(record.left) == {"sink-1"}
        assert record.sinks == ("sink-0",)
        world.clock.move(max(record.not_before - world.clock.now(), HOUR / 4) if record.not_before else HOUR / 4)
    assert record.rotations == 1, "in the midst of the next rotation, whose retire it was"
    record = follow(world, turn, SID, rules)
    assert record.left == {}


def test_a_sink_that_comes_back_to_the_policy_has_not_left() -> None:
    rules = policy()
    world, turn = rotated(rules, sinks=2)
    gone = world.sinks[SID].pop()
    assert turn.advance(world.credential(SID), rules, force=True).record.left.keys() == {"sink-1"}
    world.sinks[SID].append(gone)
    record = turn.advance(world.credential(SID), rules, force=True).record
    assert (record.left, record.sinks) == ({}, ("sink-0", "sink-1"))


def test_a_look_that_cannot_read_the_sinks_takes_none_for_one_that_left() -> None:
    rules = policy()
    world, turn = rotated(rules, sinks=2)
    world.sinks[SID].pop()
    world.sinks[SID][0].problem = TryAgain("the vault is down")
    record = turn.advance(world.credential(SID), rules, force=True).record
    assert (record.left, record.sinks) == ({}, ("sink-0", "sink-1"))
    world.sinks[SID][0].problem = None
    assert set(turn.advance(world.credential(SID), rules, force=True).record.left) == {"sink-1"}
