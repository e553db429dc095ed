"""docs/azure-function.md: what it lets a reader run is run, and its tables are those of the code."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from keyturn.functions import create_app, settings, web
from tests.docs.pages import DOCS, ROOT, executed, read, transcript
from tests.docs.played import LIMIT, beside_an_emulator, environment, play
from tests.functions.hosting import Hosted
from tests.journeys.stage import Stage

PAGE = DOCS / "azure-function.md"
BLOCKS = executed(PAGE)
HALF_AN_HOUR, DAY = 1_800.0, 86_400.0


def evenly(lines: Sequence[str]) -> list[str]:
    return [re.sub(r" {3,}", "   ", line.rstrip()) for line in lines]


def rows(header: str) -> list[list[str]]:
    """The cells of the table below this header."""
    below = read(PAGE).partition(f"\n{header}\n")[2].splitlines()
    assert below, header
    table = below[1 : next(at for at, line in enumerate(below) if not line.startswith("|"))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


# -------- what a reader runs


def test_the_try_out_prints_what_the_page_shows(tmp_path: Path) -> None:
    """The page's two files beside the folder that is deployed."""
    reader = environment(tmp_path)
    shutil.copytree(ROOT / "function_app", tmp_path / "function_app", ignore=shutil.ignore_patterns("__pycache__"))
    with beside_an_emulator(PAGE, tmp_path, reader) as blocks:
        printed = play(transcript(blocks["by hand"]), tmp_path, reader, evenly)
    assert "a-value-of-your-own-choice" not in "".join(printed)


def test_every_transcript_with_output_is_executed() -> None:
    rest = read(PAGE)
    for block in BLOCKS.values():
        rest = rest.replace(block, "")
    shown = re.findall(r"```console\n(.*?)```", rest, re.DOTALL)
    assert len(shown) >= 4
    assert [line for block in shown for line in block.splitlines() if not line.startswith("$ ")] == []


def test_the_lines_that_pack_the_app_pack_what_is_deployed(tmp_path: Path) -> None:
    """Those that need no package of anybody: the wheel and its libraries are fetched by uv, which was tried by hand."""
    copied, zipped = (
        next(line for line in read(PAGE).splitlines() if line.startswith(f"$ {start}")).removeprefix("$ ")
        for start in ("mkdir -p build/app", "(cd build/app")
    )
    shutil.copytree(ROOT / "function_app", tmp_path / "function_app", ignore=shutil.ignore_patterns("__pycache__"))
    script = f"{copied}\n{zipped.replace('python3', repr(sys.executable))}\n"
    subprocess.run(["sh", "-eu"], input=script, cwd=tmp_path, text=True, check=True, timeout=LIMIT)
    with zipfile.ZipFile(tmp_path / "build" / "app.zip") as package:
        assert set(package.namelist()) == {"function_app.py", "host.json", "keyturn.yaml"}


# -------- its tables


def test_the_table_of_functions_has_those_that_the_host_finds() -> None:
    found = {str(each.get_function_name()): each.get_trigger() for each in create_app({}).get_functions()}
    told = {name.strip("`"): trigger for name, trigger, _ in rows("| Function | Trigger | What it does |")}
    assert set(told) == set(found)
    words = {"timerTrigger": "timer", "queueTrigger": "queue", "eventGridTrigger": "Event Grid", "httpTrigger": "HTTP"}
    for name, trigger in found.items():
        assert trigger is not None
        assert told[name].startswith(words[str(trigger.type)]), name


def test_the_table_of_settings_has_those_that_are_read_with_their_defaults() -> None:
    told = {name.strip("`"): default.strip("`") for name, default, _ in rows("| Setting | Default | What it is |")}
    ours = {
        value for value in vars(settings).values() if isinstance(value, str) and re.match("KEYTURN_|AzureAD", value)
    }
    its_own = {settings.STORAGE, f"{settings.STORAGE}__accountName", f"{settings.STORAGE}__tableServiceUri"}
    assert set(told) == ours | its_own | {"AZURE_CLIENT_ID"}
    defaults = {
        settings.CONFIG: settings.CONFIG_NAME,
        settings.SCHEDULE: settings.EVERY_FIVE_MINUTES,
        settings.QUEUE_NAME: settings.USUAL_QUEUE,
        settings.FAN_OUT: "queue",
        settings.TIME_LIMIT: f"{settings.USUAL_TIME_LIMIT:g}",
    }
    assert {name: told[name] for name in defaults} == defaults


def test_the_table_of_problems_has_every_type_with_its_status() -> None:
    header = f"| `type` after `{web.PROBLEM_TYPE}` | Status | |"
    told = {name.strip("`"): int(status) for name, status, _ in rows(header)}
    assert told == {name: status for name, (status, _) in web.PROBLEMS.items()}


def test_the_host_does_what_the_page_says_of_it() -> None:
    host = json.loads(read(ROOT / "function_app" / "host.json"))
    assert host["functionTimeout"] == "00:05:00"
    assert host["extensions"]["queues"]["maxDequeueCount"] == 5
    assert "five minutes (`functionTimeout`)" in read(PAGE)


# -------- what it answers, and what it costs


@pytest.fixture
def hosted(stage: Stage) -> Iterator[Hosted]:
    with Hosted.started(stage) as app:
        yield app


def test_the_requests_that_the_page_shows_are_taken(hosted: Hosted) -> None:
    """A slot that is not quiet is refused, which is an answer, too; a request that is no request would get another."""
    hosted.settled()
    answers = []
    for line in read(PAGE).splitlines():
        if line.startswith("$ curl -H "):
            words = shlex.split(line.removeprefix("$ "))
            body = words[words.index("--json") + 1] if "--json" in words else ""
            method = words[words.index("-X") + 1] if "-X" in words else "POST" if body else "GET"
            response = hosted.ask(method, words[-1].removeprefix("$api/"), raw=body.encode())
            answers.append((method, response.status, response.json.get("reason", "")))
    assert answers == [
        ("GET", 200, ""),
        ("GET", 200, ""),
        ("POST", 202, ""),
        ("POST", 409, "quiet-slot"),
        ("PUT", 409, "quiet-slot"),
    ]


def spent(hosted: Hosted, work: Callable[[], object]) -> Counter[str]:
    """Calls by plane, writes apart from reads."""
    before = len(hosted.stage.azure.calls())
    work()
    calls = hosted.stage.azure.calls()[before:]
    return Counter(f"{call['kind']} {'read' if call['method'] in {'GET', 'HEAD'} else 'write'}" for call in calls)


def told_costs(row: str) -> dict[str, int]:
    """A row of the page as `plane read|write` to a number."""
    _, *cells = next(cells for cells in rows("| | Resource Manager | Vault |") if cells[0].startswith(row))
    found = {}
    for plane, cell in zip(("arm", "keyvault"), cells, strict=True):
        for number, kind in re.findall(r"(\d+) (read|write)", cell):
            found[f"{plane} {kind}"] = int(number)
    return found


def test_a_tick_a_look_and_a_rotation_cost_what_the_page_says(hosted: Hosted) -> None:
    hosted.settled()
    messages: list[str] = []

    def deliver() -> None:
        for text in messages:
            hosted.turn(text)

    hosted.stage.azure.advance(DAY)
    messages[:] = hosted.tick()
    deliver()  # the first look after adoption sets the secret's expiry
    assert spent(hosted, hosted.tick) == told_costs("a tick")

    hosted.stage.azure.advance(DAY)
    messages[:] = hosted.tick()
    assert spent(hosted, deliver) == told_costs("a look")

    hosted.stage.azure.advance(31 * DAY)
    turns: Counter[str] = Counter()
    for _ in range(100):
        messages[:] = hosted.tick()
        turns += spent(hosted, deliver)
        if hosted.record().rotations:
            break
        hosted.stage.azure.advance(HALF_AN_HOUR)
    del turns["gateway read"]
    assert turns == told_costs("a whole rotation")
