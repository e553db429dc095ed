# ruff: noqa: PLC0415 - what is costly to import is imported on first use
"""What keyturn calls itself when it calls. Never here: anything else."""

from __future__ import annotations

from functools import cache


@cache
def user_agent(name: str = "keyturn") -> str:
    """`keyturn/0.1.0`. The version is read on first use, because that costs."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{name}/{version('keyturn')}"
    except PackageNotFoundError:
        return f"{name}/unknown"
