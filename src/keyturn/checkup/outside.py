"""What lies outside Resource Manager: the sinks that callers read, and the gateways that they call.

A sink's value is read, as every run reads it, and shown to the gateways that it is for. Never here: a write.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from keyturn.azure import rights
from keyturn.checkup.finding import Finding, attention, counted, missing, ok
from keyturn.config import KeyVaultSink, NamedValueSink, SinkSpec, WebhookSink, match_policy, render
from keyturn.errors import KeyturnError, Misconfigured, Refused
from keyturn.minting import TokenSink
from keyturn.model import Credential, Kind, Secret
from keyturn.policy import ProbeSpec
from keyturn.starter import NO_VAULT

if TYPE_CHECKING:
    from keyturn.assemble import Assembled
    from keyturn.ports import Sink
    from keyturn.probes.gateway import GatewayProbe
    from keyturn.sweep import Charge

SHOWN: Final = 3
"""Values per policy that are shown to the gateways, unless credentials are named: each costs two calls per gateway."""


class Shown(msgspec.Struct, frozen=True):
    """What the sinks show, by credential: its value, or that each of those that can be read was read and has none."""

    values: dict[str, Secret]
    nothing: frozenset[str]


def sinks(keyturn: Assembled, charges: Sequence[Charge]) -> Generator[Finding, None, Shown]:
    """Returns what each credential's sinks show."""
    values: dict[str, Secret] = {}
    nothing: dict[str, bool] = {}
    read: dict[str, int] = {}
    empty: dict[str, int] = {}
    deleted: dict[str, list[str]] = {}
    failed: dict[tuple[str, str], tuple[Finding, int]] = {}
    kinds: dict[str, SinkSpec] = {}
    for charge in charges:
        for spec, sink in _pairs(keyturn, charge.credential):
            place = _place(spec)
            kinds.setdefault(place, spec)
            if sink.write_only:
                read.setdefault(place, 0)
                continue
            try:
                shown = sink.read()
            except KeyturnError as error:
                finding = _unreadable(place, spec, error)
                key = (place, finding.next if isinstance(spec, KeyVaultSink) else finding.sentence)
                failed[key] = (finding, failed.get(key, (finding, 0))[1] + 1)
                nothing[charge.credential.key] = False
                continue
            read[place] = read.get(place, 0) + 1
            empty[place] = empty.get(place, 0) + (shown.value is None)
            if shown.value is None and isinstance(spec, KeyVaultSink) and _stands_deleted(sink):
                deleted.setdefault(place, []).append(spec.secret)
            if isinstance(sink, TokenSink):
                continue
            nothing[charge.credential.key] = shown.value is None and nothing.get(charge.credential.key, True)
            if shown.value is not None:
                values[charge.credential.key] = shown.value
    for place, spec in kinds.items():
        if place in read:
            yield ok(place, _readable(spec, read[place], empty.get(place, 0)))
    for place, names in deleted.items():
        yield _recoverable(place, names)
    for finding, count in failed.values():
        more = f" (and {count - 1} more there)" if count > 1 else ""
        yield msgspec.structs.replace(finding, sentence=f"{finding.sentence}{more}")
    return Shown(values, frozenset(key for key, is_so in nothing.items() if is_so))


def _pairs(keyturn: Assembled, credential: Credential) -> list[tuple[SinkSpec, Sink]]:
    """Each sink with what the configuration says of it; both lists have the same order."""
    entry = match_policy(keyturn.config, credential)
    specs = [] if entry is None else [render(spec, credential) for spec in entry.sinks]
    try:
        return list(zip(specs, keyturn.sinks_of(credential), strict=True))
    except Misconfigured:
        return []  # a signing secret is missing, which is told already


def _place(spec: SinkSpec) -> str:
    if isinstance(spec, KeyVaultSink):
        return f"vault {spec.vault}"
    if isinstance(spec, NamedValueSink):
        return f"named values of {spec.service}"
    if isinstance(spec, WebhookSink):
        return f"webhook {spec.url}"
    return f"file {spec.path}"


def _readable(spec: SinkSpec, count: int, empty: int) -> str:
    if isinstance(spec, WebhookSink):
        return "cannot be read back; it is first called when something is published"
    kinds = ((KeyVaultSink, "secret"), (NamedValueSink, "named value"))
    what = next((word for kind, word in kinds if isinstance(spec, kind)), "variable")
    shown = f"{counted(count, what)} can be read{f', {empty} of them not there yet' if empty else ''}"
    if isinstance(spec, KeyVaultSink):
        return f"{shown}. A write alone would tell whether they can be set: {rights.VAULT_ROLE} may"
    return f"{shown}. A write alone would tell whether it can be written"


def _stands_deleted(sink: Sink) -> bool:
    from keyturn.sinks.keyvault import KeyVaultSecret  # noqa: PLC0415 - only where there is one

    plain = sink.inner if isinstance(sink, TokenSink) else sink
    return isinstance(plain, KeyVaultSecret) and plain.stands_deleted()


def _recoverable(place: str, names: Sequence[str]) -> Finding:
    """Deleted secrets of the wanted names keep those names to themselves (azure-facts 7.1)."""
    more = f" (and {len(names) - SHOWN} more there)" if len(names) > SHOWN else ""
    are = "are" if len(names) > 1 else "is"
    return missing(
        place,
        f"{', '.join(names[:SHOWN])}{more} {are} deleted but recoverable: publishing there will be refused (409)",
        "`az keyvault secret recover` brings it back as it was, old value and all; `az keyvault secret purge` frees "
        "its name for ever. Or publish under another name.",
    )


def _unreadable(place: str, spec: SinkSpec, error: KeyturnError) -> Finding:
    hint = "" if error.hint.startswith("Nothing to do") else error.hint
    if isinstance(spec, KeyVaultSink):
        if spec.vault == NO_VAULT:
            return missing(place, "nobody has named the vault yet", "Write the name of the vault that callers read.")
        if isinstance(error, Refused) and error.status == 403:
            role = (
                f"Assign {rights.VAULT_ROLE} at the vault, which must use Azure RBAC; a new assignment takes minutes."
            )
            return missing(place, error.message, role, _denied_action(error))
        return missing(place, error.message, hint or "Check the vault's name, its network rules, and the proxy.")
    return missing(place, error.message, hint)


def _denied_action(error: KeyturnError) -> str:
    return rights.VAULT[0].action if isinstance(error, Refused) else ""


# -------- gateways and probes


def gateways(
    keyturn: Assembled,
    aliases: Sequence[str],
    charges: Sequence[Charge],
    values: dict[str, Secret],
    all_values: bool,
) -> Iterator[Finding]:
    """Who is reached, whether a probe refuses a value that nobody has, and whether it accepts what a sink shows."""
    for alias in aliases:
        asking = keyturn.probe_of(alias)
        silent = yield from _reached(keyturn, asking, alias, charges)
        groups: dict[tuple[str, Kind, ProbeSpec], list[Charge]] = {}
        for charge in charges:
            if charge.credential.service == alias and charge.policy.probe is not None:
                key = (charge.policy.name, charge.credential.kind, charge.policy.probe)
                groups.setdefault(key, []).append(charge)
        for (policy, _, spec), group in groups.items():
            yield from _probed(keyturn, asking, f"probe of {policy}", spec, group, values, all_values, silent)


def _reached(
    keyturn: Assembled, asking: GatewayProbe, alias: str, charges: Sequence[Charge]
) -> Generator[Finding, None, frozenset[str]]:
    """Returns those that do not answer, so that nobody waits for them once more for each policy."""
    first = next((charge.credential for charge in charges if charge.credential.service == alias), None)
    if first is None:
        return frozenset()
    try:
        given = keyturn.config.services[alias].gateways if first.kind is Kind.APIM_SUBSCRIPTION else ()
        gateways = given or keyturn.gateways(first)
    except KeyturnError:
        return frozenset()  # the service itself may not be read, which is told already
    silent = {gateway: why for gateway in gateways if (why := asking.reach(gateway))}
    for gateway, why in silent.items():
        yield missing(
            "gateway", f"{gateway}: {why}", "Open the way from here, or name what can be reached in `probe.gateways`."
        )
    if gateways and not silent:
        yield ok("gateways", f"{len(gateways)} answer: {', '.join(gateways)}")
    return frozenset(silent)


def _probed(
    keyturn: Assembled,
    asking: GatewayProbe,
    about: str,
    spec: ProbeSpec,
    group: Sequence[Charge],
    values: dict[str, Secret],
    all_values: bool,
    silent: frozenset[str],
) -> Iterator[Finding]:
    try:
        meant = spec.gateways or keyturn.gateways(group[0].credential)
    except KeyturnError:
        return
    gateways = tuple(gateway for gateway in meant if gateway not in silent)
    if meant and not gateways:
        return  # none of them answers, which is told already
    spec = msgspec.structs.replace(spec, gateways=gateways)
    refused = asking.control(gateways, spec)
    if refused.proves_nothing:
        yield missing(
            about,
            f"{refused.sentence}: it proves nothing",
            "Probe an operation of an API that needs a key, in no product that is open.",
        )
        return
    if not refused.accepted:
        yield missing(about, refused.sentence, "Correct `probe`, or see why the gateway does not answer.")
        return
    shown = [charge for charge in group if charge.credential.key in values and _is_plain(charge)]
    tried = shown if all_values else shown[:SHOWN]
    wrong = 0
    for charge in tried:
        verdict = asking.ask(gateways, spec, values[charge.credential.key], 1)
        if not verdict.accepted:
            wrong += 1
            yield attention(
                charge.credential.id,
                f"what its sink shows is not accepted: {verdict.sentence}",
                f"Whoever reads it there is refused now: `keyturn plan {charge.credential.id}`.",
            )
    asked = counted(len(gateways), "gateway")
    proof = f"; {len(tried) - wrong} of {counted(len(tried), 'value')} that sinks show accepted" if tried else ""
    left = f" ({len(shown) - len(tried)} more were not shown: name them)" if len(shown) > len(tried) else ""
    yield ok(about, f"{spec.method} {spec.path} refuses a value that nobody has, at {asked}{proof}{left}")


def _is_plain(charge: Charge) -> bool:
    """Whether its value is shown as it is: others are shown as tokens made from it."""
    return charge.credential.kind is Kind.APIM_SUBSCRIPTION
