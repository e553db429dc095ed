"""What the ledger in a table does when calls get lost, when the account refuses it, and when it is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
import trustme
from azure.core.credentials import AccessToken, AccessTokenInfo
from azure.core.exceptions import ClientAuthenticationError
from azure.data.tables import TableClient

from keyturn.azure.cloud import PUBLIC, Cloud
from keyturn.azure.signin import DEFAULT, Identity
from keyturn.errors import Conflict, LedgerFault, Misconfigured
from keyturn.ledgers import table_wire
from keyturn.ledgers.holder import this_process
from keyturn.ledgers.table import MOST_UNCLEAR, TableLedger
from keyturn.ledgers.table_view import TableView
from keyturn.ledgers.table_wire import TablePlace, Wire
from keyturn.model import Secret
from tests import azurite
from tests.azurite.line import Answer, Fate, Line, Request, answer_lost, bad_line, busy, passed_on, request_lost

from .contract import ELSEWHERE, MINUTE, NOW, SeededClock, event, record
from .tables import PausingClock, open_table, place_of, table_of

OTHER_KEY = "bm90IHRoZSBrZXkgb2YgYW55IGFjY291bnQsIGFuZCBuZXZlciB3YXM="


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[azurite.Account]:
    with azurite.running(tmp_path_factory.mktemp("azurite")) as account:
        yield account


@pytest.fixture
def table(request: pytest.FixtureRequest) -> str:
    return table_of(request)


@pytest.fixture
def clock() -> PausingClock:
    return PausingClock()


@pytest.fixture
def line(account: azurite.Account) -> Iterator[Line]:
    with bad_line(account) as line:
        yield line


@pytest.fixture
def ledger(line: Line, table: str, clock: PausingClock) -> Iterator[TableLedger]:
    """By the line, with one record in it; what is sent counts from here on."""
    with open_table(table, line.account.connection_string, clock) as ledger:
        ledger.save(record(), 0, [event("1")])
        line.sent = 0
        clock.pauses.clear()
        yield ledger


@pytest.fixture
def other(account: azurite.Account, table: str, ledger: TableLedger) -> Iterator[TableLedger]:
    """The same ledger by a line that is good."""
    with open_table(table, account.connection_string) as other:
        yield other


def kinds(ledger: TableLedger) -> list[str]:
    lines = ledger.history(limit=1000)
    assert [line.seq for line in lines] == list(range(1, len(lines) + 1))
    return [line.event.kind for line in lines]


# -------- calls that get lost


FATES: dict[str, list[Fate]] = {
    "the answer": [answer_lost],
    "the request": [request_lost],
    "the request, and the answer of the next": [request_lost, answer_lost],
    "a refusal of a busy server": [busy(503)],
    "too many requests": [busy(429)],
    "an error of the server that took effect": [
        lambda request: (request.pass_on(), Answer(500, [], b""))[1],
    ],
    "a timeout at the server, then the answer": [busy(504), answer_lost],
}


@pytest.mark.parametrize("lost", FATES)
def test_a_save_whose_call_was_lost_is_made_once(
    line: Line, ledger: TableLedger, other: TableLedger, lost: str
) -> None:
    line.writes.extend(FATES[lost])
    assert ledger.save(record(seq=1), 1, [event("2"), event("3")]) == 2
    assert not line.writes
    assert kinds(other) == ["1", "2", "3"]
    assert ledger.save(record(seq=2), 2, [event("4")]) == 3
    assert kinds(other) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("lost", FATES)
def test_a_first_save_whose_call_was_lost_is_made_once(
    line: Line, ledger: TableLedger, other: TableLedger, lost: str
) -> None:
    line.writes.extend(FATES[lost])
    assert ledger.save(record("new"), 0, [event("2")]) == 1
    assert kinds(other) == ["1", "2"]
    stored = other.load(record("new").key)
    assert stored is not None
    assert stored.record == record("new")


def test_a_save_without_history_whose_answer_was_lost_is_known_to_be_ours(line: Line, ledger: TableLedger) -> None:
    line.writes.append(answer_lost)
    assert ledger.save(record(seq=1), 1, []) == 2
    assert line.sent == 1, "a look is enough"


@pytest.mark.parametrize("later", [1, 3])
def test_a_save_whose_answer_was_lost_is_ours_even_if_others_have_saved_since(
    line: Line, ledger: TableLedger, other: TableLedger, later: int
) -> None:
    def overtaken(request: Request) -> None:
        request.pass_on()
        for n in range(later):
            other.save(record(seq=100 + n), 2 + n, [event(f"theirs {n}")])

    line.writes.append(overtaken)
    assert ledger.save(record(seq=1), 1, [event("ours")]) == 2
    assert kinds(other) == ["1", "ours", *(f"theirs {n}" for n in range(later))]
    with pytest.raises(Conflict):
        ledger.save(record(seq=2), 2, [])


def test_a_save_that_was_lost_while_another_won_is_a_conflict_and_wrote_nothing(
    line: Line, ledger: TableLedger, other: TableLedger
) -> None:
    def overtaken(_: Request) -> None:
        other.save(record(seq=100), 1, [event("theirs")])

    line.writes.append(overtaken)
    with pytest.raises(Conflict):
        ledger.save(record(seq=1), 1, [event("ours")])
    assert kinds(other) == ["1", "theirs"]


def test_a_transaction_that_lands_late_is_refused_by_the_table(
    line: Line, ledger: TableLedger, other: TableLedger
) -> None:
    kept: list[Request] = []
    line.writes.append(kept.append)
    assert ledger.save(record(seq=1), 1, [event("2")]) == 2
    assert line.sent == 2
    late = kept[0].pass_on()
    assert b"412" in late.body or b"409" in late.body
    assert kinds(other) == ["1", "2"]
    stored = other.load(record().key)
    assert stored is not None
    assert (stored.version, stored.record) == (2, record(seq=1))


def test_a_number_that_another_writer_took_first_is_not_used_twice(
    line: Line, ledger: TableLedger, other: TableLedger
) -> None:
    def outrun(request: Request) -> Answer:
        other.save(record("b"), 0, [event("theirs")])
        return request.pass_on()

    line.writes.append(outrun)
    assert ledger.save(record(seq=1), 1, [event("ours")]) == 2
    assert kinds(other) == ["1", "theirs", "ours"]


def test_a_save_is_sent_a_bounded_number_of_times_and_then_is_a_fault(
    line: Line, ledger: TableLedger, other: TableLedger
) -> None:
    line.writes.extend([busy(503)] * 100)
    with pytest.raises(LedgerFault, match="cannot be written: it answers 503"):
        ledger.save(record(seq=1), 1, [event("2")])
    assert line.sent == MOST_UNCLEAR
    assert kinds(other) == ["1"]


def test_a_pause_lasts_at_least_as_long_as_the_server_asks_and_no_longer_than_its_bound(
    line: Line, ledger: TableLedger, clock: PausingClock
) -> None:
    line.writes.extend([busy(503, 7), busy(503, 3600)])
    assert ledger.save(record(seq=1), 1, []) == 2
    first, second = clock.pauses
    assert 7 <= first <= 8
    assert 10 <= second <= 11


def test_a_race_that_was_lost_is_run_again_at_once(
    line: Line, ledger: TableLedger, other: TableLedger, clock: PausingClock
) -> None:
    def outrun(request: Request) -> Answer:
        other.put_note("n", "t")
        other.save(record(f"b{line.sent}"), 0, [event("theirs")])
        return request.pass_on()

    line.writes.extend([outrun] * 5)
    assert ledger.save(record(seq=1), 1, [event("ours")]) == 2
    assert len(clock.pauses) == 2, "three times at once, then with pauses"
    assert kinds(other) == ["1", *["theirs"] * 5, "ours"]


def test_a_read_is_tried_again_by_itself(line: Line, ledger: TableLedger) -> None:
    line.reads.extend([request_lost])
    assert ledger.load(record().key) is not None
    line.reads.extend([busy(503, 0)])
    assert [found.id for found in ledger.records()] == ["shop/contoso"]
    line.reads.extend([answer_lost])
    assert [each.event.kind for each in ledger.history()] == ["1"]
    assert not line.reads


@pytest.mark.parametrize("lost", FATES)
def test_leases_and_notes_outlive_lost_calls(line: Line, ledger: TableLedger, other: TableLedger, lost: str) -> None:
    us = this_process(SeededClock())
    for step in (
        lambda: ledger.put_note("fence", "proven"),
        lambda: ledger.lease("k", us, NOW, MINUTE),
        lambda: ledger.lease("k", us, NOW + MINUTE / 2, MINUTE),
    ):
        line.writes.extend(FATES[lost])
        assert step() in (None, True)
        assert not line.writes
    assert other.note("fence") == "proven"
    assert not other.lease("k", ELSEWHERE, NOW + MINUTE, MINUTE)
    line.writes.extend(FATES[lost])
    ledger.release("k", us)
    assert other.lease("k", ELSEWHERE, NOW, MINUTE)


def test_a_lease_that_another_took_meanwhile_is_not_ours(line: Line, ledger: TableLedger, other: TableLedger) -> None:
    def outrun(request: Request) -> Answer:
        assert other.lease("k", ELSEWHERE, NOW, MINUTE)
        return request.pass_on()

    line.writes.append(outrun)
    assert not ledger.lease("k", this_process(SeededClock()), NOW, MINUTE)


def test_a_lease_is_released_once_and_not_when_it_is_anothers_by_then(
    line: Line, ledger: TableLedger, other: TableLedger
) -> None:
    us, third = this_process(SeededClock()), this_process(SeededClock(3))
    assert ledger.lease("k", us, NOW, MINUTE)

    def outrun(request: Request) -> Answer:
        assert other.lease("k", ELSEWHERE, NOW + 2 * MINUTE, MINUTE)
        return request.pass_on()

    line.writes.append(outrun)
    ledger.release("k", us)
    assert not other.lease("k", third, NOW + 2 * MINUTE, MINUTE)


@pytest.mark.parametrize("fate", [request_lost, busy(500)], ids=["lost", "failing"])
def test_making_a_ledger_outlives_a_bad_line(line: Line, table: str, fate: Fate) -> None:
    line.writes.append(fate)
    with open_table(table, line.account.connection_string, PausingClock()) as ledger:
        assert line.sent == 2
        assert ledger.id
    line.writes.append(passed_on)
    with open_table(table, line.account.connection_string) as again:
        assert again.id == ledger.id


def test_a_ledger_that_another_makes_between_two_looks_is_no_strangers(
    account: azurite.Account, line: Line, table: str
) -> None:
    def overtaken(request: Request) -> Answer:
        open_table(table, account.connection_string).close()
        return request.pass_on()

    line.reads.extend([passed_on, overtaken])
    with (
        open_table(table, line.account.connection_string) as ours,
        open_table(table, account.connection_string) as theirs,
    ):
        assert ours.id == theirs.id
    assert not line.reads


def test_an_id_whose_answer_was_lost_is_the_ledgers(line: Line, table: str) -> None:
    line.writes.append(answer_lost)
    with open_table(table, line.account.connection_string, PausingClock()) as one:
        assert line.sent == 1
    with open_table(table, line.account.connection_string) as two:
        assert (one.id, one.salt) == (two.id, two.salt)


# -------- an account that refuses


def _verbs(ledger: TableLedger) -> list[Callable[[], Any]]:
    us = this_process(SeededClock())
    return [
        lambda: ledger.load(record().key),
        lambda: ledger.save(record(seq=1), 1, [event("unspeakable")]),
        lambda: ledger.save(record("new"), 0, [event("unspeakable")]),
        ledger.records,
        lambda: ledger.due(NOW),
        ledger.history,
        lambda: ledger.note("n"),
        lambda: ledger.put_note("n", "unspeakable"),
        lambda: ledger.lease("k", us, NOW, MINUTE),
        lambda: ledger.release("k", us),
    ]


def _all_told(error: BaseException | None) -> str:
    told = ""
    while error is not None:
        told += f"{error!r} {error} {getattr(error, 'hint', '')}"
        error = error.__cause__
    return told


def test_a_wrong_key_is_a_fault_with_a_way_out_and_is_not_repeated(account: azurite.Account, table: str) -> None:
    for open_it in (open_table, lambda name, line: TableView.find(place_of(name, line))):
        with pytest.raises(LedgerFault) as caught:
            open_it(table, account.signed_with(OTHER_KEY))
        assert table in caught.value.message
        assert "connection string" in caught.value.hint
        assert OTHER_KEY not in _all_told(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "hunter2",
        "AccountName=x",
        "AccountName=devstoreaccount1;AccountKey=hunter2",
        "DefaultEndpointsProtocol=https;AccountKey=hunter2;EndpointSuffix=core.windows.net",
        "=;=",
    ],
)
def test_what_is_no_connection_string_is_told_and_not_repeated(table: str, text: str) -> None:
    with pytest.raises((Misconfigured, LedgerFault)) as caught:
        open_table(table, text)
    assert caught.value.hint
    assert "hunter2" not in _all_told(caught.value)


def test_a_table_that_is_deleted_while_in_use_is_noticed_by_every_verb(
    account: azurite.Account, table: str, ledger: TableLedger
) -> None:
    with TableClient.from_connection_string(account.connection_string, table) as client:
        client.delete_table()
        for verb in _verbs(ledger):
            with pytest.raises(LedgerFault, match="is not there any more"):
                verb()
        client.create_table()  # none of them made it again


def test_an_address_that_is_no_table_storage_is_told(account: azurite.Account, line: Line, table: str) -> None:
    line.reads.extend([lambda _: Answer(404, [("Content-Type", "text/html")], b"<h1>Nothing here</h1>")] * 2)
    with pytest.raises(LedgerFault) as caught:
        open_table(table, line.account.connection_string)
    assert caught.value.hint


@pytest.mark.parametrize("status", [400, 401, 403, 405, 413, 418])
def test_a_refusal_of_any_kind_is_a_fault_and_is_not_sent_again(
    line: Line, ledger: TableLedger, other: TableLedger, status: int
) -> None:
    line.writes.append(lambda _: Answer(status, [], b""))
    with pytest.raises(LedgerFault) as caught:
        ledger.save(record(seq=1), 1, [event("unspeakable")])
    assert str(status) in caught.value.message
    assert caught.value.hint
    assert line.sent == 1
    assert "unspeakable" not in _all_told(caught.value)
    assert ledger.save(record(seq=1), 1, [event("2")]) == 2
    assert kinds(other) == ["1", "2"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads are not tried again, where that is not what a test is about: it takes seconds."""
    monkeypatch.setattr(table_wire, "READ_TRIES", 1)


@pytest.mark.usefixtures("impatient")
def test_when_the_account_is_gone_every_verb_is_a_fault_and_afterwards_all_goes_on(
    account: azurite.Account, table: str
) -> None:
    with bad_line(account) as line:
        ledger = open_table(table, line.account.connection_string, PausingClock())
        ledger.save(record(), 0, [event("1")])
    for verb in _verbs(ledger):
        with pytest.raises(LedgerFault, match="cannot be") as caught:
            verb()
        assert caught.value.hint
        assert "unspeakable" not in _all_told(caught.value)
        assert azurite.KEY not in _all_told(caught.value)
    with bad_line(account, line.port), closing(ledger):
        assert ledger.save(record(seq=1), 1, [event("2")]) == 2
        assert kinds(ledger) == ["1", "2"]


# -------- signed in with an identity


class _Credential:
    """Signs in to nobody: a token as Azurite reads it, which checks audience, issuer and time, and no signature."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes += scopes
        now = int(time.time())
        claims = {"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/x/", "nbf": now - 60}
        claims |= {"iat": now - 60, "exp": now + 600, "ver": "1.0"}
        return AccessToken(jwt.encode(claims, "k" * 32, "HS256"), now + 600)

    def get_token_info(self, *scopes: str, **_: Any) -> AccessTokenInfo:
        token = self.get_token(*scopes)
        return AccessTokenInfo(token.token, token.expires_on)


class _NobodyThere(_Credential):
    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        raise ClientAuthenticationError("AADSTS7000222: the secret hunter2 has expired")


class _SignedInAs(Identity):
    """The configuration's identity, with another credential below."""

    def __init__(self, credential: _Credential, cloud: Cloud) -> None:
        super().__init__(DEFAULT, cloud)
        self._given = credential

    def _own(self) -> Any:
        return self._given


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[azurite.Account, Cloud]]:
    """An Azurite that takes tokens, over TLS, and the cloud that trusts it."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    options = ("--oauth", "basic", "--cert", str(tmp_path / "cert.pem"), "--key", str(tmp_path / "key.pem"))
    with azurite.running(tmp_path / "tables", *options, scheme="https") as account:
        yield account, msgspec.structs.replace(PUBLIC, ca_bundle=str(tmp_path / "ca.pem"))


def test_a_table_is_opened_with_an_identity_and_no_key(secure: tuple[azurite.Account, Cloud], table: str) -> None:
    account, cloud = secure
    credential = _Credential()
    place = TablePlace(name=table, cloud=cloud, url=account.url, identity=_SignedInAs(credential, cloud))
    with TableLedger.open(place, PausingClock()) as ledger:
        ledger.save(record(), 0, [event("1")])
        assert ledger.save(record(seq=1), 1, [event("2")]) == 2
        assert kinds(ledger) == ["1", "2"]
    assert set(credential.scopes) == {"https://storage.azure.com/.default"}


def test_a_failed_sign_in_is_a_fault_that_says_whose_move_it_is(
    secure: tuple[azurite.Account, Cloud], table: str
) -> None:
    account, cloud = secure
    identity = _SignedInAs(_NobodyThere(), cloud)
    place = TablePlace(name=table, cloud=cloud, url=account.url, identity=identity)
    with pytest.raises(LedgerFault, match=r"client secret .* has expired") as caught:
        TableLedger.open(place, PausingClock())
    assert "Add a new secret" in caught.value.hint
    assert "hunter2" not in _all_told(caught.value)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("host", "audience"),
    [
        ("shop.table.core.windows.net", "https://storage.azure.com"),
        ("shop.table.core.usgovcloudapi.net", "https://storage.azure.us"),
        ("shop.table.core.chinacloudapi.cn", "https://storage.azure.cn"),
    ],
)
def test_tokens_are_asked_for_the_audience_that_the_library_names_for_the_cloud(host: str, audience: str) -> None:
    credential, cloud = _Credential(), PUBLIC
    place = TablePlace(name="keyturn", cloud=cloud, url=f"https://{host}", identity=_SignedInAs(credential, cloud))
    with closing(Wire(place)) as wire, pytest.raises(LedgerFault):
        _unreachable(wire)
    assert set(credential.scopes) == {f"{audience}/.default"}


def _unreachable(wire: Wire) -> None:
    """Asks for a token; the send fails at once, without a line out of this machine."""
    from azure.core.exceptions import ServiceRequestError

    def refuse(*_: object, **__: object) -> None:
        raise ServiceRequestError("no line")

    wire._client._client._client._pipeline._transport.send = refuse  # type: ignore[method-assign]
    wire.get("p", "r")


@pytest.mark.usefixtures("impatient")
def test_no_sentence_names_the_signature_that_an_address_carried(table: str) -> None:
    signature = "sig=hunter2"
    place = TablePlace(
        name=table,
        cloud=PUBLIC,
        connection=Secret(f"TableEndpoint=http://127.0.0.1:9/x;SharedAccessSignature=sv=2019-02-02&{signature}"),
    )
    with pytest.raises(LedgerFault, match="cannot be reached") as caught:
        TableLedger.open(place, PausingClock())
    assert "hunter2" not in _all_told(caught.value)


def test_threads_of_one_ledger_get_on_while_the_line_is_bad(
    line: Line, ledger: TableLedger, other: TableLedger
) -> None:
    line.writes.extend([answer_lost, request_lost, busy(503), passed_on] * 5)
    threads = [threading.Thread(target=lambda n=n: ledger.save(record(str(n)), 0, [event(str(n))])) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kinds(other)) == sorted(["1", *map(str, range(8))])
