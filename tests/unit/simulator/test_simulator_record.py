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
