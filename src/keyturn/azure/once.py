"""How an effect is sent: exactly once, in time, and never waited for longer than its turn may (rule A4).

Decides whether it is too late to send, and when a send is given up. Never here: what is sent, or a second try.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import TypeVar

from keyturn.errors import NotSent
from keyturn.ports import Clock, SendBy

T = TypeVar("T")


class Abandoned(Exception):
    """The call has not ended in its time. It may still be under way."""


def bounded(seconds: float, call: Callable[[], T]) -> T:
    """The result of `call`, waited for at most `seconds` of machine time. Raises Abandoned, or what `call` raised.

    Socket timeouts do not bound a dripping answer, so the call runs on a thread of its own; abandoned, its result is
    nobody's. Then its connections are shut, so that a peer which never stops does not keep the thread for ever. What
    was sent before may still happen.
    """
    ended = threading.Event()
    results: list[T] = []
    raised: list[BaseException] = []
    lines = _Lines()

    def run() -> None:
        _thread.lines = lines
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            raised.append(error)
        finally:
            lines.release()
            ended.set()

    threading.Thread(target=run, name="keyturn-call", daemon=True).start()
    if not ended.wait(seconds):
        lines.shut()
        raise Abandoned
    if raised:
        raise raised[0]
    return results[0]


S = TypeVar("S", bound=socket.socket)


class _Lines:
    """The connections of one call, each by a second handle: the first is not for another thread to touch."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._handles: list[socket.socket] = []
        self._abandoned = False

    def add(self, connection: socket.socket) -> None:
        """Raises ConnectionAbortedError: a library that tries again, for nobody any more."""
        with self._guard:
            if self._abandoned:
                connection.close()
                raise ConnectionAbortedError("the call was given up")
            family = getattr(connection, "family", socket.AF_INET)
            self._handles.append(socket.fromfd(connection.fileno(), family, socket.SOCK_STREAM))

    def shut(self) -> None:
        with self._guard:
            self._abandoned = True
            for handle in self._handles:
                with contextlib.suppress(OSError):  # the peer was first
                    handle.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        with self._guard:
            while self._handles:
                self._handles.pop().close()


_thread = threading.local()


def ends_with_call(connection: S) -> S:
    """`connection` itself, which is shut as soon as the bounded call on this thread is abandoned. Raises
    ConnectionAbortedError when it was before."""
    lines: _Lines | None = getattr(_thread, "lines", None)
    if lines is not None:
        lines.add(connection)
    return connection


def is_late(clock: Clock, send_by: SendBy) -> bool:
    """Whether either clock has passed `send_by`: the wall clock may jump, boot time may not count a pause."""
    return clock.now() > send_by.at or clock.boottime() > send_by.boot


def left(clock: Clock, send_by: SendBy) -> float:
    """Machine seconds that a send which begins now may take: until `send_by` by either clock, so that it is given up
    no later than `deadline` after its look, and what may still land is bounded by `late` from there (rules A4, A5)."""
    wall = (send_by.at - clock.now()).total_seconds()
    return max(min(wall, send_by.boot - clock.boottime(), send_by.seconds), 0.0)


def refuse_late(clock: Clock, send_by: SendBy, what: str) -> None:
    """Raises NotSent when it is too late to send."""
    if is_late(clock, send_by):
        raise too_late(what)


def too_late(what: str) -> NotSent:
    return NotSent(
        f"{what} was not sent: its look is too old (rule A4)", hint="Nothing to do: keyturn looks again first."
    )
