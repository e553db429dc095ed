"""How fast 1,000 credentials are renewed, against the bound that ARM's token buckets set.

    uv run python bench/renew_rate.py [credentials]

RENEW alone: both slots are quiet, every credential is due, the budget's share is 100 %. Without a probe a renewed
credential waits for the gateways, and `keyturn run` (without --wait) ends there. What counts is the emulator's clock,
from start to end of that run: at most 1.05 times the larger of the write bound and the read bound, at most 2 reads per
renew, fewer than 1 % of calls answered 429. Exits 1 when the promise is broken.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from keyturn.demo.conductor import Conductor
from keyturn.demo.control import Control, EmulatedAzure, keyturn_program
from keyturn.demo.stage import Settings, Stage

WRITES, READS = (200, 10), (250, 25)  # size and tokens per second of ARM's buckets (azure-facts 4)
SLACK, MOST_READS, MOST_REFUSED = 1.05, 2.0, 0.01
FINE = timedelta(milliseconds=20)


def bound(calls: int, bucket: tuple[int, int]) -> float:
    """Seconds in which a full bucket lets that many calls through."""
    size, rate = bucket
    return max(calls - size, 0) / rate


def run(stage: Stage, *, wait: bool, conductor: Conductor) -> None:
    arguments = ["run", *(["--wait"] if wait else []), "--config", str(stage.config)]
    code = conductor.follow(keyturn_program(arguments, stage.env, stage.log))
    if code != 0:
        raise SystemExit(f"keyturn ended with {code}: {stage.log.read_text()[-1000:]}")


def counts(control: Control) -> dict[str, int]:
    return dict(control.ask("GET", "arm"))


def measure(azure: EmulatedAzure, folder: Path, credentials: int) -> bool:
    stage = Stage(azure, folder, Settings(credentials=credentials, probe=False, share=100, workers=8))
    stage.build()
    control = azure.control
    run(stage, wait=True, conductor=Conductor(control, lambda: None, most=stage.settings.step))
    control.advance(stage.settings.period)
    before, old, began = counts(control), stage.live(), control.now()
    fine = Conductor(control, lambda: None, most=stage.settings.step, least=FINE)
    run(stage, wait=False, conductor=fine)
    took, new, after = (control.now() - began).total_seconds(), stage.live(), counts(control)
    used = {kind: after[kind] - before[kind] for kind in after}
    renewed = sum(old[sid].secondary != new[sid].secondary for sid in stage.sids)
    return _judge(took, renewed, used, credentials)


def _judge(took: float, renewed: int, used: dict[str, int], credentials: int) -> bool:
    writes, reads = used["writes"] + used["actions"], used["reads"]
    least = max(bound(credentials, WRITES), bound(int(MOST_READS * credentials), READS))
    calls = writes + reads + used["throttled"]
    refused, per_renew = used["throttled"] / max(calls, 1), reads / max(renewed, 1)
    print(f"renewed {renewed} of {credentials} with {writes} ARM writes and {reads} reads ({per_renew:.2f} per renew)")
    print(f"took {took:.1f} s of emulated time; the buckets alone need {least:.1f} s: {took / max(least, 1e-9):.3f} x")
    print(f"answered 429: {used['throttled']} of {calls} calls ({refused:.2%})")
    return renewed == credentials and took <= SLACK * least and per_renew <= MOST_READS and refused < MOST_REFUSED


def main() -> int:
    credentials = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    azure = EmulatedAzure.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            return 0 if measure(azure, Path(folder), credentials) else 1
    finally:
        azure.close()


if __name__ == "__main__":
    sys.exit(main())
