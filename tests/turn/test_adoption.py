"""Adoption, the table of rule A13, and what a lost or foreign ledger leads to (A2, A10)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keyturn import by_hand, plan
from keyturn.errors import TryAgain
from keyturn.model import Mode, Record, Slot, Stage, WriteIntent
from keyturn.policy import MINUTE
from keyturn.ports import Tags
from keyturn.scene import Scene, Seen
from keyturn.testing import World
from tests.keyturns import follow, keyturn, policy

SID = "contoso"
P, S = Slot.PRIMARY, Slot.SECONDARY

SHOWN = {
    "all sinks show primary": ([P, P], None, P),
    "all sinks show secondary": ([S, S], None, S),
    "one shows secondary, the other is empty": ([S, None], None, S),
    "all are empty and the policy says primary": ([None, None], P, P),
    "all are empty and the policy says secondary": ([None, None], S, S),
}

HELD = {
    "all are empty and the policy does not say": ([None, None], "nothing-published"),
    "two live values": ([P, S], "sinks-disagree"),
    "a foreign value": (["someone-elses", P], "foreign-value"),
    "an unreadable sink": (["unreadable", P], "sink-unreadable"),
}


def show(world: World, shown: list[Slot | str | None]) -> None:
    for sink, what in zip(world.sinks[SID], shown, strict=True):
        if what == "unreadable":
            sink.problem = TryAgain("503")
        else:
            sink.put(world.value(SID, what) if isinstance(what, Slot) else what)


def world_showing(shown: list[Slot | str | None]) -> World:
    world = World()
    world.add(SID, sinks=["a", "b"], show=None)
    show(world, shown)
    return world


@pytest.mark.parametrize(("shown", "adopt", "active"), SHOWN.values(), ids=SHOWN)
def test_adoption_finds_the_active_slot(shown: list[Slot | str | None], adopt: Slot | None, active: Slot) -> None:
    world = world_showing(shown)
    before = dict(world.keyring.entities[SID].values)
    record = follow(world, keyturn(world), SID, policy(adopt=adopt), until=Stage.IDLE)
    assert record.active is active
    assert {sink.value for sink in world.sinks[SID]} == {before[active]}
    assert world.keyring.entities[SID].values == before


@pytest.mark.parametrize(("shown", "reason"), HELD.values(), ids=HELD)
def test_adoption_holds_rather_than_guess(shown: list[Slot | str | None], reason: str) -> None:
    world = world_showing(shown)
    before = [sink.value for sink in world.sinks[SID]]
    record = keyturn(world).advance(world.credential(SID), policy()).record
    assert record.hold is not None
    assert record.hold.reason == reason
    assert [sink.value for sink in world.sinks[SID]] == before


def test_an_empty_sink_is_filled_only_with_a_value_that_the_gateways_accepted() -> None:
    world = world_showing([P, None])
    world.keyring.delay = timedelta(0)
    record = keyturn(world).advance(world.credential(SID), policy()).record
    assert record.stage is Stage.CONFIRM
    assert world.sinks[SID][1].value is None
    follow(world, keyturn(world), SID, policy(), until=Stage.IDLE)
    assert world.sinks[SID][1].value == world.value(SID, P)


def test_a_dead_value_with_our_tags_is_repaired() -> None:
    world = world_showing([None, None])
    tags = Tags(
        ledger="ledger-1",
        seq=7,
        slot=S,
        provider_address="x",
        validity_days=30,
        expires=world.clock.now(),
    )
    for sink in world.sinks[SID]:
        sink.put("a-value-that-died", tags)
    record = follow(world, keyturn(world), SID, policy(), until=Stage.IDLE)
    assert record.active is S
    assert record.seq > 7
    assert {sink.value for sink in world.sinks[SID]} == {world.value(SID, S)}


def test_no_slot_is_written_before_the_drain_has_passed_since_adoption() -> None:
    world = World()
    world.add(SID)
    rules = policy()
    adopted_at = world.clock.now()
    keyturn(world).advance(world.credential(SID), rules)
    ask_for_rotation(world)
    follow(world, keyturn(world), SID, rules, until=Stage.CONFIRM)
    assert world.clock.now() >= adopted_at + rules.drain


def test_an_operator_may_vouch_for_the_standby_on_the_record() -> None:
    world = World()
    world.add(SID)
    rules = policy()
    stored_at = world.clock.now()
    keyturn(world).advance(world.credential(SID), rules)
    record = world.record(SID)
    record, event = by_hand.vouch(record, stored_at - 2 * rules.drain, "nobody ever had it", stored_at)
    save(world, record)
    ask_for_rotation(world)
    assert keyturn(world).advance(world.credential(SID), rules).record.stage is Stage.CONFIRM
    assert "nobody ever had it" in event.sentence


def test_another_keyturns_sink_holds_until_a_person_lets_this_one_succeed_it() -> None:
    world, other = World(), "ledger-of-somebody"
    world.add(SID)
    tags = Tags(ledger=other, seq=41, slot=P, provider_address="x", validity_days=30, expires=world.clock.now())
    world.sinks[SID][0].put(world.value(SID, P), tags)
    record = keyturn(world).advance(world.credential(SID), policy()).record
    assert record.hold is not None
    assert record.hold.reason == "another-keyturn"
    assert f"--take-over {other}" in record.hold.sentence
    record, _ = by_hand.take_over(record, other, "its ledger was lost", world.clock.now())
    save(world, record)
    record = follow(world, keyturn(world), SID, policy(), until=Stage.IDLE)
    assert record.active is P
    ask_for_rotation(world)
    record = follow(world, keyturn(world), SID, policy(), until=Stage.DRAIN)
    new_tags = world.sinks[SID][0].tags
    assert new_tags is not None
    assert (new_tags.ledger, new_tags.seq) == ("ledger-1", 42)


def test_a_service_that_ignores_a_wrong_etag_is_refused_in_set_mode_and_served_by_regenerate() -> None:
    world = World(fenced=False)
    world.add(SID)
    record = keyturn(world).advance(world.credential(SID), policy()).record
    assert record.hold is not None
    assert record.hold.reason == "fence-not-proven"
    world = World(fenced=False)
    world.add(SID)
    record = follow(world, keyturn(world), SID, policy(mode=Mode.REGENERATE))
    assert record.rotations == 1


def test_the_fence_is_proven_once_per_service_not_once_per_credential() -> None:
    world = World()
    for sid in ("one", "two", "three"):
        world.add(sid)
        follow(world, keyturn(world), sid, policy(), until=Stage.IDLE)
    assert world.script.passed.count("prove_fence") == 1


@pytest.mark.parametrize("state", ["suspended", "expired", "cancelled"])
def test_an_apim_subscription_that_is_not_active_waits_and_says_so(state: str) -> None:
    world = World()
    world.add(SID)
    world.keyring.entities[SID].state = state
    record = keyturn(world).advance(world.credential(SID), policy()).record
    assert record.waiting is not None
    assert record.waiting.reason == "not-active"
    assert state in record.waiting.sentence
    world.keyring.entities[SID].state = "active"
    world.clock.move(61 * MINUTE)
    assert follow(world, keyturn(world), SID, policy(), until=Stage.IDLE).active is P


def save(world: World, record: Record) -> None:
    world.ledger.save(record, world.ledger.stored[record.key].version, [])


def ask_for_rotation(world: World) -> None:
    record, _ = by_hand.request(world.record(SID), "asked", world.clock.now())
    save(world, record)


def test_what_adoption_assumes_of_earlier_writes_is_not_told_as_a_fact() -> None:
    world = world_showing([P, P])
    record = follow(world, keyturn(world), SID, policy(), until=Stage.IDLE)
    blocked = plan.unsettled(Scene(record, Seen(ledger="ledger-1"), policy(), world.clock.now()), S)
    assert blocked is not None
    assert blocked.sentence == "nobody can rule out an earlier write to secondary, which may still land"
    sent = WriteIntent(mode=Mode.REGENERATE, sends=1, sent_at=world.clock.now())
    known = record.with_slot(S, intent=sent)
    blocked = plan.unsettled(Scene(known, Seen(ledger="ledger-1"), policy(), world.clock.now()), S)
    assert blocked is not None
    assert blocked.sentence == "an earlier write to secondary was not acknowledged and may still land"
