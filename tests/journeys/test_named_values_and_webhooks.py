"""Rotations that end in a named value and at a receiver of events, by the real command."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from azure.identity import ClientSecretCredential
from azure.mgmt.apimanagement import ApiManagementClient
from azure.mgmt.apimanagement.models import NamedValueUpdateParameters
from standardwebhooks import Webhook

from keyturn_emulator import seed
from keyturn_emulator.testing import environment
from tests.journeys.stage import SERVICE, Stage

SIGNING = "whsec_" + base64.b64encode(bytes(range(32))).decode()
DAY = 86_400
HOUR = 3600
MINUTE = 60


class Receiver:
    """Takes events on loopback; `answers` are used up in order, then it is content."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.events: list[dict[str, Any]] = []
        self.signatures: list[str] = []
        taken = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                taken.events.append(json.loads(body))
                moment = self.headers["webhook-timestamp"]
                signed = f"{self.headers['webhook-id']}.{moment}.".encode() + body
                taken.signatures.append(f"{self.headers['webhook-signature']} {signed.decode()}")
                self.send_response(taken.answers.pop(0) if taken.answers else 204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/keyturn"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def person(stage: Stage) -> Iterator[ApiManagementClient]:
    without = ("HTTP_PROXY", "https_proxy", "http_proxy", "no_proxy")
    with environment(stage.azure.env, without=without):
        credential = ClientSecretCredential(seed.TENANT, seed.CLIENT, seed.CLIENT_SECRET)
        with ApiManagementClient(credential, seed.AZURE_SUBSCRIPTION) as client:
            yield client
        credential.close()


def published(stage: Stage, *sinks: str) -> None:
    stage.configure({"publish": f"[ {', '.join(sinks)} ]"})


def hook(receiver: Receiver, more: str = "") -> str:
    return f"{{ webhook: {{ url: '{receiver.url}', secret_env: HOOK{more} }} }}"


def run(stage: Stage, *arguments: str) -> str:
    outcome = stage.run(*arguments, env={"HOOK": SIGNING})
    assert outcome.code == 0, outcome.all
    return outcome.out


def adopted(stage: Stage) -> None:
    """Adopted, and quiet: what a ledger that is lost may have sent to the receiver has arrived, and was followed by a
    call of this one (ADR 0021)."""
    run(stage, "run")
    stage.azure.advance(20 * MINUTE)
    run(stage, "run")
    stage.azure.advance(2 * DAY)


NAMED = '{ namedvalue: { name: "{sid}-key" } }'
WHERE = ("rg", "shop-apim", "contoso-key")


def test_a_rotation_ends_in_the_named_value_and_tells_the_receiver_without_the_value(
    stage: Stage, receiver: Receiver, person: ApiManagementClient
) -> None:
    published(stage, NAMED, hook(receiver))
    adopted(stage)
    keys = stage.azure.keys(SERVICE, "contoso")
    assert person.named_value.list_value(*WHERE).value == keys["primary"]
    told = run(stage, "rotate", "contoso")
    assert f"publish secondary to shop/named-values/contoso-key, {receiver.url}" in told
    keys = stage.azure.keys(SERVICE, "contoso")
    assert person.named_value.list_value(*WHERE).value == keys["secondary"]
    named: Any = person.named_value.get(*WHERE)
    assert named.secret and "keyturn-slot:secondary" in named.tags
    assert [(event["subject"], event["data"]["slot"]) for event in receiver.events] == [
        ("shop/contoso", "primary"),
        ("shop/contoso", "primary"),
        ("shop/contoso", "secondary"),
    ]
    assert not [event for event in receiver.events if "value" in event["data"]]
    stage.azure.advance(2 * DAY)
    assert "rotated: secondary is active" in run(stage, "run")
    assert len(receiver.events) == 3, "retiring publishes nothing"


def test_with_include_value_the_receiver_gets_the_live_value_signed(stage: Stage, receiver: Receiver) -> None:
    published(stage, hook(receiver, ", include_value: true"))
    run(stage, "run")
    (event,) = receiver.events
    assert event["data"]["value"] == stage.azure.keys(SERVICE, "contoso")["primary"]
    signature, _, signed = receiver.signatures[0].partition(" ")
    name, _, rest = signed.partition(".")
    moment, _, body = rest.partition(".")
    assert name == event["id"]
    assert body == json.dumps(event, ensure_ascii=False)
    assert Webhook(SIGNING).sign(name, datetime.fromtimestamp(int(moment), UTC), body) == signature


def test_a_receiver_that_fails_keeps_both_values_live_until_it_has_been_told(stage: Stage, receiver: Receiver) -> None:
    published(stage, NAMED, hook(receiver))
    adopted(stage)
    before = stage.azure.keys(SERVICE, "contoso")
    receiver.answers = [503]
    failing = stage.run("rotate", "contoso", env={"HOOK": SIGNING})
    assert failing.code == 1 and "both values stay live" in failing.all
    assert f"publish to {receiver.url}: the receiver answered 503" in failing.all
    assert stage.azure.keys(SERVICE, "contoso")["primary"] == before["primary"]
    stage.azure.advance(HOUR)
    assert "published: every sink shows secondary" in run(stage, "run")
    assert [event["data"]["slot"] for event in receiver.events] == ["primary", "primary", "secondary", "secondary"]
    assert [event["data"]["seq"] for event in receiver.events] == [1, 2, 3, 4], "the highest one is the newest"
    assert len({event["id"] for event in receiver.events}) == 4


def test_somebody_who_changes_the_named_value_is_noticed_and_it_is_repaired(
    stage: Stage, receiver: Receiver, person: ApiManagementClient
) -> None:
    published(stage, NAMED)
    run(stage, "run")
    change = NamedValueUpdateParameters(value="by hand", tags=["team:payments"])
    person.named_value.begin_update(*WHERE, "*", change).result()
    stage.azure.advance(2 * DAY)
    run(stage, "run")
    assert person.named_value.list_value(*WHERE).value == stage.azure.keys(SERVICE, "contoso")["primary"]
    named: Any = person.named_value.get(*WHERE)
    assert "team:payments" in named.tags


def test_a_named_value_tells_a_new_ledger_that_another_one_was_here(stage: Stage) -> None:
    published(stage, NAMED)
    run(stage, "run")
    for file in stage.folder.glob("keyturn.db*"):
        shutil.move(file, file.with_name(f"lost-{file.name}"))
    held = stage.run("run")
    assert held.code == 1
    assert "was published by a keyturn with another ledger" in held.all


def test_without_the_signing_secret_nothing_begins(stage: Stage, receiver: Receiver) -> None:
    published(stage, NAMED, hook(receiver))
    for command in (("run",), ("plan",)):
        refused = stage.run(*command)
        assert refused.code != 0
        assert "the environment variable HOOK is empty or not set" in refused.all
    assert receiver.events == []
    assert not list(stage.folder.glob("keyturn.db*"))


def test_a_sink_that_is_taken_out_of_the_policy_is_warned_of_until_what_it_shows_has_died(stage: Stage) -> None:
    kept = "{ file: { path: app.env, variable: KEY } }"
    published(stage, NAMED, kept)
    assert "does not name it any more" not in stage.good("run").all + stage.good("plan").all
    published(stage, kept)
    warning = (
        "shop/contoso was published to shop/named-values/contoso-key, and policy partners does not name it any more"
    )
    assert warning in stage.good("plan").all
    assert warning in stage.good("run").all
    stage.azure.advance(2 * DAY)
    stage.good("run")
    assert warning in stage.good("run").all
    note = "its policy names shop/named-values/contoso-key no more: who still reads it there is refused once primary"
    assert note in " ".join(stage.good("status", "contoso").out.split())
    stage.good("rotate", "contoso", "--wait")
    stage.good("run", "contoso")
    assert warning not in stage.good("plan").all
    assert note not in " ".join(stage.good("status", "contoso").out.split())
