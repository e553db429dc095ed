"""`history` of one credential as a story: rotation by rotation, with waits as durations."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from keyturn import by_hand
from keyturn.cli.layout import plain
from keyturn.cli.story import LEADS_TO, chapters, story
from keyturn.model import Event, Record, Stage
from keyturn.plan import TABLE
from keyturn.policy import DAY, Retire
from keyturn.testing import World
from keyturn.turn import Turn
from tests.cli.conftest import Folder
from tests.keyturns import follow, keyturn, policy


class Life:
    """A credential, its keyturn, and what its history tells."""

    def __init__(self, **rules: object) -> None:
        self.world, self.rules = World(), policy(**rules)
        self.world.add("contoso", sinks=["vault/contoso"])
        self.turn: Turn = keyturn(self.world)
        follow(self.world, self.turn, "contoso", self.rules, until=Stage.IDLE)

    def rotate(self, until: Stage | None = None) -> None:
        self.world.clock.move(30 * DAY)
        follow(self.world, self.turn, "contoso", self.rules, until=until)

    @property
    def record(self) -> Record:
        return self.world.ledger.stored[self.world.credential("contoso").key].record

    @property
    def events(self) -> list[Event]:
        return [line.event for line in self.world.ledger.lines]

    def told(self, columns: int | None = None, newest: int = 10_000) -> list[str]:
        events = self.events[-newest:]
        cut = len(events) < len(self.events)
        return [plain(each) for each in story(events, self.record.rotations, columns, cut=cut)]

    def ask(self, asked: object) -> None:
        key = self.world.credential("contoso").key
        stored = self.world.ledger.stored[key]
        record, event = asked(stored.record, self.world.clock.now())  # type: ignore[operator]
        self.world.ledger.save(record, stored.version, [event])


def headings(lines: list[str]) -> list[str]:
    return [line.partition("   ")[0] for line in lines if line and not line.startswith(" ")]


@pytest.fixture(scope="module")
def twice() -> Life:
    life = Life()
    life.rotate()
    life.rotate()
    return life


def test_each_rotation_is_a_chapter_with_its_number_its_time_and_its_reason(twice: Life) -> None:
    lines = twice.told()
    assert headings(lines) == ["Adoption", "Rotation 1", "At rest", "Rotation 2", "At rest"]
    (heading,) = [line for line in lines if line.startswith("Rotation 2")]
    assert re.search(r"   \d{4}-\d\d-\d\d \d\d:\d\d to \d{4}-\d\d-\d\d \d\d:\d\d UTC, 24 h", heading)
    reason = lines[lines.index(heading) + 1]
    assert "because secondary is 3" in reason and "policy says 30 d" in reason


def test_a_rest_between_two_rotations_is_one_line_with_its_length(twice: Life) -> None:
    lines = twice.told()
    (rest,) = [at for at, line in enumerate(lines) if line.startswith("At rest") and line.endswith(" d")]
    assert lines[rest + 1] == ""


def test_a_wait_is_told_by_how_long_it_took_and_the_last_one_by_what_it_waits_for(twice: Life) -> None:
    lines = twice.told()
    assert any("waited 24 h" in line and "out of every sink for 24 h" in line for line in lines)
    assert any("waited 30 s" in line for line in lines)
    assert "waits: due on" in lines[-1]


def test_what_was_intended_and_what_came_of_it_are_one_line(twice: Life) -> None:
    told = "\n".join(twice.told())
    assert "a fresh value for" not in told
    assert told.count("holds a fresh value") == 2
    assert told.count("every sink shows secondary: vault/contoso") == 1
    assert told.count("the old value in primary is dead") == 1


def test_a_rotation_ends_with_what_it_cost_and_how_long_the_old_value_lived(twice: Life) -> None:
    ends = [line for line in twice.told() if line.startswith("  in all: ")]
    assert len(ends) == 2
    for end in ends:
        assert "2 slot writes; 1 publish; 2 confirmations; the old value died 24 h" in end


def test_a_rotation_under_way_says_so_and_has_the_next_number() -> None:
    life = Life()
    life.rotate()
    life.rotate(until=Stage.DRAIN)
    lines = life.told()
    assert headings(lines)[-1] == "Rotation 2"
    assert "not at its end yet" in next(line for line in lines if line.startswith("Rotation 2"))


def test_what_a_person_asked_for_begins_the_chapter_and_is_told_once() -> None:
    life = Life()
    life.ask(lambda record, at: by_hand.request(record, "a partner left", at))
    follow(life.world, life.turn, "contoso", life.rules)
    told = "\n".join(life.told())
    assert told.count("a partner left") == 1
    assert "because somebody asked for it: a partner left" in told


def test_a_value_that_was_named_compromised_at_rest_begins_one_rotation() -> None:
    life = Life()
    leak(life)
    follow(life.world, life.turn, "contoso", life.rules)
    rotations = [head for head in headings(life.told()) if "otation" in head]
    assert rotations == ["Rotation 1"]
    assert "is compromised: on a public page" in "\n".join(life.told())


def test_a_rotation_in_which_a_value_was_named_compromised_goes_on_if_it_had_published_nothing() -> None:
    life = Life()
    life.ask(lambda record, at: by_hand.request(record, "a partner left", at))
    follow(life.world, life.turn, "contoso", life.rules, until=Stage.RENEW)
    leak(life)
    follow(life.world, life.turn, "contoso", life.rules)
    lines = life.told()
    assert [head for head in headings(lines) if "otation" in head] == ["Rotation 1"]
    assert "is compromised: on a public page" in "\n".join(lines)


def test_a_rotation_in_whose_place_a_compromise_put_another_did_not_come_to_its_end() -> None:
    life = Life()
    life.rotate(until=Stage.DRAIN)
    leak(life)
    follow(life.world, life.turn, "contoso", life.rules)
    rotations = [head for head in headings(life.told()) if "otation" in head]
    assert rotations == ["A rotation that did not come to its end", "Rotation 1"]


def leak(life: Life) -> None:
    """The active value is named as compromised, by a person."""
    active = life.record.active
    assert active is not None
    value = life.record.slot(active).fingerprint
    assert value is not None
    life.ask(lambda record, at: by_hand.compromise(record, [value], "on a public page", at))


def test_a_rotation_that_was_rolled_back_did_not_come_to_its_end() -> None:
    life = Life()
    life.rotate(until=Stage.DRAIN)
    life.ask(lambda record, at: by_hand.rollback(record, "the partner is back", at))
    follow(life.world, life.turn, "contoso", life.rules)
    life.ask(lambda record, at: by_hand.release(record, "it may go on", at))
    life.rotate()
    lines = life.told()
    assert "rollback: the partner is back" in "\n".join(lines)
    assert "A rotation that did not come to its end" in headings(lines)
    assert [head for head in headings(lines) if head.startswith("Rotation")] == ["Rotation 1"]
    assert life.record.rotations == 1


def test_numbers_are_right_although_older_lines_are_left_out(twice: Life) -> None:
    lines = twice.told(newest=8)
    assert lines[0].startswith("Older lines are left out")
    assert headings(lines)[1:] == ["Rotation 2", "At rest"]


def test_a_rotation_that_retires_later_ends_all_the_same() -> None:
    life = Life(retire=Retire.NEXT_ROTATION)
    life.rotate()
    life.rotate()
    assert [head for head in headings(life.told()) if head.startswith("Rotation")] == ["Rotation 1", "Rotation 2"]


def test_no_event_is_lost_between_chapters(twice: Life) -> None:
    assert [event for chapter in chapters(twice.events) for event in chapter.events] == twice.events


def test_trouble_is_told_and_counted() -> None:
    life = Life()
    now = life.world.clock.now()
    events = [
        Event(at=now, kind="due", sentence="primary is 30 d old"),
        Event(at=now, kind="refused", sentence="may not write", rule="A18"),
        Event(at=now + timedelta(hours=2), kind="finish", sentence="rotated"),
    ]
    told = [plain(each) for each in story(events, 7, None)]
    assert headings(told) == ["Rotation 7"]
    assert any("refused: may not write  [A18]" in line for line in told)
    assert told[-1] == "  in all: 1 thing that went wrong"


@pytest.mark.parametrize("columns", [80, 100])
def test_a_story_fits_its_screen(twice: Life, columns: int) -> None:
    assert max(len(line) for line in twice.told(columns)) <= columns


def test_what_is_left_out_is_told_by_rows_that_there_are(twice: Life) -> None:
    rows = {row.name for row in TABLE} | {event.kind for event in twice.events}
    assert set(LEADS_TO) <= rows | {"fence"}


def test_the_lines_are_there_as_they_were_for_who_asks(filled: Folder) -> None:
    assert "adopted fabrikam  [A13]" in filled.run("history", "fabrikam", "--lines").stdout
    assert "adopted fabrikam  [A13]" in filled.run("history", "fabrikam").stdout
    plain_lines = filled.run("history", "fabrikam", "--lines").stdout.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  adopted fabrikam", plain_lines[0])
    assert filled.run("history", "fabrikam").stdout.startswith("shop/fabrikam\n")
