"""Pulling the plug: keyturn is killed at the n-th request of a kind, or in the middle of a wait, and started again.

The instants are drawn from a seed and spread over renew, confirm, publish, drain, retire and the last confirm. The
emulator holds the request at which keyturn dies, so that "just there" means just there. Never here: starting keyturn
again, or what it makes of it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from keyturn.demo.control import Control, Program


class Instant(NamedTuple):
    """When keyturn dies: at the `request`-th one that fits `match`, or `after` emulated time."""

    where: str
    match: Mapping[str, str]
    request: int = 0
    apply: bool = False
    """The request takes effect, and its answer is lost."""
    after: timedelta = timedelta(0)

    def sentence(self) -> str:
        if not self.request:
            return f"SIGKILL in the middle of the {self.where}"
        effect = "took effect, its answer is lost" if self.apply else "never arrived"
        return f"SIGKILL at {self.where}, request {self.request}, which {effect}"


def instants(seed: int, credentials: int, drain: timedelta) -> list[Instant]:
    """Six instants of one rotation in `set` mode, in the order in which they come."""
    draw = random.Random(seed)  # noqa: S311 - the same seed plays the same play
    half = max(1, credentials // 2)
    writes, probes, sets = {"method": "PATCH"}, {"path_contains": "/status/ping"}, {"method": "PUT"}
    return [
        Instant("renew", writes, draw.randint(1, half), draw.random() < 0.5),
        Instant("confirm", probes, draw.randint(1, 6 * half), draw.random() < 0.5),
        Instant("publish", sets, draw.randint(1, half), draw.random() < 0.5),
        Instant("drain", {}, after=drain * draw.uniform(0.2, 0.8)),
        Instant("retire", writes, draw.randint(1, half), draw.random() < 0.5),
        Instant("confirm the standby", probes, draw.randint(1, 6 * half), draw.random() < 0.5),
    ]


class Plug:
    """Watches for the next instant and kills there."""

    def __init__(self, control: Control, planned: list[Instant]) -> None:
        self._control = control
        self._planned = list(planned)
        self._at: datetime | None = None
        self.pulled: list[Instant] = []
        self._prepare()

    def due(self) -> bool:
        """Whether keyturn dies now."""
        if not self._planned:
            return False
        if self._at is not None:
            return self._control.now() >= self._at
        return self._control.paused()

    def pull(self, program: Program) -> Instant:
        """Kill the program where it stands, then let the held requests go: their sender is gone."""
        program.kill()
        self._control.now()  # two answers later Azure has seen the connections of the dead close
        self._control.now()
        self._control.resume()
        instant = self._planned.pop(0)
        self.pulled.append(instant)
        self._prepare()
        return instant

    def put_away(self) -> None:
        """No more instants: nothing is held any longer."""
        self._planned.clear()
        self._control.resume()

    def _prepare(self) -> None:
        self._at = None
        if not self._planned:
            return
        coming = self._planned[0]
        if coming.request:
            self._control.pause_at(coming.request, coming.match, apply=coming.apply)
        else:
            self._at = self._control.now() + coming.after
