"""Whether everything is there that a configuration needs: what `check` finds, and what to do about it.

Decides what is looked at, in which order, and what an answer means for a person. It changes nothing: not in Azure, not
in a sink, and not in the ledger. No key value is asked of API Management.

Never here: how it looks on a screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from keyturn.checkup import outside, own, services
from keyturn.checkup.finding import Finding, Mark, trouble
from keyturn.config import PolicyEntry, match_policy

if TYPE_CHECKING:
    from keyturn.assemble import Assembled, Discovered
    from keyturn.sweep import Charge

__all__ = ["Finding", "Mark", "findings"]


def findings(keyturn: Assembled, found: Discovered, charges: Sequence[Charge], *, named: bool) -> Iterator[Finding]:
    """What there is to say of the credentials in `charges`, of their services, and of keyturn's own things.

    `named`: a person chose them, so that other services do not matter, and every value that a sink shows is shown to
    the gateways, not only some.
    """
    aliases = _aliases(keyturn, charges, named)
    entries = _entries(keyturn, charges, named)
    signed_in = yield from services.sign_ins(keyturn, aliases)
    reached: list[str] = []
    for alias in aliases:
        if alias in signed_in:
            told = yield from services.service(keyturn, alias, entries)
            reached += [alias] if told else []
    for alias, problem in found.problems.items():
        if alias in reached:
            yield trouble(alias, problem)
    shown = yield from outside.sinks(keyturn, charges)
    yield from outside.gateways(keyturn, reached, charges, shown.values, named)
    yield from own.ledger(keyturn)
    yield from own.first_values(keyturn, charges, shown.nothing)
    yield from own.configuration(keyturn, found, charges, entries)


def _aliases(keyturn: Assembled, charges: Sequence[Charge], chosen: bool) -> list[str]:
    """The services that matter: those of the named credentials, else every one."""
    wanted = {charge.credential.service for charge in charges}
    return [alias for alias in keyturn.config.services if not chosen or alias in wanted]


def _entries(keyturn: Assembled, charges: Sequence[Charge], chosen: bool) -> list[PolicyEntry]:
    if not chosen:
        return list(keyturn.config.policies)
    won = {id(match_policy(keyturn.config, charge.credential)) for charge in charges}
    return [entry for entry in keyturn.config.policies if id(entry) in won]
