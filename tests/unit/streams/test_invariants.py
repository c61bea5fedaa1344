"""What holds for every series of events: any order, any repetition, any loss."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import (
    Artifact,
    Cancel,
    ChatRef,
    Check,
    Completion,
    Expired,
    Failure,
    Gap,
    Job,
    Progress,
    Result,
    Snapshot,
    StorageRequest,
    TaskChange,
    Track,
    Watch,
)
from schemas.base import Record
from schemas.codec import decode_artifact, decode_completion, decode_job, decode_storage_request, decode_watch, encode
from schemas.ids import outcome_id
from streams.machine import Forget, advance

FILE = "998d1234-5678-4abc-8def-0123456789ab"
T0 = datetime(2026, 1, 2, tzinfo=UTC)

moments = st.integers(0, 2_000).map(lambda seconds: T0 + timedelta(seconds=seconds))
generations = st.sampled_from(["r1", "r2", "r3"])
urls = st.sampled_from([f"https://x.example/{name}" for name in ("1.mp4", "2.mp4", "3.mp4", "ref.png", "plain")])
upstream_ids = st.sampled_from([None, "u1", "u2"])
tasks = st.sampled_from([None, "t1", "t2"])
seen = {
    "file_id": st.just(FILE),
    "source": st.sampled_from(["sse", "poll", "check"]),
    "observed_at": moments,
    "generation": st.one_of(st.none(), generations),
}
statuses = st.sampled_from(["pending", "in_progress", "completed", "error"])
chats = st.one_of(st.none(), st.builds(ChatRef, chat_id=st.sampled_from(["a", "b"])))

commands = st.one_of(
    st.builds(
        Track, file_id=st.just(FILE), kind=st.sampled_from(["image", "video", "other"]), issued_at=moments,
        request_id=st.one_of(st.none(), generations), upstream_generation_id=upstream_ids, chat=chats,
    ),
    st.builds(Check, file_id=st.just(FILE), issued_at=moments),
    st.builds(Cancel, file_id=st.just(FILE), issued_at=moments, generation=st.one_of(st.none(), generations)),
)  # fmt: skip
observations = st.one_of(
    st.builds(Progress, **seen, progress=st.floats(0, 100)),
    st.builds(Result, **seen, url=urls, thumbnail_url=st.one_of(st.none(), urls), upstream_generation_id=upstream_ids),
    st.builds(
        Snapshot, **seen, url=st.one_of(st.none(), urls), upstream_generation_id=upstream_ids,
        task_id=tasks, task_status=st.one_of(st.none(), statuses),
    ),
    st.builds(TaskChange, **seen, task_id=tasks, status=statuses),
    st.builds(Failure, **seen, reason=st.just("x"), named=st.booleans(), task_id=tasks),
    st.builds(Gap, **seen, since=moments, until=moments, cause=st.just("reset")),
    st.builds(Expired, **seen),
)  # fmt: skip
events = st.lists(
    st.one_of(commands, observations, st.builds(Forget, finished_before=moments)), min_size=1, max_size=40
)


def run(series):
    """Every step of a series: (job before, event, step)."""
    job = None
    for event in series:
        step = advance(job, event)
        yield job, event, step
        job = step.job


@given(events)
@settings(max_examples=1_000, deadline=None)
def test_a_generation_is_announced_at_most_once_or_once_more_late_until_it_is_forgotten(series):
    told: Counter[tuple[str, str]] = Counter()
    for _, _, step in run(series):
        if step.verdict == "forgotten":
            told.clear()
        for each in step.outputs:
            if isinstance(each, Completion):
                assert each.id == outcome_id(each.file_id, each.generation, each.outcome)
                told[each.generation, each.outcome] += 1
                others = {outcome for generation, outcome in told if generation == each.generation} - {each.outcome}
                assert told[each.generation, each.outcome] == 1
                assert not others or (others == {"timed_out"} and each.late)


@given(events)
@settings(max_examples=500, deadline=None)
def test_every_ended_generation_was_announced_with_the_outcome_its_document_has(series):
    for before, _, step in run(series):
        if step.job is not None and step.job.outcome and (before is None or step.job.outcome != before.outcome):
            assert (step.job.generation, step.job.outcome) in {
                (each.generation, each.outcome) for each in step.outputs if isinstance(each, Completion)
            }


@given(events)
@settings(max_examples=500, deadline=None)
def test_progress_never_falls_and_versions_grow_within_a_generation(series):
    for before, _, step in run(series):
        if before is not None and step.job is not None and step.job is not before:
            assert step.job.version > before.version
            if step.job.generation == before.generation:
                assert step.job.progress >= before.progress


@given(events, observations)
@settings(max_examples=1_000, deadline=None)
def test_a_stale_observation_changes_nothing(series, observation):
    job = None
    for _, _, step in run(series):
        job = step.job
    if job is None:
        return
    stale_ids = {each.upstream_generation_id for each in job.earlier} - {None, job.upstream_generation_id}
    stale_urls = {each.url for each in job.earlier} - {None}
    if (
        getattr(observation, "url", None) in stale_urls
        or getattr(observation, "upstream_generation_id", None) in stale_ids
        or observation.generation not in (None, job.generation)
    ):
        step = advance(job, observation)
        assert step.job is job
        assert not step.outputs


@given(st.lists(observations, min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=500, deadline=None)
def test_repeats_in_any_order_leave_one_outcome(series, random):
    begun = advance(None, Track(file_id=FILE, kind="video", request_id="r1", issued_at=T0)).job
    repeated = series + random.choices(series, k=len(series))
    job, completions = begun, []
    for event in repeated:
        step = advance(job, event)
        completions += [each for each in step.outputs if isinstance(each, Completion)]
        job = step.job
    once = begun
    for event in series:
        once = advance(once, event).job
    # (a late URL may be among the repeats of one that was there before the time-out: then it has won already)
    assert job.outcome == once.outcome or (once.outcome == "timed_out" and job.late)
    assert len(completions) <= 2
    assert job.url == once.url or job.late


DECODERS = {
    Job: decode_job, Watch: decode_watch, Completion: decode_completion, Artifact: decode_artifact,
    StorageRequest: decode_storage_request,
}  # fmt: skip


@given(events)
@settings(max_examples=300, deadline=None)
def test_every_document_and_output_is_what_its_bytes_are_read_as(series):
    """They are assembled from validated values and not validated again: a reader's validation must agree."""
    for _, _, step in run(series):
        for record in (step.job, *step.outputs):
            if isinstance(record, Record):
                assert DECODERS[type(record)](encode(record)) == record


@given(events)
@settings(max_examples=200, deadline=None)
def test_the_same_series_gives_the_same_documents_and_outputs(series):
    assert list(run(series)) == list(run(series))
