"""How fast keyturn starts, side by side with a bare click program on the same machine.

    uv run python bench/start_time.py [rounds]

`keyturn --version` at most 1.5 times as long, `keyturn status` with 1,000 credentials in SQLite at most 4 times. The
three take turns, so that a busy machine slows all of them; the medians are compared. Exits 1 when the promise is
broken.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from keyturn.ledgers.sql import SqlLedger
from keyturn.model import Record, Slot, SlotRecord, Stage, Waiting

CREDENTIALS = 1000
PROMISED = {"keyturn --version": 1.5, "keyturn status": 4.0}
SERVICE = (
    "/subscriptions/5be0a7d4-6f0f-4d1c-8f38-7a2f1c9e4b02/resourceGroups/rg"
    "/providers/Microsoft.ApiManagement/service/shop-apim"
)
BARE = """\
import sys
import click

@click.group()
@click.version_option("1.0")
def main():
    "A bare program."

sys.exit(main())
"""
CONFIGURATION = f"""\
services:
  shop: {{ id: {SERVICE} }}
policies:
  - name: partners
    match: {{ service: shop }}
    publish: [keyvault: {{ vault: shop-kv, secret: "apim-{{sid}}" }}]
"""


def fill(folder: Path) -> None:
    """A configuration, and a ledger with credentials at rest and under way."""
    (folder / "keyturn.yaml").write_text(CONFIGURATION, encoding="utf-8")
    now = datetime.now(UTC)
    with SqlLedger.open(f"sqlite:///{folder / 'keyturn.db'}") as ledger:
        for number in range(CREDENTIALS):
            sid = f"caller-{number:04}"
            ledger.save(_record(sid, now, draining=number % 10 == 0), 0, [])


def _record(sid: str, now: datetime, *, draining: bool) -> Record:
    print_of = f"{sid:0>24}"[-24:]
    slot = SlotRecord(fingerprint=print_of, confirmed=print_of, published_at=now - timedelta(days=3), exposed=True)  # type: ignore[arg-type]
    wait = Waiting(reason="quiet-slot", sentence="callers may still use the old value", rule="A1")
    return Record(
        key=f"{SERVICE}/subscriptions/{sid}".lower(),
        id=f"shop/{sid}",
        stage=Stage.DRAIN if draining else Stage.IDLE,
        since=now - timedelta(days=3),
        active=Slot.SECONDARY,
        turning=Slot.SECONDARY if draining else None,
        primary=slot,
        secondary=slot,
        not_before=now + timedelta(hours=20),
        waiting=wait if draining else None,
        rotations=1,
        policy="partners 000000000000",
    )


def timed(command: list[str], folder: Path) -> float:
    """Machine seconds of one run."""
    began = time.perf_counter()
    ended = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    took = time.perf_counter() - began
    if ended.returncode != 0:
        raise SystemExit(f"{command[-1]} ended with {ended.returncode}: {ended.stderr.decode()[-500:]}")
    return took


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        fill(folder)
        (folder / "bare.py").write_text(BARE, encoding="utf-8")
        script = Path(sys.executable).with_name("keyturn.exe" if os.name == "nt" else "keyturn")
        keyturn = [str(script)] if script.exists() else [sys.executable, "-m", "keyturn"]
        commands = {
            "bare click": [sys.executable, "bare.py", "--version"],
            "keyturn --version": [*keyturn, "--version"],
            "keyturn status": [*keyturn, "status"],
        }
        for command in commands.values():
            timed(command, folder)  # once for the file system
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                taken[name].append(timed(command, folder))
    bare = statistics.median(taken.pop("bare click"))
    print(f"bare click program: {bare * 1000:.0f} ms (median of {rounds})")
    kept = []
    for name, times in taken.items():
        ratio = statistics.median(times) / bare
        kept.append(ratio <= PROMISED[name])
        print(f"{name}: {statistics.median(times) * 1000:.0f} ms, {ratio:.2f} x (promised: at most {PROMISED[name]} x)")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
