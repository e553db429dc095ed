"""What the keyrings of one API Management service share: its path, its own addresses, and how its answers are read.

Decides where a service can be called, and what counts as a pair of values in a body. Never here: a verb of the
Keyring port, or a write.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit

from keyturn.azure.answers import Reply, listing, mapping
from keyturn.azure.pipeline import Arm
from keyturn.errors import Refused
from keyturn.model import Secret
from keyturn.ports import Values

API_VERSION: Final = "2022-08-01"
"""The newest whose echoed keys and ETags are recorded (azure-recorded 1, 2)."""
NOT_IN_THIS_TIER: Final = "MethodNotAllowedInPricingTier"
"""A 400 with this code: the service's tier has no credentials of that kind (azure-facts 1.6)."""
KEPT: Final = 600.0
"""Seconds. A region that is added is probed after that; adding one takes Azure longer."""


class Service:
    """One API Management service, by its ARM id. Thread-safe; its addresses are read at most every ten minutes."""

    def __init__(self, arm: Arm, service_id: str, api_version: str) -> None:
        self.id = service_id.rstrip("/")
        self.base = quote(self.id, safe="/")
        self.name = self.id.rpartition("/")[2]
        self._arm = arm
        self._api_version = api_version
        self._guard = threading.Lock()
        self._read_at: float | None = None
        self._told: Mapping[str, Any] = {}

    def gateways(self) -> Sequence[str]:
        """The service's own gateway and each region's, the disabled ones left out. Raises TryAgain, Refused, Gone."""
        told = self._properties()
        regions = [told, *(mapping(region) for region in listing(told.get("additionalLocations")))]
        regional = [region.get("gatewayRegionalUrl") for region in regions if not region.get("disableGateway")]
        found = [self._https(url) for url in (told.get("gatewayUrl"), *regional) if url]
        return tuple(dict.fromkeys(found))

    def endpoint(self, label: str, field: str | None = None) -> str:
        """`https://{service}.{label}.azure-api.net`: what the service names in `field`, else in its cloud's own domain.

        Raises TryAgain, Refused, Gone; Refused, too, when the service names no address at all.
        """
        told = self._properties()
        if field is not None and told.get(field):
            return self._https(told[field])
        known = self._https(told["gatewayUrl"]) if told.get("gatewayUrl") else ""
        name, _, domain = (urlsplit(known).hostname or "").partition(".")
        if not domain:
            raise Refused(f"the service {self.name} names no gateway address, so its {label} address is not known")
        return f"https://{name}.{label}.{domain}"

    def _https(self, url: Any) -> str:
        """An address that the service names; values are sent there, and tokens. Raises Refused."""
        address = str(url).rstrip("/")
        try:
            parts = urlsplit(address)
            host, _ = parts.hostname, parts.port
            good = parts.scheme == "https" and host is not None and "@" not in parts.netloc
        except ValueError:
            good = False
        if not good or not address.isprintable():
            raise Refused(f"the service {self.name} names an address that is not https: nothing is sent there")
        return address

    def _properties(self) -> Mapping[str, Any]:
        with self._guard:
            now = self._arm.clock.boottime()
            if self._read_at is None or not 0 <= now - self._read_at < KEPT:
                what = f"read the service {self.name}"
                self._told = properties(self._arm.read(self.base, api_version=self._api_version, what=what))
                self._read_at = now
            return self._told


def properties(reply: Reply) -> Mapping[str, Any]:
    """The entity's properties; empty where the answer has none."""
    payload = reply.json()
    found = payload.get("properties") if isinstance(payload, dict) else None
    return found if isinstance(found, dict) else {}


def entity(reply: Reply, what: str) -> Mapping[str, Any]:
    """The whole entity of an answer, with its id and name. Raises Refused when it has none."""
    return named(mapping(reply.json()), what)


def named(item: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """An entity, which must say its id and its name. Raises Refused."""
    if not all(isinstance(item.get(field), str) and item[field] for field in ("id", "name")):
        raise Refused(f"{what}: Azure's answer names nothing")
    return item


def values(
    holder: Any, etag: str | None, *, primary: str = "primaryKey", secondary: str = "secondaryKey"
) -> Values | None:
    """Both values from an object that holds them; None when one is absent or null (azure-recorded 2)."""
    if not isinstance(holder, Mapping):
        return None
    one, other = holder.get(primary), holder.get(secondary)
    if not isinstance(one, str) or not isinstance(other, str):
        return None
    return Values(primary=Secret(one), secondary=Secret(other), etag=etag)


def listed(reply: Reply, what: str, *, primary: str = "primaryKey", secondary: str = "secondaryKey") -> Values:
    """Both values of a list answer, with its ETag. Raises Refused when it holds none."""
    found = values(reply.json(), reply.etag, primary=primary, secondary=secondary)
    if found is None:
        raise Refused(f"{what}: Azure's answer holds no keys", status=reply.status, request_id=reply.request_id)
    return found


def token(reply: Reply, what: str) -> Secret:
    """The token of an answer to `generateToken` or `token`. Raises Refused when it holds none."""
    payload = reply.json()
    found = payload.get("value") if isinstance(payload, dict) else None
    if not isinstance(found, str) or not found:
        raise Refused(f"{what}: Azure's answer holds no token", status=reply.status, request_id=reply.request_id)
    return Secret(found)


def round_trip(at: datetime) -> str:
    """An aware time in the form that Azure's own examples have: 7 fraction digits, UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"
