"""From a plain description to a World.

It decides what a description may say and what follows where it says nothing: ids that nobody chose are
drawn from the world's seeded random, so the same description always makes the same world.

Strict: an unknown field, a wrong type or a name that leads nowhere is refused with its place, all at once.

Never here: HTTP, files, or a change to a world that already runs.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from cryptography import x509

from keyturn_emulator import federation, rbac
from keyturn_emulator.apim import (
    DEFAULT_HEADER,
    DEFAULT_QUERY,
    STATES,
    Api,
    ApimService,
    Operation,
    Product,
    User,
)
from keyturn_emulator.apim_gateways import TIERS, is_gateway_id
from keyturn_emulator.clock import EmulatedClock, from_iso
from keyturn_emulator.credentials import ACCESS, GIT_ACCESS, Place, TenantAccess
from keyturn_emulator.keyvault import Vault
from keyturn_emulator.named_values import NamedValue
from keyturn_emulator.propagation import SLOTS, GatewayView
from keyturn_emulator.rbac import Role, UnknownRole
from keyturn_emulator.switches import SWITCHES
from keyturn_emulator.world import Application, AzureSubscription, FederatedCredential, RoleAssignment, World

DEFAULT_START: Final = "2026-01-05T08:00:00Z"
DEFAULT_GROUP: Final = "rg"
_REQUIRED: Final = object()


class SeedError(ValueError):
    """A description that is not understood; `problems` names every place."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class _Reader:
    """One object of the description. What is not taken from it by `close` is unknown, and that is a
    problem.
    """

    def __init__(self, raw: Any, where: str, problems: list[str]) -> None:
        self._where = where
        self._problems = problems
        self._left: dict[str, Any] = dict(raw) if isinstance(raw, Mapping) else {}
        if not isinstance(raw, Mapping):
            problems.append(f"{where or 'the description'}: must be an object")

    def take(self, name: str, kind: type | tuple[type, ...], default: Any = _REQUIRED) -> Any:
        value = self._left.pop(name, _REQUIRED)
        if value is _REQUIRED or (value is None and default is not _REQUIRED):
            if default is _REQUIRED:
                self.problem(name, "is missing")
                return "" if kind is str else None
            return default
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            self.problem(name, f"must be of type {' or '.join(each.__name__ for each in kinds)}")
            return default if default is not _REQUIRED else ("" if kind is str else None)
        return value

    def guid(self, name: str, fallback: str | None = None) -> str:
        text = self.take(name, str) if fallback is None else self.take(name, str, fallback)
        try:
            return str(uuid.UUID(text))
        except ValueError:
            self.problem(name, "must be a GUID")
            return str(uuid.UUID(int=0))

    def one_of(self, name: str, choices: tuple[str, ...], default: str | None) -> str | None:
        value: str | None = self.take(name, str, default)
        if value is not None and value not in choices:
            self.problem(name, f"must be one of {', '.join(choices)}")
        return value

    def each(self, name: str) -> list[_Reader]:
        rows = self.take(name, list, [])
        return [_Reader(row, f"{self._at(name)}[{number}]", self._problems) for number, row in enumerate(rows)]

    def part(self, name: str) -> _Reader | None:
        """An object inside this one, if it is there."""
        raw = self.take(name, dict, None)
        return None if raw is None else _Reader(raw, self._at(name), self._problems)

    def names(self, name: str) -> list[str]:
        rows = self.take(name, list, [])
        if not all(isinstance(row, str) for row in rows):
            self.problem(name, "must be a list of texts")
            return []
        return list(rows)

    def problem(self, name: str, what: str) -> None:
        self._problems.append(f"{self._at(name)}: {what}")

    def close(self) -> None:
        for name in self._left:
            self.problem(name, "is not a known field")

    def _at(self, name: str) -> str:
        return f"{self._where}.{name}".strip(".")


def build(description: Mapping[str, Any], *, boot: float = 0.0, start: datetime | None = None) -> World:
    """The world that `description` tells of. `start` overrides its first moment; `boot` are emulated seconds.

    Raises SeedError with every problem found.
    """
    problems: list[str] = []
    top = _Reader(description, "", problems)
    seed = top.take("seed", int, 1)
    moment = start or _moment(top)
    if start is not None:
        top.take("start", str, "")
    # The one source of ids and keys: replayable on purpose, and it guards nothing real.
    world = World(EmulatedClock(moment, boot), random.Random(seed))  # noqa: S311
    tenant = top.guid("tenant", world.new_guid())
    world.tenants.add(tenant)
    world.token_lifetime = top.take("token_lifetime", int, world.token_lifetime)
    world.managed_token_lifetime = top.take("managed_token_lifetime", int, world.managed_token_lifetime)
    world.workloads = _workloads(top)
    world.switches.update(_switches(top))
    azure = _azure_subscription(top, world, tenant)
    group = top.take("resource_group", str, DEFAULT_GROUP)
    azure.resource_groups.add(group)
    for row in top.each("applications"):
        _application(row, world, tenant)
    for row in top.each("custom_roles"):
        _custom_role(row, world)
    for row in top.each("services"):
        _service(row, world, azure, group)
    for row in top.each("vaults"):
        _vault(row, world, azure, group, tenant)
    for row in top.each("role_assignments"):
        _assignment(row, world)
    top.close()
    if problems:
        raise SeedError(problems)
    return world


def _moment(top: _Reader) -> datetime:
    text = top.take("start", str, DEFAULT_START)
    try:
        return from_iso(text)
    except ValueError as error:
        top.problem("start", str(error))
        return from_iso(DEFAULT_START)


def _switches(top: _Reader) -> dict[str, bool]:
    switches = top.take("switches", dict, {})
    for name, value in switches.items():
        if name not in SWITCHES:
            top.problem(f"switches.{name}", f"is no switch; there are {', '.join(SWITCHES)}")
        elif not isinstance(value, bool):
            top.problem(f"switches.{name}", "must be true or false")
    return dict(switches)


def _azure_subscription(top: _Reader, world: World, tenant: str) -> AzureSubscription:
    made = AzureSubscription(
        id=top.guid("azure_subscription", world.new_guid()), tenant_id=tenant, display_name="Emulated"
    )
    world.azure_subscriptions[made.id.lower()] = made
    return made


def _application(row: _Reader, world: World, tenant: str) -> None:
    client = row.guid("client_id", world.new_guid())
    secret = row.take("secret", str, None)
    secrets = {*row.names("more_secrets"), *([] if secret is None else [secret])}
    world.applications[client.lower()] = made = Application(
        client_id=client,
        object_id=row.guid("object_id", world.new_guid()),
        tenant_id=tenant,
        display_name=row.take("display_name", str, "app"),
        secrets=secrets,
        expired_secrets=set(row.names("expired_secrets")),
        certificates=_certificates(row),
        federated=[_federated(part, tenant) for part in row.each("federated_credentials")],
        managed_identity=row.one_of("managed_identity", ("system-assigned", "user-assigned"), None),
    )
    if made.managed_identity is not None:
        _check_managed(row, world, made)
    row.close()


def _check_managed(row: _Reader, world: World, made: Application) -> None:
    if made.secrets or made.expired_secrets or made.certificates:
        row.problem("managed_identity", "signs in with nothing that a person holds: no secrets, no certificates")
    same = [app for app in world.applications.values() if app.managed_identity == "system-assigned"]
    if len(same) > 1:
        row.problem("managed_identity", "the machine has one system-assigned identity already")


def _federated(part: _Reader, tenant: str) -> FederatedCredential:
    """`issuer` is `github`, `kubernetes`, or the whole name of another one."""
    issuer = part.take("issuer", str)
    made = FederatedCredential(
        issuer=next((federation.issuer_of(kind, tenant) for kind in federation.KINDS if kind == issuer), issuer),
        subject=part.take("subject", str),
        audience=part.take("audience", str, federation.AUDIENCE),
    )
    part.close()
    return made


def _workloads(top: _Reader) -> dict[str, str]:
    """Which workflow and which service account run here."""
    part = top.part("workloads")
    if part is None:
        return dict(WORKLOADS)
    given: dict[str, str] = {kind: part.take(kind, str, WORKLOADS[kind]) for kind in federation.KINDS}
    part.close()
    return given


def _certificates(row: _Reader) -> list[str]:
    """PEM certificates with which the application may sign in."""
    given = row.names("certificates")
    for pem in given:
        try:
            x509.load_pem_x509_certificate(pem.encode())
        except ValueError:
            row.problem("certificates", "must be PEM certificates")
    return given


def _custom_role(row: _Reader, world: World) -> None:
    world.custom_roles.append(
        Role(
            id=row.guid("id", world.new_guid()),
            name=row.take("name", str),
            actions=tuple(row.names("actions")),
            not_actions=tuple(row.names("not_actions")),
            data_actions=tuple(row.names("data_actions")),
            not_data_actions=tuple(row.names("not_data_actions")),
        )
    )
    row.close()


def _assignment(row: _Reader, world: World) -> None:
    client, role, scope = row.take("client_id", str), row.take("role", str), row.take("scope", str)
    row.close()
    app = world.applications.get(client.lower())
    if app is None:
        row.problem("client_id", "is no application of this description")
        return
    try:
        rbac.find_role(world, role)
    except UnknownRole as error:
        row.problem("role", str(error))
    if not scope.startswith("/"):
        row.problem("scope", "must be an ARM id")
    world.role_assignments.append(RoleAssignment(app.object_id, role, scope))


def _vault(row: _Reader, world: World, azure: AzureSubscription, group: str, tenant: str) -> None:
    name = row.take("name", str)
    vault_group = row.take("resource_group", str, group)
    azure.resource_groups.add(vault_group)
    world.vaults[name.lower()] = Vault(
        name=name,
        tenant_id=tenant,
        id=f"/subscriptions/{azure.id}/resourceGroups/{vault_group}/providers/Microsoft.KeyVault/vaults/{name}",
        location=row.take("location", str, "westeurope"),
        recoverable_days=row.take("recoverable_days", int, 90),
        deletion_seconds=row.take("deletion_seconds", int, 0),
    )
    row.close()


def _service(row: _Reader, world: World, azure: AzureSubscription, group: str) -> None:
    own_group = row.take("resource_group", str, group)
    azure.resource_groups.add(own_group)
    service = ApimService(
        world,
        azure_subscription=azure.id,
        resource_group=own_group,
        name=row.take("name", str),
        location=row.take("location", str, "West Europe"),
        sku=row.take("sku", str, "Developer"),
        gateways=[_gateway(place) for place in row.each("gateways")],
        min_api_version=row.take("min_api_version", str, None),
    )
    for part in row.each("apis"):
        _api(part, service)
    for part in row.each("products"):
        _product(part, service)
    for part in row.each("users"):
        _user(part, service)
    for part in row.each("subscriptions"):
        _apim_subscription(part, service)
    for name, entity in {"tenant_access": ACCESS, "git_access": GIT_ACCESS}.items():
        access = row.part(name)
        if access is not None:
            _tenant(access, service, service.credentials.tenant[entity.lower()])
    for part in row.each("self_hosted_gateways"):
        _self_hosted(part, service)
    for part in row.each("named_values"):
        _named_value(part, service)
    row.close()
    world.services[service.key] = service


def _gateway(place: _Reader) -> dict[str, Any]:
    read = {
        "region": place.take("region", str),
        "host": place.take("host", str, None),
        "delay_new": float(place.take("delay_new", (int, float), 0)),
        "delay_old": float(place.take("delay_old", (int, float), 0)),
    }
    place.close()
    return read


def _api(part: _Reader, service: ApimService) -> None:
    name = part.take("id", str)
    service.add_api(
        Api(
            id=name,
            path=part.take("path", str, name),
            display_name=part.take("display_name", str, name),
            subscription_required=part.take("subscription_required", bool, True),
            header=part.take("header", str, DEFAULT_HEADER),
            query=part.take("query", str, DEFAULT_QUERY),
            operations=[_operation(row) for row in part.each("operations")] or [Operation("any", display_name="Any")],
        )
    )
    part.close()


def _operation(row: _Reader) -> Operation:
    """`url` is its template below the API's path; an API that describes none has one `GET /*`."""
    name = row.take("id", str)
    made = Operation(
        id=name,
        method=row.take("method", str, "GET").upper(),
        url=row.take("url", str, "/"),
        display_name=row.take("display_name", str, name),
    )
    if not made.url.startswith("/"):
        row.problem("url", "must start with a slash")
    row.close()
    return made


def _product(part: _Reader, service: ApimService) -> None:
    name, apis = part.take("id", str), part.names("apis")
    for api in apis:
        if api not in {known.id for known in service.apis.values()}:
            part.problem("apis", f"there is no api {api}")
    service.add_product(
        Product(
            id=name,
            display_name=part.take("display_name", str, name),
            subscription_required=part.take("subscription_required", bool, True),
            approval_required=part.take("approval_required", bool, False),
            apis=set(apis),
        )
    )
    part.close()


def _user(part: _Reader, service: ApimService) -> None:
    service.add_user(
        User(
            id=part.take("id", str),
            first_name=part.take("first_name", str, ""),
            last_name=part.take("last_name", str, ""),
            email=part.take("email", str, ""),
        )
    )
    part.close()


def _apim_subscription(part: _Reader, service: ApimService) -> None:
    sid, owner = part.take("sid", str), part.take("owner", str, None)
    scope = _scope(part, service)
    if owner is not None and owner.lower() not in service.users:
        part.problem("owner", f"there is no user {owner}")
    if service.find(sid) is not None:
        part.problem("sid", f"{sid} stands here twice")
        sid = f"{sid}-again"
    service.add_subscription(
        sid,
        scope=scope,
        owner=owner,
        display_name=part.take("display_name", str, None),
        state=part.one_of("state", STATES, "active"),
        primary=part.take("primary", str, None),
        secondary=part.take("secondary", str, None),
        allow_tracing=part.take("allow_tracing", bool, None),
    )
    part.close()


def _named_value(part: _Reader, service: ApimService) -> None:
    name = part.take("id", str)
    service.named_values.put(
        NamedValue(
            id=name,
            display_name=part.take("display_name", str, name),
            value=part.take("value", str, ""),
            secret=part.take("secret", bool, True),
            tags=tuple(part.names("tags")),
            key_vault=part.take("key_vault", str, None),
        )
    )
    part.close()


def _tenant(part: _Reader, service: ApimService, entity: TenantAccess) -> None:
    """Both keys are drawn before; the description may choose others."""
    if service.sku == "Consumption":
        part.problem("", "is not in the tier Consumption")
    entity.keys.view = _delays(part)
    given = {slot: part.take(slot, str, None) or entity.keys.key(slot) for slot in SLOTS}
    service.credentials.seed_tenant(entity, enabled=part.take("enabled", bool, entity.enabled), keys=given)
    part.close()


def _self_hosted(part: _Reader, service: ApimService) -> None:
    name, place = part.take("id", str), part.take("location", str, None)
    if not is_gateway_id(name):
        part.problem("id", "must have 1 to 80 characters, and not be 'managed'")
    if service.sku not in TIERS:
        part.problem("id", f"self-hosted gateways need the tier {' or '.join(sorted(TIERS))}, not {service.sku}")
    if name.lower() in service.credentials.gateways:
        part.problem("id", f"{name} stands here twice")
        name = f"{name}-again"
    service.credentials.create_gateway(
        name,
        place=None if place is None else Place(place),
        description=part.take("description", str, None),
        keys={slot: part.take(slot, str, None) for slot in SLOTS},
        view=_delays(part),
    )
    part.close()


def _delays(part: _Reader) -> GatewayView:
    """Emulated seconds until a new key verifies tokens, and until an old one no longer does."""
    new, old = (float(part.take(name, (int, float), 0)) for name in ("delay_new", "delay_old"))
    return GatewayView(new, old)


def _scope(part: _Reader, service: ApimService) -> str:
    """Exactly one of product, api and scope says what the keys open; scope is relative: `/`, `/apis`, ..."""
    product = part.take("product", str, None)
    api = part.take("api", str, None)
    scope: str | None = part.take("scope", str, None)
    if sum(given is not None for given in (product, api, scope)) != 1:
        part.problem("scope", "give exactly one of product, api and scope")
    if product is not None:
        if product.lower() not in service.products:
            part.problem("product", f"there is no product {product}")
        return f"/products/{product}"
    if api is not None:
        if api.lower() not in service.apis:
            part.problem("api", f"there is no api {api}")
        return f"/apis/{api}"
    if scope is not None and not scope.startswith("/"):
        part.problem("scope", "must start with a slash")
    return scope or "/"


# --- the world that stands when nobody describes one ----------------------------------------------

TENANT: Final = "7d1f5b0e-2f0a-4c64-9a4e-6f6c1f8f3a10"
CLIENT: Final = "1c5a4a52-7d3d-4f3e-8c06-2f7a1b6d9e21"
CLIENT_SECRET: Final = "emulated-secret-of-the-rotator"  # noqa: S105 - it opens nothing real
READER: Final = "5e0b7a43-90f1-4a57-b8ce-cf1d6f0e7b32"
READER_SECRET: Final = "emulated-secret-of-the-callers"  # noqa: S105 - the same
AZURE_SUBSCRIPTION: Final = "3a6f1d2c-5b7e-4f80-9c1d-8e2a4b6c0d43"
MACHINE: Final = "6b1f0c9e-8a25-4d67-b3f1-0e9d7c5a2f54"
ASSIGNED: Final = "c8e24f7a-13d6-4b90-a5e8-7f20b96d1c65"
WORKLOADS: Final[Mapping[str, str]] = {
    "github": "repo:contoso/rotation:ref:refs/heads/main",
    "kubernetes": "system:serviceaccount:keyturn:rotator",
}


def default_description() -> dict[str, Any]:
    """One service with three products, six apim subscriptions, tenant access and a self-hosted gateway; one vault;
    a rotator, which a workflow and a service account may be as well, two managed identities with its roles, and a
    reader of secrets.
    """
    group = f"/subscriptions/{AZURE_SUBSCRIPTION}/resourceGroups/{DEFAULT_GROUP}"
    return {
        "seed": 1,
        "start": DEFAULT_START,
        "tenant": TENANT,
        "azure_subscription": AZURE_SUBSCRIPTION,
        "resource_group": DEFAULT_GROUP,
        "applications": [
            {
                "client_id": CLIENT,
                "secret": CLIENT_SECRET,
                "display_name": "rotator",
                "federated_credentials": [{"issuer": kind, "subject": WORKLOADS[kind]} for kind in federation.KINDS],
            },
            {"client_id": READER, "secret": READER_SECRET, "display_name": "callers"},
            {"client_id": MACHINE, "display_name": "rotator-machine", "managed_identity": "system-assigned"},
            {"client_id": ASSIGNED, "display_name": "rotator-identity", "managed_identity": "user-assigned"},
        ],
        "role_assignments": [
            {"client_id": CLIENT, "role": "API Management Service Contributor", "scope": group},
            {"client_id": CLIENT, "role": "Key Vault Secrets Officer", "scope": group},
            {"client_id": READER, "role": "Key Vault Secrets User", "scope": group},
            *(
                {"client_id": client, "role": role, "scope": group}
                for client in (MACHINE, ASSIGNED)
                for role in ("API Management Service Contributor", "Key Vault Secrets Officer")
            ),
        ],
        "services": [
            {
                "name": "shop-apim",
                "location": "West Europe",
                "sku": "Developer",
                "apis": [
                    {
                        "id": "orders",
                        "path": "orders",
                        "operations": [
                            {"id": "list-orders", "url": "/"},
                            {"id": "get-order", "url": "/{id}"},
                            {"id": "place-order", "method": "POST", "url": "/"},
                        ],
                    },
                    {"id": "status", "path": "status", "operations": [{"id": "get-status", "url": "/"}]},
                ],
                "products": [
                    {"id": "gold", "display_name": "Gold", "apis": ["orders", "status"]},
                    {"id": "silver", "display_name": "Silver", "apis": ["orders", "status"]},
                    {
                        "id": "free",
                        "display_name": "Free",
                        "subscription_required": False,
                        "apis": [],
                    },
                ],
                "users": [{"id": "contoso", "first_name": "Con", "last_name": "Toso"}],
                "subscriptions": [
                    {"sid": "contoso", "display_name": "Contoso", "product": "gold", "owner": "contoso"},
                    {"sid": "fabrikam", "display_name": "Fabrikam", "product": "gold"},
                    {"sid": "northwind", "display_name": "Northwind", "product": "silver"},
                    {"sid": "tailspin", "display_name": "Tailspin", "product": "silver"},
                    {"sid": "legacy", "display_name": "Legacy", "api": "orders"},
                    {"sid": "batch", "display_name": "Batch", "scope": "/apis"},
                ],
                "tenant_access": {"enabled": True},
                "self_hosted_gateways": [{"id": "gw-oslo", "location": "Oslo"}],
            }
        ],
        "vaults": [{"name": "shop-kv"}],
    }  # fmt: skip


def default_world() -> World:
    """The world of `default_description`."""
    return build(default_description())
