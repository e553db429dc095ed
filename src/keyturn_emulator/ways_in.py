"""What a program's environment holds so that it signs in to the emulated Azure in one way and no other.

Decides which variables belong to which way, and writes what a way needs as a file: a certificate with its key, or the
token of a service account. Never here: whether what is presented later is any good.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from keyturn_emulator import federation
from keyturn_emulator.azure import Azure
from keyturn_emulator.certificates import private_directory, write_private
from keyturn_emulator.managed_identity import APP_SERVICE_PATH
from keyturn_emulator.seed import SeedError
from keyturn_emulator.world import Application, World

CERTIFICATE_FILE: Final = "sign-in-certificate.pem"
TOKEN_FILE: Final = "service-account-token"  # noqa: S105 - a file's name
TOKEN_LIFETIME: Final = 86_400
"""Machine seconds that the token in the file lives: a cluster would replace its own within the hour."""
VARIABLES: Final = (
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
)
"""Every variable of every way; those that are not of the chosen one are unset."""


def variables(azure: Azure, way: str, machine: str, directory: Path) -> dict[str, str]:
    """The variables of `way`. `machine` is the address of the machine's port; files go into `directory`."""
    return _VARIABLES_OF[way](azure, machine, directory)


def check(world: World, way: str) -> None:
    """Raises SeedError where this world has nobody who could sign in so."""
    lacking = {
        "managed": not _managed(world),
        "app-service": not _managed(world),
        "workload": _trusting(world, "kubernetes") is None,
        "github": _trusting(world, "github") is None,
    }
    if lacking.get(way, not world.applications):
        raise SeedError([f"--sign-in {way}: no application of the description can sign in that way"])


def with_certificate(description: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """The description with a fresh certificate at its first application; its key is in `directory`."""
    first, *others = description.get("applications") or [{}]
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "emulated sign-in")])
    now = datetime.now(UTC)
    number = x509.random_serial_number()
    made = x509.CertificateBuilder(
        name, name, key.public_key(), number, now - timedelta(hours=1), now + timedelta(days=365)
    ).sign(key, hashes.SHA256())
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    private_directory(directory)
    write_private(directory / CERTIFICATE_FILE, private + pem)
    certificates = [*first.get("certificates", []), pem.decode()]
    return {**description, "applications": [{**first, "certificates": certificates}, *others]}


# --- each way -------------------------------------------------------------------------------------


def _as_app(world: World, app: Application | None = None) -> dict[str, str]:
    chosen = app or next(iter(world.applications.values()), None)
    return {"AZURE_TENANT_ID": min(world.tenants), "AZURE_CLIENT_ID": chosen.client_id if chosen else ""}


def _secret(azure: Azure, _: str, __: Path) -> dict[str, str]:
    first = next(iter(azure.world.applications.values()), None)
    return {**_as_app(azure.world), "AZURE_CLIENT_SECRET": min(first.secrets, default="") if first else ""}


def _certificate(azure: Azure, _: str, directory: Path) -> dict[str, str]:
    return {**_as_app(azure.world), "AZURE_CLIENT_CERTIFICATE_PATH": str((directory / CERTIFICATE_FILE).resolve())}


def _workload(azure: Azure, _: str, directory: Path) -> dict[str, str]:
    world = azure.world
    path = directory / TOKEN_FILE
    subject, tenant = world.workloads["kubernetes"], min(world.tenants)
    write_private(path, federation.mint("kubernetes", tenant, subject, lifetime=TOKEN_LIFETIME).encode())
    return {
        **_as_app(world, _trusting(world, "kubernetes")),
        "AZURE_FEDERATED_TOKEN_FILE": str(path.resolve()),
    }


def _github(azure: Azure, machine: str, _: Path) -> dict[str, str]:
    return {
        **_as_app(azure.world, _trusting(azure.world, "github")),
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{machine}/{'/'.join(federation.WorkflowRoom.PATH)}?api-version=2.0",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": azure.machine_secrets.request_token,
    }


def _imds(azure: Azure, machine: str, _: Path) -> dict[str, str]:
    return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": machine, **_which_identity(azure.world)}


def _app_service(azure: Azure, machine: str, _: Path) -> dict[str, str]:
    return {
        "IDENTITY_ENDPOINT": f"{machine}/{'/'.join(APP_SERVICE_PATH)}",
        "IDENTITY_HEADER": azure.machine_secrets.identity_header,
        **_which_identity(azure.world),
    }


def _which_identity(world: World) -> dict[str, str]:
    """The default credential asks for the identity that AZURE_CLIENT_ID names, else for the system-assigned one."""
    managed = _managed(world)
    if not managed or any(app.managed_identity == "system-assigned" for app in managed):
        return {}
    return {"AZURE_CLIENT_ID": managed[0].client_id}


def _managed(world: World) -> list[Application]:
    return [app for app in world.applications.values() if app.managed_identity is not None]


def _trusting(world: World, kind: federation.Kind) -> Application | None:
    """The application that trusts what runs here, as far as issuer and subject go."""
    wanted = (federation.issuer_of(kind, min(world.tenants)), world.workloads[kind])
    found = (
        app for app in world.applications.values() for each in app.federated if (each.issuer, each.subject) == wanted
    )
    return next(found, None)


_VARIABLES_OF: Final[Mapping[str, Callable[[Azure, str, Path], dict[str, str]]]] = {
    "secret": _secret,
    "certificate": _certificate,
    "workload": _workload,
    "github": _github,
    "managed": _imds,
    "app-service": _app_service,
}
WAYS: Final = tuple(_VARIABLES_OF)
WITHOUT_FILES: Final = ("github", "managed", "app-service")
