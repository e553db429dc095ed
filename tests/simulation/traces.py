"""The traces V1 to V15 of protocol.md as families of schedules: a situation each, whose moments a seed varies.

With all rules no schedule of a family breaks anything. Without the rules that `sabotage` names some do, by the
invariants named here: the trace is back. Never here: which rules those are.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec

from keyturn.model import Mode
from keyturn.policy import Retire
from tests.simulation.invariants import (
    ALWAYS_LIVE,
    FENCED,
    IT_ENDS,
    LEDGER,
    ONE_EFFECT,
    QUIET,
    RETIRE_LAST,
    UNKNOWN,
    Broken,
)
from tests.simulation.play import Played, play
from tests.simulation.schedule import (
    DRAIN,
    LATE,
    LONG,
    POLICY,
    PROPAGATION,
    SETTLE,
    SKEW,
    Incident,
    Keyturn,
    Schedule,
    Setting,
    What,
    spelled,
)

DRAINED = DRAIN.total_seconds()
HOURS = 3600.0
PUBLISHED = "sink.write.sent"
"""The first time anybody comes here, the first rotation publishes."""
WRITTEN = "set_value.sent"
"""The first time, the first rotation renews; the second time, it retires."""
SETTLED = POLICY.settling.total_seconds()

Family = Callable[[random.Random], Schedule]


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A family, and how its trace shows."""

    name: str
    sentence: str
    family: Family
    breaks: tuple[str, ...]
    """The invariants of which one breaks when it comes back."""
    overlooks: tuple[str, ...] = ()
    """Invariants that break before that, and end nothing here: what comes of it is looked for."""
    most_writes: int | None = None
    """So many slot writes a rotation at most; more is one that does not end (invariant 7)."""
    longest_outage: float | None = None
    """For so many seconds at most a sink shows what gateways refuse (invariant 1)."""

    def schedule(self, seed: int) -> Schedule:
        return self.family(random.Random(f"{self.name} {seed}"))

    def played(self, seed: int, *, telling: bool = False) -> Played:
        return play(self.schedule(seed), telling=telling, overlooking=self.overlooks)

    def broken(self, seed: int) -> Broken | None:
        """What a schedule of the family breaks, as the code is now."""
        return self.judged(self.played(seed))

    def broken_strictly(self, seed: int) -> Broken | None:
        """The same, and nothing is overlooked: what the code with all its rules must not break."""
        return self.judged(play(self.schedule(seed)))

    def judged(self, played: Played) -> Broken | None:
        if played.broken is not None:
            return played.broken
        if self.most_writes is not None and played.writes > self.most_writes * (played.rotations + 1):
            told = f"{played.writes} slot writes, and {played.rotations} rotations are over"
            return Broken(invariant=IT_ENDS, sentence=told, at=played.seconds)
        longest = max((outage.span for outage in played.outages), default=0.0)
        if self.longest_outage is not None and longest > self.longest_outage:
            told = f"a sink shows what gateways refuse for {spelled(longest)}"
            return Broken(invariant=ALWAYS_LIVE, sentence=told, at=played.seconds)
        return None

    def is_back(self, broken: Broken | None) -> bool:
        """Whether this is how the trace shows."""
        return broken is not None and any(broken.invariant.startswith(name) for name in self.breaks)


def _setting(dice: random.Random, **changes: Any) -> Setting:
    """A keyturn that comes by within seconds; whatever a family leaves open, a seed decides."""
    fixed: dict[str, Any] = {
        "seed": dice.randrange(1 << 30),
        "eager": dice.choice((1.0, 2.0, 5.0)),
        "step": dice.choice((0.1, 0.5, 1.0)),
        "lasts": LONG,
    }
    setting = Setting(**(fixed | changes))
    count = len(setting.keyturns)
    return setting if len(setting.clocks) == count else msgspec.structs.replace(setting, clocks=(0.0,) * count)


def _either(dice: random.Random, count: int = 1) -> tuple[Keyturn, ...]:
    return tuple(dice.choice(tuple(Keyturn)) for _ in range(count))


def _follows(what: What, after: str, at: float, *, nth: int = 1, span: float = 0.0, how: str = "") -> Incident:
    return Incident(what=what, after=after, nth=nth, at=at, span=span, how=how)


def _asked(how: str, after: str, at: float, *, nth: int = 1) -> Incident:
    return _follows(What.OPERATOR, after, at, nth=nth, how=how)


def _answered(point: str, how: str, span: float = 0.0, *, who: int = 0, nth: int = 1) -> Incident:
    return Incident(what=What.ANSWER, who=who, point=point, nth=nth, span=span, how=how)


def _stalled(point: str, span: float, *, who: int = 0, nth: int = 1) -> Incident:
    return Incident(what=What.STALL, who=who, point=point, nth=nth, span=span)


# -------- V1


def _sleeps_before_its_check(dice: random.Random) -> Schedule:
    """A stalls before it publishes; B publishes, and goes on to the retirement of that value. A wakes."""
    setting = _setting(dice, keyturns=_either(dice, 2), lasts=8 * HOURS)
    return Schedule(setting=setting, incidents=(_stalled("sink.write", dice.uniform(2.0, 6.0) * HOURS),))


def _sleeps_after_its_check(dice: random.Random) -> Schedule:
    """A stalls as it sends; an operator rolls back, releases and rotates again. A wakes within a drain."""
    setting = _setting(dice, keyturns=_either(dice, 2))
    back = dice.uniform(1.0, 100.0)
    free = back + dice.uniform(300.0, 900.0)
    again = free + dice.uniform(5.0, 60.0)
    return Schedule(
        setting=setting,
        incidents=(
            *(_stalled(PUBLISHED, dice.uniform(1800.0, DRAINED - 300.0), who=who) for who in range(2)),
            _asked("rollback", PUBLISHED, back),
            _asked("release", PUBLISHED, free),
            _asked("rotate", PUBLISHED, again),
            *(_follows(What.TRIGGER, PUBLISHED, at + 5.0, how="doubled") for at in (back, back + 120.0, again)),
        ),
    )


# -------- V2 to V5: what one timer in a rotation does not protect


def _reverted(dice: random.Random) -> Schedule:
    """While draining, somebody puts the old value back; callers read it."""
    setting = _setting(dice, keyturns=_either(dice, dice.choice((1, 2))), sinks=dice.choice((1, 2)))
    back = _follows(What.TERRAFORM, PUBLISHED, dice.uniform(0.2, 0.99) * DRAINED, how="sinks")
    return Schedule(setting=setting, incidents=(back,))


def _rolled_back(dice: random.Random) -> Schedule:
    """Published, rolled back, released, rotated again, all within callers' cache time."""
    setting = _setting(dice, keyturns=_either(dice, dice.choice((1, 2))), mode=dice.choice(tuple(Mode)))
    back = dice.uniform(5.0, 1200.0)
    free = back + dice.uniform(60.0, 400.0)
    return Schedule(
        setting=setting,
        incidents=(
            _asked("rollback", PUBLISHED, back),
            _asked("release", PUBLISHED, free),
            _asked("rotate", PUBLISHED, free + dice.uniform(5.0, 600.0)),
        ),
    )


def _ledger_lost(dice: random.Random) -> Schedule:
    """The records are lost while draining; adoption, and a person asks for a rotation."""
    setting = _setting(dice, keyturns=_either(dice, dice.choice((1, 2))), mode=dice.choice(tuple(Mode)))
    lost = dice.uniform(5.0, 2000.0)
    how = dice.choice(("records", "all"))
    return Schedule(
        setting=setting,
        incidents=(
            _follows(What.LOST, PUBLISHED, lost, how=how),
            _follows(What.TRIGGER, PUBLISHED, lost + 10.0, how="replayed"),
            _asked("rotate", PUBLISHED, lost + dice.uniform(30.0, 1200.0)),
        ),
    )


def _early(dice: random.Random) -> Schedule:
    """`retire: next-rotation`: the next one is asked for while the old value is still in its drain."""
    setting = _setting(
        dice,
        keyturns=_either(dice, dice.choice((1, 2))),
        mode=dice.choice(tuple(Mode)),
        retire=Retire.NEXT_ROTATION,
    )
    return Schedule(setting=setting, incidents=(_asked("rotate", PUBLISHED, dice.uniform(30.0, 3000.0)),))


# -------- V6, V7: writes whose answer is lost


def _regenerated_twice(dice: random.Random) -> Schedule:
    """A regenerate's answer is lost, and it lands some minutes later."""
    setting = _setting(dice, keyturns=_either(dice), mode=Mode.REGENERATE)
    late = _answered("regenerate", "late", dice.uniform(5.0, LATE))
    return Schedule(setting=setting, incidents=(late,))


def _rolled_back_while_retiring(dice: random.Random) -> Schedule:
    """The retirement's writes are under way when an operator rolls back."""
    setting = _setting(dice, keyturns=_either(dice))
    late = [_answered("set_value", "late", dice.uniform(60.0, LATE), nth=nth) for nth in range(2, 11)]
    return Schedule(setting=setting, incidents=(*late, _asked("rollback", WRITTEN, dice.uniform(0.0, 60.0), nth=2)))


# -------- V8


def _restored(dice: random.Random) -> Schedule:
    """A backup from a drain is restored after a rollback. One of the sinks cannot be read back, and shows what was
    rolled back to; of both slots nothing tells, only the other sink's tag."""
    setting = _setting(dice, keyturns=_either(dice, dice.choice((1, 2))), sinks=2, write_only=True)
    restored = dice.uniform(1700.0, 3000.0)
    return Schedule(
        setting=setting,
        incidents=(
            _follows(What.BACKUP, WRITTEN, dice.uniform(200.0, 600.0)),
            _asked("rollback", WRITTEN, dice.uniform(700.0, 1500.0)),
            _follows(What.RESTORED, WRITTEN, restored),
            _follows(What.TRIGGER, WRITTEN, restored + 10.0, how="replayed"),
        ),
    )


def _restored_in_the_air(dice: random.Random) -> Schedule:
    """The same while the publish is in the air: no sink shows yet that the ledger is old."""
    setting = _setting(dice, keyturns=(Keyturn.SERVICE,))
    restored = dice.uniform(0.5, 20.0)
    return Schedule(
        setting=setting,
        incidents=(
            Incident(what=What.BACKUP, at=dice.uniform(620.0, 940.0)),
            _answered("sink.write", "late", dice.uniform(120.0, LATE)),
            _follows(What.RESTORED, PUBLISHED, restored),
            _follows(What.TRIGGER, PUBLISHED, restored + 5.0, how="replayed"),
            _asked("rotate", PUBLISHED, restored + dice.uniform(5.0, 60.0)),
        ),
    )


# -------- V9 to V15


def _etag_stays(dice: random.Random) -> Schedule:
    """Somebody regenerates the fresh value while it waits to be published, and the ETag stays."""
    setting = _setting(dice, keyturns=(Keyturn.SERVICE,), mode=dice.choice(tuple(Mode)), probe=False, trust_etag=False)
    renewed = WRITTEN if setting.mode is Mode.SET else "regenerate.sent"
    portal = _follows(What.PORTAL, renewed, dice.uniform(5.0, PROPAGATION - 5.0), how="secondary")
    return Schedule(setting=setting, incidents=(portal,))


def _two_without_a_lease(dice: random.Random) -> Schedule:
    """Two or three without a lease, or with one that is shorter than an effect: each write takes most of a minute."""
    count = dice.choice((2, 3))
    setting = _setting(
        dice, keyturns=(Keyturn.SERVICE,) * count, lease=False, eager=0.1, step=dice.choice((1.0, 3.0)), lasts=9 * HOURS
    )
    slow = [
        _stalled(WRITTEN, dice.uniform(31.0, 50.0), who=who, nth=nth) for who in range(count) for nth in range(1, 10)
    ]
    return Schedule(setting=setting, incidents=tuple(slow))


def _reverted_while_retiring(dice: random.Random) -> Schedule:
    """The retirement does not land at first; meanwhile a sink shows the old value again."""
    setting = _setting(dice, keyturns=_either(dice), sinks=dice.choice((1, 2)))
    never = [_answered("set_value", "never", nth=nth) for nth in range(2, 7)]
    back = _follows(What.TERRAFORM, PUBLISHED, DRAINED + dice.uniform(0.0, 400.0), how="sinks")
    return Schedule(setting=setting, incidents=(*never, back))


def _rewritten_while_retiring(dice: random.Random) -> Schedule:
    """The retirement does not land at first; meanwhile somebody writes both slots, and gateways learn of it late."""
    setting = _setting(dice, keyturns=_either(dice), units=((dice.uniform(20.0, 90.0),),))
    never = [_answered("set_value", "never", nth=nth) for nth in range(2, 7)]
    at = dice.uniform(5.0, 300.0)
    both = [_follows(What.PORTAL, WRITTEN, at, nth=2, how=how) for how in ("secondary", "primary")]
    return Schedule(setting=setting, incidents=(*never, *both))


def _plan_of_an_old_record(dice: random.Random) -> Schedule:
    """Two without a lease begin the same renew together; one stands still before it sends, for less than a deadline,
    and the other goes on.

    The search's own form, a look that is older than the record, brings nothing back while the save compares versions:
    what a plan writes by, fingerprints with their ETag and the exposed marks, comes with the record, and an ETag that
    the look did not see is read anew (A11).
    """
    setting = _setting(
        dice,
        keyturns=(Keyturn.SERVICE,) * 2,
        mode=Mode.REGENERATE,
        lease=False,
        eager=0.5,
        step=dice.choice((1.0, 3.0)),
    )
    stalls = [_stalled("regenerate", dice.uniform(36.0, 55.0), nth=nth) for nth in range(1, 4)]
    return Schedule(setting=setting, incidents=tuple(stalls))


def _equal(dice: random.Random) -> Schedule:
    """Both slots hold the same value, and the sinks show it."""
    setting = _setting(dice, keyturns=_either(dice), mode=dice.choice(tuple(Mode)), shows="equal", lasts=2 * HOURS)
    return Schedule(setting=setting)


def _skewed(dice: random.Random) -> Schedule:
    """No probe; the clock of one is behind, the other's is ahead, and some gateway needs all of `propagation`."""
    setting = _setting(
        dice,
        keyturns=_either(dice, 2),
        clocks=(1.0 - SKEW, SKEW - 1.0),
        probe=False,
        units=((PROPAGATION - dice.uniform(1.0, 5.0),),),
        eager=300.0,  # so that the one behind may be the first, too, and write
    )
    woken = _follows(What.TRIGGER, WRITTEN, PROPAGATION - dice.uniform(0.0, 2 * SKEW), how="doubled")
    return Schedule(setting=setting, incidents=(woken,))


def _late_publish_of_a_compromised_value(dice: random.Random) -> Schedule:
    """A publish whose answer was lost; its value is named as compromised, and dies; then it lands."""
    setting = _setting(dice, keyturns=_either(dice), eager=2.0)
    setting = msgspec.structs.replace(setting, seed=setting.seed | 1)  # both values are named
    return Schedule(
        setting=setting,
        incidents=(
            _answered("sink.write", "late", dice.uniform(300.0, LATE)),
            _asked("compromise", PUBLISHED, dice.uniform(40.0, 120.0)),
        ),
    )


# -------- rules that no trace needs


def _active_written(dice: random.Random) -> Schedule:
    """After a rotation somebody regenerates the published value; the standby is confirmed."""
    setting = _setting(dice, keyturns=_either(dice), mode=dice.choice(tuple(Mode)))
    portal = Incident(what=What.PORTAL, at=dice.uniform(9000.0, 14000.0), how="secondary")
    return Schedule(setting=setting, incidents=(portal,))


def _sink_down(dice: random.Random) -> Schedule:
    """A sink cannot be read when the old value is to die."""
    setting = _setting(dice, keyturns=_either(dice), mode=dice.choice(tuple(Mode)), sinks=dice.choice((1, 2)))
    down = _follows(
        What.SINK, PUBLISHED, DRAINED - dice.uniform(10.0, 600.0), span=dice.uniform(900.0, 5000.0), how="down"
    )
    return Schedule(setting=setting, incidents=(down,))


def _clock_ahead(dice: random.Random) -> Schedule:
    """A clock jumps ahead by days while a wait is stored, and is set right."""
    setting = _setting(dice, keyturns=_either(dice))
    ahead = Incident(what=What.CLOCK, at=dice.uniform(0.0, 8000.0), span=dice.uniform(300.0, 4000.0), how="400")
    return Schedule(setting=setting, incidents=(ahead,))


def _unit_lags(dice: random.Random) -> Schedule:
    """Behind each address one unit knows a fresh value at once, and another within `settle`."""
    setting = _setting(dice, keyturns=_either(dice), units=((0.0, dice.uniform(10.0, SETTLE)),) * dice.choice((1, 2)))
    return Schedule(setting=setting)


TRACES = (
    Trace(
        name="V1",
        sentence="a turn stalls before its publish, and wakes after the next rotation",
        family=_sleeps_before_its_check,
        breaks=(ALWAYS_LIVE,),
        overlooks=(FENCED,),
    ),
    Trace(
        name="V1 as it sends",
        sentence="a turn stalls as it publishes, through a rollback and a new rotation",
        family=_sleeps_after_its_check,
        breaks=(ALWAYS_LIVE,),
    ),
    Trace(
        name="V2",
        sentence="a sink is put back while draining, and the drain goes on",
        family=_reverted,
        breaks=(RETIRE_LAST, QUIET),
    ),
    Trace(
        name="V3",
        sentence="rollback, then rotate",
        family=_rolled_back,
        breaks=(QUIET,),
    ),
    Trace(
        name="V4",
        sentence="the ledger is lost while draining",
        family=_ledger_lost,
        breaks=(LEDGER,),
    ),
    Trace(
        name="V5",
        sentence="retire: next-rotation, starting early",
        family=_early,
        breaks=(QUIET,),
    ),
    Trace(
        name="V6",
        sentence="a regenerate is sent twice, and the first one lands last",
        family=_regenerated_twice,
        breaks=(QUIET, ALWAYS_LIVE),
        overlooks=(ONE_EFFECT,),
    ),
    Trace(
        name="V7",
        sentence="rollback once the retirement was intended",
        family=_rolled_back_while_retiring,
        breaks=(QUIET, ALWAYS_LIVE),
        overlooks=(RETIRE_LAST,),
    ),
    Trace(
        name="V7 afterwards",
        sentence="the same leaves an intent behind, and the next retirement takes it for its own",
        family=_rolled_back_while_retiring,
        breaks=(RETIRE_LAST,),
    ),
    Trace(
        name="V8",
        sentence="a ledger is restored from before a rollback, and a sink cannot be read back",
        family=_restored,
        breaks=(LEDGER,),
    ),
    Trace(
        name="V8 in the air",
        sentence="a ledger is restored from a backup while the publish is in the air",
        family=_restored_in_the_air,
        breaks=(LEDGER,),
    ),
    Trace(
        name="V9",
        sentence="somebody regenerates between confirm and publish, and the ETag stays",
        family=_etag_stays,
        breaks=(ALWAYS_LIVE,),
    ),
    Trace(
        name="V10",
        sentence="two without a lease replace each other's intent",
        family=_two_without_a_lease,
        breaks=(IT_ENDS,),
        most_writes=2,
    ),
    Trace(
        name="V11",
        sentence="a sink shows the old value again while retiring, and nothing repairs it",
        family=_reverted_while_retiring,
        breaks=(IT_ENDS,),
    ),
    Trace(
        name="V11 going back",
        sentence="both slots are rewritten while retiring, and an unconfirmed value is published",
        family=_rewritten_while_retiring,
        breaks=(ALWAYS_LIVE,),
    ),
    Trace(
        name="V12",
        sentence="a plan made on an old record is saved over the new one",
        family=_plan_of_an_old_record,
        breaks=(QUIET,),
        overlooks=(ONE_EFFECT,),
    ),
    Trace(
        name="V13",
        sentence="equal values in both slots never rotate",
        family=_equal,
        breaks=(IT_ENDS,),
    ),
    Trace(
        name="V14",
        sentence="without a probe, a fast clock publishes before all gateways accept",
        family=_skewed,
        breaks=(ALWAYS_LIVE,),
    ),
    Trace(
        name="V15",
        sentence="a late publish brings a compromised value back, and nobody looks",
        family=_late_publish_of_a_compromised_value,
        breaks=(ALWAYS_LIVE,),
        longest_outage=SETTLED + 120.0,
    ),
)
OTHERS = (
    Trace(
        name="A12",
        sentence="somebody regenerates the published value while a confirmed standby stands ready",
        family=_active_written,
        breaks=(ALWAYS_LIVE,),
    ),
    Trace(
        name="A14",
        sentence="a sink cannot be read when the old value is to die",
        family=_sink_down,
        breaks=(UNKNOWN, RETIRE_LAST),
    ),
    Trace(
        name="A16",
        sentence="a clock that jumped ahead by days stores a wait, and is set right",
        family=_clock_ahead,
        breaks=(IT_ENDS,),
    ),
    Trace(
        name="A17",
        sentence="a unit behind a gateway's address lags behind the one that was asked",
        family=_unit_lags,
        breaks=(ALWAYS_LIVE,),
    ),
)
BY_NAME = {trace.name: trace for trace in (*TRACES, *OTHERS)}
