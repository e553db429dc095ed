"""keyturn in this process: put together at the first invocation that needs it, and shared by all that follow.

A host may end the process at any instant, and starts others beside it; nothing here is kept for anybody else. Also
what a long-lived process must know that a command does not: whether the sinks of a credential that is new to the
ledger are nobody else's. Never here: a binding, or what is done with it.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from keyturn import assemble
from keyturn.errors import KeyturnError, Misconfigured
from keyturn.functions.settings import AppSettings

if TYPE_CHECKING:
    from keyturn.assemble import Assembled, Discovered
    from keyturn.model import Event
    from keyturn.ports import Holder, Stored
    from keyturn.sweep import Charge

log = logging.getLogger("keyturn")

FRESH: Final = 600.0
"""Seconds for which a list of every credential is good enough to tell whose sinks are whose."""
STRANGERS: Final = ("azure", "msal", "urllib3")
"""Libraries that log at length what keyturn says in a sentence."""
_NONCE_BYTES: Final = 8


class Lines:
    """The notifier of a Function: one line of the log for each thing that happened."""

    def tell(self, credential: str, event: Event) -> None:
        tell(credential, event)


def tell(credential: str, event: Event) -> None:
    """No event holds a value."""
    log.info("%s: %s: %s%s", credential, event.kind, event.sentence, f" ({event.rule})" if event.rule else "")


class Instance:
    """One keyturn. Thread-safe: a host may run several invocations of one process side by side."""

    def __init__(self, settings: AppSettings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._keyturn: Assembled | None = None
        self._listing = threading.Lock()
        self._found: Discovered | None = None
        self._found_at = 0.0
        if settings.problem is not None:
            log.error("keyturn cannot be configured: %s", sentence(settings.problem))

    def close(self) -> None:
        """For whoever ends it on purpose; a host does not."""
        with self._lock:
            if self._keyturn is not None:
                self._keyturn.__exit__()
            self._keyturn = None

    def keyturn(self) -> Assembled:
        """Put together once; a failure is not kept. Raises Misconfigured, LedgerFault, TryAgain."""
        with self._lock:
            if self._keyturn is None:
                config = self.settings.config
                if config is None:
                    raise self.settings.problem or Misconfigured("there is no configuration")
                for name in STRANGERS:
                    logging.getLogger(name).setLevel(logging.WARNING)
                self._keyturn = assemble.open_all(config, notifier=Lines())
            return self._keyturn

    def holder(self) -> Holder:
        """Of a lease, for this invocation alone: two invocations of one process must not share one."""
        import msgspec  # noqa: PLC0415

        keyturn = self.keyturn()
        nonce = keyturn.clock.random_bytes(_NONCE_BYTES).hex()
        return msgspec.structs.replace(keyturn.holder, nonce=nonce)

    # -------- every credential

    def list_all(self) -> Discovered:
        """List every service anew, and hold whoever may not be worked on. Raises LedgerFault."""
        with self._listing:
            return self._list()

    def _list(self) -> Discovered:
        keyturn = self.keyturn()
        began = keyturn.clock.boottime()
        found = keyturn.discover()
        keyturn.hold_unusable(found)
        self._found, self._found_at = found, began
        for alias, problem in found.problems.items():
            log.error("service %s cannot be listed: %s", alias, sentence(problem))
        for warning in found.warnings:
            log.warning("%s", warning)
        return found

    def check_sinks(self, charge: Charge, stored: Stored | None) -> None:
        """Hold it if a sink of its is another's, before its first turn there (rule A10). A list of every credential
        tells; whoever is published already to each of its sinks was checked before that. Raises LedgerFault, TryAgain,
        Refused."""
        known = stored.record.sinks if stored is not None else ()
        if stored is not None and all(sink.name in known for sink in self.keyturn().sinks_of(charge.credential)):
            return
        with self._listing:  # many may wait here for one list
            found, now = self._found, self.keyturn().clock.boottime()
            keys = {each.credential.key for each in found.charges} if found is not None else set()
            if found is None or charge.credential.key not in keys or now - self._found_at > FRESH:
                found = self._list()
        problem = found.problems.get(charge.credential.service)
        if problem is not None:
            raise problem  # whose sinks are whose is not known: a turn may wait, a value in the wrong place may not


def sentence(problem: KeyturnError) -> str:
    """What a log says of a problem."""
    return f"{problem.message} {problem.hint}".rstrip()
