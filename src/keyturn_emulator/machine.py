"""What answers on the machine of a program, and nowhere else: managed identity, and the token request of a workflow.

Plain HTTP on a loopback port of its own, as 169.254.169.254 and App Service's endpoint are plain HTTP. Decides which
path belongs to whom, and holds the secrets that only a program of this machine has. Never here: an answer of theirs.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final

from keyturn_emulator.federation import WorkflowRoom
from keyturn_emulator.managed_identity import APP_SERVICE_PATH, IMDS_PATH, ManagedIdentityRoom
from keyturn_emulator.wire import Answer, Call, json_answer
from keyturn_emulator.world import World

HOST: Final = "this-machine"
"""The name of this machine in the journal and in faults; no client ever says it."""


@dataclass(slots=True, frozen=True)
class MachineSecrets:
    """Drawn once per start, so that a program's environment outlives a reset of the world."""

    identity_header: str = field(default_factory=lambda: secrets.token_hex(16).upper(), repr=False)
    request_token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)


class MachineRoom:
    """Hands each path of this machine to whom it belongs."""

    def __init__(self, world: World, known: MachineSecrets) -> None:
        self._managed = ManagedIdentityRoom(world, known.identity_header)
        self._workflow = WorkflowRoom(world, known.request_token)

    def answer(self, call: Call) -> Answer:
        """What its owner answers; 404 for a path that is nobody's."""
        match call.segments:
            case segments if segments == IMDS_PATH:
                return self._managed.answer_imds(call)
            case segments if segments == APP_SERVICE_PATH:
                return self._managed.answer_app_service(call)
            case segments if segments == WorkflowRoom.PATH:
                return self._workflow.answer(call)
        return json_answer(
            404, {"error": "not_found", "error_description": f"nothing of this machine is at {call.path}"}
        )
