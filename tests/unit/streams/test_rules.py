"""The rules of the state machine by example, in the order of ARCHITECTURE.md."""

from datetime import UTC, datetime, timedelta

import pytest

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
from schemas.ids import outcome_id
from streams.machine import Advance, Forget, advance
from streams.outputs import EndWatch

FILE = "998d1234-5678-4abc-8def-0123456789ab"
T0 = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
URL = f"https://cdn.example.com/2026/1/2/{FILE}.mp4"
CHAT = ChatRef(chat_id="7f000000-0000-4000-8000-000000000001", message_id="m-1")


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def track(request_id: str | None = "r1", seconds: float = 0, **fields) -> Track:
    return Track(**{"file_id": FILE, "kind": "video", "request_id": request_id, "issued_at": at(seconds), **fields})


def seen(shape, seconds: float = 10, source: str = "sse", **fields):
    return shape(file_id=FILE, source=source, observed_at=at(seconds), **fields)


def play(*events, job: Job | None = None) -> Advance:
    """The last step of a series."""
    step = Advance(job, (), "nothing_new")
    for event in events:
        step = advance(step.job, event)
    return step


def told(step: Advance, shape) -> list:
    return [each for each in step.outputs if isinstance(each, shape)]


def unchanged(job: Job, event) -> bool:
    step = advance(job, event)
    return step.job is job and not step.outputs


class TestGeneration:
    def test_track_starts_a_pending_job_and_a_watch_with_the_deadline_of_its_kind(self):
        step = play(track(chat=CHAT))
        assert (step.job.status, step.job.generation, step.job.version) == ("pending", "r1", 1)
        assert told(step, Watch)[0].deadline_at == at(900)
        assert told(step, Artifact)[0].chat == CHAT
        assert told(play(track(kind="image")), Watch)[0].deadline_at == at(420)
        assert told(play(track(deadline_seconds=5)), Watch)[0].deadline_at == at(5)

    def test_generation_is_the_request_then_the_upstreams_id_then_one_derived_from_the_command(self):
        assert play(track("r1", upstream_generation_id="u1")).job.generation == "r1"
        assert play(track(None, upstream_generation_id="u1")).job.generation == "u1"
        anonymous = play(track(None)).job.generation
        assert anonymous == play(track(None)).job.generation != play(track(None, seconds=1)).job.generation

    @pytest.mark.parametrize(
        "done", [[], [seen(Result, url=URL)], [seen(Expired)], [Cancel(file_id=FILE, issued_at=at(3))]]
    )
    def test_the_same_track_again_changes_nothing(self, done):
        job = play(track(chat=CHAT), *done).job
        assert unchanged(job, track(chat=CHAT, seconds=60))

    def test_a_second_chat_joins_and_is_told_the_state(self):
        other = ChatRef(chat_id="video-generator-tool")
        step = play(track(chat=CHAT), seen(Result, url=URL), track(chat=other, seconds=60))
        assert step.job.chats == (CHAT, other)
        assert [(each.chat, each.url) for each in told(step, Artifact)] == [(other, URL)]
        assert not told(step, Completion)

    def test_a_track_without_ids_joins_what_is_there_but_not_what_ended_without_a_url(self):
        assert play(track("r1"), track(None, seconds=9)).job.generation == "r1"
        assert play(track("r1"), seen(Result, url=URL), track(None, seconds=9)).verdict == "repeated"
        assert play(track("r1"), seen(Expired), track(None, seconds=9)).verdict == "tracked"

    def test_a_new_generation_starts_afresh_and_ends_an_unfinished_one_as_superseded(self):
        step = play(track("r1", chat=CHAT), seen(Progress, progress=60), track("r2", seconds=20))
        assert (step.job.generation, step.job.status, step.job.progress) == ("r2", "pending", 0)
        [ended] = told(step, Completion)
        assert (ended.outcome, ended.generation, ended.reason) == ("superseded", "r1", "superseded")
        assert [(each.generation, each.status) for each in told(step, Artifact)] == [("r1", "error")]
        assert told(step, Watch)[0].generation == "r2"

    def test_an_ended_generation_is_not_told_again_when_the_next_begins(self):
        assert not told(play(track("r1"), seen(Result, url=URL), track("r2", seconds=20)), Completion)

    def test_a_track_of_an_earlier_generation_changes_nothing(self):
        job = play(track("r1"), track("r2", seconds=20)).job
        assert unchanged(job, track("r1", seconds=30))

    def test_a_track_that_was_overtaken_ends_as_superseded_and_leaves_the_job_alone(self):
        step = play(track("r2", seconds=120), track("r1", seconds=0))
        assert [(each.generation, each.outcome) for each in told(step, Completion)] == [("r1", "superseded")]
        assert (step.job.generation, step.job.status) == ("r2", "pending")
        assert not told(step, Watch)
        assert unchanged(step.job, track("r1", seconds=0))

    def test_a_difference_of_clocks_overtakes_nobody(self):
        step = play(track("r1", seconds=20), track("r2", seconds=0))
        assert (step.job.generation, step.verdict) == ("r2", "tracked")

    def test_versions_grow_over_generations(self):
        first = play(track("r1"), seen(Progress, progress=5)).job
        assert play(track("r2", seconds=20), job=first).job.version > first.version


class TestStaleEvidence:
    regenerated = play(track("r1", upstream_generation_id="u1"), seen(Result, url=URL), track("r2", seconds=20)).job

    def test_the_earlier_url_changes_nothing(self):
        assert unchanged(self.regenerated, seen(Result, url=URL))
        assert unchanged(self.regenerated, seen(Snapshot, url=URL, source="poll"))

    def test_the_earlier_upstream_generation_changes_nothing(self):
        assert unchanged(self.regenerated, seen(Result, url=URL + "?v=2", upstream_generation_id="u1"))

    def test_what_was_seen_under_the_earlier_watch_changes_nothing(self):
        for event in (seen(Result, url=URL + "?v=2", generation="r1"), seen(Expired, generation="r1")):
            assert unchanged(self.regenerated, event)

    def test_the_error_of_an_earlier_task_changes_nothing(self):
        job = play(track("r1"), seen(TaskChange, status="error", task_id="t1"), track("r2", seconds=20)).job
        assert unchanged(job, seen(Snapshot, source="poll", task_id="t1", task_status="error"))
        assert play(seen(Snapshot, source="poll", task_id="t2", task_status="error"), job=job).job.outcome == "failed"

    def test_a_fresh_url_completes_the_new_generation(self):
        step = play(seen(Result, url=URL + "?v=2", generation="r2"), job=self.regenerated)
        assert told(step, Completion)[0].generation == "r2"

    def test_an_id_that_the_new_track_names_itself_is_not_stale(self):
        job = play(
            track("r2", seconds=20, upstream_generation_id="u1"), job=play(track("r1", upstream_generation_id="u1")).job
        )
        assert play(seen(Result, url=URL, upstream_generation_id="u1"), job=job.job).job.outcome == "completed"


class TestCompleted:
    def test_a_url_of_the_right_kind_completes_once(self):
        step = play(track(chat=CHAT, project_id="p", user_id="u"), seen(Result, url=URL, thumbnail_url=URL + ".png"))
        [completion] = told(step, Completion)
        assert completion.id == outcome_id(FILE, "r1", "completed")
        assert (completion.url, completion.won_by, completion.late) == (URL, "sse", False)
        assert (completion.project_id, completion.user_id, completion.chat) == ("p", "u", CHAT)
        assert told(step, EndWatch)
        assert [each.role for each in told(step, StorageRequest)] == ["media", "thumbnail"]
        assert (step.job.status, step.job.progress, step.job.finished_at) == ("completed", 100, at(10))
        assert unchanged(step.job, seen(Result, url=URL, source="poll"))
        assert unchanged(step.job, seen(Snapshot, url=URL + "?other", source="check"))

    @pytest.mark.parametrize("source", ["sse", "poll", "check"])
    def test_the_first_source_wins(self, source):
        assert play(track(), seen(Result, url=URL, source=source), seen(Result, url=URL)).job.won_by == source

    @pytest.mark.parametrize(
        ("kind", "url", "fields", "wins"),
        [
            ("video", "https://x.example/a.png", {}, False),
            ("image", "https://x.example/a.mp4", {}, False),
            ("image", "https://x.example/a.WEBP?sig=1", {}, True),
            ("video", "https://x.example/a", {}, True),
            ("video", "https://x.example/a", {"kind": "image"}, False),
            ("video", "https://x.example/a.png", {"content_type": "video/mp4"}, True),
            ("audio", "https://x.example/voice.mpeg", {"kind": "audio"}, True),
            ("other", "https://x.example/a.png", {}, True),
            ("video", "https://x.example/2026/1/2\\a.mp4", {}, True),
        ],
    )
    def test_only_a_url_of_the_jobs_kind_counts(self, kind, url, fields, wins):
        step = play(track(kind=kind), seen(Result, url=url, **fields))
        assert (step.job.outcome == "completed") is wins
        assert wins == (step.verdict == "ended")

    def test_the_url_is_kept_byte_for_byte(self):
        url = "https://x.example/2026/1/2\\a b%20.mp4?x=1&y=ä"
        with pytest.raises(ValueError, match="url"):
            seen(Result, url="javascript:alert(1)")
        assert play(track(), seen(Result, url=url)).job.url == url


class TestFailed:
    @pytest.mark.parametrize(
        "event",
        [
            seen(Snapshot, source="poll", task_status="error", message="out of memory"),
            seen(TaskChange, status="error", message="out of memory"),
            seen(Failure, reason="upstream_error", message="out of memory"),
        ],
    )
    def test_the_newest_task_in_error_or_an_error_that_names_the_file_fails_the_job(self, event):
        step = play(track(), event)
        [completion] = told(step, Completion)
        assert (completion.outcome, completion.reason, completion.message) == ("failed", "upstream", "out of memory")
        assert (step.job.status, step.job.url) == ("error", None)
        assert not told(step, StorageRequest)

    def test_an_error_that_names_no_file_is_no_verdict(self):
        assert unchanged(play(track()).job, seen(Failure, reason="upstream_error", named=False))

    def test_nothing_changes_a_failure(self):
        job = play(track(), seen(TaskChange, status="error")).job
        for event in (
            seen(Result, url=URL),
            seen(Expired),
            Check(file_id=FILE, issued_at=at(99)),
            seen(Progress, progress=99),
        ):
            assert unchanged(job, event)


class TestTaskEndedWithoutUrl:
    def test_it_is_not_an_end(self):
        step = play(
            track(), seen(TaskChange, status="completed"), seen(Snapshot, source="poll", task_status="completed")
        )
        assert (step.job.status, step.job.outcome) == ("processing", None)
        assert play(seen(Snapshot, url=URL, source="poll"), job=step.job).job.outcome == "completed"


class TestProgress:
    def test_it_only_grows_and_never_completes(self):
        step = play(
            track(),
            seen(Progress, progress=40, message="frame 4"),
            seen(Progress, progress=20),
            seen(Progress, progress=100),
        )
        assert (step.job.progress, step.job.status, step.job.outcome) == (100, "processing", None)
        job = play(track(), seen(Progress, progress=40)).job
        assert unchanged(job, seen(Progress, progress=40))
        assert unchanged(job, seen(Progress, progress=39.9))

    def test_the_first_zero_percent_says_that_it_has_begun(self):
        assert play(track(), seen(Progress, progress=0)).job.status == "processing"


class TestDeadline:
    timed_out = play(track(chat=CHAT), seen(Expired, generation="r1", seconds=900)).job

    def test_expiry_ends_the_job_as_timed_out(self):
        step = play(track(), seen(Expired, generation="r1"))
        assert [(each.outcome, each.reason) for each in told(step, Completion)] == [("timed_out", "timed_out")]
        assert told(step, EndWatch)

    def test_a_url_still_wins_once_and_is_marked_late(self):
        step = play(seen(Result, url=URL, seconds=1000), job=self.timed_out)
        [completion] = told(step, Completion)
        assert (completion.outcome, completion.late) == ("completed", True)
        assert completion.id != outcome_id(FILE, "r1", "timed_out")
        assert (step.job.reason, step.job.status) == (None, "completed")
        assert unchanged(step.job, seen(Result, url=URL, source="poll"))
        assert unchanged(step.job, seen(Expired))

    def test_failure_and_progress_after_it_change_nothing(self):
        for event in (seen(Failure, reason="x"), seen(Progress, progress=99), seen(TaskChange, status="error")):
            assert unchanged(self.timed_out, event)


class TestCheck:
    def check(self, seconds):
        return Check(file_id=FILE, issued_at=at(seconds))

    def test_it_raises_the_watchs_counter(self):
        assert told(play(track(), self.check(5)), Watch)[0].check == 1

    def test_ten_in_a_second_are_one(self):
        job = play(track(), self.check(5)).job
        assert all(unchanged(job, self.check(5 + tenth / 10)) for tenth in range(10))
        assert told(play(self.check(6), job=job), Watch)[0].check == 2

    def test_a_clock_ahead_does_not_silence_the_others(self):
        job = play(track(), self.check(3_600)).job
        assert told(play(self.check(5), job=job), Watch)[0].check == 2

    def test_on_a_timed_out_job_it_looks_once_more_and_a_late_url_wins(self):
        asked = play(self.check(1000), job=TestDeadline.timed_out)
        assert told(asked, Watch)[0].check == 1
        assert play(seen(Snapshot, url=URL, source="check"), job=asked.job).job.late

    def test_on_a_timed_out_job_a_look_in_vain_ends_the_watch_and_tells_no_second_time_out(self):
        step = play(self.check(1000), seen(Expired, seconds=1001), job=TestDeadline.timed_out)
        assert step.outputs == (EndWatch(FILE),)

    def test_on_an_ended_job_it_does_nothing(self):
        assert unchanged(play(track(), seen(Result, url=URL)).job, self.check(99))


class TestFreshUrl:
    FRESH = URL + "?signature=2"
    done = play(track(chat=CHAT), seen(Result, url=URL, thumbnail_url=URL + ".png")).job

    def check(self, url=URL, seconds=500):
        return Check(file_id=FILE, expired_url=url, issued_at=at(seconds))

    def looked(self, url, **fields):
        return seen(Snapshot, seconds=501, source="check", url=url, **fields)

    def test_a_look_is_asked_for_and_its_url_is_shown_and_stored_and_announced_no_second_time(self):
        asked = play(self.check(), job=self.done)
        assert told(asked, Watch)[0].check == 1
        step = play(self.looked(self.FRESH), job=asked.job)
        assert (step.job.url, step.job.outcome, step.job.watching) == (self.FRESH, "completed", False)
        assert [(each.url, each.role) for each in told(step, StorageRequest)] == [(self.FRESH, "media")]
        assert told(step, StorageRequest)[0].finished_at == self.done.finished_at  # so its key is the same
        assert told(step, Artifact)[0].url == self.FRESH
        assert told(step, EndWatch)
        assert not told(step, Completion)

    def test_a_thumbnails_url_is_made_fresh_by_itself(self):
        asked = play(self.check(URL + ".png"), job=self.done).job
        step = play(self.looked(URL, thumbnail_url=URL + "2.png"), job=asked)
        assert [(each.url, each.role) for each in told(step, StorageRequest)] == [(URL + "2.png", "thumbnail")]
        assert step.job.url == URL

    def test_a_look_that_finds_nothing_fresh_ends_the_watch(self):
        asked = play(self.check(), job=self.done).job
        for url in (URL, None, URL + ".png"):
            step = play(self.looked(url), job=asked)
            assert (step.outputs, step.job.url) == ((EndWatch(FILE),), URL)
        assert unchanged(asked, seen(Result, url=URL))  # what the stream repeats is not that look

    def test_a_url_that_is_not_the_jobs_any_more_is_not_asked_about(self):
        fresh = play(self.check(), self.looked(self.FRESH), job=self.done).job
        assert unchanged(fresh, self.check(URL, seconds=900))
        assert told(play(self.check(self.FRESH, seconds=900), job=fresh), Watch)

    def test_only_a_completed_job_has_urls_that_expire(self):
        for job in (play(track()).job, TestDeadline.timed_out):
            assert unchanged(job, self.check())

    def test_nobody_asked_so_another_url_changes_nothing(self):
        assert unchanged(self.done, self.looked(self.FRESH))

    def test_the_old_url_is_stale_for_a_later_generation(self):
        fresh = play(self.check(), self.looked(self.FRESH), job=self.done).job
        again = play(track("r2", seconds=600), job=fresh).job
        for url in (URL, self.FRESH):
            assert unchanged(again, seen(Result, url=url, seconds=601))


class TestCancel:
    def test_it_ends_job_and_watch(self):
        step = play(track(), Cancel(file_id=FILE, issued_at=at(5)))
        assert [each.outcome for each in told(step, Completion)] == ["cancelled"]
        assert told(step, EndWatch)
        assert unchanged(step.job, seen(Result, url=URL))

    def test_of_another_generation_it_does_nothing(self):
        assert unchanged(play(track()).job, Cancel(file_id=FILE, generation="r0", issued_at=at(5)))


class TestUnknownFile:
    @pytest.mark.parametrize(
        "event",
        [
            seen(Result, url=URL),
            seen(Progress, progress=1),
            Check(file_id=FILE, issued_at=T0),
            Cancel(file_id=FILE, issued_at=T0),
        ],
    )
    def test_nothing_is_told_of_a_file_nobody_tracks(self, event):
        assert advance(None, event) == Advance(None, (), "unknown")


class TestAfterTheEnd:
    def test_a_thumbnail_is_added_once_and_makes_no_second_completion(self):
        job = play(track(chat=CHAT), seen(Result, url=URL)).job
        step = play(seen(Snapshot, source="poll", url=URL, thumbnail_url=URL + ".png"), job=job)
        assert step.job.thumbnail_url == URL + ".png"
        assert not told(step, Completion)
        assert [each.role for each in told(step, StorageRequest)] == ["thumbnail"]
        assert unchanged(step.job, seen(Snapshot, source="poll", url=URL, thumbnail_url=URL + ".png"))


class TestForgetting:
    def test_only_a_job_that_finished_before_is_forgotten(self):
        done = play(track(), seen(Result, url=URL, seconds=10)).job
        assert advance(done, Forget(finished_before=at(11))) == Advance(None, (), "forgotten")
        assert advance(done, Forget(finished_before=at(10))).job is done
        open_job = play(track()).job
        assert advance(open_job, Forget(finished_before=at(10**6))).job is open_job


def test_a_gap_is_counted():
    step = play(track(), seen(Gap, since=at(1), until=at(5), cause="reset"))
    assert (step.job.gaps, step.outputs) == (1, ())
