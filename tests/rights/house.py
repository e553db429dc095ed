"""A machine of a few folders, in which real commands run under any umask, and what they left there.

Never here: a judgement about it.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from keyturn_emulator import seed
from keyturn_emulator.testing import RunningEmulator
from tests.journeys.stage import SERVICE

FOLDERS = {
    "HOME": "home",
    "TMPDIR": "tmp",
    "XDG_CONFIG_HOME": "xdg/config",
    "XDG_CACHE_HOME": "xdg/cache",
    "XDG_DATA_HOME": "xdg/data",
    "XDG_STATE_HOME": "xdg/state",
    "XDG_RUNTIME_DIR": "xdg/runtime",
}


class Left(NamedTuple):
    """One file or folder: what it is, and its mode."""

    kind: str
    mode: int


class Machine:
    """Commands run in `work`; everything else that a program could find by a variable lies beside it."""

    def __init__(self, root: Path, azure: RunningEmulator) -> None:
        self.root, self.azure, self.work = root, azure, root / "work"
        for name in ("work", *FOLDERS.values()):
            (root / name).mkdir(parents=True)
            (root / name).chmod(0o700)
        azure.seed(seed.default_description())

    @property
    def env(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
        return {
            **kept,
            **{name: str(self.root / folder) for name, folder in FOLDERS.items()},
            **self.azure.env,
            "AZURE_TENANT_ID": seed.TENANT,
            "AZURE_CLIENT_ID": seed.CLIENT,
            "AZURE_CLIENT_SECRET": seed.CLIENT_SECRET,
            "KEYTURN_EMULATOR_CONTROL": self.azure.ready["control"],
            "KEYTURN_EMULATOR_SECRET": self.azure.ready["secret"],
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def configure(self, path: str = "sinks/app.env", ledger: str = "keyturn.db") -> None:
        """Written by a person: contoso is published into a file."""
        signin = f"tenant: {seed.TENANT}, client_id: {seed.CLIENT}, secret_env: AZURE_CLIENT_SECRET"
        clock = f"control: {self.azure.ready['control']}, secret_env: KEYTURN_EMULATOR_SECRET"
        text = f"""\
services: {{ shop: {{ id: {SERVICE} }} }}
policies:
  - name: partners
    match: {{ sid: contoso }}
    adopt: primary
    probe: {{ path: /status/ping }}
    publish: [ file: {{ path: {path}, variable: KEY }} ]
    consumers: {{ cache: 1h }}
    drain: 24h
ledger: sqlite:///{ledger}
signin: {{ client_secret: {{ {signin} }} }}
clock: {{ emulator: {{ {clock} }} }}
"""
        (self.work / "keyturn.yaml").write_text(text, encoding="utf-8")

    def start(self, *arguments: str, umask: int = 0o022) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "keyturn", *arguments],
            cwd=self.work,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            umask=umask,
        )

    def run(self, *arguments: str, umask: int = 0o022) -> tuple[int, str]:
        """The exit code, and what it said; emulated time moves whenever it waits for it."""
        process = self.start(*arguments, umask=umask)
        while True:
            try:
                out, err = process.communicate(timeout=0.2)
            except subprocess.TimeoutExpired:
                self._move()
                continue
            assert "Traceback" not in err, err
            return process.returncode, out + err

    def _move(self) -> None:
        waiters = self.azure.control("GET", "clock")["waiters"]
        if waiters:
            self.azure.control("POST", "clock", {"to": min(each["until"] for each in waiters)})

    def left(self) -> Mapping[str, Left]:
        """Everything there is on the machine, by its path."""
        found = {}
        for path in self.root.rglob("*"):
            mode = path.lstat().st_mode
            kind = "link" if stat.S_ISLNK(mode) else "folder" if stat.S_ISDIR(mode) else "file"
            found[path.relative_to(self.root).as_posix()] = Left(kind, stat.S_IMODE(mode))
        return found
