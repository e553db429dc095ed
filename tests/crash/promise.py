"""The promise on which everything else stands: however often keyturn is killed and started again, every credential ends
rotated and no call is refused.

Never here: where it is killed (that is `company`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from keyturn.demo.control import EmulatedAzure
from keyturn.demo.stage import Pair
from keyturn.model import Slot, Stage
from tests.crash.company import PUT, WRITE, Company, Kill

SEEDS = (1, 2, 3)
LEAST_KILLS = 25
"""Per mode: more than fifty over both. How many there are depends on how far each life gets, and so on the machine."""


def holds_in(mode: str, azure: EmulatedAzure, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One rotation for each seed, under kills; asserts that it ends well, and that there were kills of all sorts."""
    kills: list[Kill] = []
    for seed in SEEDS:
        of_seed = folder / str(seed)
        of_seed.mkdir()
        company = Company(azure, of_seed, mode, seed)
        try:
            before = company.adopt_and_wait_until_due()
            company.rotate_under_kills()
            _check(company, before)
            kills += company.kills
        finally:
            company.close()
    with capsys.disabled():
        stages = Counter(stage for kill in kills for stage in set(kill.stages))
        places = ", ".join(f"{count} {stage}" for stage, count in stages.most_common())
        effects = Counter(kill.what for kill in kills if kill.apply)
        told = ", ".join(f"{count} {what}" for what, count in effects.most_common())
        print(f"\n{mode}: killed {len(kills)} times while credentials were in: {places}")  # noqa: T201
        print(f"  right after these took effect: {told}; else before")  # noqa: T201
    assert len(kills) >= LEAST_KILLS
    # both effects that could cut callers off, each with a lost answer and without having happened
    every_way = {(aim, apply) for aim in (WRITE, PUT) for apply in (True, False)}
    assert {(kill.aim, kill.apply) for kill in kills} >= every_way
    assert stages.keys() >= {"renew", "confirm", "publish", "drain", "retire", "prove"}


def _check(company: Company, before: Mapping[str, Pair]) -> None:
    after, shown, in_files = company.stage.live(), company.stage.shown(), company.shown_in_files()
    for sid in company.stage.sids:
        assert before[sid].primary != after[sid].primary, f"{sid}: the old value still lives"
        assert before[sid].secondary != after[sid].secondary, f"{sid}: the standby was not renewed"
        assert shown[sid] == in_files[sid] == after[sid].secondary, f"{sid}: a sink does not show the active value"
    tally = company.callers.tally
    assert (tally.refused, company.file_callers.refused, company.control.refused_callers()) == (0, 0, 0)
    assert tally.errors == 0
    assert tally.calls > 100
    assert company.file_callers.calls > 100
    _check_ledger(company)
    assert company.stage.leaks() == []


def _check_ledger(company: Company) -> None:
    records = company.records()
    assert [record.id.partition("/")[2] for record in records] == sorted(company.stage.sids)
    for record in records:
        assert (record.stage, record.hold, record.rotations) == (Stage.IDLE, None, 1)
        assert (record.active, record.turning) == (Slot.SECONDARY, None)
        for slot in Slot:
            assert record.slot(slot).confirmed == record.slot(slot).fingerprint
    sequence = [line.seq for line in company.history()]
    assert sequence == list(range(1, len(sequence) + 1))
