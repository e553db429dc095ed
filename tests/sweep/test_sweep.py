"""A sweep takes what is due, lets each credential's fate be its own, and knows how long to wait."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keyturn.errors import LedgerFault, Refused
from keyturn.model import Slot, Stage
from keyturn.policy import DAY, MINUTE, Policy
from keyturn.ports import Holder
from keyturn.sweep import Charge, Sweep
from keyturn.testing import World
from tests.keyturns import keyturn, policy

ME = Holder(host="here", boot_id="b", pid=1, started="1", nonce="me")
OTHER = Holder(host="here", boot_id="b", pid=2, started="1", nonce="other")


def fleet(count: int) -> World:
    world = World()
    for number in range(count):
        world.add(f"c{number:03}")
    return world


def sweep(world: World, rules: Policy, *, holder: Holder = ME, workers: int = 1) -> Sweep:
    turn = keyturn(world)
    charges = [Charge(entity.credential, rules, turn) for entity in world.keyring.entities.values()]
    return Sweep(charges, ledger=world.ledger, clock=world.clock, holder=holder, workers=workers)


def test_a_sweep_adopts_everything_and_then_has_nothing_to_do() -> None:
    world = fleet(5)
    sweeping = sweep(world, policy())
    assert sweeping.once().turns == 5
    passed = len(world.script.passed)
    assert sweeping.once().turns == 0
    assert world.script.passed[passed:] == []


def test_following_to_the_end_rotates_the_whole_fleet() -> None:
    world = fleet(5)
    rules = policy()
    sweep(world, rules).follow(to_the_end=True)
    world.clock.move(rules.every)
    sweep(world, rules).follow(to_the_end=True)
    assert {record.rotations for record in world.ledger.records()} == {1}
    assert {record.stage for record in world.ledger.records()} == {Stage.IDLE}
    assert {record.active for record in world.ledger.records()} == {Slot.SECONDARY}


def test_following_waits_for_settling_but_not_for_the_drain() -> None:
    world = fleet(3)
    rules = policy()
    sweep(world, rules).follow()
    world.clock.move(rules.every)
    started = world.clock.now()
    swept = sweep(world, rules).follow()
    assert {record.stage for record in world.ledger.records()} == {Stage.DRAIN}
    assert world.clock.now() - started < 2 * MINUTE
    assert swept.next_at is not None
    assert swept.next_at - world.clock.now() > 23 * timedelta(hours=1)


def test_following_does_not_wait_for_a_refusal_to_pass() -> None:
    world = fleet(1)
    world.script.fault("read", Refused("may not read", status=403), times=99)
    started = world.clock.now()
    sweep(world, policy()).follow()
    assert world.clock.now() == started


def test_following_to_the_end_does_not_wait_for_ever_for_a_suspended_one() -> None:
    world = fleet(2)
    world.keyring.entities["c000"].state = "suspended"
    sweep(world, policy()).follow(to_the_end=True)
    assert {record.stage for record in world.ledger.records()} == {Stage.UNKNOWN, Stage.IDLE}


def test_one_credentials_failure_leaves_the_others_alone() -> None:
    world = fleet(3)
    world.script.fault("read", Refused("may not read", status=403))
    swept = sweep(world, policy()).once()
    assert swept.turns == 3
    assert sorted(record.stage for record in world.ledger.records()) == [Stage.IDLE, Stage.IDLE, Stage.UNKNOWN]


def test_a_defect_is_raised_once_the_others_are_done() -> None:
    world = fleet(3)

    def defect() -> None:
        raise ZeroDivisionError

    world.script.at("read", defect)
    with pytest.raises(ZeroDivisionError):
        sweep(world, policy()).once()
    assert len(list(world.ledger.records())) == 2


def test_a_ledger_that_fails_stops_the_sweep_with_its_own_error() -> None:
    world = fleet(1)

    def broken() -> None:
        raise LedgerFault("disk full")

    world.script.at("ledger.save", broken)
    with pytest.raises(LedgerFault):
        sweep(world, policy()).once()


def test_a_lease_held_by_somebody_alive_is_waited_for_and_a_dead_holders_is_taken_over() -> None:
    world = fleet(1)
    key = world.credential("c000").key
    world.ledger.lease(key, OTHER, world.clock.now(), 2 * MINUTE)
    sweeping = sweep(world, policy())
    swept = sweeping.once()
    assert (swept.turns, swept.busy) == (0, 1)
    assert swept.next_at == world.clock.now() + 2 * MINUTE
    world.ledger.dead.add(OTHER)
    assert sweep(world, policy()).once().turns == 1
    assert world.ledger.leases == {}


def test_a_changed_policy_is_looked_at_before_its_old_wait_ends() -> None:
    world = fleet(1)
    sweep(world, policy()).once()
    world.clock.move(2 * DAY)
    sweep(world, policy(every=2 * DAY)).follow()
    assert world.record("c000").stage is Stage.DRAIN


def test_after_a_stop_nothing_new_is_started() -> None:
    world = fleet(3)
    sweeping = sweep(world, policy())
    sweeping.stop()
    assert sweeping.follow(to_the_end=True).turns == 0


def test_many_threads_rotate_a_fleet_with_exactly_one_write_per_slot() -> None:
    world = fleet(40)
    rules = policy()
    sweep(world, rules, workers=8).follow(to_the_end=True)
    world.clock.move(rules.every)
    writes = world.keyring.writes
    sweep(world, rules, workers=8).follow(to_the_end=True)
    assert world.keyring.writes - writes == 80
    assert {record.rotations for record in world.ledger.records()} == {1}


def test_a_sweep_that_another_keyturn_outruns_waits_for_its_lease_and_does_not_ask_again_at_once() -> None:
    """It used to spin: the wait that it knew of was over, and its lease was somebody else's (found by simulation)."""
    world = fleet(1)
    rules = policy(probe=None)
    sweeping = sweep(world, rules)
    sweeping.once()
    credential = world.credential("c000")
    stored = world.ledger.stored[credential.key]
    waiting = stored.record.but(stage=Stage.CONFIRM, target=Slot.PRIMARY, not_before=world.clock.now() + MINUTE / 2)
    world.ledger.save(waiting, stored.version, [])
    sweeping = sweep(world, rules)
    world.clock.move(MINUTE)
    assert world.ledger.lease(credential.key, OTHER, world.clock.now(), 10 * MINUTE)
    began = world.clock.now()
    swept = sweeping.follow()
    assert (swept.busy, swept.turns) == (1, 0)
    assert swept.next_at == began + 2 * rules.deadline


def test_a_sweep_notices_that_the_ledger_has_lost_the_record_of_a_held_credential() -> None:
    world = fleet(1)
    for sink in world.sinks["c000"]:
        sink.put("not a value of this service's")
    sweeping = sweep(world, policy())
    sweeping.once()
    assert world.record("c000").hold is not None
    world.sinks["c000"][0].put(world.value("c000", Slot.PRIMARY))
    world.ledger.stored.clear()
    sweeping.once()
    sweeping.once()
    assert world.record("c000").active is Slot.PRIMARY
