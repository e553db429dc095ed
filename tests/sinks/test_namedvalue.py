"""A secret named value as a sink, against the emulated API Management; a person uses Microsoft's own client."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from azure.identity import ClientSecretCredential
from azure.mgmt.apimanagement import ApiManagementClient
from azure.mgmt.apimanagement.models import NamedValueCreateContract, NamedValueUpdateParameters

from keyturn.errors import Gone, NotSent, Refused, TryAgain
from keyturn.model import Secret
from keyturn.ports import Applied, NotApplied, Shown, Uncertain
from keyturn.sinks.namedvalue import NamedValue, NamedValues
from keyturn_emulator import seed
from tests.contracts.emulated import Emulated
from tests.contracts.sink import FIRST, SECOND, TAGS, SinkCase, SinkContract

NAME = "backend-key"
WHERE = ("rg", "shop-apim", NAME)
OURS = ["keyturn-ledger:ledger-1", "keyturn-seq:7", "keyturn-slot:secondary"]


def process(emulated: Emulated, service: str | None = None) -> NamedValue:
    """The sink as a process of its own has it: no look of another one counts."""
    return NamedValue(NamedValues(emulated.arm, "shop", service or emulated.service), NAME)


@pytest.fixture
def sink(emulated: Emulated) -> NamedValue:
    return process(emulated)


class TestNamedValue(SinkContract):
    @pytest.fixture
    def case(self, emulated: Emulated, sink: NamedValue) -> SinkCase:
        return SinkCase(sink, emulated.send_by(), emulated.too_late())


@pytest.fixture
def person(emulated: Emulated) -> Iterator[ApiManagementClient]:
    ready = emulated.azure.ready
    credential = ClientSecretCredential(ready["tenant"], ready["client_id"], ready["client_secret"])
    with ApiManagementClient(credential, seed.AZURE_SUBSCRIPTION) as client:
        yield client
    credential.close()


def put(person: ApiManagementClient, value: str = "old", *, secret: bool = True, **more: Any) -> None:
    wanted = NamedValueCreateContract(display_name=more.pop("display_name", NAME), value=value, secret=secret, **more)
    person.named_value.begin_create_or_update(*WHERE, wanted).result()


def change(person: ApiManagementClient, **properties: Any) -> None:
    person.named_value.begin_update(*WHERE, "*", NamedValueUpdateParameters(**properties)).result()


def value(person: ApiManagementClient) -> str | None:
    return person.named_value.list_value(*WHERE).value


def seeded(emulated: Emulated, **changes: Any) -> None:
    emulated.azure.seed(seed.default_description() | changes)


def writes(emulated: Emulated) -> int:
    return emulated.sent("PUT") + emulated.sent("PATCH")


# what is written, and what is left alone


def test_one_that_is_not_there_is_made_a_secret_called_by_its_id(
    emulated: Emulated, sink: NamedValue, person: ApiManagementClient
) -> None:
    assert isinstance(sink.write(FIRST, TAGS, emulated.send_by()), Applied)
    made: Any = person.named_value.get(*WHERE)
    assert (made.display_name, made.secret, made.tags, made.value) == (NAME, True, OURS, None)
    assert value(person) == FIRST.reveal()


def test_a_persons_tags_and_display_name_are_kept_and_ours_are_replaced(
    emulated: Emulated, sink: NamedValue, person: ApiManagementClient
) -> None:
    put(person, display_name="Backend", tags=["team:payments", "keyturn-seq:99", "keyturn-lookalike"])
    sink.read()
    assert isinstance(sink.write(FIRST, TAGS, emulated.send_by()), Applied)
    kept: Any = person.named_value.get(*WHERE)
    assert (kept.display_name, kept.tags) == ("Backend", [*OURS, "team:payments", "keyturn-lookalike"])


def test_a_persons_value_has_no_tags_of_ours(sink: NamedValue, person: ApiManagementClient) -> None:
    put(person, tags=["team:payments", "keyturn-seq:many"])
    assert sink.read() == Shown(value=Secret("old"))


def test_a_plain_one_is_shown_and_becomes_a_secret_with_the_first_write(
    emulated: Emulated, sink: NamedValue, person: ApiManagementClient
) -> None:
    put(person, secret=False)
    assert sink.read().value == Secret("old")
    sink.write(FIRST, TAGS, emulated.send_by())
    written: Any = person.named_value.get(*WHERE)
    assert (written.secret, written.value) == (True, None)


def test_one_that_key_vault_backs_is_neither_read_nor_written(emulated: Emulated, sink: NamedValue) -> None:
    described = seed.default_description()
    secret = "https://shop-kv.vault.azure.net/secrets/backend"
    described["services"][0]["named_values"] = [{"id": NAME, "key_vault": secret}]
    emulated.azure.seed(described)
    with pytest.raises(Refused, match="a Key Vault secret backs this named value") as refused:
        sink.read()
    assert "`keyvault:`" in refused.value.hint
    with pytest.raises(NotSent, match="a Key Vault secret backs this named value"):
        sink.write(FIRST, TAGS, emulated.send_by())
    assert writes(emulated) == 0


def test_one_without_room_for_our_tags_is_not_written(
    emulated: Emulated, sink: NamedValue, person: ApiManagementClient
) -> None:
    put(person, tags=[f"t{number}" for number in range(30)])
    answer = sink.write(FIRST, TAGS, emulated.send_by())
    assert isinstance(answer, NotApplied) and "30 tags of its own" in answer.sentence
    change(person, tags=[f"t{number}" for number in range(29)])
    assert isinstance(sink.write(FIRST, TAGS, emulated.send_by()), Applied)


# the fence


def test_a_write_between_look_and_write_is_not_overwritten(
    emulated: Emulated, sink: NamedValue, person: ApiManagementClient
) -> None:
    put(person)
    sink.read()
    change(person, value="theirs")
    answer = sink.write(FIRST, TAGS, emulated.send_by())
    assert isinstance(answer, NotApplied) and answer.status == 412
    assert value(person) == "theirs"


def test_a_write_that_slept_since_its_look_does_not_undo_what_another_process_published(emulated: Emulated) -> None:
    asleep, awake = process(emulated), process(emulated)
    awake.write(FIRST, TAGS, emulated.send_by())
    asleep.read()
    awake.read()
    awake.write(SECOND, TAGS, emulated.send_by())
    late = asleep.write(FIRST, TAGS, emulated.send_by())
    assert isinstance(late, NotApplied) and late.status == 412
    assert asleep.read().value == SECOND


def test_one_look_carries_one_write(emulated: Emulated, sink: NamedValue) -> None:
    sink.read()
    sink.write(FIRST, TAGS, emulated.send_by())
    reads = emulated.sent("GET", NAME)
    assert isinstance(sink.write(SECOND, TAGS, emulated.send_by()), Applied)
    assert emulated.sent("GET", NAME) == reads + 1
    assert (emulated.sent("PUT"), emulated.sent("PATCH")) == (1, 1)


def test_tags_and_value_of_different_states_are_never_shown_together(
    emulated: Emulated, sink: NamedValue, person: ApiManagementClient
) -> None:
    sink.write(FIRST, TAGS, emulated.send_by())
    emulated.azure.pause_at(1, match={"path_contains": "listValue"})
    with ThreadPoolExecutor(1) as reader:
        reading = reader.submit(sink.read)
        assert emulated.azure.wait_until_paused()
        change(person, value="theirs", tags=[])
        emulated.azure.resume()
        assert reading.result() == Shown(value=Secret("theirs"))
    assert emulated.sent("POST", "/listValue") == 2


def test_a_publish_with_its_looks_costs_two_reads_and_three_calls_charged_as_writes(
    emulated: Emulated, sink: NamedValue
) -> None:
    sink.write(FIRST, TAGS, emulated.send_by())
    before = [emulated.sent(method, part) for method, part in (("GET", NAME), ("PATCH", NAME), ("POST", "/listValue"))]
    sink.read()
    sink.write(SECOND, TAGS, emulated.send_by())
    sink.read()
    after = [emulated.sent(method, part) for method, part in (("GET", NAME), ("PATCH", NAME), ("POST", "/listValue"))]
    assert [late - early for early, late in zip(before, after, strict=True)] == [2, 1, 2]


# once, and in time


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_write_that_fails_is_sent_once(emulated: Emulated, sink: NamedValue, status: int) -> None:
    emulated.azure.fault("status", {"method": "PUT"}, status=status, retry_after=1, times=5)
    answer = sink.write(FIRST, TAGS, emulated.send_by())
    assert isinstance(answer, NotApplied if status == 429 else Uncertain)
    assert writes(emulated) == 1


def test_a_write_whose_answer_is_lost_is_uncertain_and_happened(emulated: Emulated, sink: NamedValue) -> None:
    emulated.azure.fault("lost-answer", {"method": "PUT"}, times=5)
    assert isinstance(sink.write(FIRST, TAGS, emulated.send_by()), Uncertain)
    assert sink.read().value == FIRST
    assert writes(emulated) == 1


def test_a_write_without_an_answer_is_abandoned(emulated: Emulated, sink: NamedValue) -> None:
    sink.read()
    emulated.azure.pause_at(1, match={"method": "PUT"})
    answer = sink.write(FIRST, TAGS, emulated.send_by(seconds=1.0))
    emulated.azure.resume()
    assert isinstance(answer, Uncertain) and "no answer within `deadline`" in answer.sentence


@pytest.mark.parametrize("version", ["2022-08-01", "2024-05-01"])
def test_a_write_that_is_only_accepted_is_uncertain_until_a_look_shows_it(emulated: Emulated, version: str) -> None:
    seeded(emulated, switches={"named_value_writes_accepted": True})
    sink = NamedValue(NamedValues(emulated.arm, "shop", emulated.service, api_version=version), NAME)
    for published in (FIRST, SECOND):
        before = sink.read().value
        answer = sink.write(published, TAGS, emulated.send_by())
        assert isinstance(answer, Uncertain) and "accepted" in answer.sentence
        assert sink.read().value == before
        emulated.azure.advance(1)
        assert sink.read().value == published


# what is absent or forbidden


def test_a_service_that_is_not_there_is_not_an_empty_sink(emulated: Emulated) -> None:
    gone = process(emulated, emulated.service.replace("shop-apim", "nowhere"))
    with pytest.raises(Gone, match="service does not exist"):
        gone.read()


def test_a_service_that_resource_manager_does_not_find_is_not_an_empty_sink(emulated: Emulated) -> None:
    seeded(emulated, switches={"service_not_found_by_arm": True})
    with pytest.raises(Gone, match="service does not exist"):
        process(emulated, emulated.service.replace("shop-apim", "nowhere")).read()


def test_who_may_read_but_not_list_values_is_told_the_action(emulated: Emulated, sink: NamedValue) -> None:
    sink.write(FIRST, TAGS, emulated.send_by())
    described = seed.default_description()
    described["role_assignments"][0]["role"] = "API Management Service Reader Role"
    described["services"][0]["named_values"] = [{"id": NAME, "value": "v"}]
    emulated.azure.seed(described)
    with pytest.raises(Refused, match="namedValues/listValue/action"):
        sink.read()
    answer = sink.write(FIRST, TAGS, emulated.send_by())
    assert isinstance(answer, NotApplied) and "namedValues/write" in answer.sentence


def test_azure_that_is_down_is_tried_again_later(emulated: Emulated, sink: NamedValue) -> None:
    emulated.azure.fault("drop", {"host": "management.azure.com"}, times=-1)
    with pytest.raises(TryAgain):
        sink.read()


def test_no_log_record_and_no_answer_holds_the_value(
    emulated: Emulated, sink: NamedValue, caplog: pytest.LogCaptureFixture
) -> None:
    seeded(emulated, switches={"named_value_echo": True})
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "urllib3"):
        answers: list[object] = [sink.write(FIRST, TAGS, emulated.send_by()), sink.read()]
        emulated.azure.fault("status", {"method": "PATCH"}, status=400, message=f"{SECOND.reveal()} is bad")
        answers.append(sink.write(SECOND, TAGS, emulated.send_by()))
    assert isinstance(answers[-1], NotApplied) and "is bad" in answers[-1].sentence
    assert [record for record in caplog.records if record.name.startswith("urllib3")]
    texts = [record.getMessage() + repr(record.__dict__) for record in caplog.records] + [repr(it) for it in answers]
    assert not [text for text in texts if FIRST.reveal() in text or SECOND.reveal() in text]
