"""A fuzzer of token parsing that is guided by coverage: what reaches a new line is kept, and changed further.

A small one of our own, on `sys.settrace`, because it has to run wherever keyturn's tests do: atheris has wheels for
Linux alone, and a compiler is needed elsewhere. The parser has some hundred lines, so that a trace function that looks
at one module is fast enough. Its corpus is Azure's own forms and what was found before; the seed makes it replay.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, NamedTuple

from keyturn import tokens
from keyturn.errors import Malformed
from keyturn.model import Secret
from tests.hostile.parsers import SIGNATURE

KEY: Final = Secret(SIGNATURE)
CORPUS: Final = (
    f"SharedAccessSignature uid=integration&ex=2030-01-02T03:04:05.0000000Z&sn={SIGNATURE}",
    f"uid=1&ex=2030-01-02T03:04:05&sn={SIGNATURE}",
    f"SharedAccessSignature 1&203001020304&{SIGNATURE}",
    f"GatewayKey gw&20300102030405&{SIGNATURE}",
    f'token="SharedAccessSignature 1&203001020304&{SIGNATURE}",refresh="true"',
    f"GatewayKey a&b&203001020304&{SIGNATURE}",
    "",
    "&&",
    "GatewayKey ",
    'token=""',
)
PIECES: Final = (
    "&",
    "=",
    "uid=",
    "&ex=",
    "&sn=",
    " ",
    "GatewayKey ",
    'token="',
    '"',
    "Z",
    ".",
    "0",
    "9",
    "\0",
    "\ud800",
    "é",
)


class Found(NamedTuple):
    """What a run came to. `broken` is each input that broke a promise, and how."""

    tried: int
    kept: int
    lines: int
    broken: tuple[tuple[str, str], ...]


def fuzz(seed: int, *, times: int | None = None, seconds: float | None = None) -> Found:
    """Until one of both is over."""
    draw, corpus, seen = random.Random(seed), list(CORPUS), set[tuple[str, int]]()
    broken: list[tuple[str, str]] = []
    until = None if seconds is None else time.monotonic() + seconds
    tried = 0
    waiting = list(CORPUS)
    while (times is None or tried < times) and (until is None or time.monotonic() < until):
        text = waiting.pop() if waiting else changed(draw, draw.choice(corpus), draw.choice(corpus))
        tried += 1
        lines, trouble = traced(lambda text=text: check(text))  # type: ignore[misc]
        if trouble:
            broken.append((text, trouble))
        if not lines <= seen:
            seen |= lines
            corpus.append(text)
    return Found(tried, len(corpus) - len(CORPUS), len(seen), tuple(broken))


def changed(draw: random.Random, text: str, other: str) -> str:
    """One to four changes, of the kinds that a parser's mistakes hide behind."""
    for _ in range(draw.randint(1, 4)):
        at, to = sorted((draw.randint(0, len(text)), draw.randint(0, len(text))))
        match draw.randrange(6):
            case 0:
                text = text[:at] + text[to:]
            case 1:
                text = text[:at] + draw.choice(PIECES) + text[at:]
            case 2:
                text = text[:at] + chr(draw.choice((draw.randrange(128), draw.randrange(0x3000)))) + text[at + 1 :]
            case 3:
                text = text[:at] + text[at:to] * 2 + text[to:]
            case 4:
                text = text[:at] + other[at:]
            case _:
                text = text.swapcase() if draw.random() < 0.2 else text[::-1][:at] + text[to:]
    return text[:4_000]


def check(text: str) -> str:
    """What is wrong with how this text is read; nothing where it is read, or refused, as it should be."""
    try:
        token = tokens.parse(text)
    except Malformed as refusal:
        return "a refusal quotes the signature" if SIGNATURE in f"{refusal.message}{refusal.hint}" else ""
    if tokens.verify(token, KEY) and not tokens.fits(token.form, token.identity):
        return "a signature holds for an identity that no token can have"
    word = {"gateway": "GatewayKey "}.get(token.form.value, "SharedAccessSignature ")
    again = (
        tokens.parse(f"{word}{tokens.bare(tokens.create(token.form, token.identity, KEY, token.expires)).reveal()}")
        if (tokens.fits(token.form, token.identity))
        else token
    )
    return "" if again.identity == token.identity else "what is made from it names another identity"


def traced(work: Callable[[], str]) -> tuple[set[tuple[str, int]], str]:
    """The lines of `keyturn.tokens` that it ran, and what is wrong: an exception that is no Malformed as well."""
    lines: set[tuple[str, int]] = set()
    watched = tokens.__file__

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename != watched:
            return None
        if event == "line":
            lines.add((frame.f_code.co_name, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        trouble = work()
    except Exception as error:  # noqa: BLE001 - what this is about
        trouble = f"{type(error).__name__}: {error}"
    finally:
        sys.settrace(before)
    return lines, trouble
