"""A Key Vault secret as a sink, through the official client, against the emulated vault."""

from __future__ import annotations

import logging
from datetime import timedelta

import msgspec
import pytest
from azure.core.credentials import TokenCredential
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient

from keyturn.errors import Refused, TryAgain
from keyturn.model import Secret
from keyturn.ports import Applied, NotApplied, Shown, Uncertain
from tests.contracts.emulated import Emulated
from tests.contracts.sink import ADDRESS, FIRST, SECOND, TAGS, SinkCase, SinkContract

SECRET = "apim-contoso"


class TestKeyVaultSecret(SinkContract):
    @pytest.fixture
    def case(self, emulated: Emulated) -> SinkCase:
        return SinkCase(emulated.sink(SECRET), emulated.send_by(), emulated.too_late())


@pytest.fixture
def person(emulated: Emulated) -> SecretClient:
    """Somebody else, with the official client and nothing of ours."""
    ready = emulated.azure.ready
    credential: TokenCredential = ClientSecretCredential(ready["tenant"], ready["client_id"], ready["client_secret"])
    return SecretClient("https://shop-kv.vault.azure.net", credential)


def test_a_write_carries_type_expiry_and_the_tags_that_people_look_for(
    emulated: Emulated, person: SecretClient
) -> None:
    emulated.sink(SECRET).write(FIRST, TAGS, emulated.send_by())
    written = person.get_secret(SECRET)
    assert written.value == FIRST.reveal()
    assert written.properties.content_type == "text/plain"
    assert written.properties.expires_on == TAGS.expires
    assert written.properties.tags == {
        "keyturn-ledger": "ledger-1",
        "keyturn-seq": "7",
        "CredentialId": "secondary",
        "ProviderAddress": ADDRESS,
        "ValidityPeriodDays": "30",
    }


def test_a_persons_own_tags_are_kept_and_ours_win(emulated: Emulated, person: SecretClient) -> None:
    theirs = {f"tag{number:02}": "x" for number in range(13)}
    person.set_secret(SECRET, "old", tags={"team": "payments", "keyturn-seq": "99", **theirs})
    emulated.sink(SECRET).write(FIRST, TAGS, emulated.send_by())
    tags = person.get_secret(SECRET).properties.tags or {}
    assert (tags["team"], tags["keyturn-seq"]) == ("payments", "7")
    assert len(tags) == 15


def test_a_persons_value_has_no_tags_of_ours(emulated: Emulated, person: SecretClient) -> None:
    person.set_secret(SECRET, "by-hand")
    assert emulated.sink(SECRET).read() == Shown(value=Secret("by-hand"))


def test_the_first_write_of_a_process_sends_one_put_with_its_body(emulated: Emulated) -> None:
    answer = emulated.sink(SECRET).write(FIRST, TAGS, emulated.send_by())
    assert isinstance(answer, Applied)
    puts = [call["status"] for call in emulated.azure.calls("keyvault") if call["method"] == "PUT"]
    assert puts == [200]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_put_that_fails_is_sent_once(emulated: Emulated, status: int) -> None:
    emulated.azure.fault("status", {"method": "PUT"}, status=status, retry_after=1, times=5)
    answer = emulated.sink(SECRET).write(FIRST, TAGS, emulated.send_by())
    assert isinstance(answer, NotApplied if status == 429 else Uncertain)
    assert emulated.sent("PUT") == 1


def test_a_put_that_gets_401_is_not_sent_again_with_a_fresh_token(emulated: Emulated) -> None:
    emulated.azure.fault("status", {"method": "PUT"}, status=401, times=5)
    answer = emulated.sink(SECRET).write(FIRST, TAGS, emulated.send_by())
    assert isinstance(answer, NotApplied) and answer.status == 401
    assert emulated.sent("PUT") == 1


def test_a_put_whose_answer_is_lost_is_uncertain_and_happened(emulated: Emulated) -> None:
    emulated.azure.fault("lost-answer", {"method": "PUT"}, times=5)
    assert isinstance(emulated.sink(SECRET).write(FIRST, TAGS, emulated.send_by()), Uncertain)
    assert emulated.sink(SECRET).read().value == FIRST
    assert emulated.sent("PUT") == 1


def test_a_put_without_an_answer_is_abandoned(emulated: Emulated) -> None:
    emulated.sink(SECRET).read()
    emulated.azure.pause_at(1, match={"method": "PUT"})
    answer = emulated.sink(SECRET).write(FIRST, TAGS, emulated.send_by(seconds=1.0))
    emulated.azure.resume()
    assert isinstance(answer, Uncertain) and "no answer within `deadline`" in answer.sentence


def test_a_deleted_secret_shows_nothing_and_refuses_a_write_with_a_way_out(
    emulated: Emulated, person: SecretClient
) -> None:
    person.set_secret(SECRET, "old")
    person.begin_delete_secret(SECRET).result()
    assert emulated.sink(SECRET).read() == Shown()
    answer = emulated.sink(SECRET).write(FIRST, TAGS, emulated.send_by())
    assert isinstance(answer, NotApplied)
    assert (answer.status, answer.code) == (409, "ObjectIsDeletedButRecoverable")
    assert "Recover or purge" in answer.hint


def test_a_disabled_secret_cannot_be_read(emulated: Emulated, person: SecretClient) -> None:
    person.set_secret(SECRET, "old", enabled=False)
    with pytest.raises(Refused, match="disabled") as raised:
        emulated.sink(SECRET).read()
    assert raised.value.code == "SecretDisabled"
    assert "Enable" in raised.value.hint


def test_an_expired_secret_still_shows_its_value(emulated: Emulated) -> None:
    past = msgspec.structs.replace(TAGS, expires=emulated.clock.now() - timedelta(days=400))
    emulated.sink(SECRET).write(FIRST, past, emulated.send_by())
    assert emulated.sink(SECRET).read().value == FIRST


def test_a_vault_that_is_down_is_tried_again_later(emulated: Emulated) -> None:
    emulated.azure.fault("drop", {"host": "shop-kv.vault.azure.net"}, times=-1)
    with pytest.raises(TryAgain, match="shop-kv"):
        emulated.sink(SECRET).read()


def test_no_log_record_holds_the_value(emulated: Emulated, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.DEBUG),
        caplog.at_level(logging.DEBUG, "azure"),
        caplog.at_level(logging.DEBUG, "msal"),
    ):
        emulated.sink(SECRET).write(FIRST, TAGS, emulated.send_by())
        emulated.azure.fault("status", {"method": "PUT"}, status=400, message=f"{SECOND.reveal()} is bad")
        refused = emulated.sink(SECRET).write(SECOND, TAGS, emulated.send_by())
        shown = emulated.sink(SECRET).read()
    assert any(record.name.startswith("azure.core") for record in caplog.records)
    texts = [record.getMessage() + repr(record.__dict__) for record in caplog.records] + [repr(refused), repr(shown)]
    assert not [text for text in texts if FIRST.reveal() in text or SECOND.reveal() in text]
