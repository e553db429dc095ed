# ruff: noqa: PLC0415 - what is costly to import is imported on first use
"""The way to Resource Manager.

Decides that an effect is sent exactly once and in time (rule A4), and that a list is followed on our own endpoint
alone. What an answer means is in `answers` (rule A18); reads are tried again, in `reads`. No policy of the Azure
libraries that re-sends, follows redirects, registers providers or logs is in this pipeline: its only policy writes
the User-Agent.

Never here: what API Management means by a body.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from keyturn.azure import answers
from keyturn.azure.agent import user_agent
from keyturn.azure.answers import Reply
from keyturn.azure.broken import why
from keyturn.azure.budget import ARM_RATES, Budget
from keyturn.azure.once import Abandoned, bounded, left, refuse_late, too_late
from keyturn.azure.reads import LIMIT, Broken, Failed, patiently
from keyturn.azure.signin import Identity
from keyturn.azure.transport import transport
from keyturn.errors import KeyturnError, NotSent, Refused, TryAgain
from keyturn.model import Secret
from keyturn.ports import Clock, NotApplied, SendBy, Uncertain

if TYPE_CHECKING:
    from azure.core.rest import HttpRequest, HttpResponse
    from azure.mgmt.core import ARMPipelineClient

MOST_PAGES: Final = 20_000
"""Of one list. A hundred thousand apim subscriptions are a thousand pages of a hundred, more where they are short."""
LONGEST_QUEUE: Final = 300.0
"""Seconds that a read waits for its turn; where Azure asked for a longer pause, its record waits, and no thread."""
_AZURE_SUBSCRIPTION: Final = re.compile(r"^/subscriptions/([^/?]+)", re.IGNORECASE)


class Arm:
    """Resource Manager, as one principal, with one budget per azure subscription. Thread-safe.

    `share` is the part of Azure's allowance that keyturn uses. Paths begin with `/subscriptions/`, percent-encoded.
    """

    def __init__(self, identity: Identity, clock: Clock, *, share: float = 0.5, read_limit: float = LIMIT) -> None:
        self._identity = identity
        self._cloud = identity.cloud
        self.clock = clock
        self._share = share
        self._read_limit = read_limit
        self._lock = threading.Lock()
        self._budgets: dict[str, Budget] = {}
        self._client: ARMPipelineClient[HttpRequest, HttpResponse] | None = None

    def read(self, path: str, *, api_version: str, what: str) -> Reply:
        """GET. Raises TryAgain, Refused, Gone."""
        return self._read("GET", f"{path}?api-version={api_version}", "reads", what)

    def ask(self, path: str, *, api_version: str, what: str, body: Mapping[str, Any] | None = None) -> Reply:
        """A POST that changes nothing, such as listSecrets; Azure charges it as a write. Raises TryAgain, Refused,
        Gone."""
        return self._read("POST", f"{path}?api-version={api_version}", "writes", what, body)

    def pages(self, path: str, *, api_version: str, what: str) -> Iterator[Mapping[str, Any]]:
        """The items of a list, page after page, in Azure's order. Raises TryAgain, Refused, Gone."""
        target = f"{path}?api-version={api_version}"
        seen = {target}
        for _ in range(MOST_PAGES):
            page = self._read("GET", target, "reads", what).json()
            yield from _items(page, what)
            following = page.get("nextLink")
            if not following:
                return
            target = _below_our_endpoint(str(following), what)
            if target in seen:
                raise Refused(f"{what}: Azure's list leads back to a page already read")
            seen.add(target)
        raise Refused(f"{what}: Azure's list has no end: {MOST_PAGES} pages were read")

    def send(
        self,
        method: str,
        path: str,
        *,
        api_version: str,
        what: str,
        send_by: SendBy,
        body: Mapping[str, Any] | None = None,
        etag: str | None = None,
        secrets: tuple[Secret, ...] = (),
    ) -> Reply | NotApplied | Uncertain:
        """Send an effect exactly once. A Reply is a success (2xx). Raises NotSent.

        `secrets` are masked should Azure's error message quote them.
        """
        token = self._token_beforehand(what, send_by)
        budget = self._budget(path)
        if not budget.take("writes", latest=send_by.boot):
            raise too_late(what)
        headers = {} if etag is None else {"If-Match": etag}
        target = f"{path}?api-version={api_version}"
        client = self._pipeline()
        refuse_late(self.clock, send_by, what)
        sent_at = self.clock.boottime()
        try:
            reply = bounded(left(self.clock, send_by), lambda: self._call(client, method, target, token, headers, body))
        except Abandoned:
            return Uncertain(sentence=f"{what}: no answer within `deadline`, it may still happen")
        except Exception as error:  # noqa: BLE001 - whatever broke, broke after it may have been sent
            broke = why(error, self._cloud.arm)
            if broke.unsent and broke.persons:
                raise NotSent(f"{what} was not sent: {broke.sentence}", hint=broke.hint) from None
            return Uncertain(sentence=f"{what}: the connection broke ({type(error).__name__}), it may have happened")
        self._learn(budget, "writes", reply, sent_at)
        if 200 <= reply.status < 300:
            return reply
        return answers.effect_failed(reply, what, secrets)

    def _token_beforehand(self, what: str, send_by: SendBy) -> Secret:
        """A token, fetched before the effect's own time is looked at; a failed sign-in has sent nothing."""
        try:
            return bounded(left(self.clock, send_by), lambda: self._identity.token(self._cloud.arm_scope))
        except Abandoned:
            raise too_late(what) from None
        except KeyturnError as error:
            raise NotSent(f"{what} was not sent: {error.message}", hint=error.hint) from None

    def _read(self, method: str, target: str, kind: str, what: str, body: Mapping[str, Any] | None = None) -> Reply:
        return patiently(what, self._identity.forget, lambda: self._try_read(method, target, kind, what, body))

    def _try_read(
        self, method: str, target: str, kind: str, what: str, body: Mapping[str, Any] | None
    ) -> Reply | Failed | Broken:
        budget = self._budget(target)
        token = self._identity.token(self._cloud.arm_scope)
        asked = self.clock.boottime()
        if not budget.take(kind, latest=asked + LONGEST_QUEUE):
            after = budget.pause(kind)
            if after > LONGEST_QUEUE:
                raise TryAgain(f"{what}: Azure asked for a pause before any other call", after=after)
            raise TryAgain(f"{what}: keyturn is stopping", after=0.0)
        client = self._pipeline()
        sent_at = self.clock.boottime()
        try:
            reply = bounded(self._read_limit, lambda: self._call(client, method, target, token, {}, body))
        except Abandoned:
            return Broken(f"no answer within {self._read_limit:g} s", again=False)
        except Exception as error:  # noqa: BLE001 - azure-core lets strangers' exceptions through
            return Broken.because(why(error, self._cloud.arm))
        self._learn(budget, kind, reply, sent_at)
        return reply if 200 <= reply.status < 300 else Failed(reply)

    def _call(
        self,
        client: ARMPipelineClient[HttpRequest, HttpResponse],
        method: str,
        target: str,
        token: Secret,
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None,
    ) -> Reply:
        from azure.core.rest import HttpRequest

        sent = {"Authorization": f"Bearer {token.reveal()}", "Accept": "application/json", **headers}
        request = HttpRequest(
            method,
            self._cloud.arm + target,
            headers=sent if body is None else sent | {"Content-Type": "application/json"},
            content=None if body is None else json.dumps(body),
        )
        response = client.send_request(request)
        return Reply(response.status_code, response.headers, response.content, (token,))

    def _learn(self, budget: Budget, kind: str, reply: Reply, sent_at: float) -> None:
        remaining = reply.headers.get(f"x-ms-ratelimit-remaining-subscription-{kind}", "")
        if re.fullmatch(r"[0-9]{1,9}", remaining):
            budget.follow(kind, int(remaining), sent_at)
        if reply.status == 429:
            budget.close(kind, reply.retry_after or 1.0)

    def _budget(self, path: str) -> Budget:
        found = _AZURE_SUBSCRIPTION.match(path)
        azure_subscription = found[1].lower() if found else ""
        with self._lock:
            budget = self._budgets.get(azure_subscription)
            if budget is None:
                budget = self._budgets[azure_subscription] = Budget(self.clock, ARM_RATES, self._share)
            return budget

    def _pipeline(self) -> ARMPipelineClient[HttpRequest, HttpResponse]:
        with self._lock:
            if self._client is None:
                from azure.core.pipeline.policies import UserAgentPolicy
                from azure.mgmt.core import ARMPipelineClient

                agent = UserAgentPolicy(base_user_agent=user_agent(), user_agent_use_env=False)
                self._client = ARMPipelineClient(self._cloud.arm, policies=[agent], transport=transport(self._cloud))
            return self._client


def _items(page: Any, what: str) -> list[Mapping[str, Any]]:
    """The entries of one page, each with a name; none where an answer is a page of something else. Raises Refused."""
    items = page.get("value") if isinstance(page, Mapping) else None
    if items is None and isinstance(page, Mapping):
        return []
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise Refused(f"{what}: Azure's answer is no list")
    return items


def _below_our_endpoint(link: str, what: str) -> str:
    """Path and query of a nextLink, which names the host with :443 (azure-recorded 5). They are followed on our own
    endpoint alone: the token goes nowhere else. A path that did not begin with a slash would become a part of the
    host's name. Raises Refused."""
    try:
        parts = urlsplit(link)
    except ValueError:
        parts = urlsplit("")
    if not parts.path.startswith("/"):
        raise Refused(f"{what}: Azure's list leads to no page")
    return f"{parts.path}?{parts.query}"
