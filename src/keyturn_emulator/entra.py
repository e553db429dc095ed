"""Entra ID: which application may have a token for which resource, and whether a presented token is good.

It decides sign-in (azure-facts 2): the discovery documents, the client-credentials grant by secret or by assertion, and
the check of every bearer token that Resource Manager and Key Vault are shown.

Token lifetimes are judged by the machine's clock, not the emulated one, because clients cache by the machine's.

Never here: whether an assertion proves anything (`assertions`), what a principal may do (`rbac`), nor a secret or a
token in a log or an error.
"""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from hmac import compare_digest
from typing import Any
from urllib.parse import parse_qsl

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from keyturn_emulator import entra_refusals
from keyturn_emulator.assertions import SKEW, AssertionDesk
from keyturn_emulator.entra_refusals import HEADERS, refuse
from keyturn_emulator.federation import base64url
from keyturn_emulator.wire import Answer, Call, json_answer
from keyturn_emulator.world import Application, World

LOGIN = entra_refusals.LOGIN
# Where a client asks before it knows the tenant, as az does when it signs out; no application signs in there.
ANY_TENANT = frozenset({"common", "organizations"})
HOSTS = frozenset({LOGIN, "login.windows.net"})
ARM_AUDIENCES = frozenset(
    {
        "https://management.core.windows.net/",
        "https://management.core.windows.net",
        "https://management.azure.com/",
        "https://management.azure.com",
    }
)
VAULT_AUDIENCES = frozenset({"https://vault.azure.net", "https://vault.azure.net/"})
RESOURCES = ARM_AUDIENCES | VAULT_AUDIENCES
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_REMEMBERED_TOKENS = 1024

FORM_FIELDS = frozenset(
    {"client_id", "client_secret", "grant_type", "scope", "client_info", "claims", "client_assertion",
     "client_assertion_type", "resource"}
)  # fmt: skip


@dataclass(slots=True, frozen=True)
class Principal:
    """Who a good token speaks for."""

    object_id: str
    client_id: str
    tenant_id: str


class TokenFault(Exception):
    """Why a bearer token is refused.

    `code` is one of Missing, Malformed, BadSignature, Expired, WrongAudience, WrongIssuer. `audience` and
    `tenant` are what the token said, where the refusal has to repeat it; `expired_at` is epoch seconds.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        audience: str | None = None,
        tenant: str | None = None,
        expired_at: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.audience = audience
        self.tenant = tenant
        self.expired_at = expired_at


# --- the signing key ------------------------------------------------------------------------------


@cache
def _signing_key() -> rsa.RSAPrivateKey:
    """Made once per start, so that tokens outlive a reset of the world."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def _public_key() -> rsa.RSAPublicKey:
    return _signing_key().public_key()


@cache
def _key_id() -> str:
    return uuid.uuid5(uuid.NAMESPACE_URL, str(_public_key().public_numbers().n)).hex


# --- tokens ---------------------------------------------------------------------------------------


def issue_token(
    world: World, client_id: str, audience: str, *, lifetime: int | None = None, strength: str = "1", **more: str
) -> str:
    """A signed access token in v1 form (azure-facts 2.4). Raises KeyError.

    `lifetime` is in machine seconds; `strength` is "1" for a secret, "2" for an assertion; `more` are further claims.
    """
    app = world.applications[client_id.lower()]
    now = int(time.time())
    claims = {
        "aud": audience,
        "iss": f"https://sts.windows.net/{app.tenant_id}/",
        "iat": now,
        "nbf": now,
        "exp": now + (world.token_lifetime if lifetime is None else lifetime),
        "appid": app.client_id,
        "appidacr": strength,
        "idp": f"https://sts.windows.net/{app.tenant_id}/",
        "idtyp": "app",
        "oid": app.object_id,
        "sub": app.object_id,
        "tid": app.tenant_id,
        "uti": uuid.uuid4().hex,
        "ver": "1.0",
        **more,
    }
    return jwt.encode(claims, _signing_key(), algorithm="RS256", headers={"kid": _key_id(), "x5t": _key_id()})


_remembered: OrderedDict[str, dict[str, Any]] = OrderedDict()  # tokens whose signature was good once


def check_token(world: World, authorization: str | None, audiences: frozenset[str]) -> Principal:
    """The principal behind an Authorization header. Raises TokenFault, never another error, for a bad one."""
    claims = _verified_claims(_bearer(authorization))
    now = time.time()
    tenant = str(claims.get("tid", ""))
    if now > claims["exp"] + SKEW:
        raise TokenFault("Expired", "the access token has expired", expired_at=int(claims["exp"]))
    if now < claims["nbf"] - SKEW:
        raise TokenFault("Malformed", "the access token is not valid yet")
    if claims["aud"] not in audiences:
        raise TokenFault("WrongAudience", "the access token is for another resource", audience=str(claims["aud"]))
    if tenant.lower() not in {known.lower() for known in world.tenants}:
        raise TokenFault("WrongIssuer", "the access token comes from another tenant", tenant=tenant)
    return Principal(object_id=claims["oid"], client_id=claims["appid"], tenant_id=tenant)


def _bearer(authorization: str | None) -> str:
    if not authorization:
        raise TokenFault("Missing", "there is no Authorization header")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenFault("Malformed", "the Authorization header is no bearer token")
    return token.strip()


def _verified_claims(token: str) -> dict[str, Any]:
    """The claims of a token that we signed; judged by signature and shape only, so they may be remembered."""
    known = _remembered.get(token)
    if known is not None:
        return known
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            _public_key(),
            algorithms=["RS256"],
            options={
                "verify_aud": False,
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "require": ["aud", "iss", "exp", "nbf", "oid", "appid", "tid"],
            },
        )
    except jwt.InvalidSignatureError as error:
        raise TokenFault("BadSignature", "the access token was not signed by this tenant") from error
    except jwt.PyJWTError as error:
        raise TokenFault("Malformed", "the access token is no token of this tenant") from error
    _remembered[token] = claims
    if len(_remembered) > MAX_REMEMBERED_TOKENS:
        _remembered.popitem(last=False)
    return claims


# --- the room -------------------------------------------------------------------------------------


class EntraRoom:
    """Answers on login.microsoftonline.com and login.windows.net."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._assertions = AssertionDesk(world)

    def answer(self, call: Call) -> Answer:
        """Discovery, keys and tokens; 404 for any other path."""
        match (call.method, call.segments):
            case ("GET", ("common", "discovery", "instance")):
                return self._instance_discovery(call)
            case ("GET", (tenant, "v2.0", ".well-known", "openid-configuration")):
                return self._openid_configuration(tenant)
            case ("GET", (tenant, ".well-known", "openid-configuration")):
                return self._openid_configuration(tenant)
            case ("GET", (_, "discovery", "v2.0", "keys")):
                return self._key_set()
            case ("POST", (tenant, "oauth2", "v2.0", "token")):
                return self._token(call, tenant)
        return json_answer(404, {"error": "not_found", "error_description": _unknown_path(call)})

    def _instance_discovery(self, call: Call) -> Answer:
        """What msal asks before it trusts an authority that it does not know (azure-facts 0.2)."""
        endpoint = call.param("authorization_endpoint") or ""
        host, _, path = endpoint.removeprefix("https://").partition("/")
        if host.lower() not in HOSTS:
            body = {
                "error": "invalid_instance",
                "error_description": "AADSTS50049: Unknown or invalid instance.",
            }
            return json_answer(400, body, HEADERS)
        tenant = path.split("/")[0] or "common"
        body_ok = {
            "tenant_discovery_endpoint": f"https://{LOGIN}/{tenant}/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [
                {"preferred_network": LOGIN, "preferred_cache": "login.windows.net", "aliases": sorted(HOSTS)}
            ],
        }
        return json_answer(200, body_ok, HEADERS)

    def _openid_configuration(self, tenant: str) -> Answer:
        any_tenant = tenant.lower() in ANY_TENANT
        if not any_tenant and not self._knows(tenant):
            return refuse("unknown-tenant", tenant=tenant)
        base = f"https://{LOGIN}/{tenant}"
        body = {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": f"https://{LOGIN}/{{tenantid}}/v2.0" if any_tenant else f"{base}/v2.0",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "tenant_region_scope": None,
            "cloud_instance_name": "microsoftonline.com",
        }
        return json_answer(200, body, HEADERS)

    def _key_set(self) -> Answer:
        numbers = _public_key().public_numbers()
        key = {
            "kty": "RSA",
            "use": "sig",
            "kid": _key_id(),
            "x5t": _key_id(),
            "n": base64url(numbers.n),
            "e": base64url(numbers.e),
        }
        return json_answer(200, {"keys": [key]}, HEADERS)

    def _token(self, call: Call, tenant: str) -> Answer:
        """The client-credentials grant, with a client secret or a client assertion."""
        form: dict[str, str] = {}
        for field, value in parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True):
            if field not in FORM_FIELDS:
                return refuse("unknown-field", field=field)
            if field in form:
                return refuse("repeated-field", field=field)
            form[field] = value
        if not self._knows(tenant):
            return refuse("unknown-tenant", tenant=tenant)
        for field in ("grant_type", "client_id", "scope"):
            if not form.get(field):
                return refuse("missing-field", field=field)
        if form["grant_type"] != "client_credentials":
            return refuse("grant", grant=form["grant_type"])
        app = self._world.applications.get(form["client_id"].lower())
        if app is None or app.tenant_id.lower() != tenant.lower():
            return refuse("unknown-app", app=form["client_id"], tenant=tenant)
        by_assertion = "client_assertion" in form
        if by_assertion and "client_secret" in form:
            return refuse("two-proofs")
        judge = self._judge_assertion if by_assertion else self._judge_secret
        refused = judge(app, form, tenant)
        if refused is not None:
            return refused
        return self._grant(app, tenant, form["scope"], "2" if by_assertion else "1")

    def _judge_assertion(self, app: Application, form: dict[str, str], tenant: str) -> Answer | None:
        """A client assertion that a certificate of the application signed, or an issuer that it trusts."""
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            return refuse("missing-field", field="client_assertion_type")
        return self._assertions.judge(app, form["client_assertion"], tenant)

    def _judge_secret(self, app: Application, form: dict[str, str], _: str) -> Answer | None:
        if "client_secret" not in form:
            return refuse("missing-field", field="client_secret")
        given = form["client_secret"].encode()
        if any(compare_digest(given, secret.encode()) for secret in app.secrets):
            return None
        if any(compare_digest(given, secret.encode()) for secret in app.expired_secrets):
            return refuse("expired-secret", app=app.client_id)
        return refuse("wrong-secret", app=app.client_id)

    def _grant(self, app: Application, tenant: str, scope: str, strength: str) -> Answer:
        if not scope.endswith("/.default") or " " in scope:
            return refuse("bad-scope", scope=scope)
        # With a double slash the audience keeps its trailing one (azure-facts 0.6).
        audience = scope.removesuffix("/.default")
        if audience not in RESOURCES:
            return refuse("unknown-resource", resource=audience, tenant=tenant)
        lifetime = self._world.token_lifetime
        body = {
            "token_type": "Bearer",
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "access_token": issue_token(self._world, app.client_id, audience, strength=strength),
        }
        return json_answer(200, body, HEADERS)

    def _knows(self, tenant: str) -> bool:
        return tenant.lower() in {known.lower() for known in self._world.tenants}


def _unknown_path(call: Call) -> str:
    return f"The emulator's Entra does not know {call.method} {call.path}."
