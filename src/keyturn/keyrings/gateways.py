"""The keys of the self-hosted gateways of one API Management service, which sign the tokens that these sign in with.

Azure lets nobody choose one: they can only be regenerated, which ends every token made with that key (azure-facts 1.3,
5.3). Decides how ports.Keyring's verbs look on the wire.
Never here: when to write, whether a write may be repeated, or a token made by ourselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from keyturn.azure.answers import Reply, mapping, text
from keyturn.azure.pipeline import Arm
from keyturn.errors import Refused
from keyturn.keyrings.service import (
    API_VERSION,
    NOT_IN_THIS_TIER,
    Service,
    entity,
    listed,
    named,
    properties,
    round_trip,
    token,
)
from keyturn.model import Credential, Kind, Secret, Slot
from keyturn.ports import Answer, Applied, Entity, NotApplied, SendBy, Values


class GatewayKeyring:
    """One service's self-hosted gateways. `service_id` is the service's ARM id, `alias` its name in the configuration.

    Thread-safe.
    """

    sets = False
    """A value of our choice cannot be written, so that there is no fence to prove either."""
    set_costs = 0

    def __init__(self, arm: Arm, alias: str, service_id: str, *, api_version: str = API_VERSION) -> None:
        self._arm = arm
        self._alias = alias
        self._service = Service(arm, service_id, api_version)
        self._api_version = api_version

    def discover(self) -> Iterator[Credential]:
        """Every self-hosted gateway, in Azure's order; none in a tier that has none. Raises TryAgain, Refused, Gone."""
        what = f"list the self-hosted gateways of {self._service.name}"
        try:
            for item in self._arm.pages(f"{self._service.base}/gateways", api_version=self._api_version, what=what):
                yield self._credential(named(item, what))
        except Refused as refusal:
            if refusal.code != NOT_IN_THIS_TIER:
                raise

    def find(self, name: str) -> Credential:
        """The one with that id, by one read. Raises TryAgain, Refused, Gone."""
        what = f"find {self._alias}/gateways/{name}"
        path = f"{self._service.base}/gateways/{quote(name, safe='')}"
        return self._credential(entity(self._arm.read(path, api_version=self._api_version, what=what), what))

    def read(self, credential: Credential) -> Entity:
        """Raises TryAgain, Refused, Gone. A gateway knows no state: it is there, and so it is active."""
        reply = self._arm.read(self._path(credential), api_version=self._api_version, what=f"read {credential.id}")
        return Entity(
            etag=reply.etag, state="active", date=reply.date, display_name=text(properties(reply).get("description"))
        )

    def read_values(self, credential: Credential) -> Values:
        """Raises TryAgain, Refused, Gone; Refused, too, when an answer holds no keys."""
        what = f"list the keys of {credential.id}"
        reply = self._arm.ask(f"{self._path(credential)}/listKeys", api_version=self._api_version, what=what)
        return listed(reply, what, primary="primary", secondary="secondary")

    def set_value(self, credential: Credential, slot: Slot, value: Secret, etag: str, send_by: SendBy) -> Answer:  # noqa: ARG002 - the port's verb
        """Not possible at Azure; nothing is sent."""
        return _cannot(f"set {slot} of {credential.id}")

    def regenerate(self, credential: Credential, slot: Slot, send_by: SendBy) -> Answer:
        """Raises NotSent. Azure answers neither value nor ETag (azure-recorded 1, 3)."""
        answer = self._arm.send(
            "POST",
            f"{self._path(credential)}/regenerateKey",
            api_version=self._api_version,
            what=f"regenerate {slot} of {credential.id}",
            send_by=send_by,
            body={"keyType": slot.value},
        )
        return Applied() if isinstance(answer, Reply) else answer

    def prove_fence(self, credential: Credential, send_by: SendBy) -> Answer:  # noqa: ARG002 - the port's verb
        """No write of a gateway's keys takes an ETag; nothing is sent."""
        return _cannot(f"prove the fence on {credential.id}")

    def enable(self, credential: Credential, on: bool, etag: str, send_by: SendBy) -> Answer:  # noqa: ARG002 - the port's verb
        """A self-hosted gateway is there, or it is not; nothing is sent."""
        return NotApplied(
            status=405,
            code="MethodNotAllowed",
            sentence=f"{credential.id}: a self-hosted gateway can be neither suspended nor activated",
            hint="Its tokens end with the value that signed them.",
        )

    def gateways(self) -> Sequence[str]:
        """The configuration endpoint, where self-hosted gateways sign in. Raises TryAgain, Refused, Gone."""
        return (self._service.endpoint("configuration"),)

    def generate_token(self, credential: Credential, slot: Slot, expires: datetime) -> Secret:
        """A token that Azure signs with the slot's value. It changes nothing; Azure charges it as a write, and refuses
        an expiry more than 30 days ahead (azure-facts 5.1). Raises TryAgain, Refused, Gone."""
        what = f"generate a token of {credential.id}"
        reply = self._arm.ask(
            f"{self._path(credential)}/generateToken",
            api_version=self._api_version,
            what=what,
            body={"keyType": slot.value, "expiry": round_trip(expires)},
        )
        return token(reply, what)

    def _credential(self, item: Mapping[str, Any]) -> Credential:
        address, name = str(item["id"]), str(item["name"])
        told = mapping(item.get("properties"))
        return Credential(
            id=f"{self._alias}/gateways/{name}",
            key=address.lower(),
            address=address,
            service=self._alias,
            name=name,
            kind=Kind.GATEWAY,
            identity=name,
            display_name=text(told.get("description")),
        )

    def _path(self, credential: Credential) -> str:
        return f"{self._service.base}/gateways/{quote(credential.name, safe='')}"


def _cannot(what: str) -> NotApplied:
    return NotApplied(
        status=405,
        code="MethodNotAllowed",
        sentence=f"{what}: the keys of a self-hosted gateway can only be regenerated, Azure lets nobody choose them",
        hint="Use `renew: regenerate` for self-hosted gateways.",
    )
