"""The soak, for less than a minute: two keyturns are killed and frozen, Azure fails, a person interferes, and nobody is
refused whom the protocol does not allow for."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.soak.play import Soak

from keyturn.demo.control import EmulatedAzure

SECONDS, CALM = 25.0, 13.0
"""Of the machine, less than forty with the stage's building where it has nothing else to do; how much keyturn gets done
in them is not asked."""
SEED = 7
"""It draws a freeze as the first blow for one of them, and a kill for the other."""


@pytest.mark.long
def test_killed_and_frozen_all_the_time_two_keyturns_refuse_nobody_whom_the_protocol_does_not_allow_for(
    azure: EmulatedAzure, tmp_path: Path
) -> None:
    soak = Soak(azure, tmp_path, credentials=3, seed=SEED)
    try:
        outcome = soak.play(SECONDS, calm=CALM)
    finally:
        soak.close()
    assert [each for each in outcome.breaches() if not each.endswith("was never rotated")] == []
    assert outcome.kills
    assert outcome.stops
    assert outcome.calls > 100
