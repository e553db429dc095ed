"""Event Grid: an event is a hint, in either schema, and what says nothing to keyturn is ignored."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable

import pytest

from keyturn.model import Record
from tests.functions.hosting import Hosted
from tests.journeys.stage import SERVICE

NEAR, NEW = "Microsoft.KeyVault.SecretNearExpiry", "Microsoft.KeyVault.SecretNewVersionCreated"
UPDATED = "Microsoft.ApiManagement.SubscriptionUpdated"
CONTOSO = f"{SERVICE}/subscriptions/contoso"
SECRET = {
    "Id": "https://shop-kv.vault.azure.net/secrets/apim-contoso",
    "VaultName": "shop-kv",
    "ObjectName": "apim-contoso",
}


@pytest.fixture
def settled(hosted: Hosted) -> Hosted:
    hosted.settled()
    return hosted


@pytest.mark.parametrize("cloud_event", [False, True], ids=["Event Grid's schema", "CloudEvents"])
def test_a_secret_of_ours_is_worth_one_look_at_whoever_publishes_there(settled: Hosted, cloud_event: bool) -> None:
    for kind in (NEAR, NEW):
        (text,) = settled.hint(kind, "apim-contoso", SECRET, cloud_event=cloud_event)
        assert json.loads(text) == {"key": CONTOSO.lower(), "why": "look", "id": "shop/contoso"}


def test_names_are_compared_as_azure_does_without_case(settled: Hosted) -> None:
    data = {"vaultName": "SHOP-KV", "objectName": "APIM-Contoso"}
    assert len(settled.hint(NEW, "APIM-Contoso", data)) == 1
    assert len(settled.hint(UPDATED, "", {"resourceUri": CONTOSO.upper()})) == 1


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (NEW, {"VaultName": "other-kv", "ObjectName": "apim-contoso"}),
        (NEW, {}),
        (NEW, None),
        (NEW, ["a list"]),
        (UPDATED, {"resourceUri": "/subscriptions/elsewhere"}),
        (UPDATED, {"resourceUri": 7}),
        ("Microsoft.KeyVault.KeyNewVersionCreated", SECRET),
        ("Contoso.Something", None),
        ("", None),
    ],
)
def test_an_event_that_says_nothing_to_keyturn_is_ignored_with_a_line(
    settled: Hosted, caplog: pytest.LogCaptureFixture, kind: str, data: object
) -> None:
    with caplog.at_level(logging.INFO, "keyturn"):
        caplog.clear()
        assert settled.hint(kind, "", data) == []
    assert "ignored" in caplog.messages[-1]


def test_a_near_expiry_that_comes_too_early_changes_nothing(settled: Hosted) -> None:
    before = settled.stage.azure.keys(SERVICE, "contoso")
    for text in settled.hint(NEAR, "apim-contoso", SECRET):
        settled.turn(text)
    assert settled.stage.azure.keys(SERVICE, "contoso") == before
    assert settled.record().rotations == 0


def test_drift_is_found_by_the_event_long_before_the_next_look(settled: Hosted) -> None:
    settled.stage.azure.advance(7200)
    settled.stage.azure.portal("shop-apim", "contoso", "primary")
    assert settled.tick() == []
    assert "drift" not in settled.history()
    for text in settled.hint(UPDATED, "", {"resourceUri": CONTOSO}):
        settled.turn(text)
    assert "drift" in settled.history()


def test_a_new_publisher_is_known_soon_although_the_ledger_is_not_read_for_each_event(
    settled: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"VaultName": "shop-kv", "ObjectName": "unknown"}
    settled.hint(NEW, "unknown", data)
    read: list[int] = []
    ledger = settled.instance.keyturn().ledger
    records = ledger.records

    def counted() -> Iterable[Record]:
        read.append(1)
        return records()

    monkeypatch.setattr(ledger, "records", counted)
    for _ in range(20):
        settled.hint(NEW, "apim-contoso", SECRET)
    assert read == []
    settled.stage.azure.advance(60)
    settled.hint(NEW, "unknown", data)
    assert read == [1]
