"""What a person may say about a credential's past: that its standby is quiet, or that another ledger is gone."""

from __future__ import annotations

import shutil

from tests.journeys.stage import Stage


def test_vouching_for_a_quiet_standby_lets_the_first_rotation_begin_at_once(stage: Stage) -> None:
    stage.good("run")
    waiting = stage.good("rotate", "contoso")
    assert "callers may use it until it has been out of every sink for 24 h" in waiting.out
    vouched = stage.good("adopt", "contoso", "--quiet-since", "2026-01-01T00:00:00Z", "--because", "nobody ever had it")
    assert "nobody ever had it" in vouched.out
    assert "draining" in stage.good("status", "contoso").out


def test_vouching_without_saying_why_is_refused(stage: Stage) -> None:
    stage.good("run")
    refused = stage.run("adopt", "contoso", "--quiet-since", "2026-01-01T00:00:00Z")
    assert refused.code == 2
    assert "--because" in refused.all


def test_a_lost_ledger_holds_until_a_person_lets_the_new_one_succeed_it(stage: Stage) -> None:
    stage.good("run")
    for file in stage.folder.glob("keyturn.db*"):
        shutil.move(file, file.with_name(f"lost-{file.name}"))
    held = stage.run("run")
    assert held.code == 1
    assert "was published by a keyturn with another ledger" in held.all
    ledger = held.all.partition("--take-over ")[2].split("`")[0].split()[0]
    stage.good("adopt", "contoso", "--take-over", ledger, "--because", "the disk is gone")
    assert "ok" in stage.good("status").out
