"""Commands with which a person decides: adopt, hold, release, rollback.

They change the record by compare-and-swap, as a turn does; no lease is needed. `hold` and `release` ask Azure nothing,
so they work when Azure does not. Never here: what may be asked (that is `by_hand`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import click

from keyturn.cli import options, screen
from keyturn.cli.looking import chosen
from keyturn.cli.naming import resolve
from keyturn.cli.turning import change, tell, working
from keyturn.model import Event, Record

if TYPE_CHECKING:
    from keyturn.config import Config


@click.command()
@options.SOME_NAMES
@click.option("--quiet-since", metavar="TIME", help="You vouch that no caller has used the standby since then (UTC).")
@click.option("--take-over", metavar="LEDGER_ID", help="This ledger succeeds the one that the sinks' tags name.")
@options.because(required=False)
@options.configured
def adopt(
    names: tuple[str, ...], quiet_since: str | None, take_over: str | None, because: str, config: str | None
) -> int:
    """Look at credentials now, and adopt what the sinks show. With an option: on your word, which is recorded."""
    if (quiet_since or take_over) and not because:
        raise click.UsageError("say why: --because TEXT goes into the history beside your word")
    since = options.instant(quiet_since) if quiet_since else None
    with working(options.read(config)) as work:
        charges = chosen(names, work.found)
        for charge in charges:
            if take_over:
                change(work.keyturn, charge.credential, partial(_taken_over, take_over, because))
            if since is not None:
                change(work.keyturn, charge.credential, partial(_vouched, since, because))
        return work.follow(charges, force=[charge.credential.key for charge in charges])


def _taken_over(ledger: str, because: str, record: Record, at: datetime) -> tuple[Record, Event]:
    from keyturn import by_hand  # noqa: PLC0415

    return by_hand.take_over(record, ledger, because, at)


def _vouched(since: datetime, because: str, record: Record, at: datetime) -> tuple[Record, Event]:
    from keyturn import by_hand  # noqa: PLC0415

    return by_hand.vouch(record, since, because, at)


@click.command()
@options.ONE_NAME
@options.because(required=True)
@options.configured
def hold(name: str, because: str, config: str | None) -> int:
    """Stop a credential. Both its values stay as they are, and stay live."""
    from keyturn import by_hand  # noqa: PLC0415

    record = _in_ledger(options.read(config), name, lambda r, at: by_hand.hold(r, because, at))
    if record.tokens:
        ends = min(life.expires for life in record.tokens.values())
        screen.say(f"Its tokens are not renewed while it is held: the first ends on {ends:%Y-%m-%d %H:%M} UTC.")
    return 0


@click.command()
@options.ONE_NAME
@options.because(required=False, default="released by hand")
@options.configured
def release(name: str, because: str, config: str | None) -> int:
    """Let a held credential go on where it was. The next run judges anew whatever held it."""
    from keyturn import by_hand  # noqa: PLC0415

    _in_ledger(options.read(config), name, lambda r, at: by_hand.release(r, because, at))
    screen.say("The next `keyturn run` looks at it.")
    return 0


@click.command()
@options.ONE_NAME
@options.because(required=True)
@options.configured
def rollback(name: str, because: str, config: str | None) -> int:
    """Publish the old value again, then hold. Works while a rotation publishes or drains, before it retires."""
    from keyturn import by_hand  # noqa: PLC0415

    with working(options.read(config)) as work:
        (charge,) = chosen([name], work.found)
        change(work.keyturn, charge.credential, lambda r, at: by_hand.rollback(r, because, at))
        return work.follow([charge], force=[charge.credential.key], fine={"rolled-back"})


def _in_ledger(config: Config, name: str, asked: Callable[[Record, datetime], tuple[Record, Event]]) -> Record:
    """Change one record of the ledger, and ask Azure nothing. The record. Raises NeedsPerson, LedgerFault."""
    from keyturn import assemble  # noqa: PLC0415
    from keyturn.conditions import in_json  # noqa: PLC0415
    from keyturn.errors import Conflict  # noqa: PLC0415

    clock = assemble.clock_of(config)
    options.clock_line(config, clock.now())
    with assemble.ledger_of(config) as ledger:
        ids = {record.id: record.key for record in ledger.records()}
        (each,) = resolve([name], list(ids))
        while True:
            stored = ledger.load(ids[each])
            assert stored is not None  # noqa: S101 - nothing deletes a record
            record, event = asked(stored.record, clock.now())
            try:
                ledger.save(record, stored.version, [event])
            except Conflict:
                continue
            break
    tell(each, event)
    screen.document(
        {"emulated": config.clock is not None, **in_json(record, assemble.policy_named(config, record), clock.now())}
    )
    return record
