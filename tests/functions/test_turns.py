"""The timer and the queue, called as the host calls them, on the emulated Azure."""

from __future__ import annotations

import json
import logging
from datetime import timedelta

import pytest

from keyturn import by_hand
from keyturn.errors import Gone, KeyturnError, LedgerFault, Malformed, TryAgain
from keyturn.functions import messages
from keyturn.model import Hold, Slot, Stage
from tests.functions.hosting import Hosted
from tests.journeys.stage import SERVICE
from tests.journeys.stage import Stage as Scene

DAY = 86_400.0
KEY = f"{SERVICE}/subscriptions/contoso".lower()


def look(key: str = KEY) -> str:
    return messages.written(messages.Message(key=key, why="look"))


def test_the_timer_enqueues_one_message_for_each_credential_with_something_to_do(hosted: Hosted) -> None:
    (text,) = hosted.tick()
    assert json.loads(text) == {"key": KEY, "why": "new", "id": "shop/contoso"}
    hosted.turn(text)
    assert hosted.record().stage is Stage.CONFIRM
    assert hosted.tick() == []  # it waits for the units behind one address
    hosted.stage.azure.advance(300)
    (text,) = hosted.tick()
    assert json.loads(text)["why"] == "due"
    hosted.turn(text)
    assert hosted.record().stage is Stage.IDLE
    assert hosted.tick() == []


def test_timer_and_queue_alone_take_a_credential_through_a_whole_period(hosted: Hosted) -> None:
    hosted.settled()
    before = hosted.stage.azure.keys(SERVICE, "contoso")
    hosted.stage.azure.advance(31 * DAY)
    for _ in range(200):
        hosted.follow(seconds=1800)
        if hosted.record().rotations:
            break
    hosted.follow(ticks=3)
    record = hosted.record()
    after = hosted.stage.azure.keys(SERVICE, "contoso")
    assert (record.stage, record.active, record.rotations) == (Stage.IDLE, Slot.SECONDARY, 1)
    assert not set(before.values()) & set(after.values())


def test_a_message_that_comes_twice_does_nothing_the_second_time(hosted: Hosted) -> None:
    (text,) = hosted.tick()
    hosted.turn(text)
    before, asked = hosted.record(), hosted.stage.azure.calls("arm")
    due = messages.written(messages.Message(key=KEY, why="due"))
    hosted.turn(due)
    assert hosted.record() == before
    assert hosted.stage.azure.calls("arm") == asked


def test_a_due_message_for_a_held_credential_asks_azure_nothing(hosted: Hosted) -> None:
    hosted.settled()
    keyturn = hosted.instance.keyturn()
    stored = keyturn.ledger.load(KEY)
    assert stored is not None
    held, told = by_hand.hold(stored.record, "a test", keyturn.clock.now())
    keyturn.ledger.save(held, stored.version, [told])
    asked = len(hosted.stage.azure.calls("arm"))
    hosted.turn(look())
    assert len(hosted.stage.azure.calls("arm")) == asked


def test_a_message_needs_no_list_of_the_service(hosted: Hosted) -> None:
    hosted.settled()
    hosted.stage.azure.advance(DAY)
    seen = len(hosted.stage.azure.calls("arm"))
    hosted.turn(look())
    paths = [call["path"] for call in hosted.stage.azure.calls("arm")[seen:]]
    assert paths
    assert not [path for path in paths if path.lower().rstrip("/").endswith("/subscriptions")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "not json",
        '{"key": 7, "why": "due"}',
        '{"key": "/subscriptions/a", "why": "because"}',
        '{"key": "/subscriptions/A", "why": "due"}',
        '{"key": "/subscriptions/a", "why": "due", "more": 1}',
        '{"key": "elsewhere", "why": "due"}',
        json.dumps({"key": "/subscriptions/" + "a" * 9000, "why": "due"}),
        "[" * 5000,
        b"\xff\xfe",
    ],
    ids=lambda text: repr(text)[:40],
)
def test_a_message_of_somebody_else_is_refused_unread(hosted: Hosted, text: str | bytes) -> None:
    with pytest.raises(Malformed) as refused:
        hosted.turn(text)
    assert str(refused.value) == "a message of the queue is none of keyturn's"


def test_a_message_for_a_service_that_nobody_configured_is_given_back(hosted: Hosted) -> None:
    with pytest.raises(Gone, match=r"no service of .* has /subscriptions/elsewhere"):
        hosted.turn(look("/subscriptions/elsewhere"))


def test_a_message_for_a_credential_that_azure_never_had_is_given_back(hosted: Hosted) -> None:
    with pytest.raises(Gone):
        hosted.turn(look(KEY.replace("contoso", "nobody")))


def test_a_credential_that_azure_has_no_more_is_held_by_its_message(hosted: Hosted) -> None:
    hosted.settled()
    description = hosted.stage.description
    rows = description["services"][0]["subscriptions"]
    kept = [row for row in rows if row["sid"] != "contoso"]
    hosted.stage.azure.seed({**description, "services": [{**description["services"][0], "subscriptions": kept}]})
    hosted.turn(look())
    hold = hosted.record().hold
    assert hold is not None and hold.reason == "gone"


def test_a_message_for_a_credential_that_no_policy_wants_any_more_ends_quietly(
    hosted: Hosted, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "keyturn"):
        hosted.turn(look(KEY.replace("contoso", "fabrikam")))
    assert "no policy looks after it any more" in caplog.text


KINDS = [
    {"name": "partners", "match": "{ service: shop, sid: [contoso, fabrikam] }"},
    {
        "name": "access",
        "match": "{ tenant: [access, gitAccess] }",
        "publish": "[ { keyvault: { vault: v, secret: 'one-{sid}' } } ]",
    },
    {"name": "oslo", "match": "{ gateway: gw-oslo }", "publish": "[ { keyvault: { vault: v, secret: two } } ]"},
]


def test_whatever_the_lists_show_is_found_by_itself_as_the_very_same(stage: Scene) -> None:
    stage.configure(*KINDS)
    with Hosted.started(stage) as hosted:
        keyturn = hosted.instance.keyturn()
        listed = keyturn.discover().charges
        assert {charge.credential.id for charge in listed} == {
            "shop/contoso",
            "shop/fabrikam",
            "shop/tenant/access",
            "shop/tenant/gitAccess",
            "shop/gateways/gw-oslo",
        }
        for charge in listed:
            assert keyturn.keys_of(charge.credential.id)[0] == charge.credential.key
            assert keyturn.charge(charge.credential.key) == charge


def test_one_that_was_gone_and_is_there_again_is_no_longer_taken_for_lost(hosted: Hosted) -> None:
    hosted.settled()
    scene, keyturn = hosted.stage, hosted.instance.keyturn()
    scene.azure.fault("status", {"path_contains": "/subscriptions/contoso"}, status=404, times=1)
    lost = keyturn.charge(KEY)
    assert lost is not None
    assert [sink.name for sink in keyturn.sinks_of(lost.credential)] == ["its sinks"]
    found = keyturn.charge(KEY)
    assert found is not None
    assert [sink.name for sink in keyturn.sinks_of(found.credential)] == ["shop-kv/apim-contoso"]


# -------- outages


def test_a_vault_that_is_down_fails_the_invocation_and_leaves_the_rotation_where_it_is(hosted: Hosted) -> None:
    hosted.settled()
    before = hosted.record()
    hosted.stage.azure.fault("status", {"host": "shop-kv.vault.azure.net"}, status=503, times=50)
    with pytest.raises(TryAgain, match="shop/contoso"):
        hosted.turn(look())
    record = hosted.record()
    assert (record.stage, record.active, record.hold) == (before.stage, before.active, None)
    assert (record.primary, record.secondary) == (before.primary, before.secondary)
    hosted.turn(look(), dequeue_count=2)  # the host delivers it again; the record waits, and so nothing fails
    hosted.stage.azure.control("DELETE", "faults")
    hosted.stage.azure.advance(3600)
    assert hosted.settled().failures == 0


def test_a_ledger_that_is_gone_fails_the_invocation_and_changes_nothing(stage: Scene) -> None:
    with Hosted.started(stage) as hosted:
        hosted.settled()
        keys = stage.azure.keys(SERVICE, "contoso")
    stage.ledger.write_bytes(b"not a database, whoever wrote this")
    with Hosted.started(stage) as hosted:
        with pytest.raises(LedgerFault):
            hosted.turn(look())
        with pytest.raises(LedgerFault):
            hosted.tick()
    assert stage.azure.keys(SERVICE, "contoso") == keys


# -------- the poison queue


def test_what_ended_in_the_poison_queue_is_told_in_the_history_with_its_reason(
    hosted: Hosted, caplog: pytest.LogCaptureFixture
) -> None:
    hosted.settled()
    hosted.stage.azure.fault("status", {"host": "management.azure.com"}, status=503, times=99)
    with pytest.raises(KeyturnError):
        hosted.turn(look())
    before = hosted.record()
    hosted.poisoned(look())
    assert hosted.record() == before
    (told,) = [line.event for line in hosted.instance.keyturn().ledger.history(KEY) if line.event.kind == "poisoned"]
    assert "503" in told.sentence
    assert "ended in the poison queue" in caplog.text


def test_a_poisoned_message_of_nobody_is_told_in_the_log_alone(
    hosted: Hosted, caplog: pytest.LogCaptureFixture
) -> None:
    hosted.poisoned("whatever")
    hosted.poisoned(look(KEY.replace("contoso", "nobody")))
    assert caplog.text.count("ended in the poison queue") == 2
    assert list(hosted.instance.keyturn().ledger.records()) == []


# -------- without a queue


def test_without_fan_out_the_timer_sweeps_by_itself(stage: Scene) -> None:
    with Hosted.started(stage, KEYTURN_FAN_OUT="none") as hosted:
        assert hosted.tick() == []
        assert hosted.record().stage is Stage.IDLE


def test_short_waits_are_slept_through_only_where_they_fit(stage: Scene) -> None:
    stages = {}
    for limit in ("240", "5"):
        folder = stage.folder / limit
        folder.mkdir()
        scene = Scene(stage.azure, folder)
        with Hosted.started(scene, KEYTURN_FAN_OUT="none", KEYTURN_TIME_LIMIT=limit) as hosted:
            hosted.tick()
            scene.azure.advance(31 * DAY)
            hosted.tick()
            stages[limit] = hosted.record().stage
    assert stages == {"240": Stage.DRAIN, "5": Stage.CONFIRM}


# -------- two invocations at once, and sinks that are another's


def test_two_invocations_of_one_process_do_not_share_a_lease(hosted: Hosted) -> None:
    hosted.settled()
    keyturn = hosted.instance.keyturn()
    one, other = hosted.instance.holder(), hosted.instance.holder()
    now = keyturn.clock.now()
    assert keyturn.ledger.lease(KEY, one, now, timedelta(minutes=2))
    assert not keyturn.ledger.lease(KEY, other, now, timedelta(minutes=2))


def test_a_credential_in_the_hands_of_another_host_is_left_to_it(
    hosted: Hosted, caplog: pytest.LogCaptureFixture
) -> None:
    hosted.settled()
    keyturn = hosted.instance.keyturn()
    assert keyturn.ledger.lease(KEY, hosted.instance.holder(), keyturn.clock.now(), timedelta(minutes=2))
    with caplog.at_level(logging.INFO, "keyturn"):
        hosted.turn(look())
    assert "in the hands of another keyturn" in caplog.text


def test_a_new_credential_whose_sink_is_anothers_is_held_before_its_first_turn(stage: Scene) -> None:
    stage.configure(
        {
            "match": "{ service: shop, sid: [contoso, fabrikam] }",
            "publish": "[ { keyvault: { vault: shop-kv, secret: shared } } ]",
        }
    )
    with Hosted.started(stage) as hosted:
        hosted.turn(messages.written(messages.Message(key=KEY, why="look")))
        for sid in ("contoso", "fabrikam"):
            hold = hosted.record(sid).hold
            assert hold is not None and hold.reason == "sink-clash"
    assert stage.azure.snapshot()["vaults"][0]["secrets"] == []


# -------- what a hostile look at it found; each was seen failing before it was mended


def deliver(hosted: Hosted, text: str) -> int:
    """As the host delivers: again after a failure, five times at the most. How often it failed."""
    for count in range(1, 6):
        try:
            hosted.turn(text, dequeue_count=count)
        except KeyturnError:
            continue
        return count - 1
    return 5


READ = {"method": "GET", "path_contains": "/subscriptions/contoso"}


@pytest.mark.parametrize(("status", "reason"), [(403, "refused"), (429, "unreachable"), (503, "unreachable")])
def test_a_credential_that_cannot_be_read_fails_once_waits_and_says_so(
    hosted: Hosted, status: int, reason: str
) -> None:
    hosted.settled()
    hosted.stage.azure.advance(31 * DAY)
    hosted.stage.azure.fault("status", READ, times=-1, status=status, code="Refused", message="no", retry_after=1800)
    (text,) = hosted.tick()
    assert deliver(hosted, text) == 1
    record = hosted.record()
    assert record.failures == 1
    assert record.waiting is not None
    assert record.waiting.reason == reason
    assert record.not_before is not None


def test_a_hint_whose_first_delivery_failed_is_looked_at_by_the_second(hosted: Hosted) -> None:
    hosted.settled()
    hosted.stage.azure.advance(3600)
    hosted.stage.azure.portal(SERVICE, "contoso", "primary")
    hosted.stage.azure.fault("status", READ, times=4, status=503, code="Busy", message="busy")
    with pytest.raises(TryAgain):
        hosted.turn(look())
    hosted.stage.azure.control("DELETE", "faults")
    asked = len(hosted.stage.azure.calls("arm"))
    hosted.turn(look(), dequeue_count=2)
    assert len(hosted.stage.azure.calls("arm")) > asked


def test_what_is_due_in_a_service_that_cannot_be_listed_is_enqueued_all_the_same(hosted: Hosted) -> None:
    hosted.settled()
    hosted.stage.azure.advance(31 * DAY)
    lists = {"method": "GET", "path_regex": "/subscriptions$"}
    hosted.stage.azure.fault("status", lists, times=-1, status=503, code="Busy", message="busy")
    (text,) = hosted.tick()
    assert json.loads(text)["key"] == KEY
    hosted.turn(text)
    assert hosted.record().stage is not Stage.IDLE


def test_whose_sink_it_is_must_be_known_before_a_first_turn_there(hosted: Hosted) -> None:
    """A credential that shares a sink with another is held; while nobody can list, it waits."""
    hosted.settled()
    config = hosted.stage.folder / "keyturn.yaml"
    text = config.read_text(encoding="utf-8")
    shown = hosted.stage.azure.keys(SERVICE, "contoso")
    config.write_text(
        text.replace("{ sid: contoso }", "{ service: shop }").replace("{sid}", "contoso"), encoding="utf-8"
    )
    lists = {"method": "GET", "path_regex": "/subscriptions$"}
    hosted.stage.azure.fault("status", lists, times=-1, status=503, code="Busy", message="busy")
    with Hosted.started(hosted.stage) as other:
        key = f"{SERVICE}/subscriptions/northwind".lower()
        assert deliver(other, look(key)) == 5
        assert other.ask("POST", "credentials/shop/northwind/rotate", {}).status == 503
    assert hosted.stage.azure.keys(SERVICE, "contoso") == shown


@pytest.mark.parametrize("name", ["..", ".", "%2e%2e", "gateways/.."])
def test_a_name_that_leads_elsewhere_is_nobodys(hosted: Hosted, name: str) -> None:
    hosted.settled()
    before = [record.key for record in hosted.instance.keyturn().ledger.records()]
    config = hosted.stage.folder / "keyturn.yaml"
    text = config.read_text(encoding="utf-8")
    wide = text.replace("{ sid: contoso }", "{ service: shop }")
    assert wide != text
    config.write_text(wide, encoding="utf-8")
    with Hosted.started(hosted.stage) as other:
        assert other.ask("POST", f"credentials/shop/{name}/rotate", {}).status in {404, 502}
        assert [record.key for record in other.instance.keyturn().ledger.records()] == before


def test_a_held_credential_under_another_policy_is_enqueued_no_more(hosted: Hosted) -> None:
    hosted.settled()
    keyturn = hosted.instance.keyturn()
    stored = keyturn.ledger.load(KEY)
    assert stored is not None
    held, told = by_hand.hold(stored.record.but(policy=""), "a test", keyturn.clock.now())
    keyturn.ledger.save(held, stored.version, [told])
    assert hosted.tick() == []


@pytest.mark.parametrize("field", ["key", "id"])
def test_control_characters_in_a_message_reach_no_log(hosted: Hosted, field: str) -> None:
    given = {"key": "/subscriptions/a", "id": "", "why": "due"}
    given[field] += "\nforged line"
    with pytest.raises(Malformed):
        hosted.turn(json.dumps(given))


def test_a_changed_policy_frees_what_was_parked_by_the_message_that_tells_of_it(hosted: Hosted) -> None:
    hosted.settled()
    keyturn = hosted.instance.keyturn()
    stored = keyturn.ledger.load(KEY)
    assert stored is not None
    now = keyturn.clock.now()
    parked = Hold(reason="parked", sentence="it has failed for a week", since=now)
    keyturn.ledger.save(stored.record.but(policy="partners 0123456789ab", hold=parked), stored.version, [])
    (text,) = hosted.tick()
    hosted.turn(text)
    assert hosted.record().hold is None
    assert hosted.tick() == []
