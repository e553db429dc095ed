"""What an answer of Azure means: the classes of rule A18, and the sentences people read.

Decides whether an effect happened, did not happen, or may have happened, and whose move a failed read is. Passes on
`error.code` and `error.message` of an answer and nothing else of it: bodies may echo keys (azure-recorded 2).
Never here: a call, or a second try.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

import msgspec

from keyturn.azure.quoting import masked
from keyturn.errors import Gone, KeyturnError, Refused, TryAgain
from keyturn.model import Secret
from keyturn.ports import NotApplied, Uncertain

NOT_APPLIED: Final = frozenset({400, 401, 403, 404, 409, 412, 429})
"""Rule A18. Everything else that is not success is unclear: only a look tells."""
DEFAULT_AFTER: Final = 30.0
"""Seconds to wait before a read is tried again where Azure names no Retry-After."""
LONGEST_MESSAGE: Final = 300
LONGEST_NAME: Final = 120
"""Of a code, a request id, an action or a client: what is longer is none, and is not repeated whole."""
LONGEST_SCOPE: Final = 600
LONGEST_PAUSE: Final = 86_400.0
"""Seconds of a Retry-After that are believed. Azure names minutes; nobody may stop keyturn for a month."""


class Reply:
    """One answer. Its body may hold keys, so that it shows itself as its status alone. `secrets` are what was sent to
    get it, and is repeated to nobody, whatever the answer quotes."""

    __slots__ = ("body", "headers", "secrets", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, secrets: tuple[Secret, ...] = ()) -> None:
        self.status = status
        self.secrets = secrets
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    def __repr__(self) -> str:
        return f"<Reply {self.status}>"

    def __reduce__(self) -> tuple[type[Reply], tuple[int, dict[str, str], bytes]]:
        return (Reply, (self.status, {}, b""))

    @property
    def etag(self) -> str | None:
        return self.headers.get("etag")

    @property
    def date(self) -> datetime | None:
        """Azure's own clock (UTC), to compare ours with (rule A16)."""
        return parse_date(self.headers.get("date"))

    @property
    def request_id(self) -> str:
        return printable(self.headers.get("x-ms-request-id", ""), LONGEST_NAME, self.secrets)

    @property
    def retry_after(self) -> float | None:
        """Seconds; None where Azure names none, or names a date."""
        text = self.headers.get("retry-after", "").strip()
        return min(float(text), LONGEST_PAUSE) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]+)?", text) else None

    def json(self) -> Any:
        """The body as JSON; an empty object where it is none, or none that text can be made of again."""
        try:
            return msgspec.json.decode(self.body.removeprefix(b"\xef\xbb\xbf"))
        except (msgspec.DecodeError, ValueError, RecursionError):
            return {}


class Said(NamedTuple):
    """What an error answer said. `inner` is Key Vault's innererror code."""

    code: str
    message: str
    inner: str = ""


class Denied(NamedTuple):
    """What a 403 said: who may not do what, and where. Any of them may be empty."""

    action: str
    scope: str
    client: str


def mapping(found: Any) -> Mapping[str, Any]:
    """A part of an answer that should be an object; empty where it is none."""
    return found if isinstance(found, Mapping) else {}


def text(found: Any) -> str | None:
    """A part of an answer that should be text; None where it is none."""
    return found if isinstance(found, str) else None


def listing(found: Any) -> list[Any]:
    """A part of an answer that should be a list; empty where it is none."""
    return found if isinstance(found, list) else []


def parse_date(text: str | None) -> datetime | None:
    """The UTC time of a Date header; None where there is none, or none that can be read."""
    try:
        return parsedate_to_datetime(text).astimezone(UTC) if text else None
    except (ValueError, OverflowError):
        return None


_LONGEST_READ: Final = 10_000
"""Characters of somebody else's text that are looked at."""


def printable(text: object, longest: int, secrets: Iterable[Secret] = ()) -> str:
    """Somebody else's text on one line, with every one of `secrets` masked, however it is quoted, and nothing that a
    terminal obeys."""
    line = " ".join(masked(str(text or "")[:_LONGEST_READ], secrets).split())
    return "".join(each if each.isprintable() else "?" for each in line[:longest])


def said(reply: Reply, secrets: Iterable[Secret] = ()) -> Said:
    """Code and message of an error answer, on one line, with every one of `secrets` masked, however it is quoted."""
    payload = reply.json()
    error = payload.get("error") if isinstance(payload, dict) else None
    if not isinstance(error, dict):
        return Said("", "")
    hidden = (*reply.secrets, *secrets)
    inner = error.get("innererror")
    return Said(
        printable(error.get("code"), LONGEST_NAME, hidden),
        printable(error.get("message"), LONGEST_MESSAGE, hidden),
        printable(inner.get("code"), LONGEST_NAME, hidden) if isinstance(inner, dict) else "",
    )


_ACTION: Final = re.compile(r"perform action '([^']+)'|Action: '([^']+)'")
_SCOPE: Final = re.compile(r"over scope '([^']+)'|Resource: '([^']+)'")
_CLIENT: Final = re.compile(r"The client '([^']+)'")


def denied(reply: Reply, secrets: Iterable[Secret] = ()) -> Denied:
    """Who may not do what, read from Azure's text (azure-facts 3.3), with every one of `secrets` masked."""
    payload = reply.json()
    error = payload.get("error") if isinstance(payload, dict) else None
    message = str(error.get("message") or "")[:_LONGEST_READ] if isinstance(error, dict) else ""
    hidden = (*reply.secrets, *secrets)

    def first(pattern: re.Pattern[str], longest: int = LONGEST_NAME) -> str:
        found = pattern.search(message)
        return printable(next((group for group in found.groups() if group), ""), longest, hidden) if found else ""

    return Denied(first(_ACTION), first(_SCOPE, LONGEST_SCOPE), first(_CLIENT))


def explain_denied(reply: Reply, secrets: Iterable[Secret] = ()) -> tuple[str, str]:
    """Sentence and hint of a 403."""
    hidden = tuple(secrets)
    action, scope, client = denied(reply, hidden)
    if not action:
        code, message, inner = said(reply, hidden)
        return f"not allowed: {message or inner or code or 'Azure gave no reason'}", ""
    where = scope or "the resource"
    who = f" as {client}" if client else ""
    return (
        f"may not perform {action} on {where}{who}",
        f"Assign a role with {action} at {where}{such_as(action)}; a new assignment may take some minutes to count.",
    )


_ROLES: Final = (
    ("/service/subscriptions/write", "deploy/roles/set.json"),
    ("/service/subscriptions/regenerate", "deploy/roles/regenerate.json"),
    ("/service/subscriptions/", "deploy/roles/set.json or regenerate.json"),
    ("/service/tenant/write", "deploy/roles/tenant-access-set.json"),
    ("/service/tenant/regenerate", "deploy/roles/tenant-access-regenerate.json"),
    ("/service/tenant/", "deploy/roles/tenant-access-set.json or tenant-access-regenerate.json"),
    ("/service/gateways/", "deploy/roles/gateways.json"),
    ("Microsoft.KeyVault/vaults/secrets/", "Key Vault Secrets Officer"),
)
"""Which role has an action: the first whose part stands in it."""


def such_as(action: str) -> str:
    """A role of ours, or of Azure's, that has this action; empty where none is known."""
    role = next((role for part, role in _ROLES if part in action), None)
    return "" if role is None else f", such as {role}"


def effect_failed(reply: Reply, what: str, secrets: Iterable[Secret] = ()) -> NotApplied | Uncertain:
    """The class of an answer to an effect that is no success (rule A18)."""
    code, message, inner = said(reply, secrets)
    name = inner or code
    if reply.status not in NOT_APPLIED:
        return Uncertain(sentence=f"{what}: {reply.status}{_named(name)}, it may have happened all the same")
    if reply.status == 403 and inner != "SecretDisabled":
        sentence, hint = explain_denied(reply, secrets)
    else:
        sentence, hint = message or f"Azure answered {reply.status}", _HINTS.get(name, "")
    return NotApplied(
        status=reply.status,
        code=name,
        sentence=f"{what}: {sentence}{_reference(name, reply, secrets)}",
        hint=hint,
        after=reply.retry_after,
    )


def read_failed(reply: Reply, what: str) -> KeyturnError:
    """Whose move a read is that got no success."""
    code, message, inner = said(reply)
    name = inner or code
    facts: dict[str, Any] = {"status": reply.status, "code": name, "request_id": masked(reply.request_id)}
    reference = _reference(name, reply)
    if reply.status == 404:
        return Gone(f"{what}: {_absent(name, message)}{reference}", hint=_ABSENT_HINT.get(name, ""), **facts)
    if reply.status == 403 and inner != "SecretDisabled":
        sentence, hint = explain_denied(reply)
        return Refused(f"{what}: {sentence}{reference}", hint=hint, **facts)
    if reply.status in {408, 429} or reply.status >= 500:
        after = DEFAULT_AFTER if reply.retry_after is None else reply.retry_after
        return TryAgain(f"{what}: Azure answered {reply.status}{reference}", after=after)
    return Refused(
        f"{what}: {message or f'Azure answered {reply.status}'}{reference}", hint=_HINTS.get(name, ""), **facts
    )


_HINTS: Final[Mapping[str, str]] = {
    "ObjectIsDeletedButRecoverable": "Recover or purge the deleted secret of that name, or publish under another name.",
    "ObjectIsBeingDeleted": "Wait until the deletion is done; then recover or purge the secret.",
    "SecretDisabled": "Enable the secret's current version, or set a new one.",
    "InvalidAuthenticationTokenTenant": "Sign in to the tenant that the azure subscription belongs to.",
    "InvalidAuthenticationTokenAudience": "Check the Resource Manager audience of `cloud`.",
    "MethodNotAllowedInPricingTier": "This kind of credential does not exist in the service's tier.",
}
# Which thing is absent (azure-facts 1.6, azure-recorded 8): code -> what a person should look at.
_ABSENT: Final[Mapping[str, str]] = {
    "SubscriptionNotFound": "the azure subscription does not exist, or this app may not see it",
    "ResourceGroupNotFound": "the resource group does not exist",
    "ServiceNotFound": "the API Management service does not exist",
}
_ABSENT_HINT: Final[Mapping[str, str]] = {
    "SubscriptionNotFound": "Check the azure subscription in the service's id, and the tenant signed in to.",
    "ResourceGroupNotFound": "Check the resource group in the service's id.",
    "ServiceNotFound": "Check the service's id in the configuration.",
}


def _absent(code: str, message: str) -> str:
    if code == "ResourceNotFound" and "Microsoft.ApiManagement/service" in message:
        return _ABSENT["ServiceNotFound"]
    return _ABSENT.get(code, "it does not exist (any more)")


def is_entity(gone: Gone) -> bool:
    """Whether what is not there is the entity asked for, and not the service or what holds it."""
    return gone.code == "ResourceNotFound" and _ABSENT["ServiceNotFound"] not in gone.message


def _named(code: str) -> str:
    return f" {code}" if code else ""


def _reference(code: str, reply: Reply, secrets: Iterable[Secret] = ()) -> str:
    request = masked(reply.request_id, secrets)
    parts = [part for part in (code, f"request {request}" if request else "") if part]
    return f" ({', '.join(parts)})" if parts else ""
