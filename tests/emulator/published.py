"""Writes docs/emulator-coverage.md from what the emulator claims, what its tests witness, and the code's own tables.

    uv run python -m tests.emulator.published

Decides: what the page looks like, and which test is a witness of what. Never here: a claim (`claims`).
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

from keyturn_emulator import arm, keyvault
from keyturn_emulator.apim_manners import SERVICE
from keyturn_emulator.arm_routes import Row
from keyturn_emulator.faults import KINDS
from keyturn_emulator.switches import SWITCHES
from tests.emulator.claims import OPERATIONS, SECTIONS, Claim

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "emulator-coverage.md"
HERE: Final = "tests/emulator/"

Witnesses = Mapping[str, list[str]]

_HEAD: Final = """\
# The emulator's coverage: what it does, what it refuses, where it differs

Made by `tests/emulator/published.py`; edit `tests/emulator/claims.py` and the tests instead. The guide is
[the emulator's page](emulator.md).

**Source** says how a behaviour is known: `azure-recorded n` is a recording of the real service, `azure-facts n` a
specification, document or observation, each with its strength. **Witness** is the test that fails if the emulator
stops doing it, in `tests/emulator` where no folder is named: it says itself what it witnesses, and what no test
witnesses is not here. Where nobody could verify what Azure does, there is a [switch](#switches).
"""


class Operation(NamedTuple):
    """One row of the code's own tables, as the page writes it. `needs` is an action, or less."""

    title: str
    needs: str


def operations() -> list[Operation]:
    """All that Resource Manager and the vaults serve. The `{service}` of a title is the path of a service."""
    rows = [(row.method, "/".join(row.parts), "no token" if row is arm.OPEN_ROW else _needed(row)) for row in arm.ROWS]
    vaults = [(row.method, row.path, f"`{row.action}`") for row in keyvault.ROWS]
    return [
        Operation(f"{method} {path.replace(SERVICE, '{service}')}", needs) for method, path, needs in (*rows, *vaults)
    ]


def _needed(row: Row) -> str:
    return f"`{row.action}`" if row.action else "signing in"


def claim_of(operation: Operation) -> str | None:
    """The key of the claim that it belongs to."""
    return next((key for pattern, key in OPERATIONS if fits(operation.title, pattern)), None)


def fits(title: str, pattern: str) -> bool:
    """`fnmatchcase`, in which brackets mean nothing."""
    return fnmatchcase(title, pattern.replace("[", "[[]"))


def claims() -> list[Claim]:
    return [claim for section in SECTIONS for claim in section.claims]


def known_keys() -> list[str]:
    """Every key that a test may be a witness of."""
    made = [f"switch {name}" for name in SWITCHES] + [f"fault {name}" for name in KINDS]
    return [claim.key for claim in claims()] + made


def witnesses() -> Witnesses:
    """The tests of each key, as they say themselves, in the order of their files."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        where = path.relative_to(ROOT).as_posix().removesuffix(".py").removeprefix(HERE).removeprefix("tests/")
        for name, keys in _marked(path):
            for key in keys:
                found[key].append(f"{where}::{name}")
    return found


def _marked(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Each test of a file that has a witness marker, and what the marker names."""
    text = path.read_text(encoding="utf-8")
    if "mark.witness(" not in text:
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.witness":
                    yield node.name, [str(ast.literal_eval(argument)) for argument in decorator.args]


def page() -> str:
    told = witnesses()
    parts = [_HEAD]
    for section in SECTIONS[:-2]:
        rows = [(claim.text, claim.because, _cell(told, claim.key)) for claim in section.claims]
        parts.append(_section(section.title, section.prose, (*section.heads, "Witness"), rows))
    parts += [_operations(), _faults(told)]
    refused, differs = SECTIONS[-2:]
    rows = [(claim.text, claim.because, _cell(told, claim.key)) for claim in refused.claims]
    parts.append(_section(refused.title, refused.prose, (*refused.heads, "Witness"), rows))
    parts.append(_switches(told))
    rows = [(claim.text, claim.because, _cell(told, claim.key)) for claim in differs.claims]
    parts.append(_section(differs.title, differs.prose, (*differs.heads, "Witness"), rows))
    return "\n".join(parts)


def _operations() -> str:
    texts = {claim.key: claim.text for claim in claims()}
    rows = [
        (f"`{operation.title}`", operation.needs, texts[key])
        for operation in operations()
        if (key := claim_of(operation)) is not None
    ]
    prose = (
        "Every operation of Resource Manager and of a vault, from the tables that serve them, with the action that a "
        "role has to allow, and the row above that it belongs to. `{service}` stands for the path of a service. "
        "Each is called once by `test_coverage::test_every_operation_is_reached_and_answers`."
    )
    return _section("Operations", prose, ("Operation", "Action", "Behaviour"), rows)


def _faults(told: Witnesses) -> str:
    rows = [(f"`{name}`", text, _cell(told, f"fault {name}")) for name, text in KINDS.items()]
    prose = (
        "What a test can script, with `POST /_emulator/faults`. It strikes the first request that fits its `match`, by "
        "`host`, `method`, `path_contains`, `path_regex` and `agent_regex` (of the `User-Agent`): all that are given "
        "have to fit. `skip` lets so many pass before; `times` is how many it strikes (-1: until it is removed); "
        "`probability`, drawn by a seed, how likely each time."
    )
    return _section("Faults", prose, ("Fault", "What happens", "Witness"), rows)


def _switches(told: Witnesses) -> str:
    rows = [
        (f"`{name}`", "on" if switch.default else "off", switch.on, switch.off, _cell(told, f"switch {name}"))
        for name, switch in SWITCHES.items()
    ]
    prose = (
        "Behaviours that nobody here could verify. A seed sets them under `switches`, the control API under `switches`."
    )
    return _section("Switches", prose, ("Switch", "Default", "On", "Off", "Witness"), rows)


def _cell(told: Witnesses, key: str) -> str:
    return " ".join(f"`{name}`" for name in told.get(key, ()))


def _section(title: str, prose: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    table = [heads, ("---",) * len(heads), *rows]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table]
    return "\n".join([f"## {title}\n", *([f"{prose}\n"] if prose else []), *lines, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
