"""Key Vault secrets: the data plane of every vault, on `{vault}.vault.azure.net`.

It decides what a vault answers (azure-recorded 10, azure-facts 7): the challenge before anything else,
api-versions, RBAC data actions, versions that never change their value, soft delete, paging and the vault's
own rate limits.

Never here: a secret's value in an error, a log or a snapshot; the machine's time.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, unquote

from keyturn_emulator import entra, rbac
from keyturn_emulator.entra import Principal, TokenFault
from keyturn_emulator.wire import Answer, Call, json_answer, read_json
from keyturn_emulator.world import World

HOST_SUFFIX = ".vault.azure.net"
# The versions that azure-keyvault-secrets 4.12 can be told to use (azure-facts 7.1), oldest first.
API_VERSIONS = ("2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01")
WITHOUT_RECOVERABLE_DAYS = frozenset({"2016-10-01", "7.0"})  # azure-recorded 10
PAGE_SIZE = 25
LONGEST_NUMBER = 18  # digits
MAX_VALUE_BYTES = 25 * 1024
MAX_TAGS = 15
MAX_TAG_LENGTH = 256
NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
VERSION = re.compile(r"[0-9a-f]{32}")
CREATES_PER_WINDOW = 300  # azure-facts 7.4: per vault
OTHERS_PER_WINDOW = 4000
WINDOW = timedelta(seconds=10)  # emulated
SERVICE_VERSION = "1.9.2145.1"  # the family whose challenge says AKV10000 (azure-recorded 10)

# The first page of a list may be empty and still name a next one (azure-recorded 10).
EMPTY_FIRST_PAGE = "keyvault_empty_first_page"

DATA_ACTION = "Microsoft.KeyVault/vaults/secrets/"
GET_SECRET = DATA_ACTION + "getSecret/action"
SET_SECRET = DATA_ACTION + "setSecret/action"
READ_METADATA = DATA_ACTION + "readMetadata/action"
UPDATE = DATA_ACTION + "update/action"
DELETE = DATA_ACTION + "delete"
RECOVER = DATA_ACTION + "recover/action"
PURGE = DATA_ACTION + "purge/action"


# --- state ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class SecretVersion:
    """One version. Its value never changes; its attributes, tags and content type may."""

    id: str  # 32 lower-case hex
    value: str = field(repr=False)
    created: int  # epoch seconds of emulated time, as are all times here
    updated: int
    enabled: bool = True
    not_before: int | None = None
    expires: int | None = None
    content_type: str | None = None
    tags: dict[str, str] | None = None


@dataclass(slots=True)
class Secret:
    """One secret with all its versions."""

    name: str
    versions: list[SecretVersion] = field(default_factory=list)  # oldest first

    @property
    def latest(self) -> SecretVersion:
        """The newest version. Raises IndexError where there is none yet."""
        return self.versions[-1]


@dataclass(slots=True)
class DeletedSecret:
    """A deleted secret keeps its name until it is recovered or purged. Times are epoch seconds of emulated time."""

    secret: Secret
    deleted: int
    purge_at: int
    visible_at: int  # until then the delete is under way


@dataclass(slots=True)
class Window:
    """The transactions of the last ten emulated seconds, as (second, count) runs; refused ones do not count."""

    limit: int
    runs: deque[list[Any]] = field(default_factory=deque)
    total: int = 0

    def take(self, now: datetime) -> bool:
        """Count one transaction at `now`, or say that there is no room for it."""
        while self.runs and not timedelta(0) <= now - self.runs[0][0] < WINDOW:
            self.total -= self.runs.popleft()[1]
        if self.total >= self.limit:
            return False
        if self.runs and self.runs[-1][0] == now:
            self.runs[-1][1] += 1
        else:
            self.runs.append([now, 1])
        self.total += 1
        return True


@dataclass(slots=True)
class Vault:
    """`id` is the vault's ARM id; names are compared without case."""

    name: str
    tenant_id: str
    id: str
    location: str = "westeurope"
    recoverable_days: int = 90
    deletion_seconds: int = 0  # emulated seconds in which a deleted secret is not in the deleted list yet
    secrets: dict[str, Secret] = field(default_factory=dict)
    deleted: dict[str, DeletedSecret] = field(default_factory=dict)
    creates: Window = field(default_factory=lambda: Window(CREATES_PER_WINDOW))
    others: Window = field(default_factory=lambda: Window(OTHERS_PER_WINDOW))

    @property
    def host(self) -> str:
        return f"{self.name.lower()}{HOST_SUFFIX}"


# --- refusals -------------------------------------------------------------------------------------


class _Refused(Exception):
    def __init__(self, status: int, code: str, message: str, inner: str | None = None) -> None:
        super().__init__(code)
        self.status = status
        error: dict[str, Any] = {"code": code, "message": message}
        if inner is not None:
            error["innererror"] = {"code": inner}
        self.body = {"error": error}


def _not_found(name: str) -> _Refused:
    return _Refused(
        404,
        "SecretNotFound",
        f"A secret with (name/id) {name} was not found in this key vault. If you recently deleted "
        f"this secret you may "
        "be able to recover it using the correct recovery command. For help resolving this issue, please see "
        "https://go.microsoft.com/fwlink/?linkid=2125182",
    )


def _deleted_not_found(name: str) -> _Refused:
    return _Refused(404, "SecretNotFound", f"Deleted Secret not found: {name}")


def _bad(message: str) -> _Refused:
    return _Refused(400, "BadParameter", message)


# --- the room -------------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True)
class _Turn:
    """One authorised call at one vault, at one emulated second."""

    call: Call
    vault: Vault
    principal: Principal
    version: str  # api-version
    moment: datetime

    @property
    def now(self) -> int:
        return int(self.moment.timestamp())


class KeyVaultRoom:
    """Answers on every `{vault}.vault.azure.net` of the world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def answer(self, call: Call) -> Answer:
        vault = self._world.vaults[call.host.removesuffix(HOST_SUFFIX)]
        headers = _headers(call, vault)
        try:
            principal = _sign_in(self._world, call, vault)
        except TokenFault as fault:
            # Before the body is even looked at: the client's first call comes without one (azure-facts 0.3).
            return _challenge(vault, fault, headers)
        try:
            turn = _Turn(call, vault, principal, _api_version(call), self._world.clock.now())
            _purge_overdue(turn)
            status, payload = self._route(turn)
        except _Refused as refused:
            return json_answer(refused.status, refused.body, headers)
        return Answer(status, b"", headers) if payload is None else json_answer(status, payload, headers)

    def _route(self, turn: _Turn) -> tuple[int, dict[str, Any] | None]:
        """The row of ROWS that fits. Raises _Refused naming a path or a query parameter that none has."""
        call = turn.call
        for row in ROWS:
            names = row.match(call)
            if names is None:
                continue
            for name, _ in call.query:
                if name.lower() not in {"api-version", *row.query}:
                    raise _Refused(501, "NotEmulated", f"The emulator's Key Vault knows no {name} of {row.title}.")
            return row.perform(self, turn, *names)
        if call.method == "POST" and (call.segments[2:] == ("backup",) or call.segments == ("secrets", "restore")):
            raise _Refused(501, "NotEmulated", "The emulator has no backup and restore of secrets.")
        raise _Refused(404, "NotEmulated", f"The emulator's Key Vault knows no {call.method} {call.path}.")

    # secrets

    def set(self, turn: _Turn, name: str) -> tuple[int, dict[str, Any]]:
        self._admit(turn, SET_SECRET, name, create=True)
        wanted = _read_set(turn, name)
        self._refuse_deleted_name(turn, name)
        secret = turn.vault.secrets.setdefault(name.lower(), Secret(name))
        version = SecretVersion(self._world.new_hex(), wanted.pop("value"), turn.now, turn.now, **wanted)
        secret.versions.append(version)
        return 200, _bundle(turn, secret, version, with_value=True)

    def get(self, turn: _Turn, name: str, wanted: str | None = None) -> tuple[int, dict[str, Any]]:
        self._admit(turn, GET_SECRET, name)
        secret, version = _find(turn, name, wanted)
        if not version.enabled:
            raise _Refused(
                403, "Forbidden", "Operation get is not allowed on a disabled secret.", inner="SecretDisabled"
            )
        return 200, _bundle(turn, secret, version, with_value=True)

    def update(self, turn: _Turn, name: str, wanted: str | None = None) -> tuple[int, dict[str, Any]]:
        self._admit(turn, UPDATE, name)
        changes = _read_update(turn)
        secret, version = _find(turn, name, wanted)
        for attribute, value in changes.items():
            setattr(version, attribute, value)
        version.updated = turn.now
        return 200, _bundle(turn, secret, version, with_value=False)

    def delete(self, turn: _Turn, name: str) -> tuple[int, dict[str, Any]]:
        self._admit(turn, DELETE, name)
        secret, _ = _find(turn, name, None)
        del turn.vault.secrets[name.lower()]
        gone = DeletedSecret(
            secret=secret,
            deleted=turn.now,
            purge_at=turn.now + turn.vault.recoverable_days * 86400,
            visible_at=turn.now + turn.vault.deletion_seconds,
        )
        turn.vault.deleted[name.lower()] = gone
        return 200, _deleted_bundle(turn, gone)

    def list_secrets(self, turn: _Turn) -> tuple[int, dict[str, Any]]:
        self._admit(turn, READ_METADATA, None)
        rows = [
            (key, _bundle(turn, secret, secret.latest, with_value=False, with_version=False))
            for key, secret in sorted(turn.vault.secrets.items())
        ]
        return 200, self._page(turn, "/secrets", rows)

    def list_versions(self, turn: _Turn, name: str) -> tuple[int, dict[str, Any]]:
        self._admit(turn, READ_METADATA, name)
        secret, _ = _find(turn, name, None)
        newest_first = [
            (version.id, _bundle(turn, secret, version, with_value=False)) for version in reversed(secret.versions)
        ]
        return 200, self._page(turn, f"/secrets/{quote(name)}/versions", newest_first)

    # deleted secrets

    def list_deleted(self, turn: _Turn) -> tuple[int, dict[str, Any]]:
        self._admit(turn, READ_METADATA, None)
        rows = [
            (key, _deleted_bundle(turn, gone, with_version=False))
            for key, gone in sorted(turn.vault.deleted.items())
            if gone.visible_at <= turn.now
        ]
        return 200, self._page(turn, "/deletedsecrets", rows)

    def get_deleted(self, turn: _Turn, name: str) -> tuple[int, dict[str, Any]]:
        self._admit(turn, READ_METADATA, name)
        return 200, _deleted_bundle(turn, _find_deleted(turn, name))

    def recover(self, turn: _Turn, name: str) -> tuple[int, dict[str, Any]]:
        self._admit(turn, RECOVER, name)
        if name.lower() in turn.vault.secrets:
            raise _Refused(
                400,
                "MethodNotAllowed",
                f"Secret exists already: {name}",
                inner="RequestNotAllowedOnNonDeletedObject",
            )
        gone = _find_deleted(turn, name)
        del turn.vault.deleted[name.lower()]
        turn.vault.secrets[name.lower()] = gone.secret
        return 200, _bundle(turn, gone.secret, gone.secret.latest, with_value=False)

    def purge(self, turn: _Turn, name: str) -> tuple[int, None]:
        self._admit(turn, PURGE, name)
        _find_deleted(turn, name)
        del turn.vault.deleted[name.lower()]
        return 204, None

    # shared

    def _admit(self, turn: _Turn, action: str, name: str | None, *, create: bool = False) -> None:
        """Rights first, then the vault's rate limit."""
        scope = turn.vault.id if name is None else f"{turn.vault.id}/secrets/{name}"
        if not rbac.allows(self._world, turn.principal.object_id, action, scope, data=True):
            raise _Refused(403, "Forbidden", _forbidden_text(turn, action, scope), inner="ForbiddenByRbac")
        window = turn.vault.creates if create else turn.vault.others
        if not window.take(turn.moment):
            raise _Refused(
                429,
                "Throttled",
                "Request was not processed because too many requests were received. "
                "Reason: VaultRequestTypeLimitReached",
            )
        if name is not None and not NAME.fullmatch(name):
            raise _bad(f"The request URI contains an invalid name: {name}")

    def _refuse_deleted_name(self, turn: _Turn, name: str) -> None:
        gone = turn.vault.deleted.get(name.lower())
        if gone is None:
            return
        if gone.visible_at > turn.now:
            raise _Refused(
                409,
                "Conflict",
                f"Secret {name} is currently being deleted and cannot be re-created; retry later.",
                inner="ObjectIsBeingDeleted",
            )
        raise _Refused(
            409,
            "Conflict",
            f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; "
            "in this state, the secret can only be recovered or purged.",
            inner="ObjectIsDeletedButRecoverable",
        )

    def _page(self, turn: _Turn, path: str, rows: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
        """One page of `rows`; the token names the last row given, so that changes in between lose nothing."""
        size = _page_size(turn.call)
        token = turn.call.param("$skiptoken")
        if token is None and self._world.switches.get(EMPTY_FIRST_PAGE):
            return {"value": [], "nextLink": _next_link(turn, path, "")}
        after = _read_token(token) if token else ""
        keys = [key for key, _ in rows]
        start = keys.index(after) + 1 if after in keys else _first_after(keys, after)
        page = rows[start : start + size]
        more = start + size < len(rows)
        return {
            "value": [row for _, row in page],
            "nextLink": _next_link(turn, path, page[-1][0]) if more else None,
        }


@dataclass(slots=True, frozen=True)
class VaultRow:
    """One operation. In `path`, `{x}` is a placeholder, empty only where a version stands (azure-facts 0.5)."""

    method: str
    path: str
    action: str
    perform: Callable[..., tuple[int, dict[str, Any] | None]]
    query: frozenset[str] = frozenset()  # allowed beside api-version

    @property
    def title(self) -> str:
        return f"{self.method} /{self.path}"

    def match(self, call: Call) -> list[str] | None:
        """What the placeholders stand for, if this row is meant. Raw, as a trailing slash says the latest version."""
        parts = self.path.split("/")
        there = [unquote(part) for part in call.raw_path.removeprefix("/").split("/")]
        if call.method != self.method or len(there) != len(parts):
            return None
        pairs = list(zip(parts, there, strict=True))
        if any(part != given if part[0] != "{" else not given and part != "{version}" for part, given in pairs):
            return None
        return [given for part, given in pairs if part[0] == "{"]


_LISTING = frozenset({"maxresults", "$skiptoken"})
ROWS: Final = (
    VaultRow("GET", "secrets", READ_METADATA, KeyVaultRoom.list_secrets, _LISTING),
    VaultRow("GET", "secrets/{name}/versions", READ_METADATA, KeyVaultRoom.list_versions, _LISTING),
    VaultRow("GET", "secrets/{name}", GET_SECRET, KeyVaultRoom.get),
    VaultRow("GET", "secrets/{name}/{version}", GET_SECRET, KeyVaultRoom.get),
    VaultRow("PUT", "secrets/{name}", SET_SECRET, KeyVaultRoom.set),
    VaultRow("PATCH", "secrets/{name}", UPDATE, KeyVaultRoom.update),
    VaultRow("PATCH", "secrets/{name}/{version}", UPDATE, KeyVaultRoom.update),
    VaultRow("DELETE", "secrets/{name}", DELETE, KeyVaultRoom.delete),
    VaultRow("GET", "deletedsecrets", READ_METADATA, KeyVaultRoom.list_deleted, _LISTING),
    VaultRow("GET", "deletedsecrets/{name}", READ_METADATA, KeyVaultRoom.get_deleted),
    VaultRow("POST", "deletedsecrets/{name}/recover", RECOVER, KeyVaultRoom.recover),
    VaultRow("DELETE", "deletedsecrets/{name}", PURGE, KeyVaultRoom.purge),
)


# --- pieces ---------------------------------------------------------------------------------------


def _headers(call: Call, vault: Vault) -> dict[str, str]:
    """What every answer carries, errors too (azure-recorded 10)."""
    headers = {
        "Cache-Control": "no-cache",
        "Pragma": "no-cache",
        "Expires": "-1",
        "x-ms-keyvault-region": vault.location,
        "x-ms-request-id": str(uuid.uuid4()),
        "x-ms-keyvault-service-version": SERVICE_VERSION,
        "x-ms-keyvault-network-info": "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;",
        "X-Content-Type-Options": "nosniff",
        "Strict-Transport-Security": "max-age=31536000;includeSubDomains",
    }
    client_request = call.headers.get("x-ms-client-request-id")
    if client_request:
        headers["x-ms-client-request-id"] = client_request
    return headers


TOKEN_FAULTS = {
    "Missing": "AKV10000: Request is missing a Bearer or PoP token.",
    "Malformed": "AKV10001: The bearer token could not be read.",
    "BadSignature": "Error validating token: the signature is not valid.",
    "Expired": "[TokenExpired] Error validating token: 'S2S12086'.",
    "WrongAudience": "AKV10022: Invalid audience. Expected https://vault.azure.net.",
    "WrongIssuer": "AKV10032: Invalid issuer. The token is from another tenant than the vault.",
}


def _challenge(vault: Vault, fault: TokenFault, headers: dict[str, str]) -> Answer:
    where = f'Bearer authorization="https://login.windows.net/{vault.tenant_id}", resource="https://vault.azure.net"'
    body = {"error": {"code": "Unauthorized", "message": TOKEN_FAULTS[fault.code]}}
    return json_answer(401, body, {**headers, "WWW-Authenticate": where})


def _sign_in(world: World, call: Call, vault: Vault) -> Principal:
    principal = entra.check_token(world, call.headers.get("authorization"), entra.VAULT_AUDIENCES)
    if principal.tenant_id.lower() != vault.tenant_id.lower():
        raise TokenFault("WrongIssuer", "the vault is in another tenant", tenant=principal.tenant_id)
    return principal


def _api_version(call: Call) -> str:
    version = call.param("api-version")
    if not version:
        raise _bad("api-version must be specified")
    if version not in API_VERSIONS:
        raise _bad(
            f"The specified version ({version}) is not recognized. "
            f"Consider using the latest supported version ({API_VERSIONS[-1]})."
        )
    return version


def _forbidden_text(turn: _Turn, action: str, scope: str) -> str:
    return (
        "Caller is not authorized to perform action on resource.\r\n"
        "If role assignments, deny assignments or role definitions were changed recently, "
        "please observe propagation time.\r\n"
        f"Caller: appid={turn.principal.client_id};oid={turn.principal.object_id};"
        f"iss=https://sts.windows.net/{turn.principal.tenant_id}/\r\n"
        f"Action: '{action}'\r\nResource: '{scope.lower()}'\r\nAssignment: (not found)\r\n"
        f"DenyAssignmentId: null\r\nDecisionReason: null \r\nVault: "
        f"{turn.vault.name};location={turn.vault.location}\r\n"
    )


def _purge_overdue(turn: _Turn) -> None:
    for key in [key for key, gone in turn.vault.deleted.items() if gone.purge_at <= turn.now]:
        del turn.vault.deleted[key]


def _find(turn: _Turn, name: str, wanted: str | None) -> tuple[Secret, SecretVersion]:
    """The secret and one version of it; no version or an empty one means the latest (azure-facts 0.5)."""
    secret = turn.vault.secrets.get(name.lower())
    if secret is None:
        raise _not_found(name)
    if not wanted:
        return secret, secret.latest
    if not VERSION.fullmatch(wanted):
        raise _bad(f"The request URI contains an invalid version: {wanted}")
    version = next((version for version in secret.versions if version.id == wanted), None)
    if version is None:
        raise _not_found(f"{name}/{wanted}")
    return secret, version


def _find_deleted(turn: _Turn, name: str) -> DeletedSecret:
    gone = turn.vault.deleted.get(name.lower())
    if gone is None or gone.visible_at > turn.now:
        raise _deleted_not_found(name)
    return gone


def _bundle(
    turn: _Turn, secret: Secret, version: SecretVersion, *, with_value: bool, with_version: bool = True
) -> dict[str, Any]:
    """Unset contentType and tags are absent, not null (azure-recorded 10)."""
    attributes: dict[str, Any] = {"enabled": version.enabled}
    if version.not_before is not None:
        attributes["nbf"] = version.not_before
    if version.expires is not None:
        attributes["exp"] = version.expires
    attributes |= {
        "created": version.created,
        "updated": version.updated,
        "recoveryLevel": _recovery_level(turn),
    }
    if turn.version not in WITHOUT_RECOVERABLE_DAYS:
        attributes["recoverableDays"] = turn.vault.recoverable_days
    identity = f"https://{turn.vault.host}/secrets/{secret.name}"
    bundle: dict[str, Any] = {"value": version.value} if with_value else {}
    if version.content_type is not None:
        bundle["contentType"] = version.content_type
    bundle["id"] = f"{identity}/{version.id}" if with_version else identity
    bundle["attributes"] = attributes
    if version.tags is not None:
        bundle["tags"] = version.tags
    return bundle


def _recovery_level(turn: _Turn) -> str:
    return "Recoverable+Purgeable" if turn.vault.recoverable_days == 90 else "CustomizedRecoverable+Purgeable"


def _deleted_bundle(turn: _Turn, gone: DeletedSecret, *, with_version: bool = True) -> dict[str, Any]:
    return {
        "recoveryId": f"https://{turn.vault.host}/deletedsecrets/{gone.secret.name}",
        "deletedDate": gone.deleted,
        "scheduledPurgeDate": gone.purge_at,
        **_bundle(turn, gone.secret, gone.secret.latest, with_value=False, with_version=with_version),
    }


# paging


def _page_size(call: Call) -> int:
    text = call.param("maxresults")
    if text is None:
        return PAGE_SIZE
    if not text.isdecimal() or len(text) > LONGEST_NUMBER or not 1 <= int(text) <= PAGE_SIZE:
        raise _bad(f"Invalid parameter: maxresults: it must be between 1 and {PAGE_SIZE}.")
    return int(text)


def _first_after(keys: list[str], after: str) -> int:
    """Where a list in order of names goes on when the row last given is gone meanwhile."""
    return next((index for index, key in enumerate(keys) if key > after), len(keys))


def _next_link(turn: _Turn, path: str, last: str) -> str:
    token = base64.urlsafe_b64encode(f"after:{last}".encode()).decode()
    size = turn.call.param("maxresults")
    query = f"api-version={turn.version}&$skiptoken={quote(token)}" + (f"&maxresults={size}" if size else "")
    return f"https://{turn.vault.host}:443{path}?{query}"


def _read_token(token: str) -> str:
    try:
        text = base64.urlsafe_b64decode(token).decode()
    except (binascii.Error, ValueError) as error:
        raise _bad("Invalid parameter: $skiptoken") from error
    if not text.startswith("after:"):
        raise _bad("Invalid parameter: $skiptoken")
    return text.removeprefix("after:")


# bodies

SET_FIELDS = frozenset({"value", "contentType", "attributes", "tags"})
UPDATE_FIELDS = frozenset({"contentType", "attributes", "tags"})
ATTRIBUTE_FIELDS = {"enabled": "enabled", "nbf": "not_before", "exp": "expires"}


def _read_set(turn: _Turn, name: str) -> dict[str, Any]:
    """The fields of a new version. Raises _Refused naming the field that Azure would not take."""
    body = _read_body(turn.call, SET_FIELDS)
    value = body.get("value")
    if not isinstance(value, str):
        raise _bad(f"Property value is required to set the secret {name}.")
    if len(value.encode()) > MAX_VALUE_BYTES:
        raise _bad(f"The value of the secret {name} is longer than {MAX_VALUE_BYTES} bytes.")
    return {"value": value, **_read_common(body)}


def _read_update(turn: _Turn) -> dict[str, Any]:
    return _read_common(_read_body(turn.call, UPDATE_FIELDS))


def _read_body(call: Call, fields: frozenset[str]) -> dict[str, Any]:
    try:
        body = read_json(call.body)
    except ValueError as error:
        raise _bad("The request body is no JSON.") from error
    if not isinstance(body, dict):
        raise _bad("The request body is no JSON object.")
    for name in body:
        if name not in fields:
            raise _bad(f"Unknown property {name} in the request body.")
    return body


def _read_common(body: dict[str, Any]) -> dict[str, Any]:
    """contentType, tags and attributes; one that is absent or null is left as it is."""
    changes: dict[str, Any] = {}
    if body.get("contentType") is not None:
        changes["content_type"] = _typed(body["contentType"], str, "contentType")
    if body.get("tags") is not None:
        changes["tags"] = _read_tags(body["tags"])
    for name, value in _typed(body.get("attributes") or {}, dict, "attributes").items():
        if name not in ATTRIBUTE_FIELDS:
            raise _bad(f"Unknown property attributes.{name} in the request body.")
        if value is not None:
            kind = bool if name == "enabled" else int
            changes[ATTRIBUTE_FIELDS[name]] = _typed(value, kind, f"attributes.{name}")
    return changes


def _read_tags(tags: Any) -> dict[str, str]:
    checked: dict[str, str] = _typed(tags, dict, "tags")
    if len(checked) > MAX_TAGS:
        raise _bad(f"Property tags holds {len(checked)} tags; at most {MAX_TAGS} are allowed.")
    for name, value in checked.items():
        _typed(value, str, f"tags.{name}")
        if len(name) > MAX_TAG_LENGTH or len(value) > MAX_TAG_LENGTH:
            raise _bad(f"Property tags.{name[:40]} is longer than {MAX_TAG_LENGTH} characters.")
    return checked


def _typed(value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _bad(f"Property {name} has an invalid type.")
    return value
