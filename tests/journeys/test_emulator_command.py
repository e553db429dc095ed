"""`keyturn emulator`: the program that a first day begins with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_the_emulator_starts_says_where_it_is_and_its_time_passes_on_command(tmp_path: Path) -> None:
    written = tmp_path / "env"
    command = [
        sys.executable,
        "-m",
        "keyturn",
        "emulator",
        "--write-env",
        str(written),
        "--parent-pid",
        str(os.getpid()),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["pid"] == process.pid  # it took the command's place, so signals reach it
        env = {**os.environ, "KEYTURN_EMULATOR_CONTROL": ready["control"], "KEYTURN_EMULATOR_SECRET": ready["secret"]}
        told = [_advance(span, env) for span in ("1h30m", "1d")]
        process.terminate()
        _, lines = process.communicate(timeout=30)
    assert process.returncode == 0
    assert told == ["emulated time 2026-01-05 09:30 UTC\n", "emulated time 2026-01-06 09:30 UTC\n"]
    assert f"export HTTPS_PROXY={ready['proxy']}" in lines
    assert "export REQUESTS_CA_BUNDLE=" in lines
    assert f"In another terminal:  . {written}" in lines and "Ctrl-C ends it." in lines
    assert "KEYTURN_EMULATOR_SECRET" in written.read_text(encoding="utf-8")


def _advance(span: str, env: dict[str, str]) -> str:
    command = [sys.executable, "-m", "keyturn", "emulator", "--advance", span]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
