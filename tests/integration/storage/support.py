"""A host of objects that does wrong what it is told to, and what the tests of this folder ask of Kafka."""

import asyncio
import hashlib
import uuid
from pathlib import Path
from urllib.parse import unquote, urlsplit

from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition
from harness import eventually, read, send

from schemas import StorageRequest
from schemas.codec import decode_stored

MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


def video(size=200_000, seed=1):
    """Bytes that a player would not like, but whose first ones are a video's."""
    return MP4 + hashlib.shake_256(b"%d" % seed).digest(size - len(MP4))


class Host:
    """Serves `objects` by path with ranges and ETags; what it is told to do wrong, it does."""

    def __init__(self):
        self.objects = {}
        self.cuts = {}  # path: at which bytes the next answers are cut
        self.answers = {}  # path: statuses of the next answers
        self.seen = []  # (path, Range)
        self.cookies = []
        self.tells_length = True
        self.held = asyncio.Event()
        self.held.set()
        self.at_once = self.most_at_once = 0

    async def serve(self, request):
        path = request.path
        self.seen.append((path, request.headers.get("Range")))
        self.cookies += request.headers.getall("Cookie", [])
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.held.wait()
            if self.answers.get(path):
                status, headers = self.answers[path].pop(0)
                return web.Response(status=status, headers=headers)
            body = self.objects[path]
            return await self._send(request, body)
        finally:
            self.at_once -= 1

    async def _send(self, request, body):
        start, status = 0, 200
        headers = {"ETag": f'"{hashlib.md5(body).hexdigest()}"', "Content-Type": "text/plain"}
        asked = request.http_range.start or 0
        if asked and request.headers.get("If-Range") == headers["ETag"]:
            start, status = asked, 206
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        if self.tells_length:
            headers["Content-Length"] = str(len(body) - start)
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        cuts = self.cuts.get(request.path)
        if cuts:
            end = cuts.pop(0)
            await response.write(body[start:end])
            request.transport.close()
            return response
        await response.write(body[start:])
        await response.write_eof()
        return response


def request(host, path, file_id=None, **fields):
    return StorageRequest(
        **{
            "file_id": file_id or str(uuid.uuid4()), "generation": "g1", "kind": "video",
            "url": f"http://127.0.0.1:{host.port}{path}", **fields,
        }
    )  # fmt: skip


async def sent(kafka, topics, *requests):
    await asyncio.to_thread(send, kafka, topics.names.storage, requests)


async def until(condition, seconds=30):
    return await asyncio.to_thread(eventually, condition, seconds)


async def told(kafka, topics, number):
    """The records of `stored`, once there are so many."""
    found = await until(lambda: len(all_ := read(kafka, topics.names.stored)) >= number and all_, 40)
    return [decode_stored(each.value) for each in found]


async def letters(kafka, topics, number):
    found = await until(lambda: len(all_ := read(kafka, topics.names.dead_letters)) >= number and all_, 40)
    return [{name: value.decode() for name, value in each.headers} for each in found]


async def committed(kafka, topics):
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.servers, group_id=f"{topics.prefix}storage", enable_auto_commit=False
    )
    await consumer.start()
    try:
        lanes = [TopicPartition(topics.names.storage, number) for number in range(topics.partitions)]
        return sum([(await consumer.committed(lane)) or 0 for lane in lanes])
    finally:
        await consumer.stop()


def path_of(stored):
    return Path(unquote(urlsplit(stored.location).path))


def sheet_of(stored):
    return Path(f"{path_of(stored)}.json")


def shorten(stored):
    path_of(stored).write_bytes(path_of(stored).read_bytes()[:-1])
