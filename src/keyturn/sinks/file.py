"""One variable of a file that callers read: a dotenv file, or a JSON object.

Decides how a file is replaced without a moment in which it is missing, half-written or readable by others, and what
of it is kept. Its tags live beside it, in `.<file>.keyturn.json`, which knows values by salted fingerprint alone.
Never here: when to publish.

A file is no fence: a write that was given up may still land. It is local and atomic, so that it is never unclear for
longer than the write itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from keyturn.azure.once import Abandoned, bounded, left, refuse_late
from keyturn.disk import MODE, refuse_strange, write_new
from keyturn.errors import Misconfigured, NotSent, Refused
from keyturn.model import Secret, Slot
from keyturn.ports import Answer, Applied, Clock, NotApplied, SendBy, Shown, Tags, Uncertain

try:
    import fcntl
except ImportError:  # Windows has no flock
    fcntl = None  # type: ignore[assignment]

SALT_BYTES: Final = 16
TAGGED: Final = 2
"""How many values of one variable the sidecar knows: the one shown, and the one before or after it."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_LINE: Final = re.compile(r"^(\s*(?:export\s+)?)([A-Za-z_][A-Za-z0-9_.-]*)(\s*=\s*)(.*?)(\r?\n?)$", re.DOTALL)
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})+")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:@%+=,&~-]+")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$", "`": "`"}
"""What a double-quoted dotenv value may escape."""


class FileVariable:
    """`variable` of the file at `path`. `form` is `dotenv` or `json`; None goes by the name's ending.

    Several sinks may share one file; a lock file beside it orders their writes, where the system has flock.
    """

    def __init__(self, path: Path, variable: str, clock: Clock, *, form: str | None = None) -> None:
        """Raises Misconfigured."""
        self._path = path
        self._variable = variable
        self._clock = clock
        form = form or ("json" if path.suffix == ".json" else "dotenv")
        if form not in _FORMS:
            raise Misconfigured(f"{form} is no form of a file", hint=f"Use one of {', '.join(_FORMS)}.")
        if form == "dotenv" and not _NAME.fullmatch(variable):
            raise Misconfigured(
                f"{variable!r} is no name for a variable of {path}", hint="Use letters, digits and underscores."
            )
        self._get, self._put = _FORMS[form]

    @property
    def name(self) -> str:
        return f"{self._path}:{self._variable}"

    @property
    def write_only(self) -> bool:
        return False

    def read(self) -> Shown:
        """Raises Refused: the file cannot be read, or is no file, or does not parse."""
        try:
            text = _read(self._path)
            found = None if text is None else self._get(text, self._variable)
            if not found:
                return Shown()
            value = Secret(found)
            tags = _tags_of(_read(_sidecar(self._path)), self._variable, value)
        except (OSError, ValueError) as error:
            raise self._refused(error) from None
        ledger, seq = tags.get("keyturn-ledger"), tags.get("keyturn-seq")
        return Shown(
            value=value,
            ledger=ledger if isinstance(ledger, str) else None,
            seq=seq if isinstance(seq, int) else None,
            slot=_slot(tags.get("CredentialId")),
        )

    def write(self, value: Secret, tags: Tags, send_by: SendBy) -> Answer:
        """Raises NotSent. NotApplied carries status 0: no server said it."""
        what = f"publish to {self.name}"
        renaming: list[bool] = []
        salt = self._clock.random_bytes(SALT_BYTES)

        def replace() -> None:
            with _locked(self._path):
                changed = self._put(_read(self._path) or "", self._variable, value.reveal())
                beside = _sidecar(self._path)
                tagged = _with_tags(_read(beside), self._variable, _entry(value, tags, salt))
                # Tags first: they name the value that they belong to, so a crash in between shows the old ones.
                _commit(_prepare(beside, tagged), beside)
                part = _prepare(self._path, changed)
                try:
                    refuse_late(self._clock, send_by, what)
                except NotSent:
                    part.unlink()
                    raise
                renaming.append(True)
                _commit(part, self._path)

        refuse_late(self._clock, send_by, what)
        try:
            bounded(left(self._clock, send_by), replace)
        except Abandoned:
            return Uncertain(sentence=f"{what}: not done within `deadline`, it may still happen")
        except (OSError, ValueError) as error:
            refused = self._refused(error)
            if renaming:
                return Uncertain(sentence=f"{what}: {refused.message}")
            return NotApplied(status=0, code=refused.code, sentence=refused.message, hint=refused.hint)
        return Applied()

    def _refused(self, error: Exception) -> Refused:
        """The system's own words hold no value; a parser's might quote the file, so they are left out."""
        if isinstance(error, OSError):
            return Refused(
                f"{self._path}: {error.strerror or type(error).__name__}",
                code=type(error).__name__,
                hint="Check the path, its owner and its mode.",
            )
        return Refused(
            f"{self._path} cannot be read as {self._path.suffix.lstrip('.') or 'dotenv'}: nothing was overwritten",
            code="Unparseable",
            hint="Repair the file, or give `form`.",
        )


# the file system


def _read(path: Path) -> str | None:
    """The text of a regular file that is no symbolic link, or None where there is none. Raises OSError, ValueError."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    refuse_strange(path)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, encoding="utf-8", newline="") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "it is no regular file")
        return file.read()


def _prepare(path: Path, text: str) -> Path:
    """`text` in a file beside `path`, mode 0600 from its first byte under any umask. What a killed writer left there
    is replaced: the lock is ours."""
    refuse_strange(path)
    part = path.with_name(f".{path.name}.keyturn.part")
    part.unlink(missing_ok=True)
    write_new(part, text)
    return part


def _commit(part: Path, path: Path) -> None:
    """In one step: readers see the old file or the new one, whole."""
    part.replace(path)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """Without it, a power cut may forget the rename. Windows opens no directory, nor does one that may not be read:
    both say PermissionError, and the rename stands all the same."""
    with contextlib.suppress(PermissionError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock beside `path`; one process at a time, one thread at a time."""
    lock = path.with_name(f".{path.name}.keyturn.lock")
    refuse_strange(lock)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), MODE)
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, MODE)  # a umask may have taken the owner's own bits
        _flock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _flock(descriptor: int) -> None:
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


# tags


def _sidecar(path: Path) -> Path:
    return path.with_name(f".{path.name}.keyturn.json")


def _tags_of(text: str | None, variable: str, value: Secret) -> dict[str, Any]:
    """The tags that were written with this very value; none for one that a person put there."""
    for entry in _entries(_held(text), variable):
        salt = str(entry.get("salt"))
        if _HEX.fullmatch(salt) and entry.get("fingerprint") == value.fingerprint(bytes.fromhex(salt)):
            return entry
    return {}


def _with_tags(text: str | None, variable: str, entry: dict[str, Any]) -> str:
    """The sidecar with `entry` before the one that belongs to the value still shown."""
    held = _held(text)
    held[variable] = [entry, *_entries(held, variable)][:TAGGED]
    return json.dumps(held, indent=2, sort_keys=True) + "\n"


def _held(text: str | None) -> dict[str, Any]:
    """A sidecar that does not parse is as good as none: the value still stands in the file."""
    try:
        held = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return held if isinstance(held, dict) else {}


def _entries(held: dict[str, Any], variable: str) -> list[dict[str, Any]]:
    found = held.get(variable)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _entry(value: Secret, tags: Tags, salt: bytes) -> dict[str, Any]:
    return {
        "fingerprint": value.fingerprint(salt),
        "salt": salt.hex(),
        "keyturn-ledger": tags.ledger,
        "keyturn-seq": tags.seq,
        "CredentialId": tags.slot.value,
        "ProviderAddress": tags.provider_address,
        "ValidityPeriodDays": tags.validity_days,
        "expires": tags.expires.isoformat(),
    }


def _slot(text: Any) -> Slot | None:
    return Slot(text) if isinstance(text, str) and text in {slot.value for slot in Slot} else None


# forms


def _json_get(text: str, variable: str) -> str | None:
    held = _json_object(text)
    value = held.get(variable)
    if value is not None and not isinstance(value, str):
        raise ValueError("the variable holds no text")
    if value is not None:
        value.encode()  # half a pair of UTF-16 is a ValueError: nobody could write it again
    return value


def _json_put(text: str, variable: str, value: str) -> str:
    _json_get(text, variable)  # refuses to replace what is no text
    held = _json_object(text)
    held[variable] = value
    return json.dumps(held, indent=2, ensure_ascii=False) + "\n"


def _json_object(text: str) -> dict[str, Any]:
    try:
        held = json.loads(text) if text.strip() else {}
    except RecursionError:
        raise ValueError("the file is nested too deeply") from None
    if not isinstance(held, dict):
        raise ValueError("the file holds no JSON object")  # noqa: TRY004 - it is the file's fault
    return held


def _dotenv_get(text: str, variable: str) -> str | None:
    """The last line wins, as it does for a shell."""
    value = None
    for line in _lines(text):
        found = _LINE.match(line)
        if found is not None and found[2] == variable:
            value = _unquote(found[4])
    return value


def _dotenv_put(text: str, variable: str, value: str) -> str:
    """The text with the variable's every line changed, or one added; all else as it was."""
    if "\n" in value or "\r" in value or "\0" in value:
        raise ValueError("a dotenv value is one line")
    lines, changed = _lines(text), False
    for index, line in enumerate(lines):
        found = _LINE.match(line)
        if found is not None and found[2] == variable:
            lines[index] = f"{found[1]}{variable}{found[3]}{_quote(value)}{_comment(found[4])}{found[5]}"
            changed = True
    if not changed:
        if lines and not lines[-1].endswith(("\n", "\r")):
            lines[-1] += "\n"
        lines.append(f"{variable}={_quote(value)}\n")
    return "".join(lines)


def _lines(text: str) -> list[str]:
    """With their ends; a form feed or U+2028 ends no line of a dotenv file, as it would in str.splitlines."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _comment(text: str) -> str:
    """The comment behind a value, with the space before it."""
    found = re.match(r"""(?:'[^']*'|"(?:[^"\\]|\\.)*"|[^\s#'"]\S*)?(\s+\#.*)$""", text)
    return found[1] if found is not None else ""


def _quote(value: str) -> str:
    """Quoted only when needed; single quotes keep everything, so double ones serve values that hold a single one."""
    if _PLAIN.fullmatch(value):
        return value
    if "'" not in value:
        return f"'{value}'"
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'


def _unquote(text: str) -> str:
    text = text.strip()
    if text.startswith("'"):
        end = text.find("'", 1)
        return text[1:end] if end > 0 else text
    if text.startswith('"'):
        found = re.match(r'"((?:[^"\\]|\\.)*)"', text)
        if found is None:
            return text
        return re.sub(r"\\(.)", lambda part: _ESCAPES.get(part[1], part[0]), found[1])
    return re.split(r"(?<!\s)\s+#", text, maxsplit=1)[0]  # from the first space on: long runs are read once


_FORMS: Final[dict[str, tuple[Callable[[str, str], str | None], Callable[[str, str, str], str]]]] = {
    "dotenv": (_dotenv_get, _dotenv_put),
    "json": (_json_get, _json_put),
}
