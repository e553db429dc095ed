"""Who this process is, and whether another holder on this host is provably dead.

"Provably" means: same host, and either the host has booted since, or the process id is gone or belongs to a
process that started at another time. Whatever cannot be proven counts as alive; its lease then ends by time.
It never signals a process, and decides nothing about slots: a lease is for liveness, never for safety (A4).
"""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path

from keyturn.ports import Clock, Holder

# The first process id namespace of every Linux boot has this inode; containers have others.
_HOST_NAMESPACE = "pid:[4026531836]"
_NO_LONGER_RUNNING = ("Z", "X", "x")
_NONCE_BYTES = 8
_MACOS_ASK_SECONDS = 5


def this_process(clock: Clock) -> Holder:
    """The holder that this process is; draws a fresh nonce, so call it once per process."""
    pid = os.getpid()
    return Holder(
        host=_host(),
        boot_id=_boot_id(),
        pid=pid,
        started=_started(pid) or "",
        nonce=clock.random_bytes(_NONCE_BYTES).hex(),
    )


def provably_dead(holder: Holder) -> bool:
    """True only where it is certain that the holder runs no more."""
    if holder.host != _host() or not holder.boot_id or not holder.started:
        return False
    if holder.boot_id != _boot_id():
        return bool(_boot_id())
    if not _exists(holder.pid):
        return True
    started = _started(holder.pid)
    return started is not None and started != holder.started


@cache
def _host() -> str:
    """The host's name, with a digest of its machine id (names repeat) and its process id namespace.

    Two containers may share name, machine and boot, and still not see each other's processes.
    """
    name = socket.gethostname() or platform.node()
    machine = _read("/etc/machine-id").strip()
    digest = hashlib.sha256(f"keyturn {machine}".encode()).hexdigest()[:8] if machine else ""
    return " ".join(part for part in (name, digest, _namespace()) if part)


def _namespace() -> str:
    try:
        found = Path("/proc/self/ns/pid").readlink().name
    except OSError:
        return ""
    return "" if found == _HOST_NAMESPACE else found


@cache
def _boot_id() -> str:
    if sys.platform == "darwin":
        return _ask("sysctl", "-n", "kern.bootsessionuuid")
    return _read("/proc/sys/kernel/random/boot_id").strip()


def _exists(pid: int) -> bool:
    """Whether the system still knows the process id; another user's counts, even where /proc hides it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _started(pid: int) -> str | None:
    """When the process started, as the system tells it; "" if it ended and awaits its parent; None: unknown."""
    if sys.platform == "darwin":
        return _ask("ps", "-o", "lstart=", "-p", str(pid)) or None
    return _started_on_linux(pid)


def _started_on_linux(pid: int) -> str | None:
    """Field 22 of /proc/PID/stat, in ticks since boot. The name before it may hold anything, even `)`."""
    stat = _read(f"/proc/{pid}/stat")
    fields = stat.rpartition(")")[2].split()
    if len(fields) < 20:
        return None
    if fields[0] in _NO_LONGER_RUNNING and not _other_threads(pid):
        return ""
    return fields[19]


def _other_threads(pid: int) -> bool:
    """A process whose first thread has ended may go on in its other threads."""
    try:
        return len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
    except OSError:
        return False


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _ask(*command: str) -> str:
    """What a macOS tool answers, in one fixed language; empty when it cannot be asked."""
    try:
        answer = subprocess.run(  # noqa: S603
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=_MACOS_ASK_SECONDS,
            env={"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TZ": "UTC"},
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()
