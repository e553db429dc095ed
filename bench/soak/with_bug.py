"""`python -m bench.soak.with_bug BUG …`: keyturn with an everyday bug in it, to see that a soak can fail.

The bugs are those of `tests.simulation.bugs`. Not each of them refuses a caller here: a soak plays far fewer rotations
than the simulation does.
"""

from __future__ import annotations

import sys

from tests.simulation.bugs import BUGS

from keyturn.cli import main

NAMES = tuple(bug.name for bug in BUGS)


def run(name: str) -> int:
    """keyturn with what is left of the command line. Raises ValueError for a bug that there is not."""
    bug = BUGS[NAMES.index(name)]
    with bug.in_place():
        return main()


if __name__ == "__main__":
    sys.exit(run(sys.argv.pop(1)))
