"""`keyturn token` with keys that Azure tells, and tokens that Azure makes; and whether they open what they should."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime, timedelta

import pytest
import requests

from keyturn.model import Secret, Slot
from keyturn.tokens import Form, parse, verify
from tests.journeys.stage import SERVICE, Outcome, Stage

GATEWAY = "shop/gateways/gw-oslo"
DIRECT = (
    "https://shop-apim.management.azure-api.net/subscriptions/00000/resourceGroups/00000/providers"
    "/Microsoft.ApiManagement/service/00000/users?api-version=2021-08-01"
)
CONFIGURATION = "https://shop-apim.configuration.azure-api.net/"
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _no_key_is_seen(stage: Stage) -> None:
    stage.secrets |= {*tenant_keys(stage).values(), *gateway_keys(stage).values()}


def tenant_keys(stage: Stage, name: str = "access") -> dict[str, str]:
    return stage.azure.tenant_keys(SERVICE, name)


def gateway_keys(stage: Stage) -> dict[str, str]:
    return stage.azure.gateway_keys(SERVICE, "gw-oslo")


def now(stage: Stage) -> datetime:
    return datetime.fromisoformat(stage.azure.now())


def signs_in(stage: Stage, url: str, header: str) -> bool:
    """Whether a client that knows nothing of keyturn gets in."""
    proxies = {"https": stage.azure.env["HTTPS_PROXY"]}
    verify_by = stage.azure.env["REQUESTS_CA_BUNDLE"]
    answer = requests.get(url, headers={"Authorization": header}, proxies=proxies, verify=verify_by, timeout=30)
    assert answer.status_code in {200, 401, 403}
    return answer.status_code == 200


def by_the_page(key: str, identity: str, moment: str) -> str:
    """The published steps, by hand."""
    return base64.b64encode(hmac.new(key.encode(), f"{identity}\n{moment}".encode(), hashlib.sha512).digest()).decode()


def create(stage: Stage, *options: str) -> str:
    made = stage.good("token", "create", "--expires", "1d", *options)
    assert "emulated time" in made.err
    return made.out.strip()


@pytest.mark.parametrize("slot", Slot)
@pytest.mark.parametrize("form", ["long", "short"])
def test_our_tokens_and_those_of_the_published_steps_open_the_direct_management_endpoint(
    stage: Stage, slot: Slot, form: str
) -> None:
    unproven = ("--unproven",) if form == "short" else ()
    ours = create(stage, "--from", "shop", "--slot", slot, "--form", form, *unproven)
    assert signs_in(stage, DIRECT, ours)
    end = now(stage) + DAY
    moment = f"{end:%Y-%m-%dT%H:%M}:00.0000000Z"
    theirs = by_the_page(tenant_keys(stage)[slot], "integration", moment)
    whole = {
        "long": f"SharedAccessSignature uid=integration&ex={moment}&sn={theirs}",
        "short": f"SharedAccessSignature integration&{end:%Y%m%d%H%M}&{theirs}",
    }[form]
    assert signs_in(stage, DIRECT, whole)
    checked = stage.run("token", "verify", "--from", "shop", stdin=whole)
    assert (checked.code, f"the {slot} key of shop signed it" in checked.out) == (0, True)
    assert not signs_in(stage, DIRECT, whole.replace("integration&", "intruder&"))


def test_a_gateway_signs_in_with_our_token_and_with_the_one_that_azure_makes(stage: Stage) -> None:
    ours = create(stage, "--from", GATEWAY, "--slot", "secondary")
    azures = create(stage, "--from", GATEWAY, "--slot", "secondary", "--ask-azure")
    assert parse(ours) == parse(azures)
    assert parse(ours).form is Form.GATEWAY
    assert signs_in(stage, CONFIGURATION, ours)
    assert verify(parse(azures), Secret(gateway_keys(stage)["secondary"]))


def test_azure_makes_a_users_token_and_we_hand_it_out_with_its_scheme_word(stage: Stage) -> None:
    arguments = ("--from", "shop", "--user", "contoso", "--slot", "primary", "--ask-azure")
    token = parse(create(stage, *arguments))
    assert (token.form, token.identity) == (Form.SHORT, "contoso")
    assert abs(token.expires - now(stage) - DAY) < timedelta(minutes=1)
    assert not create(stage, *arguments, "--bare").startswith("SharedAccessSignature")


def test_a_name_is_a_service_or_any_unique_end_of_an_id_whether_or_not_a_policy_matches_it(stage: Stage) -> None:
    for name, identity in {"SHOP": "integration", "shop/tenant/access": "integration", "gw-oslo": "gw-oslo"}.items():
        assert parse(create(stage, "--from", name, "--slot", "primary")).identity == identity
    git = parse(create(stage, "--from", "gitAccess", "--slot", "secondary"))
    assert verify(git, Secret(tenant_keys(stage, "gitAccess")["secondary"]))
    wrong = stage.run("token", "create", "--expires", "1d", "--from", "shop/gateways/gw-bergen", "--slot", "primary")
    assert (wrong.code, "near it: shop/gateways/gw-oslo" in wrong.err) == (2, True)


def test_inspect_tries_both_keys_and_names_the_one_that_signed(stage: Stage) -> None:
    token = create(stage, "--from", GATEWAY, "--slot", "secondary")
    told = json.loads(stage.run("token", "inspect", "--from", "gw-oslo", "--json", stdin=token).out)
    assert (told["verifies"], told["slot"], told["emulated"]) == (True, "secondary", True)


def test_a_token_dies_with_its_key_and_with_its_time(stage: Stage) -> None:
    token = create(stage, "--from", GATEWAY, "--slot", "primary")
    stage.azure.portal_gateway(SERVICE, "gw-oslo", "primary")
    assert says(stage.run("token", "verify", "--from", "gw-oslo", stdin=token), "neither key of gw-oslo signed it")
    token = create(stage, "--from", GATEWAY, "--slot", "primary")
    stage.azure.advance((2 * DAY).total_seconds())
    assert says(stage.run("token", "verify", "--from", "gw-oslo", stdin=token), "it expired at")


def says(ended: Outcome, words: str) -> bool:
    return (ended.code, words in ended.out) == (1, True)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--from", GATEWAY, "--form", "long"), "they sign no long token"),
        (("--from", GATEWAY, "--form", "short", "--unproven"), "they sign no short token"),
        (("--from", "shop", "--form", "gateway"), "they sign no gateway token"),
        (("--from", "shop", "--ask-azure"), "Azure makes tokens for gateways and for users"),
        (("--from", GATEWAY, "--ask-azure", "--user", "contoso"), "--user needs --from SERVICE: one of shop"),
        (("--from", GATEWAY, "--ask-azure", "--form", "gateway"), "are Azure's to choose"),
        (("--from", GATEWAY, "--expires", "31d"), "longer than 30 days"),
        (("--from", GATEWAY, "--expires", "31d", "--ask-azure"), "longer than 30 days"),
    ],
)
def test_what_does_not_fit_together_is_refused_and_azure_is_asked_for_no_key(
    stage: Stage, options: tuple[str, ...], sentence: str
) -> None:
    ended = stage.run("token", "create", "--slot", "primary", "--expires", "1d", *options)
    assert (ended.code, ended.out) == (2, "")
    assert sentence in " ".join(ended.err.split())
    assert [
        call["path"] for call in stage.azure.calls() if call["method"] == "POST" and "service" in call["path"]
    ] == []


def test_a_user_that_is_not_there_is_azures_refusal(stage: Stage) -> None:
    arguments = ("--from", "shop", "--user", "nobody", "--slot", "primary", "--ask-azure", "--expires", "1d")
    ended = stage.run("token", "create", *arguments)
    assert (ended.code, ended.out) == (1, "")
    assert "ask for a token of the user nobody" in ended.err


def test_a_token_that_the_right_key_signed_for_somebody_else_is_not_good(stage: Stage) -> None:
    stranger = create(stage, "--from", "gw-oslo", "--slot", "secondary", "--identity", "otherplant")
    told = stage.run("token", "verify", "--from", "gw-oslo", stdin=stranger)
    assert told.code == 1
    assert "it names otherplant, and shop/gateways/gw-oslo lets in gw-oslo" in told.out
    seen = stage.run("token", "inspect", "--from", "gw-oslo", stdin=stranger)
    assert "it names otherplant" in seen.out


def test_azure_makes_no_token_for_longer_and_no_override_is_offered(stage: Stage) -> None:
    refused = stage.run("token", "create", "--ask-azure", "--from", "gw-oslo", "--slot", "primary", "--expires", "31d")
    assert refused.code == 2
    assert "30 days" in refused.err
    assert "--beyond-30-days" not in refused.err


def test_a_token_of_disabled_tenant_access_is_made_and_said_to_open_nothing_now(stage: Stage) -> None:
    stage.configure(
        {"name": "own", "match": "{ tenant: access }", "publish": "[ { file: { path: a.env, variable: K } } ]"}
    )
    stage.good("key", "disable", "tenant/access", "--yes")
    made = stage.good("token", "create", "--expires", "1d", "--from", "shop", "--slot", "primary")
    assert "shop/tenant/access is disabled" in made.err
    assert not signs_in(stage, DIRECT, made.out.strip())
