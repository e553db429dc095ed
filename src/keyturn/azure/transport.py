# ruff: noqa: PLC0415 - what is costly to import is imported on first use
"""The sockets under every Azure library, made once per cloud, and under whatever else speaks HTTPS as they do.

Decides proxies, trust and pooling: HTTPS_PROXY, NO_PROXY and REQUESTS_CA_BUNDLE are honoured, `.netrc`, cookies and
every hidden second try are not. How much of an answer is read is in `sockets`. Never here: what is sent.
"""

from __future__ import annotations

import time
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Final

from keyturn.azure.cloud import Cloud

if TYPE_CHECKING:
    import requests
    from azure.core.pipeline.transport import RequestsTransport

CONNECT_SECONDS: Final = 10
READ_SECONDS: Final = 60
CONNECTIONS: Final = 64
LARGEST_ANSWER: Final = 8 * 1024 * 1024
"""Bytes of one answer's body, decompressed. No page of API Management, and no secret, comes near."""
LARGEST_PAGE: Final = 64 * 1024 * 1024
"""The same of a table's rows, a thousand at once: they are keyturn's own."""
LONGEST_PAUSE: Final = 10.0
"""Seconds between two tries of a library: longer waits belong to the record, or to whoever reads the ledger."""


def transport(cloud: Cloud, *, largest: int = LARGEST_ANSWER) -> RequestsTransport:
    """azure-core's own transport over a session of ours. Thread-safe as we use it: it keeps no state but the pool.
    `largest`: bytes of an answer, where it may be larger than most."""
    from azure.core.pipeline.transport import RequestsTransport

    made = RequestsTransport(
        session=session(largest=largest),
        session_owner=False,
        connection_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        connection_verify=cloud.ca_bundle or True,
    )
    # azure-core's policies sleep here, for as long as a Retry-After says: were it a week
    made.sleep = lambda seconds: time.sleep(min(seconds, LONGEST_PAUSE))
    return made


def session(*, largest: int = LARGEST_ANSWER) -> requests.Session:
    """Sends what it is given once, and nothing that is kept elsewhere: see above. It does follow redirects if asked."""
    import requests
    from urllib3.util import Retry

    from keyturn.azure.sockets import Adapter

    session = requests.Session()
    session.auth = _keep_authorization
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    once = Retry(total=False, redirect=False, raise_on_status=False)
    adapter = Adapter(largest=largest, pool_connections=8, pool_maxsize=CONNECTIONS, max_retries=once)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _keep_authorization(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Without an auth of its own, requests replaces the Authorization header by what `.netrc` holds for the host."""
    return request
