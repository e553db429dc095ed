"""`python -m bench.soak`: play it, print its figures last, exit 1 when a promise is broken.

Exits 0 only if protocol.md allows every refused call, by the bound that `bench.soak.judge` spells out; nothing that
keyturn said holds a traceback; no file that it wrote holds a key value; every credential was rotated at least once; and
every credential came to rest once nobody interfered any more, for which there are two more minutes. Exits 2 where the
stage itself failed, so that it proves nothing. Whatever was started is ended, on Ctrl-C as well (130).
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from bench.soak.judge import By, Outcome
from bench.soak.play import Soak
from keyturn.demo.control import KEYTURN, EmulatedAzure, Program, StageFault
from keyturn.policy import spell
from keyturn_emulator.testing import EmulatorDefect, RunningEmulator

INTERRUPTED = 130
TOLD = 5
AT_REST = {True: "yes", False: "no", None: "the machine had no time to see it"}


def told(outcome: Outcome) -> list[str]:
    """The figures, one line for each."""
    fewest, most = min(outcome.rotations.values()), max(outcome.rotations.values())
    return [
        f"seed {outcome.seed}: {outcome.seconds:.0f} s, in which {spell(outcome.emulated)} passed on the emulator",
        f"rotations finished: {sum(outcome.rotations.values())}, {fewest} to {most} for each of "
        f"{len(outcome.rotations)} credentials",
        f"killed {outcome.kills} times, frozen {outcome.stops} times, for {spell(outcome.longest_freeze)} of emulated "
        "time at most",
        "faults: " + ", ".join(f"{count} x {name}" for name, count in sorted(outcome.faults.items())),
        f"portal writes: {outcome.portal_writes}",
        f"calls: {outcome.calls:,}, refused: {sum(outcome.refused.values()):,} "
        f"(counted by the gateways: {outcome.refused_by_gateways:,})",
        *(f"  {by.value}: {outcome.refused.get(by, 0):,}" for by in By),
        f"  allowed by protocol.md, what cannot be prevented: {outcome.allowed:,}, the last of them "
        f"{spell(outcome.longest)} after the write; at most {spell(outcome.bound)}",
        f"every credential at rest, once nobody interfered: {AT_REST[outcome.at_rest]}",
        f"tracebacks: {outcome.tracebacks}, files with a key value: {len(outcome.leaks)}",
    ]


def tell(outcome: Outcome) -> int:
    """Print the figures, and what is broken; the exit code."""
    breaches = outcome.breaches()
    for line in told(outcome):
        print(line)
    if not breaches:
        print("broken: nothing")
        return 0
    print(f"broken first: {breaches[0]}")
    for breach in breaches[1:TOLD]:
        print(f"  then: {breach}")
    if len(breaches) > TOLD:
        print(f"  and {len(breaches) - TOLD} more")
    return 1


def play(folder: Path, given: argparse.Namespace) -> int:
    """One soak, from start to end. Raises StageFault, EmulatorDefect."""
    with RunningEmulator.start() as running:
        azure = EmulatedAzure(Program(running.process), running.ready)  # type: ignore[arg-type]
        command = KEYTURN if given.bug is None else (sys.executable, "-m", "bench.soak.with_bug", given.bug)
        soak = Soak(azure, folder, credentials=given.credentials, seed=given.seed, command=command)
        if sys.stderr.isatty():
            print(f"{given.minutes:g} minutes, and up to two more until all is at rest", file=sys.stderr)
        try:
            return tell(soak.play(given.minutes * 60))
        finally:
            soak.close()
            azure.control.close()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.soak", description="Two keyturns, killed and frozen all the time.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--credentials", type=int, default=12)
    parser.add_argument("--folder", type=Path, help="an empty one, which is kept with its logs")
    parser.add_argument(
        "--bug", metavar="NAME", help="of tests.simulation.bugs: put it into keyturn, and see it caught"
    )
    return parser.parse_args()


def _ended(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> int:
    given = arguments()
    signal.signal(signal.SIGTERM, _ended)
    with tempfile.TemporaryDirectory() as made:
        folder = given.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return play(folder, given)
        except KeyboardInterrupt:
            print("interrupted: everything was ended, and nothing was judged")
            return INTERRUPTED
        except (StageFault, EmulatorDefect) as fault:
            print(f"proves nothing: {fault}")
            return 2


if __name__ == "__main__":
    sys.exit(main())
