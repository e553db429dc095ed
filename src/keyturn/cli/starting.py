"""`keyturn init`: from a service to a first configuration, which opts nobody in.

It reads Azure and writes one file. Never here: what stands in it (that is `starter`), or a key value.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from keyturn.cli import options, screen
from keyturn.disk import refuse_strange, write_new
from keyturn.errors import Misconfigured, NeedsPerson

if TYPE_CHECKING:
    from keyturn.azure.inventory import Place
    from keyturn.azure.pipeline import Arm
    from keyturn.config import Config
    from keyturn.starter import Choices, Draft, Inventory

CONTROL: Final = "KEYTURN_EMULATOR_CONTROL"
SECRET_VARIABLE: Final = "KEYTURN_EMULATOR_SECRET"  # noqa: S105 - its name
STDOUT: Final = "-"
LISTED: Final = 20
SERVICE_ID: Final = re.compile(
    r"/subscriptions/[^/\s]+/resourceGroups/[^/\s]+/providers/Microsoft\.ApiManagement/service/[A-Za-z][A-Za-z0-9-]*/?",
    re.IGNORECASE,
)


@click.command()
@click.argument("service", required=False, metavar="[SERVICE]")
@click.option("--out", default="keyturn.yaml", show_default=True, metavar="FILE", help="Where to; - prints it.")
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
@click.option("--vault", metavar="NAME", help="The Key Vault that callers read their key from.")
@click.option(
    "--cloud", type=click.Choice(["public", "china", "usgov"]), default="public", show_default=True, help="Which Azure."
)
@options.speaking
def init(service: str | None, out: str, force: bool, vault: str | None, cloud: str) -> int:
    """Write a first configuration for SERVICE: its name or its ARM id; nothing where only one can be seen.

    It reads what the service has, no key value, and changes nothing in Azure. The file opts nobody in: that is left
    for you. Where `keyturn emulator --write-env FILE` was sourced, it is made for the emulator.
    """
    from keyturn import assemble  # noqa: PLC0415
    from keyturn.azure import inventory  # noqa: PLC0415
    from keyturn.starter import write  # noqa: PLC0415

    screen.quiet_strangers()
    _refuse_to_overwrite(out, force)
    choices = _choices(vault, cloud)
    begin = _nothing_yet(out, choices)
    arm = assemble.arm_to_begin(begin)
    found = inventory.describe(arm, _service_id(arm, service))
    text = write(found, choices)
    if out == STDOUT:
        screen.whole(text.rstrip("\n"))
    else:
        _save(Path(out), text, force)
        options.clock_line(begin, arm.clock.now())
    _tell(found, choices, text, out)
    return 0


# -------- what was asked for


def _refuse_to_overwrite(out: str, force: bool) -> None:
    """Before anything is asked of Azure. Raises click.UsageError."""
    if out != STDOUT and not force and os.path.lexists(out):
        raise click.UsageError(f"{out} is there already; name another file with --out, or overwrite it with --force")


def _choices(vault: str | None, cloud: str) -> Choices:
    """Raises click.UsageError."""
    from keyturn.config.places import VAULT_NAME  # noqa: PLC0415
    from keyturn.starter import Choices  # noqa: PLC0415

    if vault is not None and not re.fullmatch(VAULT_NAME, vault):
        raise click.UsageError(f"{vault!r} is no vault's name: only letters, digits and dashes")
    return Choices(vault=vault, cloud=cloud, control=os.environ.get(CONTROL) or None)


def _nothing_yet(out: str, choices: Choices) -> Config:
    """A configuration without a service: how to sign in, to which Azure, and by which clock."""
    from keyturn.config import Config  # noqa: PLC0415
    from keyturn.config.types import EmulatorTime  # noqa: PLC0415

    clock = None if choices.control is None else EmulatorTime(control=choices.control, secret_env=SECRET_VARIABLE)
    cloud: Any = choices.cloud
    return Config(file=out, services={}, policies=(), cloud=cloud, clock=clock)


def _service_id(arm: Arm, asked: str | None) -> str:
    """The ARM id of the service that is meant. Raises click.UsageError, NeedsPerson, TryAgain, Refused."""
    from keyturn.azure import inventory  # noqa: PLC0415

    if asked is not None and "/" in asked:
        if not SERVICE_ID.fullmatch(asked):
            raise click.UsageError(
                f"{asked} is no ARM id of an API Management service, such as /subscriptions/…/resourceGroups/…"
                f"/providers/Microsoft.ApiManagement/service/NAME"
            )
        return asked
    seen = inventory.services(arm)
    fits = [place for place in seen if asked is None or place.name.lower() == asked.lower()]
    if len(fits) == 1:
        return fits[0].id
    if not seen:
        raise NeedsPerson(
            "no API Management service can be listed by whoever is signed in",
            hint="Assign a role that may read the service, such as deploy/roles/set.json, or sign in as somebody else; "
            "then `keyturn init`, or `keyturn init ARM-ID` where the role is not at the azure subscription.",
        )
    raise click.UsageError(_which(asked, fits or seen))


def _which(asked: str | None, places: Sequence[Place]) -> str:
    """Several services, or none of that name: what there is, and what to type."""
    near = [] if asked is None else difflib.get_close_matches(asked, [place.name for place in places], n=3, cutoff=0.5)
    told = f"there are {len(places)} services" if asked is None else f"there is no service {asked}"
    if asked is not None and places[0].name.lower() == asked.lower():
        told = f"there are {len(places)} services {asked}; give the ARM id of one"
    shown = [f"  keyturn init {place.name}   # {place.id}" for place in places[:LISTED]]
    more = [f"  … and {len(places) - LISTED} more"] if len(places) > LISTED else []
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    return "\n".join([f"{told}{meant}", *shown, *more])


# -------- what is left behind


def _save(path: Path, text: str, force: bool) -> None:
    """For its owner alone: who may write the configuration decides where values go. With `force` in the place of what
    is there, once all of it is written: whoever has that open reads on what it was. Raises Misconfigured,
    click.UsageError."""
    try:
        refuse_strange(path)
        if force:
            draft = path.with_name(f".{path.name}.{os.getpid()}")
            draft.unlink(missing_ok=True)  # of one that was killed, and had our number
            write_new(draft, text)
            draft.replace(path)
        else:
            write_new(path, text)
    except FileExistsError:
        raise click.UsageError(f"{path} is there already; overwrite it with --force") from None
    except OSError as error:
        raise Misconfigured(
            f"{path} cannot be written: {error.strerror}", hint="Name another file with --out."
        ) from None


def _tell(found: Inventory, choices: Choices, text: str, out: str) -> None:
    from keyturn.starter import OPT_IN, drafts, left_out  # noqa: PLC0415

    say = screen.whisper if out == STDOUT else screen.say
    made, rest = drafts(found), left_out(found)
    steps = _steps(out, choices, OPT_IN)
    there = f"{len(found.products)} products, {len(found.apim_subscriptions)} apim subscriptions"
    say(f"Found {found.name}: {there}. No key value was read, nothing was changed.")
    for problem in found.problems:
        say(f"Not read: {problem}")
    for draft in made:
        probe = draft.proposal.operation
        proof = "no probe found" if probe is None else f"probe GET {probe.path}"
        say(f"  policy {draft.name}: {len(draft.apim_subscriptions)} apim subscriptions, {proof}")
    if rest:
        say(f"  left out: {', '.join(each.sid for each in rest[:LISTED])}{', …' if len(rest) > LISTED else ''}")
    if out != STDOUT:
        say(f"Wrote {out}. It opts nobody in yet.")
    say("Next:")
    for number, step in enumerate(steps, 1):
        say(f"  {number}. {step}")
    screen.document(
        {
            "emulated": choices.control is not None,
            "service": found.id,
            "file": None if out == STDOUT else out,
            "text": text,
            "policies": [_in_json(draft) for draft in made],
            "left_out": [each.sid for each in rest],
            "problems": list(found.problems),
            "next": steps,
        }
    )


def _in_json(draft: Draft) -> dict[str, Any]:
    probe = draft.proposal.operation
    return {
        "name": draft.name,
        "product": draft.product.id,
        "apim_subscriptions": [each.sid for each in draft.apim_subscriptions],
        "probe": None if probe is None else probe.path,
        "about_the_probe": list(draft.proposal.why),
    }


def _steps(out: str, choices: Choices, opt_in: str) -> list[str]:
    file = "it" if out == STDOUT else out
    where = "" if out in {STDOUT, "keyturn.yaml"} else f" --config {out}"
    vault = "" if choices.vault else "name the vault, "
    return [
        f"Edit {file}: {vault}answer the question marks, delete `{opt_in}` where you opt in.",
        f"keyturn check{where}   # is everything there? Changes nothing.",
        f"keyturn plan{where}    # what would happen, and when? Changes nothing.",
    ]
