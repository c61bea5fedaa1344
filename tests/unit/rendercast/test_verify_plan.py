"""The verifier's plan comes from its seed alone, and is said when it is due."""

from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

from rendercast.verify.agenda import Agenda
from rendercast.verify.plan import Await, Fact, Raw, Say, Script
from rendercast.verify.scenarios import SCENARIOS, make_plan
from schemas import Check, Expired, Failure, Gap, Progress, Result, Snapshot, TaskChange, Track, utcnow

START = datetime(2026, 1, 1, tzinfo=UTC)
FILE = "998d1234-5678-4abc-8def-0123456789ab"


def plan_of(seed=1, jobs=200, seconds=60):
    return make_plan(seed, jobs, seconds, START)


def said(plan):
    return [step for script in plan for step in script.steps if isinstance(step, Say)]


def test_a_seed_gives_its_plan_and_another_seed_another():
    assert plan_of(1) == plan_of(1)
    assert plan_of(1) != plan_of(2)


def test_every_scenario_is_in_a_plan_of_as_many_jobs():
    plan = plan_of(jobs=len(SCENARIOS))
    assert Counter(script.scenario for script in plan) == {each.__name__: 1 for each in SCENARIOS}
    assert len(plan_of(jobs=3)) == 3


def test_a_plan_has_every_kind_of_event_with_repeats_and_three_sources():
    events = [say.record for say in said(plan_of())]
    assert {type(each) for each in events} >= {
        Track,
        Check,
        Progress,
        Result,
        Snapshot,
        TaskChange,
        Failure,
        Gap,
        Expired,
    }
    assert {each.reason for each in events if isinstance(each, Raw)} == {"not_json", "invalid", "wrong_key", "no_key"}
    assert {each.source for each in events if isinstance(each, Result)} == {"sse", "poll", "check"}
    assert any(isinstance(each, Track) and each.request_id is None for each in events)
    tracks = [each for each in events if isinstance(each, Track)]
    assert any(earlier == later for earlier, later in pairwise(tracks))


def test_every_outcome_is_due_somewhere():
    due = [each for script in plan_of() for each in script.announced]
    assert {each.outcome for each in due} == {"completed", "failed", "timed_out", "cancelled", "superseded"}
    assert any(each.late for each in due)


def test_all_is_said_within_the_time_and_files_are_never_shared():
    plan = plan_of()
    assert all(0 <= say.at <= 60 for say in said(plan))
    assert len({script.file_id for script in plan}) == len(plan)


def step(at, number=0):
    return Say(at, "commands", Check(file_id=FILE, issued_at=utcnow().replace(second=number)))


def script(*steps):
    return Script("test", FILE, steps, (), "r1", {})


WATCHED = Fact(FILE, "r1", "watch 0")


def test_steps_are_handed_out_once_when_they_are_due_and_in_order():
    first, second, third = step(0, 1), step(0, 2), step(5, 3)
    agenda = Agenda([script(first, second, third)])
    assert agenda.due(0) == [first, second]
    assert agenda.due(4.9) == []
    assert agenda.due(5) == [third]
    assert agenda.is_over


def test_a_script_waits_for_what_it_has_to_hear_while_others_go_on():
    before, after, other = step(0, 1), step(1, 2), step(2, 3)
    agenda = Agenda([script(before, Await(WATCHED), after), script(other)])
    assert agenda.due(10) == [before, other]
    assert agenda.awaited == [WATCHED]
    assert not agenda.is_over
    agenda.heard(WATCHED)
    assert agenda.due(10) == [after]
    assert agenda.is_over


def test_what_was_heard_before_is_not_waited_for():
    after = step(1)
    agenda = Agenda([script(step(0), Await(WATCHED), after)])
    agenda.heard(WATCHED)
    assert agenda.due(0) != []
    assert agenda.due(1) == [after]


def test_nothing_new_is_no_move():
    agenda = Agenda([script(step(0), Await(WATCHED), step(9))])
    agenda.due(0)
    moves = agenda.moves
    agenda.due(1)
    assert agenda.moves == moves
    agenda.heard(WATCHED)
    agenda.heard(WATCHED)
    assert agenda.moves == moves + 1
