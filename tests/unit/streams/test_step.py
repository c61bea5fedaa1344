"""A step: records in, documents and records to send out."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import Progress, Result, Track, utcnow
from schemas.codec import decode_completion, decode_job, encode
from schemas.dead_letters import MAX_KEY_BYTES, MAX_VALUE_BYTES
from schemas.errors import StopProcess
from schemas.topics import Topics
from streams.rows import Rows
from streams.step import Stepper

FILE = "998d1234-5678-4abc-8def-0123456789ab"
KEY = FILE.encode()
TOPICS = Topics()
URL = "https://x.example/a.mp4"


@dataclass
class Record:
    topic: str
    offset: int
    value: bytes | None
    key: bytes | None = KEY
    partition: int = 3


def command(offset=0, **fields):
    track = Track(**{"file_id": FILE, "kind": "video", "request_id": "r1", "issued_at": utcnow(), **fields})
    return Record(TOPICS.commands, offset, encode(track))


def result(offset=0, **fields):
    event = Result(**{"file_id": FILE, "source": "sse", "observed_at": utcnow(), "url": URL, **fields})
    return Record(TOPICS.upstream, offset, encode(event))


def step(rows, *records):
    effects = Stepper(TOPICS)(rows, records)
    effects.write_to(rows)
    return effects


def by_topic(effects, topic):
    return [each for each in effects.out if each.topic == topic]


def test_a_step_sends_one_document_per_key_and_every_output():
    rows = Rows()
    effects = step(rows, command(), result(5))
    [document] = by_topic(effects, TOPICS.jobs)
    job = decode_job(document.value)
    assert (job.status, job.applied) == ("completed", {"commands": 0, "upstream": 5})
    assert rows.documents[KEY] == document.value
    assert [decode_completion(each.value).url for each in by_topic(effects, TOPICS.completions)] == [URL]
    assert [each.value is None for each in by_topic(effects, TOPICS.watches)] == [False, True]
    assert {each.key for each in effects.out} == {KEY}


def test_an_event_at_or_below_the_documents_position_is_a_replay_even_after_an_offset_reset():
    rows = Rows()
    step(rows, command(7), result(9))
    before = dict(rows.documents)
    effects = step(rows, command(7), command(3, request_id="r0"), result(9), result(2, url=URL + "?other"))
    assert (effects.replays, effects.out, rows.documents) == (4, [], before)


def test_positions_are_kept_from_one_generation_to_the_next():
    rows = Rows()
    step(rows, command(1), result(4))
    step(rows, command(2, request_id="r2"))
    assert decode_job(rows.documents[KEY]).applied == {"commands": 2, "upstream": 4}


def test_a_duplicate_writes_nothing():
    rows = Rows()
    step(rows, command(1), result(4))
    effects = step(rows, result(5, source="poll"))
    assert not effects.out
    assert effects.verdicts == {("poll", "duplicate"): 1}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Record(TOPICS.commands, 1, b"{not json"), "not_json"),
        (Record(TOPICS.commands, 1, b"\xff\xfe"), "not_json"),
        (Record(TOPICS.commands, 1, b"[]"), "invalid"),
        (Record(TOPICS.commands, 1, b'{"type":"track","file_id":"x","kind":"video"}'), "invalid"),
        (Record(TOPICS.upstream, 1, b'{"type":"invented-later"}'), "unknown_type"),
        (Record(TOPICS.upstream, 1, None), "no_value"),
        (Record(TOPICS.commands, 1, command().value.replace(b'"issued_at":"2', b'"issued_at":"9')), "invalid"),
        (
            Record(TOPICS.commands, 1, b'{"type":"check","file_id":"%s","issued_at":"0001-01-01T00:00+14:00"}' % KEY),
            "invalid",
        ),
        (Record(TOPICS.upstream, 1, result().value, key=b"k" * (2 << 20)), "wrong_key"),
        (Record(TOPICS.upstream, 1, b"x" * (5 << 20)), "not_json"),
        (Record(TOPICS.upstream, 1, result().value, key=None), "no_key"),
        (Record(TOPICS.upstream, 1, result().value, key=b"another"), "wrong_key"),
    ],
)
def test_poison_becomes_a_dead_letter_and_the_step_goes_on(record, reason):
    rows = Rows()
    effects = step(rows, command(0), record, result(2))
    [letter] = by_topic(effects, TOPICS.dead_letters)
    headers = dict(letter.headers)
    assert headers["reason"] == reason.encode()
    assert (headers["topic"], headers["partition"], headers["offset"]) == (record.topic.encode(), b"3", b"1")
    assert letter.key == (record.key and record.key[:MAX_KEY_BYTES])
    assert letter.value == (record.value and record.value[:MAX_VALUE_BYTES])
    size = len(letter.key or b"") + len(letter.value or b"") + sum(len(each) for _, each in letter.headers)
    assert size < 1_000_000
    assert effects.dead_letters == {reason: 1}
    assert decode_job(rows.documents[KEY]).status == "completed"


def test_the_dead_letter_names_the_field_and_what_was_expected():
    value = b'{"type":"track","file_id":"x","kind":"video","issued_at":"2026-01-01T00:00:00Z"}'
    [letter] = by_topic(step(Rows(), Record(TOPICS.commands, 1, value)), TOPICS.dead_letters)
    assert b"file_id: String should match pattern" in dict(letter.headers)["detail"]


def test_a_document_of_a_newer_release_stops_the_process_and_is_not_overwritten():
    rows = Rows()
    step(rows, command(0))
    newer = Rows({KEY: rows.documents[KEY].replace(b'"format":1', b'"format":2')})
    with pytest.raises(StopProcess, match="format 2; this release knows 1"):
        step(newer, result(1))


def test_a_foreign_document_stops_the_process():
    with pytest.raises(StopProcess, match="not one of ours"):
        step(Rows({KEY: b'{"hello":"world"}'}), result(1))


def test_unknown_fields_of_a_newer_writer_are_read_over():
    value = b'{"colour":"blue",' + command().value[1:]
    assert by_topic(step(Rows(), Record(TOPICS.commands, 1, value)), TOPICS.jobs)


@given(st.binary(max_size=200) | st.sampled_from([command().value, result().value]), st.sampled_from([0, 1]))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise(value, which):
    step(Rows(), command(0), Record((TOPICS.commands, TOPICS.upstream)[which], 9, value))


def test_progress_in_one_step_is_one_document_with_the_last_state():
    rows = Rows()
    observed = [
        Record(
            TOPICS.upstream, number,
            encode(Progress(file_id=FILE, source="sse", observed_at=utcnow(), progress=number)),
        )
        for number in range(1, 51)
    ]  # fmt: skip
    effects = step(rows, command(0), *observed)
    assert len(by_topic(effects, TOPICS.jobs)) == 1
    assert decode_job(rows.documents[KEY]).progress == 50
