"""A keyring's calls against a scripted server: for answers that an emulated Azure would not give."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from keyturn.azure.pipeline import Arm
from keyturn.keyrings.gateways import GatewayKeyring
from keyturn.keyrings.tenant import TenantKeyring
from keyturn.model import Credential, Kind, Slot
from keyturn.ports import SendBy
from keyturn.testing import ManualClock
from tests.azure.stub import Scripted, SignedIn, Stub

SERVICE = (
    "/subscriptions/3a6f1d2c-5b7e-4f80-9c1d-8e2a4b6c0d43/resourceGroups/rg/providers/"
    "Microsoft.ApiManagement/service/shop-apim"
)
ETAG = '"AAAAAAAAC7kAAAAAAAAAAA=="'
LIVE = {Slot.PRIMARY: "P" * 86 + "==", Slot.SECONDARY: "S" * 86 + "=="}


class Asking:
    """Keyrings of one service over the stub, and the answers that Azure's recordings show."""

    def __init__(self, stub: Stub) -> None:
        self.stub = stub
        self.clock = ManualClock()
        self.arm = Arm(SignedIn(stub.cloud), self.clock)
        self.tenant = TenantKeyring(self.arm, "shop", SERVICE, names=("access", "gitAccess"))
        self.gateways = GatewayKeyring(self.arm, "shop", SERVICE)

    def answer(self, *answers: Scripted) -> None:
        """What the next calls get; the last one stays."""
        self.stub.asked.clear()
        self.stub.answers = list(answers)

    def asked(self) -> list[tuple[str, str]]:
        """Method and path below the service of every call since the last `answer`."""
        return [(call.method, call.path.partition("?")[0].removeprefix(SERVICE)) for call in self.stub.asked]

    def body(self, at: int = -1) -> Any:
        return json.loads(self.stub.asked[at].body)

    def if_match(self, at: int = -1) -> str | None:
        return self.stub.asked[at].headers.get("If-Match")

    def send_by(self) -> SendBy:
        return SendBy(at=self.clock.now() + timedelta(seconds=60), boot=self.clock.boottime() + 60, seconds=20)

    def too_late(self) -> SendBy:
        return SendBy(at=self.clock.now() - timedelta(seconds=1), boot=self.clock.boottime() - 1, seconds=20)


def credential(name: str = "access") -> Credential:
    address = f"{SERVICE}/tenant/{name}"
    return Credential(
        id=f"shop/tenant/{name}", key=address.lower(), address=address, service="shop", name=name, kind=Kind.TENANT
    )


def gateway(name: str = "gw-oslo") -> Credential:
    address = f"{SERVICE}/gateways/{name}"
    return Credential(
        id=f"shop/gateways/{name}", key=address.lower(), address=address, service="shop", name=name, kind=Kind.GATEWAY
    )


def entity(name: str = "access", *, etag: str = ETAG, **properties: Any) -> Scripted:
    payload = {
        "id": f"{SERVICE}/tenant/{name}",
        "type": "Microsoft.ApiManagement/service/tenant",
        "name": name,
        "properties": properties,
    }
    return Scripted(200, payload, {"ETag": etag})


def secrets(*, etag: str | None = ETAG, **more: Any) -> Scripted:
    """The flat list answer (azure-recorded 4)."""
    told = {"id": "/tenant/access", "principalId": "integration", "enabled": True, **more}
    keys = {"primaryKey": LIVE[Slot.PRIMARY], "secondaryKey": LIVE[Slot.SECONDARY]}
    return Scripted(200, told | keys, {} if etag is None else {"ETag": etag})
