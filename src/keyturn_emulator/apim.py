"""API Management services: their entities, and what a write does to them.

Decides: which values an entity has after a write, when its ETag moves, which dates follow from which change,
and what every gateway is told. Never here: HTTP, api-versions, tokens, throttling, or whether a caller may do
it.

ETags are big-endian rowversions, one counter for a whole service (azure-recorded 1): they move with every
real change and with every regenerate, never with a write that changes nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from keyturn_emulator.credentials import Credentials
from keyturn_emulator.named_values import NamedValues
from keyturn_emulator.propagation import SLOTS, GatewayView, Slot

if TYPE_CHECKING:
    from keyturn_emulator.world import World

STATES: Final = ("suspended", "active", "expired", "submitted", "rejected", "cancelled")
DEFAULT_HEADER: Final = "Ocp-Apim-Subscription-Key"
DEFAULT_QUERY: Final = "subscription-key"
WHOLE_SERVICE: Final = "/"
ALL_APIS: Final = "/apis"
MASTER: Final = "master"
_NOTICE: Final = timedelta(days=12)  # azure-recorded 6: notificationDate is that long before expirationDate
_FIRST_ROW: Final = 0x4A3F


@dataclass(slots=True, frozen=True)
class Operation:
    """One operation of an API, as it is described: gateways answer below the API's path whatever is asked."""

    id: str
    method: str = "GET"
    url: str = "/*"
    display_name: str = ""


@dataclass(slots=True)
class Api:
    """An API at `path`. `header` and `query` are where it looks for the key."""

    id: str
    path: str
    display_name: str = ""
    subscription_required: bool = True
    header: str = DEFAULT_HEADER
    query: str = DEFAULT_QUERY
    operations: list[Operation] = field(default_factory=list)
    row: int = 0


@dataclass(slots=True)
class Product:
    """A product; `subscription_required` False makes it an open one.

    `apis` are ids, in lower case once added.
    """

    id: str
    display_name: str = ""
    subscription_required: bool = True
    approval_required: bool = False
    apis: set[str] = field(default_factory=set)
    row: int = 0


@dataclass(slots=True)
class User:
    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    row: int = 0
    groups_row: int = 0

    @property
    def etag(self) -> str:
        """Two rowversions, its own and that of its groups (azure-recorded 1)."""
        return f'"{base64.b64encode(self.row.to_bytes(8, "big") + self.groups_row.to_bytes(8, "big")).decode()}"'


@dataclass(slots=True)
class Gateway:
    """A regional gateway. `view` holds what it has heard of and its two delays (emulated seconds)."""

    region: str
    host: str
    view: GatewayView


@dataclass(slots=True)
class ApimSubscription:
    """One apim subscription. `scope` is relative to the service: `/`, `/apis`, `/apis/x` or `/products/x`."""

    sid: str
    scope: str
    created: datetime
    owner: str | None = None
    display_name: str | None = None
    state: str = "active"
    state_comment: str | None = None
    allow_tracing: bool | None = None
    started: datetime | None = None
    expires: datetime | None = None
    ended: datetime | None = None
    primary: str = field(default="", repr=False)
    secondary: str = field(default="", repr=False)
    row: int = 0

    @property
    def etag(self) -> str:
        return etag_of(self.row)

    @property
    def product(self) -> str | None:
        return self.scope.removeprefix("/products/") if self.scope.startswith("/products/") else None

    @property
    def notifies(self) -> datetime | None:
        """Only a product's apim subscription has a notification date (azure-recorded 6)."""
        return self.expires - _NOTICE if self.expires and self.product else None

    def key(self, slot: Slot) -> str:
        return self.primary if slot == "primary" else self.secondary


CHANGEABLE: Final = frozenset(
    {"scope", "owner", "display_name", "state", "state_comment", "allow_tracing", "expires", *SLOTS}
)


def etag_of(row: int) -> str:
    """A strong ETag: eight big-endian bytes in base64, quoted (azure-recorded 1)."""
    return f'"{base64.b64encode(row.to_bytes(8, "big")).decode()}"'


class ApimService:
    """One service and everything in it. Put it into `world.services` under its `key`."""

    def __init__(
        self,
        world: World,
        *,
        azure_subscription: str,
        resource_group: str,
        name: str,
        location: str = "West Europe",
        sku: str = "Developer",
        gateways: Iterable[Mapping[str, Any]] = (),
        min_api_version: str | None = None,
    ) -> None:
        """`gateways`: mappings with `region` and optionally `host`, `delay_new`, `delay_old`.

        The delays are emulated seconds. The first gateway is the primary region and answers for the service's
        own host as well. None given: one, in `location`, without delays.
        """
        self._world = world
        self.azure_subscription = azure_subscription
        self.resource_group = resource_group
        self.name = name
        self.location = location
        self.sku = sku
        self.min_api_version = min_api_version
        self.created = world.clock.now()
        self._row = _FIRST_ROW
        self.row = self._next_row()
        self.gateways = [self._gateway(**place) for place in (list(gateways) or [{"region": location}])]
        self.apis: dict[str, Api] = {}  # these four by lower-case id
        self.routes: dict[str, Api] = {}  # by lower-case path
        self.products: dict[str, Product] = {}
        self.users: dict[str, User] = {}
        self.named_values = NamedValues(world, self._next_etag)
        self.subscriptions: dict[str, ApimSubscription] = {}  # in order of creation (azure-recorded 5)
        self.credentials = Credentials(world, self._next_row)
        self._lived: dict[bytes, tuple[str, Slot]] = {}
        self.add_user(User("1", "Administrator", "", f"admin@{name}.example"))
        self.add_subscription(MASTER, scope=WHOLE_SERVICE, display_name="Built-in all-access subscription")

    @property
    def id(self) -> str:
        return (
            f"/subscriptions/{self.azure_subscription}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.ApiManagement/service/{self.name}"
        )

    @property
    def key(self) -> str:
        """The id as `world.services` knows it."""
        return self.id.lower()

    @property
    def host(self) -> str:
        return f"{self.name.lower()}.azure-api.net"

    # building a world: nothing here takes time to spread

    def add_api(self, api: Api) -> Api:
        api.row = self._next_row()
        self.apis[api.id.lower()] = api
        self.routes[api.path.strip("/").lower()] = api
        return api

    def add_product(self, product: Product) -> Product:
        product.row = self._next_row()
        product.apis = {name.lower() for name in product.apis}
        self.products[product.id.lower()] = product
        return product

    def add_user(self, user: User) -> User:
        user.row, user.groups_row = self._next_row(), self._next_row()
        self.users[user.id.lower()] = user
        return user

    def add_subscription(self, sid: str, *, scope: str, **values: Any) -> ApimSubscription:
        """Like `create`, and known to every gateway at once: for seeding."""
        made = self.create(sid, scope=scope, **values)
        for gateway in self.gateways:
            gateway.view.settle_all()
        return made

    # reading

    def find(self, sid: str) -> ApimSubscription | None:
        return self.subscriptions.get(sid.lower())

    def covers(self, scope: str, api: Api) -> bool:
        """Whether a key of that scope opens the API (azure-facts 6)."""
        if scope in {WHOLE_SERVICE, ALL_APIS}:
            return True
        kind, _, name = scope[1:].partition("/")
        if kind == "products":
            product = self.products.get(name.lower())
            return product is not None and api.id.lower() in product.apis
        return name.lower() == api.id.lower()

    def is_open(self, api: Api) -> bool:
        """Whether the API answers without any key: it requires none, or an open product holds it."""
        if not api.subscription_required:
            return True
        return any(not item.subscription_required and api.id.lower() in item.apis for item in self.products.values())

    def lived(self, value: str) -> tuple[str, Slot, bool] | None:
        """The sid and slot that a value lives or lived in, and whether it lives there now.

        None: never seen.
        """
        place = self._lived.get(_digest(value))
        if place is None:
            return None
        entity = self.find(place[0])
        return (*place, entity is not None and value in (entity.primary, entity.secondary))

    # writing

    def create(
        self,
        sid: str,
        *,
        scope: str,
        owner: str | None = None,
        display_name: str | None = None,
        state: str | None = None,
        primary: str | None = None,
        secondary: str | None = None,
        allow_tracing: bool | None = None,
    ) -> ApimSubscription:
        """A new apim subscription; keys that are not given are drawn.

        Raises ValueError if the sid is taken.
        """
        if self.find(sid) is not None:
            raise ValueError(f"the apim subscription '{sid}' exists")
        made = ApimSubscription(
            sid,
            scope,
            self._world.clock.now(),
            owner=owner,
            display_name=display_name,
            state=state or self._first_state(scope),
            allow_tracing=allow_tracing,
            primary=primary or self._world.new_hex(),
            secondary=secondary or self._world.new_hex(),
            row=self._next_row(),
        )
        self.subscriptions[sid.lower()] = made
        self._date(made)
        self._tell_standing(made)
        for slot in SLOTS:
            self._tell_key(made, slot)
        return made

    def change(self, entity: ApimSubscription, values: Mapping[str, Any]) -> bool:
        """Write fields of CHANGEABLE; answers whether anything changed. If not, the ETag stays.

        Raises ValueError for any other field.
        """
        if not values.keys() <= CHANGEABLE:
            raise ValueError(f"not anybody's to write: {sorted(values.keys() - CHANGEABLE)}")
        changed = {name for name, value in values.items() if getattr(entity, name) != value}
        if not changed:
            return False
        for name in changed:
            setattr(entity, name, values[name])
        entity.row = self._next_row()
        if "state" in changed:
            self._date(entity)
        if changed & {"state", "scope"}:
            self._tell_standing(entity)
        for slot in SLOTS:
            if slot in changed:
                self._tell_key(entity, slot)
        return True

    def regenerate(self, entity: ApimSubscription, slot: Slot) -> None:
        """A fresh value of 16 random bytes in lower-case hex (azure-recorded 6)."""
        self.change(entity, {slot: self._world.new_hex()})

    def set_key(self, sid: str, slot: Slot, value: str | None = None) -> None:
        """What a person does in the portal: set a value, or regenerate when there is none.

        Raises KeyError.
        """
        entity = self.subscriptions[sid.lower()]
        self.change(entity, {slot: value or self._world.new_hex()})

    def delete(self, entity: ApimSubscription) -> None:
        del self.subscriptions[entity.sid.lower()]
        row = self._next_row()
        for gateway in self.gateways:
            gateway.view.tell_gone(self._world.clock.boot(), entity.sid, row)

    def snapshot(self) -> dict[str, Any]:
        """The state as plain data, without any key value."""
        hidden = {"primary", "secondary", "row"}
        shown = [item.name for item in fields(ApimSubscription) if item.name not in hidden]
        return {
            "id": self.id,
            "location": self.location,
            "sku": self.sku,
            "gateways": [
                {
                    "region": gateway.region,
                    "host": gateway.host,
                    "delay_new": gateway.view.delay_new,
                    "delay_old": gateway.view.delay_old,
                }
                for gateway in self.gateways
            ],
            "subscriptions": [
                {name: _plain(getattr(entity, name)) for name in shown} | {"etag": entity.etag}
                for entity in self.subscriptions.values()
            ],
            "named_values": self.named_values.snapshot(),
            **self.credentials.snapshot(),
        }

    # what follows from a write

    def _next_row(self) -> int:
        self._row += 1
        return self._row

    def _next_etag(self) -> str:
        return etag_of(self._next_row())

    def _gateway(self, region: str, host: str | None = None, delay_new: float = 0.0, delay_old: float = 0.0) -> Gateway:
        name = region.replace(" ", "").lower()
        own = f"{self.name.lower()}-{name}-01.regional.azure-api.net"
        return Gateway(name, (host or own).lower(), GatewayView(delay_new, delay_old))

    def _first_state(self, scope: str) -> str:
        """Submitted where a product asks for approval, else active (azure-facts 1.4)."""
        product = self.products.get(scope.removeprefix("/products/").lower())
        approval = product is not None and product.approval_required
        return "submitted" if approval else "active"

    def _date(self, entity: ApimSubscription) -> None:
        """What a state dates: the start of an owned, product-scoped one (azure-recorded 6), and an end."""
        now = self._world.clock.now()
        if entity.state == "active" and entity.started is None and entity.owner and entity.product:
            entity.started = now.replace(hour=0, minute=0, second=0, microsecond=0)
        if entity.state in {"cancelled", "expired"}:
            entity.ended = now

    def _tell_standing(self, entity: ApimSubscription) -> None:
        now = self._world.clock.boot()
        for gateway in self.gateways:
            gateway.view.tell_standing(now, entity.sid, entity.state, entity.scope, entity.row)

    def _tell_key(self, entity: ApimSubscription, slot: Slot) -> None:
        value = entity.key(slot)
        self._lived[_digest(value)] = (entity.sid, slot)
        now = self._world.clock.boot()
        for gateway in self.gateways:
            gateway.view.tell_key(now, entity.sid, slot, value, entity.row)


def _digest(value: str) -> bytes:
    """Old values are remembered as digests: enough to know one again, not to use it."""
    return hashlib.sha256(value.encode()).digest()


def _plain(value: Any) -> Any:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
