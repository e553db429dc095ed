"""The app as its host indexes it: which functions there are, and what binds them."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
import yaml
from azure.functions.eventgrid import EventGridEventInConverter
from azure.functions.http import HttpRequestConverter
from azure.functions.queue import QueueMessageInConverter, QueueMessageOutConverter
from azure.functions.timer import TimerRequestConverter

from keyturn.functions import create_app
from keyturn.functions.settings import read_settings
from tests.functions.hosting import function_app

NAMES = ("sweep", "turn", "poisoned", "hint", "credentials", "openapi")
COSTLY = (
    "azure.core",
    "azure.identity",
    "azure.mgmt",
    "azure.data",
    "azure.keyvault",
    "sqlalchemy",
    "requests",
    "msal",
)


def functions(settings: dict[str, str], folder: Path) -> dict[str, Any]:
    return {str(it.get_function_name()): it for it in create_app(settings, folder=str(folder)).get_functions()}


def bindings(function: Any) -> dict[str, dict[str, Any]]:
    return {it["type"]: it for it in json.loads(function.get_function_json())["bindings"]}


def test_the_deployed_folder_is_indexed_with_every_function() -> None:
    found = functions({}, function_app())
    assert tuple(found) == NAMES


def test_the_timer_ticks_every_five_minutes_and_writes_to_the_queue() -> None:
    found = bindings(functions({}, function_app())["sweep"])
    assert found["timerTrigger"]["schedule"] == "0 */5 * * * *"
    assert (found["queue"]["queueName"], found["queue"]["connection"]) == ("keyturn-turns", "AzureWebJobsStorage")


def test_the_queue_and_its_poison_queue_have_a_trigger_each() -> None:
    found = functions({"KEYTURN_QUEUE": "ours"}, function_app())
    queues = {name: bindings(found[name])["queueTrigger"]["queueName"] for name in ("turn", "poisoned")}
    assert queues == {"turn": "ours", "poisoned": "ours-poison"}
    assert bindings(found["hint"])["queue"]["queueName"] == bindings(found["sweep"])["queue"]["queueName"] == "ours"


def test_every_http_function_needs_the_functions_key() -> None:
    found = functions({}, function_app())
    triggers = [bindings(it)["httpTrigger"] for it in found.values() if it.is_http_function()]
    assert [(it["authLevel"], it["route"]) for it in triggers] == [
        ("FUNCTION", "credentials/{*path}"),
        ("FUNCTION", "openapi.json"),
    ]


def test_a_schedule_of_ones_own_is_taken() -> None:
    found = functions({"KEYTURN_SCHEDULE": "0 0 * * * *"}, function_app())
    assert bindings(found["sweep"])["timerTrigger"]["schedule"] == "0 0 * * * *"


def test_the_worker_can_hand_over_what_every_function_is_annotated_with() -> None:
    inputs = {
        "timer": TimerRequestConverter,
        "message": QueueMessageInConverter,
        "event": EventGridEventInConverter,
        "req": HttpRequestConverter,
    }
    for name, found in functions({}, function_app()).items():
        for argument, kind in typing.get_type_hints(found.get_user_function()).items():
            if argument in inputs:
                assert inputs[argument].check_input_type_annotation(kind), (name, argument)
            elif argument == "turns":
                assert typing.get_origin(kind) is func.Out
                assert QueueMessageOutConverter.check_output_type_annotation(typing.get_args(kind)[0])
            else:
                assert kind in {func.Context, func.HttpResponse, type(None)}, (name, argument)


@pytest.mark.parametrize("folder", ["configured", "not configured"])
def test_importing_the_app_imports_no_client_and_no_ledger(tmp_path: Path, folder: str) -> None:
    script = f"import sys, function_app\nprint([name for name in {COSTLY!r} if name in sys.modules])"
    home = function_app() if folder == "configured" else tmp_path
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=home,
        env={"PYTHONPATH": str(function_app()), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[]"


def test_an_app_without_configuration_is_indexed_and_says_at_start_what_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "keyturn"):
        assert tuple(functions({}, tmp_path)) == NAMES
    (line,) = caplog.messages
    assert "KEYTURN_CONFIG_TEXT" in line and str(tmp_path / "keyturn.yaml") in line


def test_the_folder_that_is_deployed_fits_together() -> None:
    folder = function_app()
    host = json.loads((folder / "host.json").read_text(encoding="utf-8"))
    sample = json.loads((folder / "local.settings.json.example").read_text(encoding="utf-8"))["Values"]
    assert host["version"] == "2.0"
    assert len((folder / "function_app.py").read_text(encoding="utf-8").split("\n\n")) == 2
    assert host["extensions"]["queues"]["maxDequeueCount"] == 5
    hours, minutes, seconds = (int(part) for part in host["functionTimeout"].split(":"))
    read = read_settings(sample, folder)
    assert read.problem is None
    assert read.time_limit <= hours * 3600 + minutes * 60 + seconds - 60
    assert yaml.safe_load((folder / "keyturn.yaml").read_text(encoding="utf-8"))["services"]
    assert (folder / "requirements.txt").read_text(encoding="utf-8").split() == ["keyturn[functions]"]
