"""A small company that rotates while its keyturn is killed: three credentials in two kinds of sinks, and all callers.

The plug is pulled at any request at all of keyturn's, sign-in and lists included: the emulator counts every request
while the callers are silent, and holds the n-th until keyturn is dead.
"""

from __future__ import annotations

import http.client
import random
import ssl
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from keyturn.demo.conductor import Conductor
from keyturn.demo.control import Callers, EmulatedAzure, Program, keyturn_program
from keyturn.demo.stage import Pair, Settings, Stage
from keyturn.ledgers.reading import LedgerView
from keyturn.model import Record
from keyturn.ports import HistoryLine

PERIOD, CACHE, DRAIN = timedelta(hours=6), timedelta(minutes=8), timedelta(minutes=10)
ANY, PROBE, PUT = "any", "probe", "put"
WRITE = "write"
SHORT_WAITS = """\
    consumers: { cache: 8m, longest_call: 10s, replication: 10s }
    settle: 10s
    deadline: 20s
    late: 1m
    max_clock_skew: 10s
"""


def settings(mode: str, sinks: Path) -> Settings:
    return Settings(
        credentials=3,
        workers=8,
        mode=mode,
        period=PERIOD,
        drain=DRAIN,
        cache=CACHE,
        look_every=timedelta(hours=1),
        more=SHORT_WAITS,
        also_publish=f"""      - file: {{ path: "{sinks}/callers.env", variable: "KEY_{{sid}}" }}\n""",
    )


class Aim(NamedTuple):
    """The next kill: at the n-th request of a kind, counted from when all credentials have reached `stage`.

    Without such aims nearly every kill falls into CONFIRM, which makes by far the most requests.
    """

    kind: str
    most: int
    """n is drawn from 1 to this."""
    apply: bool | None = None
    """None: drawn."""
    stage: str = ""


def aims(mode: str, turned: bool) -> list[tuple[Aim, dict[str, str]]]:
    """Fourteen kills over one rotation, in order. `turned` swaps which effects happen before the kill."""
    write = {"method": "PATCH"} if mode == "set" else {"method": "POST", "path_contains": "/regenerate"}
    matches = {ANY: {}, PROBE: {"path_contains": "/status/ping"}, PUT: {"method": "PUT"}, WRITE: write}
    planned = [
        Aim(ANY, 6),  # signing in and listing: more would let the first writes pass
        Aim(WRITE, 2, turned),
        Aim(WRITE, 1, not turned),
        Aim(ANY, 30),
        Aim(PROBE, 12),
        Aim(ANY, 20),
        Aim(PUT, 2, not turned),
        Aim(PUT, 1, turned),
        Aim(ANY, 2, stage="drain"),  # the looks that end a drain: no slot has been retired yet
        Aim(WRITE, 2, not turned),
        Aim(WRITE, 1, turned),
        Aim(PROBE, 12),
        Aim(ANY, 20),
        Aim(ANY, 20),
    ]
    return [(aim, matches[aim.kind]) for aim in planned]


class Kill(NamedTuple):
    """At which request after the start keyturn died, whether it took effect, and what it was if it did."""

    request: int
    apply: bool
    what: str
    aim: str
    stages: tuple[str, ...]
    """Where the three credentials were by the ledger when keyturn died."""


class FileCallers:
    """Callers that read their key from a file, keep it as long as the others do, and call a gateway."""

    def __init__(self, stage: Stage, path: Path) -> None:
        self._path, self._sids, self._control = path, stage.sids, stage.control
        self._host = stage.gateways()[-1]
        self._proxy = urlsplit(str(stage.azure.ready["proxy"]))
        self._trust = ssl.create_default_context(cafile=str(stage.azure.ready["ca_bundle"]))
        self._connection: http.client.HTTPSConnection | None = None
        self._keys: dict[str, str] = {}
        self._read_at: datetime | None = None
        self.calls = 0
        self.refused = 0

    def round(self) -> None:
        """Everybody calls once; nobody calls before keyturn has filled the file for the first time."""
        now = self._control.now()
        if self._read_at is None or now - self._read_at >= CACHE:
            self._keys, self._read_at = self.read(), now
        for sid, key in self._keys.items():
            self.calls += 1
            self.refused += self._call(sid, key) == 401

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def read(self) -> dict[str, str]:
        """What the file shows now, for every sid that it has a line for."""
        text = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        return {sid: lines[f"KEY_{sid}"].strip('"') for sid in self._sids if f"KEY_{sid}" in lines}

    def _call(self, sid: str, key: str) -> int:
        if self._connection is None:
            port = self._proxy.port
            self._connection = http.client.HTTPSConnection(str(self._proxy.hostname), port, context=self._trust)
            self._connection.set_tunnel(self._host, 443)
        headers = {"Ocp-Apim-Subscription-Key": key, "User-Agent": f"caller/file-{sid}"}
        self._connection.request("GET", f"/orders/{sid}", headers=headers)
        response = self._connection.getresponse()
        response.read()
        return response.status


class Company:
    """One rotation, from adoption to rest, with kills drawn from `seed`."""

    def __init__(self, azure: EmulatedAzure, folder: Path, mode: str, seed: int) -> None:
        self.sinks, home = folder / "sinks", folder / "home"
        self.sinks.mkdir()
        home.mkdir()
        self.stage = Stage(azure, home, settings(mode, self.sinks))
        self.control = azure.control
        self.kills: list[Kill] = []
        self._draw = random.Random(seed)
        self._aims = aims(mode, turned=seed % 2 == 1)
        self._aim, self._match = self._aims[0]
        self._drawn = self._left = 0
        self._apply = self._armed = self._due = False
        self.stage.build()
        self.callers: Callers = self.stage.callers()
        self.file_callers = FileCallers(self.stage, self.sinks / "callers.env")
        self.program: Program | None = None
        self.conductor = Conductor(self.control, self._after_step, most=self.stage.settings.step)
        self._call_all()

    def close(self) -> None:
        self.control.resume()
        if self.program is not None:
            self.program.close()
        self.callers.close()
        self.file_callers.close()

    # -------- what happens

    def adopt_and_wait_until_due(self) -> Mapping[str, Pair]:
        """Undisturbed; the values that live then."""
        self._keyturn_to_the_end(kills=False)
        self.conductor.pass_time(PERIOD, timedelta(minutes=30))
        return self.stage.live()

    def rotate_under_kills(self) -> None:
        self._keyturn_to_the_end(kills=True)
        self.conductor.pass_time(CACHE, self.stage.settings.step)

    def _keyturn_to_the_end(self, *, kills: bool) -> None:
        while True:
            self.program = keyturn_program(
                ["run", "--wait", "--config", str(self.stage.config)], self.stage.env, self.stage.log
            )
            self._due = kills and bool(self._aims)
            if self._due:
                self._take_aim()
            code = self.conductor.follow(self.program, self._is_held)
            if code is None:
                self._pull()
                continue
            self._disarm()
            said = self.stage.log.read_text(encoding="utf-8")[-2000:]
            assert code == 0, f"keyturn ended with {code}:\n{said}"
            return

    # -------- the plug

    def _take_aim(self) -> None:
        self._aim, self._match = self._aims[0]
        self._drawn = self._left = self._draw.randint(1, self._aim.most)
        self._apply = self._draw.random() < 0.5 if self._aim.apply is None else self._aim.apply
        self._arm_if_reached()

    def _arm_if_reached(self) -> None:
        """Arm once every credential is where the aim wants it."""
        wanted = self._aim.stage
        if not wanted or {record.stage.value for record in self.records()} == {wanted}:
            self._armed = True
            self.control.pause_at(self._left, self._match, apply=self._apply)

    def _is_held(self) -> bool:
        if self._due and not self._armed:
            self._arm_if_reached()
        return self._armed and self.control.paused()

    def _pull(self) -> None:
        assert self.program is not None
        newest = self.control.ask("GET", f"calls?since={self.control.sequence() - 1}&limit=1")["calls"][-1]
        what = f"{newest['kind']} {newest['method']}" if self._apply else ""
        stages = tuple(record.stage.value for record in self.records())
        self.program.kill()
        before = self._quiet()
        self._disarm()
        assert self._quiet() == before, "a held request took effect although its sender was dead"
        self.kills.append(Kill(self._drawn, self._apply, what, self._aim.kind, stages))
        self._aims.pop(0)
        self._call_all()

    def _quiet(self) -> int:
        """How many requests were answered, once what the dead had on the wire has been: it sends no more."""
        counted = -1
        while counted != (counted := self.control.sequence()):
            self.control.now()
        return counted

    def _disarm(self) -> None:
        self._armed = False
        self.control.resume()

    def _after_step(self) -> None:
        """Callers call while the plug is put away: theirs are not the requests that count."""
        if not self._armed:
            self._call_all()
            return
        seen = self.control.ask("GET", "pause")
        if seen["reached"]:
            return  # everything stands still until keyturn is dead; the callers call right after
        self._disarm()
        self._call_all()
        self._left = max(self._left - int(seen["seen"]), 1)
        self._armed = True
        self.control.pause_at(self._left, self._match, apply=self._apply)

    def _call_all(self) -> None:
        self.callers.round()
        self.file_callers.round()
        self.stage.note_values()

    # -------- what came of it

    def records(self) -> list[Record]:
        view = LedgerView.open(f"sqlite:///{self.stage.ledger}")
        try:
            return list(view.records())
        finally:
            view.close()

    def history(self) -> list[HistoryLine]:
        view = LedgerView.open(f"sqlite:///{self.stage.ledger}")
        try:
            return list(view.history(limit=100_000))
        finally:
            view.close()

    def shown_in_files(self) -> dict[str, str]:
        return self.file_callers.read()
