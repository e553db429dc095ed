"""What lies outside Resource Manager: the sinks that callers read, and the gateways that they call.

A sink's value is read, as every run reads it, and shown to the gateways that it is for. Never here: a write.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from keyturn.azure import rights
from keyturn.checkup.finding import Finding, attention, counted, hint_of, missing, ok
from keyturn.config import KeyVaultSink, NamedValueSink, SinkSpec, WebhookSink, match_policy, render
from keyturn.errors import KeyturnError, Misconfigured, Refused
from keyturn.minting import TokenSink
from keyturn.model import Credential, Kind, Secret
from keyturn.policy import ProbeSpec
from keyturn.starter import NO_VAULT

if TYPE_CHECKING:
    from keyturn.assemble import Assembled
    from keyturn.ports import Shown, Sink, Verdict
    from keyturn.probes.gateway import GatewayProbe
    from keyturn.sweep import Charge

SHOWN: Final = 3
"""Values per policy that are shown to the gateways, unless credentials are named: each costs two calls per gateway."""


class AllShown(msgspec.Struct, frozen=True):
    """What the sinks show, by credential: its value, or that each of those that can be read was read and has none."""

    values: dict[str, Secret]
    nothing: frozenset[str]


def sinks(keyturn: Assembled, charges: Sequence[Charge]) -> Generator[Finding, None, AllShown]:
    """Returns what each credential's sinks show."""
    places: dict[str, _Place] = {}
    values: dict[str, Secret] = {}
    nothing: dict[str, bool] = {}
    for charge in charges:
        key = charge.credential.key
        for spec, sink in _pairs(keyturn, charge.credential):
            name = _place(spec)
            place = places.setdefault(name, _Place(name, spec))
            if sink.write_only:
                place.is_told = True
                continue
            shown = place.read(spec, sink)
            if shown is None:
                nothing[key] = False
            elif not isinstance(sink, TokenSink):
                nothing[key] = shown.value is None and nothing.get(key, True)
                if shown.value is not None:
                    values[key] = shown.value
    for tell in (_Place.tell_readable, _Place.tell_deleted, _Place.tell_failed):
        for place in places.values():
            yield from tell(place)
    return AllShown(values, frozenset(key for key, is_so in nothing.items() if is_so))


class _Place:
    """What is learned of one vault, file or webhook, sink by sink."""

    def __init__(self, name: str, spec: SinkSpec) -> None:
        self._name, self._spec = name, spec
        self.is_told = False
        """Whether there is more to tell than failures."""
        self._count = self._empty = 0
        self._deleted: list[str] = []
        self._failed: dict[str, list[Finding]] = {}

    def read(self, spec: SinkSpec, sink: Sink) -> Shown | None:
        """What the sink shows; None where it cannot be read. Raises nothing."""
        try:
            shown = sink.read()
        except KeyturnError as error:
            finding = _unreadable(self._name, spec, error)
            alike = finding.next if isinstance(spec, KeyVaultSink) else finding.sentence
            self._failed.setdefault(alike, []).append(finding)
            return None
        self.is_told = True
        self._count += 1
        self._empty += shown.value is None
        if shown.value is None and isinstance(spec, KeyVaultSink) and _stands_deleted(sink):
            self._deleted.append(spec.secret)
        return shown

    def tell_readable(self) -> Iterator[Finding]:
        if self.is_told:
            yield ok(self._name, _readable(self._spec, self._count, self._empty))

    def tell_deleted(self) -> Iterator[Finding]:
        if self._deleted:
            yield _recoverable(self._name, self._deleted)

    def tell_failed(self) -> Iterator[Finding]:
        """Failures that are mended alike are told once, in the words of the last."""
        for alike in self._failed.values():
            more = f" (and {len(alike) - 1} more there)" if len(alike) > 1 else ""
            yield msgspec.structs.replace(alike[-1], sentence=f"{alike[-1].sentence}{more}")


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
    hint = hint_of(error)
    if isinstance(spec, KeyVaultSink):
        if spec.vault == NO_VAULT:
            return missing(place, "nobody has named the vault yet", "Write the name of the vault that callers read.")
        if isinstance(error, Refused) and error.status == 403:
            role = (
                f"Assign {rights.VAULT_ROLE} at the vault, which must use Azure RBAC; a new assignment takes minutes."
            )
            return missing(place, error.message, role, rights.VAULT[0].action)
        return missing(place, error.message, hint or "Check the vault's name, its network rules, and the proxy.")
    return missing(place, error.message, hint)


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
    """One probe, with a value that nobody has, and then with what sinks show."""
    try:
        meant = spec.gateways or keyturn.gateways(group[0].credential)
    except KeyturnError:
        return  # the service itself may not be read, which is told already
    gateways = tuple(gateway for gateway in meant if gateway not in silent)
    if meant and not gateways:
        return  # none of them answers, which is told already
    spec = msgspec.structs.replace(spec, gateways=gateways)
    refused = asking.control(gateways, spec)
    if refused.proves_nothing:
        instead = "Probe an operation of an API that needs a key, in no product that is open."
        yield missing(about, f"{refused.sentence}: it proves nothing", instead)
        return
    if not refused.accepted:
        yield missing(about, refused.sentence, "Correct `probe`, or see why the gateway does not answer.")
        return
    shown = [charge for charge in group if charge.credential.key in values and _is_plain(charge)]
    tried = shown if all_values else shown[:SHOWN]
    accepted = 0
    for charge in tried:
        verdict = asking.ask(gateways, spec, values[charge.credential.key], 1)
        accepted += verdict.accepted
        if not verdict.accepted:
            yield _not_accepted(charge, verdict)
    asked = counted(len(gateways), "gateway")
    proof = f"; {accepted} of {counted(len(tried), 'value')} that sinks show accepted" if tried else ""
    left = f" ({len(shown) - len(tried)} more were not shown: name them)" if len(shown) > len(tried) else ""
    yield ok(about, f"{spec.method} {spec.path} refuses a value that nobody has, at {asked}{proof}{left}")


def _not_accepted(charge: Charge, verdict: Verdict) -> Finding:
    return attention(
        charge.credential.id,
        f"what its sink shows is not accepted: {verdict.sentence}",
        f"Whoever reads it there is refused now: `keyturn plan {charge.credential.id}`.",
    )


def _is_plain(charge: Charge) -> bool:
    """Whether its value is shown as it is: others are shown as tokens made from it."""
    return charge.credential.kind is Kind.APIM_SUBSCRIPTION
