"""Documents in memory: decoded once while warm, bounded, and refused where they are not ours."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from schemas import Job
from schemas.codec import decode_job, encode
from schemas.errors import StopProcess
from streams import rows as room
from streams.rows import Position, Rows, Span, check_documents

T0 = datetime(2026, 1, 2, tzinfo=UTC)


def job(number=0, **fields):
    return Job(
        **{
            "file_id": f"998d1234-5678-4abc-8def-{number:012}", "generation": "r1", "version": 1, "kind": "video",
            "status": "pending", "deadline_at": T0 + timedelta(minutes=15), "tracked_at": T0, "updated_at": T0,
            **fields,
        }
    )  # fmt: skip


def key(number=0):
    return job(number).file_id.encode()


def write(rows, *jobs):
    by_key = {each.file_id.encode(): each for each in jobs}
    rows.write({key: encode(each) for key, each in by_key.items()}, by_key)


@pytest.fixture
def decoded(monkeypatch):
    """The documents that were decoded, in order."""
    found = []

    def decode(document):
        found.append(document)
        return decode_job(document)

    monkeypatch.setattr(room, "decode_job", decode)
    return found


def test_a_document_is_decoded_when_it_is_asked_for_and_a_warm_one_is_not(decoded):
    rows = Rows({key(): encode(job())})
    first = rows.job(key())
    assert (first, len(decoded)) == (job(), 1)
    rows.write({}, {key(): first})
    assert rows.job(key()) is first
    assert len(decoded) == 1
    assert rows.job(key(7)) is None


def test_what_was_written_is_read_back_without_decoding(decoded):
    rows = Rows()
    write(rows, job(version=2))
    assert rows.documents == {key(): encode(job(version=2))}
    assert rows.job(key()).version == 2
    assert decoded == []


def test_the_warm_ones_are_those_touched_last_and_never_more_than_the_limit(decoded):
    rows = Rows(warm_limit=4)
    for number in range(10):
        write(rows, job(number))
        write(rows, job(0))
        assert len(rows._warm) <= 4
    assert [each for each in (0, 9) if rows.job(key(each)) is None] == []
    assert decoded == []
    assert rows.job(key(1)) == job(1)
    assert len(decoded) == 1
    assert len(rows.documents) == 10


def test_without_a_limit_above_zero_nothing_stays_decoded(decoded):
    rows = Rows(warm_limit=0)
    write(rows, job(1), job(2))
    assert rows.job(key(1)) == job(1)
    assert len(decoded) == 1


def test_a_forgotten_job_is_gone_warm_or_not():
    rows = Rows({key(1): encode(job(1))})
    write(rows, job(2))
    rows.write({key(1): None, key(2): None, key(3): None}, dict.fromkeys((key(1), key(2), key(3))))
    assert rows.documents == {}
    assert [rows.job(key(number)) for number in (1, 2, 3)] == [None, None, None]


def test_a_file_that_nothing_is_known_of_is_not_kept_warm():
    rows = Rows()
    rows.write({}, {key(1): None})
    assert rows._warm == {}


# ---------------------------------------------------------- the changelog


def test_documents_of_ours_pass():
    full = job(
        1, status="completed", outcome="completed", prompt='}"{', url="https://x.example/}", finished_at=T0,
        applied={"commands": 4}, message="ü",
    )  # fmt: skip
    check_documents("render.jobs", 3, {key(): encode(job()), key(1): encode(full)})


@pytest.mark.parametrize(
    ("value", "of"),
    [
        (b'{"hello":"world"}', key()),
        (b"", key()),
        (b"\x00\x01\x02", key()),
        (encode(job())[:-2], key()),
        (encode(job())[:20], key()),
        (encode(job(1)), key()),
        (encode(job()), b"another"),
        (encode(job()), key()[:-1]),
        (encode(job()), b""),
        (encode(job()), None),
    ],
    ids=[
        "foreign", "empty", "binary", "cut short", "cut in the id", "of another file", "under a foreign key",
        "under a part of its key", "under an empty key", "without a key",
    ],
)  # fmt: skip
def test_anything_else_stops_the_process_and_is_named(value, of):
    with pytest.raises(StopProcess) as stopped:
        check_documents("render.jobs", 3, {key(2): encode(job(2)), of: value})
    for words in ("render.jobs", "partition 3", f"key {of!r}", "nothing has been written"):
        assert words in str(stopped.value)


def test_an_unfinished_one_with_rubbish_for_a_time_stops_the_process_and_is_named():
    with pytest.raises(StopProcess, match=f"{key().decode()} .* not one of ours"):
        Rows({key(): re.sub(rb'"deadline_at":"[^"]+"', b'"deadline_at":"tomorrow"', encode(job()))})


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (encode(job(format=2)), "format 2; this release knows 1"),
        (encode(job()).replace(b'"pending"', b'"dreaming"'), "not one of ours"),
    ],
)
def test_a_document_that_we_cannot_carry_on_from_is_found_when_it_is_touched(document, words):
    check_documents("render.jobs", 3, {key(): document})
    with pytest.raises(StopProcess, match=words):
        Rows({key(): document}).job(key())


def test_a_position_is_what_its_bytes_are_read_as():
    assert Position.decode(Position(41, 1_700_000_000_000).encode()) == Position(41, 1_700_000_000_000)
    assert Position.decode(b'{"offset":4,"timestamp":5,"of a newer release":6}') == Position(4, 5)


@pytest.mark.parametrize("value", [b"", b"41", b"{}", b'{"offset":4}', b'{"timestamp":5}', b"\xff"])
def test_a_position_that_is_none_of_ours_stops_the_process(value):
    with pytest.raises(StopProcess, match="positions topic is damaged"):
        Position.decode(value)


class TestUnfinished:
    """For the metrics: which jobs have not ended, since when, and until when they should have."""

    def test_of_what_was_loaded_they_are_found_without_decoding(self, decoded):
        ended = job(1, status="completed", outcome="completed", finished_at=T0 + timedelta(minutes=1))
        spoken = job(2, prompt='","finished_at":"2026-01-01T00:00:00.000Z"')
        rows = Rows({each.file_id.encode(): encode(each) for each in (job(0), ended, spoken)})
        assert rows.unfinished == dict.fromkeys((key(0), key(2)), Span(T0, T0 + timedelta(minutes=15)))
        assert decoded == []

    def test_they_come_and_go_with_what_is_written(self):
        rows = Rows()
        write(rows, job(0), job(1))
        assert set(rows.unfinished) == {key(0), key(1)}
        write(rows, job(0, status="error", outcome="timed_out", finished_at=T0))
        assert set(rows.unfinished) == {key(1)}
        write(rows, job(0, deadline_at=T0 + timedelta(hours=1)))
        assert rows.unfinished[key(0)].deadline_at == T0 + timedelta(hours=1)
        rows.write({key(0): None}, {key(0): None})
        assert set(rows.unfinished) == {key(1)}
