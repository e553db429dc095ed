"""What would happen next, and when: the timeline that `plan` shows.

It walks `plan.next_step` over an imagined world in which nothing fails, starting from the real record and a real
look, and jumps to the end of every wait. So it can say nothing that the table would not do. It stops where nobody
can know how it goes on: a hold, an unreadable sink, a refusal.

Pure. Never here: a decision of its own, or a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Final

import msgspec

from keyturn import outcome, plan
from keyturn.model import Fingerprint, Mode, Record, Slot, Stage
from keyturn.policy import Policy, spell
from keyturn.scene import Seen, SinkSeen

MOST_STEPS: Final = 20_000
NEVER: Final = timedelta(days=3660)
PASSING: Final = frozenset({"not-due", "outside-window", "quiet-slot", "settle", "propagation", "unsettled"})
"""Waits that end by the clock alone."""

TOLD: Final = {
    "adopt: equal": "adopt",
    "adopt: shown": "adopt",
    "adopt: ours": "adopt",
    "adopt: empty": "adopt",
    "due": "due",
    "compromised": "compromised",
    "compromised standby": "compromised",
    "compromised target": "compromised",
    "looked again": "looked again",
    "note confirmed": "confirmed",
    "repair": "repair",
    "renew the token": "token due",
    "fail over": "fail over",
    "confirm first": "confirm first",
    "renew again": "renew again",
    "old ledger": "learn anew",
    "finish": "done",
    "finish, retire later": "done",
}
"""Rows without an effect that are worth a line, and what they are called in a timeline."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a timeline. `offset` counts from the look; `arm_writes` is what it costs of ARM's write budget;
    `times` is how many of the same it stands for."""

    offset: timedelta
    what: str
    detail: str = ""
    rule: str = ""
    arm_writes: int = 0
    times: int = 1


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """The lines until the rotation is finished; `stopped` says why it cannot be told further, if it cannot."""

    lines: tuple[Line, ...]
    stopped: str = ""

    @property
    def arm_writes(self) -> int:
        return sum(line.arm_writes for line in self.lines)


def preview(
    record: Record,
    seen: Seen,
    policy: Policy,
    now: datetime,
    *,
    live: Mapping[Slot, Fingerprint] | None = None,
    gateways: tuple[str, ...] = (),
    set_costs: int = 1,
    fold: bool = True,
) -> Preview:
    """The next rotation of this credential as `plan.next_step` would take it, were nothing to fail.

    `seen` is a real look; `live` the fingerprints of both live values where the record does not know them; `gateways`
    the addresses that a probe would call; `set_costs` what a write of a chosen value costs of ARM's write budget;
    `fold`: tokens of one key that follow each other are told as the first, and how many more.
    """
    known = live or {slot: record.slot(slot).fingerprint or Fingerprint(f"imagined {slot}") for slot in Slot}
    return _Walk(record, seen, policy, now, known, gateways, set_costs, fold).walk()


class _Walk:
    """The imagined world: two live values, an ETag that moves, sinks that take what they are given."""

    def __init__(
        self,
        record: Record,
        seen: Seen,
        policy: Policy,
        now: datetime,
        live: Mapping[Slot, Fingerprint],
        gateways: tuple[str, ...],
        set_costs: int,
        fold: bool,
    ) -> None:
        self.record, self.seen = record, seen
        self.policy = msgspec.structs.replace(policy, look_every=NEVER)  # nothing drifts in an imagined world
        self.start = self.now = now
        self.gateways = policy.probe.gateways if policy.probe and policy.probe.gateways else gateways
        self.live = dict(live)
        self.set_costs = set_costs
        self.fold = fold
        self.fresh = (Fingerprint(f"imagined {number}") for number in count(1))
        self.lines: list[Line] = []

    def walk(self) -> Preview:
        rotations = self.record.rotations
        for _ in range(MOST_STEPS):
            step = plan.next_step(self.record, self.seen, self.policy, self.now)
            self._tell(step)
            self.record = step.record
            if step.effect is not None:
                self._apply(step.effect)
            if self.record.hold is not None:
                return self._end(f"held: {self.record.hold.sentence}")
            if self.record.rotations > rotations:
                return self._end("")
            if self.record.not_before is not None:
                waiting = self.record.waiting
                if waiting is None or waiting.reason not in PASSING:
                    return self._end(waiting.sentence if waiting is not None else "waits")
                self.now = max(self.now, self.record.not_before)
                self.seen = msgspec.structs.replace(self.seen, listed=False)
        return self._end("it goes on for longer than this can tell")

    def _end(self, stopped: str) -> Preview:
        return Preview(lines=tuple(_folded(self.lines) if self.fold else self.lines), stopped=stopped)

    # -------- what each effect does where nothing fails

    def _apply(self, effect: plan.Effect) -> None:
        match effect:
            case plan.ReadValues():
                self._learn_values()
            case plan.ProveFence():
                self.seen = msgspec.structs.replace(self.seen, fence=True)
            case plan.Write() as write:
                self._write(write)
            case plan.Ask() as ask:
                self.record, _ = outcome.learn_accepted(self.record, ask.slot, ask.fingerprint, self.now)
            case plan.Publish() as publish:
                self._publish(publish)
            case plan.LetIn():
                self.seen = msgspec.structs.replace(self.seen, state="active", etag="imagined, let in")

    def _write(self, write: plan.Write) -> None:
        value = next(self.fresh)
        self.live[write.slot] = value
        self.seen = msgspec.structs.replace(self.seen, etag=f"imagined {value}", listed=False)
        if write.mode is Mode.REGENERATE:
            self.record = outcome.learn_acknowledged(self.record, write.slot)
            return
        intent = self.record.slot(write.slot).intent
        assert intent is not None  # noqa: S101 - a write step carries one
        drawn = msgspec.structs.replace(intent, candidates=(*intent.candidates, value))
        self.record = self.record.with_slot(write.slot, intent=drawn)
        self._learn_values()

    def _learn_values(self) -> None:
        self.record, _ = outcome.learn_values(self.record, self.live, self.seen.etag, self.policy, self.now)
        self.seen = msgspec.structs.replace(self.seen, listed=True, held=frozenset(self.live.values()))

    def _publish(self, publish: plan.Publish) -> None:
        def shown(sink: SinkSeen) -> SinkSeen:
            if sink.name not in publish.sinks:
                return sink
            ends = None if sink.token is None else self.now + sink.token.lifetime
            if sink.write_only:
                return msgspec.structs.replace(sink, expires=ends)
            return msgspec.structs.replace(
                sink,
                shows=publish.fingerprint,
                ledger=self.seen.ledger,
                seq=self.record.seq,
                slot=publish.slot,
                expires=ends,
            )

        answered = tuple(s.name for s in self.seen.sinks if s.write_only and s.name in publish.sinks)
        others = {name: until for name, until in self.record.unheard.items() if name not in publish.sinks}
        self.record, _ = outcome.learn_published(
            self.record.but(unheard=others | publish.unheard).with_slot(
                publish.slot, unheard_until=publish.unheard_until
            ),
            publish.fingerprint,
            answered,
            {},
            {},
            self.policy,
            self.now,
        )
        self.seen = msgspec.structs.replace(self.seen, sinks=tuple(shown(sink) for sink in self.seen.sinks))

    # -------- words

    def _tell(self, step: plan.Step) -> None:
        match step.effect:
            case plan.ReadValues():
                self._line("read both values", "they may have changed since the last look", "A11", 1)
            case plan.ProveFence():
                self._line(
                    "prove the fence",
                    "its ETag is wrong on purpose, and Azure must refuse it; once per service",
                    "",
                    self.set_costs,
                )
            case plan.Write(slot=slot):
                self._line(*self._renewal(slot, step))
            case plan.Ask():
                self._line("confirm", self._probe(), "A17")
            case plan.Publish(slot=slot, sinks=sinks):
                self._line("publish", "; ".join(self._published(sinks, slot)), "A10")
            case plan.LetIn():
                self._line("activate", "the apim subscription, once the compromised values are dead", "A15", 1)
            case None:
                told = TOLD.get(step.row)
                if told is not None and step.event is not None:
                    self._line(told, self._without_probe(step) or step.event.sentence, step.event.rule)

    def _published(self, sinks: tuple[str, ...], slot: Slot) -> Iterator[str]:
        """The sinks, and what each is given where that is a token."""
        tokens = {sink.name: sink.token for sink in self.seen.sinks}
        for name in sinks:
            spec = tokens.get(name)
            yield name if spec is None else f"{name} (a {spec.kind} token of {slot}, good for {spell(spec.lifetime)})"

    def _renewal(self, slot: Slot, step: plan.Step) -> tuple[str, str, str, int]:
        if self.policy.mode is Mode.SET:
            how, writes = "fenced by its ETag", self.set_costs
        else:
            how, writes = "Azure draws the value; read back by the next call", 1
        if step.record.stage is Stage.RENEW:
            return f"renew {slot}", how, "A1", writes
        named = step.record.compromise
        if named is not None and step.record.slot(slot).fingerprint in named.values:
            return f"retire {slot}", "without a drain: its value is compromised", "A15", writes
        c = self.policy.consumers
        terms = f"cache {spell(c.cache)} + call {spell(c.longest_call)} + clocks {spell(self.policy.clocks_apart)}"
        return f"retire {slot}", f"after {spell(self.policy.drain)} in which no sink shows it ({terms})", "A1", writes

    def _probe(self) -> str:
        spec, count_of = self.policy.probe, len(self.gateways)
        if spec is None:
            return "not proven: no probe is configured"
        where = f"{self.gateways[0]}/{spec.path.lstrip('/')}" if self.gateways else spec.path
        many = f"at {count_of} gateway{'s' if count_of != 1 else ''}, " if count_of else ""
        return f"{spec.method} {where} {many}{self.policy.accepts} accepts each"

    def _without_probe(self, step: plan.Step) -> str:
        if step.row != "note confirmed" or self.policy.probe is not None:
            return ""
        return f"not proven: {spell(self.policy.propagation_wait)} are waited out, no probe is configured"

    def _line(self, what: str, detail: str, rule: str = "", arm_writes: int = 0) -> None:
        line = Line(offset=self.now - self.start, what=what, detail=detail, rule=rule, arm_writes=arm_writes)
        self.lines.append(line)


_OF_A_TOKEN: Final = ("publish", "read both values")


def _folded(lines: Sequence[Line]) -> Iterator[Line]:
    """The same with the tokens of one key that follow each other told as the first, and how many more."""
    at = 0
    while at < len(lines):
        start, tokens = at, []
        while at < len(lines) and lines[at].what == TOLD["renew the token"]:
            tokens.append(at)
            at += 1
            while at < len(lines) and lines[at].what in _OF_A_TOKEN:
                at += 1
        if len(tokens) < 3:
            at = max(at, start + 1)
            yield from lines[start:at]
            continue
        yield from lines[start : tokens[1]]
        rest = lines[tokens[1] : at]
        times = len(tokens) - 1
        detail = f"{times} times more until here, in the same way"
        writes = sum(line.arm_writes for line in rest)
        yield Line(offset=lines[tokens[-1]].offset, what=rest[0].what, detail=detail, arm_writes=writes, times=times)
