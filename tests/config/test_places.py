"""Sinks by template: what they become, which names are impossible, and who would overwrite whom."""

from __future__ import annotations

import pytest

from keyturn.config import FileSink, KeyVaultSink, NamedValueSink, WebhookSink, clashes, render, sink_problems

from .samples import HOOK, SERVICES, config, credential, policy

FILE = FileSink(path="keys/{service}/{product}.env", variable="APIM_{sid}", format="dotenv")
VAULT = KeyVaultSink(vault="{service}-kv", secret="apim-{sid}")


def test_templates_are_filled_from_the_credential() -> None:
    found = credential("contoso", product="gold", owner="anna")
    assert render(VAULT, found).name == "shop-kv/apim-contoso"
    assert render(FILE, found).name == "keys/shop/gold.env:APIM_contoso"
    assert render(KeyVaultSink(vault="v", secret="{owner}-{sid}-{sid}"), found).name == "v/anna-contoso-contoso"
    assert sink_problems(VAULT, found) == sink_problems(FILE, found) == ()


def test_a_named_value_is_of_the_credentials_own_service_unless_another_is_named() -> None:
    found = credential("contoso")
    assert render(NamedValueSink(named_value="{sid}-key"), found).name == "shop/named-values/contoso-key"
    assert render(NamedValueSink(named_value="k", service="mail"), found).name == "mail/named-values/k"
    assert sink_problems(NamedValueSink(named_value="{sid}_{product}.key"), found) == ()


@pytest.mark.parametrize("sid", ["with space", "a/b", "a:b", "ü", "x" * 257])
def test_a_name_that_a_named_value_cannot_have_is_told(sid: str) -> None:
    (told,) = sink_problems(NamedValueSink(named_value="{sid}"), credential(sid))
    assert "letters, digits, periods, dashes and underscores" in told


def test_a_webhook_is_told_which_credential_it_is_about() -> None:
    hook = WebhookSink(url="https://hooks.example.com", secret_env="S")
    made = render(hook, credential("with space"))
    assert isinstance(made, WebhookSink) and made.credential == "shop/with space"
    assert made.name == "https://hooks.example.com"
    assert sink_problems(hook, credential("with space")) == ()


def test_a_sid_that_looks_like_a_template_is_not_filled_in_again() -> None:
    assert render(VAULT, credential("{owner}")).name == "shop-kv/apim-{owner}"


@pytest.mark.parametrize("sid", ["with space", "a/b", "a_b", "ü", "x" * 123, "a\n"])
def test_a_name_that_a_vault_cannot_hold_is_told(sid: str) -> None:
    (told,) = sink_problems(VAULT, credential(sid))
    assert "letters, digits and dashes" in told


def test_what_the_credential_does_not_have_cannot_be_filled_in() -> None:
    sink = KeyVaultSink(vault="v", secret="{product}-{owner}")
    told = sink_problems(sink, credential("contoso", product=None))
    assert [line.partition(": ")[2] for line in told] == [
        "shop/contoso has no owner to fill in; it has {service}, {sid}.",
        "shop/contoso has no product to fill in; it has {service}, {sid}.",
    ]


@pytest.mark.parametrize("sid", ["../../etc/passwd", "a/b", "a\\b", "..", "a\x00", "a\nb"])
def test_a_sid_leads_no_path_elsewhere(sid: str) -> None:
    (told,) = sink_problems(FileSink(path="keys/{sid}", variable="K", format="json"), credential(sid))
    assert "cannot be part of a path" in told


@pytest.mark.parametrize(("form", "problems"), [("dotenv", 1), ("json", 0)])
def test_a_variable_must_be_a_name_where_the_file_needs_one(form: str, problems: int) -> None:
    sink = FileSink(path="k", variable="{sid}", format="json" if form == "json" else "dotenv")
    assert len(sink_problems(sink, credential("a b=c"))) == problems


def _clashes(*published: str) -> dict[str, list[str]]:
    """Per sink that several would use, who: the n-th policy is for sid n, and publishes the n-th of these."""
    text = "".join(
        policy(name=f"p{n}", match=f"{{sid: 's{n}'}}", publish=f"publish: [{sink}]") for n, sink in enumerate(published)
    )
    read = config(f"{SERVICES}policies:\n{text}")
    found = clashes(read, [credential(f"s{n}") for n in range(len(published))] + [credential("nobody")])
    return {name: [one.id for one in credentials] for name, credentials in found.items()}


def test_credentials_with_sinks_of_their_own_do_not_clash() -> None:
    assert _clashes("{keyvault: {vault: v, secret: 'k-{sid}'}}", "{keyvault: {vault: v, secret: 'k-{sid}'}}") == {}
    assert _clashes("{file: {path: k, variable: A}}", "{file: {path: k, variable: B}}") == {}


def test_one_secret_for_two_credentials_clashes_whatever_its_capitals() -> None:
    clash = _clashes("{keyvault: {vault: v, secret: key}}", "{keyvault: {vault: V, secret: KEY}}")
    assert clash == {"v/key": ["shop/s0", "shop/s1"]}


def test_one_variable_for_two_credentials_clashes_however_its_path_is_spelt() -> None:
    clash = _clashes("{file: {path: a/../k.env, variable: K}}", "{file: {path: ./k.env, variable: K}}")
    assert list(clash.values()) == [["shop/s0", "shop/s1"]]


def test_one_file_in_two_formats_clashes() -> None:
    clash = _clashes("{file: {path: k, variable: A}}", "{file: {path: k, variable: B, format: json}}")
    assert clash == {"k": ["shop/s0", "shop/s1"]}


def test_one_named_value_for_two_credentials_clashes_whatever_its_capitals() -> None:
    clash = _clashes("{namedvalue: {name: key}}", "{namedvalue: {name: KEY, service: shop}}")
    assert clash == {"shop/named-values/key": ["shop/s0", "shop/s1"]}
    assert _clashes("{namedvalue: {name: key}}", "{namedvalue: {name: key, service: mail}}") == {}


def test_credentials_may_share_a_receiver_because_each_event_says_whom_it_is_about() -> None:
    assert _clashes(HOOK, HOOK) == {}
