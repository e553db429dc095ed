# ruff: noqa: PLC0415 - what is costly to import is imported on first use
"""Why a call got no answer, and whose move that is: the network's, a proxy's, or somebody's who answers for Azure.

Decides what a person reads, and whether anything can have been sent. Quotes nothing that a peer or a proxy wrote. Never
here: whether to try again.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from typing import Final, NamedTuple


class Why(NamedTuple):
    """`sentence` continues one that named the call. `persons`: it does not pass by itself. `unsent`: it broke before
    anything of the request could have been sent. `large`: there was an answer, and it was not read to its end."""

    sentence: str
    hint: str = ""
    persons: bool = False
    unsent: bool = False
    large: bool = False


_TRUST: Final = (
    "If a proxy of yours stands in between, set REQUESTS_CA_BUNDLE to its authorities; if not, somebody else answers."
)
_NO_TLS: Final = "Look at HTTPS_PROXY, and at what stands in between: something answers that is not the one asked for."
_CREDENTIALS: Final = "Put user and password into HTTPS_PROXY, as http://USER:PASSWORD@HOST:PORT."
TUNNEL: Final = re.compile(r"Tunnel connection failed: (\d{3})\b")
"""http.client's own words; what follows them is the proxy's."""


def why(error: BaseException, peer: str) -> Why:
    """What broke a call to `peer`, an address of ours."""
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError, SSLError

    from keyturn.azure.sockets import TooLarge

    found = list(causes(error))
    for cause in found:
        if isinstance(cause, ssl.SSLCertVerificationError):
            sentence = f"the certificate of {peer} is not trusted ({cause.verify_message})"
            return Why(sentence, _TRUST, persons=True, unsent=True)
        refused = TUNNEL.match(str(cause)) if isinstance(cause, OSError) else None
        if refused is not None:
            return _proxy_refused(refused[1], peer)
    for cause in found:
        if isinstance(cause, TooLarge):
            return Why(f"the answer of {peer} is too large to be one of Azure's", large=True)
        if isinstance(cause, ProxyError):
            return Why(f"cannot reach {peer}: the proxy does not answer as one", _NO_TLS, unsent=True)
        if isinstance(cause, NewConnectionError | ConnectTimeoutError):
            return Why(f"cannot reach {peer} ({type(error).__name__})", unsent=True)
        if isinstance(cause, ssl.SSLError | SSLError):
            return Why(
                f"cannot reach {peer}: what answers does not speak TLS with it ({type(cause).__name__})", _NO_TLS
            )
    return Why(f"cannot reach {peer} ({type(error).__name__})")


def _proxy_refused(status: str, peer: str) -> Why:
    if status == "407":
        sentence = f"cannot reach {peer}: the proxy asks for user and password (407)"
        return Why(sentence, _CREDENTIALS, persons=True, unsent=True)
    return Why(f"cannot reach {peer}: the proxy answers {status}", unsent=True)


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was made from: each library wraps the one below in its arguments. What else was being
    handled when it was raised (`__context__`) is not about this call."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and all(one is not other for other in seen):
            seen.append(one)
            waiting += [getattr(one, "reason", None), getattr(one, "inner_exception", None), one.__cause__, *one.args]
            yield one
