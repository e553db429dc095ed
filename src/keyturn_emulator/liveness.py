"""Whether the other end of a socket is still there.

Asked of the operating system, because an event loop learns of a closed peer only when it gets to read.
Never here: reading or writing a byte.
"""

from __future__ import annotations

import select
from typing import Any

_ENDED = getattr(select, "POLLRDHUP", 0) | getattr(select, "POLLHUP", 0) | getattr(select, "POLLERR", 0)


def hung_up(sock: Any) -> bool:
    """Whether the peer of `sock` (anything with a fileno, or None) has closed. Without poll(2): never
    known.
    """
    if sock is None or not hasattr(select, "poll"):
        return False
    descriptor = sock.fileno()
    if descriptor < 0:
        return True
    poll = select.poll()
    poll.register(descriptor, _ENDED)
    return bool(poll.poll(0))
