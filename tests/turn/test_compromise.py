"""Rule A15: a value in wrong hands dies without a drain, and nothing else does."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import msgspec
import pytest

from keyturn import by_hand
from keyturn.errors import NeedsPerson, Refused, TryAgain, Unclear
from keyturn.model import Credential, Kind, Mode, NotApplied, Record, Slot, Stage
from keyturn.policy import DAY, HOUR, MINUTE, Policy, Retire, TokenKind, TokenSpec
from keyturn.ports import Entity
from keyturn.preview import preview
from keyturn.testing import LATE, LOST, NEVER, Crash, MemoryCaller, World
from keyturn.turn_by_hand import TurnByHand
from tests.keyturns import REGENERATE, callers, follow, keyturn, policy, rotated

SID = "contoso"
BOTH = (Slot.PRIMARY, Slot.SECONDARY)
SOON = 2 * HOUR
"""Longer than everything a compromise may wait for, and shorter than any drain."""


def name_it(
    world: World, turn: TurnByHand, rules: Policy, slots: Collection[Slot] = BOTH, *, suspend: bool = False
) -> None:
    turn.compromise(world.credential(SID), rules, slots, because="on a public page", suspend=suspend)


def ask_to_rotate(world: World) -> None:
    stored = world.ledger.stored[world.credential(SID).key]
    asked, event = by_hand.request(stored.record, "x", world.clock.now())
    world.ledger.save(asked, stored.version, [event])


def values(world: World) -> set[str]:
    return {world.value(SID, slot) for slot in Slot}


def soon(
    world: World, turn: TurnByHand, rules: Policy, calling: list[MemoryCaller] | None = None, span: timedelta = SOON
) -> Record:
    """Turns whenever a wait ends, or every five minutes, while callers call."""
    end = world.clock.azure + span
    record = turn.advance(world.credential(SID), rules).record
    while world.clock.azure < end:
        world.clock.move(5 * MINUTE)
        record = turn.advance(world.credential(SID), rules).record
        for caller in calling or ():
            caller.call()
    return record


def well(world: World, record: Record, leaked: set[str]) -> None:
    """No leaked value opens anything, and the sink shows a fresh one that does."""
    assert record.hold is None
    assert record.stage is Stage.IDLE
    assert not any(world.keyring.accepts(value) for value in leaked)
    assert not values(world) & leaked
    assert record.active is not None
    (shown,) = {sink.value for sink in world.sinks[SID]}
    assert shown == world.value(SID, record.active)
    assert shown is not None
    assert world.keyring.accepts(shown)


@pytest.mark.parametrize("mode", list(Mode))
def test_both_values_die_soon_and_the_sinks_show_a_fresh_one(mode: Mode) -> None:
    rules = policy(mode=mode)
    world, turn = rotated(rules)
    leaked = values(world)
    name_it(world, turn, rules)
    record = soon(world, turn, rules)
    well(world, record, leaked)


def test_callers_are_refused_only_from_the_death_of_their_value_until_they_read_again() -> None:
    rules = policy()
    world, turn = rotated(rules)
    calling = callers(world, SID)
    for caller in calling:
        caller.call()
    name_it(world, turn, rules)
    soon(world, turn, rules, calling)
    dead = [line.event.at for line in world.ledger.lines if line.event.kind == "retired"][-1]
    for caller in calling:
        assert caller.refusals, "a caller that keeps its value for an hour is cut off: that is what was asked for"
        assert all(dead <= at <= dead + caller.cache for at in caller.refusals)


def test_the_published_value_lives_until_every_sink_shows_the_fresh_one() -> None:
    """Invariant 2's `shows or may show` holds in a compromise, too."""
    rules = policy()
    world, turn = rotated(rules, sinks=2)
    before = world.record(SID)
    assert before.active is not None
    shown = world.value(SID, before.active)
    name_it(world, turn, rules)
    world.sinks[SID][1].refuses = NotApplied(status=403, code="Forbidden", sentence="may not set")
    record = soon(world, turn, rules, span=6 * HOUR)
    assert record.stage is Stage.PUBLISH
    assert world.keyring.accepts(shown)
    world.sinks[SID][1].refuses = None
    turn.advance(world.credential(SID), rules, force=True)
    soon(world, turn, rules, span=3 * HOUR)
    assert not world.keyring.accepts(shown)


def test_an_unreadable_sink_may_show_it_and_keeps_it_alive() -> None:
    rules = policy()
    world, turn = rotated(rules)
    world.sinks[SID][0].problem = TryAgain("vault is down", after=30)
    name_it(world, turn, rules)
    leaked = values(world)
    soon(world, turn, rules)
    assert values(world) == leaked
    waiting = world.record(SID).waiting
    assert waiting is not None
    assert waiting.reason == "sink-unreadable"


def test_a_compromised_standby_dies_at_once_and_nobody_notices() -> None:
    rules = policy()
    world, turn = rotated(rules)
    before = world.record(SID)
    assert before.active is not None
    standby, shown = before.active.other, world.value(SID, before.active)
    leaked = world.value(SID, standby)
    calling = callers(world, SID)
    name_it(world, turn, rules, [standby])
    record = soon(world, turn, rules, calling)
    well(world, record, {leaked})
    assert record.active is before.active
    assert world.value(SID, before.active) == shown, "the other value was not named, and stays"
    assert not any(caller.refusals for caller in calling)


def test_a_compromised_value_that_drains_dies_at_once() -> None:
    rules = policy()
    world, turn = rotated(rules)
    ask_to_rotate(world)
    record = follow(world, turn, SID, rules, until=Stage.DRAIN)
    assert record.active is not None
    old, fresh = world.value(SID, record.active.other), world.value(SID, record.active)
    name_it(world, turn, rules, [record.active.other])
    after = soon(world, turn, rules)
    well(world, after, {old})
    assert world.value(SID, record.active) == fresh


def test_named_at_any_point_of_a_rotation_every_value_of_that_moment_dies_soon() -> None:
    rules, met = policy(), set()
    for skip in range(30):
        world, turn = rotated(rules)
        ask_to_rotate(world)
        world.script.crash("ledger.saved", skip=skip)
        try:
            follow(world, turn, SID, rules)
        except Crash:
            met.add(world.record(SID).stage)
            turn = keyturn(world)
        world.script.traps.clear()
        leaked = values(world)
        name_it(world, turn, rules)
        well(world, soon(world, turn, rules, span=4 * HOUR), leaked)
    assert met == set(Stage) - {Stage.UNKNOWN}


def test_every_other_wait_of_a_slot_write_stays() -> None:
    """What is skipped is the drain, and not what may still land (A5)."""
    rules = policy(**REGENERATE)
    world, turn = rotated(rules)
    world.script.fault("regenerate", LATE)
    name_it(world, turn, rules)
    begun = world.clock.azure
    soon(world, turn, rules, span=10 * MINUTE)
    assert all(at < begun for at, _ in world.sinks[SID][0].writes), "nothing is published while it may still land"
    world.script.land_late()
    record = soon(world, turn, rules, span=3 * HOUR)
    assert record.stage is Stage.IDLE


@pytest.mark.parametrize("fault", [LOST, LATE, NEVER])
@pytest.mark.parametrize("point", ["set_value", "sink.write"])
def test_lost_and_late_answers_leave_no_compromised_value_alive(fault: str, point: str) -> None:
    rules = policy()
    world, turn = rotated(rules)
    leaked = values(world)
    name_it(world, turn, rules)
    world.script.fault(point, fault, times=2)
    soon(world, turn, rules, span=HOUR)
    world.script.land_late()
    record = soon(world, turn, rules, span=4 * HOUR)
    well(world, record, leaked)


def test_a_crash_at_any_save_is_resumed() -> None:
    for skip in range(12):
        rules = policy()
        world, turn = rotated(rules)
        leaked = values(world)
        name_it(world, turn, rules)
        world.script.crash("ledger.saved", skip=skip)
        try:
            soon(world, turn, rules)
        except Crash:
            soon(world, keyturn(world), rules)
        well(world, world.record(SID), leaked)


def test_a_compromised_value_is_never_failed_over_to() -> None:
    """Somebody writes the active slot in the portal while both values are named: the standby is live and confirmed,
    and is not handed round."""
    rules = policy()
    world, turn = rotated(rules)
    leaked = values(world)
    name_it(world, turn, rules)
    record = world.record(SID)
    assert record.active is not None
    world.keyring.portal(SID, record.active)
    shown: set[str | None] = set()
    end = world.clock.azure + 3 * HOUR
    while world.clock.azure < end:
        turn.advance(world.credential(SID), rules)
        shown.add(world.sinks[SID][0].value)
        world.clock.move(5 * MINUTE)
    assert world.value(SID, record.active.other) not in leaked
    standby = leaked - {next(iter(shown & leaked), None)}
    assert not shown & standby
    well(world, world.record(SID), leaked)


def test_next_rotation_retires_a_compromised_value_now() -> None:
    rules = policy(retire=Retire.NEXT_ROTATION)
    world, turn = rotated(rules)
    leaked = values(world)
    name_it(world, turn, rules)
    well(world, soon(world, turn, rules), leaked)


def test_evidence_of_use_does_not_keep_a_compromised_value_alive() -> None:
    rules = policy()
    world, turn = rotated(rules)
    leaked = values(world)
    name_it(world, turn, rules)
    world.evidence.used[world.credential(SID).key] = dict.fromkeys(Slot, world.clock.now())
    well(world, soon(world, turn, rules), leaked)


def test_tokens_are_made_anew_from_a_fresh_value() -> None:
    spec = TokenSpec(kind=TokenKind.GATEWAY, lifetime=30 * DAY)
    rules = policy(name="gateways", mode=Mode.REGENERATE, probe=None, tokens=(spec,))
    world = World(sets=False)
    credential = world.add("edge", kind=Kind.GATEWAY, tokens=spec)
    turn = keyturn(world)
    turn.advance(credential, rules)
    world.clock.move(2 * DAY)
    turn.advance(credential, rules)
    before = world.sinks["edge"][0].value
    assert before is not None
    turn.compromise(credential, rules, BOTH, because="laptop stolen")
    for _ in range(40):
        turn.advance(credential, rules)
        world.clock.move(5 * MINUTE)
    after = world.sinks["edge"][0].value
    assert after is not None
    assert not world.keyring.accepts(before)
    assert world.keyring.accepts(after)


# -------- what it says, and whom it asks


def test_history_tells_of_it_from_beginning_to_end() -> None:
    rules = policy()
    world, turn = rotated(rules)
    name_it(world, turn, rules)
    soon(world, turn, rules)
    told = [(line.event.kind, line.event.rule) for line in world.ledger.lines]
    first = told.index(("compromised", "A15"))
    assert ("drained", "A1") in told[first:]
    assert told[-1] == ("compromise over", "A15") or ("compromise over", "A15") in told[first:]
    sentence = next(line.event.sentence for line in world.ledger.lines if line.event.kind == "compromised")
    assert sentence == "primary and secondary are compromised: on a public page"


def test_the_timeline_shows_the_drain_skipped() -> None:
    rules = policy()
    world, turn = rotated(rules)
    name_it(world, turn, rules)
    sight = turn.sight(world.credential(SID), rules)
    told = preview(sight.record, sight.seen, rules, world.clock.now(), live=sight.live)
    retires = next(line for line in told.lines if line.what.startswith("retire"))
    assert retires.offset < HOUR
    assert (retires.detail, retires.rule) == ("without a drain: its value is compromised", "A15")
    assert told.stopped == ""


def test_what_is_not_adopted_has_no_published_value_to_name() -> None:
    world = World()
    world.add(SID, show=None)
    with pytest.raises(NeedsPerson, match="is not adopted"):
        name_it(world, keyturn(world), policy())


@pytest.mark.parametrize(
    ("reason", "goes_on"), [("in-use", True), ("parked", True), ("by-hand", False), ("gone", False)]
)
def test_a_hold_that_would_keep_a_compromised_value_alive_is_lifted_and_others_ask(reason: str, goes_on: bool) -> None:
    rules = policy()
    world, turn = rotated(rules)
    stored = world.ledger.stored[world.credential(SID).key]
    held, _ = by_hand.hold(stored.record, "x", world.clock.now())
    assert held.hold is not None
    world.ledger.save(
        held.but(hold=type(held.hold)(reason=reason, sentence="x", since=held.hold.since)), stored.version, []
    )
    if goes_on:
        leaked = values(world)
        name_it(world, turn, rules)
        well(world, soon(world, turn, rules), leaked)
        return
    with pytest.raises(NeedsPerson, match=f"is held \\({reason}\\)"):
        name_it(world, turn, rules)


def test_a_compromised_value_is_not_rolled_back_to() -> None:
    rules = policy()
    world, turn = rotated(rules)
    name_it(world, turn, rules)
    with pytest.raises(NeedsPerson, match="named as compromised"):
        by_hand.rollback(world.record(SID), "x", world.clock.now())


# -------- suspended meanwhile


@pytest.mark.parametrize("probed", [True, False])
def test_suspended_it_lets_nobody_in_until_the_compromised_values_are_dead_everywhere(probed: bool) -> None:
    rules = policy() if probed else policy(probe=None)
    world, turn = rotated(rules)
    world.keyring.delay = 8 * MINUTE
    leaked = values(world)
    name_it(world, turn, rules, suspend=True)
    assert world.keyring.entities[SID].state == "suspended"
    assert not any(world.keyring.accepts(value) for value in leaked)
    end = world.clock.azure + 3 * HOUR
    while world.clock.azure < end:
        turn.advance(world.credential(SID), rules)
        assert not any(world.keyring.accepts(value) for value in leaked)
        world.clock.move(2 * MINUTE)
    record = world.record(SID)
    well(world, record, leaked)
    assert world.keyring.entities[SID].state == "active"
    assert record.compromise is None
    assert record.active is not None
    assert record.slot(record.active).proven is probed


def test_a_suspend_that_is_refused_is_told_and_the_values_die_all_the_same() -> None:
    rules = policy()
    world, turn = rotated(rules)
    leaked = values(world)
    world.script.fault("enable", NotApplied(status=403, code="AuthorizationFailed", sentence="may not write"))
    with pytest.raises(Refused, match="was not suspended"):
        name_it(world, turn, rules, suspend=True)
    well(world, soon(world, turn, rules), leaked)


@pytest.mark.parametrize("fault", [LOST, NEVER])
def test_a_suspend_whose_answer_is_lost_ends_active_whatever_came_of_it(fault: str) -> None:
    rules = policy()
    world, turn = rotated(rules)
    leaked = values(world)
    world.script.fault("enable", fault)
    with pytest.raises(Unclear):
        name_it(world, turn, rules, suspend=True)
    well(world, soon(world, turn, rules, span=3 * HOUR), leaked)
    assert world.keyring.entities[SID].state == "active"


@pytest.mark.parametrize("fault", [LOST, NEVER])
def test_letting_in_again_is_tried_until_it_is_so(fault: str) -> None:
    rules = policy()
    world, turn = rotated(rules)
    leaked = values(world)
    name_it(world, turn, rules, suspend=True)
    world.script.fault("enable", fault)
    well(world, soon(world, turn, rules, span=3 * HOUR), leaked)
    assert world.keyring.entities[SID].state == "active"


def test_what_somebody_else_suspended_stays_suspended() -> None:
    rules = policy()
    world, turn = rotated(rules)
    world.keyring.entities[SID].state = "suspended"
    name_it(world, turn, rules, suspend=True)
    record = soon(world, turn, rules)
    assert world.keyring.entities[SID].state == "suspended"
    assert record.waiting is not None
    assert record.waiting.reason == "not-active"


@pytest.mark.parametrize("busy", [412, 429])
def test_while_activating_is_refused_it_is_tried_again_after_pauses_and_in_no_loop(busy: int) -> None:
    rules = policy()
    world, turn = rotated(rules)
    name_it(world, turn, rules, suspend=True)
    refused = NotApplied(status=busy, code="PreconditionFailed", sentence="busy", after=120 if busy == 429 else None)
    follow(world, turn, SID, rules, until=Stage.PROVE)
    world.script.fault("enable", refused, times=10_000)
    before = world.script.passed.count("enable")
    record = soon(world, turn, rules, span=HOUR)
    assert 1 <= world.script.passed.count("enable") - before <= 13
    assert record.waiting is not None
    assert record.waiting.reason == "unreachable"
    world.script.faults.clear()
    soon(world, turn, rules, span=HOUR)
    assert world.keyring.entities[SID].state == "active"


def test_an_activation_that_does_not_show_yet_is_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read of Azure may be a little older than a write."""
    rules = policy()
    world, turn = rotated(rules)
    name_it(world, turn, rules, suspend=True)
    follow(world, turn, SID, rules, until=Stage.PROVE)
    read = world.keyring.read

    def stale(credential: Credential) -> Entity:
        return msgspec.structs.replace(read(credential), state="suspended")

    monkeypatch.setattr(world.keyring, "read", stale)
    before = world.script.passed.count("enable")
    soon(world, turn, rules, span=30 * MINUTE)
    assert 1 <= world.script.passed.count("enable") - before <= 6
    monkeypatch.undo()
    record = soon(world, turn, rules, span=2 * HOUR)
    assert (record.stage, record.compromise) == (Stage.IDLE, None)


def test_the_last_look_waits_for_a_wrong_clock_and_in_no_loop() -> None:
    rules = policy()
    world, turn = rotated(rules)
    name_it(world, turn, rules)
    while world.record(SID).stage is not Stage.IDLE or getattr(world.record(SID).compromise, "look_at", None) is None:
        turn.advance(world.credential(SID), rules)
        world.clock.move(MINUTE)
    world.clock.move(rules.settling)
    world.clock.ahead = 10 * MINUTE
    assert len(turn.advance(world.credential(SID), rules).rows) <= 2
    assert world.record(SID).compromise is not None
    world.clock.ahead = timedelta(0)
    assert soon(world, turn, rules, span=30 * MINUTE).compromise is None


@pytest.mark.parametrize("suspend", [False, True])
def test_a_ledger_that_turns_out_to_be_old_forgets_no_compromise(suspend: bool) -> None:
    """It was restored from a backup; a person names the values before any turn has noticed."""
    rules = policy()
    world = World()
    world.add(SID)
    turn = keyturn(world)
    turn.advance(world.credential(SID), rules)
    backup = world.ledger.backup()
    follow(world, turn, SID, rules)
    world.ledger.restore(backup)
    leaked = values(world)
    name_it(world, turn, rules, suspend=suspend)
    record = soon(world, turn, rules, span=4 * HOUR)
    assert "relearn" in {line.event.kind for line in world.ledger.lines}
    well(world, record, leaked)
    assert record.compromise is None


def test_taking_over_another_ledger_forgets_no_compromise() -> None:
    rules = policy()
    world, turn = rotated(rules)
    leaked = values(world)
    name_it(world, turn, rules, suspend=True)
    tags = world.sinks[SID][0].tags
    assert tags is not None
    world.sinks[SID][0].put(world.sinks[SID][0].value, msgspec.structs.replace(tags, ledger="ledger-0"))
    record = turn.advance(world.credential(SID), rules).record
    assert record.hold is not None
    assert record.hold.reason == "another-keyturn"
    stored = world.ledger.stored[record.key]
    taken, event = by_hand.take_over(stored.record, "ledger-0", "it is lost", world.clock.now())
    world.ledger.save(taken, stored.version, [event])
    well(world, soon(world, turn, rules, span=4 * HOUR), leaked)
    assert world.keyring.entities[SID].state == "active"


def test_what_was_parked_before_it_was_named_is_not_parked_again_at_the_first_failure() -> None:
    rules = policy(park_after=3 * DAY)
    world, turn = rotated(rules)
    world.sinks[SID][0].problem = Refused("may not read", status=403, code="Forbidden")
    for _ in range(400):
        world.clock.move(HOUR)
        turn.advance(world.credential(SID), rules, force=True)
    hold = world.record(SID).hold
    assert hold is not None
    assert hold.reason == "parked"
    leaked = values(world)
    name_it(world, turn, rules)
    assert turn.advance(world.credential(SID), rules).record.hold is None
    world.sinks[SID][0].problem = None
    well(world, soon(world, turn, rules, span=3 * HOUR), leaked)


def test_naming_goes_on_where_another_keyturn_saves_meanwhile() -> None:
    rules = policy()
    world, turn = rotated(rules)
    leaked = values(world)
    other = keyturn(world)
    world.script.at("read", lambda: void(other.advance(world.credential(SID), rules, force=True)))
    name_it(world, turn, rules)
    well(world, soon(world, turn, rules), leaked)


def void(_: object) -> None:
    """A trap's answer reaches nobody."""


def test_a_suspend_that_comes_a_moment_late_is_sent_again_with_what_is_true_now() -> None:
    rules = policy()
    world, turn = rotated(rules)
    leaked = values(world)
    world.script.fault("enable", NotApplied(status=412, code="PreconditionFailed", sentence="busy owner"))
    name_it(world, turn, rules, suspend=True)
    assert world.keyring.entities[SID].state == "suspended"
    well(world, soon(world, turn, rules, span=3 * HOUR), leaked)


def test_what_keyturn_could_not_suspend_and_a_person_did_stays_suspended() -> None:
    rules = policy()
    world, turn = rotated(rules)
    world.script.fault("enable", NotApplied(status=403, code="AuthorizationFailed", sentence="may not write"))
    with pytest.raises(Refused, match="was not suspended"):
        name_it(world, turn, rules, suspend=True)
    named = world.record(SID).compromise
    assert named is not None
    assert not named.suspended
    world.keyring.entities[SID].state = "suspended"
    soon(world, turn, rules)
    assert world.keyring.entities[SID].state == "suspended"


def test_a_refused_suspend_takes_back_nobody_elses() -> None:
    """Two people name the values in the same moment, and only one of them may suspend."""
    rules = policy()
    world, turn = rotated(rules)
    other, leaked = keyturn(world), values(world)

    def meanwhile() -> None:
        world.clock.move(timedelta(seconds=1))
        name_it(world, other, rules, suspend=True)
        world.script.fault("enable", NotApplied(status=403, code="AuthorizationFailed", sentence="may not write"))

    world.script.at("enable", meanwhile)
    with pytest.raises(Refused, match="was not suspended"):
        name_it(world, turn, rules, suspend=True)
    assert world.keyring.entities[SID].state == "suspended"
    well(world, soon(world, turn, rules, span=3 * HOUR), leaked)
    assert world.keyring.entities[SID].state == "active"


def test_writes_that_nobody_answers_do_not_put_the_death_off_for_days() -> None:
    """No request outlives `late`: whoever waits longer than `late` + `deadline` for one waits for nothing."""
    rules = policy()
    world, turn = rotated(rules)
    leaked = values(world)
    name_it(world, turn, rules)
    world.script.fault("set_value", NEVER, times=12)
    well(world, soon(world, turn, rules, span=5 * HOUR), leaked)


def test_a_value_that_comes_back_dies_again_and_the_last_look_waits_for_that_death() -> None:
    """Terraform writes it back between its death and the last look."""
    rules = policy()
    world, turn = rotated(rules)
    leaked = values(world)
    name_it(world, turn, rules)
    while getattr(world.record(SID).compromise, "look_at", None) is None:
        turn.advance(world.credential(SID), rules)
        world.clock.move(MINUTE)
    record = world.record(SID)
    assert record.active is not None
    world.clock.move(rules.settling)
    world.keyring.portal(SID, record.active.other, sorted(leaked)[0])
    well(world, soon(world, turn, rules, span=3 * HOUR), leaked)
    lines = world.ledger.lines
    died = [line.event.at for line in lines if line.event.kind == "retired"][-1]
    over = [line.event.at for line in lines if line.event.kind == "compromise over"][-1]
    assert over - died >= rules.settling


def test_a_fresh_value_that_is_named_before_it_was_published_never_is() -> None:
    rules = policy()
    world, turn = rotated(rules)
    ask_to_rotate(world)
    record = follow(world, turn, SID, rules, until=Stage.CONFIRM)
    assert record.turning is not None
    fresh, leaked = world.value(SID, record.turning), values(world)
    name_it(world, turn, rules)
    well(world, soon(world, turn, rules, span=4 * HOUR), leaked)
    assert all(shown != fresh for _, shown in world.sinks[SID][0].writes)


def test_a_rollback_ends_where_the_old_value_is_named() -> None:
    """Asked for, and not begun: the gateways were to confirm the old value once more."""
    rules = policy()
    world, turn = rotated(rules)
    ask_to_rotate(world)
    record = follow(world, turn, SID, rules, until=Stage.DRAIN)
    assert record.active is not None
    old = world.value(SID, record.active.other)
    stored = world.ledger.stored[world.credential(SID).key]
    back, event = by_hand.rollback(stored.record, "x", world.clock.now())
    world.ledger.save(back, stored.version, [event])
    told = len(world.sinks[SID][0].writes)
    name_it(world, turn, rules, [record.active.other])
    well(world, soon(world, turn, rules, span=3 * HOUR), {old})
    assert all(shown != old for _, shown in world.sinks[SID][0].writes[told:])


@pytest.mark.parametrize("slots", [BOTH, None])
@pytest.mark.parametrize("after", [0, 1, 5, 12, 20])
def test_whoever_is_locked_out_is_let_in_soon_where_a_person_ended_a_value_by_hand(
    slots: Collection[Slot] | None, after: int
) -> None:
    """Somebody regenerates the published slot in the portal, too: no drain may keep everybody out."""
    rules = policy()
    world, turn = rotated(rules)
    active = world.record(SID).active
    assert active is not None
    leaked = values(world) if slots else {world.value(SID, active)}
    name_it(world, turn, rules, slots or [active], suspend=True)
    for _ in range(after):
        turn.advance(world.credential(SID), rules)
        world.clock.move(MINUTE)
    world.keyring.portal(SID, active)
    died = world.clock.azure
    while world.keyring.entities[SID].state != "active":
        assert world.clock.azure < died + 3 * HOUR
        turn.advance(world.credential(SID), rules)
        world.clock.move(MINUTE)
    assert not values(world) & leaked
    assert world.clock.azure >= died + rules.propagation
    record = soon(world, turn, rules, span=2 * DAY)
    well(world, record, leaked)
    assert record.compromise is None


def test_by_hand_a_value_ends_at_once_although_a_sink_cannot_be_read() -> None:
    """The command that a person is sent to where an unreadable sink keeps a compromised value alive."""
    rules = policy()
    world, turn = rotated(rules)
    leaked = values(world)
    name_it(world, turn, rules)
    world.sinks[SID][0].problem = TryAgain("vault is down", after=30)
    soon(world, turn, rules, span=30 * MINUTE)
    assert values(world) == leaked
    for slot in Slot:
        with pytest.raises(NeedsPerson, match="cannot be read"):
            turn.write_slot(world.credential(SID), rules, slot, None, because="leaked")
        turn.write_slot(world.credential(SID), rules, slot, None, because="leaked", cut_off_callers=True)
    assert not values(world) & leaked
    world.sinks[SID][0].problem = None
    well(world, soon(world, turn, rules, span=3 * DAY), leaked)
