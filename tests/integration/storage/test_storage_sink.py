"""The storage sink on a real Kafka, with a real HTTP server that misbehaves, into a local folder."""

import asyncio
import contextlib
import hashlib
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer
from harness import read
from integration.storage.support import (
    PNG,
    committed,
    letters,
    path_of,
    request,
    sent,
    sheet_of,
    shorten,
    told,
    until,
    video,
)

from connectors.storage.copier import Copier
from rendercast import topics as admin
from schemas.codec import decode_command, decode_stored, encode
from schemas.errors import StopProcess


async def test_an_object_is_stored_with_its_bytes_and_told_with_their_hash(kafka, topics, host, running):
    host.objects["/a.mp4"] = body = video()
    asked = request(host, "/a.mp4", generation="video_1/x")
    await sent(kafka, topics, asked)
    async with running() as sink:
        (found,) = await told(kafka, topics, 1)
        assert sink.not_ready() is None
    assert path_of(found).read_bytes() == body
    assert (found.sha256, found.bytes) == (hashlib.sha256(body).hexdigest(), len(body))
    assert found.content_type == "video/mp4"
    assert (found.file_id, found.generation, found.url) == (asked.file_id, "video_1/x", asked.url)
    day = f"{datetime.now(UTC):%Y/%m/%d}"
    assert found.location.endswith(f"/store/video/{day}/{asked.file_id}/video_1=2Fx.mp4")
    (record,) = read_now = await asyncio.to_thread(read, kafka, topics.names.stored)
    assert read_now
    assert record.key == asked.file_id.encode()
    assert dict(record.headers)["ce_type"] == b"rendercast.stored"


async def test_a_cut_download_goes_on_where_it_was_cut(kafka, topics, host, running, tmp_path):
    host.objects["/a.mp4"] = body = video(3_000_000)
    host.cuts["/a.mp4"] = [1_000_000, 1_700_000]
    await sent(kafka, topics, request(host, "/a.mp4"))
    async with running():
        (found,) = await told(kafka, topics, 1)
    assert path_of(found).read_bytes() == body
    assert found.sha256 == hashlib.sha256(body).hexdigest()
    ranges = [range_ for _, range_ in host.seen]
    assert ranges[0] is None
    assert len(ranges) == 3
    assert all(range_.startswith("bytes=") for range_ in ranges[1:])
    assert list((tmp_path / "store" / ".incoming").iterdir()) == []


async def test_an_object_that_changed_while_it_was_cut_is_read_anew(kafka, topics, host, running):
    host.objects["/a.mp4"] = video(2_000_000, seed=1)
    host.cuts["/a.mp4"] = [1_000_000]
    await sent(kafka, topics, request(host, "/a.mp4"))
    host.held.clear()
    async with running():
        await until(lambda: host.seen)
        host.held.set()
        await until(lambda: not host.cuts["/a.mp4"])
        host.objects["/a.mp4"] = body = video(2_000_000, seed=2)
        (found,) = await told(kafka, topics, 1)
    assert path_of(found).read_bytes() == body


async def test_a_replay_costs_no_second_download_and_tells_the_same(kafka, topics, host, running):
    host.objects["/a.mp4"] = video()
    await sent(kafka, topics, request(host, "/a.mp4"))
    async with running():
        first = await told(kafka, topics, 1)
    del host.objects["/a.mp4"]  # the upstream has cleaned up
    async with running(group_id="once-more"):
        found = await told(kafka, topics, 2)
    assert found[1] == first[0]
    assert len(host.seen) == 1


async def test_a_copy_whose_process_died_before_describing_it_is_described_without_a_download(
    kafka, topics, host, running
):
    host.objects["/a.mp4"] = video()
    await sent(kafka, topics, request(host, "/a.mp4"))
    async with running():
        (first,) = await told(kafka, topics, 1)
    sheet_of(first).unlink()
    async with running(group_id="once-more"):
        _, then = await told(kafka, topics, 2)
    assert then.model_copy(update={"stored_at": first.stored_at}) == first
    assert len(host.seen) == 1


async def test_a_damaged_copy_is_not_told_as_whole(kafka, topics, host, running):
    host.objects["/a.mp4"] = video()
    await sent(kafka, topics, request(host, "/a.mp4"))
    async with running():
        (first,) = await told(kafka, topics, 1)
    shorten(first)
    async with running(group_id="once-more"):
        (letter,) = await letters(kafka, topics, 1)
    assert letter["reason"] == "damaged_copy"


async def test_a_page_is_not_a_video_and_the_partition_goes_on(kafka, topics, host, running, tmp_path):
    host.objects["/page.mp4"] = b"<!doctype html><title>Sign in</title>" + b" " * 20_000
    host.objects["/image.mp4"] = PNG + b"\0" * 100
    host.objects["/a.mp4"] = video()
    good = request(host, "/a.mp4")
    await sent(kafka, topics, request(host, "/page.mp4"), request(host, "/image.mp4"), good)
    async with running():
        (found,) = await told(kafka, topics, 1)
        refused = await letters(kafka, topics, 2)
        await until(lambda: asyncio.run(committed(kafka, topics)) == 3)
    assert found.file_id == good.file_id
    assert {letter["reason"] for letter in refused} == {"not_media"}
    assert len([each for each in (tmp_path / "store").rglob("*") if each.is_file()]) == 2  # the object and its sheet


async def test_a_thumbnail_is_an_image_beside_its_video(kafka, topics, host, running):
    host.objects["/a.mp4"], host.objects["/t.png"] = video(), PNG + b"\0" * 500
    whole = request(host, "/a.mp4")
    await sent(kafka, topics, whole, request(host, "/t.png", whole.file_id, role="thumbnail"))
    async with running():
        found = {each.role: each for each in await told(kafka, topics, 2)}
    assert found["thumbnail"].content_type == "image/png"
    assert found["thumbnail"].location.endswith("/g1.thumbnail.png")
    assert found["media"].location.endswith("/g1.mp4")


async def test_what_may_come_right_is_tried_again(kafka, topics, host, running):
    host.objects["/a.mp4"] = video()
    host.answers["/a.mp4"] = [(404, {}), (503, {}), (429, {"Retry-After": "0"}), (302, {"Location": "/a.mp4"})]
    await sent(kafka, topics, request(host, "/a.mp4"))
    async with running():
        await told(kafka, topics, 1)
    assert len(host.seen) == 5


async def test_a_hosts_cookies_are_not_kept(kafka, topics, host, running):
    """By name: clients keep none of an address's anyway."""
    host.objects["/a.mp4"], host.answers["/a.mp4"] = video(), [(404, {"Set-Cookie": "a=b; Path=/"})]
    await sent(kafka, topics, request(host, "/a.mp4", url=f"http://localhost:{host.port}/a.mp4"))
    async with running(allow_private_hosts=(f"localhost:{host.port}",)):
        await told(kafka, topics, 1)
    assert host.cookies == []


async def test_what_cannot_come_right_is_tried_once(kafka, topics, host, running):
    host.answers["/a.mp4"] = [(418, {})]
    await sent(kafka, topics, request(host, "/a.mp4"))
    async with running():
        (letter,) = await letters(kafka, topics, 1)
    assert (letter["reason"], letter["attempts"]) == ("refused_by_host", "1")
    assert len(host.seen) == 1


async def test_an_expired_url_asks_for_a_check_and_the_request_with_a_fresh_one_takes_its_place(
    kafka, topics, host, running
):
    host.answers["/a.mp4"], host.objects["/b.mp4"] = [(403, {})] * 100, video()
    old, other = request(host, "/a.mp4"), request(host, "/b.mp4")
    await sent(kafka, topics, old, other)
    async with running(attempts=50):
        (check, *_) = await until(lambda: read(kafka, topics.names.commands))
        asked = decode_command(check.value)
        assert (asked.type, asked.file_id, asked.expired_url) == ("check", old.file_id, old.url)
        assert check.key == old.file_id.encode()
        fresh = old.model_copy(update={"url": request(host, "/b.mp4").url + "?fresh"})
        await sent(kafka, topics, fresh)
        found = await told(kafka, topics, 2)
        await until(lambda: asyncio.run(committed(kafka, topics)) == 3)
    assert {each.url for each in found} == {other.url, fresh.url}
    assert await asyncio.to_thread(read, kafka, topics.names.dead_letters) == []


async def test_a_url_that_stays_expired_goes_to_dead_letters_after_as_many_checks_as_tries(
    kafka, topics, host, running
):
    host.answers["/a.mp4"] = [(410, {})] * 100
    await sent(kafka, topics, request(host, "/a.mp4"))
    async with running(attempts=3):
        (letter,) = await letters(kafka, topics, 1)
    assert (letter["reason"], letter["attempts"]) == ("expired_url", "3")
    assert len(host.seen) == len(await asyncio.to_thread(read, kafka, topics.names.commands)) == 3


async def test_after_the_last_attempt_the_dead_letter_says_why_and_how_often(kafka, topics, host, running):
    host.answers["/a.mp4"] = [(404, {})] * 10
    await sent(kafka, topics, request(host, "/a.mp4"))
    async with running(attempts=3):
        (letter,) = await letters(kafka, topics, 1)
    assert (letter["reason"], letter["attempts"]) == ("not_found", "3")
    assert len(host.seen) == 3


@pytest.mark.parametrize("tells_length", [True, False])
async def test_an_object_that_is_too_large_is_refused(kafka, topics, host, running, tmp_path, tells_length):
    host.objects["/a.mp4"] = video(300_000)
    host.tells_length = tells_length
    await sent(kafka, topics, request(host, "/a.mp4"))
    async with running(max_bytes=200_000):
        (letter,) = await letters(kafka, topics, 1)
    assert letter["reason"] == "too_large"
    assert not list((tmp_path / "store").rglob("*.mp4"))


async def test_what_cannot_be_parsed_goes_to_dead_letters_and_the_partition_goes_on(kafka, topics, host, running):
    host.objects["/a.mp4"] = video()
    good = request(host, "/a.mp4")
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers)
    await producer.start()
    for value in (b"{not json", b'{"file_id": 1}', encode(good)):
        await producer.send_and_wait(topics.names.storage, value, partition=0)
    await producer.stop()
    async with running():
        await told(kafka, topics, 1)
        refused = await letters(kafka, topics, 2)
    assert [(each["reason"], each["offset"]) for each in sorted(refused, key=lambda each: each["offset"])] == [
        ("not_json", "0"),
        ("invalid", "1"),
    ]


async def test_private_addresses_are_refused_at_first_and_after_a_redirect(kafka, topics, host, running):
    host.answers["/a.mp4"] = [(302, {"Location": "http://169.254.169.254/latest/meta-data/"})]
    elsewhere = request(host, "/b.mp4").model_copy(update={"url": "http://localhost:1/b.mp4"})
    await sent(kafka, topics, request(host, "/a.mp4"), elsewhere)
    async with running(allow_ports=(1,)):
        refused = await letters(kafka, topics, 2)
    assert {each["reason"] for each in refused} == {"refused_url"}
    assert any("169.254.169.254" in each["detail"] for each in refused)
    assert any("localhost" in each["detail"] for each in refused)


async def test_downloads_run_side_by_side_up_to_the_setting(kafka, topics, host, running):
    for number in range(12):
        host.objects[f"/{number}.mp4"] = video(50_000, seed=number)
    await sent(kafka, topics, *(request(host, f"/{number}.mp4") for number in range(12)))
    host.held.clear()
    async with running(concurrency=3):
        await until(lambda: host.at_once == 3)
        host.held.set()
        found = await told(kafka, topics, 12)
    assert len({each.location for each in found}) == 12
    assert host.most_at_once == 3


async def test_one_slow_object_holds_up_its_window_only_and_is_never_committed_past(kafka, topics, host, running):
    for number in range(10):
        host.objects[f"/{number}.mp4"] = video(20_000, seed=number)
    host.answers["/0.mp4"] = [(404, {})] * 1000
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers)
    await producer.start()
    for number in range(10):
        asked = request(host, f"/{number}.mp4")
        await producer.send_and_wait(topics.names.storage, encode(asked), partition=0)
    other = request(host, "/9.mp4")
    await producer.send_and_wait(topics.names.storage, encode(other), partition=1)
    await producer.stop()
    async with running(window=4, attempts=100):
        found = await told(kafka, topics, 4)  # three of partition 0, one of partition 1
        assert other.file_id in {each.file_id for each in found}
        assert await committed(kafka, topics) <= 1
        assert {path for path, _ in host.seen} <= {"/0.mp4", "/1.mp4", "/2.mp4", "/3.mp4", "/9.mp4"}
        host.answers["/0.mp4"].clear()
        await told(kafka, topics, 11)
        await until(lambda: asyncio.run(committed(kafka, topics)) == 11)


async def test_a_store_that_is_away_costs_no_attempts(kafka, topics, host, running, tmp_path):
    host.objects["/a.mp4"] = video()
    store = tmp_path / "store"
    async with running(attempts=1) as sink:
        await until(lambda: sink.not_ready() is None)
        store.rmdir()
        store.write_text("not a folder")
        await sent(kafka, topics, request(host, "/a.mp4"))
        await until(lambda: "store" in (sink.not_ready() or ""))
        store.unlink()
        store.mkdir()
        await told(kafka, topics, 1)
        assert sink.not_ready() is None


async def test_a_stop_lets_a_download_end_and_commits_it(kafka, topics, host, running):
    host.objects["/a.mp4"], host.answers["/b.mp4"] = video(), [(404, {})] * 100
    await sent(kafka, topics, request(host, "/a.mp4"), request(host, "/b.mp4"))
    host.held.clear()
    async with running(attempts=50):
        await until(lambda: len(host.seen) == 2)
        asyncio.get_running_loop().call_later(0.5, host.held.set)
    (found,) = await told(kafka, topics, 1)
    assert found.url.endswith("/a.mp4")


async def test_a_host_that_is_slow_leaves_room_for_the_others(kafka, topics, host, running):
    """Both names are this machine's, and so two hosts."""
    for number in range(6):
        host.objects[f"/{number}.mp4"] = video(seed=number)
    host.held.clear()
    slow = [request(host, f"/{number}.mp4") for number in range(5)]
    quick = request(host, "/5.mp4", url=f"http://localhost:{host.port}/5.mp4")
    await sent(kafka, topics, *slow, quick)
    hosts = (f"127.0.0.1:{host.port}", f"localhost:{host.port}")
    async with running(concurrency=3, concurrency_per_host=2, allow_private_hosts=hosts):
        await until(lambda: host.at_once == 3)
        assert "/5.mp4" in {path for path, _ in host.seen}
        host.held.set()
        await told(kafka, topics, 6)


async def test_what_a_host_or_a_record_says_ends_no_process_and_no_partition(kafka, topics, host, running):
    host.objects["/good.mp4"] = host.objects["/late.mp4"] = video()
    host.answers["/redirect.mp4"] = [(302, {"Location": "https://[x/"})]
    host.answers["/late.mp4"] = [(503, {"Retry-After": "1 Jan 99999999999 00:00:00"})]
    odd, big = request(host, "/good.mp4"), request(host, "/good.mp4")
    async with producing(kafka) as producer:
        send_to = topics.names.storage
        await producer.send_and_wait(send_to, encode(odd), partition=0, timestamp_ms=-(10**17))
        await producer.send_and_wait(send_to, encode(big)[:-1] + b',"x":"' + b"x" * 70_000 + b'"}', partition=0)
        for path in ("/redirect.mp4", "/late.mp4", "/good.mp4"):
            await producer.send_and_wait(send_to, encode(request(host, path)), partition=0)
    async with running() as sink:
        found = await told(kafka, topics, 3)
        refused = await letters(kafka, topics, 2)
        await until(lambda: asyncio.run(committed(kafka, topics)) == 5)
        assert sink.not_ready() is None
    assert sorted(each["reason"] for each in refused) == ["invalid", "refused_url"]
    assert odd.file_id in {each.file_id for each in found}


async def test_an_error_of_our_own_costs_its_record_and_nothing_else(kafka, topics, host, running, monkeypatch):
    host.objects["/a.mp4"] = host.objects["/b.mp4"] = video()
    bad, good = request(host, "/a.mp4"), request(host, "/b.mp4")
    copy = Copier.copy

    async def failing(self, asked, at):
        if asked == bad:
            raise ZeroDivisionError("of ours")
        return await copy(self, asked, at)

    monkeypatch.setattr(Copier, "copy", failing)
    await sent(kafka, topics, bad, good)
    async with running():
        await told(kafka, topics, 1)
        (letter,) = await letters(kafka, topics, 1)
    assert (letter["reason"], letter["detail"]) == ("internal", "ZeroDivisionError: of ours")


async def test_what_is_told_is_on_the_partition_of_its_request_wherever_that_is(kafka, topics, host, running):
    """Another producer's partitioner may put one object's requests on two partitions."""
    host.answers["/old.mp4"], host.objects["/new.mp4"] = [(403, {})] * 100, video()
    old = request(host, "/old.mp4")
    new = old.model_copy(update={"url": request(host, "/new.mp4").url})
    async with producing(kafka) as producer:
        for number in range(3):
            other = request(host, "/new.mp4", generation=f"other-{number}")
            await producer.send_and_wait(topics.names.storage, encode(other), partition=0)
        await producer.send_and_wait(topics.names.storage, encode(old), partition=0)
        await producer.send_and_wait(topics.names.storage, encode(new), partition=1)

    def partitions():
        records = read(kafka, topics.names.stored)
        return sorted((decode_stored(each.value).file_id == old.file_id, each.partition) for each in records)

    async with running(attempts=50):
        # The request whose URL is old finds the object in the store at its next try, and tells it too.
        await until(lambda: partitions() == [(False, 0)] * 3 + [(True, 0), (True, 1)], 40)


async def test_a_topic_that_was_made_anew_stops_the_process(kafka, topics, host, running):
    host.objects["/a.mp4"] = video()
    requests = [request(host, "/a.mp4") for _ in range(6)]

    async def run():
        async with running() as sink:
            await sent(kafka, topics, *requests)
            await told(kafka, topics, 6)
            await admin.delete(kafka, topics)
            await until(lambda: asyncio.run(admin.apply(kafka, topics)))
            await sent(kafka, topics, requests[0])
            await asyncio.wait([sink.task], timeout=60)

    with pytest.raises(StopProcess, match="made anew"):
        await run()


@contextlib.asynccontextmanager
async def producing(kafka):
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def test_a_sink_without_partitions_is_not_ready(running):
    async with running() as sink:
        await until(lambda: sink.not_ready() is None)
        sink.take([])
        assert sink.not_ready() == "waiting for partitions"
