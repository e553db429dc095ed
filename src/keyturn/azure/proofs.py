# ruff: noqa: PLC0415 - what is costly to import is imported on first use
"""What proves to Entra that we are the app: a certificate's file, a token's file, or what GitHub gives to a job.

Decides what a good one looks like before Entra is asked, so that a person reads what is wrong with it here. Read anew
whenever it is needed: all of them are replaced while keyturn runs. Never here: a key, a password or a token in a
sentence, nor the address that GitHub is asked at.
"""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

from keyturn.azure.answers import Reply
from keyturn.config import Certificate, GitHub
from keyturn.errors import Misconfigured, Refused, TryAgain, variable
from keyturn.model import Secret

if TYPE_CHECKING:
    from cryptography import x509

LARGEST_FILE: Final = 1024 * 1024
"""Bytes; what is larger is no certificate and no token."""
REQUEST_URL: Final = "ACTIONS_ID_TOKEN_REQUEST_URL"
REQUEST_TOKEN: Final = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"  # noqa: S105 - a variable's name
GITHUB_SECONDS: Final = (10, 30)
"""To connect, and to read."""
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_NOT_FOR_OTHERS: Final = stat.S_IRWXO | stat.S_IWGRP
"""Mode bits that a private key's file must not have. Its group may read it: that is how volumes are mounted."""


class Proof(NamedTuple):
    """A certificate with its private key, as azure-identity takes them."""

    content: bytes
    password: bytes | None

    def __repr__(self) -> str:
        return "Proof(…)"


# -------- a certificate


def certificate(spec: Certificate) -> Proof:
    """The file, once it is sure that it can sign. Raises Misconfigured."""
    content = _read(spec.path, "signin.certificate.path", private=True)
    proof = Proof(content, _password(spec))
    found = _pem(proof, spec) if b"-----BEGIN" in content else _pkcs12(proof, spec)
    _check_time(found, spec)
    return proof


def _password(spec: Certificate) -> bytes | None:
    if spec.password_env is None:
        return None
    value = os.environ.get(spec.password_env, "")
    if not value:
        raise Misconfigured(
            f"signin.certificate.password_env: {variable(spec.password_env)} is empty or not set",
            hint="Put the password of the certificate's file into it, or remove password_env.",
        )
    return value.encode()


def _pem(proof: Proof, spec: Certificate) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if b"PRIVATE KEY-----" not in proof.content:
        raise _unfit(spec, "holds no private key", "Put the key and its certificate into one file.")
    if b"-----BEGIN CERTIFICATE-----" not in proof.content:
        raise _unfit(spec, "holds no certificate beside its key", "Put the key and its certificate into one file.")
    encrypted = b"ENCRYPTED" in proof.content
    if encrypted and proof.password is None:
        raise _needs_password(spec)
    if proof.password is not None and not encrypted:
        raise _unfit(spec, "has no password", "Remove password_env.")
    try:
        key = load_pem_private_key(proof.content, proof.password)
        found = x509.load_pem_x509_certificate(proof.content)
    except (ValueError, TypeError):
        if encrypted:
            raise _wrong_password(spec) from None
        raise _unreadable(spec) from None
    except Exception:  # noqa: BLE001 - cryptography names no common base for what it cannot read
        raise _unreadable(spec) from None
    _check_key(key, found, spec)
    return found


def _pkcs12(proof: Proof, spec: Certificate) -> x509.Certificate:
    from cryptography.hazmat.primitives.serialization import pkcs12

    try:
        key, found, _ = pkcs12.load_key_and_certificates(proof.content, proof.password)
    except ValueError as error:
        if "password" not in str(error).lower():
            raise _unreadable(spec) from None
        raise _needs_password(spec) if proof.password is None else _wrong_password(spec) from None
    except Exception:  # noqa: BLE001 - the same
        raise _unreadable(spec) from None
    if key is None or found is None:
        raise _unfit(spec, "lacks the private key or its certificate", "Export both into one file.")
    _check_key(key, found, spec)
    return found


def _check_key(key: object, found: x509.Certificate, spec: Certificate) -> None:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    if not isinstance(key, RSAPrivateKey):
        raise _unfit(spec, "has a key that is not RSA", "Entra takes certificates with RSA keys.")
    if key.public_key() != found.public_key():
        raise _unfit(
            spec,
            "has a key that is not that of its first certificate",
            "Put the app's own certificate first, and its chain below it.",
        )


def _check_time(found: x509.Certificate, spec: Certificate) -> None:
    """By this machine's clock, which the assertion's times are taken from as well."""
    now = datetime.now(UTC)
    if now > found.not_valid_after_utc:
        raise _unfit(
            spec,
            f"holds a certificate that expired on {found.not_valid_after_utc:%Y-%m-%d}",
            "Make a new one, add it to the app registration, and put it there.",
        )
    if now < found.not_valid_before_utc:
        raise _unfit(
            spec,
            f"holds a certificate that is not valid before {found.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
            "Check this machine's clock.",
        )


def _unfit(spec: Certificate, what: str, hint: str) -> Misconfigured:
    return Misconfigured(f"signin.certificate.path: {spec.path} {what}", hint=hint)


def _unreadable(spec: Certificate) -> Misconfigured:
    return _unfit(spec, "is no certificate with its key", "It must be PEM or PKCS 12 (.pfx).")


def _needs_password(spec: Certificate) -> Misconfigured:
    return _unfit(spec, "is locked with a password", "Name the environment variable that holds it in password_env.")


def _wrong_password(spec: Certificate) -> Misconfigured:
    return Misconfigured(
        f"signin.certificate.password_env: {variable(spec.password_env or '')} does not open {spec.path}",
        hint="Check which password the file was written with, and that no line break follows it in the variable.",
    )


# -------- a service account's token


def service_account_token(path: str) -> str:
    """What the cluster keeps in the file. Raises Misconfigured."""
    content = _read(path, "signin.workload_identity.token_file", private=False)
    token = content.decode("ascii", "replace").strip()
    if token.count(".") != 2 or not token.isprintable() or " " in token:
        raise Misconfigured(
            f"signin.workload_identity.token_file: {path} holds no token",
            hint="It must be the projected token of a service account; check the pod's volume.",
        )
    return token


# -------- what GitHub gives to a job


def github_token(spec: GitHub) -> str:
    """A token of this job, for the audience of the app's federated credential. Raises Misconfigured, Refused,
    TryAgain."""
    url, bearer = _request_variables()
    import requests

    from keyturn.azure.transport import session

    joined = "&" if urlsplit(url).query else "?"
    try:
        with session() as asking:
            answer = asking.get(
                f"{url}{joined}{urlencode({'audience': spec.audience})}",
                headers={"Authorization": f"Bearer {bearer.reveal()}", "Accept": "application/json"},
                timeout=GITHUB_SECONDS,
                allow_redirects=False,
            )
            told = Reply(200, {}, answer.content).json() if answer.status_code == 200 else None
    except (requests.RequestException, OSError) as error:
        raise TryAgain(f"sign-in: GitHub cannot be asked for a token ({type(error).__name__})", after=30.0) from None
    if answer.status_code in (401, 403):
        raise Refused(
            f"GitHub refuses to give this job a token (HTTP {answer.status_code})",
            status=answer.status_code,
            hint=f"{REQUEST_TOKEN} is good for its own job alone, while that runs. {_PERMISSION}",
        )
    token = told.get("value") if isinstance(told, dict) else None
    if not isinstance(token, str) or not token:
        raise TryAgain(f"sign-in: GitHub answers with no token (HTTP {answer.status_code})", after=30.0)
    return token


_PERMISSION: Final = "Write `permissions: { id-token: write }` in the workflow, at its job or at the top."


def _request_variables() -> tuple[str, Secret]:
    """Where and with what a job asks. Raises Misconfigured."""
    named = {name: os.environ.get(name, "").strip() for name in (REQUEST_URL, REQUEST_TOKEN)}
    missing = [name for name, value in named.items() if not value]
    if missing:
        elsewhere = (
            "" if os.environ.get("GITHUB_ACTIONS") == "true" else " Outside GitHub Actions choose another `signin`."
        )
        raise Misconfigured(
            f"signin.github: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} empty or not set, so "
            f"GitHub gives this job no token",
            hint=f"{_PERMISSION}{elsewhere}",
        )
    if not _is_safe(named[REQUEST_URL]):
        raise Misconfigured(
            f"signin.github: {REQUEST_URL} is neither an https address nor one of this machine",
            hint="GitHub sets it: nothing in the workflow should.",
        )
    if not (named[REQUEST_TOKEN].isascii() and named[REQUEST_TOKEN].isprintable()):
        raise Misconfigured(
            f"signin.github: {REQUEST_TOKEN} holds what no header can carry",
            hint="GitHub sets it: nothing in the workflow should.",
        )
    return named[REQUEST_URL], Secret(named[REQUEST_TOKEN])


def _is_safe(url: str) -> bool:
    """The bearer is sent there: not in the clear over a network, and to nobody smuggled in before an @."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)


# -------- files


def _read(path: str, where: str, *, private: bool) -> bytes:
    """Raises Misconfigured. `private`: refuse one that others may read."""
    try:
        with Path(path).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if private and os.name == "posix" and mode & _NOT_FOR_OTHERS:
                raise Misconfigured(
                    f"{where}: {path} holds a private key, and others than its owner may read or change it "
                    f"(mode {stat.S_IMODE(mode):04o})",
                    hint=f"Run `chmod 600 {path}`; on a Kubernetes volume set defaultMode: 0440 and fsGroup.",
                )
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise Misconfigured(
            f"{where}: there is no file {path}", hint="Check the path, and that it is mounted here."
        ) from None
    except PermissionError:
        raise Misconfigured(
            f"{where}: {path} may not be read by whoever runs keyturn", hint="Give its owner or group the right to."
        ) from None
    except OSError as error:
        raise Misconfigured(
            f"{where}: {path} cannot be read ({type(error).__name__})", hint="Check the path."
        ) from None
    if len(content) > LARGEST_FILE:
        raise Misconfigured(f"{where}: {path} is too large for what it should be", hint="Check the path.")
    return content
