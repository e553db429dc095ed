"""What Azure quotes of a secret is hidden, however it quotes it; found by the hunt for leaks."""

from __future__ import annotations

import json
import logging
import pickle

import pytest

from keyturn.azure import answers
from keyturn.azure.answers import Reply
from keyturn.azure.quoting import LEAST, hide_in_logs, masked
from keyturn.model import MASK, Secret
from keyturn.ports import NotApplied, Uncertain
from tests.leaks.quotes import FORMS, quoted
from tests.leaks.searching import Searcher

VALUES = (
    "zqxjkvwyghmnpostlruizqjxvkwhygnm",
    "3f0a9c5517de42b8860b1fd4c7a29e63",
    "with space & <sign> \"quote\" 'n' more",
)


def hidden(text: str, value: str) -> bool:
    """No six letters of it, in no dress that the hunt knows."""
    return not any(value[at : at + LEAST] in text for at in range(len(value) - LEAST + 1)) and not list(
        Searcher([("value", value)]).look(text.encode())
    )


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("form", FORMS)
def test_a_quoted_value_is_hidden_and_what_stands_around_it_is_not(form: str, value: str) -> None:
    text = f"The value '{quoted(value, form)}' cannot be used."
    told = masked(text, (Secret(value),))
    assert hidden(told, value)
    assert told.startswith("The value '") and told.endswith("cannot be used.") and MASK in told


def test_json_within_json_and_a_part_in_the_middle_are_hidden() -> None:
    value = 'quote" and back\\slash'
    body = json.dumps({"message": json.dumps({"primaryKey": value})})
    assert hidden(masked(body, (Secret(value),)).replace("\\", ""), value.replace("\\", ""))
    assert masked(f"near '...{VALUES[1][5:17]}...'", (Secret(VALUES[1]),)) == f"near '...{MASK}...'"


def test_a_short_value_is_hidden_where_it_stands_whole_and_no_value_hides_nothing() -> None:
    assert masked("the key abc is short", (Secret("abc"),)) == f"the key {MASK} is short"
    assert masked("nothing is hidden", (Secret(""),)) == "nothing is hidden"


def test_whoever_signed_in_is_hidden_without_being_known() -> None:
    token = "eyJhbGciOiJSUzI1NiJ9.eyJvaWQiOiIxIn0.c2lnbmF0dXJl"
    assert masked(f"Authorization: Bearer {token} is refused") == f"Authorization: Bearer {MASK} is refused"
    assert masked(f"the token '{token}'") == f"the token '{MASK}'"
    assert masked("Bearer opaque-token-123") == f"Bearer {MASK}"


@pytest.mark.parametrize("status", [400, 403, 409, 500])
@pytest.mark.parametrize("form", FORMS)
def test_no_part_of_an_answer_carries_the_value_into_what_is_said(status: int, form: str) -> None:
    value = VALUES[0]
    quote = quoted(value, form)
    action = f"does not have authorization to perform action '{quote}' over scope '{quote}'"
    for message in (f"{quote} is wrong", action):
        body = {"error": {"code": quote, "message": message, "innererror": {"code": quote}}}
        reply = Reply(status, {"x-ms-request-id": quote}, json.dumps(body).encode())
        answer = answers.effect_failed(reply, "set primary of shop/contoso", (Secret(value),))
        assert isinstance(answer, NotApplied | Uncertain)
        assert hidden(repr(answer), value)


def test_a_reply_is_pickled_without_its_body() -> None:
    kept = pickle.loads(pickle.dumps(Reply(200, {"etag": "secret"}, b"secret")))
    assert (kept.status, kept.headers, kept.body) == (200, {}, b"")


def test_libraries_that_log_the_secret_say_it_no_more(caplog: pytest.LogCaptureFixture) -> None:
    noisy, other = logging.getLogger("azure.test_quoting"), logging.getLogger("test_quoting")
    secret = Secret(VALUES[0])
    hide_in_logs(secret, "azure")
    hide_in_logs(secret, "azure")
    assert len(noisy.filters) == 1
    error = ValueError(f"Invalid client secret {VALUES[0]} provided")
    noisy.warning("failed: %s", error, exc_info=error)
    other.warning("elsewhere")
    noisy.filters.clear()
    assert hidden(caplog.text, VALUES[0])
    assert f"failed: Invalid client secret {MASK} provided" in caplog.text
    assert "ValueError" in caplog.text and "elsewhere" in caplog.text
