"""What a person does to one credential at once: a slot written by hand, and values named as compromised.

Both go the way of every turn: a look, the intent saved by compare-and-swap, one send, and then the turns themselves,
which make the rest of it right whatever came of the send (rule A8). Never here: what may be asked for (that is
`by_hand` and `plan.blocked`), or a question to a person.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from keyturn import by_hand, outcome, plan
from keyturn.errors import Conflict, LedgerFault, NeedsPerson, NotSent, Refused, TryAgain, Unclear
from keyturn.model import Compromise, Credential, Mode, Secret, Slot
from keyturn.policy import Policy
from keyturn.ports import Answer, Applied, NotApplied, Stored, Uncertain
from keyturn.scene import Scene, mark
from keyturn.turn import ACTIVE, MOST_DROPPED, Advanced, Look, Turn


class TurnByHand(Turn):
    """A turn that a person may interfere in."""

    # -------- one slot

    def write_slot(
        self,
        credential: Credential,
        policy: Policy,
        slot: Slot,
        value: Secret | None,
        *,
        because: str,
        cut_off_callers: bool = False,
    ) -> Advanced:
        """`key set` (a chosen `value`) and `key regenerate` (None): a slot write with an intent, never beside the
        record. Refused with NeedsPerson unless the slot is quiet, or the callers it cuts off were named and agreed to.

        Raises Refused, TryAgain and Unclear as well: nothing was changed, run it again, do not repeat it.
        """
        stored, look = self._ready_to_write(credential, policy, fenced=value is not None)
        now = self._clock.now()
        record = mark(stored.record, look.seen, policy, now)
        scene = Scene(record, look.seen, policy, now)
        _refuse_unless_writable(credential, scene, slot, cut_off_callers=cut_off_callers)
        mode = Mode.REGENERATE if value is None else Mode.SET
        step = plan.write_by_hand(scene, slot, mode, because)
        write = plan.Write(slot=slot, mode=mode, etag=look.seen.etag)
        if value is not None:
            record, _ = self._with_value(step.record, slot, value)
            step = msgspec.structs.replace(step, record=record)
        version = self._save(step.record, stored.version, [step.event] if step.event is not None else [])
        send_by = self._send_by(look, policy)
        try:
            answer = self._written(credential, write, value, send_by)
        except NotSent as late:
            self._save(outcome.learn_not_sent(step.record, slot), version, [])
            raise TryAgain("the write was dropped: its look was too old", hint="Run the command again.") from late
        try:
            self._learn_write(step.record, version, write, answer, policy, look)
        except (Conflict, LedgerFault) as problem:
            raise Unclear(
                f"{credential.id}: the write to {slot} was sent, and what came of it is not in the ledger yet",
                hint="Do not repeat it: the next turn looks, and tells.",
            ) from problem
        if isinstance(answer, NotApplied):
            raise Refused(answer.sentence, status=answer.status, code=answer.code, hint=answer.hint)
        return self.advance(credential, policy, force=True)

    def _ready_to_write(self, credential: Credential, policy: Policy, *, fenced: bool) -> tuple[Stored, Look]:
        """A record that is adopted and not held, with values that are live now and, to set one, a proven fence."""
        self.advance(credential, policy, force=True)
        stored = self._load(credential, policy)
        if stored.record.active is None or stored.record.hold is not None:
            why = stored.record.hold.sentence if stored.record.hold is not None else "it is not adopted yet"
            raise NeedsPerson(f"{credential.id}: {why}", hint=f"`keyturn status {credential.id}` tells more.")
        look = self._look(credential, stored)
        if fenced and look.seen.fence is None:
            self._prove_fence(credential, policy, stored.record, stored.version, look)
            stored = self._load(credential, policy)
            look = self._look(credential, stored)
        if fenced and look.seen.fence is None:
            failed = stored.record.waiting
            raise Refused(
                f"{credential.id}: that this service refuses a wrong ETag could not be proven"
                f"{f': {failed.sentence}' if failed is not None else ''}",
                hint=failed.shorter if failed is not None else "",
            )
        if fenced and look.seen.fence is not True:
            raise NeedsPerson(
                f"{credential.id}: this service did not refuse a wrong ETag, so a value cannot be set safely",
                hint=f"`keyturn key regenerate {credential.id}` needs no fence.",
            )
        if look.seen.problem is not None or look.seen.gone is not None:
            raise Refused(look.seen.problem or look.seen.gone or "", hint="Nothing was changed.")
        if not Scene(stored.record, look.seen, policy, self._clock.now()).values_current:
            look = self._read_values(credential, policy, stored.record, stored.version, look) or look
            stored = self._load(credential, policy)
        return stored, look

    # -------- a compromise

    def compromise(
        self, credential: Credential, policy: Policy, slots: Collection[Slot], *, because: str, suspend: bool = False
    ) -> None:
        """Name the values that these slots hold now as compromised (rule A15); `suspend` locks every caller out until
        they are dead. The next turn acts. Raises NeedsPerson, Refused, TryAgain, Gone, Unclear, LedgerFault."""
        before, named, look = self._name(credential, policy, slots, because, suspend=suspend)
        if suspend and look.seen.state == ACTIVE:
            others = before is not None and before.suspended
            self._suspend(credential, policy, look, None if others else named)

    def _name(
        self, credential: Credential, policy: Policy, slots: Collection[Slot], because: str, *, suspend: bool
    ) -> tuple[Compromise | None, Compromise | None, Look]:
        """Save that they are named, once more where somebody else saves first: what was named before, and now."""
        while True:
            try:
                stored, look = self._known(credential, policy)
                values = [kept for slot in slots if (kept := stored.record.slot(slot).fingerprint) is not None]
                suspends = suspend and look.seen.state == ACTIVE
                now = self._clock.now()
                named, event = by_hand.compromise(stored.record, values, because, now, suspended=suspends)
                self._save(named, stored.version, [event])
            except Conflict:
                continue
            return stored.record.compromise, named.compromise, look

    def _suspend(self, credential: Credential, policy: Policy, look: Look, intent: Compromise | None) -> None:
        """The record says already that it is to be activated again: whatever comes of this, the turns get it right.
        What was surely not suspended is not, and `intent` is taken back: who suspends it then is to activate it."""
        try:
            answer = self._suspended(credential, policy, look)
        except NotSent as late:
            answer = NotApplied(status=412, code="NotSent", sentence=late.message, hint=late.hint)
        if isinstance(answer, NotApplied):
            if intent is not None:
                self._unsuspended(credential, intent)
            raise Refused(
                f"{credential.id} was not suspended: {answer.sentence}",
                status=answer.status,
                code=answer.code,
                hint=f"{answer.hint} Its values are replaced all the same: `keyturn run {credential.id}`.".strip(),
            )
        if isinstance(answer, Uncertain):
            raise Unclear(
                f"whether {credential.id} was suspended is not known: {answer.sentence}",
                hint=f"Its values are being replaced all the same: `keyturn run {credential.id}` looks and goes on.",
            )

    def _suspended(self, credential: Credential, policy: Policy, look: Look) -> Answer:
        """A 412 did not happen: somebody wrote it since, or writes another of its owner. Look again, and once more.
        Raises NotSent."""
        for _ in range(MOST_DROPPED):
            answer = self._keyring.enable(credential, False, look.seen.etag or "*", self._send_by(look, policy))
            if not isinstance(answer, NotApplied) or answer.status != 412:
                return answer
            self._let_others_finish()
            look = self._look(credential, self._load(credential, policy))
            if look.seen.state != ACTIVE:
                return Applied()  # whoever named it in the same moment was first
        return answer

    def _unsuspended(self, credential: Credential, intent: Compromise) -> None:
        """Take the intent back, unless somebody else has named values with it: they may have suspended it."""
        while (stored := self._ledger.load(credential.key)) is not None:
            named = stored.record.compromise
            if named is None or named.at != intent.at or named.values != intent.values:
                return
            record = stored.record.but(compromise=msgspec.structs.replace(named, suspended=False))
            try:
                self._save(record, stored.version, [])
            except Conflict:
                continue
            return

    def _known(self, credential: Credential, policy: Policy) -> tuple[Stored, Look]:
        """The record with the fingerprints of what is live now, saved; whatever else a turn would do is left to it."""
        stored = self._load(credential, policy)
        look = self._look(credential, stored)
        if look.seen.problem is not None or look.seen.gone is not None:
            raise Refused(look.seen.problem or look.seen.gone or "", hint="Nothing was changed.")
        if stored.record.active is None or Scene(stored.record, look.seen, policy, self._clock.now()).values_current:
            return stored, look
        values = self._keyring.read_values(credential)
        learned = self._learn_values(stored.record, stored.version, values, policy, look)
        return self._load(credential, policy), learned


def _refuse_unless_writable(credential: Credential, scene: Scene, slot: Slot, *, cut_off_callers: bool) -> None:
    """Raises NeedsPerson, or TryAgain where what is live is not known."""
    if not scene.values_current:
        raise TryAgain(f"{credential.id}: its live values could not be read", hint="Run the command again.")
    why = plan.blocked(scene, slot)
    if why is not None and cut_off_callers and why.reason in plan.CUTTING_OFF:
        # callers may be cut off; a write of ours that is still in the air may not be overtaken
        why = None if scene.record.slot(slot).intent is None else plan.unsettled(scene, slot)
    if why is not None:
        raise NeedsPerson(
            f"{credential.id}: {slot} may not be written now: {why.sentence} ({why.rule})",
            hint=_instead(credential, slot, why),
            reason=why.reason,
        )


def _instead(credential: Credential, slot: Slot, why: plan.Blocked) -> str:
    """What a person may do who wanted to write a slot that may not be written."""
    if why.reason == "exposed":
        return (
            f"`keyturn rotate {credential.id}` gives it a fresh value without cutting anybody off; {slot.other} may be "
            f"written once it is quiet. --cut-off-callers writes {slot} all the same."
        )
    if why.reason in plan.CUTTING_OFF:
        return f"Wait until {why.until:%Y-%m-%d %H:%M} UTC; --cut-off-callers writes it all the same."
    return f"Wait until {why.until:%Y-%m-%d %H:%M} UTC, and look at `keyturn status {credential.id}`."
