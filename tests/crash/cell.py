"""Plays one cell of the matrix and judges it: the rotation ends, nobody is refused, nothing is sent once too often.

Emulated time moves only while keyturn waits, and everybody calls after each of its steps. keyturn dies by SIGKILL, in
the very state that the cell names: the emulator holds the request, or the program kills itself (`life`). Then the next
life goes on to the end. Never here: which cells there are (that is `matrix`).
"""

from __future__ import annotations

import random
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from keyturn.demo.conductor import Conductor
from keyturn.demo.control import CALLING, EmulatedAzure, StageFault
from keyturn.demo.stage import holds_any
from keyturn.errors import Malformed
from keyturn.ledgers.reading import LedgerView
from keyturn.model import Record, Secret, Slot, Stage
from keyturn.ports import HistoryLine
from keyturn.tokens import parse, verify
from tests.crash.matrix import OURS, SENDS, Cell, Match, Next, Way, events_of, list_of, requests_of, write_of
from tests.crash.nursery import Life, Nursery
from tests.crash.worlds import CACHE, World

MOST_LATE: Final = 50
"""Emulated seconds after which a late effect comes at the latest: within `late` of the policy."""
LATEST_REQUEST: Final = 25
"""A late effect comes while one of the next life's first so many requests is on its way, or after the time above."""
LIVES: Final = 4
"""A rotation that has not ended after so many lives, of which one is killed, never will."""


class Played(NamedTuple):
    """What came of a cell. `broken`: a sentence for each promise that was."""

    cell: Cell
    broken: tuple[str, ...]
    kills: int
    calls: int
    refused: int
    writes: int
    """Writes to the slots, and the proof of the fence, that reached Azure."""
    lists: int
    rested: timedelta | None = None
    """Emulated time from the crash until the next life saved an event."""
    said: str = ""
    """What keyturn printed, where a promise was broken."""


class Broken(Exception):
    """A promise is broken so that the cell cannot be played on."""


Incident = Callable[[World], None]


class Ground(NamedTuple):
    """What all cells are played on, one after the other."""

    azure: EmulatedAzure
    nursery: Nursery

    @classmethod
    def start(cls) -> Ground:
        nursery = Nursery()
        try:
            return cls(EmulatedAzure.start(), nursery)
        except BaseException:
            nursery.close()
            raise

    def close(self) -> None:
        self.azure.close()
        self.nursery.close()


def play(ground: Ground, folder: Path, cell: Cell, seed: int = 0, incident: Incident | None = None) -> Played:
    """One cell in an empty folder. `incident` happens right after the crash: only what breaks a promise uses it."""
    playing = _Playing(ground, folder, cell, seed, incident)
    try:
        return playing.perform()
    finally:
        playing.close()


class _Playing:
    def __init__(self, ground: Ground, folder: Path, cell: Cell, seed: int, incident: Incident | None) -> None:
        self._cell, self._incident = cell, incident
        self._control, self._nursery = ground.azure.control, ground.nursery
        self._draw = random.Random(f"{seed} {cell.name}")
        self._control.resume()
        self._world = World(ground.azure, folder, cell.kind, cell.mode)
        self._before = self._world.live()
        self._ever: set[str] = set(self._before)
        self._life: Life | None = None
        self._kills = 0
        self._died: tuple[datetime, int] | None = None
        """When, and how many events it had saved."""
        self._conductor = Conductor(self._control, self._everybody_calls, most=CACHE / 4)
        self._began = self._control.sequence()

    def close(self) -> None:
        self._control.resume()
        if self._life is not None:
            self._life.kill()
        self._world.close()

    def perform(self) -> Played:
        self._everybody_calls()
        broken: list[str] = []
        try:
            self._to_the_end()
            self._conductor.pass_time(CACHE, CACHE / 4)
        except (Broken, StageFault) as early:
            broken.append(str(early))
        broken += self._judge()
        world, counted = self._world, self._counted()
        return Played(
            cell=self._cell,
            broken=tuple(broken),
            kills=self._kills,
            calls=sum(caller.calls for caller in world.callers),
            refused=sum(caller.refused for caller in world.callers),
            writes=len(counted[0]),
            lists=len(counted[1]),
            rested=self._rested(),
            said=world.log.read_text(encoding="utf-8") if broken else "",
        )

    # -------- lives and deaths

    def _to_the_end(self) -> None:
        """The life that dies, then whoever goes on. Raises Broken where that does not end."""
        self._live_until_killed()
        for _ in range(LIVES):
            code = self._live_on()
            if code != 0:
                raise Broken(f"keyturn ended with {code}")
            if (record := self._record()) is not None and record.rotations:
                return
        raise Broken(f"it did not rotate in {LIVES} lives")

    def _live_until_killed(self) -> None:
        cell = self._cell
        if cell.way is Way.QUIET:
            return
        if cell.step.event:
            life = self._born(dies=cell.step.event, nth=cell.step.nth, after=cell.way is Way.AFTER)
            self._expect(self._conductor.follow(life) == -signal.SIGKILL)
        else:
            life = self._born()
            if cell.step.tells:
                self._tell(life)
            else:
                self._walk(life)
            life.kill()
            self._forget_the_dead()
        self._kills += 1
        self._died = self._control.now(), len(self._history())
        if self._incident is not None:
            self._incident(self._world)
        self._everybody_calls()

    def _walk(self, life: Life) -> None:
        """To the request at which it dies, or the one after it, where it has to learn that the answer is lost."""
        *before, last = self._cell.step.path
        for match in before:
            self._pause_at(match)
            self._follow_until_held(life)
        way = self._cell.way
        self._pause_at(last, apply=way in {Way.AFTER, Way.LOST}, late=MOST_LATE if way is Way.LATE else None)
        self._follow_until_held(life)
        if way is Way.LOST:
            self._pause_at(OURS, cut=True)
            self._follow_until_held(life)

    def _tell(self, life: Life) -> None:
        """To the event that its receiver does not answer."""
        way, receiver = self._cell.way, self._world.receiver
        receiver.hold(self._cell.step.nth, taken=way in {Way.AFTER, Way.LOST}, late=way is Way.LATE)
        self._expect(self._conductor.follow(life, receiver.held.is_set) is None)
        if way is Way.LOST:
            self._pause_at(OURS)
            receiver.let_go()
            self._follow_until_held(life)

    def _live_on(self) -> int | None:
        """The next life, to its end; its exit code."""
        life = self._born(machine="another" if self._cell.next is Next.OTHER else "")
        if self._cell.way is Way.LATE and self._in_the_air():
            self._let_it_land(life)
        return self._conductor.follow(life)

    def _let_it_land(self, life: Life) -> None:
        """What the dead one sent takes effect while a request of this life is on its way."""
        nth = self._draw.randint(1, LATEST_REQUEST)
        self._control.ask("POST", "pause", {"after_requests": nth, "match": dict(OURS)})
        self._conductor.follow(life, lambda: self._control.paused() or not self._in_the_air())
        self._control.ask("POST", "faults/release")
        self._world.receiver.land()
        self._control.resume()

    def _in_the_air(self) -> bool:
        """Whether something that a dead one sent is still to take effect."""
        told = self._world.receiver.in_the_air is not None
        if told and self._died and self._control.now() < self._died[0] + timedelta(seconds=MOST_LATE):
            return True
        return bool(self._control.ask("GET", "faults")["late_effects"])

    def _born(self, *, machine: str = "", dies: str = "", nth: int = 1, after: bool = False) -> Life:
        """A life that goes on with the rotation, or asks for it where nobody has."""
        world = self._world
        record = self._record()
        asked = record is not None and (
            record.requested is not None or record.rotations > 0 or record.stage not in {Stage.UNKNOWN, Stage.IDLE}
        )
        what = ["run", "--wait"] if asked else ["rotate", world.kind.id, "--wait"]
        command = [*what, "--config", str(world.config)]
        self._life = self._nursery.bear(command, world.env, world.log, machine=machine, dies=dies, nth=nth, after=after)
        return self._life

    def _pause_at(self, match: Match, *, apply: bool = False, late: float | None = None, cut: bool = False) -> None:
        """Whoever was held until now goes on, and the next one that fits is held: in one request, so none slips by."""
        body: dict[str, Any] = {"after_requests": 1, "match": dict(match), "apply": apply, "cut": cut}
        self._control.ask("POST", "pause", body if late is None else {**body, "late": late})

    def _follow_until_held(self, life: Life) -> None:
        code = self._conductor.follow(life, self._control.paused)
        if code is not None:
            raise Broken(f"it never came to {self._cell.step.name}, and ended with {code}")

    def _rested(self) -> timedelta | None:
        if self._died is None:
            return None
        at, saved = self._died
        return next((line.event.at - at for line in self._history()[saved:]), None)

    def _expect(self, came: bool) -> None:
        if not came:
            raise Broken(f"it never came to {self._cell.step.name}")

    def _forget_the_dead(self) -> None:
        """Let go what was held for a sender that is dead: two answers later its connections are seen to be closed."""
        self._world.receiver.let_go()
        self._control.now()
        self._control.now()
        self._control.resume()

    def _everybody_calls(self) -> None:
        self._ever |= set(self._world.live())
        self._world.everybody_calls(self._control.now())

    # -------- the judgement

    def _judge(self) -> Iterator[str]:
        yield from self._judge_ledger()
        yield from self._judge_slots()
        yield from self._judge_callers()
        yield from self._judge_sends()
        needles = [value.encode() for value in self._ever]
        for path in sorted(self._world.home.rglob("*")):
            if path.is_file() and holds_any(path.read_bytes(), needles):
                yield f"a key value stands in {path.name}"

    def _judge_ledger(self) -> Iterator[str]:
        record, lines = self._record(), self._history()
        if record is None:
            yield "the ledger knows nothing of it"
            return
        if record.hold is not None:
            yield f"held: {record.hold.sentence}"
        if (record.stage, record.rotations, record.active) != (Stage.IDLE, 1, Slot.SECONDARY):
            yield f"it stands in {record.stage} after {record.rotations} rotations, {record.active} active"
        if [line.seq for line in lines] != list(range(1, len(lines) + 1)):
            yield "the history has a gap"
        told = tuple(line.event.kind for line in lines)
        if self._cell.way is Way.QUIET and told != events_of(self._cell.kind, self._cell.mode):
            yield f"a quiet rotation saves other events than the matrix knows: {', '.join(told)}"
        if self._cell.way is Way.QUIET:
            yield from self._judge_steps()

    def _judge_steps(self) -> Iterator[str]:
        """Whether every request of a quiet rotation is one that some cell dies at."""
        known = [match for step in requests_of(self._cell.kind, self._cell.mode) for match in step.path]
        for call in self._calls():
            if _fits(call, OURS) and not any(_fits(call, match) for match in known):
                yield f"no cell dies at {call['method']} {call['host']}{call['path']}"

    def _judge_slots(self) -> Iterator[str]:
        live = self._world.live()
        if live.primary == self._before.primary:
            yield "the old value still lives"
        if live.secondary == self._before.secondary:
            yield "the standby was not renewed"
        for sink in self._world.kind.sinks:
            shown = self._world.shown_in(sink)()
            if shown is None or not self._made_from(shown, live.secondary):
                yield f"the {sink} does not show the active value"

    def _made_from(self, shown: str, value: str) -> bool:
        if not self._cell.kind.tokens:
            return shown == value
        try:
            return verify(parse(shown), Secret(value))
        except Malformed:
            return False

    def _judge_callers(self) -> Iterator[str]:
        for sink, caller in zip(self._world.kind.sinks, self._world.callers, strict=True):
            if caller.refused or caller.errors:
                yield f"who reads the {sink} was refused {caller.refused} times and answered wrongly {caller.errors}"
            if caller.calls < 8:
                yield f"who reads the {sink} called {caller.calls} times only"
        if counted := self._refused_by_endpoints():
            yield f"the endpoints refused {counted} calls"

    def _refused_by_endpoints(self) -> int:
        at_gateways = self._control.refused_callers()
        rows = self._control.ask("GET", "signins")["signins"]
        refused = [int(row["calls"]) for row in rows if row["agent"].startswith(CALLING) and not row["accepted"]]
        return at_gateways + sum(refused)

    def _judge_sends(self) -> Iterator[str]:
        writes, lists = self._counted()
        allowed = SENDS[self._cell.kind.name, self._cell.mode]
        quiet = self._cell.way is Way.QUIET
        most_writes = allowed.quiet_writes if quiet else allowed.writes
        most_lists = allowed.quiet_lists if quiet else allowed.lists
        if len(writes) > most_writes:
            yield f"{len(writes)} writes reached Azure, of {most_writes} at most"
        if len(lists) > most_lists:
            yield f"the values were read {len(lists)} times, of {most_lists} at most"
        applied = [call for call in writes if 200 <= call["status"] < 300]
        if len(applied) != 2:
            yield f"{len(applied)} writes took effect, and not one per slot"
        if self._in_the_air():
            yield "a late effect is still to come"

    def _counted(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The writes that reached Azure, and the reads of values, whoever sent them."""
        cell = self._cell
        write, listing = (
            {**match, "agent_regex": ""} for match in (write_of(cell.kind, cell.mode), list_of(cell.kind))
        )
        answered = [call for call in self._calls() if call["status"] is not None]
        return [c for c in answered if _fits(c, write)], [c for c in answered if _fits(c, listing)]

    def _calls(self) -> list[dict[str, Any]]:
        return list(self._control.ask("GET", f"calls?since={self._began}&limit=100000")["calls"])

    # -------- the ledger

    @contextmanager
    def _ledger(self) -> Iterator[LedgerView | None]:
        if not self._world.ledger.exists():
            yield None
            return
        with LedgerView.open(f"sqlite:///{self._world.ledger}") as view:
            yield view

    def _record(self) -> Record | None:
        with self._ledger() as view:
            return None if view is None else next(iter(view.records()), None)

    def _history(self) -> list[HistoryLine]:
        with self._ledger() as view:
            return [] if view is None else list(view.history(limit=10_000))


def _fits(call: dict[str, Any], match: Match) -> bool:
    """As the emulator compares."""
    same = all(call[name] == match.get(name, call[name]) for name in ("host", "method"))
    return same and all(re.search(match.get(f"{name}_regex", ""), call[name]) for name in ("path", "agent"))
