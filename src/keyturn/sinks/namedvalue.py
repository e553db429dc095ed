"""A secret named value of API Management, that policies read a value from as `{{its-display-name}}`.

Decides what is written beside the value, and that a write rests on the ETag of the look before it: API Management
refuses it with 412 when somebody else wrote in between, so that this sink has a fence of its own. Never here: when to
publish, or what a shown value means.

What people put there is kept: their tags, and the display name. One that Key Vault backs is not ours to write.
Nobody recorded named values; what is assumed of them here is the published specification (docs/emulator.md).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from keyturn.azure.answers import Reply, is_entity, listing
from keyturn.azure.once import Abandoned, bounded, left, too_late
from keyturn.azure.pipeline import Arm
from keyturn.errors import Gone, KeyturnError, NotSent, Refused, TryAgain
from keyturn.model import Secret, Slot
from keyturn.ports import Answer, Applied, NotApplied, SendBy, Shown, Tags, Uncertain

API_VERSION: Final = "2022-08-01"
MOST_TAGS: Final = 32
LEDGER_TAG: Final = "keyturn-ledger:"
SEQUENCE_TAG: Final = "keyturn-seq:"
SLOT_TAG: Final = "keyturn-slot:"
OUR_TAGS: Final = (LEDGER_TAG, SEQUENCE_TAG, SLOT_TAG)
_ASKED_LATER: Final = ("location", "azure-asyncoperation")


class Seen(NamedTuple):
    """What a GET told. `etag` None: there is no such named value. `plain`: the value of one that is no secret."""

    etag: str | None
    tags: Sequence[str] = ()
    plain: Secret | None = None


class NamedValues:
    """The named values of one service, shared by all sinks in it. Thread-safe.

    `alias` is the service's name in the configuration, `service_id` its ARM id.
    """

    def __init__(self, arm: Arm, alias: str, service_id: str, *, api_version: str = API_VERSION) -> None:
        self.arm = arm
        self.alias = alias
        self.base = f"{quote(service_id.rstrip('/'), safe='/')}/namedValues"
        self.api_version = api_version
        self._lock = threading.Lock()
        self._looked: dict[str, Seen] = {}

    def keep(self, name: str, seen: Seen) -> None:
        """Remember what the last look saw, for the write that rests on it."""
        with self._lock:
            self._looked[name.lower()] = seen

    def take(self, name: str) -> Seen | None:
        """What the last look saw, once: after a write only a new look tells."""
        with self._lock:
            return self._looked.pop(name.lower(), None)


class NamedValue:
    """One named value as a sink. `name` is its id, and its display name where keyturn makes it."""

    def __init__(self, place: NamedValues, name: str) -> None:
        self._place = place
        self._name = name
        self._path = f"{place.base}/{quote(name, safe='')}"

    @property
    def name(self) -> str:
        return f"{self._place.alias}/named-values/{self._name}"

    @property
    def write_only(self) -> bool:
        return False

    def read(self) -> Shown:
        """Raises TryAgain, Refused (one that Key Vault backs, too), Gone. One ARM read, and for a secret one call
        more, which is charged as a write."""
        seen, value = self._look_twice(f"read {self.name}")
        self._place.keep(self._name, seen)
        if value is None:
            return Shown()
        return Shown(
            value=value,
            ledger=_tagged(seen.tags, LEDGER_TAG),
            seq=_number(_tagged(seen.tags, SEQUENCE_TAG)),
            slot=_slot(_tagged(seen.tags, SLOT_TAG)),
        )

    def write(self, value: Secret, tags: Tags, send_by: SendBy) -> Answer:
        """Raises NotSent. A PATCH with the ETag of the last look as its fence; where that saw none, a PUT without."""
        what = f"publish to {self.name}"
        seen = self._place.take(self._name)
        if seen is None:
            seen = self._look_before(what, send_by)
        theirs = [tag for tag in seen.tags if not tag.lower().startswith(OUR_TAGS)]
        if len(theirs) + len(OUR_TAGS) > MOST_TAGS:
            return NotApplied(
                status=0,
                code="",
                sentence=f"{what}: it has {len(theirs)} tags of its own, and keyturn needs {len(OUR_TAGS)} of the "
                f"{MOST_TAGS} that Azure allows",
                hint="Remove tags from the named value.",
            )
        written: dict[str, Any] = {"value": value.reveal(), "secret": True, "tags": [*_ours(tags), *theirs]}
        if seen.etag is None:
            written["displayName"] = self._name
        reply = self._place.arm.send(
            "PUT" if seen.etag is None else "PATCH",
            self._path,
            api_version=self._place.api_version,
            what=what,
            send_by=send_by,
            body={"properties": written},
            etag=seen.etag,
            secrets=(value,),
        )
        if not isinstance(reply, Reply):
            return reply
        if reply.status == 202 or any(name in reply.headers for name in _ASKED_LATER):
            # Accepted is not done, and an operation may yet fail: rule A18 leaves it to the look after it.
            return Uncertain(sentence=f"{what}: Azure accepted it ({reply.status}) and is not done yet")
        return Applied()

    def _look_before(self, what: str, send_by: SendBy) -> Seen:
        """The look of a write that no look of this process preceded (rule A4)."""
        try:
            return bounded(left(self._place.arm.clock, send_by), lambda: self._look(what))
        except Abandoned:
            raise too_late(what) from None
        except KeyturnError as error:
            raise NotSent(f"{what} was not sent: {error.message}", hint=error.hint) from None

    def _look_twice(self, what: str) -> tuple[Seen, Secret | None]:
        """Tags and value of one state: the value's answer carries the ETag of the GET, or both are asked anew."""
        for _ in range(2):
            seen = self._look(what)
            if seen.etag is None:
                return seen, None
            if seen.plain is not None:
                return seen, seen.plain
            try:
                reply = self._place.arm.ask(f"{self._path}/listValue", api_version=self._place.api_version, what=what)
            except Gone as gone:
                if not is_entity(gone):
                    raise
                continue
            if reply.etag in {None, seen.etag}:
                return seen, _value(reply, what)
        raise TryAgain(f"{what}: somebody else is writing it just now", after=1.0)

    def _look(self, what: str) -> Seen:
        """Raises TryAgain, Refused, Gone."""
        try:
            reply = self._place.arm.read(self._path, api_version=self._place.api_version, what=what)
        except Gone as gone:
            if not is_entity(gone):
                raise
            return Seen(etag=None)
        payload = reply.json()
        properties: Any = payload.get("properties") if isinstance(payload, Mapping) else None
        if not isinstance(properties, Mapping) or reply.etag is None:
            raise Refused(f"{what}: Azure's answer is no named value with an ETag", request_id=reply.request_id)
        if properties.get("keyVault"):
            raise Refused(
                f"{what}: a Key Vault secret backs this named value, so its value is not keyturn's to write",
                hint="Publish to that Key Vault secret with `keyvault:`, or name another named value.",
            )
        plain = properties.get("value")
        return Seen(
            etag=reply.etag,
            tags=tuple(str(tag) for tag in listing(properties.get("tags"))),
            plain=Secret(plain) if isinstance(plain, str) and plain else None,
        )


def _ours(tags: Tags) -> list[str]:
    return [f"{LEDGER_TAG}{tags.ledger}", f"{SEQUENCE_TAG}{tags.seq}", f"{SLOT_TAG}{tags.slot}"]


def _tagged(tags: Sequence[str], ours: str) -> str | None:
    return next((tag[len(ours) :] for tag in tags if tag.lower().startswith(ours)), None)


def _value(reply: Reply, what: str) -> Secret:
    payload = reply.json()
    found = payload.get("value") if isinstance(payload, Mapping) else None
    if not isinstance(found, str) or not found:
        raise Refused(f"{what}: Azure's answer holds no value", status=reply.status, request_id=reply.request_id)
    return Secret(found)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,18}", text) else None


def _slot(text: str | None) -> Slot | None:
    return Slot(text) if text in {slot.value for slot in Slot} else None
