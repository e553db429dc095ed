"""Where a secret stands in bytes that should hold none, in any dress: as it is, base64, percent, JSON, hex.

Decides what counts as a find. A text that nobody could have written by chance proves a leak in few letters: six in a
row of a marked value (letters g to z alone), twelve of any other. The searched bytes are undressed, not the secret
dressed up: so every alignment of base64 is covered, and a part of a value, and a dress within a dress.
Never here: what is searched, or which values are secret.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

MARKED_RUN: Final = 6
RUN: Final = 12
DEPTH: Final = 2
"""Dresses that may be worn one above the other: percent above base64, as in a token within an address."""
AROUND: Final = 24
"""Bytes on each side of a find that are told with it, the find itself left out."""

_MARKED: Final = re.compile(rb"[g-z]{12,}")
_LETTERS: Final = re.compile(rb"[g-z]{%d,}" % MARKED_RUN, re.IGNORECASE)
_SOLID: Final = re.compile(rb"[^\s\"'<>]{%d,}" % RUN)
"""Keys, and tokens that are made from them, hold no white space and no quote."""
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{8,}")
_HEX: Final = re.compile(rb"(?:[0-9a-fA-F]{2}[:, -]?){6,}[0-9a-fA-F]?")
_ESCAPED: Final = re.compile(rb"\\+(?:u00([0-9a-fA-F]{2})|x([0-9a-fA-F]{2})|([/\\\"']))")
_ENTITY: Final = re.compile(rb"&#(?:x([0-9a-fA-F]{2})|([0-9]{2,3}));")
_BETWEEN_BYTES: Final = re.compile(rb"[:, -]")
_STD: Final = bytes.maketrans(b"-_", b"+/")


class Find(NamedTuple):
    """Which value (by its name), in which dress, and what stands around it; never the value."""

    name: str
    dress: str
    around: str


class Searcher:
    """Knows secrets by name, and looks for them. What is below `RUN` letters proves nothing, and is left out."""

    def __init__(self, secrets: Iterable[tuple[str, str]]) -> None:
        self._marked: dict[bytes, str] = {}
        self._other: dict[bytes, str] = {}
        for name, value in secrets:
            self._learn(name, value.encode())

    def __len__(self) -> int:
        """How many pieces are known, any of which proves a leak."""
        return len(self._marked) + len(self._other)

    def _learn(self, name: str, value: bytes) -> None:
        if _MARKED.fullmatch(value):
            for piece in _pieces(value, MARKED_RUN):
                self._marked.setdefault(piece, name)
            return
        for solid in _SOLID.findall(value):
            for piece in _pieces(solid, RUN):
                self._other.setdefault(piece, name)

    def look(self, content: bytes) -> Iterator[Find]:
        """Each value that can be read in `content`, once for each dress."""
        told: set[tuple[str, str]] = set()
        for dress, text in _undressed(content, "", DEPTH):
            for name, at in self._read(text):
                if (name, dress) not in told:
                    told.add((name, dress))
                    yield Find(name, dress or "as it is", _around(text, at))

    def _read(self, text: bytes) -> Iterator[tuple[str, int]]:
        """The values that stand in `text`, and where; upper case hides no letter of a marked one."""
        for run in _LETTERS.finditer(text):
            letters = run[0].lower()
            for at, piece in enumerate(_pieces(letters, MARKED_RUN)):
                if piece in self._marked:
                    yield self._marked[piece], run.start() + at
        for run in _SOLID.finditer(text):
            for at, piece in enumerate(_pieces(run[0], RUN)):
                if piece in self._other:
                    yield self._other[piece], run.start() + at


def _pieces(text: bytes, length: int) -> Iterator[bytes]:
    return (text[at : at + length] for at in range(len(text) - length + 1))


def _around(text: bytes, at: int) -> str:
    before = text[max(0, at - AROUND) : at].decode("utf-8", "replace")
    return " ".join(f"{before}<here>".split())


# -------- dresses


def _undressed(text: bytes, worn: str, depth: int) -> Iterator[tuple[str, bytes]]:
    """The text as it is, and as it is once each dress is taken off."""
    yield worn, text
    if depth == 0:
        return
    for dress, below in _taken_off(text):
        if below:
            yield from _undressed(below, f"{worn} above {dress}" if worn else dress, depth - 1)


def _taken_off(text: bytes) -> Iterator[tuple[str, bytes]]:
    if b"%" in text:
        yield "percent", _changed(text, unquote_to_bytes(text))
    if b"\\" in text:
        yield "escapes", _changed(text, _ESCAPED.sub(_unescaped, text))
    if b"&#" in text:
        yield "entities", _changed(text, _ENTITY.sub(_of_entity, text))
    if b"\0" in text:
        yield "utf-16", text.replace(b"\0", b"")
    yield "base64", b"\n".join(_from_base64(text))
    yield "hex", b"\n".join(_from_hex(text))


def _changed(before: bytes, after: bytes) -> bytes:
    return b"" if before == after else after


def _unescaped(found: re.Match[bytes]) -> bytes:
    digits = found[1] or found[2]
    return bytes([int(digits, 16)]) if digits else bytes(found[3])


def _of_entity(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[1], 16) if found[1] else int(found[2]) & 0xFF])


def _from_base64(text: bytes) -> Iterator[bytes]:
    """Every run, read from each of four letters on: wherever a value began, one of them is right."""
    for run in _BASE64.findall(text):
        letters = run.translate(_STD)
        for skip in range(4):
            whole = letters[skip:]
            usable = whole[: len(whole) // 4 * 4]
            if usable:
                yield base64.b64decode(usable)
            if len(whole) % 4 > 1:  # the end of a value whose padding was left out, or stands behind the run
                yield base64.b64decode(whole[-(len(whole) % 4) - 24 :] + b"=" * (-len(whole) % 4))


def _from_hex(text: bytes) -> Iterator[bytes]:
    for run in _HEX.findall(text):
        digits = _BETWEEN_BYTES.sub(b"", run)
        for skip in range(2):
            usable = digits[skip:]
            yield bytes.fromhex(usable[: len(usable) // 2 * 2].decode())
