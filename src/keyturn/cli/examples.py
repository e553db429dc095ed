"""The examples that `--help` of each command ends with, as a flat table.

A test parses each of them with the command it belongs to, and requires that every command has some. Never here: what a
command does.
"""

from __future__ import annotations

from typing import Final

import click

EXAMPLES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "init": (
        ("keyturn init shop-apim", "a first keyturn.yaml from what this service has"),
        ("keyturn init shop-apim --vault shop-kv --out -", "the same, publishing to a Key Vault, printed alone"),
    ),
    "check": (
        ("keyturn check", "sign-in, roles, gateways, vaults, ledger, clock"),
        ("keyturn check shop/contoso --json", "the same for one credential, for a program"),
    ),
    "plan": (
        ("keyturn plan", "what would happen to every credential, and when"),
        ("keyturn plan contoso --utc", "one of them, in UTC"),
        ("keyturn plan contoso --json", "the same for a program"),
    ),
    "run": (
        ("keyturn run", "everything that can move now; put this into a timer"),
        ("keyturn run contoso fabrikam", "these two alone"),
        ("keyturn run --wait", "stay until every rotation is done"),
    ),
    "rotate": (
        ('keyturn rotate contoso --because "a partner left"', "now, with the waits that keep callers working"),
        ("keyturn rotate contoso --wait", "and stay until the old value is dead"),
        (
            'keyturn rotate contoso --compromised --because "key on a public page"',
            "both values die without a drain; says who is cut off, and asks",
        ),
    ),
    "status": (
        ("keyturn status", "all, a line each; exit code 1 when one wants you"),
        ("keyturn status contoso", "one in full: what it waits for, until when, and why"),
        ("keyturn status --watch --every 30s", "again and again, until Ctrl-C"),
    ),
    "history": (
        ("keyturn history contoso", "one credential's story, rotation by rotation"),
        ("keyturn history contoso --lines --limit 10", "its last ten lines, as they were written"),
        ("keyturn history --json", "of all, for a program"),
    ),
    "explain": (
        ("keyturn explain quiet-slot", "what a reason means, and what to do"),
        ("keyturn explain A13", "a rule of the protocol"),
        ("keyturn explain", "all of them in a line each"),
    ),
    "adopt": (
        ("keyturn adopt contoso", "look now, and adopt what the sinks show"),
        (
            'keyturn adopt contoso --quiet-since 2026-01-05T08:00Z --because "unused"',
            "on your word, without waiting for a drain first",
        ),
    ),
    "hold": (
        ('keyturn hold contoso --because "an audit until Friday"', "nothing moves; both values stay live"),
        ('keyturn hold contoso --because "an audit" --json', "the same for a program"),
    ),
    "release": (
        ("keyturn release --reason parked", "every one that is held for that reason"),
        ("keyturn release contoso", "the next run judges anew"),
        ('keyturn release contoso --because "the vault is back"', "with a word for the history"),
    ),
    "rollback": (
        ('keyturn rollback contoso --because "the partner cannot read the vault"', "the old value again, then hold"),
        ("keyturn release contoso", "once it may rotate again"),
    ),
    "key": (
        ("keyturn key show contoso --slot primary", "print one value, after a question"),
        ("keyturn key regenerate contoso --slot secondary", "let Azure draw a fresh one"),
    ),
    "key show": (
        ("keyturn key show contoso --slot primary", "asks first"),
        ("keyturn key show contoso --slot primary --reveal | pbcopy", "into another program, unasked"),
    ),
    "key set": (
        ("keyturn key set contoso --slot secondary", "asks for the value, and hides it"),
        ("keyturn key set contoso --slot secondary --from-env NEW_VALUE", "from an environment variable"),
        ("vault-of-yours read | keyturn key set contoso --slot secondary --stdin", "from another program"),
    ),
    "key regenerate": (
        ("keyturn key regenerate contoso --slot secondary", "refused while callers may still use it"),
        (
            "keyturn key regenerate contoso --slot primary --cut-off-callers",
            "all the same; says who is cut off, and asks",
        ),
    ),
    "key enable": (
        ("keyturn key enable shop/tenant/access", "let its tokens in"),
        ('keyturn key enable shop/tenant/access --because "a deployment"', "with a word for the history"),
    ),
    "key disable": (
        ("keyturn key disable shop/tenant/access", "let no token in; says who is cut off, and asks"),
        ("keyturn key disable shop/tenant/access --yes", "unasked"),
    ),
    "token": (
        ("keyturn token create --expires 8h", "asks for the key, prints a token"),
        ("keyturn token inspect --token-env TOKEN", "what a token says of itself"),
    ),
    "token create": (
        ("keyturn token create --expires 8h", "asks for the key"),
        ("keyturn token create --from shop --slot primary --expires 30d", "Azure tells the key"),
        ("keyturn token create --from shop/gateways/oslo --slot primary --expires 30d", "for a self-hosted gateway"),
    ),
    "token inspect": (
        ("keyturn token inspect --token-env TOKEN", "form, identity, time left"),
        ("keyturn token inspect --token-env TOKEN --from shop", "and in which slot its key sits"),
    ),
    "token verify": (
        ("keyturn token verify --token-env TOKEN --key-env KEY", "exit code 0: good, and signed by this key"),
        ("keyturn token verify --token-env TOKEN --from shop", "the same with both keys that Azure tells"),
    ),
    "emulator": (
        ("keyturn emulator --write-env azure.env", "an Azure of its own; source the file in another shell"),
        ("keyturn emulator --seed-file world.json --port 8377", "a world of yours, at a port of yours"),
        ("keyturn emulator --advance 24h", "let a day pass in the one that runs"),
    ),
    "demo": (
        ("keyturn demo", "a fleet through a whole period, in under a minute"),
        ("keyturn demo --naive", "the same as scripts do it, and who is refused"),
        ("keyturn demo --pull-plug --credentials 6", "killed again and again on stage"),
    ),
    "completion": (
        ("source <(keyturn completion bash)", "for this shell alone"),
        ("keyturn completion fish > ~/.config/fish/completions/keyturn.fish", "for every new shell"),
    ),
    "schema": (
        ("keyturn schema", "on stdout"),
        ("keyturn schema > keyturn.schema.json", "for an editor to check keyturn.yaml with"),
    ),
}
"""By command: what to type, and what that does."""

FIRST: Final = (
    ("keyturn demo", "see it at work; no Azure account is needed"),
    ("keyturn plan", "what would happen, and when"),
    ("keyturn explain quiet-slot", "what a word on a screen means, and what to do"),
)
"""Those of keyturn itself."""
COLUMNS: Final = 76
"""So many fit a terminal of 80, behind the indent of what ends a help. Where an explanation does not fit beside what to
type, each stands below."""


def attach(name: str, command: click.Command) -> click.Command:
    """The command with its examples at the end of its help, and its inner commands with theirs."""
    command.epilog = text(EXAMPLES.get(name, ()))
    if isinstance(command, click.Group):
        for inner, each in command.commands.items():
            attach(f"{name} {inner}", each)
    return command


def text(examples: tuple[tuple[str, str], ...]) -> str | None:
    """As click wants it: a paragraph whose lines stay as they are."""
    if not examples:
        return None
    wide = max(len(typed) for typed, _ in examples)
    lines = [f"  {typed:<{wide}}   {does}" for typed, does in examples]
    if max(len(line) for line in lines) > COLUMNS:
        lines = [line for typed, does in examples for line in (f"  {typed}", f"      {does}")]
    return "\n".join(["\b", "Examples:", *lines])
