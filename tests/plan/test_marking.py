"""How a look marks both slots: which are exposed, which are quiet, and what a wrong clock left there (A1, A16)."""

from __future__ import annotations

from typing import Any

import pytest

from keyturn.model import Compromise, SlotRecord, Stage
from keyturn.policy import DAY, HOUR, MINUTE
from keyturn.scene import Seen, mark
from tests.plan.scenes import LATE, NOW, RULES, SECOND, S, active, quiet, record, seen, sink


def marked(standby: SlotRecord, look: Seen | None = None, **changes: Any) -> SlotRecord:
    """The standby after a look that sees the active value in its one sink, unless told otherwise."""
    return mark(record(secondary=standby, **changes), look or seen(), RULES, NOW).slot(S)


def out_of_every_sink(**changes: Any) -> SlotRecord:
    return active("s", **changes)


def test_a_value_that_a_look_finds_nowhere_is_quiet_from_then_on() -> None:
    after = marked(out_of_every_sink())
    assert (after.exposed, after.quiet_since) == (False, NOW)


def test_a_value_that_was_quiet_stays_so_since_it_was() -> None:
    assert marked(quiet("s", quiet_since=NOW - HOUR)).quiet_since == NOW - HOUR


def test_a_value_that_some_sink_shows_is_quiet_no_more() -> None:
    after = marked(quiet("s"), seen(sink(), sink("s", "file")))
    assert (after.exposed, after.quiet_since) == (True, None)


@pytest.mark.parametrize(
    "look",
    [
        seen(sink(), sink(None, "file", problem="503")),
        seen(sink(), sink(None, "hook", write_only=True)),
        seen(skew=MINUTE + SECOND),
    ],
    ids=["a sink hides what it shows", "a sink that nobody can read", "clocks differ"],
)
def test_no_value_becomes_quiet_at_a_look_that_does_not_see_everything(look: Seen) -> None:
    assert marked(out_of_every_sink(), look).exposed


# -------- a publish that nobody answered (ADR 0022)


def test_a_value_whose_publish_may_yet_land_is_not_quiet_and_is_at_the_first_look_after_it_has() -> None:
    assert marked(out_of_every_sink(unheard_until=NOW + SECOND)).exposed
    after = marked(out_of_every_sink(unheard_until=NOW))
    assert (after.exposed, after.quiet_since) == (False, NOW)


def test_whether_it_may_yet_land_goes_by_azures_clock() -> None:
    assert marked(out_of_every_sink(unheard_until=NOW - 29 * SECOND), seen(skew=30 * SECOND)).exposed
    assert not marked(out_of_every_sink(unheard_until=NOW + 30 * SECOND), seen(skew=-30 * SECOND)).exposed


def test_the_other_slots_publish_has_nothing_to_do_with_it() -> None:
    assert not marked(out_of_every_sink(), primary=active("p", unheard_until=LATE)).exposed


@pytest.mark.parametrize("named", ["s", "p"], ids=["the standby", "what it is to replace"])
def test_a_compromised_value_does_not_wait_for_a_publish_of_it(named: str) -> None:
    """The sinks are looked at once more after it may have landed (A15, trace V15)."""
    compromise = Compromise(values=(named,), because="leaked", at=NOW)  # type: ignore[arg-type]
    assert not marked(out_of_every_sink(unheard_until=LATE), compromise=compromise).exposed
    assert marked(out_of_every_sink(unheard_until=LATE), seen(sink("s")), compromise=compromise).exposed


def test_a_publish_can_land_no_later_than_a_request_lives() -> None:
    """Further away than that is what a wrong clock stored (A16)."""
    look = seen(skew=-SECOND)
    assert marked(out_of_every_sink(unheard_until=NOW + DAY), look).unheard_until == LATE + SECOND
    assert marked(out_of_every_sink(unheard_until=LATE + SECOND), look).unheard_until == LATE + SECOND
    assert marked(out_of_every_sink(unheard_until=NOW), look).unheard_until == NOW


def test_a_write_can_land_no_later_than_a_request_lives() -> None:
    assert marked(quiet("s", unsettled_until=NOW + DAY)).unsettled_until == LATE
    assert marked(quiet("s", unsettled_until=NOW)).unsettled_until == NOW


def test_a_wrong_clock_does_not_say_until_when_a_write_may_land() -> None:
    """One that was behind used to draw the instant near, by its own: it was past for everybody else, who regenerated
    beside a regenerate that was in the air (found by simulation)."""
    behind = seen(skew=-2 * DAY)
    assert marked(quiet("s", unsettled_until=NOW + 2 * DAY + MINUTE), behind).unsettled_until == NOW + 2 * DAY + MINUTE


def test_nothing_is_marked_by_a_look_that_did_not_see_the_entity() -> None:
    before = record(Stage.DRAIN, primary=active("p"))
    for blind in (seen(problem="503"), seen(gone="it was deleted")):
        assert mark(before, blind, RULES, NOW) == before
