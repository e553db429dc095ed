"""The connections under every HTTPS call: each can be ended while it waits, and no answer is read without end.

Decides how large an answer may be, and that a call which was given up lets go of its connection: a peer that drips, or
never stops, costs no thread and no memory for longer than the call that asked it. Never here: what is sent or read.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, Final

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from keyturn.azure.once import ends_with_call


class TooLarge(requests.RequestException):
    """The peer's answer is larger than it may be; what followed was not read."""


class Adapter(HTTPAdapter):
    """requests' own, over connections that end with their call. `largest`: bytes of an answer's body."""

    def __init__(self, *, largest: int, **options: Any) -> None:
        self._largest = largest
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """The body is read by `stream` alone, here and in azure-core."""
        stream = resp.stream
        resp.stream = lambda *args, **options: _within_bounds(resp, stream(*args, **options), self._largest)
        return super().build_response(req, resp)


def _within_bounds(response: urllib3.HTTPResponse, parts: Iterator[bytes], largest: int) -> Iterator[bytes]:
    """Raises TooLarge. A connection not read to its end is closed at once; the libraries leave that to chance."""
    read = 0
    try:
        for part in parts:
            read += len(part)
            if read > largest:
                raise TooLarge  # noqa: TRY301 - closed below, as after any other failure
            yield part
    except BaseException:
        response.close()
        raise


class _Plain(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return ends_with_call(super()._new_conn())

    def request(self, *args: Any, **options: Any) -> None:
        if self.sock is not None:  # kept from an earlier call
            ends_with_call(self.sock)
        super().request(*args, **options)


class _Secured(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return ends_with_call(super()._new_conn())

    def request(self, *args: Any, **options: Any) -> None:
        if self.sock is not None:
            ends_with_call(self.sock)
        super().request(*args, **options)


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecuredPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Secured


_POOLS: Final[dict[str, type[urllib3.HTTPConnectionPool]]] = {"http": _PlainPool, "https": _SecuredPool}
