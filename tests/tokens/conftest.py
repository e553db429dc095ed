"""An emulated Azure and a folder with a configuration, as the journeys have them."""

from __future__ import annotations

from tests.journeys.conftest import journeys_azure, stage

__all__ = ["journeys_azure", "stage"]
