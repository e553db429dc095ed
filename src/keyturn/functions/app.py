# No `from __future__ import annotations` here: the host's worker reads these functions' annotations as types.
"""The functions with their bindings: what the host indexes. Flat, and nothing but binding.

Never here: what an invocation does (`queueing`, `hints`, `web`), or an import of what that needs.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, List  # noqa: UP035 - the worker knows List[str] as a type of an output, not list[str]

import azure.functions as func

from keyturn.errors import KeyturnError, forget_locals
from keyturn.functions import hints, queueing, web
from keyturn.functions.instance import Instance, log, sentence
from keyturn.functions.settings import STORAGE, read_settings

Messages = func.Out[List[str]]  # noqa: UP006
ANY_METHOD: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""So that a method that is not served is answered by us, in the same form as every other mistake."""


def create_app(settings: Mapping[str, str] | None = None, *, folder: str | None = None) -> func.FunctionApp:
    """The function app. `settings` are the app settings, by default those of the environment; files that they name are
    looked for in `folder`, by default where the host keeps the app. Raises nothing: an app that cannot be configured
    is indexed all the same, and each of its functions says why."""
    given = os.environ if settings is None else settings
    where = folder or given.get("AzureWebJobsScriptRoot") or "."
    return app_of(Instance(read_settings(given, Path(where))))


def app_of(instance: Instance) -> func.FunctionApp:
    """The functions around one keyturn."""
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    told = instance.settings
    publishers = hints.Publishers()

    @app.function_name("sweep")
    @app.timer_trigger(arg_name="timer", schedule=told.schedule, run_on_startup=False, use_monitor=True)
    @app.queue_output(arg_name="turns", queue_name=told.queue, connection=STORAGE)
    def sweep(timer: func.TimerRequest, turns: Messages) -> None:
        if timer.past_due:
            log.info("this tick is late")
        if told.fans_out:
            turns.set(_failing_aloud(lambda: queueing.share_out(instance)))
        else:
            _failing_aloud(lambda: queueing.sweep_here(instance))

    @app.function_name("turn")
    @app.queue_trigger(arg_name="message", queue_name=told.queue, connection=STORAGE)
    def turn(message: func.QueueMessage) -> None:
        again = (message.dequeue_count or 1) > 1
        _failing_aloud(lambda: queueing.take_turn(instance, _text(message), again=again))

    @app.function_name("poisoned")
    @app.queue_trigger(arg_name="message", queue_name=told.poison_queue, connection=STORAGE)
    def poisoned(message: func.QueueMessage) -> None:
        _failing_aloud(lambda: queueing.tell_poisoned(instance, _text(message)))

    @app.function_name("hint")
    @app.event_grid_trigger(arg_name="event")
    @app.queue_output(arg_name="turns", queue_name=told.queue, connection=STORAGE)
    def hint(event: func.EventGridEvent, turns: Messages) -> None:
        # an event in the CloudEvents schema arrives as another class, with the same words but for its type
        kind = str(getattr(event, "event_type", None) or getattr(event, "type", None) or "")
        data: Any = event.get_json()
        turns.set(_failing_aloud(lambda: hints.looks(instance, publishers, kind, str(event.subject or ""), data)))

    @app.function_name("credentials")
    @app.route(route="credentials/{*path}", methods=ANY_METHOD)
    def credentials(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return _answer(web.answer(instance, _request(req, context)))

    @app.function_name("openapi")
    @app.route(route="openapi.json", methods=("GET",))
    def openapi(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the binding has a name
        return _answer(web.document())

    return app


def _failing_aloud(work: Callable[[], Any]) -> Any:
    """One line in the log for a problem that keyturn can put into a sentence; the host sees the invocation fail, and
    may report whatever the error brings along."""
    try:
        return work()
    except BaseException as problem:
        forget_locals(problem)
        if isinstance(problem, KeyturnError):
            log.error("%s", sentence(problem))
        raise


def _text(message: func.QueueMessage) -> str:
    """What is no text cannot be a message of ours: it is read as one that is none."""
    return message.get_body().decode("utf-8", errors="replace")


def _request(req: func.HttpRequest, context: func.Context) -> web.Request:
    return web.Request(
        method=req.method,
        path=str(req.route_params.get("path") or ""),
        content_type=str(req.headers.get("content-type") or ""),
        body=req.get_body(),
        invocation=str(context.invocation_id),
    )


def _answer(answer: web.Answer) -> func.HttpResponse:
    return func.HttpResponse(
        answer.body, status_code=answer.status, headers=dict(answer.headers), mimetype=answer.content_type
    )
