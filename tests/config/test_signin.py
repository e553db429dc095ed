"""`signin:` in each of its forms."""

from __future__ import annotations

import pytest

from keyturn.config import (
    AzureCli,
    Certificate,
    ClientSecret,
    GitHub,
    ManagedIdentity,
    SignInSpec,
    WorkloadIdentity,
)

from .samples import config, one_policy, refusal

APP = "tenant: t, client_id: c"
FORMS: list[tuple[str, SignInSpec | None]] = [
    ("default", None),
    (f"{{client_secret: {{{APP}, secret_env: S}}}}", ClientSecret(tenant="t", client_id="c", secret_env="S")),
    (f"{{certificate: {{{APP}, path: /a/b.pem}}}}", Certificate(tenant="t", client_id="c", path="/a/b.pem")),
    (
        f"{{certificate: {{{APP}, path: /b.pfx, password_env: P, send_chain: true}}}}",
        Certificate(tenant="t", client_id="c", path="/b.pfx", password_env="P", send_chain=True),
    ),
    ("workload_identity", WorkloadIdentity()),
    ("{workload_identity: {}}", WorkloadIdentity()),
    (
        f"{{workload_identity: {{{APP}, token_file: /var/run/token}}}}",
        WorkloadIdentity(tenant="t", client_id="c", token_file="/var/run/token"),
    ),
    (f"{{github: {{{APP}}}}}", GitHub(tenant="t", client_id="c", audience="api://AzureADTokenExchange")),
    (f"{{github: {{{APP}, audience: 'api://own'}}}}", GitHub(tenant="t", client_id="c", audience="api://own")),
    ("managed_identity", ManagedIdentity()),
    ("{managed_identity: {}}", ManagedIdentity()),
    ("{managed_identity: {client_id: c}}", ManagedIdentity(client_id="c")),
    ("azure_cli", AzureCli()),
    ("{azure_cli: {tenant: t}}", AzureCli(tenant="t")),
]


@pytest.mark.parametrize(("written", "read"), FORMS, ids=[written for written, _ in FORMS])
def test_each_form_is_read(written: str, read: SignInSpec | None) -> None:
    assert config(one_policy(rest=f"signin: {written}\n")).signin == read


def test_relative_paths_are_beside_the_configuration() -> None:
    given = config(
        one_policy(rest=f"signin: {{certificate: {{{APP}, path: a/b.pem}}}}\n"), "/etc/keyturn/k.yaml"
    ).signin
    assert isinstance(given, Certificate) and given.path == "/etc/keyturn/a/b.pem"
    given = config(one_policy(rest="signin: {workload_identity: {token_file: t}}\n"), "/etc/keyturn/k.yaml").signin
    assert isinstance(given, WorkloadIdentity) and given.token_file == "/etc/keyturn/t"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("managed", "Did you mean managed_identity?"),
        ("github", "'github' is not known here"),
        ("{github: {}}", "signin.github.tenant is missing"),
        (f"{{certificate: {{{APP}}}}}", "signin.certificate.path is missing"),
        (
            f"{{certificate: {{{APP}, path: p, password: hunter2-hunter2}}}}",
            "signin.certificate.password is not a setting",
        ),
        (
            f"{{certificate: {{{APP}, path: p, password_env: 'hunter2-hunter2'}}}}",
            "this is not the name of an environment",
        ),
        ("{managed_identity: {tenant: t}}", "signin.managed_identity.tenant is not a setting"),
        ("{azure_cli: {}, managed_identity: {}}", "must name exactly one kind"),
        (f"{{github: {{{APP}, audience: 'a b'}}}}", "signin.github.audience: 'a b' is not an audience"),
    ],
)
def test_what_is_wrong_is_told_and_no_secret_repeated(written: str, told: str) -> None:
    lines = refusal(one_policy(rest=f"signin: {written}\n"))
    assert any(told in line for line in lines)
    assert not any("hunter2" in line for line in lines)
