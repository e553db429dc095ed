"""The emulator's own certificate authority, and the one certificate its servers show for every name.

Never here: sockets, or any trust beyond this process: the authority's key stays in the state directory,
mode 0600.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from pathlib import Path

import trustme

CA_FILE = "emulator-ca.pem"
KEY_FILE = "emulator-ca.key"
NAMES = (
    "login.microsoftonline.com",
    "login.windows.net",
    "management.azure.com",
    "token.actions.githubusercontent.com",
    "westeurope.oic.prod-aks.azure.com",
    "*.vault.azure.net",
    "*.azure-api.net",
    "*.regional.azure-api.net",
    "*.management.azure-api.net",
    "*.configuration.azure-api.net",
    "localhost",
    "127.0.0.1",
)


def is_covered(host: str) -> bool:
    """Whether NAMES speaks for `host`; a wildcard stands for one label."""
    return host in NAMES or f"*.{host.partition('.')[2]}" in NAMES


class Authority:
    """A CA whose certificate stands in `directory`; one that already stands there is used again."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.ca_file = directory / CA_FILE
        key_file = directory / KEY_FILE
        if self.ca_file.exists() and key_file.exists():
            self._ca = trustme.CA.from_pem(self.ca_file.read_bytes(), key_file.read_bytes())
            return
        self._ca = trustme.CA(organization_name="An emulated Azure", key_type=trustme.KeyType.ECDSA)
        write_private(key_file, self._ca.private_key_pem.bytes())
        self.ca_file.write_bytes(self._ca.cert_pem.bytes())

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.num_tickets = 0  # nobody here resumes sessions, and each ticket costs a record
        self.certify(context, ())
        return context

    def certify(self, context: ssl.SSLContext, hosts: Iterable[str]) -> None:
        """Let new handshakes of `context` speak for NAMES and for `hosts`."""
        names = dict.fromkeys((*NAMES, *hosts))
        self._ca.issue_cert(*names, key_type=trustme.KeyType.ECDSA).configure_cert(context)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, from the first byte on."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        if os.name == "posix":
            os.fchmod(handle, 0o600)
        file.write(content)
