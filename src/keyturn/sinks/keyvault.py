# ruff: noqa: PLC0415 - what is costly to import is imported on first use
"""A Key Vault secret that callers read a value from.

Decides what is written beside the value, and keeps the promise that a write is sent once and in time (rule A4)
through a client that would rather try again. Never here: when to publish, or what a shown value means.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from keyturn.azure import answers
from keyturn.azure.agent import user_agent
from keyturn.azure.answers import Reply
from keyturn.azure.broken import why
from keyturn.azure.budget import VAULT_RATES, Budget
from keyturn.azure.once import Abandoned, bounded, left, refuse_late, too_late
from keyturn.azure.reads import LIMIT, Broken, Failed, patiently
from keyturn.azure.signin import Identity
from keyturn.azure.transport import transport
from keyturn.errors import Gone, KeyturnError, NotSent, Refused
from keyturn.model import Secret, Slot
from keyturn.ports import Answer, Applied, Clock, SendBy, Shown, Tags, Uncertain

if TYPE_CHECKING:
    from azure.keyvault.secrets import KeyVaultSecret as Version
    from azure.keyvault.secrets import SecretClient

CONTENT_TYPE: Final = "text/plain"
"""What portals and App Service show for a bare value; whose value it is stands in the tags."""
LEDGER_TAG: Final = "keyturn-ledger"
SEQUENCE_TAG: Final = "keyturn-seq"
SLOT_TAG: Final = "CredentialId"  # the names that Microsoft's rotation samples use (azure-facts 7.4)
PROVIDER_TAG: Final = "ProviderAddress"
VALIDITY_TAG: Final = "ValidityPeriodDays"
OUR_TAGS: Final = frozenset({SLOT_TAG.lower(), PROVIDER_TAG.lower(), VALIDITY_TAG.lower()})
MOST_TAGS: Final = 15
LONGEST_TAG: Final = 256


class Vault:
    """One vault: its client and its budget, shared by all sinks in it. Thread-safe.

    `name` is the vault's name, or its whole address; `share` the part of its allowance that keyturn uses.
    """

    def __init__(
        self,
        name: str,
        identity: Identity,
        clock: Clock,
        *,
        share: float = 0.5,
        read_limit: float = LIMIT,
    ) -> None:
        self.url = identity.cloud.vault_url(name)
        self.name = self.url.partition("://")[2].partition(".")[0]
        self.clock = clock
        self.budget = Budget(clock, VAULT_RATES, share)
        self.identity = identity
        self.read_limit = read_limit
        self._lock = threading.Lock()
        self._client: SecretClient | None = None

    def client(self) -> SecretClient:
        """The one client for reads and writes, so that a read's challenge and token serve the write after it."""
        with self._lock:
            if self._client is None:
                self._client = self._new_client()
            return self._client

    def forget(self) -> None:
        """Drop the client and every token: one of them was refused before its time."""
        self.identity.forget()
        with self._lock:
            self._client = None

    def _new_client(self) -> SecretClient:
        from azure.core.pipeline.policies import RedirectPolicy, SansIOHTTPPolicy, UserAgentPolicy
        from azure.keyvault.secrets import SecretClient

        return SecretClient(
            self.url,
            self.identity,
            transport=_one_send_transport(self.identity),
            retry_total=0,  # our own reads try again; writes never do
            redirect_policy=RedirectPolicy.no_redirects(),
            logging_policy=SansIOHTTPPolicy(),  # in the place of the one that can log bodies
            user_agent_policy=UserAgentPolicy(base_user_agent=user_agent(), user_agent_use_env=False),
        )


class KeyVaultSecret:
    """One secret as a sink. `secret` is its name in the vault."""

    def __init__(self, vault: Vault, secret: str) -> None:
        self._vault = vault
        self._secret = secret

    @property
    def name(self) -> str:
        return f"{self._vault.name}/{self._secret}"

    @property
    def write_only(self) -> bool:
        return False

    def read(self) -> Shown:
        """Raises TryAgain, Refused (a disabled secret, too), Gone. Start and expiry are not looked at: Key Vault
        goes on serving an expired secret. A deleted one that could be recovered shows nothing."""
        version = self._latest()
        if version is None or version.value is None:
            return Shown()
        if not _is_text(version.value):
            raise Refused(f"read {self.name}: what the vault answers is no text")
        tags = _texts(version.properties.tags)
        return Shown(
            value=Secret(version.value),
            ledger=tags.get(LEDGER_TAG),
            seq=_number(tags.get(SEQUENCE_TAG)),
            slot=_slot(tags.get(SLOT_TAG)),
        )

    def stands_deleted(self) -> bool:
        """Whether a deleted secret of this name can still be recovered: until it is, or is purged, Key Vault refuses
        every write (409). False, too, where that may not be seen, or nobody answers."""
        vault = self._vault
        client = vault.client()
        try:
            bounded(vault.read_limit, lambda: client.get_deleted_secret(self._secret))
        except Exception:  # noqa: BLE001 - azure-core lets strangers' exceptions through
            return False
        return True

    def write(self, value: Secret, tags: Tags, send_by: SendBy) -> Answer:
        """Raises NotSent. Reads first: for a person's own tags, and so that Key Vault's challenge is answered on a
        GET; the first PUT of a process would go out twice (azure-facts 0.3)."""
        what = f"publish to {self.name}"
        vault = self._vault
        try:
            current = bounded(left(vault.clock, send_by), self._latest)
        except Abandoned:
            raise too_late(what) from None
        except KeyturnError as error:
            raise NotSent(f"{what} was not sent: {error.message}", hint=error.hint) from None
        written = _tags(tags, _texts(current.properties.tags if current else None))
        client = vault.client()
        if not vault.budget.take("sets", latest=send_by.boot):
            raise too_late(what)
        refuse_late(vault.clock, send_by, what)
        ticket = _Ticket()
        try:
            bounded(
                left(vault.clock, send_by),
                lambda: client.set_secret(
                    self._secret,
                    value.reveal(),
                    content_type=CONTENT_TYPE,
                    expires_on=tags.expires.astimezone(UTC),
                    tags=written,
                    keyturn_ticket=ticket,
                ),
            )
        except Abandoned:
            return Uncertain(sentence=f"{what}: no answer within `deadline`, it may still happen")
        except Exception as error:  # noqa: BLE001 - the ticket knows what happened on the wire
            return self._failed(ticket, error, what, value)
        return Applied()

    def _failed(self, ticket: _Ticket, error: Exception, what: str, value: Secret) -> Answer:
        reply = ticket.reply
        if isinstance(error, _SecondSend) and not ticket.sent:
            raise NotSent(f"{what} was not sent: the vault asks to sign in anew") from None
        if not ticket.sent:
            raise NotSent(f"{what} was not sent: {self._vault.identity.explain(error).message}") from None
        if reply is None:
            broke = why(error, self._vault.url)
            if broke.unsent and broke.persons:
                raise NotSent(f"{what} was not sent: {broke.sentence}", hint=broke.hint) from None
            return Uncertain(sentence=f"{what}: the connection broke ({type(error).__name__}), it may have happened")
        if 200 <= reply.status < 300:
            return Applied()  # answered, in a form that the client could not read
        if reply.status == 401:
            self._vault.forget()
        if reply.status == 429:
            self._vault.budget.close("sets", reply.retry_after or 1.0)
        return answers.effect_failed(reply, what, (value,))

    def _latest(self) -> Version | None:
        """The current version, or None. Raises TryAgain, Refused, Gone."""
        what = f"read {self.name}"
        return patiently(what, self._vault.forget, lambda: self._try_latest(what))

    def _try_latest(self, what: str) -> Version | Failed | Broken | None:
        from azure.core.exceptions import HttpResponseError

        vault = self._vault
        client = vault.client()
        try:
            return bounded(vault.read_limit, lambda: client.get_secret(self._secret))
        except Abandoned:
            return Broken(f"no answer within {vault.read_limit:g} s", again=False)
        except HttpResponseError as error:
            if error.response is None or not str(getattr(error.response.request, "url", "")).startswith(vault.url):
                # Entra said so, not the vault.
                raise vault.identity.explain(error) from None
            reply = _reply(error.response)
            absent = reply.status == 404 and answers.said(reply).code == "SecretNotFound"
            return None if absent else Failed(reply)
        except ValueError as error:
            raise Gone(
                f"{what}: {vault.url} does not answer as a vault of this cloud ({type(error).__name__})",
                hint="Check the vault's name and the vault suffix of `cloud`.",
            ) from None
        except KeyturnError:
            raise
        except Exception as error:  # noqa: BLE001 - azure-core lets strangers' exceptions through
            return Broken.because(why(error, vault.url))


class _Ticket:
    """Travels with one write down to the transport: what happened on the wire."""

    __slots__ = ("reply", "sent")

    def __init__(self) -> None:
        self.sent = False
        self.reply: Reply | None = None


class _SecondSend(Exception):
    """A policy above tried to send a write again, or without its body."""


def _one_send_transport(identity: Identity) -> Any:
    from azure.core.pipeline.transport import HttpTransport

    below = transport(identity.cloud)

    class OneSend(HttpTransport[Any, Any]):
        """Sends a request that carries a ticket at most once, and only whole.

        The challenge policy sends a write anew after a 401, and strips its body while it knows no challenge.
        """

        def open(self) -> None:
            below.open()

        def close(self) -> None:
            below.close()

        def __exit__(self, *_: object) -> None:
            below.close()

        def send(self, request: Any, *, keyturn_ticket: _Ticket | None = None, **options: Any) -> Any:
            if keyturn_ticket is None:
                return below.send(request, **options)
            if keyturn_ticket.sent or not request.content:
                raise _SecondSend
            keyturn_ticket.sent = True
            response = below.send(request, **options)
            keyturn_ticket.reply = _reply(response)
            return response

    return OneSend()


def _reply(response: Any) -> Reply:
    """An azure-core answer as ours; its body is read to the end."""
    scheme, _, token = str(response.request.headers.get("Authorization") or "").partition(" ")
    return Reply(response.status_code, response.headers, response.read(), (Secret(token),) if scheme else ())


def _tags(tags: Tags, present: Mapping[str, str]) -> dict[str, str]:
    """Ours, then a person's own as far as Key Vault's limit allows, in their order."""
    ours = {
        LEDGER_TAG: tags.ledger,
        SEQUENCE_TAG: str(tags.seq),
        SLOT_TAG: tags.slot.value,
        PROVIDER_TAG: tags.provider_address[:LONGEST_TAG],
        VALIDITY_TAG: str(tags.validity_days),
    }
    theirs = [
        (name, text)
        for name, text in present.items()
        if not name.lower().startswith("keyturn-") and name.lower() not in OUR_TAGS
    ]
    return ours | dict(theirs[: MOST_TAGS - len(ours)])


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,18}", text) else None


def _is_text(found: Any) -> bool:
    """Whether it is text that can be written again: the SDK reads half a pair of UTF-16 as well."""
    if not isinstance(found, str):
        return False
    try:
        found.encode()
    except UnicodeEncodeError:
        return False
    return True


def _texts(found: Any) -> dict[str, str]:
    """Tags, as far as they are text."""
    tags = found if isinstance(found, dict) else {}
    return {name: text for name, text in tags.items() if _is_text(name) and _is_text(text)}


def _slot(text: str | None) -> Slot | None:
    return Slot(text) if text in {slot.value for slot in Slot} else None
