"""deploy/bicep, as far as it can be judged without Azure's own compiler: its form, its names, its files, its settings,
its rights. That Azure accepts it was not tried."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keyturn import config as configuration
from keyturn.functions import settings
from keyturn.yaml_marks import read_file
from keyturn_emulator.rbac import ROLES
from tests.deploy import bicep
from tests.deploy.bicep import FILES, FOLDER, PARAMETERS, Bicep, first, properties, source, text
from tests.deploy.roles import DEFINITIONS
from tests.deploy.roles import FOLDER as ROLE_FILES
from tests.docs.pages import DOCS, ROOT, read

MAIN = Bicep.read(FOLDER / "main.bicep")
APP = Bicep.read(FOLDER / "modules" / "app.bicep")
STORAGE = Bicep.read(FOLDER / "modules" / "storage.bicep")
FUNCTIONS = {
    *("description", "secure", "allowed", "minLength", "maxLength", "minValue"),
    *("guid", "items", "last", "loadJsonContent", "resourceGroup", "split", "string", "subscriptionResourceId"),
    *("union", "uniqueString"),
}
"""Of Bicep, that are used here."""
OF_THE_HOST = {
    "AzureWebJobsStorage__accountName",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AZURE_CLIENT_ID",
}
"""Settings that the Functions host and azure-identity read; keyturn itself reads the first one, too."""
OF_KEYTURN = {
    settings.CONFIG_TEXT,
    settings.CONFIG,
    settings.SCHEDULE,
    settings.FAN_OUT,
    settings.QUEUE_NAME,
    settings.TIME_LIMIT,
}
DEFAULTS = {
    "configurationFile": settings.CONFIG_NAME,
    "schedule": settings.EVERY_FIVE_MINUTES,
    "fanOut": "queue",
    "queueName": settings.USUAL_QUEUE,
    "timeLimit": f"{settings.USUAL_TIME_LIMIT:g}",
}
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ROLE_ROW = re.compile(rf"^\| ([\w ]+) \| `({GUID.pattern})` \|", re.MULTILINE)
KNOWN_ROLES = dict(ROLE_ROW.findall(read(DOCS / "azure-facts.md")))


def name(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix()


def app_settings() -> dict[str, str]:
    """The app settings of the template: name to expression."""
    declared = APP.declared("resource_declaration")["settings"]
    union = properties(first(declared, "object"))["properties"]
    return {key: source(value) for key, value in properties(first(union, "object")).items()}


# -------- its form


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_file_fits_the_grammar(path: Path) -> None:
    assert Bicep.read(path).mistakes() == []


@pytest.mark.parametrize("path", PARAMETERS, ids=name)
def test_a_file_of_parameters_fits_the_grammar(path: Path) -> None:
    assert Bicep.read_parameters(path).mistakes() == []


def test_what_does_not_fit_the_grammar_is_noticed() -> None:
    assert Bicep("param name string\nresource x 'y' = {\n").mistakes()
    assert Bicep("param = string\n").mistakes()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_name_that_a_file_uses_is_declared_in_it(path: Path) -> None:
    file = Bicep.read(path)
    assert bicep.used(file) - set(file.declared()) - bicep.loop_names(file) - FUNCTIONS == set()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_everything_that_a_file_declares_for_itself_is_used(path: Path) -> None:
    file = Bicep.read(path)
    declared = set(file.declared("parameter_declaration", "variable_declaration"))
    assert declared - bicep.used(file) == set()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_parameter_and_output_says_what_it_is(path: Path) -> None:
    lines = read(path).splitlines()
    silent = []
    for at, line in enumerate(lines):
        if re.match(r"(?:param|output) ", line):
            above = at - 1
            while re.match(r"@(?!description)", lines[above]):
                above -= 1
            if not re.match(r"@description\('.{5,}'\)$", lines[above]):
                silent.append(line)
    assert silent == []


def test_every_resource_says_which_version_of_azures_interface_it_was_written_for() -> None:
    kinds = {text(first(node, "string")) for path in FILES for node in Bicep.read(path).nodes("resource_declaration")}
    outermost = {kind for kind in kinds if "/" in kind}
    assert len(outermost) > 8
    assert [kind for kind in outermost if not re.fullmatch(r"Microsoft\.\w+/\w+@20\d\d-\d\d-\d\d", kind)] == []


# -------- its files


def test_every_module_is_there_and_used() -> None:
    named = {text(first(node, "string")) for node in MAIN.nodes("module_declaration")}
    assert {(FOLDER / path).resolve() for path in named} == {path for path in FILES if path.name != "main.bicep"}


def test_a_module_is_given_what_it_needs_and_nothing_that_it_does_not_know() -> None:
    for module in MAIN.nodes("module_declaration"):
        path = text(first(module, "string"))
        given = set(properties(properties(first(module, "object"))["params"]))
        known = Bicep.read(FOLDER / path).declared("parameter_declaration")
        assert given == set(known), path


def test_only_outputs_that_a_module_has_are_read() -> None:
    files = {source(bicep.name_of(node)): text(first(node, "string")) for node in MAIN.nodes("module_declaration")}
    read_ones = re.findall(r"\b(\w+)\.outputs\.(\w+)", MAIN.text)
    assert len(read_ones) > 4
    for module, output in read_ones:
        assert output in Bicep.read(FOLDER / files[module]).declared("output_declaration"), (module, output)


@pytest.mark.parametrize("path", PARAMETERS, ids=name)
def test_the_example_gives_every_parameter_that_has_no_default_and_no_unknown_one(path: Path) -> None:
    file = Bicep.read_parameters(path)
    assert text(first(next(file.nodes("using_statement")), "string")) == "./main.bicep"
    known = MAIN.declared("parameter_declaration")
    needed = {key for key, node in known.items() if "=" not in [child.type for child in node.children]}
    given = set(file.declared("variable_declaration"))
    assert needed <= given <= set(known)
    assert len(needed) == 2


# -------- its settings


def test_the_app_settings_are_those_that_the_app_reads() -> None:
    assert set(app_settings()) == OF_KEYTURN | OF_THE_HOST


def test_every_setting_of_keyturn_in_the_code_is_known_here() -> None:
    named = {value for value in vars(settings).values() if isinstance(value, str) and value.startswith("KEYTURN_")}
    assert named == OF_KEYTURN


def test_the_settings_that_have_defaults_in_the_code_have_the_same_here() -> None:
    declared = MAIN.declared("parameter_declaration")
    told = {name: text(declared[name].children[-1]) for name in DEFAULTS}
    assert told == DEFAULTS


def test_the_app_reads_the_templates_settings_as_a_ledger_in_its_own_storage_account(tmp_path: Path) -> None:
    """With the values that the template would give, and the configuration that lies in the app's folder."""
    given = dict.fromkeys(app_settings(), "")
    given |= {
        settings.CONFIG: settings.CONFIG_NAME,
        settings.SCHEDULE: settings.EVERY_FIVE_MINUTES,
        settings.FAN_OUT: "queue",
        settings.QUEUE_NAME: settings.USUAL_QUEUE,
        settings.TIME_LIMIT: "240",
        "AzureWebJobsStorage__accountName": "ktexample",
    }
    found = settings.read_settings(given, ROOT / "function_app")
    assert found.problem is None and found.config is not None
    ledger = found.config.ledger
    assert isinstance(ledger, configuration.TableSpec)
    assert (ledger.url, ledger.connection_env) == ("https://ktexample.table.core.windows.net", None)
    assert f"var ledger = '{ledger.name}'" in STORAGE.text
    assert found.config.signin is None  # that is the managed identity


def test_the_queues_are_those_that_the_app_listens_to() -> None:
    named = {source(properties(first(node, "object"))["name"]) for node in STORAGE.nodes("resource_declaration")}
    assert {"queueName", "'${queueName}-poison'"} <= named
    assert settings.AppSettings(queue="any").poison_queue == "any-poison"


# -------- its rights


def test_every_role_file_can_be_chosen_by_its_name() -> None:
    files = {Path(path).name for path in MAIN.calls("loadJsonContent")}
    assert files == {path.name for path in ROLE_FILES.glob("*.json")}
    assert all((FOLDER / path).is_file() for path in MAIN.calls("loadJsonContent"))
    definitions = properties(first(MAIN.declared("variable_declaration")["definitions"], "object"))
    told = {key: Path(text(first(node, "string"))).stem for key, node in definitions.items()}
    assert told == {key: key for key in DEFINITIONS}
    union = first(MAIN.declared("parameter_declaration")["roles"], "union_type")
    assert {text(node) for node in union.named_children} == set(DEFINITIONS)


def test_a_role_definition_takes_everything_from_its_file_but_where_it_may_be_assigned() -> None:
    taken = set(re.findall(r"\beach\.(\w+)", read(FOLDER / "modules" / "service-roles.bicep")))
    assert taken == set(next(iter(DEFINITIONS.values()))) - {"IsCustom", "AssignableScopes"}


def test_the_ids_of_built_in_roles_are_those_that_are_known() -> None:
    """azure-facts 3.2"""
    named = dict(re.findall(rf"'([\w ]+)': '({GUID.pattern})'", STORAGE.text))
    (officer,) = GUID.findall(read(FOLDER / "modules" / "vault-role.bicep"))
    named["Key Vault Secrets Officer"] = officer
    assert len(named) == 4
    assert named == {role: KNOWN_ROLES[role] for role in named}
    emulated = {role.name: role.id for role in ROLES}
    assert {role: emulated[role] for role in KNOWN_ROLES if role in emulated} == {
        role: id for role, id in KNOWN_ROLES.items() if role in emulated
    }


def test_no_other_role_is_assigned() -> None:
    ids = {id for path in FILES for id in GUID.findall(read(path))}
    assert ids == set(KNOWN_ROLES.values()) - {KNOWN_ROLES["API Management Service Contributor"]}


def test_every_assignment_stands_at_one_resource_and_is_for_the_apps_identity() -> None:
    found = []
    for path in FILES:
        for node in Bicep.read(path).nodes("resource_declaration"):
            if text(first(node, "string")).startswith("Microsoft.Authorization/roleAssignments@"):
                told = properties(first(node, "object"))
                found.append((source(told["scope"]), source(properties(told["properties"])["principalId"])))
    assert sorted(found) == [("account", "principalId"), ("service", "principalId"), ("vault", "principalId")]


def test_no_key_opens_the_storage_account() -> None:
    assert "allowSharedKeyAccess: false" in STORAGE.text
    assert not [path for path in FILES if re.search(r"listKeys|AccountKey", read(path))]


def test_the_deployed_examples_configuration_is_one() -> None:
    path = ROOT / "function_app" / settings.CONFIG_NAME
    assert configuration.parse(read_file(path), path.name).policies
