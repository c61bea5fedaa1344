"""The awkward rules on a real broker: what arrives late, early, twice, out of order, or after another generation."""

from collections import Counter
from datetime import timedelta
from itertools import groupby

import pytest
from harness import eventually, read
from integration.streams.support import (
    completions,
    documents,
    files,
    fresh_topics,
    home,
    new_id,
    observations,
    processors,
    raw,
    reset_offsets,
    result,
    seen,
    settle,
    track,
    url_of,
    verdicts,
    write,
    write_events,
)

from schemas import Cancel, Check, Expired, Failure, Progress, Result, Snapshot, utcnow
from schemas.codec import decode_watch


class World:
    """One processor for all stories of this module; each story has files of its own."""

    def __init__(self, kafka, topics, start):
        self.kafka, self.topics, self._start = kafka, topics, start
        self.start_again()

    def play(self, *events):
        """One after the other, whatever their topics: what comes next is written when the last is done with."""
        for _, some in groupby(events, lambda each: home(self.topics, each)):
            write_events(self.kafka, self.topics, some)
            settle(self.kafka, self.topics)

    def outcomes(self, file_id):
        """Of one file, in the order in which they were told."""
        told = [each for each in completions(self.kafka, self.topics) if each.file_id == file_id]
        assert len({each.id for each in told}) == len(told)
        return [(each.generation, each.outcome) for each in told]

    def told(self, file_id):
        return [each for each in completions(self.kafka, self.topics) if each.file_id == file_id]

    def document(self, file_id):
        return documents(self.kafka, self.topics)[file_id]

    def watches(self, file_id):
        """Every record on the file's watch; None for its end."""
        found = [each for each in read(self.kafka, self.topics.names.watches) if each.key == file_id.encode()]
        return [decode_watch(each.value) if each.value else None for each in found]

    def everything_told(self):
        """All that is on the topics downstream: (topic, key, value), with how often."""
        names = self.topics.names
        return Counter(
            (topic, each.key, each.value)
            for topic in (names.jobs, names.completions, names.watches, names.artifacts, names.storage)
            for each in read(self.kafka, topic)
        )

    def stop(self):
        assert self.processor.stop() == 0

    def start_again(self):
        self.processor = self._start()
        self.processor.wait_ready()


@pytest.fixture(scope="module")
def world(kafka, tmp_path_factory):
    with fresh_topics(kafka) as topics, processors(tmp_path_factory.mktemp("rules"), kafka, topics) as start:
        yield World(kafka, topics, start)


@pytest.fixture
def file(world):
    return new_id()


def old_url_is_still_served(file):
    """What stream and polls say of a file that was generated again, before the new result is there."""
    return [
        result(file, "old", source="sse"),
        seen(Snapshot, file, "poll", url=url_of(file, "old"), task_status="completed"),
        seen(Snapshot, file, "check", url=url_of(file, "other-form-of-it"), upstream_generation_id="u-old"),
        seen(Result, file, "sse", url=url_of(file, "seen-under-the-old-watch"), generation="old"),
        seen(Failure, file, "sse", reason="seen under the old watch", generation="old"),
    ]


def test_a_file_generated_again_ends_with_its_own_url_once_however_long_the_old_one_is_served(world, file):
    new = seen(Snapshot, file, "poll", url=url_of(file, "new"), upstream_generation_id="u-new")
    world.play(
        track(file, "old"),
        seen(Snapshot, file, "sse", url=url_of(file, "old"), upstream_generation_id="u-old"),
        track(file, "new"),
        *old_url_is_still_served(file),
    )
    assert world.outcomes(file) == [("old", "completed")]
    assert (world.document(file).generation, world.document(file).outcome) == ("new", None)
    world.play(new, result(file, "new"), *old_url_is_still_served(file), new)
    assert world.outcomes(file) == [("old", "completed"), ("new", "completed")]
    assert [each.url for each in world.told(file)] == [url_of(file, "old"), url_of(file, "new")]
    assert world.document(file).url == url_of(file, "new")


@pytest.mark.parametrize("ended", [False, True], ids=["while it runs", "after its end"])
def test_a_track_that_its_producer_repeats_announces_and_starts_nothing(world, file, ended):
    command = track(file, chat={"chat_id": "video-generator-tool"})
    world.play(command, *([result(file)] if ended else []))
    before = world.everything_told()
    world.play(command, command, command.model_copy(update={"issued_at": utcnow()}))
    assert world.everything_told() == before
    world.play(result(file))
    assert world.outcomes(file) == [("r1", "completed")]


def test_what_comes_before_its_track_is_dropped_and_what_comes_after_completes(world, file):
    before = verdicts(world.processor, "unknown")
    world.play(seen(Progress, file, progress=40), result(file, "too-early"), Check(file_id=file, issued_at=utcnow()))
    assert verdicts(world.processor, "unknown") == before + 3
    world.play(track(file))
    assert (world.document(file).progress, world.outcomes(file)) == (0, [])
    world.play(seen(Snapshot, file, "poll", url=url_of(file)))
    assert [each.url for each in world.told(file)] == [url_of(file)]


def test_a_check_on_a_timed_out_job_finds_the_url_that_came_late_and_announces_it_once(world, file):
    world.play(track(file), seen(Expired, file, "poll"))
    assert world.outcomes(file) == [("r1", "timed_out")]
    world.play(Check(file_id=file, issued_at=utcnow()))
    assert [each and each.check for each in world.watches(file)] == [0, None, 1]
    found = seen(Snapshot, file, "check", url=url_of(file))
    world.play(found, result(file), found, seen(Expired, file, "poll"), seen(Failure, file, reason="too late"))
    assert [(each.outcome, each.late, each.won_by) for each in world.told(file)] == [
        ("timed_out", False, None),
        ("completed", True, "check"),
    ]
    assert (world.document(file).status, world.document(file).late) == ("completed", True)
    assert world.watches(file)[-1] is None


def test_a_cancel_before_its_track_ends_nothing_and_one_of_an_earlier_generation_neither(world, file):
    world.play(Cancel(file_id=file, issued_at=utcnow()), track(file))
    assert world.document(file).outcome is None
    world.play(track(file, "r2"), Cancel(file_id=file, generation="r1", issued_at=utcnow()))
    assert world.outcomes(file) == [("r1", "superseded")]
    world.play(Cancel(file_id=file, generation="r2", issued_at=utcnow()), result(file, "r2"))
    assert world.outcomes(file) == [("r1", "superseded"), ("r2", "cancelled")]


def test_a_track_that_was_overtaken_ends_as_superseded_and_leaves_the_later_one_alone(world, file):
    overtaken = track(file, "r1", issued_at=utcnow() - timedelta(minutes=2))
    world.play(track(file, "r2"), overtaken, overtaken)
    assert world.outcomes(file) == [("r1", "superseded")]
    assert [each.generation for each in world.watches(file)] == ["r2"]
    world.play(result(file, "r2"), overtaken)
    assert world.outcomes(file) == [("r1", "superseded"), ("r2", "completed")]


def test_a_long_backlog_of_commands_loses_none_of_the_few_observations_beside_it(world):
    many = files(1_500)
    few = many[-20:]
    world.stop()
    write(world.kafka, [raw(world.topics.names.commands, track(each)) for each in many])
    write(world.kafka, [raw(world.topics.names.upstream, result(each)) for each in few])
    world.start_again()
    assert_all_end_once_and_none_was_unknown(world, few)


def test_a_long_backlog_of_observations_waits_for_the_few_commands_that_came_before(world):
    few = files(20)
    world.stop()
    write(world.kafka, [raw(world.topics.names.commands, track(each)) for each in few])
    repeated = [each for _ in range(15) for each in observations(few)]
    write(world.kafka, [raw(world.topics.names.upstream, each) for each in repeated])
    world.start_again()
    assert_all_end_once_and_none_was_unknown(world, few)


def assert_all_end_once_and_none_was_unknown(world, ids):
    settle(world.kafka, world.topics)
    counted = Counter(each.file_id for each in completions(world.kafka, world.topics))
    assert {each: counted[each] for each in ids} == dict.fromkeys(ids, 1)
    assert verdicts(world.processor, "unknown") == 0
    assert verdicts(world.processor, "ended") == len(ids)


def test_group_offsets_put_back_to_the_beginning_tell_nothing_again_of_all_this(world):
    """The log of this module: run alone, the test has the story below to read again."""
    again, late, twice, cancelled, unfinished, failed = files(6)
    world.play(
        track(again, "old"), result(again, "old"), track(again, "new"), *old_url_is_still_served(again),
        result(again, "new"), result(again, "new", source="poll"), *old_url_is_still_served(again),
    )  # fmt: skip
    world.play(result(late), track(late), seen(Expired, late), Check(file_id=late, issued_at=utcnow()), result(late))
    world.play(track(twice, "r2"), track(twice, "r1", issued_at=utcnow() - timedelta(minutes=2)), result(twice, "r2"))
    world.play(track(cancelled), Cancel(file_id=cancelled, issued_at=utcnow()), result(cancelled))
    cancel = Cancel(file_id=unfinished, issued_at=utcnow())  # names no generation: it must not end the next one
    world.play(track(unfinished, "r1"), cancel, track(unfinished, "r2"), Check(file_id=unfinished, issued_at=utcnow()))
    world.play(track(failed, "r1"), seen(Failure, failed, reason="of the first"), track(failed, "r2"))
    before, known = world.everything_told(), documents(world.kafka, world.topics)
    world.stop()
    reset_offsets(world.kafka, world.topics)
    world.start_again()
    settle(world.kafka, world.topics)
    assert world.everything_told() == before
    assert documents(world.kafka, world.topics) == known
    assert world.processor.metric("rendercast_processor_replays_total") >= len(known)


def test_after_all_this_a_new_job_still_ends(world, file):
    write_events(world.kafka, world.topics, [track(file)])
    eventually(lambda: file in documents(world.kafka, world.topics))
    write_events(world.kafka, world.topics, observations([file]))
    eventually(lambda: world.outcomes(file) == [("r1", "completed")])
