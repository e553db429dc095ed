"""A webhook as a sink: what libraries that are not ours make of its requests, and what each answer means."""

from __future__ import annotations

import base64
import json
import logging
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from keyturn.clocks.system import SystemClock
from keyturn.errors import Misconfigured, NotSent, Refused
from keyturn.model import Secret, Slot
from keyturn.ports import Answer, Applied, NotApplied, SendBy, Uncertain
from keyturn.sinks.webhook import Webhook, signing_secrets
from tests.azure.stub import Asked, Scripted, Stub, running_stub
from tests.contracts.sink import ADDRESS, FIRST, SECOND, TAGS

CLOCK = SystemClock()
SIGNING = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    with running_stub(tmp_path) as stub:
        stub.answers = [Scripted(204)]
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(stub.ca_bundle))
        yield stub


def webhook(url: str, *, signing: str = SIGNING, include_value: bool = False) -> Webhook:
    return Webhook(url, "shop/contoso", signing_secrets(signing, "HOOK"), CLOCK, include_value=include_value)


def send_by(seconds: float = 60.0, *, at_most: float = 30.0) -> SendBy:
    return SendBy(at=CLOCK.now() + timedelta(seconds=seconds), boot=CLOCK.boottime() + seconds, seconds=at_most)


def publish(receiver: Stub, value: Secret = FIRST, **more: Any) -> Answer:
    return webhook(f"{receiver.address}/keyturn", **more).write(value, TAGS, send_by())


def sent(receiver: Stub) -> Asked:
    (one,) = receiver.asked
    return one


def event(asked: Asked) -> BaseCloudEvent:
    return from_http_event(HTTPMessage(headers=dict(asked.headers), body=asked.body))


# what is sent


def test_a_cloudevents_library_reads_the_event(receiver: Stub) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    assert isinstance(publish(receiver), Applied)
    asked = sent(receiver)
    assert (asked.method, asked.path) == ("POST", "/keyturn")
    assert asked.headers["Content-Type"].startswith("application/cloudevents+json")
    told = event(asked)
    assert told.get_specversion() == "1.0"
    assert told.get_type() == "io.keyturn.published"
    assert told.get_source() == "urn:keyturn:ledger:ledger-1"
    assert told.get_subject() == "shop/contoso"
    assert told.get_datacontenttype() == "application/json"
    moment = told.get_time()
    assert moment is not None and before <= moment <= datetime.now(UTC)
    assert told.get_data() == {
        "credential": "shop/contoso",
        "address": ADDRESS,
        "slot": "secondary",
        "seq": 7,
        "ledger": "ledger-1",
        "expires": "2027-06-01T12:00:00Z",
    }


def test_the_value_is_sent_only_when_asked_for(receiver: Stub) -> None:
    publish(receiver)
    publish(receiver, include_value=True)
    without, within = receiver.asked
    assert FIRST.reveal().encode() not in without.body
    assert json.loads(within.body)["data"]["value"] == FIRST.reveal()
    assert not [name for name, text in within.headers.items() if FIRST.reveal() in text]


def test_a_standard_webhooks_library_accepts_the_signature_and_no_other(receiver: Stub) -> None:
    publish(receiver, include_value=True)
    asked = sent(receiver)
    assert Verifier(SIGNING).verify(asked.body, dict(asked.headers)) == json.loads(asked.body)
    with pytest.raises(WebhookVerificationError):
        Verifier(OTHER).verify(asked.body, dict(asked.headers))
    with pytest.raises(WebhookVerificationError):
        Verifier(SIGNING).verify(asked.body.replace(b"secondary", b"primary"), dict(asked.headers))


def test_while_the_signing_secret_changes_both_are_accepted(receiver: Stub) -> None:
    publish(receiver, signing=f"{OTHER} {SIGNING.removeprefix('whsec_')}")
    asked = sent(receiver)
    for one in (SIGNING, OTHER):
        Verifier(one).verify(asked.body, dict(asked.headers))


def test_sends_of_one_publish_have_one_id_and_others_have_others(receiver: Stub) -> None:
    hook = webhook(f"{receiver.address}/keyturn")
    other = msgspec.structs.replace
    repeated = other(TAGS, provider_address=ADDRESS.upper(), expires=datetime(2028, 1, 1, tzinfo=UTC))
    others = [other(TAGS, seq=8), other(TAGS, ledger="ledger-2"), other(TAGS, provider_address=f"{ADDRESS}2")]
    for tags in (TAGS, repeated, *others):
        hook.write(FIRST, tags, send_by())
    ids = [event(asked).get_id() for asked in receiver.asked]
    assert ids == [asked.headers["webhook-id"] for asked in receiver.asked]
    assert ids[0] == ids[1] and len(set(ids)) == 4
    assert not [one for one in ids if "." in one]


def test_the_events_id_does_not_depend_on_the_value(receiver: Stub) -> None:
    publish(receiver)
    publish(receiver, value=SECOND)
    assert len({event(asked).get_id() for asked in receiver.asked}) == 1


# what the answer means


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_success_is_applied(receiver: Stub, status: int) -> None:
    receiver.answers = [Scripted(status)]
    assert isinstance(publish(receiver), Applied)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 422, 429])
def test_a_refusal_is_not_applied_and_sent_once(receiver: Stub, status: int) -> None:
    receiver.answers = [Scripted(status, headers={"Retry-After": "17"})]
    answer = publish(receiver)
    assert isinstance(answer, NotApplied)
    assert (answer.status, answer.after) == (status, 17.0)
    assert len(receiver.asked) == 1


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_failure_is_uncertain_and_sent_once(receiver: Stub, status: int) -> None:
    receiver.answers = [Scripted(status)]
    assert isinstance(publish(receiver), Uncertain)
    assert len(receiver.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver: Stub, status: int) -> None:
    receiver.answers = [Scripted(status, headers={"Location": f"{receiver.address}/elsewhere"})]
    answer = publish(receiver)
    assert isinstance(answer, NotApplied) and "redirect" in answer.sentence
    assert [asked.path for asked in receiver.asked] == ["/keyturn"]


def test_a_connection_that_breaks_without_an_answer_is_uncertain_and_sent_once(receiver: Stub) -> None:
    receiver.answers = [Scripted(cut=True)]
    assert isinstance(publish(receiver), Uncertain)
    assert len(receiver.asked) == 1


def test_an_answer_that_does_not_come_is_abandoned(receiver: Stub) -> None:
    held = threading.Event()
    receiver.answers = [Scripted(204, before=held.wait)]
    answer = webhook(f"{receiver.address}/keyturn").write(FIRST, TAGS, send_by(at_most=0.5))
    held.set()
    assert isinstance(answer, Uncertain) and "no answer within `deadline`" in answer.sentence


def test_a_body_that_never_ends_does_not_matter(receiver: Stub) -> None:
    receiver.answers = [Scripted(200, {"dripping": "x" * 1000}, drip=True)]
    assert isinstance(publish(receiver), Applied)


def test_nothing_is_sent_when_it_is_too_late(receiver: Stub) -> None:
    with pytest.raises(NotSent):
        webhook(f"{receiver.address}/keyturn").write(FIRST, TAGS, send_by(-1))
    assert receiver.asked == []


# where it is sent


def test_a_certificate_that_nobody_vouches_for_gets_nothing(receiver: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    answer = publish(receiver)
    assert isinstance(answer, NotApplied) and "not trusted" in answer.sentence
    assert receiver.asked == []


def test_an_address_where_nobody_listens_got_nothing() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        answer = webhook(f"https://127.0.0.1:{unused.getsockname()[1]}/x").write(FIRST, TAGS, send_by())
    assert isinstance(answer, NotApplied) and "cannot be reached" in answer.sentence


def test_the_proxy_of_the_environment_is_asked_and_its_refusal_means_that_nothing_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        asked: list[bytes] = []

        def refuse() -> None:
            connection, _ = proxy.accept()
            with connection:
                asked.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        answer = webhook("https://hooks.example.com/keyturn").write(FIRST, TAGS, send_by())
        thread.join()
    assert asked[0].startswith(b"CONNECT hooks.example.com:443 ")
    assert isinstance(answer, NotApplied) and "cannot be reached" in answer.sentence


def test_loopback_may_be_plain_and_is_never_sent_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused.getsockname()[1]}")
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        answer = webhook(f"http://127.0.0.1:{server.server_address[1]}/x").write(FIRST, TAGS, send_by())
        thread.join()
    assert isinstance(answer, Applied) and len(bodies) == 1


# what it says of itself


def test_it_is_write_only_and_cannot_be_read() -> None:
    hook = webhook("https://hooks.example.com/keyturn")
    assert hook.write_only and hook.name == "https://hooks.example.com/keyturn"
    with pytest.raises(Refused, match="cannot be read back"):
        hook.read()


def test_no_answer_and_no_log_record_holds_the_value_or_the_signing_secret(
    receiver: Stub, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [Scripted(400, {"error": {"message": f"what is {FIRST.reveal()}"}}), Scripted(cut=True)]
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "urllib3"):
        answers = [publish(receiver, include_value=True) for _ in range(2)]
    assert [record for record in caplog.records if record.name.startswith("urllib3")]
    texts = [record.getMessage() + repr(record.__dict__) for record in caplog.records] + [repr(it) for it in answers]
    hidden = (FIRST.reveal(), SIGNING.removeprefix("whsec_"))
    assert not [text for text in texts if any(one in text for one in hidden)]


@pytest.mark.parametrize(
    "text",
    ["", "   ", "whsec_", "hunter2", "whsec_not base64!", "c2hvcnQ=", base64.b64encode(bytes(65)).decode()],
)
def test_a_signing_secret_that_is_none_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(Misconfigured, match="HOOK") as refused:
        signing_secrets(text, "HOOK")
    shown = f"{refused.value.message} {refused.value.hint}"
    assert not [part for part in text.replace("whsec_", "").split() if part in shown and len(part) > 4]


@pytest.mark.parametrize("length", [24, 64])
def test_signing_secrets_may_have_24_to_64_bytes_and_no_padding(length: int) -> None:
    text = base64.b64encode(bytes(length)).decode().rstrip("=")
    assert signing_secrets(f"{text} whsec_{text}", "HOOK") == (Secret(text), Secret(f"whsec_{text}"))


def test_a_slot_of_either_name_is_told(receiver: Stub) -> None:
    tags = msgspec.structs.replace(TAGS, slot=Slot.PRIMARY)
    webhook(f"{receiver.address}/keyturn").write(FIRST, tags, send_by())
    data: Any = event(sent(receiver)).get_data()
    assert data["slot"] == "primary"
