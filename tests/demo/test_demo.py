"""`keyturn demo`, played as a person would play it: a program of its own, and what its last line says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LIMIT = 280.0


def _play(*options: str, folder: Path) -> tuple[int, list[str], dict[str, Any]]:
    """Exit code, the lines before the last, and the last one as JSON."""
    command = [sys.executable, "-m", "keyturn", "demo", "--json", *options]
    env = {**os.environ, "TMPDIR": str(folder), "PYTHONUTF8": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=env, check=False)
    *told, last = ended.stdout.strip().splitlines() or [""]
    assert last.startswith("{"), f"it ended with {ended.returncode}: {ended.stdout[-1500:]} {ended.stderr[-1500:]}"
    return ended.returncode, told, json.loads(last)


def test_the_careful_way_rotates_everybody_and_refuses_nobody(tmp_path: Path) -> None:
    code, told, outcome = _play("--credentials", "4", folder=tmp_path)
    assert code == 0
    assert (outcome["rotated"], outcome["slots_renewed"], outcome["arm_writes"]) == (4, 8, 8)
    assert outcome["refused"] == {"callers": 0, "gateways": 0}
    assert (outcome["errors"], outcome["leaks"]) == (0, [])
    # a quarter of an hour at most between two rounds of four callers, over a drain of 24 h
    assert outcome["calls"] >= 4 * 24 * 4
    assert "This takes about 10 s on two cores." in told[:2], "said before anything moves"
    assert any("due" in line for line in told)
    assert any("quiet-slot" in line and "A1" in line for line in told), "no line says what waits, and by which rule"


def test_the_way_scripts_do_it_refuses_calls_by_both_counts_and_exits_1(tmp_path: Path) -> None:
    code, told, outcome = _play("--credentials", "4", "--naive", folder=tmp_path)
    assert code == 1
    assert outcome["way"] == "naive"
    assert outcome["rotated"] == 4
    # the old value lives in caches for an hour: refused at 15, 30 and 45 minutes
    assert outcome["refused"] == {"callers": 12, "gateways": 12}
    assert any("4 of 4 callers were refused at the same time" in line for line in told)


def test_pulling_the_plug_on_stage_changes_nothing_for_the_callers(tmp_path: Path) -> None:
    code, told, outcome = _play("--credentials", "4", "--pull-plug", "--seed", "3", folder=tmp_path)
    assert code == 0
    assert outcome["plug_pulled"] >= 5
    assert not any("This takes about" in line for line in told), "nobody has measured that"
    assert sum("plug pulled: SIGKILL" in line for line in told) == outcome["plug_pulled"]
    assert outcome["rotated"] == 4
    assert outcome["refused"] == {"callers": 0, "gateways": 0}
    assert (outcome["errors"], outcome["leaks"]) == (0, [])


@pytest.mark.long
def test_nobody_is_signed_out_while_three_times_every_key_turns(tmp_path: Path) -> None:
    code, told, outcome = _play("--scene", "tokens", folder=tmp_path)
    assert code == 0
    assert "This takes about 50 s on two cores." in told[:2]
    assert outcome["rotations"] == {"tenant access": 3, "gateway gw-oslo": 3}
    assert outcome["refused"] == {"guests": 0, "endpoints": 0}
    assert (outcome["errors"], outcome["leaks"]) == (0, [])
    assert outcome["emulated_days"] >= 90
    # every two hours at the least, and every quarter of an hour while a rotation is under way
    assert outcome["signins"] >= 2 * 90 * 12
    assert outcome["tokens"]["management-client"] > outcome["tokens"]["self-hosted-gateway"] > 6
    assert any("a fresh token of the same key" in line for line in told)


def test_a_scene_takes_no_option_of_another(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "keyturn", "demo", "--scene", "tokens", "--naive"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, cwd=tmp_path, check=False)
    assert ended.returncode == 2
    assert "--scene tokens" in ended.stderr


def test_ended_from_outside_it_leaves_no_program_and_no_folder_behind(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "keyturn", "demo", "--credentials", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "adopts the fleet" in line:
                break
        children = _children(demo.pid)
        demo.terminate()
        demo.communicate(timeout=60)
    assert len(children) >= 2, "the emulator and the callers were running"
    assert demo.returncode == 130
    assert list(tmp_path.glob("keyturn-demo-*")) == []
    assert [pid for pid in children if _runs(pid)] == []


def _children(parent: int) -> list[int]:
    told = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in told.splitlines()]
    return [pid for pid, ppid in pairs if ppid == parent]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
