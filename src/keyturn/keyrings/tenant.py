"""The tenant access keys of one API Management service: `access`, and `gitAccess` for its git repository.

`access` signs the tokens that open the direct management endpoint; its keys are those that the portal's Management API
page shows. Decides how ports.Keyring's verbs look on the wire, and whom a token names. Never here: when to write,
whether a write may be repeated, or a token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from keyturn.azure.answers import Reply, mapping
from keyturn.azure.once import refuse_late
from keyturn.azure.pipeline import Arm
from keyturn.errors import KeyturnError, NotSent, Refused
from keyturn.keyrings.service import API_VERSION, NOT_IN_THIS_TIER, Service, listed, properties, values
from keyturn.model import Credential, Kind, Secret, Slot
from keyturn.ports import Answer, Applied, Entity, NotApplied, SendBy, Uncertain, Values

ACCESS: Final = "access"
GIT: Final = "gitAccess"
ACTIVE: Final = "active"
DISABLED: Final = "disabled"

_WRONG_ETAGS: Final = ('"AAAAAAAAAAEAAAAAAAAAAA=="', '"AAAAAAAAAAIAAAAAAAAAAA=="')
"""Well-formed (an 8-byte row version and 8 zero bytes, azure-recorded 1) and older than any entity."""
_FIELD: Final = {Slot.PRIMARY: "primaryKey", Slot.SECONDARY: "secondaryKey"}
_REGENERATE: Final = {Slot.PRIMARY: "regeneratePrimaryKey", Slot.SECONDARY: "regenerateSecondaryKey"}
_UNDER: Final = {GIT: "git/"}
"""Where the regenerate actions of a name are (azure-facts 1.3)."""
_IDENTITY: Final = {ACCESS: "integration", GIT: "git"}
"""Whom a token names where the answer does not say (azure-facts 5.1)."""
_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9_-]+")


class TenantKeyring:
    """One service's tenant access keys, those of `names`. `service_id` is the service's ARM id, `alias` its name in
    the configuration. Thread-safe. A state is `active` or `disabled`: while disabled, no token is accepted.
    """

    sets = True
    """A value of our choice can be written."""
    set_costs = 2
    """ARM calls charged as a write, for one set_value or prove_fence: a listSecrets and a PUT."""

    def __init__(
        self,
        arm: Arm,
        alias: str,
        service_id: str,
        *,
        names: Sequence[str] = (ACCESS,),
        api_version: str = API_VERSION,
    ) -> None:
        self._arm = arm
        self._alias = alias
        self._service = Service(arm, service_id, api_version)
        self._names = tuple(names)
        self._api_version = api_version

    def discover(self) -> Iterator[Credential]:
        """Each of `names`, read by itself, because the list lists nothing (azure-recorded 5); none in a tier that has
        none. Raises TryAgain, Refused, Gone."""
        for name in self._names:
            try:
                reply = self._arm.read(
                    self._path(name), api_version=self._api_version, what=f"read {self._alias}/tenant/{name}"
                )
            except Refused as refusal:
                if refusal.code == NOT_IN_THIS_TIER:
                    continue
                raise
            yield self._credential(name, reply)

    def find(self, name: str) -> Credential:
        """`access` or `gitAccess`, in any case, by one read. Raises TryAgain, Refused, Gone."""
        known = next((each for each in (ACCESS, GIT) if each.lower() == name.lower()), name)
        path, what = self._path(known), f"find {self._alias}/tenant/{known}"
        return self._credential(known, self._arm.read(path, api_version=self._api_version, what=what))

    def read(self, credential: Credential) -> Entity:
        """Raises TryAgain, Refused, Gone."""
        reply = self._read(credential)
        return Entity(etag=reply.etag, state=_state(properties(reply)), date=reply.date)

    def read_values(self, credential: Credential) -> Values:
        """Raises TryAgain, Refused, Gone; Refused, too, when an answer holds no keys."""
        return listed(self._list(credential), f"list the keys of {credential.id}")

    def set_value(self, credential: Credential, slot: Slot, value: Secret, etag: str, send_by: SendBy) -> Answer:
        """Two ARM writes: a listSecrets, and a PUT fenced by `etag`. Raises NotSent.

        A PATCH takes `enabled` alone (azure-facts 1.4), so that a value can only be set by a PUT. What a PUT does to
        a key that it leaves out is not documented: it carries the other slot's value, principal and `enabled` as they
        stand at `etag`. An entity that has moved on is answered as Azure would answer, 412, with no PUT sent. The echo
        counts only if it shows the very value that was sent, and carries an ETag; that a PUT echoes is not recorded.
        """
        what = f"set {slot} of {credential.id}"
        live = self._live(credential, what, send_by)
        if isinstance(live, NotApplied):
            return live
        kept, seen = live
        if seen.etag != etag:
            return NotApplied(
                status=412, code="PreconditionFailed", sentence=f"{what}: it was modified since it was looked at"
            )
        body, both = {"properties": kept | _both(seen, slot, value)}, (value, seen.of(slot.other))
        answer = self._send(credential, "PUT", what, send_by, body=body, etag=etag, secrets=both)
        if not isinstance(answer, Reply):
            return answer
        echoed = values(properties(answer), answer.etag)
        trusted = echoed is not None and echoed.etag is not None and echoed.of(slot) == value
        return Applied(values=echoed if trusted else None)

    def regenerate(self, credential: Credential, slot: Slot, send_by: SendBy) -> Answer:
        """Raises NotSent. Azure answers neither value nor ETag (azure-recorded 1, 3)."""
        action = f"{_UNDER.get(credential.name, '')}{_REGENERATE[slot]}"
        answer = self._send(credential, "POST", f"regenerate {slot} of {credential.id}", send_by, action=action)
        return Applied() if isinstance(answer, Reply) else answer

    def prove_fence(self, credential: Credential, send_by: SendBy) -> Answer:
        """Two ARM writes: a listSecrets, and the very PUT that sets values, with those that are live and a wrong ETag.

        A PATCH that is refused would prove nothing of PUT: there are clients whose PUTs of other entities pass without
        any If-Match (azure-facts 1.5). Should the fence be missing, this one changes nothing. Raises NotSent.
        """
        what = f"prove the fence on {credential.id}"
        live = self._live(credential, what, send_by)
        if isinstance(live, NotApplied):
            return live
        kept, seen = live
        wrong = next(etag for etag in _WRONG_ETAGS if etag != seen.etag)
        body = {"properties": kept | _both(seen, Slot.PRIMARY, seen.primary)}
        both = (seen.primary, seen.secondary)
        answer = self._send(credential, "PUT", what, send_by, body=body, etag=wrong, secrets=both)
        return Applied() if isinstance(answer, Reply) else answer

    def enable(self, credential: Credential, on: bool, etag: str, send_by: SendBy) -> Answer:
        """Let its tokens in, or none of them; fenced by `etag`, sent once. Raises NotSent."""
        what = f"{'enable' if on else 'disable'} {credential.id}"
        answer = self._send(credential, "PATCH", what, send_by, body={"properties": {"enabled": on}}, etag=etag)
        return Applied() if isinstance(answer, Reply) else answer

    def gateways(self) -> Sequence[str]:
        """The direct management endpoint, which takes the tokens of `access`. Raises TryAgain, Refused, Gone."""
        return (self._service.endpoint("management", "managementApiUrl"),)

    def _credential(self, name: str, reply: Reply) -> Credential:
        told = properties(reply)
        address = self._address(name, reply)
        return Credential(
            id=f"{self._alias}/tenant/{name}",
            key=address.lower(),
            address=address,
            service=self._alias,
            name=name,
            kind=Kind.TENANT,
            identity=_identity(name, told),
            state=_state(told),
        )

    def _address(self, name: str, reply: Reply) -> str:
        """As Azure writes it, if it does: what is flat says "integration" or a path (azure-recorded 4)."""
        derived = f"{self._service.id}/tenant/{name}"
        payload = reply.json()
        written = str(payload.get("id") or "") if isinstance(payload, dict) else ""
        return written if written.lower() == derived.lower() else derived

    def _path(self, name: str) -> str:
        return f"{self._service.base}/tenant/{name}"

    def _read(self, credential: Credential) -> Reply:
        path, what = self._path(credential.name), f"read {credential.id}"
        return self._arm.read(path, api_version=self._api_version, what=what)

    def _list(self, credential: Credential) -> Reply:
        path, what = f"{self._path(credential.name)}/listSecrets", f"list the keys of {credential.id}"
        return self._arm.ask(path, api_version=self._api_version, what=what)

    def _live(self, credential: Credential, what: str, send_by: SendBy) -> tuple[dict[str, Any], Values] | NotApplied:
        """What a PUT says again, and both live values. What Azure refuses a reader it refuses the writer, too; where
        it only fails to answer, NotSent is raised."""
        refuse_late(self._arm.clock, send_by, what)
        try:
            told = self._list(credential)
            kept, seen = _kept(mapping(told.json())), listed(told, what)
            if "enabled" not in kept:  # left out of a PUT, it might be switched off
                raise Refused(f"{what}: Azure does not say whether it is enabled")
            return kept, seen
        except KeyturnError as error:
            if isinstance(error, Refused) and error.status in {401, 403, 404, 409}:
                sentence = f"{what}: {error.message}"
                return NotApplied(status=error.status, code=error.code, sentence=sentence, hint=error.hint)
            raise NotSent(f"{what} was not sent: {error.message}", hint=error.hint) from None

    def _send(
        self,
        credential: Credential,
        method: str,
        what: str,
        send_by: SendBy,
        *,
        action: str = "",
        body: Mapping[str, Any] | None = None,
        etag: str | None = None,
        secrets: tuple[Secret, ...] = (),
    ) -> Reply | NotApplied | Uncertain:
        path = self._path(credential.name)
        return self._arm.send(
            method,
            f"{path}/{action}" if action else path,
            api_version=self._api_version,
            what=what,
            send_by=send_by,
            body=body,
            etag=etag,
            secrets=secrets,
        )


def _state(told: Mapping[str, Any]) -> str:
    return ACTIVE if told.get("enabled") is True else DISABLED


def _identity(name: str, told: Mapping[str, Any]) -> str | None:
    """The principal; else an id that is no path, as older services have (azure-facts 5.1); else the usual one."""
    for field in ("principalId", "id"):
        found = told.get(field)
        if isinstance(found, str) and _PLAIN_ID.fullmatch(found):
            return found
    return _IDENTITY.get(name)


def _kept(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a PUT says again, from a flat list answer (azure-recorded 4); what Azure does not tell stays unsaid."""
    return {field: told[field] for field in ("principalId", "enabled") if told.get(field) is not None}


def _both(seen: Values, slot: Slot, value: Secret) -> dict[str, Any]:
    return {_FIELD[slot]: value.reveal(), _FIELD[slot.other]: seen.of(slot.other).reveal()}
