"""A small emulated Azure without sockets, and short ways to ask its rooms. Tokens are real ones of its own
Entra.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from keyturn_emulator import entra
from keyturn_emulator.apim import ApimService
from keyturn_emulator.arm import HOST, ArmRoom
from keyturn_emulator.gateway import GatewayRoom
from keyturn_emulator.seed import build
from keyturn_emulator.wire import Answer, Call

CLIENT = "1c5a4a52-7d3d-4f3e-8c06-2f7a1b6d9e21"
NOBODY = "9d0c2b7e-6a41-4c8e-b7f5-3e1d0a9c8b76"  # an application without any role
AZURE = "3a6f1d2c-5b7e-4f80-9c1d-8e2a4b6c0d43"
TENANT = "7d1f5b0e-2f0a-4c64-9a4e-6f6c1f8f3a10"
GROUP = f"/subscriptions/{AZURE}/resourceGroups/rg"
VERSION = "2022-08-01"
START = "2026-01-05T08:00:00.1234Z"


def description(**changes: Any) -> dict[str, Any]:
    """One service with two gateways, and something of every kind that the tests need."""
    return {
        "seed": 7,
        "start": START,
        "tenant": TENANT,
        "azure_subscription": AZURE,
        "applications": [
            {"client_id": CLIENT, "secret": "s", "display_name": "rotator"},
            {"client_id": NOBODY, "secret": "s", "display_name": "nobody"},
        ],
        "role_assignments": [
            {"client_id": CLIENT, "role": "Contributor", "scope": f"/subscriptions/{AZURE}"},
        ],
        "services": [
            {
                "name": "shop-apim",
                "location": "West Europe",
                "sku": "Premium",
                "gateways": [
                    {"region": "West Europe"},
                    {"region": "East US", "delay_new": 60, "delay_old": 120},
                ],
                "apis": [
                    {"id": "orders", "path": "orders"},
                    {"id": "orders-v2", "path": "orders/v2"},
                    {"id": "status", "path": "status", "header": "X-Status-Key", "query": "status-key"},
                    {"id": "news", "path": "news"},
                    {"id": "ping", "path": "ping", "subscription_required": False},
                ],
                "products": [
                    {"id": "gold", "display_name": "Gold", "apis": ["orders", "status"]},
                    {"id": "vetted", "display_name": "Vetted", "approval_required": True, "apis": ["orders"]},
                    {
                        "id": "free",
                        "display_name": "Free",
                        "subscription_required": False,
                        "apis": ["news"],
                    },
                ],
                "users": [{"id": "ada", "first_name": "Ada", "last_name": "Love", "email": "ada@example.org"}],
                "subscriptions": [
                    {"sid": "contoso", "display_name": "Contoso", "product": "gold", "owner": "ada"},
                    {"sid": "fabrikam", "display_name": "Fabrikam", "api": "orders"},
                    {"sid": "everything", "display_name": "Everything", "scope": "/apis"},
                ],
            }
        ],
        **changes,
    }


class SmallAzure:
    """The rooms over one world, asked directly."""

    def __init__(self, **changes: Any) -> None:
        self.world = build(description(**changes))
        self.service: ApimService = next(iter(self.world.services.values()))
        self.arm = ArmRoom(self.world)
        self.gateway = GatewayRoom(self.world)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str | None = VERSION,
        match: str | None = None,
        client: str = CLIENT,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask Resource Manager. A path without a leading slash stands under the service."""
        sent = {"authorization": f"Bearer {entra.issue_token(self.world, client, f'https://{HOST}')}"}
        if match is not None:
            sent["if-match"] = match
        asked = tuple((query or {}).items())
        return self.arm.answer(
            Call(
                method,
                HOST,
                path if path.startswith("/") else f"{self.service.id}/{path}".rstrip("/"),
                (*asked, ("api-version", version)) if version is not None else asked,
                {**sent, **(headers or {})},
                b"" if body is None else json.dumps(body).encode(),
            )
        )

    def patch(self, sid: str, properties: Mapping[str, Any], match: str = "*", **more: Any) -> Answer:
        return self.ask("PATCH", f"subscriptions/{sid}", {"properties": properties}, match=match, **more)

    def put(self, sid: str, properties: Mapping[str, Any], **more: Any) -> Answer:
        return self.ask("PUT", f"subscriptions/{sid}", {"properties": properties}, **more)

    def etag(self, sid: str) -> str:
        return self.ask("HEAD", f"subscriptions/{sid}").headers["ETag"]

    def keys(self, sid: str) -> tuple[str, str]:
        """Both values, as listSecrets tells them."""
        told = content(self.ask("POST", f"subscriptions/{sid}/listSecrets"))
        return told["primaryKey"], told["secondaryKey"]

    def call(
        self,
        path: str,
        key: str | None = None,
        *,
        host: str = "shop-apim.azure-api.net",
        header: str = "ocp-apim-subscription-key",
        query: Mapping[str, str] | None = None,
        agent: str = "caller/a more",
    ) -> Answer:
        """Call a gateway, with the key in a header if there is one."""
        sent = {"user-agent": agent} | ({header: key} if key is not None else {})
        return self.gateway.answer(Call("GET", host, path, tuple((query or {}).items()), sent))

    def outcomes(self) -> dict[str, int]:
        """How often each outcome was counted since the last time this was asked."""
        counted: dict[str, int] = self.gateway.summary()["outcomes"]
        self.gateway.reset()
        return counted


EAST = "shop-apim-eastus-01.regional.azure-api.net"


def content(answer: Answer) -> Any:
    return json.loads(answer.body)


def error_of(answer: Answer) -> dict[str, Any]:
    error: dict[str, Any] = content(answer)["error"]
    return error
