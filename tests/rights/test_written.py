"""Under any umask each file is its owner's alone, and nothing is written that nobody named."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from keyturn.cli.starting import _save
from keyturn.errors import Misconfigured
from tests.rights.house import Left, Machine

HOSTILE = (0o000, 0o777)
PRIVATE = Left("file", 0o600)
SINK = {
    "work/sinks/app.env": PRIVATE,
    "work/sinks/.app.env.keyturn.json": PRIVATE,
    "work/sinks/.app.env.keyturn.lock": PRIVATE,
}
LEDGER = {"work/keyturn.db": PRIVATE}
LOOKS = (
    ("--version",),
    ("explain", "quiet-slot"),
    ("schema",),
    ("completion", "bash"),
    ("status",),
    ("history",),
    ("plan",),
    ("check",),
    ("key", "show", "contoso", "--slot", "primary", "--reveal"),
    ("token", "create", "--from", "shop", "--slot", "primary", "--expires", "1d"),
)


def new(before: Mapping[str, Left], machine: Machine) -> Mapping[str, Left]:
    """What is there now, and was not, or was otherwise."""
    return {path: left for path, left in machine.left().items() if before.get(path) != left}


@pytest.mark.parametrize("umask", HOSTILE, ids=oct)
def test_a_rotation_writes_its_ledger_and_its_file_sink_and_nothing_else(machine: Machine, umask: int) -> None:
    machine.configure()
    (machine.work / "sinks").mkdir(mode=0o700)
    before = machine.left()
    assert machine.run("run", "--wait", umask=umask)[0] == 0
    machine.azure.advance(2 * 86_400)
    code, said = machine.run("rotate", "contoso", "--wait", umask=umask)
    assert code == 0, said
    assert new(before, machine) == {**SINK, **LEDGER}


@pytest.mark.parametrize("umask", HOSTILE, ids=oct)
def test_the_files_beside_a_ledger_in_use_are_private_too(machine: Machine, umask: int) -> None:
    machine.configure()
    (machine.work / "sinks").mkdir(mode=0o700)
    before = machine.left()
    process = machine.start("run", "--wait", umask=umask)
    for _ in range(3000):
        if machine.azure.control("GET", "clock")["waiters"]:
            break
        time.sleep(0.01)
    beside = {f"work/keyturn.db{ending}": PRIVATE for ending in ("", "-wal", "-shm")}
    found = {path: left for path, left in new(before, machine).items() if path in beside}
    process.kill()
    process.communicate()
    assert found == beside
    with closing(sqlite3.connect(machine.work / "keyturn.db")) as ledger:
        assert ledger.execute("SELECT count(*) FROM records").fetchone() == (1,)


def test_commands_that_look_leave_nothing_but_what_sqlite_keeps_beside_a_ledger(machine: Machine) -> None:
    """A reader cannot clear those two away, because it may not write to the ledger; the next writer does."""
    machine.configure()
    (machine.work / "sinks").mkdir(mode=0o700)
    machine.run("run", "--wait")
    before = machine.left()
    for arguments in LOOKS:
        code, said = machine.run(*arguments, umask=0)
        assert code == 0, (arguments, said)
        found = new(before, machine)
        assert found.keys() <= {"work/keyturn.db-wal", "work/keyturn.db-shm"}, arguments
        assert set(found.values()) <= {PRIVATE}, arguments
        assert before.keys() <= machine.left().keys(), arguments


@pytest.mark.parametrize("umask", HOSTILE, ids=oct)
def test_a_first_configuration_is_for_its_owner_alone(machine: Machine, umask: int) -> None:
    before = machine.left()
    code, said = machine.run("init", umask=umask)
    assert code == 0, said
    assert new(before, machine) == {"work/keyturn.yaml": PRIVATE}
    (machine.work / "keyturn.yaml").chmod(0o666)
    assert machine.run("init", "--force", umask=umask)[0] == 0
    assert new(before, machine) == {"work/keyturn.yaml": PRIVATE}


@pytest.mark.parametrize("force", [True, False], ids=["in the place of another", "new"])
def test_a_configuration_that_cannot_be_written_whole_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "keyturn.yaml"
    if force:
        path.write_text("before", encoding="utf-8")
    monkeypatch.setattr(os, "fchmod", full)  # after the file was made, and before anything stands in it
    with pytest.raises(Misconfigured, match="No space left on device"):
        _save(path, "after", force=force)
    assert {each.name: each.read_text(encoding="utf-8") for each in tmp_path.iterdir()} == (
        {"keyturn.yaml": "before"} if force else {}
    )


@pytest.mark.parametrize("umask", HOSTILE, ids=oct)
def test_the_emulator_keeps_its_secrets_for_its_owner_alone(machine: Machine, umask: int) -> None:
    before = machine.left()
    options = ("--state-dir", "state", "--write-env", "emulator.env", "--sign-in", "certificate")
    emulator = machine.start("emulator", *options, umask=umask)
    assert emulator.stdout is not None and emulator.stdout.readline()
    written = new(before, machine)
    emulator.terminate()
    emulator.communicate()
    assert written == {
        "work/emulator.env": PRIVATE,
        "work/state": Left("folder", 0o700),
        "work/state/emulator-ca.key": PRIVATE,
        "work/state/emulator-ca.pem": Left("file", 0o644),
        "work/state/sign-in-certificate.pem": PRIVATE,
    }


@pytest.mark.parametrize("umask", HOSTILE, ids=oct)
def test_an_emulator_without_a_folder_of_its_own_leaves_nothing_behind(machine: Machine, umask: int) -> None:
    before = machine.left()
    emulator = machine.start("emulator", umask=umask)
    assert emulator.stdout is not None and emulator.stdout.readline()
    written = new(before, machine)
    emulator.terminate()
    emulator.communicate()
    folders = [path for path, left in written.items() if left == Left("folder", 0o700)]
    assert len(folders) == 1 and folders[0].startswith("tmp/emulator-")
    assert all(path.startswith(folders[0]) for path in written)
    assert machine.left() == before


def test_the_demo_leaves_nothing_behind(machine: Machine) -> None:
    before = machine.left()
    code, said = machine.run("demo", "--credentials", "1", umask=0)
    assert code == 0, said
    assert machine.left() == before


def test_what_stood_open_in_the_place_of_a_secret_is_not_written_to(machine: Machine) -> None:
    """Somebody made the file before, readable, and has it open: they go on reading what it was."""
    for name, command in (("keyturn.yaml", ("init", "--force")), ("sinks/app.env", ("run", "--wait"))):
        path = machine.work / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("# before\n", encoding="utf-8")
        path.chmod(0o666)
        opened = os.open(path, os.O_RDONLY)
        try:
            if name != "keyturn.yaml":
                machine.configure()
            code, said = machine.run(*command)
            assert code == 0, said
            assert os.read(opened, 4096) == b"# before\n"
            assert path.stat().st_mode & 0o777 == 0o600
        finally:
            os.close(opened)
