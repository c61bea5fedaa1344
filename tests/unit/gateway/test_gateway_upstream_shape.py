"""The upstream's frames, made of our changes: as our own reader of the upstream understands them."""

import asyncio
from datetime import timedelta

import orjson
import pytest

from connectors.gateway import upstream_shape
from connectors.gateway.shown import ShownJob
from connectors.gateway.upstream_shape import UpstreamShape
from connectors.gateway.view import View
from connectors.upstream.frames import FrameDecoder
from connectors.upstream.parser import Channel, Sight, parse_frame

URL = "https://cdn.example/2026-1-2/a\\b.mp4?x=%20"


@pytest.fixture
def change(job, now):
    view = View(10_000, timedelta(days=1))
    offset = iter(range(100_000))

    def change(number=1, **fields):
        public = ShownJob.model_validate(job(number, **fields).model_dump())
        return view.apply(0, next(offset), public.file_id, public, now)

    return change


def said(shape, *changes):
    """The frames as JSON."""
    return [orjson.loads(each.removeprefix(b"data: ")) for each in shape.frames(changes)]


def types(shape, *changes):
    return [each["type"] for each in said(shape, *changes)]


def understood(bytes_, now, file_id):
    """What the upstream's parser makes of the bytes of a stream."""
    found = []
    for frame in FrameDecoder().feed(bytes_):
        parsed = parse_frame(frame.data, Channel("file", file_id), Sight("sse", now))
        assert not parsed.broken
        assert not parsed.ignored
        found += parsed.observations
    return found


def test_progress_a_result_and_nothing_after_it(change, file_id):
    shape = UpstreamShape()
    assert said(shape, change(progress=42.4, message="frame 6")) == [
        {"type": "render_progress", "object": {"progress": 42, "file_id": file_id(1), "message": "frame 6"}}
    ]
    [result] = said(shape, change(outcome="completed", url=URL, project_id="p", progress=100))
    assert result["type"] == "render_result"
    assert result["object"] == {
        "file_id": file_id(1), "id": file_id(1), "url": URL, "type": "video", "thumbnail_url": None, "project_id": "p",
        "tasks": [],
    }  # fmt: skip
    later = [
        change(outcome="completed", url=URL, thumbnail_url="https://cdn.example/t.png"),
        change(outcome="completed", url="https://cdn.example/fresh.mp4"),
    ]
    assert said(shape, *later) == []


def test_a_change_that_says_nothing_new_is_not_told(change):
    shape = UpstreamShape()
    assert types(shape, change(progress=10)) == ["render_progress"]
    assert types(shape, change(progress=10.2, gaps=1), change(progress=10, thumbnail_url="https://cdn.example/t")) == []
    assert types(shape, change(progress=10, message="new words")) == ["render_progress"]


@pytest.mark.parametrize(("progress", "told"), [(0, 0), (0.4, 0), (0.6, 2), (1, 2), (1.4, 2), (2, 2), (100, 100)])
def test_progress_is_never_a_number_that_clients_take_for_a_fraction(change, progress, told):
    [frame] = said(UpstreamShape(), change(progress=progress))
    assert (frame["object"]["progress"], type(frame["object"]["progress"])) == (told, int)


@pytest.mark.parametrize(
    ("outcome", "fields", "message"),
    [
        ("failed", {"message": "unsafe prompt"}, "unsafe prompt"),
        ("failed", {}, "The generation failed."),
        ("timed_out", {"message": "frame 6 of 9"}, "The generation did not end in time."),
        ("cancelled", {}, "The generation was cancelled."),
    ],
)
def test_an_end_without_a_result_is_one_error_that_names_file_and_reason(change, file_id, outcome, fields, message):
    shape = UpstreamShape()
    ended = change(outcome=outcome, **fields)
    assert said(shape, ended, ended) == [{"type": "error", "object": {"message": message, "file_id": file_id(1)}}]


def test_a_late_result_follows_the_time_out_and_a_new_generation_begins_anew(change):
    shape = UpstreamShape()
    assert types(
        shape,
        change(outcome="timed_out"),
        change(outcome="completed", late=True, url=URL),
        change(outcome="completed", late=True, url=URL),
        change(generation="g2", progress=0),
        change(generation="g2", outcome="completed", url=URL),
    ) == ["error", "render_result", "render_progress", "render_result"]


def test_what_the_upstream_has_no_word_for_is_not_told(change, file_id, now):
    view = View(10, timedelta(days=1))
    assert said(UpstreamShape(), change(outcome="superseded"), change(outcome="completed", url=None)) == []
    shown = ShownJob.model_validate_json(change(2).body)
    view.apply(0, 0, file_id(2), shown, now)
    assert said(UpstreamShape(), view.apply(0, 1, file_id(2), None, now)) == []


def test_what_a_connection_remembers_is_bounded_and_the_longest_silent_goes_first(change, monkeypatch):
    monkeypatch.setattr(upstream_shape, "MAX_FILES", 2)
    shape = UpstreamShape()
    first, second, third = (change(number, outcome="completed", url=URL) for number in (1, 2, 3))
    again = change(1, generation="g2", outcome="completed", url=URL)
    assert len(said(shape, first, second, again, third)) == 4
    assert len(shape._told) == 2
    assert said(shape, again, third) == []


async def read_until(response, *, ends, seconds=10):
    body = b""
    async with asyncio.timeout(seconds):
        async for piece in response.aiter_bytes():
            body += piece
            if ends(body):
                return body
    return body


async def test_our_reader_of_the_upstream_reads_a_whole_job_from_the_stream(stand, job, file_id, now):
    stand.tell(job(1, progress=10, message="queued"))
    async with stand.http.stream("GET", f"/api/events/file.{file_id(1)}?shape=upstream") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        await stand.until(lambda: stand.board._followers)
        stand.tell(job(1, version=2, progress=60))
        stand.tell(job(2, progress=50))
        stand.tell(job(1, version=3, progress=100, outcome="completed", url=URL))
        body = await read_until(response, ends=lambda body: b"render_result" in body and body.endswith(b"\n\n"))
    assert {line.partition(b":")[0] for line in body.splitlines() if line} == {b"", b"data"}  # comments and data only
    first, second, last = understood(body, now, file_id(1))
    assert [(each.type, each.progress, each.message) for each in (first, second)] == [
        ("progress", 10, "queued"), ("progress", 60, None),
    ]  # fmt: skip
    assert (last.type, last.url, last.kind) == ("result", URL, "video")


@pytest.mark.parametrize(
    ("fields", "kind"),
    [({"outcome": "completed", "url": URL}, "result"), ({"outcome": "failed", "message": "no"}, "failure")],
)
async def test_a_job_that_has_ended_tells_its_end_at_once_on_each_connection(stand, job, file_id, now, fields, kind):
    stand.tell(job(1, **fields))
    for _ in range(2):
        async with stand.http.stream("GET", f"/api/events/file.{file_id(1)}?shape=upstream") as response:
            body = await read_until(response, ends=lambda body: b"data:" in body and body.endswith(b"\n\n"))
        [told] = understood(body, now, file_id(1))
        assert told.type == kind


async def test_a_project_tells_what_is_in_the_order_it_came_and_then_each_change(stand, job, file_id):
    stand.tell(job(1, outcome="completed", url=URL, project_id="p"))
    stand.tell(job(2, progress=20, project_id="p"))
    stand.tell(job(3, project_id="q"))
    async with stand.events("/project.p?shape=upstream") as events:
        first = await events.take(2)
        stand.tell(job(2, version=2, outcome="completed", url=URL, project_id="p"))
        last = await events.next()
    frames = [each.json() for each in (*first, last)]
    assert [(each["type"], each["object"]["file_id"]) for each in frames] == [
        ("render_result", file_id(1)), ("render_progress", file_id(2)), ("render_result", file_id(2)),
    ]  # fmt: skip


async def test_an_unknown_file_gets_a_comment_and_pings_until_there_is_something(make_stand, job, file_id):
    stand = await make_stand(ping_seconds=0.05)
    async with stand.http.stream("GET", f"/api/events/file.{file_id(1)}?shape=upstream") as response:
        lines, seen = response.aiter_lines(), []
        async with asyncio.timeout(10):
            async for line in lines:
                seen.append(line)
                if line == ": ping":
                    break
            assert set(seen) == {": connected", ": nothing is known of this yet", ": ping", ""}
            stand.tell(job(1, progress=5))
            async for line in lines:
                if line.startswith("data:"):
                    break
                assert line in (": ping", "")
    assert orjson.loads(line[5:])["object"] == {"progress": 5, "file_id": file_id(1)}


async def test_changes_that_are_not_told_do_not_hold_back_the_pings(make_stand, job, file_id):
    stand = await make_stand(ping_seconds=0.5)
    stand.tell(job(1, progress=5))

    async def keep_changing():
        for version in range(2, 10_000):
            stand.tell(job(1, version=version, progress=5))
            await asyncio.sleep(0.01)

    changing = asyncio.create_task(keep_changing())
    try:
        async with stand.http.stream("GET", f"/api/events/file.{file_id(1)}?shape=upstream") as response:
            body = await read_until(response, ends=lambda body: b": ping\n\n" in body)
    finally:
        changing.cancel()
    assert body.count(b"data:") == 1
    assert body.count(b": ping\n\n") == 1


async def test_a_slow_reader_is_told_in_a_comment(stand, job, file_id):
    async with stand.http.stream("GET", "/api/events/all?shape=upstream") as response:
        await stand.until(lambda: stand.board._followers)
        [subscriber] = stand.board._subscribers
        subscriber.end("slow")
        body = await read_until(response, ends=lambda body: False)
    assert body.splitlines()[-2] == b": events came faster than they were read; connect again"
    assert b"event:" not in body


async def test_an_unknown_shape_is_refused_with_its_name(stand, file_id):
    answer = await stand.http.get(f"/api/events/file.{file_id(1)}?shape=other")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "shape")
    async with stand.events(f"/file.{file_id(1)}?shape=native") as events:
        assert (await events.next()).event == "snapshot"
