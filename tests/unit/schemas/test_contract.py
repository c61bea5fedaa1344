"""The records as other teams read them."""

import tracemalloc

import orjson
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from cloudevents.core.formats.json import JSONFormat

from schemas import (
    Cancel,
    ChatRef,
    Check,
    Completion,
    EarlierGeneration,
    Job,
    Progress,
    Snapshot,
    Stored,
    Track,
    Watch,
    utcnow,
)
from schemas.codec import decode_command, decode_job, decode_observation, encode
from schemas.errors import RejectRecord
from schemas.headers import headers
from schemas.ids import outcome_id
from schemas.topics import Topics
from streams.machine import MAX_CHATS, MAX_EARLIER

FILE = "998d1234-5678-4abc-8def-0123456789ab"
NOW = utcnow()
RECORDS = [
    Track(file_id=FILE, kind="video", issued_at=NOW),
    Check(file_id=FILE, issued_at=NOW),
    Cancel(file_id=FILE, issued_at=NOW),
    Progress(file_id=FILE, source="sse", observed_at=NOW, progress=1),
    Snapshot(file_id=FILE, source="poll", observed_at=NOW),
    Watch(file_id=FILE, generation="g", kind="video", tracked_at=NOW, deadline_at=NOW),
    Job(
        file_id=FILE, generation="g", version=1, kind="video", status="pending",
        deadline_at=NOW, tracked_at=NOW, updated_at=NOW,
    ),
    Completion(
        id=outcome_id(FILE, "g", "failed"), outcome="failed", file_id=FILE, generation="g", kind="video",
        tracked_at=NOW, finished_at=NOW,
    ),
    Stored(
        file_id=FILE, generation="g", url="https://x.example/a.mp4", kind="video", location="file:///a", bytes=1,
        sha256="0" * 64, content_type="video/mp4", stored_at=NOW,
    ),
]  # fmt: skip


WITH_HEADERS = [each for each in RECORDS if not isinstance(each, Job)]


@pytest.mark.parametrize("record", WITH_HEADERS, ids=lambda record: type(record).__name__)
def test_headers_are_cloudevents_to_the_cloudevents_package(record):
    message = KafkaMessage(headers=dict(headers(record)), key=FILE.encode(), value=encode(record))
    event = from_binary_event(message, JSONFormat())
    assert event.get_subject() == FILE
    assert event.get_type().startswith("rendercast.")
    assert event.get_data() == orjson.loads(encode(record))


def test_times_are_rfc3339_in_utc_with_milliseconds():
    value = b'{"type":"check","file_id":"%s","issued_at":"2026-01-02T03:04:05.678901+02:00"}' % FILE.encode()
    assert orjson.loads(encode(decode_command(value)))["issued_at"] == "2026-01-02T01:04:05.678Z"


def test_fields_without_a_value_are_left_out():
    assert set(orjson.loads(encode(RECORDS[0]))) == {"type", "file_id", "kind", "issued_at"}


def test_ids_are_lower_case_uuids():
    value = encode(RECORDS[1]).replace(FILE.encode(), FILE.upper().encode())
    assert decode_command(value).file_id == FILE


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"file_id": "../admin"}, "file_id"),
        ({"kind": "hologram"}, "kind"),
        ({"issued_at": "yesterday"}, "issued_at"),
        ({"issued_at": "2026-01-02T03:04:05"}, "issued_at"),
        ({"deadline_seconds": -1}, "deadline_seconds"),
        ({"chat": {"message_id": "m"}}, "chat.chat_id"),
    ],
)
def test_a_wrong_field_is_named(change, field):
    value = orjson.dumps({**orjson.loads(encode(RECORDS[0])), **change})
    with pytest.raises(RejectRecord, match=rf"^{field}: "):
        decode_command(value)


@pytest.mark.parametrize("progress", ["1e999", "-1", "100.1", '"much"', "null"])
def test_progress_out_of_range_is_refused(progress):
    value = b'{"type":"progress","file_id":"%s","source":"sse","observed_at":"2026-01-01T00:00:00Z","progress":%s}'
    with pytest.raises(RejectRecord):
        decode_observation(value % (FILE.encode(), progress.encode()))


def test_records_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        RECORDS[0].kind = "image"


def test_the_largest_document_is_smaller_than_the_largest_record_that_brokers_take():
    name, text, url = "\x01" * 300, "\x01" * 20_000, "https://" + "\x01" * 3_992  # six bytes each in JSON
    earlier = EarlierGeneration(generation=name, upstream_generation_id=name, url=url, task_id=name)
    job = Job(
        file_id=FILE, generation=name, version=1, kind="video", status="completed", message=text, prompt=text,
        url=url, thumbnail_url=url, project_id=name, user_id=name, task_id=name, upstream_generation_id=name,
        deadline_at=NOW, tracked_at=NOW, updated_at=NOW, finished_at=NOW,
        chats=(ChatRef(chat_id=name, message_id=name),) * MAX_CHATS, earlier=(earlier,) * MAX_EARLIER,
    )  # fmt: skip
    assert decode_job(encode(job)) == job
    assert len(encode(job)) < 1_000_000


def test_the_topics_have_the_names_and_keeping_of_the_documentation():
    specs = {spec.name: spec.configs() for spec in Topics().specs()}
    assert specs == {
        "render.commands": {"cleanup.policy": "delete", "retention.ms": "604800000"},
        "render.upstream": {"cleanup.policy": "delete", "retention.ms": "604800000"},
        "render.watches": {"cleanup.policy": "compact"},
        "render.jobs": {"cleanup.policy": "compact"},
        "render.completions": {"cleanup.policy": "delete", "retention.ms": "2592000000"},
        "render.artifacts": {"cleanup.policy": "delete", "retention.ms": "604800000"},
        "render.storage": {"cleanup.policy": "delete", "retention.ms": "604800000"},
        "render.stored": {"cleanup.policy": "delete", "retention.ms": "2592000000"},
        "render.dead-letters": {"cleanup.policy": "delete", "retention.ms": "2592000000"},
        "render.positions": {"cleanup.policy": "compact"},
    }


def test_an_encoded_record_holds_no_more_memory_than_it_has_bytes():
    """The processor keeps one for each job it remembers, the connector one for each observation on its way."""
    tracemalloc.start()
    try:
        kept = [encode(RECORDS[3]) for _ in range(1000)]
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 1000 * (len(kept[0]) + 100)
