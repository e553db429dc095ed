"""What the tests of killed keyturns count is seen where it is: a leak, and a refused call."""

from __future__ import annotations

from pathlib import Path

from keyturn.demo.control import EmulatedAzure
from tests.crash.company import Company


def test_a_value_that_stands_in_a_file_of_keyturn_would_be_found(azure: EmulatedAzure, tmp_path: Path) -> None:
    company = Company(azure, tmp_path, "set", 0)
    try:
        company.stage.log.write_text(f"oops: {company.stage.live()['contoso'].primary}\n", encoding="utf-8")
        assert company.stage.leaks() == ["keyturn.log"]
    finally:
        company.close()


def test_callers_with_a_dead_value_are_counted_by_themselves_and_by_the_gateways(
    azure: EmulatedAzure, tmp_path: Path
) -> None:
    company = Company(azure, tmp_path, "set", 0)
    try:
        dead = {"service": "shop-apim", "sid": "contoso", "slot": "primary"}
        company.control.ask("POST", "portal", dead)
        company.conductor.step(company.stage.settings.step)
        assert company.callers.tally.refused == company.control.refused_callers() == 1
    finally:
        company.close()
