"""One run of everything with values that can be recognised, and a search through all that it left behind.

Three lanes side by side: the command line, the Azure Function, and the programs that are shows of their own (the demo,
the emulator, a command that is killed). A place where a value may stand is named here, by its path; every other byte
is searched. Each of these places must show a value: a searcher that finds none there is blind, and proves nothing.
Never here: what the commands are asked (`story`), or how a value is found (`searching`).
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import click

from keyturn.cli import keyturn
from keyturn_emulator import seed
from tests.leaks.house import Azure, Cli, House, Receiver
from tests.leaks.marked import Marked, world
from tests.leaks.searching import Find
from tests.leaks.story import PLANTED, Story

SINKS: Final = {
    "cli/sinks/callers.env": "a file sink",
    "cli/sinks/fabrikam.json": "a file sink",
    "cli/sinks/tokens.env": "a file sink of a token",
    "shows/emulator.env": "the file of --write-env: how to sign in to the emulator",
    "shows/emulator.stdout": "the emulator's readiness line: its secret, and how to sign in",
}
"""Where a value may stand beside the stdout of `key show` and `token create`; each of them must show one."""
SHOWS: Final = ("emulator", "demo")
"""Commands that run in a process of their own, in the third lane."""
FACES: Final = ("snapshot", "seed", "calls?limit=100000", "faults", "arm", "gateway", "signins", "switches", "clock")
"""Whatever the control API tells, but for `keys`, which is there to tell them."""
DEMO: Final = ("demo", "--credentials", "2", "--json")


class Leak(NamedTuple):
    place: str
    find: Find


class Hunted(NamedTuple):
    """What was searched, and what was found."""

    files: int
    bytes: int
    values: int
    pieces: int
    commands: int
    records: Counter[str]
    """Lines of logs, by the library that wrote them."""
    crashes: int
    answers: int
    places: Mapping[str, bool]
    """Where a value may stand, and whether one was found there."""
    untold: Collection[str]
    """Commands that nobody ran."""
    leaks: Sequence[Leak]
    seconds: float

    @property
    def is_good(self) -> bool:
        return not self.leaks and not self.untold and bool(self.places) and all(self.places.values())


def hunt(folder: Path) -> Hunted:
    """All of it, below `folder`."""
    began = time.monotonic()
    house = House(folder)
    with ThreadPoolExecutor(3) as lanes:
        told = lanes.submit(_commands, house)
        function, shown = lanes.submit(_function, house), lanes.submit(_shows, house)
        run, allowed = told.result()
        answers = function.result()
        shown.result()
    return search(house, run, {*SINKS, *allowed}, answers, began)


# -------- lanes


def _commands(house: House) -> tuple[list[tuple[str, ...]], set[str]]:
    """The command line: what was run, and the files that may show a value."""
    with ExitStack() as stack:
        azure = Azure(house)
        stack.callback(azure.running.close)
        described = world(house.marked)
        azure.running.seed(described)
        receiver = Receiver()
        stack.callback(receiver.close)
        story = Story(house, azure.running, receiver)
        env = story.env(described["applications"][0]["secret"])
        cli = Cli(house, azure, env)
        stack.callback(cli.program.close)
        story.tell(cli)
        _die(house, azure, env)
        for face in FACES:
            house.write(f"control-{face.partition('?')[0]}.json", json.dumps(azure.running.control("GET", face)))
        return [tuple(arguments) for _, arguments, _ in cli.said], story.shown


def _die(house: House, azure: Azure, env: Mapping[str, str]) -> None:
    """A command dies amid a write with a value in it, and Python tells where every thread was."""
    azure.running.advance(90 * 86_400)
    azure.running.pause_at(1, match={"method": "PATCH"})
    with house.path("said", "killed.stdout").open("wb") as out, house.path("said", "killed.stderr").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "keyturn", "rotate", "northwind"],
            cwd=house.path("cli"),
            env=house.env({**env, "KEYTURN_CONFIG": str(house.path("cli", "killed.yaml"))}),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        assert azure.running.wait_until_paused(60.0), "the command that is to be killed wrote nothing"
        process.send_signal(signal.SIGABRT)
        process.wait()
    azure.running.resume()
    assert "Fatal Python error" in house.path("said", "killed.stderr").read_text(encoding="utf-8")


def _function(house: House) -> int:
    """The Azure Function; how many HTTP answers it gave."""
    marked = Marked(2)
    described = world(marked)
    described["applications"][0]["secret"] = seed.CLIENT_SECRET
    values = [marked.draw(f"a value {what} over HTTP") for what in ("set", "refused", "in a wrong place")]
    house.marked.named += [*marked.named, ("the usual client secret", seed.CLIENT_SECRET)]
    azure = Azure(house)
    try:
        given = {
            "ready": azure.running.ready,
            "world": described,
            "said": str(house.path("said")),
            "values": values,
        }
        folder = house.path("function")
        folder.mkdir()
        with (
            house.path("said", "function.stdout").open("wb") as out,
            house.path("said", "function.stderr").open("wb") as err,
        ):
            done = subprocess.run(
                [sys.executable, "-m", "tests.leaks.function_app"],
                cwd=folder,
                env=house.env(),
                input=json.dumps(given).encode(),
                stdout=out,
                stderr=err,
                check=False,
            )
        assert done.returncode == 0, house.path("said", "function.stderr").read_text(encoding="utf-8")
    finally:
        azure.running.close()
    return len(list(house.path("said").glob("http-*")))


def _shows(house: House) -> None:
    """What runs on a stage of its own."""
    folder = house.path("shows")
    folder.mkdir()
    command = [sys.executable, "-m", "keyturn"]
    with (folder / "emulator.stdout").open("wb") as out, (folder / "emulator.stderr").open("wb") as err:
        started = [
            *command,
            "emulator",
            "--write-env",
            "emulator.env",
            "--state-dir",
            "state",
            "--sign-in",
            "certificate",
        ]
        emulator = subprocess.Popen(started, cwd=folder, env=house.env(), stdout=out, stderr=err)
        while not (folder / "emulator.stdout").stat().st_size:
            assert emulator.poll() is None, "the emulator did not start"
            time.sleep(0.05)
        emulator.terminate()
        emulator.wait()
    ready = json.loads((folder / "emulator.stdout").read_text(encoding="utf-8"))
    house.marked.named += [("another emulator's control secret", ready["secret"])]
    with (folder / "demo.stdout").open("wb") as out, (folder / "demo.stderr").open("wb") as err:
        done = subprocess.run([*command, *DEMO], cwd=folder, env=house.env(), stdout=out, stderr=err, check=False)
    assert done.returncode == 0, (folder / "demo.stderr").read_text(encoding="utf-8")


# -------- the search


def search(house: House, run: Sequence[Sequence[str]], allowed: set[str], answers: int, began: float) -> Hunted:
    """Through everything in the house. `run`: the commands that were run; `allowed`: files that may show a value."""
    searcher = house.searcher()
    places: dict[str, bool] = {}
    leaks: list[Leak] = []
    searched: set[bytes] = set()
    files = size = 0
    for place, content in house.artefacts():
        files, size = files + 1, size + len(content)
        if place in allowed:
            places[place] = any(searcher.look(content))
        else:
            leaks += [Leak(place, find) for find in searcher.look(_new(content, searched)) if not _is_row(place, find)]
    places |= dict.fromkeys(allowed - places.keys(), False)
    told = {" ".join(path) for path in _paths(keyturn)}
    return Hunted(
        files=files,
        bytes=size,
        values=len(house.secrets()),
        pieces=len(searcher),
        commands=len(run),
        records=_records(house),
        crashes=len(list(house.path("dumps").glob("*-crash.txt"))),
        answers=answers,
        places=places,
        untold=sorted(told - _run(run, told) - set(SHOWS)),
        leaks=leaks,
        seconds=time.monotonic() - began,
    )


def _new(content: bytes, searched: set[bytes]) -> bytes:
    """The lines that no other searched file had: logs and dumps repeat themselves."""
    lines = [line for line in dict.fromkeys(content.split(b"\n")) if line not in searched]
    searched.update(lines)
    return b"\n".join(lines)


def _is_row(place: str, find: Find) -> bool:
    """What the hunt planted in a ledger may stand in logs: SQLAlchemy tells every row at DEBUG, and a row of keyturn's
    own has no value."""
    return find.name == PLANTED and place.startswith("logs/")


def _records(house: House) -> Counter[str]:
    counted: Counter[str] = Counter()
    for log in house.path("logs").iterdir():
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, rest = line.partition(" ")
            if rest.startswith(("DEBUG", "INFO", "WARNING", "ERROR")):
                counted[name.partition(".")[0]] += 1
    return counted


def _paths(command: click.Command, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that can be run, by its words."""
    if not isinstance(command, click.Group):
        yield above
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        yield from _paths(below, (*above, name))


def _run(run: Sequence[Sequence[str]], told: set[str]) -> set[str]:
    found = set()
    for arguments in run:
        words = [word for word in arguments if not word.startswith("-")]
        found |= {" ".join(words[:many]) for many in (1, 2)} & told
    return found
