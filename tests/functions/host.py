"""`python -m tests.functions.host`: a host that runs the deployed app, in a process of its own.

Standard input holds one JSON line per invocation; each is run on a thread, and answered with one line once it has
ended: whether it failed, and what it wrote to the queue. Nothing is shared with any other host but Azure and the
ledger. Never here: a queue, or emulated time moving.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
import threading
from typing import Any

import azure.functions as func
from azure.functions.timer import TimerRequest

from tests.functions.hosting import Out, enqueued, function_app, queue_message


def main() -> None:
    sys.path.insert(0, str(function_app()))
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    app = importlib.import_module("function_app").app
    functions = {it.get_function_name(): it.get_user_function() for it in app.get_functions()}
    answering = threading.Lock()

    def invoke(given: dict[str, Any]) -> None:
        told: dict[str, Any] = {"id": given["id"], "failed": "", "messages": []}
        try:
            if given["function"] == "sweep":
                turns: Out[list[str]] = Out()
                functions["sweep"](TimerRequest(past_due=False), turns)
                told["messages"] = enqueued(turns)
            else:
                message: func.QueueMessage = queue_message(given["text"], dequeue_count=given["dequeue_count"])
                functions[given["function"]](message)
        except Exception as error:  # noqa: BLE001 - a host survives whatever an invocation raises
            told["failed"] = f"{type(error).__name__}: {error}"
        with answering:
            print(json.dumps(told), flush=True)  # noqa: T201

    for line in sys.stdin:
        threading.Thread(target=invoke, args=(json.loads(line),), daemon=True).start()


if __name__ == "__main__":
    main()
