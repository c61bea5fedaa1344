"""A sink that comes late: the URLs it is told have expired, and it gets the bytes by fresh ones."""

import hashlib
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
from harness import Process, eventually, read, send

from schemas import ChatRef, Track, utcnow
from schemas.codec import decode_artifact, decode_completion, decode_stored

FILES = 6


def test_every_file_is_stored_by_a_fresh_url_and_announced_once(kafka, topics, tmp_path):
    def start(command, **settings):
        return Process(command, tmp_path, kafka, topics, **settings)

    simulator = start("simulator", simulator__faults__url_expires=1, simulator__image_seconds=1)
    url = eventually(lambda: re.search(r'"url": "([^"]+)"', simulator.log))[1]
    host = urlsplit(url).netloc
    connector = start("connector", connector__base_url=url, connector__token="simulator-token")
    processor = start("processor")
    sink = start(
        "sink storage", storage__store_url=tmp_path / "store", storage__allow_http="true",
        storage__allow_private_hosts=f'["{host}"]', storage__retry_wait_seconds=0.2,
    )  # fmt: skip
    processes = [simulator, connector, processor, sink]
    try:
        for each in processes[1:]:
            each.wait_ready()
        made = [httpx.post(f"{url}/__script", json={"kind": "image"}, timeout=30).json()["id"] for _ in range(FILES)]
        chat = ChatRef(chat_id="image-generator-tool")
        now = utcnow()
        send(
            kafka, topics.names.commands, [Track(file_id=each, kind="image", chat=chat, issued_at=now) for each in made]
        )

        def all_stored():
            media = {each.file_id: each for each in stored(kafka, topics) if each.role == "media"}
            return len(media) == FILES and media

        found = eventually(all_stored, 90)
    finally:
        ends = {each.command: each.stop() for each in reversed(processes)}
    assert set(ends.values()) == {0}, ends
    for each in found.values():
        assert "fresh=1" in each.url
        assert sha256_at(each.location) == each.sha256
    completions = [decode_completion(each.value) for each in read(kafka, topics.names.completions)]
    assert sorted(each.file_id for each in completions) == sorted(made)
    shown = {each.file_id: each.url for each in map(decode, read(kafka, topics.names.artifacts))}
    assert shown == {each: found[each].url for each in made}
    assert read(kafka, topics.names.dead_letters) == []


def stored(kafka, topics):
    return [decode_stored(each.value) for each in read(kafka, topics.names.stored)]


def decode(record):
    return decode_artifact(record.value)


def sha256_at(location):
    return hashlib.sha256(Path(unquote(urlsplit(location).path)).read_bytes()).hexdigest()
