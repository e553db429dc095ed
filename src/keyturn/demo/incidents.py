"""What somebody else does to a credential in the scene of the drift: a table of causes, and the hands that do it.

The hands are ordinary clients with rights of their own: a person in the portal regenerates by the portal's own ARM
action; Terraform sends what its state file says, without If-Match. Neither knows of keyturn. Never here: when it
happens, what keyturn makes of it, or who is refused.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from keyturn.demo.control import StageFault
from keyturn.demo.naive import API_VERSION, ARM
from keyturn.demo.stage import OPERATOR, SERVICE, TERRAFORM, VAULT, Client, Stage, secret_name, service_id
from keyturn.model import Slot

FAILED_OVER: Final = "fail over"
CONFIRMED: Final = "confirm first"
REPAIRED: Final = "repair"
NOTED: Final = "drift"
"""Kinds of events in keyturn's history that answer an incident."""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of incident, and what the protocol says of it."""

    code: str
    told: str
    """In a table: fits 35 columns."""
    said: str = ""
    """In a sentence, when it happens."""
    answer: str = ""
    """What keyturn does about it, as its history calls it; empty: nothing."""
    refuses: bool = False
    """Callers are refused until keyturn has answered, and those that keep a key for as long as they keep it."""
    turning: bool = False
    """It meets a rotation in its drain."""
    rereads: bool = False
    """The callers read their sink again after a 401."""


UNTOUCHED: Final = Cause(code="untouched", told="nobody")
ROTATES: Final = Cause(code="rotates", told="nobody, and it rotates", turning=True)
STANDBY: Final = Cause(
    code="standby-regenerated",
    told="portal: standby regenerated",
    said="somebody regenerates its standby in the portal",
    answer=NOTED,
)
ACTIVE: Final = Cause(
    code="active-regenerated",
    told="portal: active slot regenerated",
    said="somebody regenerates its active slot in the portal",
    answer=FAILED_OVER,
    refuses=True,
)
ACTIVE_REREADS: Final = Cause(
    code="active-regenerated-reread",
    told="  callers that reread on a 401",
    said=f"{ACTIVE.said}; its caller reads again on a 401",
    answer=FAILED_OVER,
    refuses=True,
    rereads=True,
)
ACTIVE_TURNING: Final = Cause(
    code="active-regenerated-draining",
    told="  during the drain of a rotation",
    said=f"{ACTIVE.said}, while its rotation drains",
    answer=FAILED_OVER,
    refuses=True,
    turning=True,
)
BOTH: Final = Cause(
    code="both-keys-set-back",
    told="Terraform: both keys set back",
    said="Terraform sets both keys to what its state file says",
    answer=CONFIRMED,
    refuses=True,
)
STALE_SECRET: Final = Cause(
    code="secret-set-back",
    told="Terraform: secret set to a dead key",
    said="Terraform writes a key into the vault that died long ago",
    answer=REPAIRED,
    refuses=True,
)
LIVE_SECRET: Final = Cause(
    code="secret-set-back-draining",
    told="  to the old key, during its drain",
    said="Terraform writes the old key into the vault, while its rotation drains",
    answer=REPAIRED,
    turning=True,
)
EDITED: Final = Cause(
    code="secret-edited",
    told="a person: secret edited by hand",
    said="a person edits the secret in the vault",
    answer=REPAIRED,
    refuses=True,
)

DEALT: Final = (
    ACTIVE,
    STANDBY,
    BOTH,
    STALE_SECRET,
    EDITED,
    ROTATES,
    ACTIVE_REREADS,
    LIVE_SECRET,
    ACTIVE_TURNING,
    STANDBY,
    ACTIVE,
    UNTOUCHED,
)
"""To the credentials, one after the other, and over again."""
TABLE: Final = (
    STANDBY,
    ACTIVE,
    ACTIVE_REREADS,
    ACTIVE_TURNING,
    BOTH,
    STALE_SECRET,
    LIVE_SECRET,
    EDITED,
    ROTATES,
    UNTOUCHED,
)
"""As the figures are told."""
assert set(DEALT) == set(TABLE)  # noqa: S101 - two lists of the same


class Hands:
    """A person in the portal, and Terraform. Close them, whatever happens."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._person, self._terraform = stage.client(OPERATOR), stage.client(TERRAFORM)

    def do(self, cause: Cause, sid: str, active: Slot, product: str) -> None:
        """Let it happen. `active` is the published slot. Raises StageFault when Azure does not do it."""
        if cause == STANDBY:
            self._regenerate(sid, active.other)
        elif cause in {ACTIVE, ACTIVE_REREADS, ACTIVE_TURNING}:
            self._regenerate(sid, active)
        elif cause == BOTH:
            self._apply_keys(sid, product)
        elif cause == STALE_SECRET:
            self._put_secret(self._terraform, sid, self._stage.first[sid].primary)
        elif cause == LIVE_SECRET:
            primary, secondary = self._stage.control.values(SERVICE, sid)
            self._put_secret(self._terraform, sid, secondary if active is Slot.PRIMARY else primary)
        elif cause == EDITED:
            self._put_secret(self._person, sid, f"typed by hand {secrets.token_hex(4)}")
        else:
            raise AssertionError(f"{cause.code} is nobody's deed")

    def close(self) -> None:
        """End both clients."""
        self._person.close()
        self._terraform.close()

    def _regenerate(self, sid: str, slot: Slot) -> None:
        action = f"regenerate{slot.value.title()}Key"
        _done(self._person.ask("POST", ARM, _of(sid, action)), 204)

    def _apply_keys(self, sid: str, product: str) -> None:
        """All of the entity as the state file has it, its keys with it."""
        first = self._stage.first[sid]
        keys = {"primaryKey": first.primary, "secondaryKey": first.secondary}
        properties = {"displayName": sid, "scope": f"/products/{product}", "state": "active", **keys}
        _done(self._terraform.ask("PUT", ARM, _of(sid), {"properties": properties}), 200)

    @staticmethod
    def _put_secret(client: Client, sid: str, value: str) -> None:
        path = f"/secrets/{secret_name(sid)}?api-version=7.4"
        _done(client.ask("PUT", f"{VAULT}.vault.azure.net", path, {"value": value}), 200)


def _of(sid: str, action: str = "") -> str:
    return f"{service_id()}/subscriptions/{sid}{f'/{action}' if action else ''}?api-version={API_VERSION}"


def _done(answer: tuple[int, Mapping[str, Any]], status: int) -> None:
    if answer[0] != status:
        raise StageFault(f"Azure answered {answer[0]} to somebody who changes a key")
