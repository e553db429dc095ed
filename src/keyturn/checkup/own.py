"""keyturn's own things: its ledger, which is looked at and never opened to write, and its configuration.

Never here: a call to Azure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from keyturn import assemble
from keyturn.checkup.finding import Finding, attention, counted, missing, ok, trouble
from keyturn.config import Match, PolicyEntry, match_policy
from keyturn.errors import KeyturnError, Misconfigured
from keyturn.policy import cautions, spell

if TYPE_CHECKING:
    from keyturn.assemble import Assembled, Discovered
    from keyturn.sweep import Charge


def ledger(keyturn: Assembled) -> Iterator[Finding]:
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
    adopted = _adopted(keyturn)
    many: Counter[str] = Counter()
    for charge in charges:
        entry = _won(keyturn, charge)
        if entry is not None and charge.policy.adopt is None and charge.credential.key in {*nothing} - adopted:
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
    about = "configuration"
    idle = [entry for entry in entries if entry.match == Match()]
    emulated = keyturn.config.clock is not None
    told = [
        attention(about, caution)
        for entry in entries
        if entry not in idle
        for caution in cautions(entry.policy, emulated=emulated)
    ]
    told += [attention(about, warning) for warning in found.warnings if charges and not _is_about(warning, idle)]
    mine = {charge.credential.key for charge in charges}
    try:
        assemble.refuse_missing_signing_secrets(keyturn.config)
        told += [
            missing(credential.id, f"would be held: {sentence}", f"`keyturn explain {reason}` says more.")
            for credential, reason, sentence in keyturn.unusable(found)
            if credential.key in mine
        ]
    except Misconfigured as error:
        told.append(trouble(about, error))
    if not charges and not found.problems:
        count = len(found.credentials)
        told.append(
            attention(
                about,
                f"no policy matches any of the {count} credentials that were found: nothing would be touched",
                "Opt in: fill a policy's `match`. `keyturn init` shows how.",
            )
        )
    for entry in entries:
        if entry.policy.probe is None and any(_won(keyturn, charge) is entry for charge in charges):
            told.append(
                attention(
                    f"policy {entry.name}",
                    f"no probe: a fresh value is not proven, keyturn waits {spell(entry.policy.propagation)} instead",
                    "Add `probe: { path: … }`, a cheap operation that needs a key.",
                )
            )
    yield from told
    if charges:
        rest = f"; nobody by {', '.join(entry.name for entry in idle)}" if idle else ""
        yield ok(about, f"{keyturn.config.file}: {counted(len(charges), 'credential')} opted in{rest}")


def _is_about(warning: str, entries: Sequence[PolicyEntry]) -> bool:
    """Whether it tells that one of these wins nobody, which is meant where a match is empty."""
    return any(warning.endswith(f"policy {entry.name} wins no credential.") for entry in entries)


def _won(keyturn: Assembled, charge: Charge) -> PolicyEntry | None:
    return match_policy(keyturn.config, charge.credential)
