"""The emulator's own certificate authority, and the one certificate its servers show for every name.

Never here: sockets, or any trust beyond this process: the authority's key stays in the state directory,
mode 0600.
"""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Iterable
from pathlib import Path

import trustme

CA_FILE = "emulator-ca.pem"
KEY_FILE = "emulator-ca.key"
PUBLIC = 0o644  # a certificate, which clients of any user may read, and its owner alone may replace
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
        private_directory(directory)
        self.ca_file = directory / CA_FILE
        key_file = directory / KEY_FILE
        if self.ca_file.exists() and key_file.exists():
            self._ca = trustme.CA.from_pem(self.ca_file.read_bytes(), key_file.read_bytes())
            return
        self._ca = trustme.CA(organization_name="An emulated Azure", key_type=trustme.KeyType.ECDSA)
        write_private(key_file, self._ca.private_key_pem.bytes())
        write_private(self.ca_file, self._ca.cert_pem.bytes(), PUBLIC)

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


def private_directory(path: Path) -> None:
    """Make a directory for its owner alone, under any umask; one that is there stays as it is."""
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True)
        path.chmod(0o700)  # a umask may have taken even the owner's bits


def write_private(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file that only its owner may read, from the first byte on, whoever has the one open that it replaces.

    Raises OSError: also where something stands that is no file, such as a symbolic link, which could lead anywhere.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise OSError(errno.EEXIST, "it is there, and no file that could be replaced", str(path))
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(path, flags, 0o600)
    with os.fdopen(handle, "wb") as file:
        if os.name == "posix":
            os.fchmod(handle, mode)  # whatever the umask took away
        file.write(content)
