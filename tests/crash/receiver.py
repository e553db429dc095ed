"""The receiver of the webhook sink, and what can befall an event on its way there.

It is the application, too: what an event brought last is the value that it has. Never here: whether keyturn is killed.
"""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

SIGNING: Final = "whsec_" + base64.b64encode(bytes(range(32))).decode()
PATIENCE: Final = 60.0
"""Machine seconds after which an event that is held is dropped."""


class Receiver:
    """Takes events on loopback. The one that `hold` names is held until `let_go`, and is answered by nobody.

    `taken`: it arrives before it is held. `late`: it arrives when `land` is called.
    """

    def __init__(self) -> None:
        self.value: str | None = None
        self.held = threading.Event()
        self.in_the_air: str | None = None
        self._go = threading.Event()
        self._left = 0
        self._taken = self._late = False
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if receiver._take(str(event["data"]["value"])):
                    self.send_response(204)
                    self.end_headers()
                else:
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/keyturn"

    def hold(self, nth: int, *, taken: bool, late: bool) -> None:
        """The n-th event from now on."""
        self._left, self._taken, self._late = nth, taken, late

    def let_go(self) -> None:
        self._go.set()

    def land(self) -> None:
        """What was on its way arrives."""
        if self.in_the_air is not None:
            self.value, self.in_the_air = self.in_the_air, None

    def close(self) -> None:
        self.let_go()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _take(self, value: str) -> bool:
        """Whether it is answered."""
        self._left -= 1
        if self._left != 0:
            self.value = value
            return True
        if self._taken:
            self.value = value
        if self._late:
            self.in_the_air = value
        self.held.set()
        self._go.wait(PATIENCE)
        return False
