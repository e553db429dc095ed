"""What stands for the Functions host in tests: it hands over what the real one would, by the library's own converters.

The app is indexed, each function is found by its name, and called with what its bindings say. While an invocation
waits for emulated time, the host moves it. Never here: the runtime of Azure Functions itself, which cannot be had.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import azure.functions as func
from azure.functions.eventgrid import EventGridEventInConverter
from azure.functions.http import HttpRequest, HttpResponseConverter
from azure.functions.meta import Datum
from azure.functions.queue import QueueMessageInConverter, QueueMessageOutConverter
from azure.functions.timer import TimerRequest

from keyturn.functions.app import app_of
from keyturn.functions.instance import Instance
from keyturn.functions.settings import read_settings
from keyturn.model import Record
from keyturn_emulator.testing import environment
from tests.journeys.stage import Stage

INVOCATION = "0b6ff8de-7b9c-4a43-8c1c-6f5a1f7d2a10"
PATIENCE = 60.0
STEP = 0.01
T = TypeVar("T")


class Out(Generic[T]):
    """An output binding."""

    def __init__(self) -> None:
        self.content: T | None = None

    def set(self, content: T) -> None:
        self.content = content

    def get(self) -> T | None:
        return self.content


def queue_message(text: str | bytes, *, dequeue_count: int = 1) -> func.QueueMessage:
    """A message as the worker decodes it."""
    metadata = {"Id": Datum("m1", "string"), "DequeueCount": Datum(str(dequeue_count), "string")}
    kind = "string" if isinstance(text, str) else "bytes"
    message = QueueMessageInConverter.decode(Datum(text, kind), trigger_metadata=metadata)
    assert isinstance(message, func.QueueMessage)
    return message


def event(kind: str, subject: str, data: Any, *, cloud_event: bool = False) -> Any:
    """An event as the worker decodes it, in either schema."""
    shared = {"id": "e1", "subject": subject, "data": data}
    if cloud_event:
        given = {**shared, "specversion": "1.0", "source": "/azure", "type": kind, "time": "2026-01-05T08:00:00Z"}
    else:
        given = {
            **shared,
            "topic": "/azure",
            "eventType": kind,
            "eventTime": "2026-01-05T08:00:00Z",
            "dataVersion": "1",
            "metadataVersion": "1",
        }
    return EventGridEventInConverter.decode(Datum(json.dumps(given), "json"), trigger_metadata=None)


class Response:
    """An HTTP answer as the worker encodes it."""

    def __init__(self, answer: func.HttpResponse) -> None:
        encoded = HttpResponseConverter.encode(answer, expected_type=None).value
        self.status = int(encoded["status_code"].value)
        self.headers = {name.lower(): datum.value for name, datum in encoded["headers"].items()}
        self.text = encoded["body"].value.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Hosted:
    """One app in a host of its own."""

    def __init__(self, stage: Stage, settings: Mapping[str, str]) -> None:
        self.stage = stage
        self.instance = Instance(read_settings(settings, stage.folder))
        self.functions = {
            it.get_function_name(): it.get_user_function() for it in app_of(self.instance).get_functions()
        }

    @classmethod
    @contextmanager
    def started(cls, stage: Stage, **settings: str) -> Iterator[Hosted]:
        """With the stage's environment, as long as the app lives."""
        config = stage.folder / "keyturn.yaml"
        text = config.read_text(encoding="utf-8")
        if "ledger:" not in text:
            config.write_text(text + "ledger: sqlite:///keyturn.db\n", encoding="utf-8")
        env = {name: value for name, value in stage.env.items() if os.environ.get(name) != value}
        stage.learn_secrets()
        with environment(env):
            app = cls(stage, settings)
            try:
                yield app
            finally:
                app.instance.close()

    # -------- invocations

    def tick(self) -> list[str]:
        """The timer fires; the messages that it enqueues."""
        turns: Out[list[str]] = Out()
        self._run(lambda: self.functions["sweep"](TimerRequest(past_due=False), turns))
        return enqueued(turns)

    def turn(self, text: str | bytes, *, dequeue_count: int = 1) -> None:
        self._run(lambda: self.functions["turn"](queue_message(text, dequeue_count=dequeue_count)))

    def poisoned(self, text: str | bytes) -> None:
        self._run(lambda: self.functions["poisoned"](queue_message(text)))

    def hint(self, kind: str, subject: str = "", data: Any = None, *, cloud_event: bool = False) -> list[str]:
        """Event Grid sends an event; the messages that it is worth."""
        turns: Out[list[str]] = Out()
        given = event(kind, subject, data, cloud_event=cloud_event)
        self._run(lambda: self.functions["hint"](given, turns))
        return enqueued(turns)

    def ask(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, content_type: str | None = None
    ) -> Response:
        """Ask over HTTP; `path` as the router hands it over. Every answer is looked through for values."""
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        kind = content_type or ("application/json" if content else "")
        name = "openapi" if path == "openapi.json" else "credentials"
        request = HttpRequest(
            method=method,
            url=f"https://app.azurewebsites.net/api/{path}?code=the-function-key",
            headers={"content-type": kind} if kind else {},
            params={"code": "the-function-key"},
            route_params={"path": path.removeprefix("credentials").removeprefix("/")} if name == "credentials" else {},
            body_type="bytes",
            body=content,
        )
        context = SimpleNamespace(invocation_id=INVOCATION)
        arguments = (request,) if name == "openapi" else (request, context)
        response = Response(self._run(lambda: self.functions[name](*arguments)))
        self.stage.look_for_leaks(response.text)
        assert "the-function-key" not in response.text
        return response

    def _run(self, invocation: Callable[[], T]) -> T:
        """One invocation on a thread of its own, with time moving whenever it waits for it. What it raises is raised
        here."""
        done = threading.Event()
        results: list[T] = []
        raised: list[BaseException] = []

        def run() -> None:
            try:
                results.append(invocation())
            except BaseException as error:  # noqa: BLE001 - it is raised again below
                raised.append(error)
            finally:
                done.set()

        threading.Thread(target=run, daemon=True).start()
        for _ in range(int(PATIENCE / STEP)):
            if done.wait(STEP):
                break
            waiters = self.stage.azure.control("GET", "clock")["waiters"]
            if waiters:
                self.stage.azure.control("POST", "clock", {"to": min(each["until"] for each in waiters)})
        else:
            raise AssertionError("the invocation did not end")
        if raised:
            raise raised[0]
        return results[0]

    # -------- many of them

    def follow(self, *, ticks: int = 1, seconds: float = 300.0) -> None:
        """So many ticks of the timer, with every message delivered once, in order, and time between them."""
        for _ in range(ticks):
            for text in self.tick():
                self.turn(text)
            self.stage.azure.advance(seconds)

    def settled(self, sid: str = "contoso", *, most: int = 60, seconds: float = 300.0) -> Record:
        """Follow until the credential is idle, or held."""
        for _ in range(most):
            self.follow(seconds=seconds)
            record = self.record(sid)
            if record.hold is not None or record.stage.value == "idle":
                return record
        raise AssertionError(f"{sid} never came to rest")

    def record(self, sid: str = "contoso") -> Record:
        keyturn = self.instance.keyturn()
        (key,) = keyturn.keys_of(f"shop/{sid}")
        stored = keyturn.ledger.load(key)
        assert stored is not None
        return stored.record

    def history(self, sid: str = "contoso") -> list[str]:
        """Kinds of what happened, oldest first."""
        return [line.event.kind for line in self.instance.keyturn().ledger.history(self.record(sid).key, 1000)]


def enqueued(turns: Out[list[str]]) -> list[str]:
    """What the host finds in the output binding, by the worker's own encoding."""
    if turns.content is None:
        return []
    encoded = QueueMessageOutConverter.encode(turns.content, expected_type=None)
    told: list[str] = json.loads(encoded.value)
    return told


def host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def function_app() -> Path:
    """The folder that is deployed."""
    return Path(__file__).parents[2] / "function_app"
