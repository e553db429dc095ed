"""The `$filter` of lists: the documented operators and functions, combined as OData combines them (azure-facts 1.4)."""

from __future__ import annotations

import pytest

from keyturn_emulator.odata import Field, FilterNotServed, read_filter
from tests.emulator.small_azure import GROUP, SmallAzure, content, error_of

SERVICE = f"{GROUP}/providers/Microsoft.ApiManagement/service/shop-apim"

FIELDS = {
    "name": Field[str](lambda entity, _: entity),
    "note": Field[str](lambda entity, _: entity.upper() if entity != "b" else None),
    "state": Field[str](lambda entity, _: "even" if len(entity) % 2 == 0 else "odd", equality_only=True),
}
ENTITIES = ["a", "b", "ab", "abc", "O'Hara"]


def chosen(text: str) -> list[str]:
    meets = read_filter(text, FIELDS)
    return [entity for entity in ENTITIES if meets(entity)]


@pytest.mark.witness("filters")
@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("name eq 'ab'", ["ab"]),
        ("name eq 'AB'", ["ab"]),
        ("name eq ''", []),
        ("name eq 'O''Hara'", ["O'Hara"]),
        ("name ne 'ab'", ["a", "b", "abc", "O'Hara"]),
        ("name gt 'ab'", ["b", "abc", "O'Hara"]),
        ("name ge 'ab'", ["b", "ab", "abc", "O'Hara"]),
        ("name lt 'ab'", ["a"]),
        ("name le 'ab'", ["a", "ab"]),
        ("contains(name,'b')", ["b", "ab", "abc"]),
        ("substringof('b',name)", ["b", "ab", "abc"]),
        ("startswith(name, 'ab')", ["ab", "abc"]),
        ("endswith(properties/name,'B')", ["b", "ab"]),
        ("state eq 'odd'", ["a", "b", "abc"]),
        # null is equal to nothing, and unequal to every text
        ("note eq 'B'", []),
        ("note ne 'x'", ["a", "b", "ab", "abc", "O'Hara"]),
        ("note le 'zzz'", ["a", "ab", "abc", "O'Hara"]),
        ("contains(note,'')", ["a", "ab", "abc", "O'Hara"]),
    ],
)
def test_each_operator_and_function_chooses(text: str, names: list[str]) -> None:
    assert chosen(text) == names


@pytest.mark.witness("filters-combine")
@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("name eq 'a' or name eq 'b' or name eq 'ab'", ["a", "b", "ab"]),
        ("contains(name,'a') and contains(name,'b')", ["ab", "abc"]),
        ("name eq 'a' or contains(name,'b') and contains(name,'c')", ["a", "abc"]),
        ("(name eq 'a' or contains(name,'b')) and contains(name,'c')", ["abc"]),
        ("not contains(name,'a')", ["b"]),
        ("not (name eq 'a' or name eq 'b')", ["ab", "abc", "O'Hara"]),
        ("not(name eq 'a') AND state EQ 'odd'", ["b", "abc"]),
        ("((name eq 'a'))", ["a"]),
        ("not (not contains(name,'a'))", ["a", "ab", "abc", "O'Hara"]),
    ],
)
def test_and_binds_closer_than_or_and_parentheses_closest(text: str, names: list[str]) -> None:
    assert chosen(text) == names


@pytest.mark.witness("unknown-query-parameters")
@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "an end"),
        ("name", "an end"),
        ("name eq", "an end"),
        ("name eq 'a", "what begins with ''a'"),
        ("name eq a", "'a' where a text"),
        ("name eq 5", "'5' where a text"),
        ("name eq null", "'null' where a text"),
        ("name has 'a'", "the operator 'has'"),
        ("color eq 'a'", "the field 'color'"),
        ("contains(color,'a')", "the field 'color'"),
        ("indexof(name,'a') eq 0", "the function 'indexof'"),
        ("contains('a',name)", "the field ''a''"),
        ("substringof(name,'a')", "'name' where a text"),
        ("contains(name 'a')", "where ',' should stand"),
        ("contains(name,'a'", "an end where ')' should stand"),
        ("(name eq 'a'", "an end where ')' should stand"),
        ("name eq 'a')", "')' where the filter should end"),
        ("name eq 'a' name eq 'b'", "'name' where the filter should end"),
        ("name eq 'a' xor name eq 'b'", "'xor' where the filter should end"),
        ("startswith(name,'a') eq true", "'eq' where the filter should end"),
        ("not name eq 'a'", "'not' before a comparison"),
        ("state ne 'odd'", "'ne' of the field 'state'"),
        ("contains(state,'o')", "'contains' of the field 'state'"),
        ("name eq 'a' ; drop", "what begins with '; drop'"),
    ],
)
def test_what_is_not_documented_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(FilterNotServed) as refused:
        read_filter(text, FIELDS)
    assert named in str(refused.value)
    assert str(refused.value).endswith(f"in the $filter {text}")


# the fields of apim subscriptions


@pytest.mark.witness("filters")
@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("name ne 'master'", ["contoso", "fabrikam", "everything"]),
        ("startswith(displayName,'f') or displayName eq 'everything'", ["fabrikam", "everything"]),
        ("stateComment eq 'none'", []),
        ("startswith(scope,'/products/')", ["contoso"]),
        ("contains(scope,'orders')", ["fabrikam"]),
        (f"startswith(scope,'{SERVICE}/api')", ["fabrikam", "everything"]),
        ("ownerId ne '/users/ada'", ["master", "fabrikam", "everything"]),
        ("endswith(ownerId,'/ada')", ["contoso"]),
        ("userId eq 'ada' and productId eq 'gold'", ["contoso"]),
        ("state eq 'active' and not (name eq 'master')", ["contoso", "fabrikam", "everything"]),
    ],
)
def test_apim_subscriptions_are_filtered_by_their_documented_fields(text: str, names: list[str]) -> None:
    page = content(SmallAzure().ask("GET", "subscriptions", query={"$filter": text}))
    assert [item["name"] for item in page["value"]] == names
    assert page["count"] == len(names)


@pytest.mark.witness("filters")
@pytest.mark.parametrize("path", ["products/gold/subscriptions", "users/ada/subscriptions"])
def test_a_products_and_a_users_list_take_the_same_filters(path: str) -> None:
    azure = SmallAzure()
    more = {"scope": "/products/gold", "ownerId": "/users/ada", "displayName": "Another"}
    assert azure.put("another", more).status == 201
    page = content(azure.ask("GET", path, query={"$filter": "contains(displayName,'nother')", "$top": "1"}))
    assert ([item["name"] for item in page["value"]], page["count"]) == (["another"], 1)


@pytest.mark.witness("unknown-query-parameters")
def test_a_filter_that_is_not_served_is_refused_by_name_over_the_wire() -> None:
    answer = SmallAzure().ask("GET", "subscriptions", query={"$filter": "createdDate gt '2026'"})
    assert (answer.status, error_of(answer)["code"]) == (501, "NotSupportedByEmulator")
    assert "the field 'createdDate'" in error_of(answer)["message"]
