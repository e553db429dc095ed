"""Whether a client assertion proves that its bearer is the application.

Two kinds (azure-facts 2.1): one that the application signed itself, with the key of a certificate that is registered
with it, and one that somebody else signed whom it trusts by a federated identity credential. Which it is, the
assertion says: by a thumbprint in its header, or by another issuer than the application.

Times are judged by the machine's clock, as tokens are. Never here: a token, or an assertion in a text.
"""

from __future__ import annotations

import base64
import math
import time
from datetime import UTC, datetime
from typing import Any, Final

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from keyturn_emulator import federation
from keyturn_emulator.entra_refusals import LOGIN, refuse
from keyturn_emulator.switches import is_on
from keyturn_emulator.wire import Answer
from keyturn_emulator.world import Application, World

SKEW: Final = 300
"""Machine seconds of disagreement that are tolerated, of assertions and of tokens (azure-facts 2.4)."""
_LONGEST_SHOWN: Final = 300
_THUMBPRINTS: Final = ("x5t", "x5t#S256")
# Signature alone: what the claims say is judged afterwards, each with a code of its own.
_SIGNATURE_ALONE: Final[Any] = {
    "verify_aud": False,
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}
_NOTHING: Final[Any] = {**_SIGNATURE_ALONE, "verify_signature": False}


class AssertionDesk:
    """Judges the assertions of one world, and remembers which it has seen."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._seen: dict[str, float] = {}

    def judge(self, app: Application, assertion: str, tenant: str) -> Answer | None:
        """The refusal, or None for an assertion that proves what it has to."""
        try:
            header = jwt.get_unverified_header(assertion)
            claims = jwt.decode(assertion, options=_NOTHING)
        except jwt.PyJWTError:
            return refuse("malformed-assertion", why="It has not the parts of one.")
        if any(header.get(name) for name in _THUMBPRINTS):
            return self._own(app, assertion, header, claims, tenant)
        if str(claims.get("iss", "")).lower() == app.client_id.lower():
            return refuse("no-thumbprint")
        return self._federated(app, assertion, header, claims)

    # signed by the application itself

    def _own(
        self, app: Application, assertion: str, header: dict[str, Any], claims: dict[str, Any], tenant: str
    ) -> Answer | None:
        named = {str(header[name]).rstrip("=") for name in _THUMBPRINTS if header.get(name)}
        shown = _hex(min(named))
        certificate = next((it for it in map(_certificate, app.certificates) if named <= _thumbprints(it)), None)
        if certificate is None or not _chain_begins_with(certificate, header):
            return refuse("bad-assertion", why="The key was not found.", key=shown)
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            return refuse("bad-assertion", why="The key is no RSA key.", key=shown)
        if not certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc:
            return refuse("bad-assertion", why="The key used is expired.", key=shown)
        fault = _signature_fault(assertion, key, ["RS256", "PS256"])
        if fault is not None:
            return refuse("bad-assertion", why=fault, key=shown)
        return self._claims_fault(app, claims, tenant)

    def _claims_fault(self, app: Application, claims: dict[str, Any], tenant: str) -> Answer | None:
        endpoint = f"https://{LOGIN}/{tenant}/oauth2/v2.0/token"
        for name in ("aud", "iss", "sub", "exp", "jti"):
            if not claims.get(name):
                return refuse("malformed-assertion", why=f"It lacks the claim {name}.")
        if claims["aud"] != endpoint:
            return refuse("assertion-audience", audience=_short(claims["aud"]))
        if not claims["iss"] == claims["sub"] == app.client_id:
            return refuse("assertion-app")
        return _time_fault(claims) or self._replay_fault(claims)

    def _replay_fault(self, claims: dict[str, Any]) -> Answer | None:
        """msal presents one assertion for nine minutes, to every resource that it is asked for: so nobody else than
        a switch refuses it."""
        if not is_on(self._world, "refuse_replayed_assertions"):
            return None
        now = time.time()
        self._seen = {jti: end for jti, end in self._seen.items() if end > now}
        if str(claims["jti"]) in self._seen:
            return refuse("replayed-assertion")
        self._seen[str(claims["jti"])] = float(claims["exp"]) + SKEW
        return None

    # signed by an issuer that the application trusts

    def _federated(
        self, app: Application, assertion: str, header: dict[str, Any], claims: dict[str, Any]
    ) -> Answer | None:
        """Compared with case, to the last slash (Azure/login issues 175 and 517)."""
        if not app.federated:
            return refuse("no-federation", app=app.client_id, name=app.display_name)
        issuer, subject = str(claims.get("iss", "")), str(claims.get("sub", ""))
        given = claims.get("aud", "")
        audiences = [str(each) for each in given] if isinstance(given, list) else [str(given)]
        of_issuer = [each for each in app.federated if each.issuer == issuer]
        if not of_issuer:
            return refuse("federated-issuer", presented=_short(issuer))
        of_subject = [each for each in of_issuer if each.subject == subject]
        if not of_subject:
            return refuse("federated-subject", presented=_short(subject))
        if not any(each.audience in audiences for each in of_subject):
            return refuse("federated-audience", presented=_short(", ".join(audiences)))
        key = federation.published_key(issuer, app.tenant_id)
        if key is None:
            return refuse("issuer-unreachable")
        named = str(header.get("kid", ""))
        fault = _signature_fault(assertion, key.public, ["RS256"]) if named == key.id else "The key was not found."
        if fault is not None:
            return refuse("bad-assertion", why=fault, key=_short(named))
        if "exp" not in claims:
            return refuse("malformed-assertion", why="It lacks the claim exp.")
        return _time_fault(claims)


def _signature_fault(assertion: str, key: rsa.RSAPublicKey, algorithms: list[str]) -> str | None:
    try:
        jwt.decode(assertion, key, algorithms, options=_SIGNATURE_ALONE)
    except jwt.InvalidSignatureError:
        return "The provided signature value did not match the expected signature value."
    except jwt.InvalidAlgorithmError:
        return "The algorithm is not allowed."
    except jwt.PyJWTError:
        return "The token cannot be read."
    return None


def _time_fault(claims: dict[str, Any]) -> Answer | None:
    """msal's times are numbers with a fraction (azure-facts 2.1)."""
    now = time.time()
    try:
        start, end = float(claims.get("nbf") or 0), float(claims["exp"])
    except (TypeError, ValueError, OverflowError):
        start = end = math.nan
    if not (math.isfinite(start) and math.isfinite(end)):
        return refuse("malformed-assertion", why="Its times are no numbers.")
    if start - SKEW <= now <= end + SKEW:
        return None
    return refuse("assertion-time", now=_moment(now), start=_moment(start), end=_moment(end))


def _moment(seconds: float) -> str:
    bounded = min(max(seconds, 0.0), 32_503_680_000.0)  # up to the year 3000: a claim may hold any number
    return datetime.fromtimestamp(bounded, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def _short(text: object) -> str:
    """As much of a presented claim as a refusal repeats."""
    return str(text)[:_LONGEST_SHOWN].encode("utf-8", "replace").decode()


def _certificate(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def _thumbprints(certificate: x509.Certificate) -> set[str]:
    """Of SHA-1 and of SHA-256, in base64url without padding."""
    digests = (certificate.fingerprint(hashes.SHA1()), certificate.fingerprint(hashes.SHA256()))  # noqa: S303 - x5t
    return {base64.urlsafe_b64encode(digest).rstrip(b"=").decode() for digest in digests}


def _chain_begins_with(certificate: x509.Certificate, header: dict[str, Any]) -> bool:
    """A chain, if there is one, is the certificate's own."""
    chain = header.get("x5c")
    if chain is None:
        return True
    first = chain[0] if isinstance(chain, list) and chain else chain
    try:
        return x509.load_der_x509_certificate(base64.b64decode(str(first))) == certificate
    except ValueError:
        return False


def _hex(thumbprint: str) -> str:
    try:
        return base64.urlsafe_b64decode(thumbprint + "=" * (-len(thumbprint) % 4)).hex().upper()[:64]
    except ValueError:
        return _short(thumbprint)
