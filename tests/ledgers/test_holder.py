"""Dead is only what provably runs no more."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

from keyturn.ledgers.holder import provably_dead, this_process
from keyturn.ports import Holder

from .contract import SeededClock

FOREVER = "import sys; sys.stdout.write('up'); sys.stdout.flush(); sys.stdin.read()"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until its input ends."""
    with subprocess.Popen([sys.executable, "-c", FOREVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(2) == b"up"
        yield process
        process.kill()


def _as_holder(process: subprocess.Popen[bytes]) -> Holder:
    """What that process would say of itself."""
    script = (
        "import sys, msgspec; from keyturn.ledgers import holder; "
        "sys.stdout.buffer.write(msgspec.json.encode(holder._started(int(sys.argv[1]))))"
    )
    asked = subprocess.run([sys.executable, "-c", script, str(process.pid)], capture_output=True, check=True)
    started = msgspec.json.decode(asked.stdout, type=str)
    return msgspec.structs.replace(this_process(SeededClock()), pid=process.pid, started=started)


def test_this_process_is_alive_and_tells_all_about_itself() -> None:
    us = this_process(SeededClock())
    assert us.pid == os.getpid()
    assert all((us.host, us.boot_id, us.started, us.nonce))
    assert not provably_dead(us)


def test_two_holders_of_one_process_differ_by_their_nonce_alone() -> None:
    one, two = this_process(SeededClock(1)), this_process(SeededClock(2))
    assert one.nonce != two.nonce
    assert one == msgspec.structs.replace(two, nonce=one.nonce)


def test_a_living_process_is_not_dead(child: subprocess.Popen[bytes]) -> None:
    assert not provably_dead(_as_holder(child))


def test_a_killed_process_is_dead_even_before_its_parent_has_noticed(child: subprocess.Popen[bytes]) -> None:
    holder = _as_holder(child)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert provably_dead(holder), "it is still listed, but runs no more"
    child.wait()
    assert provably_dead(holder)


def test_a_process_id_taken_again_does_not_keep_the_dead_alive(child: subprocess.Popen[bytes]) -> None:
    assert provably_dead(msgspec.structs.replace(_as_holder(child), started="1"))


def test_whoever_ran_before_this_host_booted_is_dead() -> None:
    assert provably_dead(msgspec.structs.replace(this_process(SeededClock()), boot_id="an earlier boot"))


@pytest.mark.parametrize("unknown", ["host", "boot_id", "started"])
def test_what_cannot_be_proven_counts_as_alive(unknown: str) -> None:
    gone = msgspec.structs.replace(this_process(SeededClock()), pid=2**22 + 1, boot_id="an earlier boot")
    assert provably_dead(gone)
    other = "another host" if unknown == "host" else ""
    assert not provably_dead(msgspec.structs.replace(gone, **{unknown: other}))
