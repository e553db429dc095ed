"""What a shell completes: commands, options, names from the ledger, reasons; and silence where anything is wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from keyturn.cli import COMMANDS
from keyturn.cli.completing import fitting
from keyturn.cli.shells import SHELLS
from keyturn.ledgers.sql import SqlLedger
from keyturn.model import Record
from keyturn.reasons import REASONS, RULES
from tests.cli.conftest import SIDS, Folder
from tests.cli.test_commands import HEAVY, IMPORTED

PROGRAM = f'#!/bin/sh\nexec {sys.executable} -m keyturn "$@"\n'


def completed(folder: Folder, *words: str, shell: str = "bash") -> list[str]:
    """What is offered for the last of the words."""
    env = {"_KEYTURN_COMPLETE": f"{shell}_complete", "COMP_WORDS": " ".join(["keyturn", *words])}
    done = folder.run(env={**env, "COMP_CWORD": str(len(words))})
    assert (done.returncode, done.stderr) == (0, "")
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_commands_are_completed_from_their_table(filled: Folder) -> None:
    assert completed(filled, "ex") == ["explain"]
    assert set(completed(filled, "")) == set(COMMANDS)


def test_options_and_inner_commands_are_completed(filled: Folder) -> None:
    assert completed(filled, "status", "--wa") == ["--watch"]
    assert completed(filled, "key", "re") == ["regenerate"]


@pytest.mark.parametrize("command", ["status", "hold", "plan", "rotate", "history", "key show", "rollback"])
def test_names_are_completed_from_the_ledger(filled: Folder, command: str) -> None:
    assert completed(filled, *command.split(), "shop/") == [f"shop/{sid}" for sid in SIDS]
    assert completed(filled, *command.split(), "leg") == ["legacy"]


def test_a_name_that_stands_there_is_not_offered_again(filled: Folder) -> None:
    assert "shop/legacy" not in completed(filled, "status", "shop/legacy", "shop/")


def test_names_come_from_the_configuration_that_is_named(filled: Folder) -> None:
    (filled.path / "keyturn.yaml").rename(filled.path / "other.yaml")
    assert completed(filled, "status", "shop/") == []
    assert completed(filled, "status", "--config", "other.yaml", "shop/l") == ["shop/legacy"]


def test_reasons_and_rules_are_completed_for_explain(filled: Folder) -> None:
    assert completed(filled, "explain", "sink-") == [code for code in REASONS if code.startswith("sink-")]
    assert completed(filled, "explain", "a1") == [name for name in RULES if name.startswith("A1")]


@pytest.mark.parametrize("breaks", ["no configuration", "wrong configuration", "no ledger", "broken ledger"])
def test_whatever_is_wrong_completes_to_nothing_and_says_nothing(filled: Folder, breaks: str) -> None:
    if breaks == "no configuration":
        (filled.path / "keyturn.yaml").unlink()
    elif breaks == "wrong configuration":
        filled.write("services: [")
    elif breaks == "no ledger":
        filled.ledger.unlink()
    else:
        filled.ledger.write_bytes(b"no ledger at all" * 64)
    assert completed(filled, "status", "shop/") == []


def test_an_option_that_prints_is_not_carried_out_at_a_press_of_the_tab_key(filled: Folder) -> None:
    assert completed(filled, "--version", "sta") == ["status"]


def test_names_are_completed_without_azure(filled: Folder) -> None:
    (filled.path / "imported.py").write_text(
        IMPORTED.replace("code = main", "try: main").replace(
            "(sys.argv[1:])", "(sys.argv[1:])\nexcept SystemExit: pass\ncode = 0"
        ),
        encoding="utf-8",
    )
    env = {"_KEYTURN_COMPLETE": "bash_complete", "COMP_WORDS": "keyturn status shop/", "COMP_CWORD": "2"}
    done = filled.run(program="imported.py", env=env)
    assert "shop/legacy" in done.stdout
    modules = done.stderr.split()
    assert "keyturn.ledgers.reading" in modules
    assert not {name for name in modules for heavy in HEAVY if name == heavy or name.startswith(f"{heavy}.")}


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("shop/c", ["shop/contoso"]),
        ("SHOP/C", ["shop/contoso"]),
        ("team", ["team/contoso"]),
        ("contoso", []),
        ("fab", ["fabrikam"]),
        ("xyz", []),
    ],
)
def test_a_name_is_completed_from_its_beginning_or_from_an_end_that_is_the_only_one(
    typed: str, offered: list[str]
) -> None:
    assert fitting([f"shop/{sid}" for sid in SIDS], typed) == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_each_shell_asks_this_very_program(folder: Folder, shell: str) -> None:
    script = folder.run("completion", shell).stdout
    assert f"_KEYTURN_COMPLETE={shell}_complete" in script
    assert "%(" not in script


def test_the_help_says_where_each_script_goes(folder: Folder) -> None:
    shown = folder.run("completion", "--help").stdout
    for shell in SHELLS:
        assert re.search(rf"^ *{shell} +~/", shown, re.MULTILINE), shown


def test_bash_completes_with_the_script(filled: Folder, tmp_path: Path) -> None:
    program = tmp_path / "keyturn"
    program.write_text(PROGRAM, encoding="utf-8")
    program.chmod(0o700)
    (filled.path / "script").write_text(filled.run("completion", "bash").stdout, encoding="utf-8")
    asked = (
        "source ./script; COMP_WORDS=(keyturn status shop/l); COMP_CWORD=2; "
        f"_keyturn_completion '{program}' shop/l status; echo \"${{COMPREPLY[@]}}\"; complete -p keyturn"
    )
    done = subprocess.run(["bash", "--norc", "-c", asked], cwd=filled.path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[0] == "shop/legacy", done.stderr
    assert "-F _keyturn_completion keyturn" in done.stdout


@pytest.mark.parametrize(
    "sid", ["two words", "a;touch stolen", "a`touch stolen`", "$(touch stolen)", "it's", 'a"b', "back\\slash", "a|b&c"]
)
def test_a_sid_that_a_stranger_chose_is_one_word_of_bash_and_runs_nothing(
    filled: Folder, tmp_path: Path, sid: str
) -> None:
    """API Management allows all of these in a sid, and bash puts what it is offered on the line as it stands."""
    _rename(filled, f"shop/{sid}")
    program = tmp_path / "keyturn"
    program.write_text(PROGRAM, encoding="utf-8")
    program.chmod(0o700)
    (filled.path / "script").write_text(filled.run("completion", "bash").stdout, encoding="utf-8")
    asked = (
        "source ./script; COMP_WORDS=(keyturn status shop/); COMP_CWORD=2; "
        f"_keyturn_completion '{program}' shop/ status; "
        'eval "set -- ${COMPREPLY[0]}"; printf "%s\\n" "$#" "$1"'
    )
    done = subprocess.run(["bash", "--norc", "-c", asked], cwd=filled.path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["1", f"shop/{sid}"], done.stderr
    assert not (filled.path / "stolen").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_name_with_a_line_break_or_an_escape_in_it_is_not_offered(filled: Folder, shell: str) -> None:
    _rename(filled, "shop/a\nplain,rm", "shop/b\x1b[2J")
    assert completed(filled, "status", "shop/", shell=shell) == completed(filled, "status", "shop/l", shell=shell)


def _rename(folder: Folder, *ids: str) -> None:
    """The first records in the ledger get these ids."""
    folder.ledger.unlink()
    with SqlLedger.open(f"sqlite:///{folder.ledger}") as ledger:
        for at, id in enumerate([*ids, "shop/legacy"] if len(ids) > 1 else ids):
            ledger.save(Record(key=f"/x/{at}", id=id), 0, [])
