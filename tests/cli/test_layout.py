"""What stands beside what: tables and wrapped texts at many widths."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from keyturn.cli import layout
from keyturn.cli.layout import Tone, plain
from keyturn.cli.standing import BELOW, HEADS, SPARE
from keyturn.reasons import REASONS

LONG = "production-shop/partners-emea/contoso-international-holding"
WHY = "write-does-not-land: 16 writes to secondary did not leave a value of ours in it; find out who else writes it"
ROWS = [
    ("shop/contoso", "draining", "secondary", "3 h 20 min", "retire primary in 20 h 59 min", "quiet-slot: 20 h 59 min"),
    (LONG, "held", "?", "2 d", "waits for you", WHY),
    ("shop/fabrikam", "ok", "primary", "12 d", "due in 18 d", ""),
]


def laid(columns: int | None, rows: Sequence[Sequence[str]] = ROWS) -> tuple[list[str], tuple[str, ...]]:
    table = layout.table(HEADS, rows, columns, spare=SPARE, below=BELOW)
    return [plain(line) for line in table.lines], table.left_out


@pytest.mark.parametrize("columns", [80, 100, 140, 200, 400])
def test_a_table_is_never_wider_than_its_screen_and_cuts_no_word(columns: int) -> None:
    lines, _ = laid(columns)
    assert max(len(line) for line in lines) <= columns
    told = " ".join(lines).split()
    for row in ROWS:
        for at in (0, 1, 4, 5):
            assert set(row[at].split()) <= set(told)


@pytest.mark.parametrize("columns", range(20, 200, 7))
def test_no_width_loses_a_name_a_condition_a_next_step_or_a_reason(columns: int) -> None:
    told = set(" ".join(laid(columns)[0]).split())
    for row in ROWS:
        assert set(" ".join((row[0], row[1], row[4], row[5])).split()) <= told


@pytest.mark.parametrize("code", REASONS)
def test_no_reason_code_is_cut_however_narrow_it_is(code: str) -> None:
    lines, _ = laid(30, [("shop/contoso", "held", "?", "2 d", "waits for you", f"{code}: why it is so")])
    assert any(f"{code}:" in line for line in lines)


def test_reasons_stand_beside_their_row_where_there_is_room_and_below_it_where_there_is_none() -> None:
    wide, _ = laid(180)
    assert any(line.startswith("shop/contoso") and line.endswith("quiet-slot: 20 h 59 min") for line in wide)
    narrow, _ = laid(120)
    at = next(at for at, line in enumerate(narrow) if line.startswith("shop/contoso"))
    assert narrow[at + 1] == "    quiet-slot: 20 h 59 min"


def test_a_reason_that_goes_on_stays_in_its_column() -> None:
    lines, _ = laid(180)
    start = lines[0].index("WHY")
    at = next(at for at, line in enumerate(lines) if line.startswith(LONG))
    assert lines[at][start:].startswith("write-does-not-land")
    assert lines[at + 1][:start].strip() == "" and lines[at + 1][start:] == lines[at + 1].strip()


def test_columns_that_matter_least_go_first_and_are_named() -> None:
    assert laid(140)[1] == ()
    assert laid(120)[1] == ("SINCE",)
    assert laid(110)[1] == ("ACTIVE", "SINCE")
    assert laid(80)[1] == ("ACTIVE", "SINCE")
    lines, _ = laid(80)
    assert "NEXT" not in lines[0] and "    waits for you" in lines


def test_names_of_usual_length_keep_every_column_at_80() -> None:
    lines, left_out = laid(80, [ROWS[0], ROWS[2]])
    assert left_out == ()
    assert lines[0].split() == ["NAME", "CONDITION", "ACTIVE", "SINCE", "NEXT"]


def test_without_a_terminal_a_row_is_a_line() -> None:
    lines, left_out = laid(None)
    assert (len(lines), left_out) == (4, ())
    assert lines[2].endswith(WHY)


def test_a_tone_is_given_to_the_condition_alone() -> None:
    table = layout.table(HEADS, ROWS, None, tones=[Tone.PLAIN, Tone.BAD, Tone.OK])
    assert [[piece.text for piece in line if piece.tone in {Tone.BAD, Tone.OK}] for line in table.lines] == [
        [],
        [],
        ["held"],
        ["ok"],
    ]


def test_a_text_goes_on_below_itself_and_a_long_word_stays_whole() -> None:
    assert layout.wrapped("  head  ", "one two three four five six", 32) == [
        "  head  one two three four five",
        "        six",
    ]
    word = "/" + "x" * 90
    assert layout.wrapped("  ", f"see {word} there", 40) == ["  see", f"  {word}", "  there"]
    assert layout.wrapped("  head  ", "", 80) == ["  head"]


def test_parts_that_do_not_fit_beside_each_other_begin_a_line() -> None:
    parts = ["shop/contoso", "policy partners", "", "active: primary", "standby: secondary"]
    assert layout.joined(parts, None) == ["shop/contoso   policy partners   active: primary   standby: secondary"]
    assert layout.joined(parts, 45) == [
        "shop/contoso   policy partners",
        "    active: primary   standby: secondary",
    ]
