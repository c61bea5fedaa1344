"""Faults of streams and frames that broken proxies and an upstream that lies bring, each over real sockets."""

import json
import zlib
from uuid import uuid4

import httpx
import pytest

from rendercast.simulator.settings import Faults
from rendercast.simulator.wire import MOST_PIECES, pieces

EVENTS = "/api/v1/events/"
QUICK = {"image_seconds": 0.3, "video_seconds": 0.3, "broken_after_seconds": 0.2, "slow_byte_seconds": 0.0001}


@pytest.fixture
def with_fault(start):
    async def begin(settings=QUICK, **rates):
        return await start(**settings, faults=Faults(**rates))

    return begin


async def test_stream_slow_sends_one_byte_at_a_time_and_rests_after_each(with_fault):
    upstream = await with_fault(QUICK | {"slow_byte_seconds": 3600}, stream_slow=1)
    file_id = str(uuid4())
    async with upstream.listen(f"file.{file_id}") as stream:
        await upstream.script(file_id=file_id, seconds=3600)
        assert await stream.piece() == b"d"
        await upstream.file(file_id, lambda file: file["tasks"])
        await upstream.break_("end_streams")  # a rest is not slept out
        assert (await stream.end()).removeprefix(b"d").startswith(b'ata: {"type":"task"')


async def test_stream_bytes_is_a_write_for_each_byte(with_fault):
    upstream = await with_fault(stream_bytes=1)
    file_id = str(uuid4())
    async with upstream.raw(f"{EVENTS}file.{file_id}") as stream:
        await stream.until(b"\r\n\r\n")
        await upstream.script(file_id=file_id, seconds=3600)
        await stream.until(b"\r\n1\r\n}\r\n")
        assert {len(each) for each in stream.chunks} == {1}
        assert b"".join(stream.chunks).startswith(b'data: {"type":"task"')


async def test_stream_gzip_is_readable_frame_by_frame(with_fault):
    upstream = await with_fault(stream_gzip=1)
    file_id = str(uuid4())
    async with upstream.listen(f"file.{file_id}") as stream:
        assert stream.response.headers["Content-Encoding"] == "gzip"
        await upstream.script(file_id=file_id, seconds=3600)
        inflate, text = zlib.decompressobj(wbits=31), b""
        while not text.endswith(b"\r\n\r\n"):
            text += inflate.decompress(await stream.piece())
        assert json.loads(text.removeprefix(b"data: "))["type"] == "task"
        await upstream.simulator.stop()
        inflate.decompress(await stream.end())
        assert inflate.eof


async def test_stream_wrong_type_has_the_frames_under_another_content_type(with_fault):
    upstream = await with_fault(stream_wrong_type=1)
    types = set()
    for number in range(12):
        file_id = f"11111111-2222-4333-8444-5555555555{number:02}"  # known ids: the draws are known
        async with upstream.listen(f"file.{file_id}") as stream:
            await upstream.script(file_id=file_id, seconds=3600)
            await stream.until(b"\r\n\r\n")
            types.add(stream.response.headers["Content-Type"])
            assert stream.frames[0]["type"] == "task"
    assert len(types) == 4
    assert not any("event-stream" in each for each in types)


async def test_stream_page_is_200_and_html(with_fault):
    upstream = await with_fault(stream_page=1)
    answer = await upstream.http.get(f"{EVENTS}file.{uuid4()}")
    assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) == (200, "text/html")
    assert answer.text.startswith("<html>")


async def test_stream_html_ends_a_stream_with_a_page_in_mid_frame(with_fault):
    upstream = await with_fault(stream_html=1)
    async with upstream.listen(f"file.{uuid4()}") as stream:
        raw = await stream.end()
    assert b'data: {"type":"render_pro<html>' in raw
    assert raw.endswith(b"</html>\r\n")


async def test_stream_broken_chunk_is_no_chunk(with_fault):
    upstream = await with_fault(stream_broken_chunk=1)
    for number in range(6):
        async with upstream.listen(f"file.11111111-2222-4333-8444-55555555555{number}") as stream:
            with pytest.raises(httpx.RemoteProtocolError):
                await stream.end()


@pytest.mark.parametrize("fault", ["stream_drop", "stream_html", "stream_broken_chunk", "stream_reset", "stream_test"])
async def test_a_stream_that_ends_early_still_tells_what_was_said_before(start, fault):
    upstream = await start(broken_after_seconds=3600, faults=Faults(**{fault: 1}))
    file_id = str(uuid4())
    async with upstream.listen(f"file.{file_id}") as stream:
        await upstream.script(file_id=file_id, seconds=3600)
        await stream.until(b'"in_progress"')


async def test_frame_every_cut_cuts_at_each_offset_in_turn(with_fault):
    upstream = await with_fault(frame_every_cut=1)
    file_id = str(uuid4())
    async with upstream.raw(f"{EVENTS}file.{file_id}") as stream:
        await stream.until(b"\r\n\r\n")
        await upstream.script(file_id=file_id, seconds=3600)
        first, second = (await stream.until_chunks(2))[:2]
        whole = first + second
        await stream.until_chunks(2 * (len(whole) - 1))
        await upstream.break_("end_streams")
        await stream.until(b"\r\n0\r\n\r\n")
    assert json.loads(whole.removeprefix(b"data: "))["type"] == "task"
    assert stream.chunks == [part for cut in range(1, len(whole)) for part in (whole[:cut], whole[cut:])]


async def test_a_frame_that_is_long_is_not_sent_once_for_each_offset(with_fault):
    upstream = await with_fault(QUICK | {"huge_bytes": MOST_PIECES}, frame_every_cut=1, huge_frame=1)
    file_id = str(uuid4())
    async with upstream.listen(f"file.{file_id}") as stream:
        await upstream.script(file_id=file_id, seconds=0, behaviour="fails")
        await stream.until(b'"ERROR"', times=2)
        assert stream.raw.count(b"x" * MOST_PIECES) == 1


def test_a_long_frame_is_cut_into_a_bounded_number_of_pieces():
    assert pieces(3, 1) == [(0, 1), (1, 2), (2, 3)]
    found = pieces(10 * 2**20, 1)
    assert len(found) <= MOST_PIECES
    assert found[-1][1] >= 10 * 2**20


async def test_prefixed_ids_are_told_with_the_kind_of_their_channel(with_fault):
    upstream = await with_fault(prefixed_ids=1)
    file_id, project_id = str(uuid4()), str(uuid4())
    async with upstream.listen(f"file.{file_id}") as stream:
        await upstream.script(file_id=file_id, project_id=project_id, kind="image")
        await upstream.file(file_id, lambda file: file["url"])
        await stream.until(b"COMPLETED")
    named = [each["object"] for each in stream.frames if isinstance(each["object"], dict)]
    assert {each["file_id"] for each in named if "file_id" in each} == {f"file.{file_id}"}
    assert {each["project_id"] for each in named if "project_id" in each} == {f"project.{project_id}"}


async def test_nameless_frames_lack_the_file_on_a_projects_channel_and_not_on_the_files(with_fault):
    upstream = await with_fault(nameless_frames=1)
    file_id, project_id = str(uuid4()), str(uuid4())
    async with upstream.listen(f"project.{project_id}") as shared, upstream.listen(f"file.{file_id}") as own:
        await upstream.script(file_id=file_id, project_id=project_id, behaviour="fails", seconds=0.2)
        for stream in (shared, own):
            await stream.until(b'"ERROR"')
    frames = [each for each in shared.frames if each["type"] in {"render_progress", "task"}]
    assert frames
    assert not any("file_id" in each["object"] for each in frames)
    assert any(each["object"].get("file_id") == file_id for each in own.frames)


async def lies(upstream, kind="video"):
    """All that the stream says of one file up to its end, in frames."""
    file_id = str(uuid4())
    async with upstream.listen(f"file.{file_id}") as stream:
        await upstream.script(file_id=file_id, kind=kind, behaviour="fails", seconds=0.1)
        await stream.until(b'"ERROR"')
    return file_id, stream.frames


async def test_foreign_result_is_another_files_under_its_own_id(with_fault):
    upstream = await with_fault(foreign_result=1)
    file_id, frames = await lies(upstream)
    told = [each["object"].get("value", each["object"]) for each in frames if "/media/" in json.dumps(each)]
    assert len(told) == 3
    assert file_id not in {each["file_id"] for each in told}
    url = told[0]["url"]
    assert (await upstream.http.get(url)).status_code == 200
    assert (await upstream.record())["files"][file_id]["done_by_stream"] == 0


@pytest.mark.parametrize(("kind", "wrong"), [("video", ".png"), ("image", ".mp4")])
async def test_wrong_kind_is_a_result_of_the_other_media_kind(with_fault, kind, wrong):
    upstream = await with_fault(wrong_kind=1)
    file_id, frames = await lies(upstream, kind)
    (told,) = [each["object"] for each in frames if each["type"] == "render_result"]
    assert told["file_id"] == file_id
    assert wrong in told["url"]


async def test_bad_ids_are_not_uuids(with_fault):
    upstream = await with_fault(bad_ids=1)
    _, frames = await lies(upstream)
    told = [each["object"]["file_id"] for each in frames if each["type"] == "render_result"]
    assert "video-generator-tool" in told
    assert None in told
    assert any(isinstance(each, int | dict) for each in told)


async def test_wild_progress_leaves_every_scale(with_fault):
    upstream = await with_fault(wild_progress=1)
    _, frames = await lies(upstream)
    told = [each["object"]["progress"] for each in frames if each["type"] == "render_progress"]
    assert {1e9, -1, "75", None} <= set(told)


async def test_huge_frame_is_ten_mebibytes_by_default(with_fault):
    upstream = await with_fault(huge_frame=1)
    _, frames = await lies(upstream)
    assert max(len(json.dumps(each)) for each in frames) >= 10 * 2**20


async def test_late_result_is_told_by_get_before_the_stream_does(with_fault):
    upstream = await with_fault(QUICK | {"late_result_seconds": 3600}, late_result=1)
    file_id = str(uuid4())
    async with upstream.listen(f"file.{file_id}") as stream:
        await upstream.script(file_id=file_id, kind="image")
        await upstream.file(file_id, lambda file: file["url"])
        await upstream.break_("end_streams")
        await stream.end()
    assert b"progress" in stream.raw
    assert b"/media/" not in stream.raw


async def test_never_ends_befalls_a_plain_job(with_fault):
    upstream = await with_fault(never_ends=1)
    created = await upstream.script(seconds=0)
    file = (await upstream.record())["files"][created["id"]]
    assert (file["ended"], file["generations"][0]["behaviour"], file["faults"]) == (
        "never",
        "never_ends",
        {"never_ends": 1},
    )
