"""Whom a compromise cuts off, before anything is done: per value when it dies, and who still uses it.

It tells what `plan` would do with the record that `by_hand.compromise` would leave, as `preview` walks it. Pure.
Never here: a question, or an effect.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec

from keyturn import by_hand
from keyturn.model import Fingerprint, Record, Slot
from keyturn.policy import Policy, spell
from keyturn.preview import Preview, preview
from keyturn.scene import SUSPENDED, Scene, Seen, mark


class CutOff(msgspec.Struct, frozen=True, kw_only=True):
    """One value that dies. `after` counts from now; None where nobody can know (`who` says why)."""

    slot: Slot
    named: bool
    """A person named it; the other one dies because its slot takes the fresh value."""
    after: timedelta | None
    who: str


def cut_off(
    record: Record,
    seen: Seen,
    policy: Policy,
    slots: Collection[Slot],
    now: datetime,
    *,
    suspend: bool = False,
    set_costs: int = 1,
) -> tuple[CutOff, ...]:
    """What dies where these slots' values are named, the first to die first. `record` knows what is live.

    Raises NeedsPerson, as `by_hand.compromise` does.
    """
    values = [live for slot in slots if (live := record.slot(slot).fingerprint) is not None]
    named, _ = by_hand.compromise(record, values, "", now, suspended=suspend)
    imagined = msgspec.structs.replace(seen, state=SUSPENDED) if suspend else seen
    told = preview(named, imagined, policy, now, set_costs=set_costs)
    scene = Scene(mark(named, seen, policy, now), seen, policy, now)
    dying = [_dying(scene, slot, values, told) for slot in Slot if _dies(scene, slot)]
    return tuple(sorted(dying, key=lambda each: (each.after is None, each.after or timedelta(0))))


def _dies(scene: Scene, slot: Slot) -> bool:
    return scene.compromised(slot) or (slot is scene.active.other and scene.compromised(scene.active))


def _dying(scene: Scene, slot: Slot, values: Collection[Fingerprint], told: Preview) -> CutOff:
    writes = (line.offset for line in told.lines if line.what in {f"renew {slot}", f"retire {slot}"})
    after = next(writes, None)
    who = _who(scene, slot)
    if after is None and told.stopped:
        who = f"{who}; it does not go on before that is mended: {told.stopped}"
    return CutOff(slot=slot, named=scene.live(slot) in values, after=after, who=who)


def _who(scene: Scene, slot: Slot) -> str:
    """Who uses the value, as far as sinks and declarations tell."""
    shown = [sink.name for sink in scene.known if scene.shows(sink) == scene.live(slot)]
    kept, cache = scene.record.slot(slot), spell(scene.policy.consumers.cache)
    tokens = ", with every token made from it" if scene.policy.tokens else ""
    if shown:
        return (
            f"it is in {', '.join(shown)}: whoever has it{tokens} is refused from its death on, until the sink is read "
            f"again (after {cache} at the latest, by consumers.cache)"
        )
    used = scene.seen.used.get(slot)
    if used is not None and scene.now - used < scene.policy.drain:
        return f"a caller used it {spell(scene.now - used)} ago: whoever does{tokens} is refused"
    if kept.quiet_since is not None and scene.now < kept.quiet_since + scene.policy.drain:
        out, drain = spell(scene.now - kept.quiet_since), spell(scene.policy.drain)
        return f"it has been out of every sink for {out}, less than the drain ({drain}): who still has it is refused"
    if kept.exposed:
        return "a sink may show it, or may have shown it a while ago: whoever has it is refused"
    return f"it is in no sink{' and was in none for the drain' if kept.quiet_since else ''}: nobody should notice"
