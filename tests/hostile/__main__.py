"""`python -m tests.hostile [--minutes N]`: everything here for as long as it is told to, drawn anew each time.

The tests of this folder run with many more examples, round after round; then the fuzzer of token parsing takes what
time is left. The figures come last; the exit code is 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.hostile.fuzzer import fuzz

HERE = Path(__file__).parent
SHARE = 0.9
"""Of the time, for the tests; the fuzzer has the rest."""
TIMES = 4


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="about how long (default 10; one round at least)")
    parser.add_argument("--seed", type=int, default=None, help="of the first round (default: drawn)")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1_000_000)
    begun = time.monotonic()
    rounds, passed, failed, longest = 0, 0, 0, 0.0
    while rounds == 0 or time.monotonic() - begun + longest < given.minutes * 60 * SHARE:
        began = time.monotonic()
        good, bad = play(seed + rounds)
        rounds, passed, failed = rounds + 1, passed + good, failed + bad
        longest = max(longest, time.monotonic() - began)
    left = max(given.minutes * 60 - (time.monotonic() - begun), 10.0)
    found = fuzz(seed, seconds=left)
    for text, trouble in found.broken:
        tell(f"token {text!r}: {trouble}")
    minutes = (time.monotonic() - begun) / 60
    tell(
        f"seed {seed}, {minutes:.1f} minutes, {rounds} rounds, each with {TIMES} times CI's examples: "
        f"{passed} tests passed, {failed} failed; {found.tried} tokens tried, {found.lines} lines reached, "
        f"{len(found.broken)} broken"
    )
    return 1 if failed or found.broken else 0


def play(seed: int) -> tuple[int, int]:
    """One round: how many tests passed, and how many did not. What failed is told by pytest, with what replays it."""
    command = [sys.executable, "-m", "pytest", str(HERE), "-q", "-n", "0", "-p", "no:cacheprovider"]
    command += [f"--hypothesis-seed={seed}"]
    environment = {**os.environ, "KEYTURN_HOSTILE_TIMES": str(TIMES)}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", ran.stdout)}
    bad = counts.get("failed", 0) + counts.get("error", 0)
    if ran.returncode != 0:
        tell(f"{ran.stdout[-20_000:]}{ran.stderr[-5_000:]}")
        bad = bad or 1  # it ended before it could count
    return counts.get("passed", 0), bad


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
