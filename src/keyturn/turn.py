"""Advance one credential as far as it can go now: the only place where steps meet the world.

The order of one turn is rule A8's: read the record, then the entity, then the sinks; ask `plan.next_step`; save the
answer, with its intent, by compare-and-swap on that very version; only then send the effect, once, within `deadline`
of the look; look at what came of it, save, and ask again. A turn ends when the record waits or holds. Killing it at
any instant is safe: whatever was in the air, the next turn looks before it acts.

Never here: a decision (that is `plan`), a thread, a loop that sleeps for longer than a jittered pause.
"""

from __future__ import annotations

import base64
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from keyturn import outcome, pace, plan
from keyturn.errors import (
    Conflict,
    Gone,
    KeyturnError,
    NotSent,
    Refused,
    TryAgain,
)
from keyturn.failing import governed
from keyturn.minting import TokenSink, presented
from keyturn.model import SLOTS, Credential, Event, Fingerprint, Kind, Mode, Record, Secret, Slot, Stage, TokenLife
from keyturn.policy import Pace, Policy, TokenSpec, due, due_at
from keyturn.ports import (
    Answer,
    Applied,
    Clock,
    Evidence,
    Keyring,
    Ledger,
    NotApplied,
    Notifier,
    Probe,
    SendBy,
    Shown,
    Sink,
    Stored,
    Tags,
    Uncertain,
    Values,
)
from keyturn.scene import Scene, Seen, SinkSeen

MOST_MOVES = 60
"""So many steps in one turn at most; a rotation without faults takes about fifteen. The next turn goes on."""

ACTIVE = "active"
"""The state in which gateways accept a credential's values."""

MOST_DROPPED = 3
"""So many effects of one turn may be dropped for an old look; then it waits."""

NEAR_EXPIRY = timedelta(days=30)
"""Key Vault raises SecretNearExpiry 30 days before a secret expires, so expiry = next due + 30 days means due."""


class HeldValues:
    """The values that this process has seen, by fingerprint: in memory only, the oldest forgotten first."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._values: OrderedDict[Fingerprint, Secret] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, fingerprint: Fingerprint, value: Secret) -> None:
        with self._lock:
            self._values[fingerprint] = value
            self._values.move_to_end(fingerprint)
            while len(self._values) > self._most:
                self._values.popitem(last=False)

    def get(self, fingerprint: Fingerprint | None) -> Secret | None:
        with self._lock:
            return None if fingerprint is None else self._values.get(fingerprint)

    def which(self, fingerprints: Sequence[Fingerprint | None]) -> frozenset[Fingerprint]:
        with self._lock:
            return frozenset(f for f in fingerprints if f is not None and f in self._values)


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn saw, when it began to look by both clocks, and the record version that it read first."""

    seen: Seen
    at: datetime
    boot: float
    version: int


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn would judge by, and both live values' fingerprints where the record does not know them."""

    record: Record
    seen: Seen
    live: Mapping[Slot, Fingerprint] | None = None


class Advanced(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn did: the record as it stands, and the rows it went through."""

    record: Record
    rows: tuple[str, ...] = ()


class Turn:
    """Takes turns for the credentials of one service. Safe to share between the threads of a sweep."""

    def __init__(
        self,
        *,
        keyring: Keyring,
        sinks: Callable[[Credential], Sequence[Sink]],
        ledger: Ledger,
        probe: Probe,
        clock: Clock,
        evidence: Evidence | None = None,
        notifier: Notifier | None = None,
        held: HeldValues | None = None,
        fleet: Callable[[], Sequence[Record]] | None = None,
    ) -> None:
        """`fleet` reads every record there is, for the policies that set a pace; raises LedgerFault."""
        self._keyring = keyring
        self._sinks = sinks
        self._ledger = ledger
        self._probe = probe
        self._clock = clock
        self._evidence = evidence
        self._notifier = notifier
        self._held = held if held is not None else HeldValues()
        self._fleet = fleet
        self._fence_lock = threading.Lock()
        self._unfenced: set[str] = set()

    # -------- one turn

    def advance(self, credential: Credential, policy: Policy, *, force: bool = False) -> Advanced:
        """Go on until the record waits or holds. `force` looks even before `not_before`. Raises LedgerFault."""
        rows: list[str] = []
        look: Look | None = None
        dropped = 0
        must_look = force
        while True:
            stored = self._load(credential, policy)
            if plan.rests(stored.record, policy, self._clock.now()) and not must_look:
                return Advanced(record=stored.record, rows=tuple(rows))
            if len(rows) >= MOST_MOVES:
                self._give_up(credential, policy, f"{MOST_MOVES} steps in one turn came to no end")
                return Advanced(record=self._load(credential, policy).record, rows=tuple(rows))
            if look is None or look.version != stored.version or self._stale(look, policy):
                look = self._look(credential, stored)
            now = self._clock.now()
            held_back = self._held_back(stored.record, policy, now)
            if held_back != look.seen.held_back:
                look = self._kept(look, look.version, held_back=held_back)
            step = plan.next_step(stored.record, look.seen, policy, now)
            rows.append(step.row)
            must_look = False
            try:
                look = self._take(credential, policy, stored, look, step)
            except Conflict:
                # somebody else saved first: take a new turn at once, and look whatever the record waits for, since
                # what was sent may have broken what he did (rule A8)
                look, must_look = None, step.effect is not None
            except NotSent as late:
                look = None  # dropped, because its look was too old (rule A4): look again
                dropped += 1
                if dropped >= MOST_DROPPED:
                    self._give_up(credential, policy, late.message, late.hint)

    def sight(self, credential: Credential, policy: Policy) -> Sight:
        """Look, and do nothing: no save, no effect. Costs a read, and listSecrets where the values must be read.

        Raises LedgerFault, TryAgain, Refused, Gone.
        """
        stored = self._load(credential, policy)
        seen = self._look(credential, stored).seen
        held_back = self._held_back(stored.record, policy, self._clock.now())
        seen = msgspec.structs.replace(seen, held_back=held_back)
        blind = seen.problem is not None or seen.gone is not None or stored.record.hold is not None
        if blind or Scene(stored.record, seen, policy, self._clock.now()).values_current:
            return Sight(record=stored.record, seen=seen)
        values = self._keyring.read_values(credential)
        live = {slot: values.of(slot).fingerprint(self._ledger.salt) for slot in SLOTS}
        for slot in SLOTS:
            self._held.keep(live[slot], values.of(slot))
        sinks = self._read_tokens(credential, stored.record, tuple(live.values()), seen.sinks)
        return Sight(record=stored.record, seen=msgspec.structs.replace(seen, sinks=sinks), live=live)

    def _give_up(self, credential: Credential, policy: Policy, sentence: str, hint: str = "") -> None:
        """The turn gets nowhere: end it with a wait rather than press on."""
        stored = self._load(credential, policy)
        waiting, event = outcome.learn_no_answer(stored.record, sentence, policy, self._clock.now(), hint=hint)
        try:
            self._save(waiting, stored.version, [event])
        except Conflict:
            return  # somebody else goes on with it

    def _load(self, credential: Credential, policy: Policy) -> Stored:
        stored = self._ledger.load(credential.key)
        if stored is None:
            blank = Record(key=credential.key, id=credential.id, policy=policy.digest)
            return Stored(record=blank, version=0)
        if stored.record.policy == policy.digest and stored.record.id == credential.id:
            return stored
        changed = governed(stored.record, policy).but(id=credential.id, not_before=None)
        return Stored(record=changed, version=stored.version)

    def _stale(self, look: Look, policy: Policy) -> bool:
        """Half of `deadline` is gone: look again rather than risk dropping the next effect (rule A4)."""
        wall = (self._clock.now() - look.at).total_seconds()
        boot = self._clock.boottime() - look.boot
        return max(wall, boot) > policy.deadline.total_seconds() / 2 or wall < 0

    def _take(self, credential: Credential, policy: Policy, stored: Stored, look: Look, step: plan.Step) -> Look | None:
        """Save the step, send its effect, learn what came of it. Returns the look as it stands, or None: look anew."""
        events = [step.event] if step.event is not None else []
        match step.effect:
            case None:
                return self._kept(look, self._save(step.record, stored.version, events))
            case plan.ReadValues():
                version = self._save(step.record, stored.version, [])
                return self._read_values(credential, policy, step.record, version, look)
            case plan.ProveFence():
                version = self._save(step.record, stored.version, [])
                return self._prove_fence(credential, policy, step.record, version, look)
            case plan.Write() as write:
                return self._write(credential, policy, stored.version, step, write, look)
            case plan.Ask() as ask:
                version = self._save(step.record, stored.version, [])
                return self._ask(credential, policy, step.record, version, ask, look)
            case plan.LetIn() as let_in:
                version = self._save(step.record, stored.version, events)
                return self._let_in(credential, policy, step.record, version, let_in, look)
            case plan.Publish() as publish:
                version = self._save(step.record, stored.version, events)
                return self._publish(credential, policy, step.record, version, publish, look)

    def _save(self, record: Record, expected: int, events: Sequence[Event]) -> int:
        version = self._ledger.save(record, expected, events)
        if self._notifier is not None:
            for event in events:
                self._notifier.tell(record.id, event)
        return version

    @staticmethod
    def _kept(look: Look, version: int, **changes: object) -> Look:
        seen = msgspec.structs.replace(look.seen, **changes) if changes else look.seen
        return msgspec.structs.replace(look, version=version, seen=seen)

    # -------- looking: the entity, then the sinks (A8)

    def _look(self, credential: Credential, stored: Stored) -> Look:
        at, boot = self._clock.now(), self._clock.boottime()
        seen = Seen(ledger=self._ledger.id, fence=self._fence(credential))
        try:
            entity = self._keyring.read(credential)
            skew = timedelta(0) if entity.date is None else self._clock.now() - entity.date
            used = {} if self._evidence is None else self._evidence.last_used(credential)
        except Gone as gone:
            seen = msgspec.structs.replace(seen, gone=_told(gone))
        except Refused as refused:
            seen = msgspec.structs.replace(seen, problem=_told(refused), refused=True)
        except TryAgain as later:
            seen = msgspec.structs.replace(seen, problem=later.message, retry_after=later.after)
        else:
            sinks = tuple(self._read_sink(sink, stored.record) for sink in self._sinks(credential))
            seen = msgspec.structs.replace(
                seen, state=entity.state, etag=entity.etag, skew=skew, used=used, sinks=sinks
            )
        record = stored.record
        held = self._held.which([record.primary.fingerprint, record.secondary.fingerprint])
        seen = msgspec.structs.replace(seen, held=held)
        return Look(seen=seen, at=at, boot=boot, version=stored.version)

    def _held_back(self, record: Record, policy: Policy, now: datetime) -> str | None:
        """What its fleet says to a rotation that is due; the fleet is read for no other."""
        if record.stage is not Stage.IDLE or self._fleet is None or policy.pace == Pace():
            return None
        return None if due(record, policy, now) is None else pace.held_back(record, policy, self._fleet(), now)

    def _read_sink(self, sink: Sink, record: Record, live: Sequence[Fingerprint | None] = ()) -> SinkSeen:
        """What it shows now. `live` are the values that were just read, where the record does not have them yet."""
        if sink.write_only:
            return _unread(sink, record)
        try:
            shown: Shown = sink.read()
        except KeyturnError as problem:
            return SinkSeen(name=sink.name, problem=_told(problem), token=_token(sink))
        if isinstance(sink, TokenSink):
            known = live or [record.primary.fingerprint, record.secondary.fingerprint]
            return self._token_seen(sink, shown, known)
        shows = None if shown.value is None else shown.value.fingerprint(self._ledger.salt)
        if shows is not None and shown.value is not None:
            self._held.keep(shows, shown.value)
        return SinkSeen(name=sink.name, shows=shows, ledger=shown.ledger, seq=shown.seq, slot=shown.slot)

    def _token_seen(self, sink: TokenSink, shown: Shown, known: Sequence[Fingerprint | None]) -> SinkSeen:
        """A token shows the value that it was made from. Which one that is, only the values themselves tell: where
        one of them is not at hand, the sink is sealed; what none of them made is foreign."""
        tagged = SinkSeen(name=sink.name, ledger=shown.ledger, seq=shown.seq, slot=shown.slot, token=sink.spec)
        if shown.value is None:
            return tagged
        held = {fingerprint: self._held.get(fingerprint) for fingerprint in known}
        signer = sink.made_from(shown.value, [key for key in held.values() if key is not None])
        if signer is None and None in held.values():
            return msgspec.structs.replace(tagged, sealed=True)
        if signer is None:  # even where it is a live value itself: that counts as shown, and is no token
            return msgspec.structs.replace(tagged, shows=shown.value.fingerprint(self._ledger.salt))
        shows = signer.fingerprint(self._ledger.salt)
        return msgspec.structs.replace(tagged, shows=shows, expires=sink.expires(shown.value))

    def _read_tokens(
        self, credential: Credential, record: Record, live: Sequence[Fingerprint | None], seen: Sequence[SinkSeen]
    ) -> tuple[SinkSeen, ...]:
        """The sinks of a look, those with tokens read again now that the values are at hand."""
        fresh = {
            sink.name: self._read_sink(sink, record, live)
            for sink in self._sinks(credential)
            if isinstance(sink, TokenSink) and not sink.write_only
        }
        return tuple(fresh.get(sink.name, sink) for sink in seen)

    def _fence(self, credential: Credential) -> bool | None:
        if _fence_note(credential) in self._unfenced:
            return False
        return True if self._ledger.note(_fence_note(credential)) is not None else None

    def _send_by(self, look: Look, policy: Policy) -> SendBy:
        span = policy.deadline.total_seconds()
        return SendBy(at=look.at + policy.deadline, boot=look.boot + span, seconds=span)

    # -------- effects

    def _read_values(
        self, credential: Credential, policy: Policy, record: Record, version: int, look: Look
    ) -> Look | None:
        now = self._clock.now()
        try:
            values = self._keyring.read_values(credential)
        except (Refused, TryAgain) as problem:
            refused = isinstance(problem, Refused)
            after = problem.after if isinstance(problem, TryAgain) else 0.0
            told = outcome.learn_no_answer(
                record, problem.message, policy, now, hint=problem.hint, refused=refused, after=after
            )
            self._save(told[0], version, [told[1]])
            return None
        learned = self._learn_values(record, version, values, policy, look)
        live = [values.of(slot).fingerprint(self._ledger.salt) for slot in SLOTS]
        return self._kept(learned, learned.version, sinks=self._read_tokens(credential, record, live, look.seen.sinks))

    def _learn_values(self, record: Record, version: int, values: Values, policy: Policy, look: Look) -> Look:
        """Keep both values in memory, their fingerprints in the record."""
        live = {slot: values.of(slot).fingerprint(self._ledger.salt) for slot in SLOTS}
        for slot in SLOTS:
            self._held.keep(live[slot], values.of(slot))
        now, skew = self._clock.now(), look.seen.skew
        if abs(skew) > policy.max_clock_skew:
            now -= skew  # what is seen now is judged by other machines, whose clocks may be right (rule A16)
        learned, events = outcome.learn_values(record, live, values.etag, policy, now)
        version = self._save(learned, version, events)
        held = self._held.which(list(live.values()))
        return self._kept(look, version, etag=values.etag, listed=True, held=held)

    def _prove_fence(
        self, credential: Credential, policy: Policy, record: Record, version: int, look: Look
    ) -> Look | None:
        """Once per service: whoever comes first proves it, the others read the note (protocol.md 1, last part)."""
        with self._fence_lock:
            known = self._fence(credential)
            if known is not None:
                return self._kept(look, version, fence=known)
            answer = self._keyring.prove_fence(credential, self._send_by(look, policy))
            now = self._clock.now()
            match answer:
                case NotApplied(status=412):
                    self._ledger.put_note(_fence_note(credential), f"proven at {now:%Y-%m-%dT%H:%M:%SZ}")
                    proven = Event(at=now, kind="fence", sentence="fence proven: this service refuses a wrong ETag")
                    return self._kept(look, self._save(record, version, [proven]), fence=True)
                case NotApplied(status=401 | 403 | 404 | 409 | 429) as refusal:
                    told = outcome.learn_no_answer(
                        record,
                        refusal.sentence,
                        policy,
                        now,
                        hint=refusal.hint,
                        refused=True,
                        after=refusal.after or 0.0,
                    )
                case Uncertain(sentence=sentence):
                    told = outcome.learn_no_answer(record, sentence, policy, now)
                case _:
                    self._unfenced.add(_fence_note(credential))
                    return self._kept(look, version, fence=False)
        self._save(told[0], version, [told[1]])
        return None

    def _write(
        self,
        credential: Credential,
        policy: Policy,
        expected: int,
        step: plan.Step,
        write: plan.Write,
        look: Look,
    ) -> Look | None:
        """Save the intent, write the slot once, learn the answer."""
        record, value = self._with_candidate(credential, step.record, write)
        version = self._save(record, expected, [step.event] if step.event is not None else [])
        send_by = self._send_by(look, policy)
        try:
            answer = self._written(credential, write, value, send_by)
        except NotSent:
            self._save(outcome.learn_not_sent(record, write.slot), version, [])
            raise
        return self._learn_write(record, version, write, answer, policy, look)

    def _with_candidate(
        self, credential: Credential, record: Record, write: plan.Write
    ) -> tuple[Record, Secret | None]:
        """Draw a value as Azure draws its own into the intent (A9): 16 random bytes in lower-case hex for an apim
        subscription, 64 in base64 for the others (azure-recorded 6)."""
        if write.mode is Mode.REGENERATE:
            return record, None
        if credential.kind is Kind.APIM_SUBSCRIPTION:
            return self._with_value(record, write.slot, Secret(self._clock.random_bytes(16).hex()))
        drawn = base64.b64encode(self._clock.random_bytes(64)).decode()
        return self._with_value(record, write.slot, Secret(drawn))

    def _with_value(self, record: Record, slot: Slot, value: Secret) -> tuple[Record, Secret]:
        fingerprint = value.fingerprint(self._ledger.salt)
        self._held.keep(fingerprint, value)
        intent = record.slot(slot).intent
        assert intent is not None  # noqa: S101 - a write step carries one
        drawn = msgspec.structs.replace(intent, candidates=(*intent.candidates, fingerprint))
        return record.with_slot(slot, intent=drawn), value

    def _written(self, credential: Credential, write: plan.Write, value: Secret | None, send_by: SendBy) -> Answer:
        """Set the slot to this value; without one, let Azure draw it. Raises NotSent."""
        if value is None:
            return self._keyring.regenerate(credential, write.slot, send_by)
        return self._set_value(credential, write, value, send_by)

    def _let_others_finish(self) -> None:
        """A drawn pause of 0.5 to 2 s, after a 412: somebody writes another entity of the same owner (A9)."""
        self._clock.wait(0.5 + self._clock.random_bytes(1)[0] / 170)

    def _set_value(self, credential: Credential, write: plan.Write, value: Secret, send_by: SendBy) -> Answer:
        """A 412 whose ETag has not moved is another write under the same owner: the same value once more (A9)."""
        etag = write.etag or ""
        answer = self._keyring.set_value(credential, write.slot, value, etag, send_by)
        if not isinstance(answer, NotApplied) or answer.status != 412:
            return answer
        try:
            moved = self._keyring.read(credential).etag != etag
        except KeyturnError:
            return answer
        if moved:
            return answer
        self._let_others_finish()
        try:
            again = self._keyring.set_value(credential, write.slot, value, etag, send_by)
        except NotSent:
            return answer
        if isinstance(again, NotApplied) and again.status == 412:
            return Uncertain(sentence="412 twice for one value")  # A18
        return again

    def _learn_write(
        self, record: Record, version: int, write: plan.Write, answer: Answer, policy: Policy, look: Look
    ) -> Look | None:
        now = self._clock.now()
        match answer:
            case Applied(values=Values() as values):
                return self._learn_values(record, version, values, policy, look)
            case Applied() if write.mode is Mode.REGENERATE:
                learned, event = outcome.learn_acknowledged(record, write.slot), None
            case Applied():
                learned, event = record.but(etag=None), None
            case NotApplied() as refusal:
                learned, event = outcome.learn_refused(record, write.slot, refusal, policy, now)
            case Uncertain(sentence=sentence):
                learned, event = outcome.learn_unclear(record, sentence, now)
        version = self._save(learned, version, [event] if event is not None else [])
        if isinstance(answer, Applied):
            return self._kept(look, version)
        return None

    def _ask(
        self, credential: Credential, policy: Policy, record: Record, version: int, ask: plan.Ask, look: Look
    ) -> Look | None:
        value, spec = self._held.get(ask.fingerprint), policy.probe
        assert value is not None  # noqa: S101 - the row asked for it
        assert spec is not None  # noqa: S101 - the row asked for it
        try:
            gateways = spec.gateways or tuple(self._keyring.gateways())
        except (Refused, TryAgain) as problem:
            now = self._clock.now()
            told = outcome.learn_no_answer(record, problem.message, policy, now, hint=problem.hint)
            self._save(told[0], version, [told[1]])
            return None
        shown = presented(credential, value, self._clock.now() - look.seen.skew)
        verdict = self._probe.ask(gateways, spec, shown, policy.accepts)
        now = self._clock.now()
        if verdict.accepted and not verdict.proves_nothing:
            learned, event = outcome.learn_accepted(record, ask.slot, ask.fingerprint, now, look.seen.skew)
        else:
            learned, event = outcome.learn_not_accepted(record, verdict.sentence, verdict.proves_nothing, now)
        return self._kept(look, self._save(learned, version, [event]))

    def _publish(
        self,
        credential: Credential,
        policy: Policy,
        record: Record,
        version: int,
        publish: plan.Publish,
        look: Look,
    ) -> Look | None:
        """Write every sink that does not show the value, read each again, save. Too late to write: look anew."""
        key = self._held.get(publish.fingerprint)
        assert key is not None  # noqa: S101 - the row asked for it
        tags = self._tags(credential, policy, record, publish.slot)
        written_only: list[str] = []
        unheard = {name: until for name, until in record.unheard.items() if name not in publish.sinks} | publish.unheard
        unheard_until = publish.unheard_until
        refused: dict[str, NotApplied] = {}
        silent: dict[str, str] = {}
        dropped: NotSent | None = None
        fresh = {sink.name: sink for sink in look.seen.sinks}
        for sink in self._sinks(credential):
            if sink.name not in publish.sinks:
                continue
            value, ends = key, None
            if isinstance(sink, TokenSink):
                value, ends = sink.mint(key, self._clock.now() - look.seen.skew)
            try:
                answer = sink.write(value, _ending(tags, sink, ends), self._send_by(look, policy))
            except NotSent as late:
                dropped = late  # the other sinks must not wait for this one
                continue
            if isinstance(answer, Uncertain):
                unheard_until = record.slot(publish.slot).unheard_until
                if sink.write_only:
                    unheard[sink.name] = record.unheard[sink.name]
            if sink.write_only and isinstance(answer, Applied):
                record = record.but(tokens=_with_life(record, sink, ends))
            fresh[sink.name] = self._read_sink(sink, record)
            if isinstance(answer, NotApplied):
                refused[sink.name] = answer
            elif sink.write_only and isinstance(answer, Applied):
                written_only.append(sink.name)
            elif fresh[sink.name].problem is None and not _shows(fresh[sink.name], publish.fingerprint, ends):
                silent[sink.name] = f"{sink.name} was written and does not show it"
                if sink.write_only and isinstance(answer, Uncertain):
                    silent[sink.name] = answer.sentence
        now = self._clock.now()
        answered = record.but(unheard=unheard).with_slot(publish.slot, unheard_until=unheard_until)
        learned, events = outcome.learn_published(
            answered, publish.fingerprint, tuple(written_only), refused, silent, policy, now
        )
        version = self._save(learned, version, events)
        if dropped is not None:
            raise dropped
        return self._kept(look, version, sinks=tuple(fresh.values()))

    def _let_in(
        self, credential: Credential, policy: Policy, record: Record, version: int, let_in: plan.LetIn, look: Look
    ) -> Look | None:
        """Activate what was suspended, and see whether it is; whatever it is not gets a pause. Raises NotSent."""
        answer = self._keyring.enable(credential, True, let_in.etag or "*", self._send_by(look, policy))
        sentence, hint, after, refused = f"{credential.id} was activated and does not show it yet", "", 0.0, False
        if isinstance(answer, Applied) and self._is_active(credential):
            return None
        if isinstance(answer, NotApplied):
            sentence, hint, after = answer.sentence, answer.hint, answer.after or 0.0
            refused = answer.status not in {412, 429}  # a moment's business of others, and no reason to park
        elif isinstance(answer, Uncertain):
            sentence = answer.sentence
        told = outcome.learn_no_answer(
            record, sentence, policy, self._clock.now(), hint=hint, refused=refused, after=after
        )
        self._save(told[0], version, [told[1]])
        return None

    def _is_active(self, credential: Credential) -> bool:
        try:
            return self._keyring.read(credential).state == ACTIVE
        except KeyturnError:
            return False

    def _tags(self, credential: Credential, policy: Policy, record: Record, slot: Slot) -> Tags:
        now = self._clock.now()
        next_due = due_at(record.but(active=slot), policy) or now + policy.every
        return Tags(
            ledger=self._ledger.id,
            seq=record.seq,
            slot=slot,
            provider_address=credential.address,
            validity_days=max(1, policy.every.days),
            expires=max(next_due, now) + NEAR_EXPIRY,
        )


def _shows(seen: SinkSeen, value: Fingerprint, ends: datetime | None) -> bool:
    """Whether a sink shows what was just written: of two tokens of one key, the one that ends then."""
    return seen.shows == value and (ends is None or seen.expires == ends)


def _token(sink: Sink) -> TokenSpec | None:
    return sink.spec if isinstance(sink, TokenSink) else None


def _unread(sink: Sink, record: Record) -> SinkSeen:
    """A write-only sink: of its token, the record alone tells when it ends."""
    life = record.tokens.get(sink.name)
    return SinkSeen(name=sink.name, write_only=True, token=_token(sink), expires=None if life is None else life.expires)


def _with_life(record: Record, sink: Sink, ends: datetime | None) -> dict[str, TokenLife]:
    """The record's tokens with the one that this sink was just given."""
    life = SinkSeen(name=sink.name, token=_token(sink), expires=ends).life
    return record.tokens if life is None else {**record.tokens, sink.name: life}


def _ending(tags: Tags, sink: Sink, ends: datetime | None) -> Tags:
    """A token's own end is its sink's, too."""
    if ends is None or not isinstance(sink, TokenSink):
        return tags
    return msgspec.structs.replace(tags, expires=ends, validity_days=max(1, sink.spec.lifetime.days))


def _told(problem: KeyturnError) -> str:
    """What a record keeps of a problem. A hint that says to wait is left out: the record has its own wait."""
    told = problem.hint and not isinstance(problem, TryAgain)
    return f"{problem.message}. {problem.hint}" if told else problem.message


def _service_key(credential: Credential) -> str:
    """The service's lower-cased ARM id, of which every credential's key is a child."""
    return "/".join(credential.key.split("/")[:9])


def _fence_note(credential: Credential) -> str:
    """Each kind of entity proves its own: they are written by different operations."""
    kind = "" if credential.kind is Kind.APIM_SUBSCRIPTION else f" {credential.kind}"
    return f"fence {_service_key(credential)}{kind}"
