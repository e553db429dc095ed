"""What is rotated how, how often, and how long each wait must be at least.

`Policy` is plain data; `due` says why and since when a rotation must start; `shortfalls` checks the waits against
the bounds of rule A3, with the sums shown.

Never here: a clock, IO, or the configuration's text (that is `config`).
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

import msgspec

from keyturn.model import Mode, Record, Slot
from keyturn.tokens import LONGEST_LIFE
from keyturn.windows import Window, opening

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Retire(StrEnum):
    """When the old value dies."""

    AFTER_DRAIN = "after-drain"
    NEXT_ROTATION = "next-rotation"


class ProbeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The call that confirms a value at every gateway of the service.

    `gateways` are base addresses (`https://host`); empty means every gateway that the service itself names.
    """

    path: str
    method: str = "GET"
    header: str = "Ocp-Apim-Subscription-Key"
    query: str | None = None
    gateways: tuple[str, ...] = ()
    strict: bool = False
    """Only a 2xx accepts: what takes tokens may complain of a request before it looks at its token."""


class TokenKind(StrEnum):
    """What a token opens, and so which keys sign it."""

    GATEWAY = "gateway"  # lets a self-hosted gateway read its configuration; signed with that gateway's keys
    MANAGEMENT = "management"  # opens the direct management endpoint; signed with the tenant access keys


class TokenSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A token that is kept fresh: how long each lives, and how long before its end the next one is published."""

    kind: TokenKind
    lifetime: timedelta = 30 * DAY
    renew_before: timedelta | None = None
    """None: a third of the lifetime."""
    short: bool = False
    """The short form of a management token, which only gateway tokens prove (azure-recorded 7)."""

    @property
    def renews_before(self) -> timedelta:
        return self.renew_before if self.renew_before is not None else self.lifetime / 3


class Consumers(msgspec.Struct, frozen=True, kw_only=True):
    """What the policy's author declares about the callers; the drain's lower bound is computed from it."""

    cache: timedelta = HOUR
    """The longest that any caller keeps a value before it reads the sink again."""
    longest_call: timedelta = 2 * MINUTE
    replication: timedelta = MINUTE
    """How long a sink may go on showing its previous value somewhere."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How a policy's fleet is rotated one after another: the first few, then the rest, and an end to it where too many
    are held."""

    first: int = 0
    """So many start alone; the rest start only while none of them is due, rotating or held."""
    stop_above: float | None = None
    """Nobody starts while a greater share of them is held; None: never mind."""


class Policy(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """How one set of credentials is looked after. All spans are durations; defaults are protocol.md's."""

    name: str
    mode: Mode = Mode.SET
    every: timedelta = 30 * DAY
    windows: tuple[Window, ...] = ()
    """When a rotation may start; empty: at any hour. What has started goes on at every hour."""
    jitter: timedelta = timedelta(0)
    """By how much less than `every` a value may age, by its credential's key: a fleet does not start as one."""
    pace: Pace = Pace()
    drain: timedelta = DAY
    drain_max: timedelta | None = None
    """Where evidence may stretch the drain to at most; None means four drains."""
    retire: Retire = Retire.AFTER_DRAIN
    adopt: Slot | None = None
    """The slot to publish when every sink is empty; None holds instead."""
    consumers: Consumers = Consumers()
    probe: ProbeSpec | None = None
    accepts: int = 5
    """Successive accepts on fresh connections that each gateway must give (rule A17)."""
    settle: timedelta = timedelta(seconds=30)
    propagation: timedelta = 10 * MINUTE
    """How long a fresh value may take to reach every gateway; waited out where there is no probe."""
    trust_etag: bool = True
    look_every: timedelta = DAY
    deadline: timedelta = MINUTE
    late: timedelta = 15 * MINUTE
    max_clock_skew: timedelta = MINUTE
    park_after: timedelta = 7 * DAY
    """How long one credential may go on failing until it is held for a person."""
    tokens: tuple[TokenSpec, ...] = ()
    """What is published instead of a value, or beside it."""

    @property
    def drain_limit(self) -> timedelta:
        return self.drain_max if self.drain_max is not None else 4 * self.drain

    @property
    def settling(self) -> timedelta:
        """How long an unacknowledged write may still land, whichever machine's clock judges it (rule A5)."""
        return self.late + self.deadline + self.clocks_apart

    @property
    def propagation_wait(self) -> timedelta:
        """Rule A3: a fast clock must not shorten the wait (trace V14)."""
        return self.propagation + self.clocks_apart

    @property
    def clocks_apart(self) -> timedelta:
        """How far two machines' clocks may differ, each of which is within `max_clock_skew` of Azure's: one machine
        may begin a wait that another one ends (ADR 0020)."""
        return 2 * self.max_clock_skew

    @property
    def confirm_limit(self) -> timedelta:
        """How long gateways may go on refusing a fresh value before a person must look (invariant 7)."""
        return max(6 * self.propagation_wait, HOUR)

    @property
    def longest_pause(self) -> timedelta:
        """The most that failures may put a look off: `look_every` is how long somebody else's change may go unnoticed
        (invariant 1), and that holds for what fails as well."""
        return min(LONGEST_PAUSE, max(self.look_every, HOUR))

    @property
    def longest_wait(self) -> timedelta:
        """No `not_before` is legally further away than this (rule A16)."""
        return _longest_wait(self)

    @property
    def digest(self) -> str:
        """Changes when anything here changes, so that stored waits are computed anew."""
        return _digest(self)


@lru_cache(maxsize=1000)
def _longest_wait(policy: Policy) -> timedelta:
    """Asked for whenever anybody looks whether a record rests."""
    return max(
        policy.drain_limit,
        policy.look_every,
        policy.settling,
        policy.propagation_wait,
        policy.settle,
        policy.longest_pause,
    )


@lru_cache(maxsize=1000)
def _digest(policy: Policy) -> str:
    """Asked for in every turn."""
    return f"{policy.name} {hashlib.sha256(msgspec.json.encode(policy)).hexdigest()[:12]}"


FIRST_PAUSE = timedelta(seconds=30)
QUICK_TRIES = 7
"""So many failures in a row are taken for a hiccup: the pauses double from half a minute, an hour altogether."""
LONGEST_PAUSE = 32 * HOUR


def backoff(failures: int) -> timedelta:
    """How long to wait after that many failures in a row: half a minute and its doubles to 32 minutes, then an hour
    and its doubles to 32 hours."""
    if failures <= QUICK_TRIES:
        return FIRST_PAUSE * (1 << max(failures - 1, 0))
    return min(HOUR * (1 << min(failures - QUICK_TRIES - 1, 5)), LONGEST_PAUSE)


def pause(failures: int, after: float) -> timedelta:
    """The same, or as long as somebody asked for (Retry-After, in seconds), but at most an hour: what one of several
    sinks asks for must not keep the others from a fresh token."""
    return max(backoff(failures), min(timedelta(seconds=after), HOUR))


def share_of(key: str) -> float:
    """A share, 0 to 1, that stays with a key for ever."""
    return int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF


def spread(key: str, span: timedelta) -> timedelta:
    """A stable part of a span, 85 to 100 % of it by the key: a fleet adopted together is not looked at together."""
    return span * (0.85 + 0.15 * share_of(key))


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """Why and since when a rotation must start."""

    reason: str
    sentence: str
    since: datetime


def due_at(record: Record, policy: Policy) -> datetime | None:
    """When the active value reaches the policy's age, less this credential's jitter; None before it was published."""
    if record.active is None:
        return None
    published_at = record.slot(record.active).published_at
    return None if published_at is None else published_at + _age_limit(record, policy)


def _age_limit(record: Record, policy: Policy) -> timedelta:
    return policy.every - policy.jitter * share_of(record.key)


def starts_at(record: Record, policy: Policy, now: datetime) -> datetime | None:
    """When a rotation may start: once it is due and a window is open. A person's request waits for no window.

    None before the value was published, and where no window opens within fifteen days.
    """
    if record.requested is not None:
        return now
    at = due_at(record, policy)
    return None if at is None else opening(policy.windows, max(at, now))


def due(record: Record, policy: Policy, now: datetime) -> Due | None:
    """The reason to rotate now, or None."""
    if record.requested is not None:
        return Due(reason="requested", sentence=record.requested.because, since=record.requested.at)
    at = due_at(record, policy)
    if at is None or now < at:
        return None
    age = now - (at - _age_limit(record, policy))
    return Due(
        reason="age-limit",
        sentence=f"{record.active} is {spell(age)} old, policy says {age_told(policy)}",
        since=at,
    )


def age_told(policy: Policy) -> str:
    """How old an active value may get, in words."""
    jitter = f" less up to {spell(policy.jitter)} of jitter" if policy.jitter else ""
    return f"{spell(policy.every)}{jitter}"


def drain_bounds(policy: Policy) -> tuple[tuple[str, timedelta], ...]:
    """The two sums of rule A3 that `drain` must reach, as (how it adds up, sum)."""
    c = policy.consumers
    callers = c.cache + c.replication + c.longest_call + policy.clocks_apart
    return (
        (
            f"cache {spell(c.cache)} + longest call {spell(c.longest_call)} + sink replication "
            f"{spell(c.replication)} + clocks {spell(policy.clocks_apart)} = {spell(callers)}",
            callers,
        ),
        (
            f"late {spell(policy.late)} + deadline {spell(policy.deadline)} + clocks {spell(policy.clocks_apart)} = "
            f"{spell(policy.settling)}",
            policy.settling,
        ),
    )


def shortfalls(policy: Policy) -> tuple[str, ...]:
    """Every wait that is shorter than its lower bound, each as a sentence with the sum shown. Empty: all is well."""
    found = [
        f"drain: {spell(policy.drain)} is shorter than what your callers need: {how}. "
        f"Raise drain, or lower the terms if they are really shorter."
        for how, least in drain_bounds(policy)
        if policy.drain < least
    ]
    if policy.drain_limit < policy.drain:
        found.append(f"drain.max: {spell(policy.drain_limit)} is shorter than drain {spell(policy.drain)}.")
    if policy.every <= policy.drain:
        found.append(
            f"rotate.every: {spell(policy.every)} is not longer than drain {spell(policy.drain)}: "
            f"the next rotation would wait for the last one."
        )
    elif policy.every - policy.jitter <= policy.drain:
        found.append(
            f"rotate.jitter: {spell(policy.jitter)} leaves of every {spell(policy.every)} no more than "
            f"drain {spell(policy.drain)}: the next rotation would wait for the last one."
        )
    return (*found, *(sentence for spec in policy.tokens for sentence in token_shortfalls(policy, spec)))


def token_shortfalls(policy: Policy, spec: TokenSpec) -> tuple[str, ...]:
    """What is wrong with one token's spans. Rule A3's sum again: a caller that has just read the old token goes on
    with it for its cache time, so the next one must stand in the sink at least that long before the old one ends."""
    found = []
    if spec.lifetime > LONGEST_LIFE:
        found.append(
            f"lifetime: {spell(spec.lifetime)} is longer than {spell(LONGEST_LIFE)}, the most that Azure gives a token."
        )
    if spec.renews_before + policy.settling > spec.lifetime:
        found.append(
            f"renew_before: {spell(spec.renews_before)} leaves less of lifetime {spell(spec.lifetime)} than the "
            f"{spell(policy.settling)} that a lost write may take to land (late + deadline + clocks)."
        )
    how, least = drain_bounds(policy)[0]
    if spec.renews_before < least:
        found.append(
            f"renew_before: {spell(spec.renews_before)} is shorter than what your callers need: {how}. "
            f"Raise renew_before or lifetime, or lower the terms if they are really shorter."
        )
    return tuple(found)


def cautions(policy: Policy, *, emulated: bool = False) -> tuple[str, ...]:
    """Every wait that is below its recommended value, which is the default: allowed, but a person should know.
    `emulated`: time stands while a gateway is asked, so that there is nothing to settle."""
    usual = Policy(name="")
    waits = ("deadline", "late", "max_clock_skew", "settle", "propagation")
    proven = policy.probe is not None and not emulated
    return tuple(
        f"policy {policy.name}: {wait} {spell(getattr(policy, wait))} is below the recommended "
        f"{spell(getattr(usual, wait))}; rotations are only as safe as it is true"
        for wait in waits
        if getattr(policy, wait) < getattr(usual, wait) and (proven or wait != "settle")
    ) + tuple(
        f"policy {policy.name}: a {spec.kind} token has a fresh one {spell(spec.renews_before)} before it ends at the "
        f"latest, and look_every is {spell(policy.look_every)}: let keyturn run more often than the first"
        for spec in policy.tokens
        if spec.renews_before < policy.look_every
    )


def spell(span: timedelta) -> str:
    """A span as people write it: `24 h`, `1 h 4 min`, `31 days`; at most two units, rounded down."""
    seconds = int(span.total_seconds())
    if seconds < 0:
        return f"-{spell(-span)}"
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    if days >= 2:
        hours_part = f" {hours} h" if hours and days < 7 else ""
        return f"{days} d{hours_part}"
    parts = [(days * 24 + hours, "h"), (minutes, "min"), (seconds, "s")]
    shown = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(shown[:2]) or "0 s"
