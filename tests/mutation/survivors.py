"""The list of mutants that may survive, each with its reason: `survivors.toml`.

An entry whose mutant is killed, or does not exist any more, is an error: the list says nothing that is not so.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.operators import Mutant

LIST = Path(__file__).with_name("survivors.toml")
Identity = tuple[str, str, str, int]


@dataclass(frozen=True)
class Survivors:
    """Why each of these mutants may survive."""

    why: Mapping[Identity, str]

    @staticmethod
    def read(path: Path = LIST) -> Survivors:
        """Raises ValueError on an entry without a reason, and on one that is there twice."""
        why: dict[Identity, str] = {}
        for group in tomllib.loads(path.read_text(encoding="utf-8")).get("survivors", []):
            for line in group["mutants"]:
                where, told, change, *number = line
                identity = (where, told, change, int(number[0]) if number else 1)
                if not group["why"].strip() or identity in why:
                    raise ValueError(f"without a reason, or there twice: {identity}")
                why[identity] = group["why"]
        return Survivors(why)

    def complaints(self, known: Iterable[Mutant], killed: Mapping[Mutant, bool]) -> list[str]:
        """What is wrong with the list, by all mutants there are and by those that were asked for."""
        known = list(known)
        there, rooms = {mutant.identity for mutant in known}, {mutant.room for mutant in known}
        here = [identity for identity in self.why if identity[0].split(".")[0] in rooms]
        gone = [f"is listed, and there is no such mutant: {_told(i)}" for i in here if i not in there]
        dead = [f"is listed, and is killed: {m}" for m, is_dead in killed.items() if is_dead and m.identity in self.why]
        new = [
            f"survives, and is not listed: {m}"
            for m, is_dead in killed.items()
            if not is_dead and not m.text and m.identity not in self.why
        ]
        return [*gone, *dead, *new]


def _told(identity: Identity) -> str:
    return " | ".join(map(str, identity))
