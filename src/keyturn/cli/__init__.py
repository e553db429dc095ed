"""The command line: text in and out, one module per family of commands.

This room decides what a failure looks like and which exit code it has: 0 done or waiting, 1 failed or held, 2 wrong
use or configuration. A command's module is imported when it is called, so that `--version` costs nothing.
Never here: what a command does.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from keyturn.cli import screen
from keyturn.errors import KeyturnError, forget_locals

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMPLETES = "_KEYTURN_COMPLETE"
"""The variable by which a shell asks, at a press of the Tab key; nothing but its answer is printed then."""
VERSION = "0.1.0"
"""The distribution's; written here because looking it up costs a command as much as everything else it does."""

COMMANDS = {
    "init": ("keyturn.cli.starting", "Write a first configuration from what a service has."),
    "check": ("keyturn.cli.checking", "Tell whether everything is there that it needs, and change nothing."),
    "plan": ("keyturn.cli.looking", "Tell what would happen, and change nothing."),
    "run": ("keyturn.cli.turning", "Advance everything that can move now."),
    "rotate": ("keyturn.cli.rotating", "Rotate credentials now."),
    "status": ("keyturn.cli.standing", "Show where every credential is, and what it waits for."),
    "history": ("keyturn.cli.telling", "Show what happened."),
    "explain": ("keyturn.cli.explaining", "Say what a reason means, and what to do about it."),
    "adopt": ("keyturn.cli.asking", "Look at credentials anew, or vouch for them."),
    "hold": ("keyturn.cli.asking", "Stop a credential until you release it."),
    "release": ("keyturn.cli.asking", "Let a held credential go on."),
    "rollback": ("keyturn.cli.asking", "Publish the old value again, while it lives."),
    "key": ("keyturn.cli.keys", "Show, set or regenerate one slot by hand; enable or disable tenant access."),
    "token": ("keyturn.cli.tokens", "Create, inspect or verify a token that is made from a key."),
    "emulator": ("keyturn.cli.staging", "Start an Azure of its own on this machine."),
    "demo": ("keyturn.demo", "Watch a fleet being rotated, in emulated time."),
    "completion": ("keyturn.cli.shells", "Let your shell complete commands, names and reasons."),
    "schema": ("keyturn.cli.looking", "Print the JSON Schema of the configuration."),
}
"""Name: where it is, and its one line. In the order in which a person meets them."""


class Commands(click.Group):
    """Commands that are imported when they are called."""

    def list_commands(self, _: click.Context) -> list[str]:
        return [name for name, (module, _) in COMMANDS.items() if _exists(module)]

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS or not _exists(COMMANDS[cmd_name][0]):
            return None
        command = getattr(importlib.import_module(COMMANDS[cmd_name][0]), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - the table is ours
        from keyturn.cli import examples  # noqa: PLC0415 - `--version` costs nothing

        return examples.attach(cmd_name, command)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """From the table: no command is imported for it."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415

        begun = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=COMMANDS[name][1]) for name in begun), *options]

    def format_epilog(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        from keyturn.cli import examples  # noqa: PLC0415

        formatter.write_paragraph()
        formatter.write_text(examples.text(examples.FIRST) or "")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


def _exists(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"keyturn {VERSION}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Say which.")
@click.option("--debug", is_flag=True, expose_value=False, callback=screen.debugging, help="Show where an error arose.")
@click.option(
    "--no-color", is_flag=True, is_eager=True, expose_value=False, callback=screen.no_color, help="No colours."
)
def keyturn() -> None:
    """Rotates Azure API Management keys in the order that keeps callers working.

    Exit codes: 0 done or waiting, 1 failed or held, 2 wrong use or configuration.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Nothing but the exit code leaves it: no traceback without --debug."""
    screen.begin()
    if os.environ.get(COMPLETES):
        with suppress(Exception):
            keyturn.main(args=arguments, prog_name="keyturn", standalone_mode=False)
        return 1
    try:
        code = keyturn.main(args=arguments, prog_name="keyturn", standalone_mode=False)
        sys.stdout.flush()
    except click.Abort as how:
        return screen.stopped(how)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help(), err=True)
        return 2
    except click.UsageError as error:
        where = f"`{error.ctx.command_path} --help` shows how." if error.ctx is not None else ""
        return screen.fail(error.format_message(), getattr(error, "hint", where), code=2)
    except click.ClickException as error:
        return screen.fail(error.format_message(), "", code=1)
    except KeyturnError as error:
        forget_locals(error)
        return screen.fail_with(error)
    except BrokenPipeError:
        # whoever read our output has gone; a second complaint at exit would be one more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the last line of defence against a traceback
        forget_locals(error)
        return screen.fail_by_defect(error)
    return code if isinstance(code, int) else 0
