"""Signing in in each way at the emulator, and what each failure says to a person."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError
from azure.keyvault.secrets import SecretClient

from keyturn.azure.cloud import PUBLIC
from keyturn.azure.signin import DEFAULT, AnySignIn, Identity, SignIn, explain
from keyturn.azure.signin_failures import SAYINGS
from keyturn.config import AzureCli, Certificate, GitHub, ManagedIdentity, WorkloadIdentity
from keyturn.errors import KeyturnError, Misconfigured, Refused, TryAgain
from keyturn.model import Secret
from keyturn_emulator import seed
from keyturn_emulator.testing import RunningEmulator, environment
from tests.emulator import signers

SCOPE = PUBLIC.arm_scope
APP: dict[str, Any] = {"tenant": seed.TENANT, "client_id": seed.CLIENT}
NOBODY = "9d0c2b7e-6a41-4c8e-b7f5-3e1d0a9c8b76"
OF_A_WAY = (
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
)


@pytest.fixture(scope="module")
def process() -> Iterator[RunningEmulator]:
    with RunningEmulator.start() as running:
        yield running


@pytest.fixture
def azure(process: RunningEmulator) -> Iterator[RunningEmulator]:
    process.seed(described())
    with environment(process.env, without=OF_A_WAY):
        yield process


def described(**changes: Any) -> dict[str, Any]:
    """The default world, whose rotator has a certificate, too."""
    description = seed.default_description()
    description["applications"][0] |= {"certificates": [signers.ours().certificate], **changes}
    return description


def who(identity: Identity) -> str:
    """The app that a token speaks for."""
    return str(jwt.decode(identity.token(SCOPE).reveal(), options={"verify_signature": False})["appid"])


def fails(signin: AnySignIn, kind: type[KeyturnError], *phrases: str) -> KeyturnError:
    """Both ways of asking fail, with one sentence that has these phrases in it or in its hint."""
    identity = Identity(signin, PUBLIC)
    with pytest.raises(KeyturnError) as raised:
        identity.token(SCOPE)
    told = raised.value
    assert type(told) is kind, told
    assert told.hint
    for phrase in phrases:
        assert phrase in f"{told.message} | {told.hint}"
    with pytest.raises((KeyturnError, ClientAuthenticationError)) as by_libraries:
        identity.get_token(SCOPE)
    assert str(identity.explain(by_libraries.value)) == str(told)
    return told


def at(folder: Path, content: bytes, name: str = "rotator.pem", mode: int = 0o600) -> str:
    path = folder / name
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


# -------- certificates


@pytest.mark.parametrize("chain", [False, True])
def test_a_certificate_signs_in(azure: RunningEmulator, tmp_path: Path, chain: bool) -> None:
    path = at(tmp_path, signers.ours().both)
    assert who(Identity(Certificate(**APP, path=path, send_chain=chain), PUBLIC)) == seed.CLIENT


@pytest.mark.parametrize("form", ["pem", "pfx"])
def test_a_locked_certificate_signs_in_by_the_password_in_a_variable(
    azure: RunningEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    ours = signers.ours()
    content = ours.pfx("open-sesame") if form == "pfx" else ours.private("open-sesame") + ours.certificate.encode()
    monkeypatch.setenv("PFX_PASSWORD", "open-sesame")
    spec = Certificate(**APP, path=at(tmp_path, content), password_env="PFX_PASSWORD")
    assert who(Identity(spec, PUBLIC)) == seed.CLIENT


def test_a_pfx_without_a_password_signs_in(azure: RunningEmulator, tmp_path: Path) -> None:
    assert who(Identity(Certificate(**APP, path=at(tmp_path, signers.ours().pfx())), PUBLIC)) == seed.CLIENT


def test_a_certificate_that_was_replaced_is_read_anew_after_a_failure(azure: RunningEmulator, tmp_path: Path) -> None:
    identity = Identity(Certificate(**APP, path=at(tmp_path, signers.stranger().both)), PUBLIC)
    with pytest.raises(Refused, match="AADSTS700027"):
        identity.token(SCOPE)
    at(tmp_path, signers.ours().both)
    assert who(identity) == seed.CLIENT


def test_a_certificate_of_nobody_is_refused_by_entra(azure: RunningEmulator, tmp_path: Path) -> None:
    path = at(tmp_path, signers.stranger().both)
    fails(
        Certificate(**APP, path=path),
        Refused,
        f"refused the certificate of app {seed.CLIENT}",
        "registered with the app",
    )


ours, other = signers.ours, signers.stranger
UNFIT: list[tuple[str, Callable[[], bytes], str]] = [
    ("expired", lambda: signers.expired().both, "expired on 2021-01-01"),
    ("no key", lambda: b"" + ours().certificate.encode(), "holds no private key"),
    ("no certificate", lambda: ours().private(), "holds no certificate beside its key"),
    ("another's key", lambda: ours().private() + other().certificate.encode(), "not that of its first certificate"),
    ("elliptic", lambda: signers.make_elliptic().both, "not RSA"),
    ("locked", lambda: ours().private("pw") + ours().certificate.encode(), "is locked with a password"),
    ("locked pfx", lambda: ours().pfx("pw"), "is locked with a password"),
    ("damaged", lambda: ours().both.replace(b"\nMII", b"\n!!!"), "is no certificate with its key"),
    ("garbage", lambda: b"garbage", "is no certificate with its key"),
    ("empty", lambda: b"", "is no certificate with its key"),
    ("huge", lambda: b"x" * (1024 * 1024 + 1), "too large"),
]


@pytest.mark.parametrize(("made", "words"), [row[1:] for row in UNFIT], ids=[row[0] for row in UNFIT])
def test_a_file_that_cannot_sign_is_told_before_entra_is_asked(
    azure: RunningEmulator, tmp_path: Path, made: Callable[[], bytes], words: str
) -> None:
    path = at(tmp_path, made())
    fails(Certificate(**APP, path=path), Misconfigured, "signin.certificate.path", path, words)
    assert azure.calls("entra") == []


@pytest.mark.parametrize("form", ["pem", "pfx"])
def test_a_wrong_password_is_told_and_not_repeated(
    azure: RunningEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    content = ours().pfx("right") if form == "pfx" else ours().private("right") + ours().certificate.encode()
    spec = Certificate(**APP, path=at(tmp_path, content), password_env="PFX_PASSWORD")
    monkeypatch.setenv("PFX_PASSWORD", "wrong-password")
    told = fails(spec, Misconfigured, "PFX_PASSWORD does not open")
    assert "wrong-password" not in f"{told} {told.hint}"
    monkeypatch.delenv("PFX_PASSWORD")
    fails(spec, Misconfigured, "PFX_PASSWORD is empty or not set")


def test_a_password_for_a_file_that_has_none_is_told(
    azure: RunningEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PFX_PASSWORD", "any")
    spec = Certificate(**APP, path=at(tmp_path, ours().both), password_env="PFX_PASSWORD")
    fails(spec, Misconfigured, "has no password", "Remove password_env")


def test_a_file_that_is_not_there_or_no_file_is_told(azure: RunningEmulator, tmp_path: Path) -> None:
    fails(Certificate(**APP, path=str(tmp_path / "gone.pem")), Misconfigured, "there is no file", "gone.pem")
    fails(Certificate(**APP, path=str(tmp_path)), Misconfigured, "cannot be read (IsADirectoryError)")


@pytest.mark.parametrize(
    ("mode", "good"), [(0o600, True), (0o400, True), (0o440, True), (0o644, False), (0o660, False), (0o602, False)]
)
def test_a_private_key_that_others_may_read_or_change_is_not_used(
    azure: RunningEmulator, tmp_path: Path, mode: int, good: bool
) -> None:
    spec = Certificate(**APP, path=at(tmp_path, ours().both, mode=mode))
    if good:
        assert who(Identity(spec, PUBLIC)) == seed.CLIENT
    else:
        fails(spec, Misconfigured, f"mode 0{mode:o}", "chmod 600", "defaultMode")


# -------- a service account's token


def workload(tmp_path: Path, token: str) -> WorkloadIdentity:
    return WorkloadIdentity(**APP, token_file=at(tmp_path, token.encode(), "token", 0o644))


def test_a_service_accounts_token_signs_in(azure: RunningEmulator, tmp_path: Path) -> None:
    assert who(Identity(workload(tmp_path, azure.federated_token("kubernetes")), PUBLIC)) == seed.CLIENT


def test_what_the_configuration_leaves_out_the_environment_says(
    azure: RunningEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(
        WorkloadIdentity(client_id=seed.CLIENT),
        Misconfigured,
        "no tenant and no token_file",
        "AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE are not set",
        "azure.workload.identity/use",
    )
    monkeypatch.setenv("AZURE_TENANT_ID", seed.TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", NOBODY)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", at(tmp_path, azure.federated_token("kubernetes").encode()))
    assert who(Identity(WorkloadIdentity(client_id=seed.CLIENT), PUBLIC)) == seed.CLIENT
    fails(WorkloadIdentity(), Misconfigured, f"knows no app {NOBODY}")


def test_a_token_that_the_cluster_replaced_is_read_at_once(azure: RunningEmulator, tmp_path: Path) -> None:
    identity = Identity(workload(tmp_path, azure.federated_token("kubernetes")), PUBLIC)
    identity.token(SCOPE)
    at(tmp_path, azure.federated_token("kubernetes", subject="system:serviceaccount:other:one").encode(), "token")
    with pytest.raises(Refused, match="system:serviceaccount:other:one"):
        identity.token("https://vault.azure.net/.default")


WRONG_TOKENS: list[tuple[dict[str, Any], str, str]] = [
    (
        {"subject": "system:serviceaccount:other:rotator"},
        "system:serviceaccount:other:rotator",
        "namespace and service account",
    ),
    (
        {"audience": "https://kubernetes.default.svc"},
        "for the audience https://kubernetes.default.svc",
        "volume of the token",
    ),
    ({"lifetime": -1000}, "out of its time", "The cluster should have replaced the token"),
]


@pytest.mark.parametrize(("asked", "sentence", "hint"), WRONG_TOKENS, ids=[row[1] for row in WRONG_TOKENS])
def test_a_service_account_that_entra_does_not_take_is_told_what_it_presented(
    azure: RunningEmulator, tmp_path: Path, asked: dict[str, Any], sentence: str, hint: str
) -> None:
    token = azure.federated_token("kubernetes", **asked)
    told = fails(workload(tmp_path, token), Refused, sentence, hint)
    assert not [part for part in token.split(".") if part in f"{told} {told.hint}"]


def test_an_issuer_that_no_app_trusts_is_named(azure: RunningEmulator, tmp_path: Path) -> None:
    azure.seed(described(federated_credentials=[{"issuer": "github", "subject": "x"}]))
    fails(
        workload(tmp_path, azure.federated_token("kubernetes")),
        Refused,
        "trusts no token of the issuer https://",
        "slash",
    )
    azure.seed(described(federated_credentials=[]))
    fails(workload(tmp_path, azure.federated_token("kubernetes")), Refused, "no federated credential at all")


@pytest.mark.parametrize("content", ["", "no token", "a.b", "a.b c.d"])
def test_a_file_without_a_token_is_told(azure: RunningEmulator, tmp_path: Path, content: str) -> None:
    fails(workload(tmp_path, content), Misconfigured, "holds no token", "projected token")


def test_a_token_file_that_is_not_there_is_told_to_vaults_too(azure: RunningEmulator, tmp_path: Path) -> None:
    missing = WorkloadIdentity(**APP, token_file=str(tmp_path / "token"))
    fails(missing, Misconfigured, "there is no file", "mounted here")
    with (
        SecretClient("https://shop-kv.vault.azure.net", Identity(missing, PUBLIC)) as client,
        pytest.raises(Misconfigured, match="there is no file"),
    ):
        client.get_secret("name")


# -------- what GitHub gives to a job

GITHUB = GitHub(**APP)


def test_a_jobs_token_signs_in(azure: RunningEmulator) -> None:
    with environment(azure.way("github")):
        assert who(Identity(GITHUB, PUBLIC)) == seed.CLIENT


def test_the_audience_is_asked_for_as_it_is_written(azure: RunningEmulator) -> None:
    own = {"issuer": "github", "subject": seed.WORKLOADS["github"], "audience": "api://own?x&y"}
    azure.seed(described(federated_credentials=[own]))
    with environment(azure.way("github")):
        assert who(Identity(GitHub(**APP, audience="api://own?x&y"), PUBLIC)) == seed.CLIENT
        fails(GITHUB, Refused, "for the audience api://AzureADTokenExchange", "signin.github.audience")


@pytest.mark.parametrize("missing", [0, 1, None])
def test_without_the_jobs_variables_the_workflows_permission_is_named(
    azure: RunningEmulator, missing: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = azure.way("github")
    names = ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
    gone = names if missing is None else [names[missing]]
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    with environment({name: way[name] for name in names if name not in gone}, without=gone):
        fails(GITHUB, Misconfigured, " and ".join(gone), "permissions: { id-token: write }", "Outside GitHub Actions")
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        told = fails(GITHUB, Misconfigured, "permissions: { id-token: write }")
    assert "Outside" not in told.hint


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/token",
        "http://127.0.0.1.example.org/token",
        "http://localhost@example.org/token",
        "https://user@example.org/token",
        "https://example.org/token#x",
        "ftp://localhost/token",
        "https://[::1/token",
        "https:///token",
        "token",
    ],
)
def test_the_jobs_bearer_goes_over_https_or_stays_on_this_machine(azure: RunningEmulator, url: str) -> None:
    values = {"ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "bearer-of-the-job"}
    with environment(values):
        told = fails(GITHUB, Misconfigured, "neither an https address nor one of this machine")
    assert url not in str(told) and "bearer-of-the-job" not in f"{told} {told.hint}"


@pytest.mark.parametrize("bearer", ["a\nX-Other: header", "bearer-of-j\u00f6b"])
def test_a_bearer_that_no_header_can_carry_is_a_mistake_and_not_repeated(azure: RunningEmulator, bearer: str) -> None:
    with environment({**azure.way("github"), "ACTIONS_ID_TOKEN_REQUEST_TOKEN": bearer}):
        told = fails(GITHUB, Misconfigured, "holds what no header can carry")
    assert bearer not in f"{told} {told.hint}"


def test_a_bearer_that_github_does_not_know_is_refused_and_not_repeated(
    azure: RunningEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    way = {**azure.way("github"), "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "bearer-of-another-job"}
    with environment(way), caplog.at_level(logging.DEBUG):
        told = fails(GITHUB, Refused, "GitHub refuses to give this job a token (HTTP 401)")
    texts = [f"{told} {told.hint}", *(repr(record.__dict__) for record in caplog.records)]
    assert not [text for text in texts if "bearer-of-another-job" in text]


def test_a_jobs_token_is_in_no_log(azure: RunningEmulator, caplog: pytest.LogCaptureFixture) -> None:
    way = azure.way("github")
    azure.seed(described(federated_credentials=[]))
    with environment(way), caplog.at_level(logging.DEBUG):
        fails(GITHUB, Refused, "no federated credential at all")
    logged = [repr(record.__dict__) for record in caplog.records]
    assert logged
    assert not [text for text in logged if way["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] in text or "eyJ" in text]


def test_a_workflow_that_is_not_trusted_is_told_its_subject(azure: RunningEmulator) -> None:
    azure.seed({**described(), "workloads": {"github": "repo:contoso/rotation:pull_request"}})
    with environment(azure.way("github")):
        fails(
            GITHUB, Refused, "for the subject repo:contoso/rotation:pull_request", "branch, environment or pull request"
        )


def test_a_github_that_is_down_or_says_nothing_is_asked_again_later(azure: RunningEmulator) -> None:
    with environment(azure.way("github")):
        azure.fault("status", {"host": "this-machine"}, status=503, times=2)
        fails(GITHUB, TryAgain, "GitHub answers with no token (HTTP 503)")
        azure.fault("drop", {"host": "this-machine"}, times=2)
        fails(GITHUB, TryAgain, "GitHub cannot be asked for a token (ConnectionError)")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 302 Found\r\nLocation: https://example.org/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"value": 1}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<hi>",
    ],
)
def test_an_answer_without_a_token_is_none_and_no_redirect_is_followed(answer: bytes) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        url = f"http://127.0.0.1:{server.getsockname()[1]}/token"
        stack.enter_context(
            environment({"ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "bearer"})
        )
        asked = _answering(server, answer, times=2)
        fails(GITHUB, TryAgain, "GitHub answers with no token")
        assert all(request.startswith(b"GET /token?audience=api%3A%2F%2FAzureADTokenExchange ") for request in asked)
        assert len(asked) == 2


def _answering(server: socket.socket, answer: bytes, times: int) -> list[bytes]:
    """Answer so many requests on a thread; what was asked, as it comes in."""

    asked: list[bytes] = []

    def serve() -> None:
        for _ in range(times):
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(65536))
                connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return asked


# -------- managed identity


@pytest.mark.parametrize("way", ["managed", "app-service"])
@pytest.mark.parametrize(("client_id", "expected"), [(None, seed.MACHINE), (seed.ASSIGNED, seed.ASSIGNED)])
def test_a_managed_identity_signs_in(azure: RunningEmulator, way: str, client_id: str | None, expected: str) -> None:
    with environment(azure.way(way)):
        assert who(Identity(ManagedIdentity(client_id=client_id), PUBLIC)) == expected


@pytest.mark.parametrize("way", ["managed", "app-service"])
def test_an_identity_that_this_machine_does_not_have_is_told(azure: RunningEmulator, way: str) -> None:
    with environment(azure.way(way)):
        fails(
            ManagedIdentity(client_id=NOBODY),
            Refused,
            f"no managed identity with the client id {NOBODY}",
            "user-assigned",
        )
        description = described()
        description["applications"] = description["applications"][:2]
        description["role_assignments"] = description["role_assignments"][:3]
        azure.seed(description)
        told = fails(ManagedIdentity(), Refused, "this machine has no managed identity")
    assert "client id" not in told.message


def test_an_app_service_that_does_not_know_this_program_is_told(azure: RunningEmulator) -> None:
    with environment({**azure.way("app-service"), "IDENTITY_HEADER": "of-another-program"}):
        told = fails(ManagedIdentity(), Refused, "gives no token", "IDENTITY_HEADER")
    assert "of-another-program" not in str(told)


def test_where_no_endpoint_answers_the_sentence_says_that_only_azure_has_one(azure: RunningEmulator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    identity = Identity(ManagedIdentity(), PUBLIC)
    with environment({"AZURE_POD_IDENTITY_AUTHORITY_HOST": nobody}), pytest.raises(TryAgain) as raised:
        identity.token(SCOPE)
    assert "no managed identity endpoint answers" in raised.value.message
    assert "choose another `signin`" in raised.value.hint


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("(invalid_request) The header is missing", Refused),
        ("(invalid_scope) 401, not yours", Refused),
        ("(invalid_scope) 500, an error of the server", TryAgain),
        ("(invalid_scope) 429, slow down", TryAgain),
        ("(server_error) 7f3a", TryAgain),
        ("(Too Many Requests) slow down", TryAgain),
    ],
)
def test_what_passes_at_the_endpoint_is_tried_again(said: str, kind: type[KeyturnError]) -> None:
    error = CredentialUnavailableError(f"ManagedIdentityCredential unavailable. Token request error: {said}")
    told = explain(error, ManagedIdentity(), PUBLIC)
    assert type(told) is kind
    assert told.hint and said not in told.message


# -------- az

AZ = f"""#!{sys.executable}
import os, sys
print(os.environ["AZ_SAYS"], file=sys.stderr if os.environ["AZ_CODE"] != "0" else sys.stdout)
sys.exit(int(os.environ["AZ_CODE"]))
"""


@pytest.fixture
def az(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Puts a program called az on PATH, which says what a test tells it to, and ends with that code."""
    at(tmp_path, AZ.encode(), "az", 0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def says(text: str, code: int) -> None:
        monkeypatch.setenv("AZ_SAYS", text)
        monkeypatch.setenv("AZ_CODE", str(code))

    return says


def test_a_token_of_az_is_taken(azure: RunningEmulator, az: Callable[[str, int], None]) -> None:
    az('{"accessToken": "the-token-of-az", "expires_on": 4102444800}', 0)
    assert Identity(AzureCli(), PUBLIC).token(SCOPE) == Secret("the-token-of-az")


AZ_FAILURES: list[tuple[str, int, type[KeyturnError], str]] = [
    ("ERROR: Please run 'az login' to setup account.", 1, Misconfigured, "nobody is signed in to az"),
    ("ERROR: AADSTS700082: The refresh token has expired. az login", 1, Refused, "has run out"),
    ("ERROR: AADSTS50076: Due to a configuration change, you must use MFA. az login", 1, Refused, "another factor"),
    ("ERROR: AADSTS90002: Tenant 'x' not found.", 1, Misconfigured, "knows no tenant"),
    ("ERROR: the sky is falling", 1, Refused, "az gave no token"),
    ("no json at all", 0, Refused, "az gave no token"),
]


@pytest.mark.parametrize(("text", "code", "kind", "words"), AZ_FAILURES, ids=[row[0][:40] for row in AZ_FAILURES])
def test_what_az_says_is_told_in_our_words(
    azure: RunningEmulator, az: Callable[[str, int], None], text: str, code: int, kind: type[KeyturnError], words: str
) -> None:
    az(text, code)
    told = fails(AzureCli(tenant=seed.TENANT), kind, words)
    assert "sky" not in str(told)


def test_an_az_that_is_not_there_is_told(
    azure: RunningEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    fails(AzureCli(), Misconfigured, "az is not installed here, or not on PATH", "Install the Azure CLI")


def test_an_az_that_cannot_be_started_is_tried_again(
    azure: RunningEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(tmp_path, b"#!/nowhere/at/all\n", "az", 0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    fails(AzureCli(), TryAgain, "could not be started")


# -------- the default chain, and every code


@pytest.mark.parametrize("way", ["managed", "app-service"])
def test_the_default_chain_ends_at_the_managed_identity(azure: RunningEmulator, way: str) -> None:
    with environment(azure.way(way)):
        assert who(Identity(DEFAULT, PUBLIC)) == seed.MACHINE


def test_the_default_chain_takes_a_service_account(azure: RunningEmulator, tmp_path: Path) -> None:
    file = at(tmp_path, azure.federated_token("kubernetes").encode())
    names = {"AZURE_TENANT_ID": seed.TENANT, "AZURE_CLIENT_ID": seed.CLIENT, "AZURE_FEDERATED_TOKEN_FILE": file}
    with environment(names):
        assert who(Identity(DEFAULT, PUBLIC)) == seed.CLIENT


EVERY_WAY: list[AnySignIn] = [
    DEFAULT,
    SignIn(**APP, secret=Secret("s")),
    Certificate(**APP, path="p"),
    WorkloadIdentity(**APP),
    GITHUB,
    ManagedIdentity(),
    AzureCli(),
]


@pytest.mark.parametrize("signin", EVERY_WAY, ids=lambda signin: type(signin).__name__)
@pytest.mark.parametrize("code", sorted(SAYINGS))
def test_every_code_has_a_sentence_and_a_move_in_every_way(code: str, signin: AnySignIn) -> None:
    text = f"Authentication failed: AADSTS{code}: a text of Entra's own, secret-of-entra."
    told = explain(ClientAuthenticationError(text), signin, PUBLIC)
    assert type(told) in (Refused, Misconfigured, TryAgain)
    assert f"AADSTS{code}" in told.message and told.hint
    assert not {"{", "}"} & set(f"{told.message}{told.hint}")
    assert "secret-of-entra" not in f"{told.message}{told.hint}"


def test_a_variant_of_a_federation_code_says_the_same() -> None:
    text = "AADSTS7002138: No matching federated identity record found for presented assertion subject 'repo:a/b:c'."
    told = explain(ClientAuthenticationError(text), GITHUB, PUBLIC)
    assert "for the subject repo:a/b:c (AADSTS7002138)" in told.message


def test_what_entra_repeats_is_passed_on_only_if_it_can_be_printed() -> None:
    text = "AADSTS700213: presented assertion subject 'repo:\x1b[2Ja/b'."
    assert "\x1b" not in explain(ClientAuthenticationError(text), GITHUB, PUBLIC).message


def test_a_sentence_of_ours_is_passed_on_as_it_is() -> None:
    ours_already = Misconfigured("as it is", hint="leave it")
    assert explain(ours_already, GITHUB, PUBLIC) is ours_already
