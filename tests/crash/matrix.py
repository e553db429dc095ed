"""The crash matrix: which cells there are, and how many writes a rotation may send.

A cell is one whole rotation of one credential, from a ledger that is not there yet, with one crash. What is crossed:

    the kind of credential    an apim subscription, tenant access, a self-hosted gateway
    how it is renewed         set, regenerate; a gateway's values cannot be set
    the step                  every request of a rotation, every save of its ledger, every write of a file
    the way of the crash      see `Way`
    who goes on               the same machine, or another one, which has to wait out the lease of the dead

Not every way fits every step. A read has no effect that could come late. What happens within the machine, a save or a
write of a file, knows no lost answer; and killed after one save is killed before the next one, or before the effect
between them, which are cells of their own.
Never here: how a cell is played (that is `cell`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from tests.crash.worlds import GATEWAY, KINDS, SUBSCRIPTION, TENANT_ACCESS, Kind

Match = Mapping[str, str]

SET, REGENERATE = "set", "regenerate"


class Way(StrEnum):
    """How keyturn dies at a step."""

    QUIET = "quiet"
    """It does not: what a rotation looks like that nobody disturbs."""
    BEFORE = "before"
    """The intent is saved, the request has left, and never arrives."""
    AFTER = "after"
    """The effect has happened, and keyturn is killed before it hears so."""
    LOST = "lost"
    """The effect has happened, the connection breaks instead of an answer, and keyturn is killed at whatever it asks
    next, having learned that it does not know."""
    LATE = "late"
    """The request was accepted, keyturn is killed, and the effect comes while its successor is at work."""


class Next(StrEnum):
    """Who goes on with it."""

    SAME = "same"
    OTHER = "other"


class Step(NamedTuple):
    """Where keyturn dies: at the first request that fits the last match, after one that fits the match before it was
    answered, and so on; or at the n-th event of a kind that it saves, or the n-th file; or when it tells the receiver
    of its webhook for the n-th time."""

    name: str
    path: tuple[Match, ...] = ()
    event: str = ""
    tells: bool = False
    nth: int = 1
    ways: tuple[Way, ...] = (Way.BEFORE, Way.AFTER, Way.LOST)


class Cell(NamedTuple):
    kind: Kind
    mode: str
    step: Step
    way: Way
    next: Next

    @property
    def name(self) -> str:
        return f"{self.kind.name}/{self.mode}/{self.step.name}/{self.way}/{self.next}"


class Sends(NamedTuple):
    """How many calls that Azure charges as a write one rotation makes, adoption included, where one crash is allowed.

    `writes` are those that change a slot, and the proof of the fence, which changes nothing. Two of them take effect,
    one per slot, always. `lists` read the values.
    """

    quiet_writes: int
    writes: int
    quiet_lists: int
    lists: int


SENDS: Final[Mapping[tuple[str, str], Sends]] = {
    # In set mode one write may be sent again with the same ETag, and then one of the two is refused (ADR 0006).
    # In regenerate mode none is ever sent again while the first may still land (A5).
    (SUBSCRIPTION.name, SET): Sends(quiet_writes=3, writes=4, quiet_lists=1, lists=3),
    (SUBSCRIPTION.name, REGENERATE): Sends(quiet_writes=2, writes=2, quiet_lists=3, lists=5),
    # A PUT of tenant access repeats the other slot's value, and so is preceded by a list.
    (TENANT_ACCESS.name, SET): Sends(quiet_writes=3, writes=4, quiet_lists=4, lists=6),
    (TENANT_ACCESS.name, REGENERATE): Sends(quiet_writes=2, writes=2, quiet_lists=3, lists=5),
    (GATEWAY.name, REGENERATE): Sends(quiet_writes=2, writes=2, quiet_lists=3, lists=5),
}

# -------- requests

ARM: Final = "management.azure.com"
VAULT_HOST: Final = "shop-kv.vault.azure.net"
OURS: Final[Match] = {"agent_regex": "^(keyturn|azsdk-python-identity)"}
"""Every request of keyturn's, and no caller's."""
ISSUER: Final[Match] = {"host": "login.microsoftonline.com", "method": "GET", "agent_regex": "^azsdk"}
SIGN_IN: Final[Match] = {"host": "login.microsoftonline.com", "method": "POST", "agent_regex": "^azsdk"}
SEE_VAULT: Final[Match] = {"host": VAULT_HOST, "method": "GET", "agent_regex": "^keyturn"}
PUBLISH_VAULT: Final[Match] = {"host": VAULT_HOST, "method": "PUT"}
ASK: Final[Match] = {"agent_regex": "^keyturn-probe"}
GATEWAYS: Final[Match] = {"host": ARM, "method": "GET", "path_regex": "/service/shop-apim$"}


def _arm(method: str, end: str) -> Match:
    return {"host": ARM, "method": method, "path_regex": f"/{end}$", "agent_regex": "^keyturn"}


SEE_NAMED: Final = _arm("GET", "namedValues/shown")
READ_NAMED: Final = _arm("POST", "namedValues/shown/listValue")
CREATE_NAMED: Final = _arm("PUT", "namedValues/shown")
PUBLISH_NAMED: Final = _arm("PATCH", "namedValues/shown")
EFFECT: Final = (Way.BEFORE, Way.AFTER, Way.LOST, Way.LATE)


def write_of(kind: Kind, mode: str) -> Match:
    """The request that gives a slot a fresh value."""
    if mode == REGENERATE:
        return _arm("POST", f"{kind.below}/regenerate(Primary|Secondary)?Key")
    return _arm("PUT" if kind is TENANT_ACCESS else "PATCH", kind.below)


def list_of(kind: Kind) -> Match:
    """The request that reads both values."""
    return _arm("POST", f"{kind.below}/list(Secrets|Keys)")


def requests_of(kind: Kind, mode: str) -> Iterator[Step]:
    """The steps of a rotation that others can see, in their order."""
    see, write, values = _arm("GET", kind.below), write_of(kind, mode), list_of(kind)
    sets, asks, named = mode == SET, kind is not GATEWAY, kind is SUBSCRIPTION
    find = see if kind is TENANT_ACCESS else _arm("GET", kind.below.partition("/")[0])
    adopted = CREATE_NAMED if named else PUBLISH_VAULT
    published = (PUBLISH_VAULT,) if named else (PUBLISH_VAULT, PUBLISH_VAULT)
    renew = (write, write) if sets else (write,)
    retire = (*renew, write)
    yield Step("issuer", (ISSUER,))
    yield Step("sign-in", (SIGN_IN,))
    yield Step("find", (find,))
    yield Step("look", (find, see))
    yield Step("look-vault", (SEE_VAULT,))
    if named:
        yield Step("look-named", (SEE_NAMED,))
    yield Step("values", (values,))
    if sets:
        yield Step("fence", (write,), ways=EFFECT)
    if asks:
        yield Step("gateways", (GATEWAYS,))
        yield Step("ask-adopted", (ASK,))
    yield Step("publish-adopted", (adopted,), ways=EFFECT)
    if named:
        yield Step("read-back-adopted", (adopted, READ_NAMED))
    yield from _tells("tell-adopted", 1, kind)
    yield from _tells("tell-again", 2, kind)
    yield Step("look-before-renew", (adopted, see, see) if named else (adopted, see))
    if sets and kind is TENANT_ACCESS:
        yield Step("values-to-renew", (adopted, values))
    yield Step("renew", renew, ways=EFFECT)
    if not sets:
        yield Step("values-renewed", (*renew, values))
    if asks:
        yield Step("ask-renewed", (*renew, ASK))
    yield Step("look-before-publish", (*renew, see))
    yield Step("publish", published, ways=EFFECT)
    yield Step("read-back", (*published, SEE_VAULT))
    if named:
        yield Step("publish-named", (PUBLISH_NAMED,), ways=EFFECT)
        yield Step("read-back-named", (PUBLISH_NAMED, READ_NAMED))
    yield from _tells("tell", 3, kind)
    yield Step("look-drained", (*published, see))
    if sets and kind is TENANT_ACCESS:
        yield Step("values-to-retire", (*published, values))
    yield Step("retire", retire, ways=EFFECT)
    if not sets:
        yield Step("values-retired", (*retire, values))
    if asks:
        yield Step("ask-retired", (*retire, ASK))
    yield Step("look-proven", (*retire, see))


def _tells(name: str, nth: int, kind: Kind) -> Iterator[Step]:
    """A receiver that nobody can read back is told twice on adoption (ADR 0021)."""
    if "webhook" in kind.sinks:
        yield Step(name, tells=True, nth=nth, ways=EFFECT)


def events_of(kind: Kind, mode: str) -> tuple[str, ...]:
    """What the ledger tells of a quiet rotation: each of these is a save."""
    begun = ["requested", *(["fence"] if mode == SET else []), "adopt", "confirm first"]
    asked = ["wait"] if kind is GATEWAY else ["accepted", "wait"]
    asked_again = asked if kind is GATEWAY else ["refused-by-gateway", *asked]
    again = ["repair", "publish", "repaired in a rotation", "wait"] if "webhook" in kind.sinks else []
    return (
        *begun, *asked, "confirm", "confirmed", "publish", "repaired", "due", "wait", *again,
        "renew the standby", "renewed", *asked_again, "confirm", "confirmed", "publish", "published", "wait",
        "drained", "retire the old slot", "retired", *asked_again, "confirm", "finish", "wait",
    )  # fmt: skip


def within(kind: Kind, mode: str) -> Iterator[Step]:
    """The steps that happen within keyturn's machine."""
    for nth, name in ((1, "file-adopted"), (2, "file")):
        yield Step(name, event="file", nth=nth, ways=(Way.BEFORE, Way.AFTER))
    seen: Counter[str] = Counter()
    for event in events_of(kind, mode):
        seen[event] += 1
        yield Step(f"save-{event.replace(' ', '-')}-{seen[event]}", event=event, nth=seen[event], ways=(Way.BEFORE,))


def cells() -> list[Cell]:
    """All of them, in a fixed order."""
    return [cell for kind in KINDS.values() for mode in kind.modes for cell in _of(kind, mode)]


def _of(kind: Kind, mode: str) -> Iterator[Cell]:
    yield Cell(kind, mode, Step("none"), Way.QUIET, Next.SAME)
    for step in (*requests_of(kind, mode), *within(kind, mode)):
        for way in step.ways:
            for after in Next:
                yield Cell(kind, mode, step, way, after)


def sample(seed: int, count: int) -> list[Cell]:
    """So many cells, drawn so that each next one has the most of what none before it had."""
    drawn = random.Random(seed)
    left = cells()
    drawn.shuffle(left)
    had: set[tuple[str, ...]] = set()
    chosen: list[Cell] = []
    while left and len(chosen) < count:
        best = max(left, key=lambda cell: len(_traits(cell) - had))
        left.remove(best)
        chosen.append(best)
        had |= _traits(best)
    return chosen


def _traits(cell: Cell) -> set[tuple[str, ...]]:
    """What a sample should have once at least."""
    kind, way, step = cell.kind.name, cell.way.value, cell.step.name
    return {(step,), (kind, cell.mode, way), (way, cell.next), (kind, cell.mode, cell.next), (kind, step)}


def named(wanted: Sequence[str]) -> list[Cell]:
    """The cells whose names begin with one of these; a part of a name may be `*`. Raises ValueError for one that fits
    none."""
    fits = {start: [cell for cell in cells() if _begins(cell.name.split("/"), start.split("/"))] for start in wanted}
    for start, fitting in fits.items():
        if not fitting:
            raise ValueError(f"no cell's name begins with {start}")
    return list({cell.name: cell for fitting in fits.values() for cell in fitting}.values())


def _begins(name: Sequence[str], start: Sequence[str]) -> bool:
    return len(start) <= len(name) and all(part in {"*", own} for own, part in zip(name, start, strict=False))
