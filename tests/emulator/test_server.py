"""The network: which names the proxy leads to, what each port speaks, and how the program starts and ends."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
import requests
import trustme

from keyturn_emulator import azure as platform
from keyturn_emulator import seed
from keyturn_emulator.azure import Azure
from keyturn_emulator.gateway import GatewayRoom
from keyturn_emulator.http11 import Connection, HttpProtocol, Reply
from keyturn_emulator.testing import EmulatorDefect, RunningEmulator
from keyturn_emulator.wire import Answer, Call

GATEWAY = "https://shop-apim.azure-api.net/orders/1"


def _raw(azure: RunningEmulator, request: bytes) -> bytes:
    """What the front port answers to these very bytes, until it closes or stops for a request."""
    address = urlsplit(azure.ready["proxy"])
    with socket.create_connection((str(address.hostname), int(address.port or 0)), 10) as plain:
        plain.sendall(request)
        return plain.recv(65536)


@pytest.mark.parametrize(
    "host",
    [
        "login.microsoftonline.com",
        "login.windows.net",
        "management.azure.com",
        "shop-kv.vault.azure.net",
        "shop-apim.azure-api.net",
        "shop-apim-westeurope-01.regional.azure-api.net",
        "MANAGEMENT.azure.com",
    ],
)
def test_the_proxy_leads_to_every_name_that_exists(azure: RunningEmulator, host: str) -> None:
    assert b" 200 " in _raw(azure, f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode()).split(b"\r\n")[0]


@pytest.mark.witness("unknown-hosts")
@pytest.mark.parametrize(
    "target",
    [
        "example.org:443",
        "other-kv.vault.azure.net:443",
        "other.azure-api.net:443",
        "management.azure.com:80",
        "management.azure.com",
        "vault.azure.net:443",
        "127.0.0.1:443",
    ],
)
def test_the_proxy_refuses_every_other_target_with_a_sentence(azure: RunningEmulator, target: str) -> None:
    reply = _raw(azure, f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b" 403 " in head.split(b"\r\n")[0]
    assert target in body.decode()
    assert "emulated Azure alone" in body.decode()


def test_plain_http_is_for_the_control_api_alone(azure: RunningEmulator) -> None:
    answer = requests.get(azure.ready["proxy"] + "/subscriptions", timeout=10)
    assert answer.status_code == 403
    assert "control API alone" in answer.json()["error"]


def test_the_proxy_does_not_forward_plain_http_requests(azure: RunningEmulator) -> None:
    reply = _raw(azure, b"GET http://management.azure.com/subscriptions HTTP/1.1\r\nHost: management.azure.com\r\n\r\n")
    assert b" 403 " in reply.split(b"\r\n")[0]


def test_a_tunnel_leads_to_the_name_it_was_opened_for_and_to_no_other(azure: RunningEmulator) -> None:
    answer = requests.get(GATEWAY, headers={"Host": "management.azure.com"}, timeout=10)
    assert answer.status_code == 421
    assert "this tunnel leads to shop-apim.azure-api.net" in answer.json()["error"]


def test_the_control_api_is_not_inside_a_tunnel(azure: RunningEmulator) -> None:
    answer = requests.get("https://management.azure.com/_emulator/clock", headers=azure.headers, timeout=10)
    assert answer.status_code != 200
    assert "boot" not in answer.text


def test_a_request_split_into_single_bytes_is_still_read(azure: RunningEmulator) -> None:
    address = urlsplit(azure.ready["proxy"])
    head = b"CONNECT shop-apim.azure-api.net:443 HTTP/1.1\r\nHost: x\r\n\r\n"
    context = ssl.create_default_context(cafile=azure.ready["ca_bundle"])
    with socket.create_connection((str(address.hostname), int(address.port or 0)), 10) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head:
            plain.sendall(bytes([byte]))
        assert b" 200 " in plain.recv(1000)
        with context.wrap_socket(plain, server_hostname="shop-apim.azure-api.net") as tunnel:
            for byte in b"GET /orders/1 HTTP/1.1\r\nHost: shop-apim.azure-api.net\r\n\r\n":
                tunnel.sendall(bytes([byte]))
            assert tunnel.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_requests_sent_without_waiting_are_answered_in_their_order(azure: RunningEmulator) -> None:
    address = urlsplit(azure.ready["control"])
    azure.control("POST", "clock", {"advance": 1})
    ask = "GET /_emulator/{} HTTP/1.1\r\nHost: x\r\n" + f"Authorization: {azure.headers['Authorization']}\r\n\r\n"
    with socket.create_connection((str(address.hostname), int(address.port or 0)), 10) as plain:
        plain.sendall((ask.format("pause?wait=0.05") + ask.format("clock") + ask.format("arm")).encode())
        received = b""
        while received.count(b"HTTP/1.1 200") < 3 or not received.endswith(b"}"):
            received += plain.recv(65536)
    assert received.index(b'"armed"') < received.index(b'"boot"') < received.index(b'"throttled"')


def test_something_that_is_no_http_is_refused(azure: RunningEmulator) -> None:
    assert _raw(azure, b"\x00\x01\x02 nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_an_unknown_method_is_refused_by_name(azure: RunningEmulator) -> None:
    answer = requests.request("OPTIONS", GATEWAY, timeout=10)
    assert answer.status_code == 405
    assert "OPTIONS" in answer.json()["error"]


def test_the_date_header_carries_emulated_time(azure: RunningEmulator) -> None:
    assert requests.get(GATEWAY, timeout=10).headers["Date"] == "Mon, 05 Jan 2026 08:00:00 GMT"
    azure.advance(86400)
    assert requests.get(GATEWAY, timeout=10).headers["Date"] == "Tue, 06 Jan 2026 08:00:00 GMT"


def test_the_direct_port_answers_by_host_header(azure: RunningEmulator) -> None:
    address = urlsplit(azure.ready["direct"])
    context = ssl.create_default_context(cafile=azure.ready["ca_bundle"])
    connection = http.client.HTTPSConnection(str(address.hostname), address.port, timeout=10, context=context)
    try:
        connection.request("GET", "/orders/1", headers={"Host": "shop-apim.azure-api.net"})
        reply = connection.getresponse()
        assert (reply.status, "missing subscription key" in reply.read().decode()) == (401, True)
        connection.request("GET", "/", headers={"Host": "nobody.example.org"})
        reply = connection.getresponse()
        assert reply.status == 421
        assert "nobody.example.org" in json.loads(reply.read())["error"]
    finally:
        connection.close()


def test_a_client_that_does_not_know_the_ca_is_not_answered(azure: RunningEmulator) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(GATEWAY, verify=_another_ca(azure), timeout=10)


def _another_ca(azure: RunningEmulator) -> str:
    path = azure.ca_bundle.with_name("another-ca.pem")
    path.write_bytes(trustme.CA().cert_pem.bytes())
    return str(path)


def test_a_seeded_gateway_host_of_ones_own_is_served_with_a_certificate(azure: RunningEmulator) -> None:
    description = seed.default_description()
    description["services"][0]["gateways"] = [
        {"region": "westeurope"},
        {"region": "norwayeast", "host": "keys.shop.example"},
    ]
    azure.seed(description)
    answer = requests.get("https://keys.shop.example/orders/1", timeout=10)
    assert answer.status_code == 401


# --- defects --------------------------------------------------------------------------------------


def test_a_defect_of_a_room_is_a_500_that_names_itself_and_is_told_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_down(self: GatewayRoom, call: Call) -> Any:
        raise KeyError(call.headers["ocp-apim-subscription-key"])

    monkeypatch.setattr(GatewayRoom, "answer", break_down)
    built = Azure(seed.default_description())
    call = Call("GET", "shop-apim.azure-api.net", "/orders/1", headers={"ocp-apim-subscription-key": "s3cret"})
    answer = built.ask(call)
    told = capsys.readouterr().err
    assert answer.status == 500
    assert b"defect of the emulator" in answer.body
    assert "emulator defect: KeyError while answering GET shop-apim.azure-api.net/orders/1" in told
    assert "s3cret" not in told + answer.body.decode()


@pytest.mark.parametrize("later", [False, True])
def test_a_defect_of_the_server_is_answered_on_the_wire_and_the_connection_goes_on(later: bool) -> None:
    written = asyncio.run(_two_calls_to_a_broken_host(later))
    assert written.count(b"HTTP/1.1 500 Internal Server Error\r\n") == 2
    assert written.count(b"ZeroDivisionError") == 2


async def _two_calls_to_a_broken_host(later: bool) -> bytes:
    class Broken:
        def respond(self, call: Call, connection: Connection) -> Reply:
            return self._later() if later else Answer(1 // 0)

        async def _later(self) -> Answer:
            return Answer(1 // 0)

        def emulated_date(self) -> str:
            return "Mon, 05 Jan 2026 08:00:00 GMT"

        def defect(self, call: Call, error: Exception) -> Answer:
            return Answer(500, type(error).__name__.encode())

    class Wire(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            protocol = HttpProtocol(Broken(), Connection())
            plain = cast("asyncio.Transport", transport)
            plain.set_protocol(protocol)
            protocol.attach(plain)

    server = await asyncio.get_running_loop().create_server(Wire, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    writer.write(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    written = await reader.read()
    writer.close()
    server.close()
    await server.wait_closed()
    return written


def test_closing_an_emulator_that_complained_of_itself_is_an_error() -> None:
    running = RunningEmulator.start()
    running._complaints.write("emulator defect: invented\n")
    with pytest.raises(EmulatorDefect):
        running.close()


# --- the program ----------------------------------------------------------------------------------


def test_the_readiness_line_says_where_everything_is(azure: RunningEmulator) -> None:
    ready = azure.ready
    assert ready["ready"] is True
    assert ready["proxy"].startswith("http://127.0.0.1:")
    assert ready["direct"].startswith("https://127.0.0.1:")
    assert ready["control"] == ready["proxy"] + "/_emulator"
    assert Path(ready["ca_bundle"]).read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert (ready["tenant"], ready["client_id"]) == (seed.TENANT, seed.CLIENT)
    assert ready["vaults"] == ["https://shop-kv.vault.azure.net"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_when_told_to(number: signal.Signals) -> None:
    running = RunningEmulator.start()
    running.process.send_signal(number)
    assert running.process.wait(10) == 0
    running.close()


def test_it_ends_when_its_parent_is_gone() -> None:
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    running = RunningEmulator.start("--parent-pid", str(parent.pid))
    assert running.process.poll() is None
    parent.kill()
    assert running.process.wait(10) == 0
    parent.wait()
    if parent.stdin:
        parent.stdin.close()
    running.close()


def test_the_environment_file_can_be_sourced_and_only_its_owner_may_read_it(
    own_azure: Callable[..., RunningEmulator], tmp_path: Path
) -> None:
    file = tmp_path / "azure.env"
    running = own_azure("--write-env", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    names = ("HTTPS_PROXY", "REQUESTS_CA_BUNDLE", "NO_PROXY", "AZURE_CLIENT_SECRET")
    script = f'. "{file}" && printf "%s " ' + " ".join(f'"${name}"' for name in names)
    told = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env={}).stdout
    assert told.split() == [*running.env.values(), seed.CLIENT_SECRET]


def test_a_state_directory_keeps_the_ca_from_start_to_start(
    own_azure: Callable[..., RunningEmulator], tmp_path: Path
) -> None:
    first = own_azure("--state-dir", str(tmp_path))
    before = first.ca_bundle.read_bytes()
    second = own_azure("--state-dir", str(tmp_path))
    assert second.ca_bundle.read_bytes() == before
    assert (tmp_path / "emulator-ca.key").stat().st_mode & 0o777 == 0o600
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"https": second.ready["proxy"]}
        assert session.get(GATEWAY, verify=str(first.ca_bundle), timeout=10).status_code == 401


def test_the_start_can_be_chosen(own_azure: Callable[..., RunningEmulator]) -> None:
    assert own_azure("--start", "2031-03-04T05:06:07Z").now() == "2031-03-04T05:06:07Z"


def test_a_seed_file_that_is_not_understood_names_every_problem_and_starts_nothing(tmp_path: Path) -> None:
    file = tmp_path / "world.json"
    file.write_text(json.dumps({"servcies": [], "vaults": [{"nmae": "kv"}], "start": "yesterday"}))
    done = subprocess.run(
        [sys.executable, "-m", "keyturn_emulator", "--seed-file", str(file)],
        capture_output=True,
        text=True,
        env={**os.environ},
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    for place in ("servcies: is not a known field", "vaults[0].nmae: is not a known", "vaults[0].name: is missing",
                  "start: "):  # fmt: skip
        assert place in done.stderr


def test_a_port_that_is_taken_is_said_in_a_sentence(own_azure: Callable[..., RunningEmulator]) -> None:
    port = urlsplit(own_azure().ready["proxy"]).port
    with pytest.raises(RuntimeError, match="cannot listen"):
        RunningEmulator.start("--port", str(port))


def test_every_host_of_the_world_has_a_room() -> None:
    built = Azure(seed.default_description())
    assert {built.kind(host) for host in built.hosts()} == {
        "entra",
        "issuer",
        "arm",
        "keyvault",
        "gateway",
        "management",
        "configuration",
    }
    assert platform.ARM_HOST in built.hosts()
