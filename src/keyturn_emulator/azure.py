"""The running Azure: one World, the room that answers for each host name, and what tests script around them.

It decides which names exist and what a new world replaces. A request reaches a room through `ask` and no other way, so
that everything asked is in the journal.

Never here: sockets, TLS, or what any room answers.
"""

from __future__ import annotations

import copy
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from keyturn_emulator import entra, federation, machine, seed
from keyturn_emulator.arm import ArmRoom
from keyturn_emulator.configuration import ConfigurationRoom
from keyturn_emulator.entra import EntraRoom
from keyturn_emulator.faults import Fault, FaultBook
from keyturn_emulator.federation import IssuerRoom
from keyturn_emulator.gateway import GatewayRoom
from keyturn_emulator.journal import Journal
from keyturn_emulator.keyvault import KeyVaultRoom
from keyturn_emulator.machine import MachineRoom, MachineSecrets
from keyturn_emulator.management import ManagementRoom
from keyturn_emulator.pause import PauseGate
from keyturn_emulator.signins import SigninBook
from keyturn_emulator.wire import Answer, Call, json_answer
from keyturn_emulator.world import World

ARM_HOST = "management.azure.com"


class Room(Protocol):
    """Whatever answers for a host name."""

    def answer(self, call: Call) -> Answer: ...


class FrozenAzure:
    """What Resource Manager and the vaults held at one moment, for reading alone. Clock and throttling are the live
    ones."""

    def __init__(self, world: World, arm: ArmRoom) -> None:
        kept = copy.deepcopy(world, {id(world.clock): world.clock})
        self._rooms: dict[str, Room] = {ARM_HOST: ArmRoom(kept, arm.throttle)}
        self._rooms |= {vault.host: KeyVaultRoom(kept) for vault in kept.vaults.values()}

    def knows(self, call: Call) -> bool:
        """Whether this request only reads something that was there then."""
        return call.method in {"GET", "HEAD"} and call.host in self._rooms

    def answer(self, call: Call) -> Answer:
        """As it was then. Raises KeyError for a call that it does not know."""
        return self._rooms[call.host].answer(call)


class Azure:
    """Holds what `load` built. Everything in it but the boot clock begins anew with each load."""

    def __init__(self, description: Mapping[str, Any], start: datetime | None = None) -> None:
        """Raises SeedError. `start` is the first emulated moment, whatever the description says."""
        self._boot_so_far = 0.0
        self.on_time: list[Callable[[], None]] = []  # called after each move of the clock and each load
        self.pause = PauseGate()
        self.machine_secrets = MachineSecrets()
        self.load(description, start)

    def load(self, description: Mapping[str, Any], start: datetime | None = None) -> None:
        """Replace the world. Raises SeedError and then leaves everything as it was."""
        world = seed.build(description, boot=self._boot_so_far, start=start)
        self.world = world
        self.description = description
        self._start = start
        self.arm = ArmRoom(world)
        self.gateway = GatewayRoom(world)
        self.signins = SigninBook()
        self.journal = Journal()
        self.faults = FaultBook(world.clock, self._land_late_effect, self._freeze, description.get("seed") or 1)
        self.pause.resume()
        self._rooms = self._directory()
        world.clock.on_move.append(self._time_moved)
        self._time_moved()

    def reset(self) -> None:
        """The same description again, from its first moment."""
        self.load(self.description, self._start)

    def _directory(self) -> dict[str, tuple[str, Room]]:
        world = self.world
        rooms: dict[str, tuple[str, Room]] = {ARM_HOST: ("arm", self.arm)}
        rooms |= dict.fromkeys(entra.HOSTS, ("entra", EntraRoom(world)))
        rooms |= dict.fromkeys(federation.HOSTS, ("issuer", IssuerRoom(world)))
        rooms[machine.HOST] = ("machine", MachineRoom(world, self.machine_secrets))
        rooms |= {vault.host: ("keyvault", KeyVaultRoom(world)) for vault in world.vaults.values()}
        management = ManagementRoom(world, self.signins)
        rooms |= dict.fromkeys(management.hosts(), ("management", management))
        configuration = ConfigurationRoom(world, self.signins)
        rooms |= dict.fromkeys(configuration.hosts(), ("configuration", configuration))
        for service in world.services.values():
            rooms[service.host] = ("gateway", self.gateway)
            rooms |= {gateway.host: ("gateway", self.gateway) for gateway in service.gateways}
        return rooms

    def knows(self, host: str) -> bool:
        """Whether a client may ask for it: this machine has a port of its own, and no name."""
        return host in self._rooms and host != machine.HOST

    def hosts(self) -> list[str]:
        return sorted(host for host in self._rooms if host != machine.HOST)

    def kind(self, host: str) -> str:
        """entra, issuer, machine, arm, keyvault, gateway, management or configuration. Raises KeyError for an unknown
        name."""
        return self._rooms[host][0]

    def ask(self, call: Call, fault: str | None = None) -> Answer:
        """The room's answer. A defect of a room is a 500 that says so, and a traceback on stderr."""
        kind, room = self._rooms[call.host]
        now = self.world.clock.now()
        try:
            answer = room.answer(call)
        except Exception as error:  # noqa: BLE001 - the one place where a room's defect becomes an answer
            answer = defect(call, error)
        self.journal.note(now, kind, call, answer.status, fault)
        return answer

    def ask_past(self, fault: Fault, call: Call) -> Answer:
        """What a stale fault answers."""
        if fault.past is None:
            raise RuntimeError(f"the fault {fault.id} has no past")
        answer = fault.past.answer(call)
        self.journal.note(self.world.clock.now(), self.kind(call.host), call, answer.status, fault.kind)
        return answer

    def note_unasked(self, call: Call, fault: str) -> None:
        """A request that no room ever saw, because a fault took it."""
        self.journal.note(self.world.clock.now(), self.kind(call.host), call, None, fault)

    def _freeze(self) -> FrozenAzure:
        return FrozenAzure(self.world, self.arm)

    def _land_late_effect(self, call: Call) -> None:
        self.ask(call, "late-effect")

    def _time_moved(self) -> None:
        self._boot_so_far = self.world.clock.boot()
        for callback in tuple(self.on_time):
            callback()


def defect(call: Call, error: Exception) -> Answer:
    """The answer that says so, and a line on stderr. Only where it happened is printed, not the error's own
    text: that could hold a key.
    """
    where = "".join(traceback.format_tb(error.__traceback__))
    sys.stderr.write(
        f"emulator defect: {type(error).__name__} while answering {call.method} {call.host}{call.raw_path}\n{where}"
    )
    message = (
        f"This is a defect of the emulator, not an answer of Azure: {type(error).__name__} while answering "
        f"{call.method} {call.path}. The traceback is on the emulator's stderr."
    )
    return json_answer(500, {"error": {"code": "EmulatorDefect", "message": message}})
