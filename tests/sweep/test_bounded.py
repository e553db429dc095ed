"""A sweep with an end begins nothing new after it, and waits for nothing beyond it; what is left stays due."""

from __future__ import annotations

from datetime import timedelta

from keyturn.model import Stage
from keyturn.policy import Policy
from keyturn.sweep import Charge, Sweep
from keyturn.testing import World
from tests.keyturns import keyturn, policy
from tests.sweep.test_sweep import ME, fleet, sweep


def bounded(world: World, rules: Policy, seconds: float) -> Sweep:
    turn = keyturn(world)
    charges = [Charge(entity.credential, rules, turn) for entity in world.keyring.entities.values()]
    until = world.clock.boottime() + seconds
    return Sweep(charges, ledger=world.ledger, clock=world.clock, holder=ME, workers=1, until=until)


def test_nothing_new_is_begun_once_the_time_is_over_and_the_next_sweep_goes_on() -> None:
    world = fleet(5)
    world.script.at("read", lambda: world.clock.move(timedelta(seconds=60)), skip=1)
    swept = bounded(world, policy(), 30).once()
    assert (swept.turns, swept.busy, swept.left) == (2, 0, 3)
    assert len(world.ledger.stored) == 2
    assert bounded(world, policy(), 30).once().turns == 3


def test_a_stopped_sweep_counts_what_it_left_as_left_and_not_as_busy() -> None:
    world = fleet(3)
    sweeping = sweep(world, policy())
    world.script.at("read", sweeping.stop)
    swept = sweeping.once()
    assert (swept.turns, swept.busy, swept.left) == (1, 0, 2)


def test_a_short_wait_is_waited_for_only_if_it_ends_in_time() -> None:
    for seconds, reached in ((20.0, Stage.CONFIRM), (120.0, Stage.DRAIN)):
        world = fleet(1)
        rules = policy()
        sweep(world, rules).follow()
        world.clock.move(rules.every)
        began = world.clock.boottime()
        bounded(world, rules, seconds).follow()
        assert {record.stage for record in world.ledger.records()} == {reached}
        assert world.clock.boottime() - began <= seconds
