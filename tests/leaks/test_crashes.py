"""What a crash reporter finds: nothing in the frames of an error that keyturn lets out, nor in an object of its own."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keyturn.clocks.system import SystemClock
from keyturn.errors import forget_locals, variable
from keyturn.model import Secret
from keyturn.ports import Applied, Shown, Values
from keyturn.sinks.file import FileVariable
from keyturn.sinks.webhook import Webhook, signing_secrets
from keyturn.tokens import Form, create, parse
from tests.leaks.searching import Searcher

VALUE = "zqxjkvwyghmnpostlruizqjxvkwhygnm"
SECRET = Secret(VALUE)


def show(text: str) -> bool:
    return any(Searcher([("value", VALUE)]).look(text.encode()))


def told(error: BaseException) -> str:
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def _in_the_open() -> None:
    plain = SECRET.reveal()
    raise ValueError(len(plain))


def _wrapped() -> None:
    plain = SECRET.reveal()
    try:
        _in_the_open()
    except ValueError as error:
        raise RuntimeError(len(plain)) from error


def test_the_frames_of_an_error_and_of_what_led_to_it_are_emptied_and_still_told() -> None:
    with pytest.raises(RuntimeError) as caught:
        _wrapped()
    error = caught.value
    assert show(told(error)), "the reporter of this test finds what is there"
    forget_locals(error)
    assert not show(told(error))
    assert "_in_the_open" in told(error) and "_wrapped" in told(error)


def test_errors_that_lead_to_one_another_are_gone_through_once() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__context__, other.__context__ = other, one
    forget_locals(one)


def _holders(folder: Path) -> list[Any]:
    token = create(Form.GATEWAY, "gw-oslo", SECRET, SystemClock().now().replace(second=0, microsecond=0))
    signing = base64.b64encode(VALUE.encode()).decode()
    values = Values(primary=SECRET, secondary=SECRET, etag=None)
    return [
        SECRET,
        values,
        Applied(values=values),
        Shown(value=SECRET),
        parse(token.reveal()),
        FileVariable(folder / "app.env", "KEY", SystemClock()),
        Webhook("http://127.0.0.1:1/", "shop/contoso", signing_secrets(signing, "HOOK"), SystemClock()),
    ]


def test_no_object_that_holds_a_secret_shows_it_in_any_form(tmp_path: Path) -> None:
    for one in _holders(tmp_path):
        shown = [repr(one), str(one), f"{one}", f"{one!r:>200}", repr(vars(one)) if hasattr(one, "__dict__") else ""]
        with suppress(TypeError):  # what holds a lock cannot be pickled at all
            shown.append(pickle.dumps(one).decode("latin-1"))
            shown.append(repr(copy.deepcopy(one)))
        shown.append(json.dumps(one, default=repr))
        shown.append(repr(msgspec.to_builtins(one, enc_hook=repr)))
        assert not [text for text in shown if show(text)], type(one).__name__


@pytest.mark.parametrize("name", [VALUE, "3f0a9c5517de42b8860b1fd4c7a29e63", "Q8superSecretClientValue", "x" * 61])
def test_a_secret_in_the_place_of_its_variables_name_is_not_repeated(name: str) -> None:
    assert name not in variable(name)


@pytest.mark.parametrize("name", ["KEYTURN_CLIENT_SECRET", "AzureWebJobsStorage", "my_secret", "AZURE_CLIENT_SECRET_2"])
def test_a_variable_is_named(name: str) -> None:
    assert name in variable(name)
