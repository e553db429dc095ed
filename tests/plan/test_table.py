"""The table itself: total, without dead rows, and true to what it says about where each row leads."""

from __future__ import annotations

import ast
import inspect
from datetime import datetime
from pathlib import Path

import pytest

from keyturn import by_hand, plan
from keyturn.errors import NeedsPerson
from keyturn.model import Record, Slot, Stage
from keyturn.plan import TABLE, next_step
from keyturn.policy import Policy
from keyturn.scene import Scene, Seen
from keyturn.testing import START
from tests.keyturns import policy
from tests.turn.test_storms import SID, Storm

CORE = ("model", "policy", "plan", "scene", "outcome", "by_hand", "errors", "tokens", "windows", "pace", "failing")


def test_every_stage_has_a_last_row_that_always_fits() -> None:
    scene = Scene(Record(key="k", id="i"), Seen(ledger="l"), policy(), START)
    for stage in Stage:
        last = [row for row in TABLE if stage in row.at][-1]
        assert last.when(scene), f"{stage} ends with `{last.name}`, which does not always fit"


def test_row_names_are_unique() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE)


def test_slots_are_written_by_two_rows_and_both_stand_behind_the_guard() -> None:
    """Every row whose function writes a slot comes after `slot not quiet` in its stage."""
    writing = [index for index, row in enumerate(TABLE) if row.do is plan._write]
    assert [TABLE[index].name for index in writing] == ["renew the standby", "retire the old slot"]
    guard = next(index for index, row in enumerate(TABLE) if row.name == "slot not quiet")
    assert all(index > guard for index in writing)
    assert all(row.at <= TABLE[guard].at for row in TABLE if row.do is plan._write)


def test_only_one_function_builds_a_write() -> None:
    source = inspect.getsource(plan)
    calls = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Write"
    ]
    assert len(calls) == 1


def test_rows_lead_where_the_table_says_and_every_row_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Storms walk the table; each step's stage must be one that its row declares."""
    reached: set[str] = set()
    lies: set[str] = set()

    def checked(record: Record, seen: Seen, rules: Policy, now: datetime) -> plan.Step:
        step = next_step(record, seen, rules, now)
        row = next(row for row in TABLE if row.name == step.row)
        reached.add(row.name)
        if step.record.stage is not record.stage and step.record.stage not in row.to:
            lies.add(f"{row.name}: {record.stage} -> {step.record.stage}")
        return step

    monkeypatch.setattr(plan, "next_step", checked)
    for seed in range(40):
        storm = Storm(seed)
        for _ in range(6):
            storm.blow(hours=10)
            storm.world.sinks[SID][0].put(None)
            if seed % 2:
                storm.world.keyring.portal(SID, storm.random.choice(list(Slot)))
    assert not lies
    directed = {"gone", "old ledger", "another keyturn", "not active", "fence not proven", "tried enough"}
    directed |= {row.name for row in TABLE if row.name.startswith("adopt")}  # tests/turn/test_adoption.py
    directed |= {"not accepted", "target unconfirmed"}  # tests/turn/test_drift.py
    directed |= {"clocks differ", "foreign in a new sink", "renew again", "retired before"}
    # those four: tests/turn/test_hard_cases.py
    directed |= {"compromised", "compromised standby", "compromised target"}
    directed |= {"let in soon", "let in again", "prove it is let in", "looked again"}
    # those seven: tests/turn/test_compromise.py
    directed |= {"not now"}  # tests/turn/test_starting.py
    held = {row.name for row in TABLE if row.name.startswith("held, ")}
    directed |= {"renew the token", *held}  # tests/turn/test_tokens.py
    assert {row.name for row in TABLE} - reached <= directed


@pytest.mark.parametrize("room", CORE)
def test_the_core_imports_no_clock_no_randomness_no_io(room: str) -> None:
    path = Path(inspect.getfile(plan)).with_name(f"{room}.py")
    names = {
        name.name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import)
        for name in node.names
    } | {
        (node.module or "").split(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
    }
    pure = {
        "__future__",
        "binascii",
        "collections",
        "contextlib",
        "dataclasses",
        "datetime",
        "enum",
        "functools",
        "hashlib",
        "hmac",
    }
    pure |= {"zoneinfo"} if room == "windows" else set()
    assert names <= pure | {"keyturn", "msgspec", "re", "typing"}
    calls = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in {"now", "utcnow", "today", "open"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "datetime"
    }
    assert not calls


def test_the_picture_names_every_stage() -> None:
    picture = plan.picture()
    assert all(stage.value in picture for stage in Stage)
    assert "retire --> prove: retired (A9)" in picture


def test_requests_are_refused_with_a_hint() -> None:
    storm = Storm(1)
    storm.blow(hours=2)
    record = storm.world.record(SID)
    held, _ = by_hand.hold(record.but(hold=None), "x", START)
    with pytest.raises(NeedsPerson) as refusal:
        by_hand.request(held, "now", START)
    assert "release" in refusal.value.hint
    assert Slot.PRIMARY.other is Slot.SECONDARY
