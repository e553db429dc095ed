"""`keyturn rotate`: on a person's word, with the waits that keep callers working, or, in an emergency, without.

Never here: what is cut off (that is `cut_off`), or how turns are followed (that is `turning`).
"""

from __future__ import annotations

import click

from keyturn.cli import options
from keyturn.cli.emergency import SLOTS, replace
from keyturn.cli.looking import chosen
from keyturn.cli.turning import WAIT, change, working


@click.command()
@options.SOME_NAMES
@options.because(required=False, default="asked for by hand")
@WAIT
@click.option("--compromised", is_flag=True, help="Values are in wrong hands: they die without a drain. Asks first.")
@click.option(
    "--slot",
    type=click.Choice(["primary", "secondary", "both"]),
    help="With --compromised: whose value is in wrong hands.  [default: both]",
)
@click.option("--suspend", is_flag=True, help="With --compromised: refuse every caller until they are dead.")
@options.YES
@options.configured
def rotate(
    names: tuple[str, ...],
    because: str,
    wait: bool,
    compromised: bool,
    slot: str | None,
    suspend: bool,
    yes: bool,
    config: str | None,
) -> int:
    """Rotate these credentials now, whatever their age. The waits that keep callers working stay.

    With --compromised they do not: it tells which values die when, and who is cut off, and asks.
    """
    from keyturn.by_hand import request  # noqa: PLC0415

    if not compromised and (slot or suspend or yes):
        raise click.UsageError("--slot, --suspend and --yes belong to --compromised")
    with working(options.read(config)) as work:
        charges = chosen(names, work.found)
        if compromised:
            slots = SLOTS[slot or "both"]
            return replace(work, charges, slots, suspend=suspend, yes=yes, because=because, wait=wait)
        for charge in charges:
            change(work.keyturn, charge.credential, lambda r, at: request(r, because, at))
        return work.follow(charges, to_the_end=wait, force=[charge.credential.key for charge in charges])
