"""The verifier's plan agrees with the rules, and its audit finds what is wrong."""

from datetime import UTC, datetime, timedelta

import pytest

from rendercast.verify.audit import Evidence, audit, changed
from rendercast.verify.plan import Announced, Draft, Raw, Say, draws
from rendercast.verify.recordings import recordings, replay
from rendercast.verify.scenarios import SCENARIOS, make_plan
from schemas import Artifact, Completion, StorageRequest, Watch
from schemas.ids import outcome_id
from streams.machine import advance

START = datetime(2026, 1, 1, tzinfo=UTC)
SECONDS = 60


def play(plan):
    """What a processor that is never disturbed tells."""
    found = Evidence()
    for script in plan:
        job = None
        for step in script.steps:
            if not isinstance(step, Say):
                continue
            if isinstance(step.record, Raw):
                found.dead_letters.append((step.record.reason, step.record.value))
                continue
            job, told, _ = advance(job, step.record)
            for each in told:
                match each:
                    case Completion():
                        found.completions.append(each)
                    case StorageRequest():
                        found.storage.append(each)
                    case Artifact():
                        found.artifacts.append(each)
                    case Watch():
                        found.watches[script.file_id] = each
                    case _:
                        found.watches[script.file_id] = None
        found.documents[script.file_id] = job
    return found


def scripts(scenario, number=20):
    """Some of one scenario."""
    made = []
    for seed in range(number):
        draft = Draft(draws(seed, "test"), START, 0, 1, SECONDS, scenario.__name__)
        scenario(draft)
        made.append(draft.finished())
    return made


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_the_rules_give_what_a_scenario_expects(scenario):
    plan = scripts(scenario)
    assert audit(plan, play(plan)) == []


def test_a_whole_plan_is_kept_by_an_undisturbed_processor():
    plan = make_plan(1, 300, SECONDS, START)
    assert audit(plan, play(plan)) == []


@pytest.mark.parametrize("number", range(len(recordings())))
def test_the_rules_give_what_the_simulator_recorded(number):
    recording, draft = recordings()[number], Draft(draws(1, "test"), START, 0, 1, SECONDS)
    draft.kind = recording.kind
    generation = draft.track("r1")
    draft.say("upstream", *replay(recording, draft.file_id, generation, START))
    draft.ends(generation, recording.outcome, recording.url_of(draft.file_id))
    draft.gaps = None
    script = draft.finished()
    assert audit([script], play([script])) == []


@pytest.fixture
def plan():
    return make_plan(2, 60, SECONDS, START)


@pytest.fixture
def evidence(plan):
    return play(plan)


def script_of(plan, scenario):
    return next(each for each in plan if each.scenario == scenario)


def found(plan, evidence):
    return [(each.what, each.file_id) for each in audit(plan, evidence)]


def test_an_outcome_that_is_missing_is_lost(plan, evidence):
    gone = evidence.completions.pop()
    assert found(plan, evidence) == [("lost", gone.file_id)]


def test_an_outcome_that_stands_there_twice_is_found(plan, evidence):
    evidence.completions.append(evidence.completions[0])
    assert found(plan, evidence) == [("announced_twice", evidence.completions[0].file_id)]


def test_an_outcome_that_was_not_due_is_found(plan, evidence):
    file_id = script_of(plan, "completed").file_id
    one = next(each for each in evidence.completions if each.file_id == file_id)
    failed = {"outcome": "failed", "url": None, "id": outcome_id(file_id, one.generation, "failed")}
    evidence.completions.append(one.model_copy(update=failed))
    assert found(plan, evidence) == [("unexpected", file_id)]


def test_another_url_than_the_first_is_found(plan, evidence):
    wrong = evidence.completions[0].model_copy(update={"url": "https://media.example/aborted"})
    evidence.completions[0] = wrong
    assert found(plan, evidence) == [("unexpected", wrong.file_id)]


def test_outcomes_in_the_wrong_order_are_found(plan, evidence):
    file_id = script_of(plan, "late").file_id
    evidence.completions.reverse()
    assert ("unexpected", file_id) in found(plan, evidence)


def test_an_outcome_of_a_file_that_nobody_tracked_is_found(plan, evidence):
    stranger = "998d1234-5678-4abc-8def-0123456789ab"
    evidence.completions.append(evidence.completions[0].model_copy(update={"file_id": stranger}))
    assert found(plan, evidence) == [("unexpected", stranger)]


@pytest.mark.parametrize(
    "older", [{"outcome": "failed", "url": None}, {"url": "https://media.example/aborted"}, {"watching": True}]
)
def test_a_document_that_shows_something_else_is_stale(plan, evidence, older):
    file_id = script_of(plan, "completed").file_id
    evidence.documents[file_id] = evidence.documents[file_id].model_copy(update=older)
    assert found(plan, evidence) == [("stale_documents", file_id)]


@pytest.mark.parametrize("off", [-1, 1])
def test_an_event_that_was_applied_twice_or_not_at_all_is_found(plan, evidence, off):
    file_id = script_of(plan, "completed").file_id
    job = evidence.documents[file_id]
    evidence.documents[file_id] = job.model_copy(update={"gaps": job.gaps + off})
    assert found(plan, evidence) == [("miscounted_documents", file_id)]
    assert audit(plan, evidence, said_again={file_id}) == []


@pytest.mark.parametrize("document", ["none", "processing"])
def test_a_job_that_has_not_ended_is_found(plan, evidence, document):
    file_id = script_of(plan, "completed").file_id
    open_job = evidence.documents[file_id].model_copy(update={"outcome": None, "status": "processing"})
    evidence.documents[file_id] = None if document == "none" else open_job
    assert found(plan, evidence) == [("unended_jobs", file_id)]


def test_a_watch_that_was_left_open_is_found(plan, evidence):
    job = evidence.documents[plan[0].file_id]
    evidence.watches[job.file_id] = Watch(
        file_id=job.file_id, generation="r1", kind="video", tracked_at=START, deadline_at=START + timedelta(minutes=7)
    )
    assert found(plan, evidence) == [("open_watches", job.file_id)]


def test_a_storage_request_that_is_missing_repeated_or_wrong_is_found(plan, evidence):
    one = evidence.storage[0]
    evidence.storage.append(one)
    assert found(plan, evidence) == [("announced_twice", one.file_id)]
    evidence.storage = [each for each in evidence.storage if each.file_id != one.file_id]
    assert ("lost", one.file_id) in found(plan, evidence)
    evidence.storage.append(one.model_copy(update={"url": "https://media.example/aborted"}))
    assert ("unexpected", one.file_id) in found(plan, evidence)


def test_an_artifact_that_is_repeated_or_does_not_show_the_outcome_is_found(plan, evidence):
    script = script_of(plan, "completed")
    last = [each for each in evidence.artifacts if each.file_id == script.file_id][-1]
    evidence.artifacts.append(last)
    assert found(plan, evidence) == [("announced_twice", script.file_id)]
    evidence.artifacts[-1] = last.model_copy(update={"version": last.version + 1, "outcome": None})
    assert found(plan, evidence) == [("stale_documents", script.file_id)]


def test_dead_letters_that_are_missing_or_of_good_records_are_found(plan, evidence):
    evidence.dead_letters *= 2  # a repeat is allowed
    assert found(plan, evidence) == []
    evidence.dead_letters.append(("invalid", b"{}"))
    assert found(plan, evidence) == [("dead_letters", None)]
    evidence.dead_letters = []
    assert {what for what, _ in found(plan, evidence)} == {"dead_letters"}
    assert ("dead_letters", script_of(plan, "poisoned").file_id) in found(plan, evidence)


def test_what_a_second_reading_changes_is_found(plan, evidence):
    assert changed(evidence, play(plan)) == []
    again = play(plan)
    file_id = plan[0].file_id
    again.documents[file_id] = again.documents[file_id].model_copy(update={"version": 99})
    again.completions.append(again.completions[0])
    assert [(each.what, each.file_id) for each in changed(evidence, again)] == [
        ("changed_by_reset", file_id),
        ("changed_by_reset", None),
    ]


def test_every_url_that_is_due_is_due_once_per_generation(plan):
    for script in plan:
        assert len({(each.generation, each.outcome) for each in script.announced}) == len(script.announced)
        assert all(isinstance(each, Announced) for each in script.announced)
