"""The keys of apim subscriptions, against the emulated Azure."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from keyturn.azure.answers import Reply
from keyturn.azure.pipeline import Arm
from keyturn.clocks.system import SystemClock
from keyturn.keyrings.subscriptions import SubscriptionsKeyring, is_master
from keyturn.model import Credential, Secret, Slot
from keyturn.ports import Applied, Clock, NotApplied, SendBy, Uncertain
from keyturn_emulator import seed
from tests.contracts.emulated import Emulated
from tests.contracts.keyring import FRESH, KeyringCase, KeyringContract


class TestSubscriptions(KeyringContract):
    @pytest.fixture
    def case(self, emulated: Emulated) -> KeyringCase:
        return KeyringCase(emulated.keyring, emulated.credential(), emulated.send_by(), emulated.too_late())


def test_a_set_answers_both_values_and_the_new_etag_from_the_echo_alone(emulated: Emulated) -> None:
    credential = emulated.credential()
    before = emulated.keyring.read_values(credential)
    assert before.etag is not None
    writes = emulated.sent("POST", "listSecrets")
    answer = emulated.keyring.set_value(credential, Slot.SECONDARY, FRESH, before.etag, emulated.send_by())
    assert isinstance(answer, Applied) and answer.values is not None
    assert (answer.values.primary, answer.values.secondary) == (before.primary, FRESH)
    assert answer.values.etag == emulated.keyring.read(credential).etag != before.etag
    assert emulated.sent("POST", "listSecrets") == writes


def test_owner_product_and_scope_are_read_from_the_list(emulated: Emulated) -> None:
    found = {credential.name: credential for credential in emulated.keyring.discover()}
    assert (found["contoso"].owner, found["contoso"].product) == ("contoso", "gold")
    assert (found["fabrikam"].owner, found["fabrikam"].product) == (None, "gold")
    assert (found["legacy"].owner, found["legacy"].product) == (None, None)
    assert found["contoso"].id == "shop/contoso"


def test_the_built_in_all_access_one_is_discovered_and_flagged(emulated: Emulated) -> None:
    masters = [credential.name for credential in emulated.keyring.discover() if is_master(credential)]
    assert masters == ["master"]


def test_a_long_list_is_followed_to_its_end(emulated: Emulated) -> None:
    description = seed.default_description()
    description["services"][0]["subscriptions"] += [
        {"sid": f"s{number:03}", "display_name": f"S {number}", "product": "gold"} for number in range(230)
    ]
    emulated.azure.seed(description)
    names = [credential.name for credential in emulated.keyring.discover()]
    assert names[-1] == "s229"
    assert len(names) == len(set(names)) == 237


@pytest.mark.parametrize("sid", ["two words", "a/b", "ünïcode", "50%off"])
def test_a_sid_of_any_characters_is_found_again_by_every_verb(emulated: Emulated, sid: str) -> None:
    description = seed.default_description()
    description["services"][0]["subscriptions"].append({"sid": sid, "display_name": "Odd", "product": "gold"})
    emulated.azure.seed(description)
    credential = emulated.credential(sid)
    etag = emulated.keyring.read(credential).etag
    assert etag is not None
    answer = emulated.keyring.set_value(credential, Slot.PRIMARY, FRESH, etag, emulated.send_by())
    assert isinstance(answer, Applied)
    assert emulated.azure.keys("shop-apim", sid)["primary"] == FRESH.reveal()


def test_a_patch_that_gets_503_is_sent_exactly_once(emulated: Emulated) -> None:
    credential = emulated.credential()
    etag = emulated.keyring.read(credential).etag or ""
    emulated.azure.fault("status", {"method": "PATCH"}, status=503, times=5)
    answer = emulated.keyring.set_value(credential, Slot.PRIMARY, FRESH, etag, emulated.send_by())
    assert isinstance(answer, Uncertain)
    assert emulated.sent("PATCH") == 1


def test_a_regenerate_whose_answer_is_lost_is_uncertain_happened_and_was_sent_once(emulated: Emulated) -> None:
    credential = emulated.credential()
    before = emulated.keyring.read_values(credential)
    emulated.azure.fault("lost-answer", {"method": "POST", "path_contains": "regenerate"}, times=5)
    answer = emulated.keyring.regenerate(credential, Slot.PRIMARY, emulated.send_by())
    assert isinstance(answer, Uncertain)
    assert emulated.keyring.read_values(credential).primary != before.primary
    assert emulated.sent("POST", "regeneratePrimaryKey") == 1


def test_a_throttled_set_was_not_applied_and_says_how_long_to_wait(emulated: Emulated) -> None:
    credential = emulated.credential()
    emulated.azure.fault("status", {"method": "PATCH"}, status=429, retry_after=11)
    answer = emulated.keyring.set_value(credential, Slot.PRIMARY, FRESH, "*", emulated.send_by())
    assert isinstance(answer, NotApplied) and answer.after == 11


def test_the_read_tells_state_owner_and_azures_own_time(emulated: Emulated) -> None:
    entity = emulated.keyring.read(emulated.credential())
    assert (entity.state, entity.owner, entity.display_name) == ("active", "contoso", "Contoso")
    assert entity.date is not None
    assert abs(entity.date - emulated.clock.now()) <= timedelta(seconds=1)


def test_every_enabled_region_is_a_gateway(emulated: Emulated) -> None:
    description = seed.default_description()
    description["services"][0] |= {
        "sku": "Premium",
        "gateways": [{"region": "West Europe"}, {"region": "East US"}],
    }
    emulated.azure.seed(description)
    hosts = [address.removeprefix("https://").partition(".")[0] for address in emulated.keyring.gateways()]
    assert hosts == ["shop-apim", "shop-apim-westeurope-01", "shop-apim-eastus-01"]


def test_no_log_record_holds_a_value_during_real_sign_in_reads_and_writes(
    emulated: Emulated, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.DEBUG),
        caplog.at_level(logging.DEBUG, "azure"),
        caplog.at_level(logging.DEBUG, "msal"),
    ):
        credential = emulated.credential()
        values = emulated.keyring.read_values(credential)
        answer = emulated.keyring.set_value(credential, Slot.PRIMARY, FRESH, values.etag or "", emulated.send_by())
    forbidden = [FRESH, values.primary, values.secondary, Secret(emulated.azure.ready["client_secret"])]
    assert isinstance(answer, Applied)
    assert any(record.name.startswith("azure.identity") for record in caplog.records)
    texts = [record.getMessage() + repr(record.__dict__) for record in caplog.records] + [repr(answer), repr(values)]
    assert not [text for text in texts for secret in forbidden if secret.reveal() in text]


class _SlowArm(Arm):
    """Counts how many writes are under way at once; answers 204 when the test lets it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.under_way: list[str] = []
        self.most: list[list[str]] = []
        self.go = threading.Event()
        self.changed = threading.Condition()

    def send(self, method: str, path: str, **_: Any) -> Reply:
        with self.changed:
            self.under_way.append(path.rpartition("/subscriptions/")[2].partition("/")[0])
            self.most.append(sorted(self.under_way))
            self.changed.notify_all()
        self.go.wait()
        with self.changed:
            self.under_way.remove(path.rpartition("/subscriptions/")[2].partition("/")[0])
        return Reply(204, {}, b"")


def test_writes_of_one_owner_or_one_product_never_run_side_by_side(emulated: Emulated) -> None:
    def credential(name: str, owner: str | None, product: str | None) -> Credential:
        return msgspec.structs.replace(emulated.credential(), name=name, key=name, owner=owner, product=product)

    arm = _SlowArm(SystemClock())
    keyring = SubscriptionsKeyring(arm, "shop", emulated.service)
    credentials = [
        credential("a", "ada", "gold"),
        credential("b", "ada", "silver"),  # shares a's owner
        credential("c", None, "gold"),  # shares a's product
        credential("d", None, None),
        credential("e", None, None),
    ]
    now, boot = arm.clock.now(), arm.clock.boottime()
    send_by = SendBy(at=now + timedelta(seconds=60), boot=boot + 60, seconds=60)
    threads = [threading.Thread(target=keyring.regenerate, args=(one, Slot.PRIMARY, send_by)) for one in credentials]
    threads[0].start()
    with arm.changed:
        assert arm.changed.wait_for(lambda: "a" in arm.under_way, 20)
    for thread in threads[1:]:
        thread.start()
    with arm.changed:
        assert arm.changed.wait_for(lambda: {"a", "d", "e"} <= set(arm.under_way), 20)
    arm.go.set()
    for thread in threads:
        thread.join()
    assert len(arm.most) == 5
    assert not [names for names in arm.most if "a" in names and {"b", "c"} & set(names)]


def test_gateways_are_read_once_however_many_probes_ask(emulated: Emulated) -> None:
    before = emulated.sent("GET", "service/shop-apim")
    assert emulated.keyring.gateways() == emulated.keyring.gateways()
    assert emulated.sent("GET", "service/shop-apim") - before == 1
