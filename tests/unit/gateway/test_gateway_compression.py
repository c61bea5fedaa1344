"""gzip on event streams: asked for, readable at once, and whole at the end."""

import asyncio
import gzip
import shutil
import zlib

import pytest
from harness import missing

from connectors.gateway import stream
from connectors.gateway.compression import Gzip, accepts_gzip


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("deflate, br;q=0.9, gzip;q=0.1", True),
        ("gzip; q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("*", True),
        ("*;q=0", False),
        ("identity", False),
        ("br", False),
        ("gzip;q=nonsense", False),
        (";,;q=1,,", False),
    ],
)
def test_gzip_is_taken_where_the_header_allows_it(header, accepted):
    assert accepts_gzip(header) is accepted


def test_what_was_written_can_be_read_at_once_and_the_end_is_an_end():
    compressor, reader = Gzip(), zlib.decompressobj(31)
    parts = [b"data: %d\n\n" % number * 50 for number in range(20)]
    for part in parts:
        assert reader.decompress(compressor.part(part, more=True)) == part
    assert reader.decompress(compressor.part(b"bye", more=False)) == b"bye"
    assert reader.eof


def test_a_compressor_that_rests_holds_nothing_and_goes_on_where_it_was():
    compressor, parts = Gzip(), [b"data: %d\n\n" % number * 500 for number in range(4)]
    sent = b""
    for part in parts:
        sent += compressor.part(part, more=True)
        compressor.rest()
        assert compressor._deflate is None
    assert gzip.decompress(sent + compressor.part(b"", more=False)) == b"".join(parts)


async def test_a_silent_stream_holds_no_compressor_and_its_next_change_is_read(make_stand, job, monkeypatch):
    made = []

    class Kept(Gzip):
        def __init__(self):
            super().__init__()
            made.append(self)

    monkeypatch.setattr(stream, "Gzip", Kept)
    stand = await make_stand(ping_seconds=0.05)
    async with stand.events("/all", **{"accept-encoding": "gzip"}) as events:
        await events.next()
        await stand.until(lambda: made[0]._deflate is None)
        for progress in (10, 20):
            stand.tell(job(1, progress=progress))
            assert (await events.next()).json()["progress"] == progress
            await stand.until(lambda: made[0]._deflate is None)


async def test_a_stream_is_compressed_for_who_asks_and_each_change_arrives_by_itself(stand, job):
    stand.tell(job(1))
    async with stand.events("/all", **{"accept-encoding": "gzip"}) as events:
        assert events.response.headers["content-encoding"] == "gzip"
        assert (await events.next()).event == "snapshot"
        for progress in (10, 20, 30):
            stand.tell(job(1, progress=progress))
            assert (await events.next()).json()["progress"] == progress


@pytest.mark.parametrize("accepted", ["gzip", "identity"])
async def test_caches_are_told_that_the_answer_depends_on_what_was_asked_for(stand, accepted):
    async with stand.events("/all", **{"accept-encoding": accepted}) as events:
        assert events.response.headers["vary"] == "Accept-Encoding"
        assert ("content-encoding" in events.response.headers) == (accepted == "gzip")


async def test_a_compressed_stream_that_the_gateway_ends_is_whole(stand, job):
    async with asyncio.timeout(10):
        async with stand.http.stream("GET", "/api/events/all", headers={"accept-encoding": "gzip"}) as response:
            await stand.until(lambda: stand.board._followers)
            stand.tell(job(1))
            stand.stop.set()
            body = b"".join([piece async for piece in response.aiter_raw()])
    text = gzip.decompress(body)  # raises where the end is missing
    assert text.count(b"event: job") == 1
    assert text.endswith(b": the gateway is closing; connect again\n\n")


async def test_a_command_line_client_reads_a_compressed_stream(stand, job):
    if shutil.which("curl") is None:
        missing("no curl")
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--no-buffer", "--compressed", "--max-time", "20",
        f"http://127.0.0.1:{stand.server.port}/api/events/all", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            while await process.stdout.readline() != b"event: snapshot\n":
                pass
            stand.tell(job(1, progress=37))
            while b'"progress":37' not in await process.stdout.readline():
                pass
    finally:
        process.kill()
        await process.wait()
