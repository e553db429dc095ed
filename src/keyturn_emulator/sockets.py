"""Two things that only the operating system can say or do about a connection.

Whether the peer is still there, because an event loop learns of a closed one only when it gets to read; and that
what has come so far is acknowledged now. Never here: reading or writing a byte.
"""

from __future__ import annotations

import select
import socket
from typing import Any

_ENDED = getattr(select, "POLLRDHUP", 0) | getattr(select, "POLLHUP", 0) | getattr(select, "POLLERR", 0)
_ACKNOWLEDGE = getattr(socket, "TCP_QUICKACK", None)


def hung_up(sock: Any) -> bool:
    """Whether the peer of `sock` (anything with a fileno, or None) has closed. Without poll(2): never known."""
    if sock is None or not hasattr(select, "poll"):
        return False
    descriptor = sock.fileno()
    if descriptor < 0:
        return True
    poll = select.poll()
    poll.register(descriptor, _ENDED)
    return bool(poll.poll(0))


def acknowledge(sock: Any) -> None:
    """Acknowledge what `sock` has received, where the system can (Linux).

    Clients that send the head and the body of a request apart wait for the acknowledgement of the head before they
    send the body, and the system would let them wait 40 ms for it.
    """
    if _ACKNOWLEDGE is not None and sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.IPPROTO_TCP, _ACKNOWLEDGE, 1)
