"""`keyturn key`: one slot by hand. The only commands that touch a value for a person.

A value never comes in as an argument (shells keep those), and goes out only when it is asked for. `set` and
`regenerate` are slot writes like every other: with an intent, on a quiet slot, or naming who is cut off.
Never here: when a slot may be written (that is `plan.blocked`).
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from keyturn.cli import options, screen
from keyturn.cli.looking import chosen
from keyturn.cli.turning import Work, working
from keyturn.errors import LedgerFault
from keyturn.model import Secret, Slot

if TYPE_CHECKING:
    from keyturn.sweep import Charge

LONGEST = 256
SLOT = click.option(
    "--slot", type=click.Choice([slot.value for slot in Slot]), required=True, help="Which of the two slots."
)
CUT_OFF = click.option(
    "--cut-off-callers", is_flag=True, help="Write the slot although callers may use it; says who, and asks."
)


@click.group()
def key() -> None:
    """Show, set or regenerate one slot by hand."""


@key.command()
@options.ONE_NAME
@SLOT
@click.option("--reveal", is_flag=True, help="Print the value without asking.")
@options.configured
def show(name: str, slot: str, reveal: bool, config: str | None) -> int:
    """Print the live value of one slot on stdout. Asks first on a terminal; elsewhere it needs --reveal."""
    with working(options.read(config), quiet=True) as work:
        (charge,) = chosen([name], work.found)
        credential = charge.credential
        if not reveal and not (sys.stdout.isatty() and sys.stdin.isatty()):
            raise click.UsageError("a value is printed on a terminal only; --reveal prints it anywhere")
        if not reveal:
            click.confirm(f"Print the {slot} value of {credential.id} here?", abort=True, err=True)
        value = work.keyturn.keyrings[credential.service].read_values(credential).of(Slot(slot))
    screen.say(value.reveal())
    screen.document({"id": credential.id, "slot": slot, "value": value.reveal()})
    return 0


@key.command(name="set")
@options.ONE_NAME
@SLOT
@click.option("--from-env", metavar="VAR", help="Take the value from this environment variable.")
@click.option("--stdin", is_flag=True, help="Take the value from the first line of stdin.")
@CUT_OFF
@options.YES
@options.because(required=False, default="")
@options.configured
def set_value(
    name: str,
    slot: str,
    from_env: str | None,
    stdin: bool,
    cut_off_callers: bool,
    yes: bool,
    because: str,
    config: str | None,
) -> int:
    """Set one slot to a value of yours: 1 to 256 characters, from an environment variable, stdin, or a prompt."""
    if from_env and stdin:
        raise click.UsageError("give one of --from-env and --stdin")
    value = _value(from_env, stdin)
    return _write(name, Slot(slot), value, cut_off_callers, yes, because, config)


@key.command()
@options.ONE_NAME
@SLOT
@CUT_OFF
@options.YES
@options.because(required=False, default="")
@options.configured
def regenerate(name: str, slot: str, cut_off_callers: bool, yes: bool, because: str, config: str | None) -> int:
    """Let Azure draw a fresh value for one slot."""
    return _write(name, Slot(slot), None, cut_off_callers, yes, because, config)


def _value(from_env: str | None, stdin: bool) -> Secret:
    """The value that a person gives. Raises click.UsageError; its text is in no message."""
    if from_env:
        if from_env not in os.environ:
            raise click.UsageError(f"the environment variable {from_env} is not set")
        text = os.environ[from_env]
    elif stdin:
        text = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        text = click.prompt("Value", hide_input=True, confirmation_prompt=True, err=True)
    else:
        raise click.UsageError("give the value by --from-env VAR or --stdin; never as an argument")
    if not 1 <= len(text) <= LONGEST:
        raise click.UsageError(f"the value has {len(text)} characters; API Management takes 1 to {LONGEST}")
    if not (text.isascii() and text.isprintable() and text == text.strip()):
        raise click.UsageError(
            "the value must travel in an HTTP header: printable ASCII, no control characters, no space at either end"
        )
    return Secret(text)


def _write(
    name: str, slot: Slot, value: Secret | None, cut_off: bool, yes: bool, because: str, config: str | None
) -> int:
    with working(options.read(config)) as work:
        (charge,) = chosen([name], work.found)
        if cut_off and not yes:
            _ask(work, charge, slot)
        screen.acting(f"The {slot} slot of {charge.credential.id} was not written.")
        work.keyturn.hold_unusable(work.found)
        try:
            charge.turn.write_slot(
                charge.credential, charge.policy, slot, value, because=because, cut_off_callers=cut_off
            )
        except LedgerFault:
            screen.acting()
            raise
        return work.end([charge])


def _ask(work: Work, charge: Charge, slot: Slot) -> None:
    """Name who is cut off, and ask. Raises click.Abort."""
    from keyturn.plan import CUTTING_OFF, blocked  # noqa: PLC0415
    from keyturn.scene import Scene, mark  # noqa: PLC0415

    sight = charge.turn.sight(charge.credential, charge.policy)
    now = work.keyturn.clock.now()
    record = mark(sight.record, sight.seen, charge.policy, now)
    why = None if record.active is None else blocked(Scene(record, sight.seen, charge.policy, now), slot)
    if why is None or why.reason not in CUTTING_OFF:
        return
    shown = [s.name for s in sight.seen.sinks if s.shows is not None and s.shows == record.slot(slot).fingerprint]
    where = f", and whoever reads {', '.join(shown)}" if shown else ""
    screen.whisper(f"This cuts off every caller that still uses the {slot} value of {charge.credential.id}{where}:")
    screen.whisper(f"  {why.sentence}.")
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to ask; --yes answers for you")
    click.confirm("Go on?", abort=True, err=True)
