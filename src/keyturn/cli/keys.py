"""`keyturn key`: one slot by hand, and both keys of tenant access on or off. The only commands that touch a value for
a person.

A value never comes in as an argument (shells keep those), and goes out only when it is asked for. `set` and
`regenerate` are slot writes like every other: with an intent, on a quiet slot, or naming who is cut off. `enable` and
`disable` write no slot: one change of the tenant access, fenced by the ETag of what the person was shown.
Never here: when a slot may be written (that is `plan.blocked`).
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from keyturn.by_hand import unusable
from keyturn.cli import options, screen
from keyturn.cli.hushed import NEVER_AN_ARGUMENT, HushedGroup
from keyturn.cli.looking import chosen
from keyturn.cli.turning import Work, change, working
from keyturn.errors import LedgerFault, NotSent, Refused, TryAgain, Unclear, variable
from keyturn.model import Kind, NotApplied, Secret, Slot

if TYPE_CHECKING:
    from keyturn.keyrings.tenant import TenantKeyring
    from keyturn.ports import Entity
    from keyturn.sweep import Charge

SLOT = click.option(
    "--slot", type=click.Choice([slot.value for slot in Slot]), required=True, help="Which of the two slots."
)
CUT_OFF = click.option(
    "--cut-off-callers", is_flag=True, help="Write the slot although callers may use it; says who, and asks."
)


@click.group(cls=HushedGroup)
def key() -> None:
    """Show, set or regenerate one slot by hand; enable or disable tenant access."""


@key.command()
@options.ONE_NAME
@SLOT
@click.option("--reveal", is_flag=True, help="Print the value without asking.")
@options.configured
def show(name: str, slot: str, reveal: bool, config: str | None) -> int:
    """Print the live value of one slot on stdout. Asks first on a terminal; elsewhere it needs --reveal."""
    with working(options.read(config), quiet=True, publishes=False) as work:
        (charge,) = chosen([name], work.found)
        credential = charge.credential
        if not reveal and not (sys.stdout.isatty() and sys.stdin.isatty()):
            raise click.UsageError("a value is printed on a terminal only; --reveal prints it anywhere")
        if not reveal:
            screen.ask(f"Print the {slot} value of {credential.id} here?")
        value = work.keyturn.keyring_of(credential).read_values(credential).of(Slot(slot))
    screen.value(value.reveal())
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
    if value.reveal() in because:
        raise click.UsageError("--because holds the value itself, and would go into the history; reword it")
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


@key.command()
@options.ONE_NAME
@options.because(required=False, default="")
@options.configured
def enable(name: str, because: str, config: str | None) -> int:
    """Let tokens made from tenant access keys in. Tenant access only."""
    return _switch(name, True, True, because, config)


@key.command()
@options.ONE_NAME
@options.YES
@options.because(required=False, default="")
@options.configured
def disable(name: str, yes: bool, because: str, config: str | None) -> int:
    """Let no token made from tenant access keys in. Tenant access only; says who is cut off, and asks."""
    return _switch(name, False, yes, because, config)


def _value(from_env: str | None, stdin: bool) -> Secret:
    """The value that a person gives. Raises click.UsageError; its text is in no message."""
    if from_env:
        if from_env not in os.environ:
            raise click.UsageError(f"{variable(from_env)} is not set")
        text = os.environ[from_env]
    elif stdin:
        text = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        text = click.prompt("Value", hide_input=True, confirmation_prompt=True, err=True)
    else:
        raise click.UsageError(f"give the value by --from-env VAR or --stdin; {NEVER_AN_ARGUMENT}")
    wrong = unusable(text)
    if wrong is not None:
        raise click.UsageError(wrong)
    return Secret(text)


def _write(
    name: str, slot: Slot, value: Secret | None, cut_off: bool, yes: bool, because: str, config: str | None
) -> int:
    with working(options.read(config)) as work:
        (charge,) = chosen([name], work.found)
        credential = charge.credential
        if value is not None and not work.keyturn.keyring_of(credential).sets:
            raise click.UsageError(
                f"Azure has no way to set a key of {credential.id}: `keyturn key regenerate` lets Azure draw one"
            )
        if cut_off and not yes:
            _ask(work, charge, slot)
        screen.acting(f"The {slot} slot of {charge.credential.id} was not written.")
        work.keyturn.hold_unusable(work.found)
        try:
            charge.turn.write_slot(
                charge.credential, charge.policy, slot, value, because=because, cut_off_callers=cut_off
            )
        except (LedgerFault, Unclear):
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
    screen.ask("Go on?")


# -------- tenant access, on or off


def _switch(name: str, on: bool, yes: bool, because: str, config: str | None) -> int:
    from keyturn.by_hand import switched  # noqa: PLC0415

    wanted = "enabled" if on else "disabled"
    with working(options.read(config), publishes=False) as work:
        (charge,) = chosen([name], work.found)
        id = charge.credential.id
        keyring = _tenant_access(work, charge)
        seen = keyring.read(charge.credential)
        changes = _is_on(seen) != on
        if changes:
            if not yes:
                _ask_to_disable(keyring, charge)
            _send_switch(work, keyring, charge, on, seen)
            screen.acting(f"{id} was {wanted}; the ledger does not tell of it.")
            change(work.keyturn, charge.credential, lambda r, at: switched(r, on, because, at))
        screen.say(f"{id} is {wanted}." if changes else f"{id} is {wanted} already; nothing was changed.")
        emulated = work.keyturn.config.clock is not None
        screen.document({"emulated": emulated, "id": id, "enabled": on, "changed": changes, "exit": 0})
    return 0


def _tenant_access(work: Work, charge: Charge) -> TenantKeyring:
    """The keyring of the charge's credential. Raises click.UsageError unless it can be enabled and disabled."""
    from keyturn.keyrings.tenant import TenantKeyring  # noqa: PLC0415

    credential = charge.credential
    keyring = work.keyturn.keyring_of(credential)
    if not isinstance(keyring, TenantKeyring):
        what = "a self-hosted gateway" if credential.kind is Kind.GATEWAY else f"an {credential.kind}"
        raise click.UsageError(
            f"{credential.id} is {what}; only tenant access can be enabled or disabled, such as "
            f"{credential.service}/tenant/access"
        )
    return keyring


def _is_on(seen: Entity) -> bool:
    from keyturn.keyrings.tenant import ACTIVE  # noqa: PLC0415

    return seen.state == ACTIVE


def _ask_to_disable(keyring: TenantKeyring, charge: Charge) -> None:
    """Name who is cut off, and ask. Raises click.Abort, click.UsageError."""
    from keyturn.keyrings.tenant import GIT  # noqa: PLC0415

    credential = charge.credential
    if credential.name == GIT:
        cut_off = "every git client that signs in to the service's repository with a password made from either key"
    else:
        cut_off = f"every caller of {keyring.gateways()[0]}: it refuses every SAS token made from either key"
    screen.whisper(f"Disabling {credential.id} cuts off {cut_off}, until it is enabled again.")
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to ask; --yes answers for you")
    screen.ask("Go on?")


def _send_switch(work: Work, keyring: TenantKeyring, charge: Charge, on: bool, seen: Entity) -> None:
    """One write, fenced by the ETag that was seen. Raises Refused, TryAgain, Unclear."""
    from keyturn.ports import Applied, SendBy  # noqa: PLC0415

    credential, span = charge.credential, charge.policy.deadline
    if seen.etag is None:
        raise Refused(f"{credential.id}: Azure's answer carries no ETag, so that a write could not be fenced")
    clock, seconds = work.keyturn.clock, span.total_seconds()
    send_by = SendBy(at=clock.now() + span, boot=clock.boottime() + seconds, seconds=seconds)
    try:
        answer = keyring.enable(credential, on, seen.etag, send_by)
    except NotSent as late:
        raise TryAgain(late.message, hint="Run the command again.") from late
    if isinstance(answer, NotApplied):
        moved = "It was changed since it was looked at; run the command again." if answer.status == 412 else ""
        raise Refused(answer.sentence, status=answer.status, code=answer.code, hint=moved or answer.hint)
    if isinstance(answer, Applied):
        return
    screen.acting(f"Whether {credential.id} was {'enabled' if on else 'disabled'} is not known.")
    if _is_on(keyring.read(credential)) != on:
        raise Unclear(f"{answer.sentence}; it has not happened yet", hint="Run the command again: it looks first.")
