"""The data plane: who is let in, with which words others are not, and what is counted (azure-facts 6)."""

from __future__ import annotations

import json

import pytest

from tests.emulator.small_azure import EAST, SmallAzure, content

MISSING = (
    '{ "statusCode": 401, "message": "Access denied due to missing subscription key. Make sure to include '
    'subscription key when making requests to an API." }'
)
INVALID = (
    '{ "statusCode": 401, "message": "Access denied due to invalid subscription key. Make sure to provide a valid '
    'key for an active subscription." }'
)
WEST = "shop-apim-westeurope-01.regional.azure-api.net"


@pytest.fixture
def azure() -> SmallAzure:
    return SmallAzure()


# the two refusals


@pytest.mark.witness("the-two-401-bodies")
def test_without_a_key_the_401_says_that_it_is_missing(azure: SmallAzure) -> None:
    answer = azure.call("/orders/1")
    assert (answer.status, answer.body.decode()) == (401, MISSING)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["WWW-Authenticate"] == (
        'AzureApiManagementKey realm="https://shop-apim.azure-api.net/orders",'
        'name="Ocp-Apim-Subscription-Key",type="header"'
    )


@pytest.mark.witness("the-two-401-bodies")
def test_with_a_wrong_key_the_401_says_that_it_is_invalid(azure: SmallAzure) -> None:
    answer = azure.call("/status", "wrong", header="x-status-key", host=EAST)
    assert (answer.status, answer.body.decode()) == (401, INVALID)
    assert answer.headers["WWW-Authenticate"] == (
        f'AzureApiManagementKey realm="https://{EAST}/status",name="X-Status-Key",type="header"'
    )


@pytest.mark.parametrize("slot", [0, 1])
def test_both_slots_open_the_api_and_the_answer_never_holds_the_key(azure: SmallAzure, slot: int) -> None:
    value = azure.keys("contoso")[slot]
    answer = azure.call("/orders/1", value)
    assert answer.status == 200
    assert content(answer) == {"api": "orders", "operation": "GET /1"}
    assert value not in answer.body.decode()


# where the key is looked for


@pytest.mark.witness("header-before-query")
def test_the_query_is_looked_at_when_there_is_no_header(azure: SmallAzure) -> None:
    assert azure.call("/orders", query={"subscription-key": azure.keys("contoso")[0]}).status == 200


@pytest.mark.witness("header-before-query")
@pytest.mark.parametrize(("header", "body"), [("wrong", INVALID), ("", MISSING)])
def test_the_header_wins_over_the_query_even_when_it_is_empty(azure: SmallAzure, header: str, body: str) -> None:
    answer = azure.call("/orders", header, query={"subscription-key": azure.keys("contoso")[0]})
    assert (answer.status, answer.body.decode()) == (401, body)


@pytest.mark.witness("header-before-query")
def test_an_api_with_names_of_its_own_ignores_the_usual_ones(azure: SmallAzure) -> None:
    value = azure.keys("contoso")[0]
    assert azure.call("/status", value).body.decode() == MISSING
    assert azure.call("/status", query={"subscription-key": value}).body.decode() == MISSING
    assert azure.call("/status", value, header="x-status-key").status == 200
    assert azure.call("/status", query={"status-key": value}).status == 200


# what a key opens


@pytest.mark.witness("scopes-at-a-gateway")
@pytest.mark.parametrize(
    ("sid", "opens"),
    [
        ("contoso", {"orders", "status"}),
        ("fabrikam", {"orders"}),
        ("everything", {"orders", "orders/v2", "status"}),
        ("master", {"orders", "orders/v2", "status"}),
    ],
)
def test_a_key_opens_what_its_scope_holds_and_no_more(azure: SmallAzure, sid: str, opens: set[str]) -> None:
    value = azure.keys(sid)[0]
    names = {"orders": "ocp-apim-subscription-key", "orders/v2": "ocp-apim-subscription-key", "status": "x-status-key"}
    opened = {path for path, header in names.items() if azure.call(f"/{path}", value, header=header).status == 200}
    assert opened == opens
    counted = azure.outcomes()
    assert counted.get("out-of-scope", 0) == 3 - len(opens)


def test_the_longest_api_path_wins(azure: SmallAzure) -> None:
    value = azure.keys("everything")[0]
    assert content(azure.call("/orders/v2/7", value)) == {"api": "orders-v2", "operation": "GET /7"}
    assert content(azure.call("/orders/v22", value)) == {"api": "orders", "operation": "GET /v22"}


@pytest.mark.witness("operations-limit-nothing")
def test_described_operations_limit_nothing() -> None:
    described = {"name": "shop-apim", "apis": [{"id": "orders", "path": "orders", "operations": [{"id": "one"}]}]}
    azure = SmallAzure(services=[described])
    assert azure.call("/orders/anything", azure.service.subscriptions["master"].primary).status == 200


@pytest.mark.parametrize("path", ["/", "/nothing", "/order"])
def test_an_unknown_route_is_a_404_whatever_the_key(azure: SmallAzure, path: str) -> None:
    assert azure.call(path).status == azure.call(path, azure.keys("master")[0]).status == 404
    assert azure.outcomes() == {"no-route": 2}


def test_a_change_of_scope_changes_what_the_key_opens(azure: SmallAzure) -> None:
    value = azure.keys("fabrikam")[0]
    azure.patch("fabrikam", {"scope": "/apis/orders-v2"})
    assert azure.call("/orders", value).status == 401
    assert azure.call("/orders/v2", value).status == 200


@pytest.mark.witness("only-active-lets-in")
@pytest.mark.parametrize("state", ["suspended", "expired", "submitted", "rejected", "cancelled"])
def test_only_an_active_one_lets_anybody_in(azure: SmallAzure, state: str) -> None:
    value = azure.keys("contoso")[0]
    azure.patch("contoso", {"state": state})
    answer = azure.call("/orders", value)
    assert (answer.status, answer.body.decode()) == (401, INVALID)
    assert azure.outcomes() == {"inactive": 1}
    azure.patch("contoso", {"state": "active"})
    assert azure.call("/orders", value).status == 200


@pytest.mark.witness("only-active-lets-in")
def test_an_expiry_date_alone_shuts_nobody_out(azure: SmallAzure) -> None:
    azure.patch("contoso", {"expirationDate": "2026-01-06T00:00:00Z"})
    azure.world.clock.advance(7 * 86_400)
    assert azure.call("/orders", azure.keys("contoso")[0]).status == 200


def test_a_deleted_ones_keys_are_dead_and_those_of_its_successor_live(azure: SmallAzure) -> None:
    old = azure.keys("contoso")[0]
    azure.ask("DELETE", "subscriptions/contoso", match="*")
    assert azure.call("/orders", old).status == 401
    assert azure.outcomes() == {"dead-value": 1}
    azure.put("contoso", {"scope": "/products/gold", "displayName": "Again"})
    assert azure.call("/orders", old).status == 401
    assert azure.call("/orders", azure.keys("contoso")[0]).status == 200


# where no key is needed


@pytest.mark.witness("open-products-and-apis")
@pytest.mark.parametrize("path", ["/news", "/ping"])
def test_an_open_product_or_an_api_without_subscription_needs_no_key(azure: SmallAzure, path: str) -> None:
    assert azure.call(path).status == 200


@pytest.mark.witness("switch open_accepts_any_key")
@pytest.mark.parametrize("path", ["/news", "/ping"])
def test_there_a_wrong_key_proves_nothing_unless_switched(path: str) -> None:
    assert SmallAzure().call(path, "never-a-key").status == 200
    strict = SmallAzure(switches={"open_accepts_any_key": False})
    assert strict.call(path, "never-a-key").status == 401
    assert strict.call(path).status == 200
    assert strict.call(path, strict.keys("master")[0]).status == 200


# propagation


@pytest.mark.witness("each-gateway-has-its-delays")
def test_a_new_value_works_at_a_slow_gateway_only_after_its_delay(azure: SmallAzure) -> None:
    azure.patch("contoso", {"secondaryKey": "fresh"})
    assert azure.call("/orders", "fresh").status == 200
    assert azure.call("/orders", "fresh", host=WEST).status == 200
    assert azure.call("/orders", "fresh", host=EAST).body.decode() == INVALID
    assert azure.outcomes() == {"ok": 2, "not-yet": 1}
    azure.world.clock.advance(59)
    assert azure.call("/orders", "fresh", host=EAST).status == 401
    azure.world.clock.advance(1)
    assert azure.call("/orders", "fresh", host=EAST).status == 200


@pytest.mark.witness("each-gateway-has-its-delays")
@pytest.mark.parametrize("how", ["regenerate", "set"])
def test_an_old_value_is_refused_at_a_slow_gateway_only_after_its_delay(azure: SmallAzure, how: str) -> None:
    old = azure.keys("contoso")[0]
    if how == "regenerate":
        azure.ask("POST", "subscriptions/contoso/regeneratePrimaryKey")
    else:
        azure.patch("contoso", {"primaryKey": "fresh"})
    assert azure.call("/orders", old).status == 401
    azure.world.clock.advance(119)
    assert azure.call("/orders", old, host=EAST).status == 200
    azure.world.clock.advance(1)
    assert azure.call("/orders", old, host=EAST).body.decode() == INVALID
    assert azure.outcomes() == {"dead-value": 2, "ok": 1}


@pytest.mark.witness("a-clock-set-wrong-hastens-nothing")
def test_a_clock_that_is_set_ahead_brings_no_news(azure: SmallAzure) -> None:
    azure.patch("contoso", {"secondaryKey": "fresh"})
    azure.world.clock.jump(3600)
    assert azure.call("/orders", "fresh", host=EAST).status == 401


def test_a_suspension_reaches_a_slow_gateway_late_and_so_does_its_end(azure: SmallAzure) -> None:
    value = azure.keys("contoso")[0]
    azure.patch("contoso", {"state": "suspended"})
    assert azure.call("/orders", value, host=EAST).status == 200
    azure.world.clock.advance(120)
    assert azure.call("/orders", value, host=EAST).status == 401
    azure.patch("contoso", {"state": "active"})
    assert azure.call("/orders", value, host=EAST).status == 401
    azure.world.clock.advance(60)
    assert azure.call("/orders", value, host=EAST).status == 200


def test_a_new_apim_subscription_is_unknown_to_a_slow_gateway_at_first(azure: SmallAzure) -> None:
    azure.put("new", {"scope": "/apis", "displayName": "New", "primaryKey": "fresh"})
    assert azure.call("/orders", "fresh").status == 200
    assert azure.call("/orders", "fresh", host=EAST).status == 401
    azure.world.clock.advance(60)
    assert azure.call("/orders", "fresh", host=EAST).status == 200


def test_seeded_keys_work_everywhere_from_the_first_moment(azure: SmallAzure) -> None:
    for host in azure.gateway.hosts():
        assert azure.call("/orders", azure.keys("contoso")[0], host=host).status == 200


# what is counted


@pytest.mark.witness("calls-are-counted")
def test_each_call_is_counted_once_by_whose_key_where_and_how_it_ended(azure: SmallAzure) -> None:
    primary, secondary = azure.keys("contoso")
    azure.call("/orders", primary, agent="caller/a python")
    azure.call("/orders", primary, agent="caller/a python")
    azure.call("/orders", secondary, host=EAST, agent="keyturn/1 x")
    azure.call("/orders", "unknown", agent="")
    azure.call("/orders", agent="caller/b")
    azure.ask("POST", "subscriptions/contoso/regeneratePrimaryKey")
    azure.call("/orders", primary, agent="caller/b")
    rows = {tuple(row.values()) for row in azure.gateway.summary()["calls"]}
    assert rows == {
        ("shop-apim", "westeurope", "contoso", "primary", "ok", "caller/a", 2),
        ("shop-apim", "eastus", "contoso", "secondary", "ok", "keyturn/1", 1),
        ("shop-apim", "westeurope", None, None, "unknown-value", "-", 1),
        ("shop-apim", "westeurope", None, None, "missing", "caller/b", 1),
        ("shop-apim", "westeurope", "contoso", "primary", "dead-value", "caller/b", 1),
    }


@pytest.mark.witness("calls-are-counted")
def test_refusals_of_dead_values_are_remembered_without_the_value(azure: SmallAzure) -> None:
    dead = azure.keys("contoso")[0]
    azure.ask("POST", "subscriptions/contoso/regeneratePrimaryKey")
    azure.world.clock.advance(3600)
    azure.call("/orders", dead, agent="caller/late")
    summary = azure.gateway.summary()
    assert summary["dead"] == [
        {
            "at": "2026-01-05T09:00:00.123400Z",
            "service": "shop-apim",
            "gateway": "westeurope",
            "sid": "contoso",
            "slot": "primary",
            "agent": "caller/late",
            "api": "orders",
        }
    ]
    assert summary["dead_total"] == 1
    assert dead not in json.dumps(summary)


def test_the_memory_of_refusals_is_bounded_and_their_number_is_not(azure: SmallAzure) -> None:
    dead = azure.keys("contoso")[0]
    azure.ask("POST", "subscriptions/contoso/regeneratePrimaryKey")
    for _ in range(1005):
        azure.call("/orders", dead)
    summary = azure.gateway.summary()
    assert (len(summary["dead"]), summary["dead_total"], summary["outcomes"]) == (1000, 1005, {"dead-value": 1005})
    azure.gateway.reset()
    assert azure.gateway.summary() == {"calls": [], "outcomes": {}, "dead": [], "dead_total": 0}


def test_a_value_shared_by_two_apim_subscriptions_opens_what_either_opens(azure: SmallAzure) -> None:
    azure.patch("fabrikam", {"primaryKey": "shared"})
    azure.patch("contoso", {"primaryKey": "shared"})
    assert azure.call("/orders", "shared").status == 200
    assert azure.call("/status", "shared", header="x-status-key").status == 200
    azure.patch("contoso", {"primaryKey": "own"})
    assert azure.call("/status", "shared", header="x-status-key").status == 401
    assert azure.call("/orders", "shared").status == 200


def test_equal_slots_stay_alive_until_both_are_written(azure: SmallAzure) -> None:
    azure.patch("contoso", {"primaryKey": "same", "secondaryKey": "same"})
    azure.ask("POST", "subscriptions/contoso/regeneratePrimaryKey")
    assert azure.call("/orders", "same").status == 200
    azure.ask("POST", "subscriptions/contoso/regenerateSecondaryKey")
    assert azure.call("/orders", "same").status == 401


def test_a_service_that_was_replaced_answers_with_its_new_keys(azure: SmallAzure) -> None:
    old = azure.keys("contoso")[0]
    assert azure.call("/orders", old).status == 200
    fresh = SmallAzure(seed=8).service
    azure.world.services[fresh.key] = fresh
    assert azure.call("/orders", old).status == 401
    assert azure.call("/orders", fresh.subscriptions["contoso"].primary).status == 200
