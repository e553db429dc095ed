"""ARM writes per renewed slot, over 200 adopted credentials and no faults: exactly 1.0 in `set` mode, 2.0 in
`regenerate`.

    uv run python bench/arm_writes.py [credentials]

keyturn runs as a program against the emulator, through a whole rotation; the emulator counts what ARM charges as a
write (POST actions are, azure-facts 4), and the values of both slots are compared before and after. Exits 1 when the
promise is broken.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from keyturn.demo.conductor import Conductor
from keyturn.demo.control import EmulatedAzure, keyturn_program
from keyturn.demo.stage import Settings, Stage

PROMISED = {"set": 1.0, "regenerate": 2.0}


def run(stage: Stage, conductor: Conductor) -> None:
    """keyturn, to the end."""
    code = conductor.follow(keyturn_program(["run", "--wait", "--config", str(stage.config)], stage.env, stage.log))
    if code != 0:
        raise SystemExit(f"keyturn ended with {code}: {stage.log.read_text()[-1000:]}")


def measure(azure: EmulatedAzure, mode: str, credentials: int) -> float:
    """Writes per slot whose value changed. Without a probe, for gateways take no part in the count."""
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(azure, Path(folder), Settings(credentials=credentials, mode=mode, probe=False))
        stage.build()
        conductor = Conductor(azure.control, lambda: None, most=stage.settings.step)
        run(stage, conductor)
        azure.control.advance(stage.settings.period)
        before, writes = stage.live(), azure.control.arm_writes()
        run(stage, conductor)
        after, used = stage.live(), azure.control.arm_writes() - writes
    renewed = sum(old != new for sid in stage.sids for old, new in zip(before[sid], after[sid], strict=True))
    per_slot = used / max(renewed, 1)
    print(f"{mode}: {used} ARM writes, {renewed} slots renewed: {per_slot} per slot (promised {PROMISED[mode]})")
    return per_slot if renewed == 2 * credentials else float("nan")


def main() -> int:
    credentials = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    azure = EmulatedAzure.start()
    try:
        kept = [measure(azure, mode, credentials) == promised for mode, promised in PROMISED.items()]
    finally:
        azure.close()
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
