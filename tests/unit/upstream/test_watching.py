"""Watches and their streams against a server of our own, over real sockets."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from aiohttp import web
from unit.upstream.fake_upstream import until

from schemas import Expired, Failure, Gap, Progress, Result, Snapshot, TaskChange

URL = "https://media.example/a.mp4"


@pytest.fixture
def file_id() -> str:
    return str(uuid.uuid4())


async def test_a_watch_subscribes_first_and_then_looks_once(start, upstream, letters, make_watch, file_id):
    async with start() as fleet:
        fleet.put(make_watch(file_id))
        await upstream.line(f"file.{file_id}")
        (seen,) = await until(lambda: letters.of(Snapshot))
        assert (seen.file_id, seen.source, seen.generation) == (file_id, "poll", "one")
        assert upstream.connects[0] <= upstream.gets[0][1]
    assert upstream.looks(file_id) == 1


async def test_what_the_stream_says_is_told_under_the_watchs_generation(start, upstream, letters, make_watch, file_id):
    async with start() as fleet:
        fleet.put(make_watch(file_id, generation="two"))
        line = await upstream.line(f"file.{file_id}")
        await line.say("render_progress", {"progress": 0.5})
        await line.write(b'data: {"type": "render_res')
        await line.write(b'ult", "object": {"url": "%s"}}\n\n' % URL.encode())
        (result,) = await until(lambda: letters.of(Result))
        (progress,) = letters.of(Progress)
        assert (progress.progress, result.url) == (50, URL)
        assert {(each.generation, each.source) for each in (progress, result)} == {("two", "sse")}


async def test_without_a_stream_the_file_is_polled_until_there_is_one(start, upstream, letters, make_watch, file_id):
    upstream.refuse_streams = lambda: web.Response(status=524)
    async with start(poll_after_seconds=0.05, poll_steps_seconds=(0.02,)) as fleet:
        fleet.put(make_watch(file_id))
        await until(lambda: upstream.looks(file_id) >= 4)
        assert {each.source for each in letters.of(Snapshot)} == {"poll"}
        upstream.refuse_streams = None
        line = await upstream.line(f"file.{file_id}")
        await line.write(b": ping\n\n")
        await line.say("render_progress", {"progress": 1})
        await until(lambda: letters.of(Progress))
        polled = upstream.looks(file_id)
        await asyncio.sleep(0.2)  # ten polls' time
        assert upstream.looks(file_id) - polled <= 1


@pytest.mark.parametrize("fault", ["end", "reset", "silence"])
async def test_a_lost_stream_comes_back_with_a_look_and_tells_the_gap(
    start, upstream, letters, make_watch, file_id, fault
):
    async with start(bytes_seconds=0.3) as fleet:
        fleet.put(make_watch(file_id))
        line = await upstream.line(f"file.{file_id}")
        await line.write(b": ping\n\n")
        await until(lambda: upstream.looks(file_id) == 1)
        if fault == "end":
            line.end()
        elif fault == "reset":
            line.reset()
        await upstream.line(f"file.{file_id}", 2)
        (gap,) = await until(lambda: letters.of(Gap))
        await until(lambda: upstream.looks(file_id) == 2)
        assert gap.cause == {"end": "ended", "reset": "reset", "silence": "silent"}[fault]
        assert (gap.file_id, gap.generation) == (file_id, "one")
        assert gap.since < gap.until
        if fault == "silence":  # it was lost when it fell silent, not when we noticed
            assert gap.until - gap.since >= timedelta(seconds=0.25)


async def test_an_end_without_url_is_a_reason_to_look_and_to_keep_looking(
    start, upstream, letters, make_watch, file_id
):
    async with start(poll_steps_seconds=(0.03,), events_seconds=0.03) as fleet:
        fleet.put(make_watch(file_id))
        line = await upstream.line(f"file.{file_id}")
        await until(lambda: upstream.looks(file_id) == 1)
        await line.say("task_status", {"status": "COMPLETED"})
        await until(lambda: upstream.looks(file_id) >= 5)
        upstream.answers[file_id] = {"id": file_id, "url": URL, "tasks": []}
        await until(lambda: [each for each in letters.of(Snapshot) if each.url == URL])
        assert letters.of(TaskChange)[0].status == "completed"


async def test_a_stream_that_says_the_same_again_brings_no_news_of_the_job(start, upstream, make_watch, file_id):
    async with start(job_seconds=0.3, events_seconds=50) as fleet:
        fleet.put(make_watch(file_id))
        line = await upstream.line(f"file.{file_id}")
        await until(lambda: upstream.looks(file_id) == 1)
        while upstream.looks(file_id) < 3:
            await line.say("task", {"id": "64fd", "status": "in_progress", "file_id": file_id})
            await asyncio.sleep(0.02)


async def test_at_the_deadline_a_full_send_buffer_is_waited_for(start, upstream, letters, make_watch, file_id):
    async with start(last_look_seconds=0.1) as fleet:
        fleet.put(make_watch(file_id, seconds=0.5))
        await until(lambda: letters.of(Snapshot))
        letters.full = True
        upstream.answers[file_id] = {"id": file_id, "url": URL}
        await asyncio.sleep(1)
        assert letters.of(Expired) == []
        letters.full = False
        await until(lambda: letters.of(Expired))
        assert [each.url for each in letters.observations[-2:-1]] == [URL]


async def test_at_the_deadline_the_upstreams_own_time_is_waited_for(start, upstream, letters, make_watch, file_id):
    other = str(uuid.uuid4())
    async with start(last_look_seconds=0.1) as fleet:
        fleet.put(make_watch(file_id, seconds=0.7))
        await until(lambda: letters.of(Snapshot))
        upstream.answers[other] = lambda: web.Response(status=429, headers={"Retry-After": "1.5"})
        fleet.put(make_watch(other))
        shut_until = await until(lambda: fleet._shared.budget.shut_until > 0 and fleet._shared.budget.shut_until)
        upstream.answers.clear()
        await until(lambda: letters.of(Expired))
        assert upstream.looks(file_id) == 2
        assert [at >= shut_until for name, at in upstream.gets if name == file_id] == [False, True]


async def test_at_the_deadline_a_long_line_is_waited_for(start, upstream, letters, make_watch):
    files = [str(uuid.uuid4()) for _ in range(60)]
    for each in files:
        upstream.answers[each] = {"id": each, "url": URL}
    async with start(last_look_seconds=0.1, requests_per_second=40, burst=1) as fleet:
        for each in files:
            fleet.put(make_watch(each, seconds=0))
        await until(lambda: len(letters.of(Expired)) == 60, 20)
        assert {each.file_id for each in letters.of(Snapshot) if each.url} == set(files)


async def test_an_end_that_is_told_twice_is_one_look(start, upstream, letters, make_watch, file_id):
    async with start(poll_steps_seconds=(50,)) as fleet:
        fleet.put(make_watch(file_id))
        line = await upstream.line(f"file.{file_id}")
        await until(lambda: upstream.looks(file_id) == 1)
        await line.say("task", {"id": str(uuid.uuid4()), "status": "completed", "file_id": file_id})
        await until(lambda: upstream.looks(file_id) == 2)
        await line.say("task_status", {"status": "COMPLETED"})
        await line.say("error", "something")
        await until(lambda: upstream.looks(file_id) == 3)
        assert len(letters.of(TaskChange)) == 2


async def test_an_error_that_names_no_file_is_told_as_such_and_looked_after(
    start, upstream, letters, make_watch, file_id
):
    async with start() as fleet:
        fleet.put(make_watch(file_id))
        line = await upstream.line(f"file.{file_id}")
        await until(lambda: upstream.looks(file_id) == 1)
        await line.say("error", "something")
        await until(lambda: upstream.looks(file_id) == 2)
        (failure,) = letters.of(Failure)
        assert (failure.named, failure.message) == (False, "something")


async def test_a_live_stream_without_events_is_asked_beside(start, upstream, make_watch, file_id):
    async with start(events_seconds=0.1) as fleet:
        fleet.put(make_watch(file_id))
        await upstream.line(f"file.{file_id}")
        await until(lambda: upstream.looks(file_id) >= 4)
        assert len(upstream.connects) == 1


async def test_events_without_news_of_the_job_are_a_reason_to_look(start, upstream, make_watch, file_id):
    async with start(job_seconds=0.3, events_seconds=50) as fleet:
        fleet.put(make_watch(file_id))
        line = await upstream.line(f"file.{file_id}")
        await until(lambda: upstream.looks(file_id) == 1)
        while upstream.looks(file_id) < 2:
            await line.say("render_progress", {"progress": 40})
            await asyncio.sleep(0.02)


async def test_a_check_is_one_look_now_with_source_check(start, upstream, letters, make_watch, file_id):
    async with start() as fleet:
        watch = make_watch(file_id)
        fleet.put(watch)
        await until(lambda: letters.of(Snapshot))
        for number in range(1, 11):
            fleet.put(watch.model_copy(update={"check": number}))
        await until(lambda: len(letters.of(Snapshot)) == 2)
        fleet.put(watch.model_copy(update={"check": 10}))
        await asyncio.sleep(0.1)
        assert [each.source for each in letters.of(Snapshot)] == ["poll", "check"]


async def test_a_check_goes_ahead_of_the_line(start, upstream, letters, make_watch, file_id):
    late = [make_watch(str(uuid.uuid4()), seconds=100 + number) for number in range(30)]
    async with start(requests_per_second=50) as fleet:
        mine = make_watch(file_id, seconds=500)
        for each in (*late, mine):
            fleet.put(each)
        await until(lambda: len(upstream.gets) >= 3)
        fleet.put(mine.model_copy(update={"check": 1}))
        await until(lambda: upstream.looks(file_id))
        assert len(upstream.gets) < 20
        assert [each.source for each in letters.of(Snapshot) if each.file_id == file_id] in ([], ["check"])


async def test_a_404_is_not_visible_yet_for_a_while_and_then_not_found(start, upstream, letters, make_watch, file_id):
    upstream.answers[file_id] = web_404
    async with start(not_found_seconds=0.4, poll_steps_seconds=(0.05,)) as fleet:
        fleet.put(make_watch(file_id))
        await until(lambda: upstream.looks(file_id) >= 3)
        assert letters.of(Failure) == []
        (failure,) = await until(lambda: letters.of(Failure))
        assert (failure.reason, failure.named, failure.generation) == ("not_found", True, "one")
        told_at = upstream.looks(file_id)
        await asyncio.sleep(0.3)
        assert upstream.looks(file_id) == told_at
        assert len(letters.of(Failure)) == 1


async def test_a_file_that_becomes_visible_is_not_failed(start, upstream, letters, make_watch, file_id):
    upstream.answers[file_id] = web_404
    async with start(not_found_seconds=5, poll_steps_seconds=(0.02,)) as fleet:
        fleet.put(make_watch(file_id))
        await until(lambda: upstream.looks(file_id) >= 2)
        del upstream.answers[file_id]
        await until(lambda: letters.of(Snapshot))
        assert letters.of(Failure) == []


async def test_at_the_deadline_comes_one_last_look_and_then_the_expiry(start, upstream, letters, make_watch, file_id):
    async with start() as fleet:
        fleet.put(make_watch(file_id, seconds=0.3))
        line = await upstream.line(f"file.{file_id}")
        (expired,) = await until(lambda: letters.of(Expired))
        assert (expired.file_id, expired.generation) == (file_id, "one")
        assert upstream.looks(file_id) == 2
        assert letters.observations[-2:] == [letters.of(Snapshot)[-1], expired]
        await asyncio.wait_for(line.hung_up.wait(), 5)


async def test_a_result_of_the_last_look_is_told_before_the_expiry(start, upstream, letters, make_watch, file_id):
    upstream.answers[file_id] = {"id": file_id, "url": URL, "tasks": []}
    async with start() as fleet:
        fleet.put(make_watch(file_id, seconds=-5))
        await until(lambda: letters.of(Expired))
        assert [type(each) for each in letters.observations] == [Snapshot, Expired]


async def test_the_expiry_does_not_wait_for_an_upstream_that_is_down(start, upstream, letters, make_watch, file_id):
    upstream.answers[file_id] = lambda: web.Response(status=500)
    async with start(last_look_seconds=0.2) as fleet:
        fleet.put(make_watch(file_id, seconds=0.1))
        await until(lambda: letters.of(Expired))
        assert upstream.looks(file_id) >= 3


async def test_a_check_on_an_expired_watch_looks_and_expires_again(start, upstream, letters, make_watch, file_id):
    async with start() as fleet:
        watch = make_watch(file_id, seconds=-5)
        fleet.put(watch)
        await until(lambda: letters.of(Expired))
        fleet.put(watch)
        fleet.put(watch.model_copy(update={"check": 1}))
        await until(lambda: len(letters.of(Expired)) == 2)
        assert [each.source for each in letters.of(Snapshot)] == ["poll", "check"]


async def test_a_refused_token_fails_no_job_and_is_said_until_it_is_accepted(
    start, upstream, letters, make_watch, file_id
):
    upstream.answers[file_id] = lambda: web.Response(status=401)
    upstream.refuse_streams = lambda: web.Response(status=401)
    async with start(refused_seconds=0.1, last_look_seconds=0.1) as fleet:
        budget = fleet._shared.budget
        fleet.put(make_watch(file_id, seconds=0.2))
        await until(lambda: len(upstream.connects) >= 3 and upstream.looks(file_id) >= 3)
        assert "token" in budget.refusal
        assert letters.observations == []
        assert len(upstream.connects) + len(upstream.gets) < 30
        upstream.refuse_streams = None
        del upstream.answers[file_id]
        await until(lambda: letters.of(Expired))
        assert letters.of(Snapshot)
        assert budget.refusal is None


async def test_a_429_stops_the_whole_host_for_as_long_as_it_says(start, upstream, make_watch, file_id):
    other = str(uuid.uuid4())
    async with start(requests_per_second=1000) as fleet:
        fleet.put(make_watch(other))
        await until(lambda: upstream.looks(other) == 1)
        upstream.answers[file_id] = lambda: web.Response(status=429, headers={"Retry-After": "1"})
        fleet.put(make_watch(file_id))
        await until(lambda: upstream.looks(file_id) == 1)
        shut_until = await until(lambda: fleet._shared.budget.shut_until > 0 and fleet._shared.budget.shut_until)
        upstream.answers.clear()
        fleet.put(make_watch(other, check=1))
        await until(lambda: upstream.looks(other) == 2 and upstream.looks(file_id) == 2)
        assert all(at >= shut_until for _, at in upstream.gets[2:])  # one clock: monotonic


async def test_server_errors_are_backed_off_and_lose_nothing(start, upstream, letters, make_watch, file_id):
    failures = iter([web.Response(status=500), web.Response(status=502), web.Response(text="<html>")])
    upstream.answers[file_id] = lambda: next(failures, {"id": file_id, "url": URL})
    async with start() as fleet:
        fleet.put(make_watch(file_id))
        (seen,) = await until(lambda: letters.of(Snapshot))
        assert seen.url == URL
        assert upstream.looks(file_id) == 4
        assert [each.value for each in letters.dead] == [b"<html>"]


async def test_a_tombstone_closes_the_stream_and_stops_the_polls_at_once(start, upstream, make_watch, file_id):
    async with start(poll_after_seconds=0.01, poll_steps_seconds=(0.02,), first_byte_seconds=0.01) as fleet:
        fleet.put(make_watch(file_id))
        line = await upstream.line(f"file.{file_id}")
        await until(lambda: upstream.looks(file_id) >= 3)
        fleet.drop(file_id)
        await asyncio.wait_for(line.hung_up.wait(), 5)
        polled = upstream.looks(file_id)
        await asyncio.sleep(0.2)
        assert upstream.looks(file_id) == polled
        assert len(upstream.connects) == 1


async def test_a_new_generation_is_looked_at_again_on_the_same_stream(start, upstream, letters, make_watch, file_id):
    async with start() as fleet:
        fleet.put(make_watch(file_id, generation="one"))
        line = await upstream.line(f"file.{file_id}")
        await until(lambda: upstream.looks(file_id) == 1)
        fleet.put(make_watch(file_id, generation="two"))
        await until(lambda: upstream.looks(file_id) == 2)
        await line.say("render_progress", {"progress": 5})
        (seen,) = await until(lambda: letters.of(Progress))
        assert seen.generation == "two"
        assert letters.of(Snapshot)[-1].generation == "two"
        assert len(upstream.connects) == 1
        assert not line.hung_up.is_set()


async def test_the_same_watch_again_changes_nothing(start, upstream, make_watch, file_id):
    async with start() as fleet:
        watch = make_watch(file_id)
        fleet.put(watch)
        await until(lambda: upstream.looks(file_id) == 1)
        fleet.put(watch)
        await asyncio.sleep(0.1)
        assert upstream.looks(file_id) == 1
        assert len(upstream.connects) == 1


async def test_a_full_send_buffer_stops_reading_until_there_is_room(start, upstream, letters, make_watch, file_id):
    async with start(bytes_seconds=0.3) as fleet:
        fleet.put(make_watch(file_id))
        line = await upstream.line(f"file.{file_id}")
        await until(lambda: letters.of(Snapshot))
        letters.full = True
        await line.say("render_progress", {"progress": 0})
        await until(lambda: letters.of(Progress))
        for number in range(1, 50):
            await line.say("render_progress", {"progress": number})
        await asyncio.sleep(0.5)  # longer than a stream that is read may be silent
        assert len(letters.of(Progress)) == 1
        assert upstream.looks(file_id) == 1
        letters.full = False
        await until(lambda: len(letters.of(Progress)) == 50)
        # The server may have dropped what it could not send.
        await until(lambda: upstream.looks(file_id) == 2)
        assert len(upstream.connects) == 1


async def test_a_full_send_buffer_stops_the_polls_too(start, upstream, letters, make_watch, file_id):
    upstream.refuse_streams = lambda: web.Response(status=524)
    async with start(poll_after_seconds=0.01, poll_steps_seconds=(0.02,)) as fleet:
        fleet.put(make_watch(file_id))
        await until(lambda: upstream.looks(file_id) >= 2)
        letters.full = True
        await asyncio.sleep(0.1)
        polled = upstream.looks(file_id)
        await asyncio.sleep(0.2)  # ten polls' time
        assert upstream.looks(file_id) == polled
        letters.full = False
        await until(lambda: upstream.looks(file_id) > polled)


async def test_a_broken_frame_goes_to_the_dead_letters_with_its_bytes(start, upstream, letters, make_watch, file_id):
    async with start() as fleet:
        fleet.put(make_watch(file_id))
        line = await upstream.line(f"file.{file_id}")
        await line.write(b"data: {oops \xff\n\ndata: \n\n")
        await line.say("render_progress", {"progress": 5})
        await until(lambda: letters.of(Progress))
        (dead,) = letters.dead
        assert (dead.reason, dead.value, dead.topic) == ("not_json", b"{oops \xff", f"file.{file_id}")
        assert (dead.partition, dead.offset) == (-1, -1)


async def test_the_nearest_deadline_connects_first(start, upstream, make_watch):
    watches = [make_watch(str(uuid.uuid4()), seconds=seconds) for seconds in (500, 100, 400, 200, 300, 600)]
    async with start(connects_per_second=20) as fleet:
        for each in watches:
            fleet.put(each)
        await until(lambda: len(upstream.connects) == 6)
        in_order = [channel.removeprefix("file.") for channel in upstream.lines]
        by_deadline = [each.file_id for each in sorted(watches, key=lambda each: each.deadline_at)]
        # The first to come found nobody before it in the line.
        assert in_order[2:] == [each for each in by_deadline if each in in_order[2:]]


async def test_a_frame_that_the_end_of_the_stream_cut_off_is_no_dead_letter_and_a_whole_one_counts(
    start, upstream, letters, make_watch, file_id
):
    async with start() as fleet:
        fleet.put(make_watch(file_id))
        line = await upstream.line(f"file.{file_id}")
        await line.write(b'data: {"type": "render_pro')
        line.end()
        line = await upstream.line(f"file.{file_id}", 2)
        await line.write(b'data: {"type": "render_progress", "object": {"progress": 7}}')
        line.end()
        (seen,) = await until(lambda: letters.of(Progress))
        assert seen.progress == 7
        assert letters.dead == []


def web_404() -> web.Response:
    return web.Response(status=404)
