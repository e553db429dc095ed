"""Oversized, slow and garbled answers from Azure's side: a typed error or an answer, in time, in bounded memory."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyturn.errors import Refused
from keyturn.ports import NotApplied, Uncertain
from tests.hostile.clients import CLIENT_SECRET, MARKED, VALUE, Clients, broken_promises, come, wait_until_all_ended
from tests.hostile.peers import (
    BODIES,
    GARBLED,
    HEADERS,
    LARGE,
    LASTING,
    MEGABYTE,
    Line,
    Manner,
    Peer,
    Speaking,
    answers,
    bomb,
    echo,
    error_of,
    redirect,
    running,
    says,
    trusted,
)

MOST_KEPT = 64 * MEGABYTE
"""Bytes that one call may hold at once, whatever is sent; four times what it may read."""
MOST_TAKEN = 24 * MEGABYTE
"""Bytes that a peer gets rid of before its connection is closed: what is read, and what lies in buffers."""


ONE_OF_EACH = (
    "read one",
    "set a value",
    "set tenant access",
    "read the vault",
    "write the vault",
    "look for a deleted secret",
    "write a named value",
    "call the webhook",
    "probe without",
)
"""All others go the same way as one of these."""


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with running(says(b""), trusted()) as made:
        yield made


def play(peer: Peer, folder: Path, manner: Manner, limit: float, names: tuple[str, ...] = ()) -> list[str]:
    """Every call, or those named, against one manner; what is wrong with what came of each."""
    peer.manner = manner
    clients, wrong = Clients(peer.address, folder, limit), []
    for name, call in clients.calls().items():
        if not names or name in names:
            wrong += [f"{name}: {promise}" for promise in broken_promises(come(call))]
    wait_until_all_ended()
    return wrong


@pytest.mark.parametrize("manner", GARBLED.values(), ids=GARBLED)
def test_every_call_survives_a_garbled_answer(peer: Peer, tmp_path: Path, manner: Manner) -> None:
    assert play(peer, tmp_path, manner, 10) == []


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_every_call_survives_a_body_that_is_not_what_it_should_be(peer: Peer, tmp_path: Path, body: bytes) -> None:
    assert play(peer, tmp_path, answers(body, b"200 OK", b'ETag: "e"'), 10) == []
    assert play(peer, tmp_path, answers(body, b"400 Bad Request"), 10, ONE_OF_EACH) == []


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("status", [b"200 OK", b"429 Too Many Requests"])
def test_every_way_to_call_survives_a_header_beyond_reason(
    peer: Peer, tmp_path: Path, header: bytes, status: bytes
) -> None:
    assert play(peer, tmp_path, answers(error_of("c", "m"), status, header), 10, ONE_OF_EACH) == []


@pytest.mark.parametrize("status", [b"400 No", b"401 No", b"403 No", b"404 No", b"409 No", b"500 No"])
def test_an_error_that_quotes_all_that_was_sent_repeats_no_secret(peer: Peer, tmp_path: Path, status: bytes) -> None:
    assert play(peer, tmp_path, echo(status), 10) == []
    assert VALUE.encode() in peer.heard(), "this test would prove nothing: no value was sent"


# -------- slow


@pytest.mark.parametrize("manner", LASTING.values(), ids=LASTING)
def test_an_answer_that_never_ends_is_given_up_in_time_and_holds_no_thread(
    peer: Peer, tmp_path: Path, manner: Manner
) -> None:
    assert play(peer, tmp_path, manner, 0.2, ONE_OF_EACH) == []


@pytest.mark.parametrize("manner", LASTING.values(), ids=LASTING)
def test_a_sign_in_that_never_ends_is_given_up_in_time_and_holds_no_thread(
    peer: Peer, tmp_path: Path, manner: Manner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyturn.azure.signin.LIMIT", 0.3)
    assert play(peer, tmp_path, manner, 0.2, ("sign in",)) == []


def test_a_sign_in_that_is_told_to_wait_for_days_fails_instead(peer: Peer, tmp_path: Path) -> None:
    """azure-core's own policy would sleep for as long as it is told."""
    assert play(peer, tmp_path, answers(b"{}", b"429 Later", b"Retry-After: 999999"), 10, ("sign in",)) == []


def test_a_tls_handshake_that_never_ends_is_given_up_in_time_and_holds_no_thread(tmp_path: Path) -> None:
    """What arrives is a record of TLS that says it is 16 KB long, byte by byte."""

    def drip(line: Line) -> None:
        line.say(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
        while True:
            line.drip(b"\x00")

    with Speaking(drip) as speaking:
        clients = Clients(f"https://localhost:{speaking.port}", tmp_path, 0.3)
        for name, call in clients.calls().items():
            if name in ONE_OF_EACH:
                assert broken_promises(come(call)) == [], name
        wait_until_all_ended()


# -------- large


@pytest.mark.parametrize("name", ["read one", "read the vault", "call the webhook", "probe without"])
@pytest.mark.parametrize("manner", LARGE.values(), ids=LARGE)
def test_no_answer_is_kept_beyond_bounds(peer: Peer, tmp_path: Path, manner: Manner, name: str) -> None:
    bomb()  # made before it is measured
    peer.most_sent = 0
    tracemalloc.start()
    try:
        assert play(peer, tmp_path, manner, 20, (name,)) == []
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < MOST_KEPT
    assert peer.most_sent < MOST_TAKEN


def test_a_list_without_end_is_refused(peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyturn.azure.pipeline.MOST_PAGES", 20)
    pages = itertools.count()

    def manner(line: Line) -> None:
        body = b'{"value":[{"id":"/a/b","name":"b"}],"nextLink":"https://localhost/subscriptions/%d"}' % next(pages)
        answers(body)(line)

    peer.manner = manner
    came = come(Clients(peer.address, tmp_path, 10).calls()["list the apim subscriptions"])
    assert isinstance(came.answer, Refused) and "has no end" in came.answer.message
    assert next(pages) == 20


def test_a_pause_of_days_is_told_and_not_slept_through(peer: Peer, tmp_path: Path) -> None:
    """The first 429 says how long; a read after it does not wait for eleven days, nor ask before."""
    peer.manner = answers(b"{}", b"429 Too Many Requests", b"Retry-After: 999999")
    clients = Clients(peer.address, tmp_path, 10)
    read = clients.calls()["read one"]
    for _ in range(2):
        asked, before = len(peer.requests), clients.clock.boottime()
        came = come(read)
        assert broken_promises(came) == []
        assert clients.clock.boottime() - before < 600
        assert getattr(came.answer, "after", 0) > 3600
    assert len(peer.requests) == asked, "it asked although it was told to wait"


# -------- elsewhere


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"303 Other", b"307 Temporary", b"308 Permanent"])
def test_no_redirect_is_followed_and_nothing_reaches_another_host(peer: Peer, tmp_path: Path, status: bytes) -> None:
    with running(answers(b"{}"), trusted()) as other:
        assert play(peer, tmp_path, redirect(f"{other.address}/stolen", status), 10) == []
        assert other.connections == 0
    assert any(marked.encode() in peer.heard() for marked in MARKED), "this test would prove nothing"


def test_a_redirect_to_itself_is_asked_once_or_twice(peer: Peer, tmp_path: Path) -> None:
    """Twice is what any read is tried that breaks."""
    peer.manner = redirect(f"{peer.address}/again")
    for name, call in Clients(peer.address, tmp_path, 10).calls().items():
        asked = len(peer.requests)
        assert broken_promises(come(call)) == [], name
        assert len(peer.requests) - asked < 8, name


def test_a_list_is_followed_on_our_own_endpoint_alone(peer: Peer, tmp_path: Path) -> None:
    with running(answers(b"{}"), trusted()) as other:
        body = b'{"value":[],"nextLink":"%s/subscriptions/x"}' % other.address.encode()
        assert play(peer, tmp_path, answers(body), 10) == []
        assert other.connections == 0


def test_a_gateway_that_the_service_names_without_https_gets_no_value(peer: Peer, tmp_path: Path) -> None:
    peer.manner = answers(BODIES["addresses that lead elsewhere"])
    calls = Clients(peer.address, tmp_path, 10).calls()
    for name in ("ask for the gateways", "ask for the management endpoint"):
        came = come(calls[name])
        assert isinstance(came.answer, Refused) and "not https" in came.answer.message, name


def test_a_vault_that_asks_to_sign_in_for_somebody_else_gets_no_token(peer: Peer, tmp_path: Path) -> None:
    peer.requests.clear()
    assert play(peer, tmp_path, GARBLED["a challenge to sign in elsewhere"], 10, ("read the vault",)) == []
    assert peer.requests and TOKEN_SENT not in peer.heard()


TOKEN_SENT = b"Bearer "


def test_the_client_secret_goes_to_entra_and_nowhere_else(peer: Peer, tmp_path: Path) -> None:
    with running(answers(b"{}"), trusted()) as other:
        elsewhere = other.address.encode()
        for body in (b'{"token_endpoint":"%s/t"}' % elsewhere, b'{"tenant_discovery_endpoint":"%s/t"}' % elsewhere):
            assert play(peer, tmp_path, answers(body), 10, ("sign in",)) == []
        assert CLIENT_SECRET.encode() not in other.heard()


def test_a_page_in_place_of_an_answer_is_no_answer(peer: Peer, tmp_path: Path) -> None:
    """A proxy with a trusted certificate may answer anything at all: no value is read from it, and none is set."""
    peer.manner = GARBLED["a page of a proxy, 407"]
    calls = Clients(peer.address, tmp_path, 10).calls()
    assert isinstance(come(calls["read its values"]).answer, Refused)
    assert isinstance(come(calls["set a value"]).answer, Uncertain | NotApplied)
