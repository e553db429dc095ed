"""How many calls the emulator's gateway answers per second, while Resource Manager answers 20 calls/s beside it.

    uv run python bench/gateway_rate.py [seconds]

At least 5,000 calls/s on kept connections, and 800/s on fresh TLS ones. The callers are a process of their own, with
plain sockets, so that little of what is measured is the measuring. Exits 1 when the promise is broken.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from keyturn.demo.control import EmulatedAzure
from keyturn.demo.stage import SERVICE, Settings, Stage, service_id

PROMISED = {"kept": 5000.0, "fresh": 800.0}
ARM_RATE = 20.0
THREADS = {"kept": 4, "fresh": 4}


# -------- the callers' process


def call_for(order: Mapping[str, Any]) -> int:
    """Call as fast as it goes for some seconds; how many calls were answered with 200."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the emulator is measured, not this check
    counts = [0] * order["threads"]
    end = time.monotonic() + order["seconds"]
    one = _on_kept if order["kind"] == "kept" else _on_fresh
    workers = [threading.Thread(target=one, args=(order, context, counts, at, end)) for at in range(len(counts))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts)


def _on_kept(order: Mapping[str, Any], context: ssl.SSLContext, counts: list[int], at: int, end: float) -> None:
    request = order["request"].encode()
    with _connect(order, context) as connection:
        while time.monotonic() < end:
            counts[at] += _call(connection, request)


def _on_fresh(order: Mapping[str, Any], context: ssl.SSLContext, counts: list[int], at: int, end: float) -> None:
    request = order["request"].encode()
    while time.monotonic() < end:
        with _connect(order, context) as connection:
            counts[at] += _call(connection, request)


def _connect(order: Mapping[str, Any], context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection(tuple(order["address"]))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname=order["host"])


def _call(connection: ssl.SSLSocket, request: bytes) -> int:
    """1 for a 200. The answers are small: one read takes the whole of it, or the rest follows at once."""
    connection.sendall(request)
    received = connection.recv(4096)
    while b"\r\n\r\n" not in received or not received.endswith(b"}"):
        more = connection.recv(4096)
        if not more:
            return 0
        received += more
    return int(received.startswith(b"HTTP/1.1 200"))


# -------- this process


class ArmBeside(threading.Thread):
    """Asks Resource Manager 20 times a second, and moves emulated time on so that its buckets stay filled."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(daemon=True)
        self._stage = stage
        self.answered = 0
        self.seconds = 0.0
        self.halt = threading.Event()

    def run(self) -> None:
        client = self._stage.as_rotator()
        path = f"{service_id()}/subscriptions/{self._stage.sids[0]}?api-version=2022-08-01"
        began, asked = time.monotonic(), 0
        while not self.halt.is_set():
            status, _ = client.ask("GET", "management.azure.com", path)
            self.answered += status == 200
            asked += 1
            if asked % int(ARM_RATE) == 0:
                self._stage.control.advance(timedelta(seconds=1))
            self.halt.wait(max(began + asked / ARM_RATE - time.monotonic(), 0))
        self.seconds = time.monotonic() - began
        client.close()


def measure(stage: Stage, kind: str, seconds: float) -> bool:
    host = f"{SERVICE}.azure-api.net"
    key = stage.live()[stage.sids[0]].primary
    lines = f"GET /orders/1 HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench\r\nOcp-Apim-Subscription-Key: {key}\r\n\r\n"
    direct = urlsplit(str(stage.azure.ready["direct"]))
    order = {
        "kind": kind,
        "seconds": seconds,
        "threads": THREADS[kind],
        "address": [direct.hostname, direct.port],
        "host": host,
        "request": lines,
    }
    beside = ArmBeside(stage)
    beside.start()
    ended = subprocess.run(
        [sys.executable, __file__, "--call"], input=json.dumps(order).encode(), stdout=-1, check=True
    )
    beside.halt.set()
    beside.join()
    rate, arm = json.loads(ended.stdout) / seconds, beside.answered / beside.seconds
    print(f"{kind} connections: {rate:,.0f} calls/s (promised {PROMISED[kind]:,.0f}), beside {arm:.1f} ARM answers/s")
    return rate >= PROMISED[kind] and arm >= 0.95 * ARM_RATE


def main() -> int:
    if sys.argv[1:] == ["--call"]:
        sys.stdout.write(json.dumps(call_for(json.load(sys.stdin))))
        return 0
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    azure = EmulatedAzure.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            stage = Stage(azure, Path(folder), Settings(credentials=3))
            stage.build()
            kept = [measure(stage, kind, seconds) for kind in PROMISED]
            return 0 if all(kept) else 1
    finally:
        azure.close()


if __name__ == "__main__":
    sys.exit(main())
