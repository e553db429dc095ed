"""What stands between the Key Vault client and the wire lets a write pass once, and only whole (rule A4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.rest import HttpRequest

from keyturn.sinks.keyvault import _one_send_transport, _SecondSend, _Ticket
from tests.azure.stub import Scripted, SignedIn, Stub, error, running_stub


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with running_stub(tmp_path) as running:
        yield running


@pytest.fixture
def transport(stub: Stub) -> Any:
    return _one_send_transport(SignedIn(stub.cloud))


def put(stub: Stub, body: str | None = '{"value": "v"}') -> HttpRequest:
    return HttpRequest("PUT", f"{stub.address}/secrets/x", content=body)


def test_a_second_send_of_one_write_never_reaches_the_wire(stub: Stub, transport: Any) -> None:
    challenge = 'Bearer authorization="https://login.windows.net/t", resource="https://vault.azure.net"'
    stub.answers = [error(401, "Unauthorized", WWW_Authenticate=challenge)]
    ticket = _Ticket()
    transport.send(put(stub), keyturn_ticket=ticket)
    with pytest.raises(_SecondSend):
        transport.send(put(stub), keyturn_ticket=ticket)
    assert len(stub.asked) == 1
    assert ticket.reply is not None and ticket.reply.status == 401


def test_a_write_stripped_of_its_body_never_reaches_the_wire(stub: Stub, transport: Any) -> None:
    ticket = _Ticket()
    with pytest.raises(_SecondSend):
        transport.send(put(stub, None), keyturn_ticket=ticket)
    assert stub.asked == [] and not ticket.sent


def test_reads_pass_as_often_as_they_come(stub: Stub, transport: Any) -> None:
    stub.answers = [Scripted(200, {})]
    for _ in range(3):
        transport.send(HttpRequest("GET", f"{stub.address}/secrets/x/"))
    assert len(stub.asked) == 3
