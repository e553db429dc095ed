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

from keyturn.azure.answers import Reply, mapping, text
from keyturn.azure.once import left, too_late
from keyturn.azure.pipeline import Arm
from keyturn.errors import KeyturnError, NotSent
from keyturn.keyrings.service import API_VERSION, Service, entity, listed, named, properties, values
from keyturn.model import Credential, Secret, Slot
from keyturn.ports import Answer, Applied, Entity, NotApplied, SendBy, Uncertain, Values

_WRONG_ETAGS: Final = ('"AAAAAAAAAAE="', '"AAAAAAAAAAI="')
"""Well-formed (8 bytes, azure-recorded 1) and older than any entity."""
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

    sets = True
    """A value of our choice can be written."""
    set_costs = 1
    """ARM calls charged as a write, for one set_value or prove_fence."""

    def __init__(self, arm: Arm, alias: str, service_id: str, *, api_version: str = API_VERSION) -> None:
        self._arm = arm
        self._alias = alias
        self._service = Service(arm, service_id, api_version)
        self._api_version = api_version
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def discover(self) -> Iterator[Credential]:
        """Every apim subscription, the master one too, in Azure's order. Raises TryAgain, Refused, Gone."""
        what = f"list the apim subscriptions of {self._service.name}"
        for item in self._arm.pages(f"{self._service.base}/subscriptions", api_version=self._api_version, what=what):
            yield self._credential(named(item, what))

    def find(self, name: str) -> Credential:
        """The one with that sid, by one read. Raises TryAgain, Refused, Gone."""
        what = f"find {self._alias}/{name}"
        path = f"{self._service.base}/subscriptions/{quote(name, safe='')}"
        return self._credential(entity(self._arm.read(path, api_version=self._api_version, what=what), what))

    def read(self, credential: Credential) -> Entity:
        """Raises TryAgain, Refused, Gone."""
        reply = self._arm.read(self._path(credential), api_version=self._api_version, what=f"read {credential.id}")
        told = properties(reply)
        return Entity(
            etag=reply.etag,
            state=str(told.get("state") or ""),
            owner=_last(told.get("ownerId"), "users"),
            date=reply.date,
            display_name=text(told.get("displayName")),
        )

    def read_values(self, credential: Credential) -> Values:
        """Raises TryAgain, Refused, Gone; Refused, too, when an answer holds no keys."""
        what = f"list the keys of {credential.id}"
        reply = self._arm.ask(f"{self._path(credential)}/listSecrets", api_version=self._api_version, what=what)
        return listed(reply, what)

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
        echoed = values(properties(answer), answer.etag)
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

    def enable(self, credential: Credential, on: bool, etag: str, send_by: SendBy) -> Answer:
        """Activate or suspend it. Raises NotSent. The answer echoes the keys, and nothing of it is used."""
        state = "active" if on else "suspended"
        what = f"{'activate' if on else 'suspend'} {credential.id}"
        answer = self._write(credential, send_by, "PATCH", body={"properties": {"state": state}}, etag=etag, what=what)
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
        """The service's own address and each region's. Raises TryAgain, Refused, Gone."""
        return self._service.gateways()

    def _credential(self, item: Mapping[str, Any]) -> Credential:
        address, name = str(item["id"]), str(item["name"])
        told = mapping(item.get("properties"))
        scope = str(told.get("scope") or "")
        return Credential(
            id=f"{self._alias}/{name}",
            key=address.lower(),
            address=address,
            service=self._alias,
            name=name,
            owner=_last(told.get("ownerId"), "users"),
            product=_last(scope, "products"),
            scope=scope,
            state=str(told.get("state") or ""),
            display_name=text(told.get("displayName")),
        )

    def _path(self, credential: Credential) -> str:
        """sids may hold spaces and slashes (azure-facts 1.2), so every character of one is encoded."""
        return f"{self._service.base}/subscriptions/{quote(credential.name, safe='')}"

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


def _last(arm_id: Any, kind: str) -> str | None:
    """`ada` from `…/users/ada`, when the id's last type is `users`; ids are full or relative (azure-recorded 6)."""
    head, _, name = str(arm_id or "").rpartition("/")
    return name if name and head.lower().rpartition("/")[2] == kind else None
