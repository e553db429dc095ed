"""From marked text to a configuration: read by the table, check what no single setting can tell, then build.

Problems never stop the reading: all are raised together, in the order of the file. What is built only ever rests on
text in which nothing is wrong.

Never here: YAML, files, or the environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import Any, Literal

import msgspec

from keyturn.config.form import Bad, Filled, Node, Problems, did_you_mean, shown
from keyturn.config.matching import glob_matches
from keyturn.config.places import TEMPLATE_WORDS, identity, words
from keyturn.config.table import CONFIGURATION
from keyturn.config.types import (
    AzureCli,
    Certificate,
    ClientSecret,
    Cloud,
    Config,
    CustomCloud,
    EmulatorTime,
    FileSink,
    GitHub,
    KeyVaultSink,
    ManagedIdentity,
    Match,
    NamedValueSink,
    PolicyEntry,
    Service,
    SignInSpec,
    SinkSpec,
    TableSpec,
    TokenEntry,
    WebhookSink,
    WorkloadIdentity,
)
from keyturn.errors import Misconfigured
from keyturn.model import Mode
from keyturn.policy import Consumers, Pace, Policy, ProbeSpec, TokenKind, TokenSpec, shortfalls, token_shortfalls


def parse(root: Node, file: str) -> Config:
    """The configuration in a tree of marked text. `file` is its name in messages and the place of relative paths.

    Raises Misconfigured with every problem: `problems` has one line for each, in the order of the file.
    """
    problems = Problems()
    filled = CONFIGURATION.read(root, "", problems)
    if isinstance(filled, Filled):
        _check_services(filled, problems)
        _check_policies(filled, problems)
        _check_ledger(filled, problems)
    if problems.found or isinstance(filled, Bad):
        raise _misconfigured(problems, file)
    return _config(filled, file)


def _misconfigured(problems: Problems, file: str) -> Misconfigured:
    found = sorted(set(problems.found))
    shown = tuple(problem.shown(file) for problem in found)
    refused = Misconfigured("\n".join(shown), hint="Nothing was changed.", problems=shown)
    refused.where = f"{file}:{found[0].line}"
    return refused


def _check_services(filled: Filled, problems: Problems) -> None:
    """One service under two aliases would be two records for one credential."""
    seen: dict[str, str] = {}
    for alias, service in filled.get("services", {}).items():
        if isinstance(service, Bad) or "id" not in service.values:
            continue
        first = seen.setdefault(service.get("id").lower(), alias)
        if first != alias:
            problems.add(service.mark("id"), f"services.{alias} is the same service as {first}.", "Keep one of them.")


def _check_policies(filled: Filled, problems: Problems) -> None:
    aliases = list(filled.get("services", {}))
    seen: dict[str, Node] = {}
    for policy in filled.get("policies", ()):
        name = policy.get("name", "")
        if name and seen.setdefault(name, policy.mark("name")) != policy.mark("name"):
            problems.add(policy.mark("name"), f"Two policies are called {name}.", "Give each a name of its own.")
        _check_match(policy, aliases, problems)
        _check_probe(policy, problems)
        _check_sinks(policy, aliases, problems)
        _check_waits(policy, problems)
        _check_tokens(policy, problems)


def _check_match(policy: Filled, aliases: Sequence[str], problems: Problems) -> None:
    """A policy for a service that does not exist would silently match nothing."""
    match = policy.get("match")
    if match is None:
        return
    _check_kind(policy, match, problems)
    if not aliases:
        return
    for glob in match.get("service") or ():
        if not any(glob_matches(glob, alias) for alias in aliases):
            problems.add(
                match.mark("service"), f"match.service: there is no service {shown(glob)}.", did_you_mean(glob, aliases)
            )


_OF_APIM_SUBSCRIPTIONS = ("product", "sid", "owner", "scope")


def _check_kind(policy: Filled, match: Filled, problems: Problems) -> None:
    """A match is for one kind of credential; what another kind does not have, it would never match."""
    kinds = [name for name in ("gateway", "tenant") if name in match.marks]
    if len(kinds) > 1:
        problems.add(match.mark("tenant"), "match: gateway and tenant are two kinds.", "Write a policy for each.")
    for name in _OF_APIM_SUBSCRIPTIONS:
        if kinds and name in match.marks:
            problems.add(
                match.mark(name), f"match: {name} is of apim subscriptions, {kinds[0]} is not.", "Remove one of them."
            )
    if kinds == ["gateway"] and policy.get("renew") is Mode.SET:
        problems.add(
            policy.mark("renew"),
            "renew: set: Azure has no way to set a self-hosted gateway's key.",
            "Write regenerate, or leave it out.",
        )


def _check_tokens(policy: Filled, problems: Problems) -> None:
    entries, match = policy.get("tokens") or (), policy.get("match")
    if not entries and "publish" not in policy.marks and "tokens" not in policy.marks:
        problems.add(policy.node, "A policy must say where to publish.", "Add publish: or tokens:.")
    for entry in entries:
        _check_token_kind(entry, match, problems)
        _check_token_slot(entry, policy, problems)
        _check_token_sinks(entry, problems)
        if {"lifetime", "renew_before"} & entry.bad or any(name in policy.bad for name in _FEEDS_THE_BOUNDS):
            continue
        for sentence in token_shortfalls(_waits(policy), _token_spec(entry)):
            field = sentence.partition(":")[0]
            problems.add(entry.mark(field), f"tokens.{sentence}")


def _check_token_kind(entry: Filled, match: Filled | None, problems: Problems) -> None:
    kind, matched = entry.get("kind"), match.values if match is not None else {}
    if kind is TokenKind.GATEWAY and "gateway" not in matched:
        problems.add(
            entry.mark("kind"),
            "tokens: a gateway token is made from a self-hosted gateway's key, and this policy matches none.",
            "Write match: { gateway: … }.",
        )
    if kind is TokenKind.MANAGEMENT and matched.get("tenant") != ("access",):
        problems.add(
            entry.mark("kind"),
            "tokens: a management token is made from the tenant access keys, and this policy is not for them alone.",
            "Write match: { tenant: access }.",
        )
    if kind is TokenKind.GATEWAY and "form" in entry.values:
        problems.add(entry.mark("form"), "tokens: a gateway token has one form only.", "Remove form.")


def _check_token_sinks(entry: Filled, problems: Problems) -> None:
    for kind, sink in entry.get("publish") or ():
        if kind == "webhook" and not sink.get("include_value", False):
            problems.add(
                sink.node,
                "tokens: a webhook without include_value would be told of a token that nobody ever sees.",
                "Write include_value: true, or publish it elsewhere.",
            )


def _check_token_slot(entry: Filled, policy: Filled, problems: Problems) -> None:
    """One credential has one active slot: whatever names it must name the same."""
    named = {other.get("slot") for other in policy.get("tokens") or ()} | {policy.get("adopt")}
    if "slot" in entry.values and len(named - {None}) > 1:
        problems.add(
            entry.mark("slot"),
            "tokens: adopt and every slot here must name the same one.",
            "All that is published comes from the active slot.",
        )


def _check_probe(policy: Filled, problems: Problems) -> None:
    probe = policy.get("probe")
    if probe is not None and {"header", "query"} <= set(probe.marks):
        problems.add(
            probe.marks["query"],
            "probe: a value goes into a header or into the query, not both.",
            "Remove one of them.",
        )
    propagation = policy.get("propagation")
    if "probe" not in policy.marks and propagation is not None and not propagation:
        problems.add(
            policy.mark("propagation"),
            "propagation: 0 and no probe: nothing would confirm a fresh value before it is published.",
            "Add a probe, or leave propagation out.",
        )


def _check_sinks(policy: Filled, aliases: Sequence[str], problems: Problems) -> None:
    seen: set[str] = set()
    for kind, sink in _published(policy):
        for field in ("vault", "secret", "path", "variable", "name"):
            if field in sink.values:
                _check_template(sink.get(field), sink.mark(field), f"publish.{kind}.{field}", problems)
        service = sink.get("service")
        if service is not None and aliases and service not in aliases:
            problems.add(
                sink.mark("service"),
                f"publish.{kind}.service: there is no service {shown(service)}.",
                did_you_mean(service, aliases),
            )
        if sink.bad:
            continue
        place = identity(_sink(kind, sink, ""))
        if place in seen:
            problems.add(sink.node, "publish names the same sink twice.", "Remove one of them.")
        seen.add(place)


def _published(policy: Filled) -> Iterator[tuple[str, Filled]]:
    """Every sink of a policy, those of its tokens too."""
    yield from policy.get("publish") or ()
    for entry in policy.get("tokens") or ():
        yield from entry.get("publish") or ()


def _check_template(text: str, mark: Node, path: str, problems: Problems) -> None:
    for word in words(text):
        if word not in TEMPLATE_WORDS:
            problems.add(
                mark,
                f"{path}: {shown(f'{{{word}}}')} is nothing that keyturn fills in.",
                did_you_mean(word, TEMPLATE_WORDS),
            )
    if re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", text)):
        problems.add(mark, f"{path}: {shown(text)} has a brace without its partner.", "Write {sid}, for example.")


_FEEDS_THE_BOUNDS = ("rotate", "consumers", "drain", "deadline", "late", "max_clock_skew")


def _check_waits(policy: Filled, problems: Problems) -> None:
    """Rule A3: waits below their bounds are refused, with the sum shown, at the wait itself."""
    for name in _FEEDS_THE_BOUNDS:
        value = policy.get(name)
        if name in policy.bad or (isinstance(value, Filled) and value.bad):
            return
    drain, rotate = policy.get("drain"), policy.get("rotate")
    places = {
        "drain": drain.mark("time") if isinstance(drain, Filled) else policy.mark("drain"),
        "drain.max": drain.mark("max") if isinstance(drain, Filled) else policy.mark("drain"),
        "rotate.every": rotate.mark("every") if rotate is not None else policy.mark("rotate"),
        "rotate.jitter": rotate.mark("jitter") if rotate is not None else policy.mark("rotate"),
    }
    for sentence in shortfalls(_waits(policy)):
        problems.add(places.get(sentence.partition(":")[0], policy.node), sentence)


def _check_ledger(filled: Filled, problems: Problems) -> None:
    given = filled.get("ledger")
    if isinstance(given, tuple):
        table = given[1]
        ways = [name for name in ("connection_env", "url") if name in table.marks]
        if len(ways) != 1:
            problems.add(
                table.mark("url"),
                f"ledger.table has {'two ways' if ways else 'no way'} to its storage account.",
                "Write connection_env: AzureWebJobsStorage, or url: https://ACCOUNT.table.core.windows.net.",
            )


# Building: only once nothing is wrong.


def _config(filled: Filled, file: str) -> Config:
    services = {alias: _service(alias, service, file) for alias, service in filled.get("services").items()}
    salt, budget = filled.get("salt"), filled.get("budget")
    signin, clock = filled.get("signin"), filled.get("clock")
    given: dict[str, Any] = {
        "ledger": _ledger(filled.get("ledger", "sqlite:///keyturn.db"), file),
        "salt_env": salt.get("env") if salt is not None else None,
        "signin": _signin(signin[0], signin[1], file) if signin is not None else None,
        "clock": EmulatorTime(**clock[1].values) if clock is not None else None,
        "cloud": _cloud(filled.get("cloud", "public"), file),
    }
    if budget is not None and "share" in budget.values:
        given["budget_share"] = budget.get("share")
    if "workers" in filled.values:
        given["workers"] = filled.get("workers")
    policies = tuple(_entry(policy, file) for policy in filled.get("policies"))
    return Config(file=file, services=services, policies=policies, **given)


_WAYS: dict[str, type[SignInSpec]] = {
    "client_secret": ClientSecret,
    "certificate": Certificate,
    "workload_identity": WorkloadIdentity,
    "github": GitHub,
    "managed_identity": ManagedIdentity,
    "azure_cli": AzureCli,
}


def _signin(name: str, filled: Filled | None, file: str) -> SignInSpec:
    """`filled` is None for a way that was given as a word alone."""
    values = {} if filled is None else dict(filled.values)
    for path in ("path", "token_file"):
        if path in values:
            values[path] = _beside(values[path], file)
    return _WAYS[name](**values)


def _service(alias: str, filled: Filled, file: str) -> Service:
    values = {**filled.values, "gateways": _bare(filled.get("gateways", ()))}
    if "cloud" in values:
        values["cloud"] = _cloud(values["cloud"], file)
    return Service(alias=alias, **values)


def _cloud(given: Any, file: str) -> Cloud:
    if not isinstance(given, Filled):
        chosen: Cloud = given
        return chosen
    values = dict(given.values)
    for name in ("authority", "resource_manager", "audience"):
        if name in values:
            values[name] = values[name].rstrip("/")
    values.setdefault("audience", values["resource_manager"])
    if "ca" in values:
        values["ca"] = _beside(values["ca"], file)
    return CustomCloud(**values)


def _entry(filled: Filled, file: str) -> PolicyEntry:
    policy = _waits(filled)
    changes = {name: filled.get(name) for name in _COPIED if name in filled.values}
    if "renew" in filled.values:
        changes["mode"] = filled.get("renew")
    if "pace" in filled.values:
        changes["pace"] = Pace(**filled.get("pace").values)
    if "probe" in filled.values:
        probe = filled.get("probe").values
        changes["probe"] = ProbeSpec(**{**probe, "gateways": _bare(probe.get("gateways", ()))})
    tokens = tuple(_token(entry, file) for entry in filled.get("tokens") or ())
    slots = [entry.get("slot") for entry in filled.get("tokens") or () if "slot" in entry.values]
    if slots:
        changes.setdefault("adopt", slots[0])
    return PolicyEntry(
        match=Match(**filled.get("match").values),
        policy=msgspec.structs.replace(policy, tokens=tuple(token.spec for token in tokens), **changes),
        publish=tuple(_sink(kind, sink, file) for kind, sink in filled.get("publish") or ()),
        tokens=tokens,
        mode_given="renew" in filled.values,
        line=filled.node.line,
    )


_COPIED = ("retire", "adopt", "accepts", "settle", "propagation", "look_every", "park_after")


def _token(filled: Filled, file: str) -> TokenEntry:
    return TokenEntry(
        spec=_token_spec(filled),
        publish=tuple(_sink(kind, sink, file) for kind, sink in filled.get("publish")),
    )


def _token_spec(filled: Filled) -> TokenSpec:
    given = {name: filled.get(name) for name in ("lifetime", "renew_before") if name in filled.values}
    kind = filled.get("kind", TokenKind.GATEWAY)
    return TokenSpec(kind=kind, short=filled.get("form", False), **given)


def _waits(filled: Filled) -> Policy:
    """The policy as far as its waits go: all that the bounds of rule A3 depend on."""
    given: dict[str, Any] = {
        name: filled.get(name) for name in ("deadline", "late", "max_clock_skew") if name in filled.values
    }
    rotate, drain, consumers = filled.get("rotate"), filled.get("drain"), filled.get("consumers")
    if rotate is not None:
        names = {"every": "every", "window": "windows", "jitter": "jitter"}
        given.update({names[name]: value for name, value in rotate.values.items()})
    if consumers is not None:
        given["consumers"] = Consumers(**consumers.values)
    if isinstance(drain, Filled):
        names = {"time": "drain", "max": "drain_max"}
        given.update({names[name]: span for name, span in drain.values.items()})
    elif drain is not None:
        given["drain"] = drain
    return Policy(name=filled.get("name", ""), **given)


def _sink(kind: str, filled: Filled, file: str) -> SinkSpec:
    if kind == "keyvault":
        return KeyVaultSink(**filled.values)
    if kind == "namedvalue":
        return NamedValueSink(named_value=filled.get("name"), service=filled.get("service"))
    if kind == "webhook":
        return WebhookSink(**filled.values)
    path = _beside(filled.get("path"), file)
    by_name: Literal["dotenv", "json"] = "json" if path.endswith(".json") else "dotenv"
    return FileSink(path=path, variable=filled.get("variable"), format=filled.get("format", by_name))


def _bare(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(address.rstrip("/") for address in addresses)


def _beside(path: str, file: str) -> str:
    """A relative path means: beside the configuration, wherever keyturn is started from."""
    return str(PurePath(file).parent / path)


def _ledger(given: str | tuple[str, Filled], file: str) -> str | TableSpec:
    if isinstance(given, tuple):
        return TableSpec(**{name: value.rstrip("/") for name, value in given[1].values.items()})
    scheme, _, path = given.partition(":///")
    return f"{scheme}:///{_beside(path, file)}"
