"""A folder with a configuration and a ledger, and the real command in it, without any Azure."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keyturn.ledgers.sql import SqlLedger
from keyturn.model import Event, Hold, Record, Slot, SlotRecord, Stage, Waiting

SERVICE = "/subscriptions/3a6f1d2c-5b7e-4f80-9c1d-8e2a4b6c0d43/resourceGroups/rg/providers/Microsoft.ApiManagement"
CONFIGURATION = f"""\
services:
  shop:
    id: {SERVICE}/service/shop-apim
policies:
  - name: partners
    match: {{ service: shop }}
    probe: {{ path: /status/ping }}
    publish:
      - keyvault: {{ vault: shop-kv, secret: "apim-{{sid}}" }}
    drain: 24h
"""
SIDS = ("contoso", "fabrikam", "legacy", "team/contoso")


@dataclass
class Folder:
    """Where the command runs."""

    path: Path

    @property
    def ledger(self) -> Path:
        return self.path / "keyturn.db"

    @property
    def configuration(self) -> str:
        return (self.path / "keyturn.yaml").read_text(encoding="utf-8")

    def write(self, text: str) -> None:
        (self.path / "keyturn.yaml").write_text(text, encoding="utf-8")

    def fill(self) -> None:
        """A ledger with a credential in each of four conditions."""
        now = datetime.now(UTC)
        with SqlLedger.open(f"sqlite:///{self.ledger}") as ledger:
            for sid, record in zip(SIDS, _records(now), strict=True):
                event = Event(at=now, kind="adopt", sentence=f"adopted {sid}", rule="A13")
                ledger.save(record, 0, [event])

    def run(
        self, *arguments: str, env: Mapping[str, str] | None = None, program: str = "-m keyturn", stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run the real command, and look for a traceback in what it prints."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT") if name in os.environ}
        done = subprocess.run(
            [sys.executable, *program.split(), *arguments],
            cwd=self.path,
            env={**kept, **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
            timeout=60,
        )
        assert "Traceback" not in done.stderr
        return done


def _records(now: datetime) -> list[Record]:
    def record(sid: str, stage: Stage, **changes: object) -> Record:
        key = f"{SERVICE}/service/shop-apim/subscriptions/{sid}".lower()
        shown = SlotRecord(published_at=now - timedelta(days=12))
        blank = Record(key=key, id=f"shop/{sid}", stage=stage, since=now - timedelta(hours=3), policy="partners 0")
        return blank.but(active=Slot.PRIMARY, primary=shown, **changes)

    waiting = Waiting(reason="quiet-slot", sentence="callers may use it", rule="A1", shorter="a shorter drain")
    hold = Hold(reason="sinks-disagree", sentence="two values are shown", since=now - timedelta(days=2))
    return [
        record("contoso", Stage.DRAIN, turning=Slot.SECONDARY, waiting=waiting, not_before=now + timedelta(hours=21)),
        record("fabrikam", Stage.IDLE, not_before=now + timedelta(hours=20)),
        record("legacy", Stage.IDLE, hold=hold),
        record("team/contoso", Stage.IDLE),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.write(CONFIGURATION)
    return made


@pytest.fixture
def filled(folder: Folder) -> Folder:
    folder.fill()
    return folder
