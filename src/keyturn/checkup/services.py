"""Who is signed in, whether a service answers, what o'clock it is there, and what may be done at it.

Never here: which rights there are (those are `azure.rights`), or how one is asked for (`azure.permissions`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from keyturn.azure import permissions, rights
from keyturn.azure.answers import mapping
from keyturn.azure.permissions import Entry, Standing
from keyturn.azure.whoami import named
from keyturn.checkup.finding import Finding, attention, counted, missing, ok, trouble
from keyturn.config import NamedValueSink, PolicyEntry
from keyturn.config.matching import glob_matches
from keyturn.errors import Gone, KeyturnError, Refused
from keyturn.keyrings.service import API_VERSION
from keyturn.model import Kind, Mode
from keyturn.policy import spell

if TYPE_CHECKING:
    from keyturn.assemble import Assembled

SHOWN: Final = 3
"""Of many, that are named."""
COARSE: Final = timedelta(seconds=1)
"""A Date header knows no smaller part."""


def sign_ins(keyturn: Assembled, aliases: Sequence[str]) -> Generator[Finding, None, list[str]]:
    """Returns the services that somebody is signed in to."""
    done: dict[str, bool] = {}
    for alias in aliases:
        identity = keyturn.identity_of(alias)
        cloud = identity.cloud
        if cloud.name in done:
            continue
        about = "sign-in" if len(keyturn.config.services) == 1 else f"sign-in {alias}"
        try:
            who = named(identity.token(cloud.arm_scope))
        except KeyturnError as error:
            done[cloud.name] = False
            yield trouble(about, error)
        else:
            done[cloud.name] = True
            yield ok(about, who.sentence)
    return [alias for alias in aliases if done[keyturn.identity_of(alias).cloud.name]]


# -------- a service: is it there, what o'clock is it, and what may be done


def service(keyturn: Assembled, alias: str, entries: Sequence[PolicyEntry]) -> Generator[Finding, None, bool]:
    """Returns whether the service answers."""
    service, arm = keyturn.config.services[alias], keyturn.arms[alias]
    version = service.api_version or API_VERSION
    sent = keyturn.clock.now()
    try:
        reply = arm.read(quote(service.id.rstrip("/"), safe="/"), api_version=version, what=f"read the service {alias}")
    except Gone as error:
        yield trouble(alias, error)
        return False
    except Refused as error:
        if error.status != 403:
            yield trouble(alias, error)
            return False
        reply = None
    except KeyturnError as error:
        yield trouble(alias, error, "Check the network, HTTPS_PROXY, and `cloud`.")
        return False
    if reply is not None:
        told = mapping(reply.json())
        tier = mapping(told.get("sku")).get("name") or "tier not told"
        yield ok(alias, f"answers: {told.get('name') or service.id} ({told.get('location') or '?'}, {tier})")
        yield _skew(keyturn, alias, reply.date, sent, keyturn.clock.now(), entries)
    yield from _rights(keyturn, alias, entries)
    return True


def _skew(
    keyturn: Assembled,
    alias: str,
    date: datetime | None,
    sent: datetime,
    received: datetime,
    entries: Sequence[PolicyEntry],
) -> Finding:
    """Azure's clock against ours (rule A16). Its header is cut to seconds, and stems from between sending and now."""
    about = "clock"
    if date is None:
        return attention(about, f"{alias} told no time, so that the clocks cannot be compared")
    apart = max(sent - date - COARSE, date - received, timedelta(0))
    allowed = min((entry.policy.max_clock_skew for entry in entries), default=timedelta(minutes=1))
    if apart <= allowed:
        return ok(about, f"agrees with {alias} to {spell(max(apart, COARSE))} (max_clock_skew {spell(allowed)})")
    where = "ahead of" if date < sent else "behind"
    return missing(
        about,
        f"this machine is {spell(apart)} {where} Azure, max_clock_skew is {spell(allowed)}: every wait would be wrong",
        "Set this machine's clock by NTP."
        if keyturn.config.clock is not None or apart < timedelta(days=1)
        else "Set this machine's clock by NTP; if this is the emulator, write `clock: { emulator: … }`.",
    )


def _jobs(keyturn: Assembled, alias: str, entries: Iterable[PolicyEntry]) -> list[rights.Job]:
    """What the policies make keyturn do at a service."""
    service = keyturn.config.services[alias]
    wanted: dict[str, rights.Job] = {}
    for entry in entries:
        if _wants(entry, alias):
            mode = entry.policy.mode if entry.mode_given else service.mode or entry.policy.mode
            kind = entry.match.kind
            job = rights.OF[kind, Mode.REGENERATE if kind is Kind.GATEWAY else mode]
            wanted[job.name] = job
        for sink in entry.sinks:
            if isinstance(sink, NamedValueSink) and (
                sink.service == alias or (not sink.service and _wants(entry, alias))
            ):
                wanted[rights.NAMED_VALUES.name] = rights.NAMED_VALUES
    return list(wanted.values())


def _wants(entry: PolicyEntry, alias: str) -> bool:
    return entry.match.service is None or any(glob_matches(glob, alias) for glob in entry.match.service)


def _rights(keyturn: Assembled, alias: str, entries: Sequence[PolicyEntry]) -> Iterator[Finding]:
    """Each right that is needed, and those that are not."""
    jobs = _jobs(keyturn, alias, entries)
    needed = {right.action: (right, job) for job in reversed(jobs) for right in reversed(job.rights)}
    about = f"roles at {alias}"
    if not needed:
        return
    service = keyturn.config.services[alias]
    try:
        entries_there = permissions.granted(keyturn.arms[alias], service.id)
    except KeyturnError as error:
        yield from _tried_rights(keyturn, alias, needed, error)
        return
    lacking = [action for action in reversed(needed) if not permissions.allows(entries_there, action)]
    yield from (_lacks(about, *needed[action]) for action in lacking)
    if not lacking:
        yield ok(about, f"all {len(needed)} actions for {_all_of(jobs)}")
    yield from _too_much(about, entries_there, jobs, list(needed))


def _tried_rights(
    keyturn: Assembled, alias: str, needed: dict[str, tuple[rights.Right, rights.Job]], error: KeyturnError
) -> Iterator[Finding]:
    """The same without Azure's list: each is tried on something that does not exist."""
    about = f"roles at {alias}"
    service, arm = keyturn.config.services[alias], keyturn.arms[alias]
    unknown: list[str] = []
    fine = 0
    for action in reversed(needed):
        right, job = needed[action]
        told = permissions.ask(arm, service.id, right, api_version=service.api_version or API_VERSION)
        if told.standing is Standing.MISSING:
            yield _lacks(about, right, job)
        elif told.standing is Standing.GRANTED:
            fine += 1
        else:
            unknown.append(action)
            yield attention(about, f"{action} cannot be told: {told.why}", action=action)
    if fine:
        yield ok(about, f"{fine} of {counted(len(needed), 'action')} tried on something that does not exist")
    refused = isinstance(error, Refused) and error.status == 403
    how = "may not be read" if refused else f"was not told: {error.message}"
    yield attention(
        about,
        f"Azure's own list of permissions {how}, so that rights beyond need cannot be told",
        f"Assign Reader at the service, or a role with {rights.ROLE_TO_ASK}, while you check." if refused else "",
    )


def _lacks(about: str, right: rights.Right, job: rights.Job) -> Finding:
    role = f"deploy/roles/{job.role}.json" if job.role else f"a role with {', '.join(job.actions)}"
    return missing(
        about,
        f"{right.action} ({right.why}); without it {right.without}",
        f"Assign {role} at the service: docs/permissions.md. A new assignment may take some minutes to count.",
        right.action,
    )


def _too_much(
    about: str, entries: Sequence[Entry], jobs: Sequence[rights.Job], needed: Sequence[str]
) -> Iterator[Finding]:
    more = permissions.beyond(entries, needed)
    if not more:
        return
    could = permissions.dangers(entries, needed)
    worst = f"; with it one could also {', '.join(could[:SHOWN])}" if could else ""
    files = [f"deploy/roles/{job.role}.json" for job in jobs if job.role]
    yield attention(
        about,
        f"more than is needed is granted: {', '.join(more[:SHOWN])}{' …' if len(more) > SHOWN else ''}{worst}",
        f"Assign {' and '.join(files)} in the place of the role that grants it." if files else "",
        more[0],
    )


def _all_of(jobs: Sequence[rights.Job]) -> str:
    return " and ".join(job.name.replace("`", "") for job in jobs)
