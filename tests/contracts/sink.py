"""What every Sink must do, whatever it shows values in. Subclass it with a fixture `case`."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from keyturn.errors import NotSent
from keyturn.model import Secret, Slot
from keyturn.ports import Applied, SendBy, Shown, Sink, Tags

FIRST, SECOND = Secret("0123456789abcdef" * 2), Secret("fedcba9876543210" * 2)
ADDRESS = (
    "/subscriptions/3a6f1d2c-5b7e-4f80-9c1d-8e2a4b6c0d43/resourceGroups/rg/providers/Microsoft.ApiManagement"
    "/service/shop-apim/subscriptions/contoso"
)
TAGS = Tags(
    ledger="ledger-1",
    seq=7,
    slot=Slot.SECONDARY,
    provider_address=ADDRESS,
    validity_days=30,
    expires=datetime(2027, 6, 1, 12, 0, tzinfo=UTC),
)


class SinkCase:
    """An empty sink, and a last instant to send by."""

    def __init__(self, sink: Sink, send_by: SendBy, too_late: SendBy) -> None:
        self.sink, self.send_by, self.too_late = sink, send_by, too_late


class SinkContract:
    def test_an_empty_place_shows_nothing(self, case: SinkCase) -> None:
        assert case.sink.read() == Shown()

    def test_shows_what_was_written_with_its_tags(self, case: SinkCase) -> None:
        assert isinstance(case.sink.write(FIRST, TAGS, case.send_by), Applied)
        assert case.sink.read() == Shown(value=FIRST, ledger="ledger-1", seq=7, slot=Slot.SECONDARY)

    def test_the_last_write_is_shown(self, case: SinkCase) -> None:
        case.sink.write(FIRST, TAGS, case.send_by)
        later = msgspec.structs.replace(TAGS, seq=8, slot=Slot.PRIMARY)
        case.sink.write(SECOND, later, case.send_by)
        assert case.sink.read() == Shown(value=SECOND, ledger="ledger-1", seq=8, slot=Slot.PRIMARY)

    def test_writes_nothing_when_it_is_too_late(self, case: SinkCase) -> None:
        case.sink.write(FIRST, TAGS, case.send_by)
        with pytest.raises(NotSent):
            case.sink.write(SECOND, TAGS, case.too_late)
        assert case.sink.read().value == FIRST

    def test_can_be_read_back_and_has_a_name(self, case: SinkCase) -> None:
        assert case.sink.name
        assert not case.sink.write_only
