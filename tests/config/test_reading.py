"""What may be written, what it means, and how mistakes are told."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from keyturn.config import (
    ClientSecret,
    CustomCloud,
    EmulatorTime,
    FileSink,
    KeyVaultSink,
    NamedValueSink,
    TableSpec,
    WebhookSink,
)
from keyturn.config.form import BAD, Either, Field, Form, Many, Named, Node, OneOf, Problems, Span
from keyturn.config.table import CONFIGURATION
from keyturn.model import Mode, Slot
from keyturn.policy import HOUR, Consumers, Policy, ProbeSpec, Retire

from .samples import HOOK, PUBLISH, SERVICES, SHOP, config, one_policy, policy, refusal


def test_the_smallest_configuration_means_the_policys_own_defaults() -> None:
    read = config(one_policy())
    assert read.policies[0].policy == Policy(name="partners")
    assert read.policies[0].publish == (KeyVaultSink(vault="shop-kv", secret="apim-{sid}"),)
    assert (read.ledger, read.salt_env, read.signin, read.cloud, read.clock) == (
        "sqlite:///keyturn.db",
        None,
        None,
        "public",
        None,
    )
    assert (read.budget_share, read.workers) == (0.5, 8)
    assert list(read.services) == ["shop", "mail"]


def test_every_setting_of_a_policy_arrives_where_it_belongs() -> None:
    settings = (
        "rotate: {every: 1w}, renew: regenerate, retire: next-rotation, adopt: secondary, accepts: 7, settle: 1s, "
        "probe: {path: /p, method: HEAD, query: k, gateways: ['https://a.example:444/']}, propagation: 2m, "
        "consumers: {cache: 5m, longest_call: 6s, replication: 7s}, drain: {time: 1h30m, max: 5h}, look_every: 8h, "
        "deadline: 9s, late: 10m, max_clock_skew: 11s,"
    )
    minute, second = timedelta(minutes=1), timedelta(seconds=1)
    assert config(one_policy(settings)).policies[0].policy == Policy(
        name="partners",
        mode=Mode.REGENERATE,
        every=timedelta(weeks=1),
        drain=90 * minute,
        drain_max=300 * minute,
        retire=Retire.NEXT_ROTATION,
        adopt=Slot.SECONDARY,
        consumers=Consumers(cache=5 * minute, longest_call=6 * second, replication=7 * second),
        probe=ProbeSpec(path="/p", method="HEAD", query="k", gateways=("https://a.example:444",)),
        accepts=7,
        settle=second,
        propagation=2 * minute,
        look_every=480 * minute,
        deadline=9 * second,
        late=10 * minute,
        max_clock_skew=11 * second,
    )


def test_every_setting_outside_of_policies_arrives_where_it_belongs() -> None:
    rest = (
        "ledger: sqlite:////var/k.db\nsalt: {env: SALT}\nbudget: {share: 25%}\nworkers: 3\n"
        "signin: {client_secret: {tenant: t, client_id: c, secret_env: S}}\n"
        "clock: {emulator: {control: 'http://127.0.0.1:4100/_emulator', secret_env: E}}\n"
        "cloud: {authority: 'https://login.my/', resource_manager: 'https://arm.my:8443', vault_suffix: vault.my, "
        "ca: c.pem}\n"
    )
    read = config(one_policy(rest=rest), "conf/keyturn.yaml")
    assert read.ledger == "sqlite:////var/k.db"
    assert (read.salt_env, read.budget_share, read.workers) == ("SALT", 0.25, 3)
    assert read.signin == ClientSecret(tenant="t", client_id="c", secret_env="S")
    assert read.clock == EmulatorTime(control="http://127.0.0.1:4100/_emulator", secret_env="E")
    assert read.cloud == CustomCloud(
        authority="https://login.my",
        resource_manager="https://arm.my:8443",
        audience="https://arm.my:8443",
        vault_suffix="vault.my",
        ca="conf/c.pem",
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{connection_env: AzureWebJobsStorage}", TableSpec(name="keyturn", connection_env="AzureWebJobsStorage")),
        ("{name: Turns2, connection_env: STORE}", TableSpec(name="Turns2", connection_env="STORE")),
        (
            "{url: 'https://shop.table.core.windows.net/'}",
            TableSpec(name="keyturn", url="https://shop.table.core.windows.net"),
        ),
        (
            "{url: 'https://127.0.0.1:10002/devstoreaccount1'}",
            TableSpec(name="keyturn", url="https://127.0.0.1:10002/devstoreaccount1"),
        ),
    ],
)
def test_a_ledger_in_a_table_arrives_as_it_is_written(written: str, meant: TableSpec) -> None:
    assert config(one_policy(rest=f"ledger: {{table: {written}}}\n"), "/opt/app/keyturn.yaml").ledger == meant


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("{table: {name: keyturn}}", "ledger.table has no way to its storage account"),
        (
            "{table: {connection_env: STORE, url: 'https://shop.table.core.windows.net'}}",
            "ledger.table has two ways to its storage account",
        ),
        ("{table: {name: 1st, connection_env: STORE}}", "ledger.table.name: '1st' is not the name of a table"),
        ("{table: {name: no, connection_env: STORE}}", "ledger.table.name: 'no' is not the name of a table"),
        ("{table: {connection_env: 'AccountKey=hunter2'}}", "ledger.table.connection_env: this is not the name"),
        (
            "{table: {url: 'https://shop.table.core.windows.net?sig=hunter2'}}",
            "ledger.table.url: this is not the address of an account's table storage",
        ),
        ("{table: {url: 'http://shop.table.core.windows.net'}}", "ledger.table.url: this is not the address"),
        ("{file: {path: x}}", "'file' is not known here"),
        ("keyturn.db", "ledger: this is not the address of a ledger"),
    ],
)
def test_a_ledger_that_cannot_be_meant_is_refused_in_one_line(written: str, sentence: str) -> None:
    (told,) = refusal(one_policy(rest=f"ledger: {written}\n"))
    assert sentence in told
    assert "hunter2" not in told


def test_relative_paths_are_beside_the_configuration() -> None:
    publish = "publish: [{file: {path: out/keys.json, variable: K}}, {file: {path: /etc/k.env, variable: K}}]"
    text = f"{SERVICES}policies:\n{policy(publish=publish)}ledger: sqlite:///k.db\n"
    read = config(text, "/opt/app/keyturn.yaml")
    assert read.ledger == "sqlite:////opt/app/k.db"
    assert read.policies[0].publish == (
        FileSink(path="/opt/app/out/keys.json", variable="K", format="json"),
        FileSink(path="/etc/k.env", variable="K", format="dotenv"),
    )


def test_named_values_and_webhooks_arrive_as_they_are_written() -> None:
    publish = (
        'publish: [{namedvalue: {name: "{sid}-key"}}, {namedvalue: {name: k, service: mail}}, '
        "{webhook: {url: 'http://127.0.0.1:9000', secret_env: S, include_value: true}}, " + f"{HOOK}]"
    )
    assert config(f"{SERVICES}policies:\n{policy(publish=publish)}").policies[0].publish == (
        NamedValueSink(named_value="{sid}-key"),
        NamedValueSink(named_value="k", service="mail"),
        WebhookSink(url="http://127.0.0.1:9000", secret_env="S", include_value=True),
        WebhookSink(url="https://hooks.example.com:8443/keyturn", secret_env="HOOK", include_value=False),
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2@hooks.example.com/x",
        "https://hooks.example.com/x?sig=hunter2",
        "https://hooks.example.com/x#hunter2",
        "http://localhost.example.com/hunter2",
        "ftp://hooks.example.com/hunter2",
        "hunter2",
    ],
)
def test_an_address_that_may_hold_a_secret_is_refused_and_not_repeated(url: str) -> None:
    publish = f"publish: [{{webhook: {{url: '{url}', secret_env: S}}}}]"
    (told,) = refusal(f"{SERVICES}policies:\n{policy(publish=publish)}")
    assert "publish[0].webhook.url: this is not an https address" in told and "hunter2" not in told


@pytest.mark.parametrize(
    "host", ["https://h", "http://localhost", "http://127.0.0.1:80", "http://[::1]:80", "https://[::1]"]
)
def test_an_address_is_https_or_on_this_machine(host: str) -> None:
    publish = f"publish: [{{webhook: {{url: '{host}/a/b_c', secret_env: S}}}}]"
    (sink,) = config(f"{SERVICES}policies:\n{policy(publish=publish)}").policies[0].publish
    assert sink.name == f"{host}/a/b_c"


def _defaults(kind: object, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str, object]]:
    """Every default in the table that could be written, with its path."""
    match kind:
        case Form():
            here = [((*path, f.name), f.default, f.kind) for f in kind.fields if f.default and " " not in f.default]
            return here + [found for f in kind.fields for found in _defaults(f.kind, (*path, f.name))]
        case Either():
            return _defaults(kind.form, path)
        case Named() | Many():
            return _defaults(kind.of, path)
        case OneOf():
            return [found for name, form in kind.forms.items() for found in _defaults(form, (*path, name))]
        case _:
            return []


POLICY_DEFAULTS = [
    (path[1:], default)
    for path, default, _ in _defaults(CONFIGURATION)
    if path[0] == "policies" and not {"probe", "tokens", "publish"} & set(path)  # have tests of their own
]
FILE_DEFAULTS = [
    (path, default)
    for path, default, _ in _defaults(CONFIGURATION)
    if path[0] not in ("policies", "services", "cloud") and path[:2] != ("ledger", "table")
    if path[0] != "signin" or len(path) == 1  # its forms have tests of their own
] + [(("cloud",), "public")]


@pytest.mark.parametrize(("path", "default"), POLICY_DEFAULTS, ids=[".".join(path) for path, _ in POLICY_DEFAULTS])
def test_writing_a_policys_default_changes_nothing(path: tuple[str, ...], default: str) -> None:
    written = default
    for name in reversed(path[1:]):
        written = f"{{{name}: {written}}}"
    assert config(one_policy(f"{path[0]}: {written},")).policies[0].policy == config(one_policy()).policies[0].policy


@pytest.mark.parametrize(("path", "default"), FILE_DEFAULTS, ids=[".".join(path) for path, _ in FILE_DEFAULTS])
def test_writing_another_default_changes_nothing(path: tuple[str, ...], default: str) -> None:
    written = default
    for name in reversed(path[1:]):
        written = f"{{{name}: {written}}}"
    assert config(one_policy(rest=f"{path[0]}: {written}\n")) == config(one_policy())


def test_writing_a_probes_default_changes_nothing() -> None:
    found = {path[-1]: default for path, default, _ in _defaults(CONFIGURATION) if path[:2] == ("policies", "probe")}
    assert set(found) == {"method", "header"}
    for name, default in found.items():
        written = config(one_policy(f"probe: {{path: /p, {name}: {default}}},"))
        assert written == config(one_policy("probe: {path: /p},"))


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("45s", 45),
        ("10m", 600),
        ("10min", 600),
        ("1h30m", 5400),
        ("1 h 30 min", 5400),
        ("30d", 2_592_000),
        ("2w", 1_209_600),
        ("1w2d3h4m5s", 788_645),
    ],
)
def test_durations_are_written_as_people_write_them(written: str, seconds: int) -> None:
    problems = Problems()
    assert Span().read(Node(written, 1, 1), "x", problems) == timedelta(seconds=seconds)
    assert problems.found == []


@pytest.mark.parametrize(
    ("written", "word"),
    [
        ("30", "30d for days"),
        ("1.5", "no unit"),
        ("30x", "not a duration"),
        ("30m1h", "not a duration"),
        ("-5m", "not a duration"),
        ("h", "not a duration"),
        ("1h1h", "not a duration"),
        ("", "empty"),
        ("0s", "no time at all"),
        ("999999999d", "ten years"),
        ("9" * 5000 + "d", "not a duration"),
        ("٣d", "not a duration"),
    ],
)
def test_what_is_no_duration_is_refused_with_a_hint(written: str, word: str) -> None:
    problems = Problems()
    assert Span().read(Node(written, 1, 1), "x", problems) is BAD
    (problem,) = problems.found
    assert word in problem.shown("k.yaml")
    assert problem.hint


# Each row: what is written, where the refusal points, and what it says.
MISTAKES = {
    "unknown setting": (one_policy("probes: x,"), "keyturn.yaml:5:6", "Did you mean probe?"),
    "unknown setting on top": (one_policy(rest="legder: x\n"), "keyturn.yaml:6:1", "Did you mean ledger?"),
    "no services": (f"policies:\n{policy()}", "keyturn.yaml:1:1", "services is missing"),
    "no policies": (SERVICES, "keyturn.yaml:1:1", "policies is missing"),
    "empty policies": (f"{SERVICES}policies: []\n", "keyturn.yaml:4:1", "empty list"),
    "a list instead of a map": ("- a\n", "keyturn.yaml:1:1", "not a map"),
    "no publish": (
        f"{SERVICES}policies:\n  - {{name: p, match: {{}}}}\n",
        "keyturn.yaml:5:5",
        "must say where to publish",
    ),
    "publish nowhere": (f"{SERVICES}policies:\n{policy(publish='publish: []')}", "keyturn.yaml:5:", "empty list"),
    "no match": (f"{SERVICES}policies:\n  - {{name: p, {PUBLISH}}}\n", "keyturn.yaml:5:5", "match is missing"),
    "odd ARM id": (
        f"services:\n  shop: {{id: /subscriptions/x/shop}}\npolicies:\n{policy()}",
        "keyturn.yaml:2:14",
        "not the ARM id",
    ),
    "one service twice": (
        f"services:\n  shop: {{id: {SHOP}/a}}\n  b: {{id: {SHOP.lower()}/A}}\npolicies:\n{policy()}",
        "keyturn.yaml:3:11",
        "same service as shop",
    ),
    "alias with a slash": (
        f"services:\n  a/b: {{id: {SHOP}/a}}\n  shop: {{id: {SHOP}/b}}\npolicies:\n{policy()}",
        "keyturn.yaml:2:3",
        "not an alias",
    ),
    "unknown service": (
        f"{SERVICES}policies:\n{policy(match='{service: shpo}')}",
        "keyturn.yaml:5:",
        "Did you mean shop?",
    ),
    "same name twice": (f"{SERVICES}policies:\n{policy()}{policy()}", "keyturn.yaml:6:", "Two policies"),
    "no unit": (one_policy("drain: 24,"), "keyturn.yaml:5:13", "Write 24d for days"),
    "header and query": (one_policy("probe: {path: /p, header: H, query: q},"), "keyturn.yaml:5:42", "not both"),
    "nothing confirms": (one_policy("propagation: 0s,"), "keyturn.yaml:5:19", "nothing would confirm"),
    "probe without a slash": (one_policy("probe: {path: p},"), "keyturn.yaml:5:20", "begins with /"),
    "probe at http": (one_policy("probe: {path: /p, gateways: ['http://a']},"), "keyturn.yaml:5:", "https://"),
    "unknown word": (one_policy("renew: regenrate,"), "keyturn.yaml:5:13", "Did you mean regenerate?"),
    "window": (
        one_policy("rotate: {every: 30d, window: Mon},"),
        "keyturn.yaml:5:35",
        "Write days, hours and zone",
    ),
    "no such zone": (
        one_policy("rotate: {every: 30d, window: 9:00-16:00 Europe/Atlantis},"),
        "keyturn.yaml:5:35",
        "is no time zone",
    ),
    "jitter": (
        one_policy("rotate: {every: 30d, jitter: 29d},"),
        "keyturn.yaml:5:35",
        "leaves of every 30 d no more than drain",
    ),
    "unknown sink": (
        f"{SERVICES}policies:\n{policy(publish='publish: [{keyvalt: {vault: v}}]')}",
        "keyturn.yaml:5:",
        "Did you mean keyvault?",
    ),
    "two kinds of sink in one": (
        f"{SERVICES}policies:\n{policy(publish='publish: [{keyvault: {}, file: {}}]')}",
        "keyturn.yaml:5:",
        "exactly one kind",
    ),
    "unknown template word": (
        f"{SERVICES}policies:\n" + policy(publish='publish: [{keyvault: {vault: v, secret: "{sd}"}}]'),
        "keyturn.yaml:5:",
        "Did you mean sid?",
    ),
    "lone brace": (
        f"{SERVICES}policies:\n" + policy(publish='publish: [{keyvault: {vault: v, secret: "{sid"}}]'),
        "keyturn.yaml:5:",
        "without its partner",
    ),
    "the same sink twice": (
        f"{SERVICES}policies:\n"
        + policy(publish="publish: [{file: {path: a/../k, variable: K}}, {file: {path: k, variable: K}}]"),
        "keyturn.yaml:5:",
        "same sink twice",
    ),
    "one receiver twice": (
        f"{SERVICES}policies:\n" + policy(publish=f"publish: [{HOOK}, {HOOK}]"),
        "keyturn.yaml:5:",
        "same sink twice",
    ),
    "a receiver with a secret in its query": (
        f"{SERVICES}policies:\n" + policy(publish=f"publish: [{HOOK}]").replace("/keyturn", "/keyturn?code=hunter2"),
        "keyturn.yaml:5:",
        "nothing secret may be in it",
    ),
    "a receiver without https": (
        f"{SERVICES}policies:\n" + policy(publish=f"publish: [{HOOK}]").replace("https:", "http:"),
        "keyturn.yaml:5:",
        "not an https address",
    ),
    "a receiver without a signing secret": (
        f"{SERVICES}policies:\n" + policy(publish="publish: [{webhook: {url: 'https://hooks.example.com'}}]"),
        "keyturn.yaml:5:",
        "secret_env is missing",
    ),
    "a named value of no service": (
        f"{SERVICES}policies:\n" + policy(publish="publish: [{namedvalue: {name: k, service: shpo}}]"),
        "keyturn.yaml:5:",
        "Did you mean shop?",
    ),
    "a named value with an unknown template word": (
        f"{SERVICES}policies:\n" + policy(publish='publish: [{namedvalue: {name: "{sd}"}}]'),
        "keyturn.yaml:5:",
        "Did you mean sid?",
    ),
    "share above all": (one_policy(rest="budget: {share: 150%}\n"), "keyturn.yaml:6:17", "50%"),
    "no workers": (one_policy(rest="workers: 0\n"), "keyturn.yaml:6:10", "from 1 to 64"),
    "flag by another name": (
        f"services:\n  shop: {{id: {SHOP}/a, trust_etag: yes}}\npolicies:\n{policy()}",
        "keyturn.yaml:2:",
        "neither true nor false",
    ),
    "ledger in memory": (one_policy(rest="ledger: 'sqlite:///:memory:'\n"), "keyturn.yaml:6:9", "SQLite"),
    "ledger elsewhere": (one_policy(rest="ledger: postgresql://db/k\n"), "keyturn.yaml:6:9", "SQLite"),
    "nothing after the colon": (one_policy(rest="ledger:\n"), "keyturn.yaml:6:8", "is empty"),
    "cloud by a wrong name": (one_policy(rest="cloud: usgv\n"), "keyturn.yaml:6:8", "Did you mean usgov?"),
    "half a cloud": (one_policy(rest="cloud: {authority: 'https://a'}\n"), "keyturn.yaml:6:8", "is missing"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_its_place_and_a_way_out(name: str) -> None:
    text, place, word = MISTAKES[name]
    told = refusal(text)
    assert any(line.startswith(place) and word in line for line in told), told


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = one_policy("drain: 30, accepts: many, rotate: {evry: 1d},", "workers: x\nclouds: public\n")
    told = refusal(text)
    assert [line.partition("  ")[0] for line in told] == [
        "keyturn.yaml:5:13",
        "keyturn.yaml:5:26",
        "keyturn.yaml:5:41",
        "keyturn.yaml:6:10",
        "keyturn.yaml:7:1",
    ]


def test_a_short_drain_is_refused_at_its_own_line_with_the_sum() -> None:
    text = f"""{SERVICES}policies:
  - name: partners
    match: {{service: shop}}
    {PUBLISH}
    consumers: {{cache: 1h}}
    drain: 30m
"""
    (told,) = refusal(text)
    assert told.startswith("keyturn.yaml:9:12  drain: 30 min is shorter than what your callers need: cache 1 h + ")
    assert "= 1 h 5 min" in told


def test_a_drain_that_is_short_by_default_is_told_at_the_policy() -> None:
    (told,) = refusal(one_policy("consumers: {cache: 3d},"))
    assert told.startswith("keyturn.yaml:5:5  drain: 24 h is shorter")


def test_a_period_within_the_drain_and_a_short_maximum_point_at_themselves() -> None:
    told = refusal(one_policy("rotate: {every: 20h}, drain: {time: 24h, max: 1h},"))
    assert [line.split("  ")[1].split(":")[0] for line in told] == ["rotate.every", "drain.max"]
    assert [line.split("  ")[0] for line in told] == ["keyturn.yaml:5:22", "keyturn.yaml:5:52"]


def test_bounds_are_still_told_beside_other_mistakes() -> None:
    told = refusal(one_policy("drain: 30m, acepts: 5, settle: soon,"))
    assert len(told) == 3


def test_a_secret_written_in_place_of_a_variables_name_is_not_repeated() -> None:
    secret = "p8Q~not-a-name"
    for rest in (
        f"signin: {{client_secret: {{tenant: t, client_id: c, secret_env: '{secret}'}}}}\n",
        f"salt: {{env: '{secret}'}}\n",
        f"signin: {{client_secret: {{tenant: t, client_id: c, secret: '{secret}'}}}}\n",
        f"clock: {{emulator: {{control: 'http://127.0.0.1:1', secret_env: '{secret}'}}}}\n",
    ):
        told = refusal(one_policy(rest=rest))
        assert told
        assert all(secret not in line for line in told)


def test_windows_jitter_and_pace_are_read() -> None:
    written = (
        "rotate: {every: 30d, window: [Mon-Thu 09:00-16:00 Europe/Oslo, '10:00-11:00'], jitter: 2h}, "
        "pace: {first: 3, stop_above: 10%},"
    )
    read = config(one_policy(written)).policies[0].policy
    assert [str(window) for window in read.windows] == [
        "Mon-Thu 09:00-16:00 Europe/Oslo",
        "daily 10:00-11:00 UTC",
    ]
    assert (read.jitter, read.pace.first, read.pace.stop_above) == (2 * HOUR, 3, 0.1)


def test_no_setting_is_read_and_then_forgotten() -> None:
    """Changing any one setting of a policy changes what it means."""
    samples = {
        "rotate": "{every: 60d}",
        "pace": "{first: 1}",
        "park_after": "9d",
        "renew": "regenerate",
        "retire": "next-rotation",
        "adopt": "primary",
        "probe": "{path: /p}",
        "accepts": "9",
        "settle": "9s",
        "propagation": "9m",
        "consumers": "{cache: 9m}",
        "drain": "48h",
        "look_every": "9h",
        "deadline": "9s",
        "late": "9m",
        "max_clock_skew": "9s",
    }
    (form,) = [field.kind.of for field in CONFIGURATION.fields if field.name == "policies"]
    assert isinstance(form, Form)
    fields: tuple[Field, ...] = form.fields
    assert set(samples) == {field.name for field in fields} - {"name", "match", "publish", "tokens"}
    plain = msgspec.structs.replace(config(one_policy()).policies[0].policy)
    for name, value in samples.items():
        assert config(one_policy(f"{name}: {value},")).policies[0].policy != plain, name
