"""Calls API Management's gateways with a value, each time on a fresh connection (rule A17).

What counts: the gateway checks the value before it calls a backend, so that any answer but 401, 403, 404, 429 and
5xx proves that it was accepted, a backend's own 400 included. 401 and 403 are refusals. 404 is none of both: the
gateway looks for the path before it looks at the value, so a probe path that does not exist proves nothing. A
redirect is not followed. Nothing of an answer is read but its status.

Never here: how often to ask again, or what an accepted value may be used for.
"""

from __future__ import annotations

import base64
import http.client
import os
import socket
import ssl
import urllib.request
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from keyturn.azure.agent import user_agent
from keyturn.azure.broken import TUNNEL
from keyturn.azure.once import Abandoned, bounded, ends_with_call
from keyturn.model import Secret
from keyturn.policy import ProbeSpec
from keyturn.ports import Clock, Verdict

LIMIT: Final = 10.0
"""Machine seconds that one call may take, however its answer drips."""
CONTROL_BYTES: Final = 16
"""The negative control looks like a value that Azure draws: 32 lower-case hex digits."""


class GatewayProbe:
    """Thread-safe. `ca_bundle` is a PEM file that replaces the usual authorities; without one, REQUESTS_CA_BUNDLE and
    SSL_CERT_FILE are honoured, as are HTTPS_PROXY and NO_PROXY. `limit` is in machine seconds per call."""

    def __init__(self, clock: Clock, ca_bundle: str | None = None, *, limit: float = LIMIT) -> None:
        self._clock = clock
        self._limit = limit
        self._agent = user_agent("keyturn-probe")
        trusted = ca_bundle or os.environ.get("REQUESTS_CA_BUNDLE") or None
        self._trust = ssl.create_default_context(cafile=trusted)

    def ask(self, gateways: Sequence[str], spec: ProbeSpec, value: Secret, accepts: int) -> Verdict:
        """Raises nothing. The first gateway that does not accept ends it."""
        for gateway in spec.gateways or gateways:
            verdict = self._ask_one(gateway, spec, value, accepts)
            if not verdict.accepted:
                return verdict
        if not (spec.gateways or gateways):
            return Verdict(accepted=False, sentence="there is no gateway to ask")
        count = len(spec.gateways or gateways)
        return Verdict(accepted=True, sentence=f"{count} gateway(s) accepted it {accepts} times each")

    def control(self, gateways: Sequence[str], spec: ProbeSpec) -> Verdict:
        """The first half of `ask` alone, with a value that nobody has: accepted means that every gateway refused it, so
        that the probe would prove something. Raises nothing."""
        for gateway in spec.gateways or gateways:
            verdict = self._refuses_nobody(gateway, spec)
            if not verdict.accepted:
                return verdict
        return Verdict(accepted=bool(spec.gateways or gateways))

    def reach(self, gateway: str) -> str:
        """Why a gateway does not answer at all; empty where it does, whatever it says. Raises nothing."""
        status = self._call(gateway, ProbeSpec(path="/"), Secret(self._clock.random_bytes(CONTROL_BYTES).hex()))
        return "" if isinstance(status, int) else status

    def _ask_one(self, gateway: str, spec: ProbeSpec, value: Secret, accepts: int) -> Verdict:
        control = self._refuses_nobody(gateway, spec)
        if not control.accepted:
            return control
        for number in range(1, accepts + 1):
            status = self._call(gateway, spec, value)
            if not isinstance(status, int) or not _accepted(status, spec):
                how = f"the value, call {number} of {accepts}"
                return Verdict(accepted=False, sentence=_refusal(gateway, spec, status, how))
        return Verdict(accepted=True)

    def _refuses_nobody(self, gateway: str, spec: ProbeSpec) -> Verdict:
        """Accepted: the gateway refused a value that nobody has, as it must."""
        control = Secret(self._clock.random_bytes(CONTROL_BYTES).hex())
        status = self._call(gateway, spec, control)
        if isinstance(status, int) and _accepted(status, spec):
            return Verdict(
                accepted=False,
                proves_nothing=True,
                sentence=f"{_where(gateway, spec)} also accepts a value that nobody has ({status})",
            )
        if status != 401:
            return Verdict(accepted=False, sentence=_refusal(gateway, spec, status, "a value that nobody has"))
        return Verdict(accepted=True)

    def _call(self, gateway: str, spec: ProbeSpec, value: Secret) -> int | str:
        """The status, or why there is none."""
        try:
            return bounded(self._limit, lambda: self._send(gateway, spec, value))
        except Abandoned:
            return f"no answer within {self._limit:g} s"
        except ssl.SSLCertVerificationError as error:
            return f"its certificate is not trusted: {error.verify_message}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"it cannot be reached: {_reason(error)}"

    def _send(self, gateway: str, spec: ProbeSpec, value: Secret) -> int:
        headers = {"User-Agent": self._agent, "Connection": "close", "Accept": "*/*"}
        base = urlsplit(gateway)
        target = f"{base.path.rstrip('/')}/{spec.path.lstrip('/')}"
        if spec.query is None:
            headers[spec.header] = value.reveal()
        else:
            target += f"{'&' if '?' in target else '?'}{quote(spec.query)}={quote(value.reveal(), safe='')}"
        connection = self._connection(base.scheme, base.hostname or "", base.port)
        try:
            connection.request(spec.method, target, headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def _connection(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        """A fresh one, through the environment's proxy where it names one for this host."""
        if scheme == "http":  # a self-hosted gateway behind something that ends TLS
            return _ends_with_call(http.client.HTTPConnection(host, port, timeout=self._limit))
        proxy = None if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get("https")
        if proxy is None:
            return _ends_with_call(http.client.HTTPSConnection(host, port, timeout=self._limit, context=self._trust))
        via = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        connection = http.client.HTTPSConnection(
            via.hostname or "", via.port or 80, timeout=self._limit, context=self._trust
        )
        connection.set_tunnel(host, port or 443, headers=_proxy_authorization(via.username, via.password))
        return _ends_with_call(connection)


def _ends_with_call(connection: http.client.HTTPConnection) -> http.client.HTTPConnection:
    """Not open yet; once it is, it is shut when its call is given up."""

    def create(*args: Any, **options: Any) -> socket.socket:
        return ends_with_call(socket.create_connection(*args, **options))

    connection._create_connection = create  # type: ignore[attr-defined]  # its one seam
    return connection


def _reason(error: Exception) -> str:
    """A few words without the error's own text where that may quote the request, the value in it, or a proxy."""
    if not isinstance(error, OSError):
        return type(error).__name__
    refused = TUNNEL.match(str(error))
    if refused is not None:
        asks = ", it asks for the user and password of HTTPS_PROXY" if refused[1] == "407" else ""
        return f"the proxy answers {refused[1]}{asks}"
    return error.strerror or type(error).__name__


def _accepted(status: int, spec: ProbeSpec) -> bool:
    if spec.strict:
        return 200 <= status < 300
    return status < 500 and status not in {401, 403, 404, 429}


def _where(gateway: str, spec: ProbeSpec) -> str:
    return f"{gateway.rstrip('/')}/{spec.path.lstrip('/')}"


def _refusal(gateway: str, spec: ProbeSpec, status: int | str, what: str) -> str:
    """A sentence with no value in it; the path is the configuration's own."""
    where = _where(gateway, spec)
    if isinstance(status, str):
        return f"{where}: {status}"
    if status == 404:
        return f"{where}: the probe path does not exist at this gateway (404)"
    if status in {401, 403}:
        return f"{where} refuses {what} ({status})"
    return f"{where} answered {status} to {what}: it cannot tell now"


def _proxy_authorization(user: str | None, password: str | None) -> dict[str, str]:
    if user is None:
        return {}
    pair = f"{unquote(user)}:{unquote(password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair).decode()}"}
