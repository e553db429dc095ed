"""docs/emulator.md claims nothing that no test witnessed, and leaves out no switch."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from keyturn_emulator.apim_forms import VERSIONS
from keyturn_emulator.switches import SWITCHES

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "emulator.md").read_text(encoding="utf-8")
WITNESS = re.compile(r"`(test_\w+)::(test_\w+)`")


def rows() -> list[list[str]]:
    """The cells of every table row below a header that ends with Witness."""
    found: list[list[str]] = []
    witnessed = False
    for line in PAGE.splitlines():
        if not line.startswith("|"):
            witnessed = False
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[-1] == "Witness":
            witnessed = True
        elif witnessed and not set(cells[0]) <= {"-"}:
            found.append(cells)
    return found


def names_in(module: str) -> set[str]:
    path = HERE / f"{module}.py"
    if not path.exists():
        return set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("cells", rows(), ids=lambda cells: cells[0][:60])
def test_every_claim_has_witnesses_that_exist(cells: list[str]) -> None:
    witnesses = WITNESS.findall(cells[-1])
    assert witnesses, "a claim without a witness"
    assert [name for module, name in witnesses if name not in names_in(module)] == []


def test_every_table_of_the_page_names_witnesses() -> None:
    headers = [
        line for line, below in zip(PAGE.splitlines(), PAGE.splitlines()[1:], strict=False) if below[:4] == "|---"
    ]
    assert headers
    assert [header for header in headers if not header.endswith("| Witness |")] == []


def test_every_switch_is_listed_with_its_default() -> None:
    listed = {cells[0].strip("`"): cells[1] for cells in rows() if cells[0].strip("`") in SWITCHES}
    assert listed == {name: "on" if switch.default else "off" for name, switch in SWITCHES.items()}


def test_every_served_api_version_is_listed() -> None:
    assert [version for version in VERSIONS if f"`{version}`" not in PAGE] == []
