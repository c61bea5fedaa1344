"""The client alone: what the upstream's answers become, and what never leaves."""

import asyncio
import gzip
import tracemalloc
import uuid
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from unit.upstream.fake_upstream import TOKEN, until

from connectors.upstream.budget import Budget
from connectors.upstream.client import MAX_ANSWER_BYTES, UpstreamClient
from connectors.upstream.errors import NotFound, Refused, TooMany, Trouble, Unauthorized
from connectors.upstream.generation import GenerateRequest
from connectors.upstream.parser import Channel, Generated
from connectors.upstream.settings import ConnectorSettings
from schemas.errors import RejectRecord, RetryLater

FILE = str(uuid.uuid4())
CHANNEL = Channel("file", FILE)


def settings(upstream, **changes):
    return ConnectorSettings(**{"base_url": upstream.url, "token": TOKEN, **changes})


@pytest.fixture
async def client(upstream):
    async with connected(upstream, request_seconds=1) as found:
        yield found


def connected(upstream, **changes):
    found = settings(upstream, **changes)
    return UpstreamClient(found, Budget(found))


async def listen(client, channel=CHANNEL):
    async with closing(await client.subscribe(channel)) as stream:
        frames = []
        while (found := await stream.read()) is not None:
            frames += [each.data for each in found]
        return frames


@asynccontextmanager
async def closing(stream):
    try:
        yield stream
    finally:
        await stream.close()


async def test_a_file_comes_as_the_upstream_wrote_it(upstream, client):
    upstream.answers[FILE] = lambda: web.Response(body=b'{"id" :  1}')
    assert await client.get_file(FILE) == b'{"id" :  1}'
    assert await client.get_project(FILE) == b'{"id" :  1}'


@pytest.mark.parametrize("bad", ["", "x", f"{FILE}/../other", "video-generator-tool"])
async def test_nothing_but_a_uuid_becomes_a_part_of_a_url(upstream, client, bad):
    with pytest.raises(ValueError, match="not a UUID"):
        await client.get_file(bad)
    assert upstream.gets == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Unauthorized), (403, Unauthorized), (404, NotFound), (429, TooMany), (500, Trouble), (524, Trouble)],
)  # fmt: skip
async def test_every_status_is_an_error_of_ours_by_what_to_do_next(upstream, client, status, kind):
    upstream.answers[FILE] = lambda: web.Response(status=status)
    upstream.refuse_streams = lambda: web.Response(status=status)
    for call in (client.get_file(FILE), listen(client)):
        with pytest.raises(RetryLater) as caught:
            await call
        assert type(caught.value) is kind
        assert caught.value.cause == f"status_{status}"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_read_in_both_forms(upstream, client, status, form):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    header = "30" if form == "seconds" else date
    upstream.answers[FILE] = lambda: web.Response(status=status, headers={"Retry-After": header})
    with pytest.raises(TooMany) as caught:
        await client.get_file(FILE)
    assert 28 <= caught.value.after <= 30


async def test_an_unreachable_host_is_trouble(upstream):
    async with connected(upstream, base_url="http://127.0.0.1:1") as client:
        for call in (client.get_file(FILE), listen(client)):
            with pytest.raises(Trouble) as caught:
                await call
            assert caught.value.cause == "unreachable"


async def test_a_get_has_an_end_even_if_the_upstream_never_answers(upstream, client):
    upstream.hold = asyncio.Event().wait()
    with pytest.raises(Trouble) as caught:
        await client.get_file(FILE)
    assert caught.value.cause == "silent"


async def test_a_get_has_an_end_even_if_its_answer_comes_byte_by_byte(upstream, client):
    async def drip(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b" ")
            await asyncio.sleep(0.1)
        return response

    upstream.answers[FILE] = drip
    async with asyncio.timeout(5):
        with pytest.raises(Trouble):
            await client.get_file(FILE)


async def test_an_answer_has_a_bound(upstream, client):
    upstream.answers[FILE] = lambda: web.Response(body=b"x" * (MAX_ANSWER_BYTES + 1))
    with pytest.raises(Trouble) as caught:
        await client.get_file(FILE)
    assert caught.value.cause == "too_long"


async def test_a_stream_tells_of_bytes_that_complete_no_frame(upstream, client):
    async with closing(await client.subscribe(CHANNEL)) as stream:
        line = await upstream.line(str(CHANNEL))
        await line.write(b": ping\r\n\r\n")
        assert await stream.read() == []
        await line.write(b"data: {}\n\ndata: {")
        assert [each.data for each in await stream.read()] == ["{}"]
        line.end()
        assert await stream.read() is None
        assert [each.data for each in stream.finish()] == ["{"]


async def test_a_stream_that_is_reset_says_so(upstream, client):
    async with closing(await client.subscribe(CHANNEL)) as stream:
        (await upstream.line(str(CHANNEL))).reset()
        with pytest.raises(Trouble) as caught:
            await stream.read()
        assert caught.value.cause == "reset"


async def test_a_stream_without_an_answer_is_silent(upstream):
    async def never(_):
        await asyncio.Event().wait()

    upstream.refuse_streams = never
    async with connected(upstream, bytes_seconds=0.1) as client:
        with pytest.raises(Trouble) as caught:
            await client.subscribe(CHANNEL)
        assert caught.value.cause == "silent"


async def test_a_compressed_stream_is_read(upstream, client):
    async def zipped(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Content-Encoding": "gzip"})
        await response.prepare(request)
        await response.write(gzip.compress(b"data: {}\n\n"))
        return response

    upstream.refuse_streams = zipped
    assert await listen(client) == ["{}"]


async def test_a_stream_that_cannot_be_decompressed_says_so(upstream, client):
    async def zipped(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Content-Encoding": "gzip"})
        await response.prepare(request)
        await response.write(b"data: {}\n\n")
        return response

    upstream.refuse_streams = zipped
    with pytest.raises(Trouble) as caught:
        await listen(client)
    assert caught.value.cause == "not_decodable"


async def test_a_compressed_answer_is_read(upstream, client):
    body = gzip.compress(b'{"id": 1}')
    upstream.answers[FILE] = lambda: web.Response(body=body, headers={"Content-Encoding": "gzip"})
    assert await client.get_file(FILE) == b'{"id": 1}'


@pytest.mark.parametrize("layers", [1, 2])
async def test_a_few_bytes_that_stand_for_many_hold_little_memory(upstream, client, layers):
    body = gzip.compress(b"\n" * 200_000_000)
    if layers == 2:
        body = gzip.compress(body)
    headers = {"Content-Encoding": ", ".join(["gzip"] * layers)}
    upstream.answers[FILE] = lambda: web.Response(body=body, headers=headers)
    tracemalloc.start()
    try:
        with pytest.raises(Trouble) as caught:
            await client.get_file(FILE)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.cause == ("too_long" if layers == 1 else "not_decodable")
    assert peak < 20_000_000


async def test_a_reason_that_is_not_utf8_is_trouble(upstream):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 d\xe9pass\xe9\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with connected(upstream, base_url=f"http://{host}:{port}") as client:
            for call in (client.get_file(FILE), client.subscribe(CHANNEL)):
                with pytest.raises(Trouble):
                    await call


async def test_a_redirect_is_not_followed(upstream, client):
    upstream.answers[FILE] = lambda: web.Response(status=302, headers={"Location": upstream.url})
    upstream.refuse_streams = upstream.answers[FILE]
    for call in (client.get_file(FILE), client.subscribe(CHANNEL)):
        with pytest.raises(Trouble) as caught:
            await call
        assert caught.value.cause == "status_302"


async def test_a_page_in_place_of_a_stream_is_trouble(upstream, client):
    upstream.refuse_streams = lambda: web.Response(text="<html>", content_type="text/html")
    with pytest.raises(Trouble) as caught:
        await listen(client)
    assert caught.value.cause == "not_a_stream"


async def test_three_hundred_streams_are_open_at_once(upstream, client):
    channels = [Channel("file", str(uuid.uuid4())) for _ in range(300)]
    listening = [asyncio.create_task(listen(client, channel)) for channel in channels]
    await until(lambda: len(upstream.lines) == 300, seconds=20)
    await asyncio.gather(*(each.say("test") for lines in upstream.lines.values() for each in lines))
    for lines in upstream.lines.values():
        lines[0].end()
    assert [len(frames) for frames in await asyncio.gather(*listening)] == [1] * 300


# generate


async def test_a_generate_call_puts_everything_inside_config(upstream, client):
    upstream.generated = [{"id": FILE, "type": "image", "tasks": []}]
    request = GenerateRequest(model="flux", prompt="a cat", params={"aspect_ratio": "16:9"}, seed=7)
    assert await client.generate("image", request) == (Generated(file_id=FILE, kind="image"),)
    config = {"prompt": "a cat", "generation_config_name": "flux", "params": {"aspect_ratio": "16:9"}, "seed": 7}
    assert upstream.posts == [("generate-image", {"config": config})]


@pytest.mark.parametrize("ratio", ["1:1", "16:9", "9:16"])
async def test_sora_takes_its_three_ratios(upstream, client, ratio):
    upstream.generated = {"id": FILE, "type": "video", "video_generation_id": "run"}
    request = GenerateRequest(model="azure-openai/sora", prompt="a cat", params={"aspect_ratio": ratio})
    assert await client.generate("video", request) == (
        Generated(file_id=FILE, upstream_generation_id="run", kind="video"),
    )


@pytest.mark.parametrize(
    ("model", "params", "field"),
    [
        ("azure-openai/sora", {}, "params.aspect_ratio"),
        ("azure-openai/sora", {"aspect_ratio": None}, "params.aspect_ratio"),
        ("azure-openai/sora", {"aspect_ratio": "4:3"}, "params.aspect_ratio"),
        ("azure-openai/sora", {"aspect_ratio": "16x9"}, "params.aspect_ratio"),
        ("azure-openai/sora", {"aspecRatio": "16:9", "aspect_ratio": "16:9"}, "params.aspecRatio"),
        ("comfyui/ltx", {"aspecRatio": "16:9"}, "params.aspecRatio"),
        ("comfyui/ltx", {"aspectRatio": "16:9"}, "params.aspectRatio"),
    ],
)
async def test_what_the_upstream_would_choke_on_never_leaves(upstream, client, model, params, field):
    with pytest.raises(RejectRecord) as caught:
        await client.generate("video", GenerateRequest(model=model, prompt="a cat", params=params))
    assert caught.value.facts["field"] == field
    assert field in str(caught.value)
    assert upstream.posts == []


async def test_a_refusal_of_the_upstream_shows_its_words_and_the_field(upstream, client):
    detail = [{"loc": ["body", "config", "prompt"], "msg": "Field required"}]
    upstream.generated = web.json_response({"detail": detail}, status=422)
    with pytest.raises(Refused) as caught:
        await client.generate("image", GenerateRequest(model="flux", prompt=""))
    assert (caught.value.field, str(caught.value)) == ("config.prompt", "config.prompt: Field required")


async def test_only_images_and_videos_can_be_generated(upstream, client):
    with pytest.raises(Refused):
        await client.generate("audio", GenerateRequest(model="flux", prompt="a song"))


@pytest.mark.parametrize(
    ("answer", "began_nothing"),
    [
        (web.Response(status=401), True),
        (web.Response(status=404), True),
        (web.Response(status=307, headers={"Location": "/"}), True),
        (web.Response(status=429), True),
        (web.Response(status=503, headers={"Retry-After": "3"}), True),
        (web.Response(status=500), False),
        (web.Response(status=524), False),
        (web.json_response([]), False),
        (web.Response(body=b"<html>"), False),
    ],
)
async def test_an_error_of_a_generate_call_says_whether_it_can_have_begun_something(
    upstream, client, answer, began_nothing
):
    upstream.generated = answer
    with pytest.raises(Trouble) as caught:
        await client.generate("image", GenerateRequest(model="flux", prompt="a cat"))
    assert caught.value.began_nothing is began_nothing


async def test_a_host_that_cannot_be_reached_has_begun_nothing(upstream):
    async with connected(upstream, base_url="http://127.0.0.1:1") as client:
        with pytest.raises(Trouble) as caught:
            await client.generate("image", GenerateRequest(model="flux", prompt="a cat"))
        assert caught.value.began_nothing


@pytest.mark.parametrize("bytes_of_answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
async def test_a_call_that_breaks_off_after_it_was_sent_may_have_begun_something(upstream, bytes_of_answer):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(bytes_of_answer)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with connected(upstream, base_url=f"http://{host}:{port}") as client:
            with pytest.raises(Trouble) as caught:
                await client.generate("image", GenerateRequest(model="flux", prompt="a cat"))
    assert not caught.value.began_nothing


async def test_a_call_that_is_not_answered_in_time_may_have_begun_something(upstream):
    async def never(reader, writer):
        await reader.read()
        writer.close()

    async with await asyncio.start_server(never, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with connected(upstream, base_url=f"http://{host}:{port}", generate_seconds=0.2) as client:
            with pytest.raises(Trouble) as caught:
                await client.generate("image", GenerateRequest(model="flux", prompt="a cat"))
    assert (caught.value.cause, caught.value.began_nothing) == ("silent", False)


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (web.Response(status=401), Unauthorized),
        (web.Response(status=429, headers={"Retry-After": "60"}), TooMany),
        (web.Response(status=500), Trouble),
    ],
)
async def test_a_call_that_gets_no_turn_says_why_and_never_leaves(upstream, monkeypatch, first, kind):
    monkeypatch.setattr("connectors.upstream.client._TURN_SECONDS", 0.1)
    upstream.generated = first
    request = GenerateRequest(model="flux", prompt="a cat")
    async with connected(upstream, breaker_failures=1, breaker_seconds=60) as client:
        with pytest.raises(Trouble):
            await client.generate("image", request)
        with pytest.raises(Trouble) as caught:
            await client.generate("image", request)
    assert (type(caught.value), caught.value.cause, caught.value.began_nothing) == (kind, "no_turn", True)
    assert len(upstream.posts) == 1
    if kind is TooMany:
        assert 50 < caught.value.after <= 60
