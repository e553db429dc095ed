"""The command line without any Azure: what is imported, what is shown, and what a wrong use reads like."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from keyturn.cli import COMMANDS, keyturn
from tests.cli.conftest import Folder

HEAVY = ("azure", "sqlalchemy", "requests", "rich", "keyturn.demo", "keyturn.turn")
IMPORTED = """\
import sys
from keyturn.cli import main
code = main(sys.argv[1:])
print(*sorted(name for name in sys.modules), file=sys.stderr)
sys.exit(code)
"""
DOCUMENT = Path(__file__).parents[2] / "docs" / "commands.md"


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("status",), ("history",), ("run", "--help")])
def test_commands_that_call_nobody_import_nothing_that_starts_slowly(filled: Folder, arguments: tuple[str]) -> None:
    (filled.path / "imported.py").write_text(IMPORTED, encoding="utf-8")
    done = filled.run(*arguments, program="imported.py")
    modules = set(done.stderr.split())
    assert "keyturn.cli" in modules
    assert not {name for name in modules for heavy in HEAVY if name == heavy or name.startswith(f"{heavy}.")}


def test_the_version_is_the_one_that_was_installed(folder: Folder) -> None:
    assert folder.run("--version").stdout == f"keyturn {version('keyturn')}\n"


def test_status_shows_every_condition_and_exits_1_for_the_held_one(filled: Folder) -> None:
    done = filled.run("status")
    assert done.returncode == 1
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert re.search(
        r"draining +primary +3 h( \d+ s)? +retire primary in 20 h 59 min +quiet-slot: ", rows["shop/contoso"]
    )
    assert re.search(r"ok +primary +12 d +due in 17 d", rows["shop/fabrikam"])
    assert re.search(r"held +primary +2 d +waits for you +sinks-disagree: ", rows["shop/legacy"])
    assert "4 credentials: 2 ok, 1 draining, 1 held.   exit 1" in done.stdout
    assert "within 24 h (look_every)" in done.stdout


def test_status_of_one_credential_names_the_wait_its_rule_its_end_and_what_would_shorten_it(filled: Folder) -> None:
    shown = filled.run("status", "shop/contoso").stdout
    for head in ("next     retire primary in", "rule     A1", "until    ", "shorter  a shorter drain"):
        assert head in shown


def test_status_of_one_at_rest_names_its_next_look_as_one_and_not_as_the_end_of_a_wait(filled: Folder) -> None:
    shown = filled.run("status", "fabrikam").stdout
    assert re.search(r"^  look     \d{4}-", shown, re.MULTILINE)
    assert "  until " not in shown


def test_status_in_json_is_one_document_with_the_same_exit_code(filled: Folder) -> None:
    done = filled.run("status", "--json")
    document = json.loads(done.stdout)
    assert document["exit"] == done.returncode == 1
    assert {each["id"]: each["condition"] for each in document["credentials"]} == {
        "shop/contoso": "draining",
        "shop/fabrikam": "ok",
        "shop/legacy": "held",
        "shop/team/contoso": "ok",
    }


def test_history_tells_what_happened_and_to_whom(filled: Folder) -> None:
    assert "shop/fabrikam  adopted fabrikam  [A13]" in filled.run("history").stdout
    assert "contoso" not in filled.run("history", "fabrikam").stdout


def test_before_the_first_run_status_and_history_say_so(folder: Folder) -> None:
    for command in ("status", "history"):
        done = folder.run(command)
        assert (done.returncode, "`keyturn run` adopts" in done.stdout) == (0, True)
    assert not folder.ledger.exists()


def test_without_a_configuration_it_says_which_command_writes_one(folder: Folder) -> None:
    (folder.path / "keyturn.yaml").unlink()
    done = folder.run("plan")
    assert (done.returncode, "Next: `keyturn init`" in done.stderr) == (2, True)


def test_a_reason_that_there_is_not_releases_nobody_and_is_wrong_use(filled: Folder) -> None:
    done = filled.run("release", "--reason", "sinks-disagre")
    assert (done.returncode, "near it: sinks-disagree" in done.stderr) == (2, True)
    assert re.search(r"legacy +held", filled.run("status").stdout)


@pytest.mark.parametrize(("name", "following"), [("contoso", "a longer end"), ("nobody", "`keyturn status` lists")])
def test_a_name_that_fits_none_or_several_says_how_to_find_the_right_one(
    filled: Folder, name: str, following: str
) -> None:
    assert f"Next: {following}" in filled.run("hold", name, "--because", "x").stderr


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nobody", "there is no credential nobody; there are 4"),
        ("contosso", "there is no credential contosso; near it: shop/contoso"),
        ("contoso", "contoso is ambiguous: it could be shop/contoso, shop/team/contoso"),
        ("team/contoso", None),
        ("kam", None),
        ("SHOP/Legacy", None),
    ],
)
def test_a_name_is_any_unique_end_of_an_id_and_a_wrong_one_lists_those_near_it(
    filled: Folder, name: str, sentence: str | None
) -> None:
    done = filled.run("status", name)
    if sentence is None:
        assert done.returncode in {0, 1}
        assert len(re.findall("^shop/", done.stdout, re.MULTILINE)) == 1
    else:
        assert done.returncode == 2
        assert sentence in done.stderr


def test_hold_and_release_ask_azure_nothing_and_stand_in_history(filled: Folder) -> None:
    assert filled.run("hold", "fabrikam", "--because", "an audit").returncode == 0
    assert "by-hand: an audit" in filled.run("status", "fabrikam").stdout
    assert filled.run("hold", "fabrikam", "--because", "again").returncode == 1
    assert filled.run("release", "fabrikam").returncode == 0
    assert "an audit" in filled.run("history", "fabrikam").stdout


@pytest.mark.parametrize("command", ["hold", "rollback"])
@pytest.mark.parametrize("given", [(), ("--because", ""), ("--because", " ")])
def test_what_needs_a_reason_refuses_to_go_without_one_and_leaves_the_ledger_as_it_is(
    filled: Folder, command: str, given: tuple[str, ...]
) -> None:
    done = filled.run(command, "fabrikam", *given)
    assert (done.returncode, "--because" in done.stderr) == (2, True)
    assert "Nothing was changed." in done.stderr
    assert re.search(r"fabrikam +ok ", filled.run("status").stdout)


def test_every_error_of_a_configuration_is_shown_at_once_with_its_place(folder: Folder) -> None:
    folder.write(CONTRADICTORY)
    done = folder.run("run")
    assert done.returncode == 2
    for place in ("keyturn.yaml:3:", "keyturn.yaml:7:", "keyturn.yaml:10:", "keyturn.yaml:11:"):
        assert place in done.stderr, done.stderr
    assert "the configuration has 4 errors" in done.stderr
    assert "Nothing was changed." in done.stderr


CONTRADICTORY = """\
services:
  shop:
    id: not-an-arm-id
policies:
  - name: partners
    match: { service: shop }
    renwe: set
    publish:
      - keyvault: { vault: shop-kv, secret: x }
    probe: { path: /ping, header: X-Key, query: key }
    drain: 30m
"""


def test_text_that_is_no_yaml_names_its_line(folder: Folder) -> None:
    folder.write("services:\n  shop: [\n")
    done = folder.run("status")
    assert done.returncode == 2
    assert "keyturn.yaml:3:1" in done.stderr


def test_a_missing_configuration_says_how_to_name_one(folder: Folder) -> None:
    done = folder.run("status", "--config", "elsewhere.yaml")
    assert done.returncode == 2
    assert "elsewhere.yaml" in done.stderr
    assert "--config" in done.stderr


def test_the_configuration_is_found_by_option_then_variable_then_name(folder: Folder, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (folder.path / "keyturn.yaml").rename(other / "mine.yaml")
    assert folder.run("status").returncode == 2
    assert folder.run("status", env={"KEYTURN_CONFIG": "other/mine.yaml"}).returncode == 0
    wrong = {"KEYTURN_CONFIG": "nothing.yaml"}
    assert folder.run("status", "--config", "other/mine.yaml", env=wrong).returncode == 0


def test_a_drain_below_its_bound_is_refused_with_the_sum_shown(folder: Folder) -> None:
    text = (folder.path / "keyturn.yaml").read_text(encoding="utf-8")
    folder.write(text.replace("drain: 24h", "drain: 30m"))
    done = folder.run("plan")
    assert done.returncode == 2
    assert "keyturn.yaml:10:12" in done.stderr
    assert "cache 1 h + longest call 2 min + sink replication 1 min + clocks 2 min = 1 h 5 min" in done.stderr


VALUE = "0123456789abcdef0123456789abcdef"


def test_a_value_is_never_taken_as_an_argument(filled: Folder) -> None:
    done = filled.run("key", "set", "fabrikam", "--slot", "primary")
    assert "never as an argument" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("key", "set", "fabrikam", VALUE, "--slot", "primary"),
        ("key", "set", "fabrikam", "--slot", "primary", "--from-env", VALUE),
        ("key", "regenerate", "fabrikam", VALUE, "--slot", "primary"),
        ("key", "set", "fabrikam", "--slot", VALUE),
        ("token", "create", "--from", "fabrikam", "--form", VALUE),
        ("key", "show", "fabrikam", VALUE, "--slot", "primary"),
        ("key", VALUE),
        ("status", VALUE),
        ("hold", VALUE, "--because", "an audit"),
    ],
    ids=" ".join,
)
def test_a_value_that_stands_where_none_belongs_is_not_repeated(filled: Folder, arguments: tuple[str, ...]) -> None:
    done = filled.run(*(VALUE if each is VALUE else each for each in arguments))
    assert done.returncode == 2
    assert "keyturn: " in done.stderr and VALUE not in done.stdout + done.stderr


def test_a_defect_is_one_line_that_names_its_type_alone_and_debug_shows_the_rest(filled: Folder) -> None:
    broken = "import sys, keyturn.cli as c, keyturn.cli.standing as l\ndef f(*a): raise ZeroDivisionError('a value')\n"
    (filled.path / "broken.py").write_text(f"{broken}l._detection = f\nsys.exit(c.main(sys.argv[1:]))\n")
    done = filled.run("status", program="broken.py")
    assert done.returncode == 1
    assert "keyturn: a defect: ZeroDivisionError" in done.stderr
    assert "a value" not in done.stderr


def test_a_reader_that_stops_reading_is_no_error_to_complain_about(filled: Folder) -> None:
    (filled.path / "pipe.py").write_text(
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-m', 'keyturn', 'schema'], stdout=subprocess.PIPE, stderr=-1)\n"
        "child.stdout.close()\n"
        "sys.stderr.write(child.stderr.read().decode())\n"
        "child.stderr.close()\n"
        "sys.exit(child.wait())\n"
    )
    assert filled.run(program="pipe.py").stderr == ""


def test_the_schema_is_a_json_document(folder: Folder) -> None:
    assert json.loads(folder.run("schema").stdout)["$schema"].startswith("https://json-schema.org/")


# -------- the documentation


def _every_command() -> list[tuple[str, click.Command]]:
    context = click.Context(keyturn)
    found: list[tuple[str, click.Command]] = []
    for name in keyturn.list_commands(context):
        command = keyturn.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found += [(f"{name} {inner}", command.commands[inner]) for inner in command.commands]
        else:
            found.append((name, command))
    return found


@pytest.mark.parametrize(("name", "command"), _every_command())
def test_every_command_and_every_option_of_it_is_documented(name: str, command: click.Command) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    found = re.search(rf"^## `keyturn {name}\b.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{name} is not in {DOCUMENT.name}"
    common = text.partition("\n## ")[0]
    options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
    missing = [option.opts[-1] for option in options if option.opts[-1] not in found[0] + common]
    assert not missing


def test_the_table_of_commands_names_only_what_exists() -> None:
    assert {name.partition(" ")[0] for name, _ in _every_command()} <= set(COMMANDS)
