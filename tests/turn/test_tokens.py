"""Tokens kept fresh: they move before their key does, and no wait, crash or wrong clock lets one run out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keyturn import tokens
from keyturn.model import Kind, Mode, Record, Secret, Slot, Stage, TokenLife
from keyturn.policy import DAY, HOUR, MINUTE, Consumers, Policy, TokenKind, TokenSpec, shortfalls
from keyturn.ports import NotApplied
from keyturn.testing import LATE, LOST, NEVER, Crash, MemorySink, World
from keyturn.turn import Turn
from tests.keyturns import PROBED, callers, follow, keyturn

GW = "gw-oslo"
P, S = Slot.PRIMARY, Slot.SECONDARY
SPEC = TokenSpec(kind=TokenKind.GATEWAY, lifetime=6 * DAY)


def rules(**changes: object) -> Policy:
    """Regenerate, as for gateways; a probe that signs in; tokens that live six days and are due after four."""
    given = {"name": "gateways", "mode": Mode.REGENERATE, "probe": PROBED, "tokens": (SPEC,), **changes}
    return Policy(**given)  # type: ignore[arg-type]


def stage(*, sinks: int = 1, show: Slot | None = P, spec: TokenSpec = SPEC) -> tuple[World, Turn]:
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


def adopted(**kinds: object) -> tuple[World, Turn]:
    world, turn = stage(**kinds)  # type: ignore[arg-type]
    follow(world, turn, GW, rules(), until=Stage.IDLE)
    return world, turn


def work(world: World, turn: Turn, policy: Policy | None = None) -> Record:
    """Take turns for ten minutes: a value that no gateway has confirmed yet is confirmed before it is published."""
    for _ in range(60):
        record = turn.advance(world.credential(GW), policy or rules()).record
        world.clock.move(timedelta(seconds=10))
    return record


def look(world: World, turn: Turn, policy: Policy | None = None) -> Record:
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


def follow_until_changed(world: World, turn: Turn, first: tokens.Token, policy: Policy | None = None) -> None:
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


def test_a_held_credential_gets_no_fresh_token() -> None:
    """A hold stops everything; `status` warns long before the token ends."""
    from keyturn import by_hand

    world, turn = adopted()
    first = shown(world)
    record, event = by_hand.hold(world.record(GW), "an audit", world.clock.now())
    world.ledger.save(record, world.ledger.stored[record.key].version, [event])
    world.clock.move(5 * DAY)
    look(world, turn)
    assert shown(world) == first


# -------- spans that cannot work


def test_a_token_must_be_renewed_earlier_than_callers_may_go_on_with_the_old_one() -> None:
    short = TokenSpec(kind=TokenKind.GATEWAY, lifetime=3 * HOUR, renew_before=HOUR)
    found = shortfalls(rules(tokens=(short,), consumers=Consumers(cache=HOUR)))
    assert found == (
        "renew_before: 1 h is shorter than what your callers need: cache 1 h + longest call 2 min + sink replication "
        "1 min + clocks 1 min = 1 h 4 min. Raise renew_before or lifetime, or lower the terms if they are really "
        "shorter.",
    )


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (TokenSpec(kind=TokenKind.GATEWAY, lifetime=31 * DAY), "lifetime: 31 d is longer than 30 d"),
        (TokenSpec(kind=TokenKind.GATEWAY, lifetime=DAY, renew_before=DAY), "renew_before: 24 h is not shorter"),
    ],
)
def test_spans_that_no_token_can_keep_are_refused(spec: TokenSpec, sentence: str) -> None:
    (found,) = shortfalls(rules(tokens=(spec,)))
    assert found.startswith(sentence)
