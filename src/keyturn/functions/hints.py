"""What an event of Event Grid is a hint of: which credentials deserve a look. An event is never believed further.

Key Vault tells that a secret nears its expiry, or got a new version: whoever publishes there gets a look, which finds
it due, or finds what somebody else wrote. API Management tells that an apim subscription was made, changed or deleted.
The names of the events are from documentation and not recorded, so both schemas of Event Grid are read, and what is
not known is ignored with a line in the log. Never here: a turn.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from keyturn.functions import messages
from keyturn.functions.instance import Instance, log
from keyturn.functions.messages import Message

if TYPE_CHECKING:
    from keyturn.ports import Clock, Ledger

OF_SECRETS: Final = frozenset(
    {
        "Microsoft.KeyVault.SecretNearExpiry",
        "Microsoft.KeyVault.SecretExpired",
        "Microsoft.KeyVault.SecretNewVersionCreated",
    }
)
OF_APIM_SUBSCRIPTIONS: Final = frozenset(
    {
        "Microsoft.ApiManagement.SubscriptionCreated",
        "Microsoft.ApiManagement.SubscriptionUpdated",
        "Microsoft.ApiManagement.SubscriptionDeleted",
    }
)
KEPT: Final = 300.0
"""Seconds for which it is remembered who publishes where: events come in swarms, a period's rotations together."""
RETRY: Final = 30.0
"""Seconds after which the ledger is read again for a sink that nobody was known to publish to."""


class Publishers:
    """Which credentials publish to which sink, by the ledger. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[str, list[tuple[str, str]]] = {}
        self._read_at: float | None = None

    def of(self, sink: str, ledger: Ledger, clock: Clock) -> list[tuple[str, str]]:
        """Key and id of each. Raises LedgerFault."""
        with self._lock:
            now = clock.boottime()
            age = None if self._read_at is None else now - self._read_at
            if age is None or age > KEPT or (age > RETRY and sink.lower() not in self._keys):
                self._keys = {}
                for record in ledger.records():
                    for name in record.sinks:
                        self._keys.setdefault(name.lower(), []).append((record.key, record.id))
                self._read_at = now
            return list(self._keys.get(sink.lower(), ()))


def looks(instance: Instance, publishers: Publishers, kind: str, subject: str, data: Any) -> list[str]:
    """The messages that an event is worth. Raises Misconfigured, LedgerFault, TryAgain."""
    told = data if isinstance(data, Mapping) else {}
    keyturn = instance.keyturn()
    if kind in OF_SECRETS:
        sink = f"{_text(told, 'VaultName')}/{_text(told, 'ObjectName') or subject}"
        return _worth(kind, publishers.of(sink, keyturn.ledger, keyturn.clock))
    if kind in OF_APIM_SUBSCRIPTIONS:
        key = (_text(told, "resourceUri") or subject).lower()
        return _worth(kind, [(key, "")] if keyturn.looks_after(key) else [])
    log.info("an event of a kind that says nothing to keyturn was ignored")
    return []


def _worth(kind: str, found: Iterable[tuple[str, str]]) -> list[str]:
    told = [messages.written(Message(key=key, id=id, why="look")) for key, id in found]
    log.info("%s: %s", kind, f"{len(told)} to look at" if told else "of nothing that keyturn looks after; ignored")
    return told


def _text(data: Mapping[str, Any], name: str) -> str:
    """A field in any case: the two services do not agree on one."""
    found = next((value for field, value in data.items() if field.lower() == name.lower()), "")
    return found if isinstance(found, str) else ""
