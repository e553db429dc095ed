"""The OpenAPI document of what `web` answers, as data. Never here: an answer."""

from __future__ import annotations

from typing import Any, Final

from keyturn.by_hand import LONGEST_VALUE

_ABOUT: Final = """\
keyturn rotates the keys of Azure API Management in the order that keeps callers working. These paths ask for a turn \
by hand; the timer does the rest.

An id has two parts: the service's alias in the configuration, and the name: a sid, `tenant/access`, or \
`gateways/{id}`. Percent-encode the name; its slashes may also stay as they are. No answer holds a key value.
"""


def _body(required: bool, **fields: dict[str, Any]) -> dict[str, Any]:
    needed = [name for name in fields if name == "value"]
    schema: dict[str, Any] = {"type": "object", "properties": fields, "additionalProperties": False}
    if needed:
        schema["required"] = needed
    return {"required": required, "content": {"application/json": {"schema": schema}}}


_BECAUSE: Final = {
    "type": "string",
    "minLength": 1,
    "maxLength": 1024,
    "description": "Why; it goes into the history. Never write a key here.",
}
_CUT_OFF: Final = {
    "type": "boolean",
    "default": False,
    "description": "Write the slot although callers may use its value. Needs `because`.",
}
_VALUE: Final = {
    "type": "string",
    "minLength": 1,
    "maxLength": LONGEST_VALUE,
    "writeOnly": True,
    "description": "The value to set: printable ASCII, no space at either end. It comes back in no answer.",
}


def _answers(good: str, what: str, schema: str, *problems: str) -> dict[str, Any]:
    told = {"$ref": f"#/components/schemas/{schema}"}
    answers: dict[str, Any] = {good: {"description": what, "content": {"application/json": {"schema": told}}}}
    for status in (*problems, "500", "503"):
        answers[status] = {"$ref": f"#/components/responses/Problem{status}"}
    return answers


_PROBLEMS: Final = {
    "400": "The body has a field that is missing, unknown, or not what it should be.",
    "404": "No such credential, or no such path.",
    "405": "The path does not take this method.",
    "409": "The slot is not quiet (`wouldCutOff` says whom a write cuts off), or only a person may decide.",
    "413": "The body has more than 16384 bytes.",
    "415": "The body is not JSON.",
    "500": "The app's configuration is wrong, or keyturn has a defect.",
    "502": "Azure refused keyturn, or whether it took effect is not known yet.",
    "503": "It did not work now; `Retry-After` says when to try again.",
}
_MOMENT: Final = {"type": ["string", "null"], "format": "date-time"}
_TEXT: Final = {"type": "string"}


def _named(name: str, what: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": what, "schema": {"type": "string"}}


_ID: Final = [
    _named("service", "The service's alias in the configuration."),
    _named("name", "The sid, `tenant/access`, `tenant/gitAccess`, or `gateways/{id}`; percent-encoded."),
]
_SLOT: Final = [
    *_ID,
    {"name": "slot", "in": "path", "required": True, "schema": {"type": "string", "enum": ["primary", "secondary"]}},
]
_WRITES: Final = ("400", "404", "409", "413", "415", "502")

DOCUMENT: Final[dict[str, Any]] = {
    "openapi": "3.1.0",
    "info": {"title": "keyturn", "version": "1", "summary": "Turns by hand.", "description": _ABOUT},
    "servers": [{"url": ".", "description": "Wherever this document was read."}],
    "security": [{"functionKey": []}, {"functionKeyInQuery": []}],
    "paths": {
        "/credentials": {
            "get": {
                "operationId": "listCredentials",
                "summary": "Every credential, as the ledger has it.",
                "responses": _answers("200", "All of them.", "Credentials"),
            }
        },
        "/credentials/{service}/{name}": {
            "parameters": _ID,
            "get": {
                "operationId": "showCredential",
                "summary": "One credential, as the ledger has it.",
                "responses": _answers("200", "How it stands.", "Credential", "404"),
            },
        },
        "/credentials/{service}/{name}/rotate": {
            "parameters": _ID,
            "post": {
                "operationId": "rotateCredential",
                "summary": "Rotate it now, whatever its age; the waits that keep callers working stay.",
                "requestBody": _body(False, because=_BECAUSE),
                "responses": _answers("202", "Asked for, and begun.", "Credential", *_WRITES),
            },
        },
        "/credentials/{service}/{name}/slots/{slot}/regenerate": {
            "parameters": _SLOT,
            "post": {
                "operationId": "regenerateSlot",
                "summary": "Let Azure draw a fresh value for one slot, if it is quiet.",
                "requestBody": _body(False, because=_BECAUSE, cutOffCallers=_CUT_OFF),
                "responses": _answers("200", "How it stands.", "Credential", *_WRITES),
            },
        },
        "/credentials/{service}/{name}/slots/{slot}": {
            "parameters": _SLOT,
            "put": {
                "operationId": "setSlot",
                "summary": "Set one slot to a value of yours, if it is quiet.",
                "requestBody": _body(True, value=_VALUE, because=_BECAUSE, cutOffCallers=_CUT_OFF),
                "responses": _answers("200", "How it stands.", "Credential", *_WRITES),
            },
        },
    },
    "components": {
        "securitySchemes": {
            "functionKey": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
            "functionKeyInQuery": {"type": "apiKey", "in": "query", "name": "code"},
        },
        "responses": {
            f"Problem{status}": {
                "description": what,
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }
            for status, what in _PROBLEMS.items()
        },
        "schemas": {
            "Credentials": {
                "type": "object",
                "required": ["now", "emulated", "credentials"],
                "properties": {
                    "now": {"type": "string", "format": "date-time"},
                    "emulated": {"type": "boolean"},
                    "credentials": {"type": "array", "items": {"$ref": "#/components/schemas/Credential"}},
                },
            },
            "Credential": {
                "type": "object",
                "description": "The same as `keyturn status --json` tells of it.",
                "required": ["id", "condition", "stage", "active", "next", "hold", "waiting", "not_before"],
                "properties": {
                    "id": _TEXT,
                    "condition": _TEXT,
                    "stage": _TEXT,
                    "active": {"type": ["string", "null"], "enum": ["primary", "secondary", None]},
                    "since": _MOMENT,
                    "next": _TEXT,
                    "not_before": _MOMENT,
                    "waiting": {"type": ["object", "null"]},
                    "hold": {"type": ["object", "null"]},
                    "due": _MOMENT,
                    "looked_at": _MOMENT,
                    "policy": _TEXT,
                    "rotations": {"type": "integer"},
                    "failures": {"type": "integer"},
                    "notes": {"type": "array", "items": _TEXT},
                },
            },
            "Problem": {
                "type": "object",
                "description": "RFC 9457, with the reason as a code and what to do next.",
                "required": ["type", "title", "status", "detail", "instance", "reason", "hint"],
                "properties": {
                    "type": {"type": "string", "format": "uri"},
                    "title": _TEXT,
                    "status": {"type": "integer"},
                    "detail": _TEXT,
                    "instance": {"type": "string", "format": "uri", "description": "Names the invocation in the log."},
                    "reason": _TEXT,
                    "hint": _TEXT,
                    "wouldCutOff": {
                        "type": "object",
                        "properties": {"slot": _TEXT, "readersOf": {"type": "array", "items": _TEXT}},
                    },
                    "azure": {
                        "type": "object",
                        "properties": {"status": {"type": "integer"}, "code": _TEXT, "requestId": _TEXT},
                    },
                    "retryAfter": {"type": "integer"},
                },
            },
        },
    },
}
