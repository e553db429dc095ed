"""How long a send may take (rule A4)."""

from __future__ import annotations

from datetime import timedelta

from keyturn.azure.once import left
from keyturn.ports import SendBy
from keyturn.testing import ManualClock


def test_a_send_that_begins_late_is_given_up_no_later_than_its_deadline() -> None:
    """Measured from the look, by whichever clock says less (rules A4, A5)."""
    clock = ManualClock()
    send_by = SendBy(at=clock.now() + timedelta(seconds=60), boot=clock.boottime() + 60, seconds=60)
    assert left(clock, send_by) == 60
    clock.move(timedelta(seconds=45))
    assert left(clock, send_by) == 15
    clock.ahead = timedelta(seconds=10)
    assert left(clock, send_by) == 5
    clock.move(timedelta(seconds=60))
    assert left(clock, send_by) == 0
