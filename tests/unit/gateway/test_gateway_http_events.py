"""Event streams over a real socket."""

import asyncio
import socket

import jwt
import orjson
import pytest

from connectors.gateway import metrics
from connectors.gateway.stream import EventStream
from schemas.codec import encode


def place(event):
    """What its id begins with: partition and offset."""
    return event.id.partition(".")[0]


async def test_first_the_snapshot_and_then_each_change_with_its_place(stand, job, file_id):
    stand.tell(job(1, progress=10), partition=3)
    async with stand.events(f"/file.{file_id(1).upper()}") as events:
        first = await events.next()
        stand.tell(job(2), partition=3)
        stand.tell(job(1, version=2, progress=20), partition=3)
        second = await events.next()
    assert (first.event, place(first), first.json()["jobs"][0]["progress"]) == ("snapshot", "3:0", 10)
    assert (second.event, place(second), second.json()["progress"]) == ("job", "3:2", 20)
    assert "applied" not in second.json()


async def test_the_answer_is_fit_for_proxies_and_names_a_time_to_come_back(stand, file_id):
    async with stand.events(f"/file.{file_id(1)}", **{"accept-encoding": "identity"}) as events:
        assert events.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert events.response.headers["x-accel-buffering"] == "no"
        assert events.response.headers["cache-control"] == "no-transform, no-cache"
        assert "content-encoding" not in events.response.headers
        assert 2000 <= (await anext(events._events)).retry <= 4000


async def test_an_unknown_file_has_an_empty_snapshot_and_then_whatever_comes(stand, job, file_id):
    async with stand.events(f"/file.{file_id(1)}") as events:
        assert (await events.next()).json()["jobs"] == []
        stand.tell(job(1))
        assert (await events.next()).event == "job"


async def test_one_stream_can_follow_several_channels_and_tells_a_change_once(stand, job, file_id):
    query = f"?channel=project.p&channel=user.u&channel=file.{file_id(9)}"
    async with stand.events(query) as events:
        await events.next()
        stand.tell(job(1, project_id="p", user_id="u"))
        stand.tell(job(2, project_id="other"))
        stand.tell(job(9))
        told = await events.take(2)
    assert [each.json()["file_id"] for each in told] == [file_id(1), file_id(9)]


async def test_who_comes_back_gets_the_last_state_of_what_was_missed(stand, job, file_id):
    stand.tell(job(1))
    for path in (f"/file.{file_id(1)}", "/all"):
        async with stand.events(path) as events:
            last = (await events.next()).id
        missed = [stand.tell(job(1, version=2, progress=step)) for step in (10, 20)]
        async with stand.events(path, **{"last-event-id": last}) as events:
            told = await events.next()
            stand.tell(job(1, version=3, progress=99))
            after = await events.next()
        assert (place(told), told.json()["progress"]) == (missed[-1], 20)
        assert after.json()["progress"] == 99


async def test_the_last_event_id_can_stand_in_the_query_and_the_header_outweighs_it(stand, job, file_id):
    ids = []
    for progress in (1, 2):
        stand.tell(job(1, progress=progress))
        async with stand.events(f"/file.{file_id(1)}") as events:
            ids.append((await events.next()).id)
    path = f"/file.{file_id(1)}?last_event_id={ids[0]}"
    async with stand.events(path) as events:
        assert (await events.next()).id == ids[1]
    async with stand.events(path, **{"last-event-id": ids[1]}) as events:
        stand.tell(job(1, progress=3))
        assert (await events.next()).json()["progress"] == 3


@pytest.mark.parametrize("last_event_id", ["7:7", "nonsense", "0:0.AAAAAAAA", "9" * 5000])
async def test_an_id_from_elsewhere_gets_a_gap_and_a_fresh_snapshot(stand, job, last_event_id):
    stand.tell(job(1))
    async with stand.events("/all", **{"last-event-id": last_event_id}) as events:
        gap, snapshot = await events.take(2)
    assert (gap.event, snapshot.event, len(snapshot.json()["jobs"])) == ("gap", "snapshot", 1)


@pytest.mark.parametrize(
    "path",
    [
        "/file.nonsense",
        "/nonsense",
        "/",
        "",
        "?channel=",
        "?channel=file.x&channel=all",
        "?channel=all" * 1 + "&channel=user.u" * 50,
    ],
)
async def test_a_wrong_channel_is_refused_by_name(stand, path):
    answer = await stand.http.get(f"/api/events{path}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "channel")


async def test_a_silent_stream_is_pinged_and_the_ping_moves_the_last_event_id_on(make_stand, job):
    stand = await make_stand(ping_seconds=0.05)
    stand.tell(job(1, project_id="p"))
    async with stand.http.stream("GET", "/api/events/project.p") as response, asyncio.timeout(10):
        lines = response.aiter_lines()
        async for line in lines:
            if line.startswith("event: snapshot"):
                break
        elsewhere = stand.tell(job(2, project_id="q"))
        async for line in lines:
            if line == ": ping" and (at := await anext(lines)).startswith(f"id: {elsewhere}."):
                break
    async with stand.events("/project.p", **{"last-event-id": at.removeprefix("id: ")}) as events:
        expected = stand.tell(job(3, project_id="p"))
        assert place(await events.next()) == expected


async def test_before_the_jobs_are_read_a_stream_waits_and_is_pinged_and_then_has_them_all(make_stand, job):
    stand = await make_stand(loaded=False, ping_seconds=0.05)
    async with stand.http.stream("GET", "/api/events/all") as response, asyncio.timeout(10):
        lines = response.aiter_lines()
        async for line in lines:
            assert not line.startswith("event:")
            if line == ": the jobs are being read":
                break
        stand.tell(job(1))
        stand.board.has_loaded()
        async for line in lines:
            if line.startswith("data:"):
                assert orjson.loads(line[5:])["total"] == 1
                break


async def test_a_stream_that_waits_begins_as_soon_as_the_jobs_are_read(make_stand):
    stand = await make_stand(loaded=False, ping_seconds=60)
    async with stand.events("/all") as events:
        await stand.until(lambda: stand.board._subscribers)
        stand.board.has_loaded()
        assert (await events.next()).event == "snapshot"


async def test_a_forgotten_job_is_gone(stand, job, file_id):
    stand.tell(job(1))
    async with stand.events("/all") as events:
        await events.next()
        stand.tell(forget=file_id(1))
        gone = await events.next()
    assert (gone.event, gone.json()) == ("gone", {"file_id": file_id(1)})


def open_and_never_read(stand, path="/api/events/all"):
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.settimeout(10)
    raw.connect(("127.0.0.1", stand.server.port))
    raw.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return raw


async def test_a_slow_reader_is_told_so_and_closed_at_the_bound_while_others_go_on(make_stand, job):
    stand = await make_stand(queue_changes=4)
    streams = metrics.STREAMS._value.get()
    with open_and_never_read(stand) as raw:
        await stand.until(lambda: stand.board._followers.get("all"))
        [slow] = stand.board._followers["all"]
        async with stand.events("/all") as events:
            await events.next()
            for number in range(10_000):
                stand.tell(job(number, prompt="x" * 20_000))
                assert (await events.next()).json()["file_id"] == job(number).file_id
                if slow.ended:
                    break
            assert slow.ended == "slow"
        received = await asyncio.to_thread(lambda: raw.makefile("rb").read())
        assert received.rstrip().endswith(b"0")  # the chunked answer has its proper end
        assert received.count(b"event: slow") == 1
        assert received.rindex(b"event: job") < received.index(b"event: slow")
    await stand.until(lambda: metrics.STREAMS._value.get() == streams)


async def test_a_reader_that_takes_nothing_at_all_is_cut_off(make_stand, job):
    stand = await make_stand(queue_changes=1000, send_timeout_seconds=1)
    with open_and_never_read(stand):
        await stand.until(lambda: stand.board._followers.get("all"))
        for number in range(900):
            stand.tell(job(number, prompt="x" * 20_000))
        await stand.until(lambda: not stand.board._subscribers)
        connections = stand.server._server.server_state.connections
        await stand.until(lambda: not any(each.transport.get_write_buffer_size() for each in connections))


async def test_a_write_that_does_not_end_is_given_up(make_stand):
    stand = await make_stand(send_timeout_seconds=0.05)
    stream = EventStream(stand.board, stand.settings, ("all",), None)
    never = asyncio.Event()

    async def send(message):
        if message["type"] == "http.response.body":
            await never.wait()

    async with asyncio.timeout(5):
        await stream({"type": "http", "method": "GET", "headers": []}, never.wait, send)
    assert not stand.board._subscribers


async def test_a_reader_that_leaves_is_forgotten(stand):
    async with stand.events("/all") as events:
        await events.next()
        assert len(stand.board._subscribers) == 1
    await stand.until(lambda: not stand.board._subscribers and not stand.board._followers)


async def test_streams_beyond_the_bound_are_refused_with_a_time_to_come_back(make_stand):
    stand = await make_stand(max_streams=1)
    async with stand.events("/all") as events:
        await events.next()
        refused = await stand.http.get("/api/events/all")
    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)


async def test_a_head_request_ends(stand):
    answer = await stand.http.head("/api/events/all")
    assert (answer.status_code, answer.content) == (200, b"")
    await stand.until(lambda: not stand.server._server.server_state.tasks)


async def test_at_the_end_streams_get_what_waits_and_a_last_comment(stand, job):
    async with stand.http.stream("GET", "/api/events/all") as response, asyncio.timeout(5):
        lines = []
        async for line in response.aiter_lines():
            lines.append(line)
            if line == "event: snapshot":
                stand.tell(job(1))
                stand.stop.set()
        await stand.running
    assert lines.count("event: job") == 1
    assert lines[-2:] == [": the gateway is closing; connect again", ""]


async def test_when_the_topic_is_read_anew_readers_are_asked_to_come_back_and_go_on(stand, job):
    stand.tell(job(1))
    async with stand.events("/all") as events:
        last = (await events.next()).id
        stand.board.begin_anew()
        assert await events.rest() == []
    again = job(1, version=2)
    for offset, record in enumerate((job(1), again)):
        stand.board.read(0, offset, record.file_id.encode(), encode(record))
    stand.board.has_loaded()
    async with stand.events("/all", **{"last-event-id": last}) as events:
        assert (await events.next()).json()["version"] == 2


async def test_when_the_topic_is_made_anew_readers_begin_anew(stand, job):
    stand.tell(job(1))
    async with stand.events("/all") as events:
        last = (await events.next()).id
    stand.board.begin_anew("another")
    stand.board.has_loaded()
    async with stand.events("/all", **{"last-event-id": last}) as events:
        assert [each.event for each in await events.take(2)] == ["gap", "snapshot"]


async def test_a_chat_is_told_of_the_jobs_that_it_shows_and_of_no_other(stand, job, file_id):
    stand.tell(job(1, chats=[{"chat_id": "c", "message_id": "m"}]))
    stand.tell(job(2))
    async with stand.events("/chat.c") as events:
        first = await events.next()
        stand.tell(job(3, chats=[{"chat_id": "other"}]))
        stand.tell(job(4, chats=[{"chat_id": "other"}, {"chat_id": "c"}]))
        then = await events.next()
    assert [each["file_id"] for each in first.json()["jobs"]] == [file_id(1)]
    assert then.json()["file_id"] == file_id(4)
    assert "chats" not in first.json()["jobs"][0] | then.json()


async def test_a_token_for_a_chat_reads_its_jobs_only(make_stand, job, file_id):
    secret = "a secret of more than thirty-two characters"
    stand = await make_stand(auth="jwt", jwt_secret=secret)
    stand.tell(job(1, chats=[{"chat_id": "tool-7"}]))
    stand.tell(job(2, chats=[{"chat_id": "another"}]))
    claims = {"sub": "ann", "exp": 4_000_000_000, "rendercast": {"read": ["chat.tool-{number}"]}}
    stand.http.headers["authorization"] = f"Bearer {jwt.encode(claims, secret)}"
    assert (await stand.http.get(f"/api/jobs/{file_id(1)}")).status_code == 200
    assert (await stand.http.get(f"/api/jobs/{file_id(2)}")).status_code == 403
    assert (await stand.http.get("/api/events/chat.another")).status_code == 403
    async with stand.events("/chat.tool-7") as events:
        assert (await events.next()).json()["total"] == 1
