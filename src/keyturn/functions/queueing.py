"""What the timer and the queue do: a sweep shared out over the queue, or a bounded one here; one turn per message.

A turn that fails raises, so that the host counts a failed invocation and delivers the message again; the record keeps
its wait meanwhile, so that the next delivery rests. A message that never succeeds ends in the poison queue, and in the
history of its credential. Never here: a binding, or what a turn does.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from keyturn import plan
from keyturn.assemble import policy_named
from keyturn.errors import Conflict, KeyturnError, Malformed, Refused, TryAgain
from keyturn.failing import PARKED
from keyturn.functions import messages
from keyturn.functions.instance import Instance, log, sentence
from keyturn.functions.messages import Message
from keyturn.model import Event, Record
from keyturn.outcome import learn_no_answer
from keyturn.policy import Policy

if TYPE_CHECKING:
    from keyturn.assemble import Assembled, Discovered
    from keyturn.ports import Stored
    from keyturn.sweep import Sweep


BLIND = frozenset({"unreachable", "refused"})
"""Why a delivery may have failed before it could look at all."""


# -------- the timer


def share_out(instance: Instance) -> list[str]:
    """A message for every credential that has something to do, those that wait longest first among the due.

    Raises Misconfigured, LedgerFault, TryAgain.
    """
    found = instance.list_all()
    sweep = _sweep(instance, found)
    ids = {charge.credential.key: charge.credential.id for charge in found.charges}
    told = []
    for key in sweep.due(found.lost):
        why: messages.Why = "lost" if key in found.lost else "new" if sweep.is_new(key) else "due"
        told.append(messages.written(Message(key=key, why=why, id=ids[key])))
    told += [messages.written(Message(key=key, why="due")) for key in _due_unlisted(instance, found)]
    log.info("%d of %d credentials have something to do", len(told), len(ids))
    return told


def _due_unlisted(instance: Instance, found: Discovered) -> list[str]:
    """Keys that are due in a service that could not be listed now: a rotation under way needs no list."""
    keyturn = instance.keyturn()
    if not found.problems:
        return []
    listed = {charge.credential.key for charge in found.charges}
    due = keyturn.ledger.due(keyturn.clock.now())
    return [key for key in due if key not in listed and keyturn.looks_after(key)]


def sweep_here(instance: Instance) -> None:
    """One sweep that begins nothing new once the time limit is reached; what is left goes on at the next tick.

    Raises Misconfigured, LedgerFault, TryAgain.
    """
    clock = instance.keyturn().clock
    until = clock.boottime() + instance.settings.time_limit
    found = instance.list_all()
    swept = _sweep(instance, found, until).follow(force=found.lost)
    log.info(
        "%d turns, %d of them moved something; %d in the hands of another keyturn, %d left for the next tick",
        swept.turns,
        swept.moved,
        swept.busy,
        swept.left,
    )


def _sweep(instance: Instance, found: Discovered, until: float | None = None) -> Sweep:
    from keyturn.sweep import Sweep  # noqa: PLC0415

    keyturn = instance.keyturn()
    return Sweep(
        found.charges,
        ledger=keyturn.ledger,
        clock=keyturn.clock,
        holder=instance.holder(),
        workers=keyturn.config.workers,
        until=until,
    )


# -------- one message


def take_turn(instance: Instance, text: str, *, again: bool = False) -> None:
    """One turn for the credential that a message names. `again`: it was delivered before, so that whatever it asked to
    look at at once has been looked at.

    Raises Malformed, Gone, Misconfigured, LedgerFault, TryAgain, Refused: the host delivers the message again.
    """
    message = messages.read(text)
    keyturn = instance.keyturn()
    stored = keyturn.ledger.load(message.key)
    name = stored.record.id if stored is not None else "a credential that the ledger does not know"
    blind = stored is not None and stored.record.waiting is not None and stored.record.waiting.reason in BLIND
    forces = message.forces and (blind or not again)
    looks = forces or message.why == "new"
    freed = message.why == "new" and stored is not None and _is_parked(stored.record)  # by a changed policy
    if stored is not None and not freed and _rests(keyturn, stored.record, looks):
        log.info("%s: nothing to do now", name)
        return
    turn_now(instance, message.key, name, force=forces)


def _is_parked(record: Record) -> bool:
    return record.hold is not None and record.hold.reason == PARKED


def _rests(keyturn: Assembled, record: Record, looks: bool) -> bool:
    """It is held, or waits and nothing asks for a look all the same: the message is a late or a second one."""
    policy = policy_named(keyturn.config, record)
    if policy is None or not plan.rests(record, policy, keyturn.clock.now()):
        return False
    return record.hold is not None or not looks


def turn_now(instance: Instance, key: str, name: str, *, force: bool) -> Record | None:
    """One turn under a lease; its record, or None where there was none to take. Raises TryAgain after one that failed,
    and what `Assembled.charge` raises."""
    from keyturn.sweep import take  # noqa: PLC0415

    keyturn = instance.keyturn()
    try:
        charge = keyturn.charge(key)
    except (Refused, TryAgain) as problem:
        _keep_waiting(keyturn, key, problem, asked=force)
        raise
    if charge is None:
        log.info("%s: no policy looks after it any more", name)
        return None
    before = keyturn.ledger.load(key)
    instance.check_sinks(charge, before)
    advanced = take(charge, ledger=keyturn.ledger, clock=keyturn.clock, holder=instance.holder(), force=force)
    if advanced is None:
        log.info("%s: in the hands of another keyturn", name)
        return None
    record = advanced.record
    if advanced.rows and record.failures > (before.record.failures if before is not None else 0):
        why = record.waiting.sentence if record.waiting is not None else "its turn failed"
        raise TryAgain(f"{name}: {why}")
    return record


def _keep_waiting(keyturn: Assembled, key: str, problem: Refused | TryAgain, *, asked: bool) -> None:
    """A credential that cannot be read fails as it would in a turn: its record says so, and waits. `asked`: something
    happened there, so that a wait that was longer must not put off the look."""
    stored, now = keyturn.ledger.load(key), keyturn.clock.now()
    if stored is None or stored.record.hold is not None:
        return
    if not asked and stored.record.not_before is not None and now < stored.record.not_before:
        return  # an earlier delivery has told already
    after = problem.after if isinstance(problem, TryAgain) else 0.0
    refused = isinstance(problem, Refused)
    policy = policy_named(keyturn.config, stored.record) or Policy(name="")
    record, event = learn_no_answer(
        stored.record, problem.message, policy, now, hint=problem.hint, refused=refused, after=after
    )
    with suppress(Conflict):  # somebody else goes on with it
        keyturn.ledger.save(record, stored.version, [event])


# -------- what failed too often


def tell_poisoned(instance: Instance, text: str) -> None:
    """Into the log always, and into the history of the credential, where that is known.

    Raises Misconfigured, LedgerFault, TryAgain: the host delivers the message again.
    """
    try:
        message = messages.read(text)
    except Malformed as problem:
        log.error("a message ended in the poison queue: %s", sentence(problem))
        return
    known = instance.keyturn().ledger.load(message.key)
    name = "a credential that the ledger does not know" if known is None else known.record.id
    log.error("%s: a message (%s) ended in the poison queue: every delivery failed", name, message.why)
    keyturn = instance.keyturn()
    reason = _what_fails(keyturn, message)
    told = f"a message of the queue ({message.why}) was given up, because every delivery failed: {reason}"
    while (stored := keyturn.ledger.load(message.key)) is not None:
        event = Event(at=keyturn.clock.now(), kind="poisoned", sentence=told)
        try:
            keyturn.ledger.save(stored.record, stored.version, [event])
        except Conflict:
            continue
        return


def _what_fails(keyturn: Assembled, message: Message) -> str:
    """Why, as far as it can be told now. The host hands on the message alone, not what was raised."""
    stored: Stored | None = keyturn.ledger.load(message.key)
    record = None if stored is None else stored.record
    if record is not None and record.hold is not None:
        return record.hold.sentence
    if record is not None and record.failures and record.waiting is not None:
        return record.waiting.sentence
    try:
        keyturn.charge(message.key)
    except KeyturnError as problem:
        return problem.message
    return "what failed then works now; the next sweep goes on with it"
