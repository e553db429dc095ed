"""Cases that broke an earlier version of this code, each as the schedule that showed it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from keyturn import by_hand
from keyturn.errors import Gone, NeedsPerson, NotSent, Refused, TryAgain
from keyturn.model import Mode, NotApplied, Record, Secret, Slot, Stage
from keyturn.policy import DAY, HOUR, MINUTE, Consumers, Policy
from keyturn.ports import Answer, Holder, SendBy, Tags
from keyturn.sweep import Charge, Sweep
from keyturn.testing import LATE, LOST, NEVER, Crash, MemoryCaller, MemorySink, World
from keyturn.turn_by_hand import TurnByHand
from tests.keyturns import callers, follow, keyturn, policy, rotated

SID = "contoso"
P, S = Slot.PRIMARY, Slot.SECONDARY
SECOND = timedelta(seconds=1)


def save(world: World, record: Record) -> None:
    world.ledger.save(record, world.ledger.stored[record.key].version, [])


def rotate(world: World) -> None:
    save(world, by_hand.request(world.record(SID), "asked", world.clock.now())[0])


def advance(world: World, turn: TurnByHand, rules: Policy, *, force: bool = False) -> Record:
    return turn.advance(world.credential(SID), rules, force=force).record


def pass_time(world: World, rules: Policy, span: timedelta, calling: list[MemoryCaller]) -> Record:
    turn, end = keyturn(world), world.clock.azure + span
    while world.clock.azure < end:
        turn.advance(world.credential(SID), rules)
        for caller in calling:
            caller.call()
        world.clock.move(HOUR / 4)
    return world.record(SID)


def refusals(calling: list[MemoryCaller]) -> int:
    return sum(len(caller.refusals) for caller in calling)


# -------- clocks that are wrong for a while (A3, A16)


@pytest.mark.parametrize("behind", [12 * HOUR, 30 * HOUR])
def test_a_drain_is_not_counted_from_an_instant_of_a_wrong_clock(behind: timedelta) -> None:
    rules = policy(consumers=Consumers(cache=20 * HOUR))
    world, turn = rotated(rules)
    calling = [MemoryCaller(world, sink, cache=20 * HOUR) for sink in world.sinks[SID]]
    rotate(world)
    follow(world, turn, SID, rules, until=Stage.CONFIRM)
    world.clock.move(MINUTE)
    for caller in calling:
        caller.call()
    save(world, world.record(SID).with_slot(P, confirmed=world.record(SID).primary.fingerprint))
    world.clock.ahead = -behind
    assert advance(world, turn, rules, force=True).stage is Stage.DRAIN
    world.clock.ahead = timedelta(0)
    pass_time(world, rules, 3 * DAY, calling)
    assert world.record(SID).stage is Stage.IDLE
    assert refusals(calling) == 0


def test_propagation_is_not_waited_out_by_a_clock_that_jumped_ahead() -> None:
    rules = policy(probe=None)
    world, turn = rotated(rules)
    rotate(world)
    follow(world, turn, SID, rules, until=Stage.CONFIRM)
    written = world.clock.azure
    world.clock.move(MINUTE)
    world.clock.ahead = 2 * HOUR
    assert advance(world, turn, rules, force=True).stage is Stage.CONFIRM
    world.clock.ahead = timedelta(0)
    follow(world, turn, SID, rules, until=Stage.DRAIN)
    assert world.clock.azure - written >= rules.propagation_wait


def test_a_write_is_not_taken_for_settled_by_a_clock_that_jumped_ahead() -> None:
    rules = policy(mode=Mode.REGENERATE)
    world, turn = rotated(rules)
    rotate(world)
    world.script.fault("regenerate", LATE)
    advance(world, turn, rules)
    world.keyring.portal(SID, P)
    world.clock.ahead = 20 * MINUTE
    for _ in range(6):
        world.clock.move(MINUTE)
        advance(world, turn, rules, force=True)
    world.script.land_late()
    world.clock.ahead = timedelta(0)
    calling = callers(world, SID)
    pass_time(world, rules, 2 * DAY, calling)
    assert refusals(calling) == 0


def test_nothing_is_adopted_by_a_clock_that_is_wrong() -> None:
    world = World()
    world.add(SID)
    world.clock.ahead = -DAY
    record = advance(world, keyturn(world), policy())
    assert record.stage is Stage.UNKNOWN
    assert record.waiting is not None
    assert record.waiting.reason == "clock-skew"


def test_a_value_published_by_a_clock_that_was_ahead_is_still_due_after_its_period() -> None:
    rules = policy()
    world, turn = rotated(rules)
    published = world.clock.now() + 365 * DAY
    save(world, world.record(SID).with_slot(S, published_at=published))
    advance(world, turn, rules, force=True)
    world.clock.move(rules.every)
    assert advance(world, turn, rules, force=True).stage is not Stage.IDLE


# -------- changed by a person in the middle


def test_a_drain_lengthened_while_draining_counts_at_once() -> None:
    short, long = policy(drain=2 * HOUR), policy(drain=24 * HOUR)
    world, turn = rotated(short)
    calling = [MemoryCaller(world, sink, cache=12 * HOUR) for sink in world.sinks[SID]]
    for caller in calling:
        caller.call()
    rotate(world)
    follow(world, turn, SID, short, until=Stage.DRAIN)
    pass_time(world, long, 3 * DAY, calling)
    assert refusals(calling) == 0
    assert world.record(SID).stage is Stage.IDLE


def test_vouching_for_the_standby_says_nothing_of_a_write_that_may_still_land() -> None:
    rules = policy(mode=Mode.REGENERATE)
    world, turn = rotated(rules)
    rotate(world)
    world.script.fault("regenerate", LATE)
    sent = world.script.passed.count("regenerate")
    advance(world, turn, rules)
    assert world.record(SID).stage is Stage.RENEW
    vouched, _ = by_hand.vouch(world.record(SID), world.clock.now() - 3 * DAY, "sure", world.clock.now())
    save(world, vouched)
    world.keyring.entities[SID].etag += 1
    advance(world, turn, rules, force=True)
    assert world.script.passed.count("regenerate") - sent == 1
    world.clock.move(90 * SECOND)
    world.script.land_late()
    calling = callers(world, SID)
    pass_time(world, rules, 2 * DAY, calling)
    assert refusals(calling) == 0


def test_cutting_callers_off_does_not_overrule_a_write_that_may_still_land() -> None:
    rules = policy()
    world, turn = rotated(rules)
    world.script.fault("regenerate", LATE)
    credential = world.credential(SID)
    turn.write_slot(credential, rules, S, None, because="test", cut_off_callers=True)
    world.clock.move(MINUTE)
    with pytest.raises(NeedsPerson, match="may still land"):
        turn.write_slot(credential, rules, S, Secret("x" * 32), because="test", cut_off_callers=True)


def test_key_set_does_not_judge_by_values_that_could_not_be_read() -> None:
    rules = policy()
    world, turn = rotated(rules)
    shown = world.keyring.portal(SID, P)
    world.sinks[SID][0].put(shown)
    world.script.fault("read_values", TryAgain("throttled"), times=9)
    with pytest.raises(TryAgain):
        turn.write_slot(world.credential(SID), rules, P, Secret("x" * 32), because="test")
    assert world.keyring.accepts(shown)


@pytest.mark.parametrize("stage", [Stage.PUBLISH, Stage.DRAIN])
def test_a_value_that_a_person_sets_in_the_old_slot_of_a_rotation_is_kept(stage: Stage) -> None:
    rules = policy()
    world, turn = rotated(rules, sinks=2)
    rotate(world)
    follow(world, turn, SID, rules, until=Stage.CONFIRM)
    world.sinks[SID][1].refuses = (
        NotApplied(status=403, code="Forbidden", sentence="no") if stage is Stage.PUBLISH else None
    )
    world.clock.move(MINUTE)
    assert advance(world, turn, rules).stage is stage
    chosen = Secret("chosen-by-a-person")
    turn.write_slot(world.credential(SID), rules, S, chosen, because="incident", cut_off_callers=True)
    world.sinks[SID][1].refuses = None
    record = follow(world, turn, SID, rules)
    assert record.stage is Stage.IDLE
    assert world.value(SID, S) == "chosen-by-a-person"
    assert record.secondary.confirmed == record.secondary.fingerprint
    kinds = [line.event.kind for line in world.ledger.lines[-12:]]
    assert "drained" not in kinds
    assert "retire the old slot" not in kinds


def test_a_rollback_that_meets_a_drifted_sink_ends_in_a_hold_all_the_same() -> None:
    rules = policy()
    world, turn = rotated(rules)
    rotate(world)
    follow(world, turn, SID, rules, until=Stage.DRAIN)
    save(world, by_hand.rollback(world.record(SID), "bad", world.clock.now())[0])
    world.sinks[SID][0].put("garbage")
    record = follow(world, turn, SID, rules)
    assert record.hold is not None
    assert record.hold.reason == "rolled-back"


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        (None, "shop/contoso is not adopted: this ledger knows of nothing published that could be rolled back"),
        (Stage.IDLE, "shop/contoso: no rotation is under way: there is nothing published that could be rolled back"),
        (Stage.CONFIRM, "shop/contoso: its rotation has not published yet: there is nothing published that"),
    ],
    ids=["not adopted", "at rest", "before the publish"],
)
def test_a_rollback_with_nothing_to_roll_back_says_why_in_words(stage: Stage | None, told: str) -> None:
    record = Record(key="k", id="shop/contoso")
    if stage is not None:
        world = World()
        world.add(SID)
        turn = keyturn(world)
        record = follow(world, turn, SID, policy(), until=Stage.IDLE)
        record = record if stage is Stage.IDLE else follow(world, turn, SID, policy(), until=stage)
    with pytest.raises(NeedsPerson) as refused:
        by_hand.rollback(record, "bad", datetime(2026, 1, 5, tzinfo=UTC))
    assert told in refused.value.message


def test_rollback_is_refused_after_the_retire_even_when_a_sink_is_being_repaired() -> None:
    rules = policy()
    world, turn = rotated(rules)
    rotate(world)
    world.keyring.delay = 2 * MINUTE
    follow(world, turn, SID, rules, until=Stage.PROVE)
    writes = world.keyring.writes
    world.sinks[SID][0].put(None)
    world.sinks[SID][0].refuses = NotApplied(status=403, code="Forbidden", sentence="no")
    assert advance(world, turn, rules, force=True).stage is Stage.PUBLISH
    with pytest.raises(NeedsPerson, match="may be dead already"):
        by_hand.rollback(world.record(SID), "late", world.clock.now())
    world.sinks[SID][0].refuses = None
    follow(world, turn, SID, rules)
    assert world.keyring.writes == writes, "the old value died once; it is not renewed again"


def test_a_foreign_value_in_a_sink_that_was_added_later_is_not_overwritten() -> None:
    rules = policy()
    world, turn = rotated(rules)
    new = MemorySink("somebody-elses", world.clock, world.script)
    new.put("another secret")
    world.sinks[SID].append(new)
    record = advance(world, turn, rules, force=True)
    assert record.hold is not None
    assert record.hold.reason == "foreign-value"
    assert new.value == "another secret"


def test_an_empty_sink_that_was_added_later_is_filled() -> None:
    rules = policy()
    world, turn = rotated(rules)
    world.sinks[SID].append(MemorySink("new", world.clock, world.script))
    advance(world, turn, rules, force=True)
    assert world.sinks[SID][1].value == world.value(SID, S)
    world.sinks[SID][1].put("typed over it")
    assert advance(world, turn, rules, force=True).hold is None
    assert world.sinks[SID][1].value == world.value(SID, S)


def test_an_in_use_hold_that_is_released_gives_the_caller_the_whole_limit_once_more() -> None:
    rules = policy(drain_max=2 * DAY)
    world, turn = rotated(rules)
    rotate(world)
    follow(world, turn, SID, rules, until=Stage.DRAIN)
    while world.record(SID).hold is None:
        world.evidence.used[world.credential(SID).key] = {S: world.clock.now()}
        world.clock.move(HOUR)
        advance(world, turn, rules, force=True)
    save(world, by_hand.release(world.record(SID), "found the caller", world.clock.now())[0])
    record = advance(world, turn, rules)
    assert record.hold is None
    assert record.stage is Stage.DRAIN


# -------- sinks, rules A12 and A14


class NeverSent(MemorySink):
    """Its writes are always dropped."""

    def write(self, value: Secret, tags: Tags, send_by: SendBy) -> Answer:
        raise NotSent("the vault asks to sign in anew")


def test_a_sink_whose_writes_are_dropped_does_not_starve_the_others() -> None:
    rules = policy()
    world, turn = rotated(rules, sinks=2)
    dropping = NeverSent("sink-0", world.clock, world.script)
    dropping.put(world.value(SID, S))
    world.sinks[SID][0] = dropping
    world.keyring.portal(SID, S)
    record = advance(world, turn, rules, force=True)
    assert world.sinks[SID][1].value == world.value(SID, P)
    assert record.not_before is not None


def test_sink_writes_that_never_show_are_tried_again_with_pauses() -> None:
    rules = policy()
    world, turn = rotated(rules)
    rotate(world)
    follow(world, turn, SID, rules, until=Stage.CONFIRM)
    world.script.fault("sink.write", NEVER, times=1000)
    world.clock.move(MINUTE)
    sent = world.script.passed.count("sink.write.sent")
    record = advance(world, turn, rules)
    assert world.script.passed.count("sink.write.sent") - sent == 1
    assert record.stage is Stage.PUBLISH
    assert record.waiting is not None
    assert record.waiting.reason == "sink-unclear"
    world.script.faults.clear()
    follow(world, turn, SID, rules)


def test_a_write_only_sink_whose_write_was_not_recorded_counts_as_showing_it() -> None:
    rules = policy()
    world = World()
    world.add(SID, sinks=["vault"])
    hook = MemorySink("hook", world.clock, world.script, write_only=True)
    world.sinks[SID].append(hook)
    follow(world, keyturn(world), SID, rules, until=Stage.IDLE)
    world.clock.move(2 * DAY)
    calling = callers(world, SID)
    rotate(world)
    follow(world, keyturn(world), SID, rules, until=Stage.CONFIRM)
    world.script.at("sink.write.done", lambda: world.script.crash("ledger.save"), skip=1)
    world.clock.move(MINUTE)
    with pytest.raises(Crash):
        advance(world, keyturn(world), rules)
    for caller in calling:
        caller.call()
    save(world, by_hand.rollback(world.record(SID), "bad", world.clock.now())[0])
    follow(world, keyturn(world), SID, rules, calling=calling)
    assert hook.value == world.value(SID, P)
    save(world, by_hand.release(world.record(SID), "ok", world.clock.now())[0])
    pass_time(world, rules, 4 * DAY, calling)
    assert refusals(calling) == 0


# -------- interruptions and outages must not end in holds


@pytest.mark.parametrize("gap", [2 * HOUR, 3 * DAY])
def test_a_confirm_that_was_interrupted_asks_again_before_it_gives_up(gap: timedelta) -> None:
    rules = policy()
    world, turn = rotated(rules)
    rotate(world)
    world.keyring.delay = 10 * SECOND
    assert advance(world, turn, rules).stage is Stage.CONFIRM
    world.clock.move(gap)
    record = follow(world, turn, SID, rules, until=Stage.DRAIN)
    assert record.hold is None


def test_a_long_settling_wait_does_not_count_as_gateways_that_refuse() -> None:
    rules = policy(mode=Mode.REGENERATE, late=2 * HOUR)
    world, turn = rotated(rules)
    rotate(world)
    world.script.fault("regenerate", LOST)
    record = follow(world, turn, SID, rules, until=Stage.DRAIN)
    assert record.hold is None


@pytest.mark.parametrize("status", [429, 409])
def test_a_service_that_refuses_writes_for_a_day_holds_nobody(status: int) -> None:
    rules = policy()
    world, turn = rotated(rules)
    rotate(world)
    world.script.fault("set_value", NotApplied(status=status, code="Busy", sentence="later"), times=500)
    for _ in range(24 * 4):
        record = advance(world, turn, rules)
        world.clock.move(HOUR / 4)
    assert record.hold is None
    world.script.faults.clear()
    follow(world, turn, SID, rules)


def test_a_service_that_is_down_for_three_hours_holds_nobody() -> None:
    rules = policy()
    world, turn = rotated(rules)
    rotate(world)
    world.script.fault("set_value", NEVER, times=500)
    for _ in range(3 * 60):
        record = advance(world, turn, rules)
        world.clock.move(MINUTE)
    assert record.hold is None
    world.script.faults.clear()
    follow(world, turn, SID, rules)


def test_one_409_does_not_refute_the_fence() -> None:
    world = World()
    world.add(SID)
    world.script.fault("prove_fence", NotApplied(status=409, code="Busy", sentence="being updated"))
    turn = keyturn(world)
    assert advance(world, turn, policy()).hold is None
    follow(world, turn, SID, policy(), until=Stage.IDLE)


def test_a_fence_that_one_may_not_prove_is_not_said_to_be_missing() -> None:
    """`key set` where keys are regenerated: the role that is there does not write."""
    rules = policy(mode=Mode.REGENERATE)
    world, turn = rotated(rules)
    world.clock.move(2 * DAY)
    denied = NotApplied(status=403, code="AuthorizationFailed", sentence="may not write", hint="Assign a role.")
    world.script.fault("prove_fence", denied)
    with pytest.raises(Refused, match="could not be proven: may not write") as refused:
        turn.write_slot(world.credential(SID), rules, S, Secret("x" * 32), because="test")
    assert refused.value.hint == "Assign a role."


def test_values_that_cannot_be_listed_wait_instead_of_spinning() -> None:
    world = World()
    world.add(SID)
    world.script.fault("read_values", Gone("not found", status=404), times=500)
    record = advance(world, keyturn(world), policy())
    assert record.not_before is not None
    assert world.script.passed.count("read_values") == 1


def test_an_acknowledged_regenerate_that_shows_no_change_is_not_sent_again_at_once() -> None:
    rules = policy(mode=Mode.REGENERATE)
    world, turn = rotated(rules)
    rotate(world)
    stale = world.keyring._values(world.keyring.entities[SID])

    def show_stale() -> None:
        entity, fresh = world.keyring.entities[SID], dict(world.keyring.entities[SID].values)
        entity.values = {P: stale.primary.reveal(), S: stale.secondary.reveal()}
        world.script.at("ledger.save", lambda: entity.values.update(fresh))

    sent = world.script.passed.count("regenerate.sent")
    world.script.at("read_values", show_stale)
    record = advance(world, turn, rules)
    assert world.script.passed.count("regenerate.sent") - sent == 1
    assert record.waiting is not None
    assert record.waiting.reason == "unsettled"
    follow(world, turn, SID, rules)
    assert world.keyring.accepts(world.sinks[SID][0].value or "")


def test_a_value_that_somebody_rotated_at_portal_and_sink_becomes_due_again() -> None:
    rules = policy()
    world, turn = rotated(rules)
    world.sinks[SID][0].put(world.keyring.portal(SID, S))
    record = advance(world, turn, rules, force=True)
    assert record.stage is Stage.IDLE
    world.clock.move(rules.every)
    assert advance(world, turn, rules, force=True).stage is not Stage.IDLE


def test_a_frozen_publish_that_lands_in_a_drain_is_repaired_at_once_by_whoever_sent_it() -> None:
    """Rule A8: its save is refused, and it looks whatever the record waits for. It used to leave the dead value in the
    sink until the drain was over (found by simulation)."""
    rules = policy()
    world, frozen = rotated(rules)
    credential = world.credential("contoso")
    ask = by_hand.request(world.record("contoso"), "test", world.clock.now())[0]
    world.ledger.save(ask, world.ledger.stored[credential.key].version, [])
    follow(world, frozen, "contoso", rules, until=Stage.CONFIRM)
    dead = world.value("contoso", Slot.PRIMARY)

    def others_go_on() -> None:
        follow(world, keyturn(world), "contoso", rules)
        again = by_hand.request(world.record("contoso"), "again", world.clock.now())[0]
        world.ledger.save(again, world.ledger.stored[credential.key].version, [])
        follow(world, keyturn(world), "contoso", rules, until=Stage.DRAIN)
        follow(world, keyturn(world), "contoso", rules, until=Stage.IDLE)
        again = by_hand.request(world.record("contoso"), "and again", world.clock.now())[0]
        world.ledger.save(again, world.ledger.stored[credential.key].version, [])
        follow(world, keyturn(world), "contoso", rules, until=Stage.DRAIN)

    world.clock.move(rules.settle)
    world.script.at("sink.write.sent", others_go_on)
    record = frozen.advance(credential, rules).record
    written = [value for _, value in world.sinks["contoso"][0].writes]
    assert dead in written[-2:], "the frozen publish landed"
    assert record.stage is Stage.DRAIN
    assert world.keyring.accepts(world.sinks["contoso"][0].value or "")


def test_gateways_accept_by_azures_clock_so_that_another_machine_does_not_settle_early() -> None:
    """It used to be kept by the clock that saw it: one ahead settled at once what one behind had seen (ADR 0020)."""
    rules = policy()
    world, turn = rotated(rules)
    asked, _ = by_hand.request(world.record("contoso"), "test", world.clock.now())
    world.ledger.save(asked, world.ledger.stored[asked.key].version, [])
    world.clock.ahead = timedelta(seconds=-50)
    accepted = turn.advance(world.credential("contoso"), rules).record
    assert accepted.stage is Stage.CONFIRM
    assert accepted.primary.accepted_at == world.clock.azure
    world.clock.ahead = timedelta(seconds=50)
    waiting = keyturn(world).advance(world.credential("contoso"), rules, force=True).record
    assert waiting.stage is Stage.CONFIRM
    assert waiting.not_before == world.clock.now() + rules.settle


def _write_only(rules: Policy) -> tuple[World, MemorySink, TurnByHand]:
    """A credential amid a rotation, in CONFIRM, whose one sink cannot be read back."""
    world = World()
    world.add("contoso")
    place = MemorySink("hook/contoso", world.clock, world.script, write_only=True)
    place.put(world.value("contoso", Slot.PRIMARY))
    world.sinks["contoso"] = [place]
    turn = keyturn(world)
    follow(world, turn, "contoso", rules, until=Stage.IDLE)
    world.clock.move(2 * DAY)
    turn.advance(world.credential("contoso"), rules)
    asked, _ = by_hand.request(world.record("contoso"), "test", world.clock.now())
    world.ledger.save(asked, world.ledger.stored[asked.key].version, [])
    follow(world, turn, "contoso", rules, until=Stage.CONFIRM)
    return world, place, turn


def test_a_publish_that_lands_late_on_a_sink_that_nobody_can_read_is_followed_by_another() -> None:
    """No look would show it, and its value dies with the next rotation (found by simulation, ADR 0021)."""
    rules = policy(adopt=Slot.PRIMARY, drain=2 * HOUR)
    world, place, turn = _write_only(rules)
    calling = callers(world, "contoso")
    world.script.fault("sink.write", LATE)
    drained = follow(world, turn, "contoso", rules, until=Stage.DRAIN, calling=calling)
    assert list(drained.unheard) == [place.name]
    back, _ = by_hand.rollback(drained, "test", world.clock.now())
    world.ledger.save(back, world.ledger.stored[back.key].version, [])
    held = follow(world, turn, "contoso", rules, calling=calling)
    assert held.hold is not None
    assert place.value == world.value("contoso", Slot.PRIMARY)
    world.clock.move(rules.late - MINUTE)
    world.script.land_late()
    assert place.value == world.value("contoso", Slot.SECONDARY), "the one that was rolled back shows again"
    released, _ = by_hand.release(world.record("contoso"), "seen", world.clock.now())
    world.ledger.save(released, world.ledger.stored[released.key].version, [])
    follow(world, turn, "contoso", rules, calling=calling)
    assert [caller.refusals for caller in calling] == [[]]
    assert place.value == world.value("contoso", Slot.SECONDARY)


def test_a_sink_that_nobody_can_read_is_not_quiet_while_a_publish_to_it_may_still_land() -> None:
    rules = policy(adopt=Slot.PRIMARY)
    world, place, turn = _write_only(rules)
    world.script.fault("sink.write", LATE)
    sent_at = world.clock.now()
    record = follow(world, turn, "contoso", rules, until=Stage.DRAIN)
    assert record.primary.quiet_since is None
    assert record.unheard[place.name] >= sent_at + rules.settling
    waited = turn.advance(world.credential("contoso"), rules).record
    assert waited.waiting is not None
    assert waited.waiting.reason == "exposed"
    assert waited.not_before == record.unheard[place.name]
    world.clock.move(rules.settling)
    before = len(place.writes)
    after = turn.advance(world.credential("contoso"), rules).record
    assert len(place.writes) == before + 1, "it is written once more"
    assert after.unheard == {}
    assert after.primary.quiet_since is not None


def test_a_value_that_somebody_else_wrote_makes_what_nobody_can_read_unknown() -> None:
    """A keyturn with a newer ledger may have written it, and published it there (trace V8; found by simulation)."""
    rules = policy(adopt=Slot.PRIMARY)
    world, place, turn = _write_only(rules)
    follow(world, turn, "contoso", rules, until=Stage.DRAIN)
    place.put(world.keyring.portal("contoso", Slot.PRIMARY))
    before = len(place.writes)
    record = turn.advance(world.credential("contoso"), rules, force=True).record
    assert len(place.writes) == before + 1
    assert place.value == world.value("contoso", Slot.SECONDARY)
    assert record.primary.quiet_since == world.clock.now()


def test_a_publish_that_lands_late_and_is_written_over_before_anybody_looks_leaves_its_readers_time() -> None:
    """Its value shows for a moment between two looks, and whoever reads it then keeps it: the drain counts from the
    first look after it must have landed (found by simulation, ADR 0022)."""
    rules = policy(drain=HOUR + 5 * MINUTE)
    world, turn = rotated(rules)
    place = world.sinks["contoso"][0]
    calling = callers(world, "contoso")
    asked, _ = by_hand.request(world.record("contoso"), "test", world.clock.now())
    world.ledger.save(asked, world.ledger.stored[asked.key].version, [])
    follow(world, turn, "contoso", rules, until=Stage.CONFIRM, calling=calling)
    world.script.fault("sink.write", LATE)
    drained = follow(world, turn, "contoso", rules, until=Stage.DRAIN, calling=calling)
    assert drained.primary.unheard_until is not None
    given_up = place.value
    back, _ = by_hand.rollback(drained, "test", world.clock.now())
    world.ledger.save(back, world.ledger.stored[back.key].version, [])
    follow(world, turn, "contoso", rules, calling=calling)
    shown = place.value
    assert shown not in {None, given_up}
    released, _ = by_hand.release(world.record("contoso"), "seen", world.clock.now())
    world.ledger.save(released, world.ledger.stored[released.key].version, [])
    assert turn.advance(world.credential("contoso"), rules, force=True).record.primary.exposed
    world.clock.move(rules.late - MINUTE)
    world.script.land_late()
    assert place.value == given_up
    calling += callers(world, "contoso")  # who has just read it, and keeps it for an hour
    calling[-1].call()
    place.put(shown)
    asked, _ = by_hand.request(world.record("contoso"), "test", world.clock.now())
    world.ledger.save(asked, world.ledger.stored[asked.key].version, [])
    follow(world, turn, "contoso", rules, calling=calling)
    assert [caller.refusals for caller in calling] == [[], []]


def test_a_publish_that_was_answered_leaves_nothing_in_the_air() -> None:
    rules = policy(adopt=Slot.PRIMARY)
    world, _, turn = _write_only(rules)
    assert follow(world, turn, "contoso", rules, until=Stage.DRAIN).unheard == {}


def test_following_to_the_end_does_not_spin_beside_a_second_keyturn() -> None:
    rules = policy()
    world = World()
    world.add(SID)
    world.add("other")
    me = Holder(host="here", boot_id="b", pid=1, started="1", nonce="me")
    charges = [Charge(e.credential, rules, keyturn(world)) for e in world.keyring.entities.values()]
    sweeping = Sweep(charges, ledger=world.ledger, clock=world.clock, holder=me, workers=1)
    sweeping.follow()
    world.clock.move(2 * DAY)
    for sid in (SID, "other"):
        record, _ = by_hand.request(world.record(sid), "asked", world.clock.now())
        save(world, record)
    sweeping = Sweep(charges, ledger=world.ledger, clock=world.clock, holder=me, workers=1)
    sweeping.once()
    world.clock.move(MINUTE)
    keyturn(world).advance(world.credential(SID), rules)
    sweeping.once()
    assert sweeping.next_at() is not None
    assert sweeping.next_at() > world.clock.now()  # type: ignore[operator]


def test_a_value_that_a_wrong_clock_saw_arrive_is_waited_for_all_the_same() -> None:
    """A machine an hour behind notes what another one has just written, and dies; the other one took the hour for
    waited (found by simulation)."""
    rules = policy(probe=None, trust_etag=False)
    world, turn = rotated(rules)
    asked, _ = by_hand.request(world.record("contoso"), "test", world.clock.now())
    world.ledger.save(asked, world.ledger.stored[asked.key].version, [])
    behind = keyturn(world)

    def another_looks() -> None:
        world.clock.ahead = -HOUR
        world.script.at("read_values", lambda: world.script.crash("ledger.saved"))
        with pytest.raises(Crash):
            behind.advance(world.credential("contoso"), rules, force=True)
        world.clock.ahead = timedelta(0)

    world.script.at("set_value.done", another_looks)
    record = turn.advance(world.credential("contoso"), rules).record
    assert record.stage is Stage.CONFIRM
    assert record.not_before is not None
    assert record.not_before >= world.clock.now() + rules.propagation
