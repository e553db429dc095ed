"""`keyturn demo --scene drift`: two keyturns with one ledger, and somebody else who changes keys and secrets.

The fleet is rotated once, so that every credential has a confirmed standby. Then, while some rotate again, a person in
the portal, Terraform, and a person at the vault change what is not theirs. An epilogue shows a keyturn with a ledger
of its own. What counts in the end is what callers and gateways counted. Never here: a rule of keyturn, or which bound
is right (that is `reckoning`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from keyturn.demo import reckoning
from keyturn.demo.conductor import Conductor
from keyturn.demo.control import (
    KEYTURN,
    Callers,
    EmulatedAzure,
    Program,
    StageFault,
    Tally,
    keyturn_program,
    machine_seconds,
)
from keyturn.demo.incidents import DEALT, Hands
from keyturn.demo.reckoning import DID, Found, Incident, Witness
from keyturn.demo.screen import Picture, Screen, when
from keyturn.demo.stage import ALIAS, PRODUCTS, Settings, Stage
from keyturn.errors import LedgerFault
from keyturn.ledgers.reading import LedgerView
from keyturn.model import Event, Record
from keyturn.model import Stage as Phase
from keyturn.policy import spell

USUAL: Final = 12
FEWEST: Final = 6
MOST: Final = 24
"""More could be refused at once than the callers' program names."""
TIMER: Final = timedelta(minutes=1)
"""A timer starts each keyturn so often; where nothing is due it would end at once, so that the play leaves it out."""
SPREAD: Final = (timedelta(minutes=10), timedelta(hours=2))
"""When the incidents happen, after the rotations have published."""
ACTED: Final = re.compile(rb"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", re.MULTILINE)
"""How a line begins in which keyturn says that it did something."""
LINES: Final = 10_000
PROGRAM_FAULT: Final = "keyturn ended with"


def settings(credentials: int = USUAL) -> Settings:
    """A fleet that is looked at every hour."""
    return Settings(
        credentials=credentials, drain=timedelta(hours=6), look_every=timedelta(hours=1), threads=1, workers=2
    )


class Epilogue(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a keyturn with a ledger of its own."""

    held: str
    """The reason of its hold; empty if it was not held."""
    arm_writes: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the play proved."""

    settings: Settings
    found: list[Found]
    keyturns: list[int]
    """How many things each of them says that it did."""
    rotating: int
    rotated: int
    alive: int
    """Credentials whose sink shows a live value in the end."""
    calls: int
    refused_by_callers: int
    refused_by_gateways: int
    errors: int
    complaints: list[str]
    """Last words of every keyturn that ended with 1."""
    epilogue: Epilogue
    arm_writes: int
    leaks: list[str]
    emulated: timedelta
    seconds: float

    @property
    def unprovoked(self) -> int:
        """Refused calls, by both counts, of callers whom nothing that somebody else did explains."""
        return sum(each.outside for each in self.found if not each.incident.cause.refuses)

    @property
    def outside(self) -> int:
        """Refused calls outside every bound."""
        return sum(each.outside for each in self.found)

    @property
    def is_good(self) -> bool:
        """Whether every incident went as the protocol says, every refused call belongs to one, and nothing else
        went wrong."""
        by_incident = sum(each.by_callers for each in self.found), sum(each.by_gateways for each in self.found)
        return (
            all(each.is_good for each in self.found)
            and by_incident == (self.refused_by_callers, self.refused_by_gateways)
            and self.rotated == self.rotating
            and self.alive == len(self.found)
            and self.epilogue == Epilogue(held="another-keyturn", arm_writes=0)
            and not (self.errors or self.complaints or self.leaks)
        )

    def in_json(self) -> dict[str, Any]:
        """The document for programs."""
        return {
            "scene": "drift",
            "good": self.is_good,
            "credentials": len(self.found),
            "causes": reckoning.in_json(self.found, self.settings),
            "refused": {"callers": self.refused_by_callers, "gateways": self.refused_by_gateways},
            "unprovoked": self.unprovoked,
            "outside": self.outside,
            "keyturns": self.keyturns,
            "rotations": {"begun": self.rotating, "finished": self.rotated},
            "alive": self.alive,
            "another_ledger": {"held": self.epilogue.held, "arm_writes": self.epilogue.arm_writes},
            "calls": self.calls,
            "errors": self.errors,
            "complaints": self.complaints,
            "arm_writes": self.arm_writes,
            "leaks": self.leaks,
            "emulated_hours": round(self.emulated / timedelta(hours=1), 2),
            "seconds": round(self.seconds, 1),
        }


class Drift:
    """One performance on one stage. `command` starts keyturn. Close it, whatever happens."""

    def __init__(
        self,
        azure: EmulatedAzure,
        folder: Path,
        settings: Settings,
        screen: Screen,
        *,
        seed: int = 1,
        command: Sequence[str] = KEYTURN,
    ) -> None:
        self.stage = Stage(azure, folder, settings)
        self._settings, self._screen, self._command = settings, screen, command
        self._control = azure.control
        self._draw = random.Random(seed)  # noqa: S311 - the same seed plays the same play
        self._cause = {sid: DEALT[number % len(DEALT)] for number, sid in enumerate(self.stage.sids)}
        self._hands: Hands | None = None
        self._callers: list[Callers] = []
        self._witness = Witness()
        self._logs = [folder / f"keyturn-{number}.log" for number in (1, 2)]
        self._keyturns: list[Program | None] = [None, None]
        self._others: list[Program] = []
        self._next_start: datetime | None = None
        self._planned: dict[str, datetime] = {}
        self._happened: dict[str, Incident] = {}
        self._unanswered: set[str] = set()
        self._complaints: list[str] = []
        self._records: dict[str, Record] = {}
        self._act = ""
        self._arm_before = 0
        self._began = machine_seconds()
        self._conductor = Conductor(self._control, self._after_step, most=settings.step, between=self._look)

    # -------- the play

    def open(self) -> datetime:
        """Build the stage; every caller calls for the first time. The emulated instant at which it begins."""
        self.stage.build()
        self._hands = Hands(self.stage)
        self._start = self._control.now()
        again = {sid for sid, cause in self._cause.items() if cause.rereads}
        self._callers = [self.stage.callers(set(self.stage.sids) - again)]
        if again:
            self._callers.append(self.stage.callers(again, reread_on_401=True))
        self._after_step()
        return self._start

    def perform(self) -> Outcome:
        """All acts. Raises StageFault."""
        self._arm_before = self._control.arm_writes()
        self._begin("two keyturns with one ledger adopt the fleet, and rotate it once")
        self._play_until(lambda: all(record.stage is Phase.IDLE for record in self._records.values()))
        self._rotate(self.stage.sids, "so that each has a confirmed standby")
        self._play_until(lambda: self._are_rotated(self.stage.sids, 1))
        turning = [sid for sid, cause in self._cause.items() if cause.turning]
        self._begin(f"every standby is confirmed; {len(turning)} rotate again, and somebody else interferes")
        self._rotate(turning, "asked for by hand")
        self._play_until(lambda: all(self._record(sid).stage is Phase.DRAIN for sid in turning))
        self._plan_incidents()
        self._play_until(self._is_over)
        self._begin("everybody reads the key once more")
        self._end_keyturns()
        self._conductor.pass_time(self._settings.cache + 2 * reckoning.WAKING, self._settings.step)
        self._begin("epilogue: a keyturn with a ledger of its own meets one of these credentials")
        epilogue = self._another_ledger()
        self._say(f"it is held ({epilogue.held or 'no, it is not'}), and wrote {epilogue.arm_writes} times to Azure")
        return self._compare(epilogue, turning)

    def close(self) -> None:
        """End every program, caller and client that runs."""
        for each in (*self._running(), *self._callers, self._hands):
            if each is not None:
                each.close()

    # -------- keyturn, started by timers and by hand

    def _play_until(self, done: Callable[[], bool]) -> None:
        """Timers start both keyturns, time moves while they wait, and incidents happen when their time has come."""
        while True:
            self._hear_ended()
            running = self._running()
            span = self._conductor.wanted(len(running)) if running else self._settings.step
            if span is None:
                self._conductor.pause()
                continue
            self._read_ledger()
            self._tell_answers()
            if not self._others and self._records and done():
                return
            if self._start_due():
                continue
            self._conductor.step(self._at_most(span, idle=not running))
            self._interfere()

    def _running(self) -> list[Program]:
        return [each for each in (*self._keyturns, *self._others) if each is not None]

    def _start_due(self) -> bool:
        """Start every keyturn that is not running, if its timer has come and anything is due. Whether it did."""
        now, due = self._control.now(), self._due()
        if (due is not None and due > now) or (self._next_start is not None and now < self._next_start):
            return False
        started = False
        for number, running in enumerate(self._keyturns):
            if running is None:
                self._keyturns[number] = self._keyturn(["run", "--wait"], self._logs[number])
                started = True
        return started

    def _keyturn(self, arguments: Sequence[str], log: Path, config: Path | None = None) -> Program:
        told = [*arguments, "--config", str(config or self.stage.config)]
        return keyturn_program(told, self.stage.env, log, self._command)

    def _due(self) -> datetime | None:
        """When the ledger wants a look; None: at once."""
        waits = [record.not_before for record in self._records.values() if record.hold is None]
        ends = [end for end in waits if end is not None]
        return min(ends) if ends and len(ends) == len(waits) else None

    def _at_most(self, span: timedelta, *, idle: bool) -> timedelta:
        """Not beyond the next incident, nor, while nothing runs, beyond the next start of a timer."""
        now, due = self._control.now(), self._due()
        ends = list(self._planned.values())
        if idle:
            ends += [end for end in (due, self._next_start) if end is not None and end > now]
        return min([span, *(max(end - now, timedelta(seconds=1)) for end in ends)])

    def _hear_ended(self) -> None:
        """Programs that have ended are forgotten; a 1 is a complaint, anything else a fault of the stage."""
        for program in self._running():
            code = program.ended()
            if code is None:
                continue
            program.close()
            if program in self._others:
                self._others.remove(program)
            else:
                self._keyturns[self._keyturns.index(program)] = None
                self._next_start = self._control.now() + TIMER
            if code == 1:
                self._complaints.append(self._last_words())
            elif code != 0:
                raise StageFault(f"{PROGRAM_FAULT} {code}: {self._last_words()}")

    def _end_keyturns(self) -> None:
        for number, program in enumerate(self._keyturns):
            if program is not None:
                program.close()
                self._keyturns[number] = None

    def _rotate(self, sids: Sequence[str], because: str) -> None:
        """A person asks for it; it is the two keyturns that go on with it."""
        names = [f"{ALIAS}/{sid}" for sid in sids]
        self._others.append(self._keyturn(["rotate", *names, "--because", because], self.stage.log))

    # -------- what somebody else does

    def _plan_incidents(self) -> None:
        now, (first, last) = self._control.now(), SPREAD
        for sid, cause in self._cause.items():
            if cause.answer:
                self._planned[sid] = now + first + (last - first) * self._draw.random()

    def _interfere(self) -> None:
        now = self._control.now()
        due = sorted((at, sid) for sid, at in self._planned.items() if at <= now)
        if due:
            self._read_ledger()
        for _, sid in due:
            del self._planned[sid]
            record, cause = self._record(sid), self._cause[sid]
            if record.active is None or self._hands is None:
                raise StageFault(f"{sid} is not adopted, so that nobody can interfere")
            incident = Incident(cause=cause, sid=sid, at=now, look_by=record.not_before)
            self._hands.do(cause, sid, record.active, PRODUCTS[self.stage.sids.index(sid) % len(PRODUCTS)])
            self._happened[sid] = incident
            self._unanswered.add(sid)
            self._say(f"{record.id}: {cause.said}")
            self.stage.note_values()

    def _tell_answers(self) -> None:
        """Say what keyturn has done about an incident since."""
        for sid in sorted(self._unanswered):
            found = self._find(sid)
            if found.did and found.after is not None:
                self._unanswered.discard(sid)
                self._say(f"{ALIAS}/{sid}: keyturn {DID[found.did]}, {spell(found.after)} later")

    def _is_over(self) -> bool:
        """Everything happened, was looked at since, and nothing is under way."""
        return not self._planned and all(
            record.hold is not None or (record.stage is Phase.IDLE and self._was_looked_at(record))
            for record in self._records.values()
        )

    def _was_looked_at(self, record: Record) -> bool:
        """Since its incident, if it had one."""
        incident = self._happened.get(record.id.partition("/")[2])
        if incident is None or incident.at is None:
            return True
        return record.looked_at is not None and record.looked_at > incident.at

    def _are_rotated(self, sids: Sequence[str], times: int) -> bool:
        return all(self._record(sid).rotations >= times and self._record(sid).stage is Phase.IDLE for sid in sids)

    # -------- the epilogue

    def _another_ledger(self) -> Epilogue:
        """The same configuration for one apim subscription, and another ledger."""
        sid = self.stage.sids[0]
        text = self.stage.config.read_text(encoding="utf-8")
        text = text.replace(f"service: {ALIAS} }}", f"service: {ALIAS}, sid: {sid} }}")
        text = text.replace("keyturn.db", "other.db")
        config = self.stage.folder / "other.yaml"
        config.write_text(text, encoding="utf-8")
        before = self._control.arm_writes()
        program = self._keyturn(["run"], self.stage.log, config)
        self._others.append(program)
        code = self._conductor.follow(program)
        self._others.remove(program)
        if code not in {0, 1}:
            raise StageFault(f"{PROGRAM_FAULT} {code}: {self._last_words()}")
        with LedgerView.open(f"sqlite:///{config.with_name('other.db')}") as view:
            holds = [record.hold.reason for record in view.records() if record.hold is not None]
        return Epilogue(held=", ".join(holds), arm_writes=self._control.arm_writes() - before)

    # -------- comparing

    def _compare(self, epilogue: Epilogue, turning: Sequence[str]) -> Outcome:
        stage = self.stage
        self._read_ledger()
        live, shown = stage.live(), stage.shown()
        tally = self._tally()
        return Outcome(
            settings=self._settings,
            found=[self._find(sid) for sid in stage.sids],
            keyturns=[self._acted(log) for log in self._logs],
            rotating=len(turning),
            rotated=sum(self._record(sid).rotations >= 2 for sid in turning),
            alive=sum(shown[sid] in live[sid] for sid in stage.sids),
            calls=tally.calls,
            refused_by_callers=tally.refused,
            refused_by_gateways=self._control.refused_callers(),
            errors=tally.errors,
            complaints=self._complaints,
            epilogue=epilogue,
            arm_writes=self._control.arm_writes() - self._arm_before,
            leaks=stage.leaks(),
            emulated=self._control.now() - self._start,
            seconds=machine_seconds() - self._began,
        )

    def _find(self, sid: str) -> Found:
        incident = self._happened.get(sid) or Incident(cause=self._cause[sid], sid=sid)
        return reckoning.find(incident, self._history(sid), self._witness, self._settings)

    def _history(self, sid: str) -> list[Event]:
        with LedgerView.open(f"sqlite:///{self.stage.ledger}") as view:
            return [line.event for line in view.history(self._record(sid).key, LINES)]

    @staticmethod
    def _acted(log: Path) -> int:
        return len(ACTED.findall(log.read_bytes())) if log.exists() else 0

    # -------- between

    def _begin(self, act: str) -> None:
        self._act = act
        self._say(act)

    def _say(self, sentence: str) -> None:
        self._screen.say(f"  {when(self._start, self._control.now())}  {sentence}")

    def _after_step(self) -> None:
        for callers in self._callers:
            before = callers.tally.refused
            if callers.round().refused - before != len(callers.refused):
                raise StageFault("more callers are refused at once than can be told apart")
        refused = [name for callers in self._callers for name in callers.refused]
        self._witness.note(self._control.now(), refused, self._control.refused_by_caller())
        self._look()

    def _look(self) -> None:
        if self._screen.wants():
            self._read_ledger()
            self._screen.show(
                Picture(
                    start=self._start,
                    now=self._control.now(),
                    act=self._act,
                    records=list(self._records.values()),
                    tally=self._tally(),
                    gateway_refused=self._control.refused_callers(),
                    arm_writes=self._control.arm_writes() - self._arm_before,
                )
            )

    def _tally(self) -> Tally:
        return Tally(*(sum(column) for column in zip(*(each.tally for each in self._callers), strict=True)))

    def _record(self, sid: str) -> Record:
        return self._records.get(f"{ALIAS}/{sid}", Record(key="", id=f"{ALIAS}/{sid}"))

    def _read_ledger(self) -> None:
        """The ledger as anybody may look at it; what was seen last while it cannot be read."""
        if not self.stage.ledger.exists():
            return
        try:
            with LedgerView.open(f"sqlite:///{self.stage.ledger}") as view:
                self._records = {record.id: record for record in view.records()}
        except LedgerFault:
            return

    def _last_words(self) -> str:
        """What the program that wrote last said in the end."""
        logs = [log for log in (*self._logs, self.stage.log) if log.exists()]
        newest = max(logs, key=lambda log: log.stat().st_mtime_ns)
        said = newest.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " / ".join(said[-4:]) or "it said nothing"
