"""What files on this machine are taken for ours, and how one is made that is its owner's alone.

Decides whether a path leads where whoever named it meant it to: through links of our own, or of root, and no others.
Never here: what is in a file.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

MODE: Final = 0o600


def foreign_link(path: Path) -> Path | None:
    """A symbolic link above `path` that neither root nor whoever runs this has made: somebody could turn it elsewhere.
    None where there is none, and on systems that do not tell. What `path` itself is, is not looked at."""
    if not hasattr(os, "geteuid"):
        return None
    trusted = (0, os.geteuid())
    for folder in reversed(path.absolute().parents):
        try:
            found = folder.lstat()
        except OSError:  # whatever is wrong with it is told by whoever opens it
            return None
        if stat.S_ISLNK(found.st_mode) and found.st_uid not in trusted:
            return folder
    return None


def refuse_strange(path: Path) -> None:
    """A link could point anywhere, and a rename would replace the link itself; a pipe or directory is not written to. A
    link above it is followed, unless it is a stranger's. Raises OSError, with a sentence as its strerror."""
    if foreign_link(path) is not None:
        raise OSError(0, "a symbolic link above it belongs to another user, and keyturn does not follow it")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode):
        raise OSError(0, "it is a symbolic link, which keyturn does not follow")
    if not stat.S_ISREG(mode):
        raise OSError(0, "it is no regular file")


def write_new(path: Path, text: str) -> None:
    """A file that was not there, UTF-8, mode 0600 from its first byte under any umask, and on the disk. What cannot be
    written whole is not there afterwards. Raises OSError; FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            if hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), MODE)  # a umask may have taken even the owner's bits
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
