"""Python imports this by itself where this folder is on its path: it makes a program as loud as it can be.

Every logger of every library writes all that it has, at DEBUG, whoever hushes it. Each exception that ends a command,
a thread or an invocation is dumped with the locals of all its frames, as crash reporters do it, and so are all objects
of keyturn's that are alive when a value is revealed. Each value that ever becomes a secret is written down in a folder
of its own, so that the hunt knows what to look for. Never here: a judgement about what was written.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

KNOWN, LOGS, DUMPS = "KEYTURN_LEAKS_KNOWN", "KEYTURN_LEAKS_LOGS", "KEYTURN_LEAKS_DUMPS"
OBJECTS_AT: Final = (3, 30, 200)
"""At which reveals of a program all its objects are looked at: that is slow."""
LONGEST_LOOK: Final = 5  # machine seconds
FORM: Final = "%(name)s %(levelname)s %(threadName)s %(message)s"


class Forced(RuntimeError):
    """A defect on purpose."""


# -------- what is secret


class Known:
    """Each value once, in a file of this process."""

    def __init__(self, folder: Path) -> None:
        self._seen: set[str] = set()
        self._lock = threading.Lock()
        self._file = (folder / f"{os.getpid()}.jsonl").open("a", encoding="utf-8")

    def note(self, name: str, value: object) -> None:
        if not isinstance(value, str) or value in self._seen:
            return
        with self._lock:
            self._seen.add(value)
            self._file.write(json.dumps([name, value]) + "\n")
            self._file.flush()


def _note_secrets(known: Known, dumps: Dumps) -> None:
    """Whatever keyturn calls a secret."""
    from keyturn.model import MASK, Secret

    begin, reveal = Secret.__init__, Secret.reveal
    count = 0

    def noting(self: Secret, value: str) -> None:
        if value != MASK:
            known.note(f"a secret of {_caller()}", value)
        begin(self, value)

    def revealing(self: Secret) -> str:
        nonlocal count
        count += 1
        if count in OBJECTS_AT:
            dumps.objects()
        return reveal(self)

    Secret.__init__ = noting  # type: ignore[method-assign]
    Secret.reveal = revealing  # type: ignore[method-assign]


def _note_demo(known: Known) -> None:
    """What the demo draws for its world."""
    import secrets

    draw = secrets.token_hex

    def noting(count: int | None = None) -> str:
        drawn = draw(count)
        if _caller().startswith("keyturn.demo") and (count or 0) >= 16:
            known.note("drawn by the demo", drawn)
        return drawn

    secrets.token_hex = noting  # type: ignore[assignment]


def _note_emulator(known: Known) -> None:
    """What the emulated Azure draws as a key of its own."""
    from keyturn_emulator import credentials, world

    new_hex, draw = world.World.new_hex, credentials.Credentials.draw

    def hexing(self: world.World, size: int = 16) -> str:
        drawn = new_hex(self, size)
        if not _caller().endswith(".keyvault"):  # which names the versions of its secrets so
            known.note("drawn by Azure", drawn)
        return drawn

    def drawing(self: credentials.Credentials) -> str:
        drawn = draw(self)
        known.note("drawn by Azure", drawn)
        return drawn

    world.World.new_hex = hexing  # type: ignore[method-assign]
    credentials.Credentials.draw = drawing  # type: ignore[method-assign]


def _caller() -> str:
    return str(sys._getframe(2).f_globals.get("__name__", "?"))


# -------- dumps


class Dumps:
    """Files of what a crash reporter would send."""

    def __init__(self, folder: Path, whose: str = "") -> None:
        self._folder, self._count, self._lock = folder, 0, threading.Lock()
        self._whose = f"{os.getpid()}{whose}"

    def _write(self, kind: str, text: str) -> None:
        with self._lock:
            self._count += 1
            path = self._folder / f"{self._whose}-{self._count}-{kind}.txt"
        path.write_text(text, encoding="utf-8", errors="backslashreplace")

    def crash(self, error: BaseException) -> None:
        self._write("crash", "\n\n".join(_tellings(error)))

    def objects(self) -> None:
        """How every living object of keyturn's shows itself. In a child of this process: there no other thread goes on,
        which could be amid making one of those that are looked at. One that waits for a lock ends by itself."""
        self._count += 1
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            return
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LONGEST_LOOK)
        try:
            found = [one for one in gc.get_objects() if str(type(one).__module__).startswith("keyturn.")]
            path = self._folder / f"{self._whose}-{self._count}-objects.txt"
            with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
                file.writelines(f"{told}\n" for one in found for told in _shown(one))
        finally:
            os._exit(0)


def _tellings(error: BaseException) -> list[str]:
    """An exception as five kinds of reporters write it."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True, max_group_width=99)
    return ["".join(told.format()), _by_rich(error), *_shown(error), repr(vars(error)), repr(error.args)]


def _by_rich(error: BaseException) -> str:
    """The locals that rich's tracebacks show. Without the code around them, whose colours would take seconds."""
    from rich.traceback import Traceback

    told = Traceback.extract(
        type(error), error, error.__traceback__, show_locals=True, locals_max_string=400, locals_hide_dunder=False
    )
    frames = [frame for stack in told.stacks for frame in stack.frames]
    return "\n".join(f"{frame.name} {name} = {node}" for frame in frames for name, node in (frame.locals or {}).items())


def _shown(one: Any) -> list[str]:
    """Its repr, text, pickle, and fields, each where it has one."""
    told = []
    for way in (repr, str, _pickled, _fields):
        try:
            told.append(str(way(one)))
        except Exception as error:  # noqa: BLE001 - what cannot be shown in this way shows nothing
            told.append(type(error).__name__)
    return told


def _pickled(one: Any) -> str:
    return pickle.dumps(one).decode("latin-1")


def _fields(one: Any) -> str:
    return repr(msgspec.to_builtins(one, enc_hook=repr))


def _catch_crashes(dumps: Dumps) -> None:
    usual, in_thread, unraisable = sys.excepthook, threading.excepthook, sys.unraisablehook

    def ended(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        dumps.crash(error)
        usual(kind, error, trace)

    def ended_in_thread(what: threading.ExceptHookArgs) -> None:
        if what.exc_value is not None:
            dumps.crash(what.exc_value)
        in_thread(what)

    def ended_unheard(what: sys.UnraisableHookArgs) -> None:
        if what.exc_value is not None:
            dumps.crash(what.exc_value)
        unraisable(what)

    sys.excepthook, threading.excepthook, sys.unraisablehook = ended, ended_in_thread, ended_unheard


def _catch_commands(dumps: Dumps) -> None:
    """Every error that ends a command, or one credential's part in it."""
    from keyturn.cli import screen

    def after(name: str, place: int) -> None:
        told: Callable[..., int] = getattr(screen, name)

        def dumping(*arguments: Any) -> int:
            code = told(*arguments)
            dumps.crash(arguments[place])
            return code

        setattr(screen, name, dumping)

    after("fail_with", 0)
    after("fail_by_defect", 0)
    after("trouble", 1)


# -------- logs and defects


def _log_everything(folder: Path) -> None:
    logging.basicConfig(
        filename=folder / f"{os.getpid()}.log", level=logging.DEBUG, format=FORM, encoding="utf-8", force=True
    )
    logging.Logger.setLevel = _stay  # type: ignore[method-assign,assignment]
    logging.disable = _stay  # type: ignore[assignment]
    logging.captureWarnings(True)


def _stay(*_: object) -> None:
    """Whoever wants to be quiet is not."""


@contextmanager
def forced(described: str) -> Iterator[None]:
    """`module:name.name:n`: meanwhile the n-th call there raises `Forced`, after it has done its work."""
    if not described:
        yield
        return
    module, path, number = described.split(":")
    *outer, name = path.split(".")
    holder: Any = importlib.import_module(module)
    for each in outer:
        holder = getattr(holder, each)
    inner, left = getattr(holder, name), int(number)

    def failing(*given: Any, **named: Any) -> Any:
        nonlocal left
        done = inner(*given, **named)
        left -= 1
        if left == 0:
            raise Forced("on purpose")
        return done

    setattr(holder, name, failing)
    try:
        yield
    finally:
        setattr(holder, name, inner)


def start() -> None:
    known, dumps = Known(Path(os.environ[KNOWN])), Dumps(Path(os.environ[DUMPS]))
    _log_everything(Path(os.environ[LOGS]))
    _catch_crashes(dumps)
    program = " ".join(sys.orig_argv)
    if "keyturn_emulator" in program:
        _note_emulator(known)
        return
    _note_secrets(known, dumps)
    _note_demo(known)
    _catch_commands(dumps)


if os.environ.get(KNOWN):
    start()
