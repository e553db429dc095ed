"""Rotations without faults, from adoption to the fresh standby, as their callers and their bill see them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keyturn.model import Mode, Slot, Stage
from keyturn.policy import DAY, Retire
from keyturn.testing import World
from keyturn.turn import HeldValues
from tests.keyturns import callers, follow, keyturn, policy


def test_the_first_look_adopts_what_the_sinks_show_and_writes_nothing() -> None:
    world = World()
    world.add("contoso", show=Slot.SECONDARY)
    before = dict(world.keyring.entities["contoso"].values)
    record = follow(world, keyturn(world), "contoso", policy(), until=Stage.IDLE)
    assert record.active is Slot.SECONDARY
    assert world.keyring.entities["contoso"].values == before


@pytest.mark.parametrize("mode", list(Mode))
def test_a_rotation_ends_with_both_values_new_and_no_call_refused(mode: Mode) -> None:
    world = World()
    world.add("contoso", sinks=["vault/contoso", "file/contoso"])
    before = set(world.keyring.entities["contoso"].values.values())
    calling = callers(world, "contoso")
    record = follow(world, keyturn(world), "contoso", policy(mode=mode), calling=calling)
    assert record.stage is Stage.IDLE
    assert record.active is Slot.SECONDARY
    assert before.isdisjoint(world.keyring.entities["contoso"].values.values())
    assert {sink.value for sink in world.sinks["contoso"]} == {world.value("contoso", Slot.SECONDARY)}
    assert [caller.refusals for caller in calling] == [[], []]
    assert all(caller.calls > 100 for caller in calling)


@pytest.mark.parametrize(("mode", "writes"), [(Mode.SET, 2), (Mode.REGENERATE, 4)])
def test_a_renewed_slot_costs_one_arm_write_in_set_mode_and_two_in_regenerate(mode: Mode, writes: int) -> None:
    world = World()
    world.add("contoso")
    turn, rules = keyturn(world), policy(mode=mode)
    follow(world, turn, "contoso", rules, until=Stage.IDLE)
    adopted = world.keyring.writes
    follow(world, turn, "contoso", rules)
    assert world.keyring.writes - adopted == writes


def test_three_rotations_alternate_the_slots() -> None:
    world = World()
    world.add("contoso")
    turn = keyturn(world)
    active = [follow(world, turn, "contoso", policy()).active for _ in range(3)]
    assert active == [Slot.SECONDARY, Slot.PRIMARY, Slot.SECONDARY]


def test_retire_at_the_next_rotation_leaves_the_old_value_alive_and_writes_once_per_period() -> None:
    world = World()
    world.add("contoso")
    turn, rules = keyturn(world), policy(retire=Retire.NEXT_ROTATION)
    follow(world, turn, "contoso", rules, until=Stage.IDLE)
    old, adopted = world.value("contoso", Slot.PRIMARY), world.keyring.writes
    follow(world, turn, "contoso", rules)
    assert world.keyring.accepts(old)
    assert world.keyring.writes - adopted == 1
    follow(world, turn, "contoso", rules)
    assert not world.keyring.accepts(old)


def test_without_a_probe_publishing_waits_for_propagation_and_skew() -> None:
    world = World()
    world.add("contoso")
    turn, rules = keyturn(world), policy(probe=None)
    renewed = follow(world, turn, "contoso", rules, until=Stage.CONFIRM)
    assert renewed.waiting is not None
    assert renewed.waiting.reason == "propagation"
    assert renewed.not_before == world.clock.now() + timedelta(minutes=12)
    published = follow(world, turn, "contoso", rules, until=Stage.DRAIN)
    assert not published.secondary.proven


def test_a_process_that_remembers_nothing_reads_the_fresh_value_back_instead_of_drawing_another() -> None:
    world = World()
    world.add("contoso")
    rules = policy()
    follow(world, keyturn(world), "contoso", rules, until=Stage.CONFIRM)
    fresh, writes = world.value("contoso", Slot.SECONDARY), world.keyring.writes
    record = follow(world, keyturn(world, HeldValues()), "contoso", rules, until=Stage.DRAIN)
    assert record.active is Slot.SECONDARY
    assert world.sinks["contoso"][0].value == fresh == world.value("contoso", Slot.SECONDARY)
    assert world.keyring.writes - writes == 1  # one listSecrets


def test_every_publish_tags_the_sink_with_ledger_sequence_slot_and_expiry() -> None:
    world = World()
    world.add("contoso")
    record = follow(world, keyturn(world), "contoso", policy(), until=Stage.DRAIN)
    tags = world.sinks["contoso"][0].tags
    assert tags is not None
    assert (tags.ledger, tags.seq, tags.slot) == ("ledger-1", record.seq, Slot.SECONDARY)
    assert tags.provider_address == world.credential("contoso").address
    assert tags.validity_days == 30
    assert tags.expires == world.clock.now() + 60 * DAY


def test_an_idle_credential_is_looked_at_once_per_look_every_and_costs_one_read() -> None:
    world = World()
    world.add("contoso")
    turn, rules = keyturn(world), policy()
    follow(world, turn, "contoso", rules, until=Stage.IDLE)
    reads, writes = world.keyring.reads, world.keyring.writes
    for _ in range(24):
        world.clock.move(timedelta(hours=1))
        turn.advance(world.credential("contoso"), rules)
    assert (world.keyring.reads - reads, world.keyring.writes - writes) == (1, 0)


def test_a_turn_that_only_waits_touches_nothing() -> None:
    world = World()
    world.add("contoso")
    turn, rules = keyturn(world), policy()
    follow(world, turn, "contoso", rules, until=Stage.DRAIN)
    passed = len(world.script.passed)
    turn.advance(world.credential("contoso"), rules)
    assert world.script.passed[passed:] == ["ledger.load"]
