"""The emulated Azure as the adapters see it: fixtures to import into a conftest."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from keyturn.azure.cloud import PUBLIC
from keyturn.azure.pipeline import Arm
from keyturn.azure.signin import Identity, SignIn
from keyturn.clocks.emulator import EmulatorClock
from keyturn.keyrings.subscriptions import SubscriptionsKeyring
from keyturn.model import Credential, Secret
from keyturn.ports import SendBy
from keyturn.sinks.keyvault import KeyVaultSecret, Vault
from keyturn_emulator import seed
from keyturn_emulator.testing import RunningEmulator, environment


class Emulated:
    """One process of ours, signed in as the rotator: a clock, an Arm, a keyring, a vault."""

    def __init__(self, azure: RunningEmulator) -> None:
        ready = azure.ready
        self.azure = azure
        self.service = str(ready["services"][0])
        self.clock = EmulatorClock(ready["control"], ready["secret"])
        secret = Secret(ready["client_secret"])
        self.identity = Identity(SignIn(tenant=ready["tenant"], client_id=ready["client_id"], secret=secret), PUBLIC)
        self.arm = Arm(self.identity, self.clock, share=1.0)
        self.keyring = SubscriptionsKeyring(self.arm, "shop", self.service)
        self.vault = Vault("shop-kv", self.identity, self.clock)

    def credential(self, sid: str = "contoso") -> Credential:
        return next(found for found in self.keyring.discover() if found.name == sid)

    def sink(self, secret: str = "apim-contoso") -> KeyVaultSecret:
        return KeyVaultSecret(self.vault, secret)

    def send_by(self, seconds: float = 20.0) -> SendBy:
        now, boot = self.clock.now(), self.clock.boottime()
        return SendBy(at=now + timedelta(seconds=60), boot=boot + 60, seconds=seconds)

    def too_late(self) -> SendBy:
        now, boot = self.clock.now(), self.clock.boottime()
        return SendBy(at=now - timedelta(seconds=1), boot=boot - 1, seconds=20)

    def sent(self, method: str, path_ends: str = "") -> int:
        """How many requests of that kind the emulator got."""
        return sum(call["method"] == method and str(call["path"]).endswith(path_ends) for call in self.azure.calls())


@pytest.fixture(scope="session")
def azure_process() -> Iterator[RunningEmulator]:
    with RunningEmulator.start() as running:
        yield running


@pytest.fixture
def azure(azure_process: RunningEmulator) -> Iterator[RunningEmulator]:
    azure_process.control("POST", "resume")
    azure_process.seed(seed.default_description())
    with environment(azure_process.env, without=("HTTP_PROXY", "https_proxy", "http_proxy", "no_proxy")):
        yield azure_process


@pytest.fixture
def emulated(azure: RunningEmulator) -> Iterator[Emulated]:
    made = Emulated(azure)
    yield made
    made.clock.close()
