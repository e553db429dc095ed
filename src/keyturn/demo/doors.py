"""Who signs in with tokens on the stage: a self-hosted gateway and a client of the direct management endpoint.

Each reads its token from the vault, keeps it for its cache time, shows it as it stands, and counts what it was
answered. They know nothing of keyturn, nor what a token looks like. Never here: keyturn's configuration, or time.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from keyturn.demo.control import StageFault, Tally
from keyturn.demo.stage import VAULT, Client

REFUSED: Final = frozenset({401, 403})


class Door(NamedTuple):
    """Where somebody signs in: a GET, with the token as its authorization."""

    name: str
    secret: str
    host: str
    path: str

    @property
    def agent(self) -> str:
        return f"door/{self.name}"


class Guest:
    """Somebody who signs in at one door again and again."""

    def __init__(self, door: Door, client: Client, cache: timedelta) -> None:
        self.door = door
        self._client, self._cache = client, cache
        self._token = ""
        self._read_at: datetime | None = None
        self.tokens: set[str] = set()
        """Every token it ever held."""
        self.tally = Tally()

    def sign_in(self, now: datetime) -> None:
        """Once, at this emulated instant. Raises StageFault when the vault does not answer."""
        if self._read_at is None or now - self._read_at >= self._cache:
            self._token, self._read_at = self._client.secret(VAULT, self.door.secret), now
            self.tokens.add(self._token)
        status = self._client.show(self.door.host, self.door.path, self._token, self.door.agent)
        calls, refused, errors = self.tally
        failed = status not in {200, *REFUSED}
        self.tally = Tally(calls + 1, refused + (status in REFUSED), errors + failed)


def everybody(guests: list[Guest]) -> Tally:
    """What all of them together have seen."""
    counts = zip(*(guest.tally for guest in guests), strict=True)
    calls, refused, errors = (sum(column) for column in counts)
    if not calls:
        raise StageFault("nobody has signed in yet")
    return Tally(calls, refused, errors)
