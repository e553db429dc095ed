"""Proxies that lie, and TLS that does not verify: refused in a sentence that says whose move it is, with nothing secret
sent, and no way around it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from keyturn.errors import KeyturnError, NotSent, Refused, TryAgain
from keyturn.ports import NotApplied, Uncertain, Verdict
from tests.hostile.clients import MARKED, Came, Clients, broken_promises, come, wait_until_all_ended
from tests.hostile.peers import HTML, UNTRUSTED, Line, Manner, Peer, Speaking, answers, running, says, trusted

TUNNEL = b"HTTP/1.1 200 Connection established\r\n\r\n"
PASSWORD = "hunterhunterhunter"
"""Of the proxy: it may be told to the proxy alone."""


PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def plain_text(line: Line) -> None:
    """Says that it leads on, and answers by itself, in the clear."""
    line.say(TUNNEL)
    line.hear()
    line.say(PLAIN)


def breaks_amid(line: Line) -> None:
    line.say(TUNNEL[:20])


def breaks_in_the_handshake(line: Line) -> None:
    line.say(TUNNEL, b"\x16\x03\x03\x00\x7a\x02")


LIES: dict[str, Manner] = {
    "plain text after CONNECT": plain_text,
    "plain text with its answer to CONNECT": says(TUNNEL + PLAIN),
    "a break amid CONNECT": breaks_amid,
    "a break amid the handshake": breaks_in_the_handshake,
    "the end after CONNECT": says(TUNNEL),
    "no answer": says(b""),
    "a page with 407": answers(HTML, b"407 \x1b[31mgive me hunterhunterhunter", b"Proxy-Authenticate: Basic realm=x"),
    "a page with 502": answers(HTML, b"502 Bad Gateway \x1b]0;owned\x07"),
    "a page with 200 in its place": answers(HTML, b"200 OK"),
    "a redirect": answers(b"", b"302 Found", b"Location: http://evil.example/"),
    "another protocol": says(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "10,000 headers": says(b"HTTP/1.1 200 OK\r\n" + b"X-More: 1\r\n" * 10_000 + b"\r\n"),
}
LASTING: dict[str, Manner] = {
    "nothing at all": lambda line: line.wait(),
    "a dripping head": lambda line: line.drip(b"HTTP/1.1 200 OK\r\n" + b"X-Drip: drip\r\n" * 10_000),
    "a dripping handshake": lambda line: line.drip(TUNNEL + b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + b"\0" * 99_999),
}
CALLS = (
    "read one",
    "set a value",
    "regenerate a value",
    "read the vault",
    "write the vault",
    "look for a deleted secret",
    "write a named value",
    "call the webhook",
    "probe with a value",
    "reach a gateway",
    "sign in",
)
FAR = "https://azure.example"
"""No name of this machine's, or the webhook would go straight to it; nobody resolves it but a proxy."""


def each(address: str, folder: Path, limit: float = 10) -> dict[str, Came]:
    calls = Clients(address, folder, limit).calls()
    came = {name: come(calls[name]) for name in CALLS}
    wait_until_all_ended()
    return came


def was_refused(answer: object) -> bool:
    """Nothing was done, or nobody knows; never a success."""
    if isinstance(answer, Verdict):
        return not answer.accepted
    if isinstance(answer, str):  # why a gateway does not answer
        return answer != ""
    return isinstance(answer, KeyturnError | NotApplied | Uncertain) or answer is False


def check(came: dict[str, Came], *heard: Peer) -> None:
    for name, one in came.items():
        assert broken_promises(one) == [], name
        assert PASSWORD not in one.told, name
        assert was_refused(one.answer), f"{name}: {one.answer!r}"
    for peer in heard:
        for marked in MARKED:
            assert marked.encode() not in peer.heard(), "a secret was sent in the clear"


# -------- proxies


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_proxy_that_lies_is_told_nothing_and_believed_nothing(
    lie: Manner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(lie, None) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://u:{PASSWORD}@127.0.0.1:{proxy.port}")
        check(each(FAR, tmp_path, limit=1), proxy)
    assert proxy.connections >= len(CALLS) - 2, "this test would prove nothing: the proxy was not asked"
    assert all(request.startswith(b"CONNECT azure.example:443 ") for request in proxy.requests)


@pytest.mark.parametrize("lie", LASTING.values(), ids=LASTING)
def test_a_proxy_that_never_answers_is_given_up_in_time(
    lie: Manner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyturn.azure.signin.LIMIT", 0.2)
    with running(lie, None) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        check(each(FAR, tmp_path, limit=0.2), proxy)


def test_a_proxy_that_asks_for_a_password_is_the_persons_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(LIES["a page with 407"], None) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        came = each(FAR, tmp_path)
    for name in ("read one", "read the vault", "sign in"):
        answer = came[name].answer
        assert isinstance(answer, Refused), name
        assert "the proxy asks for user and password" in answer.message and "HTTPS_PROXY" in answer.hint
    for name in ("set a value", "write the vault"):
        assert isinstance(came[name].answer, NotSent), name
    assert "407" in str(came["reach a gateway"].answer)


def test_a_proxy_that_cannot_reach_azure_passes_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(LIES["a page with 502"], None) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        came = each(FAR, tmp_path)
    for name in ("read one", "read the vault"):
        answer = came[name].answer
        assert isinstance(answer, TryAgain) and "the proxy answers 502" in answer.message, name


# -------- certificates


@pytest.mark.parametrize("context", UNTRUSTED.values(), ids=UNTRUSTED)
def test_a_certificate_that_does_not_verify_gets_nothing_and_the_sentence_says_whose_move_it_is(
    context: Callable[[], ssl.SSLContext], tmp_path: Path
) -> None:
    with running(answers(b"{}"), context()) as peer:
        came = each(peer.address, tmp_path)
        check(came)
        assert peer.requests == [], "something was sent to somebody unknown"
        assert peer.connections >= len(CALLS) - 2
    for name in ("read one", "read the vault", "sign in"):
        answer = came[name].answer
        assert isinstance(answer, Refused), name
        assert "is not trusted" in answer.message and "REQUESTS_CA_BUNDLE" in answer.hint, name
    for name in ("set a value", "regenerate a value", "write the vault"):
        assert isinstance(came[name].answer, NotSent), f"{name}: {came[name].answer!r}"
    for name in ("call the webhook", "probe with a value", "reach a gateway"):
        assert "not trusted" in came[name].told, name


@pytest.mark.parametrize("context", UNTRUSTED.values(), ids=UNTRUSTED)
def test_a_proxy_that_ends_tls_with_a_certificate_of_its_own_gets_nothing(
    context: Callable[[], ssl.SSLContext], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers CONNECT as it should, and then speaks TLS in the place of the one asked for."""

    with running(answers(b"{}"), context()) as inside:

        def leads_astray(line: Line) -> None:
            line.say(TUNNEL)
            line.join(inside.port)

        with running(leads_astray, None) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            came = each(FAR, tmp_path)
            check(came, proxy)
            assert inside.connections >= len(CALLS) - 2
        assert inside.requests == []
    assert "is not trusted" in str(came["read one"].answer)


def test_there_is_no_way_around_a_certificate_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables by which other programs stop to verify."""
    monkeypatch.setenv("PYTHONHTTPSVERIFY", "0")
    monkeypatch.setenv("NODE_TLS_REJECT_UNAUTHORIZED", "0")
    monkeypatch.setenv("AZURE_CLI_DISABLE_CONNECTION_VERIFICATION", "1")
    with running(answers(b"{}"), UNTRUSTED["signed by a stranger"]()) as peer:
        check(each(peer.address, tmp_path))
        assert peer.requests == []


def test_a_host_that_speaks_no_tls_gets_nothing(tmp_path: Path) -> None:
    with Speaking(says(PLAIN)) as peer:
        came = each(peer.address.replace("http://", "https://"), tmp_path)
        check(came, peer)
    answer = came["read one"].answer
    assert isinstance(answer, TryAgain) and "does not speak TLS" in answer.message and "HTTPS_PROXY" in answer.hint


def test_these_calls_do_reach_one_that_verifies(tmp_path: Path) -> None:
    """Or all of the above would prove nothing."""
    with running(answers(b"{}"), trusted()) as peer:
        each(peer.address, tmp_path)
        assert len(peer.requests) >= len(CALLS) - 2
