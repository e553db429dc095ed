"""Tokens kept fresh: they move before their key does, and no wait, crash or wrong clock lets one run out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keyturn import by_hand, tokens
from keyturn.errors import TryAgain
from keyturn.model import Kind, Mode, Record, Secret, Slot, Stage, TokenLife
from keyturn.policy import DAY, HOUR, MINUTE, Consumers, Policy, TokenKind, TokenSpec, shortfalls
from keyturn.ports import Holder, NotApplied, Verdict
from keyturn.sweep import Charge, Sweep
from keyturn.testing import LATE, LOST, NEVER, Crash, MemorySink, World
from keyturn.turn_by_hand import TurnByHand
from tests.keyturns import PROBED, callers, follow, keyturn

GW = "gw-oslo"
P, S = Slot.PRIMARY, Slot.SECONDARY
SPEC = TokenSpec(kind=TokenKind.GATEWAY, lifetime=6 * DAY)


def rules(**changes: object) -> Policy:
    """Regenerate, as for gateways; a probe that signs in; tokens that live six days and are due after four."""
    given = {"name": "gateways", "mode": Mode.REGENERATE, "probe": PROBED, "tokens": (SPEC,), **changes}
    return Policy(**given)  # type: ignore[arg-type]


def stage(*, sinks: int = 1, show: Slot | None = P, spec: TokenSpec = SPEC) -> tuple[World, TurnByHand]:
    world = World(sets=False)
    world.add(GW, sinks=[f"sink-{n}" for n in range(sinks)], show=show, kind=Kind.GATEWAY, tokens=spec)
    return world, keyturn(world)


def sink(world: World, number: int = 0) -> MemorySink:
    return world.sinks[GW][number]


def shown(world: World, number: int = 0) -> tokens.Token:
    text = sink(world, number).value
    assert text is not None
    return tokens.parse(text)


def signer(world: World, number: int = 0) -> Slot | None:
    """The slot whose key signed the token that a sink shows."""
    return next((s for s in Slot if tokens.verify(shown(world, number), Secret(world.value(GW, s)))), None)


def adopted(**kinds: object) -> tuple[World, TurnByHand]:
    world, turn = stage(**kinds)  # type: ignore[arg-type]
    follow(world, turn, GW, rules(), until=Stage.IDLE)
    return world, turn


def work(world: World, turn: TurnByHand, policy: Policy | None = None) -> Record:
    """Take turns for ten minutes: a value that no gateway has confirmed yet is confirmed before it is published."""
    for _ in range(60):
        record = turn.advance(world.credential(GW), policy or rules()).record
        world.clock.move(timedelta(seconds=10))
    return record


def look(world: World, turn: TurnByHand, policy: Policy | None = None) -> Record:
    return turn.advance(world.credential(GW), policy or rules(), force=True).record


# -------- fresh without a rotation


def test_a_sink_that_shows_a_token_is_adopted_as_showing_the_slot_that_signed_it() -> None:
    world, turn = stage(show=S)
    record = look(world, turn)
    assert (record.stage, record.active) == (Stage.IDLE, S)
    ends = shown(world).expires
    assert record.tokens == {"sink-0": TokenLife(expires=ends, renew_at=ends - 2 * DAY)}


def test_a_token_is_renewed_before_its_end_and_no_slot_is_written() -> None:
    world, turn = adopted()
    first, keys = shown(world), [world.value(GW, slot) for slot in Slot]
    calling = callers(world, GW)
    while world.clock.azure < first.expires + DAY:
        turn.advance(world.credential(GW), rules())
        calling[0].call()
        world.clock.move(HOUR / 4)
    assert shown(world).expires > first.expires
    assert calling[0].refusals == []
    assert [world.value(GW, slot) for slot in Slot] == keys
    renewed = [line.event for line in world.ledger.history() if line.event.kind == "renew the token"]
    assert renewed and all(event.at <= first.expires + DAY for event in renewed)


def test_the_next_token_is_in_the_sink_a_third_of_its_life_before_the_old_one_ends() -> None:
    world, turn = adopted()
    first = shown(world)
    follow_until_changed(world, turn, first)
    left = first.expires - world.clock.azure
    assert 2 * DAY - HOUR < left <= 2 * DAY


def follow_until_changed(world: World, turn: TurnByHand, first: tokens.Token, policy: Policy | None = None) -> None:
    for _ in range(4000):
        record = turn.advance(world.credential(GW), policy or rules()).record
        if shown(world) != first:
            return
        assert record.not_before is not None
        world.clock.move(record.not_before - world.clock.now())
    raise AssertionError("the token never changed")


def test_no_wait_outlasts_a_token() -> None:
    world, turn = adopted()
    policy = rules(look_every=20 * DAY, every=40 * DAY)
    record = look(world, turn, policy)
    assert record.not_before == shown(world).expires - SPEC.renews_before


def test_an_expired_token_of_a_live_key_is_replaced_at_the_first_look() -> None:
    world, turn = stage()
    world.clock.move(7 * DAY)
    follow(world, turn, GW, rules(), until=Stage.IDLE)
    world.clock.move(MINUTE)
    follow(world, turn, GW, rules(), until=Stage.IDLE)
    assert signer(world) is P
    assert shown(world).expires > world.clock.azure


def test_a_probe_that_fails_does_not_let_a_token_run_out() -> None:
    """Its key is published already: a fresh token of it hands nobody another value."""
    world, turn = adopted()
    first = shown(world)
    world.keyring.accepts = lambda _: False  # type: ignore[method-assign,assignment]  # the probe's address is retired
    world.clock.move(4 * DAY + MINUTE)
    record = look(world, turn)
    assert shown(world).expires > first.expires
    assert (record.stage, record.hold) == (Stage.IDLE, None)


def test_empty_sinks_get_a_token_of_the_slot_that_the_policy_names() -> None:
    world, turn = stage(show=None)
    policy = rules(adopt=S)
    for _ in range(20):
        record = turn.advance(world.credential(GW), policy).record
        if sink(world).value is not None:
            break
        assert record.not_before is not None
        world.clock.move(record.not_before - world.clock.now())
    assert signer(world) is S


@pytest.mark.parametrize("ahead", [timedelta(days=40), timedelta(days=-40)])
def test_a_wrong_clock_neither_delays_a_token_nor_makes_one_that_has_ended(ahead: timedelta) -> None:
    world, turn = adopted()
    first = shown(world)
    world.clock.move(4 * DAY + MINUTE)
    work(world, turn)
    first = shown(world)
    world.clock.move(4 * DAY + MINUTE)
    world.clock.ahead = ahead
    look(world, turn)
    assert shown(world) != first
    assert world.clock.azure + 5 * DAY < shown(world).expires <= world.clock.azure + SPEC.lifetime


def test_a_write_only_sink_gets_its_next_token_by_what_the_record_knows() -> None:
    world = World(sets=False)
    world.add(GW, show=None, kind=Kind.GATEWAY, tokens=SPEC)
    hook = MemorySink("hook", world.clock, world.script, write_only=True)
    world.sinks[GW] = [hook]
    policy, turn = rules(adopt=P), keyturn(world)
    for _ in range(60):
        record = turn.advance(world.credential(GW), policy).record
        assert record.hold is None
        assert record.not_before is not None
        world.clock.move(record.not_before - world.clock.now())
        if len(hook.writes) >= 3:
            break
    ends = [tokens.parse(text).expires for _, text in hook.writes]
    times = [at for at, _ in hook.writes]
    assert len(ends) >= 3
    assert all(ends[n] - times[n + 1] >= SPEC.renews_before - HOUR for n in range(2))
    assert record.tokens == {"hook": TokenLife(expires=ends[-1], renew_at=ends[-1] - 2 * DAY)}


@pytest.mark.parametrize("point", ["sink.write.sent", "sink.write.done", "ledger.save", "ledger.saved", "sink.read"])
def test_a_crash_while_a_token_is_renewed_leaves_one_that_works(point: str) -> None:
    world, turn = adopted()
    world.clock.move(4 * DAY + MINUTE)
    work(world, turn)
    first = shown(world)
    world.clock.move(4 * DAY + MINUTE)
    world.script.crash(point)
    with pytest.raises(Crash):
        look(world, turn)
    assert world.keyring.accepts(sink(world).value or "")
    look(world, keyturn(world))
    assert shown(world).expires > first.expires
    assert signer(world) is P


@pytest.mark.parametrize("fault", [LOST, LATE, NEVER, NotApplied(status=429, code="Throttled", sentence="429")])
def test_a_publish_without_an_answer_is_looked_at_and_sent_again(fault: str | NotApplied) -> None:
    world, turn = adopted()
    first = shown(world)
    world.clock.move(4 * DAY + MINUTE)
    world.script.fault("sink.write", fault)
    look(world, turn)
    world.clock.move(HOUR)
    look(world, turn)
    world.script.land_late()
    look(world, turn)
    assert shown(world).expires > first.expires
    assert world.record(GW).failures == 0
    assert world.record(GW).stage is Stage.IDLE


# -------- tokens move before their key


def test_ninety_days_and_three_rotations_refuse_no_sign_in() -> None:
    world, turn = stage(sinks=2)
    calling = callers(world, GW)
    follow(world, turn, GW, rules(), until=Stage.IDLE, calling=calling)
    end = world.clock.azure + 100 * DAY
    while world.clock.azure < end:
        turn.advance(world.credential(GW), rules())
        for caller in calling:
            caller.call()
        world.clock.move(HOUR / 4)
    assert [caller.refusals for caller in calling] == [[], []]
    assert world.record(GW).rotations == 3
    assert calling[0].calls > 9000


def test_the_old_key_dies_only_after_its_tokens_have_been_out_of_every_sink_for_the_drain() -> None:
    world, turn = adopted()
    old = world.value(GW, P)
    policy = rules()
    while world.value(GW, P) == old:
        before = signer(world), world.clock.azure
        record = turn.advance(world.credential(GW), policy).record
        assert record.hold is None
        world.clock.move(HOUR / 4)
    published = next(at for at, text in sink(world).writes if not tokens.verify(tokens.parse(text), Secret(old)))
    assert before[0] is S
    assert world.clock.azure - published >= policy.drain


def test_a_token_that_is_due_in_the_middle_of_a_drain_is_renewed_from_the_new_key() -> None:
    world, turn = adopted()
    policy = rules(drain=5 * DAY, every=30 * DAY)
    follow(world, turn, GW, policy, until=Stage.DRAIN)
    first = shown(world)
    assert signer(world) is S
    follow_until_changed(world, turn, first, policy)
    assert signer(world) is S
    assert world.record(GW).turning is S
    follow(world, turn, GW, policy)
    assert world.record(GW).rotations == 1


def test_a_probe_is_shown_a_token_and_never_the_key() -> None:
    world, turn = adopted()
    asked: list[str] = []
    ask = world.probe.ask

    def listening(gateways, spec, value, accepts):  # type: ignore[no-untyped-def]
        asked.append(value.reveal())
        return ask(gateways, spec, value, accepts)

    world.probe.ask = listening  # type: ignore[method-assign]
    follow(world, turn, GW, rules())
    assert asked and all(tokens.parse(text).form is tokens.Form.GATEWAY for text in asked)


def test_history_tells_a_token_from_the_value_that_it_was_made_from() -> None:
    world, turn = adopted()
    world.clock.move(7 * DAY)
    look(world, turn)
    told = [line.event.sentence for line in world.ledger.history()]
    ended = "a fresh token is due: the one in sink-0 ended on 2026-03-07 07:00 UTC"
    assert ended in told
    assert "publish a token of primary to sink-0" in told


# -------- what else may stand in a sink


def test_a_process_that_knows_no_key_reads_both_once_to_tell_whose_token_it_sees() -> None:
    world, _ = adopted()
    look(world, keyturn(world))
    fresh = keyturn(world)
    writes = world.keyring.writes
    look(world, fresh)
    assert world.keyring.writes == writes + 1
    look(world, fresh)
    assert world.keyring.writes == writes + 1


def test_a_token_that_neither_key_signed_is_somebody_elses_and_holds() -> None:
    world, turn = stage()
    stranger = tokens.create(tokens.Form.GATEWAY, GW, Secret("x" * 88), world.clock.azure + DAY)
    sink(world).put(stranger.reveal())
    record = look(world, turn)
    assert record.hold is not None
    assert record.hold.reason == "foreign-value"


def test_a_live_key_where_a_token_belongs_is_replaced_by_a_token_made_from_it() -> None:
    world, turn = stage()
    sink(world).put(world.value(GW, S))
    look(world, turn)
    record = work(world, turn)
    assert record.active is S
    assert signer(world) is S


@pytest.mark.parametrize("text", ["a key and no token", "GatewayKey gw-other&203001010000&AAAA"])
def test_what_is_no_token_of_this_gateway_is_foreign(text: str) -> None:
    world, turn = stage()
    sink(world).put(text)
    record = look(world, turn)
    assert record.hold is not None
    assert record.hold.reason == "foreign-value"


def test_a_token_without_its_scheme_word_is_known_by_its_signature() -> None:
    world, turn = stage()
    sink(world).put(tokens.bare(Secret(sink(world).value or "")).reveal())
    assert look(world, turn).active is P


def test_after_somebody_regenerated_the_active_key_the_standbys_token_is_published_at_the_next_look() -> None:
    world, turn = adopted()
    follow(world, turn, GW, rules())
    world.clock.move(2 * DAY)
    look(world, turn)
    active = world.record(GW).active
    assert active is not None
    world.keyring.portal(GW, active)
    look(world, turn)
    assert signer(world) is active.other


def test_a_hold_by_hand_stops_tokens_too() -> None:
    """`status` warns long before the token ends."""
    world, turn = adopted()
    first = shown(world)
    record, event = by_hand.hold(world.record(GW), "an audit", world.clock.now())
    world.ledger.save(record, world.ledger.stored[record.key].version, [event])
    world.clock.move(5 * DAY)
    look(world, turn)
    assert shown(world) == first


def test_a_rotation_that_was_rolled_back_is_held_and_its_token_goes_on() -> None:
    world, turn = adopted()
    follow(world, turn, GW, rules(), until=Stage.DRAIN)
    record, event = by_hand.rollback(world.record(GW), "it broke", world.clock.now())
    world.ledger.save(record, world.ledger.stored[record.key].version, [event])
    follow(world, turn, GW, rules(), until=Stage.IDLE)
    calling = callers(world, GW)
    sweep = sweeping(world)
    for _ in range(20 * 24):
        sweep.once()
        calling[0].call()
        world.clock.move(HOUR / 2)
    held = world.record(GW)
    assert held.hold is not None
    assert held.hold.reason == "rolled-back"
    assert calling[0].refusals == []
    assert signer(world) is P


def test_a_fresh_value_that_no_gateway_accepts_is_held_and_the_old_token_goes_on() -> None:
    world, _ = adopted()
    accepts = world.keyring.accepts
    world.probe.ask = refusing  # type: ignore[method-assign]
    calling = callers(world, GW)
    sweep = sweeping(world)
    for _ in range(50 * 24):
        sweep.once()
        calling[0].call()
        world.clock.move(HOUR)
    held = world.record(GW)
    assert held.hold is not None
    assert held.hold.reason == "not-accepted"
    assert calling[0].refusals == []
    assert accepts(sink(world).value or "")


def test_a_held_credential_whose_sink_is_down_waits_and_stays_held() -> None:
    world, turn = adopted()
    world.probe.ask = refusing  # type: ignore[method-assign]
    follow(world, turn, GW, rules(), limit=40 * DAY)
    assert world.record(GW).hold is not None
    sink(world).problem = TryAgain("down")
    world.clock.move(5 * DAY)
    sweep = sweeping(world)
    assert sweep.once().turns == 1
    record = world.record(GW)
    assert record.hold is not None
    assert record.hold.reason == "not-accepted"
    assert record.not_before is not None
    assert record.not_before > world.clock.now()
    assert sweep.once().turns == 0
    sink(world).problem = None
    world.clock.move(2 * HOUR)
    sweep.once()
    assert world.keyring.accepts(sink(world).value or "")


def refusing(gateways: object, spec: object, value: object, accepts: object) -> Verdict:
    return Verdict(accepted=False, sentence="401")


def sweeping(world: World, policy: Policy | None = None) -> Sweep:
    """As a fresh process would go over the one gateway."""
    charge = Charge(world.credential(GW), policy or rules(), keyturn(world))
    holder = Holder(host="h", boot_id="b", pid=1, started="s", nonce="n")
    return Sweep([charge], ledger=world.ledger, clock=world.clock, holder=holder, workers=1)


# -------- what a review found; each was seen failing before it was mended


def test_a_wait_that_a_wrong_clock_stored_does_not_outlive_a_token() -> None:
    world, turn = adopted()
    work(world, turn)
    world.clock.ahead = 20 * DAY
    look(world, turn)
    world.clock.ahead = timedelta(0)
    calling = callers(world, GW)
    sweep = sweeping(world)
    for _ in range(8 * 48):
        sweep.once()
        calling[0].call()
        world.clock.move(HOUR / 2)
    assert calling[0].refusals == []


@pytest.mark.parametrize("problem", [None, TryAgain("503", after=5)])
def test_a_clock_that_jumps_back_a_day_costs_one_look_and_no_loop(problem: TryAgain | None) -> None:
    world, turn = adopted()
    follow(world, turn, GW, rules(), until=Stage.DRAIN)
    look(world, turn)
    world.clock.ahead = -DAY
    if problem is not None:
        world.script.fault("read", problem)
    assert len(turn.advance(world.credential(GW), rules()).rows) <= 3


def test_a_write_of_a_fresh_token_that_does_not_show_is_not_sent_in_a_loop() -> None:
    world, turn = adopted()
    work(world, turn)
    world.clock.move(4 * DAY + MINUTE)
    world.script.fault("sink.write", NEVER)
    before = len(world.script.passed)
    record = look(world, turn)
    assert world.script.passed[before:].count("sink.write.sent") == 1
    assert record.waiting is not None
    assert record.waiting.reason == "sink-unclear"


def test_a_token_in_another_form_than_the_policys_is_replaced_at_the_next_look() -> None:
    short = TokenSpec(kind=TokenKind.MANAGEMENT, short=True)
    world = World()
    world.add("access", kind=Kind.TENANT, tokens=short)
    turn, before = keyturn(world), rules(mode=Mode.SET, tokens=(short,))
    follow(world, turn, "access", before, until=Stage.IDLE)
    world.tokens["access"] = long = TokenSpec(kind=TokenKind.MANAGEMENT)
    turn.advance(world.credential("access"), rules(mode=Mode.SET, tokens=(long,)), force=True)
    (only,) = world.sinks["access"]
    assert tokens.parse(only.value or "").form is tokens.Form.LONG


def test_a_clock_that_is_wrong_after_a_lost_answer_keeps_no_token_from_being_renewed() -> None:
    world, turn = adopted()
    world.script.fault("regenerate", LOST)
    follow(world, turn, GW, rules())
    world.clock.ahead = 3 * MINUTE
    calling = callers(world, GW)
    for _ in range(8 * 48):
        turn.advance(world.credential(GW), rules())
        calling[0].call()
        world.clock.move(HOUR / 2)
    assert calling[0].refusals == []


def test_a_webhook_that_was_given_a_token_is_given_the_value_once_it_is_to_have_that() -> None:
    world = World(sets=False)
    world.add(GW, show=None, kind=Kind.GATEWAY, tokens=SPEC)
    hook = MemorySink("hook", world.clock, world.script, write_only=True)
    world.sinks[GW] = [hook]
    turn = keyturn(world)
    follow(world, turn, GW, rules(adopt=P), until=Stage.IDLE)
    work(world, turn, rules(adopt=P))
    assert tokens.parse(hook.writes[-1][1]).identity == GW
    del world.tokens[GW]
    plain = rules(adopt=P, tokens=())
    look(world, turn, plain)
    assert hook.writes[-1][1] == world.value(GW, P)


@pytest.mark.parametrize("every", [1700, 1715, 1730, 1739])
def test_a_token_that_falls_due_while_a_fresh_value_is_confirmed_is_renewed_in_between(every: int) -> None:
    """Rotations that start at various times before the token is due."""
    spec = TokenSpec(kind=TokenKind.GATEWAY, lifetime=4 * HOUR, renew_before=66 * MINUTE)
    policy = rules(tokens=(spec,), every=every * MINUTE)
    world, turn = stage(spec=spec)
    world.keyring.delay = 50 * MINUTE
    calling = callers(world, GW)
    for _ in range(3 * 24 * 60):
        turn.advance(world.credential(GW), policy)
        calling[0].call()
        world.clock.move(MINUTE)
    assert calling[0].refusals == []
    assert world.record(GW).rotations >= 1


def test_asking_for_a_fresh_standby_ends_in_a_hold_although_tokens_are_renewed_meanwhile() -> None:
    spec = TokenSpec(kind=TokenKind.GATEWAY, lifetime=3 * HOUR, renew_before=2 * HOUR)
    policy = rules(tokens=(spec,))
    world, turn = stage(spec=spec)
    follow(world, turn, GW, policy, until=Stage.DRAIN)
    world.probe.ask = refusing  # type: ignore[method-assign]
    for _ in range(4 * 24 * 4):
        record = turn.advance(world.credential(GW), policy).record
        world.clock.move(HOUR / 4)
    assert record.hold is not None
    assert record.hold.reason == "not-accepted"
    assert world.keyring.accepts(sink(world).value or "")


def test_a_token_that_lives_longer_than_the_policy_says_is_replaced() -> None:
    world, turn = stage()
    years = tokens.create(tokens.Form.GATEWAY, GW, Secret(world.value(GW, P)), world.clock.azure + 3650 * DAY)
    sink(world).put(years.reveal())
    follow(world, turn, GW, rules(), until=Stage.IDLE)
    work(world, turn)
    assert shown(world).expires <= world.clock.azure + SPEC.lifetime


def test_what_one_sink_asks_to_wait_keeps_the_other_from_no_token() -> None:
    world, turn = adopted(sinks=2)
    work(world, turn)
    sink(world, 1).refuses = NotApplied(status=429, code="Throttled", sentence="429", after=10 * 86_400)
    calling = callers(world, GW)[:1]
    for _ in range(12 * 48):
        turn.advance(world.credential(GW), rules())
        calling[0].call()
        world.clock.move(HOUR / 2)
    assert calling[0].refusals == []


def test_what_is_disabled_keeps_its_tokens_fresh_for_the_moment_when_it_is_enabled() -> None:
    world, turn = adopted()
    work(world, turn)
    entity = world.keyring.entities[GW]
    entity.state = "disabled"
    for _ in range(9 * 24):
        turn.advance(world.credential(GW), rules())
        world.clock.move(HOUR)
    assert shown(world).expires > world.clock.azure + DAY
    entity.state = "active"
    assert world.keyring.accepts(sink(world).value or "")
    work(world, turn)
    follow(world, turn, GW, rules(), until=Stage.IDLE)


def test_an_expired_token_beside_a_fresh_one_does_not_make_the_sinks_disagree() -> None:
    world, turn = stage(sinks=2)
    old = tokens.create(tokens.Form.GATEWAY, GW, Secret(world.value(GW, S)), world.clock.azure - DAY)
    sink(world, 1).put(old.reveal())
    record = look(world, turn)
    assert (record.hold, record.active) == (None, P)
    work(world, turn)
    assert signer(world, 1) is P


def test_a_value_may_be_set_by_hand_where_etags_are_not_trusted() -> None:
    world = World()
    world.add("contoso")
    policy = Policy(name="plain", trust_etag=False, probe=PROBED)
    turn = keyturn(world)
    follow(world, turn, "contoso", policy)
    world.clock.move(2 * DAY)
    standby = world.record("contoso").active.other  # type: ignore[union-attr]
    turn.write_slot(world.credential("contoso"), policy, standby, Secret("0" * 32), because="by hand")
    assert world.value("contoso", standby) == "0" * 32


# -------- spans that cannot work


def test_a_token_must_be_renewed_earlier_than_callers_may_go_on_with_the_old_one() -> None:
    short = TokenSpec(kind=TokenKind.GATEWAY, lifetime=3 * HOUR, renew_before=HOUR)
    found = shortfalls(rules(tokens=(short,), consumers=Consumers(cache=HOUR)))
    assert found == (
        "renew_before: 1 h is shorter than what your callers need: cache 1 h + longest call 2 min + sink replication "
        "1 min + clocks 2 min = 1 h 5 min. Raise renew_before or lifetime, or lower the terms if they are really "
        "shorter.",
    )


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (TokenSpec(kind=TokenKind.GATEWAY, lifetime=31 * DAY), "lifetime: 31 d is longer than 30 d"),
        (
            TokenSpec(kind=TokenKind.GATEWAY, lifetime=DAY, renew_before=DAY),
            "renew_before: 24 h leaves less of lifetime 24 h than the 18 min",
        ),
    ],
)
def test_spans_that_no_token_can_keep_are_refused(spec: TokenSpec, sentence: str) -> None:
    (found,) = shortfalls(rules(tokens=(spec,)))
    assert found.startswith(sentence)
