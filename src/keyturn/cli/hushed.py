"""Commands that keys and tokens come near: what is wrong about their arguments is said without repeating one.

A value that was typed where none belongs is on the screen and in the shell's memory already; an error that shows it
once more would carry it into logs. Never here: what a command does.
"""

from __future__ import annotations

import click

NEVER_AN_ARGUMENT = "never as an argument"


class Hushed(click.Command):
    """Takes the arguments that it names, and does not repeat one more: it may be a key or a token."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.allow_extra_args = True
        try:
            rest = super().parse_args(ctx, args)
        except click.BadParameter as error:
            param = error.param
            if param is None or not isinstance(param.type, click.Choice) or isinstance(error, click.MissingParameter):
                raise
            taken = ", ".join(map(str, param.type.choices))
            raise click.UsageError(f"{param.get_error_hint(ctx)} takes one of {taken}", ctx) from None
        if rest:
            raise click.UsageError(f"keys and tokens are taken {NEVER_AN_ARGUMENT}: shells keep those", ctx)
        return rest


class HushedGroup(click.Group):
    """The same for what stands where a command belongs."""

    command_class = Hushed

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            raise click.UsageError(f"no such command; there are {', '.join(self.commands)}", ctx)
        return super().resolve_command(ctx, args)
