"""Which policy looks after a credential: the first that matches.

Never here: what the policy then does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from keyturn.config.types import Config, Match, PolicyEntry, Service
from keyturn.model import Credential, Kind, Mode
from keyturn.policy import Policy, ProbeSpec

BUILT_IN_ALL_ACCESS = "master"
"""The sid of APIM's built-in all-access apim subscription: no wildcard matches it, only its name."""


AUTHORIZATION = "Authorization"


def match_policy(config: Config, credential: Credential) -> PolicyEntry | None:
    """The first policy that matches, or None."""
    return next((entry for entry in config.policies if matches(entry.match, credential)), None)


def kinds(config: Config, alias: str) -> frozenset[Kind]:
    """The kinds of credentials that some policy wants of a service: no other kind is listed, nor any right needed."""
    return frozenset(entry.match.kind for entry in config.policies if _wants(entry.match, alias))


def tenants(config: Config, alias: str) -> tuple[str, ...]:
    """Which of a service's tenant access keys some policy wants."""
    wanted = {name for entry in config.policies if _wants(entry.match, alias) for name in entry.match.tenant or ()}
    return tuple(sorted(wanted))


def _wants(match: Match, alias: str) -> bool:
    return match.service is None or _any_matches(match.service, [alias])


def policy_for(config: Config, entry: PolicyEntry, credential: Credential) -> Policy:
    """The entry's policy with what the credential's service and kind add: mode, whom to probe how, trust in ETags."""
    service = config.services[credential.service]
    changes: dict[str, Any] = {"trust_etag": service.trust_etag}
    if credential.kind is Kind.GATEWAY:
        changes["mode"] = Mode.REGENERATE  # Azure has no operation that sets a gateway's key (azure-facts 1.3)
    elif service.mode is not None and not entry.mode_given:
        changes["mode"] = service.mode
    if entry.policy.probe is not None:
        changes["probe"] = _probe_for(entry.policy.probe, service, credential.kind)
    return msgspec.structs.replace(entry.policy, **changes)


def _probe_for(probe: ProbeSpec, service: Service, kind: Kind) -> ProbeSpec:
    """Values of apim subscriptions are shown to the service's gateways, in the header of a key; tokens to what takes
    tokens, as every authorization is."""
    if kind is Kind.APIM_SUBSCRIPTION:
        return msgspec.structs.replace(probe, gateways=probe.gateways or service.gateways)
    header = AUTHORIZATION if probe.header == ProbeSpec(path="/").header else probe.header
    return msgspec.structs.replace(probe, header=header, strict=True)


def never_winning(config: Config, credentials: Iterable[Credential]) -> tuple[PolicyEntry, ...]:
    """The policies that win for none of these credentials: each deserves a warning."""
    winners = {id(match_policy(config, credential)) for credential in credentials}
    return tuple(entry for entry in config.policies if id(entry) not in winners)


def matches(match: Match, credential: Credential) -> bool:
    """Whether every field that the match gives fits. One that gives none matches nothing."""
    if match.kind is not credential.kind:
        return False
    wanted = [
        (globs, found)
        for globs, found in (
            (match.service, (credential.service,)),
            (match.product, (credential.product,)),
            (match.sid, (credential.name,)),
            (match.owner, (credential.owner,)),
            (match.scope, _scopes(credential)),
            (match.tenant, (credential.name,)),
            (match.gateway, (credential.name,)),
        )
        if globs is not None
    ]
    master = credential.name == BUILT_IN_ALL_ACCESS and credential.kind is Kind.APIM_SUBSCRIPTION
    if master and BUILT_IN_ALL_ACCESS not in (match.sid or ()):
        return False
    return bool(wanted) and all(_any_matches(globs, found) for globs, found in wanted)


def _scopes(credential: Credential) -> tuple[str, ...]:
    """A scope as Azure writes it, and from the service's name on."""
    _, found, tail = credential.scope.partition("/service/")
    return (credential.scope, f"/{tail.partition('/')[2]}") if found else (credential.scope,)


def _any_matches(globs: Iterable[str], found: Iterable[str | None]) -> bool:
    texts = [text for text in found if text]
    return any(glob_matches(glob, text) for glob in globs for text in texts)


def glob_matches(glob: str, text: str) -> bool:
    """`*` stands for anything, slashes included; all else for itself. ARM names ignore case, so this does."""
    first, *rest = glob.lower().split("*")
    found = text.lower()
    if not rest:
        return first == found
    *middle, last = rest
    at, end = len(first), len(found) - len(last)
    if at > end or not found.startswith(first) or not found.endswith(last):
        return False
    for part in middle:  # the first place of each will do: a regular expression would try all of them
        at = found.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
