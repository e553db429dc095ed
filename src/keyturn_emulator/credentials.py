"""The credentials of a service beside its apim subscriptions: tenant access and self-hosted gateways.

Decides: which values they have after a write, when their ETag moves, and which values verify a token at an instant.
Never here: HTTP, what a token looks like, or whether a caller may write.

Their keys are base64 of 64 random bytes (azure-recorded 6). Tokens made from a key are verified where the service
hears of a write late, as its gateways do; `KeyPair.view` holds those delays (emulated seconds).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from keyturn_emulator.propagation import SLOTS, GatewayView, Slot

if TYPE_CHECKING:
    from keyturn_emulator.world import World

ACCESS: Final = "access"
GIT_ACCESS: Final = "gitAccess"
KEY_BYTES: Final = 64
_ME: Final = "keys"  # each pair has a view of its own, so one name does for all


@dataclass(slots=True)
class KeyPair:
    """Two slots, and what the place that verifies their tokens has heard of them."""

    primary: str = field(default="", repr=False)
    secondary: str = field(default="", repr=False)
    view: GatewayView = field(default_factory=GatewayView, repr=False)

    def key(self, slot: Slot) -> str:
        return self.primary if slot == "primary" else self.secondary

    def verifying(self, now: float) -> list[tuple[Slot, str]]:
        """The slots and values that verify a token at `now` (emulated boot seconds)."""
        self.view.settle(now)
        return [(slot, value) for slot in SLOTS for value in self.view.values(_ME, slot)]

    def put(self, now: float, slot: Slot, value: str, write: int) -> None:
        """`write` grows from write to write of this pair."""
        setattr(self, slot, value)
        self.view.tell_key(now, _ME, slot, value, write)


@dataclass(slots=True)
class TenantAccess:
    """`access` or `gitAccess`. `principal` is the identity that its tokens name."""

    name: str
    principal: str
    enabled: bool
    keys: KeyPair
    row: int = 0

    @property
    def etag(self) -> str:
        """Sixteen bytes: a big-endian rowversion and eight zeros (azure-recorded 1)."""
        return f'"{base64.b64encode(self.row.to_bytes(8, "big") + bytes(8)).decode()}"'


@dataclass(slots=True)
class Place:
    """Where a self-hosted gateway stands, in the words of who wrote it. Only the name is a must."""

    name: str
    city: str | None = None
    district: str | None = None
    country: str | None = None


@dataclass(slots=True)
class SelfHostedGateway:
    id: str
    keys: KeyPair
    place: Place | None = None
    description: str | None = None
    counter: int = 0

    @property
    def etag(self) -> str:
        """A little-endian counter, unlike everything else (azure-recorded 1)."""
        return f'"{base64.b64encode(self.counter.to_bytes(8, "little")).decode()}"'


class Credentials:
    """Both tenant accesses and all self-hosted gateways of one service. `next_row` draws its next rowversion."""

    def __init__(self, world: World, next_row: Callable[[], int]) -> None:
        self._world = world
        self._next_row = next_row
        self._counter = 0
        self.tenant = {
            ACCESS.lower(): self._tenant(ACCESS, "integration", enabled=False),
            GIT_ACCESS.lower(): self._tenant(GIT_ACCESS, "git", enabled=True),
        }
        self.gateways: dict[str, SelfHostedGateway] = {}  # by lower-case id, in order of creation

    @property
    def access(self) -> TenantAccess:
        """What guards the direct management endpoint."""
        return self.tenant[ACCESS.lower()]

    # tenant access

    def change_tenant(self, entity: TenantAccess, values: Mapping[str, Any]) -> bool:
        """Write any of principal, enabled, primary, secondary. False, and the ETag stays, if nothing changed."""
        changed = {name for name, value in values.items() if _tenant_value(entity, name) != value}
        if not changed:
            return False
        entity.row = self._next_row()
        entity.principal = values.get("principal", entity.principal)
        entity.enabled = values.get("enabled", entity.enabled)
        self._put(entity.keys, {slot: values[slot] for slot in SLOTS if slot in changed}, entity.row)
        return True

    def seed_tenant(self, entity: TenantAccess, *, enabled: bool, keys: Mapping[Slot, str]) -> None:
        """Begin with these values; nothing takes time to spread."""
        entity.enabled = enabled
        entity.row = self._next_row()
        self._put(entity.keys, keys, entity.row)
        entity.keys.view.settle_all()

    def regenerate_tenant(self, entity: TenantAccess, slot: Slot) -> None:
        self.change_tenant(entity, {slot: self.draw()})

    # self-hosted gateways

    def create_gateway(
        self,
        name: str,
        *,
        place: Place | None = None,
        description: str | None = None,
        keys: Mapping[Slot, str | None] = MappingProxyType({}),
        view: GatewayView | None = None,
    ) -> SelfHostedGateway:
        """A new gateway; keys that are not given are drawn. Raises ValueError for a taken id."""
        if name.lower() in self.gateways:
            raise ValueError(f"the gateway '{name}' exists")
        made = SelfHostedGateway(name, KeyPair(view=view or GatewayView()), place, description, self._next_count())
        self._put(made.keys, {slot: keys.get(slot) or self.draw() for slot in SLOTS}, made.counter)
        made.keys.view.settle_all()  # nobody waits for the keys of a gateway that was not there
        self.gateways[name.lower()] = made
        return made

    def change_gateway(self, entity: SelfHostedGateway, values: Mapping[str, Any]) -> bool:
        """Write place or description. False, and the ETag stays, if nothing changed."""
        if all(getattr(entity, name) == value for name, value in values.items()):
            return False
        entity.place = values.get("place", entity.place)
        entity.description = values.get("description", entity.description)
        entity.counter = self._next_count()
        return True

    def set_gateway_key(self, entity: SelfHostedGateway, slot: Slot, value: str | None = None) -> None:
        """Without a value it is drawn; Azure itself knows no other way (azure-facts 1.3)."""
        entity.counter = self._next_count()
        self._put(entity.keys, {slot: value or self.draw()}, entity.counter)

    def delete_gateway(self, entity: SelfHostedGateway) -> None:
        """Its tokens die with it at once."""
        del self.gateways[entity.id.lower()]

    def draw(self) -> str:
        """A fresh key."""
        return base64.b64encode(self._world.random.randbytes(KEY_BYTES)).decode()

    def snapshot(self) -> dict[str, Any]:
        """The state as plain data, without any key value."""
        return {
            "tenant": [
                {"name": one.name, "principal": one.principal, "enabled": one.enabled, "etag": one.etag}
                for one in self.tenant.values()
            ],
            "self_hosted_gateways": [
                {
                    "id": one.id,
                    "description": one.description,
                    "place": one.place and one.place.name,
                    "delay_new": one.keys.view.delay_new,
                    "delay_old": one.keys.view.delay_old,
                    "etag": one.etag,
                }
                for one in self.gateways.values()
            ],
        }

    def _tenant(self, name: str, principal: str, *, enabled: bool) -> TenantAccess:
        made = TenantAccess(name, principal, enabled, KeyPair(), self._next_row())
        self._put(made.keys, {slot: self.draw() for slot in SLOTS}, made.row)
        made.keys.view.settle_all()
        return made

    def _put(self, keys: KeyPair, values: Mapping[Slot, str], write: int) -> None:
        now = self._world.clock.boot()
        for slot, value in values.items():
            keys.put(now, slot, value, write)

    def _next_count(self) -> int:
        """One counter for all gateways of a service: a tag never returns, not even to a gateway made anew."""
        self._counter += 1
        return self._counter


def _tenant_value(entity: TenantAccess, name: str) -> Any:
    return getattr(entity.keys if name in SLOTS else entity, name)
