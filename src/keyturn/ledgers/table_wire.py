# ruff: noqa: PLC0415 - azure-data-tables is imported when a table is opened, and not before
"""The calls to a table of Azure Storage, and what each failure means. The only room that knows azure-data-tables.

Reads are tried again by azure-core's own policy. A write is sent once and ends in one of three ways: done, refused (a
row was not as the write required, and nothing was written), or unclear. Whoever writes looks, and then may write
again: every write here is a compare-and-swap, so that one which lands late is refused by the row itself.

Never here: what rows mean, or a second send of a write. No sentence holds a connection string, a key or a token.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from keyturn.azure.agent import user_agent
from keyturn.azure.cloud import Cloud
from keyturn.azure.signin import Identity
from keyturn.azure.transport import LARGEST_PAGE, transport
from keyturn.errors import KeyturnError, LedgerFault, Misconfigured
from keyturn.model import Secret

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
    from azure.core.exceptions import HttpResponseError
    from azure.data.tables import TableClient

READ_TRIES: Final = 4
PAGE: Final = 1000
LONGEST_PAUSE: Final = 3600.0
"""Seconds of a Retry-After that are believed."""
_ONCE: Final = {"retry_total": 0, "retry_connect": 0, "retry_read": 0, "retry_status": 0}
_PASSES: Final = (408, 429, 500, 502, 503, 504)
_NOT_AS_REQUIRED: Final = (404, 409, 412)
# The audiences that azure-data-tables itself names, by what the account's address ends in.
_AUDIENCES: Final = {
    ".core.usgovcloudapi.net": "https://storage.azure.us",
    ".core.chinacloudapi.cn": "https://storage.azure.cn",
}
_AUDIENCE: Final = "https://storage.azure.com"


class TablePlace(msgspec.Struct, frozen=True, kw_only=True):
    """A table by name, and the storage account that it is in.

    Either `connection`, a connection string, or `url` (`https://account.table.core.windows.net`) with `identity`.
    """

    name: str
    cloud: Cloud
    connection: Secret | None = None
    url: str | None = None
    identity: Identity | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A row with the ETag that it had."""

    row: dict[str, Any]
    etag: str


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """Written. One ETag for each row; empty where the answer had none."""

    etags: tuple[str, ...]


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A row was not as the write required: nothing was written."""


class Unclear(msgspec.Struct, frozen=True, kw_only=True):
    """It may have been written, and may still be. `after`: seconds that Azure asks to wait first."""

    sentence: str
    after: float = 0.0


Outcome = Done | Refused | Unclear
Operation = tuple[str, dict[str, Any], dict[str, Any]]


def create(row: dict[str, Any]) -> Operation:
    """Write a row that must not be there yet."""
    return "create", row, {}


def replace(row: dict[str, Any], etag: str) -> Operation:
    """Write a row that must be there with that ETag."""
    from azure.core import MatchConditions

    return "update", row, {"mode": "replace", "etag": etag, "match_condition": MatchConditions.IfNotModified}


def put(row: dict[str, Any]) -> Operation:
    """Write a row whether or not it is there."""
    return "upsert", row, {"mode": "replace"}


def remove(row: dict[str, Any], etag: str) -> Operation:
    """Delete a row that must be there with that ETag."""
    from azure.core import MatchConditions

    return "delete", row, {"etag": etag, "match_condition": MatchConditions.IfNotModified}


class Wire:
    """One table. Thread-safe; `close` it when done."""

    def __init__(self, place: TablePlace) -> None:
        """Makes no call. Raises Misconfigured for a connection string that is none."""
        self._client = _client(place)
        address = urlsplit(self._client.url)
        port = f":{address.port}" if address.port else ""
        self.place = f"table {place.name} of {address.scheme}://{address.hostname}{port}{address.path}"
        """For sentences: names no secret, even where the address carried one."""

    def close(self) -> None:
        self._client.close()

    def make(self) -> None:
        """Make the table, unless it is there. Raises LedgerFault."""
        from azure.core.exceptions import ResourceExistsError

        with self._faults():
            try:
                self._client.create_table(**_ONCE)
            except ResourceExistsError as error:
                if code_of(error) != "TableAlreadyExists":
                    raise

    def get(self, partition: str, row: str, *, no_table: bool = False) -> Found | None:
        """One row, or None. Raises LedgerFault, also where there is no table, unless `no_table` allows for that."""
        from azure.core.exceptions import ResourceNotFoundError

        with self._faults():
            try:
                entity = self._client.get_entity(partition, row)
            except ResourceNotFoundError as error:
                if code_of(error) == "TableNotFound" and not no_table:
                    raise
                return None
        return Found(row=dict(entity), etag=str(entity.metadata.get("etag", "")))

    def is_empty(self) -> bool:
        """Whether nothing is in the table, or there is none. Raises LedgerFault."""
        from azure.core.exceptions import ResourceNotFoundError

        with self._faults():
            try:
                return next(iter(self._client.list_entities(results_per_page=1)), None) is None
            except ResourceNotFoundError as error:
                if code_of(error) != "TableNotFound":
                    raise
                return True

    def query(self, wanted: str, *, limit: int | None = None, columns: Sequence[str] = ()) -> list[dict[str, Any]]:
        """The rows that a filter lets through, in the order of their keys, page by page. Raises LedgerFault."""
        page = PAGE if limit is None else max(1, min(PAGE, limit))
        found: list[dict[str, Any]] = []
        with self._faults():
            rows = self._client.query_entities(wanted, results_per_page=page, select=list(columns) or None)
            for row in rows:
                if limit is not None and len(found) >= limit:
                    break
                found.append(dict(row))
        return found

    def write(self, operations: Sequence[Operation]) -> Outcome:
        """All of it or nothing, in one partition; sent once. Raises LedgerFault where a person must do something."""
        from azure.core.exceptions import AzureError, HttpResponseError

        with self._faults():
            try:
                answers = self._send(operations)
            except HttpResponseError as error:
                status = error.status_code or 0
                if status in _PASSES:
                    return Unclear(sentence=f"it answers {status}", after=_retry_after(error))
                if status in _NOT_AS_REQUIRED and code_of(error) not in _CAUSES:
                    return Refused()
                raise
            except KeyturnError:
                raise
            except AzureError as error:
                return Unclear(sentence=f"the connection broke ({type(error).__name__})")
        return Done(etags=tuple(str(answer.get("etag", "")) for answer in answers))

    def _send(self, operations: Sequence[Operation]) -> Sequence[Mapping[str, Any]]:
        """A single row goes without the envelope of a transaction, which costs four times as much."""
        if len(operations) > 1:
            return self._client.submit_transaction(operations, **_ONCE)
        verb, row, options = operations[0]
        return [getattr(self._client, f"{verb}_entity")(row, **options, **_ONCE) or {}]

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Inside, whatever makes the table unusable is a LedgerFault."""
        from azure.core.exceptions import AzureError, HttpResponseError

        try:
            yield
        except LedgerFault:
            raise
        except KeyturnError as error:
            raise LedgerFault(f"The ledger in {self.place}: {error.message}.", hint=error.hint) from None
        except HttpResponseError as error:
            raise self._fault(error) from None
        except (AzureError, OSError, ValueError) as error:
            raise LedgerFault(
                f"The ledger in {self.place} cannot be reached ({type(error).__name__}).",
                hint="Nothing to do if it passes: keyturn sends nothing that it cannot write down. Otherwise check "
                "the account's address and the network rules of the storage account.",
            ) from None

    def _fault(self, error: HttpResponseError) -> LedgerFault:
        code, status = code_of(error), error.status_code or 0
        if status in _PASSES:
            return LedgerFault(f"The ledger in {self.place} is busy: it answers {status}.", hint=_BUSY)
        sentence, hint = _CAUSES.get(code) or _BY_STATUS.get(status) or _OTHERWISE
        return LedgerFault(f"The ledger in {self.place} {sentence} ({code or status}).", hint=hint)


_BUSY = "Nothing to do: the next run goes on. If it stays so, look at the storage account's metrics for throttling."
_KEY = (
    "does not accept the account key",
    "Check the connection string: the key may have been rotated. A machine's clock that is off by more than "
    "15 minutes is refused, too.",
)
_RIGHTS = (
    "refuses this identity",
    "Assign the role Storage Table Data Contributor at the storage account to it; a fresh assignment takes minutes.",
)
_NO_TABLE = ("is not there any more", "Restore the table, or start keyturn again: it then makes a new ledger.")
_OTHERWISE = ("cannot be used", "docs/continuity.md says how to go on without it.")

# By the storage service's own code. What is not here is judged by its status.
_CAUSES: dict[str, tuple[str, str]] = {
    "TableNotFound": _NO_TABLE,
    "TableBeingDeleted": ("is being deleted", "Wait some minutes, or give `ledger.table.name` another name."),
    "AuthenticationFailed": _KEY,
    "InvalidAuthenticationInfo": _KEY,
    "AuthorizationFailure": (
        "refuses keyturn: a wrong key, or a network that the account does not let in",
        "Check the connection string, and the network rules of the storage account.",
    ),
    "AuthorizationPermissionMismatch": _RIGHTS,
    "InsufficientAccountPermissions": _RIGHTS,
    "KeyBasedAuthenticationNotPermitted": (
        "accepts no account keys",
        "Write `url:` instead of `connection_env:` below `ledger.table`, and assign Storage Table Data Contributor.",
    ),
    "AccountIsDisabled": ("is in an account that is disabled", "Enable the storage account."),
    "RequestBodyTooLarge": (
        "refused a save as too large",
        "Nothing was written. docs/continuity.md says how to go on.",
    ),
}
_BY_STATUS: dict[int, tuple[str, str]] = {
    401: _RIGHTS,
    403: _RIGHTS,
    404: ("is at an address that does not answer as table storage", "Check the account's address."),
    413: _CAUSES["RequestBodyTooLarge"],
}


def code_of(error: HttpResponseError) -> str:
    """The storage service's own word for what is wrong."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _retry_after(error: HttpResponseError) -> float:
    text = str(getattr(error.response, "headers", {}).get("Retry-After", ""))
    return min(float(text), LONGEST_PAUSE) if text.isdecimal() else 0.0


def _client(place: TablePlace) -> TableClient:
    from azure.data.tables import TableClient

    options: dict[str, Any] = {
        "transport": transport(place.cloud, largest=LARGEST_PAGE),
        "user_agent": user_agent(),
        "retry_total": READ_TRIES - 1,
        "retry_backoff_factor": 0.4,
        "retry_backoff_max": 10,
    }
    if place.connection is not None:
        try:
            return TableClient.from_connection_string(place.connection.reveal(), place.name, **options)
        except ValueError:
            raise Misconfigured(
                "ledger.table.connection_env: what the variable holds is no connection string of a storage account",
                hint="Copy it from the portal: storage account, Access keys. With an identity, write `url:` instead.",
            ) from None
    assert place.url is not None and place.identity is not None  # noqa: S101, PT018 - the configuration has seen to it
    host = urlsplit(place.url).hostname or ""
    audience = next((audience for suffix, audience in _AUDIENCES.items() if host.endswith(suffix)), _AUDIENCE)
    return TableClient(place.url, place.name, credential=_SignedIn(place.identity), audience=audience, **options)


class _SignedIn:
    """The configuration's identity, whose failures are already in our words."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        with self._explained():
            return self._identity.get_token(*scopes, **options)

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        with self._explained():
            return self._identity.get_token_info(*scopes, options=options)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except KeyturnError:
            raise
        except Exception as error:  # noqa: BLE001 - azure-identity lets strangers' exceptions through
            raise self._identity.explain(error) from None
