"""What the signed-in identity may do at a scope, asked of Azure without a change.

Decides what a list of permissions allows (azure-facts 3.4), which of them go beyond a need, and what an answer to a
call for something that does not exist tells of a right. Never here: which rights are needed (that is `rights`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import quote

from keyturn.azure.answers import Reply, listing
from keyturn.azure.pipeline import Arm
from keyturn.azure.rights import DANGERS, NOBODY, Right
from keyturn.config.matching import glob_matches
from keyturn.errors import Gone, NotSent, Refused, TryAgain
from keyturn.ports import NotApplied, SendBy

API_VERSION: Final = "2022-04-01"
REFUSED: Final = "AuthorizationFailed"
NO_ETAG: Final = '"AAAAAAAAAAA="'
"""Well-formed (8 bytes, azure-recorded 1), and older than any entity."""
SECONDS: Final = 30.0
PAST_THE_ROLES: Final = frozenset({400, 404, 405, 409, 412})
"""Resource Manager looks at roles before a provider looks at the request: these answers come after."""
IN_THE_WAY: Final = frozenset(
    {
        "ServiceNotFound",
        "SubscriptionNotFound",
        "ResourceGroupNotFound",
        "MissingSubscriptionRegistration",
        "ReadOnlyDisabledSubscription",
        "ScopeLocked",
    }
)
"""Not for want of a role, and yet it would be refused, or there is nothing that one could have a role at."""
NO_SERVICE: Final = ("The Resource 'Microsoft.ApiManagement/service", "the API Management service does not exist")
"""The same, where Resource Manager says ResourceNotFound of the service itself: in its words, and in ours."""


class Entry(NamedTuple):
    """What one role grants. Another role's `not_actions` take nothing away from it."""

    actions: tuple[str, ...]
    not_actions: tuple[str, ...]


class Standing(StrEnum):
    """Whether a right is granted."""

    GRANTED = "granted"
    MISSING = "missing"
    UNKNOWN = "unknown"


class Told(NamedTuple):
    """What was learned of a right; `why` where it could not be learned."""

    standing: Standing
    why: str = ""


def granted(arm: Arm, scope: str) -> tuple[Entry, ...]:
    """What whoever is signed in may do at an ARM id. Raises TryAgain, Refused, Gone."""
    path = f"{quote(scope.rstrip('/'), safe='/')}/providers/Microsoft.Authorization/permissions"
    what = f"list the permissions at {scope.rstrip('/').rpartition('/')[2]}"
    return tuple(
        Entry(
            tuple(str(action) for action in listing(entry.get("actions"))),
            tuple(str(action) for action in listing(entry.get("notActions"))),
        )
        for entry in arm.pages(path, api_version=API_VERSION, what=what)
    )


def allows(entries: Iterable[Entry], action: str) -> bool:
    """Whether any entry grants the action. Case does not matter; `*` spans slashes."""
    return any(_any_fits(entry.actions, action) and not _any_fits(entry.not_actions, action) for entry in entries)


def beyond(entries: Iterable[Entry], needed: Sequence[str]) -> tuple[str, ...]:
    """The patterns that grant more than is needed, in Azure's order. One that only reads is no matter."""
    wanted = {action.lower() for action in needed}
    found = {
        pattern: None
        for entry in entries
        for pattern in entry.actions
        if pattern.lower() not in wanted and not pattern.lower().endswith("/read")
    }
    return tuple(found)


def dangers(entries: Sequence[Entry], needed: Sequence[str]) -> tuple[str, ...]:
    """What that comes to, in words."""
    wanted = {action.lower() for action in needed}
    return tuple(words for action, words in DANGERS if action.lower() not in wanted and allows(entries, action))


def ask(arm: Arm, service_id: str, right: Right, *, api_version: str) -> Told:
    """Whether a right is granted, by its call for something that does not exist. Raises nothing."""
    if right.ask is None:
        return Told(Standing.UNKNOWN, "it cannot be tried without a change")
    nobody = f"keyturn-check-{arm.clock.random_bytes(16).hex()}"
    below = right.ask.path.replace(NOBODY, nobody)
    base = quote(service_id.rstrip("/"), safe="/")
    path = f"{base}/{below}" if below else base
    what = f"try {right.action}"
    try:
        if right.ask.method == "PATCH":
            return _write_nothing(arm, path, api_version, what)
        if right.ask.method == "POST":
            arm.ask(path, api_version=api_version, what=what)
        else:
            arm.read(path, api_version=api_version, what=what)
    except Gone as gone:
        return _told(404, gone.code, gone.message)
    except Refused as refusal:
        return _told(refusal.status, refusal.code, refusal.message)
    except TryAgain as trouble:
        return Told(Standing.UNKNOWN, trouble.message)
    return Told(Standing.GRANTED)


def _write_nothing(arm: Arm, path: str, api_version: str, what: str) -> Told:
    """A PATCH of no property, on what does not exist, with an ETag that nothing has: it changes nothing."""
    clock = arm.clock
    send_by = SendBy(at=clock.now() + timedelta(seconds=SECONDS), boot=clock.boottime() + SECONDS, seconds=SECONDS)
    try:
        answer = arm.send(
            "PATCH", path, api_version=api_version, what=what, send_by=send_by, body={"properties": {}}, etag=NO_ETAG
        )
    except NotSent as error:
        return Told(Standing.UNKNOWN, error.message)
    if isinstance(answer, NotApplied):
        return _told(answer.status, answer.code, answer.sentence)
    return Told(Standing.GRANTED) if isinstance(answer, Reply) else Told(Standing.UNKNOWN, answer.sentence)


def _told(status: int, code: str, sentence: str) -> Told:
    if status == 403 and code == REFUSED:
        return Told(Standing.MISSING, sentence)
    stopped = code in IN_THE_WAY or any(words in sentence for words in NO_SERVICE)
    past = status in PAST_THE_ROLES and not stopped
    return Told(Standing.GRANTED) if past else Told(Standing.UNKNOWN, sentence)


def _any_fits(patterns: Iterable[str], action: str) -> bool:
    """Azure's `*` is the one of our own `match`."""
    return any(glob_matches(pattern, action) for pattern in patterns)
