"""Each fault over real sockets: it happens at rate 1 and not at rate 0, and a run can be repeated by its seed."""

import asyncio
import contextlib
import json
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from rendercast.simulator.faults import menu
from rendercast.simulator.settings import ALL_FAULTS, HOSTILE_FAULTS, Faults

VIDEO, IMAGE = "/api/v1/file/generate-video", "/api/v1/file/generate-image"
ONE_IMAGE = {"config": {"prompt": "x", "generation_config_name": "comfyui/flux", "params": {}}}
QUICK = {
    "image_seconds": 0.3, "video_seconds": 0.3, "late_poll_seconds": 1, "hidden_seconds": 1,
    "subscription_seconds": 1, "broken_after_seconds": 0.2, "timeout_524_seconds": 0.1,
}  # fmt: skip


@pytest.fixture
def with_fault(start):
    async def begin(**rates):
        return await start(**QUICK, faults=Faults(**rates))

    return begin


async def test_at_rate_zero_nothing_goes_wrong(with_fault):
    upstream = await with_fault()
    file_id = str(uuid4())
    async with upstream.listen(f"file.{file_id}") as stream:
        await upstream.script(kind="image", file_id=file_id)
        assert (await upstream.get(file_id)).status_code == 200
        url = (await upstream.file(file_id, lambda file: file["url"]))["url"]
        await stream.until(json.dumps(url).encode())
        frames = [each for each in stream.raw.split(b"\r\n\r\n") if each]
        assert len(frames) == len(set(frames)) == len(stream.frames)
        assert {"task", "render_progress", "task_status", "render_result", "file", "data"} >= {
            each["type"] for each in stream.frames
        }
        assert all(isinstance(each["object"], dict) for each in stream.frames)
    assert (await upstream.http.post(IMAGE, json=ONE_IMAGE)).status_code == 200
    assert set((await upstream.record())["faults"].values()) == {0}


async def test_stream_drop_ends_a_stream_cleanly_in_mid_job(with_fault):
    upstream = await with_fault(stream_drop=1)
    created = await upstream.script(seconds=3600)
    async with upstream.listen(f"file.{created['id']}") as stream:
        await stream.end()
    assert (await upstream.get(created["id"])).json()["url"] is None


async def test_stream_reset_breaks_a_stream_in_mid_job(with_fault):
    upstream = await with_fault(stream_reset=1)
    created = await upstream.script(seconds=3600)
    async with upstream.listen(f"file.{created['id']}") as stream:
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await stream.end()


async def test_a_silent_stream_is_200_and_sends_not_even_a_ping(start):
    upstream = await start(ping_seconds=0.02, faults=Faults(stream_silent=1))
    file_id = str(uuid4())
    async with upstream.listen(f"file.{file_id}") as stream:
        await upstream.script(file_id=file_id, seconds=0)
        await upstream.file(file_id, lambda file: file["url"])
        assert stream.response.status_code == 200
        await upstream.simulator.stop()  # the stream ends with the simulator: all that was ever sent is here
        assert await stream.end() == b""


async def test_stream_524_comes_after_a_while_instead_of_a_stream(with_fault):
    upstream = await with_fault(stream_524=1)
    begun = time.monotonic()
    answer = await upstream.http.get(f"/api/v1/events/file.{uuid4()}")
    assert answer.status_code == 524
    assert time.monotonic() - begun >= 0.1


async def test_the_test_mode_sends_a_test_frame_and_ends(with_fault):
    upstream = await with_fault(stream_test=1)
    async with upstream.listen(f"file.{uuid4()}") as stream:
        await stream.end()
    assert stream.frames == [{"type": "test", "message": "the server is in test mode"}]


async def test_a_late_subscription_misses_what_was_said_after_the_stream_opened(with_fault):
    upstream = await with_fault(late_subscription=1)
    early, later = str(uuid4()), str(uuid4())
    async with upstream.listen(f"project.{early}") as stream:
        missed = await upstream.script(kind="image", seconds=0, project_id=early)
        await upstream.file(missed["id"], lambda file: file["url"])
        await upstream.eventually(upstream.open_streams)
        await upstream.script(kind="image", seconds=0.1, project_id=early, file_id=later, behaviour="fails")
        await stream.until(b'"ERROR"')
    assert missed["id"].encode() not in stream.raw


async def test_duplicate_frames_are_sent_twice(with_fault):
    upstream = await with_fault(duplicate_frames=1)
    file_id = str(uuid4())
    async with upstream.listen(f"file.{file_id}") as stream:
        await upstream.script(file_id=file_id, behaviour="never_ends")
        await stream.until(b"render_progress", times=6)
    frames = stream.frames[:8]
    assert len(frames) == 8
    assert frames[::2] == frames[1::2]


async def test_a_cut_frame_comes_in_two_pieces_with_a_pause_between(with_fault):
    upstream = await with_fault(frame_cut=1)
    file_id = str(uuid4())
    async with upstream.listen(f"file.{file_id}") as stream:
        await upstream.script(file_id=file_id, seconds=3600)
        first, begun, second = await stream.piece(), time.monotonic(), await stream.piece()
    assert not first.endswith(b"\r\n\r\n")
    assert json.loads((first + second).removeprefix(b"data: "))["type"] == "task"
    assert time.monotonic() - begun > 0.1


async def test_junk_begins_with_a_bom_and_makes_frames_unusual(with_fault):
    upstream = await with_fault(junk=1)
    seen = b""
    for number in range(8):
        file_id = f"11111111-2222-4333-8444-55555555555{number}"  # known ids: the draws are known
        async with upstream.listen(f"file.{file_id}") as stream:
            await upstream.script(kind="image", file_id=file_id, behaviour="fails", seconds=0)
            await stream.until(b"ERROR")
            assert stream.raw.startswith(b"\xef\xbb\xbf")
            seen += stream.raw
    noise = (b": a comment\r\n", b"data:\r\n", b'"weather"', b'"object":"{\\"', b"data: {\r\ndata:   ")
    assert [each for each in noise if each not in seen] == []


async def test_lost_results_are_never_on_the_stream_while_get_has_the_url(with_fault):
    upstream = await with_fault(result_lost=1)
    file_id = str(uuid4())
    async with upstream.listen(f"file.{file_id}") as stream:
        await upstream.script(kind="video", file_id=file_id)
        await upstream.file(file_id, lambda file: file["url"] and file["thumbnail_url"])
        await upstream.http.post(f"/__regenerate/{file_id}", json={"behaviour": "fails", "seconds": 0})
        await stream.until(b'"ERROR"')  # all that the first generation said is before it
    assert b"progress" in stream.raw
    assert b"/media/" not in stream.raw


async def test_an_expired_url_is_refused_and_get_tells_a_fresh_one(with_fault):
    upstream = await with_fault(url_expires=1)
    file_id = (await upstream.script(kind="image"))["id"]
    told = (await upstream.file(file_id, lambda file: file["url"]))["url"]
    assert (await upstream.get(file_id)).json()["url"] == told
    assert (await upstream.http.get(told)).status_code == 403
    fresh = (await upstream.get(file_id)).json()["url"]
    assert fresh.startswith(told)
    assert fresh != told
    assert (await upstream.http.get(fresh)).status_code == 200
    assert (await upstream.http.get(told)).status_code == 403


async def test_a_late_poll_has_no_url_yet_when_the_stream_has_told_it(with_fault):
    upstream = await with_fault(late_poll=1)
    file_id = str(uuid4())
    async with upstream.listen(f"file.{file_id}") as stream:
        await upstream.script(kind="image", file_id=file_id)
        await stream.until(b"/media/")
        assert (await upstream.get(file_id)).json()["url"] is None
    await upstream.file(file_id, lambda file: file["url"])


async def test_a_fresh_file_is_404_at_first(with_fault):
    upstream = await with_fault(not_found_at_first=1)
    created = (await upstream.http.post(IMAGE, json=ONE_IMAGE)).json()[0]
    assert (await upstream.get(created["id"])).status_code == 404
    await upstream.file(created["id"], lambda file: "id" in file)


async def test_a_foreign_file_is_told_on_the_files_own_channel(with_fault):
    upstream = await with_fault(foreign_file=1)
    file_id = str(uuid4())
    async with upstream.listen(f"file.{file_id}") as stream:
        await upstream.script(file_id=file_id, behaviour="never_ends")
        await stream.until(b"-foreign.")
        foreign = next(each["object"] for each in stream.frames if each["type"] == "file")
    assert foreign["id"] != file_id
    assert (await upstream.http.get(foreign["url"])).status_code == 200
    assert (await upstream.record())["files"][file_id]["done_by_stream"] == 0


async def test_rate_limits_name_a_delay_in_seconds_or_as_a_date(with_fault):
    upstream = await with_fault(rate_limit=1)
    answers = [await upstream.http.post(VIDEO, json={}) for _ in range(20)]
    said = {each.headers["Retry-After"] for each in answers}
    assert {each.status_code for each in answers} == {429}
    assert "1" in said
    assert all(parsedate_to_datetime(each) for each in said - {"1"})
    assert len(said) > 1


async def test_server_errors_are_5xx_on_get_and_on_streams(with_fault):
    upstream = await with_fault(server_error=1)
    created = await upstream.script()
    found = {(await upstream.get(created["id"])).status_code for _ in range(30)}
    assert found == {500, 502, 503}
    assert (await upstream.http.get(f"/api/v1/events/file.{created['id']}")).status_code >= 500


async def test_conflict_befalls_image_calls_only(with_fault):
    upstream = await with_fault(conflict=1)
    video = {"config": {**ONE_IMAGE["config"], "generation_config_name": "comfyui/ltx"}}
    answer = await upstream.http.post(IMAGE, json=ONE_IMAGE)
    assert (answer.status_code, answer.json()) == (409, {"detail": "Integrity error, create"})
    assert (await upstream.http.post(VIDEO, json=video)).status_code == 200


async def test_a_file_can_have_rates_of_its_own(with_fault):
    upstream = await with_fault()
    troubled = await upstream.script(faults={"server_error": 1})
    spared = await upstream.script()
    assert (await upstream.get(troubled["id"])).status_code >= 500
    assert (await upstream.get(spared["id"])).status_code == 200


async def test_the_hostile_preset_has_every_fault_at_a_moderate_rate_and_the_daily_one_as_often():
    hostile, daily = HOSTILE_FAULTS.model_dump(), ALL_FAULTS.model_dump()
    assert all(0 < rate <= 0.25 for rate in hostile.values())
    assert all(rate in {0, hostile[name]} for name, rate in daily.items())
    assert sum(rate > 0 for rate in daily.values()) == 16


def test_every_fault_of_the_menu_has_a_test_at_rate_one():
    tests = "".join(each.read_text() for each in Path(__file__).parent.glob("test_*.py"))
    assert [fault.name for fault in menu() if f"{fault.name}=1" not in tests] == []


@pytest.mark.parametrize(("faults", "most_lost"), [(ALL_FAULTS, 0), (HOSTILE_FAULTS, 5)], ids=["daily", "hostile"])
async def test_with_all_faults_on_every_job_can_still_be_followed_to_its_end(start, caplog, faults, most_lost):
    settings = QUICK | {"stale_seconds": 0.2, "slow_byte_seconds": 0.0001, "late_result_seconds": 0.5}
    upstream = await start(**settings, ping_seconds=0.05, faults=faults)
    upstream.http.follow_redirects = True

    async def follow(number):
        created = await upstream.eventually(lambda: make(upstream, ("image", "video")[number % 2]))
        for _ in range(3):  # streams come and go beside the polls
            with contextlib.suppress(httpx.HTTPError, TimeoutError):
                async with asyncio.timeout(0.3), upstream.listen(f"file.{created['id']}") as stream:
                    await stream.end()
        if created["ends"] == "never":
            return None
        return await upstream.eventually(lambda: url_of(upstream, created["id"]))

    urls = await asyncio.gather(*map(follow, range(40)))
    record = await upstream.eventually(lambda: record_of(upstream))
    ended = {file["urls"][0]["url"] for file in record["files"].values() if file["ended"] == "completed"}
    assert set(urls) - {None} <= ended
    assert urls.count(None) <= most_lost
    assert len(set(urls) - {None}) == len(urls) - urls.count(None)
    assert sum(record["faults"].values()) > 20
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []


async def make(upstream, kind):
    """A new file and how it will end; None if the connection was reset."""
    with contextlib.suppress(httpx.HTTPError):
        created = await upstream.script(kind=kind)
        record = (await upstream.http.get(f"/__record/{created['id']}")).json()
        return created | {"ends": record["generations"][0]["ends"]}


async def url_of(upstream, file_id):
    """As a client should read it: JSON of 200, and its own file."""
    with contextlib.suppress(httpx.HTTPError, ValueError, TimeoutError):
        async with asyncio.timeout(2):
            answer = await upstream.get(file_id)
            found = answer.json() if answer.status_code == 200 else {}
            return found["url"] if found.get("id") == file_id else None


async def record_of(upstream):
    with contextlib.suppress(httpx.HTTPError):
        return await upstream.record()


async def a_run(start, seed):
    """What one client sees: statuses, files, and the bytes of streams."""
    rates = Faults(
        rate_limit=0.2,
        server_error=0.2,
        duplicate_frames=0.3,
        junk=0.5,
        stream_524=0.3,
        result_lost=0.5,
        foreign_file=0.5,
    )
    upstream = await start(
        seed=seed, public_url="http://upstream.test", timeout_524_seconds=0, retry_after_seconds=1, faults=rates
    )
    seen = []
    for _ in range(4):
        created = await upstream.script(kind="video", seconds=0)
        seen += [created, *[(await upstream.get(created["id"])).status_code for _ in range(10)]]
    for number in range(4):
        file_id = f"11111111-2222-4333-8444-55555555555{number}"
        async with upstream.listen(f"file.{file_id}") as stream:
            seen.append(stream.response.status_code)
            if stream.response.status_code == 200:
                await upstream.script(file_id=file_id, seconds=0, behaviour="fails")
                seen.append((await stream.until(b"ERROR")).partition(b"ERROR")[0])
    return seen


async def test_the_same_seed_gives_the_same_run_and_another_seed_another(start):
    first, second, other = await a_run(start, 1), await a_run(start, 1), await a_run(start, 2)
    assert first == second
    assert first != other
