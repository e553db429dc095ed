"""Resource Manager's manners: the order of its checks, its errors, its headers (azure-facts 1.6)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from keyturn_emulator import entra
from keyturn_emulator.arm import HOST
from keyturn_emulator.wire import Call
from tests.emulator.small_azure import AZURE, CLIENT, GROUP, NOBODY, TENANT, VERSION, SmallAzure, content, error_of

SERVICE = f"{GROUP}/providers/Microsoft.ApiManagement/service/shop-apim"
ENTITY = f"{SERVICE}/subscriptions/contoso"
ELSEWHERE = "00000000-0000-4000-8000-00000000000e"


@pytest.fixture
def azure() -> SmallAzure:
    return SmallAzure()


# tokens


def with_header(azure: SmallAzure, authorization: str | None) -> Any:
    headers = {} if authorization is None else {"authorization": authorization}
    return azure.arm.answer(Call("GET", HOST, ENTITY, (("api-version", VERSION),), headers))


@pytest.mark.witness("401-without-a-token")
def test_without_a_token_the_401_says_that_the_header_is_missing(azure: SmallAzure) -> None:
    answer = with_header(azure, None)
    message = "Authentication failed. The 'Authorization' header is missing."
    assert answer.status == 401
    assert error_of(answer) == {"code": "AuthenticationFailed", "message": message}
    assert answer.headers["WWW-Authenticate"] == (
        f'Bearer authorization_uri="https://login.windows.net/{TENANT}", error="invalid_token", '
        f'error_description="{message}"'
    )


@pytest.mark.witness("401-for-bad-tokens")
@pytest.mark.parametrize("header", ["Bearer nonsense", "Basic abc", "Bearer a.b.c"])
def test_a_token_that_is_none_is_invalid(azure: SmallAzure, header: str) -> None:
    answer = with_header(azure, header)
    assert answer.status == 401
    assert error_of(answer) == {
        "code": "InvalidAuthenticationToken",
        "message": "The access token is invalid.",
    }


@pytest.mark.witness("401-for-bad-tokens")
def test_a_changed_signature_is_invalid(azure: SmallAzure) -> None:
    token = entra.issue_token(azure.world, CLIENT, f"https://{HOST}")
    head, claims, signature = token.split(".")
    swapped = ("A" if signature[0] != "A" else "B") + signature[1:]
    assert with_header(azure, f"Bearer {token}").status == 200
    answer = with_header(azure, f"Bearer {head}.{claims}.{swapped}")
    assert (answer.status, error_of(answer)["code"]) == (401, "InvalidAuthenticationToken")


@pytest.mark.witness("401-for-bad-tokens")
def test_an_expired_token_has_a_code_of_its_own(azure: SmallAzure) -> None:
    token = entra.issue_token(azure.world, CLIENT, f"https://{HOST}", lifetime=-4000)
    answer = with_header(azure, f"Bearer {token}")
    assert (answer.status, error_of(answer)["code"]) == (401, "ExpiredAuthenticationToken")


@pytest.mark.witness("401-for-bad-tokens")
def test_a_vaults_token_has_the_wrong_audience_and_the_four_right_ones_are_named(azure: SmallAzure) -> None:
    token = entra.issue_token(azure.world, CLIENT, "https://vault.azure.net")
    answer = with_header(azure, f"Bearer {token}")
    assert answer.status == 401
    assert error_of(answer) == {
        "code": "InvalidAuthenticationTokenAudience",
        "message": "The access token has been obtained for wrong audience or resource "
        "'https://vault.azure.net'. It should exactly match with one of the allowed audiences "
        "'https://management.core.windows.net/','https://management.core.windows.net','https://management.azure.com/','https://management.azure.com'.",
    }


@pytest.mark.witness("all-four-audiences")
@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("audience", ["https://management.azure.com", "https://management.core.windows.net"])
def test_each_of_the_four_audiences_is_let_in(azure: SmallAzure, audience: str, slash: str) -> None:
    assert with_header(azure, f"Bearer {entra.issue_token(azure.world, CLIENT, audience + slash)}").status == 200


@pytest.mark.witness("401-for-bad-tokens")
def test_a_token_of_another_tenant_is_told_which_tenant_it_must_be(azure: SmallAzure) -> None:
    azure.world.tenants.add(ELSEWHERE)
    azure.world.applications[CLIENT].tenant_id = ELSEWHERE
    answer = azure.ask("GET", "subscriptions/contoso")
    assert answer.status == 401
    error = error_of(answer)
    assert error["code"] == "InvalidAuthenticationTokenTenant"
    assert error["message"].startswith(
        f"The access token is from the wrong issuer 'https://sts.windows.net/{ELSEWHERE}/'. It must match "
        f"the tenant 'https://sts.windows.net/{TENANT}/' associated with this subscription. Please use the "
        f"authority (URL) 'https://login.windows.net/{TENANT}' to get the token."
    )


# what is asked for exists, and may be asked


@pytest.mark.witness("404-names-the-first-missing-part")
@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        (
            ENTITY.replace(AZURE, ELSEWHERE),
            "SubscriptionNotFound",
            f"The subscription '{ELSEWHERE}' could not be found.",
        ),
        (
            ENTITY.replace("/rg/", "/nowhere/"),
            "ResourceGroupNotFound",
            "Resource group 'nowhere' could not be found.",
        ),
        (
            ENTITY.replace("shop-apim", "no-apim"),
            "ServiceNotFound",
            "Api service does not exist: no-apim",
        ),
        (ENTITY.replace("contoso", "nobody"), "ResourceNotFound", "Subscription not found."),
    ],
)
def test_what_is_missing_is_named_by_the_first_part_that_is_missing(
    azure: SmallAzure, path: str, code: str, message: str
) -> None:
    answer = azure.ask("GET", path)
    error = error_of(answer)
    assert (answer.status, error["code"], error["message"]) == (404, code, message)


def test_api_managements_errors_have_null_details_and_resource_managers_have_none(azure: SmallAzure) -> None:
    missing_entity = error_of(azure.ask("GET", "subscriptions/nobody"))
    missing_service = error_of(azure.ask("GET", ENTITY.replace("shop-apim", "no-apim")))
    missing_group = error_of(azure.ask("GET", ENTITY.replace("/rg/", "/nowhere/")))
    assert missing_entity["details"] is None
    assert missing_service["details"] is None and missing_service["innerError"] is None
    assert missing_group.keys() == {"code", "message"}


@pytest.mark.witness("switch service_not_found_by_arm")
def test_a_switch_words_a_missing_service_as_resource_manager_would() -> None:
    azure = SmallAzure(switches={"service_not_found_by_arm": True})
    answer = azure.ask("GET", SERVICE.replace("shop-apim", "no-apim"))
    assert answer.status == 404
    assert error_of(answer) == {
        "code": "ResourceNotFound",
        "message": "The Resource 'Microsoft.ApiManagement/service/no-apim' under resource group 'rg' was not "
        "found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    }


@pytest.mark.witness("403-names-who-and-what")
@pytest.mark.parametrize(
    ("method", "path", "action", "scope"),
    [
        ("GET", SERVICE, "read", SERVICE),
        ("GET", f"{SERVICE}/subscriptions", "subscriptions/read", SERVICE),
        ("GET", ENTITY, "subscriptions/read", ENTITY),
        ("HEAD", ENTITY, "subscriptions/read", ENTITY),
        ("PUT", ENTITY, "subscriptions/write", ENTITY),
        ("PATCH", ENTITY, "subscriptions/write", ENTITY),
        ("DELETE", ENTITY, "subscriptions/delete", ENTITY),
        ("POST", f"{ENTITY}/listSecrets", "subscriptions/listSecrets/action", ENTITY),
        ("POST", f"{ENTITY}/regeneratePrimaryKey", "subscriptions/regeneratePrimaryKey/action", ENTITY),
        ("POST", f"{ENTITY}/regenerateSecondaryKey", "subscriptions/regenerateSecondaryKey/action", ENTITY),
        ("GET", f"{SERVICE}/products/gold/subscriptions", "products/subscriptions/read", f"{SERVICE}/products/gold"),
        ("GET", f"{SERVICE}/users/ada/subscriptions", "users/subscriptions/read", f"{SERVICE}/users/ada"),
    ],
)
def test_without_a_role_the_403_names_client_action_and_scope(
    azure: SmallAzure, method: str, path: str, action: str, scope: str
) -> None:
    answer = azure.ask(method, path, client=NOBODY)
    oid = azure.world.applications[NOBODY].object_id
    assert answer.status == 403
    if method == "HEAD":
        assert answer.body == b""
        return
    assert error_of(answer) == {
        "code": "AuthorizationFailed",
        "message": f"The client '{NOBODY}' with object id '{oid}' does not have authorization to perform "
        f"action 'Microsoft.ApiManagement/service/{action}' over scope '{scope}' or the scope is invalid. If "
        "access was recently granted, please refresh your credentials.",
    }


@pytest.mark.witness("order-of-checks")
def test_a_missing_entity_is_hidden_from_who_may_not_read_it(azure: SmallAzure) -> None:
    assert azure.ask("GET", "subscriptions/nobody", client=NOBODY).status == 403


@pytest.mark.witness("order-of-checks")
def test_a_missing_resource_group_is_reported_before_a_missing_role(azure: SmallAzure) -> None:
    assert azure.ask("GET", ENTITY.replace("/rg/", "/nowhere/"), client=NOBODY).status == 404


# api-versions


@pytest.mark.parametrize("version", ["2019-12-01", "2021-08-01", "2022-08-01", "2024-05-01"])
def test_the_versions_whose_manners_are_known_are_served(azure: SmallAzure, version: str) -> None:
    assert azure.ask("GET", "subscriptions/contoso", version=version).status == 200


@pytest.mark.witness("unrecorded-api-versions")
def test_an_unknown_version_is_refused_with_the_supported_ones_named(azure: SmallAzure) -> None:
    answer = azure.ask("GET", "subscriptions/contoso", version="2031-01-01")
    assert answer.status == 400
    assert error_of(answer) == {
        "code": "NoRegisteredProviderFound",
        "message": "No registered resource provider found for location 'West Europe' and API version "
        "'2031-01-01' for type 'service'. The supported api-versions are '2019-12-01, 2021-08-01, "
        "2022-08-01, 2024-05-01'. The supported locations are 'West Europe'.",
    }


@pytest.mark.witness("order-of-checks")
def test_the_version_is_asked_for_before_the_token(azure: SmallAzure) -> None:
    answer = azure.arm.answer(Call("GET", HOST, ENTITY))
    assert answer.status == 400
    assert "api-version" in error_of(answer)["message"]


@pytest.mark.witness("a-service-demands-a-newer-version")
def test_a_service_may_demand_a_newer_version() -> None:
    azure = SmallAzure()
    azure.service.min_api_version = "2021-08-01"
    answer = azure.ask("GET", "subscriptions/contoso", version="2019-12-01")
    assert answer.status == 400
    assert error_of(answer)["code"] == "MissingOrIncorrectVersionParameter"
    assert error_of(answer)["message"] == (
        "API version query parameter is not specified or was specified incorrectly.  Supported versions: "
        "2021-08-01,2022-08-01,2024-05-01"
    )
    assert azure.ask("GET", "subscriptions/contoso", version="2021-08-01").status == 200


# strictness: what the emulator does not know it refuses by name


@pytest.mark.witness("unknown-paths", "unknown-query-parameters", "headers-that-change-meaning")
@pytest.mark.parametrize(
    ("method", "path", "more", "named"),
    [
        ("GET", f"{SERVICE}/tenant/access/git", {}, "/tenant/access/git"),
        ("GET", f"{SERVICE}/workspaces/w/subscriptions", {}, "/workspaces/w"),
        ("DELETE", SERVICE, {}, f"DELETE {SERVICE}"),
        ("POST", ENTITY, {}, f"POST {ENTITY}"),
        ("GET", ENTITY, {"query": {"$expand": "user"}}, "$expand"),
        ("GET", ENTITY, {"query": {"$top": "1"}}, "$top"),
        ("GET", f"{SERVICE}/subscriptions", {"query": {"$filter": "indexof(name,'c')"}}, "indexof"),
        ("GET", f"{SERVICE}/products", {"query": {"$filter": "name eq 'gold'"}}, "$filter"),
        ("GET", ENTITY, {"match": "*"}, "If-Match"),
        ("POST", f"{ENTITY}/regeneratePrimaryKey", {"match": "*"}, "If-Match"),
        ("PUT", ENTITY, {"headers": {"if-none-match": "*"}}, "If-None-Match"),
        ("POST", f"{ENTITY}/listSecrets", {"body": {"a": 1}}, "body"),
        ("PUT", ENTITY, {"body": {"a": 1}, "headers": {"content-type": "text/xml"}}, "text/xml"),
        ("GET", ENTITY, {"query": {"Api-Version": VERSION}}, "twice"),
        *(
            (
                "PATCH",
                ENTITY,
                {"match": "*", "body": {"properties": {"state": "suspended"}}, "headers": {name: "x"}},
                name,
            )
            for name in ("if-modified-since", "if-unmodified-since", "if-range", "range", "prefer")
        ),
        ("POST", f"{ENTITY}/regeneratePrimaryKey", {"headers": {"x-http-method-override": "GET"}}, "X-HTTP-Method"),
    ],
)
def test_what_is_not_known_is_refused_by_name_and_has_no_effect(
    azure: SmallAzure, method: str, path: str, more: dict[str, Any], named: str
) -> None:
    before = azure.service.snapshot()
    answer = azure.ask(method, path, **more)
    assert answer.status == 501
    assert error_of(answer)["code"] == "NotSupportedByEmulator"
    assert named.lower() in error_of(answer)["message"].lower()
    assert azure.service.snapshot() == before


@pytest.mark.witness("paths-without-case")
def test_path_segments_compare_without_case(azure: SmallAzure) -> None:
    loud = azure.ask("GET", ENTITY.upper())
    assert loud.status == 200
    assert content(loud)["id"] == ENTITY


# headers


@pytest.mark.witness("headers-of-every-answer")
def test_every_answer_carries_the_headers_that_every_answer_carries(azure: SmallAzure) -> None:
    answers = [
        azure.ask("GET", "subscriptions/contoso"),
        azure.ask("GET", "subscriptions/nobody"),
        azure.ask("POST", "subscriptions/contoso/regeneratePrimaryKey"),
        azure.ask("GET", "subscriptions/contoso", version=None),
        with_header(azure, None),
    ]
    for answer in answers:
        assert {name: answer.headers[name] for name in ("Cache-Control", "Pragma", "Expires", "Server")} == {
            "Cache-Control": "no-cache",
            "Pragma": "no-cache",
            "Expires": "-1",
            "Server": "Microsoft-HTTPAPI/2.0",
        }
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        name = answer.headers["x-ms-correlation-request-id"]
        assert answer.headers["x-ms-request-id"] == name
        assert re.fullmatch(rf"[A-Z]+:20260105T080000Z:{name}", answer.headers["x-ms-routing-request-id"])
    assert len({answer.headers["x-ms-request-id"] for answer in answers}) == len(answers)


@pytest.mark.witness("time-moves-on-command")
def test_the_date_is_emulated_time(azure: SmallAzure) -> None:
    azure.world.clock.advance(timedelta(days=31, seconds=5).total_seconds())
    assert azure.ask("GET", "subscriptions/contoso").headers["Date"] == "Thu, 05 Feb 2026 08:00:05 GMT"


@pytest.mark.witness("headers-of-every-answer")
def test_a_clients_own_request_id_is_not_echoed(azure: SmallAzure) -> None:
    answer = azure.ask("GET", "subscriptions/contoso", headers={"x-ms-client-request-id": "mine"})
    assert "mine" not in answer.headers.values()
    assert "x-ms-client-request-id" not in {name.lower() for name in answer.headers}


# what Resource Manager answers itself


@pytest.mark.witness("azure-subscriptions-and-groups")
def test_only_azure_subscriptions_with_a_role_in_them_are_listed(azure: SmallAzure) -> None:
    listed = content(azure.ask("GET", "/subscriptions", version="2022-12-01"))
    assert [item["subscriptionId"] for item in listed["value"]] == [AZURE]
    assert listed["value"][0]["tenantId"] == TENANT
    assert listed["count"] == {"type": "Total", "value": 1}
    assert content(azure.ask("GET", "/subscriptions", version="2022-12-01", client=NOBODY))["value"] == []


@pytest.mark.witness("azure-subscriptions-and-groups")
def test_the_tenant_of_a_caller_is_the_one_it_sees(azure: SmallAzure) -> None:
    (told,) = content(azure.ask("GET", "/tenants", version="2022-12-01"))["value"]
    assert (told["id"], told["tenantId"]) == (f"/tenants/{TENANT}", TENANT)


@pytest.mark.witness("azure-subscriptions-and-groups")
def test_an_azure_subscription_and_its_resource_groups_can_be_read(azure: SmallAzure) -> None:
    one = azure.ask("GET", f"/subscriptions/{AZURE}", version="2022-12-01")
    assert content(one)["state"] == "Enabled"
    groups = azure.ask("GET", f"/subscriptions/{AZURE}/resourceGroups", version="2021-04-01")
    group = azure.ask("GET", GROUP.replace("/rg", "/RG"), version="2021-04-01")
    assert content(groups)["value"] == [content(group)]
    assert content(group)["id"] == GROUP
    assert azure.ask("GET", GROUP, version="2021-04-01", client=NOBODY).status == 403


@pytest.mark.witness("azure-subscriptions-and-groups")
def test_registering_the_provider_finds_it_registered(azure: SmallAzure) -> None:
    path = f"/subscriptions/{AZURE}/providers/Microsoft.ApiManagement/register"
    assert content(azure.ask("POST", path, version="2016-02-01"))["registrationState"] == "Registered"


@pytest.mark.witness("azure-subscriptions-and-groups")
def test_the_endpoints_of_this_cloud_are_told_without_a_token(azure: SmallAzure) -> None:
    answer = azure.arm.answer(Call("GET", HOST, "/metadata/endpoints", (("api-version", "2022-09-01"),)))
    told = content(answer)
    assert answer.status == 200
    assert told["authentication"]["audiences"][0] == "https://management.core.windows.net/"
    assert told["suffixes"]["keyVaultDns"] == "vault.azure.net"
