"""`keyturn run`, and how every command that takes turns follows a sweep, tells of it, and is stopped.

The first Ctrl-C or SIGTERM starts no new turn; a second one exits at once. Both leave a record that the next run
resumes. Never here: what a turn does.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import FrameType
from typing import TYPE_CHECKING

import click

from keyturn.cli import options, screen
from keyturn.cli.looking import NOBODY, chosen, problems_in_json, tell_problems
from keyturn.model import Credential, Event, Record

if TYPE_CHECKING:
    from keyturn.assemble import Assembled, Discovered
    from keyturn.config import Config
    from keyturn.policy import Policy
    from keyturn.ports import Clock
    from keyturn.sweep import Charge, Sweep, Swept

LOOK_UP = 0.2
"""Machine seconds after which a wait looks whether it was asked to stop."""
WAIT = click.option("--wait", is_flag=True, help="Follow every rotation to its end, however long that takes.")


@click.command()
@options.NAMES
@WAIT
@options.configured
def run(names: tuple[str, ...], wait: bool, config: str | None) -> int:
    """Advance everything that can move now, then end; a wait is stored, and the next run goes on.

    Run it from a timer, every few minutes or so. Exits 1 when a credential is held or failing.
    """
    with working(options.read(config)) as work:
        charges = chosen(names, work.found)
        # whoever names one has mended something, or wants to know: it is looked at now, whatever it waits for
        return work.follow(charges, to_the_end=wait, force=[c.credential.key for c in charges] if names else ())


# -------- a command at work


def change(
    keyturn: Assembled, credential: Credential, asked: Callable[[Record, datetime], tuple[Record, Event]]
) -> Record:
    """Save what a person asked for by compare-and-swap; once more if a turn saved first. Raises NeedsPerson."""
    record, event = keyturn.change(credential, asked)
    screen.acting()
    tell(credential.id, event)
    return record


def tell(name: str, event: Event) -> None:
    """One line per thing that happened."""
    told = screen.happened(event.kind, event.sentence, event.rule)
    screen.say(f"{event.at:%Y-%m-%d %H:%M:%S}  {name}  {told}", below=screen.TIMED)


class _Teller:
    """The notifier of a command: it writes lines, and keeps them for programs."""

    def __init__(self) -> None:
        self.told: list[dict[str, str]] = []

    def tell(self, credential: str, event: Event) -> None:
        self.told.append(
            {"at": f"{event.at:%Y-%m-%dT%H:%M:%SZ}", "id": credential, "kind": event.kind, "sentence": event.sentence}
        )
        tell(credential, event)


class _Waits:
    """The clock of a sweep: a wait that a signal ends at once, and that says when time must be moved by hand."""

    def __init__(self, clock: Clock, stop: threading.Event, *, emulated: bool) -> None:
        self._clock, self._stop, self._emulated = clock, stop, emulated

    def now(self) -> datetime:
        return self._clock.now()

    def boottime(self) -> float:
        return self._clock.boottime()

    def random_bytes(self, count: int) -> bytes:
        return self._clock.random_bytes(count)

    def wait(self, seconds: float) -> None:
        if self._emulated:
            until = self._clock.now() + timedelta(seconds=seconds)
            screen.whisper(f"waiting for {until:%Y-%m-%d %H:%M:%S} UTC, emulated (`keyturn emulator --advance …`)")
        ended = threading.Event()
        failed: list[Exception] = []

        def waiting() -> None:
            try:
                self._clock.wait(seconds)
            except Exception as error:  # noqa: BLE001 - it is raised again where it is waited for
                failed.append(error)
            ended.set()

        threading.Thread(target=waiting, name="waits", daemon=True).start()
        while not ended.wait(LOOK_UP) and not self._stop.is_set():
            pass
        if failed:
            raise failed[0]


class Work:
    """Everything put together and discovered, for one command that acts."""

    def __init__(self, keyturn: Assembled, found: Discovered, teller: _Teller, stop: threading.Event) -> None:
        self.keyturn, self.found = keyturn, found
        self._teller, self._stop = teller, stop

    def follow(
        self,
        charges: Sequence[Charge],
        *,
        to_the_end: bool = False,
        force: Collection[str] = (),
        fine: Collection[str] = (),
        told: Mapping[str, object] | None = None,
        code: int = 0,
    ) -> int:
        """Sweep over the charges, tell how it ended, and return the exit code. `fine`: holds that were asked for;
        `told`: what else a program should know; `code`: what the exit code is at least."""
        from keyturn.sweep import Sweep  # noqa: PLC0415

        screen.acting()
        self.keyturn.hold_unusable(self.found)
        sweep = Sweep(
            charges,
            ledger=self.keyturn.ledger,
            clock=_Waits(self.keyturn.clock, self._stop, emulated=self.keyturn.config.clock is not None),
            holder=self.keyturn.holder,
            workers=self.keyturn.config.workers,
        )
        with _stopping(sweep, self._stop) as caught:
            wanted = {charge.credential.key for charge in charges}
            swept = sweep.follow(to_the_end=to_the_end, force={*force, *(self.found.lost & wanted)})
        code = self.end(charges, swept, fine, told=told, code=code)
        return screen.INTERRUPTED if signal.SIGINT in caught else code

    def end(
        self,
        charges: Sequence[Charge],
        swept: Swept | None = None,
        fine: Collection[str] = (),
        *,
        told: Mapping[str, object] | None = None,
        code: int = 0,
    ) -> int:
        """Tell how it stands with these credentials. The exit code, `code` at least."""
        from keyturn.conditions import in_json, is_bad, moment, summary, word_of  # noqa: PLC0415
        from keyturn.sweep import Swept  # noqa: PLC0415

        now = self.keyturn.clock.now()
        swept = swept or Swept()
        stored = [self.keyturn.ledger.load(charge.credential.key) for charge in charges]
        policies = {charge.credential.key: charge.policy for charge in charges}
        records = [each.record for each in stored if each is not None]
        for warning in self.found.warnings:
            screen.warn(warning)
        for record in records:
            if is_bad(record, now):
                _say_bad(record, policies[record.key], now)
        screen.say(f"{summary([word_of(record, now) for record in records])}.")
        screen.say(_next_wait(records, swept, now))
        if not self.found.charges and not self.found.problems:
            screen.say(NOBODY)
        bad = [r for r in records if is_bad(r, now) and not (r.hold is not None and r.hold.reason in fine)]
        left_out = self._left_out() if len(charges) == len(self.found.charges) else []
        for record in left_out:
            word = word_of(record, now, kept=False)
            screen.say(f"{record.id} is {word} in the ledger, and was not looked at: nothing led to it now.")
        bad_left_out = any(is_bad(record, now, kept=False) for record in left_out)
        code = max(code, 1 if bad or bad_left_out else 0, tell_problems(self.found))
        screen.document(
            lambda: {
                "emulated": self.keyturn.config.clock is not None,
                "now": moment(now),
                "turns": swept.turns,
                "moved": swept.moved,
                "busy": swept.busy,
                "next_at": moment(swept.next_at),
                "credentials": [in_json(record, policies[record.key], now) for record in records],
                "events": self._teller.told,
                "warnings": list(self.found.warnings),
                "problems": problems_in_json(self.found),
                **(told or {}),
                "exit": code,
            }
        )
        return code

    def _left_out(self) -> list[Record]:
        """Records that no charge stands for: out of every policy's match, or their service could not be listed."""
        looked_at = {charge.credential.key for charge in self.found.charges}
        return [record for record in self.keyturn.ledger.records() if record.key not in looked_at]


SAID = {"held": "is held", "expiring": "needs a fresh token"}


def _say_bad(record: Record, policy: Policy, now: datetime) -> None:
    from keyturn.conditions import condition  # noqa: PLC0415

    told = condition(record, policy, now)
    screen.say(f"{record.id} {SAID.get(told.word, 'fails')}: {told.why}")
    if told.shorter:
        screen.say(f"  Next: {told.shorter}")


def _next_wait(records: Sequence[Record], swept: Swept, now: datetime) -> str:
    """`3 waiting, next at 2026-01-05 09:15 UTC, in 1 h`."""
    from keyturn.policy import spell  # noqa: PLC0415

    busy = f"; {swept.busy} in the hands of another keyturn" if swept.busy else ""
    ends = [record.not_before for record in records if record.hold is None and record.not_before is not None]
    next_at = swept.next_at or min(ends, default=None)
    if next_at is None:
        held = sum(1 for record in records if record.hold is not None)
        yours = f" for a time; {held} wait{'s' if held == 1 else ''} for you" if held else ""
        return f"Nothing waits{yours}{busy}."
    left = spell(next_at - now) if next_at > now else "0 s"
    return f"{len(ends)} waiting, next at {next_at:%Y-%m-%d %H:%M:%S} UTC, in {left}{busy}."


@contextmanager
def working(config: Config, *, quiet: bool = False, publishes: bool = True) -> Iterator[Work]:
    """Everything assembled and discovered; `quiet`: nothing but the result on stdout; `publishes`: see `open_all`.

    Raises Misconfigured, LedgerFault, TryAgain.
    """
    from keyturn import assemble  # noqa: PLC0415

    screen.quiet_strangers()
    teller, stop = _Teller(), threading.Event()
    with assemble.open_all(config, notifier=teller, stop=stop, publishes=publishes) as keyturn:
        if not quiet:
            options.clock_line(config, keyturn.clock.now())
        yield Work(keyturn, keyturn.discover(), teller, stop)


@contextmanager
def _stopping(sweep: Sweep, stop: threading.Event) -> Iterator[list[int]]:
    """The first signal stops the sweep, a second one the process. Yields the signals that were caught."""
    caught: list[int] = []

    def stopping(number: int, _: FrameType | None) -> None:
        if caught:
            # Turns under way hold the process in their threads; every effect's intent is in the ledger already.
            os._exit(128 + number)
        caught.append(number)
        sweep.stop()
        stop.set()
        os.write(2, b"keyturn: stopping once the turns under way have ended; again to exit at once\n")

    before = {number: signal.signal(number, stopping) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
