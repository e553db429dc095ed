"""How fast tokens are made and checked, against the least that any token costs.

    uv run python bench/token_rate.py [rounds]

The least is a bare loop of HMAC-SHA512 and base64, in the quickest way that Python has, over the same messages ready
made, in the same process. All take turns in short rounds, so that a busy machine slows all of them; what is compared is
the median of each round's own ratio. Making one must reach 0.6 of the bare rate in every form; exits 1 when it does
not. What reading and checking one costs is printed beside it.
"""

from __future__ import annotations

import base64
import hmac
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from keyturn.model import Secret
from keyturn.tokens import Form, create, parse, verify

PROMISED = 0.6
TOKENS = 500
KEY = Secret(base64.b64encode(bytes(range(64))).decode())
FIRST = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
ENDS = [FIRST + timedelta(seconds=61 * number) for number in range(TOKENS)]
IDENTITY = "integration"


def messages(form: Form) -> list[bytes]:
    """What is signed for each of the ends, ready made."""
    seconds = "%Y-%m-%dT%H:%M:%S" if form is Form.LONG else "%Y-%m-%dT%H:%M:00"
    return [f"{IDENTITY}\n{end.strftime(seconds)}.0000000Z".encode() for end in ENDS]


def least(form: Form) -> Callable[[], None]:
    key, ready = KEY.reveal().encode(), messages(form)

    def sign() -> None:
        for message in ready:
            base64.b64encode(hmac.digest(key, message, "sha512")).decode()

    return sign


def making(form: Form) -> Callable[[], None]:
    def make() -> None:
        for end in ENDS:
            create(form, IDENTITY, KEY, end)

    return make


def checking(form: Form) -> Callable[[], None]:
    texts = [create(form, IDENTITY, KEY, end).reveal() for end in ENDS]

    def check() -> None:
        for text in texts:
            if not verify(parse(text), KEY):
                raise SystemExit("a token of ours does not verify")

    return check


def measure(form: Form, rounds: int) -> bool:
    works = (least(form), making(form), checking(form))
    for work in works:
        work()
    taken = [tuple(timed(work) for work in works) for _ in range(rounds)]
    bare, made, checked = (TOKENS / statistics.median(times) for times in zip(*taken, strict=True))
    made_ratio = statistics.median(a / b for a, b, _ in taken)
    checked_ratio = statistics.median(a / c for a, _, c in taken)
    print(
        f"{form}: bare {bare:,.0f}/s; made {made:,.0f}/s, {made_ratio:.2f} x (promised: at least {PROMISED} x); "
        f"read and checked {checked:,.0f}/s, {checked_ratio:.2f} x"
    )
    return made_ratio >= PROMISED


def timed(work: Callable[[], None]) -> float:
    """Machine seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 301
    kept = [measure(form, rounds) for form in Form]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
