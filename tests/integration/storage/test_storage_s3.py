"""The storage sink into S3, over HTTP, with an endpoint that fails."""

import asyncio
import hashlib
import logging

import pytest
from integration.storage.s3 import BUCKET, NO_SUCH_UPLOAD, endpoint
from integration.storage.support import letters, request, sent, told, until, video
from moto.server import ThreadedMotoServer

from connectors.storage.copier import Copier
from connectors.storage.fetch import Fetcher
from connectors.storage.settings import StorageSettings
from connectors.storage.store import ObjectStore
from schemas import Stored, utcnow
from schemas.codec import encode
from schemas.errors import StopProcess

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def backend():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
async def s3(backend, monkeypatch):
    """As the sink finds it in its environment."""
    async with endpoint(backend) as (found, url):
        named = {"ENDPOINT_URL": url, "ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "REGION": "us-east-1"}
        for name, value in named.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        yield found
        found.broken = lambda _: None
        for key in found.names():
            found.objects.delete_object(Bucket=BUCKET, Key=key)


def in_bucket(**fields):
    return {"store_url": f"s3://{BUCKET}/results", "part_bytes": 5 * MIB, **fields}


@pytest.mark.parametrize("size", [200_000, 12 * MIB])
async def test_an_object_is_there_with_its_type_and_ids_and_a_sheet(kafka, topics, host, running, s3, size):
    host.objects["/a.mp4"] = body = video(size)
    asked = request(host, "/a.mp4", generation="video_1/x")
    await sent(kafka, topics, asked)
    async with running(**in_bucket()):
        (found,) = await told(kafka, topics, 1)
    assert found.location.startswith(f"s3://{BUCKET}/results/video/")
    kept, content_type, metadata = s3.of(found.location)
    assert kept == body
    assert (found.sha256, found.bytes) == (hashlib.sha256(body).hexdigest(), size)
    assert content_type == "video/mp4"
    assert metadata == {"fileid": asked.file_id, "generation": "video_1=2Fx", "role": "media"}
    assert len(s3.names()) == 2  # nothing lies about


async def test_a_repeat_costs_one_look_and_writes_nothing(kafka, topics, host, running, s3):
    host.objects["/a.mp4"] = video()
    await sent(kafka, topics, request(host, "/a.mp4"))
    async with running(**in_bucket()):
        first = await told(kafka, topics, 1)
    del host.objects["/a.mp4"]
    s3.seen.clear()
    async with running(**in_bucket(group_id="once-more")):
        found = await told(kafka, topics, 2)
    assert found[1] == first[0]
    assert s3.seen == {"HEAD": 1, "GET": 1}  # the object's size, and its sheet


async def test_a_store_that_answers_500_is_waited_for_and_costs_no_attempts(kafka, topics, host, running, s3):
    host.objects["/a.mp4"] = body = video(6 * MIB)
    s3.broken = lambda _: 500
    await sent(kafka, topics, request(host, "/a.mp4"))
    async with running(**in_bucket(attempts=1)) as sink:
        await until(lambda: "object store" in (sink.not_ready() or ""), 60)
        s3.broken = lambda asked: 500 if asked.method == "PUT" else None
        s3.seen.clear()
        await until(lambda: s3.seen["PUT"], 60)
        s3.broken = lambda _: None
        (found,) = await told(kafka, topics, 1)
        assert sink.not_ready() is None
    assert s3.of(found.location)[0] == body


async def test_an_upload_that_is_cut_is_made_again_and_never_seen_in_part(kafka, topics, host, running, s3):
    host.objects["/a.mp4"] = body = video(12 * MIB)
    await sent(kafka, topics, request(host, "/a.mp4"))
    cuts = [None, "cut", None] + ["cut"] * 8  # within the client's own tries, and beyond them
    s3.broken = lambda asked: cuts.pop(0) if cuts and asked.method == "PUT" else None
    async with running(**in_bucket(attempts=1)):
        await until(lambda: len(cuts) < 8, 60)
        assert [each for each in s3.names() if each.endswith(".mp4")] == [] or not cuts
        (found,) = await told(kafka, topics, 1)
    assert s3.of(found.location)[0] == body
    assert found.sha256 == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("size", [200_000, 6 * MIB])
async def test_two_at_once_that_read_different_bytes_end_with_a_sheet_of_what_is_there(host, s3, size):
    """As after a rebalance whose old owner is slow, while the upstream writes the object anew."""
    host.objects["/a.mp4"] = video(size, seed=1)
    settings = StorageSettings(
        **in_bucket(allow_http=True, allow_private_hosts=(f"127.0.0.1:{host.port}",), part_bytes=5 * MIB)
    )
    asked, at = request(host, "/a.mp4"), utcnow()
    read, go_on = asyncio.Event(), asyncio.Event()

    class Slow(ObjectStore):
        async def put(self, key, chunks, attributes):
            found = [each async for each in chunks]
            read.set()
            await go_on.wait()
            return await super().put(key, again(found), attributes)

    async def again(chunks):
        for each in chunks:
            yield each

    async with Fetcher(settings) as fetcher:
        slow = asyncio.create_task(Copier(settings, fetcher, Slow(settings)).copy(asked, at))
        await read.wait()
        host.objects["/a.mp4"] = video(size, seed=2)
        quick = await Copier(settings, fetcher, ObjectStore(settings)).copy(asked, at)
        go_on.set()
        last = await slow
        repeated = await Copier(settings, fetcher, ObjectStore(settings)).copy(asked, at)
    there = hashlib.sha256(s3.of(quick.location)[0]).hexdigest()
    assert last.sha256 == repeated.sha256 == there
    assert (quick.sha256 == there) == (size < 5 * MIB)  # a small one is never replaced


async def test_a_bucket_that_is_not_there_stops_the_process(kafka, topics, host, running, s3):
    host.objects["/a.mp4"] = video()
    await sent(kafka, topics, request(host, "/a.mp4"))
    with pytest.raises(StopProcess, match="no-such-bucket"):
        async with running(store_url="s3://no-such-bucket") as sink:
            await asyncio.wait([sink.task], timeout=30)


@pytest.mark.parametrize("methods", [("HEAD", "GET"), ("PUT", "POST")])
async def test_a_store_that_refuses_the_credentials_stops_the_process(kafka, topics, host, running, s3, methods):
    host.objects["/a.mp4"] = video()
    s3.broken = lambda asked: 403 if asked.method in methods else None
    await sent(kafka, topics, request(host, "/a.mp4"))
    with pytest.raises(StopProcess, match="does not let this process in"):
        async with running(**in_bucket()) as sink:
            await asyncio.wait([sink.task], timeout=30)


async def test_a_page_is_refused_before_anything_is_uploaded(kafka, topics, host, running, s3):
    host.objects["/a.mp4"] = b"<!doctype html><title>Sign in</title>" + b" " * 20_000
    await sent(kafka, topics, request(host, "/a.mp4"))
    async with running(**in_bucket()):
        (letter,) = await letters(kafka, topics, 1)
    assert letter["reason"] == "not_media"
    assert s3.names() == []


async def test_an_end_of_an_upload_whose_answer_was_lost_and_whose_repeat_finds_none_is_a_success(
    kafka, topics, host, running, s3
):
    """Some stores forget an upload when it has ended. What is told is what is there, whoever else was at it."""
    host.objects["/a.mp4"] = body = video(12 * MIB)
    asked, ends = request(host, "/a.mp4"), []
    another_sheet = Stored(
        **asked.model_dump(), location="s3://x", bytes=len(body), sha256="0" * 64, content_type="video/mp4",
        stored_at=utcnow(),
    )  # fmt: skip

    def lose(call):
        if call.method == "POST" and "uploadId" in call.query:
            ends.append(call)
            if len(ends) == 1:
                return "lose"
            (key,) = [each for each in s3.names() if each.endswith(".mp4")]
            s3.objects.put_object(Bucket=BUCKET, Key=f"{key}.json", Body=encode(another_sheet))
            return NO_SUCH_UPLOAD
        return None

    s3.broken = lose
    await sent(kafka, topics, asked)
    async with running(**in_bucket(attempts=1)) as sink:
        (found,) = await told(kafka, topics, 1)
        assert not sink.task.done()
    assert len(ends) > 1
    assert s3.of(found.location)[0] == body
    assert found.sha256 == hashlib.sha256(body).hexdigest()


async def test_an_upload_that_the_store_has_forgotten_is_made_again(kafka, topics, host, running, s3):
    host.objects["/a.mp4"] = body = video(12 * MIB)
    answers = [NO_SUCH_UPLOAD]
    s3.broken = lambda asked: (
        answers.pop() if answers and asked.method == "POST" and "uploadId" in asked.query else None
    )
    await sent(kafka, topics, request(host, "/a.mp4"))
    async with running(**in_bucket(attempts=1)):
        (found,) = await told(kafka, topics, 1)
    assert not answers
    assert s3.of(found.location)[0] == body
