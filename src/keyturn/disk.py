"""What files on this machine are taken for ours.

Decides whether a path leads where whoever named it meant it to: through links of our own, or of root, and no others.
Never here: what is in a file.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


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
