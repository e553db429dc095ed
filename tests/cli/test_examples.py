"""The examples in every command's help: they are there, and each is what the command takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from keyturn.cli import keyturn
from keyturn.cli.examples import EXAMPLES, FIRST
from tests.cli.inside import run
from tests.cli.terminal import show

EVERY = [*EXAMPLES.items(), ("", FIRST)]
LINES = [(name, typed) for name, examples in EVERY for typed, _ in examples]


def commands() -> dict[str, click.Command]:
    """Every command by what is typed for it, groups too."""
    context = click.Context(keyturn)
    found: dict[str, click.Command] = {}
    for name in keyturn.list_commands(context):
        command = keyturn.get_command(context, name)
        assert command is not None
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {inner}": each for inner, each in command.commands.items()}
    return found


def typed_words(typed: str) -> list[str]:
    """What keyturn is given of a line that a shell would read."""
    found = re.search(r"\bkeyturn (?P<rest>[^|)]*?)(?: >.*)?(?:[|)].*)?$", typed)
    assert found is not None, typed
    return shlex.split(found["rest"])


def test_every_command_has_two_to_four_examples_and_no_other_has() -> None:
    assert set(commands()) == set(EXAMPLES)
    assert {name for name, examples in EXAMPLES.items() if not 2 <= len(examples) <= 4} == set()


@pytest.mark.parametrize(("name", "typed"), LINES, ids=[typed for _, typed in LINES])
def test_an_example_is_what_its_command_takes(name: str, typed: str) -> None:
    words, known = typed_words(typed), commands()
    named = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
    command = known[named]
    assert not isinstance(command, click.Group)
    command.make_context(named, words[len(named.split()) :], parent=click.Context(keyturn, info_name="keyturn"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_of_the_command_it_stands_with(name: str) -> None:
    words = [typed_words(typed) for typed, _ in EXAMPLES[name]]
    assert words[0][: len(name.split())] == name.split()


@pytest.mark.parametrize("name", ["", *EXAMPLES])
def test_help_shows_the_examples_line_by_line_and_within_its_width(name: str) -> None:
    shown = run(*name.split(), "--help").out
    lines = shown.partition("Examples:\n")[2].splitlines()
    for typed, does in dict(EVERY)[name]:
        (at,) = [at for at, line in enumerate(lines) if re.match(rf" *{re.escape(typed)}(   |$)", line)]
        assert does in lines[at] or lines[at + 1].strip() == does
    assert max(len(line) for line in lines) <= 80


@pytest.mark.parametrize("name", ["", *EXAMPLES])
def test_every_help_fits_a_terminal_of_80_columns(name: str, tmp_path: Path) -> None:
    lines = show(tmp_path, *name.split(), "--help", columns=80).seen.splitlines()
    assert [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize("name", ["", "key", "token"])
def test_who_types_a_group_alone_is_shown_its_help_and_no_error_around_it(name: str) -> None:
    done = run(*name.split())
    assert (done.code, done.out) == (2, "")
    assert done.err == run(*name.split(), "--help").out


def test_an_example_that_is_wrong_is_found() -> None:
    with pytest.raises(click.UsageError):
        test_an_example_is_what_its_command_takes("plan", "keyturn plan --nothing")
    assert typed_words("a read | keyturn key set x --stdin") == ["key", "set", "x", "--stdin"]
    assert typed_words("source <(keyturn completion zsh)") == ["completion", "zsh"]
