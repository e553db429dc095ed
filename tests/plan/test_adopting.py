"""Adoption row by row: which slot is active, and what is assumed of the other (A2, A13)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from keyturn.model import Mode, Record, Slot, SlotRecord, Stage, TokenLife
from keyturn.plan import ProveFence, ReadValues, next_step
from keyturn.policy import DAY, HOUR, MINUTE
from keyturn.scene import Seen
from tests.keyturns import policy
from tests.plan.scenes import (
    LATE,
    NOW,
    SECOND,
    Case,
    P,
    S,
    cases,
    decide,
    enters,
    fails,
    holds,
    record,
    seen,
    sends,
    sink,
    token,
    value,
    waits,
)

VOUCHED = NOW - 3 * DAY


def unknown(**changes: Any) -> Record:
    """Both values were just read, and nothing else is known."""
    slots = {"primary": SlotRecord(fingerprint="p"), "secondary": SlotRecord(fingerprint="s")}  # type: ignore[arg-type]
    return record(Stage.UNKNOWN, **{**slots, "seq": 0, "sinks": (), **changes})


def adopts(active: Slot, *sinks: str, **more: Any) -> dict[str, Any]:
    """The active value counts from now; the other one may be in use, and may be written any moment."""
    given = unknown(**{k: v for k, v in more.items() if k in {"primary", "secondary"}})
    live = {slot: given.slot(slot).fingerprint for slot in Slot}
    shown = SlotRecord(fingerprint=live[active], exposed=True, published_at=NOW, written_at=NOW)
    standby = SlotRecord(fingerprint=live[active.other], exposed=True, unsettled_until=LATE)
    slots = {active.value: shown, active.other.value: standby}
    return enters(Stage.IDLE, **{**slots, "active": active, "sinks": sinks or ("vault",), **more})


def adopts_from_another(active: Slot, *sinks: str, lands: datetime = LATE, **more: Any) -> dict[str, Any]:
    """The tags of a keyturn are in a sink: a publish of the standby's value may land any moment, too."""
    changes = adopts(active, *sinks, **more)
    standby = active.other.value
    return {**changes, standby: msgspec.structs.replace(changes[standby], unheard_until=lands)}


ADOPTED = ("adopt", "A13")
HELD = ("hold", "A13")
SAME = SlotRecord(fingerprint="p")  # type: ignore[arg-type]
EXPIRED = -SECOND

ADOPTING = {
    "by a wrong clock": Case(
        row="adopt: clocks differ",
        given=unknown(),
        look=seen(skew=2 * MINUTE),
        changes=fails("clock-skew", "A16"),
        event=("wait", "A16"),
    ),
    "not active, and by a wrong clock": Case(
        row="not active",
        given=unknown(),
        look=seen(state="suspended", skew=2 * MINUTE),
        changes=waits("not-active", NOW + HOUR),
        event=("wait", ""),
    ),
    "by a wrong clock, before the values are read": Case(
        row="adopt: clocks differ",
        given=unknown(etag=None),
        look=seen(skew=2 * MINUTE),
        changes=fails("clock-skew", "A16"),
        event=("wait", "A16"),
    ),
    "values not read yet": Case(
        row="read the values",
        given=unknown(etag=None),
        look=seen(fence=None),
        changes=sends(),
        event=("read the values", "A11"),
        effect=ReadValues(),
    ),
    "the fence not tried yet": Case(
        row="prove the fence",
        given=unknown(),
        look=seen(fence=None),
        changes=sends(),
        event=("prove the fence", ""),
        effect=ProveFence(),
    ),
    "the fence refuted": Case(
        row="fence not proven",
        given=unknown(),
        look=seen(sink(None, problem="503"), fence=False),
        changes=holds("fence-not-proven"),
        event=("hold", ""),
    ),
    "no fence is needed to regenerate": Case(
        row="adopt: shown",
        given=unknown(),
        look=seen(fence=None),
        rules=policy(mode=Mode.REGENERATE),
        changes=adopts(P),
        event=ADOPTED,
    ),
    "a refuted one neither": Case(
        row="adopt: shown",
        given=unknown(),
        look=seen(fence=False),
        rules=policy(mode=Mode.REGENERATE),
        changes=adopts(P),
        event=ADOPTED,
    ),
    "an unreadable sink": Case(
        row="adopt: unreadable",
        given=unknown(),
        look=seen(sink("x"), sink(None, "file", problem="503")),
        changes=holds("sink-unreadable"),
        event=HELD,
    ),
    "a foreign value": Case(
        row="adopt: foreign",
        given=unknown(),
        look=seen(sink("x"), sink("p", "file")),
        changes=holds("foreign-value"),
        event=HELD,
    ),
    "a foreign value of no ledger, where none was taken over": Case(
        row="adopt: foreign", given=unknown(), look=seen(sink("x", seq=3)), changes=holds("foreign-value"), event=HELD
    ),
    "a foreign value beside equal slots": Case(
        row="adopt: foreign",
        given=unknown(secondary=SAME),
        look=seen(sink("x"), sink("p", "file")),
        changes=holds("foreign-value"),
        event=HELD,
    ),
    "equal slots": Case(
        row="adopt: equal",
        given=unknown(secondary=SAME),
        changes=adopts(P, secondary=SAME) | {"secondary": SlotRecord(fingerprint=value("p"), unsettled_until=LATE)},
        event=ADOPTED,
    ),
    "primary shown": Case(row="adopt: shown", given=unknown(), changes=adopts(P), event=ADOPTED),
    "secondary shown": Case(
        row="adopt: shown", given=unknown(), look=seen(sink("s")), changes=adopts(S), event=ADOPTED
    ),
    "shown in one, the other is empty": Case(
        row="adopt: shown",
        given=unknown(),
        look=seen(sink(None), sink("s", "file")),
        changes=adopts(S, "vault", "file"),
        event=ADOPTED,
    ),
    "beside a sink that nobody can read, on which a publish may still land": Case(
        row="adopt: shown",
        given=unknown(),
        look=seen(sink(), sink(None, "hook", write_only=True), skew=-SECOND),
        changes=adopts(P, "vault", "hook", unheard={"hook": LATE + SECOND}),
        event=ADOPTED,
    ),
    "shown although the policy says the other": Case(
        row="adopt: shown", given=unknown(), rules=policy(adopt=S), changes=adopts(P), event=ADOPTED
    ),
    "a person vouched for the standby": Case(
        row="adopt: shown",
        given=unknown(vouched=VOUCHED),
        changes=adopts(P, secondary=SlotRecord(fingerprint="s", exposed=False, quiet_since=VOUCHED)),  # type: ignore[arg-type]
        event=ADOPTED,
    ),
    "its sequence goes on after what a sink shows": Case(
        row="adopt: shown",
        given=unknown(seq=2),
        look=seen(sink("p", ledger="ours", seq=8), sink("p", "file", ledger="ours"), sink("p", "mail", seq=9)),
        changes=adopts_from_another(P, "vault", "file", "mail", seq=8),
        event=ADOPTED,
    ),
    "published by a keyturn, by Azure's clock": Case(
        row="adopt: shown",
        given=unknown(),
        look=seen(sink("p"), sink("p", "file", ledger="ours"), skew=SECOND),
        changes=adopts_from_another(P, "vault", "file", lands=LATE - SECOND),
        event=ADOPTED,
    ),
    "published by a keyturn, and a person vouched": Case(
        row="adopt: shown",
        given=unknown(vouched=VOUCHED),
        look=seen(sink("p", ledger="ours")),
        changes=adopts(P, secondary=SlotRecord(fingerprint="s", exposed=False, quiet_since=VOUCHED)),  # type: ignore[arg-type]
        event=ADOPTED,
    ),
    "its own sequence goes on": Case(
        row="adopt: shown",
        given=unknown(seq=9),
        look=seen(sink("p", ledger="ours", seq=8)),
        changes=adopts_from_another(P),
        event=ADOPTED,
    ),
    "both shown": Case(
        row="adopt: disagree",
        given=unknown(),
        look=seen(sink("p"), sink("s", "file")),
        changes=holds("sinks-disagree"),
        event=HELD,
    ),
    "a token that expired is no longer shown beside one that lives": Case(
        row="adopt: shown",
        given=unknown(),
        look=seen(token("p", left=EXPIRED), token("s", "file")),
        changes=adopts(S, "vault", "file"),
        event=ADOPTED,
    ),
    "a token that expired is better than nothing": Case(
        row="adopt: shown",
        given=unknown(),
        look=seen(token("s", left=EXPIRED)),
        changes=adopts(S),
        event=ADOPTED,
    ),
    "a token that expired is better than an empty sink": Case(
        row="adopt: shown",
        given=unknown(),
        look=seen(sink(None), token("s", "file", left=EXPIRED)),
        changes=adopts(S, "vault", "file"),
        event=ADOPTED,
    ),
    "tokens of both that expired": Case(
        row="adopt: disagree",
        given=unknown(),
        look=seen(token("p", left=EXPIRED), token("s", "file", left=EXPIRED)),
        changes=holds("sinks-disagree"),
        event=HELD,
    ),
    "our own older value, with its slot": Case(
        row="adopt: ours",
        given=unknown(seq=5),
        look=seen(sink("x", ledger="ours", seq=5), sink("y", "file", ledger="ours", slot=S)),
        rules=policy(adopt=P),
        changes=adopts_from_another(S, "vault", "file"),
        event=ADOPTED,
    ),
    "our own older value, and the policy says": Case(
        row="adopt: ours",
        given=unknown(),
        look=seen(sink("x", ledger="ours")),
        rules=policy(adopt=S),
        changes=adopts_from_another(S),
        event=ADOPTED,
    ),
    "our own older value, and nobody says": Case(
        row="adopt: ours",
        given=unknown(),
        look=seen(sink("x", ledger="ours")),
        changes=adopts_from_another(P),
        event=ADOPTED,
    ),
    "our predecessor's older value": Case(
        row="adopt: ours",
        given=unknown(succeeds="theirs"),
        look=seen(sink("x", ledger="theirs", seq=7)),
        changes=adopts_from_another(P, seq=7),
        event=ADOPTED,
    ),
    "empty, and the policy says": Case(
        row="adopt: empty",
        given=unknown(),
        look=seen(sink(None)),
        rules=policy(adopt=S),
        changes=adopts(S),
        event=ADOPTED,
    ),
    "empty, and nobody says": Case(
        row="adopt: hold",
        given=unknown(),
        look=seen(sink(None)),
        changes=holds("nothing-published"),
        event=HELD,
    ),
    "equal slots, and nothing shown": Case(
        row="adopt: hold",
        given=unknown(secondary=SAME),
        look=seen(sink(None)),
        changes=holds("nothing-published"),
        event=HELD,
    ),
    "equal slots, and the policy says": Case(
        row="adopt: equal",
        given=unknown(secondary=SAME),
        rules=policy(adopt=S),
        changes=adopts(S, secondary=SAME)
        | {
            "primary": SlotRecord(fingerprint="p", unsettled_until=LATE),  # type: ignore[arg-type]
            "secondary": SlotRecord(fingerprint="p", published_at=NOW, written_at=NOW),  # type: ignore[arg-type]
        },
        event=ADOPTED,
    ),
}


@cases(ADOPTING)
def test_the_active_slot_is_found_or_asked_for_and_never_guessed(case: Case) -> None:
    decide(case)


def test_that_two_live_tokens_disagree_is_told_to_end_with_them() -> None:
    def told(look: Seen) -> str:
        given = unknown(tokens={"vault": TokenLife(expires=NOW + DAY, renew_at=NOW)})
        hold = next_step(given, look, policy(), NOW).record.hold
        assert hold is not None
        return hold.sentence

    assert told(seen(token("p"), token("s", "file"))).endswith("both stay valid, their tokens until they expire")
    assert told(seen(sink("p"), sink("s", "file"))).endswith("both stay valid")
