"""Every function that reads what somebody else wrote, each with what is drawn for it and how it may refuse.

`parsers` is the table. A test fails when a new `parse`, `read…`, `decode…` or `from_…` of the product's is neither in
it nor in `ELSEWHERE`, which names the test of what this table cannot call.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
from hypothesis import strategies as st

from keyturn import tokens, windows
from keyturn.azure import answers, signin_failures, whoami
from keyturn.azure.answers import Reply
from keyturn.azure.signin_failures import Who
from keyturn.cli import options
from keyturn.config.matching import glob_matches
from keyturn.errors import KeyturnError, LedgerFault, Malformed, Misconfigured
from keyturn.functions import messages
from keyturn.functions.settings import read_settings
from keyturn.keyrings import service
from keyturn.ledgers import reading, schema, table_rows
from keyturn.model import Secret
from keyturn.sinks import webhook
from keyturn.sinks.file import FileVariable
from keyturn.testing import ManualClock
from keyturn_emulator import callers, odata, sas
from keyturn_emulator import clock as emulated_clock
from keyturn_emulator.odata import FilterNotServed
from keyturn_emulator.wire import read_json
from tests.hostile.drawn import bodies, json_like, texts

MARK: Final = "hunterhunterhunterhunter"
"""Stands for a secret in what is drawn: no refusal of one that `hushes` may repeat it."""
NOW: Final = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
PLACE: Final = Path("keyturn.db")


class Parser(NamedTuple):
    """`read` gets one thing drawn from `given`; it may raise `refuses` and nothing else."""

    read: Callable[[Any], object]
    given: st.SearchStrategy[Any]
    refuses: tuple[type[BaseException], ...] = ()
    hushes: bool = False
    """What it reads may be a secret, so that no refusal repeats any of it."""


def pieces(*parts: str) -> st.SearchStrategy[str]:
    """Texts out of what the grammar is made of, in any order, and of anything else."""
    return st.lists(st.one_of(st.sampled_from(parts), st.sampled_from(parts), texts), max_size=9).map("".join)


SIGNATURE: Final = base64.b64encode(bytes(range(64))).decode()
TOKENS: Final = pieces(
    "SharedAccessSignature ", "GatewayKey ", "uid=", "&ex=", "&sn=", "&", "integration", "2030-01-02T03:04:05.0000000Z",
    "203001020304", "20300102030405", "000000000000", "999999999999", SIGNATURE, SIGNATURE[:-2], 'token="', '"',
    ',refresh="true"', " ", "=", MARK, "0001-01-01T00:00:00", "2030-02-30T03:04:05Z", ".",
)  # fmt: skip
SPANS: Final = pieces("1", "30", "9" * 9, "9" * 10, "w", "d", "h", "m", "min", "s", " ", "-", "+", ".", "0", "٣")
TIMES: Final = pieces(
    "2030-01-02T03:04", "0001-01-01T00:00", "9999-12-31T23:59:59", "Z", "+23:59", "-23:59", "01/02/2030 3:04 AM",
    "13/32/0000 0:60 PM", "(UTC)", " ", "T", "W01", ".999999999", "24:00",
)  # fmt: skip
DATES: Final = pieces(
    "Fri, ", "31 Dec 9999 ", "01 Jan 0001 ", "23:59:59 ", "99:99:99 ", "GMT", "-2359", "+2359", "+" + "9" * 20, "(",
    ")", "Mon", ",", "-", ":", "9" * 400,
)  # fmt: skip
WINDOWS: Final = pieces(
    "Mon-Thu ", "Sun", ",", "-", "09:00-16:00", "24:00-00:00", "99:99", " Europe/Oslo", " UTC", " ../../etc/passwd",
    " " + "/" * 300, " ", "Foo",
)  # fmt: skip
FILTERS: Final = pieces(
    "state ", "eq ", "'active'", "and ", "or ", "not ", "(", ")", "startswith(", "contains(", ", ", "null", "'", "''",
    "ownerId ", "ge ", "5",
)  # fmt: skip
DOTENV: Final = pieces(
    "KEY", "=", "export ", "\n", "\r\n", "'", '"', "\\", "\\n", " # ", "#", "$", "`", " " * 20_000, "x", MARK, "\ufeff",
    "\f", "\u2028", "KEY='a'", 'KEY="',
)  # fmt: skip
ROWS: Final = st.dictionaries(
    st.sampled_from(
        ["keyturn_schema", "ledger_id", "salt", "salt_check", "key", "RowKey", "holder", "until", "body", "body1",
         "version", "saves"]
    ),
    st.one_of(json_like(), st.binary(max_size=20), bodies()),
)  # fmt: skip
REPLIES: Final = st.builds(
    lambda status, headers, body: Reply(status, headers, body, (Secret(MARK),)),
    st.sampled_from([200, 400, 401, 403, 404, 407, 409, 412, 422, 429, 500, 503, 0, 999]),
    st.dictionaries(
        st.sampled_from(["Date", "Retry-After", "ETag", "x-ms-request-id"]), st.one_of(texts, DATES, st.just(MARK))
    ),
    st.one_of(
        bodies(st.one_of(st.sampled_from(["error", "code", "message", "innererror", "properties", "value"]), texts)),
        st.builds(
            lambda code, message: json.dumps(
                {"error": {"code": code, "message": message, "innererror": {"code": code}}}
            ).encode(),
            st.one_of(json_like(), st.just(MARK)),
            st.one_of(
                json_like(),
                pieces("perform action '", "' over scope '", "The client '", "Resource: '", "'", MARK, "\x1b["),
            ),
        ),
    ),
)  # fmt: skip
ENTRA: Final = pieces(
    "AADSTS", "7000222", "700213", "9" * 30, "presented assertion subject '", "'", "\x1b[31m", "Identity not found",
    "Token request error: (", ") 500,", "az login", "authority configuration",
)  # fmt: skip


def _told(reply: Reply) -> object:
    """Everything that keyturn takes from an answer."""
    failed = answers.read_failed(reply, "read x")
    effect = answers.effect_failed(reply, "write x", (Secret(MARK),))
    words = (failed.message, failed.hint, effect.sentence, getattr(effect, "hint", ""), getattr(effect, "code", ""))
    for each in words:
        assert MARK not in each
        assert each.isprintable() and len(each) < 4_000
    service.properties(reply)
    service.values(reply.json(), reply.etag)
    with contextlib.suppress(KeyturnError):
        service.entity(reply, "x")
    assert reply.retry_after is None or 0 <= reply.retry_after <= answers.LONGEST_PAUSE
    return reply.date, reply.request_id


def _explained(text: str) -> None:
    for way in ("client_secret", "github", "managed_identity", "azure_cli", "default"):
        who = Who(way=way, app="a", tenant="t", authority="https://login")
        told = signin_failures.explain(RuntimeError(text), who)
        assert told.message.isprintable()


def _claims(text: str) -> None:
    body = base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")
    for token in (text, f"h.{body}.s", f"h.{text}.s"):
        assert whoami.named(Secret(token)).sentence.isprintable()


def _active(entity: str, _: str) -> str:
    return entity


class Files:
    """Both forms of a file sink, over one file whose content is drawn, and its tags beside it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, given: tuple[str, bytes, bytes]) -> None:
        form, content, beside = given
        path = self._folder / f"callers.{form}"
        path.write_bytes(content)
        path.with_name(f".{path.name}.keyturn.json").write_bytes(beside)
        shown = FileVariable(path, "KEY", ManualClock(), form=form).read()
        if shown.value is not None:
            shown.value.fingerprint(b"salt")  # as every look does


FILES: Final = st.tuples(
    st.sampled_from(["json", "dotenv"]),
    st.one_of(
        DOTENV.map(lambda text: text.encode("utf-8", "surrogatepass")),
        bodies(st.sampled_from(["KEY", "OTHER"])),
        json_like().map(lambda value: json.dumps({"KEY": value}).encode()),
    ),
    st.one_of(
        bodies(),
        st.builds(
            lambda entry: json.dumps({"KEY": [entry]}).encode(),
            st.dictionaries(
                st.sampled_from(["fingerprint", "salt", "keyturn-ledger", "keyturn-seq", "CredentialId"]), json_like()
            ),
        ),
    ),
)


def parsers(folder: Path) -> Mapping[str, Parser]:
    """All of them; `folder` is for those that read files."""
    return {
        "keyturn.tokens.parse": Parser(tokens.parse, TOKENS, (Malformed,), hushes=True),
        "keyturn.tokens.expiry": Parser(
            lambda text: tokens.expiry(text, NOW), st.one_of(SPANS, TIMES), (Malformed,), hushes=True
        ),
        "keyturn.tokens.create": Parser(
            lambda text: tokens.create(tokens.Form.LONG, "integration", Secret(text), NOW), texts, (Malformed,)
        ),
        "keyturn.windows.parse": Parser(windows.parse, WINDOWS, (ValueError,)),
        "keyturn.config.matching.glob_matches": Parser(
            lambda pair: glob_matches(*pair), st.tuples(pieces("*", "a", "/", "**", "*a" * 40), pieces("a", "b" * 200))
        ),
        "keyturn.cli.options.instant": Parser(options.instant, TIMES, (click.UsageError,)),
        "keyturn.cli.options.span": Parser(options.span, SPANS, (click.UsageError,)),
        "keyturn.azure.answers.parse_date": Parser(answers.parse_date, DATES),
        "keyturn.azure.answers.read_failed": Parser(_told, REPLIES),
        "keyturn.azure.signin_failures.explain": Parser(_explained, ENTRA),
        "keyturn.azure.whoami.named": Parser(_claims, st.one_of(texts, json_like().map(json.dumps))),
        "keyturn.functions.messages.read": Parser(
            messages.read,
            st.one_of(
                texts,
                bodies(st.sampled_from(["key", "why", "id"])).map(lambda body: body.decode("utf-8", "replace")),
            ),
            (Malformed,),
            hushes=True,
        ),
        "keyturn.functions.settings.read_settings": Parser(
            lambda given: read_settings(given, folder),
            st.dictionaries(
                st.sampled_from(
                    [
                        "KEYTURN_CONFIG",
                        "KEYTURN_CONFIG_BASE64",
                        "KEYTURN_SCHEDULE",
                        "KEYTURN_FANOUT",
                        "KEYTURN_QUEUE",
                        "KEYTURN_TIME_LIMIT",
                        "AzureWebJobsStorage",
                    ]
                ),
                texts,
            ),
        ),
        "keyturn.sinks.webhook.signing_secrets": Parser(
            lambda text: webhook.signing_secrets(text, "HOOK"),
            pieces("whsec_", "=", " ", SIGNATURE, MARK, "é"),
            (Misconfigured,),
            hushes=True,
        ),
        "keyturn.sinks.file.read": Parser(Files(folder).read, FILES, (KeyturnError,), hushes=True),
        "keyturn.ledgers.reading.decode_record": Parser(
            lambda body: reading.decode_record(body, PLACE), bodies(), (LedgerFault,), hushes=True
        ),
        "keyturn.ledgers.reading.decode_lines": Parser(
            lambda body: reading.decode_lines([(1, "k", body)], PLACE, whole=True), bodies(), (LedgerFault,)
        ),
        "keyturn.ledgers.reading.decode_note": Parser(
            lambda text: reading.decode_note(text, PLACE), json_like(), (LedgerFault,)
        ),
        "keyturn.ledgers.schema.read_meta": Parser(
            lambda row: schema.read_meta(row, PLACE), st.tuples(*[json_like()] * 4), (LedgerFault,)
        ),
        "keyturn.ledgers.table_rows.read_meta": Parser(
            lambda row: table_rows.read_meta(row, "table t"), ROWS, (LedgerFault,), hushes=True
        ),
        "keyturn.ledgers.table_rows.read_record": Parser(
            lambda row: table_rows.read_record(row, "table t"), ROWS, (LedgerFault,), hushes=True
        ),
        "keyturn.ledgers.table_rows.read_line": Parser(
            lambda row: table_rows.read_line(row, "table t"), ROWS, (LedgerFault,), hushes=True
        ),
        "keyturn.ledgers.table_rows.read_lease": Parser(
            lambda row: table_rows.read_lease(row, "table t"), ROWS, (LedgerFault,), hushes=True
        ),
        "keyturn.ledgers.table_rows.read_note": Parser(
            lambda row: table_rows.read_note(row, "table t"), ROWS, (LedgerFault,), hushes=True
        ),
        "keyturn_emulator.clock.from_iso": Parser(emulated_clock.from_iso, TIMES, (ValueError, OverflowError)),
        "keyturn_emulator.sas.read": Parser(sas.read, TOKENS, (sas.MalformedToken,)),
        "keyturn_emulator.odata.read_filter": Parser(
            lambda text: odata.read_filter(text, {"state": odata.Field(_active)})("x"),
            FILTERS,
            (FilterNotServed,),
        ),
        "keyturn_emulator.callers.read_settings": Parser(
            callers.read_settings,
            st.one_of(json_like(), json_like().map(lambda rows: {"callers": rows})),
            (callers.Misconfigured,),
        ),
        "keyturn_emulator.wire.read_json": Parser(read_json, bodies(), (ValueError,)),
    }


ELSEWHERE: Final[Mapping[str, str]] = {
    "keyturn.config.reading.parse": "test_configuration",
    "keyturn.yaml_marks.read_text": "test_configuration",
    "keyturn.yaml_marks.read_file": "test_configuration",
    "keyturn.assemble.read": "test_configuration",
    "keyturn.cli.options.read": "test_configuration",
    "keyturn_emulator.apim_bodies.read_create": "test_faces",
    "keyturn_emulator.apim_bodies.read_update": "test_faces",
    "keyturn_emulator.apim_bodies.read_fields": "test_faces",
    "keyturn_emulator.apim_gateways.read_token_wish": "test_faces",
}
"""Read by a test of its own, in that file."""
