"""The play: a fleet is adopted, a period passes, the fleet is rotated, and what came of it is compared.

Two ways: with keyturn, the real program with a real configuration and ledger; and the way scripts do it. Callers and
gateways are the same in both. What counts in the end is what the callers and the gateways counted, and what the
emulator holds: keyturn's own word is not taken for it. Never here: a rule of keyturn, or looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from keyturn.demo import naive
from keyturn.demo.conductor import Conductor
from keyturn.demo.control import Callers, EmulatedAzure, Program, StageFault, Tally, keyturn_program, machine_seconds
from keyturn.demo.plug import Plug, instants
from keyturn.demo.screen import Picture, Screen, when
from keyturn.demo.stage import Pair, Settings, Stage
from keyturn.errors import LedgerFault
from keyturn.ledgers.reading import LedgerView
from keyturn.model import Record
from keyturn.policy import spell

GATEWAYS_EVERY: Final = 0.5
"""Machine seconds between two questions to the gateways for the picture."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the play proved."""

    way: str
    credentials: int
    rotated: int
    slots_renewed: int
    calls: int
    refused_by_callers: int
    refused_by_gateways: int
    errors: int
    """Calls that got no answer at all: a fault of the stage."""
    arm_writes: int
    plug_pulled: int
    leaks: list[str]
    emulated: timedelta
    seconds: float
    at_most: int
    """The most callers that were refused in one round of calls."""

    @property
    def is_good(self) -> bool:
        refused = self.refused_by_callers or self.refused_by_gateways
        return not refused and not self.errors and not self.leaks and self.rotated == self.credentials

    def in_json(self) -> dict[str, Any]:
        return {
            "way": self.way,
            "credentials": self.credentials,
            "rotated": self.rotated,
            "slots_renewed": self.slots_renewed,
            "calls": self.calls,
            "refused": {"callers": self.refused_by_callers, "gateways": self.refused_by_gateways},
            "errors": self.errors,
            "arm_writes": self.arm_writes,
            "plug_pulled": self.plug_pulled,
            "leaks": self.leaks,
            "emulated_days": round(self.emulated / timedelta(days=1), 2),
            "seconds": round(self.seconds, 1),
        }


class Play:
    """One performance on one stage. Close it, whatever happens."""

    def __init__(self, azure: EmulatedAzure, folder: Path, settings: Settings, screen: Screen) -> None:
        self.stage = Stage(azure, folder, settings)
        self.control = azure.control
        self._screen = screen
        self._act = ""
        self._done: int | None = None
        self._records: list[Record] = []
        self._program: Program | None = None
        self._callers: Callers | None = None
        self._gateway = (float("-inf"), 0)
        self._at_most = 0
        self._long_told = False
        self._arm_before = 0
        self._plug_pulled = 0
        self._began = machine_seconds()
        self.conductor = Conductor(
            self.control, self._after_step, most=settings.step, least=settings.least_step, between=self._look
        )

    def open(self) -> datetime:
        """Build the stage and let the callers call for the first time. The emulated instant at which it begins."""
        self.stage.build()
        self._start = self.control.now()
        self._callers = self.stage.callers()
        self._callers.round()
        return self._start

    def close(self) -> None:
        for program in (self._program, self._callers):
            if program is not None:
                program.close()

    # -------- the acts

    def careful(self, *, seed: int | None = None) -> Outcome:
        """With keyturn. `seed`: pull the plug at instants drawn from it. Raises StageFault."""
        stage, settings = self.stage, self.stage.settings
        self._begin("keyturn adopts the fleet: it looks, and writes no slot")
        self._keyturn_to_the_end(None)
        self._say("adopted: the vault shows every primary, so primary is active; nothing was written to a slot")
        self._wait_for_due()
        before = stage.live()
        self._arm_before = self.control.arm_writes()
        why = f'"primary is {spell(settings.period)} old, policy says {spell(settings.period)}"'
        self._begin(f"{settings.credentials} due: {why}")
        plug = None if seed is None else Plug(self.control, instants(seed, settings.credentials, settings.drain))
        self._keyturn_to_the_end(plug)
        self._plug_pulled = 0 if plug is None else len(plug.pulled)
        self._begin("everybody reads the new key once more")
        self.conductor.pass_time(settings.cache, settings.step)
        return self._compare("careful", before)

    def naive(self) -> Outcome:
        """The way scripts do it, at the same moment, before the same callers. Raises StageFault."""
        stage, settings = self.stage, self.stage.settings
        self._wait_for_due()
        before = stage.live()
        self._arm_before = self.control.arm_writes()
        self._begin("a script regenerates every primary in place, then writes it to the vault")
        naive.rotate(stage, self.conductor.step, self._script_did)
        self._say("regenerated in place; the vault shows the new values, the callers' caches do not")
        self.conductor.pass_time(settings.drain, settings.step)
        return self._compare("naive", before)

    def _wait_for_due(self) -> None:
        settings = self.stage.settings
        self._begin(f"{spell(settings.period)} pass; every caller goes on calling")
        self.conductor.pass_time(self._start + settings.period - self.control.now(), settings.idle_step)

    def _keyturn_to_the_end(self, plug: Plug | None) -> None:
        """Run keyturn until it says that nothing is under way; start it again whenever the plug was pulled."""
        while True:
            self._program = keyturn_program(
                ["run", "--wait", "--config", str(self.stage.config)], self.stage.env, self.stage.log
            )
            code = self.conductor.follow(self._program, plug.due if plug is not None else lambda: False)
            if code is None and plug is not None:
                instant = plug.pull(self._program)
                self.stage.note_values()
                self._after_step()
                self._say(f"plug pulled: {instant.sentence()}; keyturn starts again")
                continue
            if plug is not None:
                plug.put_away()
            self._look(force=True)
            if code != 0:
                raise StageFault(f"keyturn ended with {code}: {self._last_words()}")
            return

    def _compare(self, way: str, before: Mapping[str, Pair]) -> Outcome:
        """What the emulator holds now against what it held before."""
        stage = self.stage
        after, shown = stage.live(), stage.shown()
        changed = {sid: tuple(b != a for b, a in zip(before[sid], after[sid], strict=True)) for sid in stage.sids}
        if way == "naive":
            rotated = [changed[sid][0] and shown[sid] == after[sid].primary for sid in stage.sids]
        else:
            rotated = [all(changed[sid]) and shown[sid] == after[sid].secondary for sid in stage.sids]
        tally = self._callers.tally if self._callers is not None else Tally()
        return Outcome(
            way=way,
            credentials=len(stage.sids),
            rotated=sum(rotated),
            slots_renewed=sum(map(sum, changed.values())),
            calls=tally.calls,
            refused_by_callers=tally.refused,
            refused_by_gateways=self.control.refused_callers(),
            errors=tally.errors,
            arm_writes=self.control.arm_writes() - self._arm_before,
            plug_pulled=self._plug_pulled,
            leaks=stage.leaks(),
            emulated=self.control.now() - self._start,
            seconds=machine_seconds() - self._began,
            at_most=self._at_most,
        )

    # -------- between the acts

    def _begin(self, act: str) -> None:
        self._act = act
        self._say(act)

    def _say(self, sentence: str) -> None:
        now = self.control.now()
        self._screen.say(f"  {when(self._start, now)}  {sentence}")

    def _script_did(self, done: int) -> None:
        self._done = done
        self._look()

    def _after_step(self) -> None:
        if self._callers is not None:
            before = self._callers.tally.refused
            self._at_most = max(self._at_most, self._callers.round().refused - before)
        long_told, self._long_told = self._long_told, self.conductor.waiting_long
        self._look(force=self._long_told and not long_told)

    def _look(self, *, force: bool = False) -> None:
        """Show where everything is, if it is time to."""
        if self._screen.wants() or force:
            self._records = self._read_ledger()
            self._screen.show(self._picture())

    def _picture(self) -> Picture:
        asked_at, refused = self._gateway
        if machine_seconds() - asked_at > GATEWAYS_EVERY:
            refused = self.control.refused_callers()
            self._gateway = (machine_seconds(), refused)
        return Picture(
            start=self._start,
            now=self.control.now(),
            act=self._act,
            records=self._records,
            tally=self._callers.tally if self._callers is not None else Tally(),
            gateway_refused=refused,
            arm_writes=self.control.arm_writes() - self._arm_before,
            done=self._done,
        )

    def _read_ledger(self) -> list[Record]:
        """The ledger as anybody may look at it; what was seen last while it cannot be read."""
        if not self.stage.ledger.exists():
            return []
        try:
            view = LedgerView.open(f"sqlite:///{self.stage.ledger}")
            try:
                return list(view.records())
            finally:
                view.close()
        except LedgerFault:
            return self._records

    def _last_words(self) -> str:
        said = self.stage.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " / ".join(said[-4:]) or "it said nothing"
