"""Resource Manager's buckets (azure-facts 4, azure-recorded 9)."""

from __future__ import annotations

import pytest

from keyturn_emulator.throttling import Throttle, operation_of
from keyturn_emulator.world import RoleAssignment
from tests.emulator.small_azure import AZURE, CLIENT, NOBODY, SmallAzure, error_of

READS = "x-ms-ratelimit-remaining-subscription-reads"
WRITES = "x-ms-ratelimit-remaining-subscription-writes"


@pytest.mark.parametrize(
    ("method", "operation"),
    [
        ("GET", "reads"),
        ("HEAD", "reads"),
        ("PUT", "writes"),
        ("PATCH", "writes"),
        ("POST", "writes"),
        ("DELETE", "deletes"),
    ],
)
def test_each_method_pays_at_one_bucket(method: str, operation: str) -> None:
    assert operation_of(method) == operation


@pytest.mark.witness("token-buckets-per-principal")
@pytest.mark.parametrize(("method", "size", "rate"), [("GET", 250, 25), ("PUT", 200, 10), ("DELETE", 200, 10)])
def test_a_bucket_holds_its_size_and_refills_at_its_rate(method: str, size: int, rate: int) -> None:
    throttle = Throttle()
    paid = [throttle.take("sub", "me", method, 0.0, own=False).wait for _ in range(size)]
    assert paid == [0] * size
    assert throttle.take("sub", "me", method, 0.0, own=False).wait == 1
    again = [throttle.take("sub", "me", method, 1.0, own=False).wait for _ in range(rate)]
    assert again == [0] * rate
    assert throttle.take("sub", "me", method, 1.0, own=False).wait == 1


@pytest.mark.witness("429-with-retry-after")
def test_a_request_before_the_named_wait_is_over_is_refused_again() -> None:
    throttle = Throttle()
    for _ in range(200):
        throttle.take("sub", "me", "PUT", 0.0, own=False)
    assert throttle.take("sub", "me", "PUT", 0.0, own=False).wait == 1
    assert throttle.take("sub", "me", "PUT", 0.5, own=False).wait == 1  # five tokens are back, and it is shut
    assert throttle.take("sub", "me", "PUT", 1.0, own=False).wait == 0


def test_a_bucket_never_holds_more_than_its_size() -> None:
    throttle = Throttle()
    throttle.take("sub", "me", "GET", 0.0, own=False)
    assert throttle.take("sub", "me", "GET", 1e6, own=False).headers[READS] == "249"


def test_principals_and_azure_subscriptions_have_buckets_of_their_own() -> None:
    throttle = Throttle()
    for _ in range(10):
        throttle.take("sub", "me", "GET", 0.0, own=False)
    assert throttle.take("sub", "you", "GET", 0.0, own=False).headers[READS] == "249"
    assert throttle.take("other", "me", "GET", 0.0, own=False).headers[READS] == "249"


@pytest.mark.witness("token-buckets-per-principal")
def test_all_principals_together_share_a_global_bucket_fifteen_times_the_size() -> None:
    throttle = Throttle()
    for who in range(15):
        assert all(throttle.take("sub", f"app-{who}", "PUT", 0.0, own=False).wait == 0 for _ in range(200))
    refused = throttle.take("sub", "one-more", "PUT", 0.0, own=False)
    assert refused.wait == 1
    assert refused.headers["x-ms-ratelimit-remaining-subscription-global-writes"] == "0"
    assert refused.headers[WRITES] == "200", "who is refused at the global bucket pays nothing at the own one"


@pytest.mark.witness("remaining-headers")
def test_headers_count_down_from_249_reads_and_199_writes() -> None:
    azure = SmallAzure()
    assert [azure.ask("GET", "subscriptions/contoso").headers[READS] for _ in range(2)] == ["249", "248"]
    answer = azure.ask("POST", "subscriptions/contoso/listSecrets")
    assert answer.headers[WRITES] == "199"
    assert answer.headers["x-ms-ratelimit-remaining-subscription-global-writes"] == "2999"
    assert READS not in answer.headers


@pytest.mark.witness("switch post_actions_own_bucket")
def test_post_actions_and_patches_share_the_write_bucket_unless_switched() -> None:
    def remaining(**switches: bool) -> list[str]:
        azure = SmallAzure(switches=switches)
        first = azure.ask("POST", "subscriptions/contoso/listSecrets")
        second = azure.patch("contoso", {"displayName": "New"})
        third = azure.ask("POST", "subscriptions/contoso/regeneratePrimaryKey")
        return [answer.headers[WRITES] for answer in (first, second, third)]

    assert remaining() == ["199", "198", "197"]
    assert remaining(post_actions_own_bucket=True) == ["199", "199", "198"]


@pytest.mark.witness("429-with-retry-after", "a-clock-set-wrong-hastens-nothing")
def test_the_429_names_kind_actor_and_wait_and_time_alone_ends_it() -> None:
    azure = SmallAzure()
    for _ in range(200):
        assert azure.ask("POST", "subscriptions/contoso/listSecrets").status == 200
    before = azure.etag("contoso")
    refused = azure.ask("POST", "subscriptions/contoso/regeneratePrimaryKey")
    oid = azure.world.applications[CLIENT].object_id
    assert refused.status == 429
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers[WRITES] == "0"
    assert error_of(refused) == {
        "code": "SubscriptionRequestsThrottled",
        "message": f"Number of 'write' requests for subscription actor '{AZURE}:{oid}' exceeded. Please try "
        "again after '1' seconds after additional tokens are available. Refer to "
        "https://aka.ms/arm-throttling for additional information.",
    }
    assert azure.etag("contoso") == before, "a throttled request has no effect"
    azure.world.clock.jump(3600)
    assert azure.ask("POST", "subscriptions/contoso/listSecrets").status == 429, "a clock set ahead refills nothing"
    azure.world.clock.advance(1)
    assert azure.ask("POST", "subscriptions/contoso/listSecrets").status == 200


def test_requests_outside_an_azure_subscription_pay_at_the_tenant() -> None:
    answer = SmallAzure().ask("GET", "/subscriptions", version="2022-12-01")
    assert answer.headers["x-ms-ratelimit-remaining-tenant-reads"] == "249"
    assert READS not in answer.headers


def test_a_refused_role_check_costs_no_token() -> None:
    azure = SmallAzure()
    assert azure.ask("GET", "subscriptions/contoso", client=NOBODY).status == 403
    nobody = azure.world.applications[NOBODY].object_id
    azure.world.role_assignments.append(RoleAssignment(nobody, "Reader", azure.service.id))
    assert azure.ask("GET", "subscriptions/contoso", client=NOBODY).headers[READS] == "249"


@pytest.mark.witness("order-of-checks")
@pytest.mark.parametrize("path", ["{}-2/subscriptions", "{}/subscriptions/nobody"])
def test_asking_for_what_is_missing_costs_a_token(path: str) -> None:
    azure = SmallAzure()
    assert azure.ask("GET", path.format(azure.service.id)).status == 404
    assert azure.ask("GET", "subscriptions/contoso").headers[READS] == "248"
