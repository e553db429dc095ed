"""The app settings: what is taken, what is the default, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyturn.config import ClientSecret, GitHub, ManagedIdentity, SignInSpec, TableSpec, WorkloadIdentity
from keyturn.functions.settings import AppSettings, read_settings

SERVICE = (
    "/subscriptions/5be0a7d4-6f0f-4d1c-8f38-7a2f1c9e4b02/resourceGroups/rg"
    "/providers/Microsoft.ApiManagement/service/shop-apim"
)
YAML = """\
services:
  shop: { id: SERVICE }
policies:
  - name: partners
    match: { service: shop }
    publish: [keyvault: { vault: shop-kv, secret: "apim-{sid}" }]
""".replace("SERVICE", SERVICE)
ORIGINAL = {"AzureAD__Tenant": "contoso.example", "AzureAD__ClientID": "an-app", "AzureAD__ClientSecret": "hush-hush"}


def read(folder: Path, **settings: str) -> AppSettings:
    return read_settings(settings, folder)


def wrong(folder: Path, **settings: str) -> str:
    problem = read(folder, **settings).problem
    assert problem is not None
    return f"{problem.message} {problem.hint}"


def test_the_whole_configuration_may_stand_in_one_setting(tmp_path: Path) -> None:
    found = read(tmp_path, KEYTURN_CONFIG_TEXT=YAML)
    assert found.problem is None and found.config is not None
    assert list(found.config.services) == ["shop"]


def test_a_setting_of_one_line_may_hold_it_as_json(tmp_path: Path) -> None:
    sinks = '[{"keyvault": {"vault": "v", "secret": "s-{sid}"}}]'
    text = (
        f'{{"services": {{"shop": {{"id": "{SERVICE}"}}}},'
        f' "policies": [{{"name": "p", "match": {{"service": "shop"}}, "publish": {sinks}}}]}}'
    )
    assert read(tmp_path, KEYTURN_CONFIG_TEXT=text).problem is None


def test_the_setting_goes_before_the_file_beside_the_app(tmp_path: Path) -> None:
    (tmp_path / "keyturn.yaml").write_text(YAML.replace("shop", "file"), encoding="utf-8")
    (tmp_path / "other.yaml").write_text(YAML.replace("shop", "other"), encoding="utf-8")
    for settings, alias in (
        ({}, "file"),
        ({"KEYTURN_CONFIG": "other.yaml"}, "other"),
        ({"KEYTURN_CONFIG": "other.yaml", "KEYTURN_CONFIG_TEXT": YAML}, "shop"),
    ):
        config = read(tmp_path, **settings).config
        assert config is not None and list(config.services) == [alias]


def test_the_ledger_is_a_table_in_the_apps_own_storage_unless_the_yaml_says_otherwise(tmp_path: Path) -> None:
    for text, settings, ledger in (
        (YAML, {"AzureWebJobsStorage": "x"}, TableSpec(name="keyturn", connection_env="AzureWebJobsStorage")),
        (YAML, {}, TableSpec(name="keyturn", connection_env="AzureWebJobsStorage")),
        (
            YAML,
            {"AzureWebJobsStorage__accountName": "shopfunc"},
            TableSpec(name="keyturn", url="https://shopfunc.table.core.windows.net"),
        ),
        (
            YAML,
            {"AzureWebJobsStorage__tableServiceUri": "https://shopfunc.table.core.chinacloudapi.cn"},
            TableSpec(name="keyturn", url="https://shopfunc.table.core.chinacloudapi.cn"),
        ),
        (f"{YAML}ledger: sqlite:////data/k.db\n", {"AzureWebJobsStorage": "x"}, "sqlite:////data/k.db"),
    ):
        found = read(tmp_path, KEYTURN_CONFIG_TEXT=text, **settings)
        assert found.problem is None, found.problem
        assert found.config is not None and found.config.ledger == ledger


# -------- signing in


def test_without_any_setting_the_managed_identity_signs_in(tmp_path: Path) -> None:
    config = read(tmp_path, KEYTURN_CONFIG_TEXT=YAML).config
    assert config is not None and config.signin is None


def test_the_four_settings_of_earlier_functions_sign_in_as_they_are(tmp_path: Path) -> None:
    for instance, cloud in (
        ("https://login.microsoftonline.com/", "public"),
        ("https://login.chinacloudapi.cn", "china"),
        ("https://LOGIN.microsoftonline.us/", "usgov"),
        ("", "public"),
    ):
        config = read(tmp_path, KEYTURN_CONFIG_TEXT=YAML, AzureAD__Instance=instance, **ORIGINAL).config
        assert config is not None
        assert config.signin == ClientSecret(
            tenant="contoso.example", client_id="an-app", secret_env="AzureAD__ClientSecret"
        )
        assert config.cloud == cloud


def test_a_sign_in_of_the_yaml_goes_before_them(tmp_path: Path) -> None:
    text = f"{YAML}signin:\n  client_secret: {{ tenant: t, client_id: c, secret_env: S }}\n"
    config = read(tmp_path, KEYTURN_CONFIG_TEXT=text, **ORIGINAL).config
    assert config is not None and config.signin == ClientSecret(tenant="t", client_id="c", secret_env="S")


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("managed_identity", ManagedIdentity()),
        ("{ managed_identity: { client_id: c } }", ManagedIdentity(client_id="c")),
        ("workload_identity", WorkloadIdentity()),
        ("{ github: { tenant: t, client_id: c } }", GitHub(tenant="t", client_id="c")),
        ("default", None),
    ],
)
def test_the_sign_in_is_said_in_the_same_words_as_everywhere(
    tmp_path: Path, written: str, read_as: SignInSpec | None
) -> None:
    found = read(tmp_path, KEYTURN_CONFIG_TEXT=f"{YAML}signin: {written}\n", **ORIGINAL)
    assert found.problem is None and found.config is not None
    assert found.config.signin == read_as


def test_a_client_id_alone_is_told_where_a_user_assigned_identity_belongs(tmp_path: Path) -> None:
    assert "signin: { managed_identity: { client_id" in wrong(tmp_path, KEYTURN_CONFIG_TEXT=YAML, AzureAD__ClientID="c")


@pytest.mark.parametrize("missing", sorted(ORIGINAL))
def test_one_of_them_that_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    given = {name: text for name, text in ORIGINAL.items() if name != missing}
    told = wrong(tmp_path, KEYTURN_CONFIG_TEXT=YAML, **given)
    assert told.startswith(f"{missing} is empty or not set")
    assert "hush-hush" not in told


def test_an_instance_that_is_no_known_cloud_or_another_one_is_refused(tmp_path: Path) -> None:
    for more, instance in (("", "https://login.evil.example"), ("cloud: china\n", "https://login.microsoftonline.com")):
        told = wrong(tmp_path, KEYTURN_CONFIG_TEXT=YAML + more, AzureAD__Instance=instance, **ORIGINAL)
        assert told.startswith("AzureAD__Instance:")
        assert "evil" not in told


# -------- what is wrong


def test_a_mistake_in_the_text_is_named_with_its_setting_and_line(tmp_path: Path) -> None:
    told = wrong(tmp_path, KEYTURN_CONFIG_TEXT=YAML.replace("name: partners", "nmae: partners"))
    assert "KEYTURN_CONFIG_TEXT:4:5" in told
    assert "KEYTURN_CONFIG_TEXT:1:" in wrong(tmp_path, KEYTURN_CONFIG_TEXT="services: [")


def test_a_mistake_in_the_file_is_named_with_its_path_and_line(tmp_path: Path) -> None:
    path = tmp_path / "keyturn.yaml"
    path.write_text(YAML + "clouds: public\n", encoding="utf-8")
    assert f"{path}:7:1" in wrong(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("KEYTURN_SCHEDULE", "now and then"),
        ("KEYTURN_SCHEDULE", "* * *"),
        ("KEYTURN_FAN_OUT", "yes"),
        ("KEYTURN_QUEUE", "Keyturn"),
        ("KEYTURN_QUEUE", "a--b"),
        ("KEYTURN_QUEUE", "a" * 57),
        ("KEYTURN_TIME_LIMIT", "0"),
        ("KEYTURN_TIME_LIMIT", "4m"),
        ("KEYTURN_TIME_LIMIT", "86401"),
    ],
)
def test_a_setting_that_cannot_be_is_named(tmp_path: Path, name: str, text: str) -> None:
    assert wrong(tmp_path, KEYTURN_CONFIG_TEXT=YAML, **{name: text}).startswith(f"{name}: ")


@pytest.mark.parametrize("schedule", ["0 */5 * * * *", "*/5 * * * *", "0 30 9-17 * Jan-Jun Mon,Fri", "00:05:00"])
def test_every_form_of_a_schedule_is_taken(tmp_path: Path, schedule: str) -> None:
    found = read(tmp_path, KEYTURN_CONFIG_TEXT=YAML, KEYTURN_SCHEDULE=schedule)
    assert (found.problem, found.schedule) == (None, schedule)


def test_everything_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    told = wrong(tmp_path, KEYTURN_FAN_OUT="yes", KEYTURN_QUEUE="Q")
    for name in ("KEYTURN_FAN_OUT", "KEYTURN_QUEUE", "KEYTURN_CONFIG_TEXT"):
        assert name in told


def test_a_connection_string_where_the_ledgers_address_belongs_is_not_repeated(tmp_path: Path) -> None:
    text = f"{YAML}ledger: 'DefaultEndpointsProtocol=https;AccountName=a;AccountKey=c2VjcmV0a2V5c2VjcmV0=='\n"
    told = read(tmp_path, KEYTURN_CONFIG_TEXT=text).problem
    assert told is not None
    assert "c2VjcmV0" not in "".join(told.problems) + str(told)


@pytest.mark.parametrize("given", ["x" * 300, "services: {shop: {id: c2VjcmV0a2V5c2VjcmV0}}\n" * 9])
def test_a_whole_configuration_where_its_files_name_belongs_is_told_and_not_repeated(
    tmp_path: Path, given: str
) -> None:
    told = read(tmp_path, KEYTURN_CONFIG=given).problem
    assert told is not None
    assert given[:40] not in str(told)
