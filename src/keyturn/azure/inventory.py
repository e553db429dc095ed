"""What there is in Azure for a first configuration: API Management services, and the products, APIs and apim
subscriptions of one. Reads alone, and never a key: no list of API Management holds one (azure-recorded 2).

Decides which lists are read, how many, and what an entry of them means. What may not be read is told, not raised, as
long as a file can be written without it. Never here: what is proposed from it (that is `starter`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from keyturn.azure.answers import mapping
from keyturn.azure.pipeline import Arm
from keyturn.errors import KeyturnError, Refused
from keyturn.policy import ProbeSpec
from keyturn.starter import Api, ApimSubscription, Inventory, Operation, Product, is_plain, preference

API_VERSION: Final = "2022-08-01"
AZURE_VERSION: Final = "2022-12-01"
"""Of the list of azure subscriptions."""
MOST_APIS: Final = 10
"""APIs per product whose operations are read, those with the likeliest names first: a service may have hundreds."""
DEFAULT_HEADER: Final = ProbeSpec(path="/").header


class Place(NamedTuple):
    """A service that the signed-in identity can list."""

    id: str
    name: str
    location: str


def services(arm: Arm) -> list[Place]:
    """Every service in every azure subscription that may be listed, by name. Raises TryAgain, Refused."""
    found = []
    for azure in arm.pages("/subscriptions", api_version=AZURE_VERSION, what="list the azure subscriptions"):
        name = str(azure.get("subscriptionId") or "")
        path = f"/subscriptions/{quote(name, safe='')}/providers/Microsoft.ApiManagement/service"
        try:
            listed = _named(arm.pages(path, api_version=API_VERSION, what=f"list the services of {name}"))
        except Refused:
            continue  # without a role there, or without API Management
        found += [Place(str(it.get("id") or ""), str(it["name"]), str(it.get("location") or "")) for it in listed]
    return sorted(found, key=lambda place: (place.name.lower(), place.id.lower()))


def describe(arm: Arm, service_id: str) -> Inventory:
    """One service. Raises TryAgain, Refused, Gone, where it cannot be read at all."""
    base = quote(service_id.rstrip("/"), safe="/")
    name = service_id.rstrip("/").rpartition("/")[2]
    told = mapping(arm.read(base, api_version=API_VERSION, what=f"read the service {name}").json())
    problems: list[str] = []
    subscriptions = _listed(arm, f"{base}/subscriptions", "its apim subscriptions", problems)
    products = _listed(arm, f"{base}/products", "its products", problems)
    return Inventory(
        id=str(told.get("id") or service_id),
        name=str(told.get("name") or name),
        location=str(told.get("location") or ""),
        tier=str(mapping(told.get("sku")).get("name") or ""),
        products=tuple(_Products(arm, base).read(products)),
        apim_subscriptions=tuple(_apim_subscription(item) for item in subscriptions),
        problems=tuple(problems),
    )


def _listed(arm: Arm, path: str, what: str, problems: list[str]) -> list[Mapping[str, Any]]:
    """A list; an empty one, and one problem more, where it may not be read. Raises TryAgain."""
    try:
        return _named(arm.pages(path, api_version=API_VERSION, what=f"list {what}"))
    except Refused as refusal:
        problems.append(f"{what}: {refusal.message}")
        return []


def _named(items: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that have a name: the others could not be written into a configuration."""
    return [item for item in items if isinstance(item.get("name"), str) and item["name"]]


def _apim_subscription(item: Mapping[str, Any]) -> ApimSubscription:
    told = mapping(item.get("properties"))
    scope = str(told.get("scope") or "").rstrip("/")
    head, _, last = scope.rpartition("/")
    kind = head.rpartition("/")[2].lower()
    return ApimSubscription(
        sid=str(item["name"]),
        product=last if kind == "products" else None,
        api=last if kind == "apis" else None,
        active=told.get("state") == "active",
    )


class _Products:
    """The products of one service; an API that several have is read once."""

    def __init__(self, arm: Arm, base: str) -> None:
        self._arm, self._base = arm, base
        self._operations: dict[str, tuple[Operation, ...] | str] = {}

    def read(self, listed: Iterable[Mapping[str, Any]]) -> Iterator[Product]:
        """Each with its APIs, in Azure's order. Raises TryAgain."""
        rows = [(item, self._apis(str(item["name"]))) for item in listed]
        # an API of an open product is let through without a key, whatever other product it is in
        # (azure-facts 6): a probe there would prove nothing
        without = {
            str(api["name"]).lower()
            for item, apis in rows
            if not _needs_key(item) and not isinstance(apis, str)
            for api in apis
        }
        for item, apis in rows:
            told = mapping(item.get("properties"))
            known = None if isinstance(apis, str) else tuple(self._each(apis, without))
            yield Product(
                id=str(item["name"]),
                name=str(told.get("displayName") or ""),
                needs_key=_needs_key(item),
                apis=known,
                trouble=apis if isinstance(apis, str) else "",
            )

    def _apis(self, product: str) -> list[Mapping[str, Any]] | str:
        path = f"{self._base}/products/{quote(product, safe='')}/apis"
        try:
            listed = _named(self._arm.pages(path, api_version=API_VERSION, what=f"list the APIs of {product}"))
        except Refused as refusal:
            return refusal.message
        return [api for api in listed if mapping(api.get("properties")).get("isCurrent") is not False]

    def _each(self, apis: list[Mapping[str, Any]], without: set[str]) -> Iterator[Api]:
        """In Azure's order. Operations are read of the likeliest ones only, as long as none was found that will do."""
        likely = sorted(apis, key=lambda api: preference(f"{api['name']} {mapping(api.get('properties')).get('path')}"))
        wanted = {str(api["name"]) for api in likely[:MOST_APIS]}
        for api in apis:
            told, name = mapping(api.get("properties")), str(api["name"])
            needs = told.get("subscriptionRequired") is not False and name.lower() not in without
            root, trouble = _root(told)
            operations: tuple[Operation, ...] = ()
            if needs and not trouble and name in wanted:
                read = self._read_operations(name, root)
                operations, trouble = ((), read) if isinstance(read, str) else (read, "")
            yield Api(id=name, needs_key=needs, header=_header(told), trouble=trouble, operations=operations)

    def _read_operations(self, api: str, root: str) -> tuple[Operation, ...] | str:
        if api not in self._operations:
            path = f"{self._base}/apis/{quote(api, safe='')}/operations"
            try:
                listed = _named(self._arm.pages(path, api_version=API_VERSION, what=f"list the operations of {api}"))
                self._operations[api] = tuple(it for it in (_operation(item, root) for item in listed) if is_plain(it))
            except KeyturnError as problem:
                self._operations[api] = f"its operations could not be read: {problem.message}"
        return self._operations[api]


def _needs_key(product: Mapping[str, Any]) -> bool:
    return mapping(product.get("properties")).get("subscriptionRequired") is not False


def _operation(item: Mapping[str, Any], root: str) -> Operation:
    told = mapping(item.get("properties"))
    template = str(told.get("urlTemplate") or "/")
    path = f"{root}/{template.lstrip('/')}" if template.strip("/") else root or "/"
    return Operation(method=str(told.get("method") or ""), path=path, name=str(told.get("displayName") or item["name"]))


def _root(told: Mapping[str, Any]) -> tuple[str, str]:
    """Where an API's paths begin at a gateway, or why that cannot be told."""
    kind = str(told.get("type") or "http").lower()
    if kind not in {"http", "rest"}:
        return "", f"it is of type {kind}, whose operations are no paths."
    path = "/" + str(told.get("path") or "").strip("/")
    root = "" if path == "/" else path
    version = str(told.get("apiVersion") or "")
    if not version:
        return root, ""
    scheme = str(mapping(told.get("apiVersionSet")).get("versioningScheme") or "")
    if scheme == "Segment":
        return f"{root}/{version}", ""
    return root, f"it is version {version} of its API, and how a path names that was not told: write the path yourself."


def _header(told: Mapping[str, Any]) -> str | None:
    header = mapping(told.get("subscriptionKeyParameterNames")).get("header")
    return None if header is None or str(header).lower() == DEFAULT_HEADER.lower() else str(header)
