"""One rotation without faults, from adoption to the fresh standby, as its callers and its bill see it."""

from __future__ import annotations

import pytest

from keyturn.model import Mode, Slot, Stage
from keyturn.policy import DAY, Retire
from keyturn.testing import World
from tests.keyturns import callers, follow, keyturn, policy


@pytest.mark.parametrize("mode", list(Mode))
def test_a_rotation_ends_with_both_values_new_and_no_call_refused(mode: Mode) -> None:
    world = World()
    world.add("contoso", sinks=["vault/contoso", "file/contoso"])
    before = {slot: world.value("contoso", slot) for slot in Slot}
    calling = callers(world, "contoso")
    record = follow(world, keyturn(world), "contoso", policy(mode=mode), calling=calling)
    assert record.stage is Stage.IDLE
    assert record.active is Slot.SECONDARY
    assert record.rotations == 1
    assert {slot: world.value("contoso", slot) for slot in Slot}.values().isdisjoint(before.values())  # type: ignore[attr-defined]
    assert {sink.value for sink in world.sinks["contoso"]} == {world.value("contoso", Slot.SECONDARY)}
    assert [caller.refusals for caller in calling] == [[], []]
    assert all(caller.calls > 100 for caller in calling)
