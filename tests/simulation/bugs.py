"""Everyday bugs, each put into the real code, and how soon random schedules find it.

`uv run python -m tests.simulation.bugs` plays the schedules of a range of seeds with each bug in turn, until an
invariant breaks: one line per bug, the figures last. Exit 0: each was caught within its number, by an invariant that
it may break; 1: one was not; 2: the command was called wrongly. Nothing is directed at a bug: the schedules are those
of `schedule.draw`, which the product plays without a break. Never here: the rules of docs/protocol.md taken away
(`rules_removed`), or schedules made for a bug.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import pytest

from keyturn import by_hand, model, outcome, plan, scene, turn
from keyturn.errors import Conflict
from keyturn.model import Credential, Event, Fingerprint, Record, Secret, Slot, Stage
from keyturn.policy import MINUTE, Policy, ProbeSpec
from keyturn.ports import Answer, Applied, NotApplied, SendBy, Stored, Tags, Uncertain, Verdict
from keyturn.scene import Scene, Seen
from keyturn.testing import MemoryProbe, MemorySink
from tests.simulation.invariants import (
    ALWAYS_LIVE,
    FENCED,
    IT_ENDS,
    LEDGER,
    NO_SECRET,
    ONE_EFFECT,
    QUIET,
    RETIRE_LAST,
    UNKNOWN,
    Broken,
)
from tests.simulation.play import play
from tests.simulation.schedule import draw

Put = Callable[[pytest.MonkeyPatch], None]


# -------- the ways to put a bug


def _in_the_plan(patch: pytest.MonkeyPatch, **functions: Callable[..., Any]) -> None:
    """Other functions in the place of the plan's, in its rows too."""
    for name, function in functions.items():
        patch.setattr(plan, name, function)
    patch.setattr(plan, "TABLE", plan.rows())


def _without_rows(patch: pytest.MonkeyPatch, *names: str) -> None:
    assert set(names) <= {row.name for row in plan.TABLE}
    patch.setattr(plan, "TABLE", tuple(row for row in plan.TABLE if row.name not in names))


def _after_marking(patch: pytest.MonkeyPatch, change: Callable[[Record, Record, Seen, datetime], Record]) -> None:
    """Change what a look does to a record: `change(before, marked, seen, now)`."""
    mark = scene.mark

    def marked(record: Record, seen: Seen, policy: Policy, now: datetime) -> Record:
        return change(record, mark(record, seen, policy, now), seen, now)

    patch.setattr(plan, "mark", marked)


def _each_slot(record: Record, **changes: object) -> Record:
    for slot in Slot:
        record = record.with_slot(slot, **changes)
    return record


# -------- the bugs: the rotation's order


def publish_before_confirm(patch: pytest.MonkeyPatch) -> None:
    """Publishes the fresh value as soon as Azure has it, and asks no gateway."""
    patch.setattr(Scene, "confirmed", lambda _self, _slot: True)


def one_accept_is_enough(patch: pytest.MonkeyPatch) -> None:
    """Takes the first 200 of a gateway as the proof, though other units behind its address may not know yet."""
    ask, due = MemoryProbe.ask, plan._confirm_due_at

    def once(self: MemoryProbe, gateways: Sequence[str], spec: ProbeSpec, value: Secret, _accepts: int) -> Verdict:
        return ask(self, gateways, spec, value, 1)

    patch.setattr(MemoryProbe, "ask", once)
    _in_the_plan(patch, _confirm_due_at=lambda s: s.now if s.policy.probe else due(s))


def ask_one_region(patch: pytest.MonkeyPatch) -> None:
    """Asks the service's first gateway only, and forgets its other regions."""
    ask = MemoryProbe.ask

    def first(self: MemoryProbe, gateways: Sequence[str], spec: ProbeSpec, value: Secret, accepts: int) -> Verdict:
        return ask(self, gateways[:1], spec, value, accepts)

    patch.setattr(MemoryProbe, "ask", first)


def first_sink_only(patch: pytest.MonkeyPatch) -> None:
    """Looks after the first sink of the policy and forgets the others."""
    init = turn.Turn.__init__

    def forgetful(self: turn.Turn, **ports: Any) -> None:
        sinks = ports["sinks"]
        init(self, **{**ports, "sinks": lambda credential: sinks(credential)[:1]})

    patch.setattr(turn.Turn, "__init__", forgetful)


def all_instead_of_any(patch: pytest.MonkeyPatch) -> None:
    """Takes a slot for unused once the first sink has moved on: `all` in the place of `any`."""

    def careless(_before: Record, marked: Record, seen: Seen, now: datetime) -> Record:
        for slot in Slot:
            kept = marked.slot(slot)
            if kept.exposed and any(sink.shows not in {None, kept.fingerprint} for sink in seen.sinks):
                since = _before.slot(slot).quiet_since or now
                marked = marked.with_slot(slot, exposed=False, quiet_since=since)
        return marked

    _after_marking(patch, careless)


def wrong_slot(patch: pytest.MonkeyPatch) -> None:
    """Renews the active slot: one `other` is missing."""
    start = plan._new_rotation
    _in_the_plan(patch, _new_rotation=lambda s: {**start(s), "turning": s.active})


# -------- the drain


def drain_too_short(patch: pytest.MonkeyPatch) -> None:
    """Ends the drain five minutes early: somebody subtracted a margin that he should have added."""
    guard = plan.blocked

    def early(s: Scene, slot: Slot) -> plan.Blocked | None:
        shorter = msgspec.structs.replace(s.policy, drain=s.policy.drain - 5 * MINUTE)
        return guard(Scene(s.record, s.seen, shorter, s.now), slot)

    patch.setattr(plan, "blocked", early)


def drain_in_memory(patch: pytest.MonkeyPatch) -> None:
    """Keeps the drain's begin in memory: a process that starts takes every old slot for drained."""
    load = turn.Turn._load

    def forgetful(self: turn.Turn, credential: Credential, policy: Policy) -> Stored:
        stored = load(self, credential, policy)
        if vars(self).setdefault("_knows", stored.version) == stored.version:
            return msgspec.structs.replace(stored, record=_each_slot(stored.record, quiet_since=None))
        return stored

    patch.setattr(turn.Turn, "_load", forgetful)


def drain_from_the_intent(patch: pytest.MonkeyPatch) -> None:
    """Counts the drain from when the publish began, not from the look that saw the old value in no sink."""

    def since_the_intent(before: Record, marked: Record, _seen: Seen, now: datetime) -> Record:
        for slot in Slot:
            if before.slot(slot).exposed and marked.slot(slot).quiet_since == now:
                marked = marked.with_slot(slot, quiet_since=before.since)
        return marked

    _after_marking(patch, since_the_intent)


def drain_never_ends(patch: pytest.MonkeyPatch) -> None:
    """Begins the drain anew at every look that finds the slot unused."""

    def anew(_before: Record, marked: Record, _seen: Seen, now: datetime) -> Record:
        for slot in Slot:
            if marked.slot(slot).quiet_since is not None:
                marked = marked.with_slot(slot, quiet_since=now)
        return marked

    _after_marking(patch, anew)


def once_quiet_always_quiet(patch: pytest.MonkeyPatch) -> None:
    """Never looks again whether a sink shows a value that was out of all of them once."""

    def blind(before: Record, marked: Record, _seen: Seen, _now: datetime) -> Record:
        for slot in Slot:
            since = before.slot(slot).quiet_since
            if since is not None and before.slot(slot).fingerprint == marked.slot(slot).fingerprint:
                marked = marked.with_slot(slot, exposed=False, quiet_since=since)
        return marked

    _after_marking(patch, blind)


def release_forgets_the_drain(patch: pytest.MonkeyPatch) -> None:
    """Clears the drain with the other waits when a person releases the credential."""
    release = by_hand.release

    def clearing(record: Record, because: str, now: datetime) -> tuple[Record, Event]:
        going, event = release(record, because, now)
        return _each_slot(going, exposed=False, quiet_since=None), event

    patch.setattr(by_hand, "release", clearing)


# -------- writes


def effect_before_intent(patch: pytest.MonkeyPatch) -> None:
    """Writes the slot first and the ledger after it, as it is easier to write down what has happened."""
    save, written = turn.Turn._save, turn.Turn._written

    def held_back(self: turn.Turn, record: Record, expected: int, events: Sequence[Event]) -> int:
        if any(event.kind in {"renew the standby", "retire the old slot"} for event in events):
            vars(self)["_later"] = (record, expected, events)
            return expected + 1
        return save(self, record, expected, events)

    def sent_first(
        self: turn.Turn, credential: Credential, write: plan.Write, value: Secret | None, send_by: SendBy
    ) -> Answer:
        answer = written(self, credential, write, value, send_by)
        later = vars(self).pop("_later", None)
        if later is not None:
            save(self, *later)
        return answer

    patch.setattr(turn.Turn, "_save", held_back)
    patch.setattr(turn.Turn, "_written", sent_first)


def regenerate_is_retried(patch: pytest.MonkeyPatch) -> None:
    """Sends a regenerate again at once where its answer was lost, as an HTTP client with retries does."""
    written = turn.Turn._written

    def retried(
        self: turn.Turn, credential: Credential, write: plan.Write, value: Secret | None, send_by: SendBy
    ) -> Answer:
        answer = written(self, credential, write, value, send_by)
        again = value is None and isinstance(answer, Uncertain)
        return written(self, credential, write, value, send_by) if again else answer

    patch.setattr(turn.Turn, "_written", retried)


def if_match_star(patch: pytest.MonkeyPatch) -> None:
    """Sends `If-Match: *`, which Azure's samples have, so that nobody's write is ever refused."""
    written = turn.Turn._written

    def unfenced(
        self: turn.Turn, credential: Credential, write: plan.Write, value: Secret | None, send_by: SendBy
    ) -> Answer:
        return written(self, credential, msgspec.structs.replace(write, etag="*"), value, send_by)

    patch.setattr(turn.Turn, "_written", unfenced)


def a_412_is_taken_for_done(patch: pytest.MonkeyPatch) -> None:
    """Takes a 412 for a write that happened before, and goes on with the value that it drew."""
    learn = turn.Turn._learn_write

    def once(self: turn.Turn, credential: Credential, write: plan.Write, value: Secret, send_by: SendBy) -> Answer:
        return self._keyring.set_value(credential, write.slot, value, write.etag or "", send_by)

    def believing(self: turn.Turn, record: Record, version: int, write: plan.Write, *rest: Any) -> turn.Look | None:
        answer, policy, look = rest
        intent, other = record.slot(write.slot).intent, record.slot(write.slot.other).fingerprint
        refused = isinstance(answer, NotApplied) and answer.status == 412
        if not refused or intent is None or not intent.candidates or other is None:
            return learn(self, record, version, write, *rest)
        live = {write.slot: intent.candidates[-1], write.slot.other: other}
        learned, events = outcome.learn_values(record, live, look.seen.etag, policy, self._clock.now())
        held = self._held.which(list(live.values()))
        return self._kept(look, self._save(learned, version, events), listed=True, held=held)

    patch.setattr(turn.Turn, "_set_value", once)
    patch.setattr(turn.Turn, "_learn_write", believing)


def a_500_is_taken_for_a_no(patch: pytest.MonkeyPatch) -> None:
    """Takes a 500 and a broken connection for a write that did not happen, and tries again with the next look."""

    def withdrawn(self: turn.Turn, record: Record, version: int, write: plan.Write, *rest: Any) -> turn.Look | None:
        answer: Answer = rest[0]
        if isinstance(answer, Uncertain):
            answer = NotApplied(status=500, code="InternalServerError", sentence=answer.sentence)
        return learn(self, record, version, write, answer, *rest[1:])

    learn: Callable[..., turn.Look | None] = turn.Turn._learn_write
    patch.setattr(turn.Turn, "_learn_write", withdrawn)


def nothing_lands_late(patch: pytest.MonkeyPatch) -> None:
    """Believes that a request which got no answer is over with its deadline."""
    patch.setattr(Policy, "settling", property(lambda self: self.deadline))


def deadline_from_the_send(patch: pytest.MonkeyPatch) -> None:
    """Counts the deadline from the send, not from the look that the send rests on."""

    def from_now(self: turn.Turn, _look: turn.Look, policy: Policy) -> SendBy:
        span = policy.deadline.total_seconds()
        return SendBy(at=self._clock.now() + policy.deadline, boot=self._clock.boottime() + span, seconds=span)

    patch.setattr(turn.Turn, "_send_by", from_now)


def same_value_once_more(patch: pytest.MonkeyPatch) -> None:
    """Derives the fresh value from the salt and the count of rotations: who loses the count repeats himself."""

    def derived(self: turn.Turn, credential: Credential, record: Record, write: plan.Write) -> Any:
        if write.mode is model.Mode.REGENERATE:
            return record, None
        told = f"{credential.key} {write.slot} {record.rotations} {record.renewals}"
        value = Secret(told).fingerprint(self._ledger.salt) + Secret(told + "!").fingerprint(self._ledger.salt)
        return self._with_value(record, write.slot, Secret(value[:32]))

    patch.setattr(turn.Turn, "_with_candidate", derived)


# -------- what is read, and what is remembered


def values_by_slot(patch: pytest.MonkeyPatch) -> None:
    """Keeps values in memory by slot, and publishes one though another keyturn has written the slot since."""
    publish, with_value, learn = turn.Turn._publish, turn.Turn._with_value, turn.Turn._learn_values

    def remembering(self: turn.Turn, record: Record, slot: Slot, value: Secret) -> tuple[Record, Secret]:
        vars(self).setdefault("_by_slot", {})[slot] = value
        return with_value(self, record, slot, value)

    def learning(self: turn.Turn, record: Record, version: int, values: Any, *rest: Any) -> turn.Look:
        for slot in Slot:
            vars(self).setdefault("_by_slot", {}).setdefault(slot, values.of(slot))
        return learn(self, record, version, values, *rest)

    def from_memory(self: turn.Turn, *given: Any) -> turn.Look | None:
        (publishing,) = [each for each in given if isinstance(each, plan.Publish)]
        value = vars(self).get("_by_slot", {}).get(publishing.slot)
        right = self._held.get(publishing.fingerprint)
        assert right is not None
        self._held.keep(publishing.fingerprint, value or right)
        try:
            return publish(self, *given)
        finally:
            self._held.keep(publishing.fingerprint, right)

    patch.setattr(turn.Turn, "_with_value", remembering)
    patch.setattr(turn.Turn, "_learn_values", learning)
    patch.setattr(turn.Turn, "_publish", from_memory)


def last_writer_wins(patch: pytest.MonkeyPatch) -> None:
    """Saves once more, with the version that stands there now, where somebody else has saved first."""
    save = turn.Turn._save

    def stubborn(self: turn.Turn, record: Record, expected: int, events: Sequence[Event]) -> int:
        try:
            return save(self, record, expected, events)
        except Conflict:
            stored = self._ledger.load(record.key)
            return save(self, record, 0 if stored is None else stored.version, events)

    patch.setattr(turn.Turn, "_save", stubborn)


def believes_its_clock(patch: pytest.MonkeyPatch) -> None:
    """Never compares its own clock with Azure's."""
    patch.setattr(Scene, "skewed", property(lambda _self: False))


def unreadable_is_empty(patch: pytest.MonkeyPatch) -> None:
    """Takes a sink that cannot be read for one that shows nothing."""
    unread = turn.Turn._read_sink

    def empty(self: turn.Turn, *given: Any) -> scene.SinkSeen:
        seen = unread(self, *given)
        return seen if seen.problem is None else scene.SinkSeen(name=seen.name)

    patch.setattr(turn.Turn, "_read_sink", empty)


def no_answer_is_delivered(patch: pytest.MonkeyPatch) -> None:
    """Takes a webhook that did not answer for one that was delivered."""
    write = MemorySink.write

    def hopeful(self: MemorySink, value: Secret, tags: Tags, send_by: SendBy) -> Answer:
        answer = write(self, value, tags, send_by)
        return Applied() if self.write_only and isinstance(answer, Uncertain) else answer

    patch.setattr(MemorySink, "write", hopeful)


# -------- adoption, repair, holds


def adopt_without_looking(patch: pytest.MonkeyPatch) -> None:
    """Adopts the slot that the policy names, and does not look what the sinks show."""
    rows = {"unreadable", "foreign", "equal", "disagree", "shown", "ours"}
    _without_rows(patch, *(f"adopt: {row}" for row in rows))


def adopt_the_first(patch: pytest.MonkeyPatch) -> None:
    """Adopts what the first sink shows where the sinks disagree."""
    one = plan._shown_slots

    def first(s: Scene) -> set[Slot]:
        shown = one(s)
        live = [slot for sink in s.seen.sinks for slot in Slot if s.live(slot) == s.shows(sink) and slot in shown]
        return set(live[:1])

    _in_the_plan(patch, _shown_slots=first)


def overwrite_the_foreign(patch: pytest.MonkeyPatch) -> None:
    """Takes whatever is in a sink for an old value of ours, and writes over it."""
    _in_the_plan(patch, _foreign=lambda _s: ())


def never_repair(patch: pytest.MonkeyPatch) -> None:
    """Checks a sink when it publishes, and never again."""
    _without_rows(patch, "repair", "fail over", "confirm first")


def never_fail_over(patch: pytest.MonkeyPatch) -> None:
    """Confirms what somebody else wrote, and publishes that, while callers are refused and a good value waits."""
    patch.setattr(Scene, "rescue", property(lambda _self: None))


def fail_over_unconfirmed(patch: pytest.MonkeyPatch) -> None:
    """Fails over to a value that no gateway has confirmed: any live one is better than a dead one."""
    publishable = Scene.publishable

    def live(self: Scene, slot: Slot) -> bool:
        return publishable(self, slot) or (self.values_current and bool(self.dead) and self.settled(slot))

    patch.setattr(Scene, "publishable", live)


def release_does_not_last(patch: pytest.MonkeyPatch) -> None:
    """Notes that a person released the credential, and keeps the hold."""
    release = by_hand.release

    def kept(record: Record, because: str, now: datetime) -> tuple[Record, Event]:
        going, event = release(record, because, now)
        return going.but(hold=record.hold), event

    patch.setattr(by_hand, "release", kept)


def compromise_cuts_off(patch: pytest.MonkeyPatch) -> None:
    """Ends a compromised value at once, though sinks still show it and nothing else was published."""
    guard = plan.blocked

    def hasty(s: Scene, slot: Slot) -> plan.Blocked | None:
        return plan.unsettled(s, slot) if s.compromised(slot) else guard(s, slot)

    def compromised(s: Scene) -> plan.Step:
        return plan._move(s, "compromised", Stage.RETIRE, "it dies now", **{**rotation(s), "turning": s.active.other})

    rotation, active = plan._compromised_rotation, plan._active_compromised
    patch.setattr(plan, "blocked", hasty)
    _in_the_plan(
        patch,
        _replace_active=compromised,
        _active_compromised=lambda s: s.record.stage is not Stage.RETIRE and active(s),
    )


# -------- what is told


def value_in_the_history(patch: pytest.MonkeyPatch) -> None:
    """Tells the first characters of the value that it publishes, so that people can compare."""
    publish_to = plan._publish_to
    kept: dict[Fingerprint, str] = {}
    keep = turn.HeldValues.keep

    def keeping(self: turn.HeldValues, fingerprint: Fingerprint, value: Secret) -> None:
        kept[fingerprint] = value.reveal()
        keep(self, fingerprint, value)

    def telling(s: Scene, slot: Slot, *given: Any) -> plan.Step:
        step = publish_to(s, slot, *given)
        assert step.event is not None
        told = f"{step.event.sentence} ({kept[s.live(slot) or Fingerprint('')][:12]}...)"
        return msgspec.structs.replace(step, event=msgspec.structs.replace(step.event, sentence=told))

    patch.setattr(turn.HeldValues, "keep", keeping)
    _in_the_plan(patch, _publish_to=telling)


# -------- the table


@dataclass(frozen=True)
class Bug:
    """A bug, the invariants that it may break, and within how many schedules one of them does, wherever they begin."""

    put: Put
    breaks: frozenset[str]
    within: int
    near: int
    """A seed from which on it was found soon when this was written: where a test begins that has no time."""

    @property
    def name(self) -> str:
        return self.put.__name__.replace("_", "-")

    @property
    def told(self) -> str:
        return (self.put.__doc__ or "").strip()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            self.put(patch)
            yield


def _bug(put: Put, within: int, near: int, *breaks: str) -> Bug:
    return Bug(put, frozenset(breaks), within, near)


BUGS: tuple[Bug, ...] = (
    _bug(publish_before_confirm, 10, 0, ALWAYS_LIVE),
    _bug(one_accept_is_enough, 100, 0, ALWAYS_LIVE),
    _bug(ask_one_region, 500, 300_009, ALWAYS_LIVE),
    _bug(first_sink_only, 20, 0, UNKNOWN, RETIRE_LAST, IT_ENDS),
    _bug(all_instead_of_any, 1000, 49, RETIRE_LAST, QUIET),
    _bug(wrong_slot, 10, 0, IT_ENDS, QUIET),
    _bug(drain_too_short, 20, 0, RETIRE_LAST, QUIET),
    _bug(drain_in_memory, 200, 0, RETIRE_LAST, QUIET),
    _bug(drain_from_the_intent, 200, 800_000, RETIRE_LAST, QUIET),
    _bug(drain_never_ends, 10, 0, IT_ENDS),
    _bug(once_quiet_always_quiet, 1500, 800_065, RETIRE_LAST, QUIET),
    _bug(release_forgets_the_drain, 500, 200_023, RETIRE_LAST, QUIET),
    _bug(effect_before_intent, 10, 0, ONE_EFFECT),
    _bug(regenerate_is_retried, 1000, 800_012, ONE_EFFECT),
    _bug(if_match_star, 700, 300_021, ALWAYS_LIVE, QUIET, RETIRE_LAST),
    _bug(a_412_is_taken_for_done, 3000, 800_170, RETIRE_LAST, ALWAYS_LIVE, IT_ENDS),
    _bug(a_500_is_taken_for_a_no, 3000, 800_121, ONE_EFFECT, ALWAYS_LIVE),
    _bug(nothing_lands_late, 2000, 200_075, ONE_EFFECT, ALWAYS_LIVE),
    _bug(deadline_from_the_send, 1500, 100_000, FENCED),
    _bug(same_value_once_more, 3000, 0, RETIRE_LAST),
    _bug(values_by_slot, 100, 0, ALWAYS_LIVE, IT_ENDS),
    _bug(last_writer_wins, 300, 300_000, IT_ENDS, ALWAYS_LIVE, ONE_EFFECT, QUIET, RETIRE_LAST),
    _bug(believes_its_clock, 500, 200_000, RETIRE_LAST, QUIET, ALWAYS_LIVE),
    _bug(unreadable_is_empty, 1000, 100_011, UNKNOWN, RETIRE_LAST, QUIET),
    _bug(no_answer_is_delivered, 5000, 100_185, RETIRE_LAST, QUIET, ALWAYS_LIVE),
    _bug(adopt_without_looking, 20, 0, UNKNOWN),
    _bug(adopt_the_first, 700, 200_000, UNKNOWN),
    _bug(overwrite_the_foreign, 300, 0, UNKNOWN),
    _bug(never_repair, 30, 0, IT_ENDS, ALWAYS_LIVE, RETIRE_LAST),
    _bug(never_fail_over, 500, 100_000, ALWAYS_LIVE),
    _bug(fail_over_unconfirmed, 3000, 200_347, ALWAYS_LIVE),
    _bug(release_does_not_last, 20, 0, IT_ENDS),
    _bug(compromise_cuts_off, 500, 0, QUIET, RETIRE_LAST),
    _bug(value_in_the_history, 10, 0, NO_SECRET),
)


def invariant_of(broken: Broken) -> str:
    """Its name; in a schedule that loses the ledger, the one that did not hold although it was lost."""
    return broken.invariant.removeprefix(f"{LEDGER} (").removesuffix(")")


def caught(bug: Bug, seed: int, most: int) -> tuple[int, Broken | None]:
    """How many schedules it took from this seed on, and what broke; None: nothing in so many."""
    with bug.in_place():
        for count in range(1, most + 1):
            broken = play(draw(seed + count - 1)).broken
            if broken is not None:
                return count, broken
    return most, None


# -------- the command


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """How a bug came out: after how many schedules which invariant broke, and whether that is as promised. It is not
    where the same schedule breaks an invariant without the bug, too."""

    bug: str
    told: str
    within: int
    schedules: int
    broken: Broken | None
    right: bool

    @property
    def line(self) -> str:
        if self.broken is None:
            return f"{self.bug:28} NOT CAUGHT in {self.schedules} schedules: {self.told}"
        how = f"schedule {self.schedules:>4} of {self.within:>4}  {self.broken.invariant}: {self.broken.sentence}"
        return f"{self.bug:28} {how}" if self.right else f"{self.bug:28} NOT AS PROMISED: {how}"


def find(bug: Bug, seed: int) -> Found:
    """Play schedules with a bug in place, from this seed on, until it is caught or its number is reached."""
    count, broken = caught(bug, seed, bug.within)
    right = broken is not None and invariant_of(broken) in bug.breaks and play(draw(seed + count - 1)).broken is None
    return Found(bug=bug.name, told=bug.told, within=bug.within, schedules=count, broken=broken, right=right)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.bugs", description=__doc__)
    parser.add_argument("--bug", choices=[bug.name for bug in BUGS], metavar="NAME", help="this one only")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the first schedule's seed (0)")
    asked = parser.parse_args(arguments)
    began = time.process_time()
    found = []
    for bug in BUGS:
        if asked.bug in {None, bug.name}:
            found.append(find(bug, asked.seed))
            _say(found[-1].line)
    right = sum(each.right for each in found)
    most, played = max(each.schedules for each in found), sum(each.schedules for each in found)
    spent = time.process_time() - began
    _say("", f"{right} of {len(found)} bugs caught within their numbers, the last at schedule {most}")
    _say(f"{played} schedules from seed {asked.seed} on, {spent:.0f} s of processor time")
    return 0 if right == len(found) else 1


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
