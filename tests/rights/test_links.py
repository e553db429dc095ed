"""Symbolic links that somebody planted: at the target, beside it, and above it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keyturn.disk import foreign_link
from keyturn_emulator.certificates import write_private
from tests.rights.house import Machine

UNTOUCHED = "untouched\n"
BESIDE = ("app.env", ".app.env.keyturn.json", ".app.env.keyturn.lock", ".app.env.keyturn.part")


@pytest.fixture
def victim(machine: Machine) -> Path:
    path = machine.root / "victim"
    path.write_text(UNTOUCHED, encoding="utf-8")
    path.chmod(0o644)
    return path


def untouched(victim: Path) -> bool:
    return victim.read_text(encoding="utf-8") == UNTOUCHED and victim.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("dangling", [False, True], ids=["to a file", "to nothing"])
@pytest.mark.parametrize("name", BESIDE)
def test_a_link_in_the_place_of_a_sinks_file_leads_nowhere(
    machine: Machine, victim: Path, name: str, dangling: bool
) -> None:
    machine.configure()
    target = machine.root / "nothing" if dangling else victim
    (machine.work / "sinks").mkdir()
    (machine.work / "sinks" / name).symlink_to(target)
    code, said = machine.run("run", "--wait")
    assert untouched(victim) and not (machine.root / "nothing").exists()
    if name.endswith(".part"):  # what a killed writer left there is replaced, and so is this
        assert code == 0, said
        assert not (machine.work / "sinks" / name).is_symlink()
    else:
        assert code == 1
        assert "symbolic link" in said


@pytest.mark.parametrize("dangling", [False, True], ids=["to a file", "to nothing"])
@pytest.mark.parametrize("name", ["keyturn.db", "keyturn.db-wal", "keyturn.db-shm", "keyturn.db-journal"])
def test_a_link_in_the_place_of_a_ledgers_file_leads_nowhere(
    machine: Machine, victim: Path, name: str, dangling: bool
) -> None:
    machine.configure()
    (machine.work / "sinks").mkdir()
    target = machine.root / "nothing" if dangling else victim
    (machine.work / name).symlink_to(target)
    code, said = machine.run("run", "--wait")
    assert untouched(victim) and not (machine.root / "nothing").exists()
    assert code == (0 if name.endswith("-journal") and dangling else 1), said


@pytest.mark.parametrize("dangling", [False, True], ids=["to a file", "to nothing"])
def test_a_link_in_the_place_of_a_configuration_is_neither_followed_nor_replaced(
    machine: Machine, victim: Path, dangling: bool
) -> None:
    link = machine.work / "keyturn.yaml"
    link.symlink_to(machine.root / "nothing" if dangling else victim)
    code, said = machine.run("init", "--force")
    assert code == 2 and "symbolic link" in said
    assert untouched(victim) and not (machine.root / "nothing").exists() and link.is_symlink()


@pytest.mark.parametrize("name", ["emulator.env", "state/emulator-ca.key", "state/emulator-ca.pem"])
def test_a_link_in_the_place_of_the_emulators_files_is_refused(machine: Machine, victim: Path, name: str) -> None:
    link = machine.work / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(victim)
    code, said = machine.run("emulator", "--state-dir", "state", "--write-env", "emulator.env")
    assert code != 0 and "no file that could be replaced" in said
    assert untouched(victim) and link.is_symlink()


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_not_taken_for_one(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "emulator.env"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises(OSError, match="no file that could be replaced"):
        write_private(path, b"secret")


# -------- above the target


def strangers_link(link: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that neither root nor whoever runs this has made. Nobody but root can make one; anybody else is told to be
    yet another."""
    link.symlink_to(target)
    if os.geteuid() == 0:
        os.lchown(link, 65_534, 65_534)
    else:
        me = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: me + 1)


def test_a_strangers_link_above_a_file_is_found_and_our_own_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "ours").symlink_to("real")
    assert foreign_link(tmp_path / "ours" / "app.env") is None
    assert foreign_link(tmp_path / "absent" / "app.env") is None
    strangers_link(tmp_path / "theirs", tmp_path / "real", monkeypatch)
    assert foreign_link(tmp_path / "theirs" / "deeper" / "app.env") == tmp_path / "theirs"
    assert foreign_link(tmp_path / "theirs") is None, "what the path itself is, its owner looks at"
