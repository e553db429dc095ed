"""Private keys with certificates of their own making, for those who sign in with one."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rotator")])


@dataclass(frozen=True)
class Signer:
    """A private key, and its certificate as PEM."""

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    certificate: str

    @property
    def x509(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate.encode())

    @property
    def both(self) -> bytes:
        """Key and certificate, as a file for signing in holds them."""
        return self.private() + self.certificate.encode()

    def private(self, password: str | None = None) -> bytes:
        lock = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)

    def pfx(self, password: str | None = None) -> bytes:
        lock = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        return pkcs12.serialize_key_and_certificates(b"rotator", self.key, self.x509, None, lock)

    def thumbprint(self, algorithm: hashes.HashAlgorithm | None = None) -> str:
        return base64.urlsafe_b64encode(self.x509.fingerprint(algorithm or hashes.SHA1())).decode()


def make(
    start: datetime = datetime(2020, 1, 1, tzinfo=UTC), end: datetime = datetime(2050, 1, 1, tzinfo=UTC)
) -> Signer:
    """A new key with a certificate for that time."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return Signer(key, _certified(key, start, end))


def make_elliptic() -> Signer:
    """One whose key Entra does not take."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Signer(key, _certified(key, datetime(2020, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)))


def _certified(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, start: datetime, end: datetime) -> str:
    made = x509.CertificateBuilder(NAME, NAME, key.public_key(), 7, start, end).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


@cache
def ours() -> Signer:
    """The one that the application has."""
    return make()


@cache
def stranger() -> Signer:
    return make()


@cache
def expired() -> Signer:
    return make(end=datetime(2021, 1, 1, tzinfo=UTC))
