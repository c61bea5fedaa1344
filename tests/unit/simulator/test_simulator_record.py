"""The record counts what was really told and asked."""

import json
from uuid import uuid4

import pytest

from rendercast.simulator.settings import Faults


async def test_every_report_of_a_url_is_counted_by_stream_and_by_poll(start):
    upstream = await start(faults=Faults(duplicate_frames=0.5))
    file_id = str(uuid4())
    async with upstream.listen(f"file.{file_id}") as stream:
        await upstream.script(kind="image", file_id=file_id, seconds=0.2)
        url = (await upstream.file(file_id, lambda file: file["url"] and file["thumbnail_url"]))["url"]
        before = (await upstream.record())["files"][file_id]
        for _ in range(4):
            await upstream.get(file_id)
        await upstream.http.post(f"/__regenerate/{file_id}", json={"behaviour": "fails", "seconds": 0})
        raw = await stream.until(b"ERROR")  # all that the first generation said is before it
        after = (await upstream.record())["files"][file_id]
    told = sum(json.dumps(url).encode() in each for each in raw.split(b"\r\n\r\n"))
    assert told > 0
    assert after["done_by_stream"] == told
    assert after["done_by_poll"] - before["done_by_poll"] == 4
    assert after["gets"] - before["gets"] == 4
    assert after["urls"][0]["told_by_stream"] == told
    assert after["stream_connects"] == 1


@pytest.mark.parametrize(
    ("behaviour", "end"),
    [("plain", "completed"), ("fails", "failed"), ("never_ends", "never"), ("bare_error", "completed")],
)
async def test_it_says_how_each_file_ended(upstream, behaviour, end):
    created = await upstream.script(behaviour=behaviour, seconds=0)
    file = (await upstream.record())["files"][created["id"]]
    assert (file["ended"], file["generations"][0]["ends"], bool(file["urls"])) == (end, end, end == "completed")


async def test_a_file_that_has_not_ended_has_no_end_and_no_url(upstream):
    created = await upstream.script(seconds=3600)
    file = (await upstream.record())["files"][created["id"]]
    assert (file["ended"], file["generations"][0]["ends"], file["urls"]) == (None, "completed", [])


async def test_what_nobody_heard_is_not_counted(upstream):
    created = await upstream.script(seconds=0)
    await upstream.file(created["id"], lambda file: file["url"])
    assert (await upstream.record())["files"][created["id"]]["done_by_stream"] == 0


async def test_connects_are_counted_by_channel_and_faults_by_name(start):
    upstream = await start(broken_after_seconds=0, faults=Faults(stream_drop=1))
    channel = f"project.{uuid4()}"
    for _ in range(3):
        async with upstream.listen(channel) as stream:
            await stream.end()
    record = await upstream.record()
    assert record["connects"] == {channel: 3}
    assert {name: count for name, count in record["faults"].items() if count} == {"stream_drop": 3}
    assert (record["rates"]["stream_drop"], record["seed"]) == (1, 0)


async def test_requests_are_counted_by_kind_and_status_per_file_and_in_total(start):
    upstream = await start()
    first, second = await upstream.script(seconds=3600), await upstream.script(seconds=3600)
    for _ in range(3):
        await upstream.get(first["id"])
    await upstream.get(second["id"])
    await upstream.get(str(uuid4()))
    async with upstream.listen(f"file.{first['id']}"):
        pass
    await upstream.http.post("/api/v1/file/generate-video", json={})
    await upstream.http.post("/api/v1/project", json={})
    await upstream.http.get("/api/v1/generation-config")
    await upstream.http.get("/api/v1/nothing")
    await upstream.http.get(f"/api/v1/project/{uuid4()}", headers={"Authorization": "Bearer wrong"})
    record = await upstream.record()
    assert record["files"][first["id"]]["requests_by_kind"] == {"file": 3, "stream": 1}
    assert record["files"][first["id"]]["statuses"] == {"200": 4}
    assert record["files"][second["id"]]["requests"] == 1
    total = record["total"]
    assert total["requests_by_kind"] == {
        "file": 5, "stream": 1, "generate-video": 1, "create-project": 1, "generation-config": 1, "unknown": 1,
        "project": 1,
    }  # fmt: skip
    assert (total["requests"], total["files"]) == (11, 2)
    assert total["statuses"]["404"] == 2
    assert total["statuses"]["401"] == 1


async def test_rate_limits_are_counted_for_whom_they_befell(start):
    upstream = await start()
    created = await upstream.script(faults={"rate_limit": 1})
    for _ in range(2):
        await upstream.get(created["id"])
    await upstream.get((await upstream.script())["id"])
    record = await upstream.record()
    assert (record["files"][created["id"]]["rate_limited"], record["total"]["rate_limited"]) == (2, 2)
    assert record["files"][created["id"]]["gets"] == 0


async def test_streams_are_counted_while_they_are_open_and_after(start):
    upstream = await start(faults=Faults(stream_silent=1))
    created = await upstream.script(seconds=3600)
    async with upstream.listen(f"file.{created['id']}"), upstream.listen(f"file.{created['id']}"):
        record = await upstream.record()
        assert record["streams"] == {"opened": 2, "open": 2, "most_open": 2}
        assert record["open_streams"] == 0  # silent ones are subscribed to nothing
        assert record["files"][created["id"]]["streams_open"] == 2

    async def all_closed():
        return (await upstream.record())["streams"] == {"opened": 2, "open": 0, "most_open": 2}

    await upstream.eventually(all_closed)


async def test_what_was_told_is_counted_by_way_and_frames_by_type(upstream):
    file_id, project_id = str(uuid4()), str(uuid4())
    async with upstream.listen(f"file.{file_id}") as own, upstream.listen(f"project.{project_id}") as shared:
        await upstream.script(kind="image", file_id=file_id, project_id=project_id, seconds=0.1)
        await upstream.file(file_id, lambda file: file["url"] and file["thumbnail_url"])
        for stream in (own, shared):
            await stream.until(b"COMPLETED")
        await upstream.http.post(f"/__regenerate/{file_id}", json={"behaviour": "fails", "seconds": 0})
        for stream in (own, shared):
            await stream.until(b'"ERROR"')
        record = (await upstream.http.get(f"/__record/{file_id}")).json()
        told = sum(b"/media/" in each for each in own.raw.split(b"\r\n\r\n"))
    assert record["told"]["file stream"] == record["told"]["project stream"] == told
    assert record["told"]["file answer"] == record["done_by_poll"]
    assert record["frames_by_type"]["task_status"] == 4
    assert record["frames"] == sum(record["frames_by_type"].values())


async def test_the_record_can_be_had_of_one_file_or_without_files(upstream):
    created = await upstream.script(seconds=3600)
    one = (await upstream.http.get(f"/__record/{created['id']}")).json()
    everything = (await upstream.http.get("/__record?files=no")).json()
    assert one == (await upstream.record())["files"][created["id"]]
    assert "files" not in everything
    assert everything["total"]["files"] == 1
    assert (await upstream.http.get(f"/__record/{uuid4()}")).status_code == 404


async def test_what_befell_a_file_is_told_with_it(start):
    upstream = await start(faults=Faults(result_lost=1, stream_page=1))
    created = await upstream.script()
    await upstream.http.get(f"/api/v1/events/file.{created['id']}")
    await upstream.break_("refuse", file_id=created["id"])
    await upstream.get(created["id"])
    file = (await upstream.record())["files"][created["id"]]
    assert file["faults"] == {"result_lost": 1, "stream_page": 1}
    assert file["breaks"] == {"refuse": 1}
