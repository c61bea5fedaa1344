"""The object store compared with its topic, and filled, by hand, on a real Kafka."""

import asyncio
import hashlib
import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner
from harness import read

from connectors.storage.store import ObjectStore
from rendercast.cli import main
from rendercast.settings import load
from schemas import Completion, Job, Stored, utcnow
from schemas.codec import decode_storage_request, encode
from schemas.headers import headers

NOW = utcnow()
MEDIA, FRESH, THUMBNAIL = (f"https://x.example/{name}" for name in ("a.mp4", "b.mp4", "a.jpg"))


@pytest.fixture
def settings(kafka, topics, monkeypatch, tmp_path):
    monkeypatch.setenv("RENDERCAST_KAFKA__BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("RENDERCAST_TOPICS__PREFIX", topics.prefix)
    monkeypatch.setenv("RENDERCAST_TOPICS__PARTITIONS", str(topics.partitions))
    monkeypatch.setenv("RENDERCAST_STORAGE__STORE_URL", str(tmp_path / "store"))
    (tmp_path / "store").mkdir()
    return load()


def run(*arguments):
    return CliRunner().invoke(main, ["storage", *arguments])


def write(settings, *records, at=None):
    """(topic, partition, key, record or bytes or None)."""

    async def send():
        async with AIOKafkaProducer(bootstrap_servers=settings.kafka.servers) as producer:
            for topic, partition, key, record in records:
                value = record if isinstance(record, bytes | None) else encode(record)
                await producer.send_and_wait(
                    settings.topics.prefix + topic, value, key.encode(), partition=partition, timestamp_ms=at
                )

    asyncio.run(send())


def stored(location, data=b"abc", **fields):
    return Stored(
        **{
            "file_id": str(uuid.uuid4()), "generation": "g", "url": MEDIA, "kind": "video", "location": location,
            "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "content_type": "video/mp4",
            "stored_at": NOW, **fields,
        }
    )  # fmt: skip


def told(settings, *records, partition=0):
    write(settings, *[("stored", partition, each.file_id, each) for each in records])


def ended(kind, file_id, **fields):
    common = {
        "file_id": file_id, "generation": "g", "kind": "video", "outcome": "completed", "url": MEDIA,
        "tracked_at": NOW, "finished_at": NOW, **fields,
    }  # fmt: skip
    if kind is Completion:
        return Completion(id="i", **common)
    return Job(version=1, status="completed", deadline_at=NOW, updated_at=NOW, **common)


def test_verify_names_each_copy_that_is_not_good(settings, tmp_path):
    store = ObjectStore(settings.storage)
    for name, data in (("good", b"abc"), ("bad", b"abd")):
        (tmp_path / "store" / name).write_bytes(data)
    told(settings, *[stored(store.location(name)) for name in ("good", "bad")])
    told(settings, stored(store.location("gone")), stored("s3://bucket/x"), partition=1)
    write(settings, ("stored", 1, "k", b"{"))
    result = run("verify")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert sorted(line.split()[0] for line in lines[:-1]) == ["damaged", "elsewhere", "missing", "unreadable"]
    assert any(line.startswith("missing") and store.location("gone") in line for line in lines)
    assert lines[-1].startswith("5 copies: ")
    *found, summary = [json.loads(line) for line in run("verify", "--json").stdout.splitlines()]
    assert {each["state"] for each in found} == {"damaged", "elsewhere", "missing", "unreadable"}
    assert (summary["looked_at"], summary["wrong"], summary["good"]) == (5, 3, 1)


def test_verify_looks_at_what_was_told_last_of_each_copy(settings, tmp_path):
    store = ObjectStore(settings.storage)
    (tmp_path / "store" / "now").write_bytes(b"abc")
    first = stored(store.location("before"))
    told(settings, first, stored(store.location("now")), first.model_copy(update={"location": store.location("now")}))
    thumbnail = first.model_copy(update={"location": store.location("thumbnail"), "role": "thumbnail"})
    assert run("verify").stdout == "2 copies: 2 good\n"
    told(settings, thumbnail)
    assert run("verify").exit_code == 1


def test_verify_does_not_make_the_folder_that_it_is_pointed_at(settings, monkeypatch, tmp_path):
    told(settings, stored("s3://bucket/1"))
    monkeypatch.setenv("RENDERCAST_STORAGE__STORE_URL", str(tmp_path / "stoer"))
    found = run("verify")
    assert (found.exit_code, (tmp_path / "stoer").exists()) == (1, False)
    assert "RENDERCAST_STORAGE__STORE_URL" in found.stderr


def test_verify_since_and_limit_and_nothing_to_look_at(settings, monkeypatch):
    assert (run("verify").stdout, run("verify").exit_code) == ("0 copies\n", 0)
    old = NOW - timedelta(days=5)
    told(settings, stored("s3://bucket/1", stored_at=old), stored("s3://bucket/2"), stored("s3://bucket/3"))
    assert run("verify", "--since", "2d").stdout.endswith("2 copies: 2 elsewhere\n")
    assert run("verify", "--limit", "1").stdout.endswith("1 copy: 1 elsewhere\n")
    assert run("verify").exit_code == 0
    monkeypatch.setenv("RENDERCAST_TOPICS__PREFIX", f"{settings.topics.prefix}other.")
    result = run("verify")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)


def asked(settings):
    found = [(each, decode_storage_request(each.value)) for each in read(settings.kafka, settings.topics.names.storage)]
    for record, request in found:
        assert record.key == request.file_id.encode()
        assert list(record.headers) == headers(request)
    return {(request.file_id, request.role): (record.partition, request.url) for record, request in found}


def test_backfill_asks_for_what_was_completed_since_and_is_not_stored(settings):
    fresh, late, there, failed, old, gone = (str(uuid.uuid4()) for _ in range(6))
    long_ago = datetime(2025, 1, 1, tzinfo=UTC)
    write(
        settings,
        ("completions", 0, fresh, ended(Completion, fresh)),
        ("jobs", 0, fresh, ended(Job, fresh, url=FRESH)),
        ("completions", 1, late, ended(Completion, late)),
        ("jobs", 1, late, ended(Job, late, thumbnail_url=THUMBNAIL)),
        ("completions", 1, there, ended(Completion, there, thumbnail_url=THUMBNAIL)),
        ("stored", 0, there, stored("s3://bucket/there", file_id=there)),
        ("completions", 0, failed, ended(Completion, failed, outcome="failed", url=None)),
        ("completions", 0, old, ended(Completion, old, finished_at=long_ago)),
        ("jobs", 1, gone, ended(Job, gone)),
        ("jobs", 1, gone, None),
        ("completions", 0, "k", b"{"),
        ("jobs", 0, "k", b"{"),
    )
    dry = run("backfill", "--since", "1d")
    assert "stored already: 1\nwould ask for: 4\n" in dry.stdout
    assert asked(settings) == {}
    result = run("backfill", "--since", "1d", "--yes")
    assert result.exit_code == 0
    assert "stored already: 1\nasked for: 4\n" in result.stdout
    assert asked(settings) == {
        (fresh, "media"): (0, FRESH),
        (late, "media"): (1, MEDIA),
        (late, "thumbnail"): (1, THUMBNAIL),
        (there, "thumbnail"): (1, THUMBNAIL),
    }
    assert "would ask for: 5\n" in run("backfill", "--since", "1d", "--again").stdout
    assert "would ask for: 5" in run("backfill", "--since", "2024-12-31").stdout
    assert "would ask for: 1" in run("backfill", "--since", "2024-12-31", "--until", "1d").stdout
