"""Every reason code, and every rule, in words: what it means, whose move it is, what to do.

`keyturn explain` prints them, and docs/reasons.md is generated from them (`uv run python -m tests.docs.published`). A
code that the source can make and that is not here fails a test, and so does one that is here and nowhere else.

Pure: flat tables. Never here: layout, or a decision.
"""

from __future__ import annotations

from typing import Final, NamedTuple

NOBODY: Final = "nobody"
"""It passes by itself."""
YOU: Final = "you"
"""A person has to act."""


class Reason(NamedTuple):
    """One code. `rules` are the rules behind it, if any; `example` is a sentence that stood behind it once.

    Backquotes are Markdown's; a screen leaves them as they are.
    """

    code: str
    move: str
    meaning: str
    to_do: str
    example: str
    rules: tuple[str, ...] = ()


class Group(NamedTuple):
    """The codes that answer one question. `about` stands below the page's heading; `{keeps_tokens}` in it is filled in
    from `plan.KEEPS_TOKENS`."""

    heading: str
    about: str
    reasons: tuple[Reason, ...]


class Rule(NamedTuple):
    """One rule of docs/protocol.md, as short as can be."""

    name: str
    title: str
    says: str
    why: str


STARTS: Final = (
    Reason(
        code="age-limit",
        move=NOBODY,
        meaning="The active value is as old as `rotate.every` allows. Its age counts from the publish, or from "
        "adoption.",
        to_do="Nothing.",
        example="primary is 30 d old, policy says 30 d",
    ),
    Reason(
        code="requested",
        move=NOBODY,
        meaning="A person ran `keyturn rotate`.",
        to_do="Nothing.",
        example="a partner left",
    ),
)

WAITS: Final = (
    Reason(
        code="not-due",
        move=NOBODY,
        meaning="At rest. The next look or the next rotation comes at the time shown.",
        to_do="Nothing.",
        example="nothing is due",
    ),
    Reason(
        code="outside-window",
        move=NOBODY,
        meaning="A rotation is due, and no `rotate.window` is open. Tokens and repairs wait for no window.",
        to_do="Wait, or `keyturn rotate NAME`, which waits for none.",
        example="primary is 30 d old, policy says 30 d; it starts in its window (Mon-Thu 09:00-16:00 Europe/Oslo), "
        "on 2026-01-05 08:00 UTC",
    ),
    Reason(
        code="pace",
        move=YOU,
        meaning="A rotation is due, and its policy's `pace` holds it back: those that go first are not through yet, or "
        "too many of the policy's credentials are held.",
        to_do="`keyturn status` shows which are held: mend and release them. Else wait: the first are being rotated.",
        example="shop/contoso goes first and is held: the rest of policy partners starts after it",
    ),
    Reason(
        code="quiet-slot",
        move=NOBODY,
        meaning="The old value left the last sink less than `drain` ago. Callers may still have it.",
        to_do="Wait. If your callers read the sink sooner than you declared, lower `consumers.cache` and `drain`.",
        example="21 h until primary has been out of every sink for 24 h",
        rules=("A1", "A3"),
    ),
    Reason(
        code="exposed",
        move=NOBODY,
        meaning="A sink shows the slot's value, or may show it.",
        to_do="Wait; the next look that sees it in no sink starts the drain. After adoption "
        "`keyturn adopt NAME --quiet-since TIME --because TEXT` shortens it, on your word.",
        example="a sink shows or may show the primary value",
        rules=("A1", "A2"),
    ),
    Reason(
        code="unsettled",
        move=NOBODY,
        meaning="A write was sent and nobody acknowledged it, or, after adoption, nobody can know whether one was. "
        "It may land until `late` + `deadline` have passed.",
        to_do="Wait.",
        example="an earlier write to secondary was not acknowledged and may still land",
        rules=("A5", "A2"),
    ),
    Reason(
        code="settle",
        move=NOBODY,
        meaning="Every gateway accepted the value. Units behind one address may lag, so `settle` is waited out.",
        to_do="Wait.",
        example="every gateway accepted secondary; units behind one address may lag",
        rules=("A17",),
    ),
    Reason(
        code="propagation",
        move=NOBODY,
        meaning="The policy has no probe, so `propagation` and `max_clock_skew` are waited out instead.",
        to_do="Wait, or configure a `probe`.",
        example="no probe is configured: wait until secondary must have reached every gateway",
        rules=("A3",),
    ),
    Reason(
        code="not-accepted-yet",
        move=NOBODY,
        meaning="A gateway still refuses the fresh value. It is asked again.",
        to_do="Wait; if it lasts, check the probe's path in the sentence.",
        example="https://shop-apim-westus-01.regional.azure-api.net/status/ping answers 401",
        rules=("A17",),
    ),
    Reason(
        code="in-use",
        move=YOU,
        meaning="Evidence shows a caller with the old value although no sink shows it. The drain is stretched, up to "
        "`drain.max`; then it is a hold. This version brings no source of evidence, so the command line "
        "never shows it.",
        to_do="Find that caller, and let it read its sink again.",
        example="a caller used the primary value 2 h ago although no sink shows it",
        rules=("A16",),
    ),
    Reason(
        code="sink-unreadable",
        move=YOU,
        meaning="A sink cannot be read, so it may show anything. No slot is written; other waits go on. At adoption it "
        "is a hold.",
        to_do="Make the sink readable: the sentence says what failed. After a hold: `keyturn release NAME`.",
        example="shop-kv/apim-contoso cannot be read, so it may still show the primary value",
        rules=("A14", "A13"),
    ),
    Reason(
        code="sink-unclear",
        move=NOBODY,
        meaning="A sink was written and does not show the value when it is read again. Both values stay live "
        "meanwhile.",
        to_do="Nothing, unless it lasts: then look at the sink, or for somebody else who writes it.",
        example="shop-kv/apim-contoso did not answer; both values stay live",
        rules=("A14", "A18"),
    ),
    Reason(
        code="sink-refused",
        move=YOU,
        meaning="A sink refuses to be written. Both values stay live meanwhile.",
        to_do="Mend what the sentence names, mostly a missing role at the vault.",
        example="shop-kv/apim-contoso refuses to be written: Forbidden; both values stay live",
        rules=("A14", "A18"),
    ),
    Reason(
        code="refused",
        move=YOU,
        meaning="Azure said no: mostly a missing role, and the sentence names action and scope. Or what answers has a "
        "certificate that is not trusted, or a proxy asks for a password: then nothing was sent.",
        to_do="Assign the role; a new assignment may take some minutes. Or mend what the sentence names.",
        example="may not perform Microsoft.ApiManagement/service/subscriptions/write",
        rules=("A18",),
    ),
    Reason(
        code="throttled",
        move=NOBODY,
        meaning="Azure answered 429 to a write. It was not applied.",
        to_do="Wait; lower `budget.share` if it happens often.",
        example="Azure says: too many requests",
        rules=("A18",),
    ),
    Reason(
        code="unreachable",
        move=NOBODY,
        meaning="Azure did not answer, or an effect was dropped because its look had grown too old.",
        to_do="Nothing, unless it lasts: then check network, proxy and sign-in.",
        example="no answer from management.azure.com within 60 s",
        rules=("A4", "A18"),
    ),
    Reason(
        code="not-active",
        move=YOU,
        meaning="The apim subscription is suspended, expired or not yet approved, or tenant access is disabled. Both "
        "values are refused, so nothing can be proven.",
        to_do="Activate it in API Management, or `keyturn key enable NAME`; then `keyturn run`.",
        example="the apim subscription is suspended: gateways refuse both its values, so nothing can be proven",
    ),
    Reason(
        code="token-ends",
        move=YOU,
        meaning="A token in a sink runs out, and half of the time that was left for renewing it has gone, or the "
        "credential is held. What uses an expired token need not say so: a self-hosted gateway looks healthy and "
        "answers 200 with an empty body.",
        to_do="Let `keyturn run` come by more often; if it does, mend what the other lines name. Some holds keep "
        "tokens fresh, others do not: release it.",
        example="the token in shop-kv/oslo-token ends in 9 h; a fresh one is due for 3 d",
    ),
    Reason(
        code="token-stuck",
        move=YOU,
        meaning="A held credential's token is due for a fresh one, and its sink cannot be given one. The hold stays; "
        "this is tried again.",
        to_do="Make the sink readable and writable, and look at why it is held.",
        example="a token is due for a fresh one, and its sink cannot be given one",
    ),
    Reason(
        code="clock-skew",
        move=YOU,
        meaning="This machine's clock and Azure's are further apart than `max_clock_skew`. No slot is written.",
        to_do="Set the clock.",
        example="this machine's clock and Azure's differ by 4 min, more than max_clock_skew 1 min",
        rules=("A16", "A3"),
    ),
)

HOLDS: Final = (
    Reason(
        code="parked",
        move=YOU,
        meaning="It has failed for as long as `park_after` allows. The pauses had grown to 32 h, or to `look_every`.",
        to_do="The sentence says what failed last: mend that, then `keyturn release NAME`, or "
        "`keyturn release --reason parked` for all of them. A change of its policy releases it, too.",
        example="it has failed for 7 d, 16 times: sink-refused: shop-kv/apim-contoso refuses to be written: Forbidden",
        rules=("A16",),
    ),
    Reason(
        code="by-hand",
        move=YOU,
        meaning="Somebody ran `keyturn hold`.",
        to_do="Read the sentence; release it when the reason has gone.",
        example="an audit runs until Friday",
    ),
    Reason(
        code="rolled-back",
        move=YOU,
        meaning="Somebody ran `keyturn rollback`, and every sink shows the old value again.",
        to_do="Find out why it was needed. Release it when the next rotation may come: it may be due at once.",
        example="a rollback was asked for, and every sink shows primary; release it when the next rotation may come",
        rules=("A6",),
    ),
    Reason(
        code="nothing-published",
        move=YOU,
        meaning="At adoption every sink is empty, and the policy does not say which slot to publish.",
        to_do="Set `adopt: primary` (or `secondary`) in the policy, then release it.",
        example="every sink is empty and the policy does not say which slot to publish (adopt: primary or secondary)",
        rules=("A13",),
    ),
    Reason(
        code="sinks-disagree",
        move=YOU,
        meaning="At adoption some sinks show the primary value and some the secondary.",
        to_do="Put the value you want into all of them, then release it.",
        example="some sinks show the primary value and some the secondary; both stay valid",
        rules=("A13",),
    ),
    Reason(
        code="foreign-value",
        move=YOU,
        meaning="At adoption a sink holds a value that is in neither slot and that keyturn did not write. It may be "
        "another secret of the same name.",
        to_do="If it is somebody else's, publish under another name. If it is an old key, replace it by a live one. "
        "Then release it.",
        example="shop-kv/apim-contoso holds a value that is in neither slot and was not written by keyturn",
        rules=("A13",),
    ),
    Reason(
        code="another-keyturn",
        move=YOU,
        meaning="A sink was published by a keyturn with another ledger. Two may never share a sink.",
        to_do="Stop one of them. To succeed it: `keyturn adopt NAME --take-over LEDGER_ID --because TEXT`; the id is "
        "the sink's tag `keyturn-ledger`.",
        example="shop-kv/apim-contoso was published by a keyturn with another ledger; two may never share a sink",
        rules=("A10",),
    ),
    Reason(
        code="sink-clash",
        move=YOU,
        meaning="Two credentials name the same sink. Each would overwrite the other's key.",
        to_do="Make the sink's name in `publish` tell them apart, for example by `{sid}`; then release them.",
        example="shop-kv/apim is also the sink of shop/fabrikam; two may never share one",
        rules=("A10",),
    ),
    Reason(
        code="sink-name",
        move=YOU,
        meaning="The sink's name, once filled in, is none that its place can have.",
        to_do="Change the template, then release it.",
        example="a secret's name has letters, digits and dashes alone: 'apim-team/contoso'",
    ),
    Reason(
        code="token-identity",
        move=YOU,
        meaning="The credential's name fits no token, and its policy wants one made.",
        to_do="Give the gateway another id (printable ASCII), or take it out of the policy; then release it.",
        example="no token can name 'ålesund': printable ASCII, no space at either end",
    ),
    Reason(
        code="fence-not-proven",
        move=YOU,
        meaning="This service did not answer 412 to a wrong ETag. `renew: set` is not safe without that.",
        to_do="Use `renew: regenerate` for the service, then release it. Please report it with the service's "
        "api-version.",
        example="this service did not refuse a write with a wrong ETag, so `renew: set` is not safe on it",
        rules=("A9", "A11"),
    ),
    Reason(
        code="probe-proves-nothing",
        move=YOU,
        meaning="A gateway accepts a random value at the probe's path, so its acceptance proves nothing.",
        to_do="Probe an operation that needs a key, then release it.",
        example="the probe proves nothing: https://shop-apim.azure-api.net/open also accepts a value that nobody has",
        rules=("A17",),
    ),
    Reason(
        code="not-accepted",
        move=YOU,
        meaning="Gateways still refuse the fresh value after six times the propagation wait, and at least an hour. "
        "Nothing was published.",
        to_do="Look at the gateways: region, self-hosted gateway, path. Then release it.",
        example="gateways still refuse the fresh value in secondary after 1 h 6 min",
        rules=("A17",),
    ),
    Reason(
        code="write-does-not-land",
        move=YOU,
        meaning="Several writes to one slot left no value of ours in it.",
        to_do="Find out who else writes this slot; then release it.",
        example="8 writes to secondary did not leave a value of ours in it",
        rules=("A9",),
    ),
    Reason(
        code="gone",
        move=YOU,
        meaning="The apim subscription, or its service, is not there any more.",
        to_do="Take it out of the configuration, or restore it and release.",
        example="shop/contoso is not there any more (ResourceNotFound)",
    ),
)

GROUPS: Final = (
    Group("Why a rotation starts", "", STARTS),
    Group("Why nothing happens yet", "", WAITS),
    Group(
        "Why it is held",
        "A held credential does nothing until a person runs `keyturn release NAME`; only tokens in its sinks are kept "
        "fresh, where the reason is {keeps_tokens}: what is published, and where, is in no doubt then. Both its values "
        "stay as they are. The next run judges anew: if the cause is still there, it holds again.",
        HOLDS,
    ),
)

REASONS: Final = {reason.code: reason for group in GROUPS for reason in group.reasons}

RULES: Final = {
    rule.name: rule
    for rule in (
        Rule(
            "A1",
            "Quiet slots",
            "No slot is written while a sink shows its value or may show it, nor before no sink has shown it "
            "for `drain`.",
            "Callers may still use what a sink showed a moment ago.",
        ),
        Rule(
            "A2",
            "Adoption assumes the worst",
            "A record that was just adopted counts both slots as exposed, and assumes a write on the standby that may "
            "still land. Nothing is written before `drain` has passed. `adopt --quiet-since` vouches for less.",
            "Whoever looked after it before may have published the other slot a minute ago.",
        ),
        Rule(
            "A3",
            "How long waits must be",
            "`drain` is at least cache + sink replication + longest call + clocks, and at least `late` + `deadline` + "
            "clocks, which count for twice `max_clock_skew`. A shorter one is refused, with the sum.",
            "The sum is the longest time that an honest caller can hold an old value.",
        ),
        Rule(
            "A4",
            "Deadlines",
            "An effect is sent once, and within `deadline` of the look it rests on. Otherwise it is dropped.",
            "A process that slept would act on an old picture.",
        ),
        Rule(
            "A5",
            "Publish only what is confirmed and settled",
            "A value goes to a sink only if it was live in this very look, the gateways accepted it, and no write to "
            "its slot is unresolved.",
            "A write that lands late kills the value that was just published.",
        ),
        Rule(
            "A6",
            "Rollback ends where retire begins",
            "Rollback works while a rotation publishes or drains, and is refused once the retirement was intended.",
            "From then on the old value may be dead already.",
        ),
        Rule(
            "A7",
            "Every phase repairs",
            "In every stage, a sink that does not show the active value is published to again. The drain then starts "
            "anew.",
            "A late write or a person may put a sink back.",
        ),
        Rule(
            "A8",
            "The order of a turn",
            "Read the record, then the entity, then the sinks. Save the intent on that very version. Send. Look, and "
            "save again.",
            "A look that is older than the record makes an old plan look new.",
        ),
        Rule(
            "A9",
            "Intents are appended",
            "The fingerprints of all values drawn for one renew are kept, at most eight; any of them live in the slot "
            "means that it is done.",
            "Two keyturns that replace each other's intent would draw values for ever.",
        ),
        Rule(
            "A10",
            "Sequence tags",
            "Every publish tags its sinks with the ledger's id and a number that grows. A higher number than the "
            "record's means that the ledger is old; another ledger's id is held. Two credentials never share a sink.",
            "A restored ledger remembers a past that the sinks have left.",
        ),
        Rule(
            "A11",
            "When an ETag is trusted",
            "An unchanged ETag stands for unchanged values. With `trust_etag: false` the values are read instead, one "
            "write each time.",
            "Where an ETag did not move, a value that somebody regenerated would be published dead.",
        ),
        Rule(
            "A12",
            "When the active value changed",
            "If somebody else wrote the active slot, the standby's value is published at once, if it is confirmed and "
            "settled. Otherwise the new value is confirmed first.",
            "A confirmed standby ends the outage in one look.",
        ),
        Rule(
            "A13",
            "Adoption",
            "Sinks that agree on one live value say which slot is active. Where every sink is empty, the policy's "
            "`adopt` slot is published. Held: disagreement, a foreign value, an unreadable sink, no `adopt`.",
            "A wrong guess here kills the value that callers use.",
        ),
        Rule(
            "A14",
            "Unreadable inside a rotation",
            "A sink that cannot be read blocks slot writes, not waiting.",
            "A vault that is down for an hour should not need a person.",
        ),
        Rule(
            "A15",
            "Compromise",
            "A value that a person named as leaked dies as soon as no sink shows it, without a drain; then the sinks "
            "are looked at again after `late` + `deadline`. What a sink shows or may show is not written all the same.",
            "A leaked key is worse than a refused caller.",
        ),
        Rule(
            "A16",
            "Waits are bounded",
            "Evidence stretches a drain up to `drain.max`; then a person is asked. While this machine's clock and "
            "Azure's differ by more than `max_clock_skew`, no slot is written and no wait counts as over.",
            "A clock that was wrong for a minute must not stop a rotation for a year, nor end a drain early.",
        ),
        Rule(
            "A17",
            "Confirming is sampling",
            "A value counts as accepted after several accepts in a row at every gateway, and a settle time. First a "
            "random value must be refused at the same path.",
            "One accept comes from one unit, and an open product accepts anything.",
        ),
        Rule(
            "A18",
            "Three classes of answers",
            "Applied; not applied (400, 401, 403, 404, 409, 412, 429); unclear: everything else. Only a look resolves "
            "an unclear answer.",
            "To send again after an unclear answer is how things happen twice.",
        ),
    )
}
