"""A file that callers read: replaced whole, kept private, shared without loss."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from keyturn.clocks.system import SystemClock
from keyturn.errors import Misconfigured, Refused
from keyturn.model import Secret
from keyturn.ports import Applied, NotApplied, SendBy, Shown
from keyturn.sinks import file as file_sink
from keyturn.sinks.file import FileVariable
from tests.contracts.sink import FIRST, SECOND, TAGS, SinkCase, SinkContract

CLOCK = SystemClock()


def send_by(seconds: float = 60.0) -> SendBy:
    return SendBy(at=CLOCK.now() + timedelta(seconds=seconds), boot=CLOCK.boottime() + seconds, seconds=30)


def write(path: Path, variable: str = "SHOP_KEY", value: Secret = FIRST) -> None:
    assert isinstance(FileVariable(path, variable, CLOCK).write(value, TAGS, send_by()), Applied)


@pytest.fixture(params=["app.env", "app.json"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


class TestFileVariable(SinkContract):
    @pytest.fixture
    def case(self, path: Path) -> SinkCase:
        return SinkCase(FileVariable(path, "SHOP_KEY", CLOCK), send_by(), send_by(-1))


def test_lines_comments_and_order_of_a_dotenv_file_are_kept(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"# ours\r\nA=1\r\nexport SHOP_KEY = 'old' # rotated\r\n\r\nnot a line of its kind\nZ=\"2\"")
    write(path)
    write(path, "NEW")
    assert path.read_bytes() == (
        b"# ours\r\nA=1\r\nexport SHOP_KEY = " + FIRST.reveal().encode() + b" # rotated\r\n\r\n"
        b'not a line of its kind\nZ="2"\nNEW=' + FIRST.reveal().encode() + b"\n"
    )


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("0f" * 16, "0f" * 16),
        ("with space", "'with space'"),
        ("a#b", "'a#b'"),
        ("it's", '"it\'s"'),
        ("$HOME'`\"\\", '"\\$HOME\'\\`\\"\\\\"'),
        ("c2VjcmV0==", "c2VjcmV0=="),
    ],
)
def test_a_value_is_quoted_only_when_needed_and_read_back_as_it_was(tmp_path: Path, value: str, line: str) -> None:
    path = tmp_path / ".env"
    write(path, value=Secret(value))
    assert path.read_text() == f"SHOP_KEY={line}\n"
    assert FileVariable(path, "SHOP_KEY", CLOCK).read().value == Secret(value)


def test_other_keys_of_a_json_file_are_kept_in_order(tmp_path: Path) -> None:
    path = tmp_path / "app.json"
    path.write_text('{"z": [1, {"y": null}], "SHOP_KEY": "old", "a": "é"}')
    write(path)
    held = json.loads(path.read_text())
    assert list(held.items()) == [("z", [1, {"y": None}]), ("SHOP_KEY", FIRST.reveal()), ("a", "é")]


@pytest.mark.parametrize("content", ["{not json", "[1, 2]", '{"SHOP_KEY": 5}', '"text"'])
def test_a_json_file_that_is_none_is_refused_by_name_and_never_overwritten(tmp_path: Path, content: str) -> None:
    path = tmp_path / "app.json"
    path.write_text(content)
    sink = FileVariable(path, "SHOP_KEY", CLOCK)
    with pytest.raises(Refused, match=r"app\.json"):
        sink.read()
    answer = sink.write(FIRST, TAGS, send_by())
    assert isinstance(answer, NotApplied) and "app.json" in answer.sentence
    assert path.read_text() == content


def test_a_value_that_a_person_wrote_has_no_tags_of_ours(path: Path) -> None:
    write(path)
    path.write_text(path.read_text().replace(FIRST.reveal(), "by-hand"))
    assert FileVariable(path, "SHOP_KEY", CLOCK).read() == Shown(value=Secret("by-hand"))


def test_no_file_beside_it_holds_a_value(path: Path) -> None:
    write(path)
    write(path, value=SECOND)
    others = [other for other in path.parent.iterdir() if other != path]
    assert [other for other in others if other.suffix == ".json"]
    assert not [other for other in others for value in (FIRST, SECOND) if value.reveal() in other.read_text()]


@pytest.fixture(params=[0o000, 0o077, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_every_file_is_private_under_any_umask(tmp_path: Path) -> None:
    directory = tmp_path / "kept"
    directory.mkdir()
    directory.chmod(0o700)
    path = directory / "app.env"
    write(path)
    write(path, value=SECOND)
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in directory.iterdir()}
    assert ".app.env.keyturn.lock" in modes
    assert set(modes.values()) == {0o600}


def test_a_symbolic_link_is_neither_followed_nor_replaced(path: Path) -> None:
    target = path.with_name("elsewhere")
    target.write_text("untouched")
    path.symlink_to(target)
    sink = FileVariable(path, "SHOP_KEY", CLOCK)
    with pytest.raises(Refused, match="symbolic link"):
        sink.read()
    assert isinstance(sink.write(FIRST, TAGS, send_by()), NotApplied)
    assert target.read_text() == "untouched" and path.is_symlink()


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_what_is_no_regular_file_is_refused(path: Path, kind: str) -> None:
    path.mkdir() if kind == "directory" else os.mkfifo(path)
    sink = FileVariable(path, "SHOP_KEY", CLOCK)
    with pytest.raises(Refused, match="no regular file"):
        sink.read()
    assert isinstance(sink.write(FIRST, TAGS, send_by()), NotApplied)


def test_a_directory_that_is_not_there_was_not_written_to(tmp_path: Path) -> None:
    answer = FileVariable(tmp_path / "absent" / "app.env", "SHOP_KEY", CLOCK).write(FIRST, TAGS, send_by())
    assert isinstance(answer, NotApplied) and "No such file" in answer.sentence


@pytest.mark.parametrize(("variable", "form"), [("no name", "dotenv"), ("A=B", "dotenv"), ("A", "ini")])
def test_a_variable_or_form_that_cannot_be_is_a_configuration_error(tmp_path: Path, variable: str, form: str) -> None:
    with pytest.raises(Misconfigured):
        FileVariable(tmp_path / "x", variable, CLOCK, form=form)


def _write_many(path: Path, variable: str, count: int) -> None:
    for number in range(count):
        write(path, variable, Secret(f"{variable}-{number}"))


def test_writers_in_several_processes_lose_nothing(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(path, f"V{number}", 20)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    for number in range(4):
        shown = FileVariable(path, f"V{number}", CLOCK).read()
        assert (shown.value, shown.seq) == (Secret(f"V{number}-19"), 7)


def _die_before_the_rename(path: Path, name: str) -> None:
    commit = file_sink._commit

    def die(part: Path, path: Path) -> None:
        if path.name == name:
            os.kill(os.getpid(), signal.SIGKILL)
        commit(part, path)

    file_sink._commit = die
    write(path, value=SECOND)


@pytest.mark.parametrize("target", ["file", "sidecar"])
def test_a_writer_killed_before_a_rename_leaves_the_old_content_and_no_obstacle(path: Path, target: str) -> None:
    write(path)
    name = path.name if target == "file" else f".{path.name}.keyturn.json"
    victim = multiprocessing.get_context("spawn").Process(target=_die_before_the_rename, args=(path, name))
    victim.start()
    victim.join()
    assert victim.exitcode == -signal.SIGKILL
    sink = FileVariable(path, "SHOP_KEY", CLOCK)
    assert sink.read() == Shown(value=FIRST, ledger="ledger-1", seq=7, slot=TAGS.slot)
    write(path, value=SECOND)
    assert sink.read().value == SECOND
    assert not list(path.parent.glob("*.part")) and not list(path.parent.glob(".*.part"))
