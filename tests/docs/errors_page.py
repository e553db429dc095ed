"""The kinds of errors as docs/errors.md has them: every class of `keyturn.errors`, and what it looks like on a screen.

The examples are printed by the room that prints errors, so that their look and their exit codes are the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from io import StringIO
from typing import NamedTuple

from keyturn import errors
from keyturn.cli import screen
from keyturn.reasons import NOBODY, YOU
from tests.docs.pages import DOCS, published

PAGE = DOCS / "errors.md"
MARK = "published` -->\n"


class Kind(NamedTuple):
    """`said` is a part of the example that a module of keyturn says in these words."""

    move: str
    about: str
    to_do: str
    said: str
    example: Callable[[], errors.KeyturnError]


KINDS: dict[type[errors.KeyturnError], Kind] = {
    errors.TryAgain: Kind(
        move=NOBODY,
        about="Azure, the network or a sink does not answer for now, or asks for a pause.",
        to_do="Nothing: a run tries again after a pause, at least as long as was asked for. Look at it when it lasts.",
        said="sign-in: cannot reach {who.authority}",
        example=lambda: errors.TryAgain("sign-in: cannot reach https://login.microsoftonline.com"),
    ),
    errors.Refused: Kind(
        move=f"{YOU}, or whoever grants roles",
        about="Azure, or a vault, said no: a missing role, a wrong request, an entity that somebody else is writing. "
        "Its own code stands there, and the request id that its support asks for.",
        to_do="What the last line says. A missing action is named there with the role file that has it.",
        said="Its values are replaced all the same: `keyturn run ",
        example=lambda: errors.Refused(
            "shop/contoso was not suspended: may not write the apim subscription (403 AuthorizationFailed)",
            status=403,
            code="AuthorizationFailed",
            hint="deploy/roles/set.json has the action. Its values are replaced all the same: `keyturn run "
            "shop/contoso`.",
        ),
    ),
    errors.Gone: Kind(
        move=YOU,
        about="The service, the vault or the apim subscription is not there, or not under that name.",
        to_do="Correct the name, restore it, or take it out of the configuration.",
        said="does not answer as a vault of this cloud",
        example=lambda: errors.Gone(
            "shop/contoso: https://shopkv.vault.azure.net does not answer as a vault of this cloud (ValueError)",
            hint="Check the vault's name and the vault suffix of `cloud`.",
        ),
    ),
    errors.Misconfigured: Kind(
        move=YOU,
        about="The configuration is wrong, or what it names is not there: a variable, a file. All mistakes of a file "
        "are told at once, each with its line.",
        to_do="Mend the lines that are named; `keyturn schema` lets an editor show them while you type.",
        said="is not a setting of keyturn.",
        example=lambda: errors.Misconfigured(
            "the configuration is wrong",
            where="keyturn.yaml",
            problems=("keyturn.yaml:7:5  policies[0].renwe is not a setting of keyturn. Did you mean renew?",),
        ),
    ),
    errors.Unclear: Kind(
        move=f"{NOBODY}, in a rotation; by hand: {YOU}",
        about="An effect may have happened, or may still happen: its answer was lost. No other error leaves that open.",
        to_do="Look before you act: `keyturn status NAME`, or the same command once more, which looks first. A "
        "rotation does so by itself and never sends again what may still land.",
        said="was suspended is not known",
        example=lambda: errors.Unclear(
            "whether shop/contoso was suspended is not known: no answer within 60 s",
            hint="Its values are being replaced all the same: `keyturn run shop/contoso` looks and goes on.",
        ),
    ),
    errors.NotSent: Kind(
        move=NOBODY,
        about="Nothing was sent: what it rested on had been looked at longer than `deadline` ago, as "
        "after a machine slept.",
        to_do="Nothing in a rotation, which looks again; by hand: run the command again.",
        said="was not sent: its look is too old (rule A4)",
        example=lambda: errors.NotSent(
            "PATCH of shop/contoso was not sent: its look is too old (rule A4)",
            hint="Nothing to do: keyturn looks again first.",
        ),
    ),
    errors.Conflict: Kind(
        move=NOBODY,
        about="Somebody else saved the record first, and this save was refused. It is the fence between two keyturns "
        "at work; a run takes a new turn and you never see it.",
        to_do="By hand: run the command again.",
        said="is in the ledger already: somebody else saved it first.",
        example=lambda: errors.Conflict(
            "shop/contoso is in the ledger already: somebody else saved it first.",
            hint="Nothing was written. Read the record again.",
        ),
    ),
    errors.LedgerFault: Kind(
        move=YOU,
        about="The ledger is locked, read-only, damaged, somebody else's, or from a newer keyturn. Nothing in it was "
        "overwritten, and no effect is sent whose intent cannot be saved.",
        to_do="What the last line says; a damaged or lost ledger: [what to do](continuity.md#the-ledger-is-lost).",
        said="is a database, but not a keyturn ledger.",
        example=lambda: errors.LedgerFault(
            "books.db is a database, but not a keyturn ledger.",
            hint="Point `ledger:` at another file; keyturn makes the file itself.",
        ),
    ),
    errors.Malformed: Kind(
        move=YOU,
        about="A token, an expiry, an identity or a key that was handed in is not what it should be. It may be a "
        "secret, so no message repeats any of it.",
        to_do="Hand in the right one. `keyturn token create` exits 2 for it.",
        said="an empty key signs nothing",
        example=lambda: errors.Malformed(
            "an empty key signs nothing", hint="Give the primary or the secondary key, all of it."
        ),
    ),
    errors.NeedsPerson: Kind(
        move=YOU,
        about="keyturn could go on, but only a person may decide that it should. Where a reason code is "
        "why, it says which.",
        to_do="Read why, decide, and use what the last line names. `keyturn explain REASON` says more.",
        said="may not be written now: ",
        example=lambda: errors.NeedsPerson(
            "shop/contoso: secondary may not be written now: a sink shows it (A1)",
            hint="`keyturn rotate shop/contoso` replaces it in the order that cuts nobody off.",
        ),
    ),
}


def page_text() -> str:
    """The page as it is up to the mark, then a section for each kind as it should be."""
    return published(PAGE, MARK, "\n" + "\n".join(_lines()))


def exits(error: errors.KeyturnError) -> tuple[int, str]:
    """The exit code of a command that ends in it, and what stands on stderr."""
    with redirect_stderr(StringIO()) as told:
        screen.begin()
        code = screen.fail_with(error)
    return code, told.getvalue()


def _lines() -> Iterator[str]:
    yield "| Kind | Whose move | Exit |"
    yield "|---|---|---|"
    for kind, each in KINDS.items():
        yield f"| [{kind.__name__}](#{kind.__name__.lower()}) | {each.move} | {exits(each.example())[0]} |"
    for kind, each in KINDS.items():
        code, told = exits(each.example())
        yield f"\n## {kind.__name__}\n"
        yield f"{each.about}\n"
        yield f"- **Whose move:** {each.move}."
        yield f"- **What to do:** {each.to_do}"
        yield f"- **Exit code:** {code}\n"
        yield f"```\n{told}```"
    yield ""
