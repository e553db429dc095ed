"""Which policy looks after a credential: the first that matches.

Never here: what the policy then does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from keyturn.config.types import Config, Match, PolicyEntry
from keyturn.model import Credential
from keyturn.policy import Policy

BUILT_IN_ALL_ACCESS = "master"
"""The sid of APIM's built-in all-access apim subscription: no wildcard matches it, only its name."""


def match_policy(config: Config, credential: Credential) -> PolicyEntry | None:
    """The first policy that matches, or None."""
    return next((entry for entry in config.policies if matches(entry.match, credential)), None)


def policy_for(config: Config, entry: PolicyEntry, credential: Credential) -> Policy:
    """The entry's policy with what the credential's service adds: mode, gateways to probe, trust in ETags."""
    service = config.services[credential.service]
    changes: dict[str, Any] = {"trust_etag": service.trust_etag}
    if service.mode is not None and not entry.mode_given:
        changes["mode"] = service.mode
    probe = entry.policy.probe
    if probe is not None and not probe.gateways and service.gateways:
        changes["probe"] = msgspec.structs.replace(probe, gateways=service.gateways)
    return msgspec.structs.replace(entry.policy, **changes)


def never_winning(config: Config, credentials: Iterable[Credential]) -> tuple[PolicyEntry, ...]:
    """The policies that win for none of these credentials: each deserves a warning."""
    winners = {id(match_policy(config, credential)) for credential in credentials}
    return tuple(entry for entry in config.policies if id(entry) not in winners)


def matches(match: Match, credential: Credential) -> bool:
    """Whether every field that the match gives fits. One that gives none matches nothing."""
    wanted = [
        (globs, found)
        for globs, found in (
            (match.service, (credential.service,)),
            (match.product, (credential.product,)),
            (match.sid, (credential.name,)),
            (match.owner, (credential.owner,)),
            (match.scope, _scopes(credential)),
        )
        if globs is not None
    ]
    if credential.name == BUILT_IN_ALL_ACCESS and BUILT_IN_ALL_ACCESS not in (match.sid or ()):
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
    pattern = ".*".join(re.escape(part) for part in glob.split("*"))
    return re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL) is not None
