"""Fifty credentials go through a whole period by the timer and the queue alone, with a ledger in a table, on two hosts
that are killed now and then, behind a queue that repeats, delays and reorders; and no call of any caller is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from keyturn.azure.cloud import PUBLIC
from keyturn.clocks.system import SystemClock
from keyturn.demo.control import EmulatedAzure, Program
from keyturn.demo.stage import Settings
from keyturn.demo.stage import Stage as Scene
from keyturn.ledgers.table import TableLedger
from keyturn.ledgers.table_wire import TablePlace
from keyturn.model import Secret, Slot, Stage
from keyturn_emulator.testing import RunningEmulator
from tests import azurite
from tests.functions.cloud import IDLE_TICK, clouded

CREDENTIALS = 50
SEED = 20_260_105
KILLS = 3
PERIOD, DRAIN, CACHE = timedelta(hours=6), timedelta(minutes=30), timedelta(minutes=10)


@pytest.fixture
def azure() -> Iterator[EmulatedAzure]:
    with RunningEmulator.start() as running:
        emulated = EmulatedAzure(Program(running.process), running.ready)  # type: ignore[arg-type]
        yield emulated
        emulated.control.close()


@pytest.fixture
def account(tmp_path: Path) -> Iterator[azurite.Account]:
    with azurite.running(tmp_path / "azurite") as account:
        yield account


@pytest.fixture
def scene(azure: EmulatedAzure, tmp_path: Path) -> Scene:
    folder = tmp_path / "app"
    folder.mkdir()
    settings = Settings(
        credentials=CREDENTIALS, period=PERIOD, drain=DRAIN, cache=CACHE, look_every=timedelta(hours=3), threads=2
    )
    stage = Scene(azure, folder, settings)
    stage.build()
    text = stage.config.read_text(encoding="utf-8")
    for given, wanted in (("ledger: sqlite:///keyturn.db\n", ""), ("accepts: 5", "accepts: 2")):
        assert given in text
        text = text.replace(given, wanted)
    stage.config.write_text(text, encoding="utf-8")
    return stage


@pytest.mark.long
def test_fifty_credentials_go_through_a_whole_period_and_no_call_is_refused(
    scene: Scene, account: azurite.Account, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = {
        **scene.env,
        "AzureWebJobsStorage": account.connection_string,
        "KEYTURN_CONFIG_TEXT": scene.config.read_text(encoding="utf-8"),
    }
    start = scene.control.now()
    with clouded(scene, env, scene.folder, SEED) as (cloud, callers):
        cloud.run(start + timedelta(minutes=50))  # adopted, and every standby quiet
        cloud.run(start + PERIOD - timedelta(minutes=5), tick=IDLE_TICK)
        before = scene.live()
        writes = scene.control.arm_writes()
        cloud.kills = KILLS
        cloud.run(start + PERIOD + timedelta(hours=2))
        cloud.drain()
        cloud.run(cloud.now + timedelta(minutes=30))
        callers.round()
        tally, told = callers.tally, cloud.told
        writes = scene.control.arm_writes() - writes
    with capsys.disabled():
        print(f"\n{told}\n{tally}, {writes} ARM writes")  # noqa: T201
    after, shown = scene.live(), scene.shown()
    for sid in scene.sids:
        assert not set(before[sid]) & set(after[sid]), f"{sid}: an old value still lives"
        assert shown[sid] == after[sid].secondary, f"{sid}: the vault does not show the active value"
    assert (tally.refused, scene.control.refused_callers(), tally.errors) == (0, 0, 0)
    assert tally.calls > 100 * CREDENTIALS
    _check_ledger(account)
    # the queue was as bad as it was to be, and both hosts worked
    assert min(told.copies, told.late, told.overtaken) > 20
    assert min(told.turns["east"], told.turns["west"]) > 100
    assert (told.poisoned, told.failures) == (0, [])
    assert cloud.kills == 0 and told.killed > KILLS
    assert scene.leaks() == []


def _check_ledger(account: azurite.Account) -> None:
    place = TablePlace(name="keyturn", cloud=PUBLIC, connection=Secret(account.connection_string))
    ledger = TableLedger.open(place, SystemClock(), create=False)
    try:
        records = list(ledger.records())
        sequence = [line.seq for line in ledger.history(limit=100_000)]
    finally:
        ledger.close()
    assert len(records) == CREDENTIALS
    for record in records:
        assert (record.stage, record.hold, record.rotations) == (Stage.IDLE, None, 1)
        assert (record.active, record.turning) == (Slot.SECONDARY, None)
    assert sequence == list(range(1, len(sequence) + 1))
