"""`keyturn completion`: the script with which a shell asks what completes a line.

Never here: what completes it (that is `completing`).
"""

from __future__ import annotations

import click

from keyturn.cli import COMPLETES, options, screen

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@options.speaking
def completion(shell: str) -> int:
    """Print the script that lets a shell complete commands, options, names of credentials and reasons.

    Write it where your shell looks for it, then start a new shell:

    \b
    bash  ~/.local/share/bash-completion/completions/keyturn
    zsh   ~/.zfunc/_keyturn, with ~/.zfunc in $fpath before compinit
    fish  ~/.config/fish/completions/keyturn.fish
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415

    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - the argument is one of SHELLS
    made = found(click.get_current_context().find_root().command, {}, "keyturn", COMPLETES)
    script = made.source_template % made.source_vars()
    screen.whole(script.rstrip())
    screen.document({"shell": shell, "script": script})
    return 0
