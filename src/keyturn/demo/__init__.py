# ruff: noqa: PLC0415 - what is costly to import is imported once it is needed
"""`keyturn demo`: watch a fleet being rotated, in emulated time, before callers that count every refused call.

Starts the emulator, callers that know nothing of keyturn, and keyturn itself, all as programs of their own, in a
temporary folder. Rooms: control (programs, the emulator's control API), stage (what stands there), conductor (who
moves time), plug, naive, play (the acts), screen; signed_in and doors (the scene of the tokens); drift, incidents and
reckoning (that of the drift). Never here: importing the emulator, or a rule of keyturn.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from keyturn.demo.drift import Outcome as DriftOutcome
    from keyturn.demo.play import Outcome
    from keyturn.demo.screen import Screen
    from keyturn.demo.signed_in import Outcome as SignedInOutcome

MANY = 1000
MANY_ENOUGH = 24

# Seconds on two cores that do nothing else, measured (docs/benchmarks.md).
TO_OPEN, PER_CREDENTIAL = 10, 0.4  # the careful way, with nobody who pulls a plug
TOKENS, DRIFT = 50, 30  # the latter with as many credentials as usual


@click.command()
@click.option(
    "--credentials",
    type=click.IntRange(1, MANY),
    show_default="24; 12 with --scene drift",
    help="How many to rotate.",
)
@click.option("--pull-plug", is_flag=True, help="SIGKILL keyturn six times on stage, and start it again.")
@click.option("--naive", is_flag=True, help="Rotate the way scripts do. Calls are refused, so it exits 1.")
@click.option(
    "--scene",
    type=click.Choice(["fleet", "tokens", "drift"]),
    default="fleet",
    show_default=True,
    help="tokens: a self-hosted gateway and a management client stay signed in for 90 days. drift: two keyturns, and "
    "somebody else who changes keys and secrets.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Draws the instants of --pull-plug, of drift.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object on the last line.")
def demo(*, credentials: int | None, pull_plug: bool, naive: bool, scene: str, seed: int, as_json: bool) -> int:
    """Watch a fleet being rotated through a whole period, in emulated time; no Azure account is needed.

    An Azure of its own runs beside it, and callers that keep their key for an hour call all the time. They and the
    gateways count refused calls independently. Exits 1 if a credential was not rotated, or a call was refused. In
    --scene drift, calls are refused by what somebody else does: it exits 1 if any is outside the protocol's bound.
    """
    if naive and pull_plug:
        raise click.UsageError("--pull-plug kills keyturn, and --naive runs without it")
    if scene != "fleet" and (naive or pull_plug):
        raise click.UsageError(f"--naive and --pull-plug play with the fleet, not with --scene {scene}")
    if scene == "tokens":
        return _play_tokens(as_json=as_json)
    if scene == "drift":
        return _play_drift(credentials, seed, as_json=as_json)
    from keyturn.demo.screen import Screen

    screen, many = Screen(plain=as_json), credentials or MANY_ENOUGH
    _announce(screen, None if naive or pull_plug else TO_OPEN + many * PER_CREDENTIAL)
    with _ending_on_signals(), _folder() as folder:
        outcome = _play(folder, screen, many, seed if pull_plug else None, naive)
    _tell_outcome(outcome, as_json=as_json)
    return 0 if outcome.is_good else 1


def _announce(screen: Screen, seconds: float | None) -> None:
    """Say before anything moves about how long it takes; None: nobody has measured that."""
    screen.say("Starting an Azure of its own (emulated time) …")
    if seconds is not None:
        screen.say(f"This takes about {round(seconds, -1):.0f} s on two cores.")


def _play(folder: Path, screen: Screen, credentials: int, seed: int | None, naive: bool) -> Outcome:
    from keyturn.demo.control import EmulatedAzure
    from keyturn.demo.play import Play
    from keyturn.demo.stage import PRODUCTS, Settings

    azure = EmulatedAzure.start()
    try:
        settings = Settings(credentials=credentials)
        play = Play(azure, folder, settings, screen)
        try:
            play.open()
            many = f"{credentials} apim subscription{'' if credentials == 1 else 's'}, {credentials} callers"
            screen.say(f"It is running: 1 service with 2 gateways, {len(PRODUCTS)} products, {many}.")
            way = "the way scripts do it" if naive else "the careful way"
            screen.say(f"Rotating all of them {way}. Period 30 d, drain 24 h, callers keep their key for 1 h.\n")
            screen.open()
            return play.naive() if naive else play.careful(seed=seed)
        finally:
            screen.close()
            play.close()
    finally:
        azure.close()


def _play_tokens(*, as_json: bool) -> int:
    """The scene of the tokens. Its exit code."""
    from keyturn.demo.control import EmulatedAzure
    from keyturn.demo.screen import Screen
    from keyturn.demo.signed_in import SignedIn

    screen = Screen(plain=as_json)
    _announce(screen, TOKENS)
    with _ending_on_signals(), _folder() as folder:
        azure = EmulatedAzure.start()
        try:
            play = SignedIn(azure, folder, screen)
            try:
                play.open()
                screen.say("It is running: a self-hosted gateway and a client of the direct management endpoint.")
                screen.say("Both read their token from a vault once an hour. Keys turn every 30 d, tokens live 7 d")
                screen.say("and 14 d; a timer starts keyturn whenever something is due.\n")
                screen.open()
                outcome = play.perform()
            finally:
                screen.close()
                play.close()
        finally:
            azure.close()
    _tell_signed_in(outcome, as_json=as_json)
    return 0 if outcome.is_good else 1


def _play_drift(credentials: int | None, seed: int, *, as_json: bool) -> int:
    """The scene of the drift. Its exit code. Raises UsageError."""
    from keyturn.demo import drift
    from keyturn.demo.control import EmulatedAzure
    from keyturn.demo.screen import Screen

    many = drift.USUAL if credentials is None else credentials
    if not drift.FEWEST <= many <= drift.MOST:
        raise click.UsageError(f"--scene drift takes {drift.FEWEST} to {drift.MOST} credentials, not {many}")
    screen = Screen(plain=as_json)
    _announce(screen, DRIFT if many == drift.USUAL else None)
    with _ending_on_signals(), _folder() as folder:
        azure = EmulatedAzure.start()
        try:
            play = drift.Drift(azure, folder, drift.settings(many), screen, seed=seed)
            try:
                play.open()
                screen.say(
                    f"It is running: {many} apim subscriptions, {many} callers, and two keyturns with one ledger."
                )
                screen.say("keyturn looks every hour, callers keep their key for 1 h, and the drain is 6 h.\n")
                screen.open()
                outcome = play.perform()
            finally:
                screen.close()
                play.close()
        finally:
            azure.close()
    _tell_drift(outcome, as_json=as_json)
    return 0 if outcome.is_good else 1


def _say(line: str) -> None:
    """How it ended, within the terminal's width where there is one."""
    from keyturn.demo.screen import fitted

    click.echo(fitted(line, shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else None))


def _tell_drift(outcome: DriftOutcome, *, as_json: bool) -> None:
    from keyturn.demo import reckoning

    _say(f"\nDone in {outcome.seconds:.0f} s ({round(outcome.emulated.total_seconds() / 3600)} h emulated).")
    for line in reckoning.table(outcome.found, outcome.settings):
        click.echo(line)
    for line in reckoning.explained(outcome.settings):
        click.echo(f"  {line}")
    first, second = outcome.keyturns
    _say(
        f"calls {outcome.calls:,} · refused {outcome.refused_by_callers} (callers) {outcome.refused_by_gateways} "
        f"(gateways) · outside the bounds {outcome.outside}\n"
        f"rotations meanwhile {outcome.rotated} of {outcome.rotating} · live values in sinks {outcome.alive} of "
        f"{len(outcome.found)} · steps {first} + {second}"
    )
    for complaint in outcome.complaints:
        _say(f"keyturn complained: {complaint}")
    if outcome.errors:
        _say(f"{outcome.errors} calls got no answer: the stage itself was at fault, so this proves nothing")
    if outcome.leaks:
        _say(f"a key value can be read in {', '.join(outcome.leaks)}: that must never be, please report it")
    else:
        _say("no key value stands in what keyturn wrote")
    if as_json:
        click.echo(json.dumps(outcome.in_json()))


def _tell_signed_in(outcome: SignedInOutcome, *, as_json: bool) -> None:
    days = round(outcome.emulated.total_seconds() / 86_400)
    _say(f"\nDone in {outcome.seconds:.0f} s ({days} days of emulated time).")
    for name, times in outcome.rotations.items():
        _say(f"  {name}: both keys replaced {times} times")
    held = " · ".join(f"{name} held {count} tokens" for name, count in outcome.tokens.items())
    _say(
        f"  {held}\n  sign-ins {outcome.signins:,} · refused {outcome.refused_by_guests:,} (they say) "
        f"{outcome.refused_by_endpoints:,} (the endpoints say) · ARM writes {outcome.arm_writes:,}"
    )
    if outcome.errors:
        _say(f"  {outcome.errors} sign-ins got no answer: the stage itself was at fault, so this proves nothing")
    if outcome.leaks:
        _say(f"  a key or token can be read in {', '.join(outcome.leaks)}: that must never be, please report it")
    else:
        _say("  no key and no token stands in what keyturn wrote: its output, its ledger, its configuration")
    if as_json:
        click.echo(json.dumps(outcome.in_json()))


def _tell_outcome(outcome: Outcome, *, as_json: bool) -> None:
    days = round(outcome.emulated.total_seconds() / 86_400)
    _say(f"\nDone in {outcome.seconds:.0f} s ({days} days of emulated time).")
    _say(
        f"  rotated {outcome.rotated} of {outcome.credentials} · slots renewed {outcome.slots_renewed} · "
        f"calls {outcome.calls:,} · refused {outcome.refused_by_callers:,} (callers) "
        f"{outcome.refused_by_gateways:,} (gateways) · ARM writes {outcome.arm_writes:,}"
    )
    if outcome.plug_pulled:
        _say(f"  keyturn was killed {outcome.plug_pulled} times and went on from its ledger each time")
    if outcome.errors:
        _say(f"  {outcome.errors} calls got no answer: the stage itself was at fault, so this proves nothing")
    if outcome.leaks:
        _say(f"  a key value can be read in {', '.join(outcome.leaks)}: that must never be, please report it")
    elif outcome.way == "careful":
        _say("  no key value stands in what keyturn wrote: its output, its ledger, its configuration")
    if outcome.way == "naive":
        _say(f"  at worst {outcome.at_most} of {outcome.credentials} callers were refused at the same time")
        _say("See the same fleet rotated the careful way:  keyturn demo")
    else:
        _say("See the same fleet rotated the way scripts do it:  keyturn demo --naive")
    if as_json:
        click.echo(json.dumps(outcome.in_json()))


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for keyturn's configuration, ledger and output; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="keyturn-demo-"))
    folder.chmod(0o700)  # a umask may have taken even the owner's bits
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does: every program it started is ended, and its folder removed."""

    def ending(_: int, __: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    numbers = [signal.SIGTERM] if sys.platform == "win32" else [signal.SIGTERM, signal.SIGHUP]
    before = {}
    with suppress(ValueError):  # not in the main thread, where nobody sends us signals
        before = {number: signal.signal(number, ending) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
