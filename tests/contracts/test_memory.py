"""The public in-memory adapters keep the contracts that the real ones keep."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keyturn.model import Kind
from keyturn.ports import SendBy
from keyturn.testing import ManualClock, World
from tests.contracts.keyring import KeyringCase, KeyringContract
from tests.contracts.sink import SinkCase, SinkContract


def send_by(clock: ManualClock, seconds: float) -> SendBy:
    span = timedelta(seconds=seconds)
    return SendBy(at=clock.now() + span, boot=clock.boottime() + seconds, seconds=20)


class TestMemoryKeyring(KeyringContract):
    @pytest.fixture
    def case(self) -> KeyringCase:
        world = World()
        credential = world.add("contoso")
        return KeyringCase(world.keyring, credential, send_by(world.clock, 60), send_by(world.clock, -1))


class TestMemoryKeyringOfTenantAccess(KeyringContract):
    @pytest.fixture
    def case(self) -> KeyringCase:
        world = World()
        credential = world.add("access", kind=Kind.TENANT)
        in_time, too_late = send_by(world.clock, 60), send_by(world.clock, -1)
        return KeyringCase(world.keyring, credential, in_time, too_late, id="shop/tenant/access")


class TestMemoryKeyringThatCannotSet(KeyringContract):
    @pytest.fixture
    def case(self) -> KeyringCase:
        world = World(sets=False)
        credential = world.add("gw-oslo", kind=Kind.GATEWAY)
        in_time, too_late = send_by(world.clock, 60), send_by(world.clock, -1)
        return KeyringCase(world.keyring, credential, in_time, too_late, id="shop/gateways/gw-oslo", sets=False)


class TestMemorySink(SinkContract):
    @pytest.fixture
    def case(self) -> SinkCase:
        world = World()
        world.add("contoso", sinks=["vault/contoso"], show=None)
        return SinkCase(world.sinks["contoso"][0], send_by(world.clock, 60), send_by(world.clock, -1))
