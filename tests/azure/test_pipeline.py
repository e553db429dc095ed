"""Effects go out once and in time, and every answer has its class (rules A4, A18)."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

from keyturn.azure.answers import Reply
from keyturn.azure.pipeline import Arm
from keyturn.errors import Gone, KeyturnError, NotSent, Refused, TryAgain
from keyturn.model import Secret
from keyturn.ports import NotApplied, SendBy, Uncertain
from keyturn.testing import ManualClock
from tests.azure.stub import TOKEN, Scripted, SignedIn, Stub, error

PATH = "/subscriptions/3a6f1d2c-5b7e-4f80-9c1d-8e2a4b6c0d43/resourceGroups/rg/thing"
VALUE = "0f" * 16
DENIED = (
    "The client 'app-1' with object id 'o' does not have authorization to perform action "
    "'Microsoft.ApiManagement/service/subscriptions/write' over scope '/subscriptions/s/thing' or the scope is "
    "invalid. If access was recently granted, please refresh your credentials."
)


class Calls:
    """An Arm over the stub, and short ways to use it."""

    def __init__(self, stub: Stub) -> None:
        self.clock = ManualClock()
        self.identity = SignedIn(stub.cloud)
        self.arm = Arm(self.identity, self.clock, read_limit=0.5)

    def send_by(self, seconds: float = 20.0) -> SendBy:
        return SendBy(at=self.clock.now() + timedelta(seconds=60), boot=self.clock.boottime() + 60, seconds=seconds)

    def patch(self, send_by: SendBy | None = None) -> Reply | NotApplied | Uncertain:
        return self.arm.send(
            "PATCH",
            PATH,
            api_version="2022-08-01",
            what="set secondary of shop/contoso",
            send_by=send_by or self.send_by(),
            body={"properties": {"secondaryKey": VALUE}},
            etag='"AAAAAAAAAAE="',
            secrets=(Secret(VALUE),),
        )

    def read(self) -> Reply:
        return self.arm.read(PATH, api_version="2022-08-01", what="read shop/contoso")


@pytest.fixture
def calls(stub: Stub) -> Calls:
    return Calls(stub)


NOT_APPLIED = [
    error(400, "ValidationError", "One or more fields contain incorrect values:"),
    error(401, "ExpiredAuthenticationToken"),
    error(403, "AuthorizationFailed", DENIED),
    error(404, "ResourceNotFound", "Subscription not found."),
    error(409, "Conflict"),
    error(412, "PreconditionFailed", "Resource was modified since last retrieval."),
    error(429, "SubscriptionRequestsThrottled", "slow down", Retry_After="17"),
]
UNCLEAR = [
    error(408, "Timeout"),
    error(422, "ManagementApiRequestFailed", "Management API request timed out."),
    error(500, "InternalServerError"),
    error(502, "BadGateway"),
    error(503, "ServiceUnavailable", Retry_After="1"),
    error(504, "GatewayTimeout"),
    Scripted(status=307, headers={"Location": "/elsewhere"}),
    Scripted(cut=True),
]


@pytest.mark.parametrize("answer", NOT_APPLIED, ids=lambda answer: str(answer.status))
def test_an_effect_that_azure_refused_is_not_applied_and_was_sent_once(
    stub: Stub, calls: Calls, answer: Scripted
) -> None:
    stub.answers = [answer]
    outcome = calls.patch()
    assert isinstance(outcome, NotApplied)
    assert (outcome.status, outcome.code) == (answer.status, answer.payload["error"]["code"])
    assert len(stub.asked) == 1


@pytest.mark.parametrize("answer", UNCLEAR, ids=lambda answer: "cut" if answer.cut else str(answer.status))
def test_an_effect_whose_answer_leaves_it_open_is_uncertain_and_was_sent_once(
    stub: Stub, calls: Calls, answer: Scripted
) -> None:
    stub.answers = [answer]
    assert isinstance(calls.patch(), Uncertain)
    assert len(stub.asked) == 1


def test_a_409_that_asks_for_registration_registers_nothing_and_sends_nothing_again(stub: Stub, calls: Calls) -> None:
    message = "The subscription is not registered to use namespace 'Microsoft.ApiManagement'."
    stub.answers = [error(409, "MissingSubscriptionRegistration", message)]
    assert isinstance(calls.patch(), NotApplied)
    assert [asked.method for asked in stub.asked] == ["PATCH"]


def test_an_applied_effect_carries_etag_date_and_the_request_we_meant(stub: Stub, calls: Calls) -> None:
    headers = {"ETag": '"AAAAAAAAAAI="', "x-ms-request-id": "r-1"}
    stub.answers = [Scripted(200, {"properties": {}}, headers)]
    reply = calls.patch()
    assert isinstance(reply, Reply)
    assert reply.etag == '"AAAAAAAAAAI="'
    assert reply.date is not None and abs(reply.date - datetime.now(UTC)) < timedelta(minutes=1)
    (asked,) = stub.asked
    assert asked.path == f"{PATH}?api-version=2022-08-01"
    assert asked.headers["If-Match"] == '"AAAAAAAAAAE="'
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["User-Agent"].startswith("keyturn/")
    assert VALUE.encode() in asked.body


def test_a_dripping_answer_is_abandoned_and_uncertain(stub: Stub, calls: Calls) -> None:
    stub.answers = [Scripted(200, {"properties": {"state": "active"}}, drip=True)]
    outcome = calls.patch(calls.send_by(seconds=0.3))
    assert isinstance(outcome, Uncertain)
    assert not stub.released.is_set()
    assert len(stub.asked) == 1


@pytest.mark.parametrize("late", ["wall clock", "boot time"])
def test_nothing_is_sent_once_either_clock_has_passed_the_last_instant(stub: Stub, calls: Calls, late: str) -> None:
    send_by = calls.send_by()
    if late == "wall clock":
        calls.clock.ahead = timedelta(seconds=61)
    else:
        calls.clock.move(timedelta(seconds=61))
        calls.clock.ahead = timedelta(seconds=-61)
    with pytest.raises(NotSent):
        calls.patch(send_by)
    assert stub.asked == []


def test_time_is_looked_at_after_the_budget_was_waited_for(stub: Stub, calls: Calls) -> None:
    stub.answers = [Scripted(200, {}, {"x-ms-ratelimit-remaining-subscription-writes": "0"})]
    first = calls.patch()
    assert isinstance(first, Reply)
    now = calls.clock.now()
    with pytest.raises(NotSent):
        calls.patch(SendBy(at=now + timedelta(seconds=0.05), boot=calls.clock.boottime() + 60, seconds=20))
    assert len(stub.asked) == 1


def test_after_a_429_nothing_is_sent_before_its_retry_after_ends(stub: Stub, calls: Calls) -> None:
    stub.answers = [error(429, "SubscriptionRequestsThrottled", "slow down", Retry_After="17"), Scripted(200, {})]
    refused = calls.patch()
    assert isinstance(refused, NotApplied) and refused.after == 17
    before = calls.clock.boottime()
    assert isinstance(calls.patch(), Reply)
    assert calls.clock.boottime() - before == pytest.approx(17)


def test_a_token_that_cannot_be_had_means_that_nothing_was_sent(stub: Stub, calls: Calls) -> None:
    def refuse(scope: str) -> Secret:
        raise Refused("Entra refused the client secret of app a (AADSTS7000215)", hint="Check it.")

    calls.identity.token = refuse  # type: ignore[method-assign]
    with pytest.raises(NotSent, match="AADSTS7000215") as raised:
        calls.patch()
    assert raised.value.hint == "Check it."
    assert stub.asked == []


def test_a_403_names_action_and_scope_and_the_role_to_assign(stub: Stub, calls: Calls) -> None:
    stub.answers = [error(403, "AuthorizationFailed", DENIED, x_ms_request_id="r-7")]
    outcome = calls.patch()
    assert isinstance(outcome, NotApplied)
    assert outcome.sentence == (
        "set secondary of shop/contoso: may not perform Microsoft.ApiManagement/service/subscriptions/write on "
        "/subscriptions/s/thing as app-1 (AuthorizationFailed, request r-7)"
    )
    assert "Assign a role with Microsoft.ApiManagement/service/subscriptions/write at" in outcome.hint
    assert "such as deploy/roles/set.json;" in outcome.hint


def test_an_error_message_that_quotes_the_value_is_masked(stub: Stub, calls: Calls) -> None:
    stub.answers = [error(400, "ValidationError", f"primaryKey '{VALUE}' is taken")]
    outcome = calls.patch()
    assert isinstance(outcome, NotApplied)
    assert VALUE not in repr(outcome) and "is taken" in outcome.sentence


READS: list[tuple[Scripted, type[KeyturnError], str]] = [
    (error(401, "InvalidAuthenticationToken", "The access token is invalid."), Refused, "access token"),
    (error(403, "AuthorizationFailed", DENIED), Refused, "subscriptions/write"),
    (error(404, "ResourceNotFound", "Subscription not found."), Gone, "does not exist"),
    (error(404, "ServiceNotFound", "Api service does not exist: x"), Gone, "API Management service"),
    (error(404, "ResourceGroupNotFound", "Resource group 'rg' could not be found."), Gone, "resource group"),
    (error(404, "SubscriptionNotFound", "The subscription 's' could not be found."), Gone, "azure subscription"),
    (error(429, "SubscriptionRequestsThrottled", "", Retry_After="7"), TryAgain, "429"),
    (error(500, "InternalServerError"), TryAgain, "500"),
    (error(503, "ServiceUnavailable", "", Retry_After="90"), TryAgain, "503"),
    (Scripted(cut=True), TryAgain, "cannot reach"),
]


@pytest.mark.parametrize(("answer", "kind", "words"), READS, ids=[f"{a.status} {k.__name__}" for a, k, _ in READS])
def test_a_failed_read_says_whose_move_it_is(
    stub: Stub, calls: Calls, answer: Scripted, kind: type[KeyturnError], words: str
) -> None:
    stub.answers = [answer]
    with pytest.raises(kind, match=words) as raised:
        calls.read()
    assert type(raised.value) is kind
    if isinstance(raised.value, TryAgain) and "Retry-After" in answer.headers:
        assert raised.value.after == float(answer.headers["Retry-After"])


@pytest.mark.parametrize("first", [Scripted(cut=True), error(502, "BadGateway")], ids=["cut", "502"])
def test_a_read_is_tried_once_more_and_at_once(stub: Stub, calls: Calls, first: Scripted) -> None:
    stub.answers = [first, Scripted(200, {"fine": True})]
    before = calls.clock.boottime()
    assert calls.read().json() == {"fine": True}
    assert calls.clock.boottime() == before


def test_a_read_refused_with_401_is_tried_again_with_a_fresh_token(stub: Stub, calls: Calls) -> None:
    stub.answers = [error(401, "ExpiredAuthenticationToken"), Scripted(200, {"fine": True})]
    assert calls.read().json() == {"fine": True}
    assert calls.identity.forgotten == 1


def test_a_read_whose_answer_drips_is_given_up(stub: Stub, calls: Calls) -> None:
    stub.answers = [Scripted(200, {"properties": {"state": "active"}}, drip=True)]
    with pytest.raises(TryAgain, match="no answer within"):
        calls.read()
    assert len(stub.asked) == 1


def test_a_list_follows_the_path_of_next_links_on_our_own_endpoint_alone(stub: Stub, calls: Calls) -> None:
    stub.answers = [
        Scripted(200, {"value": [{"name": "a"}], "nextLink": f"https://management.azure.com:443{PATH}?%24skip=1"}),
        Scripted(200, {"value": [{"name": "b"}], "nextLink": ""}),
    ]
    found = list(calls.arm.pages(PATH, api_version="2022-08-01", what="list"))
    assert [item["name"] for item in found] == ["a", "b"]
    assert stub.asked[1].path == f"{PATH}?%24skip=1"


def test_a_list_that_leads_in_a_circle_is_refused(stub: Stub, calls: Calls) -> None:
    stub.answers = [Scripted(200, {"value": [], "nextLink": f"{stub.address}{PATH}?%24skip=1"})]
    with pytest.raises(Refused, match="already read"):
        list(calls.arm.pages(PATH, api_version="2022-08-01", what="list"))


@pytest.mark.parametrize("link", ["@stranger.example/x", ".stranger.example/x", ":1/x", "?a=b", "https://[", "x"])
def test_a_next_link_cannot_become_a_part_of_the_hosts_name(stub: Stub, calls: Calls, link: str) -> None:
    stub.answers = [Scripted(200, {"value": [], "nextLink": link})]
    with pytest.raises(Refused, match="leads to no page"):
        list(calls.arm.pages(PATH, api_version="2022-08-01", what="list"))
    assert len(stub.asked) == 1


@pytest.mark.parametrize("act", ["patch", "refused", "cut"])
def test_no_log_record_of_any_library_holds_a_value_or_a_token(
    stub: Stub, calls: Calls, act: str, caplog: pytest.LogCaptureFixture
) -> None:
    stub.answers = {
        "patch": [Scripted(200, {"properties": {"primaryKey": VALUE, "secondaryKey": VALUE}})],
        "refused": [error(400, "ValidationError", f"{VALUE} is taken")],
        "cut": [Scripted(cut=True)],
    }[act]
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "azure"):
        outcome = calls.patch()
    assert caplog.records, "the libraries log at DEBUG; without a record this test proves nothing"
    texts = [record.getMessage() + repr(record.__dict__) for record in caplog.records] + [repr(outcome)]
    assert not [text for text in texts if VALUE in text or TOKEN in text]


def test_netrc_does_not_replace_the_token(
    stub: Stub, calls: Calls, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine localhost login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    stub.answers = [Scripted(200, {})]
    calls.read()
    assert stub.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"
