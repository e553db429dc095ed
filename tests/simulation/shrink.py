"""Make a failing schedule as small as it gets, and tell what happened in it.

Incidents are left out one after another, then the setting is made plainer, as long as the same invariant breaks.
Never here: a guess at the cause.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from keyturn.policy import Retire
from tests.simulation.invariants import Broken
from tests.simulation.play import Played, play
from tests.simulation.schedule import Incident, Keyturn, Schedule, Setting, draw

MOST_TRIES = 400
LINES = 60


class Shrunk(msgspec.Struct, frozen=True, kw_only=True):
    schedule: Schedule
    only: tuple[int, ...]
    """Which incidents of the drawn schedule are left, by their place in it."""
    plainer: tuple[str, ...]
    """What was made plainer in its setting, by the name of the change."""
    tries: int


PLAINER: dict[str, dict[str, Any]] = {
    "one-sink": {"sinks": 1, "write_only": False},
    "one-unit": {"units": ((0.0,),)},
    "clocks-agree": {"clocks": (0.0, 0.0, 0.0, 0.0)},
    "no-replication": {"replication": 0.0},
    "quick": {"step": 0.1},
    "prompt": {"eager": 2.0},
    "probed": {"probe": True},
    "primary": {"shows": "primary"},
    "after-drain": {"retire": Retire.AFTER_DRAIN},
    "leased": {"lease": True},
    "two": {"keyturns": (Keyturn.SERVICE, Keyturn.SERVICE)},
    "one": {"keyturns": (Keyturn.SERVICE,)},
}
"""Ways to make a setting plainer, in the order in which they are tried."""


def rebuilt(seed: int, only: tuple[int, ...] | None, plainer: tuple[str, ...]) -> Schedule:
    """The schedule of a seed with only these incidents, and these changes to its setting. Raises KeyError."""
    drawn = draw(seed)
    incidents = drawn.incidents if only is None else tuple(drawn.incidents[place] for place in only)
    setting = drawn.setting
    for name in plainer:
        setting = msgspec.structs.replace(setting, **PLAINER[name])
    return Schedule(setting=setting, incidents=incidents)


def shrink(seed: int, broken: Broken) -> Shrunk:
    """`broken` is what the schedule of this seed breaks."""
    only = tuple(range(len(draw(seed).incidents)))
    plainer: tuple[str, ...] = ()
    tries = 0

    def still(kept: tuple[int, ...], changed: tuple[str, ...]) -> bool:
        nonlocal tries
        tries += 1
        found = play(rebuilt(seed, kept, changed)).broken
        return found is not None and found.invariant.split()[0] == broken.invariant.split()[0]

    smaller = True
    while smaller and tries < MOST_TRIES:
        smaller = False
        for kept in _without_some(only):
            if still(kept, plainer):
                only, smaller = kept, True
                break
        for name in [name for name in PLAINER if name not in plainer]:
            if still(only, (*plainer, name)):
                plainer, smaller = (*plainer, name), True
    return Shrunk(schedule=rebuilt(seed, only, plainer), only=only, plainer=plainer, tries=tries)


def _without_some(only: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Halves first, then one less."""
    half = len(only) // 2
    if half > 1:
        yield only[:half]
        yield only[half:]
    for place in range(len(only)):
        yield only[:place] + only[place + 1 :]


def story(schedule: Schedule) -> list[str]:
    """What happens in a schedule, as sentences: its setting, its incidents, and every change until it breaks."""
    played = play(schedule, telling=True)
    told = [_clock(seconds) + "  " + sentence for seconds, sentence in played.story]
    if len(told) > LINES:
        told = [*told[:10], f"          ({len(told) - LINES} lines left out)", *told[10 - LINES :]]
    return [*_setting(schedule.setting), *(f"  - {_incident(each)}" for each in schedule.incidents), *told]


def replay(seed: int, shrunk: Shrunk) -> str:
    """The command that plays it again."""
    only = ",".join(map(str, shrunk.only)) or "none"
    plainer = f" --plainer {','.join(shrunk.plainer)}" if shrunk.plainer else ""
    return f"uv run python -m tests.simulation --replay {seed} --only {only}{plainer}"


def _setting(setting: Setting) -> list[str]:
    kinds = ", ".join(setting.keyturns)
    probe = "with a probe" if setting.probe else "without a probe"
    lease = "with a lease" if setting.lease else "without a lease"
    many = f"{setting.sinks} sink{'s' if setting.sinks > 1 else ''}"
    gateways = "; ".join(", ".join(f"{late:.0f} s" for late in units) for units in setting.units)
    return [
        f"{setting.mode}, retire {setting.retire}, {many}, {probe}, {lease}; keyturns: {kinds}",
        f"gateways learn after {gateways}; sinks show {setting.shows} at first",
    ]


def _incident(incident: Incident) -> str:
    said = msgspec.to_builtins(incident)
    return ", ".join(f"{name} {value}" for name, value in said.items() if value or name == "who")


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole % 3600 // 60:02}:{whole % 60:02}"


__all__ = ["PLAINER", "Played", "Shrunk", "rebuilt", "replay", "shrink", "story"]
