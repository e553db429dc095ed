"""Keyturns over the in-memory ports: what the tests of plan and turn share."""

from __future__ import annotations

from datetime import timedelta

from keyturn.model import Mode, Record, Stage
from keyturn.policy import DAY, HOUR, Policy, ProbeSpec
from keyturn.testing import MemoryCaller, World
from keyturn.turn import HeldValues, Turn
from keyturn.turn_by_hand import TurnByHand

PROBED = ProbeSpec(path="/status/ping")


def policy(**changes: object) -> Policy:
    """The defaults with a probe: period 30 days, drain 24 hours, callers that keep a value for an hour."""
    return Policy(**{"name": "partners", "probe": PROBED, **changes})  # type: ignore[arg-type]


REGENERATE = {"mode": Mode.REGENERATE}


def keyturn(world: World, held: HeldValues | None = None) -> TurnByHand:
    """A keyturn of its own over a world: it has nothing in memory but what `held` brings."""
    return TurnByHand(
        keyring=world.keyring,
        sinks=world.sinks_of,
        ledger=world.ledger,
        probe=world.probe,
        clock=world.clock,
        evidence=world.evidence,
        held=held,
    )


def callers(world: World, sid: str) -> list[MemoryCaller]:
    """One caller per sink."""
    return [MemoryCaller(world, sink) for sink in world.sinks[sid]]


def follow(
    world: World,
    turn: Turn,
    sid: str,
    rules: Policy,
    *,
    until: Stage | None = None,
    calling: list[MemoryCaller] | None = None,
    limit: timedelta = 40 * DAY,
) -> Record:
    """Take turns and let time pass, in steps of at most a quarter of the callers' cache time, until the record
    holds, or reaches the stage (or, with no stage, has rotated once more). Callers call between the steps."""
    credential = world.credential(sid)
    end = world.clock.azure + limit
    before = world.ledger.stored[credential.key].record.rotations if credential.key in world.ledger.stored else 0
    while world.clock.azure < end:
        record = turn.advance(credential, rules).record
        for caller in calling or ():
            caller.call()
        done = record.stage is until if until is not None else record.rotations > before
        if done or record.hold is not None:
            return record
        assert record.not_before is not None, f"{sid} neither moved nor waits in {record.stage}"
        left = record.not_before - world.clock.now()
        quick = record.stage in {Stage.IDLE, Stage.UNKNOWN} and not calling
        world.clock.move(left if quick else min(max(left, timedelta(seconds=1)), HOUR / 4))
    raise AssertionError(f"{sid} is still in {record.stage} after {limit}: {record.waiting}")


def rotated(rules: Policy, *, sinks: int = 1) -> tuple[World, TurnByHand]:
    """A world whose credential was rotated once: secondary is active, primary a confirmed standby."""
    world = World()
    world.add("contoso", sinks=[f"sink-{n}" for n in range(sinks)])
    turn = keyturn(world)
    follow(world, turn, "contoso", rules)
    world.clock.move(2 * DAY)
    turn.advance(world.credential("contoso"), rules)
    return world, turn
