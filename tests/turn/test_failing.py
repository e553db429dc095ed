"""What goes on failing: the pauses grow, a changed policy forgets them, and in the end a person is asked."""

from __future__ import annotations

from datetime import datetime, timedelta

from keyturn import by_hand
from keyturn.errors import Refused, TryAgain
from keyturn.failing import parks_at
from keyturn.model import Kind, NotApplied, Record, Slot, Stage
from keyturn.policy import DAY, HOUR, MINUTE, QUICK_TRIES, Policy, TokenKind, TokenSpec
from keyturn.testing import World
from keyturn.turn_by_hand import TurnByHand
from tests.keyturns import follow, keyturn, policy

SID = "contoso"
NO = Refused("may not read", status=403, code="AuthorizationFailed")


def failing(rules: Policy, **added: object) -> tuple[World, TurnByHand]:
    """A world at rest, whose sink cannot be read from now on."""
    world = World()
    world.add(SID, **added)  # type: ignore[arg-type]
    turn = keyturn(world)
    turn.advance(world.credential(SID), rules)
    world.sinks[SID][0].problem = NO
    return world, turn


def go_on(world: World, turn: TurnByHand, rules: Policy, span: timedelta) -> list[timedelta]:
    """Take a turn at the end of every wait. The waits."""
    waits: list[timedelta] = []
    end = world.clock.now() + span
    while world.clock.now() < end:
        record = turn.advance(world.credential(SID), rules, force=not waits).record
        if record.hold is not None or record.not_before is None:
            return waits
        waits.append(record.not_before - world.clock.now())
        world.clock.move(waits[-1])
    return waits


def test_the_pauses_double_from_half_a_minute_to_an_hour_and_then_to_32() -> None:
    rules = policy(look_every=2 * DAY, park_after=30 * DAY)
    world, turn = failing(rules)
    waits = go_on(world, turn, rules, 12 * DAY)
    assert waits[:7] == [MINUTE / 2 * 2**n for n in range(7)]
    assert waits[7:15] == [HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR, 32 * HOUR, 32 * HOUR, 32 * HOUR]


def test_no_pause_puts_a_look_off_for_longer_than_look_every() -> None:
    rules = policy(look_every=6 * HOUR, park_after=30 * DAY)
    world, turn = failing(rules)
    assert max(go_on(world, turn, rules, 10 * DAY)) == 6 * HOUR


def test_what_goes_on_failing_is_parked_with_what_it_failed_of() -> None:
    rules = policy(park_after=5 * DAY)
    world, turn = failing(rules)
    begun = world.clock.now()
    go_on(world, turn, rules, 20 * DAY)
    record = world.record(SID)
    assert record.hold is not None
    assert record.hold.reason == "parked"
    assert "sink-unreadable: vault/contoso cannot be read: may not read" in record.hold.sentence
    assert 5 * DAY <= world.clock.now() - begun <= 6 * DAY + HOUR
    assert [line.event.kind for line in world.ledger.lines if line.event.kind == "hold"] == ["hold"]


def test_when_it_will_be_parked_is_told_before() -> None:
    rules = policy(park_after=5 * DAY)
    world, turn = failing(rules)
    begun = world.clock.now()
    turn.advance(world.credential(SID), rules, force=True)
    assert parks_at(world.record(SID), rules) == begun + 5 * DAY


def test_one_success_forgets_all_failures() -> None:
    rules = policy(park_after=5 * DAY)
    world, turn = failing(rules)
    go_on(world, turn, rules, 4 * DAY)
    world.sinks[SID][0].problem = None
    turn.advance(world.credential(SID), rules, force=True)
    record = world.record(SID)
    assert (record.failures, record.failing_since) == (0, None)
    world.sinks[SID][0].problem = NO
    go_on(world, turn, rules, 4 * DAY)
    assert world.record(SID).hold is None


def test_a_machine_that_was_off_for_weeks_has_not_tried_for_weeks() -> None:
    rules = policy(park_after=5 * DAY)
    world, turn = failing(rules)
    turn.advance(world.credential(SID), rules, force=True)
    world.clock.move(20 * DAY)
    turn.advance(world.credential(SID), rules)
    assert world.record(SID).hold is None


def test_a_changed_policy_forgets_the_failures_and_frees_what_was_parked() -> None:
    rules = policy(park_after=5 * DAY)
    world, turn = failing(rules)
    go_on(world, turn, rules, 2 * DAY)
    assert world.record(SID).failures > 7
    changed = policy(park_after=6 * DAY)
    assert turn.advance(world.credential(SID), changed).record.failures == 1, "it looks at once"
    go_on(world, turn, changed, 20 * DAY)
    assert world.record(SID).hold is not None
    world.sinks[SID][0].problem = None
    record = turn.advance(world.credential(SID), policy(park_after=7 * DAY)).record
    assert (record.hold, record.failures, record.stage) == (None, 0, Stage.IDLE)


def test_a_hold_for_another_reason_survives_a_changed_policy() -> None:
    rules = policy()
    world = World()
    world.add(SID)
    turn = keyturn(world)
    turn.advance(world.credential(SID), rules)
    stored = world.ledger.stored[world.credential(SID).key]
    held, event = by_hand.hold(stored.record, "looking", world.clock.now())
    world.ledger.save(held, stored.version, [event])
    assert turn.advance(world.credential(SID), policy(park_after=DAY)).record.hold is not None


def test_released_it_tries_again_from_the_beginning() -> None:
    rules = policy(park_after=5 * DAY)
    world, turn = failing(rules)
    go_on(world, turn, rules, 20 * DAY)
    stored = world.ledger.stored[world.credential(SID).key]
    going, event = by_hand.release(stored.record, "mended", world.clock.now())
    world.ledger.save(going, stored.version, [event])
    record = turn.advance(world.credential(SID), rules).record
    assert (record.hold, record.failures) == (None, 1)


def test_neither_a_wrong_clock_nor_a_network_that_is_down_parks_anything() -> None:
    for problem in (TryAgain("cannot reach Azure", after=30.0), None):
        rules = policy(park_after=5 * DAY)
        world = World()
        world.add(SID)
        turn = keyturn(world)
        turn.advance(world.credential(SID), rules)
        if problem is not None:
            world.script.fault("read", problem, times=10_000)
        else:
            world.clock.ahead = 3 * HOUR
            world.keyring.portal(SID, Slot.SECONDARY)
            world.clock.move(31 * DAY)
        go_on(world, turn, rules, 20 * DAY)
        assert world.record(SID).failures > QUICK_TRIES
        assert world.record(SID).hold is None


def test_a_sink_that_refuses_is_parked_in_publish_with_both_values_live() -> None:
    rules = policy(park_after=3 * DAY)
    world = World()
    world.add(SID)
    turn = keyturn(world)
    follow(world, turn, SID, rules, until=Stage.CONFIRM, limit=60 * DAY)
    world.script.fault("sink.write", NotApplied(status=403, code="Forbidden", sentence="may not set"), times=10_000)
    record = follow(world, turn, SID, rules, limit=60 * DAY)
    assert record.hold is not None
    assert record.hold.reason == "parked"
    assert record.stage is Stage.PUBLISH
    assert all(world.keyring.accepts(world.value(SID, slot)) for slot in Slot)


def test_a_token_is_kept_fresh_while_its_credential_is_parked() -> None:
    spec = TokenSpec(kind=TokenKind.GATEWAY, lifetime=30 * DAY)
    rules = policy(name="gateways", mode="regenerate", probe=None, park_after=3 * DAY, tokens=(spec,), every=90 * DAY)
    world = World(sets=False)
    world.add("edge", kind=Kind.GATEWAY, tokens=spec)
    turn = keyturn(world)
    turn.advance(world.credential("edge"), rules)
    stored = world.ledger.stored[world.credential("edge").key]
    before: Record = stored.record
    assert before.tokens
    held, _ = by_hand.hold(before, "x", world.clock.now())
    assert held.hold is not None
    parked = held.but(hold=type(held.hold)(reason="parked", sentence="x", since=held.hold.since))
    world.ledger.save(parked, stored.version, [])
    life = next(iter(before.tokens.values()))
    world.clock.move(life.renew_at - world.clock.now() + HOUR)
    after: datetime = next(iter(turn.advance(world.credential("edge"), rules).record.tokens.values())).expires
    assert after > life.expires
