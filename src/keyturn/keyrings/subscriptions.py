"""The keys of the apim subscriptions of one API Management service.

Decides how ports.Keyring's verbs look on the wire, and which writes must not run side by side. Never here: when to
write, or whether a write may be repeated.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final
from urllib.parse import quote

from keyturn.azure.answers import Reply
from keyturn.azure.once import left, too_late
from keyturn.azure.pipeline import Arm
from keyturn.errors import KeyturnError, NotSent, Refused
from keyturn.model import Credential, Secret, Slot
from keyturn.ports import Answer, Applied, Entity, NotApplied, SendBy, Uncertain, Values

API_VERSION: Final = "2022-08-01"
"""The newest whose echoed keys and ETags are recorded (azure-recorded 1, 2)."""
_WRONG_ETAGS: Final = ('"AAAAAAAAAAE="', '"AAAAAAAAAAI="')
"""Well-formed (8 bytes, azure-recorded 1) and older than any entity."""
GATEWAYS_KEPT: Final = 600.0
"""Seconds. A region that is added is probed after that; adding one takes Azure longer."""
_FIELD: Final = {Slot.PRIMARY: "primaryKey", Slot.SECONDARY: "secondaryKey"}
_REGENERATE: Final = {Slot.PRIMARY: "regeneratePrimaryKey", Slot.SECONDARY: "regenerateSecondaryKey"}


def is_master(credential: Credential) -> bool:
    """Whether it is the service's built-in all-access one, which no wildcard may ever match."""
    return credential.name.lower() == "master"


class SubscriptionsKeyring:
    """One service's apim subscriptions. `service_id` is the service's ARM id, `alias` its name in the configuration.

    Thread-safe. Writes that share an owner or a product are sent one after the other: API Management answers 412 to
    parallel ones (azure-facts 1.5).
    """

    def __init__(self, arm: Arm, alias: str, service_id: str, *, api_version: str = API_VERSION) -> None:
        self._arm = arm
        self._alias = alias
        self._base = quote(service_id.rstrip("/"), safe="/")
        self._service = service_id.rstrip("/").rpartition("/")[2]
        self._api_version = api_version
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._gateways_guard = threading.Lock()
        self._gateways: tuple[float | None, Sequence[str]] = (None, ())

    def discover(self) -> Iterator[Credential]:
        """Every apim subscription, the master one too, in Azure's order. Raises TryAgain, Refused, Gone."""
        what = f"list the apim subscriptions of {self._service}"
        for item in self._arm.pages(f"{self._base}/subscriptions", api_version=self._api_version, what=what):
            yield self._credential(item)

    def read(self, credential: Credential) -> Entity:
        """Raises TryAgain, Refused, Gone."""
        reply = self._arm.read(self._path(credential), api_version=self._api_version, what=f"read {credential.id}")
        properties = _properties(reply)
        return Entity(
            etag=reply.etag,
            state=str(properties.get("state") or ""),
            owner=_last(properties.get("ownerId"), "users"),
            date=reply.date,
            display_name=properties.get("displayName"),
        )

    def read_values(self, credential: Credential) -> Values:
        """Raises TryAgain, Refused, Gone; Refused, too, when an answer holds no keys."""
        what = f"list the keys of {credential.id}"
        reply = self._arm.ask(f"{self._path(credential)}/listSecrets", api_version=self._api_version, what=what)
        values = _values(reply.json(), reply.etag)
        if values is None:
            raise Refused(f"{what}: Azure's answer holds no keys", status=reply.status, request_id=reply.request_id)
        return values

    def set_value(self, credential: Credential, slot: Slot, value: Secret, etag: str, send_by: SendBy) -> Answer:
        """Raises NotSent. The echo counts only if it shows the very value that was sent, and carries an ETag."""
        answer = self._write(
            credential,
            send_by,
            "PATCH",
            body={"properties": {_FIELD[slot]: value.reveal()}},
            etag=etag,
            secrets=(value,),
            what=f"set {slot} of {credential.id}",
        )
        if not isinstance(answer, Reply):
            return answer
        echoed = _values(_properties(answer), answer.etag)
        trusted = echoed is not None and echoed.etag is not None and echoed.of(slot) == value
        return Applied(values=echoed if trusted else None)

    def regenerate(self, credential: Credential, slot: Slot, send_by: SendBy) -> Answer:
        """Raises NotSent. Azure answers neither value nor ETag (azure-recorded 1, 3)."""
        answer = self._write(
            credential,
            send_by,
            "POST",
            action=_REGENERATE[slot],
            what=f"regenerate {slot} of {credential.id}",
        )
        return Applied() if isinstance(answer, Reply) else answer

    def prove_fence(self, credential: Credential, send_by: SendBy) -> Answer:
        """Raises NotSent. Costs a read, so that what is written, should the fence be missing, changes nothing."""
        what = f"prove the fence on {credential.id}"
        try:
            seen = self.read(credential)
        except KeyturnError as error:
            raise NotSent(f"{what} was not sent: {error.message}", hint=error.hint) from None
        unchanged = {"state": seen.state} if seen.display_name is None else {"displayName": seen.display_name}
        wrong = next(etag for etag in _WRONG_ETAGS if etag != seen.etag)
        answer = self._write(credential, send_by, "PATCH", body={"properties": unchanged}, etag=wrong, what=what)
        return Applied() if isinstance(answer, Reply) else answer

    def gateways(self) -> Sequence[str]:
        """The service's own address and each region's, the disabled ones left out; read at most every ten minutes,
        because every probe asks for them. Raises TryAgain, Refused, Gone."""
        with self._gateways_guard:
            read_at, found = self._gateways
            now = self._arm.clock.boottime()
            if read_at is None or not 0 <= now - read_at < GATEWAYS_KEPT:
                found = self._read_gateways()
                self._gateways = (now, found)
            return found

    def _read_gateways(self) -> Sequence[str]:
        reply = self._arm.read(self._base, api_version=self._api_version, what=f"read the service {self._service}")
        properties = _properties(reply)
        regions = [properties, *(properties.get("additionalLocations") or ())]
        regional = [region.get("gatewayRegionalUrl") for region in regions if not region.get("disableGateway")]
        found = [str(url).rstrip("/") for url in (properties.get("gatewayUrl"), *regional) if url]
        return tuple(dict.fromkeys(found))

    def _credential(self, item: Mapping[str, Any]) -> Credential:
        address, name = str(item["id"]), str(item["name"])
        properties = item.get("properties") or {}
        scope = str(properties.get("scope") or "")
        return Credential(
            id=f"{self._alias}/{name}",
            key=address.lower(),
            address=address,
            service=self._alias,
            name=name,
            owner=_last(properties.get("ownerId"), "users"),
            product=_last(scope, "products"),
            scope=scope,
            state=str(properties.get("state") or ""),
            display_name=properties.get("displayName"),
        )

    def _path(self, credential: Credential) -> str:
        """sids may hold spaces and slashes (azure-facts 1.2), so every character of one is encoded."""
        return f"{self._base}/subscriptions/{quote(credential.name, safe='')}"

    def _write(
        self,
        credential: Credential,
        send_by: SendBy,
        method: str,
        *,
        what: str,
        action: str = "",
        body: Mapping[str, Any] | None = None,
        etag: str | None = None,
        secrets: tuple[Secret, ...] = (),
    ) -> Reply | NotApplied | Uncertain:
        path = f"{self._path(credential)}/{action}" if action else self._path(credential)
        with ExitStack() as held:
            for name in _contended(credential):
                lock = self._lock(name)
                if not lock.acquire(timeout=left(self._arm.clock, send_by)):
                    raise too_late(what)
                held.callback(lock.release)
            return self._arm.send(
                method,
                path,
                api_version=self._api_version,
                what=what,
                send_by=send_by,
                body=body,
                etag=etag,
                secrets=secrets,
            )

    def _lock(self, name: str) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(name, threading.Lock())


def _contended(credential: Credential) -> Sequence[str]:
    """What a write shares with others, sorted so that two writers never wait for each other."""
    shared = []
    if credential.owner is not None:
        shared.append(f"owner {credential.owner.lower()}")
    if credential.product is not None:
        shared.append(f"product {credential.product.lower()}")
    return sorted(shared) or [credential.key]


def _properties(reply: Reply) -> Mapping[str, Any]:
    payload = reply.json()
    properties = payload.get("properties") if isinstance(payload, dict) else None
    return properties if isinstance(properties, dict) else {}


def _values(holder: Any, etag: str | None) -> Values | None:
    """Both keys from an object that holds them; None when one is absent or null (azure-recorded 2)."""
    if not isinstance(holder, Mapping):
        return None
    primary, secondary = holder.get("primaryKey"), holder.get("secondaryKey")
    if not isinstance(primary, str) or not isinstance(secondary, str):
        return None
    return Values(primary=Secret(primary), secondary=Secret(secondary), etag=etag)


def _last(arm_id: Any, kind: str) -> str | None:
    """`ada` from `…/users/ada`, when the id's last type is `users`; ids are full or relative (azure-recorded 6)."""
    head, _, name = str(arm_id or "").rpartition("/")
    return name if name and head.lower().rpartition("/")[2] == kind else None
