"""`keyturn explain`: a reason code or a rule in full, or all of them in a line each.

It needs no configuration and reads no ledger. Never here: what a code means (that is `reasons`).
"""

from __future__ import annotations

import difflib
from typing import Any

import click

from keyturn import reasons
from keyturn.cli import options, screen

FEW = 5


def _complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    known = [*reasons.REASONS, *reasons.RULES]
    return [each for each in known if each.lower().startswith(incomplete.lower())]


def complete_reasons(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """What a shell completes a reason to, where a rule will not do."""
    return [each for each in reasons.REASONS if each.startswith(incomplete.lower())]


@click.command()
@click.argument("code", required=False, metavar="[REASON]", shell_complete=_complete)
@options.speaking
def explain(code: str | None) -> int:
    """Say what a reason means, whose move it is, and what to do. Without REASON: list them all.

    REASON is a code that a screen or the history shows, such as quiet-slot, or a rule, such as A1.
    """
    if code is None:
        _list()
        return 0
    wanted = code.strip().lower()
    if wanted in reasons.REASONS:
        _tell(reasons.REASONS[wanted])
    elif wanted.upper() in reasons.RULES:
        _tell_rule(reasons.RULES[wanted.upper()])
    else:
        raise click.UsageError(_unknown(code))
    return 0


def known_reason(code: str) -> str:
    """The code as keyturn writes it. Raises click.UsageError where there is no such reason."""
    wanted = code.strip().lower()
    if wanted not in reasons.REASONS:
        raise click.UsageError(_unknown(code))
    return wanted


def _list() -> None:
    for group in reasons.GROUPS:
        screen.say(group.heading)
        width = max(len(reason.code) for reason in group.reasons)
        for reason in group.reasons:
            screen.item(f"  {reason.code.ljust(width)}  ", screen.first_sentence(reason.meaning))
        screen.say()
    screen.say("Rules")
    for rule in reasons.RULES.values():
        screen.item(f"  {rule.name:<3}  ", rule.title)
    screen.say()
    screen.say("`keyturn explain REASON` tells one in full.")
    screen.document(
        lambda: {
            "reasons": [_in_json(reason, group) for group in reasons.GROUPS for reason in group.reasons],
            "rules": [rule._asdict() for rule in reasons.RULES.values()],
        }
    )


def _tell(reason: reasons.Reason) -> None:
    group = next(group for group in reasons.GROUPS if reason in group.reasons)
    screen.say(f"{reason.code}   {group.heading[0].lower()}{group.heading[1:]}")
    screen.item("  means    ", reason.meaning)
    screen.item("  move     ", "yours" if reason.move == reasons.YOU else "nobody's: it passes by itself")
    screen.item("  to do    ", reason.to_do)
    screen.item("  example  ", f"{reason.code}: {reason.example}")
    for name in reason.rules:
        rule = reasons.RULES[name]
        screen.item("  rule     ", f"{name} {rule.title}: {rule.says}")
    screen.document(lambda: _in_json(reason, group))


def _tell_rule(rule: reasons.Rule) -> None:
    screen.say(f"{rule.name}   {rule.title}")
    screen.item("  says     ", rule.says)
    screen.item("  why      ", rule.why)
    behind = [reason.code for reason in reasons.REASONS.values() if rule.name in reason.rules]
    if behind:
        screen.item("  reasons  ", ", ".join(behind))
    screen.document(lambda: {**rule._asdict(), "reasons": behind})


def _in_json(reason: reasons.Reason, group: reasons.Group) -> dict[str, Any]:
    return {**reason._asdict(), "rules": list(reason.rules), "answers": group.heading}


def _unknown(code: str) -> str:
    wanted, known = code.lower(), [*reasons.REASONS, *reasons.RULES]
    near = [each for each in known if wanted and wanted in each.lower()]
    near += [each for each in difflib.get_close_matches(wanted, known, n=FEW, cutoff=0.5) if each not in near]
    if near:
        return f"there is no reason {code}; near it: {', '.join(near[:FEW])}"
    return f"there is no reason {code}; `keyturn explain` lists them all"
