"""A step: records in, documents and records to send out."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import Job, Progress, Result, Track, utcnow
from schemas.codec import decode_completion, decode_job, encode
from schemas.dead_letters import MAX_KEY_BYTES, MAX_VALUE_BYTES
from schemas.errors import StopProcess
from schemas.topics import Topics
from streams.rows import Position, Rows
from streams.step import Stepper

FILE = "998d1234-5678-4abc-8def-0123456789ab"
OTHER = "998d1234-5678-4abc-8def-0123456789ff"
KEY = FILE.encode()
T0 = datetime(2026, 1, 2, tzinfo=UTC)
TOPICS = Topics()
URL = "https://x.example/a.mp4"


@dataclass
class Record:
    topic: str
    offset: int
    value: bytes | None
    key: bytes | None = KEY
    partition: int = 3

    @property
    def timestamp(self):
        return 1_000 * self.offset


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
    assert {each.key for each in effects.out if each.topic != TOPICS.positions} == {KEY}


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
    newer = Rows({KEY: rows.documents[KEY].replace(b'"applied"', b'"format":2,"applied"')})
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


class TestForgetting:
    """Rule 12: what has finished long ago goes, and what could bring it back is a replay."""

    before = T0 + timedelta(days=1)

    def ended(self, file=FILE, *, at=T0, track=1, seen=4, **fields):
        """A job that has ended, as the rows of a process that has just read them have it."""
        return {
            file.encode(): encode(
                Job(
                    **{
                        "file_id": file, "generation": "r1", "version": 3, "kind": "video", "status": "completed",
                        "outcome": "completed", "watching": False, "deadline_at": T0, "tracked_at": T0,
                        "updated_at": T0, "finished_at": at, "applied": {"commands": track, "upstream": seen}, **fields,
                    }
                )
            )
        }  # fmt: skip

    def forget(self, rows, *keys):
        effects = Stepper(TOPICS).forget(rows, keys or tuple(rows.documents), self.before)
        effects.write_to(rows)
        return effects

    def test_a_finished_job_becomes_a_tombstone_in_effects_that_tell_the_positions_too(self):
        rows = Rows(self.ended(), at(commands=7, upstream=9))
        effects = self.forget(rows)
        assert [each.value for each in by_topic(effects, TOPICS.jobs)] == [None]
        assert {each.topic for each in effects.out} == {TOPICS.jobs, TOPICS.positions}
        assert told_positions(effects) == rows.positions == at(commands=7, upstream=9)
        assert rows.documents == {}
        assert rows.job(KEY) is None
        assert effects.verdicts == {("retention", "forgotten"): 1}

    @pytest.mark.parametrize(
        "fields",
        [
            {"status": "processing", "outcome": None, "finished_at": None},
            {"finished_at": before},
            {"finished_at": before + timedelta(seconds=1)},
        ],
        ids=["unfinished", "just then", "later"],
    )
    def test_any_other_job_is_left_as_it_is_and_nothing_is_told(self, fields):
        rows = Rows(self.ended(**fields), at(commands=7))
        before = dict(rows.documents)
        assert (self.forget(rows).out, rows.documents) == ([], before)

    def test_a_job_that_is_not_there_any_more_is_nothing_to_forget(self):
        effects = self.forget(Rows(), KEY)
        assert (effects.out, effects.documents) == ([], {})

    def test_a_watch_that_was_still_asked_for_ends_with_it(self):
        rows = Rows(self.ended(outcome="timed_out", watching=True, check=1))
        assert [(each.key, each.value) for each in by_topic(self.forget(rows), TOPICS.watches)] == [(KEY, None)]
        assert by_topic(self.forget(Rows(self.ended())), TOPICS.watches) == []

    def test_the_whole_story_of_a_forgotten_job_again_tells_nothing(self):
        """An operator has put the group's offsets back, and a new process has read rows and positions."""
        story = [
            command(0), result(3), result(5, source="poll"), command(2, request_id="r2"),
            Record(TOPICS.upstream, 6, b"{"), command(4, request_id="r1"), result(9, generation="r2", url=URL + "?2"),
        ]  # fmt: skip
        rows = Rows()
        assert len(step(rows, *story).completions) == 2
        Stepper(TOPICS).forget(rows, [KEY], utcnow() + timedelta(days=1)).write_to(rows)
        assert rows.documents == {}
        again = step(Rows({}, dict(rows.positions)), *story)
        assert (again.replays, again.out) == (len(story), [])

    def test_behind_the_positions_a_track_starts_afresh_and_evidence_of_the_old_job_is_unknown(self):
        rows = Rows(self.ended(), at(commands=1, upstream=4))
        self.forget(rows)
        assert step(rows, result(5)).verdicts == {("sse", "unknown"): 1}
        effects = step(rows, command(2))
        assert effects.verdicts == {("track", "tracked"): 1}
        assert (decode_job(rows.documents[KEY]).version, decode_job(rows.documents[KEY]).applied) == (
            1,
            {"commands": 2},
        )


class TestPositions:
    """How far a partition has been applied is told with everything that was caused on the way there."""

    def test_every_transaction_tells_the_last_offset_of_each_source(self):
        rows = Rows()
        assert told_positions(step(rows, command(3), result(8))) == at(commands=3, upstream=8)
        assert told_positions(step(rows, command(4, request_id="r2"))) == at(commands=4, upstream=8)
        assert told_positions(step(rows, Record(TOPICS.upstream, 9, b"poison"))) == at(commands=4, upstream=9)
        assert rows.positions == at(commands=4, upstream=9)

    def test_what_changes_nothing_sends_nothing_and_is_told_with_the_next_that_does(self):
        rows = Rows()
        step(rows, command(3), result(8))
        assert step(rows, result(11, source="poll")).out == []
        assert rows.positions == at(commands=3, upstream=11)
        assert told_positions(step(rows, command(4, request_id="r2"))) == at(commands=4, upstream=11)

    def test_they_stand_behind_what_they_stand_for(self):
        topics = [each.topic for each in step(Rows(), command(3), result(8)).out]
        assert topics[-2:] == [TOPICS.positions] * 2
        assert topics[0] == TOPICS.jobs

    @pytest.mark.parametrize(
        "record",
        [
            lambda: command(4, request_id="r9"), lambda: command(0, request_id="r0"), lambda: result(9),
            lambda: result(0), lambda: Record(TOPICS.upstream, 3, b"{poison"), lambda: Record(TOPICS.commands, 1, None),
            lambda: Record(TOPICS.upstream, 2, b"x", key=None),
        ],
        ids=["the last", "an earlier one", "the last of the other", "the first", "poison", "no value", "no key"],
    )  # fmt: skip
    def test_whatever_comes_again_is_a_replay_and_is_not_even_read(self, record):
        rows = Rows({}, at(commands=4, upstream=9))
        effects = step(rows, record())
        assert (effects.replays, effects.out, effects.completions, rows.documents) == (1, [], [], {})
        assert rows.positions == at(commands=4, upstream=9)

    def test_should_they_be_lost_the_documents_know_what_they_have_applied(self):
        rows = Rows()
        step(rows, command(7), result(9))
        alone = Rows(dict(rows.documents))
        effects = step(alone, command(7), command(3, request_id="r0"), result(9), result(2, url=URL + "?other"))
        assert (effects.replays, effects.completions, alone.documents) == (4, [], rows.documents)

    def test_one_source_says_nothing_of_the_other(self):
        assert step(Rows({}, at(upstream=9)), command(3)).verdicts == {("track", "tracked"): 1}


def at(**offsets):
    """Positions, with the times that records have here."""
    return {source: Position(offset, 1_000 * offset) for source, offset in offsets.items()}


def told_positions(effects):
    return {each.key.decode(): Position.decode(each.value) for each in by_topic(effects, TOPICS.positions)}


def test_rows_are_left_alone_until_the_effects_are_written_to_them():
    rows = Rows()
    effects = Stepper(TOPICS)(rows, [command(0), result(1)])
    assert (rows.documents, rows.positions) == ({}, {})
    assert effects.out[0].topic == TOPICS.jobs


def test_within_one_step_the_second_of_two_equal_offsets_is_a_replay():
    effects = step(Rows(), command(0), result(1), result(1, url=URL + "?other"))
    assert effects.replays == 1
    assert len(effects.completions) == 1
