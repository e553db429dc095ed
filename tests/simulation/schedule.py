"""What a schedule is: a setting, and the incidents that strike in it. Plain data, so that it can be told and shrunk.

`draw` makes one of a seed. All that may go wrong is here, each with the bounds that protocol.md states for it: within
them no caller may be refused. What lies beyond them is `beyond`'s. Never here: what comes of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

import msgspec

from keyturn.model import Mode, Slot
from keyturn.policy import HOUR, Consumers, Policy, ProbeSpec, Retire, drain_bounds

SECONDS_AN_HOUR = 3600.0
SHORT, LONG = 2.4 * SECONDS_AN_HOUR, 5.5 * SECONDS_AN_HOUR
"""Nothing new goes wrong after this: within one rotation and the adoption before it, or within two and more."""


class What(StrEnum):
    """What may go wrong, or be done by somebody else."""

    # at the nth time that a keyturn reaches a point
    CRASH = "crash"
    STALL = "stall"
    ANSWER = "answer"  # what its effect is answered: see ANSWERS
    UNREAD = "unread"  # what its read is answered: see READS
    LEDGER = "ledger"  # the ledger cannot be used for once
    # at a time
    SINK = "sink"  # it can be neither read nor written, or only not written
    CLOCK = "clock"
    TRIGGER = "trigger"  # every keyturn is called at once
    GATEWAY = "gateway"  # one gateway answers nobody's probes
    PORTAL = "portal"
    TERRAFORM = "terraform"
    OPERATOR = "operator"
    BACKUP = "backup"
    RESTORED = "restored"
    LOST = "lost"


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that goes wrong. `who`: which keyturn, sink or gateway; -1: whichever keyturn gets there, counted over
    all of them. Spans and times are in seconds."""

    what: What
    who: int = 0
    point: str = ""
    nth: int = 0
    at: float = 0.0
    span: float = 0.0
    how: str = ""
    after: str = ""
    """A point: `at` counts from when it is reached for the nth time, by whomever; else from the start."""


class Keyturn(StrEnum):
    """How a keyturn is run."""

    SERVICE = "service"  # one process for a long time: it has values and what it read of the ledger in memory
    COMMAND = "command"  # a process a run: it remembers nothing


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What there is before anything goes wrong."""

    seed: int
    mode: Mode = Mode.SET
    retire: Retire = Retire.AFTER_DRAIN
    probe: bool = True
    sinks: int = 1
    write_only: bool = False
    """The last sink cannot be read back."""
    keyturns: tuple[Keyturn, ...] = (Keyturn.SERVICE,)
    clocks: tuple[float, ...] = (0.0,)
    """By how many seconds each keyturn's clock is ahead."""
    lease: bool = True
    eager: float = 300.0
    """How many seconds after the end of its wait a keyturn comes by at most."""
    step: float = 0.4
    """How many seconds a call takes at most."""
    units: tuple[tuple[float, ...], ...] = ((0.0,),)
    """Per gateway, how many seconds late each of its units learns of a write."""
    replication: float = 0.0
    """For how many seconds after a write callers may read what a sink showed before."""
    shows: str = "primary"
    """What the sinks show before keyturn is there: `primary`, `secondary`, `nothing`, or `equal` slots; `apart`: some
    the one and some the other; `foreign`: the last one shows a value of somebody else, of no slot."""
    cache: float = 3600.0
    """For how many seconds callers keep a value. Where it is short, the requests that may land late decide how long the
    drain must be (A3)."""
    lasts: float = LONG
    """Nothing new goes wrong after so many seconds."""
    trust_etag: bool = True
    """False: this Azure's ETag stays where a slot is regenerated, and the policy says so."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    setting: Setting
    incidents: tuple[Incident, ...] = ()


def policy_of(setting: Setting) -> Policy:
    """Its drain is the shortest that rule A3 allows: what is too short by a minute refuses somebody."""
    plain = _policy_of(setting)
    return msgspec.structs.replace(plain, drain=max(least for _, least in drain_bounds(plain)))


def _policy_of(setting: Setting) -> Policy:
    return Policy(
        name="simulated",
        mode=setting.mode,
        retire=setting.retire,
        every=3 * HOUR,
        adopt=Slot.PRIMARY,
        look_every=2 * HOUR,
        consumers=Consumers(cache=timedelta(seconds=setting.cache)),
        probe=ProbeSpec(path="/status") if setting.probe else None,
        trust_etag=setting.trust_etag,
    )


def cached(setting: Setting) -> float:
    """For so many seconds after a sink showed a value some caller may use it."""
    consumers = policy_of(setting).consumers
    return (consumers.cache + consumers.replication + consumers.longest_call).total_seconds()


POLICY = policy_of(Setting(seed=0))
DRAIN = POLICY.drain
LATE = POLICY.late.total_seconds()
SETTLE = POLICY.settle.total_seconds()
SKEW = POLICY.max_clock_skew.total_seconds()
PROPAGATION = POLICY.propagation.total_seconds()

ANSWERS = ("lost", "never", "late", "412", "409", "429", "403", "500", "503")
"""What an effect is answered: nothing although it landed, nothing because it never did, nothing yet; or a status. Of a
500 and a 503 nobody knows whether it landed."""
READS = ("stale", "429", "500", "503", "403")


# -------- drawing


def draw(seed: int) -> Schedule:
    """The schedule of this seed, the same for ever."""
    dice = random.Random(seed)
    setting = _setting(seed, dice)
    count = dice.choice((1, 2, 2, 3, 3, 4, 5, 6, 8, 12))
    drawn = [_INCIDENTS[dice.choices(_KINDS, _WEIGHTS)[0]](dice, setting) for _ in range(count)]
    restored = [incident.at for incident in drawn if incident.what is What.RESTORED]
    if restored:
        drawn.append(Incident(what=What.BACKUP, at=dice.random() * max(restored)))
    return Schedule(setting=setting, incidents=tuple(sorted(drawn, key=lambda incident: incident.at)))


def _setting(seed: int, dice: random.Random) -> Setting:
    count = dice.choice((2, 2, 2, 2, 2, 2, 3, 4))
    probe = dice.random() < 0.7
    sinks = dice.choice((1, 1, 2, 3))
    clock = dice.choice((0.0, 0.0, SKEW - 1.0))
    mode = dice.choice((Mode.SET, Mode.SET, Mode.REGENERATE))
    trust_etag = dice.random() < 0.85
    return Setting(
        seed=seed,
        mode=mode,
        retire=dice.choice((Retire.AFTER_DRAIN, Retire.AFTER_DRAIN, Retire.NEXT_ROTATION)),
        probe=probe,
        sinks=sinks,
        write_only=sinks > 1 and dice.random() < 0.4,
        keyturns=tuple(dice.choice(tuple(Keyturn)) for _ in range(count)),
        clocks=tuple(dice.uniform(-clock, clock) for _ in range(count)),
        lease=dice.random() < 0.6,
        eager=dice.choice((2.0, 2.0, 60.0, 900.0)),
        step=dice.choice((0.1, 0.5, 3.0)),
        units=tuple(_units(dice, probe) for _ in range(dice.choice((1, 1, 2, 3)))),
        replication=dice.choice((0.0, 30.0, 60.0)),
        shows=dice.choice(_SHOWS),
        cache=dice.choice((3600.0, 3600.0, 600.0)),
        lasts=SHORT if dice.random() < 0.9 else LONG,
        trust_etag=trust_etag,
    )


_SHOWS = (*("primary",) * 9, *("secondary", "nothing", "equal") * 3, "apart", "foreign")


def _units(dice: random.Random, probe: bool) -> tuple[float, ...]:
    """A probe finds out how late a gateway is, but for a unit that lags behind the one it reached (A17)."""
    late = dice.choice((0.0, 0.0, 3.0, 12.0, 25.0 if probe else PROPAGATION - SETTLE))
    if probe and dice.random() < 0.005:
        late = 900.0  # asked every quarter of a minute: dear to simulate
    return (late,) if dice.random() < 0.5 else (late, late + dice.uniform(0.0, SETTLE))


Draw = Callable[[random.Random, Setting], Incident]

_REACHED = {
    "read": 14,
    "read_values": 4,
    "sink.read": 16,
    "sink.write": 4,
    "sink.write.sent": 4,
    "sink.write.done": 4,
    "set_value": 4,
    "set_value.sent": 4,
    "set_value.done": 4,
    "regenerate": 4,
    "regenerate.sent": 4,
    "regenerate.done": 4,
    "prove_fence.done": 1,
    "ask": 6,
    "ledger.load": 24,
    "ledger.save": 30,
    "ledger.saved": 30,
}
"""Every point, and how often a keyturn comes to it in a schedule, about."""


def _somewhere(dice: random.Random, setting: Setting) -> tuple[str, int]:
    other = "regenerate" if setting.mode is Mode.SET else "set_value"
    points = [point for point in _REACHED if not point.startswith(other)]
    point = dice.choice(points)
    return point, dice.randint(1, _REACHED[point])


def _who(dice: random.Random, setting: Setting) -> int:
    return dice.randrange(len(setting.keyturns))


def _crash(dice: random.Random, setting: Setting) -> Incident:
    point, nth = _somewhere(dice, setting)
    span = dice.choice((1.0, 90.0, 1200.0, 7200.0))
    return Incident(what=What.CRASH, who=_who(dice, setting), point=point, nth=nth, span=span)


def _stall(dice: random.Random, setting: Setting) -> Incident:
    """Before its last check a keyturn may sleep for as long as it likes (A4). Between that check and the send nobody
    notices: for up to a drain, and for a regenerate, or a sink that nobody can read, up to `late` (protocol.md,
    section 3; ADR 0021)."""
    point, nth = _somewhere(dice, setting)
    span = dice.choice((20.0, 40.0, 70.0, 600.0, 3000.0, 9000.0))
    if point.endswith(".sent"):
        unseen = point.startswith("regenerate") or (setting.write_only and point.startswith("sink"))
        span = min(span, LATE - 60.0 if unseen else policy_of(setting).drain.total_seconds() - 300.0)
    return Incident(what=What.STALL, who=_who(dice, setting), point=point, nth=nth, span=span)


def _answer(dice: random.Random, setting: Setting) -> Incident:
    write = "set_value" if setting.mode is Mode.SET else "regenerate"
    point = dice.choice((write, write, write, write, "sink.write", "sink.write", "sink.write", "prove_fence"))
    how = dice.choice((*ANSWERS, "412", "412", "late", "lost"))  # what everyday code gets wrong, more often
    nth = 1 if point == "prove_fence" else dice.choice((1, 1, 1, 2, 2, 3, 4))
    if point == "sink.write" and setting.write_only and dice.random() < 0.6:
        nth = setting.sinks * dice.choice((1, 1, 2))  # the one that cannot be read is written last
    span = dice.uniform(1.0, LATE) if how == "late" else float(dice.choice((0, 20, 600)))
    return Incident(what=What.ANSWER, who=_who(dice, setting), point=point, nth=nth, span=span, how=how)


def _unread(dice: random.Random, setting: Setting) -> Incident:
    point = dice.choice(("read", "read", "read_values", "sink.read", "sink.read"))
    span = float(dice.choice((0, 20, 600)))
    nth = dice.randint(1, _REACHED[point])
    return Incident(what=What.UNREAD, who=_who(dice, setting), point=point, nth=nth, span=span, how=dice.choice(READS))


def _ledger(dice: random.Random, setting: Setting) -> Incident:
    point = dice.choice(("ledger.load", "ledger.save", "ledger.saved"))
    return Incident(what=What.LEDGER, who=_who(dice, setting), point=point, nth=dice.randint(1, _REACHED[point]))


def _sink(dice: random.Random, setting: Setting) -> Incident:
    span = dice.choice((60.0, 300.0, 2000.0, 2000.0, 9000.0, 3 * 86400.0 if dice.random() < 0.1 else 5000.0))
    how = dice.choice(("down", "down", "refuses"))
    who = dice.randrange(setting.sinks)
    return Incident(what=What.SINK, who=who, at=dice.random() * setting.lasts, span=span, how=how)


def _clock(dice: random.Random, setting: Setting) -> Incident:
    """How far it jumps, in hours; it is set right after `span`."""
    how = dice.choice(("-30", "-1", "-0.05", "0.05", "1", "30", "400"))
    span = dice.choice((300.0, 4000.0, 9000.0))
    return Incident(what=What.CLOCK, who=_who(dice, setting), at=dice.random() * setting.lasts, span=span, how=how)


def _trigger(dice: random.Random, setting: Setting) -> Incident:
    how = dice.choice(("doubled", "replayed"))
    return Incident(what=What.TRIGGER, at=dice.random() * setting.lasts, how=how)


def _gateway(dice: random.Random, setting: Setting) -> Incident:
    span = dice.choice((20.0, 120.0, 600.0, 4200.0 if dice.random() < 0.1 else 60.0))
    who = dice.randrange(len(setting.units))
    return Incident(what=What.GATEWAY, who=who, at=dice.random() * setting.lasts, span=span)


def _portal(dice: random.Random, setting: Setting) -> Incident:
    how = dice.choice(("primary", "secondary"))
    return Incident(what=What.PORTAL, at=dice.random() * setting.lasts, how=how)


def _terraform(dice: random.Random, setting: Setting) -> Incident:
    """It puts back what it saw `span` before: both slots, or what the sinks showed."""
    at = dice.random() * setting.lasts
    span = dice.choice((600.0, 3600.0, 9000.0))
    return Incident(what=What.TERRAFORM, at=at, span=min(span, at), how=dice.choice(("slots", "sinks", "sinks")))


def _operator(dice: random.Random, setting: Setting) -> Incident:
    asks = ("rotate", "rotate", "rotate", "rollback", "rollback", "release", "release", "hold", "set", "compromise")
    return Incident(what=What.OPERATOR, at=dice.random() * setting.lasts, how=dice.choice(asks))


def _backup(dice: random.Random, setting: Setting) -> Incident:
    return Incident(what=What.BACKUP, at=dice.random() * setting.lasts)


def _restored(dice: random.Random, setting: Setting) -> Incident:
    return Incident(what=What.RESTORED, at=dice.random() * setting.lasts)


def _lost(dice: random.Random, setting: Setting) -> Incident:
    """Its records are lost; or all of it is, its name and its salt with them."""
    return Incident(what=What.LOST, at=dice.random() * setting.lasts, how=dice.choice(("records", "records", "all")))


_DRAWN: dict[What, tuple[Draw, int]] = {
    What.CRASH: (_crash, 10),
    What.STALL: (_stall, 8),
    What.ANSWER: (_answer, 16),
    What.UNREAD: (_unread, 5),
    What.LEDGER: (_ledger, 2),
    What.SINK: (_sink, 4),
    What.CLOCK: (_clock, 2),
    What.TRIGGER: (_trigger, 4),
    What.GATEWAY: (_gateway, 2),
    What.PORTAL: (_portal, 2),
    What.TERRAFORM: (_terraform, 2),
    What.OPERATOR: (_operator, 8),
    What.BACKUP: (_backup, 1),
    What.RESTORED: (_restored, 3),
    What.LOST: (_lost, 2),
}
_KINDS = tuple(_DRAWN)
_WEIGHTS = tuple(weight for _, weight in _DRAWN.values())
_INCIDENTS = {what: drawn for what, (drawn, _) in _DRAWN.items()}


def spelled(span: float) -> str:
    """Seconds as people write them."""
    whole = timedelta(seconds=round(span))
    hours, rest = divmod(int(whole.total_seconds()), 3600)
    minutes, seconds = divmod(rest, 60)
    if hours >= 48:
        return f"{hours // 24} d"
    parts = [(hours, "h"), (minutes, "min"), (seconds, "s")]
    return " ".join([f"{count} {unit}" for count, unit in parts if count][:2]) or "0 s"
