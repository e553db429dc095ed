"""Two issuers of tokens that an application may trust instead of having a secret: one like GitHub's for workflows,
one like that of a Kubernetes cluster in Azure.

Decides what their tokens say, which key signs them, and what they publish about themselves. Whatever subject is asked
for is minted: who may ask is decided elsewhere. Never here: whether an application trusts a token (`assertions`).

They bear the names of the real ones, so that a federated identity credential is described as it would be in Azure;
their keys are the emulator's own, made once per start. Lifetimes are machine seconds, as of all tokens.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, get_args

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from keyturn_emulator.wire import Answer, Call, json_answer
from keyturn_emulator.world import World

Kind = Literal["github", "kubernetes"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
AUDIENCE: Final = "api://AzureADTokenExchange"
GITHUB_HOST: Final = "token.actions.githubusercontent.com"
KUBERNETES_HOST: Final = "westeurope.oic.prod-aks.azure.com"
HOSTS: Final = frozenset({GITHUB_HOST, KUBERNETES_HOST})
LIFETIMES: Final[dict[Kind, int]] = {"github": 300, "kubernetes": 3600}
"""Machine seconds that a token lives unless another lifetime is asked for."""


@dataclass(slots=True, frozen=True)
class IssuerKey:
    """The key that signs the tokens of one issuer; `id` is its name in a token's header."""

    private: rsa.RSAPrivateKey
    id: str

    @property
    def public(self) -> rsa.RSAPublicKey:
        """What the issuer publishes of it."""
        return self.private.public_key()


@cache
def key_of(kind: Kind) -> IssuerKey:
    """Made once per start, so that tokens outlive a reset of the world."""
    return IssuerKey(rsa.generate_private_key(public_exponent=65537, key_size=2048), f"{kind}-{uuid.uuid4().hex}")


def issuer_of(kind: Kind, tenant: str) -> str:
    """Its name in a token. A cluster's has tenant and cluster in it, and ends with a slash; GitHub's does not."""
    if kind == "github":
        return f"https://{GITHUB_HOST}"
    return f"https://{KUBERNETES_HOST}/{tenant}/{uuid.uuid5(uuid.NAMESPACE_URL, tenant)}/"


def published_key(issuer: str, tenant: str) -> IssuerKey | None:
    """The key of one of our issuers; None for any other."""
    return next((key_of(kind) for kind in KINDS if issuer_of(kind, tenant) == issuer), None)


def mint(
    kind: Kind, tenant: str, subject: str, *, audience: str = AUDIENCE, lifetime: int | None = None, issuer: str = ""
) -> str:
    """A signed token. `lifetime` in machine seconds; a negative one is over already."""
    now = int(time.time())
    key = key_of(kind)
    claims = {
        "iss": issuer or issuer_of(kind, tenant),
        "sub": subject,
        "iat": now,
        "nbf": min(now, now + (lifetime or 0)),
        "exp": now + (LIFETIMES[kind] if lifetime is None else lifetime),
        "jti": str(uuid.uuid4()),
        **_OWN_CLAIMS[kind](subject, audience),
    }
    return jwt.encode(claims, key.private, algorithm="RS256", headers={"kid": key.id})


def _of_workflow(subject: str, audience: str) -> dict[str, Any]:
    parts = subject.split(":")
    repository = parts[1] if len(parts) > 1 else ""
    return {"aud": audience, "repository": repository, "repository_owner": repository.partition("/")[0]}


def _of_service_account(subject: str, audience: str) -> dict[str, Any]:
    namespace, _, account = subject.removeprefix("system:serviceaccount:").partition(":")
    return {"aud": [audience], "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": account}}}


_OWN_CLAIMS: Final[dict[Kind, Callable[[str, str], dict[str, Any]]]] = {
    "github": _of_workflow,
    "kubernetes": _of_service_account,
}


class IssuerRoom:
    """What both issuers publish: the discovery document, and the key."""

    def __init__(self, world: World) -> None:
        self._world = world

    def answer(self, call: Call) -> Answer:
        """GET of either document of any tenant of the world; else 404."""
        kind: Kind = "github" if call.host == GITHUB_HOST else "kubernetes"
        for tenant in self._world.tenants:
            issuer = issuer_of(kind, tenant)
            base = issuer.rstrip("/")
            jwks = f"{base}/.well-known/jwks" if kind == "github" else f"{base}/openid/v1/jwks"
            asked = f"https://{call.host}{call.path}"
            if call.method == "GET" and asked == f"{base}/.well-known/openid-configuration":
                return json_answer(200, _discovery(issuer, jwks))
            if call.method == "GET" and asked == jwks:
                return json_answer(200, {"keys": [_published(key_of(kind))]})
        return json_answer(404, {"error": f"The emulator's issuers do not know {call.method} {call.path}."})


def _discovery(issuer: str, jwks: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "jwks_uri": jwks,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }


def _published(key: IssuerKey) -> dict[str, str]:
    numbers = key.public.public_numbers()
    return {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": key.id,
        "n": base64url(numbers.n),
        "e": base64url(numbers.e),
    }


def base64url(number: int) -> str:
    """A number as a published key has it: big-endian bytes, without padding (RFC 7518)."""
    size = (number.bit_length() + 7) // 8
    return base64.urlsafe_b64encode(number.to_bytes(size, "big")).rstrip(b"=").decode()


class WorkflowRoom:
    """Where a GitHub job with `permissions: id-token: write` asks for its token, by a bearer that GitHub gives it.

    It speaks for the workflow that the world describes.
    """

    PATH: Final = ("actions", "id-token")

    def __init__(self, world: World, bearer: str) -> None:
        self._world = world
        self._bearer = bearer

    def answer(self, call: Call) -> Answer:
        """GET with the bearer, for the audience asked for; else 405 or 401."""
        if call.method != "GET":
            return json_answer(405, {"message": f"{call.method} is not known here"})
        if call.headers.get("authorization") != f"Bearer {self._bearer}":
            return json_answer(401, {"message": "the request token is missing or not this job's"})
        subject = self._world.workloads["github"]
        owner = subject.partition(":")[2].partition("/")[0]
        audience = call.param("audience") or f"https://github.com/{owner}"
        return json_answer(
            200, {"count": 1, "value": mint("github", min(self._world.tenants), subject, audience=audience)}
        )
