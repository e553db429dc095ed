"""Instants as a person reads them: in the time zone of this machine, or in UTC.

Each instant has the offset that holds at that very moment, so that a timeline that crosses into summer time is right.
Never here: what time it is.
"""

from __future__ import annotations

from datetime import UTC, datetime

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Face:
    """A clock on the wall: of this machine's zone, or of UTC."""

    def __init__(self, *, utc: bool) -> None:
        self._utc = utc

    def at(self, instant: datetime) -> datetime:
        """The instant in this zone."""
        return instant.astimezone(UTC) if self._utc else instant.astimezone()

    def day(self, instant: datetime) -> str:
        """`Mon 2026-01-05`"""
        local = self.at(instant)
        return f"{DAYS[local.weekday()]} {local:%Y-%m-%d}"

    def zone(self, instant: datetime) -> str:
        """`CET, UTC+01:00`; `UTC+01:00` where the zone has no name; `UTC`."""
        local = self.at(instant)
        offset, name = local.utcoffset(), local.tzname() or ""
        if not offset:
            return "UTC" if name in {"", "UTC"} else f"{name}, UTC+00:00"
        text = f"UTC{local.isoformat()[-6:]}"
        return f"{name}, {text}" if name.isalpha() else text

    def hour(self, instant: datetime) -> str:
        """`09:15`"""
        return f"{self.at(instant):%H:%M}"

    def moment(self, instant: datetime) -> str:
        """`Mon 2026-01-05 09:15 CET`"""
        return f"{self.day(instant)} {self.hour(instant)} {self.zone(instant).partition(',')[0]}"
