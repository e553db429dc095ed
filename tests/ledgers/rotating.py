"""A whole rotation over any ledger, which is opened anew for every turn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta

from keyturn.model import Slot, Stage
from keyturn.ports import Clock
from keyturn.testing import World
from keyturn.turn import Turn
from tests.keyturns import callers, policy

from .contract import OpenLedger

SECOND, QUARTER = timedelta(seconds=1), timedelta(minutes=15)


def a_whole_rotation(open_it: Callable[[Clock], OpenLedger]) -> set[str]:
    """Turn until the credential has rotated once and rests; no caller may be refused. Returns every value there was."""
    world, rules = World(), policy()
    credential = world.add("contoso")
    calling = callers(world, "contoso")
    values = {world.value("contoso", slot) for slot in Slot}
    stages: list[Stage] = []
    for _ in range(10_000):
        # Another process for every turn: nothing but the ledger goes on from one to the next.
        with closing(open_it(world.clock)) as ledger:
            turn = Turn(
                keyring=world.keyring,
                sinks=world.sinks_of,
                ledger=ledger,
                probe=world.probe,
                clock=world.clock,
                evidence=world.evidence,
            )
            now = turn.advance(credential, rules).record
        values |= {world.value("contoso", slot) for slot in Slot}
        stages += [now.stage] if now.stage not in stages[-1:] else []
        for caller in calling:
            caller.call()
        if now.rotations:
            break
        left = now.not_before - world.clock.now() if now.not_before else timedelta(0)
        world.clock.move(max(left, SECOND) if now.stage is Stage.IDLE else min(max(left, SECOND), QUARTER))
    assert stages[-1] is Stage.IDLE
    assert now.rotations == 1
    assert [caller.refusals for caller in calling] == [[]]
    assert len(values) == 4, "two that were there, and two that were drawn"
    return values
