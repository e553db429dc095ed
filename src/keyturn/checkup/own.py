"""keyturn's own things: its ledger, which is looked at and never opened to write, and its configuration.

Never here: a call to Azure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from keyturn import assemble
from keyturn.checkup.finding import Finding, attention, counted, missing, ok, trouble
from keyturn.config import Match, PolicyEntry, match_policy
from keyturn.errors import KeyturnError, Misconfigured
from keyturn.policy import cautions, spell

if TYPE_CHECKING:
    from keyturn.assemble import Assembled, Discovered
    from keyturn.sweep import Charge

CONFIGURATION: Final = "configuration"


def ledger(keyturn: Assembled) -> Iterator[Finding]:
    """Whether it opens, or where the first run will make it."""
    about = "ledger"
    try:
        seen = assemble.look_at_ledger(keyturn.config)
    except KeyturnError as error:
        yield trouble(about, error)
        return
    if seen.unwritable:
        yield missing(
            about, seen.unwritable, "Let whoever runs keyturn write there, or name another place in `ledger`."
        )
    elif not seen.made:
        yield ok(about, f"{seen.place}: not there yet; the first `keyturn run` makes it")
    else:
        yield ok(about, f"{seen.place}: opens, schema {seen.version}, ledger {seen.id[:12]}{seen.note}")


def first_values(keyturn: Assembled, charges: Sequence[Charge], nothing: Collection[str]) -> Iterator[Finding]:
    """Who would be held at adoption, because no sink shows a value, and no policy says which one is to be published.
    `nothing`: the keys of credentials whose sinks show none."""
    empty = {*nothing} - _adopted(keyturn)
    many: Counter[str] = Counter()
    for charge in charges:
        entry = _won(keyturn, charge)
        if entry is not None and charge.policy.adopt is None and charge.credential.key in empty:
            many[entry.name] += 1
    for name, count in many.items():
        yield missing(
            f"policy {name}",
            f"{counted(count, 'credential')} would be held: no sink shows a value yet, and the policy does not say "
            f"which one to publish first",
            "Write `adopt: primary` or `adopt: secondary`: the slot that callers use today.",
        )


def _adopted(keyturn: Assembled) -> set[str]:
    with suppress(KeyturnError):  # told with the ledger
        view = assemble.view(keyturn.config)
        if view is not None:
            with view:
                return {record.key for record in view.records() if record.active is not None}
    return set()


def configuration(
    keyturn: Assembled, found: Discovered, charges: Sequence[Charge], entries: Sequence[PolicyEntry]
) -> Iterator[Finding]:
    """What its policies risk, whom they would hold, and whom they opt in."""
    idle = [entry for entry in entries if entry.match == Match()]
    yield from _cautions(keyturn, found, charges, entries, idle)
    yield from _unusable(keyturn, found, charges)
    if not charges and not found.problems:
        count = len(found.credentials)
        yield attention(
            CONFIGURATION,
            f"no policy matches any of the {count} credentials that were found: nothing would be touched",
            "Opt in: fill a policy's `match`. `keyturn init` shows how.",
        )
    for entry in entries:
        if entry.policy.probe is None and any(_won(keyturn, charge) is entry for charge in charges):
            yield attention(
                f"policy {entry.name}",
                f"no probe: a fresh value is not proven, keyturn waits {spell(entry.policy.propagation)} instead",
                "Add `probe: { path: … }`, a cheap operation that needs a key.",
            )
    if charges:
        rest = f"; nobody by {', '.join(entry.name for entry in idle)}" if idle else ""
        yield ok(CONFIGURATION, f"{keyturn.config.file}: {counted(len(charges), 'credential')} opted in{rest}")


def _cautions(
    keyturn: Assembled,
    found: Discovered,
    charges: Sequence[Charge],
    entries: Sequence[PolicyEntry],
    idle: Sequence[PolicyEntry],
) -> Iterator[Finding]:
    """Of every policy that opts somebody in. That an `idle` one wins nobody is meant."""
    emulated = keyturn.config.clock is not None
    for entry in entries:
        if entry not in idle:
            yield from (attention(CONFIGURATION, each) for each in cautions(entry.policy, emulated=emulated))
    for warning in found.warnings if charges else ():
        if not _is_about(warning, idle):
            yield attention(CONFIGURATION, warning)


def _unusable(keyturn: Assembled, found: Discovered, charges: Sequence[Charge]) -> Iterator[Finding]:
    """Who would be held for what the configuration says of them."""
    mine = {charge.credential.key for charge in charges}
    try:
        assemble.refuse_missing_signing_secrets(keyturn.config)
        unusable = [each for each in keyturn.unusable(found) if each[0].key in mine]
    except Misconfigured as error:
        yield trouble(CONFIGURATION, error)
        return
    for credential, reason, sentence in unusable:
        yield missing(credential.id, f"would be held: {sentence}", f"`keyturn explain {reason}` says more.")


def _is_about(warning: str, entries: Sequence[PolicyEntry]) -> bool:
    """Whether it tells that one of these wins nobody, which is meant where a match is empty."""
    return any(warning.endswith(f"policy {entry.name} wins no credential.") for entry in entries)


def _won(keyturn: Assembled, charge: Charge) -> PolicyEntry | None:
    return match_policy(keyturn.config, charge.credential)
