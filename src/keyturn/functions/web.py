"""HTTP: what is asked, and what is answered. The paths, after the app's own prefix:

    GET   credentials                                   all of them, from the ledger
    GET   credentials/{id}                              one of them
    POST  credentials/{id}/rotate                       {"because": …}
    POST  credentials/{id}/slots/{slot}/regenerate      {"because": …, "cutOffCallers": true}
    PUT   credentials/{id}/slots/{slot}                 {"value": …, "because": …, "cutOffCallers": true}

An id holds slashes (`shop/contoso`, `shop/tenant/access`), and so may a sid; the host's router lets only the last
parameter of a route do that. So one route takes the rest of the path whole, and what is asked is read from its end,
where every method has a form of its own: nothing is ambiguous, whatever a sid is made of.

Mistakes are answered as problems (RFC 9457). No answer holds a key value, not even the one that was sent; nothing of a
path or a body that keyturn does not know is repeated, since it might be one. Never here: a binding, or a decision
about a slot.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import msgspec

from keyturn import by_hand
from keyturn.assemble import policy_named
from keyturn.conditions import in_json, moment
from keyturn.errors import (
    Conflict,
    Gone,
    KeyturnError,
    LedgerFault,
    Malformed,
    Misconfigured,
    NeedsPerson,
    NotSent,
    Refused,
    TryAgain,
    Unclear,
)
from keyturn.functions.instance import Instance, log, sentence, tell
from keyturn.functions.openapi import DOCUMENT
from keyturn.model import MASK, Record, Secret, Slot

if TYPE_CHECKING:
    from keyturn.assemble import Assembled
    from keyturn.sweep import Charge

LONGEST_BODY: Final = 16_384
"""Bytes. A value has at most 256 characters, a reason is a sentence."""
LONGEST_REASON: Final = 1_024
ASKED: Final = "asked for over HTTP"
JSON: Final = "application/json"
PROBLEM_JSON: Final = "application/problem+json"
PROBLEM_TYPE: Final = "urn:keyturn:problem:"
_SHOWN_FIELD: Final = re.compile(r"[A-Za-z][A-Za-z_]{0,23}")
"""A field's name that may be repeated: no key of API Management looks like it, since those have digits."""

PROBLEMS: Final[Mapping[str, tuple[int, str]]] = {
    "bad-request": (400, "The request is not one that keyturn takes."),
    "unknown-path": (404, "There is nothing at this path."),
    "unknown-credential": (404, "keyturn looks after no credential of this id."),
    "wrong-method": (405, "This path does not take this method."),
    "slot-not-quiet": (409, "Callers may still use this slot's value."),
    "cannot-be-set": (409, "Nobody can choose a value for this credential."),
    "needs-person": (409, "Only a person may decide that this goes on."),
    "too-large": (413, "The body is too large."),
    "not-json": (415, "The body is not JSON."),
    "not-configured": (500, "The app's configuration is wrong."),
    "defect": (500, "keyturn has a defect."),
    "azure-refused": (502, "Azure refused."),
    "unclear": (502, "Whether it took effect is not known yet."),
    "ledger-unusable": (503, "The ledger cannot be used now."),
    "try-again": (503, "It did not work now, and may later."),
}
"""Every type of problem: its status and its title. `reason` tells more where docs/reasons.md has a code for it."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked. `path` is what follows `credentials/`; `invocation` is the host's id of this call."""

    method: str
    path: str
    body: bytes = b""
    content_type: str = ""
    invocation: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    body: str
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = (("Cache-Control", "no-store"),)


class Problem(Exception):
    """A mistake of the request, or why it cannot be done; `name` is a row of PROBLEMS."""

    def __init__(self, name: str, detail: str, *, hint: str = "", reason: str = "", **more: Any) -> None:
        super().__init__(detail)
        self.name, self.detail, self.hint, self.reason, self.more = name, detail, hint, reason, more


def document() -> Answer:
    """The OpenAPI document."""
    return Answer(status=200, body=json.dumps(DOCUMENT, indent=2, ensure_ascii=False))


def answer(instance: Instance, request: Request) -> Answer:
    """Raises nothing."""
    try:
        told = _dispatch(instance, request)
    except Problem as problem:
        told = _in_form(problem, request)
    except KeyturnError as error:
        told = _in_form(_problem_of(error), request)
        log.error("%s", sentence(error))
    except Exception as error:  # noqa: BLE001 - an exception's own text may hold anything
        log.error("a defect of keyturn: %s in %s", type(error).__name__, _place(error))
        hint = "Please report it, with what the log says of this invocation."
        told = _in_form(Problem("defect", f"{type(error).__name__} in {_place(error)}", hint=hint), request)
    return msgspec.structs.replace(told, body=_without_value(told.body, request))


# -------- which of the paths


def _dispatch(instance: Instance, request: Request) -> Answer:
    if len(request.body) > LONGEST_BODY:
        raise Problem("too-large", f"A body may have {LONGEST_BODY} bytes.", hint="Send the fields and nothing else.")
    parts = unquote(request.path).split("/")  # the host leaves %2F as it is, and a second decoding changes nothing else
    match request.method, parts:
        case "GET", [""]:
            return _list(instance)
        case "GET", [*id]:
            return _show(instance, "/".join(id))
        case "POST", [*id, "rotate"] if id:
            return _rotate(instance, "/".join(id), _fields(request, _ROTATE))
        case "POST", [*id, "slots", slot, "regenerate"] if id:
            return _write(instance, "/".join(id), slot, _fields(request, _REGENERATE))
        case "PUT", [*id, "slots", slot] if id:
            return _write(instance, "/".join(id), slot, _fields(request, _SET))
        case "GET" | "POST" | "PUT", _:
            raise Problem("unknown-path", "No such path takes this method.", hint="GET openapi.json lists the paths.")
        case _:
            raise Problem("wrong-method", "Only GET, POST and PUT are taken.", hint="GET openapi.json lists the paths.")


# -------- what is asked


def _list(instance: Instance) -> Answer:
    keyturn = instance.keyturn()
    now = keyturn.clock.now()
    records = list(keyturn.ledger.records())
    return _good(
        {
            "now": moment(now),
            "emulated": keyturn.config.clock is not None,
            "credentials": [_told(keyturn, record, now) for record in records],
        }
    )


def _show(instance: Instance, id: str) -> Answer:
    keyturn = instance.keyturn()
    for key in keyturn.keys_of(id):
        stored = keyturn.ledger.load(key)
        if stored is not None:
            return _good(_told(keyturn, stored.record, keyturn.clock.now()))
    raise _unknown("The ledger does not know it.")


def _rotate(instance: Instance, id: str, given: Mapping[str, Any]) -> Answer:
    """Ask for a rotation, and take its first turn here; the sweeps go on with it."""
    from keyturn.sweep import take  # noqa: PLC0415

    keyturn = instance.keyturn()
    charge = _charge(instance, id)
    credential, because = charge.credential, given.get("because") or ASKED
    try:
        record, event = keyturn.change(credential, lambda r, at: by_hand.request(r, because, at))
    except NeedsPerson as problem:
        raise _as_it_stands(keyturn, credential.key, problem) from None
    tell(credential.id, event)
    advanced = take(charge, ledger=keyturn.ledger, clock=keyturn.clock, holder=instance.holder(), force=True)
    record = record if advanced is None else advanced.record
    return _good(_told(keyturn, record, keyturn.clock.now()), status=202)


def _write(instance: Instance, id: str, slot_name: str, given: Mapping[str, Any]) -> Answer:
    """Regenerate a slot, or set it to the value that was sent: by a turn, with an intent, on a quiet slot."""
    if slot_name not in set(Slot):
        raise Problem("unknown-path", "A credential has two slots.", hint="They are called primary and secondary.")
    slot, because, cuts_off = Slot(slot_name), given.get("because") or "", given.get("cutOffCallers") is True
    if cuts_off and not because:
        raise Problem(
            "bad-request",
            "cutOffCallers needs a reason of yours: it goes into the history.",
            hint='Add "because": "…".',
        )
    value = Secret(given["value"]) if "value" in given else None
    keyturn = instance.keyturn()
    charge = _charge(instance, id)
    if value is not None and not keyturn.keyring_of(charge.credential).sets:
        raise Problem(
            "cannot-be-set",
            f"{charge.credential.id}: Azure draws the keys of a self-hosted gateway itself.",
            hint=f"POST credentials/…/slots/{slot}/regenerate lets it draw a fresh one.",
        )
    try:
        advanced = charge.turn.write_slot(
            charge.credential, charge.policy, slot, value, because=because or ASKED, cut_off_callers=cuts_off
        )
    except NeedsPerson as problem:
        raise _as_it_stands(keyturn, charge.credential.key, problem, charge, slot) from None
    return _good(_told(keyturn, advanced.record, keyturn.clock.now()))


def _charge(instance: Instance, id: str) -> Charge:
    """The credential of an id, with its policy, and nobody else's sink."""
    keyturn = instance.keyturn()
    stored = {key: keyturn.ledger.load(key) for key in keyturn.keys_of(id)}
    for key in sorted(stored, key=lambda key: stored[key] is None):
        try:
            charge = keyturn.charge(key)
        except Gone:
            continue
        if charge is not None:
            instance.check_sinks(charge, stored[key])
            return charge
    raise _unknown("Azure has none of this id, or no policy of the configuration looks after it.")


def _unknown(detail: str) -> Problem:
    return Problem(
        "unknown-credential",
        detail,
        hint="An id is the service's alias, a slash, and the sid; GET credentials lists those that are known.",
    )


def _told(keyturn: Assembled, record: Record, now: datetime) -> dict[str, Any]:
    return in_json(record, policy_named(keyturn.config, record), now)


# -------- why not


def _as_it_stands(
    keyturn: Assembled, key: str, problem: NeedsPerson, charge: Charge | None = None, slot: Slot | None = None
) -> Problem:
    """A refusal with the reason that the record has for it, and who would be cut off by insisting."""
    stored = keyturn.ledger.load(key)
    record = None if stored is None else stored.record
    if charge is not None and slot is not None and problem.reason:
        return _not_quiet(charge, slot, problem)
    reason = problem.reason
    if not reason and record is not None:
        reason = record.hold.reason if record.hold else record.waiting.reason if record.waiting else ""
    hint = "Look at it, mend what holds it, and release it." if record is not None and record.hold else ""
    return Problem(
        "needs-person", problem.message, hint=hint or "GET it: its condition says what it waits for.", reason=reason
    )


def _not_quiet(charge: Charge, slot: Slot, problem: NeedsPerson) -> Problem:
    from keyturn.plan import CUTTING_OFF  # noqa: PLC0415

    if problem.reason not in CUTTING_OFF:
        return Problem(
            "slot-not-quiet", problem.message, reason=problem.reason, hint="Nobody may overrule this; wait, or mend it."
        )
    return Problem(
        "slot-not-quiet",
        problem.message,
        reason=problem.reason,
        hint='POST …/rotate gives it a fresh value and cuts nobody off. {"cutOffCallers": true, "because": "…"} writes '
        "the slot all the same.",
        wouldCutOff={"slot": slot.value, "readersOf": _readers(charge, slot)},
    )


def _readers(charge: Charge, slot: Slot) -> list[str]:
    """The sinks that show the slot's value now; none may be left, and callers still have it in memory."""
    try:
        sight = charge.turn.sight(charge.credential, charge.policy)
    except KeyturnError:
        return []
    value = sight.live[slot] if sight.live is not None else sight.record.slot(slot).fingerprint
    return [sink.name for sink in sight.seen.sinks if sink.shows is not None and sink.shows == value]


_ANSWERS: Final[tuple[tuple[type[KeyturnError], str], ...]] = (
    (Gone, "unknown-credential"),
    (Refused, "azure-refused"),
    (Misconfigured, "not-configured"),
    (LedgerFault, "ledger-unusable"),
    (Malformed, "bad-request"),
    (NeedsPerson, "needs-person"),
    (Unclear, "unclear"),
    (NotSent, "try-again"),
    (Conflict, "try-again"),
    (TryAgain, "try-again"),
)
"""The first that fits. Azure's refusal of keyturn is not one of the caller: 403 would send the wrong person looking."""


def _problem_of(error: KeyturnError) -> Problem:
    name = next((name for kind, name in _ANSWERS if isinstance(error, kind)), "defect")
    more: dict[str, Any] = {}
    if isinstance(error, Refused):
        more = {"azure": {"status": error.status, "code": error.code, "requestId": error.request_id}}
    if isinstance(error, TryAgain):
        more = {"retryAfter": max(1, round(error.after))}
    return Problem(name, error.message, hint=error.hint, **more)


def _in_form(problem: Problem, request: Request) -> Answer:
    status, title = PROBLEMS[problem.name]
    headers = [("Cache-Control", "no-store")]
    if status == 405:
        headers.append(("Allow", "GET, POST, PUT"))
    if status == 503:
        headers.append(("Retry-After", str(problem.more.get("retryAfter", 30))))
    told = {
        "type": f"{PROBLEM_TYPE}{problem.name}",
        "title": title,
        "status": status,
        "detail": problem.detail,
        "instance": f"urn:uuid:{request.invocation}",
        "reason": problem.reason or problem.name,
        "hint": problem.hint or "GET the credential: its condition says how it stands.",
        **problem.more,
    }
    return Answer(status=status, body=_dumped(told), content_type=PROBLEM_JSON, headers=tuple(headers))


def _good(told: Mapping[str, Any], status: int = HTTPStatus.OK) -> Answer:
    return Answer(status=int(status), body=_dumped(told))


def _dumped(told: Mapping[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False)


def _place(error: Exception) -> str:
    """Where a defect is: the innermost place of its traceback."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return "keyturn" if at is None else f"{at.tb_frame.f_globals.get('__name__', '?')}:{at.tb_lineno}"


# -------- bodies


def _is_reason(text: Any) -> str | None:
    fits = isinstance(text, str) and text.strip() and len(text) <= LONGEST_REASON and text.isprintable()
    return None if fits else f"it is no printable text of 1 to {LONGEST_REASON} characters"


def _is_flag(found: Any) -> str | None:
    return None if isinstance(found, bool) else "it is neither true nor false"


def _is_value(text: Any) -> str | None:
    return by_hand.unusable(text) if isinstance(text, str) else "it is no text"


Fields = Mapping[str, Callable[[Any], str | None]]
_ROTATE: Final[Fields] = {"because": _is_reason}
_REGENERATE: Final[Fields] = {**_ROTATE, "cutOffCallers": _is_flag}
_SET: Final[Fields] = {**_REGENERATE, "value": _is_value}
"""What each body may have, and what is wrong with a field's content, as a sentence that does not repeat it."""


def _fields(request: Request, fields: Fields) -> dict[str, Any]:
    """The body's fields, each checked. A body may be missing where no field is needed."""
    kind = request.content_type.partition(";")[0].strip().lower()
    if request.body and kind and kind != JSON and not kind.endswith("+json"):
        raise Problem("not-json", "The body has another content type.", hint=f"Send it as {JSON}.")
    given = _object(request.body)
    for name, content in given.items():
        if name not in fields:
            shown = name if _SHOWN_FIELD.fullmatch(name) else "one whose name is not repeated here"
            raise Problem("bad-request", f"Unknown field: {shown}.", hint=f"Known are {', '.join(sorted(fields))}.")
        wrong = fields[name](content)
        if wrong is not None:
            raise Problem("bad-request", f"{name}: {wrong}.", hint="GET openapi.json describes each field.")
    if "value" in fields and "value" not in given:
        raise Problem("bad-request", "value is missing.", hint='Send {"value": "…"}.')
    if "value" in given and given["value"] in given.get("because", ""):
        raise Problem("bad-request", "because holds the value itself.", hint="It would go into the history; reword it.")
    return given


def _object(body: bytes) -> dict[str, Any]:
    """An object with no name twice: which of the two would count?"""
    if not body.strip():
        return {}
    try:
        found = json.loads(body.decode("utf-8"), object_pairs_hook=_once_each)
    except (ValueError, RecursionError):
        raise Problem("bad-request", "The body is no JSON that can be read.", hint="Send one object.") from None
    if not isinstance(found, dict):
        raise Problem("bad-request", "The body is no JSON object.", hint="Send one object.")
    return found


def _once_each(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Problem("bad-request", "The body has a field twice.", hint="Send each field once.")
    return found


def _without_value(text: str, request: Request) -> str:
    """The last line of defence: what was sent as a value is in no answer, wherever it may have come from."""
    try:
        found = json.loads(request.body)
    except (ValueError, RecursionError):
        return text
    value = found.get("value") if isinstance(found, dict) else None
    if not isinstance(value, str) or len(value) < 4:
        return text
    return _dumped(_masked(json.loads(text), value))


def _masked(told: Any, value: str) -> Any:
    if isinstance(told, dict):
        return {name: _masked(content, value) for name, content in told.items()}
    if isinstance(told, list):
        return [_masked(content, value) for content in told]
    return told.replace(value, MASK) if isinstance(told, str) else told
