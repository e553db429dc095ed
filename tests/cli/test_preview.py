"""What `plan` tells is what turns then do."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from keyturn import plan
from keyturn.cli.clockface import Face
from keyturn.cli.looking import may_start_later, why_due
from keyturn.errors import TryAgain
from keyturn.model import Compromise, Hold, Kind, Mode, Record, Request, Slot, SlotRecord, Stage
from keyturn.policy import DAY, HOUR, Pace, Policy, Retire, TokenKind, TokenSpec
from keyturn.preview import TOLD, Preview, preview
from keyturn.testing import World
from keyturn.turn import Turn
from keyturn.windows import parse
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


def test_the_timeline_of_tokens_tells_each_that_is_made_and_ends_with_the_rotation() -> None:
    spec = TokenSpec(kind=TokenKind.GATEWAY, lifetime=12 * DAY)
    rules = policy(mode=Mode.REGENERATE, tokens=(spec,))
    world = World(sets=False)
    world.add("contoso", kind=Kind.GATEWAY, tokens=spec)
    turn = keyturn(world)
    follow(world, turn, "contoso", rules, until=Stage.IDLE)
    start, writes = world.clock.now(), world.keyring.writes
    seen = told(world, turn, rules)
    assert world.keyring.writes == writes, "both keys were in memory: nothing to read"
    made = [line for line in seen.lines if line.what == "publish"]
    assert [line.offset // DAY for line in made] == [8, 30]
    (more,) = [line for line in seen.lines if "times more" in line.detail]
    assert (more.offset // DAY, more.detail) == (24, "2 times more until here, in the same way")
    assert made[0].detail == "vault/contoso (a gateway token of primary, good for 12 d)"
    assert made[-1].detail == "vault/contoso (a gateway token of secondary, good for 12 d)"
    assert seen.stopped == ""
    follow(world, turn, "contoso", rules)
    assert abs(seen.lines[-1].offset - (world.clock.now() - start)) < timedelta(minutes=30)


def test_tokens_that_live_for_hours_are_told_in_a_few_lines() -> None:
    spec = TokenSpec(kind=TokenKind.GATEWAY, lifetime=4 * HOUR)
    rules = policy(mode=Mode.REGENERATE, tokens=(spec,))
    world = World(sets=False)
    world.add("contoso", kind=Kind.GATEWAY, tokens=spec)
    turn = keyturn(world)
    follow(world, turn, "contoso", rules, until=Stage.IDLE)
    seen = told(world, turn, rules)
    assert seen.stopped == ""
    assert len(seen.lines) < 30


def test_a_process_that_holds_no_key_still_tells_whose_token_it_sees() -> None:
    spec = TokenSpec(kind=TokenKind.GATEWAY)
    rules = policy(mode=Mode.REGENERATE, tokens=(spec,))
    world = World(sets=False)
    world.add("contoso", kind=Kind.GATEWAY, tokens=spec)
    follow(world, keyturn(world), "contoso", rules, until=Stage.IDLE)
    seen = told(world, keyturn(world), rules)
    assert seen.stopped == ""
    assert [line.what for line in seen.lines if line.what == "done"] == ["done"]


def test_what_a_chosen_value_costs_is_told_as_the_keyring_has_it() -> None:
    world = World()
    world.add("contoso")
    rules, turn = policy(), keyturn(world)
    follow(world, turn, "contoso", rules, until=Stage.IDLE)
    sight = turn.sight(world.credential("contoso"), rules)
    one, two = (
        preview(sight.record, sight.seen, rules, world.clock.now(), live=sight.live, set_costs=costs)
        for costs in (1, 2)
    )
    assert two.arm_writes == one.arm_writes + 2  # the standby, and the old slot


WINDOWED = Policy(name="p", jitter=3 * DAY, windows=(parse("Mon-Thu 09:00-16:00 UTC"),))
ADOPTED = datetime(2026, 1, 9, 8, 0, tzinfo=UTC)


def at_rest(**changes: object) -> Record:
    """Adopted on a Friday."""
    made = Record(key="k", id="shop/contoso", stage=Stage.IDLE, since=ADOPTED, active=Slot.PRIMARY)
    return made.but(primary=SlotRecord(published_at=ADOPTED), **changes)


def test_what_is_early_for_its_jitter_and_late_for_its_window_says_so_of_both() -> None:
    told = why_due(at_rest(), WINDOWED, ADOPTED + DAY, Face(utc=True))
    assert re.match(r"Not due before \w{3} 2026-02-0[5-8] \d\d:\d\d UTC, in 2\d d: ", told)
    assert "policy says 30 d less up to 3 d of jitter." in told
    due_on_a_saturday = why_due(
        at_rest(), msgspec.structs.replace(WINDOWED, jitter=DAY * 0), ADOPTED + DAY, Face(utc=True)
    )
    assert due_on_a_saturday == (
        "Not due before Sun 2026-02-08 08:00 UTC, in 29 d: policy says 30 d. Its window opens Mon 2026-02-09 09:00 UTC."
    )


def test_what_is_due_outside_its_window_says_when_that_opens() -> None:
    told = why_due(at_rest(), msgspec.structs.replace(WINDOWED, jitter=DAY * 0), ADOPTED + 30 * DAY, Face(utc=True))
    assert told.startswith("Why due: primary is 30 d old")
    assert told.endswith("Its window opens Mon 2026-02-09 09:00 UTC.")


def test_of_a_rotation_under_way_nobody_says_that_it_is_not_due() -> None:
    under_way = at_rest(turning=Slot.SECONDARY).but(stage=Stage.DRAIN)
    told = why_due(under_way, WINDOWED, ADOPTED + DAY, Face(utc=True))
    assert told == "A rotation is under way: draining since Fri 2026-01-09 08:00 UTC."


def test_a_plan_for_what_is_held_names_the_way_out() -> None:
    held = at_rest(hold=Hold(reason="by-hand", sentence="an audit", since=ADOPTED))
    told = why_due(held, WINDOWED, ADOPTED + DAY, Face(utc=True))
    assert told == "Held since Fri 2026-01-09 08:00 UTC: `keyturn release shop/contoso` lets it go on."


PACED = msgspec.structs.replace(WINDOWED, jitter=DAY * 0, pace=Pace(first=2, stop_above=0.1))
ON_SUNDAY = ADOPTED + 30 * DAY


def test_before_the_start_a_plan_tells_that_the_pace_may_put_it_off() -> None:
    told = (
        "May start later: pace: the first 2 of policy p go through before the rest; "
        "nobody of policy p starts while more than 10% are held."
    )
    assert may_start_later(at_rest(), PACED, ADOPTED + DAY) == told
    assert may_start_later(at_rest(), PACED, ON_SUNDAY) == told, "due, and its window is not open yet"
    assert may_start_later(Record(key="k", id="shop/contoso"), PACED, ADOPTED) == told, "not adopted yet"


@pytest.mark.parametrize(
    ("record", "rules", "now"),
    [
        (at_rest(), WINDOWED, ADOPTED + DAY),
        (at_rest(), PACED, ON_SUNDAY + DAY + 2 * HOUR),
        (at_rest(requested=Request(at=ADOPTED, because="x")), PACED, ADOPTED + DAY),
        (at_rest(compromise=Compromise(values=(), because="x", at=ADOPTED)), PACED, ADOPTED + DAY),
        (at_rest(hold=Hold(reason="by-hand", sentence="an audit", since=ADOPTED)), PACED, ADOPTED + DAY),
        (at_rest(turning=Slot.SECONDARY).but(stage=Stage.DRAIN), PACED, ADOPTED + DAY),
    ],
    ids=["no pace", "starts now", "asked for", "compromised", "held", "under way"],
)
def test_a_plan_is_silent_on_a_pace_that_puts_nothing_off(record: Record, rules: Policy, now: datetime) -> None:
    assert may_start_later(record, rules, now) == ""
