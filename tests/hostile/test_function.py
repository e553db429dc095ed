"""The Function's HTTP triggers, queue and events under what no caller means: a problem of its own, never a defect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.errors import KeyturnError
from keyturn.functions import web
from keyturn_emulator.testing import RunningEmulator
from tests.functions.hosting import Hosted
from tests.hostile.drawn import bodies, encodable, json_like, texts, tried
from tests.journeys.stage import Stage

SENT = "ghijklmnopqrstuvwxyzghijklmnopqr"
FIELDS = ("because", "value", "cutOffCallers")
PARTS = ("shop", "contoso", "tenant", "access", "gateways", "edge", "slots", "primary", "secondary", "rotate", "%2F",
         "..", "regenerate", "", "%00", "%ff", "master")  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_of_this_machines_network() -> None:
    """In the place of this folder's: the stage has an environment of its own, which leads to its emulator."""


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    with (
        RunningEmulator.start() as azure,
        Hosted.started(Stage(azure, Path(tmp_path_factory.mktemp("function")))) as app,
    ):
        yield app


requests = st.builds(
    web.Request,
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "get", "BREW", ""]),
    path=st.one_of(
        st.lists(st.sampled_from(PARTS), max_size=7).map("/".join),
        encodable,
        st.sampled_from(
            ["shop/contoso/rotate", "shop/contoso/slots/primary", "shop/contoso/slots/secondary/regenerate"]
        ),
    ),
    body=st.one_of(
        bodies(st.one_of(st.sampled_from(FIELDS), texts)),
        st.builds(
            lambda because, value, cuts: json.dumps(
                {"because": because, "value": value, "cutOffCallers": cuts}
            ).encode(),
            texts,
            st.one_of(texts, st.just(SENT), json_like()),
            st.one_of(st.booleans(), texts),
        ),
    ),
    content_type=st.one_of(st.sampled_from(["application/json", "application/x+json", "", "text/plain"]), texts),
    invocation=st.just("0b6ff8de-7b9c-4a43-8c1c-6f5a1f7d2a10"),
)


def test_no_request_is_a_defect_and_no_answer_repeats_a_value(hosted: Hosted) -> None:
    seen: set[int] = set()

    @tried(250)
    @given(request=requests)
    def ask(request: web.Request) -> None:
        answer = web.answer(hosted.instance, request)
        told = json.loads(answer.body)
        answer.body.encode()
        seen.add(answer.status)
        assert told.get("type") != f"{web.PROBLEM_TYPE}defect", told
        assert SENT not in answer.body
        for name, value in answer.headers:
            assert f"{name}{value}".isprintable()

    ask()
    assert {200, 400, 404, 405} <= seen, "these requests got behind no check"


def test_no_message_and_no_event_breaks_the_app(hosted: Hosted) -> None:
    """A message that is none is refused by an error that the host sees; an event that is none is ignored."""
    message = st.one_of(
        texts.map(lambda text: text.encode("utf-8", "surrogatepass")),
        bodies(st.sampled_from(["key", "why", "id"])),
        st.builds(
            lambda key, why: json.dumps({"key": key, "why": why}).encode(),
            st.one_of(texts, st.just("/subscriptions/x"), texts.map(lambda text: f"/subscriptions/{text}".lower())),
            st.sampled_from(["due", "new", "lost", "look", "x"]),
        ),
    )
    kinds = st.one_of(
        st.sampled_from(["Microsoft.KeyVault.SecretNearExpiry", "Microsoft.ApiManagement.SubscriptionUpdated"]), texts
    )

    def quietly(work: Any) -> None:
        said = ""
        try:
            work()
        except KeyturnError as error:
            said = error.message
        assert said.isprintable() or not said

    @tried(80)
    @given(text=message, kind=kinds, subject=encodable, data=json_like(encodable))
    def tell(text: bytes, kind: str, subject: str, data: Any) -> None:
        quietly(lambda: hosted.turn(text))
        quietly(lambda: hosted.poisoned(text))
        quietly(lambda: hosted.hint(kind, subject, data))

    tell()
