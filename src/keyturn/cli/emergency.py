"""`rotate --compromised`: say whom it cuts off, ask, and let the named values die without a drain.

Never here: what dies when (that is `cut_off`), or the turns that see to it.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from keyturn.cli import screen
from keyturn.errors import KeyturnError
from keyturn.model import Kind, Slot

if TYPE_CHECKING:
    from keyturn.cli.turning import Work
    from keyturn.cut_off import CutOff
    from keyturn.sweep import Charge

SLOTS = {"primary": (Slot.PRIMARY,), "secondary": (Slot.SECONDARY,), "both": tuple(Slot)}


def replace(
    work: Work,
    charges: Sequence[Charge],
    slots: Collection[Slot],
    *,
    suspend: bool,
    yes: bool,
    because: str,
    wait: bool,
) -> int:
    """Tell, ask, name the values, and take turns. The exit code. One that cannot be named keeps no other alive: its
    trouble is told, and the others go on. Raises click.Abort, click.UsageError, KeyturnError where none can be."""
    if suspend:
        _refuse_what_cannot_be_suspended(charges)
    dying, troubles = _looked_at(work, charges, slots, suspend=suspend)
    able = [charge for charge in charges if charge.credential.id in dying]
    if not able:
        raise troubles[0][1]
    for charge in able:
        _say(charge, dying[charge.credential.id], suspend=suspend)
    for id, problem in troubles:
        screen.trouble(f"{id}: ", problem)
    if not yes:
        _ask(len(able))
    named = [charge for charge in able if _named(charge, slots, suspend=suspend, because=because)]
    keys = [charge.credential.key for charge in able]
    told = {"cut_off": {id: [_in_json(each) for each in each_of_it] for id, each_of_it in dying.items()}}
    return work.follow(able, to_the_end=wait, force=keys, told=told, code=0 if len(named) == len(charges) else 1)


def _refuse_what_cannot_be_suspended(charges: Sequence[Charge]) -> None:
    gateways = [charge.credential.id for charge in charges if charge.credential.kind is Kind.GATEWAY]
    if gateways:
        raise click.UsageError(f"a self-hosted gateway cannot be suspended: {', '.join(gateways)}; leave --suspend out")


def _looked_at(
    work: Work, charges: Sequence[Charge], slots: Collection[Slot], *, suspend: bool
) -> tuple[dict[str, tuple[CutOff, ...]], list[tuple[str, KeyturnError]]]:
    """What dies of each, by its id; and of whom that cannot be told, with the trouble."""
    dying: dict[str, tuple[CutOff, ...]] = {}
    troubles: list[tuple[str, KeyturnError]] = []
    for charge in charges:
        try:
            dying[charge.credential.id] = _dying(work, charge, slots, suspend=suspend)
        except KeyturnError as problem:
            troubles.append((charge.credential.id, problem))
    return dying, troubles


def _dying(work: Work, charge: Charge, slots: Collection[Slot], *, suspend: bool) -> tuple[CutOff, ...]:
    """From a fresh look, with the values that are live now."""
    from keyturn.cut_off import cut_off  # noqa: PLC0415

    sight = charge.turn.sight(charge.credential, charge.policy)
    record = sight.record
    for slot, value in (sight.live or {}).items():
        record = record.with_slot(slot, fingerprint=value)
    costs = work.keyturn.keyring_of(charge.credential).set_costs
    now = work.keyturn.clock.now()
    return cut_off(record, sight.seen, charge.policy, slots, now, suspend=suspend, set_costs=costs)


def _say(charge: Charge, dying: Sequence[CutOff], *, suspend: bool) -> None:
    screen.say(f"{charge.credential.id}: these values die without a drain")
    if suspend:
        screen.say("  at once       every caller is refused, whatever its key, until it is activated again", below=16)
    for each in dying:
        why = "" if each.named else " (takes the fresh value)"
        screen.say(f"  {_when(each.after):<13} {each.slot}{why}: {each.who}", below=16)
    if not dying:
        screen.say("  none: what these slots held is dead already")


def _when(after: timedelta | None) -> str:
    from keyturn.policy import spell  # noqa: PLC0415

    if after is None:
        return "later"
    return "at once" if not after else f"in {spell(after)}"


def _ask(count: int) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to ask; --yes answers for you")
    screen.ask(f"Let them die, for {count} credential{'s' if count != 1 else ''}?")


def _named(charge: Charge, slots: Collection[Slot], *, suspend: bool, because: str) -> bool:
    """Whether it went as asked; what did not is told, and the others go on."""
    screen.acting(f"{charge.credential.id} was not touched.")
    try:
        charge.turn.compromise(charge.credential, charge.policy, slots, because=because, suspend=suspend)
    except KeyturnError as problem:
        screen.trouble(f"{charge.credential.id}: ", problem)
        return False
    return True


def _in_json(each: CutOff) -> dict[str, Any]:
    seconds = None if each.after is None else int(each.after.total_seconds())
    return {"slot": each.slot.value, "named": each.named, "seconds": seconds, "who": each.who}
