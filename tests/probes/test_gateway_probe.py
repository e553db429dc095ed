"""What the gateways say to a value, asked on fresh connections (rule A17)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from keyturn.model import Secret, Slot
from keyturn.policy import ProbeSpec
from keyturn.probes.gateway import GatewayProbe
from keyturn.testing import ManualClock
from keyturn_emulator import seed
from tests.azure.stub import Scripted, Stub, running_stub
from tests.contracts.emulated import Emulated

VALUE = Secret("0f" * 16)
PING = ProbeSpec(path="/orders/1")


def live(emulated: Emulated, slot: Slot = Slot.PRIMARY) -> Secret:
    return emulated.keyring.read_values(emulated.credential()).of(slot)


def probe(emulated: Emulated) -> GatewayProbe:
    return GatewayProbe(emulated.clock)


def test_a_live_value_is_accepted_by_every_gateway_as_often_as_asked(emulated: Emulated) -> None:
    gateways = emulated.keyring.gateways()
    verdict = probe(emulated).ask(gateways, PING, live(emulated), 5)
    assert verdict.accepted and not verdict.proves_nothing
    assert len(emulated.azure.calls("gateway")) == len(gateways) * (1 + 5)


def test_a_value_that_nobody_has_is_not_accepted(emulated: Emulated) -> None:
    verdict = probe(emulated).ask(emulated.keyring.gateways(), PING, VALUE, 5)
    assert not verdict.accepted and not verdict.proves_nothing
    assert "refuses the value, call 1 of 5 (401)" in verdict.sentence


def test_an_open_path_proves_nothing(emulated: Emulated) -> None:
    description = seed.default_description()
    description["services"][0]["apis"].append({"id": "open", "path": "open", "subscription_required": False})
    emulated.azure.seed(description)
    spec = ProbeSpec(path="/open/x")
    verdict = probe(emulated).ask(emulated.keyring.gateways(), spec, live(emulated), 5)
    assert verdict.proves_nothing and not verdict.accepted
    assert "accepts a value that nobody has" in verdict.sentence


def test_a_path_that_no_gateway_knows_says_so(emulated: Emulated) -> None:
    spec = ProbeSpec(path="/nowhere")
    verdict = probe(emulated).ask(emulated.keyring.gateways(), spec, live(emulated), 5)
    assert not verdict.accepted and not verdict.proves_nothing
    assert "the probe path does not exist" in verdict.sentence


def test_an_unreachable_gateway_has_not_accepted(emulated: Emulated) -> None:
    verdict = probe(emulated).ask(["https://absent.azure-api.net"], PING, live(emulated), 5)
    assert not verdict.accepted and "cannot be reached" in verdict.sentence


def test_a_certificate_that_is_not_trusted_has_not_accepted(stub: Stub) -> None:
    verdict = GatewayProbe(ManualClock()).ask([stub.address], PING, VALUE, 5)
    assert not verdict.accepted and "certificate" in verdict.sentence
    assert stub.asked == []


def test_no_gateway_at_all_has_not_accepted(emulated: Emulated) -> None:
    assert not probe(emulated).ask([], PING, VALUE, 5).accepted


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with running_stub(tmp_path) as running:
        yield running


def ask(
    stub: Stub, statuses: list[int], spec: ProbeSpec = PING, *, accepts: int = 3, drip: bool = False
) -> tuple[bool, bool, str]:
    stub.answers = [Scripted(status, {}, drip=drip) for status in statuses]
    trusting = GatewayProbe(ManualClock(), str(stub.ca_bundle))
    verdict = trusting.ask([stub.address], spec, VALUE, accepts)
    return verdict.accepted, verdict.proves_nothing, verdict.sentence


@pytest.mark.parametrize("status", [200, 204, 302, 400, 405, 409, 422])
def test_an_answer_that_only_a_backend_can_give_counts_as_accepted(stub: Stub, status: int) -> None:
    assert ask(stub, [401, status])[0]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_a_refusal_a_missing_path_or_an_error_counts_as_not_accepted(stub: Stub, status: int) -> None:
    accepted, proves_nothing, sentence = ask(stub, [401, status])
    assert not accepted and not proves_nothing
    assert str(status) in sentence


@pytest.mark.parametrize(("status", "accepted"), [(200, True), (204, True), (302, False), (400, False), (501, False)])
def test_where_tokens_are_shown_only_a_success_counts_as_accepted(stub: Stub, status: int, accepted: bool) -> None:
    strict = msgspec.structs.replace(PING, strict=True)
    told = ask(stub, [401, status, status, status], strict)
    assert told[0] is accepted
    assert accepted or str(status) in told[2]


@pytest.mark.parametrize("status", [403, 404, 429, 500])
def test_a_control_that_is_not_refused_with_401_ends_the_asking(stub: Stub, status: int) -> None:
    assert not ask(stub, [status, 200])[0]
    assert len(stub.asked) == 1


def test_one_refusal_among_many_accepts_is_a_refusal(stub: Stub) -> None:
    accepted, _, sentence = ask(stub, [401, 200, 200, 401])
    assert not accepted and "call 3 of 3" in sentence


def test_the_control_is_random_and_the_value_goes_where_the_policy_says(stub: Stub) -> None:
    ask(stub, [401, 200], ProbeSpec(path="/a?b=c", header="X-Key", method="HEAD"), accepts=1)
    control, call = stub.asked
    assert len(control.headers["X-Key"]) == 32 and control.headers["X-Key"] != VALUE.reveal()
    assert call.headers["X-Key"] == VALUE.reveal()
    assert (call.method, call.path) == ("HEAD", "/a?b=c")
    assert call.headers["User-Agent"].startswith("keyturn-probe/")


def test_a_query_parameter_takes_the_place_of_the_header(stub: Stub) -> None:
    ask(stub, [401, 200], ProbeSpec(path="/a", query="subscription-key"), accepts=1)
    assert stub.asked[1].path == f"/a?subscription-key={VALUE.reveal()}"
    assert "Ocp-Apim-Subscription-Key" not in stub.asked[1].headers


def test_a_gateway_that_never_answers_is_given_up(stub: Stub) -> None:
    stub.answers = [Scripted(401, {}, before=stub.released.wait)]
    verdict = GatewayProbe(ManualClock(), str(stub.ca_bundle), limit=0.3).ask([stub.address], PING, VALUE, 3)
    assert not verdict.accepted
    assert len(stub.asked) == 1


def test_neither_log_nor_sentence_holds_the_value(stub: Stub, caplog: pytest.LogCaptureFixture) -> None:
    spec = ProbeSpec(path="/a b", query="subscription-key")  # a path that http.client refuses, quoting it
    with caplog.at_level(logging.DEBUG):
        sentences = [ask(stub, [401, 403], ProbeSpec(path="/a", query="k"))[2], ask(stub, [401], spec)[2]]
    assert not [text for text in [*sentences, caplog.text] if VALUE.reveal() in text]
