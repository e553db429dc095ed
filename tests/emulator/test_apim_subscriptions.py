"""Apim subscriptions over the wire, as recorded from the real service (azure-recorded 1 to 6)."""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from keyturn_emulator import entra
from keyturn_emulator.wire import Answer, Call
from tests.emulator.small_azure import CLIENT, GROUP, SmallAzure, content, error_of

SERVICE = f"{GROUP}/providers/Microsoft.ApiManagement/service/shop-apim"
TYPE = "Microsoft.ApiManagement/service/subscriptions"
GOLD = {"scope": "/products/gold", "displayName": "Gold one"}
HEX = re.compile("[0-9a-f]{32}")


@pytest.fixture
def azure() -> SmallAzure:
    return SmallAzure()


# ETags (azure-recorded 1)


def row_of(etag: str) -> int:
    assert etag[0] == etag[-1] == '"'
    row = base64.b64decode(etag[1:-1], validate=True)
    assert len(row) == 8
    return int.from_bytes(row, "big")


@pytest.mark.witness("etags-are-big-endian-rowversions")
def test_an_etag_is_a_quoted_big_endian_rowversion_that_grows(azure: SmallAzure) -> None:
    rows = [row_of(azure.etag(sid)) for sid in ("master", "contoso", "fabrikam")]
    assert rows == sorted(set(rows))
    assert rows[-1] < 2**32, "small numbers: the high bytes come first"
    azure.patch("master", {"displayName": "Changed"})
    assert row_of(azure.etag("master")) > rows[-1]


@pytest.mark.witness("etags-move-with-each-real-change")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "", {"properties": {"displayName": "New"}}),
        ("PATCH", "", {"properties": {"primaryKey": "chosen-value"}}),
        ("PATCH", "", {"properties": {"state": "suspended"}}),
        ("PUT", "", {"properties": {"scope": "/apis", "displayName": "Contoso"}}),
        ("POST", "/regeneratePrimaryKey", None),
        ("POST", "/regenerateSecondaryKey", None),
    ],
)
def test_a_real_change_and_each_regenerate_move_the_etag(azure: SmallAzure, method: str, path: str, body: Any) -> None:
    seen = [azure.etag("contoso")]
    match = "*" if method in {"PATCH", "PUT"} else None
    answer = azure.ask(method, f"subscriptions/contoso{path}", body, match=match)
    assert answer.status in {200, 204}
    assert azure.etag("contoso") not in seen
    assert azure.etag("contoso") == azure.etag("contoso")


def test_each_regenerate_moves_the_etag_again(azure: SmallAzure) -> None:
    seen = {azure.etag("contoso")}
    for slot in ("Primary", "Primary", "Secondary", "Secondary"):
        azure.ask("POST", f"subscriptions/contoso/regenerate{slot}Key")
        seen.add(azure.etag("contoso"))
    assert len(seen) == 5


@pytest.mark.witness("etags-move-with-each-real-change")
def test_a_patch_that_changes_nothing_keeps_the_etag(azure: SmallAzure) -> None:
    before = azure.etag("contoso")
    primary, _ = azure.keys("contoso")
    answer = azure.patch("contoso", {"displayName": "Contoso", "primaryKey": primary, "state": "active"})
    assert answer.status == 200
    assert answer.headers["ETag"] == before == azure.etag("contoso")


@pytest.mark.witness("etags-move-with-each-real-change")
def test_listing_secrets_keeps_the_etag_and_tells_it(azure: SmallAzure) -> None:
    before = azure.etag("contoso")
    assert azure.ask("POST", "subscriptions/contoso/listSecrets").headers["ETag"] == before
    assert azure.etag("contoso") == before


@pytest.mark.witness("which-answers-carry-the-etag")
def test_the_etag_is_told_where_azure_tells_it_and_nowhere_else(azure: SmallAzure) -> None:
    one = "subscriptions/contoso"
    with_it = {
        "get": azure.ask("GET", one),
        "head": azure.ask("HEAD", one),
        "put": azure.put("contoso", GOLD),
        "patch": azure.patch("contoso", {"displayName": "P"}),
        "secrets": azure.ask("POST", f"{one}/listSecrets"),
        "user": azure.ask("GET", f"users/ada/{one}"),
    }
    without = {
        "list": azure.ask("GET", "subscriptions"),
        "regenerate": azure.ask("POST", f"{one}/regeneratePrimaryKey"),
        "error": azure.ask("GET", "subscriptions/nobody"),
        "delete": azure.ask("DELETE", one, match="*"),
        "delete again": azure.ask("DELETE", one, match="*"),
        "old patch": azure.patch("fabrikam", {"displayName": "P"}, version="2019-12-01"),
    }
    assert {name for name, answer in with_it.items() if "ETag" not in answer.headers} == set()
    assert {name for name, answer in without.items() if "ETag" in answer.headers} == set()


def test_the_etag_is_the_same_under_the_users_path(azure: SmallAzure) -> None:
    under_user = azure.ask("GET", "users/ada/subscriptions/contoso")
    assert under_user.headers["ETag"] == azure.etag("contoso")


# If-Match


@pytest.mark.witness("412-for-a-stale-tag")
def test_a_patch_with_the_current_etag_goes_through_and_the_same_one_again_is_a_412(azure: SmallAzure) -> None:
    tag = azure.etag("contoso")
    assert azure.patch("contoso", {"displayName": "First"}, tag).status == 200
    late = azure.patch("contoso", {"displayName": "Second"}, tag)
    assert late.status == 412
    assert error_of(late) == {
        "code": "PreconditionFailed",
        "message": "Resource was modified since last retrieval. Please retrieve latest version.",
        "details": None,
    }
    assert content(azure.ask("GET", "subscriptions/contoso"))["properties"]["displayName"] == "First"


@pytest.mark.witness("a-regenerate-makes-the-write-fail")
@pytest.mark.parametrize("slot", ["Primary", "Secondary"])
def test_a_regenerate_between_read_and_write_makes_the_write_fail(azure: SmallAzure, slot: str) -> None:
    tag = azure.etag("contoso")
    azure.ask("POST", f"subscriptions/contoso/regenerate{slot}Key")
    before = azure.keys("contoso")
    assert azure.patch("contoso", {"primaryKey": "too-late"}, tag).status == 412
    assert azure.keys("contoso") == before


def test_the_tag_after_a_regenerate_is_good_for_a_delete(azure: SmallAzure) -> None:
    azure.ask("POST", "subscriptions/contoso/regeneratePrimaryKey")
    assert azure.ask("DELETE", "subscriptions/contoso", match=azure.etag("contoso")).status == 200


@pytest.mark.parametrize("tag", ['"AAAAAAAAAAA="', 'W/"AAAAAAAASkA="', "AAAAAAAASkA=", '""'])
def test_another_tag_is_a_412_for_put_patch_and_delete(azure: SmallAzure, tag: str) -> None:
    body = {"properties": GOLD}
    for method, sent in (("PUT", body), ("PATCH", body), ("DELETE", None)):
        assert azure.ask(method, "subscriptions/contoso", sent, match=tag).status == 412


def test_put_takes_a_tag_but_needs_none(azure: SmallAzure) -> None:
    assert azure.put("contoso", GOLD).status == 200
    assert azure.put("contoso", GOLD | {"displayName": "More"}, match=azure.etag("contoso")).status == 200


def test_a_put_with_a_tag_never_creates(azure: SmallAzure) -> None:
    assert azure.put("new", GOLD, match=azure.etag("contoso")).status == 412
    assert azure.service.find("new") is None
    assert azure.put("new", GOLD, match="*").status == 201


@pytest.mark.witness("switch strict_if_match")
def test_without_if_match_patch_and_delete_are_refused_unless_switched() -> None:
    def without_header(**switches: bool) -> list[Answer]:
        azure = SmallAzure(switches=switches)
        body = {"properties": {"displayName": "New"}}
        return [
            azure.ask("PATCH", "subscriptions/contoso", body),
            azure.ask("DELETE", "subscriptions/contoso"),
        ]

    strict = without_header()
    assert [answer.status for answer in strict] == [400, 400]
    assert [error_of(answer)["code"] for answer in strict] == ["ValidationError"] * 2
    assert [error_of(answer)["details"][0]["target"] for answer in strict] == ["If-Match"] * 2
    assert [answer.status for answer in without_header(strict_if_match=False)] == [200, 200]


# statuses and key echo (azure-recorded 2 and 3)


@pytest.mark.witness("statuses-of-apim-subscriptions")
def test_put_is_201_for_a_new_one_and_200_for_one_that_is_there(azure: SmallAzure) -> None:
    assert [azure.put("new one", GOLD).status for _ in range(2)] == [201, 200]


@pytest.mark.witness("which-answers-echo-keys")
@pytest.mark.parametrize("version", ["2019-12-01", "2021-08-01", "2022-08-01", "2024-05-01"])
def test_put_echoes_both_keys_at_every_version(azure: SmallAzure, version: str) -> None:
    properties = content(azure.put("new", GOLD | {"primaryKey": "mine"}, version=version))["properties"]
    assert properties["primaryKey"] == "mine"
    assert HEX.fullmatch(properties["secondaryKey"])
    assert azure.keys("new") == ("mine", properties["secondaryKey"])


@pytest.mark.witness("which-answers-echo-keys")
@pytest.mark.parametrize("version", ["2021-08-01", "2022-08-01", "2024-05-01"])
def test_patch_echoes_both_keys_from_2021_on(azure: SmallAzure, version: str) -> None:
    answer = azure.patch("contoso", {"secondaryKey": "chosen"}, version=version)
    properties = content(answer)["properties"]
    assert answer.status == 200
    assert (properties["primaryKey"], properties["secondaryKey"]) == azure.keys("contoso")
    assert properties["secondaryKey"] == "chosen"


@pytest.mark.witness("statuses-of-apim-subscriptions")
def test_patch_is_an_empty_204_up_to_2019(azure: SmallAzure) -> None:
    answer = azure.patch("contoso", {"secondaryKey": "chosen"}, version="2019-12-01")
    assert (answer.status, answer.body) == (204, b"")
    assert "Content-Type" not in answer.headers
    assert azure.keys("contoso")[1] == "chosen"


@pytest.mark.witness("which-answers-echo-keys")
@pytest.mark.parametrize("version", ["2019-12-01", "2021-08-01", "2022-08-01", "2024-05-01"])
def test_no_get_and_no_list_shows_a_key(azure: SmallAzure, version: str) -> None:
    bodies = [
        azure.ask("GET", path, version=version).body.decode()
        for path in (
            "subscriptions/contoso",
            "subscriptions",
            "users/ada/subscriptions",
            "users/ada/subscriptions/contoso",
            "products/gold/subscriptions",
        )
    ]
    for body in bodies:
        assert "contoso" in body
        assert "primaryKey" not in body and "secondaryKey" not in body
        assert not any(value in body for value in azure.keys("contoso"))


@pytest.mark.witness("statuses-of-apim-subscriptions")
@pytest.mark.parametrize(("slot", "moved"), [("Primary", 0), ("Secondary", 1)])
def test_a_regenerate_is_an_empty_204_and_moves_its_slot_alone(azure: SmallAzure, slot: str, moved: int) -> None:
    before = azure.keys("contoso")
    answer = azure.ask("POST", f"subscriptions/contoso/regenerate{slot}Key")
    after = azure.keys("contoso")
    assert (answer.status, answer.body) == (204, b"")
    assert "Content-Type" not in answer.headers
    assert after[1 - moved] == before[1 - moved]
    assert after[moved] != before[moved]
    assert HEX.fullmatch(after[moved])


def test_a_regenerate_keeps_the_dates(azure: SmallAzure) -> None:
    before = content(azure.ask("GET", "subscriptions/contoso"))["properties"]
    azure.world.clock.advance(86_400)
    azure.ask("POST", "subscriptions/contoso/regeneratePrimaryKey")
    assert content(azure.ask("GET", "subscriptions/contoso"))["properties"] == before


def test_listing_secrets_gives_the_two_keys_and_nothing_else(azure: SmallAzure) -> None:
    answer = azure.ask("POST", "subscriptions/master/listSecrets")
    assert answer.status == 200
    assert content(answer).keys() == {"primaryKey", "secondaryKey"}


def test_head_has_the_etag_and_no_body(azure: SmallAzure) -> None:
    answer = azure.ask("HEAD", "subscriptions/contoso")
    assert (answer.status, answer.body) == (200, b"")
    assert azure.ask("HEAD", "subscriptions/nobody").status == 404


@pytest.mark.witness("statuses-of-apim-subscriptions")
def test_deleting_is_an_empty_200_and_deleting_what_is_gone_a_204(azure: SmallAzure) -> None:
    first = azure.ask("DELETE", "subscriptions/contoso", match=azure.etag("contoso"))
    assert (first.status, first.body) == (200, b"")
    assert azure.ask("GET", "subscriptions/contoso").status == 404
    assert azure.ask("DELETE", "subscriptions/contoso", match="*").status == 204
    assert azure.ask("DELETE", "subscriptions/contoso", match='"AAAAAAAASkA="').status == 204


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_missing_one_is_resource_not_found(azure: SmallAzure, method: str) -> None:
    body: dict[str, Any] | None = {"properties": {}} if method == "PATCH" else None
    answer = azure.ask(method, "subscriptions/nobody", body, match="*" if body else None)
    assert answer.status == 404
    assert error_of(answer) == {
        "code": "ResourceNotFound",
        "message": "Subscription not found.",
        "details": None,
    }


# forms (azure-recorded 4 and 6)


@pytest.mark.witness("null-and-absent-fields")
def test_unset_fields_are_null_and_an_unset_owner_is_absent(azure: SmallAzure) -> None:
    form = content(azure.ask("GET", "subscriptions/master"))
    assert form == {
        "id": f"{SERVICE}/subscriptions/master",
        "type": TYPE,
        "name": "master",
        "properties": {
            "scope": f"{SERVICE}/",
            "displayName": "Built-in all-access subscription",
            "state": "active",
            "createdDate": "2026-01-05T08:00:00.123Z",
            "startDate": None,
            "expirationDate": None,
            "endDate": None,
            "notificationDate": None,
            "stateComment": None,
            "allowTracing": False,
        },
    }


@pytest.mark.witness("dates-of-apim-subscriptions")
def test_an_owned_product_scoped_one_starts_on_the_day_of_its_creation(azure: SmallAzure) -> None:
    properties = content(azure.ask("GET", "subscriptions/contoso"))["properties"]
    assert properties["ownerId"] == f"{SERVICE}/users/ada"
    assert properties["scope"] == f"{SERVICE}/products/gold"
    assert properties["startDate"] == "2026-01-05T00:00:00Z"


@pytest.mark.parametrize("properties", [{"scope": "/products/gold"}, {"scope": "/apis", "ownerId": "/users/ada"}])
def test_without_an_owner_or_without_a_product_there_is_no_start(azure: SmallAzure, properties: dict[str, str]) -> None:
    made = content(azure.put("new", properties | {"displayName": "New"}))["properties"]
    assert (made["state"], made["startDate"]) == ("active", None)


@pytest.mark.witness("null-and-absent-fields")
def test_the_owner_is_spelled_out_in_put_and_patch_answers_only(azure: SmallAzure) -> None:
    patched = content(azure.patch("contoso", {"displayName": "New"}))["properties"]
    assert patched["user"]["id"] == f"{SERVICE}/users/ada"
    assert patched["user"]["groups"] == patched["user"]["identities"] == []
    assert "user" not in content(azure.ask("GET", "subscriptions/contoso"))["properties"]
    assert "user" not in content(azure.patch("fabrikam", {"displayName": "New"}))["properties"]


@pytest.mark.witness("dates-of-apim-subscriptions")
def test_the_create_answer_has_seven_fraction_digits_and_later_ones_have_milliseconds(
    azure: SmallAzure,
) -> None:
    assert content(azure.put("new", GOLD))["properties"]["createdDate"] == "2026-01-05T08:00:00.1234000Z"
    assert content(azure.ask("GET", "subscriptions/new"))["properties"]["createdDate"] == ("2026-01-05T08:00:00.123Z")


@pytest.mark.parametrize(
    ("start", "written"),
    [
        ("2026-01-05T08:00:00Z", "2026-01-05T08:00:00Z"),
        ("2026-01-05T08:00:00.040Z", "2026-01-05T08:00:00.04Z"),
        ("2026-01-05T08:00:00.5Z", "2026-01-05T08:00:00.5Z"),
        ("2026-01-05T08:00:00.0009Z", "2026-01-05T08:00:00Z"),
    ],
)
def test_trailing_zeros_of_a_date_are_dropped(start: str, written: str) -> None:
    azure = SmallAzure(start=start)
    assert content(azure.ask("GET", "subscriptions/contoso"))["properties"]["createdDate"] == written


@pytest.mark.witness("null-and-absent-fields")
@pytest.mark.parametrize(
    ("version", "unset", "after_false"),
    [("2019-12-01", "absent", False), ("2021-08-01", "absent", False), ("2022-08-01", False, False)],
)
def test_allow_tracing_is_absent_when_never_set_before_2022(
    azure: SmallAzure, version: str, unset: Any, after_false: Any
) -> None:
    def shown() -> Any:
        properties = content(azure.ask("GET", "subscriptions/contoso", version=version))["properties"]
        return properties.get("allowTracing", "absent")

    assert shown() == unset
    azure.patch("contoso", {"allowTracing": False})
    assert shown() == after_false


@pytest.mark.witness("dates-of-apim-subscriptions")
def test_the_notice_is_twelve_days_before_the_expiry_for_products_only(azure: SmallAzure) -> None:
    for sid, noticed in (("contoso", "2026-02-17T00:00:00Z"), ("everything", None)):
        properties = content(azure.patch(sid, {"expirationDate": "2026-03-01T00:00:00Z"}))["properties"]
        assert properties["expirationDate"] == "2026-03-01T00:00:00Z"
        assert properties["notificationDate"] == noticed


@pytest.mark.witness("indented-or-compact")
def test_entities_and_lists_are_indented_with_crlf_and_actions_and_errors_are_compact(
    azure: SmallAzure,
) -> None:
    for path in ("subscriptions/contoso", "subscriptions"):
        body = azure.ask("GET", path).body
        assert body.startswith(b'{\r\n  "')
        assert body.count(b"\n") == body.count(b"\r\n") > 5
    for answer in (
        azure.ask("POST", "subscriptions/contoso/listSecrets"),
        azure.ask("GET", "subscriptions/nobody"),
        azure.ask("GET", ""),
    ):
        assert b"\n" not in answer.body and b'": ' not in answer.body


@pytest.mark.witness("relative-scope-and-owner")
@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("/products/gold", "/products/gold"),
        ("/Products/GOLD", "/products/gold"),
        ("/apis/orders", "/apis/orders"),
        ("/apis", "/apis"),
        ("/", "/"),
        (f"{SERVICE}/products/gold", "/products/gold"),
        (f"{SERVICE.upper()}/apis/orders", "/apis/orders"),
        (f"{SERVICE}/", "/"),
    ],
)
def test_a_scope_may_be_relative_and_is_answered_in_full(azure: SmallAzure, given: str, stored: str) -> None:
    answer = azure.put("new", {"scope": given, "displayName": "New"})
    assert answer.status == 201
    assert content(answer)["properties"]["scope"] == SERVICE + stored


@pytest.mark.witness("relative-scope-and-owner")
@pytest.mark.parametrize("given", ["/users/ada", f"{SERVICE}/users/ada"])
def test_an_owner_may_be_relative_and_is_answered_in_full(azure: SmallAzure, given: str) -> None:
    answer = azure.put("new", GOLD | {"ownerId": given})
    assert content(answer)["properties"]["ownerId"] == f"{SERVICE}/users/ada"


@pytest.mark.witness("a-product-that-asks-for-approval")
def test_a_product_that_asks_for_approval_leaves_a_new_one_submitted(azure: SmallAzure) -> None:
    states = {
        sid: content(azure.put(sid, {"scope": f"/products/{product}", "displayName": sid}))["properties"]
        for sid, product in (("a", "vetted"), ("b", "gold"))
    }
    assert [states[sid]["state"] for sid in ("a", "b")] == ["submitted", "active"]


def test_what_was_submitted_starts_on_the_day_it_becomes_active(azure: SmallAzure) -> None:
    wanted = {"scope": "/products/vetted", "displayName": "New", "ownerId": "/users/ada"}
    assert content(azure.put("new", wanted))["properties"]["startDate"] is None
    azure.world.clock.advance(3 * 86_400)
    assert content(azure.patch("new", {"state": "active"}))["properties"]["startDate"] == "2026-01-08T00:00:00Z"
    azure.world.clock.advance(86_400)
    ended = content(azure.patch("new", {"state": "cancelled"}))["properties"]
    assert (ended["startDate"], ended["endDate"]) == ("2026-01-08T00:00:00Z", "2026-01-09T08:00:00.123Z")


def test_the_built_in_one_cannot_be_deleted(azure: SmallAzure) -> None:
    before = azure.etag("master")
    assert azure.ask("DELETE", "subscriptions/master", match="*").status == 400
    assert azure.etag("master") == before


@pytest.mark.parametrize("state", ["suspended", "active", "expired", "submitted", "rejected", "cancelled"])
def test_every_state_can_be_set(azure: SmallAzure, state: str) -> None:
    properties = content(azure.patch("fabrikam", {"state": state, "stateComment": "why"}))["properties"]
    assert (properties["state"], properties["stateComment"]) == (state, "why")


@pytest.mark.parametrize("sid", ["a b", "a/b", "Ünïcode", "a" * 256, "dots.and-dashes_"])
def test_a_sid_may_hold_spaces_slashes_and_other_letters(azure: SmallAzure, sid: str) -> None:
    path = f"subscriptions/{quote(sid, safe='')}"
    assert azure.ask("PUT", path, {"properties": GOLD}).status == 201
    assert content(azure.ask("GET", path))["name"] == sid


# what is wrong is refused, each field by name


@pytest.mark.witness("400-names-each-wrong-field")
@pytest.mark.parametrize(
    ("properties", "targets"),
    [
        ({"displayName": "x"}, ["scope"]),
        ({"scope": "/apis"}, ["displayName"]),
        ({}, ["scope", "displayName"]),
        (GOLD | {"displayName": ""}, ["displayName"]),
        (GOLD | {"displayName": "x" * 101}, ["displayName"]),
        (GOLD | {"scope": "/products/nothing"}, ["scope"]),
        (GOLD | {"scope": "gold"}, ["scope"]),
        (GOLD | {"scope": 7}, ["scope"]),
        (GOLD | {"ownerId": "/users/nobody"}, ["ownerId"]),
        (GOLD | {"state": "paused"}, ["state"]),
        (GOLD | {"allowTracing": "yes"}, ["allowTracing"]),
        (GOLD | {"primaryKey": ""}, ["primaryKey"]),
        (GOLD | {"primaryKey": "x" * 257, "secondaryKey": 5}, ["primaryKey", "secondaryKey"]),
        (GOLD | {"primarykey": "typo"}, ["primarykey"]),
        (GOLD | {"expirationDate": "2026-03-01T00:00:00Z"}, ["expirationDate"]),
    ],
)
def test_a_put_with_wrong_fields_names_each_of_them_and_creates_nothing(
    azure: SmallAzure, properties: dict[str, Any], targets: list[str]
) -> None:
    answer = azure.put("new", properties)
    error = error_of(answer)
    assert (answer.status, error["code"]) == (400, "ValidationError")
    assert error["message"] == "One or more fields contain incorrect values:"
    assert [(detail["code"], detail["target"]) for detail in error["details"]] == [
        ("ValidationError", target) for target in targets
    ]
    assert azure.service.find("new") is None


@pytest.mark.parametrize(
    ("properties", "target"),
    [
        ({"createdDate": "2026-01-01T00:00:00Z"}, "createdDate"),
        ({"startDate": "2026-01-01T00:00:00Z"}, "startDate"),
        ({"expirationDate": "soon"}, "expirationDate"),
        ({"expirationDate": None}, "expirationDate"),
        ({"secondaryKey": ""}, "secondaryKey"),
    ],
)
def test_a_patch_with_a_wrong_field_changes_nothing_at_all(
    azure: SmallAzure, properties: dict[str, Any], target: str
) -> None:
    before = azure.etag("contoso"), azure.keys("contoso")
    answer = azure.patch("contoso", {"displayName": "New", **properties})
    assert answer.status == 400
    assert [detail["target"] for detail in error_of(answer)["details"]] == [target]
    assert (azure.etag("contoso"), azure.keys("contoso")) == before


@pytest.mark.witness("notify-and-app-type")
@pytest.mark.parametrize(
    ("query", "targets"),
    [
        ({"notify": "perhaps"}, ["notify"]),
        ({"appType": "app", "notify": "1"}, ["notify", "appType"]),
        ({"notify": "True", "appType": "developerportal"}, []),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_notify_and_app_type_are_one_of_their_values_and_change_nothing(
    azure: SmallAzure, method: str, query: dict[str, str], targets: list[str]
) -> None:
    body = {"properties": {"scope": "/products/gold", "displayName": "Contoso"}}
    tag = azure.etag("contoso")
    answer = azure.ask(method, "subscriptions/contoso", body, match="*", query=query)
    assert answer.status == (400 if targets else 200)
    assert [detail["target"] for detail in content(answer).get("error", {}).get("details", [])] == targets
    assert azure.etag("contoso") == tag


def test_a_refused_key_value_is_not_repeated_in_the_error(azure: SmallAzure) -> None:
    value = "do-not-repeat-" * 20
    assert value not in azure.patch("contoso", {"primaryKey": value}).body.decode()


@pytest.mark.witness("400-names-each-wrong-field")
@pytest.mark.parametrize("length", [1, 5, 256])
def test_a_chosen_key_may_have_1_to_256_characters(azure: SmallAzure, length: int) -> None:
    value = "k" * length
    assert azure.patch("contoso", {"primaryKey": value}).status == 200
    assert azure.keys("contoso")[0] == value


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'{"properties": []}', b"{}"])
def test_a_body_without_properties_is_refused(azure: SmallAzure, body: bytes) -> None:
    token = entra.issue_token(azure.world, CLIENT, "https://management.azure.com")
    headers = {"authorization": f"Bearer {token}", "if-match": "*"}
    path = f"{SERVICE}/subscriptions/contoso"
    call = Call("PATCH", "management.azure.com", path, (("api-version", "2022-08-01"),), headers, body)
    assert azure.arm.answer(call).status == 400


@pytest.mark.witness("unknown-fields")
def test_an_unknown_field_beside_properties_is_refused_by_name(azure: SmallAzure) -> None:
    answer = azure.ask("PUT", "subscriptions/new", {"properties": GOLD, "tags": {}})
    assert answer.status == 400
    assert [detail["target"] for detail in error_of(answer)["details"]] == ["tags"]


@pytest.mark.parametrize("sid", ["a*b", "a%23b", "a&b", "a+b", "a:b", "a<b", "a%3Fb", "x" * 257])
def test_a_sid_outside_the_contract_is_refused(azure: SmallAzure, sid: str) -> None:
    answer = azure.ask("PUT", f"subscriptions/{sid}", {"properties": GOLD})
    assert answer.status == 400
    assert error_of(answer)["details"][0]["target"] == "sid"


@pytest.mark.witness("switch refuse_duplicate_keys")
def test_slots_may_share_a_value_unless_switched() -> None:
    def sharing(**switches: bool) -> list[int]:
        azure = SmallAzure(switches=switches)
        primary, _ = azure.keys("contoso")
        own = azure.patch("contoso", {"primaryKey": primary}).status
        return [
            own,
            azure.patch("contoso", {"secondaryKey": primary}).status,
            azure.patch("fabrikam", {"primaryKey": primary}).status,
        ]

    assert sharing() == [200, 200, 200]
    assert sharing(refuse_duplicate_keys=True) == [200, 400, 400]


# lists (azure-recorded 5)


@pytest.mark.witness("pages-of-lists")
def test_lists_are_in_order_of_creation(azure: SmallAzure) -> None:
    azure.put("aaa", GOLD)
    names = [item["name"] for item in content(azure.ask("GET", "subscriptions"))["value"]]
    assert names == ["master", "contoso", "fabrikam", "everything", "aaa"]


@pytest.mark.witness("pages-of-lists")
def test_count_is_the_total_and_the_last_page_has_no_next_link(azure: SmallAzure) -> None:
    page = content(azure.ask("GET", "subscriptions", query={"$top": "1"}))
    assert (len(page["value"]), page["count"]) == (1, 4)
    assert page["nextLink"] == (
        f"https://management.azure.com:443{SERVICE}/subscriptions?%24top=1&api-version=2022-08-01&%24skip=1"
    )
    last = content(azure.ask("GET", "subscriptions", query={"$top": "1", "$skip": "3"}))
    assert (len(last["value"]), last["count"]) == (1, 4)
    assert "nextLink" not in last


@pytest.mark.witness("pages-of-lists")
def test_without_top_a_page_holds_a_hundred_and_links_lead_through_all_of_them(azure: SmallAzure) -> None:
    for number in range(250):
        azure.service.add_subscription(f"s{number}", scope="/apis", display_name=f"S {number}")
    found: list[str] = []
    query: dict[str, str] = {}
    sizes = []
    while True:
        page = content(azure.ask("GET", "subscriptions", query=query))
        assert page["count"] == 254
        sizes.append(len(page["value"]))
        found += [item["name"] for item in page["value"]]
        if "nextLink" not in page:
            break
        query = {name: value for name, value in parse_qsl(urlsplit(page["nextLink"]).query) if name[0] == "$"}
    assert sizes == [100, 100, 54]
    assert len(set(found)) == 254


@pytest.mark.witness("unknown-query-parameters")
@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("scope eq '/apis'", ["everything"]),
        ("properties/scope eq '/apis'", ["everything"]),
        (f"scope eq '{SERVICE}/products/gold'", ["contoso"]),
        ("ownerId eq '/users/ada'", ["contoso"]),
        ("name eq 'fabrikam'", ["fabrikam"]),
        ("state eq 'suspended'", []),
        ("productId eq 'gold'", ["contoso"]),
    ],
)
def test_a_filter_by_equality_chooses(azure: SmallAzure, text: str, names: list[str]) -> None:
    page = content(azure.ask("GET", "subscriptions", query={"$filter": text}))
    assert [item["name"] for item in page["value"]] == names
    assert page["count"] == len(names)


def test_a_filter_stays_in_the_next_link(azure: SmallAzure) -> None:
    azure.put("another", {"scope": "/apis", "displayName": "Another"})
    query = {"$filter": "scope eq '/apis'", "$top": "1"}
    page = content(azure.ask("GET", "subscriptions", query=query))
    assert page["count"] == 2
    following = {name: value for name, value in parse_qsl(urlsplit(page["nextLink"]).query) if name[0] == "$"}
    assert [item["name"] for item in content(azure.ask("GET", "subscriptions", query=following))["value"]] == [
        "another"
    ]


@pytest.mark.parametrize("query", [{"$top": "0"}, {"$top": "x"}, {"$skip": "-1"}, {"$skip": ""}])
def test_a_wrong_page_is_refused_by_name(azure: SmallAzure, query: dict[str, str]) -> None:
    answer = azure.ask("GET", "subscriptions", query=query)
    assert answer.status == 400
    assert [detail["target"] for detail in error_of(answer)["details"]] == list(query)


@pytest.mark.witness("ids-in-products-and-users-lists")
@pytest.mark.parametrize(("path", "kind"), [("products/gold", "products"), ("users/ada", "users")])
def test_a_products_and_a_users_list_have_ids_of_their_own_path(azure: SmallAzure, path: str, kind: str) -> None:
    listed = content(azure.ask("GET", f"{path}/subscriptions"))
    assert [(item["id"], item["type"], item["name"]) for item in listed["value"]] == [
        (
            f"{SERVICE}/{path}/subscriptions/contoso",
            f"Microsoft.ApiManagement/service/{kind}/subscriptions",
            "contoso",
        )
    ]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("products/none/subscriptions", "Product not found."),
        ("users/none/subscriptions", "User not found."),
        ("users/ada/subscriptions/fabrikam", "Subscription not found."),
    ],
)
def test_a_missing_parent_is_named(azure: SmallAzure, path: str, message: str) -> None:
    answer = azure.ask("GET", path)
    assert (answer.status, error_of(answer)["message"]) == (404, message)


# a person in the portal


def test_a_persons_edit_moves_the_etag_and_the_slot_as_any_write_does(azure: SmallAzure) -> None:
    tag, (primary, secondary) = azure.etag("contoso"), azure.keys("contoso")
    azure.service.set_key("contoso", "primary", "from-the-portal")
    azure.service.set_key("contoso", "secondary")
    after = azure.keys("contoso")
    assert after[0] == "from-the-portal"
    assert after[1] != secondary and HEX.fullmatch(after[1])
    assert primary not in after
    assert azure.patch("contoso", {"displayName": "late"}, tag).status == 412


@pytest.mark.witness("keys-and-ids-are-drawn")
def test_the_same_seed_draws_the_same_keys_whatever_was_read_between() -> None:
    def drawn(reads: int) -> tuple[str, str]:
        azure = SmallAzure()
        for _ in range(reads):
            azure.ask("GET", "subscriptions")
        azure.ask("POST", "subscriptions/contoso/regeneratePrimaryKey")
        return azure.keys("contoso")

    assert drawn(0) == drawn(5)


def test_a_snapshot_shows_everything_but_key_values(azure: SmallAzure) -> None:
    text = repr(azure.service.snapshot())
    assert "contoso" in text and azure.etag("contoso") in text
    values = [value for sid in azure.service.subscriptions for value in azure.keys(sid)]
    assert not any(value in text or value in repr(azure.service.subscriptions) for value in values)
