"""What `plan` tells is what turns then do."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keyturn import plan
from keyturn.errors import TryAgain
from keyturn.model import Mode, Slot, Stage
from keyturn.policy import DAY, Policy, Retire
from keyturn.preview import TOLD, Preview, preview
from keyturn.testing import World
from keyturn.turn import Turn
from tests.keyturns import follow, keyturn, policy


def told(world: World, turn: Turn, rules: Policy) -> Preview:
    sight = turn.sight(world.credential("contoso"), rules)
    return preview(
        sight.record, sight.seen, rules, world.clock.now(), live=sight.live, gateways=("https://gateway.test",)
    )


@pytest.mark.parametrize(
    "rules",
    [
        policy(),
        policy(mode=Mode.REGENERATE),
        policy(probe=None),
        policy(retire=Retire.NEXT_ROTATION),
        policy(mode=Mode.REGENERATE, probe=None),
    ],
    ids=["set", "regenerate", "no probe", "next rotation", "regenerate, no probe"],
)
def test_the_timeline_of_a_faultless_rotation_costs_and_lasts_what_the_rotation_then_does(rules: Policy) -> None:
    world = World()
    world.add("contoso", sinks=["vault/contoso", "file/contoso"])
    turn = keyturn(world)
    follow(world, turn, "contoso", rules, until=Stage.IDLE)
    world.clock.move(30 * DAY - timedelta(minutes=1))
    turn.advance(world.credential("contoso"), rules)
    start, writes = world.clock.now(), world.keyring.writes
    seen = told(world, turn, rules)
    writes_for_looking = world.keyring.writes - writes
    follow(world, turn, "contoso", rules)
    assert seen.stopped == ""
    assert seen.arm_writes == world.keyring.writes - writes - writes_for_looking
    lasted = world.clock.now() - start
    assert abs(seen.lines[-1].offset - lasted) < timedelta(minutes=5)  # turns here come at least a second apart


def test_looking_for_a_plan_saves_nothing_and_changes_nothing() -> None:
    world = World()
    world.add("contoso")
    before = dict(world.keyring.entities["contoso"].values)
    told(world, keyturn(world), policy())
    assert world.ledger.stored == {}
    assert world.ledger.lines == []
    assert world.keyring.entities["contoso"].values == before


def test_a_timeline_stops_where_nobody_can_know_how_it_goes_on() -> None:
    world = World()
    world.add("contoso", show=None)
    assert "every sink is empty" in told(world, keyturn(world), policy()).stopped
    adopting = told(world, keyturn(world), policy(adopt=Slot.PRIMARY))
    assert [line.what for line in adopting.lines][:3] == ["read both values", "prove the fence", "adopt"]
    world.sinks["contoso"][0].problem = TryAgain("the vault is down")
    assert "the vault is down" in told(world, keyturn(world), policy(adopt=Slot.PRIMARY)).stopped


def test_a_renewal_without_a_probe_is_told_as_not_proven() -> None:
    world = World()
    world.add("contoso")
    turn, rules = keyturn(world), policy(probe=None)
    follow(world, turn, "contoso", rules, until=Stage.IDLE)
    confirmed = [line.detail for line in told(world, turn, rules).lines if line.what == "confirmed"]
    assert confirmed
    assert all(detail.startswith("not proven") for detail in confirmed)


def test_every_row_that_a_timeline_tells_of_is_a_row_of_the_table() -> None:
    assert set(TOLD) <= {row.name for row in plan.TABLE}
