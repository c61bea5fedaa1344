"""Two storage sinks as processes, killed again and again while they copy: every object is stored, whole, and told."""

import asyncio
import hashlib
import random

from harness import Process, read
from integration.storage.support import path_of, request, sent, until, video

from schemas.codec import decode_stored

OBJECTS, KILLS = 60, 4


async def test_kill_9_loses_no_object_and_leaves_none_in_part(kafka, topics, host, tmp_path):
    chance = random.Random(3)
    for number in range(OBJECTS):
        path = f"/{number}.mp4"
        host.objects[path] = video(chance.randrange(20_000, 3_000_000), seed=number)
        if number % 5 == 0:
            host.cuts[path] = [10_000, 15_000]
        if number % 7 == 0:
            host.answers[path] = [(503, {}), (404, {})]
    asked = [request(host, path) for path in host.objects]

    def start():
        return Process(
            "sink storage", tmp_path, kafka, topics, storage__store_url=tmp_path / "store", storage__allow_http="true",
            storage__allow_private_hosts=f'["127.0.0.1:{host.port}"]', storage__session_timeout_seconds=6,
            storage__retry_wait_seconds=0.2, storage__concurrency=2,
        )  # fmt: skip

    sinks = [await asyncio.to_thread(start) for _ in range(2)]
    try:
        for part in range(KILLS):
            begun = len(host.seen)
            await sent(kafka, topics, *asked[part::KILLS])
            victim = chance.randrange(2)
            await until(lambda begun=begun: len(host.seen) > begun + 3, 60)
            await asyncio.to_thread(sinks[victim].kill)
            await asyncio.to_thread(sinks[victim].start)
        found = await until(lambda: len(told := stored(kafka, topics)) == OBJECTS and told, 90)
        for each in sinks:
            assert await asyncio.to_thread(each.stop) == 0, each.log[-2000:]
    finally:
        for each in sinks:
            await asyncio.to_thread(each.kill)
    for each in asked:
        copy = found[each.file_id]
        body = host.objects[f"/{each.url.rpartition('/')[2]}"]
        assert path_of(copy).read_bytes() == body
        assert copy.sha256 == hashlib.sha256(body).hexdigest()
    assert await asyncio.to_thread(read, kafka, topics.names.dead_letters) == []


def stored(kafka, topics):
    return {each.file_id: each for each in (decode_stored(one.value) for one in read(kafka, topics.names.stored))}
