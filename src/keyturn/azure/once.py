"""How an effect is sent: exactly once, in time, and never waited for longer than its turn may (rule A4).

Decides whether it is too late to send, and when a send is given up. Never here: what is sent, or a second try.
"""

from __future__ import annotations

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

    Socket timeouts do not bound a dripping answer, so the call runs on a thread of its own; abandoned, it goes on
    there, and its result is nobody's.
    """
    ended = threading.Event()
    results: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            raised.append(error)
        finally:
            ended.set()

    threading.Thread(target=run, name="keyturn-call", daemon=True).start()
    if not ended.wait(seconds):
        raise Abandoned
    if raised:
        raise raised[0]
    return results[0]


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
