"""Every HTTP face of the emulator under requests that no client means: an answer of its own, never a defect.

Rooms are asked as the server asks them, without sockets, so that many can be asked; what sockets add is asked below,
of a running emulator.
"""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_emulator import entra, machine, seed
from keyturn_emulator.azure import Azure, defect
from keyturn_emulator.control import PREFIX, ControlRoom
from keyturn_emulator.testing import RunningEmulator
from keyturn_emulator.wire import Answer, Call
from tests.hostile.drawn import TIMES, bodies, encodable, scalars, texts, tried, written

SECRET = "s"
METHODS = ("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE")
NAMES = (
    "properties", "value", "displayName", "scope", "ownerId", "state", "primaryKey", "secondaryKey", "secret", "tags",
    "keyVault", "secretIdentifier", "identityClientId", "keyType", "expiry", "locationData", "name", "description",
    "enabled", "principalId", "attributes", "exp", "nbf", "contentType", "enabledForX", "expirationDate", "notify",
    "service", "sid", "tenant", "gateway", "slot", "advance", "to", "jump", "until", "max_seconds", "after_requests",
    "apply", "match", "kind", "status", "seconds", "when", "count", "times", "path_contains", "method", "host",
    "probability", "retry_after", "headers", "body", "issuer", "subject", "audience", "lifetime", "wait", "since",
    "limit", "id", "seed", "start", "applications", "services", "vaults", "role_assignments", "azure_subscription",
    "faults", "users", "products", "apis", "subscriptions", "gateways", "switches", "federated_credentials",
    "roleDefinitionId", "client_id", "secrets", "days",
)  # fmt: skip
FORM = (
    "grant_type", "client_id", "client_secret", "scope", "client_assertion", "client_assertion_type", "resource",
    "api-version", "$filter", "$top", "$skip", "$expand", "mi_res_id", "object_id", "authorization_endpoint",
    "subscription-key", "maxresults", "$skiptoken", "appType", "notify", "wait", "since", "limit", "kind", "id",
)  # fmt: skip
names = st.one_of(st.sampled_from(NAMES), texts)
PARTS = (
    "subscriptions", seed.AZURE_SUBSCRIPTION, "resourceGroups", "rg", "providers", "Microsoft.ApiManagement", "service",
    "shop-apim", "contoso", "tenant", "access", "gitAccess", "gateways", "edge", "namedValues", "listSecrets",
    "listKeys", "listValue", "regeneratePrimaryKey", "regenerateKey", "generateToken", "users", "1", "token",
    "generateSsoUrl", "products", "apis", "operations", "git", "Microsoft.Authorization", "permissions",
    "roleAssignments", "roleDefinitions", "Microsoft.KeyVault", "vaults", "shop-kv", "metadata", "endpoints", "secrets",
    "deletedsecrets", "apim-contoso", "versions", "recover", "common", "discovery", "instance", "v2.0", ".well-known",
    "openid-configuration", "keys", "oauth2", seed.TENANT, "identity", "msi", "orders", "status", "ping",
    "a%2Fb", "%00", "%ff", "%ed%a0%80", "..", "", "$", "%F0%9F%98%80",
)  # fmt: skip


@pytest.fixture(scope="module")
def azure() -> Azure:
    return Azure(seed.default_description())


def assert_answered(answer: Answer, call: Call, err: str) -> None:
    assert "emulator defect" not in err, err
    assert 200 <= answer.status < 600
    assert answer.status != 500, f"{call.method} {call.host}{call.raw_path}: {answer.body[:200]!r}"
    for name, value in answer.headers.items():
        head = f"{name}: {value}"
        assert "\r" not in head and "\n" not in head, f"a header of two lines: {head!r}"
        head.encode("latin-1")


SERVICE = (
    f"/subscriptions/{seed.AZURE_SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.ApiManagement/service/shop-apim"
)
SERVED: dict[str, tuple[str, ...]] = {
    "": ("GET",),
    "/subscriptions": ("GET",),
    "/subscriptions/contoso": ("GET", "HEAD", "PUT", "PATCH", "DELETE"),
    "/subscriptions/new": ("PUT", "GET", "PATCH", "DELETE"),
    "/subscriptions/contoso/listSecrets": ("POST",),
    "/subscriptions/contoso/regeneratePrimaryKey": ("POST",),
    "/tenant": ("GET",),
    "/tenant/access": ("GET", "HEAD", "PUT", "PATCH"),
    "/tenant/access/listSecrets": ("POST",),
    "/tenant/access/regeneratePrimaryKey": ("POST",),
    "/tenant/access/git/regenerateSecondaryKey": ("POST",),
    "/gateways": ("GET",),
    "/gateways/edge": ("PUT", "GET", "HEAD", "PATCH", "DELETE"),
    "/gateways/edge/listKeys": ("POST",),
    "/gateways/edge/regenerateKey": ("POST",),
    "/gateways/edge/generateToken": ("POST",),
    "/namedValues": ("GET",),
    "/namedValues/fresh": ("PUT", "GET", "HEAD", "PATCH", "DELETE"),
    "/namedValues/fresh/listValue": ("POST",),
    "/products": ("GET",),
    "/products/gold/apis": ("GET",),
    "/products/gold/subscriptions": ("GET",),
    "/apis": ("GET",),
    "/apis/orders/operations": ("GET",),
    "/users": ("GET",),
    "/users/1": ("GET", "HEAD"),
    "/users/1/subscriptions": ("GET",),
    "/users/1/token": ("POST",),
    "/users/1/generateSsoUrl": ("POST",),
}
"""What is served below a service (docs/emulator-coverage.md)."""
OF_SERVICE = tuple((method, SERVICE + below) for below, methods in SERVED.items() for method in methods)
ROUTES: dict[str, tuple[tuple[str, str], ...]] = {
    "arm": (
        *OF_SERVICE,
        ("GET", "/subscriptions"),
        ("GET", f"/subscriptions/{seed.AZURE_SUBSCRIPTION}"),
        ("GET", f"{SERVICE}/providers/Microsoft.Authorization/permissions"),
        ("GET", f"{SERVICE}/providers/Microsoft.Authorization/roleAssignments"),
        ("GET", f"{SERVICE}/providers/Microsoft.Authorization/roleDefinitions"),
        ("GET", "/metadata/endpoints"),
    ),
    "keyvault": (
        ("GET", "/secrets"),
        ("PUT", "/secrets/apim-contoso"),
        ("GET", "/secrets/apim-contoso"),
        ("GET", "/secrets/apim-contoso/versions"),
        ("DELETE", "/secrets/apim-contoso"),
        ("GET", "/deletedsecrets"),
        ("GET", "/deletedsecrets/apim-contoso"),
        ("DELETE", "/deletedsecrets/apim-contoso"),
        ("POST", "/deletedsecrets/apim-contoso/recover"),
    ),
    "entra": (
        ("GET", "/common/discovery/instance"),
        ("GET", f"/{seed.TENANT}/v2.0/.well-known/openid-configuration"),
        ("POST", f"/{seed.TENANT}/oauth2/v2.0/token"),
    ),
    "gateway": (("GET", "/status/ping"), ("GET", "/orders/1"), ("POST", "/orders")),
    "management": OF_SERVICE,
    "machine": (("GET", "/metadata/identity/oauth2/token"), ("GET", "/msi/token")),
}


@st.composite
def calls(draw: st.DrawFn, azure: Azure) -> Call:
    """A request to some host, near enough to one that means something to get behind the first checks."""
    kind = draw(st.sampled_from(KINDS))
    host = draw(st.sampled_from([host for host in (*azure.hosts(), machine.HOST) if azure.kind(host) == kind]))
    meant = st.sampled_from(ROUTES.get(kind, ROUTES["gateway"]))
    other = st.tuples(
        st.sampled_from(METHODS),
        st.one_of(
            st.sampled_from([path for _, path in OF_SERVICE]),
            st.lists(st.sampled_from(PARTS), max_size=14).map(lambda parts: "/" + "/".join(parts)),
            encodable.map(lambda text: "/" + quote(text)),
        ),
    )
    method, path = draw(st.one_of(meant, meant, meant, other))
    query = draw(st.one_of(st.just([]), st.just([]), st.lists(st.tuples(st.sampled_from(FORM), encodable), max_size=2)))
    usual = "7.5" if kind == "keyvault" else "2022-08-01"
    version = draw(st.sampled_from([usual] * 6 + ["2018-02-01", "2022-12-01", "banana", ""]))
    headers = draw(headers_for(azure, kind, method))
    return Call(method, host, path, (*query, ("api-version", version)), headers, draw(sent_with(method)))


KINDS = (*["arm"] * 5, *["keyvault"] * 3, "entra", "gateway", "management", "configuration", "issuer", "machine")
STRANGE_HEADERS = ("ocp-apim-subscription-key", "metadata", "x-identity-header", "range")
in_headers = encodable.map(lambda text: text.encode()[:200].decode("latin-1").replace("\r", "").replace("\n", ""))


@st.composite
def headers_for(draw: st.DrawFn, azure: Azure, kind: str, method: str) -> dict[str, str]:
    audience = "https://vault.azure.net" if kind == "keyvault" else "https://management.azure.com"
    bearer = f"Bearer {entra.issue_token(azure.world, seed.CLIENT, audience)}"
    types = ["application/json"] * 8 + ["application/x-www-form-urlencoded", "text/plain; charset=banana"]
    found = {
        "authorization": draw(st.one_of(*[st.just(bearer)] * 8, in_headers)),
        "content-type": draw(st.sampled_from(types)),
    }
    if method in {"PUT", "PATCH", "DELETE"} and draw(st.booleans()):
        found["if-match"] = draw(st.one_of(st.just("*"), st.just('"AAAAAAAAAAE="'), in_headers))
    for name in draw(st.one_of(*[st.just([])] * 4, st.lists(st.sampled_from(STRANGE_HEADERS), max_size=2))):
        found[name] = draw(in_headers)
    return found


def sent_with(method: str) -> st.SearchStrategy[bytes]:
    """A body; mostly none where a request has none."""
    form = st.lists(st.tuples(st.sampled_from(FORM), encodable), max_size=5).map(
        lambda pairs: "&".join(f"{quote(name)}={quote(text)}" for name, text in pairs).encode()
    )
    properties = st.dictionaries(names, scalars, max_size=4).map(lambda told: written({"properties": told}))
    any_body = st.one_of(bodies(names), properties, form)
    return st.one_of(*[st.just(b"")] * 4, any_body) if method in {"GET", "HEAD", "DELETE"} else any_body


def test_no_request_to_any_room_is_a_defect(azure: Azure, capsys: pytest.CaptureFixture[str]) -> None:
    seen: set[int] = set()

    @tried(700)
    @given(data=st.data())
    def ask(data: st.DataObject) -> None:
        call = data.draw(calls(azure))
        answer = azure.ask(call)
        seen.add(answer.status)
        assert_answered(answer, call, capsys.readouterr().err)

    ask()
    assert {200, 400, 401, 404} <= seen, "these requests got behind no check"


CONTROL = (
    ("GET", "clock"), ("POST", "clock"), ("POST", "clock/wait"), ("GET", "seed"), ("GET", "snapshot"),
    ("GET", "faults"), ("POST", "faults"), ("DELETE", "faults"), ("POST", "faults/release"), ("GET", "pause"),
    ("POST", "pause"), ("POST", "resume"), ("GET", "calls"), ("GET", "arm"), ("GET", "gateway"), ("GET", "signins"),
    ("POST", "gateway/reset"), ("POST", "signins/reset"), ("GET", "switches"), ("POST", "switches"), ("GET", "keys"),
    ("POST", "portal"), ("POST", "federated-token"), ("POST", "seed"), ("POST", "reset"), ("PUT", "clock"),
)  # fmt: skip


def asked_of_control(azure: Azure, call: Call) -> Answer:
    """As the server asks; a request may wait for a moment of machine time, and no longer."""
    room = ControlRoom(azure, SECRET)

    async def ask() -> Answer:
        gone = asyncio.Event()
        asyncio.get_running_loop().call_later(0.02, gone.set)
        try:
            return await room.answer(call, gone)
        except Exception as error:  # noqa: BLE001 - what http11 makes a defect of
            return defect(call, error)

    try:
        return asyncio.run(asyncio.wait_for(ask(), 30))
    finally:
        azure.on_time.remove(room._wake)


@st.composite
def control_calls(draw: st.DrawFn) -> Call:
    method, path = draw(st.sampled_from(CONTROL))
    query = tuple(draw(st.lists(st.tuples(st.sampled_from(FORM + NAMES), encodable), max_size=3)))
    if path == "pause" and method == "GET":
        query = tuple(pair for pair in query if pair[0] != "wait")  # that it waits is what it is for
    headers = {"authorization": draw(st.sampled_from([f"Bearer {SECRET}"] * 9 + ["Bearer x"]))}
    return Call(method, "127.0.0.1", f"{PREFIX}{path}", query, headers, draw(bodies(names)))


def test_no_request_to_the_control_api_is_a_defect(capsys: pytest.CaptureFixture[str]) -> None:
    azure, seen = Azure(seed.default_description()), set()

    @tried(700)
    @given(call=control_calls())
    def ask(call: Call) -> None:
        answer = asked_of_control(azure, call)
        seen.add(answer.status)
        assert_answered(answer, call, capsys.readouterr().err)
        azure.pause.resume()

    ask()
    assert {200, 400, 401, 404} <= seen


CONTROL_BODIES: dict[str, tuple[str, str, bytes]] = {
    "a clock moved by nothing that is a number": ("POST", "clock", b'{"advance": NaN}'),
    "a clock moved for ever": ("POST", "clock", b'{"advance": Infinity}'),
    "a clock moved beyond the calendar": ("POST", "clock", b'{"advance": 1e15}'),
    "a clock moved back beyond the calendar": ("POST", "clock", b'{"jump": -1e15}'),
    "a clock set to the last year": ("POST", "clock", b'{"to": "9999-12-31T23:59:59Z"}'),
    "a wait of no number": ("POST", "clock/wait", b'{"until": "2030-01-01T00:00:00Z", "max_seconds": NaN}'),
    "a wait below zero": ("POST", "clock/wait", b'{"until": "2030-01-01T00:00:00Z", "max_seconds": -1}'),
    "calls since no number": ("GET", "calls?since=nan", b""),
    "calls since for ever": ("GET", "calls?since=inf", b""),
    "calls of a limit beyond all": ("GET", "calls?limit=1e400", b""),
    "a fault of thousands of digits": ("DELETE", "faults?id=" + "9" * 5_000, b""),
    "a token that lives for ever": ("POST", "federated-token", b'{"issuer": "github", "lifetime": Infinity}'),
    "a token that lives beyond the calendar": ("POST", "federated-token", b'{"issuer": "github", "lifetime": 1e18}'),
    "a description that is a list": ("POST", "seed", b"[]"),
    "a pause that is a list": ("POST", "pause", b"[]"),
    "a pause at no number": ("POST", "pause", b'{"after_requests": NaN}'),
    "a fault for no time": ("POST", "faults", b'{"kind": "delay", "seconds": NaN}'),
    "a fault for ever": ("POST", "faults", b'{"kind": "late-effect", "seconds": Infinity}'),
    "a fault that is a text": ("POST", "faults", b'"delay"'),
    "switches that are no JSON": ("POST", "switches", b"NaN"),
    "switches that are a list": ("POST", "switches", b"[]"),
    "a service that is a list": ("POST", "portal", b'{"service": [], "sid": [], "slot": []}'),
    "a slot that is a list": ("POST", "portal", b'{"service": "shop-apim", "sid": "contoso", "slot": []}'),
    "an issuer that is a list": ("POST", "federated-token", b'{"issuer": []}'),
}


@pytest.mark.parametrize(("method", "path", "body"), CONTROL_BODIES.values(), ids=CONTROL_BODIES)
def test_the_control_api_refuses_what_is_no_number_and_no_object(
    method: str, path: str, body: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    azure = Azure(seed.default_description())
    bare, _, query = path.partition("?")
    pairs = tuple(tuple(pair.split("=", 1)) for pair in query.split("&") if pair)
    call = Call(method, "127.0.0.1", f"{PREFIX}{bare}", pairs, {"authorization": f"Bearer {SECRET}"}, body)  # type: ignore[arg-type]
    answer = asked_of_control(azure, call)
    assert_answered(answer, call, capsys.readouterr().err)
    after = asked_of_control(
        azure, Call("GET", "127.0.0.1", f"{PREFIX}clock", (), {"authorization": f"Bearer {SECRET}"})
    )
    assert after.status == 200


# -------- sockets


@pytest.fixture(scope="module")
def running() -> Iterator[RunningEmulator]:
    """Closing it fails if the emulator complained about itself."""
    with RunningEmulator.start() as emulator:
        yield emulator


PIECES = (
    b"GET / HTTP/1.1\r\n", b"POST /_emulator/clock HTTP/1.1\r\n", b"CONNECT management.azure.com:443 HTTP/1.1\r\n",
    b"CONNECT \xff\xfe:443 HTTP/1.1\r\n", b"CONNECT  HTTP/1.1\r\n", b"CONNECT", b"CONNECT \r\n\r\n", b"\r\n",
    b"\r\n\r\n",
    b"Host: management.azure.com\r\n", b"Content-Length: 5\r\n", b"Content-Length: -5\r\n",
    b"Content-Length: banana\r\n",
    b"Content-Length: 99999999999999999999999\r\n", b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n",
    b"ffffffffffffffff\r\n", b"-1\r\n", b"Expect: 100-continue\r\n", b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
    b"Authorization: Bearer \xff\r\n", b"X: " + b"x" * 70_000 + b"\r\n", b"X: y\r\n" * 2_000, b"\0" * 100,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"{}", b"\xff" * 50,
    b"GET /%ff%00%ed%a0%80 HTTP/1.1\r\n", b"GET http://[::1 HTTP/1.1\r\n", b"GET * HTTP/1.1\r\n",
    b"BREW / HTTP/1.1\r\n",
    b"GET / HTTP/9.9\r\n", b"get / http/1.1\r\n", b"GET /?" + b"a=b&" * 5_000 + b" HTTP/1.1\r\n",
)  # fmt: skip


def test_no_bytes_on_any_port_disturb_the_emulator(running: RunningEmulator) -> None:
    """Drawn pieces to each of its ports, some within TLS: after all of them it answers as before."""
    draw = random.Random(7)
    trust = ssl.create_default_context(cafile=str(running.ca_bundle))
    front, direct = (int(str(urlsplit(running.ready[name]).port)) for name in ("control", "direct"))
    for number in range(240 * TIMES):
        text = b"".join(draw.choice(PIECES) for _ in range(draw.randint(1, 6)))
        port = draw.choice([front, direct])
        within = port == direct and draw.random() < 0.7
        send(port, text, trust if within else None)
        if number % 60 == 0:
            assert running.now()
    assert running.now()
    assert "Traceback" not in running.complaints(), running.complaints()


def send(port: int, text: bytes, trust: ssl.SSLContext | None) -> None:
    """Send it, and read what comes for a moment."""
    with suppress(OSError, ValueError), socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        line: Any = plain if trust is None else trust.wrap_socket(plain, server_hostname="management.azure.com")
        with line:
            line.sendall(text)
            line.settimeout(0.02)
            line.recv(65536)


def test_a_connection_that_carried_a_bad_request_serves_the_next(running: RunningEmulator) -> None:
    """A refused request that was framed as HTTP leaves its connection usable."""
    address = urlsplit(running.ready["control"])
    secret = running.ready["secret"].encode()
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20) as line:
        for body in (b"[" * 100_000, b"\xff\xfe", b'{"advance": NaN}', b"9" * 10_000):
            line.sendall(
                b"POST /_emulator/clock HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + secret
                + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )  # fmt: skip
            assert answer_on(line).startswith(b"HTTP/1.1 400 ")
        line.sendall(b"GET /_emulator/clock HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + secret + b"\r\n\r\n")
        assert answer_on(line).startswith(b"HTTP/1.1 200 ")


def answer_on(line: socket.socket) -> bytes:
    """One answer, whole."""
    text = b""
    while b"\r\n\r\n" not in text:
        more = line.recv(65536)
        assert more, f"the connection was closed after {text!r}"
        text += more
    head, _, body = text.partition(b"\r\n\r\n")
    length = next(int(row[15:]) for row in head.lower().split(b"\r\n") if row.startswith(b"content-length:"))
    while len(body) < length:
        body += line.recv(65536)
    return text


def test_a_slow_client_holds_nobody_up(running: RunningEmulator) -> None:
    """Fifty that never finish their request; others are answered beside them."""
    port = int(str(urlsplit(running.ready["control"]).port))
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
    try:
        for line in slow:
            line.sendall(b"POST /_emulator/clock HTTP/1.1\r\nContent-Length: 100000\r\n\r\n{")
        assert running.now()
    finally:
        for line in slow:
            line.close()
    assert running.now()
