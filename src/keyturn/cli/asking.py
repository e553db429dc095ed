"""Commands with which a person decides: adopt, hold, release, rollback.

They change the record by compare-and-swap, as a turn does; no lease is needed. `hold` and `release` ask Azure nothing,
so they work when Azure does not. Never here: what may be asked (that is `by_hand`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import click

from keyturn.cli import options, screen
from keyturn.cli.explaining import complete_reasons, known_reason
from keyturn.cli.looking import chosen
from keyturn.cli.naming import resolve
from keyturn.cli.turning import change, tell, working
from keyturn.model import Event, Record

if TYPE_CHECKING:
    from keyturn.config import Config
    from keyturn.ports import Ledger


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

    read = options.read(config)
    (record,) = _in_ledger(read, lambda known: resolve([name], list(known)), lambda r, at: by_hand.hold(r, because, at))
    if record.tokens:
        ends = min(life.expires for life in record.tokens.values())
        screen.say(f"Its tokens are not renewed while it is held: the first ends on {ends:%Y-%m-%d %H:%M} UTC.")
    return 0


@click.command()
@options.NAMES
@click.option(
    "--reason",
    metavar="CODE",
    shell_complete=complete_reasons,
    help="Every credential that is held for this reason, of those named or of all.",
)
@options.because(required=False, default="released by hand")
@options.configured
def release(names: tuple[str, ...], reason: str | None, because: str, config: str | None) -> int:
    """Let held credentials go on where they were. The next run judges anew whatever held them."""
    from keyturn import by_hand  # noqa: PLC0415

    if not names and not reason:
        raise click.UsageError("name a credential, or --reason CODE for all that are held for it")
    if reason:
        reason = known_reason(reason)

    def chosen_ones(known: Mapping[str, Record]) -> tuple[str, ...]:
        found = resolve(names, list(known))
        return found if reason is None else tuple(each for each in found if _held_for(known[each]) == reason)

    released = _in_ledger(options.read(config), chosen_ones, lambda r, at: by_hand.release(r, because, at))
    if not released:
        screen.say(f"Nothing is held for {reason}: `keyturn status` tells what is.")
        return 0
    screen.say(f"The next `keyturn run` looks at {'it' if len(released) == 1 else 'them'}.")
    return 0


def _held_for(record: Record) -> str | None:
    return None if record.hold is None else record.hold.reason


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


def _in_ledger(
    config: Config,
    which: Callable[[Mapping[str, Record]], tuple[str, ...]],
    asked: Callable[[Record, datetime], tuple[Record, Event]],
) -> list[Record]:
    """Change records of the ledger, those whose ids `which` chooses, and ask Azure nothing. Raises NeedsPerson,
    LedgerFault."""
    from keyturn import assemble  # noqa: PLC0415
    from keyturn.conditions import in_json  # noqa: PLC0415

    clock = assemble.clock_of(config)
    options.clock_line(config, clock.now())
    with assemble.ledger_of(config) as ledger:
        known = {record.id: record for record in ledger.records()}
        changed = [_changed(ledger, known[each].key, asked, clock.now()) for each in which(known)]
        now = clock.now()
    shown = [in_json(record, assemble.policy_named(config, record), now) for record in changed]
    screen.document({"emulated": config.clock is not None, "credentials": shown, "exit": 0})
    return changed


def _changed(
    ledger: Ledger, key: str, asked: Callable[[Record, datetime], tuple[Record, Event]], now: datetime
) -> Record:
    """One record changed by compare-and-swap, and told."""
    from keyturn.errors import Conflict  # noqa: PLC0415

    while True:
        stored = ledger.load(key)
        assert stored is not None  # noqa: S101 - nothing deletes a record
        record, event = asked(stored.record, now)
        try:
            ledger.save(record, stored.version, [event])
        except Conflict:
            continue
        screen.acting()
        tell(record.id, event)
        return record
