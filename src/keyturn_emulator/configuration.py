"""A stand-in for the endpoint where self-hosted gateways sign in: `{service}.configuration.azure-api.net`.

Decides: whether a gateway's token signs it in. Never here: the real protocol between a gateway and its service, which
nobody documented. Any GET that signs in is answered with a small JSON body of our own; what a test looks at is the
book of sign-ins.

A real gateway whose token expired goes on answering its callers from what it has. That is not emulated: the refused
sign-in is what there is to see.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from keyturn_emulator import arm_errors
from keyturn_emulator.apim import ApimService
from keyturn_emulator.apim_gateways import TIERS
from keyturn_emulator.propagation import Slot
from keyturn_emulator.signins import Signin, SigninBook, check
from keyturn_emulator.wire import Answer, Call, json_answer
from keyturn_emulator.world import World

SCHEME: Final = "GatewayKey "


def host_of(service: ApimService) -> str:
    return f"{service.name.lower()}.configuration.azure-api.net"


class ConfigurationRoom:
    """Answers for every service that can have self-hosted gateways. Each request is in the book once."""

    def __init__(self, world: World, book: SigninBook) -> None:
        self._world = world
        self._book = book
        self._services = {host_of(service): service for service in world.services.values() if service.sku in TIERS}

    def hosts(self) -> list[str]:
        return list(self._services)

    def answer(self, call: Call) -> Answer:
        service = self._services[call.host]
        if call.method != "GET":
            return arm_errors.not_supported(f"{call.method} on {call.host}: this stand-in knows GET alone").answer()
        signin = self._sign_in(service, call)
        self._book.note(service.name, "configuration", signin, call.headers.get("user-agent"))
        if not signin.accepted:
            message = f"The gateway's token is refused: {signin.reason}."
            return json_answer(401, {"statusCode": 401, "message": message}, {"WWW-Authenticate": SCHEME.strip()})
        return json_answer(200, {"service": service.name, "gateway": signin.identity})

    def _sign_in(self, service: ApimService, call: Call) -> Signin:
        def keys_of(identity: str) -> Iterable[tuple[Slot, str]] | None:
            gateway = service.credentials.gateways.get(identity.lower())
            return None if gateway is None else gateway.keys.verifying(self._world.clock.boot())

        given = call.headers.get("authorization", "")
        if given and not given.startswith(SCHEME):
            return Signin("malformed")
        signin = check(given.removeprefix(SCHEME).strip(), keys_of, self._world.clock.now())
        return Signin("malformed") if signin.form == "long" else signin
