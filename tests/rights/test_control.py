"""The emulator listens on loopback alone, and its control API obeys nobody without its secret."""

from __future__ import annotations

import asyncio
import ipaddress
from pathlib import Path
from typing import Any

import pytest
import requests

from keyturn_emulator import seed
from keyturn_emulator.azure import Azure
from keyturn_emulator.certificates import Authority
from keyturn_emulator.control import ControlRoom
from keyturn_emulator.server import Server
from keyturn_emulator.testing import RunningEmulator

ROUTES = sorted(ControlRoom(Azure(seed.default_description(), None), "unused")._routes)
KEYS = "?service=shop-apim&sid=contoso"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_each_request_needs_the_secret(rights_azure: RunningEmulator, method: str, path: str) -> None:
    secret = rights_azure.ready["secret"]
    before = rights_azure.snapshot()
    wrong: list[dict[str, str]] = [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": secret},
        {"Authorization": f"Basic {secret}"},
        {"Authorization": f"bearer {secret}"},
        {"Authorization": f"Bearer {secret[:-1]}"},
        {"Authorization": f"Bearer {secret}x"},
        {"Authorization": f"Bearer {secret.upper()}"},
        {"Cookie": f"secret={secret}"},
    ]
    for headers in wrong:
        body: Any = {"advance": 3600} if method == "POST" else None
        answer = requests.request(
            method, f"{rights_azure.ready['control']}/{path}{KEYS}", headers=headers, json=body, timeout=10
        )
        assert answer.status_code == 401, headers
        assert set(answer.json()) == {"error"}
    in_address = requests.request(
        method, f"{rights_azure.ready['control']}/{path}{KEYS}&secret={secret}&access_token={secret}", timeout=10
    )
    assert in_address.status_code == 401
    assert rights_azure.snapshot() == before


def test_every_port_is_on_loopback(tmp_path: Path) -> None:
    async def listening() -> list[str]:
        server = Server(Azure(seed.default_description(), None), Authority(tmp_path), "secret")
        await server.start()
        sockets = [each.getsockname()[0] for one in server._servers for each in one.sockets]
        server.close()
        return sockets

    found = asyncio.run(listening())
    assert len(found) == 3
    assert all(ipaddress.ip_address(address).is_loopback for address in found)


def test_what_it_says_of_itself_names_loopback_alone(rights_azure: RunningEmulator) -> None:
    ready = rights_azure.ready
    for name in ("proxy", "direct", "control", "machine"):
        assert "//127.0.0.1:" in ready[name]
