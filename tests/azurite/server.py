"""Starts Azurite's table service and ends it again, by its own process. Never here: getting it."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.azurite.install import program

# Azurite's account and its published key: in every copy of it, and worth nothing anywhere else.
NAME = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
STARTS = 5
PATIENCE = 60


class Account(NamedTuple):
    """A running storage account, with nothing but tables."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def connection_string(self) -> str:
        return self.signed_with(KEY)

    def signed_with(self, key: str) -> str:
        """The connection string with another account key."""
        scheme = self.url.partition(":")[0]
        return f"DefaultEndpointsProtocol={scheme};AccountName={NAME};AccountKey={key};TableEndpoint={self.url};"


@contextmanager
def running(folder: Path, *options: str, scheme: str = "http", port: int | None = None) -> Iterator[Account]:
    """An Azurite that keeps its tables in `folder`, and is gone at the end. Raises NotInstalled.

    `options` are Azurite's own, such as `--oauth basic`; with a certificate among them, `scheme` is https.
    """
    process, port = _start(folder, options, port)
    try:
        yield Account(f"{scheme}://127.0.0.1:{port}/{NAME}", process)
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it, and wait until it has."""
    if process.poll() is None:
        process.kill()
    process.wait()


def _start(folder: Path, options: Sequence[str], wanted: int | None) -> tuple[subprocess.Popen[bytes], int]:
    """Azurite does not tell which port it took for 0, so it is given a free one; somebody may be quicker there."""
    command = [*program(), "--location", str(folder), "--tableHost", "127.0.0.1", *options]
    command += ["--skipApiVersionCheck", "--silent", "--disableTelemetry"]
    folder.mkdir(exist_ok=True)
    for _ in range(STARTS):
        port = wanted or _free_port()
        with (folder / "azurite.log").open("ab") as log:
            process = subprocess.Popen([*command, "--tablePort", str(port)], cwd=folder, stdout=log, stderr=log)
        if _answers(process, port):
            return process, port
        stop(process)
    raise RuntimeError(f"Azurite does not start: {(folder / 'azurite.log').read_text(errors='replace')[-2000:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return process.poll() is None
        time.sleep(0.02)
    return False
