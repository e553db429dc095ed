"""A refused call is allowed only for a value that the portal user ended, within the bound; everything else is red."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from bench.soak import play
from bench.soak.__main__ import tell
from bench.soak.judge import DEAD, Bound, By, Ending, Mark, Outcome, Refusal, Verdict, judge
from bench.soak.loops import LONGEST_FREEZE, freeze_and_late

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BOUND = Bound(policy=play.POLICY, freeze=LONGEST_FREEZE)
ENDED = Ending(sid="contoso", mark=Mark("a"), at=NOON, look_by=NOON + 10 * MINUTE)
LATEST = NOON + 10 * MINUTE + BOUND.after_look


def refused(
    *, mark: str = "a", sid: str = "contoso", read_at: datetime = NOON, after: timedelta = MINUTE, outcome: str = DEAD
) -> Refusal:
    return Refusal(sid=sid, mark=Mark(mark), read_at=read_at, at=max(read_at, NOON) + after, outcome=outcome)


def verdict(refusal: Refusal) -> Verdict:
    return judge(refusal, [ENDED], BOUND)


def outcome(**changes: object) -> Outcome:
    counted: dict[str, object] = {
        "seed": 1,
        "seconds": 600.0,
        "emulated": timedelta(days=1),
        "rotations": {"contoso": 3, "fabrikam": 1},
        "kills": 9,
        "stops": 9,
        "longest_freeze": MINUTE,
        "faults": {"503": 2},
        "portal_writes": 1,
        "calls": 100,
        "refused": {By.PORTAL: 2, By.KEYTURN: 0, By.NEVER: 0},
        "allowed": 2,
        "longest": MINUTE,
        "bound": BOUND.whole,
        "refused_by_gateways": 2,
        "broken": (),
        "tracebacks": 0,
        "leaks": (),
        "at_rest": True,
    }
    return Outcome(**{**counted, **changes})  # type: ignore[arg-type]


def test_a_value_that_the_portal_user_ended_may_be_refused() -> None:
    assert verdict(refused()) == Verdict(by=By.PORTAL, allowed=True, after=MINUTE)


def test_a_value_that_keyturn_ended_may_not_be_refused() -> None:
    found = verdict(refused(mark="b"))
    assert (found.by, found.allowed) == (By.KEYTURN, False)
    assert found.sentence.startswith("contoso was refused at 2026-01-05 12:01:00, emulated: keyturn ended the value")


def test_somebody_elses_ended_value_excuses_nobody() -> None:
    assert verdict(refused(sid="fabrikam")).by is By.KEYTURN


def test_a_call_before_the_portal_users_write_is_not_his_doing() -> None:
    early = Refusal(sid="contoso", mark=Mark("a"), read_at=NOON - MINUTE, at=NOON - MINUTE / 2, outcome=DEAD)
    assert verdict(early).by is By.KEYTURN


@pytest.mark.parametrize("what", ["unknown-value", "not-yet", "missing"])
def test_a_value_that_was_never_live_there_may_not_be_refused_whoever_wrote(what: str) -> None:
    found = verdict(refused(outcome=what))
    assert (found.by, found.allowed) == (By.NEVER, False)
    assert what in found.sentence


def test_who_read_the_ended_value_at_the_last_moment_may_be_refused_for_one_cache() -> None:
    assert verdict(refused(read_at=LATEST, after=play.POLICY.consumers.cache)).allowed


def test_who_read_the_ended_value_after_that_may_not_be_refused() -> None:
    found = verdict(refused(read_at=LATEST + timedelta(seconds=1)))
    assert (found.by, found.allowed) == (By.PORTAL, False)
    assert "it read an ended value" in found.sentence


def test_who_keeps_the_ended_value_for_longer_than_a_cache_may_not_be_refused() -> None:
    assert not verdict(refused(read_at=LATEST, after=play.POLICY.consumers.cache + timedelta(seconds=1))).allowed


def test_a_look_that_is_due_later_than_the_policy_lets_it_be_does_not_lengthen_the_bound() -> None:
    far = Ending(sid="contoso", mark=Mark("a"), at=NOON, look_by=NOON + timedelta(days=1))
    assert BOUND.latest(far) == NOON + max(play.POLICY.look_every, play.POLICY.drain) + BOUND.after_look


def test_the_bound_of_a_look_that_was_overdue_counts_from_the_write() -> None:
    overdue = Ending(sid="contoso", mark=Mark("a"), at=NOON, look_by=NOON - timedelta(hours=1))
    assert BOUND.latest(overdue) == NOON + BOUND.after_look


def test_what_is_frozen_and_then_lands_late_stays_within_late_and_so_within_the_drain() -> None:
    assert freeze_and_late() < play.POLICY.late < play.POLICY.drain


def test_a_soak_in_which_all_of_it_holds_breaks_nothing() -> None:
    assert outcome().breaches() == []


def test_a_soak_that_had_no_time_left_to_come_to_rest_breaks_nothing() -> None:
    assert outcome(at_rest=None).breaches() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"refused": {By.PORTAL: 2, By.KEYTURN: 1}, "refused_by_gateways": 3}, "1 refused calls are not allowed"),
        ({"refused_by_gateways": 5}, "callers count 2 refused calls, the gateways 5"),
        ({"tracebacks": 1}, "1 tracebacks in what keyturn said"),
        ({"leaks": ("keyturn.db",)}, "a key value can be read in keyturn.db"),
        ({"rotations": {"contoso": 3, "fabrikam": 0}}, "fabrikam was never rotated"),
        ({"at_rest": False}, "not every credential came to rest, although nobody interfered any more"),
        ({"broken": ("keyturn 1 ended with 3: it said nothing",)}, "keyturn 1 ended with 3: it said nothing"),
    ],
)
def test_each_broken_promise_is_told(changes: dict[str, object], said: str) -> None:
    assert outcome(**changes).breaches() == [said]


def test_what_broke_first_is_told_first() -> None:
    told = outcome(broken=("the first", "the second"), tracebacks=1).breaches()
    assert told == ["the first", "the second", "1 tracebacks in what keyturn said"]


def test_the_figures_come_with_what_broke_first_and_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(outcome()) == 0
    assert capsys.readouterr().out.endswith("broken: nothing\n")
    assert tell(outcome(broken=("the first",), tracebacks=1)) == 1
    said = capsys.readouterr().out
    assert said.endswith("broken first: the first\n  then: 1 tracebacks in what keyturn said\n")
    assert "seed 1: 600 s" in said
