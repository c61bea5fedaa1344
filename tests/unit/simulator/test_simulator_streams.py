"""The event stream over real sockets, without faults: what is said, how it is spelled, who hears it."""

import asyncio
import re
from uuid import uuid4

from rendercast.simulator.hub import INBOX_FRAMES, Hub
from rendercast.simulator.server import Simulator
from rendercast.simulator.settings import SimulatorSettings


async def test_a_stream_tells_a_job_from_its_task_to_its_url_in_data_lines_with_crlf(upstream):
    file_id = str(uuid4())
    async with upstream.listen(f"file.{file_id}") as stream:
        await upstream.script(kind="video", file_id=file_id, seconds=0.3)
        url = (await upstream.file(file_id, lambda file: file["thumbnail_url"]))["url"]
        await stream.until(url.replace("\\", "\\\\").encode())
        assert stream.response.headers["Content-Type"].startswith("text/event-stream")
        types = [each["type"] for each in stream.frames]
        assert types[:10] == ["task", *["render_progress"] * 8, "task"]
        assert types[10] == "task_status"
        assert set(stream.raw.decode().split("\r\n")[1::2]) == {""}
        assert all(each.startswith("data: {") for each in stream.raw.decode().split("\r\n")[::2] if each)
        assert b"\n" not in stream.raw.replace(b"\r\n", b"")


async def test_pings_are_comments_at_their_interval(start):
    upstream = await start(ping_seconds=0.05)
    async with upstream.listen(f"file.{uuid4()}") as stream:
        await stream.until(b": ping", times=3)
    assert re.fullmatch(rb"(: ping - \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[^\r]*\r\n\r\n)+", stream.raw)


async def test_nothing_is_told_twice_to_who_comes_late(upstream):
    created = await upstream.script(kind="image", seconds=0)
    await upstream.file(created["id"], lambda file: file["url"] and file["thumbnail_url"])
    async with upstream.listen(f"file.{created['id']}") as stream:
        await upstream.http.post(f"/__regenerate/{created['id']}", json={"seconds": 0.2, "behaviour": "fails"})
        await stream.until(b'"ERROR"')
    assert stream.frames[0]["object"]["status"] == "in_progress"
    assert stream.frames[0]["type"] == "task"


async def test_a_projects_channel_carries_all_its_files_and_a_users_too(upstream):
    project_id, user_id = str(uuid4()), str(uuid4())
    async with upstream.listen(f"project.{project_id}") as project, upstream.listen(f"user.{user_id}") as user:
        ids = [
            (await upstream.script(kind="image", seconds=0.1, project_id=project_id, user_id=user_id))["id"]
            for _ in range(3)
        ]
        for stream in (project, user):
            for file_id in ids:
                await stream.until(file_id.encode())


async def test_a_file_is_not_heard_on_another_files_channel(upstream):
    other, file_id = str(uuid4()), str(uuid4())
    async with upstream.listen(f"file.{other}") as quiet, upstream.listen(f"file.{file_id}") as stream:
        await upstream.script(file_id=file_id, seconds=0.1)
        await stream.until(b"COMPLETED")
        await upstream.script(file_id=other, seconds=0.1)
        await quiet.until(b"COMPLETED")
    assert file_id.encode() not in quiet.raw


async def test_a_stream_that_is_left_is_forgotten(upstream):
    async def nobody_listens():
        return await upstream.open_streams() == 0

    async with upstream.listen(f"file.{uuid4()}"):
        assert not await nobody_listens()
    await upstream.eventually(nobody_listens)


async def test_stopping_ends_every_stream_cleanly(start):
    upstream = await start()
    async with upstream.listen(f"file.{uuid4()}") as stream:
        await upstream.simulator.stop()
        assert await stream.end() == b""


async def test_run_serves_until_it_is_told_to_stop(upstream):
    simulator, stop = Simulator(SimulatorSettings()), asyncio.Event()

    async def answers():
        return simulator.url and (await upstream.http.get(f"{simulator.url}/__healthz")).json() == {"status": "ok"}

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(simulator.run(stop))
        await upstream.eventually(answers)
        assert not running.done()
        stop.set()
    assert simulator.not_ready() is not None


async def test_a_listener_that_is_far_behind_is_cut_off_and_the_others_are_not():
    hub = Hub()
    with hub.subscribe("x") as slow, hub.subscribe("x") as quick:
        for number in range(INBOX_FRAMES + 1):
            hub.publish("x", [number])
            assert quick.get_nowait() == number
        assert slow.get_nowait() is None
        assert slow.empty()
        assert hub.listeners == 1
    assert not hub.heard("x")
