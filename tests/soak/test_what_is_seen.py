"""What a soak counts is seen where it is, and what it begins is ended: by the same hands, one at a time."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from bench.soak import loops, play, portal
from bench.soak.judge import By
from bench.soak.loops import LONGEST_FREEZE, TRACEBACK, Loop
from bench.soak.play import POLICY, Soak
from bench.soak.weather import TABLE, Weather

from keyturn import assemble
from keyturn.demo.control import EmulatedAzure
from keyturn.demo.stage import GATEWAYS, SERVICE, TERRAFORM, VAULT, secret_name
from keyturn.model import Mode, Record, Slot
from tests.docs.pages import ROOT

KNOWN = timedelta(seconds=max(delay for _, delay in GATEWAYS) + 1)
"""Until every gateway refuses a value that was ended."""


@pytest.fixture
def soak(azure: EmulatedAzure, tmp_path: Path) -> Iterator[Soak]:
    """On stage, with callers; no keyturn runs, and no fault strikes."""
    made = Soak(azure, tmp_path, credentials=2, seed=1)
    made.open()
    yield made
    made.close()


def test_a_value_that_ends_without_the_portal_user_is_charged_to_keyturn(soak: Soak, azure: EmulatedAzure) -> None:
    azure.control.ask("POST", "portal", {"service": SERVICE, "sid": "contoso", "slot": "primary"})
    soak.let_pass(KNOWN)
    outcome = soak.outcome()
    assert (outcome.refused[By.KEYTURN], outcome.allowed, outcome.refused_by_gateways) == (2, 0, 2)
    assert "contoso was refused" in outcome.breaches()[0]


def test_a_value_that_the_portal_user_ends_is_charged_to_him(soak: Soak, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portal, "PUBLISHED", 1.0)
    monkeypatch.setattr(portal, "machine_seconds", lambda: time.monotonic() + portal.BETWEEN[1])
    record = Record(key="", id="shop/contoso", active=Slot.PRIMARY)
    soak.portal.regenerate({"contoso": record}, soak.stage.control.now())
    soak.let_pass(KNOWN)
    outcome = soak.outcome()
    assert (outcome.refused[By.PORTAL], outcome.allowed, outcome.portal_writes) == (2, 2, 1)
    assert outcome.broken == ()


def test_a_value_that_never_lived_is_seen_whoever_put_it_into_the_sink(soak: Soak) -> None:
    somebody = soak.stage.client(TERRAFORM)
    path = f"/secrets/{secret_name('contoso')}?api-version=7.4"
    somebody.ask("PUT", f"{VAULT}.vault.azure.net", path, {"value": "typed by hand"})
    somebody.close()
    for _ in range(POLICY.consumers.cache // 2 // play.MOST + 1):
        soak.let_pass(play.MOST)
    outcome = soak.outcome()
    assert (outcome.refused[By.NEVER], outcome.allowed) == (1, 0)  # the other caller has still the old value
    assert "to the gateway its value is unknown-value" in outcome.breaches()[0]


def test_a_value_in_a_file_of_keyturn_is_seen(soak: Soak) -> None:
    soak.loops[0].log.write_text(f"oops: {soak.stage.live()['contoso'].secondary}\n", encoding="utf-8")
    assert soak.outcome().leaks == ("keyturn-1.log",)


def test_a_traceback_is_seen_once(soak: Soak) -> None:
    soak.loops[0].log.write_bytes(TRACEBACK + b"\n")
    soak.loops[0].kill()
    soak.loops[0].kill()
    assert soak.outcome().tracebacks == 1


def test_the_bound_is_made_of_the_very_spans_that_keyturn_is_configured_with(soak: Soak) -> None:
    entries = assemble.read(soak.stage.config).policies
    assert {entry.policy.mode for entry in entries} == set(Mode)
    for entry in entries:
        for name in ("every", "jitter", "drain", "consumers", "look_every", "deadline", "late", "propagation"):
            assert getattr(entry.policy, name) == getattr(POLICY, name), name
        assert entry.policy.max_clock_skew == POLICY.max_clock_skew


def test_every_fault_of_the_table_is_one_that_the_emulator_can_do(azure: EmulatedAzure) -> None:
    weather = Weather(azure.control)
    weather.rise()
    assert len(azure.control.ask("GET", "faults")["faults"]) == len(TABLE)
    assert weather.struck() == {fault.name: 0 for fault in TABLE}
    weather.clear()
    assert azure.control.ask("GET", "faults")["faults"] == []


def test_a_frozen_keyturn_stands_still_and_is_ended_all_the_same(soak: Soak, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "KILLED", 0.0)
    monkeypatch.setattr(loops, "BETWEEN", (0.0, 0.0))
    monkeypatch.setattr(loops, "SPEAKS_WITHIN", 0.0)
    loop = Loop(3, soak.stage.config, soak.stage.env, random.Random(1))
    loop.start()
    try:
        assert loop.program is not None
        now = soak.stage.control.now()
        loop.blow(now)
        _, status = os.waitpid(loop.program.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert not loop.is_awake
        assert loop.thaw_by is not None
        assert now < loop.thaw_by <= now + LONGEST_FREEZE
        pid = loop.program.pid
    finally:
        loop.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_keyturn_with_a_bug_in_it_is_a_keyturn() -> None:
    command = [sys.executable, "-m", "bench.soak.with_bug", "drain-too-short", "--version"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.startswith("keyturn ")


def test_a_freeze_ends_before_its_emulated_time_is_over(soak: Soak, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "KILLED", 0.0)
    monkeypatch.setattr(loops, "BETWEEN", (0.0, 0.0))
    monkeypatch.setattr(loops, "SPEAKS_WITHIN", 0.0)
    monkeypatch.setattr(loops, "FROZEN", (600.0, 600.0))
    loop = soak.loops[0] = Loop(1, soak.stage.config, soak.stage.env, random.Random(1))
    loop.start()
    loop.blow(soak.stage.control.now())
    assert loop.stops == 1
    while not loop.is_awake:
        soak.let_pass(timedelta(hours=1))
    assert timedelta(0) < loop.longest_freeze <= LONGEST_FREEZE


def test_a_killed_keyturn_begins_anew_at_once(soak: Soak, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "KILLED", 1.0)
    monkeypatch.setattr(loops, "BETWEEN", (0.0, 0.0))
    monkeypatch.setattr(loops, "SPEAKS_WITHIN", 0.0)
    loop = soak.loops[0] = Loop(1, soak.stage.config, soak.stage.env, random.Random(1))
    loop.start()
    before = loop.program
    loop.blow(soak.stage.control.now())
    assert before is not None
    assert before.ended() == -signal.SIGKILL
    assert loop.kills == 1
    assert loop.program is not None
    assert loop.program.ended() is None


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_whatever_was_started_is_ended_when_it_is_interrupted(tmp_path: Path, number: int, code: int) -> None:
    command = [sys.executable, "-m", "bench.soak", "--credentials", "1", "--folder", str(tmp_path / "soak")]
    soak = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        while len(list(tmp_path.rglob("keyturn-*.log"))) < 2:
            assert soak.poll() is None
            time.sleep(play.PAUSE)
        assert _started_by(soak.pid, tmp_path)
        soak.send_signal(number)
        assert soak.wait() == code
    finally:
        soak.kill()
        soak.wait()
    assert _started_by(soak.pid, tmp_path) == []


def _started_by(pid: int, folder: Path) -> list[str]:
    """Commands that name the folder, or this process as the one with which they end."""
    mine = [line for line in _commands() if str(folder) in line or f"--parent-pid {pid}" in line]
    return [line for line in mine if "-m bench.soak" not in line]


def _commands() -> list[str]:
    """Of every process there is; one that ends meanwhile is left out."""
    processes = Path("/proc")
    if not processes.exists():
        return subprocess.run(["ps", "-axo", "command"], capture_output=True, text=True, check=True).stdout.splitlines()
    found = []
    for each in processes.glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(each.read_text(encoding="utf-8", errors="replace").replace("\0", " "))
    return found
