"""HTTP as people and programs use it: what is done, what is refused, and that no value ever comes back."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from keyturn import by_hand
from keyturn.functions.web import PROBLEMS
from keyturn.model import Stage
from tests.functions.hosting import INVOCATION, Hosted, Response
from tests.journeys.stage import SERVICE
from tests.journeys.stage import Stage as Scene

DAY = 86_400.0
CHOSEN = "c0ffee00c0ffee00c0ffee00c0ffee00"
ROTATE = "credentials/shop/contoso/rotate"
PRIMARY, SECONDARY = "credentials/shop/contoso/slots/primary", "credentials/shop/contoso/slots/secondary"


def problem(response: Response, status: int, name: str) -> dict[str, Any]:
    """The problem that an answer tells of, after a look at its form (RFC 9457)."""
    assert response.status == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = response.json
    assert (told["type"], told["status"]) == (f"urn:keyturn:problem:{name}", status)
    assert told["title"] == PROBLEMS[name][1]
    assert told["instance"] == f"urn:uuid:{INVOCATION}"
    assert told["detail"] and told["hint"] and told["reason"]
    return told


@pytest.fixture
def quiet(hosted: Hosted) -> Hosted:
    """contoso is adopted, with primary active, and secondary has been quiet for long."""
    hosted.settled()
    hosted.stage.azure.advance(2 * DAY)
    return hosted


# -------- looking


def test_all_credentials_are_told_as_status_tells_them(quiet: Hosted) -> None:
    told = quiet.ask("GET", "credentials").json
    (one,) = told["credentials"]
    assert (one["id"], one["condition"], one["active"], told["emulated"]) == ("shop/contoso", "ok", "primary", True)
    assert quiet.ask("GET", "credentials/shop/contoso").json == one


def test_the_ledger_alone_is_looked_at(quiet: Hosted) -> None:
    asked = len(quiet.stage.azure.calls("arm"))
    quiet.ask("GET", "credentials")
    quiet.ask("GET", "credentials/shop/contoso")
    assert len(quiet.stage.azure.calls("arm")) == asked


# -------- rotating


def test_a_rotation_that_is_asked_for_begins_at_once_and_the_sweeps_end_it(quiet: Hosted) -> None:
    response = quiet.ask("POST", ROTATE, {"because": "the partner asked"})
    assert response.status == 202
    assert response.json["stage"] == "confirm"
    for _ in range(70):
        quiet.follow(seconds=1800)
    assert (quiet.record().rotations, quiet.record().stage) == (1, Stage.IDLE)
    lines = quiet.instance.keyturn().ledger.history(quiet.record().key, 1000)
    assert "the partner asked" in [line.event.sentence for line in lines]


def test_a_rotation_needs_no_body(quiet: Hosted) -> None:
    assert quiet.ask("POST", ROTATE).status == 202


def test_a_second_rotation_while_one_is_under_way_is_a_conflict(quiet: Hosted) -> None:
    quiet.ask("POST", ROTATE)
    told = problem(quiet.ask("POST", ROTATE), 409, "needs-person")
    assert "already rotating" in told["detail"]


def test_a_held_credential_is_not_rotated_and_the_reason_of_its_hold_is_told(quiet: Hosted) -> None:
    keyturn = quiet.instance.keyturn()
    stored = keyturn.ledger.load(quiet.record().key)
    assert stored is not None
    held, event = by_hand.hold(stored.record, "a test", keyturn.clock.now())
    keyturn.ledger.save(held, stored.version, [event])
    assert problem(quiet.ask("POST", ROTATE), 409, "needs-person")["reason"] == "by-hand"


def test_a_credential_that_the_ledger_does_not_know_yet_is_adopted_by_being_rotated(hosted: Hosted) -> None:
    response = hosted.ask("POST", ROTATE)
    assert response.status == 202
    assert response.json["id"] == "shop/contoso"


# -------- slots


@pytest.mark.parametrize("how", ["set", "regenerate"])
def test_a_quiet_slot_is_written(quiet: Hosted, how: str) -> None:
    before = quiet.stage.azure.keys(SERVICE, "contoso")
    if how == "set":
        response = quiet.ask("PUT", SECONDARY, {"value": CHOSEN, "because": "agreed with the partner"})
    else:
        response = quiet.ask("POST", f"{SECONDARY}/regenerate")
    assert response.status == 200, response.text
    after = quiet.stage.azure.keys(SERVICE, "contoso")
    assert after["primary"] == before["primary"]
    assert after["secondary"] != before["secondary"]
    assert (after["secondary"] == CHOSEN) == (how == "set")
    assert CHOSEN not in response.text


@pytest.mark.parametrize("how", ["set", "regenerate"])
def test_a_slot_that_a_sink_shows_is_not_written_and_its_readers_are_named(quiet: Hosted, how: str) -> None:
    before = quiet.stage.azure.keys(SERVICE, "contoso")
    if how == "set":
        response = quiet.ask("PUT", PRIMARY, {"value": CHOSEN})
    else:
        response = quiet.ask("POST", f"{PRIMARY}/regenerate")
    told = problem(response, 409, "slot-not-quiet")
    assert told["reason"] == "exposed"
    assert told["wouldCutOff"] == {"slot": "primary", "readersOf": ["shop-kv/apim-contoso"]}
    assert CHOSEN not in response.text
    assert quiet.stage.azure.keys(SERVICE, "contoso") == before


def test_even_a_value_that_is_a_word_of_the_answer_is_not_repeated(quiet: Hosted) -> None:
    response = quiet.ask("PUT", PRIMARY, {"value": "shop/contoso"})
    problem(response, 409, "slot-not-quiet")
    assert "shop/contoso" not in response.text
    assert response.json["wouldCutOff"]["slot"] == "primary"


def test_callers_are_cut_off_only_with_a_reason(quiet: Hosted) -> None:
    before = quiet.stage.azure.keys(SERVICE, "contoso")
    told = problem(quiet.ask("POST", f"{PRIMARY}/regenerate", {"cutOffCallers": True}), 400, "bad-request")
    assert "because" in told["hint"]
    assert quiet.stage.azure.keys(SERVICE, "contoso") == before
    response = quiet.ask("POST", f"{PRIMARY}/regenerate", {"cutOffCallers": True, "because": "it leaked"})
    assert response.status == 200
    assert quiet.stage.azure.keys(SERVICE, "contoso")["primary"] != before["primary"]


def test_a_standby_that_was_just_adopted_is_not_quiet_yet(hosted: Hosted) -> None:
    hosted.settled()
    told = problem(hosted.ask("PUT", SECONDARY, {"value": CHOSEN}), 409, "slot-not-quiet")
    assert told["reason"] in {"exposed", "quiet-slot"}
    assert told["wouldCutOff"]["readersOf"] == []


def test_a_gateways_key_cannot_be_chosen(stage: Scene) -> None:
    stage.configure({"match": "{ gateway: gw-oslo }"})
    with Hosted.started(stage) as hosted:
        response = hosted.ask("PUT", "credentials/shop/gateways/gw-oslo/slots/secondary", {"value": CHOSEN})
        problem(response, 409, "cannot-be-set")


# -------- ids


@pytest.mark.parametrize("path", ["shop/a/b", "shop/a%2Fb", "shop/a%2fb", "shop/A/B"])
def test_an_id_may_hold_slashes_as_they_are_or_encoded(stage: Scene, path: str) -> None:
    stage.description["services"][0]["subscriptions"].append({"sid": "a/b", "display_name": "Odd", "product": "gold"})
    stage.azure.seed(stage.description)
    stage.configure({"match": "{ sid: a/b }", "publish": "[ { keyvault: { vault: shop-kv, secret: odd } } ]"})
    with Hosted.started(stage) as hosted:
        response = hosted.ask("POST", f"credentials/{path}/rotate")
        assert (response.status, response.json["id"]) == (202, "shop/a/b")
        assert hosted.ask("GET", f"credentials/{path}").json["id"] == "shop/a/b"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "credentials/shop/nobody"),
        ("GET", "credentials/nowhere/contoso"),
        ("GET", "credentials/shop"),
        ("POST", "credentials/shop/nobody/rotate"),
        ("POST", "credentials/shop/fabrikam/rotate"),
        ("POST", "credentials/nowhere/contoso/slots/primary/regenerate"),
        ("PUT", "credentials/shop/nobody/slots/primary"),
    ],
)
def test_an_unknown_credential_is_not_found(quiet: Hosted, method: str, path: str) -> None:
    body = {"value": CHOSEN} if method == "PUT" else None
    told = problem(quiet.ask(method, path, body), 404, "unknown-credential")
    assert "GET credentials" in told["hint"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "credentials"),
        ("POST", "credentials/rotate"),
        ("POST", "credentials/shop/contoso"),
        ("PUT", "credentials/shop/contoso"),
        ("POST", "credentials/shop/contoso/slots/primary"),
        ("PUT", f"credentials/shop/contoso/slots/{CHOSEN}"),
        ("POST", f"credentials/shop/contoso/slots/{CHOSEN}/regenerate"),
    ],
)
def test_an_unknown_path_is_not_found_and_nothing_of_it_is_repeated(quiet: Hosted, method: str, path: str) -> None:
    response = quiet.ask(method, path, {"value": CHOSEN} if method == "PUT" else None)
    problem(response, 404, "unknown-path")
    assert CHOSEN not in response.text


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_another_method_is_told_which_are_taken(quiet: Hosted, method: str) -> None:
    response = quiet.ask(method, "credentials/shop/contoso")
    problem(response, 405, "wrong-method")
    assert response.headers["allow"] == "GET, POST, PUT"


# -------- bodies


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "value is missing"),
        (b"{}", "value is missing"),
        (b"[]", "no JSON object"),
        (b"null", "no JSON object"),
        (b'"text"', "no JSON object"),
        (b"{", "no JSON that can be read"),
        (b"\xff\xfe{}", "no JSON that can be read"),
        (b"[" * 9000, "no JSON that can be read"),
        (b'{"value": "%s", "value": "x"}' % CHOSEN.encode(), "a field twice"),
        (b'{"value": "%s", "slot": "primary"}' % CHOSEN.encode(), "Unknown field: slot."),
        (b'{"value": "%s", "%s": 1}' % (CHOSEN.encode(), CHOSEN.encode()), "one whose name is not repeated"),
        (b'{"value": 7}', "value: it is no text"),
        (b'{"value": null}', "value: it is no text"),
        (b'{"value": ""}', "value: the value has 0 characters"),
        (b'{"value": "%s"}' % (b"a" * 257), "value: the value has 257 characters"),
        (b'{"value": " %s"}' % CHOSEN.encode(), "must travel in an HTTP header"),
        ('{"value": "schl\u00fcssel-0123456789"}'.encode(), "must travel in an HTTP header"),
        (b'{"value": "%s\\n"}' % CHOSEN.encode(), "must travel in an HTTP header"),
        (b'{"value": "%s", "because": 1}' % CHOSEN.encode(), "because: it is no printable text"),
        (b'{"value": "%s", "because": ""}' % CHOSEN.encode(), "because: it is no printable text"),
        (b'{"value": "%s", "because": "a\\nb"}' % CHOSEN.encode(), "because: it is no printable text"),
        (b'{"value": "%s", "because": "set %s"}' % (CHOSEN.encode(), CHOSEN.encode()), "because holds the value"),
        (b'{"value": "%s", "cutOffCallers": "yes"}' % CHOSEN.encode(), "cutOffCallers: it is neither true nor false"),
    ],
    ids=lambda given: repr(given)[:48],
)
def test_a_body_that_is_wrong_is_refused_by_name_without_its_value(quiet: Hosted, body: bytes, said: str) -> None:
    before = quiet.stage.azure.keys(SERVICE, "contoso")
    response = quiet.ask("PUT", SECONDARY, raw=body)
    assert said in problem(response, 400, "bad-request")["detail"]
    for part in (CHOSEN, "schl", "a" * 100):
        assert part not in response.text
    assert quiet.stage.azure.keys(SERVICE, "contoso") == before


def test_a_body_is_bounded(quiet: Hosted) -> None:
    fits = json.dumps({"because": "a"}).encode().ljust(16_384)
    assert quiet.ask("POST", ROTATE, raw=fits).status == 202
    problem(quiet.ask("POST", ROTATE, raw=fits + b" "), 413, "too-large")


def test_another_content_type_is_refused(quiet: Hosted) -> None:
    problem(
        quiet.ask("PUT", SECONDARY, raw=b"value=x", content_type="application/x-www-form-urlencoded"), 415, "not-json"
    )
    given = json.dumps({"value": CHOSEN}).encode()
    assert quiet.ask("PUT", SECONDARY, raw=given, content_type="application/json; charset=utf-8").status == 200


def test_what_a_regenerate_does_not_take_is_refused(quiet: Hosted) -> None:
    told = problem(quiet.ask("POST", f"{SECONDARY}/regenerate", {"value": CHOSEN}), 400, "bad-request")
    assert told["detail"] == "Unknown field: value."


# -------- when something else is wrong


def test_what_azure_refuses_is_told_with_its_code(quiet: Hosted) -> None:
    quiet.stage.azure.fault("status", {"method": "POST", "path_contains": "regenerate"}, status=403, times=1)
    told = problem(quiet.ask("POST", f"{SECONDARY}/regenerate"), 502, "azure-refused")
    assert told["azure"]["status"] == 403


def test_an_azure_that_does_not_answer_is_one_to_try_again(quiet: Hosted) -> None:
    quiet.stage.azure.fault("status", {"host": "management.azure.com"}, status=503, times=99)
    response = quiet.ask("POST", ROTATE)
    problem(response, 503, "try-again")
    assert int(response.headers["retry-after"]) >= 1


def test_a_ledger_that_cannot_be_used_is_told_and_nothing_is_changed(stage: Scene) -> None:
    keys = stage.azure.keys(SERVICE, "contoso")
    stage.ledger.write_bytes(b"not a database, whoever wrote this")
    with Hosted.started(stage) as hosted:
        for method, path in (("GET", "credentials"), ("POST", ROTATE)):
            problem(hosted.ask(method, path), 503, "ledger-unusable")
    assert stage.azure.keys(SERVICE, "contoso") == keys


def test_an_app_that_cannot_be_configured_says_so_in_every_answer(stage: Scene) -> None:
    (stage.folder / "keyturn.yaml").write_text("services: {}\nledger: sqlite:///keyturn.db\n", encoding="utf-8")
    with Hosted.started(stage) as hosted:
        told = problem(hosted.ask("GET", "credentials"), 500, "not-configured")
        assert "keyturn.yaml:1:" in told["detail"]
        assert hosted.ask("GET", "openapi.json").status == 200


def test_a_defect_is_told_by_its_type_and_place_alone(
    quiet: Hosted, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode() -> None:
        raise ValueError(f"something with {CHOSEN} in it")

    monkeypatch.setattr(quiet.instance, "keyturn", explode)
    response = quiet.ask("GET", "credentials")
    told = problem(response, 500, "defect")
    assert "ValueError" in told["detail"]
    assert CHOSEN not in response.text + caplog.text


def test_nothing_that_is_logged_holds_a_value(quiet: Hosted, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        quiet.ask("PUT", SECONDARY, {"value": CHOSEN})
        quiet.ask("POST", ROTATE)
    assert "shop/contoso" in caplog.text
    quiet.stage.look_for_leaks(caplog.text)
    assert CHOSEN not in caplog.text


# -------- the document


def test_the_openapi_document_is_valid(hosted: Hosted) -> None:
    response = hosted.ask("GET", "openapi.json")
    assert response.headers["content-type"] == "application/json"
    OpenAPIV31SpecValidator(response.json).validate()


def test_the_document_names_every_path_and_every_status_of_a_problem(hosted: Hosted) -> None:
    document = hosted.ask("GET", "openapi.json").json
    paths = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item if method != "parameters"
    }
    assert paths == {
        ("GET", "/credentials"),
        ("GET", "/credentials/{service}/{name}"),
        ("POST", "/credentials/{service}/{name}/rotate"),
        ("POST", "/credentials/{service}/{name}/slots/{slot}/regenerate"),
        ("PUT", "/credentials/{service}/{name}/slots/{slot}"),
    }
    told = {int(name.removeprefix("Problem")) for name in document["components"]["responses"]}
    assert told == {status for status, _ in PROBLEMS.values()}


def test_what_is_answered_fits_the_document(quiet: Hosted) -> None:
    document = quiet.ask("GET", "openapi.json").json
    for name, response in (
        ("Credentials", quiet.ask("GET", "credentials")),
        ("Credential", quiet.ask("POST", ROTATE)),
        ("Problem", quiet.ask("POST", f"{PRIMARY}/regenerate")),
        ("Problem", quiet.ask("GET", "credentials/shop/nobody")),
    ):
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        OAS31Validator(schema).validate(response.json)
