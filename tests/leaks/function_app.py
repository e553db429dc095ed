"""`python -m tests.leaks.function_app`: the Azure Function in a host of its own, asked everything once.

Standard input holds one JSON object: the emulator's readiness line, the world, where answers are written, and marked
values. Every HTTP answer is kept as it was sent; whatever an invocation raises is dumped as a host's reporter would.
Never here: what counts as a leak.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

from keyturn.functions import messages
from keyturn_emulator.testing import RunningEmulator
from tests.functions.hosting import Hosted
from tests.journeys.stage import SERVICE, Stage
from tests.leaks.loud import sitecustomize as loud
from tests.leaks.quotes import FORMS, quoted

DAY: Final = 86_400
KEY: Final = f"{SERVICE}/subscriptions/contoso".lower()
SLOTS: Final = "credentials/shop/contoso/slots"
DEFECTS: Final = (
    "keyturn.azure.pipeline:Arm._learn:1",
    "keyturn.azure.answers:Reply.json:1",
    "keyturn.keyrings.service:values:1",
    "keyturn.turn:Turn._with_value:1",
)


class Lane:
    def __init__(self, given: Mapping[str, Any]) -> None:
        azure = RunningEmulator(cast("Any", None), given["ready"], io.StringIO())
        self._said, self._number = Path(given["said"]), 0
        self._dumps = loud.Dumps(Path(os.environ[loud.DUMPS]), "function")
        self.chosen, self.refused, self.mistaken = given["values"]
        self.stage = Stage(azure, Path.cwd(), given["world"])
        self.azure = azure

    def ask(self, hosted: Hosted, method: str, path: str, body: Any = None, **more: Any) -> int:
        answer = hosted.ask(method, path, body, **more)
        self._number += 1
        told = f"{answer.status}\n{json.dumps(answer.headers)}\n{answer.text}\n"
        (self._said / f"http-{self._number:03}-{method}.txt").write_text(told, encoding="utf-8")
        return answer.status

    def invoke(self, invocation: Callable[[], Any]) -> None:
        """One that may fail."""
        try:
            invocation()
        except Exception as error:  # noqa: BLE001 - whatever it is, a host reports it
            trace = error.__traceback__
            while trace is not None and not str(trace.tb_frame.f_globals["__name__"]).startswith("keyturn."):
                trace = trace.tb_next
            self._dumps.crash(error.with_traceback(trace))

    def tell(self) -> None:
        with Hosted.started(self.stage) as hosted:
            for chapter in (self.good, self.mistakes, self.refusals, self.defects):
                chapter(hosted)
        self.stage.ledger.write_text("no ledger", encoding="utf-8")
        with Hosted.started(self.stage) as hosted:
            self.invoke(hosted.tick)
            self.ask(hosted, "GET", "credentials")

    def good(self, hosted: Hosted) -> None:
        hosted.settled(seconds=3600)
        self.azure.advance(2 * DAY)
        self.ask(hosted, "GET", "openapi.json")
        self.ask(hosted, "GET", "credentials")
        assert self.ask(hosted, "PUT", f"{SLOTS}/secondary", {"value": self.chosen, "because": "agreed"}) == 200
        assert self.ask(hosted, "POST", f"{SLOTS}/secondary/regenerate") == 200
        assert self.ask(hosted, "POST", "credentials/shop/contoso/rotate", {"because": "a test"}) == 202
        self.ask(hosted, "GET", "credentials/shop/contoso")
        hosted.follow(ticks=4, seconds=1800)
        self.azure.advance(2 * DAY)
        hosted.settled(seconds=3600)

    def mistakes(self, hosted: Hosted) -> None:
        wrong = self.mistaken
        for path, body in (
            (f"{SLOTS}/secondary", {"value": wrong, "because": f"it is {wrong}"}),
            (f"{SLOTS}/secondary", {"valeu": wrong}),
            (f"{SLOTS}/secondary", {wrong: 1}),
            (f"{SLOTS}/secondary", {"value": [wrong]}),
            (f"{SLOTS}/secondary", {"value": f" {wrong}"}),
            (f"{SLOTS}/{wrong}", {"value": wrong}),
            (f"credentials/{wrong}/slots/secondary", {"value": wrong}),
            (f"{SLOTS}/primary", {"value": wrong}),
        ):
            self.ask(hosted, "PUT", path, body)
        self.ask(hosted, "PUT", f"{SLOTS}/secondary", raw=f'{{"value": "{wrong}'.encode())
        self.ask(hosted, "POST", f"credentials/{wrong}/rotate")
        self.ask(hosted, "GET", f"credentials/{wrong}")
        for text in (wrong, json.dumps({"key": f"/subscriptions/{wrong}", "why": wrong})):
            self.invoke(lambda text=text: hosted.turn(text))  # type: ignore[misc]
            self.invoke(lambda text=text: hosted.poisoned(text))  # type: ignore[misc]
        self.invoke(lambda: hosted.hint("Microsoft.KeyVault.SecretNewVersionCreated", wrong, {"ObjectName": wrong}))

    def refusals(self, hosted: Hosted) -> None:
        for number, form in enumerate(FORMS):
            status = (400, 409, 403, 500)[number % 4]
            said = f"The value '{quoted(self.refused, form)}' is not for us."
            match = {"method": "PATCH", "path_contains": "/subscriptions/contoso"}
            self.azure.fault("status", match, status=status, code="Refused", message=said, times=-1)
            slot = "secondary" if self.primary_is_active(hosted) else "primary"
            self.ask(hosted, "PUT", f"{SLOTS}/{slot}", {"value": self.refused})
            self.azure.control("DELETE", "faults")
            self.azure.advance(DAY)
        text = messages.written(messages.Message(key=KEY, why="look"))
        for status in (403, 503):
            self.azure.fault("status", {"host": "management.azure.com"}, status=status, times=-1)
            self.invoke(lambda: hosted.turn(text))
            self.invoke(hosted.tick)
            self.azure.control("DELETE", "faults")
        self.invoke(lambda: hosted.poisoned(text))

    def defects(self, hosted: Hosted) -> None:
        text = messages.written(messages.Message(key=KEY, why="look"))
        for place in DEFECTS:
            self.azure.advance(3 * DAY)
            self.invoke(lambda: hosted.settled(seconds=3600))
            slot = "secondary" if self.primary_is_active(hosted) else "primary"
            with loud.forced(place):
                self.ask(hosted, "PUT", f"{SLOTS}/{slot}", {"value": self.chosen[::-1]})
            self.ask(hosted, "POST", "credentials/shop/contoso/rotate")
            with loud.forced(place):
                self.invoke(lambda: hosted.turn(text))

    def primary_is_active(self, hosted: Hosted) -> bool:
        return hosted.record().active == "primary"


if __name__ == "__main__":
    Lane(json.loads(sys.stdin.read())).tell()
