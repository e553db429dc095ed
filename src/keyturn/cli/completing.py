"""What a shell completes, by click's own mechanism.

A shell asks at every press of the Tab key, so an answer is fast and never an error: whatever goes wrong completes to
nothing. Names come from the ledger alone. A sid is somebody else's text: none may become more than one word of a
command line. Never here: a look at Azure.
"""

from __future__ import annotations

import os
import re
from typing import Final

import click

from keyturn.cli import COMPLETES


def names(context: click.Context) -> list[str]:
    """The ids in the ledger that the configuration names."""
    from keyturn import assemble  # noqa: PLC0415
    from keyturn.config import TableSpec  # noqa: PLC0415

    config = assemble.read(assemble.which(context.params.get("config")))
    if isinstance(config.ledger, TableSpec):
        return []  # Azure is not asked at the press of a key
    view = assemble.view(config)
    if view is None:
        return []
    with view:
        return [record.id for record in view.records() if record.id.isprintable()]


def fitting(known: list[str], incomplete: str) -> list[str]:
    """Those that begin like it; else those of which a whole end does, as a NAME may be one."""
    wanted = incomplete.lower()
    begun = [each for each in known if each.lower().startswith(wanted)]
    if begun:
        return begun
    ends = {each: ["/".join(each.split("/")[at:]) for at in range(1, each.count("/") + 1)] for each in known}
    found = [end for each in known for end in ends[each] if end.lower().startswith(wanted)]
    return [end for end in found if found.count(end) == 1]


_NOT_PLAIN: Final = re.compile(r"[^\w./@%,=-]")


def escaped(each: str) -> str:
    """As the shell takes it in. zsh and fish quote what they are offered; bash puts it on the line as it stands, after
    click's script has read every two backslashes as one."""
    if not os.environ.get(COMPLETES, "").startswith("bash"):
        return each
    return _NOT_PLAIN.sub(r"\\\g<0>", each).replace("\\", "\\\\")
