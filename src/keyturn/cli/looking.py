"""Commands that look and change nothing: plan and schema; and what every command shares that discovers.

Never here: a save, or an effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from keyturn.cli import options, screen
from keyturn.cli.clockface import Face
from keyturn.cli.layout import joined, wrapped
from keyturn.cli.naming import resolve
from keyturn.cli.standing import cautions

if TYPE_CHECKING:
    from keyturn.assemble import Assembled, Discovered
    from keyturn.model import Record
    from keyturn.policy import Policy
    from keyturn.preview import Line as Step
    from keyturn.sweep import Charge

NOBODY = "Nobody is opted in. Next: say whom in a policy's `match`, then `keyturn plan`."

# -------- plan


@click.command()
@options.NAMES
@click.option("--utc", is_flag=True, help="Times in UTC, not in this machine's zone.")
@click.option("--every-token", is_flag=True, help="Each renewal of a token in lines of its own.")
@options.configured
def plan(names: tuple[str, ...], utc: bool, every_token: bool, config: str | None) -> int:
    """Tell what would happen, step by step, and change nothing. Reads Azure and the ledger.

    Where the ledger does not know the values, Azure is asked for them (listSecrets, charged as one ARM write).
    """
    from keyturn import assemble  # noqa: PLC0415

    screen.quiet_strangers()
    read, face = options.read(config), Face(utc=utc)
    with assemble.open_to_look(read) as keyturn:
        found = keyturn.discover()
        charges = chosen(names, found)
        options.clock_line(read, keyturn.clock.now())
        unusable = {credential.key: sentence for credential, _, sentence in keyturn.unusable(found)}
        shown = [
            _plan_one(keyturn, found, charge, unusable.get(charge.credential.key), face, fold=not every_token)
            for charge in charges
        ]
    warnings = [*found.warnings, *cautions(read)]
    for warning in warnings:
        screen.warn(warning)
    if not charges:
        _say_nobody(found)
    screen.say("Nothing was changed.")
    code = max([1 for each in shown if "problem" in each], default=0)
    code = max(code, tell_problems(found))
    screen.document(
        {
            "emulated": read.clock is not None,
            "credentials": shown,
            "warnings": warnings,
            "problems": problems_in_json(found),
        }
    )
    return code


def _plan_one(
    keyturn: Assembled, found: Discovered, charge: Charge, unusable: str | None, face: Face, *, fold: bool
) -> dict[str, Any]:
    """Look at one credential and tell its timeline. Returns it for programs."""
    from keyturn.cli.timeline import timeline  # noqa: PLC0415
    from keyturn.errors import KeyturnError  # noqa: PLC0415
    from keyturn.preview import preview  # noqa: PLC0415

    credential, policy = charge.credential, charge.policy
    won = found.won_by.get(credential.key, "none")
    told: dict[str, Any] = {"id": credential.id, "policy": won, "proven": policy.probe is not None}
    if unusable is not None:
        _say_parts(credential.id, f"policy {won}")
        _say_below(f"would be held: {unusable}")
        return {**told, "problem": unusable, "next": f"Mend the configuration, then `keyturn release {credential.id}`."}
    try:
        sight = charge.turn.sight(credential, policy)
        gateways = () if policy.probe is None else policy.probe.gateways or keyturn.gateways(credential)
    except KeyturnError as problem:
        _say_parts(credential.id, f"policy {won}")
        _say_below(problem.message)
        return {**told, "problem": problem.message, "next": problem.hint}
    now = keyturn.clock.now()
    costs = keyturn.keyring_of(credential).set_costs
    seen = preview(
        sight.record, sight.seen, policy, now, live=sight.live, gateways=gateways, set_costs=costs, fold=fold
    )
    _say_head(sight.record, won, charge, now)
    screen.show(timeline(seen, now, face, screen.width()))
    if seen.stopped:
        _say_below(f"stops here: {seen.stopped}")
    _say_below(why_due(sight.record, policy, now, face))
    later = "" if seen.stopped else may_start_later(sight.record, policy, now)
    if later:
        _say_below(later)
    return {
        **told,
        "active": sight.record.active,
        "why": why_due(sight.record, policy, now, Face(utc=True)),
        "may_start_later": later,
        "arm_writes": seen.arm_writes,
        "stopped": seen.stopped,
        "lines": [_in_json(step, now) for step in seen.lines],
    }


def _in_json(step: Step, now: datetime) -> dict[str, Any]:
    from keyturn.conditions import moment  # noqa: PLC0415

    return {
        "at": moment(now + step.offset),
        "seconds": int(step.offset.total_seconds()),
        "what": step.what,
        "detail": step.detail,
        "rule": step.rule,
        "arm_writes": step.arm_writes,
    }


def _say_head(record: Record, won: str, charge: Charge, now: datetime) -> None:
    from keyturn.policy import spell  # noqa: PLC0415

    proven = "" if charge.policy.probe is not None else "not proven: no probe"
    if record.active is None:
        _say_parts(record.id, f"policy {won}", "not adopted yet", proven)
        return
    published = record.slot(record.active).published_at
    age = "" if published is None else f" ({spell(now - published)} old)"
    _say_parts(record.id, f"policy {won}", f"active: {record.active}{age}", f"standby: {record.active.other}", proven)


def _say_parts(*parts: str) -> None:
    screen.say("\n".join(joined(parts, screen.width())))


def _say_below(text: str) -> None:
    screen.say("\n".join(wrapped("  ", text, screen.width())))


def why_due(record: Record, policy: Policy, now: datetime, face: Face) -> str:
    """Why a rotation starts, or why none does: one is under way, a person is waited for, or it is too early."""
    from keyturn.conditions import CONDITIONS  # noqa: PLC0415
    from keyturn.model import Stage  # noqa: PLC0415
    from keyturn.policy import age_told, due, due_at, spell, starts_at  # noqa: PLC0415

    if record.hold is not None:
        return f"Held since {face.moment(record.hold.since)}: `keyturn release {record.id}` lets it go on."
    if record.stage not in {Stage.UNKNOWN, Stage.IDLE}:
        since = "" if record.since is None else f" since {face.moment(record.since)}"
        return f"A rotation is under way: {CONDITIONS[record.stage]}{since}."
    at, starts = due_at(record, policy), starts_at(record, policy, now)
    window = "" if starts is None or starts <= max(at or now, now) else f" Its window opens {face.moment(starts)}."
    reason = due(record, policy, now)
    if reason is not None:
        return f"Why due: {reason.sentence} ({reason.reason}).{window}"
    if at is None:
        return f"Not due: its age counts from adoption; policy says {age_told(policy)}."
    return f"Not due before {face.moment(at)}, in {spell(at - now)}: policy says {age_told(policy)}.{window}"


def may_start_later(record: Record, policy: Policy, now: datetime) -> str:
    """What the timeline cannot tell: whether others of the fleet put the start off, by the policy's pace. Empty where
    there is none, or where it does not matter, because a rotation is under way, starts now, or was asked for."""
    from keyturn.model import Stage  # noqa: PLC0415
    from keyturn.policy import starts_at  # noqa: PLC0415

    starts, pace = starts_at(record, policy, now), policy.pace
    settled = record.hold is not None or record.compromise is not None
    if settled or record.stage not in {Stage.UNKNOWN, Stage.IDLE} or (starts is not None and starts <= now):
        return ""
    ours = f"of policy {policy.name}"
    first = f"the first {pace.first} {ours} go through before the rest" if pace.first else ""
    share = (
        "" if pace.stop_above is None else f"nobody {ours} starts while more than {pace.stop_above * 100:g}% are held"
    )
    told = "; ".join(part for part in (first, share) if part)
    return told and f"May start later: pace: {told}."


# -------- shared by every command that discovers


def chosen(names: Sequence[str], found: Discovered) -> list[Charge]:
    """The charges that the names mean. Where a service could not be listed, an unknown name is its fault."""
    ids = {charge.credential.id: charge for charge in found.charges}
    try:
        return [ids[each] for each in resolve(names, list(ids))]
    except click.UsageError:
        if found.problems:
            raise next(iter(found.problems.values())) from None
        raise


def tell_problems(found: Discovered) -> int:
    """Services that could not be listed, on stderr. The exit code that they ask for."""
    codes = [0]
    for alias, problem in found.problems.items():
        codes.append(screen.trouble(f"service {alias}: ", problem))
    return max(codes)


def problems_in_json(found: Discovered) -> list[dict[str, str]]:
    """The same for programs."""
    return [
        {"service": alias, "sentence": problem.message, "next": problem.hint}
        for alias, problem in found.problems.items()
    ]


def _say_nobody(found: Discovered) -> None:
    if not found.problems:
        screen.say(f"No policy matches any of the {len(found.credentials)} apim subscriptions that were found.")
        screen.say(NOBODY)


@click.command()
@options.speaking
def schema() -> int:
    """Print the JSON Schema of the configuration, for editors."""
    import json  # noqa: PLC0415

    from keyturn.config import json_schema  # noqa: PLC0415

    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0
